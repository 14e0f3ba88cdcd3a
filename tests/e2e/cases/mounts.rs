//! What steps see besides their root, and that nothing of it stays. Tests that begin with `g` and a
//! number are vectors of the table of BuildKit's behaviour.

use std::fs;
use std::process::{Child, Command, Stdio};

use e2e::layout::text;
use e2e::{Context, Run, World, for_each_user};

for_each_user! {
    g89_what_is_written_to_a_bind_mount_is_gone,
    g90_a_changed_file_of_a_mount_runs_the_step,
    a_mount_is_known_by_the_mode_of_its_top,
    g91_caches_are_apart_by_their_targets,
    g92_one_cache_at_two_places,
    g93_a_cache_with_a_mode_begins_anew_without_the_cache,
    g94_a_seed_stays_inside_its_root,
    g95_a_missing_secret_is_an_empty_variable,
    the_context_is_mounted_as_the_build_sees_it,
    no_mount_leaves_a_trace,
    a_secret_is_read_by_the_step_only,
    a_secret_that_is_needed_has_to_be_given,
    caches_are_told_and_pruned,
    a_seeded_cache_begins_with_its_seed,
    an_agent_is_forwarded,
    keys_are_given_without_an_agent,
    privileges_have_to_be_allowed,
    a_step_can_be_given_everything,
    steps_have_the_limits_that_were_asked_for,
}

fn context(world: &World, dockerfile: &str) -> Context {
    Context::new(
        world,
        "context",
        &[("Dockerfile", dockerfile), ("a.txt", "a\n"), ("b.txt", "b\n")],
    )
}

fn build(world: &World, dockerfile: &str, flags: &[&str]) -> Run {
    let context = context(world, dockerfile);
    world.build(&[flags, &[context.arg()]].concat())
}

fn g89_what_is_written_to_a_bind_mount_is_gone(world: &World) {
    let dockerfile = "FROM busybox AS made\n\
        RUN mkdir /out && echo foo >/out/foo && cat /proc/sys/kernel/random/uuid >/unrelated\n\
        FROM busybox\n\
        RUN --mount=from=made,source=/out,target=/out,rw echo bar >/out/bar && cat /out/foo /out/bar\n\
        RUN --mount=from=made,source=/out,target=/out ls /out; touch /out/x || echo read-only\n";
    let context = context(world, dockerfile);
    let run = world.build(&[context.arg()]).ok();
    run.says(&[" foo\n", " bar\n", "read-only"]);
    // The first stage runs again and writes another unrelated file.
    context.edit("Dockerfile", "mkdir /out", "true && mkdir /out");
    let run = world.build(&[context.arg()]).ok();
    assert_eq!(run.steps().ran.len(), 1, "{}", run.shown());
    context.edit("Dockerfile", "echo foo", "echo fool");
    let run = world.build(&[context.arg()]).ok();
    assert_eq!(run.steps().ran.len(), 3, "{}", run.shown());
}

fn g90_a_changed_file_of_a_mount_runs_the_step(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN --mount=source=a.txt,target=/a --mount=source=b.txt,target=/b cat /a /b\n";
    let context = context(world, dockerfile);
    world.build(&[context.arg()]).ok();
    context.write("c.txt", "nobody sees it\n");
    assert_eq!(world.build(&[context.arg()]).ok().steps().ran, [""; 0]);
    context.write("a.txt", "changed\n");
    world.build(&[context.arg()]).ok().says(&["not cached: ", "a.txt", " changed\n", " b\n"]);
}

fn a_mount_is_known_by_the_mode_of_its_top(world: &World) {
    let dockerfile = "FROM busybox AS made\n\
        RUN mkdir -m 755 /out && echo same >/out/file\n\
        FROM busybox\n\
        RUN --mount=from=made,source=/out,target=/m echo stage $(stat -c %a /m)\n\
        RUN --mount=source=a,target=/a --mount=source=b,target=/b echo $(stat -c '%n is %a' /a /b)\n";
    let files = [("Dockerfile", dockerfile), ("a/file", "same\n"), ("b/file", "same\n")];
    let context = Context::new(world, "context", &files);
    let mode = |name: &str, mode: u32| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(context.path().join(name), permissions).unwrap();
    };
    mode("a", 0o755);
    mode("b", 0o700);
    let run = world.build(&[context.arg()]).ok();
    run.says(&["stage 755", "/a is 755 /b is 700"]);
    context.edit("Dockerfile", "-m 755", "-m 711");
    mode("a", 0o750);
    world.build(&[context.arg()]).ok().says(&["stage 711", "/a is 750 /b is 700"]);
}

