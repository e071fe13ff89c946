<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Background work: photos whose upload met no service, clips, and originals whose time is over.
 *
 * A worker claims one record at a time, so two never do the same. A worker that dies loses its claim after LEASE_S.
 */
final class Queue
{
    public const WORK = 'facecloak_work';
    public const RETENTION = 'facecloak_retention';
    private const SCHEDULE = 'facecloak_minute';

    /** Minutes until the next try, by the number of retries that failed; then every hour, for three days. */
    private const BACK_OFF = [1, 2, 5, 15, 60];
    private const HOURS = 72;
    /** One run ends about then; a single step may take longer. */
    private const RUN_S = 50;
    private const LEASE_S = 2700;
    /** Nobody waits for a photo any more. */
    private const PHOTO_S = 300;
    private const POLL_S = 5;
    private const SWEEP_S = 86400;
    private const BATCH = 500;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('cron_schedules', [$this, 'schedules']);
        add_action(self::WORK, [$this, 'work']);
        add_action(self::RETENTION, [$this, 'retain']);
    }

    /**
     * @param array<string, array<string, mixed>> $schedules
     * @return array<string, array<string, mixed>>
     */
    public function schedules($schedules)
    {
        $schedules[self::SCHEDULE] = ['interval' => 60, 'display' => 'facecloak'];
        return $schedules;
    }

    public function schedule(): void
    {
        if (!wp_next_scheduled(self::WORK)) {
            wp_schedule_event(time(), self::SCHEDULE, self::WORK);
        }
        if (!wp_next_scheduled(self::RETENTION)) {
            wp_schedule_event(time() + HOUR_IN_SECONDS, 'daily', self::RETENTION);
        }
    }

    public function unschedule(): void
    {
        wp_clear_scheduled_hook(self::WORK);
        wp_clear_scheduled_hook(self::RETENTION);
    }

    /**
     * Does what is due, one record after the other, until there is nothing or the time is up.
     */
    public function work(): void
    {
        ignore_user_abort(true);
        $until = microtime(true) + self::RUN_S;
        if ($this->plugin->settings->retention_days() === 0) {
            $this->delete_past_retention();
        }
        while (microtime(true) < $until) {
            $record = $this->plugin->records->claim(self::LEASE_S);
            if ($record === null) {
                return;
            }
            if (function_exists('set_time_limit')) {
                @set_time_limit(self::LEASE_S);
            }
            // A worker that is killed comes not so far as to say when to try again
            $record->next_try = $this->later($record->attempts);
            $this->plugin->records->save($record);
            try {
                $record->kind === 'clip' ? $this->clip($record, $until) : $this->photo($record);
            } catch (Unreachable $unreachable) {
                $this->put_off($record, $unreachable->getMessage());
                return;  // it would be the same with the next one; that one's turn comes in a minute
            } catch (Rejected $rejected) {
                $this->given_up($record, $rejected->getMessage());
            } catch (\Throwable $thrown) {
                $this->plugin->log->add('trouble', $record->attachment_id, [
                    'what' => Answers::words($thrown->getMessage()),
                ]);
                $this->put_off($record, __('The safe copy could not be put into uploads.', 'facecloak'));
            } finally {
                $this->plugin->records->release($record);
            }
        }
    }

    /**
     * Has a file that waits, or that was given up, treated soon.
     *
     * @throws Refused there is no original to treat.
     */
    public function retry(Record $record): void
    {
        $is_stuck = in_array($record->state, [Record::WAITING, Record::FAILED], true);
        if (!$is_stuck || !$this->plugin->quarantine->has($record->original)) {
            throw new Refused(__('There is no original to try again with. Nothing was changed.', 'facecloak'));
        }
        $record->state = Record::WAITING;
        $record->attempts = 0;
        $record->error = $record->job = $record->plan_job = '';
        $record->next_try = gmdate('Y-m-d H:i:s');
        $this->plugin->records->save($record);
    }

    /**
     * Daily: originals past retention, records that no attachment took, and what cut-off requests left.
     */
    public function retain(): void
    {
        $this->delete_past_retention();
        $long_ago = gmdate('Y-m-d H:i:s', time() - self::SWEEP_S);
        foreach ($this->plugin->records->unjoined_before($long_ago, self::BATCH) as $record) {
            try {
                $this->plugin->quarantine->delete($record->original);
                $this->plugin->records->delete($record);
            } catch (\Throwable $thrown) {
                $this->plugin->log->add('trouble', 0, ['what' => Answers::words($thrown->getMessage())]);
            }
        }
        // Of a network of sites each knows its own alone
        $this->plugin->quarantine->sweep(is_multisite() ? null : $this->plugin->records->originals());
        $this->plugin->uploads->sweep();
    }

    private function photo(Record $record): void
    {
        $made = $this->plugin->quarantine->temporary();
        try {
            $this->plugin->intake->cover($record, $made, self::PHOTO_S);
            $this->swap($record, $made);
        } finally {
            @unlink($made);
        }
    }

    /** Goes from stage to stage for as long as there is time. */
    private function clip(Record $record, float $until): void
    {
        do {
            try {
                $is_done = $this->clip_step($record);
            } catch (Rejected $rejected) {
                if (!in_array($rejected->problem_code, ['gone', 'not-found'], true)) {
                    throw $rejected;
                }
                // The service forgets jobs at their deadline, or has lost them: everything once more
                $record->job = $record->plan_job = '';
                $this->put_off($record, __('The service has forgotten the clip. It is sent again.', 'facecloak'));
                return;
            }
        } while (!$is_done && microtime(true) < $until);
        if (!$is_done) {
            $record->next_try = gmdate('Y-m-d H:i:s');
            $this->saved($record);
        }
    }

    /** @return bool whether the covered clip is in uploads */
    private function clip_step(Record $record): bool
    {
        $client = $this->plugin->client;
        $original = $this->plugin->quarantine->path($record->original);
        if ($record->plan_job === '') {
            $record->plan_job = $client->start_plan($original, $record->name)['id'];
            $this->saved($record);
            return false;
        }
        if ($record->job === '') {
            if (Answers::is_finished($client->job($record->plan_job, self::POLL_S))) {
                $look = $this->look($record);
                $record->job = $client->start_video($original, $record->name, $look, $record->plan_job)['id'];
                $this->saved($record);
            }
            return false;
        }
        $job = $client->job($record->job, self::POLL_S);
        if (!Answers::is_finished($job)) {
            return false;
        }
        $this->fetch($record, $job);
        return true;
    }

    /**
     * @return array<string, mixed> options of a `video` job
     */
    private function look(Record $record): array
    {
        $treatment = $this->plugin->settings->default_treatment();
        // Clips are covered, never cloaked
        $style = in_array($treatment, Settings::COVERS, true) ? substr($treatment, strlen('redact ')) : 'solid';
        return [
            'style' => $style,
            'container' => ($record->choices['container'] ?? '') === 'webm' ? 'webm' : 'mp4',
            'sha256' => $record->in_sha256,
        ];
    }

    /**
     * @param array<string, mixed> $job a `video` job that is done
     */
    private function fetch(Record $record, array $job): void
    {
        $made = $this->plugin->quarantine->temporary();
        try {
            $job = Answers::covered_clip($job, $record->in_sha256);
            $this->plugin->client->result($record->job, $made);
            if (hash_file('sha256', $made) !== $job['report']['output_sha256']) {
                throw Answers::garbage();
            }
            $record->verdict = $job['report'];
            [$record->width, $record->height] = $job['size'];
            $record->choices = ['tracks' => [], 'regions' => []] + $this->look($record);
            $record->mime = $record->choices['container'] === 'webm' ? 'video/webm' : 'video/mp4';
            $record->state = Record::UNREVIEWED;
            $record->next_try = null;
            $record->error = '';
            $done = $record->job;
            $record->job = '';
            $this->swap($record, $made);
        } finally {
            @unlink($made);
        }
        try {
            $this->plugin->client->delete($done);
        } catch (Unreachable | Rejected $thrown) {
            return;  // it goes at its deadline
        }
    }

    /**
     * Puts the bytes into uploads, and only then says so: what dies in between is done again.
     */
    private function swap(Record $record, string $made): void
    {
        if (!$this->is_wanted($record)) {
            return;
        }
        $this->plugin->attachments->replace($record->attachment_id, $made, $record->mime);
        $replaced = $this->plugin->records->find($record->id);
        if ($replaced === null) {
            return;
        }
        $record->out_sha256 = $replaced->out_sha256;
        $record->mime = $replaced->mime;
        $record->name = $replaced->name;
        $this->plugin->records->save($record);
        $this->plugin->log->add('covered', $record->attachment_id, [
            'state' => $record->state,
            'faces' => $record->faces === null ? null : count($record->faces),
        ]);
    }

    /** Nobody has deleted it, or put another original in its place, while the service was at work. */
    private function is_wanted(Record $record): bool
    {
        $now = $this->plugin->records->find($record->id);
        return $now !== null && $now->original === $record->original && $now->state === Record::WAITING
            && $now->attachment_id === $record->attachment_id && get_post($record->attachment_id) !== null;
    }

    private function saved(Record $record): void
    {
        if ($this->is_wanted($record)) {
            $this->plugin->records->save($record);
        }
    }

    private function put_off(Record $record, string $why): void
    {
        $record->state = Record::WAITING;
        $record->error = $why;
        $record->attempts++;
        $record->next_try = $this->later($record->attempts);
        if ($record->attempts > count(self::BACK_OFF) + self::HOURS) {
            $this->given_up($record, $why);
            return;
        }
        $this->saved($record);
    }

    private function given_up(Record $record, string $why): void
    {
        $record->state = Record::FAILED;
        $record->error = $why;
        $record->next_try = null;
        $this->saved($record);
        $this->plugin->log->add('failed', $record->attachment_id, ['why' => $why]);
    }

    private function later(int $attempts): string
    {
        $minutes = self::BACK_OFF[min($attempts, count(self::BACK_OFF) - 1)];
        return gmdate('Y-m-d H:i:s', time() + 60 * $minutes);
    }

    private function delete_past_retention(): void
    {
        $moment = gmdate('Y-m-d H:i:s', time() - DAY_IN_SECONDS * $this->plugin->settings->retention_days());
        foreach ($this->plugin->records->reviewed_before($moment, self::BATCH) as $record) {
            try {
                $this->plugin->quarantine->delete($record->original);
                $record->original = '';
                $this->plugin->records->save($record);
                $this->plugin->log->add('original deleted', $record->attachment_id, ['name' => $record->name]);
            } catch (\Throwable $thrown) {
                $this->plugin->log->add('trouble', $record->attachment_id, [
                    'what' => Answers::words($thrown->getMessage()),
                ]);
            }
        }
    }
}
