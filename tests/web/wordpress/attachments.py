"""Attachments in any state, and posts, written straight into the database: no hook sees them, and it takes no time."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image

from .newsroom import Newsroom

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Attachment:
    id: int
    path: str  # below uploads
    url: str
    small: str  # address of a smaller size

    @property
    def name(self) -> str:
        """`picture-7`, which stands in the address of every size."""
        return self.path.rpartition("/")[2].partition(".")[0]

    @property
    def block(self) -> str:
        """As the block editor writes it."""
        return (f'<!-- wp:image {{"id":{self.id},"sizeSlug":"large"}} -->\n<figure class="wp-block-image size-large">'
                f'<img src="{self.small}" alt="" class="wp-image-{self.id}"/></figure>\n<!-- /wp:image -->')


def jpeg(size: tuple[int, int] = (40, 30), colour: str = "grey") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "JPEG")
    return data.getvalue()


def attach(site: Newsroom, *states: str | None, parent: int = 0, author: str = "author", mime: str = "image/jpeg",
           faces: int = 2) -> list[Attachment]:
    """One attachment a state; None: no record, as for what was there before the plugin."""
    boxes = json.dumps([{"number": n + 1, "box": [1 + 9 * n, 1, 8 + 9 * n, 9], "score": 0.9} for n in range(faces)])
    made = []
    (site.uploads / "2026/01").mkdir(parents=True, exist_ok=True)
    for state in states:
        name = f"picture-{next(_numbers)}"
        path, small = f"2026/01/{name}.jpg", f"{name}-20x15.jpg"
        for one in (path, f"2026/01/{small}"):
            (site.uploads / one).write_bytes(jpeg())
        metadata = _serialised({"width": 40, "height": 30, "file": path, "sizes": {
            "medium": {"file": small, "width": 20, "height": 15, "mime-type": mime}}})
        title = name.replace("picture-", "Picture ")
        id = post(site, kind="attachment", state="inherit", author=author, title=title, mime=mime, parent=parent)
        _insert(site, "postmeta", post_id=id, meta_key="_wp_attached_file", meta_value=path)
        _insert(site, "postmeta", post_id=id, meta_key="_wp_attachment_metadata", meta_value=metadata)
        if state is not None:
            _insert(site, "facecloak_media", attachment_id=id, state=state, name=f"{name}.jpg", mime=mime, faces=boxes,
                    width=40, height=30, verdict='{"faces":[]}', error="", reason="", created="2026-01-01 00:00:00")
        at = f"{site.url}/wp-content/uploads/"
        made.append(Attachment(id, path, at + path, at + f"2026/01/{small}"))
    return made


def post(site: Newsroom, content: str = "", *, kind: str = "post", state: str = "draft", author: str = "editor",
         date: str = "2026-01-01 00:00:00", title: str = "March", mime: str = "", parent: int = 0,
         featured: int = 0) -> int:
    """A post that came to be beside all hooks; its id."""
    changed = "2026-01-01 00:00:00"
    id = _insert(site, "posts", post_type=kind, post_status=state, post_author=site.ids[author], post_title=title,
                 post_name=f"made-{next(_numbers)}", post_content=content, post_excerpt="", post_date=date,
                 post_date_gmt=date, post_modified=changed, post_modified_gmt=changed, to_ping="", pinged="",
                 post_content_filtered="", post_mime_type=mime, post_parent=parent)
    if featured:
        _insert(site, "postmeta", post_id=id, meta_key="_thumbnail_id", meta_value=str(featured))
    return id


def set_state(site: Newsroom, one: Attachment, state: str) -> None:
    site.sql(f"UPDATE wp_facecloak_media SET state = '{state}' WHERE attachment_id = {one.id}")


def state_of(site: Newsroom, one: Attachment) -> str | None:
    rows = site.sql(f"SELECT state FROM wp_facecloak_media WHERE attachment_id = {one.id} ORDER BY id DESC LIMIT 1")
    return rows[0][0] if rows else None


def _insert(site: Newsroom, table: str, **row: str | int) -> int:
    values = (str(value) if isinstance(value, int) else f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"
              for value in row.values())
    ((id,),) = site.sql(f"INSERT INTO wp_{table} ({', '.join(row)}) VALUES ({', '.join(values)});"
                        "SELECT LAST_INSERT_ID()")
    return int(id)


def _serialised(value: Any) -> str:
    """As PHP's serialize() writes it."""
    if isinstance(value, dict):
        return f"a:{len(value)}:{{" + "".join(_serialised(k) + _serialised(v) for k, v in value.items()) + "}"
    return f"i:{value};" if isinstance(value, int) else f's:{len(value.encode())}:"{value}";'
