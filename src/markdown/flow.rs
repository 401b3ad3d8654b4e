//! From a unit's source to its rows: the parser's events, with a stack of containers and one of faces.
//!
//! Invariant: no function calls itself, whatever is nested; what is nested deeper than 32 has no prefix more.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{
    BlockQuoteKind, BrokenLink, BrokenLinkCallback, CodeBlockKind, CowStr, Event, HeadingLevel, LinkType,
    Parser, Tag, TagEnd,
};

use super::build::{Builder, Container, Piece};
use super::table::{MOST_CELLS, Table, TableCell};
use super::unit::{CodeLine, Unit};
use super::{Labels, Look, OPTIONS, Style, Tone, address, inline, label_key, math, notes, notes::FOOTNOTE};

/// Containers that have a prefix.
const MOST_DEEP: usize = 32;

/// A unit's place in its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Whether text stands above it.
    pub follows: bool,
    /// The number of the item of a numbered list that it is.
    pub number: Option<u64>,
}

/// Lays out a unit.
pub(super) fn lay(text: &str, style: Style, labels: &Labels, place: Place) -> Unit {
    let (parsed, mut asked) = notes::with_known(math::with_dollars(text), labels);
    let resolver = Resolver { labels, asked: &mut asked };
    let parser = Parser::new_with_broken_link_callback(&parsed, OPTIONS, Some(resolver));
    let mut defines: Vec<(String, String)> = parser
        .reference_definitions()
        .iter()
        .map(|(label, definition)| (label_key(label), definition.dest.to_string()))
        .collect();
    let mut builder = Builder::new(text, style.width, style.wrap_code);
    builder.follows = place.follows;
    let mut flow = Flow {
        parsed: &parsed,
        ascii: style.ascii,
        builder,
        lists: Vec::new(),
        number: place.number,
        looks: vec![Look::default()],
        links: Vec::new(),
        pieces: Vec::new(),
        leaf: None,
        table: None,
        code: None,
        notes: Vec::new(),
        lines: Vec::new(),
        leads: Vec::new(),
    };
    // What was put behind the text for the parser's sake is not shown.
    for (event, range) in parser.into_offset_iter().filter(|(_, range)| range.start < text.len()) {
        flow.event(event, range.start..range.end.min(text.len()));
    }
    flow.end_leaf();
    defines.extend(flow.notes);
    let mut unit = flow.builder.finish(text.len());
    asked.sort_unstable();
    asked.dedup();
    (unit.asked, unit.defines, unit.code) = (asked, defines, flow.lines);
    unit.links = flow.leads;
    unit
}

/// Finds labels that the unit does not define itself, and notes what was looked for.
struct Resolver<'l> {
    labels: &'l Labels,
    asked: &'l mut Vec<String>,
}

impl<'input> BrokenLinkCallback<'input> for Resolver<'_> {
    fn handle_broken_link(&mut self, link: BrokenLink<'input>) -> Option<(CowStr<'input>, CowStr<'input>)> {
        let key = label_key(&link.reference);
        let found = self.labels.get(&key).map(|address| (CowStr::from(address.clone()), CowStr::from("")));
        self.asked.push(key);
        found
    }
}

/// A code block being read.
struct Code {
    language: String,
    range: Range<usize>,
    lines: usize,
    /// Whether the last line has no end yet.
    open: bool,
    /// Whether it is drawn as text: raw HTML.
    html: bool,
}

struct Flow<'a, 'p> {
    parsed: &'p str,
    ascii: bool,
    builder: Builder<'a>,
    lists: Vec<Option<u64>>,
    number: Option<u64>,
    looks: Vec<Look>,
    links: Vec<(LinkType, String, usize)>,
    pieces: Vec<Piece<'a>>,
    /// Where the paragraph begins whose pieces are being gathered.
    leaf: Option<usize>,
    table: Option<Table<'a>>,
    code: Option<Code>,
    notes: Vec<(String, String)>,
    lines: Vec<CodeLine>,
    leads: Vec<(Range<u32>, String)>,
}

