//! The feed-forward station: the neurons of a block that fire most, and what each writes toward.
//!
//! Invariant: the bar's scale is fixed and printed; neurons are shown as they are, strongest first, none picked for
//! being pretty.

mod neurons;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::own::{self, Row};
use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::inspect::trace::FeedForward;
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::widgets::{number, text};

const CAPTION: &str = "After reading, a layer adds what its neurons hold. A neuron that fires adds its own fixed \
                       direction, strong or weak.";

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    seen: &'a Inspected,
    ffn: &'a FeedForward,
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let seen = app.shown_inside()?.as_ref();
        let layer = app.opened_layer();
        let ffn = seen.ffns.iter().find(|ffn| ffn.layer == layer).or(seen.trace.ffn.as_ref())?;
        Some(Self { app, theme, seen, ffn })
    }

    fn name(&self, id: TokenId) -> String {
        own::name(self.app, self.theme, id)
    }

    /// The selected neuron.
    fn selected(&self) -> usize {
        self.app.inspector.inside.row.min(self.ffn.neurons.len().saturating_sub(1))
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(own::WIDEST), ..area };
    if area.height < 4 || area.width < 20 {
        return;
    }
    let caption = own::caption(app, theme, area, CAPTION);
    let Some(shown) = Shown::of(app, theme) else {
        let subject = match app.shown_step() {
            Some(_) => format!("feed-forward at {}", own::shown_name(app, theme)),
            None => "no token on display".into(),
        };
        return own::empty(theme, area, &subject, &caption, &why_missing(app), buf);
    };
    subject(&shown, area, buf);
    let at = 1 + own::stack(&caption, area, 1, buf);
    let at = at + u16::from(area.height > 20);
    let under = Rect { y: area.y + at, height: area.height.saturating_sub(at), ..area };
    let mut above = experts(&shown, area.width);
    let opened = app.opened_layer();
    if shown.ffn.layer != opened {
        let words = format!("L{opened}: {}", own::missing(app));
        above.extend(own::wrapped(&words, 1, area.width, theme.style(Role::Muted)));
    }
    if shown.ffn.neurons.is_empty() {
        above.extend(own::wrapped(&why_missing(app), 1, area.width, theme.style(Role::Text)));
        own::stack(&above, under, 0, buf);
        return;
    }
    let at = own::stack(&above, under, 0, buf);
    let under = Rect { y: under.y + at, height: under.height - at, ..under };
    let detail = neurons::detail(&shown, area.width);
    let legend = neurons::legend(theme, area.width);
    let fits = |rows: &[Row], left: u16, least: u16| left >= rows.len() as u16 + 1 + least;
    let mut list = under.height;
    let detailed = fits(&detail, list, 5);
    if detailed {
        list -= detail.len() as u16 + 1;
    }
    let explained = fits(&legend, list, 8);
    if explained {
        list -= legend.len() as u16 + 1;
    }
    let mut at = neurons::draw(&shown, Rect { height: list, ..under }, buf) + 1;
    if detailed {
        at += own::stack(&detail, under, at, buf) + 1;
    }
    if explained {
        own::stack(&legend, under, at, buf);
    }
}

/// `L24 feed-forward at ␣Paris: 1536 neurons`
fn subject(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let layer = format!("L{} feed-forward", shown.ffn.layer);
    let place = format!(" at position {}", shown.seen.trace.position);
    let of = if shown.ffn.experts.is_empty() { "neurons" } else { "neurons an expert" };
    let width = format!(", {} {of}", number::grouped(shown.ffn.width.into()));
    let room = area.width.saturating_sub(text::width(&layer) + text::width(&place) + text::width(&width) + 4);
    let chose = if shown.app.inspector.inside.own_pass { "itself" } else { "chose" };
    let name = own::shown_name(shown.app, shown.theme);
    let name = text::cut(&format!(", {chose} {name}"), room);
    let name = if room < 12 { String::new() } else { name };
    let pieces = [
        (layer.as_str(), Role::Strong),
        (place.as_str(), Role::Text),
        (width.as_str(), Role::Text),
        (name.as_str(), Role::TokenChosen),
    ];
    own::subject(shown.theme, area, &pieces, &own::price(shown.app, shown.seen), buf);
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
    own::packed(&texts, 1, width, shown.theme.style(Role::Text))
}

/// Why there are no neurons: the model's own reason, where the pass gave one.
fn why_missing(app: &App) -> String {
    let seen = app.shown_inside();
    let said = seen.and_then(|seen| seen.trace.missing.iter().find(|what| what.contains("feed-forward")));
    said.map_or_else(|| own::missing(app), |what| format!("not known: {what}"))
}
