//! What the help says of each station: a few plain sentences, the formula, its source, what is not shown.
//!
//! Invariant: a station that can be opened has its page here; keys are commands, never names of keys.

use crate::app::{App, Station};
use crate::command::Command;
use crate::ui::inspector::live::Live;
use crate::ui::widgets::number;

/// The page of one station. `{tokens}` and `{even}` stand for the size of the vocabulary and its bits.
pub(super) struct Page {
    /// The station.
    pub station: Station,
    /// Its name.
    pub title: &'static str,
    /// What it is, in plain sentences.
    pub plain: &'static str,
    /// The formulas, one a line, and where each comes from.
    pub formulas: &'static [(&'static str, &'static str)],
    /// Words of the station and what they mean.
    pub terms: &'static [(&'static str, &'static str)],
    /// What it does not show.
    pub absent: &'static str,
    /// Its keys.
    pub keys: &'static [(Command, &'static str)],
}

/// The keys that do the same in every pane.
pub(super) const EVERYWHERE: &[(Command, &str)] = &[
    (Command::Send, "send"),
    (Command::Escape, "stop, close"),
    (Command::FocusNext, "focus"),
    (Command::Palette, "commands"),
    (Command::Help, "help"),
];

const PAGES: &[Page] = &[
    Page {
        station: Station::Softmax,
        title: "Softmax",
        plain: "Before each token the network gives every one of its {tokens} a score (a logit). Softmax turns \
                the scores into shares that add up to 1. The bar is that share. One token is then drawn.",
        formulas: &[("p(v) = exp(z_v − m) ÷ Σ exp(z_u − m),  m = max z", "Bridle 1990")],
        terms: &[
            ("uncertainty", "H = −Σ p log₂ p, in bits: 0 when sure, {even}"),
            ("surprise", "−log₂ p(drawn), in bits: each bit halves the odds"),
            ("rank", "1 + how many tokens had a larger score than the drawn one"),
            ("‹others›", "everything not listed, so that the column adds up to 100"),
            ("after", "the odds once the samplers cut; × names the stage that threw a token out"),
        ],
        absent: "why the scores are what they are. Odds are not truth; a sure model can be wrong.",
        keys: &[
            (Command::Hold, "hold"),
            (Command::Logits, "logits"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Station::Sampler,
        title: "Sampler",
        plain: "The network's odds are not drawn from as they are. Stage after stage throws unlikely tokens out, \
                and what is left shares the whole again, so each column adds up to 100. The temperature then \
                makes the odds steeper (below 1) or flatter (above 1), and one number u between 0 and 1 decides: \
                the token in whose stretch it falls is written.",
        formulas: &[
            ("top-k   the k likeliest stay", "Fan et al. 2018"),
            ("top-p   the fewest whose odds add up to P stay", "Holtzman et al. 2020"),
            ("min-p   v stays if p(v) ÷ max p reaches M", "Nguyen et al. 2024"),
            ("temperature   q(v) = p(v)^(1/T) ÷ Σ p(u)^(1/T)", "Ackley et al. 1985"),
        ],
        terms: &[
            ("×", "the stage that threw the token out; it stays in its row"),
            ("left", "how many of the {tokens} can still be drawn"),
            ("thrown out", "the share of the column before that the stage took away"),
            ("u", "the random number of this step; the same seed gives the same ones"),
        ],
        absent: "whether the cut tokens would have been better. Stages that are off have no column.",
        keys: &[(Command::Hold, "hold"), (Command::Zoom, "alone"), (Command::Explain, "this page")],
    },
];

/// The page of a station.
pub(super) fn page(station: Station) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.station == station)
}

/// A text with the figures of the vocabulary of the shown step in place.
pub(super) fn filled(app: &App, text: &str) -> String {
    let (tokens, even) = match Live::of(app).map_or(0, |live| live.entries) {
        0 => ("tokens".to_owned(), "its most when all are even".to_owned()),
        entries => {
            let count = number::grouped(entries);
            (format!("{count} tokens"), format!("{:.1} when all {count} are even", (entries as f64).log2()))
        }
    };
    text.replace("{tokens}", &tokens).replace("{even}", &even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_station_that_can_be_opened_has_its_page() {
        let without: Vec<&Station> =
            Station::AVAILABLE.iter().filter(|station| page(**station).is_none()).collect();
        assert_eq!(without, [] as [&Station; 0]);
    }
}
