//! The user's settings and keys while the window is open: what they are, and how they change and are kept.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use engine::{
    nn::{Place, remote::Address},
    segmenter::ModelInfo,
};

use crate::{
    command::Named,
    keymap::{self, KeyFileError, Keymap, Preset, Shortcut, set_keys},
    looks::{self, LookTimes},
    settings::{FILE, Saver, Settings, SettingsError, Theme, load_keys},
};

/// See the module.
pub struct Preferences {
    settings: Settings,
    keymap: Keymap,
    /// The user's own key file.
    keys: String,
    looks: LookTimes,
    savers: Option<Savers>,
    problems: Vec<String>,
    /// Whether the model is to be loaded even if it is the one that was chosen before.
    is_to_load: bool,
}

struct Savers {
    settings: Saver,
    keys: Saver,
    looks: Saver,
}

impl Preferences {
    /// Those that are kept in a folder; without one, the defaults, which are then not kept. Reads files, so that it is for
    /// the time before there is a window.
    pub fn load(folder: Option<&Path>) -> Self {
        let Some(folder) = folder else {
            return Self::new(Settings::default(), String::new(), None, Vec::new());
        };
        let (settings, problem) = Settings::load(folder);
        let mut problems: Vec<SettingsError> = problem.into_iter().collect();
        let keys = load_keys(folder).unwrap_or_else(|problem| {
            problems.push(problem);
            String::new()
        });
        let savers = || {
            let settings = Saver::start(folder.join(FILE))?;
            let keys = Saver::start(folder.join(keymap::FILE))?;
            std::io::Result::Ok(Savers { settings, keys, looks: Saver::start(folder.join(looks::FILE))? })
        };
        let problems = problems.iter().map(SettingsError::to_string).collect();
        Self { looks: LookTimes::load(folder), ..Self::new(settings, keys, savers().ok(), problems) }
    }

    fn new(settings: Settings, keys: String, savers: Option<Savers>, mut problems: Vec<String>) -> Self {
        let (keymap, errors) = Keymap::preset(settings.keys).with_overrides(&keys);
        problems.extend(errors.iter().map(KeyFileError::to_string));
        Self { settings, keymap, keys, looks: LookTimes::default(), savers, problems, is_to_load: false }
    }

    /// What was wrong with the files, one sentence each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What the user has chosen.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which keys run which commands.
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// Changes settings, and keeps them.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        let before = self.settings.clone();
        change(&mut self.settings);
        if self.settings == before {
            return;
        }
        self.settings.limit_images();
        if self.settings.keys != before.keys {
            self.keymap = Keymap::preset(self.settings.keys).with_overrides(&self.keys).0;
        }
        if let Some(savers) = &self.savers {
            savers.settings.save(self.settings.to_text());
        }
    }

    /// Gives a command these keys, which no other command then has.
    ///
    /// # Errors
    /// If the key file is damaged, so that it cannot be changed.
    pub fn set_keys(&mut self, named: &Named, keys: &[Shortcut]) -> Result<(), KeyFileError> {
        self.keep_keys(set_keys(&self.keys, named, keys)?);
        Ok(())
    }

    /// Takes back all of the user's own keys.
    pub fn reset_keys(&mut self) {
        self.keep_keys(String::new());
    }

    fn keep_keys(&mut self, text: String) {
        self.keys = text;
        self.keymap = Keymap::preset(self.settings.keys).with_overrides(&self.keys).0;
        if let Some(savers) = &self.savers {
            savers.keys.save(self.keys.clone());
        }
    }

    /// Chooses a model, which is loaded again if it is the one that was chosen before.
    pub fn use_model(&mut self, name: &str) {
        self.change(|settings| name.clone_into(&mut settings.model));
        self.is_to_load = true;
    }

    /// Has the model run on a server, which is tried again if it is the one that was chosen before.
    pub fn connect(&mut self, server: Address) {
        self.change(|settings| settings.device = Some(Place::There(server)));
        self.is_to_load = true;
    }

    /// Whether the model is to be loaded even if it is the one that was chosen before; not again then.
    pub fn take_is_to_load(&mut self) -> bool {
        std::mem::take(&mut self.is_to_load)
    }

    /// Chooses where the keys start from.
    pub fn choose_preset(&mut self, preset: Preset) {
        self.change(|settings| settings.keys = preset);
    }

    /// Dark or light, whichever it is not.
    pub fn toggle_theme(&mut self, ctx: &egui::Context) {
        let theme = if ctx.theme() == egui::Theme::Dark { Theme::Light } else { Theme::Dark };
        self.choose_theme(ctx, theme);
    }

    /// Dark, light, or as the desktop has it.
    pub fn choose_theme(&mut self, ctx: &egui::Context, theme: Theme) {
        ctx.set_theme(theme);
        self.change(|settings| settings.theme = theme);
    }

    /// Puts a project before the other recent ones.
    pub fn remember_project(&mut self, path: &Path) {
        if self.settings.recent().first().map(PathBuf::as_path) != Some(path) {
            self.change(|settings| settings.remember(path));
        }
    }

    /// How long models took here for a look at a picture.
    pub fn looks(&self) -> &LookTimes {
        &self.looks
    }

    /// Keeps how long the model that was chosen takes for a look at a picture.
    pub fn measured(&mut self, model: &ModelInfo, look: Duration) {
        if self.settings.model == model.name
            && self.looks.put(model, look)
            && let Some(savers) = &self.savers
        {
            savers.looks.save(self.looks.to_text());
        }
    }

    /// What could not be kept since the last time that this was asked.
    pub fn failure(&self) -> Option<SettingsError> {
        let savers = self.savers.as_ref()?;
        // What was measured is measured again.
        savers.settings.failure().or_else(|| savers.keys.failure())
    }
}
