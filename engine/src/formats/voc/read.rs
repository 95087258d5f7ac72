//! PASCAL VOC's XML, a file an image.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    MASK_FOLDERS, RECOGNIZE, masks,
    object::{attributes, corners, outline},
};
use crate::{
    file::folder_of,
    formats::{
        Dataset, FormatError, Reading, Shape, counted,
        dataset::Builder,
        files::split_of_folders,
        number::whole,
        outlines,
        paths::{last_name, normalized, split, without_suffix},
        valid_size,
        xml::{self, Element},
    },
    geometry::Size,
};

/// The folder of the XML files.
const ANNOTATIONS: &str = "Annotations";

pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let files = RECOGNIZE.files(reading.path, &reading.texts);
    let stems = files.iter().map(|file| Place::of(file, reading).stem).collect();
    let mut reader = Reader { reading, builder: Builder::default(), stems, taken: HashMap::new() };
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let place = Place::of(file, reading);
        let (root, damage) = match parse(file, reading) {
            Ok(parsed) => parsed,
            Err(FormatError::Canceled) => return Err(FormatError::Canceled),
            Err(error) => {
                reader.builder.refuse(&place.name, error);
                continue;
            }
        };
        if let Err(why) = reader.read_file(&place, &root) {
            reader.builder.refuse(&place.name, why);
        } else if let Some(damage) = damage {
            let objects = counted(root.all("object").count(), "object");
            reader.builder.refuse(format_args!("what follows {objects} of {}", place.name), damage);
        }
    }
    reader.builder.finish(reading.path, "annotations as PASCAL VOC has them")
}

/// Parses a file as far as it is not damaged or cut short; the second value says why it is not read to its end.
fn parse(file: &Path, reading: &Reading<'_>) -> Result<(Element, Option<io::Error>), FormatError> {
    let (root, damage) = xml::root(io::BufReader::new(reading.texts.open(file)?))
        .map_err(|error| FormatError::reading(file, error))?;
    let root = root.ok_or_else(|| FormatError::Lacks { path: file.to_owned(), lacks: "annotation" })?;
    // The name of the image may follow the damage.
    let is_named = ["filename", "path"].iter().any(|name| root.child(name).is_some());
    match damage {
        Some(damage) if !is_named || root.child("object").is_none() => {
            Err(FormatError::reading(file, damage))
        }
        damage => Ok((root, damage)),
    }
}

/// Where an XML file is in its data set.
struct Place {
    file: PathBuf,
    /// Its path in messages.
    name: String,
    /// Its path below the folder of annotations without the suffix: what its image is called.
    stem: String,
    /// The folder of the data set, which has the folders of masks.
    root: PathBuf,
}

impl Place {
    fn of(file: &Path, reading: &Reading<'_>) -> Self {
        let name = reading.files.relative(file);
        let above = folder_of(file);
        let annotations = above.ancestors().find(|folder| folder.ends_with(ANNOTATIONS));
        // A file that is chosen alone, or in the folder itself.
        let start = if reading.path.is_dir() { reading.path.to_owned() } else { folder_of(reading.path) };
        let folder = annotations.map_or(start, Path::to_owned);
        let inner = file.strip_prefix(&folder).unwrap_or(file).to_string_lossy();
        let root = if annotations.is_some() { folder_of(&folder) } else { folder };
        Self { file: file.to_owned(), name, stem: without_suffix(&normalized(&inner)).to_owned(), root }
    }
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    builder: Builder,
    /// The stems of all files.
    stems: HashSet<String>,
    /// The file that names an image.
    taken: HashMap<usize, String>,
}

