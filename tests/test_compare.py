"""upwell compare: finds every difference that netCDF4 and NumPy make, and none where there is none."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

from http_servers import serving_files
from test_granules import CONFIG, ECCO, ecco, ecco_task, needs_ecco, produce  # noqa: F401
from test_mds import write_pair
from test_virtualize import UPWELL, virtualize

SHAPE = (4, 30, 50)
VALUES = np.random.default_rng(7).normal(size=SHAPE).astype("f4")


def run(*arguments, status=0, text=False):
    command = [UPWELL, "compare", *map(str, arguments), *([] if text else ["--json", "-q"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{command}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
    if text or not done.stdout:
        return done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["same"] == (status == 0)
    return report


def found(report):
    return {(d["path"], d["kind"]) for pair in report["pairs"] for d in pair["differences"]}


def values_of(report, path="v"):
    pair, = report["pairs"]
    return next(d["values"] for d in pair["differences"] if d["path"] == path and d["kind"] == "values")


def write(path, values=VALUES, *, form="NETCDF4", kind="f4", fill=-9, chunks=(1, 10, 25), deflate=4, shuffle=True, order=("v", "w"),
          endian="native", units="m", unit_type=str, axes=("time", "y", "x"), unlimited=True, epoch="days since 2000-01-01",
          times=None, title="A title", more=None, extra=None, number=np.float32(1.5), edit=None):
    """A granule in which each option is one difference."""
    flat = form != "NETCDF4"
    with netCDF4.Dataset(path, "w", format=form) as f:
        f.set_auto_maskandscale(False)
        f.title, f.date_created, f.uuid = title, str(path), str(path)
        for name, value in (more or {}).items():
            f.setncattr(name, value)
        sizes = dict(time=values.shape[0], y=30, x=50)
        for name in ("time", "y", "x"):
            f.createDimension(name, None if name == "time" and unlimited else sizes[name])
        f.createVariable("time", "f8", ("time",)).units = epoch
        f["time"][:] = np.arange(values.shape[0]) if times is None else times
        f.createVariable("y", "f4", ("y",))[:] = np.arange(30) / 2
        options = {} if flat else dict(zlib=deflate > 0, complevel=deflate or 4, shuffle=shuffle and deflate > 0, endian=endian,
                                       chunksizes=chunks, contiguous=chunks is None)
        for name in order:
            v = f.createVariable(name, kind, axes, fill_value=fill, **options)
            if unit_type is str:
                v.units = units
            else:
                v.setncattr_string("units", units)
            v.number = number
            v[:] = values
        if not flat:
            group = f.createGroup("deep")
            group.note = "inside"
            group.createVariable("names", str, ("y",))[:] = np.array([f"station {i}" for i in range(30)], object)
        if extra:
            f.createVariable(extra, "i2", ("y",))[:] = 1
        if edit:
            edit(f)
    return path


def changed(index, value, values=VALUES):
    out = values.copy()
    out[index] = value
    return out


def rename_station(f):
    f["deep/names"][7] = "elsewhere"


def change_note(f):
    f["deep"].note = "within"


EVERYTHING = {("v", "values"), ("w", "values")}
DIFFERENCES = {
    "one value": (dict(values=changed((2, 3, 4), 5)), EVERYTHING),
    "a nan": (dict(values=changed((2, 3, 4), np.nan)), EVERYTHING),
    "a fill": (dict(values=changed((0, 0, 0), -9)), EVERYTHING),
    "chunks": (dict(chunks=(1, 7, 50)), {("v", "encoding"), ("w", "encoding")}),
    "contiguous": (dict(chunks=None, deflate=0, unlimited=False),
                   {("v", "encoding"), ("w", "encoding"), ("time", "dimension"), ("time", "encoding")}),
    "level": (dict(deflate=5), {("v", "encoding"), ("w", "encoding")}),
    "shuffle": (dict(shuffle=False), {("v", "encoding"), ("w", "encoding")}),
    "byte order": (dict(endian="big"), {("v", "encoding"), ("w", "encoding")}),
    "fill": (dict(fill=-8), {("v", "encoding"), ("w", "encoding"), ("v:_FillValue", "attribute"), ("w:_FillValue", "attribute")}),
    "type": (dict(kind="f8"), {(v, k) for v in "vw" for k in ("type", "encoding")} | {("v:_FillValue", "attribute"),
                                                                                    ("w:_FillValue", "attribute")}),
    "order of variables": (dict(order=("w", "v")), {("", "order")}),
    "a missing variable": (dict(order=("v",)), {("w", "variable")}),
    "a new variable": (dict(extra="u"), {("u", "variable")}),
    "text of an attribute": (dict(units="cm"), {("v:units", "attribute"), ("w:units", "attribute")}),
    "type of text": (dict(unit_type="string"), {("v:units", "attribute"), ("w:units", "attribute")}),
    "type of a number": (dict(number=1.5), {("v:number", "attribute"), ("w:number", "attribute")}),
    "more numbers": (dict(number=np.float32([1.5, 2])), {("v:number", "attribute"), ("w:number", "attribute")}),
    "a new attribute": (dict(more={"source": "x"}), {(":source", "attribute")}),
    "a global attribute": (dict(title="Another title"), {(":title", "attribute")}),
    "order of dimensions": (dict(axes=("time", "x", "y"), values=VALUES, chunks=(1, 25, 10)),
                            {(v, k) for v in "vw" for k in ("dimensions", "encoding")}),
    "unlimited": (dict(unlimited=False), {("time", "dimension"), ("time", "encoding")}),
    "another epoch": (dict(epoch="days since 2000-01-02"), {("time:units", "attribute"), ("time", "values")}),
    "a string": (dict(edit=rename_station), {("deep/names", "values")}),
    "an attribute of a group": (dict(edit=change_note), {("deep:note", "attribute")}),
    "a longer record": (dict(values=np.concatenate([VALUES, VALUES[:1]])),
                        {("time", "dimension"), ("time", "dimensions"), ("v", "dimensions"), ("w", "dimensions")}),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_found_and_no_other(tmp_path, name):
    changes, expected = DIFFERENCES[name]
    values = changes.get("values", VALUES)
    if name == "order of dimensions":
        changes = {**changes, "values": values.transpose(0, 2, 1)}
    first, second = write(tmp_path / "first.nc"), write(tmp_path / "second.nc", **changes)
    assert found(run(first, second, status=1)) == expected
    back = found(run(second, first, status=1))
    assert back == expected
    kinds = {kind for _, kind in expected}
    text = run(first, second, status=1, text=True)
    assert all(path in text and kind in text for path, kind in expected) and "different" in text
    if kinds == {"encoding"}:
        run(first, second, "--ignore-encoding")
    if kinds == {"order"}:
        run(first, second, "--ignore-order")
    if kinds == {"attribute"}:
        run(first, second, *[o for path, _ in expected for o in ("--ignore", path)])
        run(first, second, *[o for path, _ in expected for o in ("--ignore", path[path.rindex(":") + 1:])])
    if kinds == {"values"} and "v" in {path for path, _ in expected}:
        run(first, second, "--drop", "v,w")


def test_what_may_differ(tmp_path):
    first, second = write(tmp_path / "first.nc"), write(tmp_path / "second.nc")
    report = run(first, second)
    assert report["pairs"][0]["variables"] == 5 and report["pairs"][0]["bytes"] > 2 * VALUES.nbytes
    assert found(run(first, second, "--all-attributes", status=1)) == {(":date_created", "attribute"), (":uuid", "attribute")}
    assert "are the same" in run(first, second, text=True)
    moved = write(tmp_path / "third.nc", more={"history": "today"})
    assert found(run(first, moved, status=1)) == {(":history", "attribute")}
    run(first, moved, "--ignore", "hist*")


def test_order_of_attributes(tmp_path):
    paths = []
    for order in ("abc", "bac"):
        paths.append(tmp_path / f"{order}.nc")
        with netCDF4.Dataset(paths[-1], "w") as f:
            for name in order:
                f.setncattr(name, 1)
    report = run(*paths, status=1)
    assert found(report) == {("", "order")} and "a comes first, b in the second" in report["pairs"][0]["differences"][0]["message"]
    run(*paths, "--ignore-order")


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "u4", "i8", "u8"])
def test_counts_and_places_are_numpys(tmp_path, kind):
    rng = np.random.default_rng(1)
    a = (rng.normal(size=SHAPE) * 1000).astype(kind) if kind[0] != "u" else rng.integers(1, 2**31, SHAPE).astype(kind)
    b = a.copy()
    at = tuple(rng.integers(0, n, 40) for n in SHAPE)
    b[at] += rng.integers(1, 50, 40).astype(kind)
    fill = np.array(7777).astype(kind)[()]
    a[0, 0, :4], b[0, 0, :4] = fill, [fill, fill, 1, 2]
    if kind[0] == "f":
        a[1, 1, :3], b[1, 1, :3] = np.nan, [np.nan, 1, np.nan]
    if kind in ("i8", "u8"):  # doubles do not tell these apart
        a[3, 3, 3] = np.iinfo(kind).max
        b[3, 3, 3] = np.iinfo(kind).max - 1
    paths = [write(tmp_path / f"{i}.nc", v, kind=kind, fill=fill, chunks=c) for i, (v, c) in
             enumerate([(a, (1, 10, 25)), (b, (3, 7, 13))])]
    for memory in ("1GB", "300KB"):
        said = values_of(run(*paths, "--ignore-encoding", "--places", 1000, "--memory", memory, status=1))
        missing = [(x == fill) | np.isnan(x) if kind[0] == "f" else x == fill for x in (a, b)]
        differ = (a != b) & ~(missing[0] & missing[1])
        assert (said["elements"], said["differing"]) == (a.size, differ.sum())
        assert said["missing_in_one"] == (missing[0] != missing[1]).sum()
        assert [tuple(p["index"]) for p in said["places"]] == list(zip(*np.nonzero(differ)))
        both = differ & ~missing[0] & ~missing[1]
        big, small = np.maximum(a, b), np.minimum(a, b)
        distance = np.where(both, (big - small).astype("f8") if kind[0] != "f" else abs(a.astype("f8") - b), -1)
        assert said["largest_absolute"]["difference"] == distance.max()
        assert tuple(said["largest_absolute"]["index"]) == np.unravel_index(distance.argmax(), SHAPE)
        with np.errstate(all="ignore"):
            relative = np.where(both, distance / np.maximum(abs(a.astype("f8")), abs(b.astype("f8"))), -1)
        assert said["largest_relative"]["difference"] == pytest.approx(relative.max(), rel=1e-12)
        assert tuple(said["largest_relative"]["index"]) == np.unravel_index(relative.argmax(), SHAPE)


@pytest.mark.parametrize("options", [("--tolerance", 0.3), ("--rtol", 0.1), ("--tolerance", 0.05, "--rtol", 0.2)])
def test_tolerances_are_those_of_isclose(tmp_path, options):
    """math.isclose, not numpy's: the larger of both is what a difference is relative to."""
    noise = np.random.default_rng(2).normal(scale=0.2, size=SHAPE).astype("f4")
    a, b = VALUES, (VALUES + noise).astype("f4")
    b[0, 0, 0], b[0, 0, 1] = np.inf, np.nan
    chosen = dict(zip(options[::2], options[1::2]))
    x, y = a.astype("f8"), b.astype("f8")
    with np.errstate(invalid="ignore"):
        near = abs(x - y) <= np.maximum(chosen.get("--tolerance", 0), chosen.get("--rtol", 0) * np.maximum(abs(x), abs(y)))
    near &= np.isfinite(y)
    paths = [write(tmp_path / f"{i}.nc", v) for i, v in enumerate([a, b])]
    said = values_of(run(*paths, *options, status=1))
    assert said["differing"] == (~near & (a != b)).sum() and said["missing_in_one"] == 1
    assert said["largest_absolute"]["index"] == [0, 0, 0] and said["largest_absolute"]["difference"] is None
    close = write(tmp_path / "close.nc", (a * np.float32(1 + 1e-6)).astype("f4"))
    run(paths[0], close, "--rtol", 2e-6)


