<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The HTTP API of the service, `/v1`.
 *
 * Every function throws Unreachable (later it may work) or Rejected (the service has said no). Where one of them is
 * thrown, nothing may be taken for protected, and what is at `$to` is nothing to publish.
 */
final class Client
{
    private const JSON_BYTES = 16 * 1024 * 1024;
    private const PLAN_BYTES = 32 * 1024 * 1024;
    private const PHOTO_BYTES = 512 * 1024 * 1024;
    private const CLIP_BYTES = 4 * 1024 * 1024 * 1024;
    private const PICTURE_BYTES = 32 * 1024 * 1024;
    /** The service keeps no request longer waiting. */
    private const LONGEST_WAIT_S = 60;
    private const QUICK_S = 10;
    private const SHORTEST_S = 0.1;
    /** A photo is with the service so much longer at most than we wait for it. */
    private const KEEP_SPARE_S = 60;
    /** For a file of 2 GB over a slow line; a job in the background has nobody waiting. */
    private const CLIP_S = 1800;

    /** What a `protect` job may give back. */
    public const PHOTO_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/tiff', 'image/heic', 'image/avif'];
    private const CLIP_TYPES = ['video/mp4', 'video/webm', 'video/quicktime', 'video/x-matroska'];

    private Settings $settings;
    private Transport $transport;

    public function __construct(Settings $settings)
    {
        $this->settings = $settings;
        $this->transport = new Transport($settings);
    }

    /**
     * That the service answers; needs no token.
     *
     * @return array{status: string, version: string, queued: int, running: int}
     */
    public function health(): array
    {
        $health = $this->asked('GET', '/healthz', ['seconds' => self::QUICK_S, 'is_open' => true]);
        $is_good = ($health['status'] ?? null) === 'ok' && is_string($health['version'] ?? null)
            && is_int($health['queued'] ?? null) && is_int($health['running'] ?? null);
        if (!$is_good) {
            throw Answers::garbage();
        }
        $health['version'] = Answers::words($health['version']);
        return $health;
    }

    /**
     * What the service takes on; needs the token.
     *
     * @return array<string, mixed>
     */
    public function limits(): array
    {
        $limits = $this->asked('GET', '/v1/limits', ['seconds' => self::QUICK_S]);
        foreach (['max_upload_bytes', 'max_pixels', 'max_clip_bytes', 'keep_s'] as $name) {
            if (!is_int($limits[$name] ?? null)) {
                throw Answers::garbage();
            }
        }
        return $limits;
    }

    /**
     * The faces of a photo. Nothing stays at the service.
     *
     * @param string $name is not sent: the names of pictures tell about people
     * @return array<string, mixed> job document: faces, size, sha256
     */
    public function detect(string $file, string $name, ?int $seconds = null): array
    {
        return $this->done('detect', $file, [], $seconds, static function (array $job) use ($file): array {
            return Answers::detected($job, (string) hash_file('sha256', $file));
        });
    }

    /**
     * A protected photo. Nothing stays at the service.
     *
     * @param string $name is not sent: the names of pictures tell about people
     * @param array<string, mixed> $options of a `protect` job
     * @param string $to a file of the quarantine
     * @return array<string, mixed> job document, with `faces` as `detect` gives them and `media_type` of the result
     */
    public function protect(string $file, string $name, array $options, string $to, ?int $seconds = null): array
    {
        $sha256 = (string) hash_file('sha256', $file);
        $options += ['no_face' => 'clean', 'metadata' => $this->settings->metadata()];
        $fetch = function (array $job, float $until) use ($sha256, $to): array {
            $job = Answers::protected_photo($job, $sha256);
            $job['media_type'] = $this->fetched(
                '/v1/jobs/' . $job['id'] . '/result',
                $to,
                self::PHOTO_BYTES,
                $until - microtime(true)
            );
            Answers::picture($to, $job['media_type'], self::PHOTO_TYPES, $job['size']);
            $is_its_own = hash_file('sha256', $to) === $job['report']['output_sha256'];
            $is_touched = array_diff(array_column($job['report']['faces'], 'status'), ['kept']) !== [];
            if (!$is_its_own || ($is_touched && $job['report']['output_sha256'] === $sha256)) {
                throw Answers::garbage();
            }
            return $job;
        };
        return $this->done('protect', $file, $options, $seconds, $fetch);
    }

    /**
     * @return array<string, mixed> job document, as a rule not finished
     */
    public function start_plan(string $file, string $name): array
    {
        $until = microtime(true) + self::CLIP_S;
        return $this->handed_in('video-plan', ['clip', $file, 'clip' . self::ending($name)], [], [], $until);
    }

