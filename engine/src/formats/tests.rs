//! What holds for every format: what is written and read again is what it was, but for what the report says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    file::{StagingError, write_atomically},
    mask::{Mask, Rle, testing::picture},
    project::{self, CategoryId, Medium, MediumId, MediumKind, Object, ObjectId, Segment},
};

pub(super) const SIZE: Size = Size::new(9, 7);

/// Writes a file of a test.
pub(super) fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    write_atomically(path, |out| out.write_all(bytes.as_ref())).unwrap();
}

pub(super) fn medium(path: &str, n_frames: usize) -> Arc<Medium> {
    let kind = if n_frames > 1 { MediumKind::Video } else { MediumKind::Image };
    let path = path.to_owned();
    Arc::new(Medium { path, kind, size: SIZE, n_frames, fps: Some(25.0), content: None, done: false })
}

/// Photos in two folders and a video, nothing labeled.
pub(super) fn media() -> Project {
    let media = [("a/1.jpg", 1), ("a/2.jpg", 1), ("b/1.jpg", 1), ("clips/c.d/e.mp4", 20)];
    let media = (1..).zip(media).map(|(id, (path, n_frames))| (MediumId(id), medium(path, n_frames)));
    Project { media: media.collect(), ..Project::default() }
}

fn segments() -> impl Strategy<Value = Segment> {
    let bits = prop::collection::vec(any::<bool>(), SIZE.area());
    let mask = bits.prop_filter("not empty", |bits| bits.contains(&true));
    let mask = mask.prop_map(|bits| Segment::by_hand(Rle::encode(&Mask::new(SIZE, bits))));
    let rect = (0.0..8.0_f32, 0.0..6.0_f32, 0.01..1.0_f32, 0.01..1.0_f32);
    let rect = rect.prop_map(|(x0, y0, dx, dy)| Segment::boxed(Rect { x0, y0, x1: x0 + dx, y1: y0 + dy }));
    prop_oneof![mask, rect]
}

/// Media, with objects of categories whose names are of such characters, and attributes of any.
fn projects() -> impl Strategy<Value = Project> {
    let category = ("[a-zA-Zäö <&\"\\\\]{1,5}", any::<[u8; 3]>(), "[a-z]{0,3}");
    let categories = prop::collection::btree_map(0..90_u32, category, 1..5);
    let object = (
        0..4_usize,
        any::<prop::sample::Index>(),
        prop::collection::btree_map("[^\\x00-\\x1f]{1,4}", "[^\\x00-\\x1f]{0,4}", 0..3),
        prop::collection::btree_map(0..20_usize, segments(), 1..4),
    );
    (categories, prop::collection::vec(object, 1..8)).prop_map(|(categories, objects)| {
        let mut project = media();
        for (id, (name, color, supercategory)) in categories {
            let category = project::Category::new(&format!("{}{id}", name.trim_start()), color);
            let category = project::Category { supercategory, ..category };
            project.categories.insert(CategoryId(id), Arc::new(category));
        }
        let ids: Vec<CategoryId> = project.categories.keys().copied().collect();
        for (id, (medium, category, attributes, segments)) in (3..).map(ObjectId).zip(objects) {
            let medium = MediumId(medium as u32 + 1);
            let object = Object { category: *category.get(&ids), proposal: None, attributes };
            project.objects.insert((medium, id), Arc::new(object));
            let one = if project.media[&medium].n_frames > 1 { segments.len() } else { 1 };
            for (frame, segment) in segments.into_iter().take(one) {
                let frame = if one > 1 { frame } else { 0 };
                project.segments.insert((id, frame), Arc::new(segment));
            }
        }
        project
    })
}

/// With polygons that are their masks.
fn exact() -> Options {
    Options { tolerance: 0.0, ..Options::default() }
}

fn go_on(_: usize, _: usize) -> bool {
    true
}

fn read(format: &Format, path: &Path, project: &Project) -> Result<Dataset, FormatError> {
    format.import(&Reading::new(path).with_sizes(&Sizes::of_project(project)).with_checks())
}

/// What is said of one object on one frame.
#[derive(Clone, Debug)]
struct Told {
    at: (MediumId, usize),
    category: String,
    shape: Shape,
    attributes: BTreeMap<String, String>,
    /// The frames of its object.
    frames: BTreeSet<usize>,
}

