//! The open station as a file: text and SVG as it is drawn, JSON with the figures behind it.
//!
//! Invariant: what is written is what is on display, of the token that the station's own subject names.

use std::sync::Arc;

use crate::app::{App, Display, Effect, Focus, Geometry, LiveStep, transcript::ledger};
use crate::engine::protocol::Inspected;
use crate::export::station::{StationFacts, StretchRows};
use crate::inspect::depth::Depth;
use crate::inspect::feed_forward::FfnLayer;
use crate::inspect::pieces::Pieces;
use crate::inspect::stages::SamplerTrace;
use crate::inspect::trace::{Component, EmbeddingFacts, FeedForward, Followed, ForwardTrace};
use crate::token::TokenId;

/// How an exported station is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Characters alone.
    Text,
    /// A picture with the theme's colours.
    Svg,
}

/// Smallest and largest pictures, cells.
const SIZES: [std::ops::RangeInclusive<u16>; 2] = [46..=400, 8..=200];
/// Below this many rows what is on the screen is not the station but its rail.
const LEAST_ROWS: u16 = 8;
/// The size of a picture where no station is on the screen.
const USUAL: (u16, u16) = (67, 36);

/// A station's own figures for a file.
#[derive(Default)]
pub(crate) struct Exported {
    /// The text that was cut, and how.
    pub pieces: Option<(String, Arc<Pieces>)>,
    /// Rows of the embedding table, and the tokens of the matrix.
    pub embedding: Option<(Arc<EmbeddingFacts>, Vec<TokenId>)>,
    /// The pass, with the station's own figures of it alone.
    pub trace: Option<ForwardTrace>,
    /// Its feed-forwards.
    pub ffns: Vec<FeedForward>,
    /// Every block's feed-forward in one line.
    pub ffn_layers: Vec<FfnLayer>,
    /// The followed tokens with single parts off.
    pub off: Vec<(Component, Vec<Followed>)>,
    /// The grid of layers over tokens: the position of the first column, and the columns.
    pub grid: Option<(u32, Vec<Depth>)>,
    /// Attention over a stretch of the text.
    pub rows: Vec<StretchRows>,
    /// Which parts are off, whether at every position, and the pass so changed.
    pub card: Option<(Vec<Component>, bool, Arc<Inspected>)>,
    /// The sampler chain's work.
    pub sampler: Option<Arc<SamplerTrace>>,
}

impl Exported {
    /// Takes the pass on display without any station's figures, and of those what `own` copies.
    pub fn take_trace(&mut self, on: &Display<'_>, own: impl FnOnce(&mut ForwardTrace, &ForwardTrace)) {
        self.trace = on.shown_inside().map(|seen| {
            let mut bare = bare(&seen.trace);
            own(&mut bare, &seen.trace);
            bare
        });
    }
}

/// A pass without what single stations show of it.
fn bare(whole: &ForwardTrace) -> ForwardTrace {
    ForwardTrace {
        lens: None,
        attention: None,
        ffn: None,
        rotation: None,
        attribution: None,
        ..whole.clone()
    }
}

impl Display<'_> {
    fn station_json(&self) -> String {
        let station = self.inspector.station;
        let shown = self.shown_step();
        let at = shown.map(LiveStep::cursor);
        let run = at.and_then(|at| self.view.run_at(at)).and_then(|run| self.view.runs.get(&run));
        let vocabulary = shown.and_then(|shown| self.view.vocabularies.get(shown.vocabulary.as_ref()?));
        let pass = at.and_then(|at| self.view.pass(at));
        let own = station.unit().shows_own_pass(self);
        let mut ids = pass.map(|pass| pass.ids.to_vec()).unwrap_or_default();
        ids.extend(shown.and_then(|shown| shown.step.id).filter(|_| own && !ids.is_empty()));
        let mut file = Exported::default();
        station.unit().export(self, &mut file);
        let facts = StationFacts {
            station: station.about().name,
            run,
            vocabulary: vocabulary.map(AsRef::as_ref),
            ids: &ids,
            step: shown.map(|shown| &shown.step),
            own_pass: own,
            pieces: file.pieces.as_ref().map(|(text, pieces)| (text.as_str(), &**pieces)),
            embedding: file.embedding.as_ref().map(|(facts, span)| (&**facts, span.as_slice())),
            sum: self.inspector.embedding.arithmetic.as_ref().map_or(&[], |asked| asked.terms.as_slice()),
            trace: file.trace.as_ref(),
            ffns: &file.ffns,
            ffn_layers: &file.ffn_layers,
            off: &file.off,
            grid: file.grid.as_ref().map(|(from, columns)| (*from, columns.as_slice())),
            rows: file.rows,
            card: file.card.as_ref().map(|(off, everywhere, card)| (off.clone(), *everywhere, &card.trace)),
            distribution: self.shown_distribution().map(AsRef::as_ref),
            sampler: file.sampler.as_deref(),
        };
        facts.json()
    }
}

