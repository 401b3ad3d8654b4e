//! Grammars in llama.cpp's notation, read to the end before an engine sees them: its own reader names no line.
//! After `llama_grammar_parser` of llama.cpp's src/llama-grammar.cpp.
//!
//! Invariant: every rule that is named exists, one is called `root`, and none begins with itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;

/// llama.cpp refuses more repetitions than this.
const MOST_REPETITIONS: u64 = 2000;

/// A rule: its alternatives, each a sequence.
type Alternatives = Vec<Vec<Part>>;

/// One part of a sequence.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    item: Item,
    /// How often it stands there, at least.
    least: u64,
    /// And at most, if there is a limit.
    most: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Literal(Vec<char>),
    /// One of these ranges, or none of them.
    Class(Vec<(char, char)>, bool),
    /// Any character, or one token by its name.
    One,
    /// Another rule, and the line it is named in.
    Rule(String, usize),
    Group(Alternatives),
}

/// A grammar's rules with the line of each.
#[derive(Debug, Default)]
struct Grammar {
    rules: BTreeMap<String, (usize, Alternatives)>,
}

/// Whether llama.cpp can use this grammar.
///
/// # Errors
/// What is wrong first, and its line.
pub fn check(text: &str) -> Result<(), Problem> {
    parse(text).map(drop)
}

/// A text as a literal of a grammar.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            c if c.is_control() => quoted.extend(["\\x", &format!("{:02X}", c as u32)]),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn parse(text: &str) -> Result<Grammar, Problem> {
    let mut reader = Reader { text, at: 0 };
    let mut grammar = Grammar::default();
    reader.space(true);
    while !reader.is_at_end() {
        let line = reader.line();
        let (name, rule) = reader.rule()?;
        // llama.cpp lets the last one count; two of a name are a slip.
        if let Some((first, _)) = grammar.rules.insert(name.clone(), (line, rule)) {
            return Err(Problem::new(line, format!("the rule {name} is there already, in line {first}")));
        }
    }
    grammar.check_names(reader.line())?;
    grammar.check_beginnings()?;
    Ok(grammar)
}

impl Grammar {
    fn check_names(&self, last_line: usize) -> Result<(), Problem> {
        for (_, rule) in self.rules.values() {
            for (name, line) in named(rule) {
                if !self.rules.contains_key(name) {
                    return Err(Problem::new(line, format!("there is no rule {name}")));
                }
            }
        }
        if self.rules.contains_key("root") {
            return Ok(());
        }
        Err(Problem::new(last_line, "there is no rule root, with which a grammar begins"))
    }

