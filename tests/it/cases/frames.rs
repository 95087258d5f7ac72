//! Frames of videos: labels count them from 0, from 1 or by every fifth, and mean the same in a file and in a folder of frames.

use serde_json::{Value as Json, json};

use super::Case;
use crate::media;

/// Frames that every file labels, from 0; the left edge of a label is ten times its frame.
const FRAMES: [usize; 3] = [0, 4, 11];

/// A case with a video of 12 frames, `v/clip.mp4`, and the same frames in folders from 0 and from 1.
fn case() -> Case {
    let case = Case::new(&[]);
    for first in [0, 1] {
        case.path(&format!("from{first}/clip/x"));
        let options = "-f lavfi -i testsrc2=s=200x80:r=10:d=1.2";
        media::run(
            "ffmpeg",
            case.folder.path(),
            &format!("{options} -start_number {first} from{first}/clip/%06d.jpg"),
        );
    }
    case.path("v/x");
    media::run(
        "ffmpeg",
        case.folder.path(),
        "-f lavfi -i testsrc2=s=200x80:r=10:d=1.2 -c:v libx264 v/clip.mp4",
    );
    case
}

/// A COCO file whose images have these fields besides their ids and sizes.
fn coco(fields: impl Fn(usize) -> Json) -> String {
    let image = |frame: &usize| {
        let mut image = json!({"id": frame + 1, "width": 200, "height": 80});
        image.as_object_mut().unwrap().extend(fields(*frame).as_object().unwrap().clone());
        image
    };
    let annotation = |frame: &usize| json!({"id": frame + 1, "image_id": frame + 1, "category_id": 1, "bbox": [10 * frame, 10, 20, 20]});
    let images: Vec<Json> = FRAMES.iter().map(image).collect();
    let annotations: Vec<Json> = FRAMES.iter().map(annotation).collect();
    json!({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}],
        "videos": [{"id": 1, "name": "clip"}]})
    .to_string()
}

/// The frames of all labels in the project, and the frames that their left edges say.
#[track_caller]
fn frames(case: &Case, labels: &str, words: &[&str]) -> (Vec<u64>, Vec<u64>, String) {
    let said = case.import(labels, words);
    let coco = case.coco("p.segue");
    std::fs::remove_file(case.folder.path().join("p.segue")).unwrap();
    let image =
        |id: &Json| coco["images"].as_array().unwrap().iter().find(|image| image["id"] == *id).unwrap();
    let labels = coco["annotations"].as_array().unwrap().iter();
    let mut found: Vec<(u64, u64)> = labels
        .map(|label| {
            let frame = image(&label["image_id"])["frame_index"].as_u64().unwrap();
            (frame, (label["bbox"][0].as_f64().unwrap() / 10.0) as u64)
        })
        .collect();
    found.sort_unstable();
    let (frames, told) = found.into_iter().unzip();
    (frames, told, said)
}

#[test]
fn frames_are_the_same_in_a_video_and_in_its_frames() {
    let case = case();
    let row = |frame: &usize| format!("{},1,{},11,20,20,1,1,1\n", frame + 1, 10 * frame + 1);
    case.bytes("mot/clip/gt/gt.txt", FRAMES.iter().map(row).collect::<String>().as_bytes());
    case.bytes("index/c.json", coco(|frame| json!({"file_name": format!("clip/x{frame:03}.jpg"), "frame_index": frame, "video_id": 1})).as_bytes());
    // One tool counts `frame_id` from 0, another as the files.
    case.bytes("id0/c.json", coco(|frame| json!({"file_name": format!("clip/{:06}.jpg", frame + 1), "frame_id": frame, "video_id": 1})).as_bytes());
    case.bytes("id1/c.json", coco(|frame| json!({"file_name": format!("clip/{:06}.jpg", frame + 1), "frame_id": frame + 1, "video_id": 1})).as_bytes());
    case.bytes(
        "alone/c.json",
        coco(|frame| json!({"file_name": format!("clip/img{:05}.jpg", frame + 1), "frame_index": frame}))
            .as_bytes(),
    );
    for labels in ["mot", "index", "id0", "id1", "alone"] {
        for media in [&["--media", "v/clip.mp4"], &["--frames", "from0/clip"], &["--frames", "from1/clip"]] {
            if labels == "id1" && media[1] == "from0/clip" {
                // Neither numbers nor names are those of the files.
                continue;
            }
            let (found, told, said) = frames(&case, labels, media);
            assert_eq!(found, [0, 4, 11], "{labels} {media:?}: {said}");
            assert_eq!(found, told, "{labels} {media:?}");
        }
    }
}

