//! Text files of any encoding, decoded to UTF-8.
//!
//! A byte order mark decides first, then the encoding that the user names, then valid UTF-8 (of XML with few characters beyond
//! ASCII its declaration), then detection by [`chardetng`]. Detection from a handful of characters guesses wrong (the two characters of 猫 and 狗 in GBK are valid
//! Korean), so that short texts are judged together with the other files of the data set, and refused if those do not
//! decide either.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

use super::{FormatError, files};
use crate::file::{has_suffix, open_regular};

/// A longer text file is refused, except where its items are read one by one.
const LONGEST: u64 = 256 << 20;
/// Bytes that detection reads of the files of a data set.
const DETECTED: usize = 16 << 20;
/// Characters beyond ASCII from which on detection is trusted for scripts that are not Latin. Measured with chardetng 1.0 on
/// lists of class names: right for all of four characters or more, wrong for half of the shorter ones.
const FEWEST: usize = 4;

/// The text files of a data set, which share an encoding.
#[derive(Debug)]
pub(super) struct Texts {
    /// The encoding that the user names.
    named: Option<&'static Encoding>,
    /// The folder of the data set.
    folder: PathBuf,
    /// The encoding that all files of the folder together suggest.
    shared: OnceLock<Option<&'static Encoding>>,
    /// Files whose encoding was detected.
    guessed: Mutex<BTreeMap<PathBuf, &'static Encoding>>,
}

impl Texts {
    /// The text files in a folder, in the encoding that the user names where they have no byte order mark.
    pub(super) fn new(folder: &Path, named: Option<&'static Encoding>) -> Self {
        Self { named, folder: folder.to_owned(), shared: OnceLock::new(), guessed: Mutex::default() }
    }

    /// Reads a text file without its byte order mark.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file, is longer than 256 MiB, or its encoding cannot be detected.
    pub(super) fn read(&self, path: &Path) -> Result<String, FormatError> {
        let mut text = String::new();
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        if length > LONGEST {
            let cause =
                format!("it has {length} bytes, more than a text file of labels may have ({LONGEST})");
            return Err(FormatError::Damaged { path: path.to_owned(), cause });
        }
        self.open(path)?.read_to_string(&mut text).map_err(|error| FormatError::reading(path, error))?;
        // Lines may end as on old Macs.
        if text.contains('\r') && !text.contains('\n') {
            text = text.replace('\r', "\n");
        }
        Ok(text)
    }

    /// Opens a text file of any length for reading as UTF-8, without its byte order mark.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file, or its encoding cannot be detected.
    pub(super) fn open(&self, path: &Path) -> Result<DecodeReaderBytes<fs::File, Vec<u8>>, FormatError> {
        let reading = |error| FormatError::reading(path, error);
        let mut file = open_regular(path).map_err(reading)?;
        let encoding = match unicode(&mut file).map_err(reading)? {
            Some(encoding) if encoding == UTF_8 => match self.named {
                // Of one data set, some files may be UTF-8 all the same.
                Some(_) if !is_marked(path).map_err(reading)? => self.legacy(path).unwrap_or(UTF_8),
                _ => declared_instead(path).map_err(reading)?.unwrap_or(UTF_8),
            },
            Some(encoding) => encoding,
            None => self.legacy(path)?,
        };
        let file = open_regular(path).map_err(reading)?;
        let mut builder = DecodeReaderBytesBuilder::new();
        builder.strip_bom(true).bom_override(true);
        if encoding == UTF_8 {
            builder.utf8_passthru(true);
        } else {
            builder.encoding(Some(encoding));
        }
        Ok(builder.build(file))
    }

