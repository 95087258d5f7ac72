//! The kinds of hardware that ONNX Runtime can use, best first: to add one, add a variant and its provider.

use std::{fmt, path::Path, str::FromStr};

use ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// NVIDIA, with compiled engines.
    TensorRt,
    /// NVIDIA.
    Cuda,
    /// Any GPU on Windows.
    DirectMl,
    /// Apple's GPU and neural engine.
    CoreMl,
    /// Any GPU, through Vulkan, Metal or Direct3D 12.
    WebGpu,
    /// The processor.
    Cpu,
}

impl Device {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 6] =
        [Self::TensorRt, Self::Cuda, Self::DirectMl, Self::CoreMl, Self::WebGpu, Self::Cpu];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TensorRt => "tensorrt",
            Self::Cuda => "cuda",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
            Self::WebGpu => "webgpu",
            Self::Cpu => "cpu",
        }
    }

    /// Whether it is anything but the processor.
    pub const fn is_gpu(self) -> bool {
        !matches!(self, Self::Cpu)
    }

    /// Why it need not be tried here; software that only plays a GPU is slower than the processor itself.
    pub(super) fn obstacle(self) -> Option<&'static str> {
        let is_linux = cfg!(target_os = "linux");
        let has = |paths: &[&str]| paths.iter().any(|path| Path::new(path).exists());
        match self {
            Self::WebGpu if is_linux && !has(&["/dev/dri/renderD128", "/dev/nvidia0", "/dev/dxg"]) => {
                Some("this machine shows no GPU (/dev/dri, /dev/nvidia0)")
            }
            _ => None,
        }
    }

    /// What ONNX Runtime is asked for; none for the processor, which is always there.
    pub(super) fn provider(self) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            Self::TensorRt => ep::TensorRT::default().build(),
            Self::Cuda => ep::CUDA::default().build(),
            Self::DirectMl => ep::DirectML::default().build(),
            Self::CoreMl => ep::CoreML::default().build(),
            Self::WebGpu => ep::WebGPU::default().build(),
            Self::Cpu => return None,
        };
        Some(provider.error_on_failure())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no device.
#[derive(Debug, thiserror::Error)]
#[error("there is no device '{0}'; it is one of tensorrt, cuda, directml, coreml, webgpu, cpu")]
pub struct UnknownDevice(String);

impl FromStr for Device {
    type Err = UnknownDevice;
    fn from_str(word: &str) -> Result<Self, UnknownDevice> {
        Self::ALL.into_iter().find(|d| d.name() == word).ok_or_else(|| UnknownDevice(word.to_owned()))
    }
}
