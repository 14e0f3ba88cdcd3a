//! Devices by their CDI name.
//!
//! There is no support for them: a step that can do without a device runs without it, as where the
//! machine has none of that name; a step that cannot is refused.

use rbuild_solver::op::mount::{Device, Need};

/// Why a step does not get a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It cannot do without.
    #[error("the step needs the device `{0}`, and this rbuild gives no devices to steps")]
    Unsupported(String),
}

impl DeviceError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        None
    }
}

/// Fails if the step cannot do without the device.
pub fn check(device: &Device) -> Result<(), DeviceError> {
    match device.need {
        Need::Optional => Ok(()),
        Need::Required => Err(DeviceError::Unsupported(device.name.clone())),
    }
}
