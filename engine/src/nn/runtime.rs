//! ONNX Runtime: its library, the device that models run on, and ending what runs.

mod library;
pub(super) mod there;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ort::{
    AsPointer as _,
    environment::{Environment, GlobalThreadPoolOptions},
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::RunOptions,
};

use super::{
    checkpoint::CheckpointError,
    device::Device,
    graph::{Dim, Graph},
    model::Model,
    ops::Attention,
    remote::{RemoteError, Server},
    tensor::Tensor,
    trust,
};

/// The release of ONNX Runtime that `packaging/fetch_runtime.py` gets.
pub const VERSION: &str = "1.27.0";

/// Why a model does not load or run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No library where it could be.
    #[error("cannot find ONNX Runtime {VERSION}; `make setup` gets it; looked for {}", list(.0))]
    NoLibrary(Vec<PathBuf>),
    /// The library cannot be used.
    #[error("cannot load ONNX Runtime: {cause}: {}", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// The device that was asked for does not work.
    #[error("cannot run on {device}: {cause}; `segue devices` lists what works here")]
    Device {
        /// What was asked for.
        device: Device,
        /// What ONNX Runtime says.
        cause: String,
    },
    /// The weights do not fit the graph.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// ONNX Runtime refuses.
    #[error("ONNX Runtime cannot {what}: {cause}")]
    Ort {
        /// The step.
        what: String,
        /// What ONNX Runtime says.
        cause: ort::Error,
    },
    /// The server does not do it.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// It has not ended in time.
    #[error("{name} did not finish within {seconds} s; it may contain an endless loop")]
    TooSlow {
        /// The name of the model.
        name: String,
        /// The time.
        seconds: u64,
    },
    /// Its [`Cancel`] was used.
    #[error("canceled")]
    Canceled,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl RuntimeError {
    #[cfg(test)]
    pub(crate) fn out_of_memory() -> Self {
        Self::Ort { what: "run".to_owned(), cause: ort::Error::new("out of memory") }
    }

    /// What happened, without where in ONNX Runtime it did.
    pub(super) fn brief(self) -> String {
        match self {
            Self::Ort { cause, .. } => last_sentence(cause.message()).to_owned(),
            error => error.to_string(),
        }
    }
}

pub(super) fn ort_error<R>(what: impl Into<String>) -> impl FnOnce(ort::Error<R>) -> RuntimeError {
    let what = what.into();
    |error| RuntimeError::Ort { what, cause: ort::Error::new(error.message()) }
}

/// The loaded library, and the device or server that models run on; a clone is the same one.
#[derive(Clone)]
pub struct Runtime {
    library: PathBuf,
    environment: Environment,
    device: Device,
    attention: Attention,
    /// Whether the device was asked for by name.
    is_forced: bool,
    server: Option<Arc<Server>>,
}

impl Runtime {
    /// Loads the library; uses `device`, or without one the best that works.
    ///
    /// `n_threads` is for the processor, by default all of it; only a process's first start can choose.
    ///
    /// # Errors
    /// If there is no library, or `device` does not work.
    pub fn start(device: Option<Device>, n_threads: Option<usize>) -> Result<Self, RuntimeError> {
        let (library, environment) = environment(n_threads)?;
        let mut runtime = Self {
            library,
            environment,
            device: Device::Cpu,
            attention: Attention::Fused,
            is_forced: device.is_some(),
            server: None,
        };
        (runtime.device, runtime.attention) = match device {
            Some(device) => {
                let tried = runtime.try_device(device);
                (device, tried.map_err(|cause| RuntimeError::Device { device, cause })?)
            }
            None => {
                let works = |device| Some((device, runtime.try_best(device).ok()?));
                Device::ALL.into_iter().find_map(works).unwrap_or((Device::Cpu, Attention::Fused))
            }
        };
        Ok(runtime)
    }

    /// What models run on that run here.
    pub fn device(&self) -> Device {
        self.device
    }

