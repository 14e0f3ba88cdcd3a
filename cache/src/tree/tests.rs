//! Selections and their digests on real directories.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::ContentDigest;
use crate::pattern::rules::{Effect, Rules};
use crate::stat::StatCache;

mod parents;

/// Makes `path`, `path/` for a directory, `path -> target` for a link; a file holds its own path.
fn layout(paths: &[&str]) -> TempDir {
    let root = TempDir::new().unwrap();
    for path in paths {
        let (path, target) = path.split_once(" -> ").unwrap_or((path, ""));
        let at = root.path().join(path);
        fs::create_dir_all(if path.ends_with('/') { &at } else { at.parent().unwrap() }).unwrap();
        match target {
            "" if path.ends_with('/') => {}
            "" => fs::write(at, path).unwrap(),
            target => symlink(target, at).unwrap(),
        }
    }
    root
}

fn tree(root: &TempDir) -> Tree {
    Tree::open(root.path(), Owners::Root, None).unwrap()
}

fn selector(pattern: &str) -> PathSelector {
    PathSelector::of(pattern)
}

/// Files as `name=bytes`, directories as `inner/path` or `inner/path/`, links as `path->target`.
fn shown(selection: &Selection) -> Vec<String> {
    let mut lines = Vec::new();
    for (one, found) in selection.all() {
        let path = if found.path.is_empty() { &one.name } else { &found.path };
        let path = String::from_utf8_lossy(path);
        lines.push(match &found.node.kind {
            NodeKind::Dir if found.path.is_empty() => continue,
            NodeKind::Dir => format!("{path}/"),
            NodeKind::Symlink { target } => format!("{path}->{}", String::from_utf8_lossy(target)),
            _ => {
                let text = std::io::read_to_string(selection.open(one, &found).unwrap()).unwrap();
                format!("{path}={text}")
            }
        });
    }
    lines
}

fn digest(root: &TempDir, pattern: &str) -> ContentDigest {
    tree(root).select(&selector(pattern)).unwrap().digest(&StatCache::none()).unwrap()
}

const PROJECT: &[&str] = &[
    "foo",
    "bar",
    "link -> bar",
    "deep -> sub",
    "abs -> /sub/dir1",
    "up -> ../../../bar",
    "sub/dir1/dir2/foo",
    "sub/dir1/sub -> ../../bar",
    "sub/l0 -> ../bar",
    "sub/l1 -> l0",
    "foo1.go",
    "foo2.txt",
    "[odd]",
    "empty/",
];

#[test]
fn sources_name_what_docker_means() {
    let dir1: &[&str] = &["dir2/", "dir2/foo=sub/dir1/dir2/foo", "sub->../../bar"];
    let rows: &[(&str, &str, &[&str])] = &[
        ("G45 a wildcard may match nothing", "nomatch*", &[]),
        ("G46 a top link is followed, and keeps its name", "link", &["link=bar"]),
        ("G47 so is one that a wildcard matches", "sub/l*", &["l0=bar", "l1=bar"]),
        ("G48 G52 contents of a directory, inner links kept", "sub/dir1", dir1),
        ("G49 an inner link that is named", "sub/dir1/sub", &["sub=bar"]),
        ("G50 through a link", "deep/dir1", dir1),
        ("G50 a wildcard behind a link", "deep/l0*", &["l0=bar"]),
        ("an absolute link starts at the root", "abs", dir1),
        ("`..` stops at the root", "up", &["up=bar"]),
        ("G53 contents of a matched directory", "sub/d*", dir1),
        ("G54 wildcards in the middle", "sub/*/dir2/foo", &["foo=sub/dir1/dir2/foo"]),
        ("wildcards in the middle follow no links", "de?p/dir1/dir2/foo", &[]),
        ("G55 one match", "f*.go", &["foo1.go=foo1.go"]),
        ("many matches, sorted", "foo*", &["foo=foo", "foo1.go=foo1.go", "foo2.txt=foo2.txt"]),
        ("an escaped wildcard", "[[]odd]", &["[odd]=[odd]"]),
        ("nothing in it", "empty", &[]),
    ];
    let root = layout(PROJECT);
    let tree = tree(&root);
    for (case, pattern, expected) in rows {
        assert_eq!(shown(&tree.select(&selector(pattern)).unwrap()), *expected, "{case}");
    }
}

#[test]
fn the_root_is_everything() {
    let root = layout(&["a", "d/b"]);
    assert_eq!(shown(&tree(&root).select(&selector("")).unwrap()), ["a=a", "d/", "d/b=d/b"]);
}

