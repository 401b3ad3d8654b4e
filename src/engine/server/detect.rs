//! What a server is, what it has, and what it can do.
//!
//! Invariant: a server is taken for what it says of itself; one that says nothing is `OpenAI`-compatible.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::{Http, Path, Probed, other};
use super::refusal::Refusal;
use super::sglang;
use super::vllm::Holding;
use super::words;
use crate::engine::protocol::{Capabilities, Capability, Failure, Odds};
use crate::model_entry::Api;

/// The most models that are listed.
const MOST_LISTED: usize = 10_000;

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// What the server is; never [`Api::Auto`].
    pub api: Api,
    /// What it calls the model.
    pub id: Option<String>,
    /// Tokens that a chat may use; 0 where it does not say.
    pub context: u32,
    /// The context that the model was trained for; 0 where it does not say.
    pub trained: u32,
    /// Entries of the vocabulary; 0 where it does not say.
    pub entries: u32,
    /// Number of weights; 0 where it does not say.
    pub parameters: u64,
    /// Bytes of the model; 0 where it does not say.
    pub size: u64,
    /// The chat template, where it shows it.
    pub template: Option<String>,
    /// Whether it tells a text's tokens.
    pub tokenizes: bool,
    /// Whether it tells the tokens of the prompt that a chat becomes, so that chats are asked by ids.
    pub tokenizes_chats: bool,
    /// Whether it tells chosen tokens' odds.
    pub watches: bool,
    /// How a vLLM is told what a reply has to look like.
    pub holding: Holding,
    /// What has to be known of an SGLang.
    pub sglang: sglang::Ways,
}

/// The kinds that are told by a path of their own, in the order in which they are asked for, and the paths.
const KINDS: [(Api, &[&str]); 4] = [
    (Api::Llama, &["/props"]),
    (Api::Vllm, &["/version"]),
    (Api::SgLang, &["/server_info", "/get_server_info"]),
    (Api::Ollama, &["/api/version"]),
];

/// Asks the server what it is, and for its models; also what should be known of how that went.
///
/// # Errors
/// It cannot be reached, refuses, is of another kind than the entry says, or does not have the model.
pub async fn detect(
    http: &Http,
    api: Api,
    id: Option<&str>,
    cancel: &CancellationToken,
) -> Result<(Found, Option<String>), Failure> {
    let mut found = Found::default();
    // Of a path that is only guessed a refusal says nothing, but for what is found out later.
    let refused = match api {
        Api::Auto => guess(http, &mut found, cancel).await?,
        Api::OpenAi => {
            found.api = api;
            None
        }
        _ => {
            verify(http, api, &mut found, cancel).await?;
            None
        }
    };
    let (models, note) = match http.probe(Path::Base("/models"), cancel).await? {
        Probed::Told(models) => (Some(models), None),
        Probed::Nothing => (None, None),
        Probed::Refused(refusal) => match id.filter(|_| api != Api::Auto) {
            Some(id) => (
                None,
                Some(format!(
                    "{} Its models are not known, so {id} is taken as the entry names it.",
                    refusal.failure.message
                )),
            ),
            None => return Err(refusal.failure),
        },
    };
    if let Some(refusal) = refused.filter(|_| is_of_llama(models.as_ref())) {
        return Err(refusal.failure);
    }
    choose(&mut found, models.as_ref(), id, &http.host)?;
    (found.tokenizes, found.tokenizes_chats) = match found.api {
        Api::Llama | Api::Vllm => (true, true),
        Api::SgLang => sglang::tokenizes(http, found.id.as_deref(), cancel).await,
        _ => (false, false),
    };
    if found.api == Api::SgLang {
        found.sglang =
            sglang::ways(http, found.id.as_deref(), (found.tokenizes, found.tokenizes_chats), cancel).await;
    }
    if found.api == Api::Vllm
        && let Some(described) = http.probe(Path::Root("/openapi.json"), cancel).await?.told()
    {
        found.watches = super::vllm::watches(&described);
        found.holding = super::vllm::holding(&described);
    }
    found.watches |= found.api == Api::SgLang && found.tokenizes_chats;
    Ok((found, note))
}

/// Takes a server for the first kind whose path it answers to, else for one like `OpenAI`'s; gives how it refused to
/// answer to llama.cpp's path, if it did.
async fn guess(
    http: &Http,
    found: &mut Found,
    cancel: &CancellationToken,
) -> Result<Option<Refusal>, Failure> {
    let mut refused = None;
    for (kind, paths) in KINDS {
        match is(http, kind, paths, found, cancel).await? {
            Probed::Told(_) => return Ok(None),
            Probed::Refused(refusal) if kind == Api::Llama => refused = Some(refusal),
            _ => {}
        }
    }
    found.api = Api::OpenAi;
    Ok(refused)
}

