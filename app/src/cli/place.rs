//! Where models run, as `--device` says it.

use std::ffi::OsStr;

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};
use engine::nn::Place;

/// Reads `--device`. What is wrong is not repeated, as clap does by itself: it may hold a secret.
#[derive(Clone)]
pub(super) struct PlaceParser;

impl TypedValueParser for PlaceParser {
    type Value = Place;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Place, Error> {
        value.to_string_lossy().parse().map_err(|error| {
            let sentence = format!("invalid value for '--device <DEVICE>': {error}\n");
            Error::raw(ErrorKind::ValueValidation, sentence).with_cmd(command)
        })
    }
}
