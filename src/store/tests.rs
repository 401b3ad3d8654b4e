//! The store as a whole, in this process: what goes in comes back, and what goes wrong is said.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command as Process;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::Connection;

use super::schema::{LADDER, Migration};
use super::{Command, Event, Hit, Scores, Store, open, rescue};
use crate::chat::{
    ChatSettings, Conversation, ConversationHead, ConversationId, Insert, Intervention, Marks, Place, Role,
    Run, RunId, Span, Steering, StopReason, ThreadCount, Timings, Turn, TurnId, TurnState, Usage,
};
use crate::sampling::{LogitBias, Sampling, SamplingOverrides};
use crate::token::{Candidate, Entry, Step, TokenId, TokenKind, Vocabulary};

/// A step as a model gives it: 20 candidates from all over the vocabulary, probabilities falling.
pub(super) fn like_a_model(n: i32, vocabulary: i32) -> Step {
    let mut logprob = -0.1 - (n % 7) as f32 * 0.2;
    let candidates: Vec<Candidate> = (0..20)
        .map(|place| {
            logprob -= 1.1 / (1.0 + place as f32) + 0.08;
            let id = (n * 7919 + place * 104_729).rem_euclid(vocabulary);
            Candidate { id: TokenId(id), logprob }
        })
        .collect();
    Step {
        id: Some(candidates[0].id),
        bytes: b" word".to_vec(),
        logprob: candidates[0].logprob,
        rank: 1,
        entropy: 2.25,
        candidates,
        ms: 6.25,
        survivors: 14,
    }
}

/// A store, and what it said.
struct Bench {
    store: Store,
    events: Receiver<Event>,
    /// Everything before and including `Ready`.
    start: Vec<Event>,
}

impl Bench {
    fn new(start: impl FnOnce(Box<dyn Fn(Event) + Send + Sync>) -> Store) -> Self {
        let (sender, events) = channel();
        let store = start(Box::new(move |event| drop(sender.send(event))));
        let mut bench = Self { store, events, start: Vec::new() };
        while !matches!(bench.start.last(), Some(Event::Ready { .. })) {
            let event = bench.next();
            bench.start.push(event);
        }
        bench
    }

