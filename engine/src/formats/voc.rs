//! PASCAL VOC: an XML file of boxes an image, and PNG files in which each pixel is of a class, and of an object.

mod masks;
mod object;
mod read;

use std::io::{self, Write as _};

use super::{
    Carries, Files, Format, FormatError, Frame, Label, Output, Read, Selection, Shape, dataset::one_line,
    png, recognize::Recognize, report::Loss, xml::Xml,
};
use crate::geometry::Rect;

/// Boxes and masks.
pub const FORMAT: Format = Format {
    name: "voc",
    title: "Pascal VOC",
    is_of_videos: false,
    carries: Carries { overlaps: false, tracks: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read { recognize: RECOGNIZE, together: true, read: read::read }),
};

/// Folders of PNG files that are masks, not photos: of classes, and of objects.
const MASK_FOLDERS: [&str; 2] = ["SegmentationClass", "SegmentationObject"];

const RECOGNIZE: Recognize = Recognize::Xml(|xml| xml.root == "annotation");

/// Elements of an object that are 0 or 1.
const MARKS: [&str; 3] = ["truncated", "difficult", "occluded"];

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
            writeln!(out, "{}:{r},{g},{b}::", one_line(&kind.category.name))
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
        for (folder, numbers) in MASK_FOLDERS.into_iter().zip([classes, objects]) {
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
        let pose = label.object.attributes.get("pose").filter(|pose| is_own("pose", pose));
        xml.text("pose", &[], pose.map_or("Unspecified", |pose| pose))?;
        for mark in MARKS {
            let is_set = label.object.attributes.get(mark).is_some_and(|value| is_own(mark, value));
            // Few files have `occluded`.
            if is_set || mark != "occluded" {
                xml.text(mark, &[], if is_set { "1" } else { "0" })?;
            }
        }
        // The first pixel of an image is 1, and the last one of a box is its own (devkit, section 3.4).
        let Rect { x0, y0, x1, y1 } = label.shape.rect();
        xml.open("bndbox", &[])?;
        for (name, value) in [("xmin", x0 + 1.0), ("ymin", y0 + 1.0), ("xmax", x1), ("ymax", y1)] {
            xml.text(name, &[], &value.to_string())?;
        }
        xml.close("bndbox")?;
        write_attributes(&mut xml, label)?;
        xml.close("object")?;
    }
    xml.close("annotation")?;
    xml.end()
}

/// True if the format has an element of its own for an attribute.
fn is_own(name: &str, value: &str) -> bool {
    let is_pose = name == "pose" && value == value.trim() && !["", "Unspecified"].contains(&value);
    is_pose || MARKS.contains(&name) && value == "1"
}

/// Writes attributes as CVAT does it.
fn write_attributes<W: io::Write>(xml: &mut Xml<W>, label: &Label<'_>) -> io::Result<()> {
    let mut attributes =
        label.object.attributes.iter().filter(|(name, value)| !is_own(name, value)).peekable();
    if attributes.peek().is_none() {
        return Ok(());
    }
    xml.open("attributes", &[])?;
    for (name, value) in attributes {
        xml.open("attribute", &[])?;
        xml.text("name", &[], name)?;
        xml.text("value", &[], value)?;
        xml.close("attribute")?;
    }
    xml.close("attributes")
}
