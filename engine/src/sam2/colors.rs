//! Corrects an answer by the image's own colors, which a small model sees too little of.
//!
//! What is colored like the object found joins it, what is colored like the rest leaves it, and the border follows the
//! image's edges. Two histograms of the object and of the rest vote for each pixel, as in GrabCut (Rother, Kolmogorov and
//! Blake, 2004); a guided filter in place of its graph cut makes neighbors of one color agree.

use std::{ops::Range, sync::Arc};

use image::{Rgb, RgbImage, imageops};

use crate::{
    frame::resized,
    geometry::{Point, Rect, Size},
    mask::{Components, Connectivity, Guide, Mask, Rle, resize_bilinear_part},
    prompt::{Label, Prompt},
};

use super::image::Logits;

/// Colors are compared with the image's longer side at this many pixels.
const SIDE: usize = 256;
/// How often the histograms are learned from the last mask.
const ROUNDS: usize = 2;
/// A logit of the model counts up to this.
pub(super) const MOST_SURE: f32 = 6.0;
/// A histogram's vote, a log ratio of likelihoods, counts up to this.
const MOST_VOTE: f32 = 3.0;
/// How much the votes of a pixel's color and of its neighborhood's color weigh.
const WEIGHTS: [f32; 2] = [0.7, 0.35];
/// Deviation of the blur that makes a neighborhood, in pixels of the small image.
const NEIGHBORHOOD: f32 = 4.0;
/// How far the guided filter's windows reach, in pixels of the small image, and its epsilon.
const RADIUS: usize = 6;
const EPSILON: f32 = 1e-3;
/// A click decides for the pixels round it: the deviation in pixels of the small image.
const CLICK: f32 = 5.0;
/// What a box leaves out is off, except for this share of its sides: boxes are drawn by hand.
const SLACK: f32 = 0.03;
/// A part of the mask of which the model or a click says less than this share is dropped.
const LEAST_SAID: f32 = 0.25;

/// An image's colors, prepared for any number of answers.
pub(super) struct Colors {
    guide: Guide,
    /// Each pixel's bin, by its own color and by its neighborhood's.
    bins: [Vec<u16>; 2],
}

/// How large an image is looked at whose longer side is so many pixels, of 1.
pub(super) fn scale(side: u32) -> f32 {
    (SIDE as f32 / side as f32).min(1.0)
}

/// An image `scale` times as large.
pub(super) fn scaled(image: &RgbImage, scale: f32) -> RgbImage {
    let [width, height] = [image.width(), image.height()].map(|n| ((n as f32 * scale).round() as u32).max(1));
    resized(image, width, height)
}

/// What the colors of an object tell: for each bin how much likelier the object has it than what is round it, by the color
/// of a pixel and by that of its neighborhood.
#[derive(Debug)]
pub struct Palette([Vec<f32>; 2]);

impl Palette {
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|votes| size_of_val(&**votes)).sum()
    }
}

impl Colors {
    pub(super) fn of(image: &RgbImage) -> Self {
        Self::scaled(image, scale(image.width().max(image.height())))
    }

    /// Of an image that is looked at `scale` times as large.
    pub(super) fn scaled(image: &RgbImage, scale: f32) -> Self {
        let small = scaled(image, scale);
        let neighborhoods = imageops::fast_blur(&small, NEIGHBORHOOD);
        let bins = [&small, &neighborhoods].map(|image| image.pixels().map(bin).collect());
        Self { guide: Guide::new(&small, RADIUS, EPSILON), bins }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.guide.bytes() + self.bins.iter().map(|bins| size_of_val(&**bins)).sum::<usize>()
    }

    /// The size at which the image is looked at.
    pub(super) fn size(&self) -> Size {
        self.guide.size()
    }

    /// The mask at the size of `image`, which these are the colors of; `prompt` is in its pixels.
    pub(super) fn mask(&self, image: &RgbImage, prompt: &Prompt, logits: &Logits) -> Mask {
        let size = Size::new(image.width() as usize, image.height() as usize);
        self.corrected(image, &self.said(size, prompt, logits), &[])
    }

    /// What they tell of an object that has this mask of the image.
    pub(super) fn palette(&self, mask: &Mask) -> Palette {
        let mask = mask.resize(self.size());
        let share: Vec<f32> = mask.bits().iter().map(|on| f32::from(u8::from(*on))).collect();
        Palette(self.bins.each_ref().map(|bins| votes(bins, &share)))
    }

    /// The mask at the size of `image`, where `said` are logits of each pixel of the small image, and `known` what the
    /// object's colors are elsewhere.
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
        // Only where something is: an image of many pixels costs no more than the object in it.
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

    /// What the model and the prompt say of each pixel of the small image, as logits.
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

/// Columns and rows of an image of `size` that have all that a mask of the small image has, and what the filter's windows
/// reach from there; none if the mask is empty.
fn region(small: &Mask, size: Size) -> Option<[Range<usize>; 2]> {
    let [x, y, width, height] = Rle::encode(small).bbox().map(|v| v as usize);
    let span = |from: usize, n: usize, n_small: usize, n_large: usize| {
        let first = from.saturating_sub(RADIUS) * n_large / n_small;
        first..((from + n + RADIUS).min(n_small) * n_large).div_ceil(n_small)
    };
    let Size { width: small_width, height: small_height } = small.size();
    (width > 0).then(|| [span(x, width, small_width, size.width), span(y, height, small_height, size.height)])
}

/// Drops the parts of a mask that nobody said: things elsewhere that have the object's colors.
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

/// Whether a box and some slack leave a point out.
fn is_outside(at: Point, rect: Rect) -> bool {
    let (x, y) = (SLACK * (rect.x1 - rect.x0), SLACK * (rect.y1 - rect.y0));
    at.x < rect.x0 - x || at.x > rect.x1 + x || at.y < rect.y0 - y || at.y > rect.y1 + y
}

/// Levels of brightness and of each of the two differences of color.
const LEVELS: usize = 16;
/// Differences of color are mostly small: a level of them is this wide.
const STEP: f32 = 6.0;

/// The bin of a color by its brightness and its blue and red differences (as in JPEG).
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

/// For each bin how much likelier the object has it than the rest; `share` is how much of each pixel is the object's.
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

/// An image's own votes, and those from elsewhere for the other half.
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

/// Counts with a quarter of each moved to the next bin on either side, along each axis.
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

    /// A speckled red disk at 100,100 and another at 240,100, both of radius 40, on speckled green.
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

    /// A model's answer that is unsure near a disk of `radius`, which is not the true one.
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
    fn the_border_goes_where_the_colors_change() {
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
    fn a_thing_of_the_same_color_elsewhere_stays_out() {
        let image = picture();
        let mut unsure = answer(40.0);
        unsure.values.iter_mut().for_each(|logit| *logit = logit.max(-1.0));
        let mask = Colors::of(&image).mask(&image, &click(100.0, Label::Positive), &unsure);
        assert!(mask.iou(&mask_of(100.0, 40.0)) > 0.95);
    }

    #[test]
    fn clicks_and_boxes_count_more_than_colors() {
        let image = picture();
        let colors = Colors::of(&image);
        let on = |mask: &Mask, x: usize| mask.bits()[100 * SIZE.width + x];
        // The model just obeys the click; the colors alone would not.
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
        // The model would let the other disk in, and its color too.
        let all = answer(190.0);
        let rect = Rect { x0: 55.0, y0: 55.0, x1: 145.0, y1: 145.0 };
        let mask = colors.mask(&image, &Prompt { points: vec![], rect: Some(rect) }, &all);
        assert!(on(&mask, 100) && !on(&mask, 240));
    }
}