@pytest.mark.parametrize("options, near", [((), False), (("--rtol", 1e-5), True), (("--atol", 1e-4), True), (("--rtol", 1e-8), False)])
def test_tolerances_reach_the_range_of_values(tmp_path, options, near):
    """valid_min and the like follow from the values; other attributes are what somebody wrote."""
    def ranges(factor, offset=0):
        def edit(f):
            f["v"].valid_min, f["v"].valid_max = np.float32(-4 * factor), np.float32(4 * factor)
            f["v"].valid_range = np.float32([-4 * factor, 4 * factor])
            f["w"].actual_range = np.float64([-4 * factor, 4 * factor])
            f["w"].scale_height = np.float64(7 + offset)
        return edit

    first = write(tmp_path / "a.nc", edit=ranges(1))
    derived = {("v:valid_min", "attribute"), ("v:valid_max", "attribute"), ("v:valid_range", "attribute"),
               ("w:actual_range", "attribute")}
    report = run(first, write(tmp_path / "b.nc", edit=ranges(1 + 1e-6)), *options, status=0 if near else 1)
    assert found(report) == (set() if near else derived)
    other = run(first, write(tmp_path / "c.nc", edit=ranges(1, 1e-6)), *options, status=1)
    assert found(other) == {("w:scale_height", "attribute")}


