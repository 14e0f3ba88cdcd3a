//! The graph: vertices, the edges between them, and what a person wants to know of each.
//!
//! Built bottom up, so it has no cycles by construction: a vertex can only name vertices that are
//! there already. Adding a vertex that is equal to an earlier one gives the earlier one back.

use std::collections::HashMap;
use std::ops::Range;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, EdgeRef, Reversed};
use rbuild_cache::tree::Selector;

use crate::op::Op;

/// Names a vertex of one [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(u32);

/// One input of a vertex: another vertex, and the paths of it that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Whose result is the input.
    pub from: VertexId,
    /// Which paths of that result the op can see.
    pub selector: Selector,
}

/// An op, its inputs, and how a person knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// What to do.
    pub op: Op,
    /// What it is done on; ops name their inputs by position.
    pub inputs: Vec<Edge>,
    /// How a person knows it. Takes no part in any key, nor in equality of vertices.
    pub origin: Origin,
}

/// Where a vertex comes from, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// As progress shows it: `[build 2/5] RUN make`.
    pub title: String,
    /// The bytes of the Dockerfile that it was lowered from.
    pub span: Option<Range<usize>>,
    /// Which step of which stage of which file this is, the same from build to build: a miss is
    /// explained by comparing with the last record of the same slot.
    pub slot: String,
    /// Run it even if it is cached (`--no-cache`).
    pub always_run: bool,
}

/// A set of vertices and the ones that are wanted.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    vertices: DiGraph<Vertex, ()>,
    known: HashMap<Vec<u8>, VertexId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds a vertex, or finds the equal one that is there.
    ///
    /// Every edge must name a vertex of this graph.
    pub fn add(&mut self, vertex: Vertex) -> VertexId {
        let identity = identity(&vertex);
        if let Some(&known) = self.known.get(&identity) {
            return known;
        }
        let inputs: Vec<VertexId> = vertex.inputs.iter().map(|edge| edge.from).collect();
        let node = self.vertices.add_node(vertex);
        for input in inputs {
            self.vertices.add_edge(input.node(), node, ());
        }
        let id = VertexId::of(node);
        self.known.insert(identity, id);
        id
    }

    /// Tells what a source was found to be: before anything is keyed.
    pub fn pin(&mut self, id: VertexId, op: Op) {
        self.vertices[id.node()].op = op;
    }

    /// The vertex of that name.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.node()]
    }

    /// How many vertices there are.
    pub fn len(&self) -> usize {
        self.vertices.node_count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All vertices, inputs before those who use them.
    pub fn in_order(&self) -> impl Iterator<Item = VertexId> + '_ {
        self.vertices.node_indices().map(VertexId::of)
    }

    /// The vertices that read from `id`.
    pub fn users(&self, id: VertexId) -> impl Iterator<Item = VertexId> + '_ {
        self.vertices.edges(id.node()).map(|edge| VertexId::of(edge.target()))
    }

    /// Everything that `targets` need, themselves included, inputs first.
    pub fn needed(&self, targets: &[VertexId]) -> Vec<VertexId> {
        let upstream = Reversed(&self.vertices);
        let mut walk = Dfs::empty(upstream);
        for target in targets {
            walk.move_to(target.node());
            while walk.next(upstream).is_some() {}
        }
        self.in_order().filter(|id| walk.discovered.contains(id.0 as usize)).collect()
    }
}

impl VertexId {
    fn of(node: NodeIndex) -> VertexId {
        VertexId(node.index() as u32)
    }

    fn node(self) -> NodeIndex {
        NodeIndex::new(self.0 as usize)
    }

    /// Its position in the graph, counted from 0 in the order of adding.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What makes two vertices of one graph the same: also the fields that no key sees.
fn identity(vertex: &Vertex) -> Vec<u8> {
    let Vertex { op, inputs, origin } = vertex;
    format!("{op:?} {inputs:?} {}", origin.always_run).into_bytes()
}
