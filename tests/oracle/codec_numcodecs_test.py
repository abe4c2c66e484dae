"""Upwell's codecs against numcodecs: what numcodecs encodes we decode to the same bytes, and the
other way round."""

import json

import numpy as np
import pytest
from codec_client import SHARED, TOOL, Child, CodecError, CodecTool, passed, print_table

numcodecs = pytest.importorskip("numcodecs")

if not TOOL.exists():
    pytest.skip(f"{TOOL} is not built", allow_module_level=True)


@pytest.fixture(scope="module")
def tool():
    tool = CodecTool()
    yield tool
    tool.close()
    print_table()


@pytest.fixture(scope="module")
def oracle():
    child = Child()
    yield child
    child.close()


def encode_in_child(config, data, dtype):
    array = np.array(data, object) if dtype == "|O" else np.frombuffer(data, dtype)
    return bytes(numcodecs.get_codec(config).encode(array))


def numcodecs_encode(oracle, config, array):
    """Bytes and type travel apart: pickling an array may change its byte order."""
    if isinstance(array, bytes):
        return oracle.call(encode_in_child, config, array, "|u1")
    data = list(array) if array.dtype == object else array.tobytes()
    return oracle.call(encode_in_child, config, data, array.dtype.str)


def numcodecs_decode(config, data):
    decoded = numcodecs.get_codec(config).decode(data)
    return numcodecs.compat.ensure_contiguous_ndarray(decoded).tobytes()


def numcodecs_strings(config, data):
    return [x.encode() if isinstance(x, str) else bytes(x) for x in
            numcodecs.get_codec(config).decode(data)]


SIZES = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 255, 1000, 4099, 100_003]
DTYPES = ["u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">u8", "<f2", "<f4", ">f4",
          "<f8", ">f8"]


def arrays(dtype, kind):
    random = np.random.default_rng(7)
    for size in SIZES:
        if kind == "smooth":
            values = 300 + 40 * np.sin(np.arange(size) / 50) + random.normal(0, 0.1, size)
        elif kind == "random":
            yield np.frombuffer(random.bytes(size * np.dtype(dtype).itemsize), dtype)
            continue
        else:
            values = np.zeros(size)
        yield (values % 120 if dtype == "u1" else values).astype(dtype)


COMPRESSORS = (
    [{"id": "zlib", "level": level} for level in (0, 1, 6, 9)]
    + [{"id": "gzip", "level": level} for level in (1, 5)]
    + [{"id": "bz2", "level": level} for level in (1, 9)]
    + [{"id": "zstd", "level": level, "checksum": level == 1} for level in (-5, 1, 3, 19)]
    + [{"id": "lz4", "acceleration": 1}]
    + [{"id": "blosc", "cname": cname, "clevel": clevel, "shuffle": shuffle, "blocksize": 0}
       for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
       for clevel in (0, 1, 9) for shuffle in (0, 1, 2)]
    + [{"id": "shuffle", "elementsize": n} for n in (0, 1, 2, 3, 4, 5, 8, 12, 16)]
    + [{"id": "fletcher32"}]
    + [{"id": name, "location": location} for name in ("crc32", "crc32c", "adler32")
       for location in ("start", "end")]
)


@pytest.mark.parametrize("config", COMPRESSORS, ids=lambda c: "-".join(map(str, c.values())))
def test_bytes_codecs_both_ways(tool, oracle, config):
    many = not (config["id"] == "blosc" or config.get("level") in (9, 19))
    for dtype in DTYPES if many else ["u1", "<i2", ">f4", "<f8"]:
        for kind in ("smooth", "random", "zero") if many else ("smooth", "random"):
            for array in arrays(dtype, kind):
                item = array.dtype.itemsize
                if array.size == 0 and config["id"] in ("fletcher32", "shuffle"):
                    continue  # numcodecs itself refuses these
                if config["id"] == "shuffle" and config["elementsize"] > 1 \
                        and array.nbytes % config["elementsize"]:
                    continue  # likewise; HDF5's rule for the rest is tested with libhdf5
                check_both_ways(tool, oracle, config, array, item)


def check_both_ways(tool, oracle, config, array, item):
    raw = array.tobytes()
    stored = numcodecs_encode(oracle, config, array)
    assert tool.decode([config], stored, len(raw), item) == raw, (config, array.dtype, array.size)
    assert tool.decode_unsized([config], stored, len(raw), item) == raw
    if raw:
        with pytest.raises(CodecError):
            tool.decode([config], stored, len(raw) - 1, item)
    ours = tool.encode([config], raw, item)
    if not raw and config["id"] in ("zstd", "lz4", "blosc"):
        # numcodecs cannot read back what it writes of no bytes; we can.
        assert tool.decode([config], ours, 0, item) == b""
        passed[config["id"]] += 1
        return
    assert oracle.call(numcodecs_decode, config, ours) == raw, (config, array.dtype, array.size)
    if config["id"] in ("shuffle", "fletcher32", "crc32", "crc32c", "adler32"):
        assert ours == stored
    passed[config["id"]] += 1


