//! Mathematics in Unicode, where it can be said so; else it stays as it was written.
//!
//! Invariant: signs come in the order of what they stand for, and a formula is either said whole or not at all.

use std::borrow::Cow;
use std::ops::Range;

use super::math_signs::{combining, command, double_struck, lowered, raised};

/// Groups may be nested this deep.
const DEEPEST: usize = 12;

/// `\(…\)` and `\[…\]` with the parser's own marks in their place, byte for byte, where what they hold is a formula.
pub(super) fn with_dollars(text: &str) -> Cow<'_, str> {
    if !text.contains("\\(") && !text.contains("\\[") {
        return Cow::Borrowed(text);
    }
    let code = code_spans(text);
    let mut bytes = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(at) = text[from..].find(['\\']).map(|at| from + at) {
        let rest = &text[at..];
        from = at + 2.min(rest.len());
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let end = match rest.as_bytes().get(1) {
            Some(b'(') => "\\)",
            Some(b'[') => "\\]",
            _ => continue,
        };
        let Some(length) = rest[2..].find(end) else { continue };
        let inside = &rest[2..2 + length];
        let is_code = code.iter().any(|span| span.contains(&at));
        let is_formula =
            inside.contains(['\\', '^', '_', '=', '+', '<', '>']) || inside.trim().chars().count() == 1;
        if is_code || !is_formula || inside.contains("\n\n") || inside.contains('$') {
            continue;
        }
        let close = at + 2 + length;
        bytes[at..at + 2].copy_from_slice(b"$$");
        bytes[close..close + 2].copy_from_slice(b"$$");
        from = close + 2;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn code_spans(text: &str) -> Vec<Range<usize>> {
    use pulldown_cmark::{Event, Parser, Tag};
    let events = Parser::new_ext(text, super::OPTIONS).into_offset_iter();
    let code = events.filter(|(event, _)| matches!(event, Event::Code(_) | Event::Start(Tag::CodeBlock(_))));
    code.map(|(_, range)| range).collect()
}

/// A formula as signs, each with the bytes of the formula that it stands for. `None` where it holds what cannot be
/// said in a line of Unicode.
pub(super) fn signs(tex: &str) -> Option<Vec<(String, Range<usize>)>> {
    let mut reader = Reader { tex, at: 0, deep: 0 };
    let mut signs = reader.until(None)?;
    if reader.at < tex.len() {
        return None;
    }
    let blank = |sign: &(String, Range<usize>)| sign.0.trim().is_empty() && sign.0 != "\n";
    while signs.last().is_some_and(|sign| sign.0.trim().is_empty()) {
        signs.pop();
    }
    let first = signs.iter().position(|sign| !sign.0.trim().is_empty()).unwrap_or(signs.len());
    signs.drain(..first);
    signs.dedup_by(|sign, before| blank(sign) && blank(before));
    Some(signs)
}

type Signs = Vec<(String, Range<usize>)>;

struct Reader<'a> {
    tex: &'a str,
    at: usize,
    deep: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.tex[self.at..].chars().next()
    }

    /// Signs up to what closes the group; that is left to be read.
    fn until(&mut self, close: Option<char>) -> Option<Signs> {
        self.deep += 1;
        if self.deep > DEEPEST {
            return None;
        }
        let mut signs = Signs::new();
        while let Some(c) = self.peek() {
            if Some(c) == close {
                break;
            }
            self.one(c, &mut signs)?;
        }
        self.deep -= 1;
        Some(signs)
    }

    fn one(&mut self, c: char, signs: &mut Signs) -> Option<()> {
        let start = self.at;
        match c {
            '\\' => return self.command(signs),
            '{' => signs.extend(self.group()?),
            '}' | '&' | '#' | '%' => return None,
            '^' | '_' => {
                self.at += 1;
                let inner = self.argument()?;
                script(c, start, inner, signs);
            }
            '\'' => {
                self.at += 1;
                signs.push(("′".into(), start..self.at));
            }
            '~' => {
                self.at += 1;
                signs.push((" ".into(), start..self.at));
            }
            c if c.is_whitespace() => {
                self.at = start + (self.tex[start..].len() - self.tex[start..].trim_start().len());
                signs.push((" ".into(), start..self.at));
            }
            c => {
                self.at += c.len_utf8();
                let sign = match c {
                    '-' => "−".to_owned(),
                    '*' => "∗".to_owned(),
                    c => c.to_string(),
                };
                signs.push((sign, start..self.at));
            }
        }
        Some(())
    }

    /// `{…}` without its braces.
    fn group(&mut self) -> Option<Signs> {
        self.at += 1;
        let inner = self.until(Some('}'))?;
        (self.peek()? == '}').then(|| self.at += 1)?;
        Some(inner)
    }

    /// What a command or a script applies to: a group or one sign.
    fn argument(&mut self) -> Option<Signs> {
        while let Some(blank) = self.peek().filter(|c| c.is_whitespace()) {
            self.at += blank.len_utf8();
        }
        let mut signs = Signs::new();
        self.one(self.peek()?, &mut signs)?;
        Some(signs)
    }

    fn command(&mut self, signs: &mut Signs) -> Option<()> {
        let start = self.at;
        let rest = &self.tex[start + 1..];
        let length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let name = if length == 0 { &rest[..rest.chars().next()?.len_utf8()] } else { &rest[..length] };
        self.at = start + 1 + name.len();
        let name = name.to_owned();
        let here = |reader: &Self| start..reader.at;
        match name.as_str() {
            "frac" | "dfrac" | "tfrac" | "cfrac" => {
                let above = self.argument()?;
                let below_at = self.at;
                let below = self.argument()?;
                signs.extend(bracketed(above, start));
                signs.push(("/".into(), below_at..below_at));
                signs.extend(bracketed(below, below_at));
            }
            "binom" => {
                let above = self.argument()?;
                let middle = self.at;
                let below = self.argument()?;
                signs.push(("C(".into(), start..start));
                signs.extend(above);
                signs.push((", ".into(), middle..middle));
                signs.extend(below);
                signs.push((")".into(), self.at..self.at));
            }
            "sqrt" => {
                let mut sign = "√".to_owned();
                if self.peek() == Some('[') {
                    let end = self.tex[self.at..].find(']')? + self.at;
                    let root = &self.tex[self.at + 1..end];
                    sign = match root {
                        "3" => "∛".into(),
                        "4" => "∜".into(),
                        root => format!("{}√", raised(root)?),
                    };
                    self.at = end + 1;
                }
                signs.push((sign, here(self)));
                let at = self.at;
                signs.extend(bracketed(self.argument()?, at));
            }
            "text" | "textbf" | "textit" | "textrm" | "mbox" | "operatorname" => signs.extend(self.words()?),
            "mathrm" | "mathbf" | "mathit" | "mathsf" | "mathcal" | "boldsymbol" | "bm" | "mathfrak"
            | "boxed" => {
                signs.extend(self.argument()?);
            }
            "mathbb" => {
                let inner = self.argument()?;
                signs.extend(inner.into_iter().map(|(sign, bytes)| (double_struck(&sign), bytes)));
            }
            "left" | "right" | "big" | "Big" | "bigl" | "bigr" | "Bigl" | "Bigr" | "bigg" | "Bigg" => {
                if self.peek() == Some('.') {
                    self.at += 1;
                }
            }
            "limits" | "nolimits" | "displaystyle" | "textstyle" | "!" => {}
            "," | ":" | ";" | " " | "quad" | "qquad" | "thinspace" => signs.push((" ".into(), here(self))),
            "\\" => signs.push(("\n".into(), here(self))),
            "{" | "}" | "%" | "&" | "#" | "$" | "_" => signs.push((name, here(self))),
            "|" => signs.push(("‖".into(), here(self))),
            _ => match (combining(&name), command(&name)) {
                (Some(mark), _) => {
                    let mut inner = self.argument()?;
                    inner.last_mut()?.0.push(mark);
                    signs.extend(inner);
                }
                (None, Some(sign)) => signs.push((sign.to_owned(), here(self))),
                (None, None) => return None,
            },
        }
        Some(())
    }

    /// Words in a group, blanks and all.
    fn words(&mut self) -> Option<Signs> {
        (self.peek()? == '{').then_some(())?;
        let end = self.tex[self.at..].find('}')? + self.at;
        let words = &self.tex[self.at + 1..end];
        if words.contains(['{', '\\', '$']) {
            return None;
        }
        let bytes = self.at + 1..end;
        self.at = end + 1;
        Some(vec![(words.to_owned(), bytes)])
    }
}

