//! Untrusted text made safe to show: what a model, a file name or a server says, as clusters of cells.
//!
//! Invariant: nothing that comes out holds a control character, a bidirectional control or a stray tag
//! character, and the sources of the clusters cover the text in order, without gap or overlap. The raw
//! text is what is stored; this is for the screen, for titles and for what leaves the app as text.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cells from one tab stop to the next.
pub const TAB_STOP: usize = 4;
/// Combining marks that one cluster may carry; the rest is not shown.
pub const MOST_MARKS: usize = 8;
/// Emoji that may be joined into one cluster; the longest in use are four.
const MOST_JOINED: usize = 10;
/// Tag characters that may follow 🏴; a subdivision flag has at most six and an end.
const MOST_FLAG_TAGS: usize = 7;
const BLACK_FLAG: char = '\u{1F3F4}';
const JOINER: char = '\u{200D}';
const NON_JOINER: char = '\u{200C}';

/// What a cluster shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A character as it is, or `␛` in place of a control character.
    Text,
    /// A blank, or a tab as blanks up to its stop: a line may be broken after it.
    Space,
    /// The end of a line; shows nothing.
    Newline,
    /// Something without a shape (zero-width space, byte order mark…); shows nothing.
    Hidden,
    /// A character that must not act, by its name: `⟨U+202E⟩`, `⟨tag⟩`. One cell per `char`.
    Revealed,
}

/// The smallest unit of display, with the source it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster<'a> {
    /// Bytes of the text.
    pub source: Range<usize>,
    /// What to draw; empty for [`Kind::Newline`] and [`Kind::Hidden`].
    pub shown: Cow<'a, str>,
    /// Cells it takes: 1 or 2 for text, 1 to [`TAB_STOP`] for blanks, one per `char` where revealed.
    pub width: u8,
    /// What it is.
    pub kind: Kind,
    /// Whether the text could be cut before it without changing any other cluster.
    pub fresh: bool,
}

/// The clusters of a text that begins a line.
pub fn clusters(text: &str) -> Clusters<'_> {
    clusters_from(text, 0)
}

/// The clusters of a text that begins `column` cells into its line (for tab stops).
pub fn clusters_from(text: &str, column: usize) -> Clusters<'_> {
    Clusters { text, at: 0, column, queue: VecDeque::new() }
}

/// Cells that a sanitised text takes, as ratatui counts them.
pub fn cell_width(shown: &str) -> usize {
    let sound_marks = shown.chars().filter(|c| matches!(c, '\u{FF9E}' | '\u{FF9F}')).count();
    match shown.len() {
        1 => 1,
        _ => shown.width() + sound_marks,
    }
}

/// One line that is safe to show: for titles, names, notices, messages of servers.
pub fn for_display(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for cluster in clusters(text) {
        match cluster.kind {
            Kind::Space | Kind::Newline => shown.push(' '),
            Kind::Hidden => {}
            Kind::Text | Kind::Revealed => shown.push_str(&cluster.shown),
        }
    }
    shown
}

/// Text that may leave the app: to the clipboard, a terminal, an export. Keeps lines, tabs and the characters without a
/// shape that scripts need; all else that could act, or is not seen, is there by its name.
pub fn for_copy(text: &str) -> String {
    let mut copied = String::with_capacity(text.len());
    let mut marks = 0;
    let mut flag_tags = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if is_tag(c) {
            match flag_tags {
                Some(before) if before < MOST_FLAG_TAGS => {
                    flag_tags = Some(before + 1);
                    copied.push(c);
                }
                _ => copied.push_str("⟨tag⟩"),
            }
            continue;
        }
        flag_tags = (c == BLACK_FLAG).then_some(0);
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\u{2028}' | '\u{2029}' => copied.push('\n'),
            '\t' => copied.push('\t'),
            c if c.is_control() || is_bidi(c) => copied.push_str(&revealed(c)),
            // What has no shape may stand between a letter and its marks, and ends neither.
            JOINER | NON_JOINER => {
                copied.push(c);
                continue;
            }
            c if is_of_script(c) => {
                copied.push(c);
                continue;
            }
            // What no script needs would be gone without a word.
            c if is_formless(c) => {
                copied.push_str(&revealed(c));
                continue;
            }
            c if c.width() == Some(0) => {
                marks += 1;
                if marks <= MOST_MARKS {
                    copied.push(c);
                }
                continue;
            }
            c => copied.push(c),
        }
        marks = 0;
    }
    copied
}

