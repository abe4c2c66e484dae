"""The bytes of granules: small real netCDF-4 and HDF5 files, made when they are asked for, always the same for the same day.

A granule is a template, written once by netCDF-C or libhdf5, in which the chunks of the day take their places. Chunks are zlib streams
of stored blocks, so that every day's file has one size and is made in well under a millisecond: a page of 2000 granules, each
with the MD5 of its file, costs a second and no memory. `mur_values` and the others give what a reader has to find.
"""

import functools
import hashlib
import pathlib
import tempfile
import zlib

import h5py
import netCDF4
import numpy as np

LAT, LON = 72, 144  # MUR has 17999 by 36000
TILES, FACE = 13, 10  # ECCO has 90 by 90 points on a face
CRI_LAT, CRI_LON = 36, 72  # the mascons' grid has 360 by 720
PHOTONS = 1200
BEAMS = ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r")
DAY_S = 86400


class Bytes:
    """An object in memory."""

    def __init__(self, data, modified):
        self.data, self.size, self.modified = data, len(data), modified

    @functools.cached_property
    def etag(self):
        return hashlib.md5(self.data).hexdigest()

    def pieces(self, first, end):
        for start in range(first, end, 1 << 18):
            yield self.data[start:min(start + (1 << 18), end)]


class File:
    """An object that is a file; its MD5 is computed once, or is the first word of FILE.md5."""

    def __init__(self, path):
        status = path.stat()
        self.path, self.size, self.modified = path, status.st_size, status.st_mtime

    @property
    def etag(self):
        return md5_of_file(self.path, self.size, self.modified)

    def pieces(self, first, end):
        with open(self.path, "rb") as f:
            f.seek(first)
            while first < end:
                piece = f.read(min(1 << 18, end - first))
                if not piece:
                    raise OSError(f"{self.path} became shorter")
                first += len(piece)
                yield piece


@functools.lru_cache(maxsize=4096)
def md5_of_file(path, _size, _modified):
    beside = path.with_name(path.name + ".md5")
    if beside.is_file():
        return beside.read_text().split()[0]
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


# --- Templates --------------------------------------------------------------------------------------------------------

class Template:
    """A file of which copies are made that hold other values. `write` makes it, at a path, without these values."""

    def __init__(self, write, first_values):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "template.nc"
            write(path)
            self.places = {}
            with h5py.File(path, "r+") as h:
                for name, values in first_values.items():
                    self.reserve(name, h[name], values)
            with h5py.File(path) as h:
                for name in first_values:
                    self.places[name] = self.places_of(h[name])
            self.data = path.read_bytes()

    def reserve(self, name, dataset, values):
        if dataset.chunks is None:
            dataset[...] = values
            return
        for corner in np.ndindex(*(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks))):
            offset = tuple(i * c for i, c in zip(corner, dataset.chunks))
            dataset.id.write_direct_chunk(offset, stored(values, offset, dataset.chunks))

    def places_of(self, dataset):
        """[(position in the file, corner or None, chunk shape)]"""
        if dataset.chunks is None:
            return [(dataset.id.get_offset(), None, None)]
        infos = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
        return [(info.byte_offset, info.chunk_offset, dataset.chunks) for info in infos]

    def filled(self, values):
        copy = bytearray(self.data)
        for name, array in values.items():
            for position, corner, shape in self.places[name]:
                piece = array.tobytes() if corner is None else stored(array, corner, shape)
                copy[position:position + len(piece)] = piece
        return bytes(copy)


def stored(values, corner, shape):
    """A chunk, shuffled, as a zlib stream whose length does not depend on the values."""
    raw = values[tuple(slice(c, c + n) for c, n in zip(corner, shape))].tobytes()
    width = values.dtype.itemsize
    shuffled = np.frombuffer(raw, "u1").reshape(-1, width).T.tobytes()
    return zlib.compress(shuffled, 0)


# --- MUR --------------------------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=1)
def mur_base():
    y, x = np.radians(np.linspace(-89.99, 89.99, LAT))[:, None], np.radians(np.linspace(-179.99, 180, LON))[None, :]
    land = (np.sin(2 * x + 0.3) + np.sin(3 * y + 0.5) + 0.5 * np.sin(7 * x - 5 * y)) > 0.9
    return -25000 + 28000 * np.cos(y) ** 2 + 2000 * np.sin(3 * x) * np.cos(5 * y), land


