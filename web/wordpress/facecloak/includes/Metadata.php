<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Whether a file tells where it was made, with which camera, or holds a small picture of what it once showed.
 *
 * For finding such files, not for cleaning them: it looks for EXIF blocks wherever they lie in the file (JPEG, PNG, WebP,
 * TIFF, HEIC, AVIF), for XMP, and for the places where phones put a position into clips. What is compressed is looked
 * into in PNG only; what a maker hides in fields of its own is not understood.
 */
final class Metadata
{
    public const POSITION = 'position';
    public const THUMBNAIL = 'thumbnail';
    public const SERIAL = 'serial';

    /** Of larger files only the beginning and the end are read: there metadata lies. */
    private const WHOLE_BYTES = 32 * 1024 * 1024;
    private const BEGINNING_BYTES = 16 * 1024 * 1024;
    private const END_BYTES = 4 * 1024 * 1024;

    private const EXIF_IFD = 0x8769;
    private const GPS_IFD = 0x8825;
    private const LATITUDE = 2;
    private const LONGITUDE = 4;
    private const THUMBNAIL_AT = 0x0201;
    private const SERIALS = [0xA431, 0xA435, 0xC62F];
    private const MOST_ENTRIES = 1000;
    /** A photo has a few; a file made to keep the scan busy has thousands. */
    private const MOST_BLOCKS = 200;

    /**
     * @return string[] of POSITION, THUMBNAIL, SERIAL
     * @throws \RuntimeException the file cannot be read
     */
    public static function tells(string $path): array
    {
        $data = self::read($path);
        if (strncmp($data, "\x89PNG", 4) === 0) {
            $data .= self::png_texts($data);
        }
        $found = self::of_xmp($data) + self::of_clip($data);
        foreach (["II*\0", "MM\0*"] as $mark) {
            $at = strpos($data, $mark);
            for ($left = self::MOST_BLOCKS; $at !== false && $left > 0; $left--) {
                $found += self::of_exif($data, $at, $mark === "II*\0" ? ['v', 'V'] : ['n', 'N']);
                $at = strpos($data, $mark, $at + 4);
            }
        }
        return array_values(array_intersect([self::POSITION, self::THUMBNAIL, self::SERIAL], array_keys($found)));
    }

    private static function read(string $path): string
    {
        $size = @filesize($path);
        $file = $size === false ? false : @fopen($path, 'rb');
        if ($file === false) {
            throw new \RuntimeException(basename($path) . ' cannot be read.');
        }
        try {
            if ($size <= self::WHOLE_BYTES) {
                return (string) stream_get_contents($file);
            }
            $data = (string) stream_get_contents($file, self::BEGINNING_BYTES);
            return $data . (string) stream_get_contents($file, self::END_BYTES, $size - self::END_BYTES);
        } finally {
            fclose($file);
        }
    }

    /**
     * @return array<string, bool>
     */
    private static function of_xmp(string $data): array
    {
        $found = [];
        if (preg_match('/exif:GPS(?:Latitude|Longitude)\b/', $data) === 1) {
            $found[self::POSITION] = true;
        }
        if (preg_match('/xmpGImg:image|xap(?:GImg|G):image/', $data) === 1) {
            $found[self::THUMBNAIL] = true;
        }
        if (preg_match('/(?:aux|exifEX):(?:Serial|BodySerial|LensSerial)Number\b/', $data) === 1) {
            $found[self::SERIAL] = true;
        }
        return $found;
    }

    /**
     * The boxes of MP4 and MOV: (c)xyz and loci of phones, and Apple's own key.
     *
     * @return array<string, bool>
     */
    private static function of_clip(string $data): array
    {
        $is_clip = in_array(substr($data, 4, 4), ['ftyp', 'moov', 'mdat', 'wide', 'free', 'skip'], true);
        $has_place = preg_match('/\xa9xyz|loci\x00{4}|com\.apple\.quicktime\.location\.ISO6709/', $data) === 1;
        return $is_clip && $has_place ? [self::POSITION => true] : [];
    }

