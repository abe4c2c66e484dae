"""What granules must hold, computed from the model's formulas with NumPy alone, and compared bit for bit with what is in them.

Nothing here comes from Upwell or from EDP: which edges of tiles meet follows from where they lie, and which points make a cell of
latitude and longitude is found by measuring all distances.
"""

import netCDF4
import numpy as np

import make_model
from make_model import RESOLUTION, STEPS, VERSION, Grid, fields

FILL = np.float32(9.969209968386869e36)
EARTH = 6370997.0  # metres; the sphere on which pyresample measures


class Expected:
    def __init__(self, grid):
        self.grid = grid
        self.wet = grid.hfac_c > 0
        self.latitude = np.arange(-90, 90, RESOLUTION) + RESOLUTION / 2
        self.longitude = np.arange(-180, 180, RESOLUTION) + RESOLUTION / 2
        self.find_sources()

    # --- Native ---------------------------------------------------------------------------------------------------------

    def native(self, name, values):
        grid = self.grid
        open_part = {"UVEL": grid.hfac_w, "VVEL": grid.hfac_s}.get(name, grid.hfac_c)
        return np.where(open_part[:len(values)] > 0, values, FILL)

    def at_edges(self, x, y):
        """The speed through every edge, by its middle: x lies on western edges, y on southern ones."""
        grid, found = self.grid, {}
        for name, values in (("west", x), ("south", y)):
            for cell in np.ndindex(grid.area.shape):
                found[grid.key(grid.edges[name][cell])] = values[(slice(None), *cell)]
        return found

    def east_north(self, x, y):
        """Averaged to the centres of cells, then turned; in float32 throughout."""
        grid = self.grid
        found, nothing = self.at_edges(x, y), np.zeros(len(x), "f4")
        sides = {}
        for name in ("west", "east", "south", "north"):
            sides[name] = np.empty_like(x)
            for cell in np.ndindex(grid.area.shape):
                sides[name][(slice(None), *cell)] = found.get(grid.key(grid.edges[name][cell]), nothing)
        half = np.float32(0.5)
        x = half * (sides["west"] + sides["east"])
        y = half * (sides["south"] + sides["north"])
        return x * grid.cs - y * grid.sn, x * grid.sn + y * grid.cs

    # --- Latitude and longitude -----------------------------------------------------------------------------------------

    def find_sources(self):
        """Of every cell and level, the points whose mean it is; of cells that are land, none."""
        grid = self.grid
        lon, lat = grid.lon.astype("f4").ravel(), grid.lat.astype("f4").ravel()  # as they are in the files
        points = make_model.llc_grid.unit(lon.astype("f8"), lat.astype("f8"))
        edges = np.radians([self.latitude - RESOLUTION / 2, self.latitude + RESOLUTION / 2])
        radius = EARTH * np.sqrt(np.radians(RESOLUTION) * (np.sin(edges[1]) - np.sin(edges[0])) / np.pi)
        farthest = np.floor(max(grid.dxg.astype("f4").max(), grid.dyg.astype("f4").max()))
        wet = self.wet.reshape(grid.levels, -1)
        self.sources = [[] for _ in range(grid.levels)]
        for row, latitude in enumerate(self.latitude):
            centres = make_model.llc_grid.unit(self.longitude, np.full(len(self.longitude), latitude))
            distance = np.linalg.norm(centres[:, None] - points[None], axis=-1) * EARTH
            for cell in distance:
                nearest = cell.argmin()
                near = cell[nearest] <= max(farthest, radius[row])
                within = np.flatnonzero(cell < radius[row])
                for level in range(grid.levels):
                    mean_of = within[wet[level][within]]
                    ocean = near and wet[level][nearest]
                    self.sources[level].append((mean_of if len(mean_of) else [nearest]) if ocean else [])

    def latlon(self, values):
        """Means in double precision, then float32."""
        out = np.full((len(values), len(self.latitude) * len(self.longitude)), FILL)
        for level, field in enumerate(values.reshape(len(values), -1).astype("f8")):
            for cell, sources in enumerate(self.sources[level]):
                if len(sources):
                    total = 0.0
                    for source in sources:
                        total += 1 / len(sources) * field[source]
                    out[level, cell] = np.float32(total)
        return out.reshape(len(values), len(self.latitude), len(self.longitude))


