//! What a session does: commands in, project out.

use std::{fs::File, time::Duration};

use engine::{
    mask::{Outline, Rle},
    segmenter::{FakeSegmenter, SegmentError, Segmenter},
    worker::Load,
};
use segue::{
    command::{Command, Export, Proposals, Scope, Tool},
    notice::Level,
    session::{Progress, Thumbnail},
};

use crate::{
    desk::{Desk, at, click, click_off, fake, photo, rect, slow_fake, write},
    tracks,
};

#[test]
fn a_click_makes_an_object_with_a_mask() {
    let mut desk = Desk::new(2, fake());
    assert_eq!(desk.media().len(), 2);
    desk.step([click(50.0, 50.0)]);
    let mask = desk.mask(0);
    assert!(mask.contains(50, 50) && !mask.contains(90, 50));
    desk.step([click(110.0, 50.0)]);
    assert_eq!(desk.objects().len(), 1, "the second click adds to the selected object");
    assert!(desk.mask(0).contains(110, 50));
    desk.step([click_off(50.0, 50.0)]);
    assert!(!desk.mask(0).contains(50, 50));
    desk.step([Command::Accept, click(50.0, 100.0)]);
    assert_eq!(desk.objects().len(), 2, "after accepting, a click begins another object");
}

#[test]
fn a_box_makes_an_object_and_clicks_refine_it() {
    let mut desk = Desk::new(1, fake());
    desk.step([Command::SetBox(rect(10.0, 10.0, 60.0, 40.0)), click(90.0, 60.0)]);
    assert_eq!(desk.objects().len(), 1);
    let mask = desk.mask(0);
    assert!(mask.contains(12, 12) && mask.contains(90, 60));
    desk.step([Command::ClearPrompt]);
    assert!(desk.objects().is_empty(), "an object without a prompt is none");
}

#[test]
fn a_click_before_the_image_is_encoded_is_kept_and_answered() {
    let mut desk = Desk::new(1, slow_fake(Duration::from_millis(150), Duration::ZERO));
    desk.run([click(50.0, 50.0)]);
    assert!(desk.session.segments().all(|(.., segment)| !segment.is_answered && segment.mask.is_none()));
    desk.settle();
    assert!(desk.mask(0).contains(50, 50));
}

#[test]
fn of_fast_clicks_the_mask_answers_all() {
    let mut desk = Desk::new(1, slow_fake(Duration::ZERO, Duration::from_millis(20)));
    for i in 0..20 {
        desk.run([click(20.0 + 6.0 * i as f32, 60.0)]);
    }
    desk.settle();
    assert!((0..20).all(|i| desk.mask(0).contains(20 + 6 * i, 60)));
    for _ in 0..20 {
        desk.run([Command::Undo]);
    }
    assert!(desk.objects().is_empty());
}

#[test]
fn candidates_go_round() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(80.0, 60.0)]);
    let first = desk.mask(0);
    desk.step([Command::NextCandidate]);
    assert!(desk.mask(0).area() > first.area());
    desk.step([Command::PreviousCandidate]);
    assert_eq!(desk.mask(0), first);
}

