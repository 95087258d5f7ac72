//! Recognition of the layout of a detector's outputs, from its metadata and the outputs' names and shapes. If several
//! layouts remain, the numbers that the model returns for a gray image decide.

use super::{DetrKind, Extras, Kind, Layout, Rows};
use crate::nn::{Port, Tensor};

/// Maximum number of suppressed boxes or queries. Suppression in the file leaves at most a few hundred boxes, and there
/// are about as many queries; anchors number in the thousands.
const MAX_FEW: usize = 1000;

/// Number of columns of the most common oriented models: box, DOTA's 15 classes, and the angle. The angles may all be
/// from 0 to 1, like scores. If there are no names, such a model is more likely than a detector of 16 classes.
const DOTA: usize = 4 + 15 + 1;

/// Number of category ids of COCO, from 0 to 90.
const COCO_IDS: usize = 91;

/// Task of a model, as in Ultralytics' metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect::onnx) enum Task {
    Detect,
    Segment,
    Pose,
    Oriented,
}

/// Known facts about a detector, apart from its outputs.
#[derive(Clone, Debug, Default)]
pub(in crate::detect::onnx) struct Facts {
    pub task: Option<Task>,
    /// Number of named classes, if there are names.
    pub n_named: Option<usize>,
    /// Number of columns for all keypoints of one object.
    pub n_keypoint_columns: Option<usize>,
    /// True if the model expects normalized colors, if known.
    pub normalizes: Option<bool>,
    /// True if the model has the image's size as an input.
    pub is_told_size: bool,
}

/// The outputs for a gray image, for layouts that only their numbers can tell apart. They are computed at most once.
pub(in crate::detect::onnx) struct Probe<'a> {
    compute: &'a mut dyn FnMut() -> Vec<Tensor>,
    outputs: Option<Vec<Tensor>>,
}

impl<'a> Probe<'a> {
    /// Creates a probe from a function that runs the model and returns no outputs if that fails.
    pub(in crate::detect::onnx) fn new(compute: &'a mut dyn FnMut() -> Vec<Tensor>) -> Self {
        Self { compute, outputs: None }
    }

    fn outputs(&mut self) -> &[Tensor] {
        self.outputs.get_or_insert_with(&mut self.compute)
    }
}

impl Layout {
    /// Recognizes the layout of these outputs. The error is a sentence that says why they are not supported.
    pub(in crate::detect::onnx) fn of(
        outputs: &[Port],
        facts: &Facts,
        mut probe: Probe<'_>,
    ) -> Result<Self, String> {
        let unknown = || {
            let told = outputs.iter().map(|port| format!("{} {}", port.name, shape(&port.shape)));
            let told = told.collect::<Vec<_>>().join(", ");
            format!("its outputs are none that Segue knows ({told}); export it as DETR, RF-DETR or YOLO do")
        };
        let with_extras = |kind| Self { kind, extras: named_extras(outputs) };
        let layout = separate(outputs, facts)
            .or_else(|| detr(outputs, facts))
            .map(with_extras)
            .or_else(|| single(outputs, facts, &mut probe));
        let Some(mut layout) = layout else { return Err(unknown()) };
        if is_grid(&layout, &mut probe) {
            return Err("its boxes are offsets in a grid, as YOLOX exports them, which Segue does not read"
                .to_owned());
        }
        if matches!(layout.kind, Kind::Separate { boxes, .. } if outputs[boxes].name.contains("detection_boxes"))
        {
            return Err(
                "its boxes have y before x, as the Object Detection API of TensorFlow exports them, which \
                        Segue does not read"
                    .to_owned(),
            );
        }
        // If the outputs were computed, they must be valid for the layout.
        if let Some(Err(error)) = probe.outputs.as_ref().map(|outputs| layout.read(outputs, 0.0)) {
            return Err(error.to_string());
        }
        let n_unused = outputs.len() - layout.n_outputs();
        if layout.extras == Extras::Nothing && n_unused > 0 {
            layout.extras = Extras::Outputs(n_unused);
        }
        Ok(layout)
    }

    /// Returns the number of outputs that are read.
    fn n_outputs(&self) -> usize {
        match self.kind {
            Kind::Separate { count, .. } => 3 + usize::from(count.is_some()),
            Kind::Detr { .. } => 2,
            Kind::Yolo { .. } | Kind::EndToEnd { .. } | Kind::EndToEndBatch { .. } | Kind::Shares { .. } => 1,
        }
    }
}

