//! Which setting of the host stands in the way of a user namespace.

use rustix::io::Errno;

use super::EnterError;

/// The settings that matter, as they are on this host. None: this kernel has no such setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `user.max_user_namespaces`
    pub max_user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone`
    pub unprivileged_userns_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`
    pub apparmor_restrict: Option<u64>,
    /// The seccomp mode of this process: 2 is a filter.
    pub seccomp: Option<u64>,
}

impl Settings {
    fn read() -> Settings {
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Settings {
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            seccomp: seccomp.and_then(|mode| mode.trim().parse().ok()),
        }
    }
}

/// The kernel refused to make a user namespace.
pub fn refused(errno: Errno) -> EnterError {
    explain(errno, &Settings::read())
}

/// The user namespace is there, but gives no rights in it.
pub fn powerless(errno: Errno) -> EnterError {
    let settings = Settings::read();
    match settings.apparmor_restrict {
        Some(1) => explain(Errno::PERM, &settings),
        _ => EnterError::Users {
            reason: format!("it gives no rights ({errno})"),
            help: "a security module (AppArmor, SELinux) or the container around this process \
                   restricts user namespaces; allow them for this program"
                .into(),
        },
    }
}

/// The reason behind an error number, given the settings.
pub fn explain(errno: Errno, settings: &Settings) -> EnterError {
    let (reason, help) = match (errno, settings) {
        (_, Settings { max_user_namespaces: Some(0), .. }) => (
            "user.max_user_namespaces is 0".into(),
            "as root: sysctl -w user.max_user_namespaces=65536",
        ),
        (Errno::NOSPC, _) => (
            "the limit user.max_user_namespaces is reached".into(),
            "as root: sysctl -w user.max_user_namespaces=65536",
        ),
        (_, Settings { unprivileged_userns_clone: Some(0), .. }) => (
            "kernel.unprivileged_userns_clone is 0".into(),
            "as root: sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (_, Settings { apparmor_restrict: Some(1), .. }) => (
            "kernel.apparmor_restrict_unprivileged_userns is 1".into(),
            "give rbuild an AppArmor profile with the rule `userns,`, or as root: \
             sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (Errno::PERM | Errno::NOSYS, Settings { seccomp: Some(2), .. }) => (
            "the seccomp profile of the container around this process forbids it".into(),
            "start that container with --security-opt seccomp=unconfined (kubernetes: \
             seccompProfile type Unconfined), or with --privileged",
        ),
        (Errno::USERS, _) => (
            "user namespaces are nested too deeply".into(),
            "run rbuild in fewer containers within containers",
        ),
        (Errno::INVAL | Errno::NOSYS, _) => (
            "this kernel has no user namespaces (CONFIG_USER_NS)".into(),
            "run rbuild as root, or with another kernel",
        ),
        (errno, _) => (
            errno.to_string(),
            "run rbuild as root, or allow user namespaces to ordinary users; inside a chroot \
             they are never possible",
        ),
    };
    EnterError::Users { reason, help: help.into() }
}
