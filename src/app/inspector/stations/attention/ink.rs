//! The text coloured by what is read: shares by position, summed over tokens, words or sentences, and where each stands
//! in the messages.
//!
//! Invariant: shares are of one whole, 0 to 1, token 0's included even where it is left out of the text; what it held is
//! then said. Nothing is coloured that was not read by the pass.

use super::state::{Grain, Ink};
use crate::app::{App, ChatView, Display, Station, transcript::scores};
use crate::chat::{Run, RunId, Turn, TurnId, TurnState};
use crate::inspect::trace::HeadRow;
use crate::token::{TokenId, Vocabulary};

/// What colours the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inked {
    /// Share of each position, 0 to 1; NaN where nothing can be read.
    pub shares: Vec<f32>,
    /// What token 0 held, where it is left out.
    pub first: Option<f32>,
    /// Whose reading it is: `written by L23 head 4 into`.
    pub whose: String,
    /// The position that reads, or that is read.
    pub here: usize,
    /// Everything that was read.
    pub ids: Vec<TokenId>,
    /// The run whose prompt that begins with, and how long the prompt is.
    pub prompt: Option<(RunId, usize)>,
    /// Exponent of the shares is 1 ÷ γ.
    pub gamma: u8,
}

impl Inked {
    /// Step 0 to 8 of a share.
    pub fn level(&self, share: f32) -> usize {
        let lifted = share.clamp(0.0, 1.0).powf(1.0 / f32::from(self.gamma.max(1)));
        if lifted.is_finite() { (lifted * 8.0).round() as usize } else { 0 }
    }
}

/// A coloured stretch of a message: first byte, the byte after the last, position of what was read.
pub type InkPlace = (usize, usize, usize);

/// Shares of one head: of what is written, or of the weights.
fn shares_of(row: &HeadRow, raw: bool) -> Vec<f32> {
    if raw || row.value_norms.len() != row.weights.len() {
        return row.weights.clone();
    }
    let sum: f32 = row.value_norms.iter().filter(|norm| norm.is_finite()).sum();
    row.value_norms.iter().map(|norm| if sum > 0.0 { norm / sum } else { 0.0 }).collect()
}

/// Shares of all heads of a block together.
fn shares_of_layer(heads: &[HeadRow], raw: bool) -> Vec<f32> {
    let mut sum: Vec<f32> = Vec::new();
    for row in heads {
        let part = if raw { &row.weights } else { &row.value_norms };
        sum.resize(sum.len().max(part.len()), 0.0);
        sum.iter_mut().zip(part).for_each(|(sum, share)| *sum += share);
    }
    let whole: f32 = sum.iter().filter(|share| share.is_finite()).sum();
    sum.iter().map(|share| if whole > 0.0 { share / whole } else { 0.0 }).collect()
}

impl App {
    /// What colours the text at the attention station; `None` where nothing does.
    pub fn ink(&self) -> Option<Inked> {
        let view = &self.inspector.attention;
        // Beside a trial the text is coloured by its bits.
        if self.overlays.dock() || !self.inspector.station_open(Station::Attention) || view.ink == Ink::Off {
            return None;
        }
        let mut inked =
            if view.read_by { self.display().ink_of_readers()? } else { self.display().ink_of_pass()? };
        inked.gamma = view.contrast + 1;
        let run = self.display().shown_step().and_then(|shown| self.view().run_at(shown.cursor()));
        inked.prompt = run.map(|run| (run, self.talk.runs.get(&run).map_or(0, Run::prompt_len)));
        if view.hides_first
            && let Some(first) = inked.shares.first_mut()
        {
            inked.first = Some(std::mem::take(first));
        }
        if view.grain != Grain::Token {
            let vocabulary = self.display().shown_step()?.vocabulary.as_ref()?;
            let vocabulary = self.talk.vocabularies.get(vocabulary)?;
            sum_over(&mut inked.shares, &inked.ids, vocabulary, view.grain);
        }
        Some(inked)
    }
}

