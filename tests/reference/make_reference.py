"""Makes the reference numbers: image mode and video scenarios of one model.

    python make_reference.py --config nano --out ../data/reference
    python make_reference.py --config nano --size 160 --only image --out ../data/reference
    python make_reference.py --config old_nano --only video --scenarios short --out ../data/reference
    python make_reference.py --config large --out /tmp/reference --scenarios short
"""

import argparse
import json
import time
from pathlib import Path

import torch

import formula
import model as reference
from image_mode import image_mode
from store import save
from video_mode import video_mode

HERE = Path(__file__).parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=[*reference.SMALL_CONFIGS, *reference.CONFIGS], default="nano")
    parser.add_argument("--size", type=int, help="image side, a multiple of 32 (nano 128, others 1024)")
    parser.add_argument("--weights", default="formula", help="'formula' or a file with its own config")
    parser.add_argument("--scenarios", nargs="*", default=["all"], help="names, 'all' or none")
    parser.add_argument("--only", choices=["image", "video"], help="one kind")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


def build(args, **options):
    """The model the command line asks for."""
    if args.weights != "formula":
        return reference.load_file(args.weights, args.size, **options)
    config = reference.SMALL_CONFIGS.get(args.config, args.config)
    model = reference.build(config, args.size, **options)
    return reference.load_formula(model, formula.OBJECT_BIAS[args.config])


def main():
    args = arguments()
    torch.manual_seed(0)
    model = build(args)
    name = args.config if args.weights == "formula" else Path(args.weights).stem
    about = {
        "config": name,
        "image_size": model.image_size,
        "weights": "formula" if args.weights == "formula" else Path(args.weights).name,
        "object_bias": formula.OBJECT_BIAS[args.config] if args.weights == "formula" else 0.0,
    }
    case = f"{name}{model.image_size}"

    def timed(kind, make):
        if args.only in (None, kind):
            start = time.time()
            make()
            print(f"{case} {kind}: {time.time() - start:.1f} s", flush=True)

    def image():
        tensors, more = image_mode(model)
        save(args.out, f"{case}_image", tensors, about | more)

    timed("image", image)
    for path in sorted((HERE / "scenarios").glob("*.json")):
        if path.stem in args.scenarios or "all" in args.scenarios:
            script = json.loads(path.read_text())

            def video(path=path, script=script):
                tensors, lists = video_mode(model, script, path.stem)
                save(args.out, f"{case}_video_{path.stem}", tensors, about | lists)

            timed("video", video)


if __name__ == "__main__":
    main()
