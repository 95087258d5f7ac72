"""Scenes of plain shapes with their boxes, to train small detectors on; tests draw scenes of their own."""

import numpy as np

SHAPES = ["circle", "square", "triangle"]
FILLS = ["red", "green", "blue", "yellow", "striped"]
COLORS = {"red": (215, 50, 45), "green": (50, 170, 70), "blue": (50, 90, 215), "yellow": (230, 205, 50)}
CLASSES = [f"{fill} {shape}" for fill in FILLS for shape in SHAPES]


def inside(shape, x, y):
    """Whether places are in a shape that reaches from -1 to 1."""
    if shape == "circle":
        return x * x + y * y < 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) < 1
    return (y < 1) & (abs(x) < (y + 1) / 2)


def scene(rng, side):
    """An image [side, side, 3] of bytes, boxes [n, 4] (x0, y0, x1, y1 in pixels), classes [n]."""
    ys, xs = np.mgrid[:side, :side].astype(np.float32) + 0.5
    gray = rng.uniform(50, 200)
    slope = rng.uniform(-60, 60, 2)
    ground = gray + (xs / side - 0.5) * slope[0] + (ys / side - 0.5) * slope[1]
    image = ground[..., None] + rng.uniform(-12, 12, 3) + rng.normal(0, rng.uniform(2, 12), (side, side, 3))
    boxes, classes = [], []
    for _ in range(rng.integers(1, 7)):
        half = side * rng.uniform(0.07, 0.2)
        cx, cy = rng.uniform(half, side - half, 2)
        box = np.array([cx - half, cy - half, cx + half, cy + half])
        apart = [max(b[0] - box[2], box[0] - b[2], b[1] - box[3], box[1] - b[3]) for b in boxes]
        if apart and min(apart) < 2:
            continue
        label = int(rng.integers(len(CLASSES)))
        fill, shape = CLASSES[label].split()
        here = inside(shape, (xs - cx) / half, (ys - cy) / half)
        if fill == "striped":
            angle, width = rng.uniform(0, np.pi), half * rng.uniform(0.35, 0.6)
            dark = ((xs * np.cos(angle) + ys * np.sin(angle)) // width) % 2 < 1
            color = np.where(dark, rng.uniform(15, 50), rng.uniform(205, 240))[..., None].repeat(3, -1)
        else:
            color = np.array(COLORS[fill]) * rng.uniform(0.85, 1.1) + rng.uniform(-15, 15, 3)
        noise = rng.normal(0, 5, (side, side, 3))
        image = np.where(here[..., None], color + noise, image)
        boxes.append(box)
        classes.append(label)
    return image.clip(0, 255).astype(np.uint8), np.array(boxes, np.float32).reshape(-1, 4), np.array(classes)
