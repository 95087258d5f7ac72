//! Custom detectors: ONNX files as exported by common training code.
//!
//! `layout` recognizes and reads the outputs. `names` reads metadata, such as the names of the classes. Images are
//! prepared as the training code of the recognized layout prepares them.

mod layout;
mod literal;
mod names;

use std::{path::Path, time::Duration};

use image::{Rgb, RgbImage};

use super::{DetectError, Detection, Place, Suppression};
use crate::{
    frame::resized,
    geometry::{Rect, Size},
    nn::{Cancel, Model, Port, PortKind, Runtime, RuntimeError, Tensor, ops::IMAGENET},
};
use layout::{Boxes, Facts, Layout, Probe};

/// Side of the input in pixels if neither the caller nor the file gives one.
const USUAL_SIDE: usize = 640;
/// Gray of the padding that YOLO is trained with.
const GRAY: Rgb<u8> = Rgb([114; 3]);

/// A loaded detector.
pub struct OnnxDetector {
    model: Model,
    input: Input,
    /// Input for the size of the image, if the model has one.
    size_input: Option<Port>,
    layout: Layout,
    classes: Vec<String>,
}

/// The image input of a model.
struct Input {
    port: Port,
    size: Size,
    /// True for shape `[1, h, w, 3]`, false for `[1, 3, h, w]`.
    channels_last: bool,
}

/// Time limit of the run on a gray image when a file is loaded, far above what large detectors take on two cores (2 s).
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of one image, for slow machines and large inputs.
const RUN_LIMIT: Duration = Duration::from_secs(300);

impl OnnxDetector {
    /// Loads a detector from an ONNX file. `image_size` is the side of the input, in pixels, where the file does not
    /// fix it.
    ///
    /// # Errors
    /// If the file cannot be read, has no image input or unknown outputs, or the number of its classes differs from
    /// the number of their names.
    pub fn load(runtime: &Runtime, path: &Path, image_size: Option<usize>) -> Result<Self, DetectError> {
        let mut model = Model::open(runtime, path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bad = |cause: String| DetectError::Layout { file: file.clone(), cause };
        let side = image_size.or_else(|| names::image_size(&model)).unwrap_or(USUAL_SIDE);
        let (input, size_input) = inputs(&model.inputs(), side).map_err(bad)?;
        let named = names::of(&model, path).map_err(bad)?;
        let facts = Facts {
            task: names::task(&model).map_err(bad)?,
            n_named: named.as_ref().map(Vec::len),
            n_keypoint_columns: names::n_keypoint_columns(&model),
            normalizes: names::normalizes(path),
            is_told_size: size_input.is_some(),
        };
        let outputs = model.outputs();
        let gray = RgbImage::from_pixel(input.size.width as u32, input.size.height as u32, GRAY);
        let mut too_slow = None;
        let mut compute = || {
            let Ok(pixels) = input.pixels(&gray, false) else { return Vec::new() };
            let inputs = [(input.port.name.as_str(), &pixels)];
            let outputs = model.run_within(PROBE_LIMIT, &inputs, &Cancel::default());
            outputs.unwrap_or_else(|error| {
                let is_late = matches!(error, RuntimeError::TooSlow { .. });
                too_slow = too_slow.take().or(Some(error).filter(|_| is_late));
                Vec::new()
            })
        };
        let layout = Layout::of(&outputs, &facts, Probe::new(&mut compute));
        if let Some(error) = too_slow {
            return Err(error.into());
        }
        let layout = layout.map_err(bad)?;
        let classes = match (named, layout.n_classes()) {
            (Some(named), Some(n)) if named.len() != n => {
                return Err(bad(format!("it tells {n} classes apart and {} are named", named.len())));
            }
            (Some(named), _) => named,
            (None, n) => (0..n.unwrap_or(0)).map(|i| format!("class {i}")).collect(),
        };
        Ok(Self { model, input, size_input, layout, classes })
    }

    /// Returns the names of the classes known so far.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns a sentence on the outputs that are ignored, if there are any.
    pub fn remark(&self) -> Option<String> {
        self.layout.extras.remark()
    }

    /// Returns the suppression of duplicates: within each class, as in Ultralytics' `predict`. There is no
    /// suppression if the file contains it or does not need it.
    pub fn suppression(&self) -> Suppression {
        /// `iou` of Ultralytics' `predict`.
        const ULTRALYTICS_IOU: f32 = 0.7;
        let iou = if self.layout.is_suppressed() { 1.0 } else { ULTRALYTICS_IOU };
        Suppression { iou, within_class: true }
    }

    /// Returns the detections with a score of at least `least`, in image pixels.
    ///
    /// # Errors
    /// If canceled, the model cannot run, or its outputs are not valid boxes and scores.
    pub fn detect(
        &mut self,
        image: &RgbImage,
        least: f32,
        cancel: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        let size = Size::new(image.width() as usize, image.height() as usize);
        let fit = Fit::new(size, self.input.size, self.layout.keeps_aspect());
        let pixels = self.input.pixels(&fit.apply(image), self.layout.is_normalized())?;
        let mut inputs = vec![(self.input.port.name.as_str(), &pixels)];
        let told;
        if let Some(port) = &self.size_input {
            told = Tensor::from_integers(&[1, 2], vec![size.width as i64, size.height as i64])?;
            inputs.push((port.name.as_str(), &told));
        }
        let outputs = self.model.run_within(RUN_LIMIT, &inputs, cancel)?;
        let found = self.layout.read(&outputs, least)?;
        let in_picture = |[x0, y0, x1, y1]: [f32; 4]| match found.boxes {
            Boxes::InPicture => Rect { x0, y0, x1, y1 },
            Boxes::InInput => fit.back(Rect { x0, y0, x1, y1 }),
            Boxes::Shares => {
                let Size { width, height } = self.input.size;
                let (w, h) = (width as f32, height as f32);
                fit.back(Rect { x0: x0 * w, y0: y0 * h, x1: x1 * w, y1: y1 * h })
            }
        };
        let detections = found.raw.into_iter().map(|raw| Detection {
            place: Place::Rect(in_picture(raw.corners).within(size)),
            score: raw.score,
            class: raw.class,
        });
        let detections: Vec<Detection> = detections.collect();
        // Classes without a name get a default one.
        let n = detections.iter().map(|d| d.class + 1).max().unwrap_or(0);
        for i in self.classes.len()..n {
            self.classes.push(format!("class {i}"));
        }
        Ok(detections)
    }
}

/// Finds the input for the image and, if there is one, the input for its size.
fn inputs(ports: &[Port], side: usize) -> Result<(Input, Option<Port>), String> {
    let is_picture = |port: &&Port| port.shape.len() == 4 && port.kind != PortKind::Other;
    let port =
        ports.iter().find(is_picture).ok_or("it has no input for a picture ([1, 3, height, width])")?;
    let channels_last = port.shape[3] == Some(3) && port.shape[1] != Some(3);
    let [channels, height, width] = if channels_last { [3, 1, 2] } else { [1, 2, 3] }.map(|i| port.shape[i]);
    if channels.is_some_and(|n| n != 3) || port.shape[0].is_some_and(|n| n != 1) {
        return Err(format!(
            "its input {} is {}, not one image of three colors",
            port.name,
            layout::shape(&port.shape)
        ));
    }
    let size = Size::new(width.unwrap_or(side), height.unwrap_or(side));
    if size.area() == 0 || size.width.max(size.height) > 8192 {
        return Err(format!("its input is {size} pixels"));
    }
    let others: Vec<&Port> = ports.iter().filter(|other| other.name != port.name).collect();
    let size_input = match others[..] {
        [] => None,
        [one] if one.kind == PortKind::Integer && one.shape.last() == Some(&Some(2)) => Some(one.clone()),
        _ => {
            let names: Vec<&str> = others.iter().map(|port| port.name.as_str()).collect();
            return Err(format!("it takes more than a picture: {}", names.join(", ")));
        }
    };
    Ok((Input { port: port.clone(), size, channels_last }, size_input))
}

impl Input {
    /// Converts an image of the input's size to the input tensor.
    fn pixels(&self, image: &RgbImage, is_normalized: bool) -> Result<Tensor, DetectError> {
        let Size { width, height } = self.size;
        let shape = if self.channels_last { [1, height, width, 3] } else { [1, 3, height, width] };
        if self.port.kind == PortKind::Byte {
            return Ok(Tensor::from_bytes(&shape, self.ordered(image, |_, byte| byte))?);
        }
        let [mean, deviation] = IMAGENET;
        let value = |c: usize, byte: u8| {
            let share = f32::from(byte) / 255.0;
            if is_normalized { (share - mean[c]) / deviation[c] } else { share }
        };
        let values = self.ordered(image, value);
        Ok(match self.port.kind {
            PortKind::Half => Tensor::from_floats_as_halves(&shape, &values)?,
            _ => Tensor::from_floats(&shape, values)?,
        })
    }

