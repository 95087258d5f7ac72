//! Damaged annotations among sound ones: the sound ones are taken, and each damaged one is counted.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::spellings::{CATEGORIES, IMAGES, Item, check, items};
use crate::media::write;

/// Annotations of COCO that no image, no category or no shape can be read of.
const COCO: [&str; 12] = [
    "null",
    "17",
    "{}",
    r#"{"id": 900, "image_id": 0}"#,
    r#"{"id": 901, "image_id": 77, "category_id": 0, "bbox": [1, 1, 2, 2]}"#,
    r#"{"id": 902, "image_id": 0, "category_id": 99, "bbox": [1, 1, 2, 2]}"#,
    r#"{"id": 903, "image_id": 0, "category_id": 0, "bbox": [1, 1, -5, 2]}"#,
    r#"{"id": 904, "image_id": 0, "category_id": 0, "bbox": [1, 1, "wide", 2]}"#,
    r#"{"id": 905, "image_id": 0, "category_id": 0, "bbox": [1, 1, 2]}"#,
    r#"{"id": 906, "image_id": 0, "category_id": 0, "bbox": [500, 500, 2, 2]}"#,
    r#"{"id": 907, "image_id": 0, "category_id": 0, "bbox": null, "segmentation": "none"}"#,
    r#"{"id": 908, "image_id": {}, "category_id": 0, "bbox": [1, 1, NaN, 2]}"#,
];

const YOLO: [&str; 8] = [
    "x 0.5 0.5 0.1 0.1",
    "0 0.5 0.5 0.1",
    "0 nan 0.5 0.1 0.1",
    "1.5 0.5 0.5 0.1 0.1",
    "0 0.5 0.5 -0.1 0.1",
    "0 7 7 0.1 0.1",
    "-1 0.5 0.5 0.1 0.1",
    "0 0.5 wide 0.1 0.1",
];

const CVAT: [&str; 7] = [
    r#"<box label="cat"/>"#,
    r#"<box label="cat" xtl="left" ytl="1" xbr="2" ybr="3"/>"#,
    r#"<box label="cat" xtl="200" ytl="1" xbr="300" ybr="3"/>"#,
    r#"<box xtl="1" ytl="1" xbr="2" ybr="3"/>"#,
    r#"<polygon label="cat" points="1,1;2"/>"#,
    r#"<ellipse label="cat" cx="1"/>"#,
    r#"<polyline label="cat" points="1,1;2,2"/>"#,
];

const LABELME: [&str; 7] = [
    "null",
    "{}",
    r#"{"label": "cat", "points": [[1, 1]], "shape_type": "rectangle"}"#,
    r#"{"label": "cat", "points": [[1, 1], [NaN, 5]], "shape_type": "rectangle"}"#,
    r#"{"label": "cat", "points": [[1, 1], [5, 5], [9, 1]], "shape_type": "rectangle"}"#,
    r#"{"label": "cat", "points": "none", "shape_type": "polygon"}"#,
    r#"{"label": "cat", "points": [[1, 1], [5, 5]], "shape_type": "line"}"#,
];

const VOC: [&str; 5] = [
    "<object/>",
    "<object><name>cat</name></object>",
    "<object><name>cat</name><bndbox><xmin>left</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>",
    "<object><name>cat</name><bndbox><xmin>500</xmin><ymin>1</ymin><xmax>510</xmax><ymax>5</ymax></bndbox></object>",
    "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>",
];

/// A damaged annotation of a list, and the sound one that it is put before.
type Damage = Vec<(usize, prop::sample::Index)>;

fn damage() -> impl Strategy<Value = Damage> {
    prop::collection::vec((0..9_usize, any::<prop::sample::Index>()), 1..6)
}

/// The sound annotations with the damaged ones among them.
fn mixed(sound: Vec<String>, damaged: &[&str], damage: &Damage) -> Vec<String> {
    let mut all = sound;
    for (place, kind) in damage {
        all.insert(place % (all.len() + 1), damaged[kind.index(damaged.len())].to_owned());
    }
    all
}

