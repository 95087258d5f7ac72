//! Jobs: long work that keeps its results until it ends, and then is one step.

use std::{collections::BTreeMap, sync::Arc};

use engine::{
    formats::counted,
    nn::Cancel,
    project::{FrameId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Question, Segment, path_of},
    prompt::Prompt,
    segmenter::Answer,
    worker::{Engine, JobId, Outcome, Task, Work, WorkFrame},
};

use super::{Model, Session};
use crate::{
    command::Scope,
    job::{Job, Unsent},
    notice::Level,
};

impl Session {
    pub(super) fn start(&mut self, title: &str, unsent: Unsent) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        let unsent = Some(match unsent {
            Unsent::Work(work) => Unsent::Work(Work { job: id, ..work }),
            errand => errand,
        });
        let cancel = match &unsent {
            Some(Unsent::Work(work)) => work.cancel.clone(),
            _ => Cancel::default(),
        };
        self.jobs.push(Job {
            id,
            title: title.to_owned(),
            done: 0,
            total: 0,
            cancel,
            found: Vec::new(),
            is_quiet: false,
            is_of_models: false,
            unsent,
        });
        id
    }

    /// Hands jobs to the engine as its inboxes have room.
    pub(super) fn send_jobs(&mut self, engine: &Engine) {
        for job in &mut self.jobs {
            let sent = match &job.unsent {
                Some(Unsent::Work(work)) => engine.work(work.clone()),
                Some(Unsent::Errand(errand)) => engine.errand(job.id, errand.clone(), job.cancel.clone()),
                None => continue,
            };
            if sent {
                job.unsent = None;
            }
        }
    }

    pub(super) fn segment_everything(&mut self, scope: Scope) {
        // Of a video the frame that is looked at: its objects are then tracked.
        let shown = self.frame();
        self.start_work("Segment everything", scope, |project, id, medium| {
            let at = match medium.kind {
                MediumKind::Image => Some(FrameId { medium: id, frame: 0 }),
                MediumKind::Video => shown.filter(|at| at.medium == id),
            };
            let known = |at| project.segments_on(at).filter_map(|(.., segment)| segment.mask.clone());
            at.into_iter().map(|at| (at, Task::Everything(known(at).collect()))).collect()
        });
    }

    pub(super) fn masks_for_boxes(&mut self, scope: Scope) {
        self.start_work("Masks for boxes", scope, |project, medium, _| {
            let mut boxes: BTreeMap<usize, Vec<(ObjectId, Question)>> = BTreeMap::new();
            for (object, _) in project.objects_of(medium) {
                for (frame, segment) in project.track(object).filter(|(_, segment)| segment.mask.is_none()) {
                    if let Some(rect) = segment.rect {
                        let prompt = Prompt { rect: Some(rect), points: Vec::new() };
                        boxes.entry(frame).or_default().push((object, Question::of(prompt)));
                    }
                }
            }
            let task = |(frame, boxes)| (FrameId { medium, frame }, Task::Masks(boxes));
            boxes.into_iter().map(task).collect()
        });
    }

    /// Work on those media of the scope that have `tasks`.
    fn start_work(
        &mut self,
        title: &str,
        scope: Scope,
        tasks: impl Fn(&Project, MediumId, &Medium) -> Vec<(FrameId, Task)>,
    ) {
        if self.lacks_model() {
            return;
        }
        let Some(file) = &self.file else { return };
        let project = self.project();
        let media = self.media_in(scope);
        let frames: Vec<WorkFrame> = media
            .flat_map(|(id, medium)| {
                let path = path_of(&file.folder, medium);
                let tasks = tasks(project, *id, medium);
                tasks.into_iter().map(move |(at, task)| WorkFrame { at, path: path.clone(), task })
            })
            .collect();
        if frames.is_empty() {
            self.notices.info("There is nothing to do for this");
            return;
        }
        self.start_on(title, frames);
    }

    /// Whether there is no model to work with, which is then said.
    pub(super) fn lacks_model(&mut self) -> bool {
        let Model::None(why) = &self.model else { return false };
        self.notices.error(format!("There is no model: {why}"));
        true
    }

    /// The media that are meant: the shown one, or all that are not done.
    pub(super) fn media_in(&self, scope: Scope) -> impl Iterator<Item = (&MediumId, &Arc<Medium>)> {
        self.project().media.iter().filter(move |(id, medium)| match scope {
            Scope::Image => Some(**id) == self.shown,
            Scope::Project => !medium.done,
        })
    }

    /// Work for the model on these frames.
    pub(super) fn start_on(&mut self, title: &str, frames: Vec<WorkFrame>) -> JobId {
        // Starting it gives it its name.
        self.start(title, Unsent::Work(Work { job: JobId(0), frames, cancel: Cancel::default() }))
    }

    /// Ends the job that is shown.
    pub(super) fn cancel_job(&mut self) {
        if let Some(job) = shown_job(&self.jobs) {
            self.end_job(job.id);
        }
    }

    pub(super) fn end_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.iter().find(|job| job.id == id) else { return };
        job.cancel.cancel();
        if job.unsent.is_some() {
            self.ended(id, Outcome::Canceled);
        }
    }

    /// As if all jobs of the project were canceled, before it is closed.
    pub(super) fn keep_what_jobs_found(&mut self) {
        let running: Vec<JobId> =
            self.jobs.iter().filter(|job| !job.is_of_models).map(|job| job.id).collect();
        for job in running {
            self.end_job(job);
            self.ended(job, Outcome::Canceled);
        }
    }

    pub(super) fn progressed(&mut self, id: JobId, done: usize, total: usize) {
        // A search through videos counts their frames.
        let sweeps = self.finding.job == Some(id) && self.finding.is_in_videos();
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id && !sweeps) {
            (job.done, job.total) = (done, total);
        }
        self.model_came_nearer(id, done);
    }

    pub(super) fn found(&mut self, id: JobId, at: FrameId, masks: Vec<(Option<ObjectId>, Answer)>) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.found.extend(masks.into_iter().map(|(object, answer)| (at, object, answer)));
        }
    }

    pub(super) fn ended(&mut self, id: JobId, outcome: Outcome) {
        // A job of a project that was closed is known no more.
        let Some(i) = self.jobs.iter().position(|job| job.id == id) else { return };
        let is_search = self.finding.job == Some(id);
        if is_search && !self.finding_ended(&outcome) {
            return;
        }
        let outcome = match outcome {
            // Of all stages of a search together.
            Outcome::Done | Outcome::Partly(_) if is_search && !self.finding.left_out.is_empty() => {
                Outcome::Partly(self.finding.left_out.clone())
            }
            outcome => outcome,
        };
        let mut job = self.jobs.remove(i);
        if is_search {
            // Masks that were not matched with what is there yet.
            job.found.clear();
        }
        let n_found = job.found.len();
        self.keep(&job.title, job.found);
        let kept = if n_found > 0 { format!(": {}", counted(n_found, "mask")) } else { String::new() };
        match outcome {
            Outcome::Partly(left_out) => {
                let is_nothing = if is_search { self.finding.is_blind() } else { n_found == 0 };
                match left_out.first().filter(|_| is_nothing) {
                    Some(why) => self.notices.error(format!("{} failed: {why}", job.title)),
                    None => {
                        let n = counted(left_out.len(), "failure");
                        let what = format!("{} is done{kept}, but for {n}", job.title);
                        self.notices.add(Level::Warning, what, left_out);
                    }
                }
            }
            Outcome::Done if is_search || job.is_quiet => {}
            Outcome::Canceled if job.is_quiet => {}
            Outcome::Done => self.notices.info(format!("{} is done{kept}", job.title)),
            Outcome::Canceled => self.notices.info(format!("{} was canceled{kept}", job.title)),
            Outcome::Failed(why) => self.notices.error(format!("{} failed{kept}: {why}", job.title)),
            Outcome::Scanned(scan) => self.scanned(*scan),
            Outcome::Imported(path, mut imported) => {
                let folder = self.file.as_ref().map(|file| file.folder.clone()).unwrap_or_default();
                let taken = self.history.edit("Import", |project| imported.add_to(project, &folder, false));
                let mut details = imported.messages();
                details.extend(taken.messages());
                details.extend(taken.missing.iter().cloned());
                let name = path.file_name().unwrap_or_default().display().to_string();
                let n_refused = imported.refused.len();
                let level = match () {
                    () if taken.is_nothing() && taken.n_known == 0 => Level::Error,
                    () if details.is_empty() => Level::Info,
                    () => Level::Warning,
                };
                let unread = if n_refused > 0 {
                    format!("; {} of the file not taken", counted(n_refused, "item"))
                } else {
                    String::new()
                };
                self.notices.add(level, format!("{name}: {taken}{unread}"), details);
            }
            Outcome::Exported(path, report) => {
                let is_less = report.annotations == 0 || report.lacks_files();
                let n = counted(report.annotations, "annotation");
                self.notices.add(
                    if is_less { Level::Warning } else { Level::Info },
                    format!("Exported to {}: {n}", path.display()),
                    report.to_string().lines().map(str::to_owned).collect(),
                );
            }
            Outcome::Counted(stats) => self.stats = Some(stats),
            Outcome::Models(states, own) => return self.looked_at_models(states, own),
            Outcome::GotModel(model) => self.notices.info(format!("{} is here: {}", model.name, model.about)),
            Outcome::AddedModel(added) => self.notices.info(added.to_string()),
            Outcome::Located(found) => {
                self.notices.info(format!("Found {}", counted(found.len(), "missing file")));
                self.history.edit("Find missing media", |project| {
                    for (id, path) in found {
                        if let Some(medium) = project.media.get_mut(&id) {
                            Arc::make_mut(medium).path = path;
                        }
                    }
                });
            }
        }
        if job.is_of_models {
            self.worked_on_models(id);
        }
    }

    /// A job's masks as one step: answers to boxes that still have none, and new proposals.
    fn keep(&mut self, title: &str, found: Vec<(FrameId, Option<ObjectId>, Answer)>) {
        let category = self.category();
        self.history.edit(title, |project| {
            for (at, object, answer) in found {
                let Answer { mask, iou } = answer;
                match object {
                    Some(object) => {
                        let Some(segment) = project.segment(object, at.frame) else { continue };
                        let Some(rect) = segment.rect.filter(|_| segment.mask.is_none()) else { continue };
                        let segment = project.segment_mut(object, at.frame);
                        segment.question.prompt.rect = Some(rect);
                        (segment.mask, segment.iou, segment.is_answered) = (Some(Arc::new(mask)), iou, true);
                    }
                    None => {
                        if let Some(category) = category.filter(|_| project.media.contains_key(&at.medium)) {
                            let segment = Segment { iou, ..Segment::by_hand(mask) };
                            project.add_object(at, Object::proposed(category, iou), segment);
                        }
                    }
                }
            }
        });
    }
}

/// The job that a person sees and can cancel: the last that was asked for and goes on.
pub fn shown_job(jobs: &[Job]) -> Option<&Job> {
    let asked = |job: &&Job| !job.is_quiet && !job.cancel.is_canceled();
    jobs.iter().rev().find(asked).or(jobs.last())
}
