"""Upwell's codecs against libhdf5: every chunk that libhdf5 writes through a filter decodes to what
libhdf5 itself reads back."""

import itertools
import os

import numpy as np
import pytest
from codec_client import TOOL, Child, CodecError, CodecTool, passed, print_table

h5py = pytest.importorskip("h5py")

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


DEFLATE, SHUFFLE, FLETCHER32, SZIP, NBIT, SCALEOFFSET = 1, 2, 3, 4, 5, 6
EC, NN = 4, 32


def write_and_read(path, data, dtype, chunk, filters, type_bits=None, fill=None):
    """Writes `data` (bytes of a numpy type) with libhdf5 and returns filters as stored and, for each
    chunk, its raw bytes, mask, and the bytes of the same chunk as libhdf5 reads it."""
    if any(f[0] > 255 and f[0] != 32000 for f in filters):
        import hdf5plugin  # noqa: F401  registers the filters
    array = np.frombuffer(data, dtype) if isinstance(data, bytes) else data
    shape = (len(array),)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((chunk,))
    for number, values in filters:
        if number == SCALEOFFSET:
            plist.set_filter(number, 1, tuple(v & 0xFFFFFFFF for v in values))
        elif number == FLETCHER32:
            plist.set_fletcher32()
        elif number == SZIP:
            plist.set_szip(*values)
        else:
            # Optional: what does not compress is stored as it is, with a bit in the mask.
            plist.set_filter(number, 1, values)
    if fill is not None:
        plist.set_fill_value(np.array(fill, dtype))
    tid = file_type(np.dtype(dtype), type_bits)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, b"x", tid, space, plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(array), mtype=None)
    chunks = []
    with h5py.File(path, "r") as file:
        dataset = file["x"].id
        stored = dataset.get_create_plist()
        pipeline = []
        for i in range(stored.get_nfilters()):
            number, _, values, name = stored.get_filter(i)
            pipeline.append({"id": number, "cd_values": [v & 0xFFFFFFFF for v in values],
                             "name": name.decode()})
        back = np.empty(shape, dtype)
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, back, mtype=tid)
        for start in range(0, shape[0], chunk):
            mask, raw = dataset.read_direct_chunk((start,))
            chunks.append((bytes(raw), mask, back[start:start + chunk].tobytes()))
    return pipeline, chunks


def file_type(dtype, bits):
    """The HDF5 type of a numpy type; `bits` (precision, offset) narrows integers, or maps the names
    of compound members to them."""
    if dtype.names:
        compound = h5py.h5t.create(h5py.h5t.COMPOUND, dtype.itemsize)
        for name in dtype.names:
            member, offset = dtype.fields[name][:2]
            compound.insert(name.encode(), offset, file_type(member, (bits or {}).get(name)))
        return compound
    if dtype.subdtype:
        base, shape = dtype.subdtype
        return h5py.h5t.array_create(file_type(base, bits), shape)
    tid = h5py.h5t.py_create(dtype).copy()
    if bits and dtype.kind in "iu":
        tid.set_precision(bits[0])
        tid.set_offset(bits[1])
    return tid


