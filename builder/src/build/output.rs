//! The end of a build: the images are put together and go where they were asked to go.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rbuild_cache::{Descriptor, Digest, Snapshot};
use rbuild_frontend::config::ImageConfig;
use rbuild_frontend::lower::Lowered;
use rbuild_frontend::reference::Reference;
use rbuild_solver::graph::{Graph, VertexId};
use rbuild_solver::op::{ImageOp, Op, Platform};
use serde_json::{Value, json};

use super::variant::Work;
use super::{BuildError, Built};
use crate::cli::Session;
use crate::export::{
    AssembleError, Flavor, Form, Image, ImageSet, Named, Parts, SetDocuments, files, layout,
};
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
    images: Vec<FinishedImage>,
}

/// What came of it for one platform.
struct FinishedImage {
    platform: Platform,
    config: ImageConfig,
    base: Option<ImageOp>,
    snapshot: Snapshot,
}

impl Finished {
    /// The images of these platforms, from what came of the targets.
    pub fn new(
        work: &Work,
        platforms: &[Platform],
        results: &HashMap<VertexId, worker::Output>,
    ) -> Finished {
        let one = |(platform, lowered): (&Platform, &Lowered)| FinishedImage {
            platform: platform.clone(),
            config: lowered.config.clone(),
            base: lowered.target.and_then(|target| base_of(&work.graph, target)),
            snapshot: match lowered.target.and_then(|target| results.get(&target)) {
                Some(worker::Output::Snapshot(snapshot)) => snapshot.clone(),
                // An image of `FROM scratch` and nothing that makes a layer.
                Some(worker::Output::Context(_)) | None => Snapshot::default(),
            },
        };
        Finished { images: platforms.iter().zip(&work.platforms).map(one).collect() }
    }

    /// Puts the images together and writes every output.
    pub fn write(
        &self,
        options: &BuildOptions,
        session: &Session,
        images: &Images,
        progress: &Progress,
    ) -> Result<Built, BuildError> {
        let title = if self.images.len() == 1 { "the image" } else { "the images" };
        let phase = progress.phase(&format!("exporting {title}"));
        let one = |image: &FinishedImage| {
            Ok((image.platform.clone(), image.assemble(options, session, images)?))
        };
        let all = self.images.iter().map(one).collect::<Result<_, AssembleError>>()?;
        let set = ImageSet { images: all, original: None };
        let trees = self.images.iter().map(|image| (&image.platform, &image.snapshot)).collect();
        let export = Export { set: &set, trees, options, session, images, progress };
        export.tell_depth();
        let mut exported = None;
        for output in &options.outputs {
            exported = export.write(output)?.or(exported);
        }
        let id = export.describe(exported)?;
        phase.done();
        Ok(Built { id })
    }
}

impl FinishedImage {
    fn assemble(
        &self,
        options: &BuildOptions,
        session: &Session,
        images: &Images,
    ) -> Result<Image, AssembleError> {
        let parts = Parts {
            config: self.config.clone(),
            base: self.base.as_ref().map(|base| images.layers_of(base)).unwrap_or_default(),
            snapshot: &self.snapshot,
            epoch: options.frontend.epoch,
        };
        Image::assemble(&session.store, parts)
    }
}

/// The image at the bottom of a vertex's tree.
fn base_of(graph: &Graph, mut id: VertexId) -> Option<ImageOp> {
    loop {
        let vertex = graph.vertex(id);
        let below = match &vertex.op {
            Op::Image(image) => return Some(image.clone()),
            Op::Exec(op) => op.root,
            Op::Copy(op) => op.base,
            Op::MakeDir(op) => op.base,
            Op::Stack => Some(0),
            Op::Context(_) | Op::Http(_) | Op::Git(_) => None,
        };
        id = vertex.inputs.get(below?)?.from;
    }
}

/// The deepest image that dockerd takes where it does not use containerd's image store (moby,
/// `layer/layer_store.go`).
const DOCKER_LAYERS: usize = 125;

/// What every output is written from.
struct Export<'a> {
    set: &'a ImageSet,
    trees: Vec<(&'a Platform, &'a Snapshot)>,
    options: &'a BuildOptions,
    session: &'a Session,
    images: &'a Images,
    progress: &'a Progress,
}

