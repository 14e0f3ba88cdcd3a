//! Everything that a progress view may know of a solve.
//!
//! Views get events and nothing else. They arrive from several threads in the order in which they
//! happened for each vertex.

use std::time::Duration;

use crate::graph::VertexId;
use crate::plan::MissReason;

/// Something that happened to a vertex.
#[derive(Debug, Clone)]
pub enum Event {
    /// The vertex needs no work: its result is there.
    Hit {
        /// Which vertex.
        vertex: VertexId,
    },
    /// The vertex starts to run.
    Started {
        /// Which vertex.
        vertex: VertexId,
        /// Why it could not be taken from the cache.
        reason: MissReason,
    },
    /// The process of the vertex wrote something.
    Output {
        /// Which vertex.
        vertex: VertexId,
        /// What it wrote, cut anywhere.
        bytes: Vec<u8>,
    },
    /// How far a long transfer or copy is, for vertices that know.
    Progress {
        /// Which vertex.
        vertex: VertexId,
        /// What is moving: a short digest, a file name.
        what: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Something that the user should know and that does not fail the build.
    Notice {
        /// The vertex it concerns, if any.
        vertex: Option<VertexId>,
        /// One line, lower case.
        text: String,
    },
    /// The result is what was asked for and perhaps not what was meant. It is recorded with the
    /// result, and told again whenever the result is taken from the cache.
    Warning {
        /// Which vertex.
        vertex: VertexId,
        /// One line, lower case.
        text: String,
    },
    /// The vertex ended well.
    Done {
        /// Which vertex.
        vertex: VertexId,
        /// How long it took.
        took: Duration,
    },
    /// The vertex failed. What failed it comes back from the solve.
    Failed {
        /// Which vertex.
        vertex: VertexId,
        /// How long it took.
        took: Duration,
    },
    /// The vertex was started or would have been, and another one failed first.
    Canceled {
        /// Which vertex.
        vertex: VertexId,
    },
}
