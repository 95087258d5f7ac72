//! The list of the shown image's objects, and what is known of the selected one.

use egui::{Align, Layout, RichText, ScrollArea, Sense, Ui, Vec2};
use engine::project::{Object, ObjectId, Segment};

use super::{Pane, dot_button};
use crate::{
    command::{Command, Proposals},
    session::Session,
    theme,
};

/// An object, with its segment where it is on the shown frame.
type Row<'a> = (ObjectId, &'a Object, Option<&'a Segment>);

/// The objects of the shown image or video.
fn rows(session: &Session) -> Vec<Row<'_>> {
    let Some(at) = session.frame() else { return Vec::new() };
    let project = session.project();
    let segment = |id| project.segment(id, at.frame).map(|segment| &**segment);
    project.objects_of(at.medium).map(|(id, object)| (id, &**object, segment(id))).collect()
}

pub(crate) fn objects_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let rows: Vec<Row<'_>> = rows(pane.session);
    let n_proposals = rows.iter().filter(|(_, object, _)| object.proposal.is_some()).count();
    ui.horizontal(|ui| {
        ui.strong("Objects");
        ui.weak(rows.len().to_string());
    });
    if n_proposals > 0 {
        ui.horizontal(|ui| {
            ui.label(RichText::new(format!("{n_proposals} proposed")).color(theme::REVIEW));
            let accept = ui.small_button("Accept all");
            pane.on_click(accept, &Command::AcceptAll(Proposals::HERE), "Accept all proposals");
            let reject = ui.small_button("Reject all");
            pane.on_click(reject, &Command::RejectAll(Proposals::HERE), "Reject all proposals");
        });
    }
    attributes_ui(ui, pane);
    if rows.is_empty() {
        ui.weak("Click an object in the image");
    }
    let height = ui.spacing().interact_size.y;
    ScrollArea::vertical().id_salt("objects").auto_shrink([false, false]).show_rows(
        ui,
        height,
        rows.len(),
        |ui, range| {
            for (id, object, segment) in &rows[range] {
                row(ui, pane, *id, object, *segment);
            }
        },
    );
}

fn row(ui: &mut Ui, pane: &mut Pane<'_>, id: ObjectId, object: &Object, segment: Option<&Segment>) {
    let category = pane.session.project().categories.get(&object.category);
    let name = category.map_or("?", |category| category.name.as_str());
    let color = pane.session.color_of(id, object);
    ui.horizontal(|ui| {
        let (swatch, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
        ui.painter().rect_filled(swatch, 3.0, theme::color(color));
        let is_selected = pane.session.selection().contains(&id);
        let title = format!("{name} {}", id.0);
        let text =
            if object.proposal.is_some() { RichText::new(title).italics() } else { RichText::new(title) };
        let response = ui.selectable_label(is_selected, text);
        if response.clicked() {
            let add = ui.input(|input| input.modifiers.command || input.modifiers.shift);
            pane.push(if add { Command::ToggleSelected(id) } else { Command::Select(id) });
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let hidden = pane.session.visibility().hidden.contains(&id);
            let eye = dot_button(ui, !hidden, "Shown");
            if eye.on_hover_text(if hidden { "Show" } else { "Hide" }).clicked() {
                pane.push(Command::ToggleHiddenOf(id));
            }
            ui.weak(state_of(object, segment));
        });
    });
}

/// What one wants to know of an object at a glance.
fn state_of(object: &Object, segment: Option<&Segment>) -> String {
    let segment = match (object.proposal, segment) {
        (Some(score), _) => return format!("{:.0} %", score * 100.0),
        (None, None) => return "–".to_owned(),
        (None, Some(segment)) => segment,
    };
    match &segment.mask {
        _ if !segment.is_answered => "…".to_owned(),
        None => "box".to_owned(),
        Some(mask) if mask.area() == 0 && segment.is_given() => "not here".to_owned(),
        Some(mask) if mask.area() == 0 => "not seen".to_owned(),
        Some(_) if segment.confirmed => "confirmed".to_owned(),
        Some(_) if segment.tracked.is_some() => format!("{:.0} %", segment.iou * 100.0),
        Some(mask) => format!("{} px", mask.area()),
    }
}

/// Answers to the questions that the selected object's category asks.
fn attributes_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let Some((_, object)) = pane.session.selected_object() else { return };
    let object = object.clone();
    let Some(category) = pane.session.project().categories.get(&object.category).cloned() else { return };
    for attribute in &category.attributes {
        let now = object.attributes.get(&attribute.name).cloned().unwrap_or_default();
        let mut answer = now.clone();
        ui.horizontal(|ui| {
            let label = ui.label(&attribute.name);
            if attribute.values.is_empty() {
                ui.text_edit_singleline(&mut answer).labelled_by(label.id);
                return;
            }
            let combo = egui::ComboBox::from_id_salt(&attribute.name).selected_text(&answer);
            combo.show_ui(ui, |ui| {
                for value in std::iter::once("").chain(attribute.values.iter().map(String::as_str)) {
                    ui.selectable_value(
                        &mut answer,
                        value.to_owned(),
                        if value.is_empty() { "–" } else { value },
                    );
                }
            });
        });
        if answer != now {
            pane.push(Command::SetAttribute { name: attribute.name.clone(), value: answer });
        }
    }
}
