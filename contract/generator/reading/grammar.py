"""What may stand where in a document: goes through it beside its meta-schema, and tells of what should not be there."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import jsonschema_rs

from contract.generator.reading.document import Findings, Node, child
from contract.generator.reading.meta_schemas import VERSIONS, meta_schema

EXTENSION = "^x-"
BOUNDS = {"minimum", "exclusiveMinimum"}
EMPTY = "is empty: fill it, or take it away"
WRITTEN = {"security": "write a list of alternatives, like [{bearer: []}, {}]", "tags": "write a list, like [books]"}
"""What to write where members have another type than they should."""
TOP = 2  # slashes in a reference to a rule that has a name of its own
KINDS = {
    "null": "empty",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "an object",
}
WAYS = {
    "nullable": "add 'null' to its types",
    "definitions": "write $defs",
    "dependencies": "write dependentRequired or dependentSchemas",
}
"""What to write instead of words of other versions."""


class Placed(NamedTuple):
    """A node of the document: what it is in words of the meta-schema, where it stands, and what it may refer to."""

    kind: str
    node: Node
    pointer: str
    target: str


class Grammar:
    """The meta-schema of a version of OpenAPI, as the rules that a document is read by."""

    def __init__(self, version: str, findings: Findings) -> None:
        self.version, self.findings = version, findings
        self.root = meta_schema(version)
        self.fits: dict[int, Any] = {}
        self.booleans: list[str] = []
        """The places of schemas that are `true` or `false`."""
        self.strangers: list[tuple[Node, str]] = []
        """The members that were refused, and without which the rest can be read on."""
        self.fatal = 0
        """The number of what else was refused."""

    def refuse(self, place: str, reason: str) -> None:
        self.findings.add(place, reason)
        self.fatal += 1

    def read(self, document: Node) -> list[Placed]:
        """Every node that has a kind, in the order of the document. What breaks the rules is found."""
        return list(self.visit(document, self.root, "#", "document"))

    def visit(self, value: object, rule: Any, pointer: str, kind: str) -> Iterator[Placed]:
        """The nodes from a place on."""
        rules = list(self.rules(value, rule, pointer, [kind]))
        kinds = [found for found, _ in rules if found]
        kind = next((found for found in reversed(kinds) if not found.endswith("-or-reference")), kind)
        told = [problem for _, one in rules for problem in self.problems(value, one)]
        way = WRITTEN.get(pointer.rpartition("/")[2]) if kind != "schema" and not isinstance(value, list) else None
        for reason in dict.fromkeys(told):
            self.refuse(pointer, f"{reason}: {way}" if way and reason != EMPTY else reason)
        if isinstance(value, list):
            below = next((one["items"] for _, one in rules if "items" in one), True)
            for index, item in enumerate(value):
                yield from self.visit(item, below, child(pointer, index), "item")
        if isinstance(value, bool) and kind == "schema":
            self.booleans.append(pointer)
        if not isinstance(value, dict):
            return
        if kinds or pointer == "#":
            yield Placed(kind, value, pointer, target_of(kinds, kind))
        yield from self.members(value, [one for _, one in rules], pointer, kind)

    def members(self, value: Node, rules: list[Node], pointer: str, kind: str) -> Iterator[Placed]:
        named = [one.get("properties", {}) for one in rules]
        patterns = [item for one in rules for item in one.get("patternProperties", {}).items() if item[0] != EXTENSION]
        extensible = any(EXTENSION in one.get("patternProperties", {}) for one in rules)
        others = [one["additionalProperties"] for one in rules if "additionalProperties" in one]
        closed = False in others or any(one.get("unevaluatedProperties") is False for one in rules)
        for name, item in value.items():
            here = child(pointer, name)
            found = [one[name] for one in named if name in one]
            if extensible and not found and name.startswith("x-"):
                continue
            found += [rule for pattern, rule in patterns if re.search(pattern, name)]
            found = found or [rule for rule in others if rule is not False]
            before, fatal = len(self.findings.found), self.fatal
            if found:
                yield from self.visit(item, found[0] if len(found) == 1 else {"allOf": found}, here, name)
            elif closed:
                known = [word for one in named for word in one]
                self.findings.add(here, self.unknown(name, known, kind))
                self.strangers.append((value, name))
            if kind == "schema" and any(one.place == here for one in self.findings.found[before:]):
                self.strangers.append((value, name))  # a schema is one without any of its keywords, too
                self.fatal = fatal

    def rules(self, value: object, rule: Any, pointer: str, kinds: list[str]) -> Iterator[tuple[str, Node]]:
        """The rules that hold for a value, each with the kind that it is the rule of."""
        if not isinstance(rule, dict):
            return
        if "$dynamicRef" in rule:
            yield from self.rules(value, {"$ref": "#/$defs/schema"}, pointer, kinds)
        if "$ref" in rule:
            name = rule["$ref"].rsplit("/", 1)[1]
            yield name if self.is_kind(rule["$ref"]) else "", {}
            yield from self.rules(value, self.at(rule["$ref"]), pointer, kinds)
        yield "", rule
        for one in rule.get("allOf", ()):
            yield from self.rules(value, one, pointer, kinds)
        if "if" in rule:
            branch = "then" if self.is_valid(value, rule["if"]) else "else"
            yield from self.rules(value, rule.get(branch), pointer, kinds)
        for name, one in rule.get("dependentSchemas", {}).items():
            if isinstance(value, dict) and name in value:
                yield from self.rules(value, one, pointer, kinds)
        for keyword in ("oneOf", "anyOf"):
            if keyword in rule and not is_demand(rule[keyword]):
                yield from self.rules(value, self.choose_rule(value, rule[keyword]), pointer, kinds)

    def is_kind(self, reference: str) -> bool:
        """Whether a rule is that of a kind of node, and no part of others."""
        rule = self.at(reference)
        return (
            reference.count("/") == TOP
            and isinstance(rule, dict)
            and ("if" in rule or rule.get("type") in ("object", ["object", "boolean"]))
        )

    def at(self, reference: str) -> Any:
        rule: Any = self.root
        for part in reference.split("/")[1:]:
            rule = rule[part]
        return rule

    def choose_rule(self, value: object, branches: list[Any]) -> Any:
        """Of several rules the one that is meant: it holds, or it is of the right type and says what it is for."""
        known = [(self.at(branch["$ref"]) if "$ref" in branch else branch, branch) for branch in branches]
        if isinstance(value, dict):
            referring = "$ref" in value
            known = [pair for pair in known if ("$ref" in pair[0].get("required", ())) == referring] or known
        fitting = [branch for rule, branch in known if is_of_type(value, rule) and is_meant(value, rule)]
        right = [branch for rule, branch in known if is_of_type(value, rule)]
        return next(iter(fitting or right), {"type": [rule.get("type", "string") for rule, _ in known]})

    def is_valid(self, value: object, rule: Node) -> bool:
        if id(rule) not in self.fits:
            self.fits[id(rule)] = jsonschema_rs.validator_for(rule).is_valid
        valid: bool = self.fits[id(rule)](value)
        return valid

    def problems(self, value: object, rule: Node) -> Iterator[str]:
        """What is wrong with a value by itself."""
        if "type" in rule and not is_of_type(value, rule):
            yield wrong_type(value, rule["type"])
            return
        options = rule.get("enum", [rule["const"]] if "const" in rule else None)
        if options is not None and value not in options:
            yield f"is none of {', '.join(map(str, options))}{suggest_word(value, options)}"
        if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
            yield f"does not match {rule['pattern']}: write it so"
        if isinstance(value, dict):
            yield from self.problems_of_object(value, rule)
        elif isinstance(value, list):
            yield from problems_of_list(value, rule)
        elif isinstance(value, int | float) and BOUNDS & rule.keys() and not self.is_valid(value, rule):
            yield f"is {value}, which is too little: {least(rule)}"

    def problems_of_object(self, value: Node, rule: Node) -> Iterator[str]:
        yield from (f"has no {name}: add it" for name in rule.get("required", ()) if name not in value)
        yield from self.demands(value, rule)
        if len(value) < rule.get("minProperties", 0):
            yield EMPTY
        if len(value) > rule.get("maxProperties", len(value)):
            yield f"has more than {rule['maxProperties']} members: take the others away"
        yield from self.names(value, rule)

    def names(self, value: Node, rule: Node) -> Iterator[str]:
        """What is wrong with the names of members that are not fixed."""
        wanted = rule.get("propertyNames", {})
        for name in value:
            if "pattern" in wanted and not re.search(wanted["pattern"], name):
                yield f"has the name {name}, which does not match {wanted['pattern']}: rename it"

    def demands(self, value: Node, rule: Node) -> Iterator[str]:
        """What is wrong with which members there are, beside those that there must always be."""
        refused = rule.get("not", {}).get("required", ())
        if refused and all(name in value for name in refused):
            yield f"has both {' and '.join(refused)}, of which there can be one: take one away"
        for keyword in ("oneOf", "anyOf"):
            branches = rule.get(keyword, ())
            if branches and is_demand(branches):
                names = [branch["required"][0] for branch in branches]
                number = sum(name in value for name in names)
                if not number or (keyword == "oneOf" and number > 1):
                    yield f"needs {'one' if keyword == 'oneOf' else 'some'} of {', '.join(names)}"

    def unknown(self, name: str, known: list[str], kind: str) -> str:
        """What to say of a member that is none."""
        words = f"is no member of {describe_kind(kind)} in OpenAPI {self.version}"
        if name in WAYS:
            return f"{words}: {WAYS[name]}"
        elsewhere = [v for v in VERSIONS if v != self.version and name in members_of(v, kind)]
        if elsewhere:
            return f"{words}, but in {' and '.join(elsewhere)}"
        return words + (suggest_word(name, known) or ": correct it, or take it away")


def problems_of_list(value: list[Any], rule: Node) -> Iterator[str]:
    if len(value) < rule.get("minItems", 0):
        yield EMPTY
    if rule.get("uniqueItems") and any(item in value[:index] for index, item in enumerate(value)):
        yield "names something twice: take one away"


def is_demand(branches: list[Any]) -> bool:
    """Whether alternatives say only which members there must be."""
    return all(isinstance(branch, dict) and "required" in branch and "properties" not in branch and "$ref" not in branch
               and "patternProperties" not in branch and "type" not in branch for branch in branches)  # fmt: skip


def is_of_type(value: object, rule: Any) -> bool:
    wanted = rule.get("type", [])
    types = [wanted] if isinstance(wanted, str) else wanted or [type_of(option) for option in rule.get("enum", ())]
    return not types or type_of(value) in types or (type_of(value) == "integer" and "number" in types)


def is_meant(value: object, rule: Node) -> bool:
    """Whether the members by which alternatives are told apart have their values."""
    if not isinstance(value, dict):
        return True
    told = ((value[name], one["enum"]) for name, one in rule.get("properties", {}).items()
            if name in value and isinstance(one, dict) and "enum" in one and name in ("in", "type"))  # fmt: skip
    return all(item in options for item, options in told)


def type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return {int: "integer", str: "string", list: "array", dict: "object"}[type(value)]


def least(rule: Node) -> str:
    """What a number must be at least."""
    if "minimum" in rule:
        return f"it is {rule['minimum']} or more"
    return f"it is more than {rule['exclusiveMinimum']}"


def wrong_type(value: object, wanted: Any) -> str:
    types = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    if value is None:
        return EMPTY
    return f"is {KINDS[type_of(value)]}, not {' or '.join(KINDS[one] for one in types)}"


def describe_kind(kind: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|-", " ", kind).lower().removesuffix(" or reference")
    return words if words.endswith("s") else f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def suggest_word(word: object, known: list[Any]) -> str:
    """The nearest of the words that are known, as a question."""
    near = get_close_matches(str(word), [str(one) for one in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def members_of(version: str, kind: str) -> Mapping[str, Any]:
    """The members of a kind of node in another version, whose name is spelt otherwise there."""
    rules = meta_schema(version)
    kinds: Node = rules.get("$defs") or rules["definitions"]
    word = kind.replace("-", "").lower()
    same: list[Node] = [rule for name, rule in kinds.items() if name.replace("-", "").lower() == word]
    return same[0].get("properties", {}) if same else {}


def target_of(kinds: list[str], kind: str) -> str:
    """What a reference must lead to."""
    or_reference = next((one for one in kinds if one.endswith("-or-reference")), None)
    return or_reference.removesuffix("-or-reference") if or_reference else kind
