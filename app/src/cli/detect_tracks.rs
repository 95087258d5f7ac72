//! `segue detect VIDEO --tracks`: a session without a window, so that it does what the window does.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use engine::{
    file::folder_of,
    formats::counted,
    media::Sources,
    project::{Store, path_of, scan},
};

use super::{ModelArgs, detect::complain, say, track_project::Desk};
use crate::{
    command::{Command, Find},
    progress,
};

pub(super) fn run(source: &Path, project: &Path, find: Find, model: ModelArgs) -> anyhow::Result<()> {
    let source = source.canonicalize().with_context(|| format!("cannot find {}", source.display()))?;
    let media =
        scan(std::slice::from_ref(&source), &folder_of(project), &Sources::default(), &|_, _| true).media;
    let is_video = matches!(&media[..], [medium] if medium.is_video());
    ensure!(is_video, "tracks are for videos; {} is none", source.display());
    if !project.exists() {
        drop(Store::open(project)?);
    }
    let mut desk = Desk::open(project, model)?;
    desk.say(Command::AddMedia(vec![source.clone()]))?;
    desk.until(|session| session.jobs().is_empty())?;
    let folder = desk.session.file().map(|file| file.folder.canonicalize()).transpose()?.unwrap_or_default();
    let media = &desk.session.project().media;
    let video = media.iter().find(|(_, medium)| {
        let path = path_of(&folder, medium);
        medium.is_video() && path.canonicalize().is_ok_and(|path| path == source)
    });
    let (&video, medium) = video.context("the video was not added")?;
    let n_frames = medium.n_frames;
    desk.say(Command::GoTo(video))?;
    let n_before = desk.session.project().objects_of(video).count();
    desk.say(Command::Find(Box::new(find)))?;
    let bar = progress::bar(n_frames, "frames");
    while desk.session.finding().is_running() || !desk.session.project().runs.is_empty() {
        if desk.is_canceled() {
            desk.say(Command::CancelJob)?;
            desk.say(Command::CancelTracking)?;
        }
        desk.turn()?;
        let done = desk.session.jobs().last().map_or(n_frames, |job| job.done);
        bar.set_position(done as u64);
    }
    bar.finish_and_clear();
    if let Some(failure) = desk.session.finding().failure() {
        bail!("{failure}");
    }
    desk.until(|session| session.is_saved() && session.jobs().is_empty())?;
    let n_tracks = desk.session.project().objects_of(video).count() - n_before;
    ensure!(!desk.is_canceled(), "canceled; {} are in the project", counted(n_tracks, "track"));
    say(format_args!("{} proposed", counted(n_tracks, "track")))?;
    desk.session.skipped().try_for_each(say)?;
    complain(desk.session.finding().left_out())
}