/// Iterator over the clusters of a text; see [`clusters`].
#[derive(Clone, Debug)]
pub struct Clusters<'a> {
    text: &'a str,
    at: usize,
    column: usize,
    queue: VecDeque<Cluster<'a>>,
}

impl<'a> Iterator for Clusters<'a> {
    type Item = Cluster<'a>;

    fn next(&mut self) -> Option<Cluster<'a>> {
        if self.queue.is_empty() {
            self.read();
        }
        let cluster = self.queue.pop_front()?;
        self.column = match cluster.kind {
            Kind::Newline => 0,
            _ => self.column + usize::from(cluster.width),
        };
        Some(cluster)
    }
}

impl<'a> Clusters<'a> {
    fn read(&mut self) {
        let bytes = &self.text.as_bytes()[self.at..];
        let Some(&first) = bytes.first() else { return };
        // ASCII before ASCII is a cluster of its own, and most text.
        let length = match (first, bytes.get(1)) {
            (b' '..=b'~', None | Some(..=0x7F)) => 1,
            _ => self.text[self.at..].graphemes(true).next().map_or(bytes.len(), str::len),
        };
        let start = self.at;
        self.at += length;
        let grapheme = &self.text[start..self.at];
        let single = |shown: Cow<'a, str>, width: usize, kind| Cluster {
            source: start..start + length,
            shown,
            width: width as u8,
            kind,
            fresh: true,
        };
        let cluster = match grapheme {
            " " => single(Cow::Borrowed(" "), 1, Kind::Space),
            "\t" => {
                let width = TAB_STOP - self.column % TAB_STOP;
                single(Cow::Borrowed(&"    "[..width]), width, Kind::Space)
            }
            "\n" | "\r\n" | "\u{2028}" | "\u{2029}" => single(Cow::Borrowed(""), 0, Kind::Newline),
            _ => match grapheme.chars().next().filter(|c| c.is_control() || is_bidi(*c)) {
                Some(c) => {
                    let name = revealed(c);
                    let width = name.chars().count();
                    let kind = if width == 1 { Kind::Text } else { Kind::Revealed };
                    single(Cow::Owned(name), width, kind)
                }
                None if length == 1 => single(Cow::Borrowed(grapheme), 1, Kind::Text),
                None => return self.split(start, grapheme),
            },
        };
        self.queue.push_back(cluster);
    }

    /// A grapheme without controls as clusters: usually one, several where it would be too wide for a cell
    /// pair or holds tags.
    fn split(&mut self, start: usize, grapheme: &'a str) {
        let mut parts =
            Parts { clusters: &mut self.queue, whole: grapheme, offset: start, part: Part::at(0) };
        let mut chars = grapheme.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            parts.push(at, c, next);
        }
        parts.flush();
    }
}

/// A cluster being put together.
struct Part {
    /// Bytes of the grapheme.
    range: Range<usize>,
    shown: String,
    marks: usize,
    bases: usize,
    /// Tags that are not part of a flag.
    tags: bool,
    /// Tags after 🏴.
    flag_tags: usize,
}

impl Part {
    fn at(start: usize) -> Self {
        Self { range: start..start, shown: String::new(), marks: 0, bases: 0, tags: false, flag_tags: 0 }
    }
}

struct Parts<'q, 'a> {
    clusters: &'q mut VecDeque<Cluster<'a>>,
    whole: &'a str,
    offset: usize,
    part: Part,
}

impl Parts<'_, '_> {
    fn push(&mut self, at: usize, c: char, next: Option<char>) {
        let end = at + c.len_utf8();
        if is_tag(c) {
            let room = self.part.flag_tags < MOST_FLAG_TAGS;
            if self.part.shown.starts_with(BLACK_FLAG) && !self.part.tags && room {
                self.part.flag_tags += 1;
                self.part.shown.push(c);
            } else {
                if !self.part.tags {
                    self.flush();
                    self.part.tags = true;
                }
                self.part.shown.clear();
                self.part.shown.push_str("⟨tag⟩");
            }
            self.part.range.end = end;
            return;
        }
        if self.part.tags {
            self.flush();
        }
        let joins = c == JOINER && next.is_some_and(|next| !next.is_alphabetic() && next.width() > Some(0));
        if joins {
            self.part.shown.push(c);
        } else if is_formless(c) {
            // Covered by the source of this part, shown by nothing.
        } else if c.width() == Some(0) && self.part.bases > 0 {
            self.part.marks += 1;
            if self.part.marks <= MOST_MARKS {
                self.part.shown.push(c);
            }
        } else {
            let length = self.part.shown.len();
            self.part.shown.push(c);
            if self.part.bases > 0 && (self.part.bases == MOST_JOINED || cell_width(&self.part.shown) > 2) {
                self.part.shown.truncate(length);
                self.flush();
                self.part.shown.push(c);
            }
            self.part.bases += 1;
        }
        self.part.range.end = end;
    }

