"""What pyhdf reads of the HDF4 file FILE: a JSON object of hashes by variable, as upwell_dump prints them. Scientific data sets
by their name, tables (vdata) by theirs, a table of one field also as TABLE_FIELD."""

import json
import struct
import sys

from pyhdf.error import HDF4Error
from pyhdf.HDF import HDF
from pyhdf.SD import SD
from pyhdf.VS import VS  # noqa: F401  (adds vstart)

FORMATS = {3: "B", 4: "b", 5: "<f", 6: "<d", 20: "<b", 21: "<B", 22: "<h", 23: "<H", 24: "<i", 25: "<I"}


class Hash:
    """FNV-1a of 64 bits."""

    def __init__(self):
        self.state = 0xCBF29CE484222325

    def add(self, kind, value):
        data = b"NaN" if value != value else struct.pack(FORMATS[kind], value)
        for byte in data:
            self.state = (self.state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF


def main():
    path, hashes = sys.argv[1], {}
    try:
        sd = SD(path)
        for name, (_, _, kind, _) in sd.datasets().items():
            h = Hash()
            for value in sd.select(name).get().reshape(-1).tolist():
                h.add(kind, value)
            hashes[name] = f"{h.state:016x}"
    except HDF4Error as error:
        print(error, file=sys.stderr)
    vs = HDF(path).vstart()
    for name, _, reference, count, fields, *_ in vs.vdatainfo():
        table = vs.attach(reference)
        h = Hash()
        kinds = [(field[1], field[2]) for field in table.fieldinfo()]
        try:
            records = table.read(count)
        except HDF4Error:  # tables that the library keeps for itself
            continue
        for record in records:
            for value, (kind, order) in zip(record, kinds):
                for one in value if order > 1 else [value]:
                    h.add(kind, one)
        hashes[name] = f"{h.state:016x}"
        if fields == 1:
            hashes[f"{name}_{table.fieldinfo()[0][0]}"] = hashes[name]
    print(json.dumps(hashes))


main()
