//! What the tests of layers share: a fresh store, short names for entries, mounts of their own.

use std::ops::Deref;
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::*;

/// Every test is for both.
pub(super) const FORMS: [Form; 2] = [Form::Directory, Form::Erofs];

/// A store of its own in a temporary folder.
pub(super) struct Fresh {
    store: Store,
    folder: tempfile::TempDir,
}

impl Fresh {
    pub(super) fn of(form: Form) -> Fresh {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        store.layers().inner.form.set(form).unwrap();
        Fresh { store, folder }
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    pub(super) fn layer(&self, entries: &[(Entry, &str)]) -> LayerId {
        let mut writer = self.layers().begin().unwrap();
        for (entry, data) in entries {
            writer.add(entry, Some(&mut data.as_bytes())).unwrap();
        }
        writer.finish().unwrap()
    }

    pub(super) fn blob(&self, digest: &Digest) -> Vec<u8> {
        self.blobs().read(digest).unwrap()
    }
}

impl Deref for Fresh {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(super) fn dir(path: &str, mode: u32) -> Entry {
    Entry::new(path, Kind::Dir, mode)
}

pub(super) fn file(path: &str, mode: u32, size: u64) -> Entry {
    Entry::new(path, Kind::File { size }, mode)
}

pub(super) fn symlink_to(path: &str, target: &str) -> Entry {
    Entry::new(path, Kind::Symlink { target: target.into() }, 0o777)
}

pub(super) fn hard_link(path: &str, target: &str) -> Entry {
    Entry::new(path, Kind::HardLink { target: target.into() }, 0)
}

/// The names in a directory, sorted.
pub(super) fn list(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An archive as another reader sees it, one line per member.
pub(super) fn tar_entries(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    archive.entries().unwrap().map(|member| tar_line(&mut member.unwrap())).collect()
}

fn tar_line(member: &mut tar::Entry<'_, &[u8]>) -> String {
    let mut data = String::new();
    member.read_to_string(&mut data).unwrap();
    let mut mtime = member.header().mtime().unwrap().to_string();
    for record in member.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
        if record.key() == Ok("mtime") {
            mtime = record.value().unwrap().to_owned();
        }
    }
    let header = member.header();
    let flag = char::from(header.entry_type().as_byte());
    let path = String::from_utf8_lossy(&member.path_bytes()).into_owned();
    let (mode, uid) = (header.mode().unwrap(), header.uid().unwrap());
    let line = format!("{flag} {path} {mode:o} {uid}:{} {mtime}", header.gid().unwrap());
    match flag {
        '0' => format!("{line} `{data}`"),
        '1' | '2' => {
            format!("{line} -> {}", String::from_utf8_lossy(&member.link_name_bytes().unwrap()))
        }
        _ => line,
    }
}

/// Gives this thread, and those which it starts, mounts of their own.
pub(in crate::layer) fn private_mounts() {
    thread_local!(static DONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    if DONE.replace(true) {
        return;
    }
    #[expect(
        deprecated,
        reason = "the new name is unsafe for descriptors only, and none are unshared"
    )]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
}

/// Mounts an active snapshot as a sandbox would, and unmounts it.
pub(super) fn with_overlay(active: &Active, work: impl FnOnce(&Path)) {
    let merged = tempfile::tempdir().unwrap();
    let lowers: Vec<&str> = active.lowers.iter().map(|path| path.to_str().unwrap()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow",
        lowers.join(":"),
        active.upper.display(),
        active.work.display()
    );
    let options = std::ffi::CString::new(options).unwrap();
    let flags = MountFlags::empty();
    rustix::mount::mount("overlay", merged.path(), "overlay", flags, options.as_c_str()).unwrap();
    work(merged.path());
    rustix::mount::unmount(merged.path(), UnmountFlags::empty()).unwrap();
}

/// Runs the body of the test `name` in a user namespace with a single id, in a process of its own.
pub(super) fn in_user_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var_os("RBUILD_TEST_NAMESPACE").is_some() {
        return body();
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("RBUILD_TEST_NAMESPACE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{failed}");
}
