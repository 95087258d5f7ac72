//! The thread for long work on the disk.

use crossbeam_channel::Receiver;

use super::{Errand, Event, JobId, Outcome, Reporter};
use crate::{
    formats::coco,
    nn::Cancel,
    project::{locate, scan},
};

pub(super) fn run(inbox: &Receiver<(JobId, Errand, Cancel)>, ending: &Cancel, out: &Reporter) {
    while let Ok((job, errand, cancel)) = inbox.recv() {
        let progress = |done: usize, total: usize| {
            let heard = out.report(Event::Progress { job, done, total });
            heard && !cancel.is_canceled() && !ending.is_canceled()
        };
        let outcome = outcome(errand, &progress);
        let outcome = if cancel.is_canceled() { Outcome::Canceled } else { outcome };
        if !out.report(Event::Ended { job, outcome }) {
            return;
        }
    }
}

/// `progress` is told how far it is (pieces done, pieces in all) and says whether to go on.
fn outcome(errand: Errand, progress: &dyn Fn(usize, usize) -> bool) -> Outcome {
    match errand {
        Errand::Scan { paths, folder } => {
            let (media, refused) = scan(&paths, &folder, progress);
            Outcome::Scanned(media, refused)
        }
        Errand::ImportCoco(path) => match coco::import(&path, progress) {
            Ok(imported) => Outcome::Imported(path, Box::new(imported)),
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Errand::ExportCoco(project, path) => match coco::export(&project, &path, progress) {
            Ok(report) => Outcome::Exported(path, report),
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Errand::Find { media, inside, folder } => {
            Outcome::Located(locate(&media, &inside, &folder, progress))
        }
    }
}
