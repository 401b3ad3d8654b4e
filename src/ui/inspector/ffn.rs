//! The feed-forward station: the neurons of a block that fire most, and what each writes toward.
//!
//! Invariant: the bar's scale is fixed and printed; neurons are shown as they are, strongest first, none picked for
//! being pretty.

mod histogram;
mod layers;
mod neurons;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::inspect::trace::FeedForward;
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// Columns from which on layers and neurons stand side by side.
const BOTH: u16 = 106;

const CAPTION: &str = "After reading, a layer adds what its neurons hold. A neuron that fires adds its own fixed \
                       direction, strong or weak.";

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    seen: &'a Inspected,
    ffn: &'a FeedForward,
    /// The longest write on the scale.
    scale: f32,
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let seen = app.display().shown_inside()?.as_ref();
        let layer = app.display().opened_layer();
        let order = app.inspector.ffn.neuron_order();
        let wanted = seen.ffns.iter().find(|ffn| ffn.layer == layer && ffn.order == order);
        let ffn =
            wanted.or_else(|| seen.ffns.iter().find(|ffn| ffn.layer == layer)).or(seen.trace.ffn.as_ref())?;
        let most = seen.ffn_layers.iter().map(|line| line.write).fold(ffn.write, f32::max);
        let scale = app.inspector.ffn.write_scale.as_ref().map_or(most, |(_, scale)| *scale).max(1e-6);
        Some(Self { app, theme, seen, ffn, scale })
    }

    fn name(&self, id: TokenId) -> String {
        frame::name(self.app, self.theme, id)
    }

    /// The longest write of one neuron on the scale.
    fn neuron_scale(&self) -> f32 {
        self.scale / 4.0
    }

    /// The names of the two tokens that pushes are between.
    fn pair(&self) -> Option<(String, String)> {
        let (chosen, rival) = self.seen.pushes_of?;
        Some((text::cut(&self.name(chosen), 12), text::cut(&self.name(rival), 12)))
    }

    /// The selected neuron.
    fn selected(&self) -> usize {
        self.app.inspector.inside.row.min(self.ffn.neurons.len().saturating_sub(1))
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(frame) = Frame::of(app, theme, area, CAPTION) else { return };
    let why_missing = || frame::missing_of(app, "feed-forward");
    let Some(shown) = Shown::of(app, theme) else {
        return frame.empty_of_token("feed-forward at ", "", &why_missing(), buf);
    };
    let area = frame.area;
    subject(&shown, area, buf);
    let under = frame.under(buf);
    let mut above = experts(&shown, area.width);
    let opened = app.display().opened_layer();
    if shown.ffn.layer != opened {
        let words = format!("L{opened}: {}", frame::missing(app));
        above.extend(row::wrapped(&words, 1, area.width, theme.style(Role::Muted)));
    }
    if shown.ffn.neurons.is_empty() {
        above.extend(row::wrapped(&why_missing(), 1, area.width, theme.style(Role::Text)));
        row::stack(&above, under, 0, buf);
        return;
    }
    let under = text::below(under, row::stack(&above, under, 0, buf));
    if area.width >= BOTH && !shown.seen.ffn_layers.is_empty() {
        let (left, right) = text::split(under, layers::WIDTH);
        layers::list(&shown, left, buf);
        neurons_and_more(&shown, right, buf);
        return;
    }
    let strip = layers::strip(&shown, area.width);
    let fits = !strip.is_empty() && under.height >= 8;
    let at = if fits { row::stack(&strip, under, 0, buf) } else { 0 };
    neurons_and_more(&shown, text::below(under, at), buf);
}

/// The list of neurons, and under it what fits: the selected one in full, how hard all fire, what the columns mean.
fn neurons_and_more(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let detail = neurons::detail(shown, area.width);
    let opened = shown.app.inspector.inside.opened;
    let mut list = area.height;
    let mut fitting = |rows: Vec<Row>, least: u16| {
        let needed = rows.len() as u16 + 1;
        let fits = !rows.is_empty() && list >= needed + least;
        list -= if fits { needed } else { 0 };
        if fits { rows } else { Vec::new() }
    };
    let detail = fitting(detail, if opened { 2 } else { 6 });
    let legend = fitting(neurons::legend(shown, area.width), 8);
    let histogram = fitting(histogram::rows(shown, area.width), 9);
    let mut at = neurons::draw(shown, Rect { height: list, ..area }, buf) + 1;
    for rows in [histogram, detail, legend].into_iter().filter(|rows| !rows.is_empty()) {
        at += row::stack(&rows, area, at, buf) + 1;
    }
}

/// A push with its sign.
fn signed(push: f32) -> String {
    number::signed(push.into())
}

/// `L24 feed-forward at ␣Paris: 1536 neurons`
fn subject(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let layer = format!("L{} feed-forward", shown.ffn.layer);
    let place = if area.width < INSPECTOR.0 { " at #" } else { " at position " };
    let place = format!("{place}{}", shown.seen.trace.position);
    let of = if shown.ffn.experts.is_empty() { "neurons" } else { "neurons an expert" };
    let width = format!(", {} {of}", number::grouped(shown.ffn.width.into()));
    let room = area.width.saturating_sub(text::width(&layer) + text::width(&place) + text::width(&width) + 4);
    let chose = if shown.app.display().own_pass() { "itself" } else { "chose" };
    let name = frame::shown_name(shown.app, shown.theme);
    let name = text::cut(&format!(", {chose} {name}"), room);
    let name = if room < 12 { String::new() } else { name };
    let pieces = [
        (layer.as_str(), Role::Strong),
        (place.as_str(), Role::Text),
        (width.as_str(), Role::Text),
        (name.as_str(), Role::TokenChosen),
    ];
    frame::subject(shown.theme, area, &pieces, &frame::price(shown.app, shown.seen), buf);
}

/// The experts that were used, with their weights.
fn experts(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    if shown.ffn.experts.is_empty() {
        return Vec::new();
    }
    let weight = |(expert, weight): &(u32, f32)| {
        format!("{expert}: {} %", number::decimals(f64::from(*weight) * 100.0, 1))
    };
    let mut texts = vec!["experts".to_owned()];
    texts.extend(shown.ffn.experts.iter().map(weight));
    row::packed(&texts, 1, width, shown.theme.style(Role::Text))
}
