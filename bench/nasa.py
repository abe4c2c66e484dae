"""The work that people do with NASA's archive from afar: Upwell beside earthaccess with xarray and h5netcdf.

Both are behind the wide-area link of remote.py, on whose far side is the fake Earthdata of tests/earthdata (TLS, logins, signed
URLs, the catalogue). Both begin with a name and password and know nothing of a granule yet. Bytes are those that came over the link.
"""

import contextlib
import datetime
import functools
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import h5py
import netCDF4
import numpy as np
import remote

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from earthdata.fixture import running  # noqa: E402
from earthdata.names import REAL  # noqa: E402

SERVER = "10.91.0.2"
PEER = "earthaccess, xarray, h5netcdf"
PHOTONS = {"gt1l": 3376706, "gt1r": 700000, "gt2l": 2000000, "gt2r": 600000, "gt3l": 1800000, "gt3r": 500000}
VARIABLE = "gt1l/heights/h_ph"
YEARS = range(2010, 2020)
DAYS = (24, 25)  # of December
NAME = "{}{:02d}{:02d}090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"
ROWS, COLUMNS = 17999, 36000
BOX = (-94.93, 40.26, -73.83, 48.95)
LAKE_NAMES = tuple(f"????12{day}*" for day in DAYS)
SEARCHED = 20_000
FIRST_DAY, GENERATED = datetime.datetime(2002, 6, 1, 9), 1000
PHOTONS_WORK = "ATL03-like: open a group, mean of 13 MB"
LAKES_WORK = "Great Lakes, MUR-like: two days of ten years, mean by year"
SEARCH_WORK = f"search of {SEARCHED:,} granules"
GENERATE_WORK = "generate: {:,} MUR-like granules to both JSONs"
FEW = f"the same of {SEARCHED // 5:,}"


# --- Inputs -----------------------------------------------------------------------------------------------------------

def make_photons(path):
    """As ATL03: beams of very different sizes, small chunks, version 1 B-trees; delta_time is the dimension of what has its rate."""
    random = np.random.default_rng(31)
    how = {"chunks": (10000,), "compression": 6, "shuffle": True}
    with h5py.File(path, "w", libver="earliest") as file:
        for beam, photons in PHOTONS.items():
            heights, geolocation = file.create_group(f"{beam}/heights"), file.create_group(f"{beam}/geolocation")
            along = np.linspace(20, 60, photons) + random.normal(0, 1e-6, photons)
            write_rate(heights, "delta_time", {"delta_time": 1e8 + along, "lat_ph": along, "lon_ph": 2 * along, "dist_ph_along": 4 * along,
                                               **{name: random.normal(100, 30, photons).astype("f4") for name in ("h_ph", "dist_ph_across")},
                                               **{name: random.integers(0, 9, photons).astype("i1")
                                                  for name in ("ph_id_channel", "ph_id_count", "ph_id_pulse", "quality_ph")}}, how)
            segments = photons // 20
            write_rate(geolocation, "delta_time", {"delta_time": np.linspace(1e8, 1e8 + 40, segments),
                                                   **{f"seg_{n:02d}": np.cumsum(random.normal(size=segments)) for n in range(25)}}, how)


def write_rate(group, dimension, variables, how):
    for name, values in variables.items():
        variable = group.create_dataset(name, data=values, **how)
        variable.attrs.update(units="seconds since 2018-01-01" if name == dimension else "1",
                              description="a variable of this rate, described at some length " * 4)
        if name == dimension:
            variable.make_scale(dimension)
        else:
            variable.dims[0].attach_scale(group[dimension])


