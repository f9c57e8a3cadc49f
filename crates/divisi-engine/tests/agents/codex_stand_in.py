#!/usr/bin/env python3
"""Stands in for Codex: prints the events that the real program prints, as the prompt says."""

import json
import os
import signal
import subprocess
import sys
import time

if "--version" in sys.argv:
    print("codex-cli 9.9.9")
    sys.exit()

prompt = sys.stdin.read()
with open("seen.json", "w") as file:
    json.dump({"args": sys.argv[1:], "prompt": prompt}, file)


def say(event):
    print(json.dumps(event), flush=True)


def message(text):
    say({"type": "item.completed", "item": {"type": "agent_message", "text": text}})


def fails(text):
    say({"type": "error", "message": "Reconnecting... 1/1 (" + text + ")"})
    say({"type": "turn.failed", "error": {"message": text}})
    sys.exit(1)


word = prompt.split()[0]
if word == "silent":
    sys.exit(0)
say({"type": "thread.started", "thread_id": "x"})
say({"type": "turn.started"})
if word == "401":
    fails("unexpected status 401 Unauthorized: invalid key")
if word == "529":
    fails("exceeded retry limit, last status: 529")
if word == "wall":
    fails("You've hit your usage limit, last status: 429 Too Many Requests")
if word == "works-and-fails":
    say({"type": "item.completed", "item": {"type": "command_execution", "command": "ls"}})
    fails("stream disconnected")
if word == "warns-and-fails":
    say({"type": "item.completed", "item": {"type": "error", "message": "an old setting"}})
    fails("unexpected status 401 Unauthorized: invalid key")
if word == "killed":
    message("Looking.")
    os.kill(os.getpid(), signal.SIGKILL)
message("Looking.")
if word == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    with open("child", "w") as file:
        file.write(str(child.pid))
    time.sleep(300)
say({"type": "item.started", "item": {"type": "command_execution", "command": "ls"}})
message({"schema": '{"n": 7}', "misfit": "seven"}.get(word, "the answer"))
usage = {"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 30}
say({"type": "turn.completed", "usage": usage})
