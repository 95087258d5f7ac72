//! Finding media files on the disk: new ones for a project, and those that were moved.

mod fit;
mod work;

pub use fit::check_has_media;
pub use work::is_work;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Content, Medium, MediumId, MediumKind, content_of,
    mask_folders::is_mask_folder,
    scan::{Report, Scan},
    told_from,
};
use crate::{
    file::has_suffix,
    media::{
        FrameSource, ImageKind, MediaError, Sources, image_header, image_size, is_named_as_image,
        natural_order,
    },
};

/// Suffixes of video files, in small letters.
pub const VIDEO_SUFFIXES: [&str; 24] = [
    "3gp", "asf", "avi", "flv", "h264", "h265", "hevc", "m2ts", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4",
    "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv", "y4m",
];

/// Suffixes of images that Segue does not read; those in folders are counted.
const UNREAD: [&str; 21] = [
    "arw", "cr2", "cr3", "dcm", "dds", "dng", "ico", "j2k", "jp2", "nef", "orf", "pcx", "psd", "qoi", "raf",
    "rw2", "sgi", "svg", "tga", "xbm", "xcf",
];

/// Progress is told once in so many files, since telling it costs more than reading one.
const OFTEN: usize = 32;

/// Finds the images and videos among these files and in these folders.
///
/// Folders within folders count too. Hidden files, and files in folders that are not named as images or videos, are
/// passed over, but images without any suffix are recognized by content; no file is taken twice, by whatever links it is
/// reached. A file of pages or animation frames is a video. Media are ordered by their folders, then by their names, as
/// [`natural_order`] has it, and paths are told from `folder`. Of images only headers are read; videos are opened by
/// `sources`, so that they open quickly from then on.
///
/// `progress` is told how many files were looked at, and how many there are; where it says no, that is all.
pub fn scan(
    paths: &[PathBuf],
    folder: &Path,
    sources: &Sources,
    progress: &dyn Fn(usize, usize) -> bool,
) -> Scan {
    let mut walk = Walk::default();
    for path in paths {
        if path.is_dir() {
            walk.folder(path, &|found| progress(0, found));
        } else {
            walk.files.push(path.clone());
        }
    }
    let Walk { mut files, refused, unread, .. } = walk;
    files.sort_by(|a, b| by_folder(a, b));
    let mut known = HashSet::new();
    files.retain(|file| known.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));

    let mut report = Report::default();
    for (folder, error) in refused {
        report.refuse(&folder, format!("cannot open folder: {error}: {}", folder.display()));
    }
    unread.iter().for_each(|suffix| report.pass_over(suffix));
    for (i, file) in files.iter().enumerate() {
        let is_time = i % OFTEN == 0 || has_suffix(file, &VIDEO_SUFFIXES);
        if is_time && !progress(i, files.len()) {
            break;
        }
        if let Some(why) = unfit(file) {
            report.refuse(file, format!("{why}: {}", file.display()));
            continue;
        }
        match open(file, sources) {
            Ok(source) => report.take(medium(told_from(folder, file), &source), &source),
            Err(error) => report.refuse_media(file, &error),
        }
    }
    report.finish()
}

/// Returns why a file is not even opened.
fn unfit(file: &Path) -> Option<&'static str> {
    // Opening and closing the open project's file would give up its lock.
    if has_suffix(file, &["segue"]) {
        return Some("cannot add file: it is a Segue project; open it instead");
    }
    if file.to_str().is_none() {
        return Some("cannot add file: its name is no valid text; rename it");
    }
    if has_suffix(file, &["csv", "json", "txt", "xml", "yaml", "yml"]) {
        return Some("cannot add file: it is no image or video; if it holds labels, import them");
    }
    // Opening a pipe would wait for whoever writes to it.
    let is_odd = fs::metadata(file).is_ok_and(|metadata| !metadata.is_file());
    is_odd.then_some("cannot add file: it is a device or a pipe")
}

fn open(file: &Path, sources: &Sources) -> Result<FrameSource, MediaError> {
    sources.open(file).map_err(|error| match error {
        // What is called an image and is none is no broken video.
        MediaError::UnknownMedia { .. } if is_named_as_image(file) => {
            image_header(file).err().unwrap_or(error)
        }
        error => error,
    })
}

