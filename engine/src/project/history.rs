//! Undo and redo: the project now, and the steps that led to it and that were taken back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{Change, Key, ObjectId, Project};

/// Names a step in its project, from 1; later steps have larger ids.
pub type StepId = i64;

/// What a person did, and all that it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// What to call it, such as "Add point".
    pub title: Arc<str>,
    /// How the project changed, in the order of keys.
    pub changes: Arc<Vec<Change>>,
}

impl Step {
    /// Where its change of an entry is, or would be.
    fn place_of(&self, key: Key) -> Result<usize, usize> {
        self.changes.binary_search_by_key(&key, |change| change.key)
    }
}

/// What the project file has to be told, in the order in which it came about.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new step; what was taken back before is gone.
    Step(Step),
    /// Something computed, which belongs to a step or to none.
    Amend {
        /// The step whose outcome it completes.
        step: Option<StepId>,
        /// What changed.
        change: Change,
    },
    /// The step was taken back.
    Undo(StepId),
    /// It was done again.
    Redo(StepId),
}

/// The project now, with its past and the future that was taken back.
///
/// Holds a stretch of the steps around now; the project file has the others, see [`Self::needs_older`].
#[derive(Clone, Debug)]
pub struct History {
    now: Arc<Project>,
    /// The latest last.
    undo: VecDeque<Step>,
    /// The next to do again last.
    redo: Vec<Step>,
    /// Whether the file has steps before the first of `undo`.
    has_older: bool,
    next: StepId,
    unwritten: Vec<Write>,
}

/// So many steps are held in memory; the others are read back from the file as they are needed.
pub(super) const HELD: usize = 500;

impl Default for History {
    fn default() -> Self {
        Self::new(Project::default(), Vec::new(), Vec::new(), false, 1)
    }
}

impl History {
    /// Of a project that was opened: `undo` with the latest step last, `redo` with the next to do again last, `next` the
    /// id of the next new step.
    pub fn new(now: Project, undo: Vec<Step>, redo: Vec<Step>, has_older: bool, next: StepId) -> Self {
        Self { now: Arc::new(now), undo: undo.into(), redo, has_older, next, unwritten: Vec::new() }
    }

    /// The project as it is.
    pub fn now(&self) -> &Arc<Project> {
        &self.now
    }

    /// One step of the user's. A step that changes nothing is none.
    pub fn edit<T>(&mut self, title: &str, change: impl FnOnce(&mut Project) -> T) -> T {
        let before = self.now.clone();
        let outcome = change(Arc::make_mut(&mut self.now));
        let changes = before.changes_to(&self.now);
        if !changes.is_empty() {
            let step = Step { id: self.next, title: title.into(), changes: Arc::new(changes) };
            self.next += 1;
            self.unwritten.push(Write::Step(step.clone()));
            self.undo.push_back(step);
            self.redo.clear();
            if self.undo.len() > HELD {
                self.undo.pop_front();
                self.has_older = true;
            }
        }
        outcome
    }

    /// Fills in something computed from what is there: not a step of its own, but part of the last one that changed the
    /// same entry, so that doing that step again brings it back.
    pub fn amend(&mut self, change: impl FnOnce(&mut Project)) {
        let before = self.now.clone();
        change(Arc::make_mut(&mut self.now));
        for change in before.changes_to(&self.now) {
            let mut step = None;
            for earlier in self.undo.iter_mut().rev() {
                if let Ok(i) = earlier.place_of(change.key) {
                    Arc::make_mut(&mut earlier.changes)[i].after.clone_from(&change.after);
                    step = Some(earlier.id);
                    break;
                }
            }
            self.unwritten.push(Write::Amend { step, change });
        }
    }

    /// The id that the next new step will have.
    pub fn next_step(&self) -> StepId {
        self.next
    }

