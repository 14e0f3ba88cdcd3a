//! Mounts: what they see, and what of them decides a result. Vectors are named as in the table of
//! BuildKit's behaviour.

use rbuild_cache::tree::Selector;
use rbuild_solver::key::{Key, definition_key};
use rbuild_solver::op::mount::{Access, CacheMount, MountKind, Need, Sharing};
use rbuild_solver::op::{Op, Security};

use crate::support::{Build, Built, built, codes, run};

/// The mounts of the last process.
fn mounts(built: &Built) -> Vec<(String, MountKind)> {
    let exec = *built.execs().last().unwrap();
    exec.mounts.iter().map(|mount| (mount.target.clone(), mount.kind.clone())).collect()
}

/// The only mount of a process.
fn mount(flag: &str) -> MountKind {
    let built = built(&format!("FROM busybox\nWORKDIR /w\nRUN --mount={flag} x\n"));
    let [(_, kind)] = mounts(&built).try_into().unwrap();
    kind
}

fn cache(flag: &str) -> CacheMount {
    match mount(&format!("type=cache,{flag}")) {
        MountKind::Cache(cache) => cache,
        other => panic!("{other:?}"),
    }
}

/// The key of the last process, inputs left out: equal keys say that nothing keyed differs.
fn key(flags: &str) -> Key {
    let built = built(&format!("FROM busybox\nRUN {flags} x\n"));
    let vertex = built.vertices().last().unwrap();
    definition_key(&vertex.op.digest(), vertex, &[])
}

/// What the inputs of the last process pick.
fn picked(dockerfile: &str) -> Vec<String> {
    let built = built(dockerfile);
    let vertex = built.vertices().filter(|vertex| matches!(vertex.op, Op::Exec(_))).last().unwrap();
    let shown = |selector: &Selector| match selector {
        Selector::Whole => "all".to_owned(),
        Selector::Paths(paths) => format!("`{}`", paths.pattern),
    };
    vertex.inputs.iter().map(|edge| shown(&edge.selector)).collect()
}

#[test]
fn g89_only_what_a_bind_mount_sees_decides() {
    let file = "FROM busybox AS a\nRUN make\nFROM busybox\n\
                RUN --mount=from=a,source=/out,target=/out,rw touch /out/bar\n";
    assert_eq!(picked(file), ["all", "`out`"]);
    assert!(matches!(mounts(&built(file))[0].1, MountKind::Bind { access: Access::ReadWrite, .. }));
}

#[test]
fn g90_each_bind_mount_of_the_context_is_an_input_of_its_own() {
    let file = "FROM busybox\nRUN --mount=src=a.txt,dst=/a --mount=source=b.txt,destination=/b x\n";
    assert_eq!(picked(file), ["all", "`a.txt`", "`b.txt`"]);
    assert_eq!(picked("FROM busybox\nRUN --mount=target=/src x\n"), ["all", "``"]);
    assert_eq!(picked("FROM busybox\nRUN --mount=source=a*b,target=/s x\n"), ["all", "`a[*]b`"]);
    assert_eq!(picked("FROM busybox\nRUN --mount=from=tools,target=/t x\n"), ["all", "all"]);
}

#[test]
fn g91_a_cache_is_named_by_its_target() {
    assert_eq!(cache("target=/mycache/").id, "/mycache");
    assert_eq!(cache("target=/mycache2").id, "/mycache2");
    assert_eq!(cache("target=rel/./x").id, "rel/x");
}

#[test]
fn g92_ids_are_expanded() {
    let file = "FROM busybox AS base\nENV MNT_ID=mycache\nRUN --mount=type=cache,id=mycache,target=/a x\n\
                FROM base\nRUN --mount=type=cache,id=$MNT_ID,target=/b x\n";
    let MountKind::Cache(cache) = mounts(&built(file))[0].1.clone() else { panic!("no cache") };
    assert_eq!((cache.id.as_str(), cache.sharing), ("mycache", Sharing::Shared));
}

#[test]
fn g93_a_mode_makes_a_base() {
    let owner = cache("target=/c,mode=0773").owner.unwrap();
    assert_eq!((owner.mode, owner.uid, owner.gid), (0o773, 0, 0));
    assert_eq!(cache("target=/c").owner, None);
    assert_ne!(key("--mount=type=cache,target=/c,mode=0773"), key("--mount=type=cache,target=/c"));
}

#[test]
fn g95_a_missing_secret_variable_is_not_required() {
    let built = built("FROM busybox\nRUN --mount=type=secret,id=s,env=TOKEN x\n");
    let exec = built.execs()[0];
    assert!(exec.mounts.is_empty());
    assert_eq!((exec.secrets[0].name.as_str(), exec.secrets[0].need), ("TOKEN", Need::Optional));
}

#[test]
fn g100_a_mount_takes_from_earlier_stages_only() {
    let later = "FROM busybox AS a\nRUN --mount=from=b,target=/b x\nFROM busybox AS b\n";
    assert_eq!(codes(&Build::of(later).flag("--target a")), ["forward-reference"]);
    let variable = "FROM busybox\nARG b=x\nRUN --mount=from=$b,target=/b x\n";
    assert_eq!(codes(&Build::of(variable)), ["variable-in-from"]);
}

