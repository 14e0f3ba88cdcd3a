//! rbuild's graph: what to do, in which order, and what need not be done.
//!
//! Pure work on plain data. Nothing here knows a path, a process or a Dockerfile: a
//! [`worker::Worker`] does.
#![forbid(unsafe_code)]

pub mod event;
pub mod graph;
pub mod key;
pub mod op;
pub mod plan;
pub mod platform;
mod queue;
pub mod solve;
pub mod worker;
