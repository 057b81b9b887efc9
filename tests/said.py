"""What medllm can say besides its help: templates of its messages as the catalogues have them, taken from the source.

Found are texts that reach an error, a hint, a warning, a finding of ``medllm doctor`` or a problem with a file: written there, or in a
variable, in what a function returns, or given to a function that passes them on. A value in an f-string is ``{0}``; one that is a
message, or a part of one, is ``{text0}``.
"""

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

import medllm
from medllm import errors

PACKAGE = Path(medllm.__file__).parent

Place = int | str
SINKS: dict[str, tuple[Place, ...]] = {
    **{name: (0, "hint") for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.MedllmError)},
    "Problem": (3, "detail"),
    "report": (2, "detail"),
    "Refusal": (1, "detail"),
    "Unreadable": (3, "detail"),
    "Remark": (0, 1),
    "warn": (0,),
}
"""Callables whose arguments, by position or name, are messages."""
OF_MODULES: dict[str, dict[str, tuple[Place, ...]]] = {
    "runs/doctor.py": {"Finding": (1, 2)},
    "formats/classes.py": {"ValueError": (0,)},
    "formats": {"Found": ("detail",), "Source": ("fault",)},
}
"""The same, below these paths alone."""
SAID = ("detail", "fault", "hint", "what")
"""Attributes that hold messages."""

ADDED = frozenset({"{text0} (dropped)", "<{0}> is never closed"})
"""What ``str`` of a problem adds, and what is found otherwise than below."""

