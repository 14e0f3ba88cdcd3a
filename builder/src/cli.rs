//! What was typed. One file per subcommand; what a subcommand resolves to is plain data that
//! knows nothing of flags.

mod build;
mod call;
mod context;
mod doctor;
mod help;
mod images;
mod prune;
mod registry;
mod run;
mod session;
mod stdin;
mod steps;
mod table;
mod transfer;
mod verify;

pub use build::host_platform;
pub use session::{Failure, Session, causes};
pub use stdin::Stdin;

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Builds OCI images from Dockerfiles: no daemon, root or rootless.
#[derive(Debug, Parser)]
#[command(
    name = "rbuild",
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = help::AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image from a Dockerfile (what `rbuild` does when no command is named)
    Build(Box<build::Args>),
    /// Run a command in a stored image, in the foreground
    Run(Box<run::Args>),
    /// List the images in the store
    Images(images::ListArgs),
    /// Fetch an image from a registry into the store
    Pull(transfer::PullArgs),
    /// Send an image from the store to a registry
    Push(transfer::PushArgs),
    /// Give an image another name
    Tag(images::TagArgs),
    /// Take names off images; an image without a name is removed by `prune`
    Rmi(images::RmiArgs),
    /// Print an image's config and manifest as JSON
    Inspect(images::InspectArgs),
    /// Print the steps that an image was made by
    History(images::HistoryArgs),
    /// Write images to an archive that `docker load` and `rbuild load` read
    Save(transfer::SaveArgs),
    /// Read images from an archive
    Load(transfer::LoadArgs),
    /// Store the credentials of a registry
    Login(registry::LoginArgs),
    /// Forget the credentials of a registry
    Logout(registry::LogoutArgs),
    /// Look at build contexts
    Context(context::Args),
    /// Remove what nothing needs
    Prune(prune::PruneArgs),
    /// Show what takes room in the store
    Du(prune::DuArgs),
    /// Try what builds need of this machine, and say what is missing
    Doctor(doctor::Args),
    /// Check that the store holds, byte for byte, what it promises
    Verify(verify::Args),
    /// Print the version
    Version,
}

/// Reads the command line, does what it says, and prints what went wrong.
pub fn main() -> Exit {
    let cli = match Cli::try_parse_from(with_build(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            // Clap prints help and versions to standard output, errors to standard error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    match dispatch(cli.command) {
        Ok(exit) => exit,
        Err(failure) => {
            let _ = write!(std::io::stderr(), "{}", failure.report());
            failure.exit
        }
    }
}

fn dispatch(command: Command) -> Result<Exit, session::Failure> {
    match command {
        Command::Build(args) => build::main(*args),
        Command::Run(args) => run::main(*args),
        Command::Images(args) => images::list(&args),
        Command::Pull(args) => transfer::pull(&args),
        Command::Push(args) => transfer::push(&args),
        Command::Tag(args) => images::tag(&args),
        Command::Rmi(args) => images::rmi(&args),
        Command::Inspect(args) => images::inspect(&args),
        Command::History(args) => images::history(&args),
        Command::Save(args) => transfer::save(&args),
        Command::Load(args) => transfer::load(&args),
        Command::Login(args) => registry::login(&args),
        Command::Logout(args) => registry::logout(&args),
        Command::Context(args) => context::main(args),
        Command::Prune(args) => prune::prune(&args),
        Command::Du(args) => prune::du(&args),
        Command::Doctor(args) => Ok(doctor::main(&args)),
        Command::Verify(args) => verify::main(&args),
        Command::Version => help::version(),
    }
}

/// The subcommand that a word was probably meant to be.
pub fn nearest_command(word: &str) -> Option<String> {
    use clap::CommandFactory;
    let command = Cli::command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let near = names.map(|name| (strsim::damerau_levenshtein(&name, word), name));
    near.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}

/// `rbuild -t app .` means `rbuild build -t app .`: the word is put in where no command is named.
fn with_build(mut args: Vec<OsString>) -> Vec<OsString> {
    let names_command = match args.get(1).and_then(|arg| arg.to_str()) {
        None => args.len() == 1,
        Some("-h" | "--help" | "-V" | "--version") => true,
        Some(word) => {
            use clap::CommandFactory;
            Cli::command().get_subcommands().any(|command| command.get_name() == word)
        }
    };
    if !names_command {
        args.insert(1, OsString::from("build"));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn build_is_what_is_meant_when_no_command_is_named() {
        let rows = [
            ("rbuild -t app .", "rbuild build -t app ."),
            ("rbuild .", "rbuild build ."),
            ("rbuild build .", "rbuild build ."),
            ("rbuild images", "rbuild images"),
            ("rbuild --help", "rbuild --help"),
            ("rbuild", "rbuild"),
        ];
        for (typed, meant) in rows {
            assert_eq!(with_build(words(typed)), words(meant), "{typed}");
        }
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