fn medium(path: String, source: &FrameSource) -> Medium {
    let (size, n_frames) = (source.size(), source.n_frames());
    let (kind, fps) =
        if source.is_video() { (MediumKind::Video, Some(source.fps())) } else { (MediumKind::Image, None) };
    Medium { path, kind, size, n_frames, fps, content: None, done: false }
}

/// The frames in a folder as one video, which has the folder's path, told from `project_folder` (`.` if they are the
/// same); see [`FrameSource::open`].
///
/// # Errors
/// A sentence that says why not.
pub fn scan_frames(folder: &Path, project_folder: &Path, sources: &Sources) -> Result<Scan, String> {
    let refuse = |why: &str| Err(format!("{why}: {}", folder.display()));
    if folder.to_str().is_none() {
        return refuse("cannot add folder: its name is no valid text; rename it");
    }
    if fs::metadata(folder).is_ok_and(|metadata| !metadata.is_dir()) {
        return refuse("cannot add frames: it is not a folder");
    }
    let source = sources.open(folder).map_err(|error| error.to_string())?;
    let path = told_from(project_folder, folder);
    let path = if path.is_empty() { ".".to_owned() } else { path };
    let mut report = Report::default();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let images = entries.map(|entry| entry.path()).filter(|path| is_named_as_image(path) && !is_hidden(path));
    report.leave_out(&path, images.count().saturating_sub(source.n_frames()));
    // A folder is a video even if it holds one frame.
    let (kind, fps) = (MediumKind::Video, Some(source.fps()));
    report.take(Medium { kind, fps, ..medium(path, &source) }, &source);
    Ok(report.finish())
}

/// Looks inside a folder for the files, and folders of frames, of these media; their new paths, told from `folder`.
///
/// A file of a medium's name is taken for it if it holds the medium's content. Where that is not known, the file must
/// have the medium's size and number of frames, and no other file and no other medium may come into question. The more folders above it have
/// the same names, too, the sooner a file is taken.
///
/// `progress` is told how many were found, of how many; where it says no, that is all.
pub fn locate(
    media: &[(MediumId, Arc<Medium>)],
    inside: &Path,
    folder: &Path,
    sources: &Sources,
    progress: &dyn Fn(usize, usize) -> bool,
) -> Vec<(MediumId, String)> {
    let mut walk = Walk::default();
    walk.folder(inside, &|_| progress(0, media.len()));
    // Opening a pipe would wait for whoever writes to it.
    let files = walk.files.iter().filter(|file| file.is_file()).chain(&walk.folders);
    let mut files: Vec<String> = files.map(|file| told_from(folder, file)).collect();
    files.sort();

    let mut located: BTreeMap<MediumId, &str> = BTreeMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    let longest = media.iter().map(|(_, medium)| medium.path.split('/').count()).max().unwrap_or(0);
    'looking: for n_names in (1..=longest).rev() {
        let mut alike: BTreeMap<&str, Alike<'_>> = BTreeMap::new();
        for (id, medium) in media.iter().filter(|(id, _)| !located.contains_key(id)) {
            alike.entry(tail(&medium.path, n_names)).or_default().media.push((*id, medium));
        }
        for file in files.iter().filter(|file| !taken.contains(file.as_str())) {
            if let Some(alike) = alike.get_mut(tail(file, n_names)) {
                alike.files.push(file);
            }
        }
        for (i, Alike { media: of_name, mut files }) in alike.into_values().enumerate() {
            if i % OFTEN == 0 && !progress(located.len(), media.len()) {
                break 'looking;
            }
            let is_sure = of_name.len() == 1 && files.len() == 1;
            for (id, medium) in of_name {
                let found = files.iter().position(|file| {
                    let file = folder.join(file);
                    match &medium.content {
                        Some(content) => holds(&file, content),
                        None => is_sure && is_like(&file, medium, sources),
                    }
                });
                if let Some(found) = found {
                    let file = files.remove(found);
                    taken.insert(file);
                    located.insert(id, file);
                }
            }
        }
    }
    located.into_iter().map(|(id, file)| (id, file.to_owned())).collect()
}