impl Display<'_> {
    fn ink_of_pass(&self) -> Option<Inked> {
        let (view, raw) = (&self.inspector.attention, self.inspector.attention.raw);
        let seen = self.shown_inside()?;
        let attention = seen.trace.attention.as_ref()?;
        let (layer, head) = (self.opened_layer(), self.inspector.inside.head);
        let opened = attention.layers.iter().find(|known| known.layer == layer);
        let does = if raw { "weights of" } else { "written by" };
        let (shares, whose) = match view.ink {
            Ink::Head => {
                let row = opened?.heads.get(head as usize)?;
                (shares_of(row, raw), format!("{does} L{layer} head {head}"))
            }
            Ink::Layer => (shares_of_layer(&opened?.heads, raw), format!("{does} all heads of L{layer}")),
            Ink::All | Ink::Off => {
                let rollout = self.shown_rollout()?;
                (rollout.row(seen.trace.position as usize)?, "rollout of all layers".to_owned())
            }
        };
        let pass = self.view.pass(self.shown_step()?.cursor())?;
        let mut ids = pass.ids.to_vec();
        ids.extend(self.own_pass().then_some(pass.chosen));
        let here = seen.trace.position as usize;
        Some(Inked { shares, whose, here, ids, ..Inked::default() })
    }

    /// Who reads the token: the weight that each later one gives to it.
    fn ink_of_readers(&self) -> Option<Inked> {
        let (ids, rows) = self.shown_readers()?;
        let here = self.shown_inside()?.trace.position as usize;
        let mut shares = vec![0.0; ids.len()];
        for (reader, weight) in rows.column(here) {
            shares[reader] = weight;
        }
        let (layer, head) = (self.opened_layer(), self.inspector.inside.head);
        let whose = format!("weight in L{layer} head {head} of those that read");
        Some(Inked { shares, whose, here, ids, ..Inked::default() })
    }
}

impl ChatView<'_> {
    /// Where what a run read stands in finished messages. The tokens that the run wrote itself stand where they stand.
    pub fn ink_places(&self, ids: &[TokenId], run: RunId, turns: &[&Turn]) -> Vec<(TurnId, Vec<InkPlace>)> {
        let vocabulary = self.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
        let Some(vocabulary) = vocabulary.and_then(|hash| self.vocabularies.get(hash)) else {
            return Vec::new();
        };
        let finished = turns.iter().filter(|turn| turn.state != TurnState::Streaming);
        let texts: Vec<Vec<u8>> = finished.clone().map(|turn| self.chat.bytes(turn)).collect();
        let found = scores::align::align(ids, vocabulary, &texts);
        finished.map(|turn| turn.id).zip(found).collect()
    }
}

/// Gives every token of a word, or of a sentence, the sum of their shares.
fn sum_over(shares: &mut [f32], ids: &[TokenId], vocabulary: &Vocabulary, grain: Grain) {
    let mut start = 0;
    let count = shares.len().min(ids.len());
    for at in 1..=count {
        let ends = at == count || {
            let before = vocabulary.bytes(ids[at - 1]).unwrap_or_default();
            let next = vocabulary.bytes(ids[at]).unwrap_or_default();
            let blank = next.first().is_none_or(u8::is_ascii_whitespace);
            match grain {
                Grain::Sentence => {
                    before.contains(&b'\n')
                        || (blank && before.last().is_some_and(|last| b".!?".contains(last)))
                }
                _ => blank || before.last().is_some_and(u8::is_ascii_whitespace),
            }
        };
        if ends {
            let sum = shares[start..at].iter().sum::<f32>();
            shares[start..at].fill(sum);
            start = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenKind;

    #[test]
    fn words_and_sentences_have_the_sum_of_their_tokens() {
        let mut vocabulary = Vocabulary::default();
        let words: [&[u8]; 7] = [b"The", b" fer", b"ry", b".", b" It", b" go", b"es"];
        for word in words {
            vocabulary.push(word, TokenKind::Normal);
        }
        let ids: Vec<TokenId> = (0..7).map(TokenId).collect();
        let summed = |grain| {
            let mut shares = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
            sum_over(&mut shares, &ids, &vocabulary, grain);
            shares
        };
        assert_eq!(summed(Grain::Word), [1.0, 9.0, 9.0, 9.0, 5.0, 13.0, 13.0]);
        assert_eq!(summed(Grain::Sentence), [10.0, 10.0, 10.0, 10.0, 18.0, 18.0, 18.0]);
    }

    #[test]
    fn shares_add_up_to_one_and_small_ones_are_lifted_by_gamma() {
        let row = |norms: &[f32]| HeadRow {
            weights: vec![0.5; norms.len()],
            value_norms: norms.to_vec(),
            ..HeadRow::default()
        };
        assert_eq!(shares_of(&row(&[1.0, 3.0]), false), [0.25, 0.75]);
        assert_eq!(shares_of(&row(&[1.0, 3.0]), true), [0.5, 0.5]);
        assert_eq!(shares_of(&row(&[0.0, 0.0]), false), [0.0, 0.0]);
        assert_eq!(shares_of_layer(&[row(&[1.0, 0.0]), row(&[1.0, 2.0])], false), [0.5, 0.5]);
        let inked = |gamma| Inked { gamma, ..Inked::default() };
        assert_eq!([1, 2, 3].map(|gamma| inked(gamma).level(0.04)), [0, 2, 3]);
        assert_eq!(inked(2).level(f32::NAN), 0);
    }
}
