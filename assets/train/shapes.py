"""Outlines of objects: lists of (part number, polygon [n,2]) in a unit square of about -1..1, painted in order.

Part -1 cuts a hole.
The kinds are rough on purpose: what has to be learned is that limbs, wheels and patches of other colours belong to one thing.
"""
import numpy as np


def outline(rng):
    """A random object, turned, squeezed and mirrored, then scaled to fill -1..1."""
    makers, weights = zip(*KINDS)
    maker = makers[rng.choice(len(makers), p=np.array(weights) / sum(weights))]
    parts = maker(rng)
    upright = maker in (person, quadruped, bird, vehicle, building)
    turn = rng.normal(0, 0.15) if upright else rng.uniform(0, 2 * np.pi)
    squeeze = np.exp(rng.normal(0, 0.2, 2))
    if rng.random() < 0.5:
        squeeze[0] *= -1
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, -s], [s, c]]) * squeeze
    parts = [(k, p @ matrix.T) for k, p in parts]
    every = np.concatenate([p for _, p in parts])
    low, high = every.min(0), every.max(0)
    half = max((high - low).max() / 2, 1e-3)
    return [(k, (p - (low + high) / 2) / half) for k, p in parts]


def ellipse(x, y, a, b, turn=0.0, n=28):
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + c * u - s * v, y + s * u + c * v], 1)


def limb(points, widths):
    """A smooth band along a path; widths are half widths at its points."""
    points, widths = np.asarray(points, float), np.asarray(widths, float)
    t, f = np.arange(len(points)), np.linspace(0, len(points) - 1, 5 * len(points))
    path = np.stack([np.interp(f, t, points[:, i]) for i in (0, 1)], 1)
    wide = np.interp(f, t, widths)[:, None]
    d = np.gradient(path, axis=0)
    normal = np.stack([-d[:, 1], d[:, 0]], 1) / (np.linalg.norm(d, axis=1, keepdims=True) + 1e-6)
    a = np.arctan2(d[-1, 1], d[-1, 0])
    cap = path[-1] + wide[-1] * np.stack([np.cos(a + np.linspace(1.2, -1.2, 5)), np.sin(a + np.linspace(1.2, -1.2, 5))], 1)
    return np.concatenate([path + normal * wide, cap, (path - normal * wide)[::-1]])


