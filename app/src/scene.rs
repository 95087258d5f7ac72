//! A photo and a clip to try Segue on, made from nothing: a ball, a kite and a wall before hills.

use engine::{frame::Frames, geometry::Size};
use image::{Rgb, RgbImage};

/// A clip of a ball that rolls behind a wall and out again, while a kite drifts above.
pub(crate) struct Scene {
    size: Size,
    n_frames: usize,
}

/// Where something is, in parts of the picture's height.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub x: f32,
    pub y: f32,
}

const BALL_RADIUS: f32 = 0.16;
/// From left to right.
const WALL: std::ops::Range<f32> = 0.72..1.06;
const WALL_TOP: f32 = 0.44;

impl Scene {
    pub(crate) fn new() -> Self {
        Self { size: Size::new(640, 360), n_frames: 48 }
    }

    /// 0 at the first frame, 1 at the last.
    fn moment(&self, frame: usize) -> f32 {
        frame as f32 / (self.n_frames - 1) as f32
    }

    /// The middle of the ball.
    pub(crate) fn ball(&self, frame: usize) -> Place {
        let t = self.moment(frame);
        Place { x: 0.3 + 1.2 * t, y: 0.68 - 0.05 * (t * 18.0).sin().abs() }
    }

    /// The middle of the kite.
    pub(crate) fn kite(&self, frame: usize) -> Place {
        let t = self.moment(frame);
        Place { x: 1.35 - 0.5 * t, y: 0.24 + 0.06 * (t * 9.0).sin() }
    }

    /// A place in pixels.
    pub(crate) fn pixel(&self, place: Place) -> (f32, f32) {
        let height = self.size.height as f32;
        (place.x * height, place.y * height)
    }

    fn color(&self, frame: usize, x: f32, y: f32) -> [f32; 3] {
        if WALL.contains(&x) && y > WALL_TOP {
            return wall(x, y);
        }
        self.ball_color(frame, x, y).or_else(|| self.kite_color(frame, x, y)).unwrap_or_else(|| ground(x, y))
    }

    fn ball_color(&self, frame: usize, x: f32, y: f32) -> Option<[f32; 3]> {
        let center = self.ball(frame);
        let (dx, dy) = ((x - center.x) / BALL_RADIUS, (y - center.y) / BALL_RADIUS);
        let distance = dx * dx + dy * dy;
        (distance < 1.0).then(|| {
            // It rolls: stripes turn with the way it has come.
            let turn = center.x / BALL_RADIUS;
            let stripe = ((dy.atan2(dx) - turn) * 3.0 / std::f32::consts::PI).rem_euclid(2.0) < 1.0;
            let light = 0.45 + 0.55 * ((1.0 - distance).sqrt() * 0.6 - dx * 0.35 - dy * 0.55).clamp(0.0, 1.0);
            let color = if stripe { [214.0, 62.0, 44.0] } else { [230.0, 92.0, 58.0] };
            color.map(|c| c * light + 8.0 * noise(x * 90.0, y * 90.0))
        })
    }

    fn kite_color(&self, frame: usize, x: f32, y: f32) -> Option<[f32; 3]> {
        let center = self.kite(frame);
        let (dx, dy) = ((x - center.x) / 0.11, (y - center.y) / 0.14);
        (dx.abs() + dy.abs() < 1.0).then(|| {
            let color = if (dx > 0.0) == (dy > 0.0) { [246.0, 206.0, 84.0] } else { [236.0, 190.0, 60.0] };
            color.map(|c| c * (0.9 - 0.15 * dy) + 6.0 * noise(x * 70.0, y * 70.0))
        })
    }
}

/// Bricks in mortar, every other row shifted by half a brick.
fn wall(x: f32, y: f32) -> [f32; 3] {
    let (width, height) = (0.095, 0.04);
    let row = ((y - WALL_TOP) / height).floor();
    let along = (x - WALL.start) / width + 0.5 * row.rem_euclid(2.0);
    let (in_brick_x, in_brick_y) = (along.fract(), ((y - WALL_TOP) / height).fract());
    if in_brick_x < 0.07 || in_brick_y < 0.14 {
        return [168.0, 160.0, 150.0].map(|c| c * (0.85 + 0.15 * noise(x * 70.0, y * 70.0)));
    }
    let own = noise(along.floor() * 7.3, row * 3.7);
    [142.0, 84.0, 64.0].map(|c| c * (0.75 + 0.3 * own + 0.12 * noise(x * 120.0, y * 120.0)))
}

/// Sky, hills and grass.
fn ground(x: f32, y: f32) -> [f32; 3] {
    let hill = 0.52 + 0.05 * (x * 4.0).sin() + 0.03 * (x * 9.0 + 1.0).sin();
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * t);
    if y < hill - 0.12 {
        return mix([120.0, 164.0, 214.0], [206.0, 222.0, 232.0], y * 2.4 + 0.12 * noise(x * 5.0, y * 9.0));
    }
    if y < hill {
        return mix([88.0, 116.0, 92.0], [122.0, 142.0, 112.0], noise(x * 24.0, y * 30.0));
    }
    mix(
        [70.0, 104.0, 48.0],
        [128.0, 150.0, 74.0],
        0.6 * noise(x * 14.0, y * 30.0) + 0.4 * noise(x * 80.0, y * 120.0),
    )
}

/// Smooth noise, 0 to 1.
fn noise(x: f32, y: f32) -> f32 {
    let cell = |ix: i32, iy: i32| {
        let n = (ix.wrapping_mul(374_761_393) ^ iy.wrapping_mul(668_265_263)) as u32;
        let n = (n ^ (n >> 13)).wrapping_mul(1_274_126_177);
        ((n ^ (n >> 16)) & 0xffff) as f32 / 65_535.0
    };
    let (x0, y0) = (x.floor(), y.floor());
    let (ix, iy, fx, fy) = (x0 as i32, y0 as i32, x - x0, y - y0);
    let top = cell(ix, iy) * (1.0 - fx) + cell(ix + 1, iy) * fx;
    let bottom = cell(ix, iy + 1) * (1.0 - fx) + cell(ix + 1, iy + 1) * fx;
    top * (1.0 - fy) + bottom * fy
}

impl Frames for Scene {
    type Error = std::convert::Infallible;

    fn n_frames(&self) -> usize {
        self.n_frames
    }

    fn size(&self) -> Size {
        self.size
    }

    fn frame(&mut self, i: usize) -> Result<RgbImage, Self::Error> {
        let height = self.size.height as f32;
        let at = |v: u32, offset: f32| (v as f32 + offset) / height;
        Ok(RgbImage::from_fn(self.size.width as u32, self.size.height as u32, |x, y| {
            // Four samples a pixel keep edges smooth.
            let samples = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
            let colors = samples.map(|(dx, dy)| self.color(i, at(x, dx), at(y, dy)));
            Rgb([0, 1, 2]
                .map(|c| (colors.iter().map(|color| color[c]).sum::<f32>() / 4.0).clamp(0.0, 255.0) as u8))
        }))
    }
}
