//! What the help says of each station: a few plain sentences, the formula, its source, what is not shown.
//!
//! Invariant: a station that can be opened has its page here; keys are commands, never names of keys.

use crate::app::{App, Station};
use crate::command::Command;
use crate::ui::inspector::live::Live;
use crate::ui::widgets::number;

/// The page of one station, or of the steering panel. `{tokens}` and `{even}` stand for the size of the vocabulary and its bits.
pub(super) struct Page {
    /// The station; `None` for the panel.
    pub station: Option<Station>,
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
    (Command::ExportStation, "station to a file"),
    (Command::Tour, "tour"),
];

const PAGES: &[Page] = &[
    Page {
        station: Some(Station::Tokens),
        title: "Tokens",
        plain: "The model never sees letters. A tokenizer cuts the text into pieces from a fixed list and hands on \
                their numbers. Common words are one piece, rare ones several: the pieces were learned by merging \
                the most frequent neighbours again and again, and the rules are applied in that order.",
        formulas: &[(
            "merge the neighbours whose rule has the lowest number, until none has one",
            "Sennrich 2016",
        )],
        terms: &[
            ("merge #176", "the rule's number: low ones were learned first, from common text"),
            ("cut", "before merging the text is cut; no merge crosses a cut"),
            ("score", "where rules have no numbers: the joined piece of the highest score goes first"),
            ("WordPiece", "a tokenizer that does not merge: from the left, always the longest piece"),
            ("Unigram", "one that does not merge: of all ways to cut a word, the likeliest"),
            ("marked ▐", "the pieces of the word under the cursor"),
            ("‹F0›", "a piece may be half a character: then its bytes are shown"),
        ],
        absent: "what a piece means to the model: that begins with its embedding. What the model wrote was not cut by \
                 the tokenizer: it may have chosen other pieces for the same letters, and then that is said.",
        keys: &[
            (Command::WordNext, "word"),
            (Command::TokenNext, "token"),
            (Command::TokensTry, "try a word"),
            (Command::TokensAll, "all with template"),
            (Command::CopyIds, "copy ids"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Embedding),
        title: "Embedding",
        plain: "Each piece's number picks a row of a table: a list of numbers, the piece's place in a space of \
                meanings. Pieces used alike lie in like directions, so the nearest rows tell what the model takes \
                for similar before it has read any context.",
        formulas: &[
            ("cos(a, b) = a·b ÷ (‖a‖ ‖b‖)", "over all rows of the table"),
            ("map: first two principal components", "Pearson 1901"),
        ],
        terms: &[
            ("norm", "‖row‖, before any scaling that the model does"),
            ("scale", "bars begin at what a random token gets: the median cosine over the table"),
            ("spread", "share of the differences between these rows that the map shows"),
            ("centred", "the mean of the table taken off, which all rows share (Mu & Viswanath 2018)"),
            ("a − b + c", "rows added and taken away, and what lies near the sum (Mikolov et al. 2013)"),
        ],
        absent: "context: the same piece has the same row everywhere. What it becomes is made by the layers. A map \
                 flattens hundreds of directions to two, so near on it is not always near.",
        keys: &[
            (Command::TokenNext, "token"),
            (Command::EmbeddingArithmetic, "add words"),
            (Command::EmbeddingSpan, "span"),
            (Command::EmbeddingCentred, "centred"),
            (Command::EmbeddingMap, "other map"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Position),
        title: "Position",
        plain: "Attention compares queries with keys and would not know which came first. So both are turned, pair \
                of numbers by pair, by an angle that grows with the position: fast in the first pairs, slowly in \
                the last. What is left in their product is how far apart the two stand.",
        formulas: &[
            ("θᵢ = base^(−2i ÷ d),  angle = position · θᵢ", "RoPE: Su et al. 2021"),
            ("q·k = Σ pairs |qᵢ||kᵢ| cos(φᵢ + distance · θᵢ)", ""),
        ],
        terms: &[
            ("pair", "two numbers of a head that are turned together"),
            ("unturned", "the pair's part if both stood at the same place"),
            ("YaRN", "slow hands turn less, so that longer texts fit (Peng et al. 2023)"),
        ],
        absent: "learned positions and slopes (ALiBi) have no angles; the station then shows the position's own \
                 vector, or each head's slope.",
        keys: &[
            (Command::TokenNext, "token"),
            (Command::PositionPick, "head and token"),
            (Command::PositionDegrees, "degrees"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Attention),
        title: "Attention",
        plain: "In every layer several heads look back at the tokens read so far and fetch something from them. A \
                head's row of weights adds up to 1. A head with nothing to do rests on the first token; weights by \
                value show what was really fetched. The letter says what a head does now, the bar how much it writes \
                from anything but token 0; what it usually does was found once, on random text said twice. Under the \
                opened head stand the steps of its row: q·k, what the mask hides, softmax, and the mix of values.",
        formulas: &[
            ("a = softmax(mask + scale · q·k)", "Vaswani et al. 2017"),
            ("by value: ‖a · W_O v‖", "Kobayashi et al. 2020"),
            ("strength: ‖W_O Σ a v, token 0 left out‖ ÷ ‖h after the layer‖", ""),
            ("rollout: Π (½ mean of heads + ½ itself)", "Abnar and Zuidema 2020"),
        ],
        terms: &[
            ("s sink", "rests on token 0 (Gu et al. 2024)"),
            ("p previous", "reads the token before"),
            ("i induction", "reads what followed an earlier copy of this token (Olsson et al. 2022)"),
            ("d duplicate", "reads an earlier copy of this token"),
            ("x own", "reads itself"),
            ("n near", "reads the eight tokens before"),
            ("/", "outside a sliding window: the head cannot see it"),
            ("▀", "where there are far more layers than rows: two in a row, the upper half the first"),
            ("writes toward", "tokens whose logits the head's vector raises most, the final norm frozen"),
            ("for", "what it does to the chosen token's and the rival's logit, the mean of all taken off"),
            ("of ‖h‖", "how long that vector is against the state after the layer, token 0 included"),
        ],
        absent: "cause: a weight says where a head looks, and rollout how tokens are mixed, not that it mattered. Switch \
                 a head off to see.",
        keys: &[
            (Command::AttentionPicture, "heads, matrix, rollout"),
            (Command::AttentionReaders, "reads or is read by"),
            (Command::AttentionInk, "whose ink"),
            (Command::AttentionRaw, "raw or by value"),
            (Command::AttentionFirstToken, "token 0 in the ink"),
            (Command::AttentionGrain, "token, word, sentence"),
            (Command::AttentionContrast, "lift small shares"),
            (Command::SwitchOff, "switch off"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Ffn),
        title: "Feed-forward",
        plain: "After attention each layer asks thousands of small questions of the token's state. Every question is a \
                neuron; the more it applies, the more of its own vector it adds. What that vector does to the \
                vocabulary tells what the neuron promotes and suppresses.",
        formulas: &[
            ("added = Σ aⱼ · W_down[:, j]", "Geva et al. 2021"),
            ("promotes: W_U (γ ⊙ aⱼ W_down[:, j]) ÷ rms", ""),
        ],
        terms: &[
            ("activation", "aⱼ, the input of the down projection"),
            ("promotes", "tokens whose logits it raises most, the final norm frozen"),
            ("half", "how many neurons make half of the lengths that all of them write"),
            ("push", "by how much it raises the chosen token above its rival, logits"),
        ],
        absent: "what later layers make of it: a push here can be undone there. See why.",
        keys: &[
            (Command::SortNeurons, "by push"),
            (Command::NextRival, "next rival"),
            (Command::SwitchOff, "switch off"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Layers),
        title: "Layers",
        plain: "Each layer adds to the token's state. Here every depth is read as if the network ended there: which \
                word would it say? Early rows are not thoughts, only the state read too soon. Where the chosen word \
                comes out on top and stays, it was decided.",
        formulas: &[
            ("p_ℓ = softmax(W_U · norm(h_ℓ))", "logit lens: nostalgebraist 2020"),
            ("KL = Σ p_final ln(p_final ÷ p_ℓ)", "nats"),
        ],
        terms: &[
            ("◆", "layer of decision: from here on the chosen token stays the likeliest"),
            ("size", "‖h‖, the length of the state"),
            ("share", "of what the layer added: ▒ attention, █ feed-forward"),
            ("grid", "what every layer would have said at each of the last tokens"),
        ],
        absent: "which parts did it: that is the station why. And the model never reads its own middle: only the last \
                 row is ever said.",
        keys: &[
            (Command::LayersGrid, "grid over tokens"),
            (Command::LayersRanks, "ranks"),
            (Command::NextRival, "next rival"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Softmax),
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
            (Command::SoftmaxLogits, "logits"),
            (Command::Zoom, "alone"),
            (Command::Explain, "this page"),
        ],
    },
    Page {
        station: Some(Station::Sampler),
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
    Page {
        station: Some(Station::Why),
        title: "Why",
        plain: "The last state is a plain sum of what every part wrote, so each part's push of the chosen word above \
                the runner-up can be read off. But the largest push is not always the one that matters: later parts \
                make up for some. So switch a part off and see the new odds beside the old.",
        formulas: &[
            ("push = (W_U[chosen] − W_U[rival]) ⊙ γ · part ÷ rms(h)", "Elhage et al. 2021"),
            ("closure = |Σ pushes − (z_chosen − z_rival)|", "rounding of quantised arithmetic"),
        ],
        terms: &[
            ("off", "what the chosen word would get with that part off, read again"),
            ("patch", "a part gives what it gave at another position or in another version's text"),
            ("KL", "how far the new odds lie from the old, nats"),
            ("kept off", "replies of this chat are written without the part; the header says so"),
        ],
        absent: "parts that work only together: switch several off.",
        keys: &[
            (Command::SwitchOff, "switch off"),
            (Command::SwitchOffEverywhere, "everywhere"),
            (Command::Patch, "patch"),
            (Command::UndoChange, "undo"),
            (Command::KeepOff, "keep off"),
            (Command::SortParts, "heads, neurons"),
            (Command::NextRival, "next rival"),
            (Command::Explain, "this page"),
        ],
    },
];

/// The page of the steering panel.
pub(super) const STEERING: Page = Page {
    station: None,
    title: "Steering",
    plain: "Two texts leave different states behind. The mean state of the one less that of the other is a direction; \
            pushed along it after one layer, every later token is written as if the text leaned that way. It is \
            kept with the chat until it is switched off, and the header warns as long as it is.",
    formulas: &[
        ("d = mean h(towards) − mean h(away from),  d̂ = d ÷ ‖d‖", "Turner et al. 2023; Rimsky et al. 2024"),
        ("h += α ‖h‖ d̂ after the layer, at every position", ""),
    ],
    terms: &[
        ("texts", "a selected message and its neighbour are put in; each can be typed over"),
        ("after layer", "where it is pushed: middle layers carry meaning, late ones words"),
        ("strength α", "of the state's own length: 0.10 to 0.25 leans, much more breaks the language"),
        ("d′", "how far apart the two texts' states lie along the direction, in their own spread"),
        ("plain", "the next token's odds without the push; <x: beyond the likeliest that are listed"),
        ("KL", "how far the steered odds lie from the plain ones, nats"),
        ("twin", "the plain network reading along, to tell KL at each token: twice the time"),
    ],
    absent: "that the direction means what the texts mean to you: they may differ in length, tone or topic as well.",
    keys: &[(Command::Steer, "the panel"), (Command::SteerOff, "off")],
};

/// The page of a station.
pub(super) fn page(station: Station) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.station == Some(station))
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
            Station::ALL.iter().filter(|station| page(**station).is_none()).collect();
        assert_eq!(without, [] as [&Station; 0]);
    }
}
