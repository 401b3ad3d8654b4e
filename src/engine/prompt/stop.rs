//! Stop texts: a reply ends **before** any of them, and no part of one is shown first. So tokens whose
//! bytes may be the beginning of a stop text are held back until the next ones decide.
//!
//! Invariant: what is released depends on the bytes alone, not on how they are cut into tokens; of several
//! stop texts the one that is complete first counts, and among those the longest.

use crate::engine::protocol::Written;

/// Holds back steps that may belong to a stop text.
#[derive(Debug)]
pub struct HoldBack {
    stops: Vec<Vec<u8>>,
    held: Vec<Written>,
    /// The held steps' bytes.
    bytes: Vec<u8>,
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

    /// Takes the next step and gives what is certain.
    pub fn push(&mut self, written: Written) -> Released {
        let known = self.bytes.len();
        self.bytes.extend_from_slice(&written.step.bytes);
        self.held.push(written);
        match self.complete_stop(known) {
            Some(start) => Released { steps: self.cut(start), stopped: true },
            None => Released { steps: self.release(self.open_stop()), stopped: false },
        }
    }

    /// The reply ends for another reason: everything held is part of it.
    pub fn finish(&mut self) -> Vec<Written> {
        self.bytes.clear();
        std::mem::take(&mut self.held)
    }

    /// Where the stop text begins that is complete first, after `known` bytes without one.
    fn complete_stop(&self, known: usize) -> Option<usize> {
        (known + 1..=self.bytes.len()).find_map(|end| {
            let text = &self.bytes[..end];
            self.stops.iter().filter(|stop| text.ends_with(stop)).map(|stop| end - stop.len()).min()
        })
    }

    /// Where the longest unfinished stop text begins; the end of the bytes if none does.
    fn open_stop(&self) -> usize {
        (0..self.bytes.len())
            .find(|&start| self.stops.iter().any(|stop| stop.starts_with(&self.bytes[start..])))
            .unwrap_or(self.bytes.len())
    }

    /// Gives the steps that end at or before `until`.
    fn release(&mut self, until: usize) -> Vec<Written> {
        let mut end = 0;
        let mut count = 0;
        for Written { step, .. } in &self.held {
            if end + step.bytes.len() > until {
                break;
            }
            end += step.bytes.len();
            count += 1;
        }
        self.bytes.drain(..end);
        self.held.drain(..count).collect()
    }

    /// Gives the steps before `start`, the last one cut there, and drops the rest.
    fn cut(&mut self, start: usize) -> Vec<Written> {
        self.bytes.clear();
        let mut left = start;
        let mut steps = Vec::new();
        for mut written in self.held.drain(..) {
            if left == 0 {
                break;
            }
            written.step.bytes.truncate(left);
            left -= written.step.bytes.len();
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
            let released = hold.push(step(chunk));
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
        assert_eq!(hold.push(step(b"Hi")).steps, [step(b"Hi")]);
        assert_eq!(hold.push(step(b"\n")).steps, []);
        assert_eq!(hold.push(step(b"Us")).steps, []);
        assert_eq!(hold.push(step(b"ual")).steps, [step(b"\n"), step(b"Us"), step(b"ual")]);
    }

    #[test]
    fn a_token_that_crosses_into_the_stop_text_is_cut() {
        let mut hold = HoldBack::new(["\nUser:".to_string()]);
        assert_eq!(hold.push(step(b"Bye.\n")).steps, []);
        assert_eq!(hold.push(step(b"User: x")), Released { steps: vec![step(b"Bye.")], stopped: true });
    }

    #[test]
    fn what_was_recorded_of_a_held_token_waits_and_goes_with_it() {
        let recorded = |index, text: &[u8]| Written { index, recording_ms: Some(index as f32), ..step(text) };
        let mut hold = HoldBack::new(["\nUser:".to_string()]);
        assert_eq!(hold.push(recorded(0, b"Bye.\n")).steps, []);
        assert_eq!(hold.push(recorded(1, b"User")).steps, []);
        let released = hold.push(recorded(2, b": x"));
        assert_eq!(released, Released { steps: vec![recorded(0, b"Bye.")], stopped: true });
    }

    #[test]
    fn no_stop_text_holds_nothing() {
        let mut hold = HoldBack::new([String::new()]);
        assert_eq!(hold.push(step(b"a")), Released { steps: vec![step(b"a")], stopped: false });
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
