//! How far each reply may go, for engines that ask before every token.
//!
//! Invariant: a reply that has to wait says so, once for each word on its pace: one that was told how far it may go has
//! either written or said that it waits, however soon the next word came.

use std::collections::BTreeMap;

use super::protocol::RequestId;

/// What replies may still write.
#[derive(Debug, Default)]
pub struct Allowed(BTreeMap<RequestId, Pace>);

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// How many more tokens; `None` is no limit.
    left: Option<u32>,
    /// Whether it was said that the reply waits.
    said: bool,
}

/// Whether the next token may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may, and is counted.
    Go,
    /// Not yet.
    Wait {
        /// Whether that is to be said, which is so once.
        say: bool,
    },
}

impl Allowed {
    /// A word on the pace of a reply.
    pub fn set(&mut self, id: RequestId, left: Option<u32>) {
        self.0.insert(id, Pace { left, said: false });
    }

    /// A reply begins; a word that came while it waited for its turn counts.
    pub fn begin(&mut self, id: RequestId, left: Option<u32>) {
        self.0.entry(id).or_insert(Pace { left, said: false });
    }

    /// Takes one of the allowed tokens; a reply of which nothing was said runs freely.
    pub fn take(&mut self, id: RequestId) -> Permit {
        match self.0.get_mut(&id) {
            Some(Pace { left: Some(0), said }) => Permit::Wait { say: !std::mem::replace(said, true) },
            Some(Pace { left: Some(left), .. }) => {
                *left -= 1;
                Permit::Go
            }
            Some(Pace { left: None, .. }) | None => Permit::Go,
        }
    }

    /// Forgets replies that are not kept.
    pub fn retain(&mut self, keep: impl Fn(RequestId) -> bool) {
        self.0.retain(|id, _| keep(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_overtakes_another_is_answered_too() {
        let (mut allowed, id) = (Allowed::default(), RequestId(7));
        assert_eq!(allowed.take(id), Permit::Go);
        allowed.begin(id, Some(1));
        assert_eq!(allowed.take(id), Permit::Go);
        let waits = [Permit::Wait { say: true }, Permit::Wait { say: false }];
        assert_eq!([allowed.take(id), allowed.take(id)], waits);
        // One more may be written, but before that is seen none may be: whoever sent that waits to hear of it.
        allowed.set(id, Some(1));
        allowed.set(id, Some(0));
        assert_eq!([allowed.take(id), allowed.take(id)], waits);
        allowed.begin(id, None);
        assert_eq!(allowed.take(id), waits[1], "a word counts more than what it began with");
    }
}
