//! What is selected, and what is said of objects as a whole: prompts, categories, acceptance.

use std::sync::Arc;

use engine::{
    geometry::{Point, Rect},
    project::{
        Category, CategoryId, FrameId, MediumId, Object, ObjectId, Project, Question, Segment, category_color,
    },
    prompt::{Label, PointPrompt},
};

use super::{Session, toggle};

impl Session {
    /// Lets go of what is no longer there, as after undo.
    pub(super) fn keep_selection_true(&mut self) {
        let (objects, shown) = (&self.history.now().objects, self.shown);
        self.selection.retain(|id| shown.is_some_and(|medium| objects.contains_key(&(medium, *id))));
        // Another may get its id, and is to be seen.
        let project = self.history.now();
        self.visibility.hidden.retain(|id| project.track(*id).next().is_some());
    }

    pub(super) fn toggle_selected(&mut self, object: ObjectId) {
        let n_before = self.selection.len();
        self.selection.retain(|id| *id != object);
        if self.selection.len() == n_before {
            self.selection.push(object);
        }
    }

    /// The topmost object at a place; the smallest, where several are.
    pub(super) fn select_at(&mut self, at: Point, add: bool) {
        let found = self.object_at(at);
        match found {
            Some(object) if add => self.toggle_selected(object),
            Some(object) => self.selection = vec![object],
            None if !add => self.selection.clear(),
            None => {}
        }
    }

    /// The smallest visible object at a place, in image pixels.
    pub fn object_at(&self, at: Point) -> Option<ObjectId> {
        let covers = |segment: &Segment| {
            segment.bounds().is_some_and(|b| (b.x0..b.x1).contains(&at.x) && (b.y0..b.y1).contains(&at.y))
                && segment.mask.as_ref().is_none_or(|mask| mask.contains(at.x as usize, at.y as usize))
        };
        let size = |segment: &Segment| {
            let area = segment.mask.as_ref().map(|mask| mask.area());
            area.unwrap_or_else(|| segment.bounds().map_or(0, |b| ((b.x1 - b.x0) * (b.y1 - b.y0)) as u64))
        };
        let here = self.segments().filter(|(id, _, segment)| self.is_visible(*id) && covers(segment));
        here.min_by_key(|(.., segment)| size(segment)).map(|(id, ..)| id)
    }

    /// Lets go of objects, or if there are none of chosen frames.
    pub(super) fn deselect(&mut self) {
        if self.selection.is_empty() {
            self.set_span(None);
        }
        self.selection.clear();
    }

    pub(super) fn select_next(&mut self, n: isize) {
        let Some(shown) = self.shown else { return };
        let ids: Vec<ObjectId> = self.project().objects_of(shown).map(|(id, _)| id).collect();
        let now = self.selection.last().and_then(|id| ids.iter().position(|other| other == id));
        let next = match now {
            Some(i) => i.checked_add_signed(n).unwrap_or(ids.len().saturating_sub(1)) % ids.len().max(1),
            None if n > 0 => 0,
            None => ids.len().saturating_sub(1),
        };
        self.selection = ids.get(next).copied().into_iter().collect();
    }

    pub(super) fn add_point(&mut self, at: Point, label: Label) {
        let label = match label {
            Label::Positive if self.tools.is_swapped => Label::Negative,
            Label::Negative if self.tools.is_swapped => Label::Positive,
            label => label,
        };
        if label == Label::Negative && self.selected_object().is_none() {
            self.notices.info("Select an object first, or begin one with a left click");
            return;
        }
        let title = if label == Label::Positive { "Add point" } else { "Take away at point" };
        self.ask(title, |question| question.prompt.points.push(PointPrompt { at, label }));
    }

    pub(super) fn set_box(&mut self, rect: Rect) {
        self.ask("Draw box", |question| question.prompt.rect = Some(rect));
    }

    /// Changes what is asked about the selected object, or about a new one.
    fn ask(&mut self, title: &str, change: impl FnOnce(&mut Question)) {
        let Some(at) = self.frame() else { return };
        match self.selected_object().map(|(id, _)| id) {
            Some(id) => self.edit_masks(title, |project| {
                project.segment_mut(id, at.frame).ask(|question| {
                    change(question);
                    question.choice = 0;
                });
            }),
            None => {
                let mut segment = Segment::default();
                segment.ask(change);
                self.add_object(title, segment);
            }
        }
    }

