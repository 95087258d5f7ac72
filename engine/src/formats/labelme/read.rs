//! LabelMe's JSON, a file an image.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use super::{
    RECOGNIZE,
    shape::{WITH_AREA, attributes, box_of_mask, kind, label, parse, without_area},
};
use crate::{
    formats::{
        Dataset, FormatError, Reading, Shape, counted,
        dataset::{Builder, one_line},
        json,
        number::json_whole,
        paths::without_suffix,
        valid_size,
    },
    geometry::Size,
};

pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let files = RECOGNIZE.files(reading.path, &reading.texts);
    let mut reader = Reader { reading, builder: Builder::default(), taken: HashMap::new() };
    let mut waiting = Vec::new();
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        match reader.read(file, true) {
            Outcome::Waits => waiting.push(file),
            Outcome::Done => {}
        }
    }
    for file in waiting {
        reader.read(file, false);
    }
    reader.builder.finish(reading.path, "shapes as LabelMe has them")
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    builder: Builder,
    /// The file that is of an image.
    taken: HashMap<usize, String>,
}

/// The outcome of reading a file.
enum Outcome {
    Done,
    /// The file states another size than its image has. It is read last, so that a file with the right size for the same
    /// image is preferred.
    Waits,
}

/// A shape, or several that are one object.
struct Object<'a> {
    what: String,
    json: &'a Value,
    label: String,
    shape: Shape,
}

impl Reader<'_> {
    fn read(&mut self, file: &Path, may_wait: bool) -> Outcome {
        let name = self.reading.files.relative(file);
        let read = self.reading.texts.read(file).map_err(|error| error.to_string());
        let parsed =
            read.and_then(|text| json::parse_start(text.as_bytes()).map_err(|error| error.to_string()));
        let read = parsed.and_then(|(json, damage)| match damage {
            Some(damage) => self.read_damaged(file, &name, &json, &damage),
            None => self.read_file(file, &name, &json, may_wait),
        });
        read.unwrap_or_else(|why| {
            self.builder.refuse(name, why);
            Outcome::Done
        })
    }

    /// Reads the complete shapes of a file that is damaged or cut short.
    fn read_damaged(
        &mut self,
        file: &Path,
        name: &str,
        json: &Value,
        damage: &str,
    ) -> Result<Outcome, String> {
        let n = json["shapes"].as_array().map_or(0, Vec::len);
        if n == 0 {
            return Err(damage.to_owned());
        }
        if json["imagePath"].is_null() {
            // LabelMe names the image behind the shapes.
            let image = self.reading.files.find(without_suffix(name));
            let image = image.ok_or_else(|| {
                format!("its image is not known, the file is damaged or cut short ({damage})")
            })?;
            let image = self.reading.files.relative(&image);
            let remark = format_args!(
                "it is cut before the name of its image; it is taken for {image}, named like it"
            );
            self.builder.remark(name, remark);
        }
        self.read_file(file, name, json, false)?;
        self.builder.refuse(
            format_args!("what follows {} of {name}", counted(n, "shape")),
            format_args!("the file is damaged or cut short there ({damage})"),
        );
        Ok(Outcome::Done)
    }

    fn read_file(
        &mut self,
        file: &Path,
        name: &str,
        json: &Value,
        may_wait: bool,
    ) -> Result<Outcome, String> {
        let Self { reading, builder, taken } = self;
        let shapes = match &json["shapes"] {
            Value::Null => &[],
            Value::Array(shapes) => &shapes[..],
            _ => return Err("its shapes are not a list".to_owned()),
        };
        let path = match json["imagePath"].as_str().filter(|path| !path.trim().is_empty()) {
            Some(path) => reading.files.named(file, path),
            None => {
                let stem = without_suffix(name);
                reading.files.find(stem).map_or_else(|| stem.to_owned(), |file| reading.files.relative(&file))
            }
        };
        let side = |key: &str| usize::try_from(json_whole(&json[key])?).ok();
        let stated =
            side("imageWidth").zip(side("imageHeight")).and_then(|(width, height)| valid_size(width, height));
        if may_wait && reading.is_misstated(&path, stated) {
            return Ok(Outcome::Waits);
        }
        let size = reading.size_of(&path, stated).or_else(|| embedded_size(json["imageData"].as_str()?));
        let image = builder.image(&path, size);
        if let Some(other) = taken.insert(image, name.to_owned()) {
            if builder.size(image) != size {
                return Err(format!("{other} is of the same image {path}, in another size"));
            }
            builder.remark(name, format_args!("its image {path} is also that of {other}; both are taken"));
        }
        let flags = json["flags"].as_object().into_iter().flatten().filter(|(_, value)| **value == true);
        builder.note_many("image flag", "not taken, labels of whole images are not supported", flags.count());
        for Object { what, json, label, shape } in objects(name, shapes, size, builder) {
            let category = builder.category(&label);
            if let Some(annotation) = builder.annotate(what, image, category, shape) {
                annotation.attributes = attributes(json);
            }
        }
        Ok(Outcome::Done)
    }
}

