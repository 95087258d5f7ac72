//! What a search for media files found, what it could not take, and what is to be known of what it took.

use std::{collections::BTreeMap, path::Path};

use super::Medium;
use crate::{
    media::{FrameSource, MediaError},
    messages::{Messages, counted},
};

/// Sentences on single media are listed up to this number, and counted beyond.
const LISTED: usize = 3;

/// More channels than these are not shown.
const SHOWN_CHANNELS: usize = 4;

/// What a search for media found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    /// The media that can be added.
    pub media: Vec<Medium>,
    /// Number of files that are not taken.
    pub n_refused: usize,
    /// Why not: of each reason the first three files, then how many more.
    pub refused: Vec<String>,
    /// What is to be known of media that are taken.
    pub remarks: Vec<String>,
}

impl Scan {
    /// A search that found nothing, and why.
    pub fn refusing(sentence: String) -> Self {
        Self { n_refused: 1, refused: vec![sentence], ..Self::default() }
    }

    /// Adds the findings of another search.
    pub fn extend(&mut self, other: Self) {
        self.media.extend(other.media);
        self.n_refused += other.n_refused;
        self.refused.extend(other.refused);
        self.remarks.extend(other.remarks);
    }
}

/// Collects what a search finds.
#[derive(Default)]
pub(super) struct Report {
    media: Vec<Medium>,
    refused: Messages,
    /// Images that nothing here decodes, by kind.
    undecoded: BTreeMap<String, usize>,
    /// Images of kinds that Segue does not know, by suffix.
    unknown: BTreeMap<String, usize>,
    remarks: BTreeMap<Remark, usize>,
    /// Sentences on single media, of which there may be many.
    single: Vec<String>,
}

/// What holds of several media alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Remark {
    Deep(&'static str),
    Channels(&'static str),
}

impl Report {
    /// Takes a medium, which is open.
    pub(super) fn take(&mut self, medium: Medium, source: &FrameSource) {
        let noun = if !medium.is_video() { "image" } else { "video" };
        if let Some(header) = source.image_header() {
            if header.is_deep {
                *self.remarks.entry(Remark::Deep(noun)).or_default() += 1;
            }
            if header.n_channels > SHOWN_CHANNELS {
                *self.remarks.entry(Remark::Channels(noun)).or_default() += 1;
            }
            if header.n_left_out > 0 {
                let pages = counted(header.n_left_out, "page");
                let verb = if header.n_left_out == 1 { "is" } else { "are" };
                let size = header.size;
                self.single
                    .push(format!("{}: {pages} of another size than {size} {verb} left out", medium.path));
            }
        }
        if let [(frame, why), rest @ ..] = source.unreadable() {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            self.single.push(format!("{}: frame {frame} is damaged{more}: {why}", medium.path));
        }
        self.media.push(medium);
    }

    /// Counts the images of a folder of frames that are of another kind than its frames.
    pub(super) fn leave_out(&mut self, folder: &str, n_images: usize) {
        if n_images > 0 {
            let (images, verb) = (counted(n_images, "image"), if n_images == 1 { "is" } else { "are" });
            self.single.push(format!("{folder}: {images} of another kind than its frames {verb} left out"));
        }
    }

    /// Refuses a file that cannot be opened.
    pub(super) fn refuse_media(&mut self, file: &Path, error: &MediaError) {
        match error {
            MediaError::NoImageDecoder { kind, .. } => {
                *self.undecoded.entry((*kind).to_owned()).or_default() += 1;
            }
            error => self.refuse(file, error.to_string()),
        }
    }

    /// Refuses a file with a sentence that ends with its path.
    pub(super) fn refuse(&mut self, file: &Path, sentence: String) {
        let reason = sentence.replace(&format!(": {}", file.display()), "");
        self.refused.add(sentence, reason);
    }

    /// Counts an image of a kind that Segue does not know.
    pub(super) fn pass_over(&mut self, suffix: &str) {
        *self.unknown.entry(suffix.to_uppercase()).or_default() += 1;
    }

    /// Says all that was collected.
    pub(super) fn finish(self) -> Scan {
        let (n_refused, refused) = (self.refused.len(), self.refused.sentences());
        let mut scan = Scan { media: self.media, n_refused, refused, ..Scan::default() };
        for (kind, n) in self.undecoded {
            let (images, verb, it) = images(n, &kind);
            let why = format!("this system has no decoder for {kind}; convert {it} to JPEG");
            scan.refused.push(format!("{images} {verb} not added: {why}"));
            scan.n_refused += n;
        }
        for (kind, n) in self.unknown {
            let (images, verb, it) = images(n, &kind);
            let why = format!("Segue does not read {kind}; convert {it} to JPEG, PNG or TIFF");
            scan.remarks.push(format!("{images} {verb} not added: {why}"));
        }
        for (remark, n) in self.remarks {
            scan.remarks.push(match remark {
                Remark::Deep(noun) => format!(
                    "{} {} 16-bit, signed or float values, shown in 8 bits and scaled to the values present",
                    counted(n, noun),
                    if n == 1 { "has" } else { "have" },
                ),
                Remark::Channels(noun) => format!(
                    "{} {} more than {SHOWN_CHANNELS} channels, of which the first three are shown as red, green and blue",
                    counted(n, noun),
                    if n == 1 { "has" } else { "have" },
                ),
            });
        }
        let more = self.single.len().saturating_sub(LISTED);
        scan.remarks.extend(self.single.into_iter().take(LISTED));
        if more > 0 {
            scan.remarks.push(format!("{more} more like these"));
        }
        scan
    }
}

/// "1 HEIC image", "is", "it".
fn images(n: usize, kind: &str) -> (String, &'static str, &'static str) {
    let (verb, it) = if n == 1 { ("is", "it") } else { ("are", "them") };
    (counted(n, &format!("{kind} image")), verb, it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_refusals_are_three_and_a_count() {
        let mut report = Report::default();
        for i in 0..6 {
            let path = Path::new("media").join(format!("{i}.png"));
            report.refuse(&path, format!("cannot read image: {i} bytes are too few: {}", path.display()));
            report.refuse_media(&path, &MediaError::NoImageDecoder { path: path.clone(), kind: "HEIC" });
        }
        report.refuse(Path::new("a"), "cannot read file: it is empty: a".to_owned());
        report.pass_over("nef");
        let scan = report.finish();
        assert_eq!(scan.n_refused, 13);
        let want = [
            "cannot read image: 0 bytes are too few: media/0.png",
            "cannot read image: 1 bytes are too few: media/1.png",
            "cannot read image: 2 bytes are too few: media/2.png",
            "3 more like this",
            "cannot read file: it is empty: a",
            "6 HEIC images are not added: this system has no decoder for HEIC; convert them to JPEG",
        ];
        assert_eq!(scan.refused, want);
        assert_eq!(
            scan.remarks,
            ["1 NEF image is not added: Segue does not read NEF; convert it to JPEG, PNG or TIFF"]
        );
    }
}
