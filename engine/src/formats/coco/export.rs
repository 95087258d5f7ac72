//! A project as a COCO file.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{
    Annotation, Category, CocoError, Document, FRAMES_FROM, Image, Shape, Video, VideoFrame, clip, counted,
};
use crate::project::{FrameId, Medium, MediumId, Object, ObjectId, Project, Segment};

/// What was written, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Images, and frames of videos.
    pub n_images: usize,
    /// Annotations.
    pub n_annotations: usize,
    /// Those of the annotations that have a box and no mask.
    pub n_boxes: usize,
    /// Left out: proposals that nobody has accepted.
    pub n_proposals: usize,
    /// Left out: objects on frames with neither a pixel nor a box.
    pub n_empty: usize,
    /// Left out: objects that do not fit the project, by the size of their mask, their frame, or their category.
    pub n_misfits: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (annotations, images) =
            (counted(self.n_annotations, "annotation"), counted(self.n_images, "image"));
        write!(f, "{annotations} on {images} written")?;
        if self.n_boxes > 0 {
            write!(f, "; with a box and no mask: {}", self.n_boxes)?;
        }
        let left_out = [
            (self.n_proposals, "not accepted"),
            (self.n_empty, "without mask or box"),
            (self.n_misfits, "with a mask of another size than its image, or with no category"),
        ];
        for (n, why) in left_out.into_iter().filter(|(n, _)| *n > 0) {
            write!(f, "; left out as {why}: {n}")?;
        }
        Ok(())
    }
}

/// Writes what a project says of its media: all images and categories, the labeled frames of videos, and all objects that
/// a person has made or accepted. `progress` is told how many images and annotations are written, of how many, and says
/// whether to go on.
///
/// # Errors
/// If the file cannot be written, or `progress` says no ([`CocoError::Canceled`]); `path` is then as it was.
pub fn export(
    project: &Project,
    path: &Path,
    progress: &dyn Fn(usize, usize) -> bool,
) -> Result<Report, CocoError> {
    /// Progress is told now and then, since most of what is written is small.
    const TOLD_EVERY: usize = 100;
    let mut report = Report::default();
    let labeled = labeled(project, &mut report);
    let images = images(project, &labeled);
    (report.n_images, report.n_annotations) = (images.len(), labeled.len());

    let (mut done, total) = (0, images.len() + labeled.len());
    let go_on = || {
        done += 1;
        done % TOLD_EVERY != 1 || progress(done - 1, total)
    };
    let videos = project.media.iter().filter(|(_, medium)| medium.n_frames > 1);
    let document = Document {
        videos: videos.map(|(id, medium)| video(*id, medium)).collect(),
        categories: project
            .categories
            .iter()
            .map(|(id, category)| Category {
                id: id.0,
                name: category.name.clone(),
                supercategory: category.supercategory.clone(),
                color: Some(category.color),
            })
            .collect(),
        images: images.iter().map(|(at, medium)| image(*at, medium)),
        annotations: labeled.iter().zip(1..).map(|(labeled, id)| Annotation {
            id,
            image_id: image_id(labeled.at, labeled.medium),
            category_id: labeled.object.category.0,
            track_id: labeled.track.0,
            score: None,
            iscrowd: 0,
            shape: labeled.shape.clone(),
            attributes: labeled.object.attributes.clone(),
        }),
    };
    document.write(path, go_on)?;
    Ok(report)
}

/// An object on a frame that is to be written.
struct Labeled<'a> {
    at: FrameId,
    medium: &'a Medium,
    track: ObjectId,
    object: &'a Object,
    shape: Shape,
}

/// All that is to be written; `report` counts what is not.
fn labeled<'a>(project: &'a Project, report: &mut Report) -> Vec<Labeled<'a>> {
    let mut all = Vec::new();
    for (&(medium_id, track), object) in &project.objects {
        let segments = project.segments.range((track, 0)..=(track, usize::MAX));
        let has_category = project.categories.contains_key(&object.category);
        let Some(medium) = project.media.get(&medium_id).filter(|_| has_category) else {
            report.n_misfits += segments.count();
            continue;
        };
        if object.proposal.is_some() {
            report.n_proposals += segments.count();
            continue;
        }
        for (&(_, frame), segment) in segments {
            let misfit = segment.mask.as_ref().is_some_and(|mask| mask.size() != medium.size);
            if misfit || frame >= medium.n_frames {
                report.n_misfits += 1;
                continue;
            }
            let Some(shape) = shape(segment, medium) else {
                report.n_empty += 1;
                continue;
            };
            report.n_boxes += usize::from(matches!(shape, Shape::Box(_)));
            all.push(Labeled { at: FrameId { medium: medium_id, frame }, medium, track, object, shape });
        }
    }
    all
}

fn shape(segment: &Segment, medium: &Medium) -> Option<Shape> {
    let mask = segment.mask.as_ref().filter(|mask| mask.area() > 0);
    let rect = || segment.rect.and_then(|rect| clip(rect, medium.size));
    mask.map(|mask| Shape::Mask(mask.clone())).or_else(|| rect().map(Shape::Box))
}

/// All photos, and the frames of videos that have something on them.
fn images<'a>(project: &'a Project, labeled: &[Labeled<'a>]) -> BTreeMap<FrameId, &'a Medium> {
    let photos = project.media.iter().filter(|(_, medium)| medium.n_frames <= 1);
    let photos = photos.map(|(id, medium)| (FrameId { medium: *id, frame: 0 }, &**medium));
    photos.chain(labeled.iter().map(|labeled| (labeled.at, labeled.medium))).collect()
}

fn image_id(at: FrameId, medium: &Medium) -> u64 {
    let id = u64::from(at.medium.0);
    if medium.n_frames > 1 { id * FRAMES_FROM + at.frame as u64 } else { id }
}

fn image(at: FrameId, medium: &Medium) -> Image {
    let of_video = medium.n_frames > 1;
    let in_video = || format!("{}/{:06}.jpg", Path::new(&medium.path).with_extension("").display(), at.frame);
    Image {
        id: image_id(at, medium),
        file_name: if of_video { in_video() } else { medium.path.clone() },
        width: medium.size.width,
        height: medium.size.height,
        frame: of_video.then_some(VideoFrame { video_id: at.medium.0, frame_index: at.frame, time: None }),
    }
}

fn video(id: MediumId, medium: &Medium) -> Video {
    Video { id: id.0, name: medium.path.clone(), width: medium.size.width, height: medium.size.height }
}
