//! The panels round the canvas: they read the session and push commands.

mod categories;
mod export;
mod find;
mod help;
mod jobs;
mod menu;
mod models;
mod notices;
mod number;
mod objects;
mod palette;
mod settings;
mod statistics;
mod status;
mod strip;
mod timeline;
mod tools;
mod typed;
mod unsaved;
mod welcome;

use egui::{Button, Color32, Id, Modal, Order, Response, Role, Sense, Stroke, Ui, Vec2, WidgetInfo};

use crate::{
    command::{CATALOG, Command, Named},
    preferences::Preferences,
    session::Session,
};

pub(crate) use self::{
    categories::{NewCategory, categories_ui},
    export::ExportScreen,
    find::FindPanel,
    help::help_ui,
    menu::menu_ui,
    models::ModelsScreen,
    notices::notices_ui,
    number::NewNumber,
    objects::objects_ui,
    palette::Palette,
    settings::SettingsScreen,
    statistics::statistics_ui,
    status::status_ui,
    strip::Strip,
    timeline::Timeline,
    tools::tools_ui,
    typed::{Purpose, TypedPath},
    unsaved::unsaved_ui,
    welcome::welcome_ui,
};

/// A modal dialog. Its order keeps it below the lists of its combo boxes, which egui otherwise draws behind it when they open
/// again.
fn dialog(name: &str) -> Modal {
    let id = Id::unique(name);
    Modal::new(id).area(Modal::default_area(id).order(Order::Middle))
}

/// What every panel is given.
pub(crate) struct Pane<'a> {
    pub(crate) session: &'a Session,
    pub(crate) preferences: &'a Preferences,
    /// What the user says through the panel.
    pub(crate) commands: &'a mut Vec<Command>,
}

impl Pane<'_> {
    pub(crate) fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Pushes the command when clicked, and tells its key where one hovers.
    pub(crate) fn on_click(&mut self, response: Response, command: &Command, title: &str) -> Response {
        if response.clicked() {
            self.push(command.clone());
        }
        match self.key_of(command) {
            Some(key) => response.on_hover_text(format!("{title}  ({key})")),
            None => response.on_hover_text(title.to_owned()),
        }
    }

    /// The key of a command, if it has one.
    pub(crate) fn key_of(&self, command: &Command) -> Option<String> {
        CATALOG
            .iter()
            .find(|named| named.command == *command)
            .and_then(|named| self.preferences.keymap().shown(named))
    }

    /// A line of a menu.
    pub(crate) fn menu_item(&mut self, ui: &mut Ui, named: &Named) {
        let key = self.key_of(&named.command).unwrap_or_default();
        let checked = self.is_on(&named.command);
        let button = Button::new(named.title).shortcut_text(key).selected(checked);
        if ui.add_enabled(self.is_possible(&named.command), button).clicked() {
            self.push(named.command.clone());
            ui.close();
        }
    }

    /// Whether something that is either on or off is on.
    fn is_on(&self, command: &Command) -> bool {
        let (tools, visibility) = (self.session.tools(), self.session.visibility());
        match command {
            Command::SetTool(tool) => tools.tool == *tool,
            Command::ToggleOnlyUnlabeled => tools.only_unlabeled,
            Command::SwapSign => tools.is_swapped,
            Command::ToggleMasks => visibility.masks,
            Command::ToggleOwnColors => visibility.own_colors,
            Command::TogglePreview => self.preferences.settings().preview,
            Command::ToggleSolo => visibility.solo,
            _ => false,
        }
    }

    /// Whether it would do anything now.
    pub(crate) fn is_possible(&self, command: &Command) -> bool {
        use Command::{
            ChooseFiles, ChooseFolder, Help, OpenDemo, Palette, Quit, Redo, Settings, ShowModels,
            ToggleTheme, Undo,
        };
        match command {
            ChooseFolder | ChooseFiles | OpenDemo | ShowModels | Settings | Quit | Palette | Help
            | ToggleTheme => true,
            Undo => self.session.history().undoable().is_some(),
            Redo => self.session.history().redoable().is_some(),
            Command::CancelJob => !self.session.jobs().is_empty(),
            _ => self.session.file().is_some(),
        }
    }
}

/// A dot that says a state by its color.
fn dot(ui: &mut Ui, color: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 4.0, color);
    response
}

/// A dot to click, filled while something is on.
fn dot_button(ui: &mut Ui, is_on: bool, name: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(18.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, is_on, name));
    let color = ui.style().interact(&response).fg_stroke.color;
    if is_on {
        ui.painter().circle_filled(rect.center(), 4.5, color);
    } else {
        ui.painter().circle_stroke(rect.center(), 4.0, Stroke::new(1.2, color));
    }
    response
}

/// A small button with a tick.
fn tick_button(ui: &mut Ui, name: &str) -> Response {
    let response = ui.small_button("    ");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    let (at, stroke) =
        (response.rect.center(), Stroke::new(1.5, ui.style().interact(&response).fg_stroke.color));
    let tick = [Vec2::new(-4.0, 0.0), Vec2::new(-1.0, 3.0), Vec2::new(4.0, -4.0)].map(|by| at + by);
    ui.painter().line_segment([tick[0], tick[1]], stroke);
    ui.painter().line_segment([tick[1], tick[2]], stroke);
    response
}
