"""Writes fuzz/corpus/zarr: small arrays of zarr-python, a document and one object each."""

import pathlib
import tempfile

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

out = pathlib.Path(__file__).resolve().parent / "corpus" / "zarr"
out.mkdir(parents=True, exist_ok=True)
inner = [BytesCodec(), ZstdCodec(level=1)]
KINDS = {
    "plain": dict(codecs=[BytesCodec()]),
    "gzip": dict(codecs=[BytesCodec(endian="big"), GzipCodec(level=1)]),
    "transpose": dict(codecs=[TransposeCodec(order=(1, 0)), BytesCodec()]),
    "sharded": dict(codecs=[ShardingCodec(chunk_shape=(2, 2), codecs=inner)]),
    "sharded_start": dict(codecs=[ShardingCodec(chunk_shape=(2, 2), codecs=inner, index_location="start")]),
    "sharded_plain": dict(codecs=[ShardingCodec(chunk_shape=(2, 2), codecs=[BytesCodec()], index_codecs=[BytesCodec()])]),
    "sharded_twice": dict(codecs=[ShardingCodec(chunk_shape=(4, 4), codecs=[ShardingCodec(chunk_shape=(2, 2), codecs=inner)])]),
    "sharded_gzip": dict(codecs=[ShardingCodec(chunk_shape=(2, 2), codecs=[BytesCodec()]), GzipCodec(level=1), Crc32cCodec()]),
    "v2": dict(zarr_format=2),
    "v2_fortran": dict(zarr_format=2, order="F"),
}
for name, options in KINDS.items():
    with tempfile.TemporaryDirectory() as folder:
        array = zarr.create(store=folder, shape=(4, 4), chunks=(4, 4), dtype="<i2", **{"zarr_format": 3, **options})
        array[...] = np.arange(16).reshape(4, 4)
        files = {f.name: f for f in pathlib.Path(folder).rglob("*") if f.is_file()}
        document = files.get("zarr.json") or files[".zarray"]
        chunk = next(f for key, f in files.items() if key in ("0", "0.0"))
        text = b"".join(line.strip() for line in document.read_bytes().splitlines())
        (out / name).write_bytes(text + b"\0" + chunk.read_bytes())
