//! Proposals: what a machine found, until a person accepts or rejects it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Category, CategoryId, FrameId, MediumId, Object, ObjectId, Project, Question, Segment, Tracked,
    category_color,
};
use crate::{geometry::Rect, mask::Rle, prompt::Prompt};

/// What overlaps something that is there by this IoU is that thing.
pub const KNOWN: f32 = 0.7;

/// A place that is not what was found there, says a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its frame.
    pub frame: usize,
    /// Image pixels.
    pub rect: Rect,
    /// What it is not.
    pub category: CategoryId,
}

impl Segment {
    /// What a machine found at a prompt, with a score of 0 to 1. A box stands for itself, a click asks for its mask.
    pub fn found_at(prompt: Prompt, score: f32) -> Self {
        let mut found = Self::found(score);
        if prompt.points.is_empty() {
            found.rect = prompt.rect;
        } else {
            found.ask(|question| question.prompt = prompt);
        }
        found
    }

    /// The mask that a machine found for a question, with a score of 0 to 1.
    pub fn found_as(question: Question, mask: Rle, score: f32) -> Self {
        Self { question, mask: Some(Arc::new(mask)), ..Self::found(score) }
    }

    /// Nobody has said it, so that its score is kept.
    fn found(score: f32) -> Self {
        let tracked = Some(Tracked { object_score: score, agreement: None });
        Self { iou: score, tracked, is_answered: true, ..Self::default() }
    }

    /// The box that it was found by, or that was drawn.
    pub fn found_by(&self) -> Option<Rect> {
        self.rect.or(self.question.prompt.rect)
    }
}

impl Project {
    /// Adds an object that is on a frame.
    pub fn add_object(&mut self, at: FrameId, object: Object, segment: Segment) -> ObjectId {
        self.add_object_from(self.new_object(), at, object, segment)
    }

    /// The same with an id that no object has, from `first` on.
    pub fn add_object_from(
        &mut self,
        first: ObjectId,
        at: FrameId,
        object: Object,
        segment: Segment,
    ) -> ObjectId {
        let id = self.new_object().max(first);
        self.objects.insert((at.medium, id), Arc::new(object));
        self.segments.insert((id, at.frame), Arc::new(segment));
        id
    }

    /// Whether a box on a frame is of something that is there, or that a person has said is not of this category.
    pub fn is_known(&self, at: FrameId, rect: Rect, category: Option<CategoryId>) -> bool {
        let overlaps = |other: Rect| other.iou(rect) >= KNOWN;
        let is_there =
            |segment: &Segment| [segment.bounds(), segment.found_by()].into_iter().flatten().any(overlaps);
        let is_not =
            |not: &Rejected| not.frame == at.frame && Some(not.category) == category && overlaps(not.rect);
        self.segments_on(at).any(|(.., segment)| is_there(segment))
            || self.rejected_on(at.medium).any(|(_, not)| is_not(not))
    }

    /// Makes a proposal an object like those that a person made; boxes without masks then ask for them. False if it was
    /// none.
    pub fn accept(&mut self, medium: MediumId, object: ObjectId) -> bool {
        let Some(proposed) = self.objects.get_mut(&(medium, object)).filter(|o| o.proposal.is_some()) else {
            return false;
        };
        Arc::make_mut(proposed).proposal = None;
        let boxes = self.track(object).filter(|(_, segment)| segment.mask.is_none());
        let boxes: Vec<(usize, Rect)> = boxes.filter_map(|(frame, s)| Some((frame, s.rect?))).collect();
        for (frame, rect) in boxes {
            self.segment_mut(object, frame).ask(|question| question.prompt.rect = Some(rect));
        }
        true
    }

    /// Removes proposals, and of those that were found by a box remembers that they are not what they were taken for.
    pub fn reject(&mut self, proposals: &[(MediumId, ObjectId)]) {
        let mut id = self.rejected.keys().map(|(_, id)| id + 1).max().unwrap_or(0);
        for &(medium, object) in proposals {
            let Some(category) = self.objects.get(&(medium, object)).map(|o| o.category) else { continue };
            let found_by = self.track(object).find_map(|(frame, segment)| Some((frame, segment.found_by()?)));
            if let Some((frame, rect)) = found_by {
                self.rejected.insert((medium, id), Arc::new(Rejected { frame, rect, category }));
                id += 1;
            }
            self.remove_object(medium, object);
        }
    }

    /// What was rejected on a medium, by when.
    fn rejected_on(&self, medium: MediumId) -> impl Iterator<Item = (u32, &Arc<Rejected>)> {
        self.rejected.range((medium, 0)..=(medium, u32::MAX)).map(|((_, id), not)| (*id, not))
    }

    /// The latest `n` places that are not of a category.
    pub fn latest_rejected(&self, category: CategoryId, n: usize) -> Vec<(FrameId, Rect)> {
        let of_it = self.rejected.iter().filter(|(_, not)| not.category == category);
        let mut latest: Vec<(u32, FrameId, Rect)> = of_it
            .map(|((medium, id), not)| (*id, FrameId { medium: *medium, frame: not.frame }, not.rect))
            .collect();
        latest.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
        latest.into_iter().take(n).map(|(_, at, rect)| (at, rect)).collect()
    }

    /// The category of this name, made if there is none.
    pub fn category_or_new(&mut self, name: &str) -> CategoryId {
        self.category_named(name).unwrap_or_else(|| {
            let id = self.new_category();
            let color = category_color(self.categories.len());
            self.categories.insert(id, Arc::new(Category::new(name, color)));
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: FrameId = FrameId { medium: MediumId(1), frame: 0 };

    fn rect(x: f32) -> Rect {
        Rect { x0: x, y0: 0.0, x1: x + 10.0, y1: 10.0 }
    }

    fn boxed(x: f32) -> Segment {
        Segment::found_at(Prompt { rect: Some(rect(x)), points: Vec::new() }, 0.5)
    }

    #[test]
    fn what_was_rejected_is_known_for_that_category_only() {
        let mut project = Project::default();
        let [car, cow] = ["car", "cow"].map(|name| project.category_or_new(name));
        let object = project.add_object(AT, Object::proposed(car, 0.5), boxed(0.0));
        assert!(project.is_known(AT, rect(1.0), Some(cow)), "it is there");
        project.reject(&[(AT.medium, object)]);
        assert!(project.objects.is_empty() && project.segments.is_empty());
        assert!(project.is_known(AT, rect(1.0), Some(car)));
        assert!(!project.is_known(AT, rect(1.0), Some(cow)));
        assert!(!project.is_known(AT, rect(30.0), Some(car)));
        assert_eq!(project.latest_rejected(car, 5), [(AT, rect(0.0))]);
        project.remove_medium(AT.medium);
        assert!(project.rejected.is_empty());
    }

    #[test]
    fn an_accepted_box_asks_for_its_mask() {
        let mut project = Project::default();
        let car = project.category_or_new("car");
        let object = project.add_object(AT, Object::proposed(car, 0.5), boxed(0.0));
        assert!(!project.segment(object, 0).unwrap().is_given());
        assert!(project.accept(AT.medium, object) && !project.accept(AT.medium, object));
        let segment = project.segment(object, 0).unwrap();
        assert!(segment.is_given() && !segment.is_answered);
        assert_eq!(segment.question.prompt.rect, Some(rect(0.0)));
    }
}
