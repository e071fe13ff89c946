"""Nothing unreviewed is published: every road a post can take to the public, open and closed."""

from __future__ import annotations

import html
import re
import xmlrpc.client
from contextlib import ExitStack, nullcontext

import pytest

from .attachments import attach, jpeg, set_state
from .attachments import post as draft
from .newsroom import PASSWORD


@pytest.fixture
def editor(site):
    """`editor()`: the editor's browser, logged in once a test, which is the longest part of it."""
    with ExitStack() as stack:
        opened = []

        def one():
            if not opened:
                opened.append(stack.enter_context(site.browse("editor")))
            return nullcontext(opened[0])

        yield one


def status(site, post):
    ((now,),) = site.sql(f"SELECT post_status FROM wp_posts WHERE ID = {post}")
    return now


def text(site, post):
    ((now,),) = site.sql(f"SELECT HEX(post_content) FROM wp_posts WHERE ID = {post}")
    return bytes.fromhex(now).decode()


def featured_of(site, post):
    rows = site.sql(f"SELECT meta_value FROM wp_postmeta WHERE post_id = {post} AND meta_key = '_thumbnail_id'")
    return int(rows[0][0]) if rows else 0


def notices(site, role="editor"):
    rows = site.sql("SELECT option_value FROM wp_options WHERE option_name ="
                    f"'_transient_facecloak_notices_{site.ids[role]}'")
    return " ".join(map(str, rows))


# What keeps each of these texts from the public
ALL = """return array_map(function ($content) {
    return Facecloak\\Plugin::instance()->gate->problems($content, 0);
}, $asked);"""


# --- what is found ----------------------------------------------------------------------------------------------------


def spellings(one, site):
    """Every way a post may show this attachment; the small size is named where only a part shows it."""
    path = "/wp-content/uploads/" + one.path
    small = one.small.removeprefix(site.url)
    entities = "".join(f"&#{ord(letter)};" for letter in path)
    scaled = one.path.replace(".jpg", "-scaled.jpg")
    return {
        "image block": one.block,
        "gallery block": f'<!-- wp:gallery {{"ids":[{one.id}]}} --><p></p><!-- /wp:gallery -->',
        "cover block": f'<!-- wp:cover {{"url":"x","id":{one.id}}} --><div></div><!-- /wp:cover -->',
        "media and text": f'<!-- wp:media-text {{"mediaId":{one.id}}} --><div></div><!-- /wp:media-text -->',
        "nested blocks": f'<!-- wp:group --><div><!-- wp:columns --><div>{one.block}</div><!-- /wp:columns --></div>'
                         '<!-- /wp:group -->',
        "block of a plugin": f'<!-- wp:slides/show {{"slides":[{{"image":{{"id":{one.id}}}}}]}} /-->',
        "id as text": f'<!-- wp:slides/show {{"imageID":"{one.id}"}} /-->',
        "number with a point": f'<!-- wp:slides/show {{"mediaId":{one.id}.0}} /-->',
        "class": f'<img class="alignleft wp-image-{one.id}" src="/elsewhere.jpg">',
        "gallery": f'[gallery ids="{one.id}"]', "gallery include": f"[gallery include={one.id} columns=2]",
        "gallery, odd space": f'[gallery\u00a0ids="{one.id}"]', "gallery, comma": f'[gallery, ids="{one.id}"]',
        "gallery over lines": f'[gallery\nids={one.id}\n]', "shortcode of a plugin": f'[2slides images="9,{one.id}"]',
        "playlist": f'[playlist type="video" ids="{one.id}"]',
        "caption": f'[caption id="attachment_{one.id}" width="9"]x[/caption]',
        "address": f'<img src="{one.url}">', "small size": f'<img src="{one.small}">',
        "without a host": f"<img src='{path}'>", "other host": f'<img src="//cdn.example.org{small}?w=9#x">',
        "srcset": f'<img srcset="/a.jpg 1x, {one.small} 2x">', "link": f'<a href="{one.url}">Look</a>',
        "alone": f"See\n{one.url}\nand go", "at the end of a sentence": f"Look at {one.url}.",
        "video": f'[video mp4="{one.url}"][/video]', "poster": f'<video poster="{one.url}"></video>',
        "style": f'<p style="background:url({one.url})">', "quoted in a style": f'<p style="url(&quot;{path}&quot;)">',
        "json": '<!-- wp:x/y {"u":"' + path.replace("/", "\\/") + '"} /-->',
        "json, u002f": '<!-- wp:x/y {"u":"' + path.replace("/", "\\u002f") + '"} /-->',
        "percent": f'<img src="{path.replace("uploads", "upl%6fads").replace("/2026", "%2F2026")}">',
        "entities": f'<img src="{entities}">', "open entities": f'<img src="{entities.replace(";", "")}">',
        "named entities": f'<img src="{path.replace("/", "&sol;")}">',
        "line break": f'<img src="/wp-content/upl\noads/{one.path}">',
        "backslash": f'<img src="{path.replace("/", chr(92))}">',
        "dots": f'<img src="/wp-content/x/../uploads/./{one.path}">',
        "slashes": f'<img src="/wp-content//uploads//{one.path}">',
        "dots after slashes": f'<img src="/wp-content//../uploads/{one.path}">',
        "dots after a comma": f'<img src="/wp-content/x,y/../uploads/{one.path}">',
        "dots after a space": f'<img src="/wp-content/x y/../uploads/{one.path}">',
        "dots after percent signs": f'<img src="/wp-content/x%20%2Fy/%2E%2e/uploads/{one.path}">',
        "capitals": f'<img src="/WP-Content/Uploads/{one.path}">',
        "css escape": '<p style="background:url(/wp-content/\\75 ploads/' + one.path + ')">',
        "scaled": f'<img src="/wp-content/uploads/{scaled}">',
    }


