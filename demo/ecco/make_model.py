"""Makes what an ocean model leaves behind, small and from formulas: an llc grid of 13 tiles, three months of raw output, and what ECCO
dataset production needs beside it: metadata, configuration, jobs. Nothing but NumPy.

The grid covers the sphere north of 70° S. Everything is written as MITgcm writes it: big endian, in the compact layout, a .meta beside
each .data.
"""

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import llc_grid  # noqa: E402

N = 16
LEVELS = 6
RESOLUTION = 5.0
STEPS = {732: "1992-01", 1428: "1992-02", 2172: "1992-03"}  # hours since the model began
VERSION = "V0r1"
# Name, whether it has depths, and what available_diagnostics.log says of where it lies.
DIAGNOSTICS = [("SSH", False, "SM      M1"), ("ETAN", False, "SM      M1"), ("THETA", True, "SMR     MR"),
               ("SALT", True, "SMR     MR"), ("UVEL", True, "UUR     MR"), ("VVEL", True, "VVR     MR"),
               ("WVELMASS", True, "WM      LR")]


class Grid:
    """Positions as vectors of length 1, [13][n][n][3], and what follows from them. All arrays are tile by tile."""

    def __init__(self, n=N, levels=LEVELS):
        self.n, self.levels = n, levels
        self.faces = llc_grid.corners_of_faces(n)
        corners = self.in_tiles([self.quads(llc_grid.unit(lon, lat)) for lon, lat in self.faces])
        self.corner_degrees = self.in_tiles([self.quads(np.stack(face, -1)) for face in self.faces])
        self.south_west = corners[..., 0, :]
        self.centre = self.normal(corners.mean(-2))
        # Edges of each cell, by the point in their middle.
        self.edges = {name: self.normal(corners[..., a, :] + corners[..., b, :])
                      for name, (a, b) in dict(south=(0, 1), east=(1, 2), north=(3, 2), west=(0, 3)).items()}
        self.area = llc_grid.polygon_area(corners) * llc_grid.RADIUS**2
        self.dxg = np.linalg.norm(corners[..., 1, :] - corners[..., 0, :], axis=-1) * llc_grid.RADIUS
        self.dyg = np.linalg.norm(corners[..., 3, :] - corners[..., 0, :], axis=-1) * llc_grid.RADIUS
        self.lon, self.lat = self.degrees(self.centre)
        east, north = self.directions(self.centre)
        along_x = self.normal(self.edges["east"] - self.edges["west"])
        self.cs = np.sum(along_x * east, -1).astype("f4")
        self.sn = np.sum(along_x * north, -1).astype("f4")
        self.thickness = (20.0 * 2.0 ** np.arange(levels)).astype("f4")
        self.faces_z = -np.concatenate([[0], np.cumsum(self.thickness)]).astype("f4")
        self.make_masks()

    @staticmethod
    def normal(vectors):
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    @staticmethod
    def quads(points):
        """The four corners of every cell of a face, counter-clockwise from that of the lowest i and j: [..., 4, 2 or 3]."""
        return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], -2)

    def in_tiles(self, faces):
        n, tiles = self.n, []
        for face in faces:
            for j in range(0, face.shape[0], n):
                tiles += [face[j:j + n, i:i + n] for i in range(0, face.shape[1], n)]
        return np.stack(tiles)

    @staticmethod
    def degrees(points):
        return np.degrees(np.arctan2(points[..., 1], points[..., 0])), np.degrees(np.arcsin(points[..., 2]))

    @staticmethod
    def directions(points):
        """East and north at each point."""
        east = np.stack([-points[..., 1], points[..., 0], np.zeros(points.shape[:-1])], -1)
        east /= np.linalg.norm(east, axis=-1, keepdims=True)
        return east, np.cross(points, east)

    @staticmethod
    def key(point):
        return tuple(np.round(point, 6) + 0.0)  # no -0.0

    def cells_of_edges(self):
        """The cells (tile, j, i) on both sides of every edge, by its middle. A cell may meet an edge of another tile by any of its
        own: here that follows from where edges lie, not from a table of how tiles are connected."""
        found = {}
        for points in self.edges.values():
            for cell in np.ndindex(points.shape[:3]):
                found.setdefault(self.key(points[cell]), []).append(cell)
        return found

    def make_masks(self):
        """Continents, a shelf, and cells that are open in part; an edge is open where both its cells are."""
        lon, lat = np.radians(self.lon), np.radians(self.lat)
        depth = -self.faces_z[-1] * np.clip(0.45 + 0.9 * np.sin(2 * lon + 1) * np.cos(lat) + 0.3 * np.sin(5 * lat), 0, 1)
        top, thick = -self.faces_z[:-1, None, None, None], self.thickness[:, None, None, None]
        self.hfac_c = np.clip((depth - top) / thick, 0, 1).astype("f4")
        self.hfac_c[self.hfac_c < 0.2] = 0
        sides = self.cells_of_edges()
        self.hfac_w, self.hfac_s = np.zeros_like(self.hfac_c), np.zeros_like(self.hfac_c)
        for name, open_part in (("west", self.hfac_w), ("south", self.hfac_s)):
            for cell in np.ndindex(self.area.shape):
                cells = sides[self.key(self.edges[name][cell])]
                if len(cells) == 2:
                    open_part[(slice(None), *cell)] = np.minimum(*(self.hfac_c[(slice(None), *c)] for c in cells))


