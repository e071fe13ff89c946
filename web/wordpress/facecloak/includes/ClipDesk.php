<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The desk's part in clips: whom the service followed, with pictures; what is decided about each; the clip made of it.
 *
 * Tracks and their pictures lie at the service until the deadline of the job, and nowhere here. The page asks again and
 * again how far a job is, so nothing waits in a request.
 */
final class ClipDesk
{
    private const RENDER = 'facecloak_render_';
    private const RENDER_S = 86400;
    private const MOST_AREAS = 200;
    private const LONGEST_S = 1000000;
    private const PICTURE = '/^[a-z0-9-]{1,80}\.jpg$/';

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    /**
     * How far the clip is: {stage: gone | looking | ready | working | done | failed, words, share, plan, tracks,
     * moments, size, duration_s, preview}.
     *
     * @return array<string, mixed>
     * @throws Refused|Unreachable|Rejected
     */
    public function document(Record $record): array
    {
        try {
            $plan = $this->job($record->plan_job);
        } catch (Rejected $error) {
            return ['stage' => 'failed', 'words' => $error->getMessage()];
        }
        if ($plan === null) {
            return array_merge(['stage' => 'gone', 'words' => __(
                'The service has deleted what it knew about the people in this clip: the time for that was over. To'
                . ' decide about single people, have the clip looked at again.',
                'facecloak'
            )], $this->rendered($record));
        }
        if ($plan['state'] !== 'done') {
            return self::unfinished($plan, 'looking');
        }
        $document = [
            'stage' => 'ready',
            'words' => '',
            'plan' => $record->plan_job,
            'size' => $plan['size'] ?? [$record->width, $record->height],
            'duration_s' => $plan['duration_s'] ?? null,
            'tracks' => self::with_names($plan['tracks'] ?? [], 'pictures'),
            'moments' => self::with_names($plan['moments'] ?? [], 'picture'),
        ];
        $document = array_merge($document, $this->rendered($record));
        $document['decided'] = self::decided($record, $document['preview']['choices'] ?? $record->choices ?? []);
        return $document;
    }

    /**
     * What was decided last. About tracks only where it was about those of this plan: in another one the same number may
     * be somebody else.
     *
     * @param array<string, mixed> $choices
     * @return array{tracks: \stdClass, regions: array<int, array<string, mixed>>, audio: string}
     */
    private static function decided(Record $record, array $choices): array
    {
        $is_this_plan = ($choices['plan'] ?? '') === $record->plan_job;
        return [
            'tracks' => (object) ($is_this_plan ? $choices['tracks'] ?? [] : []),
            'regions' => $choices['regions'] ?? [],
            'audio' => $choices['audio'] ?? 'keep',
        ];
    }

    /** Has the service look at the clip again, for when it has deleted what it knew. */
    public function look(Record $record): void
    {
        $source = $this->plugin->review->source($record);
        $job = $this->plugin->client->start_plan($source, $record->name);
        $record->plan_job = (string) $job['id'];
        $this->plugin->records->save($record);
    }

    /**
     * Has the service cover everybody whom nobody keeps.
     *
     * @param array<mixed> $given {plan, tracks: {"1": "hide" | "keep"}, regions, audio}, as the browser sent it.
     * @throws Refused|Unreachable|Rejected
     */
    public function decide(Record $record, array $given): void
    {
        if (!in_array($record->state, [Record::UNREVIEWED, Record::REVIEWED], true)) {
            throw new Refused(__('This clip was not covered yet. Nothing was changed.', 'facecloak'), 409);
        }
        // In another plan the same number may be somebody else
        if (!hash_equals($record->plan_job, (string) ($given['plan'] ?? ''))) {
            throw self::odd(__('Somebody had the clip looked at again since.', 'facecloak'), 409);
        }
        $plan = $this->job($record->plan_job);
        if ($plan === null || $plan['state'] !== 'done') {
            throw self::odd(__('The service does not know the people in this clip.', 'facecloak'), 409);
        }
        $choices = $this->checked($given, $plan) + [
            'container' => self::container($record),
            'plan' => $record->plan_job,
        ];
        $choices['keep'] = array_map('intval', array_keys($choices['tracks'], 'keep', true));
        $source = $this->plugin->review->source($record);
        $job = $this->plugin->client->start_video($source, $record->name, [
            'style' => substr(Choices::hide($this->plugin->settings), strlen('redact ')),
            'keep' => $choices['keep'],
            'regions' => $choices['regions'],
            'audio' => $choices['audio'],
            'container' => $choices['container'],
            'sha256' => $record->in_sha256,
        ], $record->plan_job);
        $this->plugin->review->drop($record->attachment_id);
        $this->forget($record->attachment_id);
        set_transient(
            self::RENDER . $record->attachment_id,
            ['job' => (string) $job['id'], 'choices' => $choices, 'in_sha256' => $record->in_sha256],
            self::RENDER_S
        );
    }

    /**
     * Has the service delete the clip that is being made, or was, and the original that it made it from.
     *
     * @param int|string $attachment_id hooks hand over what they have
     */
    public function forget($attachment_id): void
    {
        $render = get_transient(self::RENDER . (int) $attachment_id);
        if (!is_array($render)) {
            return;
        }
        delete_transient(self::RENDER . (int) $attachment_id);
        try {
            $this->plugin->client->delete((string) $render['job']);
        } catch (Unreachable | Rejected $error) {
            return;  // it goes at its deadline
        }
    }

