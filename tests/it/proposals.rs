//! Finding objects in a session: proposals come, change with thresholds, and are accepted or rejected. The detector is none:
//! what it finds is written here.

use std::sync::{Arc, Mutex};

use engine::{
    detect::{DetectError, Detection, Place},
    detector::{Detector, Query},
    geometry::Rect,
    nn::Cancel,
    picture::Picture,
    project::{FrameId, ObjectId},
    worker::Load,
};
use segue::{
    command::{Command, Find, Proposals, Scope},
    session::Progress,
};

use crate::{
    desk::{Desk, at, click, fake, rect},
    tracks::clip,
};

/// What a detector was asked: how many phrases, and the boxes of examples.
pub(crate) type Asked = Arc<Mutex<Vec<(usize, Vec<Rect>)>>>;

/// What is found on a frame.
type Finds = dyn Fn(FrameId, &[Query]) -> Vec<Detection> + Send + Sync;

/// Finds what it is told to, on every picture.
struct Told {
    classes: Option<Vec<String>>,
    finds: Arc<Finds>,
    asked: Asked,
}

impl Detector for Told {
    fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn usual_threshold(&self) -> f32 {
        0.5
    }

    fn detect(
        &mut self,
        picture: &Arc<Picture>,
        queries: &[Query],
        least: f32,
        _: &Cancel,
    ) -> Result<Vec<Detection>, DetectError> {
        let examples = queries.iter().filter_map(|query| match query {
            Query::Example(_, rect) => Some(*rect),
            Query::Phrase(_) => None,
        });
        let examples: Vec<Rect> = examples.collect();
        self.asked.lock().unwrap().push((queries.len() - examples.len(), examples));
        let found = (self.finds)(picture.at, queries).into_iter().filter(|d| d.score >= least);
        Ok(found.collect())
    }
}

fn found(rect: Rect, score: f32, class: usize) -> Detection {
    Detection { place: Place::Rect(rect), score, class }
}

/// A model that is no model, and a detector that finds what it is told to.
pub(crate) fn told(
    classes: Option<&[&str]>,
    finds: impl Fn(FrameId, &[Query]) -> Vec<Detection> + Send + Sync + 'static,
) -> (Asked, Load) {
    let (asked, finds): (_, Arc<Finds>) = (Asked::default(), Arc::new(finds));
    let classes = classes.map(|all| all.iter().map(|&class| class.to_owned()).collect::<Vec<_>>());
    let to = asked.clone();
    let load = fake().detecting(move |_| {
        Ok(Box::new(Told { classes: classes.clone(), finds: finds.clone(), asked: to.clone() }) as _)
    });
    (asked, load)
}

/// Three things, of which the first two overlap and the last is doubtful.
pub(crate) fn three(_: FrameId, _: &[Query]) -> Vec<Detection> {
    vec![
        found(rect(20.0, 20.0, 70.0, 70.0), 0.9, 0),
        found(rect(22.0, 21.0, 71.0, 70.0), 0.6, 0),
        found(rect(90.0, 20.0, 140.0, 60.0), 0.7, 0),
        found(rect(10.0, 80.0, 60.0, 110.0), 0.3, 0),
    ]
}

fn words(words: &str) -> Find {
    let (examples, scope) = (Vec::new(), Scope::Image);
    Find { words: words.to_owned(), examples, detector: None, scope, threshold: None, every: None }
}

fn find(find: Find) -> Command {
    Command::Find(Box::new(find))
}

impl Desk {
    /// The proposals on the shown frame: where, what, and how sure.
    fn proposed(&self) -> Vec<(Rect, String, f32)> {
        let project = self.session.project();
        let proposals = self.session.segments().filter_map(|(_, object, segment)| {
            let name = project.categories[&object.category].name.clone();
            Some((segment.bounds()?, name, object.proposal?))
        });
        proposals.collect()
    }

    fn scores(&self) -> Vec<f32> {
        self.proposed().into_iter().map(|(.., score)| score).collect()
    }
}

