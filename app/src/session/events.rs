//! What the engine reports, taken in.

use std::sync::Arc;

use engine::{
    media::MediaError,
    picture::Picture,
    project::{Content, FrameId, Medium, MediumId, ObjectId, Question},
    segmenter::Answer,
    worker::Event,
};
use image::RgbImage;

use super::{Homeless, Model, Preview, Session, Thumbnail};

impl Session {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Ready(model) => self.model_is_ready(model),
            Event::ModelChanged(model) => self.tell_of_model(model),
            Event::Timed(times) => self.timed(times),
            Event::NoModel(why) => {
                self.notices.error(format!("The model cannot be loaded: {why}"));
                self.model = Model::None(why);
            }
            Event::Encoded(at) => drop(self.cache.encoded.insert(at)),
            Event::Answered { object, at, question, answer } => self.answered(object, at, question, answer),
            Event::Previewed { at, question, answer } => {
                let Answer { mask, iou } = answer;
                self.cache.preview = Some(Preview { at, question, mask: Arc::new(mask), iou });
            }
            // A file of a project that was open before is nothing to this one.
            Event::Read(at, path, picture) if self.path_of(at.medium).as_ref() == Some(&path) => {
                self.read(at, picture)
            }
            Event::Thumbnail(medium, path, thumbnail) if self.path_of(medium).as_ref() == Some(&path) => {
                self.thumbnailed(medium, thumbnail);
            }
            Event::Read(..) | Event::Thumbnail(..) => {}
            Event::Opened { path, history, media } => self.opened(path, *history, media),
            Event::NotOpened { path, media, is_place, why } => {
                let homeless = is_place.then(|| Homeless { why: why.clone(), path, media });
                self.not_opened(why, homeless);
            }
            Event::Older(before, steps, has_older) => self.history.add_older(before, steps, has_older),
            Event::Written(n) => self.written(n),
            Event::NotWritten { why, is_whole_project } => self.not_written(why, is_whole_project),
            Event::Restored(path) => self.restored(&path),
            Event::Rescued => self.rescued(),
            Event::Reviewed(medium, review) => self.reviewed(medium, review),
            Event::Tracked(opening, report) => self.tracked(opening, report),
            Event::Progress { job, done, total } => self.progressed(job, done, total),
            Event::Found { job, at, masks } => self.found(job, at, masks),
            Event::Detected { job, at, by, found } => self.detected(job, at, &by, found),
            Event::Ended { job, outcome } => self.ended(job, outcome),
        }
    }

    /// Belongs to the step that asked; an answer to what is asked no more is dropped.
    pub(super) fn answered(
        &mut self,
        object: ObjectId,
        at: FrameId,
        question: Question,
        answer: Result<Answer, String>,
    ) {
        let segment = self.project().segment(object, at.frame);
        if segment.is_none_or(|segment| segment.is_answered || segment.question != question) {
            return;
        }
        match answer {
            Ok(Answer { mask, iou }) => {
                let mask = self.allowed(at, mask, Some(object));
                self.history.amend(|project| {
                    let segment = project.segment_mut(object, at.frame);
                    (segment.mask, segment.iou, segment.is_answered) = (Some(Arc::new(mask)), iou, true);
                });
            }
            Err(why) => {
                self.notices.error(format!("There is no mask for this: {why}"));
                self.asked.fail(object, question);
            }
        }
    }

    /// A click where the preview shows what it gives is answered by it.
    pub(super) fn take_preview(&mut self) {
        let Some((preview, (id, _, segment))) = self.preview().zip(self.selected()) else { return };
        if !segment.is_answered && segment.question == preview.question {
            let Preview { at, question, mask, iou } = preview.clone();
            self.answered(id, at, question, Ok(Answer { mask: (*mask).clone(), iou }));
        }
    }

    fn read(&mut self, at: FrameId, picture: Result<Arc<Picture>, MediaError>) {
        if picture.as_ref().is_err_and(MediaError::is_missing) {
            self.cache.missing.insert(at);
        } else {
            self.cache.missing.remove(&at);
        }
        let picture = picture.map_err(|error| error.to_string());
        if let (Ok(picture), Some(medium)) = (&picture, self.project().media.get(&at.medium))
            && picture.size() != medium.size
        {
            let name = medium.name().to_owned();
            self.notices.warn(format!(
                "{name} now has {} pixels, it was labeled at {}",
                picture.size(),
                medium.size
            ));
        }
        if let Ok(picture) = &picture {
            self.cache.aspects.insert(at.medium, picture.pixel_aspect);
        }
        self.cache.pictures.insert(at, picture);
    }

    fn thumbnailed(&mut self, id: MediumId, thumbnail: Result<(RgbImage, Content), MediaError>) {
        let thumbnail = match thumbnail {
            Ok((picture, content)) => {
                self.compare_content(id, content);
                Thumbnail::Picture(Arc::new(picture))
            }
            Err(error) if error.is_missing() => Thumbnail::Missing(error.to_string()),
            Err(error) => Thumbnail::Unreadable(error.to_string()),
        };
        self.cache.thumbnails.insert(id, thumbnail);
    }

    /// Notes what a file holds when it is first read, and says when it holds something else.
    fn compare_content(&mut self, id: MediumId, content: Content) {
        let Some(medium) = self.project().media.get(&id).cloned() else { return };
        match &medium.content {
            Some(known) if *known != content => {
                self.notices.warn(format!("{} has changed since it was added", medium.name()));
            }
            Some(_) => {}
            None => self.history.amend(|project| {
                let medium = Medium { content: Some(content), ..(*medium).clone() };
                project.media.insert(id, Arc::new(medium));
            }),
        }
    }
}
