//! The proxies that the environment names, and what each address goes through.
//!
//! Invariant: where a proxy was set for an address, that address is never asked directly: a proxy that cannot be used
//! is an error before anything is sent, also for an address that a server redirects to.

use std::net::IpAddr;

use reqwest::{ClientBuilder, Proxy, Url};

use crate::request_error::Through;

/// Schemes of proxies that can be used.
const SCHEMES: &[&str] = &["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Which addresses go through which proxy.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Way,
    https: Way,
    /// Hosts that are asked directly, in small letters and without dots at their ends: names, numbers, networks, or `*`.
    none_for: Vec<String>,
    /// Whether the system's own settings are asked where the environment says nothing.
    system: bool,
}

/// What the environment says for one scheme.
#[derive(Clone, Default)]
enum Way {
    /// Nothing.
    #[default]
    Direct,
    /// A proxy, by the variable that names it.
    Through { variable: &'static str, address: Url },
    /// Something that is no proxy, in a sentence.
    Unusable(String),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::Through { variable, .. } => variable,
            Self::Unusable(why) => why,
        })
    }
}

impl Proxies {
    /// None, whatever the environment says.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the environment says, as curl reads it: `HTTPS_PROXY` or `HTTP_PROXY`, else `ALL_PROXY`, in capitals or in
    /// small letters, and `NO_PROXY`.
    #[must_use]
    pub fn from_env() -> Self {
        // A name that is no UTF-8 becomes one that cannot be used: what was set is not passed over.
        let read = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self { system: true, ..Self::of(read) }
    }

    /// The same from any table of variables.
    #[must_use]
    pub fn of(read: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &'static str| {
            read(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .map(|v| (name, v))
        };
        let first = |names: &[&'static str]| names.iter().copied().find_map(set);
        let all = ["ALL_PROXY", "all_proxy"];
        // A web server hands a request's Proxy header to its programs as HTTP_PROXY.
        let http: &[&'static str] =
            if read("REQUEST_METHOD").is_some() { &["http_proxy"] } else { &["HTTP_PROXY", "http_proxy"] };
        let way = |names: &[&'static str]| {
            first(names).or_else(|| first(&all)).map_or(Way::Direct, |(name, value)| Way::of(name, &value))
        };
        Self {
            http: way(http),
            https: way(&["HTTPS_PROXY", "https_proxy"]),
            none_for: first(&["NO_PROXY", "no_proxy"]).map(|(_, hosts)| listed(&hosts)).unwrap_or_default(),
            system: false,
        }
    }

    /// Why an address cannot be asked for, in a sentence; `None` where it can.
    #[must_use]
    pub fn refuse(&self, url: &Url) -> Option<&str> {
        match self.way(url) {
            Way::Unusable(why) => Some(why),
            Way::Direct | Way::Through { .. } => None,
        }
    }

    /// What an address goes through.
    #[must_use]
    pub fn through(&self, url: &Url) -> Option<Through> {
        match self.way(url) {
            Way::Through { variable, address } => Some(Through::new(variable, address)),
            Way::Direct | Way::Unusable(_) => None,
        }
    }

    /// A client that goes these ways.
    pub(super) fn of_client(&self, builder: ClientBuilder) -> ClientBuilder {
        let is_direct = |way: &Way| matches!(way, Way::Direct);
        if self.system && is_direct(&self.http) && is_direct(&self.https) {
            return builder;
        }
        let ways = self.clone();
        // One reading of `NO_PROXY` for what is done and what is said.
        builder.no_proxy().proxy(Proxy::custom(move |url| match ways.way(url) {
            Way::Through { address, .. } => Some(address.clone()),
            Way::Direct | Way::Unusable(_) => None,
        }))
    }

    fn way(&self, url: &Url) -> &Way {
        static DIRECT: Way = Way::Direct;
        let way = if url.scheme() == "http" { &self.http } else { &self.https };
        if self.is_direct_host(url) { &DIRECT } else { way }
    }

    /// Whether `NO_PROXY` names the host.
    fn is_direct_host(&self, url: &Url) -> bool {
        let host = bare(url.host_str().unwrap_or_default());
        let number = host.parse::<IpAddr>().ok();
        self.none_for.iter().any(|name| match number {
            _ if name == "*" => true,
            Some(number) => is_in(number, name),
            None => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        })
    }
}

/// The hosts of `NO_PROXY`, with commas or blanks between them, as curl reads it.
fn listed(hosts: &str) -> Vec<String> {
    let names = hosts.split(|c: char| c == ',' || c.is_whitespace());
    names.map(|name| bare(name.trim_start_matches('.'))).filter(|name| !name.is_empty()).collect()
}

/// A host in small letters, without brackets and without the dot that may end a whole name.
fn bare(host: &str) -> String {
    host.trim_end_matches('.').replace(['[', ']'], "").to_lowercase()
}

/// Whether a number is another, or in a network like `10.0.0.0/8`.
fn is_in(number: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    // From the top of 128 bits, so that both kinds are compared alike.
    let (number, base, width) = match (number, base) {
        (IpAddr::V4(number), IpAddr::V4(base)) => {
            (u128::from(number.to_bits()) << 96, u128::from(base.to_bits()) << 96, 32)
        }
        (IpAddr::V6(number), IpAddr::V6(base)) => (number.to_bits(), base.to_bits(), 128),
        _ => return false,
    };
    let bits = bits.map_or(Some(width), |bits| bits.parse::<u32>().ok().filter(|bits| *bits <= width));
    bits.is_some_and(|bits| (number ^ base).leading_zeros() >= bits)
}

impl Way {
    fn of(variable: &'static str, value: &str) -> Self {
        // Without a scheme it is an HTTP proxy.
        let spelt = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let unusable = |what: &str| {
            Self::Unusable(format!(
                "{variable} names no proxy that can be used ({what}): give http://, https://, socks5:// or socks5h:// \
                 with a host, or unset it"
            ))
        };
        match Url::parse(&spelt) {
            Ok(url) if !SCHEMES.contains(&url.scheme()) => {
                unusable(&format!("{}:// is not known here", url.scheme()))
            }
            Ok(url) if url.host_str().is_none_or(str::is_empty) => unusable("it has no host"),
            Ok(address) => Self::Through { variable, address },
            Err(error) => unusable(&error.to_string()),
        }
    }
}
