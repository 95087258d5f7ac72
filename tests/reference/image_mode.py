"""Reference numbers of image mode, made by sam2's own SAM2ImagePredictor.

The predictor runs on the video predictor's model, that is with dynamic multimask via stability
(delta 0.05, threshold 0.98): `multi` returns masks 1..3, `single` returns mask 0 if it is stable,
else the one of masks 1..3 with the highest predicted IoU. No hole filling in image mode.
"""

import numpy as np
from sam2.sam2_image_predictor import SAM2ImagePredictor

import formula
from store import pack

WIDTH, HEIGHT, FRAME = 200, 120, 3

# Points are [x, y, label]; x, y in image pixels. `previous` names the case whose best multi mask
# (clamped low-res logits, highest predicted IoU) is the mask prompt.
PROMPTS = {
    "point": {"points": [[62, 50, 1]]},
    "points3": {"points": [[62, 50, 1], [88, 40, 1], [136, 42, 0]]},
    "box": {"box": [104, 22, 168, 60]},
    "box_negative": {"box": [104, 22, 168, 60], "points": [[120, 80, 0]]},
    "refine": {"points": [[62, 50, 1], [110, 78, 0]], "previous": "point"},
    "mask_only": {"previous": "box"},
}


def image_mode(model):
    """For each prompt and `multi`, `single`: logits (clamped to +-32), iou and the image-size mask."""
    size = model.image_size
    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(size // stride, size // stride) for stride in (4, 8, 16)]
    predictor.set_image(formula.frame(FRAME, size, size))
    predictor._orig_hw = [(HEIGHT, WIDTH)]
    out, best = {}, {}
    for name, prompt in PROMPTS.items():
        points = np.array(prompt["points"], np.float32) if "points" in prompt else None
        for kind in ("multi", "single"):
            masks, ious, logits = predictor.predict(
                point_coords=None if points is None else points[:, :2],
                point_labels=None if points is None else points[:, 2],
                box=np.array(prompt["box"], np.float32) if "box" in prompt else None,
                mask_input=best[prompt["previous"]] if "previous" in prompt else None,
                multimask_output=kind == "multi",
            )
            if kind == "multi":
                best[name] = logits[ious.argmax()][None]
            key = f"image/{name}/{kind}"
            out |= {f"{key}/logits": logits, f"{key}/iou": ious, f"{key}/mask": pack(masks)}
    return out, {"frame": FRAME, "width": WIDTH, "height": HEIGHT, "prompts": PROMPTS}
