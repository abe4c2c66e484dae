"""A small ECCO for tests: an llc grid (tiles of 6 x 6 cells and 4 levels unless asked otherwise), its metadata, configuration, raw output,
mapping factors and tasks, in the forms of ECCO dataset production; and what a granule's values must be, by NumPy alone.
"""

import json
import lzma
import pickle
from pathlib import Path

import netCDF4
import numpy as np

TILES = 13
FILL = np.float32(9.969209968386869e36)
# The neighbour to the right of and above each tile, and whether it is met by its first column (X) or row (Y).
RIGHT = {0: (3, "X"), 1: (4, "X"), 2: (5, "X"), 3: (9, "Y"), 4: (8, "Y"), 5: (7, "Y"), 6: (7, "X"), 7: (8, "X"),
         8: (9, "X"), 10: (11, "X"), 11: (12, "X")}
ABOVE = {0: (1, "Y"), 1: (2, "Y"), 2: (6, "X"), 3: (4, "Y"), 4: (5, "Y"), 5: (6, "Y"), 6: (10, "X"), 7: (10, "Y"),
         8: (11, "Y"), 9: (12, "Y"), 10: (2, "X"), 11: (1, "X"), 12: (0, "X")}
# Name, whether it has depths, and code, as MITgcm lists them.
DIAGNOSTICS = [("SSH", False, "SM      M1"), ("ETAN", False, "SM      M1"), ("THETA", True, "SMR     MR"),
               ("SALT", True, "SMR     MR"), ("UVEL", True, "UUR     MR"), ("VVEL", True, "VVR     MR"),
               ("WVELMASS", True, "WM      LR"), ("EXFuwind", False, "UM      U1"), ("EXFvwind", False, "VM      U1"),
               ("momVort3", True, "SZR     MR")]


def compact(tiles):
    """[level][tile][j][i] as MITgcm writes it: faces one after another, the last two three tiles wide."""
    n = tiles.shape[-1]
    level = tiles.reshape(-1, TILES, n, n)
    faces = [level[:, :7].reshape(len(level), -1)]
    for first in (7, 10):
        faces.append(level[:, first:first + 3].transpose(0, 2, 1, 3).reshape(len(level), -1))
    return np.concatenate(faces, axis=1)


def east_north(x, y, cs, sn, on_faces=True):
    """What xgcm and ecco_v4_py make of a vector, in float32 throughout."""
    if on_faces:
        right = np.zeros_like(x[..., :1])
        above = np.zeros_like(y[..., :1, :])
        for tile, (other, axis) in RIGHT.items():
            right[:, tile, :, 0] = x[:, other, :, 0] if axis == "X" else y[:, other, 0, ::-1]
        for tile, (other, axis) in ABOVE.items():
            above[:, tile, 0, :] = y[:, other, 0, :] if axis == "Y" else x[:, other, ::-1, 0]
        x = np.float32(0.5) * (x + np.concatenate([x[..., 1:], right], -1))
        y = np.float32(0.5) * (y + np.concatenate([y[..., 1:, :], above], -2))
    return x * cs - y * sn, x * sn + y * cs


