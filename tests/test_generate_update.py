"""upwell generate where an output exists: granules that are new, revised, deleted, moved, and sets of other states."""

import concurrent.futures
import json
import pathlib
import re
import sys

import fsspec
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from earthdata import granules  # noqa: E402
from earthdata.fixture import running  # noqa: E402
from generating import DAYS, MUR, SHORT, STEM, TELLUS, both, check_mur, day_of, document_in, generate, keys_in, opened, urls_in  # noqa: E402


def test_what_is_new_revised_and_deleted_is_followed(tmp_path):
    stem = f"{MUR}_virtual_"
    with running("--mur", 6, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path, "--parquet")
        generate(fake, *run)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        since = fake.log()[-1]["number"]
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        assert not [e for e in fake.log(since) if e["role"] == "podaac"], "nothing is even looked at"

        fake.granules(MUR, "add", count=2)
        since = fake.log()[-1]["number"]
        assert "2 added, 0 replaced, 0 removed" in generate(fake, *run).stderr
        read = {day_of(e["path"]) for e in fake.log(since) if e["role"] == "s3"}
        assert read == {6, 7}, "only what is new is scanned"
        for document in both(tmp_path, stem):
            check_mur(document, range(8))

        fake.granules(MUR, "revise", number=0)  # in it lie the arrays without time
        fake.granules(MUR, "revise", number=3)
        done = generate(fake, *run)
        assert "2 added, 2 replaced, 0 removed" in done.stderr, done.stderr
        for document in both(tmp_path, stem):
            check_mur(document, range(8), {0: 2, 3: 2}.items())

        fake.granules(MUR, "delete", number=2)
        fake.granules(MUR, "delete", number=7)
        fake.granules(MUR, "revise", number=4)
        done = generate(fake, *run)
        assert "1 added, 1 replaced, 2 removed" in done.stderr, done.stderr
        for document in both(tmp_path, stem):
            check_mur(document, [0, 1, 3, 4, 5, 6], {0: 2, 3: 2, 4: 2}.items())
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr
        fs = fsspec.filesystem("reference", fo=str(tmp_path / f"{stem}s3.parq"), remote_protocol="memory")
        document = both(tmp_path, stem)[0]
        for key, value in document["refs"].items():
            if isinstance(value, list):
                assert [fs.references[key][0], *map(int, fs.references[key][1:])] == value


def test_a_set_of_a_clock_that_was_ahead(tmp_path):
    """What changed before the time that it gives is not taken for known."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        path = tmp_path / f"{MUR}_virtual_s3.json"
        text, count = re.subn(r'("as_of":\s*)"[^"]+"', r'\1"2999-01-01T00:00:00Z"', path.read_text())
        assert count == 1
        path.write_text(text)
        fake.granules(MUR, "add", count=1)
        fake.granules(MUR, "delete", number=1)
        done = generate(fake, *run)
        assert "1 added, 0 replaced, 1 removed" in done.stderr, done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 3, 4])
        assert "2999" not in path.read_text()


def test_the_time_of_a_set_is_the_catalogues(tmp_path):
    """A machine whose clock is two hours fast; here it is the catalogue's that is slow. What changes next counts."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        fake.fault("date", host="cmr", seconds=-7200)
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        told = re.search(r'"as_of":\s*"([^"]+)Z"', (tmp_path / f"{MUR}_virtual_s3.json").read_text())[1]
        behind = np.datetime64("now") - np.datetime64(told)
        assert np.timedelta64(2 * 60 + 15, "m") <= behind < np.timedelta64(2 * 60 + 20, "m")
        fake.granules(MUR, "revise", number=1)
        assert "1 replaced, 0 removed" in generate(fake, *run).stderr


def test_a_revised_granule_gets_another_name(tmp_path):
    """It takes the place of what it was before, wherever it lies in the set."""
    with running("--mur", 5, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        fake.granules(MUR, "rename", number=2)
        fake.granules(MUR, "rename", number=4)
        fake.granules(MUR, "add", count=1)
        done = generate(fake, *run)
        assert "5 granules" not in done.stderr and "6 granules now" in done.stderr, done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, range(6), {2: 2, 4: 2}.items())
            named = [url for url in urls_in(document) if "-r2.nc" in url]
            assert len(named) == 2 and len(urls_in(document)) == 6
        assert "nothing to do, 6 granules" in generate(fake, *run).stderr


