"""Earthdata Login: who is asked, what is sent where, and what is said when it goes wrong. Against the fake in tests/earthdata."""

import http.client
import json
import os
import pathlib
import pty
import select
import signal
import ssl
import stat
import subprocess
import termios
import time
import urllib.parse

import netCDF4
import numpy as np
import pytest

pytest.importorskip("earthdata.fixture", reason="the fake Earthdata (tests/earthdata) is not here")

UPWELL = pathlib.Path(os.environ.get("UPWELL", "build/release/bin/upwell"))
BUCKET = "podaac-ops-cumulus-protected"
MUR = "MUR-JPL-L4-GLOB-v4.1"


def day(number):
    return f"/{BUCKET}/{MUR}/200206{number:02}090000-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc"


def environment_of(fake, login=True, **more):
    dropped = ("EARTHDATA_", "AWS_", "NETRC")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return {**clean, **fake.environment(login=login), **more}


def upwell(fake, *arguments, status=0, login=True, timeout=60, **environment):
    done = subprocess.run([str(UPWELL), *map(str, arguments)], env=environment_of(fake, login, **environment), capture_output=True,
                          text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    assert status in (None, done.returncode), f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def asked(fake, role, method=None):
    return [e for e in fake.log() if e["role"] == role and method in (None, e["method"])]


def downloaded(fake, path, target):
    """The granule's bytes, by another client."""
    context = ssl.create_default_context(cafile=fake.ca)
    url = fake.url("podaac", path)
    headers = {"Authorization": "Bearer " + fake.token()}
    for _ in range(3):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection("127.0.0.1", parts.port, context=context, timeout=20)
        context.check_hostname = False
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc, **headers})
        answer = connection.getresponse()
        if answer.status == 200:
            target.write_bytes(answer.read())
            connection.close()
            return target
        url, headers = answer.headers["Location"], {}
        connection.close()
    raise AssertionError(f"no bytes: {answer.status}")


def test_a_granule_is_read_as_if_it_were_here(earthdata, tmp_path):
    local = downloaded(earthdata, day(5), tmp_path / "day5.nc")
    since = earthdata.log()[-1]["number"]
    out = tmp_path / "sst.npy"
    upwell(earthdata, "read", earthdata.url("podaac", day(5)), "analysed_sst", "-o", out)
    with netCDF4.Dataset(local) as granule:
        expected = np.ma.filled(granule["analysed_sst"][:].astype("f8"), np.nan)
    np.testing.assert_allclose(np.load(out).astype("f8"), expected, rtol=1e-6)
    log = [e for e in earthdata.log() if e["number"] > since]
    assert not earthdata.strayed(log)
    assert [e["path"] for e in log if e["role"] == "urs"] == ["/api/users/find_or_create_token"]
    assert len([e for e in log if e["role"] == "podaac"]) == 1, "the signed URL serves all ranges"
    assert len([e for e in log if e["role"] == "s3"]) > 1
    assert not any(e["cookies"] for e in log if e["role"] == "s3")


def test_a_token_needs_no_question(earthdata, tmp_path):
    upwell(earthdata, "info", earthdata.url("podaac", day(5)), login=False, EARTHDATA_TOKEN=earthdata.token())
    assert not asked(earthdata, "urs") and len(asked(earthdata, "podaac")) == 1
    token = tmp_path / "token"
    token.write_text(earthdata.token() + "\n")
    upwell(earthdata, "info", earthdata.url("podaac", day(6)), "--earthdata-token-file", token, login=False)
    upwell(earthdata, "info", earthdata.url("podaac", day(7)), "--earthdata-token-command", f"cat {token}", login=False)
    assert not asked(earthdata, "urs") and not earthdata.strayed()


