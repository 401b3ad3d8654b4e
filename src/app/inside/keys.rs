//! Keys of the stations that look inside: which block, head, part or row, and what is switched off.
//!
//! Invariant: a choice is clamped to what the model has; choosing one stops the app from choosing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ffn::NEURONS;
use super::{App, Station};
use crate::app::cursor::Move;
use crate::engine::protocol::switched_off;
use crate::inspect::trace::Part;

impl App {
    /// A key of an open station that looks inside; whether it was one.
    pub(crate) fn inside_key(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return false;
        }
        if self.inspector.inside.picking.is_some() && self.inspector.station == Station::Why {
            return self.picking_key(key.code);
        }
        match key.code {
            KeyCode::Up if self.moves_cell(-1, 0) => {}
            KeyCode::Down if self.moves_cell(1, 0) => {}
            KeyCode::Left if self.moves_cell(0, -1) => {}
            KeyCode::Right if self.moves_cell(0, 1) => {}
            KeyCode::Esc if self.leaves_picture() => {}
            KeyCode::Enter if self.inspector.station == Station::Why => self.pin(),
            KeyCode::Char('a') if self.inspector.station == Station::Why => self.ask_off(),
            KeyCode::Up => self.move_inside(-1, 0),
            KeyCode::Down => self.move_inside(1, 0),
            KeyCode::Tab if self.inspector.station == Station::Ffn => {
                self.inspector.inside.on_neurons = !self.inspector.inside.on_neurons;
            }
            KeyCode::Left if self.walks_tokens() => self.move_token(Move::Previous),
            KeyCode::Right if self.walks_tokens() => self.move_token(Move::Next),
            KeyCode::Left => self.move_inside(0, -1),
            KeyCode::Right => self.move_inside(0, 1),
            KeyCode::Enter if self.inspector.station == Station::Embedding => self.add_to_map(),
            KeyCode::Char('v') if self.inspector.station == Station::Embedding => self.choose_span(),
            KeyCode::Char('p') if self.inspector.station == Station::Position => self.pick_position(),
            KeyCode::Enter | KeyCode::Esc if self.is_picking() => self.inspector.inside.picking_head = false,
            KeyCode::Enter => self.inspector.inside.opened = !self.inspector.inside.opened,
            KeyCode::Esc if self.inspector.inside.opened => self.inspector.inside.opened = false,
            KeyCode::Char('4') if self.carries_layer() => self.open_part(Station::Attention),
            KeyCode::Char('5') if self.carries_layer() => self.open_part(Station::Ffn),
            _ => return false,
        }
        true
    }

    /// A key while the source of a patch is chosen.
    fn picking_key(&mut self, key: KeyCode) -> bool {
        match key {
            KeyCode::Left => self.move_source(-1),
            KeyCode::Right => self.move_source(1),
            KeyCode::Home => self.move_source(i32::MIN / 2),
            KeyCode::End => self.move_source(i32::MAX / 2),
            KeyCode::Char('v') => self.other_text(),
            KeyCode::Char('s') => self.other_patch(),
            KeyCode::Enter | KeyCode::Char('p') => self.patch(),
            KeyCode::Esc => self.inspector.inside.picking = None,
            _ => return false,
        }
        true
    }

    /// Whether left and right go from token to token: over the columns of the grid.
    pub(super) fn walks_tokens(&self) -> bool {
        self.inspector.station == Station::Layers && self.inspector.depths.shows_grid
    }

    /// Whether the open station has a selected block to take along.
    fn carries_layer(&self) -> bool {
        matches!(self.inspector.station, Station::Layers | Station::Why)
    }

    /// Opens the selected block or part at another station.
    fn open_part(&mut self, station: Station) {
        if self.inspector.station == Station::Why {
            match self.selected_part() {
                Some(Part::Head(layer, head)) => self.aim_at(layer, Some(head)),
                Some(
                    Part::Attention(layer) | Part::Ffn(layer) | Part::Neuron(layer, _) | Part::Stream(layer),
                ) => self.aim_at(layer, None),
                Some(Part::Embedding) | None => {}
            }
        } else {
            self.aim_at(self.opened_layer(), None);
        }
        self.station(station);
    }

    fn aim_at(&mut self, layer: u32, head: Option<u32>) {
        let inside = &mut self.inspector.inside;
        inside.layer = layer;
        inside.head = head.unwrap_or(inside.head);
        inside.aimed = true;
    }

    fn move_inside(&mut self, down: i32, right: i32) {
        let Some(facts) = self.ready().map(|loaded| &loaded.facts) else { return };
        let (layers, heads) = (facts.layers, facts.heads);
        let step =
            |value: u32, by: i32, count: u32| value.saturating_add_signed(by).min(count.saturating_sub(1));
        let layer = self.opened_layer();
        let rows = match self.inspector.station {
            Station::Why => self.ranked_parts().len(),
            Station::Tokens => self.merges_on_display(),
            _ => usize::MAX,
        };
        let inside = &mut self.inspector.inside;
        match self.inspector.station {
            Station::Attention => {
                inside.layer = step(layer, down, layers);
                inside.head = step(inside.head, right, heads);
                inside.aimed = true;
            }
            Station::Layers => {
                inside.layer = step(layer, down, layers);
                inside.aimed = true;
            }
            Station::Ffn => {
                let (layers_by, rows_by) = if inside.on_neurons { (right, down) } else { (down + right, 0) };
                inside.row = inside.row.saturating_add_signed(rows_by as isize).min(NEURONS - 1);
                inside.layer = step(layer, layers_by, layers);
                inside.aimed = true;
            }
            Station::Position => self.move_position(down, right),
            _ => inside.row = inside.row.saturating_add_signed(down as isize).min(rows.saturating_sub(1)),
        }
    }

    /// The part that is selected at the open station.
    #[must_use]
    pub fn selected_part(&self) -> Option<Part> {
        let inside = &self.inspector.inside;
        match self.inspector.station {
            Station::Why => {
                let parts = self.ranked_parts();
                parts.get(inside.row.min(parts.len().saturating_sub(1))).map(|part| part.part)
            }
            Station::Attention => Some(Part::Head(self.opened_layer(), inside.head)),
            Station::Ffn => Some(self.selected_neuron().unwrap_or(Part::Ffn(self.opened_layer()))),
            _ => None,
        }
    }

    /// The neuron that is selected at the feed-forward station; in a mixture none can be switched off alone.
    fn selected_neuron(&self) -> Option<Part> {
        let layer = self.opened_layer();
        let ffn = self.shown_inside()?.ffns.iter().find(|ffn| ffn.layer == layer)?;
        let row = self.inspector.inside.row.min(ffn.neurons.len().saturating_sub(1));
        let neuron = ffn.neurons.get(row).filter(|neuron| neuron.expert.is_none())?;
        Some(Part::Neuron(layer, neuron.index))
    }

    /// Switches the selected part off or on again, in the pass's own position or everywhere.
    pub(crate) fn switch_off(&mut self, everywhere: bool) {
        let Some(part) = self.selected_part() else {
            return self.say("a part is switched off in the stations why, attention and ffn");
        };
        if switched_off(part).is_none() {
            return self.warn("the embedding stays: without it nothing is read");
        }
        let tried = &self.inspector.inside.tried;
        let off = !(tried.off.contains(&part) && tried.everywhere == everywhere);
        self.try_out(|tried| {
            tried.everywhere = everywhere;
            tried.patches.remove(&part);
            if off {
                tried.off.insert(part);
            } else {
                tried.off.remove(&part);
            }
        });
        let name = named(part);
        let place = if everywhere { "at every position" } else { "at this position" };
        let why = self.inspector.station != Station::Why;
        let next = if why { "; the why station shows what that changes" } else { "" };
        self.say(if off { format!("{name} off {place}{next}") } else { format!("{name} on again") });
    }

    /// Holds the chosen token against the next likeliest other one.
    pub(crate) fn next_rival(&mut self) {
        let Some(step) = self.shown_step().map(|shown| &shown.step) else { return };
        let others: Vec<_> = step.candidates.iter().map(|c| c.id).filter(|id| Some(*id) != step.id).collect();
        let now = self.rival().and_then(|rival| others.iter().position(|id| *id == rival));
        let next = now.map_or(0, |now| (now + 1) % others.len().max(1));
        self.inspector.inside.rival = others.get(next).copied();
    }

    /// Shows the pass at the token itself, or the one that chose it.
    pub(crate) fn other_pass(&mut self) {
        let other = &mut self.inspector.inside.other_pass;
        *other = !*other;
        let said =
            if self.own_pass() { "the pass at the token itself" } else { "the pass that chose the token" };
        self.say(said);
    }
}

/// A part as people say it.
#[must_use]
pub fn named(part: Part) -> String {
    match part {
        Part::Embedding => "the embedding".to_owned(),
        Part::Attention(layer) => format!("L{layer} attention"),
        Part::Head(layer, head) => format!("L{layer} head {head}"),
        Part::Ffn(layer) => format!("L{layer} feed-forward"),
        Part::Neuron(layer, neuron) => format!("L{layer} neuron {neuron}"),
        Part::Stream(layer) => format!("the residual stream after L{layer}"),
    }
}
