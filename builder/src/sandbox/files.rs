//! The files that every step finds in `/etc` whatever its image has: `hosts` and `resolv.conf`.

use super::network::RESOLVER;
use super::wire::Network;

/// Where systemd-resolved writes the name servers behind its stub.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// `/etc/hosts`: the names of the loopback addresses, then what the caller adds.
pub fn hosts(hostname: &str, extra: &[(String, String)]) -> Vec<u8> {
    let mut text =
        format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in extra {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text.into_bytes()
}

/// `/etc/resolv.conf` for a network: the host's, without what cannot be reached from there.
pub fn resolv_conf(network: Network) -> Vec<u8> {
    match network {
        Network::Host => read("/etc/resolv.conf"),
        Network::Join { .. } | Network::None => with_resolver(&reachable(&real())),
    }
    .into_bytes()
}

/// Whether a private network cannot reach any of the host's name servers by itself.
pub fn needs_forwarding() -> bool {
    !has_servers(&reachable(&real()))
}

/// The host's file, or what it stands for where it only names a resolver on the host itself.
fn real() -> String {
    let host = read("/etc/resolv.conf");
    match is_stub_only(&host) {
        true => std::fs::read_to_string(RESOLVED).unwrap_or(host),
        false => host,
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether every name server is a resolver on the host itself.
fn is_stub_only(text: &str) -> bool {
    let mut servers = text.lines().filter_map(name_server).peekable();
    servers.peek().is_some() && servers.all(is_loopback)
}

/// Without the name servers on the host's loopback.
fn reachable(text: &str) -> String {
    let kept = |line: &&str| !name_server(line).is_some_and(is_loopback);
    text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect()
}

/// With the network's own name server if there is no other.
fn with_resolver(text: &str) -> String {
    match has_servers(text) {
        true => text.to_owned(),
        false => format!("{text}nameserver {RESOLVER}\n"),
    }
}

fn has_servers(text: &str) -> bool {
    text.lines().any(|line| name_server(line).is_some())
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
