//! Getting models: from a server here that breaks, stalls, lies and sends elsewhere.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engine::{
    models::{self, DownloadError, Downloader, Finds, KnownModel, Shelf},
    sam2::{Config, required_tensors},
};
use serde_json::json;

use crate::{formula, outputs::tree, python, segue};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    Good,
    /// Sends a little at a time.
    Slow,
    /// Sends so many bytes at a time, then hangs up.
    Breaks(usize),
    /// Sends half, and no more.
    Stalls,
    /// Knows no ranges, and hangs up in the middle once.
    NoRanges,
    /// Says that there are more bytes than it has.
    LiesAboutLength,
    /// Sends to where it is good.
    Redirects,
    /// States another hash than its bytes have.
    WrongHash,
    /// Another file after the first request.
    Changes,
    NotFound,
    /// Sends for ever, and does not say how much.
    Endless,
    /// Says that there are far more bytes than the model has.
    Huge,
}

/// A server of files.
pub(crate) struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Of one file, whatever it is asked for.
    fn start(manner: Manner, bytes: Vec<u8>) -> Self {
        Self::of(manner, vec![("", bytes)])
    }

    /// Of the files whose addresses end so.
    pub(crate) fn of(manner: Manner, files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (log, n) = (requests.clone(), AtomicUsize::new(0));
        in_background(move || {
            for stream in listener.incoming() {
                // Whoever hangs up is not answered.
                let _gone = answer(stream.unwrap(), manner, &files, &log, n.fetch_add(1, Ordering::SeqCst));
            }
        });
        Self { address, requests }
    }

    fn n_requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Ends with the test.
fn in_background(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("server".to_owned()).spawn(body).unwrap();
}

