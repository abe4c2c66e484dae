"""DMR++ documents: against the granules of the conformance data, and beside granules that the tests make with h5py."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "oracle"))
sys.path.insert(0, str(HERE))
import conformance  # noqa: E402
import dmrpp_conformance  # noqa: E402
from earthdata import dmrpp  # noqa: E402
from test_zarr_sources import served  # noqa: E402

UPWELL = pathlib.Path(os.environ.get("UPWELL", conformance.programs() / "upwell"))
h5py = pytest.importorskip("h5py")


def test_pairs_of_the_conformance_data():
    folder = conformance.shared_data()
    if not folder:
        pytest.skip("no conformance files: set UPWELL_SHARED to the folder that holds data/conformance")
    pytest.importorskip("pyhdf")
    if not (conformance.programs() / "upwell_dump").is_file():
        pytest.skip("upwell_dump is not built")
    documents, results = dmrpp_conformance.compare_all(folder)
    print(dmrpp_conformance.table(documents, results))
    assert len(results) >= 87
    wrong = [f"{r.name}: {line}" for r in results for line in r.differences + r.refused]
    assert not wrong, "\n".join(wrong)
    wrong = dmrpp_conformance.lone_problems(folder)
    assert not wrong, "\n".join(wrong)


def test_a_difference_is_seen(tmp_path):
    """The comparison itself: a document with one wrong number is different."""
    if not (conformance.programs() / "upwell_dump").is_file():
        pytest.skip("upwell_dump is not built")
    granule = make_granule(tmp_path / "g.h5")
    document = tmp_path / "g.h5.dmrpp"
    right = document_of(granule)
    document.write_text(right)
    assert dmrpp_conformance.Pair(document, granule, "right").verdict == "equal"
    for old, new in [(r'offset="(\d+)"', lambda m: f'offset="{int(m[1]) + 1}"'), (r'nBytes="(\d+)"', 'nBytes="9"'),
                     ("shuffle deflate", "deflate"), ('byteOrder="BE"', 'byteOrder="LE"'), ('fillValue="-3"', 'fillValue="3"'),
                     (r'<dmrpp:chunk [^>]*"\[0,0\]"/>', "")]:
        changed = re.sub(old, new, right, count=1)
        assert changed != right, old
        document.write_text(changed)
        assert dmrpp_conformance.Pair(document, granule, "wrong").verdict == "different", old


def make_granule(path, seed=0):
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as h:
        h.create_dataset("a", data=random.normal(size=(20, 30)).astype("f4"), chunks=(6, 7), compression="gzip", shuffle=True)
        h.create_dataset("g/big", data=random.integers(0, 99, (9, 9)).astype(">i2"), chunks=(4, 4), fletcher32=True)
        part = h.create_dataset("part", (40,), "i4", chunks=(10,), fillvalue=-3)
        part[5:12] = 8
        h.create_dataset("plain", data=np.arange(12.0))
        h.create_dataset("scalar", data=np.int64(7))
    return path


def document_of(path, href=dmrpp.HREF):
    return dmrpp.document(path.name, path, href).decode()


def upwell(*arguments, status=0):
    done = subprocess.run([UPWELL, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def check_values(source, granule, tmp_path, *options):
    with h5py.File(granule) as h:
        for path in ("a", "g/big", "part", "plain", "scalar"):
            upwell("read", source, path, "--raw", "-q", "-o", tmp_path / "v.npy", *options)
            np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), h[path][...])


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "in").mkdir()
    granule = make_granule(tmp_path / "in" / "g.h5")
    document = granule.with_name("g.h5.dmrpp")
    document.write_text(document_of(granule))
    return granule, document


def test_opened_directly(pair, tmp_path):
    granule, document = pair
    check_values(document, granule, tmp_path)
    document.write_text(document_of(granule, href="data/some/catalogue/g.h5"))
    check_values(document, granule, tmp_path)
    other = document.with_name("other.dmrpp")
    other.write_text(document_of(granule, href="data/some/catalogue/g.h5"))
    check_values(other, granule, tmp_path)
    with served(granule.parent) as (url, _):
        check_values(f"{url}/g.h5.dmrpp", granule, tmp_path)


def test_beside_a_granule_when_asked(pair, tmp_path):
    granule, document = pair
    assert json.loads(upwell("info", granule, "--json").stdout)["format"] == "hdf5"
    told = json.loads(upwell("info", granule, "--json", "--sidecar", "always").stdout)
    assert told["format"] == "dmrpp" and "g.h5.dmrpp" in told["notes"][0]
    check_values(granule, granule, tmp_path, "--sidecar", "always")
    with served(granule.parent) as (url, seen):
        check_values(f"{url}/g.h5", granule, tmp_path, "--sidecar", "always")
        seen.clear()
        upwell("info", f"{url}/g.h5", "--sidecar", "always")
        assert [s[1] for s in seen if s[0] == "GET" and s[1] == "/g.h5"] == ["/g.h5"]  # to see what it is
        seen.clear()
        upwell("info", f"{url}/g.h5")
        assert not [s for s in seen if "dmrpp" in s[1]]


@pytest.mark.parametrize("how", ["shorter", "older", "other", "broken", "szip"])
def test_one_that_disagrees_is_not_used(pair, tmp_path, how):
    granule, document = pair
    text = document.read_text()
    if how == "shorter":
        document.write_text(text.replace("</Dataset>", '<Byte name="z"><Dim size="9"/><dmrpp:chunks><dmrpp:chunk '
                                         f'offset="{granule.stat().st_size}" nBytes="9"/></dmrpp:chunks></Byte></Dataset>'))
    elif how == "older":
        os.utime(document, (time.time() - 9999, time.time() - 9999))
    elif how == "other":
        document.write_text(document_of(granule, href="x/h.h5"))
    elif how == "broken":
        document.write_text(text[: len(text) // 2])
    else:
        document.write_text(text.replace("shuffle deflate", "szip"))
    done = upwell("info", granule, "--sidecar", "always", "--json")
    told = json.loads(done.stdout)
    assert told["format"] == "hdf5"
    assert "is not used" in told["notes"][0] and "is not used" in done.stderr
    check_values(granule, granule, tmp_path, "--sidecar", "always")


def test_virtualize_gives_the_same_references(pair, tmp_path):
    granule, _ = pair
    for name, options in (("scan", ()), ("side", ("--sidecar", "always", "--report", tmp_path / "report.json"))):
        upwell("virtualize", granule.parent, "-o", tmp_path / f"{name}.json", "--drop", "scalar", *options)
    scan, side = (json.loads((tmp_path / f"{n}.json").read_text())["refs"] for n in ("scan", "side"))
    parts = [k for k in scan if k.rsplit("/", 1)[-1] != ".zattrs"]
    assert {k: scan[k] for k in parts} == {k: v for k, v in side.items() if k.rsplit("/", 1)[-1] != ".zattrs"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["counts"]["granules"] == 1  # the document in the directory is no granule
    assert "g.h5.dmrpp" in report["granules"][0]["notes"][0]


def test_granules_are_joined_and_added_through_their_documents(tmp_path):
    granules = []
    for k in range(3):
        granules.append(tmp_path / f"g{k}.h5")
        with h5py.File(granules[-1], "w") as h:
            time_ = h.create_dataset("time", data=np.arange(2 * k, 2 * k + 2, dtype="f8"), maxshape=(None,), chunks=(2,))
            time_.attrs["units"] = "days since 2000-01-01"
            time_.make_scale("time")
            v = h.create_dataset("v", data=np.random.default_rng(k).normal(size=(2, 3000)).astype("f4"), maxshape=(None, 3000),
                                 chunks=(1, 3000), compression="gzip", shuffle=True)
            v.dims[0].attach_scale(time_)
        granules[-1].with_name(f"g{k}.h5.dmrpp").write_text(document_of(granules[-1]))
    sets = []
    for sidecar in ("never", "always"):
        sets.append(tmp_path / f"{sidecar}.json")
        both = ("--sidecar", sidecar, "--concat", "time")
        made = upwell("virtualize", *granules[:2], "-o", sets[-1], *both)
        added = upwell("append", sets[-1], granules[2].with_name("g2.h5*"), *both)
        assert ("g0.h5.dmrpp, which agrees" in made.stderr) == (sidecar == "always")
        assert ("g2.h5.dmrpp, which agrees" in added.stderr) == (sidecar == "always")
    never, always = (json.loads(s.read_text())["refs"] for s in sets)
    assert "v/5.0" in never
    assert {k: v for k, v in never.items() if not k.endswith(".zattrs")} == {k: v for k, v in always.items() if not k.endswith(".zattrs")}


def test_hdf4_is_read_through_its_document(tmp_path):
    pyhdf = pytest.importorskip("pyhdf.SD")
    path = tmp_path / "g.hdf"
    values = np.arange(24, dtype="i4").reshape(4, 6)
    sd = pyhdf.SD(str(path), pyhdf.SDC.WRITE | pyhdf.SDC.CREATE)
    sds = sd.create("v", pyhdf.SDC.INT32, values.shape)
    sds[:] = values
    sds.endaccess()
    sd.end()
    done = upwell("info", path, status=65)
    assert "HDF4" in done.stderr and ".dmrpp" in done.stderr
    offset = path.read_bytes().index(values.astype(">i4").tobytes())
    document = (f'<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" name="g.hdf" dmrpp:href="OPeNDAP_DMRpp_DATA_ACCESS_URL">'
                f'<Int32 name="v"><Dim size="4"/><Dim size="6"/><dmrpp:chunks byteOrder="BE">'
                f'<dmrpp:block offset="{offset}" nBytes="40"/><dmrpp:block offset="{offset + 40}" nBytes="56"/>'
                f'</dmrpp:chunks></Int32></Dataset>')
    (tmp_path / "g.hdf.dmrpp").write_text(document)
    upwell("read", path, "v", "--raw", "-o", tmp_path / "v.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), values)
    upwell("info", path, "--sidecar", "never", status=65)


def test_a_document_from_the_web_names_no_local_file(pair, tmp_path):
    granule, document = pair
    document.write_text(document_of(granule, href="file:///etc/passwd"))
    with served(granule.parent) as (url, _):
        upwell("info", f"{url}/g.h5.dmrpp", status=77)
        document.write_text(document_of(granule).replace("<dmrpp:chunk offset", '<dmrpp:chunk href="/etc/passwd" offset', 1))
        done = upwell("info", f"{url}/g.h5.dmrpp", status=77)
        assert "passwd" in done.stdout + done.stderr
