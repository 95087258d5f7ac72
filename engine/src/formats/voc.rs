//! PASCAL VOC: an XML file of boxes an image, and PNG files in which each pixel is of a class, and of an object.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use super::{
    Carries, Dataset, Files, Format, FormatError, Frame, Output, Read, Reading, Selection, Shape,
    dataset::Builder,
    files,
    paths::without_suffix,
    png,
    recognize::Recognize,
    report::Loss,
    xml::{self, Element, Xml},
};
use crate::{
    geometry::{Rect, Size},
    mask::Rle,
    media::image_size,
};

/// Boxes and masks.
pub const FORMAT: Format = Format {
    name: "voc",
    title: "Pascal VOC",
    is_of_videos: false,
    carries: Carries { overlaps: false, tracks: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read { recognize: Recognize::Xml(|xml| xml.root == "annotation"), together: true, read }),
};

/// A PNG file has numbers for so many objects.
const MOST: usize = 254;

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        let mut with_masks = Vec::new();
        for frame in &frames {
            let (name, stem) = (selection.name(frame), selection.stem(frame));
            output.place(selection, frame, &format!("JPEGImages/{name}"));
            if write_frame(selection, frame, output)? {
                with_masks.push(stem);
            }
            output.step()?;
        }
        let part = part.unwrap_or("default");
        output.write(&format!("ImageSets/Main/{part}.txt"), |out| {
            frames.iter().try_for_each(|frame| writeln!(out, "{}", selection.stem(frame)))
        })?;
        output.write(&format!("ImageSets/Segmentation/{part}.txt"), |out| {
            with_masks.iter().try_for_each(|stem| writeln!(out, "{stem}"))
        })?;
    }
    // As CVAT and Datumaro have it: name, color, parts, actions.
    output.write("labelmap.txt", |out| {
        writeln!(out, "# label:color_rgb:parts:actions\nbackground:0,0,0::")?;
        selection.categories.iter().enumerate().try_for_each(|(i, kind)| {
            // Of more classes than a palette has, none has pixels.
            let [r, g, b] = png::color(u8::try_from(i + 1).unwrap_or(u8::MAX));
            writeln!(out, "{}:{r},{g},{b}::", kind.category.name)
        })
    })
}

/// Whether there are masks on it.
fn write_frame(
    selection: &Selection<'_>,
    frame: &Frame<'_>,
    output: &mut Output<'_>,
) -> Result<bool, FormatError> {
    let (size, stem) = (frame.medium.size, selection.stem(frame));
    let labels = selection.labels(frame);
    let mut classes = vec![0_u8; size.area()];
    let mut objects = classes.clone();
    let mut is_any = false;
    for (i, label) in labels.iter().enumerate() {
        output.step()?;
        let Shape::Mask(mask) = &label.shape else { continue };
        if i >= MOST || label.category >= MOST {
            // Its box is there all the same.
            output.report.lose(Loss::Masks, 1);
            continue;
        }
        is_any = true;
        png::paint(&mut classes, mask, label.category as u8 + 1);
        let n_covered = png::paint(&mut objects, mask, i as u8 + 1);
        output.report.lose(Loss::Overlaps, usize::from(n_covered > 0));
    }
    output.write(&format!("Annotations/{stem}.xml"), |out| write_xml(selection, frame, out))?;
    if is_any {
        let pictures = [("SegmentationClass", classes), ("SegmentationObject", objects)];
        for (folder, numbers) in pictures {
            output.write(&format!("{folder}/{stem}.png"), |out| png::write_indexed(out, size, &numbers))?;
        }
    }
    Ok(is_any)
}

