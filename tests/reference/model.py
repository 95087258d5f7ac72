"""SAM 2.1 of the PyTorch package `sam2`: the four sizes and small configs (2.0 too), with any weights.

The configuration is that of `build_sam2_video_predictor(apply_postprocessing=True)` with
`add_all_frames_to_correct_as_cond=true`, so that corrections act.
"""

import json
from dataclasses import dataclass, fields

import numpy as np
import sam2.sam2_video_predictor
import sam2.utils.misc
import torch
from hydra import compose
from hydra.utils import instantiate
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from sam2.sam2_video_predictor import SAM2VideoPredictor
from safetensors import safe_open
from scipy import ndimage

import formula

CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@dataclass
class SmallConfig:
    """A config of our own: what a safetensors file's metadata "config" holds as JSON."""

    image_size: int = 128
    embed_dim: int = 32
    num_heads: int = 1
    stages: tuple = (1, 2, 5, 1)
    global_blocks: tuple = (4, 6)
    windows: tuple = (8, 4, 8, 8)
    pos_embed_size: int = 7
    d_model: int = 96
    mem_dim: int = 32
    memory_layers: int = 2
    memory_ffn: int = 512
    decoder_mlp: int = 384
    decoder_heads: int = 4
    is_2_1: bool = True

    @classmethod
    def from_json(cls, text):
        """Reads the fields it knows, ignores others."""
        known = {field.name for field in fields(cls)}
        return cls(**{k: v for k, v in json.loads(text).items() if k in known})

    def overrides(self):
        """The differences from tiny's YAML file."""
        rope = f"feat_sizes=[{self.image_size // 16},{self.image_size // 16}]"
        attention = "memory_attention.layer."
        widths = [self.embed_dim * 8, self.embed_dim * 4, self.embed_dim * 2, self.embed_dim]
        return [
            f"image_encoder.trunk.embed_dim={self.embed_dim}",
            f"image_encoder.trunk.num_heads={self.num_heads}",
            f"image_encoder.trunk.stages={list(self.stages)}",
            f"image_encoder.trunk.global_att_blocks={list(self.global_blocks)}",
            f"image_encoder.trunk.window_spec={list(self.windows)}",
            f"image_encoder.trunk.window_pos_embed_bkg_spatial_size={[self.pos_embed_size] * 2}",
            f"image_encoder.neck.d_model={self.d_model}",
            f"image_encoder.neck.position_encoding.num_pos_feats={self.d_model}",
            f"image_encoder.neck.backbone_channel_list={widths}",
            f"memory_attention.d_model={self.d_model}",
            f"memory_attention.num_layers={self.memory_layers}",
            f"{attention}d_model={self.d_model}",
            f"{attention}dim_feedforward={self.memory_ffn}",
            f"{attention}self_attention.embedding_dim={self.d_model}",
            f"{attention}self_attention.{rope}",
            f"{attention}cross_attention.embedding_dim={self.d_model}",
            f"{attention}cross_attention.kv_in_dim={self.mem_dim}",
            f"{attention}cross_attention.{rope}",
            f"memory_encoder.out_dim={self.mem_dim}",
            f"+memory_encoder.in_dim={self.d_model}",
            f"memory_encoder.position_encoding.num_pos_feats={self.mem_dim}",
            f"+memory_encoder.mask_downsampler.embed_dim={self.d_model}",
            f"memory_encoder.fuser.layer.dim={self.d_model}",
            f"_target_={__name__}.SmallHeadPredictor",
            f"decoder_mlp={self.decoder_mlp}",
            f"decoder_heads={self.decoder_heads}",
            f"no_obj_embed_spatial={self.is_2_1}",
            f"add_tpos_enc_to_obj_ptrs={self.is_2_1}",
            f"proj_tpos_enc_in_obj_ptrs={self.is_2_1}",
            f"use_signed_tpos_enc_to_obj_ptrs={self.is_2_1}",
        ]


