"""Inputs of the benchmarks, made from fixed seeds; what is there already is kept. Usage: inputs.py DIR"""

import base64
import json
import pathlib
import struct
import sys

import h5py
import netCDF4
import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import llc_grid  # noqa: E402

ROWS, COLUMNS = 4500, 9000


def sea_surface(random, day, rows=ROWS, columns=COLUMNS):
    """Smooth waves and a little noise in kelvin, and a land mask: packs and deflates about as real analyses do."""
    y = np.radians(np.linspace(-90, 90, rows))[:, None]
    x = np.radians(np.linspace(-180, 180, columns))[None, :]
    field = 272 + 29 * np.cos(y) ** 2 + 1.5 * np.sin(4 * x + day) * np.cos(3 * y) + 0.5 * np.sin(19 * x - 13 * y)
    field = field + random.normal(0, 0.01, field.shape)
    land = np.sin(2 * x + 0.4) + np.sin(3 * y + 0.6) + 0.5 * np.sin(6 * x - 5 * y) > 0.95
    return field, land


def write_analysis(path, random, day):
    """One granule laid out like a daily 0.04-degree sea-surface temperature analysis (MUR's chunks and packing)."""
    field, land = sea_surface(random, day)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", 1), ("lat", ROWS), ("lon", COLUMNS)):
            file.createDimension(name, size)
        time = file.createVariable("time", "i4", ("time",))
        time.units = "seconds since 1981-01-01 00:00:00 UTC"
        time[:] = 86400 * day
        lat = file.createVariable("lat", "f4", ("lat",))
        lat.units = "degrees_north"
        lat[:] = np.linspace(-89.98, 89.98, ROWS)
        lon = file.createVariable("lon", "f4", ("lon",))
        lon.units = "degrees_east"
        lon[:] = np.linspace(-179.98, 179.98, COLUMNS)

        def packed(name, kind, values, fill, **attributes):
            variable = file.createVariable(name, kind, ("time", "lat", "lon"), zlib=True, complevel=6, shuffle=True,
                                           chunksizes=(1, 1023, 2047), fill_value=fill)
            variable.set_auto_maskandscale(False)
            variable.setncatts(attributes)
            variable[0] = np.where(land, fill, values).astype(kind)

        packed("analysed_sst", "i2", np.round((field - 298.15) / 0.001), -32768, scale_factor=0.001, add_offset=298.15, units="kelvin")
        packed("analysis_error", "i2", np.round(37 + 2 * np.abs(np.sin(field))), -32768, scale_factor=0.01, add_offset=0.0, units="kelvin")
        packed("mask", "i1", np.ones_like(field), -128)
        packed("sea_ice_fraction", "i1", np.clip((273 - field) * 30, 0, 100), -128, scale_factor=0.01, add_offset=0.0)


def write_small_chunks(path, random, count=100_000, length=64):
    """One float32 array in 1e5 chunks: everything is metadata."""
    with h5py.File(path, "w", libver="earliest") as file:
        values = np.round(np.cumsum(random.normal(0, 0.1, count * length)), 2).astype("f4")
        file.create_dataset("v", data=values, chunks=(length,), compression=4, shuffle=True)


def write_reference_sets(directory, granule, count):
    """`count` single-granule reference sets like that of `granule`, a day apart, as kerchunk writes them."""
    from kerchunk.hdf import SingleHdf5ToZarr

    directory.mkdir(exist_ok=True)
    if len(list(directory.glob("*.json"))) == count:
        return
    one = SingleHdf5ToZarr(str(granule), inline_threshold=300, error="raise").translate()["refs"]
    for day in range(count):
        refs = {key: list(value) if isinstance(value, list) else value for key, value in one.items()}
        time = json.loads(refs["time/.zarray"])
        time.update(filters=None, compressor=None)
        refs["time/.zarray"] = json.dumps(time)
        refs["time/0"] = "base64:" + base64.b64encode(struct.pack("<i", 86400 * day)).decode()
        for value in refs.values():
            if isinstance(value, list):
                value[0] = str(granule.resolve())  # one granule stands for all: no tool reads more of it than coordinates
        (directory / f"{day:05d}.json").write_text(json.dumps({"version": 1, "refs": refs}))


