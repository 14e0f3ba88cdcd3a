//! The system calls that no safe wrapper covers: the only unsafe code of the project.
//!
//! Each function is a thin, safe face of one call and decides nothing. What can be had safely from
//! `rustix` does not belong here.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::wire::Exited;

/// Which of the two processes returned from [`clone_process`].
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with a descriptor that is readable when the new one ends.
    Parent(OwnedFd),
}

/// New namespaces: the kernel's `CLONE_NEW*` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces(pub i32);

impl Namespaces {
    /// What every step has: mounts, processes, System V IPC, host name and cgroup root.
    pub const STEP: Namespaces = Namespaces(
        libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP,
    );
    /// A network of its own.
    pub const NETWORK: Namespaces = Namespaces(libc::CLONE_NEWNET);
    /// Processes of its own: all of them end with the first.
    pub const PROCESSES: Namespaces = Namespaces(libc::CLONE_NEWPID);
    /// Mounts of its own.
    pub const MOUNTS: Namespaces = Namespaces(libc::CLONE_NEWNS);
    /// User and group ids of its own.
    pub const USERS: Namespaces = Namespaces(libc::CLONE_NEWUSER);

    /// Both.
    pub const fn and(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
}

fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}

/// Forks into new namespaces. Call it in a process with a single thread only: the child may then
/// use everything the parent could, the allocator too.
pub fn clone_process(namespaces: Namespaces) -> Result<Forked, Errno> {
    let mut pidfd: RawFd = -1;
    let args = libc::clone_args {
        flags: (namespaces.0 | libc::CLONE_PIDFD) as u64,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: without CLONE_VM the child has a copy of the whole address space, so nothing is
    // shared with the parent; `args` and `pidfd` outlive the call; the caller has one thread, so
    // no lock of the allocator is held by a thread that the child lacks.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: the kernel wrote a new descriptor there, which nobody else owns.
    Ok(Forked::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Waits for the end of a child and tells how it ended and what it used, those of its own children
/// included that it waited for (`getrusage(2)`).
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exited, Errno> {
    // SAFETY: both are plain structures of numbers, for which all zero is a value.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes to the two structures, which outlive the call, and reads nothing.
    // By system call, because the C library's function has no place for the usage.
    check(unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            &raw mut info,
            libc::WEXITED,
            &raw mut usage,
        )
    })?;
    // SAFETY: `waitid` fills the fields of a child's end.
    let status = unsafe { info.si_status() };
    let (code, signal) = match info.si_code {
        libc::CLD_EXITED => (status, None),
        _ => (0, Some(status)),
    };
    let peak = u64::try_from(usage.ru_maxrss).ok().map(|kibibytes| kibibytes << 10);
    Ok(Exited { code, signal, peak })
}

/// Moves this process into new namespaces. Call it in a process with a single thread only.
pub fn unshare(namespaces: Namespaces) -> Result<(), Errno> {
    // SAFETY: the flags name namespaces only, never the descriptor table or memory, so no other
    // part of the program loses anything it holds.
    check(unsafe { libc::unshare(namespaces.0) }.into()).map(drop)
}

/// Ends this process without running anything that the parent registered for its own end.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Lets this process be there and do nothing, until something ends it.
pub fn wait_forever() -> ! {
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}

/// Sets and clears attributes of a mount; `deep` includes the mounts below it.
pub fn mount_setattr(mount: impl AsFd, set: u64, deep: Depth) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = match deep {
        Depth::One => libc::AT_EMPTY_PATH,
        Depth::Recursive => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    // SAFETY: the path is a NUL-terminated literal, `attr` outlives the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Whether mounts below are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// This mount only.
    One,
    /// With all below.
    Recursive,
}

/// Closes every descriptor from `first` on when this process executes another program.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: marking descriptors does not close them, so no owner in this program is surprised.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// Gives every signal its default meaning and blocks none.
pub fn reset_signals() {
    // The kernel's own structure: handler, flags, restorer and mask, all zero for the default.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_SIZE: usize = 8;
    for signal in 1..=64 {
        // SAFETY: the default disposition runs no code of ours, the structure is as large as the
        // kernel's and outlives the call. By system call, because the C library keeps two signals
        // to itself. Signals that cannot be changed answer with an error, which is wanted.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                std::ptr::null_mut::<u64>(),
                MASK_SIZE,
            )
        };
    }
    // SAFETY: an all-zero set is a valid set, `sigemptyset` fills it before it is used, and a null
    // old set is allowed.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Executes a program in this process. Returns only if that failed.
pub fn execve(program: &CStr, args: &[CString], env: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer and point at NUL-terminated strings that live
    // until the call returns.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The socket that the server got as its standard input. Call it once.
pub fn take_stdin() -> OwnedFd {
    // SAFETY: the server is a process of its own that never uses its standard input otherwise.
    unsafe { rustix::stdio::take_stdin() }
}

/// One instruction of a seccomp program, laid out as the kernel reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// And if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// Filters the system calls of this process and its children from here on. Needs `CAP_SYS_ADMIN`,
/// because `no_new_privs` stays off: `sudo` works in a step.
pub fn install_seccomp(program: &[Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of `sock_filter`, the kernel only reads the program,
    // and both live until the call returns.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter)
    })
    .map(drop)
}

/// Leaves the session keyring of the user for a new, empty one.
pub fn new_session_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read through it.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    })
    .map(drop)
}

/// Switches the loopback device of this network namespace on.
pub fn loopback_up(socket: impl AsFd) -> Result<(), Errno> {
    // SAFETY: an all-zero request is valid; name and flags are set below.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: SIOCSIFFLAGS reads a name and flags from an `ifreq`, which outlives the call.
    check(
        unsafe {
            libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
        }
        .into(),
    )
    .map(drop)
}

/// Lets tests do in their own process what `main` does first in the program's.
#[cfg(test)]
mod before_tests {
    extern "C" fn first() {
        super::super::tests::first_thing();
    }

    // SAFETY: the C library calls what is listed there before `main`, with the signature of
    // `first`, which does not depend on anything that `main` sets up.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static FIRST: extern "C" fn() = first;
}