def test_every_spelling_of_a_picture_is_found(site, guarded):
    one, other = attach(site, "unreviewed", "reviewed")
    guarded("require")
    asked = spellings(one, site)
    found, none = site.php("return [(function () use ($asked) {" + ALL + "})(), (function () use ($others) {"
                           + ALL.replace("$asked", "$others") + "})()];", asked=asked, others=spellings(other, site))
    assert {name: found[name] for name in asked if [one.id] != [each["attachment"] for each in found[name]]} == {}
    assert {name: problems for name, problems in none.items() if problems} == {}


def test_what_is_no_picture_of_ours_is_let_through(site, guarded):
    (one,) = attach(site, "unreviewed")
    (pdf,) = attach(site, None, mime="application/pdf")
    guarded("require")
    page = draft(site, kind="page")
    asked = ["", "A march.", "<img src='https://example.org/wp-content/x.jpg'>", f"wp-images-{one.id}",
             f'<!-- wp:latest-posts {{"categories":[{{"id":{one.id}}}]}} /-->',
             f'<!-- wp:navigation-link {{"id":{one.id},"kind":"taxonomy"}} /-->',
             f'<!-- wp:file {{"id":{pdf.id}}} --><a href="{pdf.url.replace(".jpg", ".jpg")}">x</a><!-- /wp:file -->',
             f'<!-- wp:x/y {{"id":{page}}} /-->', "/wp-content/uploads/", "[gallery]", "data: image"]
    found = site.php(ALL, asked=asked)
    assert [content for content, problems in zip(asked, found, strict=True) if problems] == []


def test_files_that_nobody_can_review_close_the_gate(site, guarded):
    one, = attach(site, "reviewed")
    guarded("require")
    (site.uploads / "stray.jpg").write_bytes(jpeg())
    # Beside a reviewed picture, under a name it could have made: but it has not
    (site.uploads / one.path).with_name(f"{one.name}-99x99.jpg").write_bytes(jpeg())
    asked = {
        "<img src='/wp-content/uploads/stray.jpg'>": "belongs to no item",
        "<img src='/wp-content/uploads/gone.jpg'>": "belongs to no item",
        f"<img src='{one.url.replace('.jpg', '-99x99.jpg')}'>": "belongs to no item",
        "<img src='data:image/jpeg;base64,AAAA'>": "cannot be reviewed",
        "<img src='&#100;ata:image/png;base64,AAAA'>": "cannot be reviewed",
    }
    for (content, words), (problem,) in zip(asked.items(), site.php(ALL, asked=list(asked)), strict=True):
        assert words in problem["words"] and problem["attachment"] == 0, content


def test_reusable_blocks_and_children_are_looked_into(site, guarded):
    (one,) = attach(site, "unreviewed")
    guarded("require")
    inner = draft(site, one.block, kind="wp_block", state="publish")
    outer = draft(site, f'<!-- wp:block {{"ref":{inner}}} /-->', kind="wp_block", state="publish")
    article = draft(site)
    (child,) = attach(site, "unreviewed", parent=article)
    asked = {f'<!-- wp:block {{"ref":{outer}}} /-->': one.id, "[gallery]": child.id, "[gallery columns=2 /]": child.id,
             "[video]": child.id, f"[gallery id={article}]": child.id}
    found = site.php("return array_map(function ($c) use ($p) { return Facecloak\\Plugin::instance()->gate"
                     "->problems($c, 0, $p); }, $asked);", asked=list(asked), p=article)
    assert {content: [each["attachment"] for each in problems]
            for content, problems in zip(asked, found, strict=True)} == {c: [id] for c, id in asked.items()}


