//! The conformance vectors (BuildKit's behaviour, as input and result) that show in a graph or a
//! config. What needs files or processes is tested end to end.

use rbuild_cache::tree::Selector;
use rbuild_frontend::NamedContext;
use rbuild_solver::op::mount::MountKind;
use rbuild_solver::op::{CopySource, Op, Unpack};

use crate::support::{Build, Built, built, codes, run};

/// The patterns of a copy's sources.
fn patterns(built: &Built) -> Vec<String> {
    let edges = built.vertices().flat_map(|vertex| &vertex.inputs);
    edges
        .filter_map(|edge| match &edge.selector {
            Selector::Paths(paths) => Some(paths.pattern.clone()),
            Selector::Whole => None,
        })
        .collect()
}

/// The content of the only inline file.
fn inline(dockerfile: &str) -> String {
    let built = built(dockerfile);
    match built.copies()[0].sources.as_slice() {
        [CopySource::Inline { data, .. }] => String::from_utf8(data.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn g16_what_follows_an_exec_form_makes_it_text() {
    let built = built("FROM busybox\nRUN [\"echo\",\"hello\"]this is invalid\n");
    assert_eq!(built.execs()[0].args, ["/bin/sh", "-c", "[\"echo\",\"hello\"]this is invalid"]);
}

#[test]
fn g17_an_entrypoint_that_only_begins_like_a_list_is_text() {
    let built = built("FROM busybox\nENTRYPOINT []random string\n");
    assert_eq!(built.config().config.entrypoint, ["/bin/sh", "-c", "[]random string"]);
}

#[test]
fn g18_an_entrypoint_uses_the_shell_and_drops_the_bases_command() {
    let built = built("FROM busybox\nSHELL [\"ls\"]\nENTRYPOINT my entrypoint\n");
    assert_eq!(built.config().config.entrypoint, ["ls", "my entrypoint"]);
    assert!(built.config().config.cmd.is_empty());
}

#[test]
fn g19_scratch_has_a_shell_by_name_and_a_path() {
    let built = built("FROM scratch\nENTRYPOINT foo bar\n");
    assert_eq!(built.config().config.entrypoint, ["/bin/sh", "-c", "foo bar"]);
    assert!(built.config().config.env[0].starts_with("PATH=/usr/local/sbin:"));
    assert!(built.lowered().target.is_none());
}

#[test]
fn g20_a_step_ignores_the_entrypoint() {
    let built = built("FROM busybox\nENTRYPOINT [\"/nosuchcmd\"]\nRUN [\"ls\"]\n");
    assert_eq!(built.execs()[0].args, ["ls"]);
}

#[test]
fn g21_arguments_from_both_scopes() {
    let dockerfile = "ARG a1=\"foo bar\" a2=box\nARG a3=\"$a2-foo\"\nFROM busy$a2\n\
                      ARG a3 a4=\"123 456\" a1\nRUN env\n";
    let built = built(dockerfile);
    assert_eq!(built.requests[0].reference, "busybox");
    let values = ["a1", "a3", "a4"].map(|name| built.variable(name).unwrap());
    assert_eq!(values, ["foo bar", "box-foo", "123 456"]);
}

#[test]
fn g22_an_argument_without_a_value_is_not_there() {
    let built = built("FROM busybox\nARG FOO\nARG BAR=\nRUN env\n");
    assert_eq!(built.variable("FOO"), None);
    assert_eq!(built.variable("BAR").as_deref(), Some(""));
}

#[test]
fn g23_a_global_argument_can_be_required() {
    let dockerfile = "ARG FOO=${FOO:?\"custom error\"}\nFROM busybox\n";
    let Err(found) = Build::of(dockerfile).run() else { panic!("FOO is not set") };
    assert_eq!(found[0].message, "`FOO`: custom error");
    run(Build::of(dockerfile).flag("--build-arg FOO=1"));
}

#[test]
fn g24_a_base_can_be_cut_out_of_a_value() {
    let built = built("ARG image=idlebox\nFROM busy${image#idle}\n");
    assert_eq!(built.requests[0].reference, "busybox");
}

#[test]
fn g25_a_legacy_env_is_expanded() {
    let built = built("FROM busybox\nENV my_arg \"my_arg=${my_arg:-def_val}\"\nRUN env\n");
    assert_eq!(built.variable("my_arg").as_deref(), Some("my_arg=def_val"));
}

#[test]
fn g26_a_source_can_be_a_variable() {
    let built = built("FROM busybox\nENV FOO bar\nCOPY $FOO baz\n");
    assert_eq!(patterns(&built), ["bar"]);
    assert_eq!(built.copies()[0].dest, "/baz");
}

#[test]
fn g27_ports_from_a_variable_are_several() {
    let built = built("FROM busybox\nARG PORTS=\"3000 4000/udp\"\nEXPOSE $PORTS\nEXPOSE 5000\n");
    let ports: Vec<_> = built.config().config.exposed_ports.iter().collect();
    assert_eq!(ports, ["3000/tcp", "4000/udp", "5000/tcp"]);
}

#[test]
fn g28_names_of_stages_have_no_case() {
    let built = built("FROM busybox AS STAge0\nRUN x\nFROM scratch\nCOPY --from=staGE0 /x /\n");
    assert_eq!(built.requests.len(), 1);
    assert_eq!(built.execs().len(), 1);
}

#[test]
fn g29_a_stage_hides_an_image() {
    let built = built("FROM busybox AS golang\nFROM scratch\nCOPY --from=golang /x /\n");
    let asked: Vec<_> = built.requests.iter().map(|request| request.reference.as_str()).collect();
    assert_eq!(asked, ["busybox"]);
}

#[test]
fn g30_a_stage_must_be_there_before_it_is_copied_from() {
    let build = Build::of("FROM a AS target\nCOPY --from=build /x /\nFROM b AS build\n")
        .flag("--target target");
    assert_eq!(codes(&build), ["forward-reference"]);
}

#[test]
fn g31_from_knows_the_platform() {
    let built = built("FROM build-${TARGETOS}\n");
    assert_eq!(built.requests[0].reference, "build-linux");
}

#[test]
fn g32_a_misspelt_target_is_guessed() {
    let build = Build::of("FROM busybox AS builder\nFROM scratch\n").flag("--target bulider");
    let Err(found) = build.run() else { panic!("there is no such target") };
    assert_eq!(found[0].help.as_deref(), Some("did you mean `builder`?"));
}

#[test]
fn g37_a_working_directory_belongs_to_the_user() {
    let built = built("FROM busybox\nUSER user\nWORKDIR /mydir\n");
    let made = built.vertices().find_map(|vertex| match &vertex.op {
        Op::MakeDir(op) => Some((op.path.clone(), op.user.clone(), op.mode)),
        _ => None,
    });
    assert_eq!(made, Some(("/mydir".to_owned(), "user".to_owned(), 0o755)));
}

#[test]
fn g39_working_directories_stack() {
    let built = built("FROM busybox\nWORKDIR /test1\nWORKDIR test2\nWORKDIR ..\nRUN pwd\n");
    assert_eq!(built.config().config.working_dir, "/test1");
    assert_eq!(built.execs()[0].cwd, "/test1");
}

#[test]
fn g40_the_working_directory_of_the_other_stage_does_not_count() {
    let built =
        built("FROM busybox AS base\nWORKDIR /foo\nFROM scratch\nCOPY --from=base Dockerfile .\n");
    assert_eq!(patterns(&built), ["Dockerfile"]);
}

#[test]
fn g41_a_trigger_runs_once() {
    let built = built("FROM onbuild AS child\nFROM child\nRUN x\n");
    let lines: Vec<_> = built.execs().iter().map(|exec| exec.args[2].clone()).collect();
    assert_eq!(lines, ["make $VERSION", "x"]);
    assert!(built.config().config.on_build.is_empty());
}

#[test]
fn g42_a_trigger_can_ask_for_another_image() {
    let built = built("FROM onbuild\n");
    let asked: Vec<_> = built.requests.iter().map(|request| request.reference.as_str()).collect();
    assert_eq!(asked, ["onbuild", "tools"]);
}

#[test]
fn g42_a_trigger_sees_the_stages_of_the_child() {
    let built = built("FROM busybox AS tools\nFROM onbuild\n");
    let asked: Vec<_> = built.requests.iter().map(|request| request.reference.as_str()).collect();
    assert_eq!(asked, ["onbuild", "busybox"]);
}

#[test]
fn g43_a_mount_in_a_trigger_sees_the_stages_of_the_child() {
    let built = built(
        "FROM busybox AS input\nRUN made\nFROM busybox AS base\n\
         ONBUILD RUN --mount=from=input,target=/i x\nFROM base\n",
    );
    let inputs = built.vertices().map(|vertex| vertex.inputs.len());
    assert_eq!(inputs.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn g44_history_counts_layers() {
    let built = built("FROM busybox\nLABEL a=b\nCOPY a /\nWORKDIR /d\nRUN x\nEXPOSE 1\n");
    let entries = built.config().history.iter().filter(|entry| !entry.comment.is_empty());
    let empty: Vec<bool> = entries.map(|entry| entry.empty_layer).collect();
    assert_eq!(empty, [true, false, false, false, true]);
    assert_eq!(
        built.history(),
        [
            "LABEL a=b",
            "COPY a / # buildkit",
            "WORKDIR /d",
            "RUN /bin/sh -c x # buildkit",
            "EXPOSE [1/tcp]"
        ]
    );
}

#[test]
fn g57_an_empty_destination_is_the_working_directory() {
    let built = built(
        "FROM busybox\nWORKDIR /w\nCOPY testfile \"\"\nCOPY testfile $NOTHING\n\
         COPY --link testfile \"\"\nCOPY --link testfile $NOTHING\n",
    );
    assert!(built.copies().iter().all(|copy| copy.dest == "/w/"));
}

#[test]
fn g63_modes_are_checked() {
    let built = built("FROM busybox\nCOPY --chmod=0 foo /f\n");
    assert_eq!(built.copies()[0].chmod.as_deref(), Some("0"));
    assert_eq!(codes(&Build::of("FROM busybox\nCOPY --chmod=64a foo /f\n")), ["bad-mode"]);
}

#[test]
fn g72_exclusions_go_with_the_source() {
    let built = built("FROM busybox\nCOPY --exclude=*/*.png --exclude=*/*.jpeg . /1\n");
    let excludes =
        built.vertices().flat_map(|vertex| &vertex.inputs).find_map(|edge| match &edge.selector {
            Selector::Paths(paths) => Some(paths.exclude.clone()),
            Selector::Whole => None,
        });
    assert_eq!(excludes.unwrap(), ["*/*.png", "*/*.jpeg"]);
}

#[test]
fn g75_add_unpacks_and_copy_does_not() {
    let built =
        built("FROM busybox\nCOPY t.tar.gz /\nADD t.tar.gz /\nADD --unpack=false t.tar.gz /\n");
    assert_eq!(built.unpack(), [Unpack::No, Unpack::Archives, Unpack::No]);
}

#[test]
fn g76_what_comes_from_elsewhere_is_unpacked_if_asked() {
    let built = built(
        "FROM busybox\nADD http://h/t.tar.gz /\nADD --unpack=true http://h/t.tar.gz /\n\
         ADD --unpack=false http://h/t.tar.gz /\n",
    );
    assert_eq!(built.unpack(), [Unpack::No, Unpack::Archives, Unpack::No]);
}

#[test]
fn g77_a_pattern_of_archives_is_one_source() {
    let built = built("FROM busybox\nADD *.tar /dest\n");
    assert_eq!(built.unpack(), [Unpack::Archives]);
    assert_eq!(built.copies()[0].dest, "/dest");
}

#[test]
fn g81_the_mode_of_what_comes_from_elsewhere_can_be_set() {
    let built = built("FROM busybox\nADD --chmod=0413 --chown=7:8 http://h/f /f\n");
    let copy = built.copies()[0];
    assert_eq!(copy.chmod.as_deref(), Some("0413"));
    assert_eq!(copy.chown.as_deref(), Some("7:8"));
}

#[test]
fn an_address_that_only_shows_after_expansion_is_one() {
    let built = built("FROM busybox\nARG H=h\nARG S=http://\nADD ${S}$H/f /f\n");
    assert!(built.vertices().any(|vertex| matches!(&vertex.op, Op::Http(_))));
    let copy = Build::of("FROM busybox\nARG S=http://\nCOPY ${S}h/f /f\n");
    assert_eq!(codes(&copy), ["remote-source"]);
}

#[test]
fn names_from_elsewhere_are_no_patterns() {
    let built = built("FROM busybox\nADD http://h/[x]* /f\n");
    let edges = built.vertices().flat_map(|vertex| &vertex.inputs);
    let patterns: Vec<&str> = edges
        .filter_map(|edge| match &edge.selector {
            Selector::Paths(paths) => Some(&*paths.pattern),
            Selector::Whole => None,
        })
        .collect();
    // Brackets, so that the tree takes it for a pattern: what is escaped only would be a name.
    assert_eq!(patterns, ["[\\[]x][*]"]);
}

#[test]
fn passwords_stay_out_of_history_and_titles() {
    let built = built("FROM scratch\nADD http://u:secret@h/f /f\n");
    assert_eq!(built.history(), ["ADD http://u:xxxxx@h/f /f # buildkit"]);
    let titles: Vec<&str> = built.vertices().map(|vertex| &*vertex.origin.title).collect();
    assert!(titles.contains(&"[internal] load http://u:xxxxx@h/f"), "{titles:?}");
}

#[test]
fn checksums_are_of_one_address() {
    let zeros = "0".repeat(64);
    let rows = [
        "ADD --checksum=sha256:00 http://h/f /f".to_owned(),
        "ADD --checksum=md5:00 http://h/f /f".to_owned(),
        format!("ADD --checksum=sha256:{zeros} http://h/f http://h/g /f/"),
        format!("ADD --checksum=sha256:{zeros} f /f"),
        format!("ADD --checksum=sha256:{zeros} git://h/r /f"),
        "ADD --keep-git-dir=true git://h/r?keep-git-dir=false /f".to_owned(),
    ];
    for row in rows {
        let found = codes(&Build::of(&format!("FROM scratch\n{row}\n")));
        assert!(matches!(found[..], ["checksum" | "bad-address"]), "{row}: {found:?}");
    }
}

#[test]
fn g99_a_named_context_hides_an_image_and_a_stage() {
    let alpine = || NamedContext::Image("alpine".to_owned());
    let with = |dockerfile: &str, name: &str, context: NamedContext| {
        let mut build = Build::of(dockerfile);
        build.options.contexts.insert(name.to_owned(), context);
        run(build)
    };
    for name in ["busybox", "docker.io/library/BusyBox:latest"] {
        let built = with(&format!("FROM {name}\nRUN x\n"), "busybox", alpine());
        assert_eq!(built.requests[0].reference, "alpine");
        assert_eq!(built.requests.len(), 1);
    }
    let built = with("FROM busybox AS st\nRUN false\nFROM st\n", "st", alpine());
    assert_eq!(built.requests[0].reference, "alpine");
    assert_eq!(built.execs().len(), 0);
    let built = with("FROM scratch\nCOPY --from=busybox:latest a /\n", "busybox", alpine());
    assert_eq!(built.requests[0].reference, "alpine");
}

#[test]
fn a_named_context_can_be_files() {
    let mut build = Build::of("FROM files\nCOPY --from=files a /b\nRUN x\n");
    build.options.contexts.insert("files".to_owned(), NamedContext::Files);
    let built = run(build);
    assert_eq!(built.requests.len(), 0);
    let contexts = built
        .vertices()
        .filter(|vertex| matches!(&vertex.op, Op::Context(context) if context.name == "files"));
    assert_eq!(contexts.count(), 1);
    assert_eq!(built.copies().iter().map(|copy| &*copy.dest).collect::<Vec<_>>(), ["/", "/b"]);
}

#[test]
fn further_targets_are_built_and_add_nothing() {
    let text = "FROM busybox AS base\nFROM base AS test\nRUN t\nFROM base AS lint\nRUN l\n\
                FROM no-such-image AS other\nFROM base\nRUN x\n";
    let mut build = Build::of(text);
    build.options.also = vec!["test".to_owned(), "LINT".to_owned(), "test".to_owned()];
    let built = run(build);
    assert_eq!(built.lowered().also.len(), 2);
    assert_eq!(built.execs().len(), 3);
    assert_eq!(built.requests.len(), 1);
    assert_eq!(built.history(), ["RUN /bin/sh -c x # buildkit"]);
    let mut build = Build::of(text);
    build.options.also = vec!["tset".to_owned()];
    assert_eq!(codes(&build), ["unknown-target"]);
}

#[test]
fn g82_a_heredoc_drops_its_escapes() {
    let file = |body: &str| inline(&format!("FROM scratch\nCOPY <<EOF f\n{body}\nEOF\n"));
    assert_eq!(file("\\"), "\n");
    assert_eq!(file("\\\\"), "\\\n");
    assert_eq!(file("\\$"), "$\n");
}

#[test]
fn g83_a_quoted_heredoc_keeps_every_byte() {
    let file = |body: &str| inline(&format!("FROM scratch\nCOPY <<\"EOF\" f\n{body}\nEOF\n"));
    for body in ["\\", "\\\\", "\\$", "$name"] {
        assert_eq!(file(body), format!("{body}\n"));
    }
}

#[test]
fn g84_quotes_in_a_heredoc_are_text() {
    let dockerfile = "FROM scratch\nARG name=x\nCOPY <<EOF f\nHello '${name}' \"${name}\"\nEOF\n";
    assert_eq!(inline(dockerfile), "Hello 'x' \"x\"\n");
}

#[test]
fn g85_a_dash_strips_tabs() {
    assert_eq!(inline("FROM scratch\nCOPY <<-EOF f\n\ta\n\tEOF\n"), "a\n");
    assert_eq!(inline("FROM scratch\nCOPY <<EOF f\n\ta\nEOF\n"), "\ta\n");
}

#[test]
fn g86_a_script_is_left_to_the_shell() {
    let built = built("FROM busybox\nARG name=y\nRUN <<EOF\nname=x\necho ${name}\nEOF\n");
    assert_eq!(built.execs()[0].args, ["/bin/sh", "-c", "name=x\necho ${name}\n"]);
}

#[test]
fn g87_a_script_goes_to_whatever_the_shell_is() {
    let built = built("FROM busybox\nSHELL [\"/bin/awk\"]\nRUN <<EOF\nBEGIN {}\nEOF\n");
    assert_eq!(built.execs()[0].args, ["/bin/awk", "BEGIN {}\n"]);
}

#[test]
fn g88_several_heredocs_are_the_shells() {
    let built = built("FROM busybox\nRUN <<EOF 3<<IN1 awk -f -\n1\nEOF\n2\nIN1\n");
    assert_eq!(built.execs()[0].args[2], "<<EOF 3<<IN1 awk -f -\n1\nEOF\n2\nIN1");
}

#[test]
fn a_script_with_an_interpreter_is_a_file() {
    let built = built("FROM busybox\nRUN <<-EOF\n\t#!/bin/env x\n\tgo\n\tEOF\n");
    let exec = built.execs()[0];
    assert_eq!(exec.args, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    let expected = MountKind::File { data: b"#!/bin/env x\ngo\n".to_vec(), mode: 0o755 };
    assert_eq!(exec.mounts[0].kind, expected);
}

#[test]
fn a_proxy_is_in_no_key() {
    let built = run(Build::of("FROM busybox\nRUN x\n").flag("--proxy http_proxy=http://p"));
    let exec = built.execs()[0];
    assert!(exec.env.iter().all(|(name, _)| !name.to_lowercase().contains("proxy")));
    assert_eq!(exec.unkeyed_env.len(), 2);
}

#[test]
fn only_what_the_target_needs_is_looked_up() {
    let dockerfile = "FROM one AS a\nFROM two AS b\nFROM a\nCOPY --from=three /x /\n";
    let built = built(dockerfile);
    let asked: Vec<_> = built.requests.iter().map(|request| request.reference.as_str()).collect();
    assert_eq!(asked, ["one", "three"]);
}

#[test]
fn an_image_that_nobody_looked_up_is_an_error_and_no_panic() {
    use rbuild_frontend::lower::lower;
    use rbuild_frontend::parser::parse;
    use rbuild_frontend::stage::{Bases, stages};
    let build = Build::of("FROM busybox\nRUN x\n");
    let parsed = parse(&build.source);
    let graph = stages(&parsed.ast, &build.source, &build.options).unwrap();
    let mut into = rbuild_solver::graph::Graph::new();
    let found = lower(&mut into, &graph, &Bases::new(), &build.options).unwrap_err();
    assert_eq!(found[0].code, "unresolved-base");
}

#[test]
fn slots_stay_the_same_when_other_steps_change() {
    let slots = |dockerfile: &str| -> Vec<String> {
        built(dockerfile).vertices().map(|vertex| vertex.origin.slot.clone()).collect()
    };
    let before = slots("FROM busybox AS x\nRUN one\nCOPY a b\n");
    let after = slots("FROM busybox AS x\nENV A=1\nWORKDIR /w\nRUN two\nCOPY c d\n");
    assert!(before.iter().all(|slot| after.contains(slot)), "{before:?} {after:?}");
}
