//! Branches, bans, step mode and looking ahead.

use std::sync::mpsc::channel;

use proptest::prelude::*;

use super::*;
use crate::app::{Alternatives, Focus, TokenCursor, Tree};
use crate::chat::{Span, TurnState};
use crate::engine::protocol::{Beam, BeamPaths, Failure, FailureKind, Path, Replayed, Score};

/// A token of the small vocabulary; the three words are its candidates, likeliest first.
fn drawn(id: i32) -> Step {
    let candidates: Vec<Candidate> =
        (0..).zip([-0.5, -1.0]).map(|(id, logprob)| Candidate { id: TokenId(id), logprob }).collect();
    Step {
        id: Some(TokenId(id)),
        bytes: ["a", "b", "c"][id as usize].as_bytes().to_vec(),
        logprob: [-0.5, -1.0, -3.0][id as usize],
        rank: id as u32 + 1,
        entropy: 0.9,
        candidates,
        ms: 5.0,
        survivors: 2,
    }
}

impl Bench {
    /// The prompt is read, then these tokens are written.
    fn written(&mut self, prompt: &[i32], tokens: &[i32]) {
        let ids = prompt.iter().copied().map(TokenId).collect();
        self.reply(Event::Prompt(PromptFacts { ids, seed: 7, ..PromptFacts::default() }));
        self.draw(tokens);
    }

    fn draw(&mut self, tokens: &[i32]) {
        for id in tokens {
            self.reply(Event::Token(Box::new(drawn(*id).into())));
        }
    }

    /// A chat with one reply of these tokens, the cursor on one of them.
    fn replied(tokens: &[i32], cursor: usize) -> Self {
        let mut bench = Self::ready();
        bench.say("Hi");
        bench.written(&[7, 8], tokens);
        bench.done(StopReason::Eos);
        bench.on(cursor);
        bench
    }

    /// Puts the cursor on a token of the last shown reply.
    fn on(&mut self, index: usize) {
        let turn = self.app.talk.chat.leaf.unwrap();
        self.app.focus = Focus::Transcript;
        self.app.transcript.selected = Some(turn);
        self.app.transcript.selected = Some(turn);
        self.app.transcript.cursor = Some(TokenCursor { turn, index });
    }

    fn shown(&self) -> String {
        self.app.view().turn_text(self.app.talk.chat.leaf.unwrap())
    }

    fn last_turn(&self) -> &Turn {
        self.app.talk.chat.turns.last().unwrap()
    }
}

fn ids(prompt: &Prompt) -> (Vec<i32>, Vec<i32>) {
    let Prompt::Ids { ids, taken, chat: true } = prompt else {
        panic!("a branch goes on from ids: {prompt:?}")
    };
    let plain = |ids: &[TokenId]| ids.iter().map(|id| id.0).collect();
    (plain(ids), plain(taken))
}

/// The one request among effects that `of` knows.
fn asked<T>(effects: &[Effect], of: impl Fn(&Request) -> Option<T>) -> (u64, T) {
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Engine(_, id, request) => Some((id.0, of(request)?)),
        _ => None,
    });
    asked.expect("it was asked for")
}

fn look(effects: &[Effect]) -> u64 {
    asked(effects, |request| matches!(request, Request::Job(Job::Replay(_))).then_some(())).0
}

#[test]
fn an_alternative_becomes_a_branch() {
    let mut bench = Bench::replied(&[0, 0, 0], 1);
    let first = bench.app.talk.chat.leaf.unwrap();
    bench.press(&["enter"]);
    assert!(bench.app.overlays.top::<Alternatives>().is_some());
    let effects = bench.press(&["2"]);
    assert_eq!(brief(&effects)[..4], ["put Assistant Streaming", "put run None", "put chat Hi", "generate"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 8, 0], vec![1]));
    let turn = bench.last_turn().clone();
    let run = bench.app.talk.runs[&bench.app.talk.run.as_ref().unwrap().run].clone();
    assert_eq!((bench.app.view().prompt_of(run.id), run.taken), (Some([7, 8, 0].map(TokenId).to_vec()), 1));
    let taken = Step { ms: 0.0, survivors: 0, ..drawn(1) };
    let spans = vec![
        Span::Kept { turn: first, steps: 1 },
        Span::Generated { run: run.id, steps: vec![taken.clone()] },
    ];
    assert_eq!((turn.parent, turn.spans), (bench.app.talk.chat.turn(first).unwrap().parent, spans));
    assert_eq!(bench.app.view().step_at(TokenCursor { turn: turn.id, index: 1 }), Some(&taken));

    bench.written(&[7, 8, 0], &[0]);
    assert_eq!((bench.shown().as_str(), bench.app.model.used), ("aba", 5));
    assert_eq!(bench.app.inspector.live.as_ref().unwrap().context_tail, "Hi\na");
    bench.done(StopReason::Eos);
    bench.press(&["left"]);
    assert_eq!(bench.shown(), "aaa");
    bench.press(&["right"]);
    assert_eq!(bench.shown(), "aba");
}

