<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The gate for what every page shows around its post: widgets, logo, icon, header and background. They are options.
 *
 * Only what comes in anew is held: an option holds many things, and one that is public already must not keep the
 * others from being changed.
 */
final class AroundPosts
{
    private const SHOWN = '/^(?:widget_|theme_mods_|site_icon$|site_logo$)/';

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('pre_update_option', [$this, 'hold'], PHP_INT_MAX, 3);
    }

    /**
     * @param mixed $new
     * @param mixed $old
     * @return mixed the old value where the new one shows what nobody has reviewed
     */
    public function hold($new, string $name, $old)
    {
        if (preg_match(self::SHOWN, $name) !== 1 || $new === $old || !$this->plugin->settings->is_active()) {
            return $new;
        }
        try {
            $problems = $this->plugin->gate->added(
                MediaInContent::of_option($name, $old),
                MediaInContent::of_option($name, $new)
            );
        } catch (\Throwable $error) {
            $problems = [['title' => $name, 'words' => $error->getMessage(), 'attachment' => 0, 'state' => 'error']];
        }
        if ($problems === []) {
            return $new;
        }
        $this->plugin->log->add('gate closed', (int) $problems[0]['attachment'], ['option' => $name,
            'media' => array_column($problems, 'attachment'), 'states' => array_column($problems, 'state')]);
        $first = (int) $problems[0]['attachment'];
        Notices::tell(get_current_user_id(), sprintf(
            /* translators: %s: list of reasons */
            __('What stands around the posts was not changed. %s', 'facecloak'),
            Gate::sentence($problems)
        ), 'error', $first > 0 ? Library::review_url($first) : '');
        return $old;
    }
}