fn answer(
    stream: TcpStream,
    manner: Manner,
    files: &[(&str, Vec<u8>)],
    log: &Mutex<Vec<String>>,
    n: usize,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let request = lines.collect::<Vec<String>>().join("\n").to_lowercase();
    log.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let bytes = &files.iter().find(|(name, _)| path.ends_with(name)).unwrap().1;
    let asked = request.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
    let from: usize = asked.map_or(0, |from| from.parse().unwrap());
    if manner == Manner::NotFound {
        return write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    if manner == Manner::Endless {
        write!(out, "HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            out.write_all(&[7; 1 << 16])?;
        }
    }
    if manner == Manner::Huge {
        return write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n");
    }
    if manner == Manner::Redirects && !path.starts_with("/there") {
        return write!(out, "HTTP/1.1 302 Found\r\nLocation: /there{path}\r\nContent-Length: 0\r\n\r\n");
    }
    let tag = if manner == Manner::Changes && n > 0 { "second" } else { "first" };
    let is_same = request.contains(&format!("if-range: \"{tag}\""));
    let from = if manner == Manner::NoRanges || !is_same { 0 } else { from };
    let rest = &bytes[from..];
    let length = if manner == Manner::LiesAboutLength { rest.len() + 100 } else { rest.len() };
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let hash = if manner == Manner::WrongHash {
        format!("X-Linked-ETag: \"{}\"\r\n", "0".repeat(64))
    } else {
        String::new()
    };
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"{tag}\"\r\n{hash}Content-Range: bytes {from}-{}/{}\r\n\r\n",
        bytes.len() - 1,
        bytes.len()
    )?;
    let sent = match manner {
        Manner::Breaks(n) => n.min(rest.len()),
        Manner::NoRanges | Manner::Changes if n == 0 => rest.len() / 2,
        Manner::Stalls => rest.len() / 2,
        _ => rest.len(),
    };
    for piece in rest[..sent].chunks(if manner == Manner::Slow { 1 << 15 } else { 1 << 20 }) {
        out.write_all(piece)?;
        out.flush()?;
        if manner == Manner::Slow {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    if manner == Manner::Stalls {
        std::thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}

fn bytes() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn model(sources: &[&Server]) -> KnownModel {
    KnownModel {
        name: "some".to_owned(),
        finds: Finds::Classes,
        about: String::new(),
        license: "MIT".to_owned(),
        megabytes: 1,
        sha256: None,
        sources: sources.iter().map(|server| server.address.clone()).collect(),
        files: vec!["weights.bin".to_owned(), "config.json".to_owned()],
    }
}

fn get(model: &KnownModel, folder: &Path) -> Result<(), DownloadError> {
    let downloader = Downloader::new(Duration::from_millis(400), Duration::from_millis(1));
    downloader.get(model, folder, &|_| Ok(()), &|_| true)
}

#[test]
fn a_download_comes_whole_from_servers_that_break_stall_and_send_elsewhere() {
    for manner in [Manner::Good, Manner::Breaks(70_000), Manner::NoRanges, Manner::Redirects, Manner::Changes]
    {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(manner, bytes()));
        get(&model(&[&server]), folder.path()).unwrap();
        for file in ["weights.bin", "config.json"] {
            let came = std::fs::read(folder.path().join("some").join(file)).unwrap();
            assert!(came == bytes(), "{manner:?}: {} bytes", came.len());
        }
        assert!(!folder.path().join(".incoming/some").exists(), "{manner:?}");
        if let Manner::Breaks(n) = manner {
            assert_eq!(
                server.n_requests(),
                2 * bytes().len().div_ceil(n),
                "each goes on where the last ended"
            );
        }
    }
}

#[test]
fn a_server_that_fails_gives_way_to_the_next_and_the_last_one_is_told() {
    let good = Server::start(Manner::Good, bytes());
    for manner in [Manner::NotFound, Manner::Stalls, Manner::LiesAboutLength, Manner::WrongHash] {
        let (folder, bad) = (tempfile::tempdir().unwrap(), Server::start(manner, bytes()));
        get(&model(&[&bad, &good]), folder.path()).unwrap();
        assert!(std::fs::read(folder.path().join("some/weights.bin")).unwrap() == bytes(), "{manner:?}");
        let folder = tempfile::tempdir().unwrap();
        let error = get(&model(&[&bad]), folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot download http://127.0.0.1"), "{manner:?}: {error}");
        assert!(!folder.path().join("some").exists(), "{manner:?}");
    }
    // Nobody is there.
    let mut nowhere = model(&[&good]);
    nowhere.sources = vec!["http://127.0.0.1:1/".to_owned()];
    let error = get(&nowhere, tempfile::tempdir().unwrap().path()).unwrap_err();
    assert!(matches!(error, DownloadError::Source { .. }), "{error}");
}

#[test]
fn oversized_download_is_refused() {
    for manner in [Manner::Endless, Manner::Huge] {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(manner, bytes()));
        let error = get(&model(&[&server]), folder.path()).unwrap_err().to_string();
        assert!(error.contains("the file is larger than 69 MB"), "{error}");
        assert_eq!(server.n_requests(), 1, "{manner:?}: another try would bring the same");
        let parts: Vec<PathBuf> = tree(folder.path()).into_keys().collect();
        assert!(parts.is_empty(), "{parts:?}");
    }
}

#[test]
fn a_canceled_download_goes_on_where_it_ended() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Good, bytes()));
    let model = model(&[&server]);
    let downloader = Downloader::default();
    let canceled = downloader.get(&model, folder.path(), &|_| Ok(()), &|now| now.done < 100_000);
    assert!(matches!(canceled, Err(DownloadError::Canceled)));
    let first = Mutex::new(None);
    let watch = |now: &models::Progress| {
        first.lock().unwrap().get_or_insert(now.done);
        assert_eq!(now.total, Some(bytes().len() as u64));
        true
    };
    downloader.get(&model, folder.path(), &|_| Ok(()), &watch).unwrap();
    assert!(first.lock().unwrap().unwrap() >= 100_000);
    assert!(std::fs::read(folder.path().join("some/weights.bin")).unwrap() == bytes());
}

#[test]
fn what_is_not_what_it_should_be_is_never_put_in_place() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start(Manner::Good, bytes()));
    let old = folder.path().join("some");
    std::fs::create_dir(&old).unwrap();
    crate::desk::write(&old.join("weights.bin"), "what was here");
    let check = |path: &Path| {
        assert!(path.with_file_name("config.json").is_file(), "all files are looked at together");
        Err("tensor x is missing".to_owned())
    };
    let error = Downloader::default().get(&model(&[&server]), folder.path(), &check, &|_| true).unwrap_err();
    assert!(error.to_string().contains("tensor x is missing"), "{error}");
    assert_eq!(std::fs::read_to_string(old.join("weights.bin")).unwrap(), "what was here");
    assert!(!folder.path().join(".incoming/some").exists());
}

