"""upwell produce granules: the model's grid without netCDF files, and in archives."""

import glob
import gzip
import os
import re
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

import s3_servers
from granule_runs import CONFIG, ECCO, assert_equals_oracle, ecco_task, needs_ecco, produce, real_tree
from llc_world import World


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture(scope="module")
def ecco(tmp_path_factory):
    return real_tree(tmp_path_factory.mktemp("ecco"))


GRID_TASKS = [("SSH", None, "native", "2D"), ("VELOCITY", {"UVEL": ["UVEL"], "VVEL": ["VVEL"], "WVEL": ["WVELMASS"]}, "native", "3D"),
              ("EVEL", {"EVEL": ["UVEL", "VVEL"]}, "native", "3D"), ("SSH", None, "latlon", "2D"),
              ("NVEL", {"NVEL": ["UVEL", "VVEL"]}, "latlon", "3D")]


def contents(path):
    """All that a granule holds; what ncdump prints but for the attributes that every run has of its own."""
    text = subprocess.run(["ncdump", path], capture_output=True, text=True, check=True).stdout
    return re.sub(r'(date_\w+|uuid|_NCProperties) = "[^"]*"', r"\1", text)


def granules_of_the_grid(world, *options, **changes):
    tasks = [world.task(*task, **changes) for task in GRID_TASKS]
    for i, task in enumerate(tasks):
        task["granule"] = task["granule"].replace("/out/", f"/out/{i}/")
    produce(world.root, tasks, "--no-resume", *options, config=world.config)
    return [contents(task["granule"]) for task in tasks]


def pack(world, name, folder="", mode="w:gz", without=(), more=(), form=tarfile.GNU_FORMAT):
    with tarfile.open(world.root / name, mode, format=form) as archive:
        for path in sorted((world.root / "grid").iterdir()):
            if path.name not in without:
                archive.add(path, folder + path.name)
        for path, member in more:
            archive.add(path, member)
    return str(world.root / name)


@pytest.mark.parametrize("kind", [">f4", ">f8"])
def test_a_grid_without_netcdf_files(world, kind):
    """Masks, bounds, angles and the target's axes come from MITgcm's files and the factors: the same granules."""
    wanted = granules_of_the_grid(world)
    world.write_raw_grid(kind)
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    assert granules_of_the_grid(world) == wanted
    (world.root / "grid/GRID_GEOMETRY_latlon.nc").unlink()
    assert granules_of_the_grid(world) == wanted


@pytest.mark.parametrize("names, message", [
    (["hFacW.data", "tile003.mitgrid"], r"no file \*native\*.nc, and of the files .* missing: hFacW.data, tile003.mitgrid"),
    (["RF.data"], r"missing: RF.data"), (["XC.data"], r"missing: XC.data"),
    (["available_diagnostics.log"], r"available_diagnostics.log")])
def test_what_a_raw_grid_lacks_is_named(world, names, message):
    world.write_raw_grid()
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    for name in names:
        (world.root / "grid" / name).unlink()
    report = produce(world.root, [world.task()], config=world.config, status=66)
    assert re.search(message, report["stderr"]) and not (world.root / "out").exists()


@pytest.mark.parametrize("name, size, message", [
    ("hFacS.data", 100, r"hFacS.data has 100 bytes, its .meta says"), ("RF.data", 12, r"RF.data: 3 values of 4 bytes, .* has 5"),
    ("YG.data", 40, r"YG.data: 10 values"), ("XC.data", 40, r"XC.data: .*40 bytes are no field of an llc grid"),
    ("tile002.mitgrid", 8, r"tile002.mitgrid: 8 bytes"), ("AngleSN.data", 0, r"AngleSN.data: 0 values")])
def test_a_raw_grid_that_is_broken(world, name, size, message):
    world.write_raw_grid()
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    os.truncate(world.root / "grid" / name, size)
    report = produce(world.root, [world.task()], config=world.config, status=65)
    assert re.search(message, report["stderr"]), report["stderr"]


