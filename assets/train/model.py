"""The built-in network: SAM 2.1's own modules in a small configuration.

Only the sizes differ from SAM 2.1; every module, name and rule stays, so the application runs it with the same graphs.
Shapes below use S = image side, g = S / 16, d = d_model, m = mem_dim.
"""
import json
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import RoPEAttention, TwoWayTransformer
from sam2.modeling.sam2_base import SAM2Base

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MULTIMASK = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}


@dataclass(frozen=True)
class Config:
    """The sizes that may be chosen freely; the names are those of the exported metadata."""

    image_size: int = 256
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

    def to_json(self):
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text):
        raw = json.loads(text)
        return Config(**{f.name: tuple(v) if isinstance(v := raw[f.name], list) else v for f in fields(Config)})


class SmallSam2(SAM2Base):
    """SAM2Base with the mask decoder's fixed sizes opened to the configuration."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            image_encoder=_image_encoder(config),
            memory_attention=_memory_attention(config),
            memory_encoder=_memory_encoder(config),
            num_maskmem=7,
            image_size=config.image_size,
            sigmoid_scale_for_mem_enc=20.0,
            sigmoid_bias_for_mem_enc=-10.0,
            binarize_mask_from_pts_for_mem_enc=True,
            use_mask_input_as_output_without_sam=True,
            directly_add_no_mem_embed=True,
            use_high_res_features_in_sam=True,
            multimask_output_in_sam=True,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
            multimask_output_for_tracking=True,
            use_multimask_token_for_obj_ptr=True,
            iou_prediction_use_sigmoid=True,
            use_obj_ptrs_in_encoder=True,
            max_obj_ptrs_in_encoder=16,
            add_tpos_enc_to_obj_ptrs=True,
            proj_tpos_enc_in_obj_ptrs=True,
            use_signed_tpos_enc_to_obj_ptrs=True,
            only_obj_ptrs_in_the_past_for_eval=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
            fixed_no_obj_ptr=True,
            use_mlp_for_obj_ptr_proj=True,
            no_obj_embed_spatial=True,
            sam_mask_decoder_extra_args=MULTIMASK,
        )

    def _build_sam_heads(self):
        """Replaces the decoder of the package, whose MLP, heads and IoU head have fixed sizes."""
        super()._build_sam_heads()
        c = self.config
        self.sam_mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=c.d_model, mlp_dim=c.decoder_mlp, num_heads=c.decoder_heads
            ),
            transformer_dim=c.d_model,
            iou_head_depth=3,
            iou_head_hidden_dim=c.d_model,
            use_high_res_features=True,
            iou_prediction_use_sigmoid=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
            use_multimask_token_for_obj_ptr=True,
            **MULTIMASK,
        )

    def set_side(self, side):
        """Runs at another image side (a multiple of 32); only constants depend on it, no weight does."""
        g = side // 16
        self.image_size, self.sam_image_embedding_size = side, g
        prompts = self.sam_prompt_encoder
        prompts.image_embedding_size, prompts.input_image_size = (g, g), (side, side)
        prompts.mask_input_size = (4 * g, 4 * g)

    def encode(self, images):
        """uint8 RGB [B,S,S,3] to the flat levels of SAM 2: features [HW,B,C], encodings and sizes, finest first."""
        x = images.permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (MEAN, STD))
        _, feats, encodings, sizes = self._prepare_backbone_features(self.forward_image((x - mean) / std))
        return feats, encodings, sizes

    def decode(self, feat, high_res, points, mask):
        """One decoder call for n prompts.

        feat [n,d,g,g] is already conditioned; points is (coordinates [n,p,2] in model pixels, labels [n,p]);
        mask is None or the previous logits [n,1,4g,4g].
        Returns all four masks [n,4,4g,4g], their predicted IoUs [n,4], tokens [n,4,d] and object score logits [n,1].
        """
        sparse, dense = self.sam_prompt_encoder(points=points, boxes=None, masks=mask)
        masks, ious, tokens, score = self.sam_mask_decoder.predict_masks(
            image_embeddings=feat,
            image_pe=self.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=high_res,
        )
        return masks.float(), ious.float(), tokens, score.float()


@torch.no_grad()
def head_start(model):
    """Starting values that a short training would spend its first part on finding.

    Queries and keys that start equal attend to similar content, and, where positions are added, to near positions.
    The image's features start faint, so that the decoder learns where a prompt is before it learns what is there.
    In the memory's cross attention a common bias works through the rotation: it reads the same place of the past.
    """
    for block in model.image_encoder.trunk.blocks:
        n = block.attn.qkv.out_features // 3
        block.attn.qkv.weight[:n] = block.attn.qkv.weight[n : 2 * n]
    decoder = model.sam_mask_decoder
    for layer in decoder.transformer.layers:
        for attention in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
            attention.k_proj.weight.copy_(attention.q_proj.weight)
    for conv in (decoder.conv_s0, decoder.conv_s1):
        conv.weight *= 0.3
        conv.bias.zero_()
    for level in model.image_encoder.neck.convs:
        level.conv.weight *= 0.4
    for layer in model.memory_attention.layers:
        layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
        bias = torch.zeros_like(layer.cross_attn_image.q_proj.bias)
        bias[0::2] = 1.7
        layer.cross_attn_image.q_proj.bias.copy_(bias)
        layer.cross_attn_image.k_proj.bias.copy_(bias)


def grid(flat, size):
    """[HW,B,C] to [B,C,H,W]."""
    return flat.permute(1, 2, 0).reshape(flat.shape[1], flat.shape[2], *size)


def upsample(logits, side):
    """Low-resolution logits [n,1,4g,4g] to the image side, as SAM 2 does before a mask enters the memory."""
    return F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)


def _image_encoder(c):
    channels = [c.embed_dim * 8, c.embed_dim * 4, c.embed_dim * 2, c.embed_dim]
    return ImageEncoder(
        trunk=Hiera(
            embed_dim=c.embed_dim,
            num_heads=c.num_heads,
            stages=c.stages,
            global_att_blocks=c.global_blocks,
            window_pos_embed_bkg_spatial_size=(c.pos_embed_size,) * 2,
            window_spec=c.windows,
        ),
        neck=FpnNeck(
            position_encoding=PositionEmbeddingSine(c.d_model, normalize=True),
            d_model=c.d_model,
            backbone_channel_list=channels,
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        ),
        scalp=1,
    )


def _memory_attention(c):
    def attention(**more):
        g = c.image_size // 16
        return RoPEAttention(
            embedding_dim=c.d_model, num_heads=1, downsample_rate=1, dropout=0.0, feat_sizes=(g, g), **more
        )

    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=c.memory_ffn,
        dropout=0.0,
        pos_enc_at_attn=False,
        self_attention=attention(),
        d_model=c.d_model,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=attention(rope_k_repeat=True, kv_in_dim=c.mem_dim),
    )
    return MemoryAttention(d_model=c.d_model, pos_enc_at_input=True, layer=layer, num_layers=c.memory_layers)


def _memory_encoder(c):
    block = CXBlock(dim=c.d_model, kernel_size=7, padding=3, layer_scale_init_value=0.1, use_dwconv=True)
    return MemoryEncoder(
        out_dim=c.mem_dim,
        in_dim=c.d_model,
        position_encoding=PositionEmbeddingSine(c.mem_dim, normalize=True),
        mask_downsampler=MaskDownSampler(embed_dim=c.d_model, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(block, num_layers=2),
    )
