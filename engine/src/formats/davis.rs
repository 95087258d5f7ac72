//! DAVIS: a PNG file a frame, in which each pixel is of one object.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Carries, Dataset, Files, Format, FormatError, LeftOut, Output, Read, Reading, Selection, Shape, Splits,
    dataset::{Builder, Id},
    files,
    paths::without_suffix,
    png,
    recognize::Recognize,
    report::Loss,
};
use crate::project::ObjectId;

/// DAVIS 2017; also YouTube-VOS, whose folders lack the resolution.
pub const FORMAT: Format = Format {
    name: "davis",
    title: "DAVIS",
    is_of_videos: true,
    carries: Carries { boxes: false, overlaps: false, attributes: false, categories: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read {
        recognize: Recognize::Folder(|path, _| !files::with_suffix(&pictures(path).folder, "png").is_empty()),
        together: true,
        read,
    }),
};

const ANNOTATIONS: &str = "Annotations";
const RESOLUTION: &str = "Full-Resolution";
const RESOLUTIONS: [&str; 2] = [RESOLUTION, "480p"];
/// The number of pixels that are ignored.
const IGNORED: u32 = 255;
/// A palette has so many numbers besides 0 and [`IGNORED`].
const MOST: usize = 254;

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    for (part, frames) in selection.parts() {
        let clips = selection.clips(&frames);
        for clip in &clips {
            let stem = selection.medium_stem(clip.id);
            let numbers: BTreeMap<ObjectId, usize> = selection.tracks(clip).into_keys().zip(1..).collect();
            for frame in &clip.frames {
                let name = format!("{RESOLUTION}/{stem}/{}", selection.frame_stem(frame.at, 5));
                output.place(selection, frame, &format!("JPEGImages/{name}.jpg"));
                let size = frame.medium.size;
                let mut picture = vec![0; size.area()];
                for label in selection.labels(frame) {
                    output.step()?;
                    let Shape::Mask(mask) = &label.shape else { continue };
                    let number = numbers[&label.id];
                    if number > MOST {
                        output.report.leave_out(LeftOut::TooMany, 1);
                        continue;
                    }
                    let n_covered = png::paint(&mut picture, mask, number as u8);
                    output.report.lose(Loss::Overlaps, usize::from(n_covered > 0));
                }
                let left =
                    picture.iter().filter(|number| **number > 0).collect::<std::collections::BTreeSet<&u8>>();
                output.report.annotations -= selection.labels(frame).len() - left.len();
                output.write(&format!("{ANNOTATIONS}/{name}.png"), |out| {
                    png::write_indexed(out, size, &picture)
                })?;
                output.step()?;
            }
        }
        output.write(&format!("ImageSets/2017/{}.txt", part.unwrap_or(Splits::NAMES[0])), |out| {
            clips.iter().try_for_each(|clip| writeln!(out, "{}", selection.medium_stem(clip.id)))
        })?;
    }
    Ok(())
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let Pictures { folder, root } = pictures(reading.path);
    let mut builder = Builder::default();
    let files = files::with_suffix(&folder, "png");
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let name = file.strip_prefix(&root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        match frame_of(&name).and_then(|(video, frame)| Ok((video, frame, png::read_numbers(file)?))) {
            Ok((video, frame, (size, numbers))) => {
                let image = builder.frame_of_file(video, frame, without_suffix(&name), Some(size));
                for (number, mask) in png::masks_of(size, &numbers) {
                    if number == IGNORED {
                        builder.note("region", "not taken, it is ignored (255)");
                        continue;
                    }
                    let category = builder.category("object");
                    let shape = Shape::Mask(Arc::new(mask));
                    if let Some(annotation) = builder.annotate(&name, image, category, shape) {
                        annotation.track = Some(Id::Number(number.into()));
                    }
                }
            }
            Err(why) => builder.refuse(Path::new(&name).display(), why),
        }
    }
    builder.finish(reading.path, "pictures as DAVIS has them")
}

/// The masks of a data set.
struct Pictures {
    /// The folder that has them.
    folder: PathBuf,
    /// The folder that has the folders of videos.
    root: PathBuf,
}

/// Finds the masks of a data set, which may be given by its folder of annotations, of a resolution, or of a video in these.
fn pictures(path: &Path) -> Pictures {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_inner = |real: &Path| {
        real.ends_with(ANNOTATIONS)
            || RESOLUTIONS.iter().any(|name| real.ends_with(Path::new(ANNOTATIONS).join(name)))
    };
    let is_video = !is_inner(&real) && !RESOLUTIONS.iter().any(|name| real.ends_with(name));
    if let Some(root) = real.parent().filter(|root| is_video && is_inner(root)) {
        return Pictures { folder: real.clone(), root: root.to_owned() };
    }
    let folder = if is_inner(&real) { path.to_owned() } else { path.join(ANNOTATIONS) };
    let of_resolution = RESOLUTIONS.iter().map(|name| folder.join(name)).find(|folder| folder.is_dir());
    let folder = of_resolution.unwrap_or(folder);
    Pictures { root: folder.clone(), folder }
}

/// The video and the number of a frame's file.
pub(super) fn frame_of(name: &str) -> Result<(&str, usize), String> {
    let (video, file) = name.rsplit_once('/').ok_or("it is in no folder of a video")?;
    let frame = without_suffix(file).parse();
    let frame = frame.map_err(|error| format!("its name is not a frame's number ({error})"))?;
    Ok((video, frame))
}