class Check:
    """Compares granules below OUT, and counts what is equal."""

    def __init__(self, grid, out):
        self.grid, self.out, self.expected = grid, out, Expected(grid)
        self.equal, self.faults = {}, []

    def compare(self, what, got, wanted):
        got, wanted = np.asarray(got), np.asarray(wanted)
        if got.shape == wanted.shape and got.dtype == wanted.dtype and got.tobytes() == wanted.tobytes():
            kind = what.split(":")[0]
            self.equal[kind] = self.equal.get(kind, 0) + got.size
        else:
            differ = f"{np.sum(got != wanted)} of {wanted.size} values differ" if got.shape == wanted.shape else \
                f"shape {got.shape}, not {wanted.shape}"
            self.faults.append(f"{what}: {differ}")

    def granule(self, kind, filename, month):
        label = f"llc{self.grid.n:04d}" if kind == "native" else f"{RESOLUTION:.0f}p00deg"
        return self.open(self.out / f"{VERSION}/{kind}/mon_mean/{filename}/"
                         f"{filename}_mon_mean_{month}_ECCO_{VERSION}_{kind}_{label}.nc")

    @staticmethod
    def open(path):
        nc = netCDF4.Dataset(path)
        nc.set_auto_maskandscale(False)
        return nc

    def check_native(self, raw, month):
        for filename, names in (("SEA_SURFACE_HEIGHT", ["SSH", "ETAN"]), ("OCEAN_TEMPERATURE_SALINITY", ["THETA", "SALT"]),
                                ("OCEAN_VELOCITY", ["UVEL", "VVEL", "WVEL"])):
            if (filename == "OCEAN_TEMPERATURE_SALINITY" and month == "1992-03") or \
               (filename == "OCEAN_VELOCITY" and month != "1992-01"):
                continue  # not in the jobs
            with self.granule("native", filename, month) as nc:
                for name in names:
                    values = self.expected.native(name, raw["WVELMASS" if name == "WVEL" else name])
                    got = nc[name][0]
                    self.compare(f"native: {name} {month}", got, values if got.ndim == 4 else values[0])
                self.check_coordinates(nc)

    def check_coordinates(self, nc):
        grid = self.grid
        bounds = grid.corner_degrees.astype("f4")
        for name, wanted in (("XC", grid.lon.astype("f4")), ("YC", grid.lat.astype("f4")), ("XC_bnds", bounds[..., 0]),
                             ("YC_bnds", bounds[..., 1])):
            self.compare(f"coordinates: {name}", nc[name][:], wanted)

    def check_latlon(self, raw, month):
        expected = self.expected
        with self.granule("latlon", "SEA_SURFACE_HEIGHT", month) as nc:
            self.compare(f"latlon: SSH {month}", nc["SSH"][0], expected.latlon(raw["SSH"])[0])
            self.compare("coordinates: latitude", nc["latitude"][:], expected.latitude.astype("f4"))
            self.compare("coordinates: longitude", nc["longitude"][:], expected.longitude.astype("f4"))
        if month != "1992-03":
            with self.granule("latlon", "OCEAN_TEMPERATURE_SALINITY", month) as nc:
                for name in ("THETA", "SALT"):
                    self.compare(f"latlon: {name} {month}", nc[name][0], expected.latlon(raw[name]))

    def check_vectors(self, raw, step, month):
        east, north = self.expected.east_north(raw["UVEL"], raw["VVEL"])
        with self.granule("latlon", "OCEAN_VELOCITY", month) as nc:
            for name, truth in (("EVEL", east), ("NVEL", north)):
                self.compare(f"turned: {name} {month}", nc[name][0], self.expected.latlon(truth))
        # And it is the flow that it should be: where a cell is open on all sides, near to the formula.
        depth = (self.grid.faces_z[:-1] + self.grid.faces_z[1:])[:, None, None, None] / 2
        found = self.expected.at_edges(self.grid.hfac_w, self.grid.hfac_s)
        is_open = np.ones(east.shape, bool)
        for points in self.grid.edges.values():
            for cell in np.ndindex(points.shape[:3]):
                is_open[(slice(None), *cell)] &= found.get(self.grid.key(points[cell]), np.zeros(len(east))) > 0
        # The axes of the cap are not perpendicular, so that turning alone does not give the flow there.
        is_open &= self.grid.lat < 52
        for name, got, truth in zip(("east", "north"), (east, north), make_model.flow(self.grid.centre, depth, step)):
            worst = np.abs(got - truth)[is_open].max()
            if not worst < 0.02:
                self.faults.append(f"turned: {name} {month} is {worst:.3f} m/s away from the flow")

    def check_invariant(self):
        folder = self.out / VERSION / "native"
        with self.open(folder / f"OCEAN_MIXING_ECCO_{VERSION}_native_llc{self.grid.n:04d}.nc") as nc:
            wanted = self.expected.native("DIFFKR", make_model.mixing(self.grid))
            self.compare("time-invariant: DIFFKR", nc["DIFFKR"][:], wanted)

    def check_series(self):
        folder = self.out / VERSION / "1d/mon_mean/GLOBAL_MEAN_SEA_LEVEL"
        with self.open(folder / f"GLOBAL_MEAN_SEA_LEVEL_mon_mean_ECCO_{VERSION}_1D.nc") as nc:
            wanted = np.float32([make_model.global_mean(self.grid, step) for step in STEPS])
            self.compare("series: global_mean_sea_level", nc["global_mean_sea_level"][:], wanted)
            ends = np.int32(list(STEPS))
            self.compare("series: time_bnds", nc["time_bnds"][:], np.stack([np.int32([0, *ends[:-1]]), ends], -1))

    def run(self):
        self.check_invariant()
        self.check_series()
        for step, month in STEPS.items():
            raw = fields(self.grid, step)
            self.check_native(raw, month)
            self.check_latlon(raw, month)
            self.check_vectors(raw, step, month)
        return self


def check(place):
    """Faults in words, and how many values are equal by kind."""
    checked = Check(Grid(), place / "out").run()
    return checked.faults, checked.equal