impl Export<'_> {
    /// Writes one output; gives the documents, if there are some.
    fn write(&self, output: &Output) -> Result<Option<SetDocuments>, BuildError> {
        let store = &self.session.store;
        match output {
            Output::Store => return self.store().map(Some),
            Output::Registry => return self.push().map(Some),
            Output::Oci { dest, shape } => self.layout(Flavor::Oci, dest, *shape)?,
            Output::Docker(dest) => self.layout(Flavor::Docker, dest, Shape::Archive)?,
            Output::Tar(dest) => {
                self.fetch()?;
                files::write_tar(store, &self.trees, dest, self.options.frontend.epoch)?;
                return Ok(None);
            }
            Output::Local(dest) => {
                self.fetch()?;
                files::write_folder(store, &self.trees, dest, &self.session.isolation)?;
                return Ok(None);
            }
        }
        Ok(Some(self.set.documents(store, Form::Gzip)?))
    }

    /// Says when an image is deeper than some of those who may get it can lay over each other.
    fn tell_depth(&self) {
        let is_image = |output: &Output| !matches!(output, Output::Tar(_) | Output::Local(_));
        let deepest = self.set.images.iter().map(|(_, image)| image.layers.len()).max();
        if let Some(layers) = deepest.filter(|layers| *layers > DOCKER_LAYERS)
            && self.options.outputs.iter().any(is_image)
        {
            self.progress.notice(&format!(
                "the image has {layers} layers, and Docker's classic image store takes \
                 {DOCKER_LAYERS}: a last stage with `COPY --from=STAGE / /` makes them one"
            ));
        }
    }

    fn store(&self) -> Result<SetDocuments, BuildError> {
        let documents = self.set.documents(&self.session.store, Form::Stored)?;
        if self.options.tags.is_empty() {
            self.session.store.images().keep(&documents.top)?;
        }
        for tag in &self.options.tags {
            self.session.store.images().tag(&tag.canonical(), &documents.top)?;
            self.progress.notice(&format!("stored as {}", tag.familiar()));
        }
        Ok(documents)
    }

    fn push(&self) -> Result<SetDocuments, BuildError> {
        for (_, image) in &self.set.images {
            self.images.before_sending(image, &self.session.cancel)?;
        }
        let documents = self.set.documents(&self.session.store, Form::Gzip)?;
        for tag in &self.options.tags {
            let phase = self.progress.phase(&format!("pushing {}", tag.canonical()));
            self.images.push(tag, &documents, &|_, _, _| {}, &self.session.cancel)?;
            phase.done();
        }
        Ok(documents)
    }

    /// Fetches what nothing needed so far.
    fn fetch(&self) -> Result<(), BuildError> {
        for (_, snapshot) in &self.trees {
            self.images.need(snapshot, &|_, _, _| {}, &self.session.cancel)?;
        }
        Ok(())
    }

    fn layout(&self, flavor: Flavor, dest: &Dest, shape: Shape) -> Result<(), BuildError> {
        self.fetch()?;
        let named = Named { set: self.set, names: &self.options.tags };
        Ok(layout::write(&self.session.store, &[named], flavor, dest, shape)?)
    }

    /// Writes `--iidfile` and `--metadata-file`, with the keys that buildx writes; gives the id.
    fn describe(&self, exported: Option<SetDocuments>) -> Result<Digest, BuildError> {
        let id = match (&exported, self.set.images.as_slice()) {
            (Some(documents), _) => self.set.id(documents),
            (None, [(_, only)]) => only.id(),
            (None, _) => self.set.id(&self.set.documents(&self.session.store, Form::Stored)?),
        };
        if let Some(path) = &self.options.iidfile {
            write_file(path, id.to_string().as_bytes())?;
        }
        if let Some(path) = &self.options.metadata_file {
            let metadata = self.metadata(id, exported.map(|documents| documents.top));
            write_file(path, format!("{metadata:#}\n").as_bytes())?;
        }
        Ok(id)
    }

    fn metadata(&self, id: Digest, top: Option<Descriptor>) -> Value {
        let names: Vec<String> = self.options.tags.iter().map(Reference::canonical).collect();
        let mut metadata = json!({});
        if self.set.images.len() == 1 {
            metadata["containerimage.config.digest"] = json!(id);
        }
        if let Some(top) = top {
            metadata["containerimage.digest"] = json!(top.digest);
            metadata["containerimage.descriptor"] = json!(top);
        }
        if !names.is_empty() {
            metadata["image.name"] = json!(names.join(","));
        }
        metadata
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(|source| BuildError::File { path: path.to_owned(), source })
}
