//! The kinds of hardware that ONNX Runtime can use, best first: to add one, add a variant and its provider.

use std::{fmt, path::Path, str::FromStr};

use ort::{
    ep::{self, ExecutionProviderDispatch},
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
};
use serde::{Deserialize, Serialize};

use crate::file::user_folders;

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
    /// All of them, in the order in which they are tried. TensorRT compiles for minutes, again for each number of memories,
    /// so that it is for those who ask for it.
    pub const ALL: [Self; 6] =
        [Self::Cuda, Self::TensorRt, Self::DirectMl, Self::CoreMl, Self::WebGpu, Self::Cpu];

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

    /// Whether two models must not run on it at the same time: ONNX Runtime's WebGPU has one queue for all.
    pub(super) const fn takes_turns(self) -> bool {
        !matches!(self, Self::TensorRt | Self::Cuda | Self::Cpu)
    }

    /// Why it need not be tried here with this library of ONNX Runtime; software that only plays a GPU is slower than the
    /// processor itself.
    pub(super) fn obstacle(self, library: &Path) -> Option<String> {
        let is_linux = cfg!(target_os = "linux");
        match self {
            Self::WebGpu if is_linux && !has(&["/dev/dri/renderD128", "/dev/nvidia0", "/dev/dxg"]) => {
                Some("this machine shows no GPU (/dev/dri, /dev/nvidia0)".to_owned())
            }
            Self::Cuda | Self::TensorRt if is_linux => why_no_cuda().or_else(|| {
                let has_cuda = library.with_file_name("libonnxruntime_providers_cuda.so").is_file();
                (!has_cuda).then(|| "this ONNX Runtime has no CUDA; `make cuda` gets one that has".to_owned())
            }),
            _ => None,
        }
    }

    /// Its memory, where models can leave what they make for each other; none where that is the processor's.
    pub(super) fn memory(self) -> Option<MemoryInfo<'static>> {
        let device = match self {
            Self::TensorRt | Self::Cuda => AllocationDevice::CUDA,
            Self::DirectMl => AllocationDevice::DIRECTML,
            Self::WebGpu => AllocationDevice::WEBGPU_BUFFER,
            Self::CoreMl | Self::Cpu => return None,
        };
        // If there is no such memory, it is brought to the processor's.
        MemoryInfo::new(device, 0, AllocatorType::Device, MemoryType::Default).ok()
    }

    /// The hardware behind it and its driver, where the system tells.
    pub fn hardware(self) -> Option<String> {
        let text = |path: &Path| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
        match self {
            Self::Cpu => {
                let info = text(Path::new("/proc/cpuinfo"))?;
                let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
                model.map(|(_, model)| model.to_owned())
            }
            Self::TensorRt | Self::Cuda => nvidia(),
            Self::WebGpu => nvidia().or_else(|| {
                let card = Path::new("/sys/class/drm/renderD128/device");
                let [vendor, device] = ["vendor", "device"].map(|file| text(&card.join(file)));
                let vendor = match vendor?.as_str() {
                    "0x1002" => "AMD".to_owned(),
                    "0x8086" => "Intel".to_owned(),
                    "0x10de" => "NVIDIA".to_owned(),
                    other => other.to_owned(),
                };
                Some(format!("{vendor} {}", device?))
            }),
            Self::DirectMl | Self::CoreMl => None,
        }
    }

    /// What ONNX Runtime is asked for; none for the processor, which is always there.
    pub(super) fn provider(self) -> Option<ExecutionProviderDispatch> {
        // Where what a device makes of a model is kept, so that it makes it once.
        let cache =
            user_folders().map(|dirs| dirs.cache_dir().join(self.name()).to_string_lossy().into_owned());
        let provider = match (self, cache) {
            (Self::TensorRt, Some(cache)) => ep::TensorRT::default()
                .with_engine_cache(true)
                .with_engine_cache_path(&cache)
                .with_timing_cache(true)
                .with_timing_cache_path(&cache)
                .with_fp16(true)
                .build(),
            (Self::TensorRt, None) => ep::TensorRT::default().build(),
            // Trying all ways to convolve takes longer than they save: each shape is met once a model.
            (Self::Cuda, _) => ep::CUDA::default()
                .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                .build(),
            (Self::DirectMl, _) => ep::DirectML::default().build(),
            (Self::CoreMl, Some(cache)) => ep::CoreML::default().with_model_cache_dir(cache).build(),
            (Self::CoreMl, None) => ep::CoreML::default().build(),
            (Self::WebGpu, _) => ep::WebGPU::default().build(),
            (Self::Cpu, _) => return None,
        };
        Some(provider.error_on_failure())
    }
}

/// Whether any of these is there.
fn has(paths: &[&str]) -> bool {
    paths.iter().any(|path| Path::new(path).exists())
}

/// Why no ONNX Runtime can use CUDA here.
pub(super) fn why_no_cuda() -> Option<String> {
    if !has(&["/dev/nvidia0", "/dev/dxg"]) {
        return Some("this machine shows no NVIDIA card (/dev/nvidia0)".to_owned());
    }
    let driver = nvidia_driver()?;
    let is_old = driver.split('.').next()?.parse::<u32>().ok()? < CUDA_DRIVER;
    is_old.then(|| format!("NVIDIA's driver is {driver}, and CUDA 13 needs {CUDA_DRIVER} or later"))
}

/// The first release of NVIDIA's driver that has CUDA 13.
const CUDA_DRIVER: u32 = 580;

/// The first NVIDIA card and its driver's version, as Linux's driver tells them.
fn nvidia() -> Option<String> {
    let cards = std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?;
    let about = std::fs::read_to_string(cards.flatten().next()?.path().join("information")).ok()?;
    let model = about.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned();
    Some(model + &nvidia_driver().map_or_else(String::new, |version| format!(", driver {version}")))
}

fn nvidia_driver() -> Option<String> {
    let version = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    version.split_whitespace().find(is_version).map(str::to_owned)
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
