"""The rules of the house: imports go one way, nothing heavy is imported early, every public thing is documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
FLOORS = (
    "cli",
    "gates",
    "report",
    "claims",
    "execution",
    "analysis",
    "options",
    "plan",
    "study",
    "training",
    "measure",
    "probes",
    "store",
    "profiles",
    "records",
    "protocol",
    "models",
    "data",
    "values",
    "errors",
    "files",
    "arrays",
)
"""From the top floor down; an import goes to the same room or to a lower floor."""
MODULES = sorted(p for p in BENCH.rglob("*.py") if p.name != "__init__.py")
LIGHT = ("analysis", "claims", "report")
TORCH = re.compile(r"torch|torchvision|timm|fvcore|transformers")


def _room(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "bench" and len(parts) > 1 else None


def _imports(path: Path, *, everywhere: bool = True) -> list[str]:
    """Dotted names that a module imports; only those at import time unless `everywhere`."""
    tree = ast.parse(path.read_text())
    found: list[str] = []

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.append(child.module)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            elif everywhere or not isinstance(child, ast.FunctionDef):
                walk(child)

    walk(tree)
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_room_has_a_floor() -> None:
    rooms = {p.stem if p.is_file() else p.name for p in BENCH.iterdir() if p.suffix in ("", ".py")}
    assert rooms - {"__init__", "__pycache__"} <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_an_import_never_goes_up(path: Path) -> None:
    own = FLOORS.index(path.relative_to(BENCH).parts[0].removesuffix(".py"))
    for dotted in _imports(path):
        room = _room(dotted)
        assert room is None or FLOORS.index(room) >= own, f"{_name(path)} imports {dotted}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.relative_to(BENCH).parts[0] in LIGHT], ids=_name)
def test_analysis_claims_and_report_never_import_torch(path: Path) -> None:
    assert not [name for name in _imports(path) if TORCH.fullmatch(name.partition(".")[0])]


def test_only_the_store_writes_runs_and_only_execution_starts_work() -> None:
    for path in MODULES:
        room = path.relative_to(BENCH).parts[0].removesuffix(".py")
        text = path.read_text()
        if room not in ("store", "execution"):
            assert "write_run(" not in text, _name(path)
            assert "write_profile(" not in text, _name(path)
            assert "write_device(" not in text, _name(path)
            assert "write_probe(" not in text, _name(path)
            assert "write_weights(" not in text, _name(path)
        if room != "execution":
            assert "multiprocessing" not in [n.partition(".")[0] for n in _imports(path)], _name(path)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_what_is_public_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{_name(path)} has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{_name(path)}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_function_fits_on_a_screen_and_a_file_in_a_sitting(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 450
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 70, f"{_name(path)}: {node.name}"


def test_importing_the_package_and_its_public_names_costs_next_to_nothing() -> None:
    script = (
        "import sys, bench\n"
        "assert not {'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "from bench import Protocol, Study, load_records, build_board\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules and 'matplotlib' not in sys.modules\n"
        "from bench import run\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_project_speaks_of_itself_alone() -> None:
    """No absolute path of some machine and no unfinished word in anything that is committed."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / f for f in done.stdout.split() if Path(f).suffix in (".py", ".md", ".toml", ".yaml")]
    for path in files:
        if path.is_file() and path.name != Path(__file__).name:
            found = re.search(r"/root/|/home/|/work/|\bTODO\b|\bFIXME\b|\bXXX\b", path.read_text())
            assert found is None, f"{_name(path)}: {found and found.group()}"
