//! How quick the window is: `make bench`. Times are of this machine's processor; drawing by the graphics card is not
//! counted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use egui_kittest::Harness;
use engine::{
    frame::PictureKind,
    geometry::Point,
    mask::Rle,
    media::Sources,
    nn::Cancel,
    picture::Picture,
    project::{Category, CategoryId, FrameId, MediumId, Object, Question, Segment, Store},
    prompt::{Label, PointPrompt, Prompt},
    segmenter::{FakeSegmenter, Segmenter},
    worker::Load,
};
use segue::{app::App, command::Command, preferences::Preferences};

const WIDTH: u32 = 3840;
const HEIGHT: u32 = 2160;
const MASKS: usize = 500;
const TURNS: usize = 2000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    println!("a photo of {WIDTH}x{HEIGHT} with {MASKS} masks");
    make_project(folder.path());
    let decoder = Duration::from_millis(20);
    let load = move |_: &_| {
        Load::new(move || Ok(Box::new(FakeSegmenter::new(decoder, decoder)) as Box<dyn Segmenter>))
    };
    let start = Instant::now();
    let mut harness = Harness::builder().with_size([1600.0, 1000.0]).wgpu().build_eframe(|creation| {
        App::new(creation, load, Preferences::load(None), vec![folder.path().to_owned()]).unwrap()
    });
    while !harness.state().session().is_encoded() {
        harness.step();
    }
    println!("open, read and encode: {:.2} s", start.elapsed().as_secs_f32());
    turns(&mut harness);
    click(&mut harness, answer_alone(decoder));
}

/// What an answer takes without a window: the fake's sleep, and drawing its mask.
fn answer_alone(decoder: Duration) -> Duration {
    let at = FrameId { medium: MediumId(1), frame: 0 };
    let picture = Arc::new(Picture::new(at, PictureKind::Photo, image::RgbImage::new(WIDTH, HEIGHT)));
    let mut segmenter = FakeSegmenter::new(Duration::ZERO, decoder);
    let points = vec![PointPrompt { at: Point { x: 500.0, y: 1000.0 }, label: Label::Positive }];
    let question = Question { prompt: Prompt { points, rect: None }, ..Question::default() };
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let start = Instant::now();
            segmenter.answer(&picture, &question, &Cancel::default()).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[4]
}

/// Turns while the pointer moves over the image, so that the model works on previews all the time.
fn turns(harness: &mut Harness<'_, App>) {
    let mut times: Vec<Duration> = (0..TURNS)
        .map(|i| {
            let at = Point { x: (i * 37 % 3800) as f32, y: (i * 17 % 2100) as f32 };
            harness.hover_at(harness.state().to_screen(at).unwrap());
            let start = Instant::now();
            harness.step();
            start.elapsed()
        })
        .collect();
    times.sort();
    let share = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("turn: median {:.2} ms, p99 {:.2} ms, worst {:.2} ms", share(0.5), share(0.99), share(1.0));
}

/// From letting go of the button to the mask in the session, beyond the model's own time: of clicks as quick as people
/// make them, at places where the pointer has just come, so that no preview is there yet.
fn click(harness: &mut Harness<'_, App>, decoder: Duration) {
    let press = Duration::from_millis(40);
    let mut extra = Vec::new();
    for i in 0..20 {
        harness.state_mut().say(Command::Deselect);
        harness.run_steps(3);
        let n = harness.state().session().segments().count();
        let pos = harness.state().to_screen(Point { x: 200.0 + 150.0 * i as f32, y: 1000.0 }).unwrap();
        let button = |pressed| egui::Event::PointerButton {
            pos,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        };
        harness.hover_at(pos);
        harness.step();
        harness.event(button(true));
        // egui takes a step for a quarter of a second, and a longer press for no click.
        for _ in 0..2 {
            harness.step();
            std::thread::sleep(press);
        }
        harness.event(button(false));
        let start = Instant::now();
        loop {
            harness.step();
            let session = harness.state().session();
            let is_there = session.segments().count() == n + 1
                && session.segments().all(|(.., segment)| segment.is_answered);
            if is_there {
                break;
            }
        }
        extra.push(start.elapsed().saturating_sub(decoder));
    }
    extra.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("the model's own time: {:.1} ms", ms(decoder));
    println!("click to mask, beyond that: median {:.2} ms, worst {:.2} ms", ms(extra[10]), ms(extra[19]));
}

fn make_project(folder: &Path) {
    let photo =
        image::RgbImage::from_fn(WIDTH, HEIGHT, |x, y| image::Rgb([(x / 16) as u8, (y / 9) as u8, 90]));
    photo.save(folder.join("photo.jpg")).unwrap();
    let name = folder.canonicalize().unwrap().file_name().unwrap().to_owned();
    let path = folder.join(format!("{}.segue", name.to_str().unwrap()));
    let mut opened = Store::open(&path).unwrap();
    let media = engine::project::scan(&[folder.to_owned()], folder, &Sources::default(), &|_, _| true).media;
    let size = media[0].size;
    opened.history.edit("Make masks", |project| {
        project.media.insert(MediumId(1), Arc::new(media[0].clone()));
        project.categories.insert(CategoryId(1), Arc::new(Category::new("thing", [255, 80, 80])));
        for i in 0..MASKS {
            let at = |x: usize, y: usize| Point { x: x as f32, y: y as f32 };
            let (x, y) = (60 + i % 25 * 150, 60 + i / 25 * 105);
            let mask = Rle::stroke(&[at(x, y), at(x + 80, y + 30), at(x + 30, y + 70)], 36.0, size);
            let id = project.new_object();
            project.objects.insert((MediumId(1), id), Arc::new(Object::new(CategoryId(1))));
            project.segments.insert((id, 0), Arc::new(Segment::by_hand(mask)));
        }
    });
    let writes = opened.history.take_unwritten();
    opened.store.write(&writes).unwrap();
}
