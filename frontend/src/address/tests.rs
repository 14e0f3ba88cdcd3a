use rbuild_solver::op::{GitTimes, Submodules};

use super::*;

fn git(text: &str) -> Result<GitAddress, String> {
    match Address::parse_context(text) {
        Some(Ok(Address::Git(address))) => Ok(address),
        Some(Err(error)) => Err(error.to_string()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn files_get_the_names_that_docker_gives_them() {
    let rows = [
        ("http://h/x.txt", "x.txt"),
        ("https://h/a/b/c.tar.gz?x=/y#/z", "c.tar.gz"),
        ("http://h/dir/", "dir"),
        ("http://h/a%20b", "a b"),
        ("http://h/a%2fb", "b"),
        ("http://h/[x]*", "[x]*"),
        ("http://h/", "__unnamed__"),
        ("http://h", "__unnamed__"),
        ("http://h?x", "__unnamed__"),
        ("http://user:secret@h:80/x.git/y", "y"),
    ];
    for (url, name) in rows {
        let expected = HttpAddress { url: url.to_owned(), name: name.to_owned() };
        assert_eq!(Address::parse(url), Some(Ok(Address::Http(expected))), "{url}");
    }
}

#[test]
fn bad_file_addresses_are_refused() {
    let rows = [
        ("http://", "it names no host"),
        ("http:///x", "it names no host"),
        ("http://:80/x", "it names no host"),
        ("http://-h/x", "the host `-h` begins with `-`"),
        ("http://h/..", "its last part, `..`, cannot be the name of a file"),
        ("http://h/%2e%2e", "its last part, `..`, cannot be the name of a file"),
        ("http://h/a%00", "its last part, `a\0`, cannot be the name of a file"),
        ("http://h/a%2", "`/a%2` is not a part of an address: write `%25` for a percent sign"),
        ("http://h/a b", "it holds a blank or a control character"),
    ];
    for (url, message) in rows {
        let error = Address::parse(url).unwrap().map_err(|error| error.to_string());
        assert_eq!(error, Err(message.to_owned()), "{url}");
    }
}

#[test]
fn what_is_no_address_is_a_path() {
    let rows = [
        "x",
        "./http://h/x",
        "ftp://h/x",
        "file:///x",
        "ext::sh -c x",
        "C:\\x",
        "a:b",
        "github.com/o/n",
        "user@host",
        "us er@host:x",
        "@host:x",
    ];
    for path in rows {
        assert_eq!(Address::parse(path), None, "{path}");
        assert!(!is_address(path), "{path}");
    }
}

#[test]
fn git_addresses_say_where_and_what() {
    let rows = [
        ("https://h/r.git", "https://h/r.git", "", ""),
        ("https://h/r.git#main", "https://h/r.git", "main", ""),
        ("https://h/r.git#main:sub/dir", "https://h/r.git", "main", "sub/dir"),
        ("https://h/r.git#:./sub//x/", "https://h/r.git", "", "sub/x"),
        ("https://h/r.git#refs/pull/7/head", "https://h/r.git", "refs/pull/7/head", ""),
        ("git://h:9418/r", "git://h:9418/r", "", ""),
        ("ssh://git@h/r#v1", "ssh://git@h/r", "v1", ""),
        ("git@h:o/r.git#v1:d", "git@h:o/r.git", "v1", "d"),
        ("github.com/o/r#v1", "https://github.com/o/r", "v1", ""),
        ("https://h/r.git?ref=x&subdir=d", "https://h/r.git", "x", "d"),
        ("https://h/r.git?branch=x", "https://h/r.git", "refs/heads/x", ""),
        ("https://h/r.git?tag=v%2F1", "https://h/r.git", "refs/tags/v/1", ""),
        ("https://h/r.git?ref=x#x:d", "https://h/r.git", "x", "d"),
    ];
    for (text, remote, reference, subdir) in rows {
        let address = git(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = (
            address.remote.as_str(),
            address.reference.as_deref().unwrap_or_default(),
            address.subdir.as_str(),
        );
        assert_eq!(found, (remote, reference, subdir), "{text}");
    }
}

#[test]
fn a_query_sets_the_rest() {
    let commit = "0123456789012345678901234567890123456789";
    let address = git(&format!(
        "git://h/r?keep-git-dir=1&submodules=false&mtime=commit&commit={commit}&fetch-by-commit=true"
    ))
    .unwrap();
    assert_eq!(address.keep_git_dir, Some(true));
    assert_eq!(address.submodules, Some(Submodules::LeftOut));
    assert_eq!(address.times, Some(GitTimes::Commit));
    assert_eq!(address.checksum.as_deref(), Some(commit));
    assert_eq!(address.pinning, Pinning::Commit);
    assert_eq!(git("git://h/r?keep-git-dir").unwrap().keep_git_dir, Some(true));
}

#[test]
fn bad_git_addresses_are_refused() {
    let rows = [
        ("git://h/r?dir=x", "there is no `dir` in the query of a git address"),
        ("git://h/r?ref=a&ref=a", "its query has `ref` more than once"),
        ("git://h/r?ref=", "its query has `ref` without a value"),
        ("git://h/r?branch=a&tag=a", "it says both `refs/heads/a` and `refs/tags/a`"),
        ("git://h/r?ref=a#b", "it says both `b` and `a`"),
        ("git://h/r?subdir=a#:b", "it says both `b` and `a`"),
        ("git://h/r?checksum=abcd&commit=abce", "it says both `abcd` and `abce`"),
        ("git://h/r?checksum=xyz", "`checksum` cannot be `xyz`"),
        ("git://h/r?mtime=now", "`mtime` cannot be `now`: it is `checkout` or `commit`"),
        ("git://h/r?submodules=some", "`submodules` cannot be `some`: it is `true` or `false`"),
        ("git://h/r?fetch-by-commit=1&commit=abcd", "it needs a whole commit id"),
        ("git://h/r#--upload-pack=x", "git allows no ref of that name"),
        ("git://h/r?ref=-x", "git allows no ref of that name"),
        ("git://h/r#a..b", "git allows no ref of that name"),
        ("git://h/r?ref=a%0ab", "git allows no ref of that name"),
        ("git://h/r#:../x", "it is a directory of the repository"),
        ("git://h/r#:.git/hooks", "it is a directory of the repository"),
        ("ssh://git:secret@h/r", "`ssh://` knows no passwords"),
        ("git://u:secret@h/r", "`git://` knows no passwords"),
        ("ssh://-oProxyCommand=x/r", "begins with `-`"),
        ("ssh://git@-oProxyCommand=x/r", "begins with `-`"),
        ("-oProxyCommand@h:r", "begins with `-`"),
    ];
    for (text, message) in rows {
        let error = git(text).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_login_is_taken_out_of_an_address() {
    let rows = [
        ("https://user:a%40b@h:1/x?y#z", "https://h:1/x?y#z", Some(("user", "a@b"))),
        ("http://token@h/x", "http://h/x", Some(("token", ""))),
        ("http://a%:b@h/x", "http://h/x", Some(("a%", "b"))),
        ("https://h/a:b@c", "https://h/a:b@c", None),
        ("ssh://git@h/x", "ssh://git@h/x", None),
        ("git@h:x", "git@h:x", None),
    ];
    for (address, bare, expected) in rows {
        let (found, login) = split_login(address);
        let login = login.map(|login| (login.user, login.password));
        let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
        assert_eq!((found.as_str(), login), (bare, expected), "{address}");
    }
}

#[test]
fn passwords_in_a_text_are_masked_in_place() {
    let rows = [
        ("ADD http://u:pä@h/x /\nRUN a", "ADD http://u:xxx@h/x /\nRUN a"),
        ("ENV A=\"https://token@h\" B=git://u:p@h", "ENV A=\"https://xxxxx@h\" B=git://u:x@h"),
        ("ADD ssh://git@h/r http://h/a:b@c /", "ADD ssh://git@h/r http://h/a:b@c /"),
        ("RUN echo :// @ http://", "RUN echo :// @ http://"),
        ("http://$USER:$PASS@h", "http://$USER:xxxxx@h"),
    ];
    for (text, expected) in rows {
        assert_eq!((masked(text).as_str(), masked(text).len()), (expected, text.len()), "{text}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let rows = [
        ("https://user:secret@h/x@y", "https://user:xxxxx@h/x@y"),
        ("https://token@h/x", "https://xxxxx@h/x"),
        ("https://u:a%40b@h:1/x", "https://u:xxxxx@h:1/x"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("https://h/a:b@c", "https://h/a:b@c"),
        ("git@h:x", "git@h:x"),
    ];
    for (address, shown) in rows {
        assert_eq!(redacted(address), shown);
    }
}
