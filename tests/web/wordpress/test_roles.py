"""Who may do what: every action of the plugin, by everybody, with and without what proves that they meant it."""

from __future__ import annotations

import hashlib
import re

import pytest

from .attachments import attach, post, state_of
from .newsroom import ROLES

REVIEWERS = ("administrator", "editor")
WRITERS = (*REVIEWERS, "author", "contributor")
TOKEN = "0123456789abcdef" * 2
# (method, route, body): who may. {id} is a picture of the author
ROUTES = {
    ("GET", "/media/{id}"): REVIEWERS, ("GET", "/media/{id}/original"): REVIEWERS,
    ("GET", "/media/{id}/preview/" + TOKEN): REVIEWERS, ("POST", "/media/{id}/preview"): REVIEWERS,
    ("POST", "/media/{id}/approve"): REVIEWERS, ("POST", "/media/{id}/retry"): REVIEWERS,
    ("POST", "/media/{id}/look-again"): REVIEWERS, ("GET", "/media/{id}/tracks"): REVIEWERS,
    ("GET", "/media/{id}/picture/track-1-1.jpg"): REVIEWERS, ("PUT", "/media/{id}/decisions"): REVIEWERS,
    ("POST", "/gate"): WRITERS, ("POST", "/connection"): ("administrator",),
    ("GET", "/site-health"): ("administrator",), ("GET", "/scan"): ("administrator",),
    ("POST", "/scan"): ("administrator",),
}
BODIES = {"/preview": {"choices": {"default": "redact solid"}}, "/decisions": {"tracks": {"1": "hide"}},
          "/approve": {"as_is": True, "shown": "0" * 64}, "/scan": {"do": "stop"}}
# admin-post and admin-ajax: the capability, and what the nonce is of
ACTIONS = {"facecloak_log_csv": (("administrator",), "facecloak_log_csv"),
           "facecloak_scan_csv": (("administrator",), "facecloak_scan_csv"),
           "facecloak_again": (REVIEWERS, "facecloak_again_{id}")}
PAGES = {"/wp-admin/options-general.php?page=facecloak": ("administrator",),
         "/wp-admin/upload.php?page=facecloak-log": ("administrator",),
         "/wp-admin/upload.php?page=facecloak-scan": ("administrator",),
         "/wp-admin/upload.php?page=facecloak-review": REVIEWERS}


def body(route):
    return next((body for end, body in BODIES.items() if route.endswith(end)), {"content": "A march."})


def everything(site):
    """What nobody who was refused may have changed."""
    rows = site.sql("SELECT * FROM wp_facecloak_media; SELECT COUNT(*) FROM wp_facecloak_log;"
                    "SELECT option_name, option_value FROM wp_options WHERE option_name LIKE 'facecloak%';"
                    "SELECT ID, post_status, post_content, post_excerpt FROM wp_posts"
                    " WHERE post_status <> 'auto-draft';"
                    "SELECT * FROM wp_postmeta WHERE meta_key NOT LIKE '\\_edit\\_%'")
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in site.files + site.kept}
    return rows, files


def nonce(site, browser, role, action, *, is_stale=False):
    """As a page would have given it to this browser, today or two days ago."""
    ((name, cookie),) = [(one.name, one.value) for one in browser.cookies.jar
                         if one.name.startswith("wordpress_logged_in")]
    return site.php("""$_COOKIE[LOGGED_IN_COOKIE] = urldecode($cookie);
        if ($stale) { add_filter('nonce_life', function () { return DAY_IN_SECONDS; }); }
        $tick = wp_nonce_tick() - ($stale ? 4 : 0);
        return substr(wp_hash($tick . '|' . $action . '|' . get_current_user_id() . '|' . wp_get_session_token(),
            'nonce'), -12, 10);""", user=role, cookie=cookie, action=action, stale=is_stale)


@pytest.fixture
def picture(site, guarded):
    """Of the author, waiting for review."""
    (one,) = attach(site, "unreviewed")
    guarded("require")
    return one


# --- REST -------------------------------------------------------------------------------------------------------------


