//! What detections are called, and which of them count.

use std::collections::BTreeMap;

use super::Wanted;
use crate::detect::{Detection, Suppression, suppress};

/// What the detections of one query or class are called, and from which score on they count.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// The phrase, the example or the class.
    pub name: String,
    /// The category of what is found.
    pub category: String,
    /// From which score on it counts, if not from the usual one.
    pub threshold: Option<f32>,
    /// What is done with it.
    pub role: Role,
}

/// What is done with detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They count.
    Wanted,
    /// They are left out.
    LeftOut,
    /// They are left out, and what overlaps them and is less sure goes with them.
    Unlike,
}

impl Kind {
    /// One that is wanted, and called what is looked for.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), category: name.to_owned(), threshold: None, role: Role::Wanted }
    }
}

/// The kinds of what is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kinds {
    /// By [`Detection::class`].
    by_class: BTreeMap<usize, Kind>,
    /// The threshold of those that have none of their own.
    pub usual: f32,
    /// Which detections mean the same.
    pub suppression: Suppression,
}

impl Kinds {
    /// One a phrase, in their order.
    pub fn of_phrases(wanted: &[Wanted], usual: f32) -> Self {
        let kinds = wanted.iter().flat_map(|Wanted { category, phrases, threshold }| {
            let kind = move |phrase: &String| Kind {
                category: category.clone(),
                threshold: *threshold,
                ..Kind::named(phrase)
            };
            phrases.iter().map(kind)
        });
        Self { by_class: kinds.enumerate().collect(), usual, suppression: Suppression::default() }
    }

    /// One a class.
    pub fn of_classes(classes: &[String], usual: f32, suppression: Suppression) -> Self {
        let by_class = classes.iter().map(|class| Kind::named(class)).enumerate().collect();
        Self { by_class, usual, suppression }
    }

    /// Adds the next one.
    pub fn push(&mut self, kind: Kind) {
        let next = self.by_class.last_key_value().map_or(0, |(class, _)| class + 1);
        self.by_class.insert(next, kind);
    }

    /// Numbers classes that nobody has named.
    pub fn meet(&mut self, detections: &[Detection], role: Role) {
        let numbered = |class| Kind { role, ..Kind::named(&format!("class {class}")) };
        for Detection { class, .. } in detections {
            self.by_class.entry(*class).or_insert_with(|| numbered(class));
        }
    }

    /// The kind of a query or class.
    pub fn get(&self, class: usize) -> Option<&Kind> {
        self.by_class.get(&class)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, class: usize) -> Option<&mut Kind> {
        self.by_class.get_mut(&class)
    }

    /// All, by query or class.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Kind)> {
        self.by_class.iter().map(|(class, kind)| (*class, kind))
    }

    /// All, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kind> {
        self.by_class.values_mut()
    }

    /// From which score on a kind counts.
    pub fn threshold(&self, kind: &Kind) -> f32 {
        kind.threshold.unwrap_or(self.usual)
    }

    /// The lowest score that counts for anything.
    pub fn least(&self) -> f32 {
        let taken = self.by_class.values().filter(|kind| kind.role != Role::LeftOut);
        taken.map(|kind| self.threshold(kind)).fold(self.usual, f32::min)
    }

    /// Which of a frame's detections count, the surest first; of those that mean the same only the surest.
    pub fn choose(&self, detections: &[Detection]) -> Vec<usize> {
        let takes = |d: &Detection| {
            let takes = |kind: &Kind| kind.role != Role::LeftOut && d.score >= self.threshold(kind);
            self.get(d.class).is_some_and(takes)
        };
        let taken: Vec<usize> = (0..detections.len()).filter(|&i| takes(&detections[i])).collect();
        let of: Vec<Detection> = taken.iter().map(|&i| detections[i]).collect();
        let kept = suppress(&of, self.suppression).into_iter().map(|i| taken[i]);
        let is_wanted = |&i: &usize| self.get(detections[i].class).is_some_and(|k| k.role == Role::Wanted);
        kept.filter(is_wanted).collect()
    }

    /// The categories of what counts, in the order in which they were named.
    pub fn categories(&self) -> Vec<&str> {
        let mut categories = Vec::new();
        for kind in self.by_class.values().filter(|kind| kind.role == Role::Wanted) {
            if !categories.contains(&kind.category.as_str()) {
                categories.push(kind.category.as_str());
            }
        }
        categories
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::Place, geometry::Rect};

    fn detection(x: f32, score: f32, class: usize) -> Detection {
        let rect = Rect { x0: x, y0: 0.0, x1: x + 10.0, y1: 10.0 };
        Detection { place: Place::Rect(rect), score, class }
    }

    #[test]
    fn each_kind_has_its_threshold_and_what_is_unlike_takes_others_with_it() {
        let wanted = Wanted::list("car; truck @0.6").unwrap();
        let mut kinds = Kinds::of_phrases(&wanted, 0.3);
        kinds.push(Kind { role: Role::Unlike, ..Kind::named("no car") });
        let all = [
            detection(0.0, 0.4, 0),
            // Less sure than its own threshold, so that it does not hide the car.
            detection(1.0, 0.5, 1),
            detection(50.0, 0.5, 0),
            detection(51.0, 0.7, 2),
            detection(90.0, 0.7, 1),
            detection(130.0, 0.9, 7),
        ];
        assert_eq!(kinds.choose(&all), [4, 0]);
        kinds.get_mut(1).unwrap().threshold = Some(0.5);
        assert_eq!(kinds.choose(&all), [4, 1]);
        kinds.get_mut(1).unwrap().role = Role::LeftOut;
        assert_eq!(kinds.choose(&all), [0]);
        kinds.meet(&all, Role::Wanted);
        assert_eq!(kinds.choose(&all), [5, 0]);
        assert_eq!(kinds.categories(), ["car", "class 7"]);
    }
}
