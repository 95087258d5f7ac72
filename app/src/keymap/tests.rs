//! Presets, key files and presses.

use egui::{Context, Pos2, RawInput, Rect, TextEdit, Ui, Vec2};
use proptest::prelude::*;

use super::*;
use crate::command::CATALOG;

fn named(name: &str) -> &'static Named {
    CATALOG.iter().find(|named| named.name == name).unwrap()
}

fn keys(keymap: &Keymap, name: &str) -> Vec<String> {
    keymap.keys_of(name).map(|shortcut| shortcut.to_string()).collect()
}

fn overridden(text: &str) -> (Keymap, Vec<String>) {
    let (keymap, errors) = Keymap::preset(Preset::Segue).with_overrides(text);
    (keymap, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn names_of_commands_are_unique() {
    for (i, named) in CATALOG.iter().enumerate() {
        assert!(CATALOG[..i].iter().all(|other| other.name != named.name), "{} is there twice", named.name);
    }
}

#[test]
fn every_preset_names_every_command_once_and_nothing_else() {
    for preset in Preset::ALL {
        // Unknown commands, unknown keys and clashes are all errors.
        let (lines, damage) = file::read(preset.text());
        assert!(damage.is_empty(), "{preset:?}: {damage:?}");
        let (keymap, errors) = Keymap::default().with_overrides(preset.text());
        assert!(errors.is_empty(), "{preset:?}: {errors:?}");
        assert!(!keymap.keys.is_empty());
        for named in CATALOG {
            let n = lines.iter().filter(|line| line.named.name == named.name).count();
            assert_eq!(n, 1, "{preset:?} does not say which keys {} has", named.name);
        }
    }
}

#[test]
fn every_key_of_a_preset_runs_its_command() {
    for preset in Preset::ALL {
        let keymap = Keymap::preset(preset);
        for &(shortcut, named) in &keymap.keys {
            let reaches = |held| {
                let all = Key::ALL.iter().filter(|&&key| shortcut.matches(key, held));
                all.filter_map(|&key| keymap.command_for(key, held)).any(|found| found.name == named.name)
            };
            let held =
                [Modifiers::NONE, Modifiers::SHIFT, Modifiers::ALT, Modifiers::CTRL | Modifiers::COMMAND];
            let pairs = held.iter().flat_map(|&a| held.iter().map(move |&b| a | b));
            assert!(pairs.into_iter().any(reaches), "{preset:?}: {shortcut} does not run {}", named.name);
        }
    }
}

#[test]
fn videos_are_corrected_from_the_keyboard() {
    let keymap = Keymap::preset(Preset::Segue);
    for (key, held, name) in [
        (Key::Space, Modifiers::NONE, "propagate"),
        (Key::Space, Modifiers::SHIFT, "propagate-back"),
        (Key::K, Modifiers::NONE, "confirm"),
        (Key::O, Modifiers::NONE, "absent"),
        (Key::T, Modifiers::NONE, "fix-next"),
    ] {
        assert_eq!(keymap.command_for(key, held).unwrap().name, name);
    }
}

#[test]
fn the_user_file_replaces_keys_and_takes_them_from_others() {
    let (keymap, errors) = overridden("next-image = 'F'\nundo = []\n");
    assert_eq!(errors, [""; 0]);
    assert_eq!(keys(&keymap, "next-image"), ["F"]);
    assert_eq!(keys(&keymap, "accept"), ["Enter"]);
    assert_eq!(keys(&keymap, "undo"), [""; 0]);
    assert_eq!(keymap.command_for(Key::F, Modifiers::NONE).unwrap().name, "next-image");
    assert!(keymap.command_for(Key::D, Modifiers::NONE).is_none());
    assert_eq!(keys(&keymap, "previous-image"), ["A", "Left"]);
}

#[test]
fn what_is_wrong_in_the_user_file_is_told_and_the_rest_counts() {
    let (keymap, errors) = overridden(
        r#"
        accept = ["F", "Foo"]
        nxt-image = "G"
        delete = "F"
        undo = 7
        join = "Hyper+J"
        hide = "Y"
        "#,
    );
    assert_eq!(
        errors,
        [
            "a key of 'accept' does not count: there is no key 'Foo'",
            "there is no command 'nxt-image'; did you mean 'next-image'?",
            r#"the keys of 'undo' are not written as "F" or ["F", "Enter"]"#,
            "a key of 'join' does not count: 'Hyper' is none of Ctrl, Shift and Alt",
            "F does not count for 'delete', since 'accept' has it already",
        ]
    );
    assert_eq!(keys(&keymap, "accept"), ["F"]);
    assert_eq!(keys(&keymap, "undo"), ["Ctrl+Z"]);
    assert_eq!(keys(&keymap, "join"), ["J"]);
    assert_eq!(keys(&keymap, "hide"), ["Y"]);
}

#[test]
fn a_damaged_line_does_not_take_the_others_with_it() {
    let (keymap, errors) = overridden("accept = \"Y\"\n\nthis is no line\nhide = \"I\"\naccept = \"U\"\n");
    assert_eq!(keys(&keymap, "accept"), ["Y"]);
    assert_eq!(keys(&keymap, "hide"), ["I"]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("cannot read line 3 of the key file: "), "{errors:?}");
    assert!(errors[1].starts_with("cannot read line 5 of the key file: "), "{errors:?}");
    for damaged in
        ["accept = ", "accept = F", "accept = \"F", "accept: 'F'", "accept = 'F' 'U'", "= 'F'", "\u{0}"]
    {
        let (keymap, errors) = overridden(&format!("undo = [\n'Y'\n]\n{damaged}\nhide = 'I'\n"));
        assert_eq!(keys(&keymap, "accept"), ["Enter", "F"]);
        assert_eq!(keys(&keymap, "hide"), ["I"]);
        assert_eq!(keys(&keymap, "undo"), ["Y"]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("cannot read line 4 "), "{errors:?}");
    }
    let (keymap, errors) = overridden("hide = 'I'\naccept = ['F',\n");
    assert_eq!(keys(&keymap, "hide"), ["I"]);
    assert!(errors[0].starts_with("cannot read line 2 "), "{errors:?}");
}

#[test]
fn the_shortcut_that_asks_for_most_wins() {
    let (keymap, _) = overridden("hide = \",\"\nsolo = \"Shift+,\"\n");
    let name = |held| keymap.command_for(Key::Comma, held).unwrap().name;
    assert_eq!(name(Modifiers::NONE), "hide");
    assert_eq!(name(Modifiers::SHIFT), "solo");
    assert_eq!(keymap.command_for(Key::D, Modifiers::SHIFT).unwrap().name, "ten-on");
}

#[test]
fn changed_keys_are_taken_from_other_lines_and_comments_stay() {
    let text = "# Mine.\naccept = [\"F\", \"Y\"] # two\nhide = \"I\"\n";
    let keys_i: Vec<Shortcut> = vec!["I".parse().unwrap(), "Y".parse().unwrap()];
    let changed = set_keys(text, named("join"), &keys_i).unwrap();
    assert_eq!(changed, "# Mine.\naccept = [\"F\"] # two\nhide = []\njoin = [\"I\", \"Y\"]\n");
    let changed = set_keys(&changed, named("accept"), &["Ctrl++".parse().unwrap()]).unwrap();
    assert_eq!(changed, "# Mine.\naccept = \"Ctrl++\" # two\nhide = []\njoin = [\"I\", \"Y\"]\n");
    let (keymap, errors) = overridden(&changed);
    assert_eq!(errors, [""; 0]);
    assert_eq!(keys(&keymap, "join"), ["I", "Y"]);
    assert_eq!(set_keys("", named("undo"), &[]).unwrap(), "undo = []\n");
}

#[test]
fn a_damaged_file_is_not_changed() {
    let error = set_keys("accept = \n", named("join"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot change the key file before it is repaired: "), "{error}");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in r#"(accept|hide|x|\[|\]|=|"|'|Ctrl|\+|F|,|\.|\n| |#|\PC){0,40}"#) {
        let (keymap, _) = Keymap::preset(Preset::Segue).with_overrides(&text);
        for (i, (shortcut, _)) in keymap.keys.iter().enumerate() {
            prop_assert!(keymap.keys[..i].iter().all(|(other, _)| other != shortcut));
        }
        if let Ok(changed) = set_keys(&text, named("join"), &["Y".parse().unwrap()]) {
            let (keymap, _) = Keymap::preset(Preset::Segue).with_overrides(&changed);
            prop_assert_eq!(keys(&keymap, "join"), ["Y"]);
        }
    }
}

#[test]
fn menus_show_the_first_key() {
    let keymap = Keymap::preset(Preset::Segue);
    assert_eq!(keymap.shown(named("accept")).unwrap(), "Enter");
    assert_eq!(keymap.shown(named("theme")), None);
}

/// One turn of a window without a screen.
fn run(ctx: &Context, events: Vec<Event>, show: impl FnMut(&mut Ui)) {
    let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, Vec2::splat(400.0)));
    ctx.run_ui(RawInput { screen_rect, events, ..RawInput::default() }, show).textures_delta.clear();
}

/// A window with a text field.
struct Window {
    ctx: Context,
    keymap: Keymap,
    text: String,
    seen: Vec<Key>,
}

impl Window {
    fn new() -> Self {
        Self {
            ctx: Context::default(),
            keymap: Keymap::preset(Preset::Segue),
            text: String::new(),
            seen: Vec::new(),
        }
    }

    /// What the keymap gives in a turn with these events; `focus` is given to the text field after it was asked.
    fn turn(&mut self, focus: bool, events: Vec<Event>) -> Vec<Command> {
        let mut commands = Vec::new();
        run(&self.ctx, events, |ui| {
            commands.extend(self.keymap.pressed(ui.ctx()));
            self.seen =
                Key::ALL.iter().copied().filter(|&key| ui.input(|input| input.key_pressed(key))).collect();
            let field = ui.add(TextEdit::singleline(&mut self.text).id_salt("field"));
            if focus {
                field.request_focus();
            }
        });
        commands
    }

    fn press(&mut self, text: &str) -> Vec<Command> {
        let events = press(text);
        self.turn(false, events)
    }

    fn release(&mut self, text: &str) {
        let mut events = press(text);
        if let Some(Event::Key { pressed, .. }) = events.first_mut() {
            *pressed = false;
        }
        events.truncate(1);
        assert_eq!(self.turn(false, events), []);
    }
}

/// What a window reports for a key that types a letter or has a name.
fn press(text: &str) -> Vec<Event> {
    let (held, key) = text.rsplit_once('+').unwrap_or(("", text));
    let modifiers = match held {
        "" => Modifiers::NONE,
        "Shift" => Modifiers::SHIFT,
        "Ctrl" => Modifiers::CTRL | Modifiers::COMMAND,
        _ => panic!("{held}"),
    };
    let press =
        |key, modifiers| Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers };
    let mut events = vec![press(Key::from_name(key).unwrap(), modifiers)];
    if key.chars().count() == 1 && held != "Ctrl" {
        events.push(Event::Text(key.to_owned()));
    }
    events
}

#[test]
fn pressed_keys_give_their_commands_and_are_taken() {
    let mut window = Window::new();
    assert_eq!(window.press("D"), [Command::Step(1)]);
    assert_eq!(window.seen, []);
    assert_eq!(window.press("Ctrl+Z"), [Command::Undo]);
    assert_eq!(window.press("Shift+?"), [Command::Help]);
    assert_eq!(window.press("Z"), []);
    assert_eq!(window.seen, [Key::Z]);
    let both: Vec<Event> = press("1").into_iter().chain(press("F")).collect();
    assert_eq!(window.turn(false, both), [Command::CategoryKey(1), Command::Accept]);
}

#[test]
fn only_some_commands_go_on_while_their_key_is_held() {
    let mut window = Window::new();
    for _ in 0..3 {
        assert_eq!(window.press("D"), [Command::Step(1)]);
    }
    assert_eq!(window.press("S").len(), 1);
    assert_eq!(window.press("S"), []);
    assert_eq!(window.seen, [], "a held key is still taken");
    window.release("S");
    assert_eq!(window.press("S").len(), 1);
}

#[test]
fn tab_goes_to_the_next_object_and_not_to_the_next_widget() {
    let mut window = Window::new();
    window.turn(false, Vec::new());
    for _ in 0..3 {
        assert_eq!(window.press("Tab"), [Command::NextObject]);
        assert_eq!(window.ctx.memory(|memory| memory.focused()), None);
    }
}

#[test]
fn nothing_is_taken_from_a_text_field() {
    let mut window = Window::new();
    window.turn(true, Vec::new());
    assert_eq!(window.press("D"), []);
    assert_eq!(window.text, "D");
    assert_eq!(window.press("Ctrl+Z"), []);
    // The first Escape leaves the field, the second one is a command.
    assert_eq!(window.press("Escape"), []);
    assert!(window.ctx.memory(|memory| memory.focused()).is_none());
    window.release("Escape");
    assert_eq!(window.press("Escape"), [Command::Deselect]);
}

/// A command such as New category opens a text field in the turn in which its key types a letter.
#[test]
fn the_letter_of_a_command_is_not_typed_into_what_it_opens() {
    let mut window = Window::new();
    window.turn(true, Vec::new());
    let id = window.ctx.memory(|memory| memory.focused()).unwrap();
    window.ctx.memory_mut(|memory| memory.surrender_focus(id));
    let mut text = String::new();
    run(&window.ctx, press("N"), |ui| {
        assert_eq!(window.keymap.pressed(ui.ctx()), [Command::NewCategory]);
        ui.memory_mut(|memory| memory.request_focus(id));
        ui.add(TextEdit::singleline(&mut text).id_salt("field"));
    });
    assert_eq!(text, "");
}

#[test]
fn a_focused_button_keeps_the_keys_that_use_it() {
    let window = Window::new();
    let clicks = |events: Vec<Event>, focus: bool| {
        let (mut commands, mut clicked) = (Vec::new(), false);
        run(&window.ctx, events, |ui| {
            commands.extend(window.keymap.pressed(ui.ctx()));
            let button = ui.button("a button");
            clicked |= button.clicked();
            if focus {
                button.request_focus();
            }
        });
        (commands, clicked)
    };
    clicks(Vec::new(), true);
    assert_eq!(clicks(press("Enter"), false), (vec![], true));
    assert_eq!(clicks(press("D"), false), (vec![Command::Step(1)], false));
}
