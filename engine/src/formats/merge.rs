//! One data set of several files.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher as _,
};

use foldhash::fast::FixedState;

use super::{Annotation, Dataset, Id, Image, Shape};

/// The name of an image, its frame in a video, and its split.
type ImageKey = (String, Option<(usize, usize)>, Option<&'static str>);

/// A data set that several files make together. Images, videos and categories of the same name are one.
#[derive(Default)]
pub(super) struct Merger {
    all: Dataset,
    n_files: usize,
    images: HashMap<ImageKey, usize>,
    videos: HashMap<String, usize>,
    categories: HashMap<String, usize>,
    /// Keys of all labels, once there are several files.
    labels: HashSet<u64>,
    /// Tracks of the files before, by their videos.
    tracks: HashSet<(usize, Id)>,
}

impl Merger {
    /// Adds what another file says. Labels that an earlier one has are counted and left out; tracks of the new file become
    /// separate objects.
    pub(super) fn add(&mut self, name: &str, file: Dataset) {
        self.n_files += 1;
        let videos: Vec<usize> = file.videos.into_iter().map(|path| self.video(path)).collect();
        self.all
            .file_numbered_videos
            .extend(file.file_numbered_videos.into_iter().map(|video| videos[video]));
        self.all.unnamed_videos.extend(file.unnamed_videos.into_iter().map(|video| videos[video]));
        let n_before = self.all.images.len();
        let images: Vec<usize> = file
            .images
            .into_iter()
            .enumerate()
            .map(|(place, image)| {
                let frame = image.frame.map(|(video, index)| (videos[video], index));
                self.image(Image { frame, ..image }, file.splits.get(&place).copied())
            })
            .collect();
        let categories: Vec<usize> =
            file.categories.into_iter().map(|category| self.category(category)).collect();
        if self.n_files == 2 {
            // One file alone needs no comparison.
            self.labels = self
                .all
                .annotations
                .iter()
                .map(|label| key(label.image, label.category, &label.shape))
                .collect();
        }
        let (mut n_known, mut labels, mut tracks) = (0, Vec::new(), Vec::new());
        for annotation in file.annotations {
            let (image, category) = (images[annotation.image], categories[annotation.category]);
            if self.n_files > 1 {
                let key = key(image, category, &annotation.shape);
                if image < n_before && self.labels.contains(&key) {
                    n_known += 1;
                    continue;
                }
                labels.push(key);
            }
            let video = self.all.images[image].frame.map(|(video, _)| video);
            let track = annotation.track.map(|track| {
                let Some(video) = video else { return track };
                let id = (video, track);
                let is_other = self.tracks.contains(&id);
                let (_, track) = &id;
                let own = if is_other { Id::of(&format!("{track}#{}", self.n_files)) } else { track.clone() };
                tracks.push(id);
                own
            });
            self.all.annotations.push(Annotation { image, category, track, ..annotation });
        }
        self.labels.extend(labels);
        self.tracks.extend(tracks);
        self.all.refused.extend(file.refused.on_file(name));
        self.all.doubts.extend(file.doubts.on_file(name));
        self.all.notes.extend(file.notes.on_file(name));
        self.all.notes.count_many("annotation", "left out, another file has the same", n_known);
    }

    /// Returns the data set; none if no file was added.
    pub(super) fn finish(self) -> Option<Dataset> {
        (self.n_files > 0).then_some(self.all)
    }

    fn video(&mut self, path: String) -> usize {
        let all = &mut self.all.videos;
        *self.videos.entry(path).or_insert_with_key(|path| {
            all.push(path.clone());
            all.len() - 1
        })
    }

    /// Images of one name in different sizes or splits are two.
    fn image(&mut self, image: Image, split: Option<&'static str>) -> usize {
        let all = &mut self.all.images;
        let is_known_by_frame = image.frame.is_some();
        let name = image.file_name.clone().or(is_known_by_frame.then(String::new));
        let key = name.map(|name| (name, image.frame, split));
        let known = key.as_ref().and_then(|key| self.images.get(key).copied());
        let is_same = |known: &usize| {
            image.size.is_none() || all[*known].size.is_none_or(|size| Some(size) == image.size)
        };
        if let Some(known) = known.filter(is_same) {
            all[known].size = all[known].size.or(image.size);
            return known;
        }
        all.push(image);
        self.all.splits.extend(split.map(|split| (all.len() - 1, split)));
        if let Some(key) = key {
            self.images.entry(key).or_insert(all.len() - 1);
        }
        all.len() - 1
    }

    fn category(&mut self, category: super::Category) -> usize {
        let all = &mut self.all.categories;
        let known = category.name.as_ref().and_then(|name| self.categories.get(name));
        if let Some(known) = known {
            return *known;
        }
        self.categories.extend(category.name.clone().map(|name| (name, all.len())));
        all.push(category);
        all.len() - 1
    }
}

/// A label in short: equal labels have equal keys, and different ones hardly ever.
fn key(image: usize, category: usize, shape: &Shape) -> u64 {
    let hasher = FixedState::default();
    match shape {
        Shape::Mask(mask) => hasher.hash_one((image, category, mask.counts())),
        Shape::Box(rect) => hasher.hash_one((image, category, <[f32; 4]>::from(*rect).map(f32::to_bits))),
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::{Reading, coco::INSTANCES, tests::put};

    #[test]
    fn files_of_one_data_set_are_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, annotations: &str| {
            let text = format!(
                r#"{{"images": [{{"id": 7, "file_name": "a.png", "width": 9, "height": 9}}],
                "categories": [{{"id": 1, "name": "dog"}}], "annotations": [{annotations}]}}"#
            );
            put(&folder.path().join(name), text);
        };
        let annotation = |id: u32, x: u32| {
            format!(r#"{{"id": {id}, "image_id": 7, "category_id": 1, "bbox": [{x}, 1, 2, 2]}}"#)
        };
        file("instances.json", &[annotation(1, 1), annotation(2, 2)].join(", "));
        file("keypoints.json", &[annotation(1, 1), annotation(3, 3), annotation(4, 3)].join(", "));
        let read = INSTANCES.import(&Reading::new(folder.path())).unwrap();
        assert_eq!((read.images.len(), read.categories.len(), read.annotations.len()), (1, 1, 4));
        assert_eq!(read.notes.sentences(), ["1 annotation: left out, another file has the same"]);
    }
}
