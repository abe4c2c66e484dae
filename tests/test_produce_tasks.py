"""upwell produce tasks, split and subset: the lists of ECCO dataset production.

The oracles are lists that JPL's edp_create_job_task_list saved (UPWELL_SHARED/data/ecco). What they do not show is tested on
job files, groupings and files of the model that the tests make.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_servers  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPWELL = pathlib.Path(os.environ.get("UPWELL", str(ROOT / "build/release/bin/upwell"))).resolve()

CONFIG = """
ecco_version: 'V4r4'
model_start_time: '1992-01-01T12:00:00'
model_end_time: '2017-12-31T12:00:00'
model_timestep: 1
model_timestep_units: 'h'
ecco_production_filestr_grid_label:
    latlon: '0p50deg'
    native: 'llc0090'
dataset_description_tail_1D: ''
dataset_description_tail_latlon: ' on a regular  grid.'
dataset_description_tail_native: ' on the native grid.'
"""
NATIVE = [
    {"name": "sea level", "fields": "SSH, ETAN", "filename": "SEA_SURFACE_HEIGHT", "dimension": "2D",
     "frequency": "AVG_DAY, AVG_MON, SNAP", "comment": "of \u00e9tan"},
    {"name": "mixing", "fields": "DIFFKR", "filename": "MIXING", "dimension": "3D", "frequency": "TI"},
]
LATLON = [
    {"name": "velocity", "fields": "EVEL, WVELMASS, NVEL", "filename": "OCEAN_VELOCITY", "dimension": "3D",
     "frequency": "AVG_MON", "variable_rename": "WVELMASS:WVEL",
     "field_components": {"EVEL": {"x": "UVEL", "y": "VVEL"}, "NVEL": {"x": "UVEL", "y": "VVEL"}},
     "field_orientations": {"EVEL": "zonal", "NVEL": "meridional"}},
    {"name": "old velocity", "fields": "EVEL, NVEL", "filename": "OLD_VELOCITY", "dimension": "3D",
     "frequency": "AVG_MON", "vector_inputs": {"UVEL": ["EVEL", "NVEL"], "VVEL": ["EVEL", "NVEL"]}},
]
ONE = [{"name": "pressure", "fields": "Pa_global", "filename": "GLOBAL_PRES", "dimension": "1D"}]
MONTHS = [732, 1428, 2172]
FOLDERS = {"mon_mean": "diags_monthly", "day_mean": "diags_daily", "day_snap": "diags_inst", "mon_snap": "diags_inst"}


def run(*arguments, status=0, cwd=None, program=UPWELL, environment=None):
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment)
    assert done.returncode == status, f"{command}\nstatus {done.returncode}\n{done.stderr}"
    return done


class Model:
    """A directory with the model's files, metadata and configuration, in which commands run."""

    def __init__(self, place):
        self.place = place
        (place / "metadata").mkdir(parents=True)
        (place / "c.yaml").write_text(CONFIG)
        for kind, groupings in (("native", NATIVE), ("latlon", LATLON), ("1D", ONE)):
            self.groupings(kind, groupings)

    def groupings(self, kind, groupings):
        (self.place / "metadata" / f"groupings_for_{kind}_datasets.json").write_text(json.dumps(groupings))

    def put(self, fields, tag, steps, version="V4r4", suffixes=(".data", ".meta")):
        for field in fields.split():
            folder = self.place / "results" / version / FOLDERS[tag] / f"{field}_{tag}"
            folder.mkdir(parents=True, exist_ok=True)
            for step in steps:
                for suffix in suffixes:
                    (folder / f"{field}_{tag}.{step:010}{suffix}").touch()
        return self

    def run(self, jobs, *options, status=0, config=("--cfgfile", "c.yaml"), source="results"):
        (self.place / "jobs.txt").write_text(jobs if jobs.endswith("\n") else jobs + "\n")
        return run("produce", "tasks", "--jobfile", "jobs.txt", "--ecco_source_root", source, "--ecco_destination_root",
                   "out", "--ecco_grid_loc", "grid", "--ecco_metadata_loc", "metadata", *config, *options, cwd=self.place,
                   status=status)

    def tasks(self, jobs, *options, **rest):
        return json.loads(self.run(jobs, *options, **rest).stdout)


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path / "m")


def names(tasks):
    return [t["granule"].rsplit("/", 1)[1] for t in tasks]


# --- The lists that JPL saved -----------------------------------------------------------------------------------------

