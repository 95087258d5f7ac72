//! A COCO file as a data set: read, checked, and all shapes made masks or boxes.

use std::collections::{BTreeSet, HashMap};

use super::{
    item::{self, CROWD, Flaw, UNNAMED, Video},
    reading::{ByIds, File, Told},
    segmentation::Segmentation,
};
use crate::{
    formats::{
        Annotation, Category, Dataset, FormatError, Image, Messages, Reading, Shape, clip, counted,
        json::{Metered, Stop},
        parallel,
        paths::{normalized, split},
    },
    geometry::{Rect, Size},
};

/// Reads a COCO file: instances (an object with `images`, `categories` and `annotations`), or results (a bare list).
pub(in crate::formats) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let path = reading.path;
    let text = Metered::open(reading)?;
    let total = text.total;
    let (file, stop) = File::read(text);
    let damage = match stop {
        Some(Stop::Io(error)) => return Err(FormatError::reading(path, error)),
        Some(Stop::Damaged { line, why }) => Some(format!("line {line}: {why}")),
        None => None,
    };
    let n_read = file.annotations.n_good;
    let mut imported = Dataset::of(file, reading, || (reading.progress)(total, total))?;
    if imported.is_empty() {
        let path = path.to_owned();
        return Err(match (damage, imported.refused.sentences().into_iter().next()) {
            (Some(cause), _) => FormatError::Damaged {
                path,
                cause: format!("it is no JSON, or damaged from the start on ({cause})"),
            },
            (None, Some(first)) => FormatError::Unusable { path, first },
            (None, None) => {
                FormatError::Lacks { path, lacks: "images, categories or annotations as COCO has them" }
            }
        });
    }
    if let Some(error) = damage {
        let item = format!("what follows {}", counted(n_read, "annotation"));
        let mut refused = Messages::default();
        refused.refuse(item, format_args!("the file is damaged or cut short there ({error})"));
        refused.extend(std::mem::take(&mut imported.refused));
        imported.refused = refused;
    }
    Ok(imported)
}

impl Dataset {
    /// Holds the lists against each other; `go_on` is asked now and then.
    fn of(file: File, reading: &Reading<'_>, mut go_on: impl FnMut() -> bool) -> Result<Self, FormatError> {
        let File { images, videos, categories, annotations, is_results } = file;
        let (mut refused, mut doubts, mut notes) =
            (Messages::default(), Messages::default(), Messages::default());
        let mut refuse = |title, flaw| refused.refuse(title, flaw);
        let (images, images_by_id) = images.into_items(&mut refuse);
        let (mut videos, videos_by_id) = videos.into_items(&mut refuse);
        let mut videos_by_path: HashMap<String, usize> =
            videos.iter().enumerate().map(|(place, Video(path))| (path.clone(), place)).collect();
        let mut file_numbered_videos = BTreeSet::new();
        let (categories, categories_by_id) = categories.into_items(&mut refuse);
        let mut image = |image: item::Image| {
            let file_name = reading.files.named_nearby(reading.path, &image.file_name);
            let frame = image.frame.and_then(|told| {
                let video = match told.video {
                    Some(id) => *videos_by_id.places.get(&id)?,
                    None => {
                        let folder = Some(split(&file_name).0).filter(|folder| !folder.is_empty())?;
                        *videos_by_path.entry(folder.to_owned()).or_insert_with_key(|path| {
                            videos.push(Video(path.clone()));
                            videos.len() - 1
                        })
                    }
                };
                if told.is_number {
                    file_numbered_videos.insert(video);
                }
                Some((video, told.index))
            });
            Image {
                id: image.id,
                size: reading.size_of(&file_name, image.size),
                file_name: Some(file_name),
                frame,
            }
        };
        let n_unnamed = categories.iter().filter(|category| !category.is_named).count();
        notes.count_many("category record", UNNAMED, n_unnamed);
        let category = |category: item::Category| Category {
            id: category.id,
            name: Some(category.name),
            supercategory: category.supercategory,
            color: category.color,
        };
        let images = images.into_iter().map(&mut image).collect();
        let mut imported = Self {
            images,
            file_numbered_videos,
            categories: categories.into_iter().map(category).collect(),
            videos: videos.into_iter().map(|Video(path)| path).collect(),
            ..Self::default()
        };
        let mut by_ids = Lists { images: images_by_id, categories: categories_by_id };
        let mut taken = Vec::with_capacity(annotations.n_good);
        let batches = annotations.into_batches();
        imported.add_unlisted(&batches, is_results, &mut by_ids);
        imported.take_sizes_of_masks(&batches, &by_ids.images);
        let context = Context { lists: &by_ids, is_results, checks: reading.checks };
        let (mut n_keypoints, mut n_crowds) = (0, 0);
        parallel::stream(
            |check| {
                for batch in batches {
                    if !go_on() {
                        return Err(FormatError::Canceled);
                    }
                    check(batch);
                }
                Ok(())
            },
            |batch| imported.check_all(batch, &context),
            |Checked { good, flawed, doubtful, n_keypoints: n }| {
                n_keypoints += n;
                n_crowds +=
                    good.iter().filter(|annotation| annotation.attributes.contains_key(CROWD)).count();
                taken.extend(good);
                flawed.into_iter().for_each(|(title, flaw)| refused.refuse(title, flaw));
                doubtful.into_iter().for_each(|(title, doubt)| doubts.remark(title, doubt));
            },
        )?;
        if is_results && taken.is_empty() {
            imported.images.clear();
            imported.categories.clear();
        }
        notes.count_many(
            "keypoint annotation",
            "box and mask are kept, keypoints are not supported",
            n_keypoints,
        );
        let crowd =
            "iscrowd is kept; pycocotools ignores matches with a crowd, and most trainers leave it out";
        notes.count_many("crowd annotation", crowd, n_crowds);
        imported.annotations = taken;
        (imported.refused, imported.doubts, imported.notes) = (refused, doubts, notes);
        Ok(imported)
    }

