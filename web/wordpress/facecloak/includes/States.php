<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What a state means for the file, for the page of the desk.
 */
final class States
{
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
                return __('Nothing that uses it can be published until somebody has looked.', 'facecloak');
            case Record::REVIEWED:
                return $record->reviewed_by > 0
                    ? __('Somebody has looked at it: it can be published.', 'facecloak')
                    : Words::reason($record);
            case Record::SUGGESTED:
                return __('Nothing was done to it: everybody can fetch it as it was uploaded.', 'facecloak');
            default:
                if ($is_clip) {
                    return Words::reason($record);
                }
                return __('The service did not answer, so nobody has looked for faces in it.', 'facecloak');
        }
    }
}
