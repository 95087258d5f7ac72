//! The image or frame that a label belongs to.

use image::RgbImage;
use serde_json::Value as Json;

use super::{Case, coco, label, labels, segue};
use crate::media;

fn labelme(label: &str, image: &str, corner: u32) -> String {
    let image = serde_json::Value::from(image);
    format!(
        r#"{{"version": "5.0", "flags": {{}}, "shapes": [{{"label": "{label}", "points": [[{corner}, 10], [{}, 40]],
            "shape_type": "rectangle", "group_id": null, "flags": {{}}}}], "imagePath": {image}, "imageData": null,
            "imageHeight": 80, "imageWidth": 100}}"#,
        corner + 30
    )
}

#[test]
fn labelme_paths_choose_among_images_of_one_name() {
    let case = Case::new(&[
        ("images/x/a.png", ""),
        ("images/y/a.png", ""),
        ("ann/x/a.json", &labelme("Y", "..\\..\\images\\y\\a.png", 10)),
        ("ann/y/a.json", &labelme("X", "../../images/x/a.png", 20)),
    ]);
    let (labels, _) = case.imported("ann", &["--media", "images"]);
    let want = [
        label("images/x/a.png", "X", [20.0, 10.0, 30.0, 30.0]),
        label("images/y/a.png", "Y", [10.0, 10.0, 30.0, 30.0]),
    ];
    assert_eq!(labels, want);
}

#[test]
fn ambiguous_image_gets_no_label_and_is_named() {
    let text = coco(&[""]);
    let case = Case::new(&[("x/a.png", ""), ("y/a.png", ""), ("labels/c.json", &text)]);
    segue::fail(
        case.folder.path(),
        &["import", "labels/c.json", "--into", "p.segue", "--media", "."],
        1,
        "a.png",
    );
}

#[test]
fn names_are_found_in_all_spellings() {
    // Composed and decomposed, encoded for the web, other slashes, absolute, two suffixes, LVIS's URL.
    for (file, told) in [
        ("im/caf\u{e9}.png", "cafe\u{301}.png"),
        ("im/cafe\u{301}.png", "caf\u{e9}.png"),
        ("im/two words.png", "two%20words.png"),
        ("im/b/c.png", "b\\\\c.png"),
        ("im/d.png", "/somewhere/else/im/d.png"),
        ("im/e.webp.png", "e.webp.png"),
    ] {
        let text = coco(&[""]).replace("a.png", told);
        let case = Case::new(&[(file, ""), ("im/other.png", ""), ("c.json", &text)]);
        let (labels, _) = case.imported("c.json", &["--media", "im"]);
        assert_eq!(labels.len(), 1, "{told}");
        assert_eq!(labels[0].0, file, "{told}");
    }
    let case = Case::new(&[
        ("im/000000000139.jpg", ""),
        (
            "c.json",
            &coco(&[""]).replace(
                r#""file_name": "a.png""#,
                r#""coco_url": "http://images.cocodataset.org/val2017/000000000139.jpg""#,
            ),
        ),
    ]);
    assert_eq!(case.imported("c.json", &["--media", "im"]).0[0].0, "im/000000000139.jpg");
}

#[test]
fn composed_and_decomposed_twins_get_no_label() {
    let twins = ["im/caf\u{e9}.png", "im/cafe\u{301}.png"];
    let case = Case::new(&[(twins[0], ""), (twins[1], ""), ("im/b.png", "")]);
    let text = r#"{"images": [{"id": 1, "file_name": "caf\u00e9.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}]}"#;
    case.bytes("im/c.json", text.as_bytes());
    let (labels, said) = case.imported("im/c.json", &["--media", "im"]);
    assert!(said.contains("it may be im/caf"), "{said}");
    assert_eq!(labels.iter().map(|(image, ..)| &**image).collect::<Vec<_>>(), ["im/b.png"]);
}

