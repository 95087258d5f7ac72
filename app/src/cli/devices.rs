//! `segue devices`: what there is to run models on, and how fast it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use engine::{
    frame::{Direction, Frames, PictureKind},
    geometry::{Point, Size},
    mask::Rle,
    media::MediaError,
    models,
    nn::{Cancel, Device, Runtime, runtime},
    picture::Picture,
    project::{FrameId, MediumId, Question, RunId},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{Look, Weights},
    segmenter::{Sam2Segmenter, SegmentError, Segmenter as _},
};
use image::RgbImage;

use super::say;
use crate::scene::Scene;

/// Show what models can run on here, and why not on the rest
#[derive(Args)]
pub(crate) struct Devices {
    /// Time a model on each that works: a look at an image, a click, a tracked frame
    #[arg(long)]
    bench: bool,
    /// The model that is timed: builtin, a name (`segue models list`), or a checkpoint's path
    #[arg(long, default_value = models::BUILTIN, requires = "bench")]
    model: String,
    /// Only this one, also where it would not be used by itself
    #[arg(long)]
    device: Option<Device>,
}

impl Devices {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let runtime = Runtime::start(None, None)?;
        let weights = self.bench.then(|| models::open(&self.model)).transpose()?;
        say(format_args!("ONNX Runtime {}: {}", runtime::VERSION, runtime.library().display()))?;
        for device in Device::ALL.into_iter().filter(|device| self.device.is_none_or(|only| only == *device))
        {
            let checked = match self.device {
                Some(_) => Runtime::start(Some(device), None).map(drop).map_err(|error| error.to_string()),
                None => runtime.check_device(device),
            };
            let works = checked.is_ok();
            let mut state = match checked {
                Err(cause) => format!("no: {cause}"),
                Ok(()) if device == runtime.device() => "used".to_owned(),
                Ok(()) => "works".to_owned(),
            };
            if let Some(hardware) = device.hardware().filter(|_| works) {
                state += &format!(", {hardware}");
            }
            say(format_args!("{:9} {state}", device.name()))?;
            ensure!(works || self.device.is_none(), "{device} does not work here");
            if let Some(weights) = weights.as_ref().filter(|_| works) {
                let times = bench(device, &self.model, weights).unwrap_or_else(|error| format!("{error:#}"));
                say(format_args!("          {}: {times}", self.model))?;
            }
        }
        Ok(())
    }
}

/// What a model takes on a device, each the median of a few times after a first one.
fn bench(device: Device, model: &str, weights: &Weights) -> anyhow::Result<String> {
    const N: usize = 10;
    const MANY: u32 = 8;
    let runtime = Runtime::start(Some(device), None)?;
    let mut segmenter = Sam2Segmenter::load(model, &runtime, weights, Look::default())?;
    let (precision, cancel) = (segmenter.info().precision, Cancel::default());
    let at_once = segmenter.at_once();
    let mut clip = Clip::new(N + 2)?;
    let size = clip.size();
    let question = {
        let at = Point { x: size.width as f32 / 2.0, y: size.height as f32 / 2.0 };
        let prompt = Prompt { rect: None, points: vec![PointPrompt { at, label: Label::Positive }] };
        Question { prompt, ..Question::default() }
    };
    let at = |frame| FrameId { medium: MediumId(0), frame };
    let (mut looks, mut clicks) = (Vec::new(), Vec::new());
    let mut mask = Arc::new(Rle::empty(size));
    for _ in 0..N {
        let picture = Arc::new(Picture::new(at(0), PictureKind::Frame, clip.frame(0)?));
        looks.push(timed(|| segmenter.encode(&picture, &cancel))?.0);
        let (time, answer) = timed(|| segmenter.answer(&picture, &question, &cancel))?;
        clicks.push(time);
        mask = Arc::new(answer.mask);
    }
    let mut track = |n_objects: u32| -> Result<String, SegmentError> {
        segmenter.forget_frames();
        let runs: Vec<RunId> = (0..n_objects).map(|n| RunId { step: 0, n }).collect();
        for run in &runs {
            segmenter.remember(*run, at(0), &mask, true, &mut clip, &cancel)?;
        }
        let mut times = Vec::new();
        for frame in 1..=N {
            let track = || segmenter.track(&runs, at(frame), Direction::Forward, &mut clip, &cancel);
            times.push(timed(track)?.0);
        }
        Ok(milliseconds(times))
    };
    let frame = track(1)?;
    // A large model on the processor takes as many times as long.
    let with_many = match at_once > 1 {
        true => format!(" (with {MANY} objects {})", track(MANY)?),
        false => String::new(),
    };
    let [look, click] = [looks, clicks].map(milliseconds);
    Ok(format!("look {look}, click {click}, tracked frame {frame}{with_many}; looks in {precision}"))
}

fn timed<T>(run: impl FnOnce() -> Result<T, SegmentError>) -> Result<(Duration, T), SegmentError> {
    let start = Instant::now();
    let made = run()?;
    Ok((start.elapsed(), made))
}

fn milliseconds(mut times: Vec<Duration>) -> String {
    // What is made ready on first use is not counted.
    times.remove(0);
    times.sort();
    format!("{:.1} ms", times[times.len() / 2].as_secs_f64() * 1e3)
}

/// The scene, drawn beforehand.
struct Clip(Vec<RgbImage>);

impl Clip {
    fn new(n_frames: usize) -> anyhow::Result<Self> {
        let mut scene = Scene::new();
        Ok(Self((0..n_frames).map(|frame| scene.frame(frame)).collect::<Result<_, _>>()?))
    }
}

impl Frames for Clip {
    type Error = MediaError;

    fn n_frames(&self) -> usize {
        self.0.len()
    }

    fn size(&self) -> Size {
        Size::new(self.0[0].width() as usize, self.0[0].height() as usize)
    }

    fn frame(&mut self, i: usize) -> Result<RgbImage, MediaError> {
        Ok(self.0[i].clone())
    }
}
