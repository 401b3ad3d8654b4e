//! The access token for gated repositories, and where it is from.
//!
//! Invariant: a token is never shown ([`Bearer`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

use crate::bearer::Bearer;

/// The variable that a token is given by.
const VARIABLE: &str = "HF_TOKEN";

/// An access token of the hub; from `HF_TOKEN`, or the file it is kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Bearer);

/// What was found where tokens are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The token that is sent.
    pub token: Option<Token>,
    /// What is there and is no token, in a sentence.
    pub note: Option<String>,
}

impl Token {
    /// `None` if it is empty or cannot stand in a header. `origin` says where it is from.
    pub fn new(text: &str, origin: &str) -> Option<Self> {
        Bearer::new(text, origin).map(Self)
    }

    /// From `HF_TOKEN`, else from the file that the hub's own tools keep it in.
    pub fn from_env() -> Found {
        find(std::env::var_os(VARIABLE), token_file().as_deref())
    }

    /// Where it is from, for a sentence.
    pub fn origin(&self) -> &str {
        self.0.origin()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.header()
    }
}

/// The variable's token, else the file's; what is there and cannot be one is said.
fn find(variable: Option<OsString>, file: Option<&Path>) -> Found {
    let mut note = None;
    let mut sound = |text: &str, origin: String| {
        let token = Token::new(text, &origin);
        if token.is_none() && !text.trim().is_empty() {
            note.get_or_insert_with(|| no_token(&origin));
        }
        token
    };
    let given = variable.map(|text| text.to_string_lossy().into_owned());
    let mut token = given.and_then(|text| sound(&text, VARIABLE.to_owned()));
    if token.is_none()
        && let Some(file) = file
        && let Ok(text) = std::fs::read_to_string(file)
    {
        token = sound(&text, file.display().to_string());
    }
    Found { token, note }
}

fn no_token(origin: &str) -> String {
    format!(
        "{origin} holds no access token (a token has no blanks, line breaks or accents), so it is not sent"
    )
}

fn token_file() -> Option<PathBuf> {
    let set = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_TOKEN_PATH")
        .or_else(|| set("HF_HOME").map(|home| home.join("token")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/token")))
        .or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".cache/huggingface/token")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_hidden() {
        let token = Token::new(" hf_secret\n", VARIABLE).unwrap();
        assert_eq!(token.header(), "Bearer hf_secret");
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token(…) Sensitive");
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        for text in ["", "  \n", "a b", "a\nb", "ä"] {
            assert_eq!(Token::new(text, VARIABLE), None, "{text:?}");
        }
    }

    #[test]
    fn a_token_says_where_it_is_from_and_what_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_file\r\n").unwrap();
        let found = |variable: Option<&str>, file| find(variable.map(OsString::from), file);
        let origin = |found: &Found| found.token.as_ref().map(|token| token.origin().to_owned());

        assert_eq!(found(None, None), Found::default());
        let both = found(Some("hf_variable\n"), Some(&file));
        assert_eq!((origin(&both), both.note), (Some("HF_TOKEN".to_owned()), None));
        let kept = found(Some(""), Some(&file));
        assert_eq!((origin(&kept), kept.note), (Some(file.display().to_string()), None));
        // One that cannot be sent does not hide the other, and is not passed over in silence.
        for broken in ["hf_a hf_b", "hf_a\nhf_b", "hf_ä"] {
            let both = found(Some(broken), Some(&file));
            assert_eq!(origin(&both), Some(file.display().to_string()));
            let note = both.note.unwrap();
            assert!(note.starts_with("HF_TOKEN holds no access token") && !note.contains("hf_"), "{note}");
        }
        std::fs::write(&file, "two words").unwrap();
        assert!(found(None, Some(&file)).note.unwrap().starts_with(&file.display().to_string()));
    }
}
