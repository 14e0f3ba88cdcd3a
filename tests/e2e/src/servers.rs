//! Servers that sources come from: git's own daemon, sshd, and nginx, which serves files and, with
//! git's CGI program behind it, repositories. All on loopback, all ended with the value.

mod ssh;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use ssh::Ssh;

use crate::system::tool;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Repositories behind `git daemon`, and files and the same repositories behind nginx.
#[derive(Debug)]
pub struct Servers {
    /// `127.0.0.1:PORT` of `git daemon`.
    pub git: String,
    /// `127.0.0.1:PORT` of nginx.
    pub http: String,
    servers: Vec<Child>,
    folder: TempDir,
}

/// What `/private/` and `/bearer/` of nginx want to see: the password of `x-access-token`, and a
/// bearer token.
pub const TOKEN: &str = "the-hushed-token";

/// A working copy that pushes to a served repository.
#[derive(Debug)]
pub struct Repository {
    work: PathBuf,
}

impl Servers {
    /// Starts all of them.
    pub fn start() -> Servers {
        let folder =
            tempfile::Builder::new().prefix("rbuild-servers.").tempdir_in("/var/tmp").unwrap();
        for name in
            ["repositories", "files", "files/untagged", "files/private", "work", "temporary"]
        {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let user = format!("x-access-token:{{PLAIN}}{TOKEN}\n");
        fs::write(folder.path().join("users"), user).unwrap();
        let (git, http) = (free_address(), free_address());
        let mut servers = Servers { git, http, servers: Vec::new(), folder };
        servers.start_daemon();
        servers.start_nginx();
        servers
    }

    /// Ends all servers; what was fetched stays where it is.
    pub fn stop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// The file that nginx serves as `/name`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// A new, empty repository `name.git`. nginx has it as `/name.git` too, and for those who know
    /// [`TOKEN`] as `/private/name.git`.
    pub fn repository(&self, name: &str) -> Repository {
        self.repository_with(name, "sha1")
    }

    /// As [`Servers::repository`], with `sha256` ids.
    pub fn repository_with(&self, name: &str, format: &str) -> Repository {
        let format = format!("--object-format={format}");
        let bare = self.folder.path().join("repositories").join(format!("{name}.git"));
        let work = self.folder.path().join("work").join(name);
        git(
            Path::new("/"),
            &["init", "-q", &format, "--bare", "-b", "main", bare.to_str().unwrap()],
        );
        git(Path::new("/"), &["init", "-q", &format, "-b", "main", work.to_str().unwrap()]);
        git(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        Repository { work }
    }

    /// Starts an sshd that has the repositories, for whoever has the key.
    pub fn ssh(&mut self, home: &Path) -> Ssh {
        let ssh = Ssh::new(self.folder.path(), &free_address(), home);
        let script = format!(
            "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f '{}'",
            ssh.config.display()
        );
        self.spawn("unshare", &["--mount", "sh", "-c", &script]);
        wait_for(&ssh.address);
        ssh
    }

    /// What nginx was asked for, and its answers: `GET /x 200`.
    pub fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn start_daemon(&mut self) {
        let root = self.folder.path().join("repositories");
        let (host, port) = self.git.split_once(':').unwrap();
        let (host, port) = (format!("--listen={host}"), format!("--port={port}"));
        let base = format!("--base-path={}", root.display());
        let daemon = "/usr/lib/git-core/git-daemon";
        self.spawn(daemon, &["--reuseaddr", "--export-all", &host, &port, &base]);
        wait_for(&self.git);
    }

    /// nginx hands requests for repositories to fcgiwrap, and that runs git's program.
    fn start_nginx(&mut self) {
        let folder = self.folder.path().display().to_string();
        self.spawn("fcgiwrap", &["-c", "4", "-s", &format!("unix:{folder}/cgi")]);
        let give_up = Instant::now() + PATIENCE;
        while !self.folder.path().join("cgi").exists() {
            assert!(Instant::now() < give_up, "fcgiwrap does not listen");
            sleep(Duration::from_millis(10));
        }
        let config = NGINX.replace("BACKEND", BACKEND).replace("FOLDER", &folder);
        let config = config.replace("ADDRESS", &self.http).replace("TOKEN", TOKEN);
        let path = self.folder.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        self.spawn("nginx", &["-p", &folder, "-c", path.to_str().unwrap()]);
        wait_for(&self.http);
    }

    /// In a process namespace of its own, so that its children end with it; the kernel ends it with
    /// the thread that started it, should no destructor run.
    fn spawn(&mut self, program: &str, args: &[&str]) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"]);
        command.arg(program).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn().unwrap());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Repository {
    /// Writes files, commits all there is, and pushes it to a branch; gives the commit's id. A
    /// name that ends with `*` is a file that can be executed.
    pub fn push(&self, branch: &str, files: &[(&str, &str)]) -> String {
        use std::os::unix::fs::PermissionsExt;
        for (name, text) in files {
            let path = self.work.join(name.trim_end_matches('*'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let mode = if name.ends_with('*') { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        self.commit(branch)
    }

    /// Adds a submodule; it shows with the next push.
    pub fn submodule(&self, url: &str, path: &str) {
        git(&self.work, &["submodule", "--quiet", "add", url, path]);
    }

    /// Says that the one submodule is elsewhere; it shows with the next push.
    pub fn rename_submodule(&self, url: &str) {
        let modules = self.work.join(".gitmodules");
        let text = fs::read_to_string(&modules).unwrap();
        let line = text.lines().find(|line| line.contains("url = ")).unwrap();
        fs::write(&modules, text.replace(line, &format!("\turl = {url}"))).unwrap();
    }

    /// Puts a submodule into the tree that nobody looked at; it shows with the next push.
    pub fn link(&self, path: &str, commit: &str) {
        let entry = format!("160000,{commit},{path}");
        git(&self.work, &["update-index", "--add", "--cacheinfo", &entry]);
        fs::create_dir(self.work.join(path)).unwrap();
    }

    /// Names the last commit.
    pub fn tag(&self, name: &str) {
        git(&self.work, &["tag", "-a", "-m", name, name]);
        git(&self.work, &["push", "-q", "origin", name]);
    }

    fn commit(&self, branch: &str) -> String {
        git(&self.work, &["add", "--all"]);
        git(&self.work, &["commit", "-q", "--allow-empty", "-m", branch]);
        git(&self.work, &["push", "-q", "-f", "origin", &format!("HEAD:{branch}")]);
        git(&self.work, &["rev-parse", "HEAD"]).trim().to_owned()
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    git.env("GIT_AUTHOR_DATE", DATE).env("GIT_COMMITTER_DATE", DATE);
    git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(args);
    tool(&mut git).ok().stdout
}

/// Somebody else may take the port in between; then the test fails, and says so.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait_for(address: &str) {
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < give_up, "nobody listens on {address}");
        sleep(Duration::from_millis(10));
    }
}

/// When everything is committed: 1445412480.
const DATE: &str = "2015-10-21T07:28:00Z";

const BACKEND: &str = "fastcgi_pass unix:FOLDER/cgi;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_HTTP_EXPORT_ALL \"\";
      fastcgi_param GIT_PROJECT_ROOT FOLDER/repositories;
      fastcgi_param PATH_INFO $1;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;";

const NGINX: &str = "daemon off;
master_process off;
user root;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events {}
http {
  log_format short '$request_method $uri $status';
  access_log FOLDER/access.log short;
  client_body_temp_path FOLDER/temporary/1;
  proxy_temp_path FOLDER/temporary/2;
  fastcgi_temp_path FOLDER/temporary/3;
  uwsgi_temp_path FOLDER/temporary/4;
  scgi_temp_path FOLDER/temporary/5;
  server {
    listen ADDRESS;
    root FOLDER/files;
    location /untagged/ { etag off; }
    location /bearer/ {
      if ($http_authorization != \"Bearer TOKEN\") { return 401; }
      alias FOLDER/files/private/;
    }
    location ~ ^/private(/.*\\.git/.*)$ {
      auth_basic private;
      auth_basic_user_file FOLDER/users;
      BACKEND
    }
    location ~ ^(/.*\\.git/.*)$ {
      BACKEND
    }
  }
}
";
