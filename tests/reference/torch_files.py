"""Writes checkpoints as trainers save them, with Python's own pickle in place of PyTorch.

    python torch_files.py FOLDER

torch.save pickles tensors as calls of functions of torch over numbered storages, and puts the storages beside the
pickle. This script has those functions as empty stand-ins, so that its pickles name them as PyTorch's do; each file
can be loaded by PyTorch itself. The tensors follow the formula. What was written is printed as JSON: for each file its
tensors, each with a shape and the values that it must give.
"""

import argparse
import collections
import datetime
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

import formula

NAMES = {
    "image_encoder.trunk.patch_embed.proj.weight": (8, 3, 3, 3),
    "image_encoder.trunk.blocks.0.attn.qkv.weight": (24, 8),
    "no_obj_ptr": (1, 16),
    "mask_downsample.bias": (1,),
}


def stand_in(module, name, kind="function"):
    """A function or class that pickles as `module.name` and does nothing."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    made = type(name, (), {}) if kind == "class" else types.FunctionType((lambda *a: None).__code__, {}, name)
    made.__module__, made.__qualname__ = module, name
    setattr(sys.modules[module], name, made)
    return made


STORAGES = {
    "float32": stand_in("torch", "FloatStorage", "class"),
    "float64": stand_in("torch", "DoubleStorage", "class"),
    "float16": stand_in("torch", "HalfStorage", "class"),
    "bfloat16": stand_in("torch", "BFloat16Storage", "class"),
    "int64": stand_in("torch", "LongStorage", "class"),
    "int32": stand_in("torch", "IntStorage", "class"),
    "uint8": stand_in("torch", "ByteStorage", "class"),
    "bool": stand_in("torch", "BoolStorage", "class"),
}
REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2")
PARAMETER = stand_in("torch._utils", "_rebuild_parameter")
FROM_TYPE = stand_in("torch._tensor", "_rebuild_from_type_v2")
QUANTIZED = stand_in("torch._utils", "_rebuild_qtensor")
TENSOR = stand_in("torch", "Tensor", "class")
DTYPE = stand_in("torch", "float32", "class")
MODULE = stand_in("sam2.modeling.sam2_base", "SAM2Base", "class")
LIGHTNING = stand_in("pytorch_lightning.utilities.parsing", "AttributeDict", "class")


class Storage:
    """Numbers that tensors share; `data` is flat."""

    def __init__(self, data, dtype=None):
        self.data, self.dtype = np.ascontiguousarray(data).reshape(-1), dtype or str(data.dtype)


class Tensor:
    """A view of a storage, as PyTorch has it."""

    def __init__(self, storage, first, shape, strides, how="plain"):
        self.storage, self.args, self.how = storage, (first, tuple(shape), tuple(strides)), how

    def __reduce_ex__(self, protocol):
        args = (self.storage, *self.args, False, collections.OrderedDict())
        if self.how == "parameter":
            return PARAMETER, (Tensor(self.storage, *self.args), True, collections.OrderedDict())
        if self.how == "subclass":
            return FROM_TYPE, (REBUILD, TENSOR, args, {"note": 1})
        if self.how == "quantized":
            per_tensor = ("per_tensor_affine", 0.5, 0)
            return QUANTIZED, (self.storage, *self.args, per_tensor, False, collections.OrderedDict())
        return REBUILD, args


def tensor(array, dtype=None, how="plain"):
    """A contiguous tensor with a storage of its own."""
    strides = [s // array.itemsize for s in array.strides]
    return Tensor(Storage(array, dtype), 0, array.shape, strides, how)


class Pickler(pickle.Pickler):
    def __init__(self, out, protocol, old):
        super().__init__(out, protocol)
        self.keys, self.old = {}, old

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(self.keys.setdefault(value, len(self.keys)))
        return ("storage", STORAGES[value.dtype], key, "cpu", value.data.size) + ((None,) if self.old else ())


def save(value, path, protocol=2, old=False):
    """torch.save."""
    out = io.BytesIO()
    if old:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(head, out, protocol)
    pickler = Pickler(out, protocol, old)
    pickler.dump(value)
    if old:
        keys = sorted(str(key) for key in pickler.keys.values())
        pickle.dump(keys, out, protocol)
        by_key = {str(key): storage for storage, key in pickler.keys.items()}
        for key in keys:
            out.write(struct.pack("<q", by_key[key].data.size) + by_key[key].data.tobytes())
        path.write_bytes(out.getvalue())
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", out.getvalue())
        archive.writestr("archive/byteorder", "little")
        for storage, key in pickler.keys.items():
            archive.writestr(f"archive/data/{key}", storage.data.tobytes())
        archive.writestr("archive/version", "3\n")


def bfloat16(array):
    """The upper halves of float32, as bits; exact for the values that this script gives it."""
    return (array.view(np.uint32) >> 16).astype(np.uint16)


def short(array):
    """The values with seven bits behind the point, which every float type holds."""
    return (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def weights():
    return {name: formula.weight(name, shape) for name, shape in NAMES.items()}


def state(arrays=None, how="plain", prefix=""):
    named = collections.OrderedDict()
    for name, array in (arrays or weights()).items():
        named[prefix + name] = tensor(array, how=how)
    named._metadata = collections.OrderedDict({"": {"version": 1}})
    return named


def trainer(model):
    """What facebookresearch/sam2's training/trainer.py saves, and what others add."""
    moments = {
        "step": tensor(np.array(7.0, np.float32)),
        "exp_avg": tensor(np.ones((3, 2), np.float32)),
        "exp_avg_sq": tensor(np.ones((3, 2), np.float64)),
        "mask": tensor(np.array([True, False])),
        "row": tensor(np.arange(4, dtype=np.int64)),
        "bytes": tensor(np.arange(4, dtype=np.uint8)),
        "half": tensor(np.ones(3, np.float16)),
        "bf16": tensor(bfloat16(np.ones(3, np.float32)), "bfloat16"),
    }
    best = collections.defaultdict(dict)
    best["J&F"] = np.float64(0.875)
    shared = {"lr": 1e-5, "betas": (0.9, 0.999), "params": [0, 1, 2], "amsgrad": False, "foreach": None}
    return {
        "model": model,
        "optimizer": {"state": {0: moments, 1: moments}, "param_groups": [shared, shared]},
        "epoch": 40,
        "loss": {"all": collections.OrderedDict(), "values": [0.5, float("nan"), 10**30, -(2**70)]},
        "steps": {"train": 1200, "val": 0},
        "time_elapsed": 3600.5,
        "best_meter_values": best,
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
        "rng": np.arange(600, dtype=np.uint32),
        "args": argparse.Namespace(lr=1e-5, path=pathlib.PurePosixPath("a/b"), when=datetime.date(2026, 1, 2)),
        "hyper_parameters": LIGHTNING(),
        "tags": {"a", "b"},
        "frozen": frozenset({1}),
        "raw": b"\x00\xff",
        "dtype": DTYPE,
        "complex": 1 + 2j,
    }


