//! MOTChallenge: a line a box. Frames, ids and pixels are counted from 1.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Masks, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, Id, one_line},
    files, mots,
    number::{float, whole},
    paths::{normalized, split, without_suffix},
    recognize::Recognize,
    text::Texts,
    valid_size,
};
use crate::{
    file::folder_of,
    geometry::{Rect, Size},
    media::is_named_as_image,
};

/// MOTChallenge.
pub const FORMAT: Format = Format {
    name: "mot",
    title: "MOT",
    is_of_videos: true,
    carries: Carries { masks: Masks::None, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read { recognize: Recognize::Folder(is_like), together: true, read }),
};

/// The file of true boxes in a folder `gt`.
const TRUTH: &str = "gt.txt";
/// The file of detections in a folder `det`.
const DETECTIONS: &str = "det.txt";
/// Lines of a text file that show that it is of boxes.
const SNIFFED_LINES: usize = 20;
/// Text files of a folder that are looked into to recognize results.
const SNIFFED_FILES: usize = 50;

fn is_like(path: &Path, texts: &Texts) -> bool {
    if path.is_dir() {
        let files = files::with_suffix(path, "txt");
        files.iter().any(|file| is_of_sequence(file) && !mots::is_lines(file))
            || files.iter().take(SNIFFED_FILES).any(|file| is_rows(file, texts))
    } else {
        is_rows(path, texts)
    }
}

/// Finds the files of boxes: a file itself, those of the sequences in a folder, or else results of trackers, a file a sequence.
/// Returns the number of files of results that are not read as well.
fn files_of(path: &Path, texts: &Texts) -> (Vec<PathBuf>, usize) {
    if !path.is_dir() {
        return (vec![path.to_owned()], 0);
    }
    let (of_sequences, mut others): (Vec<PathBuf>, Vec<PathBuf>) = files::with_suffix(path, "txt")
        .into_iter()
        .partition(|file| is_of_sequence(file) && !mots::is_lines(file));
    others.retain(|file| is_rows(file, texts));
    if of_sequences.is_empty() { (others, 0) } else { (of_sequences, others.len()) }
}

/// True for `gt/gt.txt` and `det/det.txt`.
pub(super) fn is_of_sequence(file: &Path) -> bool {
    let is_named = [TRUTH, DETECTIONS].iter().any(|name| file.file_name().is_some_and(|own| own == *name));
    // A relative path may not say what folder the file is in.
    is_named
        && file.canonicalize().is_ok_and(|real| real.ends_with("gt/gt.txt") || real.ends_with("det/det.txt"))
}

/// True if a text file begins with lines of boxes, whose fields are separated by commas as MOTChallenge has them. A few may be
/// damaged, or a head.
fn is_rows(file: &Path, texts: &Texts) -> bool {
    let Ok(text) = texts.open(file) else { return false };
    let lines = io::BufReader::new(text.take(1 << 16)).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).take(SNIFFED_LINES + 1).collect();
    let n_rows = lines.iter().filter(|line| Row::is_like(line)).count();
    n_rows * 2 > lines.len()
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let frames: Vec<_> = selection.frames.iter().collect();
    for clip in selection.clips(&frames) {
        let stem = selection.medium_stem(clip.id);
        for frame in &clip.frames {
            output.place(selection, frame, &format!("{stem}/img1/{:06}.jpg", frame.at.frame + 1));
        }
        output.write_steps(&format!("{stem}/gt/gt.txt"), |out, _, step| {
            for frame in &clip.frames {
                step().map_err(io::Error::other)?;
                for label in selection.labels(frame) {
                    step().map_err(io::Error::other)?;
                    let Rect { x0, y0, x1, y1 } = label.shape.rect();
                    let (frame, id, class) = (frame.at.frame + 1, label.id.0, label.category + 1);
                    let (left, top, width, height) = (x0 + 1.0, y0 + 1.0, x1 - x0, y1 - y0);
                    writeln!(out, "{frame},{id},{left},{top},{width},{height},1,{class},1")?;
                }
            }
            Ok(())
        })?;
        output.write(&format!("{stem}/gt/labels.txt"), |out| {
            selection
                .categories
                .iter()
                .try_for_each(|kind| writeln!(out, "{}", one_line(&kind.category.name)))
        })?;
        output.write(&format!("{stem}/seqinfo.ini"), |out| write_info(&clip, stem, out))?;
    }
    Ok(())
}

