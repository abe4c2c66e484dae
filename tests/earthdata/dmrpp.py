"""DMR++ sidecars: what build_dmrpp would say of a file, from libhdf5's own answers."""

import io
from xml.sax.saxutils import quoteattr

import h5py
import numpy as np

HREF = "OPeNDAP_DMRpp_DATA_ACCESS_URL"  # what the archives' documents have in place of the granule's address
TYPES = {"f4": "Float32", "f8": "Float64", "i1": "Int8", "i2": "Int16", "i4": "Int32", "i8": "Int64", "u1": "Byte", "u2": "UInt16",
         "u4": "UInt32", "u8": "UInt64"}
HIDDEN = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties", "_nc3_strict")


def attributes(node):
    for name, value in node.attrs.items():
        if name in HIDDEN:
            continue
        if isinstance(value, (str, bytes)):
            text, kind = [value.decode() if isinstance(value, bytes) else value], "String"
        else:
            array = np.atleast_1d(value)
            if array.dtype.str[1:] not in TYPES:
                continue
            text, kind = [repr(v.item()) for v in array], TYPES[array.dtype.str[1:]]
        values = "".join(f"<Value>{quoteattr(t)[1:-1]}</Value>" for t in text)
        yield f"<Attribute name={quoteattr(name)} type={quoteattr(kind)}>{values}</Attribute>"


def variable(name, d):
    tag = TYPES.get(d.dtype.str[1:])
    if tag is None:
        return
    named = [d.dims[i][0].name if len(d.dims[i]) else d.name if d.is_scale else None for i in range(d.ndim)]
    dims = "".join(f"<Dim name={quoteattr(n)}/>" if n else f'<Dim size="{size}"/>' for n, size in zip(named, d.shape))
    yield f"<{tag} name={quoteattr(name)}>{dims}"
    yield from attributes(d)
    filters = [f for f, used in (("shuffle", d.shuffle), ("deflate", d.compression == "gzip"), ("fletcher32", d.fletcher32)) if used]
    extra = f' compressionType="{" ".join(filters)}"' if filters else ""
    extra += f' deflateLevel="{d.compression_opts}"' if d.compression == "gzip" else ""
    order = "BE" if d.dtype.str[0] == ">" else "LE"
    yield f'<dmrpp:chunks{extra} fillValue="{d.fillvalue}" byteOrder="{order}">'
    if d.chunks:
        yield f'<dmrpp:chunkDimensionSizes>{" ".join(map(str, d.chunks))}</dmrpp:chunkDimensionSizes>'
        for i in range(d.id.get_num_chunks()):
            c = d.id.get_chunk_info(i)
            at = ",".join(map(str, c.chunk_offset))
            yield f'<dmrpp:chunk offset="{c.byte_offset}" nBytes="{c.size}" chunkPositionInArray="[{at}]"/>'
    elif d.id.get_offset() is not None:
        yield f'<dmrpp:chunk offset="{d.id.get_offset()}" nBytes="{d.id.get_storage_size()}"/>'
    yield f"</dmrpp:chunks></{tag}>"


def group(g):
    for name, node in g.items():
        if isinstance(node, h5py.Group):
            yield f"<Group name={quoteattr(name)}>"
            yield from group(node)
            yield "</Group>"
        else:
            yield from variable(name, node)
    yield from attributes(g)


def document(name, file, href=HREF):
    """Of a path, or of the bytes of a file."""
    with h5py.File(io.BytesIO(file) if isinstance(file, bytes) else file) as h:
        sizes = [f'<Dimension name={quoteattr(n)} size="{node.size}"/>' for n, node in h.items() if getattr(node, "is_scale", False)]
        lines = sizes + list(group(h))
    return ('<?xml version="1.0" encoding="ISO-8859-1"?>\n<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" '
            f'xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#" dapVersion="4.0" dmrVersion="1.0" name={quoteattr(name)} '
            f'dmrpp:href="{href}" dmrpp:version="3.21.1">\n' + "\n".join(lines) + "\n</Dataset>\n").encode()
