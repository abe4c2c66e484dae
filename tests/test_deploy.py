"""deploy/: an image's file system with the program and nothing else, in which it runs; the Dockerfile, Terraform and cron beside it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from generating import MUR, SHORT, STEM, UPWELL, check_mur, generate  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
# What PO.DAAC's container takes.
VARIABLES = ["COLLECTION", "LOADABLE_VARS", "START_DATE", "END_DATE", "OUTPUT_BUCKET", "STAGING_BUCKET", "CPU_COUNT", "MEMORY_LIMIT",
             "BATCH_SIZE", "SSM_EDL_USERNAME", "SSM_EDL_PASSWORD"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image") / "root"
    subprocess.run([DEPLOY / "image_root.sh", UPWELL, root], check=True, timeout=60)
    return root


def test_the_image_holds_the_program_and_its_libraries_alone(image):
    files = [p.relative_to(image) for p in image.rglob("*") if p.is_file()]
    other = [f for f in files if not re.search(r"\.so(\.|$)", f.name)]
    assert sorted(map(str, other)) == ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt",
                                               "etc/upwell/collections.yaml", "usr/local/bin/upwell"]
    names = {f.name for f in files}
    assert any(n.startswith("libcurl") for n in names) and any(n.startswith("libcrypto") for n in names), "what is loaded later is there, too"
    assert not [f for f in files if f.name in ("sh", "bash", "python3")]


def test_generate_runs_where_nothing_else_is(earthdata, image):
    """As in the container: the image's files alone, its user, a file system that cannot be written but for one directory."""
    if os.geteuid() != 0 or not shutil.which("chroot"):
        pytest.skip("chroot needs root")
    out = image / "home/upwell/out"
    out.mkdir()
    shutil.chown(out, 65532, 65532)
    shutil.copy(earthdata.ca, image / "etc/ssl/certs/fake.pem")
    chroot = ["chroot", "--userspec=65532:65532", str(image), "/usr/local/bin/upwell"]
    trusted = {"SSL_CERT_FILE": "/etc/ssl/certs/fake.pem", "CURL_CA_BUNDLE": "/etc/ssl/certs/fake.pem", "HOME": "/home/upwell",
               "UPWELL_INDEX_CACHE": "none", "COLLECTIONS_FILE": "/etc/upwell/collections.yaml", "LD_LIBRARY_PATH": ""}
    done = generate(earthdata, *SHORT, "-o", "/home/upwell/out", command=chroot, COLLECTION=MUR, LOADABLE_VARS="lat,lon,time", **trusted)
    assert "4 added" in done.stderr
    for kind in ("s3", "https"):
        check_mur(json.loads((out / f"{STEM}{kind}.json").read_text()), [1, 2, 3, 4])
    done = subprocess.run([*chroot, "--version"], capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("upwell ")


def test_dockerfile():
    text = (DEPLOY / "Dockerfile").read_text()
    assert "FROM scratch" in text and "USER 65532" in text
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(pathlib.Path(sys.executable).parent))
    if not hadolint:
        pytest.skip("hadolint is not installed (tests/requirements.txt has it)")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_terraform_agrees_with_itself_and_with_the_program():
    texts = {p.name: p.read_text() for p in sorted((DEPLOY / "terraform").glob("*.tf"))}
    whole = "\n".join(texts.values())
    declared = set(re.findall(r'^variable "(\w+)"', whole, re.M))
    assert set(re.findall(r"\bvar\.(\w+)", whole)) == declared, "every variable is used, and none that is not there"
    given = set(re.findall(r"^(\w+) +=", (DEPLOY / "terraform/ops.tfvars.example").read_text(), re.M))
    without_default = {name for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', whole, re.M | re.S) if "default" not in body}
    assert without_default <= given <= declared
    resources = set(re.findall(r'^(?:resource|data) "(\w+)" "(\w+)"', whole, re.M))
    for kind, name in set(re.findall(r"\b(aws_\w+)\.(\w+)\.", whole)):
        assert (kind, name) in resources, f"{kind}.{name} is not declared"
    for name in VARIABLES:
        assert re.search(rf"\b{name} += ", whole), f"tasks are not given {name}"
    help_text = subprocess.run([UPWELL, "generate", "--help"], capture_output=True, text=True, timeout=20).stdout
    for name in VARIABLES:
        assert f"(Env:{name})" in help_text, name


def test_terraform_parses():
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed: tests/requirements.txt has it")
    for path in sorted((DEPLOY / "terraform").glob("*.tf")):
        with open(path) as file:
            assert hcl2.load(file)
    if shutil.which("terraform"):
        subprocess.run(["terraform", "fmt", "-check", "-diff", DEPLOY / "terraform"], check=True, timeout=60)


def test_cron_lines_are_commands_that_the_program_takes(earthdata):
    """Each line's options are understood: the run gets as far as the catalogue, which has no such dates."""
    lines = [line for line in (DEPLOY / "cron/upwell-generate").read_text().splitlines() if re.match(r"[0-9*]", line)]
    assert lines
    for line in lines:
        arguments = line.split("upwell generate", 1)[1].split()
        assert len(line.split()[:5]) == 5
        kept = [a for a in arguments if "EARTHDATA" not in a and a != "--earthdata-token-file"]
        collection = kept[kept.index("--collection") + 1]
        generate(earthdata, *[a.replace("$OUT", "/nowhere") for a in kept], "--start-date", "1950", "--end-date", "1951", status=66)
        assert collection in line


def test_forms_of_collections_are_understood(earthdata, tmp_path):
    for name in re.findall(r"^(\w[^:\s]*):", (DEPLOY / "collections.yaml").read_text(), re.M):
        done = generate(earthdata, "--collection", name, "--collections", DEPLOY / "collections.yaml", "-o", tmp_path, status=66)
        assert "no collection is so described" in done.stderr and "has no form" not in done.stderr
    done = generate(earthdata, "--collection", name.lower(), "--collections", DEPLOY / "collections.yaml", "-o", tmp_path, status=66)
    assert "has no form" not in done.stderr, "the catalogue does not tell cases apart either"
    done = generate(earthdata, "--collection", "OTHER_L2", "--collections", DEPLOY / "collections.yaml", "-o", tmp_path, status=66)
    assert "OTHER_L2 has no form in" in done.stderr and "orbit_segment_start_time" in done.stderr
