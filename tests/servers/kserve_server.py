"""Serves what `segue models export` wrote with KServe's own model server.

Usage: kserve_server.py --folder DIR --http_port PORT --grpc_port PORT
"""

import argparse
import json
import pathlib
import uuid

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server

DATATYPES = {"float32": "FP32", "float16": "FP16", "uint8": "UINT8", "int64": "INT64"}


class OnnxModel(Model):
    def __init__(self, folder: pathlib.Path):
        super().__init__(folder.name)
        self.settings = json.loads((folder / "model-settings.json").read_text())
        self.session = onnxruntime.InferenceSession(folder / "1" / "model.onnx")
        self.ready = True

    def get_input_types(self):
        return self.settings["inputs"]

    def get_output_types(self):
        return self.settings["outputs"]

    def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for output, array in zip(self.session.get_outputs(), self.session.run(None, feeds)):
            tensor = InferOutput(output.name, list(array.shape), DATATYPES[array.dtype.name])
            tensor.set_data_from_numpy(array)
            outputs.append(tensor)
        return InferResponse(response_id=payload.id or uuid.uuid4().hex, model_name=self.name, infer_outputs=outputs)


parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--folder", type=pathlib.Path)
words = parser.parse_args()
folders = [path.parent for path in words.folder.glob("*/model-settings.json")]
ModelServer(http_port=words.http_port, grpc_port=words.grpc_port, workers=1).start(
    [OnnxModel(folder) for folder in sorted(folders)]
)
