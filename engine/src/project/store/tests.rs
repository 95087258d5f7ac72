//! Whether the project file keeps what it is told, whatever happens to it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _, stdout},
    process::{Command, Stdio},
    thread::sleep,
    time::Instant,
};

use proptest::prelude::*;

use super::*;
use crate::{
    geometry::{Point, Rect, Size},
    mask::Rle,
    project::{Attribute, Category, Content, Medium, MediumKind, Object, Question, Segment},
    prompt::{Label, PointPrompt, Prompt},
};

fn open(path: &Path) -> (Store, History) {
    let Opened { store, history } = Store::open(path).unwrap();
    (store, history)
}

fn save(history: &mut History, store: &mut Store) {
    store.write(&history.take_unwritten()).unwrap();
}

/// Undoes all there is; how many steps that were.
fn undo_all(history: &mut History, store: &mut Store) -> usize {
    let mut n = 0;
    while history.undo().is_some() {
        n += 1;
        if let Some(before) = history.needs_older() {
            let (steps, has_older) = store.older(before, 200).unwrap();
            history.add_older(before, steps, has_older);
        }
    }
    save(history, store);
    n
}

fn medium(path: String, done: bool) -> Arc<Medium> {
    let kind = MediumKind::Image;
    Arc::new(Medium { path, kind, size: Size::new(1920, 1080), n_frames: 1, fps: None, content: None, done })
}

/// A mask whose edge is uneven, in a way of its own for each `seed`: as many columns as asked, two runs each.
fn mask(seed: usize, n_columns: usize) -> Rle {
    let size = Size::new(1920, 1080);
    let height = |column: usize| 100 + (column * (column + seed)) % 17;
    let mut runs = vec![seed as u32 % 1000];
    for column in 0..n_columns {
        runs.extend([height(column), size.height - height(column)].map(|run| run as u32));
    }
    let covered: u32 = runs.iter().sum();
    runs.push(size.area() as u32 - covered);
    Rle::from_runs(size, runs).unwrap()
}

fn clicked(x: u8) -> Prompt {
    let at = Point { x: f32::from(x) + 0.1, y: 2.5 };
    Prompt { points: vec![PointPrompt { at, label: Label::Positive }], rect: None }
}

/// Some edit, told by three small numbers.
fn edit(project: &mut Project, (what, id, value): (u8, u32, u8)) {
    let (medium_id, object) = (MediumId(1), ObjectId(id));
    match what {
        0 => drop(project.media.insert(MediumId(id), medium(format!("{id}.jpg"), value == 0))),
        1 => drop(project.categories.insert(CategoryId(id), Arc::new(Category::new("bee", [value; 3])))),
        2 => drop(project.categories.remove(&CategoryId(id))),
        3 => {
            let new = Object { category: CategoryId(id), proposal: Some(0.3), attributes: [].into() };
            project.objects.insert((medium_id, object), Arc::new(new));
            project.segment_mut(object, usize::from(value)).ask(|question| question.prompt = clicked(value));
        }
        4 => *project.segment_mut(object, usize::from(value)) = Segment::by_hand(mask(value.into(), 3)),
        _ => project.remove_object(medium_id, object),
    }
}

/// Fills in a mask, as a model does.
fn answer(project: &mut Project, (_, id, value): (u8, u32, u8)) {
    let segment = project.segment_mut(ObjectId(id), usize::from(value));
    (segment.mask, segment.iou, segment.is_answered) = (Some(Arc::new(mask(id as usize, 2))), 0.9, true);
}

#[derive(Clone, Debug)]
enum Act {
    Edit((u8, u32, u8)),
    Amend((u8, u32, u8)),
    Undo,
    Redo,
    Save,
    Reopen,
}

fn any_act() -> impl Strategy<Value = Act> {
    let numbers = || (0..6_u8, 1..4_u32, 0..3_u8);
    prop_oneof![
        6 => numbers().prop_map(Act::Edit),
        3 => numbers().prop_map(Act::Amend),
        4 => Just(Act::Undo),
        3 => Just(Act::Redo),
        1 => Just(Act::Save),
        2 => Just(Act::Reopen),
    ]
}

fn act(history: &mut History, act: &Act) {
    match *act {
        Act::Edit(numbers) => history.edit(&format!("Edit {numbers:?}"), |project| edit(project, numbers)),
        Act::Amend(numbers) => history.amend(|project| answer(project, numbers)),
        Act::Undo => drop(history.undo()),
        Act::Redo => drop(history.redo()),
        Act::Save | Act::Reopen => {}
    }
}