def many_sets(directory, granule):
    """10,000 of them, for how time and memory grow."""
    write_reference_sets(directory / "many_sets", granule, 10_000)
    return sorted((directory / "many_sets").glob("*.json"))


def million_references(directory):
    """One array of a million chunks in 365 granules, as a reference set in JSON. No granule is there: nobody reads one."""
    path = directory / "million.json"
    if not path.exists():
        chunks = 1_000_000
        array = {"zarr_format": 2, "shape": [16 * chunks], "chunks": [16], "dtype": "<f4", "order": "C", "fill_value": "NaN",
                 "compressor": {"id": "zlib", "level": 4}, "filters": [{"id": "shuffle", "elementsize": 4}]}
        refs = {".zgroup": '{"zarr_format": 2}', "v/.zarray": json.dumps(array), "v/.zattrs": '{"_ARRAY_DIMENSIONS": ["x"]}'}
        for chunk in range(chunks):
            refs[f"v/{chunk}"] = [f"/archive/sst/{chunk * 365 // chunks:03d}.nc", 4096 + 70 * chunk, 40 + chunk % 30]
        path.write_text(json.dumps({"version": 1, "refs": refs}))
    return path


def hundred_million_references(directory, small):
    """A thousand names of the granule with 1e5 chunks."""
    links = directory / "small_links"
    links.mkdir(exist_ok=True)
    for number in range(1000):
        if not (link := links / f"{number:04d}.h5").exists():
            link.hardlink_to(small)
    return links


def write_step(path, random, day, rows=1500, columns=3600):
    """One step of a series: two float32 variables with a fill, 43 MB, in chunks of 1 x 500 x 900."""
    field, land = sea_surface(random, day, rows, columns)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", None), ("lat", rows), ("lon", columns)):
            file.createDimension(name, size)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = day
        for name, ends in (("lat", 89.94), ("lon", 179.95)):
            axis = file.createVariable(name, "f8", (name,))
            axis.units = {"lat": "degrees_north", "lon": "degrees_east"}[name]
            axis[:] = np.linspace(-ends, ends, len(axis))
        for name, values in (("sst", np.round(field, 3)), ("err", np.round(0.37 + 0.02 * np.abs(np.sin(field)), 3))):
            variable = file.createVariable(name, "f4", ("time", "lat", "lon"), zlib=True, complevel=4, shuffle=True, chunksizes=(1, 500, 900),
                                           fill_value=np.float32(-9999))
            variable.units = "K"
            variable[0] = np.where(land, np.float32(-9999), values)


def series(directory, count=24):
    """A series of 24 files, 1.04 GB of values."""
    paths = [directory / "series" / f"{day:02d}.nc" for day in range(count)]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for day, path in enumerate(paths):
        if not path.exists():
            write_step(path.with_suffix(".tmp"), np.random.default_rng(100 + day), day)
            path.with_suffix(".tmp").rename(path)
    return paths


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    granule, small = directory / "analysis.nc", directory / "small_chunks.h5"
    if not granule.exists():
        write_analysis(directory / "tmp.nc", np.random.default_rng(21), 0)
        (directory / "tmp.nc").rename(granule)
    if not small.exists():
        write_small_chunks(directory / "tmp.h5", np.random.default_rng(22))
        (directory / "tmp.h5").rename(small)
    write_reference_sets(directory / "sets", granule, 365)
    return granule, small, sorted((directory / "sets").glob("*.json"))


def llc90_grid(directory):
    """A grid of 13 x 90 x 90 points with basins of 50 levels, and one field on all of them (big endian, compact)."""
    grid, field = pathlib.Path(directory) / "llc90", pathlib.Path(directory) / "field.data"
    if not field.exists():
        llc_grid.write_grid(grid, n=90, levels=50, smooth=True)
        np.random.default_rng(5).normal(10, 5, (50, 13 * 90 * 90)).astype(">f4").tofile(field)
    return grid, field


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]))
