//! Finding objects: what was looked for last, what a detector found, and which of it is proposed.
//!
//! All that was found is kept, so that thresholds and categories can change without looking again: the proposals are made
//! anew from it, as part of the step that made them first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use engine::{
    detect::{Detection, Place},
    detector::{Kind, Kinds, Role, Wanted},
    formats::counted,
    project::{FrameId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Segment, StepId, path_of},
    worker::{DetectorInfo, JobId, Outcome, Search, Sought, Task, WorkFrame},
};

use super::{Session, sweep::Sweep};
use crate::command::{Example, Find, Scope};

/// See the module.
#[derive(Default)]
pub struct Finding {
    pub(super) title: String,
    pub(super) job: Option<JobId>,
    pub(super) search: Arc<Search>,
    /// What the queries are called; of a detector of fixed classes nothing, until it says which it has.
    pub(super) kinds: Kinds,
    has_met: bool,
    /// What a person has said for [`Kinds::usual`].
    threshold: Option<f32>,
    pub(super) frames: BTreeMap<FrameId, Vec<Sighting>>,
    /// What made the proposals first.
    pub(super) step: Option<StepId>,
    pub(super) sweep: Option<Sweep>,
    /// Whether what is found in videos is tracked from where it arrives.
    tracks: bool,
    /// The kind whose proposals get its category anew.
    recategorized: Option<usize>,
    /// Proposals that there were before.
    n_before: usize,
    rows: Vec<Row>,
    failure: Option<String>,
    /// Each reason once.
    pub(super) left_out: Vec<String>,
}

/// Something found, and what was made of it.
pub(super) struct Sighting {
    pub(super) detection: Detection,
    pub(super) object: Option<ObjectId>,
    /// What was made of it, while it does not count.
    removed: Option<Removed>,
}

/// A proposal that counts no more, with all that was found of it: it may count again.
struct Removed {
    object: Arc<Object>,
    track: Vec<(usize, Arc<Segment>)>,
}

/// How a search's proposals can be changed.
pub(super) struct Extension {
    /// The step that they belong to.
    pub(super) step: StepId,
    /// New objects get ids from here on.
    pub(super) unused: ObjectId,
    /// A person has changed these since; they stay as they are.
    touched: BTreeSet<ObjectId>,
}

/// What was found of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The query or class.
    pub class: usize,
    /// What it is called, and what counts.
    pub kind: Kind,
    /// From which score on it counts.
    pub threshold: f32,
    /// How many count.
    pub n_counting: usize,
    /// How many there are in all.
    pub n_found: usize,
}

/// As many things that a person has said are not like an example are shown to the detector with it.
const N_UNLIKE: usize = 8;

/// What views may look at.
impl Finding {
    /// What was found, by what was looked for.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The threshold of kinds that have none of their own; none before anything was looked for.
    pub fn usual_threshold(&self) -> Option<f32> {
        self.has_met.then_some(self.kinds.usual)
    }

    /// Whether it is going on.
    pub fn is_running(&self) -> bool {
        self.job.is_some()
    }

    /// Whether what was found is so little that it can follow a slider.
    pub fn is_small(&self) -> bool {
        self.frames.len() == 1
    }

    /// Whether it has come to the videos, after the images.
    pub(super) fn is_in_videos(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| !sweep.is_in_images())
    }

    /// Why nothing could be looked for.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Why some of it was not looked at.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether nothing of it could be looked at.
    pub(super) fn is_blind(&self) -> bool {
        self.frames.is_empty() && !self.left_out.is_empty()
    }
}

impl Finding {
    /// What was found on these counts no more.
    pub(super) fn forget_media(&mut self, media: &[MediumId]) {
        self.frames.retain(|at, _| !media.contains(&at.medium));
    }

