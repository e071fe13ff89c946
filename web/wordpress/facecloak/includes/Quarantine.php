<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The folder for originals, previews and results, outside of what this site serves. Files have random names and are
 * private. Another site of the same machine may serve it all the same, so it tells servers to keep out.
 */
final class Quarantine
{
    private const NAME = '/^(?:original|temporary)-([0-9a-f]{12})-[0-9a-f]{32}$/D';

    /** For Apache and its like, and for servers that list what is in a folder. */
    private const GUARDS = ['.htaccess' => "Require all denied\n", 'index.html' => ''];

    /** Temporary files are swept after this: previews are looked at again while somebody decides. */
    private const TEMPORARY_S = 86400;

    public function folder(): string
    {
        if (defined('FACECLOAK_QUARANTINE')) {
            return rtrim((string) constant('FACECLOAK_QUARANTINE'), '/');
        }
        return rtrim(dirname(rtrim(ABSPATH, '/')), '/') . '/facecloak-quarantine';
    }

    /**
     * Why nothing can be kept safely, in words for the administrator; null where it can. Makes the folder.
     */
    public function problem(): ?string
    {
        $folder = $this->folder();
        if ($folder === '' || $folder[0] !== '/') {
            return __('The quarantine folder must be given as a whole path.', 'facecloak');
        }
        $inside = $this->served($folder);
        if ($inside !== null) {
            return sprintf(
                /* translators: 1: folder, 2: folder that the web server serves */
                __(
                    'The quarantine folder %1$s lies inside %2$s, from where it could be fetched. Set'
                    . ' FACECLOAK_QUARANTINE in wp-config.php to a folder that no web server serves.',
                    'facecloak'
                ),
                $folder,
                $inside
            );
        }
        if (!is_dir($folder) && !@mkdir($folder, 0700, true) && !is_dir($folder)) {
            return sprintf(
                /* translators: %s: folder */
                __('The quarantine folder %s does not exist and could not be made.', 'facecloak'),
                $folder
            );
        }
        @chmod($folder, 0700);
        clearstatcache(true, $folder);
        if (!is_writable($folder) || !is_readable($folder)) {
            /* translators: %s: folder */
            return sprintf(__('The quarantine folder %s cannot be written to.', 'facecloak'), $folder);
        }
        if ((fileperms($folder) & 0077) !== 0) {
            /* translators: %s: folder */
            return sprintf(__('The quarantine folder %s is open to others on this machine.', 'facecloak'), $folder);
        }
        foreach (self::GUARDS as $name => $words) {
            if (!is_file("$folder/$name")) {
                @file_put_contents("$folder/$name", $words);
            }
        }
        return null;
    }

    /**
     * The folder that this site serves and that a folder lies in; null where it lies in none.
     */
    public function served(string $folder): ?string
    {
        return $this->served_folder_around($this->resolved($folder));
    }

    /**
     * Moves a file in. At $path nothing is left.
     *
     * @return string the name it is kept under
     * @throws \RuntimeException where it cannot be kept whole; then the file is still at $path.
     */
    public function keep(string $path): string
    {
        $target = $this->fresh('original');
        // Within one file system no byte moves, so a full disk cannot cut it short
        $from = @stat($path);
        // What a link leads to stays where it is, so it has to be copied
        $is_near = $from !== false && !is_link($path) && $from['dev'] === (stat($target) ?: ['dev' => null])['dev'];
        if (!$is_near || !@rename($path, $target)) {
            $this->copied($path, $target);
            if (!@unlink($path)) {
                @unlink($target);
                throw new \RuntimeException('The original could not be moved out of ' . dirname($path) . '.');
            }
        }
        @chmod($target, 0600);  // not ours to change where another user has put the file there; the folder is
        clearstatcache(true, $target);
        return basename($target);
    }

    /**
     * Copies a file in; the one at $path stays.
     *
     * @throws \RuntimeException where it cannot be kept whole.
     */
    public function keep_copy(string $path): string
    {
        $target = $this->fresh('original');
        $this->copied($path, $target);
        return basename($target);
    }

    /**
     * @throws \InvalidArgumentException where the name is none of ours.
     */
    public function path(string $name): string
    {
        if (preg_match(self::NAME, $name) !== 1) {
            throw new \InvalidArgumentException('No file of the quarantine has such a name.');
        }
        return $this->folder() . '/' . $name;
    }

    public function has(string $name): bool
    {
        return preg_match(self::NAME, $name) === 1 && is_file($this->path($name));
    }

    public function delete(string $name): void
    {
        if ($name !== '') {
            $path = $this->path($name);
            if (is_file($path) && !@unlink($path)) {
                throw new \RuntimeException('A file could not be deleted from the quarantine.');
            }
        }
    }