impl Reader<'_> {
    fn read_file(&mut self, place: &Place, root: &Element) -> Result<(), String> {
        let side = |parent, name| usize::try_from(whole(root.child(parent)?.told(name)?)?).ok();
        let of_labelme = || side("imagesize", "ncols").zip(side("imagesize", "nrows"));
        let stated = side("size", "width")
            .zip(side("size", "height"))
            .or_else(of_labelme)
            .and_then(|(width, height)| valid_size(width, height));
        let path = self.image_of(place, root, stated)?;
        let Self { reading, builder, taken, .. } = self;
        let size = reading.size_of(&path, stated);
        let image = builder.image(&path, size);
        // The name of the file is that of its image.
        builder.set_split(image, split_of_folders(&place.file, reading.path));
        if let Some(other) = taken.insert(image, place.name.clone()) {
            if builder.size(image) != size {
                return Err(format!("{other} is of the same image {path}, in another size"));
            }
            builder.remark(
                &place.name,
                format_args!("its image {path} is also that of {other}; both are taken"),
            );
        }
        let objects: Vec<&Element> = root.all("object").collect();
        let rects: Vec<Result<[f64; 4], String>> =
            objects.iter().map(|object| corners(object, builder)).collect();
        let picture = place.root.join(MASK_FOLDERS[1]).join(format!("{}.png", place.stem));
        let known: Vec<Option<[f64; 4]>> = rects.iter().map(|rect| rect.as_ref().ok().copied()).collect();
        let mut masks =
            if picture.is_file() { masks::read(&picture, size, &known, builder) } else { Default::default() };
        for (i, (object, rect)) in objects.into_iter().zip(rects).enumerate() {
            let what = format!("object {} of {}", i + 1, place.name);
            builder.note_many(
                "part",
                "not taken, only whole objects are supported",
                object.all("part").count(),
            );
            // LabelMe 3 keeps what was deleted.
            if object.told("deleted") == Some("1") {
                builder.note("object", "not taken, it is marked as deleted");
                continue;
            }
            let Some(name) = object.told("name").filter(|name| !name.is_empty()) else {
                builder.refuse(what, "it has no name");
                continue;
            };
            let outline = outline(object, known[i], size).unwrap_or_else(|why| {
                builder.refuse(format_args!("the outline of {what}"), why);
                None
            });
            let mask = masks.remove(&i).map(|mask| Shape::Mask(Arc::new(mask)));
            match mask.or(outline).map_or_else(|| rect.and_then(outlines::upright), Ok) {
                Ok(shape) => {
                    let category = builder.category(name);
                    if let Some(annotation) = builder.annotate(what, image, category, shape) {
                        annotation.attributes = attributes(object);
                    }
                }
                Err(why) => builder.refuse(what, why),
            }
        }
        Ok(())
    }

    /// The path of the image that a file is of: its `filename`, unless only an image of the XML's own name is there.
    fn image_of(&mut self, place: &Place, root: &Element, stated: Option<Size>) -> Result<String, String> {
        let files = &self.reading.files;
        let told = |name| root.told(name).filter(|text| !text.is_empty()).map(normalized);
        let own = || files.find(&place.stem).map(|file| files.relative(&file));
        let Some(named) = told("filename").or_else(|| told("path").map(|path| last_name(&path).to_owned()))
        else {
            return Ok(own().unwrap_or_else(|| place.stem.clone()));
        };
        let (folder, _) = split(&place.stem);
        // A name with folders may repeat those of the XML file.
        let named =
            if named.contains('/') || folder.is_empty() { named } else { format!("{folder}/{named}") };
        let is_own = without_suffix(last_name(&named)) == last_name(&place.stem);
        let found = files.find(&named);
        let project = self.reading.sizes;
        let is_ambiguous =
            files.is_ambiguous(&named) || project.is_some_and(|project| project.is_ambiguous(&named));
        if found.is_none() && is_ambiguous {
            let of_folder = |name: &str| told("folder").map(|folder| format!("{folder}/{name}"));
            let hints = [told("path"), of_folder(&named), of_folder(last_name(&named))];
            let is_one = |hint: &String| {
                files.find(hint).is_some() || project.is_some_and(|project| project.has(hint))
            };
            return Ok(hints.into_iter().flatten().find(is_one).unwrap_or(named));
        }
        match (found, own()) {
            // The suffix, or the whole name, is out of date.
            (None, Some(own)) => {
                if !is_own {
                    let remark = format_args!(
                        "its filename {named} is not found; it is taken for {own}, named like it"
                    );
                    self.builder.remark(&place.name, remark);
                }
                Ok(own)
            }
            (Some(other), Some(own)) if !is_own && files.relative(&other) != own => {
                let is_size = |path: &str| files.size(path).and_then(Result::ok) == stated;
                let is_taken = self.stems.contains(without_suffix(&named));
                match (is_size(&own), is_size(&named)) {
                    (true, false) => Ok(own),
                    (false, true) => Ok(named),
                    _ if is_taken => {
                        let remark =
                            format_args!("its filename {named} has a file of its own; it is taken for {own}");
                        self.builder.remark(&place.name, remark);
                        Ok(own)
                    }
                    _ => Err(format!("its filename is {named}, but the image {own} is named like it")),
                }
            }
            _ => Ok(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::put;

    fn read_text(text: &str) -> Result<Dataset, FormatError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xml");
        put(&path, text);
        let (format, dataset) = crate::formats::read(&Reading::new(&path))?;
        assert_eq!(format.name, "voc");
        Ok(dataset)
    }

    const OBJECT: &str = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object>";
    const HEAD: &str =
        "<annotation><filename>b.jpg</filename><size><width>9</width><height>7</height></size>";

    #[test]
    fn complete_objects_of_a_cut_file_are_kept() {
        for (rest, n) in
            [("<object><name>cat</name><bndbox><xmin>1", 1), ("", 1), (&OBJECT[..OBJECT.len() - 3], 1)]
        {
            let dataset = read_text(&format!("{HEAD}{OBJECT}{rest}")).unwrap();
            assert_eq!(
                (dataset.annotations.len(), dataset.images[0].file_name.as_deref()),
                (n, Some("b.jpg"))
            );
            let sentences = dataset.refused.sentences();
            assert!(
                sentences[0].starts_with("what follows 1 object of a.xml is not taken: its XML is damaged")
            );
        }
        assert!(read_text(HEAD).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn names_may_have_the_prefix_of_a_namespace() {
        let whole = format!("{HEAD}{OBJECT}</annotation>");
        let prefixed = whole.replace("</", "<#/").replace('<', "<v:").replace("<v:#/", "</v:");
        for text in [
            prefixed.replacen("<v:annotation", "<v:annotation xmlns:v='http://x'", 1),
            whole.replacen("<annotation", "<annotation xmlns='http://x'", 1),
        ] {
            assert_eq!(read_text(&text).unwrap().annotations, read_text(&whole).unwrap().annotations);
        }
    }
}
