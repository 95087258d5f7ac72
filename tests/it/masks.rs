//! Masks against pycocotools.

use engine::{
    geometry::Size,
    mask::{Mask, Rle},
};
use serde_json::json;

use crate::{formula, python};

/// Disks, rings, noise and the extremes, of sizes that make long and short runs.
fn masks() -> Vec<Mask> {
    let mut masks = Vec::new();
    for (width, height) in [(1, 1), (7, 5), (64, 48), (200, 120), (321, 481)] {
        let size = Size::new(width, height);
        let (w, h) = (width as i64, height as i64);
        let disk = formula::circle(size, [w / 2, h / 2, w.min(h) / 3]);
        let hole = formula::circle(size, [w / 2, h / 2, w.min(h) / 6]);
        let noise = (0..size.area()).map(|i| (i * 2_654_435_761) >> 7 & 3 == 0).collect();
        masks.extend([disk.subtract(&hole), disk, Mask::new(size, noise), Mask::empty(size)]);
        masks.push(Mask::new(size, vec![true; size.area()]));
    }
    masks
}

#[test]
fn run_lengths_are_those_of_pycocotools() {
    const PROGRAM: &str = "
import json, sys
import numpy as np
from pycocotools import mask
out = []
for case in json.load(open(sys.argv[1])):
    bits = np.array(case['bits'], np.uint8).reshape(case['size'])
    ours = {'size': case['size'], 'counts': case['counts'].encode()}
    theirs = mask.encode(np.asfortranarray(bits))
    other = mask.encode(np.asfortranarray(np.roll(bits, 1, axis=1)))
    out.append({
        'counts': theirs['counts'].decode(),
        'area': int(mask.area(theirs)),
        'bbox': [int(v) for v in mask.toBbox(theirs)],
        'iou': float(mask.iou([theirs], [other], [0])[0, 0]),
        'same': bool((mask.decode(ours) == bits).all()),
    })
print(json.dumps(out))
";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("masks.json");
    let masks = masks();
    let cases: Vec<serde_json::Value> = masks
        .iter()
        .map(|mask| {
            let bits: Vec<u8> = mask.bits().iter().map(|&on| on.into()).collect();
            json!({"size": [mask.size().height, mask.size().width], "bits": bits, "counts": Rle::encode(mask).counts()})
        })
        .collect();
    engine::file::write_atomically(&file, |out| Ok(serde_json::to_writer(out, &cases)?)).unwrap();
    let answers = python::run(PROGRAM, &file);
    for (mask, answer) in masks.iter().zip(answers.as_array().unwrap()) {
        let rle = Rle::encode(mask);
        let (width, size) = (mask.size().width, mask.size());
        let rolled =
            (0..size.area()).map(|i| mask.bits()[i / width * width + (i % width + width - 1) % width]);
        let iou = rle.iou(&Rle::encode(&Mask::new(size, rolled.collect())));
        let ours = json!({"counts": rle.counts(), "area": rle.area(), "bbox": rle.bbox(), "same": true});
        for key in ["counts", "area", "bbox", "same"] {
            assert_eq!(ours[key], answer[key], "{key} of a mask of {size}");
        }
        assert!((iou - answer["iou"].as_f64().unwrap()).abs() < 1e-9, "IoU of a mask of {size}");
    }
}
