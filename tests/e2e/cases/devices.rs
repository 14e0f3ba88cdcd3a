//! `RUN --device`: devices of this machine by their CDI names.

use e2e::{Context, Run, World, for_each_user};

for_each_user! {
    a_step_has_the_device_that_it_asks_for,
    a_device_is_missing_or_not_allowed,
    a_device_has_the_mode_and_owner_of_its_spec,
    what_a_step_cannot_have_is_refused,
}

const JSON: &str = r#"{
  "cdiVersion": "0.6.0",
  "kind": "acme.example/zero",
  "containerEdits": {"env": ["ACME=all", "PATH=/nowhere"]},
  "devices": [
    {"name": "first", "containerEdits": {"deviceNodes": [{"path": "/dev/acme0", "hostPath": "/dev/zero"}]}},
    {"name": "second", "containerEdits": {
      "deviceNodes": [{"path": "/dev/acme/1", "hostPath": "/dev/null", "permissions": "rw"}],
      "mounts": [{"hostPath": "FOLDER", "containerPath": "/opt/acme", "options": ["ro", "rbind"]}]}}
  ]
}"#;

const YAML: &str = "cdiVersion: 0.6.0
kind: other.example/hooked
devices:
- name: a
  containerEdits:
    hooks:
    - {hookName: createContainer, path: /bin/true}
- name: numbered
  containerEdits:
    deviceNodes:
    - {path: /dev/numbered, hostPath: /dev/zero, major: 1, minor: 3}
- name: given
  containerEdits:
    deviceNodes:
    - {path: /dev/given, hostPath: /dev/zero, fileMode: 416, uid: 12, gid: 34}
- name: same
  containerEdits:
    deviceNodes:
    - {path: /dev/same, hostPath: /dev/zero, fileMode: 438}
- name: file
  containerEdits:
    deviceNodes:
    - {path: /dev/file, hostPath: /etc/passwd}
";

/// Builds with the specs above.
fn build(world: &World, dockerfile: &str, flags: &[&str]) -> Run {
    let library = Context::new(world, "library", &[("lib", "of acme\n")]);
    let json = JSON.replace("FOLDER", library.arg());
    let specs = Context::new(world, "specs", &[("a.json", &json), ("b.yaml", YAML)]);
    let context = Context::new(world, "context", &[("Dockerfile", dockerfile)]);
    world.build(&[flags, &["--cdi-spec-dir", specs.arg(), context.arg()]].concat())
}

fn a_step_has_the_device_that_it_asks_for(world: &World) {
    let dockerfile = "FROM busybox\n\
        RUN --device=acme.example/zero=first test -c /dev/acme0 && head -c 2 /dev/acme0 | od -An -tx1 && \
            echo \"ACME is $ACME\" && ! test -e /dev/acme && echo x 2>/dev/null >/dev/acme0\n\
        RUN --device=acme.example/zero=*,required cat /opt/acme/lib && echo gone >/dev/acme/1 && \
            ! touch /opt/acme/x && ! chmod 0 /dev/acme0\n\
        RUN ! test -e /dev/acme0 && test -z \"$ACME\" && ! test -e /opt/acme && echo no trace\n";
    let run = build(world, dockerfile, &["--allow", "device"]).ok();
    run.says(&[" 00 00", "ACME is all", "of acme", "no trace"]);
    let one = "FROM busybox\nRUN --device=acme.example/zero=first test -c /dev/acme0 && echo one\n";
    for allowed in ["device=acme.example/zero=first", "device=acme.example/zero"] {
        build(world, one, &["--no-cache", "--allow", allowed]).ok().says(&[" one\n"]);
    }
}

fn a_device_is_missing_or_not_allowed(world: &World) {
    let missing = "FROM busybox\nRUN --device=acme.example/zero=third echo without\n";
    build(world, missing, &[]).ok().says(&["runs without the device `acme.example/zero=third`"]);
    let needed = "FROM busybox\nRUN --device=acme.example/zero=third,required true\n";
    build(world, needed, &["--allow", "device"])
        .ended(1)
        .says(&["needs the device `acme.example/zero=third`", "--cdi-spec-dir"]);
    let dockerfile = "FROM busybox\nRUN --device=acme.example/zero=first true\n";
    for flags in [&[][..], &["--allow", "device=acme.example/zero=second"]] {
        build(world, dockerfile, flags).ended(1).says(&[
            "asks for the device `acme.example/zero=first`, which is not allowed",
            "--allow device=acme.example/zero=first",
        ]);
    }
    build(world, dockerfile, &["--allow", "devices"]).ended(2).says(&["`device=NAME`"]);
}

fn a_device_has_the_mode_and_owner_of_its_spec(world: &World) {
    let same = "FROM busybox\nRUN --device=other.example/hooked=same stat -c 'is %a' /dev/same\n";
    build(world, same, &["--allow", "device"]).ok().says(&["is 666"]);
    let dockerfile = "FROM busybox\n\
        RUN --device=other.example/hooked=given stat -c 'is %F %a %u %g' /dev/given && \
            head -c 2 /dev/given | od -An -tx1\n";
    let run = build(world, dockerfile, &["--allow", "device"]);
    match world.user().is_root() {
        true => run.ok().says(&["is character special file 640 12 34", " 00 00"]),
        // In a user namespace no device file can be made, and the host's is not like that.
        false => run.ended(3).says(&["`/dev/given`", "the mode and owner of its spec"]),
    };
}

fn what_a_step_cannot_have_is_refused(world: &World) {
    let rows = [
        ("other.example/hooked=a", "needs `hooks`"),
        ("other.example/hooked=file", "`/etc/passwd`"),
        ("other.example/hooked=numbered", "needs `major` of `/dev/numbered`"),
    ];
    for (name, says) in rows {
        let dockerfile = format!("FROM busybox\nRUN --device={name} true\n");
        let run = build(world, &dockerfile, &["--allow", "device"]);
        assert_ne!(run.code, 0, "{}", run.shown());
        run.says(&[says]);
    }
}