@pytest.fixture
def edp(tmp_path):
    """The tree in which EDP's own tests ran, with the model's files empty."""
    shared = pathlib.Path(os.environ.get("UPWELL_SHARED", "/nowhere")) / "data" / "ecco"
    if not shared.is_dir():
        pytest.skip("no lists of JPL's: set UPWELL_SHARED to the folder that holds data/ecco")
    top = tmp_path / "ECCO-Dataset-Production"
    tests = top / "tests"
    shutil.copytree(shared / "results", tests / "data" / "ecco_results", ignore=shutil.ignore_patterns("*.data"))
    os.system(f"chmod -R u+w {tests}")
    for meta in list((tests / "data" / "ecco_results").rglob("*.meta")):
        meta.with_suffix(".data").touch()
    (top / "processing").mkdir()
    (top / "processing" / "configs").symlink_to(shared / "configs")
    for place in (tmp_path, top):
        release = place / "ECCO-v4-Configurations" / "ECCOv4 Release 4"
        release.mkdir(parents=True)
        (release / "metadata").symlink_to(shared / "metadata" / "R4")
    for name in ("SSH_native_latlon_local", "SSH_native_latlon_local_remote", "edp_create_job_task_list"):
        (tests / name).mkdir()
    return tests, shared / "tests"


def edp_program():
    program = UPWELL.parent / "edp_create_job_task_list"
    assert program.is_symlink(), f"{program} was not built"
    return program


def test_sea_surface_height_is_the_saved_list_byte_for_byte(edp):
    tests, saved = edp
    name = "SSH_native_latlon_local"
    up = "../../../"
    run("--jobfile", saved / name / "SSH_native_latlon_mon_mean_jobs.txt", "--ecco_source_root", "../data/ecco_results/",
        "--ecco_destination_root", "./V4r4_sav_test",
        "--ecco_grid_loc", f"{up}/ECCO-Dataset-Production/tests/data/ecco_grids/V4r4/grid_ECCOV4r4",
        "--ecco_mapping_factors_loc", f"{up}/ECCO-Dataset-Production/tests/data/ecco_mapping_factors/V4r4",
        "--ecco_metadata_loc", f"{up}/ECCO-v4-Configurations/ECCOv4 Release 4/metadata", "--outfile", "tasks.json",
        "--cfgfile", f"{up}/ECCO-Dataset-Production/processing/configs/product_generation_config_updated.yaml",
        "--log", "DEBUG", cwd=tests / name, program=edp_program())
    written = (tests / name / "tasks.json").read_bytes()
    assert written == (saved / name / "SSH_native_latlon_mon_mean_tasks.json.sav").read_bytes()


@pytest.mark.parametrize("jobs, sav", [
    ("edp_create_job_task_list/jobs_example.txt", "edp_create_job_task_list/edp_create_job_file_list_test_1.json.sav"),
    ("SSH_native_latlon_local_remote/SSH_native_latlon_mon_mean_jobs.txt",
     "SSH_native_latlon_local_remote/SSH_native_latlon_mon_mean_tasks.json.sav")])
def test_saved_lists(edp, jobs, sav):
    tests, saved = edp
    expected = json.loads((saved / sav).read_text())
    done = run("--jobfile", saved / jobs, "--ecco_source_root", "../data/ecco_results", "--ecco_destination_root", ".",
               "--ecco_grid_loc", expected[0]["ecco_grid_loc"],
               "--ecco_mapping_factors_loc", expected[0]["ecco_mapping_factors_loc"],
               "--ecco_metadata_loc", "../../ECCO-v4-Configurations/ECCOv4 Release 4/metadata",
               "--cfgfile", "../../processing/configs/product_generation_config_updated.yaml",
               cwd=(tests / sav).parent, program=edp_program())
    made = json.loads(done.stdout)
    if "remote" in sav:  # saved with another place of the granules and of the metadata
        for ours, theirs in zip(made, expected):
            ours["granule"] = ours["granule"].replace("./V4r4", theirs["granule"].split("/V4r4/")[0] + "/V4r4", 1)
            ours["ecco_metadata_loc"] = theirs["ecco_metadata_loc"]
    assert len(made) == len(expected)
    for ours, theirs in zip(made, expected):
        assert ours == theirs
        assert json.dumps(ours) == json.dumps(theirs)  # and in the same order
    if "remote" not in sav:
        assert done.stdout == (saved / sav).read_text()


