"""A stand-in for an MCP server, over stdio or, with `--http`, over HTTP at a free port.

Each start and each call is a line of the file `mcp.log` in the working folder. Over HTTP the first
line of stdout is the address.
"""

import json
import os
import subprocess
import sys
import time

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = {
    "echo": {**TEXT, "required": ["text"]},
    "fail": TEXT,
    "refuse": TEXT,
    "environment": TEXT,
    "picture": TEXT,
    "long": TEXT,
    "hang": TEXT,
    "die": TEXT,
    "flood": TEXT,
    "chatter": TEXT,
    "child": TEXT,
    "odd.name": TEXT,
    "n" * 60: TEXT,
    "bad_schema": {"type": "object", "properties": {"text": {"type": "no such type"}}},
}


def log(line):
    with open("mcp.log", "a") as file:
        file.write(line + "\n")


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


def call(name, arguments):
    words = arguments.get("text", "")
    if name in ("echo", "odd.name"):
        return text(f"{name} says {words}")
    if name == "fail":
        return text(f"no such file: {words}", isError=True)
    if name == "refuse":
        raise ValueError("wrong arguments")
    if name == "environment":
        return text(json.dumps(dict(os.environ)))
    if name == "picture":
        return {"content": [{"type": "image", "data": "QUJD", "mimeType": "image/png"}]}
    if name == "long":
        return text("x" * 1_000_000)
    if name == "hang":
        time.sleep(1000)
    if name == "die":
        sys.stderr.write("out of luck\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "flood":
        return text("x" * (17 << 20))
    if name == "chatter":
        for i in range(20_000):
            send({"jsonrpc": "2.0", "method": "notifications/message",
                  "params": {"level": "info", "data": f"{i} " + "y" * 200}})
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        sys.stdout.write("no JSON at all\n")
        return text("done talking")
    if name == "child":
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return text(str(child.pid))
    raise ValueError(f"unknown tool {name}")


def answer(message):
    """The answer to a message, or None for a notification."""
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        return None
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        reply["result"] = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                           "serverInfo": {"name": "stand-in", "version": "1"}}
    elif method == "tools/list" and "--unlisted" not in sys.argv:
        names = list(TOOLS)
        first = params.get("cursor") is None
        page = names[:5] if first else names[5:]
        tools = [{"name": name, "description": f"Does {name} {os.environ.get('GIVEN', '')}",
                  "inputSchema": TOOLS[name]} for name in page]
        reply["result"] = {"tools": tools, **({"nextCursor": "5"} if first else {})}
    elif method == "tools/call":
        log(f"call {params['name']} {params.get('arguments', {}).get('text', '')}".rstrip())
        try:
            reply["result"] = call(params["name"], params.get("arguments") or {})
        except ValueError as error:
            reply["error"] = {"code": -32602, "message": str(error)}
    else:
        reply["error"] = {"code": -32601, "message": "no such method"}
    return reply


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def over_stdio():
    for line in sys.stdin:
        reply = answer(json.loads(line))
        if reply is not None:
            send(reply)
    log("end")


def over_http():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("authorization") != "Bearer http-key-4711-0123456789":
                return self.reply(401, b"")
            reply = answer(json.loads(body))
            if reply is None:
                return self.reply(202, b"")
            self.reply(200, json.dumps(reply).encode())

        def do_GET(self):
            self.reply(405, b"")

        do_DELETE = do_GET

        def reply(self, status, body):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
    server.serve_forever()


if "--mute" in sys.argv:
    log("start")
    time.sleep(1000)
if "--broken" in sys.argv:
    log("start")
    sys.exit("cannot find my database")
log("start")
over_http() if "--http" in sys.argv else over_stdio()
