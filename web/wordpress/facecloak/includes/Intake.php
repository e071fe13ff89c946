<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Takes files in: what was handed in goes to the quarantine first of all, and only then is anything else done.
 *
 * So whatever ends a request half-way (an exception, a fatal error, a time limit) leaves nothing where it was, and
 * never an untouched original.
 */
final class Intake
{
    /** The first try after one that failed. */
    private const RETRY_S = 60;
    private const LONGEST_NAME = 200;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    /**
     * Decides by the policy about a file of any kind.
     *
     * @return Record|null null: nothing to look at, or nothing to do
     * @throws Refused then nothing is left at $path.
     */
    public function admit(string $path, string $name, string $mime): ?Record
    {
        $settings = $this->plugin->settings;
        if ($settings->policy() === 'off') {
            return null;
        }
        $kind = Media::kind($path, $name, $mime);
        if ($kind === Media::PHOTO || $kind === Media::CLIP) {
            return $this->take($path, $name, $mime);
        }
        if (!$settings->is_active() || $kind === Media::PLAIN) {
            return null;
        }
        $is_document = $kind === Media::DOCUMENT;
        if ($is_document && ($settings->policy() !== 'enforce' || $settings->documents() === 'allow')) {
            return null;
        }
        throw $this->refused($path, $name, $is_document ? __(
            'This file was not uploaded: it may hold pictures that facecloak cannot look into.',
            'facecloak'
        ) : __(
            'This file was not uploaded: facecloak does not know this kind of picture or clip, or its name does not fit'
            . ' what is in it.',
            'facecloak'
        ));
    }

    /**
     * A photo or clip. Replaces the bytes at $path by safe ones, except under the policy `suggest`.
     *
     * @param string $path the file, outside of the docroot or, where it cannot be helped, inside
     * @param string $name what it is to be called; Record->name may have another ending
     * @param string $mime type that whoever sent it says
     * @throws Refused then nothing is left at $path.
     */
    public function take(string $path, string $name, string $mime): Record
    {
        if (!$this->plugin->settings->is_active()) {
            return $this->looked_at($path, $name);
        }
        $this->take_time();
        $kind = Media::kind($path, $name, $mime);
        if ($kind !== Media::PHOTO && $kind !== Media::CLIP) {
            throw $this->refused($path, $name, __('This file was not uploaded: it is no photo or clip.', 'facecloak'));
        }
        $sha256 = (string) hash_file('sha256', $path);
        $known = $this->known($sha256);
        if ($known !== null) {
            return $known;
        }
        try {
            $held = $this->plugin->quarantine->keep($path);
        } catch (\Throwable $thrown) {
            throw $this->refused($path, $name, $this->own_words($thrown));
        }
        $made = '';
        try {
            $made = $this->plugin->quarantine->temporary();
            $record = new Record();
            $record->kind = $kind;
            $record->name = self::plain_name($name);
            $record->in_sha256 = $sha256;
            $record->original = $held;
            $kind === Media::PHOTO ? $this->photo($record, $made) : $this->clip($record, $made);
            $record->out_sha256 = (string) hash_file('sha256', $made);
            $this->plugin->records->save($record);
            $this->put($made, $path);
            return $record;
        } catch (\Throwable $thrown) {
            $this->forget($held, $record ?? null);
            throw $this->refused($path, $name, $this->own_words($thrown));
        } finally {
            if ($made !== '') {
                @unlink($made);
            }
        }
    }