    /// Returns the files whose encoding was detected, by the names of encodings.
    pub(super) fn guessed(&self) -> BTreeMap<&'static str, Vec<PathBuf>> {
        let guessed = self.guessed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
        for (file, encoding) in &*guessed {
            files.entry(encoding.name()).or_default().push(file.clone());
        }
        files
    }

    /// The encoding of a file that is not Unicode.
    fn legacy(&self, path: &Path) -> Result<&'static Encoding, FormatError> {
        let unknown = || FormatError::Encoding { path: path.to_owned() };
        let bytes = read_start(path).map_err(|error| FormatError::reading(path, error))?;
        if let Some(named) = self.named {
            return Some(named).filter(|named| decodes(named, &bytes)).ok_or_else(unknown);
        }
        if bytes.contains(&0) {
            // No encoding but UTF-16 has zeros.
            return Err(FormatError::Damaged { path: path.to_owned(), cause: "it is not text".to_owned() });
        }
        if let Some(declared) = declared(&bytes).filter(|declared| decodes(declared, &bytes)) {
            return Ok(declared);
        }
        let shared = || *self.shared.get_or_init(|| detect(&self.start_of_all(path)));
        let found = detect(&bytes).or_else(|| shared().filter(|shared| decodes(shared, &bytes)));
        let found = found.ok_or_else(unknown)?;
        self.guessed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), found);
        Ok(found)
    }

    /// The first bytes of all files of the folder that are named like `path` and are not Unicode.
    fn start_of_all(&self, path: &Path) -> Vec<u8> {
        let suffix = path.extension().unwrap_or_default().to_string_lossy();
        let mut all = Vec::new();
        for file in files::with_suffix(&self.folder, &suffix) {
            let Ok(bytes) = read_start(&file) else { continue };
            if all.len() + bytes.len() > DETECTED {
                break;
            }
            if std::str::from_utf8(&bytes).is_err() {
                all.extend(bytes);
            }
        }
        all
    }
}

/// Returns the encoding that a byte order mark announces, or UTF-8 if all bytes are valid.
fn unicode(file: &mut fs::File) -> io::Result<Option<&'static Encoding>> {
    const CHUNK: usize = 1 << 18;
    let mut bytes = vec![0; CHUNK];
    // Bytes of a character that the last chunk cut.
    let mut n_cut = 0;
    let mut is_start = true;
    loop {
        let n = n_cut + file.read(&mut bytes[n_cut..])?;
        if n == n_cut {
            return Ok((n_cut == 0).then_some(UTF_8));
        }
        if std::mem::take(&mut is_start) {
            if let Some((encoding, _)) = Encoding::for_bom(&bytes[..n]) {
                return Ok(Some(encoding));
            }
            if let Some(encoding) = unmarked_utf16(&bytes[..n]) {
                return Ok(Some(encoding));
            }
        }
        match std::str::from_utf8(&bytes[..n]) {
            Ok(_) => n_cut = 0,
            Err(error) if error.error_len().is_none() => {
                let valid = error.valid_up_to();
                bytes.copy_within(valid..n, 0);
                n_cut = n - valid;
            }
            Err(_) => return Ok(None),
        }
    }
}

fn is_marked(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    open_regular(path)?.take(4).read_to_end(&mut start)?;
    Ok(Encoding::for_bom(&start).is_some())
}

/// Returns UTF-16 without a mark, in which nearly every second byte of a label file is zero.
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = &bytes[..bytes.len().min(512) & !1];
    let n_zeros = |odd: usize| start.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (n, high, low) = (start.len() / 2, n_zeros(0), n_zeros(1));
    match () {
        () if n < 2 => None,
        () if low * 2 > n && high == 0 => Some(UTF_16LE),
        () if high * 2 > n && low == 0 => Some(UTF_16BE),
        () => None,
    }
}

/// Returns the encoding that an XML file declares if its few characters beyond ASCII may be valid UTF-8 by chance. Many of them
/// are not, so that a file with many was written as UTF-8 whatever it declares.
fn declared_instead(path: &Path) -> io::Result<Option<&'static Encoding>> {
    if !has_suffix(path, &["xml"]) {
        return Ok(None);
    }
    let bytes = read_start(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let is_few = text.chars().filter(|c| !c.is_ascii()).take(FEWEST).count() < FEWEST;
    let declared = declared(&bytes).filter(|encoding| is_few && *encoding != UTF_8);
    // A mark would have said UTF-16.
    Ok(declared.filter(|encoding| encoding.is_ascii_compatible() && decodes(encoding, &bytes)))
}

