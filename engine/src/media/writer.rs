//! Videos written frame by frame, whole or not at all.

use std::{
    io,
    path::{Path, PathBuf},
};

use ffmpeg::{
    Codec, Dictionary, Packet, Rational, codec, color, encoder,
    format::{
        self, Pixel,
        context::{Output, StreamIo},
    },
    frame,
};
use ffmpeg_next as ffmpeg;
use image::RgbImage;

use super::{
    FrameSource, MediaError, PixelAspect,
    color::{Converter, Yuv},
};
use crate::{
    file::{MARK, end_of_links, is_marked, keep_earlier, persist, temporary_beside},
    geometry::Size,
};

/// Writes an MP4 file: H.264 where FFmpeg has x264, else MPEG-4; 4:2:0, BT.709, limited range.
///
/// The frames go to a temporary file beside the target, which [`VideoWriter::finish`] renames.
/// A writer that is dropped before leaves nothing.
pub struct VideoWriter {
    path: PathBuf,
    // Before the file, which is deleted when it is dropped: some systems keep open files.
    encoding: Encoding,
    file: tempfile::NamedTempFile,
}

impl VideoWriter {
    /// Starts a video of `size` pixels and `fps` frames a second.
    ///
    /// Frames of an odd width or height get one more column or row, a copy of their last: 4:2:0 has even sizes only.
    ///
    /// # Errors
    /// The folder cannot be written to, FFmpeg cannot encode, or the size or rate is impossible.
    pub fn create(path: &Path, size: Size, fps: f64) -> Result<Self, MediaError> {
        let rate = rate(fps).ok_or_else(|| MediaError::BadRate { path: path.into(), fps })?;
        Self::start(path, Layout { size, rate, time_base: rate.invert(), aspect: PixelAspect::SQUARE })
    }

    /// Starts a video with the size, the pixels' shape and the times of another; frames go to [`Self::push_at`].
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn like(path: &Path, source: &FrameSource) -> Result<Self, MediaError> {
        let fps = source.fps();
        let rate = rate(fps).ok_or_else(|| MediaError::BadRate { path: path.into(), fps })?;
        let time_base = source.time_unit().unwrap_or(rate.invert());
        Self::start(path, Layout { size: source.size(), rate, time_base, aspect: source.pixel_aspect() })
    }

    fn start(path: &Path, layout: Layout) -> Result<Self, MediaError> {
        let path = &end_of_links(path);
        let write_error = |cause| MediaError::Write { path: path.into(), cause };
        let file = temporary_beside(path).map_err(write_error)?;
        let out = file.reopen().map_err(write_error)?;
        super::start_ffmpeg();
        let codec = encoder::find_by_name("libx264")
            .or_else(|| encoder::find(codec::Id::MPEG4))
            .ok_or_else(|| MediaError::NoEncoder { path: path.into() })?;
        Ok(Self { path: path.into(), encoding: Encoding::start(out, codec, path, layout)?, file })
    }

    /// Appends a frame at the constant frame rate.
    ///
    /// # Errors
    /// The frame is of another size, or cannot be encoded or written (the disk is full).
    pub fn push(&mut self, image: &RgbImage) -> Result<(), MediaError> {
        let Layout { rate, .. } = self.encoding.layout;
        self.push_at(image, self.encoding.n_frames as f64 / f64::from(rate))
    }

    /// Appends a frame that is shown at `time`, in seconds and later than the one before it.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_at(&mut self, image: &RgbImage, time: f64) -> Result<(), MediaError> {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let expected = self.encoding.layout.size;
        if size != expected {
            return Err(MediaError::WrongSize { path: self.path.clone(), size, expected });
        }
        self.encoding.push(image, time).map_err(|cause| MediaError::Encode { path: self.path.clone(), cause })
    }

    /// Completes the file and puts it where it belongs. A file there that Segue did not write is kept under the returned name.
    ///
    /// # Errors
    /// The rest cannot be encoded or written; what was at the path is then as it was.
    pub fn finish(self) -> Result<Option<PathBuf>, MediaError> {
        let Self { path, encoding, file } = self;
        encoding.finish().map_err(|cause| MediaError::Encode { path: path.clone(), cause })?;
        let kept = keep_earlier(&path, is_marked).and_then(|kept| persist(file, &path).map(|()| kept));
        kept.map_err(|cause| MediaError::Write { path, cause })
    }
}

