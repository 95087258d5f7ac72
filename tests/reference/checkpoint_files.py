"""Writes checkpoint files with the formula's weights, for the tests of Segue's readers.

    python checkpoint_files.py --config tiny --pt tiny.pt --safetensors tiny.safetensors
    python checkpoint_files.py --six ../data/six_tensors.pt

The `.pt` is what Meta publishes: torch.save({"model": state_dict}) with Meta's names. The
`.safetensors` has the names of transformers' Sam2VideoModel. `--six` writes a small `.pt` that
is kept in the repository, so that a file of the real torch.save is read in every test run.
"""

import argparse
import re

import torch
from safetensors.torch import save_file

import formula
import model as reference

SIX = {  # Meta's names with the shapes of the nano config
    "no_obj_ptr": (1, 96),
    "maskmem_tpos_enc": (7, 1, 1, 32),
    "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 48),
    "sam_prompt_encoder.mask_downscaling.0.weight": (4, 1, 2, 2),
    "memory_encoder.fuser.layers.0.gamma": (96,),
    "mask_downsample.bias": (1,),
}

LAYER3 = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
MASK_EMBED = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
UPSCALE = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}


def downsampler(match):
    """Convolutions stand at 0, 3, 6, 9 with their norms behind them; 12 is the last convolution."""
    index = int(match[1])
    if index == 12:
        return "mask_downsampler.final_conv."
    return f"mask_downsampler.layers.{index // 3}.{('conv', 'layer_norm')[index % 3]}."


# (where the rule holds, pattern, replacement): all that match are applied, in this order.
RENAMES = [
    ("", r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    ("", r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    ("", r"^sam_prompt_encoder\.", "prompt_encoder."),
    ("", r"^sam_mask_decoder\.", "mask_decoder."),
    ("", r"^obj_ptr_proj\.", "object_pointer_proj."),
    ("", r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    ("", r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    ("", r"^no_mem_embed$", "no_memory_embedding"),
    ("", r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    ("", r"^no_obj_ptr$", "no_object_pointer"),
    ("", r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    ("vision_encoder", r"patch_embed\.proj\.", "patch_embed.projection."),
    ("memory_encoder", r"mask_downsampler\.encoder\.(\d+)\.", downsampler),
    ("memory_encoder", r"pix_feat_proj", "feature_projection"),
    ("memory_encoder", r"memory_encoder\.out_proj", "memory_encoder.projection"),
    ("memory_encoder", r"\.fuser\.", ".memory_fuser."),
    ("memory_encoder", r"\.dwconv\.", ".depthwise_conv."),
    ("memory_encoder", r"\.pwconv([12])\.", r".pointwise_conv\1."),
    ("memory_encoder", r"\.gamma$", ".scale"),
    ("prompt_encoder", r"mask_downscaling\.(\d)\.", lambda m: f"mask_embed.{MASK_EMBED[m[1]]}."),
    ("mask_decoder", r"output_upscaling\.(\d)\.", lambda m: f"{UPSCALE[m[1]]}."),
    ("mask_decoder", r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    ("", r"\.norm(\d?)\.", r".layer_norm\1."),
    ("memory_attention", r"\.out_proj\.", ".o_proj."),
    ("mask_decoder", r"\.out_proj\.", ".o_proj."),
    ("", r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    ("", r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (
        "",
        r"(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d|object_pointer_proj)"
        r"\.layers\.(\d)\.",
        lambda m: f"{m[1]}.{LAYER3[m[2]]}.",
    ),
]

POINT_EMBEDDING = r"sam_prompt_encoder\.point_embeddings\.\d\.weight"
GAUSSIAN = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"


def transformers_name(name):
    """A tensor's name in transformers; not for the ones `to_transformers` handles itself."""
    for where, pattern, replacement in RENAMES:
        if name.startswith(where):
            name = re.sub(pattern, replacement, name)
    return name


def to_transformers(state):
    """Meta's state dict under transformers' names.

    Four point embeddings become one tensor; the Fourier matrix is written twice, as
    transformers' save_pretrained does.
    """
    points = sorted(name for name in state if re.fullmatch(POINT_EMBEDDING, name))
    out = {
        transformers_name(name): tensor
        for name, tensor in state.items()
        if name not in points and name != GAUSSIAN
    }
    out["prompt_encoder.point_embed.weight"] = torch.cat([state[name] for name in points])
    for user in ("shared_image_embedding", "prompt_encoder.shared_embedding"):
        out[f"{user}.positional_embedding"] = state[GAUSSIAN].clone()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=[*reference.SMALL_CONFIGS, *reference.CONFIGS], default="tiny")
    parser.add_argument("--pt", help="file with Meta's names")
    parser.add_argument("--safetensors", help="file with transformers' names")
    parser.add_argument("--six", help="small file with six tensors")
    args = parser.parse_args()
    if args.six:
        six = {name: torch.from_numpy(formula.weight(name, shape)) for name, shape in SIX.items()}
        torch.save({"model": six}, args.six)
    if args.pt or args.safetensors:
        config = reference.SMALL_CONFIGS.get(args.config, args.config)
        model = reference.load_formula(reference.build(config), formula.OBJECT_BIAS[args.config])
        state = model.state_dict()
        if args.pt:
            torch.save({"model": state}, args.pt)
        if args.safetensors:
            tensors = {name: tensor.contiguous() for name, tensor in to_transformers(state).items()}
            save_file(tensors, args.safetensors, {"format": "pt"})


if __name__ == "__main__":
    main()
