"""What zarr-python (2 or 3, whichever this interpreter has) reads of the stores STORE...: one JSON line an object in
OUT/I/objects.jsonl for the store with number I, and the values of each array in OUT/I/N.npy (texts as UTF-8 bytes)."""

import json
import pathlib
import sys
import warnings

import numpy as np
import zarr

warnings.simplefilter("ignore")
try:
    import numcodecs.zarr3  # noqa: F401  (registers numcodecs.* where zarr-python 3.0 leaves that to it)
except ImportError:
    pass

MOST_BYTES = 64 << 20


def texts(values):
    def one(value):
        if isinstance(value, bytes):
            return value
        return b"" if value is None or value == 0 else str(value).encode()

    flat = [one(v) for v in np.asarray(values, dtype=object).reshape(-1)]
    width = max([len(v) for v in flat] + [1])
    return np.array(flat, dtype=f"S{width}").reshape(np.shape(values))


def say(out, line):
    with open(out / "objects.jsonl", "a") as file:
        print(json.dumps(line, default=str), file=file)


def failure(error):
    return f"{type(error).__name__}: {error}"[:300]


def dump(array, path, number, out):
    line = {"path": path, "kind": "array", "shape": list(array.shape), "attributes": dict(array.attrs)}
    try:
        if array.size * max(array.dtype.itemsize, 1) > MOST_BYTES:
            raise ValueError("too big to compare")
        if zarr.__version__.startswith("2") and array.fill_value is None and array.nchunks_initialized < array.nchunks:
            line["undefined"] = True  # zarr-python 2 leaves memory as it is
        values = array[...]
        values = np.asarray(values)
        if values.dtype.kind in "OT":
            values = texts(values)
        np.save(out / f"{number}.npy", values, allow_pickle=False)
        line["values"] = number
    except Exception as error:  # noqa: BLE001  (whatever the oracle says)
        line["error"] = failure(error)
    say(out, line)


def walk(node, path, out, numbers):
    if isinstance(node, zarr.Array):
        dump(node, path, next(numbers), out)
        return
    say(out, {"path": path, "kind": "group", "attributes": dict(node.attrs)})
    for name in sorted(node.keys()):
        below = f"{path}/{name}"
        try:
            child = node[name]
        except Exception as error:  # noqa: BLE001
            say(out, {"path": below, "kind": "unknown", "error": failure(error)})
            continue
        walk(child, below, out, numbers)


def main():
    for number, store in enumerate(sys.argv[2:]):
        out = pathlib.Path(sys.argv[1]) / str(number)
        out.mkdir()
        try:
            walk(zarr.open(store, mode="r"), "", out, iter(range(1_000_000)))
        except Exception as error:  # noqa: BLE001
            say(out, {"path": "", "kind": "unknown", "error": failure(error)})
        (out / "done").touch()


main()
