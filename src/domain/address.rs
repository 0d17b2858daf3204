//! Addresses that no configuration may reach: link-local networks and cloud metadata services.
//!
//! Private and loopback addresses are fine (self-hosted models live there); these never are, because they hand out the
//! machine's own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names of metadata services.
const METADATA_NAMES: [&str; 5] =
    ["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];
/// Metadata services of Alibaba Cloud, Azure and Oracle Cloud, outside the link-local network.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Whether an address is link-local or a metadata service, also when an IPv6 address carries it.
#[must_use]
pub fn is_forbidden_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4) || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                // The instance services of EC2 and Google Cloud.
                || matches!(v6.segments(), [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..])
                || v6.is_unspecified()
                || embedded_v4(v6).is_some_and(|v4| is_forbidden_address(IpAddr::V4(v4)))
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

/// The IPv4 address that an IPv6 address carries: mapped, compatible, translated (NAT64) or 6to4.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match v6.segments() {
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
    fn metadata_and_link_local_are_never_reached_in_any_spelling() {
        let forbidden = [
            "169.254.169.254",
            "[fe80::1]",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
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
