"""Surfaces: a bank of grey fields and random palettes that colour them.

A field is drawn once and coloured many times through a 256-entry table, so that a new surface costs one look-up.
"""
import cv2
import numpy as np

SIDE = 384  # side of a field; a surface is a random crop of it


def make_bank(rng, count=120):
    """Grey fields, uint8 [count,SIDE,SIDE], of many kinds of natural and made surfaces."""
    kinds = [_noise, _noise, _noise, _stripes, _spots, _cells, _leaves, _strokes, _tiles, _letters]
    return np.stack([kinds[i % len(kinds)](rng) for i in range(count)])


def surface(rng, bank, height, width, table):
    """RGB uint8 [height,width,3]: a field through the colour table, often dimmed by a second one."""
    out = table[field(rng, bank, height, width)]
    if rng.random() < 0.4:
        gain = 1 + rng.uniform(0.1, 0.9) * (np.arange(256, dtype=np.float32) / 255 - 0.5)
        out = np.clip(out * gain[field(rng, bank, height, width)][..., None], 0, 255).astype(np.uint8)
    return out


def field(rng, bank, height, width):
    """Grey uint8 [height,width]: a random crop of a random field, at a random scale."""
    grey = bank[rng.integers(len(bank))]
    scale = float(np.exp(rng.uniform(np.log(0.35), np.log(2.0))))
    h, w = min(SIDE, max(2, int(height * scale))), min(SIDE, max(2, int(width * scale)))
    y, x = rng.integers(SIDE - h + 1), rng.integers(SIDE - w + 1)
    crop = grey[y : y + h, x : x + w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.3:
        crop = crop[::-1]
    crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)
    return crop


def colour(rng):
    """One colour, RGB in 0..255: mostly muted earth, leaf, sky, skin and grey tones, sometimes any."""
    if rng.random() < 0.15:
        return rng.uniform(10, 245, 3)
    hue = rng.choice([18, 25, 35, 60, 95, 110, 205, 215, 20]) + rng.normal(0, 10)
    saturation = np.clip(rng.beta(1.6, 3.0), 0, 1)
    value = rng.uniform(0.08, 0.97)
    return _hsv(hue, saturation, value)


def near(rng, base, spread):
    """A colour close to another; camouflage is made with a small spread."""
    return np.clip(base + rng.normal(0, spread, 3) + rng.normal(0, spread), 2, 253)


def table(rng, base, contrast=None):
    """Colour table uint8 [256,3] around a base colour: a path through two to five related colours."""
    if contrast is None:
        contrast = float(np.exp(rng.uniform(np.log(4), np.log(70))))
    knots = int(rng.integers(2, 6))
    shade = rng.normal(0, contrast, (knots, 1)) + rng.normal(0, contrast * 0.35, (knots, 3))
    if rng.random() < 0.08:
        shade = rng.uniform(-120, 120, (knots, 3))
    path = np.clip(base + shade, 0, 255)
    at = np.linspace(0, 255, knots)
    if rng.random() < 0.2:  # hard steps between the colours instead of a ramp
        pick = np.clip((np.arange(256) * knots) // 256, 0, knots - 1)
        return path[pick].astype(np.uint8)
    return np.stack([np.interp(np.arange(256), at, path[:, c]) for c in range(3)], 1).astype(np.uint8)


def _hsv(hue, saturation, value):
    h = (hue % 360) / 60
    k = np.array([5, 3, 1]) + h
    k = k % 6
    return 255 * (value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))


