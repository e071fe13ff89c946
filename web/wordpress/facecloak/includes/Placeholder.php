<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What stands in uploads while an original waits: a grey picture of the same size, or a short black clip.
 *
 * No two are the same, byte for byte: files are known by their hashes, and a placeholder belongs to one original.
 */
final class Placeholder
{
    public const PHOTO_TYPES = ['image/jpeg', 'image/png', 'image/webp'];

    /** The built-in font of GD, in pixels. */
    private const GLYPH = [9, 15];
    private const FONT = 5;
    private const GREY = 0x80;
    /** GD holds the picture and, while it scales words, some more. */
    private const SPARE_BYTES = 24 * 1024 * 1024;

    /**
     * @param string $original tells the size
     * @param string $to gets the picture
     * @return array{0: int, 1: int} its size
     * @throws Unreachable where none can be made of this format, or in the memory that PHP has.
     */
    public static function photo(string $original, string $type, string $to): array
    {
        $size = in_array($type, self::PHOTO_TYPES, true) ? @getimagesize($original) : false;
        if (!is_array($size) || $size[0] < 1 || $size[1] < 1 || !self::has_gd($type)) {
            throw new Unreachable(
                __('Nothing can stand in for a picture of this format while it waits.', 'facecloak')
            );
        }
        [$width, $height] = self::is_on_its_side($original, $type) ? [$size[1], $size[0]] : [$size[0], $size[1]];
        $is_palette = $type !== 'image/webp';
        self::check_memory($width * $height * ($is_palette ? 1 : 4));
        $image = $is_palette ? @imagecreate($width, $height) : @imagecreatetruecolor($width, $height);
        if ($image === false) {
            throw new Unreachable(__('Nothing as large as this picture can stand in for it.', 'facecloak'));
        }
        $grey = (int) imagecolorallocate($image, self::GREY, self::GREY, self::GREY);
        imagefilledrectangle($image, 0, 0, $width - 1, $height - 1, $grey);
        self::write($image, $width, $height);
        $is_written = self::save($image, $type, $to);
        unset($image);  // as large as the photo
        clearstatcache(true, $to);
        if (!$is_written || (int) @filesize($to) === 0) {
            throw new Unreachable(__('Nothing could be written that stands in for the picture.', 'facecloak'));
        }
        return [$width, $height];
    }

    /**
     * @param string $to gets the clip
     * @param string $type 'video/mp4' or 'video/webm'
     */
    public static function clip(string $type, string $to): void
    {
        $bundled = dirname(__DIR__) . '/assets/placeholder.' . ($type === 'video/webm' ? 'webm' : 'mp4');
        $bytes = (string) @file_get_contents($bundled);
        $nonce = random_bytes(16);
        // Boxes that every player skips
        $filler = $type === 'video/webm' ? "\xec\x90" . $nonce : pack('N', 8 + strlen($nonce)) . 'free' . $nonce;
        if ($bytes === '' || @file_put_contents($to, $bytes . $filler) !== strlen($bytes . $filler)) {
            throw new Unreachable(__('Nothing could be written that stands in for the clip.', 'facecloak'));
        }
    }

    /**
     * @param resource|\GdImage $image
     */
    private static function write($image, int $width, int $height): void
    {
        $lines = [
            self::plain(__('Not checked yet', 'facecloak'), 'Not checked yet'),
            self::plain(__('facecloak waits', 'facecloak'), 'facecloak waits'),
            bin2hex(random_bytes(6)),
        ];
        $longest = max(array_map('strlen', $lines));
        $canvas = imagecreate($longest * self::GLYPH[0], count($lines) * self::GLYPH[1]);
        imagecolorallocate($canvas, self::GREY, self::GREY, self::GREY);
        $white = (int) imagecolorallocate($canvas, 255, 255, 255);
        foreach ($lines as $i => $line) {
            $left = intdiv(($longest - strlen($line)) * self::GLYPH[0], 2);
            imagestring($canvas, self::FONT, $left, $i * self::GLYPH[1], $line, $white);
        }
        $scale = min(0.8 * $width / imagesx($canvas), 0.6 * $height / imagesy($canvas));
        $wide = max(1, (int) (imagesx($canvas) * $scale));
        $high = max(1, (int) (imagesy($canvas) * $scale));
        imagecopyresized(
            $image,
            $canvas,
            intdiv($width - $wide, 2),
            intdiv($height - $high, 2),
            0,
            0,
            $wide,
            $high,
            imagesx($canvas),
            imagesy($canvas)
        );
    }

    /**
     * @param resource|\GdImage $image
     */
    private static function save($image, string $type, string $to): bool
    {
        if ($type === 'image/jpeg') {
            $is_written = @imagejpeg($image, $to, 80);
        } elseif ($type === 'image/png') {
            $is_written = @imagepng($image, $to);
        } else {
            $is_written = @imagewebp($image, $to, 80);
        }
        return $is_written && self::mark($type, $to);
    }

    /**
     * Small pictures have no room for words that differ, so the file itself gets a mark.
     */
    private static function mark(string $type, string $to): bool
    {
        $bytes = (string) file_get_contents($to);
        $nonce = bin2hex(random_bytes(16));
        if ($type === 'image/jpeg') {
            $bytes = "\xff\xd8\xff\xfe" . pack('n', 2 + strlen($nonce)) . $nonce . substr($bytes, 2);
        } elseif ($type === 'image/png') {
            $chunk = 'tEXtComment' . "\0" . $nonce;
            $chunk = pack('N', strlen($chunk) - 4) . $chunk . pack('N', crc32($chunk));
            $bytes = substr($bytes, 0, -12) . $chunk . substr($bytes, -12);
        } else {
            $bytes .= 'FCLK' . pack('V', strlen($nonce)) . $nonce;
            $bytes = substr($bytes, 0, 4) . pack('V', strlen($bytes) - 8) . substr($bytes, 8);
        }
        return @file_put_contents($to, $bytes) === strlen($bytes);
    }

    private static function has_gd(string $type): bool
    {
        $write = ['image/jpeg' => 'imagejpeg', 'image/png' => 'imagepng', 'image/webp' => 'imagewebp'][$type];
        return function_exists('imagecreate') && function_exists('imagestring') && function_exists($write);
    }

    /** A fatal error of PHP would be the end of the request; a picture that is too large is told about. */
    private static function check_memory(int $bytes): void
    {
        wp_raise_memory_limit('image');
        $limit = wp_convert_hr_to_bytes((string) ini_get('memory_limit'));
        if ($limit > 0 && memory_get_usage() + $bytes + self::SPARE_BYTES > $limit) {
            throw new Unreachable(
                __('PHP has too little memory for anything that stands in for a picture as large as this.', 'facecloak')
            );
        }
    }

    private static function is_on_its_side(string $original, string $type): bool
    {
        if ($type !== 'image/jpeg' || !function_exists('exif_read_data')) {
            return false;
        }
        $exif = @exif_read_data($original, 'IFD0');
        return is_array($exif) && in_array((int) ($exif['Orientation'] ?? 1), [5, 6, 7, 8], true);
    }

    /** GD's own font knows no letters but these. */
    private static function plain(string $words, string $otherwise): string
    {
        $words = remove_accents($words);
        return preg_match('/^[\x20-\x7e]{1,40}$/D', $words) === 1 ? $words : $otherwise;
    }
}