@pytest.mark.parametrize("release, kind", [(r, k) for r in ("R4", "R5", "R6") for k in ("native", "latlon", "1D")])
def test_every_grouping_of_three_releases(tmp_path, release, kind):
    shared = pathlib.Path(os.environ.get("UPWELL_SHARED", "/nowhere")) / "data" / "ecco" / "metadata" / release
    if not shared.is_dir():
        pytest.skip("no metadata of ECCO: set UPWELL_SHARED to the folder that holds data/ecco")
    model = Model(tmp_path / "m")
    shutil.rmtree(model.place / "metadata")
    (model.place / "metadata").symlink_to(shared)
    groupings = json.loads(next(shared.glob(f"*groupings*_{kind}_*")).read_text())
    for grouping in groupings:
        vectors = grouping.get("field_components", {})
        for field in grouping["fields"].replace(" ", "").split(","):
            model.put(" ".join(vectors.get(field, {"x": field}).values()), "mon_mean", [732])
    jobs = "".join(f"[{i}, '{kind}', 'AVG_MON', 'all']\n" for i in range(len(groupings)))
    made = model.tasks(jobs, config=("--ecco_cfg_loc", "c.yaml"))
    assert len(made) == len(groupings)
    for task, grouping in zip(made, groupings):
        expected = grouping["fields"].replace(" ", "").split(",")
        if "variable_rename" in grouping:
            old, new = grouping["variable_rename"].split(":")
            expected = [f for f in expected if f != old] + [new]
        assert list(task["variables"]) == expected
        for field, vector in grouping.get("field_components", {}).items():
            if field not in expected:
                continue  # R6 describes vectors that it no longer has
            assert [pair[0].rsplit("/", 1)[1] for pair in task["variables"][field]] == [
                f"{component}_mon_mean.0000000732.data" for component in vector.values()]
        assert task["dynamic_metadata"].get("field_components") == grouping.get("field_components")
        assert task["dynamic_metadata"].get("field_orientations") == grouping.get("field_orientations")


# --- The form ---------------------------------------------------------------------------------------------------------

def test_dialects(model):
    model.put("UVEL VVEL WVELMASS", "mon_mean", [732])
    old = model.tasks("[0,'latlon','AVG_MON','all']")[0]
    assert list(old) == ["granule", "variables", "ecco_grid_loc", "ecco_mapping_factors_loc", "ecco_metadata_loc",
                         "dynamic_metadata"]
    assert old["granule"] == ("out/V4r4/latlon/mon_mean/OCEAN_VELOCITY/"
                              "OCEAN_VELOCITY_mon_mean_1992-01_ECCO_V4r4_latlon_0p50deg.nc")
    assert list(old["variables"]) == ["EVEL", "NVEL", "WVEL"]
    folder = "results/V4r4/diags_monthly"
    u, v, w = ([f"{folder}/{f}_mon_mean/{f}_mon_mean.0000000732.{s}" for s in ("data", "meta")]
               for f in ("UVEL", "VVEL", "WVELMASS"))
    assert old["variables"] == {"EVEL": [u, v], "NVEL": [u, v], "WVEL": [w]}
    assert old["ecco_grid_loc"] == "grid" and old["ecco_mapping_factors_loc"] is None
    assert old["dynamic_metadata"] == {
        "name": "velocity", "dimension": "3D", "time_coverage_start": "1992-01-01T12:00:00",
        "time_coverage_end": "1992-02-01T00:00:00", "time_coverage_center": "1992-01-16T18:00:00",
        "time_long_name": "center time of averaging period", "time_coverage_duration": "P1M",
        "time_coverage_resolution": "P1M",
        "summary": "This dataset contains monthly-averaged velocity on a regular grid."}

    new = model.tasks("[0,'latlon','AVG_MON','all']", config=("--ecco_cfg_loc", "c.yaml"))[0]
    assert list(new)[:3] == ["granule", "variables", "ecco_cfg_loc"] and new["ecco_cfg_loc"] == "c.yaml"
    assert list(new["dynamic_metadata"])[-4:] == ["time_coverage_resolution", "field_components", "field_orientations",
                                                  "summary"]
    assert model.tasks("[1,'latlon','AVG_MON','all']")[0]["variables"] == {"EVEL": [u, v], "NVEL": [u, v]}


def test_text_is_what_json_dump_writes(model):
    model.put("SSH ETAN", "mon_mean", MONTHS)
    for config in (("--cfgfile", "c.yaml"), ("--ecco_cfg_loc", "c.yaml")):
        text = model.run("[0,'native','AVG_MON','all']", config=config).stdout
        assert text == json.dumps(json.loads(text), indent=4)
        assert "\\u00e9" in text
    assert model.run("# nothing").stdout == "[]"


def test_time_steps(model):
    model.put("SSH ETAN", "mon_mean", MONTHS + [2892, 3636])
    every = model.tasks("[0,'native','AVG_MON','all']")

    def steps(times):
        made = model.tasks(f"[0,'native','AVG_MON',{times}]")
        assert all(task in every for task in made)
        return [int(t["variables"]["SSH"][0][0][-15:-5]) for t in made]

    assert steps("'all'") == MONTHS + [2892, 3636]
    assert steps("[2172, 732]") == [732, 2172]
    assert steps("'733..2892'") == [1428, 2172, 2892]
    assert steps("'2173..'") == [2892, 3636]
    assert steps("'1992-02/1992-04'") == [1428, 2172, 2892]
    assert steps("'1992-03/..'") == [2172, 2892, 3636]
    assert steps("['1992-02', 3636, '..732']") == [732, 1428, 3636]
    assert steps("'1992-01,1992-05'") == [732, 3636]


