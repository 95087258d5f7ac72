//! What a dataset says, added to a project.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    hash::BuildHasher as _,
    mem,
    path::Path,
    sync::Arc,
};

use super::{
    Annotation, Category, Dataset, Id, Image, Messages, Shape, clip, counted,
    matching::{Place, places},
};
use crate::{
    geometry::Size,
    project::{self, CategoryId, FrameId, MediumId, Object, ObjectId, Project, Segment, category_color},
};

/// After so many annotations, the memory of those that are done with is given back.
const AT_ONCE: usize = 1 << 13;

/// What was added to a project, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Annotations that were added, proposals among them.
    pub n_annotations: usize,
    /// Annotations that were added as proposals, for a person to accept or reject.
    pub n_proposals: usize,
    /// Images, and frames of videos, that have got some.
    pub n_images: usize,
    /// Categories that are new to the project.
    pub n_categories: usize,
    /// Images, and frames of videos, that the project does not have: file names, or ids where there are none.
    pub missing: Vec<String>,
    /// Labels and images that were not added for other reasons.
    pub refused: Messages,
    /// Decisions about labels that may be read otherwise.
    pub notes: Messages,
    /// Annotations that the project had before.
    pub n_known: usize,
    /// Annotations of the data set, and items of it that are refused.
    pub n_offered: usize,
}

impl Taken {
    /// True if nothing was added.
    pub fn is_nothing(&self) -> bool {
        self.n_annotations == 0 && (self.n_categories == 0 || self.n_offered > 0)
    }

    /// Returns all messages, one sentence each.
    pub fn messages(&self) -> Vec<String> {
        [&self.refused, &self.notes].into_iter().flat_map(Messages::sentences).collect()
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (annotations, images) =
            (counted(self.n_annotations, "annotation"), counted(self.n_images, "image"));
        write!(f, "{annotations} on {images} added")?;
        if self.n_proposals > 0 {
            write!(f, " ({} of them proposals, to accept or reject in the window)", self.n_proposals)?;
        }
        if self.n_categories > 0 {
            write!(f, "; new categories: {}", self.n_categories)?;
        }
        if let Some(first) = self.missing.first() {
            let more = if self.missing.len() > 1 { ", …" } else { "" };
            write!(f, "; images that the project does not have: {} ({first}{more})", self.missing.len())?;
        }
        if self.n_known > 0 {
            write!(f, "; already in the project: {}", counted(self.n_known, "annotation"))?;
        }
        if let Some(first) = self.refused.sentences().first() {
            let more = if self.refused.len() > 1 { ", …" } else { "" };
            write!(f, "; not added for other reasons: {} ({first}{more})", self.refused.len())?;
        }
        Ok(())
    }
}

