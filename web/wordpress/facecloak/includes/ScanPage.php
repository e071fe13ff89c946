<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Media -> facecloak scan: starts a scan of the library, shows how far it is and what it found, and gives it as CSV.
 */
final class ScanPage
{
    public const SLUG = 'facecloak-scan';
    private const EXPORT = 'facecloak_scan_csv';
    private const PER_PAGE = 50;
    /** Of a step that a page waits for. */
    private const STEP_S = 8.0;
    private const BATCH = 500;

    private Scan $scan;

    public function __construct(Scan $scan)
    {
        $this->scan = $scan;
    }

    public function register(): void
    {
        add_action('admin_menu', [$this, 'menu'], 19);
        add_action('admin_enqueue_scripts', [$this, 'bring']);
        add_action('admin_post_' . self::EXPORT, [$this, 'export']);
        add_action('rest_api_init', [$this, 'routes']);
    }

    // --- what the script asks for -------------------------------------------------------------------------------

    public function routes(): void
    {
        $permission = static function (): bool {
            return current_user_can(Capabilities::MANAGE);
        };
        register_rest_route('facecloak/v1', '/scan', [
            ['methods' => 'GET', 'callback' => [$this, 'tell'], 'permission_callback' => $permission],
            [
                'methods' => 'POST',
                'callback' => [$this, 'act'],
                'permission_callback' => $permission,
                'args' => ['do' => ['type' => 'string', 'required' => true, 'enum' => ['start', 'stop', 'step']]],
            ],
        ]);
    }

    public function tell(): \WP_REST_Response
    {
        $state = $this->scan->state();
        unset($state['last']);
        $response = new \WP_REST_Response($state + ['words' => $this->words($state)]);
        $response->header('Cache-Control', 'no-store');
        return $response;
    }

    /**
     * @return \WP_REST_Response|\WP_Error
     */
    public function act(\WP_REST_Request $request)
    {
        $settings = Plugin::instance()->settings;
        if ($request['do'] === 'start' && ($settings->address() === '' || $settings->token() === '')) {
            return new \WP_Error('facecloak_no_service', __(
                'Nothing was scanned: set the address of the service and the token first.',
                'facecloak'
            ), ['status' => 409]);
        }
        if ($request['do'] === 'start') {
            $this->scan->start();
        } elseif ($request['do'] === 'stop') {
            $this->scan->stop();
        } else {
            $this->scan->step(self::STEP_S);
        }
        return $this->tell();
    }

    // --- the page -----------------------------------------------------------------------------------------------

    public function menu(): void
    {
        $title = __('facecloak scan', 'facecloak');
        add_media_page($title, $title, Capabilities::MANAGE, self::SLUG, [$this, 'page']);
    }

    public function bring(string $hook): void
    {
        if ($hook === 'media_page_' . self::SLUG) {
            $needed = ['wp-api-fetch', 'wp-i18n', 'wp-a11y'];
            $at = plugins_url('assets/admin.css', FACECLOAK_FILE);
            wp_enqueue_style('facecloak-admin', $at, [], FACECLOAK_VERSION);
            $at = plugins_url('assets/scan.js', FACECLOAK_FILE);
            wp_enqueue_script('facecloak-scan', $at, $needed, FACECLOAK_VERSION, true);
            wp_set_script_translations('facecloak-scan', 'facecloak', dirname(FACECLOAK_FILE) . '/languages');
        }
    }