fn write_info(clip: &Clip<'_, '_>, stem: &str, out: &mut impl io::Write) -> io::Result<()> {
    let (size, fps) = (clip.medium.size, clip.medium.fps.unwrap_or(0.0).round());
    writeln!(
        out,
        "[Sequence]\nname={stem}\nimDir=img1\nframeRate={fps}\nseqLength={}",
        clip.medium.n_frames
    )?;
    writeln!(out, "imWidth={}\nimHeight={}\nimExt=.jpg", size.width, size.height)
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let root = reading.path;
    let mut builder = Builder::default();
    let (files, n_results) = files_of(root, &reading.texts);
    builder.note_many(
        "result file",
        "left out beside gt/gt.txt and det/det.txt; import each separately",
        n_results,
    );
    let mut sequences: Vec<Sequence> = files.iter().map(|file| Sequence::of(file, reading)).collect();
    let paths: BTreeSet<(String, String)> =
        sequences.iter().map(|sequence| (sequence.name.clone(), sequence.path.clone())).collect();
    for Sequence { name, path, .. } in &mut sequences {
        // A seqinfo.ini that was copied names several sequences alike.
        if paths.iter().filter(|(other, _)| other == name).count() > 1 {
            name.clone_from(path);
        }
    }
    for (i, (file, sequence)) in files.iter().zip(sequences).enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let title = file
            .strip_prefix(root)
            .ok()
            .filter(|inner| inner.file_name().is_some())
            .unwrap_or(file)
            .display();
        match reading.texts.read(file) {
            Ok(text) => read_file(file, &title, &text, &sequence, reading, &mut builder),
            Err(error) => builder.refuse(title, error),
        }
    }
    builder.finish(root, "gt/gt.txt, det/det.txt or text files of boxes as MOTChallenge has them")
}

/// The sequence that a file is of.
pub(super) struct Sequence {
    /// The folder that has `seqinfo.ini` and the images; none for results, which lie elsewhere.
    folder: Option<PathBuf>,
    /// Its path below what is read, which its images have too.
    path: String,
    /// The name of its video.
    name: String,
    info: Info,
}

impl Sequence {
    /// Adds its video to a data set and returns the path of the video there.
    pub(super) fn add_video(&self, builder: &mut Builder) -> &str {
        if self.info.name.is_none() {
            builder.add_unnamed_video(&self.name);
        }
        &self.name
    }

    /// The path of the image of a frame, counted from 0. The number in its name counts from 1.
    pub(super) fn image(&self, frame: usize) -> String {
        format!("{}/{}/{:06}{}", self.path, self.info.folder, frame + 1, self.info.suffix)
    }

    pub(super) fn of(file: &Path, reading: &Reading<'_>) -> Self {
        // Relative paths such as `gt.txt` do not say what folder they are in.
        let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let folder = real.parent().filter(|folder| folder.ends_with("gt") || folder.ends_with("det"));
        let folder = folder.and_then(Path::parent).map(Path::to_owned);
        let info = folder.as_deref().map_or_else(Info::default, |folder| Info::read(folder, reading));
        let root = reading.path.canonicalize().unwrap_or_else(|_| reading.path.to_owned());
        let inner = folder.as_deref().unwrap_or(&real).strip_prefix(&root).ok();
        let inner = inner.map(|inner| normalized(&inner.to_string_lossy())).unwrap_or_default();
        // The folder or the file itself may be what is read.
        let own = folder.as_deref().or(Some(&real)).and_then(Path::file_name).unwrap_or_default();
        let inner = if inner.is_empty() { own.to_string_lossy().into_owned() } else { inner };
        let inner = if folder.is_none() { without_suffix(&inner).to_owned() } else { inner };
        let (above, _) = split(&inner);
        let name = match &info.name {
            Some(name) if above.is_empty() => name.clone(),
            Some(name) => format!("{above}/{name}"),
            None => inner.clone(),
        };
        Self { folder, path: inner, name, info }
    }
}

