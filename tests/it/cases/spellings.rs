//! Random legal spellings of one data set, all of which import to the same project.
//!
//! The data set is two categories and boxes on images of 100 x 80 pixels. Whole numbers survive every spelling.

use std::{collections::BTreeSet, path::Path};

use engine::{
    formats::{Reading, read},
    media::Sources,
    project::{Project, scan},
};
use image::RgbImage;
use proptest::prelude::*;

use crate::media::write;

/// The images, two of them with one name.
pub(super) const IMAGES: [&str; 4] = ["x/1.png", "y/1.png", "y/0002.png", "\u{e4}.png"];
pub(super) const CATEGORIES: [&str; 2] = ["cat", "Stra\u{df}e"];

/// A box on an image: place of the image, category, left, top, width and height, in even whole pixels.
pub(super) type Item = (usize, usize, [u32; 4]);

pub(super) fn items() -> impl Strategy<Value = BTreeSet<Item>> {
    let sides =
        (0..20_u32, 0..20_u32, 1..20_u32, 1..20_u32).prop_map(|(x, y, w, h)| [2 * x, 2 * y, 2 * w, 2 * h]);
    prop::collection::btree_set((0..IMAGES.len(), 0..CATEGORIES.len(), sides), 1..8)
}

/// How text becomes bytes.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Utf8,
    Marked,
    Utf16Le,
    Utf16Be,
}

const ENCODINGS: [Encoding; 4] = [Encoding::Utf8, Encoding::Marked, Encoding::Utf16Le, Encoding::Utf16Be];

