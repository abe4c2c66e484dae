"""The collections: how many granules, when and where each is, what its files are called and which bytes they have.

Nothing is listed: a granule is a number, and all that is said of it is computed from the number. What tests change (granules
that are revised, deleted, added) is kept beside.
"""

import calendar
import datetime
import functools
import re
import time
from dataclasses import dataclass, field

from . import dmrpp, granules
from .names import GATEWAYS

DAY_S = 86400
UTC = datetime.timezone.utc
# One pixel, grey.
TIFF = (b"II*\0\x08\0\0\0\x08\0" + b"".join(int.to_bytes(v, n, "little") for tag, kind, value in (
    (256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 110), (278, 3, 1), (279, 4, 1))
    for v, n in ((tag, 2), (kind, 2), (1, 4), (value, 4))) + b"\0\0\0\0\x7f")


def seconds(*date):
    return calendar.timegm((*date, *(0,) * (6 - len(date))))


def stamp(when, form="%Y-%m-%dT%H:%M:%S.000Z"):
    return (datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=when)).strftime(form)


@dataclass(frozen=True)
class Part:
    """A file of a granule: `kind` data, md5, tif, txt, dmrpp."""

    name: str
    bucket: str
    key: str
    kind: str


@dataclass(eq=False)
class Collection:
    """`first` is the number in the first granule's concept id; `full` are files of real size that take the place of small ones."""

    count: int
    full: list = field(default_factory=list)
    revisions: dict = field(default_factory=dict)  # number to (revision id, time)
    deleted: dict = field(default_factory=dict)  # number to time
    added: dict = field(default_factory=dict)  # number to time
    renamed: dict = field(default_factory=dict)  # number to what its files' name ends with
    moved: dict = field(default_factory=dict)  # number to the gateway that its record leads to
    moved: dict = field(default_factory=dict)  # number to (revision and time of its bytes, gateway that its record leads to)
    unlinked: set = field(default_factory=set)  # numbers whose record leads to no data

    short_name = version = concept_id = provider = title = abstract = doi = level = ""
    gateway, protected, public = "podaac", "podaac-ops-cumulus-protected", "podaac-ops-cumulus-public"
    first, start, end = 0, 0, None  # of the collection's time
    platform = ("JASON-1", "POSEIDON-2")

    def live(self):
        return (n for n in range(self.count) if n not in self.deleted)

    def revision(self, number):
        """(revision id, time of it)"""
        return self.revisions.get(number) or (1, self.created(number))

    def created(self, number):
        """When it was ingested: two days after what it shows ended."""
        return self.added.get(number) or self.times(number)[1] + 2 * DAY_S

    def revise(self, number, when=None):
        self.revisions[number] = (self.revision(number)[0] + 1, time.time() if when is None else when)

    def rename(self, number):
        """Revised, under another file name."""
        self.revise(number)
        self.renamed[number] = f"-r{self.revision(number)[0]}"

    def move(self, number):
        """Behind the other gateway: its record is revised, its bytes are not."""
        kept = self.contents(number)
        self.revise(number)
        self.moved[number] = kept, next(g for g in GATEWAYS if g != self.gateway)

    def gateway_of(self, number):
        return self.moved[number][1] if number in self.moved else self.gateway

    def contents(self, number):
        """As revision, of its bytes."""
        return self.moved[number][0] if number in self.moved else self.revision(number)

    def unlink(self, number):
        self.revise(number)
        self.unlinked.add(number)

    def add(self, count):
        """So many more, ingested now."""
        for number in range(self.count, self.count + count):
            self.added[number] = time.time()
        self.count += count

    def concept(self, number):
        return f"G{self.first + number}-{self.provider}"

    def parts(self, number):
        return [self.data_part(number)]

    def data_part(self, number):
        name = self.name(number) + self.suffix
        return Part(name, self.protected, f"{self.short_name}/{name}", "data")

    suffix = ".nc"

    def real(self, number):
        """The file of real size that is in this granule's place, or None: the one of its name, else one of those without, in turn."""
        named = self.real_named.get(self.data_part(number).name)
        return named or (self.real_others[number % len(self.real_others)] if self.real_others else None)

    @functools.cached_property
    def real_named(self):
        return {path.name: path for path in self.full if path not in self.real_others}

    @functools.cached_property
    def real_others(self):
        return [path for path in self.full if self.number_of(path.name) is None]

    def data(self, number):
        """The object of the data file."""
        revision, when = self.contents(number)
        if path := self.real(number):
            return granules.File(path)
        maker, what = self.made(number)
        return granules.Bytes(maker(what, revision), when)

    def size_and_md5(self, number):
        if self.real(number):
            return self.data(number).size, self.data(number).etag
        return granules.size_and_md5(*self.made(number), self.contents(number)[0])

    def blob(self, bucket, key):
        """The object there, or None."""
        number = self.number_of(key.rsplit("/", 1)[-1])
        if number is None or number in self.deleted:
            return None
        sidecar = Part(self.data_part(number).name + ".dmrpp", self.protected, self.data_part(number).key + ".dmrpp", "dmrpp")
        for part in [*self.parts(number), sidecar]:
            if (part.bucket, part.key) == (bucket, key):
                return self.data(number) if part.kind == "data" else granules.Bytes(self.side(part, number), self.revision(number)[1])
        return None

    def side(self, part, number):
        if part.kind == "md5":
            return f"{self.size_and_md5(number)[1]}  {self.data_part(number).name}\n".encode()
        if part.kind == "tif":
            return TIFF
        if part.kind == "txt":
            return f"{self.name(number)}\n".encode()
        if path := self.real(number):
            beside = path.with_name(path.name + ".dmrpp")
            return beside.read_bytes() if beside.is_file() else dmrpp.document(part.name, path)
        return dmrpp.document(self.data_part(number).name, self.data(number).data)

    # of each collection: name(number), number_of(file name), times(number), shape(number), and made(number): the function of
    # granules.py that makes its bytes, with its first argument


