//! Which Dockerfile and which ignore file a build gets.

use std::fs;
use std::os::unix::fs::symlink;

use rbuild_cache::tree::PathSelector;
use rbuild_solver::worker::Cancel;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::given::Given;
use crate::source::limits::Limits;

/// A store and what reads with it. Nothing here fetches anything.
struct Lab {
    _folder: TempDir,
    store: Store,
    runtime: Runtime,
    cancel: Cancel,
}

impl Lab {
    fn new() -> Lab {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Lab { _folder: folder, store, runtime, cancel: Cancel::new() }
    }

    fn open(
        &self,
        place: &str,
        file: Option<&str>,
        stdin: &mut dyn Read,
    ) -> Result<BuildContext, ContextError> {
        self.open_with(Limits::default(), place, file, stdin)
    }

    fn open_with(
        &self,
        limits: Limits,
        place: &str,
        file: Option<&str>,
        stdin: &mut dyn Read,
    ) -> Result<BuildContext, ContextError> {
        let handle = self.runtime.handle().clone();
        let remotes =
            Remotes::with(&self.store, handle, &self.cancel, (limits, Given::default()), (0, 0));
        let reader = Reader { store: &self.store, remotes: &remotes, keep_git_dir: false };
        BuildContext::open(place, file, stdin, reader)
    }
}

/// Opens a context; of the store only what the context itself keeps stays.
fn open_at(
    place: &str,
    file: Option<&str>,
    stdin: &mut dyn Read,
) -> Result<BuildContext, ContextError> {
    Lab::new().open(place, file, stdin)
}

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
    open_at(&at(place), file.as_deref(), &mut b"FROM stdin".as_slice())
}

fn names(context: &BuildContext) -> Vec<String> {
    let selector = PathSelector::everything();
    let selection = context.files.tree.select(&selector).unwrap();
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
    assert_eq!(context.files.root, root.path().join("real").canonicalize().unwrap());
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
    let selector = PathSelector::of("b");
    let error = context.files.tree.select(&selector).err().unwrap().to_string();
    let rule = format!("left out by {}/c/.dockerignore:1 `*`", root.path().display());
    assert_eq!(error, format!("`b` not found: {rule}"));
}

#[test]
fn standard_input_alone_is_an_empty_context() {
    let mut text = b"FROM scratch\n".as_slice();
    let lab = Lab::new();
    let context = lab.open("-", None, &mut text).unwrap();
    assert_eq!((context.dockerfile.name.as_str(), names(&context)), ("-", Vec::new()));
    let root = context.files.root.clone();
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
    let error = open_at(&place, file, &mut io::empty()).err().unwrap();
    let expected = format!(
        "no `only-in-this-context`: `-f` is relative to the working directory; \
         there is `{place}/only-in-this-context`"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_endless_dockerfile_is_refused() {
    let root = layout(&["c/x"]);
    let error =
        open_at(root.path().join("c").to_str().unwrap(), Some("/dev/zero"), &mut io::empty());
    assert!(matches!(error.err().unwrap(), ContextError::TooLarge(_)));
}

/// An archive of these files; `owner` owns all of them.
fn archive(files: &[(&str, &str)], owner: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o640);
        header.set_uid(owner);
        header.set_gid(owner);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn an_archive_on_standard_input_is_a_context() {
    let files = [("Dockerfile", "FROM a"), ("sub/Other", "FROM b"), (".dockerignore", "*")];
    let bytes = archive(&files, 7);
    let lab = Lab::new();
    let context = lab.open("-", None, &mut bytes.as_slice()).unwrap();
    assert_eq!(context.dockerfile.text, b"FROM a");
    assert_eq!(names(&context), [".dockerignore", "Dockerfile", "sub", "sub/Other"]);
    let found = context.files.tree.look(b"Dockerfile").unwrap().unwrap();
    assert_eq!((found.node.uid, found.node.gid, found.node.mode), (7, 7, 0o640));
    let other = lab.open("-", Some("sub/Other"), &mut bytes.as_slice()).unwrap();
    assert_eq!(other.dockerfile.text, b"FROM b");
    let outside = layout(&["f=FROM c"]);
    let path = outside.path().join("f").display().to_string();
    let here = lab.open("-", Some(&path), &mut bytes.as_slice()).unwrap();
    assert_eq!(here.dockerfile.text, b"FROM c");
    let root = context.files.root.clone();
    drop(context);
    assert!(!root.exists());
}

#[test]
fn bad_streams_are_told() {
    let lab = Lab::new();
    let rows: [(&[u8], Option<&str>, &str); 5] = [
        (b"FROM x", Some("f"), "`-` is no archive, so `-f` cannot name a file in it"),
        (b" \n", None, "the Dockerfile `-` is empty"),
        (&archive(&[("x", "")], 0), None, "no Dockerfile in `-`: name it with `-f`"),
        (&archive(&[("x", "")], 0), Some("y"), "no `y` in `-`, and none here"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03junk", None, "the archive cannot be unpacked: "),
    ];
    for (mut bytes, file, message) in rows {
        let error = lab.open("-", file, &mut bytes).err().unwrap().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let twice = lab.open("-", Some("-"), &mut io::empty()).err().unwrap();
    assert_eq!(twice.to_string(), "the build context and the Dockerfile cannot both be `-`");
}

#[test]
fn an_archive_ends_at_its_limits() {
    let lab = Lab::new();
    let bytes = archive(&[("Dockerfile", "FROM scratch"), ("x", "0123456789")], 0);
    let small = Limits { bytes: 20, ..Limits::default() };
    let error = lab.open_with(small, "-", None, &mut bytes.as_slice()).err().unwrap();
    assert!(error.to_string().starts_with("the archive has more than 20 bytes"), "{error}");
    let few = Limits { files: 1, ..Limits::default() };
    let error = lab.open_with(few, "-", None, &mut bytes.as_slice()).err().unwrap();
    assert_eq!(error.to_string(), "the archive has more than 1 files");
}

#[test]
fn addresses_are_checked_before_anything_is_asked() {
    let rows = [
        ("https:///x", "cannot use `https:///x` as a build context: it names no host"),
        ("github.com/a/b#-x", "git allows no ref of that name"),
        ("ext::sh -c id", "cannot open the build context `ext::sh -c id`"),
    ];
    for (place, message) in rows {
        let error = open_at(place, None, &mut io::empty()).err().unwrap().to_string();
        assert!(error.contains(message), "{place}: {error}");
    }
}

#[test]
fn named_folders_have_ignore_files_of_their_own() {
    let root = layout(&["c/Dockerfile=1", "c/.dockerignore=x", "n/.dockerignore=y", "n/x", "n/y"]);
    let lab = Lab::new();
    let remotes = Remotes::with(
        &lab.store,
        lab.runtime.handle().clone(),
        &lab.cancel,
        (Limits::default(), Given::default()),
        (0, 0),
    );
    let reader = Reader { store: &lab.store, remotes: &remotes, keep_git_dir: false };
    let at = |name: &str| root.path().join(name).display().to_string();
    let mut context = BuildContext::open(&at("c"), None, &mut io::empty(), reader).unwrap();
    context.add("n", &NamedSource::Folder(at("n")), reader).unwrap();
    let all = PathSelector::everything();
    let selection = context.files("n").tree.select(&all).unwrap();
    let paths: Vec<_> = selection.all().map(|(_, found)| found.path.clone()).collect();
    assert!(paths.contains(&b"x".to_vec()) && !paths.contains(&b"y".to_vec()), "{paths:?}");
    assert!(context.add("m", &NamedSource::Folder(at("gone")), reader).is_err());
}
