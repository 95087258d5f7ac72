//! `segue detect`: finds objects by words, by examples, or with a detector.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use engine::{
    detect::{Detection, Place},
    detector::{Detector, Kind, Kinds, Query, Role, Wanted},
    file::folder_of,
    formats::{Format, ImageFiles, Options, check_target},
    frame::PictureKind,
    geometry::Rect,
    media::{self, Sources},
    models,
    nn::Cancel,
    picture::Picture,
    project::{self, FrameId, MediumId, Object, Project, Question, Segment, Store, scan},
    segmenter::{Sam2Segmenter, Segmenter},
};

use super::{
    ModelArgs, OutputKind, cancel_on_interrupt, check_output, detect_tracks,
    export::{all_formats, with_progress},
    open_detector,
    prompts::RectArg,
    say,
};
use crate::{
    command::{Find, Scope},
    progress,
};

/// Find objects by a word, by an example, or with a detector
#[derive(Args)]
#[command(after_help = "Examples:
  segue detect photos --text \"forklift; person without helmet\" --out found.json
  segue detect photos --text \"vehicle = car, truck @0.3\" --masks --format yolo-seg --out labels
  segue detect video.mp4 --example photo.jpg:120,80,260,190 --every 10 --out found.json
  segue detect photos --detector my.onnx --into project.segue
  segue detect video.mp4 --text person --every 10 --tracks --into project.segue
Words need OWLv2 (owlv2-base, unless --detector says otherwise), which is downloaded once: `segue models get owlv2-base`. Examples do with the built-in model, and better with OWLv2. With --into, what is found waits in the project to be accepted.")]
pub(crate) struct Detect {
    /// An image, a video or a folder
    source: PathBuf,
    /// What to look for: categories parted by semicolons, each a phrase, or NAME = PHRASE, PHRASE; @0.3 behind one is its
    /// own threshold
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Look for whatever looks like what is in this box of this image; may be repeated
    #[arg(long = "example", value_name = "IMAGE:X0,Y0,X1,Y1")]
    examples: Vec<Example>,
    /// The detector: a name (`segue models list`), or the path of its weights
    #[arg(long, value_name = "FILE")]
    detector: Option<String>,
    /// Of a detector of fixed classes only this one, maybe called otherwise; may be repeated
    #[arg(long = "class", value_name = "CLASS[=CATEGORY]", conflicts_with_all = ["text", "examples"])]
    classes: Vec<String>,
    /// Side in pixels of the square that the detector sees; smaller is faster
    #[arg(long, value_name = "PIXELS")]
    detector_size: Option<usize>,
    /// How sure the detector must be, 0 to 1; by default 0.2 for OWLv2, 0.7 for the built-in model, 0.4 for others
    #[arg(long, value_name = "SCORE", value_parser = share)]
    threshold: Option<f32>,
    /// IoU above which only the highest-scoring of overlapping boxes counts; by default 0.5, for ONNX files of YOLO 0.7 within
    /// each class, and none where the file does it itself
    #[arg(long, value_name = "IOU", value_parser = share)]
    nms: Option<f32>,
    /// Of videos, look at every N-th frame
    #[arg(long, value_name = "N", default_value = "1")]
    every: std::num::NonZeroUsize,
    /// Of a video track what is found from each frame that is looked at to the next, so that a thing is one object on all its
    /// frames
    #[arg(long, requires = "into", conflicts_with_all = ["masks", "classes", "examples", "detector_size", "nms"])]
    tracks: bool,
    /// Make the mask of everything found
    #[arg(long)]
    masks: bool,
    /// The format to write
    #[arg(long, value_parser = all_formats(), default_value = "coco", conflicts_with = "into")]
    format: &'static Format,
    /// A file, or a folder, as the format wants it
    #[arg(long, required_unless_present = "into", conflicts_with = "into")]
    out: Option<PathBuf>,
    /// Add what is found to this project (.segue), made if there is none, as proposals; no window may have it open
    #[arg(long, value_name = "PROJECT")]
    into: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
}

fn share(word: &str) -> Result<f32, String> {
    let number = word.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    number.ok_or_else(|| "it is a number from 0 to 1".to_owned())
}

/// A box of an image.
#[derive(Clone)]
struct Example {
    image: PathBuf,
    rect: Rect,
}

impl FromStr for Example {
    type Err = anyhow::Error;
    fn from_str(word: &str) -> anyhow::Result<Self> {
        let (image, rect) = word.rsplit_once(':').context("an example is IMAGE:X0,Y0,X1,Y1")?;
        Ok(Self { image: image.into(), rect: rect.parse::<RectArg>()?.0 })
    }
}

/// What is asked, and what becomes of the answers.
struct Asked {
    queries: Vec<Query>,
    kinds: Kinds,
    /// What becomes of classes that have no name.
    unnamed: Role,
}

