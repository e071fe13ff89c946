<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What a report of the service says, in words for the desk. Never more than was measured.
 *
 * A report is a `facecloak-report/2` (photos) or a `facecloak-video/1` (clips), as the service gives it.
 */
final class Verdict
{
    /** What a photo may hold without a person looking at it again. A face that was kept was a choice. */
    private const SETTLED = ['protected', 'redacted', 'kept'];

    /**
     * Numbers of the faces about which nothing can be promised: still matched, lost, too small or not judged.
     *
     * @param array<string, mixed>|null $report
     * @return int[]
     */
    public static function unsettled(?array $report): array
    {
        return self::numbers($report, static function (string $status): bool {
            return !in_array($status, self::SETTLED, true);
        });
    }

    /**
     * Numbers of the faces or tracks that stay as they were.
     *
     * @param array<string, mixed>|null $report
     * @return int[]
     */
    public static function kept(?array $report): array
    {
        if (isset($report['tracks'])) {
            return self::numbers(['faces' => $report['tracks']], null, 'decision', 'keep');
        }
        return self::numbers($report, static function (string $status): bool {
            return $status === 'kept';
        });
    }

    /**
     * Whether anything in the picture was altered, so that readers have to be told.
     *
     * @param array<string, mixed>|null $report
     */
    public static function is_altered(?array $report): bool
    {
        $all = count($report['tracks'] ?? $report['faces'] ?? []);
        return $all > count(self::kept($report)) || (int) ($report['regions'] ?? 0) > 0;
    }

    /**
     * For the page: a headline with its kind ('good', 'look', 'wrong'), a line for each face, and the notes.
     *
     * @param array<string, mixed>|null $report
     * @return array<string, mixed>|null
     */
    public static function in_words(?array $report): ?array
    {
        if ($report === null) {
            return null;
        }
        $is_clip = isset($report['tracks']);
        [$kind, $headline] = $is_clip ? self::clip_headline($report) : self::photo_headline($report);
        $notes = array_merge($report['troubles'] ?? [], $report['notes'] ?? [], $report['left_out'] ?? []);
        return [
            'kind' => $kind,
            'headline' => $headline,
            'words' => Answers::words($report['words'] ?? ''),
            'faces' => $is_clip ? [] : self::faces($report['faces'] ?? []),
            'notes' => array_values(array_filter($notes, 'is_string')),
            'caution' => $is_clip
                ? __(
                    'Detection misses faces, and one frame is enough to name somebody: watch the whole clip.',
                    'facecloak'
                )
                : __('Detection misses faces: look at the whole picture.', 'facecloak'),
        ];
    }

    /**
     * Where the second look at a written clip saw what may be an uncovered face.
     *
     * @param array<string, mixed>|null $report
     * @return array<int, array{from_s: float, to_s: float, from: string, to: string, box: float[]}>
     */
    public static function found_again(?array $report): array
    {
        return array_map(static function (array $leak): array {
            return [
                'from_s' => (float) $leak['first_s'],
                'to_s' => (float) $leak['last_s'],
                'from' => self::time_code((float) $leak['first_s']),
                'to' => self::time_code((float) $leak['last_s']),
                'box' => array_map('floatval', $leak['box'] ?? [0, 0, 0, 0]),
            ];
        }, $report['leaks'] ?? []);
    }

    /**
     * Whether the second look at a written clip found something that a person has to judge.
     *
     * @param array<string, mixed>|null $report
     */
    public static function needs_a_look(?array $report): bool
    {
        return isset($report['tracks'])
            && array_filter([$report['leaks'] ?? [], $report['troubles'] ?? [], $report['uncovered_s'] ?? []]) !== [];
    }

    /** 75.25 becomes 1:15.3, as the page writes it. */
    public static function time_code(float $seconds): string
    {
        $tenths = (int) round(10 * $seconds);
        return sprintf('%d:%02d.%d', intdiv($tenths, 600), intdiv($tenths % 600, 10), $tenths % 10);
    }

    /**
     * @param array<string, mixed> $report
     * @return array{string, string}
     */
    private static function photo_headline(array $report): array
    {
        $statuses = array_column($report['faces'] ?? [], 'status');
        if ($statuses === []) {
            return ['look', __(
                'No face was found, so nothing was covered. That does not prove that there is none.',
                'facecloak'
            )];
        }
        if (in_array('matched', $statuses, true)) {
            return ['wrong', __('Do not publish this: a face is still matched.', 'facecloak')];
        }
        if (self::unsettled($report) !== []) {
            return ['wrong', __('Look again: about one face or more nothing can be promised.', 'facecloak')];
        }
        $kept = count(array_keys($statuses, 'kept', true));
        if ($kept === count($statuses)) {
            return ['look', __('No face is covered. Whoever searches for these people finds them.', 'facecloak')];
        }
        $cloaked = array_filter($report['faces'], static function (array $face): bool {
            return $face['status'] === 'protected';
        });
        $sentences = [$cloaked === []
            ? __('Every face that was found and not kept is covered.', 'facecloak')
            : __('No recogniser here matches a treated face any more. Others were not asked.', 'facecloak')];
        foreach ($cloaked as $face) {
            if (self::has_no_independent($face)) {
                $sentences[] = __(
                    'None of those is independent: the cloak was, or may have been, made against each of them.',
                    'facecloak'
                );
                break;
            }
        }
        if ($kept > 0) {
            $sentences[] = sprintf(
                /* translators: %d: number of faces */
                _n('%d face is left as it was.', '%d faces are left as they were.', $kept, 'facecloak'),
                $kept
            );
        }
        return [count($sentences) === 1 ? 'good' : 'look', implode(' ', $sentences)];
    }

