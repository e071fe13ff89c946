<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The media library: what state each file is in, those of one state, and what can be done with many at once.
 */
final class Library
{
    private const COLUMN = 'facecloak';
    private const CONFIRM = 'facecloak_confirm';
    private const AGAIN = 'facecloak_again';
    private const QUERY = 'facecloak_state';

    private const PAGES = ['upload.php', 'post.php', 'post-new.php', 'media_page_' . LogPage::SLUG];

    private Plugin $plugin;
    private LibraryActions $actions;
    /** @var array<int, ?Record> of the files in the list */
    private array $listed = [];

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
        $this->actions = new LibraryActions($plugin);
    }

    public function register(): void
    {
        add_filter('manage_media_columns', [$this, 'columns']);
        add_action('manage_media_custom_column', [$this, 'cell'], 10, 2);
        add_action('restrict_manage_posts', [$this, 'choose']);
        add_filter('posts_where', [$this, 'only'], 10, 2);
        add_filter('media_row_actions', [$this, 'row_actions'], 10, 2);
        add_filter('bulk_actions-upload', [$this, 'bulk_actions']);
        add_filter('handle_bulk_actions-upload', [$this, 'bulk'], 10, 3);
        add_action('admin_post_' . self::AGAIN, [$this, 'again']);
        add_filter('attachment_fields_to_edit', [$this, 'fields'], 10, 2);
        add_action('admin_enqueue_scripts', [$this, 'bring']);
    }

    public static function review_url(int $attachment): string
    {
        return class_exists(ReviewPage::class)
            ? ReviewPage::address($attachment)
            : admin_url('upload.php?page=facecloak-review&media=' . $attachment);
    }

    public function bring(string $hook): void
    {
        if (in_array($hook, self::PAGES, true)) {
            $at = plugins_url('assets/admin.css', FACECLOAK_FILE);
            wp_enqueue_style('facecloak-admin', $at, [], FACECLOAK_VERSION);
        }
    }

    // --- the list -----------------------------------------------------------------------------------------------

    /**
     * @param array<string, string> $columns
     * @return array<string, string>
     */
    public function columns(array $columns): array
    {
        return $columns + [self::COLUMN => __('Faces', 'facecloak')];
    }

    public function cell(string $column, int $id): void
    {
        if ($column === self::COLUMN && MediaInContent::is_media($id)) {
            echo wp_kses_post($this->badge($id, $this->record($id)));
        }
    }

    public function choose(string $type): void
    {
        if ($type !== 'attachment') {
            return;
        }
        $chosen = $this->asked();
        printf(
            '<label for="facecloak-state" class="screen-reader-text">%s</label>'
            . '<select name="%s" id="facecloak-state"><option value="">%s</option>',
            esc_html__('Filter by the state of faces', 'facecloak'),
            esc_attr(self::QUERY),
            esc_html__('Faces: all states', 'facecloak')
        );
        foreach (array_merge([Words::UNKNOWN], Record::STATES) as $state) {
            printf(
                '<option value="%s"%s>%s</option>',
                esc_attr($state),
                selected($chosen, $state, false),
                esc_html(Words::state($state))
            );
        }
        echo '</select>';
    }

    public function only(string $where, \WP_Query $query): string
    {
        global $wpdb, $pagenow;
        $state = $this->asked();
        if ($state === '' || !is_admin() || $pagenow !== 'upload.php' || !$query->is_main_query()) {
            return $where;
        }
        $table = $this->plugin->records->table();
        $newest = "(SELECT m.state FROM {$table} m WHERE m.attachment_id = {$wpdb->posts}.ID"
            . ' ORDER BY m.id DESC LIMIT 1)';
        if ($state === Words::UNKNOWN) {
            return $where . " AND {$newest} IS NULL"
                . " AND ({$wpdb->posts}.post_mime_type LIKE 'image/%' OR {$wpdb->posts}.post_mime_type LIKE 'video/%')";
        }
        return $where . $wpdb->prepare(" AND {$newest} = %s", $state); // phpcs:ignore -- $newest holds names of tables
    }

    /**
     * @param array<string, string> $actions
     * @return array<string, string>
     */
    public function row_actions(array $actions, \WP_Post $post): array
    {
        if (!current_user_can(Capabilities::REVIEW) || !MediaInContent::is_media($post->ID)) {
            return $actions;
        }
        $record = $this->record($post->ID);
        if ($record !== null) {
            $actions['facecloak_review'] = sprintf(
                '<a href="%s">%s</a>',
                esc_url(self::review_url($post->ID)),
                esc_html__('Review faces', 'facecloak')
            );
        }
        if ($this->actions->can_look_again($record)) {
            $address = add_query_arg(['action' => self::AGAIN, 'media' => $post->ID], admin_url('admin-post.php'));
            $actions[self::AGAIN] = sprintf(
                '<a href="%s">%s</a>',
                esc_url(wp_nonce_url($address, self::AGAIN . '_' . $post->ID)),
                esc_html__('Look at faces again', 'facecloak')
            );
        }
        return $actions;
    }

    // --- what is done -------------------------------------------------------------------------------------------

    /**
     * @param array<string, string> $actions
     * @return array<string, string>
     */
    public function bulk_actions(array $actions): array
    {
        if (!current_user_can(Capabilities::REVIEW)) {
            return $actions;
        }
        return $actions + [
            self::CONFIRM => __('Faces: confirm as they are', 'facecloak'),
            self::AGAIN => __('Faces: look again', 'facecloak'),
        ];
    }

    /**
     * WordPress has checked the nonce of the list, and nothing else.
     *
     * @param string|false $back
     * @param int[] $ids
     * @return string|false
     */
    public function bulk($back, string $action, array $ids)
    {
        if (!in_array($action, [self::CONFIRM, self::AGAIN], true)) {
            return $back;
        }
        if (!current_user_can(Capabilities::REVIEW)) {
            wp_die(esc_html__('You may not review faces. Nothing was changed.', 'facecloak'), '', ['response' => 403]);
        }
        $this->actions->each($action === self::CONFIRM ? 'confirm' : 'look_again', array_map('intval', $ids));
        return $back;
    }

    public function again(): void
    {
        $id = absint($_REQUEST['media'] ?? 0); // phpcs:ignore -- the nonce is of this number
        check_admin_referer(self::AGAIN . '_' . $id);
        if (!current_user_can(Capabilities::REVIEW) || !current_user_can('edit_post', $id)) {
            wp_die(esc_html__('You may not review faces. Nothing was changed.', 'facecloak'), '', ['response' => 403]);
        }
        $this->actions->each('look_again', [$id]);
        wp_safe_redirect(wp_get_referer() ?: admin_url('upload.php'));
        exit;
    }

    // --- one file -----------------------------------------------------------------------------------------------

    /**
     * Also in the details of the media window, beside caption and alternative text.
     *
     * @param array<string, mixed> $fields
     * @return array<string, mixed>
     */
    public function fields(array $fields, \WP_Post $post): array
    {
        if ($this->plugin->settings->policy() !== 'off' && MediaInContent::is_media($post->ID)) {
            $fields['facecloak'] = [
                'label' => __('Faces', 'facecloak'),
                'input' => 'html',
                'html' => $this->badge($post->ID, $this->plugin->records->by_attachment($post->ID)),
                'show_in_edit' => true,
                'show_in_modal' => true,
            ];
        }
        return $fields;
    }

    /** Of a file in the list; those of the whole page are looked up with the first. */
    private function record(int $id): ?Record
    {
        global $wp_query;
        if (!array_key_exists($id, $this->listed)) {
            $posts = $wp_query instanceof \WP_Query ? (array) $wp_query->posts : [];
            $ids = array_merge([$id], array_map('intval', wp_list_pluck($posts, 'ID')));
            $this->listed = $this->plugin->records->by_attachments($ids) + array_fill_keys($ids, null) + $this->listed;
        }
        return $this->listed[$id];
    }

    private function badge(int $id, ?Record $record): string
    {
        $state = $record === null ? Words::UNKNOWN : $record->state;
        $link = $record !== null && current_user_can(Capabilities::REVIEW) ? sprintf(
            ' <a href="%s">%s</a>',
            esc_url(self::review_url($id)),
            $state === Record::REVIEWED ? esc_html__('Open', 'facecloak') : esc_html__('Review', 'facecloak')
        ) : '';
        return sprintf(
            '<span class="facecloak-state facecloak-%s">%s</span>%s<br><span class="facecloak-words">%s</span>',
            esc_attr($state),
            esc_html(Words::state($state)),
            $link,
            esc_html(Words::reason($record))
        );
    }

    private function asked(): string
    {
        $state = sanitize_key((string) ($_GET[self::QUERY] ?? '')); // phpcs:ignore -- looking changes nothing
        return in_array($state, array_merge([Words::UNKNOWN], Record::STATES), true) ? $state : '';
    }
}
