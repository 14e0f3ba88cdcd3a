//! The frontend: Dockerfile text to a graph, without I/O, clock or environment.

pub mod ast;
pub mod config;
pub mod diagnostic;
pub mod expand;
pub mod ignore;
mod lexer;
pub mod parser;
pub mod source;
