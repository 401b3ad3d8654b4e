//! What is done between the tokens of a reply: passes that stations ask for meanwhile, and the looks at its own.
//!
//! Invariant: the chat's sequence and the changes that the reply runs under are as they were afterwards, also where what
//! was asked for panics. Only the logits of the last pass are not: the reply keeps its own copy.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::live_capture::Price;
use crate::chat::{Adapter, AdapterKind, Intervention};
use crate::engine::analysis::Inside;
use crate::engine::jobs::cancelled_early;
use crate::engine::jobs::shared::Shared;
use crate::engine::jobs::{embeddings, inspect};
use crate::engine::protocol::{Envelope, Event, Failure, Inspection};
use crate::engine::session::Session;

/// What opening passes needs, made when first asked for.
#[derive(Default)]
pub struct ModelInternals {
    inside: Option<Inside>,
    /// The same as these LoRA adapters change it, and how often files had been read again then.
    adapted: Option<(Vec<Adapter>, u32, Inside)>,
    /// Threads that compute on the CPU.
    pub threads: u32,
    /// What looks cost.
    pub price: Price,
}

impl ModelInternals {
    /// Forgets everything: the model is another one.
    pub fn clear(&mut self) {
        *self = Self { threads: self.threads, ..Self::default() };
    }

    /// What opening passes of the loaded model needs where these changes, which were checked, are made. Fails where the
    /// model's file cannot be read.
    pub fn inside(&mut self, session: &Session, changes: &[Intervention]) -> Result<&mut Inside, Failure> {
        let adapters = changes.iter().filter_map(Intervention::adapter);
        let loras: Vec<Adapter> =
            adapters.filter(|adapter| adapter.kind == AdapterKind::Lora).cloned().collect();
        if !loras.is_empty() {
            let rereads = session.adapter_rereads();
            let known = self.adapted.take().filter(|(of, then, _)| *of == loras && *then == rereads);
            let made = match known {
                Some((_, _, made)) => made,
                None => Inside::adapted(session.model(), self.threads, session.adapter_files(&loras))?,
            };
            return Ok(&mut self.adapted.insert((loras, rereads, made)).2);
        }
        let made = self.inside.take().map_or_else(|| Inside::new(session.model(), self.threads), Ok)?;
        Ok(self.inside.insert(made))
    }
}

/// A reply's view of what else is asked for.
pub struct Interleaved<'a> {
    /// Opens passes.
    pub internals: &'a mut ModelInternals,
    /// Where requests wait.
    pub shared: &'a Shared,
    /// Takes the answers.
    pub emit: &'a dyn Fn(Envelope),
}

impl Interleaved<'_> {
    /// Answers one request that waits, if there is one. Whether another pass may have been decoded.
    pub fn serve(&mut self, session: &mut Session) -> bool {
        let Some((id, inspection)) = self.shared.control().next_interleaved() else { return false };
        let cancelled = self.shared.begin_interleaved(id);
        let emit = self.emit;
        let tell = |event| emit(Envelope { id, event });
        let event = if cancelled {
            Event::Failed(cancelled_early())
        } else {
            let answer = AssertUnwindSafe(|| self.answer(session, &inspection, &tell));
            catch_unwind(answer).unwrap_or_else(|panic| {
                self.internals.clear();
                Event::Failed(Failure::of_panic(panic.as_ref(), "The reply goes on."))
            })
        };
        self.shared.end_interleaved();
        tell(event);
        true
    }

    fn answer(&mut self, session: &mut Session, inspection: &Inspection, emit: &dyn Fn(Event)) -> Event {
        let changes = inspection.interventions();
        let inside = match session.check(changes).and_then(|()| self.internals.inside(session, changes)) {
            Ok(inside) => inside,
            Err(failure) => return Event::Failed(failure),
        };
        match inspection {
            Inspection::Inspect(request) => inspect::inspect_interleaved(session, inside, request, emit),
            Inspection::Embed(request) => embeddings::embed(session, inside, request),
        }
    }
}