def flow(points, depth, step):
    """Eastward and northward speed in m/s: gyres that weaken with depth and turn with the months."""
    lon, lat = (np.radians(x) for x in Grid.degrees(points))
    weaker, phase = np.exp(depth / 400), step / 2000
    return weaker * np.cos(lat) * np.cos(2 * lon + phase), weaker * 0.5 * np.cos(lat) * np.sin(3 * lon - phase)


def fields(grid, step):
    """Raw output of one month, [level][13][n][n], float32, 0 on land as in the model."""
    depth = (grid.faces_z[:-1] + grid.faces_z[1:])[:, None, None, None] / 2
    lon, lat = np.radians(grid.lon), np.radians(grid.lat)
    along = {"UVEL": grid.normal(grid.edges["east"] - grid.edges["west"]),
             "VVEL": grid.normal(grid.edges["north"] - grid.edges["south"])}
    out = {
        "SSH": (0.8 * np.cos(2 * lat) * np.sin(lon + step / 1000))[None],
        "ETAN": (0.8 * np.cos(2 * lat) * np.sin(lon + step / 1000) + step / 1e5)[None],
        "THETA": 2 + 25 * np.cos(lat) ** 2 * np.exp(depth / 500) + np.sin(step / 1000),
        "SALT": 34.5 + np.cos(2 * lat) * np.exp(depth / 300) + 0 * lon,
        "WVELMASS": 1e-5 * np.sin(lon) * np.cos(lat) * np.exp(depth / 500),
    }
    for name, edge in (("UVEL", "west"), ("VVEL", "south")):
        points = grid.edges[edge]
        east, north = grid.directions(points)
        speeds = flow(points, depth, step)
        out[name] = sum(speed * np.sum(along[name] * way, -1) for speed, way in zip(speeds, (east, north)))
    wet = {"UVEL": grid.hfac_w, "VVEL": grid.hfac_s}
    return {name: np.where(wet.get(name, grid.hfac_c)[:len(values)] > 0, values, 0).astype("f4")
            for name, values in out.items()}


def global_mean(grid, step):
    """Of sea level, over the ocean: a series has one value a step."""
    area = np.where(grid.hfac_c[0] > 0, grid.area, 0)
    return np.float32(np.sum(fields(grid, step)["ETAN"][0] * area) / area.sum())


def mixing(grid):
    """A parameter of the model, which does not change in time."""
    depth = (grid.faces_z[:-1] + grid.faces_z[1:])[:, None, None, None] / 2
    return np.where(grid.hfac_c > 0, 1e-5 * (1.5 + np.sin(np.radians(grid.lat))) - 1e-9 * depth, 0).astype("f4")


# --- Files ----------------------------------------------------------------------------------------------------------------

def compact(tiles):
    """[level][13][n][n] as MITgcm writes it: faces one after another, the last two three tiles wide."""
    n, levels = tiles.shape[-1], tiles.reshape(-1, 13, tiles.shape[-1], tiles.shape[-1])
    faces = [levels[:, :7].reshape(len(levels), -1)]
    for first in (7, 10):
        faces.append(levels[:, first:first + 3].transpose(0, 2, 1, 3).reshape(len(levels), -1))
    return np.concatenate(faces, 1)