/// The annotations of each image.
fn by_image(items: &BTreeSet<Item>, spell: impl Fn(&Item) -> String) -> [Vec<String>; IMAGES.len()] {
    std::array::from_fn(|n| items.iter().filter(|(of, ..)| *of == n).map(&spell).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn sound_annotations_of_coco_survive(items in items(), damage in damage()) {
        let folder = tempfile::tempdir().unwrap();
        let spell = |((image, category, sides), n): (&Item, usize)| {
            format!(r#"{{"id": {n}, "image_id": {image}, "category_id": {category}, "bbox": {sides:?}}}"#)
        };
        let sound = items.iter().zip(1..).map(spell).collect();
        let annotations = mixed(sound, &COCO, &damage).join(",\n");
        let images = [0, 1, 2, 3].map(|n| format!(r#"{{"id": {n}, "file_name": "{}"}}"#, IMAGES[n])).join(", ");
        let categories = [0, 1].map(|n| format!(r#"{{"id": {n}, "name": "{}"}}"#, CATEGORIES[n])).join(", ");
        let text = format!(
            r#"{{"images": [{images}], "annotations": [{annotations}], "categories": [{categories}]}}"#
        );
        let labels = folder.path().join("c.json");
        write(&labels, text.as_bytes());
        prop_assert!(check(folder.path(), &labels, &items) >= damage.len());
    }

    #[test]
    fn sound_lines_of_yolo_survive(items in items(), damage in damage()) {
        let folder = tempfile::tempdir().unwrap();
        let sound = by_image(&items, |(_, category, [x, y, w, h])| {
            let [x, y] = [f64::from(x + w / 2) / 100.0, f64::from(y + h / 2) / 80.0];
            format!("{category} {x} {y} {} {}", f64::from(*w) / 100.0, f64::from(*h) / 80.0)
        });
        for (n, (image, sound)) in IMAGES.iter().zip(sound).enumerate() {
            let lines = if n == 0 { mixed(sound, &YOLO, &damage) } else { sound };
            let label = folder.path().join("im").join(image).with_extension("txt");
            std::fs::create_dir_all(label.parent().unwrap()).unwrap();
            write(&label, lines.join("\n").as_bytes());
        }
        write(&folder.path().join("im/classes.txt"), CATEGORIES.join("\n").as_bytes());
        prop_assert!(check(folder.path(), &folder.path().join("im"), &items) >= damage.len());
    }

    #[test]
    fn sound_shapes_of_cvat_survive(items in items(), damage in damage()) {
        let folder = tempfile::tempdir().unwrap();
        let sound = by_image(&items, |(_, category, [x, y, w, h])| {
            let label = CATEGORIES[*category];
            format!(r#"<box label="{label}" xtl="{x}" ytl="{y}" xbr="{}" ybr="{}"/>"#, x + w, y + h)
        });
        let images = IMAGES.iter().zip(sound).enumerate().map(|(n, (image, sound))| {
            let shapes = if n == 1 { mixed(sound, &CVAT, &damage) } else { sound };
            format!(r#"<image id="{n}" name="{image}" width="100" height="80">{}</image>"#, shapes.concat())
        });
        let labels = folder.path().join("annotations.xml");
        write(&labels, format!("<annotations>{}</annotations>", images.collect::<String>()).as_bytes());
        prop_assert!(check(folder.path(), &labels, &items) >= damage.len());
    }

    #[test]
    fn sound_shapes_of_labelme_survive(items in items(), damage in damage()) {
        let folder = tempfile::tempdir().unwrap();
        let sound = by_image(&items, |(_, category, [x, y, w, h])| {
            let label = CATEGORIES[*category];
            let points = [[*x, *y], [x + w, y + h]];
            format!(r#"{{"label": "{label}", "points": {points:?}, "shape_type": "rectangle"}}"#)
        });
        for (n, (image, sound)) in IMAGES.iter().zip(sound).enumerate() {
            let shapes = if n == 2 { mixed(sound, &LABELME, &damage) } else { sound }.join(", ");
            let label = folder.path().join("im").join(image).with_extension("json");
            std::fs::create_dir_all(label.parent().unwrap()).unwrap();
            let image = image.rsplit('/').next().unwrap();
            let text = format!(r#"{{"version": "5.4.1", "imagePath": "{image}", "imageData": null, "shapes": [{shapes}]}}"#);
            write(&label, text.as_bytes());
        }
        prop_assert!(check(folder.path(), &folder.path().join("im"), &items) >= damage.len());
    }

    #[test]
    fn sound_objects_of_voc_survive(items in items(), damage in damage()) {
        let folder = tempfile::tempdir().unwrap();
        // VOC counts pixels from 1, and its corners are pixels of the object.
        let sound = by_image(&items, |(_, category, [x, y, w, h])| {
            let corners = [("xmin", x + 1), ("ymin", y + 1), ("xmax", x + w), ("ymax", y + h)];
            let corners = corners.map(|(name, value)| format!("<{name}>{value}</{name}>")).concat();
            format!("<object><name>{}</name><bndbox>{corners}</bndbox></object>", CATEGORIES[*category])
        });
        for (n, (image, sound)) in IMAGES.iter().zip(sound).enumerate() {
            let objects = if n == 3 { mixed(sound, &VOC, &damage) } else { sound }.concat();
            let label = folder.path().join("im").join(image).with_extension("xml");
            std::fs::create_dir_all(label.parent().unwrap()).unwrap();
            write(&label, format!("<annotation>{objects}</annotation>").as_bytes());
        }
        prop_assert!(check(folder.path(), &folder.path().join("im"), &items) >= damage.len());
    }
}
