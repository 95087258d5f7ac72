//! Writes a file of the settings folder, so that the window does not wait for the disk.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use engine::file::{folder_of, write_atomically};

use super::SettingsError;

/// Writes one file whenever it is told to; of what it is told while it writes, the last counts.
///
/// Dropping it waits until the last is written.
#[derive(Debug)]
pub struct Saver {
    /// There until it is dropped.
    texts: Option<Sender<String>>,
    /// The other end, from which what is outdated is taken back.
    waiting: Receiver<String>,
    failures: Receiver<SettingsError>,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    /// A saver of a file, which need not exist, nor its folder.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let (texts, waiting) = bounded::<String>(1);
        let (failed, failures) = bounded(1);
        let to_write = waiting.clone();
        let thread = Builder::new().name("settings".to_owned()).spawn(move || {
            for text in to_write {
                if let Err(source) = write(&path, &text) {
                    // One failure is enough to tell of.
                    failed.try_send(SettingsError::Unwritable { path: path.clone(), source }).ok();
                }
            }
        })?;
        Ok(Self { texts: Some(texts), waiting, failures, thread: Some(thread) })
    }

    /// Has the file hold this text soon.
    pub fn save(&self, text: String) {
        let Some(texts) = &self.texts else { return };
        if let Err(TrySendError::Full(text)) = texts.try_send(text) {
            self.waiting.try_recv().ok();
            // There is room now, since nobody else sends.
            texts.try_send(text).ok();
        }
    }

    /// What could not be written since the last time that this was asked.
    pub fn failure(&self) -> Option<SettingsError> {
        self.failures.try_recv().ok()
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.texts = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to write.
            thread.join().ok();
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    write_atomically(path, |out| out.write_all(text.as_bytes()))
}
