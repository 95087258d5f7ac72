//! Exports of a real project, read by other people's software.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::{
    formats::{self, FORMATS, Files, ImageFiles, Options},
    geometry::{Rect, Size},
    mask::{Mask, Rle},
    media::{Sources, VideoWriter},
    project::{Category, CategoryId, MediumId, Object, ObjectId, Project, Scan, Segment, scan},
};
use serde_json::Value as Json;

use crate::{formula, python, segue};

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
    let Scan { media, refused, .. } = scan(&[folder.to_owned()], folder, &Sources::default(), &|_, _| true);
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
    let options = Options { files: Some(Files::Copy), tolerance: 0.0, ..Options::default() };
    formats::named(format)
        .unwrap()
        .export(project, &ImageFiles::of_project(folder), &options, &target, &|_, _| true)
        .unwrap();
    target
}

#[test]
fn each_format_is_written_with_its_images_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    for format in FORMATS.iter().filter(|format| format.is_read()) {
        let target = export(&project, folder.path(), format.name);
        let found = formats::recognize(&formats::Reading::new(&target)).unwrap();
        assert_eq!(found.format.name, format.name);
        let reading = formats::Reading::new(&target).with_checks();
        let dataset = format.import(&reading).unwrap();
        assert!(dataset.refused.is_empty(), "{}: {}", format.name, dataset.refused);
        assert!(dataset.annotations.len() >= 5, "{}", format.name);
        let errors: Vec<String> =
            formats::check(&dataset, &reading.files).iter().map(ToString::to_string).collect();
        let errors: Vec<&String> = errors.iter().filter(|text| text.starts_with("error")).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", format.name);
    }
}

/// Formats that only say where boxes are.
const BOXES: [&str; 2] = ["yolo", "mot"];
/// Formats without categories.
const NAMELESS: [&str; 2] = ["davis", "sa-v"];

/// What is on each image, by its name without the suffix: a category and an area in pixels for each object; with boxes alone, theirs.
pub(crate) fn expected(project: &Project, format: &str, boxes: bool) -> Json {
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
                Some(mask) if !boxes => mask.area() as i64,
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
        assert_eq!(found, expected(&project, format.name, BOXES.contains(&format.name)), "{}", format.name);
    }
}

fn read_json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The exports of the project above, each in a folder of its format's name.
fn exported(formats: &[&str]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    formats.iter().for_each(|format| drop(export(&project, folder.path(), format)));
    (folder, project)
}