#[track_caller]
fn check_same(a: &History, b: &History) {
    assert_eq!(a.now(), b.now());
    assert_eq!((a.undoable(), a.redoable()), (b.undoable(), b.redoable()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn closing_and_opening_changes_nothing(acts in prop::collection::vec(any_act(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let (mut store, mut history) = open(&path);
        let mut never_closed = History::default();
        for one in acts.iter().chain([&Act::Reopen]) {
            act(&mut never_closed, one);
            act(&mut history, one);
            if matches!(one, Act::Save | Act::Reopen) {
                save(&mut history, &mut store);
            }
            if matches!(one, Act::Reopen) {
                drop(store);
                (store, history) = open(&path);
            }
            check_same(&history, &never_closed);
        }
        while history.redo().is_some() {
            never_closed.redo();
            check_same(&history, &never_closed);
        }
        while history.undo().is_some() {
            never_closed.undo();
            check_same(&history, &never_closed);
        }
        check_same(&history, &never_closed);
    }
}

#[test]
fn undo_and_redo_survive_without_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    for i in 0..1300 {
        history.edit("Edit", |project| project.segment_mut(ObjectId(1), i).iou = 0.5);
    }
    let full = history.now().clone();
    save(&mut history, &mut store);
    drop(store);

    let (mut store, mut history) = open(&path);
    assert_eq!(undo_all(&mut history, &mut store), 1300);
    assert!(history.now().segments.is_empty());
    drop(store);

    let (mut store, mut history) = open(&path);
    for _ in 0..900 {
        history.redo();
    }
    save(&mut history, &mut store);
    drop(store);

    let (mut store, mut history) = open(&path);
    while history.redo().is_some() {}
    assert_eq!(*history.now(), full);
    assert_eq!(undo_all(&mut history, &mut store), 1300);
    assert_eq!(store.older(1, 10).unwrap(), (vec![], false));
}

#[test]
fn a_mask_made_by_hand_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    let by_hand = Segment::by_hand(mask(1, 5));
    let counts = serde_json::to_string(&by_hand.mask.as_ref().unwrap().counts()).unwrap();
    history.edit("Draw", |project| drop(project.segments.insert((ObjectId(1), 0), Arc::new(by_hand))));
    save(&mut history, &mut store);
    let json: String = store.db.query_row("SELECT value FROM segments", [], |row| row.get(0)).unwrap();
    assert_eq!(json.matches(&counts).count(), 1);
    drop(store);
    let (_store, reopened) = open(&path);
    assert_eq!(reopened.now(), history.now());
    let segment = reopened.now().segment(ObjectId(1), 0).unwrap();
    assert!(Arc::ptr_eq(segment.mask.as_ref().unwrap(), segment.question.base.as_ref().unwrap()));
}

#[test]
fn a_number_that_json_does_not_have_does_not_spoil_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    history.edit("Edit", |project| project.segment_mut(ObjectId(1), 0).iou = f32::NAN);
    save(&mut history, &mut store);
    drop(store);
    let (_store, history) = open(&path);
    assert_eq!(history.now().segment(ObjectId(1), 0).unwrap().iou, 0.0);
}

#[test]
fn a_second_window_is_told_so_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("it is open in another window"), "{error}");
    history.edit("Edit", |project| edit(project, (1, 1, 1)));
    save(&mut history, &mut store);
    drop(store);
    assert_eq!(open(&path).1.now(), history.now());
}

/// Opening it is refused for this reason, and changes nothing.
#[track_caller]
fn check_refused(path: &Path, why: &str) {
    let names = || fs::read_dir(path.parent().unwrap()).map_or(0, Iterator::count);
    let before = (fs::read(path).ok(), names());
    let error = Store::open(path).unwrap_err().to_string();
    assert!(error.starts_with("cannot open project: ") && error.contains(why), "{error}");
    assert!((fs::read(path).ok(), names()) == before, "{} has changed", path.display());
}