def test_custom_fields_are_looked_at_too(site, guarded):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    fields = {"_page_data": f'[{{"url":"{bad.small}"}}]'.replace("/", "\\/"), "hero_image": str(bad.id),
              "share-image-id": bad.id, "photo_gallery": f"{good.id},{bad.id}", "slides": [{"picture": bad.id}]}
    harmless = {"views": str(bad.id), "hero_image": good.id, "_css": f"{site.url}/wp-content/uploads/made/post.css",
                "_small": "data:image/gif;base64,AAAA", "_wp_old_slug": bad.path, "date": "2026"}
    php = """$found = [];
        foreach ($fields as $name => $value) {
            $p = wp_insert_post(['post_title' => 'A', 'post_content' => 'A', 'post_status' => 'draft',
                'meta_input' => [$name => wp_slash($value)]]);
            wp_update_post(['ID' => $p, 'post_status' => 'publish']);
            $q = wp_insert_post(['post_title' => 'A', 'post_content' => 'A', 'post_status' => 'publish',
                'meta_input' => [$name => wp_slash($value)]]);
            $found[$name] = [get_post_status($p), get_post_status($q), metadata_exists('post', $q, $name)];
        }
        return $found;"""
    assert site.php(php, user="editor", fields=fields) == {name: ["pending", "publish", False] for name in fields}
    assert "custom field" in notices(site)
    assert site.php(php, user="editor", fields=harmless) == {name: ["publish", "publish", True] for name in harmless}


def test_a_text_that_names_too_much_is_not_looked_up(site, guarded):
    """Whoever may write drafts could keep the database busy for as long as they like."""
    guarded("require")
    asked = ["[gallery ids='" + ",".join(map(str, range(1, 4000))) + "']",
             " ".join(f"/wp-content/uploads/{n}.jpg" for n in range(4000))]
    count, found = site.php("global $wpdb; $count = $wpdb->num_queries; $found = (function () use ($asked) {" + ALL
                            + "})(); return [$wpdb->num_queries - $count, $found];", asked=asked[:1])
    assert [one["state"] for one in found[0]] == ["error"] and count < 10
    assert site.php(ALL, asked=asked[1:])[0][0]["state"] == "error"


WORDS = {None: "never looked at", "waiting": "placeholder", "unreviewed": "nobody has reviewed",
         "suggested": "NOT covered", "unchecked": "not checked", "failed": "placeholder", "reviewed": None}


def test_only_what_is_reviewed_may_be_public(site, guarded):
    made = attach(site, *WORDS)
    guarded("off")
    found = site.php("""$found = [];
        foreach (['off', 'suggest', 'require', 'enforce', 'nonsense'] as $policy) {
            update_option('facecloak_settings', ['policy' => $policy]);
            foreach ($ids as $id) {
                $found[$policy][] = Facecloak\\Plugin::instance()->gate->problems('', $id);
            }
        }
        return $found;""", ids=[one.id for one in made])
    for policy, is_active in (("off", False), ("suggest", False), ("require", True), ("enforce", True),
                              ("nonsense", True)):
        for words, problems in zip(WORDS.values(), found[policy], strict=True):
            assert len(problems) == (is_active and words is not None), (policy, words, problems)
            assert not problems or words in problems[0]["words"]


def test_what_goes_wrong_inside_closes_the_gate(site, guarded):
    guarded("require")
    broken = "add_filter('facecloak_media_of_post', function () { throw new Error('broken'); });"
    post = site.php(broken + "return wp_insert_post(['post_title' => 'A', 'post_status' => 'publish']);")
    assert status(site, post) == "pending"
    # PHP gives up on a pattern, and what it answers then looks like "nothing found"
    for breaking in (broken, "ini_set('pcre.backtrack_limit', '1');"):
        (problem,) = site.php(breaking + "return Facecloak\\Plugin::instance()->gate->problems('<p>A</p>[x y]', 0);")
        assert problem["state"] == "error"
    site.sql("RENAME TABLE wp_facecloak_media TO wp_away")
    (one,) = attach(site, None)
    site.sql("RENAME TABLE wp_away TO wp_facecloak_media; UPDATE wp_facecloak_media SET state = 'reviewed'")
    problems = site.php("global $wpdb; $wpdb->suppress_errors(); $wpdb->prefix = 'nowhere_';"
                        "return Facecloak\\Plugin::instance()->gate->problems('', $f);", f=one.id)
    assert len(problems) == 1


