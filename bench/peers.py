"""One job of a peer, in a process of its own. Prints one JSON line: seconds of the work itself (imports excluded) and its result."""

import json
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests"))


def kerchunk_index(path, out):
    from kerchunk.hdf import SingleHdf5ToZarr

    start = time.perf_counter()
    refs = SingleHdf5ToZarr(path, inline_threshold=0, error="raise").translate()  # its faster way: copies no chunk
    pathlib.Path(out).write_text(json.dumps(refs))
    return time.perf_counter() - start, len(refs["refs"])


def h5py_chunk_iter(path, name):
    import h5py

    start = time.perf_counter()
    chunks = []
    with h5py.File(path) as file:
        file[name].id.chunk_iter(chunks.append)
    total = sum(chunk.size for chunk in chunks)
    return time.perf_counter() - start, [len(chunks), total]


def kerchunk_combine(directory, out):
    from kerchunk.combine import MultiZarrToZarr

    start = time.perf_counter()
    sets = [json.loads(p.read_text()) for p in sorted(pathlib.Path(directory).glob("*.json"))]
    combined = MultiZarrToZarr(sets, coo_map={"time": "cf:time"}, concat_dims=["time"], identical_dims=["lat", "lon"],
                               remote_protocol="file").translate()
    pathlib.Path(out).write_text(json.dumps(combined))
    return time.perf_counter() - start, len(combined["refs"])


def h5py_mean(path, name):
    import h5py
    import numpy as np

    start = time.perf_counter()
    with h5py.File(path) as file:
        raw = file[name][0]
    mean = raw[raw != -32768].mean(dtype="f8") * 0.001 + 298.15
    return time.perf_counter() - start, float(np.float64(mean))


def xarray_mean(path, name):
    import xarray as xr

    start = time.perf_counter()
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        mean = float(dataset[name].mean())
    return time.perf_counter() - start, mean


def chunk_positions(chunks, count):
    """As bench/lookup.cpp picks them."""
    position = 12345
    for _ in range(count):
        position = (position * 1103515245 + 12345) % chunks
        yield position


