//! PNG files whose pixels are numbers: of classes, of objects.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{geometry::Size, mask::Rle};

/// More pixels than this are no image.
const LARGEST: usize = 1 << 28;

/// A picture of numbers below 256, in the colors of PASCAL VOC.
pub(super) fn write_indexed(out: impl io::Write, size: Size, numbers: &[u8]) -> io::Result<()> {
    let mut encoder = png::Encoder::new(out, size.width as u32, size.height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(color).collect::<Vec<u8>>());
    encoder.write_header()?.write_image_data(numbers)?;
    Ok(())
}

/// A picture of numbers below 65536.
pub(super) fn write_wide(out: impl io::Write, size: Size, numbers: &[u16]) -> io::Result<()> {
    let mut encoder = png::Encoder::new(out, size.width as u32, size.height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(())
}

/// A picture of bytes, so many a pixel: 1 for gray, 3 for color.
pub(super) fn write_bytes(out: impl io::Write, size: Size, channels: usize, bytes: &[u8]) -> io::Result<()> {
    let mut encoder = png::Encoder::new(out, size.width as u32, size.height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(bytes)?;
    Ok(())
}

/// A picture of numbers: indices of a palette, gray levels of 8 or 16 bits, or R + 256 G + 65536 B.
pub(super) fn read_numbers(path: &Path) -> Result<(Size, Vec<u32>), String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    decode(io::BufReader::new(file))
}

/// The same of bytes.
pub(super) fn decode(input: impl io::BufRead + io::Seek) -> Result<(Size, Vec<u32>), String> {
    let mut decoder = png::Decoder::new(input);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let info = reader.info();
    let size = Size::new(info.width as usize, info.height as usize);
    if size.width.checked_mul(size.height).is_none_or(|area| area > LARGEST) {
        return Err("it is larger than any image".to_owned());
    }
    let mut bytes = vec![0; reader.output_buffer_size().ok_or("it is larger than any image")?];
    let frame = reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
    let rows = bytes.chunks_exact(frame.line_size.max(1)).take(size.height);
    let bits = frame.bit_depth as usize;
    let numbers = match (frame.color_type, bits) {
        (png::ColorType::Indexed | png::ColorType::Grayscale, 1 | 2 | 4 | 8) => {
            let mask = (1_u32 << bits) - 1;
            let number =
                |row: &[u8], x: usize| (u32::from(row[x * bits / 8]) >> (8 - bits - x * bits % 8)) & mask;
            rows.flat_map(|row| (0..size.width).map(move |x| number(row, x)).collect::<Vec<u32>>()).collect()
        }
        (png::ColorType::Grayscale, 16) => {
            rows.flat_map(|row| row.chunks_exact(2).map(|b| u32::from(b[0]) << 8 | u32::from(b[1]))).collect()
        }
        (color @ (png::ColorType::Rgb | png::ColorType::Rgba), 8) => {
            let n = if color == png::ColorType::Rgb { 3 } else { 4 };
            let number = |b: &[u8]| u32::from(b[0]) | u32::from(b[1]) << 8 | u32::from(b[2]) << 16;
            rows.flat_map(|row| row.chunks_exact(n).map(number)).collect()
        }
        _ => return Err("its pixels are of a kind that labels never have".to_owned()),
    };
    Ok((size, numbers))
}

/// The masks of all numbers of a picture but 0, in their order.
pub(super) fn masks_of(size: Size, numbers: &[u32]) -> Vec<(u32, Rle)> {
    // Column by column, as run lengths go: for each number its runs and the gaps before them, and where the last one ends.
    let mut runs: BTreeMap<u32, (Vec<u32>, u32)> = BTreeMap::new();
    let at = |place: usize| numbers[place % size.height * size.width + place / size.height];
    let mut begin = 0;
    while begin < size.area() {
        let number = at(begin);
        let end = (begin..size.area()).find(|place| at(*place) != number).unwrap_or(size.area());
        if number > 0 {
            let (of_number, last) = runs.entry(number).or_default();
            of_number.extend([begin as u32 - *last, (end - begin) as u32]);
            *last = end as u32;
        }
        begin = end;
    }
    let mask = |(number, (mut runs, last)): (u32, (Vec<u32>, u32))| {
        runs.push(size.area() as u32 - last);
        Some((number, Rle::from_runs(size, runs).ok()?))
    };
    runs.into_iter().filter_map(mask).collect()
}

/// Where a piece of an image is in it, whose corner a file tells; or the sentence that it is not.
pub(super) fn corner(told: [f64; 2], piece: Size, image: Size) -> Result<(usize, usize), String> {
    let [left, top] = told.map(f64::round);
    let fits = |from: f64, n: usize, n_image: usize| from >= 0.0 && from + n as f64 <= n_image as f64;
    let is_in = fits(left, piece.width, image.width) && fits(top, piece.height, image.height);
    is_in
        .then_some((left as usize, top as usize))
        .ok_or_else(|| "its mask reaches out of its image".to_owned())
}

/// Paints a mask into a picture; how many pixels of others it covers.
pub(super) fn paint<T: Copy + PartialEq + Default>(numbers: &mut [T], mask: &Rle, number: T) -> usize {
    let mut n_covered = 0;
    for (place, _) in mask.decode().bits().iter().enumerate().filter(|(_, on)| **on) {
        n_covered += usize::from(numbers[place] != T::default());
        numbers[place] = number;
    }
    n_covered
}

/// The color of a number in PASCAL VOC's devkit (`VOClabelcolormap`), which DAVIS has too: its bits, the lowest first, become
/// the highest bits of red, green and blue in turn.
pub(super) fn color(number: u8) -> [u8; 3] {
    let bit = |place: u32| (u32::from(number) >> place & 1) as u8;
    [0, 1, 2].map(|channel| (0..3).fold(0, |value, i| value | (bit(3 * i + channel) << (7 - i))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::testing::picture;

    #[test]
    fn colors_are_those_of_the_devkit() {
        let want = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]];
        assert_eq!([0, 1, 2, 3, 4, 5].map(color), want);
        assert_eq!((color(20), color(255)), ([0, 64, 128], [224, 224, 192]));
    }

    #[test]
    fn numbers_survive() {
        let size = Size::new(3, 2);
        let numbers = [0_u32, 1, 255, 7, 0, 2];
        let read = |bytes: Vec<u8>| decode(io::Cursor::new(bytes)).unwrap();
        let mut out = Vec::new();
        write_indexed(&mut out, size, &numbers.map(|n| n as u8)).unwrap();
        assert_eq!(read(out), (size, numbers.to_vec()));
        let mut out = Vec::new();
        write_wide(&mut out, size, &numbers.map(|n| n as u16 * 257)).unwrap();
        assert_eq!(read(out), (size, numbers.map(|n| n * 257).to_vec()));
        let mut out = Vec::new();
        write_bytes(&mut out, Size::new(1, 2), 3, &[1, 0, 0, 0, 2, 1]).unwrap();
        assert_eq!(read(out), (Size::new(1, 2), vec![1, 512 + 65536]));
        let masks = masks_of(size, &[0, 5, 5, 0, 0, 9]);
        assert_eq!(
            masks,
            [(5, Rle::encode(&picture(&[".##", "..."]))), (9, Rle::encode(&picture(&["...", "..#"])))]
        );
    }
}
