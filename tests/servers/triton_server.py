"""Serves what `segue models export` wrote with NVIDIA's Triton; its backend for ONNX is not to be had from PyPI.

Usage: triton_server.py --folder DIR --http_port PORT --grpc_port PORT
"""

import argparse
import json
import os
import pathlib
import sysconfig

import numpy as np
import onnxruntime
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

NUMPY = {"FP32": np.float32, "FP16": np.float16, "UINT8": np.uint8, "INT64": np.int64}


def bind(triton: Triton, folder: pathlib.Path):
    settings = json.loads((folder / "model-settings.json").read_text())
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
    names = [output.name for output in session.get_outputs()]

    def infer(requests):
        return [dict(zip(names, session.run(names, request.data))) for request in requests]

    def tensors(ports):
        return [Tensor(name=port["name"], dtype=NUMPY[port["datatype"]], shape=tuple(port["shape"])) for port in ports]

    inputs, outputs = tensors(settings["inputs"]), tensors(settings["outputs"])
    triton.bind(folder.name, infer, inputs, outputs, config=ModelConfig(batching=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--http_port", type=int)
    parser.add_argument("--grpc_port", type=int)
    words = parser.parse_args()
    # Triton is to find the library of this Python, not the system's of another release.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    config = TritonConfig(http_port=words.http_port, grpc_port=words.grpc_port, allow_metrics=False)
    with Triton(config=config) as triton:
        for settings in sorted(words.folder.glob("*/model-settings.json")):
            bind(triton, settings.parent)
        triton.serve()