    /**
     * @param array<string, mixed> $report
     * @return array{string, string}
     */
    private static function clip_headline(array $report): array
    {
        if (($report['leaks'] ?? []) !== []) {
            return ['wrong', __('Look before you publish: what may be an uncovered face was seen.', 'facecloak')];
        }
        if (($report['troubles'] ?? []) !== [] || ($report['uncovered_s'] ?? []) !== []) {
            return ['wrong', __('Look before you publish: the clip is not quite as it should be.', 'facecloak')];
        }
        if (!self::is_altered($report)) {
            return ['look', __(
                'Nobody is covered. Whoever searches for the people in this clip finds them.',
                'facecloak'
            )];
        }
        $sentences = [__(
            'A second look at the covered clip found no other face. It misses some, as the first does.',
            'facecloak'
        )];
        $kept = count(self::kept($report));
        if ($kept > 0) {
            $sentences[] = sprintf(
                /* translators: %d: number of tracks */
                _n('%d track is left as it was.', '%d tracks are left as they were.', $kept, 'facecloak'),
                $kept
            );
        }
        return ['look', implode(' ', $sentences)];
    }

    /** @param array<string, mixed> $face */
    private static function has_no_independent(array $face): bool
    {
        $verdicts = $face['verdicts'] ?? [];
        return $verdicts !== [] && count(array_filter(array_column($verdicts, 'is_surrogate'))) === count($verdicts);
    }

    /**
     * @param array<int, array<string, mixed>> $faces
     * @return array<int, array<string, mixed>>
     */
    private static function faces(array $faces): array
    {
        $lines = [];
        $areas = 0;
        foreach ($faces as $face) {
            $is_drawn = (float) ($face['detector_score'] ?? 0) === 0.0;
            $areas += (int) $is_drawn;
            $lines[] = self::face($face) + ['name' => $is_drawn
                /* translators: %d: number of an area that a person drew */
                ? sprintf(__('Area %d', 'facecloak'), $areas)
                /* translators: %d: number of a face */
                : sprintf(__('Face %d', 'facecloak'), (int) $face['number'])];
        }
        return $lines;
    }

    /**
     * @param array<string, mixed> $face
     * @return array<string, mixed>
     */
    private static function face(array $face): array
    {
        $number = (int) $face['number'];
        $status = (string) $face['status'];
        $words = [
            'redacted' => __('Covered.', 'facecloak'),
            'kept' => __('Left as it was.', 'facecloak'),
            'lost' => __('No longer found in its place, which is no protection: others may find it.', 'facecloak'),
            'too_small' => __('Too small to judge. Hide it.', 'facecloak'),
        ];
        return [
            'number' => $number,
            'kind' => !in_array($status, self::SETTLED, true) ? 'wrong' : ($status === 'kept' ? 'look' : 'good'),
            'words' => $words[$status] ?? self::judged($face),
            // Of the others it says the same once more
            'detail' => isset($words[$status]) ? '' : Answers::words($face['words'] ?? ''),
        ];
    }

    /** @param array<string, mixed> $face */
    private static function judged(array $face): string
    {
        $verdicts = $face['verdicts'] ?? [];
        $matching = count(array_filter(array_column($verdicts, 'is_matched')));
        if ($verdicts === []) {
            return __('Found, but not judged.', 'facecloak');
        }
        if ($matching > 0) {
            /* translators: 1: how many, 2: of how many */
            return sprintf(__('Still matched by %1$d of %2$d recognisers.', 'facecloak'), $matching, count($verdicts));
        }
        return sprintf(
            /* translators: %d: how many */
            _n(
                '%d recogniser no longer matches it.',
                '%d recognisers no longer match it.',
                count($verdicts),
                'facecloak'
            ),
            count($verdicts)
        );
    }

    /**
     * @param array<string, mixed>|null $report
     * @return int[]
     */
    private static function numbers(?array $report, ?callable $is, string $field = 'status', string $value = ''): array
    {
        $found = [];
        foreach ($report['faces'] ?? [] as $face) {
            $said = (string) ($face[$field] ?? '');
            if ($is === null ? $said === $value : $is($said)) {
                $found[] = (int) $face['number'];
            }
        }
        return $found;
    }
}
