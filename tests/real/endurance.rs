//! A long run on the real engine process: turns, branches, other versions, stops, other chats, texts that outgrow the
//! context, past passes opened in between. `GLASSBOX_TEST_TURNS` makes it as long as wanted.
//!
//! Invariant: what a turn writes after a reused prefix is what a fresh read of the same ids gives. On dequantised weights
//! that is a read in one piece, and nothing but the order of sums differs. In a chat, whose activations are rounded to 8
//! bits by one kernel for a single token and by another for several, a read in one piece moves away from a long chat, so
//! there the fresh read takes the same steps: a message in one piece, a reply token by token. Memory stays flat; nothing
//! is left when the engine was dropped.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::kit::{Beside, SMOLLM, dequantized, file, plain};
use crate::noise::{Noise, ORDER, ROUNDING};
use glassbox::chat::ConversationId;
use glassbox::engine::protocol::{
    Event, FailureKind, Generate, Immediate, Inspect, Inspection, Job, Prompt, Request, Want,
};
use glassbox::model_entry::LoadParams;
use glassbox::sampling::Sampling;
use glassbox::token::{Step, TokenId};

/// Turns of a usual run.
const TURNS: usize = 30;
/// Every so many turns one is held against a fresh read.
const HELD_AGAINST: usize = 4;
/// Every so many turns a chat outgrows the context.
const OUTGROWN: usize = 10;
/// Small, so that chats outgrow it.
const CONTEXT: u32 = 640;
/// What memory may grow by once everything was used once, bytes.
const GROWTH: u64 = 24 << 20;

/// A chat as the app has it: what was read and written so far, and where versions begin.
#[derive(Debug, Default)]
struct Chat {
    ids: Vec<TokenId>,
    /// Lengths before each reply.
    asked: Vec<usize>,
    /// The lengths that the reads ended at whose keys and values are in the cache, ascending.
    reads: Vec<usize>,
}

impl Chat {
    /// A reply was written: all behind the `reused` tokens was read in one piece, then its `written` tokens one by one,
    /// the last of which has not been read yet.
    fn replied(&mut self, reused: usize, written: &[Step]) {
        let asked = self.ids.len();
        self.reads.retain(|end| *end < reused);
        self.reads.extend([reused, asked].into_iter().filter(|end| *end > 0));
        self.reads.extend((asked + 1..).take(written.len().saturating_sub(1)));
        self.ids.extend(written.iter().filter_map(|step| step.id));
    }
}

fn generate(ids: &[TokenId], tokens: u32, seed: u32) -> Request {
    let sampling = Sampling { max_tokens: tokens, seed: Some(seed), ..Sampling::default() };
    Request::Job(Job::Generate(Box::new(Generate {
        prompt: Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false },
        sampling,
        top_logprobs: 20,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    })))
}

