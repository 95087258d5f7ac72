"""Trains the two small detectors of tests/data/detect on shapes; minutes on two cores each.

    python train_detectors.py owlv2 --out ../data/detect/owlv2
    python train_detectors.py d_fine --out ../data/detect/d_fine
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


def train(model, loss_of, minutes, rate):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate, weight_decay=1e-4)
    source, start, step, shown = batches(0, BATCH), time.time(), 0, 0.0
    while (share := (time.time() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 200) * (0.02 + 0.98 * (1 + np.cos(np.pi * share)) / 2)
        loss = loss_of(*next(source))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        shown, step = 0.98 * shown + 0.02 * loss.item(), step + 1
        if step % 200 == 0:
            print(f"{step} {time.time() - start:.0f} s {shown:.4f}", flush=True)


def owlv2(args):
    """A patch is taught the thing whose center is in it."""
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
    torch.nn.init.constant_(model.class_head.logit_shift.bias, -1.0)
    ids = [cut(phrase)["input_ids"] for phrase in CLASSES]
    ids = torch.tensor([i + [0] * (N_TOKENS - len(i)) for i in ids])
    grid = SIDE // 16
    mean, deviation = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_DEVIATION).view(3, 1, 1)

    def loss_of(pixels, labels):
        features, _ = model.image_embedder((pixels - mean) / deviation)
        patches = features.flatten(1, 2)
        queries = model.owlv2.get_text_features(input_ids=ids).pooler_output
        logits, _ = model.class_predictor(patches, queries.expand(len(pixels), -1, -1))
        boxes = model.box_predictor(patches, features)
        objectness = model.objectness_head(patches)[..., 0]
        wanted, is_thing = torch.zeros_like(logits), torch.zeros_like(objectness)
        found, true = [], []
        for i, label in enumerate(labels):
            cells = (label["boxes"][:, :2] * grid).long().clamp(max=grid - 1)
            places = cells[:, 1] * grid + cells[:, 0]
            wanted[i, places, label["class_labels"]] = 1
            is_thing[i, places] = 1
            found.append(boxes[i, places])
            true.append(label["boxes"])
        found, true = torch.cat(found), torch.cat(true)
        n = len(true)
        probability = logits.sigmoid()
        focal = torch.where(wanted > 0, 0.5 * (1 - probability) ** 2, 0.5 * probability**2)
        classes = (focal * functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum() / n
        things = functional.binary_cross_entropy_with_logits(objectness, is_thing, reduction="sum") / n
        l1 = functional.l1_loss(found, true, reduction="sum") / n
        giou = generalized_box_iou_loss(corners(found), corners(true), reduction="sum") / n
        return 2 * classes + 0.1 * things + 5 * l1 + 2 * giou

    train(model, loss_of, args.minutes, 1e-3)
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
    train(model, lambda pixels, labels: model(pixels, labels=labels).loss, args.minutes, 1e-3)
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
