//! `segue track PROJECT`: a session without a window, so that it does what the window does.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use engine::{
    nn::Cancel,
    project::{MediumId, ObjectId},
    prompt::PointPrompt,
    worker::Engine,
};

use super::{
    ModelArgs, cancel_on_interrupt,
    prompts::{ObjectPrompts, prompt},
    say,
    track::Way as Direction,
};
use crate::{
    command::{Command, Export, Extent, Way},
    notice::Level,
    progress,
    session::{Model, Seen, Session},
};

/// A turn is taken so often.
const OFTEN: Duration = Duration::from_millis(2);

const CANCELED: &str = "canceled; the finished frames are in the project, and the same command goes on";

#[expect(clippy::disallowed_methods, reason = "the command line may wait")]
fn wait() {
    std::thread::sleep(OFTEN);
}

/// A session, and the engine that works for it.
pub(super) struct Desk {
    pub(super) session: Session,
    engine: Engine,
    cancel: Cancel,
}

pub(super) fn run(
    project: &Path,
    video: Option<&str>,
    objects: Vec<ObjectPrompts>,
    direction: Direction,
    out: Option<PathBuf>,
    model: ModelArgs,
) -> anyhow::Result<()> {
    ensure!(project.is_file(), "there is no project {}", project.display());
    let mut desk = Desk::open(project, model)?;
    let medium = medium(&desk.session, video)?;
    desk.say(Command::GoTo(medium))?;
    desk.check(&objects)?;
    desk.track()?;
    let is_new = !objects.is_empty();
    // Before any gets an id that a later one means.
    let is_known =
        |object: &ObjectPrompts| desk.session.project().objects.contains_key(&(medium, ObjectId(object.id)));
    let (known, new): (Vec<ObjectPrompts>, Vec<ObjectPrompts>) = objects.into_iter().partition(is_known);
    for object in known {
        desk.say(Command::Select(ObjectId(object.id)))?;
        desk.correct(object)?;
    }
    for object in new {
        desk.say(Command::Deselect)?;
        desk.say(Command::AddCategory(object.category.clone()))?;
        desk.correct(object)?;
    }
    if is_new || out.is_none() {
        desk.say(Command::Deselect)?;
        desk.say(Command::First)?;
        let way = match direction {
            Direction::Forward => Way::Forward,
            Direction::Backward => Way::Backward,
            Direction::Both => Way::Both,
        };
        desk.say(Command::Propagate(way, Extent::End))?;
        desk.track()?;
    }
    if let Some(out) = out {
        desk.say(Command::Export(Export::coco(out)))?;
        desk.until(|session| session.jobs().is_empty())?;
    }
    desk.until(Session::is_saved)?;
    desk.session.skipped().try_for_each(say)
}

/// The video that is meant.
fn medium(session: &Session, name: Option<&str>) -> anyhow::Result<MediumId> {
    let media = session.project().media.iter().filter(|(_, medium)| medium.is_video());
    let meant: Vec<MediumId> = media
        .filter(|(_, medium)| name.is_none_or(|name| medium.name() == name))
        .map(|(id, _)| *id)
        .collect();
    match (&meant[..], name) {
        ([one], _) => Ok(*one),
        ([], Some(name)) => bail!("the project has no video {name}"),
        ([], None) => bail!("the project has no video"),
        (_, _) => bail!("the project has several videos; say which with --video"),
    }
}

impl Desk {
    /// With a project open, and the model loaded.
    pub(super) fn open(project: &Path, model: ModelArgs) -> anyhow::Result<Self> {
        let engine = Engine::start(super::load(model), || ()).context("cannot start the engine")?;
        let mut desk = Self { session: Session::default(), engine, cancel: cancel_on_interrupt()? };
        desk.say(Command::Open(vec![project.to_owned()]))?;
        desk.until(|session| session.file().is_some() && *session.model() != Model::Loading)?;
        Ok(desk)
    }

    /// One turn with a command.
    pub(super) fn say(&mut self, command: Command) -> anyhow::Result<()> {
        self.session.turn(&self.engine, [command], &Seen::default());
        self.complain()
    }

