//! Tracked masks, corrected by what the object's colors are on frames that a person has checked: so that a correction
//! carries further than a small model's memory does.

use std::sync::Arc;

use image::{RgbImage, imageops};

use super::{
    colors::{Colors, Palette, SIDE},
    image::Logits,
};
use crate::{
    geometry::Size,
    mask::{Mask, Rle},
};

/// How much of the surroundings belongs to a mask, as a share of its longer side: what it lacks is looked for there.
const SURROUNDINGS: f32 = 0.75;

/// What the colors of an object tell where a person has checked its mask; none of an object that is not there.
pub fn palette(image: &RgbImage, mask: &Rle) -> Option<Palette> {
    let part = Part::round(mask)?;
    let here = mask.decode().part(part.corner, part.size);
    Some(Colors::scaled(&part.cut(image), part.scale).palette(&here))
}

/// The mask, at the size of `image`, of an object that tracking found there as `logits`, corrected by the colors of this
/// image and of others.
pub fn corrected(image: &RgbImage, logits: &Logits, known: &[Arc<Palette>]) -> Rle {
    let size = Size::new(image.width() as usize, image.height() as usize);
    let mask = logits.rle(size);
    let Some(part) = Part::round(&mask) else { return mask };
    let cut = part.cut(image);
    let colors = Colors::scaled(&cut, part.scale);
    let said = part.sampled(logits, colors.size(), size);
    let corrected: Mask = colors.corrected(&cut, &said, known);
    Rle::encode(&corrected.placed(part.corner, size))
}

/// Some pixels of an image.
struct Part {
    /// The top left pixel.
    corner: (usize, usize),
    size: Size,
    /// How large it is looked at.
    scale: f32,
}

impl Part {
    /// A mask's surroundings, if there is anything in it.
    fn round(mask: &Rle) -> Option<Self> {
        let whole = mask.size();
        let [x, y, width, height] = mask.bbox().map(|v| v as usize);
        let margin = (SURROUNDINGS * width.max(height) as f32).ceil() as usize;
        let span =
            |from: usize, n: usize, end: usize| (from.saturating_sub(margin), (from + n + margin).min(end));
        let ((left, right), (top, bottom)) = (span(x, width, whole.width), span(y, height, whole.height));
        (width > 0).then(|| Self {
            corner: (left, top),
            size: Size::new(right - left, bottom - top),
            scale: (SIDE as f32 / whole.width.max(whole.height) as f32).min(1.0),
        })
    }

    fn cut(&self, image: &RgbImage) -> RgbImage {
        let [x, y, width, height] =
            [self.corner.0, self.corner.1, self.size.width, self.size.height].map(|v| v as u32);
        imageops::crop_imm(image, x, y, width, height).to_image()
    }

    /// Logits of a whole image at the middles of this part's pixels, looked at as `small`.
    fn sampled(&self, logits: &Logits, small: Size, whole: Size) -> Vec<f32> {
        let place = |i: usize, corner: usize, n: usize, n_small: usize, n_whole: usize| {
            let pixel = corner as f32 + (i as f32 + 0.5) * n as f32 / n_small as f32;
            pixel * logits.side as f32 / n_whole as f32 - 0.5
        };
        let columns =
            (0..small.width).map(|x| place(x, self.corner.0, self.size.width, small.width, whole.width));
        let columns: Vec<f32> = columns.collect();
        let rows =
            (0..small.height).map(|y| place(y, self.corner.1, self.size.height, small.height, whole.height));
        rows.flat_map(|y| columns.iter().map(move |x| logits.at(*x, y)).collect::<Vec<f32>>()).collect()
    }
}
