//! Paths inside an image: text only, nothing is looked up.

use rbuild_cache::pattern::rules::clean as go_clean;

/// An absolute path without `.`, `..` and doubled slashes; `..` stops at the root.
pub(super) fn clean(path: &str) -> String {
    go_clean(&format!("/{path}"))
}

/// The working directory after `WORKDIR path`. An absolute path stays as it is written, because the
/// image config shows it so; an empty one changes nothing.
pub(super) fn workdir(current: &str, path: &str) -> String {
    match path {
        "" if current.starts_with('/') => current.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => clean(&format!("{current}/{path}")),
    }
}

/// The destination of a copy: absolute, with a `/` at the end if it says that it is a directory.
pub(super) fn destination(workdir: &str, path: &str) -> String {
    let absolute =
        if path.starts_with('/') { clean(path) } else { clean(&format!("{workdir}/{path}")) };
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_directory = last.is_empty() || last == ".";
    if is_directory && absolute != "/" { format!("{absolute}/") } else { absolute }
}

/// A source of a copy, relative to the root of its tree; empty for the root itself.
pub(super) fn source(path: &str) -> String {
    clean(path)[1..].to_owned()
}

/// A source of a copy that keeps its parents: where the path that is kept begins, and that path;
/// none for everything there. The first `/./` divides them.
pub(super) fn with_parents(path: &str) -> (String, Option<String>) {
    let (start, kept) = path.split_once("/./").unwrap_or(("", path));
    (source(start), Some(source(kept)).filter(|kept| !kept.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workdir_stacks() {
        let rows = [
            ("/", "a", "/a"),
            ("/a", "b/../c", "/a/c"),
            ("/a", "..", "/"),
            ("/a", "../../..", "/"),
            ("", "a", "/a"),
            ("/a", "/b/../c/", "/b/../c/"),
            ("/a", "", "/a"),
            ("/a/./b", "", "/a/./b"),
            ("", "", "/"),
            ("/a/", ".", "/a"),
        ];
        for (current, path, expected) in rows {
            assert_eq!(workdir(current, path), expected, "{path} in {current}");
        }
    }

    #[test]
    fn a_destination_says_whether_it_is_a_directory() {
        let rows = [
            ("/w", ".", "/w/"),
            ("/w", "./", "/w/"),
            ("/w", "", "/w/"),
            ("/", ".", "/"),
            ("/w", "a", "/w/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", "a/.", "/w/a/"),
            ("/w", "/y/../z/", "/z/"),
            ("/w", "/..", "/"),
            ("/w", "..", "/"),
            ("/w/v", "..", "/w"),
        ];
        for (workdir, path, expected) in rows {
            assert_eq!(destination(workdir, path), expected, "{path} in {workdir}");
        }
    }

    #[test]
    fn a_source_never_leaves_its_tree() {
        let rows = [
            (".", ""),
            ("/", ""),
            ("a/./b/", "a/b"),
            ("/a", "a"),
            ("../../a", "a"),
            ("a/../..", ""),
            ("sub/dir/.", "sub/dir"),
            ("a*/b?", "a*/b?"),
        ];
        for (path, expected) in rows {
            assert_eq!(source(path), expected, "{path}");
        }
    }

    #[test]
    fn the_first_dot_says_where_the_kept_path_begins() {
        let rows = [
            ("a/b", "", Some("a/b")),
            ("./a//b/../c", "", Some("a/c")),
            ("/a/b/./c/d", "a/b", Some("c/d")),
            ("/a/./b/./c", "a", Some("b/c")),
            ("a/b*/./c/**/e", "a/b*", Some("c/**/e")),
            ("/./a", "", Some("a")),
            ("a/./../../b", "a", Some("b")),
            ("a/b/.", "", Some("a/b")),
            ("../a", "", Some("a")),
            ("a/./", "a", None),
            (".", "", None),
            ("", "", None),
        ];
        for (path, start, kept) in rows {
            let expected = (start.to_owned(), kept.map(str::to_owned));
            assert_eq!(with_parents(path), expected, "{path}");
        }
    }
}
