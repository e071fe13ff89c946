"""The studio: pages in the browser on top of the same jobs as the API.

Gradio draws the page and carries what a person chose to Python. Pictures never go through it: uploads and downloads
have routes of their own (`files`), so that they lie only in the private folders of jobs.
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from web.jobs import Service
from web.studio import access, files, gate

# Before Gradio is imported for the first time: it would tell its makers of every page and look for a newer version.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_SHARE="False", GRADIO_MCP_SERVER="False",
                  GRADIO_RUN_HISTORY="False", GRADIO_SSR_MODE="False", HF_HUB_OFFLINE="1",
                  HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")


class Studio:
    """The pages of one service."""

    def __init__(self, service: Service, *, is_by_key: bool, tab_grace_s: float = 20.0) -> None:
        """
        Args:
            is_by_key: a one-time key lets in, not a token. See `access.Access`.
        """
        self.service = service
        self.access = access.Access(service, is_by_key=is_by_key, tab_grace_s=tab_grace_s)

    def join(self, app: FastAPI) -> None:
        """Adds the pages to the application of the service."""
        # Gradio is never given a picture. Were it all the same, it would be here, and gone with the next start.
        os.environ["GRADIO_TEMP_DIR"] = str(self.service.folders.scratch("gradio"))
        from web.studio import page

        files.add_routes(app, self.service, self.access)
        page.mount(app, page.Pages(self.service, self.access))
        app.add_middleware(gate.Gate, access=self.access)

    @property
    def key_path(self) -> str:
        """Where a browser is let in, once."""
        return f"{gate.ROOT}/?key={self.access.key}"

    def sweep(self) -> None:
        """Deletes what an earlier process left. Before the service starts."""
        self.access.sweep()

    def stop(self) -> None:
        """Deletes everything of every tab. Before the service stops."""
        self.access.stop()
