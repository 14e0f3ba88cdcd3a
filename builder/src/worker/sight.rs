//! Whose files are looked at in a build, found out before it runs.
//!
//! What is copied onto an image that nobody looks at can be copied without fetching the image, on
//! a guess (`files`). Where a step of the build, or an output, reads the files anyway, there is
//! nothing to be saved, and nothing is guessed.

use std::collections::HashSet;

use rbuild_solver::graph::{Graph, VertexId};
use rbuild_solver::op::Op;

/// What happens to the results of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// They stay here, and are looked at when somebody uses them.
    Kept,
    /// Their bytes are written, or they leave this machine.
    Given,
}

/// The vertices whose files are read by steps, or given out.
pub fn looked_at(graph: &Graph, targets: &[VertexId], outputs: Outputs) -> HashSet<VertexId> {
    let mut seen: HashSet<VertexId> = match outputs {
        Outputs::Kept => HashSet::new(),
        Outputs::Given => targets.iter().copied().collect(),
    };
    for id in graph.needed(targets).into_iter().rev() {
        let vertex = graph.vertex(id);
        let reads = |position| match &vertex.op {
            Op::Copy(op) => op.base != Some(position),
            Op::MakeDir(op) => op.base != Some(position),
            Op::Stack => false,
            _ => true,
        };
        for (position, edge) in vertex.inputs.iter().enumerate() {
            if reads(position) || seen.contains(&id) {
                seen.insert(edge.from);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use rbuild_solver::graph::{Edge, Origin, Vertex};
    use rbuild_solver::op::{ContextOp, CopyOp, MakeDirOp};

    use super::*;

    fn add(graph: &mut Graph, op: Op, inputs: &[VertexId]) -> VertexId {
        let selector = rbuild_cache::tree::Selector::Whole;
        let edge = |from: &VertexId| Edge { from: *from, selector: selector.clone() };
        let inputs = inputs.iter().map(edge).collect();
        graph.add(Vertex { op, inputs, origin: Origin::default() })
    }

    fn context(graph: &mut Graph, name: &str) -> VertexId {
        add(graph, Op::Context(ContextOp { name: name.to_owned() }), &[])
    }

    #[test]
    fn a_source_is_looked_at_and_what_is_copied_onto_is_not() {
        let mut graph = Graph::new();
        let (source, base) = (context(&mut graph, "source"), context(&mut graph, "base"));
        let dir = MakeDirOp { base: Some(0), path: "/a".into(), user: String::new(), mode: 0o755 };
        let dir = add(&mut graph, Op::MakeDir(dir), &[base]);
        let copy = CopyOp {
            base: Some(0),
            sources: Vec::new(),
            dest: "/a/".to_owned(),
            chown: None,
            chmod: None,
        };
        let copy = add(&mut graph, Op::Copy(copy), &[dir, source]);
        assert_eq!(looked_at(&graph, &[copy], Outputs::Kept), HashSet::from([source]));
        let all = HashSet::from([source, base, dir, copy]);
        assert_eq!(looked_at(&graph, &[copy], Outputs::Given), all);
    }
}
