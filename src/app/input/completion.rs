//! Typed commands: what `/` offers, and what a line that begins with it does.
//!
//! Invariants: a line that is not a command is never lost: it says what was meant and stays in the composer. Enter runs
//! only what the line names or begins; a match of scattered letters is offered, and Tab or ↓ takes it.

use crossterm::event::{KeyCode, KeyEvent};

use crate::app::{App, ChatView, Colouring, Completion, Focus, Offers, Outbox, Station, input::fuzzy};
use crate::chat::AdapterKind;
use crate::command::{self, Command, Context};
use crate::elsewhere::Elsewhere;
use crate::sampling::{SAMPLING_KEYS, setting};

/// How many lines are offered.
const OFFERED: usize = 8;

/// What a typed line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A message.
    Message,
    /// A command with its argument.
    Command(Command, &'a str),
    /// A command that does not exist; the word.
    Unknown(&'a str),
}

/// Reads a line: a command begins with one `/` and has no line break. An old name means what it did `here`.
pub fn read<'a>(text: &'a str, here: &[Context]) -> Line<'a> {
    let Some(line) = text.strip_prefix('/').filter(|line| !line.starts_with('/') && !text.contains('\n'))
    else {
        return Line::Message;
    };
    let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.trim();
    match Command::typed(word, here).or_else(|| (!argument.is_empty()).then(|| begun(word)).flatten()) {
        Some(command) => Line::Command(command, argument),
        None => Line::Unknown(word),
    }
}

/// The command that a word begins, where it is the only one, takes what stands behind it, and takes nothing away.
fn begun(word: &str) -> Option<Command> {
    let mut begun = command::offered().filter(|entry| fuzzy::begins(entry.name, word));
    let only = begun.next().filter(|_| !word.is_empty() && begun.next().is_none())?.command;
    (only.takes_argument() && !only.destroys()).then_some(only)
}

/// Words that other chat programs have for what is called otherwise here.
const ELSEWHERE: [(&str, Command); 9] = [
    ("exit", Command::Quit),
    ("bye", Command::Quit),
    ("clear", Command::NewChat),
    ("reset", Command::NewChat),
    ("retry", Command::Regenerate),
    ("again", Command::Regenerate),
    ("history", Command::Search),
    ("file", Command::Attach),
    ("title", Command::Rename),
];

impl App {
    /// Works out what the composer offers.
    pub(crate) fn complete(&mut self) {
        let items = view!(self).offers(&self.themes, &self.composer.text());
        let of = Offers::Lines;
        if items.is_empty() && self.composer.offer_paths(&mut self.out) {
            // What was offered stays until the paths are known.
            self.composer.completion = self.composer.completion.take().filter(|open| open.of != of);
            return;
        }
        self.composer.completion =
            (!items.is_empty()).then_some(Completion { items, selected: 0, walked: false, of });
    }

    /// A key while completion is open; says whether it was taken.
    pub(crate) fn completion_key(&mut self, key: KeyEvent) -> bool {
        if self.focus != Focus::Composer || !key.modifiers.is_empty() {
            return false;
        }
        let Some(completion) = &mut self.composer.completion else { return false };
        let last = completion.items.len().saturating_sub(1);
        completion.walked |= matches!(key.code, KeyCode::Up | KeyCode::Down);
        match key.code {
            KeyCode::Up => completion.selected = completion.selected.checked_sub(1).unwrap_or(last),
            KeyCode::Down => {
                completion.selected = if completion.selected == last { 0 } else { completion.selected + 1 };
            }
            KeyCode::Esc => self.composer.completion = None,
            KeyCode::Tab => self.take_completion(),
            KeyCode::Enter => return self.enter_completion(),
            _ => return false,
        }
        true
    }

    fn take_completion(&mut self) {
        let Some(completion) = self.composer.completion.take() else { return };
        let line = &completion.items[completion.selected].0;
        if completion.of != Offers::Lines {
            return self.take_path(line, completion.of);
        }
        let more = match read(line, &[]) {
            Line::Command(command, "") => command.takes_argument(),
            Line::Command(Command::Set, argument) => !argument.contains(' '), // its value comes next
            _ => false,
        };
        self.composer.replace(
            &self.model,
            &mut self.out,
            &if more { format!("{line} ") } else { line.clone() },
        );
        if more {
            self.complete();
        }
    }

