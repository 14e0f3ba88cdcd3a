//! Flags of `rbuild build` that say what its steps and sources are given: secrets, agents,
//! privileges, limits.

use std::path::{Path, PathBuf};

use rbuild_frontend::size;
use rbuild_solver::op::{Network, Resources, Ulimit};

use super::session::Failure;
use crate::given::Given;
use crate::given::agent::AgentSource;
use crate::given::secrets::SecretSource;
use crate::sandbox::{Entitlement, Limits, limit_names};
use crate::worker::mount::{Allowed, Devices};

/// What the user gives by name.
#[derive(Debug, clap::Args)]
pub struct GivenArgs {
    /// A secret for steps that mount it, or for a source that needs one:
    /// `id=NAME[,src=FILE|,env=VARIABLE]`
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// An SSH agent for steps that mount it, and for git: `default`, or `ID[=SOCKET|KEY[,KEY]]`
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
}

/// What steps may do.
#[derive(Debug, clap::Args)]
pub struct StepArgs {
    /// Allow steps what goes beyond the usual: `network.host`, `security.insecure`, `device[=NAME]`
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<String>,
    /// Where CDI specs of devices are [default: /etc/cdi and /var/run/cdi]
    #[arg(long, value_name = "FOLDER")]
    cdi_spec_dir: Vec<PathBuf>,
    /// The size of /dev/shm in steps [default: 64m]
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// A resource limit of steps, such as `nofile=1024:2048`; `-1` for none
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// How much memory the processes of a step together can use
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// How many processors the processes of a step together can use, such as `1.5`
    #[arg(long, value_name = "N")]
    cpus: Option<String>,
    /// Not supported: where a step's control group goes cannot be chosen
    #[arg(long, value_name = "PATH", hide = true)]
    cgroup_parent: Option<String>,
}

impl GivenArgs {
    /// What the flags name, where it is there.
    pub fn resolve(&self) -> Result<Given, Failure> {
        let mut given = Given::default();
        for text in &self.secret {
            let (id, source) = secret(text)?;
            given.secrets.add(id, source);
        }
        for text in &self.ssh {
            let (id, source) = agent(text)?;
            given.agents.add(id, source);
        }
        Ok(given)
    }
}

impl StepArgs {
    /// What steps may have. Who builds on the host's network allows it to every step.
    pub fn allowed(&self, network: Network) -> Result<Vec<Entitlement>, Failure> {
        let mut allowed = Vec::new();
        for name in self.allow.iter().filter(|name| !Allowed::default().add(name)) {
            let known = Entitlement::ALL.into_iter().find(|one| one.name() == name);
            allowed.push(known.ok_or_else(|| {
                let names = Entitlement::ALL.map(Entitlement::name).join("`, `");
                Failure::usage_text(
                    &format!("`{name}` cannot be allowed"),
                    &format!("what can be is `{names}`, `device`, `device=NAME`"),
                )
            })?);
        }
        if network == Network::Host {
            allowed.push(Entitlement::HostNetwork);
        }
        Ok(allowed)
    }

    /// The devices.
    pub fn devices(&self) -> Devices {
        let mut devices = Devices::default();
        if !self.cdi_spec_dir.is_empty() {
            devices.folders.clone_from(&self.cdi_spec_dir);
        }
        for name in &self.allow {
            // What is no device was told apart with the other entitlements.
            devices.allowed.add(name);
        }
        devices
    }

    /// What the processes of a step together can use of the machine.
    pub fn limits(&self) -> Result<Limits, Failure> {
        Ok(Limits {
            memory: self.memory.as_deref().map(bytes).transpose()?,
            cpus: self.cpus.as_deref().map(thousandths).transpose()?,
        })
    }

    /// What steps can use of the machine.
    pub fn resources(&self) -> Result<Resources, Failure> {
        if self.cgroup_parent.is_some() {
            return Err(Failure::usage_text(
                "`--cgroup-parent` is not supported: where a step's control group goes cannot be chosen",
                "start rbuild itself in the group, such as with `systemd-run --slice`",
            ));
        }
        let shm_size = self.shm_size.as_deref().map(bytes);
        let ulimits = self.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?;
        Ok(Resources { shm_size: shm_size.transpose()?, ulimits })
    }
}

/// A size such as `128m`.
pub fn bytes(text: &str) -> Result<u64, Failure> {
    size::parse(text).filter(|size| *size > 0).ok_or_else(|| {
        Failure::usage_text(&format!("`{text}` is not a size"), "write it as `128m`")
    })
}

/// A number of processors, in thousandths.
fn thousandths(text: &str) -> Result<u64, Failure> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number < 1e6);
    number.map(|number| (number * 1000.0).ceil() as u64).ok_or_else(|| {
        let message = format!("`{text}` is not a number of processors");
        Failure::usage_text(&message, "write it as `--cpus 1.5`")
    })
}

