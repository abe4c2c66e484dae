"""Raw MITgcm output, pairs of .meta and .data: what is read is what numpy finds in the file, in the tiles of the llc grid
where ECCO's own programs put it, also through references, Upwell's own form and the server.

Files are made here; those of ECCO (UPWELL_SHARED, data/ecco) are read when they are there.
"""

import gzip
import json
import lzma
import os
import pathlib
import random
import re
import subprocess

import netCDF4
import numpy as np
import pytest
import xarray as xr

from test_bad_input import expect, run
from test_serve import serving
from test_verify import root  # noqa: F401, a fixture
from test_virtualize import UPWELL, bits, open_kerchunk, open_zarr, virtualize

N = 4  # of the small llc grid


def upwell(*arguments, status=0):
    done = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == status, f"{arguments}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def meta_text(shape, precision="float32", records=1, step=None, interval=None, missing=None, fields=None, more=""):
    """As MITgcm's mdsio_write_meta.F writes it; `shape` is that of numpy, slowest first."""
    sizes = ",\n".join(f" {n:5d},    1,{n:5d}" for n in reversed(shape))
    text = f" nDims = [ {len(shape):3d} ];\n dimList = [\n{sizes}\n ];\n dataprec = [ '{precision}' ];\n nrecords = [ {records:5d} ];\n"
    if step is not None:
        text += f" timeStepNumber = [ {step:10d} ];\n"
    if interval is not None:
        text += " timeInterval = [ " + " ".join(f"{t:19.12E}" for t in interval) + " ];\n"
    if missing is not None:
        text += f" missingValue = [ {missing:21.14E} ];\n"
    if fields is not None:
        names = " ".join(f"'{name:<8}'" for name in fields)
        text += f" nFlds = [ {len(fields):4d} ];\n fldList = {{\n {names}\n }};\n"
    return text + more


def write_pair(base, values, **meta):
    """`values`: (records, ...) or without that axis when there is one record. Gives the .data."""
    records = meta.get("records", 1)
    shape = values.shape[1:] if records > 1 else values.shape
    wide = meta.get("precision") == "float64"
    pathlib.Path(f"{base}.meta").write_text(meta_text(shape, **meta))
    data = pathlib.Path(f"{base}.data")
    data.write_bytes(values.astype(">f8" if wide else ">f4").tobytes())
    return data


def tiles_of(compact):
    """(..., 13 n, n) as (..., 13, n, n), as the notes of ECCO's llc_compact_to_tiles go: faces 1, 2 and the cap lie as tiles
    below each other, in the rows of faces 4 and 5 three tiles lie beside each other."""
    n = compact.shape[-1]
    lead = compact.shape[:-2]
    flat = compact.reshape(*lead, 13 * n * n)
    out = np.empty((*lead, 13, n, n), compact.dtype)
    for tile in range(7):
        out[..., tile, :, :] = flat[..., tile * n * n:(tile + 1) * n * n].reshape(*lead, n, n)
    for first in (7, 10):
        face = flat[..., first * n * n:(first + 3) * n * n].reshape(*lead, n, 3 * n)
        for part in range(3):
            out[..., first + part, :, :] = face[..., part * n:(part + 1) * n]
    return out


def read(source, name, tmp_path, *options):
    out = tmp_path / "read.npy"
    upwell("read", source, name, "-o", out, "-q", *options)
    return np.load(out)


def info(source, *options):
    return json.loads(upwell("info", source, "--json", *options).stdout)


def series(directory, steps=(732, 1428, 2172), levels=3, prefix="UVEL_mon_mean", **meta):
    directory.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    before, fields = 0, []
    for step in steps:
        values = rng.normal(size=(levels, 13 * N, N)).astype("f4")
        write_pair(directory / f"{prefix}.{step:010d}", values, step=step, interval=(before, step * 3600.0),
                   fields=["UVEL"], **meta)
        before = step * 3600.0
        fields.append(values)
    return np.stack(fields)


# --- ECCO's files ---

