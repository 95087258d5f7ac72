//! The guided filter (He, Sun and Tang, 2010): smooths a plane of numbers except across the edges of a color image.
//!
//! Within each window the result is the linear function of the image's color that comes closest to the plane.

use std::ops::Range;

use image::{Rgb, RgbImage};

use crate::geometry::Size;

use super::resize_bilinear_part;

/// An image, prepared to guide any number of planes.
pub struct Guide {
    size: Size,
    radius: usize,
    /// Channels from 0 to 1.
    pixels: Vec<[f32; 3]>,
    means: [Vec<f32>; 3],
    /// The inverse of each window's covariance, rows one after the other.
    inverses: Vec<[[f32; 3]; 3]>,
}

/// For each pixel the linear function of color that the windows over it agree on.
pub struct Fit {
    size: Size,
    slopes: [Vec<f32>; 3],
    offset: Vec<f32>,
}

impl Guide {
    /// Windows reach `radius` pixels to each side; differences of a color's channels, 0 to 1, below the root of `epsilon`
    /// are smoothed over.
    pub fn new(image: &RgbImage, radius: usize, epsilon: f32) -> Self {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let pixels: Vec<[f32; 3]> = image.pixels().map(channels).collect();
        let mean = |of: &dyn Fn(&[f32; 3]) -> f32| {
            box_mean(&pixels.iter().map(of).collect::<Vec<f32>>(), size, radius)
        };
        let means = [0, 1, 2].map(|c| mean(&|pixel| pixel[c]));
        let products = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)].map(|(a, b)| mean(&|p| p[a] * p[b]));
        let inverses = (0..size.area())
            .map(|i| {
                let [r, g, b] = [0, 1, 2].map(|c| means[c][i]);
                let [rr, rg, rb, gg, gb, bb] = [0, 1, 2, 3, 4, 5].map(|k| products[k][i]);
                let spread = [rr - r * r, gg - g * g, bb - b * b].map(|v| v + epsilon);
                inverse([spread[0], rg - r * g, rb - r * b, spread[1], gb - g * b, spread[2]])
            })
            .collect();
        Self { size, radius, pixels, means, inverses }
    }

    /// The image's size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let means: usize = self.means.iter().map(|means| size_of_val(&**means)).sum();
        means + size_of_val(&*self.pixels) + size_of_val(&*self.inverses)
    }

    /// Fits a plane of the image's size.
    ///
    /// # Panics
    /// If the plane has another size.
    pub fn fit(&self, plane: &[f32]) -> Fit {
        assert_eq!(plane.len(), self.size.area(), "numbers of a plane of {}", self.size);
        let mean = |values: Vec<f32>| box_mean(&values, self.size, self.radius);
        let products =
            [0, 1, 2].map(|c| mean(plane.iter().zip(&self.pixels).map(|(v, pixel)| v * pixel[c]).collect()));
        let mut slopes = [0, 1, 2].map(|_| vec![0.0; plane.len()]);
        let mut offset = box_mean(plane, self.size, self.radius);
        for i in 0..plane.len() {
            let covariance = [0, 1, 2].map(|c| products[c][i] - offset[i] * self.means[c][i]);
            for (c, row) in self.inverses[i].iter().enumerate() {
                slopes[c][i] = row.iter().zip(covariance).map(|(a, b)| a * b).sum();
            }
            offset[i] -= (0..3).map(|c| slopes[c][i] * self.means[c][i]).sum::<f32>();
        }
        Fit { size: self.size, slopes: slopes.map(mean), offset: mean(offset) }
    }

    /// The smoothed plane: what a fit gives on this image.
    pub fn apply(&self, fit: &Fit) -> Vec<f32> {
        let value = |(i, pixel): (usize, &[f32; 3])| {
            fit.offset[i] + (0..3).map(|c| fit.slopes[c][i] * pixel[c]).sum::<f32>()
        };
        self.pixels.iter().enumerate().map(value).collect()
    }
}

impl Fit {
    /// Some columns and rows of the smoothed plane at the size of another image of the same scene, with that one's own
    /// edges.
    ///
    /// # Panics
    /// If the part reaches beyond the image.
    pub fn enlarge(&self, image: &RgbImage, part: [Range<usize>; 2]) -> Vec<f32> {
        let to = Size::new(image.width() as usize, image.height() as usize);
        let [columns, rows] = &part;
        let row_of =
            |y: usize| &image.as_raw()[3 * (y * to.width + columns.start)..3 * (y * to.width + columns.end)];
        let mut out = Vec::with_capacity(columns.len() * rows.len());
        resize_bilinear_part(&self.offset, self.size, to, part.clone(), |row| out.extend_from_slice(row));
        for (c, slope) in self.slopes.iter().enumerate() {
            let mut out_rows = out.chunks_exact_mut(columns.len().max(1)).zip(rows.clone().map(row_of));
            resize_bilinear_part(slope, self.size, to, part.clone(), |row| {
                let Some((values, pixels)) = out_rows.next() else { return };
                for ((slope, value), pixel) in row.iter().zip(values).zip(pixels.chunks_exact(3)) {
                    *value += slope * f32::from(pixel[c]) / 255.0;
                }
            });
        }
        out
    }
}

