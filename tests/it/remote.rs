//! Models on a server: from one here that answers well, badly, late or not at all; and folders for real ones.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use engine::{
    models::Exportable,
    nn::{
        Cancel, Checkpoint, Device, Dim, Graph, Model, Runtime, RuntimeError, Tensor,
        remote::{Access, Address, Patience, RemoteError, Server},
    },
};
use serde_json::{Value, json};

use crate::segue;

const TOKEN: &str = "hunter2-the-secret";

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Says that it reads bytes, and does.
    Bytes,
    /// Reads them and does not say so.
    BytesUnsaid,
    /// Reads text only.
    Text,
    /// Hangs up on the first two requests for numbers.
    HangsUpTwice,
    /// Hangs up on all of them.
    HangsUp,
    NotReady,
    HasNoModel,
    OtherShape,
    OtherKind,
    OtherOutput,
    /// Says why it fails, with all that it was told.
    Fails,
    /// Sends half of its numbers and hangs up.
    BreaksOff,
    /// States more JSON than it sends.
    LiesAboutJson,
    /// States more bytes of numbers than it sends.
    LiesAboutNumbers,
    /// Makes more numbers than its model does.
    OtherAnswer,
    WantsToken,
    /// Takes the question, and says nothing.
    SaysNothing,
    /// Sends to another server.
    SendsAway,
    /// Is a server of something else.
    WebPage,
    /// Makes NaN.
    NotNumbers,
    /// Describes its model at length.
    LongDescription,
}

/// A server of a model that makes twice its numbers.
struct Fake {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = requests.clone();
        let serve = move || {
            for stream in listener.incoming() {
                let log = log.clone();
                // Whoever hangs up is not answered.
                in_background(move || drop(answer(stream.unwrap(), manner, &log)));
            }
        };
        in_background(serve);
        Self { port, requests }
    }

    fn address(&self) -> Address {
        format!("kserve://127.0.0.1:{}", self.port).parse().unwrap()
    }

    fn n_requests(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.contains(path)).count()
    }
}

/// Ends with the test.
fn in_background(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("server".to_owned()).spawn(body).unwrap();
}

