//! Weight files: what is read, and what is refused with which sentence.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
    path::Path,
};

use engine::{nn::Checkpoint, sam2::Weights};

use crate::formula::{self, Tensors};

fn data(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file)
}

/// Opens bytes as a model's weights and expects a sentence that holds `expected`.
#[track_caller]
fn check_refused(bytes: &[u8], expected: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(bytes).unwrap();
    let error = Weights::open(file.path()).err().expect("a file that is refused").to_string();
    assert!(error.contains(expected), "'{error}' does not say '{expected}'");
    assert!(!error.contains('\n'), "'{error}' is more than one line");
    assert!(error.chars().count() <= 300, "'{error}' is too long");
}

fn nano_tensors() -> Tensors {
    formula::tensors(&formula::nano(128), 0.0)
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    formula::write_tensors(tensors, Some(&formula::nano(128)), &path);
    std::fs::read(path).unwrap()
}

/// A `.pt` with this pickle.
fn pt(pickle: &[u8], compression: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(compression);
    archive.start_file("weights/data.pkl", options).unwrap();
    archive.write_all(pickle).unwrap();
    archive.start_file("weights/data/0", options).unwrap();
    archive.write_all(&[0; 16]).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_file_of_torch_save_is_read() {
    let checkpoint = Checkpoint::open(&data("six_tensors.pt")).unwrap();
    assert_eq!(checkpoint.tensors().count(), 6);
    for (name, shape) in checkpoint.tensors() {
        assert_eq!(checkpoint.floats(name).unwrap(), formula::weight(name, shape, 0.0), "{name}");
    }
}

#[test]
fn tensors_by_the_names_of_transformers_are_found() {
    let ours = nano_tensors();
    let names: BTreeMap<String, String> =
        serde_json::from_slice(&std::fs::read(data("transformers_names.json")).unwrap()).unwrap();
    let mut theirs: Tensors =
        names.iter().filter_map(|(meta, name)| Some((name.clone(), ours.get(meta)?.clone()))).collect();
    let gaussian = ours["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].clone();
    theirs.insert("shared_image_embedding.positional_embedding".into(), gaussian.clone());
    theirs.insert("prompt_encoder.shared_embedding.positional_embedding".into(), gaussian);
    let points = (0..4).map(|i| &ours[&format!("sam_prompt_encoder.point_embeddings.{i}.weight")]);
    let rows: Vec<u8> = points.flat_map(|(_, bytes)| bytes.clone()).collect();
    theirs.insert("prompt_encoder.point_embed.weight".into(), (vec![4, 96], rows));

    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(&safetensors(&theirs)).unwrap();
    let weights = Weights::open(file.path()).unwrap();
    for (name, (shape, _)) in &ours {
        assert_eq!(weights.checkpoint.floats(name).unwrap(), formula::weight(name, shape, 0.0), "{name}");
    }
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let mut tensors = nano_tensors();
    tensors.remove("no_obj_ptr");
    tensors.insert("maskmem_tpos_enc".into(), (vec![7, 32], vec![0; 7 * 32 * 4]));
    check_refused(&safetensors(&tensors), "no_obj_ptr [1, 96] is missing");
    check_refused(&safetensors(&tensors), "maskmem_tpos_enc is [7, 32], not [7, 1, 1, 32]");
    let mut tensors = nano_tensors();
    tensors.insert(format!("no_{}", "x".repeat(5000)), (vec![1], vec![0; 4]));
    check_refused(&safetensors(&tensors), "xxx is not a part of the model");
    let mut tensors = nano_tensors();
    tensors.insert("classifier.weight".into(), (vec![1], vec![0; 4]));
    check_refused(&safetensors(&tensors), "classifier.weight is not a part of the model");
}

#[test]
fn files_that_are_cut_short_are_refused() {
    let whole = safetensors(&nano_tensors());
    for n in [9, 1000, whole.len() / 2, whole.len() - 1] {
        check_refused(&whole[..n], "damaged or not completely downloaded");
    }
    let whole = std::fs::read(data("six_tensors.pt")).unwrap();
    for n in [4, whole.len() / 2, whole.len() - 1] {
        check_refused(&whole[..n], "damaged or not completely downloaded");
    }
    check_refused(b"", "neither a PyTorch file");
    check_refused(b"just some text, not weights", "neither a PyTorch file");
}

/// A dict with the tensor `w` of four zeros, and a call of `os.system` beside it.
const CALL: &[u8] = b"\x80\x02}(X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n\
    FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x04\x85K\x01\x85\x89}tRX\x01\x00\x00\x00x\
    cos\nsystem\n(X\x0e\x00\x00\x00touch 'CALLED'tRu.";

#[test]
fn calls_in_a_pickle_are_skipped_and_never_made() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(&pt(CALL, zip::CompressionMethod::Stored)).unwrap();
    let checkpoint = Checkpoint::open(file.path()).unwrap();
    assert_eq!(checkpoint.tensors().collect::<Vec<_>>(), [("w", &[4][..])]);
    let said = checkpoint.check_floats("x").unwrap_err().to_string();
    assert!(said.contains("x is a os.system, not a tensor of floats"), "{said}");
    assert!(!Path::new("CALLED").exists());
}

#[test]
fn a_pickle_of_something_else_is_refused() {
    let others: [(&[u8], &str); 4] = [
        (b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00echotR.", "an object of the class os.system"),
        (b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR.", "an object of the class builtins.eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it holds no weights"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "it holds no weights"),
    ];
    for (pickle, says) in others {
        check_refused(&pt(pickle, zip::CompressionMethod::Stored), says);
    }
}

#[test]
fn a_pickle_cannot_overflow_stack_or_memory() {
    let nested = [b"\x80\x02)".as_slice(), &[0x85; 100_000], b"."].concat();
    check_refused(&pt(&nested, zip::CompressionMethod::Stored), "it holds no weights");
    let dicts =
        [b"\x80\x02".as_slice(), &b"}X\x01\x00\x00\x00a".repeat(100_000), b"}", &[b's'; 100_000], b"."];
    check_refused(&pt(&dicts.concat(), zip::CompressionMethod::Stored), "it holds no weights");
    // A dict that holds itself under many names.
    let own = b"\x80\x02}q\x00(X\x05\x00\x00\x00modelh\x00X\x03\x00\x00\x00emah\x00X\x01\x00\x00\x00ah\x00u.";
    check_refused(&pt(own, zip::CompressionMethod::Stored), "it holds no weights");
    let many = [b"\x80\x02".as_slice(), &[b'N'; 1_000_000], b"."].concat();
    check_refused(&pt(&many, zip::CompressionMethod::Stored), "makes more than 524288 values");
    let long_string = b"\x80\x02X\xff\xff\xff\x7fabc.";
    check_refused(&pt(long_string, zip::CompressionMethod::Stored), "cut short");
    let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u.";
    for n in 0..whole.len() {
        check_refused(&pt(&whole[..n], zip::CompressionMethod::Stored), "its pickle");
    }
}

#[test]
fn a_zip_bomb_is_not_inflated() {
    let bomb = pt(&vec![b'0'; 50_000_000], zip::CompressionMethod::Deflated);
    assert!(bomb.len() < 100_000);
    check_refused(&bomb, "is compressed");
}

#[test]
fn a_tensor_cannot_reach_past_its_data() {
    // A tensor of 5 floats in a storage of 4.
    let pickle =
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n\
        FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x05\x85K\x01\x85\x89}tRs.";
    check_refused(&pt(pickle, zip::CompressionMethod::Stored), "tensor w reaches past the end");
}
