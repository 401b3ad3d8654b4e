//! The embedding station: which tokens are on its map and in its matrix, and words that are added and taken away.
//!
//! Invariant: a word stands for one token of the vocabulary or is refused; which one was taken is said.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::state::Arithmetic;
use crate::app::inspector::NEIGHBOURS;
use crate::app::{
    App, ChatView, Display, Inspector, LiveStep, Outbox, PromptAction, Station, TextBox, TextEdit,
    TokenCursor, Wish,
};
use crate::engine::protocol::Embed;
use crate::inspect::embedding::turned;
use crate::inspect::trace::EmbeddingFacts;
use crate::token::{TokenId, TokenKind, Vocabulary};

/// Tokens of the context that the map shows.
const SPAN: usize = 48;

impl<'a> Display<'a> {
    /// The rows that are shown and not known yet.
    pub(crate) fn table_wish(&self) -> Option<Wish> {
        self.askable()?;
        let embed = self.embed_wanted()?;
        self.embedding(|known| *known == embed).is_none().then(|| Wish::Embed(Box::new(embed)))
    }

    /// What the station asks of the table for the token on display.
    pub(crate) fn embed_shown(&self) -> Option<Embed> {
        let shown = self.shown_step()?;
        Some(self.embed_of(shown.cursor(), shown.step.id?))
    }

    /// What the station asks next: of the token on display, then of the one that takes its place in a reply.
    pub(crate) fn embed_wanted(&self) -> Option<Embed> {
        let shown = self.embed_shown()?;
        let next = self.inspector.live.as_ref().filter(|_| self.follows_table());
        if self.embedding(|known| *known == shown).is_none() {
            return Some(shown);
        }
        let (index, step) = next.and_then(|live| live.pending.as_ref())?;
        let turn = self.inspector.live.as_ref()?.turn;
        Some(self.embed_of(TokenCursor { turn, index: *index }, step.id?))
    }

    /// What the embedding table says of the token on display, with the tokens before it where that is known.
    pub fn shown_embedding(&self) -> Option<&'a Arc<EmbeddingFacts>> {
        let id = self.shown_step()?.step.id?;
        let asked = self.inspector.embedding.arithmetic.as_ref();
        let sum = asked.map_or_else(|| vec![(id, 1.0)], |asked| asked.terms.clone());
        let of_token = |embed: &Embed| embed.sum == sum;
        self.exact_embedding().or_else(|| self.embedding(of_token))
    }

    fn exact_embedding(&self) -> Option<&'a Arc<EmbeddingFacts>> {
        let wanted = self.embed_shown()?;
        self.embedding(|embed| *embed == wanted)
    }

    fn embedding(&self, is: impl Fn(&Embed) -> bool) -> Option<&'a Arc<EmbeddingFacts>> {
        let vocabulary = self.shown_step()?.vocabulary.as_ref()?;
        let mut known = self.inspector.embedding.embeddings.iter().rev();
        known.find(|(hash, embed, _)| hash == vocabulary && is(embed)).map(|(_, _, facts)| facts)
    }

    /// Whether the station goes with a reply that is being written.
    pub(crate) fn follows_table(&self) -> bool {
        let inspector = self.inspector;
        let here = self.view.run.as_ref().is_some_and(|run| run.chat == self.view.chat.head.id);
        here && inspector.shown
            && inspector.station == Station::Embedding
            && inspector.past.is_none()
            && !inspector.held
    }

    fn embed_of(&self, at: TokenCursor, id: TokenId) -> Embed {
        let text = self.view.last_tokens(at, id);
        let sum = self
            .inspector
            .embedding
            .arithmetic
            .as_ref()
            .map_or_else(|| vec![(id, 1.0)], |asked| asked.terms.clone());
        let mut map: Vec<TokenId> = if self.inspector.embedding.map_near {
            sum.iter().map(|(id, _)| *id).collect()
        } else {
            text.clone()
        };
        map.extend(&self.inspector.embedding.added);
        let mut seen = BTreeSet::new();
        map.retain(|id| seen.insert(*id));
        let span = self.chosen_span().unwrap_or(text);
        Embed { sum, neighbours: NEIGHBOURS, span, map, map_neighbours: self.inspector.embedding.map_near }
    }

    /// The tokens of the matrix: those chosen, else the last ones.
    pub(crate) fn embedding_span(&self) -> Vec<TokenId> {
        let shown = self.shown_step().and_then(|shown| Some((shown.cursor(), shown.step.id?)));
        let last = || shown.map_or_else(Vec::new, |(at, id)| self.view.last_tokens(at, id));
        self.chosen_span().unwrap_or_else(last)
    }

    /// The tokens between the one that was chosen and the one on display.
    fn chosen_span(&self) -> Option<Vec<TokenId>> {
        let anchor = self.inspector.embedding.anchor?;
        let here = self.shown_step()?.cursor();
        let turn = self.view.shown_turn(here.turn).filter(|turn| turn.id == anchor.turn)?;
        let (first, last) = (anchor.index.min(here.index), anchor.index.max(here.index));
        let tokens = self.view.turn_tokens(turn);
        let ids: Vec<TokenId> =
            tokens.get(first..=last)?.iter().filter_map(|token| token.step.id).take(SPAN).collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// Turns a new map so that its points lie as they did on the last one.
    pub(crate) fn turn_map(&self, vocabulary: &str, facts: &mut EmbeddingFacts) {
        let known = self.inspector.embedding.embeddings.iter().rev();
        let Some((.., last)) = known.into_iter().find(|(of, ..)| of == vocabulary) else { return };
        let before = |id: &TokenId| {
            last.mapped.iter().zip(&last.map).find(|(other, _)| *other == id).map(|(_, at)| *at)
        };
        let pairs: Vec<_> =
            facts.mapped.iter().zip(&facts.map).filter_map(|(id, now)| Some((*now, before(id)?))).collect();
        facts.map = turned(&facts.map, &pairs);
    }
}

