//! How long models took here for a look at a picture when they were used last, kept beside the settings.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use engine::segmenter::ModelInfo;
use serde::{Deserialize, Serialize};

use crate::settings;

/// The file, in the settings folder.
pub const FILE: &str = "looks.toml";

/// By the names of models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookTimes(BTreeMap<String, LookTime>);

/// How long a model takes for a look at a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookTime {
    /// Rounded.
    pub milliseconds: u32,
    /// The device or server.
    pub on: String,
}

impl fmt::Display for LookTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms on {}", self.milliseconds, self.on)
    }
}

impl LookTimes {
    /// Those that are kept in a settings folder; what cannot be read will be measured again. Reads a file, so that it is for
    /// the time before there is a window.
    pub fn load(folder: &Path) -> Self {
        settings::read(&folder.join(FILE))
            .ok()
            .and_then(|text| toml::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// As TOML.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("names and numbers can be written")
    }

    /// What is known of a model.
    pub fn of(&self, model: &str) -> Option<&LookTime> {
        self.0.get(model)
    }

    /// Takes in what was measured; false if it is about what was known.
    pub fn put(&mut self, model: &ModelInfo, look: Duration) -> bool {
        /// A share of the time, below which it is the same.
        const SAME: f64 = 0.2;
        let (milliseconds, on) = (look.as_secs_f64() * 1e3, model.device.to_string());
        let is_same = |known: &LookTime| {
            let before = f64::from(known.milliseconds);
            known.on == on && (milliseconds - before).abs() <= (SAME * before).max(1.0)
        };
        if self.of(&model.name).is_some_and(is_same) {
            return false;
        }
        self.0.insert(model.name.clone(), LookTime { milliseconds: milliseconds.round() as u32, on });
        true
    }
}