def test_behind_references(earthdata, tmp_path):
    urls = [earthdata.url("podaac", day(n)) for n in (1, 2, 3)]
    cube = tmp_path / "cube.json"
    upwell(earthdata, "virtualize", *urls, "-o", cube, "--concat", "time")
    assert len(asked(earthdata, "podaac")) == 3 and len(asked(earthdata, "urs")) == 1
    since = earthdata.log()[-1]["number"]
    out = tmp_path / "sst.npy"
    upwell(earthdata, "read", cube, "analysed_sst", "-o", out)
    log = [e for e in earthdata.log() if e["number"] > since]
    assert len([e for e in log if e["role"] == "podaac"]) == 3, "one question for each granule, whatever its chunks"
    assert not earthdata.strayed()
    for k, n in enumerate((1, 2, 3)):
        with netCDF4.Dataset(downloaded(earthdata, day(n), tmp_path / "one.nc")) as granule:
            expected = np.ma.filled(granule["analysed_sst"][0].astype("f8"), np.nan)
        np.testing.assert_allclose(np.load(out)[k].astype("f8"), expected, rtol=1e-6)


def test_a_signed_url_that_expires_is_asked_for_again(earthdata, tmp_path):
    earthdata.set(signed_seconds=3600)
    earthdata.fault("expired-signature", host="s3", skip=2, times=1)
    out = tmp_path / "sst.npy"
    upwell(earthdata, "read", earthdata.url("podaac", day(5)), "analysed_sst", "-o", out)
    assert len(asked(earthdata, "podaac")) == 2 and not earthdata.strayed()


def test_a_gateway_that_gives_expired_urls_is_an_error(earthdata):
    earthdata.fault("expired-signature", host="podaac")
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), status=77)
    assert "403" in done.stderr and len(asked(earthdata, "podaac")) <= 4


def test_a_revoked_token_in_the_middle(earthdata):
    """The token is good when the process starts and unknown later: another is got, once."""
    token = earthdata.token()
    upwell(earthdata, "info", earthdata.url("podaac", day(5)), EARTHDATA_TOKEN=token + "x")
    assert [e["path"] for e in asked(earthdata, "urs")] == ["/api/users/find_or_create_token"]
    assert not earthdata.strayed()


def test_a_refused_token_is_renewed_though_a_cookie_comes_with_each_refusal(earthdata, tmp_path):
    """Of a load balancer, say. The token command gives an old token first, and then a new one."""
    earthdata.fault("balancer", host="podaac")
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(earthdata.token() + "x\n")
    new.write_text(earthdata.token() + "\n")
    command = f"if [ -e {old} ]; then cat {old} && rm {old}; else cat {new}; fi"
    upwell(earthdata, "info", earthdata.url("podaac", day(5)), "--earthdata-token-command", command, login=False)
    assert not old.exists() and len(asked(earthdata, "podaac")) == 2


@pytest.mark.parametrize("what", ["nobody", "password", "expired", "revoked", "half", "netrc"])
def test_who_is_not_logged_in_is_told_what_to_do(earthdata, tmp_path, what):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine urs.earthdata.localhost login\n")
    netrc.chmod(0o600)
    given, status, said = {
        "nobody": ({}, 77, "nobody is logged in to Earthdata"),
        "password": ({"EARTHDATA_USERNAME": "fake", "EARTHDATA_PASSWORD": "secretly-wrong"}, 77, "does not accept this user name and password"),
        "expired": ({"EARTHDATA_TOKEN": earthdata.token(0)}, 77, "the token of EARTHDATA_TOKEN expired on"),
        "revoked": ({"EARTHDATA_TOKEN": earthdata.token() + "x"}, 77, "is not accepted: it was revoked"),
        "half": ({"EARTHDATA_USERNAME": "fake"}, 78, "EARTHDATA_PASSWORD is not set"),
        "netrc": ({"NETRC": str(netrc)}, 78, "line 2: nothing follows"),
    }[what]
    for command in (["info", earthdata.url("podaac", day(5))], ["login", "--check"]):
        if command[0] == "login" and what == "revoked":
            said = "was revoked"
        done = upwell(earthdata, *command, status=status, login=False, **given)
        assert said in done.stderr, done.stderr
        assert "secretly-wrong" not in done.stderr and given.get("EARTHDATA_TOKEN", "secret") not in done.stderr
    assert not earthdata.strayed()
    wrong = [e for e in asked(earthdata, "urs") if e["method"] == "POST"]
    assert len(wrong) <= 2, "a wrong password is tried once in a run"


