# Finds the models in what the deployment's code returned, and counts what lies where.

OBJECTS_MAX = 64
VISITED_MAX = 50000
ITEMS_MAX = 2000
DEPTH_MAX = 6
NAMES_MAX = 5
MAP_MAX = 300
BLOCKS_MAX = 64

PLAIN = (str, bytes, bytearray, int, float, complex, type(None), type, types.ModuleType, types.BuiltinFunctionType)
# Books of torch's modules about themselves.
TORCH_BOOKS = ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules", "training")
FRAMEWORKS = ("torch", "transformers", "accelerate", "sentence_transformers", "whisper", "faster_whisper", "ctranslate2",
              "onnxruntime", "optimum", "nemo", "pyannote.audio", "speechbrain", "diffusers", "tensorflow", "jax")


def torch_type(name):
    """A class of the torch that the deployment imported, if it has."""
    found = sys.modules.get("torch")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def is_torch(kind, name):
    known = torch_type(name)
    return known is not None and attempt(lambda: issubclass(kind, known), False)


def kind_of(value):
    """What sort of model an object is, by its class alone."""
    kind = type(value)
    if is_torch(kind, "nn.Module"):
        return "torch module"
    for base in attempt(lambda: kind.__mro__, ()):
        module, name = text(getattr(base, "__module__", "")), base.__name__
        top = module.split(".")[0]
        if top == "onnxruntime" and name == "InferenceSession":
            return "onnxruntime session"
        if top == "ctranslate2" and "device" in dir(base) and "compute_type" in dir(base):
            return "ctranslate2 model"
        if name == "Pipeline" and module.startswith("transformers.pipelines"):
            return "transformers pipeline"
        if name == "Pipeline" and module.startswith("pyannote.audio"):
            return "pyannote pipeline"
    return None


def attributes(value):
    """An object's own attributes, without running any of its code."""
    own = attempt(lambda: object.__getattribute__(value, "__dict__"), {})
    found = list(itertools.islice(dict.items(own), ITEMS_MAX)) if issubclass(type(own), dict) else []
    for base in attempt(lambda: type(value).__mro__, ()):
        slots = base.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else list(slots)[:ITEMS_MAX]:
            if name not in ("__dict__", "__weakref__"):
                slot = attempt(lambda: object.__getattribute__(value, name))
                found.append((name, slot))
    return found


def function_holds(function):
    """What a function reaches: what it closes over, and the globals that it names."""
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        yield "." + name, attempt(lambda: cell.cell_contents)
    for name in code.co_names[:ITEMS_MAX]:
        value = function.__globals__.get(name)
        if not isinstance(value, types.FunctionType):
            yield "." + name, value


def holds(value, kind):
    """Label, value and whether it is a registered part, of what an object holds."""
    own = type(value)
    if issubclass(own, dict):
        items = itertools.islice(dict.items(value), ITEMS_MAX)
        return [("[%s]" % attempt(lambda: repr(key)[:60], "?"), item, False) for key, item in items]
    if issubclass(own, (list, tuple, set, frozenset, collections.deque)):
        return [("[%d]" % index, item, False) for index, item in enumerate(itertools.islice(value, ITEMS_MAX))]
    if own is types.MethodType:
        return [("", value.__self__, False), ("", value.__func__, False)]
    if own is types.FunctionType:
        return [(label, item, False) for label, item in function_holds(value)]
    if issubclass(own, functools.partial):
        return [("", value.func, False), ("", value.args, False), ("", value.keywords, False)]
    found = attributes(value)
    if kind != "torch module":
        return [("." + text(name), item, False) for name, item in found]
    parts = attempt(lambda: [("." + name, child, True) for name, child in value.named_children()], [])
    rest = [("." + text(name), item, False) for name, item in found
            if name not in TORCH_BOOKS and not text(name).endswith("_hooks")]
    return parts + rest


def search(root, start):
    """The models that can be reached from `root`: (path, kind, object), outermost first, and whether the search ended."""
    found, kept, visited = [], {}, 0
    queue = collections.deque([(root, start, 0, False)])
    while queue and visited < VISITED_MAX:
        value, path, depth, part = queue.popleft()
        if issubclass(type(value), PLAIN) or id(value) in kept or is_torch(type(value), "Tensor"):
            continue
        kept[id(value)] = value
        visited += 1
        kind = attempt(lambda: kind_of(value))
        if kind and not part:
            found.append((path, kind, value))
        if depth >= DEPTH_MAX:
            continue
        for label, item, registered in attempt(lambda: holds(value, kind), []):
            queue.append((item, path + label, depth + (0 if registered else 1), registered))
    # A module that was reached by a way of its own is still a part of the one around it.
    parts = set()
    for _, kind, value in found:
        if kind == "torch module":
            parts.update(id(one) for one in attempt(lambda: list(value.modules()), [])[:VISITED_MAX] if one is not value)
    outermost = distinct([one for one in found if id(one[2]) not in parts])
    return outermost[:OBJECTS_MAX], not queue and len(outermost) <= OBJECTS_MAX


def distinct(found):
    """Without modules that hold nothing but the parameters of one before them: the inside of a traced module, a second view."""
    seen, kept = set(), []
    for path, kind, value in found:
        tensors = attempt(lambda: {id(tensor) for tensor in value.parameters()}, set()) if kind == "torch module" else set()
        if not tensors or not tensors <= seen:
            kept.append((path, kind, value))
        seen |= tensors
    return kept


def nothing():
    return {"tensors": 0, "elements": 0, "bytes": 0, "first_names": []}


