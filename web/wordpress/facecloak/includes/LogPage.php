<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Media -> facecloak log: who decided what, to read and to take along as CSV.
 */
final class LogPage
{
    public const SLUG = 'facecloak-log';
    private const EXPORT = 'facecloak_log_csv';

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('admin_menu', [$this, 'menu'], 20);
        add_action('admin_post_' . self::EXPORT, [$this, 'export']);
    }

    public function menu(): void
    {
        $title = __('facecloak log', 'facecloak');
        add_media_page($title, $title, Capabilities::MANAGE, self::SLUG, [$this, 'page']);
    }

    public function page(): void
    {
        $this->check_person();
        // Nothing is changed by looking, so no nonce is asked for
        $asked = wp_unslash($_GET); // phpcs:ignore
        $page = max(1, absint($asked['paged'] ?? 1));
        $filter = $this->filter($asked);
        $rows = $this->plugin->log->rows($filter, $page);
        $count = $this->plugin->log->count($filter);
        echo '<div class="wrap"><h1 class="wp-heading-inline">' . esc_html__('facecloak log', 'facecloak') . '</h1> ';
        printf(
            '<a class="page-title-action" href="%s">%s</a><hr class="wp-header-end">',
            esc_url(wp_nonce_url(
                add_query_arg(array_filter([
                    'action' => self::EXPORT,
                    'facecloak_action' => rawurlencode($filter['action'] ?? ''),
                    'attachment_id' => $filter['attachment_id'] ?? 0,
                ]), admin_url('admin-post.php')),
                self::EXPORT
            )),
            esc_html__('Export as CSV', 'facecloak')
        );
        $this->choose($filter);
        $this->table($rows);
        echo '<div class="tablenav bottom"><div class="tablenav-pages">' . wp_kses_post((string) paginate_links([
            'base' => add_query_arg('paged', '%#%'),
            'format' => '',
            'current' => $page,
            'total' => max(1, (int) ceil($count / Log::PER_PAGE)),
        ])) . '</div></div></div>';
    }

    public function export(): void
    {
        $this->check_person();
        check_admin_referer(self::EXPORT);
        $heads = ['id', 'time (UTC)', 'user id', 'user', 'action', 'attachment id', 'detail'];
        Csv::send('facecloak-log', $heads, $this->lines($this->filter(wp_unslash($_GET))));
    }

    /**
     * @param array{action?: string, attachment_id?: int} $filter
     * @return iterable<array<int, string|int>>
     */
    private function lines(array $filter): iterable
    {
        foreach ($this->plugin->log->all($filter) as $row) {
            yield [
                $row['id'], $row['time'], $row['user_id'], $this->person($row['user_id']), $row['action'],
                $row['attachment_id'], $row['detail'] === [] ? '' : (string) wp_json_encode($row['detail']),
            ];
        }
    }

    private function check_person(): void
    {
        if (!current_user_can(Capabilities::MANAGE)) {
            wp_die(esc_html__('You may not read the log of facecloak.', 'facecloak'), '', ['response' => 403]);
        }
    }

    /**
     * @param array<string, mixed> $asked
     * @return array{action?: string, attachment_id?: int}
     */
    private function filter(array $asked): array
    {
        $filter = [];
        $action = $asked['facecloak_action'] ?? '';
        if (is_string($action) && $action !== '') {
            $filter['action'] = sanitize_text_field($action);
        }
        $attachment = $asked['attachment_id'] ?? '';
        if (is_string($attachment) && ctype_digit($attachment)) {
            $filter['attachment_id'] = (int) $attachment;
        }
        return $filter;
    }

    /**
     * @param array{action?: string, attachment_id?: int} $filter
     */
    private function choose(array $filter): void
    {
        global $wpdb;
        // phpcs:ignore -- the name of our own table
        $actions = (array) $wpdb->get_col("SELECT DISTINCT action FROM {$this->plugin->log->table()} ORDER BY action");
        echo '<form method="get"><div class="tablenav top"><input type="hidden" name="page" value="'
            . esc_attr(self::SLUG) . '"><label class="screen-reader-text" for="facecloak-action">'
            . esc_html__('Show', 'facecloak') . '</label><select name="facecloak_action" id="facecloak-action">';
        echo '<option value="">' . esc_html__('Everything', 'facecloak') . '</option>';
        foreach ($actions as $action) {
            printf(
                '<option value="%s"%s>%s</option>',
                esc_attr($action),
                selected($filter['action'] ?? '', $action, false),
                esc_html($action)
            );
        }
        echo '</select> <button class="button">' . esc_html__('Show', 'facecloak') . '</button></div></form>';
    }

    /**
     * @param array<int, array<string, mixed>> $rows
     */
    private function table(array $rows): void
    {
        echo '<div class="facecloak-scroll"><table class="widefat striped"><thead><tr>';
        $heads = [__('Time', 'facecloak'), __('Person', 'facecloak'), __('What', 'facecloak'), __('File', 'facecloak'),
            __('Details', 'facecloak')];
        foreach ($heads as $head) {
            echo '<th scope="col">' . esc_html($head) . '</th>';
        }
        echo '</tr></thead><tbody>';
        _prime_post_caches(array_filter(array_unique(array_column($rows, 'attachment_id'))), false, false);
        foreach ($rows as $row) {
            $this->row($row);
        }
        if ($rows === []) {
            echo '<tr><td colspan="5">' . esc_html__('Nothing has happened yet.', 'facecloak') . '</td></tr>';
        }
        echo '</tbody></table></div>';
    }

    /**
     * @param array<string, mixed> $row
     */
    private function row(array $row): void
    {
        $id = (int) $row['attachment_id'];
        $title = $id > 0 ? get_the_title($id) : '';
        $detail = [];
        foreach ($row['detail'] as $name => $value) {
            $detail[] = $name . ': ' . $this->readable($value);
        }
        printf(
            '<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>',
            esc_html(get_date_from_gmt($row['time'], get_option('date_format') . ' H:i:s')),
            esc_html($this->person((int) $row['user_id'])),
            esc_html($row['action']),
            $id === 0 ? '' : sprintf(
                '<a href="%s">%s</a>',
                esc_url((string) get_edit_post_link($id)),
                /* translators: %d: number of an attachment */
                esc_html($title === '' ? sprintf(__('Item %d', 'facecloak'), $id) : $title)
            ),
            esc_html(implode('; ', $detail))
        );
    }

    /**
     * @param mixed $value
     */
    private function readable($value): string
    {
        if (is_array($value) && array_keys($value) === ['from', 'to']) {
            return $this->readable($value['from']) . ' → ' . $this->readable($value['to']);
        }
        $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
        return is_string($value) && $value !== '' ? $value : (string) wp_json_encode($value, $flags);
    }

    private function person(int $id): string
    {
        $user = $id > 0 ? get_userdata($id) : false;
        if ($user !== false) {
            return $user->user_login;
        }
        /* translators: %d: number of a user */
        $deleted = sprintf(__('user %d, deleted', 'facecloak'), $id);
        return $id > 0 ? $deleted : __('nobody (background work)', 'facecloak');
    }
}
