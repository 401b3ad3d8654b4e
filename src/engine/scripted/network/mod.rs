//! The made-up network: what stations 2 to 6 and 9 show without a model file.
//!
//! Every part of the network adds a made-up vector of logits, and they add up to the distribution that the model
//! really gives. So the last lens row is the output, the attribution closes, and switching a part off takes away
//! what the attribution said it adds.
//!
//! Invariant: everything follows from the ids that were read, and rows of attention sum to 1.

pub(super) mod heads;
pub(super) mod table;

use std::time::Instant;

use super::hash::{self, mix, unit};
use super::other;
use super::reading::{self, Reading};
use super::vocabulary::token;
use crate::chat::Intervention;
use crate::engine::milliseconds;
use crate::engine::protocol::{Failure, Inspect, Inspected, Want, switched_off};
use crate::inspect::distribution::Distribution;
use crate::inspect::feed_forward::{self, FfnLayer, NeuronOrder};
use crate::inspect::lens;
use crate::inspect::trace::{
    Attribution, AttributionPart, FeedForward, Followed, ForwardTrace, Lens, LensRow, Neuron, Part,
};
use crate::token::TokenId;

/// Blocks.
pub(super) const LAYERS: u32 = 4;
/// Query heads of a block.
pub(super) const HEADS: u32 = 4;
/// Key-value heads of a block.
pub(super) const KV_HEADS: u32 = 2;
/// Neurons of a feed-forward.
const NEURONS: u32 = 256;
/// Tokens that a neuron promotes, and that it suppresses.
const TOKENS: usize = 8;
/// Likeliest next tokens that a trace lists.
const LISTED: usize = 20;
/// How much of the output is there at each depth, the embedding first.
const SHARES: [f32; LAYERS as usize + 1] = [0.05, 0.15, 0.4, 0.8, 1.0];

/// The pass that is asked for, with what is changed in it.
pub(super) fn opened(reading: &Reading, request: &Inspect) -> Inspected {
    // What is patched in comes from nowhere here, so a patched part is one that is off.
    let patched = request.patches.iter().filter_map(|patch| switched_off(patch.part));
    let changes: Vec<Intervention> = request.ablations.iter().cloned().chain(patched).collect();
    open(reading, &request.ids, &request.want, &changes)
}

/// Whether the model has what is named.
pub(super) fn check(want: &Want, ablations: &[Intervention], read: usize) -> Result<(), Failure> {
    let (mut layers, mut heads): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    for part in ablations.iter().filter_map(part_of) {
        if let Part::Head(_, head) = part {
            heads.push(head);
        }
        if let Part::Head(layer, _) | Part::Attention(layer) | Part::Ffn(layer) = part {
            layers.push(layer);
        }
    }
    layers.extend(want.attention.iter().chain(&want.ffn));
    if let Some((layer, head)) = want.head {
        layers.push(layer);
        heads.push(head);
    }
    if let Some((layer, head, at)) = want.rotation {
        layers.push(layer);
        heads.push(head);
        if at as usize >= read {
            return Err(other(format!("Position {at} comes after the pass.")));
        }
    }
    if let Some(layer) = layers.into_iter().find(|layer| *layer >= LAYERS) {
        return Err(other(format!("There is no layer {layer}: this model has layers 0 to {}.", LAYERS - 1)));
    }
    if let Some(head) = heads.into_iter().find(|head| *head >= HEADS) {
        return Err(other(format!(
            "There is no head {head}: a layer of this model has heads 0 to {}.",
            HEADS - 1
        )));
    }
    Ok(())
}

/// The part that a change switches off.
fn part_of(change: &Intervention) -> Option<Part> {
    match change {
        Intervention::ZeroHead { layer, head } => Some(Part::Head(*layer, *head)),
        Intervention::ZeroAttention { layer } => Some(Part::Attention(*layer)),
        Intervention::ZeroFfn { layer } => Some(Part::Ffn(*layer)),
        Intervention::ZeroNeuron { layer, neuron } => Some(Part::Neuron(*layer, *neuron)),
        Intervention::Replace { .. } | Intervention::Steer(_) => None,
    }
}

