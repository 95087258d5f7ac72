//! Correction of masks by the colors of the image, to which a small model pays too little attention.
//!
//! Pixels colored like the object join the mask, pixels colored like the background leave it, and the border follows
//! the edges of the image. Two histograms, one of the object and one of the background, vote for each pixel, as in
//! [GrabCut](https://doi.org/10.1145/1015706.1015720) (Rother, Kolmogorov and Blake, 2004). A guided filter replaces
//! the graph cut of GrabCut: it makes neighboring pixels of the same color agree.

use std::{ops::Range, sync::Arc};

use image::{Rgb, RgbImage, imageops};

use crate::{
    frame::resized,
    geometry::{Point, Rect, Size},
    mask::{Components, Connectivity, Guide, Mask, Rle, resize_bilinear_part},
    prompt::{Label, Prompt},
};

use super::image::Logits;

/// Longer side in pixels of the small image on which colors are compared.
const SIDE: usize = 256;
/// Number of times the histograms are computed from the latest mask.
const ROUNDS: usize = 2;
/// Largest absolute value of a logit; the model's logits and their sums with clicks are clamped to it.
pub(super) const MOST_SURE: f32 = 6.0;
/// Largest absolute value of a histogram's vote, which is a log-likelihood ratio.
const MOST_VOTE: f32 = 3.0;
/// Weights of two votes: by the color of the pixel, and by the mean color of its neighborhood.
const WEIGHTS: [f32; 2] = [0.7, 0.35];
/// Standard deviation of the blur that averages a neighborhood, in pixels of the small image.
const NEIGHBORHOOD: f32 = 4.0;
/// Radius of the guided filter's windows, in pixels of the small image, and its epsilon.
const RADIUS: usize = 6;
const EPSILON: f32 = 1e-3;
/// Standard deviation in pixels of the small image of a click's influence, which overrides the model near the click.
const CLICK: f32 = 5.0;
/// Slack around a box as a share of its sides; pixels further outside are background. Boxes are drawn by hand.
const SLACK: f32 = 0.03;
/// Minimum share of a connected component that the model and the clicks must support; components below it are dropped.
const LEAST_SAID: f32 = 0.25;

/// The colors of an image, prepared for any number of masks.
pub(super) struct Colors {
    guide: Guide,
    /// Histogram bin of each pixel, by its own color and by the mean color of its neighborhood.
    bins: [Vec<u16>; 2],
}

/// Returns the scale, at most 1, at which an image with a longer side of `side` pixels is processed.
pub(super) fn scale(side: u32) -> f32 {
    (SIDE as f32 / side as f32).min(1.0)
}

/// Returns the image resized by `scale`.
pub(super) fn scaled(image: &RgbImage, scale: f32) -> RgbImage {
    let [width, height] = [image.width(), image.height()].map(|n| ((n as f32 * scale).round() as u32).max(1));
    resized(image, width, height)
}

/// The color statistics of an object: for each bin the log ratio of its likelihood in the object and in the background,
/// for the color of a pixel and for that of its neighborhood.
#[derive(Debug)]
pub struct Palette([Vec<f32>; 2]);

impl Palette {
    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|votes| size_of_val(&**votes)).sum()
    }
}

impl Colors {
    pub(super) fn of(image: &RgbImage) -> Self {
        Self::scaled(image, scale(image.width().max(image.height())))
    }

    /// Prepares the colors of an image that is processed at `scale` times its size.
    pub(super) fn scaled(image: &RgbImage, scale: f32) -> Self {
        let small = scaled(image, scale);
        let neighborhoods = imageops::fast_blur(&small, NEIGHBORHOOD);
        let bins = [&small, &neighborhoods].map(|image| image.pixels().map(bin).collect());
        Self { guide: Guide::new(&small, RADIUS, EPSILON), bins }
    }

