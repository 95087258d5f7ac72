//! SAM 2.1 (Ravi et al., 2024): segments an image from prompts, and carries masks through a video with a memory bank.
//!
//! `config` holds the sizes, and `hiera` to `memory_encoder` write the parts as graphs, each as the paper has it; `cells`
//! is the order of pixels that two of them share. `weights` finds the parts' tensors in official files. `image` predicts
//! masks on one image and `look` on views of it, which `colors` corrects; `alike` compares what things look like; `video_model` is all parts, `memory` the memory
//! bank of one object, `memorize` makes what is in it, and `tracker` carries objects through a video.

mod config;
mod weights;

mod cells;
mod position;

mod hiera;
mod image_encoder;

mod mask_decoder;
mod prompt_encoder;

mod memory_attention;
mod memory_encoder;

mod alike;
mod carried;
mod colors;
mod image;
mod look;
mod memory;
mod motion;
mod nearby;
mod video_model;

mod memorize;

mod tracker;

pub use crate::frame::Direction;
pub use alike::{Appearance, Looks};
pub use carried::{corrected, palette};
pub use colors::Palette;
pub use config::{Config, ConfigError};
pub use image::{Features, ImageModel, Logits, Prediction};
pub use look::{Chain, Look, View};
pub use memory::{Memory, MemoryBank, Selection};
pub use nearby::{Moved, Nearby, Sketch};
pub use tracker::{LooksAt, ObjectId, Segment, TrackError, TrackOptions, Tracker};
pub use video_model::VideoModel;
pub use weights::{Weights, WeightsError, parts, required_tensors};
