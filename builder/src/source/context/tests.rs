//! Which Dockerfile and which ignore file a build gets.

use std::fs;
use std::os::unix::fs::symlink;

use rbuild_cache::tree::PathSelector;

use super::*;

/// A directory with these files; the contents follow `=`, and a link's target `->`.
fn layout(files: &[&str]) -> TempDir {
    let root = TempDir::new().unwrap();
    for file in files {
        let (path, text) = file.split_once('=').unwrap_or((file, ""));
        let (path, target) = path.split_once("->").unwrap_or((path, ""));
        let at = root.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match target {
            "" => fs::write(at, text).unwrap(),
            target => symlink(target, at).unwrap(),
        }
    }
    root
}

fn open(root: &TempDir, place: &str, file: Option<&str>) -> Result<BuildContext, ContextError> {
    let at = |path: &str| root.path().join(path).display().to_string();
    let file = file.map(|file| if file == "-" { file.to_owned() } else { at(file) });
    BuildContext::open(&at(place), file.as_deref(), &mut b"FROM stdin".as_slice())
}

fn names(context: &BuildContext) -> Vec<String> {
    let selector = PathSelector { pattern: String::new(), exclude: Vec::new() };
    let selection = context.tree.select(&selector).unwrap();
    let paths = selection.all().map(|(_, found)| String::from_utf8_lossy(&found.path).into_owned());
    paths.filter(|path| !path.is_empty()).collect()
}

#[test]
fn the_dockerfile_is_found() {
    let rows: &[(&[&str], Option<&str>, &str)] = &[
        (&["c/Dockerfile=1", "c/dockerfile=2", "f=3"], None, "1"),
        (&["c/dockerfile=2"], None, "2"),
        (&["c/Dockerfile=1", "f=3"], Some("f"), "3"),
        (&["c/Dockerfile=1", "c/sub/f=4"], Some("c/sub/f"), "4"),
        (&["c/Dockerfile=1"], Some("-"), "FROM stdin"),
        (&["c/Dockerfile->real", "c/real=5"], None, "5"),
        (&["c/x", "f->g", "g=6"], Some("f"), "6"),
    ];
    for (files, file, expected) in rows {
        let root = layout(files);
        let context = open(&root, "c", *file).unwrap();
        assert_eq!(context.dockerfile.text, expected.as_bytes(), "{files:?}");
    }
}

#[test]
fn the_root_may_be_a_link() {
    let root = layout(&["real/Dockerfile=1", "c->real"]);
    let context = open(&root, "c", None).unwrap();
    assert_eq!(context.root, root.path().join("real").canonicalize().unwrap());
    assert_eq!(names(&context), ["Dockerfile"]);
}

#[test]
fn one_ignore_file_counts() {
    let files =
        &["c/Dockerfile=1", "c/.dockerignore=a", "c/a", "c/b", "c/d/f=1", "c/x.dockerignore=b"];
    let seen = |extra: &[&str], file| {
        let root = layout(&[files, extra].concat());
        let context = open(&root, "c", file).unwrap();
        let mut names = names(&context);
        names.retain(|name| name.len() == 1 && name != "d");
        names
    };
    assert_eq!(seen(&[], None), ["b"], "that of the context");
    assert_eq!(seen(&["c/Dockerfile.dockerignore=b"], None), ["a"], "G98: its own");
    assert_eq!(seen(&["c/Dockerfile.dockerignore="], None), ["a", "b"], "its own, empty");
    assert_eq!(seen(&["c/d/f.dockerignore=b"], Some("c/d/f")), ["a"], "beside it");
    assert_eq!(seen(&["f=1", "f.dockerignore=b"], Some("f")), ["a"], "outside");
    assert_eq!(seen(&["Dockerfile.dockerignore=b"], Some("-")), ["b"], "standard input has none");
}

#[test]
fn ignored_files_are_still_read_for_the_build() {
    let root = layout(&["c/Dockerfile=1", "c/.dockerignore=*\n!keep\n", "c/keep", "c/b"]);
    let context = open(&root, "c", None).unwrap();
    assert_eq!(
        (names(&context), context.dockerfile.text),
        (vec!["keep".to_owned()], b"1".to_vec())
    );
    let selector = PathSelector { pattern: "b".to_owned(), exclude: Vec::new() };
    let error = context.tree.select(&selector).err().unwrap().to_string();
    let rule = format!("left out by {}/c/.dockerignore:1 `*`", root.path().display());
    assert_eq!(error, format!("`b` not found: {rule}"));
}