    /// Adds what annotations name and no list has: results list neither images nor categories, other files may lack
    /// categories.
    fn add_unlisted(
        &mut self,
        annotations: &[Vec<Told<item::Annotation>>],
        is_results: bool,
        lists: &mut Lists,
    ) {
        let has_categories = !self.categories.is_empty();
        if has_categories && !is_results {
            return;
        }
        for annotation in annotations.iter().flatten().filter_map(|told| told.item.as_ref().ok()) {
            if is_results {
                lists.images.places.entry(annotation.image.clone()).or_insert_with_key(|id| {
                    let file_name = annotation.file_name.as_deref().map(normalized);
                    self.images.push(Image { id: id.clone(), file_name, size: None, frame: None });
                    self.images.len() - 1
                });
            }
            if !has_categories {
                lists.categories.places.entry(annotation.category.clone()).or_insert_with_key(|id| {
                    let name = (!is_results).then(|| format!("category {id}"));
                    let supercategory = String::new();
                    self.categories.push(Category { id: id.clone(), name, supercategory, color: None });
                    self.categories.len() - 1
                });
            }
        }
    }

    /// Takes the sizes of images that have none from their masks.
    fn take_sizes_of_masks(&mut self, annotations: &[Vec<Told<item::Annotation>>], images: &ByIds) {
        if self.images.iter().all(|image| image.size.is_some() || image.file_name.is_none()) {
            return;
        }
        for annotation in annotations.iter().flatten().filter_map(|told| told.item.as_ref().ok()) {
            let place = images.places.get(&annotation.image);
            if let (Segmentation::Mask(mask), Some(place)) = (&annotation.segmentation, place) {
                let image = &mut self.images[*place];
                image.size = image.size.or(image.file_name.is_some().then(|| mask.size()));
            }
        }
    }

    fn check_all(&self, batch: Vec<Told<item::Annotation>>, context: &Context<'_>) -> Checked {
        let mut checked = Checked { good: Vec::with_capacity(batch.len()), ..Checked::default() };
        for Told { item, title } in batch {
            let has_keypoints = item.as_ref().is_ok_and(|told| told.has_keypoints);
            match item.and_then(|told| self.check(told, context)) {
                Ok((annotation, doubt)) => {
                    checked.good.push(annotation);
                    checked.n_keypoints += usize::from(has_keypoints);
                    let double = title.is_double.then(|| Flaw::SameId.to_string());
                    checked.doubtful.extend(doubt.or(double).map(|doubt| (title, doubt)));
                }
                Err(flaw) => checked.flawed.push((title, flaw)),
            }
        }
        checked
    }

    /// Returns the annotation, and what is wrong with it nevertheless.
    fn check(
        &self,
        told: item::Annotation,
        context: &Context<'_>,
    ) -> Result<(Annotation, Option<String>), Flaw> {
        let Lists { images, categories } = context.lists;
        let place = |by_ids: &ByIds, id, none: fn(_) -> Flaw, many: fn(_) -> Flaw| {
            by_ids
                .places
                .get(&id)
                .copied()
                .ok_or_else(|| if by_ids.ambiguous.contains(&id) { many(id) } else { none(id) })
        };
        let image = place(images, told.image.clone(), Flaw::NoImage, Flaw::ManyImages)?;
        let category = place(categories, told.category.clone(), Flaw::NoCategory, Flaw::ManyCategories)?;
        let size = self.images[image].size;
        let (shape, doubt) = shape(&told.segmentation, told.rect, size)?;
        let doubt = doubt.or_else(|| {
            told.has_bad_box.then(|| "its bbox is not four numbers; its mask is kept".to_owned())
        });
        let doubt = doubt.or_else(|| context.checks.then(|| misstated(&told, &shape, size)).flatten());
        let mut attributes = told.attributes;
        if let Some(score) = told.score.filter(|_| !context.is_results) {
            attributes.insert(SCORE.to_owned(), score.to_string());
        }
        let score = told.score.filter(|_| context.is_results);
        Ok((Annotation { image, category, track: told.track, score, shape, attributes }, doubt))
    }
}

