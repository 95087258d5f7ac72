//! Prompts as the command line and its JSON files write them.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use engine::{
    geometry::{Point, Rect},
    mask::Rle,
    prompt::{Label, PointPrompt, Prompt},
};
use serde::Deserialize;

/// `X,Y` or `X,Y,LABEL`: in a list of numbers, or as a word of the command line.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Vec<f32>")]
pub(crate) struct PointArg(PointPrompt);

impl TryFrom<Vec<f32>> for PointArg {
    type Error = anyhow::Error;
    fn try_from(numbers: Vec<f32>) -> anyhow::Result<Self> {
        let (x, y, label) = match numbers[..] {
            [x, y] => (x, y, Label::Positive),
            [x, y, 1.0] => (x, y, Label::Positive),
            [x, y, 0.0] => (x, y, Label::Negative),
            _ => bail!("a point is X,Y or X,Y,1 (on the object) or X,Y,0 (off it)"),
        };
        Ok(Self(PointPrompt { at: Point { x, y }, label }))
    }
}

impl FromStr for PointArg {
    type Err = anyhow::Error;
    fn from_str(word: &str) -> anyhow::Result<Self> {
        numbers(word)?.try_into()
    }
}

/// `X0,Y0,X1,Y1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RectArg(pub Rect);

impl FromStr for RectArg {
    type Err = anyhow::Error;
    fn from_str(word: &str) -> anyhow::Result<Self> {
        match numbers(word)?[..] {
            [x0, y0, x1, y1] => Ok(Self(Rect { x0, y0, x1, y1 })),
            _ => bail!("a box is X0,Y0,X1,Y1, from top left to bottom right"),
        }
    }
}

fn numbers(word: &str) -> anyhow::Result<Vec<f32>> {
    let number = |part: &str| part.trim().parse::<f32>().with_context(|| format!("'{part}' is not a number"));
    word.split(',').map(number).collect()
}

/// A prompt from its points and box.
pub(crate) fn prompt(points: &[PointArg], rect: Option<Rect>) -> Prompt {
    Prompt { points: points.iter().map(|point| point.0).collect(), rect }
}

/// A line of `segue segment --in`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PhotoPrompt {
    pub id: serde_json::Value,
    pub image: String,
    #[serde(default)]
    pub points: Vec<PointArg>,
    #[serde(default, rename = "box")]
    pub rect: Option<Rect>,
    /// Overrides `--at-once` for this line.
    #[serde(default)]
    pub at_once: Option<bool>,
}

/// The file of `segue track --prompts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackPrompts {
    pub objects: Vec<ObjectPrompts>,
}

/// An object, and what is said of it on frames.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectPrompts {
    pub id: u32,
    #[serde(default = "object")]
    pub category: String,
    pub prompts: Vec<FramePrompt>,
}

fn object() -> String {
    "object".to_owned()
}

/// What is said of an object on one frame: points and a box, or a mask.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FramePrompt {
    pub frame: usize,
    #[serde(default)]
    pub points: Vec<PointArg>,
    #[serde(default, rename = "box")]
    pub rect: Option<Rect>,
    #[serde(default)]
    pub mask: Option<Rle>,
}
