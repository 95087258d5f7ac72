//! A graph with its weights, loaded where it is trusted, and on the processor if it fails there.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use ort::{
    memory::MemoryInfo,
    session::{RunOptions, Session, SessionInputValue},
};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    device::Device,
    graph::{Graph, Precision},
    ops::Attention,
    remote::RemoteModel,
    runtime::{Cancel, Runtime, RuntimeError, ort_error, remark, there},
    tensor::{Port, Tensor},
    trust::{self, Verdict},
};

pub(super) static NANOS_IN_MODELS: AtomicU64 = AtomicU64::new(0);

/// How long this process has been within ONNX Runtime's runs, over all models; what else a step takes is ours.
pub fn time_in_models() -> Duration {
    Duration::from_nanos(NANOS_IN_MODELS.load(Ordering::Relaxed))
}

/// Held while a model runs on a device that cannot run two at once.
static TURN: Mutex<()> = Mutex::new(());

/// A graph with its weights, ready to run.
pub struct Model {
    name: String,
    ran: Ran,
    runtime: Runtime,
    device: Device,
    precision: Precision,
    /// Outputs that stay where they are made.
    kept: Vec<String>,
    /// What it is loaded from on the processor if the device fails at it; none if it is there.
    spare: Option<Spare>,
}

/// Where a model is.
enum Ran {
    Here(Session),
    There(RemoteModel),
}

/// A model as the processor can load it.
struct Spare {
    name: String,
    onnx: Vec<u8>,
    folder: PathBuf,
}

impl Model {
    /// Finds `graph` with the weights of `checkpoint` on the runtime's server, or loads it here if there is none.
    ///
    /// # Errors
    /// As [`Self::load_here`], or if the server has it not.
    pub fn load(runtime: &Runtime, graph: Graph, checkpoint: &Checkpoint) -> Result<Self, RuntimeError> {
        let Some(server) = runtime.server() else { return Self::load_here(runtime, graph, checkpoint) };
        let (name, packed) = (graph.name().to_owned(), graph.packed_name(checkpoint)?);
        let part = server.part(packed, &name.replace('_', " "), graph.inputs(), graph.outputs())?;
        Ok(Self::new(runtime, Device::Cpu, name, Ran::There(part)))
    }

    /// Loads `graph` with the weights of `checkpoint` on the runtime's device even if there is a server, in the least
    /// precision in which it agrees there with the processor. Where it does not at all, or the device refuses it, it is
    /// loaded on the processor instead, unless the device was asked for by name; [`super::runtime::remarks`] says so.
    ///
    /// # Errors
    /// If the weights do not fit, ONNX Runtime refuses the graph, or the device that was asked for makes other numbers.
    pub fn load_here(
        runtime: &Runtime,
        mut graph: Graph,
        checkpoint: &Checkpoint,
    ) -> Result<Self, RuntimeError> {
        let spare = Spare {
            name: graph.name().to_owned(),
            onnx: graph.bind(checkpoint, Precision::Full)?,
            folder: checkpoint.folder().to_owned(),
        };
        if !runtime.device().is_gpu() {
            return spare.load(runtime);
        }
        graph.write_attention(runtime.attention());
        let versions =
            graph.precisions().iter().map(|precision| (*precision, graph.bind(checkpoint, *precision)));
        spare.on_device(runtime, checkpoint.path(), graph.kept(), versions)
    }

    /// Loads `graph` on a device, trusted or not.
    pub(super) fn load_untried(
        runtime: &Runtime,
        device: Device,
        attention: Attention,
        mut graph: Graph,
    ) -> Result<Self, RuntimeError> {
        graph.write_attention(attention);
        let onnx = graph.bind(&Checkpoint::default(), Precision::Full)?;
        Self::of_onnx(runtime, device, graph.name().to_owned(), &onnx, Path::new(""))
    }

    /// Loads an ONNX file that somebody else made; where its device makes other numbers than the processor, as
    /// [`Self::load`].
    ///
    /// # Errors
    /// If it cannot be read, or ONNX Runtime refuses it.
    pub fn open(runtime: &Runtime, path: &Path) -> Result<Self, RuntimeError> {
        let open_error = |cause| CheckpointError::Open { path: path.to_owned(), cause };
        let onnx = std::fs::read(path).map_err(open_error)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let spare = Spare { name, onnx, folder };
        if !runtime.device().is_gpu() {
            return spare.load(runtime);
        }
        let version = (Precision::Full, Ok(spare.onnx.clone()));
        spare.on_device(runtime, path, &[], [version])
    }

