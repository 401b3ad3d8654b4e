//! What the drawing tests share: glyphs, a theme, and the app at the moment that the design draws.
//!
//! Invariant: figures are those of the default model in the design's drawing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratatui::style::{Color, Modifier, Style};

use crate::app::{
    ActiveRun, App, InsidePass, Level, LiveStep, ModelStatus, Msg, Notice, Now, Phase, TokenCursor, Watched,
    Writing,
};
use crate::chat::{
    ChatSettings, Conversation, ConversationHead, ConversationId, Role as Speaker, Run, RunId, Span, Turn,
    TurnId, TurnState,
};
use crate::config::keymap::Keymap;
use crate::config::{ColorDepth, Config};
use crate::engine::protocol::{Inspected, Loaded, Memory, RequestId, TemplateKind};
use crate::model_entry::ModelFacts;
use crate::theme::{Role, Symbols, Theme};
use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};

/// A theme whose roles can be told apart by colour.
pub fn theme() -> Theme {
    let count = Role::Error as u8 + 1;
    let styles = (0..count).map(|role| Style::new().fg(Color::Indexed(role))).collect();
    Theme {
        name: "test".into(),
        light: false,
        depth: ColorDepth::C256,
        styles,
        mag: [Style::new(); 9],
        div: [Style::new(); 9],
        symbols: Symbols::FULL,
    }
}

/// No colour at all, ASCII only.
pub fn bare_theme() -> Theme {
    let mut styles = vec![Style::new(); Role::Error as usize + 1];
    styles[Role::TokenChosen as usize] = Style::new().add_modifier(Modifier::BOLD);
    Theme { depth: ColorDepth::None, styles, symbols: Symbols::ASCII, ..theme() }
}

const CANDIDATES: [(&str, f32); 12] = [
    (" Lou", 54.84),
    (" Notre", 25.26),
    (" the", 14.99),
    (" not", 0.55),
    (" La", 0.54),
    (" Le", 0.32),
    (" as", 0.22),
    (" iconic", 0.22),
    (" majestic", 0.18),
    (" famous", 0.16),
    (" The", 0.15),
    (" Arc", 0.15),
];

const SURPRISES: [f32; 15] = [0.1, 0.2, 2.4, 0.1, 0.2, 0.9, 0.2, 0.8, 0.9, 0.1, 0.1, 0.2, 0.1, 0.1, 1.99];

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for (text, _) in CANDIDATES {
        vocabulary.push(text.as_bytes(), TokenKind::Normal);
    }
    vocabulary.push(b"<|im_end|>", TokenKind::Control);
    while vocabulary.len() < 49_152 {
        vocabulary.push(b"x", TokenKind::Normal);
    }
    vocabulary
}

/// The step that chose ␣Notre.
pub fn notre() -> Step {
    let candidates = (0..)
        .zip(CANDIDATES)
        .map(|(id, (_, percent))| Candidate { id: TokenId(id), logprob: (percent / 100.0).ln() })
        .collect();
    Step {
        id: Some(TokenId(1)),
        bytes: b" Notre".to_vec(),
        logprob: 0.2526_f32.ln(),
        rank: 2,
        entropy: 1.90 * std::f32::consts::LN_2,
        candidates,
        ms: 6.0,
        survivors: 3,
    }
}

fn conversation() -> Conversation {
    let steps =
        SURPRISES.iter().map(|bits| Step { logprob: -bits * std::f32::consts::LN_2, ..Step::default() });
    let reply = Turn {
        id: TurnId(2),
        parent: Some(TurnId(1)),
        role: Speaker::Assistant,
        spans: vec![Span::Generated { run: RunId(1), steps: steps.collect() }],
        state: TurnState::Streaming,
        deleted: false,
        note: None,
        model: Some("SmolLM2-135M".into()),
        created_ms: 0,
        inserts: Vec::new(),
    };
    let question = Turn {
        id: TurnId(1),
        parent: None,
        role: Speaker::User,
        spans: vec![Span::Written { text: "And what is Paris known for?".into() }],
        state: TurnState::Done,
        ..reply.clone()
    };
    Conversation {
        head: ConversationHead {
            title: "Capitals".into(),
            created_ms: 0,
            updated_ms: 0,
            ..ConversationHead::new(ConversationId(1))
        },
        settings: ChatSettings::default(),
        leaf: Some(TurnId(2)),
        turns: vec![question, reply],
        place: crate::chat::Place::default(),
    }
}

/// What the default model's header says.
pub fn facts() -> ModelFacts {
    ModelFacts {
        name: "SmolLM2-135M-Instruct".into(),
        architecture: "llama".into(),
        quantisation: "Q4_1".into(),
        file_size: 94 << 20,
        parameters: 134_515_008,
        context_length: 8192,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        embedding_length: 576,
        head_dim: 64,
        vocabulary_size: 49_152,
        licence: Some("Apache-2.0".into()),
        chat_template: Some("{{ messages }}".into()),
        kv_bytes_per_token: 23_040,
        ..ModelFacts::default()
    }
}

