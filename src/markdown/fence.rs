//! Fenced code as `CommonMark` has it: what opens and closes it, which blocks a text holds, what it leaves open.
//!
//! Invariant: a fence at the top level is told line by line, as pulldown-cmark tells it.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::OPTIONS;

/// An opening fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    mark: u8,
    length: usize,
    /// Blanks before it, which lines of its code lose.
    pub indent: usize,
    /// Bytes of the line in which the language is named.
    pub language: Range<usize>,
}

impl Fence {
    /// The fence that a line opens, if it does.
    pub fn opening(line: &str) -> Option<Self> {
        let line = line.trim_end_matches(['\n', '\r']);
        let indent = line.len() - line.trim_start_matches(' ').len();
        let rest = &line[indent..];
        let mark = *rest.as_bytes().first().filter(|mark| matches!(mark, b'`' | b'~') && indent < 4)?;
        let length = rest.bytes().take_while(|byte| *byte == mark).count();
        let info = &rest[length..];
        if length < 3 || (mark == b'`' && info.contains('`')) {
            return None;
        }
        let from = indent + length + (info.len() - info.trim_start().len());
        let word = line[from..].split([' ', '\t', ',', '{']).next().unwrap_or_default();
        Some(Self { mark, length, indent, language: from..from + word.len() })
    }

    /// Whether a line closes it. To the parser one does not if a tab follows the marks, whatever `CommonMark` says.
    pub fn closes(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\n', '\r']);
        let indent = line.len() - line.trim_start_matches(' ').len();
        let rest = &line[indent..];
        let length = rest.bytes().take_while(|byte| *byte == self.mark).count();
        indent < 4 && length >= self.length && rest[length..].trim_matches(' ').is_empty()
    }
}

/// A code block of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBlock {
    /// Its bytes, fences included.
    pub range: Range<usize>,
    /// The code, without fences, quote marks and the indent of a list.
    pub code: String,
}

/// All code blocks of a Markdown text, first one first, wherever they stand.
#[must_use]
pub fn code_blocks(text: &str) -> Vec<CodeBlock> {
    let mut blocks = Vec::new();
    let mut open: Option<CodeBlock> = None;
    for (event, range) in Parser::new_ext(text, OPTIONS).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => open = Some(CodeBlock { range, code: String::new() }),
            Event::Text(code) => {
                if let Some(block) = &mut open {
                    block.code.push_str(&code);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some(mut block) = open.take() {
                    let length = block.code.strip_suffix('\n').unwrap_or(&block.code).len();
                    block.code.truncate(length);
                    blocks.push(block);
                }
            }
            _ => {}
        }
    }
    blocks
}

/// What must follow a message so that whatever comes behind it is not part of it: the fence, or the end of the
/// HTML, that it leaves open.
#[must_use]
pub fn closing(text: &str) -> Option<String> {
    let mut last = None;
    let mut depth = 0_usize;
    for (event, range) in Parser::new_ext(text, OPTIONS).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                depth += 1;
                match tag {
                    Tag::CodeBlock(CodeBlockKind::Fenced(_)) => last = Some((range, true, depth)),
                    Tag::HtmlBlock => last = Some((range, false, depth)),
                    _ => {}
                }
            }
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    let (range, is_code, depth) = last.filter(|(range, ..)| text[range.end..].trim().is_empty())?;
    let block = &text[range];
    if !is_code {
        let ends = [("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>"), ("<script", "</script>")];
        let ends = ends.into_iter().chain([
            ("<pre", "</pre>"),
            ("<style", "</style>"),
            ("<textarea", "</textarea>"),
        ]);
        let lower = block.trim_start().to_lowercase();
        let open = ends.into_iter().find(|(start, _)| lower.starts_with(start));
        return open.filter(|(_, end)| !lower.contains(end)).map(|(_, end)| end.to_owned());
    }
    let mut lines = block.lines();
    let fence = Fence::opening(lines.next()?)?;
    // Inside a quote or a list the end of that is the end of the block.
    let closed = lines.any(|line| fence.closes(line));
    (!closed && depth == 1).then(|| char::from(fence.mark).to_string().repeat(fence.length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_opens_and_closes_as_commonmark_says() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(Fence::opening(line).map(|fence| &line[fence.language]), expected, "{line:?}");
        };
        check("```rust\n", Some("rust"));
        check("   ~~~ python title=x", Some("python"));
        check("````", Some(""));
        check("    ```", None);
        check("``` a`b", None);
        check("``", None);
        let fence = Fence::opening("````").unwrap();
        assert!(fence.closes("`````  ") && fence.closes("   ````\n"));
        assert!(!fence.closes("```") && !fence.closes("```` x") && !fence.closes("    ````"));
        assert!(!fence.closes("````\t\n"));
    }

    #[test]
    fn every_form_of_code_block_is_found_without_what_is_around_it() {
        let check = |text: &str, expected: &[&str]| {
            let codes: Vec<String> = code_blocks(text).into_iter().map(|block| block.code).collect();
            assert_eq!(codes, expected, "{text:?}");
        };
        check("~~~python\nx = 1\n~~~", &["x = 1"]);
        check("```\na\n`````\nb", &["a"]);
        check("1. so:\n   ```\n   x\n     y\n   ```\n", &["x\n  y"]);
        check("> ```\n> q\n> ```", &["q"]);
        check(
            "Use ``` like this.\n\n```rust\nfn a() {}\n\n```\n```\nsecond\n```",
            &["fn a() {}\n", "second"],
        );
        check("text\n\n    indented\n", &["indented"]);
        check("````\n```\n````", &["```"]);
        check("none", &[]);
    }

    #[test]
    fn what_a_message_leaves_open_is_closed() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(closing(text).as_deref(), expected, "{text:?}");
        };
        check("```rust\nfn a() {", Some("```"));
        check("~~~~\n```", Some("~~~~"));
        check("```\nx\n```", None);
        check("> ```\n> x", None);
        check("<!-- never", Some("-->"));
        check("<div>\n", None);
        check("plain", None);
    }
}