def test_every_route_is_open_to_those_it_is_for_and_to_nobody_else(site, picture):
    before = everything(site)
    asked = [[method, "/facecloak/v1" + route.format(id=picture.id), body(route)] for method, route in ROUTES]
    people = [role for role in (*ROLES, None)]
    said = site.php("""$said = [];
        foreach ($people as $person) {
            wp_set_current_user($person === null ? 0 : get_user_by('login', $person)->ID);
            foreach ($asked as [$method, $route, $body]) {
                if ($refused_only && in_array($person ?? '', $refused_only[$method . ' ' . $route], true)) {
                    $said[$person ?? ''][] = null;
                    continue;
                }
                $request = new WP_REST_Request($method, $route);
                $request->set_header('Content-Type', 'application/json');
                $request->set_body(wp_json_encode($body));
                $said[$person ?? ''][] = rest_do_request($request)->get_status();
            }
        }
        return $said;""", people=people, asked=asked, refused_only={
        f"{method} {route}": allowed for (method, route, _), allowed in zip(asked, ROUTES.values(), strict=True)})
    for person in people:
        for ((method, route), allowed), status in zip(ROUTES.items(), said[person or ""], strict=True):
            expected = None if person in allowed else 403 if person else 401
            assert status == expected, (person, method, route, status)
    assert everything(site) == before


def test_no_route_is_left_out_of_the_table(site, picture):
    """A route that comes later, and that nobody thought of here, is at least closed to those who may do nothing."""
    known = {re.sub(r"\{id\}|" + TOKEN + r"|track-1-1\.jpg", "#", route) for _, route in ROUTES}
    routes = site.php("""$found = [];
        foreach (rest_get_server()->get_routes('facecloak/v1') as $route => $handlers) {
            foreach ($handlers as $handler) {
                $found[] = [$route, is_callable($handler['permission_callback'] ?? null),
                    array_keys($handler['methods'])];
            }
        }
        return $found;""")
    assert len(routes) > len(known) / 2
    for route, has_permission, methods in routes:
        plain = re.sub(r"\(\?P<\w+>(?:\[[^\]]*\]|\([^)]*\)|[^()\[\]])*\)", "#", route.removeprefix("/facecloak/v1"))
        if plain == "":
            continue  # the list of routes, WordPress's own
        assert has_permission, route
        if plain not in known:
            with site.client("subscriber") as subscriber, site.client() as nobody:
                for method in methods:
                    at = "/wp-json/facecloak/v1" + plain.replace("#", "1")
                    # What is asked for wrongly is refused before it is looked at who asks
                    assert subscriber.request(method, at).status_code in (400, 403), route
                    assert nobody.request(method, at).status_code in (400, 401), route


def test_reviewers_are_let_in(site, picture):
    with site.client("editor") as client:
        assert client.get(f"/wp-json/facecloak/v1/media/{picture.id}").json()["id"] == picture.id
        assert client.post("/wp-json/facecloak/v1/connection").status_code == 403
    with site.client("administrator") as client:
        assert client.get("/wp-json/facecloak/v1/site-health").json()["status"] == "good"
        assert client.post("/wp-json/facecloak/v1/connection").json()["ok"] is True


def test_a_browser_without_a_fresh_nonce_is_nobody(site, picture):
    """Other sites can make a browser ask with its cookies; they cannot make it send this."""
    before = everything(site)
    with site.browse("administrator") as browser:
        fresh = browser.headers.pop("X-WP-Nonce")
        stale = nonce(site, browser, "administrator", "wp_rest", is_stale=True)
        for headers, expected in (({}, 401), ({"X-WP-Nonce": stale}, 403), ({"X-WP-Nonce": fresh[::-1]}, 403)):
            for method, route in ROUTES:
                if headers and (method, route) not in (("POST", "/media/{id}/approve"), ("POST", "/connection")):
                    continue  # WordPress looks at nonces before it looks at routes
                answer = browser.request(method, "/wp-json/facecloak/v1" + route.format(id=picture.id),
                                         json=body(route) if method != "GET" else None, headers=headers)
                assert answer.status_code == expected, (method, route, headers, answer.text[:200])
        assert everything(site) == before
        answer = browser.get(f"/wp-json/facecloak/v1/media/{picture.id}", headers={"X-WP-Nonce": fresh})
        assert answer.status_code == 200


