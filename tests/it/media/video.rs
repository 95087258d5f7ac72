//! What a video says of itself: colors, turn, times; and files that are no video.

use engine::{geometry::Size, media::FrameSource};
use image::DynamicImage;

use super::{check_error, make_clip, run, write};

/// Encodes a plain color with these options and gives what is read back.
#[track_caller]
fn read_color(source: &str, options: &str) -> [u8; 3] {
    let folder = tempfile::tempdir().unwrap();
    let options = format!("-f lavfi -i color={source}:r=5:d=1 {options} -qp 4 -y clip.mp4");
    run("ffmpeg", folder.path(), &options);
    FrameSource::open(&folder.path().join("clip.mp4")).unwrap().frame(3).unwrap().get_pixel(20, 10).0
}

#[test]
fn colors_are_read_as_they_are_tagged() {
    for matrix in ["bt709", "smpte170m", "bt2020nc"] {
        for range in ["tv", "pc"] {
            for pixels in ["yuv420p", "yuv444p", "yuv420p10le"] {
                let scale = matrix.replace("nc", "");
                let color = read_color(
                    "0xE02850:s=64x48",
                    &format!(
                        "-vf scale=out_color_matrix={scale}:out_range={range}:flags=accurate_rnd,format={pixels} \
                         -c:v libx264 -colorspace {matrix} -color_range {range}"
                    ),
                );
                let worst = color.iter().zip([0xE0, 0x28, 0x50]).map(|(a, b)| a.abs_diff(b)).max();
                assert!(worst <= Some(3), "{matrix} {range} {pixels}: {color:?}");
            }
        }
    }
}

#[test]
fn untagged_colors_are_taken_as_players_do() {
    for (size, matrix) in [("64x48", "bt601"), ("1280x720", "bt709")] {
        let options =
            format!("-vf scale=out_color_matrix={matrix}:flags=accurate_rnd,format=yuv420p -c:v libx264");
        let color = read_color(&format!("0xE02850:s={size}"), &options);
        let worst = color.iter().zip([0xE0, 0x28, 0x50]).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(3), "{size}: {color:?}");
    }
}

#[test]
fn animated_avif_is_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let program = "import json, sys
from PIL import Image
levels = [0, 60, 120, 180, 240]
first, *rest = [Image.new('RGB', (64, 48), (level,) * 3) for level in levels]
first.save(f'{sys.argv[1]}/a.avif', save_all=True, append_images=rest, duration=100)
print(json.dumps(levels))";
    let levels: Vec<u8> = serde_json::from_value(crate::python::run(program, folder.path())).unwrap();
    let mut source = FrameSource::open(&folder.path().join("a.avif")).unwrap();
    assert_eq!((source.n_frames(), source.size(), source.is_video()), (5, Size::new(64, 48), true));
    assert!((source.fps() - 10.0).abs() < 0.1, "{}", source.fps());
    for (frame, level) in levels.into_iter().enumerate() {
        let found = source.frame(frame).unwrap().get_pixel(20, 20).0;
        assert!(found.iter().all(|value| value.abs_diff(level) <= 4), "{frame}: {found:?}, not {level}");
    }
}

#[test]
fn videos_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    make_clip(folder.path(), "-c:v libx264 -pix_fmt yuv444p clip.mp4");
    let mut file = std::fs::read(&path).unwrap();
    let flat = DynamicImage::from(FrameSource::open(&path).unwrap().frame(7).unwrap());
    let matrix = 44 + file.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
    // How far x and y on the screen move with x and y in the picture: the track header's a, b, c and d.
    for ([a, b, c, d], upright) in [
        ([0, 1, -1, 0], flat.rotate90()),
        ([-1, 0, 0, -1], flat.rotate180()),
        ([0, -1, 1, 0], flat.rotate270()),
        ([-1, 0, 0, 1], flat.fliph()),
        ([1, 0, 0, -1], flat.flipv()),
        ([0, 1, 1, 0], flat.rotate90().fliph()),
        ([0, -1, -1, 0], flat.rotate270().fliph()),
    ] {
        for (entry, value) in [(0, a), (1, b), (3, c), (4, d)] {
            let at = matrix + 4 * entry;
            file[at..at + 4].copy_from_slice(&(value * 0x1_0000_i32).to_be_bytes());
        }
        write(&path, &file);
        let mut source = FrameSource::open(&path).unwrap();
        assert_eq!(source.size(), Size::new(upright.width() as usize, upright.height() as usize));
        assert!(source.frame(7).unwrap() == upright.into_rgb8(), "{a} {b} {c} {d}");
    }
}

