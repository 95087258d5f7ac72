//! CLIP's tokenizer: byte pair encoding (Sennrich et al., 2016) with the vocabulary in the folder of a checkpoint.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::json;

use crate::detect::DetectError;

/// Start and end tokens of a phrase.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Pattern by which a phrase is split before byte pair encoding. Mirrors the pattern of transformers' `CLIPTokenizer`.
const PIECES: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Maximum length of a phrase in bytes; longer ones are rejected without encoding them.
const MOST_BYTES: usize = 2000;

/// A tokenizer that encodes phrases to token ids.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Maximum number of tokens of a phrase, including the start and end tokens.
    n_tokens: usize,
}

/// The part of a `tokenizer.json` that has the vocabulary.
#[derive(Deserialize)]
struct Described {
    model: Vocabulary,
}

#[derive(Deserialize)]
struct Vocabulary {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// Two tokens that are merged into one, in the syntax of older (`Text`) and newer (`Pair`) files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair([String; 2]),
}

impl Merge {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Pair([a, b]) => format!("{a} {b}"),
        }
    }
}

impl Tokenizer {
    /// Opens the vocabulary in `folder`, as published by the model's authors: `vocab.json` and `merges.txt`, or
    /// `tokenizer.json`. Phrases may have up to `n_tokens` tokens, with ids below `n_words`.
    ///
    /// # Errors
    /// If neither is there, or it is not a CLIP vocabulary.
    pub fn open(folder: &Path, n_tokens: usize, n_words: usize) -> Result<Self, DetectError> {
        let (path, vocabulary) = read(folder)?;
        let bad = |cause: String| DetectError::Vocabulary { path: path.display().to_string(), cause };
        let numbers = |word: &str| vocabulary.vocab.get(word).copied();
        let (Some(start), Some(end)) = (numbers(START), numbers(END)) else {
            return Err(bad(format!("it has no {START} and {END}, which CLIP's has")));
        };
        if let Some((word, number)) = vocabulary.vocab.iter().find(|(_, n)| **n as usize >= n_words) {
            return Err(bad(format!("'{word}' is number {number} and the model knows {n_words} words")));
        }
        let merges: Vec<String> = vocabulary.merges.into_iter().map(Merge::text).collect();
        let special = |id: u32, content: &str| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        // Mirrors transformers' `CLIPTokenizer`.
        let description = json!({
            "version": "1.0",
            "added_tokens": [special(start, START), special(end, END)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start],
                               "trim_offsets": false, "add_prefix_space": false},
            "model": {"type": "BPE", "unk_token": END, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "</w>", "fuse_unk": false, "vocab": vocabulary.vocab,
                      "merges": merges},
        });
        let inner = serde_json::from_value(description).map_err(|e| bad(e.to_string()))?;
        Ok(Self { inner, n_tokens })
    }

    /// Encodes a phrase to token ids, including the start and end tokens.
    ///
    /// # Errors
    /// If the phrase is empty or too long.
    pub fn encode(&self, phrase: &str) -> Result<Vec<u32>, DetectError> {
        if phrase.trim().is_empty() {
            return Err(DetectError::NoPhrase);
        }
        let long = |n_pieces: usize| DetectError::LongPhrase {
            start: phrase.trim().chars().take(30).collect(),
            n_pieces,
            most: self.n_tokens - 2,
        };
        if phrase.len() > MOST_BYTES {
            return Err(long(phrase.len()));
        }
        // CLIP's rules can encode any phrase, so no cause of an error is known.
        let encoding = self.inner.encode(phrase, true).map_err(|cause| DetectError::Vocabulary {
            path: format!("'{phrase}'"),
            cause: cause.to_string(),
        })?;
        let ids = encoding.get_ids().to_vec();
        if ids.len() > self.n_tokens { Err(long(ids.len() - 2)) } else { Ok(ids) }
    }
}

/// Reads the vocabulary in `folder`. Also returns the path to name in errors about its contents.
fn read(folder: &Path) -> Result<(PathBuf, Vocabulary), DetectError> {
    let [words, merges, both] = ["vocab.json", "merges.txt", "tokenizer.json"].map(|file| folder.join(file));
    let bad =
        |path: &Path, cause: String| DetectError::Vocabulary { path: path.display().to_string(), cause };
    let text = |path: &Path| std::fs::read_to_string(path).map_err(|e| bad(path, e.to_string()));
    if words.exists() && merges.exists() {
        let vocab = serde_json::from_str(&text(&words)?).map_err(|e| bad(&words, e.to_string()))?;
        let lines = text(&merges)?;
        let lines = lines.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
        let merges = lines.map(|line| Merge::Text(line.to_owned())).collect();
        return Ok((words, Vocabulary { vocab, merges }));
    }
    if both.exists() {
        let described: Described =
            serde_json::from_str(&text(&both)?).map_err(|e| bad(&both, e.to_string()))?;
        return Ok((both, described.model));
    }
    let cause = "get vocab.json and merges.txt of the model's own repository and put them beside its weights";
    Err(bad(&words, cause.to_owned()))
}