#[test]
fn names_tell_whether_frames_are_counted_from_1() {
    let case = case();
    let name = |labels: &str, frame: usize| match labels {
        "ffmpeg" => format!("clip/{:06}.jpg", frame + 1),
        "ultralytics" => format!("clip_{}.jpg", frame + 1),
        "opencv" => format!("clip/frame{frame}.jpg"),
        "cvat" => format!("frame_{frame:06}.PNG"),
        _ => format!("clip/{frame:06}.jpg"),
    };
    for labels in ["ffmpeg", "ultralytics", "opencv", "cvat", "segue"] {
        case.bytes(
            &format!("{labels}/c.json"),
            coco(|frame| json!({"file_name": name(labels, frame)})).as_bytes(),
        );
        let (found, told, said) = frames(&case, labels, &["--media", "v/clip.mp4"]);
        assert_eq!(found, [0, 4, 11], "{labels}: {said}");
        assert_eq!(found, told, "{labels}");
        assert_eq!(
            said.contains("count its frames from 1"),
            ["ffmpeg", "ultralytics"].contains(&labels),
            "{said}"
        );
    }
}

#[test]
fn names_of_every_fifth_frame_are_frames_of_the_video() {
    let case = case();
    let names: Vec<String> = (0..3).map(|place| format!("clip/{:05}.jpg", 5 * place)).collect();
    let boxes = json!([[0, 10, 20, 20], [50, 10, 20, 20], [100, 10, 20, 20]]);
    let list = json!({"videos": [{"id": 1, "width": 200, "height": 80, "length": 3, "file_names": names}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "bboxes": boxes, "segmentations": [null, null, null]}]});
    case.bytes("y.json", list.to_string().as_bytes());
    for media in [&["--media", "v/clip.mp4"], &["--frames", "from0/clip"]] {
        let (found, told, _) = frames(&case, "y.json", media);
        assert_eq!(found, [0, 5, 10], "{media:?}");
        assert_eq!(found, told, "{media:?}");
    }
}

#[test]
fn frames_that_cvat_saved_are_those_of_the_task() {
    let case = case();
    case.path("task/images/x");
    let saved = "-f lavfi -i testsrc2=s=200x80:r=10:d=1.2 -start_number 0 task/images/frame_%06d.PNG";
    media::run("ffmpeg", case.folder.path(), saved);
    let shape = |frame: usize| {
        let left = 10 * frame;
        format!(
            r#"<box frame="{frame}" keyframe="1" outside="0" xtl="{left}" ytl="10" xbr="{}" ybr="30"/>"#,
            left + 20
        )
    };
    let xml = format!(
        r#"<annotations><meta><task><size>12</size><source>clip.mp4</source><labels><label><name>cat</name></label></labels>
        <original_size><width>200</width><height>80</height></original_size></task></meta>
        <track id="0" label="cat">{}{}</track></annotations>"#,
        shape(0),
        shape(11)
    );
    case.bytes("task/annotations.xml", xml.as_bytes());
    for media in [&["--frames", "task/images"], &["--media", "v/clip.mp4"]] {
        let (found, told, said) = frames(&case, "task/annotations.xml", media);
        assert_eq!(found, (0..12).collect::<Vec<_>>(), "{media:?}: {said}");
        assert_eq!(found, told, "{media:?}");
    }
}

