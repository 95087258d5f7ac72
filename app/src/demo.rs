//! The photos and the clip of the demo project, drawn by the program itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use engine::{frame::Frames as _, media::VideoWriter};

use crate::scene::Scene;

/// Frames of the scene that are the photos.
const PHOTOS: [usize; 6] = [0, 8, 18, 34, 40, 47];

/// The clip comes after the photos.
const CLIP: &str = "video.mp4";
pub(crate) const FPS: f64 = 12.0;

/// Draws the photos and the clip unless they are there; their folder.
///
/// # Errors
/// If the folder cannot be written.
pub(crate) fn make() -> anyhow::Result<PathBuf> {
    let dirs = engine::file::user_folders().context("there is no home folder")?;
    let folder = dirs.data_dir().join("demo");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut scene = Scene::new();
    for (i, frame) in PHOTOS.into_iter().enumerate() {
        let path = folder.join(format!("photo-{}.png", i + 1));
        if !path.exists() {
            let photo = scene.frame(frame)?;
            engine::file::write_atomically(&path, |out| {
                let mut bytes = std::io::Cursor::new(Vec::new());
                photo.write_to(&mut bytes, image::ImageFormat::Png).map_err(std::io::Error::other)?;
                std::io::Write::write_all(out, bytes.get_ref())
            })?;
        }
    }
    let clip = folder.join(CLIP);
    if !clip.exists() {
        write_clip(&mut scene, &clip)?;
    }
    Ok(folder)
}

pub(crate) fn write_clip(scene: &mut Scene, path: &Path) -> anyhow::Result<()> {
    let mut writer = VideoWriter::create(path, scene.size(), FPS)?;
    for i in 0..scene.n_frames() {
        writer.push(&scene.frame(i)?)?;
    }
    writer.finish()?;
    Ok(())
}
