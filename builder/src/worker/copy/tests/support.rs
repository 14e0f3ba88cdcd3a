//! Trees described in lines, instructions in one line, and a layer in memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use rbuild_cache::archive::Limits;
use rbuild_cache::stat::StatCache;
use rbuild_cache::tree::PathSelector;
use tempfile::TempDir;

use super::*;

/// The time of what a copy makes itself.
pub const NOW: (i64, u32) = (1_500_000_000, 5);

/// Of archives.
pub const LIMITS: Limits = Limits { bytes: 1 << 20, files: 20 };

/// Whether to skip a test that gives files to other users, which only root can.
pub fn skips() -> bool {
    let skips = !rustix::process::geteuid().is_root();
    assert!(!skips || std::env::var_os("CI").is_none(), "this test has to run as root");
    if skips {
        eprintln!("skipped: only root can give files away");
    }
    skips
}

/// A directory made from lines: `[mode] [uid:gid] path=text`, `path/`, `path->target`.
pub struct Disk(TempDir);

impl Disk {
    pub fn new(lines: &[&str]) -> Disk {
        let root = TempDir::new().unwrap();
        for line in lines {
            make(root.path(), line);
        }
        Disk(root)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

fn make(root: &Path, line: &str) {
    let (mut mode, mut owner, mut rest) = (None, None, line);
    while let Some((word, next)) = rest.split_once(' ') {
        match word.split_once(':') {
            Some((uid, gid)) if uid.parse::<u32>().is_ok() => {
                owner = Some((uid.parse().unwrap(), gid.parse().unwrap()));
            }
            _ => match u32::from_str_radix(word, 8) {
                Ok(bits) => mode = Some(bits),
                Err(_) => break,
            },
        }
        rest = next;
    }
    let (path, text) = rest.split_once('=').unwrap_or((rest, ""));
    let (path, target) = path.split_once("->").unwrap_or((path, ""));
    let at = root.join(path);
    directories(root, if path.ends_with('/') { &at } else { at.parent().unwrap() });
    if !target.is_empty() {
        symlink(target, &at).unwrap();
    } else if !path.ends_with('/') {
        fs::write(&at, text).unwrap();
        self::mode(&at, mode.unwrap_or(0o644));
    } else if let Some(bits) = mode {
        self::mode(&at, bits);
    }
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::lchown(&at, Some(uid), Some(gid)).expect("`skips` is asked before");
    }
}

fn directories(root: &Path, at: &Path) {
    let mut missing: Vec<PathBuf> =
        at.ancestors().take_while(|at| *at != root && !at.exists()).map(Path::to_owned).collect();
    while let Some(at) = missing.pop() {
        fs::create_dir(&at).unwrap();
        mode(&at, 0o755);
    }
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A layer in memory. It insists on parents before children.
#[derive(Default)]
pub struct Memory {
    pub entries: BTreeMap<Vec<u8>, (Entry, Vec<u8>)>,
}

impl Sink for Memory {
    fn add(&mut self, entry: &Entry, data: Option<&mut dyn Read>) -> Result<(), WriteError> {
        let path = &entry.path;
        let (parent, _) = target::split(path);
        let is_dir = |kind: &Kind| matches!(kind, Kind::Dir | Kind::OpaqueDir);
        let parent = self.entries.get(parent);
        let top = !path.contains(&b'/');
        assert!(top || parent.is_some_and(|(entry, _)| is_dir(&entry.kind)), "{entry:?}");
        if self.entries.get(path).is_some_and(|(old, _)| is_dir(&old.kind)) && !is_dir(&entry.kind)
        {
            let below = [path.as_slice(), b"/"].concat();
            self.entries.retain(|path, _| !path.starts_with(&below));
        }
        let mut bytes = Vec::new();
        match entry.kind {
            Kind::File { size: 0 } => {}
            Kind::File { size } => {
                let cause = |cause| WriteError::Add { path: absolute(path), cause };
                let mut data = data.expect("the bytes of a file");
                let read = Read::by_ref(&mut data).take(size).read_to_end(&mut bytes);
                if read.map_err(cause)? as u64 != size {
                    return Err(cause(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            Kind::HardLink { ref target } => {
                let (twin, _) = &self.entries[target];
                assert!(matches!(twin.kind, Kind::File { .. }), "{entry:?}");
            }
            _ => {}
        }
        self.entries.insert(path.clone(), (entry.clone(), bytes));
        Ok(())
    }
}

impl Memory {
    pub fn lines(&self) -> Vec<String> {
        self.entries.values().map(|(entry, bytes)| line(entry, bytes)).collect()
    }
}

fn line(entry: &Entry, bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = text(&entry.path);
    let (letter, tail) = match &entry.kind {
        Kind::HardLink { target } => return format!("h {path}=>{}", text(target)),
        Kind::Dir => ('d', String::new()),
        Kind::OpaqueDir => ('o', String::new()),
        Kind::File { .. } => ('f', format!("={}", text(bytes))),
        Kind::Symlink { target } => ('l', format!("->{}", text(target))),
        Kind::Fifo => ('p', String::new()),
        Kind::Char { .. } => ('c', String::new()),
        Kind::Block { .. } => ('b', String::new()),
        Kind::Whiteout => ('w', String::new()),
    };
    format!("{letter} {:04o} {}:{} {path}{tail}", entry.mode, entry.uid, entry.gid)
}

/// An instruction without its sources' selectors.
pub struct Instruction {
    pub op: CopyOp,
    pub selectors: Vec<PathSelector>,
    /// Those of the sources.
    pub owners: Owners,
}

/// `COPY|ADD [--from] [--parents] [--chown=..] [--chmod=..] source.. dest`; a source `<<name=text` is inline.
pub fn copy_op(line: &str) -> Instruction {
    let mut words = line.split(' ').peekable();
    let unpack = if words.next() == Some("ADD") { Unpack::Archives } else { Unpack::No };
    let (mut chown, mut chmod, mut exclude) = (None, None, Vec::new());
    let (mut owners, mut parents) = (Owners::Root, false);
    while let Some(flag) = words.next_if(|word| word.starts_with("--")) {
        match flag.split_once('=') {
            Some(("--chown", value)) => chown = Some(value.to_owned()),
            Some(("--chmod", value)) => chmod = Some(value.to_owned()),
            Some(("--exclude", value)) => exclude.push(value.to_owned()),
            None if flag == "--parents" => parents = true,
            _ => owners = Owners::Kept,
        }
    }
    let mut words: Vec<&str> = words.collect();
    let dest = words.pop().unwrap().to_owned();
    let (mut sources, mut selectors) = (Vec::new(), Vec::new());
    for word in words {
        if let Some((name, data)) = word.strip_prefix("<<").and_then(|word| word.split_once('=')) {
            sources.push(CopySource::Inline { name: name.into(), data: data.into() });
        } else {
            sources.push(CopySource::Input { input: 1 + selectors.len(), unpack });
            let pattern = word.trim_matches(['.', '/']).to_owned();
            let (pattern, include) = match (parents, pattern.split_once("/./")) {
                (false, _) => (pattern, None),
                (true, Some((start, kept))) => (start.to_owned(), Some(kept.to_owned())),
                (true, None) => (String::new(), Some(pattern)),
            };
            selectors.push(PathSelector {
                pattern,
                include,
                exclude: exclude.clone(),
                ..PathSelector::default()
            });
        }
    }
    let op = CopyOp { base: Some(0), sources, dest, chown, chmod };
    Instruction { op, selectors, owners }
}

/// Carries out an instruction, in memory.
pub fn try_run(
    base: Option<&Disk>,
    context: &Disk,
    instruction: &Instruction,
) -> Result<(Memory, Copied), CopyError> {
    let mut memory = Memory::default();
    let copied = run_into(&mut memory, base, context, instruction)?;
    Ok((memory, copied))
}

/// Carries out an instruction.
pub fn run_into(
    sink: &mut dyn Sink,
    base: Option<&Disk>,
    context: &Disk,
    instruction: &Instruction,
) -> Result<Copied, CopyError> {
    let Instruction { op, selectors, owners } = instruction;
    let tree = Tree::open(context.path(), *owners, None).unwrap();
    let select = |selector| {
        let selection = tree.select(selector).unwrap();
        selection.digest(&StatCache::none()).unwrap();
        selection
    };
    let selections: Vec<Arc<Selection>> = selectors.iter().map(select).collect();
    let below = Below::Seen(base.map(Disk::path));
    copy(&Copy { op, below, selections: &selections, time: NOW, limits: LIMITS }, sink)
}

/// What the layer holds, or the error as one line.
pub fn run(base: Option<&Disk>, context: &Disk, line: &str) -> Vec<String> {
    match try_run(base, context, &copy_op(line)) {
        Ok((memory, copied)) => {
            assert_eq!(copied.changed, Vec::<String>::new(), "{line}");
            memory.lines()
        }
        Err(error) => vec![format!("error: {error}")],
    }
}

/// The lines of a layer's archive, in the form of [`Memory::lines`].
pub fn tar_lines(archive: impl Read) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    archive.entries().unwrap().map(|entry| tar_line(&mut entry.unwrap())).collect()
}

fn tar_line(entry: &mut tar::Entry<'_, impl Read>) -> String {
    let path = entry.path_bytes().into_owned();
    let path = path.strip_suffix(b"/").unwrap_or(&path);
    let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
    let kind = match entry.header().entry_type() {
        tar::EntryType::Directory => Kind::Dir,
        tar::EntryType::Symlink => Kind::Symlink { target: link },
        tar::EntryType::Link => Kind::HardLink { target: link },
        tar::EntryType::Regular => Kind::File { size: entry.size() },
        other => panic!("{other:?}"),
    };
    let mut written = Entry::new(path, kind, entry.header().mode().unwrap());
    written.uid = entry.header().uid().unwrap().try_into().unwrap();
    written.gid = entry.header().gid().unwrap().try_into().unwrap();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    line(&written, &bytes)
}

/// The lines after `ADD` of an archive in the context.
pub fn add(base: Option<&Disk>, archive: &[u8], dest: &str) -> Vec<String> {
    let context = Disk::new(&[]);
    fs::write(context.path().join("a.tar"), archive).unwrap();
    run(base, &context, &format!("ADD a.tar {dest}"))
}