/// The attribute that keeps the score of what is no result: it does not say that nobody has accepted it.
pub(in crate::formats) const SCORE: &str = "score";

/// Images and categories that annotations name.
struct Lists {
    images: ByIds,
    categories: ByIds,
}

/// The lists and options that annotations are checked against.
struct Context<'a> {
    lists: &'a Lists,
    is_results: bool,
    checks: bool,
}

/// The outcome of checking a batch of annotations.
#[derive(Default)]
struct Checked {
    good: Vec<Annotation>,
    flawed: Vec<(super::reading::Title, Flaw)>,
    doubtful: Vec<(super::reading::Title, String)>,
    n_keypoints: usize,
}

/// Returns the mask if it has a pixel, else the box, and what is wrong with the mask.
fn shape(
    segmentation: &Segmentation,
    rect: Option<Rect>,
    image: Option<Size>,
) -> Result<(Shape, Option<String>), Flaw> {
    let rect_in_image = || image.map_or(rect, |image| clip(rect?, image)).map(Shape::Box);
    match segmentation.mask(image, rect) {
        Ok(Some((mask, doubt))) if !mask.is_empty() => Ok((Shape::Mask(mask), doubt.map(str::to_owned))),
        Ok(Some(_)) => {
            let doubt = "its mask has no pixel in the image; its box is kept".to_owned();
            rect_in_image().map(|rect| (rect, Some(doubt))).ok_or(Flaw::Nothing)
        }
        Ok(None) => rect_in_image().map(|rect| (rect, None)).ok_or(Flaw::Nothing),
        Err(flaw) => match rect_in_image() {
            Some(rect) => Ok((rect, Some(format!("{flaw}; its box is kept")))),
            None => Err(flaw),
        },
    }
}

/// Returns what a file states of a shape that is not so: its box, its area.
fn misstated(annotation: &item::Annotation, shape: &Shape, size: Option<Size>) -> Option<String> {
    /// Boxes are rounded, and polygons have other areas than their pixels.
    const PIXEL: f64 = 1.01;
    const SHARE: f64 = 0.2;
    let bbox = |rect: Rect| {
        let [x0, y0, x1, y1] = <[f32; 4]>::from(rect);
        [x0, y0, x1 - x0, y1 - y0].map(f64::from)
    };
    let said = annotation.rect.map(bbox);
    let Shape::Mask(mask) = shape else {
        let is_out = size.zip(annotation.rect).is_some_and(|(size, rect)| {
            rect.x0 < -1.0
                || rect.y0 < -1.0
                || rect.x1 > size.width as f32 + 1.0
                || rect.y1 > size.height as f32 + 1.0
        });
        return is_out.then(|| "its bbox reaches out of the image".to_owned());
    };
    let own = mask.bbox().map(f64::from);
    if let Some(said) = said.filter(|said| said.iter().zip(own).any(|(a, b)| (a - b).abs() > PIXEL)) {
        let list = |numbers: [f64; 4]| numbers.map(|v| v.to_string()).join(", ");
        return Some(format!("its bbox is {}, that of its mask {}", list(said), list(own)));
    }
    let own = mask.area() as f64;
    let is_exact = matches!(annotation.segmentation, Segmentation::Mask(_));
    let slack = if is_exact { 0.5 } else { (SHARE * own).max(4.0 * (own.sqrt() + 1.0)) };
    let said = annotation.area.filter(|said| (said - own).abs() > slack)?;
    Some(format!("its area is {said}, that of its mask {own}"))
}

#[cfg(test)]
mod tests {
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
            (
                r#"{"id": 2, "image_id": 1, "category_id": "x"}"#.to_owned(),
                "its category, x, is not in the file",
            ),
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
        let whole =
            dataset(&format!("{good}, {good}")).replacen(r#""id": 1, "bbox""#, r#""id": 2, "bbox""#, 1);
        let cut = &whole[..whole.find(r#""categories""#).unwrap()];
        let nested = whole.replace(r#""area": "?""#, &format!(r#""area": {}"#, "[".repeat(10_000)));
        for (text, n) in [(cut, 2), (&nested, 0), (&format!("{whole} ]"), 2)] {
            let imported = read(text).unwrap();
            assert_eq!((imported.images.len(), imported.annotations.len()), (1, n));
            let sentence = &imported.refused.sentences()[0];
            let counted =
                format!("what follows {n} annotations is not taken: the file is damaged or cut short");
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
        let imported =
            read(&dataset(&annotation(&format!(r#"{attributes}, "bbox": [0, 0, 1, 1]"#)))).unwrap();
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
            let imported =
                read(&dataset(&annotation(&format!(r#"{fields}, "bbox": [0, 0, 1, 1]"#)))).unwrap();
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
}
