//! What a detector knows of pictures, so that it does not look twice.

use std::sync::{Arc, Weak};

use crate::{geometry::Rect, picture::Picture};

/// The latest few things that are known of pictures, or of parts of them.
pub(super) struct Known<T> {
    /// A picture's address is not used again while its weak pointer lives.
    things: Vec<(Weak<Picture>, Option<Rect>, T)>,
    most: usize,
}

impl<T: Clone> Known<T> {
    /// Nothing yet, and at most `most` things ever.
    pub(super) fn new(most: usize) -> Self {
        Self { things: Vec::new(), most }
    }

    /// What is known of a picture, or of a part of it; else what `find` finds, which is known from then on.
    pub(super) fn get<E>(
        &mut self,
        picture: &Arc<Picture>,
        part: Option<Rect>,
        find: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let is_it = |(of, at, _): &&(Weak<Picture>, Option<Rect>, T)| {
            std::ptr::eq(of.as_ptr(), Arc::as_ptr(picture)) && *at == part
        };
        if let Some((.., thing)) = self.things.iter().find(is_it) {
            return Ok(thing.clone());
        }
        let thing = find()?;
        if self.things.len() == self.most {
            self.things.remove(0);
        }
        self.things.push((Arc::downgrade(picture), part, thing.clone()));
        Ok(thing)
    }
}
