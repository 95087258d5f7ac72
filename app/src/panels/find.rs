//! Where one says what to find, and what of it counts.

use std::path::{Path, PathBuf};

use egui::{
    Align, Button, ComboBox, DragValue, Key, Label, Layout, RichText, ScrollArea, Sense, Slider, TextEdit,
    Ui, Vec2,
};
use engine::{
    detector::Role,
    formats::counted,
    models::{self, BUILTIN, Finds},
};

use super::{Pane, tick_button};
use crate::{
    command::{Command, Example, Find, Proposals, Scope},
    session::{Row, Stage},
    theme,
};

/// See the module.
pub(crate) struct FindPanel {
    pub(crate) is_open: bool,
    words: String,
    examples: Vec<Example>,
    /// A name or a file; none for whichever suits.
    detector: Option<String>,
    place: Place,
    every: usize,
    /// The score from which on all are accepted.
    above: f32,
    takes_focus: bool,
    /// The project that the examples are of.
    project: Option<PathBuf>,
}

/// Where to look.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Image,
    Video,
    Project,
}

impl Default for FindPanel {
    fn default() -> Self {
        Self {
            is_open: false,
            words: String::new(),
            examples: Vec::new(),
            detector: None,
            place: Place::Image,
            every: 10,
            above: 0.5,
            takes_focus: false,
            project: None,
        }
    }
}

impl FindPanel {
    pub(crate) fn toggle(&mut self) {
        self.is_open = !self.is_open;
        self.takes_focus = self.is_open;
    }

    pub(crate) fn use_detector(&mut self, path: &Path) {
        self.detector = Some(path.display().to_string());
        self.is_open = true;
    }

