<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Where files enter WordPress.
 *
 * Both prefilters see them before they are in the docroot, and so does `pre_move_uploaded_file`, by which files come that
 * a plugin uploads with an action of its own, or has changed since. `wp_handle_upload` catches what passes by all of them;
 * files of wp_upload_bits() (XML-RPC) lie in a folder with a name that nobody can guess until then.
 */
final class Uploads
{
    private Plugin $plugin;

    /** @var array<string, int> hash of bytes that were let in by this request => id of the record, or 0 */
    private array $made = [];
    /** @var array<string, string> path under uploads where a file was to go => why it was not let in */
    private array $refused = [];
    /** Folder under uploads with a secret name; '' where no file is on its way. */
    private string $hidden = '';

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('wp_handle_upload_prefilter', [$this, 'before_upload'], PHP_INT_MAX);
        add_filter('wp_handle_sideload_prefilter', [$this, 'before_sideload'], PHP_INT_MAX);
        add_filter('pre_move_uploaded_file', [$this, 'before_move'], PHP_INT_MIN, 4);
        add_filter('wp_upload_bits', [$this, 'before_bits'], PHP_INT_MAX);
        // Before anybody else makes copies of what is there
        add_filter('wp_handle_upload', [$this, 'after_move'], PHP_INT_MIN);
        add_filter('fallback_intermediate_image_sizes', [$this, 'no_previews'], PHP_INT_MAX);
    }

    /**
     * The record of these bytes, where this request has made them and no attachment has it yet.
     */
    public function just_made(string $sha256): ?Record
    {
        $record = empty($this->made[$sha256]) ? null : $this->plugin->records->find($this->made[$sha256]);
        return $record !== null && $record->attachment_id === 0 ? $record : null;
    }

    /**
     * @param array<string, mixed> $file
     * @return array<string, mixed>
     */
    public function before_upload($file)
    {
        // WordPress looks at this later; a path that PHP did not put there is none of ours to touch
        if (!is_array($file) || !is_uploaded_file((string) ($file['tmp_name'] ?? ''))) {
            return $file;
        }
        if ($this->is_package((string) $file['tmp_name'])) {
            $this->made[(string) hash_file('sha256', (string) $file['tmp_name'])] = 0;
            return $file;
        }
        return $this->admitted($file);
    }

    /**
     * @param array<string, mixed> $file
     * @return array<string, mixed>
     */
    public function before_sideload($file)
    {
        if (!is_array($file) || !is_file((string) ($file['tmp_name'] ?? ''))) {
            return $file;
        }
        return $this->admitted($file);
    }

    /**
     * Right before the file gets into uploads. WordPress has no words for a refusal here, so an empty file goes there,
     * which `after_move` takes away with ours.
     *
     * @param mixed $moved null: nobody has moved it yet
     * @param array<string, mixed> $file
     * @param string $path
     * @param string $type
     * @return mixed
     */
    public function before_move($moved, $file, $path, $type)
    {
        $from = is_array($file) ? (string) ($file['tmp_name'] ?? '') : '';
        if ($moved !== null || !is_file($from) || $this->made_as($from) !== null) {
            return $moved;
        }
        try {
            $this->remember($this->plugin->intake->admit($from, basename((string) $path), (string) $type));
            return null;
        } catch (\Throwable $thrown) {
            @unlink($from);
            $this->refused[(string) $path] = $this->words_of($thrown);
            return @touch((string) $path);
        }
    }

    /**
     * wp_upload_bits() has no filter between the choice of a name and the writing, so the name gets a folder that
     * nobody can guess. What cannot be taken anyway is never written.
     *
     * @param array<string, mixed>|string $upload
     * @return array<string, mixed>|string
     */
    public function before_bits($upload)
    {
        if (!is_array($upload) || !$this->plugin->settings->is_active()) {
            return $upload;
        }
        try {
            $path = $this->plugin->quarantine->temporary();
            try {
                $bits = (string) $upload['bits'];
                if (@file_put_contents($path, $bits) !== strlen($bits)) {
                    throw new \RuntimeException('A file could not be written to the quarantine. Is the disk full?');
                }
                $kind = Media::kind($path, (string) $upload['name']);
                if (!in_array($kind, [Media::PHOTO, Media::CLIP], true)) {
                    $this->plugin->intake->admit($path, (string) $upload['name'], '');
                    return $upload;
                }
            } finally {
                @unlink($path);
            }
            $this->hide((string) ($upload['time'] ?? ''));
        } catch (\Throwable $thrown) {
            return $this->words_of($thrown);
        }
        return $upload;
    }

    /**
     * The catch-all, on every path.
     *
     * @param array<string, mixed> $upload file, url, type
     * @return array<string, mixed>
     */
    public function after_move($upload)
    {
        $path = is_array($upload) ? (string) ($upload['file'] ?? '') : '';
        if ($path === '' || !empty($upload['error']) || !is_file($path)) {
            return $upload;
        }
        $is_hidden = $this->hidden !== '' && dirname($path) === $this->hidden;
        try {
            if (isset($this->refused[$path])) {
                throw new Refused($this->refused[$path]);
            }
            $id = $is_hidden ? null : $this->made_as($path);
            if ($id !== null) {
                // Seen to before it was here, perhaps when its ending was chosen already
                $record = $this->plugin->records->find($id);
                if ($record === null || !$record->is_made()) {
                    return $upload;
                }
                $name = Media::name_for(basename($path), $record->mime);
            } else {
                $record = $this->plugin->intake->admit($path, basename($path), (string) ($upload['type'] ?? ''));
                $this->remember($record);
                $name = $record !== null ? $record->name : basename($path);
            }
            if ($is_hidden || $name !== basename($path)) {
                $upload = $this->renamed($upload, $is_hidden ? dirname($this->hidden) : dirname($path), $name);
            } elseif ($record !== null) {
                Attachments::set_mode($path);
            }
            if ($record !== null && $record->mime !== '') {
                $upload['type'] = $record->mime;
            }
            return $upload;
        } catch (\Throwable $thrown) {
            @unlink($path);
            return ['error' => $this->words_of($thrown)];
        } finally {
            unset($this->refused[$path]);
            if ($is_hidden) {
                @unlink($path);
                @rmdir($this->hidden);
                $this->hidden = '';
            }
        }
    }

    /**
     * The first page of a PDF as a picture would be one that nobody looked at.
     *
     * @param string[] $sizes
     * @return string[]
     */
    public function no_previews($sizes)
    {
        return $this->plugin->settings->is_active() ? [] : $sizes;
    }

    /**
     * Removes files that never arrived, because the request ended while they were written: folders of ours with a file
     * in them, and safe copies that did not get their name. They may lie in the folder of any month.
     */
    public function sweep(): void
    {
        $uploads = wp_upload_dir(null, false);
        $base = addcslashes((string) $uploads['basedir'], '*?[\\');
        $now = addcslashes((string) $uploads['path'], '*?[\\');
        foreach (array_unique([$now, $base, "$base/*", "$base/*/*"]) as $folder) {
            foreach ((array) glob($folder . '/.facecloak-*') as $path) {
                $is_old = time() - (int) @filemtime((string) $path) > HOUR_IN_SECONDS;
                if (!$is_old || preg_match('#/\.facecloak-[0-9a-f]{16,32}$#D', (string) $path) !== 1) {
                    continue;
                }
                if (is_dir((string) $path)) {
                    array_map('unlink', (array) glob(addcslashes((string) $path, '*?[\\') . '/*'));
                    @rmdir((string) $path);
                } else {
                    @unlink((string) $path);
                }
            }
        }
    }

    /** What `made` says of these bytes; null where this request has not seen to them. */
    private function made_as(string $path): ?int
    {
        return $this->made === [] ? null : $this->made[(string) hash_file('sha256', $path)] ?? null;
    }

    private function remember(?Record $record): void
    {
        if ($record !== null) {
            $this->made[$record->out_sha256] = $record->id;
        }
    }

    /**
     * @param array<string, mixed> $file
     * @return array<string, mixed>
     */
    private function admitted(array $file): array
    {
        if (!empty($file['error'])) {
            return $file;
        }
        $path = (string) $file['tmp_name'];
        try {
            $record = $this->plugin->intake->admit($path, (string) $file['name'], (string) ($file['type'] ?? ''));
            $this->remember($record);
            if ($record !== null) {
                $file['name'] = $record->name;
                $file['type'] = $record->mime;
                clearstatcache(true, $path);
                $file['size'] = filesize($path);
            }
        } catch (\Throwable $thrown) {
            @unlink($path);
            $file['error'] = $this->words_of($thrown);
        }
        return $file;
    }

    /** A plugin or a theme that is being installed: an archive, but none that anybody publishes. */
    private function is_package(string $path): bool
    {
        foreach (['pluginzip' => 'install_plugins', 'themezip' => 'install_themes'] as $field => $capability) {
            // WordPress has checked the nonce before; here it is only asked which field the file came in
            $sent = $_FILES[$field]['tmp_name'] ?? null; // phpcs:ignore WordPress.Security
            if ($sent === $path && Media::content($path) === null && current_user_can($capability)) {
                return true;
            }
        }
        return false;
    }

    private function hide(string $time): void
    {
        $uploads = wp_upload_dir($time === '' ? null : $time);
        // With a dot: servers that list folders leave such names out
        $hidden = $uploads['path'] . '/.facecloak-' . bin2hex(random_bytes(16));
        if (!@mkdir($hidden, 0700)) {
            throw new \RuntimeException('A folder could not be made under uploads.');
        }
        $this->hidden = $hidden;
        $once = function ($filename, $ext, $dir) use (&$once, $uploads, $hidden) {
            if ((string) $dir !== (string) $uploads['path']) {
                return $filename;
            }
            remove_filter('wp_unique_filename', $once, PHP_INT_MAX);
            return basename($hidden) . '/' . $filename;
        };
        add_filter('wp_unique_filename', $once, PHP_INT_MAX, 3);
    }

    /**
     * @param array<string, mixed> $upload
     * @return array<string, mixed>
     */
    private function renamed(array $upload, string $folder, string $name): array
    {
        $from = (string) $upload['file'];
        $name = wp_unique_filename($folder, $name);
        if (!@rename($from, $folder . '/' . $name)) {
            throw new \RuntimeException('The safe copy could not be moved.');
        }
        Attachments::set_mode($folder . '/' . $name);
        $url = dirname((string) $upload['url']);
        $upload['file'] = $folder . '/' . $name;
        $upload['url'] = (dirname($from) === $folder ? $url : dirname($url)) . '/' . $name;
        return $upload;
    }

    private function words_of(\Throwable $thrown): string
    {
        if ($thrown instanceof Refused) {
            return $thrown->getMessage();
        }
        // May name folders, so it is for the log and not for whoever uploads
        $this->plugin->log->add('trouble', 0, ['what' => Answers::words($thrown->getMessage())]);
        return __(
            'This file was not uploaded, because it could not be kept safely. Please tell an administrator: Site Health'
            . ' says more.',
            'facecloak'
        );
    }
}
