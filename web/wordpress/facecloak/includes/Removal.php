<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What uninstalling removes. The media in uploads stay as they are: covered, or what stands in for an original.
 */
final class Removal
{
    public static function everywhere(): void
    {
        if (!is_multisite()) {
            self::here();
        } else {
            foreach (get_sites(['fields' => 'ids', 'number' => 0]) as $site) {
                switch_to_blog((int) $site);
                self::here();
                restore_current_blog();
            }
        }
        (new Quarantine())->destroy();
    }

    private static function here(): void
    {
        global $wpdb;
        $quarantine = new Quarantine();
        foreach ((new Records())->originals() ?? [] as $name) {
            if ($quarantine->has($name)) {
                @unlink($quarantine->path($name));  // also where the site was moved since
            }
        }
        (new Records())->drop();
        (new Log())->drop();
        Capabilities::revoke();
        foreach ((array) _get_cron_array() as $events) {
            foreach (array_keys((array) $events) as $hook) {
                if (strpos((string) $hook, 'facecloak_') === 0) {
                    wp_unschedule_hook((string) $hook);
                }
            }
        }
        $kinds = ['', '_transient_', '_transient_timeout_', '_site_transient_', '_site_transient_timeout_'];
        foreach ($kinds as $before) {
            $pattern = $wpdb->esc_like($before . 'facecloak_') . '%';
            $names = $wpdb->get_col(
                $wpdb->prepare("SELECT option_name FROM {$wpdb->options} WHERE option_name LIKE %s", $pattern)
            );
            array_map('delete_option', (array) $names);  // so that caches forget them too
        }
        foreach ([$wpdb->postmeta, $wpdb->usermeta] as $table) {
            foreach (['facecloak_', '_facecloak_'] as $before) {
                $pattern = $wpdb->esc_like($before) . '%';
                $wpdb->query($wpdb->prepare("DELETE FROM $table WHERE meta_key LIKE %s", $pattern));
            }
        }
        wp_cache_flush();
    }
}
