//! The guided filter (He, Sun and Tang, 2010): smooths a plane of numbers, but not across the edges of a color image.
//!
//! Within each window the result is the linear function of the image's color that fits the plane best.

use std::ops::Range;

use image::{Rgb, RgbImage};

use crate::geometry::Size;

use super::resize_bilinear_part;

/// A guide image with precomputed window statistics, to filter any number of planes.
pub struct Guide {
    size: Size,
    radius: usize,
    /// RGB values from 0 to 1.
    pixels: Vec<[f32; 3]>,
    means: Vec<[f32; 3]>,
    /// The inverse of each window's RGB covariance matrix, with `epsilon` added to its diagonal.
    inverses: Vec<[[f32; 3]; 3]>,
}

/// For each pixel, the linear function of color averaged over all windows that contain the pixel.
pub struct Fit {
    size: Size,
    /// Slopes for red, green and blue, and the value for black.
    functions: Vec<[f32; 4]>,
}

impl Guide {
    /// Prepares a guide image. Windows reach `radius` pixels to each side. Color differences below the square root of
    /// `epsilon`, for channels from 0 to 1, are smoothed over.
    pub fn new(image: &RgbImage, radius: usize, epsilon: f32) -> Self {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let pixels: Vec<[f32; 3]> = image.pixels().map(channels).collect();
        let moments: Vec<[f32; 9]> =
            pixels.iter().map(|&[r, g, b]| [r, g, b, r * r, r * g, r * b, g * g, g * b, b * b]).collect();
        let means = box_means(&moments, size, radius);
        let inverses = means
            .iter()
            .map(|&[r, g, b, rr, rg, rb, gg, gb, bb]| {
                let spread = [rr - r * r, gg - g * g, bb - b * b].map(|v| v + epsilon);
                inverse([spread[0], rg - r * g, rb - r * b, spread[1], gb - g * b, spread[2]])
            })
            .collect();
        let means = means.into_iter().map(|[r, g, b, ..]| [r, g, b]).collect();
        Self { size, radius, pixels, means, inverses }
    }

    /// Returns the size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the memory use in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.pixels) + size_of_val(&*self.means) + size_of_val(&*self.inverses)
    }

    /// Fits the linear functions to a plane of the same size as the image, in row-major order.
    ///
    /// # Panics
    /// If the plane has another size.
    pub fn fit(&self, plane: &[f32]) -> Fit {
        assert_eq!(plane.len(), self.size.area(), "numbers of a plane of {}", self.size);
        let products: Vec<[f32; 4]> =
            self.pixels.iter().zip(plane).map(|([r, g, b], v)| [r * v, g * v, b * v, *v]).collect();
        let mut functions = box_means(&products, self.size, self.radius);
        for ((function, means), inverse) in functions.iter_mut().zip(&self.means).zip(&self.inverses) {
            let [r, g, b, mean] = *function;
            let covariance = [r - mean * means[0], g - mean * means[1], b - mean * means[2]];
            let [r, g, b] = inverse.map(|row| dot(&row, &covariance));
            *function = [r, g, b, mean - dot(&[r, g, b], means)];
        }
        Fit { size: self.size, functions: box_means(&functions, self.size, self.radius) }
    }

    /// Returns the smoothed plane: evaluates a fit on the colors of this image.
    pub fn apply(&self, fit: &Fit) -> Vec<f32> {
        let values = fit.functions.iter().zip(&self.pixels);
        values.map(|([r, g, b, offset], pixel)| offset + dot(&[*r, *g, *b], pixel)).collect()
    }
}

