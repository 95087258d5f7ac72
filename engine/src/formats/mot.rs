//! MOTChallenge: a line a box. Frames, ids and pixels are counted from 1.

use std::{
    io::{self, Write as _},
    path::Path,
};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, Masks, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, Id},
    files,
    number::{float, whole},
    recognize::Recognize,
    valid_size,
};
use crate::geometry::{Rect, Size};

/// MOTChallenge.
pub const FORMAT: Format = Format {
    name: "mot",
    title: "MOT",
    is_of_videos: true,
    carries: Carries { masks: Masks::None, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Folder(|path, _| path.is_dir() && !truths(path).is_empty()),
        together: true,
        read,
    }),
};

/// The files of boxes in a folder.
fn truths(folder: &Path) -> Vec<std::path::PathBuf> {
    let is_truth = |file: &std::path::PathBuf| file.ends_with("gt/gt.txt") || file.ends_with("det/det.txt");
    files::with_suffix(folder, "txt").into_iter().filter(is_truth).collect()
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
            selection.categories.iter().try_for_each(|kind| writeln!(out, "{}", kind.category.name))
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
    let files = truths(root);
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let title = file.strip_prefix(root).unwrap_or(file).display();
        match reading.texts.read(file) {
            Ok(text) => read_file(file, &text, reading, &mut builder),
            Err(error) => builder.refuse(title, error),
        }
    }
    builder.finish(root, "gt/gt.txt as MOTChallenge has it")
}

fn read_file(file: &Path, text: &str, reading: &Reading<'_>, builder: &mut Builder) {
    let root = reading.path;
    let Some(folder) = file.parent().and_then(Path::parent) else { return };
    let name = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/");
    // The folder itself may be the sequence.
    let own = folder.canonicalize().ok();
    let own = own.as_deref().unwrap_or(folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = if name.is_empty() { own } else { name };
    let info = Info::read(folder, reading);
    let size = info.size.or_else(|| reading.size_of(&info.image(&name, 0), None));
    let labels = reading.texts.read(&folder.join("gt/labels.txt")).unwrap_or_default();
    let labels: Vec<&str> = labels.lines().map(str::trim).collect();
    let is_detections = file.ends_with("det/det.txt");
    for (line, n) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let what = format!("line {n} of {}", file.strip_prefix(root).unwrap_or(file).display());
        match Row::parse(line) {
            Ok(Row { frame, id, rect, confidence, class }) => {
                let label = class.checked_sub(1).and_then(|place| labels.get(place));
                let label = label.map_or_else(|| format!("class {class}"), |name| (*name).to_owned());
                let image = builder.frame(&name, frame, Some(&info.image(&name, frame)), size);
                let category = builder.category(&label);
                if let Some(annotation) = builder.annotate(what, image, category, Shape::Box(rect)) {
                    // Detections have no object yet: -1.
                    annotation.track = (id >= 0).then_some(Id::Number(id));
                    if is_detections {
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
}

impl Row {
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
        let class = rest.get(1).and_then(|class| whole(class)).map_or(1, |class| class.clamp(1, 1_000_000));
        let (x0, y0) = (number(left)? - 1.0, number(top)? - 1.0);
        let rect = Rect::from([x0, y0, x0 + number(width)?, y0 + number(height)?].map(|v| v as f32));
        Ok(Self { frame: frame as usize - 1, id, rect, confidence, class: class as usize })
    }
}

/// What `seqinfo.ini` says of a sequence.
struct Info {
    folder: String,
    suffix: String,
    size: Option<Size>,
}

impl Info {
    fn read(folder: &Path, reading: &Reading<'_>) -> Self {
        let text = reading.texts.read(&folder.join("seqinfo.ini")).unwrap_or_default();
        let setting = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let side = |name| setting(name).and_then(whole).and_then(|side| usize::try_from(side).ok());
        let size = side("imWidth").zip(side("imHeight"));
        Self {
            folder: setting("imDir").unwrap_or("img1").to_owned(),
            suffix: setting("imExt").unwrap_or(".jpg").to_owned(),
            size: size.and_then(|(width, height)| valid_size(width, height)),
        }
    }

    /// The image of a frame, whose number in the file's name counts from 1.
    fn image(&self, sequence: &str, frame: usize) -> String {
        format!("{sequence}/{}/{:06}{}", self.folder, frame + 1, self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_pixels_are_counted_from_one() {
        let rect = Rect { x0: 0.0, y0: 10.0, x1: 20.0, y1: 40.0 };
        let want = Row { frame: 0, id: 3, rect, confidence: 1.0, class: 2 };
        assert_eq!(Row::parse("1, 3, 1, 11, 20, 30, 1, 2, 0.5"), Ok(want));
        assert_eq!(Row::parse("2.0 -1 1 11 20 30 0.4").map(|row| (row.frame, row.id)), Ok((1, -1)));
        for bad in ["0,1,1,1,1,1", "1,1,1,1,1", "a,1,1,1,1,1", "nan,1,1,1,1,1", "1.5,1,1,1,1,1"] {
            assert!(Row::parse(bad).is_err(), "{bad}");
        }
    }
}
