//! What the user has chosen for good, kept in a file of the user's settings folder.

mod saver;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use engine::{
    file,
    media::{DEFAULT_LARGEST_IMAGE, set_largest_image},
    models,
    nn::Place,
};
use serde::{Deserialize, Serialize};

pub use self::saver::Saver;
use crate::keymap::{self, Preset};

/// The settings, in the settings folder.
pub const FILE: &str = "settings.toml";

const MAX_RECENT: usize = 10;
const MAX_PREFETCH: usize = 16;
/// In GiB.
pub(crate) const MAX_LARGEST_IMAGE: usize = 64;

/// What the user has chosen for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// Dark or light.
    pub theme: Theme,
    /// The keys that the user's own are laid over.
    pub keys: Preset,
    /// The model: builtin, a known name, or a checkpoint's path.
    pub model: String,
    /// What the model runs on, or the address of a server; the best that works if none.
    pub device: Option<Place>,
    /// Side in pixels of the square that the model resizes images to; its own if none.
    pub image_size: Option<usize>,
    /// How strongly masks are painted, 0 to 1.
    pub mask_opacity: f32,
    /// Whether each object of an image has a color of its own, and not its category's.
    pub own_colors_in_images: bool,
    /// The same for videos, where two of a category must not be taken for each other.
    pub own_colors_in_videos: bool,
    /// Whether the mask that a click would give is shown.
    pub preview: bool,
    /// How many images on either side of the shown one are made ready.
    pub prefetch: usize,
    /// The largest image that is opened, in GiB when it is decoded.
    pub largest_image: usize,
    /// At most [`MAX_RECENT`].
    recent: Vec<PathBuf>,
}

/// Which model is used, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelChoice {
    /// As [`Settings::model`].
    pub model: String,
    /// As [`Settings::device`].
    pub device: Option<Place>,
    /// As [`Settings::image_size`].
    pub image_size: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: Theme::default(),
            keys: Preset::default(),
            model: models::BUILTIN.to_owned(),
            device: None,
            image_size: None,
            mask_opacity: 0.5,
            own_colors_in_images: false,
            own_colors_in_videos: true,
            preview: true,
            prefetch: 2,
            largest_image: DEFAULT_LARGEST_IMAGE >> 30,
            recent: Vec::new(),
        }
    }
}

/// Dark or light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
    /// As the desktop has it.
    #[default]
    System,
}

impl From<Theme> for egui::ThemePreference {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::Dark => Self::Dark,
            Theme::Light => Self::Light,
            Theme::System => Self::System,
        }
    }
}

/// Why what the user has chosen is not there, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is there and cannot be read.
    #[error("cannot read {}, so that what it says does not count: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// The file is damaged, and was put aside.
    #[error("the settings are damaged, so they begin anew; the old ones are in {}: {}", aside.display(), why.message())]
    Damaged {
        /// Where the damaged file is now.
        aside: PathBuf,
        /// What is wrong with it.
        #[source]
        why: toml::de::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}, so that changes are lost when the program ends: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
}

/// The user's settings folder; none if the user has no home.
pub fn user_folder() -> Option<PathBuf> {
    file::user_folders().map(|dirs| dirs.config_dir().to_owned())
}

