//! `"%s" % value` in templates: minijinja's `%` takes only numbers, so it becomes a filter before compiling.
//!
//! Invariant: only the operator `%` inside of tags is touched, and only where its left side is the first operand of
//! its product, so that what belongs together stays together; a number on the right stays arithmetic.

/// The filter that stands in for the operator.
pub(super) const FILTER: &str = "__percent";

/// What a tag is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Text,
    Number,
    Name,
    Open,
    Close,
    Operator,
}

#[derive(Clone, Copy, Debug)]
struct Lexeme {
    sort: Sort,
    start: usize,
    end: usize,
}

/// The template with such operators as filters.
pub(super) fn as_filters(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = next_tag(rest) {
        let inside = at + 2;
        out.push_str(&rest[..inside]);
        if rest[at..].starts_with("{#") {
            let end = rest[inside..].find("#}").map_or(rest.len(), |end| inside + end);
            out.push_str(&rest[inside..end]);
            rest = &rest[end..];
            continue;
        }
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let (lexemes, end) = lexemes(&rest[inside..], close);
        let body = &rest[inside..inside + end];
        out.push_str(&rewritten(body, &lexemes));
        rest = &rest[inside + end..];
        if close == "%}" && body.trim_matches(['-', '+', ' ']) == "raw" {
            let end = rest.find("endraw").unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    out + rest
}

/// Where the next tag or comment begins.
fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| matches!(pair, [b'{', b'{' | b'%' | b'#']))
}

/// The parts of a tag and where it ends.
fn lexemes(text: &str, close: &str) -> (Vec<Lexeme>, usize) {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        if depth == 0 && text[at..].starts_with(close) {
            return (found, at);
        }
        let start = at;
        let sort = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            quote @ (b'\'' | b'"') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at = (at + 1).min(bytes.len());
                Sort::Text
            }
            b'0'..=b'9' => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'.'))
                {
                    at += 1;
                }
                Sort::Number
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii() => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || !bytes[at].is_ascii())
                {
                    at += 1;
                }
                Sort::Name
            }
            b'(' | b'[' | b'{' => {
                (at, depth) = (at + 1, depth + 1);
                Sort::Open
            }
            b')' | b']' | b'}' => {
                (at, depth) = (at + 1, depth.saturating_sub(1));
                Sort::Close
            }
            b'*' | b'/' | b'=' | b'!' | b'<' | b'>' => {
                at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'*' | b'/' | b'=')));
                Sort::Operator
            }
            _ => {
                at += 1;
                Sort::Operator
            }
        };
        found.push(Lexeme { sort, start, end: at });
    }
    (found, bytes.len())
}

fn rewritten(text: &str, lexemes: &[Lexeme]) -> String {
    let word = |at: usize| lexemes.get(at).map_or("", |lexeme| &text[lexeme.start..lexeme.end]);
    let mut out = String::new();
    let mut done = 0;
    // For each open bracket where the operand began that is being read, and whether a product came before it.
    let mut operands: Vec<(Option<usize>, bool)> = vec![(None, false)];
    let mut at = 0;
    while at < lexemes.len() {
        let lexeme = lexemes[at];
        let Some(operand) = operands.last_mut() else { break };
        match lexeme.sort {
            Sort::Open => {
                operand.0.get_or_insert(at);
                operands.push((None, false));
            }
            Sort::Close => {
                operands.pop();
                if operands.is_empty() {
                    operands.push((None, false));
                }
            }
            Sort::Name if is_keyword(word(at)) => *operand = (None, false),
            Sort::Text | Sort::Number | Sort::Name => {
                operand.0.get_or_insert(at);
            }
            Sort::Operator => match word(at) {
                "." | "|" => {}
                "%" => {
                    let end = operand_end(lexemes, at + 1, &word);
                    let number =
                        lexemes.get(at + 1).is_some_and(|next| next.sort == Sort::Number) && end == at + 2;
                    let text_left =
                        operand.0.is_some_and(|start| start + 1 == at && lexemes[start].sort == Sort::Text);
                    let first = operand.0.filter(|_| !operand.1 && end > at + 1 && (!number || text_left));
                    // Brackets on the left are read already; what they hold stays as it was written.
                    match first.filter(|start| lexemes[*start].start >= done) {
                        Some(start) => {
                            let (from, to) = (lexemes[start].start, lexemes[end - 1].end);
                            let right = rewritten(
                                &text[lexemes[at + 1].start..to],
                                &moved(&lexemes[at + 1..end], lexemes[at + 1].start),
                            );
                            let left = text[from..lexeme.start].trim_end();
                            out.push_str(&text[done..from]);
                            out.extend(["(", left, ")|", FILTER, "(", &right, ")"]);
                            done = to;
                            at = end;
                            *operand = (None, true);
                            continue;
                        }
                        None => *operand = (None, true),
                    }
                }
                "*" | "/" | "//" | "**" => *operand = (None, true),
                _ => *operand = (None, false),
            },
        }
        at += 1;
    }
    out + &text[done..]
}

fn moved(lexemes: &[Lexeme], by: usize) -> Vec<Lexeme> {
    lexemes.iter().map(|one| Lexeme { start: one.start - by, end: one.end - by, ..*one }).collect()
}

/// Where the operand ends that begins at a lexeme: a value with its attributes, calls, indices and filters.
fn operand_end<'a>(lexemes: &[Lexeme], from: usize, word: &impl Fn(usize) -> &'a str) -> usize {
    let mut at = from;
    let mut wants_value = true;
    while let Some(lexeme) = lexemes.get(at) {
        match lexeme.sort {
            Sort::Open => {
                if !wants_value && word(at) == "{" {
                    break;
                }
                let mut depth = 0;
                while let Some(inner) = lexemes.get(at) {
                    depth += i32::from(inner.sort == Sort::Open) - i32::from(inner.sort == Sort::Close);
                    if depth == 0 {
                        break;
                    }
                    at += 1;
                }
                wants_value = false;
            }
            Sort::Text | Sort::Number | Sort::Name if wants_value => wants_value = false,
            Sort::Operator if !wants_value && matches!(word(at), "." | "|") => wants_value = true,
            Sort::Operator if wants_value && at == from && word(at) == "-" => {}
            _ => break,
        }
        at += 1;
    }
    at.min(lexemes.len())
}

fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 14] = [
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "for",
        "set",
        "recursive",
        "call",
        "filter",
        "do",
    ];
    KEYWORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::as_filters;

    #[test]
    fn texts_and_variables_become_filters_and_numbers_stay() {
        let check = |source: &str, expected: &str| assert_eq!(as_filters(source), expected, "{source}");
        check("{{ '%s' % x }}", "{{ ('%s')|__percent(x) }}");
        check("{{ 'a' ~ '%s-%s' % (x, y) ~ 'b' }}", "{{ 'a' ~ ('%s-%s')|__percent((x, y)) ~ 'b' }}");
        check("{{ m.form % m.values|join(', ') }}", "{{ (m.form)|__percent(m.values|join(', ')) }}");
        check("{{ f('%d' % (n + 1), 2) }}", "{{ f(('%d')|__percent((n + 1)), 2) }}");
        check("{{ '%s' % 5 }}", "{{ ('%s')|__percent(5) }}");
        for same in [
            "{% if loop.index0 % 2 == 0 %}x{% endif %}",
            "{{ 2 * n % m }} 5 % x",
            "{# '%s' % x #}{% raw %}{{ '%s' % x }}{% endraw %}",
            "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}",
            "{{ '%}' }}{% set x = '}}' %}",
        ] {
            check(same, same);
        }
    }
}
