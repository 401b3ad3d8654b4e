//! What the tokens station has on display: the tokens of a message or of the draft, and the word whose way into
//! tokens is told.
//!
//! Invariant: ids, bytes and numbers are the message's own, cuts and merges those that the tokenizer told.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::app::{App, Origin};
use crate::chat::RunId;
use crate::inspect::pieces::Pieces;
use crate::theme::Theme;
use crate::token::{Step, TokenId, TokenKind, Vocabulary};
use crate::ui::inspector::frame;
use crate::ui::widgets::token;

/// Bytes as text: whole characters as they are, others as hexadecimal digits.
pub fn visible(bytes: &[u8], theme: &Theme) -> String {
    match std::str::from_utf8(bytes) {
        Ok(_) => token::shown(bytes, TokenKind::Normal, &theme.symbols),
        Err(_) => bytes.iter().fold(String::new(), |mut digits, byte| {
            digits.extend([format!("{byte:02X}")]);
            digits
        }),
    }
}

/// What is on display.
pub struct Message<'a> {
    pub app: &'a App,
    pub theme: &'a Theme,
    pub vocabulary: Option<&'a Vocabulary>,
    /// Whether these are the draft's tokens rather than a message's.
    pub is_draft: bool,
    pub entries: Vec<Entry<'a>>,
    /// Which entry the cursor stands on.
    pub here: usize,
    /// Which entries the word under the cursor is made of.
    pub marked: Range<usize>,
    /// The word whose way is told.
    pub stair: Stair,
    /// The text around the word, what was told of it, and where the word stands in it.
    pub around: Option<(String, Arc<Pieces>, Range<usize>)>,
}

/// A row of the table.
pub struct Entry<'a> {
    /// Its place in what was read, counted from 0.
    pub place: Option<usize>,
    /// Its numbers; no probability where it was not scored.
    pub step: Cow<'a, Step>,
}

/// A word and its way into tokens.
#[derive(Default)]
pub struct Stair {
    /// Its name as it is shown.
    pub name: String,
    /// Its text; `None` for a token that shows none.
    pub text: Option<String>,
    /// What was told of it, places counted from its first byte.
    pub told: Option<Pieces>,
    /// How many tokens it is.
    pub count: usize,
    /// Whether the model wrote it as other tokens than the tokenizer makes of it.
    pub differs: bool,
}

impl<'a> Message<'a> {
    /// The draft while it is typed, else the message that holds the token on display; with the word that is tried.
    pub fn of(app: &'a App, theme: &'a Theme) -> Self {
        let mut message = Self::draft(app, theme).or_else(|| Self::turn(app, theme)).unwrap_or(Self {
            app,
            theme,
            vocabulary: loaded(app),
            is_draft: false,
            entries: Vec::new(),
            here: 0,
            marked: 0..0,
            stair: Stair::default(),
            around: None,
        });
        if let Some((text, pieces)) = app.display().tried_word() {
            message.stair = Stair {
                name: visible(text.as_bytes(), theme),
                text: Some(text.to_owned()),
                told: pieces.map(|pieces| Pieces::clone(pieces)),
                count: pieces.map_or(0, |pieces| pieces.tokens().count()),
                differs: false,
            };
            message.around = pieces.map(|pieces| (text.to_owned(), Arc::clone(pieces), 0..text.len()));
        }
        message
    }

    fn draft(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let (text, pieces, word) = app.display().draft_on_display()?;
        let step = |(id, (from, to)): &(TokenId, (u32, u32))| Step {
            id: Some(*id),
            bytes: text.as_bytes().get(*from as usize..*to as usize).unwrap_or_default().to_vec(),
            logprob: f32::NAN,
            ..Step::default()
        };
        let entry = |(place, token)| Entry { place: Some(place), step: Cow::Owned(step(token)) };
        let entries: Vec<Entry<'a>> = pieces.tokens().enumerate().map(entry).collect();
        let (from, to) = (word.start as u32, word.end as u32);
        let first = pieces.tokens().take_while(|(_, (_, end))| *end <= from).count();
        let marked =
            first..first + pieces.tokens().skip(first).take_while(|(_, (start, _))| *start < to).count();
        let told = pieces.within(from, to);
        let stair = Stair {
            name: visible(text[word.clone()].as_bytes(), theme),
            text: Some(text[word.clone()].to_owned()),
            count: told.tokens().count(),
            told: Some(told),
            differs: false,
        };
        Some(Self {
            app,
            theme,
            vocabulary: loaded(app),
            is_draft: true,
            entries,
            here: marked.end.saturating_sub(1),
            marked,
            stair,
            around: Some((text.to_owned(), Arc::clone(pieces), word)),
        })
    }

