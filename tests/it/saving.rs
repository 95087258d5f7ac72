//! Work is saved, or its user knows that it is not.

use std::{
    fs,
    path::{Path, PathBuf},
};

use engine::project::{Category, Opened, Store};
use segue::command::Command;

use crate::desk::{Desk, click, fake, photos};

/// Puts another project at the path of the one that is open.
fn replace(desk: &Desk) {
    let other = desk.folder.path().join("other.segue");
    drop(Store::open(&other).unwrap());
    fs::rename(other, desk.file()).unwrap();
}

/// A project of two photos with a step that cannot be saved, since another project took the place of its file.
fn unsaved() -> Desk {
    let mut desk = Desk::new(2, fake());
    desk.settle();
    replace(&desk);
    desk.run([click(50.0, 50.0)]);
    desk.until("it is said", |s| s.save_failure().is_some());
    desk
}

fn n_objects(project: &Path) -> usize {
    Store::open(project).unwrap().history.now().objects.len()
}

#[test]
fn a_project_whose_file_is_deleted_is_written_again_also_when_nothing_is_done() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(50.0, 50.0)]);
    let file = desk.file();
    fs::remove_file(&file).unwrap();
    desk.step([click(110.0, 50.0)]);
    assert!(file.exists() && desk.says("written again"), "{:?}", desk.session.notices.shown());
    fs::remove_file(&file).unwrap();
    desk.until("it is there again", |_| file.exists());
    desk.settle();
    let n = desk.objects().len();
    let Desk { engine, folder: _folder, .. } = desk;
    drop(engine);
    assert_eq!(n_objects(&file), n);
}

#[test]
fn a_project_that_cannot_be_saved_is_left_only_if_its_user_gives_it_up() {
    let mut desk = unsaved();
    let folder = desk.folder.path().to_owned();
    assert!(!desk.session.is_saved() && desk.says("another file is in its place"));
    for leave in [Command::CloseProject, Command::Open(vec![folder]), Command::Quit] {
        desk.run([leave.clone()]);
        let unsaved = desk.session.leaving().unwrap();
        assert!(unsaved.steps.iter().any(|title| **title == *"Add point"), "{:?}", unsaved.steps);
        assert!(unsaved.why.unwrap().contains("another file"));
        assert_eq!(unsaved.quits, leave == Command::Quit);
        desk.run([Command::Stay]);
        assert!(desk.session.leaving().is_none() && desk.objects().len() == 1);
    }
    desk.run([Command::Quit]);
    assert!(!desk.session.is_over());
    desk.run([Command::LoseUnsaved]);
    assert!(desk.session.is_over());
}

#[test]
fn a_project_goes_on_where_it_is_saved_elsewhere() {
    let mut desk = Desk::new(2, fake());
    let second = desk.media()[1];
    desk.step([Command::GoTo(second)]);
    replace(&desk);
    desk.run([click(50.0, 50.0)]);
    desk.until("it is said", |s| s.save_failure().is_some());
    assert!(desk.says("Work is not being saved"));
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("mine.segue");
    desk.run([Command::SaveElsewhere(elsewhere.path().join("mine"))]);
    desk.until("it is saved", |s| s.is_saved() && s.file().is_some_and(|open| open.path == file));
    assert_eq!(desk.session.shown(), Some(second));
    assert!(!desk.says("Work is not being saved") && desk.says("The project is now"));
    desk.until("the photo is read", |s| s.picture().is_some());
    desk.step([click(110.0, 50.0), Command::Quit]);
    desk.until("it is over", |s| s.is_over());
    let n = desk.objects().len();
    drop(desk);
    assert_eq!(n_objects(&file), n);
}

#[test]
fn quitting_goes_on_once_the_project_is_saved_elsewhere() {
    let mut desk = unsaved();
    desk.run([Command::Quit]);
    desk.until("it is asked", |s| s.leaving().is_some_and(|unsaved| unsaved.why.is_some()));
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("mine.segue");
    desk.run([Command::SaveElsewhere(file.clone())]);
    desk.until("it is over", |s| s.is_over());
    drop(desk);
    assert_eq!(n_objects(&file), 1);
}

#[test]
fn a_project_that_cannot_be_kept_in_its_folder_is_kept_elsewhere() {
    let mut desk = Desk::new(1, fake());
    desk.step([click(50.0, 50.0)]);
    let own = desk.file();
    // No file can be made where a folder is.
    let other = photos(2);
    let name = other.path().file_name().unwrap().to_str().unwrap();
    fs::create_dir(other.path().join(format!("{name}.segue"))).unwrap();
    desk.run([Command::Open(vec![other.path().to_owned()])]);
    desk.until("it is asked, and the project before is open again", |s| {
        s.homeless().is_some() && s.file().is_some_and(|file| file.path == own)
    });
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("mine.segue");
    desk.run([Command::SaveElsewhere(file.clone())]);
    desk.until("it is open elsewhere", |s| {
        s.file().is_some_and(|open| open.path == file) && s.project().media.len() == 2
    });
    assert!(desk.session.homeless().is_none());
    desk.until("its photos are where they were", |s| s.is_on_screen());
}

/// Makes a project with a category.
fn other_beside(file: &Path) -> PathBuf {
    let path = file.with_file_name("other.segue");
    let Opened { mut store, mut history } = Store::open(&path).unwrap();
    history.edit("Add category", |project| {
        let id = project.new_category();
        project.categories.insert(id, Category::new("other", [1, 2, 3]).into())
    });
    store.write(&history.take_unwritten()).unwrap();
    path
}

#[test]
fn file_changed_just_before_quitting_keeps_the_window_open() {
    let cut = |file: &Path| fs::File::options().write(true).open(file).unwrap().set_len(0).unwrap();
    let copied = |file: &Path| {
        let other = other_beside(file);
        fs::copy(&other, file).unwrap();
    };
    let replaced = |file: &Path| {
        let other = other_beside(file);
        fs::rename(&other, file).unwrap();
    };
    for change in [&cut as &dyn Fn(&Path), &copied, &replaced] {
        let mut desk = Desk::new(1, fake());
        desk.step([click(50.0, 50.0)]);
        let file = desk.file();
        change(&file);
        let bytes = fs::read(&file).unwrap();
        desk.run([Command::Quit]);
        desk.until("it is said", |s| s.save_failure().is_some());
        let unsaved = desk.session.leaving().unwrap();
        assert_eq!(unsaved.whole_project, Some([1, 1]));
        assert!(!desk.session.is_over());
        desk.run([Command::LoseUnsaved]);
        assert!(desk.session.is_over());
        let Desk { engine, session, folder: _folder, .. } = desk;
        drop((session, engine));
        // What others put there is theirs, and opens if it is a project.
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(n_objects(&file), 0);
    }
}
