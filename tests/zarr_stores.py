"""Writes Zarr stores of every kind into the folder OUT, with the zarr-python (2 or 3) of this interpreter."""

import pathlib
import sys
import warnings

import numpy as np
import zarr

warnings.simplefilter("ignore")
THREE = zarr.__version__.startswith("3")
random = np.random.default_rng(7)


def numbers(shape, dtype):
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.random(shape) < 0.5
    if kind in "iu":
        return random.integers(0, 100, shape).astype(dtype)
    if kind == "c":
        return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(dtype)
    if kind in "Mm":
        return random.integers(-10**6, 10**6, shape).astype("i8").view(dtype)
    if kind == "S":
        return np.char.add(b"s", random.integers(0, 99, shape).astype("S")).astype(dtype)
    if kind == "U":
        return np.char.add("\u00e4", random.integers(0, 99, shape).astype("U")).astype(dtype)
    return random.normal(size=shape).astype(dtype)


TYPES = ["b1", "i1", "u1", "<i2", ">i2", "<u4", ">u8", "<f2", "<f4", ">f4", "<f8", ">f8", "<c8", "<c16",
         "S5", "<U4", "<M8[ns]", "<m8[s]"]


def write_v2(out):
    import numcodecs

    create = dict(zarr_format=2) if THREE else {}

    def array(name, values, chunks, holes=False, **options):
        a = zarr.open_array(str(out / name), mode="w", shape=values.shape, chunks=chunks, dtype=values.dtype, **create, **options)
        part = tuple(slice(0, max(1, n // 2)) for n in values.shape) if holes else ...
        a[part] = values[part]
        return a

    for dtype in TYPES:
        array(f"type {dtype.replace('<', 'le').replace('>', 'be')}", numbers((7, 10), dtype), (3, 4))
    for i, fill in enumerate([0, 5, -1, None]):
        array(f"fill i {i}", numbers((9, 9), "<i4"), (4, 4), holes=True, fill_value=fill)
    for i, fill in enumerate([0.0, np.nan, np.inf, -np.inf, 1e20]):
        array(f"fill f {i}", numbers((9, 9), "<f4"), (4, 4), holes=True, fill_value=fill)
    array("order F", numbers((7, 8, 9), "<f4"), (3, 4, 5), order="F")
    array("slash", numbers((7, 8, 9), "<f4"), (3, 4, 5), dimension_separator="/")
    array("scalar", numbers((), "<f8"), ())
    array("empty axis", numbers((0, 5), "<f8"), (1, 5))
    array("one chunk", numbers((5, 5), "<f8"), (5, 5), compressor=None)
    if not THREE:
        for name, filters, compressor in [
            ("zlib", None, numcodecs.Zlib(3)), ("gzip", None, numcodecs.GZip(3)), ("bz2", None, numcodecs.BZ2(3)),
            ("zstd", None, numcodecs.Zstd(3)), ("lz4", None, numcodecs.LZ4()),
            ("blosc", None, numcodecs.Blosc("zstd", 3, 2)), ("blosc lz4", None, numcodecs.Blosc("lz4", 3, 1)),
            ("shuffle", [numcodecs.Shuffle(4)], numcodecs.Zlib(3)), ("delta", [numcodecs.Delta("<i4")], numcodecs.Zlib(3)),
            ("crc32", [numcodecs.CRC32()], None), ("adler32", [numcodecs.Adler32()], None),
            ("fletcher32", [numcodecs.Fletcher32()], None),
        ]:
            array(f"codec {name}", numbers((9, 9), "<i4"), (4, 4), filters=filters, compressor=compressor)
        array("scaled", numbers((9, 9), "<f8"), (4, 4), filters=[numcodecs.FixedScaleOffset(0.5, 100, "<f8", "<i2")])
        text = np.array(["one", "zw\u00f6lf", "", "three"] * 3, dtype=object)
        a = zarr.open_array(str(out / "text"), mode="w", shape=(12,), chunks=(5,), dtype=object, object_codec=numcodecs.VLenUTF8())
        a[:] = text
        a = zarr.open_array(str(out / "text with holes"), mode="w", shape=(12,), chunks=(5,), dtype=object,
                            object_codec=numcodecs.VLenUTF8(), fill_value="nothing")
        a[:5] = text[:5]
        record = np.zeros(8, dtype=[("a", "<i2"), ("b", ">f8"), ("c", "S3")])
        record["a"], record["b"], record["c"] = np.arange(8), np.arange(8) / 3, b"xy"
        array("compound", record, (3,))
    for name in ("consolidated", "listed"):
        group = zarr.open_group(str(out / name), mode="w", **create)
        group.attrs.update({"title": "a store", "n": 3, "list": [1.5, 2.5], "nested": {"a": [1, "b", None]}})
        for path in ("t", "below/u", "below/deeper/v"):
            values = numbers((6, 6), "<f4")
            a = group.create_array(path, shape=(6, 6), chunks=(2, 3), dtype="<f4") if THREE else \
                group.create_dataset(path, shape=(6, 6), chunks=(2, 3), dtype="<f4")
            a[...] = values
            a.attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
            a.attrs["units"] = "m"
        if name == "consolidated":
            zarr.consolidate_metadata(str(out / name))


def write_v3(out):
    from zarr.codecs import (BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, VLenUTF8Codec,
                             ZstdCodec)
    from numcodecs import zarr3

    def array(name, values, chunks, codecs=None, holes=False, **options):
        a = zarr.create(store=str(out / name), shape=values.shape, chunks=chunks, dtype=values.dtype, zarr_format=3,
                        overwrite=True, codecs=codecs, **options)
        part = tuple(slice(0, max(1, n // 2)) for n in values.shape) if holes else ...
        a[part] = values[part]

    for dtype in TYPES:
        big = dtype.startswith(">")
        array(f"type {dtype.replace('<', 'le').replace('>', 'be')}", numbers((7, 10), dtype.replace(">", "<")), (3, 4),
              [BytesCodec(endian="big" if big else "little")])
    for i, fill in enumerate([0, 5, -1]):
        array(f"fill i {i}", numbers((9, 9), "<i4"), (4, 4), holes=True, fill_value=fill)
    for i, fill in enumerate([0.0, np.nan, np.inf, -np.inf, 1e20]):
        array(f"fill f {i}", numbers((9, 9), "<f4"), (4, 4), holes=True, fill_value=fill)
    array("fill complex", numbers((9, 9), "<c16"), (4, 4), holes=True, fill_value=1 + 2j)
    array("fill time", numbers((9, 9), "<M8[s]"), (4, 4), holes=True)
    for name, codecs in [
        ("gzip", [BytesCodec(), GzipCodec(level=3)]), ("zstd", [BytesCodec(), ZstdCodec(level=3)]),
        ("zstd checksum", [BytesCodec(), ZstdCodec(level=3, checksum=True)]),
        ("blosc", [BytesCodec(), BloscCodec(cname="lz4", shuffle="bitshuffle")]),
        ("crc32c", [BytesCodec(), Crc32cCodec()]), ("gzip crc32c", [BytesCodec(), GzipCodec(), Crc32cCodec()]),
        ("big gzip", [BytesCodec(endian="big"), GzipCodec()]),
        ("zlib", [BytesCodec(), zarr3.Zlib(level=3)]), ("bz2", [BytesCodec(), zarr3.BZ2(level=3)]),
        ("lz4", [BytesCodec(), zarr3.LZ4()]), ("shuffle", [BytesCodec(), zarr3.Shuffle(), zarr3.Zlib(level=3)]),
        ("crc32", [BytesCodec(), zarr3.CRC32()]), ("adler32", [BytesCodec(), zarr3.Adler32()]),
        ("fletcher32", [BytesCodec(), zarr3.Fletcher32()]),
        ("delta", [zarr3.Delta(dtype="<i4"), BytesCodec(), zarr3.Zlib(level=3)]),
    ]:
        array(f"codec {name}", numbers((9, 9), "<i4"), (4, 4), codecs)
    for name, values in [
        ("bitround", [zarr3.BitRound(keepbits=5)]), ("quantize", [zarr3.Quantize(digits=2, dtype="<f8")]),
        ("scaled", [zarr3.FixedScaleOffset(offset=0.5, scale=100, dtype="<f8", astype="<i2")]),
        ("astype", [zarr3.AsType(encode_dtype="<f4", decode_dtype="<f8")]),
    ]:
        array(f"values {name}", numbers((9, 9), "<f8"), (4, 4), values + [BytesCodec()])
    # With other codecs of values zarr-python does not read back what it wrote in big-endian order.
    array("values bitround big", numbers((9, 9), "<f8"), (4, 4), [zarr3.BitRound(keepbits=5), BytesCodec(endian="big")])
    for order in [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (1, 0, 2)]:
        array(f"transpose {order}", numbers((7, 8, 9), "<f4"), (3, 4, 5), [TransposeCodec(order=order), BytesCodec()])
    array("transpose twice", numbers((7, 8, 9), "<i2"), (3, 4, 5),
          [TransposeCodec(order=(1, 2, 0)), TransposeCodec(order=(0, 2, 1)), BytesCodec(), GzipCodec()])
    for separator, name in [(("default", "/"), "default slash"), (("default", "."), "default dot"), (("v2", "."), "v2 dot"),
                            (("v2", "/"), "v2 slash")]:
        array(f"keys {name}", numbers((7, 8), "<f4"), (3, 4), chunk_key_encoding=separator)
    array("scalar", numbers((), "<f8"), ())
    text = np.array(["one", "zw\u00f6lf", "", "three"] * 3, dtype=object)
    for name, fill in [("text", ""), ("text with holes", "nothing")]:
        a = zarr.create_array(str(out / name), shape=(12,), chunks=(5,), dtype=str, fill_value=fill, overwrite=True)
        a[: 5 if "holes" in name else 12] = text[: 5 if "holes" in name else 12]

    inner = [BytesCodec(), ZstdCodec(level=3)]
    for where in ("start", "end"):
        for checked in (True, False):
            array(f"sharded {where} {checked}", numbers((30, 40), "<f4"), (10, 20),
                  [ShardingCodec(chunk_shape=(5, 4), codecs=inner, index_location=where,
                                 index_codecs=[BytesCodec()] + ([Crc32cCodec()] if checked else []))], holes=True, fill_value=7)
    array("sharded ragged", numbers((23, 31), "<i2"), (10, 20), [ShardingCodec(chunk_shape=(5, 4), codecs=inner)])
    array("sharded bytes", numbers((23, 31), "<i2"), (10, 20), [ShardingCodec(chunk_shape=(5, 4), codecs=[BytesCodec()])])
    array("sharded transposed inside", numbers((23, 31), "<i2"), (10, 20),
          [ShardingCodec(chunk_shape=(5, 4), codecs=[TransposeCodec(order=(1, 0)), BytesCodec()])])
    array("sharded transposed outside", numbers((40, 40), "<i2"), (20, 20),
          [TransposeCodec(order=(1, 0)), ShardingCodec(chunk_shape=(5, 4), codecs=inner)])
    array("sharded then gzip", numbers((23, 31), "<i2"), (10, 20),
          [ShardingCodec(chunk_shape=(5, 4), codecs=[BytesCodec()]), GzipCodec(level=3)], holes=True)
    array("sharded big index", numbers((23, 31), "<i2"), (10, 20),
          [ShardingCodec(chunk_shape=(5, 4), codecs=inner, index_codecs=[BytesCodec(endian="big"), Crc32cCodec()])])
    array("sharded twice", numbers((40, 40), "<i2"), (20, 20),
          [ShardingCodec(chunk_shape=(10, 10), codecs=[ShardingCodec(chunk_shape=(5, 5), codecs=inner)])], holes=True)
    a = zarr.create_array(str(out / "sharded text"), shape=(12,), chunks=(2,), shards=(6,), dtype=str, overwrite=True)
    a[:] = text

    for name in ("consolidated", "listed"):
        group = zarr.open_group(str(out / name), mode="w", zarr_format=3)
        group.attrs.update({"title": "a store", "n": 3, "list": [1.5, 2.5], "nested": {"a": [1, "b", None]}})
        for path in ("t", "below/u", "below/deeper/v"):
            a = group.create_array(path, shape=(6, 6), chunks=(2, 3), dtype="<f4", dimension_names=("y", "x"))
            a[...] = numbers((6, 6), "<f4")
            a.attrs["units"] = "m"
        if name == "consolidated":
            zarr.consolidate_metadata(str(out / name), zarr_format=3)


out = pathlib.Path(sys.argv[1])
write_v2(out / "v2")
if THREE:
    write_v3(out / "v3")
