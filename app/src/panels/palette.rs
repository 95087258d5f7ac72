//! All commands, to search by what they are called.

use egui::{Align, Button, Context, Key, Modifiers, ScrollArea, TextEdit};

use super::{Pane, dialog};
use crate::command::{self, Named};

/// What is typed, and which line is chosen.
#[derive(Default)]
pub(crate) struct Palette {
    query: String,
    chosen: usize,
}

impl Palette {
    /// False once a command is chosen or the palette is left.
    pub(crate) fn ui(&mut self, ctx: &Context, pane: &mut Pane<'_>) -> bool {
        let modal = dialog("palette").show(ctx, |ui| {
            ui.set_width(420.0);
            let take = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
            let [down, up, enter] = [Key::ArrowDown, Key::ArrowUp, Key::Enter].map(take);
            let hint = TextEdit::singleline(&mut self.query).hint_text("Type what you want to do");
            let field = ui.add(hint.desired_width(f32::INFINITY));
            field.request_focus();
            if field.changed() {
                self.chosen = 0;
            }
            let found: Vec<&Named> = command::search(&self.query)
                .into_iter()
                .filter(|named| pane.is_possible(&named.command))
                .collect();
            let last = found.len().saturating_sub(1);
            self.chosen =
                if down { self.chosen + 1 } else { self.chosen.saturating_sub(usize::from(up)) }.min(last);
            let mut clicked = None;
            ScrollArea::vertical().max_height(320.0).auto_shrink([false, true]).show(ui, |ui| {
                for (i, named) in found.iter().enumerate() {
                    let key = pane.key_of(&named.command).unwrap_or_default();
                    let title = format!("{}: {}", named.group.title(), named.title);
                    let button = Button::selectable(i == self.chosen, title).shortcut_text(key);
                    let line = ui.add_sized([ui.available_width(), ui.spacing().interact_size.y], button);
                    if i == self.chosen && (up || down) {
                        line.scroll_to_me(Some(Align::Center));
                    }
                    if line.clicked() {
                        clicked = Some(i);
                    }
                }
                if found.is_empty() {
                    ui.weak("Nothing is called that");
                }
            });
            let run = clicked.or(enter.then_some(self.chosen)).and_then(|i| found.get(i));
            if let Some(named) = run {
                pane.push(named.command.clone());
            }
            run.is_some()
        });
        !modal.inner && !modal.should_close()
    }
}