/// Returns true if a width or height is negative: YOLOX exports logarithms relative to grid cells.
fn is_grid(layout: &Layout, probe: &mut Probe<'_>) -> bool {
    let Kind::Yolo { output, first_score: 5, boxes_last: false, .. } = layout.kind else { return false };
    Rows::of(probe.outputs(), output).iter().any(|row| row.iter().skip(2).take(2).any(|side| *side < 0.0))
}

pub(in crate::detect::onnx) fn shape(dims: &[Option<usize>]) -> String {
    let dims = dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |n| n.to_string()));
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

/// Returns the index of an output whose name contains one of `words`; earlier words come first.
fn named(outputs: &[Port], words: &[&str]) -> Option<usize> {
    words.iter().find_map(|word| outputs.iter().position(|port| port.name.to_lowercase().contains(word)))
}

/// Recognizes the contents of additional outputs by their names.
fn named_extras(outputs: &[Port]) -> Extras {
    match () {
        () if named(outputs, &["mask"]).is_some() => Extras::Masks,
        () if named(outputs, &["keypoint", "kpt"]).is_some() => Extras::Keypoints,
        () => Extras::Nothing,
    }
}

fn separate(outputs: &[Port], facts: &Facts) -> Option<Kind> {
    if outputs.len() < 3 {
        return None;
    }
    let boxes = named(outputs, &["boxes"])?;
    let scores = named(outputs, &["scores"])?;
    let classes = named(outputs, &["labels", "classes"])?;
    let count = named(outputs, &["num_dets", "num_detections", "num_predictions"]);
    let rank = |i: usize| outputs[i].shape.len();
    let fits = rank(boxes) == 3 && rank(scores) == 2 && rank(classes) == 2;
    fits.then_some(Kind::Separate { boxes, scores, classes, count, in_picture: facts.is_told_size })
}

fn detr(outputs: &[Port], facts: &Facts) -> Option<Kind> {
    let boxes = named(outputs, &["dets", "pred_boxes", "boxes"])?;
    let logits = named(outputs, &["labels", "logits"])?;
    let columns = outputs[logits].shape.last().copied().flatten()?;
    let is_list = |i: usize| outputs[i].shape.len() == 3;
    if !is_list(boxes) || !is_list(logits) || outputs[boxes].shape[2] != Some(4) || columns < 2 {
        return None;
    }
    let is_rf_detr = outputs[boxes].name == "dets";
    // Without class names, 92 columns are the original DETR: COCO's ids 0 to 90 and the no-object class.
    let has_nothing = facts.n_named.map_or(columns == COCO_IDS + 1, |n| n + 1 == columns);
    let kind = match () {
        // The last column of RF-DETR never means anything, so it is also ignored if there are no names.
        () if is_rf_detr && (has_nothing || facts.n_named.is_none()) => DetrKind::RfDetr,
        () if is_rf_detr => DetrKind::Sigmoid { is_normalized: true },
        () if has_nothing => DetrKind::Softmax,
        () => DetrKind::Sigmoid { is_normalized: facts.normalizes.unwrap_or(false) },
    };
    let n_classes = if matches!(kind, DetrKind::Sigmoid { .. }) { columns } else { columns - 1 };
    Some(Kind::Detr { boxes, logits, n_classes, kind })
}

/// An output with one row per box, and the order of its axes.
struct List {
    output: usize,
    /// Number of values per box.
    n_columns: usize,
    boxes_last: bool,
    /// True if the number of boxes is so low that they are suppressed boxes or queries.
    is_few: bool,
    /// Number of mask prototypes, if there are any.
    n_prototypes: Option<usize>,
}

/// Columns of the keypoints of COCO-WholeBody, the most of any published model: x, y and visibility of 133 keypoints.
/// If there are more, the names belong to another model and made the axis of boxes look like columns.
const MAX_KEYPOINT_COLUMNS: usize = 3 * 133;

