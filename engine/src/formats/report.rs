//! What an export wrote, what it left out, and what the format could not carry.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{FormatError, counted};

/// What an export did; in JSON as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The format.
    pub format: &'static str,
    /// Images, and frames of videos, that are listed.
    pub images: usize,
    /// Objects on them.
    pub annotations: usize,
    /// Image files that were copied, linked or extracted.
    pub files: usize,
    /// Image files that should have been linked or copied but are not there.
    #[serde(skip_serializing_if = "is_zero")]
    pub n_missing: usize,
    /// Image files that are left out because they lie outside of the folder of the labels that name them.
    #[serde(skip_serializing_if = "is_zero")]
    pub n_outside: usize,
    /// Image files that were not copied because they cannot be read or have another size than their labels.
    #[serde(skip_serializing_if = "is_zero")]
    pub n_unreadable: usize,
    /// What else there is to know, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Image files that are not as in the project, or that others read differently.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<Change, usize>,
    /// What of the project is not in the export, in objects on frames (photos: in media).
    pub left_out: BTreeMap<LeftOut, usize>,
    /// What is in the export, but not with all that the project says, in objects on frames.
    pub lost: BTreeMap<Loss, usize>,
    /// How much polygons are like their masks; none if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polygons: Option<Likeness>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How an image file that was placed differs from the project's, or from what Segue shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Pixels were turned as an orientation tag says.
    Turned,
    /// Values were scaled to 8 bits.
    Scaled,
    /// Values of more than 8 bits are in the file; Segue shows them scaled.
    Deep,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turned => "turned upright, as labels are; the orientation tag is removed",
            Self::Scaled => "written in 8 bits, scaled to the values present, as labeled",
            Self::Deep => "with 16-bit or float values as they are, which were labeled in 8 bits, scaled",
        })
    }
}

/// Why something is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Of media that were not chosen.
    Media,
    /// Of categories that were not chosen.
    Categories,
    /// On frames that were not chosen.
    Frames,
    /// Proposals that nobody has accepted.
    Proposals,
    /// Tracked masks that nobody has confirmed.
    Unconfirmed,
    /// With neither a pixel nor a box.
    Empty,
    /// With a mask of another size than the image, or without category.
    Misfits,
    /// Photos, in a format of videos.
    Photos,
    /// Boxes without masks, in a format of masks.
    Boxes,
    /// More than the format can number.
    TooMany,
    /// On damaged frames.
    Damaged,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Media => "of media that were not chosen",
            Self::Categories => "of categories that were not chosen",
            Self::Frames => "on frames that were not chosen",
            Self::Proposals => "proposals that nobody has accepted",
            Self::Unconfirmed => "tracked and not confirmed",
            Self::Empty => "without mask or box",
            Self::Misfits => "with a mask of another size than the image, or without category",
            Self::Photos => "photos, which this format of videos cannot have",
            Self::Boxes => "boxes without a mask, which this format of masks cannot have",
            Self::TooMany => "more than the format can number",
            Self::Damaged => "on damaged frames",
        })
    }
}

/// What a format cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Masks became boxes.
    Masks,
    /// Masks became polygons that are not quite the same.
    Edges,
    /// Corners of oriented boxes were clipped to the image.
    Corners,
    /// Pixels that another object has too are only the other's.
    Overlaps,
    /// Which objects on several frames are one.
    Tracks,
    /// Attributes.
    Attributes,
    /// What an object is.
    Categories,
    /// Which pixels of a category are of which object.
    Objects,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Masks => "masks, of which only boxes are written",
            Self::Edges => "masks, of which polygons are written that are not quite the same",
            Self::Corners => "corners outside the image, which are moved to its edge",
            Self::Overlaps => "pixels that another object has too",
            Self::Tracks => "which objects on several frames are one",
            Self::Attributes => "attributes",
            Self::Categories => "categories",
            Self::Objects => "which pixels of a category are of which object",
        })
    }
}

/// How much shapes are like others, as IoU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likeness {
    /// Of all.
    pub mean_iou: f64,
    /// Of the one that is least like.
    pub least_iou: f64,
    n: usize,
}

impl Report {
    /// Counts what is not written.
    pub(super) fn leave_out(&mut self, why: LeftOut, n: usize) {
        if n > 0 {
            *self.left_out.entry(why).or_default() += n;
        }
    }

    /// Counts what is written with less than the project says.
    pub(super) fn lose(&mut self, what: Loss, n: usize) {
        if n > 0 {
            *self.lost.entry(what).or_default() += n;
        }
    }

    /// True if image files were wanted and could not be had.
    pub fn lacks_files(&self) -> bool {
        self.n_missing + self.n_outside + self.n_unreadable > 0
    }

    /// Counts an image file that cannot be used, and names the first three.
    pub(super) fn count_unreadable(&mut self, error: &FormatError) {
        const NAMED: usize = 3;
        self.n_unreadable += 1;
        if self.n_unreadable <= NAMED {
            self.notes.push(format!("not copied: {error}"));
        }
    }

    /// Counts a polygon that is so much like its mask.
    pub(super) fn polygon(&mut self, iou: f64) {
        let Likeness { mean_iou, least_iou, n } =
            self.polygons.unwrap_or(Likeness { mean_iou: 0.0, least_iou: 1.0, n: 0 });
        let mean_iou = mean_iou + (iou - mean_iou) / (n + 1) as f64;
        self.polygons = Some(Likeness { mean_iou, least_iou: least_iou.min(iou), n: n + 1 });
        self.lose(Loss::Edges, usize::from(iou < 1.0));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (annotations, images) = (counted(self.annotations, "annotation"), counted(self.images, "image"));
        write!(f, "{annotations} on {images} written as {}", self.format)?;
        if self.files > 0 {
            write!(f, ", with {}", counted(self.files, "image file"))?;
        }
        if self.n_missing > 0 {
            write!(
                f,
                "\nnot there: {}, so that only labels are written",
                counted(self.n_missing, "image file")
            )?;
        }
        if self.n_outside > 0 {
            let files = counted(self.n_outside, "image file");
            let outside = "outside of the folder of the labels; import the labels into a project with --media to copy them";
            write!(f, "\nnot copied: {files} {outside}")?;
        }
        if self.n_unreadable > 0 {
            let files = counted(self.n_unreadable, "image file");
            write!(f, "\nnot usable: {files}, so that only labels are written")?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        for (change, n) in &self.changed {
            write!(f, "\n{} {change}", counted(*n, "image file"))?;
        }
        for (why, n) in &self.left_out {
            write!(f, "\nleft out: {n} {why}")?;
        }
        for (what, n) in &self.lost {
            write!(f, "\nnot in this format: {what} ({n})")?;
        }
        if let Some(Likeness { mean_iou, least_iou, .. }) = self.polygons {
            write!(f, "\npolygons: mean IoU with their masks {mean_iou:.4}, least {least_iou:.4}")?;
        }
        Ok(())
    }
}