#[test]
fn no_twin_is_made_of_a_token_that_a_version_has() {
    let mut bench = Bench::replied(&[0, 0], 1);
    bench.press(&["enter"]);
    assert_eq!(brief(&bench.press(&["1"])), ["ask Cancel"], "the look at the odds is given up with the list");
    assert_eq!((bench.notice(), bench.app.overlays.len()), ("this version has that token already", 0));
    bench.on(1);
    bench.press(&["enter", "2"]);
    bench.done(StopReason::Eos);
    bench.press(&["left"]);
    bench.on(1);
    bench.press(&["enter", "2"]);
    assert_eq!((bench.shown().as_str(), bench.app.talk.chat.turns.len()), ("ab", 3));
    assert_eq!(bench.app.talk.run, None);
}

#[test]
fn a_branch_of_a_branch_keeps_what_both_kept() {
    let mut bench = Bench::replied(&[0, 0, 0, 0], 2);
    let first = bench.app.talk.chat.leaf.unwrap();
    bench.press(&["enter", "2"]);
    bench.written(&[7, 8, 0, 0], &[0, 0]);
    bench.done(StopReason::Eos);
    let second = bench.app.talk.chat.leaf.unwrap();
    bench.on(4);
    let effects = bench.press(&["enter", "2"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 8, 0, 0, 1, 0], vec![1]));
    assert_eq!(bench.last_turn().spans[0], Span::Kept { turn: second, steps: 4 });
    bench.done(StopReason::Eos);
    assert_eq!(bench.shown(), "aabab");
    // Where the first turn has all that is kept, it is the one that is named.
    bench.on(1);
    bench.press(&["enter", "2"]);
    assert_eq!(bench.last_turn().spans[0], Span::Kept { turn: first, steps: 1 });
}

#[test]
fn a_branch_is_continued_and_regenerated_like_any_reply() {
    let mut bench = Bench::replied(&[0, 0], 1);
    bench.press(&["enter", "2"]);
    bench.written(&[7, 8, 0], &[0]);
    bench.done(StopReason::Length);
    let effects = bench.press(&["c"]);
    let Prompt::Chat { messages, continue_last: true, .. } = &generated(&effects).prompt else { panic!() };
    let stored = messages.last().unwrap().stored.as_ref().unwrap();
    assert_eq!(stored.tokens, [(TokenId(0), 1), (TokenId(1), 1), (TokenId(0), 1)]);
    bench.written(&[7, 8, 0, 1, 0], &[2]);
    bench.done(StopReason::Eos);
    assert_eq!(bench.shown(), "abac");
    let turn = bench.app.talk.chat.leaf.unwrap();
    let pass = bench.app.view().pass(TokenCursor { turn, index: 3 }).unwrap();
    assert_eq!(*pass.ids, [7, 8, 0, 1, 0].map(TokenId));
    let effects = bench.press(&["r"]);
    assert!(matches!(generated(&effects).prompt, Prompt::Chat { continue_last: false, .. }));
    assert_eq!(bench.app.talk.chat.versions(turn).len(), 3);
}

#[test]
fn what_another_model_wrote_says_which_one() {
    let mut bench = Bench::replied(&[0, 0], 1);
    for run in bench.app.talk.runs.values_mut() {
        run.model = "large".into();
    }
    bench.press(&["enter"]);
    assert_eq!(brief(&bench.press(&["2"])), Vec::<String>::new());
    assert_eq!(bench.notice(), "large wrote this; /model large loads it, then it can go on from here");
}

#[test]
fn the_reply_itself_is_stopped_and_another_one_is_not() {
    let mut bench = Bench::asked("Hi");
    bench.written(&[7], &[0, 0]);
    let old = bench.app.talk.run.as_ref().unwrap().request.0;
    bench.on(1);
    bench.press(&["enter"]);
    let effects = bench.press(&["2"]);
    assert_eq!(brief(&effects)[..3], ["ask Cancel", "append 2", "finish Done stopped by you"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 0], vec![1]));
    bench.event(old, Event::Token(Box::new(drawn(0).into())));
    assert_eq!(bench.shown(), "ab");
    // Another version is being written now: no branch of the first one.
    let first = bench.app.talk.chat.turns[1].id;
    bench.app.transcript.selected = Some(first);
    bench.app.transcript.cursor = Some(TokenCursor { turn: first, index: 0 });
    bench.press(&["enter", "2"]);
    assert_eq!(bench.notice(), "another reply is being written; Esc stops it");
}

