//! Finding and executing the program of a step, and saying in the user's words why it cannot be.

use std::ffi::CString;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Access, FileType};
use rustix::io::Errno;

use super::elf::{Machine, this_machine};
use super::error::Failure;
use super::sys;
use super::user::User;

/// Docker's, where an image sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with everything it is given, in the form the kernel wants.
pub struct Program {
    name: String,
    path: String,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// Collects arguments and environment; `PATH` and `HOME` are added where missing.
    pub fn new(args: &[String], env: &[(String, String)], user: &User) -> Result<Program, Failure> {
        let name = args.first().cloned().unwrap_or_default();
        let value = |key: &str| env.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let path = value("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        let mut pairs: Vec<String> = env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if value("PATH").is_none() {
            pairs.push(format!("PATH={path}"));
        }
        if value("HOME").is_none() {
            pairs.push(format!("HOME={}", user.home));
        }
        let strings = |list: Vec<String>| list.into_iter().map(CString::new).collect();
        let (Ok(args), Ok(env)) = (strings(args.to_vec()), strings(pairs)) else {
            return Err(Failure::Exec { program: name, errno: Errno::INVAL.raw_os_error() });
        };
        Ok(Program { name, path, args, env })
    }

    /// Executes the program in this process. Returns only the reason why that failed.
    pub fn become_it(&self) -> Failure {
        let file = match self.find() {
            Ok(file) => file,
            Err(failure) => return failure,
        };
        let Ok(path) = CString::new(file.clone()) else {
            return self.failed(Errno::INVAL);
        };
        let errno = sys::execve(&path, &self.args, &self.env);
        self.explain(&file, errno)
    }

    /// The file to execute: as named, or the first of that name in `PATH` that can be executed.
    fn find(&self) -> Result<String, Failure> {
        if self.name.contains('/') {
            return Ok(self.name.clone());
        }
        let mut denied = false;
        for directory in self.path.split(':') {
            let directory = if directory.is_empty() { "." } else { directory };
            let file = format!("{directory}/{}", self.name);
            match executable(&file) {
                Ok(true) => return Ok(file),
                Ok(false) => {}
                Err(_) => denied = true,
            }
        }
        Err(match denied && !self.name.is_empty() {
            true => self.failed(Errno::ACCESS),
            false => self.missing(Some(self.path.clone())),
        })
    }

    /// What an error number of `execve` means for this file.
    fn explain(&self, file: &str, errno: Errno) -> Failure {
        let program = self.name.clone();
        match errno {
            Errno::NOENT if !Path::new(file).exists() => self.missing(None),
            Errno::NOENT => match interpreter(file) {
                Some(interpreter) => Failure::NoInterpreter { program, interpreter },
                None => self.failed(errno),
            },
            Errno::NOEXEC => match machine(file) {
                Some(machine) if machine != this_machine() => {
                    Failure::WrongMachine { program, machine, host: this_machine().to_owned() }
                }
                _ => Failure::NotExecutable { program },
            },
            _ => self.failed(errno),
        }
    }

    fn missing(&self, path: Option<String>) -> Failure {
        Failure::NoProgram { program: self.name.clone(), path }
    }

    fn failed(&self, errno: Errno) -> Failure {
        Failure::Exec { program: self.name.clone(), errno: errno.raw_os_error() }
    }
}

/// Lets the user of the step open `/dev/stdout` and the like, which are files of root otherwise.
pub fn give_streams_to(user: &User) {
    if user.uid == 0 {
        return;
    }
    let uid = Some(rustix::fs::Uid::from_raw(user.uid));
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let is_ours = rustix::fs::fstat(stream).is_ok_and(|stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            // The null device is everybody's, and a file of the caller's stays the caller's.
            kind == FileType::Fifo || (kind == FileType::CharacterDevice && is_terminal(stream))
        });
        if is_ours {
            let _ = rustix::fs::fchown(stream, uid, None);
        }
    }
}

fn is_terminal(stream: std::os::fd::BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(stream)
}

/// Whether the file can be executed by this process. An error if it is there, but may not.
pub fn executable(file: &str) -> Result<bool, Errno> {
    match rustix::fs::stat(file) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            rustix::fs::access(file, Access::EXEC_OK).map(|()| true)
        }
        _ => Ok(false),
    }
}

/// What the file needs to be run by: the first word after `#!`, or the loader of an ELF file.
fn interpreter(file: &str) -> Option<String> {
    let head = head(file)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next()?;
        let line = String::from_utf8_lossy(line).into_owned();
        // A carriage return at the end is the usual reason for a missing interpreter.
        let word = line.trim_start_matches([' ', '\t']).split([' ', '\t']).next()?;
        return Some(word.escape_default().to_string());
    }
    elf_loader(&head)
}

/// Whether a program is loaded by another one.
pub fn has_loader(file: &Path) -> bool {
    file.to_str().and_then(head).is_some_and(|head| elf_loader(&head).is_some())
}

/// The path in the `PT_INTERP` segment of a 64-bit little-endian ELF file.
fn elf_loader(head: &[u8]) -> Option<String> {
    const PT_INTERP: u64 = 3;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let segment = (0..count)
        .filter_map(|i| usize::try_from(table.checked_add(i * size)?).ok())
        .find(|at| number(*at, 4) == Some(PT_INTERP))?;
    let offset = usize::try_from(number(segment + 8, 8)?).ok()?;
    let length = usize::try_from(number(segment + 32, 8)?).ok()?;
    let path = head.get(offset..offset.checked_add(length)?)?;
    Some(String::from_utf8_lossy(path).trim_end_matches('\0').to_owned())
}

/// The machine that an ELF file is for, in the words of image platforms; for a script, the one that
/// what runs it is for.
fn machine(file: &str) -> Option<String> {
    let head = head(file)?;
    match head.starts_with(b"#!") {
        true => Machine::name_of(&self::head(&interpreter(file)?)?),
        false => Machine::name_of(&head),
    }
}

fn head(file: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(64 * 1024).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
