"""A WordPress of its own: MariaDB on a socket, PHP's web server on loopback, the plugin, and a user of every role."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = ROOT / "web" / "wordpress" / "facecloak"
WORDPRESS = Path("/usr/share/wordpress")
PARTS = Path(__file__).with_name("site")
ROLES = ("administrator", "editor", "author", "contributor", "subscriber")
PASSWORD = "correct horse battery staple"

# Nothing is to last: no durability, and as little memory and disk as it takes
_DATABASE = ("--skip-networking", "--skip-grant-tables", "--skip-log-bin", "--skip-name-resolve",
             "--performance-schema=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M",
             "--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-fast-shutdown=2",
             "--key-buffer-size=1M", "--aria-pagecache-buffer-size=2M", "--character-set-server=utf8mb4")
# What a site for photos sets; and no notice of PHP's may end up in an answer
_PHP = {"upload_max_filesize": "64M", "post_max_size": "80M", "memory_limit": "512M", "max_execution_time": "120",
        "display_errors": "0", "log_errors": "1", "opcache.enable": "1", "opcache.enable_cli": "1",
        "opcache.validate_timestamps": "1", "opcache.revalidate_freq": "0", "session.save_handler": "files"}


class Failed(AssertionError):
    """PHP or the database said no."""


@dataclasses.dataclass
class Answer:
    """What PHP printed, if anybody cares, and what it returned."""

    value: Any
    printed: str


@dataclasses.dataclass
class Newsroom:
    """The site. `reset` before each test, so that none sees what another left."""

    folder: Path
    url: str
    passwords: dict[str, str]  # role -> application password; users are called as their roles
    ids: dict[str, int]  # role -> user id
    php_options: list[str]
    has_plugin: bool

    @property
    def docroot(self) -> Path:
        return self.folder / "htdocs"

    @property
    def uploads(self) -> Path:
        return self.docroot / "wp-content" / "uploads"

    @property
    def quarantine(self) -> Path:
        return self.folder / "quarantine"

    @property
    def errors(self) -> list[str]:
        """What PHP complained of since the last reset."""
        log = self.folder / "php-errors.log"
        return log.read_text(errors="replace").splitlines() if log.exists() else []

    @property
    def files(self) -> list[Path]:
        """Everything under uploads."""
        return sorted(path for path in self.uploads.rglob("*") if path.is_file())

    @property
    def kept(self) -> list[Path]:
        """Everything in the quarantine but what keeps servers out of it."""
        found = self.quarantine.rglob("*") if self.quarantine.is_dir() else ()
        return sorted(path for path in found if path.is_file() and path.name not in ("index.html", ".htaccess"))

    # --- in WordPress -----------------------------------------------------------------------------------------------

    def php(self, code: str, *, user: str | None = None, is_admin: bool = False, constants: Mapping[str, Any] = {},
            **variables: Any) -> Any:
        """Runs PHP inside WordPress in a process of its own; `return` what is wanted, as JSON.

        Args:
            code: sees `variables` under their names.
            user: whose rights it has; nobody's.
            is_admin: with what wp-admin loads (WP_ADMIN, its includes).
            constants: defined before anything is loaded.
        """
        return self.ask_php(code, user=user, is_admin=is_admin, constants=constants, **variables).value

    def ask_php(self, code: str, *, user: str | None = None, is_admin: bool = False,
                constants: Mapping[str, Any] = {}, **variables: Any) -> Answer:
        asked = {"code": code, "user": user, "admin": is_admin, "constants": dict(constants), "variables": variables}
        run = subprocess.run(["php", *self.php_options, self.folder / "eval.php"], input=json.dumps(asked),
                             capture_output=True, text=True, timeout=120, env=_environment())
        printed, mark, value = run.stdout.rpartition("\x00facecloak-value:")
        if run.returncode or not mark:
            raise Failed(f"PHP ended with {run.returncode}:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
        answer = json.loads(value)
        if "thrown" in answer:
            raise Failed(answer["thrown"])
        return Answer(answer["value"], printed)

    def sql(self, text: str) -> list[list[str]]:
        """Rows of what is asked of the database."""
        run = subprocess.run(["mariadb", "--no-defaults", "--user=root", f"--socket={self.folder / 'db' / 's'}",
                              "--batch", "--raw", "--skip-column-names", "wordpress"], input=text,
                             capture_output=True, text=True, timeout=60)
        if run.returncode:
            raise Failed(run.stderr)
        return [line.split("\t") for line in run.stdout.splitlines()]

    def cron(self, *hooks: str) -> None:
        """Runs cron events now, due or not: those of these hooks, or all of the plugin's."""
        self.php("""
            foreach ((array) _get_cron_array() as $time => $of_hook) {
                foreach ((array) $of_hook as $hook => $events) {
                    foreach ($events as $event) {
                        if ($hooks ? in_array($hook, $hooks, true) : 0 === strpos($hook, 'facecloak_')) {
                            if (!$event['schedule']) {
                                wp_unschedule_event($time, $hook, $event['args']);
                            }
                            do_action_ref_array($hook, $event['args']);
                        }
                    }
                }
            }
            return null;""", constants={"DOING_CRON": True}, hooks=list(hooks))

    def activate(self) -> None:
        """The plugin, as an administrator does it."""
        error = self.php("""
            $error = activate_plugin('facecloak/facecloak.php');
            return is_wp_error($error) ? $error->get_error_message() : null;""", user="administrator", is_admin=True)
        if error:
            raise Failed(error)

    def configure(self, address: str | None = None, token: str | None = None, **settings: Any) -> None:
        """Writes settings of the plugin as they are stored; address and token are those of a service."""
        if address is not None:
            settings["address"] = address
        self.php("""
            update_option('facecloak_settings', array_merge((array) get_option('facecloak_settings', []), $settings));
            if (null !== $token) { update_option('facecloak_token', $token, false); }
            return null;""", settings=settings, token=token)

    # --- over HTTP --------------------------------------------------------------------------------------------------

    def client(self, role: str | None = None) -> httpx.Client:
        """REST with an application password, or nobody's. REST routes are below `/wp-json/`."""
        return httpx.Client(base_url=self.url, auth=(role, self.passwords[role]) if role else None, timeout=120,
                            trust_env=False)

    @contextmanager
    def browse(self, role: str) -> Iterator[httpx.Client]:
        """As a browser: cookies from the login form, and `X-WP-Nonce` with every request."""
        with httpx.Client(base_url=self.url, timeout=120, trust_env=False) as client:
            client.get("/wp-login.php")
            answer = client.post("/wp-login.php", data={"log": role, "pwd": PASSWORD, "testcookie": "1"})
            assert answer.status_code == 302, f"{role} cannot log in: {answer.status_code}"
            nonce = client.get("/wp-admin/admin-ajax.php", params={"action": "rest-nonce"}).text
            assert re.fullmatch(r"[0-9a-f]{10}", nonce), nonce[:200]
            client.headers["X-WP-Nonce"] = nonce
            yield client

    def cookies(self, role: str) -> list[dict[str, Any]]:
        """The same for Playwright's `context.add_cookies`."""
        with self.browse(role) as client:
            return [{"name": one.name, "value": one.value, "url": self.url} for one in client.cookies.jar]

    def upload(self, data: bytes, name: str = "march.jpg", *, role: str = "author", how: str = "multipart",
               media_type: str = "image/jpeg", client: httpx.Client | None = None) -> httpx.Response:
        """Hands in a file: `multipart` as the block editor does, `raw` as apps do over REST, or `xmlrpc`."""
        with contextlib.nullcontext(client) if client else self.client(role) as one:
            if how == "multipart":
                return one.post("/wp-json/wp/v2/media", files={"file": (name, data, media_type)})
            if how == "raw":
                return one.post("/wp-json/wp/v2/media", content=data, headers={
                    "Content-Type": media_type, "Content-Disposition": f'attachment; filename="{name}"'})
            assert how == "xmlrpc"
            return one.post("/xmlrpc.php", content=_xmlrpc_upload(role, PASSWORD, name, media_type, data),
                            headers={"Content-Type": "text/xml"})

    def media(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        """Hands in a file that must be taken, and returns the attachment as REST tells it."""
        answer = self.upload(*arguments, **more)
        assert answer.status_code == 201, f"{answer.status_code} {answer.text[:2000]}"
        told: dict[str, Any] = answer.json()
        return told

    # --- between tests ----------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """What `reset` goes back to."""
        tables = [name for (name,) in self.sql("SHOW TABLES")]
        self.sql("DROP DATABASE IF EXISTS clean; CREATE DATABASE clean;" + "".join(
            f"CREATE TABLE clean.`{name}` LIKE `{name}`; INSERT INTO clean.`{name}` SELECT * FROM `{name}`;"
            for name in tables))

    def reset(self) -> None:
        """Tables as they were, no uploads, an empty quarantine, no complaints. Ids go on, so none is used twice."""
        clean = {name for (name,) in self.sql("SHOW TABLES FROM clean")}
        strays = {name for (name,) in self.sql("SHOW TABLES")} - clean
        self.sql("".join(f"DROP TABLE `{name}`;" for name in sorted(strays)) + "".join(
            f"CREATE TABLE IF NOT EXISTS `{name}` LIKE clean.`{name}`; DELETE FROM `{name}`;"
            f"INSERT INTO `{name}` SELECT * FROM clean.`{name}`;" for name in sorted(clean)))
        for folder in (self.uploads, self.quarantine):
            for path in folder.iterdir() if folder.is_dir() else ():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.uploads.mkdir(exist_ok=True)
        (self.folder / "php-errors.log").unlink(missing_ok=True)
        install_plugin(self.docroot)


def install_plugin(docroot: Path) -> bool:
    """Copied, not linked: WordPress deletes what it uninstalls. Only what has changed, for OPcache's sake."""
    if not (PLUGIN / "facecloak.php").exists():
        return False
    target = docroot / "wp-content" / "plugins" / "facecloak"
    for path in PLUGIN.rglob("*"):
        copy = target / path.relative_to(PLUGIN)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif not copy.exists() or copy.stat().st_mtime_ns != path.stat().st_mtime_ns:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    return True


@contextmanager
def newsroom(folder: Path) -> Iterator[Newsroom]:
    """A WordPress in this folder, which is emptied in the end.

    Raises:
        Failed: it cannot be installed, or the database or PHP does not start.
    """
    assert (WORDPRESS / "wp-load.php").exists(), "no WordPress: scripts/setup.sh test installs it"
    with contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_database(folder / "db"))
        docroot = folder / "htdocs"
        shutil.copytree(WORDPRESS, docroot, symlinks=False)
        (docroot / "wp-content" / "uploads").mkdir()
        shutil.copytree(PARTS / "theme", docroot / "wp-content" / "themes" / "rig")
        (folder / "quarantine").mkdir(mode=0o700)
        for name in ("eval.php", "router.php"):
            shutil.copyfile(PARTS / name, folder / name)
        options = [f"-d{name}={value}" for name, value in {
            **_PHP, "error_log": folder / "php-errors.log", "sys_temp_dir": folder / "tmp",
            "upload_tmp_dir": folder / "tmp", "opcache.file_cache": folder / "opcache"}.items()]
        for name in ("tmp", "opcache"):
            (folder / name).mkdir()
        has_plugin = install_plugin(docroot)
        url = stack.enter_context(_served(folder, options))
        one = Newsroom(folder, url, {}, {}, options, has_plugin)
        made = _install(one)
        one.passwords, one.ids = made["passwords"], made["ids"]
        if has_plugin:
            one.activate()
        one.remember()
        yield one


