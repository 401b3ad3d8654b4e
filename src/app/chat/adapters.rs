//! LoRA adapters and control vectors of a chat: named, taken away, told, and what of them could not be used.
//!
//! Invariant: what the configuration gives a model holds until the chat says otherwise of the same file.

use std::path::Path;

use crate::app::view::With;
use crate::app::{App, ChatView, ModelState, Outbox, Talk};
use crate::chat::{Adapter, AdapterKind, Intervention, Run, named_adapter};

impl ChatView<'_> {
    /// What changes the network in the shown chat's next reply.
    pub(crate) fn interventions(&self) -> Vec<Intervention> {
        let entry = self.config.model_named(&self.model.name);
        self.config.interventions_for(entry.as_ref(), &self.chat.settings)
    }

    /// The adapters and control vectors of the shown chat's next reply, each with whether it can be used as far as is
    /// known.
    pub fn adapters(&self) -> Vec<(Adapter, bool)> {
        let all = self.interventions().into_iter().filter_map(|change| change.adapter().cloned());
        all.map(|adapter| (adapter.clone(), !self.model.is_left_out(&adapter))).collect()
    }

    /// The files of that kind that the model or the chat names, those that are off too.
    fn named_adapters(&self, kind: AdapterKind) -> Vec<Adapter> {
        let entry = self.config.model_named(&self.model.name);
        let models: Vec<Adapter> = entry.map(|entry| entry.adapters).unwrap_or_default();
        let chats = self.chat.settings.interventions.iter().filter_map(Intervention::adapter);
        let mut all: Vec<Adapter> = Vec::new();
        for adapter in models.iter().chain(chats).filter(|adapter| adapter.kind == kind) {
            all.retain(|known| !known.is_same_file(adapter));
            all.push(adapter.clone());
        }
        all
    }

    /// What can stand after `/lora` or `/control-vector`.
    pub(crate) fn adapter_choices(&self, kind: AdapterKind) -> Vec<(String, String)> {
        let said = |adapter: &Adapter| match adapter.scale {
            0.0 => "off in this chat".to_owned(),
            scale => format!("in use at {scale}; a number after it changes that, 0 is without it"),
        };
        let files = self.named_adapters(kind);
        let mut choices: Vec<(String, String)> =
            files.iter().map(|adapter| (adapter.name(), said(adapter))).collect();
        if !files.is_empty() {
            choices.push(("off".into(), "without any in this chat".into()));
            choices.push(("default".into(), "what the model's entry says".into()));
        }
        choices
    }
}

impl ModelState {
    fn is_left_out(&self, adapter: &Adapter) -> bool {
        self.left_out.iter().any(|other| other.is_same_file(adapter))
    }

    /// The engine said which of the adapters that a reply was asked with it cannot use.
    pub(crate) fn note_left_out(&mut self, run: Option<&Run>, left_out: &[Adapter]) {
        let asked = run.into_iter().flat_map(|run| &run.interventions).filter_map(Intervention::adapter);
        let asked: Vec<&Adapter> = asked.collect();
        self.left_out.retain(|known| asked.iter().all(|adapter| !adapter.is_same_file(known)));
        self.left_out.extend_from_slice(left_out);
    }
}

/// What the engine could not use is none of what a reply is made with.
pub(in crate::app) fn leave_out(run: &mut Run, left_out: &[Adapter]) {
    let used = |adapter: &Adapter| left_out.iter().all(|other| !other.is_same_file(adapter));
    run.interventions.retain(|change| change.adapter().is_none_or(used));
}

impl App {
    /// `/lora FILE SCALE` and `/control-vector FILE SCALE`, a file below the folder that the app was started in.
    pub(in crate::app) fn adapter_named(&mut self, kind: AdapterKind, text: &str) -> bool {
        self.talk.set_adapter(with!(self), &mut self.out, kind, text, &self.folder)
    }
}

impl Talk {
    /// `/lora FILE SCALE` and `/control-vector FILE SCALE`; `off` ends all in this chat, `default` goes back to what the
    /// model's entry says.
    pub(in crate::app) fn set_adapter(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        kind: AdapterKind,
        text: &str,
        folder: &str,
    ) -> bool {
        let named = self.view(with).named_adapters(kind);
        let changes = &mut self.chat.settings.interventions;
        let others = |change: &Intervention| change.adapter().is_none_or(|other| other.kind != kind);
        if text == "off" || text == "default" {
            changes.retain(others);
            if text == "off" {
                let off = named.into_iter().map(|adapter| Adapter { scale: 0.0, ..adapter });
                changes.extend(off.map(Intervention::Adapter));
            }
            self.settings_changed(with, out);
            self.say_adapters(with, out, kind);
            return true;
        }
        let mut adapter = named_adapter(kind, text, true);
        if let Some(known) = named.iter().find(|known| known.name().as_str() == adapter.path.as_os_str()) {
            adapter.path.clone_from(&known.path);
        } else if adapter.path.is_relative() && !adapter.path.starts_with("~") {
            adapter.path = Path::new(folder).join(&adapter.path);
        }
        changes.retain(|change| change.adapter().is_none_or(|other| !other.is_same_file(&adapter)));
        let said = if adapter.scale == 0.0 {
            format!("replies of this chat are made without {}", adapter.name())
        } else {
            format!("replies of this chat are made with {}", adapter.label())
        };
        changes.push(Intervention::Adapter(adapter));
        self.settings_changed(with, out);
        out.say(format!("{said}; the chat is read again"));
        true
    }

    /// Says which are in use.
    pub(in crate::app) fn say_adapters(&self, with: With<'_>, out: &mut Outbox, kind: AdapterKind) {
        let view = self.view(with);
        let adapters = view.adapters().into_iter().filter(|(adapter, _)| adapter.kind == kind);
        let said: Vec<String> = adapters
            .map(|(adapter, usable)| {
                let label = adapter.label();
                if usable { label } else { format!("{label} (it cannot be used)") }
            })
            .collect();
        let command = match kind {
            AdapterKind::Lora => "/lora",
            AdapterKind::ControlVector => "/control-vector",
        };
        let kind = kind.said();
        out.say(if said.is_empty() {
            format!("no {kind} in this chat; {command} FILE SCALE puts one in use")
        } else {
            format!("in use: {}; {command} FILE SCALE changes that, {command} off ends it", said.join(", "))
        });
    }
}
