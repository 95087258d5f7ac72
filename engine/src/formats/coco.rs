//! COCO instances, written and read, with the fields that videos need.

mod document;
mod export;
mod import;
mod item;
mod panoptic;
mod reading;
mod results;
mod segmentation;

use crate::{
    formats::{Carries, Files, Format, Id, Read, recognize::Recognize},
    project::{FrameId, MediumId, Project},
};

pub use document::{Annotation, Category, Document, Image, Video, VideoFrame};
pub(super) use document::{measures, write_list};
pub(super) use export::{annotation, categories, image, image_id, list_name};
pub(super) use import::{SCORE, read};
pub(super) use item::{CROWD, Category as ToldCategory, UNNAMED, is_crowd};
pub(super) use segmentation::Segmentation;

/// COCO instances.
pub const INSTANCES: Format = Format {
    name: "coco",
    title: "COCO",
    is_of_videos: false,
    carries: Carries::ALL,
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: export::write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| {
            let is_results = outline.is_list_of(&["image_id", "category_id"]);
            let is_other = outline.item_has("annotations", "segments_info")
                || outline.item_has("annotations", "segmentations")
                || outline.item_has("annotations", "bboxes")
                || outline.has(&["tracks"]);
            let is_instances = outline.has(&["annotations"]) || outline.has(&["images"]);
            is_results || is_instances && !is_other && !outline.has(&["items"])
        }),
        together: false,
        read: import::read,
    }),
};

/// COCO panoptic: PNG files in which each pixel is of one object.
pub const PANOPTIC: Format = Format {
    name: "coco-panoptic",
    title: "COCO panoptic",
    is_of_videos: false,
    carries: Carries { boxes: false, overlaps: false, tracks: false, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: panoptic::write,
    read: Some(Read {
        recognize: Recognize::Json(|outline| outline.item_has("annotations", "segments_info")),
        together: false,
        read: panoptic::read,
    }),
};

/// COCO results, as evaluation reads them; they are read as instances are.
pub const RESULTS: Format = Format {
    name: "coco-results",
    title: "COCO results",
    is_of_videos: false,
    carries: Carries { tracks: false, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: results::write,
    read: None,
};

/// Image ids of videos' frames begin here, so that they are never those of images, which are their media's ids.
const FRAMES_FROM: u64 = 10_000_000;

/// The id that a frame of a video has in each export.
pub(super) fn frame_id(video: MediumId, frame: usize) -> u64 {
    u64::from(video.0) * FRAMES_FROM + frame as u64
}

/// The frame that had this id in an export.
pub(super) fn exported(id: &Id, project: &Project) -> Option<FrameId> {
    let Id::Number(id) = id else { return None };
    let id = u64::try_from(*id).ok()?;
    let of_video = id >= FRAMES_FROM;
    let (medium, frame) = if of_video { (id / FRAMES_FROM, id % FRAMES_FROM) } else { (id, 0) };
    let at = FrameId { medium: MediumId(u32::try_from(medium).ok()?), frame: frame as usize };
    let medium = project.media.get(&at.medium)?;
    (medium.is_video() == of_video && at.frame < medium.n_frames.max(1)).then_some(at)
}
