//! The colours of code, by its language: a line at a time, with where the lines before it left off.
//!
//! Invariant: colours change no cell's place, so code is drawn before they are known. The first lines of a language
//! cost up to a quarter of a second, since its expressions are compiled when they are first used; so this belongs
//! off the screen's own path.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};

use super::{CodeLine, Tone};

/// Lines that one block has colours for.
const MOST_LINES: usize = 2000;
/// Bytes of a line that has colours.
const LONGEST: usize = 10_000;
/// Blocks whose state is kept.
const MOST_BLOCKS: usize = 64;

/// Bytes of a line and what they are.
pub type Spans = Vec<(Range<usize>, Tone)>;

/// Tells the parts of code apart.
#[derive(Default)]
pub struct Highlighter {
    /// By page and where the block begins in it.
    open: HashMap<(u64, usize), State>,
}

struct State {
    next: usize,
    parse: ParseState,
    stack: ScopeStack,
}

/// Whether a line gets colours at all.
pub(super) fn is_coloured(line: &CodeLine) -> bool {
    line.number < MOST_LINES && line.code.len() <= LONGEST && !line.language.is_empty()
}

impl Highlighter {
    /// The parts of a line. Lines of a block come in order; one that does not follow the last has no parts.
    pub fn line(&mut self, page: u64, line: &CodeLine) -> Spans {
        let key = (page, line.block);
        if line.number == 0 {
            if self.open.len() >= MOST_BLOCKS {
                self.open.clear();
            }
            let syntaxes = syntaxes();
            let Some(syntax) = syntaxes.find_syntax_by_token(&line.language) else { return Spans::new() };
            let state = State { next: 0, parse: ParseState::new(syntax), stack: ScopeStack::new() };
            self.open.insert(key, state);
        }
        let Some(state) = self.open.get_mut(&key).filter(|state| state.next == line.number) else {
            return Spans::new();
        };
        state.next += 1;
        state.spans(&line.code).unwrap_or_else(|| {
            self.open.remove(&key);
            Spans::new()
        })
    }
}

impl State {
    /// `None` where the syntax has a fault.
    fn spans(&mut self, code: &str) -> Option<Spans> {
        let changes = self.parse.parse_line(code, syntaxes()).ok()?;
        let mut spans = Spans::new();
        let mut from = 0;
        for (at, change) in &changes {
            push(&mut spans, from..*at, tone(&self.stack));
            from = *at;
            self.stack.apply(change).ok()?;
        }
        push(&mut spans, from..code.len(), tone(&self.stack));
        Some(spans)
    }
}

fn push(spans: &mut Spans, bytes: Range<usize>, tone: Tone) {
    if bytes.is_empty() || tone == Tone::Code {
        return;
    }
    match spans.last_mut().filter(|last| last.0.end == bytes.start && last.1 == tone) {
        Some(last) => last.0.end = bytes.end,
        None => spans.push((bytes, tone)),
    }
}

fn syntaxes() -> &'static SyntaxSet {
    static SET: OnceLock<SyntaxSet> = OnceLock::new();
    SET.get_or_init(two_face::syntax::extra_newlines)
}

/// What the innermost scope that says anything says.
fn tone(stack: &ScopeStack) -> Tone {
    static KNOWN: OnceLock<Vec<(Scope, Tone)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let scopes = SCOPES.iter().filter_map(|(name, tone)| Some((Scope::new(name).ok()?, *tone)));
        scopes.collect()
    });
    let says =
        |scope: &Scope| known.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope)).map(|(_, tone)| *tone);
    stack.as_slice().iter().rev().find_map(says).unwrap_or(Tone::Code)
}

const SCOPES: &[(&str, Tone)] = &[
    ("comment", Tone::Comment),
    ("string", Tone::Quoted),
    ("markup.inserted", Tone::Quoted),
    ("constant", Tone::Number),
    ("markup.deleted", Tone::Number),
    ("keyword.operator", Tone::Code),
    ("keyword", Tone::Keyword),
    ("storage", Tone::Keyword),
    ("variable.language", Tone::Keyword),
    ("entity.name.tag", Tone::Keyword),
    ("markup.heading", Tone::Keyword),
    ("entity.name.function", Tone::Function),
    ("entity.other.attribute-name", Tone::Function),
    ("support.function", Tone::Function),
    ("variable.function", Tone::Function),
    ("entity.name", Tone::Type),
    ("support.type", Tone::Type),
    ("support.class", Tone::Type),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_code_are_told_apart_and_lines_go_on_where_the_last_left_off() {
        let mut highlighter = Highlighter::default();
        let mut spans = |number: usize, code: &str| {
            let line = CodeLine { block: 0, number, at: 0, language: "rust".into(), code: code.into() };
            let spans = highlighter.line(7, &line);
            spans.into_iter().map(|(bytes, tone)| (code[bytes].to_owned(), tone)).collect::<Vec<_>>()
        };
        let first = spans(0, "let x = \"a\"; // 1\n");
        assert!(
            first.contains(&("let".into(), Tone::Keyword)) && first.contains(&("\"a\"".into(), Tone::Quoted)),
            "{first:?}"
        );
        assert!(
            first.iter().any(|(text, tone)| text.starts_with("//") && *tone == Tone::Comment),
            "{first:?}"
        );
        assert!(spans(1, "/* a\n").iter().all(|(_, tone)| *tone == Tone::Comment));
        assert!(
            spans(2, "let */\n").iter().any(|(text, tone)| text.contains("let") && *tone == Tone::Comment)
        );
        assert_eq!(spans(9, "let\n"), []);
    }
}
