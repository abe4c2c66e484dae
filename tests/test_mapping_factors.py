"""upwell produce factors: theirs are read as scipy and pickle read them, but nothing is executed; those that are built from the
grid are what their definition says; values are scipy's bit for bit.

Real factors and the real grid are used where UPWELL_SHARED has them.
"""

import gzip
import json
import lzma
import os
import pickle
import shutil
import subprocess
import tarfile
from pathlib import Path

import llc_grid
import netCDF4
import numpy as np
import pytest
import scipy.sparse

ROOT = Path(__file__).resolve().parent.parent
UPWELL = os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))
ECCO = Path(os.environ.get("UPWELL_SHARED", ROOT.parent / "shared")) / "data" / "ecco"
EARTH = 6370997.0
real = pytest.mark.skipif(not ECCO.is_dir(), reason=f"no real ECCO data at {ECCO}")


def factors(*arguments, status=0):
    command = [UPWELL, "produce", "factors", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == status, f"{command}\nstatus {run.returncode}\n{run.stdout}{run.stderr}"
    return run.stdout if status == 0 else run.stderr


def same_bits(a, b):
    assert a.dtype == b.dtype == np.float32
    np.testing.assert_array_equal(a.view("u4"), b.view("u4"))


class Theirs:
    """Mapping factors as ECCO-Dataset-Production writes them, with random weights, on a grid of n x n points a tile."""

    def __init__(self, directory, n=5, levels=3, protocol=None, save=scipy.sparse.csr_matrix, averages=True):
        self.directory, self.levels = directory, levels
        self.wet, self.matrices, self.masks = {}, [], []
        random = np.random.default_rng(1)
        for name in ("sparse", "land_mask", "latlon_grid"):
            (directory / name).mkdir(parents=True)
        self.shape = (9, 12)
        cells = self.shape[0] * self.shape[1]
        for k in range(levels):
            wet = random.random((13, n, n)) < 0.7
            wet[12, n - 1, n - 1] = True
            self.wet[k] = np.where(wet)
            count = len(self.wet[k][0])
            mask = np.where(random.random(cells) < 0.6, 1.0, np.nan)
            if averages:
                dense = (random.random((count, cells)) < 4 / count) * random.random((count, cells))
            else:
                dense = np.zeros((count, cells), np.int64)
                dense[random.integers(0, count, cells), np.arange(cells)] = 1
            dense[:, np.isnan(mask)] = 0
            self.matrices.append(save(dense))
            self.masks.append(mask)
            scipy.sparse.save_npz(directory / f"sparse/sparse_matrix_{k}.npz", self.matrices[k])
            self.dump(f"land_mask/ecco_latlon_land_mask_{k}.xz", mask, protocol)
        bounds = [np.linspace(a, b, size + 1) for a, b, size in ((-90, 90, 9), (-180, 180, 12))]
        pairs = [np.stack([b[:-1], b[1:]], 1) for b in bounds]
        grid = [{"lat": pairs[0], "lon": pairs[1]}, np.stack([-10.0 * np.arange(levels), -10.0 * np.arange(1, levels + 1)], 1),
                {"shape": self.shape, "lats_1D": pairs[0].mean(1), "lons_1D": pairs[1].mean(1)}, self.wet]
        self.dump("latlon_grid/latlon_grid.xz", grid, protocol)

    def dump(self, name, value, protocol=None):
        with lzma.open(self.directory / name, "wb") as file:
            pickle.dump(value, file, protocol=protocol)

    def mapped(self, fields):
        """What as_latlon makes of compact fields, one a level."""
        out = []
        for k, field in enumerate(llc_grid.tiles(fields)):
            values = self.matrices[k].T.dot(field[self.wet[k]].astype(np.float64))
            values[np.isnan(self.masks[k])] = np.nan
            out.append(values.astype(np.float32).reshape(self.shape))
        return np.stack(out)


def map_with(factors_file, fields, directory):
    fields.astype(">f4").tofile(directory / "field.data")
    factors(factors_file, "--map", directory / "field.data", "--map-to", directory / "out.npy")
    return np.load(directory / "out.npy")


def random_fields(levels, points):
    fields = np.random.default_rng(2).normal(size=(levels, points)).astype(np.float32) * 10
    fields[:, ::17] = -0.0
    return fields


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(tmp_path, protocol):
    theirs = Theirs(tmp_path / "theirs", protocol=protocol)
    factors(theirs.directory, "-o", tmp_path / "ours.npz")
    fields = random_fields(3, 13 * 25)
    same_bits(map_with(tmp_path / "ours.npz", fields, tmp_path), theirs.mapped(fields))


@pytest.mark.parametrize("save", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("averages", [False, True])
def test_matrices_of_every_form(tmp_path, save, averages):
    theirs = Theirs(tmp_path / "theirs", n=7, levels=11, save=save, averages=averages)
    factors(theirs.directory, "-o", tmp_path / "ours.npz")
    fields = random_fields(11, 13 * 49)
    same_bits(map_with(tmp_path / "ours.npz", fields, tmp_path), theirs.mapped(fields))


def test_the_file_is_what_numpy_opens(tmp_path):
    theirs = Theirs(tmp_path / "theirs")
    factors(theirs.directory, "-o", tmp_path / "ours.npz")
    file = np.load(tmp_path / "ours.npz")
    assert json.loads(file["factors.json"])["source_shape"] == [13, 5, 5]
    for k in range(3):
        ocean = np.unpackbits(file["ocean"][k], bitorder="little")[: 9 * 12].astype(bool)
        np.testing.assert_array_equal(ocean, ~np.isnan(theirs.masks[k]))
        wet = np.unpackbits(file["wet"][k], bitorder="little")[: 13 * 25].astype(bool)
        np.testing.assert_array_equal(np.where(wet.reshape(13, 5, 5)), theirs.wet[k])
    # The documented way back to a matrix of a level.
    k, cells = 2, 9 * 12
    matrix = scipy.sparse.csr_matrix((file["weights"], file["sources"], file["offsets"]), (cells, 13 * 25)).tolil()
    begin, end = file["own_levels"][k : k + 2]
    own = scipy.sparse.csr_matrix((file["own_weights"], file["own_sources"], file["own_offsets"]), (len(file["own_cells"]), 13 * 25))
    matrix[file["own_cells"][begin:end]] = own[begin:end]
    ocean = np.unpackbits(file["ocean"][k], bitorder="little")[:cells].astype(bool)
    expected = np.zeros((cells, 13 * 25))
    expected[:, np.ravel_multi_index(theirs.wet[k], (13, 5, 5))] = theirs.matrices[k].T.toarray()
    np.testing.assert_array_equal(matrix.toarray()[ocean], expected[ocean])
    again = tmp_path / "again.npz"
    factors(theirs.directory, "-o", again)
    assert again.read_bytes() == (tmp_path / "ours.npz").read_bytes()


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_a_pickle_is_executed(tmp_path, protocol):
    theirs = Theirs(tmp_path / "theirs")
    theirs.dump("land_mask/ecco_latlon_land_mask_1.xz", Touch(tmp_path / "touched"), protocol)
    error = factors(theirs.directory, "-o", tmp_path / "ours.npz", status=65)
    assert "land_mask_1.xz: pickle: offset" in error and "system, which is neither called nor read" in error
    assert not (tmp_path / "touched").exists() and not (tmp_path / "ours.npz").exists()


def test_what_is_broken_is_named(tmp_path):
    theirs = Theirs(tmp_path / "theirs")
    grid = theirs.directory / "latlon_grid/latlon_grid.xz"

    def broken(name, change, *expected, status=65):
        path = theirs.directory / name
        good = path.read_bytes()
        change(path, good)
        error = factors(theirs.directory, status=status)
        assert all(text in error for text in (name, *expected)), error
        path.write_bytes(good)

    broken("sparse/sparse_matrix_2.npz", lambda p, b: p.write_bytes(b[:-30]), "truncated")
    broken("sparse/sparse_matrix_2.npz", lambda p, b: p.write_bytes(b[:60] + bytes(9) + b[69:]))
    broken("sparse/sparse_matrix_2.npz", lambda p, b: p.unlink(), status=66)
    broken("sparse/sparse_matrix_0.npz", lambda p, b: scipy.sparse.save_npz(p, theirs.matrices[0][:-1]), "wet points")
    broken("land_mask/ecco_latlon_land_mask_0.xz", lambda p, b: p.write_bytes(b[:-40]), "truncated")
    broken("land_mask/ecco_latlon_land_mask_0.xz", lambda p, b: p.write_bytes(lzma.compress(pickle.dumps(np.ones(5)))), "5 values", "108 cells")
    broken("land_mask/ecco_latlon_land_mask_0.xz", lambda p, b: p.write_bytes(lzma.compress(pickle.dumps(np.ones(108))[:-20])), "pickle: offset")
    broken("latlon_grid/latlon_grid.xz", lambda p, b: p.write_bytes(b"this is no xz file"), "no xz file")
    broken("latlon_grid/latlon_grid.xz", lambda p, b: p.write_bytes(lzma.compress(pickle.dumps([1, 2]))), "item 2 of 2")
    assert grid.exists()
    factors(theirs.directory, "-o", tmp_path / "ours.npz")
    whole = (tmp_path / "ours.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert "cut.npz: npz" in factors(tmp_path / "cut.npz", status=65)
    (tmp_path / "field.data").write_bytes(bytes(100))
    assert "no field of float32 on 325 points" in factors(tmp_path / "ours.npz", "--map", tmp_path / "field.data", status=65)


def definition(directory, resolution, radius, k):
    """Bin-average by its definition, with all distances: a matrix (cells, points in the order of tiles), and the ocean mask."""
    read = lambda name: llc_grid.tiles(np.fromfile(directory / f"{name}.data", ">f4").astype(float))
    points = llc_grid.unit(read("XC").ravel(), read("YC").ravel())
    hfac = np.fromfile(directory / "hFacC.data", ">f4").reshape(-1, points.shape[0])
    wet = llc_grid.tiles(hfac)[k].ravel() > 0
    lat = -90 + resolution * (np.arange(round(180 / resolution)) + 0.5)
    lon = -180 + resolution * (np.arange(round(360 / resolution)) + 0.5)
    cells = llc_grid.unit(*np.meshgrid(lon, lat)).reshape(-1, 3)
    distance = EARTH * np.linalg.norm(cells[:, None] - points[None], axis=-1)
    reach = max(np.fromfile(directory / f"{name}.data", ">f4").max() for name in ("DXG", "DYG"))
    radius = np.repeat(radius(lat), len(lon)) if radius else np.zeros(len(cells))
    matrix = np.zeros(distance.shape)
    nearest = distance.argmin(1)
    ocean = wet[nearest] & (distance.min(1) <= np.maximum(np.floor(reach), radius))
    for cell in np.where(ocean)[0]:
        within = np.where((distance[cell] <= radius[cell]) & wet)[0] if radius[cell] > 0 else []
        matrix[cell, within if len(within) else nearest[cell]] = 1 / max(len(within), 1)
    return matrix, ocean


def matrix_of(file, k):
    npz = np.load(file)
    cells, points = len(npz["latitude"]) * len(npz["longitude"]), int(np.prod(json.loads(npz["factors.json"])["source_shape"]))
    matrix = scipy.sparse.csr_matrix((npz["weights"], npz["sources"], npz["offsets"]), (cells, points)).toarray()
    begin, end = npz["own_levels"][k : k + 2]
    own = scipy.sparse.csr_matrix((npz["own_weights"], npz["own_sources"], npz["own_offsets"]), (len(npz["own_cells"]), points))
    matrix[npz["own_cells"][begin:end]] = own[begin:end].toarray()
    ocean = np.unpackbits(npz["ocean"][k], bitorder="little")[:cells].astype(bool)
    matrix[~ocean] = 0
    return matrix, ocean


def method_1(lat):
    step = lat[1] - lat[0]
    band = np.sin(np.radians(lat + step / 2)) - np.sin(np.radians(lat - step / 2))
    return np.sqrt(EARTH**2 * np.radians(step) * band / np.pi)


@pytest.mark.parametrize("options, radius", [
    (["--method", "nearest"], None),
    (["--radius", "method_1"], method_1),
    (["--radius", "method_2"], lambda lat: np.full(lat.shape, np.sqrt(2) * 111e3 * (lat[1] - lat[0]) / 2)),
    (["--radius", "1500000"], lambda lat: np.full(lat.shape, 1.5e6)),
])
def test_distances_as_defined(tmp_path, options, radius):
    llc_grid.write_grid(tmp_path / "grid", n=6, levels=4)
    factors(tmp_path / "grid", *options, "--resolution", 5, "-o", tmp_path / "built.npz")
    for k in range(4):
        built, ocean = matrix_of(tmp_path / "built.npz", k)
        expected, expected_ocean = definition(tmp_path / "grid", 5, radius, k)
        np.testing.assert_array_equal(ocean, expected_ocean)
        np.testing.assert_array_equal(built, expected)


@pytest.mark.parametrize("n", [6, 9])
@pytest.mark.parametrize("resolution", [0.5, 3, 15])
def test_conservative_keeps_the_integral(tmp_path, n, resolution):
    hfac = llc_grid.write_grid(tmp_path / "grid", n=n, levels=3, dtype=">f8")
    factors(tmp_path / "grid", "--method", "conservative", "--resolution", resolution, "-o", tmp_path / "built.npz")
    file = np.load(tmp_path / "built.npz")
    rac = llc_grid.tiles(np.fromfile(tmp_path / "grid/RAC.data", ">f8").astype(float)).ravel()
    random = np.random.default_rng(3)
    cells = len(file["latitude"]) * len(file["longitude"])
    for k in range(3):
        wet = llc_grid.tiles(hfac[k]).ravel() > 0
        values = random.random(13 * n * n) + 0.5
        matrix = scipy.sparse.csr_matrix((file["weights"], file["sources"], file["offsets"]), (cells, 13 * n * n))
        out, area = matrix @ values, file["area"].copy()
        begin, end = file["own_levels"][k : k + 2]
        own = scipy.sparse.csr_matrix((file["own_weights"], file["own_sources"], file["own_offsets"]), (len(file["own_cells"]), 13 * n * n))
        which = file["own_cells"][begin:end]
        out[which], area[which] = (own @ values)[begin:end], file["own_area"][begin:end]
        ocean = np.unpackbits(file["ocean"][k], bitorder="little")[:cells].astype(bool)
        assert abs((out * area)[ocean].sum() / (rac * values)[wet].sum() - 1) < 1e-12
        assert abs(area[ocean].sum() / rac[wet].sum() - 1) < 1e-12
        # A cell that is covered wholly has its own area, of great circles.
        constant = np.where(ocean, 1.0, 0.0)
        sums = np.asarray(matrix.sum(1)).ravel()
        assert np.abs(sums[ocean & (np.diff(file["offsets"]) > 0)] - 1).max() < 1e-14 and constant.any()


def test_a_grid_that_disagrees_is_an_error(tmp_path):
    grid = tmp_path / "grid"
    llc_grid.write_grid(grid)
    whole = (grid / "hFacC.data").read_bytes()
    (grid / "hFacC.data").write_bytes(whole[:-4])
    assert "hFacC.data has" in factors(grid, status=65)
    (grid / "hFacC.data").unlink()
    assert "hFacC.data" in factors(grid, status=66)
    (grid / "hFacC.data").write_bytes(whole)
    (grid / "XC.data").write_bytes((grid / "XC.data").read_bytes()[:-8])
    assert "no field of an llc grid" in factors(grid, status=65)
    llc_grid.write_grid(grid)
    (grid / "tile003.mitgrid").write_bytes(bytes(16))
    assert "tile003.mitgrid: 16 bytes" in factors(grid, "--method", "conservative", status=65)
    llc_grid.write_grid(grid)
    for name, index, value, message in (
            ("XC.data", 40, np.nan, "XC.data: tile 1, j 0, i 4 has nan, which is not a longitude"),
            ("YC.data", 278, -91, "YC.data: tile 8, j 1, i 2 has -91, which is not a latitude"),
            ("RAC.data", 3, np.inf, "RAC.data: tile 0, j 0, i 3 has inf, which is not an area"),
            ("DXG.data", 3, -1, "DXG.data: tile 0, j 0, i 3 has -1, which is not a length"),
            ("hFacC.data", 468, 1.25, "hFacC.data: level 1, tile 0, j 0, i 0 has 1.25, which is not the open part"),
            ("DRF.data", 1, 0, "DRF.data: value 1 is 0, which is no thickness")):
        good = (grid / name).read_bytes()
        (grid / name).write_bytes(good[:4 * index] + np.array(value, ">f4").tobytes() + good[4 * index + 4:])
        assert message in factors(grid, status=65)
        (grid / name).write_bytes(good)
    for name in ("XG", "YG"):
        np.full(13 * 36, 12, ">f4").tofile(grid / f"{name}.data")
    assert "tile001.mitgrid: the corner of tile 0, j 0, i 0 lies at" in factors(grid, "--method", "conservative", status=65)
    assert "do not fill" in factors(grid, "--resolution", "7", status=64)
    assert "--radius is" in factors(grid, "--radius", "far", status=64)


@pytest.fixture(scope="module")
def real_grid(tmp_path_factory):
    grid = tmp_path_factory.mktemp("llc90")
    for path in (ECCO / "grid_ECCOV4r4").iterdir():
        if path.suffix in (".data", ".mitgrid"):
            shutil.copy(path, grid)
    (grid / "hFacC.data").write_bytes(gzip.decompress((ECCO / "recon/hFacC.data.gz").read_bytes()))
    return grid


@real
def test_real_factors_map_as_scipy_does(tmp_path):
    theirs = ECCO / "mapping_factors/V4r4"
    factors(theirs, "-o", tmp_path / "v4r4.npz")
    synthetic = ECCO / "synthetic3d/V4r4/diags_monthly/THETA_mon_mean/THETA_mon_mean.0000000732.data.xz"
    fields = np.frombuffer(lzma.open(synthetic).read(), ">f4").reshape(50, 105300)
    ours = map_with(tmp_path / "v4r4.npz", fields, tmp_path)
    wet = pickle.loads(lzma.open(theirs / "latlon_grid/latlon_grid.xz").read())[3]
    for k in range(50):
        mask = pickle.loads(lzma.open(theirs / f"land_mask/ecco_latlon_land_mask_{k}.xz").read())
        values = scipy.sparse.load_npz(theirs / f"sparse/sparse_matrix_{k}.npz").T.dot(llc_grid.tiles(fields[k])[wet[k]])
        values = np.where(np.isnan(mask), np.nan, values).astype(np.float32)
        same_bits(ours[k].ravel(), values)


@real
def test_real_factors_are_nearest_neighbours(tmp_path, real_grid):
    """All 50 matrices and masks of V4r4, whose radius of some kilometres was taken for metres."""
    factors(ECCO / "mapping_factors/V4r4", "-o", tmp_path / "v4r4.npz")
    factors(real_grid, "--method", "nearest", "-o", tmp_path / "nearest.npz")
    assert "every weight of 50 levels" in factors(tmp_path / "nearest.npz", "--compare", tmp_path / "v4r4.npz")
    factors(real_grid, "--method", "bin-average", "--radius", "30", "-o", tmp_path / "metres.npz")
    factors(tmp_path / "metres.npz", "--compare", tmp_path / "v4r4.npz")
    factors(real_grid, "-o", tmp_path / "built.npz")
    assert "draw on other sources" in subprocess.run(
        [UPWELL, "produce", "factors", tmp_path / "built.npz", "--compare", tmp_path / "v4r4.npz"], capture_output=True, text=True).stdout


@real
def test_real_grid_keeps_the_integral(tmp_path, real_grid):
    factors(real_grid, "--method", "conservative", "-o", tmp_path / "built.npz")
    file = np.load(tmp_path / "built.npz")
    rac = llc_grid.tiles(np.fromfile(real_grid / "RAC.data", ">f4").astype(float)).ravel()
    hfac = np.fromfile(real_grid / "hFacC.data", ">f4").reshape(50, -1)
    values = np.random.default_rng(4).random(105300)
    shared = scipy.sparse.csr_matrix((file["weights"], file["sources"], file["offsets"]), (259200, 105300)) @ values
    own = scipy.sparse.csr_matrix((file["own_weights"], file["own_sources"], file["own_offsets"]), (len(file["own_cells"]), 105300)) @ values
    for k in range(50):
        out, area = shared.copy(), file["area"].copy()
        begin, end = file["own_levels"][k : k + 2]
        out[file["own_cells"][begin:end]], area[file["own_cells"][begin:end]] = own[begin:end], file["own_area"][begin:end]
        ocean = np.unpackbits(file["ocean"][k], bitorder="little").astype(bool)
        wet = llc_grid.tiles(hfac[k]).ravel() > 0
        assert abs((out * area)[ocean].sum() / (rac * values)[wet].sum() - 1) < 1e-12


# --- As edp_create_factors ----------------------------------------------------------------------------------------------

CONFIGURATION = """
ecco_version: 'V0'
num_vertical_levels: 4
latlon_grid_resolution: 10
latlon_grid_area_extent: [-180.0, 90.0, 180.0, -90.0]
custom_grid_and_factors: False
ecco_grid_dir: ''
mapping_factors_dir: ''
"""


@pytest.fixture
def production(tmp_path):
    """A working directory as EDP's is: configuration and grid; the grid as ECCO's netCDF file too."""
    place = tmp_path / "ecco_grids/V0"
    llc_grid.write_grid(place, smooth=True)
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    write_netcdf_grid(place, tmp_path / "GRID_GEOMETRY_native.nc")
    return tmp_path


def write_netcdf_grid(place, path):
    def field(name, levels=1):
        values = np.fromfile(place / f"{name}.data", ">f4").astype("f4")
        return llc_grid.tiles(values.reshape(levels, -1))
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in dict(k=4, tile=13, j=6, i=6, nb=4).items():
            nc.createDimension(name, size)
        for name, raw in (("XC", "XC"), ("YC", "YC"), ("rA", "RAC"), ("dxG", "DXG"), ("dyG", "DYG")):
            nc.createVariable(name, "f4", ("tile", "j", "i"))[:] = field(raw)[0]
        nc.createVariable("hFacC", "f4", ("k", "tile", "j", "i"), zlib=True)[:] = field("hFacC", 4)
        nc.createVariable("drF", "f4", ("k",))[:] = np.fromfile(place / "DRF.data", ">f4")
        corners = []
        for lon, lat in llc_grid.corners_of_faces(6):
            for j in range(0, lon.shape[0] - 1, 6):
                for i in range(0, lon.shape[1] - 1, 6):
                    part = np.stack([lon, lat])[:, j:j + 7, i:i + 7]
                    corners.append(np.stack([part[:, :-1, :-1], part[:, :-1, 1:], part[:, 1:, 1:], part[:, 1:, :-1]], -1))
        for axis, name in enumerate(("XC_bnds", "YC_bnds")):
            nc.createVariable(name, "f8", ("tile", "j", "i", "nb"))[:] = [c[axis] for c in corners]


def create(place, *arguments, status=0, program="edp_create_factors"):
    command = [str(Path(UPWELL).parent / program), *map(str, arguments)]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert run.returncode == status, f"{command}\nstatus {run.returncode}\n{run.stdout}{run.stderr}"
    return run.stdout if status == 0 else run.stderr


def same_factors(a, b):
    assert "equal to" in factors(a, "--compare", b)


def test_names_of_edp_are_installed():
    for name in ("edp_create_factors", "edp_create_job_task_list", "edp_generate_dataproducts", "edp_generate_datasets",
                 "edp_subset_tasklists"):
        assert (Path(UPWELL).parent / name).is_symlink(), name


def test_options_of_2024(production):
    text = create(production, "--cfgfile", "config.yaml", "--workingdir", ".", "--dims", "2", "3", "-l", "INFO")
    assert "18 x 36 cells" in text
    made = production / "mapping_factors/V0/factors.npz"
    factors(production / "ecco_grids/V0", "--resolution", "10", "-o", production / "wanted.npz")
    same_factors(made, production / "wanted.npz")


@pytest.mark.parametrize("option", ["--cfgfile", "--ecco_cfg_loc"])
def test_options_of_2026(production, option):
    with open(production / "config.yaml", "a") as config:
        config.write("latlon_effective_grid_radius: null\nlatlon_grid_radius_method: 'method_2'\n")
    arguments = [option, "config.yaml", "--grid_file", "GRID_GEOMETRY_native.nc", "--output_dir", "factors", "2", "3", "--log", "INFO"]
    create(production, *arguments)
    made = production / "factors/factors.npz"
    factors(production / "ecco_grids/V0", "--resolution", "10", "--radius", "method_2", "-o", production / "wanted.npz")
    same_factors(made, production / "wanted.npz")
    before = made.stat().st_mtime_ns
    assert "opened and checked" in create(production, *arguments) and made.stat().st_mtime_ns == before
    create(production, *arguments, "--force")
    assert made.stat().st_mtime_ns > before
    text = (production / "config.yaml").read_text().replace("resolution: 10", "resolution: 20")
    (production / "config.yaml").write_text(text)
    assert "other cells" in create(production, *arguments, status=73)


def test_factors_of_another_grid_are_not_kept(production):
    create(production, "--cfgfile", "config.yaml")
    made = production / "mapping_factors/V0/factors.npz"
    before = made.read_bytes()
    assert "opened and checked" in create(production, "--cfgfile", "config.yaml")
    assert "--any-wet-in-column" in create(production, "--cfgfile", "config.yaml", "--any-wet-in-column", status=73)
    wet = production / "ecco_grids/V0/hFacC.data"
    values = np.fromfile(wet, ">f4")
    values[np.flatnonzero(values)[0]] = 0
    values.tofile(wet)
    said = create(production, "--cfgfile", "config.yaml", status=73)
    assert "made of another grid: " in said and "--force makes it again" in said
    assert made.read_bytes() == before
    create(production, "--cfgfile", "config.yaml", "--force")
    assert made.read_bytes() != before


def test_a_radius_in_kilometres(production):
    with open(production / "config.yaml", "a") as config:
        config.write("latlon_effective_grid_radius: 900\n")
    create(production, "--cfgfile", "config.yaml", "--dims", "2")
    factors(production / "ecco_grids/V0", "--resolution", "10", "--radius", "900000", "-o", production / "wanted.npz")
    same_factors(production / "mapping_factors/V0/factors.npz", production / "wanted.npz")


def test_the_grid_as_a_netcdf_file_and_in_an_archive(production):
    raw = production / "ecco_grids/V0"
    for method in ("bin-average", "conservative"):
        options = ("--resolution", "10", "--method", method, "--any-wet-in-column")
        factors(raw, *options, "-o", production / "raw.npz")
        factors(production / "GRID_GEOMETRY_native.nc", *options, "-o", production / "nc.npz")
        same_factors(production / "raw.npz", production / "nc.npz")
    with tarfile.open(production / "grid.tar.gz", "w:gz") as archive:
        archive.add(raw, "V0")
    factors(production / "grid.tar.gz", *options, "-o", production / "tar.npz")
    same_factors(production / "raw.npz", production / "tar.npz")


def test_options_count_beside_a_configuration(production):
    text = CONFIGURATION.replace("latlon_grid_resolution: 10\n", "")
    (production / "config.yaml").write_text(text)
    assert "latlon_grid_resolution: missing; wanted is a number, or --resolution" in create(
        production, "--cfgfile", "config.yaml", status=78)
    made = production / "mapping_factors/V0/factors.npz"
    for config in (text, CONFIGURATION.replace("resolution: 10", "resolution: 20")):
        (production / "config.yaml").write_text(config)
        options = ("--resolution", "10", "--radius", "900000", "--extent", "-180", "-40", "180", "40")
        create(production, "--cfgfile", "config.yaml", "--force", *options)
        factors(production / "ecco_grids/V0", *options, "-o", production / "wanted.npz")
        same_factors(made, production / "wanted.npz")
    same = options[:2] + options[4:]
    assert "opened and checked" in create(production, "--cfgfile", "config.yaml", *options)
    assert "radius 900000" in create(production, "--cfgfile", "config.yaml", *same, status=73)
    assert "--force makes it again" in create(production, "--cfgfile", "config.yaml", *same, "--method", "nearest", status=73)


def test_options_without_effect_are_refused(production):
    factors(production / "ecco_grids/V0", "--resolution", "10", "-o", production / "a.npz")
    for option in (("--resolution", "5"), ("--method", "nearest"), ("--radius", "5"), ("--extent", "0", "0", "10", "10"),
                   ("--any-wet-in-column",)):
        said = factors(production / "a.npz", *option, status=64)
        assert f"a.npz: a file of factors, which is not made anew; {option[0]} is for factors from a grid" in said
    assert "--output is for what is made" in factors(production / "a.npz", "-o", production / "b.npz", status=64)


@pytest.mark.parametrize("change, options, status, message", [
    ("num_vertical_levels: 5", [], 78, "num_vertical_levels is 5, and grid"),
    ("latlon_grid_resolution: 7", [], 78, "config.yaml:5:26: latlon_grid_area_extent: cells of 7 degrees do not fill"),
    ("latlon_grid_area_extent: [1, 2, 3]", [], 78, "latlon_grid_area_extent: not [west, north, east, south]"),
    ("custom_grid_and_factors: True", [], 78, "custom_grid_and_factors"),
    ("latlon_grid_radius_method: 'method_3'", [], 78, "method_3"),
    ("latlon_effective_grid_radius: far", [], 78, "latlon_effective_grid_radius: 'far' is not a number"),
    ("ecco_grid_dir: 'nowhere'", [], 66, "nowhere"),
    ("", ["--grid_file", "nothing.nc"], 66, "nothing.nc"),
    ("", ["4"], 64, "dimensions are 2 and 3, not '4'"),
])
def test_a_configuration_that_makes_no_factors(production, change, options, status, message):
    lines = [change if change and line.startswith(change.split(":")[0]) else line for line in CONFIGURATION.splitlines()]
    lines += [] if change in lines else [change]
    (production / "config.yaml").write_text("\n".join(lines) + "\n")
    assert message in create(production, "--cfgfile", "config.yaml", *options, status=status)
    assert not (production / "mapping_factors").exists()


def test_factors_without_input_or_configuration(production):
    assert "INPUT is missing" in create(production, status=64)
    assert "go with a configuration" in create(production, "--dims", "2", status=64)
    assert "there is one INPUT" in create(production, "a", "b", status=64)


# --- Cavities under ice shelves ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["nearest", "bin-average", "conservative"])
def test_any_wet_in_column(tmp_path, method):
    """Points that are dry at the surface and wet below have values in the layer for columns, as if the surface were wet there."""
    hfac = llc_grid.write_grid(tmp_path / "grid", smooth=True)
    wet = hfac > 0
    cavity = wet[1] & (np.random.default_rng(5).random(wet.shape[1]) < 0.3)
    hfac[0][cavity] = 0
    hfac.astype(">f4").tofile(tmp_path / "grid/hFacC.data")
    options = ("--resolution", "10", "--method", method)
    factors(tmp_path / "grid", *options, "--any-wet-in-column", "-o", tmp_path / "with.npz")
    factors(tmp_path / "grid", *options, "-o", tmp_path / "without.npz")
    column = (hfac > 0).any(0)
    assert column.sum() > (hfac[0] > 0).sum()
    hfac[0] = column
    hfac.astype(">f4").tofile(tmp_path / "grid/hFacC.data")
    factors(tmp_path / "grid", *options, "-o", tmp_path / "open.npz")
    field = np.where(column, np.random.default_rng(6).normal(size=len(column)), 0).astype("f4")[None]
    field.astype(">f4").tofile(tmp_path / "field.data")
    layers = {}
    for name, more in (("with", ["--any-wet-in-column"]), ("open", []), ("without", [])):
        factors(tmp_path / f"{name}.npz", "--map", tmp_path / "field.data", "--map-to", tmp_path / "out.npy", *more)
        layers[name] = np.load(tmp_path / "out.npy")
    same_bits(layers["with"], layers["open"])
    assert np.isfinite(layers["with"]).sum() > np.isfinite(layers["without"]).sum()
    file = np.load(tmp_path / "with.npz")
    assert json.loads(file["factors.json"])["any_wet_in_column"] is True
    assert file["wet"].shape[0] == 5 and file["own_levels"].shape == (6,) and file["depth_bounds"].shape == (4, 2)
    # Levels are as without it.
    factors(tmp_path / "with.npz", "--map", tmp_path / "field.data", "--map-to", tmp_path / "out.npy")
    same_bits(np.load(tmp_path / "out.npy"), layers["without"])
    assert "has other factors" in factors(tmp_path / "with.npz", "--compare", tmp_path / "without.npz", status=65)
    assert "--any-wet-in-column" in factors(tmp_path / "without.npz", "--map", tmp_path / "field.data", "--any-wet-in-column", status=64)
