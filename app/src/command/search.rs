//! Finds commands by a few letters of their titles or names, for the palette.

use super::{CATALOG, Named};

/// What a letter is worth that begins a title, or a word in it.
const TITLE_START: u32 = 10;
const WORD_START: u32 = 8;
/// What it is worth more if it follows the letter that was found before it.
const IN_A_ROW: u32 = 4;

/// The commands whose titles or names have the letters of `query` in this order, the best first; all of them if it is empty.
///
/// Letters count more where they begin a word or follow each other. Equals stay in the order of the catalog.
pub fn search(query: &str) -> Vec<&'static Named> {
    let query: Vec<char> = letters(query).filter(|c| !c.is_whitespace()).collect();
    // A title may say it in other words than the name that key files have.
    let best = |named: &Named| score(&query, named.title).max(score(&query, &named.name.replace('-', " ")));
    let mut found: Vec<_> = CATALOG.iter().filter_map(|named| Some((best(named)?, named))).collect();
    found.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
    found.into_iter().map(|(_, named)| named).collect()
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// The most that `query` is worth in `title`, whichever letters are taken for it; none if it is not there.
fn score(query: &[char], title: &str) -> Option<u32> {
    let title: Vec<char> = letters(title).collect();
    let Some((first, rest)) = query.split_first() else { return Some(0) };
    if query.len() > title.len() {
        return None;
    }
    let worth = |at: usize| match at.checked_sub(1).map(|before| title[before]) {
        None => TITLE_START,
        Some(' ') => WORD_START,
        Some(_) => 1,
    };
    // For each place of the title: what the query is worth up to a letter that is found there.
    let mut best: Vec<Option<u32>> =
        (0..title.len()).map(|at| (title[at] == *first).then(|| worth(at))).collect();
    for letter in rest {
        let next = |at: usize| {
            let apart = best[..at.saturating_sub(1)].iter().flatten().max().copied();
            let in_a_row = best[..at].last().copied().flatten().map(|score| score + IN_A_ROW);
            (title[at] == *letter).then_some(apart.max(in_a_row)? + worth(at))
        };
        best = (0..title.len()).map(next).collect();
    }
    best.into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(query: &str) -> Vec<&'static str> {
        search(query).into_iter().map(|named| named.title).collect()
    }

    #[test]
    fn the_best_command_comes_first() {
        for (query, title) in [
            ("exp", "Export COCO, YOLO, VOC…"),
            ("ni", "Next image or frame"),
            ("Next Im", "Next image or frame"),
            ("nui", "Next unfinished image"),
            ("undo", "Undo"),
            ("theme", "Dark or light"),
            ("cb", "Clear clicks and box"),
            ("zoom", "Zoom in"),
            ("zo", "Zoom out"),
            ("brush", "Brush"),
            ("coco", "Import COCO, YOLO, VOC…"),
        ] {
            assert_eq!(titles(query).first(), Some(&title), "for {query}");
        }
    }

    #[test]
    fn no_letters_find_all_in_the_order_of_the_catalog() {
        let all: Vec<_> = CATALOG.iter().map(|named| named.title).collect();
        assert_eq!(titles(""), all);
        assert_eq!(titles("  "), all);
    }

    #[test]
    fn only_titles_with_all_letters_in_order_are_found() {
        assert!(titles("xyzzy").is_empty());
        assert!(titles(&"next ".repeat(1000)).is_empty());
        assert!(titles("odnu").is_empty());
        assert!(titles("next").iter().all(|title| title.to_lowercase().contains("next")));
    }

    /// A greedy search would take the first `i`, in "Fill", and miss the letters that follow each other.
    #[test]
    fn the_best_letters_of_a_title_count() {
        let query: Vec<char> = "in".chars().collect();
        assert_eq!(score(&query, "fill in"), Some(WORD_START + IN_A_ROW + 1));
        assert_eq!(score(&query, "fill n"), Some(1 + WORD_START));
    }
}
