//! What a detector's outputs mean, told from their names and shapes.

use crate::{
    detect::{DetectError, sigmoid},
    geometry::Rect,
    nn::{Port, Tensor},
};

/// A class of a higher number is none.
const MOST_CLASSES: usize = 100_000;

/// The layouts that Segue knows. Numbers say which output it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// YOLOv8, 11, 12 without suppression: `[1, 4 + classes + more, boxes]`, or with the last two axes the other way
    /// round; center, size and scores.
    Yolo { n_classes: usize, boxes_last: bool },
    /// YOLOv5, v7: `[1, boxes, 5 + classes]`; center, size, how sure that it is anything, and of what.
    YoloWithObjectness { n_classes: usize },
    /// YOLOv10, YOLO26, and YOLO with suppression inside: `[1, boxes, 6 + more]`; corners, score, class.
    EndToEnd,
    /// YOLOv7 with suppression inside: `[boxes, 7]`; picture, corners, class, score.
    EndToEndBatch,
    /// RT-DETR of Ultralytics: `[1, queries, 4 + classes]`; center and size as shares, scores.
    Shares { n_classes: usize },
    /// Suppressed already: boxes `[1, n, 4]`, scores and classes `[1, n]`, and maybe how many of them count. `in_picture`:
    /// it was told the picture's size (official RT-DETR and D-FINE).
    Separate { boxes: usize, scores: usize, classes: usize, count: Option<usize>, in_picture: bool },
    /// DETR, RF-DETR: boxes `[1, queries, 4]` as center and size in shares, and logits `[1, queries, columns]`.
    Detr { boxes: usize, logits: usize, n_classes: usize, kind: DetrKind },
}

/// How a DETR's logits are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetrKind {
    /// Each class by itself; colors are normalized or not.
    Sigmoid { is_normalized: bool },
    /// One of the classes, or of the last column, which is nothing (the original DETR).
    Softmax,
    /// Each class by itself, and a last column that means nothing (RF-DETR).
    RfDetr,
}

/// In what boxes are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boxes {
    /// Pixels of the picture.
    InPicture,
    /// Pixels of the model's input.
    InInput,
    /// Shares of the model's input.
    Shares,
}

/// What was read from the outputs.
pub(super) struct Found {
    pub boxes: Boxes,
    pub raw: Vec<Raw>,
}

/// A detection as the model says it.
pub(super) struct Raw {
    /// x0, y0, x1, y1.
    pub corners: [f32; 4],
    pub score: f32,
    pub class: usize,
}

impl Layout {
    /// The layout of these outputs. `n_named`: how many classes are named; `normalizes`: what is known of colors;
    /// `is_told_size`: whether the model is told the picture's size.
    pub(super) fn of(
        outputs: &[Port],
        n_named: Option<usize>,
        normalizes: Option<bool>,
        is_told_size: bool,
    ) -> Result<Self, String> {
        let unknown = || {
            let told = outputs.iter().map(|port| format!("{} {}", port.name, shape(&port.shape)));
            let told = told.collect::<Vec<_>>().join(", ");
            format!("its outputs are none that Segue knows ({told}); export it as DETR, RF-DETR or YOLO do")
        };
        separate(outputs, is_told_size)
            .or_else(|| detr(outputs, n_named, normalizes))
            .or_else(|| single(outputs, n_named))
            .ok_or_else(unknown)
    }

    /// How many classes it tells apart, if the shapes say.
    pub(super) fn n_classes(&self) -> Option<usize> {
        match *self {
            Self::Yolo { n_classes, .. }
            | Self::YoloWithObjectness { n_classes }
            | Self::Shares { n_classes }
            | Self::Detr { n_classes, .. } => Some(n_classes),
            Self::EndToEnd | Self::EndToEndBatch | Self::Separate { .. } => None,
        }
    }

    /// Whether pictures keep their aspect ratio, with gray round them.
    pub(super) fn keeps_aspect(&self) -> bool {
        match self {
            Self::Yolo { .. } | Self::YoloWithObjectness { .. } | Self::EndToEnd | Self::EndToEndBatch => {
                true
            }
            Self::Separate { in_picture, .. } => !in_picture,
            Self::Shares { .. } | Self::Detr { .. } => false,
        }
    }

    /// Whether colors are normalized with ImageNet's mean and deviation.
    pub(super) fn is_normalized(&self) -> bool {
        let Self::Detr { kind, .. } = self else { return false };
        !matches!(kind, DetrKind::Sigmoid { is_normalized: false })
    }

