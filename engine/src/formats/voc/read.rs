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
        Dataset, FormatError, Reading, Shape,
        dataset::Builder,
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
        let root = match parse(file, reading) {
            Ok(root) => root,
            Err(FormatError::Canceled) => return Err(FormatError::Canceled),
            Err(error) => {
                reader.builder.refuse(&place.name, error);
                continue;
            }
        };
        if let Err(why) = reader.read_file(&place, &root) {
            reader.builder.refuse(&place.name, why);
        }
    }
    reader.builder.finish(reading.path, "annotations as PASCAL VOC has them")
}

fn parse(file: &Path, reading: &Reading<'_>) -> Result<Element, FormatError> {
    let mut root = None;
    xml::elements(io::BufReader::new(reading.texts.open(file)?), 0, &mut |element| {
        root.get_or_insert(element);
        Ok(())
    })
    .map_err(|error| FormatError::reading(file, error))?;
    root.ok_or_else(|| FormatError::Lacks { path: file.to_owned(), lacks: "annotation" })
}

/// Where an XML file is in its data set.
struct Place {
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
        Self { name, stem: without_suffix(&normalized(&inner)).to_owned(), root }
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
        let side = |name| usize::try_from(whole(root.child("size")?.told(name)?)?).ok();
        let stated = side("width").zip(side("height")).and_then(|(width, height)| valid_size(width, height));
        let path = self.image_of(place, root, stated)?;
        let Self { reading, builder, taken, .. } = self;
        let size = reading.size_of(&path, stated);
        let image = builder.image(&path, size);
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
        if found.is_none() && files.is_ambiguous(&named) {
            let hints = [told("path"), told("folder").map(|folder| format!("{folder}/{named}"))];
            return Ok(hints.into_iter().flatten().find(|hint| files.find(hint).is_some()).unwrap_or(named));
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
                    _ if is_taken => Ok(own),
                    _ => Err(format!("its filename is {named}, but the image {own} is named like it")),
                }
            }
            _ => Ok(named),
        }
    }
}
