"""Runs what `segue models export --portable` wrote with OpenVINO and with ONNX Runtime on the same numbers.

Usage: openvino_parts.py FOLDER; prints each output's name and the differences' root mean square as a share of the numbers'.
"""

import pathlib
import sys

import numpy as np
import onnxruntime
import openvino

NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}
# Dimensions that are only known when a part runs: objects at once, and how much each looks at.
SIZES = {"B": 2}


def size(values):
    return np.sqrt(np.square(values, dtype=np.float64).sum())


def sample(port, rng):
    shape = [dim if isinstance(dim, int) else SIZES.get(dim, 3) for dim in port.shape]
    kind = NUMPY[port.type]
    if kind == np.uint8:
        return rng.integers(0, 255, shape, kind)
    return (rng.standard_normal(shape) / 2).astype(kind)


core, rng = openvino.Core(), np.random.default_rng(0)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/1/model.onnx")):
    session = onnxruntime.InferenceSession(path)
    feeds = {port.name: sample(port, rng) for port in session.get_inputs()}
    wanted = session.run(None, feeds)
    ours = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feeds)
    for port, values in zip(session.get_outputs(), wanted):
        print(path.parts[-3], port.name, size(ours[port.name] - values) / size(values))