def test_bits(tmp_path):
    nan = np.array([0x7fc00001], "u4").view("f4")[0]
    first = write(tmp_path / "a.nc", changed((0, 0, 0), np.nan, changed((0, 0, 1), 0.0)))
    second = write(tmp_path / "b.nc", changed((0, 0, 0), nan, changed((0, 0, 1), -0.0)))
    run(first, second)
    said = values_of(run(first, second, "--bitwise", status=1))
    assert said["differing"] == 2 and "0x7fc00001" in said["places"][0]["second"]


def test_the_fill_of_one_is_the_fill_of_the_other(tmp_path):
    first = write(tmp_path / "a.nc", changed((1, 1), -9), fill=-9)
    second = write(tmp_path / "b.nc", changed((1, 1), 1e20), fill=np.float32(1e20))
    assert not found(run(first, second, status=1)) & EVERYTHING
    assert values_of(run(first, second, "--bitwise", status=1))["differing"] == 50


@pytest.mark.parametrize("kind", ["i2", "u1", "i8", "f4", "f8"])
@pytest.mark.parametrize("attribute", ["_FillValue", "missing_value"])
def test_equal_bytes_that_are_missing_in_one(tmp_path, kind, attribute):
    """What differs is what readers get: the bytes are the same."""
    values = np.random.default_rng(4).integers(0, 5, SHAPE).astype(kind)
    paths = []
    for i, missing in enumerate((3, 4)):
        paths.append(tmp_path / f"{i}.nc")
        with netCDF4.Dataset(paths[-1], "w") as f:
            for name, size in zip("tyx", SHAPE):
                f.createDimension(name, size)
            v = f.createVariable("v", kind, tuple("tyx"), fill_value=missing if attribute == "_FillValue" else None)
            v.set_auto_maskandscale(False)
            if attribute != "_FillValue":
                v.missing_value = np.dtype(kind).type(missing)
            v[:] = values
    report = run(*paths, "--ignore-encoding", "--ignore", attribute, status=1)
    assert found(report) == {("v", "values")}
    said = values_of(report)
    assert said["differing"] == said["missing_in_one"] == ((values == 3) | (values == 4)).sum()
    place = said["places"][0]
    value = values[tuple(place["index"])]
    assert (place["first"], place["second"]) == ((f"{value:g} (missing)", f"{value:g}") if value == 3 else (f"{value:g}", f"{value:g} (missing)"))
    assert found(run(*paths, "--ignore-encoding", status=1)) == {("v", "values"), (f"v:{attribute}", "attribute")}
    run(*paths, "--ignore-encoding", "--ignore", attribute, "--bitwise")


