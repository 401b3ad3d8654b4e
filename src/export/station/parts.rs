//! Parts of a pass as JSON, one function a station.
//!
//! Invariant: a layer is counted from 0, a position from the first token that was read.

use serde_json::{Map, Value, json};

use super::StretchRows;
use crate::export::figures;
use crate::export::json::number;
use crate::inspect::depth::Depth;
use crate::inspect::feed_forward::FfnLayer;
use crate::inspect::pieces::Pieces;
use crate::inspect::stages::SamplerTrace;
use crate::inspect::trace::{
    Attention, Attribution, AttributionPart, Component, EmbeddingFacts, FeedForward, Followed, ForwardTrace,
    HeadLogits, HeadRow, Lens, Rotation,
};
use crate::token::{Candidate, Step, TokenId, Vocabulary};

/// Names of tokens, where the vocabulary is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a>(pub Option<&'a Vocabulary>);

impl Names<'_> {
    fn bytes(self, id: TokenId) -> Option<Vec<u8>> {
        self.0?.bytes(id).map(<[u8]>::to_vec)
    }

    /// A token's text; � for what forms no character, `null` without vocabulary.
    pub(super) fn text(self, id: TokenId) -> Value {
        let bytes = self.bytes(id);
        bytes.map_or(Value::Null, |bytes| json!(String::from_utf8_lossy(&bytes)))
    }

    fn named(self, id: TokenId) -> Map<String, Value> {
        figures::named(id, self.text(id))
    }

    /// A candidate: `{id, token, p, logprob}`.
    pub(super) fn likely(self, candidate: Candidate) -> Value {
        figures::likely(candidate, self.text(candidate.id))
    }

    fn list(self, candidates: &[Candidate]) -> Value {
        candidates.iter().map(|candidate| self.likely(*candidate)).collect()
    }

    /// Tokens with what is done to their logits.
    fn weighed(self, list: &[(TokenId, f32)]) -> Value {
        let one = |(id, logit): &(TokenId, f32)| {
            let mut object = self.named(*id);
            object.insert("logit".into(), number(*logit));
            Value::Object(object)
        };
        list.iter().map(one).collect()
    }

    fn followed(self, followed: &[Followed]) -> Value {
        let one = |token: &Followed| {
            let mut object = self.named(token.id);
            object.insert("logprob".into(), number(token.logprob));
            object.insert("rank".into(), json!(token.rank));
            Value::Object(object)
        };
        followed.iter().map(one).collect()
    }
}

fn numbers(values: &[f32]) -> Value {
    values.iter().map(|value| number(*value)).collect()
}

/// Everything that is known of a pass.
pub(super) fn pass(
    names: Names<'_>,
    trace: &ForwardTrace,
    ffns: &[FeedForward],
    put: &mut impl FnMut(&str, Value),
) {
    put("next", names.list(&trace.next));
    put(figures::ENTROPY, number(trace.entropy));
    put("followed", names.followed(&trace.followed));
    if let Some(lens) = &trace.lens {
        put(figures::LENS, logit_lens(names, lens));
        put(figures::DECISION, json!(lens.decided));
    }
    if let Some(attention) = &trace.attention {
        put("attention_overview", overview(attention));
        put(figures::ATTENTION, heads(attention, |head| numbers(&head.weights)));
        put("attention_scores_before_softmax", heads(attention, |head| numbers(&head.scores)));
        put("attention_value_norms", heads(attention, |head| numbers(&head.value_norms)));
        put("attention_window_tokens", windows(attention));
        put("head_writes", attention.head_logits.iter().map(|told| told_head(names, told)).collect());
    }
    if !ffns.is_empty() {
        let layers = ffns.iter().map(|ffn| (ffn.layer.to_string(), neurons(names, ffn)));
        put(figures::NEURONS, Value::Object(layers.collect()));
    }
    if let Some(attribution) = &trace.attribution {
        put(figures::ATTRIBUTION, pushes(names, attribution));
    }
    if let Some(rotation) = &trace.rotation {
        put("rotation", turned(rotation));
    }
    if !trace.missing.is_empty() {
        put(figures::MISSING, json!(trace.missing));
    }
}

fn logit_lens(names: Names<'_>, lens: &Lens) -> Value {
    let rows = lens.rows.iter().map(|row| {
        let mut object = figures::depth(row, names.list(&row.top));
        object.insert("followed".into(), names.followed(&row.followed));
        object.insert("attn_added_norm".into(), number(row.attention_added));
        object.insert("ffn_added_norm".into(), number(row.ffn_added));
        Value::Object(object)
    });
    rows.collect()
}

