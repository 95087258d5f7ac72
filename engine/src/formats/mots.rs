//! KITTI MOTS: PNG files of 16 bits and text with run lengths, both of ids that are a class times 1000 and a number.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Carries, Clip, Dataset, Files, Format, FormatError, LeftOut, Output, Read, Reading, Selection, Shape,
    dataset::{Builder, Id, one_line},
    davis::frame_of,
    files, mot,
    paths::without_suffix,
    png,
    recognize::Recognize,
    report::Loss,
    valid_size,
};
use crate::{file::open_regular, mask::Rle, project::ObjectId};

/// KITTI MOTS.
pub const FORMAT: Format = Format {
    name: "mots",
    title: "MOTS",
    is_of_videos: true,
    carries: Carries { boxes: false, overlaps: false, attributes: false, ..Carries::ALL },
    reserved_folders: &[],
    usual_files: Files::Leave,
    write,
    read: Some(Read { recognize: Recognize::Folder(|path, _| is_like(path)), together: true, read }),
};

/// The names of the classes, from 1 on, as Datumaro has them.
const LABELS: &str = "instances/labels.txt";
/// An id is its class times this and a number below it.
const CLASS: u32 = 1000;
/// What must not be looked at.
const IGNORED: u32 = 10_000;
const IGNORED_WHY: &str = "not taken, it is an ignored region (id 10000)";
/// Ids have 16 bits.
const MOST_CLASSES: usize = 64;

/// Text files of a folder that are looked into to recognize masks.
const SNIFFED_FILES: usize = 50;

/// The folders of PNG files and of text files.
const FOLDERS: [&str; 2] = ["instances", "instances_txt"];

fn is_like(path: &Path) -> bool {
    !parts(path).is_empty() || !sequences(path).is_empty() || lists(path, SNIFFED_FILES).next().is_some()
}

/// Finds text files of masks among the first ones of a folder of any name, or the one that was given.
fn lists(path: &Path, max: usize) -> impl Iterator<Item = PathBuf> {
    let files = if path.is_dir() { files::with_suffix(path, "txt") } else { vec![path.to_owned()] };
    files.into_iter().take(max).filter(|file| file.is_file() && is_lines(file))
}

/// Finds the files `gt/gt.txt` of MOTSChallenge, which counts frames from 1.
fn sequences(path: &Path) -> Vec<PathBuf> {
    let files = if path.is_dir() { files::with_suffix(path, "txt") } else { vec![path.to_owned()] };
    files.into_iter().filter(|file| mot::is_of_sequence(file) && is_lines(file)).collect()
}

/// True if the first line of a text file has a mask as MOTS writes it.
pub(super) fn is_lines(file: &Path) -> bool {
    let Ok(file) = open_regular(file) else { return false };
    let mut lines = io::BufReader::new(file.take(1 << 20)).lines().map_while(Result::ok);
    lines.find(|line| !line.trim().is_empty()).is_some_and(|line| parse(&line).is_ok())
}

/// What is read of a part of a split: a folder of PNG files or of text files, and the file of names.
struct Part {
    folder: PathBuf,
    is_text: bool,
    labels: PathBuf,
}

impl Part {
    /// The instances in a folder, as text where they are there as both; none if there are none.
    fn within(folder: &Path) -> Option<Self> {
        let [pictures, texts] = FOLDERS.map(|name| folder.join(name));
        let labels = folder.join(LABELS);
        let is_text = !files::with_suffix(&texts, "txt").is_empty();
        let folder = if is_text { texts } else { pictures };
        (is_text || folder.is_dir()).then_some(Self { folder, is_text, labels })
    }

    /// A folder that is itself one of instances; none if it is called otherwise.
    fn itself(folder: &Path) -> Option<Self> {
        let real = folder.canonicalize().ok()?;
        let is_text = real.ends_with(FOLDERS[1]);
        let above = real.parent()?;
        let suffix = if is_text { "txt" } else { "png" };
        let is_named = is_text || real.ends_with(FOLDERS[0]);
        (is_named && !files::with_suffix(folder, suffix).is_empty()).then(|| Self {
            folder: folder.to_owned(),
            is_text,
            labels: above.join(LABELS),
        })
    }
}

