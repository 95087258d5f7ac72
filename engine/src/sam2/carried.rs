//! Correction of tracked masks by masks on nearby frames and by the object's colors on frames that a person has
//! checked. This carries a correction further than the memory of a small model does.

use std::sync::Arc;

use image::{RgbImage, imageops};

use super::{
    colors::{Colors, MOST_SURE, Palette, scale},
    image::Logits,
    nearby::Moved,
};
use crate::{
    geometry::Size,
    mask::{Mask, Rle},
};

/// Margin added around a mask, as a share of its longer side: missing parts of the object are searched for there.
const SURROUNDINGS: f32 = 0.75;

/// Returns the color statistics of an object on a frame with a checked mask, or `None` if the mask is empty.
pub fn palette(image: &RgbImage, mask: &Rle) -> Option<Palette> {
    let part = Part::round(mask)?;
    let here = mask.decode().part(part.corner, part.size);
    Some(Colors::scaled(&part.cut(image), part.scale).palette(&here))
}

/// Returns the mask that tracking predicted as `logits`, at the size of `image`, corrected by masks on nearby frames
/// and by the colors of this image and of others. An empty mask stays empty.
pub fn corrected(image: &RgbImage, logits: &Logits, moved: Option<&Moved>, known: &[Arc<Palette>]) -> Rle {
    let size = Size::new(image.width() as usize, image.height() as usize);
    let mask = logits.rle(size);
    if mask.area() == 0 {
        return mask;
    }
    let extent = moved.map_or_else(|| mask.clone(), |moved| mask.union(&moved.mask(size)));
    let Some(part) = Part::round(&extent) else { return mask };
    let cut = part.cut(image);
    let colors = Colors::scaled(&cut, part.scale);
    let small = colors.size();
    let mut said = part
        .sampled(Size::square(logits.side), small, size, |x, y| logits.at(x, y).clamp(-MOST_SURE, MOST_SURE));
    if let Some(moved) = moved {
        let more = part.sampled(moved.size(), small, size, |x, y| moved.at(x, y));
        said.iter_mut().zip(more).for_each(|(sum, logit)| *sum += logit);
    }
    let corrected: Mask = colors.corrected(&cut, &said, known);
    Rle::encode(&corrected.placed(part.corner, size))
}

/// A rectangular crop of an image.
struct Part {
    /// The top left pixel.
    corner: (usize, usize),
    size: Size,
    /// Scale at which the crop is processed, 0 to 1.
    scale: f32,
}

impl Part {
    /// Returns the crop around a mask, or `None` if the mask is empty.
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
            scale: scale(whole.width.max(whole.height) as u32),
        })
    }

    fn cut(&self, image: &RgbImage) -> RgbImage {
        let [x, y, width, height] =
            [self.corner.0, self.corner.1, self.size.width, self.size.height].map(|v| v as u32);
        imageops::crop_imm(image, x, y, width, height).to_image()
    }

    /// Samples `value`, a plane of size `plane` over the whole image, at the pixel centers of this crop resized to
    /// `small`.
    fn sampled(&self, plane: Size, small: Size, whole: Size, value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let place = |i: usize, corner: usize, n: usize, n_small: usize, n_plane: usize, n_whole: usize| {
            let pixel = corner as f32 + (i as f32 + 0.5) * n as f32 / n_small as f32;
            pixel * n_plane as f32 / n_whole as f32 - 0.5
        };
        let column = |x| place(x, self.corner.0, self.size.width, small.width, plane.width, whole.width);
        let row = |y| place(y, self.corner.1, self.size.height, small.height, plane.height, whole.height);
        let columns: Vec<f32> = (0..small.width).map(column).collect();
        let rows = (0..small.height).map(row);
        rows.flat_map(|y| columns.iter().map(|x| value(*x, y)).collect::<Vec<f32>>()).collect()
    }
}
