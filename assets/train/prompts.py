"""Simulated prompts: first clicks, jittered boxes and corrective clicks, in model pixels."""
import cv2
import numpy as np
import torch


def deepest(mask):
    """(x, y) of the cell of a bool mask that is farthest from its border, and that distance."""
    d = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(d.argmax(), d.shape)
    return x, y, d[y, x]


def _inside(rng, mask, deep):
    """A cell of the mask: the deepest with probability `deep`, else any."""
    if rng.random() < deep:
        x, y, _ = deepest(mask)
        return x, y
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(xs))
    return xs[i], ys[i]


def _pixel(rng, cell):
    """A mask cell as a pixel inside it."""
    return (np.array(cell) + rng.uniform(0.2, 0.8, 2)) * 4 - 0.5


def first_clicks(rng, masks):
    """One positive click per mask: masks uint8 [n,h,w] to coordinates [n,1,2] and labels [n,1]."""
    points = [_pixel(rng, _inside(rng, m > min(127, m.max() - 1), 0.6)) for m in masks]
    return np.array(points, np.float32)[:, None], np.ones((len(masks), 1), np.float32)


def boxes(rng, edges, side):
    """Boxes [n,4], each edge moved a little (up to 10 % of the box), as corner points [n,2,2] with labels 2 and 3."""
    size = np.maximum(edges[:, 2:] - edges[:, :2], 1)
    loose = rng.choice([0.0, 0.02, 0.06], (len(edges), 1), p=[0.3, 0.4, 0.3])
    moved = edges + np.clip(rng.normal(0, 1, edges.shape) * loose, -0.1, 0.1) * np.tile(size, 2)
    corners = np.clip(moved, 0, side).reshape(-1, 2, 2).astype(np.float32)
    return corners, np.tile(np.array([2, 3], np.float32), (len(edges), 1))


def correct(rng, coords, labels, logits, masks):
    """Adds one click per row where the current mask is wrong: half the time deepest in the largest error, else anywhere in it.

    logits [n,h,w] and masks uint8 [n,h,w] share a grid; without an error the click goes inside the object.
    """
    points, kinds = [], []
    for low, mask in zip(logits, masks):
        got, want = low > 0, mask > 127
        missed, extra = want & ~got, got & ~want
        if not missed.any() and not extra.any():
            missed = mask > min(127, mask.max() - 1)
        if rng.random() < 0.5 and missed.any() and extra.any():
            a, b = deepest(missed), deepest(extra)
            positive = a[2] >= b[2]
            cell = (a if positive else b)[:2]
        else:
            positive = rng.random() * (missed.sum() + extra.sum()) < missed.sum()
            cell = _inside(rng, missed if positive else extra, 0.5)
        points.append(_pixel(rng, cell))
        kinds.append(float(positive))
    coords = np.concatenate([coords, np.array(points, np.float32)[:, None]], 1)
    return coords, np.concatenate([labels, np.array(kinds, np.float32)[:, None]], 1)


def tensors(coords, labels, device):
    return torch.from_numpy(coords).to(device), torch.from_numpy(labels).to(device)
