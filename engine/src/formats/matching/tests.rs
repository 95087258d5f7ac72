//! Tests of finding the media of images.

use std::fs;

use super::*;
use crate::{
    formats::{
        Id,
        tests::{SIZE, media, put},
    },
    project::{Category, CategoryId, Medium},
};

fn image(file_name: &str, frame: Option<(usize, usize)>) -> Image {
    Image { id: Id::Number(0), file_name: Some(file_name.to_owned()), size: Some(SIZE), frame }
}

fn dataset(images: Vec<Image>) -> Dataset {
    Dataset { images, videos: vec!["e.mp4".to_owned(), "seq".to_owned()], ..Dataset::default() }
}

fn find(project: &Project, folder: &Path, images: Vec<Image>) -> Vec<Option<(u32, usize)>> {
    let places = places(&dataset(images), project, folder, &mut Taken::default());
    places.into_iter().map(|place| place.map(|place| (place.at.medium.0, place.at.frame))).collect()
}

/// The media that images of these names are.
fn found<const N: usize>(file_names: [&str; N]) -> [Option<u32>; N] {
    let images = file_names.map(|name| image(name, None)).to_vec();
    let found = find(&media(), Path::new(""), images);
    std::array::from_fn(|i| found[i].map(|(medium, _)| medium))
}

#[test]
fn images_are_found_by_the_end_of_their_paths() {
    assert_eq!(found(["a/1.jpg", "b/1.jpg", "a/2.jpg"]), [Some(1), Some(3), Some(2)]);
    assert_eq!(found(["/data/b/1.jpg", "2.jpg"]), [Some(3), Some(2)]);
    assert_eq!(found(["C:\\data\\b\\1.jpg", "c/2.jpg"]), [Some(3), Some(2)]);
    assert_eq!(found(["x/a/./q/../1.JPG", "a/2"]), [Some(1), Some(2)]);
    assert_eq!(found(["a/%32.jpg", "b/0001.jpg"]), [Some(2), Some(3)]);
    // Either could be meant; a video is no photo; another suffix is another file.
    assert_eq!(found(["1.jpg", "a/1.png", "3.jpg", "", "e.mp4"]), [None; 5]);
    // Nobody else gets an image whose own path is in the file.
    assert_eq!(found(["a/2.jpg", "z/2.jpg"]), [Some(2), None]);
    assert_eq!(found(["y/2.jpg", "z/2.jpg"]), [None, None]);
}

#[test]
fn ambiguous_names_are_found_below_the_folder_of_the_others() {
    let mut project = Project::default();
    for (id, path) in [(1, "im/1.jpg"), (2, "im/a/1.jpg"), (3, "im/b/1.jpg")] {
        let medium = Medium { path: path.to_owned(), ..(*media().media[&MediumId(2)]).clone() };
        project.media.insert(MediumId(id), medium.into());
    }
    let find = |names: [&str; 2]| {
        let images = names.map(|name| image(name, None)).to_vec();
        find(&project, Path::new(""), images)
            .into_iter()
            .map(|place| place.map(|(id, _)| id))
            .collect::<Vec<_>>()
    };
    assert_eq!(find(["1.jpg", "im/a/1.jpg"]), [None, Some(2)]);
    assert_eq!(find(["1.jpg", "a/1.jpg"]), [Some(1), Some(2)]);
}

#[test]
fn ids_are_names_or_those_of_an_export() {
    let by_id = |id: &str| Image { id: Id::of(id), file_name: None, size: None, frame: None };
    let find = |paths: &[&str], ids: &[&str]| {
        let mut project = Project::default();
        project.categories.insert(CategoryId(1), Category::new("cat", [1, 2, 3]).into());
        for (id, path) in (1..).zip(paths) {
            let medium = Medium { path: (*path).to_owned(), ..(*media().media[&MediumId(2)]).clone() };
            project.media.insert(MediumId(id), medium.into());
        }
        let images = ids.iter().map(|id| by_id(id)).collect();
        let found = find(&project, Path::new(""), images).into_iter();
        found.map(|place| place.map(|(id, _)| id)).collect::<Vec<_>>()
    };
    let zero = ["im/000000.jpg", "im/000001.jpg", "im/000002.jpg"];
    assert_eq!(find(&zero, &["0", "1", "2"]), [Some(1), Some(2), Some(3)]);
    assert_eq!(find(&["x.jpg", "im7.jpg"], &["im7", "x"]), [Some(2), Some(1)]);
    assert_eq!(find(&["7.jpg"], &["7"]), [Some(1)]);
    assert_eq!(find(&["x.jpg", "y.jpg"], &["2", "1"]), [Some(2), Some(1)], "as an export has them");
    assert_eq!(find(&["2.jpg", "1.jpg"], &["2", "1"]), [None, None], "either may be meant");
}

