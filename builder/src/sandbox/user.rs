//! `USER` of a Dockerfile to numbers, by the image's own passwd and group files.
//!
//! The rules are Docker's. The files are an image's and therefore hostile: opened inside the root,
//! only if they are regular files, and read up to a limit.

use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::error::Failure;
use super::target;

/// More than any real passwd file; an endless one must not fill the memory.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// Ids above are reserved by the kernel or do not fit its interfaces.
const MAX_ID: u32 = i32::MAX as u32;

/// Whom a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
    /// The home directory from passwd, `/` if there is none.
    pub home: String,
}

/// The user that `spec` names in the tree at `root`: empty, `name`, `uid`, each with `:group`.
pub fn resolve(root: BorrowedFd<'_>, spec: &str) -> Result<User, Failure> {
    let (name, group) = match spec.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (spec, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let group = group.filter(|group| !group.is_empty());
    let fail = |reason: String| Failure::User { user: spec.into(), reason, help: None };
    let passwd = read(root, "etc/passwd").map_err(fail)?;
    let user = find_user(&passwd, name).map_err(fail)?;
    let group_file = read(root, "etc/group").map_err(fail)?;
    let user_name = user.name;
    let (gid, extra) = match group {
        Some(group) => (find_group(&group_file, group).map_err(fail)?, Vec::new()),
        None => (user.gid, memberships(&group_file, user_name)),
    };
    let mut groups = vec![gid];
    for extra in extra {
        if !groups.contains(&extra) {
            groups.push(extra);
        }
    }
    Ok(User { uid: user.uid, gid, groups, home: user.home.to_owned() })
}

/// A line of passwd, as far as it matters; or what stands in for it.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    name: Option<&'a str>,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn find_user<'a>(passwd: &'a str, wanted: &str) -> Result<Entry<'a>, String> {
    let number = wanted.parse::<u32>().ok();
    let found = passwd.lines().filter_map(parse_user).find(|user| match number {
        Some(number) => user.uid == number,
        None => user.name == Some(wanted),
    });
    match (found, number) {
        (Some(user), _) => Ok(user),
        (None, Some(uid)) if uid <= MAX_ID => Ok(Entry { name: None, uid, gid: 0, home: "/" }),
        (None, Some(_)) => Err("the number is too large".into()),
        (None, None) if passwd.is_empty() => Err("the image has no `/etc/passwd`".into()),
        (None, None) => Err(format!("no user `{wanted}` in the image's `/etc/passwd`")),
    }
}

fn parse_user(line: &str) -> Option<Entry<'_>> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    let home = fields.get(5).copied().filter(|home| !home.is_empty()).unwrap_or("/");
    Some(Entry { name: Some(fields[0]), uid, gid, home })
}

fn find_group(groups: &str, wanted: &str) -> Result<u32, String> {
    let number = wanted.parse::<u32>().ok();
    let found = groups.lines().filter_map(parse_group).find(|(name, gid, _)| match number {
        Some(number) => *gid == number,
        None => *name == wanted,
    });
    match (found, number) {
        (Some((_, gid, _)), _) => Ok(gid),
        (None, Some(gid)) if gid <= MAX_ID => Ok(gid),
        (None, Some(_)) => Err("the group number is too large".into()),
        (None, None) => Err(format!("no group `{wanted}` in the image's `/etc/group`")),
    }
}

fn memberships(groups: &str, user: Option<&str>) -> Vec<u32> {
    let Some(user) = user else { return Vec::new() };
    let is_member = |members: &str| members.split(',').any(|member| member.trim() == user);
    groups
        .lines()
        .filter_map(parse_group)
        .filter(|(.., members)| is_member(members))
        .map(|(_, gid, _)| gid)
        .collect()
}

fn parse_group(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.trim().split(':');
    let name = fields.next()?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

/// The text of a file of the image; empty if there is none.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<String, String> {
    // Opening a FIFO must not wait for a writer, nor opening a terminal make it ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match target::open_in(root, path, flags) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(errno) => return Err(format!("cannot open the image's `/{path}`: {errno}")),
    };
    let stat = rustix::fs::fstat(&file)
        .map_err(|errno| format!("cannot read the image's `/{path}`: {errno}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(format!("the image's `/{path}` is not a regular file"));
    }
    let mut bytes = Vec::new();
    let mut limited = std::fs::File::from(file).take(MAX_FILE + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read the image's `/{path}`: {error}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("the image's `/{path}` is larger than {} MiB", MAX_FILE >> 20));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
