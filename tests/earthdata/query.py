"""A search as CMR reads it: parameters checked with CMR's texts, granules found and ordered."""

import calendar
import datetime
import fnmatch
import re
from dataclasses import dataclass, field

from . import shapes
from .shapes import Refused

GRANULE_LIMITS = {"short_name", "version", "provider", "provider_id", "concept_id", "collection_concept_id", "echo_collection_id",
                  "entry_title", "entry_id", "echo_granule_id"}
SPATIAL = ("bounding_box", "polygon", "point", "line", "circle")
NAMES = {"granule_ur", "native_id", "readable_granule_name", "producer_granule_id"}
COMMON = {"page_size", "page_num", "offset", "sort_key", "token", "temporal", "revision_date", "updated_since", "created_at",
          "options", "pretty", "exclude", "platform", "instrument", "downloadable", "online_only", *SPATIAL, "short_name", "version",
          "provider", "concept_id", "entry_title", "entry_id", "native_id"}
KNOWN = {
    "granule": COMMON | GRANULE_LIMITS | NAMES | {"day_night_flag", "day_night", "production_date"},
    "collection": COMMON | {"cloud_hosted", "has_granules", "include_granule_counts", "keyword", "doi"},
}
# What CMR takes and the fake does not: said aloud, so that no test believes in a filter that is none.
ELSEWHERE = {
    "granule": {"sensor", "project", "browsable", "cloud_cover", "orbit_number", "attribute", "cycle", "passes", "grid",
                "two_d_coordinate_system", "equator_crossing_longitude", "equator_crossing_date"},
    "collection": {"sensor", "project", "browsable", "has_granules_created_at", "has_granules_revised_at", "data_center", "tag_key",
                   "include_has_granules", "include_facets", "processing_level_id"},
}
SORT_KEYS = {"granule": {"granule_ur", "producer_granule_id", "readable_granule_name", "start_date", "end_date", "entry_title",
                         "short_name", "version", "provider", "data_size", "revision_date", "concept_id"},
             "collection": {"entry_title", "short_name", "start_date", "end_date", "provider", "revision_date", "score", "entry_id"}}
ACROSS = "The CMR does not allow querying across granules in all collections"
LIMIT = " You should limit your query using conditions that identify one or more collections such as provider, concept_id, short_name, or entry_title."
ALL = (f"{ACROSS}. To help optimize your search, you should limit your query using conditions that identify one or more collections, "
       "such as provider, provider_id, concept_id, collection_concept_id, short_name, version or entry_title. For any questions please "
       "contact cmr-support@earthdata.nasa.gov.")


class Unsupported(Exception):
    """CMR would have answered."""


def instant(text, name):
    """Seconds since 1970 of a date and time in CMR's forms."""
    text = text.strip()
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?", text)
    try:
        if match is None:
            raise ValueError
        date = [int(v or 0) for v in match.groups()[:6]]
        datetime.datetime(*date)
        zone = match[8] or "Z"
        ahead = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[-2:])) * (60 if zone[0] == "+" else -60)
        return calendar.timegm((*date, 0, 0, 0)) + float(match[7] or 0) - ahead
    except ValueError:
        raise Refused(f"{name} datetime is invalid: [{text}] is not a valid datetime.") from None


def period(text):
    """Seconds of an ISO 8601 period; a month is 30 days, a year 365."""
    match = re.fullmatch(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text)
    if match is None or len(text) < 3:
        raise Refused(f"temporal range is invalid: [{text}] is not a valid date-range.")
    return sum(int(v or 0) * unit for v, unit in zip(match.groups(), (31536000, 2592000, 604800, 86400, 3600, 60, 1)))


@dataclass
class Interval:
    """Of instants, either end open; with days of the year where it repeats every year."""

    first: float = float("-inf")
    last: float = float("inf")
    days: tuple = ()

    def holds(self, begin, end, exclude_boundary):
        outside = (end <= self.first or begin >= self.last) if exclude_boundary else (end < self.first or begin > self.last)
        if outside or not self.days:
            return not outside
        first, last = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc).timetuple().tm_yday for t in (begin, end))
        low, high = self.days
        return end - begin > 366 * 86400 or (first <= high and last >= low if first <= last else first <= high or last >= low)


def interval(text, name):
    if "/" in text:
        left, right = text.split("/", 1)
        first = None if left.startswith("P") else instant(left, f"{name} start")
        last = None if right.startswith("P") else instant(right, f"{name} end")
        return Interval(last - period(left) if first is None else first, first + period(right) if last is None else last)
    parts = [part.strip() for part in text.split(",")]
    limits = [instant(part, f"{name} {end}") if part else None for part, end in zip(parts[:2], ("start", "end"))]
    first, last = (limits + [None, None])[:2]
    days = []
    for part, tag in zip(parts[2:], ("temporal_start_day", "temporal_end_day")):
        if part and not (part.isdigit() and 1 <= int(part) <= 366):
            raise Refused(f"{tag} [{part}] must be an integer between 1 and 366")
        days.append(int(part) if part else (1, 366)[len(days)])
    if first is not None and last is not None and first > last:
        raise Refused(f"start_date [{parts[0]}] must be before end_date [{parts[1]}]")
    return Interval(float("-inf") if first is None else first, float("inf") if last is None else last,
                    tuple((days + [366])[:2]) if days else ())


