//! CVAT's XML 1.1: for images, and for a video with its tracks.

mod meta;
mod read;
mod shape;
mod track;

use std::{collections::BTreeMap, io};

use super::{
    Carries, Files, Format, FormatError, Label, Masks, Output, Read, Report, Selection, Shape, polygon,
    recognize::Recognize, xml::Xml,
};
use crate::{geometry::Size, mask::Rle};

/// A file for all images.
pub const IMAGES: Format = Format {
    name: "cvat-images",
    title: "CVAT for images",
    is_of_videos: false,
    carries: Carries { tracks: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: write_images,
    read: Some(Read {
        recognize: Recognize::Xml(|xml| {
            let has = |name| xml.children.contains(name);
            xml.root == "annotations" && (has("image") || has("meta") && !has("track"))
        }),
        together: false,
        read: read::read,
    }),
};

/// A file for each video.
pub const VIDEO: Format = Format {
    name: "cvat-video",
    title: "CVAT for video",
    is_of_videos: true,
    // Its tracks are of polygons; masks are of one frame alone.
    carries: Carries { masks: Masks::Polygons, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write: write_videos,
    read: Some(Read {
        recognize: Recognize::Xml(|xml| xml.root == "annotations" && xml.children.contains("track")),
        together: false,
        read: read::read,
    }),
};

type Attributes<'a> = Vec<(&'a str, String)>;

/// Attributes of objects that CVAT has as attributes of shapes, and their values there if an object lacks them.
const MARKS: [(&str, Option<&str>); 2] = [("occluded", Some("0")), ("group_id", None)];

/// True if CVAT has an attribute of an object as one of the shape.
fn is_mark(name: &str, value: &str) -> bool {
    name == "occluded" && value == "1" || name == "group_id" && value.parse::<u32>().is_ok_and(|id| id > 0)
}
/// The attribute that holds how sure a model is: CVAT's shapes have no field for it.
const SCORE: &str = "score";

fn write_images(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let parts = selection.parts();
    for frame in &selection.frames {
        output.place(selection, frame, &format!("images/{}", selection.name(frame)));
    }
    output.write_steps("annotations.xml", |out, _, step| {
        let mut xml = begin(selection, out, "annotation", &[], None)?;
        let mut ids = 0..;
        for (part, frames) in &parts {
            for frame in frames {
                step().map_err(io::Error::other)?;
                let size = frame.medium.size;
                let mut attributes = vec![
                    ("id", ids.next().unwrap_or(0).to_string()),
                    ("name", selection.name(frame)),
                    ("width", size.width.to_string()),
                    ("height", size.height.to_string()),
                ];
                attributes.extend(part.map(|part| ("subset", part.to_owned())));
                xml.open("image", &attributes)?;
                for label in selection.labels(frame) {
                    step().map_err(io::Error::other)?;
                    let (name, mut attributes) = shape(&label.shape);
                    attributes
                        .insert(0, ("label", selection.categories[label.category].category.name.clone()));
                    attributes.push(("source", source(label).to_owned()));
                    attributes.push(("z_order", "0".to_owned()));
                    write_shape(&mut xml, name, &attributes, label)?;
                }
                xml.close("image")?;
            }
        }
        xml.close("annotations")?;
        xml.end()
    })
}

fn write_videos(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let frames: Vec<_> = selection.frames.iter().collect();
    for clip in selection.clips(&frames) {
        let stem = selection.medium_stem(clip.id);
        for frame in &clip.frames {
            output.place(selection, frame, &format!("{stem}/images/frame_{:06}.jpg", frame.at.frame));
        }
        let tracks = selection.tracks(&clip);
        output.write_steps(&format!("{stem}/annotations.xml"), |out, report, step| {
            let size = clip.medium.size;
            let of_task = [
                ("size", clip.medium.n_frames.to_string()),
                ("mode", "interpolation".to_owned()),
                ("source", selection.medium_name(clip.id).to_owned()),
            ];
            let mut xml = begin(selection, out, "interpolation", &of_task, Some(size))?;
            for (id, track) in &tracks {
                let Some((_, first)) = track.first() else { continue };
                let label = selection.categories[first.category].category.name.clone();
                let source = source(first).to_owned();
                xml.open("track", &[("id", id.0.to_string()), ("label", label), ("source", source)])?;
                let mut last: Option<(usize, Drawn<'_>)> = None;
                for (_, label) in track {
                    step().map_err(io::Error::other)?;
                    let frame = label.at.frame;
                    let drawn = Drawn::of(label, selection.options.tolerance, report);
                    // Else CVAT goes on with the last shape over the gap.
                    if let Some((before, gone)) = last.filter(|(before, _)| before + 1 < frame) {
                        gone.write(&mut xml, before + 1, true)?;
                    }
                    drawn.write(&mut xml, frame, false)?;
                    last = Some((frame, drawn));
                }
                if let Some((before, gone)) = last.filter(|(before, _)| before + 1 < clip.medium.n_frames) {
                    gone.write(&mut xml, before + 1, true)?;
                }
                xml.close("track")?;
            }
            xml.close("annotations")?;
            xml.end()
        })?;
        clip.frames.iter().try_for_each(|_| output.step())?;
    }
    Ok(())
}

/// An object on a frame as a track has it: a polygon, or a box.
struct Drawn<'a> {
    label: &'a Label<'a>,
    element: &'static str,
    attributes: Attributes<'static>,
}

impl<'a> Drawn<'a> {
    fn of(label: &'a Label<'a>, tolerance: f32, report: &mut Report) -> Self {
        let (element, attributes) = match &label.shape {
            Shape::Box(_) => shape(&label.shape),
            Shape::Mask(mask) => {
                let drawn = polygon::drawn_as_one(mask, tolerance);
                report.polygon(drawn.iou);
                let corners = drawn.polygons.iter().flatten().copied().collect::<Vec<f32>>();
                let points: Vec<String> =
                    corners.chunks_exact(2).map(|xy| format!("{},{}", xy[0], xy[1])).collect();
                ("polygon", vec![("points", points.join(";"))])
            }
        };
        Self { label, element, attributes }
    }

    fn write<W: io::Write>(&self, xml: &mut Xml<W>, frame: usize, is_outside: bool) -> io::Result<()> {
        let flag = |value: bool| if value { "1" } else { "0" }.to_owned();
        let mut attributes =
            vec![("frame", frame.to_string()), ("outside", flag(is_outside)), ("keyframe", flag(true))];
        attributes.extend(self.attributes.iter().cloned());
        attributes.push(("z_order", "0".to_owned()));
        write_shape(xml, self.element, &attributes, self.label)
    }
}

fn begin<'s, W: io::Write>(
    selection: &'s Selection<'_>,
    out: W,
    mode: &str,
    of_task: &[(&str, String)],
    size: Option<Size>,
) -> io::Result<Xml<W>> {
    let mut xml = Xml::begin(out)?;
    xml.open("annotations", &[])?;
    xml.text("version", &[], "1.1")?;
    xml.open("meta", &[])?;
    xml.open("task", &[])?;
    xml.text("name", &[], "segue")?;
    if of_task.is_empty() {
        xml.text("mode", &[], mode)?;
    }
    for (name, value) in of_task {
        xml.text(name, &[], value)?;
    }
    if let Some(size) = size {
        xml.open("original_size", &[])?;
        xml.text("width", &[], &size.width.to_string())?;
        xml.text("height", &[], &size.height.to_string())?;
        xml.close("original_size")?;
    }
    xml.open("labels", &[])?;
    let mut names: BTreeMap<usize, std::collections::BTreeSet<&'s str>> = BTreeMap::new();
    for label in &selection.labels {
        let of_label = names.entry(label.category).or_default();
        let others = label.object.attributes.iter().filter(|(name, value)| !is_mark(name, value));
        of_label.extend(others.map(|(name, _)| &**name));
        of_label.extend(label.score.map(|_| SCORE));
    }
    for (place, kind) in selection.categories.iter().enumerate() {
        let [r, g, b] = kind.category.color;
        xml.open("label", &[])?;
        xml.text("name", &[], &kind.category.name)?;
        xml.text("color", &[], &format!("#{r:02x}{g:02x}{b:02x}"))?;
        xml.open("attributes", &[])?;
        for name in names.get(&place).into_iter().flatten() {
            xml.open("attribute", &[])?;
            for (field, value) in [
                ("name", *name),
                ("mutable", "False"),
                ("input_type", "text"),
                ("default_value", ""),
                ("values", ""),
            ] {
                xml.text(field, &[], value)?;
            }
            xml.close("attribute")?;
        }
        xml.close("attributes")?;
        xml.close("label")?;
    }
    xml.close("labels")?;
    xml.close("task")?;
    xml.close("meta")?;
    Ok(xml)
}

