//! Devices by their CDI name.
//!
//! There is no support for them: a step that can do without a device runs without it, as where the
//! machine has none of that name, and the user is told; a step that cannot is refused.

use rbuild_solver::op::mount::{Device, Need};

/// Why a step does not get a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It cannot do without.
    #[error("the step needs the device `{0}`, and this rbuild gives no devices to steps")]
    Unsupported(String),
}

/// What the user should know of a device that a step can do without.
pub fn left_out(device: &Device) -> Result<String, DeviceError> {
    match device.need {
        Need::Optional => Ok(format!(
            "the step runs without the device `{}`: none are given to steps",
            device.name
        )),
        Need::Required => Err(DeviceError::Unsupported(device.name.clone())),
    }
}
