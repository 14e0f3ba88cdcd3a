//! The options of a mount, by name.

use super::Text;

/// A flag that is a list of options, such as `RUN --mount=type=cache,target=/c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionList {
    /// The whole value of the flag.
    pub text: Text,
    /// Its options in order. One can be there twice: the last counts.
    pub options: Vec<MountOption>,
}

/// One option of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// Which.
    pub key: MountKey,
    /// Its name as typed.
    pub name: Text,
    /// What stands behind `=`, variables not expanded; none without `=`.
    pub value: Option<Text>,
}

/// The options that a mount can have. Which of them a mount of some type has is known only when its
/// type is, which can be a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKey {
    /// `type`
    Type,
    /// `from`: a stage or an image.
    From,
    /// `source`, `src`
    Source,
    /// `target`, `dst`, `destination`
    Target,
    /// `readonly`, `ro`
    ReadOnly,
    /// `readwrite`, `rw`
    ReadWrite,
    /// `required`
    Required,
    /// `size`
    Size,
    /// `id`
    Id,
    /// `sharing`
    Sharing,
    /// `mode`
    Mode,
    /// `uid`
    Uid,
    /// `gid`
    Gid,
    /// `env`
    Env,
}

impl MountKey {
    /// The names in the language, each with its meaning.
    pub const NAMES: [(&str, MountKey); 19] = [
        ("type", MountKey::Type),
        ("from", MountKey::From),
        ("source", MountKey::Source),
        ("target", MountKey::Target),
        ("readonly", MountKey::ReadOnly),
        ("id", MountKey::Id),
        ("sharing", MountKey::Sharing),
        ("required", MountKey::Required),
        ("size", MountKey::Size),
        ("mode", MountKey::Mode),
        ("uid", MountKey::Uid),
        ("gid", MountKey::Gid),
        ("src", MountKey::Source),
        ("dst", MountKey::Target),
        ("destination", MountKey::Target),
        ("ro", MountKey::ReadOnly),
        ("rw", MountKey::ReadWrite),
        ("readwrite", MountKey::ReadWrite),
        ("env", MountKey::Env),
    ];

    /// The option of that name, in lower case.
    pub(crate) fn named(name: &str) -> Option<MountKey> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, key)| *key)
    }

    /// Whether its name alone says something.
    pub(crate) fn is_switch(self) -> bool {
        matches!(self, MountKey::ReadOnly | MountKey::ReadWrite | MountKey::Required)
    }
}

impl OptionList {
    /// The option that counts, if it is there.
    pub(crate) fn get(&self, key: MountKey) -> Option<&MountOption> {
        self.options.iter().rev().find(|option| option.key == key)
    }
}
