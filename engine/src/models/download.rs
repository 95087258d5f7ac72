//! Fetches files of models: goes on where a connection broke, waits for no server that has gone silent, tries the next source,
//! and puts nothing in place that is not whole and what it should be.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use ureq::http::{Response, StatusCode, Uri, header};

use super::KnownModel;

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file.
    pub file: String,
    /// Bytes that are here, those of earlier tries too.
    pub done: u64,
    /// Bytes in all, if the server says.
    pub total: Option<u64>,
}

/// Why a model is not here.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Whoever watches wants no more; what is here stays, to go on with.
    #[error("canceled; the next try goes on where this ended")]
    Canceled,
    /// No source gave the file.
    #[error("cannot download {url}: {cause}")]
    Source {
        /// The last that was tried.
        url: String,
        /// Why it did not.
        cause: String,
    },
    /// There is no room.
    #[error("{file} needs {need} MB and {} has {room} MB left; make room first", folder.display())]
    Full {
        /// The file.
        file: String,
        /// Megabytes that are still to come.
        need: u64,
        /// Megabytes that are free.
        room: u64,
        /// Where it goes.
        folder: PathBuf,
    },
    /// What came is something else.
    #[error("what {name} is at its source is not what it should be: {cause}; nothing was changed")]
    Wrong {
        /// The model.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// The disk.
    #[error("cannot save {}: {cause}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Why one try did not end well.
enum Broken {
    /// Worth another try: the connection.
    Connection(String),
    /// Not worth one: the server does not have it, or gives something else.
    Source(String),
    Ended(DownloadError),
}

/// Where Hugging Face's files come from, if not from there; its own tools know the variable by this name, too.
const ENDPOINT: &str = "HF_ENDPOINT";
const HUGGING_FACE: &str = "https://huggingface.co";
/// Tries of a source that make no headway before the next source.
const TRIES: u32 = 4;
/// Free space that is left over, in bytes.
const SPARE: u64 = 64 << 20;
const MEGABYTE: u64 = 1_000_000;

/// Downloads.
pub struct Downloader {
    agent: ureq::Agent,
    /// Before the second try; doubled before each further one.
    pause: Duration,
}

impl Default for Downloader {
    fn default() -> Self {
        Self::new(Duration::from_secs(30), Duration::from_secs(1))
    }
}

impl Downloader {
    /// Gives a server up that says nothing for `patience`, and waits for `pause` before it tries again. Proxies are those of
    /// the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub fn new(patience: Duration, pause: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_recv_response(Some(patience))
            // Followed here, because a hash may stand on the way.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), pause }
    }

    /// Fetches what of a model is not here into `folder`, has `check` look at the files, and puts them in place; `watch` is
    /// told how far it is, and ends it by false.
    ///
    /// # Errors
    /// If no source gives a file, there is no room, it was ended, or `check` says what is wrong; what is in place stays as it
    /// was, and what has come stays to go on with, unless it is wrong.
    pub fn get(
        &self,
        model: &KnownModel,
        folder: &Path,
        check: &dyn Fn(&Path) -> Result<(), String>,
        watch: &dyn Fn(&Progress) -> bool,
    ) -> Result<(), DownloadError> {
        let incoming = model.incoming(folder);
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |cause| DownloadError::Disk { path, cause }
        };
        fs::create_dir_all(&incoming).map_err(disk(&incoming))?;
        for file in &model.files {
            let target = incoming.join(file);
            if !target.exists() {
                self.fetch(model, file, &target, watch)?;
            }
        }
        if let Err(cause) = check(&incoming.join(&model.files[0])) {
            fs::remove_dir_all(&incoming).map_err(disk(&incoming))?;
            return Err(DownloadError::Wrong { name: model.name.clone(), cause });
        }
        let place = model.place(folder);
        fs::create_dir_all(&place).map_err(disk(&place))?;
        for file in &model.files {
            fs::rename(incoming.join(file), place.join(file)).map_err(disk(&place))?;
        }
        fs::remove_dir_all(&incoming).map_err(disk(&incoming))
    }

    /// One file, from whichever source has it.
    fn fetch(
        &self,
        model: &KnownModel,
        file: &str,
        target: &Path,
        watch: &dyn Fn(&Progress) -> bool,
    ) -> Result<(), DownloadError> {
        let mut failure =
            DownloadError::Source { url: file.to_owned(), cause: "it has no source".to_owned() };
        for source in &model.sources {
            let url = format!("{}{file}", from_endpoint(source, std::env::var(ENDPOINT).ok().as_deref()));
            let (mut n_tries, mut pause) = (0, self.pause);
            while n_tries < TRIES {
                let part = Part::of(target, &url);
                let before = part.done();
                let broken = match self.attempt(&url, file, &part, model.ceiling(), watch) {
                    Ok(()) => return part.finish(target),
                    Err(broken) => broken,
                };
                let cause = match broken {
                    Broken::Ended(error) => return Err(error),
                    Broken::Source(cause) => {
                        n_tries = TRIES;
                        cause
                    }
                    Broken::Connection(cause) => cause,
                };
                failure = DownloadError::Source { url: url.clone(), cause };
                // A connection that brings something each time is a slow one, not a bad one.
                if part.done() > before {
                    (n_tries, pause) = (0, self.pause);
                } else {
                    n_tries += 1;
                }
                if n_tries < TRIES {
                    let now = Progress { file: file.to_owned(), done: part.done(), total: None };
                    sleep(pause, &|| watch(&now))?;
                    pause *= 2;
                }
            }
        }
        Err(failure)
    }

    /// What is missing of a file, as far as the connection holds.
    fn attempt(
        &self,
        url: &str,
        file: &str,
        part: &Part,
        ceiling: u64,
        watch: &dyn Fn(&Progress) -> bool,
    ) -> Result<(), Broken> {
        let known = part.known();
        let (response, sha256) = self.request(url, known.as_ref())?;
        let at = match (response.status(), &known) {
            (StatusCode::PARTIAL_CONTENT, Some(_)) if starts_at(&response) == Some(part.done()) => {
                part.done()
            }
            (StatusCode::OK, _) => 0,
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                part.forget();
                return Err(Broken::Connection("it has changed; beginning anew".to_owned()));
            }
            (status, _) if status.is_server_error() => return Err(Broken::Connection(status.to_string())),
            (status, _) => return Err(Broken::Source(status.to_string())),
        };
        let length = number(&response, header::CONTENT_LENGTH);
        let total = length.map(|length| at.saturating_add(length));
        let too_long = || {
            part.forget();
            let max = ceiling / MEGABYTE;
            Broken::Source(format!("the file is larger than {max} MB, the most expected for this model"))
        };
        if total.is_some_and(|total| total > ceiling) {
            return Err(too_long());
        }
        part.has_room(file, length.unwrap_or(0))?;
        let sha256 = sha256.or(known.filter(|_| at > 0).and_then(|known| known.sha256));
        let tag = [header::ETAG, header::LAST_MODIFIED].into_iter().find_map(|name| text(&response, name));
        // A weak tag does not say that bytes are the same.
        let tag = tag.filter(|tag| !tag.starts_with("W/"));
        part.note(url, tag.as_deref(), sha256.as_deref())?;
        let mut out = part.open(at)?;
        let mut body = response.into_body().into_reader();
        let (mut done, mut buffer) = (at, vec![0; 1 << 16]);
        loop {
            let progress = Progress { file: file.to_owned(), done, total };
            if !watch(&progress) {
                return Err(Broken::Ended(DownloadError::Canceled));
            }
            let n = body.read(&mut buffer).map_err(|error| Broken::Connection(error.to_string()))?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).map_err(|cause| part.disk(cause))?;
            done += n as u64;
            if done > ceiling {
                return Err(too_long());
            }
        }
        out.sync_all().map_err(|cause| part.disk(cause))?;
        if total.is_some_and(|total| total != done) {
            return Err(Broken::Connection(format!("it ended after {done} bytes")));
        }
        if let Some(wanted) = sha256
            && part.sha256().map_err(|cause| part.disk(cause))? != wanted
        {
            part.forget();
            return Err(Broken::Source("its bytes are not those that the server states".to_owned()));
        }
        Ok(())
    }

    /// Asks for a file, or for the rest of what is known; follows where it is sent. With the SHA-256 that a server on the way
    /// states, as Hugging Face does.
    fn request(
        &self,
        url: &str,
        known: Option<&Known>,
    ) -> Result<(Response<ureq::Body>, Option<String>), Broken> {
        const MOST: usize = 8;
        let (mut url, mut sha256) = (url.to_owned(), None);
        for _ in 0..MOST {
            let mut request = self.agent.get(&url);
            if let Some(known) = known {
                request = request.header(header::RANGE, format!("bytes={}-", known.done));
                request = request.header(header::IF_RANGE, &known.tag);
            }
            let response = request.call().map_err(|error| Broken::Connection(error.to_string()))?;
            let stated = text(&response, "x-linked-etag").map(|tag| tag.trim_matches('"').to_lowercase());
            sha256 =
                sha256.or(stated.filter(|tag| tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit())));
            if !response.status().is_redirection() {
                return Ok((response, sha256));
            }
            let to = text(&response, header::LOCATION).and_then(|to| joined(&url, &to));
            url = to.ok_or_else(|| Broken::Source("it is sent to nowhere".to_owned()))?;
        }
        Err(Broken::Source("it is sent from place to place".to_owned()))
    }
}