def compare(tool, oracle, tmp_path, name, array, chunk, filters, **more):
    path = os.fspath(tmp_path / "x.h5")
    dtype = array.dtype.descr if array.dtype.names else array.dtype.str
    data = array.tobytes()
    if array.dtype.subdtype or array.ndim > 1:
        dtype, data = (array.dtype.str, array.shape[1:]), data
    elif array.dtype.names:
        dtype = array.dtype
    try:
        pipeline, chunks = oracle.call(write_and_read, path, data, dtype, chunk, filters,
                                       *(more.get(k) for k in ("type_bits", "fill")))
    except ValueError as error:
        if "unusual datatype" not in str(error):
            raise
        passed["(types that libhdf5 2 no longer writes)"] += 1
        return
    item = np.dtype(dtype).itemsize
    for raw, mask, expected in chunks:
        decoded = tool.decode_hdf5(pipeline, raw, chunk * item, item, mask)
        # The last chunk is stored whole; libhdf5 reads the part inside the array.
        assert decoded[:len(expected)] == expected, (name, pipeline, array.dtype, len(array), mask)
        if mask == 0 and len(raw) > 8:
            for cut in (0, 1, len(raw) // 2):
                try:
                    tool.decode_hdf5(pipeline, raw[:cut], chunk * item, item, 0)
                except CodecError:
                    continue
                # Whole scan lines or padding may be missing without harm only in the tail.
                assert cut > 1 or chunk * item <= 8, (name, pipeline, cut)
        passed[name] += 1


INTEGERS = [order + kind + size for order in "<>" for kind in "iu" for size in "1248"]
FLOATS = ["<f4", ">f4", "<f8", ">f8"]


def values(dtype, count, seed=1):
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.integers(-2, 3, count)) + 40
    if np.dtype(dtype).kind == "f":
        return (steps + random.integers(0, 100, count) / 100).astype(dtype)
    return (steps % 100).astype(dtype)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_the_common_filters(tool, oracle, tmp_path, dtype):
    pipelines = [
        [(DEFLATE, (4,))],
        [(SHUFFLE, ())],
        [(FLETCHER32, ())],
        [(SHUFFLE, ()), (DEFLATE, (6,))],
        [(SHUFFLE, ()), (DEFLATE, (1,)), (FLETCHER32, ())],
        [(DEFLATE, (1,)), (DEFLATE, (9,))],
        [(32000, ())],
        [(SHUFFLE, ()), (32000, ()), (FLETCHER32, ())],
    ]
    for filters, (count, chunk) in itertools.product(pipelines, [(1, 1), (7, 3), (5000, 1999)]):
        name = "+".join(str(f[0]) for f in filters)
        compare(tool, oracle, tmp_path, f"HDF5 {name}", values(dtype, count), chunk, filters)


@pytest.mark.parametrize("size", [3, 5, 7, 12])
def test_shuffle_of_odd_elements(tool, oracle, tmp_path, size):
    array = np.frombuffer(np.random.default_rng(2).bytes(size * 1001), f"V{size}")
    for chunk in (1, 100, 1001):
        compare(tool, oracle, tmp_path, "HDF5 2", array, chunk, [(SHUFFLE, ())])


