//! `rbuild prune` and `rbuild du`: what takes room, and taking it back.

use std::io::{BufRead, IsTerminal, Write};
use std::time::SystemTime;

use rbuild_cache::Prune;

use super::help::print;
use super::session::{Ending, Failure, Session};
use super::table::table;
use crate::exit::Exit;
use crate::progress::size;

/// Flags of `rbuild prune`.
#[derive(Debug, clap::Args)]
pub struct PruneArgs {
    /// Remove the images too, not only the cache
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Remove the least valuable part of the cache until the store takes no more than this,
    /// such as `20GB`
    #[arg(long, value_name = "BYTES", conflicts_with = "all")]
    max_used_space: Option<String>,
}

/// Flags of `rbuild du`.
#[derive(Debug, clap::Args)]
pub struct DuArgs {
    /// List layers and blobs too, not only results
    #[arg(short, long)]
    verbose: bool,
}

/// `rbuild prune`
pub fn prune(args: &PruneArgs) -> Result<Exit, Failure> {
    let what = match (&args.max_used_space, args.all) {
        (Some(text), _) => Prune::ToSize(bytes(text)?),
        (None, true) => Prune::Everything,
        (None, false) => Prune::Unreferenced,
    };
    if !args.force && !confirmed(what)? {
        return Ok(Exit::Success);
    }
    let session = Session::open(Ending::InOrder)?;
    let give_up = || session.cancel.is_cancelled();
    let pruned = session.store.prune(what, &give_up).map_err(|error| {
        let exit = if give_up() { Exit::Interrupted } else { Exit::Machine };
        Failure::new(exit, &error, None)
    })?;
    print(&format!(
        "removed {} results, {} layers, {} blobs, {} cache mounts\nfreed {}, the store takes {}\n",
        pruned.records,
        pruned.layers,
        pruned.blobs,
        pruned.volumes,
        size(pruned.freed),
        size(pruned.left),
    ));
    Ok(Exit::Success)
}

/// Asks at a terminal; elsewhere there is nobody to answer.
fn confirmed(what: Prune) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage_text(
            "pruning is to be confirmed, and there is no terminal to ask at",
            "say `--force`",
        ));
    }
    let text = match what {
        Prune::Everything => "This removes the cache and all images.",
        Prune::Unreferenced => "This removes the cache. Images stay.",
        Prune::ToSize(_) => "This removes a part of the cache.",
    };
    let mut err = std::io::stderr();
    let _ = write!(err, "{text} Go on? [y/N] ");
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `rbuild du`
pub fn du(args: &DuArgs) -> Result<Exit, Failure> {
    let session = Session::open(Ending::AtOnce)?;
    let usage = session.store.usage().map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    let mut rows = Vec::new();
    for record in &usage.records {
        let took = format!("{:.1}s", record.took.as_secs_f64());
        let what = record.slot.clone();
        rows.push(row("result", record.size, record.used, record.held, took, what));
    }
    for volume in &usage.volumes {
        let what = match volume.name.namespace.as_str() {
            "" => volume.name.id.clone(),
            namespace => format!("{namespace}/{}", volume.name.id),
        };
        rows.push(row("cache mount", volume.size, volume.used, false, String::new(), what));
    }
    if args.verbose {
        for layer in &usage.layers {
            let what = layer.id.to_string();
            rows.push(row("layer", layer.size, layer.used, layer.held, String::new(), what));
        }
        for blob in &usage.blobs {
            let what = blob.digest.to_string();
            rows.push(row("blob", blob.size, blob.added, blob.held, String::new(), what));
        }
    }
    let reclaimable = usage.layers.iter().filter(|layer| !layer.held).map(|layer| layer.size);
    let blobs = usage.blobs.iter().filter(|blob| !blob.held).map(|blob| blob.size);
    let volumes = usage.volumes.iter().map(|volume| volume.size);
    let reclaimable: u64 = reclaimable.chain(blobs).chain(volumes).sum();
    print(&table(&["KIND", "SIZE", "LAST USED", "IN IMAGE", "TOOK", "WHAT"], &rows));
    print(&format!("\nreclaimable: {}\ntotal:       {}\n", size(reclaimable), size(usage.total())));
    Ok(Exit::Success)
}

fn row(
    kind: &str,
    bytes: u64,
    used: SystemTime,
    held: bool,
    took: String,
    what: String,
) -> Vec<String> {
    let used = jiff::Timestamp::try_from(used).unwrap_or_default();
    let used = used.strftime("%Y-%m-%d %H:%M").to_string();
    let held = if held { "yes" } else { "no" };
    vec![kind.to_owned(), size(bytes), used, held.to_owned(), took, what]
}

/// `512`, `20GB`, `1.5GiB`: powers of ten, or of two with an `i`.
fn bytes(text: &str) -> Result<u64, Failure> {
    let lower = text.trim().to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match lower[digits.len()..].trim_end_matches('b') {
        "" => 1,
        "k" => 1000,
        "m" => 1000_u64.pow(2),
        "g" => 1000_u64.pow(3),
        "t" => 1000_u64.pow(4),
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err(not_bytes(text)),
    };
    match digits.parse::<f64>() {
        Ok(number) if number >= 0.0 => Ok((number * unit as f64) as u64),
        _ => Err(not_bytes(text)),
    }
}

fn not_bytes(text: &str) -> Failure {
    Failure::usage_text(
        &format!("`{text}` is not a number of bytes"),
        "write it as `500MB`, `20GB` or `20GiB`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let rows =
            [("512", 512), ("1kB", 1000), ("20GB", 20_000_000_000), ("1.5GiB", 1_610_612_736)];
        for (text, expected) in rows {
            assert_eq!(bytes(text).ok(), Some(expected), "{text}");
        }
        for text in ["", "GB", "-1", "1x", "1 cow"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
