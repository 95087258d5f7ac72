"""Times a detector of transformers on request, so that a benchmark can run it in turns with Segue.

    python detectors_bench.py owlv2_base|rt_detr_v2_r18|d_fine_s|... [--threads 2]

Prints {"ready": true} when warm. Then, for each line read, one JSON line: {"look": seconds} for all that is seen in a
prepared image, or {"rss": bytes} for the peak resident memory so far. Ends with its input.
"""

import argparse
import json
import resource
import sys
import time

import torch
from transformers import Owlv2ForObjectDetection

from detectors import FAMILIES, owlv2_config


def owlv2(config):
    model = Owlv2ForObjectDetection(owlv2_config(config, 49408)).eval()
    side = model.config.vision_config.image_size
    query = torch.randn(1, 1, model.config.text_config.hidden_size)

    def look(pixels):
        features, _ = model.image_embedder(pixels)
        patches = features.flatten(1, 2)
        model.class_predictor(patches, query)
        model.box_predictor(patches, features)
        model.objectness_predictor(patches)

    return look, side


def detr(name):
    family = next(family for family in FAMILIES if name.startswith(family))
    config_of, model_of, _ = FAMILIES[family]
    model = model_of(config_of(name.removeprefix(family + "_"))).eval()
    return model, 640


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    is_owlv2 = args.model.startswith("owlv2")
    look, side = owlv2(args.model.removeprefix("owlv2_")) if is_owlv2 else detr(args.model)
    pixels = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        look(pixels)
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            request = line.strip()
            start = time.perf_counter()
            if request == "look":
                look(pixels)
                answer = time.perf_counter() - start
            else:
                answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(json.dumps({request: answer}), flush=True)


if __name__ == "__main__":
    main()
