"""The commands for WP-CLI, which Debian has not: they are called as it calls them, and what they say is kept."""

from __future__ import annotations

import json

from .photos import march, shows_faces

WP_CLI = r"""
final class Ended extends Exception {}
// The calls of https://make.wordpress.org/cli/handbook/references/internal-api/ that are used
final class WP_CLI
{
    public static array $commands = [];
    public static array $said = [];
    public static function add_command($name, $what) { self::$commands[$name] = $what; }
    public static function line($words = '') { self::$said[] = $words; }
    public static function success($words) { self::$said[] = "Success: $words"; }
    public static function warning($words) { self::$said[] = "Warning: $words"; }
    public static function error($words) { self::$said[] = "Error: $words"; throw new Ended($words); }
}
define('WP_CLI', true);
Facecloak\Plugin::instance()->cli->register();
try {
    WP_CLI::$commands['facecloak']->$command($words, $options);
    $code = 0;
} catch (Ended $ended) {
    $code = 1;
}
return [$code, WP_CLI::$said];
"""


def wp(site, command, *words, **options):
    """(exit code, lines)"""
    return tuple(site.php(WP_CLI, command=command,
                          words=[str(word) for word in words], options=options or {"": ""}))


def test_no_command_is_added_elsewhere(site):
    assert site.php("return defined('WP_CLI') || class_exists('WP_CLI', false);") is False


def test_status_says_what_is_set_and_no_secret(guarded, service, proxy):
    site = guarded("require")
    site.media(march(1))
    code, said = wp(site, "status")
    assert code == 0 and "policy: require" in said and "unreviewed: 1" in said and "token: (set)" in said
    assert not any(service.token in line for line in said)
    proxy.mode = "down"
    code, said = wp(site, "status")
    assert code == 1 and any(line.startswith("Error: Uploads cannot be looked at") for line in said)


def test_scan_goes_through_the_library(guarded, proxy):
    site = guarded("off")
    id = site.media(march(2), "told.jpg")["id"]
    code, said = wp(site, "scan")
    assert code == 0 and any(line.startswith(f"{id}  ") and "faces: 2" in line and "position" in line for line in said)
    assert said[-1] == "Success: 1 looked at, 1 listed. Detection misses faces."
    proxy.mode = "down"
    code, said = wp(site, "scan")
    assert code == 1 and said[-1].endswith("The rest was not looked at.")


def test_retry_treats_what_waits(guarded, proxy):
    site = guarded("require")
    proxy.mode = "error"
    id = site.media(march(3))["id"]
    code, said = wp(site, "retry")
    assert any(line.startswith(f"{id}  waiting") for line in said)
    proxy.mode = "up"
    code, said = wp(site, "retry", id)
    assert code == 0 and f"{id}  unreviewed" in said
    assert not any(shows_faces(path) for path in site.files)
    code, said = wp(site, "retry", id + 999)
    assert code == 1 and said[-1] == "Error: 1 file was not treated."


def test_retention_deletes_originals_whose_time_is_over(guarded):
    site = guarded("require", retention_days=1)
    site.media(march(4))
    site.sql("UPDATE wp_facecloak_media SET state = 'reviewed', reviewed_at = UTC_TIMESTAMP()")
    assert wp(site, "retention")[0] == 0 and len(site.kept) == 1
    site.sql("UPDATE wp_facecloak_media SET reviewed_at = '2020-01-01 00:00:00'")
    assert wp(site, "retention")[0] == 0 and site.kept == []


def test_log_tells_who_did_what_as_json_lines(guarded):
    site = guarded("require")
    id = site.media(march(5))["id"]
    code, said = wp(site, "log", action="uploaded", id=str(id))
    assert code == 0 and len(said) == 1
    row = json.loads(said[0])
    assert row["attachment_id"] == id and row["user_id"] == site.ids["author"]
