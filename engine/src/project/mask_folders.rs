//! Folders of masks in data sets, whose images are labels and not photos.

use std::path::Path;

/// True if a folder within a data set holds masks of the images beside it, as exports of Pascal VOC, DAVIS, MOTS, COCO panoptic
/// and plain masks have it.
pub(crate) fn is_mask_folder(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let has_beside = |other: &str| folder.with_file_name(other).is_dir();
    if name.starts_with("SegmentationClass") || name.starts_with("SegmentationObject") {
        return true;
    }
    match &*name {
        // Pascal VOC's are of XML.
        "Annotations" => has_beside("JPEGImages") && !holds_xml(folder),
        "masks" | "instances" => has_beside("images"),
        _ => name.starts_with("panoptic") && folder.with_file_name(format!("{name}.json")).is_file(),
    }
}

fn holds_xml(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|suffix| suffix == "xml"))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::file::write_atomically;

    #[test]
    fn masks_are_told_from_photos_by_what_lies_beside_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(name);
        for name in [
            "davis/Annotations",
            "davis/JPEGImages",
            "alone/masks",
            "plain/masks",
            "plain/images",
            "c/panoptic_val",
        ] {
            fs::create_dir_all(folder(name)).unwrap();
        }
        assert!(is_mask_folder(&folder("davis/Annotations")) && is_mask_folder(&folder("plain/masks")));
        assert!(!is_mask_folder(&folder("davis/JPEGImages")) && !is_mask_folder(&folder("alone/masks")));
        assert!(!is_mask_folder(&folder("c/panoptic_val")));
        write_atomically(&folder("c/panoptic_val.json"), |out| out.write_all(b"{}")).unwrap();
        assert!(is_mask_folder(&folder("c/panoptic_val")));
    }
}
