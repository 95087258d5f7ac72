//! `segue devices`: what there is to run models on, and how fast it is.

use std::time::{Duration, Instant};

use clap::Args;
use engine::{
    frame::{Direction, Frames as _},
    geometry::{Point, Size},
    models,
    nn::{Cancel, Device, Runtime, runtime},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{TrackOptions, Tracker},
};

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
            if works && self.bench {
                let times = bench(device, &self.model).unwrap_or_else(|error| format!("{error:#}"));
                say(format_args!("          {}: {times}", self.model))?;
            }
        }
        Ok(())
    }
}

/// What a model takes on a device, each the median of a few times after a first one.
fn bench(device: Device, model: &str) -> anyhow::Result<String> {
    const N: usize = 5;
    const OBJECT: u32 = 1;
    let (runtime, weights, cancel) =
        (Runtime::start(Some(device), None)?, models::open(model)?, Cancel::default());
    let mut tracker = Tracker::load(&runtime, &weights, TrackOptions::default())?;
    let mut scene = Scene::new();
    let image = scene.frame(0)?;
    let size = Size::new(image.width() as usize, image.height() as usize);
    let at = Point { x: size.width as f32 / 2.0, y: size.height as f32 / 2.0 };
    let prompt = Prompt { rect: None, points: vec![PointPrompt { at, label: Label::Positive }] };
    let mut looks = Vec::new();
    let mut clicks = Vec::new();
    for _ in 0..=N {
        let start = Instant::now();
        let features = tracker.image_model().encode(&image, &cancel)?;
        looks.push(start.elapsed());
        let start = Instant::now();
        tracker.image_model().predict(&features, &prompt, None, &cancel)?;
        clicks.push(start.elapsed());
    }
    tracker.prompt(&mut scene, OBJECT, 0, &prompt, &cancel)?;
    let mut frames = Vec::new();
    for frame in 0..=N {
        let start = Instant::now();
        tracker.track(&mut scene, frame, Direction::Forward, &[OBJECT], &cancel)?;
        frames.push(start.elapsed());
    }
    let (device, precision) = tracker.image_model().encoder_place();
    let [look, click, frame] = [looks, clicks, frames].map(milliseconds);
    Ok(format!("look {look}, click {click}, tracked frame {frame}; looks on {device} in {precision}"))
}

fn milliseconds(mut times: Vec<Duration>) -> String {
    // What is made ready on first use is not counted.
    times.remove(0);
    times.sort();
    format!("{:.0} ms", times[times.len() / 2].as_secs_f64() * 1e3)
}
