//! What a dataset says, added to a project.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, mem,
    sync::Arc,
};

use super::{
    Annotation, Category, Dataset, Id, Image, Shape, clip, coco, counted,
    dataset::{Refused, without_suffix},
};
use crate::{
    geometry::Size,
    project::{
        self, CategoryId, FrameId, Medium, MediumId, Object, ObjectId, Project, Segment, category_color,
    },
};

/// After so many annotations, the memory of those that are done with is given back.
const AT_ONCE: usize = 1 << 13;

/// A frame of a project, and what of its medium counts for it.
#[derive(Clone, Copy)]
struct Place {
    at: FrameId,
    size: Size,
    is_video: bool,
}

/// What was added to a project, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Annotations that were added.
    pub n_annotations: usize,
    /// Images, and frames of videos, that have got some.
    pub n_images: usize,
    /// Categories that are new to the project.
    pub n_categories: usize,
    /// Images, and frames of videos, that the project does not have: file names, or ids where there are none.
    pub missing: Vec<String>,
    /// What else was not added and why, one sentence each.
    pub refused: Vec<String>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (annotations, images) =
            (counted(self.n_annotations, "annotation"), counted(self.n_images, "image"));
        write!(f, "{annotations} on {images} added")?;
        if self.n_categories > 0 {
            write!(f, "; new categories: {}", self.n_categories)?;
        }
        if let Some(first) = self.missing.first() {
            let more = if self.missing.len() > 1 { ", …" } else { "" };
            write!(f, "; images that the project does not have: {} ({first}{more})", self.missing.len())?;
        }
        if let Some(first) = self.refused.first() {
            let more = if self.refused.len() > 1 { ", …" } else { "" };
            write!(f, "; not added for other reasons: {} ({first}{more})", self.refused.len())?;
        }
        Ok(())
    }
}

impl Dataset {
    /// Moves all annotations on images of the project there, each as an object or, where it goes on with a track, as a
    /// segment of one; results become proposals.
    ///
    /// An image is a medium's if their paths are the same, or else if no other medium's path shares as many last names with
    /// its path. A category is the project's of the same name, or else new.
    pub fn add_to(&mut self, project: &mut Project) -> Taken {
        let (mut taken, mut refused) = (Taken::default(), Refused::default());
        let frames = self.frames(project, &mut taken.missing, &mut refused);
        if let Some(image) = self.stranger(&frames) {
            let why =
                format!("{image} is of another size in the project, so the results are of other images");
            return Taken { refused: vec![format!("nothing is taken: {why}")], ..Taken::default() };
        }
        let categories = self.add_categories(project, &mut taken);
        let mut tracks: HashMap<(MediumId, CategoryId, Id), ObjectId> = HashMap::new();
        let mut has_got = vec![false; self.images.len()];
        let mut next = project.new_object();
        let mut annotations = mem::take(&mut self.annotations);
        annotations.reverse();
        while let Some(Annotation { image, category, track, score, shape, attributes }) = annotations.pop() {
            if annotations.len().is_multiple_of(AT_ONCE) {
                // The project's need more and more of the memory.
                annotations.shrink_to_fit();
            }
            let Some(Place { at, size, is_video }) = frames[image] else { continue };
            let Some(segment) = segment(shape, size) else {
                refused.push(format!("a box on {}", self.images[image]), "it has no part of the image");
                continue;
            };
            let category = categories[category];
            let track = track.filter(|_| is_video).map(|track| (at.medium, category, track));
            let begun = track.as_ref().and_then(|track| tracks.get(track).copied());
            let object = begun.filter(|object| project.segment(*object, at.frame).is_none());
            let object = object.unwrap_or_else(|| {
                let new = next;
                next = ObjectId(new.0 + 1);
                let object = Object { category, proposal: score, attributes };
                project.objects.insert((at.medium, new), Arc::new(object));
                new
            });
            tracks.extend(track.map(|track| (track, object)));
            project.segments.insert((object, at.frame), Arc::new(segment));
            taken.n_annotations += 1;
            has_got[image] = true;
        }
        let labeled = frames.iter().zip(has_got).filter(|(_, has_got)| *has_got);
        let labeled = labeled.filter_map(|(place, _)| Some(place.as_ref()?.at));
        taken.n_images = labeled.collect::<BTreeSet<_>>().len();
        taken.refused = refused.into_sentences();
        taken
    }

