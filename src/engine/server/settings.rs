//! Sampler settings as each kind of server takes them, and which it does not take.
//!
//! Invariant: a setting that does something and is not sent is named in [`left_out`]; a grammar is not among them (`held`).

use serde_json::{Map, Value, json};

use crate::sampling::{Sampling, Stage};
use crate::token::TokenId;

/// What is asked of a reply.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Sampler settings and limits.
    pub sampling: &'a Sampling,
    /// The seed of the draws.
    pub seed: u32,
    /// How many candidates each token is to have.
    pub top: u32,
    /// Tokens whose odds are wanted at every step.
    pub watch: &'a [TokenId],
    /// The limit of the reply, tokens; 0 is none.
    pub most: u32,
}

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `OpenAI`'s own service, which refuses what it does not know.
    Hosted,
    /// Those that do as `OpenAI` does.
    OpenAi,
    /// vLLM, and SGLang where it does as `OpenAI` does.
    Vllm,
    /// SGLang's own `sampling_params`.
    SgLang,
    /// llama.cpp's server.
    Llama,
}

/// Puts the settings into a request's body.
pub fn put(body: &mut Map<String, Value>, ask: &Ask<'_>, dialect: Dialect) {
    let s = ask.sampling;
    let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    set("temperature", number(s.temperature));
    set("top_p", number(s.top_p));
    set("frequency_penalty", number(s.frequency_penalty));
    set("presence_penalty", number(s.presence_penalty));
    if dialect != Dialect::SgLang {
        set("seed", ask.seed.into());
    }
    let limit = match dialect {
        Dialect::Hosted => "max_completion_tokens",
        Dialect::OpenAi | Dialect::Vllm => "max_tokens",
        Dialect::SgLang => "max_new_tokens",
        Dialect::Llama => "n_predict",
    };
    if ask.most > 0 {
        set(limit, ask.most.into());
    }
    match dialect {
        Dialect::Hosted | Dialect::OpenAi => {}
        Dialect::Vllm | Dialect::SgLang => {
            set("top_k", if s.top_k == 0 { json!(-1) } else { s.top_k.into() });
            set("min_p", number(s.min_p));
            set("repetition_penalty", number(s.repeat_penalty));
            if dialect == Dialect::SgLang {
                // Of both it takes no 0, which is the likeliest token alone.
                if s.top_p <= 0.0 {
                    set("top_p", json!(1));
                    set("top_k", json!(1));
                }
                let biases: Map<String, Value> = biases_by_id(s).collect();
                if !biases.is_empty() {
                    set("logit_bias", biases.into());
                }
            }
        }
        Dialect::Llama => llama(s, &mut set),
    }
}

/// All that llama.cpp's server takes beyond that.
fn llama(s: &Sampling, set: &mut dyn FnMut(&str, Value)) {
    let numbers = [
        ("dynatemp_range", s.dynatemp_range),
        ("dynatemp_exponent", s.dynatemp_exponent),
        ("min_p", s.min_p),
        ("typical_p", s.typical_p),
        ("top_n_sigma", s.top_n_sigma),
        ("xtc_probability", s.xtc_probability),
        ("xtc_threshold", s.xtc_threshold),
        ("repeat_penalty", s.repeat_penalty),
        ("dry_multiplier", s.dry_multiplier),
        ("dry_base", s.dry_base),
        ("mirostat_tau", s.mirostat_tau),
        ("mirostat_eta", s.mirostat_eta),
    ];
    for (name, value) in numbers {
        set(name, number(value));
    }
    set("top_k", s.top_k.into());
    set("repeat_last_n", s.penalty_last_n.into());
    set("dry_allowed_length", s.dry_allowed_length.into());
    set("dry_penalty_last_n", s.dry_penalty_last_n.into());
    set("dry_sequence_breakers", json!(s.dry_sequence_breakers));
    set("mirostat", s.mirostat.into());
    set("min_keep", s.min_keep.into());
    set("samplers", s.order.iter().filter_map(|stage| sampler(*stage)).collect());
    if !s.grammar.trim().is_empty() {
        set("grammar", s.grammar.as_str().into());
    }
    let biases = s.logit_bias.iter().filter_map(|entry| {
        let whose = entry.text.as_ref().map(|text| json!(text)).or(entry.id.map(|id| json!(id)))?;
        let bias = if entry.bias == f32::NEG_INFINITY { json!(false) } else { number(entry.bias) };
        Some(json!([whose, bias]))
    });
    let biases: Vec<Value> = biases.collect();
    if !biases.is_empty() {
        set("logit_bias", biases.into());
    }
}

/// The biases whose tokens are known by their ids, as SGLang takes them.
fn biases_by_id(s: &Sampling) -> impl Iterator<Item = (String, Value)> {
    const NEVER: f32 = -10_000.0;
    s.logit_bias.iter().filter_map(|entry| {
        let bias = entry.bias.max(NEVER);
        entry.id.filter(|_| entry.text.is_none()).map(|id| (id.to_string(), number(bias)))
    })
}

