# Run by the deployment's own interpreter, with what stands in census.py, forward.py and load.py behind it: loads the model
# as the deployment's code does, and reports on it in JSON lines, as a child of gpu-doctor does. Needs no more than
# Python 3.6, and of other packages only what the deployment's code has imported by itself.
import asyncio, collections, collections.abc, functools, importlib, inspect, itertools, json, os, sys, time, traceback, types

report = os.fdopen(os.dup(1), "w")
# What the deployment prints goes with the warnings, not into the report.
os.dup2(2, 1)

TEXT_MAX = 2000
TRACEBACK_LINES = 12


def tell(key, value):
    report.write(json.dumps({key: value}) + "\n")
    report.flush()


def attempt(act, otherwise=None):
    """What `act` returns, or `otherwise` if the foreign code in it raises."""
    try:
        return act()
    except BaseException:
        return otherwise


def text(value, limit=200):
    """A value in words, at most `limit` characters."""
    return attempt(lambda: str(value)[:limit], "(cannot be told)")


class NotFound(Exception):
    """The name that the user gave is none of the deployment's."""


def failure(place, error):
    """An exception as it is reported, without the frames of this program and of the import machinery."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith("<"):
        frames = frames.tb_next
    lines = attempt(lambda: traceback.format_exception(type(error), error, frames), [])
    lines = [line[:300] for line in "".join(lines).splitlines() if line.strip()]
    told = "%s: %s" % (type(error).__name__, text(error, TEXT_MAX))
    not_found = str(error) if isinstance(error, NotFound) else None
    return {"place": place, "error": told, "traceback": lines[-TRACEBACK_LINES:], "not_found": not_found}


def finish(failed):
    for stream in (sys.stdout, sys.stderr):
        attempt(lambda: stream.flush())
    tell("result", {"failed": failed})
    report.close()
    # Not through the interpreter's end, where modules with GPU libraries are known to crash.
    os._exit(0)
