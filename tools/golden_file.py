"""The container of every binary file under tests/golden: named arrays, to be read from C with fread.

All numbers are little-endian.
    header      char magic[8] = "SAMPGOLD"; uint32 version = 1; uint32 n_entries
    n_entries of
        char   name[48]     zero-padded ASCII
        uint32 dtype        0 u8, 1 i8, 2 f16, 3 bf16, 4 f32, 5 i32, 6 f64
        uint32 reserved     0
        uint64 n_elements
        uint64 n_bytes      of the data, without padding
        the data, then zeros up to the next multiple of 8 bytes from the start of the file
"""
import struct

import numpy as np

MAGIC, VERSION = b"SAMPGOLD", 1
DTYPES = {"u8": (0, 1), "i8": (1, 1), "f16": (2, 2), "bf16": (3, 2), "f32": (4, 4), "i32": (5, 4),
          "f64": (6, 8)}
NUMPY_NAMES = {"uint8": "u8", "int8": "i8", "float16": "f16", "float32": "f32", "int32": "i32",
               "float64": "f64"}


def write(path, entries):
    """entries: {name: array, bytes, or (dtype name, array)}; bfloat16 is ("bf16", its 16-bit patterns)."""
    with open(path, "wb") as out:
        out.write(struct.pack("<8sII", MAGIC, VERSION, len(entries)))
        for name, value in entries.items():
            if isinstance(value, bytes):
                value = np.frombuffer(value, np.uint8)
            dtype, array = value if isinstance(value, tuple) else (NUMPY_NAMES[value.dtype.name],
                                                                   value)
            code, size = DTYPES[dtype]
            data = np.ascontiguousarray(array).tobytes()
            assert len(name) < 48 and len(data) % size == 0
            out.write(struct.pack("<48sIIQQ", name.encode(), code, 0, len(data) // size, len(data)))
            out.write(data + bytes(-len(data) % 8))


def read(path):
    """{name: (dtype name, bytes)}"""
    names = {code: name for name, (code, _) in DTYPES.items()}
    with open(path, "rb") as file:
        magic, version, n_entries = struct.unpack("<8sII", file.read(16))
        assert magic == MAGIC and version == VERSION, path
        entries = {}
        for _ in range(n_entries):
            name, code, _, _, n_bytes = struct.unpack("<48sIIQQ", file.read(72))
            entries[name.rstrip(b"\0").decode()] = (names[code], file.read(n_bytes))
            file.read(-n_bytes % 8)
        return entries