    /// A new object on the shown frame, which is then selected.
    pub(super) fn add_object(&mut self, title: &str, segment: Segment) {
        let Some(at) = self.frame() else { return };
        let Some(category) = self.category() else {
            self.notices.warn("Make a category first");
            return;
        };
        let id = self.history.edit(title, |project| project.add_object(at, Object::new(category), segment));
        self.selection = vec![id];
    }

    pub(super) fn clear_prompt(&mut self) {
        let Some(at) = self.frame() else { return };
        let Some((id, _, segment)) = self.selected() else { return };
        if segment.question.base.is_none() && segment.rect.is_none() {
            self.history
                .edit("Clear", |project| project.remove_from_track(at.medium, id, at.frame..=at.frame));
        } else {
            self.edit_masks("Clear", |project| {
                project.segment_mut(id, at.frame).ask(|question| {
                    question.prompt = Default::default();
                    question.choice = 0;
                });
            });
        }
    }

    /// Another of the masks that the prompt may mean.
    pub(super) fn choose(&mut self, n: i8) {
        /// The decoder's masks: one for clear prompts and three for ambiguous ones; the model's choice is one of them.
        const N_CHOICES: i8 = 4;
        let Some(at) = self.frame() else { return };
        let Some((id, _, segment)) = self.selected() else { return };
        let prompt = &segment.question.prompt;
        if prompt.is_empty() {
            self.notices.info("Candidates are for clicks and boxes; this mask was made by hand");
            return;
        }
        let is_ambiguous = prompt.points.len() == 1 && prompt.rect.is_none();
        let n_choices = if is_ambiguous { N_CHOICES - 1 } else { N_CHOICES };
        let choice = (segment.question.choice as i8 + n).rem_euclid(n_choices) as u8;
        self.edit_masks("Choose candidate", |project| {
            project.segment_mut(id, at.frame).ask(|question| question.choice = choice);
        });
    }

    /// Changes the selected objects themselves.
    fn change_selected(&mut self, title: &str, change: impl Fn(&mut Object)) {
        let (medium, selection) = (self.shown, self.selection.clone());
        self.history.edit(title, |project| {
            for id in selection {
                change_object(project, medium, id, &change);
            }
        });
    }

    pub(super) fn delete(&mut self) {
        if self.reject() {
            return;
        }
        let (selection, span) = (std::mem::take(&mut self.selection), self.span());
        let Some(at) = self.frame() else { return };
        self.history.edit("Delete", |project| {
            for id in selection {
                match &span {
                    Some(span) => project.remove_from_track(at.medium, id, span.clone()),
                    None => project.remove_object(at.medium, id),
                }
            }
        });
    }

    pub(super) fn copy_to_next(&mut self) {
        let Some(at) = self.frame() else { return };
        if self.video().is_some() {
            self.copy_to_next_frame(at);
            return;
        }
        let Some((&next, medium)) = self.project().media.range(at.medium..).nth(1) else {
            self.notices.info("This is the last image");
            return;
        };
        if Some(medium.size) != self.size() {
            self.notices.warn(format!("The next image has another size: {}", medium.size));
            return;
        }
        let all = self.selection.is_empty();
        let copies: Vec<(Object, Segment)> = self
            .segments()
            .filter(|(id, ..)| all || self.selection.contains(id))
            .map(|(_, object, segment)| {
                let by_hand = segment.mask.as_ref().map(|mask| Segment::by_hand((**mask).clone()));
                let segment = by_hand.or_else(|| segment.bounds().map(Segment::boxed)).unwrap_or_default();
                ((**object).clone(), segment)
            })
            .collect();
        let ids: Vec<ObjectId> = self.history.edit("Copy to the next image", |project| {
            let at = FrameId { medium: next, frame: 0 };
            copies.into_iter().map(|(object, segment)| project.add_object(at, object, segment)).collect()
        });
        self.go_to(next);
        self.selection = ids;
    }

