"""Writes fuzz/corpus/tar: small archives in each form that tarfile writes."""

import gzip
import io
import pathlib
import tarfile

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "tar"
OUT.mkdir(parents=True, exist_ok=True)
MEMBERS = [("XC.data", b"\0" * 52), ("a.skip", b"x" * 700), ("d" * 120 + "/" + "f" * 60, b"long name"), ("empty", b"")]


def archive(form, members=MEMBERS, **changes):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "XC.data"
        tar.addfile(link)
    content = out.getvalue().rstrip(b"\0")
    return content + b"\0" * (-len(content) % 512 + 1024)


for name, form in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT), ("ustar", tarfile.USTAR_FORMAT)):
    (OUT / name).write_bytes(archive(form))
(OUT / "pax_names").write_bytes(archive(tarfile.PAX_FORMAT, [("gr\u00efd/" + "e" * 150, b"1")], pax_headers={"comment": "x"}))
(OUT / "gzip").write_bytes(gzip.compress(archive(tarfile.GNU_FORMAT), mtime=0))
two = archive(tarfile.USTAR_FORMAT)
(OUT / "two_gzips").write_bytes(gzip.compress(two[:600], mtime=0) + gzip.compress(two[600:], mtime=0) + b"\0" * 8)