fn write_shape<W: io::Write>(
    xml: &mut Xml<W>,
    name: &str,
    attributes: &[(&str, String)],
    label: &Label<'_>,
) -> io::Result<()> {
    let of_object = &label.object.attributes;
    let marks = MARKS.iter().filter_map(|(mark, default)| {
        let value = of_object.get(*mark).filter(|value| is_mark(mark, value));
        Some((*mark, value.map_or(*default, |value| Some(&**value))?.to_owned()))
    });
    let attributes: Attributes<'_> = attributes.iter().cloned().chain(marks).collect();
    let is_replaced = |name: &str| name == SCORE && label.score.is_some();
    let mut others =
        of_object.iter().filter(|(name, value)| !is_mark(name, value) && !is_replaced(name)).peekable();
    if others.peek().is_none() && label.score.is_none() {
        return xml.empty(name, &attributes);
    }
    xml.open(name, &attributes)?;
    for (name, value) in others {
        xml.text("attribute", &[("name", name.clone())], value)?;
    }
    if let Some(score) = label.score {
        xml.text("attribute", &[("name", SCORE.to_owned())], &score.to_string())?;
    }
    xml.close(name)
}

fn source(label: &Label<'_>) -> &'static str {
    if label.segment.is_given() { "manual" } else { "auto" }
}

/// An element's name and attributes.
fn shape(shape: &Shape) -> (&'static str, Attributes<'static>) {
    match shape {
        Shape::Box(rect) => {
            let corners = [("xtl", rect.x0), ("ytl", rect.y0), ("xbr", rect.x1), ("ybr", rect.y1)];
            ("box", corners.map(|(name, value)| (name, value.to_string())).to_vec())
        }
        Shape::Mask(mask) => {
            let [left, top, width, height] = mask.bbox();
            let numbers = [("left", left), ("top", top), ("width", width), ("height", height)];
            let numbers = numbers.map(|(name, value)| (name, value.to_string()));
            ("mask", std::iter::once(("rle", rle(mask))).chain(numbers).collect())
        }
    }
}

/// Run lengths of the pixels in a mask's box, row by row, the first run off the object.
fn rle(mask: &Rle) -> String {
    let [left, top, width, height] = mask.bbox().map(|v| v as usize);
    let cut = mask.decode().part((left, top), Size::new(width, height));
    let mut runs: Vec<usize> = vec![0];
    let mut last = false;
    for bit in cut.bits() {
        if *bit != last {
            runs.push(0);
            last = *bit;
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
    }
    runs.iter().map(usize::to_string).collect::<Vec<String>>().join(", ")
}