Form = tuple[str | bool, ...]
"""A message: its words, and for each value whether that is a message too."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    name: str
    tree: ast.Module
    sinks: dict[str, tuple[Place, ...]]
    functions: dict[str, Function] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Module":
        name = path.relative_to(PACKAGE).as_posix()
        sinks = dict(SINKS)
        for below, more in OF_MODULES.items():
            if name == below or name.startswith(below + "/"):
                sinks |= more
        module = cls(name, ast.parse(path.read_text("utf-8")), sinks)
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                module.functions[node.name] = node
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medllm."):
                module.imports |= {each.name: f"{(node.module or '').partition('.')[2].replace('.', '/')}.py" for each in node.names}
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                module.constants[node.targets[0].id] = node.value
        return module


@cache
def templates() -> frozenset[str]:
    """The templates of all messages."""
    modules = {module.name: module for module in map(Module.read, sorted(PACKAGE.rglob("*.py")))}
    found: set[str] = set()
    for _ in range(2):  # a function that passes messages on may be another module's
        for module in modules.values():
            for name, place in module.imports.items():
                if (other := modules.get(place)) is not None:
                    for theirs, ours in (
                        (other.functions, module.functions),
                        (other.constants, module.constants),
                        (other.sinks, module.sinks),
                    ):
                        if name in theirs:
                            ours.setdefault(name, theirs[name])
            found |= _Reader(module).read()
    return frozenset(text for text in found if _has_words(text)) | ADDED


class _Reader:
    """Reads a module, again and again until no more functions are found that pass a message on."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.found: set[str] = set()

    def read(self) -> set[str]:
        calls = list(_calls(self.module.tree, None))
        known = -1
        while known != len(self.module.sinks):
            known = len(self.module.sinks)
            for call, function in calls:
                for text in self._arguments(call):
                    self.found |= {template(form) for form in self._forms(text, function)}
        return self.found

    def _arguments(self, call: ast.Call) -> Iterator[ast.expr]:
        places = self.module.sinks.get(_name(call.func), ())
        for place in places:
            if isinstance(place, int) and place < len(call.args):
                yield call.args[place]
        yield from (each.value for each in call.keywords if each.arg in places)
        match call:
            case ast.Call(func=ast.Attribute(value=value, attr="append"), args=[ast.Tuple(elts=[_, fault, *_])]) if (
                _name(value) == "faults"
            ):
                yield fault

    def _forms(self, text: ast.expr, function: Function | None, depth: int = 0) -> list[Form]:
        """All that an expression can say; nothing where that is not in this module."""
        if depth > 6:
            return []
        match text:
            case ast.Constant(value=str(value)):
                return [(value,)] if value else [()]
            case ast.JoinedStr(values=values):
                return _joined([self._parts(value, function, depth) for value in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _joined([self._forms(each, function, depth + 1) or [(self._is_said(each, function),)] for each in (left, right)])
            case ast.IfExp(body=body, orelse=orelse):
                return [form for each in (body, orelse) for form in self._forms(each, function, depth + 1)]
            case ast.BoolOp(values=values):
                return [form for each in values for form in self._forms(each, function, depth + 1)]
            case ast.NamedExpr(value=value):
                return self._forms(value, function, depth + 1)
            case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[ast.List(elts=several)]):
                return [form for each in several for form in self._forms(each, function, depth + 1)]
            case ast.Call(func=ast.Attribute(value=value, attr="strip" | "removesuffix")):
                return self._forms(value, function, depth + 1)
            case ast.Call(func=called) if (made := self.module.functions.get(_name(called))) is not None:
                returned = [node.value for node in ast.walk(made) if isinstance(node, ast.Return) and node.value is not None]
                return [form for each in returned for form in self._forms(each, made, depth + 1)]
            case ast.Name(id=name):
                return self._of_name(name, function, depth)
        return []

    def _of_name(self, name: str, function: Function | None, depth: int) -> list[Form]:
        assigned = list(_assignments(function).get(name, ())) if function is not None else []
        if function is not None and not assigned:
            parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
            named = [*parameters, *(a.arg for a in function.args.kwonlyargs)]
            if name in named and function.name != "__init__":
                places: tuple[Place, ...] = (name,)
                if name in parameters:
                    places += (parameters.index(name) - (parameters[0] in ("self", "cls")),)
                self.module.sinks[function.name] = tuple({*self.module.sinks.get(function.name, ()), *places})
                return []
        if not assigned and name in self.module.constants:
            assigned = [self.module.constants[name]]
        return [form for each in assigned for form in self._forms(each, function, depth + 1)]

    def _parts(self, value: ast.expr, function: Function | None, depth: int) -> list[Form]:
        """A part of an f-string: its words, or a value. Of a value that is a message, the message is found by itself."""
        if not isinstance(value, ast.FormattedValue):
            return self._forms(value, function, depth + 1)
        if value.conversion != -1 or value.format_spec is not None:
            return [(False,)]
        if isinstance(value.value, ast.Name) and value.value.id.isupper() and (forms := self._forms(value.value, function, depth)):
            return forms
        return [(self._is_said(value.value, function, depth),)]

    def _is_said(self, value: ast.expr, function: Function | None, depth: int = 0) -> bool:
        if isinstance(value, ast.Call) and _name(value.func) == "str" and len(value.args) == 1:
            value = value.args[0]
        if isinstance(value, ast.Attribute) and value.attr in SAID:
            return True
        if isinstance(value, ast.Name) and function is not None and value.id in _caught(function):
            return True
        if isinstance(value, ast.Name) and function is not None and value.id not in _assignments(function):
            return False
        said = [
            each
            for each in (template(form) for form in self._forms(value, function, depth + 1))
            if " " in each.strip() and _has_words(each)
        ]
        self.found.update(said)
        return bool(said)


def template(form: Form) -> str:
    """A message as a catalogue has it; without values it is what it is.

    >>> template(("the disk ", False, " is full: ", True))
    'the disk {0} is full: {text1}'
    """
    if all(isinstance(part, str) for part in form):
        return "".join(map(str, form)).strip()
    numbers = iter(range(len(form)))
    return "".join(
        part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else f"{{{'text' * part}{next(numbers)}}}" for part in form
    ).strip()


def _calls(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    """All calls, each with the function that it stands in."""
    if isinstance(node, ast.Call):
        yield node, function
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, node if isinstance(node, Function) else function)


def _joined(parts: Iterable[list[Form]]) -> list[Form]:
    return [tuple(each for form in chosen for each in form) for chosen in product(*parts)]


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


@cache
def _assignments(function: Function) -> dict[str, list[ast.expr]]:
    """What is assigned to each name in a function."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value):
                found[name].append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name].append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for each, value in zip(names, values, strict=False):
                    found[_name(each)].append(value)
    return found


@cache
def _caught(function: Function) -> set[str]:
    """Names of errors of this package's own that are caught: their messages are messages."""
    return {
        node.name
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None and not _foreign(node.type)
    }


def _foreign(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return all(hasattr(builtins, _name(each)) and _name(each) != "ValueError" for each in kinds)


def _has_words(text: str) -> bool:
    return re.search(r"[A-Za-z]{2}", re.sub(r"\{\w+\}", "", text)) is not None


if __name__ == "__main__":
    for each in sorted(templates()):
        print(repr(each))
