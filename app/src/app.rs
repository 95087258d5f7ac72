//! The window: what the user sees of the session, and what they say to it.
//!
//! Each turn goes one way: keys, dialogs and panels make commands; the session takes them and the engine's events in; and
//! the panels and the canvas draw what then is.

use std::{path::PathBuf, time::Instant};

use egui::{CentralPanel, Context, Frame, Margin, Panel, Ui, ViewportCommand};
use engine::{
    file::has_suffix,
    models::Shelf,
    worker::{Engine, Load},
};

use crate::{
    canvas::{Canvas, ViewChange},
    command::Command,
    dialogs::Dialogs,
    keymap::watch_typing,
    panels::{
        ExportScreen, FindPanel, ModelsScreen, NewCategory, NewNumber, Palette, Pane, Purpose,
        SettingsScreen, Strip, Timeline, TypedPath, categories_ui, help_ui, menu_ui, notices_ui, objects_ui,
        statistics_ui, status_ui, tools_ui, unsaved_ui, welcome_ui,
    },
    preferences::Preferences,
    session::{AGAIN, Model, Seen, Session},
    settings::ModelChoice,
    theme,
};

/// See the module.
pub struct App {
    session: Session,
    engine: Engine,
    /// How the model of a choice is loaded.
    load: Box<dyn Fn(&ModelChoice) -> Load>,
    /// Of the model that the engine was told to load last.
    choice: ModelChoice,
    /// What the engine had no room for yet.
    unsent: Option<Load>,
    preferences: Preferences,
    canvas: Canvas,
    strip: Strip,
    timeline: Timeline,
    find: FindPanel,
    screen: Option<Screen>,
    dialogs: Dialogs,
    /// What the user has said since the last turn.
    commands: Vec<Command>,
    seen: Seen,
    /// When the last turn was.
    turned: Option<Instant>,
}

/// What lies over everything else.
enum Screen {
    Palette(Palette),
    Help,
    Settings(SettingsScreen),
    Export(Box<ExportScreen>),
    Models(ModelsScreen),
    Statistics,
    NewCategory(NewCategory),
    NewNumber(NewNumber),
    TypedPath(TypedPath),
}