impl Dataset {
    /// Moves all annotations on images of the project there, each as an object or, where it continues a track, as a segment
    /// of one; results become proposals. The project's file is in `folder`.
    ///
    /// An image is the project's whose path agrees best. A category is the project's of the same name,
    /// or else new. Annotations that the project has already are counted and not added, unless `repeat` is true.
    pub fn add_to(&mut self, project: &mut Project, folder: &Path, repeat: bool) -> Taken {
        let n_offered = self.annotations.len() + self.refused.len();
        let mut taken = Taken { n_offered, ..Taken::default() };
        let places = places(self, project, folder, &mut taken);
        if let Some(image) = self.stranger(&places) {
            let image = self.title(image);
            let mut refused = Messages::default();
            refused.say(format_args!(
                "nothing is taken: {image} is of another size in the project, so the results are of other images"
            ));
            return Taken { refused, ..Taken::default() };
        }
        let categories_before = project.categories.clone();
        let categories = self.add_categories(project, &mut taken);
        let known = if repeat { HashMap::default() } else { known_labels(project) };
        let mut tracks: HashMap<(MediumId, CategoryId, Id), ObjectId> = HashMap::new();
        let mut has_got = vec![false; self.images.len()];
        // One photo may be an image of several splits, which list the same labels.
        let mut taken_of: HashMap<LabelKey, usize> = HashMap::new();
        // Objects of which nothing but the category is known are the same value.
        let mut plain: HashMap<CategoryId, Arc<Object>> = HashMap::new();
        let mut next = project.new_object();
        let mut annotations = mem::take(&mut self.annotations);
        annotations.reverse();
        while let Some(annotation) = annotations.pop() {
            let Annotation { image, category, track, score, shape, mut attributes } = annotation;
            if annotations.len().is_multiple_of(AT_ONCE) {
                // The project's need more and more of the memory.
                annotations.shrink_to_fit();
            }
            let Some(Place { at, size, is_video }) = places[image] else { continue };
            let Some(segment) = segment(shape, size) else {
                let item = format_args!("a box on {}", self.title(&self.images[image]));
                taken.refused.refuse(item, "it has no part of the image");
                continue;
            };
            let category = categories[category];
            let is_frame = self.images[image].frame.is_some();
            if let Some(track) = track.as_ref().filter(|_| is_frame && !is_video) {
                attributes.insert("track_id".to_owned(), track.to_string());
            }
            let track = track.filter(|_| is_video).map(|track| (at.medium, category, track));
            if let Some(object) = known.get(&label_key(at, category, &segment)) {
                taken.n_known += 1;
                // What is new of the track continues the object.
                tracks.extend(track.map(|track| (track, *object)));
                continue;
            }
            if !self.splits.is_empty() {
                let first = *taken_of.entry(label_key(at, category, &segment)).or_insert(image);
                if first != image && !repeat {
                    taken.n_known += 1;
                    continue;
                }
            }
            let begun = track.as_ref().and_then(|track| tracks.get(track).copied());
            let object = begun.filter(|object| project.segment(*object, at.frame).is_none());
            let object = object.unwrap_or_else(|| {
                let new = next;
                next = ObjectId(new.0 + 1);
                let is_plain = score.is_none() && attributes.is_empty();
                let object = || Arc::new(Object { category, proposal: score, attributes });
                let object =
                    if is_plain { plain.entry(category).or_insert_with(object).clone() } else { object() };
                project.objects.insert((at.medium, new), object);
                new
            });
            tracks.extend(track.map(|track| (track, object)));
            project.segments.insert((object, at.frame), Arc::new(segment));
            taken.n_annotations += 1;
            taken.n_proposals += usize::from(score.is_some());
            has_got[image] = true;
        }
        let labeled = places.iter().zip(has_got).filter(|(_, has_got)| *has_got);
        let labeled = labeled.filter_map(|(place, _)| Some(place.as_ref()?.at));
        taken.n_images = labeled.collect::<BTreeSet<_>>().len();
        if taken.is_nothing() {
            project.categories = categories_before;
            taken.n_categories = 0;
        }
        taken
    }

    /// An image whose masks are not of the size that it has in the project. Only results can have one, whose images are
    /// found by bare ids: ids of an export of something else.
    fn stranger(&self, places: &[Option<Place>]) -> Option<&Image> {
        let stranger = self.annotations.iter().find(|annotation| {
            let place = places[annotation.image].filter(|_| self.images[annotation.image].size.is_none());
            match (&annotation.shape, place) {
                (Shape::Mask(mask), Some(place)) => mask.size() != place.size,
                _ => false,
            }
        });
        stranger.map(|annotation| &self.images[annotation.image])
    }

    /// For each category the project's.
    fn add_categories(&self, project: &mut Project, taken: &mut Taken) -> Vec<CategoryId> {
        let named = project.categories.iter().map(|(id, category)| (category.name.clone(), *id));
        let mut named: BTreeMap<String, CategoryId> = named.collect();
        let id_of = |category: &Category| {
            let free = free_id(&category.id);
            if category.name.is_none()
                && let Some(id) = free.filter(|id| project.categories.contains_key(id))
            {
                return id;
            }
            let name = category.name.clone().unwrap_or_else(|| format!("category {}", category.id));
            *named.entry(name).or_insert_with_key(|name| {
                let free = free.filter(|id| !project.categories.contains_key(id));
                let id = free.unwrap_or_else(|| project.new_category());
                let color = category.color.unwrap_or_else(|| category_color(project.categories.len()));
                let supercategory = category.supercategory.clone();
                let new = project::Category { supercategory, ..project::Category::new(name, color) };
                project.categories.insert(id, Arc::new(new));
                taken.n_categories += 1;
                id
            })
        };
        self.categories.iter().map(id_of).collect()
    }
}