    fn open(path: &Path) -> Self {
        Self::new(|sink| Store::open(path, sink))
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(20)).expect("the store answers")
    }

    fn ask(&self, command: Command) -> Event {
        self.store.send(command);
        self.next()
    }

    fn conversation(&self, id: i64) -> Option<(Conversation, Vec<Run>)> {
        match self.ask(Command::Open(ConversationId(id))) {
            Event::Opened(_, None) => None,
            Event::Opened(_, Some(conversation)) => match self.next() {
                Event::Runs(_, runs) => Some((*conversation, runs)),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn search(&self, query: &str) -> Vec<Hit> {
        match self.ask(Command::Search(query.to_owned())) {
            Event::Found { hits, .. } => hits,
            other => panic!("{other:?}"),
        }
    }

    fn titles(&self) -> Vec<String> {
        match self.ask(Command::List) {
            Event::Listed(heads) => {
                heads.into_iter().filter(|head| head.binned_ms.is_none()).map(|head| head.title).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn head(&self, id: i64) -> ConversationHead {
        match self.ask(Command::List) {
            Event::Listed(heads) => heads.into_iter().find(|head| head.id.0 == id).expect("it is listed"),
            other => panic!("{other:?}"),
        }
    }

    fn ready(&self) -> (usize, &str, &[String]) {
        match self.start.last() {
            Some(Event::Ready { interrupted, draft, notes }) => (*interrupted, draft, notes),
            other => panic!("{other:?}"),
        }
    }

    fn nothing_is_saved(&self) -> Option<&str> {
        self.start.iter().find_map(|event| match event {
            Event::Trouble { message, lost: true } => Some(message.as_str()),
            _ => None,
        })
    }

    fn put(&self, conversation: i64, turn: Turn) {
        self.store.send(Command::PutTurn(ConversationId(conversation), Box::new(turn)));
    }

    fn close(self) {
        assert_eq!(self.store.close(), Ok(()));
    }
}

fn user(id: i64, text: &str) -> Turn {
    Turn {
        id: TurnId(id),
        parent: None,
        role: Role::User,
        spans: vec![Span::Written { text: text.to_owned() }],
        state: TurnState::Done,
        deleted: false,
        note: None,
        model: None,
        created_ms: 1000,
        inserts: Vec::new(),
    }
}

fn streaming(id: i64, run: i64) -> Turn {
    Turn {
        role: Role::Assistant,
        spans: vec![Span::Generated { run: RunId(run), steps: Vec::new() }],
        state: TurnState::Streaming,
        model: Some("m".to_owned()),
        ..user(id, "")
    }
}

fn token(text: &str) -> Step {
    Step { id: Some(TokenId(5)), bytes: text.as_bytes().to_vec(), logprob: -0.5, rank: 1, ..Step::default() }
}

fn named(id: i64, title: &str) -> Command {
    Command::PutConversation {
        head: ConversationHead {
            title: title.to_owned(),
            created_ms: 1000,
            updated_ms: 1000,
            ..ConversationHead::new(ConversationId(id))
        },
        settings: ChatSettings::default(),
        leaf: None,
    }
}

fn run(id: i64) -> Run {
    Run {
        id: RunId(id),
        model: "m".to_owned(),
        model_hash: Some("aa".to_owned()),
        vocabulary: Some("bb".to_owned()),
        template_hash: None,
        sampling: Sampling {
            temperature: 0.7,
            logit_bias: vec![LogitBias { text: None, id: Some(3), bias: f32::NEG_INFINITY }],
            ..Sampling::default()
        },
        seed: 4_000_000_000,
        interventions: vec![Intervention::ZeroHead { layer: 1, head: 2 }],
        template_clock_ms: Some(5),
        template_offset_minutes: 60,
        template_values: [("enable_thinking".to_owned(), false.into())].into_iter().collect(),
        prefix: None,
        prompt_ids: vec![TokenId(1), TokenId(262_143), TokenId(-1)],
        forced: vec![3, 4],
        drafted: vec![5],
        told_by: Some(crate::chat::Teller {
            title: "vLLM".to_owned(),
            host: "box:8000".to_owned(),
            odds: crate::token::Odds::Top(20),
        }),
        taken: 1,
        stop: Some(StopReason::Eos),
        usage: Usage { prompt_tokens: 3, completion_tokens: 4, reused_tokens: 0 },
        timings: Timings {
            load_ms: 0.1,
            prompt_ms: 0.2,
            decode_ms: 0.3,
            tokens_per_second: 13.3,
            threads: Some(ThreadCount { least: 1, most: 2 }),
        },
    }
}

#[test]
fn a_whole_conversation_comes_back_with_its_runs() {
    let bench = Bench::new(Store::in_memory);
    let reply = Turn {
        parent: Some(TurnId(1)),
        spans: vec![Span::Generated { run: RunId(9), steps: vec![token("wor"), token("ld")] }],
        state: TurnState::Done,
        ..streaming(2, 9)
    };
    let branch = Turn {
        parent: Some(TurnId(1)),
        deleted: true,
        note: Some("stopped".to_owned()),
        spans: vec![
            Span::Kept { turn: TurnId(2), steps: 1 },
            Span::Generated { run: RunId(10), steps: vec![token("m")] },
            Span::Written { text: " (edited)".to_owned() },
        ],
        state: TurnState::Interrupted,
        ..streaming(3, 10)
    };
    let given = Conversation {
        head: ConversationHead {
            id: ConversationId(1),
            title: "Greeting".to_owned(),
            created_ms: 5,
            updated_ms: 2000,
            draft: "more".to_owned(),
            ..ConversationHead::new(ConversationId(1))
        },
        settings: ChatSettings {
            system: Some(String::new()),
            sampling: SamplingOverrides {
                logit_bias: Some(run(1).sampling.logit_bias),
                ..SamplingOverrides::default()
            },
            ..ChatSettings::default()
        },
        leaf: Some(TurnId(3)),
        turns: vec![user(1, "hello"), reply, branch],
        place: Place::default(),
    };
    let runs = [run(9), Run { prefix: Some((RunId(9), 4)), ..run(10) }];
    bench.store.send(Command::PutConversation {
        head: given.head.clone(),
        settings: given.settings.clone(),
        leaf: given.leaf,
    });
    bench.store.send(Command::PutDraft(Some(ConversationId(1)), "more".to_owned()));
    for turn in &given.turns {
        bench.put(1, turn.clone());
    }
    for run in runs.iter().rev().chain([&run(77)]) {
        bench.store.send(Command::PutRun(Box::new(run.clone())));
    }
    let (conversation, mut kept_runs) = bench.conversation(1).unwrap();
    kept_runs.sort_by_key(|run| run.id);
    assert_eq!((conversation, kept_runs), (given, runs.to_vec()));
    assert_eq!(bench.search("worm (edit").len(), 0, "deleted turns are not found");
    bench.store.send(Command::SetDeleted(TurnId(3), false));
    assert_eq!(bench.search("worm (edit")[0].snippet, "worm (edited)");
}

#[test]
fn steering_survives_a_restart_and_settings_from_before_it_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let push = Steering {
        name: "warm − cold".to_owned(),
        layers: vec![15],
        strength: -0.35,
        direction: vec![0.6, -0.8, 1.0 / 3.0],
        first_position: true,
        stream: 40.25,
    };
    let interventions = vec![Intervention::Steer(push), Intervention::ZeroNeuron { layer: 2, neuron: 7 }];
    let settings =
        ChatSettings { interventions: interventions.clone(), twin: true, ..ChatSettings::default() };
    let steered = Run { interventions, ..run(9) };
    let bench = Bench::open(&path);
    let Command::PutConversation { head, leaf, .. } = named(1, "Steered") else { unreachable!() };
    bench.store.send(Command::PutConversation { head, settings: settings.clone(), leaf });
    bench.put(1, streaming(2, 9));
    bench.store.send(Command::PutRun(Box::new(steered.clone())));
    bench.store.send(named(3, "From before"));
    bench.close();

    // Settings as they were packed before there were changes to the network.
    let old = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("system", "Be brief.")])).unwrap();
    let other = Connection::open(&path).unwrap();
    assert_eq!(other.execute("UPDATE conversations SET settings = ?1 WHERE id = 3", [old]).unwrap(), 1);
    drop(other);

    let bench = Bench::open(&path);
    let (conversation, runs) = bench.conversation(1).unwrap();
    assert_eq!((conversation.settings, runs), (settings, vec![steered]));
    let before = bench.conversation(3).unwrap().0.settings;
    assert_eq!(before, ChatSettings { system: Some("Be brief.".to_owned()), ..ChatSettings::default() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_turns_come_back(texts in proptest::collection::vec((".{0,20}", 0..4_u8, any::<[u8; 5]>()), 1..8)) {
        let turns: Vec<Turn> = texts.iter().enumerate().map(|(n, (text, kind, bytes))| {
            let id = i64::try_from(n).unwrap() + 1;
            let steps: Vec<Step> = bytes.iter().map(|&byte| Step {
                bytes: vec![byte],
                ms: f32::from(byte) / 100.0,
                candidates: vec![Candidate { id: TokenId(byte.into()), logprob: -f32::from(byte) / 512.0 }],
                ..token("")
            }).collect();
            let span = match kind {
                0 => Span::Written { text: text.clone() },
                1 => Span::Generated { run: RunId(3), steps },
                _ => Span::Kept { turn: TurnId((id - 1).max(1)), steps: u32::from(bytes[0] % 6) },
            };
            Turn {
                parent: (n > 0).then_some(TurnId(id - 1)),
                spans: vec![span, Span::Written { text: text.clone() }],
                created_ms: i64::from(bytes[1]),
                ..user(id, "")
            }
        }).collect();
        let bench = Bench::new(Store::in_memory);
        for turn in &turns {
            bench.put(1, turn.clone());
        }
        prop_assert_eq!(bench.conversation(1).unwrap().0.turns, turns);
    }
}

/// What is done to a store, one after the other; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Act {
    Name(i64, String),
    Say(i64, String),
    Reply(i64, Vec<String>),
    Change(usize, String),
    Hide(usize, bool),
    Bin(i64, bool),
    Purge(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let (chat, text) = (1..4_i64, "[a-z é日]{0,12}");
    prop_oneof![
        (chat.clone(), text).prop_map(|(chat, title)| Act::Name(chat, title)),
        (chat.clone(), text).prop_map(|(chat, text)| Act::Say(chat, text)),
        (chat.clone(), prop::collection::vec(text, 0..4)).prop_map(|(chat, parts)| Act::Reply(chat, parts)),
        (any::<usize>(), text).prop_map(|(which, text)| Act::Change(which, text)),
        any::<(usize, bool)>().prop_map(|(which, hidden)| Act::Hide(which, hidden)),
        (chat.clone(), any::<bool>()).prop_map(|(chat, binned)| Act::Bin(chat, binned)),
        chat.prop_map(Act::Purge),
    ]
}

/// A chat as plain data.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    title: String,
    binned: bool,
    turns: Vec<Turn>,
}

/// Does it to both.
fn perform(bench: &Bench, model: &mut BTreeMap<i64, Kept>, last: &mut i64, act: Act) {
    let mut next = |chat: i64, of: &dyn Fn(i64) -> Turn| {
        *last += 1;
        let parent = model[&chat].turns.last().map(|turn| turn.id);
        Turn { parent, ..of(*last) }
    };
    match act {
        Act::Name(chat, title) => {
            bench.store.send(named(chat, &title));
            model.entry(chat).or_default().title = title;
        }
        Act::Say(chat, text) if model.contains_key(&chat) => {
            let turn = next(chat, &|id| user(id, &text));
            bench.put(chat, turn.clone());
            model.get_mut(&chat).unwrap().turns.push(turn);
        }
        Act::Reply(chat, parts) if model.contains_key(&chat) => {
            let mut turn = next(chat, &|id| streaming(id, 9));
            bench.put(chat, turn.clone());
            let steps: Vec<Step> = parts.iter().map(|part| token(part)).collect();
            steps.chunks(2).for_each(|some| bench.store.send(Command::AppendSteps(turn.id, some.to_vec())));
            bench.store.send(Command::FinishTurn(turn.id, TurnState::Done, None));
            turn.spans = vec![Span::Generated { run: RunId(9), steps }];
            turn.state = TurnState::Done;
            model.get_mut(&chat).unwrap().turns.push(turn);
        }
        Act::Change(which, text) => {
            if let Some((chat, turn)) = chosen(model, which) {
                turn.spans = vec![Span::Written { text }];
                bench.put(chat, turn.clone());
            }
        }
        Act::Hide(which, hidden) => {
            if let Some((_, turn)) = chosen(model, which) {
                turn.deleted = hidden;
                bench.store.send(Command::SetDeleted(turn.id, hidden));
            }
        }
        Act::Bin(chat, binned) if model.contains_key(&chat) => {
            bench.store.send(Command::DeleteConversation(ConversationId(chat), binned));
            model.get_mut(&chat).unwrap().binned = binned;
        }
        Act::Purge(chat) => {
            bench.store.send(Command::PurgeConversation(ConversationId(chat)));
            model.remove(&chat);
        }
        Act::Say(..) | Act::Reply(..) | Act::Bin(..) => {}
    }
}

fn chosen(model: &mut BTreeMap<i64, Kept>, which: usize) -> Option<(i64, &mut Turn)> {
    let all: Vec<(i64, &mut Turn)> =
        model.iter_mut().flat_map(|(chat, kept)| kept.turns.iter_mut().map(|turn| (*chat, turn))).collect();
    let at = which.checked_rem(all.len())?;
    all.into_iter().nth(at)
}

/// What can be seen of them: a chat in the bin is not opened.
fn seen(model: &BTreeMap<i64, Kept>) -> BTreeMap<i64, Kept> {
    let of = |kept: &Kept| {
        let turns = if kept.binned { Vec::new() } else { kept.turns.clone() };
        Kept { turns, ..kept.clone() }
    };
    model.iter().map(|(chat, kept)| (*chat, of(kept))).collect()
}

/// The chats that a store holds, as plain data.
fn kept(bench: &Bench) -> BTreeMap<i64, Kept> {
    let Event::Listed(heads) = bench.ask(Command::List) else { panic!("no list") };
    let of = |head: ConversationHead| {
        let turns = bench.conversation(head.id.0).map(|(conversation, _)| conversation.turns);
        (
            head.id.0,
            Kept { title: head.title, binned: head.binned_ms.is_some(), turns: turns.unwrap_or_default() },
        )
    };
    heads.into_iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_store_holds_what_plain_data_would_also_when_opened_again(acts in prop::collection::vec(act(), 0..24)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (bench, mut model, mut last) = (Bench::open(&path), BTreeMap::new(), 0);
        for act in acts {
            perform(&bench, &mut model, &mut last, act);
        }
        prop_assert_eq!(kept(&bench), seen(&model));
        bench.close();
        prop_assert_eq!(kept(&Bench::open(&path)), seen(&model));
    }
}

#[test]
fn a_streamed_reply_is_on_disk_before_it_ends_and_searched_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    bench.put(1, streaming(1, 9));
    for text in ["alpha ", "be", "ta"] {
        bench.store.send(Command::AppendSteps(TurnId(1), vec![token(text)]));
    }
    let other = Connection::open(&path).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    let on_disk =
        || other.query_row("SELECT count(*) FROM steps", [], |row| row.get::<_, i64>(0)).unwrap_or(0);
    while on_disk() == 0 {
        assert!(Instant::now() < until, "steps wait for ever");
        std::thread::yield_now();
    }
    bench.store.send(Command::AppendSteps(TurnId(1), vec![token(" gamma")]));
    bench.store.send(Command::FinishTurn(TurnId(1), TurnState::Done, Some("end".to_owned())));
    let turn = bench.conversation(1).unwrap().0.turns.remove(0);
    assert_eq!(
        (turn.text().as_str(), turn.state, turn.note.as_deref()),
        ("alpha beta gamma", TurnState::Done, Some("end"))
    );
    assert_eq!(bench.search("beta gam").len(), 1);
    bench.close();
}

/// Puts a reply made of tokens: text, or the names of control tokens where they are marks.
fn marked_reply(bench: &Bench, id: i64, pieces: &[&str]) {
    let mut vocabulary = Vocabulary { hash: "bb".to_owned(), ..Vocabulary::default() };
    let mut steps = Vec::new();
    for (id, piece) in (0..).zip(pieces) {
        let control = piece.starts_with("<|");
        vocabulary.push(piece.as_bytes(), if control { TokenKind::Control } else { TokenKind::Normal });
        let bytes = if control { Vec::new() } else { piece.as_bytes().to_vec() };
        steps.push(Step { id: Some(TokenId(id)), bytes, ..token("") });
    }
    bench.store.send(Command::PutVocabulary(Box::new(vocabulary)));
    bench.store.send(Command::PutRun(Box::new(run(9))));
    let spans = vec![Span::Generated { run: RunId(9), steps }];
    bench.put(1, Turn { spans, state: TurnState::Done, ..streaming(id, 9) });
}

#[test]
fn marks_and_what_was_thought_are_not_looked_through_and_a_hit_leads_to_its_token() {
    let check = |pieces: &[&str]| {
        let bench = Bench::new(Store::in_memory);
        marked_reply(&bench, 1, pieces);
        for hidden in ["analysis", "assistantfinal", "channel", "geography"] {
            assert_eq!(bench.search(hidden), [], "{hidden}: {pieces:?}");
        }
        let [hit] = &bench.search("paris")[..] else { panic!("{pieces:?}") };
        let text: String = pieces.iter().filter(|piece| !piece.starts_with("<|")).copied().collect();
        assert_eq!((hit.snippet.as_str(), &text[hit.at..]), ("It is Paris.", "Paris."), "{pieces:?}");
    };
    check(&[
        "<|channel|>",
        "analysis",
        "<|message|>",
        "A geography",
        " question.",
        "<|end|>",
        "<|start|>",
        "assistant",
        "<|channel|>",
        "final",
        "<|message|>",
        "It is",
        " Paris.",
    ]);
    check(&["<|channel|>", "final", "<|message|>", "It is", " Paris."]);
    check(&["<think>", "\n", "A geography question.", "\n</think>\n\n", "It is", " Paris."]);
    check(&["It is", " Paris."]);
}

#[test]
fn search_finds_what_is_typed_in_any_script() {
    let bench = Bench::new(Store::in_memory);
    for (id, text) in [
        (1, "It's a quick AND brown (fox) -x \"quoted\" 100% snake_case"),
        (2, "今天东京天气很好,机器学习"),
        (3, "สวัสดีครับยินดีต้อนรับ"),
        (4, "Émile rôde à Zürich"),
        (5, "plain words"),
    ] {
        bench.put(1, user(id, text));
    }
    for (query, expected) in [
        ("it's", vec![1]),
        ("a AND", vec![1]),
        ("(", vec![1]),
        ("-x", vec![1]),
        ("\"quoted\"", vec![1]),
        ("\"", vec![1]),
        ("0%", vec![1]),
        ("e_c", vec![1]),
        ("%", vec![1]),
        ("uic bro", vec![1]),
        ("NEAR(", vec![]),
        ("text:quick", vec![]),
        ("*", vec![]),
        ("东京", vec![2]),
        ("器学习", vec![2]),
        ("ดีครับ", vec![3]),
        ("ÉMILE", vec![4]),
        ("zürich", vec![4]),
        ("PLAIN", vec![5]),
        ("pl ai", vec![5]),
        ("", vec![]),
        ("  ", vec![]),
        ("a\0b", vec![1]),
    ] {
        let found: Vec<i64> = bench.search(query).iter().map(|hit| hit.turn.0).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    let hit = &bench.search("东京")[0];
    assert_eq!((&hit.snippet[hit.matched.clone()], hit.created_ms, hit.at), ("东京", 1000, 6));
}

#[test]
fn search_folds_case_and_accents_of_short_words_too() {
    let bench = Bench::new(Store::in_memory);
    for (id, text) in [
        (1, "Да, конечно. Ёлка!"),
        (2, "un cafe\u{301} noir"),
        (3, "CAFÉ CRÈME"),
        (4, "ΟΔΥΣΣΕΥΣ και Ὀδυσσεύς"),
        (5, "ភាសា\u{200b}ខ្មែរ"),
        (6, "แม่น้ำในไทย"),
        (7, "猫がいる"),
        (8, "Straße und Öl"),
    ] {
        bench.put(1, user(id, text));
    }
    for (query, expected) in [
        ("да", vec![1]),
        ("ДА", vec![1]),
        ("елка", vec![1]),
        ("café", vec![3, 2]),
        ("cafe\u{301}", vec![3, 2]),
        ("ca", vec![3, 2]),
        ("οδυσσευς", vec![4]),
        ("ភាសាខ្មែរ", vec![5]),
        ("น้ำ", vec![6]),
        ("ไท", vec![6]),
        ("猫", vec![7]),
        ("がい", vec![7]),
        ("STRASSE", vec![8]),
        ("öl", vec![8]),
        ("ol un", vec![8]),
        ("猫 いる", vec![7]),
        ("zz", vec![]),
    ] {
        let found: Vec<i64> = bench.search(query).iter().map(|hit| hit.turn.0).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    let hit = &bench.search("café")[1];
    assert_eq!(&hit.snippet[hit.matched.clone()], "cafe\u{301}");
}

#[test]
fn search_takes_filters() {
    let bench = Bench::new(Store::in_memory);
    let day = 24 * 60 * 60 * 1000;
    for (chat, id, role, model, ms) in [
        (1, 1, Role::User, None, 0),
        (1, 2, Role::Assistant, Some("SmolLM2-135M"), 10 * day),
        (2, 3, Role::User, None, 400 * day),
        (2, 4, Role::Assistant, Some("gemma-3"), 500 * day),
    ] {
        let turn = Turn { role, model: model.map(str::to_owned), created_ms: ms, ..user(id, "same words") };
        bench.put(chat, turn);
    }
    bench.store.send(Command::PutMarks(
        ConversationId(2),
        Marks { tags: Marks::tags_in("work late"), ..Marks::default() },
    ));
    for (query, expected) in [
        ("words", vec![4, 3, 2, 1]),
        ("words role:user", vec![3, 1]),
        ("role:assistant same", vec![4, 2]),
        ("words model:smol", vec![2]),
        ("tag:work", vec![4, 3]),
        ("tag:wor", vec![]),
        ("words tag:late role:user", vec![3]),
        ("words after:1971", vec![4, 3]),
        ("words after:1970-01-05 before:1971-01", vec![2]),
        ("wo before:1970-01-05", vec![1]),
        ("words after:never", vec![]),
    ] {
        let found: Vec<i64> = bench.search(query).iter().map(|hit| hit.turn.0).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

#[test]
fn a_replaced_turn_is_searched_by_its_new_text() {
    let bench = Bench::new(Store::in_memory);
    bench.put(1, user(1, "before"));
    bench.put(1, user(1, "after"));
    assert_eq!((bench.search("before").len(), bench.search("after").len()), (0, 1));
}

#[test]
fn only_turns_of_instances_that_are_gone_become_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let first = Bench::open(&path);
    first.put(1, streaming(1, 9));
    first.store.send(Command::AppendSteps(TurnId(1), vec![token("half a wo")]));
    assert!(first.conversation(1).is_some());

    let second = Bench::open(&path);
    assert_eq!(second.ready(), (0, "", &[][..]));
    assert_eq!(second.conversation(1).unwrap().0.turns[0].state, TurnState::Streaming);
    second.close();

    first.close(); // ends without finishing the turn
    let third = Bench::open(&path);
    assert_eq!(third.ready().0, 1);
    let turn = third.conversation(1).unwrap().0.turns.remove(0);
    assert_eq!((turn.state, turn.text().as_str()), (TurnState::Interrupted, "half a wo"));
    assert_eq!(third.search("half a wo").len(), 1);
    third.close();
    assert_eq!(Bench::open(&path).ready().0, 0);
}

#[test]
fn two_instances_see_each_others_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (first, second) = (Bench::open(&path), Bench::open(&path));
    first.put(1, user(1, "one"));
    assert!(first.conversation(1).is_some());
    second.put(1, user(2, "two"));
    assert_eq!(second.conversation(1).unwrap().0.turns.len(), 2);
    assert_eq!(first.conversation(1).unwrap().0.turns.len(), 2);
}

#[test]
fn drafts_history_and_vocabularies_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    for text in ["a", "a thou", "a thought"] {
        bench.store.send(Command::PutDraft(None, text.to_owned()));
    }
    for text in ["first", "second", "second"] {
        bench.store.send(Command::PutHistory(text.to_owned()));
    }
    let mut vocabulary = Vocabulary { hash: "h".to_owned(), ..Vocabulary::default() };
    vocabulary.push(b"<s>", TokenKind::Control);
    bench.store.send(Command::PutVocabulary(Box::new(vocabulary.clone())));
    bench.close();

    let bench = Bench::open(&path);
    assert_eq!(bench.ready(), (0, "a thought", &[][..]));
    assert_eq!(bench.ask(Command::History), Event::History(vec!["second".to_owned(), "first".to_owned()]));
    let kept = bench.ask(Command::Vocabulary("h".to_owned()));
    assert_eq!(kept, Event::Vocabulary("h".to_owned(), Some(Box::new(vocabulary))));
    let absent = bench.ask(Command::Vocabulary("x".to_owned()));
    assert_eq!(absent, Event::Vocabulary("x".to_owned(), None));
    bench.store.send(Command::PutDraft(None, String::new()));
    bench.close();
    assert_eq!(Bench::open(&path).ready().1, "");
}

#[test]
fn words_of_a_vocabulary_are_kept_as_they_are_met() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    let entry = |text: &str, kind| Entry { bytes: text.into(), kind };
    let words = |all: &[(i32, &str)]| {
        all.iter().map(|(id, text)| (TokenId(*id), entry(text, TokenKind::Normal))).collect::<Vec<_>>()
    };
    let put = |hash: &str, all: &[(i32, &str)]| {
        bench.store.send(Command::PutWords(hash.to_owned(), words(all)));
    };
    put("w", &[(-7, "met"), (3, " again")]);
    put("w", &[(-7, "other"), (4, "")]);
    let mut whole = Vocabulary { hash: "h".to_owned(), ..Vocabulary::default() };
    whole.push(b"a", TokenKind::Normal);
    put("h", &[(0, "wrong")]);
    bench.store.send(Command::PutVocabulary(Box::new(whole.clone())));
    put("h", &[(0, "wrong")]);
    bench.close();

    let bench = Bench::open(&path);
    let read = |hash: &str| match bench.ask(Command::Vocabulary(hash.to_owned())) {
        Event::Vocabulary(_, read) => read.map(|read| *read),
        other => panic!("{other:?}"),
    };
    let learned = words(&[(-7, "met"), (3, " again"), (4, "")]).into_iter().collect();
    assert_eq!(read("w"), Some(Vocabulary { hash: "w".to_owned(), learned, ..Vocabulary::default() }));
    assert_eq!(read("h"), Some(whole), "what is known as a whole has nothing beside it");
}

#[test]
fn a_database_of_version_5_has_its_vocabularies_and_takes_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let mut whole = Vocabulary { hash: "h".to_owned(), ..Vocabulary::default() };
    whole.push(b"<s>", TokenKind::Control);
    let old = open::file(&path, None, &LADDER[..5]).unwrap();
    old.conn
        .execute_batch(
            "INSERT INTO vocabularies (hash, blob, sizes, kinds) VALUES ('h', x'3c733e', x'03', x'01')",
        )
        .unwrap();
    drop(old);
    let bench = Bench::open(&path);
    let kept = bench.ask(Command::Vocabulary("h".to_owned()));
    assert_eq!(kept, Event::Vocabulary("h".to_owned(), Some(Box::new(whole))));
    let entry = Entry { bytes: b"x".to_vec(), kind: TokenKind::Normal };
    bench.store.send(Command::PutWords("w".to_owned(), vec![(TokenId(-1), entry.clone())]));
    let Event::Vocabulary(_, Some(read)) = bench.ask(Command::Vocabulary("w".to_owned())) else {
        panic!("the words are not there");
    };
    assert_eq!(read.learned, [(TokenId(-1), entry)].into());
}

