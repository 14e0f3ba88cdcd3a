//! What a build is asked to do: the result of reading flags, files and environment, as data.

mod contexts;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use rbuild_frontend::Options as FrontendOptions;
use rbuild_frontend::reference::Reference;
use rbuild_solver::op::Platform;

use crate::given::Given;
use crate::progress::Mode;
use crate::sandbox::{Entitlement, Limits};
use crate::source::context::NamedSource;
use crate::worker::mount::Devices;

pub use contexts::NamedContexts;

/// One build.
#[derive(Debug)]
pub struct BuildOptions {
    /// The build context as given: a path, an address, or `-`.
    pub context: String,
    /// Named contexts that are files.
    pub contexts: BTreeMap<String, NamedSource>,
    /// `--file` as given.
    pub file: Option<String>,
    /// The names of the image.
    pub tags: Vec<Reference>,
    /// Where the image goes.
    pub outputs: Vec<Output>,
    /// The platforms that are built for, each once; at least one.
    pub platforms: Vec<Platform>,
    /// What the Dockerfile is read with, for the first of them.
    pub frontend: FrontendOptions,
    /// Names and addresses that steps find in /etc/hosts.
    pub extra_hosts: Vec<(String, std::net::IpAddr)>,
    /// What steps and sources are given that ask for it by name.
    pub given: Given,
    /// Devices for steps that ask for them.
    pub devices: Devices,
    /// What steps may have that goes beyond the usual.
    pub allowed: Vec<Entitlement>,
    /// Whether names of images are looked up again.
    pub pull: Pull,
    /// How many steps may run at once; none for as many as are ready.
    pub jobs: Option<NonZeroUsize>,
    /// How much memory the steps that run at once may need, in bytes; none for what is left.
    pub max_memory: Option<u64>,
    /// What a step may use of the machine.
    pub limits: Limits,
    /// How progress is shown.
    pub progress: Mode,
    /// Where the image's id is written.
    pub iidfile: Option<PathBuf>,
    /// Where the result is described as JSON.
    pub metadata_file: Option<PathBuf>,
}

impl BuildOptions {
    /// What the Dockerfile is read with for each platform.
    pub fn readings(&self) -> impl Iterator<Item = FrontendOptions> + '_ {
        let of = |platform: &Platform| FrontendOptions {
            platform: platform.clone(),
            ..self.frontend.clone()
        };
        self.platforms.iter().map(of)
    }
}

/// Whether the name of an image is looked up at its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// An image of that name in the store is taken as it is.
    Missing,
    /// The registry is asked, and the store's image of that name is passed over.
    Always,
}

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Into the store, under its names.
    Store,
    /// To the registries that its names say.
    Registry,
    /// An OCI image layout.
    Oci {
        /// The archive or folder.
        dest: Dest,
        /// One file, or the layout as a folder.
        shape: Shape,
    },
    /// An archive that `docker load` reads.
    Docker(Dest),
    /// The files of the image as an archive.
    Tar(Dest),
    /// The files of the image, in a folder.
    Local(PathBuf),
}

/// Where an exporter writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// Standard output.
    Stdout,
    /// A file or folder.
    Path(PathBuf),
}

/// A layout as one file or as a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A tar file.
    Archive,
    /// A folder.
    Folder,
}

/// Why an `--output` value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Not `key=value,key=value`.
    #[error("`{0}` is not a list of `key=value`")]
    Syntax(String),
    /// A type that there is not.
    #[error("there is no output of type `{0}`: known are image, registry, oci, docker, tar, local")]
    Type(String),
    /// A key that this type does not have.
    #[error("an output of type `{kind}` has no `{key}`")]
    Key {
        /// The type.
        kind: String,
        /// The key.
        key: String,
    },
    /// A value that this key cannot have.
    #[error("`{key}` cannot be `{value}`: it is `true` or `false`")]
    Bool {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// No destination.
    #[error("an output of type `{0}` needs `dest=PATH`")]
    NoDest(String),
    /// A folder cannot be written to standard output.
    #[error("an output of type `{0}` cannot go to standard output")]
    NoStdout(String),
}

impl Output {
    /// Reads an `--output` value: `type=oci,dest=out.tar`, a bare path for a folder, `-` for an
    /// archive of files on standard output.
    pub fn parse(text: &str) -> Result<Vec<Output>, OutputError> {
        match text {
            "-" => Ok(vec![Output::Tar(Dest::Stdout)]),
            _ if !text.contains('=') => Ok(vec![Output::Local(PathBuf::from(text))]),
            _ => Fields::read(text)?.outputs(),
        }
    }

