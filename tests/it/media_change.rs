//! Media that come, go, or cannot be read, and steps that are taken back, while work on others goes on.

use std::{path::Path, time::Duration};

use segue::{
    command::{Command, Extent, Scope, Way},
    session::{Session, Thumbnail},
};

use crate::{
    desk::{Desk, click, fake, photo, slow_fake},
    tracks::{FORWARD, write_clip},
};

fn is_read(session: &Session) -> bool {
    session.picture().is_some()
}

/// Whether it is known what all files hold.
fn is_noted(session: &Session) -> bool {
    session.project().media.values().all(|medium| medium.content.is_some())
}

#[test]
fn tracking_in_one_video_ends_while_it_goes_on_in_another() {
    const LONG: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    write_clip(&folder.path().join("a.mp4"), 4);
    write_clip(&folder.path().join("b.mp4"), LONG);
    let mut desk = Desk::on(folder, slow_fake(Duration::ZERO, Duration::from_millis(15)));
    let [short, long] = desk.media()[..] else { panic!("two videos") };
    desk.step([Command::GoTo(long), click(30.0, 55.0)]);
    let object = desk.objects()[0];
    desk.run([FORWARD]);
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 3);
    desk.run([Command::GoTo(short)]);
    desk.until("the frame is read", is_read);
    desk.step([click(30.0, 55.0), Command::GoToFrame(2), click(30.0, 55.0), Command::First]);
    desk.run([Command::Propagate(Way::Forward, Extent::NextGiven)]);
    desk.finish();
    assert!(!desk.says("stopped"), "{:?}", desk.session.notices.shown());
    assert_eq!(desk.masks(object).len(), LONG);
}

#[test]
fn an_image_that_gets_the_id_of_another_is_not_taken_for_it() {
    let mut desk = Desk::new(2, fake());
    let gone = desk.media()[1];
    desk.seen.thumbnails = desk.media();
    desk.until("what the files hold is noted", is_noted);
    let content = desk.session.project().media[&gone].content.clone();
    desk.step([Command::GoTo(gone), Command::RemoveMedium]);
    let other = desk.folder.path().join("other.png");
    photo(7, 90, 70).save(&other).unwrap();
    desk.step([Command::AddMedia(vec![other])]);
    assert_eq!(desk.media()[1], gone, "the id is given again");
    desk.until("what it holds is noted", is_noted);
    assert_ne!(desk.session.project().media[&gone].content, content);
    let Some(Thumbnail::Picture(thumbnail)) = desk.session.thumbnail(gone) else { panic!("no thumbnail") };
    assert!(thumbnail.width() * 70 / thumbnail.height() >= 89, "it is of the other's shape");
}

#[test]
fn an_image_that_cannot_be_read_does_not_end_work_on_the_others() {
    let mut desk = Desk::new(3, fake());
    std::fs::remove_file(desk.folder.path().join("photo-1.png")).unwrap();
    desk.step([Command::SegmentEverything(Scope::Project)]);
    assert!(desk.says("but for 1 failure"), "{:?}", desk.session.notices.shown());
    let media = desk.media();
    let n_in =
        |i: usize| desk.session.project().objects.keys().filter(|(medium, _)| *medium == media[i]).count();
    assert!(n_in(0) > 0 && n_in(1) == 0 && n_in(2) > 0);
}

#[test]
fn work_on_an_image_that_cannot_be_read_fails() {
    let mut desk = Desk::new(1, fake());
    std::fs::remove_file(desk.folder.path().join("photo-0.png")).unwrap();
    desk.step([Command::SegmentEverything(Scope::Image)]);
    assert!(desk.says("Segment everything failed: cannot read"), "{:?}", desk.session.notices.shown());
}

#[test]
fn missing_media_are_found_though_nobody_has_seen_that_they_are_missing() {
    let mut desk = Desk::new(3, fake());
    desk.seen.thumbnails = desk.media();
    desk.until("what the files hold is noted", |s| is_noted(s) && s.is_saved());
    let folder = desk.folder.path().to_owned();
    std::fs::create_dir(folder.join("moved")).unwrap();
    let rename = |name: &Path| std::fs::rename(folder.join(name), folder.join("moved").join(name)).unwrap();
    rename(Path::new("photo-1.png"));
    rename(Path::new("photo-2.png"));
    let mut desk = desk.restart(fake());
    desk.step([Command::FindMedia(folder)]);
    let paths: Vec<&str> = desk.session.project().media.values().map(|medium| &*medium.path).collect();
    assert_eq!(paths, ["photo-0.png", "moved/photo-1.png", "moved/photo-2.png"]);
}

#[test]
fn what_a_job_has_found_is_kept_when_the_project_is_closed() {
    let mut desk = Desk::new(3, slow_fake(Duration::ZERO, Duration::from_millis(5)));
    desk.run([Command::SegmentEverything(Scope::Project)]);
    let is_in_second = |s: &Session| s.jobs().iter().any(|job| job.done * 3 > job.total + job.total / 10);
    desk.until("the first image is done", is_in_second);
    desk.run([Command::CloseProject]);
    let path = desk.folder.path().to_owned();
    desk.run([Command::Open(vec![path])]);
    desk.until("it is open again", is_read);
    assert!(!desk.session.project().objects.is_empty());
}

#[test]
fn undo_that_takes_the_shown_video_away_shows_an_image_from_its_beginning() {
    let mut desk = Desk::new(1, fake());
    let clip = desk.folder.path().join("clip.mp4");
    write_clip(&clip, 8);
    desk.step([Command::AddMedia(vec![clip])]);
    let video = desk.media()[1];
    desk.step([Command::GoTo(video), Command::GoToFrame(5), Command::Undo]);
    assert_eq!(desk.session.player().frame, 0);
    desk.until("the image is read", is_read);
    desk.step([click(50.0, 50.0)]);
    assert!(desk.mask(0).contains(50, 50));
}

#[test]
fn an_object_that_gets_the_id_of_a_hidden_one_is_seen() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(50.0, 50.0), Command::ToggleHidden, Command::Delete, click(90.0, 60.0)]);
    assert!(desk.session.is_visible(desk.objects()[0]));
}

#[test]
fn there_is_a_category_after_the_chosen_one_was_taken_back() {
    let mut desk = Desk::new(1, fake());
    desk.step([Command::AddCategory("dog".to_owned()), Command::Undo, click(50.0, 50.0)]);
    assert_eq!(desk.objects().len(), 1);
}

#[test]
fn what_is_tracked_next_does_not_wait_for_a_pause_that_is_over() {
    let folder = tempfile::tempdir().unwrap();
    write_clip(&folder.path().join("clip.mp4"), 30);
    let mut desk = Desk::on(folder, slow_fake(Duration::ZERO, Duration::from_millis(5)));
    desk.step([click(30.0, 55.0)]);
    let object = desk.objects()[0];
    desk.run([FORWARD]);
    desk.until("some frames are tracked", |s| s.project().track(object).count() > 3);
    desk.run([Command::TogglePause]);
    desk.run([Command::Undo]);
    desk.run([FORWARD]);
    desk.finish();
    assert_eq!(desk.masks(object).len(), 30);
}