#[test]
fn a_deleted_conversation_can_be_taken_back_for_thirty_days() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    for (id, title) in [(1, "one"), (2, "two")] {
        bench.store.send(named(id, title));
        bench.put(
            id,
            Turn {
                spans: vec![Span::Generated { run: RunId(id), steps: vec![token(title)] }],
                ..user(id, "")
            },
        );
    }
    bench.store.send(Command::PutRun(Box::new(run(1))));
    bench.store.send(Command::PutRun(Box::new(Run { prefix: Some((RunId(1), 2)), ..run(2) })));
    bench.store.send(Command::DeleteConversation(ConversationId(1), true));
    assert_eq!((bench.titles(), bench.search("one").len()), (vec!["two".to_owned()], 0));
    bench.store.send(Command::DeleteConversation(ConversationId(1), false));
    assert_eq!((bench.titles().len(), bench.search("one").len()), (2, 1));
    bench.store.send(Command::DeleteConversation(ConversationId(1), true));
    bench.close();

    let days_ago = |days: i64| {
        let other = Connection::open(&path).unwrap();
        let then = rescue::now_ms() - days * 24 * 60 * 60 * 1000;
        other.execute("UPDATE conversations SET binned_ms = ?1 WHERE id = 1", [then]).unwrap();
    };
    days_ago(super::BIN_DAYS - 1);
    let bench = Bench::open(&path);
    assert!(bench.head(1).binned_ms.is_some() && bench.conversation(1).is_none());
    bench.store.send(Command::DeleteConversation(ConversationId(1), false));
    assert_eq!((bench.titles().len(), bench.search("one").len()), (2, 1));
    bench.store.send(Command::DeleteConversation(ConversationId(1), true));
    bench.close();

    days_ago(super::BIN_DAYS + 1);
    let bench = Bench::open(&path);
    bench.store.send(Command::DeleteConversation(ConversationId(1), false));
    assert_eq!(bench.titles(), ["two"]);
    let mut runs = bench.conversation(2).unwrap().1;
    runs.sort_by_key(|run| run.id);
    assert_eq!(runs.len(), 2, "a run that another builds on stays");
    bench.close();
}

