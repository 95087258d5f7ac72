//! Colors of TIFF pages in 8 bits a sample as sRGB, as Pillow converts them.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::page::{Alpha, Color, Page};

/// Makes an image of samples in 8 bits, [`Page::n_shown`] a pixel; `None` if they are not as many as pixels need.
pub(super) fn image(page: &Page, mut samples: Vec<u8>) -> Option<DynamicImage> {
    let (width, height) = (page.size.width as u32, page.size.height as u32);
    let (n_shown, n_colors) = (page.n_shown(), page.color.n_samples());
    if page.color == (Color::Gray { zero_is_white: true }) {
        samples.chunks_exact_mut(n_shown).for_each(|pixel| pixel[0] = 255 - pixel[0]);
    }
    if page.alpha == Alpha::Multiplied {
        for pixel in samples.chunks_exact_mut(n_shown) {
            if let Some((&mut alpha, colors)) = pixel.split_last_mut().filter(|(alpha, _)| **alpha > 0) {
                colors.iter_mut().for_each(|c| *c = (u32::from(*c) * 255 / u32::from(alpha)).min(255) as u8);
            }
        }
    }
    let rgb = |convert: &dyn Fn(&[u8]) -> [u8; 3]| {
        RgbImage::from_raw(width, height, samples.chunks_exact(n_shown).flat_map(convert).collect())
    };
    Some(match &page.color {
        Color::Gray { .. } if n_shown == 1 => GrayImage::from_raw(width, height, samples)?.into(),
        Color::Gray { .. } => GrayAlphaImage::from_raw(width, height, samples)?.into(),
        Color::Rgb | Color::Bands if n_shown == n_colors => {
            RgbImage::from_raw(width, height, samples)?.into()
        }
        Color::Rgb | Color::Bands => RgbaImage::from_raw(width, height, samples)?.into(),
        Color::Palette(colors) => {
            rgb(&|pixel| colors.get(usize::from(pixel[0])).copied().unwrap_or_default())?.into()
        }
        Color::Cmyk => rgb(&|pixel| cmyk([pixel[0], pixel[1], pixel[2], pixel[3]]))?.into(),
        Color::YCbCr => rgb(&|pixel| ycbcr([pixel[0], pixel[1], pixel[2]]))?.into(),
        Color::Lab { is_signed } => rgb(&|pixel| {
            let ab =
                |value: u8| if *is_signed { value.cast_signed().into() } else { f32::from(value) - 128.0 };
            lab([f32::from(pixel[0]) / 2.55, ab(pixel[1]), ab(pixel[2])])
        })?
        .into(),
    })
}

/// Ink taken from white, without a profile.
fn cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let left = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| (left - (u32::from(ink) * left + 127) / 255) as u8)
}

/// ITU-R BT.601 in the full range, as JFIF has it.
fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| (value + 0.5) as u8)
}

/// CIE L*a*b* under D50, through XYZ adapted to D65 by Bradford's method, to sRGB (IEC 61966-2-1).
fn lab([l, a, b]: [f32; 3]) -> [u8; 3] {
    let y = (l + 16.0) / 116.0;
    let linear = |f: f32| if f > 6.0 / 29.0 { f * f * f } else { (f - 4.0 / 29.0) * 108.0 / 841.0 };
    let [x, y, z] = [0.9642 * linear(y + a / 500.0), linear(y), 0.8249 * linear(y - b / 200.0)];
    let rgb = [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ];
    rgb.map(|v| {
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v * 255.0 + 0.5) as u8
    })
}