/// What a video looks like.
#[derive(Clone, Copy)]
struct Layout {
    size: Size,
    /// Frames a second, on average.
    rate: Rational,
    /// Seconds in one unit of time.
    time_base: Rational,
    aspect: PixelAspect,
}

/// MPEG-4 has no finer unit of time.
const MPEG4_MAX_UNITS: i32 = 65_535;

/// An encoder and the MP4 stream that it fills.
struct Encoding {
    output: Output,
    encoder: encoder::Video,
    converter: Converter,
    layout: Layout,
    n_frames: i64,
    /// When the last frame is shown.
    last: Option<i64>,
}

impl Encoding {
    fn start(
        out: impl io::Write + io::Seek + Send + 'static,
        codec: Codec,
        path: &Path,
        mut layout: Layout,
    ) -> Result<Self, MediaError> {
        let Layout { size, rate, aspect, .. } = layout;
        if codec.id() == codec::Id::MPEG4 && layout.time_base.denominator() > MPEG4_MAX_UNITS {
            layout.time_base = Rational::new(1, MPEG4_MAX_UNITS);
        }
        let start = || {
            let io = StreamIo::from_write_seek(out)?;
            let mut output = format::output_to_stream(io, None, Some("mp4"))?;
            let (width, height) = (even(size.width)?, even(size.height)?);
            let mut settings = codec::Context::new_with_codec(codec).encoder().video()?;
            settings.set_width(width);
            settings.set_height(height);
            settings.set_format(Pixel::YUV420P);
            settings.set_time_base(layout.time_base);
            settings.set_aspect_ratio(Rational::new(aspect.width as i32, aspect.height as i32));
            settings.set_frame_rate(Some(rate));
            settings.set_colorspace(color::Space::BT709);
            settings.set_color_range(color::Range::MPEG);
            settings.set_color_primaries(color::Primaries::BT709);
            settings.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
            settings.set_flags(codec::Flags::GLOBAL_HEADER);
            // Closed GOPs: other programs can then cut the file.
            let options: &[_] = match codec.id() {
                codec::Id::H264 => {
                    &[("threads", "auto"), ("preset", "fast"), ("crf", "18"), ("flags", "+cgop")]
                }
                _ => &[("threads", "auto"), ("b", "20M"), ("qmin", "2")],
            };
            let options: Dictionary = options.iter().copied().collect();
            let encoder = settings.open_with(options)?;
            let mut stream = output.add_stream_with(&encoder)?;
            stream.set_time_base(layout.time_base);
            stream.set_avg_frame_rate(rate);
            output.set_metadata([("comment", MARK)].into_iter().collect());
            output.write_header()?;
            Ok(Self {
                output,
                converter: Converter::new(Pixel::YUV420P, width, height),
                encoder,
                layout,
                n_frames: 0,
                last: None,
            })
        };
        start().map_err(|cause| MediaError::Encode { path: path.into(), cause })
    }

    fn push(&mut self, image: &RgbImage, time: f64) -> Result<(), ffmpeg::Error> {
        let rgb = padded(image, self.encoder.width(), self.encoder.height());
        let mut frame = frame::Video::empty();
        self.converter.convert(&rgb, &mut frame, Yuv::HD)?;
        let nearest = (time / f64::from(self.layout.time_base)).round() as i64;
        let at = self.last.map_or(nearest, |last| nearest.max(last + 1));
        self.last = Some(at);
        frame.set_pts(Some(at));
        frame.set_color_space(color::Space::BT709);
        frame.set_color_range(color::Range::MPEG);
        self.n_frames += 1;
        self.encoder.send_frame(&frame)?;
        self.write_packets()
    }

    fn finish(mut self) -> Result<(), ffmpeg::Error> {
        self.encoder.send_eof()?;
        self.write_packets()?;
        self.output.write_trailer()
    }

