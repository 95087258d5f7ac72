//! The thread that owns the project file.

use crossbeam_channel::Receiver;

use super::{Event, Reporter, Storing};
use crate::project::{Opened, Store, Write};

/// So many steps are read back at once.
const STRETCH: usize = 500;

pub(super) fn run(inbox: &Receiver<Storing>, out: &Reporter) {
    let mut store: Option<Store> = None;
    let mut n_written = 0;
    while let Ok(request) = inbox.recv() {
        let event = match request {
            Storing::Open(path) => {
                // The old project first, for it may be the same.
                store = None;
                n_written = 0;
                match Store::open(&path) {
                    Ok(Opened { store: opened, history }) => {
                        store = Some(opened);
                        Event::Opened(path, Box::new(history))
                    }
                    Err(error) => Event::NotOpened(path, error.to_string()),
                }
            }
            Storing::Write(writes) => match write(store.as_mut(), &writes) {
                Ok(()) => {
                    n_written += writes.len() as u64;
                    Event::Written(n_written)
                }
                Err(error) => Event::NotWritten(error),
            },
            Storing::Older(before) => match store.as_mut().map(|store| store.older(before, STRETCH)) {
                Some(Ok((steps, has_older))) => Event::Older(before, steps, has_older),
                Some(Err(error)) => Event::NotWritten(error.to_string()),
                None => continue,
            },
            Storing::Close => {
                store = None;
                continue;
            }
        };
        // What is left in the inbox is saved even if nobody listens any more.
        let _heard = out.report(event);
    }
}

fn write(store: Option<&mut Store>, writes: &[Write]) -> Result<(), String> {
    let store = store.ok_or("no project is open")?;
    store.write(writes).map_err(|error| error.to_string())
}