    /// Returns the memory use in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.guide.bytes() + self.bins.iter().map(|bins| size_of_val(&**bins)).sum::<usize>()
    }

    /// Returns the size of the small image.
    pub(super) fn size(&self) -> Size {
        self.guide.size()
    }

    /// Returns the corrected mask at the size of `image`, the image of these colors; `prompt` is in pixels of `image`.
    pub(super) fn mask(&self, image: &RgbImage, prompt: &Prompt, logits: &Logits) -> Mask {
        let size = Size::new(image.width() as usize, image.height() as usize);
        self.corrected(image, &self.said(size, prompt, logits), &[])
    }

    /// Returns the color statistics of the object with this mask of the image.
    pub(super) fn palette(&self, mask: &Mask) -> Palette {
        let mask = mask.resize(self.size());
        let share: Vec<f32> = mask.bits().iter().map(|on| f32::from(u8::from(*on))).collect();
        Palette(self.bins.each_ref().map(|bins| votes(bins, &share)))
    }

    /// Returns the corrected mask at the size of `image`. `said` holds the logits of the small image's pixels, and
    /// `known` the object's colors on other frames.
    pub(super) fn corrected(&self, image: &RgbImage, said: &[f32], known: &[Arc<Palette>]) -> Mask {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let said: Vec<f32> = said.iter().map(|logit| logit.clamp(-MOST_SURE, MOST_SURE)).collect();
        let mut fit = self.guide.fit(&said);
        for _ in 0..ROUNDS {
            let share: Vec<f32> =
                self.guide.apply(&fit).into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
            let mut belief = said.clone();
            for (i, (bins, weight)) in self.bins.iter().zip(WEIGHTS).enumerate() {
                let votes = with_known(votes(bins, &share), known.iter().map(|palette| &palette.0[i]));
                belief.iter_mut().zip(bins).for_each(|(sum, &bin)| *sum += weight * votes[usize::from(bin)]);
            }
            fit = self.guide.fit(&belief);
        }
        // Enlarge only the region of the object, so that a large image costs no more than the object in it.
        let small =
            Mask::new(self.guide.size(), self.guide.apply(&fit).into_iter().map(|v| v > 0.0).collect());
        let Some([columns, rows]) = region(&small, size) else { return Mask::empty(size) };
        let on = |logits: Vec<f32>| {
            let bits = logits.into_iter().map(|logit| logit > 0.0).collect();
            Mask::new(Size::new(columns.len(), rows.len()), bits)
        };
        let part = [columns.clone(), rows.clone()];
        let mask = on(fit.enlarge(image, part.clone()));
        let mut said_here = Vec::with_capacity(mask.size().area());
        resize_bilinear_part(&said, self.guide.size(), size, part, |row| said_here.extend_from_slice(row));
        without_strangers(&mask, &on(said_here)).placed((columns.start, rows.start), size)
    }

    /// Combines the model's logits and the prompt into logits of the small image's pixels.
    fn said(&self, size: Size, prompt: &Prompt, logits: &Logits) -> Vec<f32> {
        let small = self.guide.size();
        let mut said = logits.resized(small);
        for (i, logit) in said.iter_mut().enumerate() {
            let at = Point {
                x: ((i % small.width) as f32 + 0.5) * size.width as f32 / small.width as f32,
                y: ((i / small.width) as f32 + 0.5) * size.height as f32 / small.height as f32,
            };
            *logit = logit.clamp(-MOST_SURE, MOST_SURE);
            if prompt.rect.is_some_and(|rect| is_outside(at, rect)) {
                *logit = -MOST_SURE;
            }
            for click in &prompt.points {
                let far =
                    (click.at.x - at.x).hypot(click.at.y - at.y) * small.width as f32 / size.width as f32;
                let weight = 2.0 * MOST_SURE * (-0.5 * (far / CLICK).powi(2)).exp();
                *logit += if click.label == Label::Positive { weight } else { -weight };
            }
            *logit = logit.clamp(-MOST_SURE, MOST_SURE);
        }
        said
    }
}

/// Returns the columns and rows, in an image of `size`, of the bounding box of a mask of the small image plus the
/// radius of the filter's windows; `None` if the mask is empty.
fn region(small: &Mask, size: Size) -> Option<[Range<usize>; 2]> {
    let [x, y, width, height] = Rle::encode(small).bbox().map(|v| v as usize);
    let span = |from: usize, n: usize, n_small: usize, n_large: usize| {
        let first = from.saturating_sub(RADIUS) * n_large / n_small;
        first..((from + n + RADIUS).min(n_small) * n_large).div_ceil(n_small)
    };
    let Size { width: small_width, height: small_height } = small.size();
    (width > 0).then(|| [span(x, width, small_width, size.width), span(y, height, small_height, size.height)])
}

