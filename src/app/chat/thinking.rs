//! What the model's chat template is told beside the messages: whether to think, how much, and any other value.
//!
//! Invariant: a value holds for this chat; without one, the model's or the configuration's does, else the template's
//! own.

use serde_json::Value;

use crate::app::input::fuzzy;
use crate::app::view::With;
use crate::app::{ChatView, Outbox, Talk};
use crate::chat::TemplateValues;

/// Names under which templates know a switch for thinking.
const SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];
/// And how much of it.
const EFFORT: &str = "reasoning_effort";
const EFFORTS: [&str; 3] = ["low", "medium", "high"];

impl ChatView<'_> {
    /// Whether a line begins with a word that the model knows and the app does not, such as `/no_think`.
    pub(crate) fn is_word_of_model(&self, line: &str) -> bool {
        let word = line.split_whitespace().next().unwrap_or_default();
        word.starts_with('/') && self.words_of_model().iter().any(|known| known == word)
    }

    fn words_of_model(&self) -> &[String] {
        self.ready().map_or(&[], |loaded| loaded.switches.words.as_slice())
    }

    fn template_reads(&self, name: &str) -> bool {
        self.ready().is_some_and(|loaded| loaded.switches.values.iter().any(|value| value == name))
    }

    /// The values that the template is given in the shown chat.
    pub(crate) fn template_values(&self) -> TemplateValues {
        match self.config.model_named(&self.model.name) {
            Some(entry) => self.config.template_values_for(&entry, &self.chat.settings),
            None => self.chat.settings.template_values.clone(),
        }
    }

    /// How the model is told to think, where that is told: `on`, `off` or how much.
    #[must_use]
    pub fn thinking(&self) -> Option<String> {
        let values = self.template_values();
        let told = |name: &&str| self.template_reads(name).then(|| values.get(*name)).flatten();
        let effort = Some(EFFORT).as_ref().and_then(told).and_then(Value::as_str).map(str::to_owned);
        let on = SWITCHES.iter().find_map(told).and_then(Value::as_bool);
        effort.or_else(|| on.map(|on| if on { "on" } else { "off" }.to_owned()))
    }

    /// What can stand after `/thinking`.
    pub(crate) fn thinking_choices(&self) -> Vec<(String, String)> {
        let mut choices: Vec<(String, String)> = Vec::new();
        if SWITCHES.iter().any(|name| self.template_reads(name)) {
            choices.push(("on".into(), "think before each reply".into()));
            choices.push(("off".into(), "reply at once".into()));
        }
        if self.template_reads(EFFORT) {
            choices.extend(EFFORTS.iter().map(|effort| ((*effort).to_owned(), "how much is thought".into())));
        }
        if !choices.is_empty() {
            choices.push(("default".into(), "as the template does by itself".into()));
        }
        choices
    }

    /// What can stand after `/template-value`.
    pub(crate) fn template_value_choices(&self) -> Vec<(String, String)> {
        let values = self.template_values();
        let names = self.ready().map_or(&[][..], |loaded| loaded.switches.values.as_slice());
        let shown = |name: &String| values.get(name).map_or("not given".into(), ToString::to_string);
        names.iter().map(|name| (name.clone(), shown(name))).collect()
    }
}

impl Talk {
    /// `/thinking` alone: how it is, and what can be said.
    pub(crate) fn say_thinking(&self, with: With<'_>, out: &mut Outbox) {
        let view = self.view(with);
        let choices = view.thinking_choices();
        if choices.is_empty() {
            out.say(no_switch(view));
            return;
        }
        let now = view.thinking().unwrap_or_else(|| "as the template does by itself".into());
        let names: Vec<&str> = choices.iter().map(|(name, _)| name.as_str()).collect();
        out.say(format!("thinking: {now}; /thinking {} changes it", names.join(", ")));
    }

    /// `/thinking on`, `off`, `default`, or how much.
    pub(crate) fn set_thinking(&mut self, with: With<'_>, out: &mut Outbox, how: &str) -> bool {
        let how = how.to_lowercase();
        let view = self.view(with);
        let choices = view.thinking_choices();
        if choices.is_empty() {
            out.warn(no_switch(view));
            return false;
        }
        if choices.iter().all(|(name, _)| *name != how) {
            let names: Vec<&str> = choices.iter().map(|(name, _)| name.as_str()).collect();
            out.warn(format!("/thinking takes {}, not {how}", names.join(", ")));
            return false;
        }
        let read = |name: &&&str| view.template_reads(name);
        let switches: Vec<&str> = SWITCHES.iter().filter(read).copied().collect();
        let values = &mut self.chat.settings.template_values;
        match how.as_str() {
            "on" | "off" => {
                for name in switches {
                    values.insert(name.to_owned(), Value::from(how == "on"));
                }
            }
            "default" => values.retain(|name, _| name != EFFORT && !SWITCHES.contains(&name.as_str())),
            effort => {
                values.insert(EFFORT.to_owned(), Value::from(effort));
            }
        }
        self.settings_changed(with, out);
        out.say(match how.as_str() {
            "default" => "thinking is as the template does by itself".to_owned(),
            how => format!("thinking is {how} in this chat"),
        });
        true
    }

    /// `/template-value` alone: all values.
    pub(crate) fn say_template_values(&self, with: With<'_>, out: &mut Outbox) {
        let view = self.view(with);
        let given = view.template_values();
        let given: Vec<String> = given.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let reads = view.ready().map_or(&[][..], |loaded| loaded.switches.values.as_slice());
        let given = if given.is_empty() { "no values are given".to_owned() } else { given.join(", ") };
        let reads = if reads.is_empty() { "none".to_owned() } else { reads.join(", ") };
        out.say(format!("{given}; the template reads {reads}"));
    }

    /// `/template-value NAME VALUE`; `default` takes it away.
    pub(crate) fn set_template_value(&mut self, with: With<'_>, out: &mut Outbox, pair: &str) -> bool {
        let (name, value) = pair.split_once([' ', '=']).unwrap_or((pair, ""));
        let value = value.trim_matches([' ', '=']);
        let view = self.view(with);
        if value.is_empty() {
            let now = view.template_values().get(name).map_or("not given".to_owned(), ToString::to_string);
            out.warn(format!("{name} is {now}; /template-value {name} VALUE changes it"));
            return false;
        }
        let unread = view.ready().filter(|_| !view.template_reads(name)).map(|loaded| {
            let near = fuzzy::nearest(name, loaded.switches.values.iter().map(String::as_str));
            near.map_or(String::new(), |near| format!(", but {near}"))
        });
        let values = &mut self.chat.settings.template_values;
        if value == "default" {
            values.remove(name);
            out.say(format!("{name} is no longer given in this chat"));
        } else {
            let read = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            out.say(format!("{name} is {read} in this chat"));
            values.insert(name.to_owned(), read);
            if let Some(near) = unread {
                out.warn(format!(
                    "{name} is given in this chat; this model's template does not read it{near}"
                ));
            }
        }
        self.settings_changed(with, out);
        true
    }
}

fn no_switch(view: ChatView<'_>) -> &'static str {
    match view.ready() {
        Some(_) => "this model's template has no switch for thinking",
        None => "no model is loaded yet",
    }
}
