//! The thread for long work on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::Receiver;

use super::{Errand, Event, JobId, Outcome, Reporter};
use crate::{
    formats::{self, ImageFiles, Reading, Sizes, Stats},
    media::Sources,
    models::{DownloadError, Downloader, Progress},
    nn::Cancel,
    project::{Scan, locate, path_of, scan, scan_frames},
};

pub(super) fn run(
    inbox: &Receiver<(JobId, Errand, Cancel)>,
    sources: &Sources,
    ending: &Cancel,
    out: &Reporter,
) {
    while let Ok((job, errand, cancel)) = inbox.recv() {
        let progress = |done: usize, total: usize| {
            let heard = out.report(Event::Progress { job, done, total });
            heard && !cancel.is_canceled() && !ending.is_canceled()
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| outcome(errand, sources, &progress)));
        let outcome =
            outcome.unwrap_or_else(|_| Outcome::Failed("Segue failed on one of these files".to_owned()));
        let outcome = if cancel.is_canceled() { Outcome::Canceled } else { outcome };
        if !out.report(Event::Ended { job, outcome }) {
            return;
        }
    }
}

/// `progress` is told how far it is (pieces done, pieces in all) and says whether to go on.
fn outcome(errand: Errand, sources: &Sources, progress: &dyn Fn(usize, usize) -> bool) -> Outcome {
    match errand {
        Errand::Scan { paths, folder } => {
            Outcome::Scanned(Box::new(scan(&paths, &folder, sources, progress)))
        }
        Errand::ScanFrames { folder, project_folder } => {
            match scan_frames(&folder, &project_folder, sources) {
                Ok(scan) => Outcome::Scanned(Box::new(scan)),
                Err(sentence) => Outcome::Scanned(Box::new(Scan::refusing(sentence))),
            }
        }
        Errand::Import { path, project } => {
            let sizes = Sizes::of_project(&project);
            let reading = Reading::new(&path).with_sizes(&sizes).with_progress(progress);
            match formats::read(&reading) {
                Ok((_, dataset)) => Outcome::Imported(path, Box::new(dataset)),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        }
        Errand::Export { project, folder, format, options, target } => {
            match format.export(&project, &ImageFiles::of_project(&folder), &options, &target, progress) {
                Ok(report) => Outcome::Exported(target, report),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        }
        Errand::Count(project) => Outcome::Counted(Box::new(Stats::of(&project))),
        Errand::Models(shelf) => {
            let states = shelf.known.iter().map(|model| shelf.state(model)).collect();
            Outcome::Models(states, shelf.own())
        }
        Errand::GetModel(shelf, model) => {
            let watch = |now: &Progress| progress(now.done as usize, now.total.unwrap_or(0) as usize);
            match shelf.get(model, &Downloader::default(), &watch) {
                Ok(()) => Outcome::GotModel(model),
                Err(DownloadError::Canceled) => Outcome::Canceled,
                Err(error) => Outcome::Failed(error.to_string()),
            }
        }
        Errand::AddModel(shelf, path) => match shelf.add(&path) {
            Ok(added) => Outcome::AddedModel(added),
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Errand::RemoveModel(shelf, name) => match shelf.remove_named(&name) {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Errand::Find { mut media, inside, folder } => {
            media.retain(|(_, medium)| !path_of(&folder, medium).exists());
            Outcome::Located(locate(&media, &inside, &folder, sources, progress))
        }
    }
}