# --- the roads --------------------------------------------------------------------------------------------------------


def by_rest(site, editor, content, state, featured=0):
    with site.client("editor") as client:
        answer = client.post("/wp-json/wp/v2/posts", json={"title": "A", "content": content, "status": "draft"})
        post = answer.json()["id"]
        answer = client.post(f"/wp-json/wp/v2/posts/{post}", json={"status": state, "featured_media": featured})
    return post, answer.status_code == 200


def by_rest_at_once(site, editor, content, state, featured=0):
    with site.client("editor") as client:
        answer = client.post("/wp-json/wp/v2/posts", json={
            "title": "A", "content": content, "status": state, "featured_media": featured})
    return answer.json().get("id"), answer.status_code == 201


def by_classic_editor(site, editor, content, state, featured=0):
    post = draft(site, state="draft")
    with editor() as browser:
        answer = browser.post("/wp-admin/post.php", data={
            "action": "editpost", "post_ID": post, "post_type": "post", "content": content, "post_title": "A",
            "post_status": state, "publish": "Publish", "_thumbnail_id": featured or -1, "visibility": state,
            "_wpnonce": form_nonce(browser, post), "user_ID": site.ids["editor"]})
        assert answer.status_code == 302
        if status(site, post) == "pending":
            pages = [browser.get("/wp-admin/index.php").text for _ in range(2)]
            assert "was NOT published" in pages[0] and "Look at it" in pages[0]
            assert "was NOT published" not in pages[1]  # once is enough
    return post, True


def form_nonce(browser, post):
    """Of the form that the classic editor shows; the block editor has the same one for its meta boxes."""
    page = browser.get("/wp-admin/post.php", params={"post": post, "action": "edit"}).text
    return re.search(r'id="_wpnonce" name="_wpnonce" value="([0-9a-f]{10})', page)[1]


def by_quick_edit(site, editor, content, state, featured=0):
    post = draft(site, content, featured=featured)
    with editor() as browser:
        page = browser.get("/wp-admin/edit.php").text
        nonce = re.search(r'name="_inline_edit" value="([0-9a-f]+)"', page)[1]
        answer = browser.post("/wp-admin/admin-ajax.php", data={
            "action": "inline-save", "post_ID": post, "post_type": "post", "_inline_edit": nonce, "post_title": "March",
            "_status": state, "post_view": "list", "screen": "edit-post", "edit_date": "true", "jj": "01", "mm": "01",
            "aa": "2026", "hh": "00", "mn": "00", "ss": "00"})
        assert answer.status_code == 200 and "<tr" in answer.text, answer.text[:500]
    return post, True


def by_bulk_edit(site, editor, content, state, featured=0):
    post = draft(site, content, featured=featured)
    with editor() as browser:
        nonce = re.search(r'name="_wpnonce" value="([0-9a-f]+)"', browser.get("/wp-admin/edit.php").text)[1]
        answer = browser.get("/wp-admin/edit.php", params={
            "action": "edit", "bulk_edit": "Update", "post[]": post, "_status": state, "_wpnonce": nonce,
            "post_type": "post", "post_author": -1, "comment_status": "", "ping_status": "", "sticky": -1})
        assert answer.status_code == 302, answer.text[:500]
    return post, True


def by_xmlrpc(site, editor, content, state, featured=0):
    struct = {"post_title": "A", "post_content": content, "post_status": state}
    if featured:
        struct["post_thumbnail"] = featured
    with site.client() as client:
        answer = client.post("/xmlrpc.php", headers={"Content-Type": "text/xml"}, content=xmlrpc.client.dumps(
            (1, "editor", PASSWORD, struct), "wp.newPost").encode())
    ((post,), _) = xmlrpc.client.loads(answer.content)
    return int(post), True


def by_metaweblog(site, editor, content, state, featured=0):
    struct = {"title": "A", "description": content, **({"wp_post_thumbnail": featured} if featured else {})}
    with site.client() as client:
        answer = client.post("/xmlrpc.php", headers={"Content-Type": "text/xml"}, content=xmlrpc.client.dumps(
            (1, "editor", PASSWORD, struct, state == "publish"), "metaWeblog.newPost").encode())
    try:
        ((post,), _) = xmlrpc.client.loads(answer.content)
    except xmlrpc.client.Fault:  # it says that the featured image is none; the post is there
        ((post,),) = site.sql("SELECT MAX(ID) FROM wp_posts WHERE post_type = 'post'")
    return int(post), True


