//! `segue segment`: masks on photos.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::Args;
use engine::{
    file,
    frame::PictureKind,
    geometry::Size,
    mask::{Mask, Rle},
    media,
    nn::{Cancel, RuntimeError},
    prompt::Prompt,
    sam2::{ImageModel, Logits, Look, View},
};
use image::RgbImage;
use serde::Serialize;

use super::{
    ModelArgs, OutputKind, cancel_on_interrupt, check_output,
    prompts::{PhotoPrompt, PointArg, RectArg, prompt},
    say, say_kept,
};
use crate::progress;

/// Make the mask of an object in a photo, or many masks in many photos
#[derive(Args)]
#[command(after_help = "Examples:
  segue segment dog.jpg --point 320,240 --out dog.png
  segue segment dog.jpg --box 100,80,500,400 --point 130,300,0
  segue segment dog.jpg --point 130,300 --point 210,320 --point 400,90,0 --at-once
  segue segment --in prompts.jsonl --out masks.jsonl
A line of prompts.jsonl (coordinates in image pixels, the top left corner is 0,0; label 1 on the object, 0 off it):
  {\"id\": 7, \"image\": \"dog.jpg\", \"points\": [[320, 240, 1]], \"box\": [100, 80, 500, 400]}
With \"at_once\": true a line's points go into the model in one call.
A line of masks.jsonl (masks as COCO run lengths, lines of one photo together):
  {\"id\": 7, \"image\": \"dog.jpg\", \"mask\": {\"size\": [h, w], \"counts\": \"…\"}, \"score\": 0.93, \"millis\": {…}}")]
pub(crate) struct Segment {
    /// The photo
    #[arg(required_unless_present = "input", conflicts_with = "input")]
    photo: Option<PathBuf>,
    /// A click on the object (or off it: label 0), in image pixels; each refines the mask
    #[arg(long = "point", value_name = "X,Y[,0|1]", conflicts_with = "input", allow_hyphen_values = true)]
    points: Vec<PointArg>,
    /// A box round the object, in image pixels
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", conflicts_with = "input", allow_hyphen_values = true)]
    rect: Option<RectArg>,
    /// Give all points and the box in one call, as a script with SAM2ImagePredictor does, instead of refining click by click
    #[arg(long)]
    at_once: bool,
    /// A rough mask of the photo's size to refine, white on the object
    #[arg(long, value_name = "PNG", conflicts_with = "input")]
    mask: Option<PathBuf>,
    /// Read many prompts from this file, a JSON object a line
    #[arg(long = "in", value_name = "JSONL", requires = "out")]
    input: Option<PathBuf>,
    /// Write the mask here (.png: a black and white image; else JSON), instead of printing it as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
}

/// A mask as it is written.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a serde_json::Value,
    image: &'a str,
    mask: Rle,
    score: f32,
    millis: Millis,
}

/// A line for a prompt that has no answer.
#[derive(Serialize)]
struct Failure<'a> {
    id: &'a serde_json::Value,
    image: &'a str,
    error: String,
}

#[derive(Clone, Copy, Serialize)]
struct Millis {
    encode: f64,
    decode: f64,
}