impl Detect {
    pub(super) fn run(self) -> anyhow::Result<()> {
        ensure!(self.source.exists(), "there is no {}", self.source.display());
        let is_open = self.text.is_some() || !self.examples.is_empty();
        ensure!(
            is_open || self.detector.is_some(),
            "say what to look for with --text or --example, or what with by --detector"
        );
        let wanted = self.text.as_deref().map(Wanted::list).transpose()?.unwrap_or_default();
        if let Some(project) = self.into.as_deref().filter(|_| self.tracks) {
            let find = Find {
                words: self.text.unwrap_or_default(),
                examples: Vec::new(),
                detector: self.detector,
                scope: Scope::Image,
                threshold: self.threshold,
                every: Some(self.every.get()),
            };
            return detect_tracks::run(&self.source, project, find, self.model);
        }
        if let Some(out) = &self.out {
            // Hours later would be late.
            check_target(out)?;
            let detector = self.detector.iter().map(Path::new);
            let inputs = detector.chain([&*self.source, Path::new(&self.model.model)]);
            check_output(out, &inputs.collect::<Vec<_>>(), OutputKind::Labels)?;
        }
        let cancel = cancel_on_interrupt()?;
        let examples = self.examples.iter().map(read_example).collect::<anyhow::Result<Vec<_>>>()?;
        let usual = models::usual_detector(!wanted.is_empty());
        let (runtime, weights) = self.model.open()?;
        let named = self.detector.as_deref().unwrap_or(usual);
        let mut detector = open_detector(&runtime, named, self.detector_size)?;
        let mut segmenter = if self.masks {
            Some(Sam2Segmenter::load("segmenter", &runtime, &weights, self.model.look())?)
        } else {
            None
        };
        let mut asked = self.asked(&*detector, &wanted, examples)?;
        if let Some(iou) = self.nms {
            asked.kinds.suppression.iou = iou;
        }
        detector.remark().map_or(Ok(()), say)?;

        let folder = self.into.as_deref().map_or_else(|| folder_of(&self.source), folder_of);
        let found = scan(std::slice::from_ref(&self.source), &folder, &Sources::default(), &|_, _| {
            !cancel.is_canceled()
        });
        found.refused.iter().chain(&found.remarks).try_for_each(say)?;
        let found_media = found.media;
        ensure!(!found_media.is_empty(), "there is no image or video in {}", self.source.display());
        let is_new = self.into.as_ref().is_some_and(|project| !project.exists());
        let mut opened = self.into.as_deref().map(Store::open).transpose()?;
        let now = opened.as_ref().map(|opened| (**opened.history.now()).clone());
        let mut project = now.unwrap_or_default();
        let paths: Vec<String> = found_media.iter().map(|medium| medium.path.clone()).collect();
        project.add_media(found_media);
        if self.out.is_some() {
            // Training code wants all classes, found or not; a project only those that it needs.
            for name in asked.kinds.categories() {
                project.category_or_new(name);
            }
        }
        let media = project.media.iter().filter(|(_, medium)| paths.contains(&medium.path));
        let media: Vec<MediumId> = media.map(|(id, _)| *id).collect();
        let looked =
            self.look(&mut project, &media, &folder, &mut *detector, &mut asked, segmenter.as_mut(), &cancel);
        let Looked { n_found, read, unread } = match looked {
            Ok(looked) => looked,
            Err(error) => {
                drop(opened);
                if let Some(project) = self.into.filter(|_| is_new) {
                    std::fs::remove_file(&project).ok();
                }
                return Err(error);
            }
        };
        if let Some(opened) = &mut opened {
            opened.history.edit("Detect", |now| *now = project);
            opened.store.write(&opened.history.take_unwritten())?;
            say(format_args!("{n_found} proposals added"))?;
            return complain(&unread);
        }
        let out = self.out.context("clap asks for --out or --into")?;
        if read.is_empty() {
            return complain(&unread);
        }
        // Exported without annotations, unreadable images would count as negatives.
        let options = Options { unconfirmed: true, scores: true, media: Some(read), ..Options::default() };
        let report = with_progress("export", &cancel, |progress| {
            self.format.export(&project, &ImageFiles::of_project(&folder), &options, &out, progress)
        })?;
        say(report)?;
        say(format_args!("{}", out.display()))?;
        complain(&unread)
    }

    fn asked(
        &self,
        detector: &dyn Detector,
        wanted: &[Wanted],
        examples: Vec<(Arc<Picture>, Rect)>,
    ) -> anyhow::Result<Asked> {
        let usual = self.threshold.unwrap_or_else(|| detector.usual_threshold());
        let mut kinds = Kinds::of_phrases(wanted, usual);
        let phrases = wanted.iter().flat_map(|wanted| &wanted.phrases);
        let mut queries: Vec<Query> = phrases.map(|phrase| Query::Phrase(phrase.clone())).collect();
        for (picture, rect) in examples {
            queries.push(Query::Example(picture, rect));
            kinds.push(Kind::named("example"));
        }
        let mut unnamed = Role::Wanted;
        let Some(classes) = detector.classes().filter(|_| queries.is_empty()) else {
            return Ok(Asked { queries, kinds, unnamed });
        };
        kinds = Kinds::of_classes(classes, usual, detector.suppression());
        let chosen = self.classes.iter().map(|word| word.split_once('=').unwrap_or((word, word)));
        let chosen: Vec<(&str, &str)> = chosen.collect();
        if let Some((unknown, _)) = chosen.iter().find(|(name, _)| classes.iter().all(|class| class != name))
        {
            bail!("the detector has no class '{unknown}'; it has {}", classes.join(", "));
        }
        if !chosen.is_empty() {
            unnamed = Role::LeftOut;
            for kind in kinds.iter_mut() {
                match chosen.iter().find(|(name, _)| *name == kind.name) {
                    Some((_, category)) => kind.category = (*category).to_owned(),
                    None => kind.role = Role::LeftOut,
                }
            }
        }
        Ok(Asked { queries, kinds, unnamed })
    }