def test_days_are_named_by_their_end_or_by_themselves(model):
    model.put("SSH ETAN", "day_mean", [12, 36])
    jobs = "[0,'native','AVG_DAY','all']"
    assert names(model.tasks(jobs)) == [f"SEA_SURFACE_HEIGHT_day_mean_1992-01-0{d}_ECCO_V4r4_native_llc0090.nc"
                                        for d in (2, 3)]
    for date in ("start", "center"):
        made = model.tasks(jobs, "--daily-date", date)
        assert names(made) == [f"SEA_SURFACE_HEIGHT_day_mean_1992-01-0{d}_ECCO_V4r4_native_llc0090.nc" for d in (1, 2)]
    assert made[0]["dynamic_metadata"]["time_coverage_duration"] == "P1D"
    # The model ends at noon of its last day: by its end that day has the name of the one before.
    model.put("SSH ETAN", "day_mean", [227892, 227904])
    assert "made twice" in model.run(jobs, status=65).stderr
    made = model.tasks(jobs, "--daily-date", "start")
    assert [t["dynamic_metadata"]["time_coverage_start"] for t in made[-2:]] == ["2017-12-30T00:00:00",
                                                                                  "2017-12-31T00:00:00"]


def test_snapshots(model):
    model.put("SSH ETAN", "day_snap", [12])
    jobs = "[0,'native','SNAP','all']"
    old = model.tasks(jobs)[0]
    assert old["granule"] == ("out/V4r4/native/day_snap/SEA_SURFACE_HEIGHT/"
                              "SEA_SURFACE_HEIGHT_day_snap_1992-01-02_ECCO_V4r4_native_llc0090.nc")
    metadata = old["dynamic_metadata"]
    assert metadata["time_coverage_start"] == metadata["time_coverage_end"] == "1992-01-02T00:00:00"
    assert (metadata["time_long_name"], metadata["time_coverage_duration"]) == ("snapshot time", "PT0S")
    new = model.tasks(jobs, config=("--ecco_cfg_loc", "c.yaml"))[0]
    assert new["granule"] == ("out/V4r4/native/snap/SEA_SURFACE_HEIGHT/"
                              "SEA_SURFACE_HEIGHT_snap_1992-01-02T000000_ECCO_V4r4_native_llc0090.nc")
    model.put("SSH ETAN", "mon_snap", [732])
    assert "--snap-tag" in model.run(jobs, status=65).stderr
    assert len(model.tasks(jobs, "--snap-tag", "mon_snap")) == 1


def test_time_invariant_and_one_dimensional(model):
    folder = model.place / "results" / "V4r4"
    folder.mkdir(parents=True)
    (folder / "DIFFKR.data").touch(), (folder / "DIFFKR.meta").touch()
    (model.place / "GRID.nc").touch()
    raw, made = model.tasks("[1,'native','TI','all']\n[0,'native','TI','GRID.nc']", config=("--ecco_cfg_loc", "c.yaml"))
    assert raw["granule"] == "out/V4r4/native/MIXING_ECCO_V4r4_native_llc0090.nc"
    assert raw["variables"] == {"DIFFKR": [["results/V4r4/DIFFKR.data", "results/V4r4/DIFFKR.meta"]]}
    assert raw["dynamic_metadata"]["time_coverage_duration"] == "TIME-INVARIANT"
    assert "time_coverage_start" not in raw["dynamic_metadata"]
    assert (made["input_netcdf"], made["strip_attributes"]) == ("GRID.nc", "True") and "variables" not in made
    assert "OTHER.nc: no such file" in model.run("[0,'native','TI','OTHER.nc']", status=66).stderr
    model.put("Pa_global", "mon_mean", [732])
    assert names(model.tasks("[0,'1d','AVG_MON','all']")) == ["GLOBAL_PRES_mon_mean_ECCO_V4r4_1D.nc"]