    /// Refuses rules that begin with themselves: the sampler would never come to an end of reading them.
    fn check_beginnings(&self) -> Result<(), Problem> {
        let empty = self.can_be_empty();
        for (name, (line, _)) in &self.rules {
            let mut seen = BTreeSet::new();
            let mut open = vec![name.as_str()];
            while let Some(rule) = open.pop() {
                for next in self.rules.get(rule).into_iter().flat_map(|(_, rule)| beginnings(rule, &empty)) {
                    if next == name {
                        let what =
                            format!("the rule {name} begins with itself; write it with * or + instead");
                        return Err(Problem::new(*line, what));
                    }
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
        }
        Ok(())
    }

    /// The rules that can stand for nothing.
    fn can_be_empty(&self) -> BTreeSet<&str> {
        let mut empty = BTreeSet::new();
        loop {
            let before = empty.len();
            for (name, (_, rule)) in &self.rules {
                if rule.iter().any(|sequence| sequence.iter().all(|part| part.can_be_empty(&empty))) {
                    empty.insert(name.as_str());
                }
            }
            if empty.len() == before {
                return empty;
            }
        }
    }
}

impl Part {
    fn can_be_empty(&self, empty: &BTreeSet<&str>) -> bool {
        self.least == 0
            || match &self.item {
                Item::Literal(text) => text.is_empty(),
                Item::Class(..) | Item::One => false,
                Item::Rule(name, _) => empty.contains(name.as_str()),
                Item::Group(rule) => {
                    rule.iter().any(|sequence| sequence.iter().all(|part| part.can_be_empty(empty)))
                }
            }
    }
}

/// Every rule that is named somewhere in this one.
fn named(rule: &Alternatives) -> Vec<(&str, usize)> {
    let mut names = Vec::new();
    for part in rule.iter().flatten() {
        match &part.item {
            Item::Rule(name, line) => names.push((name.as_str(), *line)),
            Item::Group(inner) => names.extend(named(inner)),
            Item::Literal(_) | Item::Class(..) | Item::One => {}
        }
    }
    names
}

/// The rules that this one can begin with.
fn beginnings<'a>(rule: &'a Alternatives, empty: &BTreeSet<&str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for sequence in rule {
        for part in sequence {
            match &part.item {
                Item::Rule(name, _) => names.push(name.as_str()),
                Item::Group(inner) => names.extend(beginnings(inner, empty)),
                Item::Literal(_) | Item::Class(..) | Item::One => {}
            }
            if !part.can_be_empty(empty) {
                break;
            }
        }
    }
    names
}

/// Reads a grammar's text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at.min(self.text.len())].matches('\n').count()
    }

    fn wrong(&self, what: impl Into<String>) -> Problem {
        Problem::new(self.line(), what)
    }

    fn take(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    /// What comes next, for a message.
    fn found(&self) -> String {
        let rest: String = self.rest().lines().next().unwrap_or_default().chars().take(20).collect();
        match (self.is_at_end(), rest.is_empty()) {
            (true, _) => "the end".to_owned(),
            (_, true) => "the end of the line".to_owned(),
            _ => format!("\"{rest}\""),
        }
    }

    /// Blanks and comments; line ends too where a rule may go on.
    fn space(&mut self, line_ends: bool) {
        while let Some(next) = self.next() {
            match next {
                ' ' | '\t' => self.at += 1,
                '\r' | '\n' if line_ends => self.at += 1,
                '#' => self.at += self.rest().find(['\r', '\n']).unwrap_or(self.rest().len()),
                _ => break,
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let length = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        let name = self.rest()[..length].to_owned();
        self.at += length;
        (length > 0).then_some(name)
    }

    fn rule(&mut self) -> Result<(String, Alternatives), Problem> {
        let Some(name) = self.name() else {
            return Err(self.wrong(format!("a rule begins with its name, not with {}", self.found())));
        };
        if self.next() == Some('_') {
            return Err(
                self.wrong(format!("a rule's name is made of letters, digits and -, but {name}_… has _"))
            );
        }
        self.space(false);
        if !self.take("::=") {
            return Err(self.wrong(format!("after the name {name} comes ::=, not {}", self.found())));
        }
        self.space(true);
        let rule = self.alternatives(false)?;
        match self.next() {
            None => {}
            Some('\r' | '\n') => self.space(true),
            Some(_) => {
                return Err(self.wrong(format!("{} does not belong into a rule", self.found())));
            }
        }
        Ok((name, rule))
    }

    fn alternatives(&mut self, nested: bool) -> Result<Alternatives, Problem> {
        let mut all = vec![self.sequence(nested)?];
        while self.take("|") {
            self.space(true);
            all.push(self.sequence(nested)?);
        }
        Ok(all)
    }

    fn sequence(&mut self, nested: bool) -> Result<Vec<Part>, Problem> {
        let mut parts: Vec<Part> = Vec::new();
        while let Some(next) = self.next() {
            if let Some((least, most)) = self.repetition(nested)? {
                let Some(last) = parts.last_mut() else {
                    return Err(self.wrong(format!("nothing stands before {next} that could be repeated")));
                };
                // a{2}* and the like: as a group of its own.
                let item = match (last.least, last.most) {
                    (1, Some(1)) => last.item.clone(),
                    _ => Item::Group(vec![vec![last.clone()]]),
                };
                *last = Part { item, least, most };
                continue;
            }
            let Some(item) = self.item(next)? else { break };
            self.space(nested);
            parts.push(Part { item, least: 1, most: Some(1) });
        }
        Ok(parts)
    }

    fn item(&mut self, next: char) -> Result<Option<Item>, Problem> {
        Ok(Some(match next {
            '"' => self.literal()?,
            '[' => self.class()?,
            '<' | '!' => self.token()?,
            '.' => {
                self.at += 1;
                Item::One
            }
            '(' => {
                let line = self.line();
                self.at += 1;
                self.space(true);
                let inner = self.alternatives(true)?;
                if !self.take(")") {
                    return Err(self.wrong(format!("the ( of line {line} has no )")));
                }
                Item::Group(inner)
            }
            _ => {
                let line = self.line();
                match self.name() {
                    Some(name) => Item::Rule(name, line),
                    None => return Ok(None),
                }
            }
        }))
    }

    /// `*`, `+`, `?`, `{2}`, `{2,}`, `{2,5}`.
    fn repetition(&mut self, nested: bool) -> Result<Option<(u64, Option<u64>)>, Problem> {
        let short = [("*", (0, None)), ("+", (1, None)), ("?", (0, Some(1)))];
        if let Some((_, times)) = short.into_iter().find(|(mark, _)| self.take(mark)) {
            self.space(nested);
            return Ok(Some(times));
        }
        if !self.take("{") {
            return Ok(None);
        }
        self.space(nested);
        let least = self
            .number()
            .ok_or_else(|| self.wrong(format!("a number is missing after {{, before {}", self.found())))?;
        self.space(nested);
        let mut most = Some(least);
        if self.take(",") {
            self.space(nested);
            most = self.number();
            self.space(nested);
        }
        if !self.take("}") {
            return Err(self.wrong(format!("a }} is missing before {}", self.found())));
        }
        self.space(nested);
        if least > MOST_REPETITIONS || most.is_some_and(|most| most > MOST_REPETITIONS) {
            return Err(self.wrong(format!("a part can be repeated {MOST_REPETITIONS} times at most")));
        }
        if most.is_some_and(|most| most < least) {
            return Err(self.wrong(format!("{{{least},{}}} ends before it begins", most.unwrap_or_default())));
        }
        Ok(Some((least, most)))
    }

    fn number(&mut self) -> Option<u64> {
        let length = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
        let number = self.rest()[..length].parse().ok();
        self.at += length;
        number
    }

    fn literal(&mut self) -> Result<Item, Problem> {
        let open = self.line();
        self.at += 1;
        let mut text = Vec::new();
        while !self.take("\"") {
            text.push(self.character().map_err(|what| self.within(what, "\"", open))?);
        }
        Ok(Item::Literal(text))
    }

    fn class(&mut self) -> Result<Item, Problem> {
        let open = self.line();
        self.at += 1;
        let negated = self.take("^");
        let mut ranges = Vec::new();
        while !self.take("]") {
            let from = self.character().map_err(|what| self.within(what, "[", open))?;
            let mut to = from;
            if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
                self.at += 1;
                to = self.character().map_err(|what| self.within(what, "[", open))?;
            }
            if to < from {
                return Err(self.wrong(format!("the range {from}-{to} ends before it begins")));
            }
            ranges.push((from, to));
        }
        Ok(Item::Class(ranges, negated))
    }

    fn within(&self, what: Option<String>, mark: &str, open: usize) -> Problem {
        what.map_or_else(
            || Problem::new(open, format!("the {mark} here is never closed")),
            |what| self.wrong(what),
        )
    }

    /// One character, escapes read; `None` as the error at the end of the text.
    fn character(&mut self) -> Result<char, Option<String>> {
        let next = self.next().ok_or(None)?;
        self.at += next.len_utf8();
        if next != '\\' {
            return Ok(next);
        }
        let escape = self.next().ok_or(None)?;
        self.at += escape.len_utf8();
        let digits = match escape {
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            'n' => return Ok('\n'),
            '\\' | '"' | '[' | ']' | '-' => return Ok(escape),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                return Err(Some(format!(
                    "\\{other} is no escape; there are \\\\ \\\" \\[ \\] \\- \\n \\r \\t \\x \\u \\U"
                )));
            }
        };
        let code = self.rest().get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok());
        let code = code.ok_or_else(|| Some(format!("\\{escape} needs {digits} hexadecimal digits")))?;
        self.at += digits;
        // Halves of surrogate pairs are numbers to llama.cpp; no text has them.
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `<name>`, `<[id]>`, or either with `!` before it.
    fn token(&mut self) -> Result<Item, Problem> {
        self.take("!");
        if !self.take("<") {
            return Err(self.wrong("after ! comes a token such as <name>"));
        }
        let end = self.rest().lines().next().and_then(|line| line.find('>'));
        let end = end.ok_or_else(|| self.wrong("the < here is never closed"))?;
        self.at += end + 1;
        Ok(Item::One)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Whether a text is a sentence of the grammar: for tests alone, by trying.
    pub(in crate::grammar) fn accepts(grammar: &str, text: &str) -> bool {
        let grammar = parse(grammar).unwrap_or_else(|problem| panic!("{problem}\n{grammar}"));
        let text: Vec<char> = text.chars().collect();
        let (_, root) = &grammar.rules["root"];
        ends(&grammar, root, &text, &[0].into()).contains(&text.len())
    }

    /// Where sentences of these alternatives can end that begin at one of `starts`.
    fn ends(
        grammar: &Grammar,
        rule: &Alternatives,
        text: &[char],
        starts: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let of = |sequence: &Vec<Part>| {
            sequence.iter().fold(starts.clone(), |starts, part| repeated(grammar, part, text, starts))
        };
        rule.iter().flat_map(of).collect()
    }

    fn repeated(
        grammar: &Grammar,
        part: &Part,
        text: &[char],
        mut starts: BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut times = 0;
        loop {
            if times >= part.least {
                let before = all.len();
                all.extend(starts.iter().copied());
                if all.len() == before && times > part.least {
                    return all;
                }
            }
            if starts.is_empty() || part.most == Some(times) {
                return all;
            }
            starts = once(grammar, &part.item, text, starts);
            times += 1;
        }
    }

    fn once(grammar: &Grammar, item: &Item, text: &[char], starts: BTreeSet<usize>) -> BTreeSet<usize> {
        match item {
            Item::Group(inner) => ends(grammar, inner, text, &starts),
            Item::Rule(name, _) => ends(grammar, &grammar.rules[name].1, text, &starts),
            Item::Literal(literal) => {
                let fits = |start: &usize| text[*start..].starts_with(literal);
                starts.into_iter().filter(fits).map(|start| start + literal.len()).collect()
            }
            Item::Class(..) | Item::One => {
                let fits = |c: char| match item {
                    Item::Class(ranges, negated) => {
                        ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
                    }
                    _ => true,
                };
                starts
                    .into_iter()
                    .filter(|start| text.get(*start).copied().is_some_and(fits))
                    .map(|at| at + 1)
                    .collect()
            }
        }
    }

    #[test]
    fn grammars_as_llama_cpp_ships_them_are_read() {
        let list = "root ::= item+\n\n# Excludes various line break characters\n\
                    item ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"\n";
        assert_eq!(check(list), Ok(()));
        assert!(accepts(list, "- one\n- two\n") && !accepts(list, "one\n"));
        let arithmetic = "root  ::= (expr \"=\" ws term \"\\n\")+\nexpr  ::= term ([-+*/] term)*\n\
                          term  ::= ident | num | \"(\" ws expr \")\" ws\nident ::= [a-z] [a-z0-9_]* ws\n\
                          num   ::= [0-9]{1,3} ws\nws    ::= [ \\t\\n]*";
        assert_eq!(check(arithmetic), Ok(()));
        assert!(accepts(arithmetic, "x+12=(y)\n") && !accepts(arithmetic, "x+1234=y\n"));
        assert_eq!(check("root ::= <think> !<[7]>* (\"a\" |\n \"b\"\n)"), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (grammar, said) in [
            ("", "line 1: there is no rule root, with which a grammar begins"),
            ("a ::= \"b\"\n", "line 2: there is no rule root, with which a grammar begins"),
            ("root ::= \"a\"\nb = \"c\"", "line 2: after the name b comes ::=, not \"= \"c\"\""),
            ("root ::= yes\n\nyes ::= no", "line 3: there is no rule no"),
            ("root ::= \"a\" root-\nroot- ::= \"b", "line 2: the \" here is never closed"),
            ("root ::= (\"a\"\n | \"b\"\n", "line 3: the ( of line 1 has no )"),
            ("root ::= [a-", "line 1: the [ here is never closed"),
            (
                "root ::= \"\\q\"",
                "line 1: \\q is no escape; there are \\\\ \\\" \\[ \\] \\- \\n \\r \\t \\x \\u \\U",
            ),
            ("root ::= \"\\x1\"", "line 1: \\x needs 2 hexadecimal digits"),
            ("root ::= * \"a\"", "line 1: nothing stands before * that could be repeated"),
            ("root ::= \"a\"{2", "line 1: a } is missing before the end"),
            ("root ::= \"a\"{3,2}", "line 1: {3,2} ends before it begins"),
            ("root ::= \"a\"{9999}", "line 1: a part can be repeated 2000 times at most"),
            ("root ::= \"a\" }", "line 1: \"}\" does not belong into a rule"),
            ("root ::= my_rule", "line 1: \"_rule\" does not belong into a rule"),
            (
                "root ::= a\nmy_rule ::= \"x\"",
                "line 2: a rule's name is made of letters, digits and -, but my_… has _",
            ),
            ("root ::= \"x\"\nroot ::= \"y\"", "line 2: the rule root is there already, in line 1"),
            (
                "root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"z\"",
                "line 2: the rule a begins with itself; write it with * or + instead",
            ),
        ] {
            assert_eq!(
                check(grammar).map_err(|problem| problem.to_string()),
                Err(said.to_owned()),
                "{grammar}"
            );
        }
    }
}