def test_granules_behind_other_hosts(tmp_path):
    """The https set follows the links of each granule's record, whatever host its bucket was behind before."""
    with running("--mur", 4, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path, "--parquet")

        def check(days, moved):
            s3, https = both(tmp_path, f"{MUR}_virtual_")
            check_mur(s3, days)
            there = {fake.url("nsidc" if day_of(url) in moved else "podaac", url.removeprefix("s3:/")) for url in urls_in(s3)}
            assert urls_in(https) == there
            parquet = fsspec.filesystem("reference", fo=str(tmp_path / f"{MUR}_virtual_https.parq"), remote_protocol="memory")
            assert {parquet.references[key][0] for key, value in https["refs"].items() if isinstance(value, list)} == there

        generate(fake, *run)
        check(range(4), set())
        fake.granules(MUR, "move", number=1)
        generate(fake, *run)  # nothing but where it lies
        check(range(4), {1})
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert "nothing to do, 4 granules" in generate(fake, *run).stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        fake.granules(MUR, "add", count=1)
        assert "1 added, 0 replaced, 0 removed" in generate(fake, *run).stderr
        check(range(5), {1})
        for number in (0, 2, 3, 4):
            fake.granules(MUR, "move", number=number)
        generate(fake, *run)
        check(range(5), range(5))


def test_a_copy_of_another_state_is_renewed(tmp_path):
    """A run that ended between its copies and its set, or another one's copy that came later."""
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        generate(fake, *run)
        path = tmp_path / f"{MUR}_virtual_https.json"
        old = path.read_text()
        fake.granules(MUR, "add", count=1)
        generate(fake, *run)
        new = path.read_text()
        for other in (old, old[:2000]):
            path.write_text(other)
            assert "nothing to do, 4 granules" in generate(fake, *run).stderr
            assert path.read_text() == new


def test_a_revised_granule_is_no_answer_any_more(tmp_path):
    """Its new name does not match what the collection's form asks for; the feed of what the form asks for does not tell of it."""
    form = tmp_path / "form.yaml"
    form.write_text(f"{MUR}:\n  searches:\n    - granule-name: '*fv04.1'\n")
    with running("--mur", 6, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "--collections", form, "-o", tmp_path)
        generate(fake, *run)
        fake.granules(MUR, "rename", number=2)
        assert "1 removed" in generate(fake, *run).stderr
        fake.granules(MUR, "delete", number=5)
        fake.granules(MUR, "revise", number=0)
        assert "1 replaced, 1 removed" in generate(fake, *run).stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 1, 3, 4], {0: 2}.items())
        assert "nothing to do, 4 granules" in generate(fake, *run).stderr


def test_other_instructions_make_a_set_anew(tmp_path):
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        def refs():
            return both(tmp_path, f"{MUR}_virtual_")[0]["refs"]
        generate(fake, *run, "--loadable-vars", "time")
        assert isinstance(refs()["mask/0.0.0"], list)
        done = generate(fake, *run, "--loadable-vars", "time,mask")
        assert "made by other instructions" in done.stderr and "load time,mask" in done.stderr
        assert not any(isinstance(value, list) for key, value in refs().items() if key.startswith("mask/")), "copied"
        assert "nothing to do, 3 granules" in generate(fake, *run, "--loadable-vars", "time,mask").stderr
        assert "made by other instructions" in generate(fake, *run, "--loadable-vars", "time,mask", "--drop", "analysis_error").stderr
        assert not any(key.startswith("analysis_error") for key in refs())
        form = tmp_path / "form.yaml"
        form.write_text(f"{MUR}:\n  searches:\n    - granule-name: '20020601*'\n    - granule-name: '20020602*'\n")
        assert "made by other instructions" in generate(fake, *run, "--collections", form).stderr
        check_mur(both(tmp_path, f"{MUR}_virtual_")[0], [0, 1])


