//! Keys of the position station: distances, pairs, and which head and which token are chosen.
//!
//! Invariant: what is chosen exists: a head of the model, a token that the pass has read.

use crate::app::{ChatView, Inspector, Outbox};
use crate::inspect::rotation::DISTANCES;

impl Inspector {
    /// Lets the arrows choose the head and the token that is read, or ends that.
    pub(crate) fn pick_position(&mut self, out: &mut Outbox) {
        let picking = &mut self.position.picking_head;
        *picking = !*picking;
        let said = if *picking {
            "arrows: left and right another token to read, up and down another head; Enter is done"
        } else {
            "arrows: pairs and distances again"
        };
        out.say(said);
    }

    /// The arrows at the position station.
    pub(crate) fn move_position(&mut self, view: ChatView<'_>, down: i32, right: i32) {
        let position = self.display(view).shown_inside().map_or(0, |seen| seen.trace.position);
        let rotation = self.display(view).shown_inside().and_then(|seen| seen.trace.rotation.as_ref());
        let (pairs, known) =
            rotation.map_or((0, 0), |rotation| (rotation.frequencies.len(), rotation.by_distance.len()));
        let Some((layers, heads)) = view.ready().map(|loaded| (loaded.facts.layers, loaded.facts.heads))
        else {
            return;
        };
        let layer = self.display(view).opened_layer();
        let (inside, view) = (&mut self.inside, &mut self.position);
        if !view.picking_head {
            if down != 0 {
                let real = position.saturating_sub(view.other.unwrap_or(position.saturating_sub(1)));
                view.apart = Some(next_distance(view.apart.unwrap_or(real), down > 0, known));
            }
            view.pair = view.pair.saturating_add_signed(right as isize).min(pairs.saturating_sub(1));
            return;
        }
        let other = view.other.unwrap_or(position.saturating_sub(1));
        if right != 0 {
            view.other = Some(other.saturating_add_signed(right).min(position));
        }
        if down != 0 {
            let last = (layers * heads).saturating_sub(1);
            let place = (layer * heads + inside.head).saturating_add_signed(down).min(last);
            (inside.layer, inside.head, inside.aimed) = (place / heads.max(1), place % heads.max(1), true);
        }
    }
}

/// The next distance that is told of, in one direction, among the `known` first.
fn next_distance(now: u32, farther: bool, known: usize) -> u32 {
    let there = DISTANCES.into_iter().filter(|distance| (*distance as usize) < known);
    let next = if farther { there.clone().find(|at| *at > now) } else { there.clone().rfind(|at| *at < now) };
    next.unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_walked_as_far_as_they_are_known() {
        assert_eq!(next_distance(7, true, 5000), 8);
        assert_eq!(next_distance(7, false, 5000), 6);
        assert_eq!((next_distance(0, false, 5000), next_distance(4096, true, 5000)), (0, 4096));
        assert_eq!(next_distance(4, true, 5), 4);
    }
}