#[test]
fn other_files_are_refused_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, bytes) in
        [("a.txt", &b"Some text."[..]), ("b.bin", &[0; 5000]), ("c", b"SQLite format 3\0 or so")]
    {
        fs::File::create(at(name)).unwrap().write_all(bytes).unwrap();
        check_refused(&at(name), "the file is no Segue project");
    }
    let other = Connection::open(at("other.db")).unwrap();
    other.execute_batch("CREATE TABLE media (id)").unwrap();
    check_refused(&at("other.db"), "the file is no Segue project");

    // A log that another program left behind is not folded in.
    other.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO media VALUES (1)").unwrap();
    fs::copy(at("other.db"), at("killed.db")).unwrap();
    fs::copy(at("other.db-wal"), at("killed.db-wal")).unwrap();
    check_refused(&at("killed.db"), "the file is no Segue project");
    let n: i64 = Connection::open(at("killed.db"))
        .unwrap()
        .query_row("SELECT id FROM media", [], |r| r.get(0))
        .unwrap();
    assert_eq!(n, 1);

    // Nor is one begun.
    drop(other);
    check_refused(&at("other.db"), "the file is no Segue project");

    // What is not a project's may compute or write without end.
    for (name, code) in [
        ("view", "CREATE VIEW v AS SELECT 1"),
        ("table", "CREATE TABLE other (a)"),
        ("index", "CREATE INDEX i ON steps (length(zeroblob(id)))"),
        ("column", "ALTER TABLE steps ADD COLUMN x TEXT CHECK (length(x) < 9)"),
        ("trigger", "CREATE TRIGGER t AFTER INSERT ON steps BEGIN INSERT INTO media VALUES (1, ''); END"),
    ] {
        let path = at(&format!("{name}.segue"));
        drop(open(&path));
        Connection::open(&path).unwrap().execute_batch(code).unwrap();
        check_refused(&path, "the file is no Segue project");
    }

    fs::create_dir(at("folder")).unwrap();
    check_refused(&at("folder"), "it is a folder");
    check_refused(&at("no folder/a.segue"), "its folder does not exist");
    check_refused(&at("a.txt/a.segue"), "its folder does not exist");
}

#[cfg(unix)]
#[test]
fn a_project_that_may_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    drop(open(&path));
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&path, 0o444);
    if fs::File::options().append(true).open(&path).is_ok() {
        // Whoever may do everything cannot be refused.
        return;
    }
    check_refused(&path, "the file may not be written");
    allow(&path, 0o644);
    allow(folder.path(), 0o555);
    check_refused(&path, "may not be written");
    check_refused(&folder.path().join("new.segue"), "its folder may not be written");
    allow(folder.path(), 0o755);
}

#[test]
fn an_empty_file_becomes_a_project() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    fs::File::create(&path).unwrap();
    assert_eq!(**open(&path).1.now(), Project::default());
    let header = fs::read(&path).unwrap();
    assert_eq!(&header[68..72], b"SEGU");
}

#[test]
fn damaged_projects_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    for (i, damage) in [
        "UPDATE categories SET value = '{\"name\": 1}'",
        "UPDATE categories SET value = x'ff'",
        "UPDATE categories SET id = -1",
        "UPDATE changes SET kind = 'bee'",
        "UPDATE changes SET after = 'null'",
        r#"INSERT INTO media VALUES (1, '{"path":"a","kind":"video","size":{"width":2,"height":2},"n_frames":4611686018427387904}')"#,
        r#"INSERT INTO media VALUES (1, '{"path":"a","kind":"image","size":{"width":2,"height":2},"n_frames":2}')"#,
        "PRAGMA user_version = -1",
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{i}.segue"));
        let (mut store, mut history) = open(&path);
        history.edit("Edit", |project| edit(project, (1, 1, 1)));
        save(&mut history, &mut store);
        store.db.execute_batch(damage).unwrap();
        drop(store);
        check_refused(&path, "the file is damaged");
    }
    drop(open(&path));
    let whole = fs::read(&path).unwrap();
    fs::File::create(&path).unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
    check_refused(&path, "malformed");
}