    /// Detects objects on the wanted frames of media and adds them to the project.
    #[expect(clippy::too_many_arguments, reason = "it is `run`, from where on there is no way back")]
    fn look(
        &self,
        project: &mut Project,
        media: &[MediumId],
        folder: &Path,
        detector: &mut dyn Detector,
        asked: &mut Asked,
        mut segmenter: Option<&mut Sam2Segmenter>,
        cancel: &Cancel,
    ) -> anyhow::Result<Looked> {
        let frames = |id: &MediumId| project.media[id].n_frames.div_ceil(self.every.get());
        let bar = progress::bar(media.iter().map(frames).sum(), "frames");
        let least = asked.kinds.least();
        let sources = Sources::default();
        let (mut n_found, mut read, mut unread) = (0, BTreeSet::new(), Vec::new());
        for &medium in media {
            ensure!(!cancel.is_canceled(), "canceled");
            let (path, n_frames) = {
                let medium = &project.media[&medium];
                (folder.join(&medium.path), medium.n_frames)
            };
            let mut source = match sources.open(&path) {
                Ok(source) => source,
                Err(error) => {
                    unread.push(error.to_string());
                    continue;
                }
            };
            for frame in (0..n_frames).step_by(self.every.get()) {
                ensure!(!cancel.is_canceled(), "canceled");
                bar.inc(1);
                let at = FrameId { medium, frame };
                let kind = source.picture_kind();
                let picture = match source.frame(frame) {
                    Ok(pixels) => Arc::new(Picture::new(at, kind, pixels)),
                    Err(error) => {
                        unread.push(error.to_string());
                        continue;
                    }
                };
                read.insert(medium);
                let found = detector.detect(&picture, &asked.queries, least, cancel)?;
                let before = project.clone();
                asked.kinds.meet(&found, asked.unnamed);
                for detection in asked.kinds.choose(&found).into_iter().map(|i| found[i]) {
                    let Some(kind) = asked.kinds.get(detection.class) else { continue };
                    let is_known = |rect| before.is_known(at, rect, before.category_named(&kind.category));
                    if matches!(detection.place, Place::Rect(rect) if is_known(rect)) {
                        continue;
                    }
                    let segment = segment(&detection, &picture, segmenter.as_deref_mut(), cancel)?;
                    let Some(segment) = segment else { continue };
                    let category = project.category_or_new(&kind.category);
                    let object = match self.into {
                        Some(_) => Object::proposed(category, detection.score),
                        None => Object::new(category),
                    };
                    project.add_object(at, object, segment);
                    n_found += 1;
                }
            }
        }
        ensure!(!cancel.is_canceled(), "canceled");
        bar.finish_and_clear();
        Ok(Looked { n_found, read, unread })
    }
}

/// The outcome of detecting objects on media.
struct Looked {
    n_found: usize,
    /// Media of which a frame was read.
    read: BTreeSet<MediumId>,
    /// Why frames could not be read.
    unread: Vec<String>,
}

/// One bad frame does not end the search, but is not passed over in silence.
pub(super) fn complain(unread: &[String]) -> anyhow::Result<()> {
    match unread {
        [] => Ok(()),
        [why] => bail!("one frame was not looked at: {why}"),
        [why, ..] => bail!("{} frames were not looked at, the first because {why}", unread.len()),
    }
}

/// What a detection is on its frame: its mask if there is somebody to ask, else its box; a point without a mask is nothing.
fn segment(
    detection: &Detection,
    picture: &Arc<Picture>,
    segmenter: Option<&mut Sam2Segmenter>,
    cancel: &Cancel,
) -> anyhow::Result<Option<Segment>> {
    let Detection { place, score, .. } = *detection;
    let Some(segmenter) = segmenter else {
        return Ok(matches!(place, Place::Rect(_)).then(|| Segment::found_at(place.prompt(), score)));
    };
    let question = Question::of(place.prompt());
    let answer = segmenter.answer(picture, &question, cancel)?;
    Ok((answer.mask.area() > 0).then(|| Segment::found_as(question, answer.mask, score)))
}

fn read_example(example: &Example) -> anyhow::Result<(Arc<Picture>, Rect)> {
    let at = FrameId { medium: project::MediumId(0), frame: 0 };
    Ok((Arc::new(Picture::new(at, PictureKind::Photo, media::read_image(&example.image)?)), example.rect))
}