fn overview(attention: &Attention) -> Value {
    let layer = |heads: &Vec<crate::inspect::trace::HeadReading>| -> Value {
        let head = |head: &crate::inspect::trace::HeadReading| {
            let top = head.top.iter().map(|(at, weight)| json!({"position": at, "weight": number(*weight)}));
            json!({
                "class": head.class,
                "strength": number(head.strength),
                "top": top.collect::<Value>(),
                "written_share_of_norm": head.written.map(number),
            })
        };
        heads.iter().map(head).collect()
    };
    attention.overview.iter().map(layer).collect()
}

fn heads(attention: &Attention, of: impl Fn(&HeadRow) -> Value) -> Value {
    let layer = |layer: &crate::inspect::trace::AttentionLayer| {
        (layer.layer.to_string(), layer.heads.iter().map(&of).collect::<Value>())
    };
    Value::Object(attention.layers.iter().map(layer).collect())
}

/// What a head writes, as tokens.
fn told_head(names: Names<'_>, told: &HeadLogits) -> Value {
    json!({
        "layer": told.layer,
        "head": told.head,
        "share_of_norm": number(told.share),
        "promotes": names.weighed(&told.promotes),
        "suppresses": names.weighed(&told.suppresses),
        "followed": names.weighed(&told.followed),
    })
}

/// Attention of a stretch.
pub(super) fn rows(stretch: &StretchRows) -> Value {
    json!({
        "of": if stretch.head.is_some() { "head" } else { "rollout" },
        "layer": stretch.head.map(|(layer, _)| layer),
        "head": stretch.head.map(|(_, head)| head),
        "first_position": stretch.first,
        "seen_from_position": stretch.seen_from,
        "weights": stretch.rows.iter().map(|row| numbers(row)).collect::<Value>(),
    })
}

/// Layers over tokens: a column a token, the embedding first.
pub(super) fn grid(names: Names<'_>, from: u32, columns: &[Depth]) -> Value {
    let column = |(position, depth): (u32, &Depth)| {
        let cells = depth.cells.iter().map(|cell| {
            let mut object = names.named(cell.best);
            object.insert("logprob".into(), number(cell.best_logprob));
            object.insert("logprob_of_written".into(), number(cell.logprob));
            Value::Object(object)
        });
        let mut object = names.named(depth.id);
        object.insert("position".into(), json!(position));
        object.insert("layer_of_decision".into(), json!(depth.decided));
        object.insert("best_by_depth".into(), cells.collect());
        Value::Object(object)
    };
    (from..).zip(columns).map(column).collect()
}

/// Every block's feed-forward in one line.
pub(super) fn ffn_layers(layers: &[FfnLayer]) -> Value {
    let line = |line: &FfnLayer| {
        json!({
            "layer": line.layer,
            "out_norm": number(line.write),
            "neurons_of_half": line.half,
            "logit_difference": line.push.map(number),
        })
    };
    layers.iter().map(line).collect()
}

/// The followed tokens with each of these parts off alone.
pub(super) fn offs(names: Names<'_>, off: &[(Component, Vec<Followed>)]) -> Value {
    let one = |(part, followed): &(Component, Vec<Followed>)| json!({"part": part.to_string(), "followed": names.followed(followed)});
    off.iter().map(one).collect()
}

fn windows(attention: &Attention) -> Value {
    Value::Object(
        attention.layers.iter().map(|layer| (layer.layer.to_string(), json!(layer.window))).collect(),
    )
}

fn neurons(names: Names<'_>, ffn: &FeedForward) -> Value {
    let neurons = ffn.neurons.iter().map(|neuron| {
        let (raised, lowered) = (names.weighed(&neuron.promotes), names.weighed(&neuron.suppresses));
        let mut object = figures::neuron(neuron, raised, lowered);
        object.entry("expert").or_insert(Value::Null);
        object.insert("added_norm".into(), number(neuron.added));
        object.insert("logit_difference".into(), neuron.push.map_or(Value::Null, number));
        Value::Object(object)
    });
    neurons.collect()
}

fn pushes(names: Names<'_>, attribution: &Attribution) -> Value {
    let list = |parts: &[AttributionPart]| -> Value { parts.iter().map(figures::push).collect() };
    let mut object = figures::attribution(attribution, |id| names.named(id), list(&attribution.parts));
    object.insert("heads".into(), list(&attribution.heads));
    object.insert("neurons".into(), list(&attribution.neurons));
    Value::Object(object)
}

fn turned(rotation: &Rotation) -> Value {
    json!({
        "kind": rotation.kind,
        "base": number(rotation.base),
        "position_scale": number(rotation.scale),
        "radians_per_position": numbers(&rotation.frequencies),
        "layer": rotation.head.0,
        "head": rotation.head.1,
        "other_position": rotation.other,
        "score_of_pair": numbers(&rotation.pairs),
        "score_of_pair_unrotated": numbers(&rotation.unrotated),
        "score_by_distance": numbers(&rotation.by_distance),
    })
}

