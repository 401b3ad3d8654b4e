//! Where keys stand in a configuration's text, for faults that are found once all of it is read.
//!
//! Invariant: a key that is not there has line 0, as has every key of a text that is no TOML.

use toml::de::DeTable;

use super::document::position;

/// A configuration's text with its keys.
pub struct Lines<'t> {
    text: &'t str,
    top: DeTable<'t>,
}

impl<'t> Lines<'t> {
    /// Of a text.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        let top = DeTable::parse(text).map(toml::Spanned::into_inner).unwrap_or_default();
        Self { text, top }
    }

    /// Of a key by its dotted name.
    #[must_use]
    pub fn key(&self, dotted: &str) -> usize {
        let (tables, key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
        let mut names = tables.split('.').filter(|name| !name.is_empty());
        let holder = names.try_fold(&self.top, |table, name| table.get(name)?.get_ref().as_table());
        holder.map_or(0, |table| self.line(table, key))
    }

    /// Of a key of the model's entry of that name; of its name where the key is not there.
    #[must_use]
    pub fn of_model(&self, name: &str, key: &str) -> usize {
        let list = self.top.get("models").and_then(|models| models.get_ref().as_array());
        let mut tables =
            list.into_iter().flat_map(|list| list.iter()).filter_map(|item| item.get_ref().as_table());
        let is =
            |table: &&DeTable<'_>| table.get("name").and_then(|other| other.get_ref().as_str()) == Some(name);
        tables.find(is).map_or(0, |table| match self.line(table, key) {
            0 => self.line(table, "name"),
            line => line,
        })
    }

    fn line(&self, table: &DeTable<'_>, key: &str) -> usize {
        let key = table.keys().find(|other| other.get_ref() == key);
        key.map_or(0, |key| position(self.text, key.span().start).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_tables_of_every_form() {
        let lines = Lines::of(
            "model = \"a\"\nui.theme = \"b\"\n[engine]\n\nthreads = 2\n[[models]]\nname = \"c\"\nserver = { key_file = \"k\" }\n",
        );
        let of = ["model", "ui.theme", "engine.threads", "engine.batch", "nothing.at.all"];
        assert_eq!(of.map(|key| lines.key(key)), [1, 2, 5, 0, 0]);
        let of = [("c", "server"), ("c", "lora"), ("d", "server")];
        assert_eq!(of.map(|(name, key)| lines.of_model(name, key)), [8, 7, 0]);
        assert_eq!(Lines::of("model = = 1").key("model"), 0);
    }
}