    /// Lets a step go on: what changes now belongs to it, so that undoing it takes this back too. A segment that a later
    /// step has changed stays as it is.
    pub fn extend(&mut self, step: StepId, change: impl FnOnce(&mut Project)) {
        let before = self.now.clone();
        change(Arc::make_mut(&mut self.now));
        let n_earlier = self.undo.partition_point(|other| other.id < step);
        let mut new: BTreeMap<StepId, Vec<Change>> = BTreeMap::new();
        for change in before.changes_to(&self.now) {
            let changed_it = |other: &Step| other.place_of(change.key).is_ok();
            let later = (n_earlier..self.undo.len())
                .rev()
                .find(|&i| self.undo[i].id > step && changed_it(&self.undo[i]));
            if later.is_some() && matches!(change.key, Key::Segment(..)) {
                Arc::make_mut(&mut self.now).set(change.key, change.before);
                continue;
            }
            let owner = later.map_or(step, |i| self.undo[i].id);
            if let Some(owner) = self.undo.range_mut(n_earlier..).find(|other| other.id == owner) {
                match owner.place_of(change.key) {
                    Ok(known) => {
                        Arc::make_mut(&mut owner.changes)[known].after.clone_from(&change.after);
                    }
                    Err(_) => new.entry(owner.id).or_default().push(change.clone()),
                }
            }
            self.unwritten.push(Write::Amend { step: Some(owner), change });
        }
        for owner in self.undo.range_mut(n_earlier..) {
            if let Some(new) = new.remove(&owner.id) {
                let changes = Arc::make_mut(&mut owner.changes);
                changes.extend(new);
                changes.sort_by_key(|change| change.key);
            }
        }
    }

    /// Takes the last step back, and tells which it was.
    pub fn undo(&mut self) -> Option<Step> {
        let step = self.undo.pop_back()?;
        let now = Arc::make_mut(&mut self.now);
        for change in step.changes.iter() {
            now.set(change.key, change.before.clone());
        }
        self.unwritten.push(Write::Undo(step.id));
        self.redo.push(step.clone());
        Some(step)
    }

    /// Does the last step that was taken back again, and tells which it was.
    pub fn redo(&mut self) -> Option<Step> {
        let step = self.redo.pop()?;
        let now = Arc::make_mut(&mut self.now);
        for change in step.changes.iter() {
            now.set(change.key, change.after.clone());
        }
        self.unwritten.push(Write::Redo(step.id));
        self.undo.push_back(step.clone());
        Some(step)
    }

    /// The first id from which on no object has or had one, as far as steps since `step` or that were taken back tell: what
    /// [`Self::extend`] adds is kept only if no later step has changed it.
    pub fn unused_object(&self, step: StepId) -> ObjectId {
        let last = |step: &Step| {
            let n = step
                .changes
                .partition_point(|change| change.key <= Key::Segment(ObjectId(u32::MAX), usize::MAX));
            match step.changes[..n].last().map(|change| change.key) {
                Some(Key::Segment(object, _)) => Some(ObjectId(object.0 + 1)),
                _ => None,
            }
        };
        let steps = self.undo.iter().rev().take_while(|other| other.id >= step).chain(&self.redo);
        steps.filter_map(last).max().map_or(self.now.new_object(), |id| id.max(self.now.new_object()))
    }

    /// Whether a step is done and not taken back.
    pub fn is_done(&self, step: StepId) -> bool {
        // Those that only the file has are done: what was taken back is in memory.
        let is_older = self.has_older && self.undo.front().is_some_and(|first| step < first.id);
        is_older || self.undo.binary_search_by_key(&step, |other| other.id).is_ok()
    }

    /// Objects that steps after `step` have changed.
    pub fn changed_since(&self, step: StepId) -> BTreeSet<ObjectId> {
        let later = self.undo.iter().rev().take_while(|other| other.id > step);
        let object = |change: &Change| match change.key {
            Key::Object(_, id) | Key::Segment(id, _) => Some(id),
            _ => None,
        };
        later.flat_map(|other| other.changes.iter().filter_map(object)).collect()
    }

    /// The title of what [`Self::undo`] would take back.
    pub fn undoable(&self) -> Option<&str> {
        self.undo.back().map(|step| &*step.title)
    }

