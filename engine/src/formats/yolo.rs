//! YOLO as Ultralytics reads it: a text file an image, a line an object, coordinates as shares of the image's sides.
//!
//! Detection has `class x y width height` (of the box's middle), segmentation `class x y x y …`, oriented boxes four corners.

mod corners;
mod layout;
mod read;

use std::{io::Write as _, path::Path};

use super::{
    Carries, Files, Format, FormatError, Frame, Label, Masks, Output, Read, Selection, Shape, Splits,
    counted, polygon, recognize::Recognize, report::Loss,
};
use crate::{
    file::has_suffix,
    geometry::{Point, Size},
};

pub(super) use corners::corners;

/// Boxes.
pub const DETECTION: Format = Format {
    name: "yolo",
    title: "YOLO detection",
    is_of_videos: false,
    carries: Carries { masks: Masks::None, ..PLAIN },
    reserved_folders: &["images", "labels"],
    usual_files: Files::Link,
    write: |selection, output| write(selection, output, "detect", &detection),
    read: Some(Read {
        recognize: Recognize::Folder(|path, texts| read::task(path, texts) == Some("detect")),
        together: true,
        read: read::read,
    }),
};

/// Polygons.
pub const SEGMENTATION: Format = Format {
    name: "yolo-segment",
    title: "YOLO segmentation",
    is_of_videos: false,
    carries: Carries { masks: Masks::Polygons, boxes: false, ..PLAIN },
    reserved_folders: &["images", "labels"],
    usual_files: Files::Link,
    write: |selection, output| write(selection, output, "segment", &segmentation),
    read: Some(Read {
        recognize: Recognize::Folder(|path, texts| read::task(path, texts) == Some("segment")),
        together: true,
        read: read::read,
    }),
};

/// Boxes that may be turned.
pub const ORIENTED: Format = Format {
    name: "yolo-obb",
    title: "YOLO oriented boxes",
    is_of_videos: false,
    carries: Carries { masks: Masks::None, ..PLAIN },
    reserved_folders: &["images", "labels"],
    usual_files: Files::Link,
    write: |selection, output| write(selection, output, "obb", &oriented),
    read: Some(Read {
        recognize: Recognize::Folder(|path, texts| read::task(path, texts) == Some("obb")),
        together: true,
        read: read::read_oriented,
    }),
};

const PLAIN: Carries = Carries { tracks: false, attributes: false, ..Carries::ALL };

/// The coordinates of an object, in pixels.
type Coordinates = dyn Fn(&Label<'_>, Size, &mut Output<'_>, f32) -> Vec<f32>;

fn write(
    selection: &Selection<'_>,
    output: &mut Output<'_>,
    task: &str,
    coordinates: &Coordinates,
) -> Result<(), FormatError> {
    let parts = selection.parts();
    for (part, frames) in &parts {
        let part = part.unwrap_or(Splits::NAMES[0]);
        for frame in frames {
            let suffix = suffix(selection, frame);
            output.place(selection, frame, &format!("images/{part}/{}{suffix}", selection.stem(frame)));
            let mut lines = Vec::new();
            for label in selection.labels(frame) {
                output.step()?;
                let (size, tolerance) = (frame.medium.size, selection.options.tolerance);
                lines.push(line(label, frame, &coordinates(label, size, output, tolerance)));
            }
            let name = format!("labels/{part}/{}.txt", selection.stem(frame));
            output.write(&name, |out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))?;
            output.step()?;
        }
    }
    if selection.options.splits.is_none() {
        output
            .report
            .notes
            .push("split: all images are in train, which val names too; divide them with --split".to_owned());
    }
    note_unread(selection, output);
    let names: Vec<&str> = parts.iter().map(|(part, _)| part.unwrap_or(Splits::NAMES[0])).collect();
    output.write("data.yaml", |out| {
        // Without a path, Ultralytics looks beside this file.
        writeln!(out, "task: {task}")?;
        // Ultralytics wants both, whatever there is.
        for part in Splits::NAMES {
            let there = if names.contains(&part) { part } else { names.first().copied().unwrap_or(part) };
            if names.contains(&part) || part != Splits::NAMES[2] {
                writeln!(out, "{part}: images/{there}")?;
            }
        }
        writeln!(out, "names:")?;
        for (i, kind) in selection.categories.iter().enumerate() {
            // JSON's texts are YAML's.
            writeln!(out, "  {i}: {}", serde_json::Value::from(&*kind.category.name))?;
        }
        Ok(())
    })
}

