//! What takes gigabytes and minutes: `make test-slow` sets it up and asks for it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use engine::{
    detect::owlv2,
    file::write_atomically,
    mask::Rle,
    models::{self, Shelf},
    sam2,
};

use crate::{detect, formats, formula, parity, segue};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether slow tests were asked for; says so if not.
#[expect(clippy::print_stdout, reason = "a test that does nothing should not look as if it had")]
pub(crate) fn asked_for(test: &str) -> bool {
    let asked = std::env::var_os("RUN_SLOW_TESTS").is_some();
    if !asked {
        println!("{test} is slow: `make test-slow` runs it");
    }
    asked
}

/// Runs a program of `tests/reference` in the environment that `make test-slow` sets up.
fn reference(program: &str, words: &[&str]) {
    let python = root().join("target/reference-venv/bin/python");
    let status = Command::new(&python).arg(root().join("tests/reference").join(program)).args(words).status();
    let status = status.unwrap_or_else(|e| panic!("{}: {e}; `make test-slow` sets it up", python.display()));
    assert!(status.success(), "{program} {words:?}");
}

#[test]
fn all_sizes_match_pytorch_at_full_size() {
    if !asked_for("all_sizes_match_pytorch_at_full_size") {
        return;
    }
    for (name, config) in sam2::Config::official() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        reference("make_reference.py", &["--config", name, "--scenarios", "short", "--out", out]);
        parity::check_all(&config, folder.path(), &format!("{name}1024"));
    }
}

#[test]
fn the_builtin_model_matches_pytorch() {
    if !asked_for("the_builtin_model_matches_pytorch") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let weights = root().join("assets/builtin.safetensors");
    let words = ["--weights", weights.to_str().unwrap(), "--out", folder.path().to_str().unwrap()];
    reference("make_reference.py", &words);
    let config = sam2::Weights::builtin().unwrap().config;
    parity::check_all(&config, folder.path(), &format!("builtin{}", config.image_size));
}

#[test]
fn checkpoints_of_all_sizes_are_read_as_pytorch_and_transformers_write_them() {
    if !asked_for("checkpoints_of_all_sizes_are_read_as_pytorch_and_transformers_write_them") {
        return;
    }
    for (name, config) in sam2::Config::official() {
        let folder = tempfile::tempdir().unwrap();
        let [pt, safetensors] = ["w.pt", "w.safetensors"].map(|file| folder.path().join(file));
        let words =
            ["--config", name, "--pt", pt.to_str().unwrap(), "--safetensors", safetensors.to_str().unwrap()];
        reference("checkpoint_files.py", &words);
        for file in [pt, safetensors] {
            let weights = sam2::Weights::open(&file).unwrap();
            assert_eq!(weights.config, config);
            let shelf = Shelf { folder: folder.path().join("models"), ..Shelf::default() };
            let added = shelf.add(&file).unwrap();
            let known = models::recognize(&file).unwrap().model.unwrap();
            assert_eq!(known.name, format!("sam2.1-{}", name.replace('_', "-")));
            assert!(
                shelf.own().iter().any(|own| own.weights == added.weights),
                "it is not the published file"
            );
            for name in
                ["no_obj_ptr", "image_encoder.trunk.blocks.0.attn.qkv.weight", "obj_ptr_proj.layers.1.weight"]
            {
                let shape = weights.checkpoint.shape(name).unwrap().to_vec();
                assert_eq!(
                    weights.checkpoint.floats(name).unwrap(),
                    formula::weight(name, &shape, 0.0),
                    "{name}"
                );
            }
        }
    }
}

/// Strings of all kinds, the same each time.
fn strings(n: usize) -> Vec<String> {
    const PARTS: [&str; 48] = [
        "a",
        "photo",
        "of",
        "the",
        "Forklift",
        "PERSON",
        "without",
        "helmet",
        "red",
        "don't",
        "we'll",
        "it's",
        "I'd",
        "'re",
        "'s",
        " ",
        "  ",
        "\t",
        "\n",
        "\u{a0}",
        "\u{2003}",
        "1",
        "2024",
        "3.14",
        "½",
        "Ⅷ",
        "!",
        "?!",
        "--",
        "_x_",
        "é",
        "e\u{301}",
        "ﬁ",
        "İ",
        "ß",
        "ΑΣ",
        "猫",
        "日本語",
        "тест",
        "عربى",
        "हिन्दी",
        "😀",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "\u{200b}",
        "<|startoftext|>",
        "</w>",
        "\u{0}",
    ];
    let mut state = 1_u64;
    let mut next = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut one = || {
        let n_parts = [1, 2, 4, 8, 30][next(5)];
        let mut text = String::new();
        for _ in 0..n_parts {
            match next(6) {
                0 => text.extend(char::from_u32(next(0x3000) as u32)),
                1 => text.push(char::from(32 + next(95) as u8)),
                _ => text.push_str(PARTS[next(PARTS.len())]),
            }
            if next(2) == 0 {
                text.push(' ');
            }
        }
        text
    };
    std::iter::once(String::new()).chain(std::iter::repeat_with(&mut one)).take(n).collect()
}

