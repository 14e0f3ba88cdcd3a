//! Where an archive is written: standard output, or a file that is there only when it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::options::Dest;

/// An open destination. Dropped before [`Sink::finish`], a file is gone again.
pub enum Sink {
    /// Standard output.
    Stdout(BufWriter<io::Stdout>),
    /// A file beside its final place.
    File(BufWriter<NamedTempFile>, PathBuf),
    /// A device or a pipe, which is written to as it is.
    Special(BufWriter<File>),
}

/// Why a destination could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", dest.display())]
pub struct SinkError {
    /// The destination.
    pub dest: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Sink {
    /// Opens a destination.
    pub fn open(dest: &Dest) -> Result<Sink, SinkError> {
        match dest {
            Dest::Stdout => Ok(Sink::Stdout(BufWriter::new(io::stdout()))),
            Dest::Path(path) => Sink::at(path).map_err(|source| error(path, source)),
        }
    }

    fn at(path: &Path) -> io::Result<Sink> {
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok(Sink::Special(BufWriter::new(file)));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".rbuild-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        Ok(Sink::File(BufWriter::with_capacity(1 << 20, file), path.to_owned()))
    }

    /// Everything was written.
    pub fn finish(self) -> Result<(), SinkError> {
        match self {
            Sink::Stdout(mut out) => {
                out.flush().map_err(|source| error(Path::new("standard output"), source))
            }
            Sink::Special(mut out) => {
                out.flush().map_err(|source| error(Path::new("the destination"), source))
            }
            Sink::File(out, path) => {
                let file = out.into_inner().map_err(|e| error(&path, e.into_error()))?;
                file.persist(&path).map_err(|e| error(&path, e.error))?;
                Ok(())
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(out) => out.write(bytes),
            Sink::File(out, _) => out.write(bytes),
            Sink::Special(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(out) => out.flush(),
            Sink::File(out, _) => out.flush(),
            Sink::Special(out) => out.flush(),
        }
    }
}

fn error(dest: &Path, source: io::Error) -> SinkError {
    SinkError { dest: dest.to_owned(), source }
}
