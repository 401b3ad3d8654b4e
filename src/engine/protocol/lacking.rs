//! What an engine cannot do, in one sentence that names what would give it.
//!
//! Invariant: every capability has a sentence for every kind of engine, so that nothing stays closed without a reason.

use super::{Capability, Runner};
use crate::model_entry::Api;

impl Capability {
    /// Why something that needs this is not to be had from what runs the model, and what would give it.
    #[must_use]
    pub fn why_not(self, runner: &Runner) -> String {
        let Runner::Server { api, host } = runner else {
            return format!("the engine that runs this model cannot {}", self.what());
        };
        let title = format!("{} at {host}", api.title());
        let gives = self.gives();
        if gives.is_empty() {
            return format!(
                "{} stays inside the model that {title} runs; a glassbox engine on that machine shows it \
                 (engine = [\"ssh\", …])",
                self.inside()
            );
        }
        let others: Vec<&str> = gives.iter().map(|other| other.beside(*api)).collect();
        let others = others.join(", ");
        format!("{title} does not {}; {others} or a glassbox engine on that machine does", self.what())
    }

    /// What an engine without it cannot do.
    fn what(self) -> &'static str {
        match self {
            Self::Scores => "tell how likely a text is",
            Self::Replay => "read a pass again",
            Self::Beam => "follow several continuations at once",
            Self::OpensPasses => "open passes",
            Self::Attention => "show attention over a text",
            Self::LayerGrid => "read the layers of many passes",
            Self::Steering => "find directions to steer along",
            Self::Embeddings => "look into the embedding table",
            Self::Pieces => "tell how a text was cut into tokens",
            Self::Ids => "go on from chosen tokens",
            Self::Continues => "go on with a message that has begun",
            Self::Tokenizes => "count the tokens of a text",
            Self::Renders => "show the prompt that a chat becomes",
            Self::Watches => "follow chosen tokens",
            Self::Stages => "record what each sampler left",
            Self::Changes => "change the network",
            Self::Contrast => "hold another model's whole distributions against its own",
        }
    }

    /// Which servers can do it.
    fn gives(self) -> &'static [Gives] {
        match self {
            Self::Scores => &[Gives::Vllm, Gives::SgLang],
            Self::Ids | Self::Renders | Self::Tokenizes => &[Gives::Llama, Gives::Vllm, Gives::SgLang],
            Self::Continues => &[Gives::Llama, Gives::Vllm],
            Self::Watches => &[Gives::SgLang, Gives::NewerVllm],
            Self::Replay
            | Self::Beam
            | Self::OpensPasses
            | Self::Attention
            | Self::LayerGrid
            | Self::Steering
            | Self::Embeddings
            | Self::Pieces
            | Self::Stages
            | Self::Changes
            | Self::Contrast => &[],
        }
    }

    /// What it shows of a model, where no server shows it.
    fn inside(self) -> &'static str {
        match self {
            Self::Replay => "the whole distribution",
            Self::Beam => "looking ahead",
            Self::Attention => "attention",
            Self::LayerGrid => "what each layer says",
            Self::Steering => "steering",
            Self::Embeddings => "the embedding table",
            Self::Pieces => "how the tokenizer merges",
            Self::Stages => "what each sampler left",
            Self::Changes => "what can be changed in the network",
            Self::Contrast => "how two models' whole distributions differ",
            _ => "what happens in a pass",
        }
    }
}

/// A server that can do what another cannot.
#[derive(Clone, Copy)]
enum Gives {
    Llama,
    Vllm,
    /// One of those that can be asked for chosen tokens.
    NewerVllm,
    SgLang,
}

impl Gives {
    /// Its name in a sentence about a server that lacks something: where that is of the same kind, what sets it apart.
    fn beside(self, lacks: Api) -> &'static str {
        match self {
            Self::Llama => "a llama.cpp server",
            Self::Vllm => "vLLM",
            Self::NewerVllm => "a newer vLLM",
            Self::SgLang if lacks == Api::SgLang => "an SGLang that tells the tokens of chats",
            Self::SgLang => "SGLang",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_one_sentence_that_names_what_gives_it() {
        for api in Api::ALL {
            let runner = Runner::Server { api, host: "box:8000".into() };
            for capability in Capability::ALL {
                let said = capability.why_not(&runner);
                assert!(said.contains("box:8000") && said.contains("glassbox engine"), "{said}");
                assert!(!said.ends_with('.') && !said.contains(". "), "one sentence: {said}");
            }
        }
        let said = Capability::Scores.why_not(&Runner::Server { api: Api::Llama, host: "b".into() });
        let expected = "llama.cpp server at b does not tell how likely a text is; vLLM, SGLang or a glassbox engine \
                        on that machine does";
        assert_eq!(said, expected);
        let own = Capability::Beam.why_not(&Runner::Glassbox);
        assert_eq!(own, "the engine that runs this model cannot follow several continuations at once");
    }

    #[test]
    fn a_server_that_lacks_what_others_of_its_kind_can_do_hears_what_sets_these_apart() {
        let old = Capability::Watches.why_not(&Runner::Server { api: Api::SgLang, host: "b".into() });
        let expected = "SGLang at b does not follow chosen tokens; an SGLang that tells the tokens of chats, a newer \
                        vLLM or a glassbox engine on that machine does";
        assert_eq!(old, expected);
    }
}
