//! Maps HDR and wide-gamut video to SDR BT.709, in which all else is computed and shown.
//!
//! Signals become light by the transfer functions of [BT.2100](https://www.itu.int/rec/R-REC-BT.2100) (PQ is SMPTE ST 2084;
//! HLG is taken as on its reference display of 1000 cd/m²), or by a power of 2.4 for SDR
//! ([BT.1886](https://www.itu.int/rec/R-REC-BT.1886)).
//! The light is converted to the primaries of BT.709; what lies outside is clipped. Highlights are compressed by the EETF of
//! [BT.2390](https://www.itu.int/pub/R-REP-BT.2390), section 5.4.1, so that the brightest one becomes white and what is darker
//! than about 90 cd/m² stays as it is. White is 203 cd/m², the HDR reference white of BT.2408. The largest of the three
//! components decides, so that hues stay.

use std::{num::NonZero, thread};

use ffmpeg::{
    color::{Primaries, TransferCharacteristic},
    frame,
};
use ffmpeg_next as ffmpeg;

/// What signals mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Transfer {
    Pq,
    Hlg,
    Sdr,
}

/// How a kind of signal becomes SDR BT.709.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tone {
    transfer: Transfer,
    is_p3: bool,
    is_709: bool,
    /// Of the content, in cd/m².
    peak: f32,
}

/// SDR white, in cd/m²: BT.2408's reference white of HDR.
const WHITE: f32 = 203.0;
/// The peak of HLG's reference display, and of PQ content that does not say its own.
const USUAL_PEAK: f32 = 1000.0;
/// The largest luminance of PQ.
const PQ_PEAK: f32 = 10_000.0;

impl Tone {
    /// What has to be done with a frame's colors; none if they are SDR BT.709 or nearly so. `peak` is the content's, in cd/m².
    pub(super) fn of(frame: &frame::Video, peak: Option<f32>) -> Option<Self> {
        let transfer = match frame.color_transfer_characteristic() {
            TransferCharacteristic::SMPTE2084 => Transfer::Pq,
            TransferCharacteristic::ARIB_STD_B67 => Transfer::Hlg,
            _ => Transfer::Sdr,
        };
        let primaries = frame.color_primaries();
        let is_p3 = primaries == Primaries::SMPTE432;
        let is_wide = primaries == Primaries::BT2020 || is_p3;
        if transfer == Transfer::Sdr && !is_wide {
            return None;
        }
        let is_709 = primaries == Primaries::BT709;
        let peak = match transfer {
            Transfer::Pq => peak.unwrap_or(USUAL_PEAK).clamp(WHITE, PQ_PEAK),
            Transfer::Hlg => USUAL_PEAK,
            Transfer::Sdr => WHITE,
        };
        Some(Self { transfer, is_p3, is_709, peak })
    }

    /// From its primaries to those of BT.709, row by row: both from their chromaticities, with the white D65.
    fn matrix(self) -> [[f32; 3]; 3] {
        // BT.2407, section 2; for P3 computed in the same way from SMPTE RP 431-2.
        const FROM_2020: [[f32; 3]; 3] = [
            [1.660_491, -0.587_641_1, -0.072_849_86],
            [-0.124_550_47, 1.132_899_9, -0.008_349_42],
            [-0.018_150_76, -0.100_578_9, 1.118_729_7],
        ];
        const FROM_P3: [[f32; 3]; 3] = [
            [1.224_940_1, -0.224_940_18, 0.0],
            [-0.042_056_955, 1.042_056_9, 0.0],
            [-0.019_637_555, -0.078_636_05, 1.098_273_6],
        ];
        const NONE: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        match (self.is_p3, self.is_709) {
            (true, _) => FROM_P3,
            (_, true) => NONE,
            // HDR that does not say is BT.2020.
            _ => FROM_2020,
        }
    }

    /// Light of a signal of 0 to 1, where 1 is white; of HLG the scene's, where 1 is the brightest.
    fn light(self, signal: f32) -> f32 {
        match self.transfer {
            Transfer::Pq => from_pq(signal) / WHITE,
            Transfer::Hlg => from_hlg(signal),
            Transfer::Sdr => signal.powf(2.4),
        }
    }

