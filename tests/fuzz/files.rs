//! A fuzz target: any bytes as a checkpoint of PyTorch, a file of safetensors or a project: `make fuzz`.
//!
//! The first byte says which. A project that opens is counted, changed, closed and opened again.

#![no_main]

mod seeds;

use std::{fs, path::Path, sync::LazyLock};

use engine::{
    formats::Stats,
    models::recognize,
    nn::Checkpoint,
    project::{Category, Opened, Store},
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["a.pt", "a.safetensors", "a.segue"];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fn change(path: &Path) {
    let Ok(Opened { mut store, mut history }) = Store::open(path) else { return };
    drop(Stats::of(history.now()));
    history.edit("Add category", |project| {
        let id = project.new_category();
        project.categories.insert(id, Category::new("new", [1, 2, 3]).into())
    });
    let n = history.now().categories.len();
    if store.write(&history.take_unwritten()).is_ok() {
        drop(store);
        let again = Store::open(path).expect("what was written opens");
        assert_eq!(again.history.now().categories.len(), n);
    }
}

/// Writes a seed of each kind.
fn write_seeds() {
    let project = FOLDER.path().join("seed.segue");
    drop(Store::open(&project).expect("a project"));
    change(&project);
    let safetensors = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let header = (safetensors.len() as u64).to_le_bytes();
    let seed = [
        [&[0][..], PICKLE].concat(),
        [&[1][..], &header, safetensors, &[0; 4]].concat(),
        [&[2][..], &fs::read(&project).expect("a project")].concat(),
    ];
    seeds::write(NAMES.map(str::to_owned).into_iter().zip(seed));
}

/// A pickled dictionary with one tensor's parts, as PyTorch wrote them before its files were archives.
const PICKLE: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02.";

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let path = FOLDER.path().join(NAMES[usize::from(*which) % NAMES.len()]);
    for name in NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-wal")]) {
        fs::remove_file(FOLDER.path().join(name)).ok();
    }
    fs::write(&path, bytes).expect("a file");
    if path.ends_with(NAMES[2]) {
        return change(&path);
    }
    drop(recognize(&path));
    if let Ok(checkpoint) = Checkpoint::open(&path) {
        let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_owned()).collect();
        names.iter().for_each(|name| drop(checkpoint.floats(name)));
    }
});
