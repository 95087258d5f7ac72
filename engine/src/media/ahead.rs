//! Frames that are decoded by a thread of their own before they are asked for.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
};

use image::RgbImage;

use super::{FrameSource, MediaError};
use crate::{
    frame::{Direction, Frames},
    geometry::Size,
};

/// Bytes of pixels that are decoded before they are asked for.
const BYTES: usize = 128 << 20;

/// The frames of a source, decoded ahead in the direction in which they were asked for last.
///
/// Each frame is handed on, not kept: asking for it again decodes it again. Going backward, stretches are decoded in
/// their order and handed out from the end, so that the way from a key frame is gone once a stretch.
pub struct Ahead {
    path: PathBuf,
    n_frames: usize,
    size: Size,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ahead {
    /// Starts to decode `source` from its first frame on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(source: FrameSource) -> io::Result<Self> {
        let room = BYTES / (3 * source.size().area()).max(1);
        Self::with_room(source, room)
    }

    fn with_room(source: FrameSource, room: usize) -> io::Result<Self> {
        let (path, n_frames, size) = (source.path().to_owned(), source.n_frames(), source.size());
        let state = State::new(room.max(2), n_frames);
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let thread = {
            let shared = shared.clone();
            spawn(shared.clone(), move || decode(source, &shared))?
        };
        Ok(Self { path, n_frames, size, shared, thread: Some(thread) })
    }
}

impl Frames for Ahead {
    type Error = MediaError;

    fn n_frames(&self) -> usize {
        self.n_frames
    }

    fn size(&self) -> Size {
        self.size
    }

    fn frame(&mut self, frame: usize) -> Result<RgbImage, MediaError> {
        if frame >= self.n_frames {
            return Err(MediaError::NoSuchFrame { path: self.path.clone(), frame, n_frames: self.n_frames });
        }
        let mut state = self.shared.lock();
        state.ask(frame);
        self.shared.changed.notify_all();
        loop {
            if let Some(decoded) = state.hand_out(frame) {
                // There is room for another.
                self.shared.changed.notify_all();
                return decoded;
            }
            if state.has_ended {
                return Err(MediaError::Lost { path: self.path.clone(), frame });
            }
            state = self.shared.wait(state);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Runs `body` on a thread; when it ends, be it by a panic, whoever waits is told.
fn spawn(shared: Arc<Shared>, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    struct Ending(Arc<Shared>);
    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.lock().has_ended = true;
            self.0.changed.notify_all();
        }
    }
    Builder::new().name("decoding".to_owned()).spawn(move || {
        let _ending = Ending(shared);
        body();
    })
}

/// Decodes what is to be decoded next until the state has ended.
fn decode(mut source: FrameSource, shared: &Shared) {
    loop {
        let mut state = shared.lock();
        let frame = loop {
            if state.has_ended {
                return;
            }
            match state.next(|frame| source.key_frame(frame)) {
                Some(frame) => break frame,
                None => state = shared.wait(state),
            }
        };
        drop(state);
        let decoded = source.frame_while(frame, &mut || shared.lock().is_next(frame)).transpose();
        if let Some(decoded) = decoded {
            shared.lock().put(frame, decoded);
            shared.changed.notify_all();
        }
    }
}

/// What is asked, what is there, and what is on the way.
struct State {
    /// The frame that was asked for last.
    at: usize,
    is_handed_out: bool,
    direction: Direction,
    /// Frames that are kept at most.
    room: usize,
    n_frames: usize,
    /// Frames within the window.
    decoded: BTreeMap<usize, Result<RgbImage, MediaError>>,
    /// Frames that are to be decoded in their order before others are thought of.
    stretch: Range<usize>,
    has_ended: bool,
}

impl State {
    fn new(room: usize, n_frames: usize) -> Self {
        Self {
            at: 0,
            is_handed_out: false,
            direction: Direction::Forward,
            room,
            n_frames,
            decoded: BTreeMap::new(),
            stretch: 0..0,
            has_ended: false,
        }
    }

    /// The frames that will be asked for next if all goes on like this, as many as there is room for.
    fn window(&self) -> Range<usize> {
        match self.direction {
            Direction::Forward => {
                let start = self.at + usize::from(self.is_handed_out);
                start..(start + self.room).min(self.n_frames)
            }
            Direction::Backward => {
                let end = self.at + usize::from(!self.is_handed_out);
                end.saturating_sub(self.room)..end
            }
        }
    }

    /// Somebody waits for this frame now.
    fn ask(&mut self, frame: usize) {
        // A step says where the caller is going; a jump does not, and somebody may jump back.
        let is_step = frame.abs_diff(self.at) <= self.room;
        if is_step && frame != self.at {
            self.direction = if frame > self.at { Direction::Forward } else { Direction::Backward };
        }
        self.at = frame;
        self.is_handed_out = false;
        let window = self.window();
        self.decoded.retain(|frame, _| window.contains(frame));
        self.stretch = self.stretch.start.max(window.start)..self.stretch.end.min(window.end);
        if !self.decoded.contains_key(&frame) && !self.stretch.contains(&frame) {
            let is_jump = !is_step || self.direction == Direction::Forward;
            self.stretch = if is_jump { frame..frame + 1 } else { 0..0 };
        }
    }

    /// The frame to decode next.
    fn next(&mut self, key_frame: impl Fn(usize) -> usize) -> Option<usize> {
        if self.stretch.is_empty() {
            self.stretch = self.next_stretch(key_frame)?;
        }
        Some(self.stretch.start)
    }