/// The tables that hold something of chats, and how many rows each has.
fn filled(path: &Path) -> BTreeMap<String, i64> {
    let conn = Connection::open(path).unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let names: Vec<String> =
        conn.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    // Of the indexes only what can be found counts; a vocabulary as a whole is the model's.
    let left_out = |name: &str| {
        ["instances", "vocabularies"].contains(&name)
            || ["search_", "short_"].iter().any(|index| name.starts_with(index))
    };
    let rows = |name: &String| {
        conn.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let all = names.into_iter().filter(|name| !left_out(name)).map(|name| (rows(&name), name));
    all.filter(|(rows, _)| *rows > 0).map(|(rows, name)| (name, rows)).collect()
}

#[test]
fn a_chat_that_is_removed_for_good_leaves_nothing_in_any_table_but_what_others_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    let entry = |text: &str| Entry { bytes: text.into(), kind: TokenKind::Normal };
    let drawn = |id: i32, other: i32| Step {
        id: Some(TokenId(id)),
        candidates: vec![Candidate { id: TokenId(other), logprob: -1.0 }],
        ..token("x")
    };
    for chat in [1, 2] {
        let send = |command| bench.store.send(command);
        send(named(chat, "chat"));
        bench.put(chat, user(chat * 10, if chat == 1 { "mine alone" } else { "shared" }));
        bench.put(chat, user(chat * 10 + 1, "shared"));
        send(Command::PutHistory(if chat == 1 { "mine alone" } else { "shared" }.to_owned()));
        let run =
            Run { vocabulary: Some("w".into()), prompt_ids: vec![TokenId(50 + chat as i32)], ..run(chat) };
        // Each has words of its own in the prompt, the reply and the scores; they share -1.
        let own = chat as i32 * 100;
        let ids = [-1, 50 + chat as i32, own, own + 1, own + 2, own + 3];
        send(Command::PutWords("w".into(), ids.map(|id| (TokenId(id), entry("x"))).to_vec()));
        let steps = vec![drawn(-1, own), drawn(own + 1, -1)];
        let reply = vec![Span::Generated { run: run.id, steps }];
        bench.put(chat, Turn { spans: reply, state: TurnState::Done, ..streaming(chat * 10 + 2, chat) });
        send(Command::PutRun(Box::new(run)));
        send(Command::PutRun(Box::new(Run { vocabulary: Some("w".into()), ..self::run(chat * 1000) })));
        let tokens = vec![(0, 1, 0, drawn(own + 2, own + 3))];
        let scores = Scores { turn: TurnId(chat * 10), model: "m".into(), run: RunId(chat * 1000), tokens };
        send(Command::PutScores(ConversationId(chat), Box::new(scores)));
        send(Command::PutDraft(Some(ConversationId(chat)), "draft".into()));
        send(Command::PutPlace(ConversationId(chat), Place::default()));
    }
    bench.store.send(Command::PurgeConversation(ConversationId(1)));
    let Event::Vocabulary(_, Some(words)) = bench.ask(Command::Vocabulary("w".into())) else { panic!() };
    let ids: Vec<i32> = words.learned.keys().map(|id| id.0).collect();
    assert_eq!(ids, [-1, 52, 200, 201, 202, 203]);
    assert_eq!(bench.ask(Command::History), Event::History(vec!["shared".into()]));
    assert_eq!(bench.search("shared").len(), 2);
    bench.close();
    assert_eq!(filled(&path)["runs"], 2);

    let bench = Bench::open(&path);
    bench.store.send(Command::PurgeConversation(ConversationId(2)));
    bench.close();
    assert_eq!(filled(&path), BTreeMap::new());
}

