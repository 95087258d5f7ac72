"""Writes the weights file that the application embeds: half precision, Meta's tensor names, the configuration as metadata.

  python export.py --checkpoint run/last.pt --out ../builtin.safetensors --recipe "what trained it"
"""
import argparse

import torch
from safetensors.torch import save_file

from model import Config, SmallSam2


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoint", nargs="+", default=[], help="checkpoints of train.py, of whose weights the mean is written; "
                    "without one the untrained network of seed 0 is")
    ap.add_argument("--out", required=True)
    ap.add_argument("--recipe", default="untrained")
    args = ap.parse_args()

    torch.manual_seed(0)
    saved = [torch.load(path, map_location="cpu", weights_only=True) for path in args.checkpoint]
    model = SmallSam2(Config.from_json(saved[0]["config"]) if saved else Config())
    if saved:
        model.load_state_dict({name: sum(s["ema"][name] for s in saved) / len(saved) for name in saved[0]["ema"]})
    tensors = {name: t.detach().half().contiguous() for name, t in model.state_dict().items()}
    bad = [name for name, t in tensors.items() if not torch.isfinite(t).all()]
    if bad:
        raise SystemExit(f"not finite in half precision: {bad}")
    save_file(tensors, args.out, {"format": "segue-sam2", "config": model.config.to_json(), "recipe": args.recipe})
    print(f"{args.out}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values())} numbers")


if __name__ == "__main__":
    main()
