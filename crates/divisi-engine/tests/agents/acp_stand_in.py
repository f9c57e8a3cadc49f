#!/usr/bin/env python3
"""Stands in for an agent that speaks the Agent Client Protocol, as the prompt says.

It writes its arguments, what it was sent and the names of its variables into `seen.json`.
"""

import json
import os
import signal
import subprocess
import sys
import time

if "--version" in sys.argv:
    print("9.9.9")
    sys.exit()

MODEL = "claude-haiku-5-5"
seen = {"args": sys.argv[1:], "variables": sorted(os.environ), "sent": []}


def note():
    with open("seen.json", "w") as file:
        json.dump(seen, file)


def say(message):
    print(json.dumps({"jsonrpc": "2.0"} | message), flush=True)


def hear():
    line = sys.stdin.readline()
    if not line:
        note()
        sys.exit()
    message = json.loads(line)
    seen["sent"].append(message)
    return message


def answer(to, result):
    say({"id": to["id"], "result": result})


def refuse(to, code, text, **data):
    error = {"code": code, "message": text}
    say({"id": to["id"], "error": error | ({"data": data} if data else {})})


def update(what, **fields):
    say({"method": "session/update",
         "params": {"sessionId": "s", "update": {"sessionUpdate": what} | fields}})


def says(text, **more):
    update("agent_message_chunk", content={"type": "text", "text": text}, **more)


def costs(dollars, currency="USD"):
    update("usage_update", used=1030, size=200000, cost={"amount": dollars, "currency": currency})


def ends(reason="end_turn", model=MODEL, **more):
    tokens = {"inputTokens": 1000, "outputTokens": 30, "totalTokens": 1030}
    quota = {"model_usage": [{"model": model, "token_count": tokens}]}
    answer(prompt, {"stopReason": reason, "usage": tokens, "_meta": {"quota": quota}} | more)


def asks(kind, title="Tool", path=None, command=None, name=None):
    """Asks for a permission; returns whether it has it."""
    call = {"toolCallId": "t", "title": title, "kind": kind, "status": "pending"}
    if name:
        call["name"] = name
    if path:
        call["locations"] = [{"path": path}]
        call["content"] = [{"type": "diff", "path": path, "newText": "x"}]
    if command:
        call["rawInput"] = {"command": command}
    update("tool_call", **call)
    options = [{"optionId": o, "name": o, "kind": o}
               for o in ("allow_always", "allow_once", "reject_once")]
    say({"id": "p1", "method": "session/request_permission",
         "params": {"sessionId": "s", "toolCall": call, "options": options}})
    while True:
        message = hear()
        if message.get("id") == "p1":
            return message["result"]["outcome"].get("optionId") == "allow_once"


MODES = [{"value": mode, "name": mode} for mode in ("default", "yolo")]
MODELS = [{"value": model, "name": model} for model in ("own", "haiku", "opus")]
EFFORTS = [{"value": effort, "name": effort} for effort in ("low", "high")]
OPTIONS = [
    {"id": "mode", "category": "mode", "type": "select", "currentValue": "yolo", "options": MODES},
    {"id": "model", "category": "model", "type": "select", "currentValue": "own", "options": MODELS},
    {"id": "effort", "category": "thought_level", "type": "select", "currentValue": "low",
     "options": EFFORTS},
]

# How it starts is the first argument, because there is no prompt yet.
start = sys.argv[1] if len(sys.argv) > 1 else ""
if start == "dies":
    print("cannot find its model", file=sys.stderr)
    sys.exit(3)
if start == "chatty":
    print("Loading extensions ...", flush=True)
    print("[1, 2]", flush=True)
if start == "babble":
    print("Usage: agent [options]", flush=True)
    sys.exit(0)

prompt = None
while prompt is None:
    message = hear()
    method = message.get("method")
    if method == "initialize":
        if start == "mute":
            time.sleep(300)
        version = 7 if start == "other-version" else 1
        answer(message, {"protocolVersion": version, "agentCapabilities": {}, "authMethods": []})
    elif method == "session/new":
        if start == "logged-out":
            refuse(message, -32000, "Authentication required")
        elif start == "plain":
            answer(message, {"sessionId": "s"})
        else:
            if start == "plan":
                say({"method": "_auth/status_update",
                     "params": {"authStatus": {"kind": "account", "label": "Pro"}}})
            answer(message, {"sessionId": "s", "configOptions": OPTIONS})
    elif method == "session/set_config_option":
        option = next(o for o in OPTIONS if o["id"] == message["params"]["configId"])
        if message["params"]["value"] in [o["value"] for o in option["options"]]:
            answer(message, {"configOptions": OPTIONS})
        else:
            refuse(message, -32602, "Invalid params", details="no such value")
    elif method == "session/prompt":
        prompt = message
    elif "id" in message:
        refuse(message, -32601, "Method not found")

