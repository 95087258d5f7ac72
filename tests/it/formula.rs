//! Weights, frames and masks that Python and Rust compute alike; the twin of `tests/reference/formula.py`.

use std::{collections::BTreeMap, path::Path};

use engine::{geometry::Size, mask::Mask, nn::graph::Required, sam2};
use image::{Rgb, RgbImage};

/// Numbers in [-1, 1) from a name.
fn stream(name: &str, n: usize) -> impl Iterator<Item = f32> {
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (1..=n as u64).map(move |i| {
        let z = hash.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    })
}

const EMBEDDINGS: [&str; 8] = [
    "pos_embed",
    "point_embed",
    "mask_embed",
    "mem_embed",
    "obj_embed",
    "tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
];
const QUERY_GAIN: f64 = 2.0;
const GAINS: [(&str, f64); 10] = [
    ("memory_encoder.", 1.0),
    ("out_proj.weight", 2.0),
    ("to_image.q_proj.weight", QUERY_GAIN),
    ("to_token.q_proj.weight", QUERY_GAIN),
    ("patch_embed.", 2.0),
    ("neck.convs.", 0.3),
    ("pred_obj_score_head.", 2.0),
    ("iou_prediction_head.", 1.5),
    ("output_hypernetworks_mlps.0.", 2.4),
    ("output_hypernetworks_mlps.", 1.25),
];

fn matrix_amplitude(shape: &[usize], gain: f64) -> f64 {
    (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt() * gain
}

/// Offset and amplitude of a tensor.
fn rule(name: &str, shape: &[usize]) -> (f64, f64) {
    if name.ends_with(".up") {
        (0.5, 0.0)
    } else if name.ends_with(".reg_scale") {
        (4.0, 0.0)
    } else if name.ends_with("running_var") || name.ends_with("lab.scale") {
        (1.0, 0.2)
    } else if name.ends_with("running_mean") {
        (0.0, 0.1)
    } else if shape.len() == 1 && name.ends_with("weight") {
        (1.0, 0.2)
    } else if name.ends_with("gamma") {
        (0.0, 0.5)
    } else if name.ends_with("bias") {
        (0.0, 0.1)
    } else if name.ends_with("gaussian_matrix") {
        (0.0, 1.0)
    } else if name.ends_with("token.weight") || name.ends_with("tokens.weight") {
        (0.0, 0.2)
    } else if EMBEDDINGS.iter().any(|part| name.contains(part)) {
        (0.0, 0.5)
    } else {
        let gain = GAINS.iter().find(|(part, _)| name.contains(part)).map_or(1.0, |(_, gain)| *gain);
        (0.0, matrix_amplitude(shape, gain))
    }
}

pub(crate) fn weight(name: &str, shape: &[usize], object_bias: f32) -> Vec<f32> {
    let (offset, amplitude) = rule(name, shape);
    let n = shape.iter().product();
    let n_queries = if name.ends_with("attn.qkv.weight") { n / 3 } else { 0 };
    let of_queries = if n_queries > 0 { matrix_amplitude(shape, QUERY_GAIN) as f32 } else { 0.0 };
    let bias = if name == "sam_mask_decoder.pred_obj_score_head.layers.2.bias" { object_bias } else { 0.0 };
    stream(name, n)
        .enumerate()
        .map(
            |(i, u)| if i < n_queries { u * of_queries } else { u * amplitude as f32 + offset as f32 + bias },
        )
        .collect()
}

/// Tensors by name: shape, and floats as little-endian bytes.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// Every tensor of a model, by Meta's names; `object_bias` is added to the object score's bias.
pub(crate) fn tensors(config: &sam2::Config, object_bias: f32) -> Tensors {
    biased(sam2::required_tensors(config), object_bias)
}

/// These tensors by the formula.
pub(crate) fn of(required: Required) -> Tensors {
    biased(required, 0.0)
}

fn biased(required: Required, object_bias: f32) -> Tensors {
    let bytes = |name: &str, shape: &[usize]| {
        weight(name, shape, object_bias).iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    required
        .into_iter()
        .map(|(name, shape)| {
            let data = bytes(&name, &shape);
            (name, (shape, data))
        })
        .collect()
}

/// Writes `.safetensors` with these tensors.
pub(crate) fn write_tensors(tensors: &Tensors, config: Option<&sam2::Config>, path: &Path) {
    let views = tensors.iter().map(|(name, (shape, data))| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap())
    });
    let metadata = config.map(|config| {
        std::collections::HashMap::from([("config".to_owned(), serde_json::to_string(config).unwrap())])
    });
    safetensors::serialize_to_file(views, metadata, path).unwrap();
}

