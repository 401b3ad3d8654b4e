//! What a server is, what it has, and what it can do.
//!
//! Invariant: a server is taken for what it says of itself; one that says nothing is `OpenAI`-compatible.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::{Http, Path, other};
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
}

/// Asks the server what it is, and for its models.
///
/// # Errors
/// It cannot be reached, refuses, or does not have the model.
pub async fn detect(
    http: &Http,
    api: Api,
    id: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Found, Failure> {
    let mut found = Found { api, ..Found::default() };
    let is = |wanted: Api| api == Api::Auto || api == wanted;
    let ask = |path: &'static str| http.probe(Path::Root(path), cancel);
    if is(Api::Llama)
        && let Some(props) =
            ask("/props").await?.filter(|props| props["default_generation_settings"].is_object())
    {
        of_props(&mut found, &props);
    } else if api == Api::Llama {
        return Err(other(format!("{} is no llama.cpp server: it does not answer to /props.", http.host)));
    }
    if found.api == Api::Auto && ask("/version").await?.is_some_and(|answer| answer["version"].is_string()) {
        found.api = Api::Vllm;
    }
    if is(Api::SgLang) && found.api != Api::Vllm && found.api != Api::Llama {
        for path in ["/server_info", "/get_server_info"] {
            if let Some(info) = ask(path).await?.filter(Value::is_object) {
                found.api = Api::SgLang;
                found.context = number(&info["max_req_input_len"]).max(number(&info["context_length"]));
                break;
            }
        }
    }
    if found.api == Api::Auto
        && ask("/api/version").await?.is_some_and(|answer| answer["version"].is_string())
    {
        found.api = Api::Ollama;
    }
    if found.api == Api::Auto {
        found.api = Api::OpenAi;
    }
    let models = http.probe(Path::Base("/models"), cancel).await?;
    choose(&mut found, models.as_ref(), id, &http.host)?;
    (found.tokenizes, found.tokenizes_chats) = match found.api {
        Api::Llama | Api::Vllm => (true, true),
        Api::SgLang => super::sglang::tokenizes(http, found.id.as_deref(), cancel).await,
        _ => (false, false),
    };
    if found.api == Api::Vllm
        && let Some(described) = ask("/openapi.json").await?
    {
        found.watches = super::vllm::watches(&described);
        found.holding = super::vllm::holding(&described);
    }
    found.watches |= found.api == Api::SgLang && found.tokenizes_chats;
    Ok(found)
}

/// The ids of all models that a server names.
///
/// # Errors
/// It cannot be reached, refuses, or names none.
pub async fn models(http: &Http, cancel: &CancellationToken) -> Result<Vec<String>, Failure> {
    let answer = http.probe(Path::Base("/models"), cancel).await?;
    let ids: Vec<String> =
        answer.iter().flat_map(listed).take(MOST_LISTED).map(|(id, _)| id.to_owned()).collect();
    if ids.is_empty() {
        return Err(other(format!("{} names no models: is the address right?", http.host)));
    }
    Ok(ids)
}

/// The models of a list, by their ids.
fn listed(models: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = models["data"].as_array().into_iter().flatten();
    all.filter_map(|entry| Some((entry["id"].as_str()?, entry)))
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap_or(0).min(u64::from(u32::MAX)) as u32
}

fn of_props(found: &mut Found, props: &Value) {
    found.api = Api::Llama;
    found.context = number(&props["default_generation_settings"]["n_ctx"]);
    found.template = props["chat_template"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
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
    /// What can be done with it beyond writing replies.
    pub fn capabilities(&self) -> Capabilities {
        use Capability::{Continues, Ids, Renders, Scores, Tokenizes, Watches};
        let all: &[Capability] = match self.api {
            Api::Llama => &[Ids, Continues, Renders],
            Api::Vllm => &[Ids, Continues, Renders, Scores],
            // It takes ids, but what is offered has to be told first: a text's for scores, a chat's to go on from them and
            // to be asked in the form that watches.
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