def ecco(*parts):
    shared = os.environ.get("UPWELL_SHARED")
    root = pathlib.Path(shared, "data", "ecco") if shared else None
    if root is None or not root.is_dir():
        pytest.skip("no files of ECCO: set UPWELL_SHARED to the folder that holds data/ecco")
    return root.joinpath(*parts)


def raw_of(meta, data):
    """What numpy makes of a pair, with nothing of Upwell."""
    text = re.sub(r"\s+", " ", meta.read_text())
    sizes = [int(n) for n in re.search(r"dimList = \[([^]]*)\]", text)[1].replace(",", " ").split()][::3]
    kind = {"float32": ">f4", "float64": ">f8"}[re.search(r"dataprec = \[ '(\w+)'", text)[1]]
    values = np.frombuffer(data, kind).reshape(sizes[::-1])
    if sizes[:2] == [1, 1]:
        return values[:, 0, 0]
    return tiles_of(values) if sizes[1] == 13 * sizes[0] else values


def test_every_pair_of_ecco_is_what_numpy_reads(tmp_path):
    seen = 0
    for meta in sorted(ecco().rglob("*.meta")):
        data = meta.with_suffix(".data")
        if not data.exists():
            continue
        arrays = info(data)["root"]["arrays"]
        name = next(a["name"] for a in arrays if not a["name"].startswith("time"))
        assert name == meta.name.split(".")[0].replace("_mon_mean", "")
        truth = raw_of(meta, data.read_bytes())
        got = read(meta if seen % 2 else data, name, tmp_path, "--raw")
        stepped = "timeStepNumber" in [a["name"] for a in arrays]
        assert stepped == bool(re.search(r"\.\d{10}\.", meta.name))
        assert bits(got) == bits(truth[None] if stepped else truth), meta
        seen += 1
    assert seen >= 30


@pytest.mark.parametrize("name", ["THETA", "hFacC"])
def test_packed_files_of_ecco_with_levels(tmp_path, name):
    if name == "THETA":
        base = ecco("synthetic3d", "V4r4", "diags_monthly", "THETA_mon_mean", "THETA_mon_mean.0000000732")
        data = lzma.decompress(pathlib.Path(f"{base}.data.xz").read_bytes())
        oracle, points = ecco("oracle", "synthetic3d",
                              "OCEAN_TEMPERATURE_SALINITY_mon_mean_1992-01_ECCO_V4r4_native_llc0090.nc"), "THETA"
    else:
        base = ecco("grid_ECCOV4r4", "hFacC")
        data = gzip.decompress(ecco("recon", "hFacC.data.gz").read_bytes())
        oracle, points = ecco("recon", "GRID_GEOMETRY_ECCO_V4r4_native_llc0090.nc"), "hFacC"
    copy = tmp_path / base.name
    pathlib.Path(f"{copy}.meta").write_bytes(pathlib.Path(f"{base}.meta").read_bytes())
    pathlib.Path(f"{copy}.data").write_bytes(data)
    got = read(f"{copy}.data", name, tmp_path, "--raw")
    assert bits(got) == bits(raw_of(pathlib.Path(f"{copy}.meta"), data).reshape(got.shape))
    with netCDF4.Dataset(oracle) as nc:
        nc.set_auto_mask(False)
        theirs = nc[points][:].reshape(got.shape)
        wet = theirs < 9e36 if name == "THETA" else np.ones(got.shape, bool)
    assert wet.sum() > 1e6
    assert bits(got[wet].astype("f4")) == bits(theirs[wet].astype("f4"))


