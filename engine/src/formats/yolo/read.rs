//! YOLO's text files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::layout::{Description, ImageOf, Images, folder_at, is_label_file, is_list};
use crate::{
    formats::{
        Dataset, FormatError, Id, Messages, Reading, Shape, clip, counted,
        dataset::Builder,
        number::{float, whole},
        outlines,
        polygon::rasterize,
        text::Texts,
    },
    geometry::Size,
};

/// Label files from which the kind of rows is told, and rows of each.
const SAMPLED: [usize; 2] = [50, 50];

/// What the rows of a data set hold after the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// Boxes and polygons, which their length tells apart.
    Shapes,
    /// Four corners of turned boxes.
    Corners,
    /// A box, and so many numbers of keypoints.
    Pose(usize),
    /// A box or polygon, maybe a score, and the number of a track.
    Tracked,
}

/// Recognizes what a folder holds: what its YAML file says, or what its rows look like.
pub(super) fn task(path: &Path, texts: &Texts) -> Option<&'static str> {
    let is_described =
        |suffix: &std::ffi::OsStr| ["yaml", "yml", "data"].iter().any(|known| suffix == *known);
    if path.is_file() && !path.extension().is_some_and(is_described) && !is_label_file(path, texts) {
        return None;
    }
    let folder = folder_at(path);
    let description = Description::read(path, texts).ok()?;
    if !description.several.is_empty() {
        return Some("detect");
    }
    let sample = sample(&label_files(path, &description, texts), texts);
    let named = description.task.as_deref();
    if let Some(task) = ["detect", "segment", "obb"].into_iter().find(|task| Some(*task) == named) {
        return (description.names.is_some()).then_some(task);
    }
    // Numbers alone may be anything; without names there must be images, or most rows must be shares.
    let is_shares = |row: &&Vec<f64>| row[1..5].iter().all(|number| (-0.05..=1.05).contains(number));
    let n_shares = sample.iter().filter(is_shares).count();
    let is_likely = description.names.is_some()
        || description.broken.is_some()
        || folder.join("images").is_dir()
        || n_shares * 2 >= sample.len();
    if sample.is_empty() || !is_likely {
        return (description.names.is_some() && folder.join("labels").is_dir()).then_some("detect");
    }
    match Rows::of(&description, &sample) {
        Rows::Corners => Some("obb"),
        Rows::Pose(_) => Some("detect"),
        // Beside its shape, a row may have a score and the number of a track.
        Rows::Tracked if sample.iter().all(|row| row.len() <= 7) => Some("detect"),
        Rows::Shapes if sample.iter().all(|row| row.len() <= 6) => Some("detect"),
        Rows::Tracked | Rows::Shapes => Some("segment"),
    }
}

/// Returns the label files of a data set, or the one that was given.
fn label_files(path: &Path, description: &Description, texts: &Texts) -> Vec<PathBuf> {
    match is_label_file(path, texts) {
        true => vec![path.to_owned()],
        false => description.text_files(&folder_at(path)),
    }
}

/// The first rows of the first label files that are numbers throughout, with their classes.
fn sample(files: &[PathBuf], texts: &Texts) -> Vec<Vec<f64>> {
    let [n_files, n_rows] = SAMPLED;
    let labels = files.iter().filter_map(|file| texts.read(file).ok()).filter(|text| !is_list(text));
    let rows = labels.take(n_files).flat_map(|text| {
        let rows = text.lines().filter_map(|line| {
            let row: Option<Vec<f64>> = line.split_whitespace().map(float).collect();
            row.filter(|row| row.len() >= 5 && row[0].fract() == 0.0)
        });
        rows.take(n_rows).collect::<Vec<_>>()
    });
    rows.collect()
}

impl Rows {
    fn of(description: &Description, sample: &[Vec<f64>]) -> Self {
        if let Some([n, dimensions]) = description.keypoints {
            return Self::Pose(n * dimensions);
        }
        match description.task.as_deref() {
            Some("obb") => return Self::Corners,
            Some("detect" | "segment") => return Self::Shapes,
            _ => {}
        }
        let length = sample.first().map_or(0, Vec::len);
        let is_even = sample.iter().all(|row| row.len() == length);
        // Of polygons, not all would have four corners.
        let is_score = |row: &Vec<f64>| (0.0..=1.0).contains(&row[9]);
        let may_be_corners = is_even && (length == 9 || length == 10 && sample.iter().all(is_score));
        match () {
            () if is_even && is_pose(sample) => Self::Pose((length - 5) / 3 * 3),
            () if is_tracked(sample) => Self::Tracked,
            () if may_be_corners => Self::Corners,
            () => Self::Shapes,
        }
    }
}

