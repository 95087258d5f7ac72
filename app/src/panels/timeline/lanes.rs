//! What the timeline shows of each object on each frame, kept up to date by what changes in the project.

use std::{collections::BTreeMap, sync::Arc};

use engine::project::{Key, MediumId, ObjectId, Project, Segment};

/// One object on one frame, at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub kind: Kind,
    /// The IoU that the model expects, 0 to 255.
    pub confidence: u8,
}

/// What is known of an object on a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    #[default]
    Unknown,
    /// It is not there, says tracking.
    Absent,
    /// Tracking found it.
    Tracked,
    /// A person clicked or drew it.
    Given,
    /// A person says that it is right.
    Confirmed,
    /// A person says that it is not there.
    GivenAbsent,
}

impl Cell {
    fn of(segment: &Segment) -> Self {
        let is_empty = segment.mask.as_ref().is_some_and(|mask| mask.area() == 0);
        let kind = match (segment.is_given(), is_empty) {
            (true, true) => Kind::GivenAbsent,
            (true, false) if segment.confirmed => Kind::Confirmed,
            (true, false) => Kind::Given,
            (false, true) => Kind::Absent,
            (false, false) => Kind::Tracked,
        };
        Self { kind, confidence: (segment.iou.clamp(0.0, 1.0) * 255.0) as u8 }
    }
}

/// One lane an object.
#[derive(Default)]
pub(super) struct Lanes {
    known: Option<(MediumId, Arc<Project>)>,
    /// A cell a frame.
    pub lanes: BTreeMap<ObjectId, Vec<Cell>>,
}

impl Lanes {
    /// Takes in what has changed since the last turn.
    pub(super) fn update(&mut self, project: &Arc<Project>, medium: MediumId, n_frames: usize) {
        match self.known.take() {
            Some((known, before)) if known == medium => {
                if !Arc::ptr_eq(&before, project) {
                    self.change(&before, project, medium, n_frames);
                }
            }
            _ => {
                self.lanes.clear();
                for (object, _) in project.objects_of(medium) {
                    let lane = self.lanes.entry(object).or_insert_with(|| vec![Cell::default(); n_frames]);
                    for (frame, segment) in project.track(object).filter(|(frame, _)| *frame < n_frames) {
                        lane[frame] = Cell::of(segment);
                    }
                }
            }
        }
        self.known = Some((medium, project.clone()));
    }

    fn change(&mut self, before: &Project, now: &Project, medium: MediumId, n_frames: usize) {
        for change in before.changes_to(now) {
            match change.key {
                Key::Object(of, object) if of == medium && change.after.is_none() => {
                    drop(self.lanes.remove(&object))
                }
                Key::Object(of, object) if of == medium => {
                    self.lanes.entry(object).or_insert_with(|| vec![Cell::default(); n_frames]);
                }
                Key::Segment(object, frame) => {
                    if let Some(cell) = self.lanes.get_mut(&object).and_then(|lane| lane.get_mut(frame)) {
                        *cell = now
                            .segment(object, frame)
                            .map_or_else(Cell::default, |segment| Cell::of(segment));
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::{
        geometry::Size,
        mask::Rle,
        project::{CategoryId, Object},
    };

    use super::*;

    #[test]
    fn a_change_shows_as_drawing_all_anew_does() {
        let (medium, a, b) = (MediumId(1), ObjectId(1), ObjectId(2));
        let tracked = |iou| Segment::tracked(Rle::from_runs(Size::square(2), [0, 4]).unwrap(), iou, 1.0);
        let mut project = Project::default();
        for id in [a, b] {
            project.objects.insert((medium, id), Arc::new(Object::new(CategoryId(1))));
            (0..10).for_each(|frame| *project.segment_mut(id, frame) = tracked(0.5));
        }
        let mut lanes = Lanes::default();
        lanes.update(&Arc::new(project.clone()), medium, 10);
        project.segment_mut(a, 3).confirmed = true;
        *project.segment_mut(a, 4) = Segment::absent(Size::square(2));
        project.remove_within(a, 7..=8);
        project.remove_object(medium, b);
        let project = Arc::new(project);
        lanes.update(&project, medium, 10);
        let mut anew = Lanes::default();
        anew.update(&project, medium, 10);
        assert_eq!(lanes.lanes, anew.lanes);
        let kinds: Vec<Kind> = lanes.lanes[&a].iter().map(|cell| cell.kind).collect();
        assert_eq!(
            kinds[3..8],
            [Kind::Confirmed, Kind::GivenAbsent, Kind::Tracked, Kind::Tracked, Kind::Unknown]
        );
    }
}
