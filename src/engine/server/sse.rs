//! Server-sent events, as servers really send them: comments that keep a connection alive, several `data:` lines in one
//! event, each kind of line end, a byte order mark, no blank line after the last; and what stands in the place of events, an
//! error or a whole reply.
//!
//! Invariant: what is kept of an answer that was not understood yet is bounded; a longer line ends in an error.

/// The longest event that is taken, bytes. A token with a hundred candidates takes some twenty thousand.
pub const LONGEST: usize = 4 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its data.
    pub data: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

/// What an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A piece of an answer.
    #[default]
    Piece,
    /// By its name (`event: error`) the report of an error.
    Error,
    /// No event, but what came without the form of one.
    Bare,
}

/// Takes bytes as they come and gives events.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that has begun.
    line: Vec<u8>,
    /// Whether the last line ended by a carriage return, to which a line feed may still belong.
    returned: bool,
    /// Whether a line was read.
    begun: bool,
    /// Data of the event that has begun.
    data: Option<Vec<u8>>,
    /// What the event that has begun is.
    kind: Kind,
    /// Lines that have no form of an event.
    bare: Vec<u8>,
    longest: usize,
}

/// A line or an event is longer than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// With the longest event that is taken, bytes.
    pub fn new(longest: usize) -> Self {
        Self { longest, ..Self::default() }
    }

    /// Takes bytes and gives the events that they end.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            if std::mem::take(&mut self.returned) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.extend(bytes)?;
                break;
            };
            self.extend(&bytes[..end])?;
            self.returned = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.line(&line)?);
        }
        Ok(events)
    }

    /// Nothing more comes: the event that has begun, with the line that has, and what was none.
    pub fn finish(mut self) -> impl Iterator<Item = Event> {
        let line = std::mem::take(&mut self.line);
        let last = self.line(&line).ok().flatten().or_else(|| self.take());
        let bare =
            (!self.bare.trim_ascii().is_empty()).then_some(Event { data: self.bare, kind: Kind::Bare });
        last.into_iter().chain(bare)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > self.longest {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The event that has begun.
    fn take(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        self.data.take().map(|data| Event { data, kind })
    }

    /// Takes a whole line; a blank one ends an event.
    fn line(&mut self, line: &[u8]) -> Result<Option<Event>, TooLong> {
        let begins = !std::mem::replace(&mut self.begun, true);
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| begins).unwrap_or(line);
        if line.is_empty() {
            return Ok(self.take());
        }
        let value_of = |name: &[u8]| {
            let value = line.strip_prefix(name)?;
            Some(value.strip_prefix(b" ").unwrap_or(value))
        };
        let Some(value) = value_of(b"data:") else {
            match value_of(b"event:") {
                Some(name) => self.kind = if name == b"error" { Kind::Error } else { Kind::Piece },
                None if [&b":"[..], b"id:", b"retry:"].iter().any(|name| line.starts_with(name)) => {}
                None => self.put_aside(line),
            }
            return Ok(None);
        };
        match &mut self.data {
            Some(data) if data.len() + value.len() >= self.longest => return Err(TooLong),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        Ok(None)
    }

    /// Keeps a line that is none of an event, as long as all of them are not too long for one.
    fn put_aside(&mut self, line: &[u8]) {
        if self.bare.len() + line.len() < self.longest {
            self.bare.extend_from_slice(line);
            self.bare.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIRE: &[u8] =
        b"\xef\xbb\xbf: keep-alive\n\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 7\ndata:x\n\n\n\n\
        :\ndata: \xe2\x82\xac\n\ndata: by\rdata: return\r\rdata: last";

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = Events::new(LONGEST);
        let mut all: Vec<Event> = chunks.iter().flat_map(|chunk| reader.feed(chunk).unwrap()).collect();
        all.extend(reader.finish());
        all.into_iter().map(|event| String::from_utf8(event.data).unwrap()).collect()
    }

    #[test]
    fn what_an_event_is_and_what_is_none_is_told() {
        let mut reader = Events::new(LONGEST);
        let wire = b"\xef\xbb\xbfdata: a\n\nevent: error\ndata: b\n\ndata: c\n\n{\n1}";
        let all: Vec<Event> = reader.feed(wire).unwrap().into_iter().chain(reader.finish()).collect();
        let event = |data: &str, kind| Event { data: data.into(), kind };
        let expected = [("a", Kind::Piece), ("b", Kind::Error), ("c", Kind::Piece), ("{\n1}\n", Kind::Bare)];
        assert_eq!(all, expected.map(|(data, kind)| event(data, kind)));
    }

    #[test]
    fn comments_several_lines_carriage_returns_and_a_missing_end_are_read() {
        assert_eq!(events(&[WIRE]), ["{\"a\":\n1}", "x", "€", "by\nreturn", "last"]);
        assert_eq!(events(&[]), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(cuts in proptest::collection::vec(0..WIRE.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.extend([0, WIRE.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &WIRE[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&chunks), events(&[WIRE]));
        }
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let mut reader = Events::new(1000);
        assert!((0..9).all(|_| reader.feed(&[b'x'; 100]).is_ok()));
        assert_eq!((0..9).find_map(|_| reader.feed(&[b'x'; 100]).err()), Some(TooLong));
        let mut reader = Events::new(1000);
        assert_eq!(
            (0..99).find_map(|_| reader.feed(b"data: aaaaaaaaaaaaaaaaaaaaaaaa\n").err()),
            Some(TooLong)
        );
    }
}