/// The parts in a folder, or in the folders of a split in it, as Datumaro writes them.
fn parts(path: &Path) -> Vec<Part> {
    if let Some(part) = Part::within(path).or_else(|| Part::itself(path)) {
        return vec![part];
    }
    // A folder of many images is not asked for each of them.
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_file()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().filter_map(|folder| Part::within(folder)).collect()
}

fn write(selection: &Selection<'_>, output: &mut Output<'_>) -> Result<(), FormatError> {
    let frames: Vec<_> = selection.frames.iter().collect();
    for clip in selection.clips(&frames) {
        write_clip(selection, &clip, output)?;
    }
    output.write(LABELS, |out| {
        selection.categories.iter().try_for_each(|kind| writeln!(out, "{}", one_line(&kind.category.name)))
    })
}

fn write_clip(
    selection: &Selection<'_>,
    clip: &Clip<'_, '_>,
    output: &mut Output<'_>,
) -> Result<(), FormatError> {
    let stem = selection.medium_stem(clip.id);
    let ids = ids(selection, clip);
    let mut lines = Vec::new();
    for frame in &clip.frames {
        let frame_stem = selection.frame_stem(frame.at, 6);
        // The number in a frame's name is its number in the text as well.
        let number: usize = frame_stem.parse().unwrap_or(frame.at.frame);
        let name = format!("{stem}/{frame_stem}");
        output.place(selection, frame, &format!("images/{name}.jpg"));
        let size = frame.medium.size;
        let mut picture = vec![0_u16; size.area()];
        for label in selection.labels(frame) {
            output.step()?;
            match (&label.shape, ids.get(&label.id)) {
                (Shape::Mask(mask), Some(id)) => {
                    let n_covered = png::paint(&mut picture, mask, *id);
                    output.report.lose(Loss::Overlaps, usize::from(n_covered > 0));
                }
                _ => output.report.leave_out(LeftOut::TooMany, 1),
            }
        }
        output.step()?;
        let numbers: Vec<u32> = picture.iter().copied().map(u32::from).collect();
        let masks = png::masks_of(size, &numbers);
        output.report.annotations -= selection.labels(frame).len() - masks.len();
        for (id, mask) in masks {
            let (height, width, counts) = (size.height, size.width, mask.counts());
            lines.push(format!("{number} {id} {} {height} {width} {counts}", id / CLASS));
        }
        output.write(&format!("instances/{name}.png"), |out| png::write_wide(out, size, &picture))?;
    }
    output.write(&format!("instances_txt/{stem}.txt"), |out| {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))
    })
}

/// Of each object of a video its id, as long as there are some left.
fn ids(selection: &Selection<'_>, clip: &Clip<'_, '_>) -> BTreeMap<ObjectId, u16> {
    let mut n_of_class: BTreeMap<usize, u32> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (object, track) in selection.tracks(clip) {
        let Some((_, label)) = track.first().filter(|(_, label)| label.category < MOST_CLASSES) else {
            continue;
        };
        let n = n_of_class.entry(label.category).or_default();
        let id = (label.category as u32 + 1) * CLASS + *n;
        if *n < CLASS && id != IGNORED {
            ids.extend(u16::try_from(id).ok().map(|id| (object, id)));
        }
        *n += 1;
    }
    ids
}

