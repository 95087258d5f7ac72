//! Reading images, folders of frames and videos exactly; writing videos.

mod color;
mod decode;
mod error;
mod folder;
mod image;
mod index;
mod source;
mod video;
mod writer;

pub use self::image::{image_size, read_image};
pub use error::MediaError;
pub use folder::{is_named_as_image, natural_order};
pub use source::FrameSource;
pub use writer::VideoWriter;

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
