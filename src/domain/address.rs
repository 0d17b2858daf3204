//! Addresses that no configuration may reach: link-local networks and cloud metadata services.
//!
//! Private and loopback addresses are fine (self-hosted models live there); these never are, because they hand out the
//! machine's own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// EC2's metadata service over IPv6, and the name of Google's.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
const METADATA_NAMES: [&str; 2] = ["metadata.google.internal", "metadata"];
/// Alibaba Cloud's metadata service, outside the link-local network.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Whether an address is link-local or a metadata service, also when written as an IPv4-mapped or translated one.
#[must_use]
pub fn is_forbidden_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == METADATA_V4 || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            let embedded = v6.to_ipv4_mapped().or_else(|| embedded_in_nat64(v6));
            v6.is_unicast_link_local()
                || v6 == METADATA_V6
                || v6.is_unspecified()
                || embedded.is_some_and(|v4| is_forbidden_address(IpAddr::V4(v4)))
        }
    }
}

/// Whether a host of a URL, name or address literal, is one that may never be called.
#[must_use]
pub fn is_forbidden_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(address) => is_forbidden_address(address),
        Err(_) => METADATA_NAMES.iter().any(|name| host.eq_ignore_ascii_case(name)),
    }
}

/// The IPv4 address inside `64:ff9b::/96` (RFC 6052).
fn embedded_in_nat64(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x0064, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return None };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_are_never_reached_in_any_spelling() {
        let forbidden = [
            "169.254.169.254",
            "[fe80::1]",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "metadata.google.internal",
            "Metadata.Google.Internal.",
        ];
        for host in forbidden {
            assert!(is_forbidden_host(host), "{host}");
        }
        for host in ["127.0.0.1", "10.0.0.5", "[::1]", "192.168.1.1", "api.openai.com", "ollama"] {
            assert!(!is_forbidden_host(host), "{host}");
        }
    }
}
