"""A trace of `moe-llava routing` as Python lists, read without any package (docs/formats.md)."""
import json
import math
import pathlib
import struct

CODES = {"F32": "f", "I64": "q", "I32": "i", "I16": "h", "U8": "B"}


def read_trace(path):
    """(tensors, model, samples); each tensor is (shape, flat list of values)."""
    data = pathlib.Path(path).read_bytes()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    assert metadata["format"] == "moe-llava routing trace 1"
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = struct.unpack(f"<{math.prod(entry['shape'])}{CODES[entry['dtype']]}", data[begin:end])
        tensors[name] = (entry["shape"], list(values))
    return tensors, json.loads(metadata["model"]), json.loads(metadata["samples"])
