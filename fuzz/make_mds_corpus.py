"""Writes fuzz/corpus/mds: a .meta for each thing that one can say."""

import pathlib

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "mds"
OUT.mkdir(parents=True, exist_ok=True)

PLANE = " nDims = [   2 ];\n dimList = [\n     4,    1,    4,\n    52,    1,   52\n ];\n"
FLOAT = " dataprec = [ 'float32' ];\n nrecords = [     1 ];\n"

TEXTS = {
    "grid": PLANE + FLOAT,
    "mean": PLANE + FLOAT + " timeStepNumber = [         12 ];\n timeInterval = [  3.600000000000E+03  4.320000000000E+04 ];\n"
            " missingValue = [ -9.99000000000000E+02 ];\n nFlds = [    1 ];\n fldList = {\n 'SSH     '\n };\n",
    "levels": " simulation = { 'it''s' };\n nDims = [ 3 ];\n dimList = [ 2,1,2, 26,1,26, 3,1,3, ];\n dataprec = [ 'float64' ];\n"
              " nrecords = [ 2 ];\n timeStepDate = [ '1992-01-01T12:00:00' ];\n nFlds = [ 2 ];\n fldList = { 'UVEL    ' 'WVEL    ' };\n",
    "profile": " nDims = [ 3 ];\n dimList = [ 1,1,1, 1,1,1, 50,1,50 ];\n format = [ 'float32' ];\n nrecords = [ 1 ];\n",
    "pickup": PLANE + " dataprec = [ 'float64' ];\n nrecords = [ 7 ];\n timeStepNumber = [ 12 ];\n nFlds = [ 3 ];\n"
              " fldList = { 'Uvel' 'EtaN' 'Theta' };\n",
    "piece": "/* tile */ nDims=[2];dimList=[8,1,4,52,1,52];map2glob=[ 1,8 ];dataprec=['float32'];nrecords=[1];",
}
for name, text in TEXTS.items():
    (OUT / f"{name}.meta").write_text(text)