fn loaded() -> Loaded {
    Loaded {
        facts: facts(),
        vocabulary: "v".into(),
        marks: Vec::new(),
        suppressed: Vec::new(),
        device: "CPU ×2".into(),
        gpu_layers: 0,
        context: 8192,
        flash_attention: false,
        threads: 2,
        memory: Memory { weights: 94 << 20, context: 180 << 20, compute: 12 << 20 },
        load_ms: 200.0,
        dequantized: false,
        template: TemplateKind::Model,
        template_hash: None,
        takes_system: true,
        switches: crate::engine::protocol::Switches::default(),
        runner: crate::engine::protocol::Runner::Glassbox,
        odds: crate::engine::protocol::Odds::Whole,
        capabilities: crate::engine::protocol::Capabilities::all(),
        notes: Vec::new(),
        template_notes: Vec::new(),
        left_out: Vec::new(),
        keeps_states: false,
    }
}

/// An app in which nothing has happened yet.
pub fn empty() -> App {
    let (mut app, _) =
        App::new(Config::default_with(crate::models::built_in()), Keymap::defaults(), 1, (120, 40));
    app.talk.chat = conversation();
    app.talk.chat.leaf = None;
    app.talk.chat.turns.clear();
    app.composer.tokens = Some(0);
    app.themes = vec!["auto".into(), "dark".into(), "light".into()];
    app
}

/// The app while the reply about Paris is written, with ␣Notre on display.
pub fn capitals() -> App {
    let mut app = empty();
    app.talk.chat = conversation();
    app.model.status = ModelStatus::Ready(Box::new(loaded()));
    app.model.used = 77;
    app.talk.run = Some(ActiveRun {
        chat: ConversationId(1),
        turn: TurnId(2),
        run: RunId(1),
        request: RequestId(1),
        phase: Phase::Writing(Writing { speed: 168.0, ..Writing::default() }),
        prompt: None,
        written: 15,
        started_at: 0,
        stopping: false,
        made_room: false,
    });
    app.talk.runs.insert(RunId(1), Run::of_tests(1, "smollm2-135m-instruct"));
    app.talk.vocabularies.insert("v".into(), Arc::new(vocabulary()));
    app.out.notice = Some(Notice {
        text: "reused 45 tokens of 62, read 17 in 0.06 s".into(),
        level: Level::Info,
        until: None,
    });
    app.inspector.live = Some(LiveStep {
        chat: ConversationId(1),
        turn: TurnId(2),
        index: 14,
        step: notre(),
        vocabulary: Some("v".into()),
        context_tail: "including the Eiffel Tower,".into(),
        partial: Vec::new(),
        shown_at: 0,
        of: 25,
        pending: None,
        since: 0,
    });
    app.inspector.price_ms = Some(0.06);
    app.inspector.watch = vec![
        Watched { id: TokenId(12), now: Some(1e-6), peak: 2e-6, rank: Some(39_062) },
        Watched { id: TokenId(3), now: Some(0.0055), peak: 0.0055, rank: Some(4) },
    ];
    app
}

/// A step with its surprise in bits.
pub fn step(id: i32, bytes: &[u8], bits: f32, rank: u32) -> Step {
    Step {
        id: Some(TokenId(id)),
        bytes: bytes.to_vec(),
        logprob: -bits * std::f32::consts::LN_2,
        rank,
        ..Step::default()
    }
}

/// A reply of these steps after a prompt of one token; the cursor stands on one.
pub fn replied(steps: Vec<Step>, cursor: usize) -> App {
    let mut app = capitals();
    app.talk.run = None;
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for name in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        vocabulary.push(name.as_bytes(), TokenKind::Control);
    }
    let texts: BTreeMap<_, _> = steps.iter().map(|step| (step.id, &step.bytes)).collect();
    for id in 3..49_152 {
        vocabulary.push(texts.get(&Some(TokenId(id))).map_or(b"x", |bytes| bytes), TokenKind::Normal);
    }
    app.talk.vocabularies.insert("v".into(), Arc::new(vocabulary));
    app.talk.runs.get_mut(&RunId(1)).unwrap().prompt_ids = vec![TokenId(504)];
    app.talk.chat.turns[1].parent = None;
    app.talk.chat.turns[1].spans = vec![Span::Generated { run: RunId(1), steps }];
    app.transcript.selected = Some(TurnId(2));
    app.transcript.cursor = Some(TokenCursor { turn: TurnId(2), index: cursor });
    app.update(Now::default(), Msg::Tick);
    app
}

/// The names of "capital of France is Paris", with ids from 1000 on.
pub const FRANCE: [&str; 5] = [" capital", " of", " France", " is", " Paris"];

/// A reply of five tokens with ids from 1000 on; at one of them a pass was opened, of which this was seen.
pub fn opened(names: [&str; 5], cursor: usize, seen: Inspected) -> App {
    let steps = names.iter().zip(1000..).map(|(text, id)| step(id, text.as_bytes(), 1.0, 1)).collect();
    let mut app = replied(steps, cursor);
    app.inspector.inside.passes.push(InsidePass {
        at: app.transcript.cursor.unwrap(),
        own: false,
        model: "m".into(),
        seen: Arc::new(seen),
        cards: Vec::new(),
    });
    app
}