    /// Enter takes the offer, and runs it if the line begins it and nothing is still to be typed. An offer that was
    /// walked to is taken into the line; any other that the line does not begin is none.
    fn enter_completion(&mut self) -> bool {
        let Some(completion) = &self.composer.completion else { return false };
        let chosen = completion.items[completion.selected].0.clone();
        if completion.of != Offers::Lines {
            let meant = completion.walked || self.composer.names_path(&chosen);
            if meant {
                self.take_completion();
            }
            return meant;
        }
        let typed = self.composer.text();
        if !fuzzy::begins(&chosen, typed.trim_end()) {
            let walked = completion.walked;
            if walked {
                self.take_completion();
            }
            return walked;
        }
        let complete = match read(&chosen, &[]) {
            Line::Command(Command::Set, argument) => argument.contains(' '),
            Line::Message | Line::Unknown(_) => false,
            // What takes something away is named in full.
            Line::Command(command, "") if command.destroys() => chosen == typed.trim_end(),
            Line::Command(command, argument) => !(command.needs_argument() && argument.is_empty()),
        };
        if complete {
            self.composer.replace(&self.model, &mut self.out, &chosen);
            self.submit();
        } else {
            self.take_completion();
        }
        true
    }

    /// Runs a typed command; says whether the draft is done with.
    pub(crate) fn run_line(&mut self, command: Command, argument: &str) -> bool {
        if !argument.is_empty() && !command.takes_argument() {
            self.out.warn(format!("/{} takes no argument", command.entry().name));
            return false;
        }
        if argument.is_empty() && command.needs_argument() {
            self.out.warn(format!("/{} needs {}", command.entry().name, command.argument()));
            return false;
        }
        match (command, argument) {
            (_, "") => {
                self.composer.replace(&self.model, &mut self.out, "");
                self.run_command(command);
                true
            }
            (Command::Model, name) => self.model_named(name),
            (Command::Attach, path) => {
                self.out.attach(path);
                true
            }
            (Command::Themes, name) => self.theme_named(name),
            (Command::Preset, name) => self.talk.preset_named(with!(self), &mut self.out, name),
            (Command::Thinking, how) => self.talk.set_thinking(with!(self), &mut self.out, how),
            (Command::TemplateValue, pair) => self.talk.set_template_value(with!(self), &mut self.out, pair),
            (Command::Lora, file) => self.adapter_named(AdapterKind::Lora, file),
            (Command::ControlVector, file) => self.adapter_named(AdapterKind::ControlVector, file),
            (Command::Microscope, name) => self.hold_against(name),
            (Command::Persona, name) => self.persona_named(name),
            (Command::SavePreset, name) => self.save_preset(name),
            (Command::Set, pair) => self.talk.set_sampling(with!(self), &mut self.out, pair),
            (Command::Grammar, name) => {
                self.talk.grammar_named(with!(self), &mut self.out, name);
                true
            }
            (Command::System, text) => {
                self.talk.set_system(with!(self), &mut self.out, text);
                true
            }
            (Command::Rename, title) => {
                self.talk.rename(with!(self), &mut self.out, self.talk.chat.head.id, title);
                true
            }
            (Command::TagChat, tags) => {
                self.talk.tag_chat(with!(self), &mut self.out, tags);
                true
            }
            (Command::Export, name) => {
                self.out.export(view!(self), name, self.transcript.thoughts);
                true
            }
            (Command::Slow, pace) => self.talk.slow_down(with!(self), &mut self.out, pace),
            (Command::ExportStation, argument) => {
                self.export_station(argument);
                true
            }
            (Command::Colour, name) => self.colour_named(name),
            (Command::Station, name) => self.station_named(name),
            (Command::EmbeddingArithmetic, words) => self.add_words(words),
            (Command::Find, text) => {
                self.transcript.find(view!(self), text);
                true
            }
            (Command::Search, text) => {
                self.open_search(text);
                true
            }
            _ => false,
        }
    }
}