fn g91_caches_are_apart_by_their_targets(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN --mount=type=cache,target=/mycache echo foo >/mycache/foo\n\
        RUN --mount=type=cache,target=/mycache2 test ! -e /mycache2/foo\n\
        RUN --mount=type=cache,target=/mycache cat /mycache/foo\n";
    build(world, dockerfile, &[]).ok().says(&[" foo\n"]);
}

fn g92_one_cache_at_two_places(world: &World) {
    let dockerfile = "FROM busybox AS base\n\
        ENV MNT_ID=mycache\n\
        RUN --mount=type=cache,id=mycache,target=/a echo foo >/a/foo\n\
        FROM base\n\
        RUN --mount=type=cache,id=$MNT_ID,target=/b cat /b/foo\n";
    build(world, dockerfile, &[]).ok().says(&[" foo\n"]);
}

fn g93_a_cache_with_a_mode_begins_anew_without_the_cache(world: &World) {
    let dockerfile = "FROM busybox\n\
        ARG N\n\
        RUN --mount=type=cache,target=/c,mode=0773 touch /c/$N && stat -c 'mode %a' /c && echo has $(ls /c)\n";
    let context = context(world, dockerfile);
    let run = |flags: &[&str]| world.build(&[flags, &[context.arg()]].concat()).ok();
    run(&["--build-arg", "N=one"]).says(&["mode 773", "has one\n"]);
    run(&["--build-arg", "N=two"]).says(&["has one two\n"]);
    run(&["--build-arg", "N=three", "--no-cache"]).says(&["has three\n"]);
    run(&["--build-arg", "N=four"]).says(&["has four three\n"]);
}

fn g94_a_seed_stays_inside_its_root(world: &World) {
    let dockerfile = "FROM busybox AS seed\n\
        RUN ln -s ../../../../../../../../var/tmp/outside /leave && mkdir -p /real/sub\n\
        FROM busybox\n\
        RUN --mount=type=cache,target=/c,from=seed,source=SOURCE ls /c\n";
    build(world, &dockerfile.replace("SOURCE", "/leave"), &[]).ended(1).says(&["leave"]);
    build(world, &dockerfile.replace("SOURCE", "/real"), &[]).ok().says(&[" sub\n"]);
}

fn g95_a_missing_secret_is_an_empty_variable(world: &World) {
    let dockerfile =
        "FROM busybox\nRUN --mount=type=secret,id=none,env=TOKEN echo \"<${TOKEN-unset}>\"\n";
    build(world, dockerfile, &[]).ok().says(&["<>"]);
}

fn the_context_is_mounted_as_the_build_sees_it(world: &World) {
    let dockerfile = "FROM busybox\n\
        WORKDIR /src\n\
        RUN --mount=target=.,rw ls -n a.txt && test ! -e hidden && echo changed >a.txt && cat a.txt\n\
        RUN --mount=source=a.txt,target=/deep/down/a.txt cat /deep/down/a.txt\n";
    let context = context(world, dockerfile);
    context.write("hidden", "hidden\n");
    context.write(".dockerignore", "hidden\n");
    let run = world.build(&[context.arg()]).ok();
    run.says(&["1 0        0", " changed\n", " a\n"]);
    assert_eq!(text(context.path(), "a.txt"), "a\n");
    context.edit("Dockerfile", "source=a.txt", "source=hidden");
    world.build(&[context.arg()]).ended(1).says(&["`hidden` not found", ".dockerignore"]);
}

