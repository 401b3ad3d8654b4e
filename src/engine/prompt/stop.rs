//! Stop texts: a reply ends **before** any of them, and no part of one is shown first. So tokens whose
//! bytes may be the beginning of a stop text are held back until the next ones decide.
//!
//! Invariant: what is released depends on the bytes alone, not on how they are cut into tokens; of several
//! stop texts the one that is complete first counts, and among those the longest. A mark, which adds no text, is
//! compared by its name, and only as a whole: a stop text that begins or ends inside the name is not there.

use crate::engine::protocol::Written;

/// Holds back steps that may belong to a stop text.
#[derive(Debug)]
pub struct HoldBack {
    stops: Vec<Vec<u8>>,
    held: Vec<Held>,
    /// The held steps as they are compared: their bytes, or the names of marks.
    bytes: Vec<u8>,
}

/// A step that is held back.
#[derive(Debug)]
struct Held {
    written: Written,
    /// How many of the compared bytes are its own.
    length: usize,
    /// Whether it is compared by its name.
    is_mark: bool,
}

/// What became of a step.
#[derive(Debug, PartialEq)]
pub struct Released {
    /// Steps that are certain now, oldest first.
    pub steps: Vec<Written>,
    /// Whether a stop text is complete; nothing may follow.
    pub stopped: bool,
}

