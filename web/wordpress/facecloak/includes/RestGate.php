<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What the editor and the settings page ask for: REST routes beside those of the desk.
 */
final class RestGate
{
    public const NAMESPACE = 'facecloak/v1';
    /** Longer texts than any article; the check of one must not be a way to keep the site busy. */
    private const LONGEST = 4 * 1024 * 1024;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('rest_api_init', [$this, 'routes']);
    }

    public function routes(): void
    {
        register_rest_route(self::NAMESPACE, '/gate', [
            'methods' => 'POST',
            'callback' => [$this, 'gate'],
            'permission_callback' => [$this, 'may_ask'],
            'args' => [
                'content' => ['type' => 'string', 'default' => '', 'maxLength' => self::LONGEST],
                'featured' => ['type' => 'integer', 'default' => 0, 'minimum' => 0],
                'post' => ['type' => 'integer', 'default' => 0, 'minimum' => 0],
            ],
        ]);
        register_rest_route(self::NAMESPACE, '/connection', [
            'methods' => 'POST',
            'callback' => [$this, 'connection'],
            'permission_callback' => [$this, 'may_manage'],
        ]);
        register_rest_route(self::NAMESPACE, '/site-health', [
            'methods' => 'GET',
            'callback' => [$this, 'site_health'],
            'permission_callback' => [$this, 'may_see_health'],
        ]);
    }

    public function may_ask(\WP_REST_Request $request): bool
    {
        $post = (int) $request['post'];
        return $post > 0 ? current_user_can('edit_post', $post) : current_user_can('edit_posts');
    }

    public function may_manage(): bool
    {
        return current_user_can(Capabilities::MANAGE);
    }

    public function may_see_health(): bool
    {
        return current_user_can('view_site_health_checks');
    }

    /**
     * What the pre-publish panel says: everything that was found, and whether the post may be public as it is.
     */
    public function gate(\WP_REST_Request $request): \WP_REST_Response
    {
        $settings = $this->plugin->settings;
        $asked = [(string) $request['content'], (int) $request['featured'], (int) $request['post']];
        $problems = $this->plugin->gate->problems(...$asked);
        $found = $settings->policy() === 'suggest' ? $this->suggestions($asked) : $problems;
        return new \WP_REST_Response([
            'policy' => $settings->policy(),
            'is_closed' => $problems !== [],
            'found' => array_map([$this, 'for_this_person'], $found),
        ]);
    }

    public function connection(): \WP_REST_Response
    {
        return new \WP_REST_Response((new Connection($this->plugin))->test());
    }

    public function site_health(): \WP_REST_Response
    {
        return new \WP_REST_Response($this->plugin->health->service());
    }

    /**
     * @param array{0: string, 1: int, 2: int} $asked
     * @return array<int, array<string, mixed>>
     */
    private function suggestions(array $asked): array
    {
        try {
            $found = $this->plugin->gate->findings(...$asked);
        } catch (\Throwable $error) {
            return []; // nothing is held back by it
        }
        return array_values(array_filter(Gate::unreviewed($found), static function (array $finding): bool {
            return $finding['attachment'] > 0;
        }));
    }

    /**
     * With where it can be reviewed, and without the title of what this person may not read.
     *
     * @param array{attachment: int, title: string, state: string, words: string} $finding
     * @return array<string, mixed>
     */
    private function for_this_person(array $finding): array
    {
        $id = $finding['attachment'];
        if ($id > 0 && !current_user_can('read_post', $id)) {
            /* translators: %d: number of an attachment */
            $finding['title'] = sprintf(__('Item %d', 'facecloak'), $id);
        }
        $finding['label'] = Words::state($finding['state']);
        $finding['review'] = $id > 0 && current_user_can(Capabilities::REVIEW) ? Library::review_url($id) : '';
        return $finding;
    }
}