fn no_mount_leaves_a_trace(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN mkdir /there && touch -d 2001-01-01 /there\n\
        RUN --mount=target=/new/src --mount=type=cache,target=/there/cache \
            --mount=type=tmpfs,target=/there/cache/tmp --mount=type=secret,id=s,target=/there/secret \
            --mount=type=secret,id=s --mount=source=a.txt,target=/a.txt \
            ls /new/src /there/cache/tmp && echo kept >/there/kept\n\
        RUN --mount=type=cache,target=/there/cache --mount=type=tmpfs,target=/only ls /there\n";
    let context = context(world, dockerfile);
    world.folder("secret");
    fs::write(world.folder("secret").join("s"), "hush").unwrap();
    let secret = format!("id=s,src={}", world.folder("secret").join("s").display());
    let root = world.folder("out").join("root");
    let out = root.to_str().unwrap();
    world.build(&["-o", out, "--secret", &secret, context.arg()]).ok();
    for gone in ["new", "there/cache", "there/secret", "run/secrets", "a.txt", "only"] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    assert_eq!(text(&root, "there/kept"), "kept\n");
}

fn a_secret_is_read_by_the_step_only(world: &World) {
    let value = format!("hush-{}-secret", std::process::id());
    let file = world.folder("secret").join("token");
    fs::write(&file, &value).unwrap();
    let dockerfile = "FROM busybox\n\
        RUN --mount=type=secret,id=token,mode=0440,uid=7,gid=8,target=/t --mount=type=secret,id=token,env=T \
            ls -n /t && test \"$T\" = \"$(cat /t)\" && echo ${#T} >/length\n";
    let context = context(world, dockerfile);
    let secret = format!("id=token,src={}", file.display());
    let run = world.build(&["-t", "app", "--secret", &secret, context.arg()]).ok();
    let run = run.says(&["-r--r-----    1 7        8"]);
    // Another value is no other step.
    fs::write(&file, "other").unwrap();
    let again = world.build(&["-t", "app", "--secret", &secret, context.arg()]).ok();
    assert_eq!(again.steps().ran, [""; 0], "{}", again.shown());
    let found = Command::new("grep").args(["-rlF", &value]).arg(world.store()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert!(!run.shown().contains(&value));
}

fn a_secret_that_is_needed_has_to_be_given(world: &World) {
    let dockerfile = "FROM busybox\nRUN --mount=type=secret,id=token,required true\n";
    build(world, dockerfile, &[]).ended(1).says(&["secret `token`", "--secret id=token"]);
    let dockerfile =
        "FROM busybox\nRUN --mount=type=secret,id=token test ! -e /run/secrets/token\n";
    build(world, dockerfile, &[]).ok();
}

fn caches_are_told_and_pruned(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN --mount=type=cache,id=../../npm,target=/c dd if=/dev/zero of=/c/file bs=1k count=100\n";
    build(world, dockerfile, &[]).ok();
    let told = world.rbuild(&["du"]).ok().stdout;
    assert!(told.contains("cache mount") && told.contains("../../npm"), "{told}");
    let pruned = world.rbuild(&["prune", "--force"]).ok().stdout;
    assert!(pruned.contains("1 cache mounts"), "{pruned}");
    assert!(!world.rbuild(&["du"]).ok().stdout.contains("npm"));
}

fn a_seeded_cache_begins_with_its_seed(world: &World) {
    let dockerfile = "FROM busybox AS seed\n\
        RUN mkdir -p /s/sub && echo one >/s/sub/file && chown 5:6 /s/sub && chmod 700 /s\n\
        FROM busybox\n\
        RUN --mount=type=cache,target=/c,from=seed,source=/s \
            cat /c/sub/file && stat -c '%a %u:%g' /c /c/sub && echo two >/c/sub/file\n\
        RUN --mount=type=cache,target=/c,from=seed,source=/s,ro cat /c/sub/file; touch /c/x || echo ro\n";
    let run = build(world, dockerfile, &[]).ok();
    run.says(&[" one\n", "700 0:0", "755 5:6", " two\n", " ro\n"]);
}

/// An agent of the world's user. Ends when it is dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key(world: &World) -> std::path::PathBuf {
    let file = world.folder("keys").join("key");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "the-test-key", "-f"]).arg(&file);
    e2e::system::tool(&mut keygen).ok();
    world.user().own(&world.folder("keys"));
    file
}