    /// What the outputs say with a score of at least `least`.
    pub(super) fn read(&self, outputs: &[Tensor], least: f32) -> Result<Found, DetectError> {
        let numbers = |i: usize| {
            let (shape, values) = outputs.get(i).and_then(Tensor::numbers).unwrap_or_default();
            let columns = shape.last().copied().unwrap_or(0);
            Rows { values, columns }
        };
        let (boxes, raw) = match *self {
            Self::Yolo { n_classes, boxes_last } => {
                let rows = if boxes_last { numbers(0).turned() } else { numbers(0) };
                (Boxes::InInput, rows.map(|row| Some((from_center(row)?, best(row.get(4..4 + n_classes)?)?))))
            }
            Self::YoloWithObjectness { n_classes } => {
                let read = |row: &[f32]| {
                    let (class, score) = best(row.get(5..5 + n_classes)?)?;
                    Some((from_center(row)?, (class, score * row[4])))
                };
                (Boxes::InInput, numbers(0).map(read))
            }
            Self::EndToEnd => {
                let read = |row: &[f32]| Some((corners(row)?, (*row.get(5)? as usize, *row.get(4)?)));
                (Boxes::InInput, numbers(0).map(read))
            }
            Self::EndToEndBatch => {
                let read =
                    |row: &[f32]| Some((corners(row.get(1..)?)?, (*row.get(5)? as usize, *row.get(6)?)));
                (Boxes::InInput, numbers(0).map(read))
            }
            Self::Shares { n_classes } => {
                let read = |row: &[f32]| Some((from_center(row)?, best(row.get(4..4 + n_classes)?)?));
                (Boxes::Shares, numbers(0).map(read))
            }
            Self::Separate { boxes, scores, classes, count, in_picture } => {
                let [boxes, scores, classes] = [boxes, scores, classes].map(numbers);
                let n = count.and_then(|i| numbers(i).values.first().copied());
                let n = n.map_or(usize::MAX, |n| n as usize);
                let found =
                    scores.values.iter().zip(&classes.values).map(|(score, class)| (*class as usize, *score));
                let raw = boxes.values.chunks_exact(4).zip(found).take(n);
                let raw = raw.filter_map(|(row, found)| Some((corners(row)?, found))).collect();
                (if in_picture { Boxes::InPicture } else { Boxes::InInput }, raw)
            }
            Self::Detr { boxes, logits, n_classes, kind } => {
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
        };
        let is_number = |(corners, (_, score)): &([f32; 4], (usize, f32))| {
            score.is_finite() && corners.iter().all(|v| v.is_finite())
        };
        let is_class = |(_, (class, _)): &([f32; 4], (usize, f32))| *class < MOST_CLASSES;
        if !raw.is_empty() && !raw.iter().any(is_number) {
            return Err(DetectError::NotNumbers);
        }
        // Some exporters divide boxes by the input's size.
        let reach = raw.iter().flat_map(|(corners, _)| corners).copied().fold(0.0, f32::max);
        let boxes = if boxes == Boxes::InInput && reach <= 2.0 { Boxes::Shares } else { boxes };
        let sure = raw.into_iter().filter(|found| is_number(found) && is_class(found) && found.1.1 >= least);
        let raw = sure.map(|(corners, (class, score))| Raw { corners, score, class }).collect();
        Ok(Found { boxes, raw })
    }
}

/// A matrix.
struct Rows {
    values: Vec<f32>,
    columns: usize,
}

impl Rows {
    fn turned(self) -> Self {
        let n_rows = self.values.len() / self.columns.max(1);
        let column = |c: usize| self.values.iter().skip(c).step_by(self.columns).copied();
        Self { values: (0..self.columns).flat_map(column).collect(), columns: n_rows }
    }

    fn map<T>(&self, read: impl Fn(&[f32]) -> Option<T>) -> Vec<T> {
        self.values.chunks_exact(self.columns.max(1)).filter_map(read).collect()
    }
}

fn corners(row: &[f32]) -> Option<[f32; 4]> {
    row.first_chunk().copied()
}

fn from_center(row: &[f32]) -> Option<[f32; 4]> {
    row.first_chunk().map(|center| Rect::from_center(*center).into())
}

/// The class with the highest score; what is no number is lowest.
fn best(scores: &[f32]) -> Option<(usize, f32)> {
    let lowest = |v: f32| if v.is_nan() { f32::NEG_INFINITY } else { v };
    scores.iter().copied().enumerate().max_by(|a, b| lowest(a.1).total_cmp(&lowest(b.1)))
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|v| (v - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|v| v / sum).collect()
}

fn shape(dims: &[Option<usize>]) -> String {
    let dims = dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |n| n.to_string()));
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