    /**
     * A new empty file for a preview or a result.
     *
     * @throws \RuntimeException where none can be made.
     */
    public function temporary(): string
    {
        return $this->fresh('temporary');
    }

    /**
     * Removes what was left over by requests that were cut short.
     *
     * @param string[]|null $known names of originals that stay; null: all of them
     */
    public function sweep(?array $known): void
    {
        foreach ($this->own() as $name) {
            if (strpos($name, 'original') === 0 && ($known === null || in_array($name, $known, true))) {
                continue;
            }
            $path = $this->folder() . '/' . $name;
            // The time of a rename counts, not that of the photo
            if (time() - max((int) @filemtime($path), (int) @filectime($path)) >= self::TEMPORARY_S) {
                @unlink($path);
            }
        }
    }

    /**
     * Deletes what is ours, and the folder where nobody else has anything in it.
     */
    public function destroy(): void
    {
        foreach ($this->own() as $name) {
            @unlink($this->folder() . '/' . $name);
        }
        if (preg_grep(self::NAME, $this->names()) === []) {
            foreach (array_keys(self::GUARDS) as $name) {
                @unlink($this->folder() . '/' . $name);
            }
        }
        @rmdir($this->folder());
    }

    /**
     * Names of the files that this site has put there: another site, or a copy of this one, may use the same folder.
     *
     * @return string[]
     */
    private function own(): array
    {
        return array_values(array_filter($this->names(), static function (string $name): bool {
            return preg_match(self::NAME, $name, $found) === 1 && $found[1] === self::site();
        }));
    }

    /**
     * @return string[]
     */
    private function names(): array
    {
        return is_dir($this->folder()) ? array_map('strval', (array) scandir($this->folder())) : [];
    }

    private static function site(): string
    {
        $site = [ABSPATH, defined('DB_HOST') ? DB_HOST : '', defined('DB_NAME') ? DB_NAME : ''];
        return substr(hash('sha256', implode("\n", $site)), 0, 12);
    }

    /**
     * @throws \RuntimeException
     */
    private function fresh(string $kind): string
    {
        $this->check();
        $path = $this->folder() . '/' . $kind . '-' . self::site() . '-' . bin2hex(random_bytes(16));
        $file = @fopen($path, 'x');
        if ($file === false || !fclose($file) || !chmod($path, 0600)) {
            throw new \RuntimeException('A file could not be made in the quarantine.');
        }
        return $path;
    }

    private function check(): void
    {
        $problem = $this->problem();
        if ($problem !== null) {
            throw new \RuntimeException($problem);
        }
    }

    private function copied(string $from, string $to): void
    {
        $is_whole = is_file($from) && @copy($from, $to)
            && @hash_file('sha256', $to) === @hash_file('sha256', $from);
        if (!$is_whole) {
            @unlink($to);
            throw new \RuntimeException('A file could not be copied whole into the quarantine. Is the disk full?');
        }
        chmod($to, 0600);
    }

    /** The path with symbolic links followed as far as it exists. */
    private function resolved(string $path): string
    {
        $rest = '';
        while ($path !== '/' && $path !== '' && realpath($path) === false) {
            $rest = '/' . basename($path) . $rest;
            $path = dirname($path);
        }
        return rtrim((string) realpath($path), '/') . $rest;
    }

    private function served_folder_around(string $folder): ?string
    {
        foreach ($this->served_folders() as $served) {
            $real = $this->resolved($served);
            if ($real !== '' && ($folder === $real || strpos($folder . '/', rtrim($real, '/') . '/') === 0)) {
                return $served;
            }
        }
        return null;
    }

    /**
     * @return string[]
     */
    private function served_folders(): array
    {
        $uploads = wp_upload_dir(null, false);
        $folders = [rtrim(ABSPATH, '/'), (string) $uploads['basedir'], WP_CONTENT_DIR];
        // WordPress in a sub-folder of the site: what is around it is served too
        $path = trim((string) parse_url((string) get_option('siteurl'), PHP_URL_PATH), '/');
        $root = rtrim(ABSPATH, '/');
        if ($path !== '' && substr($root, -strlen('/' . $path)) === '/' . $path) {
            $folders[] = substr($root, 0, -strlen('/' . $path));
        }
        $document_root = isset($_SERVER['DOCUMENT_ROOT']) ? (string) $_SERVER['DOCUMENT_ROOT'] : ''; // phpcs:ignore
        if ($document_root !== '' && is_dir($document_root)) {
            $folders[] = $document_root;
        }
        return array_filter(array_map('strval', $folders));
    }
}