def test_equal_bytes_that_are_unsigned_in_one(tmp_path):
    def granule(name, values, unsigned=None, fill=None):
        with netCDF4.Dataset(tmp_path / name, "w") as f:
            f.createDimension("x", len(values))
            v = f.createVariable("v", values.dtype, ("x",), fill_value=fill)
            v.set_auto_maskandscale(False)
            if unsigned:
                v.setncattr("_Unsigned", unsigned)
            v[:] = values
        return tmp_path / name

    options = ("--ignore-encoding", "--ignore", "_Unsigned", "--ignore", "_FillValue")
    for kind in ("i1", "i2", "i4"):
        values = np.array([5, -3, 7, -1, 0], kind)
        signed = granule("a.nc", values)
        unsigned = granule("b.nc", values, "true")
        said = values_of(run(signed, unsigned, *options, status=1))
        assert said["differing"] == 2 and [p["index"] for p in said["places"]] == [[1], [3]]
        assert said["places"][0]["second"] == str(values.view(kind.replace("i", "u"))[1])
        run(unsigned, granule("c.nc", values, "true"), *options)
        # The fill value is written as the type has it; the reader sees another number.
        said = values_of(run(unsigned, granule("d.nc", values, "true", fill=-1), *options, status=1))
        assert said["differing"] == said["missing_in_one"] == 1 and said["places"][0]["index"] == [3]
    # No type holds both; it is a difference all the same.
    wide = np.array([5, -3], "i8")
    report = run(granule("a.nc", wide), granule("b.nc", wide, "true"), *options, status=1)
    assert found(report) == {("v", "values")} and "does not fit" in report["pairs"][0]["differences"][0]["message"]
    # The same numbers in two ways.
    report = run(granule("a.nc", np.array([5, 250], "u1")), granule("b.nc", np.array([5, -6], "i1"), "true"), *options, status=1)
    assert found(report) == {("v", "type")}


