//! `segue track`: objects through a video.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use engine::{
    file::{check_writable, has_suffix},
    formats::{Shape, coco},
    mask::{Mask, Rle},
    media::{FrameSource, MediaError, VideoWriter, damaged_frames},
    nn::{Cancel, RuntimeError},
    prompt::Prompt,
    sam2::{Direction, ObjectId, Segment, TrackError, TrackOptions, Tracker},
};

use super::{
    ModelArgs, OutputKind, cancel_on_interrupt, check_output,
    prompts::{FramePrompt, ObjectPrompts, TrackPrompts, prompt},
    say, say_kept, track_project,
};
use crate::{overlay, progress};

/// Carry objects through a video or a folder of frames, or go on with a project's
#[derive(Args)]
#[command(after_help = "Examples:
  segue track clip.mp4 --prompts prompts.json --out clip.json --overlay overlay.mp4
  segue track work.segue --prompts corrections.json --out work.json
A project's tracking goes on where it was interrupted; then corrections are made and followed as the window does it, and
what has no mask yet is tracked. An object of the project is meant by its id, any other id is a new object.
prompts.json (frames count from 0; coordinates in video pixels; label 1 on the object, 0 off it):
  {\"objects\": [{\"id\": 1, \"category\": \"dog\", \"prompts\": [
    {\"frame\": 0, \"points\": [[320, 240, 1]]},
    {\"frame\": 40, \"points\": [[310, 200, 0]]}]}]}
Prompts of a frame are points and a \"box\" [x0, y0, x1, y1], or a \"mask\" as COCO run lengths. An object starts at its
first prompt; later ones correct it where it was tracked to. An empty mask says that the object is not there.")]
pub(crate) struct Track {
    /// A video file, a folder of frames, or a project (.segue)
    media: PathBuf,
    /// What is where: a JSON file, see below; a project needs none
    #[arg(long, value_name = "JSON")]
    prompts: Option<PathBuf>,
    /// Which video of the project, by its file's name; needed where it has several
    #[arg(long, value_name = "NAME")]
    video: Option<String>,
    /// First frame
    #[arg(long, value_name = "FRAME", default_value_t = 0)]
    from: usize,
    /// Last frame; by default the video's last
    #[arg(long, value_name = "FRAME")]
    to: Option<usize>,
    /// Which way from the prompts
    #[arg(long, value_enum, default_value_t = Way::Both)]
    direction: Way,
    /// Format of the output
    #[arg(long, value_enum, default_value_t = Format::Coco)]
    format: Format,
    /// Where to write the masks; a project keeps them and needs none
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write a video with the masks drawn in here
    #[arg(long, value_name = "MP4")]
    overlay: Option<PathBuf>,
    /// Prompted frames that a frame looks at, the nearest first
    #[arg(long, value_name = "N", default_value_t = MAX_COND_FRAMES, value_parser = clap::value_parser!(u8).range(1..))]
    max_cond_frames: u8,
    /// Give each pixel to one object at most
    #[arg(long)]
    non_overlap: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// What the tracker does if nobody says otherwise.
const MAX_COND_FRAMES: u8 = 4;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Way {
    Forward,
    Backward,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Coco,
}

/// Masks of a tracking run, and the damaged frames that it skipped.
#[derive(Default)]
pub(crate) struct Found {
    /// By frame, then by object.
    pub(crate) frames: BTreeMap<usize, BTreeMap<ObjectId, FoundSegment>>,
    /// Frames on which nothing can be found.
    pub(crate) damaged: BTreeSet<usize>,
}

pub(crate) struct FoundSegment {
    pub mask: Rle,
    pub score: f32,
}

impl Track {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if has_suffix(&self.media, &["segue"]) {
            ensure!(
                (self.from, self.to, &self.overlay) == (0, None, &None)
                    && (self.max_cond_frames, self.non_overlap) == (MAX_COND_FRAMES, false),
                "--from, --to, --overlay, --max-cond-frames and --non-overlap are for videos, not for projects"
            );
            let objects = self.prompts.as_deref().map_or(Ok(Vec::new()), read_prompts)?;
            if let Some(out) = &self.out {
                // Hours later would be late.
                let prompts = self.prompts.as_deref().into_iter();
                let inputs = prompts.chain([&*self.media, Path::new(&self.model.model)]);
                check_output(out, &inputs.collect::<Vec<_>>(), OutputKind::Labels)?;
                check_writable(out).with_context(|| format!("cannot write {}", out.display()))?;
            }
            return track_project::run(
                &self.media,
                self.video.as_deref(),
                objects,
                self.direction,
                self.out,
                self.model,
            );
        }
        let (prompts, out) =
            self.prompts.as_ref().zip(self.out.as_ref()).context("--prompts and --out are needed")?;
        ensure!(self.video.is_none(), "--video is for projects; {} is a video itself", self.media.display());
        let objects = read_prompts(prompts)?;
        // Hours later would be late.
        let inputs = [&self.media, prompts, Path::new(&self.model.model)];
        check_output(out, &inputs, OutputKind::Labels)?;
        if let Some(overlay) = &self.overlay {
            check_output(overlay, &inputs, OutputKind::Video)?;
        }
        for path in std::iter::once(out).chain(&self.overlay) {
            check_writable(path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let mut source = FrameSource::open(&self.media)?;
        let last = source.n_frames() - 1;
        let to = self.to.unwrap_or(last);
        ensure!(to <= last, "--to {to} is past the last frame, which is {last}");
        ensure!(self.from <= to, "--from {} is after --to {to}", self.from);
        let plan = Plan::new(&objects, &mut source, self.from, to)?;
        let (runtime, weights) = self.model.open()?;
        let options = TrackOptions {
            max_cond_frames: Some(self.max_cond_frames.into()),
            non_overlap: self.non_overlap,
            look: self.model.look(),
            ..TrackOptions::default()
        };
        let mut tracker = Tracker::load(&runtime, &weights, options)?;
        let cancel = cancel_on_interrupt()?;
        let mut found = Found::default();
        let tracked = plan.track(self.direction, &mut tracker, &mut source, &cancel, &mut found);
        let ended = match tracked {
            Err(TrackError::Runtime(RuntimeError::Canceled)) => Some("canceled".to_owned()),
            // Hours of work are not lost to a server that went away.
            Err(error) if !found.frames.is_empty() => Some(error.to_string()),
            other => other.map(|()| None)?,
        };
        let Format::Coco = self.format;
        write_coco(out, &source, &objects, self.from..=to, &found)?;
        if ended.is_none() && found.find_damage(&mut source, self.from..=to, &cancel)? {
            write_coco(out, &source, &objects, self.from..=to, &found)?;
        }
        if let Some(why) = ended {
            bail!("{why}; the {} finished frames are in {}", found.frames.len(), out.display());
        }
        if !found.damaged.is_empty() {
            say(format_args!("{}: skipped", damaged_frames(&found.damaged, &source.file_name())))?;
        }
        if let Some(path) = &self.overlay {
            write_overlay(path, &mut source, self.from..=to, &found, &cancel)?;
        }
        Ok(())
    }
}

fn read_prompts(path: &Path) -> anyhow::Result<Vec<ObjectPrompts>> {
    let reading = || format!("cannot read prompts: {}", path.display());
    let json = engine::file::open_regular(path).and_then(io::read_to_string).with_context(reading)?;
    let TrackPrompts { objects } = serde_json::from_str(&json).with_context(reading)?;
    ensure!(!objects.is_empty(), "there are no objects in {}", path.display());
    let mut ids = BTreeSet::new();
    for ObjectPrompts { id, prompts, .. } in &objects {
        ensure!(ids.insert(id), "two objects have the id {id}");
        let mut frames = BTreeSet::new();
        for FramePrompt { frame, .. } in prompts {
            ensure!(frames.insert(frame), "object {id} has two prompts on frame {frame}");
        }
    }
    Ok(objects)
}

/// What is said of an object on a frame, checked.
enum Said {
    Prompt(Prompt),
    Mask(Mask),
}

/// The prompts by object and frame, and the frames to track.
pub(crate) struct Plan {
    objects: BTreeMap<ObjectId, BTreeMap<usize, Said>>,
    from: usize,
    to: usize,
}

impl Plan {
    pub(crate) fn new(
        objects: &[ObjectPrompts],
        source: &mut FrameSource,
        from: usize,
        to: usize,
    ) -> anyhow::Result<Self> {
        let mut plan = BTreeMap::new();
        for object in objects {
            let id = object.id;
            ensure!(!object.prompts.is_empty(), "object {id} has no prompts");
            let mut frames = BTreeMap::new();
            for prompts in &object.prompts {
                let frame = prompts.frame;
                ensure!(
                    (from..=to).contains(&frame),
                    "object {id} has a prompt on frame {frame}, but the frames to track are {from} to {to}"
                );
                let said = check(prompts, source).with_context(|| format!("object {id}, frame {frame}"))?;
                if let Err(error) = source.check(frame) {
                    bail!(
                        "object {id} has a prompt on frame {frame}, which cannot be read; give it another: {error}"
                    );
                }
                frames.insert(frame, said);
            }
            plan.insert(id, frames);
        }
        Ok(Self { objects: plan, from, to })
    }

    /// Tracks every object from where it starts to the end of the frames.
    pub(crate) fn track(
        &self,
        way: Way,
        tracker: &mut Tracker,
        source: &mut FrameSource,
        cancel: &Cancel,
        found: &mut Found,
    ) -> Result<(), TrackError> {
        let firsts = self.objects.values().filter_map(|frames| frames.keys().next().copied());
        let lasts = self.objects.values().filter_map(|frames| frames.keys().next_back().copied());
        let earliest = firsts.clone().min().unwrap_or(self.from);
        let forward = || (Direction::Forward, (earliest..=self.to).collect::<Vec<usize>>());
        // Going back after going forward, an object starts before its first prompt, where it has been already.
        let latest = if way == Way::Both { firsts.max() } else { lasts.max().map(|last| last + 1) };
        let backward = || (Direction::Backward, (self.from..latest.unwrap_or(0)).rev().collect());
        let passes = match way {
            Way::Forward => vec![forward()],
            Way::Backward => vec![backward()],
            Way::Both => vec![forward(), backward()],
        };
        let bar = progress::bar(passes.iter().map(|(_, frames)| frames.len()).sum(), "frames");
        for (direction, frames) in passes {
            for frame in frames {
                let active = self.active(way, direction, frame);
                for &object in &active {
                    self.say(tracker, source, object, frame, direction, cancel)?;
                }
                match tracker.track(source, frame, direction, &active, cancel) {
                    Ok(segments) => {
                        let of_frame = found.frames.entry(frame).or_default();
                        let segments = segments.iter().map(|found| (found.object, FoundSegment::of(found)));
                        of_frame.extend(segments);
                    }
                    Err(TrackError::Frame(error)) if is_damaged(&*error, frame) => {
                        found.damaged.insert(frame);
                    }
                    Err(error) => return Err(error),
                }
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The objects that are tracked on a frame.
    fn active(&self, way: Way, direction: Direction, frame: usize) -> Vec<ObjectId> {
        let is_active = |prompted: &BTreeMap<usize, Said>| {
            let (first, last) = (prompted.keys().next(), prompted.keys().next_back());
            match direction {
                Direction::Forward => first.is_some_and(|&first| first <= frame),
                Direction::Backward if way == Way::Both => first.is_some_and(|&first| frame < first),
                Direction::Backward => last.is_some_and(|&last| frame <= last),
            }
        };
        self.objects.iter().filter(|(_, prompted)| is_active(prompted)).map(|(id, _)| *id).collect()
    }

    /// Tells the tracker what is said of an object on a frame; clicks one by one, as a person makes them.
    fn say(
        &self,
        tracker: &mut Tracker,
        source: &mut FrameSource,
        object: ObjectId,
        frame: usize,
        direction: Direction,
        cancel: &Cancel,
    ) -> Result<(), TrackError> {
        let prompted = &self.objects[&object];
        let Some(said) = prompted.get(&frame) else { return Ok(()) };
        let start = match direction {
            Direction::Forward => prompted.keys().next(),
            Direction::Backward => prompted.keys().next_back(),
        };
        if start != Some(&frame) {
            // A correction is of what tracking makes of the frame.
            tracker.track(source, frame, direction, &[object], cancel)?;
        }
        match said {
            Said::Mask(mask) => drop(tracker.prompt_mask(source, object, frame, mask, cancel)?),
            Said::Prompt(prompt) => {
                for step in prompt.steps() {
                    tracker.prompt(source, object, frame, &step, cancel)?;
                }
            }
        }
        Ok(())
    }
}

/// True if nothing is wrong but that this frame's data are damaged.
fn is_damaged(error: &(dyn std::error::Error + 'static), frame: usize) -> bool {
    error.downcast_ref::<MediaError>().is_some_and(|error| error.damaged_frame() == Some(frame))
}

fn check(said: &FramePrompt, source: &FrameSource) -> anyhow::Result<Said> {
    let Some(rle) = &said.mask else {
        return Ok(Said::Prompt(prompt(&said.points, said.rect).within(source.size())?));
    };
    ensure!(
        said.points.is_empty() && said.rect.is_none(),
        "it has a mask and points or a box; give one or the other"
    );
    ensure!(rle.size() == source.size(), "the mask is {}, the video is {}", rle.size(), source.size());
    Ok(Said::Mask(rle.decode()))
}

impl Found {
    /// Adds the damaged frames among those that were not tracked; returns true if there are any.
    fn find_damage(
        &mut self,
        source: &mut FrameSource,
        frames: RangeInclusive<usize>,
        cancel: &Cancel,
    ) -> anyhow::Result<bool> {
        let n_before = self.damaged.len();
        for frame in frames.filter(|frame| !self.frames.contains_key(frame)) {
            ensure!(!cancel.is_canceled(), "canceled");
            match source.check(frame) {
                Err(error) if error.damaged_frame().is_some() => drop(self.damaged.insert(frame)),
                checked => checked?,
            }
        }
        Ok(self.damaged.len() > n_before)
    }
}

impl FoundSegment {
    fn of(segment: &Segment) -> Self {
        Self { mask: Rle::encode(&segment.mask), score: segment.iou }
    }
}

pub(crate) fn write_coco(
    path: &Path,
    source: &FrameSource,
    objects: &[ObjectPrompts],
    frames: RangeInclusive<usize>,
    found: &Found,
) -> anyhow::Result<()> {
    const VIDEO: u32 = 1;
    let (width, height) = (source.size().width, source.size().height);
    let image_id = |frame: usize| frame as u64 + 1;
    let names: BTreeSet<&str> = objects.iter().map(|object| object.category.as_str()).collect();
    let category_ids: BTreeMap<&str, u32> = names.into_iter().zip(1..).collect();
    let category_of: BTreeMap<ObjectId, u32> =
        objects.iter().map(|object| (object.id, category_ids[object.category.as_str()])).collect();
    let by_frame = found.frames.iter();
    let segments = by_frame.flat_map(|(frame, objects)| objects.iter().map(move |found| (*frame, found)));
    let annotations = segments.filter(|(_, (_, found))| found.mask.area() > 0).zip(1..);
    let document = coco::Document {
        videos: vec![coco::Video { id: VIDEO, name: source.file_name(), width, height }],
        categories: category_ids
            .iter()
            .map(|(name, &id)| coco::Category {
                id,
                name: (*name).to_owned(),
                supercategory: String::new(),
                color: None,
            })
            .collect(),
        images: frames.filter(|frame| !found.damaged.contains(frame)).map(|frame| coco::Image {
            id: image_id(frame),
            file_name: source.name(frame),
            width,
            height,
            frame: Some(coco::VideoFrame {
                video_id: VIDEO,
                frame_index: frame,
                time: Some(source.time(frame)),
            }),
        }),
        annotations: annotations.map(|((frame, (&object, found)), id)| coco::Annotation {
            id,
            image_id: image_id(frame),
            category_id: category_of[&object],
            track_id: object,
            score: Some(found.score),

            shape: Shape::Mask(Arc::new(found.mask.clone())),
            polygons: None,
            attributes: BTreeMap::new(),
        }),
    };
    say_kept(document.write(path)?)
}

pub(crate) fn write_overlay(
    path: &Path,
    source: &mut FrameSource,
    frames: RangeInclusive<usize>,
    found: &Found,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let mut writer = VideoWriter::like(path, source)?;
    let first = source.time(*frames.start());
    let bar = progress::bar(frames.clone().count(), "overlay");
    for frame in frames {
        ensure!(!cancel.is_canceled(), "canceled before the overlay was finished; the masks are written");
        bar.inc(1);
        if found.damaged.contains(&frame) {
            continue;
        }
        let mut picture = source.frame(frame)?;
        for (&object, segment) in found.frames.get(&frame).into_iter().flatten() {
            overlay::draw(&mut picture, &segment.mask.decode(), object);
        }
        writer.push_at(&picture, source.time(frame) - first)?;
    }
    bar.finish_and_clear();
    say_kept(writer.finish()?)
}