/// Returns the encoding that an XML file declares.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let (declaration, _) = start.trim_start().strip_prefix("<?xml")?.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let label = value.trim_start_matches([' ', '=']).trim_start_matches(['"', '\'']);
    Encoding::for_label(label.split(['"', '\'']).next()?.as_bytes())
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(DETECTED as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// True if `bytes` are valid in an encoding, but for a last character that is cut.
fn decodes(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    decode(encoding, bytes).is_some()
}

fn decode(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len())?);
    let (_, _, is_malformed) = decoder.decode_to_string(bytes, &mut text, false);
    // The control characters from U+0080 on stand for bytes that an encoding does not define.
    let is_text = |c: char| !matches!(c, '\u{80}'..='\u{9f}');
    (!is_malformed && text.chars().all(is_text)).then_some(text)
}

/// Detects an encoding that is not Unicode, if the bytes are enough to decide.
fn detect(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let text = decode(guess, bytes)?;
    let n_beyond = text.chars().filter(|c| !c.is_ascii()).count();
    let is_latin = |c: char| c.is_ascii() || matches!(c, '\u{a0}'..='\u{24f}' | '\u{2000}'..='\u{20ff}');
    let n_letters = text.chars().filter(char::is_ascii_alphabetic).count();
    // Latin words are mostly ASCII; bytes of another script that only look Latin are not.
    let is_latin_text = text.chars().all(is_latin) && n_beyond <= n_letters;
    (is_latin_text || n_beyond >= FEWEST && !text.chars().all(is_latin)).then_some(guess)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_JP, EUC_KR, GBK, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;
    use crate::formats::tests::put;

    fn read(bytes: &[u8], named: Option<&'static Encoding>) -> Result<String, FormatError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        put(&path, bytes);
        Texts::new(folder.path(), named).read(&path)
    }

    fn utf16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn class_lists_are_read_in_usual_encodings() {
        for (encoding, text) in [
            (GBK, "行人\n汽车\n"),
            (GBK, "安全帽\n反光衣\n"),
            (GBK, "自行车\r\n摩托车\r\n交通灯"),
            (SHIFT_JIS, "歩行者\n自転車\n"),
            (EUC_JP, "歩行者\n自転車\n"),
            (EUC_KR, "사람\n자동차\n"),
            (BIG5, "行人\n汽車\n"),
            (WINDOWS_1252, "fußgänger\ncoche\nniño\n"),
            (WINDOWS_1252, "vélo"),
            (WINDOWS_1251, "собака\nкошка\n"),
        ] {
            let (bytes, _, has_failed) = encoding.encode(text);
            assert!(!has_failed);
            assert_eq!(read(&bytes, None).unwrap(), text, "{}", encoding.name());
        }
    }

    #[test]
    fn unicode_is_read_with_and_without_mark() {
        let text = "person\n行人\n";
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            utf16(text, true, u16::to_le_bytes),
            utf16(text, true, u16::to_be_bytes),
            utf16(text, false, u16::to_le_bytes),
            utf16(text, false, u16::to_be_bytes),
        ] {
            assert_eq!(read(&bytes, None).unwrap(), text, "{bytes:?}");
        }
    }

    #[test]
    fn undecidable_encoding_is_refused_unless_named() {
        let (bytes, ..) = GBK.encode("猫\n狗\n");
        let error = read(&bytes, None).unwrap_err().to_string();
        assert!(error.contains("encoding") && error.contains("a.txt"), "{error}");
        assert_eq!(read(&bytes, Some(GBK)).unwrap(), "猫\n狗\n");
        assert!(read(b"\xff\xff\x00\x81", None).is_err());
    }

    #[test]
    fn short_files_are_decided_by_their_siblings() {
        let folder = tempfile::tempdir().unwrap();
        for (i, text) in ["猫", "狗", "自行车", "摩托车", "交通灯"].iter().enumerate() {
            put(&folder.path().join(format!("{i}.xml")), GBK.encode(text).0);
        }
        let texts = Texts::new(folder.path(), None);
        assert_eq!(texts.read(&folder.path().join("1.xml")).unwrap(), "狗");
    }

    proptest! {
        #[test]
        fn utf8_is_read_as_it_is(text in "\\PC{0,40}") {
            prop_assert_eq!(read(text.as_bytes(), None).unwrap(), text.trim_start_matches('\u{feff}'));
        }
    }
}
