//! Seeds of a fuzz target.

use std::{env, fs, path::PathBuf};

/// Writes seeds, each a name and bytes, into the folder that the environment variable `SEEDS` names.
pub fn write(seeds: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let folder = PathBuf::from(env::var("SEEDS").expect("SEEDS is a folder"));
    fs::create_dir_all(&folder).expect("a folder for seeds");
    for (name, bytes) in seeds {
        fs::write(folder.join(name), bytes).expect("a seed");
    }
}