impl Encoding {
    fn encode(self, text: &str) -> Vec<u8> {
        let marked = || std::iter::once(0xFEFF).chain(text.encode_utf16());
        match self {
            Self::Utf8 => text.into(),
            Self::Marked => format!("\u{feff}{text}").into_bytes(),
            Self::Utf16Le => marked().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => marked().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

/// Choices among spellings, taken one after the other.
#[derive(Clone, Debug)]
struct Choices(Vec<usize>, usize);

impl Choices {
    fn of<T: Copy>(&mut self, spellings: &[T]) -> T {
        self.1 += 1;
        spellings[self.0[self.1 % self.0.len()] % spellings.len()]
    }

    /// White space between tokens.
    fn space(&mut self) -> &'static str {
        self.of(&["", " ", "\n", "\t ", "\r\n   "])
    }

    /// A whole number.
    fn number(&mut self, number: u32) -> String {
        match self.of(&[0, 1, 2, 3]) {
            0 => format!("{number}"),
            1 => format!("{number}.0"),
            2 => format!("{number}e0"),
            _ => format!("{:.1}e+01", f64::from(number) / 10.0),
        }
    }

    /// The path of an image, below one of the folders that people have their images in.
    fn path(&mut self, image: usize, root: &str) -> String {
        let path = IMAGES[image];
        let path = match self.of(&[0, 1, 2, 3]) {
            0 if path.starts_with('\u{e4}') => "a\u{308}.png".to_owned(),
            1 if path.starts_with('\u{e4}') => "%C3%A4.png".to_owned(),
            2 if path == "y/0002.png" => "y/2.png".to_owned(),
            3 => path.replace(".png", ".PNG"),
            _ => path.to_owned(),
        };
        format!("{root}{path}")
    }

    /// An object of JSON with its keys in any order.
    fn object(&mut self, mut fields: Vec<String>) -> String {
        for i in (1..fields.len()).rev() {
            let other = self.of(&(0..=i).collect::<Vec<_>>());
            fields.swap(i, other);
        }
        let fields: Vec<String> =
            fields.into_iter().map(|field| format!("{}{field}{}", self.space(), self.space())).collect();
        format!("{{{}}}", fields.join(","))
    }

    fn list(&mut self, items: &[String]) -> String {
        let space = self.space();
        format!("[{space}{}{space}]", items.join(&format!(",{space}")))
    }
}

fn choices() -> impl Strategy<Value = Choices> {
    prop::collection::vec(0..60_usize, 1..60).prop_map(|choices| Choices(choices, 0))
}

/// A folder `im` with the images, and a project of it.
fn project(folder: &Path) -> Project {
    for name in IMAGES {
        let path = folder.join("im").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(100, 80).save(path).unwrap();
    }
    let mut project = Project::default();
    project.add_media(scan(&[folder.join("im")], folder, &Sources::default(), &|_, _| true).media);
    assert_eq!(project.media.len(), IMAGES.len());
    project
}

/// Fails unless the labels import as these items. Returns the number of messages on what is not taken or taken otherwise.
pub(super) fn check(folder: &Path, labels: &Path, items: &BTreeSet<Item>) -> usize {
    let mut project = project(folder);
    let (format, mut dataset) = read(&Reading::new(labels)).unwrap();
    let taken = dataset.add_to(&mut project, folder, false);
    let mut got = BTreeSet::new();
    for ((medium, object), labeled) in &project.objects {
        let rect = project.segments[&(*object, 0)].rect.unwrap();
        let [x0, y0, x1, y1] = <[f32; 4]>::from(rect).map(|v| v.round() as u32);
        let path = project.media[medium].path.strip_prefix("im/").unwrap();
        let image = IMAGES.iter().position(|name| *name == path).unwrap();
        let name = &project.categories[&labeled.category].name;
        let category = CATEGORIES.iter().position(|category| category == name).unwrap();
        got.insert((image, category, [x0, y0, x1 - x0, y1 - y0]));
    }
    assert_eq!(&got, items, "{}: {taken} {}", format.name, dataset.messages().join("\n"));
    [&dataset.refused, &dataset.notes, &taken.refused, &taken.notes]
        .map(|messages| messages.len())
        .iter()
        .sum()
}

/// Writes COCO in one of its spellings.
fn coco(items: &BTreeSet<Item>, choices: &mut Choices) -> String {
    let root = choices.of(&["", "im/", "./", "/data/set/im/", "C:\\data\\im\\"]);
    let quoted = choices.of(&[false, true]);
    let id = |n: usize| if quoted { format!("\"id-{n}\"") } else { format!("{n}") };
    let images: Vec<String> = (0..IMAGES.len())
        .map(|n| {
            let path = serde_json::Value::from(choices.path(n, root));
            let mut fields = vec![format!("\"id\": {}", id(n)), format!("\"file_name\": {path}")];
            match choices.of(&[0, 1, 2, 3]) {
                0 => fields.extend(["\"width\": 100".to_owned(), "\"height\": 80".to_owned()]),
                1 => fields.extend(["\"width\": \"100\"".to_owned(), "\"height\": \"80\"".to_owned()]),
                2 => fields.extend(["\"width\": 0".to_owned(), "\"height\": null".to_owned()]),
                _ => {}
            }
            choices.object(fields)
        })
        .collect();
    let categories: Vec<String> = (0..CATEGORIES.len())
        .map(|n| choices.object(vec![format!("\"id\": {n}"), format!("\"name\": \"{}\"", CATEGORIES[n])]))
        .collect();
    let annotations: Vec<String> = items
        .iter()
        .zip(0..)
        .map(|((image, category, sides), n)| {
            let sides = sides.map(|v| choices.number(v)).join(", ");
            let mut fields = vec![
                format!("\"id\": {n}"),
                format!("\"image_id\": {}", id(*image)),
                format!("\"category_id\": {category}"),
                format!("\"bbox\": [{sides}]"),
            ];
            let more = [
                "\"iscrowd\": 0",
                "\"area\": NaN",
                "\"segmentation\": []",
                "\"segmentation\": null",
                "\"x\": {}",
            ];
            if choices.of(&[true, false]) {
                fields.push(choices.of(&more).to_owned());
            }
            choices.object(fields)
        })
        .collect();
    let mut lists = vec![
        format!("\"images\": {}", choices.list(&images)),
        format!("\"annotations\": {}", choices.list(&annotations)),
        format!("\"categories\": {}", choices.list(&categories)),
    ];
    if choices.of(&[true, false]) {
        lists.push("\"info\": {\"description\": \"images annotations categories\"}".to_owned());
    }
    choices.object(lists)
}

/// Writes YOLO in one of its layouts; images are beside their labels.
fn yolo(folder: &Path, items: &BTreeSet<Item>, choices: &mut Choices, encoding: Encoding) {
    let layout = choices.of(&["labels/train/", "train/labels/", "labels/", ""]);
    let images = layout.replace("labels", "images");
    let line_end = choices.of(&["\n", "\r\n"]);
    for (n, image) in IMAGES.iter().enumerate() {
        let path = folder.join("set").join(&images).join(image);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(100, 80).save(path).unwrap();
        let lines = items.iter().filter(|(of, ..)| *of == n).map(|(_, category, [x, y, w, h])| {
            let middle = [f64::from(x + w / 2) / 100.0, f64::from(y + h / 2) / 80.0];
            let numbers = [middle[0], middle[1], f64::from(*w) / 100.0, f64::from(*h) / 80.0];
            let gap = choices.of(&[" ", "\t", "  "]);
            let category = choices
                .of(&[format!("{category}"), format!("{category}.0"), format!("{category}.0e+00")].each_ref())
                .clone();
            let numbers = numbers
                .map(|v| if choices.of(&[true, false]) { format!("{v:.6}") } else { format!("{v:e}") });
            format!("{category}{gap}{}{}", numbers.join(gap), choices.of(&["", " "]))
        });
        let lines: Vec<String> = lines.collect();
        let end = choices.of(&["", line_end]);
        let text = lines.join(line_end) + end;
        let label = folder.join("set").join(layout).join(image).with_extension("txt");
        std::fs::create_dir_all(label.parent().unwrap()).unwrap();
        write(&label, &encoding.encode(&text));
    }
    let names = match choices.of(&[0, 1, 2]) {
        0 => format!("names: ['{}', '{}']", CATEGORIES[0], CATEGORIES[1]),
        1 => format!("names:{line_end}  0: {}{line_end}  1: {}", CATEGORIES[0], CATEGORIES[1]),
        _ => format!("nc: 2{line_end}names:{line_end}- {}{line_end}- {}", CATEGORIES[0], CATEGORIES[1]),
    };
    let split = if layout.contains("train") { format!("train: {images}{line_end}") } else { String::new() };
    write(&folder.join("set/data.yaml"), &encoding.encode(&format!("{split}{names}{line_end}")));
}

/// Writes an element of XML with attributes in any order.
fn element(name: &str, mut attributes: Vec<(&str, String)>, choices: &mut Choices) -> String {
    let n = attributes.len();
    attributes.rotate_left(choices.of(&[0, 1, 2, 3]) % n.max(1));
    let quote = choices.of(&['"', '\'']);
    let attributes = attributes.iter().map(|(name, value)| format!(" {name}={quote}{value}{quote}"));
    format!("<{name}{}{}", attributes.collect::<String>(), choices.of(&["", " ", "\n"]))
}

fn cvat(items: &BTreeSet<Item>, choices: &mut Choices) -> String {
    let root = choices.of(&["", "im/", "set\\im\\"]);
    let mut text = "<annotations><version>1.1</version>".to_owned();
    for n in 0..IMAGES.len() {
        let path = choices.path(n, root);
        let size = [("width", "100".to_owned()), ("height", "80".to_owned())];
        let attributes = [("id", n.to_string()), ("name", path)].into_iter().chain(size).collect();
        text += &format!("{}{}>", choices.space(), element("image", attributes, choices));
        for (_, category, [x, y, w, h]) in items.iter().filter(|(of, ..)| *of == n) {
            let corners = [("xtl", *x), ("ytl", *y), ("xbr", x + w), ("ybr", y + h)];
            let corners = corners.map(|(name, value)| (name, choices.number(value)));
            let attributes =
                [("label", CATEGORIES[*category].to_owned())].into_iter().chain(corners).collect();
            let empty = choices.of(&["/>", "></box>", "><attribute name=\"a\">b</attribute></box>"]);
            text += &format!("{}{}{empty}", choices.space(), element("box", attributes, choices));
        }
        text += "</image>";
    }
    text + "</annotations>"
}

fn labelme(folder: &Path, items: &BTreeSet<Item>, choices: &mut Choices, encoding: Encoding) {
    let slash = choices.of(&["/", "\\"]);
    for (n, image) in IMAGES.iter().enumerate() {
        let shapes: Vec<String> = items
            .iter()
            .filter(|(of, ..)| *of == n)
            .map(|(_, category, [x, y, w, h])| {
                let [x0, y0, x1, y1] = [*x, *y, x + w, y + h].map(|v| choices.number(v));
                // Rectangles are drawn from any corner.
                let points = match choices.of(&[0, 1, 2]) {
                    0 => format!("[[{x0}, {y0}], [{x1}, {y1}]]"),
                    1 => format!("[[{x1}, {y1}], [{x0}, {y0}]]"),
                    _ => format!("[[{x1}, {y0}], [{x0}, {y1}]]"),
                };
                let fields = vec![
                    format!("\"label\": \"{}\"", CATEGORIES[*category]),
                    format!("\"points\": {points}"),
                    "\"shape_type\": \"rectangle\"".to_owned(),
                    choices.of(&["\"flags\": {}", "\"group_id\": null", "\"description\": \"\""]).to_owned(),
                ];
                choices.object(fields)
            })
            .collect();
        let up = if image.contains('/') { "../../im/" } else { "../im/" };
        let path = serde_json::Value::from(choices.path(n, up).replace('/', slash));
        let fields = vec![
            format!("\"shapes\": {}", choices.list(&shapes)),
            format!("\"imagePath\": {path}"),
            "\"imageData\": null".to_owned(),
            "\"imageHeight\": 80".to_owned(),
            "\"imageWidth\": 100".to_owned(),
            "\"version\": \"5.4.1\"".to_owned(),
        ];
        let label = folder.join("ann").join(image).with_extension("json");
        std::fs::create_dir_all(label.parent().unwrap()).unwrap();
        write(&label, &encoding.encode(&choices.object(fields)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn coco_spellings_agree(items in items(), mut choices in choices(), encoding in prop::sample::select(&ENCODINGS)) {
        let folder = tempfile::tempdir().unwrap();
        let labels = folder.path().join("c.json");
        write(&labels, &encoding.encode(&coco(&items, &mut choices)));
        check(folder.path(), &labels, &items);
    }

    #[test]
    fn yolo_spellings_agree(items in items(), mut choices in choices(), encoding in prop::sample::select(&ENCODINGS)) {
        let folder = tempfile::tempdir().unwrap();
        yolo(folder.path(), &items, &mut choices, encoding);
        check(folder.path(), &folder.path().join("set"), &items);
    }

    #[test]
    fn cvat_spellings_agree(items in items(), mut choices in choices(), encoding in prop::sample::select(&ENCODINGS)) {
        let folder = tempfile::tempdir().unwrap();
        let labels = folder.path().join("annotations.xml");
        write(&labels, &encoding.encode(&cvat(&items, &mut choices)));
        check(folder.path(), &labels, &items);
    }

    #[test]
    fn labelme_spellings_agree(items in items(), mut choices in choices(), encoding in prop::sample::select(&ENCODINGS)) {
        let folder = tempfile::tempdir().unwrap();
        labelme(folder.path(), &items, &mut choices, encoding);
        check(folder.path(), &folder.path().join("ann"), &items);
    }
}
