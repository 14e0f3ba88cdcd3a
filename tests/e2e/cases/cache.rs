//! What runs and what hits.

use std::thread;

use e2e::layout::text;
use e2e::{Context, Layout, World, for_each_user};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

for_each_user! {
    no_cache_runs_what_is_below_a_workdir,
    the_second_build_runs_nothing_and_opens_no_file,
    a_changed_file_runs_only_what_depends_on_it,
    the_same_result_ends_the_rebuilding,
    a_changed_mode_is_a_change,
    two_builds_at_once_run_each_step_once,
    what_no_stage_needs_is_not_built,
    warnings_are_told_again,
    no_cache_runs_every_step,
    two_fresh_stores_give_equal_bytes,
    a_deep_stage_shows_what_every_step_did,
}

const TWO_STAGES: &str = "FROM busybox AS one\n\
    COPY first /first\n\
    RUN wc -c </first >/count\n\
    FROM busybox\n\
    COPY second /second\n\
    COPY --from=one /count /count\n\
    RUN cat /second /count >/both\n";

fn two_stages(world: &World) -> Context {
    let files = [("Dockerfile", TWO_STAGES), ("first", "first\n"), ("second", "second\n")];
    Context::new(world, "context", &files)
}

fn the_second_build_runs_nothing_and_opens_no_file(world: &World) {
    let context = two_stages(world);
    world.build(&["-t", "app", context.arg()]).ok();
    // Files that were written a moment ago may still change without being seen to, so the first
    // build after that reads them once more.
    world.build(&["-t", "app", context.arg()]).ok();

    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    for file in ["first", "second"] {
        inotify::add_watch(&watch, context.path().join(file), WatchFlags::OPEN).unwrap();
    }
    let run = world.build(&["-t", "app", context.arg()]).ok();
    assert_eq!(run.steps().ran, [""; 0], "{}", run.shown());
    assert_eq!(run.steps().cached.len(), 5, "{}", run.shown());
    let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
    let opened = inotify::Reader::new(&watch, &mut buffer).next().map(|event| event.events());
    assert_eq!(opened.unwrap_err(), rustix::io::Errno::WOULDBLOCK, "a file was opened");
    // The reader would have blocked; with the file opened here it has something to say.
    text(context.path(), "first");
    let event = inotify::Reader::new(&watch, &mut buffer).next().map(|event| event.events());
    assert!(event.unwrap().contains(ReadFlags::OPEN));
}

fn a_changed_file_runs_only_what_depends_on_it(world: &World) {
    let context = two_stages(world);
    world.build(&[context.arg()]).ok();
    context.write("second", "changed\n");
    let run = world.build(&[context.arg()]).ok();
    let ran = run.steps().ran_instructions().join("\n");
    let copies = "COPY second /second\nCOPY --from=one /count /count\n";
    assert_eq!(ran, format!("{copies}RUN cat /second /count >/both"), "{}", run.shown());
    run.says(&["not cached: ", "second"]);
}

/// The first stage runs again, counts as many bytes as before, and nothing behind it runs.
fn the_same_result_ends_the_rebuilding(world: &World) {
    let context = two_stages(world);
    world.build(&["-t", "app", context.arg()]).ok();
    let before = Layout::of_store(world, "app:latest").config();
    context.write("first", "FIRST\n");
    let run = world.build(&["-t", "app", context.arg()]).ok();
    let ran = ["COPY first /first", "RUN wc -c </first >/count"];
    assert_eq!(run.steps().ran_instructions(), ran, "{}", run.shown());
    assert_eq!(Layout::of_store(world, "app:latest").config()["rootfs"], before["rootfs"]);
}

fn a_changed_mode_is_a_change(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    let context = two_stages(world);
    world.build(&[context.arg()]).ok();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(context.path().join("second"), mode).unwrap();
    world.build(&[context.arg()]).ok().says(&["not cached: ", "second"]);
}

