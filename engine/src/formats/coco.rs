//! COCO instances, with the fields that videos need.

use std::{io, io::Write as _, path::Path};

use serde::Serialize;

use crate::{file, mask::Rle};

/// A video.
#[derive(Clone, Debug, Serialize)]
pub struct Video {
    /// Its id.
    pub id: u32,
    /// Its file's name.
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
    /// Its place in the video, from 0.
    pub frame_index: usize,
    /// Seconds after the first frame.
    pub time: f64,
    /// The video's id.
    pub video_id: u32,
}

/// A category.
#[derive(Clone, Debug, Serialize)]
pub struct Category {
    /// Its id, from 1.
    pub id: u32,
    /// Its name.
    pub name: String,
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
    /// How sure the model is, 0 to 1.
    pub score: f32,
    /// Always 0: a single object.
    pub iscrowd: u8,
    /// The mask.
    pub segmentation: Rle,
    /// `[x, y, width, height]`.
    pub bbox: [u32; 4],
    /// Pixels.
    pub area: u64,
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
    /// Writes the file whole or not at all; images and annotations are not held in memory.
    ///
    /// # Errors
    /// What the disk or the folder says.
    pub fn write(self, path: &Path) -> io::Result<()> {
        file::write_atomically(path, |out| {
            write!(out, "{{\"info\": {{\"description\": \"Made with Segue\"}}, \"videos\": ")?;
            serde_json::to_writer(&mut *out, &self.videos)?;
            write!(out, ",\n\"categories\": ")?;
            serde_json::to_writer(&mut *out, &self.categories)?;
            write!(out, ",\n\"images\": ")?;
            write_list(out, self.images)?;
            write!(out, ",\n\"annotations\": ")?;
            write_list(out, self.annotations)?;
            writeln!(out, "}}")
        })
    }
}

fn write_list<T: Serialize>(out: &mut impl io::Write, items: impl IntoIterator<Item = T>) -> io::Result<()> {
    write!(out, "[")?;
    for (i, item) in items.into_iter().enumerate() {
        write!(out, "{}", if i == 0 { "\n" } else { ",\n" })?;
        serde_json::to_writer(&mut *out, &item)?;
    }
    write!(out, "]")
}