    fn ordered<T>(&self, image: &RgbImage, value: impl Fn(usize, u8) -> T) -> Vec<T> {
        if self.channels_last {
            return image.pixels().flat_map(|p| [0, 1, 2].map(|c| value(c, p.0[c]))).collect();
        }
        (0..3)
            .flat_map(|c| image.pixels().map(move |p| (c, p.0[c])))
            .map(|(c, byte)| value(c, byte))
            .collect()
    }
}

/// Placement of an image in the input.
struct Fit {
    input: Size,
    /// Input pixels per image pixel, along x and y.
    scale: [f32; 2],
    /// Top-left corner of the image in the input, x and y in input pixels.
    start: [f32; 2],
    inner: Size,
}

impl Fit {
    /// Stretches the image over the whole input, or centers it with its aspect ratio kept.
    fn new(picture: Size, input: Size, keeps_aspect: bool) -> Self {
        let whole = [input.width as f32 / picture.width as f32, input.height as f32 / picture.height as f32];
        if !keeps_aspect {
            return Self { input, scale: whole, start: [0.0; 2], inner: input };
        }
        let scale = whole[0].min(whole[1]);
        let edge = |n: usize| ((n as f32 * scale).round() as usize).max(1);
        let inner = Size::new(edge(picture.width), edge(picture.height));
        let start = [(input.width - inner.width) / 2, (input.height - inner.height) / 2].map(|n| n as f32);
        let scale = [inner.width as f32 / picture.width as f32, inner.height as f32 / picture.height as f32];
        Self { input, scale, start, inner }
    }

    fn apply(&self, image: &RgbImage) -> RgbImage {
        let inner = resized(image, self.inner.width as u32, self.inner.height as u32);
        if self.inner == self.input {
            return inner;
        }
        let mut whole = RgbImage::from_pixel(self.input.width as u32, self.input.height as u32, GRAY);
        image::imageops::replace(&mut whole, &inner, self.start[0] as i64, self.start[1] as i64);
        whole
    }

    fn back(&self, rect: Rect) -> Rect {
        let ([x, y], [sx, sy]) = (self.start, self.scale);
        Rect {
            x0: (rect.x0 - x) / sx,
            y0: (rect.y0 - y) / sy,
            x1: (rect.x1 - x) / sx,
            y1: (rect.y1 - y) / sy,
        }
    }
}