    pub(super) fn set_category(&mut self, category: CategoryId) {
        if self.project().categories.contains_key(&category) {
            self.category = Some(category);
            self.change_selected("Set category", |object| object.category = category);
        }
    }

    pub(super) fn category_key(&mut self, key: u8) {
        let of_key = self.project().categories.iter().find(|(_, category)| category.key == Some(key));
        match of_key.map(|(id, _)| *id) {
            Some(id) => self.set_category(id),
            None => self.notices.info(format!("No category has the key {key}; give it one in the list")),
        }
    }

    pub(super) fn set_attribute(&mut self, name: &str, value: &str) {
        self.change_selected("Set attribute", |object| {
            if value.is_empty() {
                object.attributes.remove(name);
            } else {
                object.attributes.insert(name.to_owned(), value.to_owned());
            }
        });
    }

    pub(super) fn toggle_hidden(&mut self) {
        for object in self.selection.clone() {
            toggle(&mut self.visibility.hidden, object);
        }
    }

    /// A new category, which the selected objects then have; one step.
    pub(super) fn add_category(&mut self, name: &str) {
        let name = name.trim();
        if name.is_empty() {
            return;
        }
        if let Some(known) = self.project().category_named(name) {
            self.set_category(known);
            return;
        }
        let used: Vec<u8> = self.project().categories.values().filter_map(|c| c.key).collect();
        let key = (1..=9).chain([0]).find(|key| !used.contains(key));
        let (medium, selection) = (self.shown, self.selection.clone());
        let id = self.history.edit("Add category", |project| {
            let id = project.new_category();
            let color = category_color(id.0 as usize - 1);
            project.categories.insert(id, Arc::new(Category { key, ..Category::new(name, color) }));
            for object in selection {
                change_object(project, medium, object, |object| object.category = id);
            }
            id
        });
        self.category = Some(id);
    }

    pub(super) fn rename_category(&mut self, id: CategoryId, name: &str) {
        let name = name.trim();
        if self.project().category_named(name).is_some_and(|other| other != id) {
            self.notices.warn(format!("There is a category {name} already"));
        } else if !name.is_empty() {
            let before = self.project().categories.get(&id).map(|category| category.name.clone());
            self.finding.rename(before.as_deref(), name);
            self.change_category(id, "Rename category", |category| category.name = name.to_owned());
        }
    }

    pub(super) fn change_category(
        &mut self,
        id: CategoryId,
        title: &str,
        change: impl FnOnce(&mut Category),
    ) {
        self.history.edit(title, |project| {
            if let Some(category) = project.categories.get_mut(&id) {
                change(Arc::make_mut(category));
            }
        });
    }

    /// A key means one category: the one that had it loses it.
    pub(super) fn set_category_key(&mut self, id: CategoryId, key: Option<u8>) {
        self.history.edit("Change key", |project| {
            let ids: Vec<CategoryId> = project.categories.keys().copied().collect();
            for other in ids {
                let Some(category) = project.categories.get_mut(&other) else { continue };
                let wanted = if other == id { key } else { category.key.filter(|k| Some(*k) != key) };
                if category.key != wanted {
                    Arc::make_mut(category).key = wanted;
                }
            }
        });
    }

    pub(super) fn remove_category(&mut self, id: CategoryId) {
        let project = self.project();
        let n_used = project.objects.values().filter(|object| object.category == id).count();
        if n_used > 0 {
            self.notices.warn(format!("{n_used} objects have this category; give them another first"));
        } else if project.categories.len() == 1 {
            self.notices.warn("This is the only category; rename it instead");
        } else {
            self.history.edit("Remove category", |project| project.remove_category(id));
            self.category = self.category().or(self.project().categories.keys().next().copied());
        }
    }
}

fn change_object(
    project: &mut Project,
    medium: Option<MediumId>,
    id: ObjectId,
    change: impl Fn(&mut Object),
) {
    if let Some(object) = medium.and_then(|medium| project.objects.get_mut(&(medium, id))) {
        change(Arc::make_mut(object));
    }
}
