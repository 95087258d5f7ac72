"""Scenes: procedural photos and short clips with the masks of their objects.

A scene is a background and a stack of sprites (colour, coverage, part numbers) painted from far to near.
A still is a clip of one frame, so both come from the same code.
Sizes are given relative to the side S of the frame; masks come at S/4, which is the network's own mask grid.
"""
import cv2
import numpy as np

import textures
from ground import light, make_background
from shapes import outline

cv2.setNumThreads(1)
SMALLEST = 0.006  # part of the frame below which a target is left out


class Sprite:
    """One painted object: rgb uint8 [h,w,3], alpha uint8 [h,w], part uint8 [h,w] (0 = none)."""

    def __init__(self, rgb, alpha, part):
        self.rgb, self.alpha, self.part = rgb, alpha, part


def make_sprite(rng, bank, size, light, base, kin):
    """Paints a random outline `size` pixels long; with `kin` all parts stay close to the base colour."""
    size = max(8, int(size))
    polygons = outline(rng)
    half = size / 2 + 2
    coverage = np.zeros((int(2 * half), int(2 * half)), np.uint8)
    part = np.zeros_like(coverage)
    rgb = np.zeros(coverage.shape + (3,), np.uint8)
    low, high = _extent(polygons, half, coverage.shape)
    width, height = high - low
    skins = {}
    main = _skin(rng, bank, height, width, base)
    for k, shape in polygons:
        q = ((shape * (size / 2) + half) * 16).astype(np.int32)
        fill = np.zeros_like(coverage)
        cv2.fillPoly(fill, [q], 255, cv2.LINE_AA, 4)
        if k < 0:
            coverage = np.minimum(coverage, 255 - fill)
            continue
        if k not in skins:
            own = k > 0 and rng.random() < 0.85
            tint = textures.near(rng, base, rng.uniform(3, 25)) if kin else textures.colour(rng)
            skins[k] = _skin(rng, bank, height, width, tint) if own else main
        inside = fill[low[1] : high[1], low[0] : high[0]] > 127
        rgb[low[1] : high[1], low[0] : high[0]][inside] = skins[k][inside]
        part[fill > 127] = k + 1
        coverage = np.maximum(coverage, fill)
    part[coverage <= 127] = 0
    crop = np.s_[low[1] : high[1], low[0] : high[0]]
    rgb, coverage, part = rgb[crop], coverage[crop], part[crop]
    if rng.random() < 0.3:
        coverage = _fray(rng, bank, coverage, size)
    # Edge pixels that no part covered fully take the colour beside them.
    near = np.ones((3, 3), np.uint8) if size < 100 else np.ones((7, 7), np.uint8)
    bare = (coverage > 0) & (part == 0)
    if bare.any():
        rgb[bare] = cv2.dilate(rgb, near)[bare]
        part[bare] = cv2.dilate(part, near)[bare]
        coverage[part == 0] = 0
    part[coverage <= 127] = 0
    return Sprite(_shade(rng, rgb, coverage, light, size), coverage, part)


def _fray(rng, bank, coverage, size):
    """Fur, hair and leaves: an outline that follows a surface's grain."""
    soft = cv2.GaussianBlur(coverage, (0, 0), 0.6 + size * rng.uniform(0.003, 0.025), borderType=cv2.BORDER_CONSTANT)
    grain = textures.field(rng, bank, *coverage.shape).astype(np.float32) - 128
    return np.clip((soft.astype(np.float32) - 128 + grain * rng.uniform(0.2, 0.9)) * 4 + 128, 0, 255).astype(np.uint8)