    /**
     * @param string $file is sent where there is no plan
     * @param array<string, mixed> $options of a `video` job
     * @param string|null $plan_of id of a `video-plan` job about the clip
     * @return array<string, mixed> job document, as a rule not finished
     */
    public function start_video(string $file, string $name, array $options, ?string $plan_of): array
    {
        $until = microtime(true) + self::CLIP_S;
        $options += ['no_face' => 'clean'];  // positions go from clips that show nobody too
        if ($plan_of !== null) {
            return $this->handed_in('video', null, $options, ['plan_of' => self::id($plan_of)], $until);
        }
        return $this->handed_in('video', ['clip', $file, 'clip' . self::ending($name)], $options, [], $until);
    }

    /**
     * How a job is. One that has failed is an exception: Rejected, or Unreachable where a new one may do better.
     *
     * @param int $wait seconds to wait for its end
     * @return array<string, mixed> job document
     */
    public function job(string $id, int $wait = 0): array
    {
        $wait = max(0, min($wait, self::LONGEST_WAIT_S));
        return $this->looked_at(self::id($id), null, $wait, microtime(true) + $wait + self::QUICK_S);
    }

    /**
     * The file that a `video` job has made.
     */
    public function result(string $id, string $to): void
    {
        $type = $this->fetched('/v1/jobs/' . self::id($id) . '/result', $to, self::CLIP_BYTES, self::CLIP_S);
        $found = Media::content($to);
        $is_clip = in_array($type, self::CLIP_TYPES, true) && $found !== null && Media::is_clip($found);
        if (!$is_clip) {
            throw Answers::garbage();
        }
    }

    /**
     * A picture of a job about a clip. It shows faces uncovered: for the quarantine and for eyes of the desk only.
     *
     * @param string $url_path as `tracks` and `moments` of the job name it
     */
    public function picture(string $url_path, string $to): void
    {
        if (preg_match('#^/v1/jobs/[0-9a-f]{32}/files/[A-Za-z0-9_-]+\.[A-Za-z0-9]+$#D', $url_path) !== 1) {
            throw new Rejected('not-found', __('There is no such picture.', 'facecloak'));
        }
        $type = $this->fetched($url_path, $to, self::PICTURE_BYTES, $this->settings->timeout_s());
        Answers::picture($to, $type, ['image/jpeg']);
    }

    /**
     * The plan of a clip, JSON.
     */
    public function plan(string $id): string
    {
        $answer = $this->transport->send('GET', '/v1/jobs/' . self::id($id) . '/plan', [
            'seconds' => $this->settings->timeout_s(), 'limit' => self::PLAN_BYTES,
        ]);
        if ($answer['status'] !== 200) {
            throw Answers::problem($answer['status'], $answer['type'], $answer['body']);
        }
        Answers::json($answer['type'], $answer['body']);
        return $answer['body'];
    }

    /**
     * @param string $json what `plan` gave, with decisions
     * @return array<string, mixed> job document of the `video-plan` job
     */
    public function put_plan(string $id, string $json): array
    {
        $job = $this->asked('PUT', '/v1/jobs/' . self::id($id) . '/plan', [
            'seconds' => $this->settings->timeout_s(), 'json' => $json,
        ]);
        return Answers::job($job, 'video-plan', $id);
    }

    /**
     * Deletes a job and everything of it. One that is gone already is as good.
     */
    public function delete(string $id): void
    {
        $answer = $this->transport->send('DELETE', '/v1/jobs/' . self::id($id), [
            'seconds' => self::QUICK_S, 'limit' => self::JSON_BYTES,
        ]);
        if (!in_array($answer['status'], [204, 404, 410], true)) {
            throw Answers::problem($answer['status'], $answer['type'], $answer['body']);
        }
    }

