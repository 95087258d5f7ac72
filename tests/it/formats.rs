//! Exports of a real project, read by other people's software.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::{
    formats::{self, FORMATS, Files, Options},
    geometry::{Rect, Size},
    mask::{Mask, Rle},
    media::{Sources, VideoWriter},
    project::{Category, CategoryId, MediumId, Object, ObjectId, Project, Segment, scan},
};
use serde_json::Value as Json;

use crate::{formula, python};

pub(crate) const SIZE: Size = Size::new(64, 48);

fn disk(x: i64, radius: i64) -> Mask {
    formula::circle(SIZE, [x, 24, radius])
}

/// A disk, a ring, an object of two parts, and a box without a mask, on two photos and a video, which are there as files.
pub(crate) fn project(folder: &Path) -> Project {
    std::fs::create_dir(folder.join("photos")).unwrap();
    for (t, name) in [(0, "a.png"), (1, "b.png")] {
        formula::frame(t, SIZE).save(folder.join("photos").join(name)).unwrap();
    }
    let mut writer = VideoWriter::create(&folder.join("clip.mp4"), SIZE, 25.0).unwrap();
    for t in 0..5 {
        writer.push(&formula::frame(t, SIZE)).unwrap();
    }
    writer.finish().unwrap();
    let mut project = Project::default();
    let (media, refused) = scan(&[folder.to_owned()], folder, &Sources::default(), &|_, _| true);
    assert_eq!((media.len(), refused.len()), (3, 0));
    project.add_media(media);
    let named = |name: &str| *project.media.iter().find(|(_, medium)| medium.name() == name).unwrap().0;
    let [a, b, clip] = ["a.png", "b.png", "clip.mp4"].map(named);
    for (id, name) in [(1, "cat"), (2, "dog")] {
        project.categories.insert(CategoryId(id), Arc::new(Category::new(name, [id as u8 * 90, 60, 200])));
    }
    let mut add = |medium: MediumId, object: u32, category: u32, frame: usize, segment: Segment| {
        let attributes = BTreeMap::from([("occluded_by".to_owned(), "tree".to_owned())]);
        let new = Object { category: CategoryId(category), proposal: None, attributes };
        project.objects.insert((medium, ObjectId(object)), Arc::new(new));
        project.segments.insert((ObjectId(object), frame), Arc::new(segment));
    };
    let by_hand = |mask: Mask| Segment::by_hand(Rle::encode(&mask));
    let ring = |x: i64| disk(x, 12).subtract(&disk(x, 6));
    add(a, 1, 1, 0, by_hand(disk(16, 10)));
    add(a, 2, 2, 0, by_hand(ring(46)));
    add(b, 3, 1, 0, by_hand(disk(12, 8).union(&disk(40, 8))));
    add(b, 4, 2, 0, Segment::boxed(Rect { x0: 30.0, y0: 2.5, x1: 60.0, y1: 12.0 }));
    for frame in 1..4 {
        add(clip, 5, 1, frame, by_hand(disk(14 + 2 * frame as i64, 9)));
        add(clip, 6, 2, frame, by_hand(ring(46 - frame as i64)));
    }
    project
}

/// Exports a project with its images.
pub(crate) fn export(project: &Project, folder: &Path, format: &str) -> PathBuf {
    let target = folder.join(format);
    let options = Options { files: Files::Copy, tolerance: 0.0, ..Options::default() };
    formats::named(format).unwrap().export(project, folder, &options, &target, &|_, _| true).unwrap();
    target
}

#[test]
fn each_format_is_written_with_its_images_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    for format in FORMATS.iter().filter(|format| format.is_read()) {
        let target = export(&project, folder.path(), format.name);
        let found = formats::detect(&target).unwrap();
        assert_eq!(found.name, format.name);
        let reading = formats::Reading { path: &target, size: &|_| None, progress: &|_, _| true };
        let dataset = format.import(&reading).unwrap();
        assert_eq!(dataset.refused, [] as [&str; 0], "{}", format.name);
        assert!(dataset.annotations.len() >= 5, "{}", format.name);
        let errors: Vec<String> = formats::check(&dataset, &target).iter().map(ToString::to_string).collect();
        let errors: Vec<&String> = errors.iter().filter(|text| text.starts_with("error")).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", format.name);
    }
}

/// Formats that only say where boxes are.
const BOXES: [&str; 2] = ["yolo", "mot"];
/// Formats without categories.
const NAMELESS: [&str; 2] = ["davis", "sa-v"];

/// What is on each image, by its name without the suffix: a category and an area in pixels for each object.
fn expected(project: &Project, format: &str) -> Json {
    let carries = formats::named(format).unwrap().carries;
    let mut all: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
    for (&(medium, id), object) in &project.objects {
        let medium = &project.media[&medium];
        let is_video = medium.n_frames > 1;
        if formats::named(format).unwrap().is_of_videos && !is_video {
            continue;
        }
        let stem = medium.path.rsplit_once('.').unwrap().0;
        for (frame, segment) in project.track(id) {
            let name = if is_video { format!("{stem}/{frame:06}") } else { stem.to_owned() };
            let bounds = segment.bounds().unwrap();
            let of_box = ((bounds.x1 - bounds.x0) * (bounds.y1 - bounds.y0)).round() as i64;
            let area = match &segment.mask {
                Some(mask) if !BOXES.contains(&format) => mask.area() as i64,
                None if !carries.boxes => continue,
                _ => of_box,
            };
            let category = if NAMELESS.contains(&format) {
                "object"
            } else {
                &project.categories[&object.category].name
            };
            all.entry(name).or_default().push((category.to_owned(), area));
        }
    }
    all.values_mut().for_each(|objects| objects.sort());
    serde_json::to_value(all).unwrap()
}

#[test]
fn other_programs_read_each_format() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    // Results name images by ids alone, and turned boxes have other areas.
    let formats = FORMATS.iter().filter(|format| !["coco-results", "yolo-obb"].contains(&format.name));
    for format in formats {
        let target = export(&project, folder.path(), format.name);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/read.py");
        let found = python::script(&script, &[format.name, target.to_str().unwrap()]);
        assert_eq!(found, expected(&project, format.name), "{}", format.name);
    }
}
