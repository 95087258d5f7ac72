//! The shapes of CVAT's XML.

use std::sync::Arc;

use crate::{
    formats::{
        Shape,
        number::{float, whole},
        outlines, png,
        xml::Element,
    },
    geometry::Size,
    mask::{Mask, Patch, Rle},
};

/// A shape, before it is known whether it becomes a box or a mask.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outline {
    /// Two opposite corners, and degrees clockwise.
    Box([f64; 4], f64),
    /// Center and radii, and degrees clockwise.
    Ellipse([f64; 4], f64),
    /// `x, y, x, y, …`.
    Polygon(Vec<f64>),
    /// Pixels in a box of the image.
    Mask(Patch),
}

/// A kind of shape that has no area, and why it is not taken.
pub(super) fn without_area(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "points" => Some(("point set", "not taken, keypoints are not supported")),
        "skeleton" => Some(("skeleton", "not taken, keypoints are not supported")),
        "polyline" => Some(("polyline", "not taken, a line has no area")),
        "cuboid" => Some(("cuboid", "not taken, only flat shapes are supported")),
        "tag" => Some(("tag", "not taken, labels of whole images are not supported")),
        _ => None,
    }
}

impl Outline {
    pub(super) fn parse(element: &Element) -> Result<Self, String> {
        let numbers = |names: [&str; 4]| -> Result<[f64; 4], String> {
            let [a, b, c, d] = names.map(|name| element.number(name));
            Ok([a?, b?, c?, d?])
        };
        let rotation = || element.number_or("rotation", 0.0);
        match &*element.name {
            "box" => Ok(Self::Box(numbers(["xtl", "ytl", "xbr", "ybr"])?, rotation()?)),
            "ellipse" => Ok(Self::Ellipse(numbers(["cx", "cy", "rx", "ry"])?, rotation()?)),
            "polygon" => points(element).map(Self::Polygon),
            "mask" => mask(element).map(Self::Mask),
            other => Err(format!("{other} is not a shape of CVAT")),
        }
    }

    pub(super) fn shape(&self, size: Option<Size>) -> Result<Shape, String> {
        match self {
            Self::Box(corners, degrees) if degrees.rem_euclid(360.0) == 0.0 => outlines::upright(*corners),
            Self::Box([x0, y0, x1, y1], degrees) => {
                let center = [f64::midpoint(*x0, *x1), f64::midpoint(*y0, *y1)];
                outlines::filled(outlines::turned(center, [x1 - x0, y1 - y0], *degrees), size)
            }
            Self::Ellipse([_, _, rx, ry], _) if *rx <= 0.0 || *ry <= 0.0 => {
                Err("its ellipse has no area".to_owned())
            }
            Self::Ellipse([x, y, rx, ry], degrees) => {
                outlines::filled(outlines::ellipse([*x, *y], [*rx, *ry], *degrees), size)
            }
            Self::Polygon(points) => outlines::filled(points.clone(), size),
            Self::Mask(patch) => {
                let size = size.ok_or("the size of its image is not known")?;
                let (x, y) = patch.corner;
                png::corner([x as f64, y as f64], patch.mask.size(), size)?;
                Ok(Shape::Mask(Arc::new(Rle::of_patch(patch, size))))
            }
        }
    }

    /// The shape between two keyframes; none if the first one is held, as masks are, and polygons of different lengths.
    pub(super) fn between(&self, next: &Self, share: f64) -> Option<Self> {
        let mix = |a: f64, b: f64| a + (b - a) * share;
        let all = |a: &[f64; 4], b: &[f64; 4]| std::array::from_fn(|i| mix(a[i], b[i]));
        // The shorter way around.
        let turn = |a: f64, b: f64| a + ((b - a + 180.0).rem_euclid(360.0) - 180.0) * share;
        match (self, next) {
            (Self::Box(a, from), Self::Box(b, to)) => Some(Self::Box(all(a, b), turn(*from, *to))),
            (Self::Ellipse(a, from), Self::Ellipse(b, to)) => {
                Some(Self::Ellipse(all(a, b), turn(*from, *to)))
            }
            (Self::Polygon(a), Self::Polygon(b)) if a.len() == b.len() => {
                Some(Self::Polygon(a.iter().zip(b).map(|(a, b)| mix(*a, *b)).collect()))
            }
            _ => None,
        }
    }
}

/// The box that a mask lies in, which its element states.
pub(super) fn box_of_mask(element: &Element) -> Option<Shape> {
    let [left, top, width, height] = ["left", "top", "width", "height"].map(|name| element.number(name).ok());
    let (left, top) = (left?, top?);
    let shape = outlines::upright([left, top, left + width?, top + height?]);
    shape.ok().filter(|_| element.name == "mask")
}

fn points(element: &Element) -> Result<Vec<f64>, String> {
    let text = element.attribute("points").ok_or("it has no points")?;
    let numbers = text.split([';', ',']).filter(|number| !number.trim().is_empty());
    let parse =
        |number: &str| float(number).ok_or_else(|| format!("its points have what is not a number: {number}"));
    let polygon: Vec<f64> = numbers.map(parse).collect::<Result<_, _>>()?;
    let is_polygon = polygon.len() >= 6 && polygon.len().is_multiple_of(2);
    is_polygon.then_some(polygon).ok_or_else(|| "it has fewer than three corners".to_owned())
}

/// Parses run lengths of the pixels in a box, row by row, the first run off the object.
fn mask(element: &Element) -> Result<Patch, String> {
    /// More pixels than this are not a mask of an image.
    const LARGEST: usize = 1 << 28;
    let side = |name: &str| -> Result<usize, String> {
        let number = element.number(name)?.round();
        let is_fitting = (0.0..=LARGEST as f64).contains(&number);
        is_fitting
            .then_some(number as usize)
            .ok_or_else(|| format!("its {name} is outside of any image: {number}"))
    };
    let cut = Size::new(side("width")?, side("height")?);
    if cut.area() > LARGEST {
        return Err("its mask is larger than any image".to_owned());
    }
    let corner = (side("left")?, side("top")?);
    let mut bits = Vec::with_capacity(cut.area());
    let mut on = false;
    for run in element.attribute("rle").ok_or("it has no rle")?.split(',') {
        let n = whole(run).and_then(|run| usize::try_from(run).ok());
        let n = n.ok_or_else(|| format!("its rle has what is not a run length: {run}"))?;
        if n > cut.area() - bits.len() {
            return Err("its rle is longer than its box".to_owned());
        }
        bits.resize(bits.len() + n, on);
        on = !on;
    }
    bits.resize(cut.area(), false);
    Ok(Patch { corner, mask: Mask::new(cut, bits) })
}