#[test]
fn undo_to_the_start_and_redo_to_the_end_across_a_restart() {
    let mut desk = Desk::new(3, fake());
    let commands = [
        click(50.0, 50.0),
        click(90.0, 50.0),
        Command::AddCategory("forklift".to_owned()),
        Command::Accept,
        Command::SetBox(rect(5.0, 5.0, 30.0, 30.0)),
        Command::Stroke {
            points: vec![at(100.0, 100.0), at(120.0, 100.0)],
            label: engine::prompt::Label::Positive,
        },
        Command::Grow,
        Command::CopyToNext,
        Command::DoneAndNext,
        click(20.0, 20.0),
    ];
    let mut states = vec![desk.session.project().clone()];
    for command in commands {
        desk.step([command]);
        if desk.session.project() != states.last().unwrap() {
            states.push(desk.session.project().clone());
        }
    }
    assert!(states.len() >= 9, "{}", states.len());
    for state in states.iter().rev().skip(1) {
        desk.step([Command::Undo]);
        // What is computed anew is not the user's.
        assert_eq!(desk.session.project(), state);
    }
    let mut desk = desk.restart(fake());
    for state in &states[1..] {
        desk.step([Command::Redo]);
        assert_eq!(desk.session.project(), state);
    }
    let mut desk = desk.restart(fake());
    assert_eq!(desk.session.project(), states.last().unwrap());
    for _ in 1..states.len() {
        desk.step([Command::Undo]);
    }
    assert_eq!(desk.session.project(), &states[0]);
    desk.step([Command::Undo]);
    assert_eq!(desk.session.project(), &states[0], "opening a folder is no step");
}

#[test]
fn undo_goes_to_the_image_that_it_changes() {
    let mut desk = Desk::new(2, fake());
    desk.step([click(50.0, 50.0), Command::Step(1), Command::Undo]);
    assert_eq!(desk.session.shown(), Some(desk.media()[0]));
}

#[test]
fn masks_by_hand_keep_their_holes() {
    let mut desk = Desk::new(1, fake());
    let line = |y| Command::Stroke {
        points: vec![at(30.0, y), at(90.0, y)],
        label: engine::prompt::Label::Positive,
    };
    desk.step([Command::SetTool(Tool::Brush), line(40.0), line(80.0)]);
    let corners = |x0: f32, y0: f32, x1: f32, y1: f32| vec![at(x0, y0), at(x1, y0), at(x1, y1), at(x0, y1)];
    let fill = |points| Command::FillPolygon { points, label: engine::prompt::Label::Positive };
    desk.step([fill(corners(20.0, 30.0, 40.0, 90.0)), fill(corners(80.0, 30.0, 100.0, 90.0))]);
    assert_eq!(desk.objects().len(), 1);
    let ring = desk.mask(0);
    assert!(!ring.contains(60, 60) && ring.contains(60, 40));
    let mut desk = desk.restart(fake());
    assert_eq!(desk.mask(0), ring);
    desk.step([Command::SelectAll, Command::FillHoles]);
    assert!(desk.mask(0).contains(60, 60));
    desk.step([Command::Undo, Command::SelectAll, Command::Grow, Command::Shrink]);
    assert!(!desk.mask(0).contains(60, 60));
}

#[test]
fn parts_are_split_joined_and_subtracted() {
    let mut desk = Desk::new(1, fake());
    let dot = |x| Command::Stroke { points: vec![at(x, 60.0)], label: engine::prompt::Label::Positive };
    desk.step([dot(30.0), dot(120.0)]);
    let both = desk.mask(0);
    desk.step([Command::Split]);
    assert_eq!(desk.objects().len(), 2);
    assert_eq!(desk.mask(0).area() + desk.mask(1).area(), both.area());
    desk.step([Command::SelectAll, Command::Join]);
    assert_eq!((desk.objects().len(), desk.mask(0)), (1, both.clone()));
    desk.step([Command::Accept, dot(30.0), Command::SelectAll, Command::Subtract]);
    assert!(!desk.mask(0).contains(30, 60) && desk.mask(0).contains(120, 60));
}

#[test]
fn only_unlabeled_pixels_are_taken() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(60.0, 60.0), Command::Accept, Command::ToggleOnlyUnlabeled, click(75.0, 60.0)]);
    let (first, second) = (desk.mask(0), desk.mask(1));
    assert!(first.intersection(&second).area() == 0 && second.area() > 0);
}

