//! Range checks: each says what a value must be, as "must be …".
//!
//! Invariant: a check refuses only what an engine or a screen cannot use, never what is merely unwise.

#![allow(clippy::ptr_arg, clippy::trivially_copy_pass_by_ref)] // a check takes a reference to what the key holds

use super::document::Verdict;
use crate::sampling::Stage;

/// Everything of the right type.
#[allow(clippy::unnecessary_wraps)] // the shape every check has
pub(crate) fn anything<T>(_: &T) -> Verdict {
    Ok(())
}

/// `least` or more.
pub(crate) fn at_least<T: PartialOrd + Copy + std::fmt::Display>(least: T) -> impl Fn(&T) -> Verdict {
    move |value| require(*value >= least, || format!("must be {least} or more"))
}

/// More than `limit`.
pub(crate) fn above(limit: f32) -> impl Fn(&f32) -> Verdict {
    move |value| require(*value > limit, || format!("must be more than {limit}"))
}

/// `least` to `most`, both allowed.
pub(crate) fn between<T: PartialOrd + Copy + std::fmt::Display>(least: T, most: T) -> impl Fn(&T) -> Verdict {
    move |value| require(*value >= least && *value <= most, || format!("must be from {least} to {most}"))
}

/// A probability.
pub(crate) fn probability(value: &f32) -> Verdict {
    between(0.0, 1.0)(value)
}

/// Mirostat off or version 2; version 1 is older and not offered.
pub(crate) fn mirostat(value: &u32) -> Verdict {
    require(matches!(value, 0 | 2), || "must be 0 (off) or 2".into())
}

/// A text with something in it.
pub(crate) fn not_empty(value: &String) -> Verdict {
    require(!value.is_empty(), || "must not be empty".into())
}

/// A grammar that llama.cpp can read, or nothing.
pub(crate) fn grammar(value: &String) -> Verdict {
    if value.trim().is_empty() {
        return Ok(());
    }
    crate::grammar::gbnf::check(value)
        .map_err(|problem| format!("must be a grammar in llama.cpp's notation ({problem})"))
}

/// No empty texts: an empty stop text would end every reply at once.
pub(crate) fn no_empty_text(value: &Vec<String>) -> Verdict {
    require(value.iter().all(|text| !text.is_empty()), || "must hold no empty text".into())
}

/// Every stage once.
pub(crate) fn every_stage_once(value: &Vec<Stage>) -> Verdict {
    use super::setting::Setting as _;
    let named = |wrong: Vec<Stage>| wrong.iter().map(Stage::show).collect::<Vec<_>>().join(", ");
    let count = |stage: &Stage| value.iter().filter(|other| *other == stage).count();
    let missing: Vec<Stage> =
        Stage::DEFAULT_ORDER.iter().copied().filter(|stage| count(stage) == 0).collect();
    let doubled: Vec<Stage> = Stage::DEFAULT_ORDER.iter().copied().filter(|stage| count(stage) > 1).collect();
    require(missing.is_empty(), || {
        format!("must hold every stage once ({} missing)", named(missing.clone()))
    })?;
    require(doubled.is_empty(), || format!("must hold every stage once ({} twice)", named(doubled.clone())))
}

/// A SHA-256 in hexadecimal.
pub(crate) fn sha256(value: &String) -> Verdict {
    require(value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), || {
        "must be 64 hexadecimal digits".into()
    })
}

fn require(holds: bool, must: impl Fn() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(must()) }
}