/// The segment of a shape on an image; none if it has no part of it.
fn segment(shape: Shape, image: Size) -> Option<Segment> {
    match shape {
        Shape::Mask(mask) => Some(Segment::by_hand(mask)),
        Shape::Box(rect) => clip(rect, image).map(Segment::boxed),
    }
}

/// A label of a project in short: equal labels have equal keys, and different ones hardly ever.
type LabelKey = (FrameId, CategoryId, u64);

fn label_key(at: FrameId, category: CategoryId, segment: &Segment) -> LabelKey {
    let hasher = foldhash::fast::FixedState::default();
    let shape = match (&segment.mask, segment.rect) {
        (Some(mask), _) => hasher.hash_one(mask.counts()),
        (None, rect) => hasher.hash_one(rect.map(|rect| <[f32; 4]>::from(rect).map(f32::to_bits))),
    };
    (at, category, shape)
}

/// The labels of a project and their objects.
fn known_labels(project: &Project) -> HashMap<LabelKey, ObjectId, foldhash::fast::RandomState> {
    let labels = project.objects.iter().flat_map(|(&(medium, id), object)| {
        let segments = project.track(id);
        let key = move |frame, segment| label_key(FrameId { medium, frame }, object.category, segment);
        segments.map(move |(frame, segment)| (key(frame, segment), id))
    });
    labels.collect()
}