/// Media and files whose paths end in the same names.
#[derive(Default)]
struct Alike<'a> {
    media: Vec<(MediumId, &'a Medium)>,
    files: Vec<&'a str>,
}

/// Up to `n` last names of a path.
fn tail(path: &str, n: usize) -> &str {
    path.rmatch_indices('/').nth(n - 1).map_or(path, |(at, _)| &path[at + 1..])
}

fn holds(file: &Path, content: &Content) -> bool {
    // The length alone tells most files apart.
    fs::metadata(file).is_ok_and(|metadata| metadata.is_dir() || metadata.len() == content.length)
        && content_of(file).is_ok_and(|found| found == *content)
}

/// Whether the file, or the folder of frames, may be that of a medium of unknown content.
fn is_like(file: &Path, medium: &Medium, sources: &Sources) -> bool {
    match medium.kind {
        MediumKind::Image => image_size(file).is_ok_and(|size| size == medium.size),
        MediumKind::Video => sources
            .open(file)
            .is_ok_and(|source| source.size() == medium.size && source.n_frames() == medium.n_frames),
    }
}

/// Files that may be media.
#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    /// Folders that were looked into, which may be frames.
    folders: Vec<PathBuf>,
    /// Folders that cannot be read, and why.
    refused: Vec<(PathBuf, io::Error)>,
    /// Suffixes of images that Segue does not read.
    unread: Vec<String>,
    /// Where it has been, without links: a link may lead back.
    been: HashSet<PathBuf>,
}

