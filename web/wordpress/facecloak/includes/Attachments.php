<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The files of an attachment in uploads.
 */
final class Attachments
{
    private const BACKUPS = '_wp_attachment_backup_sizes';
    /** Hashes of what the attachment showed before it was edited: WordPress keeps those files, to undo the edit. */
    private const BEFORE = '_facecloak_before';
    private const MOST_BEFORE = 50;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    /**
     * The file that all others are made from: the attached one, or the one that WordPress has scaled or rotated.
     *
     * @param array<string, mixed>|null $metadata where it is not stored yet
     * @return string '' where there is none on this machine
     */
    public function base(int $id, ?array $metadata = null): string
    {
        $file = (string) get_attached_file($id, true);
        if ($file === '' || strpos($file, '://') !== false) {
            return '';
        }
        $metadata = $metadata ?? wp_get_attachment_metadata($id, true);
        $original = is_array($metadata) ? (string) ($metadata['original_image'] ?? '') : '';
        if ($original === '' || basename($original) !== $original) {
            return $file;
        }
        // Of a picture that was edited, what is shown counts, and not what it was made from
        $stem = pathinfo($original, PATHINFO_FILENAME);
        $is_made_from_it = preg_match(
            '/^' . preg_quote($stem, '/') . '-(?:scaled|rotated)$/D',
            pathinfo($file, PATHINFO_FILENAME)
        ) === 1;
        $path = dirname($file) . '/' . $original;
        return $is_made_from_it && is_file($path) ? $path : $file;
    }

    /**
     * All files of an attachment, whether they exist or not.
     *
     * @return string[] whole paths
     */
    public function files(int $id): array
    {
        $file = (string) get_attached_file($id, true);
        if ($file === '' || strpos($file, '://') !== false) {
            return [];
        }
        $metadata = wp_get_attachment_metadata($id, true);
        $metadata = is_array($metadata) ? $metadata : [];
        $names = [basename($file), $metadata['original_image'] ?? ''];
        $backups = get_post_meta($id, self::BACKUPS, true);
        foreach (array_merge((array) ($metadata['sizes'] ?? []), is_array($backups) ? $backups : []) as $size) {
            $names[] = is_array($size) ? ($size['file'] ?? '') : '';
        }
        if (isset($metadata['thumb']) && is_string($metadata['thumb'])) {
            $names[] = $metadata['thumb'];
        }
        $paths = [];
        foreach ($names as $name) {
            if (is_string($name) && $name !== '') {
                $paths[] = dirname($file) . '/' . basename($name);
            }
        }
        return array_values(array_unique($paths));
    }

    /**
     * Removes every file of an attachment from uploads, and what the database says of its sizes.
     *
     * @throws \RuntimeException one of them is still there.
     */
    public function delete_files(int $id): void
    {
        foreach ($this->files($id) as $path) {
            if (is_file($path) && !@unlink($path)) {
                throw new \RuntimeException('A file could not be removed from uploads.');
            }
        }
        delete_post_meta($id, self::BACKUPS);
        delete_post_meta($id, self::BEFORE);
        delete_post_meta($id, '_wp_attachment_metadata');
    }

    public function remember(int $id, string $sha256): void
    {
        $before = array_diff($this->remembered($id), [$sha256]);
        $before[] = $sha256;
        update_post_meta($id, self::BEFORE, array_slice(array_values($before), -self::MOST_BEFORE));
    }

    /**
     * @return string[]
     */
    public function remembered(int $id): array
    {
        $before = get_post_meta($id, self::BEFORE, true);
        return is_array($before) ? array_filter($before, 'is_string') : [];
    }

    /**
     * New bytes under the same name, and all sizes made anew. What was there before is removed first.
     *
     * The record of the attachment then says what is in uploads: `out_sha256`, `mime` and `name` are written into it, so
     * read it again before you save it.
     *
     * @param string $file safe bytes; it stays where it is
     * @throws \RuntimeException they could not be written. Then the attachment has no file.
     */
    public function replace(int $id, string $file, string $mime): void
    {
        require_once ABSPATH . 'wp-admin/includes/file.php';
        require_once ABSPATH . 'wp-admin/includes/image.php';
        require_once ABSPATH . 'wp-admin/includes/media.php';
        $sha256 = (string) hash_file('sha256', $file);
        $path = $this->target($id, $mime);
        $record = $this->plugin->records->by_attachment($id);
        if ($path === '') {
            throw new \RuntimeException('The attachment has no place in uploads.');
        }
        $this->delete_files($id);
        if ($record !== null) {
            $record->out_sha256 = $sha256;
            $record->mime = $mime;
            $record->name = basename($path);
            $this->plugin->records->save($record);
        }
        $this->written($file, $path, $sha256);
        update_attached_file($id, $path);
        if (get_post_mime_type($id) !== $mime) {
            wp_update_post(['ID' => $id, 'post_mime_type' => $mime]);
        }
        $metadata = wp_generate_attachment_metadata($id, $path);
        wp_update_attachment_metadata($id, $metadata);
        clean_attachment_cache($id);
    }

    /** Where the bytes go: the name of the base file, with an ending that fits. */
    private function target(int $id, string $mime): string
    {
        $path = $this->base_name($id);
        if ($path === '') {
            return '';
        }
        $name = Media::name_for(basename($path), $mime);
        if ($name === basename($path)) {
            return $path;
        }
        return dirname($path) . '/' . wp_unique_filename(dirname($path), $name);
    }

    /** Like base(), for an attachment whose files may be gone: the name of a scaled file counts as that of its base. */
    private function base_name(int $id): string
    {
        $path = $this->base($id);
        $record = $this->plugin->records->by_attachment($id);
        if ($path === '' || is_file($path) || $record === null || $record->name === '') {
            return $path;
        }
        return dirname($path) . '/' . basename($record->name);
    }

    private function written(string $file, string $path, string $sha256): void
    {
        if (!wp_mkdir_p(dirname($path))) {
            throw new \RuntimeException('The folder of the file could not be made.');
        }
        // Beside it first, so that nobody fetches half a file
        $beside = dirname($path) . '/.facecloak-' . bin2hex(random_bytes(8));
        $is_whole = @copy($file, $beside) && hash_file('sha256', $beside) === $sha256;
        if (!$is_whole || !@rename($beside, $path)) {
            @unlink($beside);
            throw new \RuntimeException('The safe copy could not be written to uploads.');
        }
        self::set_mode($path);
    }

    /** As WordPress does it after an upload: those who may read the folder may read the file. */
    public static function set_mode(string $path): void
    {
        $stat = @stat(dirname($path));
        if ($stat !== false) {
            @chmod($path, $stat['mode'] & 0666);
        }
    }
}
