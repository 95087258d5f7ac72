//! Label files as CVAT, Pascal VOC tools, LabelMe and Datumaro write them, and as people change them by hand.
//!
//! Expected values are plain arithmetic on the numbers in the files.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use engine::file::write_atomically;
use engine::formats::{Annotation, Dataset, ImageFiles, Options, Reading, Shape, named, read};
use image::{GrayImage, Luma, RgbImage};

/// A folder with files of text, and images (named `*.png` and `*.jpg`) of 100 x 80 pixels.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name.ends_with(".png") || name.ends_with(".jpg") {
            true => RgbImage::new(100, 80).save(path).unwrap(),
            false => write_atomically(&path, |out| out.write_all(text.as_ref())).unwrap(),
        }
    }
    folder
}

fn dataset(path: &Path) -> Dataset {
    read(&Reading::new(path)).unwrap().1
}

/// The path of an image, the category, and what is on it: a box's corners, or the bounds and area of a mask.
fn objects(dataset: &Dataset) -> Vec<(String, String, Vec<f64>)> {
    let object = |annotation: &Annotation| {
        let image = &dataset.images[annotation.image];
        let path = match image.frame {
            Some((video, frame)) => format!("{}:{frame}", dataset.videos[video]),
            None => image.file_name.clone().unwrap(),
        };
        let numbers = match &annotation.shape {
            Shape::Box(rect) => <[f32; 4]>::from(*rect).map(f64::from).to_vec(),
            Shape::Mask(mask) => {
                let [x, y, width, height] = mask.bbox().map(f64::from);
                vec![x, y, x + width, y + height, mask.area() as f64]
            }
        };
        (path, dataset.categories[annotation.category].name.clone().unwrap(), numbers)
    };
    dataset.annotations.iter().map(object).collect()
}