    /// An image whose masks are not of the size that it has in the project. Only results can have one, whose images are
    /// found by bare ids: ids of an export of something else.
    fn stranger(&self, frames: &[Option<Place>]) -> Option<&Image> {
        let stranger = self.annotations.iter().find(|annotation| {
            let place = frames[annotation.image].filter(|_| self.images[annotation.image].size.is_none());
            match (&annotation.shape, place) {
                (Shape::Mask(mask), Some(place)) => mask.size() != place.size,
                _ => false,
            }
        });
        stranger.map(|annotation| &self.images[annotation.image])
    }

    /// For each image the frame that it is, none if it is none of the project's.
    fn frames(
        &self,
        project: &Project,
        missing: &mut Vec<String>,
        refused: &mut Refused,
    ) -> Vec<Option<Place>> {
        let photos = project.media.iter().filter(|(_, medium)| !medium.is_video());
        let videos_here = || project.media.iter().filter(|(_, medium)| medium.is_video());
        let files = self.images.iter().filter_map(|image| image.file_name.as_deref());
        let (photos, videos) =
            (matches(files, photos), matches(self.videos.iter().map(|path| &**path), videos_here()));
        let photo = |path: &str| photos.get(path).map(|&medium| FrameId { medium, frame: 0 });
        // A frame that was extracted: its number in a folder that is called like the video.
        let frame_named = |path: &str| {
            let (folder, name) = path.rsplit_once(['/', '\\'])?;
            let frame = without_suffix(name).parse().ok()?;
            let of = |(_, medium): &(&MediumId, &Arc<Medium>)| {
                let stem = without_suffix(&medium.path);
                medium.n_frames > frame
                    && (folder == stem || folder.ends_with(&format!("/{stem}")) || last_name(stem) == folder)
            };
            let mut videos = videos_here().filter(of);
            let medium = *videos.next()?.0;
            videos.next().is_none().then_some(FrameId { medium, frame })
        };
        let frame_of = |image: &Image| {
            let in_video = image.frame.and_then(|(video, frame)| {
                let medium = *videos.get(&*self.videos[video])?;
                (frame < project.media[&medium].n_frames).then_some(FrameId { medium, frame })
            });
            in_video.or_else(|| match &image.file_name {
                Some(path) => photo(path).or_else(|| frame_named(path)),
                None => coco::exported(&image.id, project),
            })
        };
        let mut frames = Vec::with_capacity(self.images.len());
        for image in &self.images {
            let place = frame_of(image).map(|at| {
                let medium = &project.media[&at.medium];
                Place { at, size: medium.size, is_video: medium.is_video() }
            });
            let misfit = place.zip(image.size).filter(|(here, told)| here.size != *told);
            if let Some((here, told)) = misfit {
                let here = here.size;
                refused.push(image, format!("it is {told} in the file and {here} in the project"));
            } else if place.is_none() {
                missing.push(image.to_string());
            }
            frames.push(place.filter(|_| misfit.is_none()));
        }
        frames
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

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file_name {
            Some(path) => f.write_str(path),
            None => write!(f, "image {}", self.id),
        }
    }
}

/// The segment of a shape on an image; none if it has no part of it.
fn segment(shape: Shape, image: Size) -> Option<Segment> {
    match shape {
        Shape::Mask(mask) => Some(Segment::by_hand(mask)),
        Shape::Box(rect) => clip(rect, image).map(Segment::boxed),
    }
}

/// The id as one of the project's, if it leaves room for more.
fn free_id(id: &Id) -> Option<CategoryId> {
    let Id::Number(id) = id else { return None };
    u32::try_from(*id).ok().filter(|id| *id <= i32::MAX as u32).map(CategoryId)
}

/// Which medium each path means, if any. No medium is meant by two paths: it is the one's that shares more with its own.
fn matches<'a, 'm>(
    paths: impl Iterator<Item = &'a str>,
    media: impl Iterator<Item = (&'m MediumId, &'m Arc<Medium>)>,
) -> HashMap<&'a str, MediumId> {
    let mut media_by_name: HashMap<&str, Vec<(MediumId, &str)>> = HashMap::new();
    for (id, medium) in media {
        let path = &*medium.path;
        // Some formats name images without their suffixes.
        for path in BTreeSet::from([path, without_suffix(path)]) {
            media_by_name.entry(last_name(path)).or_default().push((*id, path));
        }
    }
    let mut claims: BTreeMap<MediumId, Vec<(usize, &str)>> = BTreeMap::new();
    for path in paths.collect::<BTreeSet<&str>>() {
        let candidates = media_by_name.get(last_name(path)).into_iter().flatten();
        let best = only_best(candidates.map(|(id, other)| (n_shared(path, other), *id)));
        if let Some((n_shared, id)) = best {
            claims.entry(id).or_default().push((n_shared, path));
        }
    }
    claims.into_iter().filter_map(|(id, paths)| Some((only_best(paths.into_iter())?.1, id))).collect()
}

