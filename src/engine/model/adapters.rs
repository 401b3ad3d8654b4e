//! LoRA adapters and control vectors of a loaded model: read when first named, and put in force before a batch.
//!
//! Invariant: native code is given only files that were held against the model; what a batch is computed with is all
//! that was wanted, or the request was refused before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::adapter_file;
use super::ffi::{self, OwnedContext};
use super::weights::Weights;
use super::weights_delta::Scaled;
use crate::chat::{Adapter, AdapterKind, Intervention};
use crate::engine::containment::kept_from;
use crate::engine::protocol::{Failure, FailureKind};
use crate::model_entry::{ModelFile, at_home};

/// From a file to what can be read of it beside llama.cpp.
pub type Open = dyn Fn(&Path) -> Result<Arc<dyn ModelFile>, Failure> + Send + Sync;

/// The adapters that a model was given, and which of them are in force.
#[derive(Default)]
pub struct Adapters {
    open: Option<Box<Open>>,
    read: Vec<Read>,
    /// How often a file was another one when it was read again.
    rereads: u32,
    /// What the next batch is to be computed with.
    wanted: Vec<Adapter>,
    /// What the last one was.
    in_force: Vec<Adapter>,
}

/// A file that was read.
struct Read {
    kind: AdapterKind,
    path: PathBuf,
    state: State,
    content: Content,
}

/// What tells whether a file is still the one that was read: its length, and when it was written last.
type State = (u64, Option<SystemTime>);

enum Content {
    /// Its number among those that the model has in memory, and its file.
    Lora(usize, Arc<dyn ModelFile>),
    /// What is added after each block, from block 1 on.
    Vector(Vec<f32>),
}

impl Adapters {
    /// How files are opened, without which there are none.
    pub fn open_with(&mut self, open: Box<Open>) {
        self.open = Some(open);
    }

    /// Reads what is not read yet; whether a file has changed since it was read, so that what was computed with it is
    /// worth nothing any more.
    ///
    /// # Errors
    /// With a sentence about the first file that cannot be used.
    pub fn prepare(&mut self, context: &mut OwnedContext, adapters: &[&Adapter]) -> Result<bool, Failure> {
        let mut changed = false;
        for adapter in adapters {
            changed |= self.read(context, adapter).map_err(|why| refused(adapter, &why))?;
        }
        Ok(changed)
    }

