//! What takes gigabytes and minutes: `make test-slow` sets it up and asks for it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use engine::{file::write_atomically, mask::Rle, sam2};

use crate::{formats, formula, parity, segue};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether slow tests were asked for; says so if not.
#[expect(clippy::print_stdout, reason = "a test that does nothing should not look as if it had")]
fn asked_for(test: &str) -> bool {
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