fn object(path: &str, category: &str, numbers: &[f64]) -> (String, String, Vec<f64>) {
    (path.to_owned(), category.to_owned(), numbers.to_vec())
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn cvat(meta: &str, rest: &str) -> (tempfile::TempDir, PathBuf) {
    let text =
        format!("<annotations><version>1.1</version>{rest}<meta><task>{meta}</task></meta></annotations>");
    let folder = folder(&[("x/labels.xml", &text)]);
    let path = folder.path().join("x/labels.xml");
    (folder, path)
}

const BOX: &str = r#"xtl="30" ytl="45" xbr="70" ybr="55""#;

#[test]
fn cvat_shapes_are_turned_counted_or_refused_alone() {
    let shapes = format!(
        r#"<image id="0" name="a.png" width="100" height="100">
        <box label="b" {BOX} rotation="90.0" occluded="1" z_order="1"/><box label="b" xtl="x" ytl="1" xbr="2" ybr="3"/>
        <box label="low" {BOX} z_order="0"/><box {BOX}/><ellipse label="e" cx="50" cy="50" rx="20" ry="10" z_order="2"/>
        <mask label="m" rle="0, 5, 5, 5, 5" left="10" top="20" width="5" height="4" z_order="3"/>
        <polygon label="p" points="10,10;40,10;NaN,40"/><skeleton label="s"><points/></skeleton><skeleton label="s"/>
        <polyline label="l" points="1,1;5,5"/><points label="q" points="1,1"/><cuboid label="c"/><tag label="t"/>
        </image><chart/>"#
    );
    let (_folder, path) = cvat("", &shapes);
    let dataset = dataset(&path);
    let found = objects(&dataset);
    // Of a greater z_order comes later.
    assert_eq!(found[0], object("a.png", "low", &[30.0, 45.0, 70.0, 55.0]));
    assert_eq!(found[1], object("a.png", "b", &[45.0, 30.0, 55.0, 70.0, 400.0]));
    assert_eq!(dataset.annotations[1].attributes, attributes(&[("occluded", "1")]));
    assert_eq!(found[2].2[..4], [30.0, 40.0, 70.0, 60.0]);
    assert!((found[2].2[4] - std::f64::consts::PI * 200.0).abs() < 10.0, "{found:?}");
    assert_eq!(found[3], object("a.png", "m", &[10.0, 20.0, 15.0, 23.0, 10.0]));
    assert_eq!(found.len(), 4);
    assert_eq!(dataset.refused.len(), 3, "{}", dataset.refused);
    let notes = dataset.notes.to_string();
    for kind in
        ["2 skeletons: ", "1 polyline: ", "1 point set: ", "1 cuboid: ", "1 tag: ", "1 chart element: "]
    {
        assert!(notes.contains(kind), "{notes}");
    }
}

#[test]
fn cvat_tracks_are_interpolated_between_keyframes() {
    let meta = "<size>30</size><stop_frame>29</stop_frame><source>clip.mp4</source>
        <original_size><width>100</width><height>80</height></original_size>";
    let key = |frame: usize, x: usize, outside: u8| {
        format!(r#"<box frame="{frame}" outside="{outside}" xtl="{x}" ytl="10" xbr="{}" ybr="30"/>"#, x + 20)
    };
    let track =
        format!(r#"<track id="0" label="car">{}{}{}</track>"#, key(10, 50, 0), key(0, 0, 0), key(20, 50, 1));
    let (_folder, path) = cvat(meta, &track);
    let all = dataset(&path);
    let found = objects(&all);
    let frames: Vec<String> = (0..20).map(|frame| format!("clip.mp4:{frame}")).collect();
    assert_eq!(found.iter().map(|one| one.0.clone()).collect::<Vec<_>>(), frames);
    assert_eq!(found[4], object("clip.mp4:4", "car", &[20.0, 10.0, 40.0, 30.0]));
    assert!(all.notes.to_string().contains("18 shapes: interpolated"), "{}", all.notes);
    // Without an end, a shape is held to the end of the task; a job has every 5th frame.
    let held = format!(r#"<track id="0" label="car">{}{}</track>"#, key(0, 0, 0), key(10, 50, 0));
    let (_folder, path) = cvat(&format!("{meta}<frame_filter>step=5</frame_filter>"), &held);
    let frames: Vec<String> = objects(&dataset(&path)).into_iter().map(|one| one.0).collect();
    assert_eq!(frames, [0, 5, 10, 15, 20, 25].map(|frame| format!("clip.mp4:{frame}")));
}

#[test]
fn cvat_frames_as_images_are_of_their_video() {
    let image = |id: u8, name: &str| {
        format!(r#"<image id="{id}" name="{name}" width="100" height="80"><box label="car" {BOX}/></image>"#)
    };
    let images = [
        image(3, "frame_000003"),
        image(3, "frame_000007"),
        image(9, "clip/frame_000009.png"),
        image(1, "a.png"),
    ];
    let (_folder, path) = cvat("<source>clip.mp4</source>", &images.concat());
    let paths: Vec<String> = objects(&dataset(&path)).into_iter().map(|one| one.0).collect();
    assert_eq!(paths, ["clip.mp4:3", "clip.mp4:7", "clip.mp4:9", "a.png"]);
}

fn voc(filename: &str, objects: &str) -> String {
    format!("<?xml version='1.0'?><annotation>{filename}<size><width>0</width></size>{objects}</annotation>")
}

fn voc_object(name: &str, [x0, y0, x1, y1]: [&str; 4], more: &str) -> String {
    format!(
        "<object><name>{name}</name>{more}<bndbox><xmax>{x1}</xmax><ymax>{y1}</ymax><xmin>{x0}</xmin><ymin>{y0}</ymin>
        </bndbox></object>"
    )
}

#[test]
fn voc_objects_keep_marks_and_outlines() {
    let marks =
        "<difficult>1</difficult><truncated>0</truncated><pose>Left</pose><part><name>head</name></part>";
    let polygon = "<polygon><x1>10</x1><y1>10</y1><x2>40</x2><y2>10</y2><x3>40</x3><y3>30</y3><x4>10</x4><y4>30</y4></polygon>";
    let rotation = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>";
    let turned = "<object><name>t</name><robndbox><cx>50</cx><cy>40</cy><w>40</w><h>10</h><angle>1.5707963</angle></robndbox></object>";
    let all = [
        voc_object("a", ["20", "10.5", "11", "30"], marks),
        voc_object("b", ["NaN", "1", "2", "3"], ""),
        voc_object("p", ["1", "1", "2", "2"], polygon),
        voc_object("r", ["31", "36", "70", "45"], rotation),
        turned.to_owned(),
    ];
    let folder = folder(&[("Annotations/a.xml", &voc("", &all.concat())), ("JPEGImages/a.png", "")]);
    let dataset = dataset(folder.path());
    let path = "JPEGImages/a.png";
    let want = [
        object(path, "a", &[10.0, 9.5, 20.0, 30.0]),
        object(path, "p", &[10.0, 10.0, 40.0, 30.0, 600.0]),
        object(path, "r", &[45.0, 20.0, 55.0, 60.0, 400.0]),
        object(path, "t", &[45.0, 20.0, 55.0, 60.0, 400.0]),
    ];
    assert_eq!(objects(&dataset), want);
    assert_eq!(dataset.annotations[0].attributes, attributes(&[("difficult", "1"), ("pose", "Left")]));
    assert_eq!(dataset.refused.len(), 1, "{}", dataset.refused);
    let notes = dataset.notes.to_string();
    assert!(notes.contains("1 part: ") && notes.contains("swapped corners"), "{notes}");
}

#[test]
fn voc_files_are_of_the_image_that_is_there() {
    let one = voc_object("a", ["1", "1", "9", "9"], "");
    let named = |name: &str| voc(&format!("<filename>{name}</filename>"), &one);
    let folder = folder(&[
        ("Annotations/suffix.xml", &named("suffix.jpg")),
        ("Annotations/s/1.xml", &named("1.png")),
        ("Annotations/copy.xml", &named("s/1.png")),
        ("Annotations/doubt.xml", &named("free.png")),
        ("Annotations/bad.xml", "<annotation><object>"),
        ("JPEGImages/suffix.png", ""),
        ("JPEGImages/s/1.png", ""),
        ("JPEGImages/t/1.png", ""),
        ("JPEGImages/copy.png", ""),
        ("JPEGImages/doubt.png", ""),
        ("JPEGImages/free.png", ""),
    ]);
    let dataset = dataset(folder.path());
    let mut paths: Vec<String> = objects(&dataset).into_iter().map(|one| one.0).collect();
    paths.sort();
    assert_eq!(paths, ["JPEGImages/copy.png", "JPEGImages/suffix.png", "s/1.png"]);
    let refused = dataset.refused.to_string();
    assert!(
        refused.contains("Annotations/bad.xml") && refused.contains("free.png, but the image"),
        "{refused}"
    );
}

#[test]
fn labelme_shapes_are_taken_one_by_one() {
    let text = r#"{"imagePath": null, "flags": {"night": true}, "shapes": [
        {"label": "r", "shape_type": "rectangle", "points": [[20, 10], [5, 2]], "group_id": 3, "flags": null, "score": 0.5,
         "difficult": true, "description": "old"},
        {"label": 7, "shape_type": "rotation", "points": [[10, 20], [30, 20], [30, 40], [10, 40]], "attributes": null},
        {"label": "c", "shape_type": "circle", "points": [[50, 40], [60, 40]]},
        {"label": "n", "shape_type": null, "points": [[10, 10], [20, 10], [20, 20], [10, 20]], "group_id": null},
        {"label": "x", "points": [[NaN, 1], [2, 2], [3, 3]]}, {"label": null, "points": []}, {"label": "x", "points": null},
        {"label": "k", "shape_type": "point", "points": [[1, 1]]}, {"label": "k", "shape_type": "point", "points": [[2, 1]]}]}"#;
    let folder = folder(&[("a.json", text), ("a.png", ""), ("cut.json", "{\"shapes\": [")]);
    let dataset = dataset(folder.path());
    let found = objects(&dataset);
    assert_eq!(found[0], object("a.png", "r", &[5.0, 2.0, 20.0, 10.0]));
    assert_eq!(found[1], object("a.png", "7", &[10.0, 20.0, 30.0, 40.0, 400.0]));
    assert!((found[2].2[4] - std::f64::consts::PI * 100.0).abs() < 10.0, "{found:?}");
    assert_eq!(found[3], object("a.png", "n", &[10.0, 10.0, 20.0, 20.0, 100.0]));
    let want = [("description", "old"), ("difficult", "1"), ("group_id", "3"), ("score", "0.5")];
    assert_eq!(dataset.annotations[0].attributes, attributes(&want));
    assert_eq!((found.len(), dataset.refused.len()), (4, 4), "{}", dataset.refused);
    let notes = dataset.notes.to_string();
    assert!(notes.contains("2 point shapes: ") && notes.contains("1 image flag: "), "{notes}");
}

#[test]
fn labelme_paths_are_relative_to_their_file() {
    let named = |path: &str| {
        format!(
            r#"{{"imagePath": "{path}", "shapes": [{{"label": "a", "shape_type": "rectangle", "points": [[1, 1], [5, 5]]}}]}}"#
        )
    };
    let folder = folder(&[
        ("ann/1.json", &named("..\\\\images\\\\y\\\\a.png")),
        ("ann/2.json", &named("../images/x/a.png")),
        ("ann/3.json", &named("C:\\\\old\\\\images\\\\y\\\\b.png")),
        ("ann/4.json", &named("../images/x/a.png")),
        ("images/x/a.png", ""),
        ("images/y/a.png", ""),
        ("images/y/b.png", ""),
    ]);
    let dataset = dataset(&folder.path().join("ann"));
    let paths: Vec<String> = objects(&dataset).into_iter().map(|one| one.0).collect();
    assert_eq!(paths, ["images/y/a.png", "images/x/a.png", "C:/old/images/y/b.png", "images/x/a.png"]);
    assert!(dataset.notes.to_string().contains("both are taken"), "{}", dataset.notes);
}

#[test]
fn datumaro_annotations_are_taken_one_by_one() {
    let text = r#"{"items": [{"id": 5, "annotations": null, "image": null, "attr": null},
        {"id": "1", "media": {"path": "1.png", "size": null}, "annotations": [
        {"type": "bbox", "bbox": [30, 45, 40, 10], "label_id": 1, "group": null, "attributes": {"rotation": 90.0, "occluded": true, "k": null}},
        {"type": "bbox", "bbox": [1, 1, 4, 5], "label_id": 0, "group": 2, "attributes": null, "z_order": null},
        {"type": "bbox", "bbox": [9, 9, 4, 5], "label_id": 0, "group": 2},
        {"type": "mask", "label_id": 0, "rle": {"size": [80, 100], "counts": [0, 80, 7920]}},
        {"type": "polygon", "points": [10, 10, 20, 10, 20, 20], "label_id": null},
        {"type": "bbox", "bbox": [1, 1, NaN, 5], "label_id": 0}, {"type": "bbox", "bbox": [1, 1, 5, 5], "label_id": 9},
        {"type": "polyline", "points": [1, 1, 2, 2], "label_id": 0}, {"type": "label", "label_id": 0}, {"type": "label", "label_id": 1}]}],
        "categories": {"mask": {"colormap": [{"label_id": 1, "r": 1, "g": 2, "b": 3}]},
        "label": {"labels": [{"name": "a", "parent": ""}, {"name": "b", "parent": "x"}]}}}"#;
    let folder = folder(&[
        ("annotations/train.json", text),
        ("annotations/val.json", text),
        ("images/train/1.png", ""),
        ("images/val/1.png", ""),
    ]);
    let dataset = dataset(&folder.path().join("annotations"));
    let found = objects(&dataset);
    for (split, found) in ["train", "val"].iter().zip(found.chunks(4)) {
        let path = format!("images/{split}/1.png");
        assert_eq!(found[0], object(&path, "b", &[45.0, 30.0, 55.0, 70.0, 400.0]));
        assert_eq!(found[1], object(&path, "a", &[1.0, 1.0, 5.0, 6.0]));
        assert_eq!(found[2], object(&path, "a", &[9.0, 9.0, 13.0, 14.0]));
        assert_eq!(found[3], object(&path, "a", &[0.0, 0.0, 1.0, 80.0, 80.0]));
    }
    assert_eq!(dataset.annotations[0].attributes, attributes(&[("occluded", "1")]));
    assert_eq!(dataset.categories[1].color, Some([1, 2, 3]));
    assert_eq!((found.len(), dataset.refused.len(), dataset.images.len()), (8, 6, 4), "{}", dataset.refused);
    assert!(dataset.notes.to_string().contains("4 image labels: "), "{}", dataset.notes);
}

#[test]
fn marks_are_written_where_formats_have_them() {
    let marks = "<difficult>1</difficult><truncated>1</truncated><occluded>1</occluded><pose>Left</pose>";
    let attribute =
        "<attributes><attribute><name>description</name><value>a&amp;b</value></attribute></attributes>";
    let one = voc_object("a", ["1", "1", "9", "9"], &format!("{marks}{attribute}"));
    let folder = folder(&[("in/a.xml", &voc("", &one)), ("in/a.png", "")]);
    let source = folder.path().join("in");
    let mut first = dataset(&source);
    let want = first.annotations[0].attributes.clone();
    assert_eq!(want.len(), 5);
    let files = ImageFiles::around(&source);
    let (project, _) = first.to_project(&files);
    for (format, file, texts) in [
        ("voc", "Annotations/a.xml", ["<difficult>1<", "<pose>Left<"]),
        ("cvat-images", "annotations.xml", ["occluded=\"1\"", "a&amp;b"]),
        ("labelme", "a.json", ["\"difficult\": true", "\"description\": \"a&b\""]),
        ("datumaro", "annotations/default.json", ["\"occluded\":\"1\"", "\"pose\":\"Left\""]),
    ] {
        let target = folder.path().join(format);
        let format = named(format).unwrap();
        format.export(&project, &files, &Options::default(), &target, &|_, _| true).unwrap();
        let text = fs::read_to_string(target.join(file)).unwrap();
        for part in texts {
            assert!(text.contains(part), "{}: {text}", format.name);
        }
        assert_eq!(dataset(&target).annotations[0].attributes, want, "{}", format.name);
    }
}

#[test]
fn voc_masks_belong_to_the_boxes_that_they_fill() {
    let all =
        [["51", "51", "60", "60"], ["11", "11", "20", "20"]].map(|corners| voc_object("a", corners, ""));
    let folder = folder(&[("Annotations/a.xml", &voc("", &all.concat())), ("JPEGImages/a.png", "")]);
    let mut picture = GrayImage::new(100, 80);
    // Numbered the other way around; 255 is not looked at, and no object has the third one.
    for (number, left, top) in [(1, 10, 10), (2, 50, 50), (255, 0, 0), (3, 80, 20)] {
        for (x, y) in (0..10).flat_map(|x| (0..10).map(move |y| (x, y))) {
            picture.put_pixel(left + x, top + y, Luma([number]));
        }
    }
    fs::create_dir(folder.path().join("SegmentationObject")).unwrap();
    picture.save(folder.path().join("SegmentationObject/a.png")).unwrap();
    let dataset = dataset(folder.path());
    let numbers: Vec<Vec<f64>> = objects(&dataset).into_iter().map(|one| one.2).collect();
    assert_eq!(numbers, [[50.0, 50.0, 60.0, 60.0, 100.0], [10.0, 10.0, 20.0, 20.0, 100.0]]);
    assert!(dataset.refused.to_string().contains("mask 3 of"), "{}", dataset.refused);
}
