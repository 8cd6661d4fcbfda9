# Watches one inference: which parts of the model ran, where, and where their inputs lay.

WATCHED_MAX = 64
LEAVES_MAX = 20000
INPUTS_MAX = 16


def tensors(value, label, depth=0):
    """Label and tensor of every tensor in an argument."""
    if is_torch(type(value), "Tensor"):
        yield label, value
    elif depth < 3 and isinstance(value, (list, tuple)):
        for index, item in enumerate(value[:INPUTS_MAX]):
            for found in tensors(item, "%s[%d]" % (label, index), depth + 1):
                yield found
    elif depth < 3 and isinstance(value, collections.abc.Mapping):
        for key, item in list(value.items())[:INPUTS_MAX]:
            for found in tensors(item, "%s.%s" % (label, text(key)) if label else text(key), depth + 1):
                yield found


def given(module, arguments, named):
    """The tensors that a call was given, under the names of `forward`'s parameters."""
    names = attempt(lambda: list(inspect.signature(module.forward).parameters), [])
    for index, value in enumerate(arguments[:INPUTS_MAX]):
        for found in tensors(value, names[index] if index < len(names) else "#%d" % index):
            yield found
    for found in tensors(named, ""):
        yield found


def home(module):
    """The device of a module's own first parameter; empty if it has none."""
    return attempt(lambda: text(next(iter(module.parameters())).device), "")


def on_call(module, hook):
    """Calls `hook(arguments, named)` before each forward of the module."""
    def with_names(_, arguments, named):
        attempt(lambda: hook(arguments, named))

    def without_names(_, arguments):
        attempt(lambda: hook(arguments, {}))

    try:
        module.register_forward_pre_hook(with_names, with_kwargs=True)
    except TypeError:
        # torch before 2.0.
        module.register_forward_pre_hook(without_names)


def watch_module(path, module, watched):
    told = {"path": path, "class": type(module).__name__, "calls": 0, "parameters_on": home(module), "inputs": []}
    watched.append(told)

    def called(arguments, named):
        told["calls"] += 1
        for label, tensor in given(module, arguments, named):
            one = {"name": label, "device": text(tensor.device), "dtype": text(tensor.dtype).replace("torch.", "")}
            if one not in told["inputs"] and len(told["inputs"]) < INPUTS_MAX:
                told["inputs"].append(one)

    on_call(module, called)


def watch_leaf(module, leaves):
    by_device = leaves.setdefault(type(module).__name__, {})

    def called(arguments, named):
        device = home(module) or next((text(tensor.device) for _, tensor in tensors([arguments, named], "")), "")
        if device:
            by_device[device] = by_device.get(device, 0) + 1

    on_call(module, called)


def watch_session(path, session, watched):
    told = {"path": path, "class": type(session).__name__, "calls": 0, "parameters_on": "", "inputs": []}
    watched.append(told)
    for name in ("run", "run_with_iobinding", "run_with_ort_values"):
        run = getattr(session, name, None)
        if run is not None:
            def counted(*arguments, _run=run, **named):
                told["calls"] += 1
                return _run(*arguments, **named)
            attempt(lambda: setattr(session, name, counted))


def watch(found):
    """Sets the hooks: on the outermost modules and their parts, on leaves by class, on sessions."""
    watched, leaves = [], {}
    for path, kind, value in found:
        if kind == "onnxruntime session":
            watch_session(path, value, watched)
        if kind != "torch module":
            continue
        parts = [(path, value)] + [("%s.%s" % (path, name), child) for name, child in value.named_children()]
        for where, part in parts[:max(0, WATCHED_MAX - len(watched))]:
            attempt(lambda: watch_module(where, part, watched))
        for module in itertools.islice(value.modules(), LEAVES_MAX):
            if attempt(lambda: next(iter(module.children()), None)) is None:
                attempt(lambda: watch_leaf(module, leaves))
    return watched, leaves