impl Inspector {
    /// Whether the display waits for what the table says of the next token: else a fast reply would always be
    /// ahead of its answers.
    pub(crate) fn awaits_table(&self, view: ChatView<'_>) -> bool {
        let display = self.display(view);
        // Asked with every token, so that what costs nothing comes first.
        let Some(embed) = display.follows_table().then(|| display.embed_wanted()).flatten() else {
            return false;
        };
        let failed = self.inside.asking.refusal(&Wish::Embed(Box::new(embed.clone()))).is_some();
        !failed && display.embedding(|known| *known == embed).is_none()
    }

    /// Begins the span of the matrix at the token on display, or ends it.
    pub(crate) fn choose_span(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let here = self.display(view).shown_step().map(LiveStep::cursor);
        let anchor = &mut self.embedding.anchor;
        *anchor = if anchor.is_some() { None } else { here };
        let began = anchor.is_some();
        out.say(if began {
            "the matrix goes from here to where the cursor is moved"
        } else {
            "the matrix shows the last tokens again"
        });
    }

    /// Puts the selected neighbour onto the map, or takes it off again.
    pub(crate) fn add_to_map(&mut self, view: ChatView<'_>) {
        let row = self.inside.row;
        let near =
            self.display(view).shown_embedding().map(|facts| facts.neighbours.clone()).unwrap_or_default();
        let Some((id, _)) = near.get(row.min(near.len().saturating_sub(1))) else { return };
        let added = &mut self.embedding.added;
        match added.iter().position(|other| other == id) {
            Some(at) => drop(added.remove(at)),
            None => added.push(*id),
        }
    }

    /// The next picture: the map of the text's tokens, that of the token with its neighbours, then map and matrix
    /// alone where there is no room for all.
    pub(crate) fn other_map(&mut self, out: &mut Outbox) {
        let inside = &mut self.inside;
        let (near, opened, said) = match (self.embedding.map_near, inside.opened) {
            (false, false) => (true, false, "map: the token, its neighbours, and what was added"),
            (true, false) => (false, true, "the pictures without the list, where there is no room for all"),
            (_, true) => (false, false, "map: the text's tokens"),
        };
        (self.embedding.map_near, inside.opened) = (near, opened);
        out.say(said);
    }

    /// `/arithmetic king - man + woman`; says whether it could be read.
    pub(crate) fn arithmetic(&mut self, view: ChatView<'_>, out: &mut Outbox, text: &str) -> bool {
        self.inside.row = 0;
        if text.trim().is_empty() {
            self.embedding.arithmetic = None;
            return true;
        }
        let vocabulary = view.ready().and_then(|loaded| view.vocabularies.get(&loaded.vocabulary)).cloned();
        let Some(vocabulary) = vocabulary else {
            out.warn("words can be added once a model is loaded");
            return false;
        };
        match read(text, &vocabulary) {
            Ok(asked) => {
                if !asked.notes.is_empty() {
                    out.say(asked.notes.join("; "));
                }
                self.embedding.arithmetic = Some(asked);
                true
            }
            Err(why) => {
                out.warn(why);
                false
            }
        }
    }
}

impl App {
    /// `/arithmetic king - man + woman`, from wherever it was typed; says whether it could be read.
    pub(in crate::app) fn add_words(&mut self, words: &str) -> bool {
        self.station(Station::Embedding);
        self.inspector.arithmetic(view!(self), &mut self.out, words)
    }

