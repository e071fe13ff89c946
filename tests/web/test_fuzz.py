"""The API as its own OpenAPI document describes it, sent everything that schemathesis can think of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import eventually


def test_schemathesis_finds_no_5xx_no_hang_and_nothing_that_is_not_in_the_document(service, tmp_path):
    schemathesis = Path(sys.executable).with_name("schemathesis")
    checks = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
              "response_headers_conformance,ignored_auth,unsupported_method,use_after_free")
    run = subprocess.run(
        [schemathesis, "run", f"{service.url}/v1/openapi.json", "-H", f"Authorization: Bearer {service.token}",
         "--checks", checks, "--max-examples", "12", "--seed", "1", "--request-timeout", "30", "--no-color",
         "--generation-database", "none"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("hooks.py")), "NO_PROXY": "127.0.0.1"})
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert service.client.get("/healthz").status_code == 200
    job = service.job(wait=20)  # what was sent may still wait before it
    assert eventually(lambda: service.look(job, wait=10)["state"] == "done", 60)