impl List {
    /// Returns the possible orders of an output's axes, the more likely one first.
    fn of(outputs: &[Port], output: usize, facts: &Facts) -> Option<Vec<Self>> {
        let [_, rows, columns] = outputs[output].shape[..] else { return None };
        // The axis of boxes is the longer one, or the one of unknown length.
        let boxes_last = match (rows, columns) {
            (Some(rows), Some(columns)) => columns > rows,
            (rows, columns) => rows.is_some() && columns.is_none(),
        };
        let list = |boxes_last: bool| {
            let (n_columns, n_boxes) = if boxes_last { (rows?, columns) } else { (columns?, rows) };
            // Prototypes are `[1, prototypes, height, width]`; the columns contain a coefficient for each.
            let is_prototypes = |n: &usize| match facts.n_named {
                Some(named) => {
                    let sums = [4 + named + n, 5 + named + n, 6 + n];
                    [rows, columns].iter().flatten().any(|columns| sums.contains(columns))
                }
                None => n + 4 < n_columns,
            };
            let mut maps = outputs.iter().filter(|port| port.shape.len() == 4);
            let n_prototypes = maps.find_map(|port| port.shape[1].filter(is_prototypes));
            let is_few = !boxes_last && n_boxes.is_none_or(|n| n <= MAX_FEW);
            Some(Self { output, n_columns, boxes_last, is_few, n_prototypes })
        };
        Some([list(boxes_last), list(!boxes_last)].into_iter().flatten().collect())
    }

    /// Returns the meaning of `n` columns after the classes; `None` if they fit no task.
    fn extras(&self, n: usize, facts: &Facts) -> Option<Extras> {
        let fits = |task: Task| match task {
            Task::Detect => n == 0,
            Task::Segment => n > 0 && self.n_prototypes.is_none_or(|prototypes| prototypes == n),
            Task::Pose => n > 0 && facts.n_keypoint_columns.is_none_or(|columns| columns == n),
            Task::Oriented => n == 1,
        };
        let task = match facts.task {
            Some(task) => Some(task).filter(|task| fits(*task)),
            None if self.n_prototypes.is_some() => Some(Task::Segment).filter(|task| fits(*task)),
            None if n == 0 => Some(Task::Detect),
            None if n == 1 => Some(Task::Oriented),
            // Each keypoint has x and y, and mostly a confidence.
            None => (n <= MAX_KEYPOINT_COLUMNS && (n.is_multiple_of(3) || n.is_multiple_of(2)))
                .then_some(Task::Pose),
        };
        Some(match task? {
            Task::Detect => Extras::Nothing,
            Task::Segment => Extras::Masks,
            Task::Pose => Extras::Keypoints,
            Task::Oriented => Extras::Angle,
        })
    }

    /// Returns the number of columns after the classes, if it follows from the task.
    fn n_extras(&self, facts: &Facts) -> Option<usize> {
        match facts.task {
            Some(Task::Detect) => Some(0),
            Some(Task::Oriented) => Some(1),
            Some(Task::Pose) => facts.n_keypoint_columns,
            // Ultralytics' models have 32 prototypes; this is used if their shape is unknown.
            Some(Task::Segment) => Some(self.n_prototypes.unwrap_or(32)),
            None => self.n_prototypes,
        }
    }
}

/// Recognizes layouts with a single output of one row per box.
fn single(outputs: &[Port], facts: &Facts, probe: &mut Probe<'_>) -> Option<Layout> {
    let is_list = |port: &Port| matches!(port.shape.len(), 2 | 3);
    let output = outputs.iter().position(is_list)?;
    if let [_, Some(7)] = outputs[output].shape[..] {
        return Some(Layout { kind: Kind::EndToEndBatch { output }, extras: Extras::Nothing });
    }
    // Another list output with the same number of rows has scores or classes of the same boxes. Then the meaning of
    // this output's columns is unknown.
    let n_rows = outputs[output].shape.get(1).copied().flatten();
    let is_partner = |(i, port): (usize, &Port)| {
        i != output && is_list(port) && n_rows.is_some() && port.shape.get(1).copied().flatten() == n_rows
    };
    if outputs.iter().enumerate().any(is_partner) {
        return None;
    }
    let lists = List::of(outputs, output, facts)?;
    let n_lists = if facts.n_named.is_some() { lists.len() } else { 1 };
    let mut layouts = lists.into_iter().take(n_lists).filter_map(|list| {
        let few = if list.is_few { few(&list, facts, probe) } else { None };
        few.or_else(|| many(&list, facts, probe))
    });
    let first = layouts.next();
    // Small models have fewer boxes than columns; then the number of names decides which axis is which.
    let fits = |layout: &Layout| facts.n_named.is_none_or(|n| layout.n_classes().is_none_or(|is| is == n));
    if first.as_ref().is_some_and(fits) { first } else { layouts.find(fits).or(first) }
}

