//! Detectors against transformers: numbers that `tests/reference/detectors.py` made from the same weights and frames.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use engine::{
    detect::{
        detr::{self, Detr},
        owlv2::{self, Owlv2, Tokenizer},
    },
    file::write_atomically,
    geometry::Size,
    nn::{Cancel, Device, Runtime},
};

use crate::{
    formula,
    parity::{Reference, assert_close},
};

pub(crate) fn vocabulary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect/owlv2")
}

/// Pieces of words in [`vocabulary`].
const N_WORDS: usize = 696;

/// The small model that committed reference numbers are of.
fn small() -> owlv2::Config {
    owlv2::Config {
        image_size: 96,
        patch_size: 16,
        stored_grid: 6,
        image: owlv2::Tower { width: 128, depth: 2, mlp: 256 },
        text: owlv2::Tower { width: 64, depth: 2, mlp: 128 },
        n_words: N_WORDS,
        n_tokens: 16,
    }
}

/// Writes formula weights and the vocabulary into `folder`; the checkpoint.
pub(crate) fn owlv2_checkpoint(config: &owlv2::Config, words: &Path, folder: &Path) -> PathBuf {
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(words.join(file), folder.join(file)).unwrap();
    }
    let path = folder.join("model.safetensors");
    formula::write_tensors(&formula::of(owlv2::required_tensors(config)), None, &path);
    path
}

/// Checks the model of formula weights at `side` pixels against the file of `case` in `folder`.
pub(crate) fn check_owlv2(config: &owlv2::Config, words: &Path, folder: &Path, case: &str, side: usize) {
    let reference = Reference::read(&folder.join(format!("owlv2_{case}{side}.safetensors")));
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = owlv2_checkpoint(config, words, scratch.path());
    let mut model = Owlv2::load(&runtime, &path, Some(side)).unwrap();
    assert_eq!(model.config(), &owlv2::Config { image_size: side, ..config.clone() });
    let cancel = Cancel::default();
    let patches = model.look(&formula::frame(0, Size::square(side)), &cancel).unwrap();
    assert_close("boxes", patches.boxes(), &reference.floats("boxes"));
    assert_close("objectness", patches.objectness(), &reference.floats("objectness"));
    let phrases = reference.about["phrases"].as_array().unwrap();
    let (texts, logits) = (reference.floats("text"), reference.floats("logits"));
    for (i, phrase) in phrases.iter().enumerate() {
        let embedding = model.embed(phrase.as_str().unwrap(), &cancel).unwrap();
        assert_close("text", &embedding, &texts[i * embedding.len()..][..embedding.len()]);
        let wanted: Vec<f32> = logits.iter().skip(i).step_by(phrases.len()).copied().collect();
        assert_close("logits", &patches.logits(&embedding), &wanted);
    }
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/reference")
}

#[test]
fn a_small_owlv2_matches_transformers() {
    check_owlv2(&small(), &vocabulary(), &committed(), "small", 96);
}

/// At another size the places of patches are stretched.
#[test]
fn a_small_owlv2_at_another_size_matches_transformers() {
    check_owlv2(&small(), &vocabulary(), &committed(), "small", 128);
}

#[test]
fn phrases_that_cannot_be_read_are_refused_with_a_reason() {
    let words = Tokenizer::open(&vocabulary(), 16, N_WORDS).unwrap();
    assert_eq!(words.encode("red circle").unwrap().len(), 4);
    for nothing in ["", "  ", "\n\t"] {
        assert!(words.encode(nothing).unwrap_err().to_string().starts_with("there is nothing to look for"));
    }
    let long = "red ".repeat(2500);
    let error = words.encode(&long).unwrap_err().to_string();
    assert!(error.contains("at most 14") && error.len() < 200, "{error}");
}

#[test]
fn a_vocabulary_that_is_none_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Tokenizer::open(folder.path(), 16, N_WORDS).map(|_| ()).unwrap_err().to_string();
    assert!(open().contains("merges.txt"), "{}", open());
    let write = |text: &str| {
        write_atomically(&folder.path().join("tokenizer.json"), |file| write!(file, "{text}")).unwrap();
    };
    write(r#"{"model": {"vocab": {"a": 1}, "merges": []}}"#);
    assert!(open().contains("<|startoftext|>"), "{}", open());
    write("{");
    assert!(open().contains("tokenizer.json"), "{}", open());
    // A vocabulary of another model.
    let error = Tokenizer::open(&vocabulary(), 16, 100).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("knows 100 words"), "{error}");
}

