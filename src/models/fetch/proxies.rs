//! The proxies that the environment names, and what each address goes through.
//!
//! Invariant: where a proxy was set for an address, that address is never asked directly: a proxy that cannot be used
//! is an error before anything is sent, also for an address that a server redirects to.

use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// Schemes of proxies that can be used.
const SCHEMES: &[&str] = &["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Which addresses go through which proxy.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Way,
    https: Way,
    /// Hosts that are asked directly, as the environment lists them.
    none_for: String,
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
            none_for: first(&["NO_PROXY", "no_proxy"]).map(|(_, hosts)| hosts).unwrap_or_default(),
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

    /// What an address goes through, for a sentence.
    #[must_use]
    pub fn shown(&self, url: &Url) -> Option<String> {
        match self.way(url) {
            Way::Through { variable, address } => {
                let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
                let host = address.host_str().unwrap_or_default();
                Some(format!("through the proxy {}://{host}{port} of {variable}", address.scheme()))
            }
            Way::Direct | Way::Unusable(_) => None,
        }
    }

    /// A client that goes these ways.
    ///
    /// # Errors
    /// When a proxy's address cannot be used after all.
    pub(super) fn of_client(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        let is_direct = |way: &Way| matches!(way, Way::Direct);
        if self.system && is_direct(&self.http) && is_direct(&self.https) {
            return Ok(builder);
        }
        let mut builder = builder.no_proxy();
        // The client takes this for names alone, and asks for numbers through the proxy.
        if self.none_for.split(',').any(|name| name.trim() == "*") {
            return Ok(builder);
        }
        for (way, is_https) in [(&self.http, false), (&self.https, true)] {
            if let Way::Through { address, .. } = way {
                let proxy =
                    if is_https { Proxy::https(address.clone()) } else { Proxy::http(address.clone()) };
                builder = builder.proxy(proxy?.no_proxy(NoProxy::from_string(&self.none_for)));
            }
        }
        Ok(builder)
    }

    fn way(&self, url: &Url) -> &Way {
        static DIRECT: Way = Way::Direct;
        let way = if url.scheme() == "http" { &self.http } else { &self.https };
        if self.is_direct_host(url) { &DIRECT } else { way }
    }

    /// Whether `NO_PROXY` names the host. Networks (`10.0.0.0/8`) are left to the client: here they only decide what is
    /// said of a proxy that cannot be used.
    fn is_direct_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        let is_number = host.parse::<std::net::IpAddr>().is_ok();
        let is_below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        self.none_for.split(',').map(|name| name.trim().trim_start_matches('.').to_lowercase()).any(|name| {
            name == "*" || (!name.is_empty() && (host == name || (!is_number && is_below(&name))))
        })
    }
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
