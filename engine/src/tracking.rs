//! Works off what is still to be tracked in a project, in small pieces: the latest asked first, objects that are on one
//! frame together.
//!
//! It works on a copy of the project in which it records what it finds, so that whoever owns the project may hear of it
//! later. Each run begins with what the project says and nothing else, so that the same project gives the same masks,
//! whoever tracks it and however often it was interrupted before.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    frame::{Direction, PictureKind},
    mask::Rle,
    nn::{Cancel, RuntimeError},
    picture::Picture,
    project::{FrameId, MediumId, ObjectId, Project, Question, Run, RunId, Segment},
    segmenter::{Answer, SegmentError, Segmenter, Video},
};

/// What tracking reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Tracked {
    /// The mask that answers a question of a person's, which had to be known to go on.
    Answered {
        /// The object.
        object: ObjectId,
        /// Where it was asked.
        at: FrameId,
        /// What was asked.
        question: Question,
        /// The mask.
        answer: Answer,
    },
    /// A mask on a frame.
    Found {
        /// Which run.
        run: RunId,
        /// The frame.
        frame: usize,
        /// The mask, and what is known of it.
        segment: Segment,
    },
    /// A frame is damaged: its run goes on after it.
    Skipped {
        /// Which run.
        run: RunId,
        /// The frame.
        frame: usize,
    },
    /// A run has nothing left to do.
    Finished(RunId),
    /// A run cannot go on, and why.
    Failed(RunId, String),
    /// A run could go on, but not now, and why: the server with the model is away.
    Waits(RunId, String),
}

/// See the module.
#[derive(Default)]
pub struct Tracking {
    project: Project,
    /// Reports that the project's owner has not taken in yet, with their numbers.
    untaken: VecDeque<(u64, Tracked)>,
    n_reported: u64,
    /// What the model remembers for each run.
    remembered: BTreeMap<RunId, Remembered>,
    /// Frames that were found to be damaged: masks on them are not looked at.
    damaged: BTreeSet<FrameId>,
}

#[derive(Default)]
struct Remembered {
    given: BTreeMap<usize, Arc<Rle>>,
    recent: BTreeSet<usize>,
}

impl Tracking {
    /// The project is now this, with the first `n_taken` reports taken in.
    pub fn tell(&mut self, project: &Project, n_taken: u64, segmenter: &mut dyn Segmenter) {
        self.project = project.clone();
        self.untaken.retain(|(n, _)| *n > n_taken);
        for (_, report) in &self.untaken {
            report.take_in(&mut self.project);
        }
        let runs = &self.project.runs;
        self.remembered.retain(|run, _| {
            let stays = runs.contains_key(run);
            if !stays {
                segmenter.forget(*run);
            }
            stays
        });
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.project.runs.is_empty()
    }

    /// The medium of the run that is next.
    pub fn medium(&self) -> Option<MediumId> {
        Some(self.project.runs.get(&self.next()?)?.medium)
    }

    /// The run that is next: one that has a frame left, if there is one.
    fn next(&self) -> Option<RunId> {
        let (due, finished) = self.project.due_runs();
        due.first().map(|(run, _)| *run).or(finished.first().copied())
    }

