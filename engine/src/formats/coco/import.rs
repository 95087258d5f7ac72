//! A COCO file as a data set: read, checked, and all shapes made masks or boxes.

use std::collections::{BTreeSet, HashMap};

use super::{
    item::{self, CROWD, Extras, Flaw, UNNAMED, Video},
    reading::{ByIds, File, Told, in_own_memory},
    results::add_ground_truth,
    segmentation::Segmentation,
};
use crate::{
    formats::{
        Annotation, Category, Dataset, FormatError, Image, Messages, Reading, Shape, clip, counted,
        json::{Metered, Stop},
        parallel,
        paths::{last_name, normalized, split},
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
    let mut file = file;
    let truth = if file.is_results { add_ground_truth(&mut file, reading) } else { None };
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
    if let Some(truth) = truth {
        let name = last_name(&truth.to_string_lossy()).to_owned();
        imported.notes.say(format_args!("the images and categories of the results are those of {name}"));
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
        // In batches, which take the memory of those that are done with.
        let mut taken: Vec<Vec<Annotation>> = Vec::new();
        let mut batches = annotations.into_batches();
        imported.add_unlisted(&batches, is_results, &mut by_ids);
        imported.take_sizes_of_masks(&batches, &by_ids.images);
        if !is_results && imported.has_no_tiny_image() && are_normalized(&batches) {
            imported.scale_normalized(&mut batches, &by_ids.images);
            notes.say(
                "all boxes are normalized, as Azure Machine Learning exports them; they are scaled to pixels",
            );
        }
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
                taken.push(in_own_memory(good));
                flawed.into_iter().for_each(|(title, flaw)| refused.refuse(title, flaw));
                doubtful.into_iter().for_each(|(title, doubt)| doubts.remark(title, doubt));
            },
        )?;
        if is_results && taken.iter().all(Vec::is_empty) {
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
        imported.annotations.reserve_exact(taken.iter().map(Vec::len).sum());
        taken.into_iter().for_each(|batch| imported.annotations.extend(batch));
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
                    let file_name = annotation.extras.as_ref().and_then(|extras| extras.file_name.as_deref());
                    let file_name = file_name.map(normalized);
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

    /// True if all images are so large that nobody labels just the first pixel of each.
    fn has_no_tiny_image(&self) -> bool {
        const MIN_SIDE: usize = 32;
        let mut sizes = self.images.iter().filter_map(|image| image.size);
        sizes.all(|size| size.width.min(size.height) >= MIN_SIDE)
    }

    /// Scales normalized boxes and polygons to pixels.
    fn scale_normalized(&self, annotations: &mut [Vec<Told<item::Annotation>>], images: &ByIds) {
        for annotation in annotations.iter_mut().flatten().filter_map(|told| told.item.as_mut().ok()) {
            let place = images.places.get(&annotation.image);
            let Some(size) = place.and_then(|place| self.images[*place].size) else {
                (annotation.rect, annotation.segmentation) = (None, Segmentation::None);
                continue;
            };
            let (width, height) = (size.width as f32, size.height as f32);
            if let Some(Rect { x0, y0, x1, y1 }) = &mut annotation.rect {
                (*x0, *y0, *x1, *y1) = (*x0 * width, *y0 * height, *x1 * width, *y1 * height);
            }
            if let Segmentation::Polygons { polygons, .. } = &mut annotation.segmentation {
                for (at, side) in polygons
                    .iter_mut()
                    .flat_map(|polygon| polygon.iter_mut().zip([width, height].into_iter().cycle()))
                {
                    *at *= f64::from(side);
                }
            }
            annotation.area = None;
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
        mut told: item::Annotation,
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
        let is_exact = matches!(told.segmentation, Segmentation::Mask(_));
        let segmentation = std::mem::replace(&mut told.segmentation, Segmentation::None);
        let (shape, doubt) = shape(segmentation, told.rect, size)?;
        let doubt = doubt.or_else(|| {
            told.has_bad_box.then(|| "its bbox is not four numbers; its mask is kept".to_owned())
        });
        let doubt = doubt.or_else(|| match shape {
            Shape::Box(_) => out_of_image(told.rect, size),
            Shape::Mask(_) => context.checks.then(|| misstated(&told, &shape, is_exact)).flatten(),
        });
        let Extras { mut score, mut attributes, .. } =
            told.extras.map_or_else(Extras::default, |extras| *extras);
        if let Some(score) = score.take_if(|_| !context.is_results) {
            attributes.insert(SCORE.to_owned(), score.to_string());
        }
        Ok((Annotation { image, category, track: told.track, score, shape, attributes }, doubt))
    }
}

/// True if all boxes are normalized: all coordinates lie between 0 and 1, and one is not a whole number.
fn are_normalized(annotations: &[Vec<Told<item::Annotation>>]) -> bool {
    let items = || annotations.iter().flatten().filter_map(|told| told.item.as_ref().ok());
    let corners = || items().filter_map(|annotation| Some(<[f32; 4]>::from(annotation.rect?)));
    let is_share = |corners: [f32; 4]| corners.iter().all(|v| (-0.001..=1.001).contains(v));
    let is_polygon = |annotation: &item::Annotation| match &annotation.segmentation {
        Segmentation::Mask(_) => false,
        Segmentation::Polygons { polygons, .. } => {
            polygons.iter().flatten().all(|v| (-0.001..=1.001).contains(v))
        }
        _ => true,
    };
    corners().all(is_share) && corners().flatten().any(|v| v.fract() != 0.0) && items().all(is_polygon)
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
    segmentation: Segmentation,
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

/// Returns a sentence on a box that reaches out of its image, beyond rounding.
fn out_of_image(rect: Option<Rect>, size: Option<Size>) -> Option<String> {
    let (rect, size) = (rect?, size?);
    let is_out = rect.x0 < -1.0
        || rect.y0 < -1.0
        || rect.x1 > size.width as f32 + 1.0
        || rect.y1 > size.height as f32 + 1.0;
    is_out.then(|| "its bbox reaches out of the image; its part there is taken".to_owned())
}

/// Returns what a file states of a mask that is not so: its box, its area. `is_exact`: whether the file has its pixels.
fn misstated(annotation: &item::Annotation, shape: &Shape, is_exact: bool) -> Option<String> {
    /// Boxes are rounded, and polygons have other areas than their pixels.
    const PIXEL: f64 = 1.01;
    const SHARE: f64 = 0.2;
    let bbox = |rect: Rect| {
        let [x0, y0, x1, y1] = <[f32; 4]>::from(rect);
        [x0, y0, x1 - x0, y1 - y0].map(f64::from)
    };
    let said = annotation.rect.map(bbox);
    let Shape::Mask(mask) = shape else { return None };
    let own = mask.bbox().map(f64::from);
    if let Some(said) = said.filter(|said| said.iter().zip(own).any(|(a, b)| (a - b).abs() > PIXEL)) {
        let list = |numbers: [f64; 4]| numbers.map(|v| v.to_string()).join(", ");
        return Some(format!("its bbox is {}, that of its mask {}", list(said), list(own)));
    }
    let own = mask.area() as f64;
    let slack = if is_exact { 0.5 } else { (SHARE * own).max(4.0 * (own.sqrt() + 1.0)) };
    let said = annotation.area.filter(|said| (said - own).abs() > slack)?;
    Some(format!("its area is {said}, that of its mask {own}"))
}

#[cfg(test)]
mod tests;
