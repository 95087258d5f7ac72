//! Masks as PNG files: one an object, white on black; or one an image, in which each pixel is of a class.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Carries, Dataset, Files, Format, FormatError, LeftOut, Masks, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, one_line},
    files,
    paths::without_suffix,
    png,
    recognize::Recognize,
    report::Loss,
};
use crate::{
    geometry::Size,
    mask::{Mask, Rle},
};

/// A file an object.
pub const BINARY: Format = Format {
    name: "masks",
    title: "Binary masks (PNG)",
    is_of_videos: false,
    carries: Carries { masks: Masks::Exact, boxes: false, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: write_binary,
    read: Some(Read {
        recognize: Recognize::Folder(|path, _| place(path).is_some_and(|place| !place.classes.is_file())),
        together: true,
        read: read_binary,
    }),
};

/// A file an image.
pub const INDEXED: Format = Format {
    name: "indexed-masks",
    title: "Class masks (PNG)",
    is_of_videos: false,
    carries: Carries {
        boxes: false,
        overlaps: false,
        tracks: false,
        attributes: false,
        objects: false,
        ..Carries::ALL
    },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: write_indexed,
    read: Some(Read {
        recognize: Recognize::Folder(|path, _| place(path).is_some_and(|place| place.classes.is_file())),
        together: true,
        read: read_indexed,
    }),
};

/// The folder of masks.
const MASKS: &str = "masks";
/// Names the classes, from 1 on, or from 0 if the first is that of the background.
const CLASSES: &str = "classes.txt";
const BACKGROUND: [&str; 5] = ["background", "_background_", "__background__", "bg", "unlabeled"];

/// The folder of masks, and the names of their classes.
struct Place {
    masks: PathBuf,
    classes: PathBuf,
}

/// Finds the folder `masks` in a folder, or the folder itself if that is its name.
fn place(path: &Path) -> Option<Place> {
    let real = path.canonicalize().ok()?;
    let above = match path.join(MASKS).is_dir() {
        true => path,
        false if real.ends_with(MASKS) && !files::with_suffix(&real, "png").is_empty() => real.parent()?,
        false => return None,
    };
    Some(Place { masks: above.join(MASKS), classes: above.join(CLASSES) })
}

fn write_binary(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for frame in &selection.frames {
        output.step()?;
        output.place(selection, frame, &format!("images/{}", selection.name(frame)));
        for label in selection.labels(frame) {
            output.step()?;
            let Shape::Mask(mask) = &label.shape else { continue };
            let bytes: Vec<u8> = mask.decode().bits().iter().map(|on| if *on { 255 } else { 0 }).collect();
            let category = escaped(&selection.categories[label.category].category.name);
            let name = format!("masks/{}/{}_{category}.png", selection.stem(frame), label.id.0);
            output.write(&name, |out| png::write_bytes(out, mask.size(), 1, &bytes))?;
        }
    }
    Ok(())
}

/// A name as part of a file's name: what no file can have there becomes its number after a percent sign, as in addresses.
fn escaped(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_ .()+&".contains(c);
    let mut text = String::new();
    for c in name.chars() {
        match is_plain(c) {
            true => text.push(c),
            false => c.to_string().bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}"))),
        }
    }
    text
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_binary(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    each_picture(reading, &mut builder, &mut |builder, name, (size, numbers)| {
        let Some((image, object)) = name.rsplit_once('/') else {
            return add_whole(builder, name, size, &numbers);
        };
        let Some((id, category)) = object.split_once('_') else {
            return builder.refuse(name, "its name is not a number, _ and a category");
        };
        let image = builder.image(image, Some(size));
        let category = builder.category(&unescaped(category));
        let bits = numbers.into_iter().map(|number| number > 0).collect();
        let mask = Shape::Mask(Arc::new(Rle::encode(&Mask::new(size, bits))));
        if let Some(annotation) = builder.annotate(name, image, category, mask) {
            annotation.track = Some(super::Id::of(id));
        }
    })?;
    builder.finish(reading.path, "masks as PNG files")
}

/// Adds the mask of a file that is in no folder of an image: an object on the image of its name.
fn add_whole(builder: &mut Builder, name: &str, size: Size, numbers: &[u32]) {
    let found: BTreeSet<u32> = numbers.iter().copied().filter(|number| *number > 0).collect();
    if found.len() > 1 {
        let why =
            format_args!("it has {} different numbers, and no {CLASSES} says what they are", found.len());
        return builder.refuse(name, why);
    }
    let image = builder.image(name, Some(size));
    if found.is_empty() {
        return;
    }
    let bits = numbers.iter().map(|number| *number > 0).collect();
    let mask = Shape::Mask(Arc::new(Rle::encode(&Mask::new(size, bits))));
    let category = builder.category("object");
    builder.annotate(name, image, category, mask);
    builder.note("mask", "its file names no category, so that it is called object");
}

fn write_indexed(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    /// 255 is often taken as "do not look here".
    const MOST: usize = 254;
    for frame in &selection.frames {
        output.step()?;
        output.place(selection, frame, &format!("images/{}", selection.name(frame)));
        let size = frame.medium.size;
        let mut numbers = vec![0; size.area()];
        for label in selection.labels(frame) {
            output.step()?;
            let Shape::Mask(mask) = &label.shape else { continue };
            if label.category >= MOST {
                output.report.leave_out(LeftOut::TooMany, 1);
                continue;
            }
            let n_covered = png::paint(&mut numbers, mask, label.category as u8 + 1);
            output.report.lose(Loss::Overlaps, usize::from(n_covered > 0));
        }
        let classes = numbers.iter().filter(|number| **number > 0).collect::<BTreeSet<&u8>>();
        output.report.annotations -= selection.labels(frame).len() - classes.len();
        let name = format!("masks/{}.png", selection.stem(frame));
        output.write(&name, |out| png::write_indexed(out, size, &numbers))?;
    }
    output.write(CLASSES, |out| {
        // A first class of this name would be taken for 0.
        if selection.categories.first().is_some_and(|kind| is_background(&kind.category.name)) {
            writeln!(out, "{}", BACKGROUND[0])?;
        }
        selection.categories.iter().try_for_each(|kind| writeln!(out, "{}", one_line(&kind.category.name)))
    })
}

fn read_indexed(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let beside = || reading.path.join(CLASSES);
    let path = place(reading.path).map_or_else(beside, |place| place.classes);
    let classes = fs::read_to_string(&path).map_err(|cause| FormatError::Read { path, cause })?;
    // Some lists begin with the name of 0.
    let has_0 = classes.lines().next().is_some_and(is_background);
    let classes: BTreeMap<u32, &str> = (u32::from(!has_0)..).zip(classes.lines()).collect();
    let mut builder = Builder::default();
    each_picture(reading, &mut builder, &mut |builder, name, (size, numbers)| {
        let image = builder.image(name, Some(size));
        for (number, mask) in png::masks_of(size, &numbers) {
            let what = format!("class {number} on {name}");
            match classes.get(&number) {
                Some(class) => {
                    let category = builder.category(class);
                    builder.annotate(what, image, category, Shape::Mask(Arc::new(mask)));
                }
                None => builder.refuse(what, format_args!("{CLASSES} has no such line")),
            }
        }
    })?;
    builder.finish(reading.path, "masks as PNG files")
}

fn is_background(name: &str) -> bool {
    BACKGROUND.contains(&&*name.trim().to_lowercase())
}

type Picture = (Size, Vec<u32>);

/// Tells each picture by its name without the suffix.
fn each_picture(
    reading: &Reading<'_>,
    builder: &mut Builder,
    found: &mut dyn FnMut(&mut Builder, &str, Picture),
) -> Result<(), FormatError> {
    let folder = place(reading.path).map_or_else(|| reading.path.to_owned(), |place| place.masks);
    let files = files::with_suffix(&folder, "png");
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let name = name_of(&folder, file);
        match png::read_numbers(file) {
            Ok(picture) => found(builder, &name, picture),
            Err(why) => builder.refuse(file.display(), why),
        }
    }
    Ok(())
}

