<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What can be done with files of the library from its list. Each file by itself: one that cannot be done stops no other.
 */
final class LibraryActions
{
    private const MOST_WORDS = 3;
    /** Web servers give up on a page after a minute or so; one photo may take seconds. */
    private const LONGEST_S = 30;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    /**
     * Whoever calls has checked the nonce and facecloak_review; whether the person may edit each file is checked here.
     *
     * @param string $what 'confirm' or 'look_again'
     * @param int[] $ids
     */
    public function each(string $what, array $ids): void
    {
        $done = 0;
        $refused = [];
        $until = microtime(true) + self::LONGEST_S;
        foreach ($ids as $id) {
            try {
                if (microtime(true) > $until) {
                    throw new Refused(__('There was no time left for it. Choose it again.', 'facecloak'));
                }
                if (!current_user_can('edit_post', $id) || !MediaInContent::is_media($id)) {
                    throw new Refused(__('It is no picture or clip that you may change.', 'facecloak'));
                }
                $what === 'confirm' ? $this->confirm($id) : $this->look_again($id);
                $done++;
            } catch (\Throwable $error) {
                $refused[$id] = $error->getMessage();
            }
        }
        $this->tell($what, $done, $refused);
    }

    public function can_look_again(?Record $record): bool
    {
        if ($record !== null && in_array($record->state, [Record::WAITING, Record::FAILED], true)) {
            return isset($this->plugin->queue);
        }
        if ($record !== null && $record->state === Record::REVIEWED) {
            return isset($this->plugin->review);
        }
        $is_untouched = $record === null || in_array($record->state, [Record::SUGGESTED, Record::UNCHECKED], true);
        return $is_untouched && isset($this->plugin->intake) && $this->plugin->settings->policy() !== 'off';
    }

    /** Approves what is in uploads as it is. */
    private function confirm(int $id): void
    {
        $record = $this->plugin->records->by_attachment($id);
        if ($record === null) {
            throw new Refused(__('It was never looked at. Choose “look again” first.', 'facecloak'));
        }
        if ($record->state === Record::REVIEWED) {
            return;
        }
        $this->plugin->review->approve_as_is($record, '', get_current_user_id());
    }

    private function look_again(int $id): void
    {
        $record = $this->plugin->records->by_attachment($id);
        if (!$this->can_look_again($record)) {
            throw new Refused(__('There is nothing to look at again.', 'facecloak'));
        }
        if ($record === null || in_array($record->state, [Record::SUGGESTED, Record::UNCHECKED], true)) {
            $this->plugin->intake->adopt($id);
        } elseif ($record->state === Record::REVIEWED) {
            $this->plugin->review->look_again($record, get_current_user_id());
        } else {
            $this->plugin->queue->retry($record);
        }
        $this->plugin->log->add('looked at again', $id);
    }

    /**
     * @param array<int, string> $refused words by attachment
     */
    private function tell(string $what, int $done, array $refused): void
    {
        $user = get_current_user_id();
        if ($done > 0) {
            $words = $what === 'confirm'
                /* translators: %d: number of files */
                ? _n('%d file was confirmed.', '%d files were confirmed.', $done, 'facecloak')
                /* translators: %d: number of files */
                : _n('%d file is to be looked at again.', '%d files are to be looked at again.', $done, 'facecloak');
            Notices::tell($user, sprintf($words, $done), 'success');
        }
        $shown = array_slice($refused, 0, self::MOST_WORDS, true);
        foreach ($shown as $id => $words) {
            /* translators: 1: title of a file, 2: why */
            $text = sprintf(__('“%1$s” was not changed. %2$s', 'facecloak'), get_the_title($id), $words);
            Notices::tell($user, $text, 'error');
        }
        $more = count($refused) - count($shown);
        if ($more > 0) {
            /* translators: %d: number of files */
            $text = _n('%d more file was not changed.', '%d more files were not changed.', $more, 'facecloak');
            Notices::tell($user, sprintf($text, $more), 'error');
        }
    }
}
