//! Every frame is the same however it is reached, and there are as many as FFmpeg counts.

use std::path::Path;

use engine::media::FrameSource;
use image::RgbImage;

use super::{count_frames, make_clip, run, write};

/// A video's frames, none for damaged ones.
type Shown = Vec<Option<RgbImage>>;

/// Fails unless the video has `n_frames` frames that are the same one after the other and in any order; returns them.
#[track_caller]
fn check_seeks(path: &Path, n_frames: usize) -> Shown {
    check_seeks_if(path, n_frames, |_, _| false)
}

/// As [`check_seeks`], where the first and the second reading of a frame may differ as `may_differ` says.
#[track_caller]
fn check_seeks_if(
    path: &Path,
    n_frames: usize,
    may_differ: fn(&Option<RgbImage>, &Option<RgbImage>) -> bool,
) -> Shown {
    let mut source = FrameSource::open(path).unwrap();
    assert_eq!(source.n_frames(), n_frames);
    let mut read = |frame: usize| match source.frame(frame) {
        Err(error) if error.damaged_frame() == Some(frame) => None,
        pixels => Some(pixels.unwrap()),
    };
    let in_order: Vec<_> = (0..n_frames).map(&mut read).collect();
    let moves = in_order.windows(2).all(|pair| pair[0] != pair[1] || pair[0].is_none());
    assert!(moves, "two neighbors are equal");

    let mut random = 1_u64;
    let jumps = (0..40).map(|_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % n_frames
    });
    for frame in jumps.chain((0..n_frames).rev().step_by(3)) {
        let again = read(frame);
        let is_same = again == in_order[frame] || may_differ(&again, &in_order[frame]);
        assert!(is_same, "frame {frame} differs after a jump");
    }
    let times: Vec<_> = (0..n_frames).map(|n| source.time(n)).collect();
    assert!(times[0] == 0.0 && times.is_sorted_by(|a, b| a < b), "{times:?}");
    in_order
}

/// Fails unless each of the frames is damaged or is the frame of the intact clip; returns the numbers of damaged ones.
#[track_caller]
fn check_against(frames: &[Option<RgbImage>], intact: &[Option<RgbImage>]) -> Vec<usize> {
    for (n, (frame, intact)) in frames.iter().zip(intact).enumerate() {
        assert!(frame.is_none() || frame == intact, "frame {n} is damaged and read");
    }
    (0..frames.len()).filter(|n| frames[*n].is_none()).collect()
}

#[track_caller]
fn check(options: &str, file: &str) {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), &format!("{options} {file}"));
    let frames = check_seeks(&folder.path().join(file), count_frames(folder.path(), file));
    assert!(frames.iter().all(Option::is_some), "an intact frame is called damaged");
}

const OPEN_GOP: &str = "-c:v libx264 -g 12 -bf 3 -x264-params open-gop=1";

const HEVC: &str = "-c:v libx265 -x265-params log-level=error:keyint=12:open-gop=1:bframes=3";

#[test]
fn h264_with_b_frames_and_open_gops() {
    check(OPEN_GOP, "clip.mp4");
    check(OPEN_GOP, "clip.mkv");
    check(OPEN_GOP, "clip.ts");
    check(OPEN_GOP, "clip.avi");
    check("-c:v libx264 -g 12 -bf 2", "clip.h264");
}

#[test]
fn h264_that_never_starts_afresh() {
    check("-c:v libx264 -g 20 -x264-params intra-refresh=1", "clip.mp4");
    check("-c:v libx264 -g 20 -x264-params intra-refresh=1", "clip.ts");
}

#[test]
fn h264_in_other_shapes() {
    check("-c:v libx264 -g 12 -pix_fmt yuv444p", "clip.mp4");
    check("-c:v libx264 -g 12 -pix_fmt yuv420p10le", "clip.mp4");
    check("-c:v libx264 -g 12 -x264-params interlaced=1", "clip.ts");
    check("-c:v libx264 -g 12 -vf scale=95:63 -pix_fmt yuv444p", "clip.mp4");
}

#[test]
fn hevc() {
    check(HEVC, "clip.mp4");
    check(HEVC, "clip.ts");
    check(&format!("{HEVC} -pix_fmt yuv420p10le"), "clip.mkv");
}

#[test]
fn vp8_and_vp9_with_hidden_frames() {
    check("-c:v libvpx -g 15 -auto-alt-ref 1 -lag-in-frames 16 -b:v 200k", "clip.webm");
    check("-c:v libvpx-vp9 -g 15 -auto-alt-ref 1 -lag-in-frames 16 -b:v 200k", "clip.webm");
}

#[test]
fn av1() {
    check("-c:v libaom-av1 -cpu-used 8 -g 15 -b:v 200k", "clip.mp4");
}