def fsspec_lookup(path, name, count):
    import fsspec

    start = time.perf_counter()
    references = fsspec.filesystem("reference", fo=path).references
    array = json.loads(references[f"{name}/.zarray"])
    chunks = -(-array["shape"][0] // array["chunks"][0])
    found = [references[f"{name}/{position}"] for position in chunk_positions(chunks, int(count))]
    sums = [sum(offset for _, offset, _ in found), sum(length for _, _, length in found), sum(len(url) for url, _, _ in found)]
    return time.perf_counter() - start, [chunks, *sums]


def xarray_time_mean(out, *paths):
    import dask  # noqa: F401, its threads are the default
    import xarray as xr

    start = time.perf_counter()
    with xr.open_mfdataset(paths, combine="nested", concat_dim="time", engine="netcdf4") as dataset:
        dataset.mean("time").to_netcdf(out)
    return time.perf_counter() - start, None


def scipy_mapping(factors, field, out):
    """Only the products are timed: matrices by cell, vectors of the wet points and masks are ready before."""
    import statistics

    import llc_grid
    import numpy as np
    import scipy.sparse

    file = np.load(factors)
    levels = llc_grid.tiles(np.fromfile(field, ">f4").reshape(len(file["wet"]), -1)).reshape(len(file["wet"]), -1)
    cells, points = len(file["latitude"]) * len(file["longitude"]), levels.shape[1]
    shared = scipy.sparse.csr_matrix((file["weights"], file["sources"], file["offsets"]), (cells, points))
    own = scipy.sparse.csr_matrix((file["own_weights"], file["own_sources"], file["own_offsets"]), (len(file["own_cells"]), points))
    matrices, vectors, land = [], [], []
    for k, values in enumerate(levels):
        wet = np.unpackbits(file["wet"][k], bitorder="little")[:points].astype(bool)
        ocean = np.unpackbits(file["ocean"][k], bitorder="little")[:cells].astype(bool)
        begin, end = file["own_levels"][k:k + 2]
        which = file["own_cells"][begin:end]
        keep = ocean.copy()
        keep[which] = False
        place = scipy.sparse.csr_matrix((np.ones(len(which)), (which, np.arange(len(which)))), (cells, len(which)))
        matrix = scipy.sparse.diags(keep.astype(float)) @ shared + place @ own[begin:end]
        matrix = matrix.tocsr()[:, wet]
        matrix.eliminate_zeros()
        matrix.sort_indices()
        matrices.append(matrix)
        vectors.append(values[wet].astype(np.float64))
        land.append(~ocean)
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        products = [matrix @ vector for matrix, vector in zip(matrices, vectors)]
        seconds.append(time.perf_counter() - start)
    for product, dry in zip(products, land):
        product[dry] = np.nan
    np.save(out, np.stack(products).astype(np.float32))
    return statistics.median(seconds), sum(matrix.nnz for matrix in matrices)


def remote_scan(url, out):
    import fsspec
    from kerchunk.hdf import SingleHdf5ToZarr

    start = time.perf_counter()
    with fsspec.filesystem("http").open(url, cache_type="blockcache", block_size=4 << 20) as file:
        refs = SingleHdf5ToZarr(file, url, inline_threshold=0, error="raise").translate()
    seconds = time.perf_counter() - start
    with open(out, "w") as file:
        json.dump(refs, file)
    return seconds, len(refs["refs"])


def remote_slice(url, first, last, *names):
    import fsspec
    import h5py

    start = time.perf_counter()
    with fsspec.filesystem("http").open(url, cache_type="blockcache", block_size=4 << 20) as remote, h5py.File(remote) as file:
        values = {name: file[f"gt1l/heights/{name}"][int(first):int(last)] for name in names}
    seconds = time.perf_counter() - start
    return seconds, {name: float(v.mean(dtype="f8")) for name, v in values.items()}


def xarray_write(source, out, variables, count):
    """Writes the granule `count` times, from memory and undecoded; seconds of one."""
    import xarray as xr

    dataset = xr.open_dataset(source, mask_and_scale=False, decode_times=False, decode_coords=False).load()
    encoding = {name: {"zlib": True, "complevel": 5, "shuffle": True} if name in variables.split(",") else {"_FillValue": None}
                for name in dataset.variables}
    for name in variables.split(","):
        encoding[name]["_FillValue"] = dataset[name].attrs.pop("_FillValue")
    for variable in dataset.variables.values():
        variable.encoding.clear()
    start = time.perf_counter()
    for _ in range(int(count)):
        dataset.to_netcdf(out, encoding=encoding, engine="netcdf4")
    return (time.perf_counter() - start) / int(count), list(dataset.variables)


def earthaccess_photons(granule, group, name, *settings):
    """As its guide for ICESat-2 does it; `settings` for files other than its own: cache type and block size."""
    earthaccess = import_earthaccess()
    import xarray as xr

    start = time.perf_counter()
    earthaccess.login(strategy="environment")
    found = earthaccess.search_data(short_name="ATL03", granule_name=granule)
    (file,) = earthaccess.open(found, **open_settings(settings))
    with xr.open_dataset(file, group=group, engine="h5netcdf") as dataset:
        mean = float(dataset[name].mean(dtype="f8"))
    return time.perf_counter() - start, mean


def earthaccess_lakes(out, begin, end, names, box, *settings):
    """Sea-surface temperature of a box where there is little ice or none, mean by year; decoded to and added up in float64 by xarray."""
    earthaccess = import_earthaccess()
    import dask  # noqa: F401, its threads are the default
    import numpy as np
    import xarray as xr

    west, south, east, north = map(float, box.split(","))
    start = time.perf_counter()
    earthaccess.login(strategy="environment")
    found = earthaccess.search_data(short_name="MUR-JPL-L4-GLOB-v4.1", temporal=(begin, end), granule_name=names.split(","))
    files = earthaccess.open(found, **open_settings(settings))
    with xr.open_mfdataset(files, engine="h5netcdf", combine="nested", concat_dim="time", data_vars="minimal", coords="minimal",
                           compat="override", join="override") as granules:
        part = granules[["analysed_sst", "sea_ice_fraction"]].sel(lat=slice(south, north), lon=slice(west, east))
        water = part.analysed_sst.where((part.sea_ice_fraction < 0.15) | part.sea_ice_fraction.isnull())
        mean = water.groupby("time.year").mean("time").compute()
    seconds = time.perf_counter() - start
    np.savez(out, mean=mean.values, lat=mean.lat.values, lon=mean.lon.values)
    return seconds, [len(files), list(mean.shape), str(mean.dtype)]


def earthaccess_search(out, short_name):
    earthaccess = import_earthaccess()
    processor, start = time.process_time(), time.perf_counter()
    earthaccess.login(strategy="environment")
    found = earthaccess.search_data(short_name=short_name, count=-1)
    pathlib.Path(out).write_text("".join(f"{granule.data_links()[0]}\n" for granule in found))
    return time.perf_counter() - start, {"processor": time.process_time() - processor, "granules": len(found)}


def kerchunk_generate(out, begin, end):
    """Both reference sets of a collection as PO.DAAC's generator makes them: granules of a search, scanned by kerchunk (which its
    VirtualiZarr calls), joined along time, written with s3:// addresses and rewritten to https://. In one process, without Dask."""
    earthaccess = import_earthaccess()
    from kerchunk.combine import MultiZarrToZarr
    from kerchunk.hdf import SingleHdf5ToZarr

    processor, start = time.process_time(), time.perf_counter()
    earthaccess.login(strategy="environment")
    found = earthaccess.search_data(short_name="MUR-JPL-L4-GLOB-v4.1", temporal=(begin, end))
    links = [granule.data_links(access="direct")[0] for granule in found]
    sets = [SingleHdf5ToZarr(file, link, inline_threshold=10, error="raise").translate()  # the time alone is copied
            for file, link in zip(earthaccess.open(found), links)]
    combined = MultiZarrToZarr(sets, coo_map={"time": "cf:time"}, concat_dims=["time"], identical_dims=["lat", "lon"],
                               inline_threshold=0).translate()
    text = json.dumps(combined)
    pathlib.Path(out + "_s3.json").write_text(text)
    pathlib.Path(out + "_https.json").write_text(text.replace("s3://", "https://archive.podaac.earthdata.nasa.gov/"))
    return time.perf_counter() - start, {"processor": time.process_time() - processor, "references": len(combined["refs"])}


def import_earthaccess():
    import warnings

    warnings.simplefilter("ignore")
    import earthaccess

    return earthaccess


def open_settings(settings):
    """None: what earthaccess chooses by the file's size."""
    return {"open_kwargs": {"cache_type": settings[0], "block_size": int(settings[1])}} if settings else {}


def peak_memory_mib():
    """Of this process alone; what getrusage says counts the process that started it, too."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


JOBS = {f.__name__: f for f in (kerchunk_index, h5py_chunk_iter, kerchunk_combine, h5py_mean, xarray_mean, xarray_time_mean, fsspec_lookup, scipy_mapping, remote_scan, remote_slice,
                                 xarray_write, earthaccess_photons, earthaccess_lakes, earthaccess_search, kerchunk_generate)}

if __name__ == "__main__":
    seconds, result = JOBS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({"seconds": seconds, "result": result, "memory_mib": peak_memory_mib()}))
