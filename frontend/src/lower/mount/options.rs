//! The options of one mount, expanded and read.

use rbuild_solver::op::mount::{Access, FileOwner, Need, Sharing};

use crate::ast::{MountKey, MountOption, OptionList, Text};
use crate::diagnostic::Diagnostic;
use crate::parser::suggest::nearest;
use crate::scope::Fallible;
use crate::size;

/// The types of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

const TYPES: [(&str, Type); 5] = [
    ("bind", Type::Bind),
    ("cache", Type::Cache),
    ("tmpfs", Type::Tmpfs),
    ("secret", Type::Secret),
    ("ssh", Type::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

/// What an option means for a type of mount that does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misplaced {
    /// It is an error, as it is in BuildKit.
    Error,
    /// BuildKit takes it and does nothing about it.
    Ignored,
}

/// The options of one mount.
pub(super) struct MountOptions<'a> {
    pub(super) kind: Type,
    list: &'a OptionList,
    /// One for each option of the list.
    values: Vec<Option<String>>,
}

impl<'a> MountOptions<'a> {
    /// Expands the values, and checks that the options belong to the type.
    pub(super) fn read(
        list: &'a OptionList,
        word: impl Fn(&Text) -> Fallible<String>,
    ) -> Fallible<MountOptions<'a>> {
        let value = |option: &MountOption| match (option.key, &option.value) {
            (MountKey::From, _) | (_, None) => Ok(None),
            (_, Some(text)) => word(text).map(Some),
        };
        let values = list.options.iter().map(value).collect::<Fallible<Vec<_>>>()?;
        let mut options = MountOptions { kind: Type::Bind, list, values };
        if let Some(name) = options.text(MountKey::Type) {
            options.kind = choice(&TYPES, &name.to_ascii_lowercase())
                .ok_or_else(|| options.no_choice(MountKey::Type, "type of mount", &TYPES))?;
        }
        match options.misplaced(Misplaced::Error).next() {
            None => Ok(options),
            Some(option) => {
                let message =
                    format!("mounts of type `{}` have no `{}`", options.kind.name(), option.name);
                let error = Diagnostic::error("misplaced-option", option.name.span(), message);
                Err(Box::new(error.with_help("remove the option, or choose another `type`")))
            }
        }
    }

    /// A warning for each option that does nothing for this type.
    pub(super) fn without_effect(&self) -> Vec<Diagnostic> {
        let warn = |option: &MountOption| {
            let message =
                format!("`{}` does nothing for mounts of type `{}`", option.name, self.kind.name());
            Diagnostic::warning("misplaced-option", option.name.span(), message)
        };
        self.misplaced(Misplaced::Ignored).map(warn).collect()
    }

    fn misplaced(&self, how: Misplaced) -> impl Iterator<Item = &'a MountOption> + use<'a> {
        let kind = self.kind;
        self.list.options.iter().filter(move |option| kind.misplaces(option.key) == Some(how))
    }

    /// The value of an option, expanded.
    pub(super) fn text(&self, key: MountKey) -> Option<&str> {
        let at = self.list.options.iter().rposition(|option| option.key == key)?;
        self.values[at].as_deref()
    }

    /// The stage or image that is named, as it is written.
    pub(super) fn from(&self) -> Option<&'a Text> {
        self.list.get(MountKey::From)?.value.as_ref().filter(|from| !from.is_empty())
    }

    /// `readonly` and `readwrite`, whichever comes last.
    pub(super) fn access(&self, default: Access) -> Fallible<Access> {
        let switch = |key| matches!(key, MountKey::ReadOnly | MountKey::ReadWrite);
        let Some(at) = self.list.options.iter().rposition(|option| switch(option.key)) else {
            return Ok(default);
        };
        let key = self.list.options[at].key;
        let on = self.values[at].as_deref().map_or(Some(true), go_bool);
        match (key, on.ok_or_else(|| self.invalid(key, "`true` or `false`"))?) {
            (MountKey::ReadOnly, true) | (MountKey::ReadWrite, false) => Ok(Access::ReadOnly),
            _ => Ok(Access::ReadWrite),
        }
    }

    /// `required`
    pub(super) fn need(&self) -> Fallible<Need> {
        if self.list.get(MountKey::Required).is_none() {
            return Ok(Need::Optional);
        }
        match self.text(MountKey::Required).map_or(Some(true), go_bool) {
            Some(true) => Ok(Need::Required),
            Some(false) => Ok(Need::Optional),
            None => Err(self.invalid(MountKey::Required, "`true` or `false`")),
        }
    }

    /// `sharing`
    pub(super) fn sharing(&self) -> Fallible<Option<Sharing>> {
        let Some(name) = self.text(MountKey::Sharing) else { return Ok(None) };
        choice(&SHARINGS, name)
            .map(Some)
            .ok_or_else(|| self.no_choice(MountKey::Sharing, "way of sharing", &SHARINGS))
    }

    /// `size`, in bytes.
    pub(super) fn size(&self) -> Fallible<Option<u64>> {
        let Some(text) = self.text(MountKey::Size) else { return Ok(None) };
        let size = size::parse(text).map(|size| Some(size).filter(|size| *size > 0));
        size.ok_or_else(|| self.invalid(MountKey::Size, "a size such as `64m`"))
    }

    /// `mode`, `uid` and `gid`; none if there is none of them.
    pub(super) fn owner(&self, default: FileOwner) -> Fallible<Option<FileOwner>> {
        let mode = self.number(MountKey::Mode, 8, "permission bits in octal, such as `0600`")?;
        let uid = self.number(MountKey::Uid, 10, "the number of a user")?;
        let gid = self.number(MountKey::Gid, 10, "the number of a group")?;
        if mode.or(uid).or(gid).is_none() {
            return Ok(None);
        }
        Ok(Some(FileOwner {
            mode: mode.unwrap_or(default.mode) & 0o7777,
            uid: uid.unwrap_or(default.uid),
            gid: gid.unwrap_or(default.gid),
        }))
    }

    fn number(&self, key: MountKey, radix: u32, expected: &str) -> Fallible<Option<u32>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = u32::from_str_radix(text, radix).ok().filter(|_| digits);
        number.map(Some).ok_or_else(|| self.invalid(key, expected))
    }

    /// An error about an option; about the whole mount if the option is not there.
    pub(super) fn error(&self, key: MountKey, message: &str) -> Box<Diagnostic> {
        let option = self.list.get(key);
        let span = option.map_or_else(
            || self.list.text.span(),
            |option| option.value.as_ref().unwrap_or(&option.name).span(),
        );
        Box::new(Diagnostic::error("bad-mount", span, message))
    }

    /// As [`MountOptions::error`], with what to do.
    pub(super) fn error_with(&self, key: MountKey, message: &str, help: &str) -> Box<Diagnostic> {
        Box::new(self.error(key, message).with_help(help))
    }

    fn invalid(&self, key: MountKey, expected: &str) -> Box<Diagnostic> {
        let name = self.list.get(key).map_or("", |option| option.name.as_str());
        let value = self.text(key).unwrap_or_default();
        let message = format!("`{name}` cannot be `{value}`");
        self.error_with(key, &message, &format!("write {expected}"))
    }

    fn no_choice<T>(&self, key: MountKey, what: &str, choices: &[(&str, T)]) -> Box<Diagnostic> {
        let value = self.text(key).unwrap_or_default();
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let error = *self.error(key, &format!("there is no {what} `{value}`"));
        Box::new(match nearest(value, names.iter().copied()) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error.with_help(format!("choose one of `{}`", names.join("`, `"))),
        })
    }
}