/// All that a project says, as far as a format can carry it.
fn told(project: &Project, format: &Format) -> Vec<Told> {
    let carries = format.carries;
    let mut told: Vec<(ObjectId, Told)> = Vec::new();
    for (&(medium, id), object) in &project.objects {
        if format.is_of_videos && project.media[&medium].n_frames == 1 {
            continue;
        }
        for (frame, segment) in project.track(id) {
            let shape = match (&segment.mask, segment.rect) {
                (Some(mask), _) => Shape::Mask(mask.clone()),
                (None, rect) => Shape::Box(rect.unwrap()),
            };
            let shape = match shape {
                Shape::Mask(_) if *format == yolo::ORIENTED => Shape::Box(round(yolo::corners(&shape))),
                shape if carries.masks == Masks::None => Shape::Box(shape.rect()),
                shape => shape,
            };
            if carries.boxes || matches!(shape, Shape::Mask(_)) {
                let name =
                    if carries.categories { &*project.categories[&object.category].name } else { "object" };
                let attributes = if carries.attributes { object.attributes.clone() } else { BTreeMap::new() };
                let (at, category) = ((medium, frame), name.to_owned());
                told.push((id, Told { at, category, shape, attributes, frames: BTreeSet::new() }));
            }
        }
    }
    told.sort_by_key(|(id, told)| (told.at, *id));
    if !carries.overlaps {
        let whole: Vec<Rect> = told.iter().map(|(_, told)| told.shape.rect()).collect();
        // Later objects lie on top.
        for i in 0..told.len() {
            let above: Vec<Shape> = told[i + 1..]
                .iter()
                .filter(|(_, o)| o.at == told[i].1.at)
                .map(|(_, o)| o.shape.clone())
                .collect();
            let Shape::Mask(mask) = &mut told[i].1.shape else { continue };
            for other in above {
                if let Shape::Mask(other) = other {
                    *mask = Arc::new(mask.subtract(&other));
                }
            }
        }
        // Of what is covered its box is left, where there can be boxes.
        for ((_, told), whole) in told.iter_mut().zip(whole) {
            if carries.boxes && matches!(&told.shape, Shape::Mask(mask) if mask.is_empty()) {
                told.shape = Shape::Box(whole);
            }
        }
        told.retain(|(_, told)| !matches!(&told.shape, Shape::Mask(mask) if mask.is_empty()));
    }
    if !carries.objects {
        let mut merged: Vec<(ObjectId, Told)> = Vec::new();
        for (id, one) in told {
            let known =
                merged.iter_mut().find(|(_, other)| (other.at, &other.category) == (one.at, &one.category));
            match (known.map(|(_, known)| &mut known.shape), &one.shape) {
                (Some(Shape::Mask(all)), Shape::Mask(mask)) => *all = Arc::new(all.union(mask)),
                _ => merged.push((id, one)),
            }
        }
        told = merged;
    }
    let frames = |id: ObjectId| told.iter().filter(|(of, _)| *of == id).map(|(_, told)| told.at.1).collect();
    let all: Vec<BTreeSet<usize>> = told.iter().map(|(id, _)| frames(*id)).collect();
    let with_frames = |((_, told), frames): ((_, Told), BTreeSet<usize>)| Told {
        frames: if carries.tracks { frames } else { BTreeSet::from([told.at.1]) },
        ..told
    };
    told.into_iter().zip(all).map(with_frames).collect()
}

/// The upright box round corners, in the image.
fn round(corners: [crate::geometry::Point; 4]) -> Rect {
    let [x, y] = [corners.map(|corner| corner.x), corners.map(|corner| corner.y)];
    let least = |values: [f32; 4]| values.into_iter().fold(f32::INFINITY, f32::min);
    let greatest = |values: [f32; 4]| values.into_iter().fold(f32::NEG_INFINITY, f32::max);
    clip(Rect { x0: least(x), y0: least(y), x1: greatest(x), y1: greatest(y) }, SIZE).unwrap()
}

/// True if two annotations are the same, with sides of boxes that differ by less than `slack` pixels.
fn is_same(a: &Told, b: &Told, slack: f32) -> bool {
    let is_near = |a: f32, b: f32| (a - b).abs() < slack;
    let same_shape = match (&a.shape, &b.shape) {
        (Shape::Mask(a), Shape::Mask(b)) => a == b,
        (Shape::Box(a), Shape::Box(b)) => {
            <[f32; 4]>::from(*a).into_iter().zip(<[f32; 4]>::from(*b)).all(|(a, b)| is_near(a, b))
        }
        _ => false,
    };
    (a.at, &a.category, &a.attributes, &a.frames) == (b.at, &b.category, &b.attributes, &b.frames)
        && same_shape
}

