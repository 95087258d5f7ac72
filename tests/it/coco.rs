//! COCO export and import against pycocotools.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use engine::{
    formats::{Dataset, ImageFiles, Options, Reading, Report, Shape, coco::INSTANCES},
    geometry::{Rect, Size},
    mask::Rle,
    project::{Category, CategoryId, Medium, MediumId, MediumKind, Object, ObjectId, Project, Segment},
};
use serde_json::json;

use crate::{formula, python};

const SIZE: Size = Size::new(64, 48);

/// Two photos, one of them without objects, and a video; a disk, a ring on two frames, and a category that nothing has.
fn project() -> Project {
    let mut project = Project::default();
    for (id, path, n_frames) in [(1, "photos/a.jpg", 1), (2, "photos/b.jpg", 1), (3, "c.mp4", 9)] {
        let kind = if n_frames > 1 { MediumKind::Video } else { MediumKind::Image };
        let medium = Medium {
            path: path.to_owned(),
            kind,
            size: SIZE,
            n_frames,
            fps: None,
            content: None,
            done: false,
        };
        project.media.insert(MediumId(id), Arc::new(medium));
    }
    for (id, name) in [(4, "disk"), (2, "ring"), (9, "none")] {
        project.categories.insert(CategoryId(id), Arc::new(Category::new(name, [id as u8; 3])));
    }
    let mut add = |medium: u32, object: u32, category: u32, frame: usize, segment: Segment| {
        let attributes = BTreeMap::from([("occluded".to_owned(), "yes".to_owned())]);
        let new = Object { category: CategoryId(category), proposal: None, attributes };
        project.objects.insert((MediumId(medium), ObjectId(object)), Arc::new(new));
        project.segments.insert((ObjectId(object), frame), Arc::new(segment));
    };
    let disk = |x, radius| formula::circle(SIZE, [x, 24, radius]);
    let ring = |x| disk(x, 15).subtract(&disk(x, 8));
    add(1, 1, 4, 0, Segment::by_hand(Rle::encode(&disk(20, 12))));
    add(1, 2, 4, 0, Segment::by_hand(Rle::encode(&disk(60, 10))));
    add(3, 5, 2, 3, Segment::by_hand(Rle::encode(&ring(30))));
    add(3, 5, 2, 4, Segment::by_hand(Rle::encode(&ring(34))));
    project
}

fn export(project: &Project, file: &Path) -> Report {
    INSTANCES
        .export(project, &ImageFiles::of_project(Path::new(".")), &Options::default(), file, &|_, _| true)
        .unwrap()
}

fn import(file: &Path) -> Dataset {
    INSTANCES.import(&Reading::new(file).with_checks()).unwrap()
}

/// What pycocotools makes of a file.
fn read(file: &Path) -> serde_json::Value {
    const PROGRAM: &str = "
import contextlib, io, json, sys
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
out = {'annotations': [], 'precision': {}}
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(sys.argv[1])
    for a in coco.loadAnns(coco.getAnnIds()):
        seen = {key: a[key] for key in ('id', 'image_id', 'category_id', 'track_id', 'attributes', 'bbox')}
        if 'segmentation' in a:
            rle = coco.annToRLE(a)
            seen['bits'] = coco.annToMask(a).flatten().tolist()
            seen['same'] = [int(mask.area(rle)) == a['area'], mask.toBbox(rle).tolist() == a['bbox']]
        out['annotations'].append(seen)
    for kind in ('segm', 'bbox') if all('bits' in a for a in out['annotations']) else ('bbox',):
        results = [{'image_id': a['image_id'], 'category_id': a['category_id'], 'score': 1.0, 'bbox': a['bbox']}
                   for a in coco.dataset['annotations']]
        for result, a in zip(results, coco.dataset['annotations']):
            if kind == 'segm':
                result['segmentation'] = a['segmentation']
        found = COCOeval(coco, coco.loadRes(results), kind)
        found.evaluate(), found.accumulate(), found.summarize()
        out['precision'][kind] = found.stats[0]
    out['images'] = {i['file_name']: i['id'] for i in coco.loadImgs(coco.getImgIds())}
    out['categories'] = {c['name']: c['id'] for c in coco.loadCats(coco.getCatIds())}
print(json.dumps(out))
";
    python::run(PROGRAM, file)
}

