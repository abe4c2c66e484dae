"""Upwell against libhdf5 and netCDF-C over the shared conformance files: nothing may be different."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "oracle"))
import conformance  # noqa: E402

ORACLES = {"hdf5": "hdf5_oracle", "netcdf3": "netcdf_oracle"}


@pytest.mark.parametrize("kind", sorted(ORACLES))
def test_nothing_is_different(kind):
    if not conformance.shared_data():
        pytest.skip("no conformance files: set UPWELL_SHARED to the folder that holds data/conformance")
    for program in ("upwell_dump", ORACLES[kind]):
        if not (conformance.programs() / program).is_file():
            pytest.skip(f"{program} is not built in {conformance.programs()}")
    results = conformance.run(kind)
    assert results
    print(conformance.table(kind, results))
    bad = [r for r in results if r.verdict in ("different", "crash", "slow")]
    shown = [f"{r.verdict} {r.path}: {r.differences[:3]}" for r in bad]
    assert not bad, "\n".join(shown)


def test_a_difference_is_seen(tmp_path):
    """The comparison itself: one changed hash, type or missing object must not pass."""
    class Said:
        crashed = late = False
        opened, status, seconds, file = True, 0, 0.0, {"kind": "file", "user_block": 0}

        def __init__(self, objects, problems=()):
            self.objects = {o["path"]: o for o in objects}
            self.problems = {p["path"]: p for p in problems}

    def array(**changes):
        return {"path": "/a", "kind": "array", "addr": 1, "attrs": {}, "type": "i4le", "shape": [2], "max": [2],
                "filters": [], "layout": "contiguous", "hash": "1", **changes}

    def verdict(theirs, mine, problems=()):
        return conformance.Comparison("f", Said(theirs), Said(mine, problems)).verdict

    assert verdict([array()], [array()]) == "equal"
    assert verdict([array()], [array(hash="2")]) == "different"
    assert verdict([array()], [array(type="u4le")]) == "different"
    assert verdict([array()], []) == "different"
    assert verdict([], [array()]) == "different"
    attributes = {"units": {"type": "s1np", "shape": [], "hash": "3"}}
    assert verdict([array(attrs=attributes)], [array()]) == "different"
    refusal = {"path": "/a", "code": "unsupported", "error": "x: filter 32013"}
    assert verdict([array()], [], [refusal]) == "refused"
    assert verdict([array()], [], [{**refusal, "code": "invalid data"}]) == "different"


def test_a_difference_of_dimensions_is_seen():
    class Said:
        opened, status = True, 0

        def __init__(self, group, variable):
            self.objects = {"/": {"path": "/", "kind": "group", "dims": group},
                            "/a": {"path": "/a", "kind": "array", "dims": variable}}

    def differs(theirs, mine):
        return bool(conformance.Dimensions(Said(*theirs), Said(*mine), False).differences)

    x = ["x", 3, False]
    assert not differs(([x], ["x"]), ([x], ["x"]))
    assert differs(([x], ["x"]), ([x], ["y"]))
    assert differs(([x], ["x"]), ([["x", 4, False]], ["x"]))
    assert differs(([x], ["x"]), ([["x", 3, True]], ["x"]))
    assert differs(([x], ["x"]), ([x], ["x", "x"]))
    assert not differs(([x], ["x", None]), ([x, ["phony_dim_1", 9, False]], ["x", "phony_dim_1"]))
