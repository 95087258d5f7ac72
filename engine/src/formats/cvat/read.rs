//! CVAT's XML, element by element.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use super::{
    meta::Meta,
    shape::{Outline, box_of_mask, without_area},
    track::Track,
};
use crate::{
    formats::{
        Dataset, FormatError, Reading,
        dataset::Builder,
        json::Metered,
        number::whole,
        paths::{last_name, split_named, without_suffix},
        valid_size,
        xml::{self, Element},
    },
    media::is_named_as_image,
};

/// Reads images and tracks, whichever a file has.
pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    let mut meta = Meta::default();
    // Names of videos and sizes may follow what needs them.
    each(reading, &mut |element| meta.add(&element, &mut builder))?;
    let mut reader =
        Reader { reading, meta: &meta, builder, tracks: HashSet::new(), n_tracks: 0, n_between: 0 };
    let damage = each(reading, &mut |element| match &*element.name {
        "version" | "meta" => {}
        "image" => reader.read_image(&element),
        "track" => reader.read_track(&element),
        other => reader
            .builder
            .note(&format!("{other} element"), "not taken, CVAT's format is not known to have such"),
    })?;
    let mut builder = reader.builder;
    if let Some(damage) = damage {
        builder.refuse("what follows", damage);
    }
    builder.finish(reading.path, "images or tracks as CVAT has them")
}

/// Gives the elements at the top of a file; returns why it is not read to its end.
fn each(reading: &Reading<'_>, found: &mut dyn FnMut(Element)) -> Result<Option<io::Error>, FormatError> {
    let input = io::BufReader::new(Metered::open(reading)?);
    let read = xml::elements(input, 1, &mut |element| {
        found(element);
        Ok(())
    });
    match read {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(error)),
        Err(error) => Err(FormatError::reading(reading.path, error)),
    }
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    meta: &'a Meta,
    builder: Builder,
    /// The videos and ids of tracks so far.
    tracks: HashSet<(String, String)>,
    n_tracks: usize,
    /// The number of interpolated shapes so far.
    n_between: usize,
}

impl Reader<'_> {
    fn read_image(&mut self, element: &Element) {
        let Self { reading, meta, builder, .. } = self;
        let Some(name) = element.attribute("name").filter(|name| !name.is_empty()) else {
            let id = element.attribute("id").unwrap_or("without id");
            return builder.refuse(format_args!("image {id}"), "it has no name");
        };
        let path = match meta.path_of(name, element) {
            Ok(path) => path,
            Err(why) => return builder.refuse(format_args!("image {name}"), why),
        };
        let task = meta.task_of(element);
        let side = |name| usize::try_from(whole(element.attribute(name)?)?).ok();
        let stated = side("width").zip(side("height")).and_then(|(width, height)| valid_size(width, height));
        let video = task.and_then(|task| task.source.as_deref());
        let image = match video.zip(frame_number(name)) {
            // CVAT calls the frames of a video like this, and has no other names for them.
            Some((video, frame)) => {
                let of_task = || task.and_then(|task| task.size);
                let size = reading.size_of(video, stated.or_else(of_task));
                let name = format!("{}/{}", stem_of(video), last_name(name));
                builder.frame(video, frame, Some(&name), size)
            }
            None => builder.image(&path, reading.size_of(&path, stated)),
        };
        builder.set_split(image, element.attribute("subset").and_then(split_named));
        let size = builder.size(image);
        let mut shapes: Vec<(usize, &Element)> = (1..).zip(&element.children).collect();
        // Shapes of a greater z_order lie on top, as later ones do here.
        shapes.sort_by_key(|(_, shape)| shape.attribute("z_order").and_then(whole).unwrap_or(0));
        for (n, shape) in shapes {
            let what = format!("shape {n} of {name}");
            if let Some((kind, why)) = without_area(&shape.name) {
                builder.note(kind, why);
                continue;
            }
            let label = shape.attribute("label").filter(|label| !label.is_empty());
            let label = label.ok_or_else(|| "it has no label".to_owned());
            let mut outline = || {
                Outline::parse(shape).and_then(|outline| outline.shape(size)).or_else(|why| {
                    let rect = box_of_mask(shape).ok_or_else(|| why.clone())?;
                    builder
                        .refuse(format_args!("the mask of {what}"), format_args!("{why}; its box is kept"));
                    Ok::<_, String>(rect)
                })
            };
            match label.and_then(|label| Ok((label, outline()?))) {
                Ok((label, outline)) => {
                    let category = builder.category(label);
                    if let Some(annotation) = builder.annotate(what, image, category, outline) {
                        annotation.attributes = attributes(shape);
                    }
                }
                Err(why) => builder.refuse(what, why),
            }
        }
    }

    fn read_track(&mut self, element: &Element) {
        self.n_tracks += 1;
        let task = self.meta.task_of(element);
        let video = task.and_then(|task| task.source.clone()).unwrap_or_else(|| {
            let video = unnamed_video(self.reading);
            self.builder.add_unnamed_video(&video);
            video
        });
        let id = element.attribute("id").filter(|id| !id.is_empty()).unwrap_or("unnamed").to_owned();
        let is_new = self.tracks.insert((video.clone(), id.clone()));
        // Tracks of the same id are different objects.
        let id = if is_new { id } else { format!("{id}#{}", self.n_tracks) };
        let size = self.reading.size_of(&video, task.and_then(|task| task.size));
        let track = Track { element, id: &id, video: &video, task, size };
        track.read(&mut self.n_between, &mut self.builder);
    }
}

/// The video of a file that does not name it: one of the file's own name, or else of its folder's where CVAT named the file.
fn unnamed_video(reading: &Reading<'_>) -> String {
    let stem = reading.path.file_stem().unwrap_or_default();
    let beside = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let is_video = path.file_stem() == Some(stem) && path != reading.path && !is_named_as_image(&path);
        is_video.then(|| path.file_name().map(ToOwned::to_owned))?
    };
    let folder = crate::file::folder_of(reading.path);
    let video = std::fs::read_dir(&folder).ok().and_then(|entries| entries.filter_map(beside).next());
    // CVAT itself calls all its files so.
    let own = Some(stem).filter(|stem| *stem != "annotations").map(ToOwned::to_owned);
    let video = video.or(own).or_else(|| folder.file_name().map(ToOwned::to_owned));
    video.unwrap_or_default().to_string_lossy().into_owned()
}

/// The number of a frame of a video whose image is called as CVAT does it: `frame_000003`.
fn frame_number(name: &str) -> Option<usize> {
    let digits = without_suffix(last_name(name)).strip_prefix("frame_")?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
        .filter(|frame| *frame < 1 << 28)
}

/// The last name of a video without its suffix.
pub(super) fn stem_of(video: &str) -> &str {
    without_suffix(last_name(video))
}

/// What else is said of a shape. Marks are attributes where they are set.
pub(super) fn attributes(element: &Element) -> BTreeMap<String, String> {
    let marks = ["occluded", "group_id"].into_iter().filter_map(|name| {
        let value = element.attribute(name).filter(|value| !["", "0", "false", "False"].contains(value))?;
        let value = if ["true", "True"].contains(&value) { "1" } else { value };
        Some((name.to_owned(), value.to_owned()))
    });
    let all = element.all("attribute");
    marks.chain(all.filter_map(|one| Some((one.attribute("name")?.to_owned(), one.text.clone())))).collect()
}
