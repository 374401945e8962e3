"""Programs that stand in for the runner, so that a test of the operator decides what a runner says and when."""

from __future__ import annotations

PROGRAM = '''
import json, os, signal, sys, time

REQUEST = json.loads(sys.stdin.readline())


def record(message, level="INFO", logger="dkist.runner", **members):
    print("\\x1e" + json.dumps({"level": level, "logger": logger, "message": message, **members}), flush=True)


def stop():
    """Wait for the command to stop, and return it."""
    return json.loads(sys.stdin.readline())


def end(result, **members):
    """Write the result, and close what the operator listens to."""
    sys.stderr.write(json.dumps({"result": result, **members}))
    sys.stderr.flush()
    sys.stdout.flush()
    os.close(1)
    os.close(2)

'''


def stub(behaviour: str) -> dict[str, str]:
    """Return a runner that reads its request, then does what the test says, with `record`, `stop` and `end` at hand."""
    return {"runner.__main__": PROGRAM + behaviour}
