//! What the tokens station asks the tokenizer, and of which text: the line around the word under the cursor, the
//! draft while it is typed, a word that is tried.
//!
//! Invariants: asked only while the station is open; a text is asked about once. It works while a reply is written,
//! since the engine answers beside it.

use std::ops::Range;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{
    ChatView, Composer, Display, Edit, Effect, Focus, Inspector, LineEdit, Outbox, Station, Wish,
};
use crate::inspect::pieces::Pieces;
use crate::token::TokenId;

/// Texts whose pieces are kept.
const KEPT: usize = 64;
/// Bytes to either side of the word that are asked about with it, at most.
const AROUND: usize = 400;
/// Longest draft that is followed, bytes.
const LONGEST_DRAFT: usize = 16 << 10;
/// Words that were tried and are still shown.
const TRIED: usize = 4;

/// A word, and the text that was asked about with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The text.
    pub text: String,
    /// Where the word stands in it, bytes.
    pub word: Range<usize>,
    /// Where the token under the cursor begins in it.
    pub at: usize,
}

impl Stretch {
    /// The part of the word that the tokenizer cut out around the token under the cursor, bytes; all of it where
    /// nothing is cut.
    pub fn cut(&self, pieces: &Pieces) -> Range<usize> {
        let cut = pieces.cut_at(self.at as u32).map(|(from, to)| from as usize..to as usize);
        let cut = cut.map(|cut| cut.start.max(self.word.start)..cut.end.min(self.word.end));
        cut.filter(|cut| self.text.get(cut.clone()).is_some_and(|cut| !cut.is_empty()))
            .unwrap_or_else(|| self.word.clone())
    }
}

impl<'a> Display<'a> {
    /// How the tokenizer cut and merged a text of the chat, if it has been asked.
    pub fn known_pieces(&self, text: &str) -> Option<&'a Arc<Pieces>> {
        self.pieces_under(self.shown_step()?.vocabulary.as_ref()?, text)
    }

    fn pieces_under(&self, vocabulary: &str, text: &str) -> Option<&'a Arc<Pieces>> {
        let mut known = self.inspector.tokens.pieces.iter().rev();
        known.find(|(hash, known, _)| hash == vocabulary && known == text).map(|(_, _, pieces)| pieces)
    }

    /// The line of the message around the word under the cursor: whole tokens and whole characters. While the
    /// message is written it ends with the word.
    pub fn stretch_on_display(&self) -> Option<Stretch> {
        let (word, of) = self.word_on_display()?;
        let shown = self.shown_step()?;
        let turn = self.view.shown_turn(shown.turn)?;
        let tokens = self.view.turn_tokens(turn);
        let bytes = self.view.chat.bytes(turn);
        let is_line_end = |index: usize| tokens[index].step.bytes.contains(&b'\n');
        let (start, end) = (tokens[of.start].start, tokens[of.end - 1].end);
        let mut first = of.start;
        while first > 0 && !is_line_end(first - 1) && start - tokens[first - 1].start <= AROUND {
            first -= 1;
        }
        let mut last = of.end;
        let grows = self.view.run.as_ref().is_some_and(|run| run.turn == shown.turn);
        while !grows && last < tokens.len() && !is_line_end(last) && tokens[last].end - end <= AROUND {
            last += 1;
        }
        let whole = |at: usize| bytes.get(at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
        let from = (first..=of.start).map(|index| tokens[index].start).find(|at| whole(*at))?;
        let to = (of.end..=last).rev().map(|index| tokens[index - 1].end).find(|at| whole(*at))?;
        let here = tokens.get(shown.index).map_or(start, |token| token.start).max(start);
        let alone = || Stretch { word: 0..word.len(), text: word.clone(), at: here - start };
        let text = bytes.get(from..to).and_then(|text| std::str::from_utf8(text).ok());
        let stretch =
            |text: &str| Stretch { text: text.to_owned(), word: start - from..end - from, at: here - from };
        Some(text.map_or_else(alone, stretch))
    }

    /// The word that is tried, and its pieces as soon as they are told.
    pub fn tried_word(&self) -> Option<(&'a str, Option<&'a Arc<Pieces>>)> {
        let input = self.inspector.tokens.trying.as_ref().filter(|input| !input.text.is_empty())?;
        let known = self.view.ready().and_then(|loaded| self.pieces_under(&loaded.vocabulary, &input.text));
        Some((&input.text, known))
    }
}

impl<'a> Display<'a> {
    /// The draft, while it is typed beside the open tokens station.
    pub fn followed_draft(&self) -> Option<String> {
        let open = self.inspector.shown && self.inspector.station == Station::Tokens;
        let typing = self.view.focus == Focus::Composer && self.view.composer.completion.is_none();
        if !open || !typing || self.view.composer.is_blank() {
            return None;
        }
        Some(self.view.composer.text()).filter(|text| text.len() <= LONGEST_DRAFT)
    }

    /// The draft as the tokenizer told it last, and where in it the word stands that is typed at, bytes.
    pub fn draft_on_display(&self) -> Option<(&'a str, &'a Arc<Pieces>, Range<usize>)> {
        let draft = self.followed_draft()?;
        let loaded = &self.view.ready()?.vocabulary;
        let (_, text, pieces) = self.inspector.tokens.draft.as_ref().filter(|(hash, ..)| hash == loaded)?;
        let at =
            if self.view.composer.pastes.is_empty() { self.view.composer.typed_at(text) } else { text.len() };
        let at = at.min(text.len());
        let before = text[..at].char_indices().next_back().map_or(0, |(from, _)| from);
        let word = crate::app::transcript::word::stretch(text.as_bytes(), before..at).unwrap_or(before..at);
        // What was typed before stands as long as the new draft has not been told.
        let same = draft.as_bytes().iter().zip(text.as_bytes()).take_while(|(a, b)| a == b).count();
        (same > 0 || draft == *text).then_some((text.as_str(), pieces, word))
    }