#[test]
fn what_words_find_is_proposed_and_follows_the_thresholds_as_one_step() {
    let (_, load) = told(None, three);
    let mut desk = Desk::new(1, load);
    let before = desk.session.project().clone();
    desk.step([find(words("square"))]);
    let square = |rect, score| (rect, "square".to_owned(), score);
    let both = [square(rect(20.0, 20.0, 70.0, 70.0), 0.9), square(rect(90.0, 20.0, 140.0, 60.0), 0.7)];
    assert_eq!(desk.proposed(), both, "of those that overlap the surest, and none below the threshold");
    assert!(desk.session.segments().all(|(.., segment)| segment.mask.is_none()), "masks are made later");
    desk.step([Command::SetUsualThreshold(0.2)]);
    assert_eq!(desk.scores(), [0.9, 0.7, 0.3]);
    desk.step([Command::SetUsualThreshold(0.8)]);
    assert_eq!(desk.scores(), [0.9]);
    desk.step([Command::CountAs { class: 0, threshold: Some(0.6), category: Some("box".to_owned()) }]);
    assert_eq!(desk.scores(), [0.9, 0.7]);
    assert!(desk.proposed().iter().all(|(_, name, _)| name == "box"));
    desk.step([Command::CountAs { class: 0, threshold: None, category: None }]);
    assert_eq!(desk.scores(), [0.0; 0], "left out");
    desk.step([Command::CountAs { class: 0, threshold: None, category: Some("square".to_owned()) }]);
    desk.step([Command::SetUsualThreshold(0.5)]);
    assert_eq!(desk.proposed(), both);
    let found = desk.session.project().clone();
    desk.step([Command::Undo]);
    assert_eq!(desk.session.project(), &before);
    desk.step([Command::Redo]);
    assert_eq!(desk.session.project(), &found);
    let desk = desk.restart(fake());
    assert_eq!(desk.session.project(), &found);
}

#[test]
fn one_key_accepts_or_rejects_one_after_the_other() {
    let (_, load) = told(None, three);
    let mut desk = Desk::new(1, load);
    desk.step([find(words("square @0.2")), Command::NextProposal]);
    let score = |desk: &Desk| desk.session.selected_object().and_then(|(_, object)| object.proposal);
    assert_eq!(score(&desk), Some(0.9), "the best first");
    desk.step([Command::Accept]);
    assert_eq!(score(&desk), Some(0.7));
    desk.step([Command::Deselect, Command::ToggleProposalOrder, Command::NextProposal]);
    assert_eq!(score(&desk), Some(0.3), "the worst first");
    desk.step([Command::Delete]);
    assert_eq!(score(&desk), Some(0.7));
    desk.step([Command::Accept]);
    assert_eq!(desk.session.selection(), []);
    assert_eq!(desk.proposed(), []);
    assert_eq!(desk.objects().len(), 2);
    for mask in [desk.mask(0), desk.mask(1)] {
        assert!(mask.area() > 1000, "an accepted box has its mask made");
    }

    desk.step([find(words("square @0.2"))]);
    assert_eq!(desk.proposed(), [], "what is there is not proposed again, nor what was rejected");
    assert!(desk.says("there already"));
    desk.step([find(words("patch @0.2"))]);
    assert_eq!(desk.scores(), [0.3], "it may still be something else");
    let mut desk = desk.restart(told(None, three).1);
    desk.step([Command::RejectAll(Proposals::HERE), find(words("square @0.2"))]);
    assert_eq!(desk.proposed(), [], "that outlasts a restart");
    for _ in 0..3 {
        // Rejecting the patch, finding it, accepting the second square; then the rejection.
        desk.step([Command::Undo]);
    }
    desk.step([Command::Undo]);
    assert_eq!(desk.scores(), [0.7, 0.3]);
}

#[test]
fn a_step_that_was_taken_back_is_made_anew_when_a_threshold_changes() {
    let (_, load) = told(None, three);
    let mut desk = Desk::new(1, load);
    desk.step([find(words("square")), Command::Undo, Command::SetUsualThreshold(0.8)]);
    assert_eq!(desk.scores(), [0.9]);
    desk.step([Command::Undo]);
    assert_eq!(desk.proposed(), []);
}

#[test]
fn accepted_and_rejected_ones_stay_so_when_thresholds_change() {
    let (_, load) = told(None, three);
    let mut desk = Desk::new(1, load);
    desk.step([find(words("square @0.2")), Command::NextProposal, Command::Accept, Command::Delete]);
    assert_eq!(desk.scores(), [0.3]);
    for threshold in [1.0, 0.1] {
        desk.step([Command::CountAs {
            class: 0,
            threshold: Some(threshold),
            category: Some("square".to_owned()),
        }]);
    }
    assert_eq!(desk.scores(), [0.3]);
    assert_eq!(desk.objects().len(), 2, "the accepted one is there once");
}

