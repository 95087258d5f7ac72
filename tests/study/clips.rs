//! Clips with known masks: something patterned moves, turns and changes its size behind posts and past things that look
//! like it.

use engine::{
    frame::Frames,
    geometry::Size,
    mask::{Mask, Rle},
    media::MediaError,
};
use image::RgbImage;

/// A clip, and what is where in it.
pub(crate) struct Clip {
    pub name: String,
    pub frames: Vec<RgbImage>,
    pub masks: Vec<Rle>,
}

impl Clip {
    pub(crate) fn size(&self) -> Size {
        Size::new(self.frames[0].width() as usize, self.frames[0].height() as usize)
    }
}

/// A clip's frames as tracking reads them.
pub(crate) struct Reel<'a>(pub &'a Clip);

impl Frames for Reel<'_> {
    type Error = MediaError;

    fn n_frames(&self) -> usize {
        self.0.frames.len()
    }

    fn size(&self) -> Size {
        self.0.size()
    }

    fn frame(&mut self, i: usize) -> Result<RgbImage, MediaError> {
        Ok(self.0.frames[i].clone())
    }
}

/// Repeatable numbers of 0 to 1.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.roll()
    }

    fn color(&mut self) -> [f32; 3] {
        [0; 3].map(|_| self.between(30.0, 225.0))
    }
}

/// Something with a wavy outline and stripes, on a path.
struct Thing {
    middle: [f32; 2],
    sway: [f32; 2],
    speed: [f32; 2],
    radius: f32,
    pulse: f32,
    turn: f32,
    lobes: f32,
    depth: f32,
    colors: [[f32; 3]; 2],
    stripes: f32,
}

impl Thing {
    fn new(dice: &mut Dice, radius: f32, colors: [[f32; 3]; 2]) -> Self {
        Self {
            middle: [dice.between(0.4, 0.9), dice.between(0.4, 0.6)],
            sway: [dice.between(0.2, 0.4), dice.between(0.1, 0.25)],
            speed: [dice.between(0.03, 0.07), dice.between(0.04, 0.09)],
            radius,
            pulse: dice.between(0.1, 0.3),
            turn: dice.between(-0.06, 0.06),
            lobes: dice.between(2.0, 6.0).floor(),
            depth: dice.between(0.08, 0.25),
            colors,
            stripes: dice.between(8.0, 18.0),
        }
    }

    /// The color at a place, in parts of the clip's height, if the thing is there at time `t`.
    fn color(&self, t: f32, x: f32, y: f32) -> Option<[f32; 3]> {
        let at = |i: usize| self.middle[i] + self.sway[i] * (self.speed[i] * t + i as f32).sin();
        let (dx, dy) = (x - at(0), y - at(1));
        let angle = dy.atan2(dx) + self.turn * t;
        let scale = 1.0 + self.pulse * (0.05 * t).sin();
        let edge = self.radius * scale * (1.0 + self.depth * (self.lobes * angle).sin());
        let distance = dx.hypot(dy);
        let stripe = (distance * angle.cos() / self.radius * self.stripes * 0.5).sin() > 0.2;
        (distance < edge).then(|| self.colors[usize::from(stripe)])
    }
}

/// The `i`-th clip: the same each time.
pub(crate) fn generated(i: u64, n_frames: usize) -> Clip {
    const SIZE: (u32, u32) = (384, 288);
    let mut dice = Dice(i * 7919 + 17);
    let (ground, other) = (dice.color(), dice.color());
    let waves: Vec<[f32; 3]> =
        (0..5).map(|_| [dice.between(2.0, 14.0), dice.between(2.0, 14.0), dice.between(0.0, 6.0)]).collect();
    let color = dice.color();
    let shade = dice.between(0.6, 0.85);
    let colors = [color, color.map(|c| c * shade)];
    let radius = dice.between(0.15, 0.22);
    let target = Thing::new(&mut dice, radius, colors);
    let near = color.map(|c| c * 0.6 + dice.between(0.0, 100.0));
    let like_it = Thing::new(&mut dice, radius * 0.8, [near, near.map(|c| c * 0.7)]);
    let posts: Vec<[f32; 2]> =
        (0..1 + i % 2).map(|_| [dice.between(0.2, 1.1), dice.between(0.05, 0.12)]).collect();
    let post = dice.color();
    let mut frames = Vec::new();
    let mut masks = Vec::new();
    for t in 0..n_frames {
        let time = t as f32;
        let light = 1.0 + 0.15 * (0.04 * time).sin();
        let mut bits = Vec::with_capacity((SIZE.0 * SIZE.1) as usize);
        let image = RgbImage::from_fn(SIZE.0, SIZE.1, |px, py| {
            let (x, y) = (px as f32 / SIZE.1 as f32, py as f32 / SIZE.1 as f32);
            let is_post = posts.iter().any(|[left, width]| (*left..left + width).contains(&x));
            let of_target = target.color(time, x, y).filter(|_| !is_post);
            bits.push(of_target.is_some());
            let color = of_target.unwrap_or_else(|| {
                if is_post {
                    return post;
                }
                let wave = |[a, b, c]: &[f32; 3]| (a * x + b * y + c).sin();
                let mix = 0.5 + waves.iter().map(wave).sum::<f32>() / 10.0;
                let behind = std::array::from_fn(|c| ground[c] * mix + other[c] * (1.0 - mix));
                like_it.color(time, x, y).unwrap_or(behind)
            });
            let grain = ((px * 31 + py * 17 + t as u32 * 7) % 13) as f32 - 6.0;
            image::Rgb(color.map(|c| (c * light + grain).clamp(0.0, 255.0) as u8))
        });
        let size = Size::new(SIZE.0 as usize, SIZE.1 as usize);
        masks.push(Rle::encode(&Mask::new(size, bits)));
        frames.push(image);
    }
    Clip { name: format!("generated {i}"), frames, masks }
}

/// A clip of a folder with JPEG frames, and PNG masks of the same names.
pub(crate) fn read(folder: &std::path::Path) -> Clip {
    let names = |folder: &std::path::Path, extension: &str| {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    };
    let frames: Vec<RgbImage> =
        names(folder, "jpg").iter().map(|path| image::open(path).unwrap().into_rgb8()).collect();
    let mask = |path: &std::path::PathBuf| {
        let image = image::open(path).unwrap().into_luma8();
        let size = Size::new(image.width() as usize, image.height() as usize);
        Rle::encode(&Mask::new(size, image.pixels().map(|pixel| pixel.0[0] > 0).collect()))
    };
    let masks = names(folder, "png").iter().map(mask).collect();
    Clip { name: folder.file_name().unwrap_or_default().display().to_string(), frames, masks }
}
