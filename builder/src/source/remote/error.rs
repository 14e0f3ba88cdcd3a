//! Why something from elsewhere could not be had.

use rbuild_cache::layer::WriteError;
use rbuild_cache::tree::{self, SelectError};
use rbuild_cache::{ClaimError, Digest, FsError};

use crate::exit::Exit;
use crate::source::git::GitError;
use crate::source::http::HttpError;
use crate::source::limits::BadLimit;

/// Why something from elsewhere could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A file behind an address.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A git repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file is not the one that was asked for.
    #[error("`{url}` has the digest {found}, expected {expected}")]
    Checksum {
        /// The address.
        url: String,
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The repository has no such directory.
    #[error("`{remote}` has no directory `{subdir}` at commit {commit}")]
    Subdir {
        /// The repository.
        remote: String,
        /// The directory.
        subdir: String,
        /// The commit.
        commit: String,
    },
    /// A limit that is no number.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// The store.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// The layer.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The checkout.
    #[error(transparent)]
    Open(#[from] tree::OpenError),
    /// The checkout.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A file that was fetched cannot be read.
    #[error("cannot read what was fetched from `{from}`: {source}")]
    Read {
        /// Where it came from.
        from: String,
        /// Why.
        source: std::io::Error,
    },
    /// The user ended the build.
    #[error("interrupted")]
    Interrupted,
}

impl RemoteError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            RemoteError::Http(error) => error.help(),
            RemoteError::Git(error) => error.help(),
            _ => None,
        }
    }

    /// Whether what was asked for is at fault, or the machine and the network are.
    pub fn exit(&self) -> Exit {
        match self {
            RemoteError::Interrupted
            | RemoteError::Git(GitError::Interrupted | GitError::Claim(ClaimError::Cancelled)) => {
                Exit::Interrupted
            }
            RemoteError::Limit(_) => Exit::Usage,
            RemoteError::Checksum { .. } | RemoteError::Subdir { .. } => Exit::Build,
            RemoteError::Git(
                GitError::NoRef { .. }
                | GitError::NoHead(_)
                | GitError::Checksum { .. }
                | GitError::Refused { .. },
            ) => Exit::Build,
            RemoteError::Http(
                HttpError::Status { status, .. } | HttpError::Refused { status, .. },
            ) if status.is_client_error() => Exit::Build,
            _ => Exit::Machine,
        }
    }
}
