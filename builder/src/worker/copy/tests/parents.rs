//! `--parents`: what is kept of a path, and whom the kept directories belong to.

use super::*;

const BASE: &[&str] = &["0700 11:12 out/a/", "11:12 out/file=was", "out/link->a", "11:12 real/"];

const FILES: &[&str] = &[
    "0750 1:2 a/b/",
    "0711 3:4 a/b/c/",
    "5:6 a/b/c/d=d",
    "a/b/c/e=e",
    "a/b2/c/x/e=e2",
    "a/b2/top=top",
    "a/link->b",
    "a/b/l->c/d",
    "a/far->/a/b/c",
    "file/in=in",
    "link/in=in",
    "a.txt=a",
];

fn check(rows: &[Row]) {
    if support::skips() {
        return;
    }
    let (base, files) = (Disk::new(BASE), Disk::new(FILES));
    for (case, instruction, expected) in rows {
        let layer = run(Some(&base), &files, instruction);
        assert_eq!(layer, *expected, "{case}: {instruction}");
    }
}

#[test]
fn the_path_is_kept_from_where_the_source_says() {
    check(&[
        (
            "G67 all of it",
            "COPY --parents a/b/c/d /t",
            &[
                "d 0755 0:0 t",
                "d 0755 0:0 t/a",
                "d 0750 0:0 t/a/b",
                "d 0711 0:0 t/a/b/c",
                "f 0644 0:0 t/a/b/c/d=d",
            ],
        ),
        (
            "G68 a part",
            "COPY --parents a/b/./c/d /t/",
            &["d 0755 0:0 t", "d 0711 0:0 t/c", "f 0644 0:0 t/c/d=d"],
        ),
        (
            "G70 wildcards on both sides",
            "COPY --parents a/b*/./c/**/e /t/",
            &[
                "d 0755 0:0 t",
                "d 0755 0:0 t/c",
                "f 0644 0:0 t/c/e=e",
                "d 0755 0:0 t/c/x",
                "f 0644 0:0 t/c/x/e=e2",
            ],
        ),
        (
            "a directory with all in it",
            "COPY --parents a/b2 /t",
            &[
                "d 0755 0:0 t",
                "d 0755 0:0 t/a",
                "d 0755 0:0 t/a/b2",
                "d 0755 0:0 t/a/b2/c",
                "d 0755 0:0 t/a/b2/c/x",
                "f 0644 0:0 t/a/b2/c/x/e=e2",
                "f 0644 0:0 t/a/b2/top=top",
            ],
        ),
        (
            "several sources",
            "COPY --parents a.txt a/b2/./top /t",
            &["d 0755 0:0 t", "f 0644 0:0 t/a.txt=a", "f 0644 0:0 t/top=top"],
        ),
        ("G71 nothing", "COPY --parents a/b9*/c /t/", &["d 0755 0:0 t"]),
        ("nowhere to begin", "COPY --parents nomatch*/./x /t/", &[]),
        (
            "without what is left out",
            "COPY --parents --exclude=a/b2/c a/b2 /t",
            &["d 0755 0:0 t", "d 0755 0:0 t/a", "d 0755 0:0 t/a/b2", "f 0644 0:0 t/a/b2/top=top"],
        ),
    ]);
}

#[test]
fn links_are_followed_before_the_kept_part_only() {
    check(&[
        (
            "a link that is named stays one",
            "COPY --parents a/b/l /t",
            &["d 0755 0:0 t", "d 0755 0:0 t/a", "d 0750 0:0 t/a/b", "l 0777 0:0 t/a/b/l->c/d"],
        ),
        (
            "to where the path begins",
            "COPY --parents a/far/./e /t",
            &["d 0755 0:0 t", "f 0644 0:0 t/e=e"],
        ),
        ("a pattern goes through none", "COPY --parents a/link/c/* /t", &["d 0755 0:0 t"]),
    ]);
}

#[test]
fn directories_on_the_way_keep_their_owner_where_they_are_there() {
    check(&[
        (
            "one of the image",
            "COPY --from --parents --chown=7:8 a/b/c/d /out/",
            &[
                "d 0755 0:0 out",
                "d 0755 11:12 out/a",
                "d 0750 7:8 out/a/b",
                "d 0711 7:8 out/a/b/c",
                "f 0644 7:8 out/a/b/c/d=d",
            ],
        ),
        (
            "one of the source before",
            "COPY --from --parents a/b/./c/d a/b*/./c/x /t/",
            &[
                "d 0755 0:0 t",
                "d 0755 3:4 t/c",
                "f 0644 5:6 t/c/d=d",
                "d 0755 0:0 t/c/x",
                "f 0644 0:0 t/c/x/e=e2",
            ],
        ),
        (
            "what was asked for does not",
            "COPY --parents a /out/",
            &[
                "d 0755 0:0 out",
                "d 0755 0:0 out/a",
                "d 0750 0:0 out/a/b",
                "d 0711 0:0 out/a/b/c",
                "f 0644 0:0 out/a/b/c/d=d",
                "f 0644 0:0 out/a/b/c/e=e",
                "l 0777 0:0 out/a/b/l->c/d",
                "d 0755 0:0 out/a/b2",
                "d 0755 0:0 out/a/b2/c",
                "d 0755 0:0 out/a/b2/c/x",
                "f 0644 0:0 out/a/b2/c/x/e=e2",
                "f 0644 0:0 out/a/b2/top=top",
                "l 0777 0:0 out/a/far->/a/b/c",
                "l 0777 0:0 out/a/link->b",
            ],
        ),
        (
            "a mode is not for one that is there",
            "COPY --parents --chmod=700 a/b2/top a/b2/./top a/b2/c /out",
            &[
                "d 0755 0:0 out",
                "d 0755 11:12 out/a",
                "d 0755 0:0 out/a/b2",
                "d 0700 0:0 out/a/b2/c",
                "d 0700 0:0 out/a/b2/c/x",
                "f 0700 0:0 out/a/b2/c/x/e=e2",
                "f 0700 0:0 out/a/b2/top=top",
                "f 0700 0:0 out/top=top",
            ],
        ),
        (
            "a mode is for all that are new",
            "COPY --parents --chmod=700 a/b2/top /t",
            &["d 0700 0:0 t", "d 0700 0:0 t/a", "d 0700 0:0 t/a/b2", "f 0700 0:0 t/a/b2/top=top"],
        ),
        (
            "left out, and something of it taken back",
            "COPY --from --exclude=file --exclude=link --exclude=a --exclude=!a/b/c/d . /out",
            &[
                "d 0755 0:0 out",
                "d 0755 11:12 out/a",
                "f 0644 0:0 out/a.txt=a",
                "d 0750 1:2 out/a/b",
                "d 0711 3:4 out/a/b/c",
                "f 0644 5:6 out/a/b/c/d=d",
            ],
        ),
    ]);
}

#[test]
fn a_kept_directory_takes_the_place_of_nothing_else() {
    check(&[
        ("a file", "COPY --parents file/in /out", &["error: `/out/file` is not a directory"]),
        ("a link", "COPY --parents link/in /out", &["error: `/out/link` is not a directory"]),
    ]);
}