/// A part of a fraction or root: in brackets unless it is one sign, one number or one word.
fn bracketed(inner: Signs, at: usize) -> Signs {
    let text: String = inner.iter().map(|(sign, _)| sign.as_str()).collect();
    let whole = text.chars().all(|c| c.is_alphanumeric() || ".′⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ₀₁₂₃₄₅₆₇₈₉ₙ".contains(c));
    if whole && !text.is_empty() {
        return inner;
    }
    let end = inner.last().map_or(at, |(_, bytes)| bytes.end);
    let first = inner.first().map_or(at, |(_, bytes)| bytes.start);
    let mut all = vec![("(".to_owned(), first..first)];
    all.extend(inner);
    all.push((")".to_owned(), end..end));
    all
}

/// A raised or lowered group: in Unicode's own signs where it has all of them.
fn script(mark: char, at: usize, inner: Signs, signs: &mut Signs) {
    let text: String = inner.iter().map(|(sign, _)| sign.as_str()).collect();
    let own = |sign: &str| if mark == '^' { raised(sign) } else { lowered(sign) };
    if own(&text).is_some() {
        signs.extend(inner.into_iter().map(|(sign, bytes)| (own(&sign).unwrap_or(sign), bytes)));
        return;
    }
    signs.push((mark.to_string(), at..at + 1));
    let single = text.chars().count() == 1;
    signs.extend(if single { inner } else { bracketed_always(inner, at + 1) });
}