def test_eccos_own_granule_has_the_same_tiles(tmp_path):
    granule = ecco("oracle", "native_SSH_from_python", "SEA_SURFACE_HEIGHT_mon_mean_1992-01_ECCO_V4r4_native_llc0090.nc")
    with netCDF4.Dataset(granule) as nc:
        nc.set_auto_mask(False)
        for name in ("SSH", "SSHIBC", "SSHNOIBC", "ETAN"):
            data = ecco("results", "V4r4", "diags_monthly", f"{name}_mon_mean", f"{name}_mon_mean.0000000732.data")
            got, theirs = read(data, name, tmp_path, "--raw"), nc[name][:]
            assert got.shape == theirs.shape == (1, 13, 90, 90)
            wet = theirs < 9e36
            assert wet.sum() > 50000
            assert bits(got[wet]) == bits(theirs[wet])
        for name in ("XC", "YC", "XG", "YG"):
            got = read(ecco("grid_ECCOV4r4", f"{name}.data"), name, tmp_path, "--raw")
            assert bits(got) == bits(nc[name][:])


def test_eccos_months_as_a_cube(tmp_path):
    source = ecco("results", "V4r4", "diags_monthly", "SSH_mon_mean")
    truth = np.stack([raw_of(m, m.with_suffix(".data").read_bytes()) for m in sorted(source.glob("*.meta"))])
    for form in ("cube.json", "cube.parq", "cube.upwell"):
        store = tmp_path / form
        virtualize(source, "-o", store, "-q", "--mds-reference", "1992-01-01T12:00:00", "--mds-delta-t", "3600")
        assert bits(read(store, "SSH", tmp_path, "--raw")) == bits(truth)
        upwell("verify", store, "--all", "-q")
    cube = open_kerchunk(tmp_path / "cube.json")
    assert cube["SSH"].dims == ("time", "tile", "j", "i")
    assert bits(cube["SSH"].values) == bits(truth)
    stamps = [str(t)[:16] for t in cube["time"].values]
    assert stamps == ["1992-02-01T00:00", "1992-03-01T00:00", "1992-04-01T00:00"]


# --- files made here ---

