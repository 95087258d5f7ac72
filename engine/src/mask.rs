//! TEMPORARY.
use crate::geometry::Size;
/// m
#[derive(Clone, Debug, PartialEq)]
pub struct Mask { size: Size, bits: Vec<bool> }
impl Mask {
    /// n
    pub fn new(size: Size, bits: Vec<bool>) -> Self { Self { size, bits } }
    /// b
    pub fn bits(&self) -> &[bool] { &self.bits }
    /// s
    pub fn size(&self) -> Size { self.size }
    /// l
    pub fn from_logits(l: &[f32], size: Size) -> Self { Self { size, bits: l.iter().map(|v| *v > 0.0).collect() } }
    /// r
    pub fn resize(&self, to: Size) -> Self { let v: Vec<f32> = self.bits.iter().map(|&b| f32::from(u8::from(b))).collect(); Self { size: to, bits: resize_bilinear_antialias(&v, self.size, to).iter().map(|v| *v >= 0.5).collect() } }
}
/// r
pub fn resize_bilinear(s: &[f32], f: Size, t: Size) -> Vec<f32> {
    let ax = |i: usize, n: usize, o: usize| { let x = ((i as f32 + 0.5) * n as f32 / o as f32 - 0.5).max(0.0); let j = x as usize; (j, (j + 1).min(n - 1), x - j as f32) };
    let mut out = vec![];
    for y in 0..t.height { let (y0, y1, fy) = ax(y, f.height, t.height); for x in 0..t.width { let (x0, x1, fx) = ax(x, f.width, t.width);
        let g = |y: usize, x: usize| s[y * f.width + x];
        out.push((g(y0, x0) * (1. - fx) + g(y0, x1) * fx) * (1. - fy) + (g(y1, x0) * (1. - fx) + g(y1, x1) * fx) * fy); } }
    out
}
/// r
pub fn resize_bilinear_antialias(s: &[f32], f: Size, t: Size) -> Vec<f32> {
    let taps = |i: usize, n: usize, o: usize| -> Vec<(usize, f32)> { let sc = n as f32 / o as f32; let su = sc.max(1.0); let c = (i as f32 + 0.5) * sc;
        let a = ((c - su + 0.5) as i64).max(0) as usize; let b = ((c + su + 0.5) as usize).min(n);
        let w: Vec<(usize, f32)> = (a..b).map(|j| (j, (1.0 - (j as f32 + 0.5 - c).abs() / su).max(0.0))).collect(); let t: f32 = w.iter().map(|x| x.1).sum(); w.iter().map(|x| (x.0, x.1 / t)).collect() };
    let mut out = vec![];
    for y in 0..t.height { let ty = taps(y, f.height, t.height); for x in 0..t.width { let tx = taps(x, f.width, t.width);
        out.push(ty.iter().map(|(y, wy)| wy * tx.iter().map(|(x, wx)| wx * s[y * f.width + x]).sum::<f32>()).sum()); } }
    out
}
/// f
pub fn fill_holes(l: &mut [f32], s: Size, a: usize) {
    let mut seen = vec![false; l.len()];
    for start in 0..l.len() {
        if seen[start] || l[start] > 0.0 { continue }
        let mut stack = vec![start]; let mut all = vec![]; seen[start] = true;
        while let Some(i) = stack.pop() { all.push(i);
            let (y, x) = ((i / s.width) as i64, (i % s.width) as i64);
            for dy in -1..=1 { for dx in -1..=1 { let (yy, xx) = (y + dy, x + dx);
                if yy < 0 || xx < 0 || yy >= s.height as i64 || xx >= s.width as i64 { continue }
                let j = yy as usize * s.width + xx as usize;
                if !seen[j] && l[j] <= 0.0 { seen[j] = true; stack.push(j); } } } }
        if all.len() <= a { for i in all { l[i] = 0.1; } }
    }
}
mod rle;
pub use rle::{Rle, RleError};
