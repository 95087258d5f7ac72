//! LabelMe's JSON, a file an image beside it; also as X-AnyLabeling writes it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Carries, Dataset, Format, FormatError, Frame, Label, Masks, Output, Read, Reading, Selection, Shape,
    dataset::Builder, head, png, polygon,
};
use crate::{
    geometry::{Rect, Size},
    mask::{Mask, Outline, Patch, Rle},
};

/// LabelMe.
pub const FORMAT: Format = Format {
    name: "labelme",
    title: "LabelMe",
    is_of_videos: false,
    carries: Carries { masks: Masks::Polygons, tracks: false, ..Carries::ALL },
    write,
    read: Some(Read {
        suffix: None,
        is_like: |path| files(path).iter().take(20).any(|file| is_labelme(file)),
        read,
    }),
};

/// The version of LabelMe whose files these are like: the first with masks as shapes.
const VERSION: &str = "5.4.0";

fn is_labelme(file: &Path) -> bool {
    head::is_json(file, &["shapes"], &[]) || head::is_json(file, &["imagePath"], &["annotations"])
}

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    if path.is_dir() { head::files(path, "json") } else { vec![path.to_owned()] }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    version: &'a str,
    flags: BTreeMap<String, bool>,
    shapes: Vec<Written<'a>>,
    image_path: &'a str,
    image_data: Option<()>,
    image_height: usize,
    image_width: usize,
}

#[derive(Serialize)]
struct Written<'a> {
    label: &'a str,
    points: Vec<[f32; 2]>,
    group_id: Option<u32>,
    description: &'a str,
    shape_type: &'a str,
    flags: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<String>,
    /// As X-AnyLabeling has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// As X-AnyLabeling has them; LabelMe keeps what it does not know.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for frame in &selection.frames {
        let name = selection.name(frame);
        output.place(selection, frame, &name);
        let mut shapes = Vec::new();
        for label in selection.labels(frame) {
            output.step()?;
            shapes.extend(shapes_of(selection, label, output)?);
        }
        output.step()?;
        let Frame { medium, .. } = frame;
        let file = File {
            version: VERSION,
            flags: BTreeMap::new(),
            shapes,
            image_path: name.rsplit('/').next().unwrap_or(&name),
            image_data: None,
            image_height: medium.size.height,
            image_width: medium.size.width,
        };
        output.write(&format!("{}.json", selection.stem(frame)), |out| {
            serde_json::to_writer_pretty(&mut *out, &file)?;
            writeln!(out)
        })?;
    }
    Ok(())
}

/// A box, a polygon for each part, or, where there are holes, which polygons here cannot have, a mask.
fn shapes_of<'a>(
    selection: &'a Selection<'_>,
    label: &'a Label<'_>,
    output: &mut Output<'_>,
) -> Result<Vec<Written<'a>>, FormatError> {
    let shape = |shape_type, points, group_id, mask| Written {
        label: &selection.categories[label.category].category.name,
        points,
        group_id,
        description: "",
        shape_type,
        flags: BTreeMap::new(),
        mask,
        score: label.score,
        attributes: &label.object.attributes,
    };
    let mask = match &label.shape {
        Shape::Box(rect) => {
            let corners = vec![[rect.x0, rect.y0], [rect.x1, rect.y1]];
            return Ok(vec![shape("rectangle", corners, None, None)]);
        }
        Shape::Mask(mask) => mask,
    };
    if Outline::of_rle(mask).iter().any(|outline| !outline.holes.is_empty()) {
        let [x, y, width, height] = mask.bbox();
        let cut = mask.decode().part((x as usize, y as usize), Size::new(width as usize, height as usize));
        let bytes: Vec<u8> = cut.bits().iter().map(|on| if *on { 255 } else { 0 }).collect();
        let mut png = Vec::new();
        png::write_bytes(&mut png, cut.size(), 1, &bytes)
            .map_err(|error| FormatError::writing(Path::new("mask"), error))?;
        // The last pixel's own corner, not the one beyond it.
        let corners = vec![[x as f32, y as f32], [(x + width - 1) as f32, (y + height - 1) as f32]];
        return Ok(vec![shape("mask", corners, None, Some(BASE64.encode(png)))]);
    }
    let drawn = polygon::drawn(mask, selection.options.tolerance);
    output.report.polygon(drawn.iou);
    let group = (drawn.polygons.len() > 1).then_some(label.id.0);
    let points = |polygon: &Vec<f32>| polygon.chunks_exact(2).map(|xy| [xy[0], xy[1]]).collect();
    Ok(drawn.polygons.iter().map(|polygon| shape("polygon", points(polygon), group, None)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    shapes: Vec<Value>,
    #[serde(default)]
    image_path: String,
    image_height: Option<usize>,
    image_width: Option<usize>,
}

#[derive(Deserialize)]
struct ToldShape {
    label: String,
    points: Vec<[f64; 2]>,
    group_id: Option<Value>,
    shape_type: Option<String>,
    mask: Option<String>,
    #[serde(default)]
    flags: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    attributes: Option<BTreeMap<String, Value>>,
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let files = files(reading.path);
    let root =
        if reading.path.is_dir() { reading.path } else { reading.path.parent().unwrap_or(Path::new("")) };
    let mut builder = Builder::default();
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        // Other JSON files lie about in such folders.
        if reading.path.is_dir() && !is_labelme(file) {
            continue;
        }
        let bytes = fs::read(file).map_err(|cause| FormatError::Read { path: file.clone(), cause })?;
        match serde_json::from_slice::<Told>(&bytes) {
            Ok(told) => read_file(&name, told, reading, &mut builder),
            Err(error) => builder.refuse(name, error),
        }
    }
    builder.finish(reading.path, "shapes as LabelMe has them")
}