impl Walk {
    /// Adds the files in a folder and in all that it holds, unless `go_on`, which is told how many there are, says no.
    fn folder(&mut self, folder: &Path, go_on: &dyn Fn(usize) -> bool) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop().filter(|_| go_on(self.files.len())) {
            let entries = folder.canonicalize().and_then(|real| {
                if self.been.insert(real) { fs::read_dir(&folder)?.collect() } else { Ok(Vec::new()) }
            });
            let entries: Vec<fs::DirEntry> = entries.unwrap_or_else(|error| {
                self.refused.push((folder.clone(), error));
                Vec::new()
            });
            for path in entries.iter().map(fs::DirEntry::path).filter(|path| !is_hidden(path)) {
                if path.is_dir() && is_mask_folder(&path) {
                    let why = io::Error::other("it holds masks, not photos");
                    self.refused.push((path, why));
                } else if path.is_dir() {
                    folders.push(path);
                } else if is_named_as_image(&path) || is_named_as_video(&path) || is_unnamed_image(&path) {
                    self.files.push(path);
                } else if has_suffix(&path, &UNREAD) {
                    self.unread.push(path.extension().unwrap_or_default().to_string_lossy().into_owned());
                }
            }
            self.folders.push(folder);
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// True for an image whose name has no suffix.
fn is_unnamed_image(path: &Path) -> bool {
    path.extension().is_none() && ImageKind::of_file(path).is_ok_and(|kind| kind.is_some())
}

/// True for a file with a suffix of videos. Those that TypeScript has too are of a video only if its packets show.
fn is_named_as_video(path: &Path) -> bool {
    has_suffix(path, &VIDEO_SUFFIXES)
        && (!has_suffix(path, &["ts", "mts"]) || is_transport_stream(path).unwrap_or(false))
}

/// True if a file begins with two packets of an MPEG transport stream, which may have a time before each.
fn is_transport_stream(path: &Path) -> io::Result<bool> {
    const SYNC: Option<&u8> = Some(&0x47);
    let mut head = Vec::new();
    fs::File::open(path)?.take(200).read_to_end(&mut head)?;
    Ok([(0, 188), (4, 196)].into_iter().any(|(a, b)| head.get(a) == SYNC && head.get(b) == SYNC))
}

fn by_folder(a: &Path, b: &Path) -> Ordering {
    fn parts(path: &Path) -> [&OsStr; 2] {
        [path.parent().map(Path::as_os_str).unwrap_or_default(), path.file_name().unwrap_or_default()]
    }
    let ([folder_a, name_a], [folder_b, name_b]) = (parts(a), parts(b));
    natural_order(folder_a, folder_b).then_with(|| natural_order(name_a, name_b))
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io::Write as _};

    use image::RgbImage;

    use super::*;
    use crate::{geometry::Size, media::make_clip};

    /// A folder with images of these names, as wide as their places here, from 1.
    fn folder_of(images: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in images.iter().enumerate() {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(i as u32 + 1, 3).save(path).unwrap();
        }
        folder
    }

    fn write(path: &Path, bytes: &[u8]) {
        fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }

    fn paths(media: &[Medium]) -> Vec<&str> {
        media.iter().map(|medium| medium.path.as_str()).collect()
    }

    #[track_caller]
    fn check_refused(path: &Path, why: &str) {
        let Scan { media, refused, .. } =
            scan(&[path.to_owned()], Path::new("/"), &Sources::default(), &|_, _| true);
        assert_eq!((media, refused.len()), (vec![], 1));
        assert!(
            refused[0].contains(why) && refused[0].ends_with(&path.display().to_string()),
            "{}",
            refused[0]
        );
    }

    #[test]
    fn a_folder_s_images_are_ordered_by_folder_and_number() {
        let folder = folder_of(&[
            "b/1.png",
            "a10/1.png",
            "a9/2.jpg",
            "10.png",
            "9.PNG",
            "a9/.hidden.png",
            ".git/1.png",
        ]);
        for name in ["labels.json", "notes.txt", "a9/project.segue"] {
            write(&folder.path().join(name), b"text");
        }
        let Scan { media, refused, .. } =
            scan(&[folder.path().to_owned()], folder.path(), &Sources::default(), &|_, _| true);
        assert_eq!(paths(&media), ["9.PNG", "10.png", "a9/2.jpg", "a10/1.png", "b/1.png"]);
        assert_eq!(refused, Vec::<String>::new());
        assert_eq!(media[0].size, Size::new(5, 3));
        assert_eq!((media[0].kind, media[0].n_frames, media[0].done), (MediumKind::Image, 1, false));
    }

    #[test]
    fn what_cannot_be_taken_is_told_and_the_rest_is_taken() {
        let folder = folder_of(&["1.png"]);
        write(&folder.path().join("2.png"), b"no image");
        write(&folder.path().join("3.png"), b"");
        write(&folder.path().join("clip.MP4"), b"video");
        let Scan { media, refused, .. } =
            scan(&[folder.path().to_owned()], folder.path(), &Sources::default(), &|_, _| true);
        assert_eq!(paths(&media), ["1.png"]);
        assert_eq!(refused.len(), 3);

        let named = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            write(&path, bytes);
            path
        };
        check_refused(&named("clip.mp4", b"video"), "it is no image or video that Segue knows");
        check_refused(&named("labels.json", b"{}"), "if it holds labels, import them");
        check_refused(&named("4.png", b"no image"), "not an image file that Segue knows");
        check_refused(&named("project.segue", b""), "it is a Segue project");
        check_refused(&folder.path().join("none.png"), "cannot read file");
        let mut large = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\x80\0\0\0\x80\0\0\x01\0\x18\0".to_vec();
        large.resize(54, 0);
        check_refused(&named("large.bmp", &large), "32768x32768 pixels need more than 1 GiB");
    }

    #[test]
    fn images_without_suffix_and_of_odd_kinds_are_told() {
        let folder = folder_of(&["a.png"]);
        let at = |name: &str| folder.path().join(name);
        fs::rename(at("a.png"), at("image")).unwrap();
        image::GrayImage::new(3, 3).save(at("b.JPEG")).unwrap();
        image::ImageBuffer::from_pixel(3, 3, image::Luma([300_u16])).save(at("c.PNG")).unwrap();
        write(&at("Makefile"), b"all:");
        write(&at("d.NEF"), b"raw");
        write(&at("e.nef"), b"raw");
        let scan = scan(&[folder.path().to_owned()], folder.path(), &Sources::default(), &|_, _| true);
        assert_eq!(paths(&scan.media), ["b.JPEG", "c.PNG", "image"]);
        assert_eq!((scan.n_refused, scan.refused), (0, Vec::new()));
        assert_eq!(
            scan.remarks,
            [
                "2 NEF images are not added: Segue does not read NEF; convert them to JPEG, PNG or TIFF",
                "1 image has 16-bit, signed or float values, shown in 8 bits and scaled to the values present",
            ]
        );
    }