/// Checks a detector of formula weights at `side` pixels against the file of `case` in `folder`.
pub(crate) fn check_detr(folder: &Path, case: &str, side: usize) {
    let reference = Reference::read(&folder.join(format!("{case}{side}.safetensors")));
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    let (mut model, name) = detr_of_formula(&runtime, &folder.join(format!("{case}.json")), side);
    let official = [
        ("rt_detr_v2_r18", "rtdetr-r18"),
        ("rt_detr_v2_r34", "rtdetr-r34"),
        ("rt_detr_v2_r50", "rtdetr-r50"),
        ("rt_detr_v2_r101", "rtdetr-r101"),
        ("d_fine_n", "dfine-nano"),
        ("d_fine_s", "dfine-small"),
        ("d_fine_m", "dfine-medium"),
        ("d_fine_l", "dfine-large"),
        ("d_fine_x", "dfine-xlarge"),
    ];
    assert_eq!(name, official.into_iter().find(|(other, _)| *other == case).map(|(_, name)| name));
    let [logits, boxes] = model.look(&formula::frame(0, Size::square(side)), &Cancel::default()).unwrap();
    let (wanted_logits, wanted_boxes) = (reference.floats("logits"), reference.floats("boxes"));
    assert_eq!((logits.floats().len(), boxes.floats().len()), (wanted_logits.len(), wanted_boxes.len()));
    // Which of two places becomes a query first is up to rounding where both are as much of something.
    let n_classes = model.config().n_classes();
    let mut left: Vec<(&[f32], &[f32])> =
        wanted_boxes.chunks(4).zip(wanted_logits.chunks(n_classes)).collect();
    for (share, row) in boxes.floats().chunks(4).zip(logits.floats().chunks(n_classes)) {
        let apart = |other: &[f32]| share.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (nearest, _) =
            left.iter().enumerate().min_by(|a, b| apart(a.1.0).total_cmp(&apart(b.1.0))).unwrap();
        let (wanted_share, wanted_row) = left.swap_remove(nearest);
        assert_close("boxes", share, wanted_share);
        assert_close("logits", row, wanted_row);
    }
}

/// With the name by which it is known.
fn detr_of_formula(runtime: &Runtime, config: &Path, side: usize) -> (Detr, Option<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    if json["id2label"].as_object().is_some_and(|names| names.len() == 80) {
        // Only models of COCO's classes are called by the names of the authors' files.
        (json["id2label"]["0"], json["id2label"]["79"]) = ("person".into(), "toothbrush".into());
    }
    write_atomically(&folder.path().join("config.json"), |file| write!(file, "{json}")).unwrap();
    let path = folder.path().join("model.safetensors");
    let config = detr::Config::read(config).unwrap();
    formula::write_tensors(&formula::of(detr::required_tensors(&config)), None, &path);
    let known = engine::models::recognize(&path).unwrap().model;
    (Detr::load(runtime, &path, Some(side)).unwrap(), known.map(|model| &*model.name))
}

#[test]
fn a_small_rt_detr_matches_transformers() {
    check_detr(&committed(), "rt_detr_v2_small", 128);
}

#[test]
fn a_small_d_fine_matches_transformers() {
    check_detr(&committed(), "d_fine_small", 128);
}

#[test]
fn sizes_that_make_no_model_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let good: serde_json::Value =
        serde_json::from_slice(&std::fs::read(committed().join("d_fine_small.json")).unwrap()).unwrap();
    let read = |config: &serde_json::Value| {
        write_atomically(&path, |file| write!(file, "{config}")).unwrap();
        detr::Config::read(&path).map(|_| ())
    };
    read(&good).unwrap();
    for (place, value, field) in [
        ("/backbone_config/stage_in_channels/1", 0, "stage_in_channels"),
        ("/backbone_config/stage_kernel_size/0", 4, "stage_kernel_size"),
        ("/backbone_config/stage_num_blocks/0", 0, "stage_num_blocks"),
        ("/d_model", 63, "d_model"),
        ("/num_queries", 1_000_000, "num_queries"),
        ("/decoder_n_points/0", 0, "decoder_n_points"),
        ("/max_num_bins", 3, "max_num_bins"),
        ("/decoder_layers", 0, "decoder_layers"),
        ("/feat_strides/0", 4, "feat_strides"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value.into();
        let error = read(&bad).unwrap_err();
        assert!(error.contains(field), "{place}: {error}");
    }
    let mut unnamed = good.clone();
    unnamed["id2label"] = serde_json::json!({});
    assert!(read(&unnamed).unwrap_err().contains("id2label"));
}
