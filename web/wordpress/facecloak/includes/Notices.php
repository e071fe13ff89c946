<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What a person must be told on the next page of the dashboard, because this one cannot say it.
 */
final class Notices
{
    private const KEPT_S = 86400;
    private const MOST = 10;

    public function __construct(Plugin $plugin)
    {
    }

    public function register(): void
    {
        add_action('admin_notices', [$this, 'show']);
    }

    /**
     * @param string $kind 'error', 'warning', 'success' or 'info'
     * @param string $link where the text leads; '' for nowhere
     */
    public static function tell(int $user, string $text, string $kind = 'error', string $link = ''): void
    {
        if ($user <= 0) {
            return;
        }
        $notices = self::of($user);
        $notice = ['text' => $text, 'kind' => $kind, 'link' => $link];
        if (!in_array($notice, $notices, true)) {
            $notices[] = $notice;
        }
        set_transient(self::name($user), array_slice($notices, -self::MOST), self::KEPT_S);
    }

    public function show(): void
    {
        $user = get_current_user_id();
        $notices = self::of($user);
        // The block editor hides these; it has its own, and the next page will show them
        $screen = function_exists('get_current_screen') ? get_current_screen() : null;
        if ($notices === [] || ($screen !== null && $screen->is_block_editor())) {
            return;
        }
        delete_transient(self::name($user));
        foreach ($notices as $notice) {
            printf(
                '<div class="notice notice-%s is-dismissible facecloak-notice"><p>%s%s</p></div>',
                esc_attr($notice['kind']),
                esc_html($notice['text']),
                $notice['link'] === '' ? '' : sprintf(
                    ' <a href="%s">%s</a>',
                    esc_url($notice['link']),
                    esc_html__('Look at it', 'facecloak')
                )
            );
        }
    }

    /**
     * @return array<int, array{text: string, kind: string, link: string}>
     */
    private static function of(int $user): array
    {
        $notices = $user > 0 ? get_transient(self::name($user)) : false;
        return is_array($notices) ? $notices : [];
    }

    private static function name(int $user): string
    {
        return 'facecloak_notices_' . $user;
    }
}