    /// The brightest light, where 1 is white.
    fn brightest(self) -> f32 {
        self.peak / WHITE
    }

    /// Light after the compression of highlights, both where 1 is white.
    fn compressed(self, light: f32) -> f32 {
        if self.peak <= WHITE {
            return light.min(1.0);
        }
        let source = to_pq(self.peak);
        let max = to_pq(WHITE) / source;
        let knee = 1.5 * max - 0.5;
        let e1 = (to_pq(light * WHITE) / source).min(1.0);
        let e2 = if e1 < knee {
            e1
        } else {
            let t = (e1 - knee) / (1.0 - knee);
            let (t2, t3) = (t * t, t * t * t);
            (2.0 * t3 - 3.0 * t2 + 1.0) * knee
                + (t3 - 2.0 * t2 + t) * (1.0 - knee)
                + (-2.0 * t3 + 3.0 * t2) * max
        };
        (from_pq(e2 * source) / WHITE).min(1.0)
    }
}

const PQ_M1: f32 = 2610.0 / 16384.0;
const PQ_M2: f32 = 2523.0 / 4096.0 * 128.0;
const PQ_C1: f32 = 3424.0 / 4096.0;
const PQ_C2: f32 = 2413.0 / 4096.0 * 32.0;
const PQ_C3: f32 = 2392.0 / 4096.0 * 32.0;

/// ST 2084's EOTF, in cd/m².
fn from_pq(signal: f32) -> f32 {
    let n = signal.max(0.0).powf(1.0 / PQ_M2);
    PQ_PEAK * ((n - PQ_C1).max(0.0) / (PQ_C2 - PQ_C3 * n)).powf(1.0 / PQ_M1)
}

/// Its inverse.
fn to_pq(light: f32) -> f32 {
    let y = (light / PQ_PEAK).max(0.0).powf(PQ_M1);
    ((PQ_C1 + PQ_C2 * y) / (1.0 + PQ_C3 * y)).powf(PQ_M2)
}

/// The inverse of HLG's OETF: the scene's light, 0 to 1.
fn from_hlg(signal: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 1.0 - 4.0 * A;
    const C: f32 = 0.559_910_7;
    if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 }
}

/// HLG's system gamma on a display of 1000 cd/m², less 1.
const HLG_GAMMA: f32 = 0.2;
/// Shares of BT.2020's components in luminance.
const LUMA_2020: [f32; 3] = [0.2627, 0.6780, 0.0593];

/// Entries of each table; those of light are by its square root, which is nearly as eyes see it.
const N: usize = 4096;

/// Tables that make 8-bit SDR of 16-bit signals.
pub(super) struct ToneMap {
    tone: Tone,
    matrix: [[f32; 3]; 3],
    light: Vec<f32>,
    /// What HLG's light is multiplied by, by the scene's luminance; empty for others.
    system: Vec<f32>,
    /// What light is multiplied by, by its largest component.
    gain: Vec<f32>,
    signal: Vec<u8>,
}

impl ToneMap {
    pub(super) fn new(tone: Tone) -> Self {
        let share = |i: usize| i as f32 / (N - 1) as f32;
        let squared = |i: usize| share(i) * share(i);
        let gain = |i: usize| {
            // Below any light the gain is that of the least.
            let light = squared(i.max(1)) * tone.brightest();
            tone.compressed(light) / light
        };
        let system = |i: usize| tone.brightest() * squared(i.max(1)).powf(HLG_GAMMA);
        Self {
            tone,
            matrix: tone.matrix(),
            light: (0..N).map(|i| tone.light(share(i))).collect(),
            system: if tone.transfer == Transfer::Hlg { (0..N).map(system).collect() } else { Vec::new() },
            gain: (0..N).map(gain).collect(),
            signal: (0..N).map(|i| (255.0 * squared(i).powf(1.0 / 2.4)).round() as u8).collect(),
        }
    }

    pub(super) fn tone(&self) -> Tone {
        self.tone
    }

