"""Makes the reference numbers of detectors with transformers: formula weights, one frame of the formula.

    python detectors.py vocabulary --out ../data/detect/owlv2
    python detectors.py owlv2 --config small --vocabulary ../data/detect/owlv2 --out ../data/reference
    python detectors.py owlv2 --config large --vocabulary FOLDER --out /tmp/reference
    python detectors.py detr --config d_fine_small --out ../data/reference
    python detectors.py tokens --vocabulary FOLDER --strings STRINGS.json --out TOKENS.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from transformers import (
    CLIPTokenizer,
    DFineConfig,
    DFineForObjectDetection,
    HGNetV2Config,
    Owlv2Config,
    Owlv2ForObjectDetection,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

import formula
from store import save

PHRASES = ["red circle", "a photo of a striped square", "Ring!", "the big green triangle, it's left"]
N_TOKENS = 16
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_DEVIATION = [0.26862954, 0.26130258, 0.27577711]


def owlv2_config(name, n_words):
    if name == "base":
        return Owlv2Config(vision_config={"image_size": 960})
    if name == "large":
        vision = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
        text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
        return Owlv2Config(
            vision_config=vision | {"image_size": 1008, "patch_size": 14}, text_config=text, projection_dim=768
        )
    vision = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1}
    return Owlv2Config(
        vision_config=vision | {"image_size": 96},
        text_config=text | {"vocab_size": n_words, "bos_token_id": n_words - 2, "eos_token_id": n_words - 1},
        projection_dim=64,
    )


def rt_detr_config(name):
    if name == "small":
        backbone = {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 96], "depths": [2, 1, 1, 1], "layer_type": "basic"}
        return rt_detr(backbone, SMALL | {"encoder_in_channels": [32, 64, 96], "hidden_expansion": 0.5})
    basic = {"hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
    narrow = {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5}
    wide = {"encoder_ffn_dim": 2048, "encoder_hidden_dim": 384, "decoder_in_channels": [384, 384, 384]}
    return {
        "r18": lambda: rt_detr(basic | {"depths": [2, 2, 2, 2]}, narrow | {"decoder_layers": 3}),
        "r34": lambda: rt_detr(basic | {"depths": [3, 4, 6, 3]}, narrow | {"decoder_layers": 4}),
        "r50m": lambda: rt_detr({}, {"hidden_expansion": 0.5}),
        "r50": lambda: rt_detr({}, {}),
        "r101": lambda: rt_detr({"depths": [3, 4, 23, 3]}, wide),
    }[name]()


def rt_detr(backbone, sizes):
    backbone = RTDetrResNetConfig(**backbone, out_indices=[2, 3, 4])
    return RTDetrV2Config(backbone_config=backbone, **({"num_labels": 80} | sizes))


# Of a detector for tests; 5 classes.
SMALL = {
    "encoder_hidden_dim": 64,
    "encoder_ffn_dim": 96,
    "d_model": 64,
    "decoder_in_channels": [64, 64, 64],
    "decoder_ffn_dim": 96,
    "decoder_layers": 2,
    "num_queries": 20,
    "num_labels": 5,
}


def d_fine_config(name):
    def stages(stem, first, middle, out, blocks, layers, affine):
        return {
            "stem_channels": [3, *stem],
            "stage_in_channels": [stem[1], *first],
            "stage_mid_channels": middle,
            "stage_out_channels": out,
            "hidden_sizes": out,
            "stage_num_blocks": blocks,
            "stage_numb_of_layers": [layers] * 4,
            "use_learnable_affine_block": affine,
        }

    points = {"decoder_n_points": [3, 6, 3]}
    small_stages = stages([16, 16], [64, 256, 512], [16, 32, 64, 128], [64, 256, 512, 1024], [1, 1, 2, 1], 3, True)
    backbone, sizes = {
        "small": lambda: (
            stages([8, 8], [16, 24, 32], [8, 8, 8, 16], [16, 24, 32, 48], [1, 1, 2, 1], 2, True),
            SMALL
            | points
            | {"encoder_in_channels": [24, 32, 48], "depth_mult": 0.34, "hidden_expansion": 0.5, "lqe_hidden_dim": 16},
        ),
        "n": lambda: (
            small_stages,
            {
                "num_feature_levels": 2,
                "encoder_ffn_dim": 512,
                "encode_proj_layers": [1],
                "d_model": 128,
                "encoder_hidden_dim": 128,
                "decoder_ffn_dim": 512,
                "encoder_in_channels": [512, 1024],
                "decoder_n_points": [6, 6],
                "decoder_in_channels": [128, 128],
                "feat_strides": [16, 32],
                "depth_mult": 0.5,
                "decoder_layers": 3,
                "hidden_expansion": 0.34,
            },
        ),
        "s": lambda: (
            small_stages,
            points
            | {
                "decoder_layers": 3,
                "hidden_expansion": 0.5,
                "depth_mult": 0.34,
                "encoder_in_channels": [256, 512, 1024],
            },
        ),
        "m": lambda: (
            stages([24, 32], [96, 384, 768], [32, 64, 128, 256], [96, 384, 768, 1536], [1, 1, 3, 1], 4, True),
            points | {"decoder_layers": 4, "encoder_in_channels": [384, 768, 1536], "depth_mult": 0.67},
        ),
        "l": lambda: ({}, points),
        "x": lambda: (
            stages([32, 64], [128, 512, 1024], [64, 128, 256, 512], [128, 512, 1024, 2048], [1, 2, 5, 2], 6, False),
            points
            | {
                "encoder_hidden_dim": 384,
                "encoder_ffn_dim": 2048,
                "decoder_in_channels": [384, 384, 384],
            },
        ),
    }[name]()
    levels = [3, 4] if name == "n" else [2, 3, 4]
    backbone = HGNetV2Config(**backbone, out_indices=levels)
    return DFineConfig(backbone_config=backbone, **({"num_labels": 80} | sizes))


FAMILIES = {
    "rt_detr_v2": (rt_detr_config, RTDetrV2ForObjectDetection, [(".o_proj.", ".out_proj."), (".mlp.", ".")]),
    "d_fine": (
        d_fine_config,
        DFineForObjectDetection,
        [(".o_proj.", ".out_proj."), (".mlp.layers.0.", ".fc1."), (".mlp.layers.1.", ".fc2.")],
    ),
}


def official_name(family, name):
    """What checkpoints call a tensor that this release of transformers calls `name`."""
    for new, old in [*FAMILIES[family][2], ("encoder.aifi.", "encoder.encoder.")]:
        name = name.replace(new, old)
    return f"model.decoder.{name}" if name.startswith(("class_embed", "bbox_embed")) else name


def detr(args):
    """`--config FAMILY_SIZE`; beside the numbers, the model's config.json as a checkpoint's repository has it."""
    family = next(family for family in FAMILIES if args.config.startswith(family))
    config_of, model_of, _ = FAMILIES[family]
    config = config_of(args.config.removeprefix(family + "_"))
    config.tie_word_embeddings = False
    model = model_of(config)
    with_formula(model, lambda name: official_name(family, name), skipped=("points_scale",))
    for side in args.sides or [640]:
        frame = torch.from_numpy(formula.frame(0, side, side).astype(np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            out = model(frame)
        tensors = {"logits": out.logits[0].numpy(), "boxes": out.pred_boxes[0].numpy()}
        save(args.out, f"{args.config}{side}", tensors, {"side": side})
    (Path(args.out) / f"{args.config}.json").write_text(config.to_json_string())


def config(args):
    """The config.json of a detector, as a checkpoint's repository has it."""
    family = next(family for family in FAMILIES if args.config.startswith(family))
    config = FAMILIES[family][0](args.config.removeprefix(family + "_"))
    (args.out / "config.json").write_text(config.to_json_string())


