<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Settings -> facecloak. What is chosen is checked here, not in the page: a form can send anything.
 */
final class SettingsPage
{
    public const SLUG = 'facecloak';
    private const GROUP = 'facecloak';

    private Plugin $plugin;
    private Connection $connection;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
        $this->connection = new Connection($plugin);
    }

    public function register(): void
    {
        add_action('admin_menu', [$this, 'menu']);
        add_action('admin_init', [$this, 'settings']);
        add_action('admin_enqueue_scripts', [$this, 'bring']);
        add_action('update_option_' . Settings::OPTION, [$this, 'log_change'], 10, 2);
        add_action('update_option_' . Settings::TOKEN, [$this, 'log_token']);
        add_filter('option_page_capability_' . self::GROUP, [$this, 'capability']);
        add_filter('plugin_action_links_' . plugin_basename(FACECLOAK_FILE), [$this, 'link']);
    }

    public static function url(): string
    {
        return admin_url('options-general.php?page=' . self::SLUG);
    }

    public function capability(): string
    {
        return Capabilities::MANAGE;
    }

    public function menu(): void
    {
        $title = __('facecloak', 'facecloak');
        add_options_page($title, $title, Capabilities::MANAGE, self::SLUG, [$this, 'page']);
    }

    public function settings(): void
    {
        // In this order they are written: what is chosen in the second is checked with the token of the first
        register_setting(self::GROUP, Settings::TOKEN, ['sanitize_callback' => [$this, 'token']]);
        register_setting(self::GROUP, Settings::OPTION, ['sanitize_callback' => [$this, 'checked']]);
    }

    public function bring(string $hook): void
    {
        if ($hook !== 'settings_page_' . self::SLUG) {
            return;
        }
        $at = plugins_url('assets/', FACECLOAK_FILE);
        wp_enqueue_style('facecloak-admin', $at . 'admin.css', [], FACECLOAK_VERSION);
        wp_enqueue_script(
            'facecloak-settings',
            $at . 'settings.js',
            ['wp-api-fetch', 'wp-i18n', 'wp-a11y'],
            FACECLOAK_VERSION,
            true
        );
        wp_set_script_translations('facecloak-settings', 'facecloak', dirname(FACECLOAK_FILE) . '/languages');
    }

    /**
     * @param string[] $links
     * @return string[]
     */
    public function link(array $links): array
    {
        $link = sprintf('<a href="%s">%s</a>', esc_url(self::url()), esc_html__('Settings', 'facecloak'));
        return current_user_can(Capabilities::MANAGE) ? array_merge([$link], $links) : $links;
    }

    // --- what a form sends --------------------------------------------------------------------------------------

    /**
     * An empty field keeps the token that is there, because the form never shows it.
     *
     * @param mixed $given
     * @return mixed
     */
    public function token($given)
    {
        $old = get_option(Settings::TOKEN, '');
        $given = is_array($given) ? $given : ['new' => $given];
        if (isset($given['forget'])) {
            return '';
        }
        // In `token` it is stored, and WordPress has what is new sanitised twice
        $new = $given['new'] ?? ($given['token'] ?? '');
        $new = is_string($new) ? trim($new) : '';
        if ($new === '') {
            return $old;
        }
        if (preg_match('/^[\x21-\x7e]{1,500}$/', $new) !== 1) {
            $this->complain(__('A token has no spaces and no special letters. The old one was kept.', 'facecloak'));
            return $old;
        }
        return ['token' => $new];
    }

    /**
     * @param mixed $given
     * @return array<string, mixed>
     */
    public function checked($given): array
    {
        $given = is_array($given) ? $given : [];
        $old = $this->plugin->settings->policy();
        $address = is_string($given['address'] ?? null) ? trim($given['address']) : '';
        $problem = $address === '' ? null : Settings::address_problem($address);
        if ($problem !== null) {
            $this->complain($problem . ' ' . __('The old address was kept.', 'facecloak'));
        }
        $clean = Settings::sanitise($given);
        $policy = (string) ($clean['policy'] ?? 'off');
        if ($policy !== $old && in_array($policy, ['require', 'enforce'], true)) {
            $why = $this->why_not($clean);
            if ($why !== null) {
                $this->complain(__('The policy was NOT changed.', 'facecloak') . ' ' . $why);
                $clean['policy'] = $old;
            }
        }
        return $clean;
    }

    /**
     * @param array<string, mixed> $old
     * @param array<string, mixed> $new
     */
    public function log_change($old, $new): void
    {
        $old = is_array($old) ? $old : [];
        $changes = [];
        foreach (is_array($new) ? $new : [] as $name => $value) {
            if (($old[$name] ?? null) !== $value) {
                $changes[(string) $name] = ['from' => $old[$name] ?? null, 'to' => $value];
            }
        }
        if ($changes !== []) {
            $this->plugin->log->add('settings changed', 0, $changes);
        }
    }

    public function log_token(): void
    {
        $this->plugin->log->add('token changed', 0);
    }

    /**
     * The address that is about to be written counts, not the one that was.
     *
     * @param array<string, mixed> $clean
     */
    private function why_not(array $clean): ?string
    {
        $as_written = static function () use ($clean): array {
            return $clean;
        };
        add_filter('pre_option_' . Settings::OPTION, $as_written);
        try {
            return $this->connection->why_not_active();
        } finally {
            remove_filter('pre_option_' . Settings::OPTION, $as_written);
        }
    }

    private function complain(string $words): void
    {
        // WordPress may sanitise the same thing twice, where the option is new
        $known = array_column(get_settings_errors(Settings::OPTION), 'message');
        if (!in_array($words, $known, true)) {
            add_settings_error(Settings::OPTION, 'facecloak', $words, 'error');
        }
    }

    // --- the page -----------------------------------------------------------------------------------------------

    public function page(): void
    {
        if (!current_user_can(Capabilities::MANAGE)) {
            wp_die(esc_html__('You may not set up facecloak.', 'facecloak'), '', ['response' => 403]);
        }
        (new SettingsForm($this->plugin, $this->connection))->show(self::GROUP);
    }
}