/// A step that lists the keys of the agent that it is given.
fn lists_keys(world: &World) -> Context {
    let dockerfile = "FROM openssh-client:9\n\
        RUN --mount=type=ssh,mode=0606,uid=3 stat -c 'socket %a %u' $SSH_AUTH_SOCK && ssh-add -l\n";
    Context::new(world, "context", &[("Dockerfile", dockerfile)])
}

fn an_agent_is_forwarded(world: &World) {
    let socket = world.folder("agent").join("socket");
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
    world.user().become_in(&mut agent);
    let _agent = Agent(agent.spawn().unwrap());
    let mut add = Command::new("ssh-add");
    add.arg(key(world)).env("SSH_AUTH_SOCK", &socket);
    world.user().become_in(&mut add);
    while !socket.exists() {
        std::thread::yield_now();
    }
    e2e::system::tool(&mut add).ok();

    let context = lists_keys(world);
    world.build(&[context.arg()]).ended(1);
    let mut build = world.build_command(&["--ssh", "default", context.arg()]);
    build.env("SSH_AUTH_SOCK", &socket);
    e2e::system::tool(&mut build).ok().says(&["socket 606 3", "the-test-key (ED25519)"]);
    let named = format!("default={}", socket.display());
    world.build(&["--no-cache", "--ssh", &named, context.arg()]).ok().says(&["the-test-key"]);
    context.edit("Dockerfile", "type=ssh", "type=ssh,required,id=other");
    world.build(&["--ssh", &named, context.arg()]).ended(1).says(&["SSH agent `other`"]);
    world.build(&["--ssh", "default", context.arg()]).ended(2).says(&["SSH_AUTH_SOCK"]);
}

fn keys_are_given_without_an_agent(world: &World) {
    let context = lists_keys(world);
    let flag = format!("default={}", key(world).display());
    world.build(&["--ssh", &flag, context.arg()]).ok().says(&["the-test-key (ED25519)"]);
}

fn privileges_have_to_be_allowed(world: &World) {
    let insecure = "FROM busybox\nRUN --security=insecure true\n";
    build(world, insecure, &[]).ended(1).says(&["`security.insecure`, which is not allowed"]);
    build(world, insecure, &["--allow", "network.host"]).ended(1);
    build(world, insecure, &["--allow", "security.insecure"]).ok();
    let host = "FROM busybox\nRUN --network=host true\n";
    build(world, host, &[]).ended(1).says(&["--allow network.host"]);
    build(world, host, &["--allow", "network.host"]).ok();
    build(world, host, &["--no-cache", "--network", "host"]).ok();
    build(world, host, &["--allow", "everything"])
        .ended(2)
        .says(&["`everything` cannot be allowed"]);
}

fn a_step_can_be_given_everything(world: &World) {
    let script = "mkdir -p /m && mount -t tmpfs none /m && grep Seccomp: /proc/self/status && \
        test ! -w /proc/kcore || true; unshare -m true && echo free";
    let confined = format!("FROM busybox\nRUN {script}\n");
    build(world, &confined, &[]).ended(1);
    let insecure = format!("FROM busybox\nRUN --security=insecure {script}\n");
    let run = build(world, &insecure, &["--allow", "security.insecure"]).ok();
    run.says(&["Seccomp:\t0", "free"]);
}

fn steps_have_the_limits_that_were_asked_for(world: &World) {
    let dockerfile = "FROM busybox\nRUN ulimit -n; ulimit -Hn; df /dev/shm | tail -1\n";
    let flags = ["--ulimit", "nofile=77:99", "--shm-size", "8m"];
    build(world, dockerfile, &flags).ok().says(&[" 77\n", " 99\n", " 8192 "]);
    // What a step can use is part of its key.
    let run = build(world, dockerfile, &["--ulimit", "nofile=78"]).ok();
    assert_eq!(run.steps().ran.len(), 1, "{}", run.shown());
    build(world, dockerfile, &["--cgroup-parent", "x"]).ended(2).says(&["--cgroup-parent"]);
}