def test_times_and_packing_mean_the_same(tmp_path):
    first = write(tmp_path / "a.nc")
    second = write(tmp_path / "b.nc", epoch="hours since 2000-01-01", times=np.arange(4) * 24)
    assert found(run(first, second, status=1)) == {("time:units", "attribute")}
    packed = []
    for i, scale in enumerate((0.5, 0.25)):
        packed.append(tmp_path / f"p{i}.nc")
        with netCDF4.Dataset(packed[-1], "w") as f:
            f.createDimension("x", 9)
            v = f.createVariable("v", "i2", ("x",))
            v.scale_factor = scale
            v[:] = np.arange(9)
    assert found(run(*packed, status=1)) == {("v:scale_factor", "attribute")}


def test_compounds_enums_and_ragged_sequences(tmp_path):
    kind = np.dtype([("a", "i4"), ("b", "f8", (2,))])
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.h5")
        with h5py.File(paths[-1], "w") as f:
            rows = np.zeros(20, kind)
            rows["a"] = np.arange(20)
            rows["b"][13, 1] = i == 1
            f.create_dataset("rows", data=rows, chunks=(6,))
            ragged = f.create_dataset("ragged", (5,), h5py.vlen_dtype("i4"))
            for k in range(5):
                ragged[k] = np.arange(k + 1) + (i == 1 and k == 4)
            f.create_dataset("enum", data=np.arange(3, dtype="u1"), dtype=h5py.enum_dtype({"x": 0, "y": 1, "z": 2}, "u1"))
    run(paths[0], paths[2])
    report = run(paths[0], paths[1], status=1)
    assert found(report) == {("rows", "values"), ("ragged", "values")}
    assert [p["index"] for p in values_of(report, "rows")["places"]] == [[13]]