impl<'a> Flow<'a, '_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, &range),
            Event::Text(text) => match &self.code {
                Some(_) => self.code_line(&text, range),
                None => self.text(&text, range),
            },
            Event::Html(text) => self.code_line(&text, range),
            Event::Code(text) => {
                let look = self.look().toned(Tone::Code).with(Look::IN_LINE);
                self.open_leaf(range.start);
                self.put_text(&text, range, look);
            }
            Event::InlineHtml(text) if is_break(&text) && self.table.is_some() => self.line_break(range),
            Event::InlineHtml(text) => {
                let look = self.look().toned(Tone::Muted);
                self.open_leaf(range.start);
                self.put_text(&text, range, look);
            }
            Event::InlineMath(tex) => self.math(&tex, range, false),
            Event::DisplayMath(tex) => self.math(&tex, range, true),
            Event::FootnoteReference(label) => self.footnote_mark(&label, range),
            Event::SoftBreak | Event::HardBreak => self.line_break(range),
            Event::Rule => self.rule(&range),
            Event::TaskListMarker(done) => self.task(done, range),
        }
    }

    fn look(&self) -> Look {
        self.looks.last().copied().unwrap_or_default()
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph => {
                self.end_leaf();
                self.leaf = Some(range.start);
            }
            Tag::Heading { level, .. } => {
                self.end_leaf();
                self.leaf = Some(range.start);
                let look = Look::of(Tone::Heading).with(Look::STRONG);
                let look = if level == HeadingLevel::H1 { look.with(Look::UNDERLINED) } else { look };
                self.looks.push(look);
            }
            Tag::BlockQuote(kind) => self.quote(kind, &range),
            Tag::List(start) => {
                self.end_leaf();
                let number = self.number.take().filter(|_| start.is_some() && self.lists.is_empty());
                self.lists.push(number.or(start));
            }
            Tag::Item => self.item(&range),
            Tag::FootnoteDefinition(label) => {
                self.end_leaf();
                self.notes.push((format!("^{}", label_key(&label)), FOOTNOTE.into()));
                let length = self.builder.text[range.start..].find(':').map_or(0, |at| at + 1);
                self.contain(
                    format!("[{label}] "),
                    range.start..range.start + length,
                    Look::of(Tone::Bullet),
                );
            }
            Tag::CodeBlock(kind) => self.begin_code(&kind, range),
            Tag::HtmlBlock => {
                self.end_leaf();
                self.code = Some(Code { language: String::new(), range, lines: 0, open: false, html: true });
            }
            Tag::Table(alignments) => {
                self.end_leaf();
                self.table = Some(Table { alignments, rows: Vec::new() });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push((range, Vec::new()));
                }
            }
            Tag::TableCell => {
                self.leaf = Some(range.start);
                let head = self.table.as_ref().is_some_and(|table| table.rows.len() == 1);
                let look = self.look();
                self.looks.push(if head { look.with(Look::STRONG) } else { look });
            }
            Tag::Emphasis => self.face(Look::EMPHASIS),
            Tag::Strong => self.face(Look::STRONG),
            Tag::Strikethrough => self.face(Look::STRUCK),
            Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. } => {
                self.open_leaf(range.start);
                self.links.push((link_type, dest_url.to_string(), self.pieces.len()));
                let look = self.look();
                self.looks.push(if *dest_url == *FOOTNOTE { look } else { look.toned(Tone::Link) });
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Paragraph => self.end_leaf(),
            TagEnd::Heading(_) => {
                self.end_leaf();
                self.looks.pop();
            }
            TagEnd::BlockQuote(_) | TagEnd::Item | TagEnd::FootnoteDefinition => {
                // An item without a word still shows its mark.
                if let Some(Container::Item { begun: false, source, .. }) = self.builder.containers.last() {
                    self.leaf = self.leaf.or(Some(source.start));
                }
                self.end_leaf();
                self.builder.containers.pop();
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::CodeBlock | TagEnd::HtmlBlock => {
                self.code = None;
                let end = self.builder.text[..range.end].trim_end_matches('\n').len();
                self.builder.cover(end);
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.lay_table(&table, range);
                }
            }
            TagEnd::TableCell => {
                self.looks.pop();
                self.leaf = None;
                let pieces = std::mem::take(&mut self.pieces);
                if let Some((_, cells)) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    cells.push(TableCell { range: range.clone(), pieces });
                }
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.looks.pop();
            }
            TagEnd::Link | TagEnd::Image => {
                self.looks.pop();
                self.address(range);
            }
            _ => {}
        }
    }

    fn face(&mut self, face: u8) {
        let look = self.look().with(face);
        self.looks.push(look);
    }

    fn contain(&mut self, mark: String, source: Range<usize>, look: Look) {
        self.builder.containers.push(Container::Item { mark, source, look, begun: false });
        self.cap();
    }

    /// Deeper containers stand without a prefix.
    fn cap(&mut self) {
        let deep = self.builder.containers.len();
        if deep <= MOST_DEEP {
            return;
        }
        if let Some(Container::Item { mark, .. }) = self.builder.containers.last_mut() {
            mark.clear();
        }
    }

    fn item(&mut self, range: &Range<usize>) {
        self.end_leaf();
        let written = &self.builder.text[range.start..];
        let length =
            written.find(|c: char| !c.is_ascii_digit() && !".)-*+".contains(c)).unwrap_or(written.len());
        let deep = self.lists.len();
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{number}. ");
                *number += 1;
                mark
            }
            _ if deep.is_multiple_of(2) => if self.ascii { "o " } else { "◦ " }.to_owned(),
            _ => if self.ascii { "* " } else { "• " }.to_owned(),
        };
        // Of `-*` only the first is the mark.
        let length = if mark.ends_with(". ") { length } else { length.min(1) };
        self.contain(mark, range.start..range.start + length, Look::of(Tone::Bullet));
    }

    fn task(&mut self, done: bool, range: Range<usize>) {
        if let Some(Container::Item { mark, source, begun: false, .. }) = self.builder.containers.last_mut() {
            let sign = match (done, self.ascii) {
                (true, false) => "☑ ",
                (false, false) => "☐ ",
                (true, true) => "[x] ",
                (false, true) => "[ ] ",
            };
            match mark.trim_end_matches(['•', '◦', '*', 'o', ' ']) {
                "" => sign.clone_into(mark),
                number => *mark = format!("{number} {sign}"),
            }
            source.end = range.end;
        }
    }

    fn quote(&mut self, kind: Option<BlockQuoteKind>, range: &Range<usize>) {
        self.end_leaf();
        let (title, tone) = match kind {
            None => ("", Tone::Line),
            Some(BlockQuoteKind::Note) => ("Note", Tone::Note),
            Some(BlockQuoteKind::Tip) => ("Tip", Tone::Note),
            Some(BlockQuoteKind::Important) => ("Important", Tone::Note),
            Some(BlockQuoteKind::Warning) => ("Warning", Tone::Caution),
            Some(BlockQuoteKind::Caution) => ("Caution", Tone::Caution),
        };
        let deep = self.builder.containers.len() < MOST_DEEP;
        let quote = Container::Quote { tone, begun: false };
        let none = Container::Item { mark: String::new(), source: 0..0, look: Look::default(), begun: true };
        self.builder.containers.push(if deep { quote } else { none });
        if title.is_empty() {
            return;
        }
        let line = &self.builder.text[range.clone()];
        if let Some((from, to)) = line.find("[!").zip(line.find(']')).filter(|(from, to)| from < to) {
            self.builder.begin_block(range.start + from);
            let source = range.start + from..range.start + to + 1;
            self.builder.put_sign(title, source, Look::of(tone).with(Look::STRONG));
        }
    }

    fn rule(&mut self, range: &Range<usize>) {
        self.end_leaf();
        self.builder.begin_block(range.start);
        let line = "─".repeat(usize::from(self.builder.room()));
        let end = range.start + self.builder.text[range.clone()].trim_end().len();
        self.builder.put_sign(&line, range.start..end, Look::of(Tone::Line));
    }

    fn open_leaf(&mut self, from: usize) {
        if self.leaf.is_none() {
            self.leaf = Some(from);
        }
    }

    fn text(&mut self, text: &str, range: Range<usize>) {
        self.open_leaf(range.start);
        let look = self.look();
        if let Some(last) = self.pieces.last_mut()
            && last.exact
            && last.look == look
            && last.source.end == range.start
            && self.builder.text.get(range.clone()) == Some(text)
        {
            last.source.end = range.end;
            last.text = Cow::Borrowed(&self.builder.text[last.source.clone()]);
            return;
        }
        self.put_text(text, range, look);
    }

    fn put_text(&mut self, text: &str, range: Range<usize>, look: Look) {
        self.pieces.extend(inline::pieces(self.builder.text, range, text, look));
    }

    fn line_break(&mut self, range: Range<usize>) {
        self.open_leaf(range.start);
        let piece = Piece { text: Cow::Borrowed("\n"), source: range, exact: false, look: Look::default() };
        self.pieces.push(piece);
    }

    fn math(&mut self, tex: &str, range: Range<usize>, display: bool) {
        self.open_leaf(range.start);
        let look = self.look().with(Look::EMPHASIS);
        let within = &self.parsed[range.clone()];
        let start = range.start + within.find(tex).unwrap_or(0);
        let signs = math::signs(tex).filter(|signs| !signs.is_empty() && within.contains(tex));
        let Some(signs) = signs.filter(|_| !self.ascii) else {
            let source = self.builder.text;
            let piece = Piece {
                text: Cow::Borrowed(&source[range.clone()]),
                source: range,
                exact: true,
                look: self.look(),
            };
            self.pieces.push(piece);
            return;
        };
        // A formula of its own stands on rows of its own.
        let alone = display && !self.builder.text[range.clone()].starts_with("\\(");
        let decoration =
            |text| Piece { text: Cow::Borrowed(text), source: 0..0, exact: false, look: Look::default() };
        let begins = self.pieces.last().is_none_or(|last| last.text == "\n" || last.text.ends_with('\n'));
        if alone && !begins {
            self.pieces.push(decoration("\n"));
        }
        for (sign, bytes) in signs {
            let source = start + bytes.start..start + bytes.end;
            self.pieces.push(Piece { text: Cow::Owned(sign), source, exact: false, look });
        }
        let follows = self.parsed[range.end..].chars().next().is_some_and(|c| c != '\n');
        if alone && follows && self.table.is_none() {
            self.pieces.push(decoration("\n"));
        }
    }

    fn footnote_mark(&mut self, label: &str, range: Range<usize>) {
        self.open_leaf(range.start);
        let text = Cow::Owned(format!("[{label}]"));
        self.pieces.push(Piece { text, source: range, exact: false, look: Look::of(Tone::Link) });
    }

    /// Behind a link's words stands where it leads, unless the words say so.
    fn address(&mut self, range: &Range<usize>) {
        let Some((kind, address, from)) = self.links.pop() else { return };
        if address == FOOTNOTE {
            self.pieces.truncate(from);
            let label = self.builder.text[range.clone()].trim_matches(['[', ']', '^']).to_owned();
            return self.footnote_mark(&label, range.clone());
        }
        let mailbox = (kind == LinkType::Email).then(|| format!("mailto:{address}"));
        if let Some(leads) = address::safe(mailbox.as_ref().unwrap_or(&address)) {
            self.leads.push((range.start as u32..range.end as u32, leads));
        }
        let words: String = self.pieces[from..].iter().map(|piece| piece.text.as_ref()).collect();
        let said = words == address || words.is_empty() && kind == LinkType::Autolink;
        if address.is_empty() || said || matches!(kind, LinkType::Email | LinkType::Autolink) {
            return;
        }
        let look = Look::of(Tone::Muted);
        let after = self.pieces[from..].last().map_or(range.start, |piece| piece.source.end.max(range.start));
        let written = self.builder.text.get(after..range.end).unwrap_or_default();
        let decoration = |text| Piece { text: Cow::Borrowed(text), source: 0..0, exact: false, look };
        self.pieces.push(decoration(if words.is_empty() { "(" } else { " (" }));
        match written.find(address.as_str()) {
            Some(at) => {
                let source = after + at..after + at + address.len();
                let text = Cow::Borrowed(&self.builder.text[source.clone()]);
                self.pieces.push(Piece { text, source, exact: true, look });
            }
            None => self.pieces.push(Piece { text: Cow::Owned(address), source: 0..0, exact: false, look }),
        }
        self.pieces.push(decoration(")"));
    }

    /// Lays out the paragraph that was gathered.
    fn end_leaf(&mut self) {
        let Some(from) = self.leaf.take() else { return };
        let pieces = std::mem::take(&mut self.pieces);
        if self.table.is_some() {
            return;
        }
        self.builder.begin_block(from);
        self.put_pieces(&pieces);
    }

    fn put_pieces(&mut self, pieces: &[Piece<'a>]) {
        for (at, piece) in pieces.iter().enumerate() {
            if piece.text != "\n" {
                self.builder.put(piece);
                continue;
            }
            if !piece.source.is_empty() {
                self.builder.cover(piece.source.end);
            }
            if at + 1 < pieces.len() {
                self.builder.next_row();
            }
        }
        self.builder.flush();
    }

    fn begin_code(&mut self, kind: &CodeBlockKind<'_>, range: Range<usize>) {
        self.end_leaf();
        let info = match kind {
            CodeBlockKind::Fenced(info) => info.as_ref(),
            CodeBlockKind::Indented => "",
        };
        let language = info.split([' ', '\t', ',', '{']).next().unwrap_or_default().to_owned();
        self.builder.begin_block(range.start);
        self.builder.begin_code();
        let line = self.builder.text[range.clone()].lines().next().unwrap_or_default();
        if let Some(at) = line.find(&language).filter(|_| !language.is_empty()) {
            let source = range.start + at..range.start + at + language.len();
            self.builder.cover(source.start);
            self.builder.put_sign(&language, source, Look::of(Tone::Label));
        }
        let lines = usize::from(!language.is_empty());
        self.code = Some(Code { language, range, lines, open: false, html: false });
    }

    /// A line of code, or of raw HTML, each with its end.
    fn code_line(&mut self, text: &str, range: Range<usize>) {
        let Some(code) = &mut self.code else { return };
        let tone = if code.html { Tone::Muted } else { Tone::Code };
        let mut at = range.start;
        for line in text.split_inclusive('\n') {
            let written = line.trim_end_matches(['\n', '\r']);
            let source = at..(at + line.len()).min(range.end.max(at));
            let goes_on = std::mem::replace(&mut code.open, !line.ends_with('\n'));
            if goes_on && written.is_empty() {
                at = source.end;
                continue;
            }
            match (code.lines, code.html) {
                _ if goes_on => {}
                (0, true) => self.builder.begin_block(source.start),
                (0, false) => {}
                _ => {
                    let gap =
                        &self.builder.text[self.builder.covered()..source.start.max(self.builder.covered())];
                    let end = gap.find('\n').map_or(0, |end| end + 1);
                    let until = self.builder.covered() + end;
                    self.builder.cover(until);
                    self.builder.next_row();
                }
            }
            code.lines += usize::from(!goes_on);
            let exact = self.builder.text.get(source.start..source.start + written.len()) == Some(written);
            let look = Look::of(tone);
            if exact && !code.language.is_empty() && line.ends_with('\n') {
                self.lines.push(CodeLine {
                    block: code.range.start,
                    number: code.lines - 2,
                    at: source.start,
                    language: code.language.clone(),
                    code: line.to_owned(),
                });
            }
            let ended = self.builder.text[source.clone()].trim_end_matches(['\n', '\r']).len();
            let bytes = source.start..source.start + if exact { written.len() } else { ended };
            self.builder.put(&Piece { text: Cow::Borrowed(written), source: bytes, exact, look });
            at = source.end;
        }
    }

    fn lay_table(&mut self, table: &Table<'a>, range: &Range<usize>) {
        let cells: usize = table.rows.iter().map(|(_, cells)| cells.len()).sum();
        if cells > MOST_CELLS || table.rows.is_empty() {
            self.builder.begin_block(range.start);
            for line in self.builder.text[range.clone()].split_inclusive('\n') {
                let at = self.builder.covered();
                let written = line.trim_end_matches('\n');
                let source = at..at + written.len();
                self.builder.put(&Piece {
                    text: Cow::Borrowed(written),
                    source,
                    exact: true,
                    look: Look::default(),
                });
                self.builder.cover(at + line.len());
                if at + line.len() < range.end {
                    self.builder.next_row();
                }
            }
            return;
        }
        table.lay(&mut self.builder);
    }
}

/// Whether a tag is a line break, which is the only way to write one inside a table.
fn is_break(tag: &str) -> bool {
    matches!(tag.to_ascii_lowercase().as_str(), "<br>" | "<br/>" | "<br />")
}
