"""s3:// against services that check signatures: the conformance suite of the stores, and the program."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3_servers  # noqa: E402

UPWELL = pathlib.Path(os.environ.get("UPWELL", "build/release/bin/upwell"))
ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_with(environment, *command, timeout=120):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return subprocess.run([str(c) for c in command], env={**clean, **environment}, capture_output=True, text=True,
                          timeout=timeout)


@pytest.fixture(scope="module", params=["moto", "versity"])
def server(request, tmp_path_factory):
    if request.param == "moto":
        running = s3_servers.start_moto()
    else:
        cache = ROOT / "build" / "tools"
        cache.mkdir(parents=True, exist_ok=True)
        program, why = s3_servers.versitygw(cache)
        if program is None:
            pytest.skip(why)
        running = s3_servers.start_versity(program, tmp_path_factory.mktemp("versity"))
    try:
        running.client().create_bucket(Bucket="granules")
        yield running
    finally:
        running.stop()


def test_conformance_of_the_store(server):
    program = UPWELL.parent / "upwell_io_test"
    if not program.is_file():
        pytest.skip(f"{program} is not built")
    done = run_with({**server.environment, "UPWELL_S3_TEST_URL": "s3://granules/conformance/"}, program,
                    "--gtest_filter=S3/*")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "PASSED" in done.stdout and "SKIPPED" not in done.stdout
