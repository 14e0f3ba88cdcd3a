//! The parser: a long Dockerfile with everything that is common in one.

use criterion::{Criterion, Throughput};
use rbuild_frontend::parser::parse;
use rbuild_frontend::source::Source;

/// Twelve lines, eleven instructions.
const PART: &str = "\
FROM debian:bookworm AS stage
ARG VERSION=1.2.3
ENV PATH=/opt/tool/bin:$PATH TOOL_VERSION=\"${VERSION:-1}\"
WORKDIR /src/project
RUN apt-get update && \\
    apt-get install -y --no-install-recommends gcc make && \\
    rm -rf /var/lib/apt/lists/*
COPY --chown=1000:1000 package.json lock.json ./
RUN --mount=type=cache,target=/root/.cache make -C src \"all\"
LABEL org.opencontainers.image.version=$VERSION
EXPOSE 80/tcp 443
ENTRYPOINT [\"/usr/bin/tool\", \"--serve\"]
";

/// Text to syntax tree, 1,200 lines.
pub fn dockerfile(criterion: &mut Criterion) {
    let source = Source::new("Dockerfile", PART.repeat(100).into_bytes());
    assert!(!parse(&source).has_errors());
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(source.text().len() as u64));
    group.bench_function("1,200 lines", |bench| bench.iter(|| parse(&source)));
    group.finish();
}
