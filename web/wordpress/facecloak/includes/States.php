<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The states of media in words, for every page that shows them.
 */
final class States
{
    public static function label(string $state): string
    {
        $labels = [
            Record::WAITING => __('Waiting for the service', 'facecloak'),
            Record::UNREVIEWED => __('To review', 'facecloak'),
            Record::REVIEWED => __('Reviewed', 'facecloak'),
            Record::SUGGESTED => __('Faces found, untouched', 'facecloak'),
            Record::UNCHECKED => __('Not checked', 'facecloak'),
            Record::FAILED => __('Cannot be treated', 'facecloak'),
        ];
        return $labels[$state] ?? $state;
    }

    /** What stands in uploads now, and what did not happen. */
    public static function words(Record $record): string
    {
        $is_clip = $record->kind === 'clip';
        switch ($record->state) {
            case Record::WAITING:
                return $is_clip
                    ? __('A short black clip stands in its place until the service has covered the faces.', 'facecloak')
                    : __('A grey placeholder stands in its place: the service did not answer yet.', 'facecloak');
            case Record::FAILED:
                return __('A placeholder stands in its place: the service cannot treat this file.', 'facecloak');
            case Record::UNREVIEWED:
                return ($record->faces === [] && !$is_clip)
                    ? __('No face was found. Nothing that uses it can be published until somebody has looked.', 'facecloak')
                    : __('Nothing that uses it can be published until somebody has looked.', 'facecloak');
            case Record::REVIEWED:
                return __('Somebody has looked at it: it can be published.', 'facecloak');
            case Record::SUGGESTED:
                return __('Faces were found and nothing was done: everybody can fetch the file as it was uploaded.', 'facecloak');
            default:
                return __('The service did not answer, so nobody has looked for faces. The file is untouched.', 'facecloak');
        }
    }
}
