//! CVAT's XML, element by element.

use std::{collections::BTreeMap, fs, io, sync::Arc};

use crate::{
    formats::{
        Dataset, FormatError, Id, Reading, Shape,
        dataset::{Builder, frame_name},
        png,
        polygon::rasterize,
        xml::{self, Element},
    },
    geometry::{Rect, Size},
    mask::{Mask, Patch, Rle},
};

/// More frames than this are no video.
const MOST_FRAMES: usize = 1 << 28;

pub(super) fn images(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    each(reading, &["label", "image"], &mut |element| {
        if element.name == "label" {
            read_label(&element, &mut builder);
            return;
        }
        let name = element.attribute("name").unwrap_or_default().to_owned();
        let size = match size(&element) {
            Ok(size) => size,
            Err(why) => return builder.refuse(format_args!("image {name}"), why),
        };
        let image = builder.image(&name, Some(size));
        for (shape, n) in element.children.iter().zip(1..) {
            let what = format!("shape {n} of {name}");
            let read = shape
                .attribute("label")
                .ok_or_else(|| "it has no label".to_owned())
                .and_then(|label| Ok((label, read_shape(shape, size)?)));
            match read {
                Ok((label, told)) => {
                    let category = builder.category(label);
                    if let Some(annotation) = builder.annotate(what, image, category, told) {
                        annotation.attributes = attributes(shape);
                    }
                }
                Err(why) => builder.refuse(what, why),
            }
        }
    })?;
    builder.finish(reading.path, "images as CVAT has them")
}

pub(super) fn videos(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    let folder = reading.path.parent().and_then(|folder| folder.file_name());
    let mut video = folder.unwrap_or_default().to_string_lossy().into_owned();
    let mut of_video: Option<Size> = None;
    each(reading, &["label", "source", "original_size", "track"], &mut |element| match &*element.name {
        "label" => read_label(&element, &mut builder),
        "source" if !element.text.trim().is_empty() => element.text.trim().clone_into(&mut video),
        "original_size" => {
            let side = |name| element.told(name)?.parse::<usize>().ok();
            let size = side("width").zip(side("height"));
            of_video = size.map(|(width, height)| Size::new(width, height)).filter(fits);
        }
        "track" => {
            let id = element.attribute("id").unwrap_or_default();
            match reading.size_of(&video, of_video) {
                Some(size) => read_track(&element, &video, size, &mut builder),
                None => builder.refuse(format_args!("track {id}"), "the size of its video is not known"),
            }
        }
        _ => {}
    })?;
    builder.finish(reading.path, "tracks as CVAT has them")
}

fn each(reading: &Reading<'_>, wanted: &[&str], found: &mut dyn FnMut(Element)) -> Result<(), FormatError> {
    let path = reading.path;
    let file = fs::File::open(path).map_err(|cause| FormatError::Read { path: path.to_owned(), cause })?;
    let mut n = 0;
    let read = xml::elements(io::BufReader::new(file), wanted, &mut |element| {
        n += 1;
        if !(reading.progress)(n, n + 1) {
            return Err(io::Error::other(FormatError::Canceled));
        }
        found(element);
        Ok(())
    });
    read.map_err(|error| FormatError::reading(path, error))
}

fn read_label(element: &Element, builder: &mut Builder) {
    let Some(name) = element.told("name") else { return };
    let category = builder.category(name);
    let color = element.told("color").and_then(|color| color.strip_prefix('#'));
    let color = color.and_then(|color| u32::from_str_radix(color, 16).ok());
    builder.category_mut(category).color = color.map(|color| {
        let [_, r, g, b] = color.to_be_bytes();
        [r, g, b]
    });
}

/// CVAT writes what is between keyframes too, so that each shape is of its frame alone.
fn read_track(element: &Element, video: &str, size: Size, builder: &mut Builder) {
    let id = element.attribute("id").unwrap_or_default();
    let Some(label) = element.attribute("label") else {
        return builder.refuse(format_args!("track {id}"), "it has no label");
    };
    let category = builder.category(label);
    for (told, n) in element.children.iter().zip(1..) {
        let what = format!("shape {n} of track {id}");
        if told.attribute("outside") == Some("1") {
            continue;
        }
        let frame = told.number::<usize>("frame").and_then(|frame| match frame < MOST_FRAMES {
            true => Ok(frame),
            false => Err("its frame is beyond any video".to_owned()),
        });
        match frame.and_then(|frame| Ok((frame, read_shape(told, size)?))) {
            Ok((frame, shape)) => {
                let image = builder.frame(video, frame, Some(&frame_name(video, frame)), Some(size));
                if let Some(annotation) = builder.annotate(what, image, category, shape) {
                    annotation.track = Some(Id::of(id));
                    annotation.attributes = attributes(told);
                }
            }
            Err(why) => builder.refuse(what, why),
        }
    }
}

fn attributes(element: &Element) -> BTreeMap<String, String> {
    let all = element.all("attribute");
    all.filter_map(|one| Some((one.attribute("name")?.to_owned(), one.text.clone()))).collect()
}

fn fits(size: &Size) -> bool {
    size.width.checked_mul(size.height).is_some_and(|area| (1..=1 << 31).contains(&area))
}

fn size(element: &Element) -> Result<Size, String> {
    let size = Size::new(element.number("width")?, element.number("height")?);
    if fits(&size) { Ok(size) } else { Err("its width and height are not those of an image".to_owned()) }
}

fn read_shape(element: &Element, size: Size) -> Result<Shape, String> {
    match &*element.name {
        "box" => {
            let [x0, y0, x1, y1] = ["xtl", "ytl", "xbr", "ybr"].map(|name| element.number::<f32>(name));
            Ok(Shape::Box(Rect { x0: x0?, y0: y0?, x1: x1?, y1: y1? }))
        }
        "polygon" => {
            let points = element.attribute("points").ok_or("it has no points")?;
            let numbers = points.split([';', ',']).map(|number| number.trim().parse::<f64>());
            let polygon: Vec<f64> = numbers
                .collect::<Result<_, _>>()
                .map_err(|error| format!("its points are no numbers ({error})"))?;
            if polygon.len() < 6 || polygon.len() % 2 == 1 {
                return Err("it has not three corners or more".to_owned());
            }
            rasterize(&[polygon], size)
                .map(|mask| Shape::Mask(Arc::new(mask)))
                .map_err(|error| error.to_string())
        }
        "mask" => mask(element, size),
        other => Err(format!("a {other} has no area")),
    }
}

fn mask(element: &Element, size: Size) -> Result<Shape, String> {
    let [left, top, width, height] =
        ["left", "top", "width", "height"].map(|name| element.number::<f64>(name));
    let cut = Size::new(width?.max(0.0) as usize, height?.max(0.0) as usize);
    let corner = png::corner([left?, top?], cut, size)?;
    let mut bits = Vec::with_capacity(cut.area());
    let mut on = false;
    for run in element.attribute("rle").ok_or("it has no rle")?.split(',') {
        let run: usize =
            run.trim().parse().map_err(|error| format!("its rle has what is no number ({error})"))?;
        if bits.len().saturating_add(run) > cut.area() {
            return Err("its rle is longer than its box".to_owned());
        }
        bits.resize(bits.len() + run, on);
        on = !on;
    }
    bits.resize(cut.area(), false);
    Ok(Shape::Mask(Arc::new(Rle::of_patch(&Patch { corner, mask: Mask::new(cut, bits) }, size))))
}
