//! What breaks training in a file of labels, beyond what its reader refuses.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::Serialize;

use super::{Annotation, Dataset, Id, ImageFiles, Messages, Shape, counted};
use crate::media::{image_size, require_complete};

/// So many names are worth listing in a sentence.
const LISTED: usize = 5;
/// So many images are looked for; a million of them would take minutes.
const LOOKED_FOR: usize = 10_000;

/// What is wrong with a file of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub gravity: Gravity,
    /// One sentence.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Programs that read it break, or learn what is wrong.
    Error,
    /// Some programs break, or it may be meant otherwise.
    Warning,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gravity = match self.gravity {
            Gravity::Error => "error",
            Gravity::Warning => "warning",
        };
        write!(f, "{gravity}: {}", self.text)
    }
}

/// Checks a data set whose images are `files`; errors come first.
pub fn check(dataset: &Dataset, files: &ImageFiles) -> Vec<Finding> {
    let mut findings = Findings::default();
    dataset.refused.sentences().into_iter().for_each(|text| findings.error(text));
    dataset.doubts.sentences().into_iter().for_each(|text| findings.error(text));
    dataset.notes.sentences().into_iter().for_each(|text| findings.warning(text));
    check_categories(dataset, &mut findings);
    check_images(dataset, &mut findings);
    check_annotations(dataset, &mut findings);
    check_files(dataset, files, &mut findings);
    findings.0.sort_by_key(|finding| finding.gravity);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, text: String) {
        self.0.push(Finding { gravity: Gravity::Error, text });
    }

    fn warning(&mut self, text: String) {
        self.0.push(Finding { gravity: Gravity::Warning, text });
    }
}

fn check_categories(dataset: &Dataset, findings: &mut Findings) {
    let names = dataset.categories.iter().filter_map(|category| category.name.as_deref());
    for name in repeated(names) {
        findings.error(format!("there are two categories called {name}"));
    }
    let ids = dataset.categories.iter().map(|category| &category.id);
    let mut numbers: Vec<i64> =
        ids.filter_map(|id| if let Id::Number(n) = id { Some(*n) } else { None }).collect();
    numbers.sort_unstable();
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        let n_missing = last - first + 1 - numbers.len() as i64;
        if n_missing > 0 {
            findings.warning(format!(
                "category ids go from {first} to {last} with {n_missing} missing; programs that count them from {first} on break"
            ));
        }
    }
    let used: HashSet<usize> = dataset.annotations.iter().map(|annotation| annotation.category).collect();
    let unused = (0..dataset.categories.len()).filter(|place| !used.contains(place));
    let unused: Vec<String> = unused.filter_map(|place| dataset.categories[place].name.clone()).collect();
    if !unused.is_empty() && !dataset.annotations.is_empty() {
        findings.warning(format!("nothing is labeled as {}", listed(&unused)));
    }
}

fn check_images(dataset: &Dataset, findings: &mut Findings) {
    for name in repeated(dataset.images.iter().filter_map(|image| image.file_name.as_deref())) {
        findings.error(format!("{name} is listed twice"));
    }
    let mut seen = HashSet::new();
    for image in &dataset.images {
        let Some((video, frame)) = image.frame else { continue };
        if !seen.insert((video, frame)) {
            findings.error(format!("frame {frame} of {} is listed twice", dataset.videos[video]));
        }
    }
    let labeled: HashSet<usize> = dataset.annotations.iter().map(|annotation| annotation.image).collect();
    let n = dataset.images.len() - labeled.len();
    if n > 0 && !dataset.annotations.is_empty() {
        findings.warning(format!("nothing is labeled on {}", counted(n, "image")));
    }
}

fn check_annotations(dataset: &Dataset, findings: &mut Findings) {
    let mut seen: HashMap<(usize, usize, String), usize> = HashMap::new();
    for annotation in &dataset.annotations {
        let Annotation { image, category, shape, .. } = annotation;
        let told = match shape {
            Shape::Mask(mask) => mask.counts().to_owned(),
            Shape::Box(rect) => format!("{rect:?}"),
        };
        *seen.entry((*image, *category, told)).or_default() += 1;
    }
    let mut twice: Vec<(usize, usize)> =
        seen.into_iter().filter(|(_, n)| *n > 1).map(|((image, ..), n)| (image, n)).collect();
    twice.sort_unstable();
    for (image, n) in twice {
        let image = dataset.title(&dataset.images[image]);
        findings.warning(format!("on {image} there is one object {n} times: same place, same category"));
    }
}