def test_public_data_needs_no_login(earthdata):
    earthdata.put("podaac-ops-cumulus-public", "a.txt", b"not a granule")
    done = upwell(earthdata, "info", earthdata.url("podaac", "/podaac-ops-cumulus-public/a.txt"), login=False, status=65)
    assert "format" in done.stderr, done.stderr  # it came, and is none that is known


def test_agreements_are_named_with_their_address(earthdata):
    earthdata.set_user(eula=False)
    for command in (["info"], ["login", "--check"]):
        done = upwell(earthdata, *command, earthdata.url("podaac", day(5)), status=77)
        assert "EULA Acceptance Failure" in done.stderr
        assert earthdata.url("urs", "/approve_app?client_id=") in done.stderr


def test_a_host_that_takes_no_tokens(earthdata, tmp_path):
    """Every Bearer is refused: the way of browsers remains, and the password goes to the login host alone."""
    earthdata.set(token_seconds=-5)  # what the login host gives has ended already
    upwell(earthdata, "read", earthdata.url("podaac", day(5)), "analysed_sst", "-o", tmp_path / "sst.npy")
    assert {e["authorization"] for e in asked(earthdata, "podaac")} <= {"none", "bearer"}
    assert len([e for e in asked(earthdata, "urs") if e["path"] == "/oauth/authorize"]) == 1
    assert not earthdata.strayed()


def test_an_application_that_is_not_approved(earthdata):
    earthdata.set(token_seconds=-5)
    earthdata.set_user(approved=False)
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), status=77)
    assert "Application approval required" in done.stderr and "/approve_app?client_id=" in done.stderr


def test_what_servers_repeat_of_secrets_is_not_shown(earthdata):
    token = earthdata.token()
    earthdata.fault("status", host="cmr", status=401, body=json.dumps({"errors": [f"Token [Bearer {token}] does not exist"]}))
    done = upwell(earthdata, "search", "--short-name", MUR, "--count", login=False, EARTHDATA_TOKEN=token, status=77)
    assert "Token [Bearer ***] does not exist" in done.stderr and token not in done.stderr
    earthdata.fault("status", host="urs", status=403, body=json.dumps({"error_description": f"not with {earthdata.password}"}))
    done = upwell(earthdata, "login", "--check", status=77)
    assert "not with ***" in done.stderr and earthdata.password not in done.stderr


def test_a_login_page_is_never_data(earthdata):
    earthdata.fault("html", host="podaac")
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), status=77)
    assert "HTML page" in done.stderr or "login" in done.stderr


def test_s3_with_keys_of_the_data_centre(earthdata, tmp_path):
    earthdata.set(in_region=True, credentials_seconds=3600)
    s3 = ["--s3-credentials-endpoint", earthdata.url("podaac", "/s3credentials"), "--s3-endpoint", earthdata.url("s3")]
    out = tmp_path / "sst.npy"
    upwell(earthdata, "read", "s3:/" + day(5), "analysed_sst", "-o", out, *s3, "--s3-region", "us-west-2")
    assert [e["path"] for e in asked(earthdata, "podaac")] == ["/s3credentials"]
    assert {e["authorization"] for e in asked(earthdata, "s3")} == {"aws"} and not earthdata.strayed()
    earthdata.fault("expired-token", host="s3", times=1)
    upwell(earthdata, "info", "s3:/" + day(6), *s3, "--s3-region", "us-west-2")
    assert len(asked(earthdata, "podaac")) == 3, "keys that have ended are asked for again, once"
    done = upwell(earthdata, "info", "s3:/" + day(6), *s3, "--s3-region", "us-west-2", login=False, status=77)
    assert "nobody is logged in" in done.stderr


