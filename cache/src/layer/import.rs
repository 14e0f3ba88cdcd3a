//! A pulled layer: an archive that somebody else wrote.

use std::fs::File;
use std::io::{self, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::dir::DirWriter;
use super::entry::shown;
use super::indexed::{self, Finished, TAR};
use super::pipe::Pipe;
use super::unpack::{self, Member};
use super::writer::Folder;
use super::{ImportError, Layers, WriteError};
use crate::archive::{BadMember, Input, Stream, TarReader};
use crate::db::Form;
use crate::digest::Digest;
use crate::fs::{self, FsError};
use crate::id::LayerId;

/// Passes bytes on and digests them.
struct Digesting<R> {
    inner: R,
    hasher: Sha256,
}

impl Layers {
    /// Adds the layer whose uncompressed archive `tar` gives to its end. Nothing is kept unless its
    /// digest is `diff_id`. A layer that is here already is not made again, and `tar` not read; one
    /// that was announced is filled in.
    pub fn import(&self, tar: &mut dyn Read, diff_id: &Digest) -> Result<LayerId, ImportError> {
        if let Some(layer) = self.here(diff_id) {
            return Ok(layer);
        }
        let folder = self.folder().map_err(WriteError::from)?;
        match self.form() {
            Form::Directory => self.import_directory(&folder, tar, diff_id),
            Form::Erofs => self.import_indexed(&folder, tar, diff_id),
        }
    }

    /// Unpacks on the way.
    fn import_directory(
        &self,
        folder: &Folder,
        tar: &mut dyn Read,
        diff_id: &Digest,
    ) -> Result<LayerId, ImportError> {
        let mut sink = self.directory(folder).map_err(WriteError::from)?;
        let mut tar = Digesting { inner: tar, hasher: Sha256::new() };
        unpack_into(&mut sink, &mut TarReader::new(Stream(&mut tar)))?;
        // What comes after the archive's end belongs to the digest.
        io::copy(&mut tar, &mut io::sink()).map_err(BadMember::Archive)?;
        check(diff_id, Digest::from_hasher(tar.hasher))?;
        self.place_import(folder, sink, diff_id)
    }

    /// Keeps the archive as it is, and indexes it once it is known to be the right one.
    fn import_indexed(
        &self,
        folder: &Folder,
        tar: &mut dyn Read,
        diff_id: &Digest,
    ) -> Result<LayerId, ImportError> {
        let path = folder.path.join(TAR);
        let mut pipe = Pipe::create(&path).map_err(WriteError::from)?;
        copy(tar, &mut pipe)?;
        let failed = |cause| WriteError::from(FsError::new("write", &path, cause));
        let written = pipe.finish().map_err(failed)?;
        check(diff_id, written.digest)?;
        match indexed::index_tar(&folder.path, &written)? {
            Finished::Indexed(diff_id) => self.fill(folder, Form::Erofs, &diff_id),
            Finished::Unsupported => {
                let sink = self.unpack_tar(folder)?;
                self.place_import(folder, sink, diff_id)
            }
        }
    }

    fn place_import(
        &self,
        folder: &Folder,
        mut sink: DirWriter,
        diff_id: &Digest,
    ) -> Result<LayerId, ImportError> {
        let failed = |cause| WriteError::from(FsError::new("write", &folder.path, cause));
        sink.finish().map_err(failed)?;
        self.fill(folder, Form::Directory, diff_id)
    }

    /// Makes the folder a layer, or the one that was announced.
    fn fill(&self, folder: &Folder, form: Form, diff_id: &Digest) -> Result<LayerId, ImportError> {
        let root = &self.inner.root;
        let placed = match self.by_diff_id(diff_id) {
            Some(announced) => root.fill_layer(announced, &folder.path, form),
            None => root.place_layer(&folder.path, form, Some(*diff_id), None),
        };
        Ok(placed.map_err(WriteError::from)?)
    }

    /// Turns a folder with a tar into one with a directory.
    pub(super) fn unpack_tar(&self, folder: &Folder) -> Result<DirWriter, ImportError> {
        let tar = folder.path.join(TAR);
        let mut sink = self.directory(folder).map_err(WriteError::from)?;
        let file: File = fs::open(&tar).map_err(WriteError::from)?;
        unpack_into(&mut sink, &mut TarReader::new(BufReader::new(file)))?;
        fs::remove_file(&tar).map_err(WriteError::from)?;
        Ok(sink)
    }
}

fn unpack_into<I: Input>(
    sink: &mut DirWriter,
    archive: &mut TarReader<I>,
) -> Result<(), ImportError> {
    while let Some(found) = archive.next().map_err(BadMember::Archive)? {
        let done = match unpack::member(&found)? {
            Member::Entry(entry) => sink.add(&entry, &mut archive.data(&found)),
            Member::Opaque(path) => sink.opaque(&path),
            Member::Ignored => Ok(()),
        };
        done.map_err(|cause| WriteError::Add { path: shown(&found.path), cause })?;
    }
    Ok(())
}

/// Copies all of `tar`, whose errors are not those of the disk.
fn copy(tar: &mut dyn Read, pipe: &mut Pipe) -> Result<(), ImportError> {
    loop {
        match pipe.fill(tar) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BadMember::Archive(error).into()),
        }
    }
}

fn check(expected: &Digest, actual: Digest) -> Result<(), ImportError> {
    if *expected == actual {
        return Ok(());
    }
    Err(ImportError::Mismatch { expected: *expected, actual })
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        Ok(got)
    }
}
