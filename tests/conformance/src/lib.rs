//! The conformance suite: each case is a folder with a Dockerfile and what it needs, and beside it
//! what Docker made of it. The recorder runs Docker; the suite runs rbuild on any machine and
//! compares. `README.md` says how a case is added.
//!
//! Nothing here knows rbuild's insides: both builders are programs that write an OCI archive, and
//! one reader takes it apart.

// This is test code: a panic is how it reports, and a person reads what it prints.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

pub mod archive;
pub mod base;
pub mod builder;
pub mod case;
pub mod compare;
pub mod differences;
pub mod docker;
pub mod file;
pub mod image;
pub mod outcome;
pub mod rbuild;
pub mod rows;
pub mod servers;
pub mod suite;
pub mod tree;