#[test]
fn in_all_images_all_that_is_sure_enough_is_accepted_and_has_its_masks_made() {
    let (asked, load) = told(None, three);
    let mut desk = Desk::new(4, load);
    let media = desk.media();
    desk.step([Command::GoTo(media[3]), Command::ToggleDone, Command::GoTo(media[0])]);
    desk.step([find(Find { scope: Scope::Project, ..words("square; round thing = disc, ball") })]);
    assert_eq!(asked.lock().unwrap().len(), 3, "what is done is left out");
    assert_eq!(asked.lock().unwrap()[0].0, 3, "three phrases");
    let of = |medium| Progress::of(desk.session.project(), medium);
    assert_eq!(media.iter().map(|m| of(*m)).filter(|p| *p == Progress::ToReview).count(), 3);

    let sure = Proposals { scope: Scope::Project, category: None, least: 0.8 };
    desk.step([Command::AcceptAll(sure)]);
    for medium in &media[..3] {
        let at = FrameId { medium: *medium, frame: 0 };
        let accepted: Vec<_> = desk
            .session
            .project()
            .segments_on(at)
            .filter(|(_, object, _)| object.proposal.is_none())
            .map(|(.., segment)| (segment.mask.is_some(), segment.is_answered))
            .collect();
        assert_eq!(accepted, [(true, true)], "also where nobody looks");
    }
    desk.step([Command::Undo]);
    let objects = &desk.session.project().objects;
    assert!(objects.len() == 6 && objects.values().all(|object| object.proposal.is_some()));
    assert!(desk.session.project().segments.values().all(|segment| segment.mask.is_none()));
    let category = desk.session.project().category_named("square");
    desk.step([Command::RejectAll(Proposals { scope: Scope::Project, category, least: 0.0 })]);
    assert!(desk.session.project().objects.is_empty());
}

#[test]
fn classes_of_a_detector_become_categories_that_are_there_however_they_are_written() {
    let finds = |_: FrameId, _: &[Query]| {
        vec![
            found(rect(20.0, 20.0, 70.0, 70.0), 0.9, 1),
            found(rect(90.0, 20.0, 140.0, 60.0), 0.8, 0),
            found(rect(10.0, 80.0, 60.0, 110.0), 0.7, 77),
        ]
    };
    let (_, load) = told(Some(&["auto", "Person", "boat"]), finds);
    let mut desk = Desk::new(1, load);
    desk.step([Command::AddCategory("person".to_owned())]);
    desk.step([find(Find { detector: Some("mine.onnx".to_owned()), ..words("") })]);
    let names = |desk: &Desk| desk.proposed().into_iter().map(|(_, name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&desk), ["person", "auto", "class 77"]);
    let rows: Vec<_> = desk.session.finding().rows().iter().map(|row| (row.class, row.n_counting)).collect();
    assert_eq!(rows, [(0, 1), (1, 1), (77, 1)], "only what was found is listed");
    desk.step([Command::CountAs { class: 0, threshold: None, category: Some("person".to_owned()) }]);
    desk.step([Command::CountAs { class: 77, threshold: None, category: None }]);
    assert_eq!(names(&desk), ["person", "person"]);
}

#[test]
fn more_like_the_selected_are_found_and_none_like_those_that_were_rejected() {
    let finds = |_: FrameId, queries: &[Query]| {
        let like = |rect| found(rect, 0.8, 0);
        let mut all = vec![like(rect(90.0, 20.0, 140.0, 60.0)), like(rect(10.0, 80.0, 60.0, 110.0))];
        // What was rejected looks like itself.
        for (class, query) in queries.iter().enumerate().skip(1) {
            let Query::Example(_, rect) = query else { panic!("{query:?}") };
            all.push(found(*rect, 0.95, class));
        }
        all
    };
    let (asked, load) = told(None, finds);
    let mut desk = Desk::new(2, load);
    desk.step([Command::FindSimilar]);
    assert!(desk.says("Select an object first"));
    desk.step([Command::SetBox(rect(20.0, 20.0, 70.0, 70.0)), Command::FindSimilar]);
    assert_eq!(asked.lock().unwrap()[0], (0, vec![rect(20.0, 20.0, 70.0, 70.0)]));
    assert_eq!(desk.scores(), [0.8, 0.8]);
    assert!(desk.proposed().iter().all(|(_, name, _)| name == "object"), "they are what the example is");
    let example = desk.session.selected_examples();
    desk.step([Command::NextProposal, Command::Delete]);
    let next = desk.media()[1];
    desk.step([Command::GoTo(next), find(Find { examples: example, ..words("") })]);
    assert_eq!(asked.lock().unwrap()[1].1.len(), 2, "the detector is shown what it is not");
    assert_eq!(desk.proposed().len(), 1, "{:?}", desk.proposed());
}

