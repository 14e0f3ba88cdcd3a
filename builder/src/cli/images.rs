//! `rbuild images`, `tag`, `rmi`, `inspect`, `history`: what is in the store.

use jiff::{SpanRound, Timestamp, Unit};
use rbuild_frontend::reference::Reference;
use rbuild_solver::op::Platform;
use serde_json::{Value, json};

use super::build::platform;
use super::help::print;
use super::session::{Ending, Failure, Session};
use super::table::table;
use crate::exit::Exit;
use crate::progress::{Mode, Progress, size};
use crate::source::images::Images;
use crate::source::stored::{self, Listed, Stored};

/// Flags of `rbuild images`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only print ids
    #[arg(short, long)]
    quiet: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// First write what the store lacks of the images, so that other tools can read it in place
    #[arg(long)]
    complete: bool,
}

/// Flags of `rbuild tag`.
#[derive(Debug, clap::Args)]
pub struct TagArgs {
    /// The image, by name or id
    image: String,
    /// Its new name
    name: String,
}

/// Flags of `rbuild rmi`.
#[derive(Debug, clap::Args)]
pub struct RmiArgs {
    /// The images, by name; by id, all its names are taken
    #[arg(required = true)]
    images: Vec<String>,
}

/// Flags of `rbuild inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// Which image of several, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The images, by name or id
    #[arg(required = true)]
    images: Vec<String>,
}

/// Flags of `rbuild history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Which image of several, `os/arch[/variant]` [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// The image, by name or id
    image: String,
    /// Print whole lines
    #[arg(long)]
    no_trunc: bool,
}

/// `rbuild images`
pub fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let session = Session::open(if args.complete { Ending::InOrder } else { Ending::AtOnce })?;
    if args.complete {
        complete(&session)?;
    }
    let mut rows = Vec::new();
    let Listed { images, damaged } = stored::all(&session.store).map_err(failure)?;
    for (name, image) in images {
        let id = id(&image, args.no_trunc);
        if args.quiet {
            rows.push(vec![id]);
            continue;
        }
        let (repository, tag) = split(&name);
        let created = image.images.iter().filter_map(|image| image.config.created.as_deref());
        rows.push(vec![repository, tag, id, age(created.max()), size(image.size())]);
    }
    if args.quiet {
        rows.dedup();
        print(&rows.iter().map(|row| format!("{}\n", row[0])).collect::<String>());
    } else {
        print(&table(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows));
    }
    damaged.into_iter().next().map_or(Ok(Exit::Success), |error| Err(failure(error)))
}

/// Makes blobs of all layers that the images name: those of bases are fetched, those of this store
/// are written.
fn complete(session: &Session) -> Result<(), Failure> {
    let images = Images::open(session, &Progress::new(Mode::Quiet))?;
    for (name, stored) in stored::all(&session.store).map_err(failure)?.images {
        for image in &stored.images {
            images
                .complete(image, &name, &session.cancel)
                .map_err(|error| Failure::new(error.exit(), &error, error.help()))?;
        }
    }
    Ok(())
}

/// `rbuild tag`
pub fn tag(args: &TagArgs) -> Result<Exit, Failure> {
    let name = args.name.parse::<Reference>().map_err(Failure::usage)?;
    let session = Session::open(Ending::AtOnce)?;
    let image = stored::find(&session.store, &args.image).map_err(failure)?;
    session
        .store
        .images()
        .tag(&name.canonical(), &image.descriptor)
        .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
    Ok(Exit::Success)
}

/// `rbuild rmi`
pub fn rmi(args: &RmiArgs) -> Result<Exit, Failure> {
    let session = Session::open(Ending::AtOnce)?;
    for text in &args.images {
        for name in names(&session, text)? {
            session
                .store
                .images()
                .untag(&name)
                .map_err(|error| Failure::new(Exit::Machine, &error, None))?;
            print(&format!("Untagged: {}\n", familiar(&name)));
        }
    }
    Ok(Exit::Success)
}

/// The names that `rmi` takes away: the one that was given, whatever it stands for, or all of an id.
fn names(session: &Session, text: &str) -> Result<Vec<String>, Failure> {
    let known = session.store.images().list().map_err(|error| failure(error.into()))?;
    let given = text.parse::<Reference>().ok().map(|reference| reference.canonical());
    if let Some(given) = given.filter(|given| known.iter().any(|image| image.name == *given)) {
        return Ok(vec![given]);
    }
    let image = stored::find(&session.store, text).map_err(failure)?;
    names_of(session, &image)
}

