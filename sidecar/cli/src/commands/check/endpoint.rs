//! Whether the host of an endpoint can lead anywhere from another cluster, as far as its text tells. Nothing is resolved: names may be known in the clusters only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::finding::Level;

/// What is wrong with a host, and the way out; `None` when it can be resolved.
pub fn judge(host: &str) -> Option<(Level, &'static str)> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return judge_address(address);
    }
    if host.contains(':') || is_numeric(host) {
        return Some((
            Level::Fail,
            "it is no IP address: write a host name, or four numbers from 0 to 255 with dots between them",
        ));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if !name.split('.').all(is_label) {
        return Some((
            Level::Fail,
            "no resolver takes it: each part of a host name has 1 to 63 letters, digits and '-', and begins and ends with a letter or digit",
        ));
    }
    let lower = name.to_ascii_lowercase();
    if lower == "localhost" || lower.ends_with(".localhost") {
        return Some((Level::Fail, "it leads every location to itself"));
    }
    let is_of_cluster = [".svc", ".cluster.local"]
        .iter()
        .any(|end| lower.ends_with(end))
        || !lower.contains('.');
    is_of_cluster.then_some((
        Level::Warn,
        "such a name is known inside of one cluster only: locations in other clusters need one that leads here from there",
    ))
}

fn judge_address(address: IpAddr) -> Option<(Level, &'static str)> {
    let leads_nowhere = match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4 == Ipv4Addr::BROADCAST || v4.is_multicast(),
        IpAddr::V6(v6) => v6 == Ipv6Addr::UNSPECIFIED || v6.is_multicast(),
    };
    if leads_nowhere {
        return Some((Level::Fail, "nobody answers at such an address"));
    }
    let is_own = address.is_loopback();
    is_own.then_some((Level::Fail, "it leads every location to itself"))
}

/// Only what looks like a number, which resolvers do not take for a name.
fn is_numeric(host: &str) -> bool {
    host.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// An underscore is no part of a host name, but of names that resolvers answer all the same.
fn is_label(label: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=63).contains(&label.len())
        && label.chars().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_somewhere_is_well() {
        for host in [
            "orders.eu.example.com",
            "orders.eu.example.com.",
            "10.0.0.7",
            "fd00::1",
            "a_b.example.com",
        ] {
            assert_eq!(judge(host), None, "{host}");
        }
    }

    #[test]
    fn what_leads_nowhere_fails() {
        for host in [
            "300.1.1.1",
            "1.2.3",
            "::zz",
            "a..b",
            "-a.example.com",
            "localhost",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
        ] {
            assert_eq!(
                judge(host).map(|(level, _)| level),
                Some(Level::Fail),
                "{host}"
            );
        }
        let long = format!("{}.example.com", "a".repeat(64));
        assert_eq!(judge(&long).map(|(level, _)| level), Some(Level::Fail));
    }

    #[test]
    fn names_of_one_cluster_are_worth_a_look() {
        for host in [
            "orders-eu-peers",
            "orders.shop.svc",
            "o.shop.svc.cluster.local",
        ] {
            assert_eq!(
                judge(host).map(|(level, _)| level),
                Some(Level::Warn),
                "{host}"
            );
        }
    }
}
