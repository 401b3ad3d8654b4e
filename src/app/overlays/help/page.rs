//! What the help says of a station or a panel, read from the Markdown page beside it: a few plain sentences, the formulas
//! and their sources, words, what is not shown.
//!
//! Invariant: keys are commands, never names of keys; a page has all its parts, which the tests hold.

use crate::command::Command;

/// A page. `{tokens}` and `{even}` stand for the size of the vocabulary and its bits, which drawing fills in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Its name.
    pub title: String,
    /// What it is, in plain sentences.
    pub plain: String,
    /// The formulas, and where each comes from.
    pub formulas: Vec<(String, String)>,
    /// Words of the station and what they mean.
    pub terms: Vec<(String, String)>,
    /// What it does not show.
    pub absent: String,
    /// Its keys.
    pub keys: Vec<(Command, String)>,
}

/// The keys that do the same in every pane.
pub(super) const EVERYWHERE: &[(Command, &str)] = &[
    (Command::Send, "send"),
    (Command::Escape, "stop, close"),
    (Command::FocusNext, "focus"),
    (Command::Palette, "commands"),
    (Command::Help, "help"),
    (Command::ExportStation, "station to a file"),
    (Command::Tour, "tour"),
];

/// The page of the steering panel.
pub(super) const STEERING: &str = include_str!("steering.md");

impl Page {
    /// Reads a page: a title, sentences, and under headings lists or sentences.
    pub fn read(markdown: &str) -> Self {
        let mut page = Self::default();
        let mut sections = markdown.split("\n## ");
        let (title, plain) = sections.next().and_then(|head| head.split_once('\n')).unwrap_or_default();
        page.title = title.trim_start_matches("# ").into();
        page.plain = joined(plain);
        for (heading, body) in sections.filter_map(|section| section.split_once('\n')) {
            match heading {
                "Formulas" => page.formulas = items(body, '`'),
                "Words" => page.terms = items(body, '*'),
                "Not shown" => page.absent = joined(body),
                "Keys" => {
                    let named = |(name, does): (String, String)| Some((Command::named(&name)?, does));
                    page.keys = items(body, '`').into_iter().filter_map(named).collect();
                }
                _ => {}
            }
        }
        page
    }
}

/// Wrapped lines as one.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The items of a list, each a marked name and what is said of it; blanks within the name stay.
pub(super) fn items(body: &str, mark: char) -> Vec<(String, String)> {
    let list = format!("\n{}", body.trim());
    let item = |text: &str| {
        let (name, said) = text.trim_start_matches(mark).split_once(mark)?;
        Some((name.to_owned(), joined(said.trim_start_matches([mark, ':']))))
    };
    list.split("\n- ").skip(1).filter_map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Station;

    #[test]
    fn every_station_has_a_page_with_all_its_parts() {
        let pages = Station::ALL.map(|station| (station.about().title, station.about().page));
        for (title, markdown) in pages.into_iter().chain([("Steering", STEERING)]) {
            let page = Page::read(markdown);
            assert_eq!(page.title, title);
            let parts = [&page.plain, &page.absent].map(|text| !text.is_empty());
            assert_eq!((parts, page.terms.is_empty()), ([true, true], false), "{title}");
            assert!(!page.formulas.is_empty(), "{title}");
            let listed = markdown.split("\n## Keys\n").nth(1).unwrap_or_default().matches("\n- ").count();
            assert_eq!(
                (page.keys.len(), listed > 0),
                (listed, true),
                "{title} names a command that there is not"
            );
        }
    }

    #[test]
    fn a_page_is_its_markdown() {
        let page = Page::read(
            "# Title\n\nPlain\nwords.\n\n## Formulas\n\n- `a  b: c`: who 1990\n- `d`\n\n## Words\n\n- **one**: what\n  it is: \
             this\n\n## Not shown\n\nmuch\n\n## Keys\n\n- `hold`: keep it\n- `nothing`: lost\n",
        );
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            page,
            Page {
                title: "Title".into(),
                plain: "Plain words.".into(),
                formulas: vec![pair("a  b: c", "who 1990"), pair("d", "")],
                terms: vec![pair("one", "what it is: this")],
                absent: "much".into(),
                keys: vec![(Command::Hold, "keep it".into())],
            }
        );
    }
}
