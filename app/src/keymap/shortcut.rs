//! A key with what is held beside it, such as `Ctrl+Shift+Z`.
//!
//! Keys are those that the keyboard layout gives: `?` is the key that types a question mark, wherever it is and
//! whatever must be held for it. So Shift and Alt count for letters and named keys, but not for other characters that
//! do not ask for them.

use std::{fmt, str::FromStr};

use egui::{Key, ModifierNames, Modifiers};

/// A key with what is held beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shortcut {
    key: Key,
    /// Only `command`, `alt` and `shift`.
    modifiers: Modifiers,
}

/// Why a text or a press is no shortcut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShortcutError {
    /// No such key.
    #[error("there is no key '{0}'")]
    UnknownKey(String),
    /// Something before a plus that is not held.
    #[error("'{0}' is none of Ctrl, Shift and Alt")]
    UnknownModifier(String),
    /// The window never sees it as a key.
    #[error("{0} is taken by the clipboard")]
    Clipboard(String),
}

impl Shortcut {
    /// The shortcut of a key that is pressed while `modifiers` are held.
    ///
    /// # Errors
    /// If the clipboard has it.
    pub fn new(modifiers: Modifiers, key: Key) -> Result<Self, ShortcutError> {
        let Modifiers { alt, shift, command, ctrl, .. } = modifiers;
        let modifiers = Modifiers { alt, shift, command: command || ctrl, ..Modifiers::NONE };
        let shortcut = Self { key, modifiers };
        let is_clipboard = match key {
            Key::Copy | Key::Cut | Key::Paste => true,
            Key::C | Key::X | Key::V => modifiers.command_only(),
            Key::Insert => command || shift,
            Key::Delete => shift,
            _ => false,
        };
        if is_clipboard { Err(ShortcutError::Clipboard(shortcut.to_string())) } else { Ok(shortcut) }
    }

    /// Whether it is this that is pressed.
    pub fn matches(&self, key: Key, modifiers: Modifiers) -> bool {
        let held = if is_character(self.key) {
            modifiers.matches_logically(self.modifiers)
        } else {
            modifiers.matches_exact(self.modifiers)
        };
        key == self.key && held
    }

    /// How many keys must be held beside it.
    pub(super) fn n_held(&self) -> usize {
        let Modifiers { alt, shift, command, .. } = self.modifiers;
        [alt, shift, command].into_iter().filter(|&held| held).count()
    }

    /// As it is shown on this machine: `Cmd` for `Ctrl` on a Mac.
    pub fn shown(&self) -> String {
        self.format(cfg!(target_os = "macos"))
    }

    fn format(&self, is_mac: bool) -> String {
        let held = ModifierNames::NAMES.format(&self.modifiers, is_mac);
        let plus = if held.is_empty() { "" } else { "+" };
        format!("{held}{plus}{}", name(self.key))
    }
}

/// As it stands in key files.
impl fmt::Display for Shortcut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(false))
    }
}

impl FromStr for Shortcut {
    type Err = ShortcutError;

    fn from_str(text: &str) -> Result<Self, ShortcutError> {
        let text = text.trim();
        // A plus at the very end is the key itself.
        let last_plus = text.char_indices().rev().skip(1).find(|&(_, c)| c == '+');
        let (held, key) = text.split_at(last_plus.map_or(0, |(at, _)| at + 1));
        let mut modifiers = Modifiers::NONE;
        for word in held.split_terminator('+').map(str::trim) {
            modifiers |= match word.to_ascii_lowercase().as_str() {
                "ctrl" | "cmd" => Modifiers::COMMAND,
                "shift" => Modifiers::SHIFT,
                "alt" | "option" => Modifiers::ALT,
                _ => return Err(ShortcutError::UnknownModifier(word.to_owned())),
            };
        }
        let key = key.trim();
        let in_any_case = || Key::ALL.iter().copied().find(|known| known.name().eq_ignore_ascii_case(key));
        let known = Key::from_name(key).or_else(in_any_case);
        Self::new(modifiers, known.ok_or_else(|| ShortcutError::UnknownKey(key.to_owned()))?)
    }
}

/// The character that people write for a key, or its English name.
fn name(key: Key) -> &'static str {
    match key {
        Key::Minus => "-",
        Key::Quote => "'",
        Key::ArrowDown | Key::ArrowLeft | Key::ArrowRight | Key::ArrowUp => key.name(),
        _ => key.symbol_or_name(),
    }
}