def _install(one: Newsroom) -> dict[str, Any]:
    asked = {"password": PASSWORD, "roles": ROLES}
    run = subprocess.run(["php", *one.php_options, PARTS / "install.php", one.docroot], input=json.dumps(asked),
                         capture_output=True, text=True, timeout=120, env=_environment())
    _, mark, value = run.stdout.rpartition("\x00facecloak-value:")
    if run.returncode or not mark:
        raise Failed("\n".join(["WordPress is not installed:", run.stdout[-3000:], run.stderr[-3000:], *one.errors]))
    made: dict[str, Any] = json.loads(value)
    return made


@contextmanager
def _database(folder: Path) -> Iterator[None]:
    """Whoever may open the socket may do everything, and the folder is ours alone."""
    folder.mkdir(mode=0o700)
    (folder / "data").mkdir()
    path = folder / "s"
    assert len(str(path)) < 100, f"{path}: too long a path for a socket"
    user = ["--user=root"] if os.geteuid() == 0 else []
    command = ["mariadbd", "--no-defaults", *user, f"--datadir={folder / 'data'}", f"--socket={path}",
               f"--pid-file={folder / 'pid'}", f"--tmpdir={folder}", *_DATABASE]
    with open(folder / "log", "wb") as log, _process(command, log):
        _wait(functools.partial(_connects, path), "the database", folder / "log")
        subprocess.run(["mariadb", "--no-defaults", "--user=root", f"--socket={path}", "--execute",
                        "CREATE DATABASE wordpress"], check=True, timeout=60)
        yield