impl ChatView<'_> {
    /// What a line can go on to: whole lines with their help.
    fn offers(&self, themes: &[String], text: &str) -> Vec<(String, String)> {
        let Some(line) = text.strip_prefix('/').filter(|line| !line.starts_with('/') && !text.contains('\n'))
        else {
            return Vec::new();
        };
        if self.is_word_of_model(text) {
            return Vec::new();
        }
        match line.split_once(' ') {
            None => offered_commands(line),
            Some((word, typed)) => {
                let Some(command) = Command::named(word) else { return Vec::new() };
                if let Some((key, value)) = typed.split_once(' ').filter(|_| command == Command::Set) {
                    return self.values(key, value);
                }
                let arguments = self.arguments(themes, command);
                let names: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
                let best = fuzzy::begun_first(typed.trim(), &names).into_iter().take(OFFERED);
                best.map(|at| (format!("/{word} {}", arguments[at].0), arguments[at].1.clone())).collect()
            }
        }
    }

    /// What can stand after a command: value and help.
    fn arguments(&self, themes: &[String], command: Command) -> Vec<(String, String)> {
        match command {
            Command::Model => {
                let help = |name: &str| match self.model.catalogue.iter().find(|item| item.entry.name == name)
                {
                    Some(item) if let Some(place) = Elsewhere::of(&item.entry) => {
                        format!("on {}", place.host)
                    }
                    Some(item) if item.path.is_some() => "on this machine".to_owned(),
                    _ => "not fetched".to_owned(),
                };
                self.config.models.iter().map(|entry| (entry.name.clone(), help(&entry.name))).collect()
            }
            Command::Microscope => {
                self.model.others().map(|entry| (entry.name.clone(), "on this machine".to_owned())).collect()
            }
            Command::Themes => themes.iter().map(|name| (name.clone(), String::new())).collect(),
            Command::Preset => {
                let none = ("none".to_owned(), "back to the defaults".to_owned());
                let named = self.config.presets.keys().map(|name| (name.clone(), String::new()));
                named.chain([none]).collect()
            }
            Command::Persona => {
                let none = ("none".to_owned(), "back to the defaults".to_owned());
                let named = self.config.personas.iter();
                named.map(|(name, persona)| (name.clone(), persona.about.clone())).chain([none]).collect()
            }
            Command::Station => {
                let help = |station: &Station| {
                    let command = Command::named(station.about().name);
                    command.map_or(String::new(), |command| command.entry().help().to_owned())
                };
                Station::ALL.iter().map(|it| (it.about().name.to_owned(), help(it))).collect()
            }
            Command::Colour => {
                Colouring::ALL.iter().map(|one| (one.name().to_owned(), one.help().to_owned())).collect()
            }
            Command::Thinking => self.thinking_choices(),
            Command::TemplateValue => self.template_value_choices(),
            Command::Lora => self.adapter_choices(AdapterKind::Lora),
            Command::ControlVector => self.adapter_choices(AdapterKind::ControlVector),
            Command::Set => {
                let said = |key: &str| format!("{}{}", self.sampling_value(key), range_of(key));
                SAMPLING_KEYS.iter().map(|key| ((*key).to_owned(), said(key))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a sampler setting can be set to: its value in use, with what it means and its range, and its default.
    fn values(&self, key: &str, typed: &str) -> Vec<(String, String)> {
        let Some(setting) = setting(key).filter(|_| typed.trim().is_empty()) else { return Vec::new() };
        let now = self.sampling_value(setting.name);
        let range = range_of(setting.name);
        vec![
            (format!("/set {} {now}", setting.name), format!("in use{range}; {}", setting.help.join(" "))),
            (format!("/set {} default", setting.name), "takes this chat's own value away".to_owned()),
        ]
    }
}

impl Outbox {
    /// Says that a command does not exist, and which one is near.
    pub(crate) fn unknown_command(&mut self, word: &str) {
        let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == word).map(|(_, meant)| meant.entry().name);
        let near = elsewhere.or_else(|| fuzzy::nearest(word, command::offered().map(|entry| entry.name)));
        let hint = near.map_or("Ctrl+P lists all".to_owned(), |name| format!("did you mean /{name}?"));
        self.warn(format!("there is no command /{word}; {hint} (// sends it as text)"));
    }
}

/// `; 0 to 5` for a setting that is a number.
fn range_of(key: &str) -> String {
    let range = setting(key).and_then(|setting| setting.about.range);
    range.map_or_else(String::new, |(_, least, most)| format!("; {least} to {most}"))
}

fn offered_commands(typed: &str) -> Vec<(String, String)> {
    let entries: Vec<_> = command::offered().collect();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let best = fuzzy::begun_first(typed, &names).into_iter().take(OFFERED);
    best.map(|at| (format!("/{}", names[at]), entries[at].help().to_owned())).collect()
}
