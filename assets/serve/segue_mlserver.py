"""MLServer's side of a part that `segue models export` wrote: runs the ONNX file beside it with ONNX Runtime."""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

NUMPY = {"FP32": np.float32, "FP16": np.float16, "UINT8": np.uint8, "INT64": np.int64}


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self.session = onnxruntime.InferenceSession(
            await get_model_uri(self._settings), providers=onnxruntime.get_available_providers()
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {}
        for tensor in payload.inputs:
            decoded = NumpyCodec.decode_input(tensor)
            feeds[tensor.name] = decoded.astype(NUMPY[tensor.datatype], copy=False).reshape(tensor.shape)
        outputs = [output.name for output in self.session.get_outputs()]
        made = zip(outputs, self.session.run(outputs, feeds))
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in made],
        )
