<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Checks of what the service says. What does not look as it must is taken for no answer at all (Unreachable).
 */
final class Answers
{
    public const ID = '/^[0-9a-f]{32}$/D';
    private const STATES = ['queued', 'running', 'done', 'failed', 'cancelled', 'expired'];
    private const STATUSES = ['protected', 'redacted', 'kept', 'matched', 'lost', 'too_small', 'unjudged'];
    private const SHA256 = '/^[0-9a-f]{64}$/D';
    private const DEEPEST = 64;

    /**
     * What the service says never to. Any other problem may pass, or is one of the set-up and not of the file.
     */
    private const FINAL = [
        'photo-unreadable', 'photo-unsupported', 'photo-too-large', 'clip-unreadable', 'clip-unsupported',
        'clip-too-large', 'clip-too-long', 'upload-too-large', 'plan-invalid', 'no-face', 'choices-invalid',
        'not-ensured', 'not-processed', 'not-found', 'gone', 'not-ready', 'no-result', 'not-protected',
    ];

    /**
     * @return array<string, mixed>
     * @throws Unreachable
     */
    public static function json(string $type, string $body): array
    {
        $value = $type === 'application/json' ? json_decode($body, true, self::DEEPEST) : null;
        if (!is_array($value)) {
            throw self::garbage();
        }
        return $value;
    }

    /**
     * An answer that is a problem, as the exception it is for us.
     *
     * @return Rejected|Unreachable
     */
    public static function problem(int $status, string $type, string $body): \Exception
    {
        $problem = $type === 'application/problem+json' ? json_decode($body, true, self::DEEPEST) : null;
        if ($status === 401 || $status === 403) {
            return new Unreachable(__('The facecloak service does not accept the token.', 'facecloak'));
        }
        if ($status < 400 || $status > 499 || !is_array($problem)) {
            return new Unreachable(
                /* translators: %d: HTTP status */
                sprintf(__('The facecloak service answered with an error (%d).', 'facecloak'), $status)
            );
        }
        return self::of_problem($problem);
    }

    /**
     * @param array<string, mixed> $problem
     * @return Rejected|Unreachable
     */
    public static function of_problem(array $problem): \Exception
    {
        $code = is_string($problem['code'] ?? null) ? $problem['code'] : '';
        $words = self::words($problem['detail'] ?? ($problem['title'] ?? ''));
        if (in_array($code, self::FINAL, true)) {
            return new Rejected($code, $words);
        }
        /* translators: %s: what the service says */
        $later = new Unreachable(sprintf(__('The facecloak service could not do it: %s', 'facecloak'), $words));
        $later->problem_code = $code;
        return $later;
    }

    /**
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     * @throws Unreachable
     */
    public static function job(array $job, ?string $kind = null, ?string $id = null): array
    {
        $is_good = is_string($job['id'] ?? null) && preg_match(self::ID, $job['id']) === 1
            && ($id === null || $job['id'] === $id)
            && is_string($job['kind'] ?? null) && ($kind === null || $job['kind'] === $kind)
            && in_array($job['state'] ?? null, self::STATES, true);
        if (!$is_good) {
            throw self::garbage();
        }
        return $job;
    }

    /**
     * @param array<string, mixed> $job
     */
    public static function is_finished(array $job): bool
    {
        return !in_array($job['state'], ['queued', 'running'], true);
    }

    /**
     * A finished `detect` job, with faces as Record has them.
     *
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     * @throws Unreachable
     */
    public static function detected(array $job, string $sha256): array
    {
        if (($job['sha256'] ?? null) !== $sha256 || !is_array($job['faces'] ?? null)) {
            throw self::garbage();
        }
        $job['size'] = self::size($job['size'] ?? null);
        $job['faces'] = array_map([self::class, 'face'], array_values($job['faces']));
        return $job;
    }