    /// The title of what [`Self::redo`] would do again.
    pub fn redoable(&self) -> Option<&str> {
        self.redo.last().map(|step| &*step.title)
    }

    /// What the project file has not been told yet.
    pub fn take_unwritten(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.unwritten)
    }

    /// The step before which more are wanted from the file, once few are left in memory.
    pub fn needs_older(&self) -> Option<StepId> {
        let few = self.undo.len() < HELD / 4;
        (self.has_older && few).then(|| self.undo.front().or(self.redo.last()).map_or(self.next, |s| s.id))
    }

    /// Takes in steps from the file, the latest last, that come directly before step `before`.
    pub fn add_older(&mut self, before: StepId, steps: Vec<Step>, has_older: bool) {
        if self.needs_older() == Some(before) {
            self.has_older = has_older;
            for step in steps.into_iter().rev() {
                self.undo.push_front(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::project::{Category, CategoryId, MediumId, Object, ObjectId, Segment};

    /// Some edit, told by three small numbers.
    fn edit(project: &mut Project, (what, id, value): (u8, u32, u8)) {
        let (medium, object) = (MediumId(1), ObjectId(id));
        match what {
            0 => {
                let proposal = Some(f32::from(value));
                let new = Object { category: CategoryId(1), proposal, attributes: [].into() };
                project.objects.insert((medium, object), Arc::new(new));
                project.segment_mut(object, 0).iou = f32::from(value);
            }
            1 => project.remove_object(medium, object),
            2 => drop(project.segments.insert((object, usize::from(value)), Arc::new(Segment::default()))),
            _ => drop(
                project
                    .categories
                    .insert(CategoryId(id), Arc::new(Category::new(&value.to_string(), [value; 3]))),
            ),
        }
    }

    proptest! {
        #[test]
        fn undo_to_the_start_and_redo_to_the_end(edits in prop::collection::vec((0..4_u8, 0..5_u32, 0..3_u8), 0..40)) {
            let mut history = History::default();
            let mut states = vec![history.now().clone()];
            for &change in &edits {
                history.edit("Edit", |project| edit(project, change));
                if **history.now() != **states.last().unwrap() {
                    states.push(history.now().clone());
                }
            }
            for state in states.iter().rev().skip(1) {
                prop_assert!(history.undo().is_some());
                prop_assert_eq!(history.now(), state);
            }
            prop_assert!(history.undo().is_none());
            for state in &states[1..] {
                prop_assert!(history.redo().is_some());
                prop_assert_eq!(history.now(), state);
            }
            prop_assert!(history.redo().is_none());
        }
    }

    #[test]
    fn an_amended_step_comes_back_with_what_was_amended() {
        let mut history = History::default();
        history.edit("One", |p| p.segment_mut(ObjectId(1), 0).iou = 0.1);
        history.edit("Two", |p| p.segment_mut(ObjectId(2), 0).iou = 0.2);
        history.amend(|p| p.segment_mut(ObjectId(1), 0).iou = 0.9);
        history.undo();
        history.undo();
        assert!(history.now().segments.is_empty());
        history.redo();
        assert_eq!(history.now().segment(ObjectId(1), 0).unwrap().iou, 0.9);
        assert!(matches!(history.take_unwritten()[2], Write::Amend { step: Some(1), .. }));
    }

    #[test]
    fn old_steps_leave_memory_and_come_back() {
        let mut history = History::default();
        for i in 0..HELD + 10 {
            history.edit("Edit", |p| p.segment_mut(ObjectId(1), i).iou = 0.5);
        }
        let step = |write| match write {
            Write::Step(step) => step,
            other => panic!("{other:?}"),
        };
        let steps: Vec<Step> = history.take_unwritten().into_iter().map(step).collect();
        let mut undone = 0;
        while history.undo().is_some() {
            undone += 1;
            if let Some(before) = history.needs_older() {
                let older: Vec<Step> = steps.iter().filter(|step| step.id < before).cloned().collect();
                history.add_older(before, older, false);
            }
        }
        assert_eq!(undone, HELD + 10);
        assert!(history.now().segments.is_empty());
    }
}