def box(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def wobble(rng, strength=None, x=0.0, y=0.0, a=1.0, b=1.0):
    """A closed smooth curve with a few random harmonics."""
    n = 56
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    strength = rng.uniform(0.02, 0.5) if strength is None else strength
    r = np.ones(n)
    for k in range(2, int(rng.integers(3, 9))):
        r += rng.normal() * strength / k**0.9 * np.cos(k * t + rng.uniform(0, 7))
    r = np.maximum(r, 0.15)
    return np.stack([x + a * r * np.cos(t), y + b * r * np.sin(t)], 1)


def blob(rng):
    parts = [(0, wobble(rng, a=1, b=rng.uniform(0.35, 1)))]
    for k in range(int(rng.integers(0, 3))):
        parts.append((k + 1, wobble(rng, 0.2, *rng.uniform(-0.5, 0.5, 2), *rng.uniform(0.1, 0.5, 2))))
    return parts


def polygon(rng):
    n = int(rng.integers(3, 10))
    t = np.sort(rng.uniform(0, 2 * np.pi, n)) if rng.random() < 0.6 else np.linspace(0, 2 * np.pi, n, endpoint=False)
    r = rng.uniform(0.4, 1, n) if rng.random() < 0.5 else np.ones(n)
    b = rng.uniform(0.3, 1)
    return [(0, np.stack([r * np.cos(t), b * r * np.sin(t)], 1))]


def slab(rng):
    """A box-like thing with panels, bands or a label."""
    h = rng.uniform(0.2, 1)
    parts = [(0, box(-1, -h, 1, h))]
    for k in range(int(rng.integers(0, 4))):
        x0, x1 = np.sort(rng.uniform(-1, 1, 2))
        y0, y1 = np.sort(rng.uniform(-h, h, 2))
        parts.append((k + 1, box(x0, y0, x1, y1) if rng.random() < 0.7 else box(-1, y0, 1, y1)))
    return parts


def ring(rng):
    hole = rng.uniform(0.3, 0.8)
    outer = wobble(rng, rng.uniform(0, 0.2), b=rng.uniform(0.5, 1))
    return [(0, outer), (-1, outer * hole + rng.uniform(-0.05, 0.05, 2))]


def strip(rng):
    """Ropes, snakes, poles and roads."""
    n = int(rng.integers(2, 6))
    path = np.cumsum(rng.normal(0, 0.5, (n, 2)) + [0.7, 0], axis=0)
    fine = np.linspace(0, n - 1, 4 * n)
    path = np.stack([np.interp(fine, np.arange(n), path[:, i]) for i in (0, 1)], 1)
    width = float(np.exp(rng.uniform(np.log(0.03), np.log(0.25))))
    return [(0, limb(path, width * np.linspace(1, rng.uniform(0.3, 1), len(path))))]


def quadruped(rng):
    long, deep, leg = rng.uniform(0.45, 0.75), rng.uniform(0.16, 0.38), rng.uniform(0.2, 0.7)
    foot, coat = (1 if rng.random() < 0.3 else 0), (2 if rng.random() < 0.3 else 0)
    parts = []
    for x in (-0.8, -0.6, 0.6, 0.8):
        x0, swing = x * long, rng.normal(0, 0.12)
        knee = [x0 + swing, deep * 0.4 + leg * 0.5]
        parts.append((foot, limb([[x0, 0], knee, [x0 + swing + rng.normal(0, 0.1), deep * 0.5 + leg]], np.array([0.14, 0.09, 0.06]) * rng.uniform(0.7, 1.3))))
    tail = rng.uniform(-0.6, 0.6, 2)
    parts.append((0, limb([[-long, -deep * 0.3], [-long - 0.2, -deep * 0.3 + tail[0] * 0.4], [-long - 0.35, tail[1]]], [0.07, 0.05, rng.uniform(0.02, 0.1)])))
    body = wobble(rng, 0.06, 0, 0, long, deep)
    parts.append((0, body))
    if coat:
        parts.append((2, wobble(rng, 0.2, rng.uniform(-0.3, 0.3), -deep * 0.3, long * 0.45, deep * 0.6)))
    head = np.array([long + rng.uniform(0.05, 0.35), -deep - rng.uniform(-0.25, 0.5)])
    parts.append((0, limb([[long * 0.75, -deep * 0.2], head], [deep * 0.7, deep * 0.4])))
    r = rng.uniform(0.12, 0.24)
    parts.append((1 if rng.random() < 0.3 else 0, ellipse(*head, r * 1.2, r, rng.uniform(-0.5, 0.8))))
    parts.append((3, ellipse(head[0] + r, head[1] + r * 0.4, r * 0.6, r * 0.4)))
    for side in (-0.6, 0.1):
        base = head + [side * r, -r * 0.6]
        parts.append((0, np.array([base + [-0.06, 0], base + [rng.uniform(-0.1, 0.1), -rng.uniform(0.1, 0.35)], base + [0.06, 0]])))
    return parts


def person(rng):
    lean, wide = rng.normal(0, 0.1), rng.uniform(0.13, 0.24)
    hip, neck = np.array([0.0, 0.1]), np.array([lean, -0.5])
    skin, shirt, cloth, hair = 0, 1, (2 if rng.random() < 0.8 else 1), 3
    parts = []
    for side in (-1, 1):
        knee = hip + [side * wide * 0.5 + rng.normal(0, 0.13), rng.uniform(0.25, 0.45)]
        foot = knee + [rng.normal(0, 0.13), rng.uniform(0.25, 0.5)]
        parts += [(cloth, limb([hip + [side * wide * 0.45, 0], knee, foot], [0.12, 0.1, 0.07])), (4, ellipse(foot[0] + 0.04, foot[1], 0.11, 0.05))]
    trunk = np.array([neck + [-wide, 0.03], neck + [wide, 0.03], hip + [wide * 0.9, 0.08], hip + [-wide * 0.9, 0.08]])
    if rng.random() < 0.25:  # a skirt or a coat
        trunk[2:] += [[0.12, 0.35], [-0.12, 0.35]]
    parts.append((shirt, trunk))
    for side in (-1, 1):
        elbow = neck + [side * (wide + rng.uniform(0, 0.3)), rng.uniform(-0.05, 0.35)]
        hand = elbow + rng.normal(0, 0.22, 2)
        parts += [(shirt if rng.random() < 0.7 else skin, limb([neck + [side * wide * 0.9, 0.06], elbow], [0.08, 0.07])), (skin, limb([elbow, hand], [0.06, 0.045]))]
    head = neck + [rng.normal(0, 0.05), -0.17]
    return parts + [(skin, limb([neck, head], [0.07, 0.07])), (hair, ellipse(head[0], head[1] - 0.03, 0.14, 0.17)), (skin, ellipse(head[0] + rng.normal(0, 0.03), head[1] + 0.02, 0.11, 0.14))]


def bird(rng):
    a, b = rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.35)
    head = np.array([a * 0.9, -b - rng.uniform(-0.05, 0.4)])
    wing = np.array([[0.25, -0.1], [rng.uniform(-0.5, 0.1), rng.uniform(-1.1, 0.3)], [-a * 0.7, rng.uniform(-0.2, 0.2)]])
    parts = [(1, np.array([[-a * 0.8, -0.05], [-a - rng.uniform(0.2, 0.6), rng.uniform(-0.2, 0.3)], [-a - 0.2, 0.25], [-a * 0.6, 0.1]])), (0, wobble(rng, 0.05, 0, 0, a, b)), (0, limb([[a * 0.6, 0], head], [b * 0.7, 0.11])), (0, ellipse(*head, 0.15, 0.13)), (2, np.array([head + [0.1, -0.05], head + [rng.uniform(0.2, 0.45), 0.03], head + [0.1, 0.06]])), (1, wing)]
    if rng.random() < 0.6:
        parts = [(2, limb([[x, b * 0.7], [x + rng.normal(0, 0.1), b + rng.uniform(0.15, 0.6)]], [0.035, 0.03])) for x in (-0.05, 0.15)] + parts
    return parts