    fn turn(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let shown = app.display().shown_step().filter(|shown| shown.chat == app.talk.chat.head.id)?;
        let tokens = app.view().turn_tokens(app.view().shown_turn(shown.turn)?);
        let run = tokens.get(shown.index).map(|token| match token.origin {
            Origin::Written { run, .. } | Origin::Scored { run, .. } => run,
        })?;
        let mut word = app.display().word_on_display();
        let mut marked = word.as_ref().map_or(shown.index..shown.index + 1, |(_, tokens)| tokens.clone());
        let around = app.display().stretch_on_display().and_then(|stretch| {
            let pieces = app.display().known_pieces(&stretch.text)?;
            let cut = stretch.cut(pieces);
            // Where the stretch begins, in bytes of the message.
            let base = tokens[marked.start].start.checked_sub(stretch.word.start)?;
            let inside = |index: &usize| {
                let token = &tokens[*index];
                token.end > base + cut.start && token.start < base + cut.end
            };
            let first = marked.clone().find(inside)?;
            let last = marked.clone().rev().find(inside)?;
            marked = first..last + 1;
            word = stretch.text.get(cut.clone()).map(|cut| (cut.to_owned(), marked.clone()));
            Some((stretch.text, Arc::clone(pieces), cut))
        });
        let own_ids: Vec<_> = tokens[marked.clone()].iter().filter_map(|token| token.step.id).collect();
        let mut entries: Vec<Entry<'a>> = tokens
            .iter()
            .map(|token| Entry { place: app.view().place_in_context(token), step: Cow::Borrowed(token.step) })
            .collect();
        let vocabulary = frame::vocabulary(app);
        let before =
            if app.inspector.tokens.all { everything(app, vocabulary, run, &mut entries) } else { 0 };
        let told = around.as_ref().map(|(_, pieces, word)| pieces.within(word.start as u32, word.end as u32));
        let differs =
            told.as_ref().is_some_and(|told| !told.tokens().map(|(id, _)| *id).eq(own_ids.iter().copied()));
        let stair = Stair {
            name: match &word {
                Some((text, _)) => visible(text.as_bytes(), theme),
                None => frame::shown_name(app, theme),
            },
            text: word.map(|(text, _)| text),
            count: told.as_ref().map_or(marked.len(), |told| told.tokens().count()),
            told,
            differs,
        };
        let (here, marked) = (shown.index + before, marked.start + before..marked.end + before);
        Some(Self { app, theme, vocabulary, is_draft: false, entries, here, marked, stair, around })
    }
}

fn loaded(app: &App) -> Option<&Vocabulary> {
    let hash = &app.view().ready()?.vocabulary;
    app.talk.vocabularies.get(hash).map(AsRef::as_ref)
}

/// Puts everything that the run read around the message's own tokens; gives how many now stand before them.
fn everything<'a>(
    app: &'a App,
    vocabulary: Option<&Vocabulary>,
    run: RunId,
    entries: &mut Vec<Entry<'a>>,
) -> usize {
    let Some(prompt) = app.view().prompt_of(run) else { return 0 };
    let text_of = |id: TokenId| {
        let is_text = |vocabulary: &&Vocabulary| vocabulary.kind(id) != TokenKind::Control;
        vocabulary.filter(is_text).and_then(|vocabulary| vocabulary.bytes(id)).unwrap_or_default().to_vec()
    };
    let read = |(place, id): (usize, &TokenId)| Entry {
        place: Some(place),
        step: Cow::Owned(Step { id: Some(*id), bytes: text_of(*id), logprob: f32::NAN, ..Step::default() }),
    };
    let first = entries.first().and_then(|entry| entry.place).unwrap_or(prompt.len()).min(prompt.len());
    let after = entries.last().and_then(|entry| entry.place).map_or(prompt.len(), |place| place + 1);
    let own = std::mem::take(entries);
    entries.extend(prompt.iter().enumerate().take(first).map(read));
    entries.extend(own);
    entries.extend(prompt.iter().enumerate().skip(after).map(read));
    first
}