/// Writes and reads a project, and compares.
fn check(format: &Format, project: &Project) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let report =
        match format.export(project, &ImageFiles::of_project(folder.path()), &exact(), &target, &go_on) {
            Err(FormatError::Nothing { .. }) => return,
            result => result.unwrap(),
        };
    let want = told(project, format);
    assert_eq!(report.annotations, want.len(), "{}: {report}", format.name);
    // Lines that join the parts of a mask are seen by readers that fill polygons as OpenCV does, and not by this one.
    let has_lines = |loss: &Loss| *loss == Loss::Edges && format.carries.masks == Masks::Polygons;
    let is_lossless = report.lost.keys().all(has_lines) && report.left_out.is_empty();
    assert_eq!(is_lossless, is_all_carried(project, format), "{report}");
    if !format.is_read() {
        return;
    }
    if !want.is_empty() {
        assert_eq!(recognize(&Reading::new(&target)).unwrap().format.name, format.name);
    }
    let mut dataset = match read(format, &target, project) {
        Err(FormatError::Lacks { .. } | FormatError::UnknownFormat { .. }) if want.is_empty() => return,
        result => result.unwrap(),
    };
    assert!(dataset.refused.is_empty(), "{}: {}", format.name, dataset.refused);
    let mut again = media();
    dataset.add_to(&mut again, Path::new(""), false);
    let mut got = told(&again, format);
    // Turned boxes become masks, which end at pixels.
    let slack = if *format == yolo::ORIENTED { 2.5 } else { 0.01 };
    for want in &want {
        let place = got.iter().position(|got| is_same(got, want, slack));
        let place = place.unwrap_or_else(|| panic!("{}: no {want:?} among {got:?}", format.name));
        got.swap_remove(place);
    }
    assert!(got.is_empty(), "{}: {got:?} from nowhere", format.name);
}