#[test]
fn same_name_in_two_splits_is_two_images() {
    let case = Case::new(&[
        ("d/data.yaml", "names: [a, b]\n"),
        ("d/images/train/1.jpg", ""),
        ("d/images/val/1.jpg", ""),
        ("d/labels/train/1.txt", "0 .5 .5 .2 .4\n"),
        ("d/labels/val/1.txt", "1 .5 .5 .3 .4\n"),
    ]);
    let coco = case.coco("d");
    let [first, second] = &labels(&coco)[..] else { panic!("{coco}") };
    assert!(first.0.ends_with("train/1.jpg") && first.1 == "a", "{first:?}");
    assert!(second.0.ends_with("val/1.jpg") && second.1 == "b", "{second:?}");
    assert_eq!(coco["images"].as_array().map(Vec::len), Some(2));
}

#[test]
fn image_named_test_is_no_split() {
    let case = Case::new(&[
        ("t/data.yaml", "names: [cat]\n"),
        ("t/images/test.jpg", ""),
        ("t/images/b.jpg", ""),
        ("t/labels/test.txt", "0 .5 .5 .2 .4\n"),
        ("t/labels/b.txt", "0 .5 .5 .2 .4\n"),
    ]);
    assert_eq!(labels(&case.coco("t")).len(), 2);
}