def add(sums, place, name, elements, size):
    total = sums.setdefault(place, nothing())
    total["tensors"] += 1
    total["elements"] += elements
    total["bytes"] += size
    if len(total["first_names"]) < NAMES_MAX:
        total["first_names"].append(text(name))


def identity(tensor, elements):
    """What two tensors share that are one in memory."""
    pointer = attempt(lambda: int(tensor.data_ptr()), 0)
    return (text(tensor.device), pointer, elements) if pointer else id(tensor)


def count(named, sums, dtypes, seen, path=""):
    """Adds up tensors by device and by type, each once; returns how many could not be read."""
    unread = 0
    for name, tensor in named:
        try:
            device, elements, each = str(tensor.device), int(tensor.numel()), int(tensor.element_size())
        except BaseException:
            unread += 1
            continue
        key = identity(tensor, elements)
        if key in seen:
            continue
        seen.add(key)
        add(sums, device, path + name, elements, elements * each)
        if dtypes is not None:
            add(dtypes, text(tensor.dtype).replace("torch.", ""), name, elements, elements * each)
    return unread


def device_name(device):
    """A device as torch writes it; accelerate writes a GPU as a number."""
    return "cuda:%d" % device if isinstance(device, int) else text(device)


def device_map(module):
    """What `device_map` became: block to device; empty if the module has none."""
    for part in itertools.islice(module.modules(), 50):
        known = dict(attributes(part)).get("hf_device_map")
        if isinstance(known, dict):
            return {text(block) or "(all)": device_name(device) for block, device in list(known.items())[:MAP_MAX]}
    return {}


def hooks_of(module):
    """accelerate's hooks on one module."""
    hook = dict(attributes(module)).get("_hf_hook")
    return [one for one in [hook] + list(getattr(hook, "hooks", ())) if one is not None]


def offloading(module):
    """Where accelerate's hooks compute, and on how many modules they bring the parameters there for each call."""
    device, modules = "", 0
    for part in itertools.islice(module.modules(), VISITED_MAX):
        hooks = [hook for hook in hooks_of(part) if getattr(hook, "offload", False) or "Offload" in type(hook).__name__]
        modules += bool(hooks)
        for hook in hooks:
            target = getattr(hook, "execution_device", None)
            device = device or ("" if target is None else device_name(target))
    return device, modules


def blocks(module):
    """The devices of each part of the module: `cuda:0`, `cpu+cuda:0`."""
    found = {}
    for name, child in itertools.islice(module.named_children(), BLOCKS_MAX):
        devices = sorted({text(one.device) for one in child.parameters()})
        if devices:
            found[text(name)] = "+".join(devices)
    return found


def bare(path, kind, value):
    own = type(value)
    return {"path": path, "kind": kind, "class": "%s.%s" % (own.__module__, own.__qualname__), "device": "",
            "parameters_by_device": {}, "parameters_by_dtype": {}, "buffers_by_device": {}, "unread_parameters": 0,
            "device_map": {}, "blocks": {}, "execution_device": "", "offloaded_modules": 0, "compute_type": "",
            "providers": [], "provider_options": {}, "model_path": "", "cpu_fallback_disabled": False, "unread": ""}


def torch_module(told, module):
    told["unread_parameters"] = count(module.named_parameters(), told["parameters_by_device"],
                                      told["parameters_by_dtype"], set())
    count(module.named_buffers(), told["buffers_by_device"], None, set())
    told["blocks"] = blocks(module)
    told["device_map"] = device_map(module)
    told["execution_device"], told["offloaded_modules"] = offloading(module)


def onnxruntime_session(told, session):
    told["providers"] = [text(name) for name in session.get_providers()]
    told["provider_options"] = {text(name): {text(key): text(value) for key, value in options.items()}
                                for name, options in session.get_provider_options().items()}
    told["model_path"] = text(getattr(session, "_model_path", None) or "", 500)
    entry = attempt(lambda: session.get_session_options().get_session_config_entry("session.disable_cpu_ep_fallback"))
    told["cpu_fallback_disabled"] = entry == "1"


def ctranslate2_model(told, model):
    indexes = attempt(lambda: list(model.device_index), [])
    device = text(model.device)
    told["device"] = "+".join("%s:%s" % (device, index) for index in indexes) if device == "cuda" and indexes else device
    told["compute_type"] = text(model.compute_type)


def pipeline(told, value):
    told["device"] = device_name(value.device) if getattr(value, "device", None) is not None else ""


CENSUS = {"torch module": torch_module, "onnxruntime session": onnxruntime_session,
          "ctranslate2 model": ctranslate2_model, "transformers pipeline": pipeline, "pyannote pipeline": pipeline}


def examine(found):
    """Each model with what lies where, and the sums over all of them, tensors that they share once."""
    objects, parameters, buffers, seen = [], {}, {}, set()
    for path, kind, value in found:
        told = bare(path, kind, value)
        try:
            CENSUS[kind](told, value)
        except BaseException as error:
            told["unread"] = failure(path, error)["error"]
        objects.append(told)
        if kind == "torch module":
            attempt(lambda: count(value.named_parameters(), parameters, None, seen, path + "."))
            attempt(lambda: count(value.named_buffers(), buffers, None, seen, path + "."))
    return {"objects": objects, "parameters_by_device": parameters, "buffers_by_device": buffers}


def frameworks():
    """Versions of the frameworks that the deployment's code has imported."""
    known = {name: sys.modules.get(name) for name in FRAMEWORKS}
    return {name: text(getattr(module, "__version__", "")) for name, module in known.items() if module is not None}