    /// Asks for words to add and take away.
    pub(crate) fn open_arithmetic(&mut self) {
        self.station(Station::Embedding);
        let before = self.inspector.embedding.arithmetic.as_ref().map_or("", |asked| asked.text.as_str());
        self.overlays.push(TextBox {
            title: "Words to add and take away, such as king - man + woman; nothing for the token itself"
                .into(),
            input: TextEdit::new(before),
            action: PromptAction::Arithmetic,
        });
    }
}

impl ChatView<'_> {
    /// A token and those before it.
    fn last_tokens(&self, at: TokenCursor, id: TokenId) -> Vec<TokenId> {
        let before = self.pass(at).map(|pass| pass.ids.to_vec()).unwrap_or_default();
        let mut text = before[before.len().saturating_sub(SPAN - 1)..].to_vec();
        text.push(id);
        text
    }
}

/// Words with their signs: `king - man + woman`. A word in quotes, or with its blank written as `␣`, is taken as it
/// is; any other with a blank before it, as within a text, where there is such a token.
fn read(text: &str, vocabulary: &Vocabulary) -> Result<Arithmetic, String> {
    let (mut terms, mut notes) = (Vec::new(), Vec::new());
    for (sign, word) in words(text)? {
        let (id, note) = token_of(&word, vocabulary)?;
        terms.push((id, sign));
        notes.extend(note);
    }
    Ok(Arithmetic { text: text.trim().to_owned(), terms, notes })
}

/// The words as they are written, each with its sign.
fn words(text: &str) -> Result<Vec<(f32, String)>, String> {
    let mut found = Vec::new();
    let (mut sign, mut word, mut quoted) = (1.0, String::new(), false);
    for character in text.trim().chars().chain(std::iter::once('+')) {
        match character {
            '"' => {
                quoted = !quoted;
                word.push('"');
            }
            '+' | '-' | '−' if !quoted => {
                let whole = word.trim().to_owned();
                if !whole.is_empty() {
                    found.push((sign, whole));
                    sign = 1.0;
                }
                word.clear();
                if character != '+' {
                    sign = -sign;
                }
            }
            other => word.push(other),
        }
    }
    match found.len() {
        0 => Err("there is no word to look up; write for example king - man + woman".into()),
        1..=8 => Ok(found),
        count => Err(format!("{count} words are too many: at most 8 are added and taken away")),
    }
}

/// The token of a word, and what should be said of the choice.
fn token_of(word: &str, vocabulary: &Vocabulary) -> Result<(TokenId, Option<String>), String> {
    let quoted = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    if quoted.is_some() || word.contains('␣') {
        let exact = quoted.unwrap_or(word).replace('␣', " ");
        let id = find(vocabulary, &exact);
        return id.map(|id| (id, None)).ok_or_else(|| several(word));
    }
    let (within, alone) = (find(vocabulary, &format!(" {word}")), find(vocabulary, word));
    match (within, alone) {
        (Some(id), Some(_)) => {
            Ok((id, Some(format!("{word}: ␣{word} is taken; \"{word}\" takes the one without a blank"))))
        }
        (Some(id), None) => Ok((id, None)),
        (None, Some(id)) => Ok((id, Some(format!("{word} has a token only without a blank before it")))),
        (None, None) => Err(several(word)),
    }
}

fn find(vocabulary: &Vocabulary, text: &str) -> Option<TokenId> {
    let ids = (0..vocabulary.len()).filter_map(|at| i32::try_from(at).ok().map(TokenId));
    let mut named = ids.filter(|id| vocabulary.bytes(*id) == Some(text.as_bytes()));
    let first = named.next()?;
    let normal = std::iter::once(first).chain(named).find(|id| vocabulary.kind(*id) == TokenKind::Normal);
    Some(normal.unwrap_or(first))
}

fn several(word: &str) -> String {
    format!(
        "{word} is not a single token of this model, and the table has one row a token; choose another word"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(text: &str) -> Vec<(f32, String)> {
        words(text).unwrap()
    }

    #[test]
    fn words_keep_their_signs() {
        let expected =
            [(1.0, "king"), (-1.0, "man"), (1.0, "woman")].map(|(sign, word)| (sign, word.to_owned()));
        assert_eq!(signs("king - man + woman"), expected);
        assert_eq!(signs("king−man+woman"), expected);
        assert_eq!(signs("-a"), [(-1.0, "a".to_owned())]);
        assert_eq!(signs("\"a-b\" + ␣c"), [(1.0, "\"a-b\"".to_owned()), (1.0, "␣c".to_owned())]);
        assert!(words(" + - ").unwrap_err().contains("no word"));
        assert!(words("a+b+c+d+e+f+g+h+i").unwrap_err().contains("9 words are too many"));
    }
}
