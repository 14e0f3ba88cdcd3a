//! Writes the image: its documents, and where they and the layers go.

mod created;
pub mod files;
pub mod image;
pub mod layout;
pub mod set;
mod sink;

pub use files::FilesError;
pub use image::{AssembleError, Documents, Form, Image, Parts};
pub use layout::{Flavor, LayoutError, Named};
pub use set::{ImageSet, SetDocuments};