@contextmanager
def _served(folder: Path, options: Sequence[str]) -> Iterator[str]:
    """PHP's own server with four processes: WordPress asks itself things."""
    for attempt in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        config = (PARTS / "wp-config.php").read_text().replace("'URL'", f"'{url}'")
        (folder / "htdocs" / "wp-config.php").write_text(config)
        command = ["php", *options, "-S", f"127.0.0.1:{port}", "-t", str(folder / "htdocs"), str(folder / "router.php")]
        with open(folder / "php.log", "wb") as log, \
                _process(command, log, {**_environment(), "PHP_CLI_SERVER_WORKERS": "4"}) as process:
            with contextlib.suppress(*[Failed] if attempt < 4 else []):  # somebody else took the port meanwhile
                _wait(functools.partial(_connects, port), "PHP's server", folder / "php.log", process)
                yield url
                return


@contextmanager
def _process(command: Sequence[str], log: Any, environment: Mapping[str, str] | None = None
             ) -> Iterator[subprocess.Popen[bytes]]:
    """A process with all it starts, ended in the end, and also when this one is killed."""
    process = subprocess.Popen([sys.executable, PARTS.with_name("with_parent.py"), *command], stdin=subprocess.PIPE,
                               stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # nothing of what it holds is to last
        process.wait()


def _wait(condition: Any, what: str, log: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end or (process and process.poll() is not None):
            raise Failed(f"{what} does not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _connects(where: Path | int) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as one:
        try:
            one.connect(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
        except OSError:
            return False
        return True


def _environment() -> dict[str, str]:
    """Without proxies, which WordPress does not use but curl does."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def _xmlrpc_upload(user: str, password: str, name: str, media_type: str, data: bytes) -> bytes:
    import xmlrpc.client

    bits = xmlrpc.client.Binary(data)
    return xmlrpc.client.dumps((1, user, password, {"name": name, "type": media_type, "bits": bits}),
                               "wp.uploadFile").encode()


def basic(role: str, password: str) -> str:
    """The header that an application password goes into."""
    return "Basic " + base64.b64encode(f"{role}:{password}".encode()).decode()
