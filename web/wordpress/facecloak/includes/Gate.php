<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Keeps posts from the public while they show media that nobody has reviewed, whatever road they come by.
 *
 * REST is refused with the reason. Every other road leads through wp_insert_post(): there a new post is left pending,
 * and a live one stays as it is, with the new text kept as an autosave. Whatever goes wrong in here closes the gate.
 */
final class Gate
{
    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('rest_api_init', [$this, 'watch_rest'], 99);
        // Last: what another plugin puts into the text is seen too
        add_filter('wp_insert_post_data', [$this, 'hold_back'], PHP_INT_MAX, 2);
        add_action('publish_future_post', [$this, 'stop_scheduled'], 1);
        add_action('transition_post_status', [$this, 'take_back'], 1, 3);
        add_filter('add_post_metadata', [$this, 'hold_featured'], 10, 4);
        add_filter('update_post_metadata', [$this, 'hold_featured'], 10, 4);
        add_filter('update_post_metadata_by_mid', [$this, 'hold_featured_by_mid'], 10, 4);
        add_filter('shortcode_atts_gallery', [$this, 'leave_out_unreviewed'], 10, 3);
        add_filter('shortcode_atts_playlist', [$this, 'leave_out_unreviewed'], 10, 3);
    }

    // --- what is found ------------------------------------------------------------------------------------------

    /**
     * What keeps these texts from the public: nothing where the policy does not ask for a review.
     *
     * @param int $featured attachment; 0: none
     * @param int $post the post it is about; 0: not saved yet
     * @return array<int, array{attachment: int, title: string, state: string, words: string}>
     */
    public function problems(string $content, int $featured, int $post = 0): array
    {
        try {
            if (!$this->plugin->settings->is_active()) {
                return [];
            }
            return self::unreviewed($this->findings($content, $featured, $post));
        } catch (\Throwable $error) {
            return [$this->finding(0, __('The check itself', 'facecloak'), 'error', sprintf(
                /* translators: %s: error message */
                __('It failed, so nothing can be said about the media of this post (%s).', 'facecloak'),
                $error->getMessage()
            ))];
        }
    }

    /**
     * Every picture and clip that is shown, whatever the policy.
     *
     * @return array<int, array{attachment: int, title: string, state: string, words: string}>
     */
    public function findings(string $content, int $featured, int $post = 0): array
    {
        return $this->of_media(new MediaInContent($content, $post), $featured, $post);
    }

    /**
     * @return array<int, array{attachment: int, title: string, state: string, words: string}>
     */
    public function of_media(MediaInContent $media, int $featured = 0, int $post = 0): array
    {
        $ids = $media->attachments();
        if ($featured > 0 && MediaInContent::is_media($featured)) {
            $ids[] = $featured;
        }
        /**
         * Attachments that a post shows and that stand neither in its text nor as its featured image.
         *
         * @param int[] $ids found so far
         * @param int $post 0 where it is not saved yet
         */
        $ids = (array) apply_filters('facecloak_media_of_post', $ids, $post);
        $found = array_map([$this, 'of_attachment'], array_values(array_unique(array_map('intval', $ids))));
        foreach ($media->strays() as $path) {
            $found[] = $this->finding(0, wp_basename($path), Words::UNKNOWN, __(
                'It lies in the uploads folder but belongs to no item of the media library, so nobody can review it.',
                'facecloak'
            ));
        }
        if ($media->has_inline()) {
            $found[] = $this->finding(0, __('A picture inside the text (data:)', 'facecloak'), Words::UNKNOWN, __(
                'It cannot be reviewed. Upload it to the media library instead.',
                'facecloak'
            ));
        }
        return $found;
    }

    /**
     * @param array<int, array<string, mixed>> $found
     * @return array<int, array<string, mixed>>
     */
    public static function unreviewed(array $found): array
    {
        return array_values(array_filter($found, static function (array $finding): bool {
            return $finding['state'] !== Record::REVIEWED;
        }));
    }

    /**
     * @param array<int, array{title: string, words: string}> $problems
     */
    public static function sentence(array $problems): string
    {
        $parts = array_map(static function (array $problem): string {
            /* translators: 1: title of a picture, 2: why it is not reviewed */
            return sprintf(__('“%1$s”: %2$s', 'facecloak'), $problem['title'], $problem['words']);
        }, array_slice($problems, 0, 5));
        $more = count($problems) - count($parts);
        if ($more > 0) {
            /* translators: %d: number of pictures */
            $parts[] = sprintf(_n('And %d more.', 'And %d more.', $more, 'facecloak'), $more);
        }
        return implode(' ', $parts);
    }

    // --- REST ---------------------------------------------------------------------------------------------------

    public function watch_rest(): void
    {
        foreach (get_post_types() as $type) {
            if ($type !== 'attachment') {
                add_filter('rest_pre_insert_' . $type, [$this, 'refuse_rest'], PHP_INT_MAX, 2);
            }
        }
    }

    /**
     * @param \stdClass|\WP_Error $prepared only what the request changes
     * @return \stdClass|\WP_Error
     */
    public function refuse_rest($prepared, \WP_REST_Request $request)
    {
        // Autosaves and previews pass through here as well, and are not public
        if (is_wp_error($prepared) || preg_match('#/autosaves(?:/|$)#', $request->get_route()) === 1) {
            return $prepared;
        }
        $id = (int) ($prepared->ID ?? 0);
        $before = $id > 0 ? get_post($id) : null;
        $featured = $request['featured_media'];
        $problems = $this->of_save(
            (string) ($prepared->post_type ?? ($before->post_type ?? 'post')),
            (string) ($prepared->post_status ?? ($before->post_status ?? 'draft')),
            ($prepared->post_content ?? ($before->post_content ?? '')) . "\n\n"
                . ($prepared->post_excerpt ?? ($before->post_excerpt ?? '')),
            $featured === null ? self::featured_now($id) : (int) $featured,
            $before
        );
        if ($problems === []) {
            return $prepared;
        }
        $this->log($id, $problems, 'rest');
        return new \WP_Error(
            'facecloak_unreviewed',
            /* translators: %s: list of reasons */
            sprintf(__('Nothing was published or changed. %s', 'facecloak'), self::sentence($problems)),
            ['status' => 409, 'problems' => $problems]
        );
    }

    // --- everything else ----------------------------------------------------------------------------------------

    /**
     * @param array<string, mixed> $data slashed, as it is about to be written
     * @param array<string, mixed> $postarr
     * @return array<string, mixed>
     */
    public function hold_back(array $data, array $postarr): array
    {
        $id = (int) ($postarr['ID'] ?? 0);
        $before = $id > 0 ? get_post($id) : null;
        $problems = $this->of_save(
            (string) $data['post_type'],
            (string) $data['post_status'],
            wp_unslash($data['post_content'] . "\n\n" . $data['post_excerpt']),
            $this->featured_of($postarr, $id),
            $before
        );
        if ($problems === []) {
            return $data;
        }
        $this->log($id, $problems, 'save');
        return $before !== null && PublicPosts::is_live($before)
            ? $this->as_before($data, $before, $problems)
            : $this->as_pending($data, $before, $problems);
    }

    /**
     * Before WordPress publishes a scheduled post, so that it is not public for a moment.
     *
     * @param int|\WP_Post $post
     */
    public function stop_scheduled($post): void
    {
        $post = get_post($post);
        if ($post !== null && $post->post_status === 'future') {
            $this->make_pending($post, 'schedule');
        }
    }

    /**
     * For wp_publish_post(), which asks nobody: other plugins call it.
     */
    public function take_back(string $new, string $old, \WP_Post $post): void
    {
        if ($new === 'publish' && ($old === 'future' || !PublicPosts::is_public($old))) {
            $this->make_pending($post, 'transition');
        }
    }

    /**
     * @param mixed $answer anything but null keeps WordPress from writing
     * @param mixed $value
     * @return mixed
     */
    public function hold_featured($answer, int $id, string $key, $value)
    {
        if ($key !== '_thumbnail_id' || (int) $value <= 0 || (int) $value === self::featured_now($id)) {
            return $answer;
        }
        $post = get_post($id);
        if ($post === null || !PublicPosts::is_public($post->post_status) || !$this->governs($post->post_type, $id)) {
            return $answer;
        }
        $problems = $this->problems('', (int) $value, $id);
        if ($problems === []) {
            return $answer;
        }
        $this->log($id, $problems, 'featured image');
        $this->tell($post, sprintf(
            /* translators: 1: title of a post, 2: list of reasons */
            __('The featured image of “%1$s” was not changed. %2$s', 'facecloak'),
            $post->post_title,
            self::sentence($problems)
        ), $problems);
        return false;
    }

    /**
     * @param mixed $answer
     * @param mixed $value
     * @param string|false $key where the row is to get another
     * @return mixed
     */
    public function hold_featured_by_mid($answer, int $meta_id, $value, $key = false)
    {
        $meta = get_metadata_by_mid('post', $meta_id);
        return $meta === false
            ? $answer
            : $this->hold_featured($answer, (int) $meta->post_id, (string) ($key ?: $meta->meta_key), $value);
    }

    /**
     * A gallery without ids shows what is uploaded to its post at any time, long after the post was published.
     *
     * @param array<string, mixed> $attributes
     * @param array<string, mixed> $defaults
     * @param array<string, mixed>|string $given
     * @return array<string, mixed>
     */
    public function leave_out_unreviewed(array $attributes, array $defaults, $given): array
    {
        if (!$this->plugin->settings->is_active() || !empty($attributes['include']) || !empty($given['ids'])) {
            return $attributes;
        }
        $children = get_children(['post_parent' => (int) ($attributes['id'] ?? 0), 'post_type' => 'attachment',
            'fields' => 'ids']);
        $excluded = wp_parse_id_list($attributes['exclude'] ?? '');
        foreach ($children as $child) {
            $record = $this->plugin->records->by_attachment((int) $child);
            if (MediaInContent::is_media((int) $child) && ($record === null || $record->state !== Record::REVIEWED)) {
                $excluded[] = (int) $child;
            }
        }
        $attributes['exclude'] = implode(',', $excluded);
        return $attributes;
    }

    // --- the rule -----------------------------------------------------------------------------------------------

    /**
     * @return array<int, array{attachment: int, title: string, state: string, words: string}>
     */
    private function of_save(string $type, string $status, string $text, int $featured, ?\WP_Post $before): array
    {
        try {
            $id = $before === null ? 0 : $before->ID;
            if (!PublicPosts::is_public($status) || !$this->governs($type, $id)) {
                return [];
            }
            // What is public already, and stays as it was or becomes private, is shown to nobody new
            $is_same = $before !== null && PublicPosts::is_live($before)
                && $text === $before->post_content . "\n\n" . $before->post_excerpt
                && in_array($featured, [0, self::featured_now($id)], true)
                && ($status !== 'publish' || $before->post_status === 'publish');
            return $is_same ? [] : $this->problems($text, $featured, $id);
        } catch (\Throwable $error) {
            return [$this->finding(0, __('The check itself', 'facecloak'), 'error', $error->getMessage())];
        }
    }

    private function governs(string $type, int $id): bool
    {
        return $this->plugin->settings->is_active() && PublicPosts::is_shown($type, $id);
    }

    // --- what follows -------------------------------------------------------------------------------------------

    /**
     * The live post stays as it is; what was written is kept beside it.
     *
     * @param array<string, mixed> $data
     * @param array<int, array<string, mixed>> $problems
     * @return array<string, mixed>
     */
    private function as_before(array $data, \WP_Post $before, array $problems): array
    {
        $kept = $this->keep_as_autosave($data, $before);
        $fields = ['post_title', 'post_content', 'post_excerpt', 'post_content_filtered', 'post_status',
            'post_modified', 'post_modified_gmt'];
        foreach ($fields as $field) {
            $data[$field] = wp_slash($before->$field);
        }
        /* translators: %s: title of a post */
        $words = __('“%s” was not changed and stays as it is for the public.', 'facecloak');
        $words = sprintf($words, $before->post_title);
        if ($kept > 0) {
            $words .= ' ' . __('What you wrote is kept as an autosave.', 'facecloak');
        }
        $this->tell($before, $words . ' ' . self::sentence($problems), $problems);
        return $data;
    }

    /**
     * @param array<string, mixed> $data
     */
    private function keep_as_autosave(array $data, \WP_Post $before): int
    {
        try {
            $text = ['post_title' => $data['post_title'], 'post_content' => $data['post_content'],
                'post_excerpt' => $data['post_excerpt']];
            $author = get_current_user_id();
            // Asked for nobody's, WordPress gives anybody's, and that is not ours to write over
            $old = $author > 0 ? wp_get_post_autosave($before->ID, $author) : false;
            if ($old !== false) {
                return (int) wp_update_post(['ID' => $old->ID, 'post_author' => $author] + $text);
            }
            $made = _wp_put_post_revision(['ID' => $before->ID] + wp_unslash($text) + get_object_vars($before), true);
            return is_wp_error($made) ? 0 : (int) $made;
        } catch (\Throwable $error) {
            return 0;
        }
    }

    /**
     * @param array<string, mixed> $data
     * @param array<int, array<string, mixed>> $problems
     * @return array<string, mixed>
     */
    private function as_pending(array $data, ?\WP_Post $before, array $problems): array
    {
        $data['post_status'] = 'pending';
        if ($before === null || $before->post_status !== 'future') {
            $data['post_date_gmt'] = '0000-00-00 00:00:00';  // no date of its own until it is published
        }
        $this->tell($before, sprintf(
            /* translators: 1: title of a post, 2: list of reasons */
            __('“%1$s” was NOT published; it is kept, waiting for review. %2$s', 'facecloak'),
            wp_unslash($data['post_title']),
            self::sentence($problems)
        ), $problems, (int) $data['post_author']);
        return $data;
    }

    private function make_pending(\WP_Post $post, string $road): void
    {
        if (!$this->governs($post->post_type, $post->ID)) {
            return;
        }
        $text = $post->post_content . "\n\n" . $post->post_excerpt;
        $problems = $this->problems($text, self::featured_now($post->ID), $post->ID);
        if ($problems === []) {
            return;
        }
        wp_update_post(['ID' => $post->ID, 'post_status' => 'pending']);
        $this->log($post->ID, $problems, $road);
        $this->tell($post, sprintf(
            /* translators: 1: title of a post, 2: list of reasons */
            __('“%1$s” was NOT published when its time came; it is kept, waiting for review. %2$s', 'facecloak'),
            $post->post_title,
            self::sentence($problems)
        ), $problems);
    }

    /**
     * @param array<int, array<string, mixed>> $problems
     */
    private function tell(?\WP_Post $post, string $text, array $problems, int $author = 0): void
    {
        $user = get_current_user_id();
        if ($user === 0) {
            $user = $post === null ? $author : (int) $post->post_author;
        }
        $first = (int) ($problems[0]['attachment'] ?? 0);
        Notices::tell($user, $text, 'error', $first > 0 ? Library::review_url($first) : '');
    }

    /**
     * @param array<int, array<string, mixed>> $problems
     */
    private function log(int $post, array $problems, string $road): void
    {
        try {
            $this->plugin->log->add('gate closed', (int) ($problems[0]['attachment'] ?? 0), [
                'post' => $post,
                'road' => $road,
                'media' => array_column($problems, 'attachment'),
                'states' => array_column($problems, 'state'),
            ]);
        } catch (\Throwable $error) {
            return;  // a log that cannot be written must not open the gate
        }
    }

    /**
     * @return array{attachment: int, title: string, state: string, words: string}
     */
    private function of_attachment(int $id): array
    {
        $record = $this->plugin->records->by_attachment($id);
        $title = trim(get_the_title($id));
        return $this->finding(
            $id,
            /* translators: %d: number of an attachment */
            $title === '' ? sprintf(__('Item %d', 'facecloak'), $id) : html_entity_decode($title, ENT_QUOTES, 'UTF-8'),
            $record === null ? Words::UNKNOWN : $record->state,
            Words::reason($record)
        );
    }

    /**
     * @return array{attachment: int, title: string, state: string, words: string}
     */
    private function finding(int $attachment, string $title, string $state, string $words): array
    {
        return ['attachment' => $attachment, 'title' => $title, 'state' => $state, 'words' => $words];
    }

    /**
     * @param array<string, mixed> $postarr
     */
    private function featured_of(array $postarr, int $id): int
    {
        $given = $postarr['_thumbnail_id'] ?? ($postarr['meta_input']['_thumbnail_id'] ?? null);
        return $given === null ? self::featured_now($id) : max(0, (int) $given);
    }

    private static function featured_now(int $id): int
    {
        return $id > 0 ? max(0, (int) get_post_meta($id, '_thumbnail_id', true)) : 0;
    }
}
