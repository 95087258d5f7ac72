//! What a COCO file holds, and how it is written as it comes.

use std::{collections::BTreeMap, io, io::Write as _, path::Path, sync::Arc};

use serde::{Serialize, Serializer};

use super::CocoError;
use crate::{file, geometry::Rect, mask::Rle};

/// A video.
#[derive(Clone, Debug, Serialize)]
pub struct Video {
    /// Its id.
    pub id: u32,
    /// Where it is.
    pub name: String,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// A photo, or a frame of a video.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Its id.
    pub id: u64,
    /// Where it is.
    pub file_name: String,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Its place in its video; none of a photo.
    #[serde(flatten)]
    pub frame: Option<VideoFrame>,
}

/// A frame's place in its video.
#[derive(Clone, Debug, Serialize)]
pub struct VideoFrame {
    /// The video's id.
    pub video_id: u32,
    /// From 0.
    pub frame_index: usize,
    /// Seconds after the first frame, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

/// A category.
#[derive(Clone, Debug, Serialize)]
pub struct Category {
    /// Its id, from 1.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it is a kind of; may be empty.
    pub supercategory: String,
    /// Red, green, blue, as COCO's panoptic categories have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<[u8; 3]>,
}

/// An object in an image.
#[derive(Clone, Debug, Serialize)]
pub struct Annotation {
    /// Its id, from 1.
    pub id: u64,
    /// The image's id.
    pub image_id: u64,
    /// The category's id.
    pub category_id: u32,
    /// The object's id, the same on all frames.
    pub track_id: u32,
    /// How sure the model is, 0 to 1; none of what a person made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Always 0: a single object.
    pub iscrowd: u8,
    /// Where it is.
    #[serde(flatten)]
    pub shape: Shape,
    /// What else is said of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Where an object is; in JSON its `segmentation` (of a mask), `bbox` and `area`.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Its pixels.
    Mask(Arc<Rle>),
    /// A box round it, in image pixels; no mask is known.
    Box(Rect),
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            segmentation: Option<&'a Rle>,
            bbox: [f64; 4],
            area: f64,
        }
        let json = match self {
            Self::Mask(mask) => {
                Json { segmentation: Some(mask), bbox: mask.bbox().map(f64::from), area: mask.area() as f64 }
            }
            Self::Box(rect) => {
                let [x0, y0, x1, y1] = <[f32; 4]>::from(*rect).map(f64::from);
                let (width, height) = (x1 - x0, y1 - y0);
                Json { segmentation: None, bbox: [x0, y0, width, height], area: width * height }
            }
        };
        json.serialize(serializer)
    }
}

/// A COCO file, each list as it comes.
pub struct Document<I, A> {
    /// Videos.
    pub videos: Vec<Video>,
    /// Categories.
    pub categories: Vec<Category>,
    /// Images.
    pub images: I,
    /// Annotations.
    pub annotations: A,
}

impl<I: IntoIterator<Item = Image>, A: IntoIterator<Item = Annotation>> Document<I, A> {
    /// Writes the file whole or not at all; images and annotations are not held in memory. `go_on` is asked before each
    /// of them.
    ///
    /// # Errors
    /// What the disk or the folder says; [`CocoError::Canceled`] if `go_on` says no.
    pub fn write(self, path: &Path, mut go_on: impl FnMut() -> bool) -> Result<(), CocoError> {
        let written = file::write_atomically(path, |out| {
            write!(out, "{{\"info\": {{\"description\": \"Made with Segue\"}}, \"videos\": ")?;
            serde_json::to_writer(&mut *out, &self.videos)?;
            write!(out, ",\n\"categories\": ")?;
            serde_json::to_writer(&mut *out, &self.categories)?;
            write!(out, ",\n\"images\": ")?;
            write_list(out, self.images, &mut go_on)?;
            write!(out, ",\n\"annotations\": ")?;
            write_list(out, self.annotations, &mut go_on)?;
            writeln!(out, "}}")
        });
        written.map_err(|error| CocoError::writing(path, error))
    }
}

fn write_list<T: Serialize>(
    out: &mut impl io::Write,
    items: impl IntoIterator<Item = T>,
    go_on: &mut impl FnMut() -> bool,
) -> io::Result<()> {
    write!(out, "[")?;
    for (i, item) in items.into_iter().enumerate() {
        if !go_on() {
            return Err(io::Error::other(CocoError::Canceled));
        }
        write!(out, "{}", if i == 0 { "\n" } else { ",\n" })?;
        serde_json::to_writer(&mut *out, &item)?;
    }
    write!(out, "]")
}
