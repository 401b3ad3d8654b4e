//! What somebody looks for in all chats: words, and filters such as `role:user` or `after:2026-01-01`.
//!
//! Invariant: only a known filter with a value that it can have is one; everything else is looked for as it stands.

use jiff::civil::Date;

use crate::chat::Role;
use crate::fold::fold;

/// The filters, for those who ask what there is.
pub const FILTERS: &str = "role:user  model:NAME  after:2026-01-01  before:2026-02  tag:NAME";

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The words, folded; all of them must be there.
    pub words: Vec<String>,
    /// The words as one stretch, folded.
    pub phrase: String,
    /// Who speaks.
    pub role: Option<Role>,
    /// Parts of the name of the model that wrote it, in small letters.
    pub models: Vec<String>,
    /// Tags of the chat, in small letters.
    pub tags: Vec<String>,
    /// Not before the beginning of this day.
    pub after: Option<Date>,
    /// Before the beginning of this day.
    pub before: Option<Date>,
}

impl Query {
    /// Reads what was typed.
    #[must_use]
    pub fn read(typed: &str) -> Self {
        let mut query = Self::default();
        let words: Vec<&str> = typed.split_whitespace().filter(|word| !query.take_filter(word)).collect();
        fold(&words.join(" ")).trim().clone_into(&mut query.phrase);
        query.words = query.phrase.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        query
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes a word that is a filter; whether it is one.
    fn take_filter(&mut self, word: &str) -> bool {
        let Some((key, value)) = word.split_once(':').filter(|(_, value)| !value.is_empty()) else {
            return false;
        };
        match key {
            "role" => match role(value) {
                Some(role) => self.role = Some(role),
                None => return false,
            },
            "model" => self.models.push(value.to_lowercase()),
            "tag" => self.tags.push(value.trim_start_matches('#').to_lowercase()),
            "after" | "before" => match day(value) {
                Some(day) if key == "after" => self.after = Some(day),
                Some(day) => self.before = Some(day),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

fn role(name: &str) -> Option<Role> {
    match name.to_lowercase().as_str() {
        "user" | "me" => Some(Role::User),
        "assistant" | "model" | "reply" => Some(Role::Assistant),
        "system" => Some(Role::System),
        _ => None,
    }
}

/// The first day of a year, of a month, or a day: `2026`, `2026-01`, `2026-01-31`.
fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let mut part = || parts.next().map_or(Some(1), |part| part.parse().ok());
    let (month, day) = (part()?, part()?);
    if parts.next().is_some() { None } else { Date::new(year, month, day).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_taken_out_of_the_words() {
        let query =
            Query::read("Grüße role:user model:SmolLM  after:2026-01-02 before:2027 tag:#Work an  alle");
        let expected = Query {
            words: vec!["gruße".replace('ß', "ss"), "an".into(), "alle".into()],
            phrase: "grusse an alle".into(),
            role: Some(Role::User),
            models: vec!["smollm".into()],
            tags: vec!["work".into()],
            after: Date::new(2026, 1, 2).ok(),
            before: Date::new(2027, 1, 1).ok(),
        };
        assert_eq!(query, expected);
    }

    #[test]
    fn what_is_no_filter_is_looked_for() {
        for text in ["role:king", "after:soon", "after:2026-13", "text:quick", "tag:", "std::fs", "a:b"] {
            assert_eq!(Query::read(text).words, [text], "{text}");
        }
        assert!(Query::read("  ").is_empty() && !Query::read("role:me").is_empty());
    }
}
