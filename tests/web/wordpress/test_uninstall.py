"""After the plugin was deleted nothing of it is left but the safe media themselves."""

from __future__ import annotations

from .photos import march, shows_faces


def facts(site):
    """Everything that a plugin could leave."""
    return {
        "tables": sorted(name for (name,) in site.sql("SHOW TABLES")),
        "options": sorted(name for (name,) in site.sql("SELECT option_name FROM wp_options")),
        "usermeta": sorted({key for (key,) in site.sql("SELECT meta_key FROM wp_usermeta")}),
        "postmeta": sorted({key for (key,) in site.sql("SELECT meta_key FROM wp_postmeta")}),
        "mentions": site.sql("SELECT option_name FROM wp_options WHERE option_value LIKE '%facecloak%'"),
        "capabilities": site.php("return array_map(fn($role) => $role->capabilities, wp_roles()->role_objects);"),
        "of people": site.php("return array_map(fn($one) => $one->allcaps, get_users());"),
        "cron": site.php("return array_values(array_unique(array_merge([], ...array_map('array_keys', array_values("
                         "array_filter((array) _get_cron_array(), 'is_array'))))));"),
        "files": sorted(path.name for path in site.docroot.rglob("*facecloak*")),
    }


def test_nothing_of_the_plugin_is_left(guarded, proxy):
    site = guarded("require")
    photo = site.media(march(1))
    proxy.mode = "down"
    site.media(march(2), "waits.jpg")
    proxy.mode = "up"
    site.php("""
        set_transient('facecloak_test', 'x', 3600);
        set_site_transient('facecloak_test', 'x', 3600);
        update_user_meta(1, 'facecloak_seen', 1);
        get_role('author')->add_cap('facecloak_review');
        get_user_by('login', 'subscriber')->add_cap('facecloak_keep');
        Facecloak\\Plugin::instance()->scan->start();
        Facecloak\\Plugin::instance()->scan->step(5);
        Facecloak\\Plugin::instance()->scan->start();
        update_post_meta($id, '_facecloak_scan', '{}');
        return null;""", id=photo["id"])
    (site.quarantine / "somebody-elses.txt").write_text("not ours")
    before = facts(site)
    assert any("facecloak" in name for name in before["tables"]) and site.kept
    assert "facecloak_work" in before["cron"] and "facecloak_scan" in before["cron"]
    assert "facecloak_settings" in before["options"] and "_facecloak_scan" in before["postmeta"]
    assert any("facecloak_manage" in caps for caps in before["capabilities"].values())
    media = {path: path.read_bytes() for path in site.files}

    # As the Plugins page does it: deactivated, then deleted with its files
    said = site.php("""
        deactivate_plugins('facecloak/facecloak.php');
        return get_option('active_plugins');""", user="administrator", is_admin=True)
    assert said == []
    assert site.sql("SELECT option_name FROM wp_options WHERE option_name = 'facecloak_settings'"), "too early"
    assert site.kept, "originals must outlive a deactivation"
    gone = site.php("$done = delete_plugins(['facecloak/facecloak.php']); return is_wp_error($done) "
                    "? $done->get_error_message() : $done;", user="administrator", is_admin=True)
    assert gone is True

    after = facts(site)
    for what, found in after.items():
        assert "facecloak" not in str(found), f"{what}: {found}"
    # Not even what somebody else put there was touched, and so the folder stays
    assert [path.name for path in site.quarantine.rglob("*")] == ["somebody-elses.txt"]
    # The media themselves stay as they are: no original comes back
    assert {path: path.read_bytes() for path in site.files} == media
    assert not any(shows_faces(path) for path in media)


def test_without_strangers_in_it_the_quarantine_goes_too(guarded):
    site = guarded("require")
    site.media(march(3))
    assert site.kept
    site.php("deactivate_plugins('facecloak/facecloak.php'); delete_plugins(['facecloak/facecloak.php']); return null;",
             user="administrator", is_admin=True)
    assert not site.quarantine.exists()


def test_what_was_deleted_can_be_installed_again(guarded, proxy):
    site = guarded("enforce")
    site.php("deactivate_plugins('facecloak/facecloak.php'); delete_plugins(['facecloak/facecloak.php']); return null;",
             user="administrator", is_admin=True)
    site.reset()
    assert site.php("return is_plugin_active('facecloak/facecloak.php');", is_admin=True)
    site.configure(proxy.url, policy="enforce")
    answer = site.upload(march(4))  # the token went with the rest
    assert answer.status_code >= 400 and site.files == []