@pytest.mark.parametrize("dialect", ["2024", "2026"])
def test_a_series_is_one_task_of_all_steps(model, dialect):
    model.put("Pa_global", "mon_mean", MONTHS).put("Pa_global", "day_snap", [1, 2])
    monthly, snapshots = model.tasks("[0,'1D','AVG_MON','all']\n[0,'1D','SNAP','all']", "--dialect", dialect)
    folder = "results/V4r4/diags_monthly/Pa_global_mon_mean/Pa_global_mon_mean"
    assert monthly["granule"] == "out/V4r4/1d/mon_mean/GLOBAL_PRES/GLOBAL_PRES_mon_mean_ECCO_V4r4_1D.nc"
    assert snapshots["granule"] == "out/V4r4/1d/snap/GLOBAL_PRES/GLOBAL_PRES_snap_ECCO_V4r4_1D.nc"
    assert monthly["variables"] == {"Pa_global": [[f"{folder}.{s:010}.data", f"{folder}.{s:010}.meta"] for s in MONTHS]}
    about = monthly["dynamic_metadata"]
    assert (about["time_coverage_start"], about["time_coverage_end"]) == ("1992-01-01T12:00:00", "1992-04-01T00:00:00")
    assert "time_coverage_center" not in about and about["time_coverage_duration"] == "P1M"
    report = model.place / "report.json"
    assert len(model.tasks("[0,'1D','AVG_MON','1992-02/1992-03']", "--report", "report.json")[0]["variables"]["Pa_global"]) == 2
    assert json.loads(report.read_text())["jobs"][0]["tasks"] == 1
    assert "1992-04" in model.run("[0,'1D','AVG_MON','1992-03/1992-04']", status=66).stderr


def test_a_series_in_a_netcdf_file(model):
    (model.place / "GMSL.nc").touch()
    task, = model.tasks("[0,'1D','AVG_MON','GMSL.nc']")
    assert task["input_netcdf"] == "GMSL.nc" and task["strip_attributes"] == "True" and "variables" not in task
    assert task["granule"].endswith("GLOBAL_PRES_mon_mean_ECCO_V4r4_1D.nc")
    assert "time_coverage_start" not in task["dynamic_metadata"]
    assert task["dynamic_metadata"]["time_long_name"] == "center time of averaging period"
    assert "OTHER.nc: no such file" in model.run("[0,'1D','AVG_MON','OTHER.nc']", status=66).stderr
    stderr = model.run("[0,'1D','TI','all']\n[0,'native','AVG_MON','GMSL.nc']", status=65).stderr
    assert "jobs.txt:1:14: a 1D job is a series" in stderr and "jobs.txt:2:" in stderr


# --- What is wrong or missing -----------------------------------------------------------------------------------------

def test_bad_jobs_write_nothing_and_name_each_line(model):
    model.put("SSH ETAN", "mon_mean", MONTHS)
    jobs = "# jobs\n[0,'native','AVG_MON','all']\n[0,'native','AVG_MON',all]\n\n[0,'Nativ','AVG_MON','all']\n"
    done = model.run(jobs, "-o", "tasks.json", "--report", "r.json", status=65)
    assert "jobs.txt:3:23:" in done.stderr and "jobs.txt:5:4:" in done.stderr and done.stdout == ""
    assert not (model.place / "tasks.json").exists()
    assert "jobs.txt:3:23:" in json.loads((model.place / "r.json").read_text())["error"]
    stderr = model.run("[7,'native','AVG_MON','all']\n[2,'latlon','AVG_MON','all']", status=65).stderr
    assert "jobs.txt:1:2: no grouping 7 of 'native'" in stderr and "jobs.txt:2:2: no grouping 2" in stderr


def test_missing_inputs(model):
    model.put("SSH", "mon_mean", MONTHS).put("ETAN", "mon_mean", [732])
    model.put("ETAN", "mon_mean", [2172], suffixes=(".data",))
    jobs = "[0,'native','AVG_MON','all']"
    done = model.run(jobs, "-o", "tasks.json", "--report", "r.json", status=66)
    assert "jobs.txt:1: SEA_SURFACE_HEIGHT 1992-02 ETAN: no ETAN_mon_mean.0000001428.data and .meta" in done.stderr
    assert "ETAN_mon_mean.0000002172.data lacks its .meta" in done.stderr
    assert not (model.place / "tasks.json").exists()
    report = json.loads((model.place / "r.json").read_text())
    assert report["missing"] == 2 and report["tasks"] == 0
    assert report["jobs"][0]["missing"][0] == {"step": 1428, "time": "1992-02", "variable": "ETAN",
                                               "reason": "no ETAN_mon_mean.0000001428.data and .meta"}
    done = model.run(jobs, "--allow-missing", "-o", "tasks.json", "--report", "r.json")
    assert "1992-02 ETAN left out" in done.stderr and "3 tasks of 1 jobs" in done.stderr
    made = json.loads((model.place / "tasks.json").read_text())
    assert [list(t["variables"]) for t in made] == [["SSH", "ETAN"], ["SSH"], ["SSH"]]
    report = json.loads((model.place / "r.json").read_text())
    assert (report["tasks"], report["missing"], report["jobs"][0]["first"]) == (3, 2, made[0]["granule"])


