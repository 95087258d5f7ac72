//! The program as a person has it: in a window on a screen, with a mouse and keys, from the demo's photos to a COCO file.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{python, segue::program};

/// Longer than anything here takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A screen that nobody sees, and the program on it; both end with it.
struct Screen {
    display: String,
    server: Child,
    program: Option<Child>,
}

impl Screen {
    fn new() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x820x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`make test` installs Xvfb");
        let mut display = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut display).unwrap();
        Self { display: format!(":{}", display.trim()), server, program: None }
    }

    fn start(&mut self, home: &Path) {
        let mut command = Command::new(program());
        command.args(["app", "--demo", "--device", "cpu"]).env("DISPLAY", &self.display);
        command.env_remove("WAYLAND_DISPLAY").env("XDG_CONFIG_HOME", home.join("config"));
        command.env("XDG_DATA_HOME", home.join("data")).env("XDG_RUNTIME_DIR", home);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        self.program = Some(command.spawn().unwrap());
    }

    /// Lets xdotool do something; what it prints, or none if it failed.
    fn xdotool(&self, words: &[&str]) -> Option<String> {
        let output = Command::new("xdotool").args(words).env("DISPLAY", &self.display).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            let ended = self.program.as_mut().and_then(|program| program.try_wait().unwrap());
            if ended.is_some() || start.elapsed() > PATIENCE {
                let program = self.program.as_mut().unwrap();
                program.kill().ok();
                let mut said = String::new();
                program.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("never: {what}; it ended as {ended:?} and said {said}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        for child in self.program.iter_mut().chain([&mut self.server]) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Numbers of media and masks that are in the project file, read as SQLite says, beside the program.
fn counts(project: &Path) -> (usize, usize) {
    let script = "
import shutil, sqlite3, sys, tempfile, os
# The program holds the file's lock: look at a copy, with its log.
with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, 'copy.segue')
    for end in ('', '-wal'):
        if os.path.exists(sys.argv[1] + end):
            shutil.copy(sys.argv[1] + end, copy + end)
    try:
        db = sqlite3.connect(copy)
        n_media = db.execute('select count(*) from media').fetchone()[0]
        n_masks = db.execute(\"select count(*) from segments where value like '%counts%'\").fetchone()[0]
        print(f'[{n_media}, {n_masks}]')
    except sqlite3.Error:
        print('[0, 0]')
";
    let counts = python::run(script, project);
    let count = |i: usize| counts[i].as_u64().unwrap() as usize;
    (count(0), count(1))
}

#[test]
fn from_the_demo_photos_to_a_coco_file() {
    let home = tempfile::tempdir().unwrap();
    let mut screen = Screen::new();
    screen.start(home.path());
    let folder = home.path().join("data/segue/demo");
    let project = folder.join("demo.segue");
    screen.until("the window is there", |s| s.xdotool(&["search", "--name", "^Segue$"]).is_some());
    screen.until("the photos are added", |_| project.exists() && counts(&project).0 >= 1);
    screen.xdotool(&["search", "--name", "^Segue$", "windowfocus"]);
    std::thread::sleep(Duration::from_secs(1));

    // The photo of 640x360 is fitted into what the panels leave: its ball lies lower left of the middle.
    screen.xdotool(&["mousemove", "222", "447", "sleep", "0.3", "click", "1"]).unwrap();
    screen.until("the click has a mask", |_| counts(&project).1 == 1);
    screen.xdotool(&["key", "Return", "key", "d"]).unwrap();
    // Nothing outside the window tells that the next photo is shown.
    std::thread::sleep(Duration::from_secs(3));
    let drag = "mousemove 236 352 sleep 0.3 mousedown 1 mousemove 300 420 sleep 0.2 mousemove 428 542 sleep 0.2 mouseup 1";
    screen.xdotool(&drag.split(' ').collect::<Vec<_>>()).unwrap();
    screen.until("the box on the next photo has a mask", |_| counts(&project).1 == 2);

    // COCO is proposed, into a folder beside the project's file.
    let coco = folder.join("demo-coco/annotations/instances_default.json");
    screen.xdotool(&["key", "Return", "key", "ctrl+e"]).unwrap();
    screen.until("the file is exported", |s| {
        s.xdotool(&["key", "Return"]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        coco.exists()
    });

    let script = "
import sys
from pycocotools.coco import COCO
out, sys.stdout = sys.stdout, sys.stderr
coco = COCO(sys.argv[1])
sys.stdout = out
assert len(coco.imgs) == 6 and len(coco.anns) == 2, (len(coco.imgs), len(coco.anns))
assert len({ann['image_id'] for ann in coco.anns.values()}) == 2
for ann in coco.anns.values():
    mask = coco.annToMask(ann)
    assert mask.shape == (360, 640) and mask.sum() == ann['area']
    # The ball has a radius of 0.16 of the photo's height.
    assert 0.6 < mask.sum() / (3.14159 * (0.16 * 360) ** 2) < 1.4, mask.sum()
print('true')
";
    assert_eq!(python::run(script, &coco), true);
}