#[test]
fn a_copy_is_a_chat_of_its_own_that_outlives_the_first() {
    let bench = Bench::new(Store::in_memory);
    bench.store.send(named(1, "one"));
    bench.put(1, user(1, "hello"));
    let reply = Span::Generated { run: RunId(9), steps: vec![token("wor"), token("ld")] };
    bench.put(
        1,
        Turn { parent: Some(TurnId(1)), spans: vec![reply], state: TurnState::Done, ..streaming(2, 9) },
    );
    let kept = vec![Span::Kept { turn: TurnId(2), steps: 1 }, Span::Written { text: "m".into() }];
    bench.put(1, Turn { parent: Some(TurnId(1)), spans: kept, state: TurnState::Done, ..streaming(3, 9) });
    bench.store.send(Command::PutRun(Box::new(run(9))));
    bench.store.send(Command::DuplicateConversation(ConversationId(1), ConversationId(2), "copy".into()));
    let (first, _) = bench.conversation(1).unwrap();
    bench.store.send(Command::PurgeConversation(ConversationId(1)));
    assert!(bench.conversation(1).is_none());
    let (copy, runs) = bench.conversation(2).unwrap();
    assert_eq!((copy.head.title.as_str(), runs.len()), ("copy", 1));
    let texts = |chat: &Conversation| chat.turns.iter().map(|turn| chat.bytes(turn)).collect::<Vec<_>>();
    assert_eq!(texts(&copy), [b"hello".to_vec(), b"world".to_vec(), b"worm".to_vec()]);
    assert_eq!(texts(&copy), texts(&first));
    assert!(copy.turns.iter().all(|turn| first.turn(turn.id).is_none()));
    assert_eq!(bench.search("worm").len(), 1);
}