note()
word = prompt["params"]["prompt"][0]["text"].split()[0]
if word == "success":
    update("available_commands_update", availableCommands=[])
    update("teleported", where={"x": 1})
    say({"method": "_vendor/news", "params": [1, 2]})
    says("Let me ")
    says("look.")
    update("tool_call", toolCallId="t", title="ls", kind="execute")
    update("tool_call_update", toolCallId="t", status="completed")
    says("the ")
    says("answer")
    costs(0.01)
    ends()
elif word == "priced":
    says("the answer")
    ends()
elif word == "unpriced":
    says("the answer")
    ends(model="unheard-of")
elif word == "silent-bill":
    says("the answer")
    answer(prompt, {"stopReason": "end_turn"})
elif word == "schema":
    says('```json\n{"n": 7}\n```')
    costs(0.01)
    ends()
elif word in ("misfit", "no-value"):
    says({"misfit": "seven", "no-value": '{"m": 7}'}[word])
    costs(0.01)
    ends()
elif word == "empty":
    costs(0.01)
    ends()
elif word == "writes":
    _, path = prompt["params"]["prompt"][0]["text"].split()[:2]
    is_allowed = asks("edit", "Write " + path, path=path, name="Write")
    says("allowed" if is_allowed else "refused")
    costs(0.01)
    ends()
elif word == "runs":
    command = prompt["params"]["prompt"][0]["text"].split(" ", 1)[1]
    is_allowed = asks("execute", command, command=command)
    says("allowed" if is_allowed else "refused")
    costs(0.01)
    ends()
elif word == "browses":
    says("allowed" if asks("fetch", "Fetch example.org") else "refused")
    costs(0.01)
    ends()
elif word == "sulks":
    asks("edit", "Write a.txt", path="a.txt")
    costs(0.01)
    ends("cancelled")
elif word == "client-files":
    # Nothing of the kind was offered.
    say({"id": 9, "method": "fs/read_text_file", "params": {"sessionId": "s", "path": "/etc/passwd"}})
    reply = hear()
    says("refused" if "error" in reply else "read")
    costs(0.01)
    ends()
elif word == "cut":
    says("the ans")
    costs(0.01)
    ends("max_tokens")
elif word == "turns":
    costs(0.01)
    ends("max_turn_requests")
elif word == "declines":
    says("I will not.")
    costs(0.01)
    ends("refusal")
elif word == "401":
    refuse(prompt, -32000, "Authentication required")
elif word == "429":
    refuse(prompt, -32603, "Internal error: Request rejected (429)", errorKind="rate_limit")
elif word == "529":
    refuse(prompt, -32603, "Internal error: API Error: 529 Overloaded", errorKind="server_error")
elif word == "400":
    refuse(prompt, 400, "bad")
elif word == "no-reply":
    says("exceeded retry limit, last status: 503 Service Unavailable")
    answer(prompt, {"stopReason": "end_turn", "usage": None, "_meta": {"quota": {"model_usage": []}}})
elif word == "max-turns":
    costs(0.01)
    refuse(prompt, -32603, "Internal error: Reached maximum number of turns (3)")
elif word == "killed":
    says("I was")
    os.kill(os.getpid(), signal.SIGKILL)
elif word == "torn":
    says("I was")
    print('{"jsonrpc": "2.0", "id": 4, "resu', flush=True)
    sys.exit(0)
elif word == "exits":
    print("out of luck", file=sys.stderr)
    sys.exit(0)
elif word == "floods":
    text = "x" * 65536
    try:
        while True:
            says(text)
    except BrokenPipeError:
        sys.exit()
elif word == "long-line":
    sys.stdout.write('{"method": "' + "x" * (17 << 20) + '"}\n')
    says("the answer")
    costs(0.01)
    ends()
elif word == "spends":
    costs(0.02)
    costs(0.06)
    message = hear()
    if message.get("method") == "session/cancel":
        costs(0.07)
        ends("cancelled")
elif word == "slow":
    says("I think.")
    message = hear()
    if message.get("method") == "session/cancel":
        costs(0.03)
        ends("cancelled")
elif word == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    with open("child", "w") as file:
        file.write(str(child.pid))
    says("I hang.")
    time.sleep(300)
if start == "lingers":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)
# Until its input is closed.
while True:
    hear()
    note()
