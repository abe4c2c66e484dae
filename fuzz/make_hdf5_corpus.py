#!/usr/bin/env python3
"""Writes the seed files of hdf5_fuzz: one small file per family of structures (needs h5py).

Run it from anywhere; it replaces fuzz/corpus/hdf5/*.h5. Files stay below 4 KiB, but for
those with a global heap, whose collections are 4 KiB each.
"""

import pathlib

import h5py
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus" / "hdf5"


def old_groups(f):
    g = f.create_group("g")
    g["v"] = np.arange(6, dtype=">i2").reshape(2, 3)
    g.attrs["units"] = "K"


def links(f):
    f["a"] = np.float32(1)
    f["soft"] = h5py.SoftLink("/a")
    f["away"] = h5py.ExternalLink("other.h5", "/x")
    f["hard"] = f["a"]
    f.create_group("g", track_order=True)["loop"] = f["/"]


def dense(f):
    f.create_group("g").attrs["one"] = np.arange(4)
    for i in range(9):
        f["g"].attrs[f"a{i}"] = i


def types(f):
    kind = np.dtype([("i", "<i4"), ("s", "S3"), ("a", "<f4", (2,))])
    f["compound"] = np.zeros(2, kind)
    f.create_dataset("enum", (2,), h5py.enum_dtype({"LOW": 0, "HIGH": 1}, "i1"))
    f["opaque"] = np.zeros(2, "V3")


def variable_length(f):
    f.create_dataset("text", (), h5py.string_dtype(), data="ocean")
    f.attrs.create("words", ["a", "bc"], dtype=h5py.string_dtype())


def committed(f):
    f["t"] = np.dtype("<f8")
    f.create_dataset("d", (3,), f["t"])


def chunked(**how):
    def make(f):
        f.create_dataset("v", data=np.arange(12, dtype="i4").reshape(4, 3), **how)

    return make


def compact(f):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3,))
    h5py.h5d.create(f.id, b"v", h5py.h5t.STD_I16BE, space, properties).write(
        h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype=">i2")
    )


def scales(f):
    f["x"] = np.arange(3.0)
    f["v"] = np.arange(3)
    f["x"].make_scale("x")
    f["v"].dims[0].attach_scale(f["x"])


def virtual(f):
    layout = h5py.VirtualLayout((4,), "i4")
    layout[:2] = h5py.VirtualSource("a.h5", "x", (2,))
    f.create_virtual_dataset("v", layout, fillvalue=-1)


SEEDS = {
    "old_groups": (old_groups, {}),
    "links_latest": (links, {"libver": "latest"}),
    "dense_attributes": (dense, {"libver": "latest"}),
    "types_latest": (types, {"libver": "latest"}),
    "variable_length": (variable_length, {"libver": "latest"}),
    "committed": (committed, {"libver": "latest"}),
    "btree1": (chunked(chunks=(4, 3), compression=1, shuffle=True), {}),
    "single": (chunked(chunks=(4, 3), fletcher32=True), {"libver": "latest"}),
    "fixed_array": (chunked(chunks=(2, 2), compression=1), {"libver": "latest"}),
    "extensible_array": (chunked(chunks=(2, 3), maxshape=(None, 3)), {"libver": "latest"}),
    "btree2": (chunked(chunks=(2, 3), maxshape=(None, None)), {"libver": "latest"}),
    "compact": (compact, {"libver": "latest"}),
    "scales": (scales, {"libver": "latest"}),
    "virtual": (virtual, {"libver": "latest"}),
    "user_block": (compact, {"libver": "latest", "userblock_size": 512}),
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.h5"):
        old.unlink()
    for name, (make, how) in SEEDS.items():
        path = FOLDER / f"{name}.h5"
        with h5py.File(path, "w", meta_block_size=1, **how) as f:
            make(f)
        print(f"{path.stat().st_size:6d} {path.name}")


if __name__ == "__main__":
    main()
