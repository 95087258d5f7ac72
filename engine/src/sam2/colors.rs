//! Corrects an answer by the image's own colors, which a small model sees too little of.
//!
//! What is colored like the object found joins it, what is colored like the rest leaves it, and the border follows the
//! image's edges. Two histograms of the object and of the rest vote for each pixel, as in GrabCut (Rother, Kolmogorov and
//! Blake, 2004); a guided filter in place of its graph cut makes neighbors of one color agree.

use image::{RgbImage, imageops};

use crate::{
    geometry::{Point, Size},
    mask::{Fit, Guide, Mask},
    prompt::{Label, Prompt},
};

use super::image::{Logits, resized};

/// Colors are compared with the image's longer side at this many pixels.
const SIDE: usize = 256;
/// How often the histograms are learned from the last mask.
const ROUNDS: usize = 3;
/// The model's logits count by this factor, as models are surer than they are right.
const TRUST: f32 = 0.5;
/// What the model says counts up to this.
const MOST_SURE: f32 = 6.0;
/// A histogram's vote, a log ratio of likelihoods, counts up to this.
const MOST_VOTE: f32 = 3.0;
/// How much the votes of a pixel's color and of its neighborhood's color weigh.
const WEIGHTS: [f32; 2] = [1.0, 0.5];
/// Deviation of the blur that makes a neighborhood, in pixels of the small image.
const NEIGHBORHOOD: f32 = 4.0;
/// The guided filter's windows, in pixels of the small image, and its epsilon.
const RADIUS: usize = 6;
const EPSILON: f32 = 1e-3;
/// A click decides for the pixels round it: the deviation in pixels of the small image.
const CLICK: f32 = 3.0;
/// What a box leaves out is off, except for this share of its sides: boxes are drawn by hand.
const SLACK: f32 = 0.03;

/// An image's colors, prepared for any number of answers.
pub(super) struct Colors {
    guide: Guide,
    /// Each pixel's bin, by its own color and by its neighborhood's.
    bins: [Vec<u16>; 2],
}

impl Colors {
    pub(super) fn of(image: &RgbImage) -> Self {
        let scale = (SIDE as f32 / image.width().max(image.height()) as f32).min(1.0);
        let [width, height] =
            [image.width(), image.height()].map(|n| ((n as f32 * scale).round() as u32).max(1));
        let small = resized(image, width, height);
        let bins =
            [&small, &imageops::fast_blur(&small, NEIGHBORHOOD)].map(|i| i.pixels().map(bin).collect());
        let pixels = small.pixels().map(channels).collect();
        let size = Size::new(width as usize, height as usize);
        Self { guide: Guide::new(size, pixels, RADIUS, EPSILON), bins }
    }

    /// The mask at the size of `image`, which these are the colors of; `prompt` is in its pixels.
    pub(super) fn mask(&self, image: &RgbImage, prompt: &Prompt, logits: &Logits) -> Mask {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let pixel = |i: usize| channels(image.get_pixel((i % size.width) as u32, (i / size.width) as u32));
        let logits = self.correct(size, prompt, logits).enlarge(size, pixel);
        Mask::new(size, logits.into_iter().map(|v| v > 0.0).collect())
    }

    fn correct(&self, size: Size, prompt: &Prompt, logits: &Logits) -> Fit {
        let said = self.said(size, prompt, logits);
        let mut belief = said.clone();
        let mut fit = None;
        for _ in 0..ROUNDS {
            let share: Vec<f32> = belief.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect();
            belief.copy_from_slice(&said);
            for (bins, weight) in self.bins.iter().zip(WEIGHTS) {
                let votes = votes(bins, &share);
                belief.iter_mut().zip(bins).for_each(|(v, &bin)| *v += weight * votes[usize::from(bin)]);
            }
            let smooth = self.guide.fit(&belief);
            belief = self.guide.smooth(&belief);
            fit = Some(smooth);
        }
        fit.unwrap_or_else(|| self.guide.fit(&said))
    }

    /// What the model and the prompt say of each pixel of the small image, as logits.
    fn said(&self, size: Size, prompt: &Prompt, logits: &Logits) -> Vec<f32> {
        let small = self.guide.size();
        let scale = (small.width as f32 / size.width as f32, small.height as f32 / size.height as f32);
        let mut said = logits.resized(small);
        for (i, v) in said.iter_mut().enumerate() {
            let at = Point { x: (i % small.width) as f32 + 0.5, y: (i / small.width) as f32 + 0.5 };
            *v = (*v * TRUST).clamp(-MOST_SURE, MOST_SURE);
            let outside = prompt.rect.is_some_and(|rect| {
                let (slack_x, slack_y) = (SLACK * (rect.x1 - rect.x0), SLACK * (rect.y1 - rect.y0));
                let (x, y) = (at.x / scale.0, at.y / scale.1);
                x < rect.x0 - slack_x
                    || x > rect.x1 + slack_x
                    || y < rect.y0 - slack_y
                    || y > rect.y1 + slack_y
            });
            if outside {
                *v = -MOST_SURE;
            }
            for click in &prompt.points {
                let (dx, dy) = (click.at.x * scale.0 - at.x, click.at.y * scale.1 - at.y);
                let near = 2.0 * MOST_SURE * (-(dx * dx + dy * dy) / (2.0 * CLICK * CLICK)).exp();
                *v += if click.label == Label::Positive { near } else { -near };
            }
            *v = v.clamp(-MOST_SURE, MOST_SURE);
        }
        said
    }
}

/// Levels of brightness and of each of the two differences of color.
const LEVELS: usize = 16;
/// Differences of color are mostly small: a level of them is this wide.
const STEP: f32 = 6.0;

/// The bin of a color by its brightness and its blue and red differences (as in JPEG).
fn bin(pixel: &image::Rgb<u8>) -> u16 {
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

fn channels(pixel: &image::Rgb<u8>) -> [f32; 3] {
    pixel.0.map(|v| f32::from(v) / 255.0)
}