    fn flush(&mut self) {
        if self.part.range.is_empty() {
            return;
        }
        let end = self.part.range.end;
        let part = std::mem::replace(&mut self.part, Part::at(end));
        let source = self.offset + part.range.start..self.offset + part.range.end;
        let raw = &self.whole[part.range.clone()];
        let (shown, kind) = match part.shown {
            shown if shown.is_empty() => (Cow::Borrowed(""), Kind::Hidden),
            shown if part.tags => (Cow::Owned(shown), Kind::Revealed),
            shown if cell_width(&shown) == 0 => (Cow::Owned(format!("◌{shown}")), Kind::Text),
            shown if shown == raw => (Cow::Borrowed(raw), Kind::Text),
            shown => (Cow::Owned(shown), Kind::Text),
        };
        let (shown, kind) = match cell_width(&shown) {
            3.. if kind == Kind::Text => {
                (Cow::Owned(raw.chars().take(1).map(named).collect()), Kind::Revealed)
            }
            _ => (shown, kind),
        };
        let width = match kind {
            Kind::Revealed => shown.chars().count(),
            _ => cell_width(&shown),
        };
        self.clusters.push_back(Cluster {
            source,
            shown,
            width: width as u8,
            kind,
            fresh: part.range.start == 0,
        });
    }
}

/// `␛` for ESC and its like, `⟨U+009B⟩` for what has no picture.
fn revealed(c: char) -> String {
    match c {
        '\0'..='\u{1F}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�').to_string(),
        '\u{7F}' => "␡".to_owned(),
        c => named(c),
    }
}

fn named(c: char) -> String {
    format!("⟨U+{:04X}⟩", u32::from(c))
}

/// Controls that turn the direction of text around.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0000}'..='\u{E007F}')
}

/// Characters without a shape of their own, dropped in display.
fn is_formless(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2065}'
        | '\u{206A}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// Those of them that scripts are written with: where words end in Khmer and Thai, which way a mark belongs in Hebrew
