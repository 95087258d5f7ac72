"""Trains the built-in network on generated scenes: stills first at a small side, then stills and clips at the shipped side.

  python train.py --out run --minutes 65                             # starts, or goes on where run/last.pt stopped
  python train.py --out run --minutes 65 --start ../builtin.safetensors   # trains exported weights on
"""
import argparse
import json
import os
import time
from typing import NamedTuple

import numpy as np
import torch

import prompts
from data import Source
from evaluate import load
from losses import affinity_loss, prompt_loss
from model import Config, SmallSam2, grid, head_start, upsample

class Phase(NamedTuple):
    """A part of the run: until which share of it, at which side, with how many scenes per step.

    `clips` is the share of steps on clips, `turns` the most answers per object of a still, and a blind phase shows no image at all:
    the decoder first learns what a point and a box mean.
    """

    until: float
    side: int
    batch: int
    clips: float = 0.0
    turns: int = 4
    blind: bool = False


PHASES = [
    Phase(0.06, 128, 8, turns=1, blind=True),
    Phase(0.15, 128, 5, turns=1),
    Phase(0.31, 128, 6),
    Phase(0.78, 128, 16, clips=0.3),
    Phase(1.01, 256, 8, clips=0.3),
]
TRAINED_ON = PHASES[3:]  # of a network that can already segment
OBJECTS, CLIP_OBJECTS, CLIP_FRAMES = 4, 2, 6
PEAK, WARM_STEPS = 1e-3, 50
BOXES = 1.5  # weight of prompts that start from a box: fewer answers are asked for them
FIRST = 2.0  # weight of the answer to a first click: later answers are many
AFFINITY = 0.7  # weight of the loss that pairs cells of the encoder's features


def optimizers(model):
    """Muon for the matrices, AdamW for convolutions, tokens, tables of places and vectors; vectors do not decay."""
    table = ("_token.", "_tokens.", "embed")
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and not any(t in n for t in table)]
    taken = {id(p) for p in matrices}
    heavy = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in taken]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": heavy, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return [
        torch.optim.Muon(matrices, lr=PEAK, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98), fused=True),
    ]


def select(values, index):
    return values[torch.arange(len(values)), index]