def test_a_vector_needs_both_components(model):
    model.put("UVEL WVELMASS", "mon_mean", [732, 1428]).put("VVEL", "mon_mean", [732])
    jobs = "[0,'latlon','AVG_MON','all']"
    assert "1992-02 EVEL: no VVEL_mon_mean.0000001428" in model.run(jobs, status=66).stderr
    assert [list(t["variables"]) for t in model.tasks(jobs, "--allow-missing")] == [["EVEL", "NVEL", "WVEL"], ["WVEL"]]


def test_steps_and_dates_that_are_not_there(model):
    model.put("SSH ETAN", "mon_mean", [732, 2172])
    assert "1428: no variable has such a time step" in model.run("[0,'native','AVG_MON',[732,1428]]", status=66).stderr
    assert "1992-02: no variable" in model.run("[0,'native','AVG_MON','1992-01/1992-03']", status=66).stderr
    assert "1995: no variable" not in model.run("[0,'native','AVG_MON','1995-01']", status=66).stdout
    done = model.run("[0,'native','AVG_MON','all']")
    assert "no step in 1992-02" in done.stderr
    assert len(model.tasks("[0,'native','AVG_MON','1992/1992']", "--allow-missing")) == 2
    assert "no time step of any variable" in model.run("[0,'native','AVG_DAY','all']", status=66).stderr


def test_versions_and_duplicates(model):
    model.put("SSH ETAN", "mon_mean", [732]).put("SSH ETAN", "mon_mean", [732, 1428], version="V4r5")
    jobs = "[0,'native','AVG_MON','all']"
    assert len(model.tasks(jobs)) == 1
    assert "lies in two directories" in model.run(jobs, "--any-version", status=65).stderr
    shutil.rmtree(model.place / "results" / "V4r4")
    assert "--any-version" in model.run(jobs, status=66).stderr
    assert len(model.tasks(jobs, "--any-version")) == 2
    # A name that only ends as a field's is another field.
    model.put("xSSH", "mon_mean", [2172], version="V4r5")
    assert len(model.tasks(jobs, "--any-version")) == 2
    stderr = model.run(jobs + "\n" + jobs, "--any-version", status=65).stderr
    assert "made twice: of step 732 by jobs.txt:1 and of step 732 by jobs.txt:2" in stderr


@pytest.mark.parametrize("change, message", [
    (("model_timestep: 1", "model_timestep: one"), "c.yaml:5:17: model_timestep: 'one' is not an integer"),
    (("ecco_version: 'V4r4'\n", ""), "c.yaml: ecco_version: missing"),
    (("    native: 'llc0090'\n", ""), "c.yaml:8:5: ecco_production_filestr_grid_label: no 'native'"),
    (("model_end_time: '2017", "model_end_time: '2O17"), "c.yaml:4:17: model_end_time:"),
    (("ecco_version:", "ecco_version: ["), "c.yaml:")])
def test_configurations(model, change, message):
    text = (model.place / "c.yaml").read_text()
    assert change[0] in text
    (model.place / "c.yaml").write_text(text.replace(*change))
    model.put("SSH ETAN", "mon_mean", [732])
    assert message in model.run("[0,'native','AVG_MON','all']", status=78).stderr


def test_the_guide_has_the_table_of_keys(tmp_path):
    """Keys that are read are in the table, else they do not compile; here: all in it are read, and the guide has it."""
    root = pathlib.Path(__file__).resolve().parent.parent
    table = subprocess.run([UPWELL, "produce", "config"], capture_output=True, text=True, check=True).stdout
    assert table in (root / "docs/guide/ecco.md").read_text()
    sources = "".join(path.read_text() for path in (root / "src/upwell/produce").rglob("*.cpp") if not path.name.endswith("_test.cpp"))
    keys = [line.split("`")[1] for line in table.splitlines()[2:]]
    assert len(keys) > 30 and not [key for key in keys if f'"{key}"' not in sources]
    config = tmp_path / "config.yaml"
    config.write_text("array_percision: float32\nmodel_timestep: soon\n")
    done = subprocess.run([UPWELL, "produce", "config", config], capture_output=True, text=True)
    assert done.returncode == 78 and f"{config}:1: array_percision: not read" in done.stdout
    assert f"{config}: array_precision is not there: float64" in done.stdout and "1 of 2 keys are read" in done.stdout
    assert f"{config}:2:17: model_timestep: 'soon' is not an integer" in done.stdout


def test_missing_files_and_metadata(model):
    model.put("SSH ETAN", "mon_mean", [732])
    jobs = "[0,'native','AVG_MON','all']"
    assert "nowhere" in model.run(jobs, source="nowhere", status=66).stderr
    assert "d.yaml" in model.run(jobs, config=("--cfgfile", "d.yaml"), status=66).stderr
    model.groupings("native", [{"name": "a", "fields": "B"}])
    assert "native_datasets.json: grouping 0: no 'filename'" in model.run(jobs, status=65).stderr
    (model.place / "metadata" / "groupings_for_native_datasets.json").unlink()
    assert "no groupings for 'native'" in model.run(jobs, status=66).stderr
    run("produce", "tasks", status=64)


