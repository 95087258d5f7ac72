//! temporary
use engine::media::{FrameSource, image_size, read_image};
use std::{fs, path::PathBuf};
fn main() {
    let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let minutes: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let mut state = seed.wrapping_mul(0x9E3779B97F4A7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for group in ["deep", "tiff", "pages", "common", "turned", "avif", "heic", "jxl"] {
        for e in fs::read_dir(format!("/tmp/imgtest/{group}")).unwrap() {
            let p = e.unwrap().path();
            if p.extension().is_none_or(|e| e != "rgb") {
                files.push(p);
            }
        }
    }
    files.sort();
    let out = PathBuf::from(format!("/tmp/imgtest/fuzz{seed}.bin"));
    let start = std::time::Instant::now();
    let (mut n, mut ok, mut worst) = (0, 0, 0.0);
    while start.elapsed().as_secs() < 60 * minutes {
        let path = &files[next() as usize % files.len()];
        let mut bytes = fs::read(path).unwrap();
        for _ in 0..1 + next() % 6 {
            // heads and ends matter most
            let len = bytes.len() as u64;
            if len == 0 {
                break;
            }
            let at = match next() % 3 {
                0 => next() % len.min(200),
                1 => len - 1 - next() % len.min(400),
                _ => next() % len,
            } as usize;
            match next() % 4 {
                0 => bytes[at] = next() as u8,
                1 => bytes[at] = 255,
                2 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    if next() % 8 == 0 {
                        bytes.truncate(at)
                    } else {
                        bytes[at] = 0
                    }
                }
            }
        }
        fs::write(&out, &bytes).unwrap();
        n += 1;
        let t = std::time::Instant::now();
        let r = std::panic::catch_unwind(|| {
            let size = image_size(&out);
            let image = read_image(&out);
            if let Ok(image) = &image {
                let size = size.as_ref().expect("size of what is read");
                assert_eq!((size.width as u32, size.height as u32), image.dimensions());
            }
            if let Ok(mut source) = FrameSource::open(&out) {
                for f in [source.n_frames() - 1, 0] {
                    if let Ok(image) = source.frame(f) {
                        assert_eq!(
                            (image.width() as usize, image.height() as usize),
                            (source.size().width, source.size().height)
                        );
                    }
                }
            }
            image.is_ok()
        });
        let e = t.elapsed().as_secs_f64();
        if e > worst {
            worst = e;
            println!("{e:.2} s: {}", path.display());
            if e > 2.0 {
                fs::copy(&out, format!("/tmp/imgtest/slow-{seed}-{n}.bin")).unwrap();
            }
        }
        match r {
            Ok(r) => ok += u32::from(r),
            Err(_) => {
                println!("PANIC {}", path.display());
                fs::copy(&out, format!("/tmp/imgtest/panic-{seed}-{n}.bin")).unwrap();
            }
        }
    }
    println!("{n} runs, {ok} read");
}
