//! The `segmentation` of an annotation in all spellings that programs write: polygons, or run lengths.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::item::Flaw;
use crate::{
    formats::{
        number::{json_float, json_whole},
        polygon::rasterize,
        valid_size,
    },
    geometry::{Rect, Size},
    mask::Rle,
};

/// A segmentation as a file has it.
pub(in crate::formats) enum Segmentation {
    None,
    Mask(Rle),
    Polygons {
        /// Each as `x, y, x, y, …`, in full precision, since a last digit decides how they are rounded.
        polygons: Vec<Vec<f64>>,
        /// A flaw of the spelling that does not keep it from being read.
        doubt: Option<&'static str>,
    },
    Runs(Box<Runs>),
    Bad(Box<Flaw>),
}

/// Run lengths that do not cover an image of their size, or have none.
pub(in crate::formats) struct Runs {
    size: Option<Size>,
    runs: Vec<u32>,
}

/// A box may differ from that of its mask by so many pixels: it is rounded.
const ROUNDED: f32 = 1.01;

/// A mask, and what is wrong with its spelling.
type Masked = (Arc<Rle>, Option<&'static str>);

impl Segmentation {
    pub(in crate::formats) fn of(value: Value) -> Self {
        Self::parse(value).unwrap_or_else(|flaw| Self::Bad(flaw.into()))
    }

    fn parse(value: Value) -> Result<Self, Flaw> {
        match value {
            Value::Null => Ok(Self::None),
            Value::String(text) if text.trim().is_empty() => Ok(Self::None),
            // Some databases keep JSON as text.
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(inner @ (Value::Array(_) | Value::Object(_))) => Self::parse(inner),
                _ => Err(Flaw::Segmentation),
            },
            Value::Object(rle) if rle.is_empty() => Ok(Self::None),
            Value::Object(mut rle) => {
                let size = match rle.get("size") {
                    None | Some(Value::Null) => None,
                    Some(size) => Some(size_from(size).ok_or(Flaw::Size)?),
                };
                Self::run_lengths(size, &rle.remove("counts").unwrap_or_default())
            }
            Value::Array(list) => Self::list(list),
            _ => Err(Flaw::Segmentation),
        }
    }

    fn list(mut list: Vec<Value>) -> Result<Self, Flaw> {
        if list.len() == 1 && list[0].is_object() {
            return Self::parse(list.remove(0));
        }
        let mut doubt = None;
        if !list.is_empty() && list.iter().all(|value| json_float(value).is_some()) {
            doubt = Some("its segmentation is a flat list, read as one polygon");
            list = vec![Value::Array(list)];
        } else if list.len() > 2 && list.iter().all(is_pair) {
            doubt = Some("its segmentation is a list of points, read as one polygon");
            list = vec![Value::Array(list)];
        }
        let (mut polygons, mut flaw) = (Vec::new(), None);
        for value in &list {
            match polygon(value) {
                // Fewer than three corners have no pixel between them.
                Ok(polygon) if polygon.len() >= 6 => polygons.push(polygon),
                Ok(polygon) if polygon.is_empty() => {}
                Ok(_) => flaw = Some(Flaw::TwoCorners),
                Err(error) => flaw = Some(error),
            }
        }
        match flaw {
            Some(flaw) if polygons.is_empty() => Err(flaw),
            Some(_) => Ok(Self::Polygons {
                polygons,
                doubt: Some("one of its polygons is not a polygon, the others are kept"),
            }),
            None if polygons.is_empty() => Ok(Self::None),
            None => Ok(Self::Polygons { polygons, doubt }),
        }
    }

    fn run_lengths(size: Option<Size>, counts: &Value) -> Result<Self, Flaw> {
        let runs = match counts {
            Value::String(text) => {
                let text = bytes_text(text.trim());
                if let Some(Ok(mask)) = size.map(|size| Rle::from_counts(size, &text)) {
                    return Ok(Self::Mask(mask));
                }
                Rle::parse_counts(&text)?
            }
            Value::Array(runs) => {
                let run = |value: &Value| json_whole(value).and_then(|run| u32::try_from(run).ok());
                runs.iter().map(run).collect::<Option<Vec<u32>>>().ok_or(Flaw::Segmentation)?
            }
            _ => return Err(Flaw::Segmentation),
        };
        if runs.is_empty() {
            return Ok(Self::None);
        }
        match size.map(|size| Rle::from_runs(size, runs.iter().copied())) {
            Some(Ok(mask)) => Ok(Self::Mask(mask)),
            _ => Ok(Self::Runs(Box::new(Runs { size, runs }))),
        }
    }

    /// The mask on an image, if its size is known; none of none. Run lengths of the wrong size or number are taken if the mask
    /// then fills the annotation's box, and the doubt says what was wrong.
    pub(in crate::formats) fn mask(
        self,
        image: Option<Size>,
        rect: Option<Rect>,
    ) -> Result<Option<Masked>, Flaw> {
        let fills = |mask: &Rle| {
            rect.is_some_and(|rect| {
                let sides = <[f32; 4]>::from(rect).into_iter().zip(<[f32; 4]>::from(mask.rect()));
                sides.into_iter().all(|(a, b)| (a - b).abs() <= ROUNDED)
            })
        };
        let is_image = |size: Size| image.is_none_or(|image| image == size);
        let is_turned = |size: Size| image == Some(Size::new(size.height, size.width));
        let taken = |mask: Rle, doubt| Some((Arc::new(mask), Some(doubt)));
        match self {
            Self::None => Ok(None),
            Self::Bad(flaw) => Err(*flaw),
            Self::Polygons { polygons, doubt } => {
                let mask = rasterize(&polygons, image.ok_or(Flaw::PolygonWithoutSize)?)?;
                Ok(Some((mask.into(), doubt)))
            }
            Self::Mask(mask) if is_image(mask.size()) || mask.is_empty() => Ok(Some((mask.into(), None))),
            Self::Mask(mask) => {
                let other = || Flaw::OtherSize { mask: mask.size(), image: image.unwrap_or(mask.size()) };
                let image = image.filter(|_| is_turned(mask.size())).ok_or_else(other)?;
                let turned = Rle::from_runs(image, mask.run_lengths())?;
                let turned = Some(turned).filter(fills).ok_or_else(other)?;
                Ok(taken(turned, "the size of its run lengths is width, height instead of height, width"))
            }
            Self::Runs(told) => {
                let Runs { size, runs } = *told;
                let size = match (size, image) {
                    (Some(size), _) if is_image(size) || !is_turned(size) => size,
                    (_, Some(image)) => image,
                    (_, None) => return Err(Flaw::NoMaskSize),
                };
                if image.is_some_and(|image| image != size) {
                    return Err(Flaw::OtherSize { mask: size, image: image.unwrap_or(size) });
                }
                if let Ok(mask) = Rle::from_runs(size, runs.iter().copied()) {
                    return Ok(taken(mask, "its run lengths have no size; the image's is taken"));
                }
                let mended = Rle::from_runs(size, mended(&runs, size))?;
                let covered: u64 = runs.iter().map(|run| u64::from(*run)).sum();
                let wrong = Flaw::Covered { covered, size };
                let is_longer = covered > size.area() as u64;
                let mended = Some(mended).filter(fills).ok_or(wrong)?;
                Ok(taken(
                    mended,
                    match is_longer {
                        true => "its run lengths reach beyond the image; what is there is left out",
                        false => "its run lengths end before the image; the rest is background",
                    },
                ))
            }
        }
    }
}