    /**
     * The same for media that are in uploads already and have no record, or another one than their bytes.
     *
     * Nothing is lost: where the service does not answer, or says no, the original waits in the quarantine.
     *
     * @throws Refused there is nothing to look at, or nothing could be done. Then the file is as it was, or gone from
     *     uploads and in the quarantine.
     */
    public function adopt(int $attachment): Record
    {
        $file = (string) get_attached_file($attachment, true);
        $name = basename($file);
        $mime = (string) get_post_mime_type($attachment);
        $path = $this->plugin->attachments->base($attachment);
        if ($path === '' || !is_file($path)) {
            throw new Refused(__('There is no file to look at.', 'facecloak'));
        }
        $kind = Media::kind($path, $name, $mime);
        if ($kind === Media::DOCUMENT || $kind === Media::PLAIN) {
            throw new Refused(__('There is no picture to look at.', 'facecloak'));
        }
        $old = $this->plugin->records->by_attachment($attachment);
        if (!$this->plugin->settings->is_active()) {
            if ($old !== null && $old->is_made()) {
                return $old;
            }
            $record = $this->looked_at($path, $name, $old);
            $record->attachment_id = $attachment;
            return $this->plugin->records->save($record);
        }
        $this->take_time();
        $sha256 = (string) hash_file('sha256', $path);
        if ($old !== null && $old->is_made() && $old->out_sha256 === $sha256) {
            return $old;
        }
        try {
            $held = $this->plugin->quarantine->keep($path);
        } catch (\Throwable $thrown) {
            throw new Refused($this->own_words($thrown));
        }
        $record = $old ?? new Record();
        $former = $record->original;
        $record->attachment_id = $attachment;
        $record->kind = $kind === Media::CLIP ? Media::CLIP : Media::PHOTO;
        $record->name = basename($path);
        $record->mime = $mime;
        $record->in_sha256 = $sha256;
        $record->out_sha256 = '';
        $record->original = $held;
        $record->state = Record::WAITING;
        $record->next_try = $this->soon();
        $record->attempts = 0;
        $record->job = $record->plan_job = '';
        $record->faces = $record->choices = $record->verdict = null;
        $record->reviewed_by = 0;
        $record->reviewed_at = null;
        // First of all, or nobody would know whose original it is, and it would be swept
        $this->plugin->records->save($record);
        $this->delete_original($former);
        $this->plugin->attachments->delete_files($attachment);
        @touch($path);  // keeps the name, which another upload would get while the service is at work
        $this->plugin->log->add('adopted', $attachment, ['name' => $record->name]);
        return $this->adopted($record, $kind, $path);
    }

    /**
     * Has the original of a photo covered, and fills in what the record then says. The bytes are not put anywhere.
     *
     * A cloak that does not hold becomes a cover; what is not settled even then is no result.
     *
     * @param string $made a file of the quarantine, gets the bytes
     * @param int|null $seconds null: as long as a person waits
     * @throws Unreachable|Rejected
     */
    public function cover(Record $record, string $made, ?int $seconds = null): void
    {
        $client = $this->plugin->client;
        $original = $this->plugin->quarantine->path($record->original);
        $treatment = $this->plugin->settings->default_treatment();
        $job = $client->protect($original, $record->name, ['default' => $treatment], $made, $seconds);
        if (!Answers::is_settled($job) && $treatment !== Settings::COVERS[0]) {
            $treatment = Settings::COVERS[0];
            $job = $client->protect($original, $record->name, ['default' => $treatment], $made, $seconds);
        }
        if (!Answers::is_settled($job)) {
            throw new Rejected('not-protected', __(
                'A face could not be covered so that it is settled. Nothing was published.',
                'facecloak'
            ));
        }
        $record->faces = $job['faces'];
        [$record->width, $record->height] = $job['size'];
        $record->mime = $job['media_type'];
        $record->name = Media::name_for($record->name, $record->mime);
        $record->choices = ['default' => $treatment, 'faces' => [], 'regions' => []];
        $record->verdict = $job['report'];
        $record->out_sha256 = (string) hash_file('sha256', $made);
        $record->error = '';
        $record->next_try = null;
        $this->unreviewed($record);
    }

    /**
     * Whether bytes with the hash of this record may be in uploads under the policy as it is now.
     */
    public function allows(Record $record): bool
    {
        return $record->is_made() && ($this->plugin->settings->policy() !== 'enforce' || !$record->keeps_a_face());
    }

    /**
     * A record for bytes that we have made ourselves before: one that waits for its attachment, or another for them.
     */
    public function known(string $sha256): ?Record
    {
        foreach ($this->plugin->records->all_by_out_sha256($sha256) as $record) {
            if ($this->allows($record)) {
                return $record->attachment_id === 0 ? $record : $this->plugin->records->save(self::copy_of($record));
            }
        }
        return null;
    }