def mur_values(day, revision=1):
    """The variables of a day (0 is 2002-06-01), packed as they are stored; each revision differs from the one before."""
    base, land = mur_base()
    field = base + 600 * np.sin(2 * np.pi * day / 365.25) + day % 97 + 10 * (revision - 1)
    sst = np.where(land, -32768, np.rint(field)).astype("<i2")[None]
    error = np.where(land, -32768, 37 + (np.abs(field) % 7)).astype("<i2")[None]
    ice = np.where(land | (field > -24000), -128, np.clip((-24000 - field) / 20, 0, 100))
    lakes = np.ix_(*(np.flatnonzero(np.abs(np.linspace(-end, end, n) - middle) < width)
                     for end, n, middle, width in ((89.99, LAT, 44.5, 4.5), (180, LON, -84, 11))))
    rows, columns = lakes
    # Some more, some less than what counts as water, on other days elsewhere, and on some days none.
    ice[lakes] = np.where(land[lakes] | (day % 5 == 0), -128, (10 * rows + 20 * columns + 30 * day) % 60)
    ice = ice.astype("i1")[None]
    return {"time": np.array([(7821 + day) * DAY_S + 9 * 3600], "<i4"), "analysed_sst": sst, "analysis_error": error,
            "mask": np.where(land, 2, 1).astype("i1")[None], "sea_ice_fraction": ice}


