"""Reference numbers of the four parts, each on inputs from the formula.

Inputs are `formula.values(name, shape, amplitude)`, with names that begin "input/". Layouts are
those of Segue's graphs: `feat` is [N, d] with N = g * g tokens, a memory is [N, m].
"""

import torch

import formula
import model as reference
from store import sample


def given(name, shape, amplitude=1.0):
    """A formula input as a torch tensor."""
    return torch.from_numpy(formula.values(f"input/{name}", shape, amplitude))


def tokens(planes):
    """[1, d, g, g] to [N, d]."""
    return planes[0].flatten(1).T


def planes(rows, side):
    """[N, d] to [1, d, g, g]."""
    return rows.T.reshape(1, -1, side, side)


def parts(model):
    """All parts' reference tensors by name."""
    out = {}
    with torch.inference_mode():
        out |= encoder(model)
        out |= memory_attention(model)
        out |= memory_encoder(model)
        out |= decoder(model)
    return out


@torch.inference_mode()
def encoder(model):
    """`formula`: pixels = 2u. `frame`: frame 3 of the 200x120 clip, preprocessing included."""
    size = model.image_size
    inputs = {
        "formula": given("pixels", (3, size, size), 2.0),
        "frame": reference.pixels(formula.frame(3, 200, 120), size),
    }
    out = {"encoder/frame/pixels": sample(inputs["frame"])}
    for name, image in inputs.items():
        hr0, hr1, feat = model.forward_image(image[None])["backbone_fpn"]
        out[f"encoder/{name}/feat"] = sample(tokens(feat))
        out[f"encoder/{name}/hr0"] = sample(hr0)
        out[f"encoder/{name}/hr1"] = sample(hr1)
    return out


def memory_attention(model):
    """Cases: (memories, pointers). Encodings of time are formula inputs, those of space the model's."""
    side, d, m = model.image_size // 16, model.hidden_dim, model.mem_dim
    feat = given("feat", (side * side, d))
    position = model.image_encoder.neck.position_encoding(torch.zeros(1, d, side, side))
    space = tokens(model.memory_encoder.position_encoding(torch.zeros(1, m, side, side)))
    out = {}
    for memories, pointers in ((1, 0), (3, 2), (7, 16)):
        count = pointers * (d // m)
        memory = given("mem", (memories, side * side, m))
        time = given("tpos", (memories, 1, m), 0.5)
        pointer, pointer_time = given("ptr", (count, m)), given("ptr_pos", (count, m), 0.5)
        fused = model.memory_attention(
            curr=[feat[:, None]],
            curr_pos=[tokens(position)[:, None]],
            memory=torch.cat([memory.reshape(-1, m), pointer])[:, None],
            memory_pos=torch.cat([(space[None] + time).reshape(-1, m), pointer_time])[:, None],
            num_obj_ptr_tokens=count,
        )
        out[f"memory_attention/{memories}x{pointers}/fused"] = sample(fused[:, 0])
    return out


def memory_encoder(model):
    """mask = 10u (already scaled as the encoder wants it); with the no-object embedding and without."""
    size = model.image_size
    feat = given("feat", (size // 16 * (size // 16), model.hidden_dim))
    mask = given("mask", (1, 1, size, size), 10.0)
    memory = model.memory_encoder(planes(feat, size // 16), mask, skip_mask_sigmoid=True)
    memory = tokens(memory["vision_features"])
    return {
        "memory_encoder/present/mem": sample(memory),
        "memory_encoder/absent/mem": sample(memory + model.no_obj_embed_spatial),
    }


PROMPTS = {  # points in the model's S x S pixels as fractions of S, and their labels
    "none": ([(0.0, 0.0)], [-1]),
    "click": ([(0.3, 0.45)], [1]),
    "box_and_points": ([(0.1, 0.2), (0.7, 0.6), (0.25, 0.5), (0.9, 0.9)], [2, 3, 1, 0]),
}


def decoder(model):
    """Every prompt without and with a mask prompt (10u); all four masks, before any selection."""
    size, d = model.image_size, model.hidden_dim
    side = size // 16
    feat = given("feat", (side * side, d))
    high = [given("hr0", (1, d // 8, size // 4, size // 4)), given("hr1", (1, d // 4, size // 8, size // 8))]
    mask = given("low", (1, 1, size // 4, size // 4), 10.0)
    out = {}
    for name, (points, labels) in PROMPTS.items():
        for suffix, prompt in (("", None), ("+mask", mask)):
            sparse, dense = model.sam_prompt_encoder(
                points=(torch.tensor([points]) * size, torch.tensor([labels], dtype=torch.int32)),
                boxes=None,
                masks=prompt,
            )
            masks, ious, mask_tokens, score = model.sam_mask_decoder.predict_masks(
                planes(feat, side), model.sam_prompt_encoder.get_dense_pe(), sparse, dense, False, high
            )
            key = f"decoder/{name}{suffix}"
            out[f"{key}/masks"] = sample(masks[0])
            out[f"{key}/iou"] = sample(ious[0])
            out[f"{key}/ptrs"] = sample(model.obj_ptr_proj(mask_tokens)[0])
            out[f"{key}/obj"] = sample(score[0])
    return out
