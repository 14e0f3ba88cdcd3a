//! Standard input for calls that end in order: where nobody writes, reading would wait for ever.

use std::io::{self, Read};

use rbuild_solver::worker::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How often it is looked whether the call is over: not noticeable to a person.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Standard input, unbuffered, until the call is cancelled: then reading fails.
pub struct Stdin<'a>(pub &'a Cancel);

impl Read for Stdin<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let input = rustix::stdio::stdin();
        while !self.0.is_cancelled() {
            match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&TICK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::read(input, space)?),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::Error::other("interrupted"))
    }
}
