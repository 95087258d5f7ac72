//! COCO instances, written and read, with the fields that videos need.

mod add;
mod document;
mod export;
mod import;
mod item;
mod polygon;
mod reading;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::geometry::{Rect, Size};

pub use add::Taken;
pub use document::{Annotation, Category, Document, Image, Shape, Video, VideoFrame};
pub use export::{Report, export};
pub use import::{Imported, ImportedAnnotation, ImportedCategory, ImportedImage, import};
pub use item::Id;

/// Why a COCO file is not read or written at all.
///
/// A cause is part of the sentence and is therefore not the error's `source()`: printing the chain says nothing twice.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences are the documentation")]
pub enum CocoError {
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },

    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },

    #[error("cannot import {}: it is no JSON, or damaged from the start on ({cause})", path.display())]
    NotJson { path: PathBuf, cause: serde_json::Error },

    #[error("cannot import {}: it has no images, categories or annotations as COCO has them", path.display())]
    NotCoco { path: PathBuf },

    #[error("cannot import {}: nothing in it can be used; first, {first}", path.display())]
    Unusable { path: PathBuf, first: String },

    #[error("canceled")]
    Canceled,
}

impl CocoError {
    fn reading(path: &Path, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|cause| Self::Read { path: path.to_owned(), cause })
    }

    fn writing(path: &Path, error: io::Error) -> Self {
        error.downcast().unwrap_or_else(|cause| Self::Write { path: path.to_owned(), cause })
    }
}

/// Image ids of videos' frames begin here, so that they are never those of images, which are their media's ids.
///
/// Frame 17 of medium 3 is image 30000017: the same in each export, and known again when results come back.
const FRAMES_FROM: u64 = 10_000_000;

/// The part of a box that lies in an image; none if there is none.
fn clip(rect: Rect, size: Size) -> Option<Rect> {
    let (width, height) = (size.width as f32, size.height as f32);
    let within = Rect {
        x0: rect.x0.clamp(0.0, width),
        y0: rect.y0.clamp(0.0, height),
        x1: rect.x1.clamp(0.0, width),
        y1: rect.y1.clamp(0.0, height),
    };
    // A corner that is no number stays none, and is then not below the other.
    (within.x0 < within.x1 && within.y0 < within.y1).then_some(within)
}

