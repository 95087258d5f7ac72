//! Tests of reading COCO files.

use std::{collections::BTreeMap, io::Write as _, path::Path, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    formats::Id,
    mask::{Rle, testing::picture},
};

fn read_file(path: &Path) -> Result<Dataset, FormatError> {
    super::read(&Reading::new(path).with_checks())
}

fn read(text: &str) -> Result<Dataset, FormatError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    read_file(file.path())
}

/// A file with an image of 6x4, a category, and these annotations.
fn dataset(annotations: &str) -> String {
    format!(
        r#"{{"info": {{"year": 2014}}, "licenses": null, "images": [{{"id": 1, "file_name": "a.jpg", "width": 6,
        "height": 4, "date_captured": null}}], "annotations": [{annotations}],
        "categories": [{{"id": 7, "name": "dog", "supercategory": "animal", "color": [1, 2, 3]}}]}}"#
    )
}

/// A good annotation but for the fields that are said, which go before.
fn annotation(fields: &str) -> String {
    format!(
        r#"{{{fields}, "image_id": 1, "category_id": 7, "iscrowd": 1, "area": "?", "keypoints": [1, 2, 2]}}"#
    )
}

fn shape_of(fields: &str) -> Shape {
    let imported = read(&dataset(&annotation(fields))).unwrap();
    assert!(imported.refused.is_empty(), "{}", imported.refused);
    imported.annotations[0].shape.clone()
}

