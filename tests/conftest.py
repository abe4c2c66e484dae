"""What holds for every test: no program opens a granule with what another test's has kept of it."""

import os

import pytest
from earthdata.fixture import earthdata, earthdata_process  # noqa: F401  (fixtures of every test that names them)


@pytest.fixture(autouse=True, scope="session")
def no_cache_of_the_user(tmp_path_factory):
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("shared-cache"))
    os.environ.pop("UPWELL_INDEX_CACHE", None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
