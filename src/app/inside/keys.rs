//! Keys of the stations that look inside: which block, head, part or row, and what is switched off.
//!
//! Invariant: a choice is clamped to what the model has; choosing one stops the app from choosing.

use crossterm::event::KeyEvent;

use super::ffn::NEURONS;
use super::{App, Station};
use crate::app::cursor::Move;
use crate::app::state::AttentionPicture;
use crate::command::{Command, Context};
use crate::engine::protocol::switched_off;
use crate::inspect::trace::Part;

impl Station {
    /// Where its own keys are looked up.
    pub(crate) fn context(self) -> Context {
        match self {
            Self::Tokens => Context::Tokens,
            Self::Embedding => Context::Embedding,
            Self::Position => Context::Position,
            Self::Attention => Context::Attention,
            Self::Ffn => Context::Ffn,
            Self::Layers => Context::Layers,
            Self::Softmax => Context::Softmax,
            Self::Sampler => Context::Sampler,
            Self::Why => Context::Why,
        }
    }
}

impl App {
    /// The contexts of the open station's keys, innermost first.
    pub(crate) fn station_contexts(&self) -> Vec<Context> {
        let station = self.inspector.station;
        let patching = station == Station::Why && self.inspector.inside.picking.is_some();
        let mode = patching.then_some(Context::Patching);
        mode.into_iter().chain([station.context(), Context::Inspector]).collect()
    }

    /// A key that goes into a line of the open station; false where nothing is typed there, or it has no meaning.
    pub(crate) fn station_input(&mut self, key: KeyEvent) -> bool {
        match self.inspector.station {
            Station::Softmax => self.filter_key(key),
            Station::Sampler => self.sandbox_key(key),
            Station::Tokens => self.trying_key(key),
            _ => false,
        }
    }

    /// Does what a station's command says; one that is not open is opened for it.
    pub(crate) fn station_command(&mut self, command: Command) {
        let contexts: Vec<Context> = command.entry().contexts().collect();
        let open = self.inspector.station;
        let of = |station: &&Station| {
            contexts.contains(&station.context())
                || (**station == Station::Why && contexts.contains(&Context::Patching))
        };
        let its = std::iter::once(&open).chain(Station::AVAILABLE).find(of).copied();
        match its.unwrap_or(open) {
            Station::Tokens => self.tokens_command(command),
            Station::Embedding => self.embedding_command(command),
            Station::Position => self.position_command(command),
            Station::Attention => self.attention_command(command),
            Station::Ffn => self.ffn_command(command),
            Station::Layers => self.layers_command(command),
            Station::Softmax => self.softmax_command(command),
            Station::Sampler => self.sampler_command(command),
            Station::Why => self.why_command(command),
        };
        if let Some(station) = its.filter(|station| !self.station_open(*station)) {
            self.station(station);
        }
    }

    /// Esc in the open station: the innermost of its own things is closed; whether there was one.
    pub(crate) fn leave_in_station(&mut self) -> bool {
        if self.inspector.station == Station::Softmax {
            return self.leave_list();
        }
        if self.inspector.station == Station::Sampler {
            return false;
        }
        if self.inspector.station == Station::Why && self.inspector.inside.picking.take().is_some() {
            return true;
        }
        if self.leaves_picture() {
            return true;
        }
        if self.is_picking() {
            self.inspector.inside.picking_head = false;
            return true;
        }
        std::mem::take(&mut self.inspector.inside.opened)
    }

    fn tokens_command(&mut self, command: Command) -> bool {
        match command {
            Command::TokensTry => self.try_word(),
            Command::TokensAll => self.inspector.inside.pieced.all = !self.inspector.inside.pieced.all,
            _ => return self.row_command(command),
        }
        true
    }

    fn embedding_command(&mut self, command: Command) -> bool {
        match command {
            Command::EmbeddingSpan => self.choose_span(),
            Command::EmbeddingAdd => self.add_to_map(),
            Command::EmbeddingMap => self.other_map(),
            Command::EmbeddingCentred => self.inspector.inside.centred = !self.inspector.inside.centred,
            Command::WatchToken => self.watch_selected(),
            _ => return self.row_command(command),
        }
        true
    }

