# Run by the deployment's own interpreter, for an onnxruntime that no other program can load (Python packages before 1.19):
# says what it is, has CUDA registered, or creates a session of a model. Reports in JSON lines, as a child of gpu-doctor
# does. argv[1] is JSON: {"one_node": hex, "model": path or null, "cuda": bool}. Nothing here may need more than Python 3.6.
import json, os, re, sys, tempfile, time

report = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

def tell(key, value):
    report.write(json.dumps({key: value}) + "\n")
    report.flush()

LINE = re.compile(r"^(?:\x1b\[[\d;]*m)?\S+ \S+ \[[VIWEF]:[^\]]*\] (.*?)(?:\x1b\[m)?$")
TOLD = re.compile(r"^Node placements|nodes? placed on|\(s\) placed on|^  \S+ \(|Memcpy|kernel not|Force fallback", re.I)
LINES_MAX, LINE_MAX = 120000, 2000
order = json.loads(sys.argv[1])

def heard(make):
    """What make() wrote to standard error, and what it raised."""
    kept, error = os.dup(2), ""
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            made = make()
        except BaseException as failure:
            made, error = None, "%s: %s" % (type(failure).__name__, failure)
        finally:
            os.dup2(kept, 2)
        log.seek(0)
        lines = log.read(32 << 20).decode("utf-8", "replace").splitlines()
    return made, error, [found.group(1) if found else line for line in lines for found in [LINE.match(line)]]

tell("stage", "import onnxruntime")
import onnxruntime
tell("part", {"version": str(onnxruntime.__version__)})
from onnxruntime.capi import onnxruntime_pybind11_state as state
tell("part", {"library": str(state.__file__)})
if hasattr(onnxruntime, "get_build_info"):
    tell("part", {"build": str(onnxruntime.get_build_info())})
tell("part", {"providers": list(onnxruntime.get_available_providers())})
options = onnxruntime.SessionOptions()
result = {}
if order["model"] is None:
    tell("stage", "creation of a CUDA session")
    cuda = [("CUDAExecutionProvider", {"gpu_mem_limit": str(1 << 20)})]
    def make():
        return onnxruntime.InferenceSession(bytes.fromhex(order["one_node"]), options, providers=cuda, enable_fallback=0)
    made, error, lines = heard(make)
    registers = made is not None and "CUDAExecutionProvider" in made.get_providers()
    if not registers:
        wanted = re.compile(r"Failed to load library|CUDA failure|CUDNN failure|CUBLAS failure|not enabled in this build|not in available provider")
        said = [line for line in lines + error.splitlines() if wanted.search(line)]
        error = said[0] if said else error or "\n".join(lines[:5]) or "the session runs without CUDA, and nothing was said"
    tell("part", {"cuda": {"registers": registers, "error": "" if registers else error[:4000]}})
else:
    tell("stage", "creation of the session")
    options.log_severity_level, options.intra_op_num_threads = 0, 1
    providers = ["CPUExecutionProvider"]
    if order["cuda"]:
        providers.insert(0, ("CUDAExecutionProvider", {"gpu_mem_limit": str(1 << 20)}))
    def make():
        return onnxruntime.InferenceSession(order["model"], options, providers=providers, enable_fallback=0)
    started = time.time()
    made, error, lines = heard(make)
    result["session_ms"] = None if made is None else (time.time() - started) * 1e3
    result["error"] = error[:4000] or None
    lines = [line[:LINE_MAX] for line in lines if TOLD.search(line)][:LINES_MAX]
    for at in range(0, len(lines), 1000):
        tell("part", {"log": lines[at:at + 1000]})
tell("result", result)
report.close()
# Not through the interpreter's end, where modules with GPU libraries are known to crash.
os._exit(0)
