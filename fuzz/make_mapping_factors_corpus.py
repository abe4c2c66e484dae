"""Writes fuzz/corpus/mapping_factors: pickles of every protocol, arrays, sparse matrices, and, with `upwell` as the first argument,
files of Upwell's own form. Needs numpy and scipy."""

import io
import lzma
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import scipy.sparse

ROOT = pathlib.Path(__file__).resolve().parent
OUT = ROOT / "corpus" / "mapping_factors"
OUT.mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(ROOT.parent / "tests"))
import llc_grid  # noqa: E402

VALUES = {
    "mask": np.array([1.0, np.nan]),
    "grid": [{"lat": np.zeros((2, 2)), "lon": np.ones((1, 2))}, np.zeros((1, 2)), {"shape": (2, 1), "lats_1D": np.arange(2.0)},
             {0: tuple(np.arange(3) for _ in range(3))}],
    "objects": (np.array([[1, 2], -1, None], dtype=object), np.arange(3, dtype=np.int32)),
    "plain": [True, None, -5, 70000, 2**40, 1.5, "é", b"\x00\xff", (), {}, [[]]],
    "scalars": [np.float64(2.5), np.int64(-3), np.bool_(True), np.float32(1)],
}


def npz(value):
    file = io.BytesIO()
    scipy.sparse.save_npz(file, value)
    return file.getvalue()


for name, value in VALUES.items():
    for protocol in range(6):
        (OUT / f"{name}{protocol}").write_bytes(b"p" + pickle.dumps(value, protocol))
(OUT / "xz").write_bytes(b"x" + lzma.compress(pickle.dumps(VALUES["mask"])))
for dtype in (">i2", "<u8", "|b1", ">f4", "|S3"):
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3), dtype))
    (OUT / f"npy_{dtype[1:]}").write_bytes(b"y" + file.getvalue())
DENSE = np.array([[0, 2, 0], [3, 0, 4]])
for form in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix):
    (OUT / form.__name__).write_bytes(b"s" + npz(form(DENSE)))
if len(sys.argv) > 1:
    with tempfile.TemporaryDirectory() as directory:
        grid, file = pathlib.Path(directory) / "grid", pathlib.Path(directory) / "x.npz"
        llc_grid.write_grid(grid, n=2, levels=2)
        for method in ("nearest", "conservative"):
            subprocess.run([sys.argv[1], "produce", "factors", grid, "--method", method, "--resolution", "60", "-o", file, "-q"],
                           check=True, stdout=subprocess.DEVNULL)
            (OUT / f"own_{method}").write_bytes(b"o" + file.read_bytes())
