"""What a test asks of the fake itself, over plain HTTP at the address where it listens, in JSON.

    GET    /log?since=N            entries with a greater number (see front.py); DELETE forgets them
    GET    /faults                 the rules and how often each acted; POST adds one or a list; DELETE removes all
    POST   /users                  {"name": ..., "approved"|"eula"|"password": ...} changes a user
    POST   /tokens                 {"name": ..., "seconds": ...} makes a token of that life (0: expired), beyond the limit of two
    POST   /settings               {"signed_seconds"|"credentials_seconds"|"token_seconds"|"session_seconds": ..., "in_region": ...}
    POST   /granules               {"collection": ..., "action": "add", "count": N}, or "revise", "rename" (its files get another name),
                                   "move" (its record leads to the other gateway),
                                   "unlink" (its record leads to no data) or "delete" with "number": N
    PUT    /objects/BUCKET/KEY     an object of its own
    POST   /reset                  everything is as at the start, and the log is empty
"""

import json
import time

from aiohttp import web

from .accounts import Token, as_json
from .granules import Bytes


class Control:
    def __init__(self, world):
        self.world = world

    async def __call__(self, request):
        route = {"/log": self.log, "/faults": self.faults, "/users": self.users, "/tokens": self.tokens, "/settings": self.settings,
                 "/granules": self.granules, "/reset": self.reset}.get(request.path)
        try:
            if request.path.startswith("/objects/") and request.method == "PUT":
                result = await self.put(request)
            elif route is None:
                return web.Response(status=404, text=f"nothing is called {request.path}\n{__doc__}")
            else:
                given = json.loads(await request.text()) if request.method == "POST" else {}
                result = route(request, given)
        except (KeyError, ValueError, TypeError) as reason:
            return web.Response(status=400, text=f"{type(reason).__name__}: {reason}")
        return web.json_response(result)

    def log(self, request, _):
        front = self.world.front
        if request.method == "DELETE":
            front.log.clear()
            return {}
        since = int(request.query.get("since", 0))
        return [{k: v for k, v in entry.items() if k != "began"} for entry in front.log if entry["number"] > since]

    def faults(self, request, given):
        rules = self.world.front.rules
        if request.method == "DELETE":
            rules.clear()
        for rule in given if isinstance(given, list) else [given] if given else []:
            reason = rules.add(rule)
            if reason:
                raise ValueError(reason)
        return rules.rules

    def users(self, _, given):
        user = self.world.accounts.users[given["name"]]
        for name in given.keys() & {"approved", "eula", "password"}:
            setattr(user, name, given[name])
        return {"name": user.name, "approved": user.approved, "eula": user.eula}

    def tokens(self, _, given):
        known = self.world.accounts
        user, expires = known.users[given["name"]], time.time() + given.get("seconds", known.token_seconds)
        token = Token(known.jwt(user, expires), user.name, expires)
        known.tokens[token.text] = token
        return as_json(token)

    def settings(self, _, given):
        owners = {"token_seconds": [self.world.accounts], "session_seconds": [self.world.accounts], "in_region": [self.world.objects],
                  "signed_seconds": self.world.gateways, "credentials_seconds": self.world.gateways}
        for name, value in given.items():
            for owner in owners[name]:
                setattr(owner, name, value)
        return given

    def granules(self, _, given):
        collection = self.world.library.named(given["collection"])
        if collection is None:
            raise KeyError(given["collection"])
        action, number = given["action"], given.get("number", 0)
        if action != "add" and not 0 <= number < collection.count:
            raise ValueError(f"{collection.short_name} has {collection.count} granules")
        if action in ("revise", "rename", "move", "unlink"):
            getattr(collection, action)(number)
        elif action == "delete":
            collection.deleted[number] = time.time()
        elif action == "add":
            collection.add(given.get("count", 1))
        else:
            raise ValueError(f"no action is called {action}")
        self.world.library.changes += 1
        return {"count": collection.count, "deleted": len(collection.deleted)}

    def reset(self, _, __):
        self.world.build()
        return {}

    async def put(self, request):
        _, _, bucket, key = request.path.split("/", 3)
        self.world.library.put[bucket, key] = Bytes(await request.read(), time.time())
        return {"bucket": bucket, "key": key}
