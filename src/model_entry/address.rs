//! Addresses as they may be shown.
//!
//! Invariant: of what can hold a key or a password nothing is left, also where the address is not a sound one, since
//! those are what messages are about.

/// A text in which of every address the part before an `@` and the query are left out.
#[must_use]
pub fn without_secrets(text: impl Into<String>) -> String {
    let text = text.into();
    if !text.contains(['@', '?']) {
        return text;
    }
    let ends =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '`' | '“' | '”' | '<' | '>');
    let words = text.split_inclusive(ends).map(|piece| {
        let word = piece.trim_end_matches(ends);
        without_query(&without_name(word)) + &piece[word.len()..]
    });
    words.collect()
}

/// A word without name and password, where it is an address; either may hold what should be escaped in it.
fn without_name(word: &str) -> String {
    let begin = word.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = word.split_at(begin);
    let Some(at) = rest.rfind('@') else { return word.to_owned() };
    let before = &rest[..at];
    // The name alone with which one is known to a host is no secret; a key may stand in its place elsewhere.
    let is_token = !matches!(scheme, "" | "ssh://") && !before.contains('/');
    if before.contains('?') {
        // Whether it stands in the query or the query in a password, who can say.
        format!("{scheme}…")
    } else if before.contains(':') || is_token {
        format!("{scheme}…{}", &rest[at..])
    } else {
        word.to_owned()
    }
}

/// A word without what follows a question mark in it, where it is an address, or what follows is `name=…`.
fn without_query(word: &str) -> String {
    let Some((address, query)) = word.split_once('?') else { return word.to_owned() };
    let punctuation = query.trim_end_matches([',', ';', ':', '.', ')', '\'']).len();
    let is_query = if address.contains("://") { punctuation > 0 } else { query.contains('=') };
    if is_query { format!("{address}?…{}", &query[punctuation..]) } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn names_passwords_and_queries_are_left_out_and_nothing_else() {
        let check = |text: &str, shown: &str| assert_eq!(without_secrets(text), shown, "{text}");
        check("no model https://me:secret@box:8080/v1; x", "no model https://…@box:8080/v1; x");
        check("\"https://secret@box\" is used", "\"https://…@box\" is used");
        check("https://me:se/c#r@e@box/v1", "https://…@box/v1");
        check("https://me:se?c@box http://box:80/v1?key=a@b", "https://… http://…");
        check("http://box/v1?key=secret#model, twice", "http://box/v1?…, twice");
        check("(me:secret@box:8080)", "…@box:8080)");
        check("box:8080/v1?key=secret", "box:8080/v1?…");
        for same in [
            "",
            "http://127.0.0.1:8080/v1#org/model",
            "is it at http://box/? or ssh me@box, ssh://me@box",
            "what? a = b",
            " two  blanks\nand a line ",
            "https://box/@me/x",
        ] {
            check(same, same);
        }
    }
}