#[test]
fn any_token_of_the_vocabulary_is_taken_with_its_own_odds() {
    let mut bench = Bench::replied(&[0, 0], 1);
    let look = look(&bench.press(&["enter"]));
    bench.type_text("c");
    bench.press(&["enter"]);
    assert_eq!((bench.notice(), bench.app.talk.run.is_none()), ("reading the odds of this token", true));
    let logits = Replayed::pack(&[2.0, 1.0, 0.0]);
    let effects = bench.event(look, Event::Replayed(Box::new(Replayed { logits, ..Replayed::default() })));
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 8, 0], vec![2]));
    let turn = bench.last_turn().id;
    let step = bench.app.view().step_at(TokenCursor { turn, index: 1 }).unwrap();
    let expected = -(f32::exp(2.0) + f32::exp(1.0) + 1.0).ln();
    assert!((step.logprob - expected).abs() < 1e-5);
    assert_eq!((step.rank, step.entropy, step.bytes.as_slice()), (3, 0.9, b"c".as_slice()));
}

#[test]
fn a_token_without_odds_is_not_taken() {
    let mut bench = Bench::replied(&[0, 0], 1);
    let look = look(&bench.press(&["enter"]));
    bench.type_text("c");
    bench.press(&["enter"]);
    let failure = Failure { message: "no".into(), kind: FailureKind::Other };
    bench.event(look, Event::Failed(failure));
    assert_eq!(bench.notice(), "the odds of this token could not be read, so it cannot be taken");
    assert_eq!((bench.app.talk.run.is_none(), bench.app.talk.chat.turns.len()), (true, 2));
}

#[test]
fn typing_filters_the_vocabulary_and_digits_can_be_typed_after_a_slash() {
    let mut bench = Bench::replied(&[0, 0], 1);
    bench.press(&["enter", "/", "b"]);
    let Some(open) = bench.app.overlays.top::<Alternatives>() else { panic!() };
    assert_eq!((open.rows.as_slice(), open.filter.text.as_str()), ([TokenId(1)].as_slice(), "b"));
    bench.press(&["2"]);
    let Some(open) = bench.app.overlays.top::<Alternatives>() else { panic!() };
    assert_eq!((open.rows.len(), open.filter.text.as_str()), (0, "b2"));
}

#[test]
fn a_ban_and_a_boost_belong_to_the_chat_and_are_taken_back() {
    let mut bench = Bench::replied(&[0, 0], 1);
    bench.press(&["enter", "down", "b"]);
    assert_eq!(bench.notice(), "“b” is banned in this chat from the next reply on; b takes it back");
    assert_eq!(bench.app.view().sampling_value("logit_bias"), r#"[{"text":"b","id":1,"bias":"-inf"}]"#);
    bench.press(&["b"]);
    assert_eq!((bench.notice(), bench.app.view().bias_of(TokenId(1))), ("“b” is allowed again", 0.0));
    bench.press(&["+", "+"]);
    assert_eq!(bench.app.view().sampling_value("logit_bias"), r#"[{"text":"b","id":1,"bias":2.0}]"#);
    let effects = bench.press(&["-"]);
    assert_eq!(brief(&effects), ["put chat Hi"]);
    assert_eq!(bench.notice(), "“b”: logit +1 in this chat from the next reply on; + takes it back");
    bench.press(&["-"]);
    assert_eq!(bench.app.view().sampling_value("logit_bias"), "[]");
}

#[test]
fn step_mode_accepts_chooses_bans_and_lets_run() {
    let mut bench = Bench::ready();
    bench.press(&["f6"]);
    assert_eq!(bench.notice(), "the next reply goes token by token");
    assert_eq!(generated(&bench.say("Hi")).allow, Some(1));
    bench.written(&[7], &[0]);
    bench.reply(Event::Paused);
    assert!(bench.app.view().paused_here() && bench.app.focus == Focus::Transcript);
    let pace = |effects: &[Effect]| {
        asked(effects, |request| match request {
            Request::Immediate(Immediate::Pace { target, allow }) => Some((target.0, *allow)),
            _ => None,
        })
        .1
    };
    let run = bench.app.talk.run.as_ref().unwrap().request.0;
    assert_eq!(pace(&bench.press(&[" "])), (run, Some(1)));
    assert!(!bench.app.view().paused_here());
    bench.draw(&[0]);
    bench.reply(Event::Paused);

    let effects = bench.press(&["2"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 0], vec![1]));
    assert_eq!(generated(&effects).allow, Some(1));
    bench.written(&[7, 0], &[0]);
    bench.reply(Event::Paused);

    let effects = bench.press(&["b"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 0, 1], vec![]));
    assert_eq!(generated(&effects).sampling.logit_bias[0].id, Some(0));
    bench.written(&[7, 0, 1], &[2]);
    bench.reply(Event::Paused);
    assert_eq!(bench.shown(), "abc");

    let run = bench.app.talk.run.as_ref().unwrap().request.0;
    assert_eq!(pace(&bench.press(&["g"])), (run, None));
    assert!(!bench.app.talk.steps.on);
    bench.done(StopReason::Eos);
    assert_eq!(generated(&bench.press(&["r"])).allow, None);
}

