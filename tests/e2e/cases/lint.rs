//! Rules: beside a build, and instead of one; what a file offers.

use e2e::{Context, World, for_each_user};

for_each_user! {
    a_check_says_what_it_finds,
    a_build_shows_findings_and_goes_on,
    an_answer_in_json_says_what_is_wrong,
    a_check_goes_on_without_a_registry,
    a_file_tells_what_it_offers,
    a_mistyped_stage_is_recognised,
}

const UNTIDY: &str = "FROM busybox AS Build\nENV NAME value\nCMD echo\n";

fn a_check_says_what_it_finds(world: &World) {
    let context = Context::new(world, "context", &[("Dockerfile", UNTIDY)]);
    let run = world.build(&["--check", context.arg()]).ended(1);
    for rule in ["StageNameCasing", "LegacyKeyValueFormat", "JSONArgsRecommended"] {
        assert!(run.stdout.contains(&format!("warning[{rule}]")), "{}", run.shown());
    }
    assert!(run.stdout.ends_with(": 3 warnings\n"), "{}", run.shown());
    world.build(&["--call=check,ignorestatus=true", context.arg()]).ok();
    assert!(world.rbuild(&["images", "-q"]).ok().stdout.is_empty(), "nothing was built");

    let run = world.build(&["--call=check,format=json", context.arg()]).ended(1);
    let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let rows: Vec<_> = answer["warnings"].as_array().unwrap().iter().collect();
    let found = |row: &serde_json::Value| {
        let line = row["location"]["ranges"][0]["start"]["line"].as_u64().unwrap();
        (row["ruleName"].as_str().unwrap().to_owned(), line)
    };
    let found: Vec<_> = rows.into_iter().map(found).collect();
    let expected =
        [("StageNameCasing", 1), ("LegacyKeyValueFormat", 2), ("JSONArgsRecommended", 3)];
    assert_eq!(found, expected.map(|(name, line)| (name.to_owned(), line)));

    context.write("Dockerfile", "FROM busybox\n");
    assert!(world.build(&["--check", context.arg()]).ok().stdout.contains("no warnings"));
    context.write("Dockerfile", "FROM busybox\nCPOY a b\n");
    let run = world.build(&["--call=check,format=json", context.arg()]).ended(1);
    let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
    world.build(&["--call=nonsense", context.arg()]).ended(2);
}

fn an_answer_in_json_says_what_is_wrong(world: &World) {
    let context = Context::new(world, "context", &[("Dockerfile", "FROM busybox\nCPOY a b\n")]);
    for method in ["check", "outline", "targets"] {
        let call = format!("--call={method},format=json");
        context.write("Dockerfile", "FROM busybox\nCPOY a b\n");
        let run = world.build(&[&call, context.arg()]).ended(1);
        let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let error = &answer["buildError"];
        assert_eq!(error["message"], "unknown instruction `CPOY`");
        assert_eq!(error["location"]["ranges"][0]["start"]["line"], 2);
        for (text, message) in [("", "is empty"), ("# nothing\n", "no instructions")] {
            context.write("Dockerfile", text);
            let run = world.build(&[&call, context.arg()]).ended(1);
            let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            let said = answer["buildError"]["message"].as_str().unwrap();
            assert!(said.contains(message), "{}", run.shown());
        }
    }
}

fn a_build_shows_findings_and_goes_on(world: &World) {
    let context = Context::new(world, "context", &[("Dockerfile", UNTIDY)]);
    let rules = ["StageNameCasing", "LegacyKeyValueFormat", "JSONArgsRecommended"];
    world.build(&[context.arg()]).ok().says(&rules);

    let strict = format!("# check=error=true;skip=JSONArgsRecommended\n{UNTIDY}");
    context.write("Dockerfile", &strict);
    let run = world.build(&[context.arg()]).ended(1).says(&["StageNameCasing", "check=error=true"]);
    assert!(!run.stderr.contains("JSONArgsRecommended"), "{}", run.shown());
    let all = "BUILDKIT_DOCKERFILE_CHECK=skip=all";
    let run = world.build(&["--build-arg", all, context.arg()]).ok();
    assert!(!run.stderr.contains("warning"), "{}", run.shown());
}

fn a_check_goes_on_without_a_registry(world: &World) {
    // A port that was free a moment ago.
    let address = e2e::Registry::open().address.clone();
    let text = format!("FROM {address}/app:1\nENV A=$OF_THE_BASE\nCMD echo\n");
    let context = Context::new(world, "context", &[("Dockerfile", &text)]);
    let run = world.build(&["--check", context.arg()]).ended(1).says(&[&address, "left out"]);
    assert!(run.stdout.contains("JSONArgsRecommended"), "{}", run.shown());
    assert!(!run.stdout.contains("UndefinedVar"), "{}", run.shown());
}

fn a_file_tells_what_it_offers(world: &World) {
    let text = "# VERSION of the base\nARG VERSION=latest\n\
        # build makes it\nFROM busybox:$VERSION AS build\nARG MODE=fast\n\
        RUN --mount=type=secret,id=token,required x\nFROM --platform=$BUILDPLATFORM scratch\n";
    let context = Context::new(world, "context", &[("Dockerfile", text)]);
    let run = world.build(&["--call=targets", context.arg()]).ok();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "TARGET      BASE               PLATFORM         DESCRIPTION",
            "build       busybox:$VERSION                    makes it",
            "(default)   scratch            $BUILDPLATFORM",
        ]
    );
    let args = ["--call=outline,format=json", "--target=build", "--build-arg=MODE=slow"];
    let run = world.build(&[&args[..], &[context.arg()]].concat());
    let answer: serde_json::Value = serde_json::from_str(&run.ok().stdout).unwrap();
    assert_eq!(answer["name"], "build");
    assert_eq!(answer["description"], "makes it");
    assert_eq!(answer["args"][0]["name"], "VERSION");
    assert_eq!(answer["args"][0]["description"], "of the base");
    assert_eq!(answer["args"][1]["value"], "slow");
    assert_eq!(answer["secrets"][0]["name"], "token");
    assert_eq!(answer["secrets"][0]["required"], true);
}

fn a_mistyped_stage_is_recognised(world: &World) {
    let files = [("Dockerfile", "FROM busybox AS build\nFROM biuld\n")];
    let context = Context::new(world, "context", &files);
    world
        .build(&[context.arg()])
        .ended(3)
        .says(&["Dockerfile:2", "did you mean the stage `build`"]);
    context.write("Dockerfile", "FROM busybox AS build\nFROM scratch\nCOPY --from=biuld / /\n");
    world
        .build(&[context.arg()])
        .ended(3)
        .says(&["Dockerfile:3", "did you mean the stage `build`"]);
}
