"""The values of granules, each decoded by itself: decoded_granules.py OUT.npz GRANULE... (in order).

For every variable of the first granule with the dimension "time": what xarray decodes from each granule,
cast to the type that numpy promotes all of them to, one after the other along time. Times as nanoseconds.
"""

import sys

import numpy as np
import xarray as xr

out, *granules = sys.argv[1:]
parts = {}
for path in granules:
    with xr.open_dataset(path, engine="netcdf4", decode_times=False) as d:
        for name, v in d.variables.items():
            if "time" in v.dims and name != "time":
                parts.setdefault(name, []).append((v.dims.index("time"), v.values))
    with xr.open_dataset(path, engine="netcdf4") as d:
        ns = d["time"].values.astype("datetime64[ns]").astype("int64")
        parts.setdefault("time", []).append((0, ns))
whole = {}
for name, values in parts.items():
    dtype = np.result_type(*[v.dtype.newbyteorder("=") for _, v in values])
    whole[name] = np.concatenate([v.astype(dtype) for _, v in values], axis=values[0][0])
np.savez(out, **whole)
