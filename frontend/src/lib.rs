//! The frontend: Dockerfile text to a graph, without I/O, clock or environment.
//!
//! [`parser::parse`] reads a file, [`stage::stages`] finds its stages and says which images have to
//! be looked up, and [`lower::lower`] makes ops and an image config of what the target needs.
//! [`lint::lint`] finds what works but is better written otherwise. What a registry says of an image
//! is read here too: [`mod@reference`], [`document`], [`config`].
#![forbid(unsafe_code)]

pub mod address;
pub mod ast;
pub mod config;
pub mod diagnostic;
pub mod document;
pub mod expand;
pub mod ignore;
mod lexer;
pub mod lint;
pub mod lower;
pub mod options;
pub mod outline;
pub mod parser;
pub mod platform;
pub mod reference;
mod replay;
mod scope;
pub mod size;
pub mod source;
pub mod stage;

pub use options::{NamedContext, Options, Platforms};