    fn of_onnx(
        runtime: &Runtime,
        device: Device,
        name: String,
        onnx: &[u8],
        folder: &Path,
    ) -> Result<Self, RuntimeError> {
        let load_error = || format!("load {name}");
        let mut builder = Session::builder(runtime.environment()).map_err(ort_error(load_error()))?;
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
        Ok(Self::new(runtime, device, name, Ran::Here(session)))
    }

    fn new(runtime: &Runtime, device: Device, name: String, ran: Ran) -> Self {
        let runtime = runtime.clone();
        Self { name, ran, runtime, device, precision: Precision::Full, kept: Vec::new(), spare: None }
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

    /// A tensor that a model may have left on a device, on the processor.
    ///
    /// # Errors
    /// If ONNX Runtime refuses.
    pub fn fetch(&self, tensor: &Tensor) -> Result<Tensor, RuntimeError> {
        self.runtime.fetch(tensor)
    }

    /// Where it runs, and in which precision.
    pub fn place(&self) -> (Device, Precision) {
        (self.device, self.precision)
    }

    /// Runs on `inputs` (name and value each); the outputs are in the graph's order. If its device fails, such as when it has
    /// no memory left, it goes on on the processor.
    ///
    /// # Errors
    /// [`RuntimeError::Canceled`], or what ONNX Runtime says.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)], cancel: &Cancel) -> Result<Vec<Tensor>, RuntimeError> {
        let outcome = self.attempt(inputs, cancel);
        match (outcome, self.spare.take()) {
            (Err(error @ RuntimeError::Ort { .. }), Some(spare)) => {
                let (name, device, why) = (&self.name, self.device, error.brief());
                remark(format!("{name} failed on {device}: {why}; it runs on the processor instead"));
                *self = spare.load(&self.runtime)?;
                self.run(inputs, cancel)
            }
            (outcome, spare) => {
                self.spare = spare;
                outcome
            }
        }
    }

    /// Runs an untrusted model as [`Self::run`] does and stops it after `limit`, because its loops may not terminate.
    ///
    /// # Errors
    /// As of [`Self::run`], or [`RuntimeError::TooSlow`].
    pub fn run_within(
        &mut self,
        limit: Duration,
        inputs: &[(&str, &Tensor)],
        cancel: &Cancel,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        const TICK: Duration = Duration::from_millis(50);
        let either = Cancel::default();
        let end = Instant::now() + limit;
        thread::scope(|scope| {
            let (done, is_done) = mpsc::sync_channel::<()>(1);
            let watched = either.clone();
            let watch = move || {
                while is_done.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    if cancel.is_canceled() || Instant::now() >= end {
                        watched.cancel();
                        break;
                    }
                }
            };
            let name = "time limit".to_owned();
            if let Err(cause) = thread::Builder::new().name(name).spawn_scoped(scope, watch) {
                return Err(RuntimeError::Ort {
                    what: "watch a run".to_owned(),
                    cause: ort::Error::new(cause.to_string()),
                });
            }
            let outcome = self.run(inputs, &either);
            drop(done);
            match outcome {
                Err(RuntimeError::Canceled) if !cancel.is_canceled() => {
                    Err(RuntimeError::TooSlow { name: self.name.clone(), seconds: limit.as_secs() })
                }
                outcome => outcome,
            }
        })
    }

    /// [`Self::run`] for `n` objects at once. For more than one it stays where it is if that fails, so that fewer can be tried
    /// there.
    ///
    /// # Errors
    /// As [`Self::run`]; for more than one also [`RuntimeError::Ort`] where the device fails.
    pub fn run_batch(
        &mut self,
        n: usize,
        inputs: &[(&str, &Tensor)],
        cancel: &Cancel,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        if n > 1 { self.attempt(inputs, cancel) } else { self.run(inputs, cancel) }
    }

    /// [`Self::run`] that stays where it is if its device fails.
    ///
    /// # Errors
    /// [`RuntimeError::Canceled`], or what ONNX Runtime says.
    pub fn attempt(
        &mut self,
        inputs: &[(&str, &Tensor)],
        cancel: &Cancel,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let session = match &mut self.ran {
            Ran::Here(session) => session,
            Ran::There(part) => return there::run(part, inputs, cancel),
        };
        let what = format!("run {}", self.name);
        // Others may have left them on a device.
        let mut here = Vec::new();
        if self.device == Device::Cpu {
            for (name, tensor) in inputs {
                here.push((*name, self.runtime.fetch(tensor)?));
            }
        }
        let here: Vec<(&str, &Tensor)> = here.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let inputs = if self.device == Device::Cpu { &here } else { inputs };
        let options = Arc::new(RunOptions::new().map_err(ort_error(&*what))?);
        cancel.set_running(Some(options.clone()));
        // Looked at only now, so that a cancel from here on finds the run to end.
        if cancel.is_canceled() {
            cancel.set_running(None);
            return Err(RuntimeError::Canceled);
        }
        let turn = self.device.takes_turns().then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
        let start = Instant::now();
        let memory = self.device.memory().filter(|_| !self.kept.is_empty());
        let results = match memory {
            Some(memory) => run_bound(session, inputs, &self.kept, &memory, &options),
            None => run(session, inputs, &options),
        };
        drop(turn);
        NANOS_IN_MODELS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        cancel.set_running(None);
        if cancel.is_canceled() {
            return Err(RuntimeError::Canceled);
        }
        results.map_err(ort_error(what))
    }
}

