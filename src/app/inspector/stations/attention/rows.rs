//! What the attention station asks beyond one pass: rows over a stretch of text, and what heads usually do.
//!
//! Invariants: asked only for what is shown; the newest wish cancels the one before, and a reply goes before any. Scores
//! of heads are worked out once for a model's file: what was kept under its hash is asked for first.

use std::sync::Arc;

use super::state::{AttentionPicture, Ink, Stretched};
use crate::app::requests::Answer;
use crate::app::{ChatView, Display, Effect, Inspector, Origin, Outbox, Station, TokenCursor};
use crate::chat::RunId;
use crate::engine::protocol::{Attend, Attended, Attending, Event, Job, ROWS, Request, RequestId};
use crate::export::station::StretchRows;
use crate::inspect::scores::{HeadScore, HeadScores};
use crate::inspect::trace::{HeadClass, HeadLogits};
use crate::token::TokenId;

/// Stretches that are kept.
const STRETCHES: usize = 12;
/// Later tokens that are asked whether they read this one.
const LATER: usize = 384;
/// Tokens of a text whose matrix stands under the opened head unasked; reading a longer one again takes too long.
const UNASKED: usize = 96;

impl Inspector {
    /// Opens the head that writes the most from anything but token 0, until one is chosen.
    pub(crate) fn aim(&mut self, view: ChatView<'_>) {
        if self.inside.aimed || self.station != Station::Attention {
            return;
        }
        let Some(attention) =
            self.display(view).shown_inside().and_then(|seen| seen.trace.attention.as_ref())
        else {
            return;
        };
        let heads = attention.overview.iter().enumerate().flat_map(|(layer, heads)| {
            heads.iter().enumerate().map(move |(head, reading)| (layer, head, reading))
        });
        let telling =
            heads.filter(|(.., reading)| !matches!(reading.class, HeadClass::Sink | HeadClass::Own));
        let strength =
            |reading: &crate::inspect::trace::HeadReading| reading.written.unwrap_or(reading.strength);
        let strongest = telling.max_by(|a, b| strength(a.2).total_cmp(&strength(b.2)));
        if let Some((layer, head)) = strongest.map(|(layer, head, _)| (layer as u32, head as u32)) {
            let inside = &mut self.inside;
            (inside.layer, inside.head, inside.aimed) = (layer, head, true);
        }
    }

    /// Looks up what was kept of the loaded model's heads, once.
    fn recall_heads(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if !self.station_open(Station::Attention) {
            return;
        }
        let Some(hash) = view.model.hash.clone().filter(|_| view.ready().is_some()) else { return };
        if self.attention.recalled.as_ref().is_none_or(|(of, _)| *of != hash) {
            self.attention.recalled = Some((hash.clone(), false));
            out.emit(Effect::RecallHeads(hash));
        }
    }

    /// The engine answered, or told how far it is.
    pub(crate) fn attention_event(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        id: RequestId,
        event: Event,
    ) {
        let Some(Answer::Whole(wish, event)) = self.attention.asking.event(id, event) else { return };
        match (event, wish) {
            (Event::Attended(rows), Stretched::Rows(asked)) => self.keep_stretch(*asked, *rows),
            (Event::Calibrated(scores), Stretched::Calibration) => {
                self.keep_heads(view, out, Arc::from(scores));
            }
            _ => {}
        }
    }

    fn keep_stretch(&mut self, asked: Attend, rows: Attended) {
        let known = &mut self.attention.stretches;
        known.push((asked, Arc::new(rows)));
        let surplus = known.len().saturating_sub(STRETCHES);
        known.drain(..surplus);
    }

    fn keep_heads(&mut self, view: ChatView<'_>, out: &mut Outbox, scores: Arc<HeadScores>) {
        let Some(hash) = view.model.hash.clone() else { return };
        out.emit(Effect::KeepHeads(hash.clone(), Arc::clone(&scores)));
        self.attention.heads = Some((hash, scores));
    }
}