#[test]
fn older_codecs() {
    check("-c:v mjpeg -q:v 3", "clip.avi");
    check("-c:v mpeg4 -g 12 -bf 2", "clip.avi");
    check("-c:v mpeg4 -g 12 -bf 2", "clip.mp4");
    check("-c:v mpeg2video -g 12 -bf 2", "clip.mpg");
    check("-c:v mpeg2video -g 12 -bf 2", "clip.ts");
    check("-c:v ffv1", "clip.mkv");
    check("-c:v prores_ks", "clip.mov");
    check("-c:v libtheora -g 12", "clip.ogv");
}

#[test]
fn a_varying_frame_rate() {
    let slower = "-vf setpts='N*N/1000/TB+N*0.02/TB' -vsync vfr -c:v libx264 -g 12";
    check(slower, "clip.mp4");
    check(slower, "clip.mkv");
}

#[test]
fn frames_that_an_edit_list_hides() {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), &format!("{OPEN_GOP} whole.mp4"));
    run("ffmpeg", folder.path(), "-ss 0.7 -i whole.mp4 -c copy cut.mp4");
    let n_frames = count_frames(folder.path(), "cut.mp4");
    assert_eq!(n_frames, 42);
    check_seeks(&folder.path().join("cut.mp4"), n_frames);
}

#[test]
fn a_start_without_a_key_frame() {
    for options in [OPEN_GOP, HEVC] {
        let folder = tempfile::tempdir().unwrap();
        make_clip(folder.path(), &format!("{options} whole.ts"));
        let whole = std::fs::read(folder.path().join("whole.ts")).unwrap();
        write(&folder.path().join("cut.ts"), &whole[188 * 40..]);
        let n_frames = count_frames(folder.path(), "cut.ts");
        assert!(n_frames < 60);
        let cut = check_seeks(&folder.path().join("cut.ts"), n_frames);
        let intact = check_seeks(&folder.path().join("whole.ts"), 60);
        let damaged = check_against(&cut, &intact[60 - n_frames..]);
        assert!(damaged.iter().all(|frame| *frame < 12), "{damaged:?}");
    }
}

#[test]
fn files_that_were_cut_off() {
    for (options, file) in [
        (&*format!("{OPEN_GOP} -movflags faststart"), "clip.mp4"),
        (OPEN_GOP, "clip.mkv"),
        (OPEN_GOP, "clip.ts"),
        ("-c:v libvpx-vp9 -g 15 -b:v 200k", "clip.webm"),
        ("-c:v mpeg4 -g 12", "clip.avi"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make_clip(folder.path(), &format!("{options} {file}"));
        let path = folder.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        write(&path, &whole[..whole.len() * 6 / 10]);
        let n_frames = count_frames(folder.path(), file);
        assert!((20..50).contains(&n_frames));
        let cut = check_seeks(&path, n_frames);
        write(&path, &whole);
        let damaged = check_against(&cut, &check_seeks(&path, 60));
        assert!(damaged.iter().all(|frame| *frame > n_frames - 8), "{file}: {damaged:?}");
    }
}

#[test]
fn streams_joined_where_they_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), &format!("{HEVC} whole.ts"));
    let whole = std::fs::read(folder.path().join("whole.ts")).unwrap();
    write(&folder.path().join("joined.ts"), &[&whole, &whole[188 * 40..], &whole].concat());
    let n_frames = count_frames(folder.path(), "joined.ts");
    assert!(n_frames > 160);
    // Frames may count as damaged once a key frame behind the joint has turned out to depend on frames before it.
    let may_differ = |a: &Option<RgbImage>, b: &Option<RgbImage>| a.is_none() || b.is_none();
    let joined = check_seeks_if(&folder.path().join("joined.ts"), n_frames, may_differ);
    let intact = check_seeks(&folder.path().join("whole.ts"), 60);
    // Which picture comes out at the joint itself, no decoder says.
    let around_joint = 57;
    assert_eq!(check_against(&joined[..around_joint], &intact), Vec::<usize>::new());
    assert_eq!(check_against(&joined[n_frames - 60..], &intact), Vec::<usize>::new());
}

#[test]
fn damage_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), &format!("{OPEN_GOP} clip.ts"));
    let path = folder.path().join("clip.ts");
    let mut bytes = std::fs::read(&path).unwrap();
    let third = bytes.len() / 3;
    bytes[third..third + 2000].iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * n / 7) as u8);
    write(&path, &bytes);
    let frames = check_seeks(&path, count_frames(folder.path(), "clip.ts"));
    let source = FrameSource::open(&path).unwrap();
    let numbers: Vec<usize> = (0..frames.len()).map(|n| (25.0 * source.time(n)).round() as usize).collect();
    make_clip(folder.path(), &format!("{OPEN_GOP} -y clip.ts"));
    let intact = check_seeks(&path, 60);
    // Some packets are lost; what is left has its own time.
    let intact: Vec<_> = numbers.into_iter().map(|n| intact[n].clone()).collect();
    let damaged = check_against(&frames, &intact);
    assert!((1..20).contains(&damaged.len()), "{damaged:?}");
}