/// True if all rows end with a whole number that is no share of a side: the number of a track, which Ultralytics writes
/// behind a box or polygon and its score. Where all are 1, there must be several rows, and of boxes: polygons may end at an edge.
fn is_tracked(sample: &[Vec<f64>]) -> bool {
    let is_tracked = |row: &Vec<f64>| {
        let [_, shape @ .., track] = &row[..] else { return false };
        shape.len() >= 4 && is_track(track) && shape.iter().all(|number| (-0.05..=1.05).contains(number))
    };
    let is_sure = |row: &Vec<f64>| row.len() == 7 || row.last().is_some_and(|track| *track > 1.0);
    let may_be_1 = || sample.len() > 1 && sample.iter().all(|row| row.len() <= 7);
    sample.iter().all(is_tracked) && (sample.iter().any(is_sure) || may_be_1())
}

/// True if a number may be that of a track, which are counted from 1.
fn is_track(number: &f64) -> bool {
    *number >= 1.0 && number.fract() == 0.0
}

/// True if all rows are a box and keypoints in it: of labels, each with a visibility of 0, 1 or 2; of predictions, each with a
/// score, after which the score of the box may follow.
fn is_pose(sample: &[Vec<f64>]) -> bool {
    let is_label = |row: &Vec<f64>| {
        let [_, _, _, _, _, points @ ..] = &row[..] else { return false };
        points.len() >= 6
            && points.len().is_multiple_of(3)
            && points.chunks(3).all(|point| {
                let is_visible = point[2] == 1.0 || point[2] == 2.0;
                is_visible && is_in_box(point, row, 0.01) || point[2] == 0.0
            })
            && points.chunks(3).any(|point| point[2] == 2.0)
    };
    !sample.is_empty() && (sample.iter().all(is_label) || sample.iter().all(|row| is_predicted_pose(row)))
}

/// True if a row is a box in the image and keypoints with scores; those that are likely fill a good part of the box.
fn is_predicted_pose(row: &[f64]) -> bool {
    const MIN_POINTS: usize = 5;
    /// Those of COCO's persons.
    const USUAL_POINTS: usize = 17;
    let [_, x, y, width, height, points @ ..] = row else { return false };
    let points = points.chunks_exact(3);
    let likely: Vec<&[f64]> = points.clone().filter(|point| point[2] >= 0.5).collect();
    let spread = |axis: usize| {
        let ends = likely.iter().map(|point| point[axis]).fold([1.0, 0.0], |[a, b], v| [v.min(a), v.max(b)]);
        ends[1] - ends[0]
    };
    let is_inside = |middle: f64, side: f64| middle - side / 2.0 >= -0.01 && middle + side / 2.0 <= 1.01;
    points.len() >= MIN_POINTS
        && points.remainder().len() <= 1
        && row[1..].iter().all(|number| (-0.05..=1.05).contains(number))
        && is_inside(*x, *width)
        && is_inside(*y, *height)
        && likely.len() >= MIN_POINTS
        && likely.iter().all(|point| is_in_box(point, row, 0.05))
        && (points.len() == USUAL_POINTS || spread(0) >= 0.3 * width && spread(1) >= 0.3 * height)
}

/// True if a point lies in the box of a row, enlarged by `margin` on each side.
fn is_in_box(point: &[f64], row: &[f64], margin: f64) -> bool {
    let is_in = |axis: usize| (point[axis] - row[1 + axis]).abs() <= row[3 + axis] / 2.0 + margin;
    is_in(0) && is_in(1)
}

/// Reads a data set of boxes, polygons or poses, whose rows are told apart by their length.
pub(super) fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    read_rows(reading, false)
}

/// Reads a data set of turned boxes.
pub(super) fn read_oriented(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    read_rows(reading, true)
}

