<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Brings assets/editor.js into the block editor: the pre-publish panel and the lock on the publish button.
 */
final class EditorPanel
{
    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('enqueue_block_editor_assets', [$this, 'bring']);
    }

    public function bring(): void
    {
        // The site and widget editors load this too, and have no post to publish
        $screen = function_exists('get_current_screen') ? get_current_screen() : null;
        if ($this->plugin->settings->policy() === 'off' || $screen === null || $screen->base !== 'post') {
            return;
        }
        $needs = ['wp-plugins', 'wp-edit-post', 'wp-editor', 'wp-data', 'wp-element', 'wp-components', 'wp-api-fetch',
            'wp-i18n', 'wp-notices', 'wp-compose'];
        wp_enqueue_script(
            'facecloak-editor',
            plugins_url('assets/editor.js', FACECLOAK_FILE),
            $needs,
            FACECLOAK_VERSION,
            true
        );
        wp_set_script_translations('facecloak-editor', 'facecloak', dirname(FACECLOAK_FILE) . '/languages');
        wp_enqueue_style(
            'facecloak-admin',
            plugins_url('assets/admin.css', FACECLOAK_FILE),
            [],
            FACECLOAK_VERSION
        );
    }
}