SMALL_CONFIGS = {"nano": SmallConfig(), "old_nano": SmallConfig(is_2_1=False)}


class SmallHeadPredictor(SAM2VideoPredictor):
    """The video predictor with a narrower mask decoder; sam2 fixes its widths in code."""

    def __init__(self, decoder_mlp, decoder_heads, **kwargs):
        self.decoder_mlp, self.decoder_heads = decoder_mlp, decoder_heads
        super().__init__(**kwargs)

    def _build_sam_heads(self):
        super()._build_sam_heads()
        self.sam_mask_decoder = MaskDecoder(
            transformer=TwoWayTransformer(
                depth=2,
                embedding_dim=self.hidden_dim,
                mlp_dim=self.decoder_mlp,
                num_heads=self.decoder_heads,
            ),
            transformer_dim=self.hidden_dim,
            iou_head_hidden_dim=self.hidden_dim,
            use_high_res_features=True,
            iou_prediction_use_sigmoid=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
            use_multimask_token_for_obj_ptr=True,
            **self.sam_mask_decoder_extra_args,
        )


def connected_components(mask):
    """Stand-in for sam2's CUDA kernel: 8-connected labels and each pixel's component area."""
    labels = np.zeros(mask.shape, np.int32)
    areas = np.zeros(mask.shape, np.int32)
    for i, plane in enumerate(mask[:, 0].cpu().numpy()):
        labels[i, 0], _ = ndimage.label(plane, structure=np.ones((3, 3)))
        areas[i, 0] = np.bincount(labels[i, 0].ravel())[labels[i, 0]]
    return torch.from_numpy(labels), torch.from_numpy(areas)


def build(config, size=None, max_cond_frames=-1, **options):
    """A video predictor without weights; `config` is one of CONFIGS or a SmallConfig."""
    overrides = {
        "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor",
        "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": "true",
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
        "binarize_mask_from_pts_for_mem_enc": "true",
        "fill_hole_area": 8,
        "add_all_frames_to_correct_as_cond": "true",
        "max_cond_frames_in_attn": max_cond_frames,
        **options,
    }
    lines = [f"{key}={value}" for key, value in overrides.items()]
    letter = "t"
    if isinstance(config, SmallConfig):
        lines += config.overrides()
        size = size or config.image_size
    else:
        letter = CONFIGS[config]
    lines.append(f"image_size={size or 1024}")
    lines = ["++model." + line.lstrip("+") for line in lines]
    sam2.utils.misc.get_connected_components = connected_components
    yaml = compose(config_name=f"configs/sam2.1/sam2.1_hiera_{letter}.yaml", overrides=lines)
    return instantiate(yaml.model, _recursive_=True).eval()


def load_formula(model, object_bias=0.0):
    """Gives the model the formula's weights."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(formula.weight(name, tuple(tensor.shape), object_bias)))
    return model


def load_file(path, size=None, **options):
    """A small config's model from a safetensors file of Meta-named tensors (any float type)."""
    with safe_open(path, "pt") as file:
        config = SmallConfig.from_json(file.metadata()["config"])
        model = build(config, size, **options)
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    model.load_state_dict(tensors, strict=True)
    return model


def pixels(image):
    """uint8 [size, size, 3] as the model wants it: normalized [3, size, size]."""
    return (torch.from_numpy(image).permute(2, 0, 1).float() / 255.0 - MEAN) / STD


def open_clip(model, images, height, width):
    """The predictor's state for frames that are already normalized tensors [T, 3, size, size]."""
    sam2.sam2_video_predictor.load_video_frames = lambda **_: (images, height, width)
    return model.init_state("")


def remember_features(model):
    """Encodes each frame of the clip once; sam2 itself keeps only the last frame's features."""
    known = {}

    def forward_image(image):
        key = image.data_ptr()  # frames are views of the clip's one tensor
        if key not in known:
            known[key] = type(model).forward_image(model, image)
        return known[key]

    model.forward_image = forward_image