#[test]
fn composed_and_decomposed_names_agree() {
    let mut project = media();
    let mut medium = (*project.media[&MediumId(2)]).clone();
    medium.path = "a/Mu\u{308}ll.jpg".to_owned();
    project.media.insert(MediumId(2), medium.into());
    let images = vec![image("a/M\u{fc}ll.jpg", None), image("x/m\u{fc}ll", None)];
    assert_eq!(find(&project, Path::new(""), images), [Some((2, 0)), None]);
}

#[test]
fn extracted_frames_are_those_of_the_video() {
    let find = |names: [&str; 3]| {
        let images = names.map(|name| image(name, None)).to_vec();
        let found = find(&media(), Path::new(""), images).into_iter();
        found.map(|place| place.map(|(_, frame)| frame)).collect::<Vec<_>>()
    };
    assert_eq!(find(["e/000003.jpg", "c.d/e/frame_7.png", "x/e_000012.jpg"]), [Some(3), Some(7), Some(12)]);
    assert_eq!(find(["e/000021.jpg", "f/000003.jpg", "e_000019.jpg"]), [None, None, Some(19)]);
    // The video has 20 frames.
    assert_eq!(find(["e/000020.jpg", "e/000001.jpg", "e/000002.jpg"]), [Some(19), Some(0), Some(1)]);
    assert_eq!(find(["e/000020.jpg", "e/000000.jpg", "e/000019.jpg"]), [None, Some(0), Some(19)]);
    assert_eq!(find(["e/000020.jpg", "e/000001.jpg", "e/000021.jpg"]), [None, Some(1), None]);
    // As Ultralytics names the labels of a video, and not if there is a frame 0.
    assert_eq!(find(["labels/e_1", "labels/e_12", "labels/e_21"]), [Some(0), Some(11), None]);
    assert_eq!(find(["labels/e_0", "labels/e_12", "labels/e_20"]), [Some(0), Some(12), None]);
}

#[test]
fn frames_are_found_in_a_folder_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("seq/img1");
    fs::create_dir_all(&frames).unwrap();
    for number in [1, 2, 4] {
        put(&frames.join(format!("{number:06}.jpg")), "");
    }
    let mut project = media();
    let mut medium = (*project.media[&MediumId(4)]).clone();
    (medium.path, medium.n_frames) = ("seq/img1".to_owned(), 3);
    project.media.insert(MediumId(9), medium.into());
    let named = |number: usize| image(&format!("seq/img1/{number:06}.jpg"), Some((1, number - 1)));
    let unnamed = Image { file_name: None, ..image("", Some((1, 1))) };
    let images = vec![named(1), named(4), named(3), unnamed, image("img1/2.png", None)];
    let want = [Some((9, 0)), Some((9, 2)), None, Some((9, 1)), Some((9, 1))];
    assert_eq!(find(&project, folder.path(), images), want);
}

#[test]
fn frame_that_its_folder_lacks_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("clip");
    fs::create_dir_all(&frames).unwrap();
    for number in 3..=7 {
        put(&frames.join(format!("{number:06}.jpg")), "");
    }
    let mut project = media();
    let mut medium = (*project.media[&MediumId(4)]).clone();
    (medium.path, medium.n_frames) = ("clip".to_owned(), 5);
    project.media.insert(MediumId(9), medium.into());
    let frame = |name: &str, position: usize| image(&format!("clip/{name}.jpg"), Some((1, position)));
    let images = vec![frame("000001", 0), frame("000004", 3), frame("00004", 3)];
    assert_eq!(find(&project, folder.path(), images), [None, Some((9, 1)), Some((9, 1))]);
}

#[test]
fn frames_called_otherwise_are_found_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("clip");
    fs::create_dir_all(&frames).unwrap();
    for number in 1..=5 {
        put(&frames.join(format!("{number:06}.jpg")), "");
    }
    let mut project = media();
    let mut medium = (*project.media[&MediumId(4)]).clone();
    (medium.path, medium.n_frames) = ("clip".to_owned(), 5);
    project.media.insert(MediumId(9), medium.into());
    let frame = |frame: usize| image(&format!("clip/frame_{frame:06}"), Some((1, frame)));
    let images = vec![frame(0), frame(4), frame(5), image("clip/frame_000001", None)];
    assert_eq!(find(&project, folder.path(), images), [Some((9, 0)), Some((9, 4)), None, Some((9, 0))]);
}

#[test]
fn frames_are_positions_in_a_video_file() {
    let mut taken = Taken::default();
    let images = vec![image("e/img1/000004.jpg", Some((0, 3))), image("e/img1/000021.jpg", Some((0, 20)))];
    let places = places(&dataset(images), &media(), Path::new(""), &mut taken);
    assert_eq!(places[0].unwrap().at, FrameId { medium: MediumId(4), frame: 3 });
    assert!(
        places[1].is_none()
            && taken.refused.sentences()[0].contains("its video ends before it, after 20 frames")
    );
}
