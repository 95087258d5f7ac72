//! What there is in a project: how many objects of each category, how large, how long, how sure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::counted;
use crate::{
    messages::shortened,
    project::{CategoryId, FrameId, Medium, MediumId, Object, ObjectId, Project, Segment},
};

/// Areas from which on COCO calls an object medium, and large, in pixels.
const MEDIUM_AREA: u64 = 32 * 32;
/// See [`MEDIUM_AREA`].
const LARGE_AREA: u64 = 96 * 96;
/// Masks that overlap by so much of the smaller one are likely one object twice.
const MUCH: f64 = 0.5;

/// What there is in a project. Proposals, and objects that are not on their frames, do not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Photos.
    pub photos: usize,
    /// Videos.
    pub videos: usize,
    /// Photos, and frames of videos, with something on them.
    pub labeled_images: usize,
    /// Photos with nothing on them.
    pub empty_photos: usize,
    /// By name.
    pub categories: BTreeMap<String, CategoryStats>,
    /// All of them together.
    pub total: CategoryStats,
    /// How many images have so many objects; there are no more than the last.
    pub objects_per_image: Vec<usize>,
    /// Segments of proposals, which nobody has accepted or rejected.
    pub proposals: usize,
    /// Pairs of masks on one image of which the smaller lies half in the other.
    pub overlapping_pairs: usize,
}

/// What there is of a category.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CategoryStats {
    /// Objects; one through a video is one.
    pub objects: usize,
    /// Objects on frames.
    pub annotations: usize,
    /// Those of them that have a box and no mask.
    pub boxes: usize,
    /// Those of them that a person has said or confirmed.
    pub confirmed: usize,
    /// Frames of each object of a video.
    pub track_lengths: Spread,
    /// Pixels of each mask, or of each box where there is no mask.
    pub areas: Spread,
    /// Areas as COCO calls them: small, medium, large.
    pub sizes: [usize; 3],
}

/// The least of some numbers, the one in their middle, and the greatest; all zero of none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub least: u64,
    /// The one in the middle, the upper of two.
    pub median: u64,
    /// The greatest.
    pub greatest: u64,
    #[serde(skip)]
    all: Vec<u64>,
}

impl Spread {
    fn add(&mut self, number: u64) {
        self.all.push(number);
    }

    fn finish(&mut self) {
        self.all.sort_unstable();
        if let (Some(least), Some(greatest)) = (self.all.first(), self.all.last()) {
            (self.least, self.median, self.greatest) = (*least, self.all[self.all.len() / 2], *greatest);
        }
        self.all = Vec::new();
    }
}

impl CategoryStats {
    fn add_object(&mut self, medium: &Medium, n_frames: usize) {
        self.objects += 1;
        if medium.is_video() {
            self.track_lengths.add(n_frames as u64);
        }
    }

    fn add(&mut self, segment: &Segment, area: u64) {
        self.annotations += 1;
        self.boxes += usize::from(segment.mask.is_none());
        self.confirmed += usize::from(segment.is_given());
        self.areas.add(area);
        self.sizes[usize::from(area >= MEDIUM_AREA) + usize::from(area >= LARGE_AREA)] += 1;
    }

    /// Confirmed of all, 0 to 1.
    pub fn confirmed_share(&self) -> f64 {
        self.confirmed as f64 / self.annotations.max(1) as f64
    }
}

