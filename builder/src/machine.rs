//! What the machine gives this process: the control groups it is in, and the memory that is left.
//!
//! Found out once, from `/proc` and the control groups' file systems. What is done with it (limits
//! of steps, how many run at once) is decided elsewhere.

pub mod cgroup;
pub mod memory;

pub use memory::Memory;