impl Segment {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(out) = &self.out {
            let read = [&self.photo, &self.mask, &self.input];
            let mut read: Vec<&Path> = read.into_iter().flatten().map(PathBuf::as_path).collect();
            read.push(Path::new(&self.model.model));
            let is_png = file::has_suffix(out, &["png"]);
            let is_image = is_png && self.input.is_none();
            check_output(out, &read, if is_image { OutputKind::Image } else { OutputKind::Labels })?;
        }
        match (&self.input, &self.out, &self.photo) {
            (Some(input), Some(out), _) => self.many(input, out),
            (_, out, Some(photo)) => self.one(photo, out.as_deref()),
            _ => unreachable!("clap asks for a photo or --in with --out"),
        }
    }

    fn one(&self, photo: &Path, out: Option<&Path>) -> anyhow::Result<()> {
        let cancel = cancel_on_interrupt()?;
        let image = media::read_image(photo)?;
        let size = Size::new(image.width() as usize, image.height() as usize);
        let rough = self.mask.as_deref().map(|path| read_mask(path, size)).transpose()?;
        let asked = prompt(&self.points, self.rect.map(|rect| rect.0));
        // A rough mask alone is enough.
        let asked = if rough.is_some() && asked == Prompt::default() { asked } else { asked.within(size)? };
        let (runtime, weights) = self.model.open()?;
        let mut model = ImageModel::load(&runtime, &weights)?;
        let (mask, score, millis) = if let Some(rough) = rough {
            let (features, encode) = timed(|| model.encode(&image, PictureKind::Photo, &cancel))?;
            let rough = Logits::of_mask(&rough, model.config());
            let (prediction, decode) = timed(|| model.predict(&features, &asked, Some(&rough), &cancel))?;
            (prediction.logits.mask(size), prediction.iou, Millis { encode, decode })
        } else {
            Photo::new(image, self.model.look()).answer(&mut model, &asked, self.at_once, &cancel)?
        };
        if let Some(path) = out.filter(|path| file::has_suffix(path, &["png"])) {
            return write_mask(path, &mask);
        }
        let answer = Answer {
            id: &serde_json::Value::Null,
            image: &photo.to_string_lossy(),
            mask: Rle::encode(&mask),
            score,
            millis,
        };
        let json = serde_json::to_string(&answer).context("cannot write the answer as JSON")?;
        match out {
            Some(path) => {
                let written = file::write_output(path, holds_answers, |file| writeln!(file, "{json}"));
                say_kept(written.with_context(|| format!("cannot write {}", path.display()))?)
            }
            None => say(json),
        }
    }

    fn many(&self, input: &Path, out: &Path) -> anyhow::Result<()> {
        let prompts = read_prompts(input)?;
        let (runtime, weights) = self.model.open()?;
        let cancel = cancel_on_interrupt()?;
        let mut model = ImageModel::load(&runtime, &weights)?;
        let bar = progress::bar(prompts.len(), "masks");
        let mut n_failed = 0;
        let written = file::write_output(out, holds_answers, |file| {
            for (image, prompts) in by_image(&prompts) {
                let mut photo =
                    media::read_image(Path::new(image)).map(|image| Photo::new(image, self.model.look()));
                for asked in prompts {
                    let at_once = asked.at_once.unwrap_or(self.at_once);
                    let answer = match &mut photo {
                        Ok(photo) => prompt(&asked.points, asked.rect)
                            .within(photo.size())
                            .map_err(anyhow::Error::from)
                            .and_then(|prompt| Ok(photo.answer(&mut model, &prompt, at_once, &cancel)?)),
                        Err(error) => Err(anyhow::anyhow!("{error:#}")),
                    };
                    if cancel.is_canceled() {
                        return Ok(());
                    }
                    match answer {
                        Ok((mask, score, millis)) => {
                            let mask = Rle::encode(&mask);
                            write_line(file, &Answer { id: &asked.id, image, mask, score, millis })?;
                        }
                        Err(error) => {
                            n_failed += 1;
                            write_line(file, &Failure { id: &asked.id, image, error: format!("{error:#}") })?;
                        }
                    }
                    bar.inc(1);
                }
            }
            Ok(())
        });
        say_kept(written.with_context(|| format!("cannot write {}", out.display()))?)?;
        bar.finish_and_clear();
        if cancel.is_canceled() {
            bail!("canceled; what was finished is in {}", out.display());
        }
        if n_failed > 0 {
            bail!("{n_failed} of {} prompts failed; {} says why of each", prompts.len(), out.display());
        }
        Ok(())
    }
}

/// True for a file that an earlier run wrote, as its first line shows, or for an empty one.
fn holds_answers(path: &Path) -> bool {
    let mut line = String::new();
    let Ok(file) = file::open_regular(path) else { return false };
    let read = BufReader::new(file.take(MAX_FIRST_LINE)).read_line(&mut line);
    let first: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let has = |key| first.get(key).is_some();
    read.is_ok_and(|n| n == 0) || has("id") && has("image") && (has("millis") || has("error"))
}

/// Length of the longest line, in bytes, that is read to see who wrote a file.
const MAX_FIRST_LINE: u64 = 1 << 24;

