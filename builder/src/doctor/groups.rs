//! Control groups: whether `--memory` and `--cpus` can be kept.

use super::{Diagnosis, Status};
use crate::machine::cgroup::{self, Controller, Version};
use crate::sandbox::Isolation;
use crate::sandbox::probe::{self, GroupError, Unkept};

/// Makes a group for each controller.
pub fn check(diagnosis: &mut Diagnosis, isolation: &Isolation) {
    let unkept = probe::try_limits();
    let lacks = |one: &Controller| unkept.iter().any(|it| it.controllers.contains(one));
    let kept = [Controller::Memory, Controller::Cpu].into_iter().filter(|one| !lacks(one));
    let found: Vec<String> = kept.filter_map(described).collect();
    let lacking = unkept.iter().map(|it| format!("no {}: {}", it.flags(), it.why));
    let text: Vec<String> = lacking.chain((!found.is_empty()).then(|| found.join(", "))).collect();
    match help(&unkept, isolation.rootless) {
        None => diagnosis.add("limits", Status::Ok, format!("control groups: {}", text.join("; "))),
        Some(help) => {
            let check = diagnosis.add("limits", Status::Missing, text.join("; "));
            check.help = Some(help.into());
            check
        }
    };
}

fn described(controller: Controller) -> Option<String> {
    let version = match cgroup::own(controller)?.version {
        Version::One => "version 1",
        Version::Two => "version 2",
    };
    Some(format!("`--{}` by {version}", controller.flag()))
}

/// What to do about it; none if nothing is lacking.
fn help(unkept: &[Unkept], rootless: bool) -> Option<&'static str> {
    let lacking = unkept.first()?;
    Some(match (rootless, lacking.controllers.as_slice()) {
        (true, [Controller::Cpu]) => FOR_USERS_CPUS,
        (true, _) => FOR_USERS,
        (false, _) if matches!(lacking.why, GroupError::Occupied(_)) => FOR_CONTAINERS,
        (false, _) => FOR_ROOT,
    })
}

const FOR_USERS: &str = "a user has groups of its own where the machine runs with cgroup version 2 \
    and systemd hands them on: start rbuild by `systemd-run --user --scope -p Delegate=yes`";

const FOR_USERS_CPUS: &str = "root has to let systemd hand them on to users: `systemctl edit \
    user@.service`, the section `[Service]`, `Delegate=cpu memory pids`; then log in anew";

const FOR_ROOT: &str = "mount the control groups where this process can write to them: \
    `mount -t cgroup2 none /sys/fs/cgroup`, in a container start that with `--privileged`";

const FOR_CONTAINERS: &str = "in a container, what runs in its topmost group has to go into one \
    below, before rbuild starts: `mkdir /sys/fs/cgroup/init`, then \
    `xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_for_what_stands_in_the_way() {
        let of = |rootless, controllers: &[Controller], why| {
            help(&[Unkept { controllers: controllers.to_vec(), why }], rootless).unwrap()
        };
        let denied = || {
            let source = std::io::ErrorKind::PermissionDenied.into();
            GroupError::Denied { verb: "write", path: "/g".into(), source }
        };
        let both = [Controller::Memory, Controller::Cpu];
        assert_eq!(of(true, &both, denied()), FOR_USERS);
        assert_eq!(of(true, &both[1..], denied()), FOR_USERS_CPUS);
        assert_eq!(of(false, &both, denied()), FOR_ROOT);
        assert_eq!(of(false, &both, GroupError::Occupied("/g".into())), FOR_CONTAINERS);
        assert_eq!(help(&[], true), None);
    }
}