fn steps(events: &[Event]) -> Vec<Step> {
    let step = |event: &Event| match event {
        Event::Token(written) => Some(written.step.clone()),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn ids(engine: &mut Beside, text: &str) -> Vec<TokenId> {
    let request = Immediate::Tokenize { text: text.to_owned(), special: false, begin: false };
    match engine.answer(Request::Immediate(request)) {
        Event::Tokenized { tokens } => tokens.into_iter().map(|(id, _)| id).collect(),
        other => panic!("{other:?}"),
    }
}

/// Both passes give the same odds: on average over what the fresh one would draw, log-probabilities are as near as two
/// readings are. Returns how far apart they are, nats.
fn agree(turn: usize, cached: &Step, fresh: &Step, noise: Noise) -> f32 {
    let last = cached.candidates.last().unwrap().logprob;
    let apart = fresh.candidates.iter().map(|candidate| {
        let other = cached.candidates.iter().find(|other| other.id == candidate.id);
        let other = other.map_or(last, |other| other.logprob);
        candidate.logprob.exp() * (candidate.logprob - other).abs()
    });
    let apart: f32 = apart.sum();
    assert!(apart < noise.nats(), "turn {turn}: {apart}: {cached:?} {fresh:?}");
    apart
}

fn resident(pid: u32) -> u64 {
    let about = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    about.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// How the fresh read that a turn is held against goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    OnePiece,
    /// In the pieces that the chat itself was read in.
    AsWritten,
}

impl Way {
    const fn noise(self) -> Noise {
        match self {
            Self::OnePiece => ORDER,
            Self::AsWritten => ROUNDING,
        }
    }
}

struct Run {
    engine: Beside,
    /// Reads everything anew.
    fresh: Beside,
    chats: [Chat; 3],
    dice: fastrand::Rng,
    sentences: Vec<Vec<TokenId>>,
    /// What happened how often: turns, other versions, branches, stops, overflows, passes opened.
    happened: [usize; 6],
    recalled: usize,
    /// From a fresh read, nats.
    farthest: f32,
    way: Way,
}

impl Run {
    fn new(home: &Path, params: &LoadParams, way: Way) -> Self {
        let params = LoadParams { context: CONTEXT, ..params.clone() };
        let mut engine = Beside::child(home, &file(SMOLLM), params.clone());
        let fresh = Beside::child(home, &file(SMOLLM), LoadParams { snapshot_mib: 0, ..params });
        let texts = [
            "Tell me what you know about the old lighthouse on the northern shore, and who built it.",
            "What does it cost to mend a wooden boat, if the planks are oak and the nails are copper?",
            "Write down the names of three rivers, each with the sea that it flows into.",
            "And then? Go on with the story from where the fisherman came home.",
        ];
        let sentences = texts.map(|text| ids(&mut engine, text)).to_vec();
        Self {
            engine,
            fresh,
            chats: Default::default(),
            dice: fastrand::Rng::with_seed(12),
            sentences,
            happened: [0; 6],
            recalled: 0,
            farthest: 0.0,
            way,
        }
    }

    fn turn(&mut self, number: usize) {
        let which = if self.dice.u8(..10) < 7 { number / 7 % 3 } else { self.dice.usize(..3) };
        let seed = self.dice.u32(..);
        let sentence = self.sentences[self.dice.usize(..self.sentences.len())].clone();
        let chat = &mut self.chats[which];
        let kind = if number % OUTGROWN == OUTGROWN - 1 { 9 } else { self.dice.u8(..10) };
        match kind {
            // Another version of the last reply.
            0 | 1 if !chat.asked.is_empty() => {
                chat.ids.truncate(*chat.asked.last().unwrap());
                self.happened[1] += 1;
            }
            // A branch from an earlier one.
            2 if chat.asked.len() > 2 => {
                let kept = self.dice.usize(1..chat.asked.len());
                chat.ids.truncate(chat.asked[kept - 1]);
                chat.asked.truncate(kept);
                self.happened[2] += 1;
            }
            _ => {
                // Now and then a message is longer than all the room there is.
                let times =
                    if number % OUTGROWN == OUTGROWN - 1 { CONTEXT as usize / sentence.len() + 1 } else { 1 };
                (0..times).for_each(|_| chat.ids.extend(&sentence));
                chat.asked.push(chat.ids.len());
                self.happened[0] += 1;
            }
        }
        let name = Some(ConversationId(i64::try_from(which).unwrap() + 1));
        assert_eq!(self.engine.answer(Request::Job(Job::Chat(name))), Event::Acknowledged);
        let stopped = self.dice.u8(..6) == 0;
        let mut events = self.write(which, seed, stopped);
        if let Some(Event::Failed(failure)) = events.last() {
            assert_eq!(failure.kind, FailureKind::ContextFull, "{failure}");
            // As the app leaves out the oldest.
            let chat = &mut self.chats[which];
            chat.ids.drain(..chat.ids.len() - sentence.len());
            chat.asked = vec![chat.ids.len()];
            chat.reads.clear();
            self.happened[4] += 1;
            events = self.write(which, seed, stopped);
        }
        self.happened[3] += usize::from(stopped);
        let written = steps(&events);
        for event in &events {
            if let Event::Prompt(facts) = event {
                self.recalled += usize::from(facts.recalled);
                self.chats[which].replied(facts.reused as usize, &written);
            }
        }
        if number.is_multiple_of(HELD_AGAINST)
            && let Some(first) = written.first()
        {
            self.hold(number, which, (written.len(), seed), first);
        }
        if self.dice.u8(..4) == 0 {
            self.look_back(which);
        }
    }

    fn write(&mut self, which: usize, seed: u32, stopped: bool) -> Vec<Event> {
        let tokens = self.dice.u32(6..40);
        let id = self.engine.send(generate(&self.chats[which].ids, tokens, seed));
        let mut events = Vec::new();
        if stopped {
            let begun = |event: &Event| matches!(event, Event::Token(_)) || event.is_final();
            events = self.engine.until(id, begun);
            self.engine.send(Request::Immediate(Immediate::Cancel { target: id }));
        }
        if !events.last().is_some_and(Event::is_final) {
            events.extend(self.engine.until(id, Event::is_final));
        }
        events
    }

    /// The first step of the last turn, whose reply is `written` tokens long and was drawn with that seed, against one
    /// read anew.
    fn hold(&mut self, number: usize, which: usize, (written, seed): (usize, u32), first: &Step) {
        let chat = &self.chats[which];
        let asked = chat.ids.len() - written;
        let unrelated = vec![chat.ids[0], chat.ids[0], chat.ids[1]];
        self.fresh.ask(generate(&unrelated, 1, 1));
        let pieces = match self.way {
            Way::OnePiece => &[asked][..],
            Way::AsWritten => &chat.reads,
        };
        let mut anew = Vec::new();
        for end in pieces.iter().filter(|end| **end <= asked) {
            anew = steps(&self.fresh.ask(generate(&chat.ids[..*end], 1, seed)));
        }
        let apart = agree(number, first, &anew[0], self.way.noise());
        self.farthest = self.farthest.max(apart);
    }

    fn look_back(&mut self, which: usize) {
        let ids = &self.chats[which].ids;
        let ids = ids[..self.dice.usize(2..ids.len())].to_vec();
        let want = Want { lens: true, attention: vec![3], ..Want::default() };
        let request = Inspect { ids, want, ..Inspect::default() };
        let seen = self.engine.answer(Request::Inspection(Inspection::Inspect(Box::new(request))));
        assert!(matches!(seen, Event::Inspected(_)), "{seen:?}");
        self.happened[5] += 1;
    }
}

fn turns() -> usize {
    std::env::var("GLASSBOX_TEST_TURNS").map_or(TURNS, |turns| turns.parse().unwrap())
}

#[test]
fn on_dequantised_weights_a_long_run_is_a_fresh_read_at_every_turn() {
    let home = tempfile::tempdir().unwrap();
    let mut run = Run::new(home.path(), &dequantized(), Way::OnePiece);
    (0..turns()).for_each(|number| run.turn(number));
}

#[test]
fn a_long_run_keeps_its_numbers_and_its_memory_and_leaves_nothing() {
    let turns = turns();
    let home = tempfile::tempdir().unwrap();
    let mut run = Run::new(home.path(), &plain(), Way::AsWritten);
    let pids = [run.engine.pid(), run.fresh.pid()];
    let begun = Instant::now();
    let mut settled = 0;
    for number in 0..turns {
        run.turn(number);
        if number == turns / 2 {
            settled = resident(pids[0]);
        }
    }
    let grown = resident(pids[0]).saturating_sub(settled);
    println!(
        "{turns} turns in {:.1} s: turns, versions, branches, stops, overflows, passes {:?}; {} from snapshots; \
         at most {:.4} nats from a fresh read; memory +{} KiB in the second half of {} MiB",
        begun.elapsed().as_secs_f32(),
        run.happened,
        run.recalled,
        run.farthest,
        grown >> 10,
        settled >> 20,
    );
    assert!(grown < GROWTH, "grown by {grown} bytes");
    assert!(run.happened.iter().all(|times| *times > 0), "{:?}", run.happened);
    assert!(run.recalled > 0, "no chat came back from the disk");
    drop(run);
    let deadline = Instant::now() + Duration::from_secs(3);
    let left = || pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists());
    while left() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(!left(), "an engine outlived its handle");
}
