//! `segue demo`: the main job on a photo and a clip that it makes itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use engine::{
    frame::Frames as _,
    geometry::Point,
    media::{FrameSource, VideoWriter},
    prompt::{Label, PointPrompt, Prompt},
    sam2::{ImageModel, TrackOptions, Tracker},
};
use image::RgbImage;

use super::{
    ModelArgs, cancel_on_interrupt,
    prompts::ObjectPrompts,
    say,
    segment::write_mask,
    track::{Found, Plan, Way, write_coco, write_overlay},
};
use crate::{
    overlay,
    scene::{Place, Scene},
};

/// Try Segue: make a photo and a clip, click, track through an occlusion, write masks and overlays
#[derive(Args)]
pub(crate) struct Demo {
    /// Folder for the results
    #[arg(long, value_name = "FOLDER", default_value = "segue-demo")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
}

const FPS: f64 = 12.0;
/// The frame on which the ball is whole again.
const OUT_AGAIN: usize = 38;

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let out = &self.out;
        std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
        let cancel = cancel_on_interrupt()?;
        let (runtime, weights) = self.model.open()?;
        say(format_args!("model {} on {}", self.model.model, runtime.device()))?;

        let mut scene = Scene::new();
        let photo = scene.frame(0)?;
        save(&photo, &out.join("photo.png"))?;
        let click = click(&scene, scene.ball(0));
        let mut model = ImageModel::load(&runtime, &weights)?;
        let features = model.encode(&photo, &cancel)?;
        let mask = model.predict(&features, &click, None, &cancel)?.logits.mask(features.size);
        write_mask(&out.join("photo-mask.png"), &mask)?;
        let mut picture = photo;
        overlay::draw(&mut picture, &mask, 0);
        save(&picture, &out.join("photo-overlay.png"))?;
        say("photo: clicked the ball")?;

        let clip = out.join("clip.mp4");
        write_clip(&mut scene, &clip)?;
        let mut source = FrameSource::open(&clip)?;
        let objects = objects(&scene)?;
        let last = source.n_frames() - 1;
        let plan = Plan::new(&objects, &source, 0, last)?;
        let mut tracker = Tracker::load(&runtime, &weights, TrackOptions::default())?;
        let mut found = Found::new();
        plan.track(Way::Forward, &mut tracker, &mut source, &cancel, &mut found)?;
        write_coco(&out.join("clip.json"), &source, &objects, 0..=last, &found)?;
        write_overlay(&out.join("clip-overlay.mp4"), &mut source, 0..=last, &found, &cancel)?;
        let behind =
            found.values().filter(|objects| objects.values().any(|found| found.mask.area() == 0)).count();
        say(format_args!(
            "clip: tracked {} objects over {} frames; one was out of sight in {behind}",
            objects.len(),
            last + 1
        ))?;
        let folder = out.canonicalize().unwrap_or_else(|_| out.clone());
        say(format_args!("results are in {}", folder.display()))
    }
}

fn click(scene: &Scene, place: Place) -> Prompt {
    let (x, y) = scene.pixel(place);
    Prompt { points: vec![PointPrompt { at: Point { x, y }, label: Label::Positive }], rect: None }
}

/// A click on the ball and one more where it has come out from behind the wall; a box round the kite.
fn objects(scene: &Scene) -> anyhow::Result<Vec<ObjectPrompts>> {
    let (ball_x, ball_y) = scene.pixel(scene.ball(0));
    let (again_x, again_y) = scene.pixel(scene.ball(OUT_AGAIN));
    let (kite_x, kite_y) = scene.pixel(scene.kite(0));
    let (half_width, half_height) = scene.pixel(Place { x: 0.12, y: 0.15 });
    let kite = [kite_x - half_width, kite_y - half_height, kite_x + half_width, kite_y + half_height];
    let json = serde_json::json!([
        {"id": 1, "category": "ball", "prompts": [
            {"frame": 0, "points": [[ball_x, ball_y, 1]]}, {"frame": OUT_AGAIN, "points": [[again_x, again_y, 1]]}]},
        {"id": 2, "category": "kite", "prompts": [{"frame": 0, "box": kite}]},
    ]);
    serde_json::from_value(json).context("the demo's prompts are prompts")
}

fn write_clip(scene: &mut Scene, path: &Path) -> anyhow::Result<()> {
    let mut writer = VideoWriter::create(path, scene.size(), FPS)?;
    for i in 0..scene.n_frames() {
        writer.push(&scene.frame(i)?)?;
    }
    Ok(writer.finish()?)
}

fn save(picture: &RgbImage, path: &Path) -> anyhow::Result<()> {
    picture.save(path).with_context(|| format!("cannot write {}", path.display()))
}
