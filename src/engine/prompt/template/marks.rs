//! Where in a rendered prompt the messages lie, found with sentinels that nobody can guess, so that marks
//! spelt by a message stay text and stored ids find their place.
//!
//! Invariant: with the sentinels taken out, a marked rendering equals the plain one; otherwise nothing is
//! claimed to be located.

use std::borrow::Cow;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use super::jinja::Line;
use crate::engine::protocol::{Failure, StoredTokens};
use crate::token::TokenId;

/// What a text comes after in the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing, or a control token: a tokenizer that begins texts with a blank does so here.
    Mark,
    /// Other text: it is tokenised in place.
    Text,
}

/// Tokenises a text: whether marks in it become control tokens, and what it comes after.
pub type Tokenize<'a> = dyn FnMut(&str, bool, After) -> Result<Vec<TokenId>, Failure> + 'a;

/// What is known of single tokens.
#[derive(Clone, Copy)]
pub(super) struct Pieces<'a> {
    pub(super) specials: &'a Specials,
    /// A token's text; none for a control token.
    pub(super) bytes_of: &'a dyn Fn(TokenId) -> Vec<u8>,
}

impl Pieces<'_> {
    /// What comes after these tokens.
    fn after(self, ids: &[TokenId]) -> After {
        let Some(last) = ids.last() else { return After::Mark };
        let text = (self.bytes_of)(*last);
        if text.is_empty() || self.specials.contains(&text) { After::Mark } else { After::Text }
    }
}

/// The spellings of all control tokens. Some vocabularies have thousands, so a text is looked through once.
#[derive(Debug)]
pub(super) struct Specials {
    spellings: HashSet<Vec<u8>>,
    /// Lengths of the spellings that begin with each byte.
    lengths: Vec<Vec<usize>>,
}

impl Specials {
    pub(super) fn new(spellings: Vec<String>) -> Self {
        let mut lengths = vec![Vec::new(); 256];
        for spelling in spellings.iter().filter(|spelling| !spelling.is_empty()) {
            let of_first: &mut Vec<usize> = &mut lengths[usize::from(spelling.as_bytes()[0])];
            if !of_first.contains(&spelling.len()) {
                of_first.push(spelling.len());
            }
        }
        Self { spellings: spellings.into_iter().map(String::into_bytes).collect(), lengths }
    }

    pub(super) fn contains(&self, spelling: &[u8]) -> bool {
        self.spellings.contains(spelling)
    }

    /// Whether a text begins with one.
    pub(super) fn at_start(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let lengths = bytes.first().map_or(&[][..], |first| &self.lengths[usize::from(*first)]);
        lengths.iter().any(|length| bytes.get(..*length).is_some_and(|spelling| self.contains(spelling)))
    }

    /// Where they stand in a text, overlapping ones too, in order of their beginning.
    fn spelt(&self, text: &str) -> Vec<Range<usize>> {
        let bytes = text.as_bytes();
        let mut marks = Vec::new();
        for (start, first) in bytes.iter().enumerate() {
            for length in &self.lengths[usize::from(*first)] {
                let place = start..start + length;
                if bytes.get(place.clone()).is_some_and(|spelling| self.contains(spelling)) {
                    marks.push(place);
                }
            }
        }
        marks
    }
}

/// A rendered prompt and what is known about its stretches.
#[derive(Debug)]
pub(super) struct Marked {
    /// The prompt, without sentinels.
    pub(super) text: String,
    /// Where each message's whole text lies; `None` where the template took some of it away.
    pub(super) messages: Vec<Option<Range<usize>>>,
    /// Everywhere that message text ended up, and marks spelt by it on their own.
    pub(super) wrapped: Vec<Range<usize>>,
}

/// A stretch that is not tokenised with the text around it.
#[derive(Debug)]
pub(super) enum Stretch {
    /// A mark spelt by a message: tokenised as text.
    Guarded(Range<usize>),
    /// A reply whose own ids are used.
    Stored {
        /// Where it lies.
        place: Range<usize>,
        /// Its ids.
        ids: Vec<TokenId>,
    },
}

impl Stretch {
    fn place(&self) -> &Range<usize> {
        match self {
            Self::Guarded(place) | Self::Stored { place, .. } => place,
        }
    }
}