    /// A model does not run on the device, which is an error if that was asked for.
    pub(super) fn gave_up(&self, model: &str, cause: String) -> Result<(), RuntimeError> {
        let device = self.device;
        if self.is_forced {
            return Err(RuntimeError::Device { device, cause: format!("{model}: {cause}") });
        }
        remark(format!("{model} is not right on {device}: {cause}; it runs on the processor instead"));
        Ok(())
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref()
    }

    pub(super) fn attention(&self) -> Attention {
        self.attention
    }

    /// Whether attention needs a matrix of what each sees of each here.
    pub fn spells_attention_out(&self) -> bool {
        self.attention == Attention::Plain
    }

    /// The library in use.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Whether `device` would be used if it were the best.
    ///
    /// # Errors
    /// Why not, in one line.
    pub fn check_device(&self, device: Device) -> Result<(), String> {
        self.try_best(device).map(|_| ())
    }

    fn try_best(&self, device: Device) -> Result<Attention, String> {
        device.obstacle(&self.library).map_or_else(|| self.try_device(device), Err)
    }

    /// Whether a tiny model runs on `device` and makes what the processor makes, and with attention written how.
    fn try_device(&self, device: Device) -> Result<Attention, String> {
        let reference = self.trial(Device::Cpu, Attention::Fused)?;
        if device == Device::Cpu {
            return Ok(Attention::Fused);
        }
        // ONNX Runtime 1.27's attention is wrong on CUDA where values are narrower than keys, and on WebGPU where a GPU runs
        // fewer than eight threads in step.
        for attention in Attention::ALL {
            let result = self.trial(device, attention)?;
            if result.iter().zip(&reference).all(|(ours, wanted)| trust::off(ours, wanted) < TRIAL_TOLERANCE)
            {
                return Ok(attention);
            }
        }
        Err("it computes wrongly".to_owned())
    }

    /// What a tiny model makes on `device`.
    fn trial(&self, device: Device, attention: Attention) -> Result<Vec<Vec<f32>>, String> {
        const SHAPE: [usize; 3] = [1, 256, 96];
        let mut graph = Graph::new("trial");
        let x = graph.input("x", &SHAPE.map(Dim::Fixed));
        let narrow = graph.slice(&x, 2, 0..32);
        let short = graph.slice(&narrow, 1, 0..24);
        for (name, q, v, n_heads) in
            [("long", &x, &x, 2), ("narrow", &x, &narrow, 1), ("short", &short, &short, 2)]
        {
            let mixed = graph.attention(q, q, v, n_heads);
            graph.output(name, &mixed);
        }
        let run = || {
            let mut model = Model::load_untried(self, device, attention, graph)?;
            let values = (0..SHAPE.iter().product()).map(|i: usize| (i as f32 * 0.7).sin() * 2.0).collect();
            let x = Tensor::from_floats(&SHAPE, values)?;
            let outputs = model.run(&[("x", &x)], &Cancel::default())?;
            Ok(outputs.iter().map(|output| output.floats().to_vec()).collect())
        };
        run().map_err(RuntimeError::brief)
    }

    /// A tensor of the device's memory on the processor.
    pub(super) fn fetch(&self, tensor: &Tensor) -> Result<Tensor, RuntimeError> {
        if tensor.is_on_processor() {
            return Ok(tensor.clone());
        }
        let shape: Vec<Dim> = tensor.shape().into_iter().map(Dim::Fixed).collect();
        let mut graph = Graph::new("copy");
        let x = graph.input("x", &shape);
        graph.output("y", &x);
        let mut model = Model::load_untried(self, self.device, self.attention, graph)?;
        Ok(model.run(&[("x", tensor)], &Cancel::default())?.remove(0))
    }
}

/// [`trust::off`] of a device that computes rightly: it may multiply with the ten bits of TF32.
const TRIAL_TOLERANCE: f32 = 2e-3;

static REMARKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Why models of this process run elsewhere than on their runtime's device, or in smaller batches, one sentence each, since
/// the last time that they were loaded anew.
pub fn remarks() -> Vec<String> {
    REMARKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Before models are loaded anew, which may run where they did not before.
pub(crate) fn forget_remarks() {
    REMARKS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Adds a sentence to [`remarks`].
pub(crate) fn remark(sentence: String) {
    let mut remarks = REMARKS.lock().unwrap_or_else(PoisonError::into_inner);
    if !remarks.contains(&sentence) {
        remarks.push(sentence);
    }
}

/// The library's one environment, and where the library is.
fn environment(n_threads: Option<usize>) -> Result<(PathBuf, Environment), RuntimeError> {
    // A process may have one, and it is never freed: after a search for a GPU that found none, ONNX Runtime 1.27
    // crashes when it is.
    static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);
    let mut started = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(started) = &*started {
        return Ok(started.clone());
    }
    let path = library::find()?;
    let library_error = |cause: String| RuntimeError::Library { path: path.clone(), cause };
    // Nothing else looks for them beside the library. What is then missing is said where a device is tried.
    if let Some(folder) = library::cuda_folder(&path) {
        ort::ep::cuda::preload_dylibs(Some(folder), Some(folder)).ok();
    }
    // This loads the library: nothing of `ort` works before it.
    let builder = ort::init_from(&path).map_err(|e| library_error(e.to_string()))?;
    // One pool for all models: their own pools would spin against each other.
    let n_threads = n_threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let threads = GlobalThreadPoolOptions::default()
        .with_intra_threads(n_threads.unwrap_or(1))
        .map_err(ort_error("start its threads"))?;
    let environment = builder
        .with_name("segue")
        .with_telemetry(false)
        .with_global_thread_pool(threads)
        .build()
        .map_err(|e| library_error(e.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    share_memory(&environment).map_err(ort_error("set up its memory"))?;
    Ok(started.insert((path, environment)).clone())
}

/// Lets all models use the same memory for what they compute: they run in turns, and each would keep its own peak.
#[expect(unsafe_code, reason = "ort has no call for it")]
fn share_memory(environment: &Environment) -> ort::Result<()> {
    const GROW_AS_REQUESTED: std::ffi::c_int = 1;
    const DEFAULT: std::ffi::c_int = -1;
    let info = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let api = ort::api();
    let mut arena = std::ptr::null_mut();
    // SAFETY: the environment and `info` are valid for the calls, which copy what they are given; `arena` is made by
    // the first and released once.
    unsafe {
        let made = (api.CreateArenaCfg)(0, GROW_AS_REQUESTED, DEFAULT, DEFAULT, &raw mut arena);
        ort::Error::result_from_status(made)?;
        let registered =
            (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), info.ptr(), arena.cast_const());
        (api.ReleaseArenaCfg)(arena);
        ort::Error::result_from_status(registered)
    }
}

/// ONNX Runtime puts the place in its own source first and what happened last.
fn last_sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    [" was false. ", " : "]
        .iter()
        .fold(line, |line, mark| line.rsplit_once(mark).map_or(line, |(_, last)| last))
}

/// Ends what runs under it: set once, never cleared.
#[derive(Clone, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Default)]
struct CancelState {
    canceled: AtomicBool,
    running: Mutex<Option<Arc<RunOptions>>>,
}

impl Cancel {
    /// Ends the run in progress and every later one.
    pub fn cancel(&self) {
        self.0.canceled.store(true, Ordering::SeqCst);
        if let Some(options) = &*self.0.running.lock().unwrap_or_else(PoisonError::into_inner) {
            // A run that cannot be ended early ends by itself soon after.
            options.terminate().ok();
        }
    }

    /// Whether [`Self::cancel`] was called.
    pub fn is_canceled(&self) -> bool {
        self.0.canceled.load(Ordering::SeqCst)
    }

    pub(super) fn set_running(&self, options: Option<Arc<RunOptions>>) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}
