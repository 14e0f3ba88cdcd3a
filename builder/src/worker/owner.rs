//! Whom new files belong to: `--chown` and `USER`, looked up in the image's own passwd and group.
//!
//! | written | is |
//! |---|---|
//! | `app` | its user and group in passwd |
//! | `app:staff`, `app:50` | its user; that group |
//! | `1000` | user and group 1000, whatever passwd says |
//! | `1000:`, `:50` | group 0; user 0 |
//!
//! `root` is 0 in an image without these files too. Any other name that the image does not know is an error: files of root where the author wanted somebody
//! else's are found out too late. The files are an image's and may be hostile: only regular files
//! are read, inside of the root, and only so much of them.

use std::io::{self, Read};

use rbuild_cache::tree::{SelectError, Tree};

/// Numbers of user and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// More than one `:`.
    #[error("`{0}` is not an owner: expected `user`, `user:group`, or numbers of them")]
    Syntax(String),
    /// No kernel takes it.
    #[error("`{0}` is too large for the number of a user or group")]
    Number(String),
    /// The image does not have the name.
    #[error("no {what} `{name}` in the image's `/{file}`")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// As it was written.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// The image has no such file to look into.
    #[error("no {what} `{name}`: the image has no `/{file}`; use a number")]
    NoFile {
        /// `user` or `group`.
        what: &'static str,
        /// As it was written.
        name: String,
        /// What is not there.
        file: &'static str,
    },
    /// The file is there and cannot be read.
    #[error("cannot read the image's `/{file}`")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] SelectError),
}

/// One of the two files, and which of its fields count.
struct Register {
    what: &'static str,
    file: &'static str,
}

const USERS: Register = Register { what: "user", file: "etc/passwd" };
const GROUPS: Register = Register { what: "group", file: "etc/group" };

/// More than any real one; an endless one must not fill the memory.
const MAX_FILE: u64 = 8 << 20;

/// Numbers above do not fit all of the kernel's interfaces.
const MAX_ID: u32 = i32::MAX as u32;

/// The owner that `written` names in `image`; an image without files knows no names.
pub fn look_up(written: &str, image: Option<&Tree>) -> Result<Owner, OwnerError> {
    let (user, group) = match written.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (written, None),
    };
    if group.is_some_and(|group| group.contains(':')) {
        return Err(OwnerError::Syntax(written.to_owned()));
    }
    let owner = match (number(user)?, user) {
        (_, "") => Owner::default(),
        (Some(id), _) if group.is_none() => Owner { uid: id, gid: id },
        (Some(uid), _) => Owner { uid, gid: 0 },
        (None, name) => user_of(name, image)?,
    };
    match group.filter(|group| !group.is_empty()) {
        None => Ok(owner),
        Some(group) => Ok(Owner { gid: group_of(group, image)?, ..owner }),
    }
}

fn user_of(name: &str, image: Option<&Tree>) -> Result<Owner, OwnerError> {
    let found = USERS.find(name, image, |fields| {
        Some(Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    });
    or_root(name, found)
}

fn group_of(group: &str, image: Option<&Tree>) -> Result<u32, OwnerError> {
    match number(group)? {
        Some(gid) => Ok(gid),
        None => or_root(group, GROUPS.find(group, image, |fields| fields.get(2)?.parse().ok())),
    }
}

/// `root` has the same number everywhere, also where no file says so.
fn or_root<T: Default>(name: &str, found: Result<T, OwnerError>) -> Result<T, OwnerError> {
    match found {
        Err(OwnerError::NoFile { .. }) if name == "root" => Ok(T::default()),
        other => other,
    }
}

/// The number that is written, if it is one.
fn number(text: &str) -> Result<Option<u32>, OwnerError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= MAX_ID => Ok(Some(id)),
        _ => Err(OwnerError::Number(text.to_owned())),
    }
}

impl Register {
    /// What `read` makes of the first line that `name` has.
    fn find<T>(
        &self,
        name: &str,
        image: Option<&Tree>,
        read: impl Fn(&[&str]) -> Option<T>,
    ) -> Result<T, OwnerError> {
        let Register { what, file } = *self;
        let text = image.map(|image| self.text(image)).transpose()?.flatten();
        let Some(text) = text else {
            return Err(OwnerError::NoFile { what, name: name.to_owned(), file });
        };
        let line = |line: &str| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            if fields[0] == name { read(&fields) } else { None }
        };
        let unknown = || OwnerError::Unknown { what, name: name.to_owned(), file };
        text.lines().find_map(line).ok_or_else(unknown)
    }

    fn text(&self, image: &Tree) -> Result<Option<String>, OwnerError> {
        let file = self.file;
        let Some(open) = image.open_file(file.as_bytes())? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = open.take(MAX_FILE + 1).read_to_end(&mut bytes);
        let read = read.and_then(|length| match length as u64 > MAX_FILE {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(()),
        });
        read.map_err(|source| OwnerError::Read { file, source })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests;
