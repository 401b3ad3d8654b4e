//! Changes made to the network while it runs: parts switched off, replaced, or the stream steered.
//!
//! Invariant: a change holds everything it needs, so a stored run can be made again; old rows stay readable.

use serde::{Deserialize, Serialize};

use super::Adapter;

/// A change made to the network while it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intervention {
    /// A head's output set to zero.
    ZeroHead {
        /// Block.
        layer: u32,
        /// Query head.
        head: u32,
    },
    /// A block's attention output set to zero.
    ZeroAttention {
        /// Block.
        layer: u32,
    },
    /// A block's feed-forward output set to zero.
    ZeroFfn {
        /// Block.
        layer: u32,
    },
    /// An input of a block's down projection set to zero.
    ZeroNeuron {
        /// Block.
        layer: u32,
        /// Index of the input; in a mixture expert · width + index.
        neuron: u32,
    },
    /// What a part gives replaced by other values, such as those of another position (patching).
    Replace {
        /// Which part.
        site: HookPoint,
        /// The values, as many as the part gives.
        values: Vec<f32>,
    },
    /// The residual stream pushed along a direction (Turner et al. 2023): h += α ‖h‖ d̂ at every position.
    Steer(Steering),
    /// A LoRA adapter or a control vector in use.
    Adapter(Adapter),
}

/// A place in the network whose values can be read and replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPoint {
    /// A head's slice of the output projection's input.
    Head {
        /// Block.
        layer: u32,
        /// Query head.
        head: u32,
    },
    /// What a block's output projection gives.
    Attention {
        /// Block.
        layer: u32,
    },
    /// What a block's down projection gives.
    Ffn {
        /// Block.
        layer: u32,
    },
    /// The residual stream after a block.
    Stream {
        /// Block.
        layer: u32,
    },
    /// An input of a block's down projection.
    Neuron {
        /// Block.
        layer: u32,
        /// Index of the input.
        neuron: u32,
    },
}

impl HookPoint {
    /// The block it belongs to.
    #[must_use]
    pub fn layer(self) -> u32 {
        match self {
            Self::Head { layer, .. }
            | Self::Attention { layer }
            | Self::Ffn { layer }
            | Self::Stream { layer }
            | Self::Neuron { layer, .. } => layer,
        }
    }
}

/// A push along a direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Steering {
    /// What the user calls it: `formal − casual`.
    pub name: String,
    /// Blocks after which the stream is pushed.
    pub layers: Vec<u32>,
    /// α, in lengths of the stream; negative pushes the other way.
    pub strength: f32,
    /// d̂, of length 1, one value each dimension of the stream.
    pub direction: Vec<f32>,
    /// Whether position 0 is pushed too. Its stream is many times as long as the others' (an attention sink, Xiao et
    /// al. 2024), so a share of that length drowns what the direction does elsewhere.
    #[serde(default = "pushed_once")]
    pub first_position: bool,
    /// Mean length of the stream after the block, in the texts that gave the direction; 0 where it was not kept.
    #[serde(default)]
    pub stream: f32,
}

/// What was kept before the choice was there had been pushed at every position.
fn pushed_once() -> bool {
    true
}

impl Intervention {
    /// Whether it changes what block `number` computes.
    #[must_use]
    pub fn is_in(&self, number: u32) -> bool {
        match self {
            Self::ZeroHead { layer, .. }
            | Self::ZeroAttention { layer }
            | Self::ZeroFfn { layer }
            | Self::ZeroNeuron { layer, .. } => *layer == number,
            Self::Replace { site, .. } => site.layer() == number,
            Self::Steer(steering) => steering.layers.contains(&number),
            // llama.cpp's graph has it; no node is written over.
            Self::Adapter(_) => false,
        }
    }

    /// The file, where it is an adapter or a control vector.
    #[must_use]
    pub fn adapter(&self) -> Option<&Adapter> {
        match self {
            Self::Adapter(adapter) => Some(adapter),
            _ => None,
        }
    }

    /// As it may leave this machine: a file without its folder.
    #[must_use]
    pub fn public(&self) -> Self {
        self.adapter().map_or_else(|| self.clone(), |adapter| Self::Adapter(adapter.public()))
    }

    /// The push, where it is one.
    #[must_use]
    pub fn steering(&self) -> Option<&Steering> {
        match self {
            Self::Steer(steering) => Some(steering),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_from_before_there_was_more_than_switching_off_stay_readable() {
        let old = r#"[{"zero_head":{"layer":1,"head":2}},{"zero_ffn":{"layer":3}}]"#;
        let read: Vec<Intervention> = serde_json::from_str(old).unwrap();
        assert_eq!(read, [Intervention::ZeroHead { layer: 1, head: 2 }, Intervention::ZeroFfn { layer: 3 }]);
    }

    #[test]
    fn a_push_is_read_as_it_was_written() {
        let steering = Steering {
            name: "warm − cold".into(),
            layers: vec![12, 13],
            strength: -0.25,
            direction: vec![0.6, -0.8, 1.0 / 3.0],
            first_position: false,
            stream: 51.5,
        };
        let change = Intervention::Steer(steering);
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<Intervention>(&text).unwrap(), change);
        assert!(change.is_in(13) && !change.is_in(14));
    }

    #[test]
    fn a_push_from_before_position_0_was_left_out_still_pushes_it() {
        let old = r#"{"steer":{"name":"a − b","layers":[3],"strength":0.1,"direction":[1.0]}}"#;
        let change: Intervention = serde_json::from_str(old).unwrap();
        assert!(change.steering().unwrap().first_position && change.steering().unwrap().stream == 0.0);
    }
}
