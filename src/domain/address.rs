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

/// Whether an address is one of the public Internet: the only kind that a URL out of a client's request may lead to.
///
/// Everything else is refused: loopback, private, shared (RFC 6598), link-local, metadata, multicast, reserved and
/// documentation networks (RFC 6890), and every IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4, Teredo).
#[must_use]
pub fn is_public_address(address: IpAddr) -> bool {
    if is_forbidden_address(address) {
        return false;
    }
    match address {
        IpAddr::V4(v4) => {
            let is_special = match v4.octets() {
                [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..] => true,
                [100, second, ..] => second & 0xc0 == 64,
                [172, second, ..] => second & 0xf0 == 16,
                [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
                    true
                }
                _ => false,
            };
            !is_special
        }
        IpAddr::V6(v6) => match v6.segments() {
            // Teredo and other protocol assignments, documentation, 6to4.
            [0x2001, second, ..] => second >= 0x0200 && second != 0x0db8,
            [0x2002, ..] => false,
            [0x3fff, second, ..] => second >= 0x1000,
            // Global unicast is this much and no more.
            [first, ..] => first & 0xe000 == 0x2000,
        },
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
    fn only_addresses_of_the_public_internet_are_public() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in refused {
            assert!(!is_public_address(address.parse().unwrap()), "{address}");
        }
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3fff:1000::1",
        ];
        for address in public {
            assert!(is_public_address(address.parse().unwrap()), "{address}");
        }
    }

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
