//! The run: every workload, phase and builder, turn by turn.
//!
//! The builders take turns within each cell, so that a machine that is busy for a while is busy
//! for all of them. What takes long is measured once: it is not made more exact by repetition.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use crate::builder::{Builder, Wipe};
use crate::machine;
use crate::measure::MeasureError;
use crate::results::{Cell, Phase, Results, Sample};
use crate::workload::{WARM, Workload};

/// How a run is done.
#[derive(Debug)]
pub struct Plan {
    /// The folder with the contexts, where builders run.
    pub folder: PathBuf,
    /// What is built.
    pub workloads: Vec<Workload>,
    /// How often each cell is measured.
    pub times: usize,
    /// In seconds; what takes longer is measured once.
    pub patience: f64,
    /// In seconds; a larger size of a series that would take another builder longer is left out.
    pub limit: f64,
    /// Who builds.
    pub builders: Vec<Builder>,
}

/// Carries the plan out; tells `say` each line of progress.
pub fn run(plan: &Plan, say: &dyn Fn(&str)) -> Results {
    let builders = plan.builders.iter().map(Builder::participant).collect();
    let mut results =
        Results { machine: machine::describe(&plan.folder), builders, cells: Vec::new() };
    for builder in &plan.builders {
        if let Err(error) = prepare(builder) {
            say(&format!("{}: {error}", builder.name));
        }
    }
    for workload in &plan.workloads {
        for &phase in &workload.phases {
            let cells = measure_cells(plan, workload, phase, &results);
            cells.iter().for_each(|cell| say(&progress(cell)));
            results.cells.extend(cells);
        }
        untouch(plan, workload);
    }
    // Gigabytes of layers that nobody needs any more; what cannot be removed now, the next run does.
    for builder in plan.builders.iter().filter(|builder| builder.wipe == Wipe::Allowed) {
        let _ = builder.forget();
    }
    results
}

/// Fetches the bases, so that nobody pays for that later.
fn prepare(builder: &Builder) -> Result<(), MeasureError> {
    // Of an earlier run: the registry had another address, its images are of no use.
    if builder.wipe == Wipe::Allowed {
        builder.forget()?;
    }
    builder.build(WARM, Phase::Noop).map(drop)
}

/// One cell for each builder.
fn measure_cells(plan: &Plan, workload: &Workload, phase: Phase, earlier: &Results) -> Vec<Cell> {
    let empty = |builder| {
        let cell = empty(workload, phase, builder);
        Cell { failure: cell.failure.clone().or_else(|| hopeless(plan, earlier, &cell)), ..cell }
    };
    let mut cells: Vec<Cell> = plan.builders.iter().map(empty).collect();
    for round in 0..plan.times {
        for (builder, cell) in plan.builders.iter().zip(&mut cells) {
            let enough = cell.samples.first().is_some_and(|one| one.seconds > plan.patience);
            if enough || cell.failure.is_some() {
                continue;
            }
            match sample(plan, workload, phase, builder, round) {
                Ok(sample) => cell.samples.push(sample),
                Err(error) => cell.failure = Some(error.to_string()),
            }
        }
    }
    cells
}

fn empty(workload: &Workload, phase: Phase, builder: &Builder) -> Cell {
    let forbidden = phase == Phase::Cold && builder.wipe == Wipe::Forbidden;
    Cell {
        workload: workload.name.into(),
        about: workload.about.into(),
        size: workload.size,
        phase,
        builder: builder.name.into(),
        samples: Vec::new(),
        failure: forbidden.then(|| "it may not be wiped".into()),
    }
}

