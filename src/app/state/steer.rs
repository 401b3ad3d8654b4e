//! Steering: two texts, the direction between them, how hard it pushes, and what that changes.
//!
//! Invariant: a direction and a preview are kept with what they were asked for, so that none is shown for another.

use std::sync::Arc;

use crate::app::{Asker, EngineId, LineEdit, Query, Question, TokenCursor};
use crate::chat::{Intervention, RunId};
use crate::engine::protocol::{Directed, Direction, Inspected};
use crate::token::TokenId;

/// What the panel edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SteerField {
    /// The text that is steered towards.
    #[default]
    Towards,
    /// The text that is steered away from.
    Away,
    /// The block.
    Layer,
    /// How hard.
    Strength,
}

/// The panel's state; it stays when the panel is closed.
#[derive(Debug, Default)]
pub struct Steer {
    /// Which field is edited.
    pub field: SteerField,
    /// The text that is steered towards.
    pub towards: LineEdit,
    /// The text that is steered away from.
    pub away: LineEdit,
    /// The block after which the stream is pushed; `None` is the middle one.
    pub layer: Option<u32>,
    /// α in hundredths of the stream's length.
    pub percent: i32,
    /// Each text's tokens, as the loaded model cuts it.
    pub texts: Vec<(String, Vec<TokenId>)>,
    /// The direction that was found last, and for what.
    pub found: Option<(Direction, Arc<Directed>)>,
    /// The pass with that push, and for what.
    pub preview: Option<(Preview, Arc<Inspected>)>,
    /// How far as hard a push along a random direction goes, nats, and for what.
    pub yardstick: Option<(Preview, f32)>,
    /// The load of an engine that cut the texts and found the direction.
    pub engine: EngineId,
    /// What the engine is asked.
    pub asking: Query<SteerWish>,
    /// How far each token of the newest steered reply lies from the plain network's, nats; `None` where the twin had
    /// no room.
    pub kls: Vec<Option<f32>>,
    /// What the twin took for the last of them, ms.
    pub twin_ms: f32,
}

/// What the panel asks the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum SteerWish {
    /// A text's tokens.
    Cut(String),
    /// The direction.
    Direct(Direction),
    /// The pass on display with the push.
    Preview(Preview),
    /// The same with as hard a push along a direction that means nothing.
    Yardstick(Preview),
}

impl Question for SteerWish {
    const ASKER: Asker = Asker::Steering;
}

/// What a preview is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The token whose pass is read.
    pub at: TokenCursor,
    /// The run that read what it is chosen from.
    pub run: RunId,
    /// What the push is called.
    pub name: String,
    /// The block after which the stream is pushed.
    pub layer: u32,
    /// α in hundredths.
    pub percent: i32,
    /// The two texts; `None` for a direction that the chat keeps.
    pub texts: Option<(String, String)>,
    /// What else changes the network.
    pub beside: Vec<Intervention>,
}

impl Steer {
    /// α.
    pub fn strength(&self) -> f32 {
        self.percent as f32 / 100.0
    }

    /// A direction is of one model, and so are a text's tokens.
    pub fn forget_other_loads(&mut self, engine: EngineId) {
        if self.engine != engine {
            self.engine = engine;
            self.texts.clear();
            self.found = None;
            self.preview = None;
            self.yardstick = None;
        }
    }

    /// `warm − cold`: what the direction is called.
    pub fn name(&self) -> String {
        let short = |text: &str| {
            let words: Vec<&str> = text.split_whitespace().take(3).collect();
            words.join(" ").chars().take(24).collect::<String>()
        };
        format!("{} − {}", short(&self.towards.text), short(&self.away.text))
    }
}