#[test]
fn marks_and_the_place_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let bench = Bench::open(&path);
    for id in 1..4 {
        bench.store.send(named(id, &format!("c{id}")));
    }
    let marks = Marks { pinned: true, archived: true, tags: Marks::tags_in("#Work  ideas,work") };
    assert_eq!(marks.tags, ["ideas", "work"]);
    let place = Place { top: Some((TurnId(4), 17)), station: Some("why".into()) };
    bench.store.send(Command::PutMarks(ConversationId(1), marks.clone()));
    bench.store.send(Command::PutPlace(ConversationId(3), Place::default()));
    bench.store.send(Command::PutPlace(ConversationId(1), place.clone()));
    bench.store.send(named(1, "renamed"));
    bench.close();
    let bench = Bench::open(&path);
    assert_eq!((bench.head(1).marks, bench.head(2).marks), (marks, Marks::default()));
    assert_eq!(bench.conversation(1).unwrap().0.place, place);
    let looked = [1, 2, 3].map(|id| bench.head(id).looked);
    assert!(looked[0] > looked[2] && looked[2] > looked[1], "{looked:?}");
}

#[test]
fn a_chat_that_a_reply_is_written_in_is_the_one_looked_at_last() {
    let bench = Bench::new(Store::in_memory);
    for id in 1..4 {
        bench.store.send(named(id, &format!("c{id}")));
    }
    bench.store.send(Command::PutPlace(ConversationId(1), Place::default()));
    bench.put(2, streaming(20, 5));
    // What comes as it is, from another program, was not looked at.
    bench.put(3, user(30, "hello"));
    let looked = [1, 2, 3].map(|id| bench.head(id).looked);
    assert!(looked[1] > looked[0] && looked[0] > looked[2], "{looked:?}");
}