fn bracketed_always(inner: Signs, at: usize) -> Signs {
    let first = inner.first().map_or(at, |(_, bytes)| bytes.start);
    let end = inner.last().map_or(at, |(_, bytes)| bytes.end);
    let mut all = vec![("(".to_owned(), first..first)];
    all.extend(inner);
    all.push((")".to_owned(), end..end));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_said_in_unicode_where_they_can_be() {
        let check = |tex: &str, expected: Option<&str>| {
            let said = signs(tex).map(|signs| signs.into_iter().map(|(sign, _)| sign).collect::<String>());
            assert_eq!(said.as_deref(), expected, "{tex}");
        };
        check(r"E = mc^2", Some("E = mc²"));
        check(r"\frac{a}{b}", Some("a/b"));
        check(r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}", Some("x = (−b ± √(b² − 4ac))/2a"));
        check(r"\sum_{i=1}^{n} x_i", Some("∑ᵢ₌₁ⁿ xᵢ"));
        check(r"\alpha \leq \beta, \mathbb{R}^n", Some("α ≤ β, ℝⁿ"));
        check(r"\hat{y} \in \{0, 1\}", Some("y\u{302} ∈ {0, 1}"));
        check(r"e^{i\pi} + 1 = 0", Some("e^(iπ) + 1 = 0"));
        check(r"\text{if } x > 0", Some("if  x > 0"));
        check(r"\lim_{x \to \infty} f(x)", Some("lim_(x → ∞) f(x)"));
        check(r"\int_0^1 x\,dx", Some("∫₀¹ x dx"));
        check(r"a \\ b", Some("a \n b"));
        check(r"\begin{matrix} a & b \end{matrix}", None);
        check(r"\unknown{x}", None);
        check(r"{a", None);
        check(&"{".repeat(5000), None);
    }

    #[test]
    fn other_marks_of_mathematics_are_the_parsers_own() {
        assert_eq!(with_dollars(r"so \(x^2\) and \[y = 1\]"), "so $$x^2$$ and $$y = 1$$");
        assert_eq!(with_dollars(r"\[not a link\](x) `\(x^2\)`"), r"\[not a link\](x) `\(x^2\)`");
    }
}
