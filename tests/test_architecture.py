"""Who may import whom, and that nothing talks to a network. The layers are those of the tree in the README."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NETWORK = {"requests", "urllib", "urllib3", "http", "httpx", "socket", "ssl", "ftplib", "aiohttp", "huggingface_hub",
           "smtplib", "telnetlib", "xmlrpc"}

# A module may import from any row above its own.
LAYERS: list[set[str]] = [
    {"types", "errors", "metadata", "icc"},
    {"formats", "boxes", "colour", "store"},
    {"headers"},
    {"decoders", "encoders"},
    {"settings", "weights", "files", "choices", "io_image", "io_video", "geometry", "masks", "tracking", "eot"},
    {"crops"},
    {"report", "grids", "contact", "inputs", "calibration", "detectors", "surrogates", "attacks", "obfuscators",
     "fetching", "terminal"},
    {"objectives", "networks", "outputs"},
    {"references"},
    {"video"},
    {"protect", "verify", "adding"},
    {"batch"},
    {"__init__"},
    {"cli_batch", "cli_models", "cli_service", "cli_video"},
    {"cli"},
]
# A folder states its protocol in its own __init__, types raise errors, protect asks verify what it wrote, and the
# version that verify puts into a report stands among the public names, which import nothing until they are used.
SIDEWAYS = {("types", "errors"), ("types", "metadata"), ("protect", "verify"), ("verify", "__init__"),
            ("surrogates", "surrogates"), ("detectors", "detectors"), ("attacks", "attacks"),
            ("obfuscators", "obfuscators"), ("video", "video"), ("video", "__init__"), ("batch", "batch"),
            ("batch", "__init__")}


def imports(path: Path) -> set[str]:
    """Every module that `path` imports anywhere in it, in functions too; relative ones made absolute."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} if module in ("cloak", "") else {module}
    return found


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def layer_name(path: Path) -> str:
    return path.relative_to(ROOT / "cloak").with_suffix("").parts[0]


def row(name: str) -> int:
    rows = [i for i, names in enumerate(LAYERS) if name in names]
    assert rows, f"cloak/{name} has no place in the layers: give it one in tests/test_architecture.py"
    return rows[0]


def id_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules("cloak"), ids=id_of)
def test_the_engine_imports_downwards_only(path):
    name = layer_name(path)
    public = {alias for alias in imports(path) if alias.startswith("cloak")}
    for module in public:
        if name == "__init__":  # it only names what the others hold
            continue
        other = module.split(".")[1] if "." in module else "__init__"
        other = other if (ROOT / "cloak" / other).exists() or (ROOT / "cloak" / f"{other}.py").exists() else "__init__"
        assert row(other) < row(name) or (name, other) in SIDEWAYS, f"{id_of(path)} imports {module}"


@pytest.mark.parametrize("path", modules("cloak"), ids=id_of)
def test_the_engine_knows_neither_the_web_nor_its_judge_nor_a_network(path):
    tops = {module.split(".")[0] for module in imports(path)}
    assert not tops & {"web", "evaluation", "gradio", "fastapi", "starlette", "uvicorn", "pytest"}
    if layer_name(path) == "fetching":  # the only one that may open a connection, with what Python brings
        assert tops & NETWORK == {"http", "urllib"}
    else:
        assert not tops & NETWORK
    if "cloak.fetching" in imports(path):  # and only where a user asked for one
        assert layer_name(path) == "cli_models"


def test_only_the_verbs_of_the_service_know_it_by_name():
    named = [path.name for path in modules("cloak") if re.search(r"[\"']web[.\"']", path.read_text(encoding="utf-8"))]
    assert named == ["cli_service.py"]


@pytest.mark.parametrize("path", modules("cloak/attacks"), ids=id_of)
def test_attacks_know_torch_and_nothing_of_faces(path):
    foreign = {m for m in imports(path) if m.split(".")[0] not in sys.stdlib_module_names
               and m.split(".")[0] != "torch" and not m.startswith("cloak.attacks")}
    assert not foreign


@pytest.mark.parametrize("name", ["types", "errors"])
def test_types_and_errors_need_no_other_part(name):
    needed = {m for m in imports(ROOT / "cloak" / f"{name}.py") if m.startswith("cloak")}
    assert needed <= {"cloak.errors", "cloak.metadata"}