def write_pair(stem, values, sizes, more=""):
    """STEM.data and STEM.meta of one record; sizes with that of the fastest dimension first."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    np.asarray(values).astype(">f4").tofile(f"{stem}.data")
    dimensions = ",\n".join(f" {size:6d}, {1:5d}, {size:5d}" for size in sizes)
    Path(f"{stem}.meta").write_text(f" nDims = [ {len(sizes):3d} ];\n dimList = [\n{dimensions}\n ];\n dataprec = [ 'float32' ];\n"
                                    f" nrecords = [ {1:5d} ];\n{more}")


def write_grid(grid, directory):
    flat, deep = [grid.n, 13 * grid.n], [grid.n, 13 * grid.n, grid.levels]
    xg, yg = grid.degrees(grid.south_west)
    for name, values in {"XC": grid.lon, "YC": grid.lat, "XG": xg, "YG": yg, "RAC": grid.area, "DXG": grid.dxg, "DYG": grid.dyg,
                         "AngleCS": grid.cs, "AngleSN": grid.sn}.items():
        write_pair(directory / name, compact(values), flat)
    for name, values in {"hFacC": grid.hfac_c, "hFacW": grid.hfac_w, "hFacS": grid.hfac_s}.items():
        write_pair(directory / name, compact(values), deep)
    centres = (grid.faces_z[:-1] + grid.faces_z[1:]) / 2
    for name, values in {"RC": centres, "RF": grid.faces_z, "DRF": grid.thickness}.items():
        write_pair(directory / name, values, [1, 1, len(values)])
    for number, (lon, lat) in enumerate(grid.faces, 1):
        parts = np.zeros((16, *lon.shape), ">f8")
        parts[5], parts[6] = lon, lat
        parts.tofile(directory / f"tile{number:03}.mitgrid")
    rule = "  Num  |<-Name->|Levs|  mate |<- code ->|<--  Units   -->|<- Tile (max=80c)"
    lines = [f"  {i:4d} |{name:8s}|{grid.levels if is_deep else 1:3d} |       |{code}|m               |from a formula"
             for i, (name, is_deep, code) in enumerate(DIAGNOSTICS, 1)]
    (directory / "available_diagnostics.log").write_text("\n".join([rule, *lines]) + "\n")


def write_output(grid, directory):
    begin = 3600.0  # the first average does not have the first state
    for step in STEPS:
        for name, values in fields(grid, step).items():
            sizes = [grid.n, 13 * grid.n] + ([grid.levels] if len(values) > 1 else [])
            write_pair(directory / f"diags_monthly/{name}_mon_mean/{name}_mon_mean.{step:010d}", compact(values), sizes,
                       f" timeStepNumber = [ {step:10d} ];\n timeInterval = [ {begin:19.12E} {3600.0 * step:19.12E} ];\n"
                       f" nFlds = [ {1:4d} ];\n fldList = {{\n '{name:8s}'\n }};\n")
        write_pair(directory / f"diags_monthly/global_mean_sea_level_mon_mean/global_mean_sea_level_mon_mean.{step:010d}",
                   global_mean(grid, step), [1, 1], f" timeStepNumber = [ {step:10d} ];\n")
        begin = 3600.0 * step
    write_pair(directory / "DIFFKR", compact(mixing(grid)), [grid.n, 13 * grid.n, grid.levels])


def metadata():
    """File name to records: what granules say of themselves, and which fields make a dataset."""
    def variable(name, long_name, units, keywords, **more):
        return {"name": name, "long_name": long_name, "units": units, "coverage_content_type": "modelResult",
                "GCMD_keywords": keywords, "comments_1": "From a formula.", "comments_2": "", **more}

    def grouping(name, fields, filename, dimension, **more):
        return {"name": name, "fields": fields, "filename": filename, "dimension": dimension, "frequency": "AVG_MON", **more}

    level = grouping("sea surface height", "SSH, ETAN", "SEA_SURFACE_HEIGHT", "2D")
    water = grouping("temperature and salinity", "THETA, SALT", "OCEAN_TEMPERATURE_SALINITY", "3D")
    vector = {"x": "UVEL", "y": "VVEL"}
    rename = {"variable_rename": "WVELMASS:WVEL"}
    hours = "hours since 1992-01-01 12:00:00"
    time = [{"name": "time", "standard_name": "time", "long_name": "time", "axis": "T", "bounds": "time_bnds", "units": hours},
            {"name": "time_bnds", "long_name": "bounds of time", "units": hours}]
    return {
        "groupings_for_native_datasets": [level, water, grouping("velocity on the axes of the grid", "UVEL, VVEL, WVELMASS",
                                                                 "OCEAN_VELOCITY", "3D", **rename),
                                          {**grouping("mixing", "DIFFKR", "OCEAN_MIXING", "3D"), "frequency": "TI"}],
        "groupings_for_latlon_datasets": [
            {**level, "fields": "SSH"}, water,
            grouping("velocity", "EVEL, NVEL, WVELMASS", "OCEAN_VELOCITY", "3D", **rename,
                     field_components={"EVEL": vector, "NVEL": vector},
                     field_orientations={"EVEL": "zonal", "NVEL": "meridional"})],
        "groupings_for_1D_datasets": [grouping("global mean sea level", "global_mean_sea_level", "GLOBAL_MEAN_SEA_LEVEL", "1D")],
        "variable_metadata_for_1D_datasets": [
            variable("global_mean_sea_level", "mean sea level", "m", "OCEANS > SEA SURFACE HEIGHT")],
        "variable_metadata": [
            variable("DIFFKR", "vertical diffusivity", "m2 s-1", "OCEANS > MIXING"),
            variable("SSH", "dynamic sea surface height", "m", "OCEANS > SEA SURFACE HEIGHT"),
            variable("ETAN", "model sea level", "m", "OCEANS > SEA SURFACE HEIGHT"),
            variable("THETA", "potential temperature", "degree_C", "OCEANS > TEMPERATURE"),
            variable("SALT", "salinity", "1e-3", "OCEANS > SALINITY"),
            variable("UVEL", "velocity along x", "m s-1", "OCEANS > CURRENTS"),
            variable("VVEL", "velocity along y", "m s-1", "OCEANS > CURRENTS"),
            variable("WVEL", "velocity upwards", "m s-1", "OCEANS > CURRENTS")],
        "variable_metadata_for_latlon_datasets": [
            variable("EVEL", "velocity eastward", "m s-1", "OCEANS > CURRENTS", standard_name="eastward_sea_water_velocity"),
            variable("NVEL", "velocity northward", "m s-1", "OCEANS > CURRENTS", standard_name="northward_sea_water_velocity")],
        "time_coordinate_metadata": time,
        "coordinate_metadata_for_1D_datasets": time,
        "coordinate_metadata_for_native_datasets": [
            *time, {"name": "XC", "bounds": "XC_bnds", "units": "degrees_east", "standard_name": "longitude"},
            {"name": "YC", "bounds": "YC_bnds", "units": "degrees_north", "standard_name": "latitude"},
            {"name": "Z", "bounds": "Z_bnds", "units": "m", "positive": "up"}],
        "coordinate_metadata_for_latlon_datasets": [
            *time, {"name": "latitude", "bounds": "latitude_bnds", "units": "degrees_north", "standard_name": "latitude", "axis": "Y"},
            {"name": "longitude", "bounds": "longitude_bnds", "units": "degrees_east", "standard_name": "longitude", "axis": "X"},
            {"name": "Z", "bounds": "Z_bnds", "units": "m", "positive": "up", "axis": "Z"}],
        "global_metadata_for_all_datasets": [
            {"name": "Conventions", "type": "s", "value": "CF-1.8, ACDD-1.3"},
            {"name": "license", "type": "s", "value": "Public Domain"}, {"name": "keywords", "type": "s", "value": "MODELS"}],
        "global_metadata_for_1D_datasets": [{"name": "comment", "type": "s", "value": "A series."}],
        "global_metadata_for_native_datasets": [{"name": "comment", "type": "s", "value": "On the tiles of the model."}],
        "global_metadata_for_latlon_datasets": [{"name": "comment", "type": "s", "value": "On latitude and longitude."}],
    }


CONFIG = f"""# What dataset production is to know of this model.
ecco_version: '{VERSION}'
product_version: 'Version 0, Release 1'
array_precision: 'float32'
model_start_time: '1992-01-01T12:00:00'
model_end_time: '1992-12-31T12:00:00'
model_timestep: 1
model_timestep_units: 'h'
geospatial_vertical_min: -1260.0
ecco_production_filestr_grid_label:
    latlon: '{RESOLUTION:.0f}p00deg'
    native: 'llc{N:04d}'