def nested():
    """Strided views: transposed, a part of a larger tensor, expanded, and two that share a storage."""
    a, b, c, d = weights().values()
    whole = Storage(np.concatenate([np.zeros(5, np.float32), c.reshape(-1), d]))
    turned = np.ascontiguousarray(b.T)
    last = np.ascontiguousarray(np.moveaxis(a, 1, 3))
    ones = np.full_like(c, c[0, 0])
    arrays = dict(zip(NAMES, (a, b, c, d)), expanded=ones)
    tensors = {
        "image_encoder.trunk.patch_embed.proj.weight": Tensor(Storage(last), 0, (8, 3, 3, 3), (27, 1, 9, 3)),
        "image_encoder.trunk.blocks.0.attn.qkv.weight": Tensor(Storage(turned), 0, (24, 8), (1, 24)),
        "no_obj_ptr": Tensor(whole, 5, (1, 16), (16, 1)),
        "mask_downsample.bias": Tensor(whole, 21, (1,), (1,)),
        "expanded": Tensor(Storage(c.reshape(-1)[:1]), 0, (1, 16), (0, 0)),
    }
    return tensors, arrays


def cases():
    """(file, value, arrays that it must give, how to save it)"""
    plain, other = weights(), {name: -array for name, array in weights().items()}
    views, viewed = nested()
    shorts = {name: short(array) for name, array in plain.items()}
    bits = {name: tensor(bfloat16(array), "bfloat16") for name, array in shorts.items()}
    halves = {name: array.astype(np.float16) for name, array in plain.items()}
    lightning = state(prefix="model.")
    lightning["criterion.weight"] = tensor(np.ones(3, np.float32))
    counted = state()
    counted["neck.num_batches_tracked"] = tensor(np.array(9, np.int64))
    counted["extra"] = None
    copies = state()
    copies.update(state(other, prefix="ema_model."))
    return [
        ("bare.pt", state(), plain, {}),
        ("meta.pt", trainer(state()), plain, {}),
        ("protocol4.pt", trainer(state()), plain, {"protocol": 4}),
        ("protocol5.pt", trainer(state()), plain, {"protocol": 5}),
        ("parameters.pt", {"model_state_dict": state(how="parameter"), "epoch": 1}, plain, {}),
        ("subclass.pt", {"state_dict": state(how="subclass")}, plain, {}),
        ("ddp.pt", {"model": state(prefix="module.")}, plain, {}),
        ("compiled.pt", {"state_dict": state(prefix="module._orig_mod.")}, plain, {}),
        ("lightning.pt", {"state_dict": lightning, "callbacks": {}, "optimizer_states": [{}]}, plain, {}),
        ("deep.pt", {"net": {"params": state(prefix="net.sam2.")}}, plain, {}),
        ("unknown_key.pt", {"finetuned": state(), "optimizer": {"state": state(other)}}, plain, {}),
        ("ema.pt", {"model": state(other), "ema": {"module": state(), "updates": 10}, "date": "x"}, plain, {}),
        ("ema_part.pt", {"model": state(), "ema": {"module": {"no_obj_ptr": tensor(-plain["no_obj_ptr"])}}}, plain, {}),
        ("ema_none.pt", {"ema": None, "model_ema": {}, "model": state()}, plain, {}),
        ("ema_prefix.pt", {"state_dict": copies}, other, {}),
        ("double.pt", {"model": {n: tensor(a.astype(np.float64)) for n, a in plain.items()}}, plain, {}),
        ("half.pt", {"model": {n: tensor(a) for n, a in halves.items()}}, {n: a.astype(np.float32) for n, a in halves.items()}, {}),
        ("bfloat16.pt", {"model": bits}, shorts, {}),
        ("views.pt", {"model": views}, viewed, {}),
        ("counters.pt", {"model": counted}, plain, {}),
        ("old.pt", trainer(state()), plain, {"old": True}),
        ("old_views.pt", {"model": views}, viewed, {"old": True}),
    ]