fn read(reading: &Reading<'_>) -> Result<Dataset, FormatError> {
    let mut builder = Builder::default();
    for part in parts(reading.path) {
        read_part(&part, reading, &mut builder)?;
    }
    let sequences = sequences(reading.path);
    if builder.is_empty() && sequences.is_empty() {
        for file in lists(reading.path, usize::MAX) {
            let video = without_suffix(&reading.files.relative(&file)).to_owned();
            read_text(&file, &video, &[], Numbers::OfFiles, &mut builder)?;
        }
    }
    for (i, file) in sequences.iter().enumerate() {
        if !(reading.progress)(i, sequences.len()) {
            return Err(FormatError::Canceled);
        }
        let sequence = mot::Sequence::of(file, reading);
        let video = sequence.add_video(&mut builder);
        read_text(file, video, &[], Numbers::OfMotsChallenge(&sequence), &mut builder)?;
    }
    builder.finish(reading.path, "instances as MOTS has them")
}

fn read_part(part: &Part, reading: &Reading<'_>, builder: &mut Builder) -> Result<(), FormatError> {
    let names = reading.texts.read(&part.labels).unwrap_or_default();
    let names: Vec<&str> = names.lines().collect();
    let files = files::with_suffix(&part.folder, if part.is_text { "txt" } else { "png" });
    for (i, file) in files.iter().enumerate() {
        if !(reading.progress)(i, files.len()) {
            return Err(FormatError::Canceled);
        }
        let name = file.strip_prefix(&part.folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
        match part.is_text {
            true => read_text(file, without_suffix(&name), &names, Numbers::OfFiles, builder)?,
            false => read_picture(file, &name, &names, builder),
        }
    }
    Ok(())
}

/// The meaning of the numbers of frames.
#[derive(Clone, Copy)]
enum Numbers<'a> {
    /// Those of their files.
    OfFiles,
    /// From 1.
    OfMotsChallenge(&'a mot::Sequence),
}

fn read_text(
    file: &Path,
    video: &str,
    names: &[&str],
    numbers: Numbers<'_>,
    builder: &mut Builder,
) -> Result<(), FormatError> {
    let reader = fs::File::open(file).map(io::BufReader::new);
    let reader = reader.map_err(|cause| FormatError::Read { path: file.to_owned(), cause })?;
    for (line, n) in reader.lines().zip(1..) {
        let what = format!("line {n} of {}", file.display());
        let line = line.map_err(|cause| FormatError::Read { path: file.to_owned(), cause })?;
        if line.trim().is_empty() {
            continue;
        }
        match parse(&line) {
            Ok(None) => builder.note("region", IGNORED_WHY),
            Ok(Some((number, id, mask))) => {
                let size = Some(mask.size());
                let image = match numbers {
                    Numbers::OfFiles => {
                        builder.frame_of_file(video, number, &image_name(video, number), size)
                    }
                    Numbers::OfMotsChallenge(sequence) => {
                        let Some(index) = number.checked_sub(1) else {
                            builder.refuse(what, "its frame is not a number from 1 on");
                            continue;
                        };
                        builder.frame(video, index, Some(&sequence.image(index)), size)
                    }
                };
                add(&what, image, id, mask, names, builder);
            }
            Err(why) => builder.refuse(what, why),
        }
    }
    Ok(())
}

/// Reads `frame id class height width counts`; none of a region that is ignored.
fn parse(line: &str) -> Result<Option<(usize, u32, Rle)>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [frame, id, class, height, width, counts] = words[..] else {
        return Err("it has not six fields".to_owned());
    };
    let number = |word: &str| word.parse::<u32>().map_err(|error| format!("{word} is no number ({error})"));
    let size = valid_size(number(width)? as usize, number(height)? as usize);
    let size = size.ok_or("its width and height are not those of an image")?;
    let (frame, id, class) = (number(frame)? as usize, number(id)?, number(class)?);
    let mask = Rle::from_counts(size, counts).map_err(|error| error.to_string())?;
    // Some count objects without their class.
    let id =
        if id < CLASS { class.checked_mul(CLASS).and_then(|class| class.checked_add(id)) } else { Some(id) };
    let id = id.ok_or("its class is too large")?;
    Ok((id != IGNORED).then_some((frame, id, mask)))
}

