"""What Datumaro makes of an export: prints for each item its annotations as kind, label and, for masks, area, else box.

Usage: datumaro_reads.py FORMAT FOLDER; FORMAT is what Datumaro calls it.
"""

import contextlib
import io
import json
import sys

import numpy as np

with contextlib.redirect_stdout(io.StringIO()):
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

kind, folder = sys.argv[1:]
dataset = Dataset.import_from(folder, kind)
labels = dataset.categories()[AnnotationType.label]


def told(annotation):
    label = labels[annotation.label].name if annotation.label is not None else None
    if annotation.type == AnnotationType.mask:
        return ["mask", label, int(np.count_nonzero(annotation.image))]
    if annotation.type == AnnotationType.polygon:
        return ["polygon", label, round(float(annotation.get_area()), 1)]
    box = annotation.get_bbox() if hasattr(annotation, "get_bbox") else []
    return [annotation.type.name, label, [round(float(v), 2) for v in box]]


items = {}
for item in dataset:
    name = item.id.replace("\\", "/")
    items.setdefault(name, []).extend(told(annotation) for annotation in item.annotations)
print(json.dumps({"labels": [label.name for label in labels], "items": items}))