    /**
     * Hands a photo in, waits, takes what is wanted, and has everything deleted whatever happens.
     *
     * @param array<string, mixed> $options
     * @param callable(array<string, mixed>, float): array<string, mixed> $take
     * @return array<string, mixed>
     */
    private function done(string $kind, string $file, array $options, ?int $seconds, callable $take): array
    {
        $patience = $seconds ?? $this->settings->timeout_s();
        $until = microtime(true) + $patience;
        // The answer comes at once, with the id: what waits too long can be stopped then. Where it gets lost, nobody
        // can, and the photo stays with the service until its deadline
        $keep = $patience + self::KEEP_SPARE_S;
        $job = $this->handed_in($kind, ['file', $file, 'photo'], $options, ['keep_s' => (string) $keep], $until);
        try {
            while (!Answers::is_finished($job)) {
                $left = $until - microtime(true);
                if ($left < self::SHORTEST_S) {
                    throw new Unreachable(__('The facecloak service took too long.', 'facecloak'));
                }
                // The rest is for the way, and for the result
                $job = $this->looked_at($job['id'], $kind, $left - min(1.0, $left / 4), $until);
            }
            return $take($this->ended_well($job), $until);
        } catch (Rejected $rejected) {
            if (in_array($rejected->problem_code, ['gone', 'not-found', 'not-ready', 'no-result'], true)) {
                throw Answers::garbage();  // it is our own job, of a moment ago
            }
            throw $rejected;
        } finally {
            $this->forgotten($job['id']);
        }
    }

    /**
     * @param array{string, string, string}|null $file part, path, name
     * @param array<string, mixed> $options
     * @param array<string, string> $fields
     * @return array<string, mixed>
     */
    private function handed_in(string $kind, ?array $file, array $options, array $fields, float $until): array
    {
        // PHP has no empty object but this
        $options = $options === [] ? new \stdClass() : $options;
        $request = [
            'fields' => $fields + ['kind' => $kind, 'options' => (string) wp_json_encode($options)],
            'seconds' => $until - microtime(true),
        ];
        if ($file !== null) {
            $request['file'] = $file;
        }
        try {
            $job = Answers::job($this->asked('POST', '/v1/jobs', $request), $kind);
        } catch (Unreachable $refused) {
            $keep = $refused->problem_code === 'invalid' ? (int) ($fields['keep_s'] ?? 0) : 0;
            if ($keep === 0 || $keep <= $this->limits()['keep_s']) {
                throw $refused;
            }
            unset($fields['keep_s']);  // it keeps nothing that long, so its own deadline is sooner
            return $this->handed_in($kind, $file, (array) $options, $fields, $until);
        }
        return $job['state'] === 'failed' ? $this->ended_well($job) : $job;
    }

    /**
     * @return array<string, mixed>
     */
    private function looked_at(string $id, ?string $kind, float $wait, float $until): array
    {
        $job = $this->asked('GET', '/v1/jobs/' . $id, [
            // F and not f: a comma is no number
            'query' => ['wait' => sprintf('%.2F', min($wait, self::LONGEST_WAIT_S))],
            'seconds' => $until - microtime(true),
        ]);
        $job = Answers::job($job, $kind, $id);
        return Answers::is_finished($job) ? $this->ended_well($job) : $job;
    }

    /**
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     */
    private function ended_well(array $job): array
    {
        if ($job['state'] === 'failed' && is_array($job['problem'] ?? null)) {
            throw Answers::of_problem($job['problem']);
        }
        if ($job['state'] !== 'done') {
            throw Answers::garbage();
        }
        return $job;
    }

    /**
     * @param array<string, mixed> $request
     * @return array<string, mixed>
     */
    private function asked(string $method, string $path, array $request): array
    {
        $answer = $this->transport->send($method, $path, $request + ['limit' => self::JSON_BYTES]);
        if (!in_array($answer['status'], [200, 202], true)) {
            throw Answers::problem($answer['status'], $answer['type'], $answer['body']);
        }
        return Answers::json($answer['type'], $answer['body']);
    }

    /**
     * @return string the content type
     */
    private function fetched(string $path, string $to, int $limit, float $seconds): string
    {
        $answer = $this->transport->send('GET', $path, ['to' => $to, 'limit' => $limit, 'seconds' => $seconds]);
        if ($answer['status'] !== 200) {
            $body = (string) @file_get_contents($to, false, null, 0, self::JSON_BYTES);
            @file_put_contents($to, '');
            throw Answers::problem($answer['status'], $answer['type'], $body);
        }
        if ($answer['length'] === null) {
            throw Answers::garbage();  // without it nobody knows whether it is whole
        }
        return $answer['type'];
    }

    private function forgotten(string $id): void
    {
        try {
            $this->delete($id);
        } catch (Unreachable | Rejected $thrown) {
            // It goes at its deadline
            return;
        }
    }

    private static function id(string $id): string
    {
        if (preg_match(Answers::ID, $id) !== 1) {
            throw new Rejected('not-found', __('There is no such job.', 'facecloak'));
        }
        return $id;
    }

    private static function ending(string $name): string
    {
        return preg_match('/\.[A-Za-z0-9]{1,5}$/D', $name, $found) === 1 ? strtolower($found[0]) : '';
    }
}
