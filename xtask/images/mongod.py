"""The `mongod` of the test image: the MongoDB wire server of PyPI, behind what it has not: users.

With `--auth` or `--keyFile` a connection may do nothing but introduce itself before it has proved the password by
SCRAM-SHA-256 (RFC 7677). Its users are made as in the official image, or as `mongosh` of the test image, which does what the script
for the real one would do; they are kept beside the data and may do everything. There is no replica set.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import sys
from base64 import b64decode, b64encode
from pathlib import Path

from bson.binary import Binary
from nx_27017.handler import NeoSQLiteHandler
from nx_27017.server import run_server

DATA = Path("/data/db")
USERS = DATA / "users.json"
ROUNDS = 15000
MECHANISM = "SCRAM-SHA-256"
GREETINGS = {"hello", "Hello", "isMaster", "ismaster", "ping", "saslStart", "saslContinue"}


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def users():
    """The users that were made, by name."""
    return json.loads(USERS.read_text()) if USERS.exists() else {}


def make_user(name, file):
    """Makes a user, or gives it another password."""
    password = Path(file).read_text().rstrip("\n")
    salt = os.urandom(28)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    made = {
        "salt": b64encode(salt).decode(),
        "stored": hashlib.sha256(mac(salted, "Client Key")).hexdigest(),
        "server": mac(salted, "Server Key").hex(),
    }
    # Whole or not at all: the server reads it meanwhile.
    new = USERS.with_suffix(".new")
    new.write_text(json.dumps({**users(), name: made}))
    new.rename(USERS)


def is_known(name, file):
    """Whether the password in the file is that of the user."""
    known = users()[name]
    password = Path(file).read_text().rstrip("\n")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(known["salt"]), ROUNDS)
    return hashlib.sha256(mac(salted, "Client Key")).hexdigest() == known["stored"]


def shell():
    """What `init.js` does."""
    name, file = os.environ["USER_NAME"], os.environ["PASSWORD_FILE"]
    if name not in users():
        make_user(name, file)
    elif not is_known(name, file):
        sys.exit("MongoServerError: command createUser requires authentication")
    if "APP_USER" in os.environ:
        make_user(os.environ["APP_USER"], os.environ["APP_PASSWORD_FILE"])


class Refused(Exception):
    """The password is wrong."""


class Guarded(NeoSQLiteHandler):
    """Lets those in who know the password."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.talks = {}
        self.inside = set()

    def handle_command(self, msg):
        command = next((dict(doc) for kind, doc in msg["sections"] if kind == "body"), {})
        name = next(iter(command), "")
        connection, number = msg.get("_conn_id"), msg["request_id"]
        try:
            if name == "saslStart":
                return number, self.first(connection, command)
            if name == "saslContinue":
                return number, self.final(connection, command)
        except (Refused, KeyError, ValueError):
            self.talks.pop(connection, None)
            text = "Authentication failed."
            return number, {"ok": 0.0, "errmsg": text, "code": 18, "codeName": "AuthenticationFailed"}
        if name not in GREETINGS and connection not in self.inside:
            return number, self.outside(name)
        answered, reply = super().handle_command(msg)
        if "saslSupportedMechs" in command:
            reply["saslSupportedMechs"] = [MECHANISM]
        if "minWireVersion" in reply:
            # As the real one: older drivers may connect, too.
            reply["minWireVersion"] = 0
        return answered, reply

    def handle_insert(self, msg):
        if msg.get("_conn_id") not in self.inside:
            return msg["request_id"], self.outside("insert")
        return super().handle_insert(msg)

    def outside(self, name):
        text = f"Command {name} requires authentication"
        return {"ok": 0.0, "errmsg": text, "code": 13, "codeName": "Unauthorized"}

    def first(self, connection, command):
        bare = bytes(command["payload"]).decode().split(",", 2)[2]
        fields = dict(field.split("=", 1) for field in bare.split(","))
        known = users().get(fields["n"])
        if known is None or command["mechanism"] != MECHANISM:
            raise Refused
        nonce = fields["r"] + b64encode(os.urandom(18)).decode()
        answer = f"r={nonce},s={known['salt']},i={ROUNDS}"
        self.talks[connection] = (known, nonce, f"{bare},{answer}")
        return {"ok": 1.0, "conversationId": 1, "done": False, "payload": Binary(answer.encode())}

    def final(self, connection, command):
        known, nonce, text = self.talks.pop(connection)
        said, proof = bytes(command["payload"]).decode().rsplit(",p=", 1)
        fields = dict(field.split("=", 1) for field in said.split(","))
        text = f"{text},{said}"
        signature = mac(bytes.fromhex(known["stored"]), text)
        key = bytes(a ^ b for a, b in zip(b64decode(proof), signature, strict=True))
        if fields["r"] != nonce or hashlib.sha256(key).hexdigest() != known["stored"]:
            raise Refused
        self.inside.add(connection)
        answer = f"v={b64encode(mac(bytes.fromhex(known['server']), text)).decode()}"
        return {"ok": 1.0, "conversationId": 1, "done": True, "payload": Binary(answer.encode())}

    def close_streams_for_connection(self, connection):
        self.inside.discard(connection)
        self.talks.pop(connection, None)
        super().close_streams_for_connection(connection)


def main():
    logging.basicConfig(level=logging.WARNING)
    if sys.argv[1:2] == ["--mongosh"]:
        shell()
        return
    if "MONGO_INITDB_ROOT_USERNAME" in os.environ and not USERS.exists():
        make_user(os.environ["MONGO_INITDB_ROOT_USERNAME"], os.environ["MONGO_INITDB_ROOT_PASSWORD_FILE"])
    # What the real one leaves with its data.
    (DATA / "WiredTiger").touch()
    guarded = "--auth" in sys.argv or "--keyFile" in sys.argv
    handler = (Guarded if guarded else NeoSQLiteHandler)(data_dir=str(DATA))
    print("waiting for connections", flush=True)
    asyncio.run(run_server("0.0.0.0", 27017, handler))


main()
