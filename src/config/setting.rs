//! Types that a configuration key can have: how they are read, what they are called, how they are shown.
//!
//! Invariant: what [`Setting::show`] prints is what a file may hold for that value.

use toml::de::DeValue;

use super::{ColorDepth, Markdown, Motion, Notify, Overflow, SymbolSet};
use crate::model_entry::{Api, CacheType, FlashAttention, RopeMethod, Speculative};
use crate::sampling::Stage;

/// A type that a key can have.
pub(crate) trait Setting: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// What the value must be, as "must be …".
    fn read(value: &DeValue) -> Result<Self, String>;

    /// The value as a file holds it.
    fn show(&self) -> String;
}

impl Setting for bool {
    fn read(value: &DeValue) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "must be true or false".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn read(value: &DeValue) -> Result<Self, String> {
        integer(value)
            .and_then(|number| Self::try_from(number).ok())
            .ok_or_else(|| "must be a whole number from 0 to 4294967295".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for i32 {
    fn read(value: &DeValue) -> Result<Self, String> {
        integer(value)
            .and_then(|number| Self::try_from(number).ok())
            .ok_or_else(|| "must be a whole number".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for f32 {
    fn read(value: &DeValue) -> Result<Self, String> {
        number(value)
            .map(|number| number as Self)
            .filter(|number| number.is_finite())
            .ok_or_else(|| "must be a finite number".into())
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for String {
    fn read(value: &DeValue) -> Result<Self, String> {
        value.as_str().map(Self::from).ok_or_else(|| "must be a text in quotes".into())
    }

    fn show(&self) -> String {
        toml_edit::Value::from(self.as_str()).to_string()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &DeValue) -> Result<Self, String> {
        let items = value.as_array().ok_or("must be a list in [ ]")?;
        items
            .iter()
            .map(|item| T::read(item.get_ref()))
            .collect::<Result<_, _>>()
            .map_err(|problem| format!("each entry {problem}"))
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Setting::show).collect::<Vec<_>>().join(", "))
    }
}

/// The value as a whole number, whatever base it is written in.
pub(crate) fn integer(value: &DeValue) -> Option<i128> {
    value.as_integer().and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok())
}

/// The value as a number, which may be infinite or not a number.
pub(crate) fn number(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => integer(value).map(|number| number as f64),
    }
}

macro_rules! named {
    ($( $type:ty { $( $name:literal => $variant:ident ),+ } )+) => { $(
        impl Setting for $type {
            fn read(value: &DeValue) -> Result<Self, String> {
                // `color = 256` is as clear as `color = "256"`.
                let name = value.as_str().map(String::from).or_else(|| integer(value).map(|n| n.to_string()));
                match name.as_deref() {
                    $( Some($name) => Ok(Self::$variant), )+
                    other => Err(one_of(other, &[$($name),+])),
                }
            }

            fn show(&self) -> String {
                match self { $( Self::$variant => concat!("\"", $name, "\"").into(), )+ }
            }
        }
    )+ };
}

fn one_of(found: Option<&str>, names: &[&str]) -> String {
    let hint = found.map_or_else(String::new, |name| super::near::did_you_mean(name, names.iter().copied()));
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("must be one of {}{hint}", quoted.join(", "))
}

named! {
    Overflow { "drop-oldest" => DropOldest, "stop" => Stop }
    ColorDepth {
        "auto" => Auto, "truecolor" => TrueColor, "256" => C256, "16" => C16, "none" => None
    }
    SymbolSet { "auto" => Auto, "full" => Full, "plain" => Plain, "ascii" => Ascii }
    Markdown { "replies" => Replies, "all" => All, "off" => Off }
    Motion { "auto" => Auto, "full" => Full, "reduced" => Reduced }
    Notify { "none" => None, "title" => Title, "bell" => Bell, "osc9" => Osc9 }
    FlashAttention { "auto" => Auto, "on" => On, "off" => Off }
    CacheType {
        "f32" => F32, "f16" => F16, "bf16" => Bf16, "q8_0" => Q8_0, "q5_1" => Q5_1, "q4_0" => Q4_0
    }
    Api {
        "auto" => Auto, "openai" => OpenAi, "llama" => Llama, "vllm" => Vllm, "sglang" => SgLang, "ollama" => Ollama
    }
    Speculative { "off" => Off, "prompt" => Prompt, "mtp" => Mtp }
    RopeMethod { "model" => Model, "none" => None, "linear" => Linear, "yarn" => Yarn }
}

impl Setting for Stage {
    fn read(value: &DeValue) -> Result<Self, String> {
        let all = Self::DEFAULT_ORDER;
        let names: Vec<&str> = all.iter().map(|stage| stage.about().name).collect();
        let stage = all.iter().find(|stage| value.as_str() == Some(stage.about().name));
        stage.copied().ok_or_else(|| one_of(value.as_str(), &names))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.about().name)
    }
}