class World:
    """Everything below one directory; `raw` has the raw fields by name, `wet_*` the masks."""

    def __init__(self, root, n=6, levels=4, rows=9, columns=18):
        self.root = Path(root)
        self.n, self.levels, self.rows, self.columns = n, levels, rows, columns
        self.level_shape = (TILES, n, n)
        self.random = np.random.default_rng(4)
        self.wet_centre = np.arange(levels)[:, None, None, None] < self.make_depth()
        self.wet_west = self.wet_centre & np.roll(self.wet_centre, 1, -1)
        self.wet_south = self.wet_centre & np.roll(self.wet_centre, 1, -2)
        angle = self.random.uniform(-np.pi, np.pi, self.level_shape)
        self.cs, self.sn = np.cos(angle).astype("f4"), np.sin(angle).astype("f4")
        self.raw = {}
        self.make_grid()
        self.make_metadata()
        self.make_config()
        self.make_factors()
        for name, deep, _ in DIAGNOSTICS:
            self.raw[name] = self.make_field(name, levels if deep else 1)
            self.write_raw(name, self.raw[name])

    def make_depth(self):
        return self.random.integers(0, self.levels + 1, self.level_shape)

    def make_field(self, name, levels):
        return self.random.normal(size=(levels, *self.level_shape)).astype("f4")

    # --- Inputs -------------------------------------------------------------------------------------------------------

    def make_grid(self):
        grid = self.root / "grid"
        grid.mkdir(parents=True)
        n = self.n
        sizes = [(3 * n, n), (3 * n, n), (n, n), (n, 3 * n), (n, 3 * n)]
        self.corners = [self.random.uniform(-90, 90, (2, rows + 1, columns + 1)) for rows, columns in sizes]
        self.position = {name: self.random.uniform(-90, 90, self.level_shape).astype("f4") for name in ("XC", "YC")}
        self.position["XG"], self.position["YG"] = self.corners_of_cells()[..., 0].astype("f4")
        for name, values in self.position.items():
            compact(values).astype(">f4").tofile(grid / f"{name}.data")
        self.faces = -np.cumsum(np.arange(self.levels + 1, dtype="f4") * 10)
        ((self.faces[1:] + self.faces[:-1]) / 2).astype(">f4").tofile(grid / "RC.data")
        self.faces.astype(">f4").tofile(grid / "RF.data")
        with netCDF4.Dataset(grid / "GRID_GEOMETRY_native.nc", "w") as nc:
            for name, size in dict(tile=TILES, j=self.n, i=self.n, j_g=self.n, i_g=self.n, k=self.levels, nb=4, nv=2).items():
                nc.createDimension(name, size)
            for name, axes, values in (("maskC", "k tile j i", self.wet_centre), ("maskW", "k tile j i_g", self.wet_west),
                                       ("maskS", "k tile j_g i", self.wet_south)):
                nc.createVariable(name, "i1", axes.split(), zlib=True)[:] = values
            nc.createVariable("CS", "f4", ("tile", "j", "i"))[:] = self.cs
            nc.createVariable("SN", "f4", ("tile", "j", "i"))[:] = self.sn
            self.bounds = self.corners_of_cells().astype("f4")
            nc.createVariable("XC_bnds", "f4", ("tile", "j", "i", "nb"))[:] = self.bounds[0]
            nc.createVariable("YC_bnds", "f4", ("tile", "j", "i", "nb"))[:] = self.bounds[1]
            nc.createVariable("Z_bnds", "f4", ("k", "nv"))[:] = np.stack([self.faces[:-1], self.faces[1:]], -1)
        self.centres = {"lat": -90 + 180 / self.rows * (np.arange(self.rows) + 0.5),
                        "lon": -180 + 360 / self.columns * (np.arange(self.columns) + 0.5)}
        with netCDF4.Dataset(grid / "GRID_GEOMETRY_latlon.nc", "w") as nc:
            for name, size in dict(latitude=self.rows, longitude=self.columns, Z=self.levels).items():
                nc.createDimension(name, size)
            nc.createVariable("latitude", "f4", ("latitude",))[:] = self.centres["lat"]
            nc.createVariable("longitude", "f4", ("longitude",))[:] = self.centres["lon"]
            nc.createVariable("Z", "f4", ("Z",))[:] = (self.faces[1:] + self.faces[:-1]) / 2
        rule = "-" * 40
        lines = ["  Num  |<-Name->|Levs|  mate |<- code ->|<--  Units   -->|<- Tile (max=80c)", rule]
        lines += [f"  {i + 1:4d} |{name:8s}|{self.levels if deep else 1:3d} |       |{code:10s}|m               |Something"
                  for i, (name, deep, code) in enumerate(DIAGNOSTICS)]
        (grid / "available_diagnostics.log").write_text("\n".join(lines) + "\n")

    def corners_of_cells(self):
        """XC_bnds and YC_bnds, [2][13][n][n][4], counter-clockwise from the corner of the lowest i and j."""
        tiles = []
        for face in self.corners:
            quads = np.stack([face[:, :-1, :-1], face[:, :-1, 1:], face[:, 1:, 1:], face[:, 1:, :-1]], -1)
            for j in range(0, quads.shape[1], self.n):
                tiles += [quads[:, j:j + self.n, i:i + self.n] for i in range(0, quads.shape[2], self.n)]
        return np.stack(tiles, 1)

    def write_raw_grid(self, kind=">f4"):
        """What a grid has that does without its netCDF files; open parts of cells in this precision, which a .meta says."""
        grid = self.root / "grid"
        for name, wet in (("hFacC", self.wet_centre), ("hFacW", self.wet_west), ("hFacS", self.wet_south)):
            compact(wet * self.random.uniform(0.2, 1, wet.shape)).astype(kind).tofile(grid / f"{name}.data")
            sizes = [self.n, TILES * self.n, self.levels]
            (grid / f"{name}.meta").write_text(
                f" nDims = [ 3 ];\n dimList = [ {', '.join(f'{s}, 1, {s}' for s in sizes)} ];\n"
                f" dataprec = [ 'float{8 * int(kind[2])}' ];\n nrecords = [ 1 ];\n")
        for name, values in (("AngleCS", self.cs), ("AngleSN", self.sn)):
            compact(values).astype(">f4").tofile(grid / f"{name}.data")
        for number, face in enumerate(self.corners, 1):
            fields = np.zeros((16, *face.shape[1:]), ">f8")
            fields[5], fields[6] = face
            fields.tofile(grid / f"tile{number:03}.mitgrid")

    def make_metadata(self):
        directory = self.root / "metadata"
        directory.mkdir()

        def write(name, records):
            (directory / f"Test_{name}.json").write_text(json.dumps(records))

        def variable(name, keywords, **more):
            return {"name": name, "long_name": f"long {name}", "units": "m", "comments_1": "One", "comments_2": "Two.",
                    "GCMD_keywords": keywords, "grid_dimension": "2D", "coverage_content_type": "modelResult", **more}

        write("variable_metadata", [
            variable("SSH", "OCEANS > SSH", standard_name="sea_surface_height"), variable("ETAN", "OCEANS > SSH, OCEANS > ETA"),
            variable("THETA", "OCEANS > TEMPERATURE", direction="none"), variable("UVEL", "OCEANS > U"),
            variable("WVEL", "OCEANS > W", comments_1="First."), variable("VVEL", "OCEANS > V")])
        write("variable_metadata_for_latlon_datasets", [
            variable("EVEL", "OCEANS > E", standard_name="eastward_sea_water_velocity"),
            variable("NVEL", "OCEANS > N", standard_name="northward_sea_water_velocity"),
            variable("EXFewind", "AIR > E", standard_name="eastward_wind", comments_1="", comments_2=""),
            variable("SSH", "OCEANS > SSH", comments_1="On the lat-lon grid.", comments_2="")])
        write("geometry_metadata_for_native_datasets", [])
        write("variable_metadata_for_1D_datasets", [
            variable("Pa_global", "AIR > P", standard_name="air_pressure_at_sea_level", comments_1="", comments_2=""),
            variable("theta_mean", "OCEANS > TEMPERATURE")])
        time = [{"name": "time", "standard_name": "time", "long_name": "time", "units": "hours since 1992-01-01 12:00:00",
                 "axis": "T", "bounds": "time_bnds", "comment": "", "grid_dimension": "2D 3D"},
                {"name": "time_bnds", "long_name": "bounds", "units": "hours since 1992-01-01 12:00:00"}]
        write("time_coordinate_metadata", time)
        write("coordinate_metadata_for_native_datasets", time + [
            {"name": "XC", "bounds": "XC_bnds", "units": "degrees_east", "standard_name": "longitude"},
            {"name": "XC_bnds", "long_name": "corners", "units": "degrees_east"},
            {"name": "Z", "bounds": "Z_bnds", "units": "m", "positive": "up"},
            {"name": "Z_bnds", "units": "m", "positive": "up", "comment": "pairs"}])
        write("coordinate_metadata_for_latlon_datasets", time + [
            {"name": "latitude", "units": "degrees_north", "bounds": "latitude_bnds", "axis": "Y"},
            {"name": "latitude_bnds", "units": "degrees_north", "long_name": "edges"}])
        write("coordinate_metadata_for_1D_datasets", time + [{"name": "Z", "units": "m", "positive": "up"}])
        write("global_metadata_for_1D_datasets", [{"name": "comment", "type": "s", "value": "Series."}])
        write("global_metadata_for_all_datasets", [
            {"name": "Conventions", "type": "s", "value": "CF-1.8"}, {"name": "author", "type": "s", "value": "Nobody"},
            {"name": "keywords", "type": "s", "value": "MODELS > ALL"}, {"name": "title", "type": "s", "value": "TBD_DATASET"},
            {"name": "time_coverage_start", "type": "s", "value": "TBD_DATASET"},
            {"name": "geospatial_lat_max", "type": "f", "value": 90, "grid_dimension": "2D 3D"},
            {"name": "geospatial_vertical_max", "type": "f", "value": "0.0", "grid_dimension": "3D"},
            {"name": "cycle", "type": "i", "value": 7}])
        write("global_metadata_for_native_datasets", [{"name": "comment", "type": "s", "value": "On tiles."}])
        write("global_metadata_for_latlon_datasets", [{"name": "comment", "type": "s", "value": "On a grid."}])
        (directory / "podaac.csv").write_text(
            "x,DATASET.LONG_NAME,DATASET.SHORT_NAME,DATASET.FILENAME,DATASET.PERSISTENT_ID\n"
            'a,"Sea level, ""monthly""",SSH_MONTHLY,SSH_mon_mean_1992-01_ECCO_V0_native_llc0006.nc,PODAAC-SSHM\n'
            "c,Mixing,MIXING_TI,MIXING_ECCO_V0_native_llc0006.nc,PODAAC-MIX\n"
            "d,Pressure,PRES_SNAP,GLOBAL_PRES_snap_ECCO_V0_1D.nc,PODAAC-PRES\n"
            "b,Snapshots,SSH_SNAP,SSH_snap_1992-01-01T000000_ECCO_V0_native_llc0006.nc,PODAAC-SNAP\n")

    def make_config(self, **changes):
        keys = dict(ecco_version="V0", product_version="Version 0", array_precision="float32",
                    model_start_time="1992-01-01T12:00:00", model_end_time="2000-01-01T00:00:00", model_timestep="1",
                    model_timestep_units="h", geospatial_vertical_min="-100.5", podaac_metadata_filename="podaac.csv",
                    history="Made", references="None", source="A test", summary="Summary.", project_summary="Project.",
                    doi_prefix="10.5067", doi_authority="https://doi.org", metadata_link_root="https://example.org/?s=")
        keys.update(changes)
        self.config = self.root / "config.yaml"
        self.config.write_text("".join(f"{key}: {json.dumps(value) if key != 'geospatial_vertical_min' else value}\n"
                                       for key, value in keys.items() if value is not None))

    def make_factors(self):
        """Averages of one to three random wet points a cell, in the files of EDP."""
        factors = self.root / "factors"
        for name in ("sparse", "land_mask", "latlon_grid"):
            (factors / name).mkdir(parents=True)
        self.mapping = []
        cells = self.rows * self.columns
        for level in range(self.levels):
            wet = np.flatnonzero(self.wet_centre[level])
            ocean = self.random.random(cells) < 0.7
            sources = [np.sort(self.random.choice(len(wet), self.random.integers(1, 4), replace=False)) if ocean[c] else []
                       for c in range(cells)]
            entries = sorted((s, c, 1 / len(row)) for c, row in enumerate(sources) for s in row)
            rows, columns = [e[0] for e in entries], [e[1] for e in entries]
            indptr = np.searchsorted(rows, np.arange(len(wet) + 1)).astype("i4")
            self.write_level(level, len(wet), np.int32(columns), indptr, np.float64([e[2] for e in entries]), ocean)
            self.mapping.append((wet, ocean, sources))
        self.write_target_grid()

    def write_level(self, level, wet, columns, indptr, weights, ocean):
        factors = self.root / "factors"
        np.savez_compressed(factors / f"sparse/sparse_matrix_{level}.npz", indices=columns, indptr=indptr,
                            format=np.array(b"csr"), shape=np.int64([wet, len(ocean)]), data=weights)
        with lzma.open(factors / f"land_mask/ecco_latlon_land_mask_{level}.xz", "wb", preset=0) as out:
            pickle.dump(np.where(ocean, 1.0, np.nan), out)

    def write_target_grid(self):
        lat, lon = self.centres["lat"], self.centres["lon"]
        self.cell_bounds = {"lat": np.stack([lat - 90 / self.rows, lat + 90 / self.rows], -1),
                            "lon": np.stack([lon - 180 / self.columns, lon + 180 / self.columns], -1)}
        depths = np.float64(np.stack([self.faces[:-1], self.faces[1:]], -1))
        grid = [self.cell_bounds, depths, {"shape": (self.rows, self.columns), "lats_1D": lat, "lons_1D": lon},
                {level: np.where(self.wet_centre[level]) for level in range(self.levels)}]
        with lzma.open(self.root / "factors/latlon_grid/latlon_grid.xz", "wb", preset=0) as out:
            pickle.dump(grid, out)

    def write_raw(self, name, tiles, tag="mon_mean", step=732, kind=">f4", **meta):
        directory = self.root / f"raw/{name}_{tag}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}_{tag}.{step:010d}"
        compact(tiles).astype(kind).tofile(f"{path}.data")
        sizes = [self.n, TILES * self.n] + ([self.levels] if len(tiles) > 1 else [])
        items = dict(nDims=f"[ {len(sizes)} ]", dimList="[\n" + ",\n".join(f" {s}, 1, {s}" for s in sizes) + "\n ]",
                     dataprec=f"[ '{'float32' if kind == '>f4' else 'float64'}' ]", nrecords="[ 1 ]",
                     timeStepNumber=f"[ {step} ]", timeInterval=f"[ {3600.0} {3600.0 * step} ]", nFlds="[ 1 ]",
                     fldList=f"{{\n '{name:8s}'\n }}")
        items.update(meta)
        Path(f"{path}.meta").write_text("".join(f" {key} = {value};\n" for key, value in items.items()))
        return [f"{path}.data", f"{path}.meta"]

    def write_series(self, name, step, values, tag="mon_mean", kind=">f4", **meta):
        """One value, or one a level, at one step."""
        directory = self.root / f"raw/{name}_{tag}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}_{tag}.{step:010d}"
        np.asarray(values).astype(kind).tofile(f"{path}.data")
        items = dict(nDims="[ 3 ]", dimList=f"[ 1, 1, 1, 1, 1, 1, {np.size(values)}, 1, {np.size(values)} ]",
                     dataprec=f"[ '{'float32' if kind == '>f4' else 'float64'}' ]", nrecords="[ 1 ]",
                     timeStepNumber=f"[ {step} ]", timeInterval=f"[ {3600.0 * step} ]")
        items.update(meta)
        Path(f"{path}.meta").write_text("".join(f" {key} = {value};\n" for key, value in items.items()))
        return [f"{path}.data", f"{path}.meta"]

    # --- Tasks --------------------------------------------------------------------------------------------------------

    def task(self, name="SSH", variables=None, kind="native", dimension="2D", tag="mon_mean", date="1992-01", step=732,
             **changes):
        """`variables`: the granule's, each with the raw ones that it is made of."""
        label = f"llc{self.n:04d}" if kind == "native" else "regular"
        files = {}
        for variable, sources in (variables or {"SSH": ["SSH"], "ETAN": ["ETAN"]}).items():
            files[variable] = [[str(self.root / f"raw/{s}_{tag}/{s}_{tag}.{step:010d}.{e}") for e in ("data", "meta")]
                               for s in sources]
        metadata = {"name": name, "dimension": dimension, "time_coverage_start": "1992-01-01T12:00:00",
                    "time_coverage_end": "1992-02-01T00:00:00", "time_coverage_center": "1992-01-16T18:00:00",
                    "time_long_name": "center time of averaging period", "time_coverage_duration": "P1M",
                    "time_coverage_resolution": "P1M", "summary": "This dataset."}
        metadata.update(changes.pop("metadata", {}))
        return {"granule": str(self.root / f"out/{name}_{tag}_{date}_ECCO_V0_{kind}_{label}.nc"), "variables": files,
                "ecco_grid_loc": str(self.root / "grid"), "ecco_mapping_factors_loc": str(self.root / "factors"),
                "ecco_metadata_loc": str(self.root / "metadata"), "dynamic_metadata": metadata, **changes}

    # --- Truth --------------------------------------------------------------------------------------------------------

    def native(self, values, wet):
        return np.where(wet[:len(values)], values, FILL)

    def latlon(self, values):
        """Sums in double precision over ascending sources, each product rounded; then float32."""
        out = np.full((len(values), self.rows * self.columns), FILL)
        for level, field in enumerate(values):
            wet, ocean, sources = self.mapping[level]
            points = field.ravel()[wet].astype("f8")
            for cell in np.flatnonzero(ocean):
                total = 0.0
                for source in sources[cell]:
                    total += 1 / len(sources[cell]) * points[source]
                out[level, cell] = np.float32(total)
        return out.reshape(len(values), self.rows, self.columns)