/// One secret. Without a source it is the variable of its name if there is one, else the file.
fn secret(text: &str) -> Result<(String, SecretSource), Failure> {
    let bad = |what: &str| {
        let message = format!("`{text}` is not a secret: {what}");
        Failure::usage_text(&message, "write `--secret id=NAME,src=FILE` or `id=NAME,env=VARIABLE`")
    };
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in fields(text).ok_or_else(|| bad("it is not a list of `key=value`"))? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(bad(&format!("`{field}` is not `key=value`")));
        };
        let place = match key.to_lowercase().as_str() {
            "id" => &mut id,
            "src" | "source" => &mut file,
            "env" => &mut variable,
            "type" => &mut kind,
            _ => return Err(bad(&format!("it has no `{key}`"))),
        };
        *place = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    let Some(id) = id else { return Err(bad("it has no `id`")) };
    match kind.as_deref() {
        None | Some("file") => {}
        Some("env") => variable = variable.or_else(|| file.take()),
        Some(other) => return Err(bad(&format!("there is no type `{other}`"))),
    }
    let source = match (variable, file) {
        (Some(name), _) => SecretSource::Variable(name.into()),
        (None, Some(path)) => SecretSource::File(path.into()),
        (None, None) if std::env::var_os(&id).is_some() => SecretSource::Variable((&id).into()),
        (None, None) => SecretSource::File((&id).into()),
    };
    match &source {
        SecretSource::File(path) if !path.exists() => {
            Err(bad(&format!("there is no file `{}`", path.display())))
        }
        _ => Ok((id, source)),
    }
}

/// One agent: the user's own, another socket, or keys in files.
fn agent(text: &str) -> Result<(String, AgentSource), Failure> {
    let (id, paths) = text.split_once('=').unwrap_or((text, ""));
    if id.is_empty() {
        let message = format!("`{text}` is not an SSH agent: it has no name");
        return Err(Failure::usage_text(&message, "write `--ssh default`"));
    }
    let paths: Vec<PathBuf> =
        paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        let message = format!("`{}`, for the SSH agent `{id}`, is not there", missing.display());
        return Err(Failure::usage_text(&message, "name a socket, or files with keys"));
    }
    let source = match paths.as_slice() {
        [] => std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from),
        [one] if is_socket(one) => Some(one.clone()),
        _ => return Ok((id.to_owned(), AgentSource::Keys(paths))),
    };
    match source {
        Some(socket) => Ok((id.to_owned(), AgentSource::Socket(socket))),
        None => Err(Failure::usage_text(
            &format!("there is no SSH agent for `{id}`: SSH_AUTH_SOCK is not set"),
            "start one with `eval $(ssh-agent)`, or name keys: `--ssh ID=FILE`",
        )),
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

fn ulimit(text: &str) -> Result<Ulimit, Failure> {
    let bad = |what: String| {
        let message = format!("`{text}` is not a limit: {what}");
        Failure::usage_text(&message, "write `--ulimit nofile=1024` or `--ulimit nofile=1024:2048`")
    };
    let Some((name, values)) = text.split_once('=') else {
        return Err(bad("there is no `=`".to_owned()));
    };
    if !limit_names().any(|known| known == name) {
        let names: Vec<&str> = limit_names().collect();
        return Err(bad(format!("the limits are `{}`", names.join("`, `"))));
    }
    let number = |text: &str| match text {
        "-1" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| bad(format!("`{text}` is not a number"))),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
        return Err(bad("what counts is above what it can be raised to".to_owned()));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

fn fields(text: &str) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_docker_reads_them() {
        let file = |path: &str| SecretSource::File(path.into());
        let variable = |name: &str| SecretSource::Variable(name.into());
        let rows = [
            ("id=a,src=/etc/passwd", file("/etc/passwd")),
            ("id=a,source=/etc/passwd,type=file", file("/etc/passwd")),
            ("id=a,env=NAME", variable("NAME")),
            ("type=env,id=a,src=NAME", variable("NAME")),
            ("id=PATH", variable("PATH")),
            ("id=/etc/passwd", file("/etc/passwd")),
        ];
        for (text, expected) in rows {
            assert_eq!(secret(text).ok().map(|(_, source)| source), Some(expected), "{text}");
        }
        for text in ["", "a", "src=/etc/passwd", "id=a,type=vault", "id=a,mode=1", "id=no/such"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_have_dockers_form() {
        let limit = |text: &str| ulimit(text).ok().map(|limit| (limit.soft, limit.hard));
        assert_eq!(limit("nofile=10"), Some((Some(10), Some(10))));
        assert_eq!(limit("nofile=10:20"), Some((Some(10), Some(20))));
        assert_eq!(limit("core=-1"), Some((None, None)));
        assert_eq!(limit("nproc=5:-1"), Some((Some(5), None)));
        for text in ["nofile", "nofile=x", "files=1", "nofile=20:10", "nofile=-1:10"] {
            assert_eq!(limit(text), None, "{text}");
        }
    }

    #[test]
    fn agents_are_sockets_or_keys() {
        let keys = |paths: &[&str]| AgentSource::Keys(paths.iter().map(PathBuf::from).collect());
        let read = |text: &str| agent(text).ok();
        assert_eq!(
            read("k=/etc/passwd,/etc/group"),
            Some(("k".to_owned(), keys(&["/etc/passwd", "/etc/group"])))
        );
        assert_eq!(read("k=/etc/passwd"), Some(("k".to_owned(), keys(&["/etc/passwd"]))));
        assert_eq!(read("k=/no/such/key"), None);
        assert_eq!(read("=x"), None);
    }
}
