//! Names, minimum scores and roles of the detections of each query or class.

use std::collections::BTreeMap;

use super::Wanted;
use crate::detect::{Detection, Suppression, suppress};

/// Name, category, minimum score and role of the detections of one query or class.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Name of the phrase, the example or the class.
    pub name: String,
    /// Category that the detections get.
    pub category: String,
    /// Minimum score, if it differs from the default.
    pub threshold: Option<f32>,
    /// Use of the detections.
    pub role: Role,
}

/// Use of detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// They are kept.
    Wanted,
    /// They are ignored.
    LeftOut,
    /// They are negative examples: they are ignored, and overlapping detections with lower scores are ignored with
    /// them.
    Unlike,
}

impl Kind {
    /// Creates a wanted kind whose category is called like the query or class.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), category: name.to_owned(), threshold: None, role: Role::Wanted }
    }
}

/// The kinds of all queries or classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kinds {
    /// Kinds by [`Detection::class`].
    by_class: BTreeMap<usize, Kind>,
    /// Default minimum score, for kinds without their own.
    pub usual: f32,
    /// Rule for which detections are duplicates.
    pub suppression: Suppression,
}

impl Kinds {
    /// Creates one kind per phrase, in the order of the phrases.
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

    /// Creates one kind per class, in the order of the classes.
    pub fn of_classes(classes: &[String], usual: f32, suppression: Suppression) -> Self {
        let by_class = classes.iter().map(|class| Kind::named(class)).enumerate().collect();
        Self { by_class, usual, suppression }
    }

    /// Adds a kind for the next query or class.
    pub fn push(&mut self, kind: Kind) {
        let next = self.by_class.last_key_value().map_or(0, |(class, _)| class + 1);
        self.by_class.insert(next, kind);
    }

    /// Adds kinds named by number, such as "class 3", for the classes of `detections` that have none.
    pub fn meet(&mut self, detections: &[Detection], role: Role) {
        let numbered = |class| Kind { role, ..Kind::named(&format!("class {class}")) };
        for Detection { class, .. } in detections {
            self.by_class.entry(*class).or_insert_with(|| numbered(class));
        }
    }

    /// Returns the kind of a query or class.
    pub fn get(&self, class: usize) -> Option<&Kind> {
        self.by_class.get(&class)
    }

    /// Returns the kind of a query or class, mutably.
    pub fn get_mut(&mut self, class: usize) -> Option<&mut Kind> {
        self.by_class.get_mut(&class)
    }

    /// Returns all kinds with their indices, in the order of queries or classes.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Kind)> {
        self.by_class.iter().map(|(class, kind)| (*class, kind))
    }

    /// Returns all kinds, mutably.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kind> {
        self.by_class.values_mut()
    }

    /// Returns the minimum score of a kind.
    pub fn threshold(&self, kind: &Kind) -> f32 {
        kind.threshold.unwrap_or(self.usual)
    }

    /// Returns the lowest of the minimum scores of all kinds that are not ignored.
    pub fn least(&self) -> f32 {
        let taken = self.by_class.values().filter(|kind| kind.role != Role::LeftOut);
        taken.map(|kind| self.threshold(kind)).fold(self.usual, f32::min)
    }

    /// Returns the indices of the detections on a frame to keep, without duplicates, highest score first.
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

    /// Returns the categories of wanted kinds, each once, in the order of queries or classes.
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
    fn kinds_apply_threshold_and_role() {
        let wanted = Wanted::list("car; truck @0.6").unwrap();
        let mut kinds = Kinds::of_phrases(&wanted, 0.3);
        kinds.push(Kind { role: Role::Unlike, ..Kind::named("no car") });
        let all = [
            detection(0.0, 0.4, 0),
            // Below the minimum score of its kind, so that it does not suppress the car.
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
