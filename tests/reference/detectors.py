"""Makes the reference numbers of detectors with transformers: formula weights, one frame of the formula.

    python detectors.py vocabulary --out ../data/detect
    python detectors.py owlv2 --config small --vocabulary ../data/detect --out ../data/reference
    python detectors.py owlv2 --config large --vocabulary FOLDER --out /tmp/reference
    python detectors.py tokens --vocabulary FOLDER --strings STRINGS.json --out TOKENS.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection

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


def with_formula(model):
    """The model with the formula's weights, by the names that checkpoints have."""
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
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
    parser.add_argument("what", choices=["vocabulary", "clip_vocabulary", "owlv2", "tokens"])
    parser.add_argument("--config", default="small")
    parser.add_argument("--sides", nargs="*", type=int)
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--strings")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
