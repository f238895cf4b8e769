"""What import-linter does not see: folders it would skip, and imports hidden in functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "guardrail"
MODULES = sorted(PACKAGE.rglob("*.py"))

OPTIONAL = frozenset({"openai", "opentelemetry", "psycopg", "pyarrow", "pypdf"})
"""Packages that an extra brings: only these may be imported where they are used."""


def hidden_imports(tree: ast.Module) -> Iterator[str]:
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    for node in (inner for function in functions for inner in ast.walk(function)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, level=level):
                yield "." * level + (module or "")


def name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {module.parent for module in MODULES}
    assert sorted(name(f) for f in folders if not (f / "__init__.py").is_file()) == []


@pytest.mark.parametrize("module", [pytest.param(m, id=name(m)) for m in MODULES])
def test_no_import_hides_in_a_function(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"))
    assert {i for i in hidden_imports(tree) if i.partition(".")[0] not in OPTIONAL} == set()


def test_an_import_in_a_function_is_found() -> None:
    code = "import a\ndef f():\n    import b.c\n    async def g():\n        from ..d import e\n"
    assert {"b.c", "..d"} == set(hidden_imports(ast.parse(code)))