#[test]
fn moving_a_corner_changes_only_what_is_near_it() {
    let mut desk = Desk::new(1, fake());
    desk.step([Command::SetBox(rect(20.0, 20.0, 60.0, 60.0))]);
    let before = desk.mask(0);
    let from: Vec<_> = Outline::of_rle(&before).iter().flat_map(|part| part.simplified(1.0)).collect();
    let mut to = from.clone();
    let corner = to[0].iter_mut().find(|p| p.x > 50.0 && p.y > 50.0).unwrap();
    *corner = at(100.0, 100.0);
    desk.step([Command::Reshape { from, to }]);
    let after = desk.mask(0);
    assert!(after.contains(80, 80) && !before.contains(80, 80));
    let lost: Rle = before.subtract(&after);
    assert_eq!(lost.area(), 0);
}

#[test]
fn categories_have_keys_and_names_of_their_own() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(50.0, 50.0), Command::AddCategory("cat".to_owned())]);
    let name = |desk: &Desk| {
        let (_, object, _) = desk.session.segments().next().unwrap();
        desk.session.project().categories[&object.category].name.clone()
    };
    assert_eq!(name(&desk), "cat");
    desk.step([Command::CategoryKey(1)]);
    assert_eq!(name(&desk), "object");
    let cat = desk.session.project().category_named("cat").unwrap();
    desk.step([Command::RenameCategory(cat, "object".to_owned())]);
    assert!(desk.says("already"));
    desk.step([Command::KeyCategory(cat, Some(1)), Command::CategoryKey(1)]);
    assert_eq!(name(&desk), "cat");
    desk.step([Command::RemoveCategory(cat)]);
    assert!(desk.session.project().categories.contains_key(&cat), "objects still have it");
}

#[test]
fn proposals_wait_for_a_yes_or_no() {
    let mut desk = Desk::new(2, fake());
    desk.step([Command::SegmentEverything(Scope::Image)]);
    let n = desk.objects().len();
    assert!(n > 0, "{:?}", desk.session.notices.shown());
    let first = desk.media()[0];
    assert_eq!(Progress::of(desk.session.project(), first), Progress::ToReview);
    desk.step([Command::NextObject, Command::Accept]);
    assert_eq!(desk.session.segments().filter(|(_, object, _)| object.proposal.is_none()).count(), 1);
    desk.step([Command::RejectAll(Proposals::HERE)]);
    assert_eq!(desk.objects().len(), 1);
    assert_eq!(Progress::of(desk.session.project(), first), Progress::Labeled);
    desk.step([Command::Undo, Command::Undo, Command::Undo]);
    assert!(desk.objects().is_empty(), "the whole job is one step");
}

#[test]
fn boxes_become_masks_in_one_step() {
    let mut desk = Desk::new(2, fake());
    let json = serde_json::json!({
        "images": [{"id": 7, "file_name": "photo-0.png", "width": 160, "height": 120},
                   {"id": 9, "file_name": "photo-1.png", "width": 160, "height": 120}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 10, 40, 30], "area": 1200, "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [60, 40, 50, 50], "area": 2500, "iscrowd": 0}],
    });
    let file = desk.folder.path().join("boxes.json");
    write(&file, &json.to_string());
    desk.step([Command::Import(file)]);
    let imported = desk.session.project().clone();
    assert_eq!(imported.segments.len(), 2);
    assert!(imported.segments.values().all(|segment| segment.mask.is_none() && segment.rect.is_some()));
    desk.step([Command::MasksForBoxes(Scope::Project)]);
    let masks = |desk: &Desk| desk.session.project().segments.values().filter(|s| s.mask.is_some()).count();
    assert_eq!(masks(&desk), 2);
    desk.step([Command::Undo]);
    assert_eq!(desk.session.project(), &imported);
}

