//! A reply as it comes, in stretches of what was thought and of the answer.
//!
//! Invariant: the stretches are the reply but for its marks, in order, and no character is cut by how the tokens come.

use crate::chat::unfinished_tail;
use crate::reasoning::{Form, Kind, Splitter};

/// A stretch of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Whether it was thought.
    pub thought: bool,
    /// Its text.
    pub text: String,
}

/// Takes a reply apart while it comes.
pub struct Parts {
    /// None for a text that is no reply: an answer as a whole.
    splitter: Option<Splitter>,
    /// Text that is not decided yet, and where it begins.
    undecided: Vec<u8>,
    at: usize,
    /// Parts of the splitter that were taken, and what the last of them is.
    taken: usize,
    kind: Kind,
    /// The beginning of a character.
    held: Vec<u8>,
}

impl Parts {
    /// For a reply to a prompt that ends with an open mark, if it does.
    pub fn of_reply(opened: Option<Form>) -> Self {
        Self { splitter: Some(Splitter::new(opened)), ..Self::whole() }
    }

    /// For a text that is not taken apart.
    pub fn whole() -> Self {
        let (undecided, held) = (Vec::new(), Vec::new());
        Self { splitter: None, undecided, at: 0, taken: 0, kind: Kind::Answer, held }
    }

    /// Takes a token: its text, and its name if it is a control token without one.
    pub fn push(&mut self, text: &[u8], name: Option<&[u8]>) -> Vec<Stretch> {
        self.undecided.extend_from_slice(text);
        if let Some(splitter) = &mut self.splitter {
            splitter.push(text, name);
        }
        self.take()
    }

    /// No more comes. The beginning of a character that never came whole is no text.
    pub fn finish(&mut self) -> Vec<Stretch> {
        if let Some(splitter) = &mut self.splitter {
            splitter.finish();
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let Some(splitter) = &self.splitter else {
            let all = std::mem::take(&mut self.undecided);
            self.give(&all, &mut stretches);
            return stretches;
        };
        let (decided, parts) = (splitter.decided(), splitter.parts()[self.taken..].to_vec());
        for part in parts {
            self.give_to(part.at, &mut stretches);
            self.kind = part.kind;
            self.taken += 1;
        }
        self.give_to(decided, &mut stretches);
        stretches
    }

    fn give_to(&mut self, end: usize, stretches: &mut Vec<Stretch>) {
        let bytes: Vec<u8> = self.undecided.drain(..end.saturating_sub(self.at)).collect();
        self.at = end;
        self.give(&bytes, stretches);
    }

    fn give(&mut self, bytes: &[u8], stretches: &mut Vec<Stretch>) {
        if self.kind == Kind::Mark {
            self.held.clear();
            return;
        }
        self.held.extend_from_slice(bytes);
        let whole = self.held.len() - unfinished_tail(&self.held);
        let text = String::from_utf8_lossy(&self.held[..whole]).into_owned();
        self.held.drain(..whole);
        let thought = self.kind == Kind::Thought;
        match stretches.last_mut().filter(|last| last.thought == thought) {
            _ if text.is_empty() => {}
            Some(last) => last.text.push_str(&text),
            None => stretches.push(Stretch { thought, text }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(parts: &mut Parts, tokens: &[(&[u8], Option<&[u8]>)]) -> Vec<Stretch> {
        let mut all: Vec<Stretch> = Vec::new();
        let mut stretches: Vec<Stretch> =
            tokens.iter().flat_map(|(text, name)| parts.push(text, *name)).collect();
        stretches.extend(parts.finish());
        for stretch in stretches {
            match all.last_mut().filter(|last| last.thought == stretch.thought) {
                Some(last) => last.text.push_str(&stretch.text),
                None => all.push(stretch),
            }
        }
        all
    }

    fn stretch(thought: bool, text: &str) -> Stretch {
        Stretch { thought, text: text.to_owned() }
    }

    #[test]
    fn what_was_thought_and_the_answer_come_apart_without_marks() {
        let expected = [stretch(true, "Hm é."), stretch(false, "Paris 😀.")];
        let text = "<think>\nHm é.\n</think>\n\nParis 😀.";
        let bytes: Vec<(&[u8], Option<&[u8]>)> = text.as_bytes().chunks(1).map(|byte| (byte, None)).collect();
        assert_eq!(came(&mut Parts::of_reply(None), &bytes), expected);
        let control = |name: &'static str| (&b""[..], Some(name.as_bytes()));
        let tokens = [
            control("<|channel|>"),
            (&b"analysis"[..], None),
            control("<|message|>"),
            ("Hm é.".as_bytes(), None),
            control("<|end|>"),
            control("<|start|>"),
            (b"assistant", None),
            control("<|channel|>"),
            (b"final", None),
            control("<|message|>"),
            ("Paris 😀.".as_bytes(), None),
        ];
        assert_eq!(came(&mut Parts::of_reply(None), &tokens), expected);
        let opened = Form::opened_by("<|im_start|>assistant\n<think>\n");
        let tokens = [("Hm é.\n</think>\n\nParis 😀.".as_bytes(), None)];
        assert_eq!(came(&mut Parts::of_reply(opened), &tokens), expected);
    }

    #[test]
    fn a_character_split_over_tokens_goes_out_whole_or_not_at_all() {
        for mut parts in [Parts::whole(), Parts::of_reply(None)] {
            let tokens = [&b"a\xf0\x9f"[..], b"\x98", b"\x80b", b"\xf0\x9f"];
            let texts: Vec<String> = tokens
                .iter()
                .map(|bytes| parts.push(bytes, None).into_iter().map(|stretch| stretch.text).collect())
                .collect();
            assert_eq!(texts, ["a", "", "😀b", ""]);
            assert_eq!(parts.finish(), []);
        }
    }

    #[test]
    fn a_text_that_is_no_reply_stays_whole() {
        let tokens = [(&b"<think>a</think>b"[..], None)];
        assert_eq!(came(&mut Parts::whole(), &tokens), [stretch(false, "<think>a</think>b")]);
    }
}