/// Checks that the images are there, and as large as the file says.
fn check_files(dataset: &Dataset, files: &ImageFiles, findings: &mut Findings) {
    let photos = dataset.images.iter().filter(|image| image.frame.is_none());
    let named = photos.filter_map(|image| Some((image, image.file_name.as_deref()?)));
    let (mut n, mut missing, mut ambiguous, mut outside) = (0, Vec::new(), Vec::new(), Vec::new());
    let mut problems = Messages::default();
    for (image, name) in named.take(LOOKED_FOR) {
        if files.leads_out(name) {
            outside.push(name.to_owned());
            continue;
        }
        n += 1;
        let Some(file) = files.find(name) else {
            let list = if files.is_ambiguous(name) { &mut ambiguous } else { &mut missing };
            list.push(name.to_owned());
            continue;
        };
        match image_size(&file).and_then(|found| require_complete(&file).map(|()| found)) {
            Err(error) => {
                let sentence = error.to_string();
                let reason = sentence.replace(&file.display().to_string(), "");
                problems.add(sentence, reason);
            }
            Ok(found) => {
                if let Some(stated) = image.size.filter(|stated| *stated != found) {
                    let sizes = format!("is {stated} here and {found} on the disk");
                    problems.add(format!("{name} {sizes}"), sizes);
                }
            }
        }
    }
    problems.sentences().into_iter().for_each(|text| findings.error(text));
    match missing.len() {
        0 => {}
        n_missing if n_missing == n => {
            findings.warning(format!("none of its images is found near it, such as {}", missing[0]));
        }
        n_missing => findings.error(format!("{} missing: {}", counted(n_missing, "image"), listed(&missing))),
    }
    if !outside.is_empty() {
        let n = counted(outside.len(), "image");
        let outside = listed(&outside);
        findings.warning(format!("{n} outside of the folder of the labels, not checked: {outside}"));
    }
    if !ambiguous.is_empty() {
        let n = counted(ambiguous.len(), "image");
        findings.error(format!("{n} may be one of several files: {}", listed(&ambiguous)));
    }
}

/// What comes more than once, in order.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut n: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *n.entry(name).or_default() += 1);
    n.into_iter().filter(|(_, n)| *n > 1).map(|(name, _)| name).collect()
}

/// "a, b, c and 7 more".
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED { format!("{first} and {} more", names.len() - LISTED) } else { first }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use super::*;
    use crate::{
        file::write_atomically,
        formats::{Reading, coco::INSTANCES},
    };

    fn findings(json: &str, folder: &Path) -> Vec<String> {
        let path = folder.join("labels.json");
        write_atomically(&path, |out| out.write_all(json.as_ref())).unwrap();
        let reading = Reading::new(&path).with_checks();
        let dataset = INSTANCES.import(&reading).unwrap();
        check(&dataset, &reading.files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_breaks_training_is_found_and_what_does_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        for name in ["a.png", "b.png", "e.png"] {
            image::RgbImage::new(6, 4).save(folder.path().join("images").join(name)).unwrap();
        }
        let good = r#"{"images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}],
            "categories": [{"id": 1, "name": "dog"}], "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0,
             "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}]}"#;
        assert_eq!(findings(good, folder.path()), [""; 0]);
        let bad = r#"{"images": [
            {"id": 1, "file_name": "a.png", "width": 6, "height": 4},
            {"id": 2, "file_name": "b.png", "width": 4, "height": 6},
            {"id": 3, "file_name": "c.png", "width": 6, "height": 4},
            {"id": 5, "file_name": "a.png", "width": 6, "height": 4}],
            "categories": [{"id": 1, "name": "dog"}, {"id": 4, "name": "cat"}, {"id": 5, "name": "cat"}],
            "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 2], "area": 4,
             "segmentation": {"size": [4, 6], "counts": [5, 2, 2, 2, 13]}},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "area": 9,
             "segmentation": {"size": [4, 6], "counts": [5, 2, 2, 2, 13]}},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [3, 1, 9, 2]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]},
            {"id": 4, "image_id": 9, "category_id": 1, "bbox": [1, 1, 2, 2]}]}"#;
        let want = [
            "annotation 3 (line 13): an earlier one has the same id",
            "annotation 4 (line 14) is not taken: its image, 9, is not in the file",
            "annotation 1 (line 8): its bbox is 1, 1, 4, 2, that of its mask 1, 1, 2, 2",
            "annotation 2 (line 10): its area is 9, that of its mask 4",
            "annotation 3 (line 12): its bbox reaches out of the image; its part there is taken",
            "two categories called cat",
            "a.png is listed twice",
            "b.png is 4x6 here and 6x4 on the disk",
            "1 image missing: c.png",
            "category ids go from 1 to 5 with 2 missing",
            "nothing is labeled as cat, cat",
            "nothing is labeled on 3 images",
            "on a.png there is one object 2 times",
        ];
        let found = findings(bad, folder.path());
        for want in want {
            assert_eq!(found.iter().filter(|text| text.contains(want)).count(), 1, "{want}: {found:#?}");
        }
        assert_eq!(found.len(), want.len(), "{found:#?}");
    }
}
