//! `--lora` and `--control-vector`: files that change the model for one command, over those of its entry.
//!
//! Invariant: what was asked for by a flag is used, or the command fails; what the configuration names and cannot be
//! used is said and left out.

use anyhow::bail;
use clap::Args;

use crate::chat::{Adapter, AdapterKind, Intervention, in_use, named_adapter};
use crate::engine::protocol::Loaded;
use crate::model_entry::ModelEntry;

/// What the command line says of adapters.
#[derive(Clone, Debug, Default, Args)]
pub struct AdapterArgs {
    /// A LoRA adapter (GGUF) and its scale, 1 without one; may be given several times
    #[arg(long = "lora", value_name = "FILE[=SCALE]")]
    pub loras: Vec<String>,
    /// A control vector (GGUF) and its scale, 1 without one; may be given several times
    #[arg(long = "control-vector", value_name = "FILE[=SCALE]")]
    pub vectors: Vec<String>,
}

impl AdapterArgs {
    /// What was given, with whole paths: the engine may run elsewhere.
    #[must_use]
    pub fn given(&self) -> Vec<Adapter> {
        let of = |kind: AdapterKind, texts: &[String]| -> Vec<Adapter> {
            texts.iter().map(|text| whole(named_adapter(kind, text, false))).collect()
        };
        let mut all = of(AdapterKind::Lora, &self.loras);
        all.extend(of(AdapterKind::ControlVector, &self.vectors));
        all
    }

    /// Puts it over what the model's entry says.
    pub fn apply(&self, entry: &mut ModelEntry) {
        entry.adapters = in_use(&entry.adapters, &self.given());
    }

    /// Fails where the engine could not use what was asked for.
    ///
    /// # Errors
    /// With the engine's own sentences.
    pub fn check(&self, loaded: &Loaded) -> anyhow::Result<()> {
        let given = self.given();
        let missed = |left_out: &Adapter| given.iter().any(|adapter| adapter.is_same_file(left_out));
        if loaded.left_out.iter().any(missed) {
            bail!("{}", loaded.notes.join("\n"));
        }
        Ok(())
    }
}

fn whole(adapter: Adapter) -> Adapter {
    let path = if adapter.path.starts_with("~") { None } else { std::path::absolute(&adapter.path).ok() };
    Adapter { path: path.unwrap_or(adapter.path), ..adapter }
}

/// Changes without the adapters that the engine could not use when it loaded the model.
#[must_use]
pub fn usable(mut changes: Vec<Intervention>, loaded: &Loaded) -> Vec<Intervention> {
    changes.retain(|change| {
        change
            .adapter()
            .is_none_or(|adapter| loaded.left_out.iter().all(|other| !other.is_same_file(adapter)))
    });
    changes
}

/// The adapters of a model's entry, as changes for the engine; says which they are.
#[must_use]
pub fn of_entry(entry: &ModelEntry, loaded: &Loaded) -> Vec<Intervention> {
    let changes: Vec<_> = entry.adapters.iter().cloned().map(Intervention::Adapter).collect();
    let changes = usable(changes, loaded);
    for adapter in changes.iter().filter_map(Intervention::adapter) {
        super::note(&format!("with {}", adapter.label()));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::Source;

    #[test]
    fn flags_stand_over_the_model_s_own() {
        let here = |name: &str| std::path::absolute(name).unwrap();
        let own = Adapter { kind: AdapterKind::Lora, path: here("a.gguf"), scale: 1.0 };
        let mut entry =
            ModelEntry { adapters: vec![own.clone()], ..ModelEntry::new("x", Source::Path("x.gguf".into())) };
        let args = AdapterArgs { loras: vec!["a.gguf=0.25".into()], vectors: vec!["v.gguf".into()] };
        args.apply(&mut entry);
        let vector = Adapter { kind: AdapterKind::ControlVector, path: here("v.gguf"), scale: 1.0 };
        assert_eq!(entry.adapters, [Adapter { scale: 0.25, ..own }, vector]);
    }
}
