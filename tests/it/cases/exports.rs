//! Exports that other programs read: names, pixels, damaged media.

use std::{collections::BTreeMap, fs};

use serde_json::Value as Json;

use super::{Case, coco, label, labels, read_json, segue};
use crate::{media, python};

#[test]
fn copies_never_replace_each_other() {
    let names = ["a/1.jpg", "a/1.png", "a/1-2.png", "a/1-3.png", "b/1.jpg", "1.jpg"];
    let case = Case::new(&[]);
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        let (id, width) = (i + 1, 100 + i as u32);
        case.image(&format!("im/{name}"), width, 80);
        images.push(format!(r#"{{"id": {id}, "file_name": "{name}", "width": {width}, "height": 80}}"#));
        annotations.push(format!(
            r#"{{"id": {id}, "image_id": {id}, "category_id": 1, "bbox": [5, 5, {}, 20], "iscrowd": 0,
                "segmentation": [[5, 5, {end}, 5, {end}, 25, 5, 25]]}}"#,
            10 + i,
            end = 15 + i
        ));
    }
    let text = format!(
        r#"{{"images": [{}], "categories": [{{"id": 1, "name": "cat"}}], "annotations": [{}]}}"#,
        images.join(","),
        annotations.join(",")
    );
    case.bytes("c.json", text.as_bytes());
    case.import("c.json", &["--media", "im"]);
    for format in ["coco", "yolo", "voc", "labelme", "cvat-images", "datumaro", "masks", "indexed-masks"] {
        let out = format!("out-{format}");
        let words = ["export", "p.segue", "--format", format, "--files", "copy", "--out", &out];
        segue::succeed(case.folder.path(), &words);
        let mut widths: Vec<u32> = walk(&case.path(&out))
            .iter()
            .filter(|path| !path.contains("/masks/") && !path.contains("Segmentation"))
            .filter_map(|path| Some(image::image_dimensions(path).ok()?.0))
            .collect();
        widths.sort_unstable();
        assert_eq!(widths, (100..106).collect::<Vec<_>>(), "{format}: {:?}", walk(&case.path(&out)));
    }
    // Each label lies beside the image of its own width: the box is 10 wide on the first image, 11 on the second, …
    let program = "import json, pathlib, sys
from PIL import Image
out = pathlib.Path(sys.argv[1])
print(json.dumps([[Image.open(p).size[0], float((out / 'labels' / p.relative_to(out / 'images')).with_suffix('.txt').read_text().split()[3])]
    for p in sorted((out / 'images').rglob('*.*'))]))";
    let pairs: Vec<(f64, f64)> =
        serde_json::from_value(python::run(program, &case.path("out-yolo"))).unwrap();
    assert_eq!(pairs.len(), 6);
    for (width, share) in pairs {
        assert!((share * width - (width - 90.0)).abs() < 1e-3, "{width}: {share}");
    }
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path.to_str().unwrap().to_owned()),
        }
    }
    files
}

