//! A model that a server runs: where it is asked, in which of the known ways, and with which key.
//!
//! Invariant: a key itself never stands here, only where it is found; an entry can be stored, shown and sent on.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a model is asked that a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The address, as far as the paths have in common, e.g. `http://127.0.0.1:8080/v1`.
    pub address: String,
    /// What the server calls the model; `None` is the only one or the first that it names.
    #[serde(default)]
    pub id: Option<String>,
    /// How it is asked.
    #[serde(default)]
    pub api: Api,
    /// Where the key is found, where one is needed.
    #[serde(default)]
    pub key: Option<Key>,
}

/// Where a key is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// In the environment, by this name.
    Env(String),
    /// In a file, of which only the owner may read; `~` is the home folder.
    File(PathBuf),
}

/// How a server is asked; they differ in what of a reply's odds they tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// As the server turns out to be when it is asked.
    #[default]
    Auto,
    /// `OpenAI`'s chat completions, which nearly all have.
    OpenAi,
    /// llama.cpp's server: its own completion, with ids of tokens.
    Llama,
    /// vLLM: `OpenAI`'s with log-probabilities of prompts and chosen tokens.
    Vllm,
    /// SGLang: its own `/generate`.
    SgLang,
    /// Ollama, by its chat completions.
    Ollama,
}

impl Api {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::OpenAi, Self::Llama, Self::Vllm, Self::SgLang, Self::Ollama];

    /// The word in the configuration.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OpenAi => "openai",
            Self::Llama => "llama",
            Self::Vllm => "vllm",
            Self::SgLang => "sglang",
            Self::Ollama => "ollama",
        }
    }

    /// What such a server is called in a sentence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Auto => "server",
            Self::OpenAi => "OpenAI-compatible server",
            Self::Llama => "llama.cpp server",
            Self::Vllm => "vLLM",
            Self::SgLang => "SGLang",
            Self::Ollama => "Ollama",
        }
    }
}

/// What is wrong with an address, as "must …"; never with the address itself, which may hold a key.
pub type Refused = &'static str;

impl Server {
    /// The server at an address, asked as it turns out to be; a name after `#` is the model's there.
    ///
    /// # Errors
    /// What the address must be.
    pub fn at(address: &str) -> Result<Self, Refused> {
        let (address, id) = address.split_once('#').map_or((address, None), |(base, id)| (base, Some(id)));
        check_address(address)?;
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            id: id.filter(|id| !id.is_empty()).map(str::to_owned),
            api: Api::Auto,
            key: None,
        })
    }

    /// An address with its scheme. Where it has none, that of a machine at hand is http, that of any other https.
    #[must_use]
    pub fn with_scheme(address: &str) -> String {
        if address.contains("://") {
            return address.to_owned();
        }
        let scheme =
            if is_near(address.split(['/', '#']).next().unwrap_or_default()) { "http" } else { "https" };
        format!("{scheme}://{address}")
    }

    /// The model's name there, or the machine where it has none.
    #[must_use]
    pub fn title(&self) -> &str {
        self.id.as_deref().unwrap_or(self.host())
    }

    /// Whether what is said goes unencrypted over networks of others.
    #[must_use]
    pub fn is_overheard(&self) -> bool {
        self.address.starts_with("http://") && !is_near(self.host())
    }

    /// The machine and its port, e.g. `127.0.0.1:8080`: what is said of an address, and nothing that could be secret.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.address.split_once("://").map_or(self.address.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        host.rsplit_once('@').map_or(host, |(_, host)| host)
    }
}

/// Whether an address is one of a server: `http://` or `https://`, a machine, and neither name nor key in it.
fn check_address(address: &str) -> Result<(), Refused> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Err("must begin with https:// or http://, such as http://127.0.0.1:8080/v1");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme {
        "http" | "https" => {}
        _ => return Err("must begin with https:// or http://"),
    }
    if host.contains('@') || rest.contains('?') {
        return Err("must hold no name, password or key: key_env or key_file say where the key is");
    }
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if host.is_empty() || host.starts_with(':') || rest.contains(odd) {
        return Err("must name a machine, such as http://127.0.0.1:8080/v1");
    }
    Ok(())
}

/// Whether a host is this machine or in a private network.
fn is_near(host: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => is_near_v4(ip),
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => is_near_v4(ip),
            None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
        Err(_) => {
            let name = bare.trim_end_matches('.').to_ascii_lowercase();
            let ends = [".localhost", ".local", ".lan", ".internal", ".home.arpa"];
            // A name without a dot is one of the network at hand.
            !name.contains('.') || ends.iter().any(|end| name.ends_with(end))
        }
    }
}

/// Loopback, private (RFC 1918), of the link, or of a carrier's or a virtual private network (RFC 6598).
fn is_near_v4(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || (first == 100 && (64..128).contains(&second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_never_said_again() {
        let at = |address: &str| Server::at(address);
        let plain = at("http://127.0.0.1:8080/v1/").unwrap();
        assert_eq!((plain.address.as_str(), plain.title()), ("http://127.0.0.1:8080/v1", "127.0.0.1:8080"));
        let named = at("https://example.org/v1#org/model").unwrap();
        assert_eq!((named.address.as_str(), named.title()), ("https://example.org/v1", "org/model"));
        for bad in [
            "127.0.0.1:8080",
            "ftp://x",
            "http://",
            "http://:80",
            "http:// x",
            "https://me:secret@x/v1",
            "https://x/v1?key=secret",
        ] {
            let said = at(bad).unwrap_err();
            assert!(said.starts_with("must ") && !said.contains("secret"), "{bad}: {said}");
        }
    }

    #[test]
    fn an_address_without_a_scheme_gets_that_which_fits() {
        let check = |address: &str, expected: &str| assert_eq!(Server::with_scheme(address), expected);
        check("127.0.0.1:9301", "http://127.0.0.1:9301");
        check("gpu-box:8000/v1#org/m", "http://gpu-box:8000/v1#org/m");
        check("[::1]:8080", "http://[::1]:8080");
        check("api.example.org/v1", "https://api.example.org/v1");
        check("http://example.org", "http://example.org");
    }

    #[test]
    fn only_what_leaves_the_private_network_in_clear_is_overheard() {
        let overheard = |address: &str| Server::at(address).unwrap().is_overheard();
        for near in [
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:8080/v1",
            "http://[fd00::1]",
            "http://10.1.2.3:8000",
            "http://192.168.1.5",
            "http://172.31.0.1",
            "http://100.100.1.1",
            "http://gpu-box:8000",
            "http://box.local",
            "https://example.org",
        ] {
            assert!(!overheard(near), "{near}");
        }
        for far in [
            "http://example.org/v1",
            "http://8.8.8.8:80",
            "http://172.32.0.1",
            "http://localhost.example.org",
            "http://[2001:db8::1]:8000",
            "http://[::ffff:8.8.8.8]",
        ] {
            assert!(overheard(far), "{far}");
        }
    }

    #[test]
    fn of_an_address_only_machine_and_port_are_said() {
        let host = |address: &str| {
            let server = Server { address: address.into(), id: None, api: Api::Auto, key: None };
            server.host().to_owned()
        };
        assert_eq!(host("http://127.0.0.1:8080/v1"), "127.0.0.1:8080");
        assert_eq!(host("https://me:secret@example.org/v1?key=1"), "example.org");
        assert_eq!(host("example.org"), "example.org");
    }
}