    /**
     * Of the same bytes, for another attachment. The original stays with the first, so that each is deleted once.
     */
    public static function copy_of(Record $record): Record
    {
        $copy = clone $record;
        $copy->id = $copy->attachment_id = $copy->attempts = $copy->reviewed_by = 0;
        $copy->original = $copy->job = $copy->plan_job = $copy->created = $copy->reason = '';
        $copy->next_try = $copy->reviewed_at = null;
        $copy->state = Record::UNREVIEWED;
        if (in_array($record->state, [Record::WAITING, Record::FAILED], true)) {
            $copy->state = Record::FAILED;
            $copy->error = __('This is what stood in for another upload, not a picture.', 'facecloak');
        }
        return $copy;
    }

    /** As WordPress makes it, and as the database can hold it. */
    private static function plain_name(string $name): string
    {
        $name = wp_check_invalid_utf8(sanitize_file_name($name), true);
        if (strlen($name) > self::LONGEST_NAME) {
            $ending = substr((string) strrchr($name, '.'), 0, 10);
            $name = mb_strcut($name, 0, self::LONGEST_NAME - strlen($ending)) . $ending;
        }
        return $name === '' ? 'file' : $name;
    }

    private function photo(Record $record, string $made): void
    {
        try {
            $this->cover($record, $made);
        } catch (Unreachable $unreachable) {
            if ($this->plugin->settings->policy() === 'enforce') {
                throw new Refused($this->not_answering($unreachable));
            }
            $this->wait($record, $made, $unreachable->getMessage());
        }
    }

    private function clip(Record $record, string $made): void
    {
        $size = (int) filesize($this->plugin->quarantine->path($record->original));
        try {
            $limits = $this->plugin->client->limits();
            if ($size > $limits['max_clip_bytes']) {
                throw new Rejected('upload-too-large', sprintf(
                    /* translators: %s: size */
                    __('Clips may have %s at most.', 'facecloak'),
                    (string) size_format($limits['max_clip_bytes'])
                ));
            }
        } catch (Unreachable $unreachable) {
            if ($this->plugin->settings->policy() === 'enforce') {
                throw new Refused($this->not_answering($unreachable));
            }
            $record->error = $unreachable->getMessage();
        }
        $this->wait_as_clip($record, $made);
        $record->next_try = gmdate('Y-m-d H:i:s');
    }

    /** A picture stands in, and the original waits. */
    private function wait(Record $record, string $made, string $why): void
    {
        $original = $this->plugin->quarantine->path($record->original);
        $type = (string) Media::content($original);
        try {
            [$record->width, $record->height] = Placeholder::photo($original, $type, $made);
        } catch (Unreachable $cannot) {
            throw new Refused($this->not_answering(new Unreachable($why)) . ' ' . $cannot->getMessage());
        }
        $record->mime = $type;
        $record->name = Media::name_for($record->name, $type);
        $record->state = Record::WAITING;
        $record->error = $why;
        $record->next_try = $this->soon();
    }

    private function wait_as_clip(Record $record, string $made): void
    {
        $content = Media::content($this->plugin->quarantine->path($record->original));
        $record->mime = $content === 'video/webm' ? 'video/webm' : 'video/mp4';
        $record->name = Media::name_for($record->name, $record->mime);
        $record->state = Record::WAITING;
        $record->choices = ['container' => $record->mime === 'video/webm' ? 'webm' : 'mp4'];
        Placeholder::clip($record->mime, $made);
    }

    /** What is done for media of uploads when they are in the quarantine. */
    private function adopted(Record $record, string $kind, string $path): Record
    {
        $made = $this->plugin->quarantine->temporary();
        try {
            if ($kind === Media::ODD) {
                throw new Rejected('photo-unsupported', __('This kind of picture or clip is not known.', 'facecloak'));
            }
            if ($kind === Media::CLIP) {
                $this->wait_as_clip($record, $made);
                $record->next_try = gmdate('Y-m-d H:i:s');
            } else {
                $this->cover($record, $made);
            }
        } catch (Unreachable | Rejected $thrown) {
            $record->state = $thrown instanceof Rejected ? Record::FAILED : Record::WAITING;
            $record->next_try = $thrown instanceof Rejected ? null : $this->soon();
            $record->error = $thrown->getMessage();
            $original = $this->plugin->quarantine->path($record->original);
            try {
                $type = (string) Media::content($original);
                [$record->width, $record->height] = Placeholder::photo($original, $type, $made);
                $record->mime = $type;
            } catch (Unreachable $cannot) {
                @unlink($made);  // no file at all is better than the one that was there
                @unlink($path);
            }
        }
        try {
            $this->plugin->records->save($record);
            if (is_file($made)) {
                $this->plugin->attachments->replace($record->attachment_id, $made, $record->mime);
            }
            return $this->plugin->records->find($record->id) ?? $record;
        } finally {
            @unlink($made);
        }
    }

