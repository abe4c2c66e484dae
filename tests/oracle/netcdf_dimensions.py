"""Prints the dimensions of every group and variable that netCDF-C finds in a file, and the shapes of variables, one JSON
line each.

Asks the library inside the netCDF4 package, which is newer than Debian's: it takes types for variables that older ones
skip, and phony dimensions are numbered by variables. netcdf_dimensions.py FILE
"""

import ctypes
import importlib.util
import json
import pathlib
import sys

NC_MAX_NAME, NC_MAX_VAR_DIMS = 256, 1024


def library():
    package = pathlib.Path(importlib.util.find_spec("netCDF4").origin).parent
    return ctypes.CDLL(next((package.parent / "netcdf4.libs").glob("libnetcdf*.so*")))


class File:
    def __init__(self, path):
        self.nc = library()
        number = ctypes.c_int()
        status = self.nc.nc_open(str(path).encode(), 0, ctypes.byref(number))
        if status:
            self.nc.nc_strerror.restype = ctypes.c_char_p
            raise OSError(self.nc.nc_strerror(status).decode())
        self.root = number.value

    def numbers(self, call, group, *rest):
        """The ids that a call of the form (group, &count, ids, ...) gives."""
        count = ctypes.c_int()
        call(group, ctypes.byref(count), None, *rest)
        ids = (ctypes.c_int * (count.value + 1))()
        call(group, ctypes.byref(count), ids, *rest)
        return list(ids[: count.value])

    def name(self, call, *ids):
        text = ctypes.create_string_buffer(NC_MAX_NAME + 1)
        # Names as latin-1, as the other programs' lines are read.
        return text.value.decode("latin-1") if call(*ids, text) == 0 else None

    def dimension_length(self, group, number):
        length = ctypes.c_size_t()
        self.nc.nc_inq_dimlen(group, number, ctypes.byref(length))
        return length.value

    def walk(self, group, path):
        unlimited = self.numbers(self.nc.nc_inq_unlimdims, group)
        dims = [[self.name(self.nc.nc_inq_dimname, group, d), self.dimension_length(group, d), d in unlimited]
                for d in self.numbers(self.nc.nc_inq_dimids, group, 0)]
        yield {"path": path or "/", "kind": "group", "dims": dims}
        for variable in self.numbers(self.nc.nc_inq_varids, group):
            rank = ctypes.c_int()
            self.nc.nc_inq_varndims(group, variable, ctypes.byref(rank))
            ids = (ctypes.c_int * NC_MAX_VAR_DIMS)()
            self.nc.nc_inq_vardimid(group, variable, ids)
            yield {"path": f"{path}/{self.name(self.nc.nc_inq_varname, group, variable)}", "kind": "array",
                   "dims": [self.name(self.nc.nc_inq_dimname, group, d) for d in ids[: rank.value]],
                   "shape": [self.dimension_length(group, d) for d in ids[: rank.value]]}
        for child in self.numbers(self.nc.nc_inq_grps, group):
            yield from self.walk(child, f"{path}/{self.name(self.nc.nc_inq_grpname, child)}")


def main():
    try:
        file = File(sys.argv[1])
    except OSError as problem:
        print(json.dumps({"kind": "file", "error": str(problem)}))
        return 65
    print(json.dumps({"kind": "file"}))
    for line in file.walk(file.root, ""):
        # The bytes of names as they are: their readers decode the whole output as latin-1.
        sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode("latin-1") + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
