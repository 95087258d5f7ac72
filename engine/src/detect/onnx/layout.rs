//! Layouts of a detector's outputs, and a reader for them.

mod recognize;

use crate::{
    detect::{DetectError, sigmoid},
    geometry::Rect,
    nn::Tensor,
};

pub(super) use recognize::{Facts, Probe, Task, shape};

/// Upper limit of class ids; detections with higher ones are dropped.
const MAX_CLASSES: usize = 100_000;
/// Amount by which a score may exceed 1, as 16-bit floats are rounded; a higher number is not a score.
const ROUNDING: f32 = 0.01;

/// Layout of the outputs and their contents besides boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub kind: Kind,
    pub extras: Extras,
}

/// Supported layouts. `output`, `boxes`, `scores`, `classes`, `count` and `logits` are indices of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// YOLO without suppression: `[1, boxes, first_score + classes + extras]`, or with the last two axes swapped
    /// (`boxes_last`). Columns are center, size and scores. YOLOv5 and v7 have objectness before the scores
    /// (`first_score` is 5), YOLOv8 and later do not (4).
    Yolo { output: usize, first_score: usize, n_classes: usize, boxes_last: bool },
    /// YOLOv10, YOLO26, and YOLO with suppression in the file: `[1, boxes, 6 + extras]`. Columns are corners (center
    /// and size for oriented boxes), score and class.
    EndToEnd { output: usize },
    /// YOLOv7 with suppression in the file: `[boxes, 7]`. Columns are image, corners, class and score.
    EndToEndBatch { output: usize },
    /// RT-DETR of Ultralytics: `[1, queries, 4 + classes]`. Columns are center and size as shares of the input, and
    /// scores.
    Shares { output: usize, n_classes: usize },
    /// Separate outputs that need no suppression: boxes `[1, n, 4]`, scores and classes `[1, n]`, and an optional
    /// number of valid boxes. `in_picture` is true if boxes are in image pixels, because the model has the image's
    /// size as an input (official RT-DETR and D-FINE).
    Separate { boxes: usize, scores: usize, classes: usize, count: Option<usize>, in_picture: bool },
    /// DETR, RF-DETR: boxes `[1, queries, 4]` as center and size in shares of the input, and logits `[1, queries,
    /// columns]`.
    Detr { boxes: usize, logits: usize, n_classes: usize, kind: DetrKind },
}

/// Contents of the outputs besides boxes, scores and classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extras {
    Nothing,
    /// Mask coefficients and prototypes, or masks.
    Masks,
    Keypoints,
    /// The angle of each box, in radians and clockwise, as the last column.
    Angle,
    /// Number of unrecognized columns.
    Columns(usize),
    /// Number of unrecognized outputs.
    Outputs(usize),
}

impl Extras {
    /// Returns a sentence that says that these contents are ignored, if there are any.
    pub(super) fn remark(self) -> Option<String> {
        Some(match self {
            Self::Nothing => return None,
            Self::Masks => "masks of this segmentation model are ignored".to_owned(),
            Self::Keypoints => "keypoints of this pose model are ignored".to_owned(),
            Self::Angle => {
                "angles of this oriented model are ignored: boxes are the upright bounds of turned ones"
                    .to_owned()
            }
            Self::Outputs(1) => "1 output of this model is ignored".to_owned(),
            Self::Outputs(n) => format!("{n} outputs of this model are ignored"),
            Self::Columns(1) => "1 column of this model's output is ignored".to_owned(),
            Self::Columns(n) => format!("{n} columns of this model's output are ignored"),
        })
    }
}

/// Meaning of a DETR's logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetrKind {
    /// Sigmoid per class, without a no-object column. `is_normalized` says if the model expects normalized colors.
    Sigmoid { is_normalized: bool },
    /// Softmax over the classes and a last column for no object (the original DETR).
    Softmax,
    /// Sigmoid per class, and a last column that is ignored (RF-DETR).
    RfDetr,
}

/// Coordinate space of boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boxes {
    /// Pixels of the image.
    InPicture,
    /// Pixels of the model's input.
    InInput,
    /// Shares of the model's input.
    Shares,
}