impl Settings {
    /// The settings that are kept in a folder, and what is wrong with them; the defaults if there are none.
    ///
    /// Recent projects that are gone come last. A damaged file is renamed to `settings.toml.broken`. Reads files, so it
    /// is for the time before there is a window.
    pub fn load(folder: &Path) -> (Self, Option<SettingsError>) {
        let path = folder.join(FILE);
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) => return (Self::default(), Some(error)),
        };
        match Self::from_text(&text) {
            Ok(mut settings) => {
                settings.recent.sort_by_key(|path| !path.exists());
                (settings, None)
            }
            Err(why) => (Self::default(), Some(put_aside(path, why))),
        }
    }

    /// The settings that a text says: what it leaves out is the default, and no value is out of range.
    ///
    /// # Errors
    /// If it is not TOML, or a value is of the wrong kind.
    pub fn from_text(text: &str) -> Result<Self, toml::de::Error> {
        let mut settings: Self = toml::from_str(text)?;
        if !(0.0..=1.0).contains(&settings.mask_opacity) {
            settings.mask_opacity = Self::default().mask_opacity;
        }
        settings.prefetch = settings.prefetch.min(MAX_PREFETCH);
        settings.largest_image = settings.largest_image.clamp(1, MAX_LARGEST_IMAGE);
        settings.recent.truncate(MAX_RECENT);
        Ok(settings)
    }

    /// Applies the image size limit.
    pub fn limit_images(&self) {
        set_largest_image(self.largest_image << 30);
    }

    /// The settings as TOML.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("remember lets no path in that is not text, and all else can be written")
    }

    /// Which model is used, and how.
    pub fn model_choice(&self) -> ModelChoice {
        ModelChoice { model: self.model.clone(), device: self.device.clone(), image_size: self.image_size }
    }

    /// Whether each object has a color of its own, in videos or in images.
    pub fn own_colors(&self, in_videos: bool) -> bool {
        if in_videos { self.own_colors_in_videos } else { self.own_colors_in_images }
    }

    /// [`Self::own_colors`], to change it.
    pub fn own_colors_mut(&mut self, in_videos: bool) -> &mut bool {
        if in_videos { &mut self.own_colors_in_videos } else { &mut self.own_colors_in_images }
    }

    /// Projects that were open, the last one first.
    pub fn recent(&self) -> &[PathBuf] {
        &self.recent
    }

    /// Puts a project before the other recent ones, unless its path is not Unicode and so cannot be written.
    pub fn remember(&mut self, project: &Path) {
        if project.to_str().is_some() {
            self.recent.retain(|other| other != project);
            self.recent.insert(0, project.to_owned());
            self.recent.truncate(MAX_RECENT);
        }
    }
}

/// The user's own key file in a settings folder, empty if there is none. Reads a file, as [`Settings::load`] does.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn load_keys(folder: &Path) -> Result<String, SettingsError> {
    read(&folder.join(keymap::FILE))
}

/// A file's text, empty if there is no such file.
#[expect(clippy::disallowed_methods, reason = "settings are read once, before there is a window")]
pub(crate) fn read(path: &Path) -> Result<String, SettingsError> {
    match fs::read(path) {
        // Broken characters spoil no more than the line that they are in.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(SettingsError::Unreadable { path: path.to_owned(), source }),
    }
}

