//! The paths of media within an export: below one folder, and none of them twice.

use std::collections::{BTreeMap, HashSet};

use super::{
    Format,
    paths::{composed, resolved, without_suffix},
};
use crate::project::{MediumId, MediumKind, Project};

/// A path for each medium of a project. It is the medium's own if it is free, or else gets a number.
///
/// No two are the same without their suffixes, since label files and masks are named by them; neither case nor composition
/// of Unicode count, as on Windows and macOS. Nothing but a video's own frames lies in the folder that is called like it.
pub(super) fn names(project: &Project, format: &Format) -> BTreeMap<MediumId, String> {
    let wanted = |path: &str| within_folder(path, format.reserved_folders);
    let mut taken = Taken::default();
    let mut names = BTreeMap::new();
    // Photos first, so that the folders are known in which a video's frames must not lie.
    for kind in [MediumKind::Image, MediumKind::Video] {
        let mut doubles = Vec::new();
        for (id, medium) in project.media.iter().filter(|(_, medium)| medium.kind == kind) {
            let name = wanted(&medium.path);
            match taken.take(&name, kind) {
                true => drop(names.insert(*id, name)),
                false => doubles.push((*id, name)),
            }
        }
        for (id, name) in doubles {
            // Among the frames of another video, no number would make it free.
            let name = if taken.is_among_frames(&name) { name.replace('/', "-") } else { name };
            let (stem, suffix) = name.split_at(without_suffix(&name).len());
            let numbered = (2_u64..).map(|n| format!("{stem}-{n}{suffix}"));
            let free = std::iter::once(name.clone()).chain(numbered).find(|name| taken.take(name, kind));
            names.extend(free.map(|name| (id, name)));
        }
    }
    names
}

/// A path below a folder: without drives, steps up, characters that no file can have everywhere, and folders that mean
/// something to the format.
fn within_folder(path: &str, reserved: &[&str]) -> String {
    let path = resolved(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "..").collect();
    let n = parts.len();
    let kept = parts.into_iter().enumerate().filter(|(i, part)| {
        let is_drive = *i == 0 && part.len() == 2 && part.ends_with(':');
        let is_file = i + 1 == n;
        is_file || !is_drive && !reserved.contains(part)
    });
    let name = kept.map(|(_, part)| portable(part)).collect::<Vec<String>>().join("/");
    if name.is_empty() { "medium".to_owned() } else { name }
}