#[test]
fn standard_input_alone_is_an_empty_context() {
    let mut text = b"FROM scratch\n".as_slice();
    let context = BuildContext::open("-", None, &mut text).unwrap();
    assert_eq!((context.dockerfile.name.as_str(), names(&context)), ("-", Vec::new()));
    let root = context.root.clone();
    drop(context);
    assert!(!root.exists());
}

#[test]
fn what_cannot_be_used_is_told() {
    let files = [
        "out/secret=1",
        "link/Dockerfile->../out/secret",
        "ignore/Dockerfile=1",
        "ignore/.dockerignore->../out/secret",
        "own/Dockerfile=1",
        "own/Dockerfile.dockerignore->../out/secret",
        "bad/Dockerfile=1",
        "bad/.dockerignore=ok\n!\n",
        "blank/Dockerfile= \n",
        "none/x",
        "dir/Dockerfile/x",
        "file",
    ];
    let rows = [
        (
            "link",
            None,
            "`@/link/Dockerfile` is a link that leads out of the build context, to `@/out/secret`",
        ),
        (
            "ignore",
            None,
            "`@/ignore/.dockerignore` is a link that leads out of the build context, to `@/out/secret`",
        ),
        (
            "own",
            None,
            "`@/own/Dockerfile.dockerignore` is a link that leads out of the build context, to `@/out/secret`",
        ),
        (
            "bad",
            None,
            "`@/bad/.dockerignore`: line 2: `!` is not a valid pattern: nothing follows the `!`",
        ),
        ("blank", None, "the Dockerfile `@/blank/Dockerfile` is empty"),
        ("none", None, "no Dockerfile in `@/none`: name it with `-f`"),
        ("none", Some("gone"), "cannot read `@/gone`: No such file or directory (os error 2)"),
        ("dir", None, "cannot read `@/dir/Dockerfile`: is a directory"),
        ("file", None, "cannot open the build context `@/file`: not a directory"),
        (
            "gone",
            None,
            "cannot open the build context `@/gone`: No such file or directory (os error 2)",
        ),
    ];
    let root = layout(&files);
    let base = root.path().canonicalize().unwrap();
    for (place, file, expected) in rows {
        let error = open(&root, place, file).err().unwrap().to_string();
        assert_eq!(error, expected.replace('@', &base.display().to_string()), "{place}");
    }
}

#[test]
fn a_dockerfile_is_named_from_the_working_directory() {
    let root = layout(&["c/only-in-this-context=1"]);
    let place = root.path().join("c").display().to_string();
    let file = Some("only-in-this-context");
    let error = BuildContext::open(&place, file, &mut io::empty()).err().unwrap();
    let expected = format!(
        "no `only-in-this-context`: `-f` is relative to the working directory; \
         there is `{place}/only-in-this-context`"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn remote_and_archived_contexts_are_refused() {
    let unsupported =
        |place: &str, file, mut stdin: &[u8]| match BuildContext::open(place, file, &mut stdin)
            .err()
            .unwrap()
        {
            ContextError::Unsupported { kind } => kind,
            other => panic!("{other}"),
        };
    let git =
        ["git://h/r", "git@h:r.git", "https://h/r.git#main:sub", "github.com/a/b", "ssh://h/r"];
    for place in git {
        assert_eq!(unsupported(place, None, b""), "a git repository");
    }
    assert_eq!(unsupported("https://h/ctx.tar.gz", None, b""), "a URL");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, "Dockerfile", io::empty()).unwrap();
    let archive = archive.into_inner().unwrap();
    assert_eq!(unsupported("-", None, &archive), "an archive on standard input");
    assert_eq!(unsupported("-", Some("Dockerfile"), b"x"), "an archive on standard input");
    let twice = BuildContext::open("-", Some("-"), &mut b"".as_slice()).err().unwrap();
    assert_eq!(twice.to_string(), "the build context and the Dockerfile cannot both be `-`");
}

#[test]
fn an_endless_dockerfile_is_refused() {
    let root = layout(&["c/x"]);
    let error = BuildContext::open(
        root.path().join("c").to_str().unwrap(),
        Some("/dev/zero"),
        &mut io::empty(),
    );
    assert!(matches!(error.err().unwrap(), ContextError::TooLarge(_)));
}
