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
        // Those that do are others than this one.
        let gives = self.gives().map(|others| match api {
            Api::SgLang => others.replace("SGLang", "an SGLang that tells the tokens of chats"),
            _ => others.to_owned(),
        });
        match gives {
            Some(others) => {
                format!(
                    "{title} does not {}; {others} or a glassbox engine on that machine does",
                    self.what()
                )
            }
            None => format!(
                "{} stays inside the model that {title} runs; a glassbox engine on that machine shows it \
                 (engine = [\"ssh\", …])",
                self.inside()
            ),
        }
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

    /// Which servers can do it; `None` where none can.
    fn gives(self) -> Option<&'static str> {
        match self {
            Self::Scores => Some("vLLM, SGLang"),
            Self::Ids | Self::Renders | Self::Tokenizes => Some("a llama.cpp server, vLLM, SGLang"),
            Self::Continues => Some("a llama.cpp server, vLLM"),
            Self::Watches => Some("SGLang, a newer vLLM"),
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
            | Self::Contrast => None,
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
}
