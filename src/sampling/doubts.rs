//! Settings that are right one by one and do nothing together, or the opposite of what was meant.
//!
//! Invariant: a doubt names what is at fault or what was likely meant; at their defaults no settings are in doubt.

use super::{LogitBias, Sampling, Stage};

/// Above this a temperature makes tokens nearly equally likely, and a fraction was meant.
const HOT: f32 = 5.0;
/// Above this a repeat penalty forbids every word that was there.
const FORBIDS: f32 = 2.0;
/// Below this XTC takes every token for a top choice.
const ALL_ARE_TOP: f32 = 0.01;
/// So many tokens are kept by no cut that was meant as one.
const MANY_KEPT: u32 = 100;
/// So little of the probability, or of a standard deviation, is the likeliest token's alone.
const TINY: f32 = 0.01;
/// From this ratio on, none but the likeliest token is likely enough.
const NEARLY_ONE: f32 = 0.99;
/// Above this a penalty on logits forbids what it acts on.
const LARGE: f32 = 10.0;
/// No vocabulary has tokens of more surprise than this many bits in a text.
const MOST_BITS: f32 = 20.0;

const NO_TOKENS: &str = "does nothing while penalty_last_n is 0: it sees no tokens";
const NO_DRY: &str = "does nothing while dry_multiplier is 0";
const NO_MIROSTAT: &str = "does nothing while mirostat is 0";