def still_loss(model, batch, rng, device, phase, balance):
    """Half of the objects start from a click, half from a box; all are then corrected by clicks on what is wrong."""
    images = torch.from_numpy(batch["images"][:, 0]).to(device)
    side, b, k = images.shape[1], *batch["boxes"].shape[:2]
    if phase.blind:
        d = model.hidden_dim
        shapes = [(d // 8, side // 4), (d // 4, side // 8), (d, side // 16)]
        levels = [torch.zeros(b, c, g, g, device=device) for c, g in shapes]
    else:
        feats, _, sizes = model.encode(images)
        levels = [grid(f, s) for f, s in zip(feats, sizes)]
    levels[2] = levels[2] + model.no_mem_embed.view(1, -1, 1, 1)
    total, report = 0, {}
    if not phase.blind:
        labels = torch.from_numpy(batch["labels"]).to(device)
        alike = affinity_loss(levels[1], labels) + affinity_loss(levels[2], labels[:, 1::2, 1::2])
        total, report = 2 * AFFINITY * alike, {"affinity": float(alike.detach())}
    for kind, objects in (("click", np.arange(k // 2)), ("box", np.arange(k // 2, k))):
        image = np.repeat(np.arange(b), len(objects))
        objects = np.tile(objects, b)
        masks = batch["masks"][image, 0, objects]
        target = torch.from_numpy(masks).to(device).float() / 255
        s0, s1, feat = (v[torch.from_numpy(image).to(device)] for v in levels)
        present = torch.ones(len(image), dtype=torch.bool, device=device)
        edges = batch["boxes"][image, objects]
        points = prompts.first_clicks(rng, masks) if kind == "click" else prompts.boxes(rng, edges, side)
        previous = None
        for turn in range(min(phase.turns, rng.choice([1, 3, 4] if kind == "click" else [1, 1, 1, 3]))):
            out, ious, _, score = model.decode(feat, [s0, s1], prompts.tensors(*points, device), previous)
            one = points[1].shape[1] == 1
            loss, truth = prompt_loss(out, ious, score, target, present, *((0.3, 1.0) if one else (1.0, 0.8)), balance)
            total = total + (BOXES if kind == "box" else FIRST if turn == 0 else 1.0) * loss
            best = 1 + ious[:, 1:].argmax(1) if one else torch.zeros(len(image), dtype=torch.long, device=device)
            previous = select(out, best)[:, None].detach().clamp(-32, 32)
            report[f"{kind}{turn + 1}"] = float(select(truth, best).mean())
            points = prompts.correct(rng, *points, previous[:, 0].cpu().numpy(), masks)
    return total / 2, report


def clip_loss(model, batch, rng, device, balance):
    """A mask, a box or a click on frame 0, then tracking; memories are those of the network's own masks.

    Half the clips are corrected by a mask (empty where the object is hidden) on a later frame, before which half of them
    remember that the object was not there, so that a correction has to count for more than what came before it.
    """
    b, frames, side = batch["images"].shape[:3]
    k = batch["boxes"].shape[1]
    images = torch.from_numpy(batch["images"]).to(device)
    feats, encodings, sizes = model.encode(images.flatten(0, 1))
    rows = torch.arange(b, device=device).repeat_interleave(k)
    masks = batch["masks"].transpose(0, 2, 1, 3, 4).reshape(b * k, frames, side // 4, side // 4)
    targets = torch.from_numpy(masks).to(device).float() / 255
    kind = rng.choice(["mask", "box", "click"], p=[0.65, 0.2, 0.15])
    again = int(rng.integers(2, frames - 1)) if rng.random() < 0.5 else frames
    lost = again < frames and rng.random() < 0.5
    memory, total, ious_seen = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}, 0, []
    for t in range(frames):
        now = [f[:, rows * frames + t] for f in feats]
        s0, s1, raw = (grid(f, s) for f, s in zip(now, sizes))
        where = [e[:, rows * frames + t] for e in encodings]
        target = targets[:, t]
        present = target.flatten(1).sum(1) > 1
        said = t in (0, again)
        if t == again or said and kind == "mask":
            first = torch.from_numpy(batch["first"].reshape(b * k, 1, side, side)).to(device).float()
            if t == again:
                first = (upsample(target[:, None], side) > 0.5).float()
            _, _, _, _, high, pointer, _ = model._use_mask_as_output(raw, [s0, s1], first)
        else:
            feat = model._prepare_memory_conditioned_features(
                t, t == 0, now[-1:], where[-1:], sizes[-1:], memory, frames
            )
            points = np.zeros((b * k, 1, 2), np.float32), -np.ones((b * k, 1), np.float32)
            if t == 0 and kind == "box":
                points = prompts.boxes(rng, batch["boxes"].reshape(-1, 4), side)
            elif t == 0:
                points = prompts.first_clicks(rng, masks[:, 0])
            several = not (t == 0 and kind == "box")
            out, ious, tokens, score = model.decode(feat, [s0, s1], prompts.tensors(*points, device), None)
            loss, truth = prompt_loss(out, ious, score, target, present, *((0.2, 1.0) if several else (1.0, 0.4)), balance)
            total = total + loss
            best = 1 + ious[:, 1:].argmax(1) if several else torch.zeros(b * k, dtype=torch.long, device=device)
            ious_seen.append(float((select(truth, best) * present).sum() / present.sum().clamp(min=1)))
            # The truth decides whether the object is there, so that early mistakes of the score do not blank the memory.
            if lost and 0 < t < again:
                present = torch.zeros_like(present)
            here = present[:, None].float()
            pointer = here * model.obj_ptr_proj(select(tokens, best)) + (1 - here) * model.no_obj_ptr
            low = torch.where(present[:, None, None, None], select(out, best)[:, None], -1024.0)
            high = upsample(low, side)
        sign = present[:, None].float() * 20 - 10
        if said:
            high = (high > 0).float() * 200 - 100  # prompted frames are remembered as clean masks
        stored, code = model._encode_new_memory(now, sizes, high, sign, said)
        slot = memory["cond_frame_outputs" if said else "non_cond_frame_outputs"]
        slot[t] = {"maskmem_features": stored, "maskmem_pos_enc": code, "obj_ptr": pointer}
    return total / (frames - 1), {"track": float(np.mean(ious_seen[-(frames - 1):]))}


def rate(progress, step):
    return float(PEAK * min(1, (step + 1) / WARM_STEPS) * max(0.02, 0.5 * (1 + np.cos(np.pi * progress))))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", required=True)
    ap.add_argument("--minutes", type=float, required=True, help="length of the whole run; the schedule follows the clock")
    ap.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--start", help="exported weights to train on, instead of starting values")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "last.pt")

    if args.start:
        model, phases = load(args.start), TRAINED_ON
    else:
        model, phases = SmallSam2(Config()), PHASES
        head_start(model)
    model.to(args.device)
    ema = {n: v.detach().clone() for n, v in model.state_dict().items()}
    opts = optimizers(model)
    step, spent = 0, 0.0
    if os.path.exists(path):
        saved = torch.load(path, map_location=args.device, weights_only=True)
        model.load_state_dict(saved["model"])
        ema, step, spent = saved["ema"], saved["step"], saved["spent"]
        for opt, state in zip(opts, saved["optimizers"]):
            opt.load_state_dict(state)
        rng = np.random.default_rng(args.seed + step)

    def save():
        state = {"config": model.config.to_json(), "model": model.state_dict(), "ema": ema, "step": step, "spent": spent,
                 "optimizers": [opt.state_dict() for opt in opts]}
        torch.save(state, path + ".new")
        os.replace(path + ".new", path)

    phase, sources, means, saved_at = None, {}, {}, spent
    model.train()
    while spent < 60 * args.minutes:
        began = time.time()
        progress = spent / (60 * args.minutes)
        if phase is None or progress >= phase.until:
            for s in sources.values():
                s.close()
            phase = next(p for p in phases if progress < p.until)
            side, batch = phase.side, phase.batch
            model.set_side(side)
            seed = 1000 * args.seed + step
            sources = {"still": Source("still", side, batch, (batch + 2) // 4, OBJECTS, 1, seed)}
            if phase.clips:
                clips = max(1, batch // 4)
                sources["clip"] = Source("clip", side, clips, max(1, clips // 4), CLIP_OBJECTS, CLIP_FRAMES, seed + 500)
        clip = rng.random() < phase.clips
        balance = 0.0 if args.start else max(0.0, 1 - 2 * progress)
        batch = sources["clip" if clip else "still"].next()
        if clip:
            loss, report = clip_loss(model, batch, rng, args.device, balance)
        else:
            loss, report = still_loss(model, batch, rng, args.device, phase, balance)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            for g in opt.param_groups:
                g["lr"] = rate(progress, step)
            opt.step()
        keep = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for n, v in model.state_dict().items():
                ema[n].lerp_(v, 1 - keep)
        step += 1
        spent += time.time() - began
        for n, v in {"clip loss" if clip else "still loss": float(loss.detach()), **report}.items():
            means[n] = v if n not in means else 0.98 * means[n] + 0.02 * v
        if step % 100 == 0:
            line = {"step": step, "minutes": round(spent / 60, 2), "side": phase.side, **{n: round(v, 3) for n, v in sorted(means.items())}}
            print(json.dumps(line), flush=True)
        if spent - saved_at > 120:
            saved_at = spent
            save()
    save()
    for s in sources.values():
        s.close()


if __name__ == "__main__":
    main()
