//! Checkpoints as trainers save them: what is read of each, and what is refused with which sentence.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use engine::{nn::Checkpoint, sam2::Weights};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{python, segue};

#[derive(Deserialize)]
struct Wanted {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The files, and what each must give.
struct Files {
    folder: TempDir,
    wanted: BTreeMap<String, BTreeMap<String, Wanted>>,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/torch_files.py");
    let wanted = python::script(&script, &[folder.path().to_str().unwrap()]);
    Files { folder, wanted: serde_json::from_value(wanted).unwrap() }
});

fn path(file: &str) -> PathBuf {
    FILES.folder.path().join(file)
}

#[test]
fn trainer_checkpoints_give_their_weights() {
    assert!(FILES.wanted.len() > 20);
    for (file, wanted) in &FILES.wanted {
        let checkpoint = Checkpoint::open(&path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let checkpoint = checkpoint.rooted(&["image_encoder.trunk."]);
        let names: Vec<&str> = checkpoint.tensors().map(|(name, _)| name).collect();
        assert_eq!(names, wanted.keys().collect::<Vec<_>>(), "{file}");
        for (name, Wanted { shape, values }) in wanted {
            assert_eq!(checkpoint.shape(name), Some(&shape[..]), "{file}: {name}");
            assert_eq!(checkpoint.floats(name).unwrap(), *values, "{file}: {name}");
        }
    }
}

#[track_caller]
fn refusal(file: &str) -> String {
    let error = Weights::open(&path(file)).err().expect("a file that is refused").to_string();
    assert!(error.chars().count() <= 300 && !error.contains('\n'), "{file}: {error}");
    error
}

#[test]
fn files_without_weights_say_what_they_hold() {
    for (file, says) in [
        ("module.pt", "object of the class sam2.modeling.sam2_base.SAM2Base, not the weights alone"),
        ("module_in_dict.pt", "torch.save(model.state_dict(), \"weights.pt\")"),
        ("optimizer_only.pt", "it holds no weights"),
        ("list.pt", "it holds no weights"),
        ("quantized.pt", "image_encoder.trunk.patch_embed.proj.weight is a torch._utils._rebuild_qtensor"),
        ("integers.pt", "image_encoder.trunk.patch_embed.proj.weight is a tensor of int64"),
    ] {
        let error = refusal(file);
        assert!(error.contains(says), "{file}: {error}");
    }
}

/// The peak of memory is that of a process of its own.
#[test]
#[cfg(target_os = "linux")]
fn bombs_are_refused_within_200_megabytes() {
    for (file, says) in [
        ("name_bomb.pt", "the name of a tensor has 90000 bytes"),
        ("shape_bomb.pt", "it holds no tensors of floats; the first, t0, is"),
    ] {
        let start = std::time::Instant::now();
        let bomb = path(file);
        let program = format!(
            "import resource, subprocess, sys, json
done = subprocess.run([{:?}, 'models', 'check', sys.argv[1]], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({{'code': done.returncode, 'said': done.stderr, 'kilobytes': peak}}))",
            segue::program()
        );
        let done = python::run(&program, &bomb);
        let said = done["said"].as_str().unwrap();
        assert!(done["code"] == 1 && said.contains(says) && said.chars().count() < 320, "{file}: {said}");
        assert!(done["kilobytes"].as_u64().unwrap() < 200_000, "{file}: {done}");
        assert!(start.elapsed().as_secs() < 10, "{file} took {:?}", start.elapsed());
    }
}