def test_mistyped_commands():
    assert "did you mean 'produce'?" in run("prodce", "tasks", status=64).stderr
    assert "did you mean 'tasks'?" in run("produce", "task", status=64).stderr
    assert "there are tasks, granules, split, subset, factors" in run("produce", "granola", status=64).stderr


META = """ nDims = [ 2 ];
 dimList = [ 4, 1, 4, 2, 1, 2 ];
 dataprec = [ 'float32' ];
 nrecords = [ 1 ];
 timeStepNumber = [ {step} ];
 timeInterval = [ {start} {end} ];
"""


def test_check_meta(model):
    model.put("SSH ETAN", "mon_mean", MONTHS)
    folder = model.place / "results" / "V4r4" / "diags_monthly"
    jobs = "[0,'native','AVG_MON','all']"

    def write(field="SSH", step=732, size=32, **change):
        path = folder / f"{field}_mon_mean" / f"{field}_mon_mean.{step:010}.data"
        path.write_bytes(bytes(size))
        starts = {732: 3600.0, 1428: 732 * 3600.0, 2172: 1464 * 3600.0}  # the third as in V4r4: 36 h late
        values = {"step": step, "start": starts[step], "end": step * 3600.0, **change}
        path.with_suffix(".meta").write_text(META.format(**values))

    for field in ("SSH", "ETAN"):
        for step in MONTHS:
            write(field, step)
    done = model.run(jobs, "--check-meta", "--report", "r.json")
    assert len(json.loads(done.stdout)) == 3
    assert "2 .meta files have averages that begin elsewhere" in done.stderr
    assert "SSH_mon_mean.0000002172.meta: line 6: timeInterval begins 5270400 s" in done.stderr
    assert len(json.loads((model.place / "r.json").read_text())["jobs"][0]["notes"]) == 1
    for change, message in (({"step": 1428, "size": 28}, "28 bytes, where"), ({"step": 732, "end": 7200.0}, "timeInterval ends 7200 s"),
                            ({"step": 732, "start": "x"}, "line 6"), ):
        write(**change)
        done = model.run(jobs, "--check-meta", "--report", "r.json", status=65)
        assert message in done.stderr and done.stdout == ""
        assert len(json.loads((model.place / "r.json").read_text())["jobs"][0]["faults"]) == 1
        write(step=change["step"])
    meta = folder / "ETAN_mon_mean" / "ETAN_mon_mean.0000000732.meta"
    meta.write_text(meta.read_text().replace("[ 732 ]", "[ 733 ]"))
    assert "line 5: timeStepNumber is 733, the name says 732" in model.run(jobs, "--check-meta", status=65).stderr
    assert len(model.tasks(jobs)) == 3


# --- In a bucket ------------------------------------------------------------------------------------------------------

def test_in_a_bucket(tmp_path):
    server = s3_servers.start_moto()
    try:
        model = Model(tmp_path / "m")
        model.put("SSH ETAN", "mon_mean", MONTHS).put("THETA SALT", "mon_mean", range(1, 200))
        client = server.client()
        client.create_bucket(Bucket="granules")
        for path in model.place.rglob("*"):
            if path.is_file():
                client.put_object(Bucket="granules", Key=str(path.relative_to(model.place)), Body=path.read_bytes())
        client.put_object(Bucket="granules", Key="jobs.txt", Body=b"[0,'native','AVG_MON','1992-01/1992-03']\n")
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **server.environment}
        done = run("produce", "tasks", "--jobfile", "s3://granules/jobs.txt", "--ecco_source_root",
                   "s3://granules/results/V4r4", "--ecco_destination_root", "s3://out", "--ecco_metadata_loc",
                   "s3://granules/metadata", "--ecco_cfg_loc", "s3://granules/c.yaml", "--outfile",
                   "s3://granules/tasks.json", "--stats", environment=environment)
        made = json.loads(client.get_object(Bucket="granules", Key="tasks.json")["Body"].read())
        assert len(made) == 3
        assert made[0]["granule"].startswith("s3://out/V4r4/native/mon_mean/SEA_SURFACE_HEIGHT/")
        assert made[2]["variables"]["ETAN"] == [[
            f"s3://granules/results/V4r4/diags_monthly/ETAN_mon_mean/ETAN_mon_mean.0000002172.{s}" for s in ("data", "meta")]]
        requests = json.loads(done.stderr.splitlines()[-1])["requests"]
        # Three documents, metadata and diags_monthly listed, SSH and ETAN; not THETA and SALT.
        assert requests <= 14, done.stderr
    finally:
        server.stop()