    #[test]
    fn a_folder_of_frames_survives_a_bad_one() {
        let folder = folder_of(&[]);
        for name in ["1.png", "2.png", "3.png"] {
            RgbImage::new(5, 4).save(folder.path().join(name)).unwrap();
        }
        write(&folder.path().join("2.png"), b"");
        let found = scan_frames(folder.path(), folder.path(), &Sources::default()).unwrap();
        assert_eq!((found.media[0].n_frames, found.media[0].size), (3, Size::new(5, 4)));
        let [remark] = &found.remarks[..] else { panic!("{:?}", found.remarks) };
        assert!(remark.starts_with(".: frame 1 is damaged: cannot read file: it is empty"), "{remark}");
    }

    #[test]
    fn videos_are_taken_whatever_they_are_called() {
        let folder = folder_of(&["1.png"]);
        let at = |name: &str| folder.path().join(name);
        make_clip(&at("clip.mp4"), 30);
        fs::copy(at("clip.mp4"), at("clip.bin")).unwrap();
        fs::copy(at("1.png"), at("image.mp4")).unwrap();
        let whole = fs::read(at("clip.mp4")).unwrap();
        write(&at("cut.mp4"), &whole[..whole.len() / 2]);
        let given = [folder.path().to_owned(), at("clip.bin")];
        let told = RefCell::new(Vec::new());
        let Scan { media, refused, .. } = scan(&given, folder.path(), &Sources::default(), &|done, _| {
            told.borrow_mut().push(done);
            true
        });
        assert_eq!(paths(&media), ["1.png", "clip.bin", "clip.mp4", "image.mp4"]);
        let kinds = [MediumKind::Image, MediumKind::Video, MediumKind::Video, MediumKind::Image];
        assert!(media.iter().map(|medium| medium.kind).eq(kinds));
        let clip = &media[2];
        assert_eq!((clip.n_frames, clip.size, clip.fps), (30, Size::new(96, 64), Some(25.0)));
        assert!(refused.len() == 1 && refused[0].ends_with("cut.mp4"), "{refused:?}");
        assert!(told.into_inner().ends_with(&[0, 2, 3, 4]), "a video may take long");
    }

    #[test]
    fn a_folder_of_frames_is_one_video() {
        let folder = tempfile::tempdir().unwrap();
        let frames = folder.path().join("frames");
        fs::create_dir(&frames).unwrap();
        for name in ["1.png", "2.png", "10.png"] {
            RgbImage::new(5, 3).save(frames.join(name)).unwrap();
        }
        let sources = Sources::default();
        let medium = scan_frames(&frames, folder.path(), &sources).unwrap().media.remove(0);
        assert_eq!((medium.path.as_str(), medium.kind), ("frames", MediumKind::Video));
        assert_eq!((medium.n_frames, medium.size, medium.fps), (3, Size::new(5, 3), Some(25.0)));
        assert_eq!(scan_frames(&frames, &frames, &sources).unwrap().media[0].path, ".");
        let none = scan_frames(folder.path(), folder.path(), &sources).unwrap_err();
        assert!(none.contains("it holds no images"), "{none}");
        let file = scan_frames(&frames.join("1.png"), folder.path(), &sources).unwrap_err();
        assert!(file.contains("it is not a folder"), "{file}");
    }

