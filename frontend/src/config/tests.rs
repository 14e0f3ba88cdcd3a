use super::*;

fn amd64() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() }
}

#[test]
fn an_empty_config_is_written_as_buildkit_does() {
    let json = String::from_utf8(ImageConfig::empty(&amd64()).to_json()).unwrap();
    assert_eq!(
        json,
        format!(
            r#"{{"architecture":"amd64","config":{{"Env":["PATH={DEFAULT_PATH}"],"WorkingDir":"/"}},"os":"linux","rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        )
    );
}

/// The document is what Docker 28 made of a Dockerfile with every instruction, dates shortened.
#[test]
fn a_full_config_survives_byte_for_byte() {
    let json = concat!(
        r#"{"architecture":"amd64","author":"me \u003cme@x\u003e","config":{"User":"root","#,
        r#""ExposedPorts":{"100/tcp":{},"443/udp":{},"80/tcp":{}},"Env":["PATH=/bin","E1=a b"],"#,
        r#""Entrypoint":["/bin/sh","-c","shell form"],"Cmd":["a\"b","\u0026é","tab\t"],"#,
        r#""Volumes":{"/v1":{},"/v2":{}},"WorkingDir":"/d/sub","Labels":{"a":"b","c d":"e"},"#,
        r#""StopSignal":"SIGTERM","ArgsEscaped":true,"#,
        r#""Healthcheck":{"Test":["CMD","true"],"Interval":5000000000,"Retries":2},"#,
        r#""OnBuild":["RUN echo onb"],"Shell":["/bin/sh","-c"],"StopTimeout":3},"#,
        r#""created":"2026-11-21T23:45:56Z","history":[{"created":"2026-11-21T23:45:54Z","#,
        r#""comment":"Imported from -"},{"created_by":"LABEL a=b","author":"me","#,
        r#""comment":"buildkit.dockerfile.v0","empty_layer":true}],"os":"linux","#,
        r#""os.features":["win32k"],"os.version":"10","rootfs":{"type":"layers","diff_ids":["#,
        r#""sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"#,
        r#""variant":"v7","x.unknown":{"kept":1}}"#
    );
    let config: ImageConfig = serde_json::from_str(json).unwrap();
    assert_eq!(String::from_utf8(config.to_json()).unwrap(), json);
}

#[test]
fn nulls_are_nothing() {
    let json = r#"{"architecture":null,"os":"linux","config":{"Env":null,"Cmd":null,"Labels":null,
        "Volumes":null,"ExposedPorts":null,"OnBuild":null,"Healthcheck":null},
        "history":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
    let config: ImageConfig = serde_json::from_str(json).unwrap();
    assert_eq!(config.config, Runtime::default());
    let config: ImageConfig = serde_json::from_str(r#"{"os":"linux","config":null}"#).unwrap();
    assert_eq!(config.rootfs, RootFs::default());
}

#[test]
fn a_child_knows_nothing_of_how_its_base_was_committed() {
    let json = r#"{"created":"2020-01-01T00:00:00Z","container":"abc","container_config":{"Cmd":[]},
        "docker_version":"1","kept":1,"os":"linux","config":{"Hostname":"h","AttachStdin":false,
        "Domainname":"","StopTimeout":9,"OnBuild":["RUN x"],"User":"u"},"rootfs":{"type":"layers"}}"#;
    let child = serde_json::from_str::<ImageConfig>(json).unwrap().child();
    assert_eq!(
        String::from_utf8(child.to_json()).unwrap(),
        concat!(
            r#"{"architecture":"","config":{"User":"u","StopTimeout":9},"os":"linux","#,
            r#""rootfs":{"type":"layers","diff_ids":[]},"kept":1}"#
        )
    );
}

#[test]
fn a_variable_that_is_set_again_keeps_its_place() {
    let mut runtime = Runtime::default();
    for (name, value) in [("A", "1"), ("B", "x=y"), ("A", "2")] {
        runtime.set_env(name, value);
    }
    assert_eq!(runtime.env, ["A=2", "B=x=y"]);
    assert_eq!(runtime.env_pairs().nth(1), Some(("B", "x=y")));
}

#[test]
fn history_says_which_entries_made_a_layer() {
    let mut config = ImageConfig::default();
    config.record("ENV A=1".to_owned(), Layer::Empty);
    config.record("COPY a b # buildkit".to_owned(), Layer::Made);
    assert_eq!(
        serde_json::to_string(&config.history).unwrap(),
        concat!(
            r#"[{"created_by":"ENV A=1","comment":"buildkit.dockerfile.v0","empty_layer":true},"#,
            r#"{"created_by":"COPY a b # buildkit","comment":"buildkit.dockerfile.v0"}]"#
        )
    );
}

#[test]
fn every_layer_of_a_base_has_one_entry() {
    let rows: [(&[bool], usize, &[bool]); 6] = [
        (&[], 2, &[false, false]),
        (&[true], 1, &[true, false]),
        (&[false, true], 1, &[false, true]),
        (&[false, false], 1, &[false, true]),
        (&[false], 0, &[true]),
        (&[false, true, false], 3, &[false, true, false, false]),
    ];
    for (empty, layers, expected) in rows {
        let mut config = ImageConfig::empty(&amd64());
        let id = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
        config.rootfs.diff_ids = vec![id.parse().unwrap(); layers];
        for empty in empty {
            config.record(String::new(), if *empty { Layer::Empty } else { Layer::Made });
        }
        config.complete_history(Some("2020-01-01T00:00:00Z"));
        let found: Vec<bool> = config.history.iter().map(|entry| entry.empty_layer).collect();
        assert_eq!(found, expected, "{empty:?} and {layers} layers");
        let added = &config.history[empty.len()..];
        let time = Some("2020-01-01T00:00:00Z");
        assert!(added.iter().all(|entry| entry.created.as_deref() == time), "{added:?}");
    }
}