/// Detections as read from the outputs.
pub(super) struct Found {
    pub boxes: Boxes,
    pub raw: Vec<Raw>,
}

/// A detection in the coordinate space of the outputs.
pub(super) struct Raw {
    /// Corners as `[x0, y0, x1, y1]`.
    pub corners: [f32; 4],
    pub score: f32,
    pub class: usize,
}

/// Corners, and class and score, of a row that is not yet checked.
type Read = ([f32; 4], (usize, f32));

impl Layout {
    /// Returns the number of classes, if the shapes of the outputs show it.
    pub(super) fn n_classes(&self) -> Option<usize> {
        match self.kind {
            Kind::Yolo { n_classes, .. } | Kind::Shares { n_classes, .. } | Kind::Detr { n_classes, .. } => {
                Some(n_classes)
            }
            Kind::EndToEnd { .. } | Kind::EndToEndBatch { .. } | Kind::Separate { .. } => None,
        }
    }

    /// Returns true if no duplicates are left: the file contains suppression, or the model predicts queries.
    pub(super) fn is_suppressed(&self) -> bool {
        !matches!(self.kind, Kind::Yolo { .. })
    }

    /// Returns true if images keep their aspect ratio and are padded with gray.
    pub(super) fn keeps_aspect(&self) -> bool {
        match self.kind {
            Kind::Yolo { .. } | Kind::EndToEnd { .. } | Kind::EndToEndBatch { .. } => true,
            Kind::Separate { in_picture, .. } => !in_picture,
            Kind::Shares { .. } | Kind::Detr { .. } => false,
        }
    }

    /// Returns true if colors are normalized with ImageNet's mean and standard deviation.
    pub(super) fn is_normalized(&self) -> bool {
        let Kind::Detr { kind, .. } = self.kind else { return false };
        !matches!(kind, DetrKind::Sigmoid { is_normalized: false })
    }

    /// Reads the detections with a score of at least `least` from the outputs.
    pub(super) fn read(&self, outputs: &[Tensor], least: f32) -> Result<Found, DetectError> {
        let (boxes, raw) = self.rows(outputs);
        let is_number =
            |(corners, (_, score)): &Read| score.is_finite() && corners.iter().all(|v| v.is_finite());
        if !raw.is_empty() && !raw.iter().any(is_number) {
            return Err(DetectError::NotNumbers);
        }
        let highest = raw.iter().filter(|read| is_number(read)).map(|read| read.1.1).fold(0.0, f32::max);
        if highest > 1.0 + ROUNDING {
            return Err(DetectError::NotScores(highest));
        }
        // Some exporters divide boxes by the input's size.
        let reach = raw.iter().flat_map(|(corners, _)| corners).copied().fold(0.0, f32::max);
        let boxes = if boxes == Boxes::InInput && reach <= 2.0 { Boxes::Shares } else { boxes };
        let counts = |read: &Read| is_number(read) && read.1.0 < MAX_CLASSES && read.1.1 >= least;
        let raw = raw.into_iter().filter(counts);
        let raw = raw.map(|(corners, (class, score))| Raw { corners, score: score.min(1.0), class });
        Ok(Found { boxes, raw: raw.collect() })
    }