impl Type {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    fn misplaces(self, key: MountKey) -> Option<Misplaced> {
        use MountKey as Key;
        let has = match key {
            Key::Type | Key::Target => true,
            Key::From | Key::ReadOnly | Key::ReadWrite => matches!(self, Type::Bind | Type::Cache),
            Key::Source => matches!(self, Type::Bind | Type::Cache | Type::Secret),
            Key::Required => matches!(self, Type::Secret | Type::Ssh),
            Key::Size => self == Type::Tmpfs,
            Key::Id | Key::Mode | Key::Uid | Key::Gid => {
                matches!(self, Type::Cache | Type::Secret | Type::Ssh)
            }
            Key::Sharing => self == Type::Cache,
            Key::Env => self == Type::Secret,
        };
        let ignored = match key {
            Key::Id | Key::Env | Key::ReadOnly | Key::ReadWrite => true,
            Key::From => matches!(self, Type::Tmpfs | Type::Ssh),
            Key::Source => self == Type::Tmpfs,
            _ => false,
        };
        match (has, ignored) {
            (true, _) => None,
            (false, true) => Some(Misplaced::Ignored),
            (false, false) => Some(Misplaced::Error),
        }
    }
}

fn choice<T: Copy>(choices: &[(&str, T)], name: &str) -> Option<T> {
    choices.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// A truth value as Go reads it.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