    #[test]
    fn moved_videos_and_folders_of_frames_are_found() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let make = |root: &Path| {
            fs::create_dir_all(root.join("frames")).unwrap();
            make_clip(&root.join("clip.mp4"), 20);
            for name in ["1.png", "2.png"] {
                RgbImage::new(5, 3).save(root.join("frames").join(name)).unwrap();
            }
        };
        make(old.path());
        make(&new.path().join("moved"));
        // Encoders write the same pixels differently.
        fs::copy(old.path().join("clip.mp4"), new.path().join("moved/clip.mp4")).unwrap();
        fs::create_dir_all(new.path().join("other/frames")).unwrap();
        make_clip(&new.path().join("other/clip.mp4"), 21);
        let sources = Sources::default();
        let mut media = scan(&[old.path().join("clip.mp4")], old.path(), &sources, &|_, _| true).media;
        media.extend(scan_frames(&old.path().join("frames"), old.path(), &sources).unwrap().media);
        for medium in &mut media {
            medium.content = Some(content_of(&old.path().join(&medium.path)).unwrap());
        }
        let locate = |media: &[Medium]| -> Vec<String> {
            let named = |(i, medium): (usize, &Medium)| (MediumId(i as u32), Arc::new(medium.clone()));
            let media: Vec<_> = media.iter().enumerate().map(named).collect();
            let located = locate(&media, new.path(), new.path(), &sources, &|_, _| true);
            located.into_iter().map(|(_, path)| path).collect()
        };
        assert_eq!(locate(&media), ["moved/clip.mp4", "moved/frames"]);
        media.iter_mut().for_each(|medium| medium.content = None);
        assert_eq!(locate(&media), Vec::<String>::new(), "either might be meant");
        fs::remove_dir_all(new.path().join("other/frames")).unwrap();
        fs::remove_file(new.path().join("moved/clip.mp4")).unwrap();
        assert_eq!(locate(&media), ["moved/frames"], "the other clip is longer");
    }

    #[test]
    fn no_file_is_taken_twice() {
        let folder = folder_of(&["a/1.png", "a/2.png"]);
        let at = |name: &str| folder.path().join(name);
        let given = [at("a"), at("a/1.png"), at("a/../a/2.png"), at("a")];
        let Scan { media, refused, .. } = scan(&given, folder.path(), &Sources::default(), &|_, _| true);
        assert_eq!((media.len(), refused), (2, vec![]));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_not_followed_for_ever() {
        let folder = folder_of(&["a/1.png"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a/2.png")).unwrap();
        let Scan { media, refused, .. } =
            scan(&[folder.path().to_owned()], folder.path(), &Sources::default(), &|_, _| true);
        assert_eq!((paths(&media), refused.len()), (vec!["a/1.png"], 1));
    }

    #[test]
    fn looking_ends_when_progress_says_so() {
        let folder = folder_of(&["1.png"]);
        let nothing =
            scan(&[folder.path().to_owned()], folder.path(), &Sources::default(), &|_, total| total == 0);
        assert_eq!(nothing, Scan::default());
    }

    /// Media as they were in `old`, which moved to `new`, by their new paths; with their contents known or not.
    fn relocated(old: &Path, new: &Path, knows_content: bool) -> Vec<String> {
        let media = scan(&[old.to_owned()], old, &Sources::default(), &|_, _| true).media;
        let identified = |(i, mut medium): (usize, Medium)| {
            medium.content = knows_content.then(|| content_of(&old.join(&medium.path)).unwrap());
            (MediumId(i as u32), Arc::new(medium))
        };
        let media: Vec<_> = media.into_iter().enumerate().map(identified).collect();
        let located = locate(&media, new, new, &Sources::default(), &|_, _| true);
        (0..media.len() as u32)
            .map(|i| located.iter().find(|(id, _)| id.0 == i).map_or(String::new(), |(_, path)| path.clone()))
            .collect()
    }

    #[test]
    fn files_of_known_content_are_found_wherever_they_are() {
        let old = folder_of(&["a/1.png", "b/1.png", "c/2.png"]);
        let new = folder_of(&["x/1.png", "y/z/1.png", "0.png", "unlike/2.png"]);
        assert_eq!(relocated(old.path(), new.path(), true), ["x/1.png", "y/z/1.png", ""]);
    }

    #[test]
    fn files_of_unknown_content_are_found_by_the_names_above_them() {
        let old = folder_of(&["a/1.png", "b/1.png", "c/3.png", "d/4.png"]);
        let new = folder_of(&["moved/a/1.png", "moved/b/1.png", "3.png", "0.png", "larger/4.png"]);
        assert_eq!(relocated(old.path(), new.path(), false), ["moved/a/1.png", "moved/b/1.png", "3.png", ""]);
    }

    #[test]
    fn files_that_might_be_another_s_are_not_taken() {
        let old = folder_of(&["a/1.png", "b/1.png"]);
        let new = folder_of(&["c/1.png"]);
        assert_eq!(relocated(old.path(), new.path(), false), ["", ""]);
        let new = folder_of(&["a/1.png"]);
        assert_eq!(relocated(old.path(), new.path(), false), ["a/1.png", ""]);
    }
}
