//! The open station as a file: text and SVG as it is drawn, JSON with the figures behind it.
//!
//! Invariant: what is written is what is on display, of the token that the station's own subject names.

use super::{App, Effect, Station};
use crate::engine::protocol::Attended;
use crate::export::station::{StationFacts, StretchRows};
use crate::inspect::trace::ForwardTrace;

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

impl Station {
    /// Its name in commands and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Embedding => "embedding",
            Self::Position => "position",
            Self::Attention => "attention",
            Self::Ffn => "ffn",
            Self::Layers => "layers",
            Self::Softmax => "softmax",
            Self::Sampler => "sampler",
            Self::Why => "why",
        }
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
            Ok(size) => size.unwrap_or_else(|| self.station_size()),
            Err(why) => return self.warn(why),
        };
        if self.shown_step().is_none() {
            return self.say("there is no token yet whose station could be written");
        }
        let name = if name.is_empty() { self.station_file() } else { name.to_owned() };
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("txt") => self.emit(Effect::DrawStation { name, picture: Picture::Text, size }),
            Some("svg") => self.emit(Effect::DrawStation { name, picture: Picture::Svg, size }),
            Some("json") => {
                let text = self.station_json();
                self.emit(Effect::WriteFile { name, text });
            }
            _ => self.warn(format!("{name}: the ending must be .txt, .json or .svg")),
        }
    }

    /// `layers-Paris.svg`.
    fn station_file(&self) -> String {
        let word = self.shown_step().map(|shown| String::from_utf8_lossy(&shown.step.bytes).into_owned());
        let word = super::ledger::file_name(&word.unwrap_or_default());
        format!("{}-{word}.svg", self.inspector.station.name())
    }

    /// The size that the station has on the screen, else the usual one.
    fn station_size(&self) -> (u16, u16) {
        let there = self.geometry.areas.iter().find(|(focus, _)| *focus == super::Focus::Inspector);
        let there = there.map(|(_, area)| (area.width, area.height)).filter(|(_, rows)| *rows >= LEAST_ROWS);
        there.unwrap_or(USUAL)
    }

    fn station_json(&self) -> String {
        let station = self.inspector.station;
        let shown = self.shown_step();
        let at = shown.map(super::LiveStep::cursor);
        let run = at.and_then(|at| self.run_at(at)).and_then(|run| self.runs.get(&run));
        let vocabulary = shown.and_then(|shown| self.vocabularies.get(shown.vocabulary.as_ref()?));
        let pass = at.and_then(|at| self.pass(at));
        let own = match station {
            Station::Tokens | Station::Embedding => true,
            Station::Softmax | Station::Sampler => false,
            _ => self.own_pass(),
        };
        let mut ids = pass.map(|pass| pass.ids.to_vec()).unwrap_or_default();
        ids.extend(shown.and_then(|shown| shown.step.id).filter(|_| own && !ids.is_empty()));
        let line = self.stretch_on_display().filter(|_| station == Station::Tokens).map(|line| line.text);
        let seen = self.shown_inside().filter(|_| station.is_inside() && !own_table(station));
        let trace = seen.map(|seen| of_station(station, &seen.trace));
        let seen_of = |of: Station| seen.filter(|_| station == of);
        let opened = seen_of(Station::Ffn);
        let sampler = self.shown_trace().filter(|_| station == Station::Sampler);
        let inside = &self.inspector.inside;
        let off: Vec<_> = inside.tried.off.iter().copied().collect();
        let card = self.shown_card().filter(|_| station == Station::Why);
        let span = self.embedding_span();
        let facts = StationFacts {
            station: station.name(),
            run,
            vocabulary: vocabulary.map(AsRef::as_ref),
            ids: &ids,
            step: shown.map(|shown| &shown.step),
            own_pass: own,
            pieces: line.as_deref().and_then(|text| Some((text, &**self.known_pieces(text)?))),
            embedding: self
                .shown_embedding()
                .filter(|_| station == Station::Embedding)
                .map(|facts| (&**facts, span.as_slice())),
            sum: inside.arithmetic.as_ref().map_or(&[], |asked| asked.terms.as_slice()),
            trace: trace.as_ref(),
            ffns: opened.map(|seen| seen.ffns.as_slice()).unwrap_or_default(),
            ffn_layers: opened.map(|seen| seen.ffn_layers.as_slice()).unwrap_or_default(),
            off: seen_of(Station::Why).map(|seen| seen.off.as_slice()).unwrap_or_default(),
            grid: self
                .shown_grid()
                .filter(|_| station == Station::Layers)
                .map(|(grid, _)| (grid.from, grid.tokens.as_slice())),
            rows: if station == Station::Attention { self.rows_on_display() } else { Vec::new() },
            card: card.map(|card| (off, inside.tried.everywhere, &card.trace)),
            distribution: self.shown_distribution().map(AsRef::as_ref),
            sampler: sampler.as_deref(),
        };
        facts.json()
    }
}

impl App {
    /// The attention of every row that was read for the opened head, and the rollout.
    fn rows_on_display(&self) -> Vec<StretchRows> {
        let head = (self.opened_layer(), self.inspector.inside.head);
        let of = |head: Option<(u32, u32)>, rows: &std::sync::Arc<Attended>| StretchRows {
            head,
            first: rows.first,
            seen_from: rows.seen_from.clone(),
            rows: (rows.first as usize..).map_while(|position| rows.row(position)).take(rows.len()).collect(),
        };
        let matrix = self.shown_matrix().map(|rows| of(Some(head), rows));
        let rollout = self.shown_rollout().map(|rows| of(None, rows));
        matrix.into_iter().chain(rollout).collect()
    }
}

/// What a station shows of a pass; other stations' figures of it are theirs to write.
fn of_station(station: Station, whole: &ForwardTrace) -> ForwardTrace {
    let mut trace = whole.clone();
    for (other, clear) in [
        (Station::Layers, (|trace| trace.lens = None) as fn(&mut ForwardTrace)),
        (Station::Attention, |trace| trace.attention = None),
        (Station::Ffn, |trace| trace.ffn = None),
        (Station::Position, |trace| trace.rotation = None),
        (Station::Why, |trace| trace.attribution = None),
    ] {
        if station != other {
            clear(&mut trace);
        }
    }
    trace
}

/// Whether a station shows tables of the model rather than a pass.
fn own_table(station: Station) -> bool {
    matches!(station, Station::Tokens | Station::Embedding)
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
    fn a_station_writes_its_own_figures_of_a_pass() {
        use crate::inspect::trace::{Attention, Lens, Rotation};
        let whole = ForwardTrace {
            entropy: 1.5,
            lens: Some(Lens::default()),
            attention: Some(Attention::default()),
            rotation: Some(Rotation::default()),
            ..ForwardTrace::default()
        };
        let layers = of_station(Station::Layers, &whole);
        assert_eq!(layers, ForwardTrace { attention: None, rotation: None, ..whole.clone() });
        assert!(of_station(Station::Attention, &whole).lens.is_none());
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
