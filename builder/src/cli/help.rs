//! Words that are not about one subcommand.

use std::io::Write;

use super::session::Failure;
use crate::exit::Exit;

/// What stands below the list of subcommands.
pub const AFTER: &str = "\
`rbuild -t app .` is short for `rbuild build -t app .`.

Exit codes: 0 done, 1 the build failed, 2 usage, 3 the machine (store, disk, network, registry,
namespaces), 130 interrupted. `rbuild run` ends with the code of what it ran; 125 if it could not.

The store is under $RBUILD_ROOT, else /var/lib/rbuild for root and $XDG_DATA_HOME/rbuild for others.";

/// `rbuild version`.
pub fn version() -> Result<Exit, Failure> {
    print(&format!("rbuild {}\n", env!("CARGO_PKG_VERSION")));
    Ok(Exit::Success)
}

/// Writes to standard output. Whoever closed it does not want to know more.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