    /**
     * A picture of a track or a moment, in the quarantine for as long as it takes to send it.
     *
     * @throws Refused|Unreachable|Rejected
     */
    public function picture(Record $record, string $name): string
    {
        if (preg_match(self::PICTURE, $name) !== 1 || $record->plan_job === '') {
            throw self::odd(__('There is no such picture.', 'facecloak'), 404);
        }
        $to = $this->plugin->quarantine->temporary();
        try {
            $this->plugin->client->picture("/v1/jobs/{$record->plan_job}/files/{$name}", $to);
        } catch (\Throwable $error) {
            unlink($to);
            throw $error;
        }
        return $to;
    }

    /**
     * How far the clip is that the last decisions make.
     *
     * @return array<string, mixed>
     */
    private function rendered(Record $record): array
    {
        $render = get_transient(self::RENDER . $record->attachment_id);
        if (!is_array($render) || $render['in_sha256'] !== $record->in_sha256) {
            $preview = $this->plugin->review->pending($record);
            return $preview === null ? [] : ['stage' => 'done', 'preview' => $preview];
        }
        try {
            $job = $this->plugin->client->job($render['job']);
        } catch (Rejected $error) {
            delete_transient(self::RENDER . $record->attachment_id);
            return ['words' => $error->getMessage() . ' ' . __('No clip was made of your decisions.', 'facecloak')];
        }
        if ($job['state'] !== 'done') {
            return self::unfinished($job, 'working');
        }
        $to = $this->plugin->quarantine->temporary();
        try {
            $job = Answers::covered_clip($job, $record->in_sha256);
            $this->plugin->client->result($job['id'], $to);
            if (hash_file('sha256', $to) !== $job['report']['output_sha256']) {
                throw Answers::garbage();
            }
        } catch (\Throwable $error) {
            unlink($to);
            throw $error;
        }
        $preview = $this->plugin->review->keep_preview($record, $to, $job['report'], $render['choices']);
        $this->forget($record->attachment_id);
        return ['stage' => 'done', 'preview' => $preview];
    }

    /**
     * The job as the service knows it; null where it does so no longer.
     *
     * @return array<string, mixed>|null
     */
    private function job(string $id): ?array
    {
        if ($id === '') {
            return null;
        }
        try {
            return $this->plugin->client->job($id);
        } catch (Rejected $error) {
            if (in_array($error->problem_code, ['gone', 'not-found'], true)) {
                return null;
            }
            throw $error;
        }
    }

    /**
     * @param array<mixed> $given
     * @param array<string, mixed> $plan
     * @return array{tracks: array<string, string>, regions: array<int, array<string, mixed>>, audio: string}
     */
    private function checked(array $given, array $plan): array
    {
        $known = array_map('strval', array_column($plan['tracks'] ?? [], 'number'));
        $why_not = Choices::why_not_keep($this->plugin->settings, current_user_can('facecloak_keep'));
        $tracks = [];
        foreach (is_array($given['tracks'] ?? null) ? $given['tracks'] : [] as $number => $decision) {
            if (!in_array((string) $number, $known, true) || !in_array($decision, ['hide', 'keep'], true)) {
                throw self::odd(__('A decision is not understood.', 'facecloak'), 400);
            }
            if ($decision === 'keep' && $why_not !== null) {
                throw new Refused($why_not . ' ' . __('Nothing was changed.', 'facecloak'), 403);
            }
            $tracks[(string) $number] = $decision;
        }
        [$width, $height] = $plan['size'];
        $regions = [];
        foreach (is_array($given['regions'] ?? null) ? $given['regions'] : [] as $region) {
            $area = Choices::area($region, (int) $width, (int) $height);
            $from = self::seconds($region['from_s'] ?? 0);
            $to = isset($region['to_s']) ? self::seconds($region['to_s']) : null;
            if ($to !== null && $to <= $from) {
                throw self::odd(__('An area ends before it begins.', 'facecloak'), 400);
            }
            $regions[] = $area + ['from_s' => $from, 'to_s' => $to];
        }
        if (count($regions) > self::MOST_AREAS) {
            throw self::odd(__('There are too many areas.', 'facecloak'), 400);
        }
        return ['tracks' => $tracks, 'regions' => $regions,
            'audio' => ($given['audio'] ?? 'keep') === 'drop' ? 'drop' : 'keep'];
    }

    /** That of the file in uploads, whose name stays. */
    private static function container(Record $record): string
    {
        return ['video/mp4' => 'mp4', 'video/webm' => 'webm', 'video/quicktime' => 'mov'][$record->mime] ?? 'auto';
    }

    /** @param mixed $value */
    private static function seconds($value): float
    {
        if ((!is_int($value) && !is_float($value)) || !($value >= 0 && $value <= self::LONGEST_S)) {
            throw self::odd(__('A time is not understood.', 'facecloak'), 400);
        }
        return (float) $value;
    }

    /**
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     */
    private static function unfinished(array $job, string $stage): array
    {
        return [
            'stage' => $stage,
            'words' => '',
            'share' => min(1.0, max(0.0, (float) ($job['progress']['share'] ?? 0))),
        ];
    }

    /**
     * Pictures by name alone: the addresses of the service are nothing a browser has to know.
     *
     * @param array<int, array<string, mixed>> $rows
     * @return array<int, array<string, mixed>>
     */
    private static function with_names(array $rows, string $field): array
    {
        return array_map(static function (array $row) use ($field): array {
            $row[$field] = is_array($row[$field]) ? array_map('basename', $row[$field]) : basename($row[$field]);
            return $row;
        }, $rows);
    }

    private static function odd(string $words, int $status): Refused
    {
        return new Refused($words . ' ' . __('Nothing was changed. Load the page again.', 'facecloak'), $status);
    }
}