#[test]
fn versions_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let first = "CREATE TABLE bees (name); INSERT INTO bees VALUES ('Maja')";
    let second = "ALTER TABLE bees RENAME COLUMN name TO title; ALTER TABLE bees ADD COLUMN age DEFAULT 1";
    let mut db = connect(&path).unwrap();
    assert_eq!(prepare(&mut db, &[first]).unwrap(), Found::Project);
    // One that fails leaves what was.
    assert!(prepare(&mut db, &[first, second, "DROP TABLE none"]).is_err());
    assert_eq!(prepare(&mut db, &[first]).unwrap(), Found::Project);
    assert_eq!(prepare(&mut db, &[first, second]).unwrap(), Found::Project);
    let bee = db.query_row("SELECT title || age FROM bees", [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(bee, "Maja1");
    assert_eq!(prepare(&mut db, &[first, second]).unwrap(), Found::Project);
    assert_eq!(prepare(&mut db, &[first]).unwrap(), Found::Newer);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (store, _) = open(&path);
    store.db.pragma_update(None, "user_version", MIGRATIONS.len() as u32 + 1).unwrap();
    drop(store);
    check_refused(&path, "a newer Segue made it");
}

#[test]
fn a_file_of_version_1_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    Connection::open(&path).unwrap().execute_batch(include_str!("version_1_sample.sql")).unwrap();
    let (_store, mut history) = open(&path);

    let size = Size::square(2);
    let base = Some(Arc::new(Rle::from_runs(size, [1, 1, 2]).unwrap()));
    let by_hand = Segment {
        question: Question { base: base.clone(), ..Question::default() },
        mask: base,
        iou: 1.0,
        is_answered: true,
        ..Segment::default()
    };
    let rect = |corners: [f32; 4]| Some(Rect::from(corners));
    let point = PointPrompt { at: Point { x: 0.5, y: 1.5 }, label: Label::Negative };
    let asked = Segment {
        question: Question {
            base: None,
            prompt: Prompt { points: vec![point], rect: rect([0.0, 0.0, 2.0, 1.0]) },
            choice: 1,
        },
        mask: Some(Arc::new(Rle::from_runs(size, [0, 4]).unwrap())),
        iou: 0.75,
        is_answered: false,
        rect: rect([0.0, 0.0, 1.0, 2.0]),
        ..Segment::default()
    };
    let content = Some(Content { length: 5, hash: "00".to_owned() });
    let path = "images/1.jpg".to_owned();
    let medium = Medium { path, kind: MediumKind::Image, size, n_frames: 1, fps: None, content, done: true };
    let flies = Attribute { name: "flies".to_owned(), values: vec!["yes".to_owned(), "no".to_owned()] };
    let category = Category {
        key: Some(1),
        supercategory: "insect".to_owned(),
        attributes: vec![flies],
        ..Category::new("bee", [255, 200, 0])
    };
    let answers = [("flies".to_owned(), "yes".to_owned())].into();
    let object = Object { category: CategoryId(1), proposal: Some(0.5), attributes: answers };
    let mut project = Project::default();
    project.media.insert(MediumId(1), Arc::new(medium));
    project.categories.insert(CategoryId(1), Arc::new(category));
    project.objects.insert((MediumId(1), ObjectId(1)), Arc::new(object));
    project.segments.insert((ObjectId(1), 0), Arc::new(by_hand));
    project.segments.insert((ObjectId(2), 0), Arc::new(asked));
    assert_eq!(**history.now(), project);

    assert_eq!((history.undoable(), history.redoable()), (Some("Label"), Some("Delete")));
    history.redo();
    assert!(history.now().segment(ObjectId(2), 0).is_none());
    history.undo();
    assert_eq!(*history.now().segments[&(ObjectId(2), 0)], Segment::default());
}

#[test]
fn what_cannot_be_written_leaves_what_was_and_can_be_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    history.edit("Small", |project| edit(project, (1, 1, 1)));
    save(&mut history, &mut store);
    for i in 0..3 {
        history
            .edit("Large", |project| *project.segment_mut(ObjectId(1), i) = Segment::by_hand(mask(i, 1900)));
    }
    let writes = history.take_unwritten();

    let n_pages: u32 = store.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.limit_pages(n_pages + 1);
    let error = store.write(&writes).unwrap_err();
    assert_eq!(error.to_string(), "cannot save project: the disk is full; make room first");
    store.limit_pages(1 << 20);

    store.db.pragma_update(None, "query_only", true).unwrap();
    let error = store.write(&writes).unwrap_err();
    assert_eq!(error.to_string(), "cannot save project: the file may not be written");
    store.db.pragma_update(None, "query_only", false).unwrap();

    let (steps, _) = store.older(StepId::MAX, 10).unwrap();
    assert_eq!(steps.iter().map(|step| &*step.title).collect::<Vec<_>>(), ["Small"]);
    store.write(&writes).unwrap();
    drop(store);
    assert_eq!(open(&path).1.now(), history.now());
}

