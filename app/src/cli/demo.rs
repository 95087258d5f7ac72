//! `segue demo`: the main job on a photo and a clip that it makes itself.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use engine::{
    file::write_atomically,
    frame::{Frames as _, PictureKind},
    geometry::Point,
    mask::{Mask, Rle},
    media::FrameSource,
    prompt::{Label, PointPrompt, Prompt},
    sam2::{TrackOptions, Tracker},
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
    demo, overlay,
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

/// The results.
const RESULTS: [&str; 6] =
    ["photo.png", "photo-mask.png", "photo-overlay.png", "clip.mp4", "clip.json", "clip-overlay.mp4"];
/// The file that marks a folder as one of results, which the next demo may replace.
const MARK: &str = ".segue-demo";

/// The frames on which the ball is behind the wall, and whole again.
const OUT_OF_SIGHT: usize = 23;
const OUT_AGAIN: usize = 38;

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let out = &self.out;
        let mark = out.join(MARK);
        if !mark.exists()
            && let Some(other) = RESULTS.iter().map(|name| out.join(name)).find(|path| path.exists())
        {
            bail!(
                "{} is there already and not of an earlier demo; choose another folder with --out",
                other.display()
            );
        }
        std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
        write_atomically(&mark, |_| Ok(())).with_context(|| format!("cannot write {}", mark.display()))?;
        let cancel = cancel_on_interrupt()?;
        let (runtime, weights) = self.model.open()?;
        say(format_args!("model {} on {}", self.model.model, runtime.place()))?;

        let mut scene = Scene::new();
        let photo = scene.frame(0)?;
        save(&photo, &out.join("photo.png"))?;
        let click = click(&scene, scene.ball(0));
        let options = TrackOptions { look: self.model.look(), ..TrackOptions::default() };
        let mut tracker = Tracker::load(&runtime, &weights, options)?;
        let model = tracker.image_model();
        let view = model.view(&photo, PictureKind::Photo, &click, self.model.look(), &cancel)?;
        let mask = view.mask(&photo, &click, &model.click_through(&view, &click, &cancel)?.logits);
        write_mask(&out.join("photo-mask.png"), &mask)?;
        let mut picture = photo;
        overlay::draw(&mut picture, &mask, 0);
        save(&picture, &out.join("photo-overlay.png"))?;
        say("photo: clicked the ball")?;

        let clip = out.join("clip.mp4");
        demo::write_clip(&mut scene, &clip)?;
        let mut source = FrameSource::open(&clip)?;
        let objects = objects(&scene)?;
        let last = source.n_frames() - 1;
        let plan = Plan::new(&objects, &mut source, 0, last)?;
        let mut found = Found::default();
        plan.track(Way::Forward, &mut tracker, &mut source, &cancel, &mut found)?;
        write_coco(&out.join("clip.json"), &source, &objects, 0..=last, &found)?;
        write_overlay(&out.join("clip-overlay.mp4"), &mut source, 0..=last, &found, &cancel)?;
        let behind = found
            .frames
            .values()
            .filter(|objects| objects.values().any(|found| found.mask.area() == 0))
            .count();
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

/// A click on the ball, "not here" behind the wall, a box where it has come out again; a box round the kite.
fn objects(scene: &Scene) -> anyhow::Result<Vec<ObjectPrompts>> {
    let (ball_x, ball_y) = scene.pixel(scene.ball(0));
    let nothing = Rle::encode(&Mask::empty(scene.size()));
    let box_round = |place: Place, half_width: f32, half_height: f32| {
        let (x0, y0) = scene.pixel(Place { x: place.x - half_width, y: place.y - half_height });
        let (x1, y1) = scene.pixel(Place { x: place.x + half_width, y: place.y + half_height });
        [x0, y0, x1, y1]
    };
    let json = serde_json::json!([
        {"id": 1, "category": "ball", "prompts": [
            {"frame": 0, "points": [[ball_x, ball_y, 1]]},
            {"frame": OUT_OF_SIGHT, "mask": nothing},
            {"frame": OUT_AGAIN, "box": box_round(scene.ball(OUT_AGAIN), 0.17, 0.17)}]},
        {"id": 2, "category": "kite", "prompts": [{"frame": 0, "box": box_round(scene.kite(0), 0.12, 0.15)}]},
    ]);
    serde_json::from_value(json).context("the demo's prompts are prompts")
}

fn save(picture: &RgbImage, path: &Path) -> anyhow::Result<()> {
    picture.save(path).with_context(|| format!("cannot write {}", path.display()))
}
