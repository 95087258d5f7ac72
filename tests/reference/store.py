"""How reference numbers are written: tensors and packed masks, one file per case."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file


def pack(mask):
    """A mask's bits, row-major without row padding, first pixel in the highest bit of the first byte."""
    return np.packbits(as_array(mask).astype(bool).reshape(-1))


def as_array(tensor):
    """A contiguous float32 (or bool) numpy array of a torch or numpy tensor."""
    if isinstance(tensor, torch.Tensor):
        tensor = tensor.detach()
        tensor = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return np.ascontiguousarray(tensor)


def save(folder, case, tensors, metadata):
    """Writes <case>.safetensors; metadata values that are not text become JSON."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    path = Path(folder) / f"{case}.safetensors"
    save_file(arrays, path, text)
    path.chmod(0o644)
