//! From a request's prompt to what a server is sent, and the reader of what it answers.
//!
//! Invariant: ids that the app names are sent as they are; a stand-in is never sent.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::held::Way;
use super::http::{Path, other};
use super::model::Model;
use super::settings::{Ask, Dialect};
use super::told::Part;
use super::{held, llama, openai, sglang, vllm};
use crate::engine::protocol::{Failure, Message, Prompt};
use crate::model_entry::Api;
use crate::token::TokenId;

/// What a reply goes on from.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// Its ids, those that the user took at the end; empty where they are not known.
    pub ids: Vec<TokenId>,
    /// How many of the last ones the user took.
    pub taken: usize,
    /// The same as text, without those; empty where it is not known.
    pub text: String,
    form: Form<'a>,
}

#[derive(Debug)]
enum Form<'a> {
    /// By ids, in the server's own way.
    Ids,
    /// By messages, as `OpenAI` has it.
    Chat(&'a Prompt),
    /// By text.
    Text(&'a str),
}

/// Reads the events of one reply.
#[derive(Debug)]
pub enum Reader {
    /// `OpenAI`'s.
    OpenAi,
    /// llama.cpp's server's.
    Llama(llama::Reader),
    /// vLLM's completions.
    Vllm,
    /// SGLang's own.
    SgLang(sglang::Reader),
}

impl Reader {
    /// Whether what comes is only what is new, so that half a character may wait for the next event.
    pub fn joins(&self) -> bool {
        !matches!(self, Self::SgLang(_))
    }

    /// The pieces of one event.
    ///
    /// # Errors
    /// It is no JSON, or no event of this kind of server.
    pub fn parts(&mut self, data: &[u8]) -> serde_json::Result<Vec<Part>> {
        let tree = || serde_json::from_slice::<Value>(data);
        Ok(match self {
            Self::OpenAi => openai::parts(&tree()?),
            Self::Llama(reader) => reader.parts(data)?,
            Self::Vllm => vllm::parts(&tree()?),
            Self::SgLang(reader) => reader.parts(&tree()?),
        })
    }
}

/// Finds out what a prompt is.
///
/// # Errors
/// It holds stand-ins or ids that this server does not take, or the server does not tell.
pub async fn prepare<'a>(
    model: &Model,
    prompt: &'a Prompt,
    cancel: &CancellationToken,
) -> Result<Prepared<'a>, Failure> {
    let host = &model.http.host;
    match prompt {
        Prompt::Ids { ids, taken, .. } => {
            let ids: Vec<TokenId> = ids.iter().chain(taken).copied().collect();
            if !matches!(model.found.api, Api::Llama | Api::Vllm | Api::SgLang) {
                return Err(other(format!("{host} takes texts, not tokens by their ids.")));
            }
            if ids.is_empty() || ids.iter().any(|id| id.is_stand_in()) {
                return Err(unknown_ids(host));
            }
            let text = model.words().vocabulary().spelt(&ids[..ids.len() - taken.len()]);
            Ok(Prepared { ids, taken: taken.len(), text, form: Form::Ids })
        }
        Prompt::Chat { messages, continue_last, setting } => {
            match model.chat_prompt(messages, *continue_last, setting, cancel).await? {
                Some((ids, text)) => Ok(Prepared { ids, taken: 0, text, form: Form::Ids }),
                None if *continue_last => {
                    Err(other(format!("{host} does not go on with a message that has begun.")))
                }
                None => {
                    Ok(Prepared { ids: Vec::new(), taken: 0, text: String::new(), form: Form::Chat(prompt) })
                }
            }
        }
        Prompt::Raw { text } if model.found.api != Api::SgLang && model.found.tokenizes => {
            let tokens = model.tokenize(text, false, true, cancel).await?;
            let ids = tokens.iter().map(|(id, _)| *id).collect();
            Ok(Prepared { ids, taken: 0, text: text.clone(), form: Form::Ids })
        }
        Prompt::Raw { text } => {
            Ok(Prepared { ids: Vec::new(), taken: 0, text: text.clone(), form: Form::Text(text) })
        }
    }
}