@pytest.mark.parametrize("dtype", [t for t in INTEGERS if t[0] == "<" or t[2] != "1"] + FLOATS)
@pytest.mark.parametrize("mask", [EC, NN, NN | EC])
def test_szip(tool, oracle, tmp_path, dtype, mask):
    for block in (2, 4, 8, 10, 16, 30, 32):
        for count, chunk in [(64, 32), (1000, 1000), (1000, 333), (9000, 8999)]:
            compare(tool, oracle, tmp_path, "HDF5 4 szip", values(dtype, count), chunk,
                    [(SZIP, (mask, block))])
    random = np.frombuffer(np.random.default_rng(3).bytes(4000 * np.dtype(dtype).itemsize), dtype)
    compare(tool, oracle, tmp_path, "HDF5 4 szip", random, 1000, [(SZIP, (mask, 16))])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_scaleoffset_of_integers(tool, oracle, tmp_path, dtype):
    bits = np.dtype(dtype).itemsize * 8
    info = np.iinfo(dtype)
    for factor in sorted({0, 3, bits - 1, bits}):
        for fill in (None, 5, int(info.max), int(info.min)):
            for array in (values(dtype, 1000), np.full(100, 7, dtype),
                          np.array([info.min, info.max, 5, 5, 0, 1], dtype),
                          np.array([info.max - 1, info.max - 3], dtype)):
                compare(tool, oracle, tmp_path, "HDF5 6 scaleoffset integer", array,
                        max(1, len(array) // 3), [(SCALEOFFSET, (2, factor))], fill=fill)


@pytest.mark.parametrize("dtype", FLOATS)
def test_scaleoffset_of_floats(tool, oracle, tmp_path, dtype):
    for factor in (-2, 0, 1, 3, 5):
        for fill in (None, -999.25):
            with_fill = values(dtype, 1000)
            with_fill[::7] = -999.25
            for array in (values(dtype, 1000), with_fill, np.full(50, 3.25, dtype),
                          np.array([1e30, -1e30, 3], dtype)):
                compare(tool, oracle, tmp_path, "HDF5 6 scaleoffset float", array,
                        max(1, len(array) // 3), [(SCALEOFFSET, (0, factor))], fill=fill)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_nbit_of_integers(tool, oracle, tmp_path, dtype):
    size = np.dtype(dtype).itemsize * 8
    random = np.frombuffer(np.random.default_rng(4).bytes(999 * size // 8), dtype)
    for precision in sorted({1, 3, 5, 8, 9, 15, 17, 31, 33, size - 1, size}):
        for offset in sorted({0, 1, 4, 7, 8, size - precision}):
            if 0 < precision and precision + offset <= size and offset >= 0:
                # The memory type is the file type, so that no conversion hides the padding.
                compare(tool, oracle, tmp_path, "HDF5 5 nbit integer", random, 250, [(NBIT, ())],
                        type_bits=(precision, offset))


def test_nbit_of_nested_types(tool, oracle, tmp_path):
    inner = np.dtype([("p", "<i2"), ("q", "S3"), ("r", ">u4")])
    types = [
        (np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "u1")]), {"a": (20, 3), "c": (5, 1)}),
        (np.dtype([("a", "<i4", (3,)), ("s", "S5"), ("b", ">u2")]), {"a": (17, 0), "b": (11, 5)}),
        # The array of compounds is last: libhdf5 (to 2.0) cannot read back what it writes of a
        # member behind one.
        (np.dtype([("x", inner), ("z", "<i8"), ("y", inner, (2,))]),
         {"x": {"p": (9, 2), "r": (21, 11)}, "y": {"p": (13, 0)}, "z": (40, 7)}),
        (np.dtype([("a", "<i4", (2, 3)), ("n", "S7", (2,))]), {"a": (9, 9)}),
    ]
    for dtype, bits in types:
        array = np.frombuffer(np.random.default_rng(6).bytes(200 * dtype.itemsize), dtype)
        compare(tool, oracle, tmp_path, "HDF5 5 nbit compound and array", array, 64, [(NBIT, ())],
                type_bits=bits)


PLUGINS = [
    (32004, (0,)), (32004, (64,)), (32004, (1 << 20,)),
    (32008, (0, 0)), (32008, (0, 2)), (32008, (0, 3, 5)), (32008, (64, 0)), (32008, (256, 2)),
    (32008, (1024, 3, 5)),
    (32015, (3,)), (32015, (19,)), (307, (9,)), (307, (1,)),
] + [(32001, (0, 0, 0, 0, level, shuffle, compressor))
     for level in (0, 5) for shuffle in (0, 1, 2) for compressor in (0, 1, 2, 4, 5)]


@pytest.mark.parametrize("number,options", PLUGINS)
def test_registered_filters(tool, oracle, tmp_path, number, options):
    pytest.importorskip("hdf5plugin")
    for dtype in ("u1", "<i2", ">i4", "<f4", "<f8"):
        for count, chunk in [(1, 1), (100, 7), (100, 13), (5000, 1999), (40_000, 40_000)]:
            random = np.frombuffer(
                np.random.default_rng(8).bytes(count * np.dtype(dtype).itemsize), dtype)
            for array in (values(dtype, count), random):
                compare(tool, oracle, tmp_path, f"HDF5 {number}", array, chunk,
                        [(number, options)])


def test_skipped_steps_are_marked_in_the_mask(tool, oracle, tmp_path):
    """libhdf5 leaves out an optional filter that fails; here, lzf of random bytes."""
    random = np.frombuffer(np.random.default_rng(10).bytes(8000), "u1")
    path = os.fspath(tmp_path / "x.h5")
    filters = [(SHUFFLE, ()), (32000, ()), (FLETCHER32, ())]
    pipeline, chunks = oracle.call(write_optional, path, random.tobytes(), filters)
    assert any(mask & 2 for _, mask, _ in chunks)
    for raw, mask, expected in chunks:
        assert tool.decode_hdf5(pipeline, raw, len(expected), 1, mask) == expected
        passed["HDF5 filter mask"] += 1


def write_optional(path, data, filters):
    array = np.frombuffer(data, "u1")
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    for number, options in filters:
        plist.set_filter(number, 1, options)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(array.shape)
        dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_U8LE, space, plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
    with h5py.File(path, "r") as file:
        dataset = file["x"].id
        stored = dataset.get_create_plist()
        pipeline = [{"id": f[0], "cd_values": list(f[2])}
                    for f in (stored.get_filter(i) for i in range(stored.get_nfilters()))]
        chunks = []
        for start in range(0, len(array), 1000):
            mask, raw = dataset.read_direct_chunk((start,))
            chunks.append((bytes(raw), mask, file["x"][start:start + 1000].tobytes()))
    return pipeline, chunks


def test_an_unknown_filter_is_named(tool):
    with pytest.raises(CodecError, match='HDF5 filter 32013 "H5Z-ZFP" is not read'):
        tool.decode_hdf5([{"id": 32013, "cd_values": [], "name": "H5Z-ZFP"}], b"", 0)
