//! `server = "…"` of a `[[models]]` entry: where a model is asked that a server runs, and where its key is found.
//!
//! Invariant: no warning repeats an address or a key, since either may be the secret that should not stand there.

use super::checks::{anything, not_empty};
use super::document::{MODEL_LEFT_OUT as LEFT_OUT, Section, beside};
use crate::model_entry::{Key, Server};

/// What is warned of where an address is far and not encrypted; it is used all the same.
pub(super) const OVERHEARD: &str = "http:// to a machine outside of your network: everything said, the key too, can be \
                                    read on the way; use https://, or a tunnel";

/// What belongs to a server alone.
const OF_SERVERS: [&str; 4] = ["id", "api", "key_env", "key_file"];

const WRITE_NO_KEY: &str = "a key is not written here: put it into the environment and name it by key_env = \"NAME\", \
                            or into a file that only you can read and name that by key_file = \"path\"";

/// The entry's server. What is wrong has been warned about when an entry has one and this is `None`.
pub(super) fn server(section: &mut Section) -> Option<Server> {
    let address = section.raw("server").map(|value| value.get_ref().as_str());
    let id = section.take("id", LEFT_OUT, not_empty);
    let api = section.take("api", LEFT_OUT, anything);
    let key = key(section);
    let Some(address) = address else {
        for name in OF_SERVERS {
            if section.has(name) {
                warn(section, name, "belongs to a model with server = \"https://…\"");
            }
        }
        return None;
    };
    let Some(address) = address else {
        warn(section, "server", "must be a text in quotes");
        return None;
    };
    match Server::at(address) {
        Ok(server) => Some(Server { id: id.or(server.id), api: api.unwrap_or_default(), key, ..server }),
        Err(must) => {
            warn(section, "server", must);
            None
        }
    }
}

fn key(section: &mut Section) -> Option<Key> {
    for name in ["key", "api_key", "token"] {
        if section.raw(name).is_some() {
            warn(section, name, WRITE_NO_KEY);
        }
    }
    let env = section.raw("key_env").map(|value| value.get_ref().as_str().filter(|name| is_variable(name)));
    if env == Some(None) {
        // What is no name may be the key itself.
        warn(section, "key_env", "must be the name of a variable of the environment, and not the key");
    }
    let file = section.take("key_file", LEFT_OUT, not_empty);
    if env.is_some() && file.is_some() {
        warn(section, "key_file", "there is a key_env already; a key is in one place");
    }
    let file = file.map(|file: String| Key::File(beside(section.report.file(), &file)));
    env.flatten().map(|name| Key::Env(name.to_owned())).or(file)
}

fn is_variable(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(fine) && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn warn(section: &mut Section, key: &str, message: &str) {
    let (at, dotted) = (section.start_of(key), section.dotted(key));
    section.report.warn(at, &dotted, format!("{message}; {LEFT_OUT}"));
}