@pytest.mark.parametrize("path", modules("evaluation"), ids=id_of)
def test_the_judge_reaches_the_engine_through_one_door(path):
    engine = {m for m in imports(path) if m.split(".")[0] == "cloak"}
    assert not engine or path.relative_to(ROOT / "evaluation") == Path("protect.py")
    assert "web" not in {m.split(".")[0] for m in imports(path)}


@pytest.mark.parametrize("path", modules("web"), ids=id_of)
def test_the_web_uses_public_names_only(path):
    import cloak
    for module in imports(path):
        if module.split(".")[0] == "cloak":
            assert module == "cloak" or module.removeprefix("cloak.") in cloak.__all__, f"{id_of(path)}: {module}"
        assert module.split(".")[0] != "evaluation"


def test_an_import_upwards_would_be_noticed(tmp_path, monkeypatch):
    """The checks above must be able to fail."""
    folder = tmp_path / "cloak" / "attacks"
    folder.mkdir(parents=True)
    for name in ("protect.py", "geometry.py"):
        (tmp_path / "cloak" / name).touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "cloak" / "geometry.py").write_text("def f():\n    from cloak.protect import x\n")
    with pytest.raises(AssertionError, match="geometry"):
        test_the_engine_imports_downwards_only(tmp_path / "cloak" / "geometry.py")
    (folder / "bad.py").write_text("import torch\nfrom ..geometry import warp\n")
    with pytest.raises(AssertionError):
        test_attacks_know_torch_and_nothing_of_faces(folder / "bad.py")
    (tmp_path / "cloak" / "geometry.py").write_text("import urllib.request\n")
    with pytest.raises(AssertionError):
        test_the_engine_knows_neither_the_web_nor_its_judge_nor_a_network(tmp_path / "cloak" / "geometry.py")


# What a program of ours may not do at run time. An audit hook sees the call wherever it is made, in C too.
NO_NETWORK = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        print("NETWORK", event, arguments[-1], file=sys.stderr)
        import os
        os._exit(99)
sys.addaudithook(watch)
sys.argv[0] = "cloak"
from cloak.cli import main
main()
"""


def test_the_watch_on_the_network_would_notice(tmp_path):
    code = NO_NETWORK.replace("from cloak.cli import main\nmain()",
                              "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 99


@pytest.mark.parametrize("words", [["faces", "-o", "look"], ["photo", "-o", "out.png"], ["verify"]])
def test_no_verb_touches_a_network(portrait, tmp_path, words):
    run = subprocess.run([sys.executable, "-c", NO_NETWORK, *words, "--device", "cpu", str(portrait)], cwd=tmp_path,
                         capture_output=True, text=True)
    assert run.returncode in (0, 3), run.stderr  # 99: the watch


@pytest.mark.parametrize("words, code", [
    (["list"], 0), (["verify"], 0), (["remove", "mine"], 2), (["add", "mine", "mine.onnx"], 2),
    (["fetch", "nobody"], 2), (["fetch", "edgeface_xxs"], 2), (["fetch", "inception_resnet_v1"], 2),
    (["fetch", "mobilefacenet", "--from", "mine.onnx"], 2), (["fetch", "mobilefacenet"], 99)])
def test_only_a_fetch_that_was_agreed_to_touches_a_network(tmp_path, words, code):
    (tmp_path / "mine.onnx").write_bytes(b"not a network")
    run = subprocess.run([sys.executable, "-c", NO_NETWORK, "models", *words], cwd=tmp_path, capture_output=True,
                         text=True, env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")})
    assert run.returncode == code, run.stderr
    assert (code == 99) == ("connecting to github.com" in run.stderr)


@pytest.mark.parametrize("code", [
    "import evaluation.matchers.onnx",
    "from cloak.detectors.centerface import CenterFace\nCenterFace()",
    "import sys\nfrom types import SimpleNamespace\nfrom cloak import adding\ntry:\n"
    "    adding._parity('x', SimpleNamespace(network=None))\nexcept AssertionError:\n"
    "    assert 'onnxruntime' in sys.modules",
])
def test_no_library_leaves_traces_of_telemetry(tmp_path, code):
    """onnxruntime makes a device id in the user's cache as soon as it is imported, unless it is told not to."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                         env=environment | {"HOME": str(tmp_path)})
    assert run.returncode == 0, run.stderr
    assert not [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower() or "deviceid" in path.name]
