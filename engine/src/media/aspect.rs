//! Pixels that are not square.

use ffmpeg_next::Rational;

/// Width of a pixel divided by its height, as a fraction of positive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelAspect {
    /// The pixel's width.
    pub width: u32,
    /// Its height, in the same unit.
    pub height: u32,
}

impl PixelAspect {
    /// As wide as high.
    pub const SQUARE: Self = Self { width: 1, height: 1 };

    /// The aspect of a fraction; square if it is none.
    pub(super) fn new(ratio: Rational) -> Self {
        let sides = u32::try_from(ratio.numerator()).ok().zip(u32::try_from(ratio.denominator()).ok());
        let [width, height] = sides.map_or([0, 0], |(width, height)| [width, height]);
        if width == 0 || height == 0 || width == height { Self::SQUARE } else { Self { width, height } }
    }

    /// True if it is as wide as high.
    pub fn is_square(self) -> bool {
        self.width == self.height
    }

    /// Width divided by height.
    pub fn ratio(self) -> f32 {
        self.width as f32 / self.height as f32
    }

    /// The aspect after a turn by a quarter.
    pub(super) fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}