/// Why a cell is not worth trying: the same build failed in another phase, or smaller ones say how
/// long it would take.
fn hopeless(plan: &Plan, earlier: &Results, cell: &Cell) -> Option<String> {
    let own = |one: &&Cell| one.workload == cell.workload && one.builder == cell.builder;
    let of_builder = earlier.cells.iter().filter(own);
    let is_build = |one: &&Cell| one.size == cell.size && one.phase != Phase::Alone;
    let failed = of_builder.clone().filter(is_build);
    if let Some(failure) = failed.filter_map(|one| one.failure.clone()).next() {
        return Some(failure);
    }
    let smaller = of_builder.rev().find(|one| one.phase == cell.phase && one.size < cell.size)?;
    let growth = f64::from(cell.size?) / f64::from(smaller.size?);
    let spared = !cell.builder.starts_with("rbuild") && smaller.seconds()? * growth > plan.limit;
    spared.then(|| format!("it would take longer than {} s", plan.limit))
}

/// Brings about what the phase begins with, and measures one build.
fn sample(
    plan: &Plan,
    workload: &Workload,
    phase: Phase,
    builder: &Builder,
    round: usize,
) -> Result<Sample, MeasureError> {
    match phase {
        Phase::Cold => builder.forget()?,
        Phase::Noop | Phase::Touch if round == 0 => {
            build_all(builder, workload, Phase::Noop)?;
        }
        Phase::Noop | Phase::Touch | Phase::Nocache | Phase::Tar | Phase::Alone => {}
    }
    if let (Phase::Alone, Some(alone)) = (phase, workload.alone) {
        builder.build(alone.context, Phase::Noop)?;
        rustix::fs::sync();
        return builder.run(alone.context, alone.command);
    }
    if phase == Phase::Touch {
        touch(plan, workload, &format!("/* {} {round} */\n", builder.name))?;
    }
    // What an earlier build left to be written is not this one's.
    rustix::fs::sync();
    build_all(builder, workload, phase)
}

/// All contexts of the workload at once, and the time until the last is done.
fn build_all(builder: &Builder, workload: &Workload, phase: Phase) -> Result<Sample, MeasureError> {
    if let [context] = workload.contexts.as_slice() {
        return builder.build(context, phase);
    }
    let start = Instant::now();
    let samples = thread::scope(|scope| {
        let contexts = workload.contexts.iter();
        let running: Vec<_> =
            contexts.map(|context| scope.spawn(move || builder.build(context, phase))).collect();
        let join = |one: thread::ScopedJoinHandle<'_, _>| {
            one.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        };
        running.into_iter().map(join).collect::<Result<Vec<Sample>, _>>()
    })?;
    let peak_kib = samples.iter().map(|sample| sample.peak_kib).max().unwrap_or_default();
    Ok(Sample { seconds: start.elapsed().as_secs_f64() - builder.entering, peak_kib })
}

fn touched(folder: &Path, workload: &Workload) -> Option<PathBuf> {
    Some(folder.join(workload.contexts.first()?).join(workload.touch?))
}

fn touch(plan: &Plan, workload: &Workload, text: &str) -> Result<(), MeasureError> {
    let Some(path) = touched(&plan.folder, workload) else { return Ok(()) };
    let shown = path.display().to_string();
    fs::write(path, text).map_err(|source| MeasureError::Touch { path: shown, source })
}

/// The next run finds the context as it was.
fn untouch(plan: &Plan, workload: &Workload) {
    if let Some(path) = touched(&plan.folder, workload) {
        let _ = fs::remove_file(path);
    }
}

fn progress(cell: &Cell) -> String {
    let size = cell.size.map(|size| format!(" {size}")).unwrap_or_default();
    let name = format!("{}{size}", cell.workload);
    let what = match (&cell.failure, cell.seconds()) {
        (Some(failure), _) => failure.lines().next().unwrap_or_default().to_owned(),
        (None, Some(seconds)) => {
            let peak = cell.peak().unwrap_or_default();
            format!("{seconds:8.3} s  {peak:6.0} MiB  of {}", cell.samples.len())
        }
        (None, None) => "not measured".into(),
    };
    format!("{name:14} {:8} {:14} {what}", cell.phase.name(), cell.builder)
}