#[test]
fn a_model_that_points_is_one_more_detector() {
    let finds = |_: FrameId, _: &[Query]| {
        vec![Detection { place: Place::Point(at(45.0, 45.0)), score: 0.9, class: 0 }]
    };
    let (_, load) = told(None, finds);
    let mut desk = Desk::new(2, load);
    desk.step([find(Find { scope: Scope::Project, ..words("square") })]);
    assert_eq!(desk.scores(), [0.9]);
    assert!(desk.mask(0).contains(45, 45), "a point is proposed with its mask");
    desk.step([Command::AcceptAll(Proposals { scope: Scope::Project, ..Proposals::HERE })]);
    let masks = desk.session.project().segments.values().filter(|segment| segment.mask.is_some());
    assert_eq!(masks.count(), 2, "also on the image that is not shown");
}

#[test]
fn what_cannot_be_looked_for_is_said_and_nothing_changes() {
    let mut desk = Desk::new(1, fake());
    let before = desk.session.project().clone();
    desk.step([find(words("  "))]);
    assert!(desk.session.finding().failure().unwrap().contains("Say what to find"));
    desk.step([find(words("car @7"))]);
    assert!(desk.session.finding().failure().unwrap().contains("'7' is no threshold"));
    desk.step([find(words("car"))]);
    assert!(desk.session.finding().failure().unwrap().contains("there is no detector"));
    assert!(!desk.session.finding().is_running());
    assert_eq!(desk.session.project(), &before);
}

#[test]
fn a_search_that_is_canceled_keeps_what_it_found() {
    let slow = |_: FrameId, _: &[Query]| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        three(FrameId { medium: engine::project::MediumId(1), frame: 0 }, &[])
    };
    let (asked, load) = told(None, slow);
    let mut desk = Desk::new(20, load);
    desk.run([find(Find { scope: Scope::Project, ..words("square") })]);
    desk.until("some are looked at", |_| asked.lock().unwrap().len() > 2);
    desk.step([Command::CancelJob]);
    let n = desk.session.project().objects.len();
    assert!(n > 0 && n < 40, "{n}");
    assert!(!desk.session.finding().is_running());
    desk.step([Command::Undo]);
    assert!(desk.session.project().objects.is_empty());
}

/// What moves as the fake model's tracks do: a thing from the start, and one that comes at frame 12.
fn arrivals(at: FrameId, _: &[Query]) -> Vec<Detection> {
    let x = 2.0 * at.frame as f32;
    let mut all = vec![found(rect(10.0 + x, 40.0, 40.0 + x, 70.0), 0.9, 0)];
    if at.frame >= 12 {
        all.push(found(rect(x, 80.0, 20.0 + x, 110.0), 0.7, 0));
    }
    all
}

#[test]
fn in_a_video_new_arrivals_become_tracks_and_all_is_one_step() {
    let (asked, load) = told(None, arrivals);
    let mut desk = clip(load);
    let before = desk.session.project().clone();
    desk.step([find(Find { every: Some(5), ..words("square") })]);
    desk.until("all is tracked", |s| s.project().runs.is_empty() && s.is_saved());
    assert_eq!(asked.lock().unwrap().len(), 8, "every fifth frame is looked at");
    let project = desk.session.project().clone();
    let tracks: Vec<Vec<usize>> =
        project.objects.keys().map(|(_, id)| project.track(*id).map(|(frame, _)| frame).collect()).collect();
    assert_eq!(tracks.len(), 2, "what is tracked already is not new");
    assert_eq!(tracks[0], (0..40).collect::<Vec<_>>());
    // Found at frame 15, and looked for back to the frame after the one where it was not seen.
    assert_eq!(tracks[1], (11..40).collect::<Vec<_>>());
    assert!(project.objects.values().all(|object| object.proposal.is_some()));

    // The doubtful track goes as a whole, and comes back as a whole.
    desk.step([Command::SetUsualThreshold(0.8)]);
    assert_eq!(desk.session.project().objects.len(), 1);
    desk.step([Command::SetUsualThreshold(0.5)]);
    let (_, second) = *desk.session.project().objects.keys().nth(1).unwrap();
    assert_eq!(desk.session.project().track(second).count(), 29);
    desk.step([Command::SetUsualThreshold(0.8)]);
    desk.step([Command::Undo]);
    assert_eq!(desk.session.project(), &before);
    desk.step([Command::Redo, Command::NextProposal, Command::Accept]);
    let (_, object) = desk.session.project().objects.iter().next().unwrap();
    assert_eq!(object.proposal, None);
    assert_eq!(desk.session.project().track(ObjectId(1)).count(), 40);
}

