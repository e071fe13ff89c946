"""The check page: is the face of the original still matched in the file that was published?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from web.studio.page import Pages


def build(pages: Pages) -> None:
    """Fills the tab."""
