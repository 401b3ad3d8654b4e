//! A secret that goes with a request as its bearer: the token of a hub, the key of a server.
//!
//! Invariant: it can be sent and is never shown: it has no `Display`, its `Debug` hides it, and the header made of it is
//! marked as sensitive.

use reqwest::header::HeaderValue;

/// The shortest stretch of Base64 that is hidden, characters: shorter ones stand in other words too.
const SHORTEST: usize = 8;

/// A secret, and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    text: String,
    origin: String,
}

impl Bearer {
    /// `None` if it is empty or cannot stand in a header. `origin` says where it is from.
    pub fn new(text: &str, origin: &str) -> Option<Self> {
        let text = text.trim();
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| Self { text: text.to_owned(), origin: origin.to_owned() })
    }

    /// Where it is from, for a sentence.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The header that it goes in.
    pub fn header(&self) -> HeaderValue {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.text)).expect("only graphic ASCII passes new");
        value.set_sensitive(true);
        value
    }

    /// A text of somebody else's without it, also where it is written as in an address, in JSON or in Base64.
    pub fn hidden_in(&self, text: &str) -> String {
        let written = [
            self.text.clone(),
            self.text.replace('/', "\\/"),
            escaped(&self.text, true),
            escaped(&self.text, false),
        ];
        // In Base64 three bytes become four signs, so that what stands before decides which.
        let encoded = (0..3).flat_map(|before| [false, true].map(|url| encoded(&self.text, before, url)));
        let encoded = encoded.filter(|form| form.len() >= SHORTEST);
        written.into_iter().chain(encoded).fold(text.to_owned(), |text, form| text.replace(&form, "…"))
    }
}

/// As it stands in an address.
fn escaped(text: &str, capitals: bool) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if capitals => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(escape).collect()
}

/// The signs of Base64 that a text alone decides where so many bytes stand before it, in the alphabet for addresses or the
/// other one.
fn encoded(text: &str, before: usize, url: bool) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    let last = if url { ['-', '_'] } else { ['+', '/'] };
    let bits: Vec<u8> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    // The first sign that begins inside the text begins there at this bit.
    let skipped = [0, 4, 2][before];
    let signs = bits.get(skipped..).unwrap_or_default().chunks_exact(6);
    let sign = |bits: &[u8]| {
        let at = bits.iter().fold(0_usize, |sum, bit| sum * 2 + usize::from(*bit));
        alphabet.get(at).copied().unwrap_or_else(|| last[at - alphabet.len()])
    };
    signs.map(sign).collect()
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::Bearer;

    #[test]
    fn a_secret_is_hidden_however_it_is_written() {
        let secret = Bearer::new("sk-9f+Q/x=7bTw", "X").unwrap();
        for text in [
            "sk-9f+Q/x=7bTw",
            "sk-9f+Q\\/x=7bTw",
            "sk-9f%2BQ%2Fx%3D7bTw",
            "sk-9f%2bQ%2fx%3d7bTw",
            // Alone, behind `Bearer `, behind `x:`.
            "c2stOWYrUS94PTdiVHc=",
            "QmVhcmVyIHNrLTlmK1EveD03YlR3",
            "eDpzay05ZitRL3g9N2JUdw==",
        ] {
            let hidden = secret.hidden_in(&format!("<{text}>"));
            let left: String = hidden.chars().filter(|c| *c != '…').collect();
            assert!(left.len() < 16 && hidden.contains('…'), "{text}: {hidden}");
        }
        assert_eq!(secret.hidden_in("sk-9 and others stay"), "sk-9 and others stay");
        let odd = Bearer::new("????>>>>", "X").unwrap();
        assert_eq!([odd.hidden_in("Pz8/Pz4+Pj4="), odd.hidden_in("Pz8_Pz4-Pj4=")], ["…4=", "…4="]);
    }
}