#[test]
fn a_search_through_a_video_can_be_canceled_and_what_was_found_is_there() {
    let (_, load) = told(None, arrivals);
    let mut desk = clip(load);
    desk.run([find(Find { every: Some(5), ..words("square") })]);
    desk.until("something is found", |s| !s.project().objects.is_empty());
    desk.step([Command::CancelJob]);
    assert!(!desk.session.finding().is_running());
    desk.until("tracking ends", |s| s.project().runs.is_empty());
    assert_eq!(desk.session.project().objects.len(), 1);
    // Undo in the middle ends a search, too.
    desk.step([Command::Undo]);
    desk.run([find(Find { every: Some(5), ..words("square") })]);
    desk.until("something is found", |s| !s.project().objects.is_empty());
    desk.step([Command::Undo]);
    assert!(!desk.session.finding().is_running());
    assert!(desk.session.project().objects.is_empty());
}

#[test]
fn a_search_through_videos_ends_when_its_video_goes_or_its_tracks_are_stopped() {
    for command in [Command::RemoveMedium, Command::CancelTracking] {
        let (_, load) = told(None, arrivals);
        let mut desk = clip(load);
        desk.run([find(Find { every: Some(5), ..words("square") })]);
        desk.until("something is found", |s| !s.project().objects.is_empty());
        desk.run([command.clone()]);
        desk.until("the search ends", |s| !s.finding().is_running() && s.jobs().is_empty());
        assert!(desk.session.project().objects.len() <= 1, "{command:?}");
    }
}

#[test]
fn what_a_person_has_changed_no_threshold_takes_away() {
    let (_, load) = told(None, three);
    let mut desk = Desk::new(1, load);
    desk.step([find(words("square @0.2")), Command::NextProposal, click(45.0, 45.0)]);
    assert_eq!(desk.scores(), [0.9, 0.7, 0.3]);
    let mask = desk.mask(0);
    desk.step([Command::NextProposal, Command::AddCategory("patch".to_owned())]);
    let count_as = |threshold| Command::CountAs {
        class: 0,
        threshold: Some(threshold),
        category: Some("square".to_owned()),
    };
    desk.step([count_as(1.0)]);
    assert_eq!(desk.scores(), [0.9, 0.7], "what was clicked, and what was said to be something else");
    assert_eq!(desk.mask(0), mask);
    desk.step([count_as(0.1)]);
    assert_eq!(desk.scores(), [0.9, 0.7, 0.3]);
    assert_eq!(desk.proposed()[1].1, "patch");
}

#[test]
fn a_file_that_cannot_be_read_does_not_end_a_search() {
    let (asked, load) = told(None, three);
    let mut desk = Desk::new(3, load);
    std::fs::remove_file(desk.folder.path().join("photo-1.png")).unwrap();
    desk.step([find(Find { scope: Scope::Project, ..words("square") })]);
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert!(desk.says("but for 1 failure"));
    assert_eq!(desk.session.project().objects.len(), 4);
}

#[test]
fn a_click_is_answered_even_if_its_image_is_left_at_once() {
    let mut desk =
        Desk::new(2, crate::desk::slow_fake(std::time::Duration::from_millis(80), Default::default()));
    let media = desk.media();
    desk.run([click(50.0, 50.0)]);
    desk.run([Command::GoTo(media[1])]);
    desk.settle();
    desk.until("the answer is there", |s| s.project().segments.values().all(|segment| segment.is_answered));
    assert_eq!(desk.session.shown(), Some(media[1]));
    let object = *desk.session.project().objects.keys().next().unwrap();
    assert!(desk.session.project().segment(object.1, 0).unwrap().mask.as_ref().unwrap().contains(50, 50));
}
