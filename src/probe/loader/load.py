# Loads, looks, and runs one inference if that is asked for.


def prepare(asked):
    """Makes this process the first to go when memory runs out, and one that does not outlive the doctor."""
    def first_to_go():
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")

    def no_core():
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def not_alone():
        import ctypes
        ctypes.CDLL(None).prctl(1, 9)

    for act in (first_to_go, no_core, not_alone):
        attempt(act)
    if os.getppid() != asked["parent"]:
        os._exit(98)


def named(name):
    """What MODULE:ATTRIBUTE names, and its module."""
    place, _, path = name.partition(":")
    tell("stage", "import " + place)
    try:
        found = module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        # Another module that is missing is the deployment's own fault.
        if error.name and (place + ".").startswith(error.name + "."):
            raise NotFound("there is no module %s in %s or among %s's packages" % (error.name, os.getcwd(), sys.executable))
        raise
    for part in path.split("."):
        if not hasattr(found, part):
            raise NotFound("%s has no %s" % (attempt(lambda: module.__file__) or place, path))
        found = getattr(found, part)
    return found, module


def called(function, *arguments):
    """What a function returns, awaited if it is a coroutine."""
    value = function(*arguments)
    if not inspect.iscoroutine(value):
        return value
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(value)


def milliseconds(since):
    return round((time.time() - since) * 1000, 3)


def cuda_is_available():
    torch = sys.modules.get("torch")
    return None if torch is None else attempt(lambda: bool(torch.cuda.is_available()))


def settle():
    """Waits for the GPU, where errors of kernels come to light late."""
    torch = sys.modules.get("torch")
    if torch is not None and attempt(lambda: torch.cuda.is_initialized(), False):
        torch.cuda.synchronize()


def load(asked):
    place, since = "import " + asked["loader"].partition(":")[0], time.time()
    try:
        if asked["folder"]:
            os.chdir(asked["folder"])
        if "" not in sys.path:
            sys.path.insert(0, "")
        tell("part", {"python": sys.executable, "folder": os.getcwd()})
        found, module = named(asked["loader"])
        tell("part", {"import_ms": milliseconds(since)})
        place, since = asked["loader"] + "()", time.time()
        tell("stage", place)
        if callable(found) and kind_of(found) is None:
            found = called(found)
        tell("part", {"load_ms": milliseconds(since)})
    except BaseException as error:
        finish(failure(place, error))
    # Code that keeps its model in a global returns nothing.
    return (found, "returned") if found is not None else (vars(module), module.__name__)


def forward(asked, loaded, found):
    watched, leaves = watch(found)
    told = {"modules": watched, "leaves": leaves, "ms": None, "failed": None}
    place = "import " + asked["forward"].partition(":")[0]
    try:
        function, _ = named(asked["forward"])
        place, since = asked["forward"] + "(..)", time.time()
        tell("stage", place)
        called(function, loaded)
        settle()
        told["ms"] = milliseconds(since)
    except BaseException as error:
        told["failed"] = failure(place, error)
    told["leaves"] = {name: by_device for name, by_device in list(leaves.items())[:WATCHED_MAX] if by_device}
    tell("part", {"forward": told})


def main():
    asked = json.loads(sys.argv[1])
    sys.argv = [asked["loader"].partition(":")[0]]
    prepare(asked)
    loaded, start = load(asked)
    tell("stage", "looking into what %s returned" % asked["loader"])
    found, complete = search(loaded, start)
    told = examine(found)
    told.update({"complete": complete, "frameworks": frameworks(), "torch_cuda_available": cuda_is_available()})
    tell("part", told)
    if asked["forward"]:
        forward(asked, loaded, found)
    finish(None)


main()
