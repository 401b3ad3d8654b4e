//! The stations: each one a unit that says what it is called, what it asks of the engine, what its keys do, what it
//! explains and what it exports. The rest of the app asks the list.
//!
//! Invariant: [`STATIONS`] is in the order of [`Station::ALL`], which is that of the strip.

pub(crate) mod attention;
pub(crate) mod embedding;
pub(crate) mod ffn;
mod keys;
pub(crate) mod layers;
pub(crate) mod position;
pub(crate) mod sampler;
pub(crate) mod softmax;
pub(crate) mod tokens;
pub(crate) mod why;

use crossterm::event::KeyEvent;

use super::export::Exported;
use super::{LiveStep, Wish};
use crate::app::{App, ChatView, Display, Inspector, Outbox};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, CapturePlan, Live};
use crate::inspect::trace::Component;
pub(crate) use keys::{Hints, Keys, arrow};

/// A station of the inspector, in the order of the strip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Station {
    /// 1
    Tokens,
    /// 2
    Embedding,
    /// 3
    Position,
    /// 4
    Attention,
    /// 5
    Ffn,
    /// 6
    Layers,
    /// 7
    #[default]
    Softmax,
    /// 8
    Sampler,
    /// 9
    Why,
}

/// The units, in the order of [`Station::ALL`].
pub(crate) const STATIONS: [&dyn StationUnit; Station::ALL.len()] = [
    &tokens::Tokens,
    &embedding::Embedding,
    &position::Position,
    &attention::Attention,
    &ffn::Ffn,
    &layers::Layers,
    &softmax::Softmax,
    &sampler::Sampler,
    &why::Why,
];

/// What a station is called, whatever it shows.
pub(crate) struct About {
    /// Its name in commands, files and on the command line; the command that opens it has the same.
    pub name: &'static str,
    /// The title of its pane and of its page.
    pub title: &'static str,
    /// Its name in the strip after its digit, where there is room for all.
    pub strip: &'static str,
    /// What it shows of a word.
    pub shows: &'static str,
    /// The contexts of its keys, its own first and then those of its modes.
    pub contexts: &'static [Context],
    /// What `?` says of it, as Markdown: title, plain sentences, formulas, words, what is not shown, keys by command.
    pub page: &'static str,
}

/// All that the rest of the app asks of a station; how it is drawn is in `ui/inspector`.
pub(crate) trait StationUnit: Sync {
    /// What it is called.
    fn about(&self) -> About;

    /// The context that goes before its own now.
    fn mode(&self, _inspector: &Inspector) -> Option<Context> {
        None
    }

    /// Whether the rail of a narrow screen stands for it.
    fn on_rail(&self) -> bool {
        false
    }

    /// Whether it begins with the pass at the token itself rather than with the one that chose it.
    fn begins_with_own_pass(&self) -> bool {
        false
    }

    /// Whether what it shows of a token is of the pass at the token itself.
    fn shows_own_pass(&self, on: &Display<'_>) -> bool {
        on.own_pass()
    }

    /// Whether it asks beside a reply that is being written.
    fn asks_beside_reply(&self) -> bool {
        false
    }

    /// What an engine must be able to do for it to show anything.
    fn needs(&self) -> Option<Capability> {
        None
    }

    /// What it shows of the inside of a pass, of the embedding table or of the tokenizer, and is not known yet.
    fn wants(&self, _on: &Display<'_>) -> Option<Wish> {
        None
    }

    /// Whether the whole distribution of the shown step, or the samplers' way through it, is needed and not known yet.
    fn wants_replay(&self, _on: &Display<'_>, _shown: &LiveStep) -> bool {
        false
    }

    /// What is to be opened of each token while a reply is written; whether there is something.
    fn wants_live(&self, _on: &Display<'_>, _live: &mut Live) -> bool {
        false
    }