/// Makes sure that a server is of the kind that the entry names.
///
/// # Errors
/// It is not, or refuses; says what it seems to be.
async fn verify(http: &Http, api: Api, found: &mut Found, cancel: &CancellationToken) -> Result<(), Failure> {
    let (_, paths) = KINDS.into_iter().find(|(kind, _)| *kind == api).unwrap_or_default();
    match is(http, api, paths, found, cancel).await? {
        Probed::Told(_) => return Ok(()),
        Probed::Refused(refusal) => return Err(refusal.failure),
        Probed::Nothing => {}
    }
    let mut seems = Found::default();
    guess(http, &mut seems, cancel).await?;
    let article = if seems.api == Api::OpenAi { "an " } else { "" };
    Err(other(format!(
        "{} is no {}: it does not answer to {}. It seems to be {article}{}: write api = \"{}\" in the model's entry, or \
         leave api out.",
        http.host,
        api.title(),
        paths.first().copied().unwrap_or_default(),
        seems.api.title(),
        seems.api.key()
    )))
}

/// Whether a server answers to one of a kind's paths as that kind does; then it is taken for it.
async fn is(
    http: &Http,
    kind: Api,
    paths: &[&'static str],
    found: &mut Found,
    cancel: &CancellationToken,
) -> Result<Probed, Failure> {
    let mut refused = Probed::Nothing;
    for path in paths {
        match http.probe(Path::Root(path), cancel).await? {
            Probed::Told(answer) => {
                if answers_as(kind, &answer) {
                    found.take(kind, &answer);
                    return Ok(Probed::Told(answer));
                }
            }
            Probed::Refused(refusal) => refused = Probed::Refused(refusal),
            Probed::Nothing => {}
        }
    }
    Ok(refused)
}

fn answers_as(kind: Api, answer: &Value) -> bool {
    match kind {
        Api::Llama => answer["default_generation_settings"].is_object(),
        Api::Vllm | Api::Ollama => answer["version"].is_string(),
        Api::SgLang => answer.is_object(),
        Api::Auto | Api::OpenAi => false,
    }
}

/// Whether a list of models is one of llama.cpp's server, which shows it to everybody and guards the rest.
fn is_of_llama(models: Option<&Value>) -> bool {
    models.into_iter().flat_map(listed).any(|(_, entry)| entry["owned_by"] == "llamacpp")
}

/// The ids of all models that a server names, and how many more there are.
///
/// # Errors
/// It cannot be reached, refuses, or names none.
pub async fn models(http: &Http, cancel: &CancellationToken) -> Result<(Vec<String>, u32), Failure> {
    let answer = match http.probe(Path::Base("/models"), cancel).await? {
        Probed::Told(answer) => Some(answer),
        Probed::Nothing => None,
        Probed::Refused(refusal) => return Err(refusal.failure),
    };
    let all = answer.iter().flat_map(listed).count();
    let ids: Vec<String> =
        answer.iter().flat_map(listed).take(MOST_LISTED).map(|(id, _)| id.to_owned()).collect();
    if ids.is_empty() {
        return Err(other(format!("{} names no models: is the address right?", http.host)));
    }
    let left_out = u32::try_from(all - ids.len()).unwrap_or(u32::MAX);
    Ok((ids, left_out))
}

/// The models of a list, by their ids.
fn listed(models: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = models["data"].as_array().into_iter().flatten();
    all.filter_map(|entry| Some((entry["id"].as_str()?, entry)))
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap_or(0).min(u64::from(u32::MAX)) as u32
}

/// The model of that name, or the first.
fn choose(found: &mut Found, models: Option<&Value>, id: Option<&str>, host: &str) -> Result<(), Failure> {
    let entries: Vec<(&str, &Value)> = models.into_iter().flat_map(listed).collect();
    let entry = match id {
        None => entries.first(),
        Some(id) => entries.iter().find(|(name, _)| *name == id),
    };
    if let (Some(id), None, false, true) = (id, entry, entries.is_empty(), found.api != Api::Llama) {
        return Err(other(not_there(id, &entries, host)));
    }
    found.id = id.map(str::to_owned).or_else(|| entry.map(|(name, _)| (*name).to_owned()));
    // llama.cpp's server has one model, by whatever name.
    if let Some((_, entry)) = entry.or(entries.first()) {
        let meta = &entry["meta"];
        let told = number(&entry["max_model_len"]).max(number(&entry["context_length"]));
        found.context = if found.context == 0 { told } else { found.context };
        found.trained = number(&meta["n_ctx_train"]);
        found.entries = number(&meta["n_vocab"]);
        found.parameters = meta["n_params"].as_u64().unwrap_or(0);
        found.size = meta["size"].as_u64().unwrap_or(0);
    }
    Ok(())
}

/// What is said of a model that a server does not have.
fn not_there(id: &str, entries: &[(&str, &Value)], host: &str) -> String {
    const LISTED: usize = 8;
    let near = |name: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), &id.to_lowercase());
    let names = entries.iter().map(|(name, _)| *name);
    let closest = names.clone().min_by_key(near).filter(|name| near(name) * 3 <= id.len());
    let meant = closest.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
    let list = names.take(LISTED).collect::<Vec<_>>().join(", ");
    let more = entries.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{host} has no model {id}.{meant} It has {list}{more}.")
}