def by_another_plugin(site, editor, content, state, featured=0):
    return site.php("return wp_insert_post(['post_title' => 'A', 'post_content' => wp_slash($c), 'post_status' => $s,"
                    "'_thumbnail_id' => $f]);", user="editor", c=content, s=state, f=featured), True


def by_wp_publish_post(site, editor, content, state, featured=0):
    post = draft(site, content, featured=featured)
    site.php("return wp_publish_post($p);", user="editor", p=post)
    return post, True


def by_schedule(site, editor, content, state, featured=0):
    post = draft(site, content, state="future", date="2026-01-02 00:00:00", featured=featured)
    site.php("do_action('publish_future_post', $p); return null;", p=post, constants={"DOING_CRON": True})
    return post, True


def by_batch(site, editor, content, state, featured=0):
    with site.client("editor") as client:
        answer = client.post("/wp-json/batch/v1", json={"requests": [{"path": "/wp/v2/posts", "body": {
            "title": "A", "content": content, "status": state, "featured_media": featured}}]})
    (one,) = answer.json()["responses"]
    return one["body"].get("id"), one["status"] == 201


ROADS = [by_rest, by_rest_at_once, by_batch, by_classic_editor, by_quick_edit, by_bulk_edit, by_xmlrpc, by_metaweblog,
         by_another_plugin, by_wp_publish_post, by_schedule]


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_a_post_is_public_only_when_its_media_are_reviewed(site, guarded, editor, road):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    post, is_taken = road(site, editor, bad.block, "publish")
    assert post is None or status(site, post) in ("draft", "pending"), status(site, post)
    if is_taken:
        assert status(site, post) == "pending" and bad.name in text(site, post)  # nothing is lost
        assert "Picture" in notices(site) or road in (by_classic_editor,)
    logged = site.sql("SELECT detail FROM wp_facecloak_log WHERE action = 'gate closed'")
    assert logged and str(bad.id) in logged[0][0]

    post, is_taken = road(site, editor, "A march.", "publish", featured=bad.id)
    assert not post or status(site, post) != "publish" or featured_of(site, post) != bad.id

    post, is_taken = road(site, editor, good.block, "publish", featured=good.id)
    assert is_taken and status(site, post) == "publish" and featured_of(site, post) == good.id


def test_a_scheduled_post_is_not_public_for_a_moment(site, guarded):
    """Others hear of what is published at once, and send it on."""
    (bad,) = attach(site, "unreviewed")
    guarded("require")
    late = draft(site, bad.block, state="future", date="2026-01-02 00:00:00")
    seen = site.php("""$seen = [];
        add_action('transition_post_status', function ($new) use (&$seen) { $seen[] = $new; }, 0);
        do_action('publish_future_post', $p);
        return $seen;""", p=late, constants={"DOING_CRON": True})
    assert seen[0] == "pending" and "publish" not in seen


@pytest.mark.parametrize("before", ["draft", "private"])
def test_another_plugin_publishes_nothing_for_a_moment(site, guarded, before):
    """wp_publish_post() writes first and lets others know then; a private post was public by some reckoning."""
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    late, fine = (draft(site, one.block, state=before) for one in (bad, good))
    seen = site.php("""$seen = [];
        add_action('clean_post_cache', function ($p) use (&$seen) {
            global $wpdb;
            $seen[] = $wpdb->get_var("SELECT post_status FROM $wpdb->posts WHERE ID = $p");
        }, 0);
        wp_publish_post($p);
        return $seen;""", p=late)
    assert "publish" not in seen and status(site, late) == ("pending" if before == "draft" else "private")
    site.php("wp_publish_post($p); return null;", p=fine)
    assert status(site, fine) == "publish"


def test_what_was_public_to_fewer_is_not_shown_to_more(site, guarded):
    """Its text stays as it was, and that is no reason to let it through."""
    (old,) = attach(site, None)
    guarded("require")
    private, locked, note = (draft(site, old.block, state=state, kind=kind) for state, kind in (
        ("private", "post"), ("publish", "post"), ("publish", "note")))
    site.sql(f"UPDATE wp_posts SET post_password = 'secret' WHERE ID = {locked}")
    now = site.php("""register_post_status('aired', ['public' => true]);
        register_post_type('note', ['public' => false]);
        wp_update_post(['ID' => $private, 'post_status' => 'aired']);
        wp_update_post(['ID' => $locked, 'post_password' => '']);
        wp_update_post(['ID' => $note, 'post_type' => 'post']);
        return [get_post_status($private), get_post($locked)->post_password, get_post_type($note)];""",
                   user="editor", private=private, locked=locked, note=note)
    assert now == ["private", "secret", "note"]
    with site.client("editor") as client:
        assert client.post(f"/wp-json/wp/v2/posts/{locked}", json={"password": ""}).status_code == 409
        assert client.post(f"/wp-json/wp/v2/posts/{locked}", json={"password": "other"}).status_code == 200


