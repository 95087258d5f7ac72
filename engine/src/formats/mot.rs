//! MOTChallenge: a line a box. Frames, ids and pixels are counted from 1.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::Path,
};

use super::{
    Carries, Clip, Dataset, Format, FormatError, Masks, Output, Read, Reading, Selection, Shape, coco,
    dataset::{Builder, Id},
    head,
};
use crate::geometry::{Rect, Size};

/// MOTChallenge.
pub const FORMAT: Format = Format {
    name: "mot",
    title: "MOT",
    is_of_videos: true,
    carries: Carries { masks: Masks::None, attributes: false, ..Carries::ALL },
    write,
    read: Some(Read { suffix: None, is_like: |path| path.is_dir() && !truths(path).is_empty(), read }),
};

/// The files of boxes in a folder.
fn truths(folder: &Path) -> Vec<std::path::PathBuf> {
    let is_truth = |file: &std::path::PathBuf| file.ends_with("gt/gt.txt") || file.ends_with("det/det.txt");
    head::files(folder, "txt").into_iter().filter(is_truth).collect()
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
        let Some(folder) = file.parent().and_then(Path::parent) else { continue };
        let name = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/");
        // The folder itself may be the sequence.
        let own = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = if name.is_empty() { own.into_owned() } else { name };
        let size = size_of(folder).or_else(|| (reading.size)(&name));
        let labels = fs::read_to_string(folder.join("gt/labels.txt")).unwrap_or_default();
        let labels: Vec<&str> = labels.lines().collect();
        let reader = fs::File::open(file).map(io::BufReader::new);
        let reader = reader.map_err(|cause| FormatError::Read { path: file.clone(), cause })?;
        for (line, n) in reader.lines().zip(1..) {
            let what = format!("line {n} of {}", file.strip_prefix(root).unwrap_or(file).display());
            let line = line.map_err(|cause| FormatError::Read { path: file.clone(), cause })?;
            if line.trim().is_empty() {
                continue;
            }
            match parse(&line) {
                Ok((frame, id, class, rect)) => {
                    let label = class.checked_sub(1).and_then(|place| labels.get(place));
                    let label = label.map_or_else(|| format!("class {class}"), |name| (*name).to_owned());
                    let image = builder.frame(&name, frame, size);
                    let category = builder.category(&label);
                    if let Some(annotation) = builder.annotate(what, image, category, Shape::Box(rect)) {
                        // Detections have no object yet: -1.
                        annotation.track = (id >= 0).then_some(Id::Number(id));
                    }
                }
                Err(why) => builder.refuse(what, why),
            }
        }
    }
    builder.finish(root, "gt/gt.txt as MOTChallenge has it")
}

fn parse(line: &str) -> Result<(usize, i64, usize, Rect), String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [frame, id, left, top, width, height, rest @ ..] = &fields[..] else {
        return Err("it has not six fields or more".to_owned());
    };
    let number =
        |field: &str| field.parse::<f64>().map_err(|error| format!("{field} is no number ({error})"));
    let frame = number(frame)?;
    if !(1.0..1e9).contains(&frame) {
        return Err("its frame is not a number from 1 on".to_owned());
    }
    let class = rest.get(1).map_or(Ok(1.0), |class| number(class))?;
    let (x0, y0) = (number(left)? - 1.0, number(top)? - 1.0);
    let rect = Rect::from([x0, y0, x0 + number(width)?, y0 + number(height)?].map(|v| v as f32));
    Ok((frame as usize - 1, number(id)? as i64, class.clamp(1.0, 1e6) as usize, rect))
}

fn size_of(folder: &Path) -> Option<Size> {
    let text = fs::read_to_string(folder.join("seqinfo.ini")).ok()?;
    let side = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('='))?;
        line.trim().parse::<usize>().ok()
    };
    coco::size_of(side("imWidth")?, side("imHeight")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_pixels_are_counted_from_one() {
        let (frame, id, class, rect) = parse("1, 3, 1, 11, 20, 30, 1, 2, 0.5").unwrap();
        assert_eq!((frame, id, class), (0, 3, 2));
        assert_eq!(rect, Rect { x0: 0.0, y0: 10.0, x1: 20.0, y1: 40.0 });
        for bad in ["0,1,1,1,1,1", "1,1,1,1,1", "a,1,1,1,1,1", "nan,1,1,1,1,1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