PACKED = (("analysed_sst", "i2", (1, 1023, 2047), {"scale_factor": 0.001, "add_offset": 298.15, "units": "kelvin"}, 850_000),
          ("analysis_error", "i2", (1, 1023, 2047), {"scale_factor": 0.01, "add_offset": 0.0, "units": "kelvin"}, 500_000),
          ("mask", "i1", (1, 1447, 2895), {"flag_masks": np.array([1, 2, 4, 8, 16], "i1"), "flag_meanings": "open_sea land open_lake sea_ice lake_ice"}, 120_000),
          ("sea_ice_fraction", "i1", (1, 1447, 2895), {"scale_factor": 0.01, "add_offset": 0.0}, 90_000))  # the last: bytes of a chunk, about


# About where the Great Lakes have their shores.
SHORES = (
    ((-92.1, 46.7), (-90.6, 47.6), (-89.3, 48.1), (-88.3, 48.8), (-86.5, 48.75), (-85, 47.9), (-84.7, 46.9), (-84.8, 46.5), (-86.2, 46.6), (-87.4, 46.5),
     (-88.3, 46.9), (-87.8, 47.4), (-89, 46.95), (-90.5, 46.6), (-91.5, 46.8)),
    ((-87.5, 41.65), (-86.9, 41.75), (-86.3, 42.4), (-86.3, 43.3), (-86.5, 44), (-86.2, 44.7), (-85.5, 45.2), (-85, 45.8), (-85.5, 46.05), (-86.5, 45.9),
     (-87.2, 45.6), (-87.7, 44.9), (-88, 44.55), (-87.5, 44.5), (-87.6, 43.8), (-87.9, 43), (-87.8, 42.3)),
    ((-84.6, 45.8), (-84, 46), (-82.5, 46.1), (-81.3, 46), (-80.5, 45.6), (-79.8, 44.8), (-80.1, 44.5), (-81.2, 45.1), (-81.7, 44.3), (-81.7, 43.4),
     (-82.4, 43), (-82.6, 43.8), (-83, 44.05), (-83.4, 43.85), (-83.9, 43.65), (-83.8, 43.95), (-83.3, 44.3), (-83.3, 45), (-84, 45.5)),
    ((-83.45, 41.75), (-82.7, 41.5), (-81.7, 41.5), (-80.5, 42), (-79, 42.75), (-78.9, 42.9), (-80, 42.8), (-81.2, 42.65), (-82, 42.2), (-83.1, 42.05)),
    ((-79.8, 43.3), (-79, 43.28), (-77.5, 43.28), (-76.2, 43.55), (-76.3, 44.1), (-77, 43.95), (-78, 43.95), (-79.3, 43.65)))


@functools.lru_cache(maxsize=16)
def land(row, column, end):
    """Of cells from there to `end`: in the box all but the lakes, elsewhere waves."""
    lat, lon = np.arange(row, end[0])[:, None] * 0.01 - 89.99, np.arange(column, end[1])[None, :] * 0.01 - 179.99
    y, x = np.radians(lat), np.radians(lon)
    dry = np.sin(20 * x + 0.4) + np.sin(30 * y + 0.6) + 0.5 * np.sin(60 * x - 50 * y) > 0
    box = (lon >= BOX[0]) & (lon <= BOX[2]) & (lat >= BOX[1]) & (lat <= BOX[3])
    water = np.zeros(dry.shape, bool)
    for shore in SHORES:
        for (x1, y1), (x2, y2) in zip(shore, shore[1:] + shore[:1]):
            if y1 != y2:  # a cell is inside where an odd number of sides lies west of it
                water ^= ((lat > y1) != (lat > y2)) & (lon > x1 + (lat - y1) * (x2 - x1) / (y2 - y1))
    return np.where(box, ~water, dry)


def write_global_analysis(path, date):
    """A daily analysis of MUR's grid, chunks and size, 0.5 GB. Chunks that the box does not touch have their size, but are holes of the file."""
    random = np.random.default_rng(date.toordinal())
    write_frame(path, date)
    with h5py.File(path, "r+") as file:
        for name, _, chunks, _, size in PACKED:
            write_chunks(file[name], chunks[1:], size, random, date)
    subprocess.run(["fallocate", "--dig-holes", str(path)], check=False)  # the same file, of less disk