#[test]
fn odd_names_do_not_move_frames() {
    let case = case();
    // A number that is the same in all names, one that continues another sequence, and indices that count from 1.
    case.bytes("suffix/c.json", coco(|frame| json!({"file_name": format!("clip/{frame:06}_10.png"), "frame_index": frame, "video_id": 1})).as_bytes());
    case.bytes("one/c.json", coco(|frame| json!({"file_name": format!("clip/{:06}.jpg", frame + 1), "frame_index": frame + 1, "video_id": 1})).as_bytes());
    for labels in ["suffix", "one"] {
        for media in [&["--media", "v/clip.mp4"], &["--frames", "from1/clip"]] {
            let (found, told, said) = frames(&case, labels, media);
            assert_eq!(found, [0, 4, 11], "{labels} {media:?}: {said}");
            assert_eq!(found, told, "{labels} {media:?}");
        }
    }
    // A frame of another video that CVAT would call the same.
    case.bytes(
        "other/c.json",
        coco(|frame| json!({"file_name": format!("b/frame_{frame:06}.jpg")})).as_bytes(),
    );
    crate::segue::fail(
        case.folder.path(),
        &["import", "other", "--into", "p.segue", "--media", "v/clip.mp4"],
        1,
        "nothing was added",
    );
}

#[test]
fn labels_without_a_video_are_of_the_only_one() {
    let case = case();
    let rows: String =
        FRAMES.iter().map(|frame| format!("{},1,{},11,20,20,1,1,1\n", frame + 1, 10 * frame + 1)).collect();
    let shape = |frame: &usize| {
        let x = 10 * frame;
        format!(
            r#"<box frame="{frame}" outside="0" keyframe="1" xtl="{x}" ytl="10" xbr="{}" ybr="30"/>"#,
            x + 20
        )
    };
    let track = |n: usize| format!(r#"<track id="{n}" label="cat">{}</track>"#, shape(&FRAMES[n]));
    let tracks: String = (0..3).map(track).collect();
    case.bytes("task/gt/gt.txt", rows.as_bytes());
    case.bytes("results/tracker.txt", rows.as_bytes());
    case.bytes("cvat/annotations.xml", format!("<annotations>{tracks}</annotations>").as_bytes());
    for labels in ["task", "task/gt/gt.txt", "results/tracker.txt", "cvat"] {
        let (found, told, said) = frames(&case, labels, &["--media", "v/clip.mp4"]);
        assert!(said.contains("v/clip.mp4") && said.contains("do not name their video"), "{labels}: {said}");
        assert_eq!(found, told, "{labels}");
    }
    // Of two videos none is chosen; nor a video that is too short, or one of another name.
    let refused = |labels: &str, media: &[&str]| {
        let words = [&["import", labels, "--into", "p.segue"], media].concat();
        crate::segue::fail(case.folder.path(), &words, 1, "nothing was added");
    };
    let two = ["import", "task", "--into", "p.segue", "--media", "v/clip.mp4", "--frames", "from0/clip"];
    crate::segue::fail(case.folder.path(), &two, 1, "it may be ");
    case.bytes("long/gt.txt", b"13,1,11,11,20,20,1,1,1\n");
    refused("long", &["--media", "v/clip.mp4"]);
    case.bytes("task/seqinfo.ini", b"[Sequence]\nname=other\n");
    refused("task", &["--media", "v/clip.mp4"]);
}

/// A video in YouTube-VIS whose frames have these names; the left edge of a label is ten times its place in the list.
fn youtube_vis(names: &[&str]) -> String {
    let boxes: Vec<Json> = (0..names.len()).map(|place| json!([10 * place, 10, 20, 20])).collect();
    json!({"videos": [{"id": 1, "file_names": names, "width": 200, "height": 80, "length": names.len()}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "bboxes": boxes}],
        "categories": [{"id": 1, "name": "cat"}]})
    .to_string()
}

