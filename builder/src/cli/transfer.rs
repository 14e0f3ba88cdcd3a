//! `rbuild pull`, `push`, `save`, `load`: images on their way.

use rbuild_frontend::reference::Reference;
use std::fs::File;
use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;

use super::build::platform;
use super::help::print;
use super::images::failure;
use super::session::{Ending, Failure, Session};
use crate::exit::Exit;
use crate::export::{Flavor, Form, ImageSet, Named, layout};
use crate::options::{Dest, Shape};
use crate::progress::{Mode, Progress};
use crate::source::images::{Images, ImagesError};
use crate::source::{load as archive, stored};

/// Flags of `rbuild pull`.
#[derive(Debug, clap::Args)]
pub struct PullArgs {
    /// The image
    name: String,
    /// The platform, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print nothing but the image's name
    #[arg(short, long)]
    quiet: bool,
}

/// Flags of `rbuild push`.
#[derive(Debug, clap::Args)]
pub struct PushArgs {
    /// The image, by the name it is to have at the registry
    name: String,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

/// Flags of `rbuild save`.
#[derive(Debug, clap::Args)]
pub struct SaveArgs {
    /// The archive [default: standard output]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Only the images for this platform, `os/arch[/variant]` [default: those for all]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The images, by name or id
    #[arg(required = true)]
    images: Vec<String>,
}

/// Flags of `rbuild load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// The archive [default: standard input]
    #[arg(short, long, value_name = "PATH")]
    input: Option<PathBuf>,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

/// `rbuild pull`
pub fn pull(args: &PullArgs) -> Result<Exit, Failure> {
    let reference: Reference = args.name.parse().map_err(Failure::usage)?;
    let platform = platform(args.platform.as_deref().unwrap_or("local"))?;
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(mode(args.quiet));
    let images = Images::open(&session, &progress)?;
    let phase = progress.phase(&format!("pulling {}", reference.canonical()));
    let descriptor = images
        .pull(&reference, &platform, &|_, _, _| {}, &session.cancel)
        .map_err(transfer_failure)?;
    tag(&session, &reference, &descriptor)?;
    phase.done();
    progress.finish();
    print(&format!("{}\n", reference.familiar()));
    Ok(Exit::Success)
}

/// `rbuild push`
pub fn push(args: &PushArgs) -> Result<Exit, Failure> {
    let reference: Reference = args.name.parse().map_err(Failure::usage)?;
    let session = Session::open(Ending::InOrder)?;
    let progress = Progress::new(mode(args.quiet));
    let image = stored::find(&session.store, &args.name).map_err(failure)?;
    let images = Images::open(&session, &progress)?;
    let phase = progress.phase(&format!("pushing {}", reference.canonical()));
    let set = ImageSet::stored(&image);
    for (_, image) in &set.images {
        images.before_sending(image, &session.cancel).map_err(transfer_failure)?;
    }
    let documents = set
        .documents(&session.store, Form::Gzip)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    let digest = images
        .push(&reference, &documents, &|_, _, _| {}, &session.cancel)
        .map_err(transfer_failure)?;
    phase.done();
    progress.finish();
    if !args.quiet {
        print(&format!("{}: digest: {digest}\n", reference.familiar()));
    }
    Ok(Exit::Success)
}

/// `rbuild save`
pub fn save(args: &SaveArgs) -> Result<Exit, Failure> {
    let dest = match &args.output {
        Some(path) => Dest::Path(path.clone()),
        None if stdout().is_terminal() => {
            return Err(Failure::usage_text(
                "an archive is nothing for a terminal",
                "name a file: `rbuild save -o PATH`",
            ));
        }
        None => Dest::Stdout,
    };
    let platform = args.platform.as_deref().map(platform).transpose()?;
    let session = Session::open(Ending::InOrder)?;
    let images = Images::open(&session, &Progress::new(Mode::Quiet))?;
    let mut found = Vec::new();
    for text in &args.images {
        let stored = stored::find(&session.store, text)
            .and_then(|stored| stored.restrict(platform.as_ref(), text))
            .map_err(failure)?;
        for image in &stored.images {
            images.stored_layers(image, text, &session.cancel).map_err(transfer_failure)?;
        }
        let named = stored::named(&session.store, text).map_err(failure)?;
        let names: Vec<Reference> = named.map(|(name, _)| name).into_iter().collect();
        found.push((ImageSet::stored(&stored), names));
    }
    let named: Vec<Named<'_>> = found.iter().map(|(set, names)| Named { set, names }).collect();
    layout::write(&session.store, &named, Flavor::Docker, &dest, Shape::Archive)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    Ok(Exit::Success)
}

/// `rbuild load`
pub fn load(args: &LoadArgs) -> Result<Exit, Failure> {
    let input: Box<dyn Read> = match &args.input {
        Some(path) => Box::new(File::open(path).map_err(|error| {
            Failure::usage_text(
                &format!("cannot open `{}`: {error}", path.display()),
                "name an archive that `rbuild save` or `docker save` wrote",
            )
        })?),
        None => Box::new(stdin()),
    };
    let session = Session::open(Ending::AtOnce)?;
    let loaded = archive::load(&session.store, input)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    for name in loaded.iter().filter(|_| !args.quiet) {
        print(&format!("Loaded image: {name}\n"));
    }
    Ok(Exit::Success)
}

fn tag(
    session: &Session,
    reference: &Reference,
    descriptor: &rbuild_cache::Descriptor,
) -> Result<(), Failure> {
    session
        .store
        .images()
        .tag(&reference.canonical(), descriptor)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))
}

fn mode(quiet: bool) -> Mode {
    if quiet { Mode::Quiet } else { Mode::Auto }
}

fn transfer_failure(error: ImagesError) -> Failure {
    Failure::new(error.exit(), &error, error.help())
}