impl Display<'_> {
    /// Why rows are not there, in one line.
    pub fn rows_missing(&self) -> String {
        let asking = &self.inspector.attention.asking;
        let told = |wish: &Stretched| match wish {
            Stretched::Rows(_) => asking.status(wish).sentence("the model reads it again"),
            Stretched::Calibration => None,
        };
        if let Some(told) =
            asking.pending().and_then(told).or_else(|| told(&Stretched::Rows(Box::new(self.rows_wanted()?))))
        {
            return told;
        }
        if self.view.run.is_some() {
            return "it is read when the reply is done".into();
        }
        self.inside_missing().unwrap_or_else(|| "not read yet".into())
    }
}

impl Inspector {
    /// Brings what is asked in line with what the station shows.
    pub(crate) fn sync_attention(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        self.recall_heads(view, out);
        let wish = self.display(view).attention_wish();
        self.attention.asking.follow(wish, &mut out.requests, |wish| {
            Ok(match wish {
                Stretched::Rows(attend) => Request::Job(Job::Attend(attend.clone())),
                Stretched::Calibration => Request::Job(Job::Calibrate),
            })
        });
    }

    /// What was kept of a model's heads; a record of another shape is as good as none.
    pub(crate) fn heads_recalled(&mut self, view: ChatView<'_>, hash: String, scores: Option<HeadScores>) {
        let Some((of, came)) = &mut self.attention.recalled else { return };
        if *of != hash {
            return;
        }
        *came = true;
        let fits = |scores: &HeadScores| {
            view.ready().is_some_and(|loaded| scores.fits(loaded.facts.layers, loaded.facts.heads))
        };
        if let Some(scores) = scores.filter(fits) {
            self.attention.heads = Some((hash, Arc::new(scores)));
        }
    }
}