/// Each step writes what no second run would write, so equal images mean that it ran once.
fn two_builds_at_once_run_each_step_once(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN cat /proc/sys/kernel/random/uuid >/one && sleep 1\n\
        RUN cat /proc/sys/kernel/random/uuid >/two\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let runs: Vec<_> = thread::scope(|scope| {
        let build = |tag| {
            let context = &context;
            scope.spawn(move || world.build(&["-t", tag, context.arg()]).ok())
        };
        let started: Vec<_> = ["left", "right"].map(build).into_iter().collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ran: usize = runs.iter().map(|run| run.steps().ran.len()).sum();
    assert_eq!(ran, 2, "{}\n{}", runs[0].shown(), runs[1].shown());
    let [left, right] =
        ["left:latest", "right:latest"].map(|tag| Layout::of_store(world, tag).config());
    assert_eq!(left["rootfs"], right["rootfs"]);
}

fn what_no_stage_needs_is_not_built(world: &World) {
    let dockerfile = "FROM no-such-image AS unused\nRUN false\n\
        FROM busybox AS wanted\nRUN true\n\
        FROM busybox\nRUN echo last\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let run = world.build(&["--target", "wanted", context.arg()]).ok();
    assert_eq!(run.steps().ran_instructions(), ["RUN true"]);
    let run = world.build(&[context.arg()]).ok();
    assert_eq!(run.steps().ran_instructions(), ["RUN echo last"]);
}

/// What looks wrong and is done as Docker does it is said in every build, also when nothing runs.
fn warnings_are_told_again(world: &World) {
    let dockerfile = "FROM alpine:3.19\nRUN echo 'worker:x:1500:1500::/:/bin/sh' >>/etc/passwd\n\
        COPY --chown=wroker a b /one\nUSER nosuch\nWORKDIR /work\n\
        USER root\nRUN stat -c '%u:%g %n' /one /work && cat /one\n";
    let files = [("Dockerfile", dockerfile), ("a", "a\n"), ("b", "b\n")];
    let context = Context::new(world, "context", &files);
    let first = world.build(&["-t", "app", context.arg()]).ok();
    let first = first.says(&["0:0 /one", "0:0 /work"]);
    let again = world.build(&["-t", "app", context.arg()]).ok();
    assert_eq!(again.steps().ran, [""; 0], "{}", again.shown());
    for run in [first, again] {
        run.says(&[
            "warning: user `wroker` is not in the image's `/etc/passwd`",
            "taken for user 0, root; did you mean `worker`?",
            "warning: several files are copied to `/one`, and only the last of them stays",
            "warning: user `nosuch` is not in the image's `/etc/passwd`",
        ]);
    }
    let quiet = world.build(&["-q", "-t", "app", context.arg()]).ok();
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.shown());
}

fn no_cache_runs_every_step(world: &World) {
    let context = two_stages(world);
    world.build(&[context.arg()]).ok();
    let run = world.build(&["--no-cache", context.arg()]).ok();
    assert_eq!(run.steps().ran.len(), 5, "{}", run.shown());
}

fn two_fresh_stores_give_equal_bytes(world: &World) {
    let dockerfile = "FROM alpine:3.19 AS made\n\
        RUN mkdir -p /out/b /out/a && echo a >/out/a/file && ln -s a/file /out/link && ln /out/a/file /out/hard\n\
        FROM alpine:3.19\n\
        WORKDIR /app\n\
        COPY --chmod=640 . .\n\
        COPY --from=made /out /out\n\
        RUN rm /out/link && echo b >/out/b/file\n\
        CMD [\"cat\", \"/out/b/file\"]\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile), ("a/b", "c")]);
    let archive = |store: &str, jobs: &[&str]| {
        let file = world.folder("archives").join(store);
        let output = format!("type=oci,dest={}", file.display());
        let mut command = world.build_command(&["-t", "app:1", "-o", &output]);
        command.args(jobs).arg(context.arg());
        command.env("RBUILD_ROOT", world.folder(store)).env("SOURCE_DATE_EPOCH", "1700000000");
        e2e::system::tool(&mut command).ok();
        std::fs::read(file).unwrap()
    };
    let one = archive("one", &["--jobs", "1"]);
    let two = archive("two", &[]);
    assert!(one == two, "{} and {} bytes that differ", one.len(), two.len());
}

/// The lower layers of a deep stage are shown in groups: what was deleted and made again across them is as it was.
fn a_deep_stage_shows_what_every_step_did(world: &World) {
    let mut dockerfile =
        String::from("FROM busybox\nRUN mkdir /d && touch /d/old /gone && ln /d/old /d/two\n");
    for n in 0..66 {
        dockerfile +=
            &format!("COPY f /d/copied{n}\nRUN echo {n} >/d/count && rm -f /d/copied{n}\n");
        dockerfile += match n {
            20 => "RUN rm -r /d && mkdir /d && rm /gone\n",
            60 => "RUN test ! -e /gone && mkdir /gone && touch /gone/again\n",
            _ => "RUN test $(ls /d | wc -l) -le 4 && touch /d/last\n",
        };
    }
    let context = Context::new(world, "context", &[("Dockerfile", &dockerfile), ("f", "f\n")]);
    let run = world.build(&["-t", "deep", context.arg()]).ok();
    run.says(&["the image has 200 layers", "takes 125"]);
    context.write("Dockerfile", &(dockerfile + "RUN ls /d /gone >/seen && cat /d/count >>/seen\n"));
    let run = world.build(&["-t", "deep", context.arg()]).ok();
    assert_eq!(run.steps().ran.len(), 1, "{}", run.shown());
    let layout = Layout::of_store(world, "deep:latest");
    assert_eq!(layout.config()["rootfs"]["diff_ids"].as_array().unwrap().len(), 201);
    let seen = text(&layout.unpack(world), "seen");
    assert_eq!(seen, "/d:\ncount\nlast\n\n/gone:\nagain\n65\n");
}

fn no_cache_runs_what_is_below_a_workdir(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN cat /proc/sys/kernel/random/uuid >/made\n\
        WORKDIR /work\n\
        RUN echo \"<$(cat /made)>\"\n";
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    let made = |flags: &[&str]| {
        let run = world.build(&[flags, &[context.arg()]].concat()).ok();
        let (_, rest) = run.stderr.rsplit_once('<').unwrap();
        rest.split_once('>').unwrap().0.to_owned()
    };
    assert_ne!(made(&[]), made(&["--no-cache"]));
}