impl Marked {
    /// Renders the messages with sentinels around each text and each mark in it. `None` when the template
    /// then writes something else, because it looks into the texts.
    pub(super) fn locate<E>(
        plain: &str,
        messages: &[Line<'_>],
        specials: &Specials,
        render: impl Fn(&[Line<'_>]) -> Result<String, E>,
    ) -> Option<Self> {
        // A reply that was stopped within its first character has tokens and no text. A template may leave out what is
        // empty, and then would write something else.
        let find = |empty| Self::locate_with(plain, messages, specials, &render, empty);
        if messages.iter().any(has_tokens_alone) { find(true).or_else(|| find(false)) } else { find(false) }
    }

    /// The same; `empty` says whether places of replies without text are looked for.
    fn locate_with<E>(
        plain: &str,
        messages: &[Line<'_>],
        specials: &Specials,
        render: impl Fn(&[Line<'_>]) -> Result<String, E>,
        empty: bool,
    ) -> Option<Self> {
        let mut sentinels = Sentinels::new();
        let mut edges = Vec::new();
        let marked: Vec<Line<'_>> = messages
            .iter()
            .map(|line| {
                let wanted = empty && has_tokens_alone(line);
                let (text, message_edges) = sentinels.wrap(&line.text, specials, wanted);
                edges.push(message_edges);
                Line {
                    role: line.role,
                    text: Cow::Owned(text),
                    reasoning: line.reasoning.clone(),
                    stored: None,
                }
            })
            .collect();
        let rendered = render(&marked).ok()?;
        let (text, found) = sentinels.taken_out(&rendered);
        if text != plain {
            return None;
        }
        let pairs = |(open, close): (usize, usize)| {
            let places = found[open].iter().zip(&found[close]);
            places.map(|(start, end)| *start..*end).filter(|place| place.start <= place.end)
        };
        let messages = edges
            .iter()
            .map(|edges| {
                let mut places = pairs(edges.whole?);
                let place = places.next().filter(|_| places.next().is_none())?;
                let start = place.start.checked_sub(edges.before)?;
                let end = place.end + edges.after;
                (end <= text.len()).then_some(start..end)
            })
            .collect();
        let wrapped =
            edges.iter().flat_map(|edges| edges.marks.iter().copied().chain(edges.whole)).flat_map(pairs);
        let wrapped = wrapped.filter(|place| !place.is_empty()).collect();
        Some(Self { text, messages, wrapped })
    }
}

/// Whether a message has no text but tokens that spell the beginning of some.
fn has_tokens_alone(line: &Line<'_>) -> bool {
    let spells = |stored: &StoredTokens| stored.tokens.iter().any(|(_, length)| *length > 0);
    line.text.is_empty() && line.stored.as_deref().is_some_and(spells)
}

/// Sentinels put around one message's text.
struct Edges {
    /// Around the text without its outer white space, which a template may trim; `None` if that is all.
    whole: Option<(usize, usize)>,
    /// Bytes of white space in front and after.
    before: usize,
    after: usize,
    /// Around each mark.
    marks: Vec<(usize, usize)>,
}

/// Numbers of 24 decimal digits: digits come through trimming, casing, escaping and `tojson` unchanged. All
/// begin with the same random 18 and end with their own number.
struct Sentinels {
    prefix: String,
    count: usize,
}

const PREFIX_DIGITS: usize = 18;
const NUMBER_DIGITS: usize = 6;

impl Sentinels {
    fn new() -> Self {
        // The standard library's hash keys are the random numbers at hand: seeded by the system per process,
        // and different for each state.
        let random = RandomState::new().build_hasher().finish();
        Self { prefix: format!("{:0PREFIX_DIGITS$}", random % 10_u64.pow(PREFIX_DIGITS as u32)), count: 0 }
    }

    fn next(&mut self, out: &mut String) -> usize {
        let number = self.count;
        self.count += 1;
        out.push_str(&self.prefix);
        let _ = write!(out, "{number:0NUMBER_DIGITS$}");
        number
    }

    /// `empty` says whether nothing is wrapped too.
    fn wrap(&mut self, text: &str, specials: &Specials, empty: bool) -> (String, Edges) {
        let before = text.len() - text.trim_start().len();
        let after = text.trim_start().len() - text.trim().len();
        let mut edges = Edges { whole: None, before, after, marks: Vec::new() };
        let core = text.trim();
        if core.is_empty() && !empty {
            return (text.to_owned(), edges);
        }
        let mut out = text[..before].to_owned();
        let open = self.next(&mut out);
        let mut done = 0;
        for mark in spelt(core, specials) {
            out.push_str(&core[done..mark.start]);
            let open = self.next(&mut out);
            out.push_str(&core[mark.clone()]);
            edges.marks.push((open, self.next(&mut out)));
            done = mark.end;
        }
        out.push_str(&core[done..]);
        edges.whole = Some((open, self.next(&mut out)));
        out.push_str(&text[text.len() - after..]);
        (out, edges)
    }

    /// The text without sentinels, and everywhere that each was.
    fn taken_out(&self, marked: &str) -> (String, Vec<Vec<usize>>) {
        let mut text = String::with_capacity(marked.len());
        let mut found = vec![Vec::new(); self.count];
        let mut rest = marked;
        while let Some(at) = rest.find(&self.prefix) {
            let number = rest.get(at + PREFIX_DIGITS..at + PREFIX_DIGITS + NUMBER_DIGITS);
            let Some(number) = number.and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < self.count)
            else {
                break;
            };
            text.push_str(&rest[..at]);
            found[number].push(text.len());
            rest = &rest[at + PREFIX_DIGITS + NUMBER_DIGITS..];
        }
        text.push_str(rest);
        (text, found)
    }
}

/// Whether any message spells a mark.
pub(super) fn any_spelt(messages: &[Line<'_>], specials: &Specials) -> bool {
    messages.iter().any(|line| !specials.spelt(&line.text).is_empty())
}

/// The messages with a space inside each mark, after its first character.
pub(super) fn broken_up<'a>(messages: &[Line<'a>], specials: &Specials) -> Vec<Line<'a>> {
    let mut lines = messages.to_vec();
    for line in &mut lines {
        // Each round shortens what is left of marks: a space is put into every one that is found.
        while let Some(mark) = spelt(&line.text, specials).pop() {
            let first = line.text[mark.clone()].chars().next().map_or(0, char::len_utf8);
            line.text.to_mut().insert(mark.start + first, ' ');
        }
        line.stored = None;
    }
    lines
}

/// Where marks stand that lie in, or reach into, one of the `within` stretches.
pub(super) fn spelt_within(text: &str, within: &[Range<usize>], specials: &Specials) -> Vec<Range<usize>> {
    let mut within = within.to_vec();
    within.sort_by_key(|range| range.start);
    specials
        .spelt(text)
        .into_iter()
        .filter(|mark| within.iter().any(|range| mark.start < range.end && range.start < mark.end))
        .fold(Vec::new(), join_overlapping)
}

/// Where marks stand, overlapping ones joined.
fn spelt(text: &str, specials: &Specials) -> Vec<Range<usize>> {
    specials.spelt(text).into_iter().fold(Vec::new(), join_overlapping)
}

fn join_overlapping(mut joined: Vec<Range<usize>>, next: Range<usize>) -> Vec<Range<usize>> {
    match joined.last_mut().filter(|last| next.start < last.end) {
        Some(last) => last.end = last.end.max(next.end),
        None => joined.push(next),
    }
    joined
}

/// The ids of a prompt: stretches as they say, what lies between as one string each.
pub(super) fn tokens(
    text: &str,
    mut stretches: Vec<Stretch>,
    pieces: Pieces<'_>,
    tokenize: &mut Tokenize<'_>,
) -> Result<Vec<TokenId>, Failure> {
    // A stored reply comes before a mark inside it, whose text it already stands for.
    stretches.sort_by_key(|stretch| (stretch.place().start, matches!(stretch, Stretch::Guarded(_))));
    let mut ids = Vec::new();
    let mut done = 0;
    for stretch in stretches {
        let place = stretch.place().clone();
        // A mark may reach from the template into a reply: then the reply is read as text.
        let is_behind = if place.is_empty() { place.start < done } else { place.end <= done };
        if is_behind || (place.start < done && matches!(stretch, Stretch::Stored { .. })) {
            continue;
        }
        if place.start > done {
            ids.extend(tokenize(&text[done..place.start], true, pieces.after(&ids))?);
        }
        match stretch {
            Stretch::Guarded(_) => {
                ids.extend(tokenize(&text[place.start.max(done)..place.end], false, pieces.after(&ids))?);
            }
            Stretch::Stored { ids: stored, .. } => ids.extend(stored),
        }
        done = place.end;
    }
    if done < text.len() {
        ids.extend(tokenize(&text[done..], true, pieces.after(&ids))?);
    }
    Ok(ids)
}