    pub(crate) fn ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        ScrollArea::vertical()
            .id_salt("find")
            .auto_shrink([false, false])
            .show(ui, |ui| self.shown(ui, pane));
    }

    fn shown(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        ui.horizontal(|ui| {
            ui.strong("Find objects");
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let close = ui.small_button("×");
                pane.on_click(close, &Command::ShowFind, "Close");
            });
        });
        let entered = self.words_ui(ui);
        self.examples_ui(ui, pane);
        self.detector_ui(ui, pane);
        self.place_ui(ui, pane);
        let is_running = pane.session.finding().is_running();
        let find = ui
            .vertical_centered_justified(|ui| {
                let button = Button::new(RichText::new("Find").strong()).fill(ui.visuals().selection.bg_fill);
                ui.add_enabled(!is_running, button)
            })
            .inner;
        if find.clicked() || (entered && !is_running) {
            pane.push(Command::Find(Box::new(self.find())));
        }
        if let Some(failure) = pane.session.finding().failure() {
            failure_ui(ui, pane, failure);
        }
        ui.separator();
        self.found_ui(ui, pane);
    }

    /// True if Enter was pressed in it.
    fn words_ui(&mut self, ui: &mut Ui) -> bool {
        // What a detector was trained on needs no words.
        if !self.takes_words() {
            return false;
        }
        let label = ui.label("What").on_hover_text(
            "Words for what to find; parts between semicolons are found each on its own.\n\
            vehicle = car, truck: several phrases for one category.\n\
            forklift @0.3: a threshold of its own.",
        );
        let field = TextEdit::singleline(&mut self.words).desired_width(f32::INFINITY);
        let field = ui.add(field.hint_text("forklift; person without helmet")).labelled_by(label.id);
        if std::mem::take(&mut self.takes_focus) {
            field.request_focus();
        }
        field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
    }

    fn examples_ui(&mut self, ui: &mut Ui, pane: &Pane<'_>) {
        if !self.takes_examples() {
            return;
        }
        let selected = pane.session.selected_examples();
        ui.horizontal(|ui| {
            let add = ui.add_enabled(!selected.is_empty(), Button::new("Like the selected object"));
            let add = add.on_hover_text("Find things that look like it");
            if add.on_disabled_hover_text("Select an object first").clicked() {
                let new = selected.into_iter().filter(|example| !self.examples.contains(example));
                self.examples.extend(new.collect::<Vec<_>>());
            }
        });
        let project = pane.session.file().map(|file| file.path.clone());
        if self.project != project {
            self.project = project;
            self.examples.clear();
        }
        // What was an example may be gone.
        self.examples.retain(|example| pane.session.project().media.contains_key(&example.at.medium));
        let mut gone = None;
        for (i, example) in self.examples.iter().enumerate() {
            ui.horizontal(|ui| {
                if ui.small_button("×").on_hover_text("Not like this").clicked() {
                    gone = Some(i);
                }
                ui.label(&example.name);
            });
        }
        if let Some(i) = gone {
            self.examples.remove(i);
        }
    }

    fn detector_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        ui.horizontal(|ui| {
            let label = ui.label("With");
            let shown = self.detector.as_deref().map_or("whatever suits", short);
            let combo = ComboBox::from_id_salt("detector").selected_text(shown).width(150.0);
            let chosen = combo.show_ui(ui, |ui| {
                ui.selectable_value(&mut self.detector, None, "whatever suits");
                ui.selectable_value(&mut self.detector, Some(BUILTIN.to_owned()), "built-in, by examples");
                for model in models::detectors() {
                    let title = format!("{}, {}", model.name, model.about);
                    ui.selectable_value(&mut self.detector, Some(model.name.clone()), title);
                }
                for model in pane.session.own_models_for(&[Finds::Words, Finds::Classes]) {
                    let title = format!("{}, {}", model.name, model.about);
                    ui.selectable_value(&mut self.detector, Some(model.name.clone()), title);
                }
                ui.separator();
                ui.button("A file of my own…").clicked()
            });
            chosen.response.labelled_by(label.id);
            if chosen.inner == Some(true) {
                pane.push(Command::ChooseDetector);
            }
        });
    }

    fn place_ui(&mut self, ui: &mut Ui, pane: &Pane<'_>) {
        let is_video = pane.session.video().is_some();
        let has_videos = pane.session.project().media.values().any(|m| m.is_video());
        if self.place == Place::Video && !is_video {
            self.place = Place::Image;
        }
        let title = |place| match place {
            Place::Image if is_video => "this frame",
            Place::Image => "this image",
            Place::Video => "this video",
            Place::Project if has_videos => "all images and videos",
            Place::Project => "all images",
        };
        ui.horizontal(|ui| {
            let label = ui.label("In");
            let combo = ComboBox::from_id_salt("place").selected_text(title(self.place)).width(150.0);
            let shown = combo.show_ui(ui, |ui| {
                for place in [Place::Image, Place::Video, Place::Project] {
                    if place != Place::Video || is_video {
                        ui.selectable_value(&mut self.place, place, title(place));
                    }
                }
            });
            shown.response.labelled_by(label.id).on_hover_text("Those that are marked as done are left out");
        });
        if self.place == Place::Video || (self.place == Place::Project && has_videos) {
            ui.horizontal(|ui| {
                ui.label("look at every");
                ui.add(DragValue::new(&mut self.every).range(1..=1000));
                ui.label("frames, track in between");
            });
        }
    }

    fn takes_words(&self) -> bool {
        self.detector.as_ref().is_none_or(|name| may_know_words(name))
    }

    fn takes_examples(&self) -> bool {
        self.takes_words() || self.detector.as_deref() == Some(BUILTIN)
    }

    fn find(&self) -> Find {
        Find {
            words: if self.takes_words() { self.words.clone() } else { String::new() },
            examples: if self.takes_examples() { self.examples.clone() } else { Vec::new() },
            detector: self.detector.clone(),
            scope: if self.place == Place::Project { Scope::Project } else { Scope::Image },
            threshold: None,
            every: (self.place != Place::Image).then_some(self.every),
        }
    }

    fn found_ui(&mut self, ui: &mut Ui, pane: &mut Pane<'_>) {
        let everywhere = Proposals { scope: Scope::Project, category: None, least: 0.0 };
        let n = pane.session.proposals_of(everywhere).len();
        let finding = pane.session.finding();
        if let Some(usual) = finding.usual_threshold() {
            let mut threshold = usual;
            ui.label("Sure by at least");
            if slider(ui, &mut threshold, "Sure by at least", finding.is_small()) {
                pane.push(Command::SetUsualThreshold(threshold));
            }
        }
        let rows = pane.session.finding().rows().to_vec();
        for row in &rows {
            row_ui(ui, pane, row, rows.len() == 1);
        }
        if n == 0 {
            return;
        }
        ui.separator();
        ui.label(RichText::new(format!("{} in all images", counted(n, "proposal"))).color(theme::REVIEW));
        ui.horizontal(|ui| {
            let next = ui.button("Next");
            pane.on_click(next, &Command::NextProposal, "Next proposal");
            let order = if pane.session.goes_worst_first() { "worst first" } else { "best first" };
            let order = ui.button(order);
            pane.on_click(order, &Command::ToggleProposalOrder, "In which order one goes through them");
        });
        ui.horizontal(|ui| {
            let accept = ui.button("Accept all from");
            let above = Proposals { least: self.above, ..everywhere };
            let title = format!("Accept the {} that are as sure", pane.session.proposals_of(above).len());
            pane.on_click(accept, &Command::AcceptAll(above), &title);
            let value = DragValue::new(&mut self.above).range(0.0..=1.0).speed(0.005).max_decimals(2);
            ui.add(value).on_hover_text("How sure, 0 to 1");
            let reject = ui.button("Reject all");
            pane.on_click(reject, &Command::RejectAll(everywhere), "Reject all proposals in all images");
        });
    }
}