#[test]
fn only_images_below_the_labels_are_copied() {
    let named = |name: &str| coco(&[""]).replace("a.png", name);
    let case = Case::new(&[("secret.png", ""), ("images/a.png", ""), ("d/a.png", "")]);
    let absolute = case.path("secret.png").to_str().unwrap().to_owned();
    for (name, n_copied) in [("a.png", 1), ("../images/a.png", 1), ("../secret.png", 0), (&absolute, 0)] {
        case.bytes("d/c.json", named(name).as_bytes());
        let words = ["export", "d/c.json", "--format", "yolo", "--files", "copy", "--out", "o"];
        let output = segue::run(case.folder.path(), &words);
        assert_eq!(output.status.code(), Some(1 - n_copied), "{name}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let copied = walk(&case.path("o")).iter().filter(|path| path.ends_with(".png")).count();
        assert_eq!(copied, n_copied as usize, "{name}: {said}");
        assert_eq!(said.contains("not copied: 1 image file"), n_copied == 0, "{said}");
    }
    case.bytes("d/c.json", named("/etc/passwd").as_bytes());
    segue::run(
        case.folder.path(),
        &["export", "d/c.json", "--format", "yolo", "--files", "copy", "--out", "o"],
    );
    assert!(walk(&case.path("o")).iter().all(|path| !path.contains("passwd") || path.ends_with(".txt")));
}

#[test]
fn labels_of_another_size_end_with_an_error() {
    let text = coco(&[""]).replace(r#""width": 100, "height": 80"#, r#""width": 80, "height": 100"#);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    segue::fail(case.folder.path(), &["export", "c.json", "--format", "yolo", "--out", "o"], 1, "a.png");
}

/// One square, and two squares joined by a line; areas by `cv2.fillPoly` on corners truncated like Ultralytics does.
#[test]
fn yolo_polygons_state_what_opencv_gets() {
    let square = |x: u32, y: u32, side: u32| {
        let (right, bottom) = (x + side, y + side);
        format!("[{x}, {y}, {right}, {y}, {right}, {bottom}, {x}, {bottom}]")
    };
    let one = format!(r#", "segmentation": [{}]"#, square(10, 10, 40));
    let case = Case::new(&[("c.json", &coco(&[&one])), ("a.png", "")]);
    let said =
        segue::succeed(case.folder.path(), &["export", "c.json", "--format", "yolo-segment", "--out", "o"]);
    assert!(said.contains("least 1.0000"), "{said}");
    let text = fs::read_to_string(case.path("o/labels/train/a.txt")).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().skip(1).map(|v| v.parse().unwrap()).collect();
    let corners: Vec<[i64; 2]> =
        numbers.chunks(2).map(|xy| [(xy[0] * 100.0) as i64, (xy[1] * 80.0) as i64]).collect();
    // `fillPoly` sets the pixels on the lines: from 10 to 49.
    let mut sorted = corners.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [[10, 10], [10, 49], [49, 10], [49, 49]]);

    let two = format!(r#", "segmentation": [{}, {}]"#, square(0, 0, 10), square(60, 60, 10));
    let case = Case::new(&[("c.json", &coco(&[&two])), ("a.png", "")]);
    let said =
        segue::succeed(case.folder.path(), &["export", "c.json", "--format", "yolo-segment", "--out", "o"]);
    // 200 pixels of two squares, and 50 of the line from 9, 9 to 60, 60 between them.
    assert!(said.contains("least 0.8000"), "{said}");
}

#[test]
fn corners_of_turned_boxes_stay_in_the_image() {
    // A band from corner to corner: its rectangle reaches out of the image.
    let band = r#", "segmentation": [[0, 0, 20, 0, 100, 70, 100, 80, 80, 80, 0, 10]]"#;
    let case = Case::new(&[("c.json", &coco(&[band])), ("a.png", "")]);
    let said =
        segue::succeed(case.folder.path(), &["export", "c.json", "--format", "yolo-obb", "--out", "o"]);
    let text = fs::read_to_string(case.path("o/labels/train/a.txt")).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().skip(1).map(|v| v.parse().unwrap()).collect();
    assert!(numbers.len() == 8 && numbers.iter().all(|v| (0.0..=1.0).contains(v)), "{text}");
    assert!(said.contains("moved to its edge"), "{said}");
}

/// Frames 40 to 49 lack the key frame that they refer to.
#[test]
fn damaged_frames_of_a_video_are_named_and_left_out() {
    let case = Case::new(&[(
        "prompts.json",
        r#"{"objects": [{"id": 1, "category": "c", "prompts": [{"frame": 35, "box": [20, 20, 60, 60]}]}]}"#,
    )]);
    let options =
        "-f lavfi -i testsrc2=s=100x80:r=10:d=6 -c:v libx264 -g 10 -keyint_min 10 -sc_threshold 0 -bf 0";
    media::run("ffmpeg", case.folder.path(), &format!("{options} clip.mp4"));
    let packets = media::run(
        "ffprobe",
        case.folder.path(),
        "-select_streams v -show_entries packet=pos,size -of csv=p=0 clip.mp4",
    );
    let packet: Vec<usize> =
        packets.lines().nth(40).unwrap().split(',').take(2).map(|v| v.parse().unwrap()).collect();
    let [size, position] = packet[..] else { panic!("{packets}") };
    let mut bytes = fs::read(case.path("clip.mp4")).unwrap();
    bytes[position + 40..position + size].fill(0x55);
    case.bytes("clip.mp4", &bytes);
    let words = ["track", "clip.mp4", "--prompts", "prompts.json", "--from", "35", "--out", "out.json"];
    let output = segue::run(case.folder.path(), &words);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("frames 40 to 49 of clip.mp4 are damaged"), "{said}");
    let coco = read_json(&case.path("out.json"));
    let frames: BTreeMap<u64, f64> = coco["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["frame_index"].as_u64().unwrap(), image["time"].as_f64().unwrap()))
        .collect();
    let want: Vec<u64> = (35..40).chain(50..60).collect();
    assert_eq!(frames.keys().copied().collect::<Vec<_>>(), want);
    assert!(frames.iter().all(|(frame, time)| (time - *frame as f64 / 10.0).abs() < 1e-6), "{frames:?}");
}

#[test]
fn one_bad_image_does_not_refuse_its_folder() {
    let case = Case::new(&[("f/0.png", ""), ("f/1.png", ""), ("f/2.png", ""), ("f/3.png", "")]);
    let whole = fs::read(case.path("f/1.png")).unwrap();
    case.bytes("f/1.png", &whole[..20]);
    case.bytes("f/2.png", b"");
    let images: Vec<Json> = (0..4)
        .map(|n| serde_json::json!({"id": n, "file_name": format!("{n}.png"), "width": 100, "height": 80}))
        .collect();
    let annotations: Vec<Json> = (0..4)
        .map(|n| serde_json::json!({"id": n, "image_id": n, "category_id": 1, "bbox": [n, 2, 3, 4]}))
        .collect();
    let text = serde_json::json!({"images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}]});
    case.bytes("c.json", text.to_string().as_bytes());
    let (labels, said) = case.imported("c.json", &["--media", "f"]);
    let want = [label("f/0.png", "cat", [0.0, 2.0, 3.0, 4.0]), label("f/3.png", "cat", [3.0, 2.0, 3.0, 4.0])];
    assert_eq!(labels, want, "{said}");
    assert!(said.contains("1.png") && said.contains("2.png"), "{said}");
}

#[test]
fn bad_photos_are_named_and_others_copied() {
    let case = Case::new(&[("im/a.png", ""), ("im/b.png", ""), ("im/c.png", ""), ("im/d.png", "")]);
    segue::succeed(case.folder.path(), &["new", "p.segue", "--media", "im"]);
    case.bytes("im/b.png", b"text");
    fs::remove_file(case.path("im/c.png")).unwrap();
    case.image("im/d.png", 60, 80);
    let words = ["export", "p.segue", "--format", "coco", "--files", "copy", "--out", "o"];
    let output = segue::run(case.folder.path(), &words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    let copied: Vec<String> =
        walk(&case.path("o")).into_iter().filter(|path| path.ends_with(".png")).collect();
    assert!(copied.len() == 1 && copied[0].ends_with("a.png"), "{copied:?}");
    for part in ["b.png", "d.png", "60x80", "not there: 1 image file", "not usable: 2 image files"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn frames_of_a_folder_keep_their_names() {
    let case = Case::new(&[]);
    for name in ["000001.png", "000002.png", "000003.png"] {
        case.image(&format!("clip/{name}"), 100, 80);
    }
    let images: Vec<Json> = (1..4)
        .map(|n| serde_json::json!({"id": n, "file_name": format!("clip/{n:06}.png"), "width": 100, "height": 80}))
        .collect();
    let annotations: Vec<Json> = (1..4)
        .map(|n| {
            serde_json::json!({"id": n, "image_id": n, "category_id": 1, "bbox": [10 * n, 2, 20, 40],
            "segmentation": [[10 * n, 2, 10 * n + 20, 2, 10 * n + 20, 42, 10 * n, 42]]})
        })
        .collect();
    let text = serde_json::json!({"images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}]});
    case.bytes("c.json", text.to_string().as_bytes());
    case.import("c.json", &["--frames", "clip"]);
    let want: Vec<_> = (1..4)
        .map(|n| label(&format!("clip/{n:06}.png"), "cat", [10.0 * f64::from(n), 2.0, 20.0, 40.0]))
        .collect();
    assert_eq!(case.labels(), want);
    // Every format comes back to the frames that it was of.
    for format in engine::formats::FORMATS.iter().filter(|format| format.is_read()) {
        let out = format!("out-{}", format.name);
        let words = ["export", "p.segue", "--format", format.name, "--files", "copy", "--out", &out];
        segue::succeed(case.folder.path(), &words);
        fs::rename(case.path("p.segue"), case.path("first.segue")).unwrap();
        case.import(&out, &["--frames", "clip", "--format", format.name]);
        let lefts = |labels: Vec<super::Label>| {
            labels.into_iter().map(|(image, _, sides)| (image, sides[0].round())).collect::<Vec<_>>()
        };
        assert_eq!(lefts(case.labels()), lefts(want.clone()), "{}", format.name);
        fs::rename(case.path("first.segue"), case.path("p.segue")).unwrap();
    }
}

#[test]
fn coco_score_survives_import_and_export() {
    let text = coco(&[r#", "score": 0.5, "iscrowd": 0"#]);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    case.import("c.json", &[]);
    let coco = case.coco("p.segue");
    assert_eq!(coco["annotations"][0]["score"], 0.5);
    assert_eq!(labels(&coco).len(), 1);
}

#[test]
fn photo_that_ends_too_early_is_named_and_not_copied() {
    let case = Case::new(&[
        ("d/data.yaml", "names: [cat]\n"),
        ("d/images/whole.jpg", ""),
        ("d/images/cut.jpg", ""),
        ("d/labels/whole.txt", "0 0.5 0.5 0.2 0.2\n"),
        ("d/labels/cut.txt", "0 0.5 0.5 0.2 0.2\n"),
    ]);
    let folder = case.folder.path();
    let bytes = fs::read(folder.join("d/images/cut.jpg")).unwrap();
    case.bytes("d/images/cut.jpg", &bytes[..bytes.len() * 9 / 10]);
    let output = segue::run(folder, &["check", "d"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("cut.jpg") && said.contains("ends too early"), "{said}");
    assert!(!output.status.success());
    let output = segue::run(folder, &["export", "d", "--format", "yolo", "--out", "out", "--files", "copy"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("not usable: 1 image file"), "{said}");
    let copies: Vec<_> = fs::read_dir(folder.join("out/images/train"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(copies, ["whole.jpg"]);
}

#[test]
fn nothing_of_a_person_is_overwritten() {
    let text = coco(&[""]);
    let case = Case::new(&[("a.png", ""), ("c.json", &text), ("d/e.json", &text), ("other.xml", "<mine/>")]);
    case.import("c.json", &["--media", "a.png"]);
    let folder = case.folder.path();
    for out in ["p.segue", "a.png"] {
        let before = fs::read(folder.join(out)).unwrap();
        segue::fail(folder, &["export", "p.segue", "--format", "coco", "--out", out], 1, out);
        assert!(fs::read(folder.join(out)).unwrap() == before, "{out}");
    }
    segue::fail(folder, &["check", "c.json", "--fix", "c.json"], 1, "c.json");
    for (source, report) in [("c.json", "c.json"), ("d", "d/e.json")] {
        let words = ["export", source, "--format", "coco", "--out", "out", "--report", report];
        segue::fail(folder, &words, 1, report);
    }
    segue::fail(folder, &["segment", "a.png", "--point", "5,5", "--out", "a.png"], 1, "a.png");
    // An export that needs a folder fails, and the file is where it was.
    let words = ["export", "p.segue", "--format", "yolo", "--out", "other.xml"];
    segue::fail(folder, &words, 1, "makes several files");
    assert_eq!(fs::read_to_string(folder.join("other.xml")).unwrap(), "<mine/>");
    // What Segue wrote may be written again; what it did not is kept.
    for (format, out) in [("coco", "mine.json"), ("cvat-images", "other.xml")] {
        for _ in 0..2 {
            segue::succeed(folder, &["export", "p.segue", "--format", format, "--out", out]);
        }
    }
    assert!(!folder.join("mine.json.bak").exists());
    assert_eq!(fs::read_to_string(folder.join("other.xml.bak")).unwrap(), "<mine/>");
}

#[test]
fn export_into_its_own_input_is_refused() {
    let case = Case::new(&[("c.json", &coco(&[""])), ("a.png", "")]);
    let succeed = |words: &[&str]| segue::succeed(case.folder.path(), words);
    succeed(&["export", "c.json", "--format", "coco", "--files", "copy", "--out", "set"]);
    let before = walk(case.folder.path());
    succeed(&["import", "set", "--into", "p.segue", "--media", "set/images"]);
    for words in [
        &["export", "set/annotations/instances_default.json", "--format", "yolo", "--out", "set"][..],
        &["check", "set", "--fix", "set"],
        &["export", "p.segue", "--format", "coco", "--out", "set"],
        &["detect", "set/images", "--example", "a.png:1,1,9,9", "--out", "set"],
    ] {
        segue::fail(case.folder.path(), words, 1, "choose another folder");
    }
    std::fs::remove_file(case.path("p.segue")).unwrap();
    assert_eq!(walk(case.folder.path()), before);
}

#[test]
fn every_file_of_a_person_is_kept() {
    let case =
        Case::new(&[("c.json", &coco(&[""])), ("a.png", ""), ("o.json", "first"), ("real.json", "linked")]);
    let export = |out: &str| {
        segue::succeed(case.folder.path(), &["export", "c.json", "--format", "coco", "--out", out])
    };
    export("o.json");
    case.bytes("o.json", b"second");
    export("o.json");
    let text = |name: &str| fs::read_to_string(case.path(name)).unwrap();
    assert_eq!([text("o.json.bak"), text("o.json.bak2")], ["first", "second"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("real.json", case.path("link.json")).unwrap();
        export("link.json");
        assert!(case.path("link.json").is_symlink() && text("real.json").contains("annotations"));
        assert_eq!(text("real.json.bak"), "linked");
    }
}

#[test]
fn decomposed_names_of_an_export_are_found_again() {
    let name = "e\u{301}.png";
    let text = coco(&[""]).replace("a.png", name);
    let case = Case::new(&[("c.json", &text), (name, "")]);
    segue::succeed(
        case.folder.path(),
        &["export", "c.json", "--format", "coco", "--files", "copy", "--out", "o"],
    );
    segue::succeed(case.folder.path(), &["check", "o"]);
    let said = segue::succeed(
        case.folder.path(),
        &["export", "o", "--format", "yolo", "--files", "copy", "--out", "y"],
    );
    assert!(said.contains("with 1 image file"), "{said}");
}

#[test]
fn images_that_trainers_do_not_read_are_counted() {
    let text = coco(&[""]).replace("a.png", "a.ppm");
    let case = Case::new(&[("c.json", &text)]);
    image::RgbImage::new(100, 80).save(case.path("a.ppm")).unwrap();
    let words = ["export", "c.json", "--format", "yolo", "--files", "copy", "--out", "y"];
    let said = segue::succeed(case.folder.path(), &words);
    assert!(said.contains("1 image of a kind that not all versions of Ultralytics read"), "{said}");
}

#[test]
fn image_that_cannot_be_read_is_not_exported_as_empty() {
    let case = Case::new(&[("im/a.png", ""), ("example.png", "")]);
    let whole = fs::read(case.path("im/a.png")).unwrap();
    case.bytes("im/b.png", &whole[..whole.len() / 2]);
    let words = ["detect", "im", "--example", "example.png:10,10,40,40", "--out", "d.json"];
    let output = segue::run(case.folder.path(), &words);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let images = read_json(&case.path("d.json"))["images"].as_array().unwrap().len();
    assert_eq!(images, 1);
}