/// `rbuild inspect`
pub fn inspect(args: &InspectArgs) -> Result<Exit, Failure> {
    let platform = args.platform.as_deref().map(platform).transpose()?;
    let session = Session::open(Ending::AtOnce)?;
    let images = args.images.iter().map(|text| inspected(&session, text, platform.as_ref()));
    let images = images.collect::<Result<Vec<Value>, Failure>>()?;
    print(&format!("{:#}\n", Value::Array(images)));
    Ok(Exit::Success)
}

/// The fields that `docker image inspect` prints, and the manifest.
fn inspected(session: &Session, text: &str, platform: Option<&Platform>) -> Result<Value, Failure> {
    let stored = stored::find(&session.store, text).map_err(failure)?;
    let (top, names) = (stored.descriptor.clone(), names_of(session, &stored)?);
    let names: Vec<String> = names.iter().map(|name| familiar(name)).collect();
    let image = stored.choose(platform, text).map_err(failure)?;
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let config = parse(&image.config_bytes);
    let bytes: u64 = image.layers.iter().map(|layer| layer.size).sum();
    Ok(json!({
        "Id": image.config_descriptor.digest,
        "RepoTags": names,
        "Created": config["created"],
        "Author": config["author"].as_str().unwrap_or_default(),
        "Architecture": config["architecture"],
        "Variant": config["variant"].as_str().unwrap_or_default(),
        "Os": config["os"],
        "Size": bytes,
        "Config": config["config"],
        "RootFS": { "Type": "layers", "Layers": config["rootfs"]["diff_ids"] },
        "Descriptor": top,
        "Manifest": parse(&image.manifest),
    }))
}

/// The canonical names of an image.
fn names_of(session: &Session, image: &Stored) -> Result<Vec<String>, Failure> {
    let all = stored::all(&session.store).map_err(failure)?.images;
    let same = all.into_iter().filter(|(_, other)| other.id() == image.id());
    Ok(same.map(|(name, _)| name).collect())
}

/// `rbuild history`
pub fn history(args: &HistoryArgs) -> Result<Exit, Failure> {
    let platform = args.platform.as_deref().map(platform).transpose()?;
    let session = Session::open(Ending::AtOnce)?;
    let image = stored::find(&session.store, &args.image)
        .and_then(|stored| stored.choose(platform.as_ref(), &args.image))
        .map_err(failure)?;
    let mut sizes = image.layers.iter().map(|layer| layer.size);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for entry in &image.config.history {
        let bytes = if entry.empty_layer { 0 } else { sizes.next().unwrap_or(0) };
        let by = match args.no_trunc {
            true => entry.created_by.clone(),
            false => shortened(&entry.created_by, 60),
        };
        rows.push(vec![age(entry.created.as_deref()), by, size(bytes), entry.comment.clone()]);
    }
    rows.reverse();
    print(&table(&["CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows));
    Ok(Exit::Success)
}

/// An error of the store's images, told with what to do.
pub fn failure(error: stored::StoredError) -> Failure {
    Failure::new(Exit::Machine, &error, error.help())
}

fn id(image: &Stored, whole: bool) -> String {
    let digest = image.id();
    if whole { digest.to_string() } else { digest.hex()[..12].to_owned() }
}

fn familiar(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

fn split(name: &str) -> (String, String) {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let tag = reference.tag.unwrap_or_else(|| "<none>".to_owned());
            (reference.repository.familiar(), tag)
        }
        Err(_) => (name.to_owned(), "<none>".to_owned()),
    }
}

fn shortened(text: &str, most: usize) -> String {
    let line = text.replace(['\n', '\t'], " ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How long ago, in its largest unit.
fn age(created: Option<&str>) -> String {
    let since = created
        .and_then(|text| text.parse::<Timestamp>().ok())
        .and_then(|time| Timestamp::now().since(time).ok())
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Hour)).ok());
    let Some(span) = since else { return "unknown".to_owned() };
    let hours = span.get_hours();
    match (hours, span.get_minutes(), span.get_seconds()) {
        (0, 0, seconds) => plural(seconds.max(0), "second"),
        (0, minutes, _) => plural(minutes, "minute"),
        (..48, ..) => plural(i64::from(hours), "hour"),
        (..1440, ..) => plural(i64::from(hours / 24), "day"),
        (..17520, ..) => plural(i64::from(hours / 720), "month"),
        _ => plural(i64::from(hours / 8760), "year"),
    }
}

fn plural(count: impl Into<i64>, unit: &str) -> String {
    let count = count.into();
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}