fn put_aside(path: PathBuf, why: toml::de::Error) -> SettingsError {
    let aside = path.with_extension("toml.broken");
    match fs::rename(&path, &aside) {
        Ok(()) => SettingsError::Damaged { aside, why },
        Err(source) => SettingsError::Unreadable { path, source },
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at files and wait")]
mod tests {
    use engine::{file::write_atomically, nn::Device};
    use proptest::prelude::*;
    use std::io::Write as _;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        write_atomically(path, |out| out.write_all(bytes)).unwrap();
    }

    fn some_settings() -> Settings {
        let mut settings = Settings {
            theme: Theme::Light,
            keys: Preset::Cvat,
            model: "sam2.1-small".to_owned(),
            device: Some(Place::Here(Device::TensorRt)),
            image_size: Some(512),
            mask_opacity: 0.65,
            own_colors_in_images: true,
            own_colors_in_videos: false,
            preview: false,
            prefetch: 4,
            ..Settings::default()
        };
        settings.remember(Path::new("/data/cats.segue"));
        settings
    }

    #[test]
    fn settings_are_read_back() {
        for settings in [Settings::default(), some_settings()] {
            assert_eq!(Settings::from_text(&settings.to_text()).unwrap(), settings);
        }
        let text = some_settings().to_text();
        for line in ["theme = \"light\"", "keys = \"cvat\"", "mask-opacity = 0.65", "image-size = 512"] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn devices_have_their_names_of_the_command_line() {
        for device in Device::ALL {
            let settings = Settings { device: Some(Place::Here(device)), ..Settings::default() };
            assert!(settings.to_text().contains(&format!("device = \"{device}\"")), "{device}");
            assert_eq!(Settings::from_text(&settings.to_text()).unwrap(), settings);
        }
    }

    #[test]
    fn a_server_is_kept_by_its_address_and_never_with_a_secret() {
        let settings =
            Settings { device: Some("kserves+grpc://gpu:8001".parse().unwrap()), ..Settings::default() };
        assert!(settings.to_text().contains("device = \"kserves+grpc://gpu:8001\""));
        assert_eq!(Settings::from_text(&settings.to_text()).unwrap(), settings);
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join(FILE), b"device = \"kserve://me:hunter2@gpu:8000\"\n");
        let (settings, error) = Settings::load(folder.path());
        let sentence = error.unwrap().to_string();
        assert!(sentence.contains("SEGUE_SERVER_TOKEN") && !sentence.contains("hunter2"), "{sentence}");
        assert!(!settings.to_text().contains("hunter2"));
    }

    #[test]
    fn what_is_left_out_or_out_of_range_is_the_default() {
        assert_eq!(Settings::from_text("").unwrap(), Settings::default());
        assert_eq!(Settings::from_text("from-another-version = 1").unwrap(), Settings::default());
        for opacity in ["nan", "-1.0", "7.0"] {
            let settings =
                Settings::from_text(&format!("mask-opacity = {opacity}\nprefetch = 1000000")).unwrap();
            assert_eq!(settings, Settings { prefetch: MAX_PREFETCH, ..Settings::default() });
        }
    }

    #[test]
    fn the_last_ten_projects_are_remembered() {
        let mut settings = Settings::default();
        for i in (0..12).chain([5]) {
            settings.remember(&PathBuf::from(format!("{i}.segue")));
        }
        let names: Vec<_> = settings.recent().iter().map(|path| path.to_str().unwrap()).collect();
        let wanted = [5, 11, 10, 9, 8, 7, 6, 4, 3, 2].map(|i| format!("{i}.segue"));
        assert_eq!(names, wanted);
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_unicode_is_not_remembered() {
        use std::os::unix::ffi::OsStrExt as _;
        let mut settings = Settings::default();
        settings.remember(Path::new(std::ffi::OsStr::from_bytes(b"\xff.segue")));
        assert_eq!(Settings::from_text(&settings.to_text()).unwrap(), Settings::default());
    }

    #[test]
    fn projects_that_are_gone_come_last() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("here.segue");
        write(&here, b"");
        let mut settings = Settings::default();
        settings.remember(&here);
        settings.remember(&folder.path().join("gone.segue"));
        write(&folder.path().join(FILE), settings.to_text().as_bytes());
        let (loaded, error) = Settings::load(folder.path());
        assert!(error.is_none());
        assert_eq!(loaded.recent(), [here, folder.path().join("gone.segue")]);
    }

    #[test]
    fn without_a_file_the_defaults_apply() {
        let folder = tempfile::tempdir().unwrap();
        let (settings, error) = Settings::load(&folder.path().join("not there"));
        assert_eq!(settings, Settings::default());
        assert!(error.is_none());
        assert_eq!(load_keys(folder.path()).unwrap(), "");
    }

    #[test]
    fn a_damaged_file_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in [&b"theme = \"blue\""[..], b"theme = ", b"\0\xff\xfe", b"device = \"abacus\""] {
            write(&folder.path().join(FILE), damaged);
            let (settings, error) = Settings::load(folder.path());
            assert_eq!(settings, Settings::default());
            let sentence = error.unwrap().to_string();
            assert!(sentence.starts_with("the settings are damaged, so they begin anew;"), "{sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
            assert_eq!(fs::read(folder.path().join("settings.toml.broken")).unwrap(), damaged);
            assert!(!folder.path().join(FILE).exists());
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let (settings, error) = Settings::load(folder.path());
        assert_eq!(settings, Settings::default());
        assert!(matches!(error, Some(SettingsError::Unreadable { .. })), "{error:?}");
        assert!(folder.path().join(FILE).exists());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in r#"(theme|recent|=|"|\[|\]|1e999|nan|-7|\n|\PC){0,40}"#) {
            if let Ok(settings) = Settings::from_text(&text) {
                prop_assert_eq!(Settings::from_text(&settings.to_text()).unwrap(), settings);
            }
        }
    }

    #[test]
    fn what_is_saved_last_is_there_when_the_saver_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join(FILE);
        let saver = Saver::start(path.clone()).unwrap();
        for i in 0..100 {
            saver.save(format!("prefetch = {i}\n"));
        }
        assert!(saver.failure().is_none());
        drop(saver);
        assert_eq!(fs::read_to_string(path).unwrap(), "prefetch = 99\n");
    }

    #[test]
    fn what_cannot_be_saved_is_told() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("file"), b"");
        let path = folder.path().join("file").join(FILE);
        let saver = Saver::start(path).unwrap();
        saver.save(String::new());
        let failure = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            saver.failure()
        });
        let sentence = failure.unwrap().to_string();
        assert!(sentence.starts_with("cannot write "), "{sentence}");
    }
}
