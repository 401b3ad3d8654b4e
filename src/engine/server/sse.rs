//! Server-sent events, as servers really send them: comments that keep a connection alive, several `data:` lines in one
//! event, CRLF, no blank line after the last.
//!
//! Invariant: what is kept of an answer that was not understood yet is bounded; a longer line ends in an error.

/// The longest event that is taken, bytes. A token with a hundred candidates takes some twenty thousand.
pub const LONGEST: usize = 4 << 20;

/// Takes bytes as they come and gives events' data.
#[derive(Debug, Default)]
pub struct Events {
    /// The line that has begun.
    line: Vec<u8>,
    /// Data of the event that has begun.
    data: Option<Vec<u8>>,
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

    /// Takes bytes and gives the data of the events that they end.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.line(&line)?);
        }
        self.extend(bytes)?;
        Ok(events)
    }

    /// Nothing more comes: the event that has begun, with the line that has.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        self.line(&line).ok().flatten().or(self.data)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > self.longest {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes a whole line; a blank one ends an event.
    fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let Some(value) = line.strip_prefix(b"data:") else { return Ok(None) };
        let value = value.strip_prefix(b" ").unwrap_or(value);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIRE: &[u8] =
        b": keep-alive\n\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 7\ndata:x\n\n\n\n\
        :\ndata: \xe2\x82\xac\n\ndata: last";

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = Events::new(LONGEST);
        let mut all: Vec<Vec<u8>> = chunks.iter().flat_map(|chunk| reader.feed(chunk).unwrap()).collect();
        all.extend(reader.finish());
        all.into_iter().map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn comments_several_lines_carriage_returns_and_a_missing_end_are_read() {
        assert_eq!(events(&[WIRE]), ["{\"a\":\n1}", "x", "€", "last"]);
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