#[test]
fn a_running_reply_is_held_and_the_mode_ends_with_it() {
    let mut bench = Bench::asked("Hi");
    bench.written(&[7], &[0]);
    let effects = bench.press(&["f6"]);
    let held = asked(&effects, |request| match request {
        Request::Immediate(Immediate::Pace { allow, .. }) => Some(*allow),
        _ => None,
    });
    assert_eq!(held.1, Some(0));
    bench.reply(Event::Paused);
    bench.press(&["l"]);
    bench.done(StopReason::Eos);
    assert_eq!(bench.app.talk.steps, crate::app::StepMode::default());
}

fn ahead(effects: &[Effect]) -> (u64, Beam) {
    asked(effects, |request| match request {
        Request::Job(Job::Beam(ahead)) => Some((**ahead).clone()),
        _ => None,
    })
}

fn path(ids: &[i32]) -> Path {
    Path { tokens: ids.iter().map(|id| Candidate { id: TokenId(*id), logprob: -1.0 }).collect() }
}

#[test]
fn a_path_ahead_becomes_a_branch_once_its_tokens_are_scored() {
    let mut bench = Bench::replied(&[0, 0], 1);
    let (request, asked_for) = ahead(&bench.press(&["L"]));
    assert_eq!((asked_for.width, asked_for.depth, asked_for.ids), (4, 6, [7, 8, 0].map(TokenId).to_vec()));
    let found = BeamPaths { paths: vec![path(&[0, 0]), path(&[2, 1])], ..BeamPaths::default() };
    bench.event(request, Event::BeamPaths(Box::new(found)));
    let (request, score) = asked(&bench.press(&["2"]), |request| match request {
        Request::Job(Job::Score(score)) => Some((**score).clone()),
        _ => None,
    });
    let expected = Score {
        ids: [7, 8, 0, 2, 1].map(TokenId).to_vec(),
        from: 3,
        top_logprobs: 20,
        interventions: vec![],
    };
    assert_eq!(score, expected);
    bench.event(request, Event::Scores { first: 3, steps: vec![drawn(2), drawn(1)] });
    let effects = bench.event(request, Event::Scored { decoded: 2, ms: 1.0 });
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 8, 0], vec![2, 1]));
    assert_eq!((bench.shown().as_str(), bench.app.overlays.len()), ("acb", 0));
    assert_eq!(bench.app.talk.runs[&bench.app.talk.run.as_ref().unwrap().run].taken, 2);
}

#[test]
fn looking_ahead_begins_behind_the_last_token_and_is_stopped_by_closing() {
    let mut bench = Bench::replied(&[0, 0], 1);
    bench.app.transcript.cursor = None;
    let (_, asked_for) = ahead(&bench.press(&["L"]));
    assert_eq!(asked_for.ids, [7, 8, 0, 0].map(TokenId));
    assert_eq!(brief(&bench.press(&["esc"])), ["ask Cancel"]);
    assert_eq!(bench.app.overlays.len(), 0);
}

