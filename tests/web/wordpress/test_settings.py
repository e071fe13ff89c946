"""The settings page, the connection test, Site Health and the log, as an administrator meets them."""

from __future__ import annotations

import csv
import io
import re

import pytest

from .attachments import attach

ADMIN = "administrator"
PAGE = "/wp-admin/options-general.php?page=facecloak"


@pytest.fixture
def admin(site):
    with site.browse(ADMIN) as browser:
        yield browser


def nonce_of(page):
    return re.search(r'name="_wpnonce" value="([0-9a-f]+)"', page)[1]


def save(browser, token=None, **settings):
    """Sends the form with these fields, as whoever forges one could; the page it leads to."""
    page = browser.get(PAGE).text
    data = {"option_page": "facecloak", "action": "update", "_wpnonce": nonce_of(page), "_wp_http_referer": PAGE,
            **{f"facecloak_settings[{name}]": value for name, value in settings.items()},
            **({} if token is None else {"facecloak_token[new]": token})}
    answer = browser.post("/wp-admin/options.php", data=data)
    assert answer.status_code == 302, answer.status_code
    return browser.get(answer.headers["Location"]).text


def stored(site):
    return site.php("""$s = new Facecloak\\Settings();
        return ['policy' => $s->policy(), 'address' => $s->address(), 'token' => $s->token(),
            'allow_cloaking' => $s->allows_cloaking(), 'default_treatment' => $s->default_treatment(),
            'retention_days' => $s->retention_days(), 'no_face' => $s->no_face_needs_review()];""")


def test_policies_that_promise_something_wait_for_a_connection_that_was_tried(site, admin, proxy, service):
    page = save(admin, service.token, address=proxy.url, policy="require")
    assert "The policy was NOT changed" in page and "has not been tested" in page
    assert stored(site)["policy"] == "off" and stored(site)["address"] == proxy.url
    assert re.search(r'value="require"[^>]*disabled', page) and not re.search(r'value="suggest"[^>]*disabled', page)
    for mode, words in (("down", "does not work"), ("html", "does not work"), ("error", "does not work")):
        proxy.mode = mode
        answer = admin.post("/wp-json/facecloak/v1/connection").json()
        assert answer["ok"] is False and words in answer["words"]
        assert "NOT changed" in save(admin, address=proxy.url, policy="require")
    proxy.mode = "up"
    before = service.client.get("/v1/jobs").json()["jobs"]  # clips of other tests
    answer = admin.post("/wp-json/facecloak/v1/connection").json()
    assert answer["ok"] is True and "looked at a picture" in answer["words"]
    assert service.client.get("/v1/jobs").json()["jobs"] == before  # nothing of it is left there
    page = save(admin, address=proxy.url, policy="enforce")
    assert stored(site)["policy"] == "enforce" and "NOT changed" not in page
    # A test is of one address with one token
    save(admin, address=proxy.url, policy="off")
    page = save(admin, "fcl_another", address=proxy.url, policy="require")
    assert stored(site)["policy"] == "off" and "NOT changed" in page
    assert admin.post("/wp-json/facecloak/v1/connection").json()["ok"] is False
    assert service.token not in str(site.sql("SELECT * FROM wp_facecloak_log"))


def test_the_quarantine_must_be_safe_before_anything_is_promised(site, admin, proxy, service):
    save(admin, service.token, address=proxy.url)
    assert admin.post("/wp-json/facecloak/v1/connection").json()["ok"] is True
    site.quarantine.chmod(0o700)
    inside = str(site.docroot / "wp-content" / "uploads" / "kept")
    why = site.php("$c = new Facecloak\\Connection(Facecloak\\Plugin::instance()); return $c->why_not_active();",
                   constants={"FACECLOAK_QUARANTINE": inside})
    assert inside in why
    chosen = site.php("""return Facecloak\\Plugin::instance()->settings_page->checked(
        ['policy' => 'require', 'address' => $a])['policy'];""", is_admin=True, user=ADMIN, a=proxy.url,
                      constants={"FACECLOAK_QUARANTINE": inside})
    assert chosen == "off"


def test_the_token_goes_in_and_never_comes_out(site, admin, service):
    secret = "fcl_a_secret_of_the_newsroom"
    pages = [save(admin, secret, address="http://127.0.0.1:9")]
    assert stored(site)["token"] == secret
    pages.append(save(admin, "", address="http://127.0.0.1:9"))  # an empty field keeps it
    pages.append(save(admin, "two words", address="http://127.0.0.1:9"))
    assert stored(site)["token"] == secret and "The old one was kept" in pages[-1]
    pages += [admin.get(at).text for at in (PAGE, "/wp-admin/options.php", "/wp-admin/upload.php?page=facecloak-log",
                                            "/wp-json/wp/v2/settings", "/wp-admin/site-health.php?tab=debug")]
    pages.append(admin.post("/wp-json/facecloak/v1/connection").text)
    assert all(secret not in page for page in pages)
    assert secret not in str(site.sql("SELECT * FROM wp_facecloak_log"))
    assert site.sql("SELECT autoload FROM wp_options WHERE option_name = 'facecloak_token'") == [["no"]]
    data = {"option_page": "facecloak", "action": "update", "facecloak_token[forget]": "1",
            "_wpnonce": nonce_of(admin.get(PAGE).text)}
    assert admin.post("/wp-admin/options.php", data=data).status_code == 302
    assert stored(site)["token"] == ""


