//! What holds an engine's process to what it needs, as the engine found it when it started.
//!
//! Invariant: a measure counts as in force only where the system was asked afterwards, never because it was wanted.

use serde::{Deserialize, Serialize};

/// What an engine is held to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// The engine did not say: another program, or an older glassbox.
    #[default]
    Unsaid,
    /// The configuration has it so.
    Off,
    /// Measure by measure.
    Measures(Vec<(Measure, Held)>),
}

/// One thing that an engine gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// No program it could start would have more rights than it has.
    NoNewPrivileges,
    /// It writes in its own folders alone.
    Writing,
    /// It reads what it was given and the system; the app's own what lies openly too, not what is hidden in the home itself.
    Reading,
    /// It speaks to nobody over a network.
    Network,
    /// It starts no program, watches no other process and changes nothing of the system.
    SystemCalls,
}

impl Measure {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::NoNewPrivileges, Self::Writing, Self::Reading, Self::Network, Self::SystemCalls];

    /// In a few words, as part of a list.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no new privileges",
            Self::Writing => "writes in its own folders alone",
            Self::Reading => "reads no folders that are hidden in your home",
            Self::Network => "no network",
            Self::SystemCalls => "no other programs and processes",
        }
    }
}

/// Whether a measure is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// By what: `Landlock ABI 7`, `seccomp`; may be empty.
    By(String),
    /// Why not.
    Not(String),
}

impl Containment {
    /// Whether a measure is in force.
    #[must_use]
    pub fn holds(&self, measure: Measure) -> bool {
        let Self::Measures(all) = self else { return false };
        all.iter().any(|(known, held)| *known == measure && matches!(held, Held::By(_)))
    }

    /// As a line for the user: what is in force, then what is not and why.
    #[must_use]
    pub fn in_words(&self) -> String {
        let all = match self {
            Self::Unsaid => return "not known: the engine did not say".to_owned(),
            Self::Off => return "none: [engine] contain = false".to_owned(),
            Self::Measures(all) => all,
        };
        let (mut held, mut missing): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for (measure, how) in all {
            match how {
                Held::By(means) if means.is_empty() => held.push(measure.said().to_owned()),
                Held::By(means) => held.push(format!("{} ({means})", measure.said())),
                Held::Not(why) => missing.push(format!("{} ({why})", measure.said())),
            }
        }
        let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
        if missing.is_empty() { held } else { format!("{held}; not in force: {}", missing.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_holds_and_what_does_not() {
        let some = Containment::Measures(vec![
            (Measure::NoNewPrivileges, Held::By(String::new())),
            (Measure::Writing, Held::By("Landlock ABI 2".into())),
            (Measure::Network, Held::Not("the model is elsewhere".into())),
        ]);
        assert_eq!(
            some.in_words(),
            "no new privileges, writes in its own folders alone (Landlock ABI 2); not in force: no network (the model is \
             elsewhere)"
        );
        assert!(some.holds(Measure::Writing) && !some.holds(Measure::Network));
        assert!(!Containment::Off.holds(Measure::Writing));
    }
}