/// A pass with parts off, beside what it was.
pub(super) fn card(names: Names<'_>, off: &[Component], everywhere: bool, trace: &ForwardTrace) -> Value {
    let original = trace.original.as_ref();
    json!({
        "parts": off.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "at_every_position": everywhere,
        "next": names.list(&trace.next),
        "followed": names.followed(&trace.followed),
        (figures::ENTROPY): number(trace.entropy),
        "next_before": original.map(|(next, _)| names.list(next)),
        "followed_before": original.map(|(_, followed)| names.followed(followed)),
        (figures::KL): trace.kl_from_original.map(number),
    })
}

/// How the tokenizer built its tokens.
pub(super) fn pieces(names: Names<'_>, pieces: &Pieces) -> Value {
    let words = pieces.words.iter().map(|word| {
        let merge = |merge: &crate::inspect::pieces::Merge| {
            let (from, middle, to) = merge.span;
            json!({"rule": merge.rank, "score": merge.score.map(number), "from_byte": from, "meet_byte": middle, "to_byte": to})
        };
        let token = |(id, (from, to)): &(TokenId, (u32, u32))| {
            let mut object = names.named(*id);
            object.insert("from_byte".into(), json!(from));
            object.insert("to_byte".into(), json!(to));
            Value::Object(object)
        };
        json!({
            "from_byte": word.span.0,
            "to_byte": word.span.1,
            "first_pieces_bytes": word.start,
            "merges": word.merges.iter().map(merge).collect::<Value>(),
            "tokens": word.tokens.iter().map(token).collect::<Value>(),
        })
    });
    json!({
        "kind": pieces.kind,
        "vocabulary": pieces.vocabulary,
        "merge_rules": pieces.merges,
        "words": words.collect::<Value>(),
        "doubt": pieces.doubt,
    })
}

/// A token's row, or a sum of rows, and its neighbours.
pub(super) fn neighbours(
    names: Names<'_>,
    step: &Step,
    sum: &[(TokenId, f32)],
    facts: &EmbeddingFacts,
) -> Value {
    let near = |(id, cosine): &(TokenId, f32)| {
        let mut object = names.named(*id);
        object.insert("cosine".into(), number(*cosine));
        Value::Object(object)
    };
    let nearest = facts.neighbours.iter().map(near).collect::<Value>();
    let (norm, median) = (number(facts.norm), number(facts.median));
    if sum.is_empty() {
        let word = String::from_utf8_lossy(&step.bytes);
        return json!({ "word": word, "id": step.id, "norm": norm, "median_cosine": median, "nearest": nearest });
    }
    let term = |(id, sign): &(TokenId, f32)| {
        let mut object = names.named(*id);
        object.insert("sign".into(), number(*sign));
        Value::Object(object)
    };
    let sum = sum.iter().map(term).collect::<Value>();
    json!({ "sum": sum, "norm": norm, "median_cosine": median, "nearest": nearest })
}

/// The map and the cosines of the tokens around.
pub(super) fn span(names: Names<'_>, facts: &EmbeddingFacts, span: &[TokenId]) -> Value {
    let width = span.len().max(1);
    json!({
        "ids": span,
        "tokens": span.iter().map(|id| names.text(*id)).collect::<Vec<_>>(),
        "cosines": facts.cosines.chunks(width).map(numbers).collect::<Value>(),
        "centred_cosines": facts.centred.chunks(width).map(numbers).collect::<Value>(),
        "map_ids": facts.mapped,
        "map": facts.map.iter().map(|(x, y)| json!([number(*x), number(*y)])).collect::<Value>(),
        "explained_variance": [number(facts.explained.0), number(facts.explained.1)],
    })
}

/// The chain's stages.
pub(super) fn sampler(names: Names<'_>, trace: &SamplerTrace) -> Value {
    let stages = trace.stages.iter().map(|stage| {
        let probabilities = stage.probabilities.iter().map(|p| p.map_or(Value::Null, number));
        json!({
            "stage": stage.name.label(),
            "tokens_left": stage.left,
            "p": probabilities.collect::<Value>(),
            "p_thrown_out": number(stage.removed),
            "model_p_kept": number(stage.kept),
            "entropy_nats": number(stage.entropy),
        })
    });
    json!({
        "tokens": trace.tokens.iter().map(|id| Value::Object(names.named(*id))).collect::<Value>(),
        "model_p": numbers(&trace.model),
        "vocabulary": trace.vocabulary,
        "entropy_nats": number(trace.entropy),
        "stages": stages.collect::<Value>(),
        "drawn": names.named(trace.drawn),
        "drawn_when_read_again": trace.redrawn.map(|id| names.named(id)),
        "u": trace.u,
        "u_interval": trace.interval,
    })
}
