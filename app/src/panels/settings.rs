//! The settings: how it looks, what the model is, and every key.

use egui::{Button, ComboBox, Context, Event, Grid, Key, RichText, ScrollArea, Slider, TextEdit, Ui};
use engine::{
    models,
    nn::{Device, Place, remote::Address},
};

use super::dialog;
use crate::{
    command::{CATALOG, Named},
    keymap::{Preset, Shortcut},
    preferences::Preferences,
    settings::{MAX_LARGEST_IMAGE, Theme},
};

/// What the settings remember while they are open.
#[derive(Default)]
pub(crate) struct SettingsScreen {
    shows_keys: bool,
    /// The command that waits for a key.
    waits: Option<&'static Named>,
    problem: Option<String>,
    /// The address of a server, as it is typed, and what is wrong with it.
    server: String,
    no_server: Option<String>,
}

impl SettingsScreen {
    /// With the address of the server that is used, if one is.
    pub(crate) fn new(preferences: &Preferences) -> Self {
        let server = match &preferences.settings().device {
            Some(Place::There(address)) => address.to_string(),
            _ => String::new(),
        };
        Self { server, ..Self::default() }
    }

    /// False once it is left.
    pub(crate) fn ui(&mut self, ctx: &Context, preferences: &mut Preferences) -> bool {
        let modal = dialog("settings").show(ctx, |ui| {
            ui.set_width(520.0);
            ui.heading("Settings");
            ui.horizontal(|ui| {
                ui.selectable_value(&mut self.shows_keys, false, "General");
                ui.selectable_value(&mut self.shows_keys, true, "Keys");
            });
            ui.separator();
            if self.shows_keys {
                self.keys_ui(ui, preferences);
            } else {
                self.general_ui(ui, preferences);
            }
            ui.separator();
            ui.button("Close").clicked()
        });
        let waited = self.waits.is_some();
        self.take_key(ctx, preferences);
        // Escape then was a key like others.
        !modal.inner && (waited || !modal.should_close())
    }

    fn keys_ui(&mut self, ui: &mut Ui, preferences: &mut Preferences) {
        ui.horizontal(|ui| {
            ui.label("Start from");
            let now = preferences.settings().keys;
            ComboBox::from_id_salt("preset").selected_text(now.title()).show_ui(ui, |ui| {
                for preset in Preset::ALL {
                    if ui.selectable_label(preset == now, preset.title()).clicked() {
                        preferences.choose_preset(preset);
                    }
                }
            });
            if ui.button("Take back my own keys").clicked() {
                preferences.reset_keys();
            }
        });
        if let Some(problem) = &self.problem {
            ui.colored_label(ui.visuals().error_fg_color, problem);
        }
        ui.weak("Click a command's keys, then press the new one");
        ScrollArea::vertical().max_height(360.0).auto_shrink([false, true]).show(ui, |ui| {
            Grid::new("all keys").num_columns(2).striped(true).show(ui, |ui| {
                for named in CATALOG {
                    ui.label(format!("{}: {}", named.group.title(), named.title));
                    let keys: Vec<String> =
                        preferences.keymap().keys_of(named.name).map(|k| k.shown()).collect();
                    let waits = self.waits.is_some_and(|waits| waits.name == named.name);
                    let text = if waits { "press a key…".to_owned() } else { keys.join("  ") };
                    let text = RichText::new(if text.is_empty() { "–".to_owned() } else { text }).monospace();
                    let button = Button::new(text).min_size([150.0, 0.0].into());
                    if ui.add(button).clicked() {
                        self.waits = Some(named);
                    }
                    ui.end_row();
                }
            });
        });
    }

    /// The next key that is pressed is the one that is waited for.
    fn take_key(&mut self, ctx: &Context, preferences: &mut Preferences) {
        let Some(named) = self.waits else { return };
        let pressed = ctx.input(|input| {
            input.events.iter().find_map(|event| match event {
                Event::Key { key, modifiers, pressed: true, repeat: false, .. } => Some((*key, *modifiers)),
                _ => None,
            })
        });
        let Some((key, modifiers)) = pressed else { return };
        self.waits = None;
        let outcome = Shortcut::new(modifiers, key)
            .map_err(|error| error.to_string())
            .and_then(|shortcut| preferences.set_keys(named, &[shortcut]).map_err(|error| error.to_string()));
        self.problem = outcome.err();
    }