impl Stats {
    /// Of a project.
    pub fn of(project: &Project) -> Self {
        let names: BTreeMap<CategoryId, &str> =
            project.categories.iter().map(|(id, category)| (*id, &*category.name)).collect();
        let categories = names.values().map(|name| ((*name).to_owned(), CategoryStats::default()));
        let mut stats = Self { categories: categories.collect(), ..Self::default() };
        let is_counted = |object: &Object| object.proposal.is_none();
        let proposals = project.objects.iter().filter(|(_, object)| !is_counted(object));
        stats.proposals = proposals.map(|((_, id), _)| seen(project, *id).count()).sum();
        let mut on_image: BTreeMap<FrameId, Vec<&Segment>> = BTreeMap::new();
        for (&(id, object_id), object) in project.objects.iter().filter(|(_, object)| is_counted(object)) {
            let Some(medium) = project.media.get(&id) else { continue };
            let name = names.get(&object.category).copied().unwrap_or("(none)");
            let category = stats.categories.entry(name.to_owned()).or_default();
            let mut n_frames = 0;
            for (frame, segment, area) in seen(project, object_id) {
                n_frames += 1;
                category.add(segment, area);
                stats.total.add(segment, area);
                on_image.entry(FrameId { medium: id, frame }).or_default().push(segment);
            }
            if n_frames > 0 {
                category.add_object(medium, n_frames);
                stats.total.add_object(medium, n_frames);
            }
        }
        stats.count_images(project, &on_image);
        for category in stats.categories.values_mut().chain([&mut stats.total]) {
            category.areas.finish();
            category.track_lengths.finish();
        }
        stats
    }

    fn count_images(&mut self, project: &Project, on_image: &BTreeMap<FrameId, Vec<&Segment>>) {
        let labeled: BTreeSet<MediumId> = on_image.keys().map(|at| at.medium).collect();
        for (id, medium) in &project.media {
            let is_video = medium.is_video();
            *(if is_video { &mut self.videos } else { &mut self.photos }) += 1;
            self.empty_photos += usize::from(!is_video && !labeled.contains(id));
        }
        self.labeled_images = on_image.len();
        for segments in on_image.values() {
            if self.objects_per_image.len() <= segments.len() {
                self.objects_per_image.resize(segments.len() + 1, 0);
            }
            self.objects_per_image[segments.len()] += 1;
            self.overlapping_pairs += n_overlapping(segments);
        }
    }
}

/// An object where it is seen, with its area in pixels.
fn seen(project: &Project, id: ObjectId) -> impl Iterator<Item = (usize, &Segment, u64)> {
    project.track(id).filter_map(|(frame, segment)| {
        let area = match (&segment.mask, segment.rect) {
            (Some(mask), _) => mask.area(),
            (None, Some(rect)) => ((rect.x1 - rect.x0) * (rect.y1 - rect.y0)).max(0.0).ceil() as u64,
            (None, None) => 0,
        };
        (area > 0).then_some((frame, &**segment, area))
    })
}

fn n_overlapping(segments: &[&Segment]) -> usize {
    let masks: Vec<_> =
        segments.iter().filter_map(|segment| Some((segment.mask.as_ref()?, segment.bounds()?))).collect();
    let overlap =
        |(i, (mask, bounds)): (usize, &(&std::sync::Arc<crate::mask::Rle>, crate::geometry::Rect))| {
            let others = masks[..i].iter().filter(|(other, around)| {
                let apart = bounds.x0 >= around.x1
                    || around.x0 >= bounds.x1
                    || bounds.y0 >= around.y1
                    || around.y0 >= bounds.y1;
                let shared = || mask.intersection(other).area() as f64;
                !apart
                    && mask.size() == other.size()
                    && shared() >= MUCH * mask.area().min(other.area()) as f64
            });
            others.count()
        };
    masks.iter().enumerate().map(overlap).sum()
}

