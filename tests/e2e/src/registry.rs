//! A real registry (Debian's docker-registry) on a free port of the loopback interface.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use crate::system::{bases, tool};

/// The user and the password of a registry that asks for them.
pub const LOGIN: (&str, &str) = ("builder", "correct horse");

/// A running registry. Dropped, it ends, and what was pushed is gone.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:PORT`
    pub address: String,
    server: Child,
    requests: Mutex<Receiver<String>>,
    _folder: TempDir,
}

impl Registry {
    /// One that has the bases and takes nothing. Any number may serve at once.
    pub fn of_bases() -> Registry {
        let folder = folder();
        let storage = format!(
            "  filesystem: {{rootdirectory: \"{}\"}}\n  maintenance: {{readonly: {{enabled: true}}, uploadpurging: {{enabled: false}}}}\n",
            bases().display()
        );
        Registry::start(folder, &storage, "")
    }

    /// An empty one that takes everything.
    pub fn open() -> Registry {
        let folder = folder();
        let storage = storage_in(folder.path());
        Registry::start(folder, &storage, "")
    }

    /// An empty one that takes everything from [`LOGIN`] and nothing from anybody else.
    pub fn locked() -> Registry {
        let folder = folder();
        let users = folder.path().join("htpasswd");
        // Cost 4 is the least that bcrypt has: these are not secrets.
        let run = tool(Command::new("htpasswd").args(["-nbB", "-C", "4", LOGIN.0, LOGIN.1])).ok();
        fs::write(&users, run.stdout).unwrap();
        let auth = format!("auth:\n  htpasswd: {{realm: tests, path: \"{}\"}}\n", users.display());
        let storage = storage_in(folder.path());
        Registry::start(folder, &storage, &auth)
    }

    fn start(folder: TempDir, storage: &str, auth: &str) -> Registry {
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n{storage}{auth}http: {{addr: \"127.0.0.1:0\"}}\n"
        );
        fs::write(&config, text).unwrap();
        // The kernel ends it with the thread that started it, should no destructor run.
        let mut server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (address, requests) = listening(&mut server);
        Registry { address, server, requests: Mutex::new(requests), _folder: folder }
    }

    /// How many blobs were fetched since the last call: configs and layers.
    pub fn blobs_fetched(&self) -> usize {
        // The log may be late. What was asked before this is in it before this.
        let mark = format!("/v2/{:x}/tags/list", std::ptr::from_ref(self) as usize);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {mark} HTTP/1.0\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        let requests = self.requests.lock().unwrap();
        let lines = requests.iter().take_while(|line| !line.contains(&mark));
        lines.filter(|line| line.contains("/blobs/sha256:")).count()
    }

    /// The name of an image here.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("rbuild-registry.").tempdir_in("/var/tmp").unwrap()
}

fn storage_in(folder: &Path) -> String {
    let folder = folder.join("storage");
    format!("  filesystem: {{rootdirectory: \"{}\"}}\n", folder.display())
}

/// Port 0 lets the kernel choose; the log says which it was. What follows is read at once, so that
/// the server never waits for a reader; a line for each answer to a GET is kept.
fn listening(server: &mut Child) -> (String, Receiver<String>) {
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut log = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("listening on ") {
            let address = rest.split([' ', '"', ',']).next().unwrap().to_owned();
            let (sender, requests) = channel();
            std::thread::spawn(move || {
                let lines = lines.map_while(Result::ok);
                let answers = lines.filter(|line| {
                    line.contains("response completed") && line.contains("http.request.method=GET")
                });
                answers.for_each(|line| drop(sender.send(line)));
            });
            return (address, requests);
        }
        log.push_str(&line);
        log.push('\n');
    }
    panic!("the registry did not start:\n{log}");
}
