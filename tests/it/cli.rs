//! The command line: what scripts rely on.

use std::path::Path;

use engine::{
    file::write_atomically,
    geometry::Size,
    mask::{Mask, Rle},
};
use serde_json::{Value as Json, json};

use crate::{formula, python, segue};

const SIZE: Size = Size::new(160, 96);

/// A folder with `photo.png`, and frames in `clip/` (9, 10 and 11, so that order by name is not order by number).
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    formula::frame(0, SIZE).save(folder.path().join("photo.png")).unwrap();
    std::fs::create_dir(folder.path().join("clip")).unwrap();
    for t in 0..6 {
        formula::frame(t, SIZE).save(folder.path().join(format!("clip/{}.png", 8 + t))).unwrap();
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    write_atomically(&folder.join(name), |out| std::io::Write::write_all(out, text.as_bytes())).unwrap();
}

fn read_json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn mask(json: &Json) -> Mask {
    serde_json::from_value::<Rle>(json.clone()).unwrap().decode()
}

#[test]
fn segment_prints_a_mask_of_the_photos_size() {
    let folder = folder();
    let printed =
        segue::succeed(folder.path(), &["segment", "photo.png", "--point", "40,36", "--box", "10,10,70,66"]);
    let answer: Json = serde_json::from_str(&printed).unwrap();
    assert_eq!(answer["mask"]["size"], json!([96, 160]));
    assert!((0.0..=1.0).contains(&answer["score"].as_f64().unwrap()));
    assert!(answer["millis"]["encode"].as_f64().unwrap() > 0.0);
    segue::succeed(
        folder.path(),
        &["segment", "photo.png", "--point", "40,36", "--box", "10,10,70,66", "--out", "mask.png"],
    );
    let png = image::open(folder.path().join("mask.png")).unwrap().to_luma8();
    let bits = png.pixels().map(|p| p.0[0] == 255).collect();
    assert_eq!(Mask::new(SIZE, bits), mask(&answer["mask"]), "the PNG and the JSON are the same mask");
}

#[test]
fn many_prompts_are_answered_with_their_ids_and_failures_do_not_stop_the_rest() {
    let folder = folder();
    write(
        folder.path(),
        "in.jsonl",
        r#"{"id": "a", "image": "photo.png", "points": [[40, 36, 1]]}
{"id": 7, "image": "clip/9.png", "box": [10, 10, 70, 66]}

{"id": null, "image": "photo.png", "points": [[40, 36, 1], [120, 80, 0]], "box": [10, 10, 70, 66]}
{"id": "outside", "image": "photo.png", "points": [[400, 36, 1]]}
{"id": "missing", "image": "nothing.png", "points": [[4, 3, 1]]}
"#,
    );
    segue::fail(
        folder.path(),
        &["segment", "--in", "in.jsonl", "--out", "out.jsonl", "--look", "mirror"],
        1,
        "2 of 5 prompts failed",
    );
    let text = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let answers: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |id: Json| answers.iter().find(|answer| answer["id"] == id).unwrap();
    for (id, image) in [(json!("a"), "photo.png"), (json!(7), "clip/9.png"), (json!(null), "photo.png")] {
        let answer = find(id);
        assert_eq!(answer["image"], image);
        assert_eq!(answer["mask"]["size"], json!([96, 160]));
    }
    let says = |id: &str| find(json!(id))["error"].as_str().unwrap().to_owned();
    assert!(says("outside").contains("point (400, 36) is outside the image, which is 160x96"));
    assert!(says("missing").contains("nothing.png"));
    let encoded = |answer: &&Json| answer["image"] == "photo.png" && answer["millis"]["encode"] != 0.0;
    assert_eq!(answers.iter().filter(|a| a["millis"].is_object()).filter(encoded).count(), 1, "encoded once");
}

