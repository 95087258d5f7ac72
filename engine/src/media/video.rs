//! The frames of a video file by number: frame n is the n-th that is shown, however it is reached.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ffmpeg::{format::Pixel, frame, picture};
use ffmpeg_next as ffmpeg;
use image::{DynamicImage, RgbImage, metadata::Orientation};

use super::{
    MediaError,
    color::{Converter, Yuv},
    decode::{Decoder, Picture},
    image::turned,
    index::Index,
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
    /// Came out of the decoder and was not given to anyone.
    held: Option<Picture>,
    converter: Converter,
    /// The converter's last output: memory that is used again.
    rgb: frame::Video,
    orientation: Orientation,
    size: Size,
    fps: f64,
    times: Vec<f64>,
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
        let mut decoder = Decoder::open(path)?;
        let index = match known {
            Some(index) => index.clone(),
            None => known.insert(Arc::new(Index::build(&mut decoder)?)).clone(),
        };
        if index.n_frames() == 0 {
            return Err(MediaError::NoFrames { path: path.into() });
        }
        decoder.start_at(index.packets(), 0)?;
        let held = decoder.next();
        let Some(Picture { frame: first, .. }) = &held else {
            return Err(MediaError::NoFrames { path: path.into() });
        };
        let fps = Some(decoder.fps()).filter(|&fps| fps > 0.0).unwrap_or(DEFAULT_FPS);
        let times = index.times(decoder.time_base(), fps);
        let orientation = decoder.orientation();
        Ok(Self {
            path: path.into(),
            index,
            next: 0,
            start: None,
            converter: Converter::new(Pixel::RGB24, first.width(), first.height()),
            rgb: frame::Video::empty(),
            orientation,
            size: turned(Size::new(first.width() as usize, first.height() as usize), orientation),
            fps,
            times,
            decoder,
            held,
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
        loop {
            self.go_near(frame)?;
            let picture = match self.decode_to(frame, go_on) {
                Decoded::Frame(picture) => Some(picture),
                Decoded::Nothing => None,
                Decoded::GivenUp => return Ok(None),
            };
            let right = picture.as_ref().is_some_and(|picture| self.index.is_frame(frame, &picture.frame));
            match (picture, self.start) {
                // What comes out wrong even from the first packet on is damaged differently each time.
                (Some(picture), start) if right || start.is_none() => {
                    let pixels = self.upright(&picture.frame).map_err(|cause| MediaError::Decode {
                        path: self.path.clone(),
                        frame,
                        cause,
                    });
                    return pixels.map(Some);
                }
                (_, Some(start)) if self.index.is_counted() => self.forget_start(start),
                _ => return Err(MediaError::DamagedFrame { path: self.path.clone(), frame }),
            }
        }
    }

    /// Places the decoder so that `frame` is still to come.
    fn go_near(&mut self, frame: usize) -> Result<(), MediaError> {
        while let Some(start) = self.index.start(frame) {
            let first = self.index.frame_of(start).unwrap_or(0);
            if self.next <= frame && first <= self.next + NEAR {
                return Ok(());
            }
            self.decoder.start_at(self.index.packets(), start)?;
            self.start = Some(start);
            if self.find_start(start, first) {
                return Ok(());
            }
            self.forget_start(start);
        }
        if self.next > frame {
            self.decoder.start_at(self.index.packets(), 0)?;
            self.start = None;
            self.next = 0;
            self.held = None;
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
    fn decode_to(&mut self, frame: usize, go_on: &mut dyn FnMut() -> bool) -> Decoded {
        while let Some(picture) = self.held.take().or_else(|| self.decoder.next()) {
            let Some(found) = self.index.frame_of(picture.packet) else { continue };
            self.next = found + 1;
            if found == frame {
                return Decoded::Frame(picture);
            }
            if found > frame {
                self.next = found;
                self.held = Some(picture);
                break;
            }
            if !go_on() {
                return Decoded::GivenUp;
            }
        }
        Decoded::Nothing
    }

    /// Holds the picture of the key frame in packet `start`, frame number `first`, if it comes out of the decoder whole.
    ///
    /// Pictures that come out before it are decoded after it and lack what they refer to.
    fn find_start(&mut self, start: usize, first: usize) -> bool {
        self.held = None;
        while let Some(picture) = self.decoder.next() {
            if picture.packet == start {
                self.next = first;
                let whole = is_intra(&picture.frame);
                self.held = Some(picture);
                return whole;
            }
            if self.index.frame_of(picture.packet) > Some(first) {
                break;
            }
        }
        false
    }

    fn upright(&mut self, decoded: &frame::Video) -> Result<RgbImage, ffmpeg::Error> {
        self.converter.convert(decoded, &mut self.rgb, Yuv::of(decoded))?;
        let rgb = &self.rgb;
        let row = 3 * rgb.width() as usize;
        let mut pixels = Vec::with_capacity(row * rgb.height() as usize);
        for line in rgb.data(0).chunks(rgb.stride(0)) {
            pixels.extend_from_slice(&line[..row]);
        }
        let image = RgbImage::from_raw(rgb.width(), rgb.height(), pixels).ok_or(ffmpeg::Error::Bug)?;
        let mut image = DynamicImage::ImageRgb8(image);
        image.apply_orientation(self.orientation);
        Ok(image.into_rgb8())
    }
}

/// Whether the picture refers to no other.
fn is_intra(frame: &frame::Video) -> bool {
    matches!(frame.kind(), picture::Type::I | picture::Type::SI | picture::Type::None)
}
