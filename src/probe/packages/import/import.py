# Run by the deployment's own interpreter: imports the module argv[1] and reports on it in JSON lines, as a child of
# gpu-doctor does. Nothing here may need more than Python 3.6.
import importlib, json, os, sys

report = os.fdopen(os.dup(1), "w")
# What the module prints goes with the warnings, not into the report.
os.dup2(2, 1)

def tell(key, value):
    report.write(json.dumps({key: value}) + "\n")
    report.flush()

# What is asked of modules that are known. Nothing that allocates on a GPU: jax.devices() would take most of its memory.
ASKED = {
    "torch": ["torch.version.cuda", "torch.version.hip", "torch.cuda.is_available()", "torch.cuda.get_arch_list()"],
    "onnxruntime": ["onnxruntime.get_available_providers()", "onnxruntime.get_device()"],
    "ctranslate2": ["ctranslate2.get_cuda_device_count()"],
    "tensorflow": ["tensorflow.test.is_built_with_cuda()", "tensorflow.sysconfig.get_build_info().get('cuda_version')"],
    "llama_cpp": ["llama_cpp.llama_supports_gpu_offload()"],
}

name = sys.argv[1]
tell("stage", "import " + name)
found = {"interpreter": sys.executable, "version": None, "file": None, "says": {}, "error": ""}
try:
    module = importlib.import_module(name)
except BaseException as error:
    found["error"] = "%s: %s" % (type(error).__name__, error)
else:
    version = getattr(module, "__version__", None)
    found["version"] = None if version is None else str(version)
    file = getattr(module, "__file__", None)
    found["file"] = None if file is None else str(file)
    for expression in ASKED.get(name, []):
        tell("stage", expression)
        try:
            found["says"][expression] = repr(eval(expression, {name: module}))
        except BaseException as error:
            found["says"][expression] = "%s: %s" % (type(error).__name__, error)
tell("result", found)
report.close()
# Not through the interpreter's end, where modules with GPU libraries are known to crash.
os._exit(0)
