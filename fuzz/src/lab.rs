//! A store in a folder of its own, with something beside it that nobody may touch.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rbuild_cache::Store;
use tempfile::TempDir;

/// What a store gathers is thrown away after so many inputs.
const INPUTS: usize = 500;

static LAB: Mutex<Option<(Lab, usize)>> = Mutex::new(None);

/// The store, and what is beside it.
pub struct Lab {
    folder: TempDir,
    /// The store.
    pub store: Store,
}

/// Does something with a store. Panics if something changed beside it, or is left in its `tmp/`.
pub fn with<T>(work: impl FnOnce(&Lab) -> T) -> T {
    let mut kept = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    let (lab, used) = match kept.take() {
        Some((lab, used)) if used < INPUTS => (lab, used),
        _ => (Lab::new(), 0),
    };
    let done = work(&lab);
    lab.check();
    *kept = Some((lab, used + 1));
    done
}

impl Lab {
    fn new() -> Lab {
        let made = || -> std::io::Result<Lab> {
            let folder = tempfile::Builder::new().prefix("rbuild-fuzz-").tempdir()?;
            fs::create_dir(folder.path().join("outside"))?;
            fs::write(folder.path().join("outside/file"), "untouched")?;
            let store = Store::open(&folder.path().join("store"));
            Ok(Lab { store: store.map_err(std::io::Error::other)?, folder })
        };
        made().unwrap_or_else(|error| panic!("no store to fuzz with: {error}"))
    }

    fn check(&self) {
        let at = |path: &str| self.folder.path().join(path);
        assert_eq!(names(self.folder.path()), ["outside", "store"]);
        assert_eq!(names(&at("outside")), ["file"]);
        assert_eq!(fs::read(at("outside/file")).ok().as_deref(), Some(b"untouched".as_slice()));
        assert_eq!(names(&at("store/tmp")), [""; 0]);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
