//! A cache of a detector's results for images, so that none is encoded twice.

use std::sync::{Arc, Weak};

use crate::{geometry::Rect, picture::Picture};

/// A cache of results for images or parts of them. When it is full, the oldest result is dropped.
pub(super) struct Known<T> {
    /// Results with their image and part. The address of an image is not reused while its weak pointer lives.
    things: Vec<(Weak<Picture>, Option<Rect>, T)>,
    most: usize,
}

impl<T: Clone> Known<T> {
    /// Creates an empty cache for at most `most` results.
    pub(super) fn new(most: usize) -> Self {
        Self { things: Vec::new(), most }
    }

    /// Returns the cached result for an image or a part of it; otherwise calls `find` and caches its result.
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