/// Run lengths with a last run of background that ends with the image.
fn mended(runs: &[u32], size: Size) -> Vec<u32> {
    let mut rest = size.area() as u32;
    let mut mended = Vec::with_capacity(runs.len() + 1);
    for run in runs {
        let run = (*run).min(rest);
        mended.push(run);
        rest -= run;
    }
    match mended.last_mut() {
        Some(last) if runs.len() % 2 == 1 => *last += rest,
        _ => mended.push(rest),
    }
    mended
}

/// The text of Python's bytes, which some programs write with the letter and quotes.
fn bytes_text(text: &str) -> Cow<'_, str> {
    let inner =
        ["'", "\""].iter().find_map(|quote| text.strip_prefix('b')?.strip_prefix(quote)?.strip_suffix(quote));
    // Run lengths have backslashes, which Python doubles.
    inner.map_or(text.into(), |inner| inner.replace("\\\\", "\\").into())
}

/// A size as COCO writes it: height, width.
fn size_from(value: &Value) -> Option<Size> {
    let [height, width] = value.as_array()?.as_slice() else { return None };
    let side = |value| json_whole(value).and_then(|side| usize::try_from(side).ok());
    valid_size(side(width)?, side(height)?)
}

/// True for a point written as `[x, y]`.
fn is_pair(value: &Value) -> bool {
    value.as_array().is_some_and(|pair| pair.len() == 2)
}

