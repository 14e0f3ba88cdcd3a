//! From root with everything to the image's user with Docker's fourteen capabilities.

use rbuild_solver::op::Security;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::error::Failure;
use super::user::User;
use super::wire::Ids;

/// What root in a step may do.
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Takes everything else away from whatever is executed from here on, set-user-id programs too.
pub fn limit_bounding_set() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if DEFAULT.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Changes the ids of this process. The kernel takes the capabilities of who stops being root.
pub fn become_user(user: &User, ids: Ids) -> Result<(), Failure> {
    match ids {
        Ids::Full => set_groups(user)?,
        Ids::Single if user.uid == 0 && user.gid == 0 => return Ok(()),
        Ids::Single => return Err(not_mapped(user)),
    }
    let gid = rustix::process::Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|e| unmapped(user, e, "group"))?;
    let uid = rustix::process::Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|e| unmapped(user, e, "user"))
}

/// Leaves to root what is its due and nothing to others, and nothing to inherit.
pub fn keep(security: Security, user: &User) -> Result<(), Errno> {
    let kept = match (user.uid, security) {
        (0, Security::Confined) => DEFAULT,
        (0, Security::Insecure) => rustix::thread::capabilities(None)?.permitted,
        _ => CapabilitySet::empty(),
    };
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::clear_ambient_capability_set()
}

fn set_groups(user: &User) -> Result<(), Failure> {
    let groups: Vec<_> = user.groups.iter().map(|g| rustix::process::Gid::from_raw(*g)).collect();
    rustix::thread::set_thread_groups(&groups).map_err(|errno| unmapped(user, errno, "groups"))
}

fn unmapped(user: &User, errno: Errno, what: &str) -> Failure {
    match errno {
        Errno::INVAL => not_mapped(user),
        errno => Failure::setup(format!("set the {what} of the step"), errno),
    }
}

fn not_mapped(user: &User) -> Failure {
    Failure::User {
        user: format!("{}:{}", user.uid, user.gid),
        reason: "this id does not exist in the user namespace of the build".into(),
        help: Some(
            "an ordinary user needs a range of 65536 ids in /etc/subuid and /etc/subgid, and \
             newuidmap and newgidmap (package uidmap)"
                .into(),
        ),
    }
}