def write_frame(path, date):
    """All but the chunks."""
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", 1), ("lat", ROWS), ("lon", COLUMNS)):
            file.createDimension(name, size)
        file.setncatts({"Conventions": "CF-1.5", "title": "Daily MUR-like SST, synthetic"})
        time = file.createVariable("time", "i4", ("time",))
        time.setncatts({"standard_name": "time", "units": "seconds since 1981-01-01 00:00:00 UTC"})
        time[:] = netCDF4.date2num(date, time.units)
        for name, standard, units, first, last, size in (("lat", "latitude", "degrees_north", -89.99, 89.99, ROWS),
                                                         ("lon", "longitude", "degrees_east", -179.99, 180.0, COLUMNS)):
            axis = file.createVariable(name, "f4", (name,))
            axis.setncatts({"standard_name": standard, "units": units})
            axis[:] = np.linspace(first, last, size)
        for name, kind, chunks, attributes, _ in PACKED:
            variable = file.createVariable(name, kind, ("time", "lat", "lon"), zlib=True, complevel=6, shuffle=True, chunksizes=chunks,
                                           fill_value=-32768 if kind == "i2" else -128)
            variable.setncatts(attributes)


def write_chunks(variable, chunks, size, random, date):
    rows = [int((degrees + 89.99) * 100) for degrees in BOX[1::2]]
    columns = [int((degrees + 179.99) * 100) for degrees in BOX[::2]]
    for row in range(0, ROWS, chunks[0]):
        for column in range(0, COLUMNS, chunks[1]):
            near = row <= rows[1] + 1 and rows[0] - 1 < row + chunks[0] and column <= columns[1] + 1 and columns[0] - 1 < column + chunks[1]
            if near:
                end = min(row + chunks[0], ROWS), min(column + chunks[1], COLUMNS)
                variable[0, row:end[0], column:end[1]] = stored_values(variable, row, column, end, random, date)
            else:
                variable.id.write_direct_chunk((0, row, column), bytes(int(size * random.uniform(0.7, 1.3))))


def stored_values(variable, row, column, end, random, date):
    """Waves with a little noise, land, and ice in the north: packed, they deflate about as real analyses do."""
    y = np.radians(np.arange(row, end[0])[:, None] * 0.01 - 89.99)
    x = np.radians(np.arange(column, end[1])[None, :] * 0.01 - 179.99)
    warmth = 0.2 * (date.year - YEARS[0]) + 0.1 * date.day
    field = 271 + 9 * np.cos(y) ** 2 + warmth + 1.5 * np.sin(10 * x + date.year) * np.cos(8 * y) + random.normal(0, 0.002, (len(y), x.size))
    dry = land(row, column, end)
    name = variable.name.strip("/")
    if name == "analysed_sst":
        return np.where(dry, -32768, np.round((field - 298.15) / 0.001)).astype("i2")
    if name == "analysis_error":
        return np.where(dry, -32768, np.round(37 + 2 * np.abs(np.sin(field)))).astype("i2")
    if name == "mask":
        return np.where(dry, 2, 1).astype("i1")
    ice = np.clip((277.5 - field) * 30, 0, 100)
    return np.where(dry | (ice <= 0), -128, ice).astype("i1")


def write_many_analyses(directory):
    """A thousand days of that size, of which all chunks are holes: for who only wants to know where they are."""
    template = directory / "many.tmp"
    write_frame(template, FIRST_DAY)
    random = np.random.default_rng(0)
    with h5py.File(template, "r+") as file:
        for name, _, chunks, _, size in PACKED:
            for row in range(0, ROWS, chunks[1]):
                for column in range(0, COLUMNS, chunks[2]):
                    file[name].id.write_direct_chunk((0, row, column), bytes(int(size * random.uniform(0.7, 1.3))))
        place, first = file["time"].id.get_offset(), int(file["time"][0])
    subprocess.run(["fallocate", "--dig-holes", str(template)], check=False)
    for number in range(GENERATED):
        date = FIRST_DAY + datetime.timedelta(number)
        path = directory / NAME.format(date.year, date.month, date.day)
        subprocess.run(["cp", "--sparse=always", str(template), str(path)], check=True)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(struct.pack("<i", first + 86400 * number))
        write_checksum(path, number)
    template.rename(directory / "many")


