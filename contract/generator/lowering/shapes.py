"""What the texts of a parameter stand for, by its schema, and the refusal of what its style does not define."""

from collections.abc import Iterator

from contract.generator.reading.document import Node, Refused, child, resolve
from contract.types import STYLES, Array, Members, Scalar, Shape

SCALARS = ("boolean", "integer", "number", "string")
ALL = frozenset({*SCALARS, "null", "array", "object"})
KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
NUMERIC = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
CONTENT = "give it `content: {application/json: ...}` instead of a schema"
UNTOLD = f"which the text of a parameter does not tell apart: {CONTENT}"
DEFINED: dict[tuple[str, str], dict[bool, tuple[type, ...]]] = {
    ("path", "simple"): {False: (Scalar, Array, Members), True: (Scalar, Array, Members)},
    ("path", "label"): {False: (Scalar, Array, Members), True: (Scalar, Array, Members)},
    ("path", "matrix"): {False: (Scalar, Array, Members), True: (Scalar, Array, Members)},
    ("query", "form"): {False: (Scalar, Array, Members), True: (Scalar, Array, Members)},
    ("query", "spaceDelimited"): {False: (Array, Members), True: ()},
    ("query", "pipeDelimited"): {False: (Array, Members), True: ()},
    ("query", "deepObject"): {False: (), True: (Members,)},
    ("header", "simple"): {False: (Scalar, Array, Members), True: (Scalar, Array, Members)},
    ("cookie", "form"): {False: (Scalar, Array, Members), True: (Scalar,)},
}
"""What a style is defined for, by whether it is exploded (OpenAPI 3.1.1, 4.8.12.6)."""
NAMED = {Scalar: "one value", Array: "a list", Members: "an object"}


def style_of(node: Node, shape: Shape, pointer: str) -> tuple[str, bool]:
    """The style of a parameter and whether it is exploded. Raises Refused where that is not defined for its shape."""
    where = node["in"]
    style = node.get("style", STYLES[where])
    exploded = node.get("explode", style in ("form", "deepObject"))  # without it, `deepObject` could not be written
    defined = DEFINED[where, style]
    if isinstance(shape, Array) and shape.alone is not None and not (style == "form" and exploded and where == "query"):
        raise Refused(pointer, f"may be one text or a list of them, {UNTOLD}")
    if type(shape) not in defined[exploded]:
        how = f"`{style}` with `explode: {str(exploded).lower()}`"
        raise Refused(pointer, f"is {NAMED[type(shape)]}, for which {how} is not defined: {CONTENT}, or another style")
    return style, exploded


def shape_of(document: Node, schema: object, pointer: str) -> Shape:
    """What the texts of a parameter stand for. Raises Refused where they could stand for several things."""
    kinds = kinds_of(document, schema, pointer, ())
    wanted = (ALL if kinds is None else kinds) - {"null"}
    if kinds is None:
        check_is_text(schema, pointer)
        return Scalar(("string",), pointer)
    if wanted <= set(SCALARS) and wanted:
        return Scalar(tuple(kind for kind in SCALARS if kind in wanted), pointer)
    if wanted == {"array"}:
        return Array(scalar_of(document, *items_of(document, schema, pointer), "a list"))
    if wanted == {"object"}:
        return members_of(document, schema, pointer)
    if "array" in wanted and "object" not in wanted:
        alone = Scalar(tuple(kind for kind in SCALARS if kind in wanted), pointer)
        return Array(scalar_of(document, *items_of(document, schema, pointer), "a list"), alone)
    if not wanted:
        raise Refused(pointer, "no text is a value of this schema: let it be a text, or leave the parameter out")
    raise Refused(pointer, f"may be {', '.join(sorted(wanted))}, {UNTOLD}")


def scalar_of(document: Node, schema: object, pointer: str, name: str) -> Scalar:
    """What one text within another shape stands for."""
    shape = shape_of(document, schema, pointer)
    if not isinstance(shape, Scalar):
        raise Refused(pointer, f"is {NAMED[type(shape)]} within {name}, which no style defines: {CONTENT}")
    return shape


def members_of(document: Node, schema: object, pointer: str) -> Members:
    known: dict[str, Scalar] = {}
    others: Scalar | None = None
    for node, at in parts(document, schema, pointer, ()):
        if "patternProperties" in node:
            raise Refused(child(at, "patternProperties"), f"are not read in a parameter: {CONTENT}")
        for name, one in node.get("properties", {}).items():
            known[name] = scalar_of(document, one, child(at, "properties", name), "an object")
        more = node.get("additionalProperties", False)
        if more is not False:
            others = scalar_of(document, more, child(at, "additionalProperties"), "an object")
    if not known and others is None:
        raise Refused(pointer, "is an object without members: name them, or say what additionalProperties are")
    return Members(known, others)


def items_of(document: Node, schema: object, pointer: str) -> tuple[object, str]:
    """The schema of the items of a list. Raises Refused for none and for several."""
    within = parts(document, schema, pointer, ())
    places = [(node["items"], child(at, "items")) for node, at in within if "items" in node]
    if len(places) != 1:
        told = "says several times" if places else "does not say"
        raise Refused(pointer, f"{told} what its items are: a list in a parameter has one `items`")
    return places[0]


def parts(document: Node, schema: object, pointer: str, inside: tuple[str, ...]) -> Iterator[tuple[Node, str]]:
    """The schema, and those that a value must fit, too, or may fit."""
    if not isinstance(schema, dict) or pointer in inside:
        return
    yield schema, pointer
    inside = (*inside, pointer)
    if "$ref" in schema:
        yield from parts(document, *resolve(document, {"$ref": schema["$ref"]}, pointer), inside)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(schema.get(keyword, [])):
            yield from parts(document, one, child(pointer, keyword, index), inside)


def kinds_of(document: Node, schema: object, pointer: str, inside: tuple[str, ...]) -> frozenset[str] | None:
    """The JSON types that a value of the schema may have; None: the schema does not say."""
    if not isinstance(schema, dict) or pointer in inside:
        return None
    inside = (*inside, pointer)
    told: list[frozenset[str] | None] = []
    if "type" in schema:
        told.append(frozenset([schema["type"]] if isinstance(schema["type"], str) else schema["type"]))
    if schema.get("enum") or "const" in schema:
        told.append(frozenset(kind_of(value) for value in schema.get("enum", [schema.get("const")])))
    if "$ref" in schema:
        told.append(kinds_of(document, *resolve(document, {"$ref": schema["$ref"]}, pointer), inside))
    for keyword in ("allOf", "anyOf", "oneOf"):
        named = [(one, child(pointer, keyword, index)) for index, one in enumerate(schema.get(keyword, []))]
        each = [kinds_of(document, one, at, inside) for one, at in named]
        if keyword == "allOf":
            told += each
        elif each:
            told.append(None if None in each else frozenset().union(*[one for one in each if one is not None]))
    known = [one | {"integer"} if "number" in one else one for one in told if one is not None]
    both = frozenset.intersection(*known) if known else None
    return both - {"integer"} if both and "number" in both else both


def kind_of(value: object) -> str:
    return "null" if value is None else KINDS[type(value)]


def check_is_text(schema: object, pointer: str) -> None:
    """Raises Refused for a schema that says something of numbers and not that it is one."""
    if schema is False:
        raise Refused(pointer, "no text is a value of this schema")
    for name in schema if isinstance(schema, dict) else ():
        if name in NUMERIC:
            raise Refused(child(pointer, name), "says something of numbers only: say that the `type` is one")