    /** Under the policy `suggest`: the file is only looked at. */
    private function looked_at(string $path, string $name, ?Record $record = null): Record
    {
        $record = $record ?? new Record();
        $content = (string) Media::content($path);
        $record->kind = Media::is_clip($content) ? Media::CLIP : Media::PHOTO;
        $record->name = self::plain_name($name);
        $record->mime = $content;
        $record->in_sha256 = $record->out_sha256 = (string) hash_file('sha256', $path);
        $record->state = Record::UNCHECKED;
        $record->faces = null;
        try {
            if ($record->kind === Media::PHOTO) {
                $job = $this->plugin->client->detect($path, $name);
                $record->faces = $job['faces'];
                [$record->width, $record->height] = $job['size'];
                $record->state = Record::SUGGESTED;
                $record->error = '';
            } else {
                $record->error = __('Clips are not looked into with the policy “Suggest”.', 'facecloak');
            }
        } catch (Unreachable | Rejected $thrown) {
            $record->error = $thrown->getMessage();
        }
        return $this->plugin->records->save($record);
    }

    private function unreviewed(Record $record): void
    {
        $needs_nobody = $record->faces === [] && !$this->plugin->settings->no_face_needs_review();
        $record->state = $needs_nobody ? Record::REVIEWED : Record::UNREVIEWED;
        $record->reviewed_by = 0;
        $record->reviewed_at = $needs_nobody ? gmdate('Y-m-d H:i:s') : null;
    }

    /** Safe bytes, whole or not at all. */
    private function put(string $made, string $path): void
    {
        if (!@copy($made, $path) || hash_file('sha256', $path) !== hash_file('sha256', $made)) {
            @unlink($path);
            throw new \RuntimeException('The safe copy could not be written.');
        }
    }

    private function refused(string $path, string $name, string $words): Refused
    {
        @unlink($path);
        clearstatcache(true, $path);
        if (file_exists($path)) {
            @file_put_contents($path, '');  // may be written to where the folder may not
        }
        $this->plugin->log->add('refused', 0, ['name' => $name, 'why' => $words]);
        return new Refused($words);
    }

    private function own_words(\Throwable $thrown): string
    {
        if ($thrown instanceof Refused) {
            return $thrown->getMessage();
        }
        if ($thrown instanceof Rejected) {
            return sprintf(
                /* translators: %s: what the service says */
                __('This file was not uploaded. The facecloak service says: %s', 'facecloak'),
                $thrown->getMessage()
            );
        }
        // May name folders, so it is for the log and not for whoever uploads
        $this->plugin->log->add('trouble', 0, ['what' => Answers::words($thrown->getMessage())]);
        return __(
            'This file was not uploaded, because it could not be kept safely. Please tell an administrator: Site Health'
            . ' says more.',
            'facecloak'
        );
    }

    private function not_answering(Unreachable $unreachable): string
    {
        return sprintf(
            /* translators: %s: why */
            __(
                'This file was not uploaded, because its faces could not be covered now. Please try again later. (%s)',
                'facecloak'
            ),
            $unreachable->getMessage()
        );
    }

    private function forget(string $held, ?Record $record): void
    {
        if ($record !== null && $record->id !== 0) {
            $this->plugin->records->delete($record);
        }
        $this->delete_original($held);
    }

    private function delete_original(string $name): void
    {
        try {
            $this->plugin->quarantine->delete($name);
        } catch (\Throwable $thrown) {
            $this->plugin->log->add('trouble', 0, ['what' => Answers::words($thrown->getMessage())]);
        }
    }

    private function soon(): string
    {
        return gmdate('Y-m-d H:i:s', time() + self::RETRY_S);
    }

    /** Twice the patience: a cloak that does not hold is asked for again as a cover. */
    private function take_time(): void
    {
        ignore_user_abort(true);
        if (function_exists('set_time_limit')) {
            @set_time_limit(2 * $this->plugin->settings->timeout_s() + 60);
        }
    }
}
