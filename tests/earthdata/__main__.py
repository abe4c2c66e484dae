"""python -m earthdata: runs until its standard input ends, or SIGTERM."""

import argparse
import asyncio
import json
import os
import pathlib
import shlex
import signal
import ssl
import tempfile
import threading

from aiohttp import web

from . import __doc__ as explanation
from . import authority, catalogue
from .accounts import DAY_S, Accounts, User, new_key
from .cmr import Cmr
from .control import Control
from .faults import Rules
from .front import Front, json_answer
from .gateway import Gateway
from .login import Login
from .names import GATEWAYS, REAL, Hosts, environment_of, local_name
from .objects import Objects, Signer
from .recorded import Recorded
from .stac import Stac

MUR_DAYS = 17000


def arguments():
    parser = argparse.ArgumentParser(prog="earthdata", description=explanation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="one port for all hosts, told apart by the Host header; default: a free one for each")
    parser.add_argument("--user", default="fake", help="(default fake)")
    parser.add_argument("--password", default="secret:with/signs", help="(default secret:with/signs)")
    parser.add_argument("--mur", type=int, default=8000, metavar="N", help="days of MUR (default 8000)")
    parser.add_argument("--ecco", type=int, default=9497, metavar="N", help="days of ECCO (default 9497, the whole collection)")
    parser.add_argument("--tellus", type=int, default=200, metavar="N", help="months in the file of the mascons (default 200)")
    parser.add_argument("--atl03", type=int, default=500, metavar="N", help="granules of ATL03 (default 500)")
    parser.add_argument("--full", type=pathlib.Path, metavar="DIR", help="files of real size: mur_*.nc, ecco_*.nc, tellus_*.nc, atl03*.h5 "
                        "take the places of the small ones, in turn, with times of their own; a file that has a granule's name takes that one's place; "
                        "FILE.dmrpp beside them is their sidecar, FILE.md5 their checksum")
    parser.add_argument("--recorded", type=pathlib.Path, metavar="DIR", help="recorded answers of CMR (default: data/cmr of UPWELL_SHARED)")
    parser.add_argument("--token-seconds", type=float, default=60 * DAY_S)
    parser.add_argument("--signed-seconds", type=int, default=3600, help="life of signed URLs")
    parser.add_argument("--in-region", action="store_true", help="keys of /s3credentials are good, as inside of us-west-2")
    parser.add_argument("--exports", type=pathlib.Path, metavar="FILE", help="write what a shell has to know of it: `. FILE`")
    parser.add_argument("--stay", action="store_true", help="do not end with standard input")
    options = parser.parse_args()
    if not 0 <= options.mur <= MUR_DAYS:
        parser.error(f"--mur: 0 to {MUR_DAYS} days, for which its 32-bit seconds since 1981 are enough")
    return options


class World:
    """Everything, wired up."""

    def __init__(self, options):
        self.options, self.key = options, new_key()
        self.hosts, self.recorded = Hosts(options.bind), Recorded(options.recorded)
        self.front = Front(self.hosts, Rules(), {})
        self.build()

    def build(self):
        """As it is at the start; called again, it forgets what tests did."""
        options = self.options
        users = [User(options.user, options.password), User("other", "other")]
        self.accounts = Accounts(self.key, users, options.token_seconds)
        self.library = catalogue.Library(kind(count, self.full(patterns)) for kind, count, patterns in (
            (catalogue.Mur, options.mur, ("mur_*.nc", "*-JPL-L4_GHRSST-SSTfnd-MUR-*.nc")), (catalogue.Ecco, options.ecco, ("ecco_*.nc",)),
            (catalogue.Tellus, options.tellus, ("tellus_*.nc",)), (catalogue.Atl03, options.atl03, ("atl03*.h5",))))
        signer = Signer()
        self.gateways = [Gateway(self.accounts, self.hosts, signer, self.library, options.signed_seconds) for _ in GATEWAYS]
        self.objects = Objects(signer, self.library, options.in_region)
        cmr, stac = Cmr(self.accounts, self.hosts, self.library, self.recorded), Stac(self.hosts, self.library)

        async def repository(request):
            return await (stac if request.path.startswith("/stac") else cmr)(request)

        self.front.restart({"urs": Login(self.accounts, self.hosts), "cmr": repository, "s3": self.objects, "status": status,
                            **dict(zip(GATEWAYS, self.gateways))})

    def full(self, patterns):
        return sorted(path for pattern in patterns for path in self.options.full.glob(pattern)) if self.options.full else []


async def status(_):
    return json_answer({"success": True, "statuses": [{"name": name, "status": "OK"} for name in ("Earthdata Login", "Common Metadata Repository")]})


async def listen(world, options, context, runners):
    """Opens all ports; the control's comes back."""
    for role in [None] if options.port else REAL:
        runner = web.ServerRunner(web.Server(world.front.listener(role), keepalive_timeout=75, access_log=None))
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, options.bind, options.port or 0, ssl_context=context, backlog=512)
        await site.start()
        port = runner.addresses[0][1]
        world.hosts.ports.update(dict.fromkeys(REAL, port) if role is None else {role: port})
    runner = web.ServerRunner(web.Server(Control(world), access_log=None))
    runners.append(runner)
    await runner.setup()
    await web.TCPSite(runner, options.bind, 0).start()
    return runner.addresses[0][1]


def described(world, options, ca, control):
    hosts = world.hosts
    return {
        "pid": os.getpid(), "ca": str(ca), "control": f"http://{options.bind}:{control}", "user": options.user, "password": options.password,
        "hosts": {role: {"port": hosts.ports[role], "name": name, "local": f"{local_name(role)}:{hosts.ports[role]}",
                         "url": hosts.url(role, "local")} for role, name in REAL.items()},
        "connect_to": [f"{name}:443:{options.bind}:{hosts.ports[role]}" for role, name in REAL.items()],
        "recorded": len(world.recorded.answers),
    }


def until_input_ends(then):
    while os.read(0, 4096):
        pass
    then()


async def run(options, directory):
    world, runners, over = World(options), [], asyncio.Event()
    ca, server = authority.make(directory, *world.hosts.certificate_names())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.set_alpn_protocols(["http/1.1"])
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, over.set)
    control = await listen(world, options, context, runners)
    told = described(world, options, ca, control)
    if options.exports:
        options.exports.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment_of(told).items()))
    print(json.dumps(told), flush=True)
    if not options.stay:
        threading.Thread(target=until_input_ends, args=(lambda: loop.call_soon_threadsafe(over.set),), daemon=True).start()
    await over.wait()
    for runner in runners:
        await asyncio.wait_for(runner.cleanup(), 5)


def main():
    options = arguments()
    shared = os.environ.get("UPWELL_SHARED")
    if options.recorded is None and shared:
        options.recorded = pathlib.Path(shared) / "data/cmr"
    with tempfile.TemporaryDirectory(prefix="earthdata-") as directory:
        asyncio.run(run(options, pathlib.Path(directory)))


if __name__ == "__main__":
    main()