impl App {
    /// `/export-station FILE [WIDTHxHEIGHT]`; without a name an SVG named after station and token.
    pub(crate) fn export_station(&mut self, argument: &str) {
        let (name, size) = match argument.rsplit_once(' ') {
            Some((name, size)) if size.contains(['x', '×']) => (name.trim(), Some(size)),
            _ => (argument, None),
        };
        let size = match size.map(picture_size).transpose() {
            Ok(size) => size.unwrap_or_else(|| self.geometry.station_size()),
            Err(why) => return self.out.warn(why),
        };
        if self.display().shown_step().is_none() {
            return self.out.say("there is no token yet whose station could be written");
        }
        let name = if name.is_empty() { self.display().station_file() } else { name.to_owned() };
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("txt") => self.out.emit(Effect::DrawStation { name, picture: Picture::Text, size }),
            Some("svg") => self.out.emit(Effect::DrawStation { name, picture: Picture::Svg, size }),
            Some("json") => {
                let text = self.display().station_json();
                self.out.emit(Effect::WriteFile { name, text });
            }
            _ => self.out.warn(format!("{name}: the ending must be .txt, .json or .svg")),
        }
    }
}

impl Geometry {
    /// The size that the station has on the screen, else the usual one.
    fn station_size(&self) -> (u16, u16) {
        let there = self.areas.iter().find(|(focus, _)| *focus == Focus::Inspector);
        let there = there.map(|(_, area)| (area.width, area.height)).filter(|(_, rows)| *rows >= LEAST_ROWS);
        there.unwrap_or(USUAL)
    }
}

impl Display<'_> {
    /// `layers-Paris.svg`.
    fn station_file(&self) -> String {
        let word = self.shown_step().map(|shown| String::from_utf8_lossy(&shown.step.bytes).into_owned());
        let word = ledger::file_name(&word.unwrap_or_default());
        format!("{}-{word}.svg", self.inspector.station.about().name)
    }
}

/// `67x36` as cells.
fn picture_size(text: &str) -> Result<(u16, u16), String> {
    let [columns, rows] = SIZES;
    let size = text.split_once(['x', '×']).and_then(|(width, height)| {
        let size: (u16, u16) = (width.parse().ok()?, height.parse().ok()?);
        (columns.contains(&size.0) && rows.contains(&size.1)).then_some(size)
    });
    size.ok_or_else(|| {
        format!(
            "{text}: a size is columns x rows, {}x{} to {}x{}, for example 67x36",
            columns.start(),
            rows.start(),
            columns.end(),
            rows.end()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_without_its_stations_keeps_what_is_of_none() {
        use crate::inspect::trace::{Attention, Lens, Rotation};
        let whole = ForwardTrace {
            entropy: 1.5,
            lens: Some(Lens::default()),
            attention: Some(Attention::default()),
            rotation: Some(Rotation::default()),
            ..ForwardTrace::default()
        };
        assert_eq!(bare(&whole), ForwardTrace { entropy: 1.5, ..ForwardTrace::default() });
    }

    #[test]
    fn a_size_is_two_numbers_within_reason() {
        assert_eq!(picture_size("67x36"), Ok((67, 36)));
        assert_eq!(picture_size("120×40"), Ok((120, 40)));
        for bad in ["x", "10x10", "67x", "70000x40", "67x9999", "ax8"] {
            assert!(picture_size(bad).is_err(), "{bad}");
        }
    }
}
