//! [SAM 2.1](https://arxiv.org/abs/2408.00714) (Ravi et al., 2024): segments images from prompts and tracks masks
//! through videos with a memory bank.
//!
//! - `config` holds the model sizes; `weights` finds the tensors in the official files.
//! - `hiera` to `memory_encoder` build the parts of the model as graphs, as the paper describes them.
//! - `cells` defines the pixel order that the image encoder, prompt encoder and mask decoder share.
//! - `image` predicts masks on one image, `look` on views of an image; `colors` corrects those masks.
//! - `alike` compares the appearance of objects.
//! - `video_model` holds all parts, `memory` the memory bank of one object. `memorize` creates the memories, and
//!   `tracker` tracks objects through a video.
//! - `carried` corrects tracked masks by masks on nearby frames (`nearby`), moved along the optical flow (`motion`).

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