    /// What a detector has found on a frame.
    fn take(&mut self, at: FrameId, by: &DetectorInfo, found: Vec<Detection>, project: &Project) {
        if !self.has_met {
            self.has_met = true;
            let usual = self.threshold.unwrap_or(by.usual_threshold);
            self.kinds.usual = usual;
            if let Some(classes) = by.classes.as_ref().filter(|_| self.search.queries.is_empty()) {
                self.kinds = Kinds::of_classes(classes, usual, by.suppression);
            }
        }
        self.kinds.meet(&found, Role::Wanted);
        // A category that is there already is meant, however it is written.
        let names = || project.categories.values().map(|category| &category.name);
        for kind in self.kinds.iter_mut().filter(|kind| names().all(|name| *name != kind.category)) {
            let category = kind.category.to_lowercase();
            if let Some(name) = names().find(|name| name.to_lowercase() == category) {
                kind.category.clone_from(name);
            }
        }
        let sighting = |detection| Sighting { detection, object: None, removed: None };
        self.frames.insert(at, found.into_iter().map(sighting).collect());
    }

    /// Which of a frame's sightings count.
    pub(super) fn chosen(&self, sightings: &[Sighting]) -> Vec<usize> {
        let detections: Vec<Detection> = sightings.iter().map(|sighting| sighting.detection).collect();
        self.kinds.choose(&detections)
    }

    fn count(&mut self) {
        let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for sightings in self.frames.values() {
            for sighting in sightings {
                counts.entry(sighting.detection.class).or_default().1 += 1;
            }
            for i in self.chosen(sightings) {
                counts.entry(sightings[i].detection.class).or_default().0 += 1;
            }
        }
        // Of many classes only those that were found; of queries all.
        let is_shown = |(class, kind): &(usize, &Kind)| {
            kind.role != Role::Unlike && (*class < self.search.queries.len() || counts.contains_key(class))
        };
        let row = |(class, kind): (usize, &Kind)| {
            let (n_counting, n_found) = counts.get(&class).copied().unwrap_or_default();
            Row { class, kind: kind.clone(), threshold: self.kinds.threshold(kind), n_counting, n_found }
        };
        self.rows = self.kinds.iter().filter(is_shown).map(row).collect();
    }

    /// Makes the project's proposals what the kinds say: those that count no more go, and new ones come, unless they are
    /// known. What a person has touched stays as it is.
    fn propose(&mut self, project: &mut Project, by: &Extension) {
        let mut frames = std::mem::take(&mut self.frames);
        for (at, sightings) in &mut frames {
            let Some(medium) = project.media.get(&at.medium).cloned() else { continue };
            let chosen = self.chosen(sightings);
            let is_free = |sighting: &Sighting| sighting.object.is_none_or(|id| !by.touched.contains(&id));
            for (i, sighting) in sightings.iter_mut().enumerate() {
                if !chosen.contains(&i) && is_free(sighting) {
                    sighting.withdraw(project, *at);
                }
            }
            for i in chosen {
                let sighting = &mut sightings[i];
                let Some(kind) = self.kinds.get(sighting.detection.class) else { continue };
                if !is_free(sighting) {
                    continue;
                }
                if let Some(id) = sighting.proposal(project, *at) {
                    if self.recategorized == Some(sighting.detection.class) {
                        recategorize(project, (at.medium, id), &kind.category);
                    }
                } else if sighting.removed.is_some() {
                    let id = sighting.restore(project, *at, by.unused);
                    id.inspect(|id| recategorize(project, (at.medium, *id), &kind.category));
                } else if !(medium.is_video() && self.tracks) {
                    // What arrives in a video is tracked from where it does.
                    sighting.propose(project, *at, kind, by.unused);
                }
            }
        }
        self.frames = frames;
    }

    /// A category has another name.
    pub(super) fn rename(&mut self, before: Option<&str>, name: &str) {
        for kind in self.kinds.iter_mut().filter(|kind| Some(&*kind.category) == before) {
            kind.category = name.to_owned();
        }
        for row in self.rows.iter_mut().filter(|row| Some(&*row.kind.category) == before) {
            row.kind.category = name.to_owned();
        }
    }
}

