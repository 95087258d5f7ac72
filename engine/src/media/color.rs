//! Pixels between RGB and what codecs store.

use ffmpeg::{
    color::{Range, Space},
    format::Pixel,
    frame,
    software::scaling::{Context, Flags},
};
use ffmpeg_next as ffmpeg;
use image::RgbImage;

use super::tone::{Tone, ToneMap, peak};

/// How YUV values mean colors.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Yuv {
    matrix: i32,
    full_range: bool,
}

impl Yuv {
    /// BT.709 in limited range: what [`super::VideoWriter`] writes.
    pub(super) const HD: Self = Self { matrix: ffmpeg::ffi::SWS_CS_ITU709, full_range: false };

    /// What the frame says of itself; where it is silent what players assume: BT.709 for HD, else BT.601, limited range.
    pub(super) fn of(frame: &frame::Video) -> Self {
        use ffmpeg::ffi::{SWS_CS_BT2020, SWS_CS_FCC, SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_SMPTE240M};
        let matrix = match frame.color_space() {
            Space::BT709 => SWS_CS_ITU709,
            Space::BT470BG | Space::SMPTE170M => SWS_CS_ITU601,
            Space::FCC => SWS_CS_FCC,
            Space::SMPTE240M => SWS_CS_SMPTE240M,
            Space::BT2020NCL | Space::BT2020CL => SWS_CS_BT2020,
            _ if frame.width() >= 1280 || frame.height() > 576 => SWS_CS_ITU709,
            _ => SWS_CS_ITU601,
        };
        use Pixel::{YUVJ411P, YUVJ420P, YUVJ422P, YUVJ440P, YUVJ444P};
        let full_format = matches!(frame.format(), YUVJ411P | YUVJ420P | YUVJ422P | YUVJ440P | YUVJ444P);
        Self { matrix, full_range: full_format || frame.color_range() == Range::JPEG }
    }
}

/// Makes 8-bit SDR images of one size of a video's frames.
pub(super) struct ToImage {
    plain: Converter,
    /// For HDR and wide gamuts, made when a frame needs it.
    deep: Option<(Converter, ToneMap)>,
    /// The converters' last output: memory that is used again.
    rgb: frame::Video,
    /// The video's brightest light, if it says so.
    peak: Option<f32>,
    width: u32,
    height: u32,
}

impl ToImage {
    /// Gives images of the size of the video's first frame.
    pub(super) fn new(first: &frame::Video) -> Self {
        let (width, height) = (first.width(), first.height());
        let plain = Converter::new(Pixel::RGB24, width, height);
        Self { plain, deep: None, rgb: frame::Video::empty(), peak: peak(first), width, height }
    }

    /// The image of a frame.
    pub(super) fn convert(&mut self, frame: &frame::Video) -> Result<RgbImage, ffmpeg::Error> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut pixels = vec![0; 3 * width * height];
        let yuv = Yuv::of(frame);
        match Tone::of(frame, self.peak) {
            None => {
                self.plain.convert(frame, &mut self.rgb, yuv)?;
                let rows = self.rgb.data(0).chunks(self.rgb.stride(0));
                for (to, from) in pixels.chunks_exact_mut(3 * width).zip(rows) {
                    to.copy_from_slice(&from[..3 * width]);
                }
            }
            Some(tone) => {
                let (converter, map) = match &mut self.deep {
                    Some(deep) if deep.1.tone() == tone => deep,
                    slot => {
                        let deep = if cfg!(target_endian = "big") { Pixel::RGB48BE } else { Pixel::RGB48LE };
                        slot.insert((Converter::new(deep, self.width, self.height), ToneMap::new(tone)))
                    }
                };
                converter.convert(frame, &mut self.rgb, yuv)?;
                map.convert(self.rgb.data(0), self.rgb.stride(0), width, &mut pixels);
            }
        }
        RgbImage::from_raw(self.width, self.height, pixels).ok_or(ffmpeg::Error::Bug)
    }
}

/// Converts frames of one kind; makes itself anew when the kind of frame changes.
pub(super) struct Converter {
    context: Option<SendContext>,
    made_for: Option<(Pixel, u32, u32, Yuv)>,
    to: Pixel,
    width: u32,
    height: u32,
}

struct SendContext(Context);

#[expect(unsafe_code, reason = "ffmpeg-next does not say that a scaling context may change threads")]
// SAFETY: a SwsContext has no tie to the thread that made it, and it is reached through `&mut` only.
unsafe impl Send for SendContext {}

impl Converter {
    /// Gives frames of this format and size.
    pub(super) fn new(to: Pixel, width: u32, height: u32) -> Self {
        Self { context: None, made_for: None, to, width, height }
    }

    /// Fills `to` with the pixels of `from`; one of the two is YUV of this meaning. Another size is scaled, as players do.
    pub(super) fn convert(
        &mut self,
        from: &frame::Video,
        to: &mut frame::Video,
        yuv: Yuv,
    ) -> Result<(), ffmpeg::Error> {
        let key = (from.format(), from.width(), from.height(), yuv);
        let context = match &mut self.context {
            Some(context) if self.made_for == Some(key) => context,
            slot => {
                let flags = Flags::BILINEAR | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT;
                let (format, width, height) = (from.format(), from.width(), from.height());
                let mut context =
                    Context::get(format, width, height, self.to, self.width, self.height, flags)?;
                set_colors(&mut context, yuv);
                self.made_for = Some(key);
                slot.insert(SendContext(context))
            }
        };
        context.0.run(from, to)
    }
}

#[expect(unsafe_code, reason = "ffmpeg-next has no call for color matrices and ranges")]
fn set_colors(context: &mut Context, yuv: Yuv) {
    let full = i32::from(yuv.full_range);
    // SAFETY: the context is alive, and the table of coefficients that FFmpeg returns is static.
    unsafe {
        let matrix = ffmpeg::ffi::sws_getCoefficients(yuv.matrix);
        // Contrast and saturation are 16.16 fixed point. The side that is RGB ignores its matrix and range.
        // A format without YUV on either side refuses the call, and needs none.
        ffmpeg::ffi::sws_setColorspaceDetails(
            context.as_mut_ptr(),
            matrix,
            full,
            matrix,
            full,
            0,
            1 << 16,
            1 << 16,
        );
    }
}
