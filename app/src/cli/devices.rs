//! `segue devices`: what there is to run models on.

use clap::Args;
use engine::nn::{Device, Runtime, runtime};

use super::say;

/// Show what models can run on here, and why not on the rest
#[derive(Args)]
pub(crate) struct Devices {}

impl Devices {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let runtime = Runtime::start(None, None)?;
        say(format_args!("ONNX Runtime {}: {}", runtime::VERSION, runtime.library().display()))?;
        for device in Device::ALL {
            let state = if device == runtime.device() {
                "used".to_owned()
            } else {
                runtime
                    .check_device(device)
                    .map_or_else(|cause| format!("no: {cause}"), |()| "works".to_owned())
            };
            say(format_args!("{:9} {state}", device.name()))?;
        }
        Ok(())
    }
}