def fish(rng):
    b = rng.uniform(0.2, 0.5)
    return [(1, np.array([[-0.6, 0], [-1.1, -rng.uniform(0.2, 0.5)], [-0.95, 0], [-1.1, rng.uniform(0.2, 0.5)]])), (1, np.array([[-0.3, -b * 0.6], [0, -b - rng.uniform(0.05, 0.4)], [0.35, -b * 0.6]])), (0, wobble(rng, 0.05, 0, 0, 0.75, b)), (2, ellipse(0.5, -b * 0.2, 0.06, 0.06))]


def vehicle(rng):
    h, w0, w1 = rng.uniform(0.18, 0.4), rng.uniform(0.4, 0.75), rng.uniform(0.25, 0.5)
    roof = -h - rng.uniform(0.2, 0.5)
    cabin = np.array([[-w0, -h], [-w1, roof], [w1 * 0.8, roof], [w0, -h]])
    parts = [(0, cabin), (1, cabin * [0.85, 0.8] - [0, h * 0.25]), (0, wobble(rng, 0.03, 0, 0, 1, h * 1.15) if rng.random() < 0.4 else box(-1, -h, 1, h))]
    r = rng.uniform(0.14, 0.26)
    for x in (-0.6, 0.6) if rng.random() < 0.8 else (-0.7, -0.3, 0.6):
        parts += [(2, ellipse(x, h, r, r)), (3, ellipse(x, h, r * 0.5, r * 0.5))]
    return parts