/// A polygon as `x, y, x, y, …`, which may be written in pairs.
fn polygon(value: &Value) -> Result<Vec<f64>, Flaw> {
    let numbers = value.as_array().ok_or(Flaw::Segmentation)?;
    let is_pairs = !numbers.is_empty() && numbers.iter().all(is_pair);
    let flat: Vec<&Value> = match is_pairs {
        true => numbers.iter().filter_map(Value::as_array).flatten().collect(),
        false => numbers.iter().collect(),
    };
    let polygon: Option<Vec<f64>> = flat.into_iter().map(json_float).collect();
    let polygon = polygon.ok_or(Flaw::Segmentation)?;
    if polygon.len() % 2 == 1 { Err(Flaw::HalfCorner) } else { Ok(polygon) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mask::testing::picture;

    const IMAGE: Size = Size::new(8, 6);
    const RECT: Rect = Rect { x0: 2.0, y0: 1.0, x1: 7.0, y1: 5.0 };

    fn mask() -> Rle {
        Rle::encode(&picture(&["........", "..##.##.", "..####..", "..####..", "...####.", "........"]))
    }

    /// The mask of a segmentation on an annotation with a box, and the doubt or flaw.
    fn read(value: Value) -> (Option<Rle>, String) {
        match Segmentation::of(value).mask(Some(IMAGE), Some(RECT)) {
            Ok(None) => (None, String::new()),
            Ok(Some((mask, doubt))) => (Some((*mask).clone()), doubt.unwrap_or_default().to_owned()),
            Err(flaw) => (None, flaw.to_string()),
        }
    }

    #[test]
    fn run_lengths_are_read_in_all_unambiguous_spellings() {
        let (text, runs) = (mask().counts().to_owned(), mask().run_lengths());
        let floats: Vec<f64> = runs.iter().map(|run| f64::from(*run)).collect();
        let (first, last) = (&runs[..runs.len() - 1], runs[runs.len() - 1]);
        let with_last = |last: u32| [first, &[last]].concat();
        for value in [
            json!({"size": [6, 8], "counts": text}),
            json!({"size": [6.0, 8.0], "counts": runs}),
            json!({"size": ["6", "8"], "counts": floats}),
            json!([{"size": [6, 8], "counts": text}]),
            json!({"size": [6, 8], "counts": format!("b'{text}'")}),
            json!({"size": [6, 8], "counts": format!("{text}\n")}),
            json!({"size": [8, 6], "counts": text}),
            json!({"size": [8, 6], "counts": runs}),
            json!({"counts": runs}),
            json!({"size": [6, 8], "counts": first}),
            json!({"size": [6, 8], "counts": with_last(last + 3)}),
            json!({"size": [6, 8], "counts": with_last(last - 3)}),
            json!(json!({"size": [6, 8], "counts": text}).to_string()),
        ] {
            assert_eq!(read(value.clone()).0, Some(mask()), "{value}");
        }
    }

    #[test]
    fn ambiguous_run_lengths_are_no_mask() {
        let text = mask().counts().to_owned();
        for value in [
            json!({"size": [12, 16], "counts": text}),
            json!({"size": [6, 8], "counts": [3, 3]}),
            json!({"size": [6, 8], "counts": [-1, 49]}),
            json!({"size": [6, 8], "counts": "~"}),
            json!({"size": [6], "counts": text}),
            json!({"size": [6, 8], "counts": [1.5, 46.5]}),
            json!({"size": [6, 8]}),
            json!({"polygon": [[1, 1, 4, 1, 4, 3]]}),
            json!("x"),
            json!(5),
            json!([[1, 2, 3, 4, 5, 6, 7]]),
            json!([[1, 2, 3, 4]]),
            json!([[1, 2, "x", 4, 5, 6]]),
        ] {
            let (mask, why) = read(value.clone());
            assert!(mask.is_none() && !why.is_empty(), "{value}: {why}");
        }
        for value in
            [json!(null), json!([]), json!([[]]), json!({}), json!(""), json!({"size": [6, 8], "counts": ""})]
        {
            assert_eq!(read(value), (None, String::new()));
        }
    }

    #[test]
    fn polygons_are_read_flat_and_in_pairs() {
        let want =
            Rle::encode(&picture(&["........", ".###....", ".###....", "........", "........", "........"]));
        for value in [
            json!([[1, 1, 4, 1, 4, 3, 1, 3]]),
            json!([1, 1, 4, 1, 4, 3, 1, 3]),
            json!([[[1, 1], [4, 1], [4, 3], [1, 3]]]),
            json!([[1, 1], [4, 1], [4, 3], [1, 3]]),
            json!([["1", "1", "4.0", "1", "4e0", "3", "1", "3"]]),
            json!([[1, 1, 4, 1, 4, 3, 1, 3], [5, 5], []]),
        ] {
            assert_eq!(read(value.clone()).0, Some(want.clone()), "{value}");
        }
    }
}
