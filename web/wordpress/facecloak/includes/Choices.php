<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What the desk chose for one photo, checked against what this site and this person may do.
 *
 * Nothing that a browser sends goes to the service as it came: every treatment is one of a list, every number is a
 * face that was found, every area lies in the picture. Where something is not allowed nothing is done at all, rather
 * than something else than was chosen.
 */
final class Choices
{
    public const HIDES = ['redact solid', 'redact mosaic', 'redact blur', 'redact ring'];
    public const CLOAKS = ['cloak light', 'cloak balanced', 'cloak strong'];
    public const MOST_AREAS = 200;

    /**
     * The choices in the form in which they are kept and sent: {default, faces: {"1": treatment}, regions}.
     *
     * @param array<mixed> $given as the browser sent it.
     * @return array{default: string, faces: array<string, string>, regions: array<int, array<string, int|string>>}
     * @throws Refused where it is not understood (400), not allowed (403) or about faces of another list (409).
     */
    public static function checked(array $given, Record $record, Settings $settings, bool $may_keep): array
    {
        $default = $given['default'] ?? self::hide($settings);
        if (!is_string($default) || !in_array($default, self::HIDES, true)) {
            throw self::odd(__('The way to hide faces is not one of those that there are.', 'facecloak'));
        }
        if (isset($given['list']) && $given['list'] !== self::list_of($record)) {
            throw self::odd(__('The list of faces was made anew since.', 'facecloak'), 409);
        }
        $numbers = array_map('strval', array_column($record->faces ?? [], 'number'));
        $faces = [];
        foreach (self::rows($given['faces'] ?? []) as $number => $how) {
            $number = (string) $number;
            if (!in_array($number, $numbers, true)) {
                throw self::odd(__('A choice is about a face that is not in the list.', 'facecloak'));
            }
            self::check_treatment($how, $settings, $may_keep);
            $faces[$number] = $how;
        }
        ksort($faces, SORT_NUMERIC);
        $regions = [];
        foreach (self::rows($given['regions'] ?? []) as $region) {
            $regions[] = self::area($region, $record->width, $record->height) + ['treatment' => $default];
        }
        if (count($regions) > self::MOST_AREAS) {
            throw self::odd(__('There are too many areas.', 'facecloak'));
        }
        return ['default' => $default, 'faces' => $faces, 'regions' => $regions];
    }

    /** Which list of faces the numbers are of: in another one the same number may be somebody else. */
    public static function list_of(Record $record): string
    {
        return substr(hash('sha256', (string) wp_json_encode($record->faces)), 0, 16);
    }

    /** How faces are hidden here: the site's own way, or solid where its default is a cloak. */
    public static function hide(Settings $settings): string
    {
        $default = $settings->default_treatment();
        return in_array($default, self::HIDES, true) ? $default : self::HIDES[0];
    }

    /** Why nobody, or not this person, may leave a face as it is; null where they may. */
    public static function why_not_keep(Settings $settings, bool $may_keep): ?string
    {
        if ($settings->policy() === 'enforce') {
            return __('This site covers every face: none can be left as it is.', 'facecloak');
        }
        return $may_keep ? null : __('You are not allowed to leave a face as it is.', 'facecloak');
    }

    /**
     * A box inside the picture, in whole pixels.
     *
     * @param mixed $region {x, y, width, height}.
     * @return array{x: int, y: int, width: int, height: int}
     * @throws Refused where it is none.
     */
    public static function area($region, int $width, int $height): array
    {
        $box = [];
        foreach (['x', 'y', 'width', 'height'] as $part) {
            $value = is_array($region) ? ($region[$part] ?? null) : null;
            if (!is_int($value) && !is_float($value) || !is_finite((float) $value)) {
                throw self::odd(__('An area is not understood.', 'facecloak'));
            }
            $box[$part] = (float) $value;
        }
        $left = (int) max(0, min(floor($box['x']), $width));
        $top = (int) max(0, min(floor($box['y']), $height));
        $right = (int) max(0, min($width, ceil($box['x'] + $box['width'])));
        $bottom = (int) max(0, min($height, ceil($box['y'] + $box['height'])));
        if ($right <= $left || $bottom <= $top) {
            throw self::odd(__('An area lies outside the picture.', 'facecloak'));
        }
        return ['x' => $left, 'y' => $top, 'width' => $right - $left, 'height' => $bottom - $top];
    }

    /** @param mixed $how */
    private static function check_treatment($how, Settings $settings, bool $may_keep): void
    {
        if ($how === 'keep') {
            $why_not = self::why_not_keep($settings, $may_keep);
            if ($why_not !== null) {
                throw new Refused($why_not . ' ' . __('Nothing was changed.', 'facecloak'), 403);
            }
        } elseif (is_string($how) && in_array($how, self::CLOAKS, true)) {
            if (!$settings->allows_cloaking()) {
                $words = __('Cloaking is not enabled on this site. Nothing was changed.', 'facecloak');
                throw new Refused($words, 403);
            }
        } elseif (!is_string($how) || !in_array($how, self::HIDES, true)) {
            throw self::odd(__('A choice for a face is not one of those that there are.', 'facecloak'));
        }
    }

    /**
     * @param mixed $rows
     * @return array<mixed>
     */
    private static function rows($rows): array
    {
        if (!is_array($rows)) {
            throw self::odd(__('The choices are not understood.', 'facecloak'));
        }
        return $rows;
    }

    private static function odd(string $words, int $status = 400): Refused
    {
        return new Refused($words . ' ' . __('Nothing was changed. Load the page again.', 'facecloak'), $status);
    }
}
