<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * States of media in words for the people who work with them.
 */
final class Words
{
    /** No record: in the library from before, or made behind the back of the plugin. */
    public const UNKNOWN = 'unknown';

    public static function state(string $state): string
    {
        $words = [
            self::UNKNOWN => __('Never looked at', 'facecloak'),
            Record::WAITING => __('Waiting for the service', 'facecloak'),
            Record::UNREVIEWED => __('To review', 'facecloak'),
            Record::REVIEWED => __('Reviewed', 'facecloak'),
            Record::SUGGESTED => __('Faces found, untouched', 'facecloak'),
            Record::UNCHECKED => __('Not checked', 'facecloak'),
            Record::FAILED => __('Cannot be processed', 'facecloak'),
        ];
        return $words[$state] ?? $state;
    }

    /**
     * Why a picture or clip is in its state, and what has not happened, as whole sentences.
     */
    public static function reason(?Record $record): string
    {
        if ($record === null) {
            return __('facecloak has never looked at it: its faces are not covered.', 'facecloak');
        }
        $number = $record->faces === null ? 0 : count($record->faces);
        switch ($record->state) {
            case Record::REVIEWED:
                return $record->reviewed_by > 0
                    ? __('It was reviewed.', 'facecloak')
                    : __('No face was found in it, and by the settings nobody had to look.', 'facecloak');
            case Record::WAITING:
                return $record->kind === 'clip'
                    ? __('It is still being worked on: a placeholder stands in its place.', 'facecloak')
                    : __('The service did not answer yet: a placeholder stands in its place.', 'facecloak');
            case Record::FAILED:
                return __('The service cannot process it: only a placeholder is there.', 'facecloak');
            case Record::UNCHECKED:
                if ($record->kind === 'clip') {
                    return __(
                        'Clips are not looked into with the policy “Suggest”: its faces are NOT covered.',
                        'facecloak'
                    );
                }
                return __('The service did not answer, so it was not checked: its faces are NOT covered.', 'facecloak');
            case Record::SUGGESTED:
                return self::suggested($number);
        }
        if (Verdict::kept($record->verdict) !== []) {
            return __(
                'One face or more is left as it was, and nobody has approved that. Detection misses faces.',
                'facecloak'
            );
        }
        if ($record->kind === 'clip') {
            return __(
                'Faces that were found are covered, but nobody has reviewed it. Detection misses faces.',
                'facecloak'
            );
        }
        if ($record->faces === null) {
            return __('It was made from another picture, and nobody has reviewed it.', 'facecloak');
        }
        if ($number === 0) {
            return __('No face was found, but nobody has confirmed that. Detection misses faces.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of faces */
            _n(
                '%d face was found and treated, but nobody has reviewed it. Detection misses faces.',
                '%d faces were found and treated, but nobody has reviewed it. Detection misses faces.',
                $number,
                'facecloak'
            ),
            $number
        );
    }

    private static function suggested(int $number): string
    {
        if ($number === 0) {
            return __('No face was found. Detection misses faces.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of faces */
            _n(
                '%d face was found and is NOT covered.',
                '%d faces were found and are NOT covered.',
                $number,
                'facecloak'
            ),
            $number
        );
    }
}