fn answer(stream: TcpStream, manner: Manner, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (mut out, mut input) = (stream.try_clone()?, BufReader::new(stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let length = header("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(head.clone());
    let n_before = log.lock().unwrap().iter().filter(|request| request.contains("/infer")).count();
    let mut say = |status: &str, headers: &str, body: &[u8]| -> std::io::Result<()> {
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        )?;
        out.write_all(body)
    };
    let told = header("authorization");
    match manner {
        Manner::WebPage => return say("200 OK", "", b"<html>Welcome</html>"),
        Manner::SendsAway => return say("302 Found", "Location: http://127.0.0.1:1/\r\n", b""),
        Manner::WantsToken if told.as_deref() != Some(&format!("Bearer {TOKEN}")) => {
            let error = json!({"error": format!("not you, {}", told.unwrap_or_default())});
            return say("401 Unauthorized", "", error.to_string().as_bytes());
        }
        _ => {}
    }
    if path == "/v2/health/ready" {
        let is_ready = manner != Manner::NotReady;
        return say(if is_ready { "200 OK" } else { "400 Bad Request" }, "", b"");
    }
    if path == "/v2" {
        let extensions = if manner == Manner::Bytes { json!(["binary_tensor_data"]) } else { json!([]) };
        return say("200 OK", "", json!({"name": "fake", "extensions": extensions}).to_string().as_bytes());
    }
    if manner == Manner::LongDescription && path != "/v2" {
        return say("200 OK", "", &vec![b' '; 64 << 20]);
    }
    if !path.ends_with("/infer") {
        if manner == Manner::HasNoModel {
            return say("400 Bad Request", "", br#"{"error":"Request for unknown model: 'x' is not found"}"#);
        }
        let shape = if manner == Manner::OtherShape { 3 } else { 2 };
        let kind = if manner == Manner::OtherKind { "FP64" } else { "FP32" };
        let output = if manner == Manner::OtherOutput { "z" } else { "y" };
        let port = |name: &str, kind: &str| json!({"name": name, "datatype": kind, "shape": [-1, shape]});
        let model = json!({"name": "x", "inputs": [port("x", "FP32")], "outputs": [port(output, kind)]});
        return say("200 OK", "", model.to_string().as_bytes());
    }
    match manner {
        Manner::HangsUp => return Ok(()),
        Manner::HangsUpTwice if n_before <= 2 => return Ok(()),
        Manner::Fails => {
            let error = json!({"error": format!("no room\nfor {}", told.unwrap_or_default())});
            return say("500 Internal Server Error", "", error.to_string().as_bytes());
        }
        Manner::SaysNothing => {
            std::thread::sleep(Duration::from_secs(20));
            return Ok(());
        }
        _ => {}
    }
    let n_json: Option<usize> = header("inference-header-content-length").map(|n| n.parse().unwrap());
    let Some(n_json) = n_json else {
        let mut question: Value = serde_json::from_slice(&body).unwrap();
        let numbers = question["inputs"][0]["data"].as_array_mut().unwrap();
        numbers.iter_mut().for_each(|number| *number = json!(2.0 * number.as_f64().unwrap()));
        let (shape, numbers) = (&question["inputs"][0]["shape"], &question["inputs"][0]["data"]);
        let output = json!({"name": "y", "datatype": "FP32", "shape": shape, "data": numbers});
        return say("200 OK", "", json!({"outputs": [output]}).to_string().as_bytes());
    };
    if manner == Manner::Text {
        return say("415 Unsupported Media Type", "", b"{\"detail\":\"JSON, please\"}");
    }
    let question: Value = serde_json::from_slice(&body[..n_json]).unwrap();
    let mut shape = question["inputs"][0]["shape"].clone();
    let mut numbers: Vec<u8> = body[n_json..]
        .chunks_exact(4)
        .flat_map(|b| (2.0 * f32::from_le_bytes(b.try_into().unwrap())).to_le_bytes())
        .collect();
    if manner == Manner::OtherAnswer {
        (shape, numbers) = (json!([1, 3]), vec![0; 12]);
    }
    if manner == Manner::NotNumbers {
        numbers[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    let stated = numbers.len() + if manner == Manner::LiesAboutNumbers { 4 } else { 0 };
    let output = json!({"name": "y", "datatype": "FP32", "shape": shape,
        "parameters": {"binary_data_size": stated}});
    let json = json!({"outputs": [output]}).to_string();
    let n_json = json.len() + if manner == Manner::LiesAboutJson { 1000 } else { 0 };
    let all = [json.as_bytes(), &numbers].concat();
    let headers = format!("Inference-Header-Content-Length: {n_json}\r\n");
    if manner == Manner::BreaksOff {
        write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", all.len())?;
        return out.write_all(&all[..all.len() - 4]);
    }
    say("200 OK", &headers, &all)
}

fn graph() -> Graph {
    let mut graph = Graph::new("double");
    let x = graph.input("x", &[Dim::Named("n"), Dim::Fixed(2)]);
    let y = graph.add(&x, &x);
    graph.output("y", &y);
    graph
}

fn access(token: Option<&str>) -> Access {
    Access::of(|name| token.filter(|_| name == "SEGUE_SERVER_TOKEN").map(str::to_owned)).unwrap()
}

/// Short, as nobody waits for tests.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        answer: Duration::from_millis(1500),
        pause: Duration::from_millis(5),
    }
}

fn load(address: &Address, token: Option<&str>) -> Result<Model, RuntimeError> {
    load_with(address, token, patience())
}

fn load_with(address: &Address, token: Option<&str>, patience: Patience) -> Result<Model, RuntimeError> {
    let server = Server::connect_with(address, &access(token), patience)?;
    let runtime = Runtime::start(Some(Device::Cpu), None)?.with_server(server);
    assert_eq!(runtime.place().to_string(), address.to_string());
    Model::load(&runtime, graph(), &Checkpoint::default())
}

fn doubled(model: &mut Model, cancel: &Cancel) -> Result<Vec<f32>, RuntimeError> {
    let x = Tensor::from_floats(&[2, 2], vec![0.1, -3.0, 1e30, 1.0 / 3.0]).unwrap();
    Ok(model.run(&[("x", &x)], cancel)?[0].floats().to_vec())
}

fn twice(address: &Address, token: Option<&str>) -> Result<Vec<f32>, RuntimeError> {
    doubled(&mut load(address, token)?, &Cancel::default())
}

const TWICE: [f32; 4] = [0.2, -6.0, 2e30, 2.0 / 3.0];

/// What is wrong, in one sentence that says where; never the token.
#[track_caller]
fn fails(manner: Manner, token: Option<&str>, says: &str) -> RuntimeError {
    let fake = Fake::start(manner);
    let error = twice(&fake.address(), token).unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(TOKEN), "{manner:?}: {text}");
    }
    let sentence = error.to_string();
    assert!(sentence.contains(says), "{manner:?}: '{sentence}' does not say '{says}'");
    assert!(sentence.contains(&fake.address().to_string()) && !sentence.contains('\n'), "{sentence}");
    error
}

#[test]
fn numbers_come_back_whatever_the_server_reads() {
    for (manner, n_requests) in
        [(Manner::Bytes, 2), (Manner::BytesUnsaid, 2), (Manner::Text, 3), (Manner::HangsUpTwice, 4)]
    {
        let fake = Fake::start(manner);
        let mut model = load(&fake.address(), None).unwrap();
        for _ in 0..2 {
            assert_eq!(doubled(&mut model, &Cancel::default()).unwrap(), TWICE, "{manner:?}");
        }
        assert_eq!(fake.n_requests("/infer"), n_requests, "{manner:?}: what it reads is found out once");
        assert_eq!(model.inputs(), graph().inputs());
        assert_eq!(model.outputs(), graph().outputs());
    }
}

#[test]
fn a_server_that_is_not_the_right_one_is_told_at_the_start() {
    fails(Manner::NotReady, None, "is not ready; wait until it has loaded its models");
    let error = fails(Manner::HasNoModel, None, "has no model segue_double_");
    assert!(error.to_string().contains("`segue models export MODEL --out DIR`"), "{error}");
    fails(Manner::OtherShape, None, "x is [any, 3] of FP32, not [any, 2] of FP32; write it anew");
    fails(Manner::OtherKind, None, "y is [any, 2] of numbers of another kind, not [any, 2] of FP32");
    fails(Manner::OtherOutput, None, "it makes no y");
    fails(Manner::SendsAway, None, "302");
    fails(Manner::WebPage, None, "gives no sensible answer for the double: expected value");
}

#[test]
fn a_server_that_answers_badly_is_told_in_one_sentence() {
    fails(Manner::HangsUp, None, "cannot reach the server");
    fails(Manner::BreaksOff, None, "cannot reach the server");
    fails(Manner::LiesAboutJson, None, "gives no sensible answer for the double: it states");
    fails(Manner::LiesAboutNumbers, None, "y has 20 bytes, and 16 are left");
    fails(Manner::OtherAnswer, None, "y is [1, 3] of FP32, not [any, 2] of FP32");
    fails(Manner::NotNumbers, None, "y holds values that are no numbers (NaN or infinity)");
    fails(Manner::LongDescription, None, "it is longer than 4194304 bytes");
    fails(Manner::Fails, Some(TOKEN), "500 Internal Server Error: no room for Bearer …; its own log");
}

#[test]
fn a_token_goes_to_the_server_and_nowhere_else() {
    let fake = Fake::start(Manner::WantsToken);
    assert_eq!(twice(&fake.address(), Some(TOKEN)).unwrap(), TWICE);
    let error = fails(Manner::WantsToken, None, "does not let Segue in: 401 Unauthorized: not you");
    assert!(error.to_string().contains("SEGUE_SERVER_TOKEN"), "{error}");
    fails(Manner::WantsToken, Some(&format!("{TOKEN}-old")), "does not let Segue in");
    let open = "kserve://gpu.example.org:8000".parse().unwrap();
    let error = twice(&open, Some(TOKEN)).unwrap_err().to_string();
    assert!(error.contains("a token is sent over TLS or within this machine only"), "{error}");
}

#[test]
fn waiting_ends_when_patience_does_or_whoever_waits_wants() {
    let fake = Fake::start(Manner::SaysNothing);
    let start = Instant::now();
    let error = twice(&fake.address(), None).unwrap_err();
    let RuntimeError::Remote(remote) = &error else { panic!("{error}") };
    assert!(matches!(**remote, RemoteError::Silent { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let (mut model, cancel) = (load(&fake.address(), None).unwrap(), Cancel::default());
    let later = cancel.clone();
    in_background(move || {
        std::thread::sleep(Duration::from_millis(200));
        later.cancel();
    });
    let start = Instant::now();
    let error = doubled(&mut model, &cancel).unwrap_err();
    assert!(matches!(error, RuntimeError::Canceled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn who_is_not_there_or_speaks_otherwise_is_told_by_every_protocol() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = Fake::start(Manner::WebPage);
    let (silent, web) = (silent.local_addr().unwrap().port(), web.port);
    for (port, schemes) in [
        (1, &["kserve", "kserves", "kserve+grpc", "kserves+grpc"][..]),
        (web, &["kserves", "kserve+grpc", "kserves+grpc"]),
        (silent, &["kserve", "kserves", "kserve+grpc", "kserves+grpc"]),
    ] {
        for scheme in schemes {
            let address: Address = format!("{scheme}://127.0.0.1:{port}").parse().unwrap();
            let short = Duration::from_millis(300);
            let patience = Patience { connect: short, answer: short, ..patience() };
            let error = load_with(&address, Some(TOKEN), patience).err().unwrap();
            let RuntimeError::Remote(remote) = &error else { panic!("{error}") };
            let is_so = matches!(**remote, RemoteError::Unreachable { .. } | RemoteError::Silent { .. });
            let sentence = error.to_string();
            assert!(
                is_so && !sentence.contains(TOKEN) && sentence.contains(&address.to_string()),
                "{sentence}"
            );
        }
    }
}

#[test]
fn the_command_line_repeats_no_secret_and_tells_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::new(64, 64).save(folder.path().join("photo.png")).unwrap();
    let run = |device: &str, token: Option<&str>| {
        let words = ["segment", "photo.png", "--point", "3,3", "--out", "mask.png", "--device", device];
        let mut command = std::process::Command::new(segue::program());
        command.current_dir(folder.path()).args(words).env("RUST_LOG", "trace");
        if let Some(token) = token {
            command.env("SEGUE_SERVER_TOKEN", token);
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains(TOKEN), "{said}");
        (output.status.code(), said)
    };
    for device in ["kserve://me:TOKEN@host:1", "https://TOKEN", "kserve://host:1?token=TOKEN", "TOKEN@host"] {
        let (status, said) = run(&device.replace("TOKEN", TOKEN), None);
        assert!(status == Some(2) && said.contains("a server's address"), "{status:?} {said}");
    }
    let (status, said) = run("abacus", None);
    assert!(status == Some(2) && said.contains("there is no device 'abacus'"), "{said}");
    let (status, said) = run("kserve://gpu.example.org:8000", Some(TOKEN));
    assert!(status == Some(1) && said.contains("use kserves:// or kserves+grpc://"), "{said}");
    let (status, said) = run("kserve://127.0.0.1:1", Some(TOKEN));
    assert!(status == Some(1) && said.contains("cannot reach the server kserve://127.0.0.1:1"), "{said}");
    let fake = Fake::start(Manner::WantsToken);
    let (status, said) = run(&fake.address().to_string(), Some(&format!("{TOKEN}-old")));
    assert!(status == Some(1) && said.contains("does not let Segue in"), "{said}");
    let (status, said) = run(&fake.address().to_string(), Some(TOKEN));
    assert!(status == Some(1) && said.contains("is not the image encoder"), "{said}");
}

/// Every part of the built-in model is there, runs without its checkpoint, and is named as the program looks for it.
#[test]
fn an_export_is_whole_and_takes_the_place_of_an_earlier_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("served");
    let export = |words: &[&str]| {
        segue::succeed(folder.path(), &[&["models", "export", "builtin", "--out", "served"], words].concat())
    };
    let said = export(&[]);
    let parts: Vec<&str> = said.lines().filter(|line| line.starts_with("segue_")).collect();
    assert_eq!(parts.len(), 5, "{said}");
    let runtime = Runtime::start(Some(Device::Cpu), None).unwrap();
    for part in &parts {
        for file in ["config.pbtxt", "model-settings.json", "segue_mlserver.py", "1/weights.bin"] {
            assert!(out.join(part).join(file).is_file(), "{part}/{file}");
        }
        let model = Model::open(&runtime, &out.join(part).join("1/model.onnx")).unwrap();
        let settings = std::fs::read(out.join(part).join("model-settings.json")).unwrap();
        let settings: Value = serde_json::from_slice(&settings).unwrap();
        let names: Vec<&str> =
            settings["inputs"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(model.inputs().iter().map(|port| port.name.as_str()).collect::<Vec<_>>(), names);
    }
    let text = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
    for part in &parts {
        assert!(text("openvino.json").contains(part) && text("segue-models.json").contains(part));
    }
    assert!(text("README.md").contains("mlserver start"));
    let smaller = export(&["--size", "320"]);
    assert!(!out.join(parts[0]).exists(), "{parts:?} {smaller}");
    let portable = export(&["--portable"]);
    assert!(portable.lines().take(5).eq(parts.iter().copied()), "a part keeps its name: {portable}");
    assert!(
        !std::fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with(".segue-") })
    );

    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    crate::desk::write(&taken.join("thesis.txt"), "years of work");
    segue::fail(
        folder.path(),
        &["models", "export", "builtin", "--out", "taken"],
        1,
        "is there already and no earlier export",
    );
    segue::fail(folder.path(), &["models", "export", "nothing", "--out", "new"], 1, "there is no model");
    segue::fail(
        folder.path(),
        &["models", "export", "a.onnx", "--out", "new"],
        1,
        "is an ONNX file as it is",
    );
    segue::fail(
        folder.path(),
        &["models", "export", "builtin", "--out", "no/where"],
        1,
        "cannot write the export",
    );
    segue::fail(folder.path(), &["models", "export", "builtin", "--size", "333", "--out", "new"], 1, "333");
    assert!(!folder.path().join("new").exists());
}

#[test]
fn a_canceled_export_changes_nothing_and_detectors_are_exported_too() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("served");
    let canceled = Exportable::find("builtin", None).unwrap().write(&out, &|now| now.done < 1000);
    assert!(canceled.is_err_and(|error| error.to_string() == "canceled; nothing was changed"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/detect");
    for (model, n_parts) in [("owlv2", 2), ("d_fine", 1)] {
        let file = data.join(model).join("model.safetensors");
        let exportable = Exportable::find(file.to_str().unwrap(), None).unwrap();
        let exported = exportable.write(&folder.path().join(model), &|_| true).unwrap();
        assert_eq!(exported.parts.len(), n_parts, "{model}");
    }
}
