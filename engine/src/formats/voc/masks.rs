//! The masks of PASCAL VOC's `SegmentationObject`, and the objects that they are of.

use std::{collections::BTreeMap, path::Path};

use crate::{
    formats::{dataset::Builder, png},
    geometry::Size,
    mask::Rle,
};

/// Pixels that are not looked at.
const VOID: u32 = 255;
/// Pixels by which a mask may reach out of its box.
const ROUNDED: f64 = 2.0;
/// A mask fills so much of the box of its object, where its number does not say which one that is.
const ALIKE: f64 = 0.5;

/// Reads the masks of an image, each at the place of its object, from 0. `rects` are the boxes of the objects.
///
/// Masks are numbered like objects, from 1. Where that contradicts the boxes, a mask belongs to the object whose box it fills.
pub(super) fn read(
    picture: &Path,
    size: Option<Size>,
    rects: &[Option<[f64; 4]>],
    builder: &mut Builder,
) -> BTreeMap<usize, Rle> {
    let name = picture.display();
    let (own, numbers) = match png::read_numbers(picture) {
        Ok(read) => read,
        Err(why) => {
            builder.refuse(name, why);
            return BTreeMap::new();
        }
    };
    if let Some(size) = size.filter(|size| *size != own) {
        builder.refuse(name, format_args!("it has {own} pixels, its image {size}"));
        return BTreeMap::new();
    }
    let mut masks = png::masks_of(own, &numbers);
    masks.retain(|(number, _)| *number != VOID);
    let is_within = |(number, mask): &(u32, Rle)| match rects.get(*number as usize - 1) {
        Some(Some(rect)) => reach(mask, *rect) <= ROUNDED,
        Some(None) => true,
        None => false,
    };
    if masks.iter().all(is_within) {
        return masks.into_iter().map(|(number, mask)| (number as usize - 1, mask)).collect();
    }
    let mut found: BTreeMap<usize, Rle> = BTreeMap::new();
    for (number, mask) in masks {
        let likeness = |place: usize| rects[place].map_or(0.0, |rect| overlap(&mask, rect));
        let free = (0..rects.len()).filter(|place| !found.contains_key(place));
        match free
            .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
            .filter(|place| likeness(*place) >= ALIKE)
        {
            Some(place) => drop(found.insert(place, mask)),
            None => builder
                .refuse(format_args!("mask {number} of {name}"), "no object has its number and its box"),
        }
    }
    found
}

/// The box of a mask.
fn rect_of(mask: &Rle) -> [f64; 4] {
    let [x, y, width, height] = mask.bbox().map(f64::from);
    [x, y, x + width, y + height]
}

/// Pixels by which a mask reaches out of a box.
fn reach(mask: &Rle, [x0, y0, x1, y1]: [f64; 4]) -> f64 {
    let [left, top, right, bottom] = rect_of(mask);
    [x0 - left, y0 - top, right - x1, bottom - y1].into_iter().fold(0.0, f64::max)
}

/// The intersection over union of a mask's box and another one.
fn overlap(mask: &Rle, [x0, y0, x1, y1]: [f64; 4]) -> f64 {
    let [left, top, right, bottom] = rect_of(mask);
    let shared = (x1.min(right) - x0.max(left)).max(0.0) * (y1.min(bottom) - y0.max(top)).max(0.0);
    let all = (x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - shared;
    if all > 0.0 { shared / all } else { 0.0 }
}