/// "1 image", "2 images".
fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, io::Write as _, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        mask::{Mask, Rle, testing::picture},
        project::{CategoryId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Segment},
    };

    pub(super) const SIZE: Size = Size::new(9, 7);

    fn medium(path: &str, n_frames: usize) -> Arc<Medium> {
        let kind = if n_frames > 1 { MediumKind::Video } else { MediumKind::Image };
        Arc::new(Medium {
            path: path.to_owned(),
            kind,
            size: SIZE,
            n_frames,
            fps: None,
            content: None,
            done: false,
        })
    }

    /// Photos in two folders and a video, nothing labeled.
    pub(super) fn media() -> Project {
        let media = [("a/1.jpg", 1), ("a/2.jpg", 1), ("b/1.jpg", 1), ("clips/c.d/e.mp4", 20)];
        let media = (1..).zip(media).map(|(id, (path, n_frames))| (MediumId(id), medium(path, n_frames)));
        Project { media: media.collect(), ..Project::default() }
    }

    fn segments() -> impl Strategy<Value = Segment> {
        let bits = prop::collection::vec(any::<bool>(), SIZE.area());
        let mask = bits.prop_filter("not empty", |bits| bits.contains(&true));
        let mask = mask.prop_map(|bits| Segment::by_hand(Rle::encode(&Mask::new(SIZE, bits))));
        let rect = (0.0..8.0_f32, 0.0..6.0_f32, 0.01..1.0_f32, 0.01..1.0_f32);
        let rect =
            rect.prop_map(|(x0, y0, dx, dy)| Segment::boxed(Rect { x0, y0, x1: x0 + dx, y1: y0 + dy }));
        prop_oneof![mask, rect]
    }

    fn projects() -> impl Strategy<Value = Project> {
        let category = ("[a-zA-Zäö \"\\\\]{1,5}", any::<[u8; 3]>(), "[a-z]{0,3}");
        let categories = prop::collection::btree_map(0..90_u32, category, 1..5);
        let object = (
            0..4_usize,
            any::<prop::sample::Index>(),
            prop::collection::btree_map(".{1,4}", ".{0,4}", 0..3),
            prop::collection::btree_map(0..20_usize, segments(), 1..4),
        );
        (categories, prop::collection::vec(object, 0..8)).prop_map(|(categories, objects)| {
            let mut project = media();
            for (id, (name, color, supercategory)) in categories {
                let category = crate::project::Category::new(&format!("{name}{id}"), color);
                let category = crate::project::Category { supercategory, ..category };
                project.categories.insert(CategoryId(id), Arc::new(category));
            }
            let ids: Vec<CategoryId> = project.categories.keys().copied().collect();
            for (id, (medium, category, attributes, segments)) in (3..).map(ObjectId).zip(objects) {
                let medium = MediumId(medium as u32 + 1);
                let object = Object { category: *category.get(&ids), proposal: None, attributes };
                project.objects.insert((medium, id), Arc::new(object));
                let one = if project.media[&medium].n_frames > 1 { segments.len() } else { 1 };
                for (frame, segment) in segments.into_iter().take(one) {
                    let frame = if one > 1 { frame } else { 0 };
                    project.segments.insert((id, frame), Arc::new(segment));
                }
            }
            project
        })
    }

    /// All objects with their segments, in their media's and their own order; ids are the project's own affair.
    fn objects(project: &Project) -> Vec<(MediumId, Object, BTreeMap<usize, Segment>)> {
        let segments = |id: ObjectId| project.segments.range((id, 0)..=(id, usize::MAX));
        let segments = |id| segments(id).map(|((_, frame), segment)| (*frame, (**segment).clone())).collect();
        project
            .objects
            .iter()
            .map(|((medium, id), object)| (*medium, (**object).clone(), segments(*id)))
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_exported_and_imported_is_what_it_was(project in projects()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out.json");
            let report = export(&project, &path, &|_, _| true).unwrap();
            prop_assert_eq!(report.n_annotations, project.segments.len());
            let imported = import(&path, &|_, _| true).unwrap();
            prop_assert_eq!(&imported.refused, &[] as &[String]);
            let mut again = media();
            let taken = imported.add_to(&mut again);
            prop_assert_eq!(taken.n_annotations, report.n_annotations);
            prop_assert_eq!(&again.categories, &project.categories);
            prop_assert_eq!(objects(&again), objects(&project));
        }

        #[test]
        fn any_file_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().write_all(&bytes).unwrap();
            prop_assert!(import(file.path(), &|_, _| true).is_err());
        }
    }

    #[test]
    fn what_is_left_out_is_counted_and_said() {
        let mut project = media();
        project.categories.insert(CategoryId(1), Arc::new(crate::project::Category::new("dog", [1, 2, 3])));
        let mut add = |id: u32, category: u32, proposal: Option<f32>, segment: Segment| {
            let object = Object { category: CategoryId(category), proposal, attributes: BTreeMap::new() };
            project.objects.insert((MediumId(1), ObjectId(id)), Arc::new(object));
            project.segments.insert((ObjectId(id), 0), Arc::new(segment));
        };
        let full = || Segment::by_hand(Rle::encode(&Mask::new(SIZE, vec![true; SIZE.area()])));
        add(1, 1, None, full());
        add(2, 1, None, Segment::boxed(Rect { x0: -1.0, y0: 1.0, x1: 2.5, y1: 4.0 }));
        add(3, 1, Some(0.9), full());
        add(4, 1, None, Segment::by_hand(Rle::encode(&Mask::empty(SIZE))));
        add(5, 1, None, Segment::default());
        add(6, 2, None, full());
        add(7, 1, None, Segment::by_hand(Rle::encode(&picture(&["##"]))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let report = export(&project, &path, &|_, _| true).unwrap();
        let n_images = 3;
        let want =
            Report { n_images, n_annotations: 2, n_boxes: 1, n_proposals: 1, n_empty: 2, n_misfits: 2 };
        assert_eq!(report, want);
        let text = report.to_string();
        assert!(text.contains("2 annotations on 3 images") && text.contains("not accepted: 1"), "{text}");

        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["annotations"][0]["area"], 63.0);
        assert_eq!(json["annotations"][0]["bbox"], serde_json::json!([0.0, 0.0, 9.0, 7.0]));
        assert_eq!(json["annotations"][1]["bbox"], serde_json::json!([0.0, 1.0, 2.5, 3.0]));
        assert_eq!(json["annotations"][1]["area"], 7.5);
        assert!(json["annotations"][1].get("segmentation").is_none());
        assert_eq!(json["images"][2]["file_name"], "b/1.jpg");
        assert_eq!(json["videos"][0]["name"], "clips/c.d/e.mp4");
    }

    #[test]
    fn frames_of_videos_are_images_with_ids_of_their_own() {
        let mut project = media();
        project.categories.insert(CategoryId(1), Arc::new(crate::project::Category::new("dog", [1, 2, 3])));
        let object = Object { category: CategoryId(1), proposal: None, attributes: BTreeMap::new() };
        project.objects.insert((MediumId(4), ObjectId(8)), Arc::new(object));
        project.segment_mut(ObjectId(8), 17).rect = Some(Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        export(&project, &path, &|_, _| true).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let (width, height) = (SIZE.width, SIZE.height);
        let file_name = "clips/c.d/e/000017.jpg";
        let want = serde_json::json!({"id": 40000017, "file_name": file_name, "width": width, "height": height,
            "video_id": 4, "frame_index": 17});
        assert_eq!(json["images"][3], want);
        assert_eq!(json["annotations"][0]["image_id"], 40000017);
        assert_eq!(json["annotations"][0]["track_id"], 8);
    }

    #[test]
    fn canceled_is_as_if_nothing_had_been() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let canceled = export(&media(), &path, &|_, _| false);
        assert!(matches!(canceled, Err(CocoError::Canceled)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        export(&media(), &path, &|_, _| true).unwrap();
        assert!(matches!(import(&path, &|_, _| false), Err(CocoError::Canceled)));
    }
}