def write_checksum(path, number):
    """Of what nobody verifies: reading it all takes long."""
    path.with_name(path.name + ".md5").write_text(f"{number:032x}  {path.name}\n")


def make_granules(directory):
    """What the fake serves in place of its small granules: one of ATL03, two days of ten Decembers, and a thousand days without values."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "atl03.h5").exists():
        make_photons(directory / "atl03.tmp")
        (directory / "atl03.tmp").rename(directory / "atl03.h5")
    for number, (year, day) in enumerate((year, day) for year in YEARS for day in DAYS):
        path = directory / NAME.format(year, 12, day)
        if not path.exists():
            write_checksum(path, GENERATED + number)
            write_global_analysis(directory / "analysis.tmp", datetime.datetime(year, 12, day, 9))
            (directory / "analysis.tmp").rename(path)
    if not (directory / "many").exists():
        write_many_analyses(directory)
    return directory


# --- The far side -----------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def earthdata(wide, granules):
    """The fake Earthdata at NASA's names. Gives what a client's environment has to say."""
    sides = [pathlib.Path("/etc/netns") / space for space in (wide.client, wide.server)]  # what `ip netns exec` shows as /etc
    try:
        for side in sides:
            side.mkdir(parents=True)
            (side / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{SERVER} {name}\n" for name in REAL.values()))
        with running("--bind", SERVER, "--port", "443", "--full", granules, "--atl03", SEARCHED,
                     command=("ip", "netns", "exec", wide.server)) as fake:
            trusted = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), fake.ca)
            yield {"EARTHDATA_USERNAME": fake.user, "EARTHDATA_PASSWORD": fake.password, "NETRC": "/dev/null/none", **trusted,
                   "control": fake.started["control"]}
    finally:
        for side in sides:
            shutil.rmtree(side, ignore_errors=True)
        with contextlib.suppress(OSError):
            sides[0].parent.rmdir()  # if nobody else has namespaces with names of their own


class Measured:
    """Runs commands on the near side, each as somebody who has no files yet, and keeps what they cost by (work, side)."""

    def __init__(self, wide, environment, directory, upwell, run_in):
        self.wide, self.environment, self.directory, self.upwell, self.run_in = wide, dict(environment), directory, upwell, run_in
        self.control = self.environment.pop("control")
        self.samples = {}

    def count(self):
        return sum(map(len, self.samples.values()))

    def inside(self, command, near=False):
        home = self.directory / "home" / str(self.count())
        home.mkdir(parents=True, exist_ok=True)
        named = {**self.environment, "HOME": str(home), "XDG_CACHE_HOME": str(self.cache or home)}
        space = self.wide.server if near else self.wide.client
        return ["ip", "netns", "exec", space, "env", *(f"{name}={value}" for name, value in named.items()), *command]

    def requests(self):
        """How many the fake has answered so far."""
        answer = subprocess.run(["ip", "netns", "exec", self.wide.server, sys.executable, "-c", LAST_REQUEST, self.control], check=True,
                                capture_output=True, text=True)
        return int(answer.stdout)

    def __call__(self, work, side, *arguments, again=False, near=False):
        """`again`: with what the run before has kept; `near`: on the far side of the link."""
        self.cache = self.cache if again else self.directory / "cache" / str(self.count())
        received, requests = self.wide.received(), self.requests()
        sample = self.run_in(side, *map(str, arguments), inside=lambda command: self.inside(command, near))
        sample.megabytes = (self.wide.received() - received) / 1e6
        sample.requests = self.requests() - requests
        self.samples.setdefault((work, side), []).append(sample)
        return sample

    cache = None


LAST_REQUEST = """
import json, sys, urllib.request
log = json.load(urllib.request.urlopen(sys.argv[1] + "/log?since=0"))
print(log[-1]["number"] if log else 0)
"""


# --- The work ---------------------------------------------------------------------------------------------------------

def photons(measured, url):
    """The mean of one variable of one beam of a granule that is known by name."""
    granule = url.rsplit("/", 1)[-1]
    theirs = measured("photons", "peer", "earthaccess_photons", granule, *VARIABLE.rsplit("/", 1)).result
    for again in ("", " again"):
        ours = measured("photons" + again, "upwell", "read", url, VARIABLE, again=bool(again)).result
        mean = float(ours.split(" mean ")[1].split()[0])
        if abs(mean - theirs) > 1e-9 * abs(theirs):
            raise SystemExit(f"photons: {mean} and {theirs} differ")


def lakes(measured, directory):
    """Sea-surface temperature of a box at two days of ten Decembers, where there is little ice or none: means by year."""
    box = ",".join(map(str, BOX))
    ours, theirs = (directory / f"lakes{measured.count()}.{kind}" for kind in ("nc", "npz"))
    measured("lakes", "peer", "earthaccess_lakes", theirs, YEARS[0], YEARS[-1], ",".join(LAKE_NAMES), f" {box}")
    measured("lakes", "upwell", "aggregate", "--short-name", "MUR-JPL-L4-GLOB-v4.1", "--temporal", f"{YEARS[0]},{YEARS[-1]}",
             *(word for name in LAKE_NAMES for word in ("--granule-name", name)), f"--bbox={box}", "--variables", "analysed_sst",
             "--where", "sea_ice_fraction < 0.15 or isnan(sea_ice_fraction)", "--reduce", "time:mean", "--group-by", "time.year", "-o", ours, "--no-sync")
    peer = np.load(theirs)
    with netCDF4.Dataset(ours) as file:
        mean = np.ma.filled(file["analysed_sst"][:].astype("f8"), np.nan)
    if not 0.05 < np.isfinite(mean).mean() < 0.3:
        raise SystemExit("lakes: not as much water as there is")
    np.testing.assert_allclose(mean, peer["mean"], rtol=1e-12, err_msg="lakes")


def search(measured, directory):
    """All granules of a collection, and where they lie; then a fifth of them, to see whether memory grows."""
    ours, few, theirs = (directory / f"search{measured.count()}.{kind}" for kind in ("ours", "few", "theirs"))
    told = measured("search", "peer", "earthaccess_search", theirs, "ATL03")
    told.cpu = told.result["processor"]  # without imports
    where = ("search", "--short-name", "ATL03", "--format", "urls")
    measured("search", "upwell", *where, "-o", ours)
    measured("few", "upwell", *where, "-o", few, "--limit", SEARCHED // 5)
    if told.result["granules"] != SEARCHED or sorted(ours.read_text().split()) != sorted(theirs.read_text().split()):
        raise SystemExit("search: the granules are others")


def generate(measured, directory, ours, theirs):
    """Both reference sets of so many days; the peer's of fewer. Beside the archive, without the link: the generator runs there."""
    begin, ends = FIRST_DAY.date(), [FIRST_DAY + datetime.timedelta(days - 1, 3 * 3600) for days in (ours, theirs)]
    out, peer_out = directory / "generated", directory / "generated-peer"
    told = measured("generate", "peer", "kerchunk_generate", peer_out, begin, ends[1].isoformat(), near=True)
    told.cpu = told.result["processor"] * ours / theirs
    told.granules = theirs
    mine = measured("generate", "upwell", "generate", "--collection", "MUR-JPL-L4-GLOB-v4.1", "--loadable-vars", "lat,lon,time", "--start-date", begin,
             "--end-date", ends[0].isoformat(), "--access", "https", "-o", out, near=True)
    mine.granules = ours
    for kind in ("s3", "https"):
        sets = [json.loads(path.read_text())["refs"] for path in (next(out.glob(f"*_virtual_{kind}.json")), pathlib.Path(f"{peer_out}_{kind}.json"))]
        for key, place in sets[1].items():
            if isinstance(place, list) and key.split("/")[0] in {name for name, *_ in PACKED} and sets[0].get(key) != place:
                raise SystemExit(f"generate: {key} of {kind} is {sets[0].get(key)} and {place}")


