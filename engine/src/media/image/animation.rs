//! Animated GIF, PNG and WebP files: frames drawn one over the other.
//!
//! A frame of such a file is a patch for the canvas, so that frames are drawn in their order; the last ones are kept.

mod apng;
mod canvas;
mod gif;
mod webp;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::Duration,
};

use image::{DynamicImage, RgbaImage};

use self::canvas::{Canvas, Patch};
use super::{ImageHeader, ImageKind, MediaError, require_readable, still};

/// Bytes of drawn frames that are kept.
const KEPT: usize = 64 << 20;

/// Browsers show a frame that says less than [`SHORTEST`] for so long.
const USUAL: Duration = Duration::from_millis(100);

/// Shorter times are not meant.
const SHORTEST: Duration = Duration::from_millis(11);

/// An open animation.
pub(super) struct Animation {
    path: PathBuf,
    header: ImageHeader,
    /// When each frame begins, in seconds; then when the last one ends.
    times: Vec<f64>,
    patches: Box<dyn Patches>,
    canvas: Canvas,
    /// The frame that is drawn next.
    next: usize,
    /// Frames that were drawn last, the newest last.
    kept: VecDeque<(usize, RgbaImage)>,
}

/// The patches of an animation in their order.
trait Patches: Send {
    /// Reads the next patch.
    fn next(&mut self) -> Result<Patch, MediaError>;
}

/// What is known of an animation before any patch is decoded.
struct Outline {
    /// How long each frame is shown.
    durations: Vec<Duration>,
    /// The color of the canvas before the first frame.
    ground: [u8; 4],
}

impl Animation {
    /// Opens an animation; a PNG or WebP of one frame is none.
    pub(super) fn open(path: &Path, kind: ImageKind) -> Result<Option<Self>, MediaError> {
        let (header, outline) = match kind {
            ImageKind::Gif => gif::outline(path)?,
            ImageKind::Png => (still::header(path, kind)?, apng::outline(path)?),
            _ => (still::header(path, kind)?, webp::outline(path)?),
        };
        if kind != ImageKind::Gif && outline.durations.len() < 2 {
            return Ok(None);
        }
        let n_frames = outline.durations.len();
        // The canvas; of several frames also the patch, what was there before, and the frame that is handed out.
        let bytes_per_pixel = if n_frames > 1 { 16 } else { 4 };
        let mut header = ImageHeader { n_frames, bytes_per_pixel, ..header };
        header.is_deep = false;
        require_readable(path, &header)?;
        let mut times = vec![0.0];
        for duration in outline.durations {
            let duration = if duration < SHORTEST { USUAL } else { duration };
            times.push(times[times.len() - 1] + duration.as_secs_f64());
        }
        Ok(Some(Self {
            path: path.into(),
            times,
            patches: patches(path, kind)?,
            canvas: Canvas::new(header.stored_size(), outline.ground),
            header,
            next: 0,
            kept: VecDeque::new(),
        }))
    }

    pub(super) fn header(&self) -> &ImageHeader {
        &self.header
    }

    pub(super) fn time(&self, frame: usize) -> f64 {
        self.times[frame]
    }

    /// The average; `None` of one frame.
    pub(super) fn fps(&self) -> Option<f64> {
        let n = self.header.n_frames;
        (n > 1).then(|| n as f64 / self.times[n])
    }

    /// See [`crate::media::FrameSource::decodes_from`].
    pub(super) fn decodes_from(&self, frame: usize) -> usize {
        if self.kept.iter().any(|(kept, _)| *kept == frame) {
            frame
        } else if self.next <= frame {
            self.next
        } else {
            0
        }
    }

    /// Draws up to a frame and returns it upright; `None` where `go_on`, which is asked after each frame before, says
    /// no.
    pub(super) fn frame_while(
        &mut self,
        frame: usize,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<DynamicImage>, MediaError> {
        if let Some((_, image)) = self.kept.iter().find(|(kept, _)| *kept == frame) {
            return Ok(Some(self.upright(image.clone())));
        }
        if self.next > frame {
            self.patches = patches(&self.path, self.header.kind)?;
            self.canvas.clear();
            self.next = 0;
        }
        while self.next <= frame {
            let patch = self.patches.next().inspect_err(|_| self.next = usize::MAX)?;
            self.canvas.draw(&patch);
            self.next += 1;
            self.keep();
            if self.next <= frame && !go_on() {
                return Ok(None);
            }
        }
        Ok(Some(self.upright(self.canvas.pixels().clone())))
    }

    fn keep(&mut self) {
        let pixels = self.canvas.pixels();
        let room = KEPT / pixels.len().max(1);
        while self.kept.len() >= room.max(1) {
            self.kept.pop_front();
        }
        if room > 0 {
            self.kept.push_back((self.next - 1, pixels.clone()));
        }
    }

    fn upright(&self, image: RgbaImage) -> DynamicImage {
        let mut image = DynamicImage::ImageRgba8(image);
        image.apply_orientation(self.header.orientation);
        image
    }
}

fn patches(path: &Path, kind: ImageKind) -> Result<Box<dyn Patches>, MediaError> {
    Ok(match kind {
        ImageKind::Gif => Box::new(gif::GifPatches::open(path)?),
        ImageKind::Png => Box::new(apng::PngPatches::open(path)?),
        _ => Box::new(webp::WebPPatches::open(path)?),
    })
}