/// The objects of an image: masks of a group and label are one.
fn objects<'a>(
    name: &str,
    shapes: &'a [Value],
    size: Option<Size>,
    builder: &mut Builder,
) -> Vec<Object<'a>> {
    let mut groups: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut objects: Vec<Object<'a>> = Vec::new();
    for (json, n) in shapes.iter().zip(1..) {
        let what = format!("shape {n} of {name}");
        if let Some(why) = without_area(kind(json)) {
            builder.note(&format!("{} shape", kind(json)), why);
            continue;
        }
        let label = label(json).ok_or_else(|| "it has no label".to_owned());
        let mut shape = || {
            parse(json, size).or_else(|why| {
                let rect = box_of_mask(json).ok_or_else(|| why.clone())?;
                builder.refuse(format_args!("the mask of {what}"), format_args!("{why}; its box is kept"));
                Ok::<_, String>(rect)
            })
        };
        let (label, shape) = match label.and_then(|label| Ok((label, shape()?))) {
            Ok(read) => read,
            Err(why) => {
                builder.refuse(what, why);
                continue;
            }
        };
        if !WITH_AREA.contains(&kind(json)) {
            builder.note(&format!("{} shape", one_line(kind(json))), "taken as a polygon");
        }
        let group = Some(&json["group_id"]).filter(|id| !id.is_null() && matches!(shape, Shape::Mask(_)));
        let group = group.map(|id| (id.to_string(), label.clone()));
        let known =
            group.as_ref().and_then(|group| groups.get(group)).map(|place| &mut objects[*place].shape);
        if let (Some(Shape::Mask(all)), Shape::Mask(part)) = (known, &shape) {
            *all = Arc::new(all.union(part));
        } else {
            groups.extend(group.map(|group| (group, objects.len())));
            objects.push(Object { what, json, label, shape });
        }
    }
    objects
}

/// The size of the image that is in the label file itself.
fn embedded_size(text: &str) -> Option<Size> {
    let bytes = BASE64.decode(text.trim()).ok()?;
    let image = image::ImageReader::new(io::Cursor::new(bytes)).with_guessed_format().ok()?;
    let (width, height) = image.into_dimensions().ok()?;
    valid_size(width as usize, height as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::put;

    #[test]
    fn complete_shapes_of_a_cut_file_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, image) = (folder.path().join("a.json"), folder.path().join("a.png"));
        image::RgbImage::new(9, 7).save(image).unwrap();
        let shape = r#"{"label": "dog", "shape_type": "rectangle", "points": [[1, 1], [4, 4]]}"#;
        let whole =
            format!(r#"{{"shapes": [{shape}, {shape}, {shape}], "imagePath": "a.png", "imageData": null}}"#);
        let cuts = [whole.rfind("[4, 4]").unwrap() + 4, whole.find("\"imageData").unwrap() + 9];
        for (cut, n, n_notes) in [(cuts[0], 2, 1), (cuts[1], 3, 0)] {
            put(&path, &whole[..cut]);
            let (format, dataset) = crate::formats::read(&Reading::new(&path)).unwrap();
            assert_eq!((format.name, dataset.annotations.len()), ("labelme", n));
            let want =
                format!("what follows {n} shapes of a.json is not taken: the file is damaged or cut short");
            assert!(dataset.refused.sentences()[0].starts_with(&want), "{}", dataset.refused);
            assert_eq!(dataset.notes.len(), n_notes, "{}", dataset.notes);
        }
        // The name of the image is lost, and no image is named like the file.
        std::fs::remove_file(folder.path().join("a.png")).unwrap();
        put(&path, &whole[..cuts[0]]);
        let error = crate::formats::read(&Reading::new(&path)).unwrap_err().to_string();
        assert!(error.contains("its image is not known"), "{error}");
    }

    #[test]
    fn shape_of_an_unknown_kind_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        image::RgbImage::new(9, 7).save(folder.path().join("a.png")).unwrap();
        let shape = |kind: &str| {
            format!(r#"{{"label": "dog", "shape_type": "{kind}", "points": [[1, 1], [4, 1], [4, 4]]}}"#)
        };
        let shapes = ["spline", "polygon", "rotation"].map(shape).join(", ");
        put(&path, format!(r#"{{"shapes": [{shapes}], "imagePath": "a.png", "imageData": null}}"#));
        let (_, dataset) = crate::formats::read(&Reading::new(&path)).unwrap();
        assert_eq!(dataset.annotations.len(), 3);
        assert_eq!(dataset.notes.sentences(), ["1 spline shape: taken as a polygon"]);
    }
}
