"""Trains the two small detectors of tests/data/detect on shapes; minutes on two cores each.

    python train_detectors.py owlv2 --out ../data/detect/owlv2
    python train_detectors.py d_fine --out ../data/detect/d_fine

The OWLv2 there was trained for 26 minutes with scores that aim at the IoU itself, then for 4.5 more as is written here. The
D-FINE there had scenes with fewer things.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss
from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config, Owlv2Config, Owlv2ForObjectDetection

from detectors import CLIP_DEVIATION, CLIP_MEAN, N_TOKENS, official_name, tokenizer
from shapes import CLASSES, scene

SIDE = 160
BATCH = 16


def batches(seed, n):
    """Images [n, 3, SIDE, SIDE] in 0..1, and of each its boxes (center and size, as shares) and classes."""
    rng = np.random.default_rng(seed)
    while True:
        scenes = [scene(rng, SIDE) for _ in range(n)]
        pixels = torch.from_numpy(np.stack([image for image, _, _ in scenes])).permute(0, 3, 1, 2).float() / 255
        labels = []
        for _, boxes, classes in scenes:
            x0, y0, x1, y1 = torch.from_numpy(boxes).T / SIDE
            shares = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
            labels.append({"boxes": shares, "class_labels": torch.from_numpy(classes)})
        yield pixels, labels


def corners(boxes):
    center, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([center - size / 2, center + size / 2], -1)


def box_iou_of_each(a, b):
    """The IoU of each box of `a` and the one of `b` beside it."""
    both = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    return both / ((a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - both)


class Muon(torch.optim.Optimizer):
    """Moves a matrix as far in all of its directions (Jordan et al., 2024); shapes are learned in far fewer steps.

    Each weight moves by about the rate. torch's own Muon computes in bfloat16, which is slow on CPUs.
    """

    def __init__(self, matrices, rate):
        super().__init__(matrices, {"lr": rate})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for matrix in (m for m in group["params"] if m.grad is not None):
                mean = self.state[matrix].setdefault("mean", torch.zeros_like(matrix)).lerp_(matrix.grad, 0.05)
                way = orthogonal(matrix.grad.lerp(mean, 0.95).flatten(1))
                matrix.sub_((group["lr"] * max(way.shape) ** 0.5 * way).view_as(matrix))


def orthogonal(matrix):
    """About the closest matrix whose singular values are 1, by five steps of Newton and Schulz."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide is matrix else x.T


def train(model, loss_of, minutes, rate, warm_up, adam, *more):
    """By AdamW `adam` and `more` optimizers; the rate grows for `warm_up` steps and then falls to almost nothing."""
    optimizers = [adam, *more]
    source, start, step, shown = batches(0, BATCH), time.time(), 0, 0.0
    while (share := (time.time() - start) / 60 / minutes) < 1:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate * min(1, (step + 1) / warm_up) * (0.02 + 0.98 * (1 + np.cos(np.pi * share)) / 2)
        loss = loss_of(*next(source))
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adam.param_groups[0]["params"], 1.0)
        for optimizer in optimizers:
            optimizer.step()
        shown, step = 0.98 * shown + 0.02 * loss.item(), step + 1
        if step % 200 == 0:
            print(f"{step} {time.time() - start:.0f} s {shown:.4f}", flush=True)