impl KnownModel {
    /// Returns the maximum length of one of its files: twice the listed size, since a file may be converted, and 64 MB.
    fn ceiling(&self) -> u64 {
        2 * self.megabytes * MEGABYTE + SPARE
    }
}

/// A file that has not come yet, and beside it what is known of it.
struct Part {
    path: PathBuf,
    notes: PathBuf,
    url: String,
}

/// What is needed to go on with a file.
struct Known {
    done: u64,
    tag: String,
    sha256: Option<String>,
}

impl Part {
    fn of(target: &Path, url: &str) -> Self {
        let beside = |suffix: &str| {
            let mut name = target.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { path: beside(".part"), notes: beside(".part.from"), url: url.to_owned() }
    }

    fn done(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// What is here, if it is of this source and the server can tell whether it is still the same.
    fn known(&self) -> Option<Known> {
        let notes = fs::read_to_string(&self.notes).ok()?;
        let mut lines = notes.lines();
        let (url, tag, sha256) = (lines.next()?, lines.next()?, lines.next()?);
        let done = self.done();
        (url == self.url && !tag.is_empty() && done > 0).then(|| Known {
            done,
            tag: tag.to_owned(),
            sha256: (!sha256.is_empty()).then(|| sha256.to_owned()),
        })
    }

    fn note(&self, url: &str, tag: Option<&str>, sha256: Option<&str>) -> Result<(), Broken> {
        let notes = format!("{url}\n{}\n{}\n", tag.unwrap_or_default(), sha256.unwrap_or_default());
        crate::file::write_atomically(&self.notes, |out| out.write_all(notes.as_bytes()))
            .map_err(|cause| self.disk(cause))
    }

    /// To go on writing from `at` on.
    fn open(&self, at: u64) -> Result<fs::File, Broken> {
        let open = || {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
            file.set_len(at)?;
            io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
            Ok(file)
        };
        open().map_err(|cause| self.disk(cause))
    }

    fn has_room(&self, file: &str, need: u64) -> Result<(), Broken> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let room = fs4::available_space(&folder).unwrap_or(u64::MAX);
        if room >= need.saturating_add(SPARE) {
            return Ok(());
        }
        let (need, room) = (need.div_ceil(MEGABYTE), room / MEGABYTE);
        Err(Broken::Ended(DownloadError::Full { file: file.to_owned(), need, room, folder }))
    }

    fn sha256(&self) -> io::Result<String> {
        let mut hasher = Sha256::new();
        io::copy(&mut fs::File::open(&self.path)?, &mut hasher)?;
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn finish(&self, target: &Path) -> Result<(), DownloadError> {
        let done = fs::rename(&self.path, target).and_then(|()| fs::remove_file(&self.notes));
        done.map_err(|cause| DownloadError::Disk { path: target.to_owned(), cause })
    }

    /// It is of no use.
    fn forget(&self) {
        for path in [&self.path, &self.notes] {
            // What cannot be removed is written over.
            fs::remove_file(path).ok();
        }
    }

    fn disk(&self, cause: io::Error) -> Broken {
        Broken::Ended(DownloadError::Disk { path: self.path.clone(), cause })
    }
}

/// Waits, unless it is ended.
fn sleep(pause: Duration, goes_on: &dyn Fn() -> bool) -> Result<(), DownloadError> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if !goes_on() {
            return Err(DownloadError::Canceled);
        }
        thread::sleep(left.min(Duration::from_millis(100)));
    }
    Ok(())
}