/// The name of a stage in llama.cpp's `samplers`; the bias comes first there always.
fn sampler(stage: Stage) -> Option<&'static str> {
    Some(match stage {
        Stage::LogitBias => return None,
        Stage::Penalties => "penalties",
        Stage::Dry => "dry",
        Stage::TopNSigma => "top_n_sigma",
        Stage::TopK => "top_k",
        Stage::TypicalP => "typ_p",
        Stage::TopP => "top_p",
        Stage::MinP => "min_p",
        Stage::Xtc => "xtc",
        Stage::Temperature => "temperature",
    })
}

/// As it was written: 0.8, not 0.800000011920929.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// Settings that would do something and are not sent.
pub fn left_out(s: &Sampling, dialect: Dialect) -> Vec<&'static str> {
    let by_stage = |stage: Stage| stage.is_on(s);
    let is_plain = matches!(dialect, Dialect::Hosted | Dialect::OpenAi);
    let is_llama = dialect == Dialect::Llama;
    let is_sglang = dialect == Dialect::SgLang;
    let only_by_id = biases_by_id(s).count() == s.logit_bias.len();
    let acts = [
        ("top_k", is_plain && by_stage(Stage::TopK)),
        ("min_p", is_plain && by_stage(Stage::MinP)),
        (
            "repeat_penalty",
            is_plain && s.penalty_last_n != 0 && (s.repeat_penalty - 1.0).abs() > f32::EPSILON,
        ),
        ("typical_p", !is_llama && by_stage(Stage::TypicalP)),
        ("top_n_sigma", !is_llama && by_stage(Stage::TopNSigma)),
        ("xtc_probability", !is_llama && by_stage(Stage::Xtc)),
        ("dry_multiplier", !is_llama && by_stage(Stage::Dry)),
        ("dynatemp_range", !is_llama && s.dynatemp_range > 0.0),
        ("mirostat", !is_llama && s.mirostat != 0),
        ("logit_bias", !is_llama && by_stage(Stage::LogitBias) && !(is_sglang && only_by_id)),
        ("order", !is_llama && s.order != Stage::DEFAULT_ORDER),
        ("seed", is_sglang && s.seed.is_some()),
        ("thinking_budget", s.thinking_budget > 0),
    ];
    acts.into_iter().filter(|(_, acts)| *acts).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::LogitBias;

    fn sent(sampling: &Sampling, dialect: Dialect) -> Value {
        let mut body = Map::new();
        let ask = Ask { sampling, seed: 7, top: 5, watch: &[], most: 9 };
        put(&mut body, &ask, dialect);
        body.into()
    }

    #[test]
    fn what_is_sent_and_what_is_not_cover_all_that_acts() {
        let s = Sampling { seed: Some(7), ..Sampling::default() };
        let plain = sent(&s, Dialect::OpenAi);
        assert_eq!(plain["temperature"], json!(0.8));
        assert_eq!((&plain["max_tokens"], &plain["seed"]), (&json!(9), &json!(7)));
        assert_eq!(plain.get("top_k"), None);
        assert_eq!(left_out(&s, Dialect::OpenAi), ["top_k", "min_p"]);
        assert_eq!(sent(&s, Dialect::Hosted)["max_completion_tokens"], json!(9));
        assert_eq!(sent(&s, Dialect::Vllm)["top_k"], json!(40));
        assert_eq!(left_out(&s, Dialect::Vllm), [""; 0]);
        assert_eq!(left_out(&s, Dialect::Llama), [""; 0]);
    }

    #[test]
    fn sglang_is_told_biases_by_ids_and_what_no_share_at_all_means() {
        let bias = |text: Option<&str>, id, bias| LogitBias { text: text.map(String::from), id, bias };
        let by_id = vec![bias(None, Some(12), f32::NEG_INFINITY), bias(None, Some(7), 1.5)];
        let s = Sampling { logit_bias: by_id.clone(), top_p: 0.0, ..Sampling::default() };
        let body = sent(&s, Dialect::SgLang);
        assert_eq!(body["logit_bias"], json!({"12": -10_000.0, "7": 1.5}));
        assert_eq!((&body["top_p"], &body["top_k"]), (&json!(1), &json!(1)));
        assert!(left_out(&s, Dialect::SgLang).is_empty(), "{:?}", left_out(&s, Dialect::SgLang));
        let s = Sampling { logit_bias: [by_id, vec![bias(Some("x"), None, 1.0)]].concat(), ..s };
        assert_eq!(left_out(&s, Dialect::SgLang), ["logit_bias"]);
    }

    #[test]
    fn the_order_of_stages_is_told_to_llama_cpp() {
        let mut s = Sampling::default();
        s.order.reverse();
        let bias = |text: Option<&str>, id, bias| LogitBias { text: text.map(String::from), id, bias };
        s.logit_bias = vec![bias(Some(" x"), None, -2.5), bias(None, Some(12), f32::NEG_INFINITY)];
        let body = sent(&s, Dialect::Llama);
        let expected =
            ["temperature", "xtc", "min_p", "top_p", "typ_p", "top_k", "top_n_sigma", "dry", "penalties"];
        assert_eq!(body["samplers"], json!(expected));
        assert_eq!(body["logit_bias"], json!([[" x", -2.5], [12, false]]));
        assert!(left_out(&s, Dialect::Vllm).contains(&"order"));
    }
}