    public function page(): void
    {
        $this->check_person();
        $state = $this->scan->state();
        // Nothing is changed by looking, so no nonce is asked for
        $page = max(1, absint(wp_unslash($_GET['paged'] ?? 1))); // phpcs:ignore
        echo '<div class="wrap"><h1 class="wp-heading-inline">' . esc_html__('facecloak scan', 'facecloak') . '</h1> ';
        printf(
            '<a class="page-title-action" href="%s">%s</a><hr class="wp-header-end">',
            esc_url(wp_nonce_url(admin_url('admin-post.php?action=' . self::EXPORT), self::EXPORT)),
            esc_html__('Export as CSV', 'facecloak')
        );
        echo '<p>' . esc_html__(
            'Looks through all photos and clips of the library, those from before the plugin too, for positions (GPS),'
            . ' serial numbers of cameras, small pictures of the original, and faces that nobody covered. Photos are'
            . ' sent to the service that is set, and deleted there at once. No file is changed.',
            'facecloak'
        ) . '</p><p><strong>' . esc_html__(
            'Detection misses faces: a photo that is not listed may still show somebody. Faces in clips, and files that'
            . ' belong to no item of the library, are not looked at.',
            'facecloak'
        ) . '</strong></p>';
        $this->controls($state);
        $this->table($this->scan->findings(PHP_INT_MAX, self::PER_PAGE, ($page - 1) * self::PER_PAGE), $state);
        echo '<div class="tablenav bottom"><div class="tablenav-pages">' . wp_kses_post((string) paginate_links([
            'base' => add_query_arg('paged', '%#%'),
            'format' => '',
            'current' => $page,
            'total' => max(1, (int) ceil($this->scan->count() / self::PER_PAGE)),
        ])) . '</div></div></div>';
    }

    public function export(): void
    {
        $this->check_person();
        check_admin_referer(self::EXPORT);
        $heads = ['attachment id', 'title', 'address', 'uploaded to', 'clear faces', 'position in', 'thumbnail in',
            'serial number in', 'not looked into', 'time (UTC)'];
        Csv::send('facecloak-scan', $heads, $this->lines());
    }

    /**
     * @return iterable<array<int, string|int>>
     */
    private function lines(): iterable
    {
        for ($before = PHP_INT_MAX; $rows = $this->scan->findings($before, self::BATCH); $before = end($rows)['id']) {
            $this->prime($rows);
            foreach ($rows as $row) {
                yield [
                    $row['id'], Csv::title($row['id']), (string) wp_get_attachment_url($row['id']),
                    $this->parent($row['id']), $row['faces'] ?? '', ...$this->files($row), $this->unseen($row),
                    $row['time'],
                ];
            }
        }
    }

    /**
     * @param array<string, mixed> $state
     */
    private function controls(array $state): void
    {
        printf(
            '<p id="facecloak-scan" data-state="%s">'
            . '<button type="button" class="button button-primary" data-do="start">%s</button>'
            . ' <button type="button" class="button" data-do="stop"%s>%s</button>'
            . ' <progress max="%d" value="%d" aria-label="%s"%s></progress> <span role="status">%s</span></p>',
            esc_attr($state['state']),
            esc_html__('Scan the library', 'facecloak'),
            $state['state'] === Scan::RUNNING ? '' : ' disabled',
            esc_html__('Stop', 'facecloak'),
            (int) max(1, $state['total']),
            (int) $state['done'],
            esc_attr__('Files that were looked at', 'facecloak'),
            $state['state'] === Scan::RUNNING ? '' : ' hidden',
            esc_html($this->words($state))
        );
    }

    /**
     * @param array<int, array<string, mixed>> $rows
     * @param array<string, mixed> $state
     */
    private function table(array $rows, array $state): void
    {
        $this->prime($rows);
        echo '<div class="facecloak-scroll"><table class="widefat striped"><thead><tr>';
        $heads = [__('File', 'facecloak'), __('What was found', 'facecloak'), __('Uploaded to', 'facecloak')];
        foreach ($heads as $head) {
            echo '<th scope="col">' . esc_html($head) . '</th>';
        }
        echo '</tr></thead><tbody>';
        foreach ($rows as $row) {
            $title = get_the_title($row['id']);
            printf(
                '<tr><td><a href="%s">%s</a></td><td>%s</td><td>%s</td></tr>',
                esc_url((string) get_edit_post_link($row['id'])),
                /* translators: %d: number of an attachment */
                esc_html($title === '' ? sprintf(__('Item %d', 'facecloak'), $row['id']) : $title),
                implode('<br>', array_map('esc_html', $this->sentences($row))),
                esc_html($this->parent($row['id']))
            );
        }
        if ($rows === []) {
            $words = $state['state'] === Scan::DONE
                ? __('Nothing was found. That is no proof that there is nothing.', 'facecloak')
                : __('Nothing was found yet.', 'facecloak');
            echo '<tr><td colspan="3">' . esc_html($words) . '</td></tr>';
        }
        echo '</tbody></table></div>';
    }

