//! The frames of a video file by number: frame n is the n-th that is shown, however it is reached.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use ffmpeg::{Rational, frame, picture};
use ffmpeg_next as ffmpeg;
use image::{DynamicImage, RgbImage, metadata::Orientation};

use super::{
    MediaError, PixelAspect,
    color::ToImage,
    damage,
    decode::{Decoder, Mode, Picture},
    image::turned,
    index::Index,
    tone::Tone,
};
use crate::geometry::Size;

/// A key frame this many frames ahead, or nearer, is not worth a seek.
const NEAR: usize = 8;

/// What a file that does not say is taken for.
const DEFAULT_FPS: f64 = 25.0;

/// A video file, decoded as frames are asked for.
pub(super) struct Video {
    path: PathBuf,
    decoder: Decoder,
    index: Arc<Index>,
    /// Number of the frame after the last one that came out of the decoder.
    next: usize,
    /// The key frame's packet that decoding started from, or none if from the first packet.
    start: Option<usize>,
    /// Came out of the decoder and were not given to anyone, with their frames' numbers.
    held: VecDeque<(usize, Picture)>,
    converter: ToImage,
    orientation: Orientation,
    size: Size,
    pixel_aspect: PixelAspect,
    fps: f64,
    times: Arc<[f64]>,
    is_tone_mapped: bool,
}

/// What came of decoding up to a frame.
enum Decoded {
    Frame(Picture),
    /// The decoder leaves it out.
    Nothing,
    GivenUp,
}

impl Video {
    /// See [`super::FrameSource::open`]. The index is the one that is `known` of this file; without one it is made, and
    /// is known from then on.
    pub(super) fn open(path: &Path, known: &mut Option<Arc<Index>>) -> Result<Self, MediaError> {
        let mut decoder = Decoder::open(path, Mode::Conceal)?;
        let index = match known {
            Some(index) => index.clone(),
            None => known.insert(Arc::new(Index::build(&mut decoder)?)).clone(),
        };
        if index.n_frames() == 0 {
            return Err(MediaError::NoFrames { path: path.into() });
        }
        decoder.start_at(index.packets(), 0, Mode::Watch)?;
        let mut first = decoder.next();
        if first.is_none() || decoder.is_in_trouble() {
            decoder.start_at(index.packets(), 0, Mode::Conceal)?;
            first = decoder.next();
        }
        let Some(Picture { packet, frame: mut first }) = first else {
            return Err(MediaError::NoFrames { path: path.into() });
        };
        let fps = Some(decoder.fps()).filter(|&fps| fps > 0.0).unwrap_or(DEFAULT_FPS);
        let times = index.times(decoder.time_base(), fps).into();
        let orientation = decoder.orientation();
        let aspect = PixelAspect::new(decoder.pixel_aspect(&mut first));
        let stored = Size::new(first.width() as usize, first.height() as usize);
        Ok(Self {
            path: path.into(),
            next: 0,
            start: None,
            converter: ToImage::new(&first),
            orientation,
            size: turned(stored, orientation),
            pixel_aspect: if turned(Size::new(1, 2), orientation).width == 2 {
                aspect.turned()
            } else {
                aspect
            },
            fps,
            times,
            is_tone_mapped: Tone::of(&first, None).is_some(),
            held: index
                .frame_of(packet)
                .map(|frame| (frame, Picture { packet, frame: first }))
                .into_iter()
                .collect(),
            index,
            decoder,
        })
    }

