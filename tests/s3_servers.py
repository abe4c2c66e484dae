"""S3 services for tests, on loopback, each in a process of its own that ends with its owner.

moto     Amazon's behaviour (S3, the Parameter Store), from PyPI, behind a front that signs every request again with botocore, an implementation that
         has nothing to do with ours, and refuses what is not equal; moto itself checks no signatures
versity  versitygw, a real S3 server that checks signatures itself; built from the Go module proxy once, where there is Go

As a program: s3_servers.py PORT, which serves moto.
"""

import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ACCESS, SECRET, TOKEN = "AKIDUPWELLTEST", "secret/with+signs=", "session/token+=="
REGION = "us-east-1"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
BUILD_LIMIT_S = 400  # 76 s on two quiet cores


# --- The front that checks signatures ---------------------------------------------------------------------------------

def reason_to_refuse(environ, body):
    """None, or (status, code, message) of a request that botocore would not have signed so."""
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    given = environ.get("HTTP_AUTHORIZATION", "")
    raw = environ["RAW_URI"]
    if not given:
        return None if raw.startswith("/public") else ("403 Forbidden", "AccessDenied", "not signed")
    fields = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    names = fields["SignedHeaders"].split(";")
    header = {n: environ.get("HTTP_" + n.upper().replace("-", "_"), environ.get(n.upper().replace("-", "_"), ""))
              for n in names}
    sent = {k[5:].lower().replace("_", "-") for k in environ if k.startswith("HTTP_")}
    unsigned = [n for n in sent if (n.startswith("x-amz-") or n.startswith("if-") or n == "host") and n not in names]
    access, date, region, service = fields["Credential"].split("/")[:4]
    path, _, query = raw.partition("?")
    encoded = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                       for k, v in (p.split("=") for p in urllib.parse.unquote(query).split("&"))) if query else ""
    if access != ACCESS:
        return "403 Forbidden", "InvalidAccessKeyId", f"no such key {access}"
    if header.get("x-amz-security-token", "") not in ("", TOKEN):
        return "400 Bad Request", "ExpiredToken", "The provided token has expired."
    if unsigned:
        return "403 Forbidden", "AccessDenied", f"headers present but not signed: {unsigned}"
    if urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~") != path or encoded.count("=") != query.count("="):
        return "403 Forbidden", "SignatureDoesNotMatch", f"not canonical: {raw}"
    if region != REGION:
        return "400 Bad Request", "AuthorizationHeaderMalformed", f"expecting {REGION}</Message><Region>{REGION}</Region><Message>"
    given_hash = header.get("x-amz-content-sha256")  # other services than S3 do without
    if (given_hash or service == "s3") and given_hash != hashlib.sha256(body).hexdigest():
        return "400 Bad Request", "XAmzContentSHA256Mismatch", "body"
    if abs(time.time() - time.mktime(time.strptime(header["x-amz-date"], "%Y%m%dT%H%M%SZ")) + time.timezone) > 900:
        return "403 Forbidden", "RequestTimeTooSkewed", "The difference is too large."
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=f"http://{header['host']}{raw}", headers=header, data=body)
    request.context["timestamp"] = header["x-amz-date"]
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(ACCESS, SECRET), service, REGION)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if signature != fields["Signature"]:
        return "403 Forbidden", "SignatureDoesNotMatch", signer.canonical_request(request).replace("&", "&amp;")
    return None


def verifying(application):
    import io

    def front(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        refusal = reason_to_refuse(environ, body)
        if refusal is None:
            return application(environ, start_response)
        status, code, message = refusal
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else text]

    return front


def serve_moto(port):
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    moto = DomainDispatcherApplication(create_backend_app)
    make_server("127.0.0.1", port, verifying(moto), threaded=True).serve_forever()


# --- Starting them ----------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running service; `environment` is what a client needs to know."""

    def __init__(self, kind, command, port):
        self.kind = kind
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET,
                            "AWS_REGION": REGION, "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"{kind} does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def client(self, service="s3"):
        import boto3
        from botocore.config import Config

        return boto3.client(service, endpoint_url=self.url, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
                            region_name=REGION, config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))


def start_moto():
    port = free_port()
    return Server("moto", [sys.executable, __file__, str(port)], port)


def versitygw(directory):
    """The program, built on first use. None with the reason where it cannot be had."""
    program = directory / "versitygw"
    if program.is_file():
        return program, ""
    if not shutil.which("go"):
        return None, "no Go to build versitygw with"
    environment = {**os.environ, "GOBIN": str(directory), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-p=2"}
    try:
        built = subprocess.run(["go", "install", VERSITYGW], env=environment, capture_output=True, text=True,
                               timeout=BUILD_LIMIT_S)
    except subprocess.TimeoutExpired:
        return None, f"versitygw did not build in {BUILD_LIMIT_S} s"
    return (program, "") if built.returncode == 0 else (None, f"versitygw does not build: {built.stderr[-300:]}")


def start_versity(program, directory):
    port = free_port()
    (directory / "data").mkdir()
    (directory / "meta").mkdir()
    return Server("versity", [str(program), "--access", ACCESS, "--secret", SECRET, "--region", REGION, "--port", f"127.0.0.1:{port}",
                   "--quiet", "--keep-alive", "posix", "--sidecar", str(directory / "meta"), str(directory / "data")], port)


if __name__ == "__main__":
    serve_moto(int(sys.argv[1]))
