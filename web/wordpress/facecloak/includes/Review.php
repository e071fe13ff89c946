<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What the desk decides: it looks at what its choices would make, then approves that, or what is there already.
 *
 * Only what somebody has looked at can be approved: a preview has a token, and a newer preview of the same file, by
 * whomever, makes the older token worthless.
 */
final class Review
{
    /** Of a preview that nobody approved; the file itself is swept from the quarantine at about the same time. */
    private const PREVIEW_S = 86400;
    private const PREVIEW = 'facecloak_preview_';
    private const VIEW = 'facecloak_view_';
    private const SHOWN = ['image/jpeg', 'image/png', 'image/webp', 'image/avif'];
    /** States in which something may be approved. In `waiting` and `failed` there is only a placeholder. */
    private const OPEN = [Record::UNREVIEWED, Record::REVIEWED, Record::SUGGESTED, Record::UNCHECKED];
    private const LONGEST_REASON = 1000;
    private const LONGEST_S = 600;
    /** Overlap of the face that was listed with the face that was treated, from which they are the same one. */
    private const SAME_FACE = 0.5;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('delete_attachment', [$this, 'drop']);
    }

    /**
     * Has the service do what was chosen, into the quarantine, for the desk to look at. Uploads are not touched.
     *
     * @param array<mixed> $choices as the browser sent them.
     * @return array<string, mixed> {token, mime, choices, faces, verdict, found_again, why_reason, disclosure}
     * @throws Refused|Unreachable|Rejected
     */
    public function preview(Record $record, array $choices): array
    {
        $this->check_open($record);
        if ($record->kind !== 'photo') {
            throw new Refused(__('This is a clip. Nothing was changed.', 'facecloak'), 400);
        }
        $checked = Choices::checked($choices, $record, $this->plugin->settings, current_user_can('facecloak_keep'));
        $to = $this->plugin->quarantine->temporary();
        try {
            $job = $this->plugin->client->protect($this->source($record), $record->name, [
                'default' => $checked['default'],
                'faces' => (object) $checked['faces'],
                'regions' => $checked['regions'],
                'sha256' => $record->in_sha256,
                'metadata' => $this->plugin->settings->metadata(),
                'no_face' => 'clean',
            ], $to, $this->patience($checked['faces']));
            $report = is_array($job['report'] ?? null) ? $job['report'] : [];
            $this->check_same_faces($record, $checked['faces'], $report);
            return $this->keep_preview($record, $to, $report, $checked);
        } catch (\Throwable $error) {
            if (is_file($to)) {
                unlink($to);
            }
            throw $error;
        }
    }

    /**
     * Puts a file that was made from the original forward to be looked at. The one before is gone.
     *
     * @param array<string, mixed> $report
     * @param array<string, mixed> $choices
     * @return array<string, mixed> {token, mime, choices, faces, verdict, found_again, why_reason, disclosure}
     */
    public function keep_preview(Record $record, string $file, array $report, array $choices): array
    {
        $this->drop($record->attachment_id);
        $preview = [
            'token' => bin2hex(random_bytes(16)),
            'record' => $record->id,
            'in_sha256' => $record->in_sha256,
            'file' => basename($file),
            'sha256' => (string) hash_file('sha256', $file),
            'mime' => Media::content($file) ?? $record->mime,
            'report' => $report,
            'choices' => $choices,
        ];
        set_transient(self::PREVIEW . $record->attachment_id, $preview, self::PREVIEW_S);
        return $this->shown($preview);
    }

    /**
     * What was put forward and not approved yet, as `keep_preview` gives it; null where there is nothing.
     *
     * @return array<string, mixed>|null
     */
    public function pending(Record $record): ?array
    {
        $preview = get_transient(self::PREVIEW . $record->attachment_id);
        try {
            return is_array($preview) ? $this->shown($this->previewed($record, (string) $preview['token'])) : null;
        } catch (Refused $error) {
            return null;
        }
    }

    /**
     * What was put forward under this token.
     *
     * @return array<string, mixed>
     * @throws Refused (409) where there is none, or somebody has made another since.
     */
    public function previewed(Record $record, string $token): array
    {
        $preview = get_transient(self::PREVIEW . $record->attachment_id);
        $is_it = is_array($preview) && hash_equals((string) $preview['token'], $token)
            && $preview['record'] === $record->id && $preview['in_sha256'] === $record->in_sha256
            && $this->plugin->quarantine->has($preview['file']);
        if (!$is_it) {
            throw new Refused(__(
                'What you looked at is not there any more: somebody made another version, or it is too old. Nothing was'
                . ' approved. Look at the result again.',
                'facecloak'
            ), 409);
        }
        return $preview;
    }

    /**
     * The file of a preview, for the one who looks at it.
     *
     * @throws Refused
     */
    public function preview_path(Record $record, string $token): string
    {
        return $this->plugin->quarantine->path($this->previewed($record, $token)['file']);
    }

    /**
     * Puts what was looked at into uploads and lets it be published.
     *
     * @throws Refused where the reason is missing, or a face is neither hidden nor kept on purpose.
     */
    public function approve(Record $record, string $token, string $reason, int $user): void
    {
        $this->check_open($record);
        $preview = $this->previewed($record, $token);
        $reason = $this->checked_reason($preview['report'], $reason, $user);
        $path = $this->plugin->quarantine->path($preview['file']);
        if (hash_file('sha256', $path) !== $preview['sha256']) {
            throw new Refused(__('The result was changed on the disk. Nothing was approved.', 'facecloak'), 409);
        }
        $this->keep_original($record);
        // Before the bytes are there: whoever checks uploads must know them. The gate stays shut until all is done.
        $record->out_sha256 = $preview['sha256'];
        $record->mime = $preview['mime'];
        $record->verdict = $preview['report'];
        $record->choices = $preview['choices'] + ['disclosure' => (string) ($record->choices['disclosure'] ?? '')];
        $record->state = Record::UNREVIEWED;
        $this->plugin->records->save($record);
        $this->plugin->attachments->replace($record->attachment_id, $path, $preview['mime']);
        $record = $this->plugin->records->find($record->id) ?? $record;
        $this->settle($record, 'approved', $reason, $user);
        $this->drop($record->attachment_id);
    }

    /**
     * Lets what is in uploads already be published.
     *
     * @throws Refused as `approve`.
     */
    public function approve_as_is(Record $record, string $reason, int $user): void
    {
        $this->check_open($record);
        if ($record->state === Record::UNCHECKED) {
            throw new Refused(__(
                'Nobody has looked for faces in this yet. Nothing was approved. Have it looked at first.',
                'facecloak'
            ), 409);
        }
        $report = $this->report($record);
        $reason = $this->checked_reason($report, $reason, $user);
        $record->verdict = $report;
        $this->settle($record, 'approved as it is', $reason, $user);
    }

    /** Takes an approval back: it can be published no more until somebody looks at it again. No byte is changed. */
    public function look_again(Record $record, int $user): void
    {
        if ($record->state !== Record::REVIEWED) {
            return;
        }
        $record->state = Record::UNREVIEWED;
        $record->reviewed_by = 0;
        $record->reviewed_at = null;
        $this->plugin->records->save($record);
        $this->plugin->log->add('approval taken back', $record->attachment_id, ['by' => $user]);
    }

    /**
     * What is known of the bytes that are in uploads now.
     *
     * @return array<string, mixed>|null
     */
    public function report(Record $record): ?array
    {
        return $record->state === Record::SUGGESTED ? self::all_kept($record) : $record->verdict;
    }

    /**
     * Why this cannot be approved without a reason; null where it can.
     *
     * @param array<string, mixed>|null $report
     */
    public function why_reason(?array $report): ?string
    {
        if (Verdict::kept($report) !== []) {
            return __('A face can be seen in what will be published. Say why.', 'facecloak');
        }
        if (Verdict::needs_a_look($report)) {
            return __('Something was found in the covered clip. Say what you saw there.', 'facecloak');
        }
        return null;
    }

    /**
     * The untouched file: in the quarantine, or where nothing was touched in uploads.
     *
     * @throws Refused (410) where it was deleted after its time.
     */
    public function source(Record $record): string
    {
        if ($record->original !== '') {
            if ($this->plugin->quarantine->has($record->original)) {
                return $this->plugin->quarantine->path($record->original);
            }
        } elseif (in_array($record->state, [Record::SUGGESTED, Record::UNCHECKED], true)) {
            $file = wp_get_original_image_path($record->attachment_id) ?: get_attached_file($record->attachment_id);
            if (is_string($file) && is_file($file)) {
                return $file;
            }
        }
        $words = __('The original is not here, or not any more. Nothing can be made of it.', 'facecloak');
        throw new Refused($words, 410);
    }

    /**
     * The untouched picture as a browser can show it: HEIC as the JPEG that the service makes of it, every face kept.
     *
     * @throws Refused|Unreachable|Rejected
     */
    public function picture(Record $record): string
    {
        $source = $this->source($record);
        if (in_array(Media::content($source), self::SHOWN, true)) {
            return $source;
        }
        $key = self::VIEW . $record->attachment_id;
        $known = get_transient($key);
        if (is_string($known) && $this->plugin->quarantine->has($known)) {
            return $this->plugin->quarantine->path($known);
        }
        $to = $this->plugin->quarantine->temporary();
        try {
            $options = ['default' => 'keep', 'no_face' => 'clean', 'sha256' => $record->in_sha256];
            $this->plugin->client->protect($source, $record->name, $options, $to);
            if (!in_array(Media::content($to), self::SHOWN, true)) {
                throw new Refused(__(
                    'Browsers cannot show this kind of picture. Its faces are found and hidden all the same.',
                    'facecloak'
                ), 415);
            }
        } catch (\Throwable $error) {
            unlink($to);
            throw $error;
        }
        set_transient($key, basename($to), self::PREVIEW_S);
        return $to;
    }

    public function has_source(Record $record): bool
    {
        try {
            $this->source($record);
            return true;
        } catch (Refused $error) {
            return false;
        }
    }

    /**
     * Deletes what was made to be looked at.
     *
     * @param int|string $attachment_id hooks hand over what they have
     */
    public function drop($attachment_id): void
    {
        foreach ([self::PREVIEW, self::VIEW] as $what) {
            $made = get_transient($what . (int) $attachment_id);
            $file = is_array($made) ? (string) $made['file'] : (string) $made;
            if ($this->plugin->quarantine->has($file)) {
                $this->plugin->quarantine->delete($file);
            }
            delete_transient($what . (int) $attachment_id);
        }
    }

    /**
     * @param array<string, mixed> $preview
     * @return array<string, mixed>
     */
    private function shown(array $preview): array
    {
        $report = $preview['report'];
        return [
            'token' => $preview['token'],
            'mime' => $preview['mime'],
            'choices' => $preview['choices'],
            'faces' => $report['faces'] ?? [],
            'verdict' => Verdict::in_words($report),
            'found_again' => Verdict::found_again($report),
            'why_reason' => $this->why_reason($report),
            'disclosure' => isset($this->plugin->disclosure) ? $this->plugin->disclosure->line($report) : '',
        ];
    }

    /**
     * Seconds to wait for the service: a cover is a matter of a moment, a cloak is not.
     *
     * @param array<string, string> $faces
     */
    private function patience(array $faces): int
    {
        $cloaks = count(array_intersect($faces, Choices::CLOAKS));
        $seconds = min((1 + $cloaks) * $this->plugin->settings->timeout_s(), self::LONGEST_S);
        if (function_exists('set_time_limit')) {
            @set_time_limit($seconds + 60);
        }
        return $seconds;
    }

    /** @throws Refused */
    private function check_open(Record $record): void
    {
        if (!in_array($record->state, self::OPEN, true)) {
            throw new Refused(__(
                'There is only a placeholder so far: the service has not treated this file. Nothing was changed.',
                'facecloak'
            ), 409);
        }
    }

    /**
     * @param array<string, mixed>|null $report
     * @throws Refused
     */
    private function checked_reason(?array $report, string $reason, int $user): string
    {
        // WordPress brings mb_substr along where PHP has none
        $reason = trim(mb_substr(sanitize_textarea_field($reason), 0, self::LONGEST_REASON));
        if ($report === null) {
            throw new Refused(__('Nothing is known about the faces in this. Nothing was approved.', 'facecloak'), 409);
        }
        $unsettled = Verdict::unsettled($report);
        if ($unsettled !== []) {
            throw new Refused(sprintf(
                /* translators: %s: numbers of faces */
                __(
                    'About face %s nothing can be promised. Nothing was approved. Hide it, or keep it with a reason.',
                    'facecloak'
                ),
                implode(', ', $unsettled)
            ), 409);
        }
        if (Verdict::kept($report) !== []) {
            $why_not = Choices::why_not_keep($this->plugin->settings, user_can($user, 'facecloak_keep'));
            if ($why_not !== null) {
                throw new Refused($why_not . ' ' . __('Nothing was approved.', 'facecloak'), 403);
            }
        }
        $why = $this->why_reason($report);
        if ($why !== null && $reason === '') {
            throw new Refused($why . ' ' . __('Nothing was approved.', 'facecloak'), 400);
        }
        return $reason;
    }

    /**
     * That the faces which were chosen by number are those that were treated: a newer service may number otherwise, and
     * then somebody would stay clear whom nobody chose.
     *
     * @param array<string, string> $chosen
     * @param array<string, mixed> $report
     * @throws Refused (409); the list of faces is made anew.
     */
    private function check_same_faces(Record $record, array $chosen, array $report): void
    {
        $listed = array_column($record->faces ?? [], 'box', 'number');
        $treated = array_column($report['faces'] ?? [], 'box', 'number');
        foreach (array_keys($chosen) as $number) {
            $is_same = isset($listed[$number], $treated[$number])
                && self::overlap($listed[$number], $treated[$number]) >= self::SAME_FACE;
            if (!$is_same) {
                $record->faces = self::listed($report);
                $this->plugin->records->save($record);
                throw new Refused(__(
                    'The service now finds other faces than those in your list. Nothing was changed. Load the page'
                    . ' again and choose anew.',
                    'facecloak'
                ), 409);
            }
        }
    }

    /**
     * @param array<string, mixed> $report
     * @return array<int, array{number: int, box: float[], score: float}>
     */
    private static function listed(array $report): array
    {
        $faces = [];
        foreach ($report['faces'] ?? [] as $face) {
            if ((float) $face['detector_score'] > 0) {
                $faces[] = ['number' => (int) $face['number'], 'box' => $face['box'],
                    'score' => (float) $face['detector_score']];
            }
        }
        return $faces;
    }

    /**
     * Intersection over union.
     *
     * @param float[] $one x1 y1 x2 y2
     * @param float[] $other
     */
    private static function overlap(array $one, array $other): float
    {
        $width = min($one[2], $other[2]) - max($one[0], $other[0]);
        $height = min($one[3], $other[3]) - max($one[1], $other[1]);
        if ($width <= 0 || $height <= 0) {
            return 0.0;
        }
        $areas = ($one[2] - $one[0]) * ($one[3] - $one[1]) + ($other[2] - $other[0]) * ($other[3] - $other[1]);
        return $width * $height / ($areas - $width * $height);
    }

    /**
     * What is known of a file that nothing was done to: every face in it stays as it is.
     *
     * @return array<string, mixed>
     */
    private static function all_kept(Record $record): array
    {
        return ['faces' => array_map(static function (array $face): array {
            $more = ['status' => 'kept', 'detector_score' => $face['score'], 'verdicts' => [], 'words' => ''];
            return $face + $more;
        }, $record->faces ?? []), 'words' => '', 'notes' => []];
    }

    /** Where uploads still hold the only original, it is kept before something else takes its place. */
    private function keep_original(Record $record): void
    {
        if ($record->original === '') {
            $record->original = $this->plugin->quarantine->keep_copy($this->source($record));
        }
    }

    private function settle(Record $record, string $action, string $reason, int $user): void
    {
        $record->state = Record::REVIEWED;
        $record->reviewed_by = $user;
        $record->reviewed_at = gmdate('Y-m-d H:i:s');
        $record->reason = $reason;
        $record->error = '';
        $record->next_try = null;
        $kept = Verdict::kept($record->verdict);
        $line = isset($this->plugin->disclosure) ? $this->plugin->disclosure->settle($record) : '';
        if ($this->plugin->settings->retention_days() === 0 && $record->original !== '') {
            $this->plugin->quarantine->delete($record->original);
            $record->original = '';
        }
        $this->plugin->records->save($record);
        $this->plugin->log->add($action, $record->attachment_id, [
            'reason' => $reason,
            'kept' => $kept,
            'areas' => count($record->choices['regions'] ?? []),
            'disclosure' => $line,
            'by' => $user,
        ]);
    }
}