    /// Whether this output takes standard output for itself.
    pub fn is_stdout(&self) -> bool {
        let dest = match self {
            Output::Oci { dest, .. } | Output::Docker(dest) | Output::Tar(dest) => dest,
            Output::Store | Output::Registry | Output::Local(_) => return false,
        };
        *dest == Dest::Stdout
    }
}

/// The fields of one value; what is left over at the end was not known.
struct Fields {
    kind: String,
    fields: BTreeMap<String, String>,
}

impl Fields {
    fn read(text: &str) -> Result<Fields, OutputError> {
        let syntax = || OutputError::Syntax(text.to_owned());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let record = reader.records().next().ok_or_else(syntax)?.map_err(|_| syntax())?;
        let mut fields = BTreeMap::new();
        for field in &record {
            let (key, value) = field.split_once('=').ok_or_else(syntax)?;
            fields.insert(key.trim().to_lowercase(), value.to_owned());
        }
        let kind = fields.remove("type").ok_or_else(syntax)?;
        Ok(Fields { kind, fields })
    }

    fn outputs(mut self) -> Result<Vec<Output>, OutputError> {
        let outputs = match self.kind.as_str() {
            "image" => {
                let push = self.bool("push", false)?;
                if push { vec![Output::Store, Output::Registry] } else { vec![Output::Store] }
            }
            "registry" => vec![Output::Registry],
            "oci" => {
                let shape = if self.bool("tar", true)? { Shape::Archive } else { Shape::Folder };
                let dest = self.dest()?;
                if shape == Shape::Folder && dest == Dest::Stdout {
                    return Err(OutputError::NoStdout("oci,tar=false".into()));
                }
                vec![Output::Oci { dest, shape }]
            }
            "docker" => vec![Output::Docker(self.dest()?)],
            "tar" => vec![Output::Tar(self.dest()?)],
            "local" => match self.dest()? {
                Dest::Stdout => return Err(OutputError::NoStdout("local".into())),
                Dest::Path(path) => vec![Output::Local(path)],
            },
            _ => return Err(OutputError::Type(self.kind)),
        };
        match self.fields.into_keys().next() {
            Some(key) => Err(OutputError::Key { kind: self.kind, key }),
            None => Ok(outputs),
        }
    }

    /// Without `dest`, an archive goes to standard output, as with docker.
    fn dest(&mut self) -> Result<Dest, OutputError> {
        match self.fields.remove("dest").as_deref() {
            None | Some("") if self.kind == "local" => Err(OutputError::NoDest(self.kind.clone())),
            None | Some("-") => Ok(Dest::Stdout),
            Some("") => Err(OutputError::NoDest(self.kind.clone())),
            Some(path) => Ok(Dest::Path(PathBuf::from(path))),
        }
    }

    fn bool(&mut self, key: &str, default: bool) -> Result<bool, OutputError> {
        match self.fields.remove(key).as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(value) => Err(OutputError::Bool { key: key.into(), value: value.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_as_docker_reads_them() {
        let path = |text: &str| Dest::Path(PathBuf::from(text));
        let oci = |dest, shape| vec![Output::Oci { dest, shape }];
        let rows = [
            ("out", vec![Output::Local("out".into())]),
            ("-", vec![Output::Tar(Dest::Stdout)]),
            ("type=image", vec![Output::Store]),
            ("type=image,push=true", vec![Output::Store, Output::Registry]),
            ("type=registry", vec![Output::Registry]),
            ("type=oci,dest=a.tar", oci(path("a.tar"), Shape::Archive)),
            ("dest=a,type=oci,tar=false", oci(path("a"), Shape::Folder)),
            ("type=oci", oci(Dest::Stdout, Shape::Archive)),
            ("type=docker,\"dest=a,b\"", vec![Output::Docker(path("a,b"))]),
            ("type=tar,dest=-", vec![Output::Tar(Dest::Stdout)]),
            ("type=local,dest=x", vec![Output::Local("x".into())]),
        ];
        for (text, expected) in rows {
            assert_eq!(Output::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let rows = [
            ("dest=x", "`dest=x` is not a list of `key=value`"),
            ("type=local", "an output of type `local` needs `dest=PATH`"),
            ("type=local,dest=-", "an output of type `local` cannot go to standard output"),
            ("type=oci,compression=zstd", "an output of type `oci` has no `compression`"),
            ("type=image,push=maybe", "`push` cannot be `maybe`: it is `true` or `false`"),
        ];
        for (text, message) in rows {
            let error = Output::parse(text).map_err(|error| error.to_string());
            assert_eq!(error, Err(message.to_owned()), "{text}");
        }
        assert!(matches!(Output::parse("type=zip"), Err(OutputError::Type(_))));
    }
}