#[test]
fn exports_are_coco_that_pycocotools_reads_and_finds_perfect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json");
    let project = project();
    let report = export(&project, &file);
    assert_eq!((report.images, report.annotations), (4, 4));
    let seen = read(&file);
    assert_eq!(seen["precision"], json!({"segm": 1.0, "bbox": 1.0}));
    assert_eq!(seen["categories"], json!({"ring": 2, "disk": 4, "none": 9}));
    let (third, fourth) = ("c/000003.jpg", "c/000004.jpg");
    let images = json!({"photos/a.jpg": 1, "photos/b.jpg": 2, third: 30_000_003, fourth: 30_000_004});
    assert_eq!(seen["images"], images);
    let annotations = seen["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), project.segments.len());
    for (annotation, ((object, frame), segment)) in annotations.iter().zip(&project.segments) {
        let bits: Vec<u8> =
            segment.mask.as_ref().unwrap().decode().bits().iter().map(|&on| on.into()).collect();
        assert_eq!(annotation["bits"], json!(bits), "object {object:?} on frame {frame}");
        assert_eq!(annotation["track_id"], object.0);
        assert_eq!(annotation["same"], json!([true, true]), "area and bbox are pycocotools' own");
        assert_eq!(annotation["attributes"], json!({"occluded": "yes"}));
    }
    let ids: Vec<u64> = annotations.iter().map(|annotation| annotation["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[test]
fn boxes_without_masks_are_boxes_to_pycocotools() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json");
    let mut project = project();
    let rect = Rect { x0: 2.5, y0: 3.0, x1: 10.0, y1: 20.25 };
    project.segments.insert((ObjectId(1), 0), Arc::new(Segment::boxed(rect)));
    let report = export(&project, &file);
    assert_eq!(report.annotations, 4);
    let seen = read(&file);
    assert_eq!(seen["annotations"][0]["bbox"], json!([2.5, 3.0, 7.5, 17.25]));
    assert_eq!(seen["precision"], json!({"bbox": 1.0}));
}

/// Corners anywhere, on pixels, between them, or a hair from where rounding turns; outlines that cross themselves, that
/// repeat corners, that leave the image; several polygons an object.
#[test]
fn imported_polygons_are_the_masks_of_pycocotools() {
    const PROGRAM: &str = "
import json, sys
from pycocotools import mask
file = json.load(open(sys.argv[1]))
out = []
for image, annotation in zip(file['images'], file['annotations']):
    rle = mask.merge(mask.frPyObjects(annotation['segmentation'], image['height'], image['width']))
    out.append(rle['counts'].decode())
print(json.dumps(out))
";
    let mut state = 1_u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut polygon = |size: Size| {
        let (kind, n) = (below(5), 3 + below(12));
        let mut coordinate = |side: usize| {
            let fifths = below(5 * side as u64 + 1) as f64 / 5.0;
            match kind {
                0 => fifths.floor(),
                1 => below(100 * side as u64) as f64 / 100.0,
                2 => (fifths + 0.1).next_down(),
                3 => (fifths + 0.1).next_up(),
                _ => below(3000) as f64 / 3000.0 * 3.0 * side as f64 - side as f64,
            }
        };
        let mut corners: Vec<f64> =
            (0..n).flat_map(|_| [coordinate(size.width), coordinate(size.height)]).collect();
        corners.extend_from_within(..2);
        corners
    };
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for id in 0..600 {
        let size = [Size::new(7, 5), Size::new(64, 48), Size::new(1, 30), Size::new(150, 211)][id % 4];
        let (width, height, file_name) = (size.width, size.height, format!("{id}.jpg"));
        images.push(json!({"id": id, "file_name": file_name, "width": width, "height": height}));
        let polygons: Vec<Vec<f64>> = (0..1 + id % 3).map(|_| polygon(size)).collect();
        annotations.push(json!({"id": id, "image_id": id, "category_id": 1, "segmentation": polygons}));
    }
    let categories = [json!({"id": 1, "name": "thing"})];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("polygons.json");
    let all = json!({"images": images, "annotations": annotations, "categories": categories});
    engine::file::write_atomically(&file, |out| Ok(serde_json::to_writer(out, &all)?)).unwrap();

    let imported = import(&file);
    let mut masks = vec![None; images.len()];
    for annotation in &imported.annotations {
        let Shape::Mask(mask) = &annotation.shape else { panic!("{annotation:?} is no mask") };
        masks[annotation.image] = Some(mask.counts().to_owned());
    }
    assert!(imported.annotations.len() > 500, "most have pixels: {}", imported.annotations.len());
    let answers = python::run(PROGRAM, &file);
    for (id, (ours, theirs)) in masks.into_iter().zip(answers.as_array().unwrap()).enumerate() {
        // A mask without a pixel is not taken; its counts are a single run.
        let size = Size::new(
            images[id]["width"].as_u64().unwrap() as usize,
            images[id]["height"].as_u64().unwrap() as usize,
        );
        let ours = ours.unwrap_or_else(|| Rle::encode(&engine::mask::Mask::empty(size)).counts().to_owned());
        assert_eq!(ours, theirs.as_str().unwrap(), "polygon {}", annotations[id]["segmentation"]);
    }
}