    /**
     * @param array{0: string, 1: string} $order how unpack() reads 16 and 32 bits
     * @return array<string, bool>
     */
    private static function of_exif(string $data, int $at, array $order): array
    {
        $found = [];
        [$first, $second] = self::directory($data, $at, self::number($data, $at + 4, $order[1]), $order);
        if (isset($first[self::GPS_IFD])) {
            [$gps] = self::directory($data, $at, $first[self::GPS_IFD], $order);
            if (isset($gps[self::LATITUDE]) || isset($gps[self::LONGITUDE])) {
                $found[self::POSITION] = true;
            }
        }
        [$exif] = isset($first[self::EXIF_IFD]) ? self::directory($data, $at, $first[self::EXIF_IFD], $order) : [[]];
        if (array_intersect_key($first + $exif, array_flip(self::SERIALS)) !== []) {
            $found[self::SERIAL] = true;
        }
        [$thumbnail] = $second > 0 ? self::directory($data, $at, $second, $order) : [[]];
        if (isset($thumbnail[self::THUMBNAIL_AT])) {
            $found[self::THUMBNAIL] = true;
        }
        return $found;
    }

    /**
     * @param array{0: string, 1: string} $order
     * @return array{0: array<int, int>, 1: int} tag => the four bytes of its value as a number; where the next one lies
     */
    private static function directory(string $data, int $base, int $offset, array $order): array
    {
        $count = $offset >= 8 ? self::number($data, $base + $offset, $order[0]) : 0;
        $entries = [];
        if ($count > self::MOST_ENTRIES) {
            return [[], 0];
        }
        for ($i = 0; $i < $count; $i++) {
            $entry = $base + $offset + 2 + 12 * $i;
            $entries[self::number($data, $entry, $order[0])] = self::number($data, $entry + 8, $order[1]);
        }
        unset($entries[-1]);
        return [$entries, self::number($data, $base + $offset + 2 + 12 * $count, $order[1])];
    }

    /** -1 where the data end before. */
    private static function number(string $data, int $at, string $form): int
    {
        $length = in_array($form, ['v', 'n'], true) ? 2 : 4;
        $bytes = $at >= 0 ? (string) substr($data, $at, $length) : '';
        return strlen($bytes) === $length ? (int) unpack($form, $bytes)[1] : -1;
    }

    /** What is compressed or written as hexadecimal digits in the texts of a PNG. */
    private static function png_texts(string $data): string
    {
        $texts = '';
        $length = 0;
        for ($at = 8; strlen($data) >= $at + 12 && strlen($texts) < self::WHOLE_BYTES; $at += 12 + $length) {
            $length = self::number($data, $at, 'N');
            $kind = substr($data, $at + 4, 4);
            if ($length < 0 || $length > strlen($data) - $at - 12) {
                break;
            }
            if (!in_array($kind, ['tEXt', 'zTXt', 'iTXt'], true)) {
                continue;
            }
            [$key, $body] = array_pad(explode("\0", substr($data, $at + 8, $length), 2), 2, '');
            if ($kind === 'zTXt') {
                $body = (string) @gzuncompress(substr($body, 1), self::END_BYTES);
            } elseif ($kind === 'iTXt' && substr($body, 0, 1) === "\1") {
                $text = explode("\0", substr($body, 2), 3)[2] ?? '';
                $body = (string) @gzuncompress($text, self::END_BYTES);
            }
            $texts .= "\n" . $body;
            if (strpos($key, 'Raw profile type') === 0) {
                // Name, length, then digits in lines
                $digits = (string) preg_replace('/^\s*\S+\s+\d+\s+|\s+/', '', $body);
                $texts .= strlen($digits) % 2 === 0 && ctype_xdigit($digits) ? (string) hex2bin($digits) : '';
            }
        }
        return $texts;
    }
}