def test_addresses_that_are_not_allowed_change_nothing(site, admin):
    assert "The old address was kept" in save(admin, address="http://example.org", policy="off")
    assert stored(site)["address"] == ""
    kept = site.php("""return array_map(function ($address) {
            return Facecloak\\Plugin::instance()->settings_page->checked(['address' => $address])['address'];
        }, $addresses);""", user=ADMIN, is_admin=True, addresses=[
            "http://example.org", "ftp://127.0.0.1", "http://user@127.0.0.1", "//127.0.0.1", "http://127.0.0.1/?a=b",
            "http://169.254.169.254", "javascript:alert(1)", "http://127.0.0.1:8000", ["http://127.0.0.1"]])
    assert kept == [""] * 7 + ["http://127.0.0.1:8000", ""]


def test_what_no_form_offers_is_not_taken(site, admin):
    save(admin, policy="nonsense", default_treatment="keep", retention_days="-1", allow_cloaking="0")
    assert stored(site) == {"policy": "off", "address": "", "token": "", "allow_cloaking": False, "no_face": True,
                            "default_treatment": "redact solid", "retention_days": 7}
    save(admin, default_treatment="cloak balanced")  # not while cloaking is not allowed
    assert stored(site)["default_treatment"] == "redact solid"
    save(admin, allow_cloaking="1", default_treatment="cloak balanced", retention_days="0", no_face_needs_review="0")
    now = stored(site)
    assert (now["default_treatment"], now["retention_days"], now["no_face"]) == ("cloak balanced", 0, False)
    actions = [row[0] for row in site.sql("SELECT action FROM wp_facecloak_log")]
    assert "settings changed" in actions


def test_site_health_says_what_does_not_hold(site, guarded, proxy):
    ask = """require_once ABSPATH . 'wp-admin/includes/class-wp-site-health.php';
        $tests = WP_Site_Health::get_tests(); $said = [];
        foreach (['direct', 'async'] as $kind) {
            foreach ($tests[$kind] as $name => $test) {
                if (strpos($name, 'facecloak_') === 0) {
                    $said[$name] = call_user_func($test['async_direct_test'] ?? $test['test'])['status'];
                }
            }
        }
        return $said;"""
    good = dict.fromkeys(("facecloak_quarantine", "facecloak_temporary", "facecloak_policy", "facecloak_work",
                          "facecloak_service"), "good")
    guarded("require")
    assert site.php(ask, user=ADMIN, is_admin=True) == good
    proxy.mode = "down"
    site.quarantine.chmod(0o755)
    with site.client(ADMIN) as client:
        said = client.get("/wp-json/facecloak/v1/site-health").json()
    assert said["status"] == "critical" and "<script" not in said["description"]
    site.php("wp_clear_scheduled_hook('facecloak_work'); return null;")
    said = site.php(ask, user=ADMIN, is_admin=True, constants={
        "FACECLOAK_QUARANTINE": str(site.docroot / "wp-content" / "kept"),
        "WP_TEMP_DIR": str(site.docroot / "wp-content" / "tmp")})
    assert said == {**good, "facecloak_service": "critical", "facecloak_work": "critical",
                    "facecloak_quarantine": "critical", "facecloak_temporary": "critical"}
    site.configure(policy="off")
    assert site.php(ask, user=ADMIN, is_admin=True)["facecloak_policy"] == "recommended"


def test_the_log_can_be_read_and_taken_along(site, admin):
    (one,) = attach(site, "unreviewed")
    site.php("""$log = Facecloak\\Plugin::instance()->log;
        $log->add('approved', $id, ['reason' => '<script>alert(1)</script>']);
        for ($i = 0; $i < 60; $i++) { $log->add('=cmd()', 0, ['n' => $i]); } return null;""", user="editor", id=one.id)
    page = admin.get("/wp-admin/upload.php?page=facecloak-log&paged=2").text
    assert "approved" in page and "Picture" in page and "editor" in page and "<script>alert" not in page
    only = admin.get("/wp-admin/upload.php?page=facecloak-log&facecloak_action=approved").text
    assert only.count("<tr>") == 2 and "n: 5" not in only
    link = re.search(r'href="([^"]*facecloak_log_csv[^"]*)"', page)[1].replace("&#038;", "&").replace("&amp;", "&")
    answer = admin.get(link)
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert len(rows) == 62 and rows[0][:2] == ["id", "time (UTC)"] and "attachment" in answer.headers[
        "Content-Disposition"]
    assert {row[4] for row in rows[1:]} == {"approved", "'=cmd()"}  # a spreadsheet calculates nothing
    link = re.search(r'href="([^"]*facecloak_log_csv[^"]*)"', only)[1].replace("&#038;", "&").replace("&amp;", "&")
    rows = list(csv.reader(io.StringIO(admin.get(link).text)))
    assert [row[4] for row in rows] == ["action", "approved"]  # what was chosen on the page
