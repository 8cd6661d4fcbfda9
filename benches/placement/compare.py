"""Predicted placements against real ones, node by node, and the bytes that went to the device."""
import collections
import re

# What onnxruntime makes of an output's name inside of a function.
INLINED = re.compile(r"^(_inlfunc_[A-Za-z0-9]+(_token_\d+)?_)+")
# Bytes may differ by this share.
BYTES_WITHIN = 0.001


def operator(node):
    """As the report writes it: with the domain unless that is ONNX's own."""
    return f"{node['domain']}.{node['op']}" if node["domain"] else node["op"]


def label(node):
    """As the report names it: a node without a name by its first output, in quotes.

    What onnxruntime puts before the outputs of an expanded function, its name and a number, is left out.
    """
    if node["name"]:
        return node["name"]
    output = next((name for name in node["outputs"] or [] if name), "")
    return '"{}"'.format(INLINED.sub("", output))


def is_copy(op):
    return op in ("MemcpyToHost", "MemcpyFromHost")


def placed(nodes):
    """(operator, label) -> how many on which provider."""
    found = {}
    for op, name, provider in nodes:
        if not is_copy(op) and provider:
            found.setdefault((op, name), collections.Counter())[provider] += 1
    return found


def of_truth(nodes):
    return placed((operator(node), label(node), node["provider"]) for node in nodes)


def of_prediction(audit):
    """Nodes of `gpu-doctor model --format json`, and its bytes for the GPU (None where it does not know)."""
    facts = audit["placement"]["predicted"]
    if facts["nodes"] is None:
        reasons = [one["detail"] for one in audit["unknown"] if one["path"].startswith("placement.predicted.")]
        raise ValueError(reasons[0] if reasons else "no nodes, and no reason for it")
    return (placed((node["op"], node["name"], node["provider"]) for node in facts["nodes"]),
            facts["parameter_bytes_by_device"]["gpu"])


class Tally:
    """Nodes of one or more models: placed as predicted, otherwise, and in one of the lists only.

    Nodes are joined by operator and name. Those of a model that are left over, because an optimization kept the other of
    two equal nodes or gave a name of its own, are joined by operator and provider and counted apart (`renamed`).
    """

    def __init__(self):
        self.agree = self.differ = self.missed = self.extra = self.renamed = self.models = self.perfect = 0
        self.notes = []

    def add(self, model, truth, predicted):
        before = self.differ + self.missed + self.extra
        missed, extra = collections.Counter(), collections.Counter()
        for key in truth.keys() | predicted.keys():
            real, said = truth.get(key, collections.Counter()), predicted.get(key, collections.Counter())
            same = real & said
            real_left, said_left = real - same, said - same
            other = min(sum(real_left.values()), sum(said_left.values()))
            self.agree += sum(same.values())
            self.differ += other
            if other:
                self.notes.append(f"{model}: {key[0]} ({key[1]}): real {dict(real)}, predicted {dict(said)}")
                continue
            missed.update({(key[0], provider): count for provider, count in real_left.items()})
            extra.update({(key[0], provider): count for provider, count in said_left.items()})
        renamed = missed & extra
        self.renamed += sum(renamed.values())
        self.agree += sum(renamed.values())
        for what, left in (("only real", missed - renamed), ("only predicted", extra - renamed)):
            self.notes += [f"{model}: {what}: {count} {op} on {provider}" for (op, provider), count in left.items()]
        self.missed += sum((missed - renamed).values())
        self.extra += sum((extra - renamed).values())
        self.models += 1
        self.perfect += self.differ + self.missed + self.extra == before

    @property
    def ratio(self):
        """Of all nodes that are in either list, those that both have on the same provider."""
        nodes = self.agree + self.differ + self.missed + self.extra
        return self.agree / nodes if nodes else None

    @property
    def ratio_in_both(self):
        """The same, of the nodes that both lists have."""
        nodes = self.agree + self.differ
        return self.agree / nodes if nodes else None

    def __str__(self):
        def percent(ratio):
            return "     -" if ratio is None else f"{100 * ratio:6.2f} %"

        return (f"{percent(self.ratio)} of {self.agree + self.differ + self.missed + self.extra} nodes"
                f" ({percent(self.ratio_in_both)} of those in both; {self.differ} elsewhere, {self.missed} not predicted,"
                f" {self.extra} not there, {self.renamed} joined by operator), {self.perfect} of {self.models} models without a difference")


def fused(result, graph_nodes, predicted):
    """The nodes that really run, after the fusions that follow partitioning: each by the node of the model that made its
    first output. `graph_nodes`: (scope, output) -> (operator, label) of the model's own nodes."""
    truth, said = {}, {}
    for node in result["nodes"]:
        if is_copy(node["op"]) or not node["provider"]:
            continue
        outputs = [(tuple(node["scope"] or ()), name) for name in node["outputs"] or []]
        source = next((graph_nodes[output] for output in outputs if output in graph_nodes), None)
        if source is None or source not in predicted:
            continue
        truth.setdefault(source, collections.Counter())[node["provider"]] += 1
        said[source] = predicted[source]
    return truth, said


def bytes_line(model, real, predicted):
    """One line on a model's parameter bytes, and whether they are near enough."""
    if predicted is None:
        return f"    {model}: real {real}, predicted: unknown", False
    near = abs(predicted - real) <= BYTES_WITHIN * real
    off = 100 * (predicted - real) / real if real else (0 if predicted == real else float("inf"))
    return f"  {' ' if near else '!'} {model}: real {real}, predicted {predicted} ({off:+.3f} %)", near