/// What has the highest number, if only one has.
fn only_best<T>(ranked: impl Iterator<Item = (usize, T)>) -> Option<(usize, T)> {
    let mut best = None;
    let mut is_tie = false;
    for (rank, item) in ranked {
        let highest = best.as_ref().map(|(highest, _)| *highest);
        if highest < Some(rank) {
            (best, is_tie) = (Some((rank, item)), false);
        } else if highest == Some(rank) {
            is_tie = true;
        }
    }
    best.filter(|_| !is_tie)
}

/// How many last names two paths share; equal paths share most.
fn n_shared(a: &str, b: &str) -> usize {
    let shared = names(a).zip(names(b)).take_while(|(a, b)| a == b).count();
    if a == b { usize::MAX } else { shared }
}

/// A path's names from the last on, whichever system wrote it.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\'])
}

fn last_name(path: &str) -> &str {
    names(path).next().unwrap_or(path)
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

    /// Which media images of these names are.
    fn found<const N: usize>(file_names: [&str; N]) -> [Option<u32>; N] {
        let project = media();
        let all = imported(file_names.map(image).to_vec(), Vec::new());
        let frames = all.frames(&project, &mut Vec::new(), &mut Refused::default());
        std::array::from_fn(|i| frames[i].map(|place| place.at.medium.0))
    }

    #[test]
    fn images_are_found_by_path_by_its_end_and_by_name() {
        assert_eq!(found(["a/1.jpg", "b/1.jpg", "a/2.jpg"]), [Some(1), Some(3), Some(2)]);
        assert_eq!(found(["/data/b/1.jpg", "2.jpg"]), [Some(3), Some(2)]);
        assert_eq!(found(["C:\\data\\b\\1.jpg", "c/2.jpg"]), [Some(3), Some(2)]);
        // Either could be meant; another case is another file; a video is no photo.
        assert_eq!(found(["1.jpg", "a/1.JPG", "3.jpg", "", "e.mp4"]), [None; 5]);
        // Nobody else gets an image whose own path is in the file.
        assert_eq!(found(["a/2.jpg", "z/2.jpg"]), [Some(2), None]);
        assert_eq!(found(["y/2.jpg", "z/2.jpg"]), [None, None]);
    }

    #[test]
    fn what_the_project_does_not_have_is_said() {
        let mut project = media();
        let larger = Image { size: Some(Size::new(90, 70)), ..image("b/1.jpg") };
        let images = vec![image("a/1.jpg"), image("x.jpg"), larger];
        let mut all = imported(images, (0..3).map(|image| annotation(image, None)).collect());
        let taken = all.add_to(&mut project);
        assert_eq!(taken.missing, ["x.jpg"]);
        assert_eq!(taken.refused, ["b/1.jpg is not taken: it is 90x70 in the file and 9x7 in the project"]);
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
        let taken = all.add_to(&mut project);
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
        let taken = all.add_to(&mut project);
        assert_eq!(taken.missing, ["image 4", "image 40000020", "image -1"]);
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
        let taken = all.add_to(&mut project);
        let why = "image 2 is of another size in the project, so the results are of other images";
        assert_eq!(taken, Taken { refused: vec![format!("nothing is taken: {why}")], ..Taken::default() });
        assert_eq!(project, media());
    }

    #[test]
    fn a_track_is_one_object_through_its_video() {
        let mut project = media();
        let frame = |frame| Image { frame: Some((0, frame)), ..image("e/frame.jpg") };
        let images = vec![frame(0), frame(5), frame(20), image("a/1.jpg")];
        let on =
            [(0, Some(7)), (1, Some(7)), (1, Some(7)), (1, Some(8)), (2, Some(7)), (3, Some(7)), (3, None)];
        let taken =
            imported(images, on.map(|(image, track)| annotation(image, track)).to_vec()).add_to(&mut project);
        assert_eq!((taken.n_annotations, taken.n_images, taken.missing.len()), (6, 3, 1));
        let segments: Vec<(u32, usize)> = project.segments.keys().map(|(id, frame)| (id.0, *frame)).collect();
        assert_eq!(segments, [(1, 0), (1, 5), (2, 5), (3, 5), (4, 0), (5, 0)]);
        assert_eq!(project.objects_of(MediumId(1)).count(), 2);
    }
}
