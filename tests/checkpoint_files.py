"""Checkpoint files read and written byte by byte, for tests: safetensors, and torch.save's zip with its pickle.
A tensor is (dtype as safetensors spells it, shape, bytes)."""
import collections
import json
import pickle
import struct
import zipfile

STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "I64": "LongStorage"}
DTYPES = {name: dtype for dtype, name in STORAGES.items()}
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = (entry["dtype"], entry["shape"], data[start + begin:start + end])
    return tensors


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


class TensorUnpickler(pickle.Unpickler):
    """Of a torch.save file whose tensors are contiguous."""

    def __init__(self, archive, folder):
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        if name == "_rebuild_tensor_v2":
            return self.rebuild
        return collections.OrderedDict if name == "OrderedDict" else DTYPES[name]

    def persistent_load(self, pid):
        _, dtype, key, _, _ = pid
        return dtype, self.archive.read(f"{self.folder}/data/{key}")

    @staticmethod
    def rebuild(storage, offset, shape, *_):
        dtype, data = storage
        count = BYTES[dtype]
        for size in shape:
            count *= size
        return dtype, list(shape), data[offset * BYTES[dtype]:][:count]


def read_torch(path):
    with zipfile.ZipFile(path) as archive:
        return dict(TensorUnpickler(archive, archive.namelist()[0].split("/")[0]).load())


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"J" + struct.pack("<i", value)


def pickled(name, key, tensor):
    """A dict's item: the opcodes that torch.save writes for a contiguous tensor."""
    dtype, shape, data = tensor
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    numbers = [b"(" + b"".join(map(integer, values)) + b"t" for values in (shape, strides[:len(shape)])]
    storage = (b"(" + text("storage") + f"ctorch\n{STORAGES[dtype]}\n".encode() + text(key) + text("cpu") +
               integer(len(data) // BYTES[dtype]) + b"tQ")
    return (text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(0) + b"".join(numbers) +
            b"\x89ccollections\nOrderedDict\n)RtR")


def write_torch(path, tensors):
    items = b"".join(pickled(name, str(i), tensor) for i, (name, tensor) in enumerate(tensors.items()))
    write_torch_pickle(path, b"\x80\x02}(" + items + b"u.", [data for _, _, data in tensors.values()])


def write_torch_pickle(path, program, storages=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "little")
        for i, data in enumerate(storages):
            archive.writestr(f"archive/data/{i}", data)
        archive.writestr("archive/version", "3\n")


def read_folder(folder):
    """All tensors of a checkpoint folder."""
    safetensors = sorted(folder.glob("*.safetensors"))
    tensors = {}
    for path in safetensors or sorted(folder.glob("pytorch_model*.bin")):
        tensors |= read_safetensors(path) if safetensors else read_torch(path)
    return tensors
