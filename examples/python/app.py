"""Items in MongoDB, the list of them cached in Redis: a small app to run behind appforge."""

import asyncio
import json
import os

from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CACHE_KEY = "items:newest"
CACHE_SECONDS = 10
# The cache may be away: a request waits for it this long, once, and then asks MongoDB.
CACHE_TIMEOUT = 0.2
MAX_BODY = 64 * 1024

mongo = None
cache = None


async def start():
    global mongo, cache
    # The size of the pool and the timeouts are options of the URI.
    mongo = AsyncMongoClient(os.environ["MONGODB_URI"])
    cache = Redis.from_url(
        os.environ["REDIS_URL"],
        socket_timeout=CACHE_TIMEOUT,
        socket_connect_timeout=CACHE_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


async def stop():
    await cache.aclose()
    await mongo.close()


def items():
    return mongo.get_default_database("app")["items"]


async def cached():
    try:
        return await cache.get(CACHE_KEY)
    except (RedisError, asyncio.TimeoutError):
        return None


async def store(text):
    """Caches the list; `None` drops it."""
    try:
        if text is None:
            await cache.delete(CACHE_KEY)
        else:
            await cache.set(CACHE_KEY, text, ex=CACHE_SECONDS)
    except (RedisError, asyncio.TimeoutError):
        pass


async def list_items():
    if text := await cached():
        return 200, text, "hit"
    newest = items().find().sort("_id", -1).limit(20)
    found = [{"id": str(item["_id"]), "name": item["name"]} async for item in newest]
    text = json.dumps({"items": found}).encode()
    await store(text)
    return 200, text, "miss"


async def create_item(body):
    try:
        name = json.loads(body)["name"]
    except (ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        return 400, error("`name` must be a text of 1 to 100 characters")
    item = {"_id": ObjectId(), "name": name}
    await items().insert_one(item)
    await store(None)
    return 201, json.dumps({"id": str(item["_id"]), "name": name}).encode()


async def health():
    await mongo.admin.command("ping")
    return 200, b'{"status": "ok"}'


def error(message):
    return json.dumps({"error": message}).encode()


async def answer(method, path, receive):
    if path in ("/", "/healthz") and method in ("GET", "HEAD"):
        return await health()
    if path != "/items":
        return 404, error("not found")
    if method in ("GET", "HEAD"):
        return await list_items()
    if method != "POST":
        return 405, error("use GET or POST")
    body = await read(receive)
    return (413, error("at most 64 KiB")) if body is None else await create_item(body)


async def read(receive):
    """The body, or `None` if it is too long."""
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > MAX_BODY:
            return None
    return body


async def lifespan(receive, send):
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def respond(scope, receive, send):
    """One connection of ASGI: the life of the process, or one request."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    try:
        status, body, *cache_state = await answer(scope["method"], scope["path"], receive)
    except PyMongoError as problem:
        print(f"MongoDB: {problem}", flush=True)
        status, body, cache_state = 503, error("the store does not answer"), []
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"x-cache", state.encode()) for state in cache_state]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


app = respond
