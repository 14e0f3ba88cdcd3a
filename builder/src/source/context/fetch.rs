//! Contexts that are unpacked or fetched.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use rbuild_cache::View;
use rbuild_cache::archive::{self, Compression, is_archive};
use rbuild_frontend::address::{Address, GitAddress, redacted};
use rbuild_frontend::lower::git_op;
use rbuild_solver::op::{HttpOp, Op};

use super::files::{Files, Keep};
use super::find::{Found, limited};
use super::{ContextError, Dockerfile, Reader, from_stdin};
use crate::source::remote::RemoteError;

/// Enough of a stream to tell an archive: a block of bzip2 has up to 900 kB.
const HEAD: u64 = 1 << 20;

impl Reader<'_> {
    /// An archive, or a Dockerfile and an empty context. `name` is what messages call it.
    pub(super) fn stream(
        &self,
        from: &mut dyn Read,
        name: &str,
        file: Option<&str>,
    ) -> Result<(Files, Dockerfile), ContextError> {
        let unreadable = |source| ContextError::Read { name: name.to_owned(), source };
        let mut head = Vec::new();
        from.take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
        let compressed = Compression::of(&head) != Compression::None;
        let archived = compressed || is_archive(head.as_slice());
        let mut all = head.as_slice().chain(from);
        if archived {
            let files = self.unpack(&mut all)?;
            let dockerfile = Found::fetched(name, &files.root, file)?;
            return Ok((files, dockerfile));
        }
        if file.is_some() {
            return Err(ContextError::NoArchive(name.to_owned()));
        }
        let text = limited(&mut all, name)?;
        let dockerfile = Dockerfile { name: name.to_owned(), text }.checked()?;
        Ok((self.nothing()?, dockerfile))
    }

    /// A git repository, or what is behind another address.
    pub(super) fn remote(
        &self,
        place: &str,
        address: &Address,
        file: Option<&str>,
        stdin: &mut dyn Read,
    ) -> Result<(Files, Dockerfile), ContextError> {
        let shown = redacted(place);
        let files = match address {
            Address::Git(git) => self.repository(git)?,
            Address::Http(http) => {
                let (mut bytes, _view) = self.download(&http.url)?;
                if file != Some("-") {
                    return self.stream(&mut bytes, &shown, file);
                }
                self.unpack(&mut bytes)?
            }
        };
        let dockerfile = match file {
            Some("-") => from_stdin(stdin)?,
            file => Found::fetched(&shown, &files.root, file)?,
        };
        Ok((files, dockerfile))
    }

    /// A Dockerfile behind an address, for a build context that is here.
    pub(super) fn dockerfile_from(&self, address: &str) -> Result<Dockerfile, ContextError> {
        let name = redacted(address);
        let (mut bytes, _view) = self.download(address)?;
        Dockerfile { text: limited(&mut bytes, &name)?, name }.checked()
    }

    /// The files of a named context.
    pub(super) fn named(&self, address: &Address) -> Result<Files, ContextError> {
        let http = match address {
            Address::Git(git) => return self.repository(git),
            Address::Http(http) => http,
        };
        let (head, _view) = self.download(&http.url)?;
        if !is_archive(head) {
            return Err(ContextError::NoNamedArchive(redacted(&http.url)));
        }
        let (mut bytes, _view) = self.download(&http.url)?;
        self.unpack(&mut bytes)
    }

    fn repository(&self, address: &GitAddress) -> Result<Files, ContextError> {
        let keep = address.keep_git_dir.unwrap_or(self.keep_git_dir);
        let title = format!("context {}", redacted(&address.remote));
        let snapshot = self.remotes.recorded(Op::Git(git_op(address.clone(), keep)), &title)?;
        let view = self.store.layers().view(&snapshot)?;
        let root = view.path().to_owned();
        Files::fetched(&root, Keep::View { _view: view })
    }

    /// The bytes behind an address, which are there as long as the view is.
    fn download(&self, address: &str) -> Result<(File, Arc<View>), ContextError> {
        let title = format!("context {}", redacted(address));
        let (url, name) = (address.to_owned(), "context".to_owned());
        let op = Op::Http(HttpOp { url, name, found: None });
        let snapshot = self.remotes.recorded(op, &title)?;
        let view = self.store.layers().view(&snapshot)?;
        let from = redacted(address);
        let unreadable = |source| RemoteError::Read { from, source };
        let file = File::open(view.path().join("context")).map_err(unreadable)?;
        Ok((file, view))
    }

    fn unpack(&self, from: &mut dyn Read) -> Result<Files, ContextError> {
        let folder = self.store.scratch()?;
        let mut writer = self.store.fill(&folder, "context")?;
        archive::unpack(from, &mut writer, self.remotes.limits().archive())?;
        let root = writer.finish()?;
        Files::fetched(&root, Keep::Folder { _folder: folder })
    }

    /// A context without files.
    fn nothing(&self) -> Result<Files, ContextError> {
        let folder = self.store.scratch()?;
        let root = folder.path().to_owned();
        Files::fetched(&root, Keep::Folder { _folder: folder })
    }
}