/// What was found of one kind: its category, its threshold if others have others, and a word on all of it.
fn row_ui(ui: &mut Ui, pane: &mut Pane<'_>, row: &Row, is_only: bool) {
    let category = pane.session.project().category_named(&row.kind.category);
    let color = category.map_or([128; 3], |id| pane.session.category_color(id));
    let is_wanted = row.kind.role == Role::Wanted;
    let mut change = None;
    ui.push_id(row.class, |ui| {
        ui.horizontal(|ui| {
            let (swatch, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
            ui.painter().rect_filled(swatch, 3.0, theme::color(color));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let menu = ui.menu_button("…", |ui| {
                    ui.weak("These are");
                    if let Some(category) = category_menu(ui, pane, row) {
                        change = Some((row.kind.threshold, category));
                    }
                });
                menu.response.on_hover_text("Their category, or leave them out");
                if category.is_some() && is_wanted {
                    let these = Proposals { scope: Scope::Project, category, least: 0.0 };
                    let reject = ui.small_button("×");
                    pane.on_click(reject, &Command::RejectAll(these), "Reject all of this category");
                    let accept = tick_button(ui, "Accept all of this category");
                    pane.on_click(accept, &Command::AcceptAll(these), "Accept all of this category");
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let name = RichText::new(&row.kind.name);
                    let name = Label::new(if is_wanted { name.strong() } else { name.weak() });
                    ui.add(name.truncate()).on_hover_text(&row.kind.name);
                });
            });
        });
        let what = match (is_wanted, row.kind.category != row.kind.name) {
            (false, _) => "left out".to_owned(),
            (true, true) => format!("{} of {}, as {}", row.n_counting, row.n_found, row.kind.category),
            (true, false) => format!("{} of {}", row.n_counting, row.n_found),
        };
        ui.weak(what).on_hover_text("So many are as sure as the threshold, of all that were found");
        let mut threshold = row.threshold;
        let name = format!("Threshold of {}", row.kind.name);
        if is_wanted && !is_only && slider(ui, &mut threshold, &name, pane.session.finding().is_small()) {
            change = Some((Some(threshold), Some(row.kind.category.clone())));
        }
    });
    if let Some((threshold, category)) = change {
        pane.push(Command::CountAs { class: row.class, threshold, category });
    }
}

/// What things of a kind can be: a category, or nothing if they are left out.
fn category_menu(ui: &mut Ui, pane: &Pane<'_>, row: &Row) -> Option<Option<String>> {
    let mut chosen = None;
    let now = Some(&row.kind.category).filter(|_| row.kind.role == Role::Wanted);
    let names = pane.session.project().categories.values().map(|category| &category.name);
    let new = Some(&row.kind.name).filter(|name| pane.session.project().category_named(name).is_none());
    for name in names.chain(new) {
        if ui.selectable_label(now == Some(name), name).clicked() {
            chosen = Some(Some(name.clone()));
        }
    }
    ui.separator();
    if ui.selectable_label(now.is_none(), "left out").clicked() {
        chosen = Some(None);
    }
    if chosen.is_some() {
        ui.close();
    }
    chosen
}

/// A slider for a score. True if what was chosen is to be taken over: at once, or when it is let go.
fn slider(ui: &mut Ui, score: &mut f32, name: &str, at_once: bool) -> bool {
    let id = ui.make_persistent_id(("score", name));
    let mut chosen = ui.data(|data| data.get_temp::<f32>(id)).unwrap_or(*score);
    ui.spacing_mut().slider_width = (ui.available_width() - 56.0).max(60.0);
    let slider = ui.add(Slider::new(&mut chosen, 0.0..=1.0).max_decimals(2).step_by(0.01));
    slider.widget_info(|| egui::WidgetInfo::slider(true, f64::from(chosen), name));
    let is_held = slider.dragged() || slider.is_pointer_button_down_on();
    let is_taken = if is_held && !at_once {
        ui.data_mut(|data| data.insert_temp(id, chosen));
        false
    } else {
        ui.data_mut(|data| data.remove_temp::<f32>(id));
        // egui rounds what it shows.
        (chosen - *score).abs() >= 0.005
    };
    *score = chosen;
    is_taken
}

/// Why nothing was found, and getting what is missing.
fn failure_ui(ui: &mut Ui, pane: &mut Pane<'_>, failure: &str) {
    ui.label(RichText::new(failure).color(theme::REVIEW));
    // The model that is missing is named by the page where it is published.
    let Some(model) = models::detectors().find(|model| failure.contains(&model.page())) else { return };
    let stage = pane.session.models().find(|(other, _)| other.name == model.name).map(|(_, stage)| stage);
    match stage {
        Some(Stage::Here(_)) => drop(ui.label("It is here now")),
        Some(Stage::Waiting | Stage::Coming { .. }) => {
            let shown = ui.link(format!("{} is coming…", model.name));
            pane.on_click(shown, &Command::ShowModels, "Models");
        }
        _ => {
            let get = ui.button(format!("Download {} ({} MB)", model.name, model.megabytes));
            pane.on_click(get, &Command::GetModel(model.name.clone()), &model.license);
        }
    }
}

/// Whether a detector may know words; what a file is shows when it is loaded.
fn may_know_words(name: &str) -> bool {
    match models::named(name) {
        Some(model) => model.finds == Finds::Words,
        None => name != BUILTIN && !name.ends_with(".onnx"),
    }
}

/// A name, or a file without its folders.
fn short(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}