@pytest.mark.parametrize("policy", ["off", "suggest"])
def test_other_policies_stop_nobody(site, guarded, editor, policy):
    (bad,) = attach(site, "unreviewed")
    guarded(policy)
    for road in (by_rest_at_once, by_schedule):
        post, _ = road(site, editor, bad.block, "publish", featured=bad.id)
        assert status(site, post) == "publish"


@pytest.mark.parametrize("state", ["private", "future"])
def test_private_and_scheduled_posts_are_held_back_as_well(site, guarded, state):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("enforce")
    made = site.php("""$made = [];
        foreach ($contents as $content) {
            $made[] = wp_insert_post(['post_title' => 'A', 'post_content' => wp_slash($content), 'post_status' => $s,
                'post_date' => '2036-01-01 00:00:00', 'post_date_gmt' => '2036-01-01 00:00:00']);
        }
        return $made;""", user="editor", contents=[bad.block, good.block], s=state)
    assert [status(site, post) for post in made] == ["pending", "publish" if state == "publish" else state
                                                     if state == "future" else "private"]
    with site.client("editor") as client:
        answer = client.post("/wp-json/wp/v2/posts", json={"title": "A", "content": bad.block, "status": state,
                                                           "date": "2036-01-01T00:00:00"})
    assert answer.status_code == 409 and "Picture" in answer.json()["message"]


def test_every_public_type_is_guarded_and_no_other(site, guarded):
    (bad,) = attach(site, "unreviewed")
    guarded("require")
    made = site.php("""register_post_type('story', ['public' => true]);
        register_post_type('note', ['public' => false]);
        register_post_status('aired', ['public' => true]);
        $made = [];
        foreach ([['post', 'publish'], ['page', 'publish'], ['story', 'publish'], ['story', 'aired'],
                  ['wp_template', 'publish'], ['wp_template_part', 'publish'], ['wp_navigation', 'publish'],
                  ['note', 'publish'],
                  ['wp_block', 'publish'], ['post', 'draft'], ['post', 'pending']] as [$type, $status]) {
            $id = wp_insert_post(['post_type' => $type, 'post_status' => $status, 'post_title' => 'A',
                'post_content' => wp_slash($c)]);
            $made["$type $status"] = get_post_status($id);
        }
        return $made;""", user="administrator", c=bad.block)
    assert made == {"post publish": "pending", "page publish": "pending", "story publish": "pending",
                    "story aired": "pending", "wp_template publish": "pending", "wp_template_part publish": "pending",
                    "wp_navigation publish": "pending",
                    "note publish": "publish", "wp_block publish": "publish", "post draft": "draft",
                    "post pending": "pending"}


# --- live posts -------------------------------------------------------------------------------------------------------


def test_a_live_article_stays_as_it_is_when_unreviewed_media_come_in(site, guarded):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    live = draft(site, "As it was.", state="publish")
    with site.client("editor") as client:
        answer = client.post(f"/wp-json/wp/v2/posts/{live}", json={"content": bad.block})
        assert answer.status_code == 409
        assert client.post(f"/wp-json/wp/v2/posts/{live}", json={"featured_media": bad.id}).status_code == 409
    assert (status(site, live), text(site, live)) == ("publish", "As it was.")
    # Elsewhere it cannot be refused; what was written is not lost
    site.php("return wp_update_post(['ID' => $p, 'post_content' => wp_slash($c)]);", user="editor", p=live, c=bad.block)
    assert (status(site, live), text(site, live)) == ("publish", "As it was.")
    kept = site.php("$a = wp_get_post_autosave($p, $u); return $a ? $a->post_content : null;", user="editor", p=live,
                    u=site.ids["editor"])
    assert kept == bad.block and "stays as it is" in notices(site) and "autosave" in notices(site)
    # Twice is no harder
    site.php("return wp_update_post(['ID' => $p, 'post_content' => wp_slash($c)]);", user="editor", p=live,
             c="More. " + bad.block)
    assert site.php("return wp_get_post_autosave($p, $u)->post_content;", user="editor", p=live,
                    u=site.ids["editor"]) == "More. " + bad.block
    set_state(site, bad, "reviewed")
    with site.client("editor") as client:
        assert client.post(f"/wp-json/wp/v2/posts/{live}", json={"content": bad.block}).status_code == 200
    assert text(site, live) == bad.block