/// The pass after `reading`, opened as far as is wanted, with parts switched off.
pub(super) fn open(reading: &Reading, ids: &[TokenId], want: &Want, off: &[Intervention]) -> Inspected {
    let whole = reading::distribution(reading);
    let stack = Stack { reading, whole: &whole };
    let parts: Vec<Part> = off.iter().filter_map(part_of).collect();
    let changed = (!parts.is_empty()).then(|| stack.without(&parts));
    let output = changed.as_ref().unwrap_or(&whole);
    let followed =
        |of: &Distribution| want.follow.iter().filter_map(|id| follow(of, *id)).collect::<Vec<_>>();
    let mut trace = ForwardTrace {
        position: (ids.len() as u32).saturating_sub(1),
        layers: LAYERS,
        heads: HEADS,
        kv_heads: KV_HEADS,
        next: output.top(LISTED),
        entropy: output.entropy(),
        followed: followed(output),
        lens: want.lens.then(|| stack.lens(&want.follow)),
        attention: heads::attention(reading.key(), ids, want),
        rotation: want.rotation.map(|(layer, head, at)| heads::rotation(reading.key(), ids, layer, head, at)),
        attribution: want.attribution.and_then(|(token, rival)| stack.attribution(token, rival)),
        ..ForwardTrace::default()
    };
    if changed.is_some() {
        trace.original = Some((whole.top(LISTED), followed(&whole)));
        trace.kl_from_original = Some(divergence(&whole, output));
    }
    let ffns: Vec<FeedForward> = want.ffn.iter().map(|layer| stack.feed_forward(*layer, want)).collect();
    trace.ffn = ffns.last().cloned();
    let off = want.off.iter().map(|part| {
        let alone = stack.without(&[*part]);
        (*part, followed(&alone))
    });
    let ffn_layers = if want.ffn_layers {
        (0..LAYERS).map(|layer| stack.ffn_layer(layer, want)).collect()
    } else {
        Vec::new()
    };
    let pushes_of = want.follow.first().copied().zip(want.follow.get(1).copied());
    Inspected { trace, ffns, ffn_layers, pushes_of, off: off.collect(), ..Inspected::default() }
}

fn follow(of: &Distribution, id: TokenId) -> Option<Followed> {
    Some(Followed { id, logprob: of.logprob(id)?, rank: of.rank(id)? })
}

fn divergence(p: &Distribution, q: &Distribution) -> f32 {
    let normaliser = |of: &Distribution| {
        let first = TokenId(0);
        f64::from(of.logit(first).unwrap_or_default()) - f64::from(of.logprob(first).unwrap_or_default())
    };
    lens::divergence(p.logits(), normaliser(p), q.logits(), normaliser(q))
}

/// The parts of the network, each with the logits that it adds.
pub(super) struct Stack<'a> {
    pub(super) reading: &'a Reading,
    pub(super) whole: &'a Distribution,
}