impl Found {
    /// Takes the server for this kind, by what it said of itself.
    fn take(&mut self, kind: Api, said: &Value) {
        self.api = kind;
        match kind {
            Api::Llama => {
                self.context = number(&said["default_generation_settings"]["n_ctx"]);
                let template = said["chat_template"].as_str().filter(|text| !text.is_empty());
                self.template = template.map(str::to_owned);
            }
            Api::SgLang => {
                // A prompt has to be shorter than the one, which a server short of memory makes smaller than the other.
                self.context = match number(&said["max_req_input_len"]) {
                    0 => number(&said["context_length"]),
                    more_than_a_prompt => more_than_a_prompt.saturating_sub(1),
                };
            }
            _ => {}
        }
    }

    /// What can be done with it beyond writing replies.
    pub fn capabilities(&self) -> Capabilities {
        use Capability::{Continues, Ids, Renders, Scores, Tokenizes, Watches};
        let all: &[Capability] = match self.api {
            Api::Llama => &[Ids, Continues, Renders],
            Api::Vllm => &[Ids, Continues, Renders, Scores],
            // It takes ids, but what is offered has to be told first: a text's for scores, a chat's to go on from them and
            // to be asked in the form that watches.
            Api::SgLang if self.sglang.continues => &[Ids, Continues, Renders, Scores],
            Api::SgLang if self.tokenizes_chats => &[Ids, Renders, Scores],
            Api::SgLang if self.tokenizes => &[Scores],
            Api::SgLang | Api::Auto | Api::OpenAi | Api::Ollama => &[],
        };
        let told = [(Tokenizes, self.tokenizes), (Watches, self.watches)];
        let told = told.into_iter().filter(|(_, has)| *has).map(|(capability, _)| capability);
        Capabilities::of(all.iter().copied().chain(told))
    }

    /// How much of the distribution comes with a token, unless the server leaves it out.
    pub fn odds(&self) -> Odds {
        match self.api {
            Api::Llama => Odds::Top(super::llama::MOST),
            Api::SgLang if self.sglang.scales => Odds::TopAfterSampling(super::openai::MOST),
            _ => Odds::Top(super::openai::MOST),
        }
    }

    /// What its ids belong to; of a server without ids, all share their texts.
    pub fn vocabulary(&self, host: &str) -> String {
        let id = self.id.as_deref().unwrap_or_default();
        match self.api {
            Api::Llama | Api::Vllm | Api::SgLang => {
                let numbers = [u64::from(self.entries), self.parameters, self.size].map(|n| n.to_string());
                words::hash_of(&[self.api.key(), host, id, &numbers[0], &numbers[1], &numbers[2]])
            }
            Api::Auto | Api::OpenAi | Api::Ollama => words::TEXTS.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_model_that_is_not_there_is_told_with_those_that_are() {
        let models = json!({"data": [{"id": "qwen3-8b", "max_model_len": 4096}, {"id": "gemma-3"}]});
        let chosen = |id| {
            let mut found = Found { api: Api::Vllm, ..Found::default() };
            choose(&mut found, Some(&models), id, "h").map(|()| found).map_err(|failure| failure.message)
        };
        let first = chosen(None).unwrap();
        assert_eq!((first.id.as_deref(), first.context), (Some("qwen3-8b"), 4096));
        assert_eq!(
            chosen(Some("qwen3-8B")).unwrap_err(),
            "h has no model qwen3-8B. Did you mean qwen3-8b? It has qwen3-8b, gemma-3."
        );
        assert_eq!(chosen(Some("x")).unwrap_err(), "h has no model x. It has qwen3-8b, gemma-3.");
    }
}