#[test]
fn what_is_not_there_is_told_with_its_neighbour() {
    let root = layout(&["src/app.go", "Makefile", "loop -> pool", "pool -> loop", "dang -> gone"]);
    let rows = [
        ("src/ap.go", "`src/ap.go` not found; there is `src/app.go`"),
        ("makefile", "`makefile` not found; there is `Makefile`"),
        ("srcs/app.go", "`srcs/app.go` not found; there is `src`"),
        ("Makefile/x", "`Makefile/x` not found"),
        ("xyzzy", "`xyzzy` not found"),
        ("srt/*.go", "`srt` not found; there is `src`"),
        ("Makefile/*", "`Makefile` is not a directory"),
        (
            "dang",
            "`dang` not found: the link `dang` leads to `gone`, which is not there inside the root",
        ),
        (
            "dan*",
            "`dang` not found: the link `dang` leads to `gone`, which is not there inside the root",
        ),
        ("loop", "`loop` leads through too many symbolic links"),
        ("loop/x*", "`loop` leads through too many symbolic links"),
        ("a[", "`a[` is not a valid pattern: a `[` is never closed"),
    ];
    for (pattern, expected) in rows {
        let error = tree(&root).select(&selector(pattern)).err().unwrap();
        assert_eq!(error.to_string(), expected, "{pattern}");
    }
}

/// Rules as `.dockerignore` has them, and every path that was asked about.
struct Ignore(Rules, Mutex<Vec<String>>);

impl Filter for Ignore {
    fn verdict(&self, path: &[u8]) -> Verdict {
        self.1.lock().unwrap().push(String::from_utf8_lossy(path).into_owned());
        match self.0.decide(path) {
            Some(decision) if decision.effect == Effect::Exclude => {
                Verdict::Excluded { rule: decision.rule }
            }
            _ => Verdict::Included,
        }
    }

    fn prunes(&self, directory: &[u8]) -> bool {
        self.0.prunes(directory)
    }

    fn describe(&self, rule: usize) -> String {
        format!("rule {rule}")
    }
}

fn ignoring(root: &TempDir, rules: &[&str]) -> (Tree, Arc<Ignore>) {
    let filter = Arc::new(Ignore(Rules::new(rules).unwrap(), Mutex::default()));
    (Tree::open(root.path(), Owners::Root, Some(filter.clone())).unwrap(), filter)
}

#[test]
fn a_filter_hides_and_takes_back() {
    let paths = &["a", "b", "node_modules/x/y", "d/keep", "d/drop", "e/drop", "l -> b"];
    let root = layout(paths);
    let rules = ["node_modules", "d", "!d/keep", "e", "!e/keep", "b"];
    let (tree, filter) = ignoring(&root, &rules);
    let all = tree.select(&selector("")).unwrap();
    assert_eq!(shown(&all), ["a=a", "d/", "d/keep=d/keep", "l->b"]);
    let asked = filter.1.lock().unwrap().clone();
    assert!(!asked.iter().any(|path| path.starts_with("node_modules/")), "{asked:?}");

    let rows = [
        ("b", "`b` not found: left out by rule 5"),
        ("l", "`l` not found: left out by rule 5"),
        ("node_modules/x/y", "`node_modules/x/y` not found: left out by rule 0"),
        ("d/drop", "`d/drop` not found: left out by rule 1"),
        ("e", "`e` not found: left out by rule 3"),
    ];
    for (pattern, expected) in rows {
        let error = tree.select(&selector(pattern)).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(shown(&tree.select(&selector("d")).unwrap()), ["keep=d/keep"]);
    assert_eq!(shown(&tree.select(&selector("[de]")).unwrap()), ["keep=d/keep"]);
}

#[test]
fn a_directory_is_read_once_for_all_selectors() {
    let root = layout(PROJECT);
    let (tree, filter) = ignoring(&root, &["nothing"]);
    tree.select(&selector("")).unwrap();
    let asked = filter.1.lock().unwrap().iter().filter(|path| *path == "sub/dir1/dir2/foo").count();
    tree.select(&selector("sub")).unwrap();
    tree.select(&selector("sub/*/dir2")).unwrap();
    let again = filter.1.lock().unwrap().iter().filter(|path| *path == "sub/dir1/dir2/foo").count();
    assert_eq!((asked, again), (1, 1));
    let (a, b) = (tree.select(&selector("sub")).unwrap(), tree.select(&selector("sub")).unwrap());
    assert!(Arc::ptr_eq(&a, &b));
}

#[test]
fn exclude_is_relative_to_each_matched_directory() {
    let paths = &["ex/a.png", "ex/b.txt", "ex/d1/c.png", "ex/d1/d.txt", "ex/d2/f.txt"];
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("ex", &["*.png"], &["b.txt", "d1/", "d1/c.png", "d1/d.txt", "d2/", "d2/f.txt"]),
        ("ex", &["*/*.png"], &["a.png", "b.txt", "d1/", "d1/d.txt", "d2/", "d2/f.txt"]),
        ("ex", &["**/*.png", "d2"], &["b.txt", "d1/", "d1/d.txt"]),
        ("ex", &["d1", "!d1/d.txt", "d2/f.txt"], &["a.png", "b.txt", "d1/", "d1/d.txt", "d2/"]),
        ("ex", &["*"], &[]),
        ("ex/a.png", &["*.png", "a.png"], &["a.png"]),
        ("ex/*", &["*.txt"], &["a.png", "b.txt", "c.png"]),
    ];
    let root = layout(paths);
    for (pattern, exclude, expected) in rows {
        let exclude = exclude.iter().map(|&text| text.to_owned()).collect();
        let selector = PathSelector { exclude, ..PathSelector::of(*pattern) };
        let selection = tree(&root).select(&selector).unwrap();
        let names: Vec<String> = shown(&selection)
            .into_iter()
            .map(|line| line.split('=').next().unwrap().to_owned())
            .collect();
        assert_eq!(names, *expected, "{selector:?}");
    }
}

