//! `rbuild verify`: whether the store still has, byte for byte, what it promises.

use rbuild_cache::Report;

use super::help::print;
use super::session::{Ending, Failure, Session};
use crate::exit::Exit;

/// Flags of `rbuild verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Drop what is damaged: the next build makes or fetches it again
    #[arg(long)]
    repair: bool,
}

/// Reads everything and names what is damaged.
pub fn main(args: &Args) -> Result<Exit, Failure> {
    let session = Session::open(Ending::AtOnce)?;
    let report = if args.repair {
        let repaired = session.store.repair(&|| false);
        repaired.map_err(|error| Failure::new(Exit::Machine, &error, None))?
    } else {
        session.store.verify().map_err(|error| Failure::new(Exit::Machine, &error, None))?
    };
    print(&text(&report));
    match report.damage.len() {
        0 => Ok(Exit::Success),
        _ if args.repair => {
            print("all of it was dropped\n");
            Ok(Exit::Success)
        }
        count => Err(Failure::usage_text(
            &format!("the store is damaged in {count} places"),
            "builds pass over what is damaged; `rbuild verify --repair` drops it",
        )
        .ending_with(Exit::Machine)),
    }
}

fn text(report: &Report) -> String {
    let Report { blobs, layers, records, damage } = report;
    let damage: String = damage.iter().map(|damage| format!("{damage}\n")).collect();
    format!("looked at {blobs} blobs, {layers} layers, {records} results\n{damage}")
}
