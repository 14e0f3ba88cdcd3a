//! What the user gives to a build by name and nobody else may see: secrets, and agents that hold
//! keys. Steps mount them, and what comes from elsewhere is asked for with them.
//!
//! Who is given what is decided by those who use it; here is only how it is read.

pub mod agent;
pub mod secrets;

use agent::Agents;
use secrets::Secrets;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Secrets.
    pub secrets: Secrets,
    /// Agents.
    pub agents: Agents,
}
