//! Masks by hand: brush, polygons, and what is done to whole masks.

use std::sync::Arc;

use engine::{
    geometry::Point,
    mask::Rle,
    project::{FrameId, ObjectId, Segment},
    prompt::Label,
};

use super::Session;
use crate::command::Tool;

impl Session {
    pub(super) fn stroke(&mut self, points: &[Point], label: Label) {
        let Some(size) = self.size() else { return };
        self.paint(Rle::stroke(points, self.tools.brush, size), label);
    }

    pub(super) fn fill_polygon(&mut self, points: Vec<Point>, label: Label) {
        let Some(size) = self.size() else { return };
        self.paint(Rle::of_polygons(&[points], size), label);
    }

    /// Adds pixels to the selected object, or to a new one, or takes them away.
    fn paint(&mut self, pixels: Rle, label: Label) {
        let (title, adds) = match label {
            Label::Positive => ("Paint", true),
            Label::Negative => ("Erase", false),
        };
        match self.selected_object().zip(self.frame()) {
            Some(((id, _), at)) => {
                let mask = self.project().segment(id, at.frame).and_then(|segment| segment.mask.clone());
                let changed = match (mask, adds) {
                    (Some(mask), true) => mask.union(&self.allowed(at, pixels, Some(id))),
                    (Some(mask), false) => mask.subtract(&pixels),
                    (None, true) => self.allowed(at, pixels, Some(id)),
                    (None, false) => return,
                };
                self.set_masks(title, vec![(id, changed)]);
            }
            None if adds => {
                let Some(at) = self.frame() else { return };
                let pixels = self.allowed(at, pixels, None);
                if pixels.area() > 0 {
                    self.add_object(title, Segment::by_hand(pixels));
                }
            }
            None => self.notices.info("Select the object to erase from"),
        }
    }

    pub(super) fn reshape(&mut self, from: &[Vec<Point>], to: &[Vec<Point>]) {
        let Some((at, (id, _, segment))) = self.frame().zip(self.selected()) else { return };
        let Some(mask) = segment.mask.clone() else { return };
        let (from, to) = (Rle::of_polygons(from, mask.size()), Rle::of_polygons(to, mask.size()));
        let changed =
            mask.union(&self.allowed(at, to.subtract(&from), Some(id))).subtract(&from.subtract(&to));
        self.set_masks("Move corner", vec![(id, changed)]);
    }

    /// These pixels of a frame, without those of other objects if only unlabeled ones are to be taken.
    pub(super) fn allowed(&self, at: FrameId, pixels: Rle, object: Option<ObjectId>) -> Rle {
        if !self.tools.only_unlabeled {
            return pixels;
        }
        let others = self.project().segments_on(at);
        let others = others.filter(|(id, o, _)| Some(*id) != object && o.proposal.is_none());
        let masks = others.filter_map(|(.., segment)| segment.mask.as_ref());
        masks.fold(pixels, |pixels, mask| pixels.subtract(mask))
    }

    /// Gives objects of the shown frame other masks, as one step.
    fn set_masks(&mut self, title: &str, masks: Vec<(ObjectId, Rle)>) {
        let Some(at) = self.frame() else { return };
        self.edit_masks(title, |project| {
            for (id, mask) in masks {
                if project.segment(id, at.frame).and_then(|s| s.mask.as_deref()) != Some(&mask) {
                    project.segments.insert((id, at.frame), Arc::new(Segment::by_hand(mask)));
                }
            }
        });
    }

    /// The selected objects that have masks, the first selected first.
    fn selected_masks(&self) -> Vec<(ObjectId, Arc<Rle>)> {
        let Some(at) = self.frame() else { return Vec::new() };
        let mask = |id: &ObjectId| Some((*id, self.project().segment(*id, at.frame)?.mask.clone()?));
        self.selection.iter().filter_map(mask).collect()
    }

    pub(super) fn change_masks(&mut self, title: &str, change: impl Fn(&Rle) -> Rle) {
        let masks = self.selected_masks();
        if masks.is_empty() {
            self.notices.info("Select an object with a mask first");
        }
        let changed = masks.into_iter().map(|(id, mask)| (id, change(&mask))).collect();
        self.set_masks(title, changed);
    }

    /// On all frames of a video.
    pub(super) fn join(&mut self) {
        let (Some(at), [first, others @ ..]) = (self.frame(), &self.selection.clone()[..]) else { return };
        if others.is_empty() {
            self.notices.info("Select two objects or more to join them");
            return;
        }
        self.history.edit("Join", |project| project.join_tracks(at.medium, *first, others));
        self.selection = vec![*first];
    }

    pub(super) fn subtract(&mut self) {
        let masks = self.selected_masks();
        let [(first, mask), others @ ..] = &masks[..] else { return };
        if others.is_empty() {
            self.notices.info("Select the object to take from, then those to take");
            return;
        }
        let rest = others.iter().fold((**mask).clone(), |rest, (_, mask)| rest.subtract(mask));
        self.set_masks("Subtract", vec![(*first, rest)]);
    }

    pub(super) fn split(&mut self) {
        let Some((at, (id, object, segment))) = self.frame().zip(self.selected()) else { return };
        let (object, parts) =
            (object.clone(), segment.mask.as_ref().map_or_else(Vec::new, |mask| mask.parts()));
        if parts.len() < 2 {
            self.notices.info("This object is in one part");
            return;
        }
        self.selection = self.edit_masks("Split", |project| {
            let mut ids = vec![id];
            for (i, part) in parts.into_iter().enumerate() {
                if i > 0 {
                    ids.push(project.new_object());
                    project.objects.insert((at.medium, ids[i]), object.clone());
                }
                project.segments.insert((ids[i], at.frame), Arc::new(Segment::by_hand(part)));
            }
            ids
        });
    }

    pub(super) fn swap_brush(&mut self) {
        self.tools.tool = if self.tools.tool == Tool::Brush { Tool::Eraser } else { Tool::Brush };
    }
}