def found(measured, *options):
    """URLs of a search that is not measured."""
    command = measured.inside([measured.upwell, "search", *options, "--format", "urls"])
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def work(measured, directory, rounds):
    (granule,) = found(measured, "--short-name", "ATL03", "--limit", "1")
    for number in range(rounds):
        photons(measured, granule)
        search(measured, directory)
        if number < 3:  # the peer's takes a minute
            lakes(measured, directory)
    generate(measured, directory, *((GENERATED, 20) if rounds > 1 else (GENERATED // 10, 5)))


def bench(run_in, upwell, directory, inputs_in, rounds):
    """run_in(side, *arguments, inside=...) runs "upwell" or "peer"; gives its Sample. Rows, or none where there can be no link."""
    reason = remote.why_not()
    if reason:
        print(f"nasa: skipped, no emulated link here: {reason}", file=sys.stderr)
        return []
    granules = make_granules(inputs_in / "nasa")
    with contextlib.ExitStack() as stack:
        try:
            wide = stack.enter_context(remote.link(directory))
        except OSError as problem:
            print(f"nasa: skipped, no emulated link here: {problem}", file=sys.stderr)
            return []
        environment = stack.enter_context(earthdata(wide, granules.resolve()))
        measured = Measured(wide, environment, directory, upwell, run_in)
        work(measured, directory, rounds)
    return rows(measured.samples)


def rows(samples):
    def pair(work, peer, ours, theirs, what, unit="s", note=""):
        return work, peer, [what(s) for s in samples[ours, "upwell"]], [what(s) for s in samples[theirs, "peer"]], unit, note

    def of_link(work, ours, theirs):
        requests = [samples[key][0].requests for key in ((ours, "upwell"), (theirs, "peer"))]
        note = f"{remote.ROUND_TRIP_MS} ms, {remote.MBIT} Mbit/s; {requests[0]} against {requests[1]} requests"
        return [pair(work, PEER, ours, theirs, lambda s: s.inner, note=note),
                pair(f"{work}: bytes", PEER, ours, theirs, lambda s: s.megabytes, "MB"),
                pair(f"{work}: peak memory", PEER, ours, theirs, lambda s: s.memory_mib, "MiB")]

    made, made_by_peer = (samples["generate", side][0].granules for side in ("upwell", "peer"))
    generate_work = GENERATE_WORK.format(made)
    few, all_of_them = samples["few", "upwell"], samples["search", "upwell"]
    return [*of_link(PHOTONS_WORK, "photons", "photons"), *of_link(PHOTONS_WORK + ", the second time", "photons again", "photons")[:2],
            *of_link(LAKES_WORK, "lakes", "lakes"),
            pair(SEARCH_WORK + ", processor time", "earthaccess", "search", "search", lambda s: s.cpu,
                 note="of Upwell the whole process, of the peer without imports; equal links"),
            *of_link(SEARCH_WORK, "search", "search"),
            pair(generate_work + ", processor time", f"kerchunk, {made_by_peer} granules, times {made // made_by_peer}", "generate", "generate", lambda s: s.cpu,
                 note="one run each, beside the archive; the peer's references equal"),
            (generate_work + ", peak memory", "the limit that was set", [s.memory_mib for s in samples["generate", "upwell"]], [200], "MiB", ""),
            (SEARCH_WORK + ": peak memory", FEW, [s.memory_mib for s in all_of_them], [s.memory_mib for s in few], "MiB",
             "1x is no growth")]
