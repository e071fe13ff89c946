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
            Record::UNREVIEWED => __('Not reviewed', 'facecloak'),
            Record::REVIEWED => __('Reviewed', 'facecloak'),
            Record::SUGGESTED => __('Faces listed, not covered', 'facecloak'),
            Record::UNCHECKED => __('Not checked', 'facecloak'),
            Record::FAILED => __('Cannot be processed', 'facecloak'),
        ];
        return $words[$state] ?? $state;
    }

    /**
     * Why a picture or clip is as it is, and what has not happened; without its name.
     */
    public static function reason(?Record $record): string
    {
        if ($record === null) {
            return __('was never looked at by facecloak: its faces are not covered.', 'facecloak');
        }
        $number = $record->faces === null ? 0 : count($record->faces);
        switch ($record->state) {
            case Record::REVIEWED:
                return $record->reviewed_by > 0
                    ? __('was reviewed.', 'facecloak')
                    : __('had no face that was found, and by the settings nobody had to look.', 'facecloak');
            case Record::WAITING:
                return $record->kind === 'clip'
                    ? __('is still being worked on: a placeholder stands in its place.', 'facecloak')
                    : __('waits for the service, which did not answer: a placeholder stands in its place.', 'facecloak');
            case Record::FAILED:
                return __('could not be processed by the service: only a placeholder is there.', 'facecloak');
            case Record::UNCHECKED:
                return __('was not checked, because the service did not answer. Its faces are not covered.', 'facecloak');
            case Record::SUGGESTED:
                return self::suggested($number);
        }
        if ($record->kind === 'clip') {
            return __('has its faces covered as far as they were found, but nobody has reviewed it.', 'facecloak');
        }
        if ($number === 0) {
            return __('shows no face that was found, but nobody has confirmed that. Detection misses faces.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of faces */
            _n(
                'had %d face found and treated, but nobody has reviewed it. Detection misses faces.',
                'had %d faces found and treated, but nobody has reviewed it. Detection misses faces.',
                $number,
                'facecloak'
            ),
            $number
        );
    }

    private static function suggested(int $number): string
    {
        if ($number === 0) {
            return __('shows no face that was found. Detection misses faces.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of faces */
            _n(
                'shows %d face, which is NOT covered.',
                'shows %d faces, which are NOT covered.',
                $number,
                'facecloak'
            ),
            $number
        );
    }
}