def with_formula(model, official=lambda name: name, skipped=()):
    """The model with the formula's weights, by the names that checkpoints have."""
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not name.endswith(skipped):
            name = official(name)
            tensor.copy_(torch.from_numpy(np.asarray(formula.weight(name, tuple(tensor.shape)))))
    return model.eval()


def tokenizer(folder):
    """transformers' tokenizer of CLIP on the vocabulary in a folder."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text().splitlines()
    merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


def owlv2(args):
    cut = tokenizer(args.vocabulary)
    model = with_formula(Owlv2ForObjectDetection(owlv2_config(args.config, len(cut))))
    phrases = [cut(phrase)["input_ids"] for phrase in PHRASES]
    padded = torch.tensor([ids + [0] * (N_TOKENS - len(ids)) for ids in phrases])
    seen = torch.tensor([[1] * len(ids) + [0] * (N_TOKENS - len(ids)) for ids in phrases])
    with torch.inference_mode():
        text = model.owlv2.get_text_features(input_ids=padded, attention_mask=seen).pooler_output
        for side in args.sides or [model.config.vision_config.image_size]:
            frame = formula.frame(0, side, side).astype(np.float32) / 255
            frame = (frame - np.float32(CLIP_MEAN)) / np.float32(CLIP_DEVIATION)
            pixels = torch.from_numpy(frame).permute(2, 0, 1)[None]
            stretched = side != model.config.vision_config.image_size
            features, _ = model.image_embedder(pixels, interpolate_pos_encoding=stretched)
            patches = features.flatten(1, 2)
            logits, _ = model.class_predictor(patches, text[None])
            boxes = model.box_predictor(patches, features, stretched)
            tensors = {
                "text": text / text.norm(dim=-1, keepdim=True),
                "logits": logits[0],
                "boxes": boxes[0],
                "objectness": model.objectness_predictor(patches)[0],
            }
            about = {"phrases": PHRASES, "side": side}
            save(args.out, f"owlv2_{args.config}{side}", {k: v.numpy() for k, v in tensors.items()}, about)


def tokens(args):
    """What transformers makes of each string."""
    cut = tokenizer(args.vocabulary)
    strings = json.loads(Path(args.strings).read_text())
    Path(args.out).write_text(json.dumps([cut(string)["input_ids"] for string in strings]))


WORDS = """a an the of photo picture image drawing it is its with without and or not on left right big small large tiny
red green blue yellow orange purple black white gray brown pink dark bright circle square triangle ring star cross
ellipse bar rectangle shape object thing striped dotted checkered plain spotted noisy painted person forklift car dog
cat tree helmet box ball wheel""".split()


def vocabulary(args):
    """A small vocabulary of CLIP's kind: all bytes, bytes that end a word, and what merges make of WORDS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trained.train_from_iterator([WORDS] * 3, trainers.BpeTrainer(vocab_size=900, end_of_word_suffix="</w>"))
    merges = json.loads(trained.to_str())["model"]["merges"]
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = bytes_ + [b + "</w>" for b in bytes_] + ["".join(pair) for pair in merges]
    pieces = list(dict.fromkeys(pieces)) + ["<|startoftext|>", "<|endoftext|>"]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (args.out / "merges.txt").write_text("\n".join(lines) + "\n")


def clip_vocabulary(args):
    """CLIP's own vocabulary, as its checkpoints have it; open_clip brings it in its original form."""
    import gzip

    import open_clip

    packed = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    from open_clip.tokenizer import bytes_to_unicode

    bytes_ = list(bytes_to_unicode().values())
    pieces = bytes_ + [b + "</w>" for b in bytes_] + ["".join(pair) for pair in merges]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}))
    (args.out / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["vocabulary", "clip_vocabulary", "owlv2", "detr", "config", "tokens"])
    parser.add_argument("--config", default="small")
    parser.add_argument("--sides", nargs="*", type=int)
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--strings")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