    /**
     * A finished `protect` job. `faces` are put in as a `detect` job has them, areas that were drawn left out.
     *
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     * @throws Unreachable
     */
    public static function protected_photo(array $job, string $sha256): array
    {
        $report = $job['report'] ?? null;
        $is_good = is_array($report) && ($job['sha256'] ?? null) === $sha256
            && ($report['input_sha256'] ?? null) === $sha256 && is_array($report['faces'] ?? null)
            && is_string($report['output_sha256'] ?? null)
            && preg_match(self::SHA256, $report['output_sha256']) === 1
            && is_bool($job['is_protected'] ?? null);
        if (!$is_good) {
            throw self::garbage();
        }
        $faces = [];
        foreach ($report['faces'] as $face) {
            if (!is_array($face) || !in_array($face['status'] ?? null, self::STATUSES, true)) {
                throw self::garbage();
            }
            $found = self::face(['score' => $face['detector_score'] ?? null] + $face);
            if ($found['score'] > 0) {
                $faces[] = $found;
            }
        }
        $job['size'] = self::size($job['size'] ?? null);
        $job['faces'] = $faces;
        return $job;
    }

    /**
     * A finished `video` job.
     *
     * @param array<string, mixed> $job
     * @return array<string, mixed>
     * @throws Unreachable
     */
    public static function covered_clip(array $job, string $sha256): array
    {
        $report = $job['report'] ?? null;
        $is_good = is_array($report) && ($job['sha256'] ?? null) === $sha256
            && ($report['input_sha256'] ?? null) === $sha256 && is_string($report['output_sha256'] ?? null)
            && preg_match(self::SHA256, $report['output_sha256']) === 1 && $report['output_sha256'] !== $sha256
            && is_bool($job['needs_a_look'] ?? null);
        if (!$is_good) {
            throw self::garbage();
        }
        $job['size'] = self::size($job['size'] ?? null);
        return $job;
    }

    /**
     * Whether every face of the written photo is settled; one without faces and without areas was cleaned.
     *
     * @param array<string, mixed> $job checked already
     */
    public static function is_settled(array $job): bool
    {
        foreach ($job['report']['faces'] as $face) {
            if (!in_array($face['status'], ['protected', 'redacted', 'kept'], true)) {
                return false;
            }
        }
        return $job['report']['faces'] === [] || $job['is_protected'] === true;
    }

    /**
     * That a file is a picture of one of these types, with the size that was told where PHP can tell.
     *
     * @param array{0: int, 1: int}|null $size
     * @param string[] $types
     * @throws Unreachable
     */
    public static function picture(string $path, string $type, array $types, ?array $size = null): void
    {
        $found = Media::content($path);
        $is_good = $found !== null && $found === $type && in_array($found, $types, true);
        if ($is_good && $size !== null && in_array($found, ['image/jpeg', 'image/png', 'image/webp'], true)) {
            $measured = @getimagesize($path);
            $is_good = is_array($measured) && [$measured[0], $measured[1]] === $size;
        }
        if (!$is_good) {
            throw self::garbage();
        }
    }

    /**
     * Text for people: one line, no control characters, not endless. To be escaped where it is shown.
     *
     * @param mixed $text
     */
    public static function words($text): string
    {
        $text = is_string($text) ? wp_check_invalid_utf8($text) : '';
        return mb_substr(trim((string) preg_replace('/[\x00-\x1f\x7f]+/', ' ', $text)), 0, 500);
    }

    public static function garbage(): Unreachable
    {
        return new Unreachable(__('What the facecloak service answered makes no sense.', 'facecloak'));
    }

    /**
     * @param mixed $face
     * @return array{number: int, box: float[], score: float}
     */
    private static function face($face): array
    {
        $box = is_array($face) ? ($face['box'] ?? null) : null;
        $is_good = is_array($box) && count($box) === 4 && is_int($face['number'] ?? null) && $face['number'] > 0
            && self::is_number($face['score'] ?? null) && $face['score'] >= 0 && $face['score'] <= 1;
        foreach ($is_good ? $box : [] as $value) {
            $is_good = $is_good && self::is_number($value);
        }
        if (!$is_good) {
            throw self::garbage();
        }
        return [
            'number' => $face['number'],
            'box' => array_map('floatval', array_values($box)),
            'score' => (float) $face['score'],
        ];
    }

    /**
     * @param mixed $size
     * @return array{0: int, 1: int}
     */
    private static function size($size): array
    {
        if (!is_array($size) || !is_int($size[0] ?? null) || !is_int($size[1] ?? null) || min($size) < 1) {
            throw self::garbage();
        }
        return [$size[0], $size[1]];
    }

    /**
     * @param mixed $value
     */
    private static function is_number($value): bool
    {
        return is_int($value) || (is_float($value) && is_finite($value));
    }
}