def owlv2(args):
    """All patches that a thing's box holds are taught the thing, each as surely as its own box is right."""
    cut = tokenizer(args.out)
    n_words = len(cut)
    vision = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 2}
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1}
    words = {"vocab_size": n_words, "bos_token_id": n_words - 2, "eos_token_id": n_words - 1}
    config = Owlv2Config(
        vision_config=vision | {"image_size": SIDE}, text_config=text | words, projection_dim=64
    )
    torch.manual_seed(0)
    model = Owlv2ForObjectDetection(config).train()
    # transformers begins the heads with weights that are far too large to be trained.
    for head in [model.class_head, model.box_head, model.objectness_head]:
        for layer in head.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
    # Likeness is within -1..1: stretched, phrases can be told apart from the first step on.
    for layer, bias in [(model.class_head.logit_shift, -0.5), (model.class_head.logit_scale, 7.0)]:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, bias)
    ids = [cut(phrase)["input_ids"] for phrase in CLASSES]
    ids = torch.tensor([i + [0] * (N_TOKENS - len(i)) for i in ids])
    grid = SIDE // 16
    at = (torch.arange(grid) + 0.5) / grid
    middles = torch.cartesian_prod(at, at).flip(-1)
    mean, deviation = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_DEVIATION).view(3, 1, 1)

    def taught(labels):
        """Image, patch, box, class and weight of all patches that are taught; many of one thing weigh less each."""
        rows = []
        for i, label in enumerate(labels):
            boxes = corners(label["boxes"])
            is_in = ((middles[:, None] > boxes[:, :2]) & (middles[:, None] < boxes[:, 2:])).all(-1)
            patch, thing = is_in.nonzero(as_tuple=True)
            weight = is_in.sum(0)[thing] ** -0.5
            rows.append((torch.full_like(patch, i), patch, boxes[thing], label["class_labels"][thing], weight))
        *known, weight = map(torch.cat, zip(*rows, strict=True))
        return *known, weight / weight.sum()

    def loss_of(pixels, labels):
        features, _ = model.image_embedder((pixels - mean) / deviation)
        patches = features.flatten(1, 2)
        queries = model.owlv2.get_text_features(input_ids=ids).pooler_output
        logits, _ = model.class_predictor(patches, queries.expand(len(pixels), -1, -1))
        boxes = corners(model.box_predictor(patches, features))
        objectness = model.objectness_head(patches)[..., 0]
        image, patch, true, named, weight = taught(labels)
        found = boxes[image, patch]
        # 0 up to an IoU of 0.5: worse boxes overlap the best too little to be suppressed, and would be found too.
        fit = (2 * box_iou_of_each(found.detach(), true) - 1).clamp(min=0)
        wanted, is_thing = torch.zeros_like(logits), torch.zeros_like(objectness)
        wanted[image, patch, named] = fit
        is_thing[image, patch] = fit
        cross_entropy = functional.binary_cross_entropy_with_logits
        # Scores are how well a box will fit, so that of a thing's patches the best placed is kept.
        off = (wanted - logits.sigmoid()).detach() ** 2
        scores = (off * cross_entropy(logits, wanted, reduction="none")).sum() / len(weight)
        # Only the surest phrase of a place is kept, so that phrases compete too.
        phrases = (weight * functional.cross_entropy(logits[image, patch], named, reduction="none")).sum()
        l1 = (weight * (found - true).abs().sum(-1)).sum()
        giou = (weight * generalized_box_iou_loss(found, true)).sum()
        return 2 * scores + phrases + 0.3 * cross_entropy(objectness, is_thing) + 5 * l1 + 2 * giou

    def is_matrix(name, weight):
        is_table = name.endswith(("token_embedding.weight", "position_embedding.weight"))
        return weight.ndim > 1 and not is_table and len(weight) > 4

    rate, parts = 1.5e-3, {True: [], False: []}
    for name, weight in model.named_parameters():
        parts[is_matrix(name, weight)].append(weight)
    adam = torch.optim.AdamW(parts[False], rate, betas=(0.9, 0.98), weight_decay=1e-4)
    train(model, loss_of, args.minutes, rate, 100, adam, Muon(parts[True], rate))
    keep = {k: v.half() for k, v in model.state_dict().items() if v.is_floating_point()}
    save_file({k: v.contiguous() for k, v in keep.items()}, args.out / "model.safetensors")


def d_fine(args):
    """By transformers' own loss."""
    out = [32, 64, 96, 128]
    backbone = HGNetV2Config(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 32, 64, 96],
        stage_mid_channels=[16, 16, 24, 32],
        stage_out_channels=out,
        hidden_sizes=out,
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[2, 2, 2, 2],
        use_learnable_affine_block=True,
        out_indices=[2, 3, 4],
    )
    config = DFineConfig(
        backbone_config=backbone,
        freeze_backbone_batch_norms=False,
        encoder_in_channels=out[1:],
        encoder_hidden_dim=64,
        encoder_ffn_dim=128,
        d_model=64,
        decoder_in_channels=[64, 64, 64],
        decoder_ffn_dim=128,
        decoder_layers=2,
        decoder_n_points=[3, 6, 3],
        num_queries=30,
        num_denoising=20,
        depth_mult=0.34,
        hidden_expansion=0.5,
        lqe_hidden_dim=16,
        id2label=dict(enumerate(CLASSES)),
    )
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    model = DFineForObjectDetection(config).train()
    # The heads outside are the decoder's.
    model.class_embed, model.bbox_embed = model.model.decoder.class_embed, model.model.decoder.bbox_embed
    adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3, weight_decay=1e-4)
    train(model, lambda pixels, labels: model(pixels, labels=labels).loss, args.minutes, 1e-3, 200, adam)
    keep = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and name.startswith("model."):
            keep[official_name("d_fine", name)] = tensor.half().contiguous().clone()
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(keep, args.out / "model.safetensors")
    (args.out / "config.json").write_text(json.dumps(json.loads(config.to_json_string())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["owlv2", "d_fine"])
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    globals()[args.what](args)


if __name__ == "__main__":
    main()
