<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Looks through the whole library for what was published before anybody looked: positions, thumbnails of originals,
 * serial numbers and clear faces. It changes no file. A run goes on in steps, by the page that watches it and by cron.
 *
 * What is found is kept with each attachment (META), so it goes with it.
 */
final class Scan
{
    public const META = '_facecloak_scan';
    public const OPTION = 'facecloak_scan';
    public const HOOK = 'facecloak_scan';

    public const NEVER = 'never';
    public const RUNNING = 'running';
    public const STOPPED = 'stopped';
    public const DONE = 'done';

    /** Of a step that cron does: below the minute until the next. */
    private const CRON_S = 40.0;
    private const AGAIN_S = 60;
    /** Until the next try where the service does not answer. */
    private const WAIT_S = 300;
    private const PHOTO_S = 120;
    private const BATCH = 20;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action(self::HOOK, [$this, 'in_background']);
        (new ScanPage($this))->register();
    }

    /**
     * @return array{state: string, done: int, total: int, found: int, started: string, finished: string, problem: string,
     *     last: int, trying: int} times are UTC; `trying` was begun, and is done with when `last` is
     */
    public function state(): array
    {
        $stored = get_option(self::OPTION, []);
        $empty = ['state' => self::NEVER, 'done' => 0, 'total' => 0, 'found' => 0, 'started' => '', 'finished' => '',
            'problem' => '', 'last' => 0, 'trying' => 0];
        return array_merge($empty, is_array($stored) ? array_intersect_key($stored, $empty) : []);
    }

    /** From the first attachment on; what an earlier run has found is forgotten when its turn comes. */
    public function start(): void
    {
        global $wpdb;
        $total = (int) $wpdb->get_var('SELECT COUNT(*)' . $this->from(0)); // phpcs:ignore
        $this->save(['state' => self::RUNNING, 'total' => $total, 'started' => gmdate('Y-m-d H:i:s')]);
        $this->plugin->log->add('scan started', 0, ['media' => $total]);
        $this->again_in(self::AGAIN_S);
    }

    public function stop(): void
    {
        $state = $this->state();
        if ($state['state'] === self::RUNNING) {
            $this->save(['state' => self::STOPPED] + $state);
            $this->plugin->log->add('scan stopped', 0, ['done' => $state['done'], 'media' => $state['total']]);
        }
        wp_clear_scheduled_hook(self::HOOK);
    }

    /** Cron. */
    public function in_background(): void
    {
        if ($this->state()['state'] === self::RUNNING) {
            $this->again_in(self::WAIT_S);  // also where this request ends half-way
        }
        $state = $this->step(self::CRON_S);
        if ($state['state'] === self::RUNNING && $state['problem'] === '') {
            $this->again_in(self::AGAIN_S);
        }
    }

    /**
     * Goes on for about so long, with one attachment at least, unless somebody else does so now.
     *
     * @return array<string, mixed> the state afterwards
     */
    public function step(float $seconds): array
    {
        global $wpdb;
        $lock = substr($wpdb->prefix . self::OPTION . '_' . DB_NAME, 0, 64);
        if ($wpdb->get_var($wpdb->prepare('SELECT GET_LOCK(%s, 0)', $lock)) !== '1') {
            return $this->state();
        }
        try {
            wp_cache_delete(self::OPTION, 'options');
            return $this->go_on(microtime(true) + $seconds);
        } finally {
            $wpdb->query($wpdb->prepare('SELECT RELEASE_LOCK(%s)', $lock));
        }
    }

    /**
     * What was found, newest attachments first.
     *
     * @param int $before attachments with smaller numbers only
     * @return array<int, array{id: int, faces: ?int, tells: array<string, string[]>, error: string, is_clip: bool,
     *     time: string}>
     */
    public function findings(int $before, int $count, int $skip = 0): array
    {
        global $wpdb;
        $rows = (array) $wpdb->get_results($wpdb->prepare(
            "SELECT post_id, meta_value FROM {$wpdb->postmeta} WHERE meta_key = %s AND post_id < %d"
            . ' ORDER BY post_id DESC LIMIT %d OFFSET %d',
            self::META,
            $before,
            $count,
            $skip
        ));
        $empty = ['faces' => null, 'tells' => [], 'error' => '', 'is_clip' => false, 'time' => ''];
        return array_map(static function ($row) use ($empty): array {
            $finding = json_decode((string) $row->meta_value, true);
            return ['id' => (int) $row->post_id] + (is_array($finding) ? $finding : []) + $empty;
        }, $rows);
    }

    public function count(): int
    {
        global $wpdb;
        return (int) $wpdb->get_var(
            $wpdb->prepare("SELECT COUNT(*) FROM {$wpdb->postmeta} WHERE meta_key = %s", self::META)
        );
    }

    /**
     * One attachment. Faces that facecloak has dealt with already are not looked for again.
     *
     * @return array<string, mixed>|null null: there is nothing to say
     * @throws Unreachable
     */
    public function look(int $id): ?array
    {
        $found = ['faces' => null, 'tells' => [], 'error' => '', 'is_clip' => false, 'time' => gmdate('Y-m-d H:i:s')];
        $errors = [];
        foreach (array_filter($this->plugin->attachments->files($id), 'is_file') as $path) {
            try {
                foreach (Metadata::tells($path) as $what) {
                    $found['tells'][$what][] = basename($path);
                }
            } catch (\RuntimeException $error) {
                $errors[] = $error->getMessage();
            }
        }
        $base = $this->plugin->attachments->base($id);
        foreach (array_unique([$base, (string) get_attached_file($id, true)]) as $path) {
            if ($path === '' || !is_file($path) || $this->is_known($id, $path)) {
                continue;
            }
            if (Media::kind($path, basename($path), (string) get_post_mime_type($id)) === Media::CLIP) {
                $found['is_clip'] = true;
                continue;
            }
            try {
                $job = $this->plugin->client->detect($path, basename($path), self::PHOTO_S);
                $found['faces'] = max((int) $found['faces'], count($job['faces']));
            } catch (Rejected $rejected) {
                $errors[] = $rejected->getMessage();
            }
        }
        $found['error'] = implode(' ', array_unique($errors));
        $has_something = $found['faces'] > 0 || $found['tells'] !== [] || $found['error'] !== '' || $found['is_clip'];
        return $has_something ? $found : null;
    }

    /**
     * @return array<string, mixed>
     */
    private function go_on(float $until): array
    {
        $state = $this->state();
        while ($state['state'] === self::RUNNING) {
            $ids = $this->next($state['last']);
            if ($ids === []) {
                return $this->finish($state);
            }
            foreach ($ids as $id) {
                try {
                    $state['found'] += (int) $this->keep($id, $this->tried($id, $state));
                    $state['problem'] = '';
                } catch (Unreachable $unreachable) {
                    $state['problem'] = $unreachable->getMessage();
                    $state['trying'] = 0;
                    return $this->save($state);
                }
                $state['last'] = $id;
                $state['done']++;
                wp_cache_delete(self::OPTION, 'options');
                $now = $this->state();
                if ($now['state'] !== self::RUNNING || $now['started'] !== $state['started']) {
                    return $now;  // somebody has stopped it meanwhile, or begun anew
                }
                $this->save($state);
                if (microtime(true) >= $until) {
                    return $state;
                }
            }
        }
        return $state;
    }

    /**
     * What one attachment holds. One at which PHP gave up half-way, or that nobody foresaw, is not tried for ever.
     *
     * @param array<string, mixed> $state
     * @return array<string, mixed>|null
     * @throws Unreachable
     */
    private function tried(int $id, array $state): ?array
    {
        $words = __('The site could not look at it.', 'facecloak');
        if ($state['trying'] !== $id) {
            $this->save(['trying' => $id] + $state);
            try {
                return $this->look($id);
            } catch (Unreachable $unreachable) {
                throw $unreachable;
            } catch (\Throwable $error) {
                $words = trim($words . ' ' . Answers::words($error->getMessage()));
            }
        }
        return ['error' => $words, 'time' => gmdate('Y-m-d H:i:s')];
    }

    /**
     * @param array<string, mixed>|null $finding
     */
    private function keep(int $id, ?array $finding): bool
    {
        if ($finding === null) {
            delete_post_meta($id, self::META);
        } else {
            update_post_meta($id, self::META, wp_slash((string) wp_json_encode($finding)));
        }
        return $finding !== null;
    }

    /** Whether these bytes are the plugin's own, with the faces covered or decided about. */
    private function is_known(int $id, string $path): bool
    {
        $record = $this->plugin->records->by_attachment($id);
        return $record !== null && $record->is_made() && $record->out_sha256 === hash_file('sha256', $path);
    }

    /**
     * @param array<string, mixed> $state
     * @return array<string, mixed>
     */
    private function finish(array $state): array
    {
        $state['state'] = self::DONE;
        $state['finished'] = gmdate('Y-m-d H:i:s');
        wp_clear_scheduled_hook(self::HOOK);
        $this->plugin->log->add('scan finished', 0, ['media' => $state['done'], 'found' => $state['found']]);
        return $this->save($state);
    }

    /**
     * @return int[]
     */
    private function next(int $after): array
    {
        global $wpdb;
        // phpcs:ignore -- prepared there
        $ids = $wpdb->get_col('SELECT ID' . $this->from($after) . ' ORDER BY ID LIMIT ' . self::BATCH);
        return array_map('intval', (array) $ids);
    }

    private function from(int $after): string
    {
        global $wpdb;
        return $wpdb->prepare(
            " FROM {$wpdb->posts} WHERE post_type = 'attachment'"
            . ' AND (post_mime_type LIKE %s OR post_mime_type LIKE %s) AND ID > %d',
            'image/%',
            'video/%',
            $after
        );
    }

    /**
     * @param array<string, mixed> $state
     * @return array<string, mixed>
     */
    private function save(array $state): array
    {
        update_option(self::OPTION, $state, false);
        return $this->state();
    }

    private function again_in(int $seconds): void
    {
        wp_clear_scheduled_hook(self::HOOK);
        wp_schedule_single_event(time() + $seconds, self::HOOK);
    }
}
