"""A speech encoder of the conformer kind, with weights by chance: convolutions that shorten the time axis, attention with
a mask made from the lengths, shapes computed at run time, a CTC head. As exporters write such models, so that onnxruntime
has to decide where the small integer nodes run.
"""
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES, TOKENS, HEADS, OPSET = 80, 257, 4, 17


class Graph:
    """Nodes and weights as they are added; every node gets a path as its name."""

    def __init__(self, seed):
        self.nodes, self.weights, self.chance, self.path = [], [], numpy.random.default_rng(seed), ""

    def add(self, op, *inputs, results=1, **attributes):
        names = [f"{self.path}/{op}_{len(self.nodes)}_output_{index}" for index in range(results)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{self.path}/{op}_{len(self.nodes)}", **attributes))
        return names[0] if results == 1 else names

    def held(self, value):
        name = f"{self.path}/weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, *shape):
        return self.held((self.chance.standard_normal(shape) * 0.05).astype(numpy.float32))

    def number(self, value, of=numpy.int64):
        return self.held(numpy.array(value, dtype=of))

    def constant(self, value):
        return self.add("Constant", value=numpy_helper.from_array(numpy.array(value, dtype=numpy.int64), "value"))

    def linear(self, source, inputs, outputs):
        return self.add("Add", self.weight(outputs), self.add("MatMul", source, self.weight(inputs, outputs)))

    def norm(self, source, width):
        return self.add("LayerNormalization", source, self.held(numpy.ones(width, numpy.float32)), self.weight(width))

    def side(self, source, axis):
        """Length of one axis, as one element that Concat takes."""
        length = self.add("Gather", self.add("Shape", source), self.constant(axis), axis=0)
        return self.add("Unsqueeze", length, self.number([0]))

    def swish(self, source):
        return self.add("Mul", source, self.add("Sigmoid", source))


def feed_forward(graph, x, width):
    inner = graph.swish(graph.linear(graph.norm(x, width), width, 4 * width))
    half = graph.add("Mul", graph.linear(inner, 4 * width, width), graph.number(0.5, numpy.float32))
    return graph.add("Add", x, half)


def attention(graph, x, mask, width):
    source = graph.norm(x, width)
    batch, time = graph.side(source, 0), graph.side(source, 1)
    split = graph.add("Concat", batch, time, graph.number([HEADS]), graph.number([width // HEADS]), axis=0)
    query, key, value = (
        graph.add("Transpose", graph.add("Reshape", graph.linear(source, width, width), split), perm=order)
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    )
    scale = graph.number(float(width // HEADS) ** 0.5, numpy.float32)
    scores = graph.add("Div", graph.add("MatMul", query, key), scale)
    scores = graph.add("Where", mask, graph.number(-1e4, numpy.float32), scores)
    mixed = graph.add("Transpose", graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
    whole = graph.add("Concat", batch, time, graph.number([width]), axis=0)
    return graph.add("Add", x, graph.linear(graph.add("Reshape", mixed, whole), width, width))


def convolution(graph, x, width):
    turned = graph.add("Transpose", graph.norm(x, width), perm=[0, 2, 1])
    both = graph.add("Conv", turned, graph.weight(2 * width, width, 1), graph.weight(2 * width))
    left, right = graph.add("Split", both, graph.number([width, width]), results=2, axis=1)
    gated = graph.add("Mul", left, graph.add("Sigmoid", right))
    deep = graph.add("Conv", gated, graph.weight(width, 1, 9), graph.weight(width), group=width, pads=[4, 4])
    ones = numpy.ones(width, numpy.float32)
    normal = graph.add("BatchNormalization", deep, graph.held(ones), graph.weight(width), graph.weight(width),
                       graph.held(ones))
    last = graph.add("Conv", graph.swish(normal), graph.weight(width, width, 1), graph.weight(width))
    return graph.add("Add", x, graph.add("Transpose", last, perm=[0, 2, 1]))


def conformer(layers, width, seed=0):
    """The model: (batch, 80, time) features and their lengths in, log probabilities and lengths out."""
    graph = Graph(seed)
    graph.path = "/encoder/subsampling"
    x = graph.add("Unsqueeze", graph.add("Transpose", "audio_signal", perm=[0, 2, 1]), graph.number([1]))
    for inputs in (1, 32):
        weights = graph.weight(32, inputs, 3, 3), graph.weight(32)
        x = graph.add("Relu", graph.add("Conv", x, *weights, strides=[2, 2], pads=[1, 1, 1, 1]))
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    flat = graph.add("Concat", graph.side(x, 0), graph.side(x, 1), graph.number([-1]), axis=0)
    x = graph.linear(graph.add("Reshape", x, flat), 32 * FEATURES // 4, width)
    lengths = graph.add("Div", graph.add("Add", "length", graph.number([3])), graph.number([4]))
    graph.nodes.append(helper.make_node("Identity", [lengths], ["encoded_lengths"], name="/encoder/lengths"))
    steps = graph.add("Range", graph.number(0), graph.add("Squeeze", graph.side(x, 1)), graph.number(1))
    late = graph.add("GreaterOrEqual", graph.add("Unsqueeze", steps, graph.number([0])),
                     graph.add("Unsqueeze", lengths, graph.number([1])))
    mask = graph.add("Unsqueeze", late, graph.number([1, 2]))
    for layer in range(layers):
        graph.path = f"/encoder/layers.{layer}"
        x = convolution(graph, attention(graph, feed_forward(graph, x, width), mask, width), width)
        x = graph.norm(feed_forward(graph, x, width), width)
    graph.path = "/decoder"
    tokens = graph.linear(x, width, TOKENS)
    graph.nodes.append(helper.make_node("LogSoftmax", [tokens], ["logprobs"], name="/decoder/LogSoftmax", axis=-1))
    made = helper.make_graph(
        graph.nodes, "conformer",
        [helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["batch", FEATURES, "time"]),
         helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["batch", "steps", TOKENS]),
         helper.make_tensor_value_info("encoded_lengths", TensorProto.INT64, ["batch"])],
        graph.weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model