/// A source, or what stands for it on a mirror of Hugging Face.
fn from_endpoint(source: &str, endpoint: Option<&str>) -> String {
    match (source.strip_prefix(HUGGING_FACE), endpoint.filter(|endpoint| !endpoint.is_empty())) {
        (Some(rest), Some(endpoint)) => format!("{}{rest}", endpoint.trim_end_matches('/')),
        _ => source.to_owned(),
    }
}

fn text(response: &Response<ureq::Body>, name: impl header::AsHeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn number(response: &Response<ureq::Body>, name: header::HeaderName) -> Option<u64> {
    text(response, name)?.trim().parse().ok()
}

/// The first byte of a part, by its `Content-Range: bytes 5-9/10`.
fn starts_at(response: &Response<ureq::Body>) -> Option<u64> {
    let range = text(response, header::CONTENT_RANGE)?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Where a redirect leads; not from TLS to none.
fn joined(from: &str, to: &str) -> Option<String> {
    let from: Uri = from.parse().ok()?;
    let absolute = match to.strip_prefix('/') {
        Some(path) if !path.starts_with('/') => {
            format!("{}://{}/{path}", from.scheme_str()?, from.authority()?)
        }
        _ => to.to_owned(),
    };
    let uri: Uri = absolute.parse().ok()?;
    let is_safe = uri.scheme_str() == Some("https") || uri.scheme_str() == from.scheme_str();
    is_safe.then_some(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_leave_tls() {
        let from = "https://a.org/x/y?z";
        assert_eq!(joined(from, "/b").as_deref(), Some("https://a.org/b"));
        assert_eq!(joined(from, "https://b.org/c").as_deref(), Some("https://b.org/c"));
        assert_eq!(joined(from, "http://b.org/c"), None);
        assert_eq!(joined(from, "//b.org/c"), None);
        assert_eq!(joined("http://a.org/x", "https://b.org/c").as_deref(), Some("https://b.org/c"));
    }

    #[test]
    fn a_mirror_stands_for_hugging_face_alone() {
        let (own, other) = ("https://huggingface.co/a/b/", "https://dl.fbaipublicfiles.com/");
        assert_eq!(from_endpoint(own, Some("https://hf-mirror.com/")), "https://hf-mirror.com/a/b/");
        assert_eq!(from_endpoint(own, None), own);
        assert_eq!(from_endpoint(other, Some("https://hf-mirror.com")), other);
    }
}