def _extent(polygons, half, shape):
    every = np.concatenate([p for k, p in polygons if k >= 0]) * (half - 2) + half
    low = np.maximum(np.floor(every.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(every.max(0)).astype(int) + 2, (shape[1], shape[0]))
    return low, np.maximum(high, low + 4)


def _skin(rng, bank, height, width, base):
    flat = rng.random() < 0.25
    return textures.surface(rng, bank, height, width, textures.table(rng, base, rng.uniform(2, 8) if flat else None))


def _shade(rng, rgb, coverage, light, size):
    """Soft relief: the blurred coverage is taken as a height and lit from the scene's light."""
    strength = rng.uniform(0, 0.9) * light[2]
    if strength < 0.05:
        return rgb
    step = 1 + size // 64
    small = cv2.resize(coverage, (max(4, rgb.shape[1] // step), max(4, rgb.shape[0] // step)), interpolation=cv2.INTER_AREA)
    height = cv2.GaussianBlur(small.astype(np.float32), (0, 0), max(1.0, size / step * rng.uniform(0.05, 0.2)), borderType=cv2.BORDER_CONSTANT)
    gy, gx = np.gradient(height)
    relief = gx * light[0] + gy * light[1]
    relief /= np.abs(relief).max() + 1e-3
    gain = cv2.resize(1 + strength * relief.astype(np.float32), (rgb.shape[1], rgb.shape[0]))
    return np.clip(rgb * gain[..., None], 0, 255).astype(np.uint8)


def place(frame, ids, parts, sprite, number, matrix, shadow=0.0, blur=0.0):
    """Paints a sprite through a 2x3 matrix (sprite pixels to frame pixels) and writes its number where it covers."""
    h, w = sprite.alpha.shape
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ matrix.T
    side = frame.shape[0]
    grow = 3 + int(shadow * 8)
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - grow, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + grow, side)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    rgb, alpha = sprite.rgb, sprite.alpha
    if zoom < 0.7:  # avoids sparkle when a large sprite is drawn small
        rgb, alpha = (cv2.GaussianBlur(v, (0, 0), 0.4 / zoom) for v in (rgb, alpha))
    rgb = cv2.warpAffine(rgb, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(alpha, local, size, flags=cv2.INTER_LINEAR)
    part = cv2.warpAffine(sprite.part, local, size, flags=cv2.INTER_NEAREST)
    view = np.s_[y0:y1, x0:x1]
    if shadow > 0:
        dark = cv2.GaussianBlur(alpha, (0, 0), 1 + shadow * 4).astype(np.float32) * (shadow * 0.6 / 255)
        frame[view] *= 1 - np.roll(dark, int(shadow * 6), 0)[..., None]
    soft = cv2.GaussianBlur(alpha, (0, 0), blur) if blur > 0.3 else alpha
    weight = (soft.astype(np.float32) / 255)[..., None]
    frame[view] += (rgb - frame[view]) * weight
    solid = alpha > 127
    ids[view][solid], parts[view][solid] = number, part[solid]


def camera(rng, frames):
    """Lens, sensor and file effects, drawn once and applied to all frames: float RGB to uint8 RGB."""
    sigma = rng.uniform(0.3, 1.3) if rng.random() < 0.35 else 0
    gamma = np.exp(rng.normal(0, 0.25))
    contrast, bright = np.exp(rng.normal(0, 0.2)), rng.normal(6, 14)
    saturation = 0.0 if rng.random() < 0.08 else np.exp(rng.normal(-0.25, 0.35))
    cast = rng.normal(1, 0.05, 3).astype(np.float32)
    noise = rng.uniform(0, 9) if rng.random() < 0.6 else 0
    quality = int(rng.integers(25, 95)) if rng.random() < 0.6 else 0
    ramp = np.clip(255 * (np.linspace(0, 1, 256) ** gamma - 0.5) * contrast + 127.5 + bright, 0, 255).astype(np.uint8)
    grain = rng.normal(0, 1, frames[0].shape).astype(np.float32) if noise else 0
    out = []
    for f in frames:
        if sigma:
            f = cv2.GaussianBlur(f, (0, 0), sigma)
        if noise:
            f = f + np.roll(grain, tuple(rng.integers(0, 64, 2)), (0, 1)) * noise
        grey = f.mean(2, keepdims=True)
        f = ramp[np.clip((grey + (f - grey) * saturation) * cast, 0, 255).astype(np.uint8)]
        if quality:
            f = cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        out.append(f)
    return np.stack(out)


def _sizes(rng):
    """Object lengths relative to the frame, largest first: a landscape, a portrait, a group or a crowd."""
    mode = rng.random()
    if mode < 0.1:  # a landscape
        return rng.uniform(0.08, 0.3, int(rng.integers(0, 3)))
    if mode < 0.55:
        big = rng.uniform(0.45, 1.3, int(rng.integers(1, 4)))
        sizes = np.concatenate([big, rng.uniform(0.08, 0.4, int(rng.integers(0, 5)))])
    elif mode < 0.88:
        sizes = rng.uniform(0.25, 0.85, int(rng.integers(2, 7)))
    else:
        sizes = np.clip(0.09 * rng.pareto(1.6, int(rng.integers(8, 22))) + 0.09, 0, 0.9)
    return np.sort(sizes)[::-1] if rng.random() < 0.7 else sizes


class Motion:
    """A smooth path: where a sprite is, how it is turned, stretched and scaled, at a time t in frames."""

    def __init__(self, rng, centre, speed):
        self.centre, self.spin = np.asarray(centre, float), rng.normal(0, 0.05) * speed
        self.velocity = rng.normal(0, 0.035, 2) * speed
        self.bend = rng.normal(0, 0.006, 2) * speed
        self.growth, self.shear = rng.normal(0, 0.025) * speed, rng.normal(0, 0.02) * speed
        self.start_scale = np.exp(rng.normal(0, 0.1))

    def matrix(self, sprite, side, t, view):
        """Sprite pixels to frame pixels; `view` is the camera's own 2x3 matrix in frame units."""
        h, w = sprite.alpha.shape
        zoom, angle = self.start_scale * np.exp(self.growth * t), self.spin * t
        c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
        turn = np.array([[c, -s], [s, c]]) @ np.array([[1, self.shear * t], [0, 1]])
        at = (self.centre + self.velocity * t + self.bend * t * t) * side
        local = np.column_stack([turn, at - turn @ np.array([w / 2, h / 2])])
        return np.column_stack([view[:, :2] @ local[:, :2], view[:, :2] @ local[:, 2] + view[:, 2] * side])


def _view(velocity, spin, growth, t):
    """Camera matrix about the middle of the frame, in frame units for the shift."""
    zoom = np.exp(growth * t)
    c, s = np.cos(spin * t) * zoom, np.sin(spin * t) * zoom
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, 0.5 - turn @ [0.5, 0.5] + velocity * t])


def make_scene(rng, bank, side, frames=1):
    """Renders one scene.

    Returns images uint8 [T,S,S,3], object numbers [T,S,S], part numbers [T,S,S] and background regions [S,S] of frame 0.
    """
    bg_size = side if frames == 1 else int(side * 1.5)
    background, region = make_background(rng, bank, bg_size)
    a = rng.uniform(0, 2 * np.pi)
    lamp = (np.cos(a), np.sin(a), rng.uniform(0.2, 1))
    gain = light(rng, side)
    camouflage = rng.random() < 0.25
    mood = textures.colour(rng)
    sizes = _sizes(rng) if frames == 1 else np.append(_sizes(rng), rng.uniform(0.2, 0.6))[-9:]
    shadow = rng.uniform(0, 1) if rng.random() < 0.5 else 0
    speed = rng.choice([0.3, 1.0, 1.0, 2.0])
    stack, twin = [], None
    for size in sizes:
        if twin is not None and rng.random() < 0.25:
            sprite = twin  # several of a kind, told apart by place alone
        else:
            if camouflage:
                spot = background[rng.integers(bg_size), rng.integers(bg_size)]
                base = textures.near(rng, spot, rng.uniform(4, 25))
            else:
                base = textures.near(rng, mood, 40) if rng.random() < 0.3 else textures.colour(rng)
            sprite = make_sprite(rng, bank, size * side, lamp, base, camouflage or rng.random() < 0.35)
        twin = sprite
        centre = rng.uniform(0.25, 0.75, 2) if size > 0.5 else rng.uniform(0.02, 0.98, 2)
        stack.append((sprite, Motion(rng, centre, speed), shadow * rng.uniform(0.5, 1)))
    if frames > 1 and rng.random() < 0.5:  # a pillar or a screen that hides what passes behind it
        wide, tall = (rng.uniform(0.08, 0.3) * side, 2.2 * side)[:: rng.choice([1, -1])]
        rgb = _skin(rng, bank, int(tall), int(wide), textures.colour(rng))
        full = np.full(rgb.shape[:2], 255, np.uint8)
        stack.append((Sprite(rgb, full, np.ones_like(full)), Motion(rng, rng.uniform(0.2, 0.8, 2), rng.uniform(0, 2)), 0))
    pan, spin, growth = rng.normal(0, 0.012, 2) * speed, rng.normal(0, 0.008) * speed, rng.normal(0, 0.006) * speed
    drift = rng.normal(0, 0.02) if frames > 1 else 0
    blur = rng.uniform(0, 1.2) if rng.random() < 0.4 else 0
    sharp = rng.integers(len(stack) + 1) if rng.random() < 0.35 else 0  # all behind this one is out of focus
    defocus = side / 128 * rng.uniform(0.4, 2.5)
    images, numbers, pieces = [], [], []
    for t in range(frames):
        view = _view(pan, spin, growth, t)
        if frames == 1:
            canvas = background
        else:
            shift = np.column_stack([view[:, :2], view[:, 2] * side - view[:, :2] @ np.full(2, 0.25 * side)])
            canvas = cv2.warpAffine(background, shift, (side, side), borderMode=cv2.BORDER_REFLECT)
        ids, parts = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
        for number, (sprite, motion, dark) in enumerate(stack, 1):
            if number == sharp:
                canvas = cv2.GaussianBlur(canvas, (0, 0), defocus)
            place(canvas, ids, parts, sprite, number, motion.matrix(sprite, side, t, view), dark, blur)
        images.append(canvas * gain * (1 + drift * t))
        numbers.append(ids)
        pieces.append(parts)
    images = camera(rng, images)
    if rng.random() < 0.5 and frames == 1:
        images, numbers, pieces, region = images[:, :, ::-1], [v[:, ::-1] for v in numbers], [v[:, ::-1] for v in pieces], region[:, ::-1]
    return np.ascontiguousarray(images), np.stack(numbers), np.stack(pieces), region


def targets(rng, ids, parts, region, count):
    """Chooses `count` masks of a still, bool [count,S,S]: whole objects, regions of the background, parts of objects."""
    least = SMALLEST * ids.size
    whole, ground = _large(ids, least), _large(np.where(ids == 0, region.astype(int) + 1, 0), least)
    out = []
    for _ in range(count):
        if ground and (not whole or rng.random() < 0.3):
            mask = (ids == 0) & (region + 1 == _pick(rng, ground))
            if rng.random() < 0.7:  # of a region in pieces, one
                pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
                large = _large(pieces, least)
                mask = pieces == _pick(rng, large) if large else mask
        elif whole:
            mask = ids == _pick(rng, whole)
            if rng.random() < 0.12:
                piece = mask & (parts == rng.choice(parts[mask]))
                mask = piece if piece.sum() >= least else mask
        else:
            mask = np.ones(ids.shape, bool)
        out.append(mask)
    return np.stack(out)


def _large(numbers, least):
    """The numbers above 0 of areas of at least `least` pixels, with the roots of those areas."""
    return {v: np.sqrt(n) for v, n in zip(*np.unique(numbers, return_counts=True)) if v and n >= least}


def _pick(rng, weights):
    """One of the keys; large areas are likelier, as people label them first."""
    p = np.array(list(weights.values()))
    return list(weights)[rng.choice(len(p), p=p / p.sum())]
