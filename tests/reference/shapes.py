"""Scenes of plain shapes with their boxes, to train small detectors on; tests draw scenes of their own."""

import numpy as np

SHAPES = ["circle", "square", "triangle"]
FILLS = ["red", "green", "blue", "yellow", "striped"]
COLORS = {"red": (215, 50, 45), "green": (50, 170, 70), "blue": (50, 90, 215), "yellow": (230, 205, 50)}
CLASSES = [f"{fill} {shape}" for fill in FILLS for shape in SHAPES]
# Stripes hide outlines and are learned last, so that they are drawn twice as often.
ODDS = np.array([2 if name.startswith("striped") else 1 for name in CLASSES]) / 18


def inside(shape, x, y):
    """Whether places are in a shape that reaches from -1 to 1."""
    if shape == "circle":
        return x * x + y * y < 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) < 1
    return (y < 1) & (abs(x) < (y + 1) / 2)


def scene(rng, side):
    """An image [side, side, 3] of bytes, boxes [n, 4] (x0, y0, x1, y1 in pixels), classes [n]."""
    at = np.arange(side, dtype=np.float32) + 0.5
    slope = rng.uniform(-60, 60, 2).astype(np.float32)
    ground = rng.uniform(50, 200) + (at / side - 0.5) * slope[0] + ((at / side - 0.5) * slope[1])[:, None]
    image = ground[..., None] + rng.uniform(-12, 12, 3).astype(np.float32)
    boxes, classes = [], []
    for _ in range(rng.integers(2, 24)):
        half = side * rng.uniform(0.07, 0.2)
        cx, cy = rng.uniform(half, side - half, 2)
        box = np.array([cx - half, cy - half, cx + half, cy + half])
        apart = [max(b[0] - box[2], box[0] - b[2], b[1] - box[3], box[1] - b[3]) for b in boxes]
        if apart and min(apart) < 2:
            continue
        label = int(rng.choice(len(CLASSES), p=ODDS))
        fill, shape = CLASSES[label].split()
        x0, y0, x1, y1 = (int(v) for v in (*np.floor(box[:2]), *np.ceil(box[2:])))
        x, y = at[x0:x1], at[y0:y1][:, None]
        here = inside(shape, (x - cx) / half, (y - cy) / half)
        if fill == "striped":
            angle, width = rng.uniform(0, np.pi), half * rng.uniform(0.35, 0.6)
            dark = ((x * np.cos(angle) + y * np.sin(angle)) // width) % 2 < 1
            color = np.where(dark, rng.uniform(15, 50), rng.uniform(205, 240))[..., None]
        else:
            color = np.array(COLORS[fill]) * rng.uniform(0.85, 1.1) + rng.uniform(-15, 15, 3)
        part = image[y0:y1, x0:x1]
        part[...] = np.where(here[..., None], color, part)
        boxes.append(box)
        classes.append(label)
    noise = rng.standard_normal((side, side, 1), dtype=np.float32) * rng.uniform(2, 9)
    image = (image + noise).clip(0, 255).astype(np.uint8)
    return image, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes)