impl<'a> Display<'a> {
    /// What a head does on random text, where that is known of the model on display.
    pub fn usual_head(&self, layer: u32, head: u32) -> Option<&'a HeadScore> {
        let (hash, scores) = self.inspector.attention.heads.as_ref()?;
        (self.view.model.hash.as_ref() == Some(hash)).then(|| scores.head(layer, head)).flatten()
    }

    /// What the opened head writes, told as tokens, if that was asked.
    pub fn told_head(&self) -> Option<&'a HeadLogits> {
        let (layer, head) = (self.opened_layer(), self.inspector.inside.head);
        let attention = self.shown_inside()?.trace.attention.as_ref()?;
        attention.head_logits.iter().find(|told| (told.layer, told.head) == (layer, head))
    }

    /// The opened head's rows up to the pass on display, if they were read.
    pub fn shown_matrix(&self) -> Option<&'a Arc<Attended>> {
        self.known_rows(&self.rows_asked(self.opened_head())?)
    }

    /// The rollout up to the pass on display, if it was made.
    pub fn shown_rollout(&self) -> Option<&'a Arc<Attended>> {
        self.known_rows(&self.rows_asked(Attending::Rollout)?)
    }

    /// The opened head's rows around and after the pass on display, with everything that was read for them.
    pub fn shown_readers(&self) -> Option<(Vec<TokenId>, &'a Arc<Attended>)> {
        let asked = self.readers_asked()?;
        let rows = self.known_rows(&asked)?;
        Some((asked.ids, rows))
    }

    /// The attention of every row that was read for the opened head, and the rollout.
    pub(crate) fn rows_on_display(&self) -> Vec<StretchRows> {
        let head = (self.opened_layer(), self.inspector.inside.head);
        let of = |head: Option<(u32, u32)>, rows: &Arc<Attended>| StretchRows {
            head,
            first: rows.first,
            seen_from: rows.seen_from.clone(),
            rows: (rows.first as usize..).map_while(|position| rows.row(position)).take(rows.len()).collect(),
        };
        let matrix = self.shown_matrix().map(|rows| of(Some(head), rows));
        let rollout = self.shown_rollout().map(|rows| of(None, rows));
        matrix.into_iter().chain(rollout).collect()
    }

    fn known_rows(&self, asked: &Attend) -> Option<&'a Arc<Attended>> {
        let known = self.inspector.attention.stretches.iter().rev();
        known.into_iter().find(|(of, _)| of == asked).map(|(_, rows)| rows)
    }

    fn opened_head(&self) -> Attending {
        Attending::Head(self.opened_layer(), self.inspector.inside.head)
    }

    /// What is asked for rows up to the pass on display.
    fn rows_asked(&self, of: Attending) -> Option<Attend> {
        let (at, run) = self.readable_pass()?;
        let pass = self.view.pass(at)?;
        let mut ids = pass.ids.to_vec();
        if self.own_pass() {
            ids.push(pass.chosen);
        }
        Some(Attend { ids, interventions: self.view.runs.get(&run)?.interventions.clone(), of })
    }

    /// What is asked for who reads the token of the pass on display.
    fn readers_asked(&self) -> Option<Attend> {
        let upto = self.rows_asked(self.opened_head())?;
        let (at, run) = self.readable_pass()?;
        let mut whole = self.view.whole_of(run)?;
        if !whole.starts_with(&upto.ids) {
            // Another branch goes on after this token; its own turn's tokens are what is known to follow.
            whole = self.view.pass(at).map(|pass| [pass.ids.as_slice(), &[pass.chosen]].concat())?;
        }
        whole.truncate(upto.ids.len() + LATER);
        Some(Attend { ids: whole, ..upto })
    }

    /// The token on display and its run, where the loaded model can read that again.
    fn readable_pass(&self) -> Option<(TokenCursor, RunId)> {
        let shown = self.shown_step().filter(|shown| shown.chat == self.view.chat.head.id)?;
        let at = shown.cursor();
        let run = self.view.run_at(at).filter(|run| self.view.can_read_again(*run))?;
        Some((at, run))
    }

    /// What the station shows and is not known yet. The pass itself goes first.
    fn attention_wish(&self) -> Option<Stretched> {
        let busy = self.view.run.is_some() || self.inspector.inside.asking.pending().is_some();
        if !self.inspector.station_open(Station::Attention) || self.view.ready().is_none() || busy {
            return None;
        }
        if let Some(attend) = self.rows_wanted() {
            return Some(Stretched::Rows(Box::new(attend)));
        }
        let view = &self.inspector.attention;
        let hash = self.view.model.hash.as_ref()?;
        let asked = view.recalled.as_ref().is_some_and(|(of, came)| of == hash && *came);
        let known = view.heads.as_ref().is_some_and(|(of, _)| of == hash);
        (asked && !known).then_some(Stretched::Calibration)
    }

    fn rows_wanted(&self) -> Option<Attend> {
        let view = &self.inspector.attention;
        self.shown_inside()?.trace.attention.as_ref()?;
        let missing = |asked: Option<Attend>| asked.filter(|asked| self.known_rows(asked).is_none());
        let rollout = view.picture == AttentionPicture::Rollout || (view.ink == Ink::All && !view.read_by);
        let matrix = view.picture == AttentionPicture::Matrix;
        let readers = view.read_by && !rollout;
        // The rollout of a longer text is refused; the station says so itself.
        let short = |asked: &Attend| asked.ids.len() <= ROWS;
        readers
            .then(|| missing(self.readers_asked()))
            .flatten()
            .or_else(|| matrix.then(|| missing(self.rows_asked(self.opened_head()))).flatten())
            .or_else(|| rollout.then(|| missing(self.rows_asked(Attending::Rollout)).filter(short)).flatten())
            .or_else(|| missing(self.rows_under_head()))
    }

    /// The opened head's rows where they stand under it, small: of a short text, read at rest.
    fn rows_under_head(&self) -> Option<Attend> {
        let view = &self.inspector.attention;
        let heads = view.picture == AttentionPicture::Heads && !view.read_by;
        heads
            .then(|| self.rows_asked(self.opened_head()))
            .flatten()
            .filter(|asked| asked.ids.len() <= UNASKED)
    }
}

impl ChatView<'_> {
    /// Everything a run has read and written on the shown branch.
    fn whole_of(&self, run: RunId) -> Option<Vec<TokenId>> {
        let mut ids = self.prompt_of(run)?;
        for turn in self.chat.branch() {
            for token in self.turn_tokens(turn) {
                if matches!(token.origin, Origin::Written { run: of, .. } if of == run) {
                    ids.push(token.step.id?);
                }
            }
        }
        Some(ids)
    }
}