def test_places_have_coordinates(tmp_path):
    first, second = write(tmp_path / "a.nc"), write(tmp_path / "b.nc", changed((2, 3, 4), 5))
    place, = values_of(run(first, second, status=1))["places"]
    assert place["coordinates"] == "time=2000-01-03T00:00:00, y=1.5"
    text = run(first, second, status=1, text=True)
    assert "[2, 3, 4] (time=2000-01-03T00:00:00, y=1.5)" in text and "1 of 6000 differ" in text


def test_in_little_memory(tmp_path):
    """Two granules of 80 MB each, whose chunks do not fit each other."""
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for path, chunks in zip(paths, [(1, 500, 500), (20, 100, 100)]):
        with netCDF4.Dataset(path, "w") as f:
            for name, size in (("t", 20), ("y", 1000), ("x", 1000)):
                f.createDimension(name, size)
            v = f.createVariable("v", "f4", ("t", "y", "x"), zlib=True, complevel=1, chunksizes=chunks)
            v[:] = np.broadcast_to(np.arange(20, dtype="f4")[:, None, None], v.shape)
    # A process of its own: a child counts what its parent had when it was forked.
    measure = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", measure, UPWELL, "compare", *paths, "--ignore-encoding", "-q", "--memory", "20MB"],
                          capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 60_000, done.stdout  # kB


def test_a_chunk_that_memory_does_not_hold(tmp_path):
    """It is decoded as a whole: said, where it went beyond what --memory allows. In trees large ones go one at a time."""
    trees = [tmp_path / "a", tmp_path / "b"]
    for tree in trees:
        tree.mkdir()
        for name in ("1.nc", "2.nc", "3.nc", "4.nc"):
            with netCDF4.Dataset(tree / name, "w") as f:
                f.createDimension("x", 2_000_000)
                f.createVariable("v", "f4", ("x",), zlib=True, complevel=1, chunksizes=(2_000_000,))[:] = 1
    said = run(trees[0] / "1.nc", trees[1] / "1.nc", "--memory", "20MB", status=64, text=True)
    assert "v: a chunk is decoded as a whole, and comparing it needs 6" in said and "MB, more than the 20 MB" in said, said
    assert "1.nc" in run(*trees, "--memory", "20MB", status=64, text=True)
    report = run(*trees, "--memory", "70MB")
    assert [pair["variables"] for pair in report["pairs"]] == [1, 1, 1, 1]


# --- Other forms ------------------------------------------------------------------------------------------------------

@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "plain.nc", form="NETCDF3_CLASSIC"), write(tmp_path / "other.nc", changed((2, 3, 4), 5), form="NETCDF3_CLASSIC")


def test_netcdf3_and_the_same_in_netcdf4(tmp_path, plain):
    with netCDF4.Dataset(plain[0]) as f, netCDF4.Dataset(tmp_path / "four.nc", "w") as g:
        f.set_auto_maskandscale(False)
        g.set_auto_maskandscale(False)
        g.setncatts({name: f.getncattr(name) for name in f.ncattrs()})
        for name, d in f.dimensions.items():
            g.createDimension(name, None if d.isunlimited() else len(d))
        for name, v in f.variables.items():
            fill = v.getncattr("_FillValue") if "_FillValue" in v.ncattrs() else None
            w = g.createVariable(name, v.dtype, v.dimensions, fill_value=fill)
            w.setncatts({a: v.getncattr(a) for a in v.ncattrs() if a != "_FillValue"})
            w[:] = v[:]
    run(plain[0], tmp_path / "four.nc", "--ignore-encoding")
    assert ("v", "encoding") in found(run(plain[0], tmp_path / "four.nc", status=1))
    assert found(run(tmp_path / "four.nc", plain[1], "--ignore-encoding", status=1)) == EVERYTHING