def test_the_featured_image_of_a_live_article_is_held_on_every_road(site, guarded, editor):
    bad, good = attach(site, "unreviewed", "reviewed")
    guarded("require")
    live, hidden = draft(site, "Live.", state="publish"), draft(site, "Not yet.")
    with editor() as browser:
        for post in (live, hidden):
            nonce = site.php("return wp_create_nonce('set_post_thumbnail-' . $p);", user="editor", p=post)
            page = browser.get("/wp-admin/post.php", params={"post": post, "action": "edit"}).text
            answer = browser.post("/wp-admin/admin-ajax.php", data={
                "action": "set-post-thumbnail", "post_id": post, "thumbnail_id": bad.id, "cookie": "", "_ajax_nonce":
                    thumbnail_nonce(page) or nonce})
            assert answer.status_code in (200, 403)
    php = """$by_mid = add_post_meta($live, 'other', 'x');
        return [set_post_thumbnail($live, $bad), update_post_meta($live, '_thumbnail_id', $bad),
            add_post_meta($live, '_thumbnail_id', $bad), update_metadata_by_mid('post', $by_mid, $bad, '_thumbnail_id'),
            (int) get_post_thumbnail_id($live), (bool) set_post_thumbnail($hidden, $bad),
            (bool) set_post_thumbnail($live, $good), (int) get_post_thumbnail_id($live),
            delete_post_thumbnail($live)];"""
    assert site.php(php, user="editor", live=live, hidden=hidden, bad=bad.id, good=good.id) == [
        False, False, False, False, 0, True, True, good.id, True]


def thumbnail_nonce(page):
    found = re.search(r"set-post-thumbnail.{0,80}nonce[^0-9a-f]+([0-9a-f]{10})", html.unescape(page))
    return found[1] if found else None


def test_an_old_article_can_still_be_put_away_or_changed_elsewhere(site, guarded):
    """It is public with what nobody has reviewed: what does not show it to anybody new is nobody's to forbid."""
    (old,) = attach(site, None)
    guarded("require")
    live = draft(site, old.block, state="publish")
    changes = [{"post_name": "other", "comment_status": "closed"}, {"post_title": "Better"}, {"post_status": "private"},
               {"post_status": "publish"}, {"post_status": "draft", "post_content": "x" + old.block}, None,
               {"post_status": "publish"}]
    found = site.php("""$found = [];
        foreach ($changes as $change) {
            if ($change === null) {
                wp_trash_post($p);
                wp_untrash_post($p);
            } else {
                wp_update_post(['ID' => $p] + $change);
            }
            $found[] = get_post_status($p);
        }
        return [$found, get_post($p)->post_title];""", user="editor", p=live, changes=changes)
    assert found == [["publish", "publish", "private", "private", "draft", "draft", "pending"], "Better"]


def test_a_reusable_block_is_guarded_once_it_is_public(site, guarded):
    (bad,) = attach(site, "unreviewed")
    guarded("require")
    block = draft(site, "Box.", kind="wp_block", state="publish")
    change = {"content": bad.block}
    with site.client("editor") as client:
        draft(site, f'<!-- wp:block {{"ref":{block}}} /-->')
        assert client.post(f"/wp-json/wp/v2/blocks/{block}", json=change).status_code == 200
        assert client.post(f"/wp-json/wp/v2/blocks/{block}", json={"content": "Box."}).status_code == 200
        outer = draft(site, f'<!-- wp:block {{"ref":{block}}} /-->', kind="wp_block", state="publish")
        draft(site, f'<!-- wp:block {{"ref":{outer}}} /-->', kind="page", state="publish")
        assert client.post(f"/wp-json/wp/v2/blocks/{block}", json=change).status_code == 409
        other = draft(site, "Box.", kind="wp_block", state="publish")
        site.php("update_option('widget_block', [2 => ['content' => '<!-- wp:block {\"ref\":' . $b . '} /-->']]);"
                 "return null;", b=other)
        assert client.post(f"/wp-json/wp/v2/blocks/{other}", json=change).status_code == 409
    assert text(site, block) == text(site, other) == "Box."