impl App {
    /// Starts the engine with the model that `load` loads for the settings, and opens `paths`, if there are any.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(
        creation: &eframe::CreationContext<'_>,
        load: impl Fn(&ModelChoice) -> Load + 'static,
        preferences: Preferences,
        paths: Vec<PathBuf>,
    ) -> std::io::Result<Self> {
        let ctx = creation.egui_ctx.clone();
        theme::apply(&ctx);
        ctx.set_theme(preferences.settings().theme);
        let dialogs = Dialogs::new(ctx.clone());
        let choice = preferences.settings().model_choice();
        let engine = Engine::start(load(&choice), move || ctx.request_repaint())?;
        let mut session = Session::default();
        for problem in preferences.problems() {
            session.notices.warn(problem.clone());
        }
        session.look_at_models();
        let commands = if paths.is_empty() { Vec::new() } else { vec![Command::Open(paths)] };
        Ok(Self {
            session,
            engine,
            load: Box::new(load),
            choice,
            unsent: None,
            preferences,
            canvas: Canvas::new(creation.wgpu_render_state.as_ref()),
            strip: Strip::default(),
            timeline: Timeline::default(),
            find: FindPanel::default(),
            turned: None,
            screen: None,
            dialogs,
            commands,
            seen: Seen::default(),
        })
    }

    /// What the window shows.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Has it look for models in another folder than the user's.
    pub fn keep_models_on(&mut self, shelf: Shelf) {
        self.session.keep_models_on(shelf);
        self.session.look_at_models();
    }

    /// Says something to it, as a panel would.
    pub fn say(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Where a place in the shown image, in its pixels, is on the screen.
    pub fn to_screen(&self, at: engine::geometry::Point) -> Option<egui::Pos2> {
        self.canvas.to_screen(at, &self.session)
    }

    /// Does what concerns the window alone.
    fn execute(&mut self, ctx: &Context, command: &Command) {
        match command {
            Command::ChooseFolder => self.dialogs.ask(Purpose::Folder, &self.session),
            Command::ChooseFiles => self.dialogs.ask(Purpose::Files, &self.session),
            Command::ChooseImport => self.dialogs.ask(Purpose::Import, &self.session),
            Command::ChooseImportFolder => self.dialogs.ask(Purpose::ImportFolder, &self.session),
            Command::ChooseExport => {
                self.screen = ExportScreen::new(&self.session).map(Box::new).map(Screen::Export);
            }
            Command::ChooseExportFolder => self.dialogs.ask(Purpose::ExportFolder, &self.session),
            Command::ExportInto(folder) => {
                if let Some(Screen::Export(screen)) = &mut self.screen {
                    screen.set_folder(folder);
                }
            }
            Command::Statistics => {
                self.screen = self.session.file().map(|_| Screen::Statistics);
            }
            Command::ShowModels => self.screen = Some(Screen::Models(ModelsScreen::default())),
            Command::ChooseModel => self.dialogs.ask(Purpose::Model, &self.session),
            Command::UseModel(name) => self.preferences.use_model(name),
            Command::ShowFind => self.find.toggle(),
            Command::ChooseDetector => self.dialogs.ask(Purpose::Detector, &self.session),
            Command::UseDetector(path) => self.find.use_detector(path),
            Command::ChooseMediaFolder => self.dialogs.ask(Purpose::FindMedia, &self.session),
            Command::ChooseFrames => self.dialogs.ask(Purpose::Frames, &self.session),
            // Without a text in the clipboard, the system says nothing when it is told to paste.
            Command::CopyTrack => ctx.copy_text("Masks copied in Segue".to_owned()),
            Command::ChooseNumber => {
                let selected = self.session.selected_object().map(|(id, _)| NewNumber::new(id));
                self.screen = selected.map(Screen::NewNumber);
            }
            Command::OpenDemo => self.dialogs.make_demo(),
            Command::ChooseSaveElsewhere => self.dialogs.ask(Purpose::SaveElsewhere, &self.session),
            Command::Fit => self.change_view(ctx, ViewChange::Fit),
            Command::ActualSize => self.change_view(ctx, ViewChange::ActualSize),
            Command::ZoomIn => self.change_view(ctx, ViewChange::Zoom(1.25)),
            Command::ZoomOut => self.change_view(ctx, ViewChange::Zoom(0.8)),
            Command::NewCategory => self.screen = Some(Screen::NewCategory(NewCategory::default())),
            Command::Palette => self.screen = Some(Screen::Palette(Palette::default())),
            Command::Help => self.screen = Some(Screen::Help),
            Command::Settings => self.screen = Some(Screen::Settings(SettingsScreen::new(&self.preferences))),
            Command::MoreOpaque => self.change_opacity(0.1),
            Command::LessOpaque => self.change_opacity(-0.1),
            Command::TogglePreview => {
                self.preferences.change(|settings| settings.preview = !settings.preview)
            }
            Command::ToggleOwnColors => {
                let is_video = self.session.video().is_some();
                self.preferences.change(|settings| *settings.own_colors_mut(is_video) ^= true);
            }
            Command::ToggleTheme => self.preferences.toggle_theme(ctx),
            _ => {}
        }
    }

    /// Has the engine load another model once the settings name another.
    fn keep_model_true(&mut self) {
        let choice = self.preferences.settings().model_choice();
        if self.preferences.take_is_to_load() || choice != self.choice {
            self.unsent = Some((self.load)(&choice));
            self.choice = choice;
            self.session.model_is_loading();
        }
        self.unsent = self.unsent.take().and_then(|load| self.engine.load(load).err());
    }

    fn change_opacity(&mut self, by: f32) {
        self.preferences.change(|s| s.mask_opacity = (s.mask_opacity + by).clamp(0.0, 1.0));
    }

    fn change_view(&mut self, ctx: &Context, change: ViewChange) {
        self.canvas.change_view(change, &self.session, ctx.pixels_per_point());
    }

    /// What the user has said: keys, answers to dialogs, files dropped on the window.
    fn hear(&mut self, ctx: &Context) {
        let is_asked = self.screen.is_some() || self.session.is_asking();
        if !is_asked && !ctx.text_edit_focused() {
            self.canvas.keys(ctx, &mut self.commands);
        }
        if is_asked {
            watch_typing(ctx);
        } else {
            self.review_keys(ctx);
            self.copy_and_paste(ctx);
            let pressed = self.preferences.keymap().pressed(ctx);
            // While a button is held, other keys than that for undo would pull away what it is held for.
            let is_dragging = self.canvas.is_dragging();
            self.commands
                .extend(pressed.into_iter().filter(|command| !is_dragging || *command == Command::Undo));
        }
        if let Some(answer) = self.dialogs.answer() {
            match answer {
                Ok(command) => self.commands.push(command),
                Err((purpose, proposal)) => {
                    self.screen = Some(Screen::TypedPath(TypedPath::new(purpose, proposal)));
                }
            }
        }
        let dropped: Vec<PathBuf> =
            ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
        self.commands.extend(self.dropped(dropped));
    }

    /// The system's keys for copying and pasting, which come as what they mean.
    fn copy_and_paste(&mut self, ctx: &Context) {
        if ctx.text_edit_focused() || self.session.video().is_none() {
            return;
        }
        let meant = |event: &egui::Event| match event {
            egui::Event::Copy => Some(Command::CopyTrack),
            egui::Event::Paste(_) => Some(Command::PasteTrack),
            _ => None,
        };
        self.commands.extend(ctx.input(|input| input.events.iter().filter_map(meant).collect::<Vec<_>>()));
    }

    /// In a review Enter accepts and X rejects, whatever else they mean.
    fn review_keys(&mut self, ctx: &Context) {
        if !self.session.is_reviewing() || ctx.text_edit_focused() {
            return;
        }
        let keys = [(egui::Key::Enter, Command::ReviewAccept), (egui::Key::X, Command::ReviewReject)];
        for (key, command) in keys {
            if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, key)) {
                self.commands.push(command);
            }
        }
    }

    /// What is meant by dropping files and folders on the window.
    fn dropped(&self, paths: Vec<PathBuf>) -> Vec<Command> {
        let all_are = |suffix: &str| paths.iter().all(|path| has_suffix(path, &[suffix]));
        match self.session.file().is_some() {
            _ if paths.is_empty() => Vec::new(),
            _ if ["pt", "pth", "safetensors"].into_iter().any(all_are) => {
                paths.into_iter().map(Command::AddModel).collect()
            }
            true if all_are("onnx") => paths.into_iter().map(Command::UseDetector).collect(),
            true if all_are("json") || all_are("xml") => paths.into_iter().map(Command::Import).collect(),
            true if !all_are("segue") => vec![Command::AddMedia(paths)],
            _ => vec![Command::Open(paths)],
        }
    }

    fn panels(&mut self, ui: &mut Ui) {
        let Self { session, preferences, canvas, strip, timeline, find, commands, seen, .. } = self;
        let mut pane = Pane { session, preferences, commands };
        let thin = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(8, 4));
        Panel::top("menu").frame(thin).show(ui, |ui| menu_ui(ui, &mut pane));
        if session.file().is_none() {
            CentralPanel::default().show(ui, |ui| welcome_ui(ui, &mut pane));
            *seen = Seen::default();
            return;
        }
        Panel::bottom("status").frame(thin).show(ui, |ui| {
            status_ui(ui, &mut pane, canvas.pointer(), canvas.scale(session));
        });
        let is_video = session.video().is_some();
        let mut thumbnails = Vec::new();
        // A video alone needs no strip.
        if !is_video || session.project().media.len() > 1 {
            let strip_panel = Panel::bottom("strip").resizable(false).exact_size(122.0);
            thumbnails = strip_panel.show(ui, |ui| strip.ui(ui, &mut pane)).inner;
        }
        if is_video {
            let panel =
                Panel::bottom("timeline").resizable(true).default_size(150.0).size_range(90.0..=420.0);
            panel.show(ui, |ui| timeline.ui(ui, &mut pane));
        }
        Panel::left("tools")
            .resizable(false)
            .exact_size(46.0)
            .frame(thin.inner_margin(Margin::same(2)))
            .show(ui, |ui| tools_ui(ui, &mut pane));
        if find.is_open {
            Panel::left("find")
                .default_size(250.0)
                .size_range(210.0..=420.0)
                .show(ui, |ui| find.ui(ui, &mut pane));
        }
        Panel::right("lists").default_size(240.0).size_range(180.0..=480.0).show(ui, |ui| {
            Panel::top("categories")
                .resizable(true)
                .default_size(170.0)
                .min_size(80.0)
                .frame(Frame::NONE)
                .show(ui, |ui| {
                    categories_ui(ui, &mut pane);
                });
            CentralPanel::default().frame(Frame::NONE).show(ui, |ui| objects_ui(ui, &mut pane));
        });
        let hover = CentralPanel::default().frame(Frame::NONE).show(ui, |ui| canvas.ui(ui, &mut pane)).inner;
        let hover = hover.filter(|_| preferences.settings().preview);
        *seen = Seen { hover, thumbnails, ..Seen::default() };
    }

    fn screens(&mut self, ctx: &Context) {
        let Self { session, preferences, screen, commands, .. } = self;
        unsaved_ui(ctx, &mut Pane { session, preferences, commands });
        if let Some(Screen::Settings(settings)) = screen {
            if !settings.ui(ctx, preferences) {
                *screen = None;
            }
            return;
        }
        let mut pane = Pane { session, preferences, commands };
        let stays = match screen {
            Some(Screen::Palette(palette)) => palette.ui(ctx, &mut pane),
            Some(Screen::Help) => help_ui(ctx, &pane),
            Some(Screen::Export(question)) => question.ui(ctx, &mut pane),
            Some(Screen::Models(screen)) => screen.ui(ctx, &mut pane),
            Some(Screen::Statistics) => statistics_ui(ctx, &pane),
            Some(Screen::NewCategory(question)) => question.ui(ctx, &mut pane),
            Some(Screen::NewNumber(question)) => question.ui(ctx, &mut pane),
            Some(Screen::TypedPath(question)) => question.ui(ctx, &mut pane),
            Some(Screen::Settings(_)) | None => return,
        };
        if !stays {
            *screen = None;
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        self.hear(ctx);
        if ctx.input(|input| input.viewport().close_requested()) && !self.session.is_over() {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.commands.push(Command::Quit);
        }
        let mut commands = std::mem::take(&mut self.commands);
        commands.retain(|command| *command != Command::Undo || !self.canvas.take_back());
        for command in &commands {
            self.execute(ctx, command);
        }
        self.keep_model_true();
        let is_video = self.session.video().is_some();
        self.session.show_own_colors(self.preferences.settings().own_colors(is_video));
        self.seen.ahead = self.preferences.settings().prefetch;
        let now = Instant::now();
        self.seen.elapsed = self.turned.replace(now).map_or_else(Default::default, |turned| now - turned);
        self.session.turn(&self.engine, commands, &self.seen);
        if self.session.is_over() {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        if let Some(failure) = self.preferences.failure() {
            self.session.notices.error(failure.to_string());
        }
        if let Some(file) = self.session.file() {
            self.preferences.remember_project(&file.path);
        }
        if let Model::Ready(model) = self.session.model()
            && let Some(look) = self.session.times(&model.name).look
        {
            self.preferences.measured(model, look);
        }
        if self.session.player().plays() || self.session.lit().next().is_some() {
            ctx.request_repaint();
        }
        if self.session.misses_files() {
            ctx.request_repaint_after(AGAIN);
        }
        if *self.session.model() == Model::Loading {
            ctx.request_repaint_after(std::time::Duration::from_millis(100));
        }
    }

    fn on_exit(&mut self) {
        // What was said last is still done, and what jobs have found is kept; the engine saves all that it was told before
        // it ends.
        self.commands.push(Command::CloseProject);
        self.session.turn(&self.engine, std::mem::take(&mut self.commands), &Seen::default());
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.panels(ui);
        let ctx = ui.ctx().clone();
        self.screens(&ctx);
        let corner = self.canvas.lower_right(&ctx);
        notices_ui(&ctx, &mut self.session.notices, corner);
        if !self.commands.is_empty() {
            // What was said is done before the next turn is drawn.
            ctx.request_repaint();
        }
    }
}