    /// Converts rows of `width` pixels: 16-bit components in the machine's byte order, each row in `stride` bytes, to 8-bit
    /// components without gaps.
    pub(super) fn convert(&self, from: &[u8], stride: usize, width: usize, to: &mut [u8]) {
        /// Fewer rows are not worth a thread.
        const LEAST: usize = 32;
        let n_rows = to.len() / (3 * width).max(1);
        let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = n_rows.div_ceil(n_threads).max(LEAST);
        thread::scope(|scope| {
            let parts = from.chunks(share * stride).zip(to.chunks_mut(share * 3 * width));
            for (from, to) in parts {
                let mut part = move || {
                    for (from, to) in from.chunks(stride).zip(to.chunks_exact_mut(3 * width)) {
                        self.convert_row(from, to);
                    }
                };
                if n_rows <= share { part() } else { drop(scope.spawn(part)) }
            }
        });
    }

    fn convert_row(&self, from: &[u8], to: &mut [u8]) {
        let at = |light: f32| ((light.max(0.0).sqrt() * (N - 1) as f32 + 0.5) as usize).min(N - 1);
        let to_brightest = 1.0 / self.tone.brightest();
        for (from, to) in from.chunks_exact(6).zip(to.chunks_exact_mut(3)) {
            let signal = |c: usize| u32::from(u16::from_ne_bytes([from[2 * c], from[2 * c + 1]]));
            let light = |c: usize| self.light[((signal(c) * (N as u32 - 1) + 32767) / 65535) as usize];
            let mut rgb = [light(0), light(1), light(2)];
            if !self.system.is_empty() {
                let luminance: f32 = rgb.iter().zip(LUMA_2020).map(|(light, share)| light * share).sum();
                let gain = self.system[at(luminance)];
                rgb = rgb.map(|light| light * gain);
            }
            let rgb = self.matrix.map(|row| row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2]);
            let largest = rgb[0].max(rgb[1]).max(rgb[2]);
            let gain = self.gain[at(largest * to_brightest)];
            for (to, light) in to.iter_mut().zip(rgb) {
                *to = self.signal[at(light * gain)];
            }
        }
    }
}

/// The brightest light of a video in cd/m², if its first frame says it: of the content, else of the display that it was
/// made on.
pub(super) fn peak(first: &frame::Video) -> Option<f32> {
    use frame::side_data::Type::{ContentLightLevel, MasteringDisplayMetadata};
    let content = first.side_data(ContentLightLevel).map(|data| max_content_light(data.data()));
    let display = first.side_data(MasteringDisplayMetadata).map(|data| max_display_light(data.data()));
    let is_said = |light: &f32| *light > 0.0;
    content.filter(is_said).or(display.filter(is_said))
}

/// `MaxCLL`, the first number of `AVContentLightMetadata`.
fn max_content_light(data: &[u8]) -> f32 {
    number(data, 0) as f32
}

/// `max_luminance` of `AVMasteringDisplayMetadata`: after eight fractions of primaries and white, and one of the minimum.
fn max_display_light(data: &[u8]) -> f32 {
    const MAX: usize = 9 * 8;
    const HAS_LUMINANCE: usize = MAX + 8 + 4;
    let is_set = number(data, HAS_LUMINANCE) != 0 && number(data, MAX + 4) != 0;
    if is_set { number(data, MAX) as f32 / number(data, MAX + 4) as f32 } else { 0.0 }
}

fn number(data: &[u8], at: usize) -> i32 {
    data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pq_is_its_own_inverse_and_has_its_known_values() {
        // BT.2408, table 1: reference white is 58 % PQ, 1000 cd/m² are 75 %.
        assert!((to_pq(203.0) - 0.58).abs() < 0.001 && (to_pq(1000.0) - 0.752).abs() < 0.001);
        for light in [0.01, 1.0, 100.0, 4000.0, 10_000.0] {
            assert!((from_pq(to_pq(light)) / light - 1.0).abs() < 1e-3, "{light}");
        }
        // BT.2408: reference white is 75 % HLG.
        let white = 1000.0 * from_hlg(0.75).powf(1.2);
        assert!((white - 203.0).abs() < 1.0, "{white}");
    }
}
