//! What the made-up network shows of its inside: one noise in the shapes of the protocol, scaled until the sums hold
//! that a viewer relies on.
//!
//! Invariant: the lens ends at the output, rows of attention sum to 1, the attribution closes, and everything follows
//! from the ids that were read and from what is asked for.

use std::sync::Arc;

use super::hash::{bell, mix};
use super::reading::Reading;
use super::vocabulary::{BEGIN, Pieces, token};
use super::{LISTED, MS, other};
use crate::engine::protocol::{
    Attend, Attended, Attending, Embed, Event, Failure, Inspect, Inspected, Inspection, ROWS, Want,
};
use crate::inspect::depth::{Depth, DepthCell};
use crate::inspect::distribution::Distribution;
use crate::inspect::embedding::{cosine, cosines, dot, map, norm};
use crate::inspect::feed_forward::{self, FfnLayer};
use crate::inspect::position::Yarn;
use crate::inspect::rollout::rollout;
use crate::inspect::rotation::{Pairing, frequencies};
use crate::inspect::scores::{self, HALF, HeadScore, HeadScores};
use crate::inspect::trace::{
    Attention, AttentionLayer, Attribution, AttributionPart, Component, EmbeddingFacts, FeedForward,
    Followed, ForwardTrace, HeadLogits, HeadReading, HeadRow, Lens, LensRow, Neuron, PositionKind, Rotation,
};
use crate::inspect::{lens, reading};
use crate::token::{TokenId, Vocabulary};

/// Blocks.
pub(super) const LAYERS: u32 = 4;
/// Heads of a block.
pub(super) const HEADS: u32 = 4;
/// Neurons of a feed-forward.
const NEURONS: u32 = 256;
/// Dimensions of a head, and of a row of the embedding table.
const SIZE: usize = 16;

/// Tokens with what is added to their logits.
type Words = Vec<(TokenId, f32)>;

/// Answers what is asked of the inside.
pub(super) fn inspected(pieces: &Arc<Pieces>, inspection: &Inspection) -> Event {
    match inspection {
        Inspection::Inspect(request) => {
            let reading = Reading::of(pieces, &request.ids);
            Event::Inspected(Box::new(Pass::after(&reading, &request.ids).changed(request)))
        }
        Inspection::Embed(request) => Event::Embedded(Box::new(embedded(&pieces.vocabulary, request))),
    }
}

/// One pass, opened.
pub(super) struct Pass<'a> {
    key: u64,
    ids: &'a [TokenId],
    whole: Distribution,
}

impl<'a> Pass<'a> {
    /// The pass at the last of `ids`, which `reading` has read.
    pub(super) fn after(reading: &Reading, ids: &'a [TokenId]) -> Self {
        Self { key: reading.key(), ids, whole: reading.distribution() }
    }

    /// Opens it as far as is wanted.
    pub(super) fn open(&self, want: &Want) -> Inspected {
        let ffn = |layer: &u32| self.feed_forward(*layer, want);
        let ffns: Vec<FeedForward> = want.ffn.iter().map(ffn).collect();
        let of_layers = if want.ffn_layers { 0..LAYERS } else { 0..0 };
        Inspected {
            trace: ForwardTrace {
                position: self.here() as u32,
                layers: LAYERS,
                heads: HEADS,
                kv_heads: HEADS,
                next: self.whole.top(LISTED),
                entropy: self.whole.entropy(),
                followed: follow(&self.whole, &want.follow),
                lens: want.lens.then(|| self.lens(&want.follow)),
                attention: self.attention(want),
                ffn: ffns.last().cloned(),
                attribution: want.attribution.map(|pair| self.attribution(pair)),
                rotation: want.rotation.map(|of| self.rotation(of)),
                ..ForwardTrace::default()
            },
            ffns,
            off: want.off.iter().map(|part| (*part, follow(&self.without(part), &want.follow))).collect(),
            pushes_of: pair(want),
            ffn_layers: of_layers.map(|layer| self.ffn_layer(layer, want)).collect(),
            decoded: 1,
            ms: MS,
        }
    }

    /// The same with what the request changes; the output alone is another one.
    fn changed(&self, request: &Inspect) -> Inspected {
        let mut seen = self.open(&request.want);
        if !request.ablations.is_empty() || !request.patches.is_empty() {
            let output = self.without(&(&request.ablations, &request.patches));
            let trace = &mut seen.trace;
            trace.original = Some((trace.next.clone(), trace.followed.clone()));
            trace.kl_from_original = Some(divergence(&self.whole, &output));
            (trace.next, trace.entropy) = (output.top(LISTED), output.entropy());
            trace.followed = follow(&output, &request.want.follow);
        }
        seen
    }