/// Whether a key is a character that needs Shift or Alt on some layouts, such as `?`, `[`, and the digits in France.
fn is_character(key: Key) -> bool {
    let name = name(key);
    name.len() == 1 && !name.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an egui window reports for Ctrl on a machine that is no Mac.
    const CTRL: Modifiers = Modifiers { ctrl: true, ..Modifiers::COMMAND };

    fn shortcut(text: &str) -> Shortcut {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_for_every_key() {
        for &key in Key::ALL {
            for bits in 0..8 {
                let modifiers = Modifiers {
                    command: bits & 1 != 0,
                    shift: bits & 2 != 0,
                    alt: bits & 4 != 0,
                    ..Modifiers::NONE
                };
                if let Ok(shortcut) = Shortcut::new(modifiers, key) {
                    assert_eq!(shortcut.to_string().parse(), Ok(shortcut), "{shortcut}");
                }
            }
        }
    }

    #[test]
    fn characters_are_written_as_people_write_them() {
        for text in
            ["+", "Ctrl++", "-", "?", "[", "]", ",", ".", "/", "=", "'", "Ctrl+Alt+Shift+D", "Left", "7"]
        {
            assert_eq!(shortcut(text).to_string(), text);
        }
        assert_eq!(shortcut("ctrl + shift + z"), shortcut("Ctrl+Shift+Z"));
        assert_eq!(shortcut("cmd+ENTER"), shortcut("Ctrl+Enter"));
    }

    #[test]
    fn a_mac_shows_its_own_names() {
        assert_eq!(shortcut("Ctrl+Shift+Z").format(true), "Shift+Cmd+Z");
        assert_eq!(shortcut("Ctrl+Shift+Z").format(false), "Ctrl+Shift+Z");
    }

    #[test]
    fn letters_and_named_keys_match_exactly() {
        assert!(shortcut("D").matches(Key::D, Modifiers::NONE));
        for held in
            [CTRL, Modifiers::SHIFT, Modifiers::ALT, Modifiers::CTRL, Modifiers::MAC_CMD | Modifiers::COMMAND]
        {
            assert!(!shortcut("D").matches(Key::D, held), "{held:?}");
            assert!(!shortcut("Tab").matches(Key::Tab, held), "{held:?}");
        }
        assert!(shortcut("Ctrl+Z").matches(Key::Z, CTRL));
        assert!(shortcut("Ctrl+Z").matches(Key::Z, Modifiers::MAC_CMD | Modifiers::COMMAND));
        assert!(!shortcut("Ctrl+Z").matches(Key::Z, CTRL | Modifiers::SHIFT));
        assert!(!shortcut("Shift+D").matches(Key::D, Modifiers::NONE));
    }

    #[test]
    fn shifted_characters_match_on_any_layout() {
        for (text, key) in [("?", Key::Questionmark), ("+", Key::Plus), (".", Key::Period), ("4", Key::Num4)]
        {
            assert!(shortcut(text).matches(key, Modifiers::NONE), "{text}");
            assert!(shortcut(text).matches(key, Modifiers::SHIFT), "{text}");
            assert!(!shortcut(text).matches(key, CTRL), "{text}");
        }
        // As a Mac with a German keyboard types it.
        assert!(shortcut("[").matches(Key::OpenBracket, Modifiers::ALT));
        assert!(shortcut("Ctrl++").matches(Key::Plus, CTRL | Modifiers::SHIFT));
        assert!(!shortcut("Shift+,").matches(Key::Comma, Modifiers::NONE));
    }

    #[test]
    fn what_is_no_shortcut_says_why() {
        for (text, why) in [
            ("", "there is no key ''"),
            ("Foo", "there is no key 'Foo'"),
            ("Ctrl+", "there is no key 'Ctrl+'"),
            ("++", "'' is none of Ctrl, Shift and Alt"),
            ("Hyper+D", "'Hyper' is none of Ctrl, Shift and Alt"),
            ("Ctrl+C", "Ctrl+C is taken by the clipboard"),
            ("Shift+Delete", "Shift+Delete is taken by the clipboard"),
            ("é", "there is no key 'é'"),
        ] {
            assert_eq!(text.parse::<Shortcut>().unwrap_err().to_string(), why);
        }
    }
}
