//! The tracks of CVAT's XML, with the shapes between their keyframes.

use std::collections::BTreeMap;

use super::{
    meta::Task,
    read::{attributes, stem_of},
    shape::{Outline, without_area},
};
use crate::{
    formats::{Id, Shape, dataset::Builder, number::whole, xml::Element},
    geometry::Size,
};

/// More frames than this are not a video.
const MOST_FRAMES: i64 = 1 << 28;
/// More shapes than this are not interpolated in a file.
const MOST_BETWEEN: usize = 1 << 20;

/// A track, and the video that it is of.
pub(super) struct Track<'a> {
    pub(super) element: &'a Element,
    /// What the track is called, different for each of the video.
    pub(super) id: &'a str,
    pub(super) video: &'a str,
    pub(super) task: Option<&'a Task>,
    pub(super) size: Option<Size>,
}

/// A shape of a track on a frame.
struct Key {
    frame: usize,
    what: String,
    is_outside: bool,
    outline: Outline,
    attributes: BTreeMap<String, String>,
}

impl Track<'_> {
    /// Reads all shapes, and those between and after keyframes as CVAT shows them: a file of CVAT's own export has them all.
    pub(super) fn read(&self, n_between: &mut usize, builder: &mut Builder) {
        let Some(label) = self.element.attribute("label").filter(|label| !label.is_empty()) else {
            return builder.refuse(format_args!("track {}", self.id), "it has no label");
        };
        let keys = self.keys(builder);
        let step = self.task.map_or(1, |task| task.step);
        let mut has_gap = false;
        let first = keys.iter().find(|key| !key.is_outside);
        let n_other = first.map_or(0, |first| {
            keys.iter().filter(|key| !key.is_outside && key.attributes != first.attributes).count()
        });
        let differ = "its attributes differ from those of its track's first shape, which are kept";
        builder.note_many("shape", differ, n_other);
        for (i, key) in keys.iter().enumerate().filter(|(_, key)| !key.is_outside) {
            let next = keys.get(i + 1);
            let shape = match key.outline.shape(self.size) {
                Ok(shape) => shape,
                Err(why) => {
                    builder.refuse(&key.what, why);
                    continue;
                }
            };
            self.add(key, key.frame, shape.clone(), label, builder);
            let until = next.map_or_else(|| self.end(key, has_gap, builder), |next| next.frame);
            let between = (key.frame + step..until).step_by(step);
            has_gap |= next.is_some() && between.len() > 0;
            if between.len() > MOST_BETWEEN - *n_between {
                builder.remark(&key.what, "too many frames follow it before the next one, they stay empty");
                continue;
            }
            *n_between += between.len();
            let why = match next {
                Some(_) => "interpolated between keyframes of a track, as CVAT does",
                None => "held from the last keyframe of a track to the end of the task, as CVAT does",
            };
            builder.note_many("shape", why, between.len());
            for frame in between {
                let share = (frame - key.frame) as f64 / (until - key.frame) as f64;
                let moved = next.and_then(|next| key.outline.between(&next.outline, share));
                match moved.map_or_else(|| Ok(shape.clone()), |moved| moved.shape(self.size)) {
                    Ok(shape) => self.add(key, frame, shape, label, builder),
                    Err(why) => builder.refuse(format_args!("frame {frame} of track {}", self.id), why),
                }
            }
        }
    }

    /// The end of what follows the last shape, exclusive: CVAT shows it to the end of the task. Files that have a shape on
    /// each frame mean what they say.
    fn end(&self, last: &Key, has_gap: bool, builder: &mut Builder) -> usize {
        let stop = self.task.and_then(|task| task.stop).filter(|stop| *stop > last.frame);
        match stop {
            Some(stop) if has_gap => stop + 1,
            Some(_) => {
                builder.note(
                    "track",
                    "it ends with its last shape, although CVAT holds that to the end of the task",
                );
                last.frame
            }
            None => last.frame,
        }
    }

    fn add(&self, key: &Key, frame: usize, shape: Shape, label: &str, builder: &mut Builder) {
        let name = format!("{}/frame_{frame:06}", stem_of(self.video));
        let image = builder.frame(self.video, frame, Some(&name), self.size);
        let category = builder.category(label);
        if let Some(annotation) = builder.annotate(&key.what, image, category, shape) {
            annotation.track = Some(Id::of(self.id));
            annotation.attributes = key.attributes.clone();
        }
    }

    /// The readable shapes in the order of their frames, one a frame.
    fn keys(&self, builder: &mut Builder) -> Vec<Key> {
        let mut keys: BTreeMap<usize, Key> = BTreeMap::new();
        for (element, n) in self.element.children.iter().zip(1..) {
            let what = format!("shape {n} of track {}", self.id);
            let is_outside =
                element.attribute("outside").is_some_and(|text| ["1", "true", "True"].contains(&text));
            if let Some((kind, why)) = without_area(&element.name) {
                builder.note_many(kind, why, usize::from(!is_outside));
                continue;
            }
            if element.name == "attribute" {
                continue;
            }
            let frame =
                element.attribute("frame").ok_or_else(|| "it has no frame".to_owned()).and_then(|text| {
                    let frame = whole(text).filter(|frame| (0..MOST_FRAMES).contains(frame));
                    frame.ok_or_else(|| format!("its frame is not that of a video: {text}"))
                });
            let read = frame.and_then(|frame| Ok((frame as usize, Outline::parse(element)?)));
            match read {
                Ok((frame, _)) if keys.contains_key(&frame) => {
                    builder.refuse(what, format_args!("the track has another shape on frame {frame}"));
                }
                Ok((frame, outline)) => {
                    let attributes = attributes(element);
                    keys.insert(frame, Key { frame, what, is_outside, outline, attributes });
                }
                Err(why) => builder.refuse(what, why),
            }
        }
        keys.into_values().collect()
    }
}