fn read_picture(file: &Path, name: &str, names: &[&str], builder: &mut Builder) {
    match frame_of(name).and_then(|(video, frame)| Ok((video, frame, png::read_numbers(file)?))) {
        Ok((video, frame, (size, numbers))) => {
            let image = builder.frame_of_file(video, frame, &image_name(video, frame), Some(size));
            for (id, mask) in png::masks_of(size, &numbers) {
                match id {
                    IGNORED => builder.note("region", IGNORED_WHY),
                    id => add(name, image, id, mask, names, builder),
                }
            }
        }
        Err(why) => builder.refuse(name, why),
    }
}

/// The image of a frame, whose number is that of its file: KITTI counts both from 0, MOTSChallenge from 1.
fn image_name(video: &str, frame: usize) -> String {
    format!("{video}/{frame:06}")
}

fn add(what: &str, image: usize, id: u32, mask: Rle, names: &[&str], builder: &mut Builder) {
    let class = id / CLASS;
    let name = (class as usize).checked_sub(1).and_then(|place| names.get(place));
    let name = name.map_or_else(|| format!("class {class}"), |name| (*name).to_owned());
    let category = builder.category(&name);
    if let Some(annotation) = builder.annotate(what, image, category, Shape::Mask(Arc::new(mask))) {
        annotation.track = Some(Id::Number(id.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::write_atomically, geometry::Size, mask::testing::picture};

    #[test]
    fn parts_of_a_split_are_read_from_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("default");
        fs::create_dir_all(part.join("instances/clip")).unwrap();
        let write = |name: &str, bytes: &[u8]| {
            write_atomically(&part.join(name), |out| out.write_all(bytes)).unwrap();
        };
        write("instances/labels.txt", b"cat\ndog\n");
        let mut png = Vec::new();
        png::write_wide(&mut png, Size::new(2, 2), &[0, 0, 2001, 2001]).unwrap();
        write("instances/clip/000003.png", &png);
        assert!(is_like(folder.path()));
        let reading = Reading::new(folder.path()).with_checks();
        let dataset = read(&reading).unwrap();
        assert_eq!(dataset.categories[0].name.as_deref(), Some("dog"));
        assert_eq!(dataset.images[0].frame, Some((0, 3)));
        let mask = Rle::encode(&picture(&["..", "##"]));
        assert_eq!(dataset.annotations[0].shape, Shape::Mask(Arc::new(mask)));
    }

    #[test]
    fn folder_of_instances_is_read_itself() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_atomically(&path, |out| out.write_all(bytes)).unwrap();
        };
        put("instances/labels.txt", b"cat\ndog\n");
        let mut png = Vec::new();
        png::write_wide(&mut png, Size::new(2, 2), &[0, 0, 2001, 2001]).unwrap();
        put("instances/clip/000003.png", &png);
        let mask = Rle::encode(&picture(&["..", "##"]));
        put("instances_txt/clip.txt", format!("3 2001 2 2 2 {}\n", mask.counts()).as_bytes());
        for name in ["instances", "instances_txt", "."] {
            let path = folder.path().join(name);
            let (format, dataset) = crate::formats::read(&Reading::new(&path)).unwrap();
            assert_eq!((format.name, &*dataset.videos), ("mots", &["clip".to_owned()][..]), "{name}");
            assert_eq!(dataset.categories[0].name.as_deref(), Some("dog"));
            assert_eq!(dataset.annotations[0].shape, Shape::Mask(Arc::new(mask.clone())));
            assert_eq!(dataset.images[0].frame, Some((0, 3)));
        }
    }

    #[test]
    fn a_line_is_read_as_the_devkit_writes_it() {
        let mask = Rle::encode(&picture(&["..", "##"]));
        let line = format!("52 1005 1 2 2 {}", mask.counts());
        assert_eq!(parse(&line), Ok(Some((52, 1005, mask.clone()))));
        assert_eq!(parse(&line.replace("1005", "10000")), Ok(None));
        assert!(parse("1 2 3").is_err() && parse(&line.replace(" 2 2 ", " 2 3 ")).is_err());
    }
}
