"""Attachments in any state, made beside all hooks, so that what is tested does not hang on what an upload does."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from .newsroom import Newsroom


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


_MAKE = """
    global $wpdb;
    $made = [];
    $records = Facecloak\\Plugin::instance()->records;
    foreach ($states as $n => $state) {
        $number = $first + $n;
        $path = "2026/01/picture-$number.jpg";
        $small = "picture-$number-20x15.jpg";
        wp_mkdir_p(WP_CONTENT_DIR . '/uploads/2026/01');
        foreach ([$path, "2026/01/$small"] as $one) {
            file_put_contents(WP_CONTENT_DIR . "/uploads/$one", base64_decode($data));
        }
        $wpdb->insert($wpdb->posts, ['post_type' => 'attachment', 'post_status' => 'inherit', 'post_author' => $author,
            'post_title' => "Picture $number", 'post_name' => "picture-$number", 'post_mime_type' => $mime,
            'post_parent' => $parent, 'post_date' => '2026-01-01 00:00:00', 'post_date_gmt' => '2026-01-01 00:00:00',
            'post_content' => '', 'post_excerpt' => '', 'to_ping' => '', 'pinged' => '',
            'post_content_filtered' => '']);
        $id = $wpdb->insert_id;
        $size = ['file' => $small, 'width' => 20, 'height' => 15, 'mime-type' => $mime];
        add_post_meta($id, '_wp_attached_file', $path);
        add_post_meta($id, '_wp_attachment_metadata',
            ['width' => 40, 'height' => 30, 'file' => $path, 'sizes' => ['medium' => $size]]);
        if (null !== $state) {
            $record = new Facecloak\\Record();
            $record->attachment_id = $id;
            $record->state = $state;
            $record->name = basename($path);
            $record->mime = $mime;
            $record->out_sha256 = $record->in_sha256 = hash('sha256', base64_decode($data));
            $record->faces = $faces;
            $record->width = 40;
            $record->height = 30;
            $record->verdict = ['faces' => []];
            $records->save($record);
        }
        $at = content_url('uploads/');
        $made[] = ['id' => $id, 'path' => $path, 'url' => $at . $path, 'small' => $at . "2026/01/$small"];
    }
    return $made;
"""


def attach(site: Newsroom, *states: str | None, parent: int = 0, author: str = "author", mime: str = "image/jpeg",
           faces: int = 2) -> list[Attachment]:
    """One attachment a state; None: no record, as for what was there before the plugin."""
    import base64

    attach.made += len(states)  # type: ignore[attr-defined]
    boxes = [{"number": n + 1, "box": [1 + 9 * n, 1, 8 + 9 * n, 9], "score": 0.9} for n in range(faces)]
    made = site.php(_MAKE, states=list(states), first=attach.made, parent=parent,  # type: ignore[attr-defined]
                    author=site.ids[author], mime=mime, faces=boxes, data=base64.b64encode(jpeg()).decode())
    return [Attachment(**one) for one in made]


attach.made = 0  # type: ignore[attr-defined]


def set_state(site: Newsroom, one: Attachment, state: str) -> None:
    site.sql(f"UPDATE wp_facecloak_media SET state = '{state}' WHERE attachment_id = {one.id}")
