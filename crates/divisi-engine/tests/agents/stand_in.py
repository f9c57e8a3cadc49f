#!/usr/bin/env python3
"""Stands in for Claude Code: prints the events that the real program prints, as the prompt says.

It also writes its arguments, its prompt and the names of its variables into `seen.json`.
"""

import json
import os
import signal
import subprocess
import sys
import time

if "--version" in sys.argv:
    print("9.9.9 (Stand-in)")
    sys.exit()

MODEL = "claude-haiku-5-5"
prompt = sys.stdin.read()
args = sys.argv[1:]
with open("seen.json", "w") as file:
    json.dump({"args": args, "prompt": prompt, "variables": sorted(os.environ)}, file)


def say(event):
    print(json.dumps(event), flush=True)


def used(dollars, tokens=1000):
    return {MODEL: {"inputTokens": tokens, "outputTokens": 30, "costUSD": dollars, "costBasis": "list"}}


def begin(source="ANTHROPIC_API_KEY"):
    say({"type": "system", "subtype": "init", "model": MODEL, "apiKeySource": source, "tools": []})


def reply(block, number=1):
    message = {"id": f"m{number}", "model": MODEL, "content": [block]}
    message["usage"] = {"input_tokens": 1000, "output_tokens": 1}
    say({"type": "assistant", "message": message})


def result(text="the answer", total=0.01, since=None, code=0, **more):
    event = {"type": "result", "subtype": "success", "is_error": False, "result": text}
    event |= {"terminal_reason": "completed", "num_turns": 2, "permission_denials": []}
    event |= {"total_cost_usd": total, "modelUsage": used(total) if total else {}}
    event["model_usage_since_last_result"] = since if since is not None else event["modelUsage"]
    say(event | more)
    if code is not None:
        sys.exit(code)


def fails(error, status, text):
    """An API error: a `success` with `is_error`."""
    message = {"id": "x", "model": "<synthetic>", "content": [{"type": "text", "text": text}]}
    say({"type": "assistant", "message": message, "error": error})
    more = {"terminal_reason": "api_error", "api_error_status": status, "is_error": True}
    result(text, 0, code=1, **more)


def stops(reason, text, total=0.06):
    more = {"subtype": "error_" + reason, "terminal_reason": reason, "is_error": True}
    result(None, total, code=1, errors=[text], num_turns=4, **more)


word = prompt.split()[0]
if word == "nothing":
    print("error: unknown option", file=sys.stderr)
    sys.exit(1)
begin("none" if word.startswith("plan") else "ANTHROPIC_API_KEY")
if word in ("success", "plan"):
    reply({"type": "text", "text": "Let me look."})
    reply({"type": "tool_use", "name": "Bash", "input": {"command": "ls"}})
    result()
elif word == "schema":
    result('{"n": 7}', structured_output={"n": 7})
elif word == "text-for-schema":
    result('{"n": 8}')
elif word == "misfit":
    result("seven", structured_output={"n": "seven"})
elif word == "no-value":
    result("I would rather not.")
elif word == "schema-exhausted":
    stops("structured_output_retry_exhausted", "no valid output after 5 attempts")
elif word == "denied":
    say({"type": "system", "subtype": "permission_denied", "tool_name": "Write"})
    result(permission_denials=[{"tool_name": "Write"}])
elif word == "turns":
    stops("max_turns", "Reached maximum number of turns (3)")
elif word == "money":
    stops("budget_exhausted", "Reached maximum budget ($0.05)")
elif word == "401":
    fails("authentication_failed", 401, "Invalid API key")
elif word == "429":
    event = {"type": "system", "subtype": "api_retry", "retry_delay_ms": 5, "error": "rate_limit"}
    say(event)
    fails("rate_limit", 429, "This request would exceed your rate limit")
elif word == "wall":
    info = {"status": "rejected", "resetsAt": int(time.time()) + 3600}
    say({"type": "rate_limit_event", "rate_limit_info": info})
    fails("rate_limit", 429, "You've hit your session limit")
elif word == "529":
    fails("overloaded", 529, "Overloaded")
elif word == "credit":
    fails("billing_error", 400, "Credit balance is too low")
elif word == "no-model":
    fails("model_not_found", 404, "no such model")
elif word == "long":
    stops("prompt_too_long", "Prompt is too long", 0)
elif word == "offline":
    fails("server_error", None, "Can't reach the API server")
elif word == "two":
    result("first", 0.01, code=None)
    result("second", 0.03, used(0.02))
elif word == "guessed":
    guess = {MODEL: used(9.0)[MODEL] | {"costBasis": "unknown"}}
    result(total=9.0, since=guess)
elif word in ("half-priced", "plan-half-priced"):
    both = used(0.01) | {"claude-of-tomorrow": used(9.0)[MODEL] | {"costBasis": "unknown"}}
    result(since=both)
elif word == "no-usage":
    reply({"type": "text", "text": "I was"})
    result(total=0)
elif word == "total-alone":
    reply({"type": "text", "text": "I was"})
    result(total=0, total_cost_usd=0.02)
elif word == "plan-interrupted":
    reply({"type": "text", "text": "I was"})
    sys.exit(0)
elif word == "interrupted":
    reply({"type": "text", "text": "I was"})
    sys.exit(0)
elif word == "torn":
    print('{"type": "result", "is_err', flush=True)
    sys.exit(0)
elif word == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif word in ("hangs", "plan-hangs"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    with open("child", "w") as file:
        file.write(str(child.pid))
    reply({"type": "text", "text": "I hang."})
    time.sleep(300)