    /// What the tokens station shows and is not known yet.
    pub(crate) fn pieces_wish(&self) -> Option<Wish> {
        let loaded = &self.view.ready()?.vocabulary;
        let tried = self.inspector.tokens.trying.as_ref().map(|input| input.text.clone());
        let draft = self.followed_draft();
        let shown = || {
            let shown = self.shown_step().filter(|shown| shown.chat == self.view.chat.head.id)?;
            let same = shown.vocabulary.as_ref() == Some(loaded);
            self.stretch_on_display().filter(|_| same).map(|stretch| stretch.text)
        };
        let context = draft.or_else(shown);
        let unknown = |text: &String| !text.is_empty() && self.pieces_under(loaded, text).is_none();
        tried.into_iter().chain(context).find(unknown).map(Wish::Pieces)
    }

    /// How many merges the staircase has.
    pub(crate) fn merges_on_display(&self) -> usize {
        let count = |pieces: &Pieces, word: Range<usize>| {
            pieces.within(word.start as u32, word.end as u32).words.iter().map(|word| word.merges.len()).sum()
        };
        if let Some((text, pieces)) = self.tried_word() {
            return pieces.map_or(0, |pieces| count(pieces, 0..text.len()));
        }
        if let Some((_, pieces, word)) = self.draft_on_display() {
            return count(pieces, word);
        }
        let Some(stretch) = self.stretch_on_display() else { return 0 };
        self.known_pieces(&stretch.text).map_or(0, |pieces| count(pieces, stretch.cut(pieces)))
    }
}

impl Composer {
    /// The byte of a text that the composer's cursor stands before.
    fn typed_at(&self, text: &str) -> usize {
        let (row, column) = self.area.cursor();
        let lines: usize = text.split('\n').take(row).map(|line| line.len() + 1).sum();
        let line = text.split('\n').nth(row).unwrap_or_default();
        lines + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
    }
}

impl Inspector {
    /// The tokenizer told how it cut and merged a text.
    pub(crate) fn pieces_told(&mut self, view: ChatView<'_>, text: String, pieces: Box<Pieces>) {
        let Some(vocabulary) = view.ready().map(|loaded| loaded.vocabulary.clone()) else { return };
        let pieces: Arc<Pieces> = Arc::from(pieces);
        let is_draft = self.display(view).followed_draft().as_ref() == Some(&text);
        if is_draft {
            self.tokens.draft = Some((vocabulary.clone(), text.clone(), Arc::clone(&pieces)));
        }
        self.tokens.pieces.push((vocabulary, text, pieces));
        let surplus = self.tokens.pieces.len().saturating_sub(KEPT);
        self.tokens.pieces.drain(..surplus);
    }

    /// Copies the ids of what is listed: the tried word, the draft, or the message under the cursor.
    pub(crate) fn copy_ids(&self, view: ChatView<'_>, out: &mut Outbox) {
        let told =
            |pieces: &Pieces| pieces.words.iter().flat_map(|word| &word.tokens).map(|(id, _)| *id).collect();
        let ids: Vec<TokenId> = if let Some((_, Some(pieces))) = self.display(view).tried_word() {
            told(pieces)
        } else if let Some((_, pieces, _)) = self.display(view).draft_on_display() {
            told(pieces)
        } else {
            let turn = self
                .display(view)
                .shown_step()
                .map(|shown| shown.turn)
                .and_then(|turn| view.shown_turn(turn));
            let tokens = turn.map(|turn| view.turn_tokens(turn)).unwrap_or_default();
            tokens.iter().filter_map(|token| token.step.id).collect()
        };
        if ids.is_empty() {
            return out.say("there are no ids to copy yet");
        }
        let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
        out.emit(Effect::Copy(format!("[{}]", ids.join(", "))));
    }
}

impl Inspector {
    /// A key of the tokens station; whether it was one.
    pub(crate) fn trying_key(&mut self, view: ChatView<'_>, key: KeyEvent) -> bool {
        let Some(input) = &mut self.tokens.trying else { return false };
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return false;
        }
        match key.code {
            KeyCode::Esc => self.tokens.trying = None,
            KeyCode::Enter => self.keep_tried(view),
            KeyCode::Up | KeyCode::Down | KeyCode::Tab | KeyCode::BackTab => return false,
            _ => return input.key(key) != Edit::Ignored,
        }
        true
    }

    /// Opens the line in which a word is tried. It begins with a blank, as words inside a sentence do.
    pub(crate) fn try_word(&mut self) {
        self.inside.row = 0;
        self.tokens.trying = Some(LineEdit::new(" "));
    }

    /// Keeps the word that was tried among those before, and begins another.
    fn keep_tried(&mut self, view: ChatView<'_>) {
        let Some((word, Some(pieces))) =
            self.display(view).tried_word().map(|(word, pieces)| (word.to_owned(), pieces.cloned()))
        else {
            return;
        };
        let Some(vocabulary) = view.ready().map(|loaded| loaded.vocabulary.clone()) else { return };
        let station = &mut self.tokens;
        station.tried.retain(|(hash, tried, _)| *hash == vocabulary && *tried != word);
        station.tried.insert(0, (vocabulary, word, pieces));
        station.tried.truncate(TRIED);
        station.trying = Some(LineEdit::new(" "));
    }
}