    /// One piece of work: looks at one frame at most, and tracks as many objects on it as best go at once. `video` is the
    /// medium's that [`Self::medium`] tells.
    ///
    /// # Errors
    /// If it was canceled; nothing is lost then.
    pub fn turn(
        &mut self,
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Tracked>, SegmentError> {
        let (due, finished) = self.project.due_runs();
        let mut reports: Vec<Tracked> = finished.into_iter().map(Tracked::Finished).collect();
        reports.extend(self.advance(due, segmenter, video, cancel)?);
        self.keep(&reports);
        Ok(reports)
    }

    /// The model was loaded anew and remembers nothing.
    pub fn begin_anew(&mut self) {
        self.remembered.clear();
        self.damaged.clear();
    }

    /// The run that is next cannot go on.
    pub fn fail(&mut self, why: &str) -> Vec<Tracked> {
        let reports: Vec<Tracked> =
            self.next().map(|run| Tracked::Failed(run, why.to_owned())).into_iter().collect();
        self.keep(&reports);
        reports
    }

    /// Until they are taken in.
    fn keep(&mut self, reports: &[Tracked]) {
        for report in reports {
            report.take_in(&mut self.project);
            self.n_reported += 1;
            self.untaken.push_back((self.n_reported, report.clone()));
        }
    }

    /// The next piece of runs that are due on the same frame.
    fn advance(
        &mut self,
        due: Vec<(RunId, Run)>,
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Tracked>, SegmentError> {
        let (mut reports, mut ready) = (Vec::new(), Vec::new());
        for (id, run) in due {
            // Between as many and the next, a click is answered.
            if ready.len() == segmenter.at_once() {
                break;
            }
            match self.prepare(id, &run, segmenter, video, cancel) {
                Ok(Prepared::Ready) => ready.push((id, run)),
                Ok(Prepared::Answered(report)) => reports.push(report),
                Ok(Prepared::InPart) => return Ok(reports),
                Err(error) => {
                    let is_away = is_away(&error);
                    reports.extend(failed(&[(id, run)], error)?);
                    if is_away {
                        // The others would wait for it as long.
                        return Ok(reports);
                    }
                }
            }
        }
        reports.extend(self.track(&ready, segmenter, video, cancel)?);
        Ok(reports)
    }

    /// One small piece of what has to be known before a run can go on.
    fn prepare(
        &mut self,
        id: RunId,
        run: &Run,
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Prepared, SegmentError> {
        let at = |frame| FrameId { medium: run.medium, frame };
        let given = self.nearest_given(run, segmenter.reach().given);
        if let Some((frame, segment)) = given.iter().find(|(_, segment)| !segment.is_answered) {
            let (at, question) = (at(*frame), segment.question.clone());
            let pixels = match video.frame(*frame).map_err(SegmentError::from) {
                Err(error) if is_one_of_several(&given, &error) => return Ok(self.pass_over(at)),
                pixels => pixels?,
            };
            let picture = Arc::new(Picture::new(at, PictureKind::Frame, pixels));
            let answer = segmenter.answer(&picture, &question, cancel)?;
            return Ok(Prepared::Answered(Tracked::Answered { object: run.object, at, question, answer }));
        }
        let remembered = self.remembered.entry(id).or_default();
        let is_still_given = |(frame, mask): (&usize, &Arc<Rle>)| {
            let segment = self.project.segment(run.object, *frame).filter(|segment| segment.is_given());
            segment.is_some_and(|segment| segment.mask.as_ref() == Some(mask))
        };
        if !remembered.given.iter().all(is_still_given) {
            segmenter.forget(id);
            *remembered = Remembered::default();
        }
        for (frame, segment) in &given {
            let Some(mask) = segment.mask.as_ref().filter(|_| !remembered.given.contains_key(frame)) else {
                continue;
            };
            match segmenter.remember(id, at(*frame), mask, true, video, cancel) {
                Err(error) if is_one_of_several(&given, &error) => {
                    return Ok(self.pass_over(at(*frame)));
                }
                done => done?,
            }
            remembered.given.insert(*frame, mask.clone());
            return Ok(Prepared::InPart);
        }
        for (frame, mask) in self.project.recent(run, segmenter.reach().recent) {
            if !remembered.recent.contains(&frame) && !self.damaged.contains(&at(frame)) {
                match segmenter.remember(id, at(frame), &mask, false, video, cancel) {
                    Err(error) if error.damaged_frame() == Some(frame) => {
                        return Ok(self.pass_over(at(frame)));
                    }
                    done => done?,
                }
                remembered.recent.insert(frame);
                return Ok(Prepared::InPart);
            }
        }
        if given.is_empty() { Err(SegmentError::NothingGiven) } else { Ok(Prepared::Ready) }
    }

    /// Looks at no mask on a damaged frame from now on.
    fn pass_over(&mut self, at: FrameId) -> Prepared {
        self.damaged.insert(at);
        Prepared::InPart
    }

    /// The given segments that tracking the next frame of a run looks at: the nearest before it and after it, then the
    /// nearest of the others, as SAM 2's `select_closest_cond_frames` has it. Those of which no mask can be known, and those on
    /// damaged frames, are left out.
    fn nearest_given(&self, run: &Run, n: usize) -> Vec<(usize, Arc<Segment>)> {
        let is_usable = |(frame, segment): &(usize, &Arc<Segment>)| {
            segment.is_given()
                && (segment.mask.is_some() || !segment.is_answered)
                && !self.damaged.contains(&FrameId { medium: run.medium, frame: *frame })
        };
        let project = &self.project;
        let mut before = project.track_within(run.object, 0..=run.next).rev().filter(is_usable).take(n);
        let mut after = project.track_within(run.object, run.next..=usize::MAX).filter(is_usable).take(n);
        let mut nearest: Vec<_> = before.next().into_iter().chain(after.next()).collect();
        let mut others: Vec<_> = before.chain(after).collect();
        others.sort_by_key(|(frame, _)| frame.abs_diff(run.next));
        nearest.extend(others);
        nearest.dedup_by_key(|(frame, _)| *frame);
        nearest.truncate(n);
        nearest.into_iter().map(|(frame, segment)| (frame, segment.clone())).collect()
    }

    /// Tracks what is ready, all on the same frame and the same way. Where that fails for all at once, each is tried alone:
    /// what is wrong with one must not end the others.
    fn track(
        &mut self,
        ready: &[(RunId, Run)],
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Tracked>, SegmentError> {
        match (self.track_at_once(ready, segmenter, video, cancel), ready) {
            (Err(error), [(_, Run { next: frame, .. }), ..]) if error.damaged_frame() == Some(*frame) => {
                Ok(ready.iter().map(|(run, _)| Tracked::Skipped { run: *run, frame: *frame }).collect())
            }
            (Err(error), [_, _, ..]) if !matches!(error, SegmentError::Canceled) && !is_away(&error) => {
                let mut each = Vec::new();
                for one in ready.chunks(1) {
                    each.extend(self.track(one, segmenter, video, cancel)?);
                }
                Ok(each)
            }
            (tracked, _) => tracked.or_else(|error| failed(ready, error)),
        }
    }

    fn track_at_once(
        &mut self,
        ready: &[(RunId, Run)],
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Tracked>, SegmentError> {
        let Some((_, Run { medium, next: frame, direction, .. })) = ready.first().cloned() else {
            return Ok(Vec::new());
        };
        let runs: Vec<RunId> = ready.iter().map(|(run, _)| *run).collect();
        let found = segmenter.track(&runs, FrameId { medium, frame }, direction, video, cancel)?;
        let n_recent = segmenter.reach().recent;
        let tracked = runs.into_iter().zip(found).map(|(run, found)| {
            let remembered = self.remembered.entry(run).or_default();
            remembered.recent.retain(|recent| recent.abs_diff(frame) <= n_recent);
            remembered.recent.insert(frame);
            let segment = Segment::tracked(found.mask, found.iou, found.object_score);
            Tracked::Found { run, frame, segment }
        });
        Ok(tracked.collect())
    }
}

/// How far a run is from being tracked on its next frame.
enum Prepared {
    /// Nothing is missing.
    Ready,
    /// Something still is.
    InPart,
    /// Something was that others want to know too.
    Answered(Tracked),
}

/// True if a given segment's frame is damaged, and another is left to track from.
fn is_one_of_several(given: &[(usize, Arc<Segment>)], error: &SegmentError) -> bool {
    given.len() > 1 && error.damaged_frame().is_some()
}

/// Whether it is the server with the model that is.
fn is_away(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Model(RuntimeError::Remote(_)))
}

/// What an error means for runs.
fn failed(runs: &[(RunId, Run)], error: SegmentError) -> Result<Vec<Tracked>, SegmentError> {
    let report: fn(RunId, String) -> Tracked = match &error {
        SegmentError::Canceled => return Err(error),
        error if is_away(error) => Tracked::Waits,
        _ => Tracked::Failed,
    };
    Ok(runs.iter().map(|(run, _)| report(*run, error.to_string())).collect())
}

impl Tracked {
    /// Records it in a project; false if it is not wanted any more.
    pub fn take_in(&self, project: &mut Project) -> bool {
        match self {
            Self::Answered { object, at, question, answer } => {
                let asks = |segment: &Segment| !segment.is_answered && segment.question == *question;
                if !project.segment(*object, at.frame).is_some_and(|segment| asks(segment)) {
                    return false;
                }
                let segment = project.segment_mut(*object, at.frame);
                segment.mask = Some(Arc::new(answer.mask.clone()));
                (segment.iou, segment.is_answered) = (answer.iou, true);
                true
            }
            Self::Found { run, frame, segment } => project.record(*run, *frame, segment.clone()),
            Self::Skipped { run, frame } => project.skip(*run, *frame),
            Self::Finished(run) | Self::Failed(run, _) => project.runs.remove(run).is_some(),
            Self::Waits(..) => false,
        }
    }
}

impl Project {
    /// Returns the masks on the `n` frames before the next one of a run, back to the last given one, which says all that those
    /// before it could say. Frames without a mask, such as damaged ones, are skipped.
    fn recent(&self, run: &Run, n: usize) -> Vec<(usize, Arc<Rle>)> {
        let back = match run.direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        let ways = std::iter::successors(back.after(run.next), |frame| back.after(*frame));
        let segments = ways.take(n).filter_map(|frame| Some((frame, self.segment(run.object, frame)?)));
        let tracked = segments.take_while(|(_, segment)| !segment.is_given());
        tracked.filter_map(|(frame, segment)| Some((frame, segment.mask.clone()?))).collect()
    }
}
