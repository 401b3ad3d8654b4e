//! A second model held against the loaded one: both read the same tokens, a slice at a time, and of each token the whole
//! distributions are held against each other.
//!
//! Invariant: the loaded model's chat stays as it was wherever there is room beside it; the second model is there for one
//! request only, and no distribution leaves the process.

use std::time::Instant;

use super::score;
use crate::chat::Intervention;
use crate::engine::analysis::output::no_numbers;
use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::protocol::{Contrasted, Contrasting, Event, Failure, FailureKind, Part};
use crate::engine::session::{Halt, Rows, Session, Text};
use crate::inspect::contrast::Contrast;
use crate::inspect::lens;
use crate::model_entry::{LoadParams, ModelEntry};
use crate::token::{Candidate, TokenId};

const WHAT: &str = "The comparison";

/// Loads a model beside the loaded one, able to open adapters; gives what the user should know of it, too.
pub type Load<'a> = dyn Fn(&ModelEntry, &LoadParams) -> Result<(Session, Vec<String>), Failure> + 'a;

/// Holds the other model against the loaded one; `emit` gets everything but the final event, which is returned.
pub fn contrast(
    session: &mut Session,
    load: &Load<'_>,
    request: &Contrasting,
    emit: &dyn Fn(Event),
) -> Event {
    let done = run(session, load, request, emit);
    done.map_or_else(Event::Failed, |done| Event::Contrasted(Box::new(done)))
}

fn run(
    session: &mut Session,
    load: &Load<'_>,
    request: &Contrasting,
    emit: &dyn Fn(Event),
) -> Result<Contrasted, Failure> {
    let started = Instant::now();
    for part in &request.parts {
        score::check(session.model(), &part.ids)?;
        if part.ids.len() > session.limit() + 1 {
            return Err(score::too_long(part.ids.len(), session.limit()));
        }
    }
    let (mut other, changes, mut done) = other_model(session, load, request)?;
    done.load_ms = milliseconds(started);
    let total: usize = request.parts.iter().map(|part| part.ids.len().saturating_sub(1)).sum();
    let mut before = 0;
    for (index, part) in request.parts.iter().enumerate() {
        let mut pair = Pair { session, other: &mut other, readers: Default::default(), changes: &changes };
        let progress = |read: usize| {
            emit(Event::PromptProgress { done: (before + read) as u32, total: total as u32 });
        };
        pair.read(index as u32, part, &request.interventions, &progress, emit)?;
        before += part.ids.len().saturating_sub(1);
    }
    done.ms = milliseconds(started);
    Ok(done)
}

/// The other model with its adapters, if its tokens are those of the loaded one.
fn other_model(
    session: &Session,
    load: &Load<'_>,
    request: &Contrasting,
) -> Result<(Session, Vec<Intervention>, Contrasted), Failure> {
    let longest = request.parts.iter().map(|part| part.ids.len()).max().unwrap_or(1);
    let params = LoadParams { context: longest.max(32) as u32, snapshot_mib: 0, ..request.params.clone() };
    let (mut other, notes) = load(&request.other, &params)?;
    if let Some(unlike) = session.model().vocabulary.unlike(&other.model().vocabulary) {
        return Err(other_vocabulary(&request.other.name, &unlike));
    }
    if longest > other.limit() + 1 {
        return Err(score::too_long(longest, other.limit()));
    }
    let mut changes = Vec::new();
    for adapter in request.other.adapters.iter().cloned().map(Intervention::Adapter) {
        other.check(std::slice::from_ref(&adapter))?;
        changes.push(adapter);
    }
    Ok((other, changes, Contrasted { notes, ..Contrasted::default() }))
}

fn other_vocabulary(name: &str, unlike: &str) -> Failure {
    let message = format!(
        "{name} {unlike}, so its distributions cannot be held against this model's token by token; `glassbox compare` \
         holds both against each other by stretches of the text."
    );
    Failure { message, kind: FailureKind::OtherVocabulary }
}

/// Both models.
struct Pair<'s> {
    session: &'s mut Session,
    other: &'s mut Session,
    readers: [Reader; 2],
    /// Adapters of the other.
    changes: &'s [Intervention],
}

impl Pair<'_> {
    fn read(
        &mut self,
        index: u32,
        part: &Part,
        interventions: &[Intervention],
        progress: &dyn Fn(usize),
        emit: &dyn Fn(Event),
    ) -> Result<(), Failure> {
        let first = (part.from as usize).max(1);
        if first >= part.ids.len() {
            return Ok(());
        }
        // The last token is only held against, not read: nothing follows it.
        let read = &part.ids[..part.ids.len() - 1];
        self.other.reset();
        let mut other = self.other.under(self.changes);
        let mut lane = self.session.lane(Text::from(first - 1, read, interventions));
        lane.read_to(first - 1, |_, _| ()).map_err(stopped)?;
        other.read(&read[..first - 1], 0, |_, _| ()).map_err(stopped)?;
        progress(first - 1);
        let most = other.most_rows();
        while lane.at() < read.len() {
            let rows = lane.read_rows(read.len(), most).map_err(stopped)?;
            other.append(&read[rows.clone()], Rows::All).map_err(stopped)?;
            let drawn = &part.ids[rows.start + 1..=rows.end];
            let tokens = drawn
                .iter()
                .enumerate()
                .map(|(row, id)| token(&mut self.readers, [lane.session().row(row), other.row(row)], *id));
            let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
            emit(Event::Contrasts { part: index, first: rows.start as u32 + 1, tokens });
            progress(rows.end);
        }
        Ok(())
    }
}

fn token(readers: &mut [Reader; 2], logits: [&[f32]; 2], id: TokenId) -> Result<Contrast, Failure> {
    let at = usize::try_from(id.0).expect("the ids were checked");
    let [mine, its] = readers;
    let p = mine.read(logits[0], 1).ok_or_else(no_numbers)?;
    let q = its.read(logits[1], 1).ok_or_else(no_numbers)?;
    let first = |reader: &Reader, distribution: &crate::engine::compute::numbers::Distribution| {
        let best = reader.top()[0];
        Candidate { id: best.id, logprob: distribution.logprob(best.logit) }
    };
    Ok(Contrast {
        kl: lens::divergence(logits[0], p.log_normaliser, logits[1], q.log_normaliser),
        logprob: [p.logprob(logits[0][at]), q.logprob(logits[1][at])],
        first: [first(mine, &p), first(its, &q)],
    })
}

fn stopped(halt: Halt) -> Failure {
    score::stopped(halt, WHAT)
}
