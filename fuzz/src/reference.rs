//! Names of images, and addresses of contexts and of what `ADD` fetches.

use rbuild_frontend::address::{Address, is_address, redacted};
use rbuild_frontend::reference::Reference;

/// What is read as a reference is written as one that reads the same, long and short. An address is
/// shown without its password.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Reference>() {
        Ok(reference) => {
            for written in [reference.canonical(), reference.familiar(), reference.to_string()] {
                assert_eq!(written.parse().as_ref(), Ok(&reference), "`{text}` as `{written}`");
            }
            assert!(!reference.selector().is_empty(), "`{text}` asks for nothing");
        }
        Err(error) => assert!(!error.to_string().contains('\n') || text.contains('\n')),
    }
    let _ = is_address(text);
    let _ = redacted(text);
    for address in [Address::parse(text), Address::parse_context(text)].into_iter().flatten() {
        match address {
            Ok(Address::Git(git)) => harmless(&git.remote),
            Ok(Address::Http(http)) => {
                let name = http.name.as_str();
                assert!(!name.is_empty() && !name.contains('/') && !matches!(name, "." | ".."));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Parts of an address become arguments of `git`.
fn harmless(argument: &str) {
    assert!(!argument.is_empty() && !argument.starts_with('-'), "`{argument}` is an option");
}
