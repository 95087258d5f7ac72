//! The question for an object's other number.

use egui::{Context, DragValue, Key};
use engine::project::ObjectId;

use super::{Pane, dialog};
use crate::command::Command;

/// See the module.
pub(crate) struct NewNumber {
    object: ObjectId,
    number: u32,
}

impl NewNumber {
    /// Of an object.
    pub(crate) fn new(object: ObjectId) -> Self {
        Self { object, number: object.0 }
    }

    /// False once it is answered.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("new number").show(ctx, |ui| {
            ui.set_width(260.0);
            let label = ui.label(format!("Another number for object {}", self.object.0));
            ui.add(DragValue::new(&mut self.number).range(1..=u32::MAX)).labelled_by(label.id);
            ui.weak("If another object of the video has it, the two swap.");
            let entered = ui.input(|input| input.key_pressed(Key::Enter));
            let chosen = ui.button("Renumber").clicked() || entered;
            if chosen {
                pane.push(Command::Renumber(self.object, self.number));
            }
            chosen
        });
        !modal.inner && !modal.should_close()
    }
}
