# SPDX-License-Identifier: MIT
"""Writes npy/, safetensors/ and zip/ beside this file, with NumPy, safetensors, ml_dtypes and Python's zipfile.

    python tests/formats/make_arrays.py

Every array counts: element i of a float array is i / 4 - 2, of an array of whole numbers i - 4 (i if unsigned), of a
bool array whether i is divisible by 3. So the tests need no list of values.
"""
import os
import zipfile

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()


def counted(dtype, shape):
    i = np.arange(np.prod(shape, dtype=int))
    kind = np.dtype(dtype).kind
    if kind == "b":
        values = i % 3 == 0
    elif kind == "u":
        values = i
    elif kind == "i":
        values = i - 4
    else:
        values = i / 4 - 2
    return values.astype(dtype).reshape(shape)


def path(folder, name):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    return os.path.join(HERE, folder, name)


def npy():
    for name in NAMES:
        np.save(path("npy", name + ".npy"), counted(name, (3, 5)))
    np.save(path("npy", "scalar.npy"), counted("float32", ()))
    np.save(path("npy", "vector.npy"), counted("float32", (7,)))
    np.save(path("npy", "empty.npy"), counted("float32", (0, 3)))
    np.save(path("npy", "column_fortran.npy"), np.asfortranarray(counted("float32", (4, 1))))
    for version in (1, 2, 3):
        with open(path("npy", f"version{version}.npy"), "wb") as f:
            np.lib.format.write_array(f, counted("float32", (2, 3)), version=(version, 0))
    # What is refused, and why.
    np.save(path("npy", "refused_fortran.npy"), np.asfortranarray(counted("float32", (3, 5))))
    np.save(path("npy", "refused_big_endian.npy"), counted(">f4", (3, 5)))
    np.save(path("npy", "refused_bfloat16.npy"), counted(ml_dtypes.bfloat16, (3, 5)))
    np.save(path("npy", "refused_complex.npy"), np.zeros(3, np.complex64))
    np.save(path("npy", "refused_struct.npy"), np.zeros(3, [("a", "<f4"), ("b", "<i4")]))
    np.save(path("npy", "refused_object.npy"), np.array([None, {}], object))
    np.save(path("npy", "refused_text.npy"), np.array(["a", "bc"]))
    arrays = {"dense/kernel": counted("float32", (3, 5)), "bias": counted("float16", (5,))}
    arrays["größe"] = counted("int64", ())
    np.savez(path("npy", "stored.npz"), **arrays)
    np.savez_compressed(path("npy", "deflated.npz"), **arrays)


def tensors():
    arrays = {name: counted(name, (3, 5)) for name in NAMES}
    arrays["bfloat16"] = counted(ml_dtypes.bfloat16, (3, 5))
    arrays["scalar"] = counted("float32", ())
    arrays["empty"] = counted("float32", (0, 3))
    arrays["größe/日本"] = counted("float32", (2,))
    save_file(arrays, path("safetensors", "all.safetensors"), metadata={"format": "np", "quote": 'a "b"\n'})
    save_file({"w": counted("float32", (2, 2))}, path("safetensors", "small.safetensors"))
    save_file({}, path("safetensors", "none.safetensors"))


def zips():
    text = b"".join(b"line %d of a text that deflates\n" % i for i in range(200))

    def write(name, members, method, comment=b""):
        with zipfile.ZipFile(path("zip", name), "w", method) as z:
            for member, data in members.items():
                z.writestr(zipfile.ZipInfo(member), data, method)
            z.comment = comment

    members = {"config.json": b"{}", "größe.txt": b"abc", "empty": b"", "folder/": b"", "text": text}
    write("stored.zip", members, zipfile.ZIP_STORED)
    write("deflated.zip", members, zipfile.ZIP_DEFLATED)
    write("small.zip", {"a": b"abc", "b": b"b" * 40}, zipfile.ZIP_DEFLATED)
    write("comment.zip", {"a": b"abc"}, zipfile.ZIP_STORED, b"PK\5\6 in a comment" + b"." * 18 + b"PK\5\6" + b"\0" * 17)
    write("none.zip", {}, zipfile.ZIP_STORED)
    write("refused_bzip2.zip", {"a": text}, zipfile.ZIP_BZIP2)
    with zipfile.ZipFile(path("zip", "zip64.zip"), "w") as z:
        with z.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as f:
            f.write(b"abc")

    # A stream that cannot seek: sizes and CRC follow the data.
    class Stream:
        def __init__(self, file):
            self.write, self.flush = file.write, file.flush

    with open(path("zip", "streamed.zip"), "wb") as f, zipfile.ZipFile(Stream(f), "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(zipfile.ZipInfo("a"), b"abc")
        z.writestr(zipfile.ZipInfo("text"), text)


if __name__ == "__main__":
    npy()
    tensors()
    zips()