def test_the_command_says_who_and_until_when(earthdata, tmp_path):
    done = upwell(earthdata, "login", "--check")
    assert f"logged in at {earthdata.hosts['urs']['local']} as fake (from EARTHDATA_USERNAME)" in done.stdout
    assert "the token is valid until 2" in done.stdout and "(60 days)" in done.stdout
    done = upwell(earthdata, "login", "--check", earthdata.url("podaac", day(5)))
    assert "can be read" in done.stdout
    token = upwell(earthdata, "login", "--print-token").stdout.strip()
    upwell(earthdata, "login", "--check", login=False, EARTHDATA_TOKEN=token)
    done = upwell(earthdata, "login", "--check", login=False, EARTHDATA_TOKEN="not-a-token-that-tells", status=77)
    assert "(from EARTHDATA_TOKEN) does not tell whose it is" in done.stderr and "login --check URL" in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_check_says_yes_to_nothing_but_a_profile(earthdata):
    token = earthdata.token()
    earthdata.fault("status", host="urs", status=404, path="/api/users/*")
    done = upwell(earthdata, "login", "--check", login=False, EARTHDATA_TOKEN=token, status=77)
    assert not done.stdout and "does not confirm the token of EARTHDATA_TOKEN" in done.stderr


def test_the_login_host_is_asked_as_often_and_waited_for_as_long_as_the_options_say(earthdata):
    earthdata.fault("503", host="urs")
    done = upwell(earthdata, "login", "--check", "--retries", 1, status=75)
    assert "after 2 attempts" in done.stderr and len(asked(earthdata, "urs")) == 2
    earthdata.mend()
    earthdata.fault("stall", host="urs", seconds=20)
    start = time.time()
    upwell(earthdata, "login", "--check", "--retries", 0, "--timeout", 1, status=75)
    assert time.time() - start < 10


def test_persist_keeps_other_entries(earthdata, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("# mine\nmachine ftp.example.org login a password b\n\ndefault login anonymous password x\n")
    netrc.chmod(0o644)
    done = upwell(earthdata, "login", "--persist", NETRC=str(netrc))
    assert f"kept in {netrc}" in done.stdout
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600
    assert "# mine\nmachine ftp.example.org login a password b\n\ndefault login anonymous password x\n" in netrc.read_text()
    done = upwell(earthdata, "login", "--check", login=False, NETRC=str(netrc))
    assert f"(from {netrc})" in done.stdout
    netrc.chmod(0o644)
    done = upwell(earthdata, "login", "--check", login=False, NETRC=str(netrc))
    assert "chmod 600" in done.stderr
    netrc.write_text("machine urs.earthdata.localhost login fake password wrong\n")
    done = upwell(earthdata, "login", "--check", login=False, NETRC=str(netrc), status=77)
    assert f"(fake, from {netrc})" in done.stderr


def test_persist_without_a_right_password_writes_nothing(earthdata, tmp_path):
    netrc = tmp_path / "netrc"
    upwell(earthdata, "login", "--persist", status=77, NETRC=str(netrc), EARTHDATA_PASSWORD="wrong")
    assert not netrc.exists()


def test_who_is_asked_on_a_terminal_is_not_shown_the_password(earthdata, tmp_path):
    netrc = tmp_path / "netrc"
    environment = environment_of(earthdata, login=False, NETRC=str(netrc))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(UPWELL, [str(UPWELL), "login", "--persist"], environment)
    seen, answers, end = b"", [(b"user name: ", b"fake\n"), (b"shown): ", earthdata.password.encode() + b"\n")], time.time() + 30
    try:
        while time.time() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                seen += os.read(terminal, 4096)
            except OSError:  # the other side is gone
                break
            if answers and seen.endswith(answers[0][0]):
                os.write(terminal, answers.pop(0)[1])
        else:
            os.kill(pid, signal.SIGKILL)
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert earthdata.password.encode() not in seen and b"logged in at" in seen
    assert "login fake password" in netrc.read_text() and stat.S_IMODE(netrc.stat().st_mode) == 0o600


@pytest.mark.parametrize("end", ["typed", signal.SIGTERM])
def test_who_breaks_off_at_the_password_gets_the_terminal_back(earthdata, end):
    environment = environment_of(earthdata, login=False)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(UPWELL, [str(UPWELL), "login"], environment)
    try:
        seen = b""
        while not seen.endswith(b"shown): "):
            assert select.select([terminal], [], [], 20)[0], seen
            seen += os.read(terminal, 4096)
            if seen.endswith(b"user name: "):
                os.write(terminal, b"fake\n")
                seen += b"."
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        if end == "typed":
            os.write(terminal, b"\x03")
        else:
            os.kill(pid, end)
        _, status = os.waitpid(pid, 0)
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
        assert os.waitstatus_to_exitcode(status) == -(signal.SIGINT if end == "typed" else end)
    finally:
        os.close(terminal)


def test_nothing_goes_to_hosts_that_are_not_nasas(earthdata, tmp_path):
    """A reference set may name any host: one that sends to the login host gets no token for that."""
    trap = earthdata.url("s3", day(5))  # not below the login host's domain
    earthdata.fault("status", host="s3", status=302, headers={"Location": earthdata.url("urs", "/oauth/authorize?client_id=x")})
    done = upwell(earthdata, "info", trap, status=77, login=False, EARTHDATA_TOKEN=earthdata.token())
    assert "--earthdata-data-host s3.us-west-2.localhost" in done.stderr
    assert not earthdata.strayed()
    log = json.dumps(earthdata.log())
    assert "bearer" not in log


def test_a_token_that_ends_in_the_middle_has_expired(earthdata, tmp_path):
    """The server notices first. What it says is that the token has expired, of each file from then on."""
    earthdata.set(session_seconds=1, signed_seconds=1)
    earthdata.fault("stall", host="podaac", seconds=1.3, skip=2, times=8)
    done = upwell(earthdata, "download", *[earthdata.url("podaac", day(n)) for n in range(2, 10)], "-d", tmp_path, "-q", "--files-at-once", 1,
                  login=False, EARTHDATA_TOKEN=earthdata.token(4), status=77)
    failed = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert failed and all("the token of EARTHDATA_TOKEN expired on 2" in line and "Generate Token" in line for line in failed), done.stderr


def test_a_token_whose_end_another_clock_sees_first(earthdata):
    token = earthdata.token(60)
    earthdata.fault("status", host="podaac", status=401)
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), login=False, EARTHDATA_TOKEN=token, status=77)
    assert "the token of EARTHDATA_TOKEN expired on 2" in done.stderr and "revoked" not in done.stderr
    earthdata.fault("status", host="urs", status=401)
    done = upwell(earthdata, "login", "--check", login=False, EARTHDATA_TOKEN=token, status=77)
    assert "the token of EARTHDATA_TOKEN expired on 2" in done.stderr and "revoked" not in done.stderr
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), login=False, EARTHDATA_TOKEN=earthdata.token(3000), status=77)
    assert "is not accepted: it was revoked" in done.stderr and "(it says that it is valid until 2" in done.stderr


