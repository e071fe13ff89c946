<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Answers a REST request with the bytes of a file that nobody else may see: never kept by a browser or a proxy.
 *
 * Knows one range, which players need to seek in a clip.
 */
final class FileAnswer
{
    private const CHUNK = 262144;
    private const TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/avif', 'video/mp4', 'video/webm',
        'video/quicktime', 'video/x-matroska'];

    /**
     * @param bool $is_fleeting delete the file once it is sent.
     */
    public static function of(\WP_REST_Request $request, string $path, bool $is_fleeting = false): \WP_REST_Response
    {
        $answer = new \WP_REST_Response(null, 200);
        // The headers of WordPress against caching come after this, and forbid less
        add_filter('rest_send_nocache_headers', '__return_false');
        add_filter(
            'rest_pre_serve_request',
            static function ($is_served, $result, $asked) use ($request, $path, $is_fleeting): bool {
                if ($asked !== $request || $is_served) {
                    return (bool) $is_served;
                }
                self::send($path, $request->get_method(), (string) $request->get_header('range'));
                if ($is_fleeting) {
                    unlink($path);
                }
                return true;
            },
            20,
            3
        );
        return $answer;
    }

    /**
     * First and last byte of what is asked for; null where the whole file is.
     *
     * @return array{int, int}|null
     */
    public static function range(string $header, int $size): ?array
    {
        if (preg_match('/^bytes=(\d{1,15})-(\d{0,15})$/', trim($header), $found) !== 1) {
            return null;
        }
        $first = (int) $found[1];
        $last = $found[2] === '' ? $size - 1 : min((int) $found[2], $size - 1);
        return $first <= $last ? [$first, $last] : null;
    }

    private static function send(string $path, string $method, string $range): void
    {
        $size = (int) filesize($path);
        $part = self::range($range, $size);
        [$first, $last] = $part ?? [0, $size - 1];
        $type = Media::content($path);
        foreach (
            [
                // Nothing that a browser would run as a page or a script
                'Content-Type' => in_array($type, self::TYPES, true) ? $type : 'application/octet-stream',
                'Content-Length' => (string) ($last - $first + 1),
                'Content-Disposition' => 'inline',
                'Cache-Control' => 'no-store, private',
                'Accept-Ranges' => 'bytes',
                'X-Content-Type-Options' => 'nosniff',
                'Content-Security-Policy' => "default-src 'none'; sandbox",
                'Cross-Origin-Resource-Policy' => 'same-origin',
                'Referrer-Policy' => 'no-referrer',
            ] as $name => $value
        ) {
            header("$name: $value");
        }
        // WordPress lets every other site ask with the cookies of the visitor
        header_remove('Access-Control-Allow-Origin');
        header_remove('Access-Control-Allow-Credentials');
        if ($part !== null) {
            status_header(206);
            header("Content-Range: bytes $first-$last/$size");
        }
        if ($method === 'HEAD') {
            return;
        }
        while (ob_get_level() > 0) {
            ob_end_clean();
        }
        $file = fopen($path, 'rb');
        if ($file === false) {
            return;
        }
        fseek($file, $first);
        for ($left = $last - $first + 1; $left > 0 && !feof($file); $left -= self::CHUNK) {
            echo fread($file, min(self::CHUNK, $left)); // phpcs:ignore -- bytes of a picture, not text
            flush();
        }
        fclose($file);
    }
}
