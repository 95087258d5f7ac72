//! What a COCO file holds, and how it is written as it comes.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use super::{CROWD, SCORE};
use crate::{
    file::{self, MARK, is_marked},
    formats::{FormatError, Shape},
};

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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Category {
    /// Its id, from 1.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it is a kind of; may be empty.
    #[serde(default)]
    pub supercategory: String,
    /// Red, green, blue, as COCO's panoptic categories have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<[u8; 3]>,
}

/// An object in an image.
#[derive(Clone, Debug)]
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
    pub score: Option<f32>,
    /// Where it is: `segmentation` (of a mask), `bbox` and `area`.
    pub shape: Shape,
    /// Polygons in place of the mask's run lengths, as `x, y, x, y, …`; the mask is then that of the polygons.
    pub polygons: Option<Vec<Vec<f32>>>,
    /// What else is said of it.
    pub attributes: BTreeMap<String, String>,
}

impl Serialize for Annotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("image_id", &self.image_id)?;
        map.serialize_entry("category_id", &self.category_id)?;
        map.serialize_entry("track_id", &self.track_id)?;
        let said = self.attributes.get(SCORE).and_then(|score| score.parse::<f32>().ok());
        if let Some(score) = self.score.or(said) {
            map.serialize_entry("score", &score)?;
        }
        let is_crowd = self.attributes.get(CROWD).is_some_and(|crowd| crowd == "1");
        map.serialize_entry("iscrowd", &u8::from(is_crowd))?;
        if let Some(polygons) = &self.polygons {
            map.serialize_entry("segmentation", polygons)?;
        } else if let Shape::Mask(mask) = &self.shape {
            map.serialize_entry("segmentation", mask)?;
        }
        let (bbox, area) = measures(&self.shape);
        map.serialize_entry("bbox", &bbox)?;
        map.serialize_entry("area", &area)?;
        let is_field = |name: &str| name == CROWD && is_crowd || name == SCORE && said.is_some();
        let attributes: BTreeMap<_, _> = self.attributes.iter().filter(|(name, _)| !is_field(name)).collect();
        if !attributes.is_empty() {
            map.serialize_entry("attributes", &attributes)?;
        }
        map.end()
    }
}

/// `bbox` (left, top, width, height) and `area` of a shape.
pub(in crate::formats) fn measures(shape: &Shape) -> ([f64; 4], f64) {
    match shape {
        Shape::Mask(mask) => (mask.bbox().map(f64::from), mask.area() as f64),
        Shape::Box(rect) => {
            let [x0, y0, x1, y1] = <[f32; 4]>::from(*rect).map(f64::from);
            let (width, height) = (x1 - x0, y1 - y0);
            ([x0, y0, width, height], width * height)
        }
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
    /// Writes the file whole or not at all; images and annotations are not held in memory. A file that Segue did not write is
    /// kept under the returned name.
    ///
    /// # Errors
    /// What the disk or the folder says.
    pub fn write(self, path: &Path) -> Result<Option<PathBuf>, FormatError> {
        let written = file::write_output(path, is_marked, |out| self.write_to(out, &mut || Ok(())));
        written.map_err(|error| FormatError::writing(path, error))
    }

    /// The same to anything that can be written to; `step` is called after each image and annotation.
    pub(super) fn write_to(
        self,
        out: &mut impl io::Write,
        step: &mut dyn FnMut() -> Result<(), FormatError>,
    ) -> io::Result<()> {
        write!(out, "{{\"info\": {{\"description\": \"{MARK}\"}}, \"videos\": ")?;
        serde_json::to_writer(&mut *out, &self.videos)?;
        write!(out, ",\n\"categories\": ")?;
        serde_json::to_writer(&mut *out, &self.categories)?;
        write!(out, ",\n\"images\": ")?;
        write_list(out, self.images, step)?;
        write!(out, ",\n\"annotations\": ")?;
        write_list(out, self.annotations, step)?;
        writeln!(out, "}}")
    }
}

/// Writes a list as it comes.
pub(in crate::formats) fn write_list<T: Serialize>(
    out: &mut impl io::Write,
    items: impl IntoIterator<Item = T>,
    step: &mut dyn FnMut() -> Result<(), FormatError>,
) -> io::Result<()> {
    write!(out, "[")?;
    for (i, item) in items.into_iter().enumerate() {
        write!(out, "{}", if i == 0 { "\n" } else { ",\n" })?;
        serde_json::to_writer(&mut *out, &item)?;
        step().map_err(io::Error::other)?;
    }
    write!(out, "]")
}