#[test]
fn conversations_are_listed_by_use_and_not_by_the_clock() {
    let bench = Bench::new(Store::in_memory);
    for id in 1..4 {
        bench.store.send(named(id, &format!("c{id}")));
    }
    bench.put(2, Turn { created_ms: -5, ..user(7, "the clock jumped back") });
    assert_eq!(bench.titles(), ["c2", "c3", "c1"]);
}

#[test]
fn a_change_that_can_never_be_written_holds_up_nothing() {
    let bench = Bench::new(Store::in_memory);
    bench.store.send(Command::AppendSteps(TurnId(404), vec![token("x")]));
    bench.put(1, Turn { parent: Some(TurnId(404)), ..user(1, "orphan") });
    bench.put(1, user(2, "good"));
    bench.store.send(Command::Open(ConversationId(1)));
    let events: Vec<Event> = (0..4).map(|_| bench.next()).collect();
    let troubles = events.iter().filter(|event| matches!(event, Event::Trouble { lost: false, .. })).count();
    let turns = events.iter().find_map(|event| match event {
        Event::Opened(_, Some(conversation)) => Some(conversation.turns.len()),
        _ => None,
    });
    assert_eq!((troubles, turns), (2, Some(1)));
}

#[test]
fn while_another_program_holds_the_database_reads_go_on_and_writes_wait_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    bench.put(1, user(1, "before"));
    assert!(bench.conversation(1).is_some());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for id in 2..6 {
        bench.put(1, user(id, "during"));
    }
    let asked = Instant::now();
    assert_eq!(bench.conversation(1).unwrap().0.turns.len(), 1);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(matches!(bench.next(), Event::Trouble { lost: false, .. }));
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(bench.next(), Event::Recovered);
    let ids: Vec<i64> = bench.conversation(1).unwrap().0.turns.iter().map(|turn| turn.id.0).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    bench.close();
}

#[test]
fn the_end_waits_for_what_cannot_be_written_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.put(1, user(1, "waits"));
    let Bench { store, .. } = bench;
    let closing = store.closing();
    assert_eq!(closing.wait(Duration::from_millis(2_500)), None, "nothing is given up");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(closing.wait(Duration::from_secs(20)), Some(Ok(())));
    let kept: i64 = other.query_row("SELECT count(*) FROM turns", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn what_cannot_be_written_by_the_end_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let bench = Bench::open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.put(1, user(1, "lost"));
    let Bench { store, events, .. } = bench;
    let why = store.close().unwrap_err();
    assert_eq!(why, "one change could not be saved: another program holds the database");
    assert!(events.try_iter().any(|event| matches!(event, Event::Trouble { lost: true, .. })));
}

/// A database of some size, closed cleanly.
fn fill(path: &Path) {
    let bench = Bench::open(path);
    for id in 1..200 {
        let words: Vec<String> = (0..100).map(|n| ((id * 7919 + n * 104_729) % 99_991).to_string()).collect();
        bench.put(1, user(id, &words.join(" ")));
    }
    // Closing waits for two seconds, which a busy machine may need longer for.
    bench.conversation(1);
    bench.close();
}

fn aside(path: &Path) -> usize {
    super::instance::all_beside(path, ".damaged-").len()
}

#[test]
fn a_damaged_database_is_set_aside_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    fill(&path);
    let mut data = std::fs::read(&path).unwrap();
    for at in 0..5000 {
        let place = 5000 + at * 37 % (data.len() - 5000);
        data[place] ^= 0x55;
    }
    std::fs::write(&path, &data).unwrap();
    let bench = Bench::open(&path);
    assert!(bench.nothing_is_saved().is_none());
    assert!(bench.ready().2[0].contains("kept as"), "{:?}", bench.ready());
    bench.put(1, user(1, "new"));
    assert_eq!(bench.conversation(1).unwrap().0.turns.len(), 1);
    bench.close();
    let (_, kept) = &super::instance::all_beside(&path, ".damaged-")[0];
    assert_eq!(std::fs::read(kept).unwrap(), data);
}

#[test]
fn a_junk_file_is_set_aside_and_the_newest_good_backup_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    fill(&path);
    rescue::back_up(&Connection::open(&path).unwrap(), &path, 1).unwrap();
    for junk in [&b"this is not a database, and long enough to have a header \n"[..], b"", b"x"] {
        std::fs::write(&path, junk.repeat(20)).unwrap();
        let before = aside(&path);
        let bench = Bench::open(&path);
        assert!(bench.ready().2[0].contains("goes on with the backup"), "{:?}", bench.ready());
        assert_eq!(bench.conversation(1).unwrap().0.turns.len(), 199);
        bench.close();
        assert_eq!(aside(&path), before + 1);
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    std::fs::write(&path, b"").unwrap();
    let bench = Bench::open(&path);
    assert_eq!((bench.ready(), bench.nothing_is_saved()), ((0, "", &[][..]), None));
    bench.close();
}

#[test]
fn newer_and_foreign_databases_and_impossible_folders_mean_that_nothing_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (newer, foreign) = (folder.path().join("newer.db"), folder.path().join("foreign.db"));
    fill(&newer);
    Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    for (path, why) in [
        (newer.clone(), "newer glassbox"),
        (foreign, "another program"),
        (newer.join("below/a.db"), "cannot be made"),
    ] {
        let before = std::fs::read(&path).ok();
        let bench = Bench::open(&path);
        assert!(bench.nothing_is_saved().is_some_and(|said| said.contains(why)), "{:?}", bench.start);
        bench.put(1, user(1, "kept for now"));
        assert_eq!(bench.search("kept").len(), 1);
        bench.close();
        assert_eq!(std::fs::read(&path).ok(), before);
        assert_eq!(aside(&path), 0);
    }
}