#[test]
fn names_rates_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a clip: 100% ü.mp4");
    make_clip(folder.path(), "-c:v libx264 -bf 2 clip.mp4");
    std::fs::rename(folder.path().join("clip.mp4"), &path).unwrap();
    let mut source = FrameSource::open(&path).unwrap();
    assert_eq!((source.n_frames(), source.size(), source.fps()), (60, Size::new(96, 64), 25.0));
    assert_eq!(source.name(59), "a clip: 100% ü/000059.jpg");
    assert!((0..60).all(|n| (source.time(n) - n as f64 / 25.0).abs() < 1e-9));
    check_error(source.frame(60), &path, "cannot read frame 60: there are 60, counted from 0");
}

#[test]
fn a_change_of_size_is_scaled_to_the_first() {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), "-c:v libx264 a.ts");
    make_clip(folder.path(), "-vf scale=48:32 -c:v libx264 b.ts");
    let [a, b] = ["a.ts", "b.ts"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
    let path = folder.path().join("both.ts");
    write(&path, &[a, b].concat());
    let mut source = FrameSource::open(&path).unwrap();
    let last = source.n_frames() - 1;
    assert_eq!(source.frame(last).unwrap().dimensions(), (96, 64));
}

#[test]
fn what_is_no_video_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foo.mp4");
    let unknown = "cannot open file: it is no image or video that Segue knows, or was cut off";
    write(&path, b"");
    check_error(FrameSource::open(&path), &path, "cannot read file: it is empty");
    write(&path, b"hello, world\n".repeat(100).as_slice());
    check_error(FrameSource::open(&path), &path, unknown);
    // An index at the end of the file is cut off with it.
    make_clip(folder.path(), "-c:v libx264 whole.mp4");
    let whole = std::fs::read(folder.path().join("whole.mp4")).unwrap();
    write(&path, &whole[..whole.len() / 2]);
    check_error(FrameSource::open(&path), &path, unknown);
    run("ffmpeg", folder.path(), "-y -f lavfi -i sine=d=1 sound.wav");
    let sound = folder.path().join("sound.wav");
    check_error(FrameSource::open(&sound), &sound, "cannot open video: the file holds no video");
}

#[test]
fn damage_in_the_middle_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    make_clip(folder.path(), "-c:v libx264 -g 12 -bf 2 clip.mp4");
    let path = folder.path().join("clip.mp4");
    let mut bytes = std::fs::read(&path).unwrap();
    let third = bytes.len() / 3;
    bytes[third..2 * third].iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * n / 7) as u8);
    write(&path, &bytes);
    let mut source = FrameSource::open(&path).unwrap();
    let n_read = (0..source.n_frames()).filter(|&n| source.frame(n).is_ok()).count();
    assert!(n_read > 10);
}

/// A palette comes with the first packet only, and decoding starts anew at every jump.
#[test]
fn palettes_survive_a_jump() {
    let folder = tempfile::tempdir().unwrap();
    run("ffmpeg", folder.path(), "-f lavfi -i testsrc2=s=64x48:r=10:d=1 -c:v rawvideo -pix_fmt pal8 pal.avi");
    let rgb = "-i pal.avi -f rawvideo -pix_fmt rgb24 all.rgb";
    run("ffmpeg", folder.path(), rgb);
    let all = std::fs::read(folder.path().join("all.rgb")).unwrap();
    let mut source = FrameSource::open(&folder.path().join("pal.avi")).unwrap();
    for frame in [0, 5, 2, 9] {
        let image = source.frame(frame).unwrap();
        let n = image.as_raw().len();
        assert!(*image.as_raw() == all[frame * n..][..n], "frame {frame}");
    }
}