fn read_file(
    file: &Path,
    title: &dyn std::fmt::Display,
    text: &str,
    sequence: &Sequence,
    reading: &Reading<'_>,
    builder: &mut Builder,
) {
    let size = sequence.info.size.or_else(|| reading.size_of(&sequence.image(0), None));
    let video = sequence.add_video(builder);
    let beside = folder_of(file).join("labels.txt");
    let in_sequence = sequence.folder.as_ref().map(|folder| folder.join("gt/labels.txt"));
    let labels = [Some(beside), in_sequence].into_iter().flatten().find(|labels| labels.is_file());
    // CVAT and Datumaro export labels.txt without seqinfo.ini, and their coordinates start at 0, not 1.
    let shift = if labels.is_some() && !sequence.info.is_there { 1.0 } else { 0.0 };
    let labels = labels.map(|labels| reading.texts.read(&labels).unwrap_or_default()).unwrap_or_default();
    let labels: Vec<&str> = labels.lines().map(str::trim).collect();
    let rows = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let rows: Vec<(Result<Row, String>, usize)> = rows.map(|(line, n)| (Row::parse(line), n)).collect();
    let is_named = |name: &str| file.file_name().is_some_and(|own| own == name);
    let is_result = |row: &Row| row.is_result || row.confidence != 0.0 && row.confidence != 1.0;
    let is_proposed = !is_named(TRUTH)
        && (is_named(DETECTIONS) || rows.iter().any(|(row, _)| row.as_ref().is_ok_and(is_result)));
    for (row, n) in rows {
        let what = format!("line {n} of {title}");
        match row {
            Ok(Row { frame, id, rect, confidence, class, .. }) => {
                let label = class.checked_sub(1).and_then(|place| labels.get(place));
                let label = label.map_or_else(|| format!("class {class}"), |name| (*name).to_owned());
                let image = builder.frame(video, frame, Some(&sequence.image(frame)), size);
                let category = builder.category(&label);
                let rect = Rect {
                    x0: rect.x0 + shift,
                    y0: rect.y0 + shift,
                    x1: rect.x1 + shift,
                    y1: rect.y1 + shift,
                };
                if let Some(annotation) = builder.annotate(what, image, category, Shape::Box(rect)) {
                    // Detections have no object yet: -1.
                    annotation.track = (id >= 0).then_some(Id::Number(id));
                    if is_proposed {
                        annotation.score = Some(confidence.clamp(0.0, 1.0) as f32);
                    } else if confidence == 0.0 {
                        annotation.attributes.insert("ignored".to_owned(), "1".to_owned());
                        builder.note(
                            "box",
                            "MOT ignores it (confidence 0); it is kept with the attribute ignored",
                        );
                    }
                }
            }
            Err(why) => builder.refuse(what, why),
        }
    }
}

/// A line of a file of boxes.
#[derive(Debug, PartialEq)]
struct Row {
    /// From 0.
    frame: usize,
    id: i64,
    rect: Rect,
    confidence: f64,
    /// From 1.
    class: usize,
    /// True if it ends like a line of a tracker's results: `-1,-1,-1` instead of a place in the world.
    is_result: bool,
}

impl Row {
    /// True if a line has the number of fields of MOTChallenge (6, 7, 9 or 10). VisDrone has 8 numbers, ICDAR 8 numbers and a text.
    fn is_like(line: &str) -> bool {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let is_like = match fields[..] {
            [_, _, _, _, _, _, _, _, visibility] => {
                float(visibility).is_some_and(|v| (0.0..=1.0).contains(&v))
            }
            _ => matches!(fields.len(), 6 | 7 | 10),
        };
        is_like && Self::parse(line).is_ok()
    }

    fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = match line.contains(',') {
            true => line.split(',').map(str::trim).collect(),
            false => line.split_whitespace().collect(),
        };
        let [frame, id, left, top, width, height, rest @ ..] = &fields[..] else {
            return Err("it has fewer than six fields".to_owned());
        };
        let number = |field: &str| float(field).ok_or_else(|| format!("{field} is not a number"));
        let frame = whole(frame).filter(|frame| (1..1_000_000_000).contains(frame));
        let frame = frame.ok_or("its frame is not a number from 1 on")?;
        let id = whole(id).ok_or_else(|| format!("its id, {id}, is not a whole number"))?;
        let confidence = rest.first().map_or(Ok(1.0), |confidence| number(confidence))?;
        // Files of 2015 have the place in the world there, -1 where it is not known.
        let class = match rest {
            [_, class, _] => {
                Some(whole(class).ok_or_else(|| format!("its class, {class}, is not a whole number"))?)
            }
            _ => rest.get(1).and_then(|class| whole(class)),
        };
        let class = class.map_or(1, |class| class.clamp(1, 1_000_000));
        let (x0, y0) = (number(left)? - 1.0, number(top)? - 1.0);
        let rect = Rect::from([x0, y0, x0 + number(width)?, y0 + number(height)?].map(|v| v as f32));
        let is_result = rest.len() == 4 && rest[1..].iter().all(|field| whole(field) == Some(-1));
        Ok(Self { frame: frame as usize - 1, id, rect, confidence, class: class as usize, is_result })
    }
}

/// What `seqinfo.ini` says of a sequence.
struct Info {
    /// True if the file is there.
    is_there: bool,
    name: Option<String>,
    folder: String,
    suffix: String,
    size: Option<Size>,
}

impl Default for Info {
    fn default() -> Self {
        Self { is_there: false, name: None, folder: "img1".to_owned(), suffix: ".jpg".to_owned(), size: None }
    }
}