    /// The output with something changed: the same, and some noise that belongs to the change.
    fn without(&self, change: &impl serde::Serialize) -> Distribution {
        let bytes = rmp_serde::to_vec(change).unwrap_or_default();
        self.mixed(0.9, bytes.into_iter().fold(0, |key, byte| mix(key ^ u64::from(byte))))
    }

    /// What a lens would read after so many blocks.
    fn depth(&self, blocks: u32) -> Distribution {
        let left = 1.0 - blocks as f32 / LAYERS as f32;
        self.mixed(1.0 - left * left, u64::from(blocks))
    }

    /// So much of the output, and noise for the rest.
    fn mixed(&self, share: f32, salt: u64) -> Distribution {
        let key = mix(self.key ^ mix(salt));
        let mixed = |(at, logit): (usize, &f32)| share * logit + 4.0 * (1.0 - share) * bell(key, at);
        let logits = self.whole.logits().iter().enumerate().map(mixed).collect();
        Distribution::new(logits).expect("made-up logits are finite")
    }

    fn lens(&self, followed: &[TokenId]) -> Lens {
        let best = self.whole.order()[0];
        let row = |blocks: u32| {
            let here = self.depth(blocks);
            let added = blocks as f32;
            LensRow {
                layer: blocks.checked_sub(1),
                top: here.top(3),
                followed: follow(&here, followed),
                final_best: here.logprob(best).unwrap_or_default(),
                kl: divergence(&self.whole, &here),
                norm: 4.0 * (1.0 + added),
                attention_norm: added,
                ffn_norm: added,
                attention_added: added,
                ffn_added: added,
            }
        };
        let rows: Vec<LensRow> = (0..=LAYERS).map(row).collect();
        let chosen = followed.first().copied().unwrap_or(best);
        let on_top: Vec<bool> = rows[1..].iter().map(|row| row.top[0].id == chosen).collect();
        Lens { rows, decided: lens::decided(&on_top), ms: MS }
    }

    /// The depths at which the pass settles on a token, all of them or the deciding one alone.
    pub(super) fn depths(&self, id: TokenId, cells: bool) -> Depth {
        let cell = |blocks: u32| {
            let (here, followed) = (self.depth(blocks), &[id]);
            let best = here.top(1)[0];
            let logprob = follow(&here, followed).first().map_or(f32::NEG_INFINITY, |it| it.logprob);
            DepthCell { best: best.id, best_logprob: best.logprob, logprob }
        };
        let all: Vec<DepthCell> = (0..=LAYERS).map(cell).collect();
        let on_top: Vec<bool> = all[1..].iter().map(|cell| cell.best == id).collect();
        Depth { id, decided: lens::decided(&on_top), cells: if cells { all } else { Vec::new() } }
    }

    fn attention(&self, want: &Want) -> Option<Attention> {
        let layers = if want.overview { 0..LAYERS } else { 0..0 };
        let reads = |layer: u32, head: u32| {
            let written = Some(0.1 + 0.1 * head as f32);
            HeadReading {
                written,
                ..reading::reading(&weights(self.key, self.here(), layer, head), self.ids)
            }
        };
        let opened = |layer: &u32| {
            let heads = (0..HEADS).map(|head| self.head(*layer, head)).collect();
            AttentionLayer { layer: *layer, window: None, heads }
        };
        let any = want.overview || !want.attention.is_empty() || want.head.is_some();
        any.then(|| Attention {
            overview: layers.map(|layer| (0..HEADS).map(|head| reads(layer, head)).collect()).collect(),
            layers: want.attention.iter().map(opened).collect(),
            head_logits: want.head.iter().map(|(layer, head)| self.told(*layer, *head, want)).collect(),
            flash: false,
        })
    }

    fn head(&self, layer: u32, head: u32) -> HeadRow {
        let weights = weights(self.key, self.here(), layer, head);
        let scores = weights.iter().map(|weight| weight.ln()).collect();
        HeadRow { value_norms: weights.clone(), scores, weights, sink: 0.0 }
    }

    fn told(&self, layer: u32, head: u32, want: &Want) -> HeadLogits {
        let key = mix(self.key ^ u64::from(layer * HEADS + head));
        let (promotes, suppresses) = self.words(key);
        let followed = want.follow.iter().zip(0..).map(|(id, at)| (*id, 2.0 * bell(key, at))).collect();
        HeadLogits { layer, head, share: 0.2, promotes, suppresses, followed }
    }

    /// Eight tokens that something raises, and eight that it lowers.
    fn words(&self, key: u64) -> (Words, Words) {
        let word = |at: usize| token(mix(key ^ at as u64) as usize % self.whole.len());
        let side = |from: usize, most: f32| -> Words {
            (from..from + 8).map(|at| (word(at), most / (1 + at - from) as f32)).collect()
        };
        (side(0, 0.8), side(8, -0.8))
    }