    /// What the window would show as an error ends the command.
    fn complain(&self) -> anyhow::Result<()> {
        let errors = self.session.notices.shown().iter().filter(|notice| notice.level == Level::Error);
        let not_opened = self.session.homeless().map(|project| project.why.clone());
        errors.map(|notice| notice.text.clone()).next().or(not_opened).map_or(Ok(()), |error| bail!(error))
    }

    pub(super) fn until(&mut self, is_so: impl Fn(&Session) -> bool) -> anyhow::Result<()> {
        while !is_so(&self.session) {
            self.turn()?;
        }
        Ok(())
    }

    /// Lets the engine work for a while.
    pub(super) fn turn(&mut self) -> anyhow::Result<()> {
        self.session.turn(&self.engine, [], &Seen::default());
        self.complain()?;
        wait();
        Ok(())
    }

    /// Whether Ctrl+C was pressed.
    pub(super) fn is_canceled(&self) -> bool {
        self.cancel.is_canceled()
    }

    /// Works off what is still to be tracked.
    fn track(&mut self) -> anyhow::Result<()> {
        if self.session.is_paused() {
            self.say(Command::TogglePause)?;
        }
        let bar = progress::bar(self.session.tracking().0, "frames");
        while self.session.tracking().0 > 0 {
            if self.cancel.is_canceled() {
                // What is left stays in the project, to go on with.
                self.until(Session::is_saved)?;
                bail!(CANCELED);
            }
            self.turn()?;
            bar.set_position(bar.length().unwrap_or(0).saturating_sub(self.session.tracking().0 as u64));
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Refuses prompts that cannot be meant, before anything is done.
    fn check(&self, objects: &[ObjectPrompts]) -> anyhow::Result<()> {
        let n_frames = self.session.video().map_or(0, |video| video.n_frames);
        for ObjectPrompts { id, prompts, .. } in objects {
            for said in prompts {
                let frame = said.frame;
                ensure!(
                    said.mask.is_none(),
                    "a project takes masks by import; frame {frame} of object {id} has one"
                );
                ensure!(
                    frame < n_frames,
                    "object {id} has a prompt on frame {frame}, the last is {}",
                    n_frames - 1
                );
            }
        }
        Ok(())
    }

    /// Makes the clicks of the selected object, or of a new one, each answered and followed before the next.
    fn correct(&mut self, object: ObjectPrompts) -> anyhow::Result<()> {
        let ObjectPrompts { id, mut prompts, .. } = object;
        prompts.sort_by_key(|said| said.frame);
        for said in prompts {
            self.say(Command::GoToFrame(said.frame))?;
            self.unless_canceled(|session| session.picture().is_some())?;
            if let Some(Err(why)) = self.session.picture() {
                bail!("{why}");
            }
            let clicks = prompt(&said.points, said.rect);
            let rect = clicks.rect.map(Command::SetBox);
            let points =
                clicks.points.into_iter().map(|PointPrompt { at, label }| Command::AddPoint { at, label });
            for command in rect.into_iter().chain(points) {
                self.say(command)?;
                self.keep_id(id)?;
                self.unless_canceled(|session| session.segments().all(|(.., segment)| segment.is_answered))?;
            }
            self.track()?;
        }
        Ok(())
    }

    /// Gives the selected object, which may be new, the id that it has in the prompts, so that it is known by that later.
    fn keep_id(&mut self, id: u32) -> anyhow::Result<()> {
        let selected = self.session.selection().last().copied();
        let is_free = self.session.project().track(ObjectId(id)).next().is_none();
        match selected.filter(|selected| selected.0 != id && is_free) {
            Some(selected) => self.say(Command::Renumber(selected, id)),
            None => Ok(()),
        }
    }

    /// [`Self::until`], which Ctrl+C ends.
    fn unless_canceled(&mut self, is_so: impl Fn(&Session) -> bool) -> anyhow::Result<()> {
        let cancel = self.cancel.clone();
        self.until(|session| cancel.is_canceled() || is_so(session))?;
        ensure!(!cancel.is_canceled(), CANCELED);
        Ok(())
    }
}
