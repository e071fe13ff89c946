<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Keeps posts from the public while they show media that nobody has reviewed, whatever road they come by.
 *
 * REST is refused with the reason. Every other road leads through wp_insert_post(): there a new post is left pending,
 * and a live one stays as it is, with the new text kept as an autosave. What becomes public without being saved is for
 * StatusGate, custom fields are for FieldGate. Whatever goes wrong in here closes the gate.
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
        add_filter('shortcode_atts_gallery', [$this, 'leave_out_unreviewed'], 10, 3);
        add_filter('shortcode_atts_playlist', [$this, 'leave_out_unreviewed'], 10, 3);
        add_filter('get_attached_media', [$this, 'only_reviewed'], PHP_INT_MAX);
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
        $media = new MediaInContent($content, $post);
        if ($post > 0) {
            $media->look_at_fields($post);
        }
        return $this->of_media($media, $featured, $post);
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
        $ids = array_values(array_unique(array_map('intval', $ids)));
        $records = $this->plugin->records->by_attachments($ids);
        $found = array_map(function (int $id) use ($records): array {
            return $this->of_attachment($id, $records[$id] ?? null);
        }, $ids);
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
     * What is unreviewed after a change and was not there before: what is public already is shown to nobody new.
     *
     * @return array<int, array<string, mixed>>
     */
    public function added(MediaInContent $before, MediaInContent $after): array
    {
        $known = self::unreviewed($this->of_media($before));
        return array_values(array_filter(
            self::unreviewed($this->of_media($after)),
            static function (array $problem) use ($known): bool {
                return !in_array($problem, $known, true);
            }
        ));
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
        $problems = $this->of_save([
            'type' => (string) ($prepared->post_type ?? ($before->post_type ?? 'post')),
            'status' => (string) ($prepared->post_status ?? ($before->post_status ?? 'draft')),
            'text' => ($prepared->post_content ?? ($before->post_content ?? '')) . "\n\n"
                . ($prepared->post_excerpt ?? ($before->post_excerpt ?? '')),
            'password' => (string) ($prepared->post_password ?? ($before->post_password ?? '')),
            'featured' => $featured === null ? self::featured_now($id) : (int) $featured,
        ], $before);
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
        $problems = $this->of_save([
            'type' => (string) $data['post_type'],
            'status' => (string) $data['post_status'],
            'text' => wp_unslash($data['post_content'] . "\n\n" . $data['post_excerpt']),
            'password' => wp_unslash((string) $data['post_password']),
            'featured' => $this->featured_of($postarr, $id),
        ], $before);
        if ($problems === []) {
            return $data;
        }
        $this->log($id, $problems, 'save');
        return $before !== null && PublicPosts::is_live($before)
            ? $this->as_before($data, $before, $problems)
            : $this->as_pending($data, $before, $problems);
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
        $excluded = array_merge(wp_parse_id_list($attributes['exclude'] ?? ''), $this->unreviewed_of($children));
        $attributes['exclude'] = implode(',', $excluded);
        return $attributes;
    }

    /**
     * [video] without an address shows the newest clip of its post, and themes show its pictures.
     *
     * @param \WP_Post[] $children
     * @return \WP_Post[]
     */
    public function only_reviewed($children)
    {
        $is_for_readers = !is_admin() && !(defined('REST_REQUEST') && REST_REQUEST);
        if (!$is_for_readers || !is_array($children) || !$this->plugin->settings->is_active()) {
            return $children;
        }
        $hidden = $this->unreviewed_of(wp_list_pluck($children, 'ID'));
        return array_filter($children, static function ($child) use ($hidden): bool {
            return !in_array((int) $child->ID, $hidden, true);
        });
    }

    /**
     * @param array<int|string, int|string> $attachments
     * @return int[]
     */
    private function unreviewed_of(array $attachments): array
    {
        $ids = array_values(array_map('intval', $attachments));
        $records = $this->plugin->records->by_attachments($ids);
        return array_values(array_filter($ids, static function (int $id) use ($records): bool {
            $is_reviewed = isset($records[$id]) && $records[$id]->state === Record::REVIEWED;
            return !$is_reviewed && MediaInContent::is_media($id);
        }));
    }

    // --- the rule -----------------------------------------------------------------------------------------------

    /**
     * @param array{type: string, status: string, text: string, password: string, featured: int} $after
     * @return array<int, array{attachment: int, title: string, state: string, words: string}>
     */
    private function of_save(array $after, ?\WP_Post $before): array
    {
        try {
            $id = $before === null ? 0 : $before->ID;
            if (!PublicPosts::is_public($after['status']) || !$this->governs($after['type'], $id)) {
                return [];
            }
            return $before !== null && $this->is_shown_to_nobody_new($after, $before)
                ? []
                : $this->problems($after['text'], $after['featured'], $id);
        } catch (\Throwable $error) {
            return [$this->finding(0, __('The check itself', 'facecloak'), 'error', $error->getMessage())];
        }
    }

    /**
     * What is public already, and stays as it was or is put away.
     *
     * @param array{type: string, status: string, text: string, password: string, featured: int} $after
     */
    private function is_shown_to_nobody_new(array $after, \WP_Post $before): bool
    {
        return PublicPosts::is_live($before)
            && $after['type'] === $before->post_type
            && in_array($after['status'], [$before->post_status, 'private', 'future'], true)
            && ($after['password'] !== '' || $before->post_password === '')
            && $after['text'] === $before->post_content . "\n\n" . $before->post_excerpt
            && in_array($after['featured'], [0, self::featured_now($before->ID)], true);
    }

    public function governs(string $type, int $id): bool
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
        $fields = ['post_title', 'post_content', 'post_excerpt', 'post_content_filtered', 'post_status', 'post_type',
            'post_password', 'post_modified', 'post_modified_gmt'];
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

    /**
     * @param array<int, array<string, mixed>> $problems
     */
    public function tell(?\WP_Post $post, string $text, array $problems, int $author = 0): void
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
    public function log(int $post, array $problems, string $road): void
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
    private function of_attachment(int $id, ?Record $record): array
    {
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

    public static function featured_now(int $id): int
    {
        return $id > 0 ? max(0, (int) get_post_meta($id, '_thumbnail_id', true)) : 0;
    }
}