    /**
     * @param array<string, mixed> $state
     */
    private function words(array $state): string
    {
        $words = [
            Scan::NEVER => __('The library was not scanned yet.', 'facecloak'),
            /* translators: 1: number of files, 2: of how many, 3: number of files with something found */
            Scan::RUNNING => __('%1$d of %2$d looked at, %3$d listed.', 'facecloak'),
            /* translators: 1: number of files, 2: of how many, 3: number of files with something found */
            Scan::STOPPED => __('Stopped: %1$d of %2$d looked at, %3$d listed.', 'facecloak'),
            /* translators: 1: number of files, 2: of how many, 3: number of files with something found */
            Scan::DONE => __('Done: %1$d of %2$d looked at, %3$d listed.', 'facecloak'),
        ];
        $said = sprintf($words[$state['state']] ?? '', $state['done'], $state['total'], $state['found']);
        if ($state['problem'] !== '' && $state['state'] === Scan::RUNNING) {
            /* translators: %s: why the service did not answer */
            $said .= ' ' . sprintf(__('It waits and tries again by itself: %s', 'facecloak'), $state['problem']);
        }
        return $said;
    }

    /**
     * @param array<string, mixed> $row
     * @return string[]
     */
    private function sentences(array $row): array
    {
        $said = [];
        if ((int) $row['faces'] > 0) {
            $said[] = sprintf(
                /* translators: %d: number of faces */
                _n('%d clear face', '%d clear faces', (int) $row['faces'], 'facecloak'),
                (int) $row['faces']
            );
        }
        $words = [
            /* translators: %s: names of files */
            Metadata::POSITION => __('Where it was taken (GPS), in %s', 'facecloak'),
            /* translators: %s: names of files */
            Metadata::THUMBNAIL => __('A small picture of the original, in %s', 'facecloak'),
            /* translators: %s: names of files */
            Metadata::SERIAL => __('The serial number of a camera, in %s', 'facecloak'),
        ];
        foreach ($words as $what => $sentence) {
            if (!empty($row['tells'][$what])) {
                $said[] = sprintf($sentence, implode(', ', (array) $row['tells'][$what]));
            }
        }
        $unseen = $this->unseen($row);
        return $unseen === '' ? $said : array_merge($said, [$unseen]);
    }

    /**
     * @param array<string, mixed> $row
     */
    private function unseen(array $row): string
    {
        $said = $row['is_clip'] ? [__('Faces in clips are not looked for.', 'facecloak')] : [];
        if ($row['error'] !== '') {
            /* translators: %s: why */
            $said[] = sprintf(__('Not looked into: %s', 'facecloak'), $row['error']);
        }
        return implode(' ', $said);
    }

    /**
     * @param array<string, mixed> $row
     * @return string[] names of files with a position, a thumbnail, a serial number
     */
    private function files(array $row): array
    {
        return array_map(static function (string $what) use ($row): string {
            return implode(' ', (array) ($row['tells'][$what] ?? []));
        }, [Metadata::POSITION, Metadata::THUMBNAIL, Metadata::SERIAL]);
    }

    /** The post it was uploaded to; others may show it as well. */
    private function parent(int $id): string
    {
        $parent = (int) get_post_field('post_parent', $id);
        return $parent > 0 ? Csv::title($parent) . ' (' . (string) get_post_status($parent) . ')' : '';
    }

    /**
     * All that the rows are about, in few queries.
     *
     * @param array<int, array<string, mixed>> $rows
     */
    private function prime(array $rows): void
    {
        $ids = array_column($rows, 'id');
        _prime_post_caches($ids, false, true);
        $parents = array_filter(array_map(static function (int $id): int {
            return (int) get_post_field('post_parent', $id);
        }, $ids));
        _prime_post_caches(array_unique($parents), false, false);
    }

    private function check_person(): void
    {
        if (!current_user_can(Capabilities::MANAGE)) {
            wp_die(esc_html__('You may not scan the library.', 'facecloak'), '', ['response' => 403]);
        }
    }
}