@dataclass
class Search:
    concept: str
    values: dict = field(default_factory=dict)  # name to list of values
    options: dict = field(default_factory=dict)  # name to {option: bool}
    page_size: int = 10
    offset: int = 0
    times: list = field(default_factory=list)
    revised: list = field(default_factory=list)
    created: list = field(default_factory=list)
    areas: dict = field(default_factory=dict)  # kind to list of paths
    sort: list = field(default_factory=list)  # (name, descending)

    def get(self, name):
        return self.values.get(name, [])

    def option(self, name, option, default=False):
        return self.options.get(name, {}).get(option, default)

    def flag(self, name):
        return (self.get(name) or [""])[0].lower()


def read(concept, pairs, search_after=None):
    """A Search, or Refused with every complaint in its arguments."""
    search, complaints = Search(concept), []
    for name, value in pairs:
        match = re.fullmatch(r"options\[(\w+)\](?:\[\])?\[(\w+)\]", name)
        if match:
            search.options.setdefault(match[1], {})[match[2]] = value.lower() == "true"
            continue
        plain = re.sub(r"\[\w*\]", "", name)
        search.values.setdefault(plain, []).append(value)
    unsupported = sorted(ELSEWHERE[concept] & {*search.values, *search.options})
    if unsupported:
        raise Unsupported(f"The fake does not evaluate {unsupported}")
    known = KNOWN[concept]
    complaints += [f"Parameter [{name}] was not recognized." for name in search.values if name not in known]
    complaints += [f"Parameter [{name}] with option was not recognized." for name in search.options if name not in known]
    for step in (read_page, read_sort, read_times, read_areas, check_limits, check_names):
        try:
            step(search, search_after)
        except Refused as reason:
            complaints.append(str(reason))
    if complaints:
        raise Refused(*complaints)
    return search


def number(search, name, low, high, text):
    values = search.get(name)
    if len(values) > 1:
        raise Refused(f"Parameter [{name}] must have a single value.")
    if not values:
        return None
    if not re.fullmatch(r"-?\d{1,9}", values[0]) or not low <= int(values[0]) <= high:
        raise Refused(text)
    return int(values[0])


def read_page(search, search_after):
    size = number(search, "page_size", 0, 2000, "page_size must be a number between 0 and 2000")
    search.page_size = 10 if size is None else size
    page = number(search, "page_num", 1, 10**9, "page_num must be a number greater than or equal to 1")
    offset = number(search, "offset", 0, 1_000_000, "offset must be an integer between zero and 1000000")
    for name, value in (("page_num", page), ("offset", offset)):
        if value is not None and search_after is not None:
            raise Refused(f"{name} is not allowed with search-after")
    if page is not None and offset is not None:
        raise Refused("Only one of offset or page-num may be specified")
    if page is not None and page * search.page_size > 1_000_000:
        raise Refused(f"The paging depth (page_num * page_size) of [{page * search.page_size}] exceeds the limit of 1000000.")
    search.offset = offset if offset is not None else (page - 1) * search.page_size if page else 0


def read_sort(search, _):
    for text in search.get("sort_key"):
        name = text.strip().lstrip("+-")
        if name not in SORT_KEYS[search.concept]:
            raise Refused(f"The sort key [{name}] is not a valid field for sorting {search.concept}s.")
        search.sort.append((name, text.startswith("-")))


def read_times(search, _):
    search.times = [interval(text, "temporal") for text in search.get("temporal")]
    search.revised = [interval(text, "revision-date") for text in search.get("revision_date")]
    if len(search.get("updated_since")) > 1:
        raise Refused("Search not allowed with multiple updated_since values")
    search.revised += [Interval(instant(text, "updated_since")) for text in search.get("updated_since")]
    search.created = [interval(text, name) for name in ("created_at", "production_date") for text in search.get(name)]


def read_areas(search, _):
    for kind in SPATIAL:
        for text in search.get(kind):
            search.areas.setdefault(kind, []).append(shapes.decode(kind, text))


def check_limits(search, search_after):
    if search.concept != "granule" or GRANULE_LIMITS & set(search.values):
        return
    if search.areas:
        raise Refused(f"{ACROSS} with a spatial condition.{LIMIT}")
    raise Refused(ALL if search_after is None else f"{ACROSS} when using search-after.{LIMIT}")


def check_names(search, _):
    for name in ("concept_id", "collection_concept_id"):
        for text in search.get(name):
            if search.concept == "granule" and not re.fullmatch(r"[CG]\d+-\w+", text):
                raise Refused(f"Invalid concept_id [{text}]. For granule queries concept_id must be either a granule or collection concept ID.")
    for name in NAMES:
        if search.option(name, "pattern") and sum(text[:1] in "*?" for text in search.get(name)) > 5:
            raise Refused("The CMR restricts the number of leading wildcard patterns to 5 per query.")


