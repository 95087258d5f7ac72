//! Buttons above the timeline: playing, tracking, and what to look at next.

use egui::{Align, Button, DragValue, Layout, ProgressBar, RichText, Ui};
use engine::{frame::Direction, project::Medium};

use super::draw::clock;
use crate::{
    command::{Command, Extent, Way},
    panels::Pane,
    theme,
};

pub(super) fn transport_ui(ui: &mut Ui, pane: &mut Pane<'_>, video: &Medium) {
    ui.horizontal(|ui| {
        play_ui(ui, pane, video);
        ui.separator();
        track_ui(ui, pane);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| review_ui(ui, pane));
    });
}

fn play_ui(ui: &mut Ui, pane: &mut Pane<'_>, video: &Medium) {
    let player = *pane.session.player();
    button(ui, pane, "|<", &Command::First, "First frame");
    button(ui, pane, "<", &Command::Step(-1), "Previous frame");
    let title = if player.plays() { "Stop" } else { "Play" };
    let direction = player.direction.unwrap_or(Direction::Forward);
    button(ui, pane, title, &Command::Play(direction), title);
    button(ui, pane, ">", &Command::Step(1), "Next frame");
    button(ui, pane, ">|", &Command::Last, "Last frame");
    let mut frame = player.frame;
    let range = 0..=video.n_frames - 1;
    let field = ui.add(DragValue::new(&mut frame).range(range).speed(0.2)).on_hover_text("Frame, from 0");
    if field.changed() {
        pane.push(Command::GoToFrame(frame));
    }
    ui.weak(format!("/ {}", video.n_frames - 1));
    if let Some(time) = pane.session.time() {
        ui.weak(clock(time));
    }
    if player.plays() || player.speed() != 1.0 {
        ui.weak(format!("{} x", player.speed()));
    }
}

fn track_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let (n_left, n_all) = pane.session.tracking();
    if n_left == 0 {
        let forward = Command::Propagate(Way::Forward, Extent::End);
        button(ui, pane, "Track", &forward, "Carry the selected objects, or all, to the end");
        button(
            ui,
            pane,
            "Back",
            &Command::Propagate(Way::Backward, Extent::End),
            "The same to the beginning",
        );
        button(ui, pane, "Confirm", &Command::Confirm, "These masks are right: never overwrite them");
        button(ui, pane, "Not here", &Command::SetAbsent, "The selected objects are not here");
        if let Some(span) = pane.session.span() {
            button(
                ui,
                pane,
                "Track chosen",
                &Command::Propagate(Way::Both, Extent::Span),
                "Track the chosen frames",
            );
            ui.weak(format!("{} to {}", span.start(), span.end()));
        }
        return;
    }
    let share = 1.0 - n_left as f32 / n_all.max(1) as f32;
    ui.add(ProgressBar::new(share).desired_width(110.0).desired_height(9.0));
    let is_paused = pane.session.is_paused();
    ui.label(format!("{n_left} frames to track"));
    let title = if is_paused { "Go on" } else { "Pause" };
    button(ui, pane, title, &Command::TogglePause, title);
    button(ui, pane, "Stop", &Command::CancelTracking, "Stop; what is finished stays");
}

/// From the right.
fn review_ui(ui: &mut Ui, pane: &mut Pane<'_>) {
    let Some(review) = pane.session.review().cloned() else { return };
    if pane.session.is_reviewing() {
        let review_on = ui.selectable_label(true, "Review");
        pane.on_click(review_on, &Command::ToggleReview, "Leave the review");
        button(ui, pane, "Reject", &Command::ReviewReject, "Wrong: remove the mask (X)");
        button(ui, pane, "Accept", &Command::ReviewAccept, "Right: confirm the mask (Enter)");
    } else {
        button(ui, pane, "Review", &Command::ToggleReview, "Go through what needs a look, the worst first");
    }
    let n = review.queue.len();
    let next = ui.add_enabled(n > 0, Button::new(format!("Fix next ({n})")).small());
    pane.on_click(next, &Command::FixNext, "Go to what most needs a look");
    if let Some(concern) = pane.session.concern() {
        ui.label(RichText::new(concern.reason.to_string()).color(theme::REVIEW));
    }
    let progress = review.progress;
    if progress.n_segments == 0 {
        return;
    }
    let told =
        format!("{} of {} masks were clicked, drawn or confirmed", progress.n_given, progress.n_segments);
    ui.weak(format!("{:.0} % confirmed", progress.share() * 100.0)).on_hover_text(told);
}

fn button(ui: &mut Ui, pane: &mut Pane<'_>, text: &str, command: &Command, title: &str) {
    let response = ui.add(Button::new(text).small());
    pane.on_click(response, command, title);
}
