//! The files that every step finds in `/etc` whatever its image has: `hosts` and `resolv.conf`.

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
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    match network {
        Network::Host => host,
        Network::Join { .. } | Network::None => {
            let real = match is_stub_only(&host) {
                true => std::fs::read_to_string(RESOLVED).unwrap_or(host),
                false => host,
            };
            without_loopback(&real)
        }
    }
    .into_bytes()
}

/// Whether every name server is a resolver on the host itself.
fn is_stub_only(text: &str) -> bool {
    let mut servers = text.lines().filter_map(name_server).peekable();
    servers.peek().is_some() && servers.all(is_loopback)
}

fn without_loopback(text: &str) -> String {
    let kept = |line: &&str| !name_server(line).is_some_and(is_loopback);
    text.lines().filter(kept).flat_map(|line| [line, "\n"]).collect()
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

fn is_loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