/// Cut as transformers cuts them, by CLIP's own vocabulary.
#[test]
fn phrases_of_all_kinds_are_cut_as_transformers_cuts_them() {
    if !asked_for("phrases_of_all_kinds_are_cut_as_transformers_cuts_them") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    reference("detectors.py", &["clip_vocabulary", "--out", &path("")]);
    let strings = strings(10_000);
    let json = serde_json::to_vec(&strings).unwrap();
    write_atomically(Path::new(&path("strings.json")), |file| file.write_all(&json)).unwrap();
    let words =
        ["--vocabulary", &path(""), "--strings", &path("strings.json"), "--out", &path("tokens.json")];
    reference("detectors.py", &[&["tokens"][..], &words].concat());
    let wanted: Vec<Vec<u32>> = serde_json::from_slice(&std::fs::read(path("tokens.json")).unwrap()).unwrap();
    let words = owlv2::Tokenizer::open(folder.path(), usize::MAX, 49_408).unwrap();
    let mut n_refused = 0;
    for (string, wanted) in strings.iter().zip(wanted) {
        match words.encode(string) {
            Ok(ids) => assert_eq!(ids, wanted, "{string:?}"),
            Err(_) => n_refused += usize::from(string.trim().is_empty()),
        }
    }
    assert!(strings.iter().filter(|s| s.trim().is_empty()).count() == n_refused && n_refused < 1000);
}

#[test]
fn owlv2_of_both_sizes_matches_transformers_at_full_size() {
    if !asked_for("owlv2_of_both_sizes_matches_transformers_at_full_size") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    reference("detectors.py", &["clip_vocabulary", "--out", out]);
    for (name, config) in [("base", owlv2::Config::base()), ("large", owlv2::Config::large())] {
        reference("detectors.py", &["owlv2", "--config", name, "--vocabulary", out, "--out", out]);
        detect::check_owlv2(&config, folder.path(), folder.path(), name, config.image_size);
    }
}

#[test]
fn detectors_of_all_sizes_match_transformers_at_full_size() {
    if !asked_for("detectors_of_all_sizes_match_transformers_at_full_size") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sizes = ["r18", "r34", "r50m", "r50", "r101"].map(|size| format!("rt_detr_v2_{size}"));
    for case in sizes.into_iter().chain(["n", "s", "m", "l", "x"].map(|size| format!("d_fine_{size}"))) {
        reference("detectors.py", &["detr", "--config", &case, "--out", folder.path().to_str().unwrap()]);
        detect::check_detr(folder.path(), &case, 640);
    }
}

/// The path to a GPU, on one that software plays.
#[test]
fn webgpu_makes_the_masks_that_the_processor_makes() {
    if !asked_for("webgpu_makes_the_masks_that_the_processor_makes") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let size = engine::geometry::Size::new(320, 240);
    for i in 0..3 {
        formula::frame(i, size).save(folder.path().join(format!("{i}.png"))).unwrap();
    }
    let prompts = serde_json::json!({"objects": [{"id": 1, "category": "blob", "prompts": [
        {"frame": 0, "points": [[80, 90, 1]]}]}]});
    let path = folder.path().join("prompts.json");
    write_atomically(&path, |file| write!(file, "{prompts}")).unwrap();
    let icd = root().join("target/swiftshader/vk_swiftshader_icd.json").canonicalize().unwrap();
    let masks = |device: &str| {
        let words = "track . --prompts prompts.json --format coco --out out.json --device";
        let output = Command::new(segue::program())
            .current_dir(folder.path())
            .env("VK_ICD_FILENAMES", &icd)
            .args(words.split(' ').chain([device]))
            .output()
            .unwrap();
        assert!(output.status.success(), "{device}: {}", String::from_utf8_lossy(&output.stderr));
        let coco = std::fs::read(folder.path().join("out.json")).unwrap();
        let coco: serde_json::Value = serde_json::from_slice(&coco).unwrap();
        let rle = |annotation: &serde_json::Value| {
            serde_json::from_value::<Rle>(annotation["segmentation"].clone()).unwrap()
        };
        coco["annotations"].as_array().unwrap().iter().map(rle).collect::<Vec<_>>()
    };
    let (cpu, gpu) = (masks("cpu"), masks("webgpu"));
    assert_eq!((cpu.len(), gpu.len()), (3, 3));
    for (frame, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        assert!(cpu.area() > 0);
        assert!(cpu.iou(gpu) >= 0.99, "frame {frame}: IoU {}", cpu.iou(gpu));
    }
    // What the encoder leaves on the device is read for this.
    let words =
        ["detect", "0.png", "--example", "0.png:50,60,110,120", "--out", "found.json", "--device", "webgpu"];
    segue::succeed_with(folder.path(), &words, &[("VK_ICD_FILENAMES", icd.to_str().unwrap())]);
}