    fn next_stretch(&self, key_frame: impl Fn(usize) -> usize) -> Option<Range<usize>> {
        let mut window = self.window();
        let is_missing = |frame: &usize| !self.decoded.contains_key(frame);
        if self.direction == Direction::Forward {
            return window.find(is_missing).map(|frame| frame..frame + 1);
        }
        let last = window.clone().rev().find(is_missing)?;
        let key = key_frame(last);
        let first = (window.start.max(key)..=last).rev().take_while(is_missing).last()?;
        // The way from the key frame is not worth it for a few frames that nobody waits for yet.
        let is_worth_it = last + 1 == window.end || first == key || 2 * (last - first) >= self.room;
        is_worth_it.then_some(first..last + 1)
    }

    fn is_next(&self, frame: usize) -> bool {
        !self.has_ended && self.stretch.contains(&frame)
    }

    fn put(&mut self, frame: usize, decoded: Result<RgbImage, MediaError>) {
        if self.stretch.contains(&frame) {
            self.stretch.start = frame + 1;
        }
        if self.window().contains(&frame) {
            self.decoded.insert(frame, decoded);
        }
    }

    fn hand_out(&mut self, frame: usize) -> Option<Result<RgbImage, MediaError>> {
        let decoded = self.decoded.remove(&frame)?;
        self.is_handed_out = true;
        Some(decoded)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::media::make_clip;

    const N_FRAMES: usize = 100;

    /// A clip, its frames, and the folder that it is in.
    fn clip() -> (tempfile::TempDir, PathBuf, Vec<RgbImage>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        make_clip(&path, N_FRAMES);
        let mut source = FrameSource::open(&path).unwrap();
        let frames = (0..N_FRAMES).map(|frame| source.frame(frame).unwrap()).collect();
        (folder, path, frames)
    }

    #[test]
    fn frames_are_the_same_in_whatever_order_they_are_asked_for() {
        let (_folder, path, expected) = clip();
        let ahead = RefCell::new(Ahead::with_room(FrameSource::open(&path).unwrap(), 5).unwrap());
        let check = |frame: usize| {
            assert!(ahead.borrow_mut().frame(frame).unwrap() == expected[frame], "frame {frame}");
        };
        (0..N_FRAMES).for_each(&check);
        (0..N_FRAMES).rev().for_each(&check);
        let go = (0..N_FRAMES, -6_isize..=6, 1..20_usize);
        let config = ProptestConfig::with_cases(40);
        proptest!(config, |(walk in proptest::collection::vec(go, 1..8))| {
            for (start, step, n) in walk {
                let steps = (0..n as isize).filter_map(|i| start.checked_add_signed(i * step));
                steps.filter(|frame| *frame < N_FRAMES).for_each(&check);
            }
        });
    }

    /// What is decoded, in this order, when these frames are asked for and decoding is always done by then; key frames
    /// are the hundreds.
    fn decoded_for(asked: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut state = State::new(6, 400);
        let mut order = Vec::new();
        for frame in asked {
            state.ask(frame);
            while let Some(next) = state.next(|frame| frame / 100 * 100) {
                assert!(state.is_next(next));
                state.put(next, Ok(RgbImage::new(1, 1)));
                order.push(next);
                assert!(state.decoded.len() <= 6);
                if next == frame {
                    assert!(state.hand_out(frame).is_some());
                }
            }
            state.hand_out(frame);
        }
        order
    }

    #[test]
    fn going_backward_a_key_frame_s_way_is_gone_once_a_stretch() {
        let order = decoded_for((40..=160).rev());
        let sought = order.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(sought <= 120 / 3 + 3, "{sought} seeks: {order:?}");
        let useless = order.iter().filter(|frame| !(34..=166).contains(*frame)).count();
        assert_eq!(useless, 0);
        assert!(order.len() <= 121 + 12, "frames are decoded twice: {order:?}");
    }

    #[test]
    fn a_jump_is_decoded_first_whatever_the_direction() {
        let order = decoded_for([300, 299, 298, 50]);
        let jump = order.iter().position(|frame| *frame == 50).unwrap();
        assert!(order[..jump].iter().all(|frame| *frame > 200), "{order:?}");
        let mut state = State::new(6, 400);
        state.ask(10);
        assert_eq!(state.next(|_| 0), Some(10));
        state.ask(200);
        assert!(!state.is_next(10));
        assert_eq!(state.next(|_| 0), Some(200));
    }

    #[test]
    fn nothing_is_decoded_beyond_the_ends_or_twice() {
        assert_eq!(decoded_for([398, 399]), [398, 399]);
        assert_eq!(decoded_for([2, 1, 0]), [2, 3, 4, 5, 6, 7, 8, 0, 1]);
    }

    #[test]
    fn errors_belong_to_their_frames() {
        let folder = tempfile::tempdir().unwrap();
        let name = |frame: usize| folder.path().join(format!("{frame}.png"));
        for frame in 0..8 {
            RgbImage::new(4, 4).save(name(frame)).unwrap();
        }
        let source = FrameSource::open(folder.path()).unwrap();
        std::fs::remove_file(name(3)).unwrap();
        let mut ahead = Ahead::with_room(source, 4).unwrap();
        for frame in (0..8).chain([3, 2, 3]) {
            assert_eq!(ahead.frame(frame).is_err(), frame == 3, "frame {frame}");
        }
        assert!(matches!(ahead.frame(8), Err(MediaError::NoSuchFrame { .. })));
    }

    #[test]
    fn whoever_waits_is_told_when_the_thread_panics() {
        let shared = Arc::new(Shared { state: Mutex::new(State::new(2, 9)), changed: Condvar::new() });
        let thread = spawn(shared.clone(), || panic!("a test's panic")).unwrap();
        let (path, size) = (PathBuf::from("clip.mp4"), Size::square(4));
        let mut ahead = Ahead { path, n_frames: 9, size, shared, thread: Some(thread) };
        assert!(matches!(ahead.frame(4), Err(MediaError::Lost { frame: 4, .. })));
    }
}
