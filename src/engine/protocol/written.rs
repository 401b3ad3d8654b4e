//! A token that was written, whole: the step with everything that was recorded of it.
//!
//! Invariant: what stands in one of these belongs to this one token, however long it was held back for a stop text.

use serde::{Deserialize, Serialize};

use super::LiveInside;
use crate::inspect::stages::SamplerTrace;
use crate::token::{Candidate, Step};

/// A token with what was recorded of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The token and the distribution it was drawn from.
    pub step: Step,
    /// Which token of the run, counted from 0, those that the user took included.
    #[serde(default)]
    pub index: u32,
    /// The chain's way through the distribution; where [`super::CapturePlan::stages`] asks for it.
    #[serde(default)]
    pub stages: Option<Box<SamplerTrace>>,
    /// Whether it was not drawn but written for the model, since its budget for thinking is used up.
    #[serde(default)]
    pub forced: bool,
    /// Whether it was guessed from what stood before, and decoded together with the token before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drafted: bool,
    /// The watched tokens with ln p and rank, 0 where that is not known.
    #[serde(default)]
    pub watched: Vec<(Candidate, u32)>,
    /// What stages and watched tokens took on top of drawing the token, ms, with the sending of the last ones;
    /// `None` where there are none.
    #[serde(default)]
    pub recording_ms: Option<f32>,
    /// The pass that chose the token, opened; `None` where it was not looked at.
    #[serde(default)]
    pub inside: Option<Box<LiveInside>>,
    /// How far the changed network's pass lies from the unchanged one's, where that is measured.
    #[serde(default)]
    pub unchanged: Option<Distance>,
    /// Whether the machine is busy, so that tokens are written with fewer threads or with ones that wait asleep.
    #[serde(default)]
    pub machine_busy: bool,
}

/// A changed network's pass held against the unchanged network's at the same token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// `D(p unchanged ‖ p changed)`, nats; `None` where the cache has no room for both.
    pub kl: Option<f32>,
    /// What reading along unchanged took, ms.
    pub ms: f32,
}

impl From<Step> for Written {
    /// A step of which nothing else was recorded.
    fn from(step: Step) -> Self {
        Self { step, ..Self::default() }
    }
}
