//! `--build-context NAME=VALUE`: what takes the place of stages and images of a name.
//!
//! | value | is |
//! |---|---|
//! | `docker-image://REFERENCE` | an image |
//! | `oci-layout://PATH[:TAG][@DIGEST]` | an image in an OCI layout on disk |
//! | `https://..`, `http://..`, a git address | files from elsewhere |
//! | anything else | a directory, with its own `.dockerignore` |

use std::collections::BTreeMap;

use rbuild_frontend::NamedContext;
use rbuild_frontend::address::{Address, BadAddress};
use rbuild_frontend::options::familiar;
use rbuild_frontend::reference::Reference;

use crate::source::context::NamedSource;
use crate::source::layout;

/// All named contexts of a build.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NamedContexts {
    /// As the frontend knows them.
    pub names: BTreeMap<String, NamedContext>,
    /// Those that are files, and where they are.
    pub files: BTreeMap<String, NamedSource>,
}

/// Why a `--build-context` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadContext {
    /// Not `name=value`.
    #[error("`{0}` is not `NAME=VALUE`")]
    Syntax(String),
    /// The name of an image would not do either.
    #[error("`{0}` cannot name a build context: it is not the name of an image")]
    Name(String),
    /// It would be ignored.
    #[error("`scratch` cannot name a build context: it always is the empty image")]
    Scratch,
    /// A value of the API or of bake files.
    #[error("`{0}` can only be used in a bake file, which this rbuild does not read")]
    Bake(String),
    /// The reference is none.
    #[error("`{0}` names no image")]
    Image(String),
    /// An address that is none.
    #[error("`{value}`: {error}")]
    Address {
        /// The value.
        value: String,
        /// What is wrong with it.
        error: BadAddress,
    },
}

impl NamedContexts {
    /// Reads the values in order; of two with the same name, the later one counts.
    pub fn parse(values: &[String]) -> Result<NamedContexts, BadContext> {
        let mut contexts = NamedContexts::default();
        for text in values {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, value)| !name.is_empty() && !value.is_empty())
                .ok_or_else(|| BadContext::Syntax(text.clone()))?;
            contexts.add(self::name(name)?, value)?;
        }
        Ok(contexts)
    }

    fn add(&mut self, name: String, value: &str) -> Result<(), BadContext> {
        self.files.remove(&name);
        if value.starts_with("target:") || value.starts_with("input:") {
            return Err(BadContext::Bake(value.to_owned()));
        }
        if let Some(image) = value.strip_prefix("docker-image://") {
            let bad = |_| BadContext::Image(value.to_owned());
            image.parse::<Reference>().map_err(bad)?;
            self.names.insert(name, NamedContext::Image(image.to_owned()));
            return Ok(());
        }
        if value.starts_with(layout::SCHEME) {
            self.names.insert(name, NamedContext::Image(value.to_owned()));
            return Ok(());
        }
        let bad = |error| BadContext::Address { value: value.to_owned(), error };
        let source = match Address::parse(value).transpose().map_err(bad)? {
            Some(address) => NamedSource::Remote(address),
            None => NamedSource::Folder(value.to_owned()),
        };
        self.names.insert(name.clone(), NamedContext::Files);
        self.files.insert(name, source);
        Ok(())
    }
}

/// A name as stages and images have it.
fn name(text: &str) -> Result<String, BadContext> {
    let name = familiar(text);
    if name == "scratch" {
        return Err(BadContext::Scratch);
    }
    match text.parse::<Reference>() {
        Ok(_) => Ok(name),
        Err(_) => Err(BadContext::Name(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<NamedContexts, String> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        NamedContexts::parse(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn values_say_what_they_are() {
        let image = |name: &str| Some(NamedContext::Image(name.to_owned()));
        let rows = [
            ("a=docker-image://alpine:3", "a", image("alpine:3")),
            ("docker.io/library/a:latest=docker-image://b", "a", image("b")),
            ("a=oci-layout:///x:t", "a", image("oci-layout:///x:t")),
            ("a=dir", "a", Some(NamedContext::Files)),
            ("context=dir", "context", Some(NamedContext::Files)),
            ("reg:5000/a:1=./dir=x", "reg:5000/a:1", Some(NamedContext::Files)),
            ("a=https://h/x.tar", "a", Some(NamedContext::Files)),
        ];
        for (text, name, expected) in rows {
            assert_eq!(parse(&[text]).unwrap().names.remove(name), expected, "{text}");
        }
        let files = parse(&["a=./dir", "b=git@h:r.git#v1"]).unwrap().files;
        assert_eq!(files["a"], NamedSource::Folder("./dir".to_owned()));
        assert!(matches!(files["b"], NamedSource::Remote(Address::Git(_))));
        let last = parse(&["a=./dir", "a=docker-image://b"]).unwrap();
        assert_eq!((last.names["a"].clone(), last.files.len()), (image("b").unwrap(), 0));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let rows = [
            ("a", "`a` is not `NAME=VALUE`"),
            ("=x", "`=x` is not `NAME=VALUE`"),
            ("Foo/B=x", "cannot name a build context"),
            ("scratch=docker-image://a", "it always is the empty image"),
            ("a=target:b", "can only be used in a bake file"),
            ("a=input:b", "can only be used in a bake file"),
            ("a=docker-image://A B", "names no image"),
            ("a=https:///x", "it names no host"),
        ];
        for (text, message) in rows {
            let error = parse(&[text]).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