class Daily(Collection):
    """A granule a day; `pattern` of strftime names it for the day, at `hour`; `lead` is how long before that its time begins."""

    pattern, hour, lead, length = "", 0, 0, DAY_S

    def name(self, number):
        return stamp(self.start_day + number * DAY_S + self.hour * 3600, self.pattern) + self.renamed.get(number, "")

    def number_of(self, file_name):
        match = re.search(self.date, file_name)
        if not match:
            return None
        number = (seconds(*map(int, match.groups())) - self.start_day) // DAY_S
        return number if 0 <= number < self.count and file_name.startswith(self.name(number)) else None

    def times(self, number):
        begin = self.start_day + number * DAY_S + self.hour * 3600 - self.lead
        return begin, begin + self.length

    def shape(self, _):
        return {"rectangles": ((-180, -90, 180, 90),)}


class Mur(Daily):
    short_name, version, concept_id, provider = "MUR-JPL-L4-GLOB-v4.1", "4.1", "C1996881146-POCLOUD", "POCLOUD"
    title = "GHRSST Level 4 MUR Global Foundation Sea Surface Temperature Analysis (v4.1)"
    doi, level = "10.5067/GHGMR-4FJ04", "4"
    first, start, start_day = 2028632042, seconds(2002, 5, 31, 21), seconds(2002, 6, 1)
    pattern = "%Y%m%d090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1"
    date, hour, lead = r"^(\d{4})(\d\d)(\d\d)090000-JPL", 9, 12 * 3600

    def made(self, number):
        return granules.mur, number

    def parts(self, number):
        data = self.data_part(number)
        return [Part(data.name + ".md5", self.public, f"{data.key}.md5", "md5"), data]


class Ecco(Daily):
    short_name, version, concept_id, provider = "ECCO_L4_SSH_LLC0090GRID_DAILY_V4R4", "V4r4", "C1991543744-POCLOUD", "POCLOUD"
    title = "ECCO Sea Surface Height - Daily Mean llc90 Grid (Version 4 Release 4)"
    doi, level = "10.5067/ECL5D-SSH44", "4"
    first, start, start_day = 2013200001, seconds(1992, 1, 1), seconds(1992, 1, 1)
    end = seconds(2018, 1, 1)
    pattern = "SEA_SURFACE_HEIGHT_day_mean_%Y-%m-%d_ECCO_V4r4_native_llc0090"
    date = r"day_mean_(\d{4})-(\d\d)-(\d\d)_ECCO"

    def made(self, number):
        return granules.ecco, number

    def parts(self, number):
        data = self.data_part(number)
        return [data, Part(data.name + ".md5", self.public, f"{data.key}.md5", "md5")]


