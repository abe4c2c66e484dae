"""Talks to upwell_codec_tool, runs oracles in child processes, and counts what passed."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import struct
import subprocess
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("UPWELL_SHARED", ROOT.parent / "shared"))
TOOL = pathlib.Path(
    os.environ.get("UPWELL_CODEC_TOOL", ROOT / "build" / "release" / "bin" / "upwell_codec_tool")
)

passed = Counter()


class CodecError(Exception):
    """The tool refused the bytes or the parameters."""


class CodecTool:
    def __init__(self):
        self.process = subprocess.Popen(
            [str(TOOL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, request, data=b""):
        text = json.dumps(request).encode()
        data = bytes(data)
        to, answer = self.process.stdin, self.process.stdout
        to.write(struct.pack("<I", len(text)) + text + struct.pack("<Q", len(data)) + data)
        to.flush()
        head = answer.read(9)
        assert len(head) == 9, f"upwell_codec_tool died on {text!r} with {len(data)} bytes"
        status, size = struct.unpack("<BQ", head)
        result = answer.read(size)
        if status != 0:
            raise CodecError(result.decode())
        return result

    def decode(self, codecs, data, size, item_size=1, mask=0):
        request = {"op": "decode", "codecs": codecs, "size": size}
        return self.ask({**request, "item_size": item_size, "mask": mask}, data)

    def decode_hdf5(self, filters, data, size, item_size=1, mask=0):
        request = {"op": "decode", "filters": filters, "size": size}
        return self.ask({**request, "item_size": item_size, "mask": mask}, data)

    def decode_unsized(self, codecs, data, limit, item_size=1):
        request = {"op": "decode_unsized", "codecs": codecs, "size": limit}
        return self.ask({**request, "item_size": item_size}, data)

    def encode(self, codecs, data, item_size=1):
        return self.ask({"op": "encode", "codecs": codecs, "item_size": item_size}, data)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def forget_plugins():
    """netCDF4, when a test of this run has imported it, names its own filters to every child; they
    are linked to its own libhdf5 and break in h5py's."""
    os.environ.pop("HDF5_PLUGIN_PATH", None)


class Child:
    """Calls functions in a process of its own: a crash or a hang of an oracle fails one test."""

    def __init__(self):
        self.pool = None

    def call(self, function, *args, timeout=120):
        if self.pool is None:
            context = multiprocessing.get_context("spawn")
            self.pool = concurrent.futures.ProcessPoolExecutor(
                1, mp_context=context, initializer=forget_plugins
            )
        try:
            return self.pool.submit(function, *args).result(timeout=timeout)
        except (concurrent.futures.process.BrokenProcessPool, TimeoutError):
            self.close()
            raise

    def close(self):
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None


def print_table():
    print("\n| codec | cases passed |\n|---|---|")
    for name, count in sorted(passed.items()):
        print(f"| {name} | {count} |")
