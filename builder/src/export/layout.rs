//! An OCI image layout, as an archive or as a folder (OCI image-spec, image layout), and the
//! archive that `docker load` reads, which is a layout with a `manifest.json` beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use rbuild_cache::{Descriptor, Digest, Store};
use rbuild_frontend::reference::Reference;
use serde::Serialize;
use serde_json::json;

use super::image::{AssembleError, Documents, Form, descriptor, media_type};
use super::set::ImageSet;
use super::sink::{Sink, SinkError};
use crate::cli::host_platform;
use crate::options::{Dest, Shape};

/// The images of one name, or of several, ready to be written.
pub struct Named<'a> {
    /// The images.
    pub set: &'a ImageSet,
    /// Its names; may be none.
    pub names: &'a [Reference],
}

/// Which documents the layout has besides its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// A plain OCI layout.
    Oci,
    /// With `manifest.json` for `docker load`. It has no word for platforms: of several images of
    /// one name it has the one for this machine, if there is one.
    Docker,
}

/// Why a layout could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The image could not be put together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A blob could not be read.
    #[error("cannot read a blob of the image")]
    Blob(#[from] rbuild_cache::BlobReadError),
    /// The destination could not be opened or finished.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The destination could not be written.
    #[error("cannot write `{dest}`")]
    Write {
        /// The destination.
        dest: String,
        /// Why.
        source: io::Error,
    },
}

/// A file of the layout: bytes made here, or a blob of the store.
enum Member {
    Bytes(Vec<u8>),
    Blob(Digest, u64),
}

/// Writes `images` to `dest`, layers compressed.
pub fn write(
    store: &Store,
    images: &[Named<'_>],
    flavor: Flavor,
    dest: &Dest,
    shape: Shape,
) -> Result<(), LayoutError> {
    let members = members(store, images, flavor)?;
    match (shape, dest) {
        (Shape::Folder, Dest::Path(path)) => write_folder(store, &members, path),
        (Shape::Folder | Shape::Archive, _) => write_archive(store, &members, dest),
    }
}

/// Every file of the layout, in the order of its name.
fn members(
    store: &Store,
    images: &[Named<'_>],
    flavor: Flavor,
) -> Result<Vec<(String, Member)>, LayoutError> {
    let mut blobs = BTreeSet::new();
    let mut index = Vec::new();
    let mut docker = Vec::new();
    for named in images {
        let documents = named.set.documents(store, Form::Gzip)?;
        blobs.insert((documents.top.digest, documents.top.size));
        for image in &documents.images {
            let parts = [&image.manifest, &image.config];
            let all = parts.into_iter().chain(&image.layers);
            blobs.extend(all.map(|blob| (blob.digest, blob.size)));
        }
        let here = named.set.position_for(&host_platform());
        let here = here.and_then(|position| documents.images.get(position));
        docker.extend(here.map(|image| docker_entry(image, named.names)));
        index.extend(entries(&documents.top, named.names));
    }
    let mut members = vec![(
        "oci-layout".to_owned(),
        Member::Bytes(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
    )];
    for (digest, size) in blobs {
        members.push((blob_path(&digest), Member::Blob(digest, size)));
    }
    members.push(("index.json".to_owned(), document(&index_document(&index))));
    if flavor == Flavor::Docker {
        members.push(("manifest.json".to_owned(), document(&docker)));
    }
    members.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(members)
}

/// A descriptor in the layout's index for each name, or one without a name.
fn entries(top: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![top.clone()];
    }
    let named = |name: &Reference| {
        let mut entry = descriptor(&top.media_type, top.digest, top.size);
        let tag = name.tag.clone().unwrap_or_default();
        entry.annotations.insert("io.containerd.image.name".to_owned(), name.canonical());
        entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
        entry
    };
    names.iter().map(named).collect()
}

fn index_document(manifests: &[Descriptor]) -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::INDEX,
        "manifests": manifests,
    })
}

/// The entry of `manifest.json` (Docker image specification v1.2, combined image JSON).
fn docker_entry(documents: &Documents, names: &[Reference]) -> serde_json::Value {
    let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
    let layers = documents.layers.iter();
    let layers: Vec<String> = layers.map(|layer| blob_path(&layer.digest)).collect();
    json!({
        "Config": blob_path(&documents.config.digest),
        "RepoTags": tags,
        "Layers": layers,
    })
}

fn document(value: &impl Serialize) -> Member {
    // These values hold nothing that JSON cannot.
    Member::Bytes(serde_json::to_vec(value).unwrap_or_default())
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn write_archive(
    store: &Store,
    members: &[(String, Member)],
    dest: &Dest,
) -> Result<(), LayoutError> {
    let mut sink = Sink::open(dest)?;
    let mut archive = tar::Builder::new(&mut sink);
    let failed = |source| LayoutError::Write { dest: shown(dest), source };
    for folder in ["blobs/", "blobs/sha256/"] {
        let header = header(tar::EntryType::Directory, 0o755, 0);
        append(&mut archive, header, folder, io::empty()).map_err(failed)?;
    }
    for (name, member) in members {
        let header = header(tar::EntryType::Regular, 0o644, member.size());
        let data = member.open(store)?;
        append(&mut archive, header, name, data).map_err(failed)?;
    }
    archive.finish().map_err(failed)?;
    drop(archive);
    Ok(sink.finish()?)
}

fn append(
    archive: &mut tar::Builder<&mut Sink>,
    mut header: tar::Header,
    name: &str,
    data: impl Read,
) -> io::Result<()> {
    archive.append_data(&mut header, name, data)
}

/// The same bytes each time: no owner, no time.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn write_folder(
    store: &Store,
    members: &[(String, Member)],
    dest: &Path,
) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Write { dest: dest.display().to_string(), source };
    fs::create_dir_all(dest.join("blobs/sha256")).map_err(failed)?;
    for (name, member) in members {
        let mut file = fs::File::create(dest.join(name)).map_err(failed)?;
        io::copy(&mut member.open(store)?, &mut file).map_err(failed)?;
        file.flush().map_err(failed)?;
    }
    Ok(())
}

fn shown(dest: &Dest) -> String {
    match dest {
        Dest::Stdout => "standard output".to_owned(),
        Dest::Path(path) => path.display().to_string(),
    }
}

impl Member {
    fn size(&self) -> u64 {
        match self {
            Member::Bytes(bytes) => bytes.len() as u64,
            Member::Blob(_, size) => *size,
        }
    }

    fn open<'a>(&'a self, store: &Store) -> Result<Box<dyn Read + 'a>, LayoutError> {
        Ok(match self {
            Member::Bytes(bytes) => Box::new(bytes.as_slice()),
            Member::Blob(digest, _) => Box::new(store.blobs().open(digest)?),
        })
    }
}