    fn general_ui(&mut self, ui: &mut Ui, preferences: &mut Preferences) {
        Grid::new("general").num_columns(2).spacing([24.0, 8.0]).show(ui, |ui| {
            ui.label("Look");
            ui.horizontal(|ui| {
                for (theme, title) in
                    [(Theme::System, "System"), (Theme::Dark, "Dark"), (Theme::Light, "Light")]
                {
                    if ui.selectable_label(preferences.settings().theme == theme, title).clicked() {
                        preferences.choose_theme(ui.ctx(), theme);
                    }
                }
            });
            ui.end_row();

            ui.label("Strength of masks");
            let mut opacity = preferences.settings().mask_opacity;
            if ui.add(Slider::new(&mut opacity, 0.0..=1.0)).changed() {
                preferences.change(|settings| settings.mask_opacity = opacity);
            }
            ui.end_row();

            ui.label("A color for each object");
            ui.horizontal(|ui| {
                let settings = preferences.settings();
                let (mut in_images, mut in_videos) =
                    (settings.own_colors_in_images, settings.own_colors_in_videos);
                if ui.checkbox(&mut in_images, "in images").changed()
                    | ui.checkbox(&mut in_videos, "in videos").changed()
                {
                    preferences.change(|settings| {
                        (settings.own_colors_in_images, settings.own_colors_in_videos) =
                            (in_images, in_videos);
                    });
                }
            });
            ui.end_row();

            ui.label("Preview under the pointer");
            let mut preview = preferences.settings().preview;
            if ui.checkbox(&mut preview, "").changed() {
                preferences.change(|settings| settings.preview = preview);
            }
            ui.end_row();

            ui.label("Images to look at ahead");
            let mut prefetch = preferences.settings().prefetch;
            if ui.add(Slider::new(&mut prefetch, 0..=16)).changed() {
                preferences.change(|settings| settings.prefetch = prefetch);
            }
            ui.end_row();

            ui.label("Maximum image size");
            let mut largest = preferences.settings().largest_image;
            let slider = Slider::new(&mut largest, 1..=MAX_LARGEST_IMAGE).logarithmic(true).suffix(" GiB");
            if ui.add(slider).on_hover_text("Images that need more memory are not opened").changed() {
                preferences.change(|settings| settings.largest_image = largest);
            }
            ui.end_row();

            ui.label("Model");
            model_ui(ui, preferences);
            ui.end_row();

            ui.label("Runs on");
            device_ui(ui, preferences);
            ui.end_row();

            self.server_ui(ui, preferences);
            ui.end_row();
        });
        if let Some(problem) = &self.no_server {
            ui.colored_label(ui.visuals().error_fg_color, problem);
        }
        ui.weak("More models, and getting them: File, Models…");
    }

    fn server_ui(&mut self, ui: &mut Ui, preferences: &mut Preferences) {
        let label = ui.label("Or on a server");
        ui.horizontal(|ui| {
            let field =
                TextEdit::singleline(&mut self.server).desired_width(220.0).hint_text("kserve://host:8000");
            let about = "`segue models export` writes what it serves; a token comes from SEGUE_SERVER_TOKEN";
            let field = ui.add(field).labelled_by(label.id).on_hover_text(about);
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let is_used =
                ui.add_enabled(!self.server.trim().is_empty(), Button::new("Connect")).clicked() || entered;
            if is_used {
                let address = self.server.trim().parse::<Address>();
                self.no_server = address.as_ref().err().map(ToString::to_string);
                if let Ok(address) = address {
                    preferences.connect(address);
                }
            }
        });
    }
}

fn model_ui(ui: &mut Ui, preferences: &mut Preferences) {
    let now = preferences.settings().model.clone();
    ComboBox::from_id_salt("model").selected_text(&now).width(180.0).show_ui(ui, |ui| {
        for name in std::iter::once(models::BUILTIN).chain(models::segmenters().map(|model| &*model.name)) {
            if ui.selectable_label(now == name, name).clicked() {
                preferences.change(|settings| settings.model = name.to_owned());
            }
        }
    });
}

fn device_ui(ui: &mut Ui, preferences: &mut Preferences) {
    let now = preferences.settings().device.clone();
    let title = |place: &Option<Place>| {
        place.as_ref().map_or_else(|| "the best that works".to_owned(), Place::to_string)
    };
    let devices = Device::ALL.map(|device| Some(Place::Here(device)));
    // A server that is in use is one of them.
    let server = now.clone().filter(|place| matches!(place, Place::There(_)));
    ComboBox::from_id_salt("device").selected_text(title(&now)).width(180.0).show_ui(ui, |ui| {
        for place in std::iter::once(None).chain(devices).chain(server.map(Some)) {
            if ui.selectable_label(now == place, title(&place)).clicked() {
                preferences.change(|settings| settings.device = place);
            }
        }
    });
}