#[test]
fn import_that_leaves_something_out_warns_and_says_how_much() {
    let mut desk = Desk::new(1, fake());
    let annotation = |id: u32, category: u32| serde_json::json!({"id": id, "image_id": 7, "category_id": category, "bbox": [10 * id, 10, 5, 5]});
    let json = serde_json::json!({
        "images": [{"id": 7, "file_name": "photo-0.png", "width": 160, "height": 120}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [annotation(1, 3), annotation(2, 8), annotation(3, 8)],
    });
    let file = desk.folder.path().join("boxes.json");
    write(&file, &json.to_string());
    desk.step([Command::Import(file.clone())]);
    let last = |desk: &Desk| desk.session.notices.shown().last().cloned().unwrap();
    assert_eq!(last(&desk).level, Level::Warning);
    assert!(last(&desk).text.contains("2 items of the file not taken"), "{}", last(&desk).text);
    // The same file again changes nothing, and nothing failed.
    desk.step([Command::Import(file)]);
    assert_eq!(last(&desk).level, Level::Warning);
    assert!(last(&desk).text.contains("already in the project: 1 annotation"), "{}", last(&desk).text);
}

#[test]
fn a_canceled_job_keeps_what_is_finished() {
    let mut desk = Desk::new(8, slow_fake(Duration::from_millis(5), Duration::from_millis(1)));
    let annotations: Vec<_> = (0..8)
        .map(|i| serde_json::json!({"id": i + 1, "image_id": i + 1, "category_id": 1, "bbox": [10, 10, 50, 50]}))
        .collect();
    let images: Vec<_> = (0..8)
        .map(|i| serde_json::json!({"id": i + 1, "file_name": format!("photo-{i}.png"), "width": 160, "height": 120}))
        .collect();
    let json = serde_json::json!({"images": images, "categories": [{"id": 1, "name": "x"}], "annotations": annotations});
    let file = desk.folder.path().join("boxes.json");
    write(&file, &json.to_string());
    desk.step([Command::Import(file)]);
    desk.run([Command::MasksForBoxes(Scope::Project)]);
    desk.until("two are found", |s| s.jobs().first().is_some_and(|job| job.found.len() >= 2));
    desk.run([Command::CancelJob]);
    desk.settle();
    let n = desk.session.project().segments.values().filter(|segment| segment.mask.is_some()).count();
    assert!((2..8).contains(&n), "{n}");
}

#[test]
fn images_are_gone_through() {
    let mut desk = Desk::new(5, fake());
    let media = desk.media();
    let shown = |desk: &Desk| media.iter().position(|id| Some(*id) == desk.session.shown()).unwrap();
    desk.step([Command::Step(1), Command::Step(1)]);
    assert_eq!(shown(&desk), 2);
    desk.step([Command::Step(10)]);
    assert_eq!(shown(&desk), 4);
    desk.step([Command::Step(-1)]);
    assert_eq!(shown(&desk), 3);
    desk.step([Command::First, Command::DoneAndNext]);
    assert_eq!(shown(&desk), 1);
    desk.step([Command::Last, Command::NextUnfinished]);
    assert_eq!(shown(&desk), 1, "the first is done");
    assert_eq!(Progress::of(desk.session.project(), media[0]), Progress::Done);
}

#[test]
fn an_image_is_taken_out_and_stays_out() {
    let mut desk = Desk::new(3, fake());
    let media = desk.media();
    desk.step([Command::Step(1), click(50.0, 50.0), Command::RemoveMedium]);
    assert_eq!((desk.media().len(), desk.session.shown()), (2, Some(media[2])));
    assert!(desk.session.project().segments.is_empty());
    let mut desk = desk.restart(fake());
    assert_eq!(desk.media().len(), 2);
    desk.step([Command::Undo]);
    assert_eq!((desk.media().len(), desk.session.shown()), (3, Some(media[1])));
    desk.step([Command::Redo, Command::AddNewMedia]);
    assert_eq!(desk.media().len(), 3);
}

#[test]
fn bad_files_are_told_and_change_nothing() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(50.0, 50.0)]);
    let before = desk.session.project().clone();
    let file = desk.folder.path().join("text.jpg");
    write(&file, "this is no image");
    desk.step([Command::AddMedia(vec![file.clone()])]);
    assert!(desk.says("left out"), "{:?}", desk.session.notices.shown());
    desk.step([Command::Import(file)]);
    assert!(desk.says("failed"), "{:?}", desk.session.notices.shown());
    desk.step([Command::Export(Export::coco(desk.folder.path().join("no/such/folder/out.json")))]);
    assert_eq!(desk.session.project(), &before);
}

