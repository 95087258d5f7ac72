"""Losses on the network's own mask grid (S/4), against soft coverage targets in 0..1."""
import torch
import torch.nn.functional as F

# SAM 2 uses a focal loss of weight 20; from scratch that first teaches to answer nothing, which a short run cannot afford.
CROSS, DICE, IOU, SCORE = 2.0, 2.0, 1.0, 0.5


def mask_losses(logits, target, balance):
    """Cross entropy plus dice loss of every mask: logits [n,k,h,w], target [n,h,w] to [n,k].

    With balance 1 object and surroundings weigh the same whatever their areas, with 0 every pixel does.
    """
    t = target[:, None].expand_as(logits)
    p = logits.sigmoid()
    area = t.mean((2, 3), keepdim=True).clamp(0.02, 0.98)
    area = 0.5 + balance * (area - 0.5)
    weight = 0.5 * (t / area + (1 - t) / (1 - area))
    cross = (weight * F.binary_cross_entropy_with_logits(logits, t, reduction="none")).mean((2, 3))
    dice = 1 - (2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)
    return CROSS * cross + DICE * dice


def true_ious(logits, target):
    """IoU of the thresholded masks: [n,k,h,w] and [n,h,w] to [n,k], without gradient."""
    with torch.no_grad():
        a, b = logits > 0, target[:, None] > 0.5
        return (a & b).sum((2, 3)) / (a | b).sum((2, 3)).clamp(min=1)


def prompt_loss(masks, ious, score, target, present, single, several, balance):
    """The loss of one decoder call and the true IoUs of its masks.

    masks [n,4,h,w], ious [n,4], score [n,1], target [n,h,w], present [n] bool.
    Token 0 answers unambiguous prompts and counts with `single`; of tokens 1-3, which answer ambiguous ones, only the best
    counts, with `several`, so that each may stand for another reading (a part, a whole).
    Both always get some weight, because the stability rule may pick either for any prompt.
    """
    each, truth = mask_losses(masks, target, balance), true_ious(masks, target)
    shape = single * each[:, 0] + several * (each[:, 1:].min(1).values + 0.05 * each[:, 1:].mean(1))
    quality = (ious - truth).abs().mean(1)
    here = present.float()
    total = ((shape + IOU * quality) * here).sum() / here.sum().clamp(min=1)
    return total + SCORE * F.binary_cross_entropy_with_logits(score[:, 0], here), truth


def affinity_loss(features, labels):
    """Features of cells of one thing should point the same way, those of different things should not.

    features [b,c,g,g] and labels [b,g,g]; every pair of cells is judged, both answers weighing the same.
    This teaches the encoder directly, long before the decoder can tell it what a prompt needs.
    """
    x = F.normalize(features.flatten(2), dim=1)
    same = (labels.flatten(1)[:, :, None] == labels.flatten(1)[:, None]).float()
    logits = 8 * (x.transpose(1, 2) @ x - 0.5)
    part = same.mean((1, 2), keepdim=True).clamp(0.02, 0.98)
    weight = 0.5 * (same / part + (1 - same) / (1 - part))
    return (weight * F.binary_cross_entropy_with_logits(logits, same, reduction="none")).mean()