@pytest.mark.parametrize("name", ["cube.json", "cube.parq", "cube.upwell"])
def test_a_reference_set_and_its_granule(tmp_path, name):
    granule, other = write(tmp_path / "a.nc"), write(tmp_path / "b.nc", changed((2, 3, 4), 5))
    virtualize(granule, "-o", tmp_path / name, "-q")
    run(granule, tmp_path / name, "--ignore-encoding")
    assert found(run(tmp_path / name, other, "--ignore-encoding", status=1)) == EVERYTHING


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_stores(tmp_path, version):
    import zarr
    stores = []
    for i, (values, chunks) in enumerate([(VALUES, (1, 10, 25)), (VALUES, (4, 7, 50)), (changed((3, 2, 1), 4), (1, 10, 25))]):
        stores.append(tmp_path / f"s{i}.zarr")
        group = zarr.open_group(str(stores[-1]), mode="w", zarr_format=version)
        group.attrs["title"] = "x"
        array = group.create_array("v", shape=values.shape, chunks=chunks, dtype="f4")
        array[:] = values
    run(stores[0], stores[0])
    assert found(run(stores[0], stores[1], status=1)) == {("v", "encoding")}
    assert values_of(run(stores[0], stores[2], status=1))["places"][0]["index"] == [3, 2, 1]


def test_raw_mitgcm_output(tmp_path):
    for name, values in (("a", VALUES), ("b", changed((1, 2, 3), 9))):
        (tmp_path / name).mkdir()
        write_pair(tmp_path / name / "T.0000000732", values, step=732, fields=["T"])
    run(tmp_path / "a", tmp_path / "a")
    report = run(tmp_path / "a/T.0000000732.meta", tmp_path / "b/T.0000000732.data", status=1)
    difference, = report["pairs"][0]["differences"]
    assert difference["kind"] == "values" and difference["values"]["differing"] == 1


def test_over_http(tmp_path):
    first, second = write(tmp_path / "a.nc"), write(tmp_path / "b.nc", changed((2, 3, 4), 5))
    with serving_files(tmp_path) as url:
        run(first, f"{url}/a.nc")
        assert found(run(f"{url}/a.nc", second, status=1)) == EVERYTHING
        assert "not found" in run(first, f"{url}/c.nc", status=66)


# --- Trees ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def trees(tmp_path):
    for tree in "ab":
        (tmp_path / tree / "deep").mkdir(parents=True)
        for name in ("one.nc", "deep/two.nc"):
            write(tmp_path / tree / name)
            digest = subprocess.run(["sha256sum", name], cwd=tmp_path / tree, capture_output=True, text=True).stdout
            (tmp_path / tree / f"{name}.sha256").write_text(digest)
        (tmp_path / tree / "README.txt").write_text("the same")
        (tmp_path / tree / ".receipts").mkdir()
        (tmp_path / tree / ".receipts/one.nc.json").write_text(tree)
    return tmp_path / "a", tmp_path / "b"


def test_trees(trees):
    a, b = trees
    report = run(a, b)
    assert [pair["name"] for pair in report["pairs"]] == ["README.txt", "deep/two.nc", "one.nc"]
    assert [pair["as_bytes"] for pair in report["pairs"]] == [True, False, False]
    text = run(a, b, text=True)
    assert "are the same" in text and "3 files, 10 variables" in text
    write(b / "deep/two.nc", changed((0, 1, 2), 3), title="Other")
    write(a / "only.nc")
    shutil.copytree(a / "deep", b / "new")
    (b / "README.txt").write_text("the SAME")
    report = run(a, b, status=1)
    assert report["only_in_first"] == ["only.nc"] and report["only_in_second"] == ["new/two.nc"]
    assert found(report) == EVERYTHING | {(":title", "attribute"), ("", "bytes")}
    text = run(a, b, status=1, text=True)
    assert "only in the first:\n  only.nc" in text and "differ from byte 4 on" in text and "2 of 3 files differ" in text
    assert found(run(a, b, "--only", "one.nc", "--only", "deep/*", status=1)) == EVERYTHING | {(":title", "attribute")}
    run(a, b, "--only", "one.nc")
    assert run(a, b, "--only", "*.txt", status=1)["only_in_first"] == []


