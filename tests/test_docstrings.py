"""Docstrings stand alone: what one reads in an editor or on an API page has no docstring above it."""

import ast

from tests.conftest import REPO

LEANING = ("The same ", "Such ", "As ", "See ")


def test_none_leans_on_the_one_above():
    found = []
    for file in sorted((REPO / "smnet_jax").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            # Whatever text stands alone: a docstring, or what is said of an attribute below it.
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                text = node.value.value.strip()
                if text.startswith(LEANING):
                    found.append(f"{file.relative_to(REPO)}:{node.lineno}: {text[:60]}")
    assert not found, "\n".join(found)