def refused():
    """Files that hold no weights that can be used."""
    module = MODULE()
    module.__dict__.update(training=False, _modules=collections.OrderedDict(), weight=tensor(np.ones(3, np.float32)))
    odd = state()
    odd["image_encoder.trunk.patch_embed.proj.weight"] = tensor(np.ones((2, 2), np.float32), how="quantized")
    whole = state()
    whole["image_encoder.trunk.patch_embed.proj.weight"] = tensor(np.ones((2, 2), np.int64))
    return [
        ("module.pt", module),
        ("module_in_dict.pt", {"model": module, "epoch": 3}),
        ("optimizer_only.pt", {"epoch": 3, "names": ["a"]}),
        ("list.pt", [tensor(np.ones(3, np.float32))]),
        ("quantized.pt", {"model": odd}),
        ("integers.pt", {"model": whole}),
    ]


def bombs():
    """Small files that would fill the memory if each tensor copied what it shares with all others."""
    one = Storage(np.ones(1, np.float32))
    shape = (1,) * 39_000

    shapes = {f"t{i}": Tensor(one, 0, shape, shape) for i in range(9_500)}
    names = io.BytesIO()
    name = b"x" * 90_000
    # A key and a tensor in the memo, recalled 25,000 times; Python's pickler cannot write a dict with equal keys.
    pickler = Pickler(names, 2, False)
    pickler.dump(tensor(np.ones(1, np.float32)))
    made = names.getvalue()[:-1]
    entry = b"h\xfeh\xff"
    program = (
        made + b"q\xff0X" + struct.pack("<I", len(name)) + name + b"q\xfe0}(" + entry * 25_000 + b"u."
    )
    return shapes, program


def main():
    folder = pathlib.Path(sys.argv[1])
    described = {}
    for file, value, arrays, how in cases():
        save(value, folder / file, **how)
        described[file] = {
            name: {"shape": list(array.shape), "values": [float(v) for v in array.reshape(-1)]}
            for name, array in arrays.items()
        }
    for file, value in refused():
        save(value, folder / file)
    shapes, names = bombs()
    save({"model": shapes}, folder / "shape_bomb.pt")
    with zipfile.ZipFile(folder / "name_bomb.pt", "w") as archive:
        archive.writestr("archive/data.pkl", names)
        archive.writestr("archive/data/0", np.ones(1, np.float32).tobytes())
    print(json.dumps(described))


if __name__ == "__main__":
    main()