/// Recognizes layouts of suppressed boxes or queries.
fn few(list: &List, facts: &Facts, probe: &mut Probe<'_>) -> Option<Layout> {
    let List { output, n_columns, .. } = *list;
    let end_to_end = n_columns.checked_sub(6).and_then(|n| list.extras(n, facts));
    let end_to_end = end_to_end.map(|extras| Layout { kind: Kind::EndToEnd { output }, extras });
    let n_classes = n_columns.checked_sub(4).filter(|n| *n > 0);
    let n_classes = n_classes.filter(|n| facts.n_named.is_none_or(|named| named == *n));
    let is_detection = matches!(facts.task, None | Some(Task::Detect)) && list.n_prototypes.is_none();
    let shares = n_classes.filter(|_| is_detection);
    let shares =
        shares.map(|n_classes| Layout { kind: Kind::Shares { output, n_classes }, extras: Extras::Nothing });
    match (end_to_end, shares) {
        // With two classes, both layouts have six columns; such RT-DETR models are much rarer.
        (Some(layout), Some(_)) if n_columns == 6 => Some(layout),
        (Some(end_to_end), Some(shares)) => {
            let is_class = |v: &f32| *v >= 0.0 && v.fract() == 0.0;
            let is_end_to_end = |row: &[f32]| row.get(5).is_some_and(is_class);
            Some(if Rows::of(probe.outputs(), output).iter().all(is_end_to_end) {
                end_to_end
            } else {
                shares
            })
        }
        (None, Some(shares)) if facts.n_named.is_none() => {
            // A small input has as few anchors as a model has queries, but anchors are in pixels.
            let is_share = |row: &[f32]| row.iter().take(4).all(|v| v.is_nan() || v.abs() <= 2.0);
            Rows::of(probe.outputs(), output).iter().all(is_share).then_some(shares)
        }
        (end_to_end, shares) => end_to_end.or(shares),
    }
}

/// Recognizes layouts with the boxes of all anchors.
fn many(list: &List, facts: &Facts, probe: &mut Probe<'_>) -> Option<Layout> {
    let List { output, n_columns, boxes_last, .. } = *list;
    let layout = |first_score: usize, n_classes: usize, extras| Layout {
        kind: Kind::Yolo { output, first_score, n_classes, boxes_last },
        extras,
    };
    // If the boxes are the last axis, the model is YOLOv8 or later, else mostly YOLOv5 or v7.
    let firsts: &[usize] = if boxes_last { &[4] } else { &[5, 4] };
    if let Some(n_named) = facts.n_named {
        let rests = firsts.iter().filter_map(|first| Some((*first, n_columns.checked_sub(first + n_named)?)));
        let fitting =
            rests.filter_map(|(first, rest)| Some((rest, layout(first, n_named, list.extras(rest, facts)?))));
        // A layout without extra columns is the most likely.
        return fitting.min_by_key(|(rest, _)| *rest > 0).map(|(_, layout)| layout).or_else(|| {
            // The names belong to another model; the caller reports that their number differs.
            let n =
                n_columns.checked_sub(firsts[0] + list.n_extras(facts).unwrap_or(0)).filter(|n| *n > 0)?;
            Some(layout(firsts[0], n, list.extras(list.n_extras(facts).unwrap_or(0), facts)?))
        });
    }
    let first = firsts[0];
    let n_behind = n_columns.checked_sub(first).filter(|n| *n > 0)?;
    let n_extras = list.n_extras(facts).unwrap_or_else(|| {
        let outputs = probe.outputs();
        if outputs.is_empty() {
            return 0;
        }
        let rows = Rows::of(outputs, output);
        let rows = if boxes_last { rows.turned() } else { rows };
        match n_behind - n_scores(&rows, first) {
            0 if boxes_last && n_columns == DOTA => 1,
            n => n,
        }
    });
    let n_classes = n_behind.checked_sub(n_extras).filter(|n| *n > 0)?;
    let extras = list.extras(n_extras, facts).unwrap_or(Extras::Columns(n_extras));
    Some(layout(first, n_classes, extras))
}

/// Returns the number of consecutive columns, starting at `first`, that contain only numbers from 0 to 1; at least one.
/// Keypoint coordinates, angles and mask coefficients exceed this range.
fn n_scores(rows: &Rows, first: usize) -> usize {
    let is_score = |v: f32| v.is_nan() || (0.0..=1.0 + super::ROUNDING).contains(&v);
    let n_of = |row: &[f32]| row[first..].iter().take_while(|v| is_score(**v)).count();
    rows.iter().map(n_of).min().unwrap_or(1).max(1)
}