def poke(path, index, value, kind=">f4"):
    """Puts one number into a file."""
    with open(path, "r+b") as file:
        file.seek(index * int(kind[2]))
        file.write(np.array(value, kind).tobytes())


@pytest.mark.parametrize("name, index, value, message", [
    ("XC.data", 40, np.nan, r"XC\.data: tile 1, j 0, i 4 has nan, which is not a longitude"),
    ("XG.data", 40, np.inf, r"XG\.data: tile 1, j 0, i 4 has inf, which is not a longitude"),
    ("YC.data", 278, 95, r"YC\.data: tile 8, j 1, i 2 has 95, which is not a latitude"),
    ("hFacC.data", 2 * 468 + 3, 1.5, r"hFacC\.data: level 2, tile 0, j 0, i 3 has 1\.5, which is not the open part"),
    ("hFacW.data", 0, np.nan, r"hFacW\.data: level 0, tile 0, j 0, i 0 has nan"),
    ("hFacS.data", 1, -0.5, r"hFacS\.data: level 0, tile 0, j 0, i 1 has -0\.5"),
    ("AngleCS.data", 5, 2, r"AngleCS\.data: tile 0, j 0, i 5 has 2, which is not the sine or cosine"),
    ("RF.data", 2, -5, r"RF\.data: value 2 is -5 after -10: depths neither descend nor ascend"),
    ("RF.data", 4, np.nan, r"RF\.data: value 4 is nan, which is no depth"),
    ("RC.data", 1, -100, r"RC\.data: value 1 is -100, which is not between the faces at -10 and -30"),
    ("tile003.mitgrid", 5 * 49 + 8, 123, r"tile003\.mitgrid: the corner of tile 6, j 1, i 1 lies at 123, .* where XG.data and YG.data have"),
    ("tile005.mitgrid", 6 * 7 * 19 + 20, 91, r"tile005\.mitgrid: corner j 1, i 1 lies at .* latitude 91, which is no place on Earth"),
])
def test_a_raw_grid_with_values_that_cannot_be(world, name, index, value, message):
    world.write_raw_grid()
    (world.root / "grid/GRID_GEOMETRY_native.nc").unlink()
    poke(world.root / "grid" / name, index, value, ">f8" if name.endswith(".mitgrid") else ">f4")
    report = produce(world.root, [world.task()], config=world.config, status=65)
    assert re.search(message, report["stderr"]), report["stderr"]


@pytest.mark.parametrize("netcdf", [True, False])
@pytest.mark.parametrize("name, mode, folder, form", [
    ("grid.tar.gz", "w:gz", "", tarfile.GNU_FORMAT), ("grid.tgz", "w:gz", "V0/" + "d" * 120 + "/", tarfile.GNU_FORMAT),
    ("grid.tar", "w", "./grid/", tarfile.USTAR_FORMAT), ("grid.tar.gz", "w:gz", "gr\u00edd/" + "e" * 150 + "/", tarfile.PAX_FORMAT)])
def test_a_grid_in_an_archive(world, netcdf, name, mode, folder, form):
    world.write_raw_grid()
    wanted = granules_of_the_grid(world)
    without = [] if netcdf else ["GRID_GEOMETRY_native.nc", "GRID_GEOMETRY_latlon.nc"]
    archive = pack(world, name, folder, mode, without, form=form)
    (world.root / "grid").rename(world.root / "elsewhere")
    assert granules_of_the_grid(world, ecco_grid_loc=archive) == wanted


def test_an_archive_in_a_bucket(world):
    wanted = granules_of_the_grid(world)
    archive = pack(world, "grid.tar.gz")
    server = s3_servers.start_moto()
    try:
        client = server.client()
        client.create_bucket(Bucket="ecco")
        client.upload_file(archive, "ecco", "V0/grid.tar.gz")
        with pytest.MonkeyPatch.context() as patch:
            for key, value in server.environment.items():
                patch.setenv(key, value)
            assert granules_of_the_grid(world, ecco_grid_loc="s3://ecco/V0/grid.tar.gz") == wanted
    finally:
        server.stop()