#[test]
fn nesting_as_deep_as_paths_go_costs_no_stack() {
    let root = TempDir::new().unwrap();
    let deepest = "d/".repeat(1500);
    fs::create_dir_all(root.path().join(&deepest)).unwrap();
    let selection = tree(&root).select(&selector("d")).unwrap();
    assert_eq!(selection.len(), 1500);
    let last = selection.matches[0].below.iter().last().unwrap();
    assert_eq!(last.path.len(), deepest.len() - "d/".len() - "/".len());
    selection.digest(&StatCache::none()).unwrap();
}

#[test]
fn names_need_not_be_text() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(root.path().join("d").join(name), "x").unwrap();
    let selection = tree(&root).select(&selector("d")).unwrap();
    assert_eq!(selection.matches[0].below.get(0).unwrap().path, b"\xff\xfe");
    assert_eq!(tree(&root).select(&selector("d/*")).unwrap().matches[0].name, b"\xff\xfe");
    selection.digest(&StatCache::none()).unwrap();
}

/// A change to a project, and whether a copy of `src` can see it.
type Change = (&'static str, fn(&Path), bool);

#[test]
fn a_digest_sees_what_a_copy_sees() {
    let rows: &[Change] = &[
        ("bytes", |root| fs::write(root.join("src/a"), "new").unwrap(), true),
        ("same bytes, new time", |root| fs::write(root.join("src/a"), "src/a").unwrap(), false),
        ("mode of a file", |root| mode(&root.join("src/a"), 0o600), true),
        ("setuid", |root| mode(&root.join("src/a"), 0o4644), true),
        ("mode of a directory", |root| mode(&root.join("src/d"), 0o700), true),
        ("mode of the source itself", |root| mode(&root.join("src"), 0o700), false),
        ("a new file", |root| fs::write(root.join("src/new"), "").unwrap(), true),
        ("a file elsewhere", |root| fs::write(root.join("other"), "").unwrap(), false),
        ("a removed file", |root| fs::remove_file(root.join("src/a")).unwrap(), true),
        ("a new name", |root| fs::rename(root.join("src/a"), root.join("src/z")).unwrap(), true),
        (
            "a link's target",
            |root| {
                fs::remove_file(root.join("src/l")).unwrap();
                symlink("d", root.join("src/l")).unwrap();
            },
            true,
        ),
        (
            "two names of one file",
            |root| {
                fs::remove_file(root.join("src/twin")).unwrap();
                fs::hard_link(root.join("src/a"), root.join("src/twin")).unwrap();
            },
            true,
        ),
        (
            "a name for it elsewhere",
            |root| fs::hard_link(root.join("src/a"), root.join("elsewhere")).unwrap(),
            false,
        ),
        ("an attribute of a file", |root| xattr(&root.join("src/a"), "user.x", b"1"), true),
        ("an attribute of a directory", |root| xattr(&root.join("src/d"), "user.x", b"1"), true),
    ];
    for (case, change, seen) in rows {
        let root = layout(&["src/a", "src/d/b", "src/l -> a"]);
        fs::copy(root.path().join("src/a"), root.path().join("src/twin")).unwrap();
        let before = digest(&root, "src");
        change(root.path());
        assert_eq!(digest(&root, "src") != before, *seen, "{case}");
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn where_files_come_from_shows_nowhere() {
    let root = layout(&["one/x", "two/x"]);
    fs::copy(root.path().join("one/x"), root.path().join("two/x")).unwrap();
    assert_eq!(digest(&root, "one"), digest(&root, "two"));
    assert_eq!(digest(&root, "one/x"), digest(&root, "two/x"));
}

#[test]
fn owners_count_where_they_are_kept() {
    let root = layout(&["x"]);
    let kept = || {
        let tree = Tree::open(root.path(), Owners::Kept, None).unwrap();
        tree.select(&selector("")).unwrap().digest(&StatCache::none()).unwrap()
    };
    let (of_image, of_context) = (kept(), digest(&root, ""));
    let at = root.path().join("x");
    if std::os::unix::fs::chown(&at, Some(12), Some(34)).is_err() {
        assert!(std::env::var_os("CI").is_none(), "this test changes owners: run it as root");
        eprintln!("skipped: changing owners takes root");
        return;
    }
    assert_ne!(kept(), of_image);
    assert_eq!(digest(&root, ""), of_context);
}

#[test]
fn a_socket_and_a_pipe_are_selected_and_not_opened() {
    let root = layout(&["d/x"]);
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("d/sock")).unwrap();
    let pipe = root.path().join("d/pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let selection = tree(&root).select(&selector("d")).unwrap();
    let kinds: Vec<&NodeKind> = selection.matches[0].below.iter().map(|f| &f.node.kind).collect();
    assert_eq!(kinds, [&NodeKind::Fifo, &NodeKind::Socket, &NodeKind::File]);
    selection.digest(&StatCache::none()).unwrap();
}

#[test]
fn copying_gives_the_digest_of_the_selection() {
    let root = layout(&["a", "b"]);
    xattr(&root.path().join("b"), "user.mark", b"1");
    fs::write(root.path().join("a"), vec![7; 3 << 20]).unwrap();
    let selection = tree(&root).select(&selector("")).unwrap();
    selection.digest(&StatCache::none()).unwrap();
    for ((one, found), expected) in selection.all().zip(selection.file_digests().unwrap()) {
        let Some(expected) = expected else { continue };
        let file = selection.open(one, &found).unwrap();
        let xattrs = read_xattrs(&file).unwrap();
        let mut reader = Hashing::new(file);
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert_eq!(reader.finish(&xattrs), *expected);
    }
}

/// Links that try to get out, and paths that go through them.
fn hostile() -> impl Strategy<Value = (Vec<(String, String)>, Vec<String>)> {
    let part = prop_oneof!["[a-c]", Just("..".to_owned()), Just("outside".to_owned())];
    let path = proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"));
    let target = (prop_oneof![Just(""), Just("/"), Just("../")], path.clone())
        .prop_map(|(start, path)| format!("{start}{path}"));
    let link = ("[a-c](/[a-c])?", target);
    (proptest::collection::vec(link, 1..8), proptest::collection::vec(path, 1..6))
}

proptest! {
    #[test]
    fn no_link_leads_out((links, paths) in hostile()) {
        let around = layout(&["outside/secret", "root/a/b/c", "root/b/", "root/c/outside/x"]);
        let inside = around.path().join("root");
        for (at, target) in &links {
            let target = target.replace("outside", &around.path().join("outside").to_string_lossy());
            let _ = symlink(target, inside.join(at));
        }
        let tree = Tree::open(&inside, Owners::Root, None).unwrap();
        let inside = inside.canonicalize().unwrap();
        for path in paths.iter().map(|path| path.replace("..", "*")).chain([String::new()]) {
            let Ok(selection) = tree.select(&selector(&path)) else { continue };
            for (one, found) in selection.all() {
                let at = inside.join(std::ffi::OsStr::from_bytes(&join(&one.path, &found.path)));
                let real = at.parent().unwrap().canonicalize().unwrap();
                prop_assert!(at == inside || real.starts_with(&inside), "{at:?} is {real:?}");
                let top_link = found.path.is_empty()
                    && matches!(found.node.kind, NodeKind::Symlink { .. });
                prop_assert!(!top_link);
            }
            let held: BTreeSet<String> = shown(&selection).into_iter().collect();
            prop_assert!(!held.iter().any(|line| line.ends_with("=outside/secret")), "{held:?}");
        }
    }
}
