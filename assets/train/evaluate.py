"""Measures a checkpoint or an export on real photos and clips, as the application's own field tests do.

Photos (DIR/index.json, ID.jpg, ID.png with values 1..n): mean IoU for a box and after 1..R clicks, the first deepest inside the
object, each next one deepest inside the larger error.
Clips (DIR/NAME/00000.jpg and .png): mean J over the later frames after a mask, or a box, on the first.

  python evaluate.py --weights run/last.pt --photos DIR --clips DIR
"""
import argparse
import glob
import json
import os

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open

from model import Config, SmallSam2, grid


def load(path):
    """A network in evaluation mode from a checkpoint of train.py (its averaged weights) or an exported file."""
    if path.endswith(".safetensors"):
        with safe_open(path, "pt") as f:
            config, weights = f.metadata()["config"], {n: f.get_tensor(n).float() for n in f.keys()}
    else:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        config, weights = saved["config"], saved["ema"]
    model = SmallSam2(Config.from_json(config))
    model.load_state_dict(weights)
    return model.eval()


def read(path, side):
    """An image as uint8 [1,S,S,3] and its own height and width."""
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    small = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (side, side), mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1), image.shape[:2]


def deepest(mask):
    d = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(d.argmax(), d.shape)
    return float(x), float(y), float(d.max())


def iou(a, b):
    return float((a & b).sum()) / max(1, int((a | b).sum()))


def edges(mask):
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return [[x[0], y[0]], [x[-1] + 1, y[-1] + 1]]


def prompt(coords, labels, size, side):
    """Points in pixels of the photo to model pixels."""
    scale = np.array([side / size[1], side / size[0]])
    return torch.tensor(np.array(coords) * scale, dtype=torch.float32)[None], torch.tensor([labels], dtype=torch.int32)


def answer(model, feat, high_res, points, previous, size):
    """The mask bool [H,W] that the application would show, and its low-resolution logits for the next click."""
    several = points[1].shape[1] <= 1
    sparse, dense = model.sam_prompt_encoder(points=points, boxes=None, masks=previous)
    low, ious, _, _ = model.sam_mask_decoder(
        feat, model.sam_prompt_encoder.get_dense_pe(), sparse, dense, several, False, high_res
    )
    low = low[:, ious[0].argmax()][:, None]
    full = F.interpolate(low, size, mode="bilinear", align_corners=False)
    return (full[0, 0] > 0).numpy(), low.clamp(-32, 32)


def photos(model, folder, rounds):
    side, box, clicks, oracle = model.image_size, [], [[] for _ in range(rounds)], []
    for entry in json.load(open(os.path.join(folder, "index.json"))):
        image, size = read(os.path.join(folder, entry["id"] + ".jpg"), side)
        labels = np.array(Image.open(os.path.join(folder, entry["id"] + ".png")))
        feats, _, sizes = model.encode(image)
        s0, s1, feat = (grid(f, s) for f, s in zip(feats, sizes))
        feat = feat + model.no_mem_embed.view(1, -1, 1, 1)
        for value in range(1, entry["objects"] + 1):
            truth = labels == value
            got, _ = answer(model, feat, [s0, s1], prompt(edges(truth), [2, 3], size, side), None, size)
            box.append(iou(got, truth))
            coords, kinds, previous = [deepest(truth)[:2]], [1], None
            for r in range(rounds):
                points = prompt(coords, kinds, size, side)
                if r == 0:
                    low = model.decode(feat, [s0, s1], points, None)[0][:, 1:]
                    each = F.interpolate(low, size, mode="bilinear", align_corners=False)[0] > 0
                    oracle.append(max(iou(m.numpy(), truth) for m in each))
                got, previous = answer(model, feat, [s0, s1], points, previous, size)
                clicks[r].append(iou(got, truth))
                missed, extra = deepest(truth & ~got), deepest(got & ~truth)
                coords.append((missed if missed[2] >= extra[2] else extra)[:2])
                kinds.append(int(missed[2] >= extra[2]))
    result = {"box": np.mean(box), "click1 best of 3": np.mean(oracle)}
    return {**result, **{f"click{r + 1}": np.mean(v) for r, v in enumerate(clicks)}}


def track(model, folder, kind):
    """Mean J of all objects of one clip after the first frame."""
    side, frames = model.image_size, sorted(glob.glob(os.path.join(folder, "*.jpg")))
    truths = [np.array(Image.open(f[:-3] + "png")) if os.path.exists(f[:-3] + "png") else None for f in frames]
    encoded = [read(f, side) for f in frames]
    encoded = [(model.encode(image), size) for image, size in encoded]
    scores = []
    for value in (v for v in np.unique(truths[0]) if 0 < v < 255):
        outputs = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        for t, ((feats, encodings, sizes), size) in enumerate(encoded):
            points = mask = None
            if t == 0 and kind == "mask":
                first = torch.from_numpy((truths[0] == value).astype(np.float32))[None, None]
                mask = (F.interpolate(first, (side, side), mode="bilinear", antialias=True) >= 0.5).float()
            elif t == 0:
                coords, labels = prompt(edges(truths[0] == value), [2, 3], size, side)
                points = {"point_coords": coords, "point_labels": labels}
            out = model.track_step(t, t == 0, feats, encodings, sizes, points, mask, outputs, len(frames))
            outputs["cond_frame_outputs" if t == 0 else "non_cond_frame_outputs"][t] = out
            if t and truths[t] is not None:
                got = F.interpolate(out["pred_masks"], size, mode="bilinear", align_corners=False)[0, 0].numpy() > 0
                truth = truths[t] == value
                scores.append(1.0 if not truth.any() and not got.any() else iou(got, truth))
    return float(np.mean(scores))


@torch.inference_mode()
def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--weights", required=True)
    ap.add_argument("--photos")
    ap.add_argument("--clips")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--side", type=int, help="another image side than the configuration's")
    args = ap.parse_args()
    model = load(args.weights)
    if args.side:
        model.set_side(args.side)
    result = photos(model, args.photos, args.rounds) if args.photos else {}
    for kind in ("mask", "box") if args.clips else ():
        each = [track(model, f, kind) for f in sorted(glob.glob(os.path.join(args.clips, "*/")))]
        result[f"J {kind}"], result[f"each {kind}"] = np.mean(each), [round(v, 3) for v in each]
    print(json.dumps({k: round(float(v), 4) if not isinstance(v, list) else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
