# SPDX-License-Identifier: MIT
"""Writes the HDF5 fixtures with h5py, for io/hdf5_test.cc to read.

    python tests/formats/hdf5/make.py      needs h5py (3.16 wrote those that are here) and numpy

Numbers are counted up from zero, so that the test knows them.

  plain.h5    h5py's defaults: every type, shape and kind of attribute; nested groups; a hard link
  text.h5     a model_config of more than 64 KB, and lists of names
  wide.h5     a group of 500 members, hard links to 5 datasets: its B-tree has nodes on two levels
  compact.h5  libver='latest' with few members and attributes: groups as link messages, checksums
  dense.h5    libver v108 with many of both, which lie in heaps found through B-trees of version 2
  chunked.h5  chunks, gzip, shuffle, fletcher32, big-endian numbers, committed types: for libhdf5
  big_attribute.h5   a big-endian attribute, so that libhdf5 reads the whole file
  soft.h5, external.h5, outside.h5, virtual.h5   refused: links and data that may lie in other files
  texts.h5, compound.h5                          refused: datasets ingot has no type for
  small.h5    little, for the test that damages each of its bytes; compact_small.h5 likewise
"""

import pathlib

import h5py
import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool"]


def create(name, **options):
    return h5py.File(HERE / name, "w", **options)


def fill_in(f):
    """What plain.h5, compact.h5 and dense.h5 have in common."""
    g = f.create_group("layers/dense")
    g.attrs["name"] = "dense"
    for i, dtype in enumerate(TYPES):
        f.create_dataset(f"types/{i}", data=(np.arange(6) % (2 if dtype == "bool" else 6)).astype(dtype).reshape(2, 3))
    g["kernel"] = np.arange(12, dtype="f4").reshape(4, 3)


def plain():
    with create("plain.h5") as f:
        fill_in(f)
        f.create_group("empty")
        f["größe"] = np.float32(3)  # for its name, this group's links go to a heap
        f["bfloat16"] = np.array([0x3F80, 0x4000], "u2").view("V2")  # as Keras writes ml_dtypes.bfloat16
        f.create_dataset("never/float32", shape=(4,), dtype="f4")
        f.create_dataset("never/filled", shape=(3,), dtype="i4", fillvalue=7)
        f.create_dataset("none/rows", shape=(0, 3), dtype="f4")
        f.create_dataset("none/null", data=h5py.Empty("f4"))
        f["linked"] = f["layers/dense/kernel"]
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        compact.set_obj_track_times(False)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(f.id, b"in_header", h5py.h5t.NATIVE_INT32, space, compact).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype="i4")
        )
        a = f["layers"].attrs
        a["text"] = "grün"
        a["bytes"] = np.bytes_(b"abc")
        a["no text"] = ""
        a["list"] = np.array([b"a", b"", b"bcd", "é".encode()])
        a["texts"] = ["x", "", "größer"]
        a["no list"] = np.array([])
        a["null"] = h5py.Empty("f4")
        a["null text"] = h5py.Empty("S4")
        a["bool"] = True
        a["int"] = 5
        a["float"] = np.float32(0.5)
        a["matrix"] = np.arange(6.0).reshape(2, 3)
        a["ключ"] = "UTF-8"


def text():
    with create("text.h5") as f:
        f.attrs["model_config"] = "".join(f"{i:07d} " for i in range(8200))
        f.attrs["layer_names"] = np.array([f"layer_{i}".encode() for i in range(100)])
        for i in range(2):
            f.create_group(f"g{i}").attrs["name"] = f"text {i}"


def wide():
    with create("wide.h5") as f:
        g = f.create_group("g")
        for i in range(5):
            f[f"{i}"] = np.int32(i)
        for i in (*range(0, 500, 2), *range(1, 500, 2)):  # which fills the nodes
            g[f"m{i:03d}"] = f[f"{i % 5}"]


def latest():
    with create("compact.h5", libver="latest") as f:
        g = f.create_group("layers/dense")
        g.attrs["name"] = "dense"
        g.attrs["names"] = np.array([b"a", b"bc"])
        g["kernel"] = np.arange(12, dtype="f4").reshape(4, 3)
        g["flag"] = np.array([True, False])
        g.create_dataset("filled", shape=(3,), dtype="i4", fillvalue=7)
        h = f.create_group("order", track_order=True)
        h["z"] = np.int64(1)
        h["a"] = np.int64(2)
    with create("compact_small.h5", libver="latest") as f:
        f["d"] = np.arange(3, dtype="f4")
        f["d"].attrs["name"] = "x"
    with create("dense.h5", libver=("v108", "v108")) as f:
        fill_in(f)
        for i in range(20):
            f.attrs[f"a{i}"] = f"text {i}"
        g = f.create_group("g")
        for i in range(100):
            g[f"m{i:03d}"] = f[f"types/{i % 12}"]


def chunked():
    with create("chunked.h5") as f:
        f.create_dataset("gzip", data=np.arange(250, dtype="f4"), chunks=(60,), compression="gzip", shuffle=True)
        f.create_dataset("check", data=np.arange(10, dtype="f8"), chunks=(4,), fletcher32=True)
        f.create_dataset("big", data=np.arange(6, dtype=">f4"))
        f.create_dataset("big_int", data=np.arange(6, dtype=">i2"))
        f.create_dataset("never", shape=(5,), dtype="i4", chunks=(2,), fillvalue=3)
        f["type"] = np.dtype("f8")
        f.create_dataset("committed", data=np.arange(4.0), dtype=f["type"])
        f.attrs["name"] = "chunked"
        f.attrs["list"] = np.array([b"a", b"bc"])
        f.attrs["texts"] = ["x", "yz"]
        f.attrs["null"] = h5py.Empty("f4")
        f.attrs["number"] = 5
        del f["type"]


def refused():
    with create("big_attribute.h5") as f:
        f.attrs["big"] = np.array([1, 2], ">i4")
        f["d"] = np.arange(3, dtype="f4")
    with create("soft.h5") as f:
        f["a"] = np.arange(3)
        f["b"] = h5py.SoftLink("/a")
    with create("external.h5") as f:
        f["b"] = h5py.ExternalLink("/etc/passwd", "/x")
    with create("outside.h5") as f:
        f.create_dataset("a", shape=(3,), dtype="u1", external=[("/etc/passwd", 0, 3)])
    with create("virtual.h5", libver=("v110", "v110")) as f:
        layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
        layout[:] = h5py.VirtualSource("plain.h5", "layers/dense/kernel", shape=(3,))
        f.create_virtual_dataset("a", layout)
    with create("texts.h5") as f:
        f["a"] = np.array([b"abc"])
    with create("compound.h5") as f:
        f["a"] = np.zeros(2, [("x", "f4"), ("y", "i4")])


def small():
    with create("small.h5") as f:
        f.attrs["name"] = "text"
        f.attrs["list"] = np.array([b"a", b"bc"])
        f["g/d"] = np.arange(3, dtype="f4")


if __name__ == "__main__":
    for make in (plain, text, wide, latest, chunked, refused, small):
        make()