/// The small model that committed reference numbers are of.
pub(crate) fn nano(image_size: usize) -> sam2::Config {
    sam2::Config {
        image_size,
        embed_dim: 32,
        num_heads: 1,
        stages: [1, 2, 5, 1],
        global_blocks: vec![4, 6],
        windows: [8, 4, 8, 8],
        pos_embed_size: 7,
        d_model: 96,
        mem_dim: 32,
        memory_layers: 2,
        memory_ffn: 512,
        decoder_mlp: 384,
        decoder_heads: 4,
        is_2_1: true,
        bicubic_frames: true,
    }
}

fn cell_hash(ix: i64, iy: i64, channel: i64) -> i64 {
    let n = ix
        .wrapping_mul(374_761_393)
        .wrapping_add(iy.wrapping_mul(668_265_263))
        .wrapping_add(channel.wrapping_mul(1_442_695_041))
        .wrapping_add(1_013_904_223) as u32;
    let n = (n ^ (n >> 13)).wrapping_mul(1_274_126_177);
    i64::from(((n ^ (n >> 16)) >> 3) & 255)
}

fn noise(x: i64, y: i64, channel: i64, bits: u32) -> i64 {
    let size = 1 << bits;
    let (ix, iy, fx, fy) = (x >> bits, y >> bits, x & (size - 1), y & (size - 1));
    let top = cell_hash(ix, iy, channel) * (size - fx) + cell_hash(ix + 1, iy, channel) * fx;
    let low = cell_hash(ix, iy + 1, channel) * (size - fx) + cell_hash(ix + 1, iy + 1, channel) * fx;
    (top * (size - fy) + low * fy) >> (2 * bits)
}

/// Frame `t` of the test clip.
pub(crate) fn frame(t: usize, size: Size) -> RgbImage {
    // Center, velocity, radius, color.
    const BLOBS: [([i64; 5], [i64; 3]); 3] = [
        ([250, 400, 34, 6, 190], [210, 60, 40]),
        ([780, 300, -27, 17, 150], [40, 90, 200]),
        ([560, 760, 11, -31, 120], [230, 200, 60]),
    ];
    let t = t as i64;
    RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
        let (x, y) = (i64::from(x) * 1024 / size.width as i64, i64::from(y) * 1024 / size.height as i64);
        Rgb([0, 1, 2].map(|c: i64| {
            let mut value = 30 + ((x * (20 + 25 * c) + y * (60 - 20 * c)) >> 10);
            value += ((noise(x + 5 * t, y, c, 7) * 110) >> 8) + ((noise(x + 5 * t, y, c + 3, 4) * 45) >> 8);
            for (k, ([cx, cy, vx, vy, radius], color)) in BLOBS.iter().enumerate() {
                let k = k as i64;
                let (dx, dy) = (x - cx - vx * t, y - cy - vy * t);
                if dx * dx + dy * dy < radius * radius {
                    let stripe = ((dx * (k + 1) + dy * (3 - k)) >> 6) & 1;
                    value =
                        color[c as usize] - 24 * stripe + (noise(dx + 1024, dy + 1024, c + 6 + k, 5) >> 3);
                }
            }
            value.clamp(0, 255) as u8
        }))
    })
}

/// The test mask: a disk.
pub(crate) fn circle(size: Size, [cx, cy, radius]: [i64; 3]) -> Mask {
    let places = (0..size.height as i64).flat_map(|y| (0..size.width as i64).map(move |x| (x, y)));
    Mask::new(size, places.map(|(x, y)| (x - cx).pow(2) + (y - cy).pow(2) < radius * radius).collect())
}
