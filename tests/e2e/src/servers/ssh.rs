//! A real sshd, and a home whose ssh knows it: as the host `gitbox`, on a port of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::system::tool;

/// Where it listens, and what opens it.
#[derive(Debug)]
pub struct Ssh {
    /// `127.0.0.1:PORT`
    pub address: String,
    /// The one key that it takes.
    pub key: PathBuf,
    /// The folder of the repositories, for `gitbox:<folder>/name.git`.
    pub repositories: PathBuf,
    pub(super) config: PathBuf,
}

impl Ssh {
    /// Writes keys and settings. The home's ssh knows the server's key; it has no key of its own.
    pub(super) fn new(folder: &Path, address: &str, home: &Path) -> Ssh {
        let (host_key, key) = (make_key(&folder.join("host_key")), make_key(&folder.join("key")));
        let (host, port) = address.split_once(':').unwrap();
        let config = folder.join("sshd_config");
        let settings = format!(
            "ListenAddress {address}\nHostKey {0}\nAuthorizedKeysFile {1}.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            host_key.display(),
            key.display()
        );
        fs::write(&config, settings).unwrap();
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh).unwrap();
        let public = fs::read_to_string(host_key.with_extension("pub")).unwrap();
        fs::write(ssh.join("known_hosts"), format!("[{host}]:{port} {public}")).unwrap();
        let client = format!("Host gitbox\n HostName {host}\n Port {port}\n User root\n");
        fs::write(ssh.join("config"), client).unwrap();
        Ssh { address: address.to_owned(), key, repositories: folder.join("repositories"), config }
    }

    /// Puts the key where ssh looks for one.
    pub fn give_key(&self, home: &Path) {
        let path = home.join(".ssh/id_ed25519");
        fs::copy(&self.key, &path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn make_key(path: &Path) -> PathBuf {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "a-key-of-the-test", "-f"]).arg(path);
    tool(&mut keygen).ok();
    path.to_owned()
}
