//! Which frame of a video is shown: stepping, playing, shuttling.

use std::time::Duration;

use engine::{
    frame::Direction,
    project::{FrameId, Medium},
};

use super::Session;

/// How a video plays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Player {
    /// The frame that is shown.
    pub frame: usize,
    /// Which way it plays; none while it stands.
    pub direction: Option<Direction>,
    /// How many times as fast as it was filmed, as an index into [`SPEEDS`].
    speed: Option<usize>,
    /// Seconds of the video that have passed since `frame` was due.
    passed: f64,
}

/// Speeds to play at.
const SPEEDS: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
const NORMAL: usize = 3;
/// So long a turn counts at most: after a pause of the window, the video goes on from where it was.
const LONGEST: Duration = Duration::from_millis(250);

impl Player {
    /// How many times as fast as it was filmed.
    pub fn speed(&self) -> f64 {
        SPEEDS[self.speed.unwrap_or(NORMAL)]
    }

    /// Whether it plays.
    pub fn plays(&self) -> bool {
        self.direction.is_some()
    }
}

impl Session {
    /// How the shown video plays.
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// The shown medium, if it is a video.
    pub fn video(&self) -> Option<&Medium> {
        let medium = self.project().media.get(&self.shown?)?;
        (medium.is_video()).then_some(&**medium)
    }

    /// Shows a frame, the nearest that there is.
    pub(super) fn go_to_frame(&mut self, frame: usize) {
        let n_frames = self.video().map_or(1, |video| video.n_frames);
        self.player.frame = frame.min(n_frames.saturating_sub(1));
        self.player.passed = 0.0;
    }

    /// Some images or frames on.
    pub(super) fn step(&mut self, n: i32) {
        if self.video().is_none() {
            self.step_medium(n);
            return;
        }
        self.player.direction = None;
        let by = n.unsigned_abs() as usize;
        let frame = self.player.frame;
        self.go_to_frame(if n > 0 { frame.saturating_add(by) } else { frame.saturating_sub(by) });
    }

    /// Plays, or stops if it plays that way already.
    pub(super) fn play(&mut self, direction: Direction) {
        let Some(video) = self.video() else { return };
        let (last, frame) = (video.n_frames - 1, self.player.frame);
        let stops = self.player.direction == Some(direction);
        self.player.direction = (!stops).then_some(direction);
        self.player.passed = 0.0;
        match direction {
            Direction::Forward if !stops && frame == last => self.go_to_frame(0),
            Direction::Backward if !stops && frame == 0 => self.go_to_frame(last),
            _ => {}
        }
    }

    pub(super) fn change_speed(&mut self, by: isize) {
        let speed = self.player.speed.unwrap_or(NORMAL).saturating_add_signed(by);
        self.player.speed = Some(speed.min(SPEEDS.len() - 1));
    }

    /// Lets time pass: goes on to the frame that is due, or as near to it as frames are there.
    pub(super) fn let_pass(&mut self, elapsed: Duration) {
        /// Frames of lag that are caught up with; a longer lag is dropped.
        const LATE: f64 = 8.0;
        let Some((direction, video)) = self.player.direction.zip(self.video()) else { return };
        let (n_frames, gap) = (video.n_frames, 1.0 / video.fps.unwrap_or(25.0));
        self.player.passed += elapsed.min(LONGEST).as_secs_f64() * self.player.speed();
        let Some(at) = self.frame() else { return };
        let passed = self.player.passed;
        // Frames that are not there have no time; by the average rate no more than these can be due.
        let n_due = (passed / gap) as usize + LATE as usize;
        let ahead = (1..=n_due).map_while(|n| Some((n, direction.ahead(at.frame, n, n_frames)?)));
        let there =
            ahead.filter_map(|(n, frame)| Some((frame, self.gap(at, frame)?.unwrap_or(gap * n as f64))));
        let due = there.take_while(|(_, gap)| *gap <= passed).last();
        let is_over = direction.ahead(at.frame, 1, n_frames).is_none();
        match due {
            Some((frame, after)) => {
                self.player.frame = frame;
                self.player.passed = (passed - after).min(gap);
            }
            None => {
                self.player.passed = passed.min(LATE * gap.max(self.gap_to_next(at, direction, n_frames)))
            }
        }
        // The last frame is shown as long as any.
        if is_over && passed >= gap {
            self.player.direction = None;
        }
    }

    /// Seconds between two frames of a video, if both are read and say when they are shown; none if the second is not read.
    fn gap(&self, from: FrameId, frame: usize) -> Option<Option<f64>> {
        let time = |frame| {
            let picture = self.cache.pictures.get(&FrameId { frame, ..from })?;
            Some(picture.as_ref().ok().and_then(|picture| picture.time))
        };
        let to = time(frame)?;
        Some(time(from.frame).flatten().zip(to).map(|(from, to)| (to - from).abs()))
    }

    /// Returns the time of the shown frame in seconds after the first, by the average rate until the frame is read; `None`
    /// if it is not of a video or there is no rate.
    pub fn time(&self) -> Option<f64> {
        let (at, video) = self.frame().zip(self.video())?;
        let read = self.cache.pictures.get(&at).and_then(|picture| picture.as_ref().ok()?.time);
        read.or_else(|| video.fps.map(|fps| at.frame as f64 / fps))
    }

    /// Seconds to the next frame on the way, or 0 where that is not known.
    fn gap_to_next(&self, at: FrameId, direction: Direction, n_frames: usize) -> f64 {
        let next = direction.ahead(at.frame, 1, n_frames);
        next.and_then(|next| self.gap(at, next)?).unwrap_or(0.0)
    }

    /// Shows the next frame that was given, of the selected objects or of all.
    pub(super) fn go_to_keyframe(&mut self, direction: Direction) {
        let Some(at) = self.frame() else { return };
        let project = self.project();
        let Some(from) = direction.after(at.frame) else { return };
        let all: Vec<_> = project.objects_of(at.medium).map(|(id, _)| id).collect();
        let objects = if self.selection.is_empty() { &all } else { &self.selection };
        let given = objects.iter().filter_map(|id| project.next_given(*id, from, direction));
        match given.min_by_key(|frame| frame.abs_diff(at.frame)) {
            Some(frame) => self.go_to_frame(frame),
            None => self.notices.info("There is no further keyframe this way"),
        }
    }
}