    /// Parts that share a pair's difference with some noise; heads and neurons have their parts of these.
    fn attribution(&self, (token, rival): (TokenId, TokenId)) -> Attribution {
        let logit = |id: TokenId| self.whole.logit(id).unwrap_or_default();
        let difference = logit(token) - logit(rival);
        let of_layer = |layer: u32| [Component::Attention(layer), Component::Ffn(layer)];
        let parts: Vec<Component> =
            [Component::Embedding].into_iter().chain((0..LAYERS).flat_map(of_layer)).collect();
        let noise = |at: usize| bell(self.key, at);
        let rest = difference - (0..parts.len()).map(noise).sum::<f32>();
        let each = rest / parts.len() as f32;
        let part = |part: Component, logit_difference: f32| AttributionPart { part, logit_difference };
        let parts: Vec<AttributionPart> =
            parts.iter().enumerate().map(|(at, of)| part(*of, noise(at) + each)).collect();
        let (mut heads, mut neurons) = (Vec::new(), Vec::new());
        for AttributionPart { part: whole, logit_difference } in &parts {
            match whole {
                Component::Attention(layer) => {
                    let share = logit_difference / HEADS as f32;
                    heads.extend((0..HEADS).map(|head| part(Component::Head(*layer, head), share)));
                }
                Component::Ffn(layer) => {
                    neurons.push(part(Component::Neuron(*layer, 7), logit_difference / 8.0));
                }
                _ => {}
            }
        }
        let sum: f32 = parts.iter().map(|part| part.logit_difference).sum();
        let closure_error = (sum - difference).abs();
        Attribution { token, rival, parts, heads, neurons, difference, closure_error }
    }

    fn ffn_layer(&self, layer: u32, want: &Want) -> FfnLayer {
        let all = pair(want).map(|pair| self.attribution(pair).parts).unwrap_or_default();
        let push =
            all.iter().find(|part| part.part == Component::Ffn(layer)).map(|part| part.logit_difference);
        FfnLayer { layer, write: 10.0, half: Some(NEURONS / 8), push }
    }

    fn feed_forward(&self, layer: u32, want: &Want) -> FeedForward {
        let (line, key) = (self.ffn_layer(layer, want), mix(self.key ^ u64::from(layer)));
        let neuron = |index: u32| {
            let activation = 6.0 * bell(key, index as usize).powi(3);
            let push = line.push.map(|push| push / NEURONS as f32);
            // A neuron has its words whatever was read.
            let words = want.words.then(|| self.words(u64::from(layer * NEURONS + index)));
            let (promotes, suppresses) = words.unwrap_or_default();
            Neuron { index, expert: None, activation, added: activation.abs(), push, promotes, suppresses }
        };
        let mut neurons: Vec<Neuron> = (0..NEURONS).map(neuron).collect();
        let activations: Vec<f32> = neurons.iter().map(|neuron| neuron.activation).collect();
        let half = feed_forward::half(neurons.iter().map(|neuron| neuron.added));
        neurons.sort_by(|a, b| b.added.total_cmp(&a.added));
        neurons.truncate(want.neurons as usize);
        FeedForward {
            layer,
            width: NEURONS,
            neurons,
            words: want.words,
            order: want.neuron_order,
            write: line.write,
            half,
            push: line.push,
            histogram: feed_forward::histogram(&activations),
            ..FeedForward::default()
        }
    }

    fn rotation(&self, (layer, head, other): (u32, u32, u32)) -> Rotation {
        let (query, key) = (row(self.key), row(u64::from(other)));
        let frequencies = frequencies(SIZE, 10_000.0, 1.0, &[], &Yarn::default());
        let kind = PositionKind::RopeNeox;
        let here = self.here() as u32;
        let (query, key) = ((&query[..], here), (&key[..], other));
        let pairing = Pairing { kind, frequencies: &frequencies, scale: 0.25, query, key };
        Rotation {
            kind,
            base: 10_000.0,
            scale: 1.0,
            head: (layer, head),
            other,
            pairs: pairing.pairs(),
            unrotated: pairing.unrotated(),
            by_distance: pairing.by_distance(here + 1),
            frequencies: frequencies.clone(),
            ..Rotation::default()
        }
    }

    fn here(&self) -> usize {
        self.ids.len().saturating_sub(1)
    }
}

/// The two tokens that pushes are between.
fn pair(want: &Want) -> Option<(TokenId, TokenId)> {
    want.follow.first().copied().zip(want.follow.get(1).copied())
}