    fn position_command(&mut self, command: Command) -> bool {
        match command {
            Command::PositionPick => self.pick_position(),
            Command::PositionDegrees => self.inspector.inside.degrees = !self.inspector.inside.degrees,
            Command::OpenSelected if self.is_picking() => self.inspector.inside.picking_head = false,
            Command::WatchToken => self.watch_selected(),
            _ => return self.row_command(command),
        }
        true
    }

    fn attention_command(&mut self, command: Command) -> bool {
        match command {
            Command::AttentionPicture => self.next_picture(),
            Command::AttentionMatrix => self.show_picture(AttentionPicture::Matrix),
            Command::AttentionRollout => self.show_picture(AttentionPicture::Rollout),
            Command::AttentionReaders => self.turn_direction(),
            Command::AttentionRaw => self.inspector.inside.raw = !self.inspector.inside.raw,
            Command::AttentionFirstToken => self.hide_first(),
            Command::AttentionGrain => self.next_grain(),
            Command::AttentionContrast => self.next_contrast(),
            Command::WatchToken => self.watch_selected(),
            Command::SelectUp if self.moves_cell(-1, 0) => {}
            Command::SelectDown if self.moves_cell(1, 0) => {}
            Command::SelectLeft if self.moves_cell(0, -1) => {}
            Command::SelectRight if self.moves_cell(0, 1) => {}
            _ => return self.row_command(command),
        }
        true
    }

    fn ffn_command(&mut self, command: Command) -> bool {
        match command {
            Command::SortNeurons => self.sort_neurons(),
            Command::FfnList => self.inspector.inside.on_neurons = !self.inspector.inside.on_neurons,
            Command::NextRival => self.next_rival(),
            _ => return self.row_command(command),
        }
        true
    }

    fn layers_command(&mut self, command: Command) -> bool {
        match command {
            Command::LayersGrid => self.toggle_grid(),
            Command::LayersRanks => self.inspector.inside.ranks = !self.inspector.inside.ranks,
            Command::OpenHeads => self.open_part(Station::Attention),
            Command::OpenNeurons => self.open_part(Station::Ffn),
            Command::NextRival => self.next_rival(),
            Command::SelectLeft if self.walks_tokens() => self.move_token(Move::Previous),
            Command::SelectRight if self.walks_tokens() => self.move_token(Move::Next),
            _ => return self.row_command(command),
        }
        true
    }

    fn sampler_command(&mut self, command: Command) -> bool {
        match command {
            Command::SamplerTry => self.open_sandbox(),
            Command::SortCandidates => self.inspector.by_last = !self.inspector.by_last,
            Command::WatchToken => self.watch_selected(),
            _ => return false,
        }
        true
    }

    fn why_command(&mut self, command: Command) -> bool {
        let patching = self.inspector.inside.picking.is_some();
        match command {
            Command::SelectLeft if patching => self.move_source(-1),
            Command::SelectRight if patching => self.move_source(1),
            Command::SelectUp | Command::SelectDown if patching => {}
            Command::PatchFirst => self.move_source(i32::MIN / 2),
            Command::PatchLast => self.move_source(i32::MAX / 2),
            Command::PatchText => self.other_text(),
            Command::PatchStream => self.other_patch(),
            Command::PatchApply => self.patch(),
            Command::WhyPin => self.pin(),
            Command::WhyAskOff => self.ask_off(),
            Command::SortParts => self.next_unit(),
            Command::OpenHeads => self.open_part(Station::Attention),
            Command::OpenNeurons => self.open_part(Station::Ffn),
            Command::NextRival => self.next_rival(),
            _ => return self.row_command(command),
        }
        true
    }

    /// The arrows, and Enter, at a station without another meaning for them.
    fn row_command(&mut self, command: Command) -> bool {
        match command {
            Command::SelectUp => self.move_inside(-1, 0),
            Command::SelectDown => self.move_inside(1, 0),
            Command::SelectLeft => self.move_inside(0, -1),
            Command::SelectRight => self.move_inside(0, 1),
            Command::OpenSelected => self.inspector.inside.opened = !self.inspector.inside.opened,
            _ => return false,
        }
        true
    }

    /// Whether left and right go from token to token: over the columns of the grid.
    pub(super) fn walks_tokens(&self) -> bool {
        self.inspector.station == Station::Layers && self.inspector.depths.shows_grid
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