# --- Parts ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def long_list(model):
    model.put("SSH ETAN", "day_mean", range(12, 12 + 24 * 100, 24))
    model.run("[0,'native','AVG_DAY','all']", "--daily-date", "start", "-o", "tasks.json")
    return model.place / "tasks.json", json.loads((model.place / "tasks.json").read_text())


def parts_of(folder):
    texts = {p.name: p.read_text() for p in sorted(folder.iterdir())}
    lists = {name: json.loads(text) for name, text in texts.items()}
    assert all(text == json.dumps(lists[name], indent=4) for name, text in texts.items())
    return lists


def test_split_by_count_is_theirs(long_list, tmp_path):
    source, tasks = long_list
    run("produce", "split", source, 7, tmp_path / "p" / "part")
    each = -(-len(tasks) // 7)
    assert parts_of(tmp_path / "p") == {f"part_{i + 1:03}.json": tasks[i * each:(i + 1) * each] for i in range(7)}
    run("produce", "split", source, 0, tmp_path / "p" / "part", status=64)
    run("produce", "split", tmp_path / "none.json", 2, tmp_path / "p" / "part", status=66)


def test_split_by_time_and_bytes(long_list, tmp_path, model):
    source, tasks = long_list
    run("produce", "split", source, "month", tmp_path / "t" / "part", cwd=model.place)
    parts = parts_of(tmp_path / "t")
    assert list(parts) == [f"part_1992-0{m}.json" for m in (1, 2, 3, 4)]
    assert sum(parts.values(), []) == tasks and len(parts["part_1992-02.json"]) == 29
    for task in tasks[:10]:
        for pairs in task["variables"].values():
            (model.place / pairs[0][0]).write_bytes(bytes(900))
    for task in tasks[10:]:
        for pairs in task["variables"].values():
            (model.place / pairs[0][0]).write_bytes(bytes(100))
    run("produce", "split", source, 2, tmp_path / "b" / "part", "--by-bytes", cwd=model.place)
    parts = parts_of(tmp_path / "b")
    assert [len(p) for p in parts.values()] == [10, 90] and sum(parts.values(), []) == tasks
    (model.place / tasks[5]["variables"]["SSH"][0][0]).unlink()
    run("produce", "split", source, 2, tmp_path / "b" / "part", "--by-bytes", cwd=model.place, status=66)


@pytest.mark.parametrize("options, expected", [
    (("--mode", "first", "-n", 3), lambda t: t[:3]),
    (("--mode", "last"), lambda t: t[-12:]),
    (("--mode", "first-middle-last"), lambda t: [t[0], t[50], t[99]]),
    (("--mode", "random", "-n", 9, "--seed", 42), lambda t: (random.seed(42), random.sample(t, 9))[1]),
    (("--mode", "random", "-n", 99, "--seed", 7), lambda t: (random.seed(7), random.sample(t, 99))[1]),
    (("--mode", "every-nth", "--step", 30), lambda t: t[::30]),
    (("--mode", "spread", "--count", 7), lambda t: [t[int(i * 99 / 6)] for i in range(7)]),
    (("--mode", "bookends", "-n", 2), lambda t: t[:2] + t[-2:]),
    (("--mode", "indices", "--indices", "5, 0,99"), lambda t: [t[5], t[0], t[99]]),
    (("--mode", "percentage", "--percent", 2.9), lambda t: t[:2]),
    (("--mode", "alternating"), lambda t: t[::2])])
def test_subset_is_theirs(long_list, tmp_path, options, expected):
    source, tasks = long_list
    run(source, "--output_dir", tmp_path / "s", *options, program=UPWELL.parent / "edp_subset_tasklists")
    assert parts_of(tmp_path / "s") == {"tasks.json": expected(tasks)}


def test_subset_of_a_directory_and_faults(long_list, tmp_path):
    source, tasks = long_list
    lists = tmp_path / "lists"
    run("produce", "split", source, 3, lists / "a")
    (lists / "readme.txt").write_text("no list")
    run("produce", "subset", lists, "--output_dir", tmp_path / "s", "--mode", "first", "-n", 1)
    assert parts_of(tmp_path / "s") == {f"a_00{i + 1}.json": [tasks[i * 34]] for i in range(3)}
    run("produce", "subset", source, "--output_dir", tmp_path / "s", "--mode", "indices", "--indices", "100", status=64)
    run("produce", "subset", source, "--output_dir", tmp_path / "s", "--mode", "indices", status=64)
    run("produce", "subset", source, "--output_dir", source.parent, "--mode", "first", status=73)
    run("produce", "subset", lists / "readme.txt", "--output_dir", tmp_path / "s", "--mode", "first", status=65)