impl Fit {
    /// Evaluates the fit on another image of the same scene, at that image's size and with its edges. Returns the
    /// columns and rows of `part`, row by row.
    ///
    /// # Panics
    /// If the part reaches beyond the image.
    pub fn enlarge(&self, image: &RgbImage, part: [Range<usize>; 2]) -> Vec<f32> {
        let to = Size::new(image.width() as usize, image.height() as usize);
        let [columns, rows] = &part;
        let row_of =
            |y: usize| &image.as_raw()[3 * (y * to.width + columns.start)..3 * (y * to.width + columns.end)];
        let plane = |k: usize| self.functions.iter().map(|function| function[k]).collect::<Vec<f32>>();
        let mut out = Vec::with_capacity(columns.len() * rows.len());
        resize_bilinear_part(&plane(3), self.size, to, part.clone(), |row| out.extend_from_slice(row));
        for c in 0..3 {
            let mut out_rows = out.chunks_exact_mut(columns.len().max(1)).zip(rows.clone().map(row_of));
            resize_bilinear_part(&plane(c), self.size, to, part.clone(), |row| {
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

/// Inverts a symmetric 3 x 3 matrix, given as its upper triangle.
fn inverse([a, b, c, d, e, f]: [f32; 6]) -> [[f32; 3]; 3] {
    let (aa, ab, ac) = (d * f - e * e, c * e - b * f, b * e - c * d);
    let (bb, bc, cc) = (a * f - c * c, b * c - a * e, a * d - b * b);
    let scale = 1.0 / (a * aa + b * ab + c * ac);
    [[aa, ab, ac], [ab, bb, bc], [ac, bc, cc]].map(|row| row.map(|v| v * scale))
}

fn dot(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Returns the means of `N` planes over a square window of `2 radius + 1` pixels, clipped at the edges of the image.
/// The planes are interleaved, so that each step adds all of them together.
fn box_means<const N: usize>(pixels: &[[f32; N]], size: Size, radius: usize) -> Vec<[f32; N]> {
    let Size { width, height } = size;
    let mut rows = Vec::with_capacity(pixels.len());
    for row in pixels.chunks_exact(width.max(1)) {
        let mut sum = [0.0; N];
        row.iter().take(radius).for_each(|pixel| add(&mut sum, pixel));
        for x in 0..width {
            row.get(x + radius).into_iter().for_each(|pixel| add(&mut sum, pixel));
            rows.push(sum);
            x.checked_sub(radius).into_iter().for_each(|x| subtract(&mut sum, &row[x]));
        }
    }
    let row = |y: usize| rows.chunks_exact(width.max(1)).nth(y);
    let share = |i: usize, n: usize| 1.0 / ((i + radius + 1).min(n) - i.saturating_sub(radius)) as f32;
    let shares: Vec<f32> = (0..width).map(|x| share(x, width)).collect();
    let mut sums = vec![[0.0; N]; width];
    let add_row = |sums: &mut [[f32; N]], y: usize| {
        row(y).into_iter().for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, pixel)| add(sum, pixel)));
    };
    (0..radius).for_each(|y| add_row(&mut sums, y));
    let mut out = Vec::with_capacity(pixels.len());
    for y in 0..height {
        add_row(&mut sums, y + radius);
        let share_of_row = share(y, height);
        out.extend(sums.iter().zip(&shares).map(|(sum, share)| sum.map(|v| v * share * share_of_row)));
        if let Some(row) = y.checked_sub(radius).and_then(row) {
            sums.iter_mut().zip(row).for_each(|(sum, pixel)| subtract(sum, pixel));
        }
    }
    out
}

fn add<const N: usize>(sum: &mut [f32; N], pixel: &[f32; N]) {
    sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v);
}

fn subtract<const N: usize>(sum: &mut [f32; N], pixel: &[f32; N]) {
    sum.iter_mut().zip(pixel).for_each(|(sum, v)| *sum -= v);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(13, 9);

    fn plane(value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..SIZE.area()).map(|i| value(i % SIZE.width, i / SIZE.width)).collect()
    }

    #[test]
    fn box_mean_ignores_area_outside_image() {
        let noise = plane(|x, y| ((x * 7 + y * 13 + x * y) % 11) as f32);
        for radius in [0, 1, 3, 20] {
            let pixels: Vec<[f32; 2]> = noise.iter().map(|v| [*v, -v]).collect();
            for (i, [mean, opposite]) in box_means(&pixels, SIZE, radius).into_iter().enumerate() {
                let (x, y) = (i % SIZE.width, i / SIZE.width);
                let near = |j: &usize| {
                    (j % SIZE.width).abs_diff(x) <= radius && (j / SIZE.width).abs_diff(y) <= radius
                };
                let window: Vec<f32> = (0..noise.len()).filter(near).map(|j| noise[j]).collect();
                let want = window.iter().sum::<f32>() / window.len() as f32;
                assert!((mean - want).abs() < 1e-4, "radius {radius} at {x},{y}: {mean}, not {want}");
                assert!(
                    (opposite + want).abs() < 1e-4,
                    "radius {radius} at {x},{y}: {opposite}, not -{want}"
                );
            }
        }
    }

    /// Builds an image that is red left of column `edge` and blue elsewhere.
    fn picture(size: Size, edge: u32) -> RgbImage {
        let color = |x| if x < edge { [230, 51, 25] } else { [51, 76, 204] };
        RgbImage::from_fn(size.width as u32, size.height as u32, |x, _| Rgb(color(x)))
    }

    #[test]
    fn noise_is_smoothed_and_image_edge_stays() {
        let guide = Guide::new(&picture(SIZE, 6), 3, 1e-4);
        let noisy = plane(|x, y| if x < 6 { 1.0 } else { -1.0 } + if (x + y) % 2 == 0 { 0.5 } else { -0.5 });
        for (i, v) in guide.apply(&guide.fit(&noisy)).into_iter().enumerate() {
            let want = if i % SIZE.width < 6 { 1.0 } else { -1.0 };
            assert!((v - want).abs() < 0.2, "{v}, not {want}");
        }
    }

    #[test]
    fn enlarged_plane_follows_edge_of_large_image() {
        let fit = Guide::new(&picture(SIZE, 6), 3, 1e-4).fit(&plane(|x, _| if x < 6 { 1.0 } else { -1.0 }));
        // The edge is three pixels away from where it is in the small image.
        let values = fit.enlarge(&picture(Size::new(130, 90), 63), [0..130, 0..90]);
        let row: Vec<bool> = values[130 * 45..130 * 46].iter().map(|&v| v > 0.0).collect();
        assert_eq!(row, (0..130).map(|x| x < 63).collect::<Vec<bool>>());
    }
}
