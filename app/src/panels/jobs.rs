//! Running jobs in the status bar: how far they are, and a button to end them.

use egui::{ProgressBar, Ui};

use super::Pane;
use crate::{command::Command, session::shown_job};

pub(super) fn jobs_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let Some(job) = shown_job(pane.session.jobs()) else { return };
    let n = pane.session.jobs().len();
    let title = if n > 1 { format!("{} (and {} more)", job.title, n - 1) } else { job.title.clone() };
    match job.share() {
        Some(share) => {
            ui.add(ProgressBar::new(share).desired_width(120.0).desired_height(10.0));
            ui.label(format!("{title} {:.0} %", share * 100.0));
        }
        None => {
            ui.spinner();
            ui.label(title);
        }
    }
    let cancel = ui.small_button("Cancel");
    pane.on_click(cancel, &Command::CancelJob, "Cancel; what is finished stays");
}