@pytest.mark.parametrize("damage, status, message", [
    (lambda path: path.write_bytes(path.read_bytes()[:-3000]), 65, "gzip: the stream is cut short"),
    (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:5000])), 65, "tar: Truncated tar archive"),
    (lambda path: path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8), 65, "gzip: incorrect data check"),
    (lambda path: path.write_bytes(gzip.compress(b"nothing of the kind " * 100)), 65, "tar: Unrecognized archive format"),
    (lambda path: path.write_bytes(b""), 66, "neither XC.data nor"),
    (lambda path: path.unlink(), 66, "grid.tar.gz")])
def test_an_archive_that_is_broken(world, damage, status, message):
    archive = Path(pack(world, "grid.tar.gz"))
    damage(archive)
    tasks = [world.task(ecco_grid_loc=str(archive)), world.task(name="OTHER")]
    report = produce(world.root, tasks, config=world.config, status=status)
    assert report["made"] == 1 and message in report["stderr"] and "grid.tar.gz" in report["stderr"], report["stderr"]


def test_an_archive_takes_no_more_memory_than_there_is(world):
    world.write_raw_grid()
    with open(world.root / "grid/hFacC.data", "ab") as file:
        file.truncate(3 << 20)
    archive = pack(world, "grid.tar.gz")
    report = produce(world.root, [world.task(ecco_grid_loc=archive)], "--memory", "2MB", config=world.config, status=75)
    assert re.search(r"grid\.tar\.gz: hFacC\.data: 3145728 bytes, and \d+ before it; there is memory for 2097152", report["stderr"])


def test_an_archive_of_two_grids(world):
    archive = pack(world, "grid.tar.gz", "a/", more=[(world.root / "grid/XC.data", "b/XC.data")])
    report = produce(world.root, [world.task(ecco_grid_loc=archive)], config=world.config, status=65)
    assert "two grids in one archive, in a/ and b/" in report["stderr"]


@needs_ecco
@pytest.mark.parametrize("packed", [False, True])
def test_the_raw_grid_of_v4r4(ecco, tmp_path, packed):
    """Without its netCDF files, in a directory and in an archive."""
    grid = tmp_path / "grid"
    grid.mkdir()
    for path in (ecco / "grid").iterdir():
        if path.suffix != ".nc":
            (grid / path.name).symlink_to(path.resolve())
    for path in (ECCO / "recon").glob("hFac*.data.gz"):
        (grid / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    location = str(grid)
    if packed:
        location = str(tmp_path / "grid_ECCOV4r4.tar.gz")
        with tarfile.open(location, "w:gz", compresslevel=1, dereference=True) as archive:
            archive.add(grid, "grid_ECCOV4r4")
    native, latlon = (ecco_task(ecco, kind) for kind in ("native", "latlon"))
    deep = [ecco_task(ecco, kind, "OCEAN_TEMPERATURE_SALINITY", {"THETA": ["THETA"], "SALT": ["SALT"]})
            for kind in ("native", "latlon")]
    for task in (native, latlon, *deep):
        task["ecco_grid_loc"] = location
    produce(ecco, [native, latlon], "--no-resume", config=CONFIG)
    produce(ecco, deep, "--no-resume", "--fix", "keywords", config=CONFIG)
    assert_equals_oracle(native["granule"], glob.glob(str(ECCO / "oracle/native_SSH_from_python/*.nc"))[0])
    assert_equals_oracle(latlon["granule"], glob.glob(str(ECCO / "tests/SSH_native_latlon_local/V4r4_sav/latlon/*/*/*.nc"))[0])
    for task, kind in zip(deep, ("native", "latlon")):
        assert_equals_oracle(task["granule"], glob.glob(str(ECCO / f"oracle/synthetic3d/*{kind}*.nc"))[0])