def _stretch(x):
    low, high = np.percentile(x[::4, ::4], (1, 99))
    return (np.clip((x - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def _spectrum(rng, power, stretch=1.0, angle=0.0):
    """Noise whose amplitude falls as 1/f^power, longer by `stretch` along an angle."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    u, v = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    f = np.sqrt((u * stretch) ** 2 + v**2 + (0.5 / SIDE) ** 2)
    phase = rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)
    return np.fft.irfft2(phase / f**power, s=(SIDE, SIDE)).astype(np.float32)


def _noise(rng):
    stretch = float(np.exp(rng.uniform(0, 1.8))) if rng.random() < 0.5 else 1.0
    return _stretch(_spectrum(rng, rng.uniform(0.6, 2.2), stretch, rng.uniform(0, np.pi)))


def _stripes(rng):
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    a = rng.uniform(0, np.pi)
    warp = _spectrum(rng, 2.0)
    wave = (x * np.cos(a) + y * np.sin(a)) * rng.uniform(8, 50) + warp / warp.std() * rng.uniform(0.0, 0.9)
    grain = _spectrum(rng, 1.0)
    return _stretch(np.tanh(np.sin(wave * 2 * np.pi) * rng.uniform(0.7, 4)) + grain / grain.std() * rng.uniform(0, 0.4))


def _spots(rng):
    sigma = rng.uniform(2, 9)
    n = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    band = cv2.GaussianBlur(n, (0, 0), sigma) - cv2.GaussianBlur(n, (0, 0), sigma * 2)
    grain = _spectrum(rng, 1.2)
    return _stretch(np.tanh((band / band.std() - rng.uniform(0, 1)) * 3) + grain / grain.std() * rng.uniform(0.05, 0.5))


def _cells(rng):
    seeds = np.full((SIDE, SIDE), 255, np.uint8)
    n = int(np.exp(rng.uniform(np.log(40), np.log(900))))
    seeds[rng.integers(0, SIDE, n), rng.integers(0, SIDE, n)] = 0
    distance, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
    tone = rng.random(label.max() + 1).astype(np.float32)[label]
    distance /= distance.max()
    grain = _spectrum(rng, 1.2)
    return _stretch(tone * rng.uniform(0, 1) - distance * rng.uniform(0, 2) + grain / grain.std() * rng.uniform(0, 0.2))


def _leaves(rng):
    """Overlapping small ellipses, like foliage or gravel."""
    out = np.full((SIDE, SIDE), 90, np.uint8)
    size, aspect = rng.uniform(4, 26), rng.uniform(0.2, 1)
    for _ in range(int(min(2500, 3.0 * (SIDE / size) ** 2 / aspect))):
        s = size * np.exp(rng.normal(0, 0.35))
        centre = (int(rng.integers(SIDE)), int(rng.integers(SIDE)))
        cv2.ellipse(out, centre, (max(1, int(s)), max(1, int(s * aspect))), rng.uniform(0, 180), 0, 360,
                    int(rng.integers(256)), -1, cv2.LINE_AA)
    return out


def _strokes(rng):
    """Grass, hair or straw: many thin lines around one direction."""
    out = np.full((SIDE, SIDE), 60, np.uint8)
    a, spread, length = rng.uniform(0, np.pi), rng.uniform(0.05, 0.7), rng.uniform(10, 70)
    for _ in range(1800):
        x, y, b = rng.uniform(0, SIDE), rng.uniform(0, SIDE), a + rng.normal(0, spread)
        end = (int(x + np.cos(b) * length), int(y + np.sin(b) * length))
        cv2.line(out, (int(x), int(y)), end, int(rng.integers(256)), int(rng.integers(1, 3)), cv2.LINE_AA)
    return out


def _tiles(rng):
    """Bricks, planks, checks and windows."""
    h, w = int(rng.integers(8, 60)), int(rng.integers(8, 90))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    row = y // h
    col = (x + (row % 2) * int(w * rng.choice([0, 0.5]))) // w
    tone = rng.random((SIDE // h + 2, SIDE // w + 3))[row, col]
    joint = ((y % h) < max(1, h // 10)) | (((x + (row % 2) * (w // 2)) % w) < max(1, w // 12))
    grain = _spectrum(rng, 1.2)
    return _stretch(tone * rng.uniform(0.1, 1) - joint * rng.uniform(0, 1) + grain / grain.std() * rng.uniform(0.02, 0.3))


def _letters(rng):
    """Rows of strokes and characters, as on signs, clothes and packages."""
    out = np.full((SIDE, SIDE), int(rng.integers(150, 256)), np.uint8)
    step = int(rng.integers(14, 60))
    for y in range(step, SIDE + step, step):
        text = "".join(chr(int(c)) for c in rng.integers(48, 123, 40))
        cv2.putText(out, text, (-int(rng.integers(40)), y), int(rng.integers(0, 5)), step / 34, int(rng.integers(0, 110)),
                    max(1, step // 16), cv2.LINE_AA)
    return out