/// X-AnyLabeling#976: each `id` was 0. label-studio#9366: category ids did not match, and files had names of the tool's own.
#[test]
fn coco_has_ids_of_its_own_the_project_s_categories_and_the_project_s_file_names() {
    let (folder, project) = exported(&["coco"]);
    let json = read_json(&folder.path().join("coco/annotations/instances_default.json"));
    let list = |name: &str| json[name].as_array().unwrap().clone();
    let ids: Vec<u64> = list("annotations").iter().map(|a| a["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=10).collect::<Vec<u64>>());
    let known: Vec<u64> = list("categories").iter().map(|c| c["id"].as_u64().unwrap()).collect();
    assert_eq!(known, project.categories.keys().map(|id| u64::from(id.0)).collect::<Vec<u64>>());
    assert!(list("annotations").iter().all(|a| known.contains(&a["category_id"].as_u64().unwrap())));
    let names: Vec<String> =
        list("images").iter().map(|i| i["file_name"].as_str().unwrap().to_owned()).collect();
    assert!(names.contains(&"photos/a.png".to_owned()) && names.contains(&"clip/000001.jpg".to_owned()));
    // label-studio#2630: frames of labeled videos could not be exported.
    assert!(names.iter().all(|name| folder.path().join("coco/images").join(name).is_file()));
}

/// X-AnyLabeling#910: one object in two parts was exported as two.
#[test]
fn an_object_of_two_parts_is_one_object_everywhere() {
    let (folder, _) = exported(&["coco", "yolo-segment", "labelme"]);
    let json = read_json(&folder.path().join("coco/annotations/instances_default.json"));
    let images = json["images"].as_array().unwrap();
    let b = images.iter().find(|image| image["file_name"] == "photos/b.png").unwrap();
    let on_b = |a: &&Json| a["image_id"] == b["id"];
    assert_eq!(json["annotations"].as_array().unwrap().iter().filter(on_b).count(), 2);
    assert_eq!(read_text(&folder.path().join("yolo-segment/labels/train/photos/b.txt")).lines().count(), 1);
    let shapes = read_json(&folder.path().join("labelme/photos/b.json"))["shapes"].clone();
    assert_eq!(shapes[0]["group_id"], shapes[1]["group_id"]);
    assert!(shapes[0]["group_id"].is_u64() && shapes[2]["shape_type"] == "rectangle");
}

/// X-AnyLabeling#589: one's own instance ids were lost. X-AnyLabeling#684: labels were missing in the list of classes.
#[test]
fn ids_of_objects_and_names_of_classes_are_kept() {
    let (folder, _) = exported(&["coco", "mot", "yolo"]);
    let json = read_json(&folder.path().join("coco/annotations/instances_default.json"));
    let tracks: Vec<u64> =
        json["annotations"].as_array().unwrap().iter().map(|a| a["track_id"].as_u64().unwrap()).collect();
    assert_eq!(tracks, [5, 6, 5, 6, 5, 6, 1, 2, 3, 4]);
    let ids = read_text(&folder.path().join("mot/clip/gt/gt.txt"));
    let ids: Vec<&str> = ids.lines().map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(ids, ["5", "6", "5", "6", "5", "6"]);
    assert!(read_text(&folder.path().join("yolo/data.yaml")).contains("0: \"cat\"\n  1: \"dog\""));
    // label-studio#5607: label files were empty.
    assert_eq!(read_text(&folder.path().join("yolo/labels/train/photos/a.txt")).lines().count(), 2);
}

/// labelme#245, anylabeling#3, X-AnyLabeling#728, #991 and #1363, supervision#574: holes were filled. cvat#7520 and
/// labelme#1553: masks made polygons that no script could read.
#[test]
fn holes_survive_even_as_polygons() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let ring = project.segment(ObjectId(2), 0).unwrap().mask.clone().unwrap();
    for (format, polygons) in
        [("coco", true), ("yolo-segment", false), ("labelme", false), ("cvat-video", false)]
    {
        let target = folder.path().join(format);
        let options = Options { polygons, ..Options::default() };
        let written = formats::named(format).unwrap();
        let report = written
            .export(&project, &ImageFiles::of_project(folder.path()), &options, &target, &|_, _| true)
            .unwrap();
        if let Some(likeness) = report.polygons {
            assert!(likeness.least_iou > 0.85, "{format}: {likeness:?}");
        }
        let sizes = formats::Sizes::of_project(&project);
        let reading = formats::Reading::new(&target).with_sizes(&sizes).with_checks();
        let dataset = written.import(&reading).unwrap();
        let has_hole = |annotation: &&formats::Annotation| match &annotation.shape {
            formats::Shape::Mask(mask) => {
                engine::mask::Outline::of_rle(mask).iter().any(|o| o.holes.len() == 1)
            }
            formats::Shape::Box(_) => false,
        };
        let n = if format == "cvat-video" { 3 } else { 4 };
        assert_eq!(dataset.annotations.iter().filter(has_hole).count(), n, "{format}");
        assert!(ring.area() > 0);
    }
}

/// label-studio#6493: a video had other frames after export than before.
#[test]
fn each_frame_that_is_asked_for_is_extracted_and_is_that_frame() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let target = folder.path().join("out");
    let options =
        Options { files: Some(Files::Copy), frames: formats::Frames::Every(2), ..Options::default() };
    let format = formats::named("yolo").unwrap();
    format.export(&project, &ImageFiles::of_project(folder.path()), &options, &target, &|_, _| true).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(target.join("images/train/clip"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["000000.jpg", "000002.jpg", "000004.jpg"]);
    let mut source = engine::media::FrameSource::open(&folder.path().join("clip.mp4")).unwrap();
    let want = source.frame(2).unwrap();
    let got = image::open(target.join("images/train/clip/000002.jpg")).unwrap().to_rgb8();
    let off: u64 = want.as_raw().iter().zip(got.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!((off as f64) < 12.0 * want.as_raw().len() as f64, "{off}");
}

#[test]
fn videos_do_not_straddle_splits_and_all_images_are_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let target = folder.path().join("out");
    let splits = Some(formats::Splits { shares: [1.0, 1.0, 1.0], seed: 3 });
    let options = Options { splits, ..Options::default() };
    let format = formats::named("coco").unwrap();
    format.export(&project, &ImageFiles::of_project(folder.path()), &options, &target, &|_, _| true).unwrap();
    let mut all: BTreeMap<u64, usize> = BTreeMap::new();
    let mut of_video = std::collections::BTreeSet::new();
    for (i, part) in formats::Splits::NAMES.iter().enumerate() {
        let json = read_json(&target.join(format!("annotations/instances_{part}.json")));
        for image in json["images"].as_array().unwrap() {
            *all.entry(image["id"].as_u64().unwrap()).or_default() += 1;
            of_video.extend(image.get("video_id").map(|_| i));
        }
    }
    assert_eq!((all.len(), all.values().all(|n| *n == 1), of_video.len()), (5, true, 1));
}

#[test]
fn the_command_line_imports_counts_exports_converts_checks_and_mends() {
    let (folder, _) = exported(&["coco"]);
    let run = |words: &[&str]| segue::succeed(folder.path(), words);
    let said = run(&["import", "coco", "--into", "new.segue", "--media", "photos"]);
    assert!(said.contains("4 annotations on 2 images added") && said.contains("COCO"), "{said}");
    let stats: Json = serde_json::from_str(&run(&["stats", "new.segue", "--json"])).unwrap();
    assert_eq!((&stats["total"]["annotations"], &stats["photos"]), (&4.into(), &2.into()));
    let said = run(&[
        "export",
        "new.segue",
        "--format",
        "yolo-segment",
        "--out",
        "yolo",
        "--category",
        "cat",
        "--files",
        "link",
    ]);
    assert!(
        said.contains("2 annotations on 2 images") && said.contains("of categories that were not chosen"),
        "{said}"
    );
    assert!(folder.path().join("yolo/images/train/photos/a.png").is_file());
    assert_eq!(read_json(&folder.path().join("yolo/segue-export.json"))["annotations"], 2);
    // From one format to another, without a project.
    run(&["export", "yolo", "--format", "coco", "--out", "again.json"]);
    assert_eq!(read_json(&folder.path().join("again.json"))["annotations"].as_array().unwrap().len(), 2);
    assert!(run(&["check", "coco"]).contains("10 annotations on 5 images can be used"));

    let mut broken = read_json(&folder.path().join("again.json"));
    broken["annotations"][0]["bbox"] = serde_json::json!([0, 0, 5, 5]);
    broken["annotations"][1]["image_id"] = 99.into();
    let bytes = serde_json::to_vec(&broken).unwrap();
    let path = folder.path().join("broken.json");
    engine::file::write_atomically(&path, |out| std::io::Write::write_all(out, &bytes)).unwrap();
    segue::fail(folder.path(), &["check", "broken.json"], 1, "errors: ");
    run(&["check", "broken.json", "--fix", "mended.json"]);
    let said = run(&["check", "mended.json"]);
    assert!(!said.contains("error:") && said.contains("1 annotation on"), "{said}");

    segue::fail(
        folder.path(),
        &["export", "new.segue", "--format", "tiff", "--out", "x"],
        2,
        "possible values: coco",
    );
    segue::fail(folder.path(), &["export", "new.segue", "--format", "davis", "--out", "x"], 1, "videos only");
    segue::fail(
        folder.path(),
        &["export", "new.segue", "--format", "yolo", "--out", "photos"],
        1,
        "not empty",
    );
    segue::fail(folder.path(), &["import", "photos", "--into", "new.segue"], 1, "cannot tell what format");
    segue::fail(folder.path(), &["import", "broken.json", "--into", "x/y.segue"], 1, "there is no folder x");
}
