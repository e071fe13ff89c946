"""The README is run, not believed."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CHANGELOG.md")
SERVICE = ("serve", "studio", "token")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for named, text in fenced if named == language]


def commands(program: str) -> list[list[str]]:
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    return [words for words in lines if words and words[0] == program]


def tree() -> list[tuple[Path, str]]:
    """(path, sentence) of each line of the tree; folders end with a slash and hold the indented lines below."""
    (block,) = [block for block in blocks("") if block.startswith("Makefile")]
    found, folder = [], Path()
    for line in block.splitlines():
        match = re.fullmatch(r"( {0,2})(\S+)\s+(\S.*)", line)
        assert match, f"not a line of a tree: {line!r}"
        indent, name, sentence = match.groups()
        found.append((folder / name if indent else Path(name), sentence))
        if not indent:
            folder = Path(name)
    return found


@pytest.fixture
def folder(tmp_path, portrait):
    """What the examples of the README take for granted: two photos with a face."""
    with Image.open(portrait) as image:
        image.convert("RGB").save(tmp_path / "march.jpg", quality=95)
        image.crop((80, 0, 380, 300)).save(tmp_path / "crowd.png")
    return tmp_path


def test_every_cloak_command_of_the_readme_runs(folder):
    examples = commands("cloak")
    assert {words[1] for words in examples} == {"photo", "faces", "verify", "video", "batch", "models", *SERVICE}
    command = Path(sys.executable).with_name("cloak")
    for words in (words for words in examples if words[1] not in ("video", "batch", "models", *SERVICE)):
        run = subprocess.run([command, *words[1:]], cwd=folder, capture_output=True, text=True)
        # 3 is an honest verdict on one portrait, not a command that does not work.
        assert run.returncode in (0, 3) and run.stdout, f"{shlex.join(words)}: {run.returncode}\n{run.stderr}"
    for name in ("march.cloaked.jpg", "march.cloaked.jpg.json", "for-the-web/crowd.png"):
        assert (folder / name).is_file(), name


def test_every_video_command_of_the_readme_runs(folder, monkeypatch):
    from typer.testing import CliRunner

    from cloak import cli
    with Image.open(folder / "march.jpg") as image, av.open(folder / "march.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 256
        for i in range(28):
            picture = image.resize((280, 280)).crop((i // 2, 0, i // 2 + 256, 256))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    monkeypatch.chdir(folder)
    for words in (words for words in commands("cloak") if words[1] == "video"):
        run = CliRunner().invoke(cli.app, words[1:])
        assert run.exit_code == 0 and run.stdout, f"{shlex.join(words)}: {run.exit_code}\n{run.output}"
    for name in ("march.redacted.mp4", "march.html", "chosen.mp4.json", "march.plan.json", "planned.mp4"):
        assert (folder / name).is_file(), name


def test_every_batch_command_of_the_readme_is_understood(folder, monkeypatch):
    """What they do is tested in tests/end_to_end/test_batch.py; here, that each finds its two photos and its rules."""
    from typer.testing import CliRunner

    from cloak import cli
    monkeypatch.chdir(folder)
    (folder / "card").mkdir()
    for name in ("march.jpg", "crowd.png"):
        (folder / name).rename(folder / "card" / name)
    (rules,) = [block for block in blocks("toml") if block.startswith("[rules]")]
    (folder / "rules.toml").write_text(rules)
    (folder / "speaker.jpg").write_bytes((folder / "card" / "march.jpg").read_bytes())
    examples = [words for words in commands("cloak") if words[1] == "batch"]
    assert len(examples) >= 3
    for words in examples:
        run = CliRunner().invoke(cli.app, [*words[1:], "--dry-run"])
        assert run.exit_code == 0 and "2 files" in run.stdout, f"{shlex.join(words)}: {run.exit_code}\n{run.output}"


def test_every_models_command_of_the_readme_is_understood(folder, models, monkeypatch):
    """They need a network and files that are not here, so most of them can only fail; not over their words, though."""
    monkeypatch.setenv("FACECLOAK_MIRROR", "http://127.0.0.1:9")
    examples = [words for words in commands("cloak") if words[1] == "models"]
    assert {words[2] for words in examples} == {"list", "fetch", "add", "verify", "remove"}
    command = Path(sys.executable).with_name("cloak")
    for words in examples:
        run = subprocess.run([command, *words[1:]], cwd=folder, capture_output=True, text=True)
        assert run.returncode == (0 if words[2] in ("list", "verify") else 2), f"{shlex.join(words)}: {run.stderr}"
        assert "Usage:" not in run.stderr, f"{shlex.join(words)}: {run.stderr}"


def test_every_service_command_of_the_readme_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("FACECLOAK_SERVICE", str(tmp_path / "service"))
    examples = [words for words in commands("cloak") if words[1] in SERVICE]
    command = Path(sys.executable).with_name("cloak")
    # A service would go on for ever: one that other machines could reach stops at the question of a token, a studio
    # at a port that is taken
    taken = socket.create_server(("127.0.0.1", 0))
    ends = {"serve": ["--host", "0.0.0.0"], "studio": ["--port", str(taken.getsockname()[1])]}
    for words in examples:
        more = [*ends[words[1]], "--folder", str(tmp_path / "other")] if words[1] in ends else []
        run = subprocess.run([command, *words[1:], *more], capture_output=True, text=True)
        assert run.returncode == (2 if words[1] in ends else 0), run.stderr
        assert "Usage:" not in run.stderr and ("no token" in run.stderr) == (words[1] == "serve")
        assert ("cannot listen" in run.stderr) == (words[1] == "studio")
    taken.close()


def test_every_evaluation_command_of_the_readme_is_understood():
    from evaluation.__main__ import _parser
    examples = commands("cloak-eval")
    assert {"check", "report"} <= {words[1] for words in examples}
    for words in examples:
        assert _parser().parse_args(words[1:]).run


def test_the_python_example_of_the_readme_runs(folder):
    (example,) = blocks("python")
    run = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.strip(), run.stderr
    assert (folder / "safer.jpg").is_file()


def test_every_make_command_of_the_readme_is_known():
    examples = commands("make")
    assert {words[1] for words in examples} == {"demo", "test", "evaluate", "plugin"}
    for words in examples:
        run = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), f"{page}: {target}"


def test_the_tree_shows_what_exists_and_all_of_it():
    shown = {path for path, _ in tree()}
    missing = [str(path) for path in shown if not (ROOT / path).exists()]
    assert not missing, f"in the tree of the README, but not in the repository: {missing}"
    for package in ("cloak", "evaluation", "scripts"):
        for path in (ROOT / package).glob("*"):
            if path.name.startswith(("_", ".")) and path.name not in ("__main__.py",) or path.name == "py.typed":
                continue
            assert path.relative_to(ROOT) in shown, f"{path.relative_to(ROOT)} needs one sentence in the tree"


def test_the_results_are_those_of_the_committed_files():
    run = subprocess.run([sys.executable, "-m", "evaluation", "table", "--check"], cwd=ROOT, capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stderr


def test_no_measured_number_stands_outside_the_results():
    """Percentages and rates belong between the markers, where a script puts them."""
    for page in PAGES:
        text = re.sub(r"<!-- results:begin -->.*<!-- results:end -->", "", (ROOT / page).read_text(), flags=re.DOTALL)
        assert not re.findall(r"\d+(?:\.\d+)?\s?%|\b0\.\d\d\b", text), page


def test_the_exit_codes_are_those_of_the_command():
    from cloak import cli
    table = dict(re.findall(r"^\| (\d) \| (.+) \|$", README, re.MULTILINE))
    assert {int(code): meaning for code, meaning in table.items()} == cli.PHOTO_CODES


def test_the_version_is_the_same_everywhere():
    from importlib.metadata import version

    import cloak
    assert version("facecloak") == cloak.__version__
    assert f"## {cloak.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_says_why():
    lines = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("[project.scripts]")[0]
    for line in re.findall(r'^ {4}".*$', lines, re.MULTILINE):
        assert re.search(r'",\s+# \w.{8,}', line) or re.search(r'"(facecloak\[|pytest"|mypy"|ruff")', line), line