def test_a_granule_whose_record_leads_to_no_data(tmp_path):
    with running("--mur", 5, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "-o", tmp_path)
        fake.granules(MUR, "unlink", number=1)
        done = generate(fake, *run, status=65)
        assert "20020602090000" in done.stderr and "no link leads to its data (--skip-missing" in done.stderr
        assert not list(tmp_path.glob("*.json"))
        done = generate(fake, *run, "--skip-missing")
        assert "missing 20020602090000" in done.stderr and "4 granules now" in done.stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 3, 4])
        # One of the set loses its link.
        fake.granules(MUR, "unlink", number=3)
        before = {p: p.read_bytes() for p in tmp_path.glob("*.json")}
        assert "20020604090000" in generate(fake, *run, status=65).stderr
        assert {p: p.read_bytes() for p in tmp_path.glob("*.json")} == before
        assert "1 removed" in generate(fake, *run, "--skip-missing").stderr
        for document in both(tmp_path, f"{MUR}_virtual_"):
            check_mur(document, [0, 2, 4])
        assert "nothing to do, 3 granules" in generate(fake, *run, "--skip-missing").stderr


def test_parquet_in_a_bucket_is_written_anew(tmp_path, moto):
    with running("--mur", 3, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        run = ("--collection", MUR, "--output-bucket", "staging", "--parquet")
        generate(fake, *run, **moto.environment)
        fake.granules(MUR, "add", count=1)
        fake.granules(MUR, "revise", number=1)
        assert "2 added, 1 replaced" in generate(fake, *run, **moto.environment).stderr
    base = f"virtual_collections/{MUR}/{MUR}_virtual_"
    document = document_in(moto, base + "s3.json", "staging")
    check_mur(document, range(4), {1: 2}.items())
    for kind in ("s3", "https"):
        here = tmp_path / f"{kind}.parq"
        for key in keys_in(moto, "staging"):
            if key.startswith(f"{base}{kind}.parq/"):
                path = here / key.removeprefix(f"{base}{kind}.parq/")
                path.parent.mkdir(parents=True, exist_ok=True)
                moto.client().download_file("staging", key, str(path))
        fs = fsspec.filesystem("reference", fo=str(here), remote_protocol="memory")
        document = document_in(moto, f"{base}{kind}.json", "staging")
        for key, value in document["refs"].items():
            if isinstance(value, list):
                assert [fs.references[key][0], *map(int, fs.references[key][1:])] == value


def test_runs_at_once_leave_sets_that_agree(moto):
    with running("--mur", 12, "--ecco", 0, "--atl03", 0, "--tellus", 1) as fake:
        arguments = ("--collection", MUR, "--start-date", "2002-06-01", "--output-bucket", "outputs")
        for _ in range(2):
            fake.granules(MUR, "add", count=1)
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda _: generate(fake, *arguments, **moto.environment), range(3)))
        base = f"virtual_collections/{MUR}/{MUR}_2002-06-01_to_present_virtual_"
        s3, https = (document_in(moto, f"{base}{kind}.json") for kind in ("s3", "https"))
        check_mur(s3, range(14))
        assert urls_in(https) == {url.replace("s3://", fake.url("podaac", "/")) for url in urls_in(s3)}


def test_a_collection_of_one_file_that_gets_another_name(tmp_path):
    with running("--mur", 1, "--ecco", 0, "--atl03", 0, "--tellus", 5) as fake:
        run = ("--collection", TELLUS, "-o", tmp_path)
        generate(fake, *run)
        stem = f"{TELLUS}_virtual_"
        fake.granules(TELLUS, "add", count=1)
        generate(fake, *run)
        for document in both(tmp_path, stem):
            assert len(urls_in(document)) == 1
            with opened(document, lambda _: granules.tellus(6, 1), decode_times=False) as ds:
                np.testing.assert_array_equal(ds.lwe_thickness.values, granules.tellus_values(6))


def test_sets_of_other_programs_are_made_anew(earthdata, tmp_path):
    other = tmp_path / f"{STEM}s3.json"
    other.write_text(json.dumps({"version": 1, "refs": {".zgroup": '{"zarr_format": 2}'}}))
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path)
    assert "made by another program" in done.stderr and "4 added" in done.stderr
    check_mur(both(tmp_path)[0], DAYS)
    done = generate(earthdata, "--collection", MUR, *SHORT, "-o", tmp_path, "--rebuild")
    assert "4 added" in done.stderr