#[test]
fn a_project_is_open_in_one_window_only() {
    let desk = Desk::new(1, fake());
    let file = desk.file();
    let mut second = Desk::new(1, fake());
    second.run([Command::Open(vec![file])]);
    second.until("it is refused", |s| !s.notices.shown().is_empty());
    second.until("it is refused", |s| s.notices.shown().iter().any(|n| n.text.contains("open")));
    drop(desk);
}

#[test]
fn steps_made_just_before_another_project_is_opened_are_in_their_own() {
    let mut desk = Desk::new(1, fake());
    let other = crate::desk::photos(2);
    desk.settle();
    desk.run([click(50.0, 50.0), Command::Open(vec![other.path().to_owned()])]);
    desk.until("the other is open", |s| s.project().media.len() == 2 && s.jobs().is_empty());
    desk.settle();
    assert!(desk.session.project().objects.is_empty());
    // What is no project is refused, and the one before is open again.
    let text = other.path().join("text.segue");
    write(&text, "this is no project");
    desk.run([click(50.0, 50.0), Command::Open(vec![text])]);
    desk.until("the other is open again", |s| s.project().media.len() == 2 && s.project().objects.len() == 1);
    desk.run([Command::CloseProject]);
    let folder = desk.folder.path().to_owned();
    desk.run([Command::Open(vec![folder])]);
    desk.until("the first is open", |s| s.project().media.len() == 1);
    assert_eq!(desk.session.project().objects.len(), 1);
}

#[test]
fn a_moved_folder_is_opened_as_it_was_and_a_moved_file_is_found() {
    let mut desk = Desk::new(2, fake());
    desk.step([click(50.0, 50.0)]);
    // What the files hold is noted when they are seen.
    desk.seen.thumbnails = desk.media();
    desk.until("the thumbnails are there", |s| {
        s.project().media.values().all(|medium| medium.content.is_some()) && s.is_saved()
    });
    let folder = desk.folder.path().to_owned();
    std::fs::create_dir(folder.join("moved")).unwrap();
    std::fs::rename(folder.join("photo-1.png"), folder.join("moved/photo-1.png")).unwrap();
    let mut desk = desk.restart(fake());
    desk.seen.thumbnails = desk.media();
    let gone = desk.media()[1];
    desk.until("it is missed", |s| matches!(s.thumbnail(gone), Some(Thumbnail::Missing(_))));
    desk.step([Command::FindMedia(folder)]);
    assert_eq!(desk.session.project().media[&gone].path, "moved/photo-1.png");
}

#[test]
fn a_thumbnail_says_whether_a_file_is_missing_or_unreadable() {
    let mut desk = Desk::new(2, fake());
    let [cut, gone] = desk.media()[..] else { panic!("there are two photos") };
    desk.settle();
    let folder = desk.folder.path();
    File::options().write(true).open(folder.join("photo-0.png")).unwrap().set_len(60).unwrap();
    std::fs::remove_file(folder.join("photo-1.png")).unwrap();
    let mut desk = desk.restart(fake());
    desk.seen.thumbnails = desk.media();
    desk.until("both are there", |s| s.thumbnail(cut).is_some() && s.thumbnail(gone).is_some());
    assert!(matches!(desk.session.thumbnail(cut), Some(Thumbnail::Unreadable(_))));
    assert!(matches!(desk.session.thumbnail(gone), Some(Thumbnail::Missing(_))));
}