fn channels(pixel: &Rgb<u8>) -> [f32; 3] {
    pixel.0.map(|v| f32::from(v) / 255.0)
}

/// The inverse of a symmetric matrix, given and computed as its upper triangle.
fn inverse([a, b, c, d, e, f]: [f32; 6]) -> [[f32; 3]; 3] {
    let (aa, ab, ac) = (d * f - e * e, c * e - b * f, b * e - c * d);
    let (bb, bc, cc) = (a * f - c * c, b * c - a * e, a * d - b * b);
    let scale = 1.0 / (a * aa + b * ab + c * ac);
    [[aa, ab, ac], [ab, bb, bc], [ac, bc, cc]].map(|row| row.map(|v| v * scale))
}

/// The mean over a square window of `2 radius + 1` pixels, less where the image ends.
fn box_mean(plane: &[f32], size: Size, radius: usize) -> Vec<f32> {
    let Size { width, height } = size;
    let mut rows = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width.max(1)) {
        let mut sum: f32 = row[..radius.min(width)].iter().sum();
        for x in 0..width {
            sum += row.get(x + radius).unwrap_or(&0.0);
            let first = x.saturating_sub(radius);
            rows.push(sum / ((x + radius + 1).min(width) - first) as f32);
            sum -= if x >= radius { row[first] } else { 0.0 };
        }
    }
    let row = |y: usize| rows.chunks_exact(width.max(1)).nth(y).unwrap_or_default();
    let mut sums = vec![0.0_f32; width];
    let add = |sums: &mut [f32], y: usize, sign: f32| {
        sums.iter_mut().zip(row(y)).for_each(|(sum, v)| *sum += sign * v);
    };
    (0..radius.min(height)).for_each(|y| add(&mut sums, y, 1.0));
    let mut out = Vec::with_capacity(plane.len());
    for y in 0..height {
        add(&mut sums, y + radius, 1.0);
        let n = ((y + radius + 1).min(height) - y.saturating_sub(radius)) as f32;
        out.extend(sums.iter().map(|sum| sum / n));
        if y >= radius {
            add(&mut sums, y - radius, -1.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(13, 9);

    fn plane(value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..SIZE.area()).map(|i| value(i % SIZE.width, i / SIZE.width)).collect()
    }

    #[test]
    fn a_box_mean_is_the_mean_of_what_is_in_the_image() {
        let noise = plane(|x, y| ((x * 7 + y * 13 + x * y) % 11) as f32);
        for radius in [0, 1, 3, 20] {
            let means = box_mean(&noise, SIZE, radius);
            for (i, mean) in means.iter().enumerate() {
                let (x, y) = (i % SIZE.width, i / SIZE.width);
                let near = |j: &usize| {
                    (j % SIZE.width).abs_diff(x) <= radius && (j / SIZE.width).abs_diff(y) <= radius
                };
                let window: Vec<f32> = (0..noise.len()).filter(near).map(|j| noise[j]).collect();
                let want = window.iter().sum::<f32>() / window.len() as f32;
                assert!((mean - want).abs() < 1e-4, "radius {radius} at {x},{y}: {mean}, not {want}");
            }
        }
    }

    /// Red to the left of `edge`, blue from there on.
    fn picture(size: Size, edge: u32) -> RgbImage {
        let color = |x| if x < edge { [230, 51, 25] } else { [51, 76, 204] };
        RgbImage::from_fn(size.width as u32, size.height as u32, |x, _| Rgb(color(x)))
    }

    #[test]
    fn noise_goes_and_the_edge_of_the_image_stays() {
        let guide = Guide::new(&picture(SIZE, 6), 3, 1e-4);
        let noisy = plane(|x, y| if x < 6 { 1.0 } else { -1.0 } + if (x + y) % 2 == 0 { 0.5 } else { -0.5 });
        for (i, v) in guide.apply(&guide.fit(&noisy)).into_iter().enumerate() {
            let want = if i % SIZE.width < 6 { 1.0 } else { -1.0 };
            assert!((v - want).abs() < 0.2, "{v}, not {want}");
        }
    }

    #[test]
    fn a_larger_image_has_its_own_edge() {
        let fit = Guide::new(&picture(SIZE, 6), 3, 1e-4).fit(&plane(|x, _| if x < 6 { 1.0 } else { -1.0 }));
        // The edge is three pixels off where the small image could show it.
        let values = fit.enlarge(&picture(Size::new(130, 90), 63), [0..130, 0..90]);
        let row: Vec<bool> = values[130 * 45..130 * 46].iter().map(|&v| v > 0.0).collect();
        assert_eq!(row, (0..130).map(|x| x < 63).collect::<Vec<bool>>());
    }
}
