"""The API server's own description of its types, as JSON schemas for kubeconform.

Every type is closed to unknown fields. The server drops from this description what OpenAPI v2
cannot say (oneOf, the defaults' nullability); a server-side dry run is the judge of those.
"""

import json
import shutil

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""kubeconform's template for the files' names."""


def _close(schema):
    if not isinstance(schema, dict):
        return
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        schema.pop("type", None)
        schema.pop("format", None)
        schema["oneOf"] = [{"type": "string"}, {"type": "integer"}]
    if "properties" in schema:
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for part in schema["properties"].values():
            _close(part)
    for name in ("items", "additionalProperties"):
        _close(schema.get(name))


def _file_name(kind):
    parts = (kind["kind"].lower(), kind["group"].split(".")[0], kind["version"])
    return "-".join(filter(None, parts)) + ".json"


REFERENCE = "#/definitions/"


def _references(schema):
    """The names of the definitions a schema names itself."""
    if isinstance(schema, list):
        return set().union(*map(_references, schema))
    if not isinstance(schema, dict):
        return set()
    target = schema.get("$ref")
    own = {target.removeprefix(REFERENCE)} if isinstance(target, str) else set()
    return own.union(*map(_references, schema.values()))


def _needed(name, definitions):
    """The definitions that a check of this one can come to: the whole set is slow to load."""
    needed, open_ends = {}, {name}
    while open_ends:
        name = open_ends.pop()
        needed[name] = definitions[name]
        open_ends |= _references(definitions[name]) - needed.keys()
    return needed


def write_schemas(openapi, directory):
    """One file per kind in `directory`, whose old contents are gone. Returns how many."""
    definitions = openapi["definitions"]
    for name, schema in definitions.items():
        if name.endswith(".api.resource.Quantity"):
            del schema["type"]
            schema["oneOf"] = [{"type": "string"}, {"type": "number"}]
        _close(schema)
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    written = 0
    for name, schema in definitions.items():
        fields = schema.get("properties", {})
        if not {"kind", "apiVersion", "metadata"} <= fields.keys():
            continue
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            version = "/".join(filter(None, (kind["group"], kind["version"])))
            fields["kind"]["enum"], fields["apiVersion"]["enum"] = [kind["kind"]], [version]
            whole = {"$ref": REFERENCE + name, "definitions": _needed(name, definitions)}
            (fresh / _file_name(kind)).write_text(json.dumps(whole))
            written += 1
    shutil.rmtree(directory, ignore_errors=True)
    fresh.rename(directory)
    return written