impl Info {
    fn read(folder: &Path, reading: &Reading<'_>) -> Self {
        let file = folder.join("seqinfo.ini");
        let text = reading.texts.read(&file).unwrap_or_default();
        let setting = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let side = |name| setting(name).and_then(whole).and_then(|side| usize::try_from(side).ok());
        let size = side("imWidth").zip(side("imHeight"));
        let default = Self::default();
        let images = folder.join(setting("imDir").unwrap_or(&default.folder));
        let suffix = || {
            let files = fs::read_dir(images).into_iter().flatten().flatten().map(|entry| entry.path());
            let image = files.into_iter().find(|file| is_named_as_image(file))?;
            Some(format!(".{}", image.extension()?.to_string_lossy()))
        };
        Self {
            is_there: file.is_file(),
            name: setting("name").filter(|name| !name.is_empty()).map(str::to_owned),
            folder: setting("imDir").map_or(default.folder, str::to_owned),
            suffix: setting("imExt").map(str::to_owned).or_else(suffix).unwrap_or(default.suffix),
            size: size.and_then(|(width, height)| valid_size(width, height)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tests::put;

    #[test]
    fn frames_and_pixels_are_counted_from_one() {
        let rect = Rect { x0: 0.0, y0: 10.0, x1: 20.0, y1: 40.0 };
        let want = Row { frame: 0, id: 3, rect, confidence: 1.0, class: 2, is_result: false };
        assert_eq!(Row::parse("1, 3, 1, 11, 20, 30, 1, 2, 0.5"), Ok(want));
        assert_eq!(Row::parse("2.0 -1 1 11 20 30 0.4").map(|row| (row.frame, row.id)), Ok((1, -1)));
        for bad in ["0,1,1,1,1,1", "1,1,1,1,1", "a,1,1,1,1,1", "nan,1,1,1,1,1", "1.5,1,1,1,1,1"] {
            assert!(Row::parse(bad).is_err(), "{bad}");
        }
    }

    const INFO: &str = "[Sequence]\nname=S\nimDir=img1\nimWidth=100\nimHeight=80\nimExt=.jpg\n";

    fn read_at(path: &Path) -> Dataset {
        let (format, dataset) = crate::formats::read(&Reading::new(path)).unwrap();
        assert_eq!(format.name, "mot", "{}", path.display());
        dataset
    }

    #[test]
    fn sequence_is_read_from_any_of_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let seq = folder.path().join("S");
        std::fs::create_dir_all(seq.join("gt")).unwrap();
        put(&seq.join("gt/gt.txt"), "1,1,1,1,20,30,1,2,1\n2,1,1,1,20,30,0,2,1\n");
        put(&seq.join("gt/labels.txt"), "cat\ndog\n");
        put(&seq.join("seqinfo.ini"), INFO);
        for path in [folder.path().to_owned(), seq.clone(), seq.join("gt"), seq.join("gt/gt.txt")] {
            let dataset = read_at(&path);
            assert_eq!(dataset.videos, ["S"], "{}", path.display());
            assert_eq!((dataset.annotations.len(), dataset.annotations[0].score), (2, None));
            assert_eq!(dataset.categories[0].name.as_deref(), Some("dog"));
            assert_eq!(dataset.images[0].file_name.as_deref(), Some("S/img1/000001.jpg"));
        }
        put(&seq.join("seqinfo.ini"), INFO.replace("=S", "=T"));
        assert_eq!(read_at(&seq.join("gt/gt.txt")).videos, ["T"]);
    }

    /// Left, top, width, height, score, class, truncation, occlusion.
    const VISDRONE: &str = "684,8,273,116,0,0,0,0\n406,119,265,70,1,4,0,1\n";
    /// Four corners and a text.
    const ICDAR: &str = "377,117,463,117,465,130,378,130,Genaxis\n493,115,519,115,519,131,493,131,42\n";

    #[test]
    fn results_of_trackers_are_proposals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("MOT17-02.txt");
        put(&path, "1,1,1,1,20,30,0.75,-1,-1,-1\n2,1,1,1,20,30,1,-1,-1,-1\n");
        for path in [path.as_path(), folder.path()] {
            let dataset = read_at(path);
            assert_eq!(dataset.videos, ["MOT17-02"]);
            let scores: Vec<_> = dataset.annotations.iter().map(|annotation| annotation.score).collect();
            assert_eq!(scores, [Some(0.75), Some(1.0)]);
            assert_eq!(dataset.annotations[0].track, Some(Id::Number(1)));
        }
        for other in
            ["0 0.5 0.5 0.1 0.1\n", "1 0 0 1 0 1 1 0 1\n", "cat\ndog\n", "a,b,c\n", "", VISDRONE, ICDAR]
        {
            put(&path, other);
            let found = crate::formats::recognize(&Reading::new(&path));
            assert!(!found.is_ok_and(|found| found.format.name == "mot"), "{other}");
        }
    }
}