/// Drops components of a mask that `said` does not support: other objects with the same colors.
fn without_strangers(mask: &Mask, said: &Mask) -> Mask {
    let parts = Components::of(mask, Connectivity::Eight);
    let mut n_said = vec![0; parts.n()];
    for (i, _) in said.bits().iter().enumerate().filter(|(_, on)| **on) {
        parts.label(i).into_iter().for_each(|part| n_said[part] += 1);
    }
    let is_said = |part: usize| n_said[part] as f32 >= LEAST_SAID * parts.area(part) as f32;
    let bits = (0..mask.bits().len()).map(|i| parts.label(i).is_some_and(is_said)).collect();
    Mask::new(mask.size(), bits)
}

/// Returns true if a point lies outside a box with slack.
fn is_outside(at: Point, rect: Rect) -> bool {
    let (x, y) = (SLACK * (rect.x1 - rect.x0), SLACK * (rect.y1 - rect.y0));
    at.x < rect.x0 - x || at.x > rect.x1 + x || at.y < rect.y0 - y || at.y > rect.y1 + y
}

/// Bins along each of three axes: brightness (luma), and the red and blue color differences (chroma).
const LEVELS: usize = 16;
/// Width of a chroma bin. Narrow, because most color differences are small.
const STEP: f32 = 6.0;

/// Returns the histogram bin of a color by its luma and its blue and red chroma, computed as in JPEG.
fn bin(pixel: &Rgb<u8>) -> u16 {
    let [r, g, b] = pixel.0.map(f32::from);
    let brightness = 0.299 * r + 0.587 * g + 0.114 * b;
    let level = |difference: f32| {
        (difference / STEP + LEVELS as f32 / 2.0).floor().clamp(0.0, LEVELS as f32 - 1.0) as usize
    };
    let brightness_level = (brightness as usize * LEVELS / 256).min(LEVELS - 1);
    ((brightness_level * LEVELS + level(0.713 * (r - brightness))) * LEVELS + level(0.564 * (b - brightness)))
        as u16
}

/// Returns, for each bin, the log ratio of its likelihood in the object and in the background. `share` is the
/// probability of each pixel being the object.
fn votes(bins: &[u16], share: &[f32]) -> Vec<f32> {
    let mut counts = [vec![0.0_f32; LEVELS.pow(3)], vec![0.0; LEVELS.pow(3)]];
    for (&bin, share) in bins.iter().zip(share) {
        counts[0][usize::from(bin)] += share;
        counts[1][usize::from(bin)] += 1.0 - share;
    }
    let [object, rest] = counts.map(|counts| {
        let smooth = spread(counts);
        let total: f32 = smooth.iter().sum::<f32>() + 1e-9;
        smooth.into_iter().map(move |n| n / total + 1e-6)
    });
    object.zip(rest).map(|(a, b)| (a / b).ln().clamp(-MOST_VOTE, MOST_VOTE)).collect()
}

/// Averages an image's own votes and the mean of the `known` votes of other frames, each with half the weight; without
/// known votes, returns the image's own.
fn with_known<'a>(own: Vec<f32>, known: impl ExactSizeIterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    if known.len() == 0 {
        return own;
    }
    let share = 0.5 / known.len() as f32;
    let mut votes: Vec<f32> = own.into_iter().map(|vote| 0.5 * vote).collect();
    for known in known {
        votes.iter_mut().zip(known).for_each(|(sum, vote)| *sum += share * vote);
    }
    votes
}

