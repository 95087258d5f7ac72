//! Backups of files that Segue did not write and is about to replace.

use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{end_of_links, open_regular, staging::lacks_links};

/// Text in the first or last KiB of the files that Segue writes.
pub const MARK: &str = "Made with Segue";

/// Bytes at each end of a file in which the mark is searched.
const ENDS: u64 = 1 << 10;

/// True if Segue wrote a file, or if it is empty.
pub fn is_marked(path: &Path) -> bool {
    ends(path).is_ok_and(|ends| ends.is_empty() || String::from_utf8_lossy(&ends).contains(MARK))
}

fn ends(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let length = file.metadata()?.len();
    let mut ends = Vec::new();
    (&mut file).take(ENDS).read_to_end(&mut ends)?;
    if length > ENDS {
        file.seek(SeekFrom::Start((length - ENDS).max(ENDS)))?;
        file.take(ENDS).read_to_end(&mut ends)?;
    }
    Ok(ends)
}

/// Keeps the file at `target` under a free name that ends in `.bak`, unless `is_own` says that Segue wrote it; returns that
/// name. Call it just before `target` is replaced: where the file system has hard links, `target` stays until then.
///
/// # Errors
/// If the file system refuses; the file is then unchanged.
pub(crate) fn keep_earlier(target: &Path, is_own: impl FnOnce(&Path) -> bool) -> io::Result<Option<PathBuf>> {
    let target = &end_of_links(target);
    if !target.is_file() || is_own(target) {
        return Ok(None);
    }
    for n in 1_u64.. {
        let kept = target.with_added_extension(if n == 1 { "bak".to_owned() } else { format!("bak{n}") });
        if kept.symlink_metadata().is_ok() {
            continue;
        }
        match fs::hard_link(target, &kept) {
            Ok(()) => return Ok(Some(kept)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if lacks_links(&error) => return fs::rename(target, &kept).map(|()| Some(kept)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::file::write_atomically;

    #[test]
    fn files_of_others_are_kept_each_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let put = |text: &str| write_atomically(&path, |out| out.write_all(text.as_bytes())).unwrap();
        let keep = || keep_earlier(&path, is_marked).unwrap();
        assert_eq!(keep(), None, "there is none");
        for (own, text) in [(true, String::new()), (true, format!("{{\"info\": \"{MARK}\"}}"))]
            .into_iter()
            .chain([(true, format!("{}{MARK}\"", "x".repeat(5000))), (false, "x".repeat(1500))])
        {
            put(&text);
            assert_eq!(keep().is_none(), own, "{} bytes", text.len());
        }
        put("two");
        assert_eq!(keep(), Some(folder.path().join("a.json.bak2")));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("a.json.bak").len(), read("a.json.bak2")), (1500, "two".to_owned()));
    }
}
