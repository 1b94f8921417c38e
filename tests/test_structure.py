"""The structure of the code, from its import statements: rooms, directions, no circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from priot.paths import BACKBONES, DEVICE, ROOT

HOST = ROOT / "host_tools" / "priot"
# from the top: a room imports itself, its line, and the lines below; "" is priot/__init__.py
ROOMS = (
    ("cli", ""),
    ("commands",),
    ("experiments",),
    ("adapting",),
    ("targets",),
    ("board",),
    ("planning",),
    ("jobs",),
    ("importer",),
    ("backbone",),
    ("oracle",),
    ("data",),
    ("reports",),
    ("formats", "methods", "emulator"),
    ("network",),
    ("package",),
    ("paths",),
    ("processors",),
    ("errors", "child", "transport"),
)
LEVELS = {room: -level for level, rooms in enumerate(ROOMS) for room in rooms}
OTHER_LANGUAGE = "boards"  # of the emulator: MicroPython's, frozen into a firmware

Graph = dict[str, set[str]]


def modules(folder: Path) -> dict[str, Path]:
    """The modules of a package by their names from the package: "board.files", "board", ""."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if OTHER_LANGUAGE not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Every import of a file, wherever it stands: dots in front, module, names from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def import_graph(folder: Path) -> Graph:
    """Which modules each module of the package `folder` imports of it."""
    known = modules(folder)
    graph: Graph = {name: set() for name in known}
    for name, path in known.items():
        package = name.split(".") if name else []
        if path.name != "__init__.py":
            package.pop()
        for dots, module, names in imports(path):
            words = module.split(".") if module else []
            if dots:
                words = package[: len(package) - dots + 1] + words
            elif words[0] == folder.name:
                words = words[1:]
            else:
                continue
            origin = ".".join(words)
            inner = [".".join([*words, word]) for word in names]
            # `from package import module` needs the module; any other name, the package itself.
            # priot/__init__.py gives no names to the package: there it can only be a module.
            graph[name] |= {module if module in known or not origin else origin
                            for module in inner or [origin]}
    return graph


def circle(graph: Graph) -> list[str]:
    """Modules that import each other in a ring, the first one again at the end; or none."""
    done: set[str] = set()

    def search(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                found = search(other, [*trail, name])
                if found:
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := search(name, []))), [])


def room(module: str) -> str:
    """The room of a module of the host."""
    return module.split(".")[0]


@pytest.mark.parametrize("folder", [HOST, DEVICE / "priot"], ids=["host", "device"])
def test_no_circle(folder):
    found = circle(import_graph(folder))
    assert not found, "import circle: " + " -> ".join(found)


def test_every_module_has_its_place():
    assert {room(name) for name in modules(HOST)} <= set(LEVELS)


def test_rooms_import_what_is_below():
    upwards = [f"{name} imports {other}" for name, others in import_graph(HOST).items()
               for other in sorted(others)
               if LEVELS[room(name)] < LEVELS[room(other)]]
    assert not upwards


def test_the_host_never_imports_the_device_package():
    """The two share their name: whatever the host imports by it must be the host's."""
    known = modules(HOST)
    strangers = [f"{name} imports priot.{other}" for name, others in import_graph(HOST).items()
                 for other in sorted(others) if other not in known]
    # scripts that make backbones and tables are run where `priot` is the host's
    scripts = (BACKBONES, BACKBONES.parent / "experiments")
    others = [path for path in sorted((ROOT / "host_tools").rglob("*.py"))
              if HOST not in path.parents or OTHER_LANGUAGE in path.parts]
    strangers += [f"{path} imports {module}" for path in others
                  for _, module, _ in imports(path) if module.split(".")[0] in ("priot", "device")
                   and not (path.parent in scripts and module.partition(".")[2] in known)]
    assert not strangers


def test_only_commands_read_a_command_line():
    readers = [name for name, path in modules(HOST).items()
               if any(module == "argparse" for _, module, _ in imports(path))
               and room(name) not in ("cli", "commands")]
    assert not readers


@pytest.mark.parametrize(("graph", "expected"), [
    ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
    ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, []),
    ({"a": {"a"}}, ["a", "a"]),
    ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
])
def test_circles_are_found(graph, expected):
    assert circle(graph) == expected


def test_imports_are_found_wherever_they_stand(tmp_path):
    package = tmp_path / "priot"
    (package / "room").mkdir(parents=True)
    for name in ("", "room/"):
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from . import low\n")
    (package / "low.py").write_text("from . import room\n")
    (package / "room" / "a.py").write_text(
        "import ast, priot.low\nfrom priot import gone\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from priot.room.b import B\n")
    (package / "room" / "b.py").write_text(
        "from priot.room import a\n\ndef late():\n    from ..low import value\n")
    assert import_graph(package) == {
        "": {"low"}, "low": {"room"}, "room": set(), "room.a": {"gone", "low", "room.b"},
        "room.b": {"room.a", "low"}}