#[test]
fn coco_of_any_length_is_recognized() {
    let images: Vec<String> = (1..5000)
        .map(|id| format!(r#"{{"id": {id}, "file_name": "a{id}.png", "width": 100, "height": 80}}"#))
        .collect();
    let text = format!(
        r#"{{ "annotations" :[{{"id":1,"image_id":7,"category_id":1,"bbox":[1,2,3,4]}}],
            "images": [{}], "categories": [{{"id": 1, "name": "cat"}}]}}"#,
        images.join(",\n")
    );
    let case = Case::new(&[("big.json", &text)]);
    let said = segue::run(case.folder.path(), &["check", "big.json"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("COCO"), "{said:?}");
    let want = label("a7.png", "cat", [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(labels(&case.coco("big.json")), [want]);
}

/// Frames 0 to 9 of a folder, each with its number in the color.
fn frames(case: &Case, folder: &str, first: u32) {
    for number in 0..10 {
        let pixel = image::Rgb([20 * number as u8; 3]);
        let path = case.path(&format!("{folder}/{:06}.jpg", number + first));
        RgbImage::from_pixel(128, 96, pixel).save(path).unwrap();
    }
}

/// The frame of each annotation, and its left edge.
fn lefts(coco: &Json) -> Vec<(u64, f64)> {
    let frame = |id: &Json| {
        let image = coco["images"].as_array().unwrap().iter().find(|image| image["id"] == *id).unwrap();
        image["frame_index"].as_u64().unwrap()
    };
    let annotations = coco["annotations"].as_array().unwrap().iter();
    let mut all: Vec<(u64, f64)> =
        annotations.map(|one| (frame(&one["image_id"]), one["bbox"][0].as_f64().unwrap())).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

#[test]
fn mot_frames_are_counted_from_one_over_images_and_video() {
    let rows: Vec<String> =
        (1..=10).map(|frame| format!("{frame},1,{},10,20,20,1,1,1", 10 * frame)).collect();
    let case = Case::new(&[
        ("mot/seq/gt/gt.txt", &rows.join("\n")),
        (
            "mot/seq/seqinfo.ini",
            "[Sequence]\nname=seq\nimDir=img1\nframeRate=10\nseqLength=10\nimWidth=128\nimHeight=96\nimExt=.jpg\n",
        ),
    ]);
    frames(&case, "mot/seq/img1", 1);
    // MOT's boxes begin at 1 as well: the first pixel is 1, 1.
    let want: Vec<(u64, f64)> = (0..10).map(|frame| (frame, 10.0 * (frame + 1) as f64 - 1.0)).collect();
    case.import("mot", &["--media", "mot"]);
    assert_eq!(lefts(&case.coco("p.segue")), want);
    media::run("ffmpeg", case.folder.path(), "-start_number 1 -i mot/seq/img1/%06d.jpg -c:v libx264 seq.mp4");
    std::fs::remove_file(case.path("p.segue")).unwrap();
    case.import("mot", &["--media", "seq.mp4"]);
    assert_eq!(lefts(&case.coco("p.segue")), want);
}

#[test]
fn davis_masks_make_one_video_of_their_frames() {
    let case = Case::new(&[]);
    frames(&case, "davis/JPEGImages/480p/dog", 0);
    let program = "import pathlib, sys
from PIL import Image
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
for n in range(10):
    mask = Image.new('P', (128, 96))
    mask.putpalette([0, 0, 0, 128, 0, 0])
    mask.paste(1, (10 + n, 20, 30 + n, 40))
    mask.save(folder / f'{n:06}.png')
print('null')";
    crate::python::run(program, &case.folder.path().join("davis/Annotations/480p/dog"));
    case.import("davis", &["--media", "davis"]);
    let coco = case.coco("p.segue");
    assert_eq!(lefts(&coco), (0..10).map(|n| (n, (10 + n) as f64)).collect::<Vec<_>>());
    assert_eq!(coco["videos"].as_array().map(Vec::len), Some(1));
}

fn clip(case: &Case, file: &str) {
    media::run(
        "ffmpeg",
        case.folder.path(),
        &format!("-f lavfi -i testsrc2=s=100x80:r=10:d=3 -c:v libx264 -g 10 {file}"),
    );
}

fn cvat(rest: &str, more: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><annotations><version>1.1</version><meta><task><name>clip</name><size>30</size>
        <mode>interpolation</mode><start_frame>0</start_frame><stop_frame>29</stop_frame>{more}
        <original_size><width>100</width><height>80</height></original_size><source>clip.mp4</source>
        </task></meta>{rest}</annotations>"#
    )
}

fn key(frame: usize, left: usize, outside: u8) -> String {
    let right = left + 20;
    format!(
        r#"<box frame="{frame}" keyframe="1" outside="{outside}" occluded="0" xtl="{left}" ytl="10" xbr="{right}" ybr="30"/>"#
    )
}

#[test]
fn cvat_tracks_are_interpolated_and_end_where_they_leave() {
    let track =
        format!(r#"<track id="0" label="car">{}{}{}</track>"#, key(0, 0, 0), key(10, 50, 0), key(20, 50, 1));
    let case = Case::new(&[("keys.xml", &cvat(&track, ""))]);
    clip(&case, "clip.mp4");
    case.import("keys.xml", &[]);
    let want: Vec<(u64, f64)> = (0..20).map(|n| (n, if n < 10 { 5.0 * n as f64 } else { 50.0 })).collect();
    assert_eq!(lefts(&case.coco("p.segue")), want);
}

#[test]
fn cvat_steps_are_frames_of_the_video() {
    let track = format!(r#"<track id="0" label="car">{}{}</track>"#, key(0, 0, 0), key(5, 10, 0));
    let case = Case::new(&[("step.xml", &cvat(&track, "<frame_filter>step=5</frame_filter>"))]);
    clip(&case, "clip.mp4");
    case.import("step.xml", &[]);
    let lefts = lefts(&case.coco("p.segue"));
    assert!(lefts.contains(&(0, 0.0)) && lefts.contains(&(5, 10.0)), "{lefts:?}");
}

#[test]
fn cvat_frame_names_are_frames_of_the_video() {
    let image = |frame: usize, name: &str| {
        format!(
            r#"<image id="{frame}" name="{name}" width="100" height="80"><box label="car" occluded="0" xtl="{frame}" ytl="10"
                xbr="40" ybr="30"/></image>"#
        )
    };
    for images in [
        [image(3, "frame_000003"), image(7, "frame_000007")],
        [image(3, "clip/frame_000003"), image(7, "clip/frame_000007.PNG")],
    ] {
        let case = Case::new(&[("images.xml", &cvat(&images.concat(), ""))]);
        clip(&case, "clip.mp4");
        case.import("images.xml", &[]);
        assert_eq!(lefts(&case.coco("p.segue")), [(3, 3.0), (7, 7.0)]);
    }
}

#[test]
fn folder_of_frames_is_one_video() {
    let case = Case::new(&[]);
    frames(&case, "shots", 1);
    let said = segue::succeed(case.folder.path(), &["new", "p.segue", "--media", ".", "--frames", "shots"]);
    assert!(said.contains("0 photos, 1 video"), "{said}");
}

fn voc(folder: &str, class: &str, left: u32) -> String {
    format!(
        "<annotation><folder>{folder}</folder><filename>a.jpg</filename><size><width>100</width><height>80</height></size>
        <object><name>{class}</name><bndbox><xmin>{left}</xmin><ymin>11</ymin><xmax>40</xmax><ymax>40</ymax></bndbox></object>
        </annotation>"
    )
}

#[test]
fn voc_folder_chooses_among_images_of_one_name() {
    let want = |images: &str| {
        let name = |folder: &str| format!("{images}{folder}/a.jpg");
        [label(&name("x"), "X", [10.0, 10.0, 30.0, 30.0]), label(&name("y"), "Y", [20.0, 10.0, 20.0, 30.0])]
    };
    for (ann, images) in [("ann", ""), ("ann", "images/"), ("voc", "images/"), ("labels/of/all", "images/")] {
        let case = Case::new(&[
            (&format!("{images}x/a.jpg"), ""),
            (&format!("{images}y/a.jpg"), ""),
            (&format!("{ann}/x.xml"), &voc("x", "X", 11)),
            (&format!("{ann}/y.xml"), &voc("y", "Y", 21)),
        ]);
        let (labels, said) = case.imported(ann, &["--media", "."]);
        assert_eq!(labels, want(images), "{ann}, {images}: {said}");
    }
    let [away, case] = [
        [("x.xml", voc("x", "X", 11)), ("y.xml", voc("y", "Y", 21))],
        [("x/a.jpg", String::new()), ("y/a.jpg", String::new())],
    ]
    .map(|files| Case::new(&files.each_ref().map(|(name, text)| (*name, &**text))));
    let (labels, said) = case.imported(&away.folder.path().to_string_lossy(), &["--media", "."]);
    assert_eq!(labels, want(""), "{said}");
}

#[test]
fn frames_of_mot_are_found_in_their_folder() {
    let case = Case::new(&[
        ("mot/seq/gt/gt.txt", "1,1,10,10,20,20,1,1,1\n10,1,20,10,20,20,1,1,1\n"),
        ("mot/seq/seqinfo.ini", "[Sequence]\nname=seq\nimDir=img1\nimWidth=128\nimHeight=96\nimExt=.jpg\n"),
    ]);
    frames(&case, "mot/seq/img1", 1);
    for source in ["mot", "mot/seq", "mot/seq/gt", "mot/seq/gt/gt.txt"] {
        let said =
            segue::succeed(case.folder.path(), &["export", source, "--format", "yolo", "--out", "out"]);
        assert!(!said.contains("not there") && said.contains("with 2 image files"), "{source}: {said}");
        let shade = |frame: usize| {
            let found = case.path(&format!("out/images/train/seq/{:06}.jpg", frame + 1));
            image::open(&found).unwrap_or_else(|why| panic!("{}: {why}", found.display())).to_rgb8()[(9, 9)]
                [0]
        };
        assert!(shade(0) < 10 && shade(9).abs_diff(180) < 10, "{source}");
        std::fs::remove_dir_all(case.path("out")).unwrap();
    }
}

#[test]
fn tracker_results_are_proposals_on_their_video() {
    let rows: Vec<String> = (1..=10).map(|n| format!("{n},4,{},10,20,20,0.5,-1,-1,-1", 10 * n)).collect();
    let case = Case::new(&[("data/seq.txt", &rows.join("\n"))]);
    frames(&case, "seq", 1);
    let said = case.import("data/seq.txt", &["--media", "seq"]);
    assert!(said.contains("10 annotations on 10 images"), "{said}");
    let words = ["export", "p.segue", "--format", "coco", "--frames", "all", "--out", "out.json"];
    let said = segue::succeed(case.folder.path(), &words);
    assert!(said.contains("left out: 10 proposals"), "{said}");
}

#[test]
fn labels_that_ultralytics_writes_of_a_video_are_counted_from_1() {
    let row = "0 0.5 0.5 0.2 0.2\n";
    let case =
        Case::new(&[("labels/clip_1.txt", row), ("labels/clip_10.txt", row), ("classes.txt", "cat\n")]);
    clip(&case, "clip.mp4");
    let said = case.import(".", &["--media", "clip.mp4"]);
    assert!(said.contains("count its frames from 1"), "{said}");
    let coco = case.coco("p.segue");
    let frames: Vec<u64> =
        coco["images"].as_array().unwrap().iter().filter_map(|image| image["frame_index"].as_u64()).collect();
    assert_eq!(frames, [0, 9]);
}

#[test]
fn label_files_of_splits_are_of_their_images() {
    let (train, val) = (coco(&[""]), coco(&[""]).replace(r#""cat""#, r#""dog""#));
    let case = Case::new(&[
        ("d/images/train/a.png", ""),
        ("d/images/val/a.png", ""),
        ("d/annotations/instances_train2017.json", &train),
        ("d/annotations/instances_val2017.json", &val),
    ]);
    let rect = [10.0, 10.0, 30.0, 20.0];
    let (labels, _) = case.imported("d", &["--media", "d"]);
    assert_eq!(
        labels,
        [label("d/images/train/a.png", "cat", rect), label("d/images/val/a.png", "dog", rect)]
    );
    let (labels, _) = case.imported("d", &["--media", "d/images/train"]);
    assert_eq!(labels, [label("d/images/train/a.png", "cat", rect)]);
}

#[test]
fn image_of_another_split_gets_no_label() {
    let text = coco(&[""]);
    let case = Case::new(&[
        ("r/train/a.png", ""),
        ("r/test/a.png", ""),
        ("r/train/_annotations.coco.json", &text),
        ("y/labels/train/c.txt", "0 0.5 0.5 0.2 0.25\n"),
        ("y/labels/val/c.txt", "1 0.5 0.5 0.2 0.25\n"),
        ("y/classes.txt", "cat\ndog\n"),
        ("y/im/val/c.png", ""),
    ]);
    segue::fail(
        case.folder.path(),
        &["import", "r/train", "--into", "p.segue", "--media", "r/test"],
        1,
        "nothing was added",
    );
    let (labels, _) = case.imported("y", &["--media", "y/im"]);
    assert_eq!(labels, [label("y/im/val/c.png", "dog", [40.0, 30.0, 20.0, 20.0])]);
}

#[test]
fn labels_of_photos_called_like_metadata_are_read() {
    let row = "0 0.5 0.5 0.2 0.25\n";
    let case = Case::new(&[
        ("t/images/readme.png", ""),
        ("t/images/labels.png", ""),
        ("t/labels/readme.txt", row),
        ("t/labels/labels.txt", row),
        ("t/data.yaml", "names: [cat]\n"),
        ("flat/classes.png", ""),
        ("flat/classes.txt", row),
    ]);
    let rect = [40.0, 30.0, 20.0, 20.0];
    let (labels, _) = case.imported("t", &["--media", "t"]);
    assert_eq!(
        labels,
        [label("t/images/labels.png", "cat", rect), label("t/images/readme.png", "cat", rect)]
    );
    let (labels, _) = case.imported("flat", &["--media", "flat"]);
    assert_eq!(labels, [label("flat/classes.png", "class 0", rect)]);
}

#[test]
fn results_take_their_images_from_the_file_beside_them() {
    let images = [("c.png", 1), ("a.png", 3), ("b.png", 2)];
    let list: Vec<String> =
        images.map(|(name, id)| format!(r#"{{"id": {id}, "file_name": "{name}"}}"#)).to_vec();
    let truth = format!(
        r#"{{"images": [{}], "annotations": [], "categories": [{{"id": 7, "name": "cat"}}]}}"#,
        list.join(", ")
    );
    let result = |(_, id): (&str, u32)| {
        format!(r#"{{"image_id": {id}, "category_id": 7, "bbox": [{id}, 2, 3, 4], "score": 0.5}}"#)
    };
    let results = format!("[{}]", images.map(result).join(", "));
    let case = Case::new(&[
        ("im/a.png", ""),
        ("im/b.png", ""),
        ("im/c.png", ""),
        ("l/gt.json", &truth),
        ("l/res.json", &results),
        ("alone/res.json", &results),
    ]);
    let said =
        segue::run(case.folder.path(), &["import", "l/res.json", "--into", "p.segue", "--media", "im"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("3 of them proposals"), "{said:?}");
    // Labels are exported from the file itself, for proposals wait for a person.
    let want = [("a.png", 3.0), ("b.png", 2.0), ("c.png", 1.0)];
    let want = want.map(|(name, x)| label(&format!("im/{name}"), "cat", [x, 2.0, 3.0, 4.0]));
    std::fs::rename(case.path("im"), case.path("l/im")).unwrap();
    assert_eq!(labels(&case.coco("l/res.json")).len(), want.len());
    let words = ["import", "alone/res.json", "--into", "q.segue", "--media", "l/im"];
    segue::fail(case.folder.path(), &words, 1, "only its id is known");
}

#[test]
fn labels_of_a_split_stay_off_photos_of_another() {
    let coco = coco(&[""]);
    let voc = r"<annotation><filename>a.png</filename><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin>
        <xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>";
    let cvat = r#"<annotations><image id="0" name="a.png" subset="Val" width="100" height="80">
        <box label="cat" xtl="1" ytl="1" xbr="5" ybr="5"/></image></annotations>"#;
    let datumaro = r#"{"categories": {"label": {"labels": [{"name": "cat"}]}}, "items": [{"id": "a",
        "image": {"path": "a.png", "size": [80, 100]},
        "annotations": [{"type": "bbox", "label_id": 0, "bbox": [1, 1, 4, 4]}]}]}"#;
    let case = Case::new(&[
        ("train/a.png", ""),
        ("coco/annotations/instances_val2017.json", &coco),
        ("roboflow/valid/_annotations.coco.json", &coco),
        ("voc/val/Annotations/a.xml", voc),
        ("cvat/annotations.xml", cvat),
        ("datumaro/annotations/val.json", datumaro),
    ]);
    for labels in ["coco", "coco/annotations/instances_val2017.json", "roboflow", "voc", "cvat", "datumaro"] {
        let words = ["import", labels, "--into", "p.segue", "--media", "train"];
        segue::fail(case.folder.path(), &words, 1, "its labels are of the split val");
    }
    case.image("val/a.png", 100, 80);
    for labels in ["coco", "roboflow", "voc", "cvat", "datumaro"] {
        let (found, said) = case.imported(labels, &["--media", "."]);
        assert_eq!(found.iter().map(|(image, ..)| &**image).collect::<Vec<_>>(), ["val/a.png"], "{said}");
    }
}

#[test]
fn masks_of_videos_are_read_from_any_folder() {
    let case = Case::new(&[]);
    frames(&case, "seq/0002", 1);
    // A square of 2 x 2 pixels in an image of 128 x 96, by pycocotools.
    case.bytes("lists/0002.txt", b"3 1001 1 96 128 Zl12n20fm9\n");
    let said = segue::run(case.folder.path(), &["check", "lists/0002.txt"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("MOTS"), "{said:?}");
}
