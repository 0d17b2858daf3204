//! Which base URLs a deployment may have.
//!
//! Self-hosted models live on private and loopback addresses, so these are allowed. Link-local addresses and the
//! metadata services of clouds are not: they hand out the machine's own credentials. A name that resolves to such an
//! address is the business of whoever opens the connection; here only what is written is judged.

use std::net::IpAddr;

use url::{Host, Url};

use crate::domain::address::{is_forbidden_address, is_forbidden_host};

const MAX_BASE_URL_BYTES: usize = 2048;

/// Checks a base URL and answers it normalised, without a trailing slash.
///
/// # Errors
/// A sentence that says what is allowed. It does not repeat the URL, which may carry a secret.
pub(in crate::control) fn base_url(text: &str) -> Result<String, &'static str> {
    if text.len() > MAX_BASE_URL_BYTES {
        return Err("must be at most 2048 bytes");
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute URL such as https://api.example.com/v1")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must start with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password; use `apiKey` or `headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not contain a query (`?`) or fragment (`#`)");
    }
    let forbidden = match url.host() {
        None => return Err("must name a host"),
        Some(Host::Ipv4(address)) => is_forbidden_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_forbidden_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_forbidden_host(name),
    };
    if forbidden {
        return Err("must not be a link-local, unspecified or cloud-metadata address");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_private_and_loopback_hosts_are_fine_and_slashes_go() {
        for (written, kept) in [
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("https://API.Example.com", "https://api.example.com"),
            ("http://localhost:11434/", "http://localhost:11434"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
            ("http://10.1.2.3", "http://10.1.2.3"),
            ("http://192.168.0.7:8080", "http://192.168.0.7:8080"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://[fd12:3456::1]/v1", "http://[fd12:3456::1]/v1"),
            ("http://[::ffff:10.0.0.1]", "http://[::ffff:a00:1]"),
            ("https://metadata.example.com", "https://metadata.example.com"),
        ] {
            assert_eq!(base_url(written).as_deref(), Ok(kept), "{written}");
        }
    }

    #[test]
    fn link_local_and_metadata_hosts_are_refused_however_they_are_written() {
        for written in [
            "http://169.254.169.254/latest",
            "http://169.254.1.1",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://[fe80::1]",
            "http://[febf::1]",
            "http://[fd00:ec2::254]",
            "http://[fd20:ce::254]",
            "http://[::ffff:169.254.169.254]",
            "http://[::ffff:a9fe:a9fe]",
            "http://[::169.254.169.254]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[2002:a9fe:a9fe::1]",
            "http://metadata.google.internal/computeMetadata",
            "http://METADATA.google.internal./",
            "http://metadata",
            "http://100.100.100.200",
            "http://0.0.0.0:8000",
            "http://168.63.129.16",
        ] {
            let refused = base_url(written).unwrap_err();
            assert_eq!(refused, "must not be a link-local, unspecified or cloud-metadata address", "{written}");
        }
    }

    #[test]
    fn only_a_plain_absolute_web_address_is_a_base_url() {
        for (written, hint) in [
            ("api.example.com", "absolute"),
            ("/v1", "absolute"),
            ("https://", "absolute"),
            ("ftp://example.com", "https://"),
            ("file:///etc/passwd", "https://"),
            ("https://user@example.com", "user name"),
            ("https://:secret@example.com", "user name"),
            ("https://example.com?key=1", "query"),
            ("https://example.com/#x", "fragment"),
        ] {
            let refused = base_url(written).unwrap_err();
            assert!(refused.contains(hint), "{written}: {refused}");
        }
        assert!(base_url(&format!("https://example.com/{}", "x".repeat(2048))).is_err());
    }
}