#[test]
fn names_of_frames_count_before_their_order() {
    let case = case();
    let names = ["clip/00003.jpg", "clip/00006.jpg", "clip/00009.jpg", "clip/00012.jpg"];
    case.bytes("y.json", youtube_vis(&names).as_bytes());
    for number in [0, 3, 6, 9] {
        let from = case.path(&format!("from0/clip/{number:06}.jpg"));
        std::fs::copy(from, case.path(&format!("gaps/clip/{number:05}.jpg"))).unwrap();
    }
    let (found, told, said) = frames(&case, "y.json", &["--media", "v/clip.mp4"]);
    assert_eq!((&found[..], &told[..]), (&[3, 6, 9][..], &[0, 1, 2][..]), "{said}");
    assert!(
        said.contains("clip/00012.jpg is not taken: its video ends before it, after 12 frames"),
        "{said}"
    );
    let (found, told, said) = frames(&case, "y.json", &["--frames", "gaps/clip"]);
    assert_eq!((&found[..], &told[..]), (&[1, 2, 3][..], &[0, 1, 2][..]), "{said}");
}

#[test]
fn cvat_counts_frames_from_0_whatever_the_last_one_is() {
    let case = case();
    let shape = |frame: usize| {
        let x = 10 * frame;
        format!(
            r#"<box frame="{frame}" outside="0" keyframe="1" xtl="{x}" ytl="10" xbr="{}" ybr="30"/>"#,
            x + 20
        )
    };
    let tracks: String =
        [9, 12].map(|frame| format!(r#"<track id="{frame}" label="cat">{}</track>"#, shape(frame))).concat();
    let meta = "<meta><source>clip.mp4</source></meta>";
    case.bytes("a.xml", format!("<annotations>{meta}{tracks}</annotations>").as_bytes());
    let (found, told, said) = frames(&case, "a.xml", &["--media", "v/clip.mp4"]);
    assert_eq!((found, told), (vec![9], vec![9]), "{said}");
    assert!(said.contains("its video ends before it"), "{said}");
}

#[test]
fn rule_for_numbers_of_frames_is_said() {
    let case = case();
    for number in 0..12 {
        let from = case.path(&format!("from0/clip/{number:06}.jpg"));
        std::fs::copy(from, case.path(&format!("late/clip/{:06}.jpg", number + 5))).unwrap();
    }
    let row = |frame: usize| format!("{frame},1,{},11,20,20,1,1,1\n", 10 * frame + 1);
    // As numbers of files 5 to 16, and as positions 1 to 12.
    for (rows, want, how) in
        [([6, 8], [1, 3], "the numbers in the names"), ([1, 12], [0, 11], "the order of its images")]
    {
        case.bytes("clip/gt/gt.txt", rows.map(row).concat().as_bytes());
        let (found, _, said) = frames(&case, "clip", &["--frames", "late/clip"]);
        assert_eq!(found, want, "{said}");
        assert!(said.contains(how), "{said}");
    }
}

#[test]
fn track_of_a_longer_file_continues() {
    let case = case();
    let rows = |frames: &[usize]| -> String {
        frames.iter().map(|frame| format!("{frame},7,11,11,20,20,1,1,1\n")).collect()
    };
    case.bytes("clip/gt/gt.txt", rows(&[1, 2]).as_bytes());
    case.import("clip", &["--media", "v/clip.mp4"]);
    case.bytes("clip/gt/gt.txt", rows(&[1, 2, 3]).as_bytes());
    let said = case.import("clip", &[]);
    assert!(said.contains("1 annotation on 1 image added; already in the project: 2"), "{said}");
    let coco = case.coco("p.segue");
    let tracks: std::collections::BTreeSet<i64> = coco["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label["track_id"].as_i64().unwrap())
        .collect();
    assert_eq!(tracks.len(), 1, "{coco}");
}