fn read_file(name: &str, told: Told, reading: &Reading<'_>, builder: &mut Builder) {
    let folder = name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let file = told.image_path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty());
    let image_name = file
        .map_or_else(|| super::dataset::without_suffix(name).to_owned(), |file| format!("{folder}{file}"));
    let size = told.image_width.zip(told.image_height).map(|(width, height)| Size::new(width, height));
    let fits =
        |size: &Size| size.width.checked_mul(size.height).is_some_and(|area| (1..=1 << 31).contains(&area));
    let Some(size) = size.filter(fits).or_else(|| (reading.size)(&image_name)) else {
        return builder.refuse(name, "the size of its image is not known");
    };
    let image = builder.image(&image_name, Some(size));
    // Polygons of a group are one object.
    let mut groups: HashMap<String, usize> = HashMap::new();
    let mut objects: Vec<(String, ToldShape, Shape)> = Vec::new();
    for (json, n) in told.shapes.into_iter().zip(1..) {
        let what = format!("shape {n} of {name}");
        let read = serde_json::from_value::<ToldShape>(json).map_err(|error| error.to_string());
        let (told, shape) = match read.and_then(|told| Ok((shape(&told, size)?, told))) {
            Ok((shape, told)) => (told, shape),
            Err(why) => {
                builder.refuse(what, why);
                continue;
            }
        };
        let group =
            told.group_id.as_ref().filter(|id| !id.is_null()).map(|id| format!("{id} {}", told.label));
        let known = group.as_ref().and_then(|group| groups.get(group)).copied();
        let known = known.and_then(|place| objects.get_mut(place)).map(|object| &mut object.2);
        if let (Some(Shape::Mask(all)), Shape::Mask(part)) = (known, &shape) {
            *all = Arc::new(all.union(part));
        } else {
            groups.extend(group.map(|group| (group, objects.len())));
            objects.push((what, told, shape));
        }
    }
    for (what, told, shape) in objects {
        let category = builder.category(&told.label);
        if let Some(annotation) = builder.annotate(what, image, category, shape) {
            let flags = told.flags.into_iter().flatten().filter(|(_, value)| *value != Value::Bool(false));
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let all = told.attributes.into_iter().flatten().chain(flags);
            annotation.attributes = all.map(|(name, value)| (name, text(value))).collect();
        }
    }
}

