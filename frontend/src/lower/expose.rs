//! `EXPOSE`: ports and ranges, as `[[ip:]host:]container[/protocol]`, of which only the container's
//! part has a meaning.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::ast::Text;
use crate::config::Layer;
use crate::diagnostic::Diagnostic;
use crate::scope::{Fallible, expand};

use super::gotext;
use super::stage::StageLowering;

impl StageLowering<'_, '_> {
    /// The words are sorted as they are written; what a variable holds is cut into words.
    pub(super) fn expose(&mut self, words: &[Text]) -> Fallible<()> {
        let mut sorted: Vec<&Text> = words.iter().collect();
        sorted.sort_by_key(|word| word.as_str());
        let mut exposed = Vec::new();
        for word in sorted {
            for spec in expand(self.style(), word, &self.state.scope)?.words {
                exposed.extend(ports(&spec).map_err(|reason| {
                    let message = format!("`{spec}` is not a port: {reason}");
                    Diagnostic::error("bad-port", word.span(), message)
                        .with_help("write `80`, `53/udp` or `8000-8010/tcp`")
                })?);
            }
        }
        self.state.config.record(format!("EXPOSE {}", gotext::list(&exposed)), Layer::Empty);
        self.state.config.config.exposed_ports.extend(exposed);
        Ok(())
    }
}

/// Why a text names no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum BadPort {
    #[error("the number is missing")]
    Missing,
    #[error("a port is a number from 0 to 65535")]
    Number,
    #[error("a range ends after it begins")]
    Order,
    #[error("the protocol is `tcp`, `udp` or `sctp`")]
    Protocol,
    #[error("it begins with something that is no IP address")]
    Address,
    #[error("the ranges of host and container are not equally long")]
    Lengths,
}

/// The ports of one word: `80/tcp`.
fn ports(spec: &str) -> Result<Vec<String>, BadPort> {
    let mut parts = spec.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().filter(|host| !host.is_empty());
    let address = parts.next().filter(|address| !address.is_empty());

    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(BadPort::Protocol),
    };
    let range = port_range(range)?;
    if address.is_some_and(|address| !is_address(address)) {
        return Err(BadPort::Address);
    }
    if let Some(host) = host {
        let host = port_range(host)?;
        if range.len() > 1 && range.len() != host.len() {
            return Err(BadPort::Lengths);
        }
    }
    Ok(range.map(|port| format!("{port}/{protocol}")).collect())
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, BadPort> {
    if text.is_empty() {
        return Err(BadPort::Missing);
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| BadPort::Number);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if last < first { Err(BadPort::Order) } else { Ok(first..=last) }
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bare.unwrap_or(text).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_ports() {
        let rows: &[(&str, Result<&[&str], BadPort>)] = &[
            ("80", Ok(&["80/tcp"])),
            ("80/UDP", Ok(&["80/udp"])),
            ("80/", Ok(&["80/tcp"])),
            ("100-102/sctp", Ok(&["100/sctp", "101/sctp", "102/sctp"])),
            ("8080:80", Ok(&["80/tcp"])),
            ("127.0.0.1:8080:80/udp", Ok(&["80/udp"])),
            ("127.0.0.1::80", Ok(&["80/tcp"])),
            ("[::1]:8080:80", Ok(&["80/tcp"])),
            ("::1:8080:80", Ok(&["80/tcp"])),
            ("8080-8090:80", Ok(&["80/tcp"])),
            ("", Err(BadPort::Missing)),
            ("/tcp", Err(BadPort::Missing)),
            ("http", Err(BadPort::Number)),
            ("65536", Err(BadPort::Number)),
            ("-1", Err(BadPort::Number)),
            ("9-8", Err(BadPort::Order)),
            ("80/icmp", Err(BadPort::Protocol)),
            ("x:1:80", Err(BadPort::Address)),
            ("1-3:80-81", Err(BadPort::Lengths)),
        ];
        for (spec, expected) in rows {
            let expected = expected.map(|ports| ports.iter().map(|p| (*p).to_owned()).collect());
            assert_eq!(ports(spec), expected, "{spec}");
        }
    }
}