fn follow(of: &Distribution, ids: &[TokenId]) -> Vec<Followed> {
    let one = |id: &TokenId| Some(Followed { id: *id, logprob: of.logprob(*id)?, rank: of.rank(*id)? });
    ids.iter().filter_map(one).collect()
}

pub(super) fn divergence(p: &Distribution, q: &Distribution) -> f32 {
    let normaliser = |of: &Distribution| {
        let best = of.order()[0];
        f64::from(of.logit(best).unwrap_or_default()) - f64::from(of.logprob(best).unwrap_or_default())
    };
    lens::divergence(p.logits(), normaliser(p), q.logits(), normaliser(q))
}

/// A head's row at a position: it reads the token before, the first, itself, or nothing in particular.
fn weights(key: u64, here: usize, layer: u32, head: u32) -> Vec<f32> {
    let key = mix(key ^ mix(u64::from(layer * HEADS + head)));
    let favoured = [here.saturating_sub(1), 0, here, usize::MAX][(layer + head) as usize % 4];
    let crowd = (2 + here) as f32;
    let weight = |at: usize| (2.0 * bell(key, at)).exp() + if at == favoured { crowd } else { 0.0 };
    let weights: Vec<f32> = (0..=here).map(weight).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Attention over a stretch of text; its last row is the pass's own.
pub(super) fn attended(key: u64, request: &Attend) -> Result<Attended, Failure> {
    let count = request.ids.len();
    let start = count.saturating_sub(ROWS);
    let rows =
        |layer, head| -> Vec<Vec<f32>> { (start..count).map(|at| weights(key, at, layer, head)).collect() };
    let rows = match request.of {
        Attending::Head(layer, head) => rows(layer, head),
        Attending::Rollout if start > 0 => {
            return Err(other(format!("The rollout is made for texts of at most {ROWS} tokens.")));
        }
        Attending::Rollout => {
            // One head stands for its block's mean.
            let means: Vec<Vec<Vec<f32>>> = (0..LAYERS).map(|layer| rows(layer, 0)).collect();
            rollout(means.iter().map(Vec::as_slice))
        }
    };
    Ok(Attended { decoded: 1, ms: MS, ..Attended::new(start as u32, &rows, vec![0; count - start]) })
}

/// What each head does on random text.
pub(super) fn calibrated(vocabulary: &Vocabulary) -> HeadScores {
    let count = scores::probe(vocabulary, Some(BEGIN)).len();
    let score = |layer, head| {
        let rows: Vec<Vec<f32>> = (0..count).map(|at| weights(0, at, layer, head)).collect();
        HeadScore::of(&rows, HALF)
    };
    let layers = (0..LAYERS).map(|layer| (0..HEADS).map(|head| score(layer, head)).collect()).collect();
    HeadScores { layers, ms: MS }
}

/// A made-up vector.
fn row(key: u64) -> Vec<f32> {
    (0..SIZE).map(|at| bell(mix(key), at)).collect()
}

/// Answers a question to the made-up embedding table.
fn embedded(vocabulary: &Vocabulary, request: &Embed) -> EmbeddingFacts {
    let of = |id: TokenId| row(u64::from(id.0.unsigned_abs()));
    let mut target = vec![0.0_f32; SIZE];
    for (id, sign) in &request.sum {
        target.iter_mut().zip(of(*id)).for_each(|(sum, value)| *sum += sign * value);
    }
    let length = norm(&target);
    let near = |id: TokenId| (id, cosine(dot(&of(id), &target), length, norm(&of(id))));
    let others = (0..vocabulary.len()).map(token).filter(|id| !request.sum.iter().any(|(own, _)| own == id));
    let mut neighbours: Vec<(TokenId, f32)> = others.map(near).collect();
    neighbours.sort_by(|a, b| b.1.total_cmp(&a.1));
    neighbours.truncate(request.neighbours as usize);
    let rows = |ids: &[TokenId]| ids.iter().flat_map(|id| of(*id)).collect::<Vec<f32>>();
    let mut mapped = if request.map.is_empty() { request.span.clone() } else { request.map.clone() };
    mapped.extend(neighbours.iter().map(|(id, _)| *id).filter(|_| request.map_neighbours));
    let on_map = map(&rows(&mapped), SIZE);
    let cosines = cosines(&rows(&request.span), SIZE);
    EmbeddingFacts {
        norm: length,
        neighbours,
        // Rows here have no common part, so there is nothing to take off.
        centred: cosines.clone(),
        cosines,
        map: on_map.points,
        explained: on_map.explained,
        mapped,
        lengths: (0.5, 3.0),
        values: (-1.0, 1.0),
        ms: MS,
        ..EmbeddingFacts::default()
    }
}
