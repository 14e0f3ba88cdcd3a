//! The series: the same build, larger and larger, to see how its cost grows.

use std::io;

use super::shapes::{fan, nothing, steps};
use super::{Context, Scale, Shape, Workload};
use crate::random::{Random, Stock};
use crate::results::Phase;

/// A series.
struct Series {
    name: &'static str,
    about: &'static str,
    sizes: &'static [u32],
    phases: &'static [Phase],
}

fn series(scale: Scale) -> [Series; 4] {
    use Phase::{Nocache, Noop};
    [
        Series {
            name: "files",
            about: "files copied",
            sizes: scale.pick([1_000, 10_000, 100_000].as_slice(), &[10, 100]),
            phases: &[Nocache, Noop],
        },
        Series {
            name: "runs",
            about: "RUN steps in one stage",
            sizes: scale.pick([10, 100, 1_000].as_slice(), &[2, 101]),
            phases: &[Nocache, Noop],
        },
        Series {
            name: "stages",
            about: "stages side by side",
            sizes: scale.pick([1, 10, 100].as_slice(), &[1, 3]),
            phases: &[Nocache, Noop],
        },
        Series {
            name: "builds",
            about: "builds of 10 RUN steps at once",
            sizes: scale.pick([1, 2, 3, 4].as_slice(), &[1, 2]),
            phases: &[Nocache],
        },
    ]
}

/// One workload for each size of each series.
pub fn workloads(scale: Scale) -> Vec<Workload> {
    let of_series = |series: &Series| -> Vec<Workload> {
        let workload = |&size: &u32| Workload {
            name: series.name,
            about: series.about,
            size: Some(size),
            contexts: match series.name {
                "builds" => (1..=size).map(|n| format!("builds-{n}")).collect(),
                name => vec![format!("{name}-{size}")],
            },
            phases: series.phases.to_vec(),
            touch: None,
            alone: None,
        };
        series.sizes.iter().map(workload).collect()
    };
    series(scale).iter().flat_map(of_series).collect()
}

/// The context `SERIES-SIZE`; none if it is no series' name.
pub fn shape(name: &str, scale: Scale) -> Option<Shape> {
    let (series, size) = name.split_once('-')?;
    let size: usize = size.parse().ok()?;
    let without_files = |dockerfile| Shape { dockerfile, files: nothing() };
    Some(match series {
        "files" => Shape {
            dockerfile: "FROM BASES/library/busybox\nCOPY . /src\n".into(),
            files: Box::new(move |context| files(context, size)),
        },
        "runs" => without_files(steps(size)),
        "stages" => without_files(fan(size, 0)),
        // Each is another file, so that no build waits for the steps of another one.
        "builds" => {
            without_files(steps(scale.pick(10, 2)).replace("echo ", &format!("echo {size} ")))
        }
        _ => return None,
    })
}

fn files(context: &Context, count: usize) -> io::Result<()> {
    let mut random = Random::new(3);
    let stock = Stock::new(&mut random, 1 << 20);
    for n in 0..count {
        let size = random.length(1000, 4000);
        let path = format!("folder{}/file{n}", n / 100);
        context.write(&path, stock.piece(&mut random, size))?;
    }
    Ok(())
}
