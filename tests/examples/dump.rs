//! Dump.
use std::{collections::hash_map::DefaultHasher, hash::{Hash as _, Hasher as _}};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let start = std::time::Instant::now();
    let mut s = match engine::media::FrameSource::open(std::path::Path::new(&a[1])) { Ok(s) => s, Err(e) => { println!("ERR {e}"); return; } };
    println!("# n {} size {} fps {:.4} aspect {:?} open {:.2}s", s.n_frames(), s.size(), s.fps(), s.pixel_aspect(), start.elapsed().as_secs_f32());
    for r in s.remarks() { println!("# remark {r}"); }
    let start = std::time::Instant::now();
    let order = a.get(2).cloned().unwrap_or_default();
    let n = s.n_frames();
    let frames: Vec<usize> = match &*order { "rev" => (0..n).rev().collect(), "rand" => (0..n).map(|i| (i * 7919 + 13) % n).collect(), _ => (0..n).collect() };
    let mut bad = std::collections::BTreeSet::new();
    let mut lines = vec![String::new(); n];
    for f in frames { lines[f] = match s.frame(f) { Ok(i) => {
        if let Some(d) = a.get(3) { std::fs::write(format!("{d}/{f:05}.rgb"), i.as_raw()).unwrap(); }
        let mut h = DefaultHasher::new(); i.as_raw().hash(&mut h); format!("{:x}", h.finish()) } Err(e) => { if bad.is_empty() { println!("# {e}"); } bad.insert(f); "bad".into() } }; }
    if !bad.is_empty() { println!("# {}", engine::media::damaged_frames(&bad, &s.file_name())); }
    println!("# times {:?} .. {:.4}", (0..n.min(6)).map(|f| (s.time(f) * 1e4).round() / 1e4).collect::<Vec<_>>(), s.time(n - 1));
    println!("# read {:.2}s", start.elapsed().as_secs_f32());
    for (f, l) in lines.iter().enumerate() { println!("{f} {l}"); }
}