/// A checkpoint with every tensor of a model, all zero; the file has holes in place of them.
fn checkpoint(config: &Config, path: &Path) {
    let mut header = BTreeMap::new();
    let mut at = 0;
    for (name, shape) in required_tensors(config) {
        let end = at + 4 * shape.iter().product::<usize>();
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]}));
        at = end;
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(8 + header.len() as u64 + at as u64).unwrap();
}

#[test]
fn an_official_file_goes_to_its_model_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    let shelf = Shelf { folder: models.clone(), ..Shelf::default() };
    for (config, name, file) in [
        (Config::tiny(), "sam2.1-tiny", "sam2.1_hiera_tiny.safetensors"),
        (Config { is_2_1: false, ..Config::tiny() }, "sam2-tiny", "sam2_hiera_tiny.safetensors"),
    ] {
        let file = folder.path().join(file);
        checkpoint(&config, &file);
        let added = shelf.add(&file).unwrap();
        let model = models::named(name).unwrap();
        assert_eq!((&*added.name, added.is_new), (name, true));
        assert_eq!(added.weights, models.join(file.file_name().unwrap()));
        assert_eq!(added.weights.metadata().unwrap().len(), file.metadata().unwrap().len());
        // Again, from where it came and from where it is.
        for again in [&file, &added.weights] {
            assert_eq!(shelf.add(again).unwrap(), models::Added { is_new: false, ..added.clone() });
        }
        assert!(shelf.remove(model).unwrap() && !shelf.remove(model).unwrap());
        assert!(!added.weights.exists());
    }
}

#[test]
fn a_fine_tune_is_kept_beside_the_official_file() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    let shelf = Shelf { folder: models.clone(), ..Shelf::default() };
    let at = |name: &str| folder.path().join(name);
    let changed = |path: PathBuf, byte: u8| {
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::End(-1)).unwrap();
        file.write_all(&[byte]).unwrap();
        path
    };
    let of_tiny = |name: &str, byte: u8| {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        checkpoint(&Config::tiny(), &at(name));
        changed(at(name), byte)
    };
    // As quick to hash as it is small.
    let fine_tune = |name: &str, byte: u8| {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        let config = formula::nano(128);
        formula::write_tensors(&formula::tensors(&config, 0.0), Some(&config), &at(name));
        changed(at(name), byte)
    };
    let official = shelf.add(&of_tiny("sam2.1_hiera_tiny.safetensors", 0)).unwrap();
    let bytes = std::fs::read(&official.weights).unwrap();
    let add = |path: &Path| {
        let added = shelf.add(path).unwrap();
        (added.name, added.is_new)
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
    assert_eq!(add(&of_tiny("a/cells.safetensors", 1)), ("cells".to_owned(), true));
    assert_eq!(add(&fine_tune("b/cells.safetensors", 2)), ("cells-2".to_owned(), true));
    // The same numbers by another name.
    assert_eq!(add(&fine_tune("c/again.safetensors", 2)), ("cells-2".to_owned(), false));
    assert_eq!(add(&of_tiny("d/sam2.1_hiera_tiny.safetensors", 3)), ("sam2.1_hiera_tiny".to_owned(), true));
    assert_eq!(add(&fine_tune("e/builtin.safetensors", 4)), ("builtin-2".to_owned(), true));
    assert_eq!(add(&fine_tune("my run/model.safetensors", 5)), ("my run".to_owned(), true));
    let own: Vec<String> = shelf.own().into_iter().map(|own| own.name).collect();
    assert_eq!(own, names(&["builtin-2", "cells", "cells-2", "my run", "sam2.1_hiera_tiny"]));
    assert!(std::fs::read(&official.weights).unwrap() == bytes, "the official file is as it was");
    assert!(shelf.remove_named("cells").unwrap() && !shelf.remove_named("cells").unwrap());
    assert_eq!(shelf.own().len(), 4);

    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect");
    let added = shelf.add(&data.join("d_fine/model.safetensors")).unwrap();
    assert_eq!(added.name, "d_fine");
    assert!(added.weights.with_file_name("config.json").is_file());
    assert_eq!(shelf.add(&data.join("owlv2/model.safetensors")).unwrap().name, "owlv2");
    let kinds: Vec<Finds> = shelf.own().iter().map(|own| own.finds).collect();
    assert!(kinds.contains(&Finds::Classes) && kinds.contains(&Finds::Words));
}

