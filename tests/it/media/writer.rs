//! Videos that Segue writes.

use std::fs;

use engine::{
    geometry::Size,
    media::{FrameSource, MediaError, VideoWriter},
};
use image::{Rgb, RgbImage};

use super::{check_error, count_frames, run, write};

/// A picture of four colors that drift from frame to frame.
fn picture(size: Size, frame: usize) -> RgbImage {
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let left = (x as usize) < size.width / 2 + frame;
        let top = (y as usize) < size.height / 2;
        Rgb(match (left, top) {
            (true, true) => [200, 40, 40],
            (false, true) => [40, 200, 40],
            (true, false) => [40, 40, 200],
            (false, false) => [230, 230, 230],
        })
    })
}

#[test]
fn a_written_video_reads_back() {
    for size in [Size::new(96, 64), Size::new(97, 63), Size::new(33, 32)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overlay.mp4");
        let mut writer = VideoWriter::create(&path, size, 30_000.0 / 1001.0).unwrap();
        for frame in 0..10 {
            writer.push(&picture(size, frame)).unwrap();
        }
        assert!(!path.exists(), "the file must be complete when it appears");
        writer.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

        assert_eq!(count_frames(folder.path(), "overlay.mp4"), 10);
        let tags = "stream=codec_name,pix_fmt,color_range,color_space,r_frame_rate";
        let printed = run("ffprobe", folder.path(), &format!("-show_entries {tags} -of csv=p=0 overlay.mp4"));
        assert_eq!(printed.trim(), "h264,yuv420p,tv,bt709,30000/1001");
        let mut source = FrameSource::open(&path).unwrap();
        let even = Size::new(size.width.next_multiple_of(2), size.height.next_multiple_of(2));
        assert_eq!(source.size(), even);
        for frame in [0, 9] {
            let (read, pushed) = (source.frame(frame).unwrap(), picture(size, frame));
            for (x, y) in
                [(5, 5), (size.width - 2, 5), (5, size.height - 5), (size.width - 2, size.height - 2)]
            {
                let [a, b] = [&read, &pushed].map(|image| image.get_pixel(x as u32, y as u32).0);
                let worst = a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).max();
                assert!(worst <= Some(8), "{size} frame {frame} at {x}, {y}: {a:?} for {b:?}");
            }
        }
    }
}

#[test]
fn a_dropped_writer_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay.mp4");
    write(&path, b"old");
    let size = Size::new(32, 32);
    let mut writer = VideoWriter::create(&path, size, 25.0).unwrap();
    writer.push(&picture(size, 0)).unwrap();
    drop(writer);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let size = Size::new(32, 32);
    let file = folder.path().join("file");
    write(&file, b"no folder");
    let inside = file.join("overlay.mp4");
    let error = VideoWriter::create(&inside, size, 25.0).err().unwrap();
    assert!(matches!(error, MediaError::Write { .. }), "{error}");
    assert!(error.to_string().ends_with(&inside.display().to_string()), "{error}");

    let path = folder.path().join("overlay.mp4");
    let rate = "cannot write video: 0 is not a number of frames per second";
    check_error(VideoWriter::create(&path, size, 0.0), &path, rate);
    check_error(
        VideoWriter::create(&path, Size::new(0, 9), 9.0),
        &path,
        "cannot write video: Invalid argument",
    );
    let mut writer = VideoWriter::create(&path, size, 25.0).unwrap();
    let text = "cannot write video: a frame of 8x8 pixels is among frames of 32x32";
    check_error(writer.push(&picture(Size::square(8), 0)), &path, text);
}
