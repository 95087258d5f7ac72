"""Losses on the network's own mask grid (S/4), against soft coverage targets in 0..1."""
import torch
import torch.nn.functional as F

# SAM 2 uses a focal loss of weight 20; from scratch that first teaches to answer nothing, which a short run cannot afford.
CROSS, DICE, IOU, SCORE = 2.0, 2.0, 1.0, 0.5


def mask_losses(logits, target):
    """Cross entropy plus dice loss of every mask: logits [n,k,h,w], target [n,h,w] to [n,k]."""
    t = target[:, None].expand_as(logits)
    p = logits.sigmoid()
    cross = F.binary_cross_entropy_with_logits(logits, t, reduction="none").mean((2, 3))
    dice = 1 - (2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)
    return CROSS * cross + DICE * dice


def true_ious(logits, target):
    """IoU of the thresholded masks: [n,k,h,w] and [n,h,w] to [n,k], without gradient."""
    with torch.no_grad():
        a, b = logits > 0, target[:, None] > 0.5
        return (a & b).sum((2, 3)) / (a | b).sum((2, 3)).clamp(min=1)


def prompt_loss(masks, ious, score, target, present, single, several):
    """The loss of one decoder call and the true IoUs of its masks.

    masks [n,4,h,w], ious [n,4], score [n,1], target [n,h,w], present [n] bool.
    Token 0 answers unambiguous prompts and counts with `single`; of tokens 1-3, which answer ambiguous ones, only the best
    counts, with `several`, so that each may stand for another reading (a part, a whole).
    Both always get some weight, because the stability rule may pick either for any prompt.
    """
    each, truth = mask_losses(masks, target), true_ious(masks, target)
    shape = single * each[:, 0] + several * (each[:, 1:].min(1).values + 0.05 * each[:, 1:].mean(1))
    quality = (ious - truth).abs().mean(1)
    here = present.float()
    total = ((shape + IOU * quality) * here).sum() / here.sum().clamp(min=1)
    return total + SCORE * F.binary_cross_entropy_with_logits(score[:, 0], here), truth