/// Step `id` of a session that is killed.
fn take_step(history: &mut History, id: u32) {
    let numbers = ((id % 6) as u8, 1 + id % 3, (id % 5) as u8);
    history.edit(&id.to_string(), |project| {
        edit(project, numbers);
        *project.segment_mut(ObjectId(9), id as usize) = Segment::by_hand(mask(id as usize, 100));
    });
    history.amend(|project| answer(project, numbers));
}

/// Names the file on which this very program, run as a child, takes steps until it is killed.
const VICTIM: &str = "SEGUE_TEST_VICTIM";

#[test]
fn a_killed_process_loses_no_step_that_was_written() {
    if let Some(path) = env::var_os(VICTIM) {
        let (mut store, mut history) = open(Path::new(&path));
        for id in 1.. {
            take_step(&mut history, id);
            save(&mut history, &mut store);
            writeln!(stdout(), "{id}").unwrap();
        }
    }
    let mut n_told_in_all = 0;
    for round in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.segue");
        let this = "project::store::tests::a_killed_process_loses_no_step_that_was_written";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Other lines are the test program's.
        let told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut told = told.filter_map(|line| line.parse::<u32>().ok());
        // Every fifth is killed while it starts.
        let first = if round % 5 > 0 { told.nth(round % 5 * 3 - 3) } else { None };
        if round == 1 {
            assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
        }
        sleep(Duration::from_micros(round as u64 * 1103 % 8000));
        child.kill().unwrap();
        let n_told = told.last().or(first).unwrap_or(0);
        child.wait().unwrap();
        n_told_in_all += n_told;

        let (mut store, mut history) = open(&path);
        let n: u32 = history.undoable().map_or(0, |title| title.parse().unwrap());
        assert!(n == n_told || n == n_told + 1, "{n_told} steps were told, {n} are there");
        let mut expected = History::default();
        (1..=n).for_each(|id| take_step(&mut expected, id));
        check_same(&history, &expected);
        assert_eq!(undo_all(&mut history, &mut store), n as usize);
        undo_all(&mut expected, &mut store);
        assert_eq!(history.now(), expected.now());
    }
    assert!(n_told_in_all > 100, "the processes were killed too early to tell anything");
}

/// Prints how long it takes to open a large project and to write a step of it.
#[test]
fn a_large_project_opens_and_saves_fast() {
    if env::var_os("RUN_SLOW_TESTS").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.segue");
    let (mut store, mut history) = open(&path);
    history.edit("Add images", |project| {
        for id in 1..=10_000 {
            project.media.insert(MediumId(id), medium(format!("images/{id:06}.jpg"), id % 2 == 0));
        }
        project.categories.insert(CategoryId(1), Arc::new(Category::new("bee", [255, 200, 0])));
    });
    let add = |project: &mut Project, id: u32| {
        let object = Object { category: CategoryId(1), proposal: None, attributes: [].into() };
        project.objects.insert((MediumId(1 + id % 10_000), ObjectId(id)), Arc::new(object));
        let mask = mask(id as usize, 50 + id as usize % 100);
        *project.segment_mut(ObjectId(id), 0) = if id.is_multiple_of(4) {
            Segment::by_hand(mask)
        } else {
            let question = Question { prompt: clicked(id as u8), ..Question::default() };
            Segment {
                question,
                mask: Some(Arc::new(mask)),
                iou: 0.9,
                is_answered: true,
                ..Segment::default()
            }
        };
    };
    for step in 0..50_000 {
        history.edit("Add objects", |project| [1, 2].into_iter().for_each(|i| add(project, 2 * step + i)));
        if step % 1000 == 0 {
            save(&mut history, &mut store);
        }
    }
    save(&mut history, &mut store);
    drop(store);

    let start = Instant::now();
    let (mut store, mut history) = open(&path);
    let opening = start.elapsed();
    assert_eq!(history.now().segments.len(), 100_000);
    let mut times: Vec<Duration> = Vec::new();
    for step in 0..1000 {
        history.edit("Add object", |project| add(project, 100_001 + step));
        let start = Instant::now();
        save(&mut history, &mut store);
        times.push(start.elapsed());
    }
    let start = Instant::now();
    store.older(25_000, 500).unwrap();
    let older = start.elapsed();
    times.sort();
    let size = fs::metadata(&path).unwrap().len() >> 20;
    let (median, longest) = (times[500], times[999]);
    writeln!(
        std::io::stderr(),
        "{size} MiB opened in {opening:?}; a step written in {median:?}, {longest:?} at most; 500 read in {older:?}"
    )
    .unwrap();
}
