"""What every test may use: the test photos, a portrait that is always there, and the ban on skips."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloak.networks import Networks
    from cloak.store import Model, Recipe

# What the developer installed must not decide what the tests see, in subprocesses neither
_NO_MODELS = tempfile.TemporaryDirectory(prefix="facecloak-no-models-")
os.environ["FACECLOAK_MODELS"] = _NO_MODELS.name

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true",
                     help="a skipped or expected failure counts as a failure, and so does a run without tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--forbid-skips") and (report.skipped or hasattr(report, "wasxfail")):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skips are forbidden in this run. {reason}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module that skips itself (importorskip) is a skip too."""
    report = yield
    if collector.config.getoption("--forbid-skips") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: skips are forbidden in this run. {report.longrepr}"
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    nothing_ran = session.testscollected == session.testsfailed == 0 or exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
    if session.config.getoption("--forbid-skips") and nothing_ran:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """Recognisers that somebody installed on this machine would change what is made and judged, in subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACECLOAK_MODELS", str(tmp_path_factory.mktemp("models") / "none"))
        patch.delenv("FACECLOAK_MIRROR", raising=False)
        patch.setenv("ORT_DISABLE_TELEMETRY", "1")  # some tests import onnxruntime themselves
        yield


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    """A store of its own, which does not exist yet."""
    from cloak import weights

    folder = tmp_path / "models"
    monkeypatch.setenv("FACECLOAK_MODELS", str(folder))
    weights.locate.cache_clear()
    yield folder
    weights.locate.cache_clear()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The test data pack; see its README. Not part of the repository: its photos are not ours to pass on."""
    folder = Path(os.environ.get("FACECLOAK_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "photos").is_dir():
        pytest.skip(f"no test data pack at {folder}: set FACECLOAK_DATA")
    return folder


@pytest.fixture(scope="session")
def nets() -> Networks:
    """The networks of the default settings on the CPU, loaded once."""
    from cloak import networks
    from cloak.settings import Settings

    return networks.load(Settings(device="cpu"))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Model]]:
    """Installs a weight file into a store of this test's own: `install(name, file, loads_as, recipe)`."""
    from cloak import store, weights

    monkeypatch.setenv("FACECLOAK_MODELS", str(tmp_path / "models"))
    weights.locate.cache_clear()

    def into_store(name: str, file: Path, loads_as: str, recipe: Recipe | None = None, *,
                   calibration: dict[str, object] | None = None) -> Model:
        data = file.read_bytes()
        return store.add(store.Model(
            name=name, role="surrogate", loads_as=loads_as, path=file, size=len(data),
            sha256=hashlib.sha256(data).hexdigest(), licence="test", source="test", origin="added", recipe=recipe,
        ), check=lambda _: calibration)

    yield into_store
    weights.locate.cache_clear()


@pytest.fixture
def install_known(install: Callable[..., Model], shared_data: Path) -> Callable[[str], Model]:
    """Installs an ONNX recogniser of the data pack under its short name, such as mobilefacenet."""
    from cloak import weights

    def known(name: str) -> Model:
        recipe = weights.registry()[f"{name}_onnx"].recipe
        return install(name, shared_data / "weights" / f"{name}.onnx", "onnx", recipe)

    return known


@pytest.fixture(scope="session")
def portrait() -> Path:
    """The NASA portrait of Eileen Collins, public domain, 512 x 512 PNG, from scikit-image's wheel."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations, "scikit-image is in the extra 'test'"
    return Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