/// The output whose name contains one of `words`.
fn named(outputs: &[Port], words: &[&str]) -> Option<usize> {
    words.iter().find_map(|word| outputs.iter().position(|port| port.name.to_lowercase().contains(word)))
}

fn separate(outputs: &[Port], is_told_size: bool) -> Option<Layout> {
    if outputs.len() < 3 {
        return None;
    }
    let boxes = named(outputs, &["boxes"])?;
    let scores = named(outputs, &["scores"])?;
    let classes = named(outputs, &["labels", "classes"])?;
    let count = named(outputs, &["num_dets", "num_detections", "num_predictions"]);
    let rank = |i: usize| outputs[i].shape.len();
    let fits = rank(boxes) == 3 && rank(scores) == 2 && rank(classes) == 2;
    fits.then_some(Layout::Separate { boxes, scores, classes, count, in_picture: is_told_size })
}

fn detr(outputs: &[Port], n_named: Option<usize>, normalizes: Option<bool>) -> Option<Layout> {
    let boxes = named(outputs, &["dets", "pred_boxes", "boxes"])?;
    let logits = named(outputs, &["labels", "logits"])?;
    let columns = outputs[logits].shape.last().copied().flatten()?;
    let is_list = |i: usize| outputs[i].shape.len() == 3;
    if !is_list(boxes) || !is_list(logits) || outputs[boxes].shape[2] != Some(4) || columns < 2 {
        return None;
    }
    let is_rf_detr = outputs[boxes].name == "dets";
    let has_nothing = n_named.is_some_and(|n| n + 1 == columns);
    let kind = match () {
        // Without names its last column is left out as well: it never means anything.
        () if is_rf_detr && (has_nothing || n_named.is_none()) => DetrKind::RfDetr,
        () if is_rf_detr => DetrKind::Sigmoid { is_normalized: true },
        () if has_nothing => DetrKind::Softmax,
        () => DetrKind::Sigmoid { is_normalized: normalizes.unwrap_or(false) },
    };
    let n_classes = if matches!(kind, DetrKind::Sigmoid { .. }) { columns } else { columns - 1 };
    Some(Layout::Detr { boxes, logits, n_classes, kind })
}

/// A layout of one output, or of one and the masks that come with it.
fn single(outputs: &[Port], n_named: Option<usize>) -> Option<Layout> {
    let is_list = |port: &&Port| port.shape.len() == 3 || port.shape.len() == 2;
    let first = outputs.first().filter(is_list)?;
    let has_masks = outputs.len() > 1;
    if let [_, Some(7)] = first.shape[..] {
        return Some(Layout::EndToEndBatch);
    }
    let [_, rows, columns] = first.shape[..] else { return None };
    // The axis of boxes is the longer one, or the one that is not known.
    let boxes_last = match (rows, columns) {
        (Some(rows), Some(columns)) => columns > rows,
        (rows, columns) => rows.is_some() && columns.is_none(),
    };
    let n = if boxes_last { rows } else { columns }?;
    let n_boxes = if boxes_last { columns } else { rows };
    match n_named {
        // Both agree with 6 columns and two classes; suppression inside leaves at most a few hundred boxes.
        _ if !boxes_last && (n == 6 || has_masks && n > 6) && n_boxes.is_none_or(|n| n <= 1000) => {
            Some(Layout::EndToEnd)
        }
        Some(k) if n == 4 + k || has_masks && n > 4 + k => {
            // Queries are few hundreds and in shares, anchors thousands.
            let is_queries = !boxes_last && n_boxes.is_some_and(|n| n <= 1000);
            Some(if is_queries {
                Layout::Shares { n_classes: k }
            } else {
                Layout::Yolo { n_classes: k, boxes_last }
            })
        }
        Some(k) if !boxes_last && n == 5 + k => Some(Layout::YoloWithObjectness { n_classes: k }),
        _ if boxes_last && n > 4 => Some(Layout::Yolo { n_classes: n - 4, boxes_last }),
        _ if !boxes_last && n > 5 && n_boxes.is_none_or(|n| n > 1000) => {
            Some(Layout::YoloWithObjectness { n_classes: n - 5 })
        }
        _ if !boxes_last && n > 4 => Some(Layout::Shares { n_classes: n - 4 }),
        _ => None,
    }
}
