//! Executes the pending runs of a project in small steps: the latest request first, and objects on the same frame
//! together.
//!
//! It works on a copy of the project and records its results there, so the owner of the project may take them in later.
//! Each run depends on the contents of the project alone: the same project always gives the same masks, however often
//! tracking was interrupted.

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

/// A report of tracking.
#[derive(Clone, Debug, PartialEq)]
pub enum Tracked {
    /// The answer to a person's question, needed to continue tracking.
    Answered {
        /// The object.
        object: ObjectId,
        /// The frame of the question.
        at: FrameId,
        /// The question.
        question: Question,
        /// The answer.
        answer: Answer,
    },
    /// A mask tracked on a frame.
    Found {
        /// The run.
        run: RunId,
        /// The frame.
        frame: usize,
        /// The mask with its scores.
        segment: Segment,
    },
    /// A damaged frame was skipped; the run continues on the next frame.
    Skipped {
        /// The run.
        run: RunId,
        /// The frame.
        frame: usize,
    },
    /// A run has no frames left.
    Finished(RunId),
    /// A run failed, with the reason.
    Failed(RunId, String),
    /// A run has to wait because the server of the model is unreachable, with the reason.
    Waits(RunId, String),
}

/// The tracking of all runs of one project.
#[derive(Default)]
pub struct Tracking {
    project: Project,
    /// Reports that the owner of the project has not taken in yet, with their numbers.
    untaken: VecDeque<(u64, Tracked)>,
    n_reported: u64,
    /// Frames that the model has memories of, by run.
    remembered: BTreeMap<RunId, Remembered>,
    /// Damaged frames; masks on them are not used.
    damaged: BTreeSet<FrameId>,
}

#[derive(Default)]
struct Remembered {
    given: BTreeMap<usize, Arc<Rle>>,
    recent: BTreeSet<usize>,
}

impl Tracking {
    /// Replaces the project by the owner's current one, which contains the first `n_taken` reports.
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

    /// Returns true if no run is pending.
    pub fn is_idle(&self) -> bool {
        self.project.runs.is_empty()
    }

    /// Returns the medium of the next run.
    pub fn medium(&self) -> Option<MediumId> {
        Some(self.project.runs.get(&self.next()?)?.medium)
    }

    /// Returns the next run: one with frames left, or else a finished one.
    fn next(&self) -> Option<RunId> {
        let (due, finished) = self.project.due_runs();
        due.first().map(|(run, _)| *run).or(finished.first().copied())
    }

    /// Performs one step: encodes at most one frame and tracks as many objects on it as the segmenter handles together.
    /// `video` must read the medium that [`Self::medium`] returns.
    ///
    /// # Errors
    /// If it was canceled; no results are lost.
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

    /// Forgets memories and damaged frames; called when the model was reloaded and has no memories.
    pub fn begin_anew(&mut self) {
        self.remembered.clear();
        self.damaged.clear();
    }

    /// Ends the next run with an error.
    pub fn fail(&mut self, why: &str) -> Vec<Tracked> {
        let reports: Vec<Tracked> =
            self.next().map(|run| Tracked::Failed(run, why.to_owned())).into_iter().collect();
        self.keep(&reports);
        reports
    }

    /// Records reports in the copy of the project and keeps them until the owner of the project has taken them in.
    fn keep(&mut self, reports: &[Tracked]) {
        for report in reports {
            report.take_in(&mut self.project);
            self.n_reported += 1;
            self.untaken.push_back((self.n_reported, report.clone()));
        }
    }

    /// Performs the next step of runs that are due on the same frame.
    fn advance(
        &mut self,
        due: Vec<(RunId, Run)>,
        segmenter: &mut dyn Segmenter,
        video: &mut Video<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Tracked>, SegmentError> {
        let (mut reports, mut ready) = (Vec::new(), Vec::new());
        for (id, run) in due {
            // Clicks are answered between steps, so a step is limited to one batch.
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
                        // All runs use the same server, so the others would wait as long.
                        return Ok(reports);
                    }
                }
            }
        }
        reports.extend(self.track(&ready, segmenter, video, cancel)?);
        Ok(reports)
    }

    /// Performs one step of the preparation of a run: answers an open question or adds one memory. Returns
    /// [`Prepared::Ready`] if nothing is left to prepare.
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

    /// Marks a frame as damaged, so that masks on it are not used.
    fn pass_over(&mut self, at: FrameId) -> Prepared {
        self.damaged.insert(at);
        Prepared::InPart
    }

    /// Returns the given segments that tracking the next frame of a run attends to: the nearest before it, the nearest
    /// after it, then the nearest of the others, as in SAM 2's `select_closest_cond_frames`. Segments that have neither
    /// a mask nor an open question, and those on damaged frames, are left out.
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

    /// Tracks ready runs, all on the same frame and in the same direction. If tracking them together fails, each is
    /// tracked alone, so that an error of one run does not end the others.
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

/// The state of a run's preparation for its next frame.
enum Prepared {
    /// The run is ready to be tracked.
    Ready,
    /// Part of the preparation is done; more remains.
    InPart,
    /// A question was answered, which must be reported.
    Answered(Tracked),
}

/// Returns true if the frame of a given segment is damaged and other segments remain to track from.
fn is_one_of_several(given: &[(usize, Arc<Segment>)], error: &SegmentError) -> bool {
    given.len() > 1 && error.damaged_frame().is_some()
}

/// Returns true if the error comes from the server of the model, which is then taken as unreachable.
fn is_away(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Model(RuntimeError::Remote(_)))
}

/// Converts an error to a report for each run; a cancellation is passed on.
fn failed(runs: &[(RunId, Run)], error: SegmentError) -> Result<Vec<Tracked>, SegmentError> {
    let report: fn(RunId, String) -> Tracked = match &error {
        SegmentError::Canceled => return Err(error),
        error if is_away(error) => Tracked::Waits,
        _ => Tracked::Failed,
    };
    Ok(runs.iter().map(|(run, _)| report(*run, error.to_string())).collect())
}

impl Tracked {
    /// Records the report in a project; returns false if the project does not need it any more.
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
    /// Returns the masks on the `n` frames before the next frame of a run, back to the last given frame, which makes
    /// earlier ones redundant. Frames without a mask, such as damaged ones, are skipped.
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
