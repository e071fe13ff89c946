<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The gate for the featured image and the custom fields of posts that are public: they are written at any time, and no
 * save of the post goes with it.
 */
final class FieldGate
{
    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('add_post_metadata', [$this, 'hold'], 10, 4);
        add_filter('update_post_metadata', [$this, 'hold'], 10, 4);
        add_filter('update_post_metadata_by_mid', [$this, 'hold_by_mid'], 10, 4);
    }

    /**
     * @param mixed $answer anything but null keeps WordPress from writing
     * @param int $id
     * @param string $key
     * @param mixed $value
     * @return mixed
     */
    public function hold($answer, $id, $key, $value)
    {
        if ($answer !== null || !$this->plugin->settings->is_active()) {
            return $answer;
        }
        $post = get_post((int) $id);
        if ($post === null || !PublicPosts::is_public($post->post_status)) {
            return $answer;
        }
        try {
            $problems = $this->problems($post, (string) $key, $value);
            if ($problems !== [] && !$this->plugin->gate->governs($post->post_type, $post->ID)) {
                return $answer;
            }
        } catch (\Throwable $error) {
            $problems = [['title' => (string) $key, 'words' => $error->getMessage(), 'attachment' => 0,
                'state' => 'error']];
        }
        if ($problems === []) {
            return $answer;
        }
        $this->refuse($post, (string) $key, $problems);
        return false;
    }

    /**
     * @param mixed $answer
     * @param int $meta_id
     * @param mixed $value
     * @param string|false $key where the row is to get another
     * @return mixed
     */
    public function hold_by_mid($answer, $meta_id, $value, $key = false)
    {
        $meta = get_metadata_by_mid('post', (int) $meta_id);
        return $meta === false
            ? $answer
            : $this->hold($answer, (int) $meta->post_id, (string) ($key ?: $meta->meta_key), $value);
    }

    /**
     * @param mixed $value
     * @return array<int, array<string, mixed>>
     */
    private function problems(\WP_Post $post, string $key, $value): array
    {
        $gate = $this->plugin->gate;
        if ($key !== '_thumbnail_id') {
            $before = new MediaInContent('');
            foreach ((array) get_post_meta($post->ID, $key) as $one) {
                $before->look_at_field($key, $one);
            }
            return $gate->added($before, MediaInContent::of_field($key, $value));
        }
        $featured = (int) $value;
        return $featured <= 0 || $featured === Gate::featured_now($post->ID)
            ? []
            : Gate::unreviewed($gate->of_media(new MediaInContent(''), $featured, $post->ID));
    }

    /**
     * @param array<int, array<string, mixed>> $problems
     */
    private function refuse(\WP_Post $post, string $key, array $problems): void
    {
        $is_featured = $key === '_thumbnail_id';
        $this->plugin->gate->log($post->ID, $problems, $is_featured ? 'featured image' : 'custom field ' . $key);
        $words = $is_featured
            /* translators: 1: title of a post, 2: list of reasons */
            ? __('The featured image of “%1$s” was not changed. %2$s', 'facecloak')
            /* translators: 1: title of a post, 2: list of reasons, 3: name of a custom field */
            : __('The custom field %3$s of “%1$s” was not changed. %2$s', 'facecloak');
        $words = sprintf($words, $post->post_title, Gate::sentence($problems), $key);
        $this->plugin->gate->tell($post, $words, $problems);
    }
}