/// Returns a name that files can have on Windows, too; see [Naming Files, Paths, and
/// Namespaces](https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
fn portable(name: &str) -> String {
    let plain = |c: char| if c.is_control() || r#"<>:"|?*"#.contains(c) { '_' } else { c };
    let mut name: String = name.chars().map(plain).collect();
    // Folders may be called like a name without its suffix.
    let stem = without_suffix(&name);
    if stem.ends_with(['.', ' ']) {
        name.insert(stem.len(), '_');
    }
    if name.ends_with(['.', ' ']) {
        name.push('_');
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let is_port = |kind| {
        stem.strip_prefix(kind).is_some_and(|n| {
            matches!(n, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "\u{b9}" | "\u{b2}" | "\u{b3}")
        })
    };
    let is_device = ["con", "prn", "aux", "nul"].contains(&&*stem) || is_port("com") || is_port("lpt");
    if is_device { format!("_{name}") } else { name }
}

/// Returns what two paths have in common that are one file on Windows or macOS.
fn key(path: &str) -> String {
    composed(path).to_lowercase()
}

/// Paths that are taken, by their keys and without suffixes.
#[derive(Default)]
struct Taken {
    stems: HashSet<String>,
    folders: HashSet<String>,
    /// The folders of videos' frames.
    videos: HashSet<String>,
}

impl Taken {
    /// True if a path lies in the folder of a video's frames.
    fn is_among_frames(&self, name: &str) -> bool {
        let name = key(name);
        name.match_indices('/').any(|(at, _)| self.videos.contains(&name[..at]))
    }

    /// Takes a path if it is free.
    fn take(&mut self, name: &str, kind: MediumKind) -> bool {
        let stem = key(without_suffix(name));
        let above: Vec<&str> = stem.match_indices('/').map(|(at, _)| &stem[..at]).collect();
        let is_free = !self.stems.contains(&stem)
            && !self.is_among_frames(name)
            && (kind == MediumKind::Image || !self.folders.contains(&stem));
        if is_free {
            self.folders.extend(above.into_iter().map(str::to_owned));
            if kind == MediumKind::Video {
                self.videos.insert(stem.clone());
            }
            self.stems.insert(stem);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::formats::{coco, tests::medium, yolo};

    fn named(paths: &[(&str, usize)], format: &Format) -> Vec<String> {
        let media = (1..).map(MediumId).zip(paths.iter().map(|(path, n_frames)| medium(path, *n_frames)));
        names(&Project { media: media.collect(), ..Project::default() }, format).into_values().collect()
    }

    #[test]
    fn names_that_are_free_are_kept() {
        let paths = [("a/1.jpg", 1), ("a/1.png", 1), ("a/1-2.png", 1), ("A/1.tif", 1)];
        assert_eq!(named(&paths, &coco::INSTANCES), ["a/1.jpg", "a/1-3.png", "a/1-2.png", "A/1-4.tif"]);
        let paths = [("cafe\u{301}.jpg", 1), ("caf\u{e9}.jpg", 1)];
        assert_eq!(named(&paths, &coco::INSTANCES), ["cafe\u{301}.jpg", "caf\u{e9}-2.jpg"]);
        let paths = [("../x.jpg", 1), ("x.jpg", 1), ("C:\\x.jpg", 1), ("/d/x:y.jpg", 1)];
        assert_eq!(named(&paths, &coco::INSTANCES), ["x.jpg", "x-2.jpg", "x-3.jpg", "d/x_y.jpg"]);
        let paths = [("con.jpg", 1), ("LPT1", 1), ("d. /x.", 1), ("com10.png", 1), ("_con.tif", 1)];
        assert_eq!(named(&[("end..jpg", 1)], &coco::INSTANCES), ["end._.jpg"]);
        let portable = ["_con.jpg", "_LPT1", "d. _/x._", "com10.png", "_con-2.tif"];
        assert_eq!(named(&paths, &coco::INSTANCES), portable);
    }

    #[test]
    fn photos_do_not_lie_among_the_frames_of_a_video() {
        let paths = [("clip.mp4", 9), ("clip/000003.jpg", 1), ("Clip.png", 1)];
        assert_eq!(named(&paths, &coco::INSTANCES), ["clip-2.mp4", "clip/000003.jpg", "Clip.png"]);
    }

    #[test]
    fn yolo_paths_have_no_folder_that_trainers_replace() {
        let paths = [("images/a.jpg", 1), ("labels/images/a.jpg", 1), ("train/images", 1)];
        assert_eq!(named(&paths, &yolo::DETECTION), ["a.jpg", "a-2.jpg", "train/images"]);
    }

    proptest! {
        #[test]
        fn names_never_collide(paths in prop::collection::vec(("[aA1./\\\\-]{1,8}", 1..3_usize), 1..12)) {
            let media = (1..).map(MediumId).zip(paths.iter().map(|(path, n_frames)| medium(path, *n_frames)));
            let project = Project { media: media.collect::<imbl::OrdMap<MediumId, Arc<_>>>(), ..Project::default() };
            let names = names(&project, &coco::INSTANCES);
            prop_assert_eq!(names.len(), project.media.len());
            let mut files: Vec<String> = Vec::new();
            for (id, name) in &names {
                let stem = without_suffix(name).to_lowercase();
                match project.media[id].kind {
                    MediumKind::Image => files.push(stem),
                    MediumKind::Video => files.extend((0..2).map(|frame| format!("{stem}/{frame:06}"))),
                }
            }
            let n = files.len();
            files.sort();
            files.dedup();
            prop_assert_eq!(files.len(), n);
        }
    }
}
