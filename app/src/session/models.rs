//! Models: which are on the shelf; getting, adding and removing them; and another in place of the one that is loaded.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use engine::{
    models::{Finds, KnownModel, OwnModel, Shelf, State},
    segmenter::ModelInfo,
    worker::{Errand, JobId, Times},
};

use super::{Model, Session};
use crate::job::Unsent;

/// What is known of models whose files are published.
#[derive(Default)]
pub struct Models {
    /// Where they are.
    shelf: Shelf,
    /// Of each; none until it is known.
    states: Option<Vec<State>>,
    /// Models that people have added.
    own: Vec<OwnModel>,
    is_asked: bool,
    /// What was said of models that run elsewhere.
    remarks: Vec<String>,
    coming: Vec<Coming>,
    /// How long models took here since the program was started, by their names.
    times: BTreeMap<String, Times>,
}

/// A download that goes on, or waits for its turn.
struct Coming {
    model: &'static KnownModel,
    job: JobId,
    rate: Option<Rate>,
    /// What is to be done once it has ended, which may take as long as a server that says nothing is waited for.
    then: Then,
}

enum Then {
    Nothing,
    Remove,
    Get,
}

/// How fast it is.
struct Rate {
    since: Instant,
    bytes: usize,
    per_second: Option<f64>,
}

/// How far a model is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nothing of it is here.
    Missing,
    /// So many bytes of it are, and no more are coming.
    Begun(u64),
    /// Others come first.
    Waiting,
    /// It is coming.
    Coming {
        /// Bytes of the file that is coming.
        done: usize,
        /// Its size; 0 while nobody knows.
        total: usize,
        /// Bytes a second, once they are measured.
        per_second: Option<f64>,
    },
    /// All of it is here.
    Here(PathBuf),
}

impl Rate {
    fn tell(&mut self, bytes: usize) {
        /// Of a new measurement.
        const WEIGHT: f64 = 0.3;
        let seconds = self.since.elapsed().as_secs_f64();
        // Another file begins anew.
        if seconds < 1.0 && bytes >= self.bytes {
            return;
        }
        let now = bytes.saturating_sub(self.bytes) as f64 / seconds.max(1e-3);
        let before = self.per_second.unwrap_or(now);
        (self.since, self.bytes) = (Instant::now(), bytes);
        self.per_second = Some(before + WEIGHT * (now - before));
    }
}

impl Session {
    /// All models whose files are published, and how far they are; none until that is known.
    pub fn models(&self) -> impl Iterator<Item = (&'static KnownModel, Stage)> + Clone {
        let Models { shelf, states, coming, .. } = &self.models;
        shelf.known.iter().zip(states.iter().flatten()).map(|(model, state)| {
            let coming = coming.iter().find(|coming| coming.model.name == model.name);
            let job = coming.and_then(|coming| self.jobs.iter().find(|job| job.id == coming.job));
            let stage = match (coming.zip(job), state) {
                (Some((Coming { then: Then::Remove, .. }, _)), _) => Stage::Missing,
                (Some((Coming { then: Then::Nothing, .. }, job)), _) if job.cancel.is_canceled() => {
                    Stage::Begun(job.done as u64)
                }
                (Some((Coming { rate: Some(rate), then: Then::Nothing, .. }, job)), _) => {
                    Stage::Coming { done: job.done, total: job.total, per_second: rate.per_second }
                }
                (Some(_), _) => Stage::Waiting,
                (None, State::Here(weights)) => Stage::Here(weights.clone()),
                (None, State::Begun(bytes)) => Stage::Begun(*bytes),
                (None, State::Missing) => Stage::Missing,
            };
            (model, stage)
        })
    }

    /// Models that people have added; none until they are known.
    pub fn own_models(&self) -> impl Iterator<Item = &OwnModel> {
        self.models.own.iter()
    }

    /// Returns the added models that find one of `finds`.
    pub fn own_models_for(&self, finds: &[Finds]) -> impl Iterator<Item = &OwnModel> {
        self.own_models().filter(|model| finds.contains(&model.finds))
    }

    /// How long a model takes here, as far as it was measured.
    pub fn times(&self, name: &str) -> Times {
        self.models.times.get(name).copied().unwrap_or_default()
    }

    pub(super) fn timed(&mut self, times: Times) {
        if let Model::Ready(model) = &self.model {
            self.models.times.insert(model.name.clone(), times);
        }
    }

    /// Keeps models elsewhere.
    pub fn keep_models_on(&mut self, shelf: Shelf) {
        self.models = Models { shelf, ..Models::default() };
    }