    /// What is to be recorded of each token while a reply is written.
    fn records(&self, _on: &Display<'_>, _plan: &mut CapturePlan) {}

    /// A pass was opened: what it tells may choose what is shown of it.
    fn pass_opened(&self, _inspector: &mut Inspector, _view: ChatView<'_>) {}

    /// Does what one of its commands says; whether it was one.
    fn command(&self, app: &mut App, command: Command) -> bool;

    /// A key that goes into a line of its own; false where nothing is typed there, or the key has no meaning.
    fn input(&self, _app: &mut App, _key: KeyEvent) -> bool {
        false
    }

    /// Esc: the innermost of its own things is closed; whether there was one.
    fn leave(&self, app: &mut App) -> bool {
        std::mem::take(&mut app.inspector.inside.opened)
    }

    /// The part of the network that is selected.
    fn selected(&self, _on: &Display<'_>) -> Option<Component> {
        None
    }

    /// Keys with what they do, most useful first.
    fn hints(&self, on: &Display<'_>) -> Hints;

    /// Its own figures for a file.
    fn export(&self, on: &Display<'_>, file: &mut Exported);
}

impl Station {
    /// All stations.
    pub const ALL: [Self; 9] = [
        Self::Tokens,
        Self::Embedding,
        Self::Position,
        Self::Attention,
        Self::Ffn,
        Self::Layers,
        Self::Softmax,
        Self::Sampler,
        Self::Why,
    ];

    /// What it is and does.
    pub(crate) fn unit(self) -> &'static dyn StationUnit {
        STATIONS[self as usize]
    }

    /// What it is called.
    pub(crate) fn about(self) -> About {
        self.unit().about()
    }

    /// The station of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|station| station.about().name == name)
    }

    /// The station of a digit on the strip.
    pub fn of_digit(digit: char) -> Option<Self> {
        let place = digit.to_digit(10)?.checked_sub(1)?;
        Self::ALL.get(place as usize).copied()
    }
}

impl Inspector {
    /// The contexts of the open station's keys, innermost first.
    pub(crate) fn station_contexts(&self) -> Vec<Context> {
        let unit = self.station.unit();
        let mode = unit.mode(self);
        mode.into_iter().chain(unit.about().contexts.first().copied()).chain([Context::Inspector]).collect()
    }

    /// Moves the selected row of a list of so many; whether the command is an arrow.
    pub(crate) fn row_command(&mut self, view: ChatView<'_>, command: Command, rows: usize) -> bool {
        let Some((down, _)) = arrow(command) else { return false };
        if view.ready().is_some() {
            let row = &mut self.inside.row;
            *row = row.saturating_add_signed(down as isize).min(rows.saturating_sub(1));
        }
        true
    }

    /// Chooses the block and head that lie so far from those opened.
    pub(crate) fn aim_by(&mut self, view: ChatView<'_>, layers: i32, heads: i32) {
        let Some(facts) = view.ready().map(|loaded| &loaded.facts) else { return };
        let (last_layer, last_head) = (facts.layers.saturating_sub(1), facts.heads.saturating_sub(1));
        let layer = self.display(view).opened_layer();
        let inside = &mut self.inside;
        inside.layer = layer.saturating_add_signed(layers).min(last_layer);
        inside.head = inside.head.saturating_add_signed(heads).min(last_head);
        inside.aimed = true;
    }

    /// Shows what is selected alone, where there is no room for all, or everything again.
    pub(crate) fn show_selected_alone(&mut self) {
        self.inside.opened = !self.inside.opened;
    }

    /// Holds the chosen token against the next likeliest other one.
    pub(crate) fn next_rival(&mut self, view: ChatView<'_>) {
        let Some(step) = self.display(view).shown_step().map(|shown| &shown.step) else { return };
        let others: Vec<_> = step.candidates.iter().map(|c| c.id).filter(|id| Some(*id) != step.id).collect();
        let now = self.display(view).rival().and_then(|rival| others.iter().position(|id| *id == rival));
        let next = now.map_or(0, |now| (now + 1) % others.len().max(1));
        self.inside.rival = others.get(next).copied();
    }

    /// Shows the pass at the token itself, or the one that chose it.
    pub(crate) fn other_pass(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let other = &mut self.inside.other_pass;
        *other = !*other;
        let said = if self.display(view).own_pass() {
            "the pass at the token itself"
        } else {
            "the pass that chose the token"
        };
        out.say(said);
    }
}

impl App {
    /// A key that goes into a line of the open station; false where nothing is typed there, or it has no meaning.
    pub(crate) fn station_input(&mut self, key: KeyEvent) -> bool {
        self.inspector.station.unit().input(self, key)
    }

    /// Esc in the open station: the innermost of its own things is closed; whether there was one.
    pub(crate) fn leave_in_station(&mut self) -> bool {
        self.inspector.station.unit().leave(self)
    }

    /// Opens the station of a command's name, or does what a station's command says; one that is not open is opened
    /// for it.
    pub(crate) fn station_command(&mut self, command: Command) {
        let entry = command.entry();
        if let Some(station) = Station::named(entry.name) {
            return self.station(station);
        }
        let open = self.inspector.station;
        let is_its =
            |station: &Station| entry.contexts().any(|context| station.about().contexts.contains(&context));
        let its = std::iter::once(open).chain(Station::ALL).find(is_its);
        its.unwrap_or(open).unit().command(self, command);
        if let Some(station) = its.filter(|station| !self.inspector.station_open(*station)) {
            self.station(station);
        }
    }

    /// Opens a block, and a head where one is meant, at another station.
    pub(crate) fn open_at(&mut self, station: Station, layer: Option<u32>, head: Option<u32>) {
        if let Some(layer) = layer {
            let inside = &mut self.inspector.inside;
            inside.layer = layer;
            inside.head = head.unwrap_or(inside.head);
            inside.aimed = true;
        }
        self.station(station);
    }
}

impl Display<'_> {
    /// Keys of the open station with what they do, most useful first.
    pub fn station_hints(&self) -> Vec<(String, &'static str)> {
        self.inspector.station.unit().hints(self)
    }

    /// The part that is selected at the open station.
    pub fn selected_part(&self) -> Option<Component> {
        self.inspector.station.unit().selected(self)
    }
}

/// A part as people say it.
pub fn named(part: Component) -> String {
    match part {
        Component::Embedding => "the embedding".to_owned(),
        Component::Attention(layer) => format!("L{layer} attention"),
        Component::Head(layer, head) => format!("L{layer} head {head}"),
        Component::Ffn(layer) => format!("L{layer} feed-forward"),
        Component::Neuron(layer, neuron) => format!("L{layer} neuron {neuron}"),
        Component::Stream(layer) => format!("the residual stream after L{layer}"),
        Component::AttentionBias(layer) => format!("L{layer} attention's bias"),
        Component::NormBias => "the final norm's bias".to_owned(),
        Component::OutputBias => "the output's bias".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    #[test]
    fn the_list_is_in_the_order_of_the_strip() {
        for (at, station) in Station::ALL.into_iter().enumerate() {
            assert_eq!(station as usize, at);
            assert_eq!(Station::named(STATIONS[at].about().name), Some(station));
            assert_eq!(
                Command::named(station.about().name).map(|command| command.entry().name),
                Some(station.about().name)
            );
        }
        assert_eq!((Station::of_digit('0'), Station::of_digit('9')), (None, Some(Station::Why)));
    }

    #[test]
    fn every_command_of_a_station_does_something_there() {
        let config = crate::config::Config::default();
        let keymap = crate::config::keymap::Keymap::defaults();
        let (mut app, _) = App::new(config, keymap, 1, (120, 40));
        let mut tried = 0;
        for station in Station::ALL {
            let unit = station.unit();
            app.inspector.station = station;
            for entry in
                TABLE.iter().filter(|entry| entry.contexts().any(|of| unit.about().contexts.contains(&of)))
            {
                assert!(unit.command(&mut app, entry.command), "{} at {}", entry.name, unit.about().name);
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried}");
    }
}