def test_trees_by_relative_paths(trees, monkeypatch):
    monkeypatch.chdir(trees[0].parent)
    assert [pair["name"] for pair in run("a", "b/")["pairs"]] == ["README.txt", "deep/two.nc", "one.nc"]


def test_nothing_to_compare_is_an_error(trees):
    assert "--only" in run(*trees, "--only", "*.nope", status=64)


def test_trees_with_stores_in_them(tmp_path):
    for tree in "ab":
        (tmp_path / tree).mkdir()
        granule = write(tmp_path / tree / "g.nc")
        virtualize(granule, "-o", tmp_path / tree / "g.parq", "-q")
        virtualize(granule, "-o", tmp_path / tree / "g.upwell", "-q")
    report = run(tmp_path / "a", tmp_path / "b")
    assert [pair["name"] for pair in report["pairs"]] == ["g.nc", "g.parq", "g.upwell"]


def test_what_cannot_be_compared(tmp_path):
    good = write(tmp_path / "a.nc")
    assert "no such file" in run(good, tmp_path / "none.nc", status=66)
    (tmp_path / "tree").mkdir()
    shutil.copy(good, tmp_path / "tree/a.nc")
    assert "is a directory" in run(good, tmp_path / "tree", status=64)
    cut = tmp_path / "cut.nc"
    cut.write_bytes(good.read_bytes()[:-len(good.read_bytes()) // 3])
    run(good, cut, status=65)
    # In trees: the others are compared all the same.
    shutil.copytree(tmp_path / "tree", tmp_path / "broken")
    shutil.copy(cut, tmp_path / "broken/a.nc")
    write(tmp_path / "tree/b.nc")
    write(tmp_path / "broken/b.nc", title="Other")
    report = run(tmp_path / "tree", tmp_path / "broken", status=65)
    assert found(report) >= {(":title", "attribute")} and any(kind == "unreadable" for _, kind in found(report))


def test_a_chunk_that_is_broken_is_no_difference(tmp_path):
    good = write(tmp_path / "a.nc")
    bad = tmp_path / "b.nc"
    shutil.copy(good, bad)
    with h5py.File(good) as f:
        chunk = f["v"].id.get_chunk_info(3)
    with open(bad, "r+b") as f:
        f.seek(chunk.byte_offset)
        f.write(b"\0" * 16)
    assert found(run(good, bad, status=65)) == {("v", "unreadable")}


# --- The real thing ---------------------------------------------------------------------------------------------------

@needs_ecco
def test_granules_of_jpl_and_of_the_python_pipeline(ecco):  # noqa: F811
    saved = ECCO / "tests/SSH_native_latlon_local/V4r4_sav/latlon"
    theirs = {"latlon": next(saved.glob("*/*/*_1992-01_*.nc")), "native": next((ECCO / "oracle/native_SSH_from_python").glob("*.nc"))}
    for kind, oracle in theirs.items():
        task = ecco_task(ecco, kind)
        produce(ecco, [task], config=CONFIG)
        report = run(oracle, task["granule"], "--ignore", "coordinates")
        assert report["pairs"][0]["variables"] == len(netCDF4.Dataset(oracle).variables)
        other = Path(ecco) / "other.nc"
        shutil.copy(task["granule"], other)
        with netCDF4.Dataset(other, "a") as nc:
            nc.set_auto_maskandscale(False)
            where = np.argwhere(nc["SSH"][:] < 1e30)[1000]
            nc["SSH"][tuple(where)] = nc["SSH"][tuple(where)] + np.float32(0.25)
        report = run(oracle, other, "--ignore", "coordinates", status=1)
        assert found(report) == {("SSH", "values")}
        said = values_of(report, "SSH")
        assert said["differing"] == 1 and said["places"][0]["index"] == where.tolist()
        assert said["largest_absolute"]["difference"] == pytest.approx(0.25, abs=1e-6)
        assert "time=1992-01-16T18:00:00" in said["places"][0]["coordinates"]
        assert ("XC=" if kind == "native" else "latitude=") in said["places"][0]["coordinates"]