def test_nobody_asks_about_posts_of_others(site, picture):
    theirs, own = post(site, "Secret.", author="editor"), post(site, author="author")
    for role, id, expected in (("author", theirs, 403), ("author", own, 200), ("contributor", own, 403),
                               ("editor", own, 200), ("author", 999999, 403)):
        with site.client(role) as client:
            answer = client.post("/wp-json/facecloak/v1/gate", json={"content": picture.block, "post": id})
        assert answer.status_code == expected, (role, id)
    # Nor does it tell the titles of files that belong to what somebody may not read
    (hidden,) = attach(site, "unreviewed", parent=theirs, author="editor")
    with site.client("contributor") as client:
        answer = client.post("/wp-json/facecloak/v1/gate", json={"content": hidden.block})
    assert answer.json()["is_closed"] and "Picture" not in answer.text and str(hidden.id) in answer.text


# --- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_forms_and_pages_are_closed_to_everybody_else(site, picture, role):
    before = everything(site)
    with site.browse(role) as browser:
        for page, allowed in PAGES.items():
            answer = browser.get(page)
            assert answer.status_code == (200 if role in allowed else 403), (page, answer.status_code)
        for action, (allowed, of) in ACTIONS.items():
            right = nonce(site, browser, role, of.format(id=picture.id))
            given = {"action": action, "media": picture.id}
            wrong = [{}, {"_wpnonce": "0123456789"}]
            if role in allowed:
                wrong.append({"_wpnonce": nonce(site, browser, role, of.format(id=picture.id), is_stale=True)})
            else:
                wrong.append({"_wpnonce": right})
            for more in wrong:
                answer = browser.get("/wp-admin/admin-post.php", params={**given, **more})
                assert answer.status_code == 403, (action, more, answer.status_code)
        if role not in REVIEWERS:
            bulk = nonce(site, browser, role, "bulk-media")
            for action in ("facecloak_confirm", "facecloak_again"):
                answer = browser.get("/wp-admin/upload.php", params={
                    "action": action, "media[]": picture.id, "_wpnonce": bulk, "mode": "list"})
                assert answer.status_code == 403, (action, answer.status_code)
        if role != "administrator":
            answer = browser.post("/wp-admin/options.php", data={
                "option_page": "facecloak", "action": "update", "facecloak_settings[policy]": "off",
                "_wpnonce": nonce(site, browser, role, "facecloak-options")})
            assert answer.status_code == 403
    assert everything(site) == before


def test_those_who_may_need_fresh_nonces_as_well(site, picture):
    before = everything(site)
    with site.browse("administrator") as browser:
        for more in ({}, {"_wpnonce": nonce(site, browser, "administrator", "bulk-media", is_stale=True)}):
            answer = browser.get("/wp-admin/upload.php", params={
                "action": "facecloak_confirm", "media[]": picture.id, "mode": "list", **more})
            assert answer.status_code == 403
        for more in ({}, {"_wpnonce": nonce(site, browser, "administrator", "facecloak-options", is_stale=True)}):
            answer = browser.post("/wp-admin/options.php", data={
                "option_page": "facecloak", "action": "update", "facecloak_settings[policy]": "off", **more})
            assert answer.status_code == 403
        assert everything(site) == before
        answer = browser.get("/wp-admin/admin-post.php", params={
            "action": "facecloak_log_csv", "_wpnonce": nonce(site, browser, "administrator", "facecloak_log_csv")})
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/csv")


def test_who_is_logged_out_reaches_nothing(site, picture):
    before = everything(site)
    with site.client() as nobody:
        for page in PAGES:
            answer = nobody.get(page)
            assert answer.status_code == 302 and "wp-login.php" in answer.headers["Location"]
        for action in ACTIONS:
            for door in ("admin-post.php", "admin-ajax.php"):
                answer = nobody.get(f"/wp-admin/{door}", params={"action": action, "media": picture.id})
                assert answer.status_code in (302, 400) or answer.text in ("", "0"), (action, door)
                assert "wp_facecloak" not in answer.text and "text/csv" not in answer.headers.get("Content-Type", "")
    assert everything(site) == before


