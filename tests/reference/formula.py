"""Weights, inputs, frames and masks that Python and Rust compute alike, to the bit.

The twin of this file is tests/it/formula.rs; change both or none.

Stream
    u(name, i) for a name and an element index i (row-major), in 64-bit wrapping integers:
        h = FNV-1a of the name's utf-8 bytes (basis 0xcbf29ce484222325, prime 0x100000001b3)
        z = h + (i + 1) * 0x9E3779B97F4A7C15
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB
        z = z ^ (z >> 31)
        u = (z >> 40) / 2^24 * 2 - 1, which float32 holds exactly, in [-1, 1)

Values
    value = offset + amplitude * u: one float32 multiplication, then one float32 addition
    (no fused multiply-add). Offset and amplitude come from `rule`; an amplitude is computed in
    float64 (sqrt included) and rounded once to float32.

Frames and test masks are integer arithmetic only, see `frame` and `circle`.
"""

import math

import numpy as np

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
OBJECT_SCORE_BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


def fnv1a(name):
    """FNV-1a, 64 bits, of the name's utf-8 bytes."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def stream(name, count):
    """u(name, 0..count) as float32."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64)
        z *= np.uint64(GOLDEN_GAMMA)
        z += np.uint64(fnv1a(name))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)


def values(name, shape, amplitude=1.0, offset=0.0):
    """offset + amplitude * u(name, i) in float32, of the given shape: the formula's inputs."""
    u = stream(name, math.prod(shape)).reshape(shape)
    return u * np.float32(amplitude) + np.float32(offset)


def rule(name, shape):
    """(offset, amplitude) of a tensor by Meta's name and shape; the first line that fits counts.

    `fan_in` is the product of shape[1:]. Gains other than 1 are in GAINS; the first that the name
    contains counts. The first third of the rows of `attn.qkv.weight` (q) has its own amplitude,
    see `weight`.
    """
    if name.endswith(".up"):  # D-FINE's two constants
        return 0.5, 0.0
    if name.endswith(".reg_scale"):
        return 4.0, 0.0
    if name.endswith(("running_var", "lab.scale")):
        return 1.0, 0.2
    if name.endswith("running_mean"):
        return 0.0, 0.1
    if len(shape) == 1 and name.endswith("weight"):  # every norm
        return 1.0, 0.2
    if name.endswith("gamma"):  # layer scale of the memory encoder's fuser
        return 0.0, 0.5
    if name.endswith("bias"):
        return 0.0, 0.1
    if name.endswith("gaussian_matrix"):
        return 0.0, 1.0
    if name.endswith(("token.weight", "tokens.weight")):  # the decoder's own tokens
        return 0.0, 0.2
    if any(part in name for part in EMBEDDINGS):
        return 0.0, 0.5
    gain = next((gain for part, gain in GAINS if part in name), 1.0)
    return 0.0, matrix_amplitude(shape, gain)


def matrix_amplitude(shape, gain):
    """sqrt(3 / fan_in) * gain in float64: outputs keep about the variance of the inputs."""
    return math.sqrt(3.0 / math.prod(shape[1:])) * gain


EMBEDDINGS = (
    "pos_embed",
    "point_embed",
    "mask_embed",
    "mem_embed",
    "obj_embed",
    "tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
)

QUERY_GAIN = 2.0

GAINS = (
    ("memory_encoder.", 1.0),
    ("out_proj.weight", 2.0),  # attention that matters beside the residual
    ("to_image.q_proj.weight", QUERY_GAIN),  # with qkv: attention far from uniform
    ("to_token.q_proj.weight", QUERY_GAIN),
    ("patch_embed.", 2.0),  # what is seen outweighs where
    ("neck.convs.", 0.3),  # features of about the size of the prompts' embeddings
    ("pred_obj_score_head.", 2.0),  # scores that differ between frames
    ("iou_prediction_head.", 1.5),  # three masks whose order is clear
    ("output_hypernetworks_mlps.0.", 2.4),  # mask 0 on both sides of the stability threshold
    ("output_hypernetworks_mlps.", 1.25),
)


# Added to the object score's bias so that the video scenarios see scores of both signs.
OBJECT_BIAS = {"nano": 4.1, "old_nano": 4.1, "tiny": 4.95, "small": 0.8, "base_plus": 0.9, "large": 2.95}


def weight(name, shape, object_bias=0.0):
    """One tensor of the checkpoint; `object_bias` is added (float32) to the object score's bias."""
    offset, amplitude = rule(name, shape)
    tensor = values(name, shape, amplitude, offset)
    if name.endswith("attn.qkv.weight"):
        rows = shape[0] // 3
        tensor[:rows] = values(name, shape, matrix_amplitude(shape, QUERY_GAIN))[:rows]
    if name == OBJECT_SCORE_BIAS:
        tensor = tensor + np.float32(object_bias)
    return tensor


def cell_hash(ix, iy, channel):
    """0..255 from a cell of a grid, in 32-bit wrapping integers."""
    n = (ix * 374761393 + iy * 668265263 + channel * 1442695041 + 1013904223) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) >> 3) & 255


def noise(x, y, channel, bits):
    """Value noise 0..255 with cells of 2^bits units, interpolated bilinearly in integers."""
    size = 1 << bits
    ix, iy, fx, fy = x >> bits, y >> bits, x & (size - 1), y & (size - 1)
    top = cell_hash(ix, iy, channel) * (size - fx) + cell_hash(ix + 1, iy, channel) * fx
    low = cell_hash(ix, iy + 1, channel) * (size - fx) + cell_hash(ix + 1, iy + 1, channel) * fx
    return (top * (size - fy) + low * fy) >> (2 * bits)


# center x, y, velocity x, y, radius (in 1/1024 of the picture), color
BLOBS = (
    (250, 400, 34, 6, 190, (210, 60, 40)),
    (780, 300, -27, 17, 150, (40, 90, 200)),
    (560, 760, 11, -31, 120, (230, 200, 60)),
)


def frame(t, width, height):
    """Frame t of the test clip: uint8 [height, width, 3], integers only.

    Units: X = x * 1024 // width, Y = y * 1024 // height. The ground is a gradient with two octaves
    of noise that drifts by 5t; three striped blobs move over it, later ones in front.
    """
    y, x = np.mgrid[:height, :width].astype(np.int64)
    x, y = x * 1024 // width, y * 1024 // height
    channels = []
    for c in range(3):
        ground = 30 + ((x * (20 + 25 * c) + y * (60 - 20 * c)) >> 10)
        ground += (noise(x + 5 * t, y, c, 7) * 110 >> 8) + (noise(x + 5 * t, y, c + 3, 4) * 45 >> 8)
        for k, (cx, cy, vx, vy, radius, color) in enumerate(BLOBS):
            dx, dy = x - cx - vx * t, y - cy - vy * t
            stripe = ((dx * (k + 1) + dy * (3 - k)) >> 6) & 1
            shade = color[c] - 24 * stripe + (noise(dx + 1024, dy + 1024, c + 6 + k, 5) >> 3)
            ground = np.where(dx * dx + dy * dy < radius * radius, shade, ground)
        channels.append(np.clip(ground, 0, 255).astype(np.uint8))
    return np.stack(channels, axis=-1)


def circle(width, height, cx, cy, radius):
    """Test mask: bool [height, width], true where (x-cx)^2 + (y-cy)^2 < radius^2; radius 0 is empty."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    return (x - cx) ** 2 + (y - cy) ** 2 < radius * radius