impl HoldBack {
    /// Empty texts are left out: they would stop everything.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops = stops.into_iter().filter(|text| !text.is_empty()).map(String::into_bytes).collect();
        Self { stops, held: Vec::new(), bytes: Vec::new() }
    }

    /// Takes the next step, a mark with its name, and gives what is certain.
    pub fn push(&mut self, written: Written, name: &[u8]) -> Released {
        let known = self.bytes.len();
        let is_mark = written.step.bytes.is_empty();
        self.bytes.extend_from_slice(if is_mark { name } else { &written.step.bytes });
        self.held.push(Held { written, length: self.bytes.len() - known, is_mark });
        match self.complete_stop(known) {
            Some(start) => Released { steps: self.cut(start), stopped: true },
            None => Released { steps: self.release(self.open_stop()), stopped: false },
        }
    }

    /// The reply ends for another reason: everything held is part of it.
    pub fn finish(&mut self) -> Vec<Written> {
        self.bytes.clear();
        self.held.drain(..).map(|held| held.written).collect()
    }

    /// Where the stop text begins that is complete first, after `known` bytes without one.
    fn complete_stop(&self, known: usize) -> Option<usize> {
        (known + 1..=self.bytes.len()).filter(|end| !self.is_inside_mark(*end)).find_map(|end| {
            let text = &self.bytes[..end];
            let stops = self.stops.iter().filter(|stop| text.ends_with(stop));
            stops.map(|stop| end - stop.len()).filter(|start| !self.is_inside_mark(*start)).min()
        })
    }

    /// Where the longest unfinished stop text begins; the end of the bytes if none does.
    fn open_stop(&self) -> usize {
        (0..self.bytes.len())
            .filter(|start| !self.is_inside_mark(*start))
            .find(|&start| self.stops.iter().any(|stop| stop.starts_with(&self.bytes[start..])))
            .unwrap_or(self.bytes.len())
    }

    fn is_inside_mark(&self, place: usize) -> bool {
        let mut start = 0;
        self.held.iter().any(|held| {
            let end = start + held.length;
            let is_inside = held.is_mark && start < place && place < end;
            start = end;
            is_inside
        })
    }

    /// Gives the steps that end at or before `until`.
    fn release(&mut self, until: usize) -> Vec<Written> {
        let mut end = 0;
        let mut count = 0;
        for held in &self.held {
            if end + held.length > until {
                break;
            }
            end += held.length;
            count += 1;
        }
        self.bytes.drain(..end);
        self.held.drain(..count).map(|held| held.written).collect()
    }

    /// Gives the steps before `start`, the last one cut there, and drops the rest.
    fn cut(&mut self, start: usize) -> Vec<Written> {
        self.bytes.clear();
        let mut left = start;
        let mut steps = Vec::new();
        for Held { mut written, length, .. } in self.held.drain(..) {
            if left == 0 {
                break;
            }
            written.step.bytes.truncate(left);
            left -= length.min(left);
            steps.push(written);
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Step;
    use proptest::prelude::*;

    fn step(text: &[u8]) -> Written {
        Step { bytes: text.to_vec(), ..Step::default() }.into()
    }

    /// The reply's bytes and whether it was stopped.
    fn run<'a>(stops: &[&str], chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
        let mut hold = HoldBack::new(stops.iter().map(ToString::to_string));
        let mut out = Vec::new();
        for chunk in chunks {
            let released = hold.push(step(chunk), b"");
            released.steps.iter().for_each(|s| out.extend_from_slice(&s.step.bytes));
            if released.stopped {
                return (out, true);
            }
        }
        hold.finish().iter().for_each(|s| out.extend_from_slice(&s.step.bytes));
        (out, false)
    }

    #[test]
    fn a_possible_beginning_is_held_and_then_released() {
        let mut hold = HoldBack::new(["\nUser:".to_string()]);
        assert_eq!(hold.push(step(b"Hi"), b"").steps, [step(b"Hi")]);
        assert_eq!(hold.push(step(b"\n"), b"").steps, []);
        assert_eq!(hold.push(step(b"Us"), b"").steps, []);
        assert_eq!(hold.push(step(b"ual"), b"").steps, [step(b"\n"), step(b"Us"), step(b"ual")]);
    }

    #[test]
    fn a_token_that_crosses_into_the_stop_text_is_cut() {
        let mut hold = HoldBack::new(["\nUser:".to_string()]);
        assert_eq!(hold.push(step(b"Bye.\n"), b"").steps, []);
        assert_eq!(hold.push(step(b"User: x"), b""), Released { steps: vec![step(b"Bye.")], stopped: true });
    }

    #[test]
    fn what_was_recorded_of_a_held_token_waits_and_goes_with_it() {
        let recorded = |index, text: &[u8]| Written { index, recording_ms: Some(index as f32), ..step(text) };
        let mut hold = HoldBack::new(["\nUser:".to_string()]);
        assert_eq!(hold.push(recorded(0, b"Bye.\n"), b"").steps, []);
        assert_eq!(hold.push(recorded(1, b"User"), b"").steps, []);
        let released = hold.push(recorded(2, b": x"), b"");
        assert_eq!(released, Released { steps: vec![recorded(0, b"Bye.")], stopped: true });
    }

    #[test]
    fn no_stop_text_holds_nothing() {
        let mut hold = HoldBack::new([String::new()]);
        assert_eq!(hold.push(step(b"a"), b""), Released { steps: vec![step(b"a")], stopped: false });
    }

    #[test]
    fn a_mark_is_a_stop_text_or_part_of_one_by_its_name() {
        let mark = || step(b"");
        let stopped = |steps: Vec<Written>| Released { steps, stopped: true };
        let mut hold = HoldBack::new(["<tool>".to_string()]);
        assert_eq!(hold.push(step(b"a"), b"").steps, [step(b"a")]);
        assert_eq!(hold.push(mark(), b"<tool>"), stopped(vec![]));
        let mut hold = HoldBack::new(["x<tool>y".to_string()]);
        assert_eq!(hold.push(step(b"ax"), b"").steps, []);
        assert_eq!(hold.push(mark(), b"<tool>").steps, []);
        assert_eq!(hold.push(step(b"yz"), b""), stopped(vec![step(b"a")]));
        let mut hold = HoldBack::new(["<tool><tool>".to_string()]);
        assert_eq!(hold.push(mark(), b"<tool>").steps, []);
        assert_eq!(hold.push(step(b"b"), b"").steps, [mark(), step(b"b")]);
    }

    #[test]
    fn a_stop_text_inside_the_name_of_a_mark_is_not_there() {
        for stop in ["<", "tool", "tool>b", "a<to"] {
            let mut hold = HoldBack::new([stop.to_string()]);
            let mut out = hold.push(step(b"a"), b"").steps;
            out.extend(hold.push(step(b""), b"<tool>").steps);
            let last = hold.push(step(b"b"), b"");
            out.extend(last.steps);
            assert_eq!((out, last.stopped), (vec![step(b"a"), step(b""), step(b"b")], false), "{stop}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_reply(
            text in "[ab\n:]{0,24}",
            stops in proptest::collection::vec("[ab\n:]{1,4}", 0..4),
            cuts in proptest::collection::vec(0_usize..25, 0..12),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let bytes = text.as_bytes();
            let whole = run(&stops, [bytes]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunked = run(&stops, cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
            prop_assert_eq!(&whole, &chunked);
            prop_assert_eq!(whole.1, stops.iter().any(|stop| text.contains(stop)));
            let shown = String::from_utf8(whole.0).unwrap();
            prop_assert!(stops.iter().all(|stop| !shown.contains(stop)));
        }
    }
}
