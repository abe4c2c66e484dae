"""Writes fuzz/corpus/dmrpp: a document for each way in which values are told."""

import base64
import pathlib
import zlib

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "dmrpp"
OUT.mkdir(parents=True, exist_ok=True)


def b64(data):
    return base64.b64encode(data).decode()


BODIES = {
    "chunks": '<Dimension name="x" size="5"/><Int16 name="v"><Dim name="/x"/><Attribute name="units" type="String"><Value>K</Value>'
              '</Attribute><dmrpp:chunks compressionType="shuffle fletcher32" fillValue="-7" byteOrder="BE"><dmrpp:chunkDimensionSizes>2'
              '</dmrpp:chunkDimensionSizes><dmrpp:chunk offset="8" nBytes="4" fm="3" chunkPositionInArray="[0]"/>'
              '<dmrpp:chunk offset="0" nBytes="4" fm="3" chunkPositionInArray="[4]" href="https://example.org/x"/></dmrpp:chunks></Int16>',
    "contiguous": '<Float64 name="v"><Dim size="4"/><dmrpp:chunks fillValue="nan"><dmrpp:chunk offset="0" nBytes="32"/></dmrpp:chunks></Float64>',
    "blocks": '<Byte name="v"><Dim size="4"/><dmrpp:chunks><dmrpp:block offset="9" nBytes="2"/><dmrpp:block offset="0" nBytes="2"/>'
              '</dmrpp:chunks></Byte><Byte name="w"><Dim size="6"/><dmrpp:chunks LBChunk="true"><dmrpp:chunkDimensionSizes>3'
              '</dmrpp:chunkDimensionSizes><dmrpp:chunk offset="3" nBytes="2" chunkPositionInArray="[0]" LinkedBlockIndex="0"/>'
              '<dmrpp:chunk offset="0" nBytes="1" chunkPositionInArray="[0]" LinkedBlockIndex="1"/></dmrpp:chunks></Byte>',
    "compact": f'<Int16 name="v"><Dim size="2"/><dmrpp:compact>{b64(bytes(4))}</dmrpp:compact></Int16><String name="s">'
               f'<dmrpp:compact>{b64(b"hello")}</dmrpp:compact></String>',
    "missingdata": f'<Float32 name="v"><Dim size="9"/><dmrpp:missingdata>{b64(zlib.compress(bytes(36)))}</dmrpp:missingdata></Float32>',
    "texts": f'<String name="v"><Dim size="4"/><dmrpp:vlsa><v>a</v><v c="2">b</v><v s="600">{b64(zlib.compress(b"x" * 600))}</v>'
             '</dmrpp:vlsa></String><String name="w"><Dim size="2"/><dmrpp:vlsa>YWI=;;</dmrpp:vlsa></String>',
    "fixed": '<String name="v"><Dim size="3"/><dmrpp:chunks fillValue="x"><dmrpp:chunk offset="0" nBytes="9"/></dmrpp:chunks>'
             '<dmrpp:FixedLengthStringArray string_length="3" pad="space_pad"/></String>',
    "handles": '<String name="v"><dmrpp:chunk offset="250" nBytes="16"/></String><String name="w"><Dim size="3"/><dmrpp:chunks>'
               '<dmrpp:chunkDimensionSizes>3</dmrpp:chunkDimensionSizes><dmrpp:chunk offset="0" nBytes="9"/></dmrpp:chunks></String>',
    "structures": '<Structure name="v"><Float64 name="a"/><Int16 name="b"><Dim size="3"/></Int16><Dim size="2"/><dmrpp:chunks '
                  'fillValue="1.5 1 2 3" structOffset="8 16"><dmrpp:chunk offset="0" nBytes="32"/></dmrpp:chunks></Structure>'
                  f'<Structure name="w"><Int32 name="n"/><String name="t"/><dmrpp:specialstructuredata>'
                  f'{b64(bytes(4) + b"YWI=;")}</dmrpp:specialstructuredata></Structure>',
    "groups": '<Enumeration name="e" basetype="Byte"><EnumConst name="no" value="0"/></Enumeration><Group name="g">'
              '<Dimension name="t" size="2"/><Attribute name="DODS_EXTRA" type="Container"><Attribute name="Unlimited_Dimension" '
              'type="String"><Value>t</Value></Attribute></Attribute><Enum name="v" enum="/e"><Dim name="/g/t"/><dmrpp:chunks>'
              '<dmrpp:chunk offset="0" nBytes="2"/></dmrpp:chunks></Enum></Group>',
}
for name, body in BODIES.items():
    (OUT / name).write_text('<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#" '
                            f'name="g" dmrpp:href="OPeNDAP_DMRpp_DATA_ACCESS_URL" dmrpp:version="3.21.1">{body}</Dataset>')
