//! Annotations in spellings that are legal, common, or half broken.

use super::{Case, coco, label, labels, pixels, segue};

/// The box of `1 0.5 0.5 0.2 0.4` on 100 x 80 pixels.
const MIDDLE: [f64; 4] = [40.0, 24.0, 20.0, 32.0];

#[test]
fn class_numbers_may_be_written_as_decimals() {
    for (text, category) in [
        ("1.0e+00 5.0e-01 5.0e-01 2.0e-01 4.0e-01\n", "dog"),
        ("1.0 0.5 0.5 0.2 0.4", "dog"),
        ("+1 .5 .5 .2 .4\r\n\r\n", "dog"),
        ("0\t0.5\t5e-1\t 0.2   0.4 \n", "cat"),
        ("\u{feff}0 0.5 0.5 0.2 0.4\n", "cat"),
    ] {
        let case =
            Case::new(&[("data.yaml", "names: [cat, dog]\n"), ("images/a.png", ""), ("labels/a.txt", text)]);
        let (labels, _) = case.imported("data.yaml", &["--media", "images"]);
        assert_eq!(labels, [label("images/a.png", category, MIDDLE)], "{text:?}");
    }
}

#[test]
fn broken_class_number_is_named_with_file_and_line() {
    let case = Case::new(&[
        ("data.yaml", "names: [cat, dog]\n"),
        ("images/a.png", ""),
        ("images/b.png", ""),
        ("labels/a.txt", "0 .5 .5 .2 .4\n1.5 .5 .5 .2 .4\n"),
        ("labels/b.txt", "1 .5 .5 .2 .4\n"),
    ]);
    let (labels, said) = case.imported(".", &["--media", "images"]);
    assert_eq!(labels, [label("images/a.png", "cat", MIDDLE), label("images/b.png", "dog", MIDDLE)]);
    assert!(said.contains("a.txt") && said.contains("line 2"), "{said}");
}

