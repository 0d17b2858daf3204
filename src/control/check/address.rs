//! Which base URLs a deployment may have.
//!
//! Self-hosted models live on private and loopback addresses, so these are allowed. Link-local addresses and the
//! metadata services of clouds are not: they hand out the machine's own credentials. A name that resolves to such an
//! address is the business of whoever opens the connection; here only what is written is judged.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

const MAX_BASE_URL_BYTES: usize = 2048;

/// Names of metadata services.
const METADATA_NAMES: [&str; 5] =
    ["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Metadata services outside the link-local range.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

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
        Some(Host::Ipv4(address)) => is_forbidden_v4(address),
        Some(Host::Ipv6(address)) => is_forbidden_v6(address),
        Some(Host::Domain(name)) => METADATA_NAMES.contains(&name.trim_end_matches('.')),
    };
    if forbidden {
        return Err("must not be a link-local or cloud-metadata address");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || METADATA_V4.contains(&address)
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let link_local = address.is_unicast_link_local();
    // The instance services of EC2 and Google Cloud.
    let metadata = matches!(segments, [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..]);
    link_local || metadata || embedded_v4(segments).is_some_and(is_forbidden_v4)
}

/// The IPv4 address that an IPv6 address carries: mapped, compatible, translated (NAT64) or 6to4.
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let (high, low) = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x0064, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
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
            "http://168.63.129.16",
        ] {
            let refused = base_url(written).unwrap_err();
            assert_eq!(refused, "must not be a link-local or cloud-metadata address", "{written}");
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
