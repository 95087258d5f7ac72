//! Reading images, folders of frames and videos exactly; writing videos.

mod ahead;
mod aspect;
mod color;
mod damage;
mod decode;
mod error;
mod folder;
mod image;
mod images;
mod index;
mod nal;
mod source;
mod sources;
mod tone;
mod video;
mod writer;

pub use self::image::{
    DEFAULT_LARGEST_IMAGE, ImageHeader, ImageKind, decode_image, image_header, image_size, image_suffixes,
    read_image, read_image_over, require_complete, set_largest_image,
};
pub use ahead::Ahead;
pub use aspect::PixelAspect;
pub use damage::damaged_frames;
pub use error::MediaError;
pub use folder::{frame_files, is_named_as_image, natural_order};
pub use source::FrameSource;
pub use sources::Sources;
pub use writer::VideoWriter;

/// Makes a clip in which everything moves, with a cut every 40 frames so that there are key frames.
#[cfg(test)]
pub(crate) fn make_clip(path: &std::path::Path, n_frames: usize) {
    let (width, height) = (96, 64);
    let mut writer = VideoWriter::create(path, crate::geometry::Size::new(width, height), 25.0).unwrap();
    for frame in 0..n_frames as u32 {
        let scene = frame / 40 * 90;
        writer
            .push(&::image::RgbImage::from_fn(width as u32, height as u32, |x, y| {
                ::image::Rgb([x * 2 + frame * 3 + scene, y * 3 + frame + scene, frame * 5].map(|v| v as u8))
            }))
            .unwrap();
    }
    writer.finish().unwrap();
}

/// Has to be called before anything of FFmpeg's.
fn start_ffmpeg() {
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(|| {
        // Without this, errors have no text; it cannot fail since FFmpeg 4.
        ffmpeg_next::init().ok();
        // Whatever matters comes back as an error; FFmpeg would also print it.
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    });
}