#[test]
fn names_of_caches_and_how_they_are_shared_decide_nothing() {
    let plain = key("--mount=type=cache,target=/c");
    assert_eq!(plain, key("--mount=type=cache,id=other,target=/c"));
    assert_eq!(plain, key("--mount=type=cache,sharing=locked,target=/c"));
    assert_ne!(plain, key("--mount=type=cache,target=/d"));
    assert_ne!(plain, key("--mount=type=cache,ro,target=/c"));
}

#[test]
fn names_of_secrets_and_what_a_step_may_do_decide() {
    let plain = key("--mount=type=secret,id=a,target=/s");
    assert_ne!(plain, key("--mount=type=secret,id=b,target=/s"));
    assert_ne!(plain, key("--mount=type=secret,id=a,target=/s,mode=0444"));
    assert_ne!(key("--mount=type=secret,id=a,env=A"), key("--mount=type=secret,id=a,env=B"));
    assert_ne!(key("--security=insecure"), key("--security=sandbox"));
    assert_ne!(key("--network=host"), key("--network=default"));
}

#[test]
fn vertices_of_one_graph_differ_in_what_no_key_sees() {
    let file = "FROM busybox AS a\nRUN --mount=type=cache,id=a,target=/c x\n\
                FROM busybox AS b\nRUN --mount=type=cache,id=b,target=/c x\n\
                FROM busybox\nCOPY --from=a / /a\nCOPY --from=b / /b\n";
    assert_eq!(built(file).execs().len(), 2);
}

#[test]
fn a_secret_is_named_and_placed_by_what_is_given() {
    let rows = [
        ("id=a", "/run/secrets/a", "a"),
        ("id=d/a", "/run/secrets/a", "d/a"),
        ("target=/etc/token", "/etc/token", "token"),
        ("target=sub/token", "/w/sub/token", "token"),
        ("source=b,target=/t", "/t", "b"),
        ("id=a,target=/t,env=A", "/t", "a"),
    ];
    for (flag, target, id) in rows {
        let built = built(&format!("FROM busybox\nWORKDIR /w\nRUN --mount=type=secret,{flag} x\n"));
        let [(at, MountKind::Secret(secret))] = &mounts(&built)[..] else { panic!("{flag}") };
        assert_eq!((at.as_str(), secret.id.as_str()), (target, id), "{flag}");
        assert_eq!(secret.owner.mode, 0o400);
    }
}

#[test]
fn agents_are_numbered_and_the_first_is_announced() {
    let file = "FROM busybox\nRUN --mount=type=ssh --mount=type=ssh,id=b,required,mode=0666 x\n";
    let built = built(file);
    let targets: Vec<String> = mounts(&built).into_iter().map(|(target, _)| target).collect();
    assert_eq!(targets, ["/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1"]);
    assert_eq!(built.variable("SSH_AUTH_SOCK").as_deref(), Some("/run/buildkit/ssh_agent.0"));
    let MountKind::Ssh(second) = &mounts(&built)[1].1 else { panic!("no agent") };
    assert_eq!((second.id.as_str(), second.need, second.owner.mode), ("b", Need::Required, 0o666));
    let set = run(Build::of("FROM busybox\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh x\n"));
    assert_eq!(set.variable("SSH_AUTH_SOCK").as_deref(), Some("/mine"));
}

#[test]
fn parents_are_mounted_first() {
    let file = "FROM busybox\nRUN --mount=type=tmpfs,target=/a/b/c --mount=type=cache,target=/a \
                --mount=type=tmpfs,target=/a/b,size=1m x\n";
    let targets: Vec<String> = mounts(&built(file)).into_iter().map(|(target, _)| target).collect();
    assert_eq!(targets, ["/a", "/a/b", "/a/b/c"]);
}

#[test]
fn caches_of_a_namespace_are_apart() {
    let build = Build::of("FROM busybox\nRUN --mount=type=cache,target=/c x\n")
        .flag("--build-arg BUILDKIT_CACHE_MOUNT_NS=mine");
    let MountKind::Cache(cache) = mounts(&run(build))[0].1.clone() else { panic!("no cache") };
    assert_eq!((cache.namespace.as_str(), cache.id.as_str()), ("mine", "/c"));
}

#[test]
fn options_can_be_quoted_and_expanded() {
    let file = "FROM busybox\nARG t=tmpfs\nRUN --mount='type=$t,\"target=/a,b\"' x\n";
    let [(target, kind)] = mounts(&built(file)).try_into().unwrap();
    assert_eq!(target, "/a,b");
    assert_eq!(kind, MountKind::Tmpfs { size: None });
}

#[test]
fn devices_and_privileges_are_part_of_the_op() {
    let file = "FROM busybox\nRUN --security=insecure --device=v.com/gpu=0,required --device=v.com/net x\n";
    let built = built(file);
    let exec = built.execs()[0];
    assert_eq!(exec.security, Security::Insecure);
    let devices: Vec<_> =
        exec.devices.iter().map(|device| (device.name.as_str(), device.need)).collect();
    assert_eq!(devices, [("v.com/gpu=0", Need::Required), ("v.com/net", Need::Optional)]);
}
