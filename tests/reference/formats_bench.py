"""What pycocotools and json take for the parts of the benchmark of formats: prints seconds and peak kilobytes."""

import contextlib
import io
import json
import resource
import sys
import time

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO

part, path = sys.argv[1:]


def blobs():
    """The file's first 500 masks, which all others repeat."""
    with open(path) as file:
        return [a["segmentation"] for a in json.load(file)["annotations"][:500]]


def do_import():
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
    return [coco.annToRLE(a) for a in coco.dataset["annotations"]]


def do_export(dataset, rles):
    annotations = [
        {
            "id": i + 1,
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "iscrowd": 0,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            "bbox": mask.toBbox(rle).tolist(),
            "area": int(mask.area(rle)),
        }
        for i, (a, rle) in enumerate(zip(dataset["annotations"], rles))
    ]
    with open(path + ".again", "w") as file:
        json.dump({**dataset, "annotations": annotations}, file)


if part in ("read", "import"):
    start = time.perf_counter()
    do_import()
elif part == "export":
    with open(path) as file:
        dataset = json.load(file)
    rles = [{**a["segmentation"], "counts": a["segmentation"]["counts"].encode()} for a in dataset["annotations"]]
    start = time.perf_counter()
    do_export(dataset, rles)
elif part == "encode":
    masks = [np.asfortranarray(mask.decode(rle)) for rle in blobs()]
    start = time.perf_counter()
    for _ in range(10):
        for bits in masks:
            mask.encode(bits)
elif part == "decode":
    rles = blobs()
    start = time.perf_counter()
    for _ in range(10):
        for rle in rles:
            mask.decode(rle)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