fn write_line(file: &mut impl std::io::Write, line: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    writeln!(file)
}

/// A photo that is looked at when it is asked about; what all prompts can share is encoded once.
struct Photo {
    image: RgbImage,
    look: Look,
    whole: Option<View>,
}

impl Photo {
    fn new(image: RgbImage, look: Look) -> Self {
        Self { image, look, whole: None }
    }

    fn size(&self) -> Size {
        Size::new(self.image.width() as usize, self.image.height() as usize)
    }

    /// The mask, the IoU that the model expects of it, and the time it took.
    fn answer(
        &mut self,
        model: &mut ImageModel,
        prompt: &Prompt,
        at_once: bool,
        cancel: &Cancel,
    ) -> Result<(Mask, f32, Millis), RuntimeError> {
        let close;
        let (view, encode) = if self.look.is_close(prompt) {
            let (view, millis) =
                timed(|| model.view(&self.image, PictureKind::Photo, prompt, self.look, cancel))?;
            close = view;
            (&close, millis)
        } else if let Some(whole) = &self.whole {
            (whole, 0.0)
        } else {
            let (view, millis) =
                timed(|| model.view(&self.image, PictureKind::Photo, prompt, self.look, cancel))?;
            (&*self.whole.insert(view), millis)
        };
        let ((mask, prediction), decode) = timed(|| {
            let prediction = match at_once {
                true => model.answer_at_once(view, prompt, cancel)?,
                false => model.click_through(view, prompt, cancel)?,
            };
            Ok((view.mask(&self.image, prompt, &prediction.logits), prediction))
        })?;
        Ok((mask, prediction.iou, Millis { encode, decode }))
    }
}

/// What `run` gives, and the milliseconds it took.
fn timed<T>(run: impl FnOnce() -> Result<T, RuntimeError>) -> Result<(T, f64), RuntimeError> {
    let start = Instant::now();
    let result = run()?;
    Ok((result, start.elapsed().as_secs_f64() * 1e3))
}

#[expect(clippy::disallowed_methods, reason = "the command line may wait")]
fn read_prompts(path: &Path) -> anyhow::Result<Vec<PhotoPrompt>> {
    let reading = || format!("cannot read prompts: {}", path.display());
    let lines = BufReader::new(fs::File::open(path).with_context(reading)?).lines();
    let mut prompts = Vec::new();
    for (i, line) in lines.enumerate() {
        let line = line.with_context(reading)?;
        if !line.trim().is_empty() {
            let place = || format!("cannot read prompts: line {} of {}", i + 1, path.display());
            prompts.push(serde_json::from_str(&line).with_context(place)?);
        }
    }
    Ok(prompts)
}

/// The prompts of each image together, images in the order of their first prompt.
fn by_image(prompts: &[PhotoPrompt]) -> Vec<(&str, Vec<&PhotoPrompt>)> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<(&str, Vec<&PhotoPrompt>)> = Vec::new();
    for prompt in prompts {
        let place = *places.entry(prompt.image.as_str()).or_insert_with(|| {
            groups.push((&prompt.image, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(prompt);
    }
    groups
}

fn read_mask(path: &Path, size: Size) -> anyhow::Result<Mask> {
    let image = media::read_image_over(path, 0)?;
    let found = Size::new(image.width() as usize, image.height() as usize);
    if found != size {
        bail!("the mask is {found}, the photo is {size}: {}", path.display());
    }
    Ok(Mask::new(size, image.pixels().map(|pixel| pixel.0.iter().any(|&v| v >= 128)).collect()))
}

pub(super) fn write_mask(path: &Path, mask: &Mask) -> anyhow::Result<()> {
    let size = mask.size();
    let pixels: Vec<u8> = mask.bits().iter().map(|&on| if on { 255 } else { 0 }).collect();
    let written = file::write_output(path, file::is_marked, |out| {
        let mut encoder = png::Encoder::new(out, size.width as u32, size.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.add_text_chunk("Software".to_owned(), file::MARK.to_owned())?;
        let mut png = encoder.write_header()?;
        png.write_image_data(&pixels)?;
        Ok(png.finish()?)
    });
    say_kept(written.with_context(|| format!("cannot write {}", path.display()))?)
}