/// Characters of a category's name in the table.
const LONGEST_NAME: usize = 40;

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (photos, videos) = (counted(self.photos, "photo"), counted(self.videos, "video"));
        writeln!(f, "{photos} ({} with nothing on them), {videos}", self.empty_photos)?;
        let (n, images) = (self.total.annotations, counted(self.labeled_images, "image"));
        writeln!(f, "{} of {} on {images}", counted(n, "annotation"), counted(self.total.objects, "object"))?;
        if self.proposals > 0 {
            let proposals = counted(self.proposals, "proposal");
            writeln!(f, "{proposals}, to accept or reject in the window, not counted below")?;
        }
        let pairs = counted(self.overlapping_pairs, "pair");
        writeln!(f, "{pairs} of masks of which the smaller lies half in the other")?;
        let names: Vec<String> = self.categories.keys().map(|name| shortened(name, LONGEST_NAME)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        writeln!(
            f,
            "\n{:width$} {:>8} {:>11} {:>6} {:>9} {:>20} {:>22} {:>16}",
            "category",
            "objects",
            "annotations",
            "boxes",
            "confirmed",
            "small/medium/large",
            "area least/mid/most",
            "frames of tracks"
        )?;
        let rows = names.iter().zip(self.categories.values());
        for (name, category) in rows.chain([(&"all".to_owned(), &self.total)]) {
            let CategoryStats {
                objects,
                annotations,
                boxes,
                areas,
                sizes: [small, medium, large],
                track_lengths,
                ..
            } = category;
            let confirmed = format!("{:.0} %", 100.0 * category.confirmed_share());
            let sizes = format!("{small}/{medium}/{large}");
            let spread = |spread: &Spread| format!("{}/{}/{}", spread.least, spread.median, spread.greatest);
            let (areas, lengths) = (spread(areas), spread(track_lengths));
            writeln!(
                f,
                "{name:width$} {objects:>8} {annotations:>11} {boxes:>6} {confirmed:>9} {sizes:>20} {areas:>22} {lengths:>16}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        formats::tests::{SIZE, media},
        geometry::Rect,
        mask::{Mask, Rle},
        project::{self, Tracked},
    };

    #[test]
    fn all_is_counted_once() {
        let mut project = media();
        for (id, name) in [(1, "dog"), (2, "cat")] {
            project.categories.insert(CategoryId(id), Arc::new(project::Category::new(name, [0; 3])));
        }
        let full = || Segment::by_hand(Rle::encode(&Mask::new(SIZE, vec![true; SIZE.area()])));
        let tracked = || Segment { tracked: Some(Tracked { object_score: 1.0, agreement: None }), ..full() };
        let rect = Rect { x0: 0.0, y0: 0.0, x1: 2.0, y1: 2.0 };
        let objects = [
            (1, 1, vec![(0, full())]),
            (1, 1, vec![(0, full())]),
            (1, 2, vec![(0, Segment::boxed(rect))]),
            (4, 1, vec![(3, full()), (4, tracked()), (5, Segment::absent(SIZE))]),
        ];
        for (id, (medium, category, segments)) in (1..).map(ObjectId).zip(objects) {
            project.objects.insert((MediumId(medium), id), Arc::new(Object::new(CategoryId(category))));
            for (frame, segment) in segments {
                project.segments.insert((id, frame), Arc::new(segment));
            }
        }
        let proposal = Object { proposal: Some(0.5), ..Object::new(CategoryId(1)) };
        project.objects.insert((MediumId(2), ObjectId(9)), Arc::new(proposal));
        project.segments.insert((ObjectId(9), 0), Arc::new(full()));

        let stats = Stats::of(&project);
        assert_eq!((stats.photos, stats.videos, stats.empty_photos, stats.labeled_images), (3, 1, 2, 3));
        assert_eq!(stats.objects_per_image, [0, 2, 0, 1]);
        assert_eq!(stats.overlapping_pairs, 1);
        let dog = &stats.categories["dog"];
        assert_eq!((dog.objects, dog.annotations, dog.boxes, dog.confirmed), (3, 4, 0, 3));
        assert_eq!((dog.track_lengths.least, dog.areas.median, dog.sizes), (2, 63, [4, 0, 0]));
        assert_eq!((stats.categories["cat"].boxes, stats.categories["cat"].areas.greatest), (1, 4));
        assert_eq!((stats.total.objects, stats.total.annotations), (4, 5));
        let text = stats.to_string();
        assert!(text.contains("5 annotations of 4 objects on 3 images"), "{text}");
    }
}