/// The id as one of the project's, if it leaves room for more.
fn free_id(id: &Id) -> Option<CategoryId> {
    let Id::Number(id) = id else { return None };
    u32::try_from(*id).ok().filter(|id| *id <= i32::MAX as u32).map(CategoryId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::tests::{SIZE, media},
        geometry::Rect,
        mask::{Rle, testing::picture},
    };

    fn image(file_name: &str) -> Image {
        let file_name = Some(file_name.to_owned());
        Image { id: Id::Number(0), file_name, size: Some(SIZE), frame: None }
    }

    fn category(id: i64, name: Option<&str>) -> Category {
        let name = name.map(str::to_owned);
        Category { id: Id::Number(id), name, supercategory: "thing".to_owned(), color: None }
    }

    /// A box on an image.
    fn annotation(image: usize, track: Option<i64>) -> Annotation {
        let shape = Shape::Box(Rect { x0: 1.0, y0: 1.0, x1: 99.0, y1: 3.0 });
        let (track, score, attributes) = (track.map(Id::Number), None, BTreeMap::new());
        Annotation { image, category: 0, track, score, shape, attributes }
    }

    fn imported(images: Vec<Image>, annotations: Vec<Annotation>) -> Dataset {
        let (videos, categories) = (vec!["e.mp4".to_owned()], vec![category(1, Some("dog"))]);
        Dataset { images, videos, categories, annotations, ..Dataset::default() }
    }

    #[test]
    fn what_the_project_does_not_have_is_said() {
        let mut project = media();
        let larger = Image { size: Some(Size::new(90, 70)), ..image("b/1.jpg") };
        let images = vec![image("a/1.jpg"), image("x.jpg"), larger];
        let mut all = imported(images, (0..3).map(|image| annotation(image, None)).collect());
        let taken = all.add_to(&mut project, Path::new(""), false);
        assert_eq!(taken.missing, ["x.jpg"]);
        let why = "the labels are for 90x70 pixels, the image has 9x7";
        assert_eq!(taken.refused.sentences(), [format!("b/1.jpg is not taken: {why}")]);
        assert_eq!((taken.n_annotations, taken.n_images, taken.n_categories), (1, 1, 1));
        let text = taken.to_string();
        assert!(text.contains("1 annotation on 1 image added") && text.contains("1 (x.jpg)"), "{text}");
        let segment = project.segment(ObjectId(1), 0).unwrap();
        assert_eq!(segment.rect, Some(Rect { x0: 1.0, y0: 1.0, x1: 9.0, y1: 3.0 }));
    }

    #[test]
    fn categories_keep_their_names_and_free_ids_and_get_colors_of_their_own() {
        let mut project = media();
        project.categories.insert(CategoryId(1), Arc::new(project::Category::new("cat", [9, 9, 9])));
        let mut all = imported(Vec::new(), Vec::new());
        all.categories =
            [(3, "cat"), (1, "dog"), (90, "cow"), (-5, "owl"), (u32::MAX.into(), "emu"), (91, "cow")]
                .map(|(id, name)| category(id, Some(name)))
                .to_vec();
        let taken = all.add_to(&mut project, Path::new(""), false);
        assert_eq!(taken.n_categories, 4);
        let names: Vec<(u32, &str)> = project.categories.iter().map(|(id, c)| (id.0, &*c.name)).collect();
        assert_eq!(names, [(1, "cat"), (2, "dog"), (90, "cow"), (91, "owl"), (92, "emu")]);
        let colors: BTreeSet<[u8; 3]> = project.categories.values().map(|category| category.color).collect();
        assert_eq!(colors.len(), 5);
        assert_eq!(project.categories[&CategoryId(90)].supercategory, "thing");
    }

    #[test]
    fn results_are_proposals_on_what_had_their_ids_in_an_export() {
        let mut project = media();
        project.categories.insert(CategoryId(3), Arc::new(project::Category::new("cat", [9, 9, 9])));
        let by_id = |id| Image { id: Id::Number(id), file_name: None, size: None, frame: None };
        let images = [3, 40_000_017, 4, 40_000_020, -1].map(by_id).to_vec();
        let proposal = |image| Annotation { score: Some(0.5), ..annotation(image, None) };
        let mut all = imported(images, (0..5).map(proposal).collect());
        all.categories = vec![category(3, None), category(8, None)];
        all.annotations[1].category = 1;
        let taken = all.add_to(&mut project, Path::new(""), false);
        assert_eq!((taken.missing.len(), taken.refused.len(), taken.n_proposals), (0, 3, 2));
        assert!(taken.refused.sentences()[0].starts_with("image 4 is not taken: only its id is known"));
        let found: Vec<_> =
            project.objects.iter().map(|(at, o)| (at.0.0, o.category.0, o.proposal)).collect();
        assert_eq!(found, [(3, 3, Some(0.5)), (4, 8, Some(0.5))]);
        assert!(project.segment(ObjectId(2), 17).is_some());
        assert_eq!(project.categories[&CategoryId(8)].name, "category 8");
    }

    #[test]
    fn results_on_other_images_are_not_taken_at_all() {
        let mut project = media();
        let by_id = |id| Image { id: Id::Number(id), file_name: None, size: None, frame: None };
        let mut all = imported([1, 2].map(by_id).to_vec(), vec![annotation(0, None), annotation(1, None)]);
        all.annotations[1].shape = Shape::Mask(Arc::new(Rle::encode(&picture(&["##"]))));
        let taken = all.add_to(&mut project, Path::new(""), false);
        let why = "image 2 is of another size in the project, so the results are of other images";
        assert_eq!(taken.refused.sentences(), [format!("nothing is taken: {why}")]);
        assert!(taken.is_nothing());
        assert_eq!(project, media());
    }

    #[test]
    fn a_track_is_one_object_through_its_video() {
        let mut project = media();
        let frame = |frame| Image { frame: Some((0, frame)), ..image("e/frame.jpg") };
        let images = vec![frame(0), frame(5), frame(20), image("a/1.jpg")];
        let on =
            [(0, Some(7)), (1, Some(7)), (1, Some(7)), (1, Some(8)), (2, Some(7)), (3, Some(7)), (3, None)];
        let taken = imported(images, on.map(|(image, track)| annotation(image, track)).to_vec()).add_to(
            &mut project,
            Path::new(""),
            false,
        );
        assert_eq!((taken.n_annotations, taken.n_images, taken.refused.len()), (6, 3, 1));
        let segments: Vec<(u32, usize)> = project.segments.keys().map(|(id, frame)| (id.0, *frame)).collect();
        assert_eq!(segments, [(1, 0), (1, 5), (2, 5), (3, 5), (4, 0), (5, 0)]);
        assert_eq!(project.objects_of(MediumId(1)).count(), 2);
    }

    #[test]
    fn annotations_that_are_there_are_not_added_again() {
        let mut project = media();
        let dataset = || imported(vec![image("a/1.jpg")], vec![annotation(0, None), annotation(0, None)]);
        assert_eq!(dataset().add_to(&mut project, Path::new(""), false).n_annotations, 2);
        let before = project.clone();
        let taken = dataset().add_to(&mut project, Path::new(""), false);
        assert!(taken.is_nothing() && taken.n_known == 2 && project == before, "{taken}");
        assert_eq!(dataset().add_to(&mut project, Path::new(""), true).n_annotations, 2);
    }
}
