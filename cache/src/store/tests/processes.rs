//! Several processes in one store: this test binary, started again with the store in its
//! environment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

const ROOT: &str = "RBUILD_TEST_ROOT";

/// Another process that runs the test `name`, and sees which store it is to use.
fn start(name: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("store::tests::processes::{name}"), "--exact", "--nocapture"])
        .env(ROOT, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn each_key_is_worked_on_once() {
    if let Ok(root) = std::env::var(ROOT) {
        return work_on_keys(&Store::open(Path::new(&root)).unwrap());
    }
    let (dir, store) = fixture::store();
    let children: Vec<Child> =
        (0..3).map(|_| start("each_key_is_worked_on_once", dir.path())).collect();
    work_on_keys(&store);
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let log = std::fs::read_to_string(store.log_path("made").unwrap()).unwrap();
    let mut made: Vec<u8> = log.lines().map(|line| line.parse().unwrap()).collect();
    made.sort();
    assert_eq!(made, (1..=30).collect::<Vec<u8>>());
    assert!((1..=30).all(|key| store.records().get(&[key; 32]).is_some()));
    // There were never more keys worked on at once than processes.
    assert!(!names(&store, "locks").contains(&"key-4".to_owned()));
}

fn work_on_keys(store: &Store) {
    for key in 1..=30u8 {
        let _claim = store.claim(&format!("key {key}"), &|| false).unwrap();
        if store.records().get(&[key; 32]).is_some() {
            continue;
        }
        let layer = fixture::layer(store, &[key], None).unwrap();
        store.records().put(&record(key, vec![layer])).unwrap();
        writeln!(store.log_file("made").unwrap(), "{key}").unwrap();
    }
}

#[test]
fn a_killed_process_holds_no_key_and_leaves_nothing() {
    if let Ok(root) = std::env::var(ROOT) {
        return hold_until_killed(&Store::open(Path::new(&root)).unwrap());
    }
    let (dir, store) = fixture::store();
    let mut child = start("a_killed_process_holds_no_key_and_leaves_nothing", dir.path());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map(Result::unwrap).find(|line| line.contains("holding")).unwrap();
    let refused = store.claim("key", &|| true);
    assert!(matches!(refused, Err(ClaimError::Cancelled)));
    let pruned = store.prune(crate::gc::Prune::Unreferenced, &|| true);
    assert!(matches!(pruned, Err(crate::gc::PruneError::Busy { .. })));
    // What lives is not swept.
    Store::open(dir.path()).unwrap();
    assert_eq!((names(&store, "tmp").len(), names(&store, "active").len()), (1, 1));
    child.kill().unwrap();
    child.wait().unwrap();
    store.claim("key", &|| true).unwrap();
    Store::open(dir.path()).unwrap();
    assert_eq!((names(&store, "tmp").len(), names(&store, "active").len()), (0, 0));
    assert!(!names(&store, "locks").iter().any(|name| name.starts_with("owner-")));
}

fn hold_until_killed(store: &Store) {
    let _claim = store.claim("key", &|| false).unwrap();
    let _blob = store.blobs().writer().unwrap();
    fs::create_dir_all(&store.ground().active().unwrap().join("upper/x")).unwrap();
    println!("holding");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_key_passes_from_one_to_the_next() {
    let (dir, store) = fixture::store();
    let other = Store::open(dir.path()).unwrap();
    let claim = store.claim("a", &|| false).unwrap();
    other.claim("b", &|| true).unwrap();
    assert!(matches!(other.claim("a", &|| true), Err(ClaimError::Cancelled)));
    drop(claim);
    other.claim("a", &|| true).unwrap();
    let held: Vec<_> = (0..5).map(|n| store.claim(&n.to_string(), &|| true).unwrap()).collect();
    assert!((0..5).all(|n| other.claim(&n.to_string(), &|| true).is_err()));
    drop(held);
    assert!((0..5).all(|n| other.claim(&n.to_string(), &|| true).is_ok()));
}