/// Smooths counts along each axis with the kernel (1/4, 1/2, 1/4).
fn spread(mut counts: Vec<f32>) -> Vec<f32> {
    for stride in [1, LEVELS, LEVELS * LEVELS] {
        let level = |i: usize| i / stride % LEVELS;
        counts = (0..counts.len())
            .map(|i| {
                let below = if level(i) > 0 { counts[i - stride] } else { counts[i] };
                let above = if level(i) < LEVELS - 1 { counts[i + stride] } else { counts[i] };
                0.5 * counts[i] + 0.25 * (below + above)
            })
            .collect();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::PointPrompt;

    const SIZE: Size = Size::new(300, 200);

    /// Returns an image of two speckled red disks, at (100, 100) and (240, 100), on speckled green. Their radius is 40.
    fn picture() -> RgbImage {
        RgbImage::from_fn(300, 200, |x, y| {
            let speckle = ((x * 31 + y * 17 + x * y) % 40) as u8;
            let red = disk(100.0, 40.0, x, y) || disk(240.0, 40.0, x, y);
            Rgb(if red { [200, 40 + speckle, 40] } else { [60, 120 + speckle, 50] })
        })
    }

    fn disk(center: f32, radius: f32, x: u32, y: u32) -> bool {
        (x as f32 - center).hypot(y as f32 - 100.0) < radius
    }

    fn mask_of(center: f32, radius: f32) -> Mask {
        let on = |i: usize| disk(center, radius, (i % SIZE.width) as u32, (i / SIZE.width) as u32);
        Mask::new(SIZE, (0..SIZE.area()).map(on).collect())
    }

    /// Returns the logits of a model that predicts a disk of `radius`, unsure near its border; the true radius is 40.
    fn answer(radius: f32) -> Logits {
        let side = 64;
        let value = |i: usize| {
            let (x, y) = ((i % side) as f32 / 64.0 * 300.0, (i / side) as f32 / 64.0 * 200.0);
            (radius - (x - 100.0).hypot(y - 100.0)) * 0.2
        };
        Logits { side, values: (0..side * side).map(value).collect() }
    }

    fn click(x: f32, label: Label) -> Prompt {
        Prompt { points: vec![PointPrompt { at: Point { x, y: 100.0 }, label }], rect: None }
    }

    #[test]
    fn border_follows_the_color_edge() {
        let image = picture();
        let (colors, truth) = (Colors::of(&image), mask_of(100.0, 40.0));
        for radius in [32.0, 48.0] {
            let logits = answer(radius);
            assert!(logits.mask(SIZE).iou(&truth) < 0.75);
            let mask = colors.mask(&image, &click(100.0, Label::Positive), &logits);
            assert!(mask.iou(&truth) > 0.95, "from {radius}: {}", mask.iou(&truth));
        }
    }

    #[test]
    fn distant_object_of_same_color_stays_out() {
        let image = picture();
        let mut unsure = answer(40.0);
        unsure.values.iter_mut().for_each(|logit| *logit = logit.max(-1.0));
        let mask = Colors::of(&image).mask(&image, &click(100.0, Label::Positive), &unsure);
        assert!(mask.iou(&mask_of(100.0, 40.0)) > 0.95);
    }

    #[test]
    fn clicks_and_boxes_override_colors() {
        let image = picture();
        let colors = Colors::of(&image);
        let on = |mask: &Mask, x: usize| mask.bits()[100 * SIZE.width + x];
        // The model follows the click only weakly; colors alone would override it.
        let mut notched = answer(40.0);
        let side = notched.side;
        for (i, logit) in notched.values.iter_mut().enumerate() {
            let (x, y) = ((i % side) as f32 / 64.0 * 300.0, (i / side) as f32 / 64.0 * 200.0);
            if (x - 75.0).hypot(y - 100.0) < 12.0 {
                *logit = -1.0;
            }
        }
        let mask = colors.mask(&image, &Prompt::default(), &notched);
        assert!(on(&mask, 110) && on(&mask, 75));
        let mask = colors.mask(&image, &click(75.0, Label::Negative), &notched);
        assert!(on(&mask, 110) && !on(&mask, 75));
        // Both the model and the colors include the other disk; only the box excludes it.
        let all = answer(190.0);
        let rect = Rect { x0: 55.0, y0: 55.0, x1: 145.0, y1: 145.0 };
        let mask = colors.mask(&image, &Prompt { points: vec![], rect: Some(rect) }, &all);
        assert!(on(&mask, 100) && !on(&mask, 240));
    }
}
