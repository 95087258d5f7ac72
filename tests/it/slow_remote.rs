//! Models on real servers of others, MLServer, KServe and Triton: tracks through them are those made here.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use engine::{
    file::write_atomically,
    geometry::{Point, Size},
    mask::{Mask, Rle},
    media::FrameSource,
    nn::{
        Cancel, Device, Runtime, RuntimeError,
        remote::{Access, Address, Patience, Server},
    },
    prompt::{Label, PointPrompt, Prompt},
    sam2::{Direction, TrackError, TrackOptions, Tracker, Weights},
};
use serde_json::{Value, json};

use crate::{formula, segue, slow::asked_for};

const N_FRAMES: usize = 8;
/// Longer than a server takes to load what it serves, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const SMALL: &str = "256";
/// Of these images features are more than gRPC usually allows in a message.
const LARGE: &str = "1024";
const TOKEN: &str = "hunter2-the-secret";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program that ends with the test, and all that it started.
struct Ends(Child);

impl Ends {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).process_group(0).spawn().unwrap())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The interpreter that has a server.
fn python(server: &str) -> PathBuf {
    let python = root().join(format!("target/{server}-venv/bin/python"));
    assert!(python.exists(), "{} is not there; `make test-slow` sets it up", python.display());
    python
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn patience() -> Patience {
    Patience { pause: Duration::from_millis(10), ..Patience::default() }
}

fn until_ready(addresses: &[Address]) {
    let is_ready = |address: &Address| Server::connect_with(address, &Access::default(), patience()).is_ok();
    until("the server is ready", || addresses.iter().all(is_ready));
}

/// MLServer with what an export holds, ready.
struct MlServer {
    http: u16,
    grpc: u16,
    served: PathBuf,
    running: Option<Ends>,
}

impl MlServer {
    fn start(served: &Path) -> Self {
        let mut server =
            Self { http: free_port(), grpc: free_port(), served: served.to_owned(), running: None };
        let path = served.join("settings.json");
        let mut settings: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (key, port) in
            [("http_port", server.http), ("grpc_port", server.grpc), ("metrics_port", free_port())]
        {
            settings[key] = json!(port);
        }
        settings["host"] = json!("127.0.0.1");
        write_atomically(&path, |out| write!(out, "{settings}")).unwrap();
        server.begin();
        server
    }

    fn begin(&mut self) {
        let log = std::fs::File::create(self.served.join("log.txt")).unwrap();
        let mut command = Command::new(python("mlserver").with_file_name("mlserver"));
        command.args(["start", "."]).current_dir(&self.served);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.running = Some(Ends::start(&mut command));
        until_ready(&["kserve", "kserve+grpc"].map(|scheme| self.address(scheme)));
    }

    fn address(&self, scheme: &str) -> Address {
        let port = if scheme.contains("grpc") { self.grpc } else { self.http };
        format!("{scheme}://127.0.0.1:{port}").parse().unwrap()
    }
}

/// Frames, prompts, and an export of the built-in model for images of `size` pixels.
fn prepare(folder: &Path, size: &str) -> PathBuf {
    let frames = folder.join("clip");
    std::fs::create_dir(&frames).unwrap();
    for i in 0..N_FRAMES {
        formula::frame(i, Size::new(320, 240)).save(frames.join(format!("{i}.png"))).unwrap();
    }
    let prompts = json!({"objects": [{"id": 1, "category": "blob", "prompts": [
        {"frame": 0, "points": [[80, 90, 1]]}]}]});
    write_atomically(&folder.join("prompts.json"), |file| write!(file, "{prompts}")).unwrap();
    segue::succeed(folder, &["models", "export", "builtin", "--out", "served", "--size", size]);
    folder.join("served")
}

/// The masks that `segue track` makes of images of `size` pixels on a device.
fn track(folder: &Path, size: &str, device: &str, variables: &[(&str, &str)]) -> Vec<Mask> {
    let words = "track clip --prompts prompts.json --out out.json --size";
    let words: Vec<&str> = words.split(' ').chain([size, "--device", device]).collect();
    segue::succeed_with(folder, &words, variables);
    let coco: Value = serde_json::from_slice(&std::fs::read(folder.join("out.json")).unwrap()).unwrap();
    let mask = |annotation: &Value| {
        serde_json::from_value::<Rle>(annotation["segmentation"].clone()).unwrap().decode()
    };
    coco["annotations"].as_array().unwrap().iter().map(mask).collect()
}

/// Pixels that differ, of all frames together.
#[expect(clippy::print_stdout, reason = "what is measured is told")]
fn n_different(what: &str, here: &[Mask], there: &[Mask]) -> usize {
    assert_eq!((here.len(), there.len()), (N_FRAMES, N_FRAMES), "{what}");
    let differ = |(a, b): (&Mask, &Mask)| a.bits().iter().zip(b.bits()).filter(|(a, b)| a != b).count();
    let n = here.iter().zip(there).map(differ).sum();
    let n_on: usize = here.iter().map(|mask| mask.bits().iter().filter(|on| **on).count()).sum();
    println!("{what}: {n} of {n_on} pixels differ");
    n
}

#[test]
fn a_track_through_a_server_of_others_is_the_one_made_here() {
    if !asked_for("a_track_through_a_server_of_others_is_the_one_made_here") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let served = prepare(folder.path(), SMALL);
    let here = track(folder.path(), SMALL, "cpu", &[]);
    assert!(here.iter().all(|mask| mask.bits().iter().any(|on| *on)));
    let server = MlServer::start(&served);
    for scheme in ["kserve+grpc", "kserve"] {
        let there = track(folder.path(), SMALL, &server.address(scheme).to_string(), &[]);
        assert_eq!(n_different(scheme, &here, &there), 0, "{scheme}");
    }
    through_tls(folder.path(), &server, &here);
    std::fs::remove_dir_all(&served).unwrap();
    segue::succeed(folder.path(), &["models", "export", "builtin", "--portable", "--out", "served"]);
    drop(server);
    let server = MlServer::start(&served);
    let there = track(folder.path(), SMALL, &server.address("kserve+grpc").to_string(), &[]);
    // Attention in other operators rounds otherwise; what that may change is a border's pixel.
    assert!(n_different("portable", &here, &there) <= N_FRAMES);
}

#[test]
fn messages_may_be_large() {
    if !asked_for("messages_may_be_large") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let served = prepare(folder.path(), LARGE);
    let here = track(folder.path(), LARGE, "cpu", &[]);
    let server = MlServer::start(&served);
    let there = track(folder.path(), LARGE, &server.address("kserve+grpc").to_string(), &[]);
    assert_eq!(n_different("large", &here, &there), 0);
}

/// Reads bytes over HTTP, too, and does not say so.
#[test]
fn a_track_through_kserve_is_the_one_made_here() {
    if asked_for("a_track_through_kserve_is_the_one_made_here") {
        track_through("kserve");
    }
}

/// Reads bytes over HTTP, too, and says so.
#[test]
fn a_track_through_triton_is_the_one_made_here() {
    if asked_for("a_track_through_triton_is_the_one_made_here") {
        track_through("triton");
    }
}

/// Through the server that `tests/servers` has a program for.
fn track_through(server: &str) {
    let folder = tempfile::tempdir().unwrap();
    let served = prepare(folder.path(), SMALL);
    let here = track(folder.path(), SMALL, "cpu", &[]);
    let (http, grpc) = (free_port(), free_port());
    let log = std::fs::File::create(served.join("log.txt")).unwrap();
    let mut command = Command::new(python(server));
    command.arg(root().join(format!("tests/servers/{server}_server.py"))).arg("--folder").arg(&served);
    command.args(["--http_port", &http.to_string(), "--grpc_port", &grpc.to_string()]);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let _server = Ends::start(&mut command);
    let addresses = [("kserve", http), ("kserve+grpc", grpc)]
        .map(|(scheme, port)| format!("{scheme}://127.0.0.1:{port}").parse().unwrap());
    until_ready(&addresses);
    until("all parts are there", || parts(&served).iter().all(|part| serves(http, part)));
    for address in addresses.map(|address| address.to_string()) {
        let there = track(folder.path(), SMALL, &address, &[]);
        assert_eq!(n_different(&format!("{server}, {address}"), &here, &there), 0);
    }
}

/// The names of the parts in an export.
fn parts(served: &Path) -> Vec<String> {
    let list: Value =
        serde_json::from_slice(&std::fs::read(served.join("segue-models.json")).unwrap()).unwrap();
    let name = |part: &Value| part["name"].as_str().unwrap().to_owned();
    list["parts"].as_array().unwrap().iter().map(name).collect()
}

/// Whether a server is ready to run a part; Triton loads one after the other once it is ready itself.
fn serves(http: u16, part: &str) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    write!(stream, "GET /v2/models/{part}/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// Each part on its own: the server itself is not to be had from PyPI, what it runs models with is.
#[test]
fn openvino_makes_of_portable_parts_what_onnx_runtime_does() {
    if !asked_for("openvino_makes_of_portable_parts_what_onnx_runtime_does") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    segue::succeed(folder.path(), &["models", "export", "builtin", "--portable", "--out", "served"]);
    let mut command = Command::new(python("openvino"));
    command.arg(root().join("tests/servers/openvino_parts.py")).arg(folder.path().join("served"));
    let told = command.output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).unwrap();
    let off: Vec<f32> = told.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(off.len() == 10 && off.iter().all(|off| *off < 1e-4), "{told}");
}

/// The same behind a certificate of one's own, with a token; a stranger's certificate is refused.
#[expect(clippy::print_stdout, reason = "what is measured is told")]
fn through_tls(folder: &Path, server: &MlServer, here: &[Mask]) {
    let script = "
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > names
openssl x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out cert.pem
";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (scheme, target) in [("kserves+grpc", server.grpc), ("kserves", server.http)] {
        let (port, counts) = (free_port(), folder.join(format!("counts-{scheme}")));
        let mut command = Command::new(python("mlserver"));
        command.arg(root().join("tests/servers/front.py")).args([port.to_string(), target.to_string()]);
        command.arg(&counts).args(["cert.pem", "key.pem"]).current_dir(folder);
        let _front = Ends::start(&mut command);
        until("the front is there", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let address = format!("{scheme}://localhost:{port}");
        let variables = [("SEGUE_SERVER_CA", "ca.pem"), ("SEGUE_SERVER_TOKEN", TOKEN)];
        let there = track(folder, SMALL, &address, &variables);
        assert_eq!(n_different(scheme, here, &there), 0, "{scheme}");
        std::thread::sleep(Duration::from_millis(500));
        let counted = std::fs::read_to_string(&counts).unwrap();
        let counted: Vec<usize> =
            counted.split(' ').map(|n| n.parse::<usize>().unwrap() / N_FRAMES).collect();
        println!("{scheme}: {} bytes a frame to the server, {} from it", counted[0], counted[1]);
        let words = ["segment", "clip/0.png", "--point", "80,90", "--out", "mask.png", "--device", &address];
        segue::fail(folder, &words, 1, "cannot reach the server");
    }
}

#[test]
fn a_server_that_goes_away_leaves_work_as_it_is() {
    if !asked_for("a_server_that_goes_away_leaves_work_as_it_is") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = MlServer::start(&prepare(folder.path(), SMALL));
    let (weights, cancel) = (Weights::builtin().unwrap(), Cancel::default());
    let runtime = || Runtime::start(Some(Device::Cpu), None).unwrap();
    let click = Prompt {
        points: vec![PointPrompt { at: Point { x: 80.0, y: 90.0 }, label: Label::Positive }],
        rect: None,
    };
    let mut source = FrameSource::open(&folder.path().join("clip")).unwrap();
    for scheme in ["kserve+grpc", "kserve"] {
        let mut here = Tracker::load(&runtime(), &weights, TrackOptions::default()).unwrap();
        here.prompt(&mut source, 1, 0, &click, &cancel).unwrap();
        let far = Server::connect_with(&server.address(scheme), &Access::default(), patience()).unwrap();
        let there = runtime().with_server(far);
        let mut there = Tracker::load(&there, &weights, TrackOptions::default()).unwrap();
        there.prompt(&mut source, 1, 0, &click, &cancel).unwrap();
        for frame in 1..4 {
            if frame == 2 {
                server.running = None;
                let gone = there.track(&mut source, frame, Direction::Forward, &[1], &cancel);
                let sentence = gone.as_ref().err().map(ToString::to_string).unwrap_or_default();
                assert!(matches!(gone, Err(TrackError::Runtime(RuntimeError::Remote(_)))), "{sentence}");
                assert!(sentence.starts_with("cannot reach the server"), "{sentence}");
                server.begin();
            }
            let [here, there] = [&mut here, &mut there].map(|tracker| {
                let found = tracker.track(&mut source, frame, Direction::Forward, &[1], &cancel);
                found.unwrap().remove(0).mask
            });
            assert!(here.bits() == there.bits(), "{scheme}: frame {frame}");
        }
    }
}
