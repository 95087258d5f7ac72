"""Backgrounds: a frame divided into regions, as sky, water, rock, walls and floors divide a photo.

A layout says which pixel belongs to which region, then every region gets a surface and light of its own.
"""
import cv2
import numpy as np

import textures


def make_background(rng, bank, side):
    """Float RGB [side,side,3] and region numbers uint8 [side,side] of a scene without objects."""
    region = _layout(rng, side)
    if rng.random() < 0.35:  # one region is divided again
        again = _layout(rng, side)
        inside = region == rng.integers(region.max() + 1)
        region[inside] = region.max() + 1 + again[inside]
    region = np.unique(region, return_inverse=True)[1].reshape(side, side).astype(np.uint8)
    out = np.zeros((side, side, 3), np.float32)
    base = textures.colour(rng)
    for k in range(int(region.max()) + 1):
        if k:
            base = textures.near(rng, base, rng.uniform(8, 40)) if rng.random() < 0.25 else textures.colour(rng)
        inside = region == k
        y, x = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        part = np.s_[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
        out[part][inside[part]] = _paint(rng, bank, *inside[part].shape, base, k == 0)[inside[part]]
    if rng.random() < 0.3:  # borders of grass, water or haze are soft
        edge = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.5))
        border = cv2.dilate(cv2.Laplacian(region, cv2.CV_16S), np.ones((3, 3))) != 0
        out[border] = edge[border]
    return np.clip(out, 0, 255), region


def rough(rng, side, smooth):
    """A random field [side,side] of mean 0 and deviation 1; its hills of 1/k of the frame are k^-smooth high."""
    out = np.zeros((side, side), np.float32)
    for k in (2, 4, 8, 16, 32, 64):
        if k <= side // 2:
            hills = rng.normal(0, k**-smooth, (k + 2, k + 2)).astype(np.float32)
            out += cv2.resize(hills, (side, side), interpolation=cv2.INTER_CUBIC)
    return (out - out.mean()) / (out.std() + 1e-6)


def light(rng, side):
    """What sun, shade and a lamp's distance do to a frame: gains float32 [side,side,1]."""
    gain = np.exp(rng.uniform(0, 0.25) * rough(rng, 64, 2.0))
    if rng.random() < 0.35:  # the shadows of things outside the frame
        shade = rng.uniform(1, 12) * (rough(rng, 64, rng.uniform(0.8, 2)) - rng.normal(0.4, 0.5))
        gain *= 1 - rng.uniform(0.15, 0.65) / (1 + np.exp(-shade))
    return cv2.resize(gain.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)[..., None]


def _layout(rng, side):
    return rng.choice([_plain, _layers, _mosaic, _islands, _planes], p=[0.12, 0.3, 0.2, 0.18, 0.2])(rng, side)


def _plain(rng, side):
    return np.zeros((side, side), np.int32)


def _layers(rng, side):
    """Sky over hills over water over a shore: borders across the frame, level or like ridges and tree tops."""
    out, level = np.zeros((side, side), np.int32), rng.uniform(0.1, 0.6)
    rows, across = np.arange(side)[:, None], np.linspace(-1, 1, side)
    for _ in range(int(rng.integers(1, 5))):
        ridge = rough(rng, side, rng.uniform(0.5, 2.0))[side // 2]
        line = level + ridge * abs(rng.normal(0, 0.06)) * (rng.random() < 0.8) + across * rng.normal(0, 0.06)
        out[rows > line * side] += 1
        level += rng.uniform(0.06, 0.4)
    return out


def _mosaic(rng, side):
    """Patches that meet at rough borders, such as fields, rocks and foliage."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    smooth, bend = rng.uniform(0.6, 2.0), rng.uniform(0, 0.12)
    x, y = x + bend * rough(rng, side, smooth), y + bend * rough(rng, side, smooth)
    flat = np.exp(rng.normal(0, 0.5))
    seeds = rng.uniform(-0.1, 1.1, (int(rng.integers(2, 8)), 2))
    return np.argmin([(x - a) ** 2 + flat * (y - b) ** 2 for a, b in seeds], 0).astype(np.int32)


def _islands(rng, side):
    """One thing in pieces on another: clouds, puddles, reflections, snow."""
    field = rough(rng, side, rng.uniform(0.9, 2.2))
    if rng.random() < 0.5:  # lying flat, as on water
        field = cv2.resize(field[: max(4, int(side * rng.uniform(0.3, 1)))], (side, side))
    levels = np.sort(rng.uniform(0.1, 0.9, int(rng.integers(1, 4))))
    return np.digitize(field, np.quantile(field, levels)).astype(np.int32)


def _planes(rng, side):
    """Walls, floors, roads and pillars: nearly straight cuts."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    bend = rng.uniform(0, 0.02) * (rng.random() < 0.5)
    out = np.zeros((side, side), np.int32)
    for _ in range(int(rng.integers(1, 4))):
        a = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]) + rng.normal(0, 0.08)
        across = np.cos(a) * (x - rng.uniform(0.15, 0.85)) + np.sin(a) * (y - rng.uniform(0.15, 0.85))
        across += bend * rough(rng, side, 1.0) if bend else 0
        inside = np.abs(across) < rng.uniform(0.05, 0.2) if rng.random() < 0.25 else across > 0
        out[inside] += 1 + out.max()
    return out


def _paint(rng, bank, height, width, base, far):
    """The surface of one region: often plain where it is far, and unevenly lit."""
    plain = rng.random() < (0.5 if far else 0.15)
    if far and rng.random() < 0.4:  # a sky
        base = np.clip(np.array([150, 185, 220]) + rng.normal(0, 30, 3) + rng.normal(0, 25), 10, 250)
    out = textures.surface(rng, bank, height, width, textures.table(rng, base, rng.uniform(2, 12) if plain else None))
    a, slope = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.25)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    return out * (1 + slope * (np.cos(a) * x[None, :, None] + np.sin(a) * y[:, None, None]))