    /// The model is being replaced by another.
    pub fn model_is_loading(&mut self) {
        self.model = Model::Loading;
    }

    pub(super) fn model_is_ready(&mut self, model: ModelInfo) {
        // It may run elsewhere than before.
        self.models.times.remove(&model.name);
        self.tell_of_model(model);
        // It has seen nothing, and what another could not answer it may.
        self.cache.encoded.clear();
        self.cache.preview = None;
        self.asked.tell_the_model_anew();
        self.tracks.tell_anew();
    }

    /// What runs elsewhere than it should is said once.
    pub(super) fn tell_of_model(&mut self, model: ModelInfo) {
        for remark in model.remarks.iter().filter(|remark| !self.models.remarks.contains(*remark)) {
            self.notices.warn(remark.clone());
        }
        self.models.remarks.clone_from(&model.remarks);
        self.model = Model::Ready(model);
    }

    /// Asks what is there, if nobody has.
    pub fn look_at_models(&mut self) {
        if !std::mem::replace(&mut self.models.is_asked, true) {
            let shelf = self.models.shelf.clone();
            let job = self.start_on_models("Look for models", Errand::Models(shelf));
            self.hush(job);
        }
    }

    fn start_on_models(&mut self, title: &str, errand: Errand) -> JobId {
        let id = self.start(title, Unsent::Errand(errand));
        self.jobs.iter_mut().filter(|job| job.id == id).for_each(|job| job.is_of_models = true);
        id
    }

    fn hush(&mut self, id: JobId) {
        self.jobs.iter_mut().filter(|job| job.id == id).for_each(|job| job.is_quiet = true);
    }

    fn known(&self, name: &str) -> Option<&'static KnownModel> {
        self.models.shelf.known.iter().find(|model| model.name == name)
    }

    fn coming(&mut self, name: &str) -> Option<&mut Coming> {
        self.models.coming.iter_mut().find(|coming| coming.model.name == name)
    }

    pub(super) fn get_model(&mut self, name: &str) {
        if let Some(coming) = self.coming(name) {
            let job = coming.job;
            let is_ended = self.jobs.iter().any(|other| other.id == job && other.cancel.is_canceled());
            if let Some(coming) = self.coming(name).filter(|_| is_ended) {
                coming.then = Then::Get;
            }
            return;
        }
        let Some(model) = self.known(name) else { return };
        let errand = Errand::GetModel(self.models.shelf.clone(), model);
        let job = self.start_on_models(&format!("Download {name}"), errand);
        self.models.coming.push(Coming { model, job, rate: None, then: Then::Nothing });
    }

    /// What has come stays, to go on with.
    pub(super) fn pause_model(&mut self, name: &str) {
        self.end_download(name, Then::Nothing);
    }

    /// Takes away what is here of a model, and what is coming.
    pub(super) fn remove_model(&mut self, name: &str) {
        if self.end_download(name, Then::Remove) {
            return;
        }
        let errand = Errand::RemoveModel(self.models.shelf.clone(), name.to_owned());
        let job = self.start_on_models(&format!("Remove {name}"), errand);
        self.hush(job);
    }

    /// False if it was not coming.
    fn end_download(&mut self, name: &str, then: Then) -> bool {
        let Some(coming) = self.coming(name) else { return false };
        coming.then = then;
        let job = coming.job;
        self.hush(job);
        self.end_job(job);
        true
    }

    pub(super) fn add_model(&mut self, path: PathBuf) {
        let errand = Errand::AddModel(self.models.shelf.clone(), path);
        self.start_on_models("Add a model", errand);
    }

    pub(super) fn model_came_nearer(&mut self, job: JobId, bytes: usize) {
        if let Some(coming) = self.models.coming.iter_mut().find(|coming| coming.job == job) {
            let start = || Rate { since: Instant::now(), bytes, per_second: None };
            coming.rate.get_or_insert_with(start).tell(bytes);
        }
    }

    /// A job has ended that may have changed what is here.
    pub(super) fn worked_on_models(&mut self, job: JobId) {
        if let Some(i) = self.models.coming.iter().position(|coming| coming.job == job) {
            let Coming { model, then, .. } = self.models.coming.remove(i);
            match then {
                Then::Nothing => {}
                Then::Remove => self.remove_model(&model.name),
                Then::Get => self.get_model(&model.name),
            }
        }
        self.models.is_asked = false;
        self.look_at_models();
    }

    pub(super) fn looked_at_models(&mut self, states: Vec<State>, own: Vec<OwnModel>) {
        self.models.states = Some(states);
        self.models.own = own;
    }
}
