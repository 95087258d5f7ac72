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

pub use self::image::read_image;
pub use error::MediaError;
pub use source::FrameSource;
pub use writer::VideoWriter;