/// Each graph of each model is held against the processor when it is loaded; a device that was asked for by name is refused
/// if it makes other numbers.
#[test]
fn webgpu_agrees_with_the_processor_on_every_graph() {
    if !asked_for("webgpu_agrees_with_the_processor_on_every_graph") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for i in 0..2 {
        formula::frame(i, engine::geometry::Size::new(96, 64))
            .save(folder.path().join(format!("{i}.png")))
            .unwrap();
    }
    let prompts = serde_json::json!({"objects": [{"id": 1, "category": "blob", "prompts": [
        {"frame": 0, "points": [[40, 30, 1]]}]}]});
    let path = folder.path().join("prompts.json");
    write_atomically(&path, |file| write!(file, "{prompts}")).unwrap();
    let icd = root().join("target/swiftshader/vk_swiftshader_icd.json").canonicalize().unwrap();
    let run = |words: &[&str]| {
        let output = Command::new(segue::program())
            .current_dir(folder.path())
            .env("VK_ICD_FILENAMES", &icd)
            .args(words)
            .args(["--device", "webgpu"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("instead"), "{words:?}: {said}");
    };
    for (name, config) in sam2::Config::official() {
        // SAM 2.0 differs in the same places whatever its size.
        let versions: &[bool] = if name == "tiny" { &[true, false] } else { &[true] };
        for &is_2_1 in versions {
            let config = sam2::Config { is_2_1, ..config.clone() };
            let file = folder.path().join("model.safetensors");
            formula::write_tensors(&formula::of(sam2::required_tensors(&config)), None, &file);
            let words = "track . --prompts prompts.json --format coco --out out.json --size 128 --model model.safetensors";
            run(&words.split(' ').collect::<Vec<_>>());
        }
    }
    let data = root().join("tests/data/detect");
    for (detector, words) in [("owlv2", &["--text", "red circle"][..]), ("d_fine", &[])] {
        let file = data.join(detector).join("model.safetensors");
        let more = ["detect", "0.png", "--detector", file.to_str().unwrap(), "--out", "found.json"];
        run(&[&more, words].concat());
    }
}

/// With masks, or as boxes alone.
#[test]
fn packages_read_exports() {
    if !asked_for("packages_read_exports") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = formats::project(folder.path());
    let python = root().join("target/readers-venv/bin/python");
    let script = root().join("tests/readers/packages.py");
    for (package, format, boxes) in [
        ("datumaro", "coco", false),
        ("datumaro", "coco-panoptic", false),
        ("datumaro", "voc", false),
        ("datumaro", "cvat-images", false),
        ("datumaro", "datumaro", false),
        ("datumaro", "mots", false),
        ("datumaro", "mot", true),
        ("labelme", "labelme", false),
        ("panopticapi", "coco-panoptic", false),
        ("supervision", "coco", false),
        ("supervision", "voc", true),
        ("supervision", "yolo", true),
        ("trackeval", "davis", false),
        ("trackeval", "mots", false),
        ("trackeval", "mot", true),
        ("trackeval", "youtube-vis", false),
        ("trackeval", "burst", false),
        ("trackeval", "tao", true),
    ] {
        let target = folder.path().join(format);
        if !target.exists() {
            formats::export(&project, folder.path(), format);
        }
        let words = [package, format, target.to_str().unwrap()];
        let output = Command::new(&python).arg(&script).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let read: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(read, formats::expected(&project, format, boxes), "{words:?}");
    }
}