@pytest.mark.parametrize("login", [True, False])
def test_a_login_that_is_not_asked_is_named(earthdata, login):
    """The gateway leads to a login host, and EARTHDATA_HOST names another."""
    done = upwell(earthdata, "info", earthdata.url("podaac", day(5)), login=login, EARTHDATA_HOST="UAT", status=77)
    assert "the server leads to the login of urs.earthdata.localhost:" in done.stderr
    assert "(the login is taken to be uat.urs.earthdata.nasa.gov); if it is yours: --earthdata-host urs.earthdata.localhost:" in done.stderr
    assert {e["authorization"] for e in earthdata.log()} == {"none"}


@pytest.mark.parametrize("login", [True, False])
def test_a_refusal_of_a_host_that_is_not_of_the_login_says_what_to_do(earthdata, login):
    earthdata.fault("status", host="s3", status=401)
    done = upwell(earthdata, "info", earthdata.url("s3", day(5)), login=login, status=77)
    assert "HTTP 401 Unauthorized: the server asks for a login, but is not known to belong to NASA" in done.stderr
    assert "if you trust it: --earthdata-data-host s3.us-west-2.localhost" in done.stderr
    assert len(earthdata.log()) == 1 and earthdata.log()[0]["authorization"] == "none"


def test_who_waits_for_the_login_host_is_told(earthdata):
    earthdata.fault("stall", host="urs", seconds=20)
    waits = ("login", "--check", "--retries", 1, "--timeout", 1)
    done = upwell(earthdata, *waits, status=75)
    assert "note: urs.earthdata.localhost does not answer within 1 s; it is asked again, 2 of 2" in done.stderr
    assert "note:" not in upwell(earthdata, *waits, "-q", status=75).stderr
