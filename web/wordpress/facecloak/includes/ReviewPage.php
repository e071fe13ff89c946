<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Media -> Faces to review: the list of what waits, and the page for one file, which review.js fills.
 */
final class ReviewPage
{
    public const SLUG = 'facecloak-review';
    private const SCRIPTS = ['common', 'draw', 'result', 'photo', 'clip', ''];

    private Plugin $plugin;
    private Worklist $worklist;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
        $this->worklist = new Worklist($plugin->records);
    }

    public function register(): void
    {
        add_action('admin_menu', [$this, 'menu']);
        add_action('admin_enqueue_scripts', [$this, 'assets']);
    }

    /** Of the list, or of the page for one file. */
    public static function address(int $attachment_id = 0): string
    {
        $address = admin_url('upload.php?page=' . self::SLUG);
        return $attachment_id > 0 ? add_query_arg('media', $attachment_id, $address) : $address;
    }

    public function menu(): void
    {
        $count = current_user_can('facecloak_review') ? $this->worklist->count() : 0;
        $title = __('Faces to review', 'facecloak');
        $bubble = $count === 0 ? '' : sprintf(
            ' <span class="awaiting-mod count-%1$d"><span aria-hidden="true">%2$s</span>'
            . '<span class="screen-reader-text">%3$s</span></span>',
            $count,
            esc_html(number_format_i18n($count)),
            esc_html(sprintf(
                /* translators: %s: number of files */
                _n('%s file to review', '%s files to review', $count, 'facecloak'),
                number_format_i18n($count)
            ))
        );
        add_media_page($title, esc_html($title) . $bubble, 'facecloak_review', self::SLUG, [$this, 'page']);
    }

    public function assets(string $hook): void
    {
        if ($hook !== 'media_page_' . self::SLUG) {
            return;
        }
        $this->styles();
        if ($this->asked() === 0) {
            return;
        }
        $needs = ['wp-element', 'wp-components', 'wp-api-fetch', 'wp-i18n', 'wp-a11y', 'wp-url'];
        foreach (self::SCRIPTS as $name) {
            $handle = 'facecloak-review' . ($name === '' ? '' : '-' . $name);
            $file = 'assets/' . substr($handle, strlen('facecloak-')) . '.js';
            wp_enqueue_script($handle, plugins_url($file, FACECLOAK_FILE), $needs, FACECLOAK_VERSION, true);
            wp_set_script_translations($handle, 'facecloak', dirname(FACECLOAK_FILE) . '/languages');
            $needs[] = $handle;
        }
    }

    public function page(): void
    {
        if (!current_user_can('facecloak_review')) {
            wp_die(esc_html__('You are not allowed to review faces.', 'facecloak'), '', ['response' => 403]);
        }
        $id = $this->asked();
        echo '<div class="wrap facecloak">';
        if ($id > 0) {
            $this->one($id);
        } else {
            $this->listing();
        }
        echo '</div>';
    }

    private function styles(): void
    {
        wp_enqueue_style(
            'facecloak-review',
            plugins_url('assets/review.css', FACECLOAK_FILE),
            ['wp-components'],
            FACECLOAK_VERSION
        );
    }

    /** The attachment that the address names; only ever looked up, and what the page shows needs a nonce. */
    private function asked(): int
    {
        return isset($_GET['media']) ? absint($_GET['media']) : 0; // phpcs:ignore
    }

    private function one(int $id): void
    {
        printf(
            '<p class="facecloak-back"><a href="%s">&larr; %s</a></p><h1>%s</h1><hr class="wp-header-end">'
            . '<div id="facecloak-review" data-media="%d" data-list="%s" data-rest="%s"><p>%s</p>'
            . '<noscript><p>%s</p></noscript></div>',
            esc_url(self::address()),
            esc_html__('All files to review', 'facecloak'),
            esc_html(get_the_title($id)),
            (int) $id,
            esc_url(self::address()),
            esc_url(rest_url()),
            esc_html__('Loading ...', 'facecloak'),
            esc_html__('This page needs JavaScript. Nothing was changed.', 'facecloak')
        );
    }

    private function listing(): void
    {
        $page = max(1, isset($_GET['paged']) ? absint($_GET['paged']) : 1); // phpcs:ignore
        $count = $this->worklist->count_all();
        $records = $this->worklist->page($page);
        printf('<h1>%s</h1><hr class="wp-header-end">', esc_html__('Faces to review', 'facecloak'));
        if ($records === []) {
            printf('<p class="facecloak-empty">%s</p>', esc_html__('Nothing waits to be reviewed.', 'facecloak'));
            return;
        }
        printf(
            '<p>%s</p><table class="widefat striped facecloak-list"><thead><tr>'
            . '<th scope="col" class="facecloak-picture"><span class="screen-reader-text">%s</span></th>'
            . '<th scope="col">%s</th><th scope="col">%s</th><th scope="col">%s</th><th scope="col">%s</th>'
            . '</tr></thead><tbody>',
            esc_html__(
                'Nothing that uses these files can be published until somebody has looked at them.',
                'facecloak'
            ),
            esc_html__('Picture', 'facecloak'),
            esc_html__('File', 'facecloak'),
            esc_html__('State', 'facecloak'),
            esc_html__('Faces found', 'facecloak'),
            esc_html__('Uploaded', 'facecloak')
        );
        _prime_post_caches(array_column($records, 'attachment_id'), false, true);
        array_map([$this, 'row'], $records);
        echo '</tbody></table>';
        $links = paginate_links([
            'base' => add_query_arg('paged', '%#%', self::address()),
            'format' => '',
            'current' => $page,
            'total' => (int) ceil($count / Worklist::PER_PAGE),
        ]);
        printf('<div class="tablenav"><div class="tablenav-pages">%s</div></div>', wp_kses_post((string) $links));
    }

    private function row(Record $record): void
    {
        $id = $record->attachment_id;
        $faces = $record->faces === null ? '–' : number_format_i18n(count($record->faces));
        printf(
            '<tr><td class="facecloak-picture">%1$s</td>'
            . '<td data-colname="%8$s"><a class="row-title" href="%2$s">%3$s</a></td>'
            . '<td data-colname="%9$s"><span class="facecloak-state facecloak-state-%4$s">%5$s</span></td>'
            . '<td data-colname="%10$s">%6$s</td><td data-colname="%11$s">%7$s</td></tr>',
            $record->kind === 'clip'
                ? '<span class="dashicons dashicons-video-alt3" aria-hidden="true"></span>'
                : wp_get_attachment_image($id, 'medium', true, ['alt' => '', 'loading' => 'lazy']), // phpcs:ignore
            esc_url(self::address($id)),
            esc_html(get_the_title($id)),
            esc_attr($record->state),
            esc_html(Words::state($record->state)),
            esc_html($faces),
            esc_html(sprintf(
                /* translators: 1: how long ago, 2: name of a person */
                __('%1$s ago by %2$s', 'facecloak'),
                human_time_diff((int) strtotime($record->created . ' UTC')),
                get_the_author_meta('display_name', (int) get_post_field('post_author', $id))
            )),
            esc_attr__('File', 'facecloak'),
            esc_attr__('State', 'facecloak'),
            esc_attr__('Faces found', 'facecloak'),
            esc_attr__('Uploaded', 'facecloak')
        );
    }
}
