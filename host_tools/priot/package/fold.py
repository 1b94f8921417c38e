"""Writes numbers in place of the names of the device package's tables, before it is compiled.

The tables are modules of pure data, as fields.py. A name of theirs costs a board a lookup where
it is used, and the table some kilobytes of heap; a number costs nothing, and viper compiles it
into the code. Every number stands in the line of its name, so a traceback on a board is true.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from priot.errors import PriotError

TABLES = ("fields", "kinds", "methods")
Constants = Mapping[str, int]  # the numbers of one table by name
Meaning = int | Constants  # what an imported name stands for: a number, or a whole table


def fold_package(sources: Mapping[str, str]) -> dict[str, str]:
    """Sources by module, folded, without the tables that nothing imports any more.

    Raises PriotError for a module that Python cannot read, and for one that takes a table's
    number from a third module, which has it no more.
    """
    tables = {name: constants(sources[name]) for name in TABLES if name in sources}
    folded, trees = {}, {}
    for name, text in sources.items():
        try:
            folded[name] = fold(text, tables)
        except SyntaxError as error:
            raise PriotError(f"{name}.py", f"line {error.lineno}: {error.msg}") from error
        trees[name] = ast.parse(folded[name])
    bound = {name: set(_bindings(tree)) for name, tree in trees.items()}
    imported = set()
    for name, tree in trees.items():
        for module, wanted in _imports(tree):
            if module in bound and wanted not in bound[module]:
                raise PriotError(f"{name}.py", f"no {wanted} in {module}.py to import")
            imported.add(module or wanted)
    return {name: text for name, text in folded.items() if name not in tables or name in imported}


def constants(text: str) -> dict[str, int]:
    """Names that a table gives an integer, and only once."""
    found: dict[str, int] = {}
    tree = ast.parse(text)
    times = Counter(_bindings(tree))
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            continue
        try:
            value = ast.literal_eval(statement.value)
        except ValueError:
            continue  # no literal
        for target in statement.targets:
            if isinstance(target, ast.Name) and times[target.id] == 1 and type(value) is int:
                found[target.id] = value
    return found


def fold(text: str, tables: Mapping[str, Constants]) -> str:
    """A module's source with numbers in place of the tables' names, line for line."""
    tree = ast.parse(text)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    meanings = _meanings(tree, tables)
    edits = _Edits(text)
    folded, kept = set(), set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name) or node.id not in meanings:
            continue
        whole, value = _number(node, parents[node], meanings[node.id])
        if value is None or _in_formatted_string(node, parents) or not edits.is_just(whole):
            kept.add(node.id)
            continue
        folded.add(node.id)
        bare = value >= 0 and not isinstance(parents[whole], ast.Attribute)
        edits.replace(whole, str(value) if bare else f"({value})")
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom):
            _drop(statement, folded - kept, edits)
    result = edits.apply()
    assert result.count("\n") == text.count("\n"), "lines moved"
    return result


def _meanings(tree: ast.Module, tables: Mapping[str, Constants]) -> dict[str, Meaning]:
    """What names stand for that are imported from tables and never bound otherwise."""
    found: dict[str, list[Meaning]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level != 1:
            continue
        source: Mapping[str, Meaning] = tables.get(node.module, {}) if node.module else tables
        for alias in node.names:
            if alias.name in source:
                found.setdefault(alias.asname or alias.name, []).append(source[alias.name])
    bound = Counter(_bindings(tree))
    return {name: all_of[0] for name, all_of in found.items()
            if len(all_of) == bound[name] and all(one == all_of[0] for one in all_of)}


def _number(node: ast.Name, parent: ast.AST, meaning: Meaning) -> tuple[ast.expr, int | None]:
    """The expression that a use of a name makes, and its value; None where it has none."""
    if isinstance(meaning, int):
        return node, meaning
    if isinstance(parent, ast.Attribute) and isinstance(parent.ctx, ast.Load):
        return parent, meaning.get(parent.attr)
    return node, None


def _in_formatted_string(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    # Python before 3.12 does not know where such a name stands.
    above: ast.AST | None = node
    while above is not None and not isinstance(above, ast.JoinedStr):
        above = parents.get(above)
    return above is not None


def _drop(statement: ast.ImportFrom, unused: set[str], edits: "_Edits") -> None:
    """Take names out of an import, which keeps its lines."""
    kept = [alias for alias in statement.names if (alias.asname or alias.name) not in unused]
    if len(kept) == len(statement.names):
        return
    lines = "\n" * ((statement.end_lineno or 0) - statement.lineno)
    names = ", ".join(map(ast.unparse, kept)) + lines
    source = "." * statement.level + (statement.module or "")
    edits.replace(statement, f"from {source} import " + (f"({names})" if lines else names)
                  if kept else "pass" + lines)


class _Edits:
    """Replacements in a text at the places of its syntax tree's nodes."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()  # the tree counts bytes
        self._starts = [0]
        for line in self._text.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._edits: list[tuple[int, int, bytes]] = []

    def is_just(self, node: ast.expr) -> bool:
        """Whether a node is written without comments and line breaks inside."""
        start, end = self._span(node)
        return self._text[start:end].decode() == ast.unparse(node)

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Note a replacement."""
        self._edits.append((*self._span(node), text.encode()))

    def apply(self) -> str:
        """The text with all replacements."""
        result = self._text
        for start, end, text in sorted(self._edits, reverse=True):
            result = result[:start] + text + result[end:]
        return result.decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (self._starts[node.lineno - 1] + node.col_offset,
                self._starts[node.end_lineno - 1] + node.end_col_offset)


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module of the package, name) of every import; the module is "" for a module itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from ((node.module or "", alias.name) for alias in node.names)


def _bindings(tree: ast.Module) -> Iterator[str]:
    """Every name that a module binds, as often as its text does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            yield node.name or ""
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