fn shape(told: &ToldShape, size: Size) -> Result<Shape, String> {
    let corners = || match told.points[..] {
        [[x0, y0], [x1, y1]] => Ok([x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)]),
        // X-AnyLabeling writes all four corners.
        [[x0, y0], _, [x1, y1], _] => Ok([x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)]),
        _ => Err("it has not two corners".to_owned()),
    };
    let filled = |polygon: Vec<f64>| {
        let mask = polygon::rasterize(&[polygon], size).map_err(|error| error.to_string())?;
        Ok(Shape::Mask(Arc::new(mask)))
    };
    match told.shape_type.as_deref() {
        Some("rectangle") => Ok(Shape::Box(Rect::from(corners()?.map(|v| v as f32)))),
        Some("mask") => mask(told.mask.as_deref().ok_or("it has no mask")?, corners()?, size),
        Some("circle") => {
            let [[x, y], [edge_x, edge_y]] = told.points[..] else {
                return Err("it has not two points".to_owned());
            };
            let radius = (edge_x - x).hypot(edge_y - y);
            let turn = |i: u32| std::f64::consts::TAU * f64::from(i) / 128.0;
            filled((0..128).flat_map(|i| [x + radius * turn(i).cos(), y + radius * turn(i).sin()]).collect())
        }
        None | Some("polygon" | "rotation") if told.points.len() >= 3 => {
            filled(told.points.iter().flatten().copied().collect())
        }
        None | Some("polygon") => Err("it has less than three corners".to_owned()),
        Some(other) => Err(format!("a {other} has no area")),
    }
}

/// The pixels of a picture in a box of the image.
fn mask(text: &str, [x0, y0, ..]: [f64; 4], size: Size) -> Result<Shape, String> {
    let png = BASE64.decode(text).map_err(|error| error.to_string())?;
    let (cut, numbers) = png::decode(io::Cursor::new(png))?;
    let corner = png::corner([x0, y0], cut, size)?;
    let bits = numbers.into_iter().map(|number| number > 0).collect();
    Ok(Shape::Mask(Arc::new(Rle::of_patch(&Patch { corner, mask: Mask::new(cut, bits) }, size))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write_atomically;

    fn read_text(text: &str) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomically(&path, |out| out.write_all(text.as_bytes())).unwrap();
        super::read(&Reading { path: &path, size: &|_| None, progress: &|_, _| true, checks: true }).unwrap()
    }

    #[test]
    fn shapes_of_all_kinds_are_read_and_those_without_area_are_refused() {
        let text = r#"{"version": "3.2.1", "flags": {}, "imagePath": "..\\a.jpg", "imageHeight": 40, "imageWidth": 50,
            "imageData": "aGVsbG8=", "shapes": [
            {"label": "dog", "shape_type": "rectangle", "points": [[1, 2], [11, 2], [11, 12], [1, 12]], "score": 0.5,
             "flags": {"old": true, "new": false}, "attributes": {"color": "red"}, "difficult": false},
            {"label": "dog", "shape_type": "polygon", "group_id": 7, "points": [[0, 0], [4, 0], [4, 4], [0, 4]]},
            {"label": "dog", "shape_type": "polygon", "group_id": 7, "points": [[9, 0], [12, 0], [12, 4], [9, 4]]},
            {"label": "cat", "shape_type": "circle", "points": [[20, 20], [25, 20]]},
            {"label": "cat", "shape_type": "linestrip", "points": [[1, 1], [5, 5]]},
            {"label": "cat", "shape_type": "mask", "mask": "!", "points": [[1e20, 1], [5, 5]]},
            {"label": "cat", "points": [[1, 1], [5, 5]]}]}"#;
        let dataset = read_text(text);
        assert_eq!(dataset.images[0].file_name.as_deref(), Some("a.jpg"));
        assert_eq!(dataset.refused.len(), 3, "{:?}", dataset.refused);
        let areas: Vec<f64> =
            dataset.annotations.iter().map(|one| super::super::coco::measures(&one.shape).1).collect();
        assert_eq!(areas[..2], [100.0, 28.0]);
        assert!((areas[2] - 78.5).abs() < 5.0, "{areas:?}");
        let attributes = &dataset.annotations[0].attributes;
        assert_eq!((attributes["color"].as_str(), attributes["old"].as_str()), ("red", "true"));
        assert_eq!(attributes.len(), 2);
    }
}
