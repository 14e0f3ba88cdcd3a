//! The end of a build: the image is put together and goes where it was asked to go.

use std::fs;
use std::path::Path;

use rbuild_cache::{Descriptor, Snapshot};
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::lower::Lowered;
use rbuild_frontend::reference::Reference;
use rbuild_solver::graph::{Graph, VertexId};
use rbuild_solver::op::{ImageOp, Op};
use serde_json::json;

use super::{BuildError, Built};
use crate::cli::Session;
use crate::export::{Flavor, Form, Image, Named, Parts, files, layout};
use crate::options::{BuildOptions, Dest, Output, Shape};
use crate::progress::Progress;
use crate::source::images::Images;
use crate::worker;
use crate::worker::sight::Outputs;

/// Whether anything but the store gets the result.
pub fn kind(outputs: &[Output]) -> Outputs {
    match outputs.iter().all(|output| matches!(output, Output::Store)) {
        true => Outputs::Kept,
        false => Outputs::Given,
    }
}

/// A build whose steps are done.
pub struct Finished {
    config: ImageConfig,
    base: Option<ImageOp>,
    snapshot: Snapshot,
}

impl Finished {
    /// The result of the target, on whatever base it stands.
    pub fn new(lowered: &Lowered, target: VertexId, output: worker::Output) -> Finished {
        let snapshot = match output {
            worker::Output::Snapshot(snapshot) => snapshot,
            worker::Output::Context(_) => Snapshot::default(),
        };
        let base = base_of(&lowered.graph, target);
        Finished { config: lowered.config.clone(), base, snapshot }
    }

    /// An image of `FROM scratch` and nothing that makes a layer.
    pub fn without_layers(lowered: &Lowered) -> Finished {
        let config = lowered.config.clone();
        Finished { config, base: None, snapshot: Snapshot::default() }
    }

    /// Puts the image together and writes every output.
    pub fn write(
        self,
        options: &BuildOptions,
        session: &Session,
        images: &Images,
        progress: &Progress,
    ) -> Result<Built, BuildError> {
        let phase = progress.phase("exporting the image");
        let base = match &self.base {
            Some(base) => images.layers_of(base),
            None => Vec::new(),
        };
        let epoch = options.frontend.epoch;
        let parts = Parts { config: self.config, base, snapshot: &self.snapshot, epoch };
        let image = Image::assemble(&session.store, parts)?;
        let export =
            Export { image: &image, snapshot: &self.snapshot, options, session, images, progress };
        let mut exported = None;
        for output in &options.outputs {
            exported = export.write(output)?.or(exported);
        }
        export.describe(exported.as_ref())?;
        phase.done();
        Ok(Built { id: image.id() })
    }
}

/// The image at the bottom of a vertex's tree.
fn base_of(graph: &Graph, vertex: VertexId) -> Option<ImageOp> {
    let vertex = graph.vertex(vertex);
    let below = match &vertex.op {
        Op::Image(image) => return Some(image.clone()),
        Op::Exec(op) => op.root,
        Op::Copy(op) => op.base,
        Op::MakeDir(op) => op.base,
        Op::Stack => Some(0),
        Op::Context(_) | Op::Http(_) | Op::Git(_) => None,
    };
    base_of(graph, vertex.inputs.get(below?)?.from)
}

/// What every output is written from.
struct Export<'a> {
    image: &'a Image,
    snapshot: &'a Snapshot,
    options: &'a BuildOptions,
    session: &'a Session,
    images: &'a Images,
    progress: &'a Progress,
}

impl Export<'_> {
    /// Writes one output; gives the manifest, if there is one.
    fn write(&self, output: &Output) -> Result<Option<Descriptor>, BuildError> {
        let store = &self.session.store;
        match output {
            Output::Store => return self.store().map(Some),
            Output::Registry => return self.push().map(Some),
            Output::Oci { dest, shape } => self.layout(Flavor::Oci, dest, *shape)?,
            Output::Docker(dest) => self.layout(Flavor::Docker, dest, Shape::Archive)?,
            Output::Tar(dest) => {
                self.fetch()?;
                files::write_tar(store, self.snapshot, dest, self.options.frontend.epoch)?;
                return Ok(None);
            }
            Output::Local(dest) => {
                self.fetch()?;
                files::write_folder(store, self.snapshot, dest, &self.session.isolation)?;
                return Ok(None);
            }
        }
        Ok(Some(self.image.documents(store, Form::Gzip)?.manifest))
    }

    fn store(&self) -> Result<Descriptor, BuildError> {
        let manifest = self.image.documents(&self.session.store, Form::Stored)?.manifest;
        if self.options.tags.is_empty() {
            self.session.store.images().keep(&manifest)?;
        }
        for tag in &self.options.tags {
            self.session.store.images().tag(&tag.canonical(), &manifest)?;
            self.progress.notice(&format!("stored as {}", tag.familiar()));
        }
        Ok(manifest)
    }

    fn push(&self) -> Result<Descriptor, BuildError> {
        self.images.before_sending(self.image, &self.session.cancel)?;
        let documents = self.image.documents(&self.session.store, Form::Gzip)?;
        for tag in &self.options.tags {
            let phase = self.progress.phase(&format!("pushing {}", tag.canonical()));
            self.images.push(tag, &documents, &|_, _, _| {}, &self.session.cancel)?;
            phase.done();
        }
        Ok(documents.manifest)
    }

    /// Fetches what nothing needed so far.
    fn fetch(&self) -> Result<(), BuildError> {
        Ok(self.images.need(self.snapshot, &|_, _, _| {}, &self.session.cancel)?)
    }

    fn layout(&self, flavor: Flavor, dest: &Dest, shape: Shape) -> Result<(), BuildError> {
        self.fetch()?;
        let named = Named { image: self.image, names: &self.options.tags };
        Ok(layout::write(&self.session.store, &[named], flavor, dest, shape)?)
    }

    /// Writes `--iidfile` and `--metadata-file`, with the keys that buildx writes.
    fn describe(&self, manifest: Option<&Descriptor>) -> Result<(), BuildError> {
        if let Some(path) = &self.options.iidfile {
            write_file(path, self.image.id().to_string().as_bytes())?;
        }
        let Some(path) = &self.options.metadata_file else { return Ok(()) };
        let names: Vec<String> = self.options.tags.iter().map(Reference::canonical).collect();
        let mut metadata = json!({ "containerimage.config.digest": self.image.id() });
        if let Some(manifest) = manifest {
            metadata["containerimage.digest"] = json!(manifest.digest);
            metadata["containerimage.descriptor"] = json!(manifest);
        }
        if !names.is_empty() {
            metadata["image.name"] = json!(names.join(","));
        }
        write_file(path, format!("{metadata:#}\n").as_bytes())
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(|source| BuildError::File { path: path.to_owned(), source })
}
