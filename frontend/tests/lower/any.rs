//! Whatever a file says, lowering ends with a graph or with messages, and the graph is sound.

use proptest::prelude::*;

use crate::support::Build;

/// Lines that mean something, many of them wrong.
const LINES: &[&str] = &[
    "FROM busybox AS a",
    "FROM a AS b",
    "FROM onbuild",
    "FROM ${X:-scratch}",
    "ARG X",
    "ARG X=busybox Y=$X",
    "ENV X=${Y:-1} Z=\"$X\"",
    "ENV X=${",
    "WORKDIR ../$Z",
    "USER $X",
    "RUN echo $X",
    "RUN [\"x\"]",
    "RUN <<E\n#!/x\n$X\nE",
    "COPY $X . /",
    "COPY --from=a * /x",
    "COPY --from=0 x y /z/",
    "COPY --from=other x /",
    "COPY <<E /f\n${X#1}\nE",
    "ADD --chmod=$X x y",
    "ONBUILD COPY --from=a x y",
    "ONBUILD RUN $X",
    "EXPOSE $X 80-82",
    "VOLUME $X",
    "ENTRYPOINT x",
    "CMD [\"y\"]",
    "HEALTHCHECK CMD x",
    "STOPSIGNAL $X",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mixture_of_lines_is_lowered_or_refused(
        lines in prop::collection::vec(prop::sample::select(LINES), 0..20),
        first in prop::sample::select(&["FROM busybox", "ARG X=1\nFROM scratch"][..]),
    ) {
        let build = Build::of(&format!("{first}\n{}\n", lines.join("\n")));
        match build.run() {
            Err(found) => {
                prop_assert!(!found.is_empty());
                let inside = |span: &std::ops::Range<usize>| span.end <= build.source.text().len();
                prop_assert!(found.iter().all(|diagnostic| inside(&diagnostic.span)));
            }
            Ok(built) => {
                let layers = built.config().history.iter().filter(|entry| {
                    !entry.empty_layer && entry.comment == "buildkit.dockerfile.v0"
                });
                let graph = &built.graph;
                let needed = graph.needed(built.lowered().target.as_slice());
                // Every layer in the history is a vertex that the target needs.
                prop_assert!(layers.count() <= needed.len());
                prop_assert!(needed.len() <= graph.len());
            }
        }
    }
}