fn read_rows(reading: &Reading<'_>, is_oriented: bool) -> Result<Dataset, FormatError> {
    let folder = folder_at(reading.path);
    let texts = &reading.texts;
    let description = Description::read(reading.path, texts)?;
    if let [first, second, ..] = &description.several[..] {
        let name = |folder: &Path| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (first, second) = (name(first), name(second));
        let first =
            format!("it holds several data sets, such as {first} and {second}; import each on its own");
        return Err(FormatError::Unusable { path: reading.path.to_owned(), first });
    }
    let files = label_files(reading.path, &description, texts);
    let rows = match is_oriented {
        true => Rows::Corners,
        false => Rows::of(&description, &sample(&files, texts)),
    };
    let rows = if rows == Rows::Corners && !is_oriented { Rows::Shapes } else { rows };
    let mut reader =
        Reader { builder: Builder::default(), doubts: Messages::default(), classes: Vec::new(), rows };
    reader.name_classes(&description);
    let mut images = Images::new(&reading.files);
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let title = reading.files.relative(file);
        let text = match texts.read(file) {
            Ok(text) if is_list(&text) => continue,
            Ok(text) => text,
            Err(error) => {
                reader.builder.refuse(title, error);
                continue;
            }
        };
        let (name, is_there) = match images.of(file) {
            ImageOf::Found(name) => (name, true),
            // A list of a part that has no images.
            ImageOf::Missing(_) if text.trim().is_empty() => continue,
            ImageOf::Missing(name) => (super::bare_name(&name), false),
            ImageOf::Several(a, b) => {
                reader.builder.refuse(title, format_args!("its image may be {a} or {b}"));
                continue;
            }
        };
        if !is_there && reading.files.is_ambiguous(&name) {
            reader
                .builder
                .refuse(title, "several images have its name, and none is where its image would be");
            continue;
        }
        let size = reading.size_of(&name, None);
        reader.read_file(&title, &text, &name, size, is_there);
    }
    let unlabeled = if reading.path.is_dir() { images.unlabeled(&description) } else { Vec::new() };
    for name in unlabeled {
        let size = reading.size_of(&name, None);
        reader.builder.image(&name, size);
    }
    let Reader { builder, doubts, .. } = reader;
    let mut dataset = builder.finish(&folder, "labels as YOLO has them")?;
    dataset.doubts = doubts;
    Ok(dataset)
}

/// A data set in the making.
struct Reader {
    builder: Builder,
    doubts: Messages,
    /// For each class its place among the categories, if it has a name.
    classes: Vec<Option<usize>>,
    rows: Rows,
}

/// What a row says.
struct Row {
    shape: Shape,
    score: Option<f32>,
    track: Option<Id>,
    /// How many pixels it reaches out of the image.
    outside: f64,
}

impl Reader {
    fn name_classes(&mut self, description: &Description) {
        match &description.names {
            Some(names) => {
                self.classes =
                    names.iter().map(|name| Some(self.builder.category(name.as_deref()?))).collect();
            }
            None if description.broken.is_some() => {
                let broken = description.broken.as_deref().unwrap_or_default();
                self.builder.note("data set", &format!("classes are called by their numbers: {broken}"));
            }
            None => self
                .builder
                .note("data set", "no file names its classes, so that they are called by their numbers"),
        }
        if let (Some(file), [other, ..]) = (&description.file, &description.others[..]) {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let note = format!("classes are named by {}; {} names them otherwise", name(file), name(other));
            self.builder.note("data set", &note);
        }
    }

    fn class(&mut self, class: i64, has_names: bool) -> Result<usize, String> {
        let place =
            usize::try_from(class).ok().ok_or_else(|| format!("{class} is not the number of a class"))?;
        match self.classes.get(place).copied().flatten() {
            Some(category) => Ok(category),
            None if has_names => Err(format!("there is no class {class}")),
            None => Ok(self.builder.category(&format!("class {class}"))),
        }
    }

    fn read_file(&mut self, title: &str, text: &str, name: &str, size: Option<Size>, is_there: bool) {
        let image = self.builder.image(name, size);
        let has_names = !self.classes.is_empty();
        for (line, n) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let item = format!("line {n} of {title}");
            let read = parse(line, self.rows).and_then(|(class, numbers)| {
                let size = size.ok_or_else(|| unknown_size(name, is_there))?;
                let category = self.class(class, has_names)?;
                Ok((category, row(&numbers, self.rows, size)?))
            });
            match read {
                Ok((category, Row { shape, score, track, outside })) => {
                    let shape = match (shape, size) {
                        (Shape::Box(rect), Some(size)) => Shape::Box(clip(rect, size).unwrap_or(rect)),
                        (shape, _) => shape,
                    };
                    if let Some(annotation) = self.builder.annotate(&item, image, category, shape) {
                        (annotation.score, annotation.track) = (score, track);
                        if outside > 1.0 {
                            let why = format!(
                                "it reaches {outside:.0} pixels out of its image, for which trainers leave out the image"
                            );
                            self.doubts.remark(item, why);
                        }
                        if let Rows::Pose(_) = self.rows {
                            self.builder.note("pose", "its box is kept, keypoints are not supported");
                        }
                    }
                }
                Err(why) => self.builder.refuse(item, why),
            }
        }
    }
}

fn unknown_size(name: &str, is_there: bool) -> String {
    match is_there {
        true => format!("the size of its image cannot be read from {name}"),
        false => format!("the size of its image is not known, for there is no image {name}"),
    }
}