fn write_xml(selection: &Selection<'_>, frame: &Frame<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let (name, size) = (selection.name(frame), frame.medium.size);
    let labels = selection.labels(frame);
    let has_masks = labels.iter().any(|label| matches!(label.shape, Shape::Mask(_)));
    let mut xml = Xml::begin(out)?;
    xml.open("annotation", &[])?;
    xml.text("folder", &[], name.rsplit_once('/').map_or("", |(folder, _)| folder))?;
    xml.text("filename", &[], &name)?;
    xml.open("size", &[])?;
    xml.text("width", &[], &size.width.to_string())?;
    xml.text("height", &[], &size.height.to_string())?;
    xml.text("depth", &[], "3")?;
    xml.close("size")?;
    xml.text("segmented", &[], if has_masks { "1" } else { "0" })?;
    for label in labels {
        xml.open("object", &[])?;
        xml.text("name", &[], &selection.categories[label.category].category.name)?;
        for (name, value) in [("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")] {
            xml.text(name, &[], value)?;
        }
        // The first pixel of an image is 1, and the last one of a box is its own (devkit, section 3.4).
        let Rect { x0, y0, x1, y1 } = label.shape.rect();
        xml.open("bndbox", &[])?;
        for (name, value) in [("xmin", x0 + 1.0), ("ymin", y0 + 1.0), ("xmax", x1), ("ymax", y1)] {
            xml.text(name, &[], &value.to_string())?;
        }
        xml.close("bndbox")?;
        if !label.object.attributes.is_empty() {
            xml.open("attributes", &[])?;
            for (name, value) in &label.object.attributes {
                xml.open("attribute", &[])?;
                xml.text("name", &[], name)?;
                xml.text("value", &[], value)?;
                xml.close("attribute")?;
            }
            xml.close("attributes")?;
        }
        xml.close("object")?;
    }
    xml.close("annotation")?;
    xml.end()
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let (root, files) = match reading.path.is_dir() {
        true => (reading.path, files::with_suffix(reading.path, "xml")),
        false => (reading.path.parent().unwrap_or(Path::new("")), vec![reading.path.to_owned()]),
    };
    let inside = ["Annotations"].iter().map(|name| root.join(name)).find(|folder| folder.is_dir());
    let inside = inside.unwrap_or_else(|| root.to_owned());
    let mut builder = Builder::default();
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let name = file.strip_prefix(&inside).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let stem = without_suffix(&name);
        let reader = fs::File::open(file).map(io::BufReader::new);
        let reader = reader.map_err(|cause| FormatError::Read { path: file.clone(), cause })?;
        let mut root_of_file = Element::default();
        let read = xml::elements(reader, &["annotation"], &mut |element| {
            root_of_file = element;
            Ok(())
        });
        match read
            .map_err(|error| error.to_string())
            .and_then(|()| size_of(root, &root_of_file, &name, reading))
        {
            Ok(size) => read_file(root, &name, stem, size, &root_of_file, &mut builder),
            Err(why) => builder.refuse(name, why),
        }
    }
    builder.finish(reading.path, "annotations as PASCAL VOC has them")
}

fn size_of(root: &Path, told: &Element, name: &str, reading: &Reading<'_>) -> Result<Size, String> {
    let side = |name| told.child("size")?.told(name)?.parse::<usize>().ok();
    let size = side("width").zip(side("height")).map(|(width, height)| Size::new(width, height));
    let fits =
        |size: &Size| size.width.checked_mul(size.height).is_some_and(|area| (1..=1 << 31).contains(&area));
    // Some leave it to the image.
    let of_image = || image_size(&root.join("JPEGImages").join(told.told("filename")?)).ok();
    let size = reading.size_of(name, size.filter(fits).or_else(of_image));
    size.ok_or_else(|| "it tells no size of its image, which is not there".to_owned())
}

fn read_file(root: &Path, name: &str, stem: &str, size: Size, told: &Element, builder: &mut Builder) {
    let file = told
        .told("filename")
        .and_then(|path| path.rsplit(['/', '\\']).next())
        .filter(|name| !name.is_empty());
    let folder = stem.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let image_name = file.map_or_else(|| stem.to_owned(), |file| format!("{folder}{file}"));
    let image = builder.image(&image_name, Some(size));
    let picture = root.join("SegmentationObject").join(format!("{stem}.png"));
    let mut masks: BTreeMap<u32, Rle> = BTreeMap::new();
    if picture.is_file() {
        match png::read_numbers(&picture) {
            Ok((own, numbers)) if own == size => masks = png::masks_of(size, &numbers).into_iter().collect(),
            Ok((own, _)) => builder.refuse(picture.display(), format_args!("it is {own}, its image {size}")),
            Err(why) => builder.refuse(picture.display(), why),
        }
    }
    for (object, n) in told.all("object").zip(1..) {
        let what = format!("object {n} of {name}");
        let rect = || -> Option<Rect> {
            let number = |name| object.child("bndbox")?.told(name)?.parse::<f32>().ok();
            let (x0, y0) = (number("xmin")? - 1.0, number("ymin")? - 1.0);
            Some(Rect { x0, y0, x1: number("xmax")?, y1: number("ymax")? })
        };
        let shape =
            masks.remove(&n).map(|mask| Shape::Mask(Arc::new(mask))).or_else(|| rect().map(Shape::Box));
        let (Some(shape), Some(category)) = (shape, object.told("name").filter(|name| !name.is_empty()))
        else {
            builder.refuse(what, "it has no name, or neither a box nor a mask");
            continue;
        };
        let category = builder.category(category);
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            let all = object.child("attributes").into_iter().flat_map(|all| all.all("attribute"));
            let pairs = all
                .filter_map(|one| Some((one.child("name")?.text.clone(), one.child("value")?.text.clone())));
            annotation.attributes = pairs.collect();
        }
    }
}