/// Notes images that trainers leave out because of their names; see `IMG_FORMATS` of Ultralytics, whose later versions read
/// a few more.
fn note_unread(selection: &Selection<'_>, output: &mut Output<'_>) {
    const READ: [&str; 11] =
        ["bmp", "dng", "heic", "jpeg", "jpg", "mpo", "pfm", "png", "tif", "tiff", "webp"];
    let is_read = |frame: &Frame<'_>| has_suffix(Path::new(&selection.name_in_export(frame)), &READ);
    let n = selection.frames.iter().filter(|frame| !is_read(frame)).count();
    if n > 0 && selection.files() != Files::Leave {
        let images = counted(n, "image");
        output.report.notes.push(format!(
            "{images} of a kind that not all versions of Ultralytics read, such as GIF or AVIF; convert to PNG to train with all"
        ));
    }
}

fn suffix(selection: &Selection<'_>, frame: &Frame<'_>) -> String {
    let (name, stem) = (selection.name_in_export(frame), selection.stem(frame));
    name[stem.len()..].to_owned()
}

fn line(label: &Label<'_>, frame: &Frame<'_>, coordinates: &[f32]) -> String {
    let sides = [frame.medium.size.width as f32, frame.medium.size.height as f32];
    let shares = coordinates.iter().zip(sides.iter().cycle()).map(|(v, side)| format!(" {}", v / side));
    // As `save_conf` of Ultralytics does.
    let score = label.score.map_or_else(String::new, |score| format!(" {score}"));
    format!("{}{}{score}", label.category, shares.collect::<String>())
}

fn detection(label: &Label<'_>, _: Size, _: &mut Output<'_>, _: f32) -> Vec<f32> {
    let rect = label.shape.rect();
    let (width, height) = (rect.x1 - rect.x0, rect.y1 - rect.y0);
    vec![rect.x0 + width / 2.0, rect.y0 + height / 2.0, width, height]
}

fn segmentation(label: &Label<'_>, _: Size, output: &mut Output<'_>, tolerance: f32) -> Vec<f32> {
    let Shape::Mask(mask) = &label.shape else { return Vec::new() };
    let (polygon, iou) = polygon::drawn_for_opencv(mask, tolerance);
    output.report.polygon(iou);
    polygon
}

fn oriented(label: &Label<'_>, size: Size, output: &mut Output<'_>, _: f32) -> Vec<f32> {
    // Ultralytics drops an image with a corner that lies outside.
    let within = |value: f32, side: usize| value.clamp(0.0, side as f32);
    let corners = corners(&label.shape);
    let clipped = corners.map(|Point { x, y }| Point { x: within(x, size.width), y: within(y, size.height) });
    output.report.lose(Loss::Corners, usize::from(clipped != corners));
    clipped.into_iter().flat_map(|corner| [corner.x, corner.y]).collect()
}

