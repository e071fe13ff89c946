<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Which posts the public sees, or will see without anybody doing anything more.
 */
final class PublicPosts
{
    private const STATUSES = ['publish', 'future', 'private'];
    /** Not viewable by themselves, but what they hold is shown to everybody. */
    private const PARTS = ['wp_template', 'wp_template_part', 'wp_navigation', 'wp_global_styles', 'custom_css'];
    private const REUSABLE = 'wp_block';

    public static function is_public(string $status): bool
    {
        $known = get_post_status_object($status);
        return in_array($status, self::STATUSES, true) || ($known !== null && ($known->public || $known->private));
    }

    /** Whether it can be seen now; a scheduled one cannot. */
    public static function is_live(\WP_Post $post): bool
    {
        return $post->post_status !== 'future' && self::is_public($post->post_status);
    }

    /**
     * Whether a post of this type shows what it holds. Attachments are no posts here: what lies in uploads can be
     * fetched from the first moment, which is why it is covered and not held back.
     *
     * @param int $id 0 where it is not saved yet
     */
    public static function is_shown(string $type, int $id): bool
    {
        if ($type === 'attachment' || $type === 'revision') {
            return false;
        }
        if ($type === self::REUSABLE) {
            return $id > 0 && self::is_used($id, []);
        }
        return is_post_type_viewable($type) || in_array($type, self::PARTS, true);
    }

    /**
     * Whether a reusable block stands in something that is public. On its own it is seen by nobody.
     *
     * @param int[] $seen
     */
    private static function is_used(int $block, array $seen): bool
    {
        global $wpdb;
        if (in_array($block, $seen, true)) {
            return false;
        }
        $seen[] = $block;
        $reference = '"ref"[[:space:]]*:[[:space:]]*"?' . $block . '[^0-9]';
        $rows = $wpdb->get_results($wpdb->prepare(
            "SELECT ID, post_type, post_status FROM {$wpdb->posts} WHERE post_type <> 'revision'"
            . ' AND post_content REGEXP %s',
            $reference
        ));
        $widgets = $wpdb->get_var($wpdb->prepare(
            "SELECT COUNT(*) FROM {$wpdb->options} WHERE option_name LIKE %s AND option_value REGEXP %s",
            $wpdb->esc_like('widget_') . '%',
            $reference
        ));
        if ($rows === null || $widgets === null || (int) $widgets > 0 || $wpdb->last_error !== '') {
            return true; // where the database does not say, nobody knows
        }
        foreach ($rows as $row) {
            $is_shown = $row->post_type === self::REUSABLE
                ? self::is_used((int) $row->ID, $seen)
                : self::is_public((string) $row->post_status);
            if ($is_shown) {
                return true;
            }
        }
        return false;
    }
}
