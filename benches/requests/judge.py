"""Whether a request is what an OpenAPI document wants: the one judge of both sides in benches/requests.py."""
import copy, json
from urllib.parse import unquote

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

KINDS = {"string", "integer", "number", "boolean", "array", "object", "null", "apiKey", "http", "oauth2", "openIdConnect"}
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def modern(value, old):
    """A document of OpenAPI 3.0 or Swagger 2.0 with its schemas in today's words."""
    if isinstance(value, list):
        return [modern(item, old) for item in value]
    if not isinstance(value, dict):
        return value
    if old and isinstance(value.get("$ref"), str):
        return {"$ref": value["$ref"]}
    made = {key: modern(item, old) for key, item in value.items()}
    properties = made.get("properties")
    # What stands in answers only is not required of a request.
    if isinstance(properties, dict) and isinstance(made.get("required"), list):
        read_only = {name for name, schema in properties.items() if isinstance(schema, dict) and schema.get("readOnly") is True}
        made["required"] = [name for name in made["required"] if name not in read_only]
    if made.get("type") == "file":
        made["type"] = "string"
    # Words of single tools, such as "bytes", which validators do not know.
    if isinstance(made.get("type"), str) and "properties" not in made and made["type"] not in KINDS:
        del made["type"]
    if not isinstance(made.get("required", []), list) and "in" not in made:
        del made["required"]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool):
            if made.pop(exclusive) and bound in made:
                made[exclusive] = made.pop(bound)
    if old and made.pop("nullable", None) is True and ("type" in made or "anyOf" in made or "oneOf" in made or "allOf" in made):
        return {"anyOf": [made, {"type": "null"}]}
    return made


def escaped(name):
    return str(name).replace("~", "~0").replace("/", "~1").replace("%", "%25")


class Judge:
    def __init__(self, document):
        self.version = str(document.get("openapi") or document.get("swagger"))
        old = self.version.startswith(("2", "3.0"))
        self.document = modern(copy.deepcopy(document), old)
        self.resources = Registry().with_resource("urn:document", Resource(contents=self.document, specification=DRAFT202012))
        url = (document.get("servers") or [{}])[0].get("url", "") if not self.version.startswith("2") else document.get("basePath", "")
        url = url.rstrip("/")
        path = "/" + url.split("://", 1)[1].split("/", 1)[1] if "://" in url and "/" in url.split("://", 1)[1] else ("" if "://" in url else url)
        self.base_path = path if path.startswith("/") and not set(path) & set("{?#") else ""

    def follow(self, value, pointer):
        """What a reference stands for, and where that is."""
        for _ in range(16):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str) or not value["$ref"].startswith("#/"):
                break
            pointer = value["$ref"]
            value = self.document
            for part in pointer[2:].split("/"):
                part = part.replace("%25", "%").replace("~1", "/").replace("~0", "~")
                value = value.get(part) if isinstance(value, dict) else value[int(part)] if isinstance(value, list) else None
        return value, pointer

    def operations(self):
        found = []
        for path, item in self.document["paths"].items():
            item, _ = self.follow(item, "")
            for method in item if isinstance(item, dict) else ():
                if method in METHODS and isinstance(item[method], dict):
                    found.append((method, path))
        return found

    def errors(self, pointer, value):
        validator = Draft202012Validator({"$ref": f"urn:document{pointer}"}, registry=self.resources, format_checker=FormatChecker())
        error = next(iter(validator.iter_errors(value)), None)
        return None if error is None else f"{error.json_path} {error.message[:200]}"

    def parameters(self, key):
        item_pointer = f"#/paths/{escaped(key[1])}"
        item, item_pointer = self.follow(self.document["paths"][key[1]], item_pointer)
        found = {}
        for holder, pointer in ((item, item_pointer), (item[key[0]], f"{item_pointer}/{key[0]}")):
            for index, parameter in enumerate(holder.get("parameters") or []):
                parameter, at = self.follow(parameter, f"{pointer}/parameters/{index}")
                if isinstance(parameter, dict) and "anyOf" in parameter and "in" not in parameter:
                    parameter, at = parameter["anyOf"][0], f"{at}/anyOf/0"
                if isinstance(parameter, dict):
                    found[parameter.get("name"), parameter.get("in")] = (parameter, at)
        return found

    def wrong(self, key, made):
        """What is wrong with a request, the first thing first."""
        problems = []
        form, has_body = {}, False
        for (name, place), (parameter, pointer) in self.parameters(key).items():
            if place == "body":
                has_body = True
                if made["body"] is None and parameter.get("required"):
                    problems.append("no body")
                elif made["body"] is not None and "schema" in parameter:
                    problems += filter(None, [self.errors(f"{pointer}/schema", plain(made["body"]))])
                continue
            if place == "formData":
                form[name] = (parameter, pointer)
                continue
            if place not in ("query", "path", "header", "cookie") or place == "header" and name.lower() in ("accept", "content-type", "authorization"):
                continue
            values = {str(k).lower() if place == "header" else k: v for k, v in made[place].items()}
            wanted = name.lower() if place == "header" else name
            if wanted not in values:
                # An object may travel as one parameter for each of its properties.
                spread = place == "query" and self.follow(parameter.get("schema"), "")[0]
                if isinstance(spread, dict) and (spread.get("type") == "object" or "properties" in spread):
                    continue
                if parameter.get("required") or place == "path":
                    problems.append(f"{place} parameter {name} is missing")
                continue
            if "schema" in parameter:
                at = f"{pointer}/schema"
            elif "content" in parameter:
                at = f"{pointer}/content/{escaped(next(iter(parameter['content'])))}/schema"
            else:
                at = pointer
            tried = [self.errors(at, value) for value in readings(values[wanted])]
            if None not in tried:
                problems.append(f"{place} parameter {name}: {tried[0]}")
        if form:
            body = plain(made["body"]) if isinstance(made["body"], dict) else {}
            for name, (parameter, pointer) in form.items():
                if name not in body and parameter.get("required"):
                    problems.append(f"form field {name} is missing")
                elif name in body:
                    problems += filter(None, [self.errors(pointer, body[name])])
        item, item_pointer = self.follow(self.document["paths"][key[1]], f"#/paths/{escaped(key[1])}")
        body, pointer = self.follow(item[key[0]].get("requestBody"), f"{item_pointer}/{key[0]}/requestBody")
        if isinstance(body, dict) and isinstance(body.get("content"), dict) and body["content"]:
            if made["body"] is None and not made["media"]:
                if body.get("required"):
                    problems.append("no body")
            else:
                kinds = list(body["content"])
                media = made["media"].split(";")[0]
                chosen = next((kind for kind in kinds if kind.split(";")[0] == media), None) or next((kind for kind in kinds if "*" in kind), kinds[0])
                if "schema" in body["content"][chosen]:
                    value = made["body"]
                    # A file is no text for a validator.
                    if not (isinstance(value, bytes) or type(value).__name__ == "Binary"):
                        problems += filter(None, [self.errors(f"{pointer}/content/{escaped(chosen)}/schema", plain(value))])
        return problems


def readings(value):
    """A parameter as it is, and as the text that travels may be read."""
    value = plain(value)
    yield value
    if isinstance(value, str):
        try:
            yield json.loads(value)
        except ValueError:
            pass
        # schemathesis encodes what goes into a path.
        yield unquote(value)
        yield value.split(",")
        yield [part for part in value.split(",") if part]


def plain(value):
    """A value with texts for files."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)
