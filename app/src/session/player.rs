//! Which frame of a video is shown: stepping, playing, shuttling.

use std::time::Duration;

use engine::{
    frame::Direction,
    project::{FrameId, Medium, MediumKind},
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
    /// The share of a frame that has passed since `frame` was due.
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
        (medium.kind == MediumKind::Video).then_some(&**medium)
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
        let Some((direction, video)) = self.player.direction.zip(self.video()) else { return };
        let fps = video.fps.unwrap_or(25.0) * self.player.speed();
        let n_frames = video.n_frames;
        self.player.passed += elapsed.min(LONGEST).as_secs_f64() * fps;
        let due = self.player.passed as usize;
        let Some(at) = self.frame().filter(|_| due > 0) else { return };
        let there = |n: &usize| {
            let frame = direction.ahead(at.frame, *n, n_frames)?;
            self.cache.pictures.contains_key(&FrameId { frame, ..at }).then_some(frame)
        };
        let is_over = direction.ahead(at.frame, 1, n_frames).is_none();
        if let Some((n, frame)) = (1..=due).rev().find_map(|n| Some((n, there(&n)?))) {
            self.player.frame = frame;
            // What could not be shown in time is not caught up with: it would be late for ever.
            self.player.passed = (self.player.passed - n as f64).min(1.0);
        } else {
            self.player.passed = self.player.passed.min(8.0);
        }
        if is_over {
            self.player.direction = None;
        }
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
