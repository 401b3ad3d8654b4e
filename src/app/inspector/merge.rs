//! What several requests told of one pass, put together.
//!
//! Invariant: what is newer stands where both tell the same; nothing else is lost.

use crate::engine::protocol::Inspected;
use crate::inspect::trace::Attention;

/// Adds what `new` tells to `seen`.
pub(super) fn merge(seen: &mut Inspected, new: Inspected) {
    let old = std::mem::take(seen);
    let mut trace = new.trace;
    trace.lens = trace.lens.or(old.trace.lens);
    trace.attention = match (old.trace.attention, trace.attention) {
        (Some(old), Some(new)) => Some(join(old, new)),
        (old, new) => new.or(old),
    };
    trace.attribution = trace.attribution.or(old.trace.attribution);
    trace.rotation = trace.rotation.or(old.trace.rotation);
    trace.ffn = trace.ffn.or(old.trace.ffn);
    if trace.followed.is_empty() {
        trace.followed = old.trace.followed;
    }
    for missing in old.trace.missing {
        if !trace.missing.contains(&missing) {
            trace.missing.push(missing);
        }
    }
    let opens_ffn = !new.ffns.is_empty() || !new.ffn_layers.is_empty();
    let pushes_of = if opens_ffn { new.pushes_of } else { old.pushes_of };
    // Pushes between other tokens say nothing of these two.
    let stale = opens_ffn && old.pushes_of != new.pushes_of;
    let mut ffns = if stale { Vec::new() } else { old.ffns };
    ffns.retain(|ffn| new.ffns.iter().all(|other| (other.layer, other.order) != (ffn.layer, ffn.order)));
    ffns.extend(new.ffns);
    let mut off = old.off;
    off.retain(|(part, _)| new.off.iter().all(|(other, _)| other != part));
    off.extend(new.off);
    let ffn_layers = if new.ffn_layers.is_empty() && !stale { old.ffn_layers } else { new.ffn_layers };
    *seen = Inspected { trace, ffns, ffn_layers, pushes_of, off, decoded: new.decoded, ms: new.ms };
}

fn join(old: Attention, new: Attention) -> Attention {
    let mut layers = old.layers;
    layers.retain(|layer| new.layers.iter().all(|other| other.layer != layer.layer));
    layers.extend(new.layers);
    let mut told = old.head_logits;
    told.retain(|head| {
        new.head_logits.iter().all(|other| (other.layer, other.head) != (head.layer, head.head))
    });
    told.extend(new.head_logits);
    Attention {
        overview: if new.overview.is_empty() { old.overview } else { new.overview },
        layers,
        head_logits: told,
        flash: old.flash || new.flash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::trace::{AttentionLayer, FeedForward, ForwardTrace, HeadReading, Lens};

    fn layer(layer: u32) -> AttentionLayer {
        AttentionLayer { layer, ..AttentionLayer::default() }
    }

    #[test]
    fn nothing_is_lost_and_what_is_newer_stands() {
        let mut seen = Inspected {
            trace: ForwardTrace {
                lens: Some(Lens { ms: 1.0, ..Lens::default() }),
                attention: Some(Attention {
                    overview: vec![vec![HeadReading::default()]],
                    layers: vec![layer(1), layer(2)],
                    ..Attention::default()
                }),
                missing: vec!["a".into()],
                ..ForwardTrace::default()
            },
            ffns: vec![FeedForward { layer: 4, width: 1, ..FeedForward::default() }],
            ..Inspected::default()
        };
        let window = AttentionLayer { window: Some(512), ..layer(2) };
        let new = Inspected {
            trace: ForwardTrace {
                attention: Some(Attention { layers: vec![window.clone()], ..Attention::default() }),
                missing: vec!["a".into(), "b".into()],
                ..ForwardTrace::default()
            },
            ffns: vec![FeedForward { layer: 4, width: 2, ..FeedForward::default() }],
            ..Inspected::default()
        };
        merge(&mut seen, new);
        let attention = seen.trace.attention.unwrap();
        assert_eq!(attention.layers, vec![layer(1), window]);
        assert_eq!(attention.overview.len(), 1);
        assert!(seen.trace.lens.is_some());
        assert_eq!(seen.ffns.iter().map(|ffn| ffn.width).collect::<Vec<_>>(), vec![2]);
        assert_eq!(seen.trace.missing, vec!["a".to_owned(), "b".to_owned()]);
    }
}
