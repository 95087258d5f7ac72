//! Masks on nearby frames, moved along with the optical flow. They carry a correction to the frames around it, where a
//! small model would repeat its mistake.

use std::{ops::Range, sync::Arc};

use image::{RgbImage, imageops};

use super::{
    colors::{scale, scaled},
    motion::{Motion, Plane, pyramid},
};
use crate::{geometry::Size, mask::Rle};

/// Margin in pixels of the sketch around a mask, within which the object may have moved.
const MARGIN: usize = 24;
/// Standard deviation of brightness, on a scale of 0 to 255, between two views of the same point.
const NOISE: f32 = 15.0;

/// A small grayscale copy of a frame, as a pyramid for optical flow.
pub struct Sketch(Vec<Plane>);

impl Sketch {
    /// Creates the sketch of a frame.
    pub fn of(image: &RgbImage) -> Self {
        let gray = imageops::grayscale(&scaled(image, scale(image.width().max(image.height()))));
        let size = Size::new(gray.width() as usize, gray.height() as usize);
        let values = gray.pixels().map(|pixel| f32::from(pixel.0[0])).collect();
        Self(pyramid(Plane { size, values }))
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|level| size_of_val(&*level.values)).sum()
    }
}

/// An object's mask on a nearby frame.
pub struct Nearby {
    /// Sketch of that frame.
    pub sketch: Arc<Sketch>,
    /// Mask, at the size of the frame.
    pub mask: Arc<Rle>,
    /// Weight of the mask, as a logit.
    pub weight: f32,
}

/// The combined votes of nearby masks for each pixel of a frame's sketch, as logits.
pub struct Moved(Plane);

impl Moved {
    /// Computes the votes for a frame, or `None` if no nearby mask has any pixels. All frames have the same size.
    pub fn of(frame: &Sketch, nearby: &[Nearby]) -> Option<Self> {
        let mut sum: Option<Plane> = None;
        for near in nearby.iter().filter(|near| near.mask.area() > 0) {
            let size = frame.0[0].size;
            let sum = sum.get_or_insert_with(|| Plane { size, values: vec![0.0; size.area()] });
            near.add_to(sum, &frame.0);
        }
        sum.map(Self)
    }

    /// Interpolates bilinearly at column `x` and row `y` of the sketch.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        self.0.at(x, y)
    }

    /// Returns the size of the sketch.
    pub(super) fn size(&self) -> Size {
        self.0.size
    }

    /// Returns the mask of the votes at another size.
    pub(super) fn mask(&self, size: Size) -> Rle {
        Rle::from_logits(&self.0.values, self.0.size, size)
    }
}

impl Nearby {
    fn add_to(&self, sum: &mut Plane, frame: &[Plane]) {
        let (there, size) = (&self.sketch.0, frame[0].size);
        let cover = Plane { size, values: self.mask.coverage(size) };
        let [columns, rows] = self.surroundings(size);
        let motion = Motion::of(frame, there, &[columns.clone(), rows.clone()]);
        let (frame, there) = (&frame[0], &there[0]);
        for y in rows {
            for x in columns.clone() {
                let [dx, dy] = motion.at(x, y);
                let (from_x, from_y) = (x as f32 + dx, y as f32 + dy);
                let i = y * size.width + x;
                let misfit = (frame.values[i] - there.at(from_x, from_y)) / NOISE;
                let is_same = (-0.5 * misfit * misfit).exp();
                sum.values[i] += self.weight * is_same * (2.0 * cover.at(from_x, from_y) - 1.0);
            }
        }
    }

    /// Returns the columns and rows of a sketch to which the object can have moved.
    fn surroundings(&self, sketch: Size) -> [Range<usize>; 2] {
        let whole = self.mask.size();
        let [x, y, width, height] = self.mask.bbox().map(|v| v as usize);
        let span = |from: usize, n: usize, n_whole: usize, n_sketch: usize| {
            let (first, end) = (from * n_sketch / n_whole, ((from + n) * n_sketch).div_ceil(n_whole));
            first.saturating_sub(MARGIN)..(end + MARGIN).min(n_sketch)
        };
        [span(x, width, whole.width, sketch.width), span(y, height, whole.height, sketch.height)]
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::geometry::Rect;

    const SIZE: Size = Size::new(128, 96);

    /// Returns a frame with a patterned square in front of a patterned wall.
    fn frame(left: f32) -> RgbImage {
        RgbImage::from_fn(SIZE.width as u32, SIZE.height as u32, |x, y| {
            let (x, y) = (x as f32, y as f32);
            let is_square = (left..left + 30.0).contains(&x) && (30.0..60.0).contains(&y);
            let value = match is_square {
                true => 170.0 + 60.0 * ((x - left) * 0.5).sin() * (y * 0.4).cos(),
                false => 70.0 + 30.0 * (x * 0.3 + y * 0.2).sin(),
            };
            Rgb([value as u8; 3])
        })
    }

    fn square(left: f32) -> Rle {
        Rle::of_rect(Rect { x0: left, y0: 30.0, x1: left + 30.0, y1: 60.0 }, SIZE)
    }

    fn near(left: f32, weight: f32) -> Nearby {
        Nearby { sketch: Arc::new(Sketch::of(&frame(left))), mask: Arc::new(square(left)), weight }
    }

    #[test]
    fn mask_follows_the_motion() {
        let moved = Moved::of(&Sketch::of(&frame(46.0)), &[near(40.0, 12.0)]).unwrap();
        let iou = moved.mask(SIZE).iou(&square(46.0));
        assert!(iou > 0.9, "{iou}, unmoved {}", square(40.0).iou(&square(46.0)));
        assert!(moved.at(60.0, 45.0) > 8.0 && moved.at(34.0, 45.0) < -4.0);
    }

    #[test]
    fn votes_of_both_sides_add_up() {
        let here = Sketch::of(&frame(46.0));
        let one = Moved::of(&here, &[near(44.0, 2.0)]).unwrap();
        let two = Moved::of(&here, &[near(44.0, 2.0), near(48.0, 2.0)]).unwrap();
        assert!(two.at(60.0, 45.0) > 1.5 * one.at(60.0, 45.0));
    }

    #[test]
    fn unseen_content_gets_few_votes() {
        let white = RgbImage::from_pixel(SIZE.width as u32, SIZE.height as u32, Rgb([255; 3]));
        let moved = Moved::of(&Sketch::of(&white), &[near(40.0, 12.0)]).unwrap();
        assert!(moved.at(55.0, 45.0) < 3.0);
    }

    #[test]
    fn empty_or_missing_masks_give_no_votes() {
        let nothing = Nearby { mask: Arc::new(Rle::empty(SIZE)), ..near(40.0, 12.0) };
        assert!(Moved::of(&Sketch::of(&frame(40.0)), &[nothing]).is_none());
        assert!(Moved::of(&Sketch::of(&frame(40.0)), &[]).is_none());
    }
}
