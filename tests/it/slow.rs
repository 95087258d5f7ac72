//! What takes gigabytes and minutes: `make test-slow` sets it up and asks for it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use engine::{file::write_atomically, mask::Rle, project::ObjectId, sam2};

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

#[test]
fn datumaro_reads_exports() {
    if !asked_for("datumaro_reads_exports") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = formats::project(folder.path());
    let kinds = [
        ("coco", "coco_instances"),
        ("coco-panoptic", "coco_panoptic"),
        ("voc", "voc"),
        ("cvat-images", "cvat"),
        ("datumaro", "datumaro"),
        ("mots", "mots"),
        ("mot", "mot_seq"),
    ];
    let python = root().join("target/datumaro-venv/bin/python");
    for (format, kind) in kinds {
        let target = formats::export(&project, folder.path(), format);
        let script = root().join("tests/readers/datumaro_reads.py");
        let output =
            Command::new(&python).arg(script).args([kind, target.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let read: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{format}: {}", String::from_utf8_lossy(&output.stderr)));
        let labels: Vec<&str> =
            read["labels"].as_array().unwrap().iter().filter_map(|l| l.as_str()).collect();
        assert!(labels.ends_with(&["cat", "dog"]), "{format}: {labels:?}");
        // Boxes come with masks too, so only masks are counted where there are any.
        let items = read["items"].as_object().unwrap().values();
        let all: Vec<&serde_json::Value> = items.flat_map(|item| item.as_array().unwrap()).collect();
        let masks: Vec<u64> = all.iter().filter(|a| a[0] == "mask").filter_map(|a| a[2].as_u64()).collect();
        let is_told = |object: &ObjectId| format != "mot" && (format != "mots" || object.0 >= 5);
        let told = project.segments.iter().filter(|((object, _), _)| is_told(object));
        let mut want: Vec<u64> =
            told.filter_map(|(_, segment)| Some(segment.mask.as_ref()?.area())).collect();
        want.sort_unstable();
        let mut found = masks.clone();
        found.sort_unstable();
        assert_eq!(found, want, "{format}");
        assert!(format != "mot" || all.len() == 6, "{format}");
    }
}