/// Whether a format can say all that this project has.
fn is_all_carried(project: &Project, format: &Format) -> bool {
    let (all, of_format) = (told(project, &coco::INSTANCES), told(project, format));
    let photos = format.is_of_videos && project.media.values().any(|medium| medium.n_frames == 1);
    let categories = format.carries.categories || all.is_empty();
    !photos
        && categories
        && all.len() == of_format.len()
        && all.iter().all(|a| of_format.iter().any(|b| is_same(a, b, 0.01)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_exported_and_imported_is_what_it_was_but_for_what_the_report_says(project in projects()) {
        for format in FORMATS {
            check(format, &project);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.json");
        write_atomically(&file, |out| out.write_all(bytes.as_ref())).unwrap();
        for format in FORMATS.iter().filter(|format| format.is_read()) {
            for path in [&*file, folder.path()] {
                if let Ok(dataset) = read(format, path, &media()) {
                    prop_assert!(dataset.annotations.is_empty(), "{}", format.name);
                }
            }
        }
    }
}

/// What happens to files on the way.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Set(u8),
    Insert(Vec<u8>),
    Remove(usize),
}

fn damages() -> impl Strategy<Value = Damage> {
    let tokens = ["-1", "1e308", "99999999999", "\"", "<", "{}", "[", "\n", "nan", ",,"];
    let token = prop::sample::select(tokens.to_vec()).prop_map(|token| Damage::Insert(token.into()));
    prop_oneof![
        Just(Damage::Cut),
        any::<u8>().prop_map(Damage::Set),
        prop::collection::vec(any::<u8>(), 1..9).prop_map(Damage::Insert),
        token,
        (1..40_usize).prop_map(Damage::Remove),
    ]
}

fn damage(bytes: &mut Vec<u8>, at: prop::sample::Index, damage: Damage) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match damage {
        Damage::Cut => bytes.truncate(at),
        Damage::Set(byte) => bytes[at] = byte,
        Damage::Insert(new) => drop(bytes.splice(at..at, new)),
        Damage::Remove(n) => drop(bytes.drain(at..(at + n).min(bytes.len()))),
    }
}

proptest! {
    // `PROPTEST_CASES` asks for more: this is how readers are fuzzed.
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_export_is_read_or_refused(
        project in projects(),
        file in any::<prop::sample::Index>(),
        damage_done in prop::collection::vec((any::<prop::sample::Index>(), damages()), 1..4),
        format in prop::sample::select(FORMATS.iter().filter(|format| format.is_read()).collect::<Vec<_>>()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        if format.export(&project, &ImageFiles::of_project(folder.path()), &exact(), &target, &go_on).is_ok() {
            let files: Vec<_> =
                ["json", "txt", "xml", "png", "yaml", "ini"].iter().flat_map(|suffix| files::with_suffix(&target, suffix)).collect();
            let file = file.get(&files);
            let mut bytes = fs::read(file).unwrap();
            damage_done.into_iter().for_each(|(at, done)| damage(&mut bytes, at, done));
            write_atomically(file, |out| out.write_all(&bytes)).unwrap();
            if let Ok(mut dataset) = read(format, &target, &project) {
                let _checked = super::check(&dataset, &ImageFiles::around(&target));
                dataset.clone().add_to(&mut media(), Path::new(""), false);
                dataset.to_project(&ImageFiles::around(&target));
            }
        }
    }
}

#[test]
fn formats_have_names_of_their_own() {
    let names: BTreeSet<&str> = FORMATS.iter().map(|format| format.name).collect();
    assert_eq!(names.len(), FORMATS.len());
    assert_eq!(named("coco").unwrap().title, "COCO");
}

#[test]
fn what_is_canceled_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let target = folder.path().join(format.name);
        let canceled =
            format.export(&media(), &ImageFiles::of_project(folder.path()), &exact(), &target, &|_, _| false);
        assert!(matches!(canceled, Err(FormatError::Canceled)), "{}", format.name);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone_and_an_earlier_export_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    fs::create_dir(&target).unwrap();
    write_atomically(&target.join("mine.txt"), |out| out.write_all("mine".as_ref())).unwrap();
    let export = || {
        coco::INSTANCES.export(&media(), &ImageFiles::of_project(folder.path()), &exact(), &target, &go_on)
    };
    assert!(matches!(export(), Err(FormatError::Staging(StagingError::NotEmpty(_)))));
    fs::remove_file(target.join("mine.txt")).unwrap();
    export().unwrap();
    write_atomically(&target.join("annotations/mine.json"), |out| out.write_all("".as_ref())).unwrap();
    export().unwrap();
    assert!(target.join(REPORT).is_file() && target.join("annotations/mine.json").exists());
}

#[test]
fn what_is_left_out_is_counted_and_said() {
    let mut project = media();
    project.categories.insert(CategoryId(1), Arc::new(project::Category::new("dog", [1, 2, 3])));
    let mut add = |id: u32, category: u32, proposal: Option<f32>, segment: Segment| {
        let object = Object { category: CategoryId(category), proposal, attributes: BTreeMap::new() };
        project.objects.insert((MediumId(1), ObjectId(id)), Arc::new(object));
        project.segments.insert((ObjectId(id), 0), Arc::new(segment));
    };
    let full = || Segment::by_hand(Rle::encode(&Mask::new(SIZE, vec![true; SIZE.area()])));
    add(1, 1, None, full());
    add(2, 1, None, Segment::boxed(Rect { x0: -1.0, y0: 1.0, x1: 2.5, y1: 4.0 }));
    add(3, 1, Some(0.9), full());
    add(4, 1, None, Segment::by_hand(Rle::encode(&Mask::empty(SIZE))));
    add(5, 1, None, Segment::default());
    add(6, 2, None, full());
    add(7, 1, None, Segment::by_hand(Rle::encode(&picture(&["##"]))));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let report = coco::INSTANCES
        .export(&project, &ImageFiles::of_project(folder.path()), &exact(), &target, &go_on)
        .unwrap();
    let left_out = BTreeMap::from([(LeftOut::Proposals, 1), (LeftOut::Empty, 2), (LeftOut::Misfits, 2)]);
    assert_eq!((report.images, report.annotations, &report.left_out), (3, 2, &left_out));
    let text = report.to_string();
    assert!(text.contains("2 annotations on 3 images") && text.contains("1 proposals that nobody"), "{text}");
}

#[test]
fn line_end_in_a_name_shifts_no_class() {
    let mut project = media();
    for (id, name) in [(1, "a\nb\r"), (2, "dog")] {
        project.categories.insert(CategoryId(id), Arc::new(project::Category::new(name, [1, 2, 3])));
    }
    let full = Segment::by_hand(Rle::encode(&Mask::new(SIZE, vec![true; SIZE.area()])));
    let object = Object { category: CategoryId(2), proposal: None, attributes: BTreeMap::new() };
    project.objects.insert((MediumId(4), ObjectId(1)), Arc::new(object));
    project.segments.insert((ObjectId(1), 3), Arc::new(full));
    let folder = tempfile::tempdir().unwrap();
    for format in [&masks::INDEXED, &mot::FORMAT, &mots::FORMAT, &voc::FORMAT] {
        let target = folder.path().join(format.name);
        format.export(&project, &ImageFiles::of_project(folder.path()), &exact(), &target, &go_on).unwrap();
        let dataset = read(format, &target, &project).unwrap();
        let category = dataset.annotations[0].category;
        assert_eq!(dataset.categories[category].name.as_deref(), Some("dog"), "{}", format.name);
        let lists =
            files::with_suffix(&target, "txt").into_iter().filter_map(|file| fs::read_to_string(file).ok());
        assert!(
            lists.filter(|text| text.contains("dog")).all(|text| text.contains("a b ")),
            "{}",
            format.name
        );
    }
}