/// The path of an image without the folders that the layout of a data set adds.
fn bare_name(path: &str) -> String {
    const LAYOUT: [&str; 4] = ["labels", "images", "obj_train_data", "obj_valid_data"];
    let mut rest = path;
    while let Some((_, inner)) = rest.split_once('/').filter(|(folder, _)| LAYOUT.contains(folder)) {
        rest = inner;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, sync::Arc};

    use crate::{
        file::write_atomically,
        formats::{Files, ImageFiles, Options, Reading, Shape, Splits, named, recognize, tests::media},
        geometry::Rect,
        project::{Category, CategoryId, MediumId, Object, ObjectId, Segment},
    };

    #[test]
    fn a_box_is_its_middle_and_its_sides_as_shares() {
        let mut project = media();
        for (id, name) in [(3, "cat"), (7, "dog: \"a\"")] {
            project.categories.insert(CategoryId(id), Arc::new(Category::new(name, [0; 3])));
        }
        project.objects.insert((MediumId(1), ObjectId(1)), Arc::new(Object::new(CategoryId(7))));
        let rect = Rect { x0: 0.0, y0: 0.0, x1: 4.5, y1: 3.5 };
        project.segments.insert((ObjectId(1), 0), Arc::new(Segment::boxed(rect)));
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let options = Options { files: Some(Files::Leave), ..Options::default() };
        named("yolo")
            .unwrap()
            .export(&project, &ImageFiles::of_project(folder.path()), &options, &target, &|_, _| true)
            .unwrap();
        let read = |name: &str| fs::read_to_string(target.join(name)).unwrap();
        assert_eq!(read("labels/train/a/1.txt"), "1 0.25 0.25 0.5 0.5\n");
        assert_eq!(read("labels/train/a/2.txt"), "");
        let want = "task: detect\ntrain: images/train\nval: images/train\nnames:\n  0: \"cat\"\n  1: \"dog: \\\"a\\\"\"\n";
        assert_eq!(read("data.yaml"), want);
        let splits = Some(Splits { shares: [1.0, 1.0, 1.0], seed: 1 });
        let options = Options { splits, ..options };
        named("yolo")
            .unwrap()
            .export(&project, &ImageFiles::of_project(folder.path()), &options, &target, &|_, _| true)
            .unwrap();
        assert!(read("data.yaml").contains("test: images/test"));
    }

    #[test]
    fn folders_as_roboflow_and_labelimg_make_them_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_atomically(&path, |out| out.write_all(text.as_bytes())).unwrap();
        };
        let photo = |name: &str| image::RgbImage::new(8, 4).save(folder.path().join(name)).unwrap();
        write("roboflow/data.yaml", "train: ../train/images\nnc: 2\nnames: ['cat', 'dog']\n");
        write("roboflow/README.roboflow.txt", "Not a label.");
        for part in ["train", "valid"] {
            write(&format!("roboflow/{part}/labels/{part}_1.txt"), "1 0.5 0.5 0.5 0.5\n");
            fs::create_dir(folder.path().join(format!("roboflow/{part}/images"))).unwrap();
            photo(&format!("roboflow/{part}/images/{part}_1.png"));
        }
        write("labelimg/classes.txt", "cat\ndog\n");
        write("labelimg/a.txt", "1 0.5 0.5 0.5 0.5\n");
        photo("labelimg/a.png");
        for (name, images) in [
            ("roboflow", &["train/images/train_1.png", "valid/images/valid_1.png"][..]),
            ("labelimg", &["a.png"]),
        ] {
            let path = folder.path().join(name);
            let format = recognize(&Reading::new(&path)).unwrap().format;
            assert_eq!(format.name, "yolo");
            let reading = Reading::new(&path).with_checks();
            let dataset = format.import(&reading).unwrap();
            assert!(dataset.refused.is_empty(), "{}", dataset.refused);
            let names: Vec<&str> =
                dataset.images.iter().filter_map(|image| image.file_name.as_deref()).collect();
            assert_eq!(names, images);
            let rect = Rect { x0: 2.0, y0: 1.0, x1: 6.0, y1: 3.0 };
            assert!(dataset.annotations.iter().all(|one| one.shape == Shape::Box(rect)));
            assert_eq!(dataset.categories[1].name.as_deref(), Some("dog"));
        }
    }

    #[test]
    fn lines_that_all_have_four_corners_are_turned_boxes_if_nothing_says_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            write_atomically(&folder.path().join(name), |out| out.write_all(text.as_bytes())).unwrap();
        };
        write("data.yaml", "nc: 1\nnames: ['cat']\n");
        write("a.txt", "0 0.1 0.1 0.4 0.2 0.3 0.5 0 0.4\n\n");
        assert_eq!(recognize(&Reading::new(folder.path())).unwrap().format.name, "yolo-obb");
        write("b.txt", "0 0.1 0.1 0.4 0.2 0.3 0.5\n");
        assert_eq!(recognize(&Reading::new(folder.path())).unwrap().format.name, "yolo-segment");
    }
}
