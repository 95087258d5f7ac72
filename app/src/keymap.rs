//! Which keys run which commands: a preset, and the user's own key file laid over it.

mod file;
mod shortcut;

use egui::{Event, FocusDirection, Id, Key, Modifiers};
use serde::{Deserialize, Serialize};

pub use self::{
    file::{FILE, KeyFileError, set_keys},
    shortcut::{Shortcut, ShortcutError},
};
use crate::command::{Command, Named};

/// Keys to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Our own: the left hand on the keys round A and D, the right on the mouse.
    #[default]
    Segue,
    /// As in CVAT.
    Cvat,
    /// As in labelme, AnyLabeling and X-AnyLabeling.
    Labelme,
    /// As in Cutie.
    Cutie,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Segue, Self::Cvat, Self::Labelme, Self::Cutie];

    /// On the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Segue => "Segue",
            Self::Cvat => "CVAT",
            Self::Labelme => "labelme, X-AnyLabeling",
            Self::Cutie => "Cutie",
        }
    }

    /// Its key file.
    const fn text(self) -> &'static str {
        match self {
            Self::Segue => include_str!("../../assets/keymaps/segue.toml"),
            Self::Cvat => include_str!("../../assets/keymaps/cvat.toml"),
            Self::Labelme => include_str!("../../assets/keymaps/labelme.toml"),
            Self::Cutie => include_str!("../../assets/keymaps/cutie.toml"),
        }
    }
}

/// Which keys run which commands.
#[derive(Clone, Debug, Default)]
pub struct Keymap {
    /// No shortcut is there twice; those of one command stand in the order in which they are shown.
    keys: Vec<(Shortcut, &'static Named)>,
}

impl Keymap {
    /// The keys of a preset.
    pub fn preset(preset: Preset) -> Self {
        Self::default().with_overrides(preset.text()).0
    }

    /// These keys with a key file laid over them, and what is wrong in it.
    ///
    /// A command that it names has the keys that it gives, and no others; no other command keeps one of them.
    pub fn with_overrides(mut self, text: &str) -> (Self, Vec<KeyFileError>) {
        let (lines, mut errors) = file::read(text);
        let mut given: Vec<(Shortcut, &'static Named)> = Vec::new();
        for (named, key) in lines.iter().flat_map(|line| line.keys.iter().map(|&key| (line.named, key))) {
            match given.iter().find(|(other, _)| *other == key) {
                Some((_, first)) => {
                    errors.push(KeyFileError::Twice { key, command: named.name, earlier: first.name });
                }
                None => given.push((key, named)),
            }
        }
        let is_named = |named: &Named| lines.iter().any(|line| line.named.name == named.name);
        let is_given = |key| given.iter().any(|(other, _)| *other == key);
        self.keys.retain(|&(key, named)| !is_named(named) && !is_given(key));
        self.keys.extend(given);
        (self, errors)
    }

    /// The command of a key that is pressed while `modifiers` are held: of several, the one that asks for most of them.
    pub fn command_for(&self, key: Key, modifiers: Modifiers) -> Option<&'static Named> {
        let matching = self.keys.iter().filter(|(shortcut, _)| shortcut.matches(key, modifiers));
        matching.max_by_key(|(shortcut, _)| shortcut.n_held()).map(|&(_, named)| named)
    }

    /// The keys of a command, the one to be shown first.
    pub fn keys_of(&self, name: &str) -> impl Iterator<Item = Shortcut> {
        self.keys.iter().filter(move |(_, named)| named.name == name).map(|&(shortcut, _)| shortcut)
    }

    /// A command's key for menus and tooltips, such as `Ctrl+Shift+Z`; none if it has no key.
    pub fn shown(&self, named: &Named) -> Option<String> {
        self.keys_of(named.name).next().map(|shortcut| shortcut.shown())
    }

    /// The commands whose keys are pressed in this turn; takes these presses, so that nothing else sees them.
    ///
    /// None while someone types or a menu is open. Before any widget is drawn, since Tab and the arrows would move the
    /// focus otherwise; a widget that has the focus keeps the keys that move and use it.
    pub fn pressed(&self, ctx: &egui::Context) -> Vec<Command> {
        if watch_typing(ctx) || egui::Popup::is_any_open(ctx) {
            return Vec::new();
        }
        let is_quiet = is_quiet(ctx);
        let has_focus = ctx.memory(|memory| memory.focused().is_some());
        let mut commands = Vec::new();
        let mut took_any = false;
        let mut took_last = false;
        ctx.input_mut(|input| {
            input.events.retain(|event| {
                match event {
                    &Event::Key { key, modifiers, pressed: true, repeat, .. } => {
                        let types = is_quiet && !modifiers.command && !modifiers.alt && !is_for_focus(key);
                        let named = self.command_for(key, modifiers).filter(|_| !types);
                        let named = named.filter(|_| !(has_focus && is_for_focus(key)));
                        let fires = named.filter(|named| !repeat || named.command.repeats());
                        commands.extend(fires.map(|named| named.command.clone()));
                        took_last = named.is_some();
                    }
                    // What a key types follows it, and must not reach a text field that its command opens.
                    Event::Text(_) => {}
                    _ => took_last = false,
                }
                took_any |= took_last;
                !took_last
            });
        });
        if took_any {
            ctx.memory_mut(|memory| memory.move_focus(FocusDirection::None));
        }
        commands
    }
}

/// Seconds in which letters mean no commands after a text field was left without an answer, or a letter came in this time:
/// somebody types on and has not seen that the field is gone.
const QUIET: f64 = 1.0;

/// Returns true if a text field has the keyboard, or had it until Escape was pressed in this turn. To be called once a turn,
/// since it also notes when somebody stops typing.
pub fn watch_typing(ctx: &egui::Context) -> bool {
    let was_typing_id = Id::unique("keymap: a text field had the keyboard");
    let is_typing = ctx.text_edit_focused();
    let was_typing =
        ctx.data_mut(|data| std::mem::replace(data.get_temp_mut_or_default(was_typing_id), is_typing));
    if was_typing && !is_typing && !ctx.input(|input| input.key_pressed(Key::Enter)) {
        be_quiet(ctx);
    }
    is_typing || was_typing && ctx.input(|input| input.key_pressed(Key::Escape))
}

fn quiet_id() -> Id {
    Id::unique("keymap: until when letters mean nothing")
}

fn be_quiet(ctx: &egui::Context) {
    let until = ctx.input(|input| input.time) + QUIET;
    ctx.data_mut(|data| data.insert_temp(quiet_id(), until));
}

/// True while letters mean nothing.
fn is_quiet(ctx: &egui::Context) -> bool {
    let until = ctx.data(|data| data.get_temp::<f64>(quiet_id())).unwrap_or(0.0);
    let (time, types) = ctx
        .input(|input| (input.time, input.events.iter().any(|event| matches!(event, egui::Event::Text(_)))));
    let is_quiet = time < until;
    if is_quiet && types {
        be_quiet(ctx);
    }
    is_quiet
}

/// The keys with which egui moves the focus and uses the widget that has it.
const fn is_for_focus(key: Key) -> bool {
    use Key::*;
    matches!(key, Tab | Escape | Enter | Space | ArrowDown | ArrowLeft | ArrowRight | ArrowUp)
}

#[cfg(test)]
mod tests;