#[test]
fn a_changed_image_is_noticed() {
    let mut desk = Desk::new(1, fake());
    desk.seen.thumbnails = desk.media();
    desk.until("its contents are noted", |s| s.project().media.values().all(|m| m.content.is_some()));
    desk.settle();
    photo(9, 80, 80).save(desk.folder.path().join("photo-0.png")).unwrap();
    let mut desk = desk.restart(fake());
    desk.seen.thumbnails = desk.media();
    desk.until("it is told", |s| s.notices.shown().iter().any(|n| n.text.contains("changed")));
    assert!(desk.says("pixels"), "{:?}", desk.session.notices.shown());
}

#[test]
fn a_preview_shows_what_a_click_would_give() {
    let mut desk = Desk::new(1, fake());
    desk.until("the image is encoded", |s| s.is_encoded());
    desk.seen.hover = Some(at(70.0, 60.0));
    desk.until("there is a preview", |s| s.preview().is_some());
    let preview = desk.session.preview().unwrap().mask.clone();
    desk.run([click(70.0, 60.0)]);
    assert_eq!(desk.mask(0), preview, "such a click is answered in the same turn");
}

#[test]
fn the_built_in_model_answers_a_click() {
    let mut desk = Desk::new(
        1,
        engine::worker::Load::new(|| {
            let weights = engine::sam2::Weights::builtin().map_err(|error| error.to_string())?;
            let runtime =
                engine::nn::Runtime::start(Some(engine::nn::Device::Cpu), None).map_err(|e| e.to_string())?;
            let look = engine::sam2::Look::CAREFUL;
            let model = engine::segmenter::Sam2Segmenter::load("builtin", &runtime, &weights, look);
            Ok(Box::new(model.map_err(|error| error.to_string())?))
        }),
    );
    desk.step([click(45.0, 45.0)]);
    let square = Rle::of_rect(rect(20.0, 20.0, 70.0, 70.0), desk.mask(0).size());
    assert!(desk.mask(0).iou(&square) > 0.8, "{}", desk.mask(0).iou(&square));
}

#[test]
fn objects_that_are_tracked_together_get_the_same_masks() {
    let tracked = |at_once: usize| {
        let load = Load::new(move || {
            let mut fake = FakeSegmenter::default();
            fake.at_once = at_once;
            Ok(Box::new(fake) as Box<dyn Segmenter>)
        });
        let mut desk = tracks::clip(load);
        for x in [30.0, 60.0, 90.0] {
            desk.step([Command::Deselect, click(x, 60.0)]);
        }
        // One of them is given on another frame too.
        desk.step([
            Command::GoToFrame(4),
            click(60.0, 30.0),
            Command::Deselect,
            Command::First,
            tracks::FORWARD,
        ]);
        desk.finish();
        desk.objects().iter().map(|object| desk.masks(*object)).collect::<Vec<_>>()
    };
    let alone = tracked(1);
    assert_eq!(alone.len(), 3);
    assert!(alone.iter().all(|track| track.len() == tracks::N_FRAMES));
    assert_eq!(tracked(2), alone);
    assert_eq!(tracked(8), alone);
}

#[test]
fn an_object_that_cannot_be_tracked_does_not_end_the_others() {
    let load = Load::new(|| {
        let mut fake = FakeSegmenter::default();
        (fake.at_once, fake.fails_at) = (8, Some(1));
        Ok(Box::new(fake) as Box<dyn Segmenter>)
    });
    let mut desk = tracks::clip(load);
    for x in [30.0, 60.0, 90.0] {
        desk.step([Command::Deselect, click(x, 60.0)]);
    }
    desk.step([Command::Deselect, tracks::FORWARD]);
    desk.finish();
    let n_masks: Vec<usize> = desk.objects().iter().map(|object| desk.masks(*object).len()).collect();
    assert_eq!(n_masks, [tracks::N_FRAMES, 1, tracks::N_FRAMES]);
    let why = SegmentError::NothingGiven.to_string();
    assert!(desk.says(&why), "{why}");
}
