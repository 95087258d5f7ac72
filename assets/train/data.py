"""Batches of scenes, made by a worker process and used several times.

A scene costs about as much to draw as to train on, so every batch holds a share of new scenes and takes the rest at random
from those seen before, with other prompts.
The order depends on the seed alone, not on timing.
"""
import multiprocessing as mp
from collections import deque

import cv2
import numpy as np

import scene
import textures

KEEP = 4000  # scenes remembered per kind


def still(rng, bank, side, objects):
    """image uint8 [1,S,S,3], masks uint8 [1,K,S/4,S/4] (coverage), boxes [K,4] in pixels, first masks uint8 [K,S,S].

    Also the number of the thing or region in the middle of every 8x8 cell: labels uint8 [S/8,S/8].
    """
    images, ids, parts, region = scene.make_scene(rng, bank, side)
    full = scene.targets(rng, ids[0], parts[0], region, objects)
    labels = np.where(ids[0] > 0, ids[0], 128 + region)
    return {**_pack(images, full[None]), "labels": labels[4::8, 4::8].astype(np.uint8)}


def clip(rng, bank, side, objects, frames):
    """As `still`, with T frames; the targets are whole objects seen in frame 0 and may vanish later."""
    while True:
        images, ids, _, _ = scene.make_scene(rng, bank, side, frames)
        values, areas = np.unique(ids[0], return_counts=True)
        good = values[(values > 0) & (areas >= scene.SMALLEST * side * side)]
        if len(good):
            chosen = rng.choice(good, objects, replace=len(good) < objects)
            return _pack(images, np.stack([ids == v for v in chosen], 1))


def _pack(images, full):
    low = np.stack([[cv2.resize(m.astype(np.uint8) * 255, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
                     for m in frame] for frame in full])
    boxes = np.array([_box(m) for m in full[0]], np.float32)
    return {"images": images, "masks": low, "boxes": boxes, "first": full[0].astype(np.uint8)}


def _box(mask):
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return x[0], y[0], x[-1] + 1, y[-1] + 1


def _work(queue, seed, kind, side, objects, frames):
    rng = np.random.default_rng(seed)
    bank = textures.make_bank(rng)
    while True:
        if rng.random() < 0.001:
            bank = textures.make_bank(rng)
        queue.put(still(rng, bank, side, objects) if kind == "still" else clip(rng, bank, side, objects, frames))


class Source:
    """Endless batches of one kind: each has `fresh` new scenes, the others come from the memory."""

    def __init__(self, kind, side, batch, fresh, objects, frames, seed):
        self.batch, self.fresh, self.seen = batch, fresh, deque(maxlen=KEEP)
        self.rng = np.random.default_rng(seed + 1)
        context = mp.get_context("spawn")
        self.queue = context.Queue(maxsize=4 * batch)
        args = (self.queue, seed, kind, side, objects, frames)
        self.worker = context.Process(target=_work, args=args, daemon=True)
        self.worker.start()

    def next(self):
        """A dict of stacked arrays with a leading batch axis."""
        old = len(self.seen)
        count = min(self.batch - self.fresh, old // 8)
        picked = [self.seen[int(i)] for i in self.rng.integers(0, old, count)] if count else []
        for _ in range(self.batch - count):
            picked.append(self.queue.get())
            self.seen.append(picked[-1])
        return {k: np.stack([p[k] for p in picked]) for k in picked[0]}

    def close(self):
        self.worker.terminate()
        self.worker.join()
