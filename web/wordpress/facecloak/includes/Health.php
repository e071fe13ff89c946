<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Tests of Tools -> Site Health: what must hold for the plugin to keep its promises.
 */
final class Health
{
    private const LATE_S = 900;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('site_status_tests', [$this, 'tests']);
    }

    /**
     * @param array<string, array<string, mixed>> $tests
     * @return array<string, array<string, mixed>>
     */
    public function tests(array $tests): array
    {
        // Not while the page is made: a service that does not answer would hold it up
        $tests['async']['facecloak_service'] = [
            'label' => __('The facecloak service', 'facecloak'),
            'test' => rest_url(RestGate::NAMESPACE . '/site-health'),
            'has_rest' => true,
            'async_direct_test' => [$this, 'service'],
        ];
        $direct = [
            'quarantine' => __('The facecloak quarantine', 'facecloak'),
            'policy' => __('The facecloak policy', 'facecloak'),
            'work' => __('The background work of facecloak', 'facecloak'),
        ];
        foreach ($direct as $name => $label) {
            $tests['direct']['facecloak_' . $name] = ['label' => $label, 'test' => [$this, $name]];
        }
        return $tests;
    }

    /**
     * @return array<string, mixed>
     */
    public function service(): array
    {
        $settings = $this->plugin->settings;
        if ($settings->policy() === 'off') {
            return $this->result('service', 'good', __('facecloak is off and asks no service', 'facecloak'), __(
                'No picture is looked at.',
                'facecloak'
            ));
        }
        try {
            $this->plugin->client->health();
            $this->plugin->client->limits();
        } catch (\Throwable $error) {
            return $this->result(
                'service',
                'critical',
                __('The facecloak service cannot be used', 'facecloak'),
                $error->getMessage() . ' ' . __(
                    'New pictures are refused, shown as placeholders or not checked, by the policy.',
                    'facecloak'
                )
            );
        }
        return $this->result('service', 'good', __('The facecloak service answers', 'facecloak'), __(
            'It is reachable and knows the token.',
            'facecloak'
        ));
    }

    /**
     * @return array<string, mixed>
     */
    public function quarantine(): array
    {
        $problem = $this->plugin->quarantine->problem();
        if ($problem !== null) {
            $status = $this->plugin->settings->is_active() ? 'critical' : 'recommended';
            $label = __('facecloak cannot keep originals safely', 'facecloak');
            return $this->result('quarantine', $status, $label, $problem);
        }
        $label = __('facecloak keeps originals where nobody can fetch them', 'facecloak');
        return $this->result('quarantine', 'good', $label, __(
            'The quarantine folder lies outside of what the web server serves, and only the web server can read it.',
            'facecloak'
        ));
    }

    /**
     * @return array<string, mixed>
     */
    public function policy(): array
    {
        if ($this->plugin->settings->is_active()) {
            return $this->result('policy', 'good', __('facecloak covers faces in what is uploaded', 'facecloak'), __(
                'Posts with media that nobody has reviewed cannot be published.',
                'facecloak'
            ));
        }
        $words = $this->plugin->settings->policy() === 'off'
            ? __('Nothing is looked at and nothing is covered.', 'facecloak')
            : __('Faces are listed but NOT covered, and any post can be published.', 'facecloak');
        $label = __('facecloak does not protect faces', 'facecloak');
        return $this->result('policy', 'recommended', $label, $words);
    }

    /**
     * @return array<string, mixed>
     */
    public function work(): array
    {
        $next = wp_next_scheduled('facecloak_work');
        if ($next === false || $next < time() - self::LATE_S) {
            return $this->result(
                'work',
                $this->plugin->settings->is_active() ? 'critical' : 'recommended',
                __('The background work of facecloak does not run', 'facecloak'),
                __(
                    'Placeholders are not replaced, clips are not finished and originals are not deleted in time.'
                    . ' Check the scheduled events (WP-Cron) of this site, or activate the plugin anew.',
                    'facecloak'
                )
            );
        }
        $failed = $this->plugin->records->count_by_state()[Record::FAILED];
        if ($failed > 0) {
            $label = __('facecloak could not process some files', 'facecloak');
            return $this->result('work', 'recommended', $label, sprintf(
                /* translators: %d: number of files */
                _n(
                    '%d file is shown as a placeholder and will stay so.',
                    '%d files are shown as placeholders and will stay so.',
                    $failed,
                    'facecloak'
                ),
                $failed
            ));
        }
        return $this->result('work', 'good', __('The background work of facecloak runs', 'facecloak'), __(
            'Placeholders are replaced, clips finished and originals deleted when their time is over.',
            'facecloak'
        ));
    }

    /**
     * @return array<string, mixed> as Site Health wants it
     */
    private function result(string $test, string $status, string $label, string $words): array
    {
        return [
            'label' => $label,
            'status' => $status,
            'badge' => ['label' => __('Security', 'facecloak'), 'color' => $status === 'good' ? 'blue' : 'red'],
            'description' => '<p>' . esc_html($words) . '</p>',
            'actions' => $status === 'good' || !current_user_can(Capabilities::MANAGE) ? '' : sprintf(
                '<p><a href="%s">%s</a></p>',
                esc_url(SettingsPage::url()),
                esc_html__('Settings of facecloak', 'facecloak')
            ),
            'test' => 'facecloak_' . $test,
        ];
    }
}