#[cfg(unix)]
#[test]
fn chats_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/a.db");
    let bench = Bench::open(&path);
    bench.put(1, user(1, "private"));
    assert!(bench.conversation(1).is_some());
    for name in ["sub", "sub/a.db", "sub/a.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn a_chat_of_9000_turns_opens_at_once() {
    let bench = Bench::new(Store::in_memory);
    for id in 1..=9000 {
        bench.put(1, Turn { parent: (id > 1).then_some(TurnId(id - 1)), ..user(id, "some words") });
    }
    // Read again and again without a pause, a database in memory lets its writer wait for ever.
    while bench.conversation(1).is_none_or(|(conversation, _)| conversation.turns.len() < 9000) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = Instant::now();
    assert!(bench.conversation(1).is_some());
    let took = asked.elapsed();
    println!("9,000 turns: {took:?}");
    assert!(took < Duration::from_millis(600), "{took:?} unoptimised");
}

#[test]
fn a_token_costs_little_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
    Bench::open(&path).close();
    let empty = size(&path);
    let bench = Bench::open(&path);
    bench.put(1, streaming(1, 9));
    for batch in 0..200 {
        let steps = (0..25).map(|n| like_a_model(batch * 25 + n, 49_152)).collect();
        bench.store.send(Command::AppendSteps(TurnId(1), steps));
    }
    bench.store.send(Command::FinishTurn(TurnId(1), TurnState::Done, None));
    bench.close();
    let bytes = (size(&path) - empty) / 5000.0;
    println!("{bytes} bytes a token with 20 candidates, text and index included");
    assert!(bytes < 150.0, "{bytes}");
}

/// What the migration of the next test does, one after the other.
const STATEMENTS: [&str; 4] = [
    "CREATE TABLE half (x INTEGER)",
    "INSERT INTO half VALUES (1)",
    "DROP TABLE history",
    "UPDATE turns SET deleted = 1",
];

#[test]
fn a_migration_killed_at_any_statement_leaves_old_or_new_and_a_backup() {
    const CHILD: &str = "GLASSBOX_MIGRATE";
    const STOP: &str = "GLASSBOX_MIGRATE_STOP";
    let killed: Migration = |conn| {
        let stop = std::env::var(STOP).ok().and_then(|stop| stop.parse().ok());
        for (done, statement) in STATEMENTS.iter().enumerate() {
            if stop == Some(done) {
                std::process::abort();
            }
            conn.execute_batch(statement)?;
        }
        if stop == Some(STATEMENTS.len()) { std::process::abort() } else { Ok(()) }
    };
    let ladder = [LADDER, &[killed]].concat();
    if let Some(path) = std::env::var_os(CHILD) {
        let _opened = open::file(Path::new(&path), None, &ladder);
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let filled = folder.path().join("filled.db");
    fill(&filled);
    // Before each statement, after the last, and with all of it on disk.
    for stop in 0..=STATEMENTS.len() + 1 {
        let path = folder.path().join(format!("{stop}.db"));
        std::fs::copy(&filled, &path).unwrap();
        let ended = Process::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::tests::a_migration_killed_at_any_statement_leaves_old_or_new_and_a_backup",
            ])
            .env(CHILD, &path)
            .env(STOP, stop.to_string())
            .output()
            .unwrap();
        assert!(!ended.status.success());
        assert_eq!(rescue::backups(&path).len(), 1, "{stop}");
        if stop > STATEMENTS.len() {
            let conn = open::file(&path, None, &ladder).unwrap().conn;
            let rows: i64 = conn.query_row("SELECT count(*) FROM half", [], |row| row.get(0)).unwrap();
            let hidden: i64 =
                conn.query_row("SELECT count(*) FROM turns WHERE deleted = 1", [], |row| row.get(0)).unwrap();
            assert_eq!(
                (rows, hidden, rescue::complaint(&conn).unwrap()),
                (1, 199, None),
                "the new one, whole"
            );
            continue;
        }
        let bench = Bench::open(&path);
        assert_eq!(bench.ready().2, [] as [String; 0]);
        let turns = bench.conversation(1).unwrap().0.turns;
        assert!(turns.len() == 199 && turns.iter().all(|turn| !turn.deleted), "{stop}");
        assert_eq!(bench.ask(Command::History), Event::History(Vec::new()));
    }
}

#[test]
fn scores_of_typed_text_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let scores = |turn, model: &str, index| super::Scores {
        turn: TurnId(turn),
        model: model.into(),
        run: RunId(3),
        tokens: vec![(0, 2, index, like_a_model(1, 1000)), (2, 2, index + 1, like_a_model(2, 1000))],
    };
    let bench = Bench::open(&path);
    let head = ConversationHead {
        title: "t".into(),
        created_ms: 1,
        updated_ms: 1,
        ..ConversationHead::new(ConversationId(1))
    };
    bench.store.send(Command::PutConversation { head, settings: ChatSettings::default(), leaf: None });
    for kept in [scores(5, "a", 7), scores(-1, "a", 2), scores(5, "b", 7), scores(5, "a", 9)] {
        bench.store.send(Command::PutScores(ConversationId(1), Box::new(kept)));
    }
    bench.store.send(Command::PutScores(ConversationId(2), Box::new(scores(6, "a", 1))));
    assert_eq!(bench.store.close(), Ok(()));
    let bench = Bench::open(&path);
    let Event::Scores(_, kept) = bench.ask(Command::Scores(ConversationId(1))) else { panic!() };
    let short: Vec<_> =
        kept.iter().map(|kept| (kept.turn.0, kept.model.as_str(), kept.tokens[0].2)).collect();
    assert_eq!(short, [(5, "a", 9), (-1, "a", 2), (5, "b", 7)]);
    assert_eq!((kept[0].tokens[1].0, kept[0].tokens[1].1, kept[0].run), (2, 2, RunId(3)));
    assert_eq!(kept[0].tokens[0].3.id, like_a_model(1, 1000).id);
    assert_eq!(bench.ask(Command::Scores(ConversationId(2))), Event::Scores(ConversationId(2), Vec::new()));
}

#[test]
fn where_files_lie_in_a_message_is_kept_and_a_copy_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::open(&folder.path().join("glassbox.db"));
    let inserts = vec![Insert { start: 4, end: 9, file: Some("a.txt".to_owned()), tokens: Some(3) }];
    let turn = Turn { inserts, ..user(1, "see a.txt:") };
    bench.put(1, turn.clone());
    bench.store.send(Command::DuplicateConversation(ConversationId(1), ConversationId(2), "copy".to_owned()));
    assert_eq!(bench.conversation(1).unwrap().0.turns, std::slice::from_ref(&turn));
    assert_eq!(bench.conversation(2).unwrap().0.turns[0].typed(), turn.typed());
}
