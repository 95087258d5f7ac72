//! Recognizing the format of label files by their structure.

use std::path::{Path, PathBuf};

use super::{
    FORMATS, Format, FormatError, REPORT, Reading, files,
    sniff::{self, Elements, Outline, Structure},
    text::Texts,
};

/// Files of a folder of each suffix that are looked into to recognize a format.
const SNIFFED: usize = 50;

/// How a format is recognized.
#[derive(Clone, Copy)]
pub(super) enum Recognize {
    /// By the keys of a JSON file.
    Json(fn(&Outline) -> bool),
    /// By the elements of an XML file.
    Xml(fn(&Elements) -> bool),
    /// By the files of a folder.
    Folder(fn(&Path, &Texts) -> bool),
}

impl Recognize {
    fn is_like(self, structure: &Structure) -> bool {
        match (self, structure) {
            (Self::Json(is_like), Structure::Json(outline)) => is_like(outline),
            (Self::Xml(is_like), Structure::Xml(elements)) => is_like(elements),
            _ => false,
        }
    }

    fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Json(_) => Some("json"),
            Self::Xml(_) => Some("xml"),
            Self::Folder(_) => None,
        }
    }

    /// Lists the files of a folder that a format reads one by one; a file alone, and the folder of a format that reads it as a
    /// whole, stand for themselves. Files that cannot be read are listed, so that reading them says why.
    pub(super) fn files(self, path: &Path, texts: &Texts) -> Vec<PathBuf> {
        let Some(suffix) = self.suffix().filter(|_| path.is_dir()) else { return vec![path.to_owned()] };
        let mut files = label_files(path, suffix);
        files.retain(|file| sniff::structure(file, texts).map_or(true, |structure| self.is_like(&structure)));
        files
    }
}

/// Lists the files of a folder that may be labels.
fn label_files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files = files::with_suffix(folder, suffix);
    files.retain(|file| file.file_name().is_none_or(|name| name != REPORT));
    files
}

/// The formats that a file or folder may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognized {
    /// The most plausible one.
    pub format: &'static Format,
    /// Others that are plausible too.
    pub others: Vec<&'static Format>,
}

/// Recognizes the format of what is read. Of several plausible formats the one of most files is chosen, and of those with
/// equally many the first in [`FORMATS`].
///
/// # Errors
/// If it has none of them, or a file cannot be read.
pub fn recognize(reading: &Reading<'_>) -> Result<Recognized, FormatError> {
    let (path, texts) = (reading.path, &reading.texts);
    let mut structures = Vec::new();
    let mut unreadable = None;
    let sniffed = match path.is_dir() {
        false => vec![path.to_owned()],
        true => ["json", "xml"]
            .iter()
            .flat_map(|suffix| label_files(path, suffix).into_iter().take(SNIFFED))
            .collect(),
    };
    for file in sniffed {
        match sniff::structure(&file, texts) {
            Ok(structure) => structures.push(structure),
            Err(error) => unreadable = Some(error),
        }
    }
    let n_alike = |format: &Format| match format.read.map(|read| read.recognize) {
        None => 0,
        Some(Recognize::Folder(is_like)) => usize::from(is_like(path, texts)),
        Some(recognize) => structures.iter().filter(|structure| recognize.is_like(structure)).count(),
    };
    let mut plausible: Vec<(usize, &Format)> =
        FORMATS.iter().map(|format| (n_alike(format), *format)).collect();
    plausible.retain(|(n, _)| *n > 0);
    plausible.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let mut formats = plausible.into_iter().map(|(_, format)| format);
    match (formats.next(), unreadable) {
        (Some(format), _) => Ok(Recognized { format, others: formats.collect() }),
        (None, Some(error)) => Err(error),
        (None, None) => Err(FormatError::UnknownFormat { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::GBK;

    use crate::formats::{Reading, read, tests::put};

    #[test]
    fn named_encoding_holds_for_recognition_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xml");
        let xml = r#"<annotations><image id="0" name="a.png" width="9" height="7">
            <box label="狗" xtl="1" ytl="1" xbr="5" ybr="4"/></image></annotations>"#;
        put(&path, GBK.encode(xml).0);
        assert!(read(&Reading::new(&path)).unwrap_err().to_string().contains("encoding"));
        let (format, dataset) = read(&Reading::new(&path).with_encoding("gbk").unwrap()).unwrap();
        assert_eq!(format.name, "cvat-images");
        assert_eq!(dataset.categories[0].name.as_deref(), Some("狗"));
    }
}
