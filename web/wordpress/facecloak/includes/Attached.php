<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What becomes of the files of attachments: each attachment has the record of its bytes, whoever changes them.
 *
 * Bytes that nobody knows are treated on the spot, and removed where that is impossible.
 */
final class Attached
{
    private Plugin $plugin;

    /** @var array<string, string> path of a picture that the editor has saved => hash */
    private array $edited = [];
    /** The attachment that WordPress makes another from. */
    private ?Record $source = null;
    /** Whether what it is made from is what was reviewed, and not what was there before an edit. */
    private bool $is_source_current = false;
    /** @var array<int, bool> attachments whose files were all made anew by this request */
    private array $adopted = [];
    /** @var array<int, bool> attachments that are looked at just now */
    private array $busy = [];

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_action('added_post_meta', [$this, 'file_attached'], 10, 4);
        add_action('updated_post_meta', [$this, 'file_attached'], 10, 4);
        add_action('add_attachment', [$this, 'join'], PHP_INT_MIN);
        add_filter('wp_generate_attachment_metadata', [$this, 'generated'], PHP_INT_MIN, 2);
        add_filter('wp_update_attachment_metadata', [$this, 'metadata_of'], PHP_INT_MAX, 2);
        add_filter('wp_save_image_editor_file', [$this, 'edited'], 10, 5);
        add_filter('rest_request_before_callbacks', [$this, 'before_rest'], 10, 3);
        add_filter('rest_request_after_callbacks', [$this, 'after_rest'], 10, 1);
        add_action('delete_attachment', [$this, 'deleted']);
    }

    /**
     * @param int $meta_id
     * @param int $id
     * @param string $key
     * @param mixed $value
     */
    public function file_attached($meta_id, $id, $key, $value): void
    {
        if ($key !== '_wp_attached_file') {
            return;
        }
        $path = (string) get_attached_file((int) $id, true);
        $record = $this->plugin->records->by_attachment((int) $id);
        if ($record === null) {
            $this->join((int) $id);
        } elseif (isset($this->edited[$path])) {
            $this->plugin->attachments->remember((int) $id, $record->out_sha256);
            $record->out_sha256 = $this->edited[$path];
            $this->plugin->records->save($record);
        } elseif ($this->plugin->settings->is_active() && $record->is_made() && !isset($this->busy[(int) $id])) {
            $this->another_file($record, $path);
        }
    }

    /**
     * Whoever called still knows the sizes of before.
     *
     * @param array<string, mixed> $metadata
     * @param int $id
     * @return array<string, mixed>
     */
    public function metadata_of($metadata, $id)
    {
        $stored = isset($this->adopted[(int) $id]) ? wp_get_attachment_metadata((int) $id, true) : false;
        unset($this->adopted[(int) $id]);  // only the one who was interrupted; sizes may be made anew later
        return is_array($stored) ? $stored : $metadata;
    }

    /**
     * Gives an attachment its record. What nobody knows is treated on the spot.
     *
     * @param int $id
     */
    public function join($id): void
    {
        $id = (int) $id;
        $policy = $this->plugin->settings->policy();
        if ($policy === 'off' || isset($this->busy[$id]) || get_post_type($id) !== 'attachment') {
            return;
        }
        $path = (string) get_attached_file($id, true);
        if ($path === '' || !is_file($path) || $this->plugin->records->by_attachment($id) !== null) {
            return;
        }
        $kind = Media::kind($path, basename($path), (string) get_post_mime_type($id));
        if ($kind === Media::DOCUMENT || $kind === Media::PLAIN) {
            return;
        }
        $this->busy[$id] = true;
        try {
            $record = $this->record_for($path);
            if ($record === null) {
                $this->plugin->intake->adopt($id);
                return;
            }
            $record->attachment_id = $id;
            $this->plugin->records->save($record);
            $this->plugin->log->add('uploaded', $id, [
                'state' => $record->state,
                'faces' => $record->faces === null ? null : count($record->faces),
                'name' => $record->name,
            ]);
        } catch (\Throwable $thrown) {
            $this->taken_away($id, $thrown);
        } finally {
            unset($this->busy[$id]);
        }
    }

    /**
     * When all sizes are made: that every file comes from bytes that are known.
     *
     * @param array<string, mixed> $metadata
     * @param int $id
     * @return array<string, mixed>
     */
    public function generated($metadata, $id)
    {
        $id = (int) $id;
        if (!$this->plugin->settings->is_active() || isset($this->busy[$id])) {
            return $metadata;
        }
        $this->join($id);
        $record = $this->plugin->records->by_attachment($id);
        $path = (string) get_attached_file($id, true);
        if ($record === null || $path === '') {
            return $metadata;
        }
        $known = is_array($metadata) ? $metadata : [];
        $base = $this->plugin->attachments->base($id, $known);
        if (is_file($base) && hash_file('sha256', $base) === $record->out_sha256) {
            return $this->without_strays($known, $path, $base);
        }
        if (!is_file($base)) {
            // Treated a moment ago, under another name
            $stored = wp_get_attachment_metadata($id, true);
            return is_array($stored) ? $stored : $metadata;
        }
        // Or the sizes that were made just now are not found
        update_post_meta($id, '_wp_attachment_metadata', $known);
        $this->adopt_now($id);
        $stored = wp_get_attachment_metadata($id, true);
        return is_array($stored) ? $stored : [];
    }

    /**
     * A picture that was turned or cut shows nothing that was not there. One of unknown bytes is not saved again.
     *
     * @param mixed $saved
     * @param string $filename
     * @param \WP_Image_Editor $image
     * @param string $mime
     * @param int $id
     * @return mixed
     */
    public function edited($saved, $filename, $image, $mime, $id)
    {
        if ($saved !== null || !$this->plugin->settings->is_active()) {
            return $saved;
        }
        $record = $this->plugin->records->by_attachment((int) $id);
        if ($record === null || !$record->is_made()) {
            return false;
        }
        $saved = $image->save($filename, $mime);
        if (is_array($saved) && isset($saved['path'])) {
            $path = (string) $saved['path'];
            $this->edited[$path] = (string) hash_file('sha256', $path);
            if ($path === (string) get_attached_file((int) $id, true)) {
                // With IMAGE_EDIT_OVERWRITE its name does not change, and nothing is told of it
                $record->out_sha256 = $this->edited[$path];
                $this->plugin->records->save($record);
            }
        }
        return $saved;
    }

    /**
     * The editor of blocks saves what was cut out of a picture as another attachment.
     *
     * @param mixed $response
     * @param mixed $handler
     * @param \WP_REST_Request $request
     * @return mixed
     */
    public function before_rest($response, $handler, $request)
    {
        $is_edit = preg_match('#^/wp/v2/media/(\d+)/edit/?$#D', $request->get_route(), $found) === 1;
        if (!$is_edit || !$this->plugin->settings->is_active() || is_wp_error($response)) {
            return $response;
        }
        $id = (int) $found[1];
        $record = $this->plugin->records->by_attachment($id);
        // WordPress goes back to the largest file, also where another has taken its place since
        $from = (string) wp_get_original_image_path($id);
        $sha256 = is_file($from) ? (string) hash_file('sha256', $from) : '';
        $this->is_source_current = $record !== null && $sha256 === $record->out_sha256;
        $is_known = $this->is_source_current || $sha256 === ''
            || in_array($sha256, $this->plugin->attachments->remembered($id), true);
        if ($record === null || !$record->is_made() || !$is_known) {
            return new \WP_Error('facecloak_unknown', __(
                'This picture was not changed: facecloak has not looked at it yet.',
                'facecloak'
            ), ['status' => 403]);
        }
        $this->source = $record;
        return $response;
    }

    /**
     * @param mixed $response
     * @return mixed
     */
    public function after_rest($response)
    {
        $this->source = null;
        return $response;
    }

    /**
     * @param int $id
     */
    public function deleted($id): void
    {
        $record = $this->plugin->records->by_attachment((int) $id);
        if ($record === null) {
            return;
        }
        try {
            $this->plugin->quarantine->delete($record->original);
            $this->plugin->records->delete($record);
        } catch (\Throwable $thrown) {
            // Without its attachment it is swept later
            $this->trouble((int) $id, $thrown);
            $record->attachment_id = 0;
            $this->plugin->records->save($record);
        }
        $this->plugin->log->add('deleted', (int) $id, ['state' => $record->state]);
    }

    /** The record of these bytes that no attachment has; null where they are unknown. */
    private function record_for(string $path): ?Record
    {
        $sha256 = (string) hash_file('sha256', $path);
        $is_active = $this->plugin->settings->is_active();
        $mine = $this->plugin->uploads->just_made($sha256);
        if ($mine !== null) {
            return $mine;
        }
        if ($this->source !== null) {
            return $this->derived($this->source, $path, $sha256);
        }
        return $is_active ? $this->plugin->intake->known($sha256) : null;
    }

    /**
     * Another file is what the attachment shows now: one that WordPress has made smaller, one from before an edit, which
     * shows more than what was reviewed, or one that nobody knows.
     */
    private function another_file(Record $record, string $path): void
    {
        $name = pathinfo($path, PATHINFO_FILENAME);
        $stem = (string) preg_replace('/-(?:scaled|rotated)$/D', '', $name);
        $made_from = $stem === $name ? [] : (array) glob(dirname($path) . '/' . addcslashes($stem, '*?[\\') . '.*');
        $hashes = [];
        foreach (array_filter(array_unique(array_merge([$path], $made_from)), 'is_file') as $file) {
            $hashes[] = (string) hash_file('sha256', $file);
        }
        if ($hashes === [] || in_array($record->out_sha256, $hashes, true)) {
            return;
        }
        $known = array_intersect($this->plugin->attachments->remembered($record->attachment_id), $hashes);
        if ($known !== []) {
            $record->out_sha256 = (string) reset($known);
            if ($record->state === Record::REVIEWED) {
                $record->state = Record::UNREVIEWED;
                $record->reviewed_by = 0;
                $record->reviewed_at = null;
            }
            $this->plugin->records->save($record);
            $this->plugin->log->add('restored', $record->attachment_id, ['state' => $record->state]);
            return;
        }
        $this->adopt_now($record->attachment_id);
    }

    private function adopt_now(int $id): void
    {
        $this->busy[$id] = true;
        try {
            $this->plugin->intake->adopt($id);
            $this->adopted[$id] = true;
        } catch (\Throwable $thrown) {
            $this->taken_away($id, $thrown);
        } finally {
            unset($this->busy[$id]);
        }
    }

    private function derived(Record $source, string $path, string $sha256): Record
    {
        $record = Intake::copy_of($source);
        $record->out_sha256 = $sha256;
        $record->name = basename($path);
        $record->faces = null;  // where they are now, nobody knows
        $size = @getimagesize($path);
        [$record->width, $record->height] = is_array($size) ? [$size[0], $size[1]] : [0, 0];
        if ($source->state === Record::REVIEWED && $this->is_source_current) {
            $record->state = Record::REVIEWED;
            $record->reviewed_by = $source->reviewed_by;
            $record->reviewed_at = $source->reviewed_at;
            $record->reason = $source->reason;
        }
        return $record;
    }

    /**
     * A picture that others were made from and that nobody knows does not stay.
     *
     * @param array<string, mixed> $metadata
     * @return array<string, mixed>
     */
    private function without_strays(array $metadata, string $path, string $base): array
    {
        $original = isset($metadata['original_image']) ? dirname($path) . '/' . $metadata['original_image'] : '';
        if ($original !== '' && $original !== $base) {
            @unlink($original);
            unset($metadata['original_image']);
        }
        return $metadata;
    }

    /** An attachment that could not be treated: its files are removed. */
    private function taken_away(int $id, \Throwable $thrown): void
    {
        if (!$this->plugin->settings->is_active()) {
            $this->trouble($id, $thrown);
            return;
        }
        $this->plugin->log->add('removed', $id, ['why' => Answers::words($thrown->getMessage())]);
        try {
            $this->plugin->attachments->delete_files($id);
        } catch (\Throwable $again) {
            $this->trouble($id, $again);
        }
    }

    private function trouble(int $id, \Throwable $thrown): void
    {
        $this->plugin->log->add('trouble', $id, ['what' => Answers::words($thrown->getMessage())]);
    }
}