def test_zstd_streams_without_a_content_size_and_in_a_row(tool):
    zstd = pytest.importorskip("zstandard")
    raw = bytes(range(256)) * 999
    stream = zstd.ZstdCompressor(write_content_size=False).compressobj()
    unsized = stream.compress(raw) + stream.flush()
    sized = zstd.ZstdCompressor().compress(raw)
    for stored, times in ((unsized, 1), (sized + sized, 2), (unsized + sized, 2)):
        assert tool.decode([{"id": "zstd"}], stored, len(raw) * times) == raw * times
        assert tool.decode_unsized([{"id": "zstd"}], stored, 1 << 30) == raw * times
        with pytest.raises(CodecError):
            tool.decode_unsized([{"id": "zstd"}], stored, len(raw) * times - 1)
        passed["zstd"] += 1


DELTAS = [(d, a) for d in ("<i2", ">i4", "<i8", "|u1", "<u4", "<f4", "<f8")
          for a in (d, "<i4" if "i" in d else d, "|i1" if "i" in d else d)]


@pytest.mark.parametrize("dtype,astype", sorted(set(DELTAS)))
def test_delta(tool, oracle, dtype, astype):
    config = {"id": "delta", "dtype": dtype, "astype": astype}
    random = np.random.default_rng(3)
    for size in [n for n in SIZES if n > 0]:
        array = np.cumsum(random.integers(-3, 4, size)).astype(dtype)
        if "f" in dtype:
            array = (array + random.normal(0, 1e3, size)).astype(dtype)
        stored = numcodecs_encode(oracle, config, array)
        expected = oracle.call(numcodecs_decode, config, stored)
        assert tool.decode([config], stored, len(expected)) == expected
        assert tool.encode([config], array.tobytes()) == stored
        passed["delta"] += 1


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<i4", "<i2"])
@pytest.mark.parametrize("astype", ["|i1", "|u1", "<i2", ">i2", "<u2", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("scale,offset", [(10, 300), (10.0, 273.15), (0.1, 300), (7, 299.5)])
def test_fixedscaleoffset(tool, oracle, dtype, astype, scale, offset):
    config = {"id": "fixedscaleoffset", "dtype": dtype, "astype": astype, "scale": scale,
              "offset": offset}
    random = np.random.default_rng(5)
    for size in [n for n in SIZES if n > 0]:
        array = random.uniform(300, 309, size).astype(dtype)
        stored = numcodecs_encode(oracle, config, array)
        expected = oracle.call(numcodecs_decode, config, stored)
        assert tool.decode([config], stored, len(expected)) == expected
        assert tool.encode([config], array.tobytes()) == stored
        passed["fixedscaleoffset"] += 1


def test_quantize_astype_and_packbits(tool, oracle):
    random = np.random.default_rng(9)
    cases = [({"id": "quantize", "digits": 2, "dtype": d, "astype": a}, d)
             for d in ("<f4", "<f8") for a in ("<f4", "<f8", ">f4")]
    cases += [({"id": "astype", "encode_dtype": e, "decode_dtype": d}, d)
              for e in ("<f4", ">f8", "<i4", "<i2", "|i1")
              for d in ("<f4", "<f8", "<i8", ">i4", "|b1")]
    cases += [({"id": "packbits"}, "|b1")]
    for config, dtype in cases:
        for size in SIZES:
            if size == 0 and config["id"] != "packbits":
                continue
            array = random.uniform(-100, 100, size)
            array = (array > 0) if dtype == "|b1" else array.astype(dtype)
            stored = numcodecs_encode(oracle, config, array)
            expected = oracle.call(numcodecs_decode, config, stored)
            assert tool.decode([config], stored, len(expected)) == expected, config
            if config["id"] != "quantize":
                assert tool.encode([config], array.tobytes()) == stored, config
            passed[config["id"]] += 1


@pytest.mark.parametrize("dtype,bits", [("<f2", 10), ("<f4", 23), ("<f8", 52)])
def test_bitround(tool, oracle, dtype, bits):
    random = np.random.default_rng(11)
    for keep in {1, 2, 5, bits - 1, bits}:
        config = {"id": "bitround", "keepbits": keep}
        for size in [n for n in SIZES if n > 0]:
            array = np.concatenate([random.normal(0, 1e3, size - 1), [1.5]]).astype(dtype)
            stored = numcodecs_encode(oracle, config, array)
            item = array.dtype.itemsize
            assert tool.encode([config], array.tobytes(), item) == stored
            assert tool.decode([config], stored, len(stored), item) == stored
            passed["bitround"] += 1


def split(tool, data, limit):
    items, answer, at = [], tool.ask({"op": "split_vlen", "size": limit}, data), 0
    while at < len(answer):
        length = int.from_bytes(answer[at:at + 8], "little")
        items.append(answer[at + 8:at + 8 + length])
        at += 8 + length
    return items


def join(tool, items):
    data = b"".join(len(i).to_bytes(8, "little") + i for i in items)
    return tool.ask({"op": "join_vlen"}, data)


@pytest.mark.parametrize("name", ["vlen-utf8", "vlen-bytes"])
def test_vlen(tool, oracle, name):
    random = np.random.default_rng(13)
    for size in SIZES:
        items = [("é" * int(n)) for n in random.integers(0, 9, size)]
        array = np.array(items if name == "vlen-utf8" else [i.encode() for i in items], object)
        stored = numcodecs_encode(oracle, {"id": name}, array)
        expected = [i.encode() for i in items]
        assert split(tool, stored, size) == expected
        assert join(tool, expected) == stored
        if size > 0:
            with pytest.raises(CodecError):
                split(tool, stored, size - 1)
        passed[name] += 1


def test_a_whole_pipeline(tool, oracle):
    """Filters and compressor as in a Zarr v2 array, the same filter twice."""
    array = np.arange(9999, dtype="<i4") * 3
    codecs = [{"id": "delta", "dtype": "<i4", "astype": "<i4"},
              {"id": "shuffle", "elementsize": 4}, {"id": "zlib", "level": 5},
              {"id": "zlib", "level": 1}, {"id": "crc32c", "location": "end"}]
    stored = array
    for config in codecs:
        stored = numcodecs_encode(oracle, config, stored)
    assert tool.decode(codecs, stored, array.nbytes, 4) == array.tobytes()
    assert tool.decode_unsized(codecs, stored, array.nbytes, 4) == array.tobytes()
    passed["pipeline"] += 1


FIXTURES = SHARED / "data" / "conformance" / "codec" / "zarr-developers+numcodecs" / "fixture"
LOSSY = {"quantize", "fixedscaleoffset", "astype"}
NOT_READ = {"categorize", "pickle", "lzma", "zfpy", "pcodec", "json2", "msgpack2", "base64",
            "vlen-array"}


def fixture_cases():
    for config_path in sorted(FIXTURES.glob("*/codec.*/config.json")):
        for data_path in sorted(config_path.parent.glob("encoded.*.dat")):
            yield config_path.parent.parent.name, config_path, data_path


@pytest.mark.skipif(not FIXTURES.exists(), reason=f"{FIXTURES} is not here")
def test_numcodecs_own_fixtures(tool, oracle):
    without_array = 0
    without_oracle = 0
    for name, config_path, data_path in fixture_cases():
        if name in NOT_READ:
            continue
        config = json.loads(config_path.read_text())
        data = data_path.read_bytes()
        number = data_path.name.split(".")[1]
        array_path = config_path.parent.parent / f"array.{number}.npy"
        if name.startswith("vlen"):
            expected = oracle.call(numcodecs_strings, config, data)
            if array_path.exists():
                array = np.load(array_path, allow_pickle=True).reshape(-1, order="A")
                same = [x.encode() if isinstance(x, str) else bytes(x) for x in array]
                assert expected == same
            assert split(tool, data, len(expected)) == expected
        else:
            try:
                expected = oracle.call(numcodecs_decode, config, data)
            except RuntimeError:  # numcodecs' wheels are built without snappy
                assert config["cname"] == "snappy", data_path
                if not array_path.exists():
                    without_oracle += 1
                    continue
                expected = np.load(array_path, allow_pickle=False).tobytes(order="A")
            if array_path.exists() and name not in LOSSY:
                array = np.load(array_path, allow_pickle=False)
                assert expected == array.tobytes(order="A"), data_path
            elif not array_path.exists():
                without_array += 1
            decoded = tool.decode([config], data, len(expected))
            assert decoded == expected, data_path
        passed[f"fixture {name}"] += 1
    print(f"{without_array} fixtures without their array: compared with numcodecs alone; "
          f"{without_oracle} with neither: not compared")


def test_refusals_name_the_codec(tool):
    for name in NOT_READ:
        with pytest.raises(CodecError, match="unknown codec"):
            tool.decode([{"id": name}], b"", 0)


BLOSC = SHARED / "data" / "conformance" / "codec" / "Blosc+c-blosc" / "compat"


@pytest.mark.skipif(not BLOSC.exists(), reason=f"{BLOSC} is not here")
def test_blosc_compatibility_files(tool, oracle):
    for path in sorted(BLOSC.glob("*.cdata")):
        data = path.read_bytes()
        if "snappy" in path.name:  # numcodecs' own blosc is built without snappy
            size = int.from_bytes(data[4:8], "little")
            decoded = tool.decode_unsized([{"id": "blosc"}], data, size)
            assert decoded == np.arange(size // 4, dtype="<i4").tobytes()
        else:
            expected = oracle.call(numcodecs_decode, {"id": "blosc"}, data)
            assert tool.decode([{"id": "blosc"}], data, len(expected)) == expected
        passed["blosc compat files"] += 1
