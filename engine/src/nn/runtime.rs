//! ONNX Runtime: its library, the device it runs on, and models to run.

mod there;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ort::{
    AsPointer as _,
    environment::{Environment, GlobalThreadPoolOptions},
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{RunOptions, Session, SessionInputValue},
    value::DynValue,
};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    device::Device,
    graph::{Dim, Graph},
    remote::{RemoteError, RemoteModel, Server},
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
    /// Its [`Cancel`] was used.
    #[error("canceled")]
    Canceled,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn ort_error<R>(what: impl Into<String>) -> impl FnOnce(ort::Error<R>) -> RuntimeError {
    let what = what.into();
    |error| RuntimeError::Ort { what, cause: ort::Error::new(error.message()) }
}

/// The loaded library, and the device or server that models run on.
pub struct Runtime {
    library: PathBuf,
    environment: Environment,
    device: Device,
    attention: Attention,
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
        let attention = Attention::Fused;
        let processor = Self { library, environment, device: Device::Cpu, attention, server: None };
        let (device, attention) = match device {
            Some(device) => {
                let tried = processor.try_device(device);
                (device, tried.map_err(|cause| RuntimeError::Device { device, cause })?)
            }
            None => {
                let works = |device| Some((device, processor.try_best(device).ok()?));
                Device::ALL.into_iter().find_map(works).unwrap_or((Device::Cpu, Attention::Fused))
            }
        };
        Ok(Self { device, attention, ..processor })
    }

    /// What models run on that run here.
    pub fn device(&self) -> Device {
        self.device
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
        device.obstacle().map_or_else(|| self.try_device(device), |obstacle| Err(obstacle.to_owned()))
    }

    /// Whether a tiny model runs on `device` and makes what the processor makes; how it does attention.
    fn try_device(&self, device: Device) -> Result<Attention, String> {
        let reference = self.trial(Device::Cpu, Attention::Fused)?;
        if device == Device::Cpu {
            return Ok(Attention::Fused);
        }
        // ONNX Runtime's WebGPU attention is wrong where a GPU runs fewer than eight threads in step.
        for attention in [Attention::Fused, Attention::Plain] {
            let result = self.trial(device, attention)?;
            if result.iter().zip(&reference).all(|(a, b)| (a - b).abs() < 1e-3) {
                return Ok(attention);
            }
        }
        Err("it computes wrongly".to_owned())
    }

    /// What a tiny model makes on `device`.
    fn trial(&self, device: Device, attention: Attention) -> Result<Vec<f32>, String> {
        const SHAPE: [usize; 3] = [1, 24, 32];
        let mut graph = Graph::new("trial");
        let x = graph.input("x", &SHAPE.map(Dim::Fixed));
        let y = graph.attention(&x, &x, &x, 2);
        graph.output("y", &y);
        let run = || {
            let mut model = Model::load_on(self, device, attention, graph, &Checkpoint::default())?;
            let values = (0..SHAPE.iter().product()).map(|i: usize| (i as f32 * 0.7).sin() * 2.0).collect();
            let x = Tensor::from_floats(&SHAPE, values)?;
            model.run(&[("x", &x)], &Cancel::default()).map(|outputs| outputs[0].floats().to_vec())
        };
        run().map_err(|error| match error {
            RuntimeError::Ort { cause, .. } => last_sentence(cause.message()).to_owned(),
            error => error.to_string(),
        })
    }
}

/// How a device does attention.
#[derive(Clone, Copy)]
enum Attention {
    /// By ONNX Runtime's own operator, which needs least memory.
    Fused,
    /// By plain operators.
    Plain,
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
    let path = find_library()?;
    let library_error = |cause: String| RuntimeError::Library { path: path.clone(), cause };
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
    line.rsplit_once(" was false. ").map_or(line, |(_, sentence)| sentence)
}

/// Beside the program, or where `make setup` puts it.
fn find_library() -> Result<PathBuf, RuntimeError> {
    let file = if cfg!(windows) {
        "onnxruntime.dll".to_owned()
    } else if cfg!(target_os = "macos") {
        format!("libonnxruntime.{VERSION}.dylib")
    } else {
        format!("libonnxruntime.so.{VERSION}")
    };
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let cache = directories::ProjectDirs::from("", "", "segue").map(|dirs| dirs.cache_dir().to_owned());
    let folders = [
        beside.as_deref().map(Path::to_owned),
        beside.as_deref().map(|dir| dir.join("lib")),
        cache.map(|dir| dir.join(format!("onnxruntime-{VERSION}"))),
    ];
    let candidates: Vec<PathBuf> = folders.into_iter().flatten().map(|dir| dir.join(&file)).collect();
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(RuntimeError::NoLibrary(candidates)),
    }
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

    fn set_running(&self, options: Option<Arc<RunOptions>>) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