#[test]
fn a_mask_is_told_in_any_of_three_ways() {
    let mask = Rle::encode(&picture(&["......", ".###..", ".###..", "......"]));
    let counts = mask.counts();
    for segmentation in [
        format!(r#"{{"size": [4, 6], "counts": "{counts}"}}"#),
        r#"{"counts": [5, 2, 2, 2, 2, 2, 9], "size": [4, 6]}"#.to_owned(),
        "[[1, 1, 4, 1, 4, 3, 1.0, 3], [2, 2, 3, 3], []]".to_owned(),
    ] {
        let shape = shape_of(&format!(r#""id": 5, "bbox": "none", "segmentation": {segmentation}"#));
        assert_eq!(shape, Shape::Mask(Arc::new(mask.clone())), "{segmentation}");
    }
}

#[test]
fn boxes_stand_in_for_masks_and_end_with_the_image() {
    let rect = Rect { x0: 1.5, y0: 0.0, x1: 6.0, y1: 2.0 };
    for segmentation in ["null", "[]", "[[1, 1, 2, 2]]", r#"{"size": [4, 6], "counts": [24]}"#] {
        let shape = shape_of(&format!(r#""bbox": [1.5, -1, 100, 3], "segmentation": {segmentation}"#));
        assert_eq!(shape, Shape::Box(rect), "{segmentation}");
    }
}

#[test]
fn annotation_without_shape_is_refused_alone() {
    let good = r#"{"id": 1, "image_id": "1", "category_id": 7.0, "bbox": [0, 0, 1, 1]}"#;
    let huge = "[".repeat(100) + &"]".repeat(100);
    let nothing = "it has neither a mask nor a box with a part of the image";
    let form = "its segmentation is neither polygons nor run lengths";
    let segmentation = |value: &str| annotation(&format!(r#""id": 2, "segmentation": {value}"#));
    let cases = [
        ("null".to_owned(), "annotation number 2 (line 2) is not taken: its image_id is missing"),
        (r#"{"id": 2, "image_id": 3, "category_id": 7}"#.to_owned(), "its image, 3, is not in the file"),
        (r#"{"id": 2, "image_id": 1, "category_id": "x"}"#.to_owned(), "its category, x, is not in the file"),
        (r#"{"id": 2, "image_id": 1.5, "category_id": 7}"#.to_owned(), "its image_id is missing"),
        (annotation(r#""id": 2"#), nothing),
        (annotation(r#""id": "b", "bbox": [7, 0, 1, 1]"#), nothing),
        (annotation(r#""id": 2, "bbox": [3, 3, -1, 1]"#), nothing),
        (annotation(r#""id": 2, "bbox": [3, 3, 1]"#), "its bbox is not four numbers"),
        (annotation(r#""id": 2, "bbox": {}"#), "its bbox is not four numbers"),
        (annotation(r#""id": 2, "bbox": [0, 0, NaN, 1]"#), "its bbox is not four numbers"),
        (segmentation(r#""x""#), form),
        (segmentation("{}"), nothing),
        (segmentation(&huge), form),
        (segmentation(r#"{"size": [4, 6], "counts": [-24]}"#), form),
        (segmentation(r#"{"size": [4, -6], "counts": "3"}"#), "its width and height"),
        (segmentation("[[1, 2, 3, 4, 5, 6, 7]]"), "half a corner"),
        (segmentation("[[0, 0, 1e300, 0, 0, 1]]"), "far beyond"),
        (segmentation(r#"{"size": [4, 6], "counts": [3, 3]}"#), "cover 6 pixels"),
        (segmentation(r#"{"size": [4, 6], "counts": "~"}"#), "damaged at character 0"),
        (segmentation(r#"{"size": [6, 4], "counts": [4, 20]}"#), "its mask is 4x6"),
    ];
    for (flawed, want) in cases {
        let imported = read(&dataset(&format!("{good}, {flawed}"))).unwrap();
        assert_eq!((imported.annotations.len(), imported.refused.len()), (1, 1), "{flawed}");
        assert!(imported.refused.sentences()[0].contains(want), "{flawed}: {}", imported.refused);
    }
}

#[test]
fn box_survives_a_bad_mask() {
    for segmentation in [
        r#""x""#,
        "[[1, 2, 3, 4, 5, 6, 7]]",
        "[[1, 2, 3, 4]]",
        r#"{"size": [4, 6], "counts": [19, 3]}"#,
        r#"{"size": [4, 6], "counts": "~"}"#,
        r#"{"size": [6, 4], "counts": [4, 20]}"#,
    ] {
        let fields = format!(r#""id": 2, "bbox": [0, 1, 2, 2], "segmentation": {segmentation}"#);
        let imported = read(&dataset(&annotation(&fields))).unwrap();
        let rect = Rect { x0: 0.0, y0: 1.0, x1: 2.0, y1: 3.0 };
        assert_eq!(imported.annotations[0].shape, Shape::Box(rect), "{segmentation}");
        assert!(imported.refused.is_empty() && imported.doubts.len() == 1, "{}", imported.doubts);
        assert!(imported.doubts.sentences()[0].contains("its box is kept"), "{}", imported.doubts);
    }
}

#[test]
fn repeated_annotation_ids_lose_no_label() {
    let good = annotation(r#""id": 0, "bbox": [0, 0, 1, 1]"#);
    let imported = read(&dataset(&format!("{good}, {good}, {good}"))).unwrap();
    assert_eq!((imported.annotations.len(), imported.refused.len(), imported.doubts.len()), (3, 0, 2));
}

#[test]
fn category_without_name_is_called_by_its_id() {
    let text = dataset(&annotation(r#""id": 5, "bbox": [1, 1, 2, 2]"#));
    for (name, want) in
        [("", "category 7"), (r#""name": null,"#, "category 7"), (r#""name": "a\nb","#, "a b")]
    {
        let imported = read(&text.replace(r#""name": "dog","#, name)).unwrap();
        assert_eq!(imported.categories[0].name.as_deref(), Some(want));
        assert_eq!((imported.annotations.len(), imported.refused.len()), (1, 0), "{name}");
        let is_noted = imported.notes.to_string().contains("has no name");
        assert_eq!(is_noted, want != "a b", "{}", imported.notes);
    }
}

#[test]
fn ids_of_several_images_attach_no_label() {
    let text = r#"{"categories": [{"id": 1}, {"id": 2, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}, 5],
        "images": [{"id": 1, "file_name": "a.jpg", "width": -6, "height": 4}, {"id": 2, "width": 6, "height": 4},
        {"file_name": "a.jpg"}, {"id": 4, "file_name": "c.jpg", "width": 6.0, "height": "4"},
        {"id": 5, "file_name": "d.jpg"}, {"id": 5, "file_name": "e.jpg"}, {"id": 6, "coco_url": "http://h/train/f.jpg"}],
        "annotations": [{"image_id": 4, "category_id": 3, "bbox": [0, 0, 1, 1]},
        {"image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1]}, {"image_id": 5, "category_id": 3, "bbox": [0, 0, 1, 1]},
        {"image_id": 4, "category_id": 2, "bbox": [0, 0, 1, 1]}]}"#;
    let imported = read(text).unwrap();
    let names: Vec<_> = imported.images.iter().filter_map(|image| image.file_name.as_deref()).collect();
    assert_eq!(names, ["a.jpg", "c.jpg", "d.jpg", "e.jpg", "train/f.jpg"]);
    assert_eq!(imported.categories[0].name.as_deref(), Some("category 1"));
    assert_eq!((imported.images[0].size, imported.images[1].size), (None, Some(Size::new(6, 4))));
    assert_eq!(imported.annotations.len(), 2);
    let want =
        ["image 2", "image number 3", "category number 5", "annotation number 3", "annotation number 4"];
    let sentences = imported.refused.sentences();
    assert_eq!(sentences.len(), want.len(), "{sentences:?}");
    for want in want {
        assert!(sentences.iter().any(|sentence| sentence.starts_with(want)), "{sentences:?}, {want}");
    }
}

#[test]
fn of_a_damaged_file_what_comes_before_is_taken() {
    let good = annotation(r#""id": 1, "bbox": [0, 0, 1, 1]"#);
    let whole = dataset(&format!("{good}, {good}")).replacen(r#""id": 1, "bbox""#, r#""id": 2, "bbox""#, 1);
    let cut = &whole[..whole.find(r#""categories""#).unwrap()];
    let nested = whole.replace(r#""area": "?""#, &format!(r#""area": {}"#, "[".repeat(10_000)));
    for (text, n) in [(cut, 2), (&nested, 0), (&format!("{whole} ]"), 2)] {
        let imported = read(text).unwrap();
        assert_eq!((imported.images.len(), imported.annotations.len()), (1, n));
        let sentence = &imported.refused.sentences()[0];
        let counted = format!("what follows {n} annotations is not taken: the file is damaged or cut short");
        assert!(sentence.starts_with(&counted), "{sentence}");
    }
}

#[test]
fn numbers_that_json_lacks_cost_nothing_else() {
    let good = annotation(r#""id": 1, "bbox": [0, 0, 1, 1]"#);
    let nan = good.replace(r#""id": 1, "bbox""#, r#""id": 2, "bbox""#).replace(r#""?""#, "NaN");
    let broken = r#"{"id": 3, "image_id": 1,, }"#;
    let imported = read(&dataset(&format!("{nan}, {good}, {broken}"))).unwrap();
    assert_eq!(imported.annotations.len(), 2);
    assert!(imported.refused.sentences()[0].contains("it is no JSON"), "{}", imported.refused);
}

#[test]
fn what_is_no_coco_file_is_an_error_that_says_so() {
    for (text, want) in [
        ("", "it is no JSON, or damaged from the start on (line 1: it ends too early"),
        ("PNG", "it is no JSON"),
        ("7", "it is neither an object nor a list"),
        (&"[".repeat(100_000), "it ends too early"),
        (r#"{"annotations": {}}"#, "it has no images, categories or annotations"),
        ("[]", "it has no images, categories or annotations"),
        (r#"{"shapes": [{"label": "dog"}]}"#, "it has no images, categories or annotations"),
        ("[{}, 5]", "nothing in it can be used; first, annotation number 1 (line 1) is not taken"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    let missing = read_file(Path::new("missing.json")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read missing.json: "), "{missing}");
}

#[test]
fn results_name_images_and_categories_by_id() {
    let imported = read(
        r#"[{"image_id": 42, "category_id": 18, "score": 0.25, "segmentation": {"size": [2, 1], "counts": [1, 1]}},
        {"image_id": 42, "category_id": 3, "score": 7, "bbox": [1, 2, 3, 4]},
        {"image_id": 42, "category_id": 3, "segmentation": [[0, 0, 1, 0, 1, 1]]}]"#,
    );
    let imported = imported.unwrap();
    let image = Image { id: Id::Number(42), file_name: None, size: None, frame: None };
    assert_eq!(imported.images, [image]);
    let categories: Vec<_> = imported.categories.iter().map(|category| category.id.clone()).collect();
    assert_eq!(categories, [Id::Number(18), Id::Number(3)]);
    let scores: Vec<_> = imported.annotations.iter().map(|annotation| annotation.score).collect();
    assert_eq!(scores, [Some(0.25), Some(1.0)]);
    assert!(
        imported.refused.sentences()[0].contains("the size of its image is not known"),
        "{}",
        imported.refused
    );
}

#[test]
fn answers_of_any_simple_kind_are_attributes() {
    let attributes =
        r#""attributes": {"occluded": true, "angle": 1.5, "breed": "pug", "tags": [], "no": null}"#;
    let imported = read(&dataset(&annotation(&format!(r#"{attributes}, "bbox": [0, 0, 1, 1]"#)))).unwrap();
    let want = [("angle", "1.5"), ("breed", "pug"), ("iscrowd", "1"), ("occluded", "true")];
    let want = want.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(imported.annotations[0].attributes, BTreeMap::from(want));
    assert_eq!(imported.annotations[0].score, None);
}

#[test]
fn a_track_may_be_an_attribute() {
    for (fields, want) in [
        (r#""attributes": {"track_id": 3, "keyframe": true}"#, 3),
        (r#""attributes": {"track_id": 3}, "id": "x""#, 3),
        (r#""attributes": {"track_id": 3}, "track_id": 4"#, 4),
    ] {
        let imported = read(&dataset(&annotation(&format!(r#"{fields}, "bbox": [0, 0, 1, 1]"#)))).unwrap();
        assert_eq!(imported.annotations[0].track, Some(Id::Number(want)), "{fields}");
    }
}

proptest! {
    #[test]
    fn a_file_with_a_hole_in_it_is_read_or_refused(
        at in any::<prop::sample::Index>(), n in 0..40_usize, instead in r#"[\[\]{}",:0-9e.\-]{0,9}"#,
    ) {
        let mask = r#""id": 1, "segmentation": {"size": [4, 6], "counts": "52203"}"#;
        let polygon = r#""id": 2, "score": 0.5, "segmentation": [[1, 1, 4, 1, 4, 3]], "attributes": {"a": "b"}"#;
        let whole = dataset(&format!("{}, {}", annotation(mask), annotation(polygon)));
        let at = at.index(whole.len());
        let rest = whole.get(at + n..).unwrap_or_default();
        if let Ok(imported) = read(&format!("{}{instead}{rest}", &whole[..at])) {
            for annotation in &imported.annotations {
                prop_assert!(annotation.image < imported.images.len());
                prop_assert!(annotation.category < imported.categories.len());
            }
        }
    }
}