def test_no_form_action_is_left_out_of_the_table(site, picture):
    hooks = site.php("""global $wp_filter;
        return array_values(preg_grep('/^(?:admin_post|admin_action|wp_ajax)_(?:nopriv_)?facecloak/',
            array_keys($wp_filter)));""", user="administrator", is_admin=True)
    assert not [hook for hook in hooks if "nopriv" in hook]
    with site.browse("subscriber") as browser:
        for hook in hooks:
            door, _, action = re.fullmatch(r"(admin_post|admin_action|wp_ajax)_((facecloak)\w*)", hook).group(1, 3, 2)
            if action not in ACTIONS:
                before = everything(site)
                at = "/wp-admin/" + ("admin-ajax.php" if door == "wp_ajax" else "admin-post.php")
                answer = browser.post(at, data={"action": action})
                assert answer.status_code in (400, 403), action
                assert everything(site) == before


def test_capabilities_count_and_roles_do_not(site, picture):
    """An administrator can take them away, and give them to whoever reviews."""
    site.php("""get_role('editor')->remove_cap('facecloak_review');
        get_role('author')->add_cap('facecloak_review');
        get_role('administrator')->remove_cap('facecloak_manage'); return null;""")
    (theirs,) = attach(site, "unreviewed", author="editor")
    before = everything(site)
    with site.browse("editor") as browser:
        assert browser.get(f"/wp-json/facecloak/v1/media/{picture.id}").status_code == 403
        answer = browser.get("/wp-admin/admin-post.php", params={
            "action": "facecloak_again", "media": picture.id,
            "_wpnonce": nonce(site, browser, "editor", f"facecloak_again_{picture.id}")})
        assert answer.status_code == 403
    with site.browse("administrator") as browser:
        assert browser.get("/wp-admin/options-general.php?page=facecloak").status_code == 403
        answer = browser.post("/wp-admin/options.php", data={
            "option_page": "facecloak", "action": "update", "facecloak_settings[policy]": "off",
            "_wpnonce": nonce(site, browser, "administrator", "facecloak-options")})
        assert answer.status_code == 403
        assert browser.post("/wp-json/facecloak/v1/connection").status_code == 403
    assert everything(site) == before
    with site.browse("author") as browser:
        assert browser.get(f"/wp-json/facecloak/v1/media/{picture.id}").status_code == 200
        # Its own, but not what somebody else has uploaded
        for one, expected in ((theirs, "unreviewed"), (picture, "reviewed")):
            browser.get("/wp-admin/upload.php", params={
                "action": "facecloak_confirm", "media[]": one.id, "mode": "list",
                "_wpnonce": nonce(site, browser, "author", "bulk-media")})
            assert state_of(site, one) == expected


def test_what_was_taken_away_does_not_come_back_with_an_update(site):
    now = site.php("""get_role('editor')->remove_cap('facecloak_keep');
        update_option('facecloak_version', '0');
        Facecloak\\Plugin::instance()->upgrade();
        return [get_role('editor')->has_cap('facecloak_keep'), get_role('editor')->has_cap('facecloak_review'),
            get_option('facecloak_version') !== '0'];""")
    assert now == [False, True, True]


def test_capabilities_come_and_go_with_the_plugin(site):
    ask = """$found = [];
        foreach (wp_roles()->roles as $name => $role) {
            $found[$name] = array_values(preg_grep('/^facecloak_/', array_keys(array_filter($role['capabilities']))));
        }
        return $found;"""
    given = {"administrator": ["facecloak_review", "facecloak_keep", "facecloak_manage"],
             "editor": ["facecloak_review", "facecloak_keep"], "author": [], "contributor": [], "subscriber": []}
    assert site.php(ask) == given
    left = site.php("get_user_by('login', 'author')->add_cap('facecloak_review');"
                    "Facecloak\\Capabilities::revoke();" + ask.replace("return $found;", "")
                    + "return [$found, get_user_by('login', 'author')->has_cap('facecloak_review')];")
    assert left == [{role: [] for role in given}, False]