/// and Arabic, where a word may be broken.
fn is_of_script(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2060}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        clusters(text).map(|cluster| cluster.shown.into_owned()).collect()
    }

    fn acts(c: char) -> bool {
        c.is_control()
            || is_bidi(c)
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{61C}')
    }

    #[test]
    fn marks_that_leave_are_few_also_where_something_without_a_shape_is_between_them() {
        for between in ["", "\u{feff}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{ad}", "\u{200e}"] {
            let copied = for_copy(&format!("e{}x", format!("{}{between}", "\u{301}".repeat(6)).repeat(50)));
            let marks = copied.chars().filter(|c| *c == '\u{301}').count();
            assert_eq!(marks, MOST_MARKS, "with {between:?} between: {copied:?}");
        }
        assert_eq!(for_copy("e\u{301}\u{200b}e\u{301}"), "e\u{301}\u{200b}e\u{301}");
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected, "for {text:?}");
        check("a\u{1B}[2Jb", "a␛[2Jb");
        check("\u{7}\0\u{8}\r\u{7F}", "␇␀␈␍␡");
        check("a\u{9B}2J", "a⟨U+009B⟩2J");
        check("b\tc", "b   c");
        check("\tabcd\te", "    abcd    e");
        check("a\u{202E}b\u{2066}", "a⟨U+202E⟩b⟨U+2066⟩");
        check("a\u{200B}b\u{200E}\u{FEFF}c\u{AD}d\u{200D}", "abcd");
        check("👩\u{200D}🚀", "👩\u{200D}🚀");
        check("a\u{E0041}\u{E0042}b", "a⟨tag⟩b");
        check("\u{E0001}x", "⟨tag⟩x");
        check(
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
        );
        check("न\u{94D}\u{200C}न", "न\u{94D}न");
        check("\u{301}x", "◌\u{301}x");
    }

    #[test]
    fn marks_are_cut_at_eight_but_their_bytes_are_covered() {
        let text = format!("e{}x", "\u{301}".repeat(100_000));
        let all: Vec<_> = clusters(&text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].shown.chars().count(), 1 + MOST_MARKS);
        assert_eq!(all[0].source, 0..200_001);
        assert_eq!(for_copy(&text).chars().count(), 2 + MOST_MARKS);
    }

    #[test]
    fn smuggled_text_after_a_flag_is_revealed() {
        let text = format!("🏴{}", "\u{E0041}".repeat(40));
        assert!(shown(&text).ends_with("⟨tag⟩"));
        assert!(for_copy(&text).ends_with("⟨tag⟩"));
    }

    #[test]
    fn lines_end_at_every_sort_of_line_break() {
        let count = |text| clusters(text).filter(|c| c.kind == Kind::Newline).count();
        assert_eq!(count("a\nb\r\nc\u{2028}d\u{2029}e"), 4);
        assert_eq!(for_display("a\r\nb"), "a b");
        assert_eq!(for_copy("a\r\nb\u{2028}c\td"), "a\nb\nc\td");
    }

    #[test]
    fn copies_keep_what_scripts_need_and_disarm_the_rest() {
        assert_eq!(for_copy("می\u{200C}خواهم"), "می\u{200C}خواهم");
        assert_eq!(for_copy("\u{1B}]52;c;x\u{7}\u{202E}\r"), "␛]52;c;x␇⟨U+202E⟩␍");
        assert_eq!(for_copy("ភាសា\u{200B}ខ្មែរ שלום\u{200F}!"), "ភាសា\u{200B}ខ្មែរ שלום\u{200F}!");
        assert_eq!(for_copy("a\u{FEFF}\u{2066}b\u{206A}"), "a⟨U+FEFF⟩⟨U+2066⟩b⟨U+206A⟩");
    }

    #[test]
    fn widths_are_those_of_the_terminal() {
        let widths = |text| clusters(text).map(|c| c.width).collect::<Vec<_>>();
        assert_eq!(widths("aé字👩\u{200D}🚀🇫🇷"), [1, 1, 2, 2, 2]);
        assert_eq!(widths("\u{1100}\u{1100}\u{1161}"), [2, 2]);
        assert_eq!(widths("\u{17D8}"), [8]);
    }

    fn nasty() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[ -~]{1,6}",
            prop::sample::select(vec![
                "\u{1B}[31m",
                "\u{202E}",
                "\u{2067}",
                "\u{200D}",
                "\u{200B}",
                "\u{301}",
                "\u{E0041}",
                "🏴",
                "👩",
                "🚀",
                "🇫",
                "字",
                "ﾊ",
                "\u{FF9E}",
                "\u{94D}",
                "न",
                "\r",
                "\n",
                "\t",
                "\u{2028}",
                "\u{9B}",
                "\u{FE0F}",
                "❤",
                "\u{1100}",
                "\u{1161}",
                "\u{17D8}",
                "ل",
                "ا",
                "\u{600}",
            ])
            .prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_out(text in nasty()) {
            prop_assert!(!shown(&text).chars().any(acts));
            prop_assert!(!for_display(&text).chars().any(acts));
            let kept = |c| matches!(c, '\n' | '\t') || is_of_script(c);
            prop_assert!(!for_copy(&text).chars().any(|c| acts(c) && !kept(c)));
        }

        #[test]
        fn sources_cover_the_text_in_order(text in nasty()) {
            let mut at = 0;
            for cluster in clusters(&text) {
                prop_assert_eq!(cluster.source.start, at);
                prop_assert!(cluster.source.end > at);
                at = cluster.source.end;
            }
            prop_assert_eq!(at, text.len());
        }

        #[test]
        fn a_cluster_fits_its_cells(text in nasty()) {
            for cluster in clusters(&text) {
                match cluster.kind {
                    Kind::Newline | Kind::Hidden => prop_assert!(cluster.shown.is_empty() && cluster.width == 0),
                    Kind::Text => {
                        prop_assert!((1..=2).contains(&cluster.width), "{:?}", cluster);
                        prop_assert_eq!(cell_width(&cluster.shown), usize::from(cluster.width));
                    }
                    Kind::Space => prop_assert!((1..=TAB_STOP).contains(&usize::from(cluster.width))),
                    Kind::Revealed => prop_assert_eq!(cluster.shown.chars().count(), usize::from(cluster.width)),
                }
            }
        }

        #[test]
        fn text_may_be_cut_before_a_fresh_cluster(text in nasty()) {
            let all: Vec<_> = clusters(&text).collect();
            let mut column = 0;
            for (index, cluster) in all.iter().enumerate() {
                if cluster.fresh {
                    let at = cluster.source.start;
                    let rest: Vec<_> = clusters_from(&text[at..], column).map(|mut c| {
                        c.source = c.source.start + at..c.source.end + at;
                        c
                    }).collect();
                    prop_assert_eq!(&rest[..], &all[index..]);
                }
                column = if cluster.kind == Kind::Newline { 0 } else { column + usize::from(cluster.width) };
            }
        }
    }
}
