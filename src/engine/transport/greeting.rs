//! The mark that stands before an engine's first frame, so that it is found behind what a login shell says.
//!
//! Invariant: what was read behind the mark is not consumed, and at most [`NOISE`] bytes are passed over, whatever they
//! are: noise is never taken for a length.

use std::io::{self, BufRead};

/// The mark. It has bytes that no text has, so nothing that is printed holds it.
pub(super) const MARK: &[u8] = b"\0\xffglassbox engine\xff\0";

/// How much may stand before the mark, bytes: a long message of the day, several times.
pub(super) const NOISE: usize = 64 << 10;

/// How a first frame of versions before 10 goes on behind its length, which had no mark before it: its id, and the
/// version behind it, one byte.
const UNMARKED: &[u8] = b"\x81\xa5Ready\x82\xa7version";

/// Why there is no greeting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoGreeting {
    /// The stream ended before; with the last line of what was there.
    Ended(Option<String>),
    /// More stood before it than is passed over.
    TooMuch,
    /// An engine before version 10, of that one.
    Version(u32),
}

/// Reads to the mark and past it.
pub(super) fn pass(input: &mut impl BufRead) -> Result<(), NoGreeting> {
    let mut seen: Vec<u8> = Vec::new();
    loop {
        let new = match input.fill_buf() {
            Ok(new) if !new.is_empty() => new,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => return Err(NoGreeting::Ended(last_line(&seen))),
        };
        let (before, count) = (seen.len(), new.len());
        seen.extend_from_slice(new);
        let from = before.saturating_sub(MARK.len() - 1);
        if let Some(at) = find(&seen[from..], MARK) {
            input.consume(from + at + MARK.len() - before);
            return Ok(());
        }
        input.consume(count);
        let from = before.saturating_sub(UNMARKED.len());
        let version = find(&seen[from..], UNMARKED).and_then(|at| seen.get(from + at + UNMARKED.len()));
        if let Some(version) = version {
            return Err(NoGreeting::Version(u32::from(*version)));
        }
        if seen.len() > NOISE + MARK.len() {
            return Err(NoGreeting::TooMuch);
        }
    }
}

fn find(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

/// The last line of what was printed instead: "This account is currently not available."
fn last_line(seen: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&seen[seen.len().saturating_sub(1024)..]).into_owned();
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|letter| !letter.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    /// A stream that gives a byte at a time, as a slow line does.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            out[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn rest_after(bytes: &[u8]) -> Result<Vec<u8>, NoGreeting> {
        let mut whole = BufReader::new(bytes);
        let mut drops = BufReader::new(Drops(bytes));
        let (one, two) = (pass(&mut whole), pass(&mut drops));
        assert_eq!(one, two);
        one?;
        let (mut rest, mut again) = (Vec::new(), Vec::new());
        whole.read_to_end(&mut rest).unwrap();
        drops.read_to_end(&mut again).unwrap();
        assert_eq!(rest, again);
        Ok(rest)
    }

    #[test]
    fn what_stands_before_the_mark_is_passed_over_and_nothing_behind_it() {
        let most = vec![b'x'; NOISE];
        let noises: [&[u8]; 6] = [
            b"",
            b"Welcome to box!\r\nLast login: today\n",
            &[5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            b"\0\xffglassbox engin",
            b"\0\0\xff\0\xffglassbox engine",
            &most,
        ];
        for noise in noises {
            assert_eq!(rest_after(&[noise, MARK, b"\x01frames"].concat()), Ok(b"\x01frames".to_vec()));
        }
    }

    #[test]
    fn a_stream_that_never_greets_is_told_apart() {
        assert_eq!(rest_after(&vec![b'x'; 2 * NOISE]).unwrap_err(), NoGreeting::TooMuch);
        assert_eq!(rest_after(b"").unwrap_err(), NoGreeting::Ended(None));
        let shut = rest_after(b"hello\nThis account is \x1b[1mnot available.\n\n").unwrap_err();
        assert_eq!(shut, NoGreeting::Ended(Some("This account is [1mnot available.".into())));
    }

    #[test]
    fn an_engine_of_before_the_mark_is_known_by_its_version() {
        // As version 9 wrote it: {"id": 0, "event": {"Ready": {"version": 9, "containment": "off"}}}
        let frame = b"\x82\xa2id\x00\xa5event\x81\xa5Ready\x82\xa7version\x09\xabcontainment\xa3off";
        let bytes = [&(frame.len() as u32).to_le_bytes(), frame.as_slice()].concat();
        assert_eq!(rest_after(&[b"motd\n", bytes.as_slice()].concat()).unwrap_err(), NoGreeting::Version(9));
    }
}