fn recategorize(project: &mut Project, key: (MediumId, ObjectId), category: &str) {
    let category = project.category_or_new(category);
    if let Some(object) = project.objects.get_mut(&key).filter(|object| object.category != category) {
        Arc::make_mut(object).category = category;
    }
}

impl Sighting {
    /// The proposal that was made of it, if that is still one.
    fn proposal(&self, project: &Project, at: FrameId) -> Option<ObjectId> {
        let id = self.object?;
        let object = project.objects.get(&(at.medium, id)).filter(|object| object.proposal.is_some())?;
        // Ids of what is gone are given again.
        let is_it = object.proposal == Some(self.detection.score) && project.segment(id, at.frame).is_some();
        is_it.then_some(id)
    }

    /// Takes its proposal out of the project.
    fn withdraw(&mut self, project: &mut Project, at: FrameId) {
        let Some(id) = self.proposal(project, at) else { return };
        let Some(object) = project.objects.get(&(at.medium, id)).cloned() else { return };
        let track = project.track(id).map(|(frame, segment)| (frame, segment.clone())).collect();
        self.removed = Some(Removed { object, track });
        self.object = None;
        project.remove_object(at.medium, id);
    }

    /// Puts it back as it was.
    fn restore(&mut self, project: &mut Project, at: FrameId, unused: ObjectId) -> Option<ObjectId> {
        let Removed { object, track } = self.removed.take()?;
        let id = project.new_object().max(unused);
        project.objects.insert((at.medium, id), object);
        project.segments.extend(track.into_iter().map(|(frame, segment)| ((id, frame), segment)));
        self.object = Some(id);
        self.object
    }

    fn propose(&mut self, project: &mut Project, at: FrameId, kind: &Kind, unused: ObjectId) {
        let Detection { place, score, .. } = self.detection;
        let is_known = |rect| project.is_known(at, rect, project.category_named(&kind.category));
        if matches!(place, Place::Rect(rect) if is_known(rect)) {
            return;
        }
        let category = project.category_or_new(&kind.category);
        let segment = Segment::found_at(place.prompt(), score);
        let object = Object::proposed(category, score);
        self.object = Some(project.add_object_from(unused, at, object, segment));
    }
}

impl Session {
    pub(super) fn find(&mut self, find: Find) {
        if self.lacks_model() {
            return;
        }
        let Some((search, kinds)) = self.search(&find) else { return };
        self.end_finding();
        if find.every.is_some() && self.is_paused() {
            // It waits for its tracks.
            self.pause(false);
        }
        let search = Arc::new(search);
        let Some(file) = &self.file else { return };
        let frame = |at: FrameId, medium: &Medium| {
            let path = path_of(&file.folder, medium);
            WorkFrame { at, path, task: Task::Find(search.clone()) }
        };
        let media: Vec<_> = self.media_in(find.scope).collect();
        let shown = self.frame();
        let at = |id: MediumId, medium: &Medium| match (medium.kind, find.every) {
            (MediumKind::Image, _) => Some(FrameId { medium: id, frame: 0 }),
            (MediumKind::Video, None) => shown.filter(|at| at.medium == id),
            (MediumKind::Video, Some(_)) => None,
        };
        let frames: Vec<WorkFrame> =
            media.iter().filter_map(|(id, medium)| Some(frame(at(**id, medium)?, medium))).collect();
        let videos = media.iter().filter(|(_, medium)| medium.is_video()).map(|(id, _)| **id);
        let sweep =
            find.every.map(|every| Sweep::new(videos.collect(), every)).filter(|sweep| !sweep.is_done());
        if frames.is_empty() && sweep.is_none() {
            self.notices.info("There is nothing to look at: all images are done");
            return;
        }
        let title = title(&find);
        let job = Some(self.start_on(&title, frames));
        self.finding = Finding {
            title,
            job,
            search,
            kinds,
            sweep,
            tracks: find.every.is_some(),
            n_before: self.n_proposals(),
            threshold: find.threshold,
            ..Finding::default()
        };
    }

