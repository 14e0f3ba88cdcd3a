//! Control groups: whether `--memory` and `--cpus` can be kept.

use super::{Diagnosis, Status};
use crate::machine::cgroup::{Controller, Version};
use crate::sandbox::{Isolation, probe};

/// Makes a group for each controller.
pub fn check(diagnosis: &mut Diagnosis, isolation: &Isolation) {
    let tries = [Controller::Memory, Controller::Cpu].map(|one| (one, probe::try_limit(one)));
    let of = |version| match version {
        Version::One => "version 1",
        Version::Two => "version 2",
    };
    let mut found = Vec::new();
    let mut lacking = Vec::new();
    for (controller, tried) in tries {
        match tried {
            Ok(own) => found.push(format!("`--{}` by {}", flag(controller), of(own.version))),
            Err(why) => lacking.push(format!("no `--{}`: {why}", flag(controller))),
        }
    }
    if lacking.is_empty() {
        let text = format!("control groups: {}", found.join(", "));
        diagnosis.add("limits", Status::Ok, text);
    } else {
        let help = if isolation.rootless { FOR_USERS } else { FOR_ROOT };
        diagnosis.add("limits", Status::Missing, lacking.join("; ")).help = Some(help.into());
    }
}

const FOR_USERS: &str = "a user has groups of its own where the machine runs with cgroup version 2 \
    and systemd hands them on: start rbuild by `systemd-run --user --scope -p Delegate=yes`";

const FOR_ROOT: &str = "mount the control groups where this process can write to them: \
    `mount -t cgroup2 none /sys/fs/cgroup`, in a container start that with `--privileged`";

fn flag(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => "memory",
        Controller::Cpu => "cpus",
    }
}