#[test]
fn boxes_of_poses_survive_and_keypoints_are_counted() {
    let pairs = "0 .5 .5 .4 .4 .35 .35 .65 .35 .65 .65 .35 .65\n";
    let triples = "0 .5 .5 .4 .4 .4 .4 2 .6 .4 2 .5 .6 1\n";
    for (shape, text) in [("[4, 2]", pairs), ("[3, 3]", triples)] {
        let yaml = format!("names: [cat]\nkpt_shape: {shape}\n");
        let case = Case::new(&[("data.yaml", &yaml), ("images/a.png", ""), ("labels/a.txt", text)]);
        let (labels, said) = case.imported(".", &[]);
        assert_eq!(labels, [label("images/a.png", "cat", [30.0, 24.0, 40.0, 32.0])]);
        assert!(said.contains("keypoint"), "{said}");
    }
    let text = coco(&[r#", "keypoints": [11, 11, 2, 15, 15, 2], "num_keypoints": 2"#]);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    let (labels, said) = case.imported("c.json", &[]);
    assert_eq!(labels, [label("a.png", "cat", [10.0, 10.0, 30.0, 20.0])]);
    assert!(said.contains("1 ") && said.contains("keypoint"), "{said}");
}

#[test]
fn byte_order_mark_makes_no_second_category() {
    let case = Case::new(&[
        ("yolo/classes.txt", "\u{feff}行人\n汽车\n"),
        ("yolo/a.txt", "0 .5 .5 .2 .4\n1 .5 .5 .2 .4\n"),
        ("a.png", ""),
        ("c.json", &format!("\u{feff}{}", coco(&[""]).replace("\"cat\"", "\"行人\""))),
    ]);
    case.import("yolo", &[]);
    case.import("c.json", &[]);
    let coco = case.coco("p.segue");
    let names: Vec<&str> =
        coco["categories"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["行人", "汽车"]);
    assert_eq!(labels(&coco).len(), 3);
}

#[test]
fn text_is_read_in_the_encodings_of_the_world() {
    let names = ["行人", "汽车", "自行车", "交通信号灯", "人行横道"];
    let text = format!("{}\n", names.join("\n"));
    for label in ["utf-16le", "utf-16be", "gbk", "shift_jis", "utf-8"] {
        let text = if label == "shift_jis" {
            "歩行者\n自動車\n自転車\nトラック\nバイク\n"
        } else {
            &text
        };
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        let bytes = match label {
            "utf-16le" => {
                [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
            "utf-16be" => {
                [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
            }
            _ => encoding.encode(text).0.into_owned(),
        };
        let case = Case::new(&[("a.png", ""), ("a.txt", "0 .5 .5 .2 .4\n")]);
        case.bytes("classes.txt", &bytes);
        let (labels, said) = case.imported(".", &[]);
        let first = text.lines().next().unwrap();
        assert_eq!(labels, [super::label("a.png", first, MIDDLE)], "{label}: {said}");
    }
}

#[test]
fn box_survives_every_broken_polygon() {
    let square = "[10, 10, 40, 10, 40, 30, 10, 30]";
    let text = coco(&[
        &format!(r#", "segmentation": {square}"#),
        &format!(r#", "segmentation": [{square}]"#),
        r#", "segmentation": [[10, 10], [40, 10], [40, 30], [10, 30]]"#,
        r#", "segmentation": [[]]"#,
        r#", "segmentation": []"#,
        r#", "segmentation": null"#,
        r#", "segmentation": [[10, 10, 40, 10, 40, 30, 10]]"#,
        r#", "segmentation": [[10, 10, 40, 30]]"#,
        r#", "segmentation": [["x", 10, 40, 10, 40, 30]]"#,
        r#", "segmentation": {"size": [80, 100], "counts": [1, 2, 3]}"#,
    ]);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    case.import("c.json", &[]);
    let exported = case.coco("p.segue");
    let whole = label("a.png", "cat", [10.0, 10.0, 30.0, 20.0]);
    assert_eq!(labels(&exported), vec![whole; 10]);
    let masks = pixels(&case.path("out.json"));
    let filled: Vec<usize> = masks.iter().flatten().map(Vec::len).collect();
    assert_eq!(filled, [600; 3], "flat, nested and paired corners are polygons");
}

#[test]
fn run_lengths_are_read_in_their_spellings() {
    // Columns 10 to 39, rows 10 to 29 of 100 x 80 pixels.
    let counts: Vec<String> = (0..30)
        .map(|column| format!("{}, 20", if column == 0 { 810 } else { 60 }))
        .chain(["4850".to_owned()])
        .collect();
    let counts = counts.join(", ");
    let packed = "Zi0d0l1000000000000000000000000000000000000000000000000000000000fe4";
    let text = coco(&[
        &format!(r#", "segmentation": {{"size": [80, 100], "counts": [{counts}]}}"#),
        &format!(r#", "segmentation": [{{"size": [80, 100], "counts": [{counts}]}}]"#),
        &format!(r#", "segmentation": {{"size": [80.0, 100.0], "counts": "{packed}"}}"#),
        &format!(r#", "segmentation": {{"size": [80, 100], "counts": "b'{packed}'"}}"#),
        &format!(r#", "segmentation": {{"counts": "{packed}"}}"#),
    ]);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    case.import("c.json", &[]);
    case.coco("p.segue");
    let square: Vec<[u64; 2]> = (10..40).flat_map(|x| (10..30).map(move |y| [x, y])).collect();
    assert_eq!(pixels(&case.path("out.json")), vec![Some(square); 5]);
}

#[test]
fn image_size_comes_from_the_file_where_labels_lack_it() {
    let whole = label("a.png", "cat", [10.0, 10.0, 30.0, 20.0]);
    for size in
        ["", r#", "width": 0, "height": 0"#, r#", "width": "100", "height": "80""#, r#", "width": null"#]
    {
        let square = r#", "segmentation": [[10, 10, 40, 10, 40, 30, 10, 30]]"#;
        let text = coco(&["", square]).replace(r#", "width": 100, "height": 80"#, size);
        let case = Case::new(&[("c.json", &text), ("a.png", "")]);
        let (labels, said) = case.imported("c.json", &[]);
        assert_eq!(labels, [whole.clone(), whole.clone()], "{size}: {said}");
    }
}

#[test]
fn crowds_stay_crowds() {
    let text =
        coco(&[r#", "iscrowd": 1, "segmentation": {"size": [80, 100], "counts": [810, 20, 7170]}"#, ""]);
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    case.import("c.json", &[]);
    let coco = case.coco("p.segue");
    let crowds: Vec<&serde_json::Value> =
        coco["annotations"].as_array().unwrap().iter().map(|one| &one["iscrowd"]).collect();
    assert_eq!(crowds, [1, 0]);
}

#[test]
fn rotated_boxes_and_ellipses_of_cvat_cover_their_pixels() {
    let xml = r#"<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>
        <image id="0" name="a.png" width="100" height="80">
        <box label="box" xtl="30.0" ytl="35.0" xbr="70.0" ybr="45.0" rotation="90.0" z_order="0"/>
        <ellipse label="egg" cx="50.0" cy="40.0" rx="20.0" ry="10.0" z_order="0"/>
        <skeleton label="s"><points label="1" points="1,1"/></skeleton><polyline label="l" points="1,1;5,5"/>
        <tag label="t"/></image></annotations>"#;
    let case = Case::new(&[("a.xml", xml), ("im/a.png", "")]);
    let (labels, said) = case.imported("a.xml", &["--media", "im"]);
    let want = [
        label("im/a.png", "box", [45.0, 20.0, 10.0, 40.0]),
        label("im/a.png", "egg", [30.0, 30.0, 40.0, 20.0]),
    ];
    assert_eq!(labels, want);
    for kind in ["skeleton", "polyline", "tag"] {
        assert!(said.contains(kind), "{kind} is not counted: {said}");
    }
}

#[test]
fn importing_twice_adds_nothing_and_says_so() {
    let case = Case::new(&[("c.json", &coco(&["", ""])), ("a.png", "")]);
    let said = case.import("c.json", &["--dry-run"]);
    assert!(said.contains("would be taken") && !case.path("p.segue").exists(), "{said}");
    case.import("c.json", &[]);
    segue::fail(case.folder.path(), &["import", "c.json", "--into", "p.segue"], 1, "--repeat");
    assert_eq!(case.labels().len(), 2);
    case.import("c.json", &["--repeat"]);
    assert_eq!(case.labels().len(), 4);
}

#[test]
fn tracks_that_ultralytics_writes_are_boxes_with_scores() {
    for (rows, n_proposals) in
        [("0 0.5 0.5 0.2 0.25 7\n0 0.5 0.5 0.4 0.25 1\n", 0), ("0 0.5 0.5 0.2 0.25 0.5 7\n", 1)]
    {
        let case = Case::new(&[("d/images/a.png", ""), ("d/labels/a.txt", rows), ("d/classes.txt", "cat\n")]);
        let said = case.import("d", &["--media", "d"]);
        let coco = case.coco("p.segue");
        let n = rows.lines().count();
        assert_eq!(coco["annotations"].as_array().unwrap().len() + n_proposals, n, "{said}");
    }
}

#[test]
fn boxes_that_reach_out_of_their_images_are_named_in_every_format() {
    let labelme = r#"{"version": "5", "flags": {}, "shapes": [{"label": "cat", "points": [[80, 10], [130, 40]], "shape_type":
        "rectangle", "group_id": null, "flags": {}}], "imagePath": "a.png", "imageData": null, "imageHeight": 80, "imageWidth": 100}"#;
    let voc = "<annotation><filename>a.png</filename><size><width>100</width><height>80</height></size><object><name>cat</name>\
        <bndbox><xmin>81</xmin><ymin>11</ymin><xmax>130</xmax><ymax>40</ymax></bndbox></object></annotation>";
    let cvat = r#"<annotations><image id="0" name="a.png" width="100" height="80"><box label="cat" xtl="80" ytl="10"
        xbr="130" ybr="40" occluded="0"/></image></annotations>"#;
    for (name, text) in [("a.json", labelme), ("a.xml", voc), ("annotations.xml", cvat)] {
        let case = Case::new(&[("a.png", ""), (name, text)]);
        let output = segue::run(case.folder.path(), &["check", name]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("30 pixels out of its image"), "{name}: {said}");
        let (labels, _) = case.imported(name, &["--media", "a.png"]);
        assert_eq!(labels, [label("a.png", "cat", [80.0, 10.0, 20.0, 30.0])], "{name}");
    }
    let text = coco(&[""]).replace("[10, 10, 30, 20]", "[80, 10, 50, 30]");
    let case = Case::new(&[("a.png", ""), ("c.json", &text)]);
    let (_, said) = case.imported("c.json", &["--media", "a.png"]);
    assert!(said.contains("reaches out of the image"), "{said}");
}

#[test]
fn crowds_are_kept_by_formats_that_have_them() {
    let case = Case::new(&[
        ("a.png", ""),
        ("c.json", &coco(&[r#", "segmentation": [[10, 10, 40, 10, 40, 30, 10, 30]], "iscrowd": 1"#])),
    ]);
    segue::succeed(case.folder.path(), &["export", "c.json", "--format", "coco-panoptic", "--out", "pan"]);
    let panoptic = super::read_json(&case.folder.path().join("pan/annotations/panoptic_default.json"));
    assert_eq!(panoptic["annotations"][0]["segments_info"][0]["iscrowd"], 1);
    case.import("pan/annotations/panoptic_default.json", &["--media", "a.png"]);
    assert_eq!(case.coco("p.segue")["annotations"][0]["iscrowd"], 1);
}

#[test]
fn coco_box_with_a_rotation_is_turned() {
    let text = coco(&[r#", "attributes": {"rotation": 90.0, "occluded": false}"#]);
    let case = Case::new(&[("a.png", ""), ("c.json", &text)]);
    // 30 x 20 around (25, 20).
    let (labels, _) = case.imported("c.json", &["--media", "a.png"]);
    assert_eq!(labels, [label("a.png", "cat", [15.0, 5.0, 20.0, 30.0])]);
}

#[test]
fn class_masks_may_name_their_background() {
    let case = Case::new(&[("d/images/a.png", "")]);
    let mut mask = image::GrayImage::new(100, 80);
    mask.put_pixel(3, 2, image::Luma([1]));
    mask.put_pixel(9, 8, image::Luma([2]));
    mask.save(case.path("d/masks/a.png")).unwrap();
    for names in ["background\ncat\ndog\n", "cat\ndog\n"] {
        case.bytes("d/classes.txt", names.as_bytes());
        let (labels, _) = case.imported("d", &["--media", "d/images"]);
        let want = [
            label("d/images/a.png", "cat", [3.0, 2.0, 1.0, 1.0]),
            label("d/images/a.png", "dog", [9.0, 8.0, 1.0, 1.0]),
        ];
        assert_eq!(labels, want, "{names}");
    }
}

#[test]
fn predictions_of_ultralytics_are_told_apart() {
    // A polygon of three corners, its score and its track; a pose of COCO's 17 keypoints, each with a score.
    let polygon = |track: u32| format!("0 0.1 0.1 0.3 0.1 0.3 0.3 0.87 {track}\n");
    let keypoints: Vec<String> = (0..17).map(|i| format!("{} 0.5 0.9", 0.4 + 0.01 * f64::from(i))).collect();
    let pose = format!("0 0.5 0.5 0.25 0.25 {} 0.88\n", keypoints.join(" "));
    let case = Case::new(&[
        ("seg/images/a.png", ""),
        ("seg/labels/a.txt", &(polygon(1) + &polygon(2))),
        ("pose/images/a.png", ""),
        ("pose/labels/a.txt", &pose),
    ]);
    for (folder, n, side) in [("seg", 2, [20.0, 16.0]), ("pose", 1, [25.0, 20.0])] {
        let coco = case.coco(folder);
        let found = labels(&coco);
        assert_eq!(found.len(), n, "{folder}: {coco}");
        for (label, item) in found.iter().zip(coco["annotations"].as_array().unwrap()) {
            let [_, _, width, height] = label.2;
            assert!((width - side[0]).abs() <= 1.0 && (height - side[1]).abs() <= 1.0, "{folder}: {label:?}");
            assert!(item["score"].as_f64().unwrap() > 0.86, "{item}");
        }
    }
}

#[test]
fn boxes_as_shares_of_sides_are_scaled() {
    let text = coco(&[""]).replace("[10, 10, 30, 20]", "[0.1, 0.25, 0.3, 0.5]");
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    let (found, said) = case.imported("c.json", &["--media", "a.png"]);
    assert_eq!(found, [label("a.png", "cat", [10.0, 20.0, 30.0, 40.0])]);
    assert!(said.contains("all boxes are normalized"), "{said}");
    // A whole image of one pixel is in pixels.
    let text = coco(&[""]).replace("[10, 10, 30, 20]", "[0, 0, 1, 1]");
    let case = Case::new(&[("c.json", &text), ("a.png", "")]);
    assert_eq!(
        case.imported("c.json", &["--media", "a.png"]).0,
        [label("a.png", "cat", [0.0, 0.0, 1.0, 1.0])]
    );
}

#[test]
fn mot_of_cvat_counts_pixels_from_0_and_keeps_suffixes() {
    let case = Case::new(&[
        ("t/gt/gt.txt", "1,1,0,0,100,80,1,1,1.0\n2,1,1,2,10,10,1,2,1.0\n"),
        ("t/gt/labels.txt", "person\ncar\n"),
        ("t/img1/000001.png", ""),
        ("t/img1/000002.png", ""),
    ]);
    let (found, said) = case.imported("t", &[]);
    let want = [
        label("t/img1/000001.png", "person", [0.0, 0.0, 100.0, 80.0]),
        label("t/img1/000002.png", "car", [1.0, 2.0, 10.0, 10.0]),
    ];
    assert_eq!(found, want, "{said}");
}

#[test]
fn damaged_lines_do_not_hide_the_format() {
    let mut files = vec![(
        "m/v.txt".to_owned(),
        "frame,id,x,y,w,h\n1,1,11,11,20,20,1,1,1\n2,1,11,11,20,20,1,1,1\n3,1,11,11,20,20,1,1,1\n4,1,1"
            .to_owned(),
    )];
    for n in 0..4 {
        files.push((format!("y/{n}.png"), String::new()));
        let width = if n == 2 { "1.3" } else { "0.5" };
        files.push((format!("y/{n}.txt"), format!("0 0.5 0.5 {width} 0.5\n")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let case = Case::new(&files);
    for (labels, format) in [("m/v.txt", "MOT: 3 annotations"), ("y", "YOLO detection: 4 annotations")] {
        let said = segue::run(case.folder.path(), &["check", labels]);
        assert!(String::from_utf8_lossy(&said.stdout).contains(format), "{labels}: {said:?}");
    }
}

#[test]
fn labelme_file_of_another_size_takes_no_other_with_it() {
    let file = |width: u32, x: u32| {
        format!(
            r#"{{"version": "5", "imagePath": "a.png", "imageData": null, "imageWidth": {width}, "imageHeight": 80,
            "shapes": [{{"label": "cat", "points": [[{x}, 2], [9, 9]], "shape_type": "rectangle"}}]}}"#
        )
    };
    let case = Case::new(&[("l/a.png", ""), ("l/0.json", &file(640, 1)), ("l/b.json", &file(100, 2))]);
    let (found, said) = case.imported("l", &["--media", "l"]);
    assert_eq!(found, [label("l/a.png", "cat", [2.0, 2.0, 7.0, 7.0])]);
    assert!(
        said.contains("0.json is not taken: b.json is of the same image a.png, in another size"),
        "{said}"
    );
}

#[test]
fn encoding_that_is_named_counts_and_a_guess_is_said() {
    let (gbk, _, _) = encoding_rs::GBK.encode("\u{732b}");
    // By chance, these two bytes are valid UTF-8 as well.
    assert_eq!(std::str::from_utf8(&gbk), Ok("\u{e8}"));
    let bytes = |name: &[u8]| {
        let text = coco(&[""]);
        let (start, end) = text.split_once("\"cat\"").unwrap();
        [start.as_bytes(), b"\"", name, b"\"", end.as_bytes()].concat()
    };
    let case = Case::new(&[("im/a.png", "")]);
    case.bytes("g.json", &bytes(&gbk));
    assert_eq!(case.imported("g.json", &["--media", "im", "--encoding", "gbk"]).0[0].1, "\u{732b}");
    case.bytes("h.json", &bytes(b"caf\xe9 cr\xe8me"));
    let (found, said) = case.imported("h.json", &["--media", "im"]);
    assert_eq!(found[0].1, "caf\u{e9} cr\u{e8}me");
    assert!(said.contains("h.json: read as windows-1252, the likely encoding"), "{said}");
}

#[test]
fn proposals_are_said_wherever_they_do_not_count() {
    let case = Case::new(&[
        ("v.txt", "1,1,11,11,20,20,-1,-1,-1,-1\n"),
        ("v/img1/000001.png", ""),
        ("v/img1/000002.png", ""),
    ]);
    let said = case.import("v.txt", &["--frames", "v/img1"]);
    assert!(said.contains("(1 of them proposals, to accept or reject in the window)"), "{said}");
    let said = segue::run(case.folder.path(), &["stats", "p.segue"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("1 proposal, to accept or reject"), "{said:?}");
}

#[test]
fn box_survives_a_bad_mask_of_cvat() {
    let mask = r#"<mask label="cat" rle="3, 900" left="5" top="6" width="4" height="2"/>"#;
    let text = format!(
        r#"<annotations><image id="0" name="a.png" width="100" height="80">{mask}</image></annotations>"#
    );
    let case = Case::new(&[("a.xml", &text), ("a.png", "")]);
    let (found, said) = case.imported("a.xml", &["--media", "a.png"]);
    assert_eq!(found, [label("a.png", "cat", [5.0, 6.0, 4.0, 2.0])]);
    assert!(said.contains("the mask of shape 1 of a.png is not taken"), "{said}");
}