def test_autosaves_previews_and_revisions_are_not_disturbed(site, guarded):
    (bad,) = attach(site, "unreviewed")
    guarded("require")
    live, hidden = draft(site, "Live.", state="publish"), draft(site, "Not yet.")
    with site.client("editor") as client:
        for post in (live, hidden):
            answer = client.post(f"/wp-json/wp/v2/posts/{post}/autosaves", json={"content": bad.block, "title": "A"})
            assert answer.status_code == 200 and bad.name in answer.json()["content"]["raw"]
        # Not a way to the public either
        client.post(f"/wp-json/wp/v2/posts/{hidden}/autosaves", json={"content": bad.block, "status": "publish"})
    assert status(site, hidden) in ("draft", "pending") and text(site, live) == "Live."
    revision = site.php("return _wp_put_post_revision(['ID' => $p, 'post_content' => $c, 'post_title' => 'B',"
                        "'post_excerpt' => '', 'post_type' => 'post', 'post_author' => 1]);", user="editor",
                        p=live, c=bad.block)
    assert text(site, revision) == bad.block
    site.php("return wp_restore_post_revision($r);", user="editor", r=revision)
    assert text(site, live) == "Live."


def test_a_gallery_without_ids_shows_nothing_that_came_later(site, guarded):
    guarded("require")
    live = draft(site, "[gallery]", state="publish")
    site.configure(policy="off")
    (good,) = attach(site, "reviewed", parent=live)
    (bad,) = attach(site, "unreviewed", parent=live)
    show = "global $post; $post = get_post($p); return do_shortcode('[gallery]');"
    assert bad.name in site.php(show, p=live)
    guarded("require")
    shown = site.php(show, p=live)
    assert good.name in shown and bad.name not in shown
    # Themes and [video] ask for what is attached
    ask = "return array_column(get_attached_media('image', $p), 'ID');"
    assert site.php(ask, p=live) == [good.id] and len(site.php(ask, p=live, is_admin=True)) == 2


def test_what_stands_around_posts_is_held_as_well(site, guarded):
    bad, good, old = attach(site, "unreviewed", "reviewed", None)
    site.php("set_theme_mod('custom_logo', $old); return null;", old=old.id)
    guarded("require")
    now = site.php("""$bad = (object) $bad; $good = (object) $good;
        update_option('widget_block', [2 => ['content' => $good->block]]);
        set_theme_mod('custom_logo', $bad->id);
        set_theme_mod('header_image', $bad->small);
        set_theme_mod('header_text', 'A march');
        update_option('site_icon', $bad->id);
        update_option('widget_block', [2 => ['content' => $good->block], 3 => ['content' => $bad->block]]);
        update_option('widget_media_image', [2 => ['attachment_id' => $bad->id, 'url' => 'x']]);
        update_option('widget_media_gallery', [2 => ['ids' => [$good->id, $bad->id]]]);
        $held = [(int) get_theme_mod('custom_logo'), get_theme_mod('header_image'), get_theme_mod('header_text'),
            (int) get_option('site_icon'), count((array) get_option('widget_block')),
            get_option('widget_media_image')[2] ?? null, get_option('widget_media_gallery')[2] ?? null];
        set_theme_mod('custom_logo', $good->id);
        update_option('site_icon', $good->id);
        update_option('widget_media_gallery', [2 => ['ids' => [$good->id]]]);
        return [$held, get_theme_mod('custom_logo'), (int) get_option('site_icon'),
            get_option('widget_media_gallery')[2]['ids']];""", user="administrator", good={
                "id": good.id, "block": good.block}, bad={"id": bad.id, "block": bad.block, "small": bad.small})
    assert now[0] == [old.id, False, "A march", 0, 1, None, None]
    assert now[1:] == [good.id, good.id, [good.id]]
    assert "around the posts" in notices(site, "administrator")


# --- what the editor asks ---------------------------------------------------------------------------------------------


def test_the_editor_is_told_what_is_missing(site, guarded):
    bad, good = attach(site, "unreviewed", "reviewed")
    ask = {"content": bad.block + good.block, "featured": 0}
    for policy, is_closed, count in (("off", False, 0), ("suggest", False, 1), ("require", True, 1)):
        guarded(policy)
        for role in ("editor", "author"):
            with site.client(role) as client:
                answer = client.post("/wp-json/facecloak/v1/gate", json=ask)
            said = answer.json()
            assert answer.status_code == 200 and said["is_closed"] is is_closed and len(said["found"]) == count
            for one in said["found"]:
                assert one["attachment"] == bad.id and "Picture" in one["title"] and one["words"]
                assert bool(one["review"]) == (role == "editor")
