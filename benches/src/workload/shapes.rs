//! The workloads of the report: their Dockerfiles and the files beside them.

use std::fmt::Write;
use std::io::{self, Write as _};

use super::{Context, Files, Scale, Shape, WARM, Workload};
use crate::random::{Random, Stock};
use crate::results::Phase;

/// The rows of the report.
pub fn workloads() -> Vec<Workload> {
    use Phase::{Alone, Cold, Nocache, Noop, Tar, Touch};
    let row = |name, about, phases: &[Phase], touch| Workload {
        name,
        about,
        size: None,
        contexts: vec![String::from(name)],
        phases: phases.to_vec(),
        touch,
        alone: None,
    };
    vec![
        row("steps", "30 RUN after each other", &[Nocache, Noop], None),
        row("fan", "8 stages that sleep a second", &[Nocache], None),
        row(
            "tree",
            "COPY of 20,000 files, 160 MB, beside 20,000 ignored ones",
            &[Nocache, Noop, Touch],
            Some("part1/module1/touched.c"),
        ),
        row("blob", "COPY of 320 MB and RUN cp", &[Nocache, Tar], None),
        Workload {
            alone: Some(super::Alone { context: "code-alone", command: COMPILE }),
            ..row(
                "code",
                "60 C files compiled in three stages",
                &[Alone, Nocache, Noop, Touch],
                Some("src/touched.c"),
            )
        },
        row("base", "RUN true on a base of 470 MB", &[Cold], None),
        row("copyonly", "COPY and ENV on a base of 470 MB", &[Cold], None),
    ]
}

/// The context of this name.
pub fn shape(name: &str, scale: Scale) -> Shape {
    let busybox = "FROM BASES/library/busybox\n";
    let heavy = format!("FROM BASES/{}\n", super::heavy::name(scale));
    let (dockerfile, files): (String, Files) = match name {
        WARM => (warm(), nothing()),
        "steps" => (steps(scale.pick(30, 3)), nothing()),
        "fan" => (fan(scale.pick(8, 2), scale.pick(1, 0)), nothing()),
        "tree" => (
            format!("{busybox}WORKDIR /src\nCOPY . .\nRUN ls | wc -l\n"),
            Box::new(move |context| tree(context, scale.pick(20_000, 200))),
        ),
        "blob" => (
            format!("{busybox}COPY data.bin /data.bin\nRUN cp /data.bin /copy.bin\n"),
            Box::new(move |context| blob(context, scale.pick(160, 1))),
        ),
        "code" => {
            let dockerfile = format!("{TO_COMPILE}RUN {COMPILE}\n{THEN}");
            (dockerfile, Box::new(move |context| code(context, scale.pick(60, 2))))
        }
        "code-alone" => {
            (TO_COMPILE.into(), Box::new(move |context| code(context, scale.pick(60, 2))))
        }
        "base" => (format!("{heavy}RUN [\"/bin/true\"]\n"), nothing()),
        "copyonly" => (format!("{heavy}COPY Dockerfile /Dockerfile\nENV A=1\n"), nothing()),
        other => unreachable!("no workload has the context `{other}`"),
    };
    Shape { dockerfile, files }
}

/// No files but the Dockerfile.
pub fn nothing() -> Files {
    Box::new(|_| Ok(()))
}

/// A chain of `RUN`.
pub fn steps(count: usize) -> String {
    let steps = (0..count).map(|n| format!("RUN echo {n} >/file{n}\n"));
    steps.fold("FROM BASES/library/busybox\n".into(), |file, step| file + &step)
}

/// Stages that need nothing of each other, and one that needs them all.
pub fn fan(count: usize, seconds: usize) -> String {
    let mut file = String::new();
    let mut copies = String::new();
    for n in 0..count {
        let _ = writeln!(file, "FROM BASES/library/busybox AS s{n}");
        let _ = writeln!(file, "RUN sleep {seconds} && echo {n} >/result{n}");
        let _ = writeln!(copies, "COPY --from=s{n} /result{n} /");
    }
    file + "FROM BASES/library/busybox\n" + &copies
}