/// An array of numbers, as models take and make; a clone shares it.
#[derive(Clone)]
pub struct Tensor(Arc<DynValue>);

impl Tensor {
    /// Floats in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_floats(shape: &[usize], values: Vec<f32>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self(Arc::new(tensor.map_err(ort_error("take an input"))?.into_dyn())))
    }

    /// Bytes in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_bytes(shape: &[usize], values: Vec<u8>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self(Arc::new(tensor.map_err(ort_error("take an input"))?.into_dyn())))
    }

    /// The values in row-major order.
    ///
    /// # Panics
    /// If they are not floats: only inputs made from bytes are not.
    pub fn floats(&self) -> &[f32] {
        self.0.try_extract_tensor::<f32>().expect("a tensor of floats").1
    }
}

impl Tensor {
    /// Whole numbers in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_integers(shape: &[usize], values: Vec<i64>) -> Result<Self, RuntimeError> {
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), values));
        Ok(Self(Arc::new(tensor.map_err(ort_error("take an input"))?.into_dyn())))
    }

    /// Floats in row-major order, kept as halves.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_floats_as_halves(shape: &[usize], values: &[f32]) -> Result<Self, RuntimeError> {
        let halves: Vec<half::f16> = values.iter().map(|v| half::f16::from_f32(*v)).collect();
        let tensor = ort::value::Tensor::from_array((shape.to_vec(), halves));
        Ok(Self(Arc::new(tensor.map_err(ort_error("take an input"))?.into_dyn())))
    }

    /// Shape and values in row-major order, whatever numbers they are; none if they are no numbers.
    pub fn numbers(&self) -> Option<(Vec<usize>, Vec<f32>)> {
        let shape = |shape: &ort::value::Shape| shape.iter().map(|&n| n as usize).collect();
        if let Ok((of, values)) = self.0.try_extract_tensor::<f32>() {
            return Some((shape(of), values.to_vec()));
        }
        if let Ok((of, values)) = self.0.try_extract_tensor::<half::f16>() {
            return Some((shape(of), values.iter().map(|v| v.to_f32()).collect()));
        }
        if let Ok((of, values)) = self.0.try_extract_tensor::<i64>() {
            return Some((shape(of), values.iter().map(|&v| v as f32).collect()));
        }
        let (of, values) = self.0.try_extract_tensor::<i32>().ok()?;
        Some((shape(of), values.iter().map(|&v| v as f32).collect()))
    }
}

/// Something that a model takes or makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first; none where they are only known when it runs.
    pub shape: Vec<Option<usize>>,
    /// What numbers it is of.
    pub kind: PortKind,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// 32-bit floats.
    Float,
    /// 16-bit floats.
    Half,
    /// Bytes.
    Byte,
    /// 64-bit integers.
    Integer,
    /// Something else.
    Other,
}

impl Port {
    fn of(outlet: &ort::value::Outlet) -> Self {
        use ort::value::{TensorElementType as Type, ValueType};
        let (shape, kind) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let kind = match ty {
                    Type::Float32 => PortKind::Float,
                    Type::Float16 => PortKind::Half,
                    Type::Uint8 => PortKind::Byte,
                    Type::Int64 => PortKind::Integer,
                    _ => PortKind::Other,
                };
                (shape.iter().map(|&n| usize::try_from(n).ok()).collect(), kind)
            }
            _ => (Vec::new(), PortKind::Other),
        };
        Self { name: outlet.name().to_owned(), shape, kind }
    }
}

static NANOS_IN_MODELS: AtomicU64 = AtomicU64::new(0);

/// How long this process has been within ONNX Runtime's runs, over all models; what else a step takes is ours.
pub fn time_in_models() -> Duration {
    Duration::from_nanos(NANOS_IN_MODELS.load(Ordering::Relaxed))
}

/// A graph with its weights, ready to run.
pub struct Model {
    name: String,
    ran: Ran,
}

/// Where a model is.
enum Ran {
    Here(Session),
    There(RemoteModel),
}

impl Model {
    /// Loads `graph` with the weights of `checkpoint` on the runtime's device, or finds it on its server.
    ///
    /// # Errors
    /// If the weights do not fit, ONNX Runtime refuses the graph, or the server has it not.
    pub fn load(runtime: &Runtime, graph: Graph, checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        let Some(server) = &runtime.server else { return Self::load_here(runtime, graph, checkpoint) };
        let (name, packed) = (graph.name().to_owned(), graph.packed_name(checkpoint)?);
        let part = server.part(packed, &name.replace('_', " "), graph.inputs(), graph.outputs())?;
        Ok(Self { name, ran: Ran::There(part) })
    }

