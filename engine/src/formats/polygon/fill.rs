//! Polygons as OpenCV's [`fillPoly`](https://docs.opencv.org/4.x/d6/d6e/group__imgproc__draw.html) fills them, which
//! Ultralytics and supervision call to read YOLO polygons.
//!
//! Its rule: corners are truncated to whole numbers, each of which is the center of a pixel. Pixels on the lines between
//! corners are set (Bresenham), and those within, by the even-odd rule.

use crate::{
    geometry::Size,
    mask::{Mask, Rle},
};

/// Bits of the fraction in which OpenCV steps along an edge from row to row.
const FRACTION: u32 = 16;

/// Returns the mask of a polygon given as `x, y, x, y, …` in pixels. Corners beyond the image are moved to its edge.
pub(super) fn fill(polygon: &[f32], size: Size) -> Rle {
    if size.area() == 0 {
        return Rle::empty(size);
    }
    let whole = |value: f32, side: usize| (value as i64).clamp(0, side as i64 - 1);
    let corners: Vec<[i64; 2]> =
        polygon.chunks_exact(2).map(|xy| [whole(xy[0], size.width), whole(xy[1], size.height)]).collect();
    let mut bits = vec![false; size.area()];
    let mut crossings: Vec<Vec<i64>> = vec![Vec::new(); size.height];
    for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
        for [x, y] in line(*from, *to) {
            bits[y as usize * size.width + x as usize] = true;
        }
        let [low, high] = if from[1] <= to[1] { [from, to] } else { [to, from] };
        if low[1] < high[1] {
            let step = ((high[0] - low[0]) << FRACTION) / (high[1] - low[1]);
            for (i, row) in (low[1]..high[1]).enumerate() {
                crossings[row as usize].push((low[0] << FRACTION) + i as i64 * step);
            }
        }
    }
    for (row, crossings) in crossings.iter_mut().enumerate() {
        crossings.sort_unstable();
        for pair in crossings.chunks_exact(2) {
            let first = (pair[0] + (1 << FRACTION) - 1) >> FRACTION;
            let last = (pair[1] >> FRACTION).min(size.width as i64 - 1);
            if first <= last {
                let row = row * size.width;
                bits[row + first as usize..=row + last as usize].fill(true);
            }
        }
    }
    Rle::encode(&Mask::new(size, bits))
}

/// Returns the pixels of a line from its left end to its right end.
fn line(from: [i64; 2], to: [i64; 2]) -> impl Iterator<Item = [i64; 2]> {
    let [[x0, y0], [x1, y1]] = if from[0] <= to[0] { [from, to] } else { [to, from] };
    let (dx, dy, down) = (x1 - x0, (y1 - y0).abs(), (y1 - y0).signum());
    let is_steep = dy > dx;
    let (long, short) = if is_steep { (dy, dx) } else { (dx, dy) };
    let (mut at, mut error) = ([x0, y0], long - 2 * short);
    (0..=long).map(move |_| {
        let pixel = at;
        let turns = error < 0;
        error += if turns { 2 * (long - short) } else { -2 * short };
        at[0] += i64::from(!is_steep || turns);
        at[1] += if is_steep || turns { down } else { 0 };
        pixel
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_those_of_opencv() {
        for (polygon, rows) in OPENCV {
            let polygon: Vec<f32> = polygon.iter().map(|v| f32::from(*v) + 0.25).collect();
            let want = crate::mask::testing::picture(&rows);
            assert_eq!(fill(&polygon, want.size()), Rle::encode(&want), "{polygon:?}");
        }
    }

    /// Corners, and the rows of `cv2.fillPoly` (OpenCV 5.0.0) on a 12x9 image.
    const OPENCV: [(&[u8], [&str; 9]); 6] = [
        (
            &[1, 1, 6, 1, 6, 4, 1, 4],
            [
                "............",
                ".######.....",
                ".######.....",
                ".######.....",
                ".######.....",
                "............",
                "............",
                "............",
                "............",
            ],
        ),
        (
            &[0, 0, 11, 8, 3, 7],
            [
                "#...........",
                "###.........",
                ".###........",
                ".####.......",
                "..#####.....",
                "..######....",
                "...######...",
                "...########.",
                "........####",
            ],
        ),
        (
            &[2, 2, 9, 3, 4, 8, 8, 0],
            [
                ".......##...",
                "....####....",
                "..######....",
                "......####..",
                "......###...",
                ".....###....",
                ".....##.....",
                "....##......",
                "....#.......",
            ],
        ),
        (
            &[5, 5],
            [
                "............",
                "............",
                "............",
                "............",
                "............",
                ".....#......",
                "............",
                "............",
                "............",
            ],
        ),
        (
            &[1, 7, 10, 2],
            [
                "............",
                "............",
                "..........#.",
                "........##..",
                "......##....",
                "....##......",
                "..##........",
                ".#..........",
                "............",
            ],
        ),
        (
            &[1, 1, 9, 1, 9, 7, 1, 7, 1, 1, 3, 3, 3, 5, 7, 5, 7, 3, 3, 3],
            [
                "............",
                ".#########..",
                ".#########..",
                ".#########..",
                ".###...###..",
                ".#########..",
                ".#########..",
                ".#########..",
                "............",
            ],
        ),
    ];
}