impl Stack<'_> {
    /// The logits after so many blocks: some of the output, and noise in the place of the rest.
    pub(super) fn logits(&self, depth: usize) -> Vec<f32> {
        let (share, key) = (SHARES[depth], mix(self.reading.key() ^ mix(depth as u64 + 77)));
        let noise = |index: u64| 4.0 * hash::bell(mix(key ^ (index << 20)));
        let mixed = |(index, logit): (u64, &f32)| share * logit + (1.0 - share) * noise(index);
        (0..).zip(self.whole.logits()).map(mixed).collect()
    }

    /// What part of a block's change of the stream a head, its attention or its feed-forward makes.
    fn share(&self, part: Part) -> f32 {
        let luck = |layer: u32, what: u64| unit(mix(self.reading.key() ^ mix(u64::from(layer) << 8 | what)));
        let attention = |layer: u32| 0.25 + 0.5 * luck(layer, 0);
        let head = |layer: u32, head: u32| 0.05 + luck(layer, 1 + u64::from(head)).powi(3);
        match part {
            Part::Embedding => 1.0,
            Part::Attention(layer) => attention(layer),
            Part::Ffn(layer) => 1.0 - attention(layer),
            Part::Neuron(layer, _) => (1.0 - attention(layer)) / 64.0,
            Part::Stream(_) => 0.0,
            Part::Head(layer, number) => {
                let all: f32 = (0..HEADS).map(|number| head(layer, number)).sum();
                attention(layer) * head(layer, number) / all
            }
        }
    }

    /// The output with parts switched off.
    fn without(&self, parts: &[Part]) -> Distribution {
        let mut logits = self.whole.logits().to_vec();
        for layer in 0..LAYERS {
            let off = |part: Part| if parts.contains(&part) { self.share(part) } else { 0.0 };
            let heads = || (0..HEADS).map(|head| off(Part::Head(layer, head))).sum::<f32>();
            let attention = off(Part::Attention(layer));
            let off = off(Part::Ffn(layer)) + if attention > 0.0 { attention } else { heads() };
            if off > 0.0 {
                let (before, after) = (self.logits(layer as usize), self.logits(layer as usize + 1));
                let added = after.iter().zip(&before).map(|(after, before)| after - before);
                logits.iter_mut().zip(added).for_each(|(logit, added)| *logit -= off * added);
            }
        }
        Distribution::new(logits).expect("made-up logits are finite")
    }

    fn lens(&self, follow: &[TokenId]) -> Lens {
        let begun = Instant::now();
        let best = self.whole.order()[0];
        let mut rows = Vec::new();
        for depth in 0..=LAYERS as usize {
            let here = Distribution::new(self.logits(depth)).expect("made-up logits are finite");
            let norm = 4.0 * 1.9_f32.powf(depth as f32);
            let block = depth.checked_sub(1).map(|layer| layer as u32);
            let share = |part: fn(u32) -> Part| block.map_or(0.0, |layer| norm * self.share(part(layer)));
            rows.push(LensRow {
                layer: block,
                top: here.top(3),
                followed: follow.iter().filter_map(|id| self::follow(&here, *id)).collect(),
                final_best: here.logprob(best).unwrap_or_default(),
                kl: divergence(self.whole, &here),
                norm,
                attention_norm: share(Part::Attention),
                ffn_norm: share(Part::Ffn),
                attention_added: share(Part::Attention),
                ffn_added: share(Part::Ffn),
            });
        }
        let chosen = follow.first().copied().unwrap_or(best);
        let on_top: Vec<bool> = rows.iter().skip(1).map(|row| row.top[0].id == chosen).collect();
        Lens { rows, decided: lens::decided(&on_top), ms: milliseconds(begun) }
    }

    fn attribution(&self, token: TokenId, rival: TokenId) -> Option<Attribution> {
        let of = |logits: &[f32], id: TokenId| logits.get(usize::try_from(id.0).ok()?).copied();
        let between = |logits: &[f32]| Some(of(logits, token)? - of(logits, rival)?);
        let mut before = between(&self.logits(0))?;
        let part = |part: Part, added: f32| AttributionPart { part, logit_difference: added };
        let (mut parts, mut heads) = (vec![part(Part::Embedding, before)], Vec::new());
        for layer in 0..LAYERS {
            let after = between(&self.logits(layer as usize + 1))?;
            let added = |of: Part| part(of, (after - before) * self.share(of));
            parts.extend([Part::Attention(layer), Part::Ffn(layer)].map(added));
            heads.extend((0..HEADS).map(|head| added(Part::Head(layer, head))));
            before = after;
        }
        let difference = between(self.whole.logits())?;
        let sum: f32 = parts.iter().map(|part| part.logit_difference).sum();
        let neurons = pushing(&parts);
        let closure_error = (sum - difference).abs();
        Some(Attribution { token, rival, parts, heads, neurons, difference, closure_error })
    }

    fn feed_forward(&self, layer: u32, want: &Want) -> FeedForward {
        let key = mix(self.reading.key() ^ mix(1000 + u64::from(layer)));
        let activation = |index: u32| 6.0 * hash::bell(mix(key ^ u64::from(index))).powi(3);
        let mut neurons: Vec<Neuron> =
            (0..NEURONS).map(|index| self.neuron(layer, index, activation(index))).collect();
        let activations: Vec<f32> = neurons.iter().map(|neuron| neuron.activation).collect();
        let line = self.ffn_layer(layer, want);
        let all: f32 = neurons.iter().map(|neuron| neuron.activation).sum();
        for neuron in &mut neurons {
            neuron.push = line.push.map(|push| push * neuron.activation / all);
        }
        let by = |neuron: &Neuron| match want.neuron_order {
            NeuronOrder::Activation => neuron.activation.abs(),
            NeuronOrder::Write => neuron.added,
            NeuronOrder::Push => neuron.push.unwrap_or_default().abs(),
        };
        let half = feed_forward::half(neurons.iter().map(|neuron| neuron.added));
        neurons.sort_by(|a, b| by(b).total_cmp(&by(a)).then(a.index.cmp(&b.index)));
        neurons.truncate(want.neurons as usize);
        if !want.words {
            for neuron in &mut neurons {
                (neuron.promotes, neuron.suppresses) = Default::default();
            }
        }
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

    /// A block's feed-forward in one line.
    fn ffn_layer(&self, layer: u32, want: &Want) -> FfnLayer {
        let pair = want.follow.get(..2).and_then(|pair| self.attribution(pair[0], pair[1]));
        let of = pair.and_then(|all| all.parts.into_iter().find(|part| part.part == Part::Ffn(layer)));
        let push = of.map(|part| part.logit_difference);
        FfnLayer { layer, write: 10.0 + 5.0 * layer as f32, half: Some(NEURONS / 8), push }
    }

    /// A neuron has its words whatever was read.
    fn neuron(&self, layer: u32, index: u32, activation: f32) -> Neuron {
        let vocabulary = self.whole.len();
        let key = mix(u64::from(layer) << 32 | u64::from(index));
        let added = activation.abs() * (0.8 + 0.4 * unit(key));
        let words = |side: u64, sign: f32| {
            let word = |place: usize| {
                let at = mix(key ^ mix(side << 8 | place as u64)) as usize % vocabulary;
                (token(at), sign * added * 0.3 / (1.0 + 0.4 * place as f32))
            };
            (0..TOKENS).map(word).collect()
        };
        let (promotes, suppresses) = (words(1, 1.0), words(2, -1.0));
        Neuron { index, expert: None, activation, added, push: None, promotes, suppresses }
    }
}

/// Single neurons: each feed-forward's push by a made-up share.
fn pushing(parts: &[AttributionPart]) -> Vec<AttributionPart> {
    let of = |part: &AttributionPart| match part.part {
        Part::Ffn(layer) => Some((layer, part.logit_difference)),
        _ => None,
    };
    let neuron = |(layer, push): (u32, f32)| AttributionPart {
        part: Part::Neuron(layer, mix(u64::from(layer)) as u32 % NEURONS),
        logit_difference: push / 64.0,
    };
    parts.iter().filter_map(of).map(neuron).collect()
}

#[cfg(test)]
mod tests;