#[test]
fn sizes_of_sam2_are_told_from_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("download (1).safetensors");
    for (size, config) in Config::official() {
        for is_2_1 in [true, false] {
            checkpoint(&Config { is_2_1, ..config.clone() }, &file);
            let found = models::recognize(&file).unwrap().model.unwrap();
            let version = if is_2_1 { "2.1" } else { "2" };
            assert_eq!(found.name, format!("sam{version}-{}", size.replace('_', "-")));
        }
    }
    crate::desk::write(&file, "no checkpoint");
    let shelf = Shelf { folder: folder.path().join("models"), ..Shelf::default() };
    let error = shelf.add(&file).unwrap_err().to_string();
    assert!(error.contains("download (1).safetensors"), "{error}");
}

#[test]
fn an_own_model_is_listed_used_and_removed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (config, weights) = (formula::nano(128), folder.path().join("mine.safetensors"));
    formula::write_tensors(&formula::tensors(&config, 0.0), Some(&config), &weights);
    image::RgbImage::from_pixel(64, 48, image::Rgb([90, 90, 90]))
        .save(folder.path().join("photo.png"))
        .unwrap();
    let run = |words: &[&str]| {
        let home = folder.path().to_str().unwrap();
        segue::succeed_with(folder.path(), words, &[("XDG_DATA_HOME", home)])
    };
    assert!(run(&["models", "add", "mine.safetensors"]).starts_with("mine is in "));
    assert!(run(&["models", "add", "mine.safetensors"]).starts_with("mine is already in "));
    let list = run(&["models", "list"]);
    let hash = python::run(
        "import hashlib, json, sys; print(json.dumps(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest()))",
        &weights,
    );
    let short = &hash.as_str().unwrap()[..8];
    assert!(list.contains(&format!("mine              here, your own ({short}): SAM 2.1")), "{list}");
    std::fs::remove_file(&weights).unwrap();
    let answer = run(&["segment", "photo.png", "--point", "20,20", "--model", "mine"]);
    assert!(answer.contains("\"counts\""), "{answer}");
    assert!(run(&["models", "check"]).contains("mine              SAM 2.1"));
    assert!(run(&["models", "remove", "mine"]).contains("mine removed"));
    segue::fail(folder.path(), &["models", "remove", "mine"], 1, "there is no model 'mine'");
}

#[test]
fn the_command_line_gets_checks_lists_and_removes_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect/d_fine");
    let served = |file: &str| std::fs::read(data.join(file)).unwrap();
    let server = Server::of(
        Manner::Good,
        vec![("config.json", served("config.json")), ("model.safetensors", served("model.safetensors"))],
    );
    let address = server.address.trim_end_matches('/').to_owned();
    let run = |words: &[&str]| {
        let home = folder.path().to_str().unwrap();
        segue::succeed_with(folder.path(), words, &[("XDG_DATA_HOME", home), ("HF_ENDPOINT", &address)])
    };
    assert!(run(&["models", "list"]).contains("  dfine-nano        15 MB, Apache-2.0"));
    let said = run(&["models", "get", "dfine-nano"]);
    assert!(said.contains("dfine-nano is here"), "{said}");
    assert!(run(&["models", "get", "dfine-nano"]).contains("is here already"));
    let said = run(&["models", "check"]);
    assert!(said.contains("dfine-nano") && said.contains("finds 15 classes"), "{said}");
    assert!(run(&["models", "list"]).contains("here: "));
    assert!(run(&["models", "remove", "dfine-nano"]).contains("removed"));
    assert!(run(&["models", "remove", "dfine-nano"]).contains("was not here"));
    segue::fail(
        folder.path(),
        &["models", "get", "nothing"],
        1,
        "there is no model 'nothing'; models are sam2.1-tiny",
    );
}