def building(rng):
    w, top = rng.uniform(0.3, 1), rng.uniform(-1, 0.3)
    parts = [(0, box(-w, top, w, 1))]
    if rng.random() < 0.6:
        parts.append((1, np.array([[-w * 1.1, top], [rng.uniform(-w, w), top - rng.uniform(0.1, 0.8)], [w * 1.1, top]])))
    rows, cols = int(rng.integers(0, 4)), int(rng.integers(1, 5))
    for i in range(rows):
        for j in range(cols):
            x, y = -w + 2 * w * (j + 0.5) / cols, top + (1 - top) * (i + 0.5) / rows
            parts.append((2, box(x - w * 0.4 / cols, y - 0.12, x + w * 0.4 / cols, y + 0.12)))
    return parts


def plant(rng):
    """A stem with leaves, or a tree with a crown of lumps."""
    if rng.random() < 0.4:
        crown = [(0, wobble(rng, 0.3, *rng.uniform(-0.45, 0.45, 2), *rng.uniform(0.25, 0.6, 2))) for _ in range(int(rng.integers(2, 7)))]
        return [(1, limb([[0, 1.3], [rng.normal(0, 0.1), 0]], [rng.uniform(0.05, 0.2), 0.05]))] + crown
    path = np.cumsum(np.concatenate([[[0, 1]], rng.normal(0, 0.12, (4, 2)) - [0, 0.45]]), axis=0)
    parts = [(1, limb(path, [0.05, 0.04, 0.04, 0.03, 0.02]))]
    for _ in range(int(rng.integers(4, 14))):
        at, a, size = path[rng.integers(1, 5)] + rng.normal(0, 0.05, 2), rng.uniform(0, 6.3), rng.uniform(0.15, 0.5)
        parts.append((0, ellipse(at[0] + size * np.cos(a), at[1] + size * np.sin(a), size, size * rng.uniform(0.2, 0.5), a, 16)))
    return parts


def tool(rng):
    parts = [(0, limb([[0, 1], [rng.normal(0, 0.08), -0.4]], [rng.uniform(0.05, 0.18), rng.uniform(0.05, 0.12)]))]
    head = polygon(rng) if rng.random() < 0.5 else ring(rng)
    return parts + [(k if k < 0 else 1, p * rng.uniform(0.3, 0.6) + [0, -0.6]) for k, p in head]


def stand(rng):
    """A top on legs, such as a table or a chair."""
    w, top = rng.uniform(0.4, 1), rng.uniform(-0.4, 0.2)
    parts = [(0, limb([[x * w * 0.9, top], [x * w, 1]], [0.06, 0.04])) for x in (-1, -0.6, 0.6, 1)]
    if rng.random() < 0.5:
        parts.append((1, box(-w, -1, -w * rng.uniform(-0.9, 0.8), top)))
    return parts + [(rng.integers(2), box(-w, top, w, top + rng.uniform(0.06, 0.3)))]


def lump(rng):
    """A union of random limbs and lobes: a thing of no known kind."""
    parts = [(0, wobble(rng, a=rng.uniform(0.3, 0.6), b=rng.uniform(0.3, 0.6)))]
    for _ in range(int(rng.integers(1, 6))):
        a, r = rng.uniform(0, 6.3), rng.uniform(0.5, 1)
        tip = np.array([np.cos(a), np.sin(a)]) * r
        k = int(rng.integers(0, 3))
        parts.insert(0, (k, limb([tip * 0.2, tip * 0.6 + rng.normal(0, 0.12, 2), tip], rng.uniform(0.05, 0.22, 3))))
        if rng.random() < 0.4:
            parts.append((k, wobble(rng, 0.2, *tip, *rng.uniform(0.08, 0.3, 2))))
    return parts


KINDS = [(blob, 4), (polygon, 1.5), (slab, 1.5), (ring, 0.6), (strip, 1.2), (quadruped, 3), (person, 3), (bird, 1.5),
         (fish, 0.8), (vehicle, 1.2), (building, 1.2), (plant, 1.5), (tool, 1), (stand, 0.8), (lump, 3)]