    fn rows(&self, outputs: &[Tensor]) -> (Boxes, Vec<Read>) {
        let numbers = |i: usize| Rows::of(outputs, i);
        let turned = self.extras == Extras::Angle;
        match self.kind {
            Kind::Yolo { output, first_score, n_classes, boxes_last } => {
                let rows = if boxes_last { numbers(output).turned() } else { numbers(output) };
                let read = |row: &[f32]| {
                    let (class, score) = best(row.get(first_score..first_score + n_classes)?)?;
                    let sure = if first_score == 5 { row[4] } else { 1.0 };
                    Some((if turned { upright(row)? } else { from_center(row)? }, (class, score * sure)))
                };
                (Boxes::InInput, rows.map(read))
            }
            Kind::EndToEnd { output } => {
                let read = |row: &[f32]| {
                    let corners = if turned { upright(row)? } else { corners(row)? };
                    Some((corners, (*row.get(5)? as usize, *row.get(4)?)))
                };
                (Boxes::InInput, numbers(output).map(read))
            }
            Kind::EndToEndBatch { output } => {
                let read =
                    |row: &[f32]| Some((corners(row.get(1..)?)?, (*row.get(5)? as usize, *row.get(6)?)));
                (Boxes::InInput, numbers(output).map(read))
            }
            Kind::Shares { output, n_classes } => {
                let read = |row: &[f32]| Some((from_center(row)?, best(row.get(4..4 + n_classes)?)?));
                (Boxes::Shares, numbers(output).map(read))
            }
            Kind::Separate { boxes, scores, classes, count, in_picture } => {
                let [boxes, scores, classes] = [boxes, scores, classes].map(numbers);
                let n = count.and_then(|i| numbers(i).values.first().copied());
                let n = n.map_or(usize::MAX, |n| n as usize);
                let found =
                    scores.values.iter().zip(&classes.values).map(|(score, class)| (*class as usize, *score));
                let raw = boxes.values.chunks_exact(4).zip(found).take(n);
                let raw = raw.filter_map(|(row, found)| Some((corners(row)?, found))).collect();
                (if in_picture { Boxes::InPicture } else { Boxes::InInput }, raw)
            }
            Kind::Detr { boxes, logits, n_classes, kind } => {
                let (boxes, logits) = (numbers(boxes), numbers(logits));
                let rows = logits.values.chunks_exact(logits.columns.max(1));
                let raw = boxes.values.chunks_exact(4).zip(rows).filter_map(|(share, row)| {
                    let found = match kind {
                        DetrKind::Softmax => best(softmax(row).get(..n_classes)?),
                        _ => best(row.get(..n_classes)?).map(|(class, logit)| (class, sigmoid(logit))),
                    };
                    Some((from_center(share)?, found?))
                });
                (Boxes::Shares, raw.collect())
            }
        }
    }
}

/// A row-major matrix.
struct Rows {
    values: Vec<f32>,
    columns: usize,
}

impl Rows {
    fn of(outputs: &[Tensor], i: usize) -> Self {
        let (shape, values) = outputs.get(i).and_then(Tensor::numbers).unwrap_or_default();
        Self { values, columns: shape.last().copied().unwrap_or(0) }
    }

    fn turned(self) -> Self {
        let n_rows = self.values.len() / self.columns.max(1);
        let column = |c: usize| self.values.iter().skip(c).step_by(self.columns).copied();
        Self { values: (0..self.columns).flat_map(column).collect(), columns: n_rows }
    }

    fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    fn map<T>(&self, read: impl Fn(&[f32]) -> Option<T>) -> Vec<T> {
        self.iter().filter_map(read).collect()
    }
}

fn corners(row: &[f32]) -> Option<[f32; 4]> {
    row.first_chunk().copied()
}

fn from_center(row: &[f32]) -> Option<[f32; 4]> {
    row.first_chunk().map(|center| Rect::from_center(*center).into())
}

/// Returns the axis-aligned bounds of an oriented box, whose row begins with center and size and ends with the angle.
fn upright(row: &[f32]) -> Option<[f32; 4]> {
    let [x, y, w, h] = *row.first_chunk()?;
    let (sin, cos) = row.last()?.sin_cos();
    let (sin, cos) = (sin.abs(), cos.abs());
    Some(Rect::from_center([x, y, w * cos + h * sin, w * sin + h * cos]).into())
}

/// Returns the class with the highest score and this score; NaN counts as lowest.
fn best(scores: &[f32]) -> Option<(usize, f32)> {
    let lowest = |v: f32| if v.is_nan() { f32::NEG_INFINITY } else { v };
    // The first of equal scores wins, as in PyTorch and NumPy.
    scores.iter().copied().enumerate().rev().max_by(|a, b| lowest(a.1).total_cmp(&lowest(b.1)))
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|v| (v - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|v| v / sum).collect()
}