history: 'Made by demo/ecco'
references: 'None'
source: 'Formulas'
summary: 'A model that is small enough to try things out.'
dataset_description_tail_1D: ''
dataset_description_tail_latlon: ' on cells of {RESOLUTION:.0f} degrees'
dataset_description_tail_native: ' on the tiles of the model'
"""
JOBS = """# [groupings id, product type, frequency, time steps]
[0, 'native', 'AVG_MON', 'all']                  # sea surface height
[1, 'native', 'AVG_MON', '1992-01/1992-02']      # temperature and salinity, two months
[2, 'native', 'AVG_MON', [732]]                  # velocity on the grid's own axes, one
[0, 'latlon', 'AVG_MON', 'all']
[1, 'latlon', 'AVG_MON', '1992-01/1992-02']
[2, 'latlon', 'AVG_MON', 'all']                  # velocity, turned east and north
[3, 'native', 'TI', 'all']                       # mixing, which has no time
[0, '1D', 'AVG_MON', 'all']                      # global mean sea level, one granule of all months
"""


def make(place):
    """The whole tree; gives the grid."""
    grid = Grid()
    for folder in ("grid", "metadata"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    write_grid(grid, place / "grid")
    write_output(grid, place / "results" / VERSION)
    for name, records in metadata().items():
        (place / "metadata" / f"{name}.json").write_text(json.dumps(records, indent=1) + "\n")
    (place / "config.yaml").write_text(CONFIG)
    (place / "jobs.txt").write_text(JOBS)
    return grid