    /// What a person's words and examples ask, and what the answers are called.
    fn search(&mut self, find: &Find) -> Option<(Search, Kinds)> {
        let wanted = if find.words.trim().is_empty() { Ok(Vec::new()) } else { Wanted::list(&find.words) };
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => {
                self.finding.failure = Some(error.to_string());
                return None;
            }
        };
        if wanted.is_empty() && find.examples.is_empty() && find.detector.is_none() {
            self.finding.failure =
                Some("Say what to find: in words, by an example, or choose a detector".to_owned());
            return None;
        }
        let mut kinds = Kinds::of_phrases(&wanted, 0.0);
        let phrases = wanted.iter().flat_map(|wanted| &wanted.phrases);
        let mut queries: Vec<Sought> = phrases.map(|phrase| Sought::Phrase(phrase.clone())).collect();
        let mut add = |at: FrameId, rect, kind: Kind| {
            if let Some(path) = self.path_of(at.medium) {
                queries.push(Sought::Example { at, path, rect });
                kinds.push(kind);
            }
        };
        let category = |example: &Example| self.project().categories.get(&example.category).cloned();
        for example in &find.examples {
            let Some(category) = category(example) else { continue };
            add(
                example.at,
                example.rect,
                Kind { category: category.name.clone(), ..Kind::named(&example.name) },
            );
        }
        // Scores of words and of examples cannot be compared.
        if wanted.is_empty() {
            let categories: BTreeSet<_> = find.examples.iter().map(|example| example.category).collect();
            let unlike = categories.iter().flat_map(|id| self.project().latest_rejected(*id, N_UNLIKE));
            for (at, rect) in unlike.filter(|(at, _)| !self.is_unreadable(at.medium)) {
                add(at, rect, Kind { role: Role::Unlike, ..Kind::named("rejected") });
            }
        }
        let said = wanted.iter().filter_map(|wanted| wanted.threshold).chain(find.threshold);
        let least = said.reduce(f32::min);
        Some((Search { detector: find.detector.clone(), queries, least }, kinds))
    }

    pub(super) fn find_similar(&mut self) {
        let examples = self.selected_examples();
        if examples.is_empty() {
            self.notices.info("Select an object first, to find others like it");
            return;
        }
        let (words, detector) = (String::new(), None);
        self.find(Find { words, examples, detector, scope: Scope::Image, threshold: None, every: None });
    }

    /// The selected objects of the shown frame as examples.
    pub fn selected_examples(&self) -> Vec<Example> {
        let selected = self.segments().filter(|(id, ..)| self.selection.contains(id));
        let example = |(id, object, segment): (ObjectId, &Arc<Object>, &Arc<Segment>)| {
            let category = self.project().categories.get(&object.category)?;
            let name = format!("like {} {}", category.name, id.0);
            Some(Example { name, at: self.frame()?, rect: segment.bounds()?, category: object.category })
        };
        selected.filter_map(example).collect()
    }

    pub(super) fn detected(&mut self, job: JobId, at: FrameId, by: &DetectorInfo, found: Vec<Detection>) {
        if self.finding.job == Some(job) {
            if let Some(remark) = by.remark.as_ref().filter(|_| !self.finding.has_met) {
                self.notices.info(remark.clone());
            }
            let project = self.history.now().clone();
            self.finding.take(at, by, found, &project);
        }
    }

    /// What was found becomes proposals. False if the job goes on.
    pub(super) fn finding_ended(&mut self, outcome: &Outcome) -> bool {
        let is_undone = self.is_search_undone();
        let is_done = matches!(outcome, Outcome::Done | Outcome::Partly(_));
        if let Outcome::Partly(left_out) = outcome {
            let known = &mut self.finding.left_out;
            let new: Vec<String> = left_out.iter().filter(|why| !known.contains(why)).cloned().collect();
            known.extend(new);
        }
        if is_undone || self.finding.is_in_videos() {
            self.finding.count();
        } else {
            self.propose();
        }
        if !is_undone && is_done && self.sweep_goes_on() {
            return false;
        }
        self.finding.job = None;
        self.finding.sweep = None;
        self.finding.failure = match outcome {
            Outcome::Failed(why) => Some(why.clone()),
            _ if self.finding.is_blind() => self.finding.left_out.first().cloned(),
            _ => None,
        };
        let n_counting: usize = self.finding.rows.iter().map(|row| row.n_counting).sum();
        let what = match self.n_proposals().saturating_sub(self.finding.n_before) {
            0 if n_counting == 0 => "nothing is as sure as the threshold".to_owned(),
            0 => "all of it is there already".to_owned(),
            n => format!("{}; accept or delete them one by one, or all at once", counted(n, "proposal")),
        };
        if is_done && self.finding.failure.is_none() {
            self.notices.info(format!("{}: {what}", self.finding.title));
        }
        true
    }

    /// Whether a person has taken back what a search found.
    pub(super) fn is_search_undone(&self) -> bool {
        self.finding.step.is_some_and(|step| !self.history.is_done(step))
    }

    fn n_proposals(&self) -> usize {
        self.project().objects.values().filter(|object| object.proposal.is_some()).count()
    }

    /// A search that is still running ends; what it has found stays.
    fn end_finding(&mut self) {
        if let Some(job) = self.finding.job
            && let Some(i) = self.jobs.iter().position(|other| other.id == job)
        {
            self.finding_ended(&Outcome::Canceled);
            self.jobs.remove(i).cancel.cancel();
        }
        self.finding = Finding::default();
    }

    /// Proposals of what counts, as one step however often that changes.
    fn propose(&mut self) {
        let mut finding = std::mem::take(&mut self.finding);
        self.extend_search(&mut finding, |finding, project, by| finding.propose(project, by));
        finding.recategorized = None;
        finding.count();
        self.finding = finding;
    }

    /// Changes the project as part of the step that made a search's first proposals, or as a new step if there is none.
    pub(super) fn extend_search(
        &mut self,
        finding: &mut Finding,
        change: impl FnOnce(&mut Finding, &mut Project, &Extension),
    ) {
        let done = finding.step.filter(|step| self.history.is_done(*step));
        let step = done.unwrap_or_else(|| self.history.next_step());
        let (unused, touched) = (self.history.unused_object(step), self.history.changed_since(step));
        let (title, by) = (finding.title.clone(), Extension { step, unused, touched });
        match done {
            Some(step) => self.history.extend(step, |project| change(finding, project, &by)),
            None => self.history.edit(&title, |project| change(finding, project, &by)),
        }
        finding.step = Some(step).filter(|step| self.history.is_done(*step));
    }

    pub(super) fn count_as(&mut self, class: usize, threshold: Option<f32>, category: Option<String>) {
        let Some(kind) = self.finding.kinds.get_mut(class) else { return };
        kind.threshold = threshold;
        kind.role = if category.is_some() { Role::Wanted } else { Role::LeftOut };
        kind.category = category.unwrap_or_else(|| kind.category.clone());
        self.finding.recategorized = Some(class);
        self.propose();
    }

    pub(super) fn set_usual_threshold(&mut self, threshold: f32) {
        self.finding.kinds.usual = threshold;
        self.propose();
    }
}

/// What a search is called.
fn title(find: &Find) -> String {
    let names: Vec<&str> = match find.words.trim() {
        "" => find.examples.iter().map(|example| example.name.as_str()).collect(),
        words => vec![words],
    };
    match names.is_empty() {
        true => "Find objects".to_owned(),
        false => format!("Find {}", names.join(", ").chars().take(60).collect::<String>()),
    }
}
