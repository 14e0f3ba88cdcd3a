//! Whom new files belong to: `--chown` and `USER`, looked up in the image's own passwd and group.
//!
//! | written | is |
//! |---|---|
//! | `app` | its user and group in passwd |
//! | `app:staff`, `app:50` | its user; that group |
//! | `1000` | user and group 1000, whatever passwd says |
//! | `1000:`, `:50` | group 0; user 0 |
//!
//! A user whom the image does not know is 0, and a group that it does not know is that of the user:
//! so does Docker, without a word. Files of root where the author wanted somebody else's are found
//! out late, so there is a warning, with the name that was probably meant. Where there is no image
//! at all, a name is an error; `root` is 0 there too. The files are an image's and may be hostile:
//! only regular files are read, inside of the root, and only so much of them.

use std::fmt;
use std::io::{self, Read};

use rbuild_cache::tree::{SelectError, Tree};
use rbuild_frontend::parser::suggest::nearest;

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
    /// There is no image to look into.
    #[error("no {what} `{name}`: there is no image with a `/{file}` below; use a number")]
    NoImage {
        /// `user` or `group`.
        what: &'static str,
        /// As it was written.
        name: String,
        /// What it would stand in.
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

/// The owner that `written` names in `image`. Names that are not known there go to `warn`, one line
/// each.
pub fn look_up(
    written: &str,
    image: Option<&Tree>,
    warn: &mut dyn FnMut(String),
) -> Result<Owner, OwnerError> {
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
        (None, name) => user_of(name, image, warn)?,
    };
    match group.filter(|group| !group.is_empty()) {
        None => Ok(owner),
        Some(group) => Ok(Owner { gid: group_of(group, owner, image, warn)?, ..owner }),
    }
}

fn user_of(
    name: &str,
    image: Option<&Tree>,
    warn: &mut dyn FnMut(String),
) -> Result<Owner, OwnerError> {
    let found = USERS.find(name, image, |fields| {
        Some(Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    });
    Ok(found?.unwrap_or_else(|unknown| {
        warn(format!("{unknown} is taken for user 0, root{}", unknown.meant()));
        Owner::default()
    }))
}

fn group_of(
    group: &str,
    owner: Owner,
    image: Option<&Tree>,
    warn: &mut dyn FnMut(String),
) -> Result<u32, OwnerError> {
    if let Some(gid) = number(group)? {
        return Ok(gid);
    }
    let found = GROUPS.find(group, image, |fields| fields.get(2)?.parse().ok());
    Ok(found?.unwrap_or_else(|unknown| {
        warn(format!("{unknown} is taken for group {}{}", owner.gid, unknown.meant()));
        owner.gid
    }))
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

/// A name that a file does not have.
struct Unknown<'a> {
    register: &'a Register,
    name: &'a str,
    /// What the file says, if it is there.
    text: Option<String>,
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Register { what, file } = self.register;
        let stands = if self.text.is_some() { "is not in" } else { "cannot be looked up without" };
        write!(f, "{what} `{}` {stands} the image's `/{file}`: it", self.name)
    }
}

impl Unknown<'_> {
    /// The end of a sentence that asks for the nearest name, if one is near.
    fn meant(&self) -> String {
        let names = self.text.iter().flat_map(|text| text.lines());
        let names = names.filter_map(|line| line.trim().split(':').next());
        match nearest(self.name, names) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => String::new(),
        }
    }
}

impl Register {
    /// What `read` makes of the first line that `name` has. `root` has the same number everywhere,
    /// also where no file says so.
    fn find<'a, T: Default>(
        &'a self,
        name: &'a str,
        image: Option<&Tree>,
        read: impl Fn(&[&str]) -> Option<T>,
    ) -> Result<Result<T, Unknown<'a>>, OwnerError> {
        let text = image.map(|image| self.text(image)).transpose()?;
        let line = |line: &str| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            if fields[0] == name { read(&fields) } else { None }
        };
        match text {
            None | Some(None) if name == "root" => Ok(Ok(T::default())),
            None => {
                let Register { what, file } = *self;
                Err(OwnerError::NoImage { what, name: name.to_owned(), file })
            }
            Some(text) => {
                let found = text.as_ref().and_then(|text| text.lines().find_map(line));
                Ok(found.ok_or(Unknown { register: self, name, text }))
            }
        }
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
