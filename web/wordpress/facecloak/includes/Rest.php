<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What the page of the desk asks for, under facecloak/v1/media. Everything needs facecloak_review and a valid nonce.
 */
final class Rest
{
    public const NAMESPACE = 'facecloak/v1';
    /** No status of HTTP: 404, and the page can offer to have the file looked at. */
    private const UNKNOWN = 1404;
    private const MEDIA = '/media/(?P<id>[1-9]\d{0,18})';

    private Plugin $plugin;
    private ClipDesk $clips;
    private Worklist $worklist;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
        $this->clips = new ClipDesk($plugin);
        $this->worklist = new Worklist($plugin->records);
    }

    public function register(): void
    {
        add_action('rest_api_init', [$this, 'routes']);
        add_action('delete_attachment', [$this->clips, 'forget']);
    }

    public function routes(): void
    {
        $this->route('', 'GET', 'look');
        $this->route('/original', 'GET', 'original');
        $this->route('/preview/(?P<token>[0-9a-f]{32})', 'GET', 'preview_file');
        $this->route('/preview', 'POST', 'preview', ['choices' => ['type' => 'object', 'required' => true]]);
        $this->route('/approve', 'POST', 'approve', [
            'token' => ['type' => 'string', 'default' => '', 'pattern' => '^([0-9a-f]{32})?$'],
            'as_is' => ['type' => 'boolean', 'default' => false],
            'shown' => ['type' => 'string', 'default' => '', 'pattern' => '^([0-9a-f]{64})?$'],
            'reason' => ['type' => 'string', 'default' => ''],
        ]);
        $this->route('/retry', 'POST', 'retry');
        $this->route('/look-again', 'POST', 'look_again');
        $this->route('/tracks', 'GET', 'tracks');
        $this->route('/picture/(?P<name>[a-z0-9-]{1,80}\.jpg)', 'GET', 'picture');
        $this->route('/decisions', 'PUT', 'decide', [
            'plan' => ['type' => 'string', 'default' => ''],
            'tracks' => ['type' => 'object', 'required' => true],
            'regions' => ['type' => 'array', 'default' => []],
            'audio' => ['type' => 'string', 'default' => 'keep', 'enum' => ['keep', 'drop']],
        ]);
    }

    public function may_review(): bool
    {
        return current_user_can('facecloak_review');
    }

    /** @return mixed */
    public function look(\WP_REST_Request $request)
    {
        return $this->document($this->record($request));
    }

    public function original(\WP_REST_Request $request): \WP_REST_Response
    {
        $record = $this->record($request);
        $path = $this->plugin->review->picture($record);
        $this->plugin->log->add('original looked at', $record->attachment_id);
        return FileAnswer::of($request, $path);
    }

    public function preview_file(\WP_REST_Request $request): \WP_REST_Response
    {
        $record = $this->record($request);
        return FileAnswer::of($request, $this->plugin->review->preview_path($record, (string) $request['token']));
    }

    /** @return array<string, mixed> */
    public function preview(\WP_REST_Request $request): array
    {
        $record = $this->record($request);
        return $this->plugin->review->preview($record, (array) $request['choices']);
    }

    /** @return array<string, mixed> */
    public function approve(\WP_REST_Request $request): array
    {
        $record = $this->record($request);
        if ($request['as_is']) {
            if (!hash_equals($record->out_sha256, (string) $request['shown'])) {
                $words = __(
                    'The file was changed while you looked at it. Nothing was approved. Load the page again.',
                    'facecloak'
                );
                throw new Refused($words, 409);
            }
            $this->plugin->review->approve_as_is($record, (string) $request['reason'], get_current_user_id());
        } else {
            $review = $this->plugin->review;
            $review->approve($record, (string) $request['token'], (string) $request['reason'], get_current_user_id());
        }
        return $this->document($this->record($request));
    }

    /** @return array<string, mixed> */
    public function retry(\WP_REST_Request $request): array
    {
        $record = $this->plugin->records->by_attachment((int) $request['id']);
        if (get_post_type((int) $request['id']) !== 'attachment') {
            throw new Refused(__('There is no such file.', 'facecloak'), 404);
        }
        if ($record === null || $record->state === Record::UNCHECKED) {
            $this->plugin->intake->adopt((int) $request['id']);
            return $this->document($this->record($request));
        }
        if ($record->kind === 'clip' && in_array($record->state, [Record::UNREVIEWED, Record::REVIEWED], true)) {
            $this->clips->look($record);
        } elseif (in_array($record->state, [Record::WAITING, Record::FAILED], true)) {
            $this->plugin->queue->retry($record);
            spawn_cron();
        } else {
            throw new Refused(__('There is nothing to try again. Nothing was changed.', 'facecloak'), 409);
        }
        $this->plugin->log->add('tried again', $record->attachment_id);
        return $this->document($this->record($request));
    }

    /** @return array<string, mixed> */
    public function look_again(\WP_REST_Request $request): array
    {
        $this->plugin->review->look_again($this->record($request), get_current_user_id());
        return $this->document($this->record($request));
    }

    /** @return array<string, mixed> */
    public function tracks(\WP_REST_Request $request): array
    {
        return $this->clips->document($this->clip($request));
    }

    public function picture(\WP_REST_Request $request): \WP_REST_Response
    {
        $path = $this->clips->picture($this->clip($request), (string) $request['name']);
        return FileAnswer::of($request, $path, true);
    }

    /** @return array<string, mixed> */
    public function decide(\WP_REST_Request $request): array
    {
        $record = $this->clip($request);
        $this->clips->decide($record, [
            'plan' => $request['plan'], 'tracks' => $request['tracks'], 'regions' => $request['regions'],
            'audio' => $request['audio'],
        ]);
        return $this->clips->document($record);
    }

    /**
     * @param array<string, mixed> $arguments
     */
    private function route(string $path, string $method, string $does, array $arguments = []): void
    {
        register_rest_route(self::NAMESPACE, self::MEDIA . $path, [
            'methods' => $method,
            'permission_callback' => [$this, 'may_review'],
            'args' => $arguments,
            'callback' => function (\WP_REST_Request $request) use ($does) {
                return $this->answered($request, $does);
            },
        ]);
    }

    /**
     * Does what a route is for; what goes wrong becomes an answer in words, and what nobody foresaw says nothing of
     * paths and secrets.
     *
     * @return mixed
     */
    private function answered(\WP_REST_Request $request, string $does)
    {
        try {
            return $this->$does($request);
        } catch (Refused $error) {
            $status = $error->getCode() ?: 409;
            $code = $status === self::UNKNOWN ? 'facecloak_unknown' : 'facecloak_refused';
            return new \WP_Error($code, $error->getMessage(), ['status' => $status === self::UNKNOWN ? 404 : $status]);
        } catch (Rejected $error) {
            return new \WP_Error('facecloak_rejected', $error->getMessage(), ['status' => 422]);
        } catch (Unreachable $error) {
            $words = $error->getMessage() . ' ' . __('Nothing was changed. Try again later.', 'facecloak');
            return new \WP_Error('facecloak_unreachable', $words, ['status' => 503]);
        } catch (\Throwable $error) {
            error_log('facecloak: ' . $error); // phpcs:ignore -- for whoever runs the site
            $words = __('An error of the plugin. It was written to the log of the server.', 'facecloak');
            return new \WP_Error('facecloak_broken', $words, ['status' => 500]);
        }
    }

    /** @throws Refused (404) */
    private function record(\WP_REST_Request $request): Record
    {
        $id = (int) $request['id'];
        $record = get_post_type($id) === 'attachment' ? $this->plugin->records->by_attachment($id) : null;
        if ($record === null) {
            $words = __('Nothing is known of this file: facecloak never looked at it.', 'facecloak');
            throw new Refused($words, get_post_type($id) === 'attachment' ? self::UNKNOWN : 404);
        }
        return $record;
    }

    /** @throws Refused (404) */
    private function clip(\WP_REST_Request $request): Record
    {
        $record = $this->record($request);
        if ($record->kind !== 'clip') {
            throw new Refused(__('This is no clip.', 'facecloak'), 404);
        }
        return $record;
    }

    /**
     * Everything the page needs to know of one file.
     *
     * @return array<string, mixed>
     */
    private function document(Record $record): array
    {
        $id = $record->attachment_id;
        $review = $this->plugin->review;
        $settings = $this->plugin->settings;
        $report = $review->report($record);
        $why_not_keep = Choices::why_not_keep($settings, current_user_can('facecloak_keep'));
        $next = $this->worklist->after($record);
        $address = (string) wp_get_attachment_url($id);
        return [
            'id' => $id,
            'title' => html_entity_decode(get_the_title($id), ENT_QUOTES, 'UTF-8'),
            'kind' => $record->kind,
            'state' => $record->state,
            'words' => States::words($record),
            'error' => $record->error,
            'uploader' => (string) get_the_author_meta('display_name', (int) get_post_field('post_author', $id)),
            'created' => self::local_time($record->created),
            'attempts' => $record->attempts,
            'next_try' => $record->next_try === null ? '' : self::local_time($record->next_try),
            'width' => $record->width,
            'height' => $record->height,
            'faces' => $record->faces,
            'list' => Choices::list_of($record),
            'choices' => $record->choices,
            'hide' => Choices::hide($settings),
            'why_not_keep' => $why_not_keep,
            'may_cloak' => $settings->allows_cloaking(),
            'has_original' => $review->has_source($record),
            'now' => [
                // Browsers keep what had this address before
                'url' => add_query_arg('v', substr($record->out_sha256, 0, 12), $address),
                'mime' => $record->mime,
                'sha256' => $record->out_sha256,
            ],
            'verdict' => Verdict::in_words($report),
            'found_again' => Verdict::found_again($report),
            'why_reason' => $review->why_reason($report),
            'disclosure' => isset($this->plugin->disclosure) ? $this->plugin->disclosure->line($report) : '',
            'caption' => (string) get_post_field('post_excerpt', $id, 'raw'),
            'reviewed' => $record->reviewed_at === null ? null : [
                'by' => (string) get_the_author_meta('display_name', $record->reviewed_by),
                'at' => self::local_time($record->reviewed_at),
                'reason' => $record->reason,
            ],
            'next' => $next === null ? null : [
                'id' => $next->attachment_id,
                'url' => ReviewPage::address($next->attachment_id),
            ],
            'count' => $this->worklist->count(),
        ];
    }

    private static function local_time(string $utc): string
    {
        return get_date_from_gmt($utc, get_option('date_format') . ' ' . get_option('time_format'));
    }
}
