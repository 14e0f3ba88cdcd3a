//! Servers that do not let everybody in: told from other failures by what git and ssh say.

use super::GitError;
use crate::source::auth::Access;

/// What such a failure means; none for any other.
pub fn of(said: &str, access: &Access) -> Option<GitError> {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (reason, help) = match () {
        () if says(&["Host key verification failed"]) => (
            "ssh does not know the key of the host",
            "compare the key that `ssh-keyscan HOST` prints, then add it to `~/.ssh/known_hosts`"
                .to_owned(),
        ),
        () if says(&["Permission denied ("]) => (
            "ssh has no key that the server takes",
            "give one with `--ssh default=KEYFILE`, or an agent that holds it with `--ssh default`"
                .to_owned(),
        ),
        () if says(&["returned error: 30"]) => (
            "the server redirects, and credentials are not sent on",
            "write the address that it leads to".to_owned(),
        ),
        () if says(&["could not read Username", "could not read Password"])
            || says(&["Authentication failed", "returned error: 401"]) =>
        {
            ("the server answers 401 Unauthorized", access.proof.help())
        }
        () if says(&["returned error: 403"]) => {
            ("the server answers 403 Forbidden", access.proof.help())
        }
        () => return None,
    };
    Some(GitError::Refused { remote: access.remote.clone(), reason, help })
}