#[test]
fn the_tree_lists_branches_and_what_was_not_taken() {
    let mut bench = Bench::replied(&[0, 0, 0], 1);
    bench.press(&["enter", "2"]);
    bench.written(&[7, 8, 0], &[0]);
    bench.done(StopReason::Eos);
    bench.app.transcript.cursor = None;
    bench.press(&["t"]);
    let rows = |bench: &Bench| {
        let Some(tree) = bench.app.overlays.top::<Tree>() else { panic!("the tree is open") };
        let rows = bench.app.view().tree_rows(tree).into_iter();
        rows.map(|row| (row.id.0, row.turn.is_some(), row.tokens, row.total)).collect::<Vec<_>>()
    };
    assert_eq!(rows(&bench), [(0, true, 2, -1.0), (1, true, 2, -1.5)]);
    bench.press(&["="]);
    assert_eq!(bench.notice(), "choose another branch than the shown one to compare it with");
    bench.press(&["up", "="]);
    let Some(tree) = bench.app.overlays.top::<Tree>() else { panic!() };
    assert_eq!(tree.compare, Some(bench.app.talk.chat.turns[1].id));
    bench.press(&["d"]);
    assert_eq!(rows(&bench), [(1, true, 2, -1.5), (0, false, 0, 0.0)]);
    bench.press(&["u"]);
    assert_eq!(rows(&bench).len(), 2);
    bench.press(&["1"]);
    assert_eq!((bench.shown().as_str(), bench.app.overlays.len()), ("aaa", 0));
    bench.on(0);
    bench.press(&["t"]);
    assert_eq!(rows(&bench), [(0, true, 3, -1.5), (1, false, 0, 0.0)]);
    let effects = bench.press(&["a"]);
    assert_eq!(ids(&generated(&effects).prompt), (vec![7, 8], vec![1]));
}

#[test]
fn branches_are_stored_and_found() {
    let mut bench = Bench::ready();
    let (sender, events) = channel();
    let store = store::Store::in_memory(Box::new(move |event| drop(sender.send(event))));
    let mut all: Vec<Effect> = bench.say("Hi");
    let mut keep = |effects: Vec<Effect>| all.extend(effects);
    keep(bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(7)], ..PromptFacts::default() })));
    for id in [0, 0, 0] {
        keep(bench.reply(Event::Token(Box::new(drawn(id).into()))));
    }
    keep(bench.done(StopReason::Eos));
    bench.on(1);
    keep(bench.press(&["enter", "2"]));
    keep(bench.reply(Event::Token(Box::new(drawn(2).into()))));
    keep(bench.done(StopReason::Eos));
    for effect in all {
        if let Effect::Store(command) = effect {
            store.send(command);
        }
    }
    store.send(store::Command::Open(bench.app.talk.chat.head.id));
    store.send(store::Command::Search("abc".into()));
    let wait = std::time::Duration::from_secs(20);
    let mut opened = None;
    let found = loop {
        match events.recv_timeout(wait).expect("the store answers") {
            store::Event::Opened(_, chat) => opened = chat,
            store::Event::Found { hits, .. } => break hits,
            _ => {}
        }
    };
    assert_eq!(opened.unwrap().turns, bench.app.talk.chat.turns);
    assert_eq!(found.iter().map(|hit| hit.turn).collect::<Vec<_>>(), [bench.last_turn().id]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Branches of branches, regenerated replies and continued ones: each token's pass has read what the
    /// first run was given and every token before it.
    #[test]
    fn a_branch_has_read_its_prompt_and_its_tokens(
        acts in prop::collection::vec((0..3_usize, any::<prop::sample::Index>(), prop::collection::vec(0..3_i32, 0..4)), 1..12),
    ) {
        let mut bench = Bench::replied(&[0, 1, 0], 0);
        for (act, place, tokens) in acts {
            let turn = bench.app.talk.chat.leaf.unwrap();
            let text: Vec<TokenId> = bench.app.view().turn_tokens(bench.app.talk.chat.turn(turn).unwrap())
                .iter().filter_map(|token| token.step.id).collect();
            match act {
                0 => { bench.press(&["r"]); }
                1 => { bench.press(&["c"]); }
                _ if text.is_empty() => {}
                _ => {
                    let index = place.index(text.len());
                    let other = if text[index] == TokenId(0) { "2" } else { "1" };
                    bench.on(index);
                    bench.press(&["enter", other]);
                }
            }
            if let Some(run) = bench.app.talk.run.clone() {
                let mut prompt = vec![TokenId(7), TokenId(8)];
                if act == 1 {
                    prompt.extend(&text);
                }
                let prompt = bench.app.view().prompt_of(run.run).unwrap_or(prompt);
                bench.reply(Event::Prompt(PromptFacts { ids: prompt, ..PromptFacts::default() }));
                bench.draw(&tokens);
                bench.done(StopReason::Eos);
            }
            for turn in &bench.app.talk.chat.turns[1..] {
                let mut read = vec![TokenId(7), TokenId(8)];
                for (index, token) in bench.app.view().turn_tokens(turn).iter().enumerate() {
                    let pass = bench.app.view().pass(TokenCursor { turn: turn.id, index }).unwrap();
                    prop_assert_eq!(&*pass.ids, &read);
                    read.push(token.step.id.unwrap());
                }
                prop_assert_eq!(turn.state, TurnState::Done);
            }
        }
    }
}