# --- Which -------------------------------------------------------------------------------------------------------------

def text_matches(search, name, actual):
    """A parameter of text: any of its values, patterns where the option says so, case as CMR takes it."""
    wanted = search.get(name)
    if not wanted:
        return True
    if search.option(name, "ignore_case", True):
        wanted, actual = [w.lower() for w in wanted], [a.lower() for a in actual]
    whole = all if search.option(name, "and") else any
    if search.option(name, "pattern"):
        return whole(any(fnmatch.fnmatchcase(a, re.sub(r"([\[\]])", r"[\1]", w)) for a in actual) for w in wanted)
    return whole(w in actual for w in wanted)


def collection_matches(search, c):
    ids = [i for name in ("concept_id", "collection_concept_id", "echo_collection_id") for i in search.get(name) if i.startswith("C")]
    if ids and c.concept_id not in ids:
        return False
    if "false" in (search.flag("downloadable"), search.flag("online_only")):
        return False
    texts = {"platform": [c.platform[0]], "instrument": [c.platform[1]], "short_name": [c.short_name], "version": [c.version], "provider": [c.provider], "entry_title": [c.title],
             "entry_id": [f"{c.short_name}_{c.version}"]}
    if search.concept == "collection":
        texts |= {"doi": [c.doi], "native_id": [c.title]}
        words = " ".join(search.get("keyword")).lower().replace("*", "").split()
        if not all(word in f"{c.short_name} {c.title}".lower() for word in words) or search.flag("cloud_hosted") == "false":
            return False
        if search.times and not any(t.holds(c.start, c.end or float("inf"), False) for t in search.times):
            return False
        if search.flag("has_granules") in ("true", "false") and (search.flag("has_granules") == "true") != (c.count > 0):
            return False
    return all(text_matches(search, name, actual) for name, actual in texts.items())


def granule_matches(search, c, n):
    ids = [i for name in ("concept_id", "echo_granule_id") for i in search.get(name) if i.startswith("G")]
    if (ids and c.concept(n) not in ids) or c.concept(n) in search.get("exclude"):
        return False
    if search.times:
        strict = search.option("temporal", "exclude_boundary")
        whole = all if search.option("temporal", "and") else any
        if not whole(t.holds(*c.times(n), strict) for t in search.times):
            return False
    if search.revised:
        when = c.revision(n)[1]
        if not all(t.first <= when <= t.last for t in search.revised):
            return False
    if not all(t.first <= c.created(n) <= t.last for t in search.created):
        return False
    return names_match(search, c, n) and area_matches(search, c, n)


def names_match(search, c, n):
    if not search.values.keys() & (NAMES | {"day_night_flag", "day_night"}):
        return True
    name, file = c.name(n), c.data_part(n).name
    either = {"granule_ur": [name], "native_id": [name], "producer_granule_id": [file, name], "readable_granule_name": [name, file],
              "day_night_flag": ["unspecified"], "day_night": ["unspecified"]}
    return all(text_matches(search, key, actual) for key, actual in either.items())


def area_matches(search, c, n):
    if not search.areas:
        return True
    paths = shapes.of_granule(c.shape(n))
    for kind, areas in search.areas.items():
        whole = any if search.option(kind, "or") else all
        if not whole(any(shapes.touch(area, path) for path in paths) for area in areas):
            return False
    return True


class Descending:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return other.value < self.value

    def __eq__(self, other):
        return other.value == self.value


SORT_VALUES = {
    "provider": lambda c, n: c.provider.lower(), "short_name": lambda c, n: c.short_name.lower(),
    "entry_title": lambda c, n: c.title.lower(), "version": lambda c, n: c.version.lower(),
    "start_date": lambda c, n: int(c.times(n)[0] * 1000), "end_date": lambda c, n: int(c.times(n)[1] * 1000),
    "revision_date": lambda c, n: int(c.revision(n)[1] * 1000), "data_size": lambda c, n: c.size_and_md5(n)[0],
    "concept_id": lambda c, n: c.first + n,
}


def sort_values(search, c, n):
    """What CMR-Search-After tells of a granule: its sort keys, then the number in its concept id."""
    names = [name for name, _ in search.sort] or ["provider", "start_date"]
    return [*(SORT_VALUES[name](c, n) if name in SORT_VALUES else c.name(n).lower() for name in names), c.first + n]


def sort_key(search, told):
    descending = [d for _, d in search.sort or [("", False), ("", False)]] + [False]
    return [Descending(value) if d else value for value, d in zip(told, descending)]


def find(search, collections):
    """([(collection, number)], their sort keys) in the order of the search."""
    found = [(sort_key(search, sort_values(search, c, n)), c, n) for c in collections if collection_matches(search, c)
             for n in c.live() if granule_matches(search, c, n)]
    found.sort(key=lambda one: one[0])
    return [(c, n) for _, c, n in found], [key for key, _, _ in found]
