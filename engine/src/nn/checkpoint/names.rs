//! Tensors' names, without what trainers put around a model.

use std::collections::BTreeMap;

/// Components that DDP, `torch.compile`, FSDP and activation checkpointing add to names.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// A tensor's name as the model itself has it.
pub(super) fn unwrapped(name: &str) -> String {
    let components = name.split('.').filter(|component| !WRAPPERS.contains(component));
    components.collect::<Vec<_>>().join(".")
}

/// What stands before the names of a model that are known by their beginnings; none if nothing does, or the model is not
/// there. Of several, weights that were averaged over the training (a component that begins with "ema") are preferred if
/// they are whole, then the shortest.
pub(super) fn prefix<'a>(names: impl Iterator<Item = &'a String>, beginnings: &[&str]) -> Option<String> {
    let mut prefixes: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        let starts = name.match_indices('.').map(|(at, _)| at + 1);
        let is_root = |at: &usize| beginnings.iter().any(|beginning| name[*at..].starts_with(beginning));
        if let Some(at) = std::iter::once(0).chain(starts).find(is_root) {
            *prefixes.entry(&name[..at]).or_default() += 1;
        }
    }
    let is_averaged = |prefix: &str| prefix.split('.').any(|component| component.starts_with("ema"));
    let most = prefixes.values().max().copied()?;
    let whole = prefixes.iter().filter(|(_, n)| **n == most).map(|(prefix, _)| *prefix);
    let chosen = whole.min_by_key(|prefix| (!is_averaged(prefix), prefix.len()))?;
    (!chosen.is_empty()).then(|| chosen.to_owned())
}

/// A name as a message shows it.
pub(in crate::nn) fn quoted(name: &str) -> String {
    const MAX: usize = 100;
    let n = name.chars().count();
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    if n <= MAX {
        return name.chars().map(shown).collect();
    }
    let end = name.chars().skip(n - MAX / 2);
    name.chars().take(MAX / 2 - 1).chain(['…']).chain(end).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_left_out_anywhere() {
        assert_eq!(unwrapped("module._orig_mod.a.module.b"), "a.b");
        assert_eq!(unwrapped("submodule.a"), "submodule.a");
    }

    #[test]
    fn whole_averaged_weights_are_preferred() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let prefix = |of: &[&str]| prefix(names(of).iter(), &["trunk."]);
        assert_eq!(prefix(&["trunk.a", "trunk.b", "other"]), None);
        assert_eq!(prefix(&["other.a"]), None);
        assert_eq!(prefix(&["net.model.trunk.a", "loss.a"]).as_deref(), Some("net.model."));
        assert_eq!(prefix(&["model.trunk.a", "ema_model.trunk.a"]).as_deref(), Some("ema_model."));
        assert_eq!(prefix(&["model.trunk.a", "model.trunk.b", "ema.trunk.a"]).as_deref(), Some("model."));
        assert_eq!(prefix(&["teacher.trunk.a", "model.trunk.a"]).as_deref(), Some("model."));
    }

    #[test]
    fn long_names_are_shortened_in_the_middle() {
        let name = quoted(&format!("a\n{}z", "x".repeat(1000)));
        assert_eq!(name.chars().count(), 100);
        assert!(name.starts_with("a\u{fffd}x") && name.ends_with('z'));
    }
}
