//! What holds for a model and a chat, once the layers are put over each other.
//!
//! Invariant: the narrower wins: chat over model over the configuration at large.

use std::path::{Path, PathBuf};

use super::Config;
use crate::chat::{ChatSettings, Intervention, TemplateValues, in_use};
use crate::model_entry::{LoadParams, ModelEntry, Server, Source, without_secrets};
use crate::sampling::Sampling;

impl Config {
    /// The model of that name; or an entry for a GGUF file where the name is a path, for a server where it is an address,
    /// for another model of an entry's server where it is that entry's name with `#` and the model's.
    ///
    /// Any of these stays the entry's name, so that looking the name up again finds the same model.
    #[must_use]
    pub fn model_named(&self, name: &str) -> Option<ModelEntry> {
        let configured = self.models.iter().find(|model| model.name == name).cloned();
        let configured = configured.or_else(|| self.served(name));
        configured.or_else(|| is_path(name).then(|| file_entry(name))).or_else(|| server_entry(name))
    }

    /// The entry of `NAME#ID`, where an entry of that name is a server's.
    fn served(&self, name: &str) -> Option<ModelEntry> {
        self.models.iter().find_map(|model| {
            let id = name.strip_prefix(model.name.as_str())?.strip_prefix('#').filter(|id| !id.is_empty())?;
            let server = Server { id: Some(id.to_owned()), ..model.server()?.clone() };
            let (name, source) = (name.to_owned(), Source::Server(server));
            Some(ModelEntry { name, title: None, source, ..model.clone() })
        })
    }

    /// The name of the model of that id on the server of the model of that name.
    #[must_use]
    pub fn served_name(&self, name: &str, id: &str) -> String {
        let names = self.models.iter().map(|model| model.name.as_str());
        let is_of = |model: &&str| {
            name.strip_prefix(model).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        };
        let entry = names.filter(is_of).max_by_key(|model| model.len());
        let entry = entry.unwrap_or_else(|| name.split('#').next().unwrap_or_default());
        format!("{entry}#{id}")
    }

    /// A model's name as people read it: its title, a file's name without folder and ending, or the name.
    #[must_use]
    pub fn model_title(&self, name: &str) -> String {
        let Some(entry) = self.model_named(name) else { return without_secrets(name) };
        entry.title.unwrap_or_else(|| {
            if let Source::Server(server) = &entry.source
                && self.models.iter().all(|model| model.name != name)
            {
                return server.title().to_owned();
            }
            let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
            file.strip_suffix(".gguf").unwrap_or(file).to_owned()
        })
    }

    /// Sampler settings: `[sampling]`, what the model's makers recommend, the model's preset, the model's own, the chat's preset, the chat's own.
    #[must_use]
    pub fn sampling_for(&self, entry: &ModelEntry, chat: &ChatSettings) -> Sampling {
        let mut sampling = self.sampling.clone();
        let preset = |name: &Option<String>| name.as_ref().and_then(|name| self.presets.get(name));
        let layers =
            [preset(&entry.preset), Some(&entry.sampling), preset(&chat.preset), Some(&chat.sampling)];
        entry.makers.apply(&mut sampling);
        for layer in layers.into_iter().flatten() {
            layer.apply(&mut sampling);
        }
        sampling
    }

    /// How a model is loaded: `[engine]` with the model's own values over it.
    #[must_use]
    pub fn load_params_for(&self, entry: &ModelEntry) -> LoadParams {
        entry.load.over(&self.engine.load)
    }

    /// Values for the chat template: `[template_values]`, the model's own, the chat's own.
    #[must_use]
    pub fn template_values_for(&self, entry: &ModelEntry, chat: &ChatSettings) -> TemplateValues {
        let layers = [&self.template_values, &entry.template_values, &chat.template_values];
        layers.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What changes the network in a chat: the adapters and control vectors of the model and of the chat, then the
    /// chat's own changes.
    #[must_use]
    pub fn interventions_for(&self, entry: Option<&ModelEntry>, chat: &ChatSettings) -> Vec<Intervention> {
        let models = entry.into_iter().flat_map(|entry| &entry.adapters);
        let adapters = in_use(models, chat.interventions.iter().filter_map(Intervention::adapter));
        let others = chat.interventions.iter().filter(|change| change.adapter().is_none()).cloned();
        adapters.into_iter().map(Intervention::Adapter).chain(others).collect()
    }

    /// System prompt: the chat's, else the model's, else the configuration's; empty is none.
    #[must_use]
    pub fn system_for(&self, entry: &ModelEntry, chat: &ChatSettings) -> String {
        chat.system.as_ref().or(entry.system.as_ref()).unwrap_or(&self.system).clone()
    }
}

fn is_path(name: &str) -> bool {
    let gguf = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    gguf || name.starts_with(['/', '~', '.'])
}

fn file_entry(path: &str) -> ModelEntry {
    ModelEntry::new(path, Source::Path(PathBuf::from(path)))
}

/// An entry for an address, without a key: what needs one is written into the configuration.
fn server_entry(address: &str) -> Option<ModelEntry> {
    let is_address = address.starts_with("http://") || address.starts_with("https://");
    let server = is_address.then(|| Server::at(address).ok()).flatten()?;
    Some(ModelEntry::new(address, Source::Server(server)))
}