/// The path of a file below a folder, with `/` and without the suffix.
fn name_of(folder: &Path, file: &Path) -> String {
    let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
    without_suffix(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_masks_is_read_itself() {
        let folder = tempfile::tempdir().unwrap();
        for (masks, by_name) in [("x/masks", true), ("y/other", false)] {
            let masks = folder.path().join(masks);
            fs::create_dir_all(masks.join("b")).unwrap();
            for (name, pixels) in
                [("a.png", [0, 255, 255, 0]), ("b/1_cat.png", [1, 0, 0, 0]), ("c.png", [1, 2, 0, 0])]
            {
                image::GrayImage::from_raw(2, 2, pixels.to_vec()).unwrap().save(masks.join(name)).unwrap();
            }
            assert_eq!(crate::formats::recognize(&Reading::new(&masks)).is_ok(), by_name);
            let dataset = BINARY.import(&Reading::new(&masks)).unwrap();
            let names: Vec<_> =
                dataset.categories.iter().filter_map(|category| category.name.as_deref()).collect();
            assert_eq!((dataset.annotations.len(), names), (2, vec!["object", "cat"]));
            assert_eq!(dataset.images[0].file_name.as_deref(), Some("a"));
            assert_eq!((dataset.refused.len(), dataset.notes.len()), (1, 1), "{}", dataset.refused);
        }
    }
}