    fn read(&mut self, context: &mut OwnedContext, adapter: &Adapter) -> Result<bool, String> {
        if !adapter.scale.is_finite() {
            return Err("its scale is no number".to_owned());
        }
        let path = at_home(&adapter.path);
        let about = std::fs::metadata(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        })?;
        if about.is_dir() {
            return Err("it is a folder: name the file itself".to_owned());
        }
        // Reading a pipe would wait for whoever writes to it.
        if !about.is_file() {
            return Err("it is a pipe or a device, not a file".to_owned());
        }
        if let Some(why) = kept_from(&path) {
            return Err(why.to_owned());
        }
        let state = (about.len(), about.modified().ok());
        let known = self.read.iter().position(|read| read.is(adapter));
        if known.is_some_and(|at| self.read[at].state == state) {
            return Ok(false);
        }
        let found = self.content(context, adapter.kind, &path)?;
        if let Some(at) = known {
            self.read.remove(at);
            self.rereads += 1;
            // Whatever was in force is no longer what its name says.
            self.in_force.clear();
            context.set_adapters(&[]);
            context.set_pushes(&[]);
        }
        self.read.push(Read { kind: adapter.kind, path: adapter.path.clone(), state, content: found });
        Ok(known.is_some())
    }

    fn content(&self, context: &mut OwnedContext, kind: AdapterKind, path: &Path) -> Result<Content, String> {
        let open = self.open.as_ref().ok_or("this engine cannot read it")?;
        if !context.takes_adapters() {
            return Err("this build of llama.cpp cannot be given one".to_owned());
        }
        let file = open(path).map_err(|failure| failure.message)?;
        let model = Arc::clone(&context.model);
        let width = usize::try_from(model.model.n_embd()).unwrap_or_default();
        let layers = model.model.n_layer();
        adapter_file::check(kind, &*file, model.file.get().map(|file| &**file), (width, layers))?;
        match kind {
            AdapterKind::Lora => {
                drop(ffi::take_load_log());
                let loaded = context.load_adapter(path).map(|number| Content::Lora(number, file));
                loaded.ok_or_else(|| {
                    ffi::take_load_log().reason().unwrap_or_else(|| "llama.cpp does not read it".to_owned())
                })
            }
            AdapterKind::ControlVector => vectors(file, width, layers).map(Content::Vector),
        }
    }

    /// How often a file was another one when it was read again: what was made of it before is worth nothing.
    #[must_use]
    pub fn rereads(&self) -> u32 {
        self.rereads
    }

    /// The files of the LoRA adapters among changes, as far as they were read.
    #[must_use]
    pub fn files(&self, loras: &[Adapter]) -> Vec<Scaled> {
        let file = |adapter: &Adapter| match &self.read.iter().find(|read| read.is(adapter))?.content {
            Content::Lora(_, file) => Some(Scaled { file: Arc::clone(file), scale: adapter.scale }),
            Content::Vector(_) => None,
        };
        loras.iter().filter_map(file).collect()
    }

    /// What the next batch is to be computed with; changes that are no adapters are passed over.
    pub fn want(&mut self, changes: &[Intervention]) {
        self.wanted.clear();
        self.wanted.extend(changes.iter().filter_map(Intervention::adapter).cloned());
    }

    /// Puts in force what is wanted, where it is not yet: llama.cpp lays out its graph anew for that.
    ///
    /// # Panics
    /// Where something is wanted that was not [prepared](Self::prepare).
    pub fn put_in_force(&mut self, context: &mut OwnedContext) {
        if self.wanted == self.in_force {
            return;
        }
        let (mut loras, mut pushes) = (BTreeMap::new(), Vec::new());
        for adapter in &self.wanted {
            let read = self.read.iter().find(|read| read.is(adapter));
            match &read.expect("adapters are read before they are wanted").content {
                Content::Lora(number, _) => *loras.entry(*number).or_insert(0.0) += adapter.scale,
                Content::Vector(values) => {
                    pushes.resize(values.len(), 0.0);
                    pushes.iter_mut().zip(values).for_each(|(sum, value)| *sum += adapter.scale * value);
                }
            }
        }
        context.set_adapters(&loras.into_iter().collect::<Vec<_>>());
        context.set_pushes(&pushes);
        self.in_force.clone_from(&self.wanted);
    }
}

impl Read {
    fn is(&self, adapter: &Adapter) -> bool {
        self.kind == adapter.kind && self.path == adapter.path
    }
}

/// What a control vector adds after each block, from block 1 to the last, one after the other.
fn vectors(file: Arc<dyn ModelFile>, width: usize, layers: u32) -> Result<Vec<f32>, String> {
    let directions = adapter_file::directions(&*file, width, layers)?;
    let weights = Weights::new(file);
    let mut all = vec![0.0; width * (layers as usize).saturating_sub(1)];
    for (name, layer) in directions {
        let values = weights.vector(&name).map_err(|error| error.to_string())?;
        if values.len() != width || !values.iter().all(|value| value.is_finite()) {
            return Err(format!("{name} holds something that is not a number"));
        }
        let first = width * (layer as usize - 1);
        all[first..first + width].copy_from_slice(&values);
    }
    Ok(all)
}

fn refused(adapter: &Adapter, why: &str) -> Failure {
    let (kind, path, why) = (adapter.kind.said(), adapter.path.display(), why.trim_end_matches('.'));
    let message = format!("The {kind} {path} cannot be used: {why}.");
    Failure { message, kind: FailureKind::Other }
}
