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
            'temporary' => __('Temporary files of uploads', 'facecloak'),
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
        $label = __('facecloak keeps originals outside of the folders of this site', 'facecloak');
        return $this->result('quarantine', 'good', $label, __(
            'The quarantine folder lies outside of WordPress, its uploads and the root of its web server, and only the'
            . ' user that PHP runs as can read it. Whether another site serves it cannot be seen from here.',
            'facecloak'
        ));
    }

    /**
     * Where uploads lie as they came, until facecloak has seen to them; for longer where a request dies.
     *
     * @return array<string, mixed>
     */
    public function temporary(): array
    {
        $folders = [get_temp_dir(), sys_get_temp_dir(), (string) ini_get('upload_tmp_dir')];
        foreach (array_unique(array_filter($folders)) as $folder) {
            $inside = $this->plugin->quarantine->served($folder);
            if ($inside !== null) {
                $status = $this->plugin->settings->is_active() ? 'critical' : 'recommended';
                $label = __('Uploads lie where they can be fetched before facecloak sees them', 'facecloak');
                return $this->result('temporary', $status, $label, sprintf(
                    /* translators: 1: folder, 2: folder that the web server serves */
                    __(
                        'The folder for temporary files %1$s lies inside %2$s. Set upload_tmp_dir and sys_temp_dir in'
                        . ' php.ini, and WP_TEMP_DIR in wp-config.php, to a folder that no web server serves.',
                        'facecloak'
                    ),
                    $folder,
                    $inside
                ));
            }
        }
        $label = __('Temporary files of uploads lie outside of the folders of this site', 'facecloak');
        return $this->result('temporary', 'good', $label, __(
            'Until facecloak has seen to an upload, it lies outside of WordPress and the root of its web server.',
            'facecloak'
        ));
    }

    /**
     * @return array<string, mixed>
     */
    public function policy(): array
    {
        if ($this->plugin->settings->is_active()) {
            return $this->result('policy', 'good', __('facecloak covers the faces it finds', 'facecloak'), __(
                'Posts with media that nobody has reviewed cannot be published. Detection misses faces.',
                'facecloak'
            ));
        }
        $words = $this->plugin->settings->policy() === 'off'
            ? __('Nothing is looked at and nothing is covered.', 'facecloak')
            : __(
                'Faces in pictures are listed but NOT covered, clips are not looked into, and any post can be'
                . ' published.',
                'facecloak'
            );
        $label = __('facecloak does not protect faces', 'facecloak');
        return $this->result('policy', 'recommended', $label, $words);
    }

    /**
     * @return array<string, mixed>
     */
    public function work(): array
    {
        $next = wp_next_scheduled(Queue::WORK);
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