    fn write_packets(&mut self) -> Result<(), ffmpeg::Error> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            packet.set_stream(0);
            // Of all but the last, the next frame says how long it is shown.
            let Layout { rate, time_base, .. } = self.layout;
            packet.set_duration(((1.0 / f64::from(rate) / f64::from(time_base)).round() as i64).max(1));
            let stream_base = self.output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
            packet.rescale_ts(time_base, stream_base);
            packet.write_interleaved(&mut self.output)?;
        }
    }
}

/// The next even number, as FFmpeg wants it.
fn even(side: usize) -> Result<u32, ffmpeg::Error> {
    let invalid = ffmpeg::Error::Other { errno: ffmpeg::error::EINVAL };
    u32::try_from(side.next_multiple_of(2)).ok().filter(|&side| side > 0).ok_or(invalid)
}

/// The image in a frame that is up to one pixel larger; the last column and row are repeated.
fn padded(image: &RgbImage, width: u32, height: u32) -> frame::Video {
    let mut frame = frame::Video::new(Pixel::RGB24, width, height);
    let stride = frame.stride(0);
    let row = 3 * image.width() as usize;
    let lines = frame.data_mut(0).chunks_mut(stride);
    for (y, line) in lines.enumerate() {
        let y = y.min(image.height() as usize - 1);
        line[..row].copy_from_slice(&image.as_raw()[row * y..row * (y + 1)]);
        if width > image.width() {
            line.copy_within(row - 3..row, row);
        }
    }
    frame
}

/// Frames a second as a fraction, exact for whole thousandths and for NTSC's thirds of a percent less.
fn rate(fps: f64) -> Option<Rational> {
    if !(0.001..=1000.0).contains(&fps) {
        return None;
    }
    let ntsc = fps * 1.001;
    let rate = if fps.fract() > 1e-3 && (ntsc - ntsc.round()).abs() < 1e-3 {
        Rational::new(ntsc.round() as i32 * 1000, 1001)
    } else {
        Rational::new((fps * 1000.0).round() as i32, 1000)
    };
    Some(rate.reduce())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct FullDisk(usize);

    impl io::Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl io::Seek for FullDisk {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    /// Encodes 60 frames of noise as MPEG-4, the encoder that every FFmpeg has.
    fn encode(out: impl io::Write + io::Seek + Send + 'static) -> Result<(), MediaError> {
        super::super::start_ffmpeg();
        let path = Path::new("clip.mp4");
        let codec = encoder::find(codec::Id::MPEG4).unwrap();
        let rate = Rational::new(25, 1);
        let (size, aspect) = (Size::square(64), PixelAspect::SQUARE);
        let layout = Layout { size, rate, time_base: rate.invert(), aspect };
        let mut encoding = Encoding::start(out, codec, path, layout)?;
        let all = (0..60).try_for_each(|frame| {
            let image = RgbImage::from_fn(64, 64, |x, y| {
                image::Rgb([x * y * frame, x * x * y, (x + frame) * y * y].map(|v| v as u8))
            });
            encoding.push(&image, f64::from(frame) / 25.0)
        });
        all.and_then(|()| encoding.finish()).map_err(|cause| MediaError::Encode { path: path.into(), cause })
    }

    #[test]
    fn a_full_disk_is_an_error() {
        for room in [0, 3000, 40_000] {
            let result = encode(FullDisk(room));
            assert!(matches!(result, Err(MediaError::Encode { .. })), "{room} bytes are enough");
        }
    }

    #[test]
    fn mpeg4_takes_the_place_of_h264() {
        let file = tempfile::NamedTempFile::new().unwrap();
        encode(file.reopen().unwrap()).unwrap();
        assert_eq!(super::super::FrameSource::open(file.path()).unwrap().n_frames(), 60);
    }

    #[test]
    fn rates_are_exact_fractions() {
        for (fps, expected) in [
            (25.0, Some((25, 1))),
            (30_000.0 / 1001.0, Some((30_000, 1001))),
            (23.976, Some((24_000, 1001))),
            (59.94, Some((60_000, 1001))),
            (12.5, Some((25, 2))),
            (0.5, Some((1, 2))),
            (0.0, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(rate(fps).map(|r| (r.numerator(), r.denominator())), expected, "{fps}");
        }
    }
}
