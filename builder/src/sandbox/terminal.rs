//! A terminal for a step: made inside the sandbox, joined to this process's own outside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

use super::error::{Doing, Failure};
use super::target;
use super::wire::{self, Report};

/// Makes a terminal in the sandbox's own `/dev/pts`, takes it as the controlling one and gives the
/// other end to the caller. The sandbox's, so that the step finds its name and nothing of the
/// host's terminal is within reach.
pub fn open_inside(
    root: BorrowedFd<'_>,
    report: &OwnedFd,
    rows: u16,
    columns: u16,
) -> Result<OwnedFd, Failure> {
    let doing = || "make a terminal for the step";
    let master =
        target::open_in(root, "dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY).doing(doing)?;
    rustix::pty::unlockpt(&master).doing(doing)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).doing(doing)?;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).doing(doing)?;
    rustix::process::ioctl_tiocsctty(&slave).doing(doing)?;
    mount_console(root).doing(|| "make `/dev/console`")?;
    wire::report(report, &Report::Terminal, &[master.as_fd()]).doing(doing)?;
    Ok(slave)
}

/// The terminal is the first of its file system, hence its name.
fn mount_console(root: BorrowedFd<'_>) -> Result<(), Errno> {
    let terminals = target::open_in(root, "dev/pts", OFlags::PATH | OFlags::DIRECTORY)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let terminal = open_tree(&terminals, "0", flags)?;
    let devices = target::open_in(root, "dev", OFlags::PATH | OFlags::DIRECTORY)?;
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let console = rustix::fs::openat(&devices, "console", path, Mode::empty())?;
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(terminal.as_fd(), "", console.as_fd(), "", empty)
}

/// This process's terminal while a step uses it: every key goes through as it is. Dropping it
/// restores what was before.
pub struct Outside {
    before: Option<Termios>,
    size: (u16, u16),
    /// What was typed and the step's terminal has not taken yet.
    typed: Vec<u8>,
    /// Whether more can be typed.
    open: bool,
}

impl Outside {
    /// Switches the terminal at standard input, if it is one.
    pub fn enter() -> Outside {
        let input = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(input).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = rustix::termios::tcsetattr(input, OptionalActions::Now, &raw);
        }
        Outside { before, size: size(), typed: Vec::new(), open: true }
    }

    /// Whether standard input is worth waiting for: not before what was typed is taken.
    pub fn wants_input(&self) -> bool {
        self.open && self.typed.is_empty()
    }

    /// Whether something waits to be taken.
    pub fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    /// Reads what was typed.
    pub fn read_input(&mut self) {
        let mut buffer = [0; 4096];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => self.open = false,
            Ok(count) => self.typed.extend(&buffer[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.open = false,
        }
    }

    /// Gives the step's terminal as much as it takes.
    pub fn pass_on(&mut self, terminal: BorrowedFd<'_>) {
        if let Ok(count) = rustix::io::write(terminal, &self.typed) {
            self.typed.drain(..count);
        }
    }

    /// Tells the step's terminal when the window has changed its size.
    pub fn follow_size(&mut self, terminal: BorrowedFd<'_>) {
        let now = size();
        if now != self.size {
            self.size = now;
            let size = Winsize { ws_row: now.0, ws_col: now.1, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(terminal, size);
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let input = rustix::stdio::stdin();
            let _ = rustix::termios::tcsetattr(input, OptionalActions::Drain, before);
        }
    }
}

/// Rows and columns of this process's terminal; the traditional size if it has none.
pub fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}
