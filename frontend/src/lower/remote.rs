//! `ADD` of addresses: the ops that fetch them, and what of `--checksum` and `--keep-git-dir` they
//! take.

use rbuild_cache::Digest;
use rbuild_cache::pattern::escaped;
use rbuild_cache::tree::{PathSelector, Selector};
use rbuild_solver::graph::{Edge, Origin};
use rbuild_solver::op::{GitDir, GitOp, GitTimes, HttpFile, HttpOp, Op, Submodules};

use crate::address::{
    Address, BadAddress, GitAddress, HttpAddress, Pinning, redacted, split_login,
};
use crate::ast::{AddFiles, Text};
use crate::diagnostic::Diagnostic;
use crate::scope::Fallible;
use crate::stage::reach::Step;

use super::stage::StageLowering;

/// What an `ADD` says about addresses.
pub(super) struct Fetch<'a> {
    checksum: Option<(&'a Text, String)>,
    keep_git_dir: Option<bool>,
}

impl StageLowering<'_, '_> {
    /// Reads the flags. A checksum is of one address.
    pub(super) fn fetch<'a>(&self, add: &'a AddFiles) -> Fallible<Fetch<'a>> {
        let mut fetch = Fetch {
            checksum: None,
            keep_git_dir: add.keep_git_dir.as_ref().map(|keep| keep.value),
        };
        let Some(text) = &add.checksum else { return Ok(fetch) };
        let checksum = self.word(text)?;
        if add.transfer.sources.len() > 1 {
            let message = "`--checksum` is of one source, there are several";
            return Err(Box::new(Diagnostic::error("checksum", text.span(), message)));
        }
        fetch.checksum = Some((text, checksum)).filter(|(_, checksum)| !checksum.is_empty());
        Ok(fetch)
    }

    /// The tree behind an address, and which part of it is added.
    pub(super) fn remote_edge(
        &mut self,
        address: &Address,
        text: &Text,
        step: &Step,
        fetch: &Fetch<'_>,
        exclude: &[String],
    ) -> Fallible<Edge> {
        let (op, shown, selector) = match address {
            Address::Http(http) => {
                let pattern = escaped(&http.name);
                let op = Op::Http(fetch.http(http)?);
                (op, &http.url, PathSelector::of(pattern))
            }
            Address::Git(git) => {
                let op = Op::Git(fetch.git(git, text)?);
                let whole =
                    PathSelector { exclude: exclude.to_vec(), ..PathSelector::everything() };
                (op, &git.remote, whole)
            }
        };
        let shown = redacted(shown);
        let origin = Origin {
            title: format!("[internal] load {shown}"),
            span: Some(step.span()),
            slot: format!("load {shown}"),
            always_run: self.always_run(),
        };
        let from = self.add(op, Vec::new(), origin);
        Ok(Edge { from, selector: Selector::Paths(selector) })
    }
}

impl Fetch<'_> {
    /// A checksum needs an address.
    pub(super) fn check_path(&self) -> Fallible<()> {
        let Some((text, _)) = &self.checksum else { return Ok(()) };
        let message = "`--checksum` is for addresses, and a source here is a path";
        let error = Diagnostic::error("checksum", text.span(), message);
        Err(Box::new(error.with_help("remove it: files of the context are compared anyway")))
    }

    fn http(&self, address: &HttpAddress) -> Fallible<HttpOp> {
        let digest = self.checksum.as_ref().map(digest).transpose()?;
        Ok(HttpOp {
            url: address.url.clone(),
            name: address.name.clone(),
            found: digest.map(|digest| HttpFile { digest, modified: None }),
        })
    }

    fn git(&self, address: &GitAddress, source: &Text) -> Fallible<GitOp> {
        let mut address = address.clone();
        if let Some((text, checksum)) = &self.checksum {
            address.set_checksum(checksum).map_err(|error| bad_address(&error, text))?;
        }
        let keep = match (address.keep_git_dir, self.keep_git_dir) {
            (Some(query), Some(flag)) if query != flag => {
                let message = "the address and `--keep-git-dir` say different things";
                let error = Diagnostic::error("bad-address", source.span(), message);
                return Err(Box::new(error.with_help("remove one of them")));
            }
            (query, flag) => query.or(flag).unwrap_or(false),
        };
        Ok(git_op(address, keep))
    }
}

fn digest((text, checksum): &(&Text, String)) -> Fallible<Digest> {
    checksum.parse().map_err(|_| {
        let message = format!("`{checksum}` is not the checksum of a file");
        let error = Diagnostic::error("checksum", text.span(), message);
        Box::new(error.with_help("write `sha256:` and 64 hex digits"))
    })
}

/// The op that fetches a git repository; `keep` says whether `.git` stays.
pub fn git_op(address: GitAddress, keep: bool) -> GitOp {
    let whole = address.checksum.clone().filter(|checksum| matches!(checksum.len(), 40 | 64));
    let asked = match (address.pinning, &address.reference) {
        (Pinning::Ref, Some(reference)) => Some(reference.clone()),
        _ => whole,
    };
    let git_dir = match keep {
        true => GitDir::Kept {
            remote: split_login(&address.remote).0,
            reference: address.reference.clone(),
        },
        false => GitDir::Dropped,
    };
    GitOp {
        remote: address.remote,
        reference: asked,
        checksum: address.checksum,
        commit: None,
        subdir: address.subdir,
        git_dir,
        submodules: address.submodules.unwrap_or(Submodules::Included),
        times: address.times.unwrap_or(GitTimes::Checkout),
    }
}

/// What is wrong with an address, said of its place.
pub(super) fn bad_address(error: &BadAddress, text: &Text) -> Diagnostic {
    let shown = redacted(text.as_str());
    let message = format!("cannot use `{shown}`: {error}");
    Diagnostic { help: error.help(), ..Diagnostic::error("bad-address", text.span(), message) }
}