def write_mur(path):
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in (("time", 1), ("lat", LAT), ("lon", LON)):
            nc.createDimension(name, size)
        nc.setncatts({"Conventions": "CF-1.5", "title": "Daily MUR SST, Final product", "id": "MUR-JPL-L4-GLOB-v04.1",
                      "institution": "Jet Propulsion Laboratory", "processing_level": "L4", "spatial_resolution": "2.5 degrees"})
        time = nc.createVariable("time", "i4", ("time",))
        time.setncatts({"long_name": "reference time of sst field", "standard_name": "time", "axis": "T",
                        "units": "seconds since 1981-01-01 00:00:00 UTC"})
        for name, size, first, last, units in (("lat", LAT, -89.99, 89.99, "degrees_north"), ("lon", LON, -179.99, 180, "degrees_east")):
            axis = nc.createVariable(name, "f4", (name,))
            axis.setncatts({"standard_name": {"lat": "latitude", "lon": "longitude"}[name], "units": units})
            axis[:] = np.linspace(first, last, size)
        packed = (("analysed_sst", "i2", -32768, {"scale_factor": 0.001, "add_offset": 298.15, "units": "kelvin",
                                                  "long_name": "analysed sea surface temperature"}),
                  ("analysis_error", "i2", -32768, {"scale_factor": 0.01, "add_offset": 0.0, "units": "kelvin"}),
                  ("mask", "i1", -128, {"flag_masks": np.array([1, 2, 4, 8, 16], "i1"),
                                        "flag_meanings": "open_sea land open_lake open_sea_with_ice_in_the_grid open_lake_with_ice_in_the_grid"}),
                  ("sea_ice_fraction", "i1", -128, {"scale_factor": 0.01, "add_offset": 0.0}))
        for name, kind, fill, attributes in packed:
            v = nc.createVariable(name, kind, ("time", "lat", "lon"), zlib=True, complevel=7, shuffle=True,
                                  chunksizes=(1, LAT // 2, LON // 2), fill_value=fill)
            v.setncatts(attributes)


@functools.lru_cache(maxsize=1)
def mur_template():
    return Template(write_mur, mur_values(0))


def mur(day, revision):
    return mur_template().filled(mur_values(day, revision))


# --- ECCO -------------------------------------------------------------------------------------------------------------

def ecco_values(day, revision=1):
    """A day of 1992 on (0 is January 1st); float32 in metres."""
    tile, j, i = np.meshgrid(np.arange(TILES), np.arange(FACE), np.arange(FACE), indexing="ij")
    ssh = (np.sin(tile + j / 3) * np.cos(i / 4) + 0.1 * np.sin(2 * np.pi * day / 365.25) + 0.01 * (revision - 1)).astype("<f4")
    ssh[(tile + j + i) % 11 == 0] = np.float32(9.96921e36)
    return {"time": np.array([24 * day], "<i4"), "SSH": ssh[None], "SSHIBC": (ssh * np.float32(0.5))[None], "ETAN": ssh[None] + np.float32(0.25)}


def write_ecco(path):
    with netCDF4.Dataset(path, "w") as nc:
        for name, size in (("time", 1), ("tile", TILES), ("j", FACE), ("i", FACE)):
            nc.createDimension(name, size)
        nc.setncatts({"Conventions": "CF-1.8, ACDD-1.3", "title": "ECCO Sea Surface Height - Daily Mean llc90 Grid (Version 4 Release 4)"})
        time = nc.createVariable("time", "i4", ("time",))
        time.setncatts({"standard_name": "time", "units": "hours since 1992-01-01T12:00:00", "calendar": "proleptic_gregorian"})
        for name, size in (("tile", TILES), ("j", FACE), ("i", FACE)):
            nc.createVariable(name, "i4", (name,))[:] = np.arange(size)
        for name in ("SSH", "SSHIBC", "ETAN"):
            v = nc.createVariable(name, "f4", ("time", "tile", "j", "i"), zlib=True, complevel=5, shuffle=True,
                                  chunksizes=(1, TILES, FACE, FACE), fill_value=np.float32(9.96921e36))
            v.setncatts({"units": "m", "long_name": name})


@functools.lru_cache(maxsize=1)
def ecco_template():
    return Template(write_ecco, ecco_values(0))


def ecco(day, revision):
    return ecco_template().filled(ecco_values(day, revision))


# --- The one file that grows, and photons -----------------------------------------------------------------------------

def tellus_values(months):
    y, x = np.meshgrid(np.arange(CRI_LAT), np.arange(CRI_LON), indexing="ij")
    month = np.arange(months)[:, None, None]
    return (10 * np.sin(month / 6 + y / 5) * np.cos(x / 9)).astype("f4")


@functools.lru_cache(maxsize=8)
def tellus(months, revision):
    """All months from April 2002 on in one file, chunks of 62 months."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tellus.nc"
        with netCDF4.Dataset(path, "w") as nc:
            for name, size in (("time", None), ("lat", CRI_LAT), ("lon", CRI_LON)):
                nc.createDimension(name, size)
            nc.setncatts({"Conventions": "CF-1.6, ACDD-1.3", "months_missing": "2002-06", "revision": np.int32(revision)})
            time = nc.createVariable("time", "f8", ("time",), chunksizes=(512,))
            time.units = "days since 2002-01-01T00:00:00Z"
            time[:] = 107 + 30.4375 * np.arange(months)
            nc.createVariable("lat", "f8", ("lat",))[:] = np.linspace(-87.5, 87.5, CRI_LAT)
            nc.createVariable("lon", "f8", ("lon",))[:] = np.linspace(2.5, 357.5, CRI_LON)
            v = nc.createVariable("lwe_thickness", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=(62, 9, 18), fill_value=-99999.0)
            v.units = "cm"
            v[:] = tellus_values(months)
        return path.read_bytes()


def atl03_values(number, beam):
    """lat_ph, lon_ph, delta_time, h_ph of a beam."""
    random = np.random.default_rng([number, beam])
    along = np.linspace(0, 1, PHOTONS)
    return {"lat_ph": -60 + 120 * along, "lon_ph": -170 + 0.1 * beam + along, "delta_time": 1e8 + 325 * along,
            "h_ph": random.normal(100, 30, PHOTONS).astype("<f4")}


def atl03_contents(number, revision):
    beams = {f"{beam}/heights/{name}": values for b, beam in enumerate(BEAMS) for name, values in atl03_values(number, b).items()}
    return {"orbit_info/rgt": np.array([number % 1387 + 1, revision], "<i2"), **beams}


def write_atl03(path):
    with h5py.File(path, "w") as h:
        h.attrs["short_name"] = "ATL03"
        h.create_dataset("ancillary_data/atlas_sdp_gps_epoch", data=np.array([1198800018.0]))
        h.create_dataset("ancillary_data/release", data=np.array([b"006"]))
        for name, values in atl03_contents(0, 1).items():
            if name.startswith("orbit_info"):
                h.create_dataset(name, data=values)
                continue
            d = h.create_dataset(name, values.shape, values.dtype, chunks=(PHOTONS // 4,), compression=6, shuffle=True)
            d.attrs["units"] = {"h_ph": "meters", "delta_time": "seconds since 2018-01-01"}.get(name.rsplit("/", 1)[-1], "degrees")
        for beam in BEAMS:
            heights = h[f"{beam}/heights"]
            heights["delta_time"].make_scale("delta_time")
            for name in ("lat_ph", "lon_ph", "h_ph"):
                heights[name].dims[0].attach_scale(heights["delta_time"])


@functools.lru_cache(maxsize=1)
def atl03_template():
    return Template(write_atl03, atl03_contents(0, 1))


def atl03(number, revision):
    return atl03_template().filled(atl03_contents(number, revision))


@functools.lru_cache(maxsize=16384)
def size_and_md5(maker, what, revision):
    """Of maker(what, revision): mur, ecco, tellus or atl03."""
    data = maker(what, revision)
    return len(data), hashlib.md5(data).hexdigest()
