//! Addresses of models: `owner/repo:file.gguf` on the hub, and plain ones.
//!
//! Invariant: plain HTTP is used only where nobody between can matter: this machine, or the hub address
//! that the user set.

use reqwest::Url;

use crate::models::gguf::part_names;

/// The hub's address where `HF_ENDPOINT` gives no other.
pub(super) const HUB: &str = "https://huggingface.co";

/// Addresses of all parts of `owner/repo:file.gguf`.
///
/// # Errors
/// What is wrong with it, as part of a sentence.
pub(super) fn hub_addresses(endpoint: &str, source: &str) -> Result<Vec<Url>, String> {
    let form = || format!("“{source}” is not of the form owner/repo:file.gguf");
    let (repository, file) = source.split_once(':').ok_or_else(form)?;
    let owner_and_name: Vec<&str> = repository.split('/').collect();
    let folders: Vec<&str> = file.split('/').collect();
    let odd = |part: &&str| part.is_empty() || *part == "." || *part == "..";
    if owner_and_name.len() != 2 || owner_and_name.iter().any(odd) || folders.iter().any(odd) {
        return Err(form());
    }
    let (name, folders) = folders.split_last().ok_or_else(form)?;
    let endpoint = Url::parse(endpoint.trim_end_matches('/'))
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| "HF_ENDPOINT is not an address like https://example.org".to_owned())?;
    Ok(part_names(name)
        .iter()
        .map(|name| {
            let mut url = endpoint.clone();
            url.path_segments_mut()
                .expect("an address with a host has a path")
                .pop_if_empty()
                .extend(&owner_and_name)
                .extend(["resolve", "main"])
                .extend(folders)
                .push(name);
            url
        })
        .collect())
}

/// Addresses of all parts of a plain address.
///
/// # Errors
/// What is wrong with it, as part of a sentence.
pub fn plain_addresses(source: &str) -> Result<Vec<Url>, String> {
    let url = Url::parse(source).map_err(|error| format!("its address cannot be read ({error})"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("plain http:// is used on this machine alone: give an https:// address".to_owned());
        }
        _ => return Err("its address must begin with https://".to_owned()),
    }
    let name = url.path_segments().and_then(|mut segments| segments.next_back().map(str::to_owned));
    let names = part_names(name.as_deref().unwrap_or_default());
    if names.len() == 1 {
        return Ok(vec![url]);
    }
    Ok(names
        .iter()
        .map(|name| {
            let mut part = url.clone();
            part.path_segments_mut().expect("an http address has a path").pop().push(name);
            part
        })
        .collect())
}

/// Whether the address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "[::1]"))
        || url.host_str().is_some_and(|h| h.starts_with("127."))
}

/// Whether an access token may be sent there: never in plain text to another machine.
pub(super) fn may_carry_token(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// An address for a message: without user, password, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_file_gives_all_its_addresses() {
        let urls = hub_addresses(HUB, "owner/repo:Q4/big model-00001-of-00002.gguf").unwrap();
        let urls: Vec<&str> = urls.iter().map(Url::as_str).collect();
        assert_eq!(
            urls,
            [
                "https://huggingface.co/owner/repo/resolve/main/Q4/big%20model-00001-of-00002.gguf",
                "https://huggingface.co/owner/repo/resolve/main/Q4/big%20model-00002-of-00002.gguf"
            ]
        );
    }

    #[test]
    fn an_endpoint_may_have_a_path() {
        let urls = hub_addresses("https://mirror.example/hub/", "a/b:c.gguf").unwrap();
        assert_eq!(urls[0].as_str(), "https://mirror.example/hub/a/b/resolve/main/c.gguf");
    }

    #[test]
    fn odd_sources_are_refused() {
        for source in ["a/b", "a:c.gguf", "a/b/c:d.gguf", "a/b:", "a/b:../../c.gguf", "../b:c.gguf"] {
            assert!(hub_addresses(HUB, source).is_err(), "{source}");
        }
        assert!(plain_addresses("http://example.org/a.gguf").is_err());
        assert!(plain_addresses("https://example.org/a.gguf").is_ok());
        assert!(plain_addresses("file:///etc/passwd").is_err());
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        let url = Url::parse("https://me:secret@example.org/a.gguf?signature=secret#x").unwrap();
        assert_eq!(shown(&url), "https://example.org/a.gguf");
    }
}
