//! Masks drawn over pictures.

use engine::{geometry::Size, mask::Mask};
use image::{Rgb, RgbImage};

/// Colors that are easy to tell apart on photos, by object.
const COLORS: [[u8; 3]; 8] = [
    [255, 99, 71],
    [64, 156, 255],
    [120, 210, 70],
    [255, 190, 40],
    [190, 110, 255],
    [40, 210, 200],
    [255, 110, 190],
    [200, 170, 120],
];
const FILL_OPACITY: f32 = 0.45;

/// Fills a mask with the object's color and draws a solid line round it, inside, as wide as the picture asks for.
pub(crate) fn draw(picture: &mut RgbImage, mask: &Mask, object: u32) {
    let color = COLORS[object as usize % COLORS.len()];
    let size = mask.size();
    let width = 1 + size.width.max(size.height) / 800;
    let bits = mask.bits();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (x, y) = (x as usize, y as usize);
        if bits[y * size.width + x] {
            let opacity = if is_near_edge(bits, size, x, y, width) { 1.0 } else { FILL_OPACITY };
            let mix =
                |under: u8, over: u8| (f32::from(under) * (1.0 - opacity) + f32::from(over) * opacity) as u8;
            *pixel = Rgb([0, 1, 2].map(|c| mix(pixel.0[c], color[c])));
        }
    }
}

/// Whether a pixel that is not in the mask lies within `distance` up, down, left or right; the picture's edge is none.
fn is_near_edge(bits: &[bool], size: Size, x: usize, y: usize, distance: usize) -> bool {
    (1..=distance).any(|d| {
        let left = x.checked_sub(d).map(|x| (x, y));
        let up = y.checked_sub(d).map(|y| (x, y));
        let right = Some((x + d, y)).filter(|(x, _)| *x < size.width);
        let down = Some((x, y + d)).filter(|(_, y)| *y < size.height);
        [left, up, right, down].into_iter().flatten().any(|(x, y)| !bits[y * size.width + x])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_solid_the_fill_is_not_and_the_rest_is_untouched() {
        let size = Size::new(9, 9);
        let inside = |i: usize| (2..7).contains(&(i % 9)) && (2..7).contains(&(i / 9));
        let mask = Mask::new(size, (0..81).map(inside).collect());
        let mut picture = RgbImage::from_pixel(9, 9, Rgb([10, 10, 10]));
        draw(&mut picture, &mask, 0);
        assert_eq!(picture.get_pixel(2, 4).0, COLORS[0]);
        assert_eq!(picture.get_pixel(0, 0).0, [10, 10, 10]);
        assert!(picture.get_pixel(4, 4).0[0] > 10 && picture.get_pixel(4, 4).0[0] < COLORS[0][0]);
    }
}
