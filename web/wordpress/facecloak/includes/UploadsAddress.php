<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Addresses of files under uploads: finds them in a text, and says which attachment a file belongs to.
 *
 * A browser reads more spellings than WordPress writes. What is looked for is therefore the path, whatever stands before
 * it, in the text with everything decoded that a browser decodes: entities, %2F, \/ of JSON, \2f of style sheets, dots.
 */
final class UploadsAddress
{
    private const IMAGES = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'avif', 'heic', 'tif', 'tiff', 'bmp'];

    /**
     * @return string[] paths below the uploads folder, without query: `2026/01/march-300x200.jpg`
     */
    public function paths(string $text): array
    {
        $needle = strtolower($this->folder()) . '/';
        $paths = [];
        foreach ($this->words($text) as $word) {
            foreach ($this->without_dots(substr($word, 0, strcspn($word, '?#'))) as $plain) {
                $at = strpos(strtolower($plain), $needle);
                if ($at === false) {
                    continue;
                }
                $path = rtrim(substr($plain, $at + strlen($needle)), '.;:!&');
                if ($path !== '' && substr($path, -1) !== '/') {
                    $paths[$path] = true;
                }
            }
        }
        return array_map('strval', array_keys($paths));
    }

    /**
     * The attachments whose file this may be; none where the file belongs to no attachment.
     *
     * @param int[] $known attachments to try first: the database has no index to look for files by
     * @return int[]
     */
    public function attachments(string $path, array $known = []): array
    {
        foreach ($known as $id) {
            $is_there = dirname((string) get_post_meta($id, '_wp_attached_file', true)) === dirname($path);
            if ($is_there && in_array(wp_basename($path), $this->names($id), true)) {
                return [$id];
            }
        }
        $candidates = $this->candidates($path);
        $exact = array_keys($candidates, $path, true);
        if ($exact !== []) {
            return $exact;
        }
        $name = wp_basename($path);
        $confirmed = [];
        foreach (array_keys($candidates) as $id) {
            if (in_array($name, $this->names($id), true)) {
                $confirmed[] = $id;
            }
        }
        if ($confirmed !== []) {
            return $confirmed;
        }
        // A file that is there and that no attachment lists was not made from what the desk has seen.
        return is_file($this->base() . '/' . $path) ? [] : array_keys($candidates);
    }

    /**
     * @return array<int, string> attached file by attachment
     */
    private function candidates(string $path): array
    {
        global $wpdb;
        $folder = strpos($path, '/') === false ? '' : dirname($path) . '/';
        $ending = (string) pathinfo($path, PATHINFO_EXTENSION);
        $stems = $this->stems(wp_basename($path, $ending === '' ? '' : '.' . $ending));
        // A size may have another format than the photo it was made from
        $endings = in_array(strtolower($ending), self::IMAGES, true)
            ? array_unique(array_merge([$ending], self::IMAGES))
            : [$ending];
        $names = [];
        foreach ($stems as $stem) {
            foreach (['', '-scaled', '-rotated'] as $suffix) {
                foreach ($endings as $one) {
                    $names[] = $folder . $stem . $suffix . ($one === '' ? '' : '.' . $one);
                }
            }
        }
        $names = array_values(array_unique($names));
        $marks = implode(', ', array_fill(0, count($names), '%s'));
        // After a change in the image editor, sizes from before stay in use beside `march-e1700000000000.jpg`
        $edited = $wpdb->esc_like($folder . end($stems)) . '-e%';
        // phpcs:ignore -- $marks is a row of placeholders
        $sql = $wpdb->prepare(
            "SELECT post_id, meta_value FROM {$wpdb->postmeta} WHERE meta_key = '_wp_attached_file'"
            . " AND (meta_value IN ($marks) OR meta_value LIKE %s)",
            array_merge($names, [$edited])
        );
        $found = [];
        foreach ((array) $wpdb->get_results($sql, ARRAY_A) as $row) {
            $found[(int) $row['post_id']] = (string) $row['meta_value'];
        }
        return $found;
    }

    /**
     * `march-scaled-300x200` may be made from `march-scaled` or from `march`.
     *
     * @return string[] the longest first
     */
    private function stems(string $name): array
    {
        $stems = [$name];
        foreach (['/-\d+x\d+$/', '/-(?:scaled|rotated)$/', '/-e\d{10,}$/'] as $suffix) {
            $shorter = (string) preg_replace($suffix, '', end($stems));
            if ($shorter !== end($stems) && $shorter !== '') {
                $stems[] = $shorter;
            }
        }
        return $stems;
    }

    /**
     * @return string[] names of all files of an attachment, as WordPress knows them
     */
    private function names(int $attachment): array
    {
        $names = [wp_basename((string) get_post_meta($attachment, '_wp_attached_file', true))];
        $metadata = get_post_meta($attachment, '_wp_attachment_metadata', true);
        $metadata = is_array($metadata) ? $metadata : [];
        $backups = get_post_meta($attachment, '_wp_attachment_backup_sizes', true);
        $sizes = array_merge(
            array_values((array) ($metadata['sizes'] ?? [])),
            array_values(is_array($backups) ? $backups : [])
        );
        foreach ($sizes as $size) {
            $names[] = wp_basename((string) ($size['file'] ?? ''));
        }
        $names[] = wp_basename((string) ($metadata['original_image'] ?? ''));
        return array_filter($names);
    }

    /**
     * What may be an address, each before and after percent signs are decoded: browsers take the dots away before, and
     * what is decoded too early takes with it more, or less, than it should.
     *
     * @return string[]
     */
    private function words(string $text): array
    {
        [$readings, $addresses] = $this->readings($text);
        $words = array_filter($addresses, static function (string $address): bool {
            return strpos($address, '..') !== false || stripos($address, '%2e') !== false;
        });
        foreach (array_merge($readings, [implode(' ', $addresses)]) as $reading) {
            foreach (array_unique([$reading, rawurldecode($reading)]) as $spelling) {
                $words = array_merge($words, Pattern::split('/[\s"\'<>()\[\]{},|^`]+/', $spelling));
            }
        }
        return array_filter(array_unique($words), static function (string $word): bool {
            return strpos($word, '/') !== false;
        });
    }

    /**
     * @return array{0: string[], 1: string[]} the text as different readers of it would understand it, and what stands in
     *     the attributes that hold one address
     */
    private function readings(string $text): array
    {
        $json = Pattern::replace(
            '/\\\\u00([0-7][0-9a-fA-F])/',
            static function (array $match): string {
                return chr((int) hexdec($match[1]));
            },
            $text
        );
        // Browsers need no semicolon after the number of a letter
        $closed = Pattern::replace('/&#(x[0-9a-f]+|[0-9]+);?/i', static function (array $match): string {
            return '&#' . $match[1] . ';';
        }, str_replace('\\/', '/', $json));
        $plain = html_entity_decode($closed, ENT_QUOTES | ENT_HTML5, 'UTF-8');
        // In an address, browsers leave out line breaks and take a backslash for a slash
        $quoted = Pattern::all('/\b(?:src|href|poster|data)\s*=\s*(?|"([^"]*)"|\'([^\']*)\')/i', $plain);
        $addresses = str_replace(["\t", "\r", "\n"], '', array_column($quoted, 1));
        $css = Pattern::replace(
            '/\\\\([0-9a-fA-F]{1,6})\s?/',
            static function (array $match): string {
                $code = (int) hexdec($match[1]);
                return $code >= 0x20 && $code < 0x7f ? chr($code) : '';
            },
            $plain
        );
        return [array_unique([$plain, $css]), str_replace('\\', '/', $addresses)];
    }

    /**
     * `a/b/./c/../d` is `a/b/d`. Of `a//../b` browsers make `a/b`, and servers `b`.
     *
     * @return string[] decoded
     */
    private function without_dots(string $path): array
    {
        $found = [];
        foreach (array_unique([$path, (string) preg_replace('#/+#', '/', $path)]) as $spelling) {
            $parts = [];
            foreach (explode('/', $spelling) as $part) {
                $dots = str_ireplace('%2e', '.', $part);
                if ($dots === '..') {
                    array_pop($parts);
                } elseif ($dots !== '.') {
                    $parts[] = $part;
                }
            }
            $found[] = (string) preg_replace('#/+#', '/', rawurldecode(implode('/', $parts)));
        }
        return array_unique($found);
    }

    /** `wp-content/uploads`: what the addresses of all uploads have in common, whatever the host and the base. */
    private function folder(): string
    {
        $root = rtrim(wp_normalize_path(ABSPATH), '/') . '/';
        $base = wp_normalize_path($this->base());
        if (strpos($base, $root) === 0) {
            return trim(substr($base, strlen($root)), '/');
        }
        return trim((string) wp_parse_url((string) wp_get_upload_dir()['baseurl'], PHP_URL_PATH), '/');
    }

    private function base(): string
    {
        return rtrim((string) wp_get_upload_dir()['basedir'], '/');
    }
}