/// With outputs on the processor.
fn run(session: &mut Session, inputs: &[(&str, &Tensor)], options: &RunOptions) -> ort::Result<Vec<Tensor>> {
    let inputs: Vec<(&str, SessionInputValue<'_>)> =
        inputs.iter().map(|(name, tensor)| (*name, SessionInputValue::from(&*tensor.value))).collect();
    let results = session.run_with_options(inputs, options)?;
    Ok(results.into_iter().map(|(_, value)| Tensor::of(value)).collect())
}

/// With the outputs that are kept in the device's memory.
fn run_bound(
    session: &mut Session,
    inputs: &[(&str, &Tensor)],
    kept: &[String],
    memory: &MemoryInfo<'_>,
    options: &RunOptions,
) -> ort::Result<Vec<Tensor>> {
    let mut binding = session.create_binding()?;
    for (name, tensor) in inputs {
        binding.bind_input(*name, &tensor.value)?;
    }
    let processor = MemoryInfo::default();
    for output in session.outputs() {
        let is_kept = kept.iter().any(|kept| kept == output.name());
        binding.bind_output_to_device(output.name(), if is_kept { memory } else { &processor })?;
    }
    let owner = session.inner();
    let results = session.run_binding_with_options(&binding, options)?;
    Ok(results.into_iter().map(|(_, value)| Tensor::kept(value, owner.clone())).collect())
}

impl Spare {
    /// The model on the processor.
    fn load(&self, runtime: &Runtime) -> Result<Model, RuntimeError> {
        Model::of_onnx(runtime, Device::Cpu, self.name.clone(), &self.onnx, &self.folder)
    }

    /// The model on the runtime's device, as the first of `versions` that agrees with the processor; `weights` is where they
    /// are, and outputs in `kept` stay in the device's memory.
    fn on_device(
        self,
        runtime: &Runtime,
        weights: &Path,
        kept: &[String],
        versions: impl IntoIterator<Item = (Precision, Result<Vec<u8>, CheckpointError>)>,
    ) -> Result<Model, RuntimeError> {
        let identity = trust::identity(&self.onnx, runtime.attention(), weights);
        let mut why = String::new();
        for (precision, onnx) in versions {
            match self.trusted(runtime, precision, &identity, &onnx?) {
                Ok(model) => return Ok(Model { kept: kept.to_vec(), precision, spare: Some(self), ..model }),
                Err(cause) => why = cause,
            }
        }
        runtime.gave_up(&self.name, why)?;
        self.load(runtime)
    }

    /// A version on the runtime's device, if it makes what the processor's makes, which is asked only once.
    fn trusted(
        &self,
        runtime: &Runtime,
        precision: Precision,
        identity: &str,
        onnx: &[u8],
    ) -> Result<Model, String> {
        let verdict = |model: &mut Model| match trust::remembered(runtime.device(), precision, identity) {
            Some(verdict) => Ok(verdict),
            None => {
                let verdict = trust::compare(model, &mut self.load(runtime)?)?;
                trust::remember(runtime.device(), precision, identity, verdict);
                Ok::<Verdict, RuntimeError>(verdict)
            }
        };
        let loaded = Model::of_onnx(runtime, runtime.device(), self.name.clone(), onnx, &self.folder);
        let judged = loaded.and_then(|mut model| Ok((verdict(&mut model)?, model)));
        let (verdict, model) = judged.map_err(RuntimeError::brief)?;
        verdict.check(precision)?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::runtime::remarks;

    /// A model of two numbers: the row `row` of two, times `factor`. There is no third row.
    fn onnx(row: i64, factor: f32) -> Vec<u8> {
        let mut graph = Graph::new("rows");
        let x = graph.input("x", &[2.into(), 2.into()]);
        let row = graph.integers(&[row]);
        let row = graph.gather_rows(&x, &row);
        let factor = graph.scalar(factor);
        let y = graph.mul(&row, &factor);
        graph.output("y", &y);
        graph.bind(&Checkpoint::default(), Precision::Full).unwrap()
    }

    /// What is found out of one is kept under what it is, so that each test has a factor of its own.
    fn spare(name: &str, factor: f32) -> Spare {
        Spare { name: name.to_owned(), onnx: onnx(1, factor), folder: PathBuf::new() }
    }

    fn answer(model: &mut Model) -> Vec<f32> {
        let x = Tensor::from_floats(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        model.run(&[("x", &x)], &Cancel::default()).unwrap()[0].floats().to_vec()
    }

    fn is_said(name: &str, why: &str) -> bool {
        remarks().iter().any(|remark| remark.contains(name) && remark.contains(why))
    }

    /// The processor plays a device that was found or, if `is_forced`, one that was asked for.
    fn runtime(is_forced: bool) -> Runtime {
        Runtime::start(is_forced.then_some(Device::Cpu), Some(1)).unwrap()
    }

    #[test]
    fn run_that_takes_too_long_is_ended() {
        const SIDE: usize = 512;
        let mut graph = Graph::new("long");
        let x = graph.input("x", &[SIDE.into(), SIDE.into()]);
        let y = (0..2000).fold(x.clone(), |y, _| graph.matmul(&y, &x));
        graph.output("y", &y);
        let onnx = graph.bind(&Checkpoint::default(), Precision::Full).unwrap();
        let mut model =
            Model::of_onnx(&runtime(false), Device::Cpu, "long".into(), &onnx, Path::new("")).unwrap();
        let x = Tensor::from_floats(&[SIDE, SIDE], vec![0.0; SIDE * SIDE]).unwrap();
        let ended = model.run_within(Duration::ZERO, &[("x", &x)], &Cancel::default()).err().unwrap();
        assert!(matches!(ended, RuntimeError::TooSlow { .. }), "{ended}");
    }

    #[test]
    fn the_first_version_that_agrees_is_taken() {
        let versions = [(Precision::Half, Ok(onnx(1, 2.5))), (Precision::Full, Ok(onnx(1, 2.0)))];
        let spare = spare("agrees at last", 2.0);
        let mut model = spare.on_device(&runtime(false), Path::new("agrees at last"), &[], versions).unwrap();
        assert_eq!(model.place().1, Precision::Full);
        assert_eq!(answer(&mut model), [6.0, 8.0]);
        assert!(!is_said("agrees at last", ""));
    }

    #[test]
    fn a_device_that_computes_wrongly_is_not_used_and_refused_if_it_was_asked_for() {
        let wrong = || [(Precision::Full, Ok(onnx(1, 3.75)))];
        let found = spare("wrong", 3.0).on_device(&runtime(false), Path::new("wrong"), &[], wrong());
        assert_eq!(answer(&mut found.unwrap()), [9.0, 12.0]);
        assert!(is_said("wrong is not right", "its numbers are off by 25.0 %"));
        let asked_for = spare("wrong", 3.0).on_device(&runtime(true), Path::new("wrong"), &[], wrong());
        let error = asked_for.err().unwrap().to_string();
        assert!(error.starts_with("cannot run on cpu: wrong: its numbers are off by 25.0 %"), "{error}");
    }

    #[test]
    fn work_goes_on_where_a_device_fails() {
        let runtime = runtime(false);
        let broken = Model::of_onnx(&runtime, Device::Cpu, "broken".into(), &onnx(2, 2.0), Path::new(""));
        let mut model = Model { spare: Some(spare("broken", 2.0)), ..broken.unwrap() };
        let x = Tensor::from_floats(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let batch = model.run_batch(2, &[("x", &x)], &Cancel::default());
        assert!(
            matches!(batch, Err(RuntimeError::Ort { .. })) && !is_said("broken", ""),
            "fewer may do there"
        );
        assert_eq!(answer(&mut model), [6.0, 8.0]);
        assert!(is_said("broken failed on cpu", "it runs on the processor instead"));
        assert_eq!(answer(&mut model), [6.0, 8.0]);
    }
}