/// What is said of tokens that a server cannot be given.
pub fn unknown_ids(host: &str) -> Failure {
    other(format!("The ids of some of these tokens are not known, so {host} cannot be given them."))
}

impl Prepared<'_> {
    /// What is conditioned on, without what the user took.
    pub fn given(&self) -> &[TokenId] {
        &self.ids[..self.ids.len() - self.taken]
    }

    /// Where the request goes, what it is and who reads the answer.
    ///
    /// # Errors
    /// The server cannot be told what the reply has to look like.
    pub fn request(&self, model: &Model, ask: &Ask<'_>) -> Result<(Path<'static>, Value, Reader), Failure> {
        let (path, mut body, reader) = self.plain_request(model, ask);
        held::put(&mut body, &ask.sampling.grammar, self.way(model))
            .map_err(|why| other(format!("{} {why}", model.http.host)))?;
        model.leave_out_refused(&mut body);
        Ok((path, body, reader))
    }

    /// How the request says what the reply has to look like.
    fn way(&self, model: &Model) -> Way {
        match (&self.form, model.found.api) {
            (Form::Ids, Api::Llama) => Way::Setting,
            (Form::Ids | Form::Text(_), Api::SgLang) => Way::SgLang,
            (Form::Ids | Form::Text(_), Api::Vllm) => Way::Vllm(model.found.holding),
            (Form::Ids | Form::Text(_), _) => Way::No,
            (Form::Chat(_), Api::SgLang) => Way::FormatOrGrammar,
            (Form::Chat(_), _) => Way::Format,
        }
    }

    fn plain_request(&self, model: &Model, ask: &Ask<'_>) -> (Path<'static>, Value, Reader) {
        let id = model.id();
        match (&self.form, model.found.api) {
            (Form::Ids, Api::Llama) => (
                Path::Root("/completion"),
                llama::completion(&self.ids, ask),
                Reader::Llama(llama::Reader::default()),
            ),
            (Form::Ids, Api::SgLang) => {
                let body = sglang::generate(&sglang::Prompt::Ids(&self.ids), ask, model.found.sglang);
                (Path::Root("/generate"), body, Reader::SgLang(sglang::Reader::default()))
            }
            (Form::Text(text), Api::SgLang) => {
                let body = sglang::generate(&sglang::Prompt::Text(text), ask, model.found.sglang);
                (Path::Root("/generate"), body, Reader::SgLang(sglang::Reader::default()))
            }
            (Form::Ids, _) => {
                (Path::Base("/completions"), vllm::completion(id, &self.ids, ask), Reader::Vllm)
            }
            (Form::Text(text), _) => {
                let body = openai::completion(id, text, ask, model.dialect());
                (Path::Base("/completions"), body, Reader::Vllm)
            }
            (Form::Chat(prompt), _) => {
                let (messages, values): (&[Message], _) = match prompt {
                    Prompt::Chat { messages, setting, .. } => (messages, Some(&setting.values)),
                    _ => (&[], None),
                };
                let mut body = openai::chat(id, messages, ask, model.dialect());
                // Others refuse what they do not know.
                if let Some(values) = values.filter(|_| model.found.api == Api::SgLang) {
                    openai::template_values(&mut body, values);
                }
                (Path::Base("/chat/completions"), body, Reader::OpenAi)
            }
        }
    }

    /// Whose settings are sent.
    pub fn dialect(&self, model: &Model) -> Dialect {
        match (&self.form, model.found.api) {
            (Form::Ids, Api::Llama) => Dialect::Llama,
            (Form::Ids | Form::Text(_), Api::SgLang) => Dialect::SgLang,
            _ => model.dialect(),
        }
    }
}