#[test]
fn outputs_replace_no_model_project_or_photo_whatever_it_is_called() {
    let folder = folder();
    segue::succeed(folder.path(), &["new", "p.segue", "--media", "photo.png"]);
    for (from, to) in [("photo.png", "photo"), ("p.segue", "project.db"), ("p.segue", "p.segue-wal")] {
        std::fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    }
    write(folder.path(), "m.safetensors", "weights");
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let point = ["segment", "photo.png", "--point", "40,36", "--out"];
    for out in ["photo", "project.db", "p.segue-wal"] {
        let before = bytes(out);
        segue::fail(folder.path(), &[&point[..], &[out]].concat(), 1, "is a project, photo or video");
        assert!(bytes(out) == before, "{out}");
    }
    let words = [&point[..], &["m.safetensors", "--model", "m.safetensors"]].concat();
    segue::fail(folder.path(), &words, 1, "m.safetensors is an input");
    assert_eq!(bytes("m.safetensors"), b"weights");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_file_to_read() {
    let folder = folder();
    let pipe = folder.path().join("pipe.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for words in [
        &["check", "pipe.json"][..],
        &["stats", "pipe.json"],
        &["track", "clip", "--prompts", "pipe.json", "--out", "out.json"],
        &["segment", "photo.png", "--point", "4,4", "--model", "pipe.json"],
    ] {
        segue::fail(folder.path(), words, 1, "it is a device or a pipe, not a file");
    }
}

/// A disk on frame 0 and what tracking makes of it, read by pycocotools.
#[test]
fn tracks_are_coco_that_pycocotools_reads() {
    const PROGRAM: &str = "
import contextlib, io, json, sys
from pycocotools.coco import COCO
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(sys.argv[1])
masks = [(a['image_id'], a['track_id'], int(coco.annToMask(a).sum()) == a['area']) for a in coco.loadAnns(coco.getAnnIds())]
print(json.dumps({'masks': masks, 'images': len(coco.getImgIds()), 'categories': coco.loadCats(coco.getCatIds())}))
";
    let folder = folder();
    let disk = Rle::encode(&formula::circle(SIZE, [40, 36, 18]));
    let prompts = json!({"objects": [
        {"id": 3, "category": "disk", "prompts": [{"frame": 1, "mask": disk}, {"frame": 4, "points": [[60, 40, 1]]}]},
        {"id": 5, "category": "blob", "prompts": [{"frame": 2, "box": [90, 20, 140, 60]}]},
    ]});
    write(folder.path(), "prompts.json", &prompts.to_string());
    segue::succeed(
        folder.path(),
        &[
            "track",
            "clip",
            "--prompts",
            "prompts.json",
            "--format",
            "coco",
            "--out",
            "out.json",
            "--overlay",
            "out.mp4",
        ],
    );
    let out = folder.path().join("out.json");
    let coco = read_json(&out);
    let images = coco["images"].as_array().unwrap();
    let names: Vec<&str> = images.iter().map(|image| image["file_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["8.png", "9.png", "10.png", "11.png", "12.png", "13.png"]);
    assert_eq!(images[4]["frame_index"], 4);
    assert!((images[5]["time"].as_f64().unwrap() - 0.2).abs() < 1e-9);

    let annotations = coco["annotations"].as_array().unwrap();
    let of = |frame: u64, track: u64| {
        let wanted = |a: &&Json| a["image_id"] == frame + 1 && a["track_id"] == track;
        annotations.iter().find(wanted).map(|a| mask(&a["segmentation"]))
    };
    let prompted = of(1, 3).expect("the prompted frame has the prompt's mask");
    assert!(prompted.iou(&disk.decode()) > 0.9, "IoU {}", prompted.iou(&disk.decode()));

    let seen = python::run(PROGRAM, &out);
    assert_eq!(seen["images"], 6);
    let category = |id: u8, name: &str| json!({"id": id, "name": name, "supercategory": ""});
    assert_eq!(seen["categories"], json!([category(1, "blob"), category(2, "disk")]));
    assert!(seen["masks"].as_array().unwrap().iter().all(|m| m[2] == true), "areas are those of the masks");

    let overlay = engine::media::FrameSource::open(&folder.path().join("out.mp4")).unwrap();
    assert_eq!((overlay.n_frames(), overlay.size()), (6, SIZE));
}

#[test]
fn ranges_and_directions_say_which_frames_have_masks() {
    let folder = folder();
    let disk = Rle::encode(&formula::circle(SIZE, [40, 36, 18]));
    let prompts = json!({"objects": [{"id": 1, "prompts": [{"frame": 3, "mask": disk}]}]});
    write(folder.path(), "prompts.json", &prompts.to_string());
    let frames = |words: &[&str]| -> Vec<u64> {
        let mut all = vec!["track", "clip", "--prompts", "prompts.json", "--out", "out.json"];
        all.extend(words);
        segue::succeed(folder.path(), &all);
        let coco = read_json(&folder.path().join("out.json"));
        coco["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| image["frame_index"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(frames(&["--direction", "forward"]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(frames(&["--from", "2", "--to", "4"]), [2, 3, 4]);
    assert_eq!(frames(&["--direction", "backward", "--to", "3"]), [0, 1, 2, 3]);
}

#[test]
fn an_empty_mask_says_that_the_object_is_not_there() {
    let folder = folder();
    let disk = Rle::encode(&formula::circle(SIZE, [40, 36, 18]));
    let prompts = json!({"objects": [{"id": 1, "prompts": [
        {"frame": 0, "mask": disk}, {"frame": 3, "mask": Rle::encode(&Mask::empty(SIZE))}]}]});
    write(folder.path(), "prompts.json", &prompts.to_string());
    segue::succeed(folder.path(), &["track", "clip", "--prompts", "prompts.json", "--out", "out.json"]);
    let coco = read_json(&folder.path().join("out.json"));
    let on = |frame: u64| coco["annotations"].as_array().unwrap().iter().any(|a| a["image_id"] == frame + 1);
    assert!(on(0));
    assert!(!on(3));
}

#[test]
fn wrong_use_is_status_2_and_failure_is_status_1() {
    let folder = folder();
    let here = folder.path();
    segue::fail(here, &["segment"], 2, "required");
    segue::fail(here, &["segment", "photo.png", "--point", "4;5"], 2, "'4;5' is not a number");
    segue::fail(
        here,
        &["segment", "photo.png", "--point", "4,5", "--device", "abacus"],
        2,
        "no device 'abacus'",
    );
    segue::fail(here, &["segment", "photo.png"], 1, "the prompt is empty; give a point, a box or a mask");
    segue::fail(here, &["segment", "photo.png", "--point", "-3,5"], 1, "point (-3, 5) is outside the image");
    segue::fail(
        here,
        &["segment", "photo.png", "--box", "50,50,20,60"],
        1,
        "goes from top left to bottom right",
    );
    segue::fail(
        here,
        &["segment", "photo.png", "--point", "4,5", "--model", "sam9"],
        1,
        "no model or file 'sam9'",
    );
    segue::fail(
        here,
        &["segment", "photo.png", "--point", "4,5", "--size", "100"],
        1,
        "image size 100 does not work",
    );
    segue::fail(here, &["segment", "no.png", "--point", "4,5"], 1, "no.png");
}

#[test]
fn bad_prompts_get_one_sentence_and_write_nothing() {
    let folder = folder();
    let check = |prompts: &str, says: &str| {
        write(folder.path(), "prompts.json", prompts);
        segue::fail(
            folder.path(),
            &["track", "clip", "--prompts", "prompts.json", "--out", "out.json"],
            1,
            says,
        );
        assert!(!folder.path().join("out.json").exists());
    };
    check("{", "cannot read prompts");
    check(r#"{"objects": []}"#, "there are no objects");
    check(r#"{"objects": [{"id": 1, "prompts": []}]}"#, "object 1 has no prompts");
    check(
        r#"{"objects": [{"id": 1, "prompts": [{"frame": 6, "points": [[4, 4, 1]]}]}]}"#,
        "frames to track are 0 to 5",
    );
    check(r#"{"objects": [{"id": 1, "prompts": [{"frame": 0}]}]}"#, "object 1, frame 0: the prompt is empty");
    check(
        r#"{"objects": [{"id": 1, "prompts": [{"frame": 0, "points": [[400, 4, 1]]}]}]}"#,
        "is outside the image",
    );
    check(r#"{"objects": [{"id": 1, "prompts": [{"frame": 0, "points": [[4, 4, 5]]}]}]}"#, "a point is X,Y");
    check(
        r#"{"objects": [{"id": 1, "prompts": [{"frame": 0, "box": [200, 4, 300, 9]}]}]}"#,
        "no part of the image",
    );
    let mask = r#"{"size": [4, 4], "counts": [16]}"#;
    check(
        &format!(r#"{{"objects": [{{"id": 1, "prompts": [{{"frame": 0, "mask": {mask}}}]}}]}}"#),
        "the mask is 4x4",
    );
    let object = r#"{"id": 1, "prompts": [{"frame": 0, "points": [[4, 4, 1]]}]}"#;
    check(&format!(r#"{{"objects": [{object}, {object}]}}"#), "two objects have the id 1");
}

#[test]
fn a_place_that_cannot_be_written_is_said_and_the_old_file_stays() {
    let folder = folder();
    let here = folder.path();
    let photo = ["segment", "photo.png", "--point", "40,36", "--out"];
    segue::fail(here, &[&photo[..], &["photo.png/out.json"]].concat(), 1, "cannot write photo.png/out.json");
    segue::succeed(here, &[&photo[..], &["new/folder/out.png"]].concat());
    assert!(here.join("new/folder/out.png").is_file(), "missing folders are made");
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = folder();
    write(folder.path(), "out.json", "the old file");
    let prompts = r#"{"objects": [{"id": 1, "prompts": [{"frame": 0, "points": [[40, 36, 1]]}]}]}"#;
    write(folder.path(), "prompts.json", prompts);
    // No file may grow past a block: writes fail as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let program = segue::program();
    let words = ["track", "clip", "--prompts", "prompts.json", "--out", "out.json"];
    let output = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", limited, "sh"])
        .arg(program)
        .args(words)
        .output()
        .unwrap();
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("cannot write out.json"), "{sentence}");
    assert_eq!(std::fs::read_to_string(folder.path().join("out.json")).unwrap(), "the old file");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".segue")), "{left:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_the_frames_that_are_finished() {
    const N_FRAMES: usize = 400;
    let folder = folder();
    let clip = folder.path().join("long");
    std::fs::create_dir(&clip).unwrap();
    for t in 0..N_FRAMES {
        std::fs::hard_link(folder.path().join("photo.png"), clip.join(format!("{t}.png"))).unwrap();
    }
    let prompts = r#"{"objects": [{"id": 1, "prompts": [{"frame": 0, "points": [[40, 36, 1]]}]}]}"#;
    write(folder.path(), "prompts.json", prompts);
    let track = std::process::Command::new(segue::program())
        .current_dir(folder.path())
        .args(["track", "long", "--prompts", "prompts.json", "--out", "out.json"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &track.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = track.wait_with_output().unwrap();
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    assert!(
        sentence.contains("canceled; the ") && sentence.contains("finished frames are in out.json"),
        "{sentence}"
    );
    let coco = read_json(&folder.path().join("out.json"));
    assert!(coco["annotations"].as_array().unwrap().len() < N_FRAMES);
}

#[test]
fn devices_and_models_say_what_there_is() {
    let folder = folder();
    let devices = segue::succeed(folder.path(), &["devices"]);
    assert!(devices.contains("cpu"), "{devices}");
    assert!(devices.contains("used"), "{devices}");
    let models = segue::succeed(folder.path(), &["models", "list"]);
    assert!(models.contains("builtin") && models.contains("sam2.1-tiny"), "{models}");
    let path = folder.path().join("nano.safetensors");
    formula::write_tensors(&formula::tensors(&formula::nano(128), 0.0), Some(&formula::nano(128)), &path);
    let said = segue::succeed(folder.path(), &["models", "check", "nano.safetensors"]);
    assert!(said.contains("SAM 2.1") && said.contains("128x128"), "{said}");
    segue::fail(folder.path(), &["models", "check", "photo.png"], 1, "neither a PyTorch file");
}

#[test]
fn the_demo_writes_what_it_says() {
    let folder = folder();
    let said = segue::succeed(folder.path(), &["demo", "--out", "demo"]);
    assert!(said.contains("results are in"), "{said}");
    for file in
        ["photo.png", "photo-mask.png", "photo-overlay.png", "clip.mp4", "clip.json", "clip-overlay.mp4"]
    {
        assert!(folder.path().join("demo").join(file).exists(), "{file}");
    }
    write(folder.path(), "clip.json", "mine");
    segue::fail(folder.path(), &["demo", "--out", "."], 1, "is there already and not of an earlier demo");
    assert_eq!(std::fs::read_to_string(folder.path().join("clip.json")).unwrap(), "mine");
}

/// What is left of a video that was cut off before its pictures: its header, which says that there is a stream.
#[test]
fn a_video_without_pictures_gets_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.mp4");
    crate::tracks::write_clip(&path, 3);
    let whole = std::fs::read(&path).unwrap();
    let (mut left, mut at) = (Vec::new(), 0);
    while at < whole.len() {
        let n = u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
        if &whole[at + 4..at + 8] != b"mdat" {
            left.extend_from_slice(&whole[at..at + n]);
        }
        at += n;
    }
    write_atomically(&path, |out| std::io::Write::write_all(out, &left)).unwrap();
    write(
        folder.path(),
        "p.json",
        r#"{"objects": [{"id": 1, "category": "a", "prompts": [{"frame": 0, "points": [[9, 9, 1]]}]}]}"#,
    );
    let words = ["track", "cut.mp4", "--prompts", "p.json", "--out", "o.json"];
    segue::fail(folder.path(), &words, 1, "cut.mp4");
}

#[test]
fn objects_of_a_project_keep_the_ids_of_their_prompts() {
    let folder = tempfile::tempdir().unwrap();
    crate::tracks::write_clip(&folder.path().join("clip.mp4"), 4);
    let desk = crate::desk::Desk::on(folder, crate::desk::fake());
    let folder = desk.folder.path().to_owned();
    let project = desk.session.file().unwrap().path.clone();
    let project = project.to_str().unwrap();
    let crate::desk::Desk { folder: _kept, session, engine, .. } = desk;
    drop((session, engine));
    let object = |id: u32, x: u32| json!({"id": id, "category": format!("c{id}"), "prompts": [{"frame": 0, "points": [[x, 55, 1]]}]});
    let track = |objects: &[Json]| {
        write(&folder, "p.json", &json!({ "objects": objects }).to_string());
        let words = ["track", project, "--prompts", "p.json", "--out", "o.json", "--size", "128"];
        segue::run(&folder, &words)
    };
    let known = |objects: &[Json]| {
        let output = track(objects);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let store = engine::project::Store::open(Path::new(project)).unwrap();
        store.history.now().objects.keys().map(|(_, id)| id.0).collect::<Vec<u32>>()
    };
    assert_eq!(known(&[object(10, 25), object(2, 120)]), [2, 10]);
    assert_eq!(known(&[object(10, 25), object(2, 120)]), [2, 10], "they are known now");
    let twice = track(&[object(3, 25), object(3, 120)]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("two objects have the id 3"));
    let words = ["track", project, "--prompts", "p.json", "--overlay", "x.mp4"];
    segue::fail(&folder, &words, 1, "are for videos, not for projects");
}

#[test]
fn a_photo_that_is_cut_off_does_not_end_a_search_and_is_not_passed_over() {
    let folder = folder();
    let photo = std::fs::read(folder.path().join("photo.png")).unwrap();
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join("photos").join(name);
        write_atomically(&path, |out| std::io::Write::write_all(out, bytes)).unwrap();
    };
    put("a.png", &photo[..photo.len() / 2]);
    put("b.png", &photo);
    let words =
        ["detect", "photos", "--example", "photo.png:60,60,120,120", "--threshold", "0.1", "--out", "o.json"];
    segue::fail(folder.path(), &words, 1, "one frame was not looked at");
    let found = read_json(&folder.path().join("o.json"));
    assert!(!found["annotations"].as_array().unwrap().is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_said_before_the_work() {
    let folder = folder();
    write(folder.path(), "LABELS", "mine");
    let detect = ["detect", "photo.png", "--example", "photo.png:60,60,120,120", "--out"];
    segue::fail(
        folder.path(),
        &[&detect[..], &["LABELS"]].concat(),
        1,
        "a name without an ending means a folder",
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("LABELS")).unwrap(), "mine");
    segue::fail(folder.path(), &[&detect[..], &["LABELS/o.json"]].concat(), 1, "cannot write");
}