def test_time_steps_as_references(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    for form in ("cube.json", "cube.parq"):
        store = tmp_path / form
        virtualize(tmp_path / "run", "-o", store, "-q")
        for cube in (open_zarr(store), open_kerchunk(store)):
            assert cube["UVEL"].dims == ("timeStepNumber", "k", "tile", "j", "i_g")
            assert cube["timeStepNumber"].values.tolist() == [732, 1428, 2172]
            assert cube["timeInterval"].values.tolist() == [[0, 2635200], [2635200, 5140800], [5140800, 7819200]]
            assert bits(cube["UVEL"].values) == bits(truth)
        assert bits(read(store, "UVEL", tmp_path, "--isel", "timeStepNumber=1,k=2,tile=8:11")) == bits(truth[1, 2, 8:11])
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    array = json.loads(refs["UVEL/.zarray"])
    assert array["dtype"] == ">f4"
    assert array["chunks"] == [1, 1, 1, 1, N]
    assert array["filters"] is None and array["compressor"] is None
    chunks = [v for k, v in refs.items() if k.startswith("UVEL/") and not k.startswith("UVEL/.")]
    assert len(chunks) == 3 * 3 * 13 * N
    assert all(url.endswith(".data") and size == 4 * N for url, _, size in chunks)  # nothing is copied


def test_time_steps_in_upwells_own_form_are_faces(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    store = tmp_path / "cube.upwell"
    made = virtualize(tmp_path / "run" / "*.meta", "-o", store)
    # Seven tiles and two faces a level and step, and three intervals.
    assert f"{3 * 3 * 9} references" in made.stderr
    [array] = [a for a in info(store)["root"]["arrays"] if a["name"] == "UVEL"]
    assert array["segments"] == 2
    assert bits(read(store, "UVEL", tmp_path)) == bits(truth)
    assert bits(read(store, "UVEL", tmp_path, "--isel", "timeStepNumber=::2,k=1,tile=5:13:3,j=1:4,i_g=-1")) == bits(
        truth[::2, 1, 5:13:3, 1:4, -1])
    with serving(store) as (url, _):
        for version in (2, 3):
            cube = xr.open_zarr(f"{url}/datasets/cube/zarr", zarr_format=version)
            assert bits(cube["UVEL"].values) == bits(truth)


def test_a_pair_is_served(tmp_path):
    truth = tiles_of(series(tmp_path / "run", steps=(12,)))
    with serving(f"step={tmp_path / 'run' / 'UVEL_mon_mean.0000000012.data'}") as (url, _):
        cube = xr.open_zarr(f"{url}/datasets/step/zarr")
        assert bits(cube["UVEL"].values) == bits(truth)


def test_dates(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    options = ("--mds-reference", "1992-01-01T12:00:00")
    store = tmp_path / "cube.json"
    virtualize(tmp_path / "run", "-o", store, "-q", *options)
    cube = open_kerchunk(store, decode_times=True)
    assert [str(t)[:13] for t in cube["time"].values] == ["1992-02-01T00", "1992-03-01T00", "1992-04-01T00"]
    assert [[str(t)[:10] for t in b] for b in cube["time_bnds"].values][1] == ["1992-02-01", "1992-03-01"]
    assert cube["timeStepNumber"].values.tolist() == [732, 1428, 2172]
    assert bits(cube["UVEL"].sel(time="1992-02").values) == bits(truth[:1])
    for form in ("cube.json", "cube.parq", "cube.upwell"):  # each keeps how its granules were read
        virtualize(tmp_path / "run", "-o", tmp_path / form, "-q", *options, "--mds-delta-t", "3600")
        for again in ((), options, ("--mds-reference", "1992-01-01T12"), ("--mds-delta-t", "3600")):
            upwell("verify", tmp_path / form, "--all", "-q", *again)
        for other, word in ((("--mds-reference", "1992-01-01"), "--mds-reference 1992-01-01T12:00:00"),
                            (("--mds-delta-t", "1800"), "--mds-delta-t 3600"), (("--mds-compact",), "without --mds-compact")):
            run = upwell("verify", tmp_path / form, *other, status=64)
            assert f"the set was made {word if word.startswith('without') else 'with ' + word}" in run.stderr
    # The model's own date, where it wrote one.
    meta = tmp_path / "run" / "UVEL_mon_mean.0000000732.meta"
    meta.write_text(meta.read_text() + " timeStepDate = [ '1992-02-01T00:00:00' ];\n")
    arrays = {a["name"]: a for a in info(meta)["root"]["arrays"]}
    assert arrays["time"]["attributes"]["units"] == "seconds since 1992-01-01T12:00:00"


def test_append_reads_steps_as_the_set_was_made(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    steps = sorted((tmp_path / "run").glob("*.data"))
    for form in ("cube.json", "cube.parq", "cube.upwell"):
        store = tmp_path / form
        virtualize(steps[0], "-o", store, "-q", "--mds-reference", "1992-01-01T12:00:00")
        upwell("append", store, steps[1], "-q")
        run = upwell("append", store, steps[2], "--mds-reference", "1993-01-01", status=64)
        assert "the set was made with --mds-reference 1992-01-01T12:00:00" in run.stderr
        upwell("append", store, steps[2], "-q")
        upwell("verify", store, "--all", "-q")
        assert bits(read(store, "UVEL", tmp_path)) == bits(truth)
        if form != "cube.upwell":
            cube = open_kerchunk(store, decode_times=True)
            assert [str(t)[:13] for t in cube["time"].values] == ["1992-02-01T00", "1992-03-01T00", "1992-04-01T00"]


def test_what_else_lies_in_a_run_directory(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    (tmp_path / "run" / "STDOUT.0000").write_text("(PID.TID 0000.0001) ====\n" * 100)
    (tmp_path / "run" / "README.txt").write_text("about this run\n")
    store = tmp_path / "cube.json"
    made = virtualize(tmp_path / "run", "-o", store)
    assert "2 files of no format that is read here were left out" in made.stderr and "STDOUT.0000" in made.stderr
    assert bits(read(store, "UVEL", tmp_path)) == bits(truth)


def test_compact_on_request(tmp_path):
    truth = series(tmp_path / "run")
    store = tmp_path / "cube.json"
    virtualize(tmp_path / "run", "-o", store, "-q", "--mds-compact")
    cube = open_kerchunk(store)
    assert cube["UVEL"].dims == ("timeStepNumber", "k", "j", "i_g")
    assert bits(cube["UVEL"].values) == bits(truth)
    refs = json.loads(store.read_text())["refs"]
    assert sum(k.startswith("UVEL/") and not k.startswith("UVEL/.") for k in refs) == 3


def test_append_and_verify(tmp_path):
    truth = tiles_of(series(tmp_path / "run"))
    steps = sorted((tmp_path / "run").glob("*.data"))
    for form in ("cube.json", "cube.upwell"):
        store = tmp_path / form
        virtualize(*steps[:2], "-o", store, "-q")
        upwell("append", store, steps[2].with_suffix(".meta"), "-q")
        assert bits(read(store, "UVEL", tmp_path)) == bits(truth)
        upwell("verify", store, "--all", "-q")
    values = np.frombuffer(steps[1].read_bytes(), ">f4").copy()
    values[7] += 1
    steps[1].write_bytes(values.tobytes())
    assert steps[1].name in upwell("verify", tmp_path / "cube.json", "-q", status=65).stdout


def test_several_records_doubles_and_a_lat_lon_grid(tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 3, 5, 7))
    data = write_pair(tmp_path / "diag.0000000010", values, precision="float64", records=2, step=10,
                      fields=["VVEL", "WVEL"], missing=-999)
    described = {a["name"]: a for a in info(data)["root"]["arrays"]}
    assert described["VVEL"]["dimensions"] == ["timeStepNumber", "k", "j_g", "i"]
    assert described["WVEL"]["dimensions"] == ["timeStepNumber", "k_l", "j", "i"]
    assert described["WVEL"]["dtype"] == ">f8"
    assert described["WVEL"]["attributes"]["missing_value"] == -999
    for i, name in enumerate(["VVEL", "WVEL"]):
        assert bits(read(data, name, tmp_path)) == bits(values[i][None])
    store = tmp_path / "one.json"
    virtualize(data, "-o", store, "-q")
    assert bits(open_kerchunk(store)["WVEL"].values) == bits(values[1][None])


def test_only_what_the_file_calls_missing_is_missing(tmp_path):
    values = np.array([[0, -999, 1, np.float32(1e20)]], "f4")
    data = write_pair(tmp_path / "A", values, missing=-999)
    assert np.isnan(read(data, "A", tmp_path)).tolist() == [[False, True, False, False]]
    data = write_pair(tmp_path / "B", values)
    assert bits(read(data, "B", tmp_path)) == bits(values)


def test_over_http(tmp_path, root):  # noqa: F811
    truth = tiles_of(series(tmp_path / "run"))
    urls = [f"{root}/run/{p.name}" for p in sorted((tmp_path / "run").glob("*.data"))]
    out = tmp_path / "row.npy"
    made = upwell("read", urls[0], "UVEL", "--isel", "timeStepNumber=0,k=1,tile=11,j=2", "-o", out, "-q", "--stats")
    assert bits(np.load(out)) == bits(truth[0, 1, 11, 2])
    assert json.loads(made.stderr)["bytes_asked"] < 2000  # the .meta and a face
    for form in ("cube.json", "cube.upwell"):
        virtualize(*urls, "-o", tmp_path / form, "-q")
        assert bits(read(tmp_path / form, "UVEL", tmp_path)) == bits(truth)
    upwell("verify", tmp_path / "cube.json", "--all", "-q")
    (tmp_path / "run" / "UVEL_mon_mean.0000000732.meta").write_text("<!DOCTYPE html>\n<html>log in</html>")
    bad(tmp_path, 65, urls[0], "looks like an HTML page")


def test_doctor_and_info_teach(tmp_path):
    series(tmp_path / "run", steps=(12,), levels=40)
    data = tmp_path / "run" / "UVEL_mon_mean.0000000012.data"
    report = json.loads(upwell("doctor", data, "--json").stdout)
    assert report["format"] == "mds"
    assert not [a for a in report["advice"] if "chunks" in a["kind"]]  # a .data has none
    assert "float32 (big endian)" in upwell("info", data).stdout


# --- bad input ---

def bad(tmp_path, status, source, *says, options=()):
    expect(status, "info", source, *options, says=says)
    out = tmp_path / "bad.json"
    expect(status, "virtualize", source, "-o", out, *options, says=says)
    assert not out.exists()


def test_data_of_another_size(tmp_path):
    data = write_pair(tmp_path / "T.0000000001", np.zeros((2, 3), "f4"), step=1)
    for size in (20, 28, 0):
        data.write_bytes(bytes(size))
        bad(tmp_path, 65, data, "T.0000000001.data", f"has {size} bytes, but the .meta says 24: 1 record of 3 x 2 float32")


def test_half_a_pair(tmp_path):
    data = write_pair(tmp_path / "T.0000000001", np.zeros((2, 3), "f4"), step=1)
    meta = data.with_suffix(".meta")
    meta.rename(tmp_path / "kept")
    bad(tmp_path, 65, data, f"{data}: what describes it is not there: {meta}")
    (tmp_path / "kept").rename(meta)
    data.unlink()
    expect(65, "info", meta, says=[meta, "a lone .meta: T.0000000001.data is not there"])
    expect(65, "virtualize", meta, "-o", tmp_path / "x.json", says=[f"{data} is not there, only what describes it: {meta}"])
    meta.unlink()
    bad(tmp_path, 66, data, data)


@pytest.mark.parametrize(("change", "says"), [
    (("timeStepNumber = [          1 ]", "timeStepNumber = [ 2 ]"), "line 8: timeStepNumber is 2, but the file's name says 1"),
    (("'float32'", "'float16'"), "line 6: dataprec: 'float16' is neither float32 nor float64"),
    (("nrecords = [     1 ]", "nrecords = [ many ]"), "line 7: nrecords: 'many' is not an integer"),
    ((" ];\n dataprec", "\n dataprec"), "line 6: dimList: ']' is expected, there is '= [ 'float32' ];'"),
    (("nDims = [   2 ]", "nDims = [ 3 ]"), "line 2: dimList: 9 values are expected, there are 6"),
])
def test_a_meta_that_is_wrong(tmp_path, change, says):
    data = write_pair(tmp_path / "T.0000000001", np.zeros((2, 3), "f4"), step=1)
    meta = data.with_suffix(".meta")
    text = meta.read_text()
    assert change[0] in text
    meta.write_text(text.replace(*change))
    bad(tmp_path, 65, data, meta, says)
    expect(65, "info", meta, says=[meta, says])


def test_a_damaged_meta_is_an_error_or_harmless(tmp_path):
    data = write_pair(tmp_path / "T.0000000001", np.zeros((2, 3), "f4"), step=1, interval=(0, 3600), fields=["T"])
    meta = data.with_suffix(".meta")
    whole = meta.read_bytes()
    rng = random.Random(7)
    statuses = set()
    for _ in range(120):
        text = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            change = rng.choice(["cut", "byte", "copy", "digit"])
            if change == "cut":
                del text[at:at + rng.randint(1, 30)]
            elif change == "byte":
                text[at] = rng.randrange(256)
            elif change == "copy":
                text[at:at] = text[max(0, at - 40):at]
            else:
                text[at:at] = b"9" * rng.randint(1, 20)
            text = text or bytearray(b" ")
        meta.write_bytes(text)
        status, _, message = run("info", data)
        assert status in (0, 65), (bytes(text), message)
        assert status == 0 or str(meta) in message, message
        statuses.add(status)
    assert statuses == {0, 65}


def test_times_that_disagree(tmp_path):
    data = write_pair(tmp_path / "T.0000000024", np.zeros((2, 3), "f4"), step=24, interval=(0, 86400))
    bad(tmp_path, 65, data, "line 9: timeInterval ends at 86400 s, but step 24 of 1800 s each (--mds-delta-t) is 43200 s",
        options=("--mds-delta-t", "1800"))
    bad(tmp_path, 64, data, "--mds-reference 'soon'", options=("--mds-reference", "soon"))
    data = write_pair(tmp_path / "S.0000000024", np.zeros((2, 3), "f4"), step=24)
    bad(tmp_path, 64, data, "must be said with --mds-delta-t", options=("--mds-reference", "1992-01-01"))


def write_pieces(directory, step, values, across=3, up=2):
    """The field (k, j, i) as MITgcm's processes write it, each its box."""
    directory.mkdir(exist_ok=True)
    nz, ny, nx = values.shape
    sy, sx = ny // up, nx // across
    for by in range(up):
        for bx in range(across):
            box = values[:, by * sy:(by + 1) * sy, bx * sx:(bx + 1) * sx]
            base = directory / f"T.{step:010d}.{bx + 1:03d}.{by + 1:03d}"
            text = (f" nDims = [ 3 ];\n dimList = [\n {nx}, {bx * sx + 1}, {(bx + 1) * sx},\n {ny}, {by * sy + 1}, {(by + 1) * sy},\n"
                    f" {nz}, 1, {nz}\n ];\n dataprec = [ 'float32' ];\n nrecords = [ 1 ];\n timeStepNumber = [ {step} ];\n")
            pathlib.Path(f"{base}.meta").write_text(text)
            pathlib.Path(f"{base}.data").write_bytes(box.astype(">f4").tobytes())


def test_tiled_output_is_put_together(tmp_path):
    truth = np.random.default_rng(3).normal(size=(3, 2, 8, 12)).astype("f4")
    for i in range(3):
        write_pieces(tmp_path / "run", 12 * i, truth[i])
    for piece in ("T.0000000012.001.001.data", "T.0000000012.003.002.meta"):
        assert bits(read(tmp_path / "run" / piece, "T", tmp_path)) == bits(truth[1:2])
    for form in ("cube.json", "cube.parq", "cube.upwell"):
        store = tmp_path / form
        made = virtualize(tmp_path / "run", "-o", store)
        assert "3 of 3 granules" in made.stderr
        assert bits(read(store, "T", tmp_path)) == bits(truth)
        upwell("verify", store, "--all", "-q")
    assert bits(open_kerchunk(tmp_path / "cube.json")["T"].values) == bits(truth)
    [array] = [a for a in info(tmp_path / "cube.upwell")["root"]["arrays"] if a["name"] == "T"]
    assert array["segments"] == 6  # a box each, through all steps


def test_pieces_that_do_not_make_a_field(tmp_path):
    write_pieces(tmp_path / "run", 12, np.zeros((2, 8, 12), "f4"))
    named = tmp_path / "run" / "T.0000000012.001.001.data"
    other = tmp_path / "run" / "T.0000000012.002.002.data"
    content = other.read_bytes()
    other.write_bytes(content[:-1])
    bad(tmp_path, 65, named, named, f"{other.name} has {len(content) - 1} bytes, but the .meta says {len(content)}")
    other.unlink()
    bad(tmp_path, 65, named, f"a lone .meta: {other} is not there")
    other.with_suffix(".meta").unlink()
    bad(tmp_path, 65, named, "5 pieces hold 160 of the 192 values of a record: others are missing")


def test_one_bad_step_is_named_or_left_out(tmp_path):
    series(tmp_path / "run")
    broken = tmp_path / "run" / "UVEL_mon_mean.0000001428.data"
    broken.write_bytes(broken.read_bytes()[:-4])
    store = tmp_path / "cube.json"
    made = virtualize(tmp_path / "run", "-o", store, "-q", status=65)
    assert "1 of 3 granules" in made.stderr and broken.name in made.stderr and "bytes, but the .meta says" in made.stderr
    assert not store.exists()
    virtualize(tmp_path / "run", "-o", store, "-q", "--on-drift", "skip")
    assert open_kerchunk(store)["timeStepNumber"].values.tolist() == [732, 2172]