    pub(super) fn n_frames(&self) -> usize {
        self.index.n_frames()
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn fps(&self) -> f64 {
        self.fps
    }

    pub(super) fn time(&self, frame: usize) -> f64 {
        self.times[frame]
    }

    /// See [`super::FrameSource::times`].
    pub(super) fn times(&self) -> Arc<[f64]> {
        self.times.clone()
    }

    /// True if its colors are not those that are stored.
    pub(super) fn is_tone_mapped(&self) -> bool {
        self.is_tone_mapped
    }

    /// See [`super::FrameSource::pixel_aspect`].
    pub(super) fn pixel_aspect(&self) -> PixelAspect {
        self.pixel_aspect
    }

    /// See [`super::FrameSource::time_unit`].
    pub(super) fn time_unit(&self) -> Rational {
        self.decoder.time_unit()
    }

    /// See [`super::FrameSource::key_frame`].
    pub(super) fn key_frame(&self, frame: usize) -> usize {
        self.index.start(frame).and_then(|start| self.index.frame_of(start)).unwrap_or(0)
    }

    /// See [`super::FrameSource::decodes_from`].
    pub(super) fn decodes_from(&self, frame: usize) -> usize {
        let key = self.key_frame(frame);
        if self.next <= frame && key <= self.next + NEAR { self.next } else { key }
    }

    /// See [`super::FrameSource::frame_while`].
    pub(super) fn frame_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<RgbImage>, MediaError> {
        let Some(picture) = self.picture_while(frame, go_on)? else { return Ok(None) };
        let pixels = self.upright(&picture.frame);
        pixels.map(Some).map_err(|cause| MediaError::Decode { path: self.path.clone(), frame, cause })
    }

    /// See [`super::FrameSource::check`].
    pub(super) fn check(&mut self, frame: usize) -> Result<(), MediaError> {
        self.picture_while(frame, &mut || true).map(drop)
    }

    fn picture_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Picture>, MediaError> {
        loop {
            let start = self.index.start(frame);
            let known = self.index.damaged(start);
            let lacks = damage::lacks_what_it_refers_to(self.decoder.codec(), &self.index, frame);
            if lacks || known.as_ref().is_some_and(|damaged| damaged.contains(&frame)) {
                return Err(MediaError::DamagedFrame { path: self.path.clone(), frame });
            }
            // What is known to be damaged is no reason to stop.
            self.go_near(frame, if known.is_some() { Mode::Conceal } else { Mode::Watch })?;
            let picture = match self.decode_to(frame, go_on) {
                Decoded::Frame(picture) => Some(picture),
                Decoded::Nothing => None,
                Decoded::GivenUp => return Ok(None),
            };
            if self.has_noticed_damage() {
                if !self.examine(frame, go_on)? {
                    return Ok(None);
                }
                continue;
            }
            let right = picture.as_ref().is_some_and(|picture| self.index.is_frame(frame, &picture.frame));
            match (picture, self.start) {
                // What comes out wrong even from the first packet on is damaged differently each time.
                (Some(picture), start) if right || start.is_none() => return Ok(Some(picture)),
                (_, Some(start)) if self.index.is_counted() => self.forget_start(start),
                _ => return Err(MediaError::DamagedFrame { path: self.path.clone(), frame }),
            }
        }
    }

    /// True if it is to be found out what is damaged.
    fn has_noticed_damage(&self) -> bool {
        self.decoder.mode() == Mode::Watch && self.decoder.is_in_trouble()
    }

    /// Finds out which frames are damaged among those that are decoded together with `frame`; false if `go_on` said no.
    fn examine(&mut self, frame: usize, go_on: &mut dyn FnMut() -> bool) -> Result<bool, MediaError> {
        let start = self.index.start(frame);
        self.next = usize::MAX;
        self.held.clear();
        let damaged = damage::examine(&mut self.decoder, &self.index, start, go_on)?;
        let Some(damaged) = damaged else { return Ok(false) };
        if damaged.is_empty() {
            self.decoder.calm_down();
        }
        self.index.set_damaged(start, damaged);
        Ok(true)
    }

    /// Places the decoder so that `frame` is still to come.
    fn go_near(&mut self, frame: usize, mode: Mode) -> Result<(), MediaError> {
        if self.decoder.mode() != mode {
            self.next = usize::MAX;
        }
        while let Some(start) = self.index.start(frame) {
            let first = self.index.frame_of(start).unwrap_or(0);
            if self.next <= frame && first <= self.next + NEAR {
                return Ok(());
            }
            self.decoder.start_at(self.index.packets(), start, mode)?;
            self.start = Some(start);
            // A key frame that is damaged is still where its frames are decoded from.
            if self.find_start(start, first) || self.has_noticed_damage() {
                return Ok(());
            }
            self.forget_start(start);
        }
        if self.next > frame {
            self.decoder.start_at(self.index.packets(), 0, mode)?;
            self.start = None;
            self.next = 0;
            self.held.clear();
        }
        Ok(())
    }

    /// This packet is not a place to start from after all, whatever the container says.
    fn forget_start(&mut self, start: usize) {
        // Others who have the file open find out themselves.
        Arc::make_mut(&mut self.index).forget_start(start);
        self.next = usize::MAX;
    }

    /// The picture of `frame`, if it comes out of the decoder before a later one and `go_on` never says no.
    ///
    /// What it may refer to is shown later, if only a little: a picture is given out once all that is decoded before it has
    /// come out, too, so that damage there has been noticed.
    fn decode_to(&mut self, frame: usize, go_on: &mut dyn FnMut() -> bool) -> Decoded {
        /// No codec holds back more pictures.
        const MAX_DELAY: usize = 32;
        let until = match self.decoder.mode() {
            Mode::Watch => self.index.decoded_until(frame).min(frame + MAX_DELAY),
            _ => frame,
        };
        loop {
            while let Some((held, _)) = self.held.front()
                && *held < frame
            {
                self.next = held + 1;
                self.held.pop_front();
                if !go_on() {
                    return Decoded::GivenUp;
                }
            }
            let is_enough = self.held.back().is_some_and(|(last, _)| *last >= until);
            if is_enough || self.has_noticed_damage() {
                break;
            }
            let Some(picture) = self.decoder.next() else { break };
            if let Some(found) = self.index.frame_of(picture.packet) {
                self.held.push_back((found, picture));
            }
        }
        match self.held.pop_front() {
            Some((held, picture)) if held == frame => {
                self.next = frame + 1;
                Decoded::Frame(picture)
            }
            other => {
                if let Some(other) = other {
                    self.held.push_front(other);
                }
                self.next = self.held.front().map_or(self.next, |(held, _)| *held);
                Decoded::Nothing
            }
        }
    }

    /// Holds the picture of the key frame in packet `start`, frame number `first`, if it comes out of the decoder whole.
    ///
    /// Pictures that come out before it are decoded after it and lack what they refer to.
    fn find_start(&mut self, start: usize, first: usize) -> bool {
        self.held.clear();
        while let Some(picture) = self.decoder.next() {
            if picture.packet == start {
                self.next = first;
                // What was wrong with pictures that are passed over here is not wrong with those to come.
                self.decoder.passed_over(&picture);
                let whole = is_intra(&picture.frame);
                self.held.push_back((first, picture));
                return whole;
            }
            if self.index.frame_of(picture.packet) > Some(first) {
                break;
            }
        }
        false
    }

    fn upright(&mut self, decoded: &frame::Video) -> Result<RgbImage, ffmpeg::Error> {
        let mut image = DynamicImage::ImageRgb8(self.converter.convert(decoded)?);
        image.apply_orientation(self.orientation);
        Ok(image.into_rgb8())
    }
}

/// Whether the picture refers to no other.
fn is_intra(frame: &frame::Video) -> bool {
    matches!(frame.kind(), picture::Type::I | picture::Type::SI | picture::Type::None)
}
