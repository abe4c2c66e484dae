"""What holds for every test: no program opens a granule with what another test's has kept of it."""

import os

import pytest
import s3_servers
from earthdata.fixture import earthdata, earthdata_process  # noqa: F401  (fixtures of every test that names them)


@pytest.fixture(autouse=True, scope="session")
def no_cache_of_the_user(tmp_path_factory):
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("shared-cache"))
    os.environ.pop("UPWELL_INDEX_CACHE", None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def moto():
    """S3 and its neighbours, with the buckets of a generator."""
    pytest.importorskip("moto")
    server = s3_servers.start_moto()
    server.client().create_bucket(Bucket="outputs")
    server.client().create_bucket(Bucket="staging")
    yield server
    server.stop()