class Tellus(Collection):
    """One file with all months, under another name each month: the granule before is deleted when the next comes."""

    short_name, version = "TELLUS_GRAC-GRFO_MASCON_CRI_GRID_RL06.3_V4", "RL06.3Mv04"
    concept_id, provider = "C3195527175-POCLOUD", "POCLOUD"
    title = "JPL GRACE and GRACE-FO Mascon Ocean, Ice, and Hydrology Equivalent Water Height CRI Filtered Release 06.3 Version 04"
    doi, level = "10.5067/TEMSC-3JC634", "3"
    first, start = 3195600001, seconds(2002, 4, 4)

    def __init__(self, months, full=()):
        super().__init__(0, list(full))
        self.months = []
        self.add(months)

    def add(self, count):
        """`count` months more: another file, and the one before is deleted."""
        if self.months:
            self.deleted.setdefault(self.count - 1, time.time())
            self.added[self.count] = time.time()
        self.months.append(count + (self.months[-1] if self.months else 0))
        self.count += 1

    def name(self, number):
        year, month = divmod(2002 * 12 + 3 + self.months[number] - 1, 12)
        return f"GRCTellus.JPL.200204_{year}{month + 1:02d}.GLO.RL06.3M.MSCNv04CRI"

    def number_of(self, file_name):
        found = [n for n in range(self.count) if file_name.startswith(self.name(n) + ".")]
        return found[-1] if found else None

    def times(self, number):
        year, month = divmod(2002 * 12 + 3 + self.months[number], 12)
        return self.start, seconds(year, month + 1, 1)

    def shape(self, _):
        return {"rectangles": ((0.25, -89.75, 180, 89.75), (-180, -89.75, -0.25, 89.75))}

    def made(self, number):
        return granules.tellus, self.months[number]

    def parts(self, number):
        data, stem = self.data_part(number), self.name(number)
        others = [Part(stem + end, self.public, f"{self.short_name}/{stem}{end}", end[1:]) for end in (".tif", ".txt")]
        others.insert(1 + self.months[number] % 2, data)  # the order of files is luck
        return others


class Atl03(Collection):
    """Strips between 60 S and 60 N along ground tracks that drift westwards and cross 180."""

    short_name, version, concept_id, provider = "ATL03", "006", "C2596864127-NSIDC_CPRD", "NSIDC_CPRD"
    title = "ATLAS/ICESat-2 L2A Global Geolocated Photon Data V006"
    doi, level = "10.5067/ATLAS/ATL03.006", "2A"
    gateway, protected, public = "nsidc", "nsidc-cumulus-prod-protected", "nsidc-cumulus-prod-public"
    first, start = 2650000001, seconds(2018, 10, 14)
    suffix, step = ".h5", 5640
    platform = ("ICESat-2", "ATLAS")

    def name(self, number):
        track = number % 1387 + 1
        return f"ATL03_{stamp(self.times(number)[0], '%Y%m%d%H%M%S')}_{track:04d}0103_006_02"

    def number_of(self, file_name):
        match = re.match(r"ATL03_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_", file_name)
        number = (seconds(*map(int, match.groups())) - self.start) // self.step if match else -1
        return number if 0 <= number < self.count and file_name.startswith(self.name(number)) else None

    def times(self, number):
        return self.start + number * self.step, self.start + number * self.step + 325

    def data_part(self, number):
        name, day = self.name(number) + self.suffix, stamp(self.times(number)[0], "%Y/%m/%d")
        return Part(name, self.protected, f"ATLAS/ATL03/006/{day}/{name}", "data")

    def shape(self, number):
        west, south = (170 - 24.8 * number + 180) % 360 - 180, -60 + 40 * (number % 3)
        ring = [(west, south), (west + 0.3, south), (west - 3.7, south + 40), (west - 4, south + 40), (west, south)]
        return {"polygons": [[((lon + 180) % 360 - 180, lat) for lon, lat in ring]]}

    def made(self, number):
        return granules.atl03, number


class Library:
    """All collections, and objects that a test puts there."""

    def __init__(self, collections):
        self.collections, self.put, self.changes = list(collections), {}, 0

    def has_bucket(self, bucket):
        return any(bucket in (c.protected, c.public, c.protected.replace("protected", "docs")) for c in self.collections) \
            or any(b == bucket for b, _ in self.put)

    def blob(self, bucket, key):
        if (bucket, key) in self.put:
            return self.put[bucket, key]
        return next((blob for c in self.collections if (blob := c.blob(bucket, key)) is not None), None)

    def named(self, text):
        """By short name or concept id."""
        return next((c for c in self.collections if text in (c.short_name, c.concept_id)), None)
