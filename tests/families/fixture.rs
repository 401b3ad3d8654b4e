//! A tiny model loaded by the program's own worker, and what its figures are held against.
//!
//! Invariant: the file lives as long as the fixture; nothing is shared between fixtures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use glassbox::engine::protocol::{
    Embed, Envelope, Event, Failure, Inspect, Inspected, Request, RequestId, Want, switched_off,
};
use glassbox::engine::worker::{Hooks, Shared, Worker};
use glassbox::inspect::trace::{EmbeddingFacts, ForwardTrace, Part};
use glassbox::model_entry::{LoadParams, ModelEntry, Source};
use glassbox::models::gguf::{Header, SharedHeader};
use glassbox::token::TokenId;

use crate::gguf::{Meta, Tensors, write};

/// A model with its worker.
pub struct Fixture {
    worker: Worker,
    events: Receiver<Envelope>,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub fn new(
        architecture: &str,
        meta: Vec<(String, Meta)>,
        tensors: &Tensors,
        params: &LoadParams,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        write(&path, architecture, meta, tensors);
        let facts = Header::read(&path).unwrap().facts().clone();
        let resolve = Box::new(move |_: &ModelEntry| Ok((path.clone(), facts.clone())));
        let (sender, events) = channel();
        let emit = Arc::new(move |envelope: Envelope| drop(sender.send(envelope)));
        let hooks = Hooks { resolve, open: Box::new(|path| Ok(Arc::new(SharedHeader::open(path).unwrap()))) };
        let mut worker = Worker::new(Arc::new(hooks), Shared::new(), emit);
        let entry = ModelEntry::new("tiny", Source::Path(std::path::PathBuf::new()));
        worker.handle(RequestId(1), Request::Load { entry: Box::new(entry), params: params.clone() });
        let said: Vec<Event> = events.try_iter().map(|envelope| envelope.event).collect();
        let loaded = said.iter().any(|event| matches!(event, Event::Loaded(_)));
        assert!(loaded, "{architecture}: {said:?}");
        Self { worker, events, next: 2, _folder: folder }
    }

    fn answer(&mut self, request: Request) -> Event {
        let id = RequestId(self.next);
        self.next += 1;
        self.worker.handle(id, request);
        self.events.try_iter().map(|envelope| envelope.event).last().unwrap()
    }

    pub fn try_inspect(&mut self, request: Inspect) -> Result<Inspected, Failure> {
        match self.answer(Request::Inspect(Box::new(request))) {
            Event::Inspected(inspected) => Ok(*inspected),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub fn inspect(&mut self, ids: &[TokenId], want: Want) -> Inspected {
        self.try_inspect(Inspect { ids: ids.to_vec(), want, ..Inspect::default() }).unwrap()
    }

    pub fn ablated(&mut self, ids: &[TokenId], part: Part, everywhere: bool) -> ForwardTrace {
        let ablations = vec![switched_off(part).unwrap()];
        let request = Inspect { ids: ids.to_vec(), ablations, everywhere, ..Inspect::default() };
        self.try_inspect(request).unwrap().trace
    }

    pub fn embed(&mut self, embed: Embed) -> EmbeddingFacts {
        match self.answer(Request::Embed(Box::new(embed))) {
            Event::Embedded(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }
}

/// How far a figure may be from the reference's, of 1 or of the figure: what 32-bit floats make of three blocks.
const TOLERANCE: f64 = 1e-3;

/// The worst disagreement of each figure of a family.
pub struct Worst {
    pub family: &'static str,
    /// How far one figure may be off; in the mean it is always [`TOLERANCE`].
    pub most: f64,
    figures: BTreeMap<String, Off>,
}

/// How far a kind of figure is off.
#[derive(Default)]
struct Off {
    most: f64,
    ours: f64,
    theirs: f64,
    sum: f64,
    count: f64,
}

impl Worst {
    pub fn new(family: &'static str) -> Self {
        Self { family, most: TOLERANCE, figures: BTreeMap::new() }
    }

    /// Notes a figure with the reference's; they differ by at most the tolerance, of 1 or of the reference.
    pub fn hold(&mut self, what: &str, ours: f32, theirs: f64) {
        let ours = f64::from(ours);
        let off = (ours - theirs).abs() / theirs.abs().max(1.0);
        let off = if off.is_nan() { f64::INFINITY } else { off };
        let worst = self.figures.entry(what.to_owned()).or_default();
        (worst.sum, worst.count) = (worst.sum + off, worst.count + 1.0);
        if off > worst.most {
            (worst.most, worst.ours, worst.theirs) = (off, ours, theirs);
        }
    }

    pub fn hold_all(&mut self, what: &str, ours: &[f32], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len(), "{}: {what}", self.family);
        ours.iter().zip(theirs).for_each(|(ours, theirs)| self.hold(what, *ours, *theirs));
    }

    /// Says what was measured.
    pub fn finish(self) {
        for (what, off) in &self.figures {
            let mean = off.sum / off.count;
            println!("{}: {what} off by {:.2e}, in the mean {mean:.2e}", self.family, off.most);
            let message = format!("{}: {what}: {}, reference {}", self.family, off.ours, off.theirs);
            assert!(off.most <= self.most, "{message}");
            assert!(mean <= TOLERANCE, "{}: {what}: in the mean {mean}", self.family);
        }
    }
}