impl Sampling {
    /// Why a setting, by its key, does nothing as the others are, or spoils every reply; `None` where it does what it
    /// says or is off.
    #[must_use]
    pub fn doubt(&self, key: &str) -> Option<&'static str> {
        self.undrawn(key).or_else(|| self.misfit(key))
    }

    /// The same without what a temperature of 0 leaves idle: whoever chose that knows that nothing is drawn.
    #[must_use]
    pub fn misfit(&self, key: &str) -> Option<&'static str> {
        self.idle(key).or_else(|| self.spoils(key))
    }

    /// Why it does nothing where nothing is drawn.
    fn undrawn(&self, key: &str) -> Option<&'static str> {
        let draws = [
            "top_k",
            "top_p",
            "min_p",
            "typical_p",
            "top_n_sigma",
            "xtc_probability",
            "min_keep",
            "dynatemp_range",
            "mirostat",
        ];
        match key {
            _ if self.temperature > 0.0 || self.is_neutral(key) => None,
            "seed" => Some("does nothing at temperature 0: nothing is drawn"),
            _ if draws.contains(&key) => Some("does nothing at temperature 0: the likeliest token is taken"),
            _ => None,
        }
    }

    /// Why it does nothing as the others are.
    fn idle(&self, key: &str) -> Option<&'static str> {
        if self.is_neutral(key) {
            return None;
        }
        let draws = self.temperature > 0.0;
        match key {
            "top_k" | "top_p" | "min_p" | "typical_p" | "top_n_sigma" | "xtc_probability" | "min_keep"
                if draws && self.mirostat == 2 =>
            {
                Some("does nothing under mirostat, which replaces every cutting stage")
            }
            "top_k" if draws && self.top_k < self.min_keep => {
                Some("does nothing while min_keep is larger: so many are kept")
            }
            "xtc_probability" | "xtc_threshold" if self.xtc_probability > 0.0 && self.xtc_threshold > 0.5 => {
                Some("XTC does nothing above one half: no two tokens can both be likelier")
            }
            "xtc_threshold" if self.xtc_probability <= 0.0 => Some("does nothing while xtc_probability is 0"),
            "repeat_penalty" | "frequency_penalty" | "presence_penalty" if self.penalty_last_n == 0 => {
                Some(NO_TOKENS)
            }
            "penalty_last_n" if !self.penalises() => Some("does nothing while all three penalties are off"),
            "penalties_on_marks" if !Stage::Penalties.is_on(self) && !Stage::Dry.is_on(self) => {
                Some("does nothing while the penalties and DRY are off")
            }
            "dry_multiplier" if self.dry_penalty_last_n == 0 => {
                Some("does nothing while dry_penalty_last_n is 0: it sees no tokens")
            }
            "dry_base" | "dry_allowed_length" | "dry_penalty_last_n" | "dry_sequence_breakers"
                if self.dry_multiplier <= 0.0 =>
            {
                Some(NO_DRY)
            }
            "dry_allowed_length" | "dry_penalty_last_n" if self.dry_sees_too_little() => {
                Some("DRY does nothing where it sees no more tokens than dry_allowed_length lets pass")
            }
            "dynatemp_exponent" if self.dynatemp_range <= 0.0 => {
                Some("does nothing while dynatemp_range is 0")
            }
            "mirostat_tau" | "mirostat_eta" if self.mirostat == 0 => Some(NO_MIROSTAT),
            "thinking_budget" if self.max_tokens > 0 && self.thinking_budget >= self.max_tokens => {
                Some("does nothing: max_tokens ends the reply before")
            }
            "logit_bias" if !self.logit_bias.iter().any(LogitBias::moves) => {
                Some("does nothing: a bias of 0 moves no logit")
            }
            _ => None,
        }
    }

    /// Why no reply is as it was meant.
    fn spoils(&self, key: &str) -> Option<&'static str> {
        let draws = self.temperature > 0.0;
        let cuts = draws && self.mirostat != 2 && self.min_keep < 2;
        let looks_back = self.penalty_last_n != 0;
        match key {
            "temperature" if self.temperature > HOT => {
                Some("makes all tokens nearly equally likely; if percent were meant, 80 is 0.8")
            }
            "dynatemp_range" if draws && self.dynatemp_range > HOT => {
                Some("makes all tokens nearly equally likely; if percent were meant, 50 is 0.5")
            }
            "top_p" if draws && self.top_p <= 0.0 => Some("0 leaves the likeliest token alone; 1 is off"),
            "typical_p" if draws && self.typical_p <= 0.0 => Some("0 leaves a single token; 1 is off"),
            "min_p" if draws && self.min_p >= 1.0 => Some("1 leaves the likeliest token alone; 0 is off"),
            "top_p" if cuts && self.top_p < TINY => {
                Some("so little leaves the likeliest token alone; 1 is off, 0.95 is usual")
            }
            "typical_p" if cuts && self.typical_p < TINY => Some("so little leaves a single token; 1 is off"),
            "min_p" if cuts && self.min_p >= NEARLY_ONE => {
                Some("so much leaves the likeliest token alone; 0 is off, 0.05 is usual")
            }
            "top_n_sigma" if cuts && self.top_n_sigma > 0.0 && self.top_n_sigma < TINY => {
                Some("so little leaves the likeliest token alone; below 0 is off, 1 is usual")
            }
            "mirostat_tau" if draws && self.mirostat == 2 && self.mirostat_tau > MOST_BITS => {
                Some("no token is so surprising that any is cut; 5 is usual")
            }
            "min_keep" if draws && self.min_keep > MANY_KEPT => {
                Some("so many tokens are always left that no stage cuts what it should; 0 is usual")
            }
            "xtc_threshold" if draws && self.xtc_probability > 0.0 && self.xtc_threshold < ALL_ARE_TOP => {
                Some(
                    "XTC then leaves the least likely token alone; 0.1 is usual, and xtc_probability = 0 is off",
                )
            }
            "repeat_penalty" if looks_back && self.repeat_penalty < 1.0 => {
                Some("below 1 rewards every repetition; 1 is off, 1.1 is usual")
            }
            "repeat_penalty" if looks_back && self.repeat_penalty > FORBIDS => {
                Some("so much forbids every word that was there; 1 is off, 1.1 is usual")
            }
            "frequency_penalty" if looks_back && self.frequency_penalty < 0.0 => {
                Some("below 0 each repetition makes the next likelier; 0 is off")
            }
            "presence_penalty" if looks_back && self.presence_penalty < 0.0 => {
                Some("below 0 makes what was there likelier; 0 is off")
            }
            "frequency_penalty" if looks_back && self.frequency_penalty > LARGE => {
                Some("so much forbids every word that was there; 0 is off, 0.5 is usual")
            }
            "presence_penalty" if looks_back && self.presence_penalty > LARGE => {
                Some("so much forbids every word that was there; 0 is off, 0.5 is usual")
            }
            "dry_multiplier" if self.dry_penalty_last_n != 0 && self.dry_multiplier > LARGE => {
                Some("so much forbids every repetition; 0 is off, 0.8 is usual")
            }
            "stop" if self.stop.iter().any(|text| is_blank(text)) => {
                Some("a blank ends every reply behind its first word")
            }
            _ => None,
        }
    }

    /// Whether the last tokens that DRY sees have no room for a repetition that is punished.
    fn dry_sees_too_little(&self) -> bool {
        self.dry_multiplier > 0.0
            && self.dry_penalty_last_n > 0
            && i64::from(self.dry_penalty_last_n) < i64::from(self.dry_allowed_length) + 1
    }

    /// Whether a setting has the value that means nothing by itself: off, or the default of what belongs to another.
    #[expect(clippy::float_cmp, reason = "a value that nobody changed is the default itself")]
    fn is_neutral(&self, key: &str) -> bool {
        let built_in = Self::default();
        match key {
            "top_k" => self.top_k == 0,
            "top_p" => self.top_p >= 1.0,
            "min_p" => self.min_p <= 0.0,
            "typical_p" => self.typical_p >= 1.0,
            "top_n_sigma" => self.top_n_sigma <= 0.0,
            "xtc_probability" => self.xtc_probability <= 0.0,
            // Above one half it is at fault, whatever the default.
            "xtc_threshold" => self.xtc_threshold == built_in.xtc_threshold,
            "min_keep" => self.min_keep == 0,
            "dynatemp_range" => self.dynatemp_range <= 0.0,
            "dynatemp_exponent" => self.dynatemp_exponent == built_in.dynatemp_exponent,
            "mirostat" => self.mirostat == 0,
            "mirostat_tau" => self.mirostat_tau == built_in.mirostat_tau,
            "mirostat_eta" => self.mirostat_eta == built_in.mirostat_eta,
            "repeat_penalty" => self.repeat_penalty == 1.0,
            "frequency_penalty" => self.frequency_penalty == 0.0,
            "presence_penalty" => self.presence_penalty == 0.0,
            "penalty_last_n" => self.penalty_last_n == built_in.penalty_last_n,
            "penalties_on_marks" => !self.penalties_on_marks,
            "dry_multiplier" => self.dry_multiplier <= 0.0,
            "dry_base" => self.dry_base == built_in.dry_base,
            "dry_allowed_length" => self.dry_allowed_length == built_in.dry_allowed_length,
            "dry_penalty_last_n" => self.dry_penalty_last_n == built_in.dry_penalty_last_n,
            "dry_sequence_breakers" => self.dry_sequence_breakers == built_in.dry_sequence_breakers,
            "seed" => self.seed.is_none(),
            "thinking_budget" => self.thinking_budget == 0,
            "logit_bias" => self.logit_bias.is_empty(),
            _ => true,
        }
    }

    fn penalises(&self) -> bool {
        let penalties = ["repeat_penalty", "frequency_penalty", "presence_penalty"];
        penalties.into_iter().any(|key| !self.is_neutral(key))
    }
}