fn warm() -> String {
    let bases = ["busybox", "gcc:12", "debian:bookworm-slim"];
    let stages = bases
        .iter()
        .enumerate()
        .map(|(n, base)| format!("FROM BASES/library/{base} AS b{n}\nRUN echo >/made{n}\n"));
    let copies: String =
        (0..bases.len()).map(|n| format!("COPY --from=b{n} /made{n} /\n")).collect();
    stages.collect::<String>() + "FROM scratch\n" + &copies
}

/// What a repository with many parts looks like, with what its package manager left there.
fn tree(context: &Context, count: usize) -> io::Result<()> {
    let mut random = Random::new(1);
    let stock = Stock::new(&mut random, 1 << 20);
    context.write(".dockerignore", b"**/node_modules\n**/*.log\n**/*.tmp\n")?;
    for n in 0..count {
        let size = random.length(8000, 60_000);
        let path = format!("part{}/module{}/file{n}.c", n % 50, n % 400);
        context.write(&path, stock.piece(&mut random, size))?;
        let ignored = format!("part{}/node_modules/package{}/file{n}.js", n % 50, n % 300);
        context.write(&ignored, stock.piece(&mut random, 1500))?;
    }
    Ok(())
}

/// One file, half of which does not compress.
fn blob(context: &Context, megabytes: usize) -> io::Result<()> {
    let mut random = Random::new(2);
    let mut file = io::BufWriter::new(std::fs::File::create(context.path.join("data.bin"))?);
    for _ in 0..megabytes {
        file.write_all(&random.noise(1 << 20))?;
        file.write_all(&random.text(1 << 20))?;
    }
    file.flush()
}

const TO_COMPILE: &str = "FROM BASES/library/gcc:12 AS build
WORKDIR /app
COPY Makefile .
COPY src src
";

const COMPILE: &str = "make -s -j2 app";

const THEN: &str = "FROM BASES/library/gcc:12 AS count
WORKDIR /app
COPY src src
RUN cat src/*.c | wc -l >/lines
FROM BASES/library/debian:bookworm-slim
COPY --from=build /app/app /usr/local/bin/app
COPY --from=count /lines /lines
RUN app
CMD [\"app\"]
";

const MAKEFILE: &[u8] = b"objects = $(patsubst %.c,%.o,$(wildcard src/*.c))
app: $(objects)
\tgcc -o $@ $^
%.o: %.c
\tgcc -O1 -c -o $@ $<
";

fn code(context: &Context, count: usize) -> io::Result<()> {
    context.write("Makefile", MAKEFILE)?;
    let mut calls = String::new();
    let mut declarations = String::from("#include <stdio.h>\n");
    for unit in 0..count {
        let functions: String = (0..120).map(|n| function(unit, n)).collect();
        let text =
            format!("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{functions}");
        context.write(&format!("src/unit{unit}.c"), text.as_bytes())?;
        let _ = writeln!(declarations, "long unit{unit}_0(long seed);");
        let _ = writeln!(calls, "\tsum += unit{unit}_0(sum);");
    }
    let main = format!(
        "{declarations}int main(void)\n{{\n\tlong sum = 0;\n{calls}\tprintf(\"%ld\\n\", sum);\n}}\n"
    );
    context.write("src/main.c", main.as_bytes())
}

fn function(unit: usize, n: usize) -> String {
    format!(
        "long unit{unit}_{n}(long seed)\n{{\n\tchar digits[32];\n\
         \tsnprintf(digits, sizeof digits, \"%ld\", seed + {n});\n\
         \tfor (char *c = digits; *c; c++)\n\t\tseed = seed * 31 + *c;\n\
         \treturn seed % {} + (long)strlen(digits) + strtol(digits, NULL, 16);\n}}\n",
        n + 7
    )
}