/// The class of a row, and its other numbers.
fn parse(line: &str, rows: Rows) -> Result<(i64, Vec<f64>), String> {
    let mut words = line.split_whitespace();
    let class = words.next().unwrap_or_default();
    let class = whole(class).ok_or_else(|| format!("{class} is not the number of a class"))?;
    let numbers: Vec<f64> = words
        .map(|word| float(word).ok_or_else(|| format!("{word} is not a number")))
        .collect::<Result<_, _>>()?;
    // Keypoints that are not there may have any place; the number of a track is no share.
    let n_shares = match rows {
        Rows::Pose(_) => 4.min(numbers.len()),
        Rows::Tracked => numbers.len().saturating_sub(1).max(4.min(numbers.len())),
        Rows::Shapes | Rows::Corners => numbers.len(),
    };
    match numbers[..n_shares].iter().find(|number| !(-1.0..=2.0).contains(*number)) {
        Some(number) => Err(format!("{number} is not a share of an image's side")),
        None => Ok((class, numbers)),
    }
}

/// What the numbers after the class say on an image of a size.
fn row(numbers: &[f64], rows: Rows, size: Size) -> Result<Row, String> {
    let (width, height) = (size.width as f64, size.height as f64);
    let n = numbers.len();
    let is_pose = |n_points: usize| n == 4 + n_points || n == 5 + n_points;
    let (numbers, track) = match numbers {
        [shape @ .., track] if rows == Rows::Tracked && n > 4 && is_track(track) => (shape, Some(*track)),
        _ => (numbers, None),
    };
    let n = numbers.len();
    // A last number beyond those of a shape is the score of a model.
    let (shape, score) = match rows {
        Rows::Corners if n == 8 || n == 9 => (&numbers[..8], numbers.get(8)),
        Rows::Corners => {
            return Err(format!("it has {} after its class, not four corners", counted(n, "number")));
        }
        Rows::Pose(n_points) if is_pose(n_points) => (&numbers[..4], numbers.get(4 + n_points)),
        Rows::Pose(_) if n != 4 && n != 5 => {
            return Err(format!(
                "it has {} after its class, not a box and its keypoints",
                counted(n, "number")
            ));
        }
        _ if n == 4 || n == 5 => (&numbers[..4], numbers.get(4)),
        _ if n >= 6 => (&numbers[..n - n % 2], numbers.get(n - n % 2).filter(|_| n % 2 == 1)),
        _ => {
            return Err(format!(
                "it has {} after its class, neither a box nor a polygon",
                counted(n, "number")
            ));
        }
    };
    let corners: Vec<f64> = match (rows, shape) {
        (Rows::Shapes | Rows::Pose(_) | Rows::Tracked, &[x, y, w, h]) => {
            if w < 0.0 || h < 0.0 {
                return Err("its width or height is negative".to_owned());
            }
            vec![x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
        }
        _ => shape.to_vec(),
    };
    let pixels: Vec<f64> =
        corners.iter().zip([width, height].iter().cycle()).map(|(v, side)| v * side).collect();
    let beyond =
        pixels.iter().enumerate().map(|(i, v)| (-v).max(v - if i % 2 == 0 { width } else { height }));
    let outside = beyond.fold(0.0, f64::max);
    let shape = match (rows, pixels.len()) {
        (_, 4) => Shape::Box(outlines::around(&pixels)),
        (Rows::Corners, _) if is_upright(&pixels) => Shape::Box(outlines::around(&pixels)),
        _ => {
            let corners = outlines::around(&pixels);
            let mask = rasterize(&[pixels], size).map_err(|error| error.to_string())?;
            // A turned box may be narrower than a pixel.
            match rows {
                Rows::Corners if mask.is_empty() => Shape::Box(corners),
                _ => Shape::Mask(Arc::new(mask)),
            }
        }
    };
    let track = track.map(|track| Id::Number(track as i64));
    Ok(Row { shape, score: score.map(|score| score.clamp(0.0, 1.0) as f32), track, outside })
}

/// True if four corners are those of the upright box around them.
fn is_upright(corners: &[f64]) -> bool {
    /// Pixels by which coordinates are rounded.
    const ROUNDING: f64 = 0.05;
    let [x0, y0, x1, y1] = <[f32; 4]>::from(outlines::around(corners)).map(f64::from);
    let is_at = |a: f64, b: f64| (a - b).abs() < ROUNDING;
    corners
        .chunks_exact(2)
        .all(|xy| (is_at(xy[0], x0) || is_at(xy[0], x1)) && (is_at(xy[1], y0) || is_at(xy[1], y1)))
}