/// A text of blanks alone. A line end is a sensible end of a reply.
fn is_blank(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, ' ' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::SAMPLING_KEYS;

    fn doubts(sampling: &Sampling) -> Vec<&'static str> {
        SAMPLING_KEYS.iter().copied().filter(|key| sampling.doubt(key).is_some()).collect()
    }

    #[test]
    fn what_does_nothing_and_what_spoils_a_reply_is_in_doubt_and_nothing_else() {
        let check = |change: fn(&mut Sampling), expected: &[&str]| {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            assert_eq!(doubts(&sampling), expected, "{sampling:?}");
        };
        check(|_| {}, &[]);
        check(|s| s.dynatemp_exponent = 2.0, &["dynatemp_exponent"]);
        check(|s| (s.dynatemp_exponent, s.dynatemp_range) = (2.0, 0.5), &[]);
        check(|s| s.mirostat = 2, &["top_k", "top_p", "min_p"]);
        check(
            |s| (s.mirostat, s.min_keep, s.xtc_probability) = (2, 3, 0.5),
            &["top_k", "top_p", "min_p", "xtc_probability", "min_keep"],
        );
        check(|s| (s.mirostat, s.top_k, s.top_p, s.min_p) = (2, 0, 1.0, 0.0), &[]);
        check(|s| s.mirostat_tau = 3.0, &["mirostat_tau"]);
        check(|s| s.dry_base = 2.0, &["dry_base"]);
        check(|s| s.dry_penalty_last_n = 100, &["dry_penalty_last_n"]);
        check(|s| s.dry_sequence_breakers.clear(), &["dry_sequence_breakers"]);
        check(|s| (s.dry_multiplier, s.dry_base, s.dry_penalty_last_n) = (0.8, 2.0, 100), &[]);
        check(|s| (s.dry_multiplier, s.dry_penalty_last_n) = (0.8, 0), &["dry_multiplier"]);
        check(|s| s.xtc_threshold = 0.2, &["xtc_threshold"]);
        check(|s| (s.xtc_probability, s.xtc_threshold) = (0.5, 0.6), &["xtc_probability", "xtc_threshold"]);
        check(|s| (s.xtc_probability, s.xtc_threshold) = (0.5, 0.0), &["xtc_threshold"]);
        check(|s| (s.xtc_probability, s.xtc_threshold) = (0.5, 0.2), &[]);
        check(|s| s.penalty_last_n = 256, &["penalty_last_n"]);
        check(|s| (s.penalty_last_n, s.repeat_penalty) = (256, 1.1), &[]);
        check(|s| (s.penalty_last_n, s.repeat_penalty) = (0, 1.1), &["repeat_penalty"]);
        check(|s| s.penalties_on_marks = true, &["penalties_on_marks"]);
        check(|s| s.min_keep = 50, &["top_k"]);
        check(|s| (s.top_k, s.min_keep) = (0, 5000), &["min_keep"]);
        check(|s| s.temperature = 80.0, &["temperature"]);
        check(|s| s.top_p = 0.0, &["top_p"]);
        check(|s| s.min_p = 1.0, &["min_p"]);
        check(|s| s.typical_p = 0.0, &["typical_p"]);
        check(|s| s.repeat_penalty = 0.1, &["repeat_penalty"]);
        check(|s| s.repeat_penalty = 5.0, &["repeat_penalty"]);
        check(|s| s.frequency_penalty = -1.0, &["frequency_penalty"]);
        check(|s| s.top_p = 0.005, &["top_p"]);
        check(|s| s.typical_p = 0.005, &["typical_p"]);
        check(|s| s.min_p = 0.99, &["min_p"]);
        check(|s| s.top_n_sigma = 0.001, &["top_n_sigma"]);
        check(|s| s.top_n_sigma = 1.0, &[]);
        // Some are kept all the same.
        check(|s| (s.top_p, s.min_keep) = (0.005, 3), &[]);
        check(|s| s.frequency_penalty = 50.0, &["frequency_penalty"]);
        check(|s| s.presence_penalty = 50.0, &["presence_penalty"]);
        check(|s| (s.presence_penalty, s.penalty_last_n) = (2.0, 256), &[]);
        check(|s| s.dry_multiplier = 100.0, &["dry_multiplier"]);
        check(
            |s| (s.mirostat, s.mirostat_tau, s.top_k, s.top_p, s.min_p) = (2, 100.0, 0, 1.0, 0.0),
            &["mirostat_tau"],
        );
        check(|s| (s.dry_multiplier, s.dry_penalty_last_n) = (0.8, 2), &["dry_penalty_last_n"]);
        check(
            |s| (s.dry_multiplier, s.dry_penalty_last_n, s.dry_allowed_length) = (0.8, 10, 10),
            &["dry_allowed_length", "dry_penalty_last_n"],
        );
        check(|s| (s.dry_multiplier, s.dry_penalty_last_n) = (0.8, 3), &[]);
        check(|s| s.stop = vec!["END".into(), " ".into()], &["stop"]);
        check(|s| s.stop = vec!["\n".into(), "\n\n".into(), " x".into()], &[]);
        check(
            |s| (s.temperature, s.seed, s.dynatemp_range, s.mirostat) = (0.0, Some(7), 0.5, 2),
            &["dynatemp_range", "top_k", "top_p", "min_p", "mirostat", "seed"],
        );
        let greedy = Sampling { temperature: 0.0, seed: Some(7), ..Sampling::default() };
        assert!(SAMPLING_KEYS.iter().all(|key| greedy.misfit(key).is_none()));
        check(|s| (s.max_tokens, s.thinking_budget) = (100, 400), &["thinking_budget"]);
        let none = |bias| LogitBias { text: Some("a".into()), id: None, bias };
        let biased = Sampling { logit_bias: vec![none(0.0)], ..Sampling::default() };
        assert_eq!(doubts(&biased), ["logit_bias"]);
        assert!(!Stage::LogitBias.is_on(&biased));
        let banned = Sampling { logit_bias: vec![none(0.0), none(f32::NEG_INFINITY)], ..biased };
        assert!(doubts(&banned).is_empty() && Stage::LogitBias.is_on(&banned));
    }

    #[test]
    fn xtc_is_off_where_it_cannot_drop_a_token() {
        let with = |xtc_threshold| Sampling { xtc_probability: 0.5, xtc_threshold, ..Sampling::default() };
        assert!(Stage::Xtc.is_on(&with(0.5)) && !Stage::Xtc.is_on(&with(0.51)));
    }
}