    /// The same on the device, even if there is a server: for what is asked often and soon done.
    ///
    /// # Errors
    /// If the weights do not fit or ONNX Runtime refuses the graph.
    pub fn load_here(runtime: &Runtime, graph: Graph, checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        Self::load_on(runtime, runtime.device, runtime.attention, graph, checkpoint)
    }

    fn load_on(
        runtime: &Runtime,
        device: Device,
        attention: Attention,
        mut graph: Graph,
        checkpoint: &Checkpoint,
    ) -> Result<Self, RuntimeError> {
        let name = graph.name().to_owned();
        if matches!(attention, Attention::Plain) {
            graph.spell_out_attention();
        }
        let onnx = graph.bind(checkpoint)?;
        Self::of_onnx(runtime, device, name, &onnx, checkpoint.folder())
    }

    /// Loads an ONNX file that somebody else made, on the device even if there is a server.
    ///
    /// # Errors
    /// If it cannot be read, or ONNX Runtime refuses it.
    pub fn open(runtime: &Runtime, path: &Path) -> Result<Self, RuntimeError> {
        let open_error = |cause| CheckpointError::Open { path: path.to_owned(), cause };
        let onnx = std::fs::read(path).map_err(open_error)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::of_onnx(runtime, runtime.device, name, &onnx, folder)
    }

    fn of_onnx(
        runtime: &Runtime,
        device: Device,
        name: String,
        onnx: &[u8],
        folder: &Path,
    ) -> Result<Self, RuntimeError> {
        let load_error = || format!("load {name}");
        let mut builder = Session::builder(&runtime.environment).map_err(ort_error(load_error()))?;
        if let Some(provider) = device.provider() {
            builder = builder.with_execution_providers([provider]).map_err(ort_error(load_error()))?;
        }
        let session = builder
            .with_env_allocators()
            .map_err(ort_error(load_error()))?
            // A plan wants its memory in one piece, and the shared arena has it in many.
            .with_memory_pattern(false)
            .map_err(ort_error(load_error()))?
            .with_config_entry(
                "session.model_external_initializers_file_folder_path",
                folder.to_string_lossy(),
            )
            .map_err(ort_error(load_error()))?
            .commit_from_memory(onnx)
            .map_err(ort_error(load_error()))?;
        Ok(Self { name, ran: Ran::Here(session) })
    }

    /// What it takes.
    pub fn inputs(&self) -> Vec<Port> {
        match &self.ran {
            Ran::Here(session) => session.inputs().iter().map(Port::of).collect(),
            Ran::There(part) => part.inputs.clone(),
        }
    }

    /// What it makes.
    pub fn outputs(&self) -> Vec<Port> {
        match &self.ran {
            Ran::Here(session) => session.outputs().iter().map(Port::of).collect(),
            Ran::There(part) => part.outputs.clone(),
        }
    }

    /// What its file says of itself under `key`.
    pub fn metadata(&self, key: &str) -> Option<String> {
        let Ran::Here(session) = &self.ran else { return None };
        session.metadata().ok()?.custom(key)
    }

    /// Runs on `inputs` (name and value each); the outputs are in the graph's order.
    ///
    /// # Errors
    /// [`RuntimeError::Canceled`], or what ONNX Runtime or the server says.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)], cancel: &Cancel) -> Result<Vec<Tensor>, RuntimeError> {
        let session = match &mut self.ran {
            Ran::Here(session) => session,
            Ran::There(part) => return there::run(part, inputs, cancel),
        };
        let run_error = || format!("run {}", self.name);
        let options = Arc::new(RunOptions::new().map_err(ort_error(run_error()))?);
        let inputs: Vec<(&str, SessionInputValue<'_>)> =
            inputs.iter().map(|(name, tensor)| (*name, SessionInputValue::from(&*tensor.0))).collect();
        cancel.set_running(Some(options.clone()));
        // Looked at only now, so that a cancel from here on finds the run to end.
        if cancel.is_canceled() {
            cancel.set_running(None);
            return Err(RuntimeError::Canceled);
        }
        let start = Instant::now();
        let results = session.run_with_options(inputs, &*options);
        NANOS_IN_MODELS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        cancel.set_running(None);
        if cancel.is_canceled() {
            return Err(RuntimeError::Canceled);
        }
        let results = results.map_err(ort_error(format!("run {}", self.name)))?;
        let tensors = results.into_iter().map(|(_, value)| Tensor(Arc::new(value)));
        Ok(tensors.collect())
    }
}
