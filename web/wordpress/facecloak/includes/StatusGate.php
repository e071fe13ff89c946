<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The gate for posts that become public without being saved: scheduled ones when their time comes, and whatever another
 * plugin hands to wp_publish_post(), which asks nobody.
 */
final class StatusGate
{
    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('publish_future_post', [$this, 'stop_scheduled'], 1);
        add_filter('query', [$this, 'stop_query'], PHP_INT_MAX);
        add_action('transition_post_status', [$this, 'take_back'], 1, 3);
    }

    /**
     * Before WordPress publishes it, so that it is not public for a moment.
     *
     * @param int|\WP_Post $post
     */
    public function stop_scheduled($post): void
    {
        $post = get_post($post);
        if ($post !== null && $post->post_status === 'future') {
            $this->is_held($post, 'schedule');
        }
    }

    /**
     * wp_publish_post() writes to the database before any hook is called: its query is all there is to hold on to.
     *
     * @param string $query
     * @return string '' is not sent
     */
    public function stop_query($query)
    {
        global $wpdb;
        $start = "UPDATE `{$wpdb->posts}` SET `post_status` = 'publish' WHERE `ID` = ";
        if (!is_string($query) || strpos($query, $start) !== 0) {
            return $query;
        }
        $id = substr($query, strlen($start));
        $post = ctype_digit($id) ? get_post((int) $id) : null;
        $is_new = $post !== null && $post->post_status !== 'publish';
        return $is_new && $this->is_held($post, 'transition', PublicPosts::is_live($post)) ? '' : $query;
    }

    /**
     * For whoever has found another road still. Then it was public for a moment.
     */
    public function take_back(string $new, string $old, \WP_Post $post): void
    {
        if ($new === 'publish' && $old !== 'publish' && get_post_status($post->ID) === 'publish') {
            $this->is_held($post, 'transition');
        }
    }

    /**
     * Whether it had to be kept from the public.
     *
     * @param bool $stays in its status, as a private post does; or else it waits for review
     */
    private function is_held(\WP_Post $post, string $road, bool $stays = false): bool
    {
        $gate = $this->plugin->gate;
        if (!$gate->governs($post->post_type, $post->ID)) {
            return false;
        }
        $text = $post->post_content . "\n\n" . $post->post_excerpt;
        $problems = $gate->problems($text, Gate::featured_now($post->ID), $post->ID);
        if ($problems === []) {
            return false;
        }
        if (!$stays) {
            wp_update_post(['ID' => $post->ID, 'post_status' => 'pending']);
        }
        $gate->log($post->ID, $problems, $road);
        $words = $stays
            /* translators: 1: title of a post, 2: list of reasons */
            ? __('“%1$s” was NOT published; it stays as it is. %2$s', 'facecloak')
            /* translators: 1: title of a post, 2: list of reasons */
            : __('“%1$s” was NOT published when its time came; it is kept, waiting for review. %2$s', 'facecloak');
        $gate->tell($post, sprintf($words, $post->post_title, Gate::sentence($problems)), $problems);
        return true;
    }
}
