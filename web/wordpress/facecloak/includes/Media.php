<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What a file is, by its bytes and by its name. Names lie, and so do browsers about types.
 */
final class Media
{
    public const PHOTO = 'photo';
    public const CLIP = 'clip';
    /** May hold pictures that facecloak cannot look into: PDF, office files, archives, anything unknown. */
    public const DOCUMENT = 'document';
    /** Sound and plain text: nothing to see. */
    public const PLAIN = 'plain';
    /** A picture or a clip by one sign and not by another, or one that nobody knows. */
    public const ODD = 'odd';

    private const HEAD = 4096;
    private const FAR = 1048576;

    private const HEIC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'];
    private const AUDIO_BRANDS = ['M4A ', 'M4B ', 'M4P ', 'F4A ', 'F4B '];
    private const PLAIN_TYPES = ['text/plain', 'text/csv', 'text/tab-separated-values', 'text/calendar', 'text/vtt'];
    /** In containers of sound and of clips these announce pictures. Long enough not to be found in sound by chance. */
    private const PICTURES = [
        'video/mp4' => '/hdlr.{8}(?:vide|pict)/s', 'video/quicktime' => '/hdlr.{8}(?:vide|pict)/s',
        'video/ogg' => '/\x80theora|OVP80|BBCD\x00|\x01video\x00/',
        // The identity of a codec, with its length in one byte or in more
        'video/x-matroska' => '/\x86(?:[\x81-\xff]|\x40.|\x20..|\x10...)V_[A-Z]/s',
        'video/webm' => '/\x86(?:[\x81-\xff]|\x40.|\x20..|\x10...)V_[A-Z]/s',
        'video/x-ms-wmv' => '/\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b/',
    ];

    private const ENDINGS = [
        'image/jpeg' => ['jpg', 'jpeg', 'jpe', 'jfif'], 'image/png' => ['png'], 'image/webp' => ['webp'],
        'image/tiff' => ['tif', 'tiff'], 'image/heic' => ['heic', 'heif'], 'image/avif' => ['avif'],
        'image/gif' => ['gif'], 'image/bmp' => ['bmp'], 'video/mp4' => ['mp4', 'm4v'], 'video/webm' => ['webm'],
    ];

    /**
     * @param string $path the file
     * @param string $name what it is to be called
     * @param string $declared type that whoever sent it says
     */
    public static function kind(string $path, string $name, string $declared = ''): string
    {
        $content = self::content($path);
        $named = self::type_of_name($name);
        if ($content !== null && self::is_photo($content)) {
            return $named === '' || self::is_photo($named) ? self::PHOTO : self::ODD;
        }
        if ($content !== null && self::is_clip($content)) {
            $is_sound = strpos($named, 'audio/') === 0 && !self::shows_pictures($path, $content);
            if ($is_sound) {
                return self::PLAIN;
            }
            return $named === '' || self::is_clip($named) ? self::CLIP : self::ODD;
        }
        // Whatever anybody takes for a picture would be shown as one
        foreach ([$named, $declared, self::by_fileinfo($path)] as $type) {
            if (self::is_photo($type) || self::is_clip($type)) {
                return self::ODD;
            }
        }
        if (strpos($named, 'audio/') === 0 || in_array($named, self::PLAIN_TYPES, true)) {
            return self::PLAIN;
        }
        return self::DOCUMENT;
    }

    /**
     * The type of a picture, clip or sound by its first bytes; null where they are those of none.
     */
    public static function content(string $path): ?string
    {
        $head = (string) @file_get_contents($path, false, null, 0, self::HEAD);
        $starts = [
            "\xff\xd8\xff" => 'image/jpeg', "\x89PNG\r\n\x1a\n" => 'image/png', 'GIF8' => 'image/gif',
            "II*\0" => 'image/tiff', "MM\0*" => 'image/tiff', "II+\0" => 'image/tiff', "MM\0+" => 'image/tiff',
            '8BPS' => 'image/vnd.adobe.photoshop', "\0\0\1\0" => 'image/x-icon', "\0\0\2\0" => 'image/x-icon',
            "\0\0\0\x0cjP  " => 'image/jp2', "\xff\x4f\xff\x51" => 'image/jp2', "\0\0\0\x0cJXL " => 'image/jxl',
            "\xff\x0a" => 'image/jxl', "\x1a\x45\xdf\xa3" => 'video/x-matroska', 'FLV' => 'video/x-flv',
            "\x30\x26\xb2\x75" => 'video/x-ms-wmv', "\0\0\1\xba" => 'video/mpeg', "\0\0\1\xb3" => 'video/mpeg',
            'OggS' => 'video/ogg',
        ];
        foreach ($starts as $start => $type) {
            if (strpos($head, (string) $start) === 0) {
                return $type === 'video/x-matroska' && strpos($head, 'webm') !== false ? 'video/webm' : $type;
            }
        }
        $riff = substr($head, 0, 4) === 'RIFF' ? substr($head, 8, 4) : '';
        if ($riff !== '') {
            return ['WEBP' => 'image/webp', 'AVI ' => 'video/avi'][$riff] ?? null;
        }
        if (substr($head, 0, 2) === 'BM' && strlen($head) > 26 && substr($head, 6, 4) === "\0\0\0\0") {
            return 'image/bmp';
        }
        if (in_array(substr($head, 4, 4), ['ftyp', 'moov', 'mdat', 'wide', 'free', 'skip'], true)) {
            // A text may begin with "The free ..."
            $length = unpack('N', substr($head, 0, 4))[1];
            return $length > (int) @filesize($path) ? null : self::of_boxes($head);
        }
        if (strlen($head) > 376 && $head[0] === 'G' && $head[188] === 'G' && $head[376] === 'G') {
            return 'video/mp2t';
        }
        if (preg_match('/^(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!DOCTYPE svg|<!--|<svg)/i', $head) === 1) {
            return stripos($head, '<svg') !== false ? 'image/svg+xml' : null;
        }
        return null;
    }

    public static function is_photo(string $type): bool
    {
        return strpos($type, 'image/') === 0;
    }

    public static function is_clip(string $type): bool
    {
        return strpos($type, 'video/') === 0;
    }

    /**
     * The name with an ending that fits the type; as it is where it fits already.
     */
    public static function name_for(string $name, string $type): string
    {
        $endings = self::ENDINGS[$type] ?? [];
        $ending = strtolower(pathinfo($name, PATHINFO_EXTENSION));
        if ($endings === [] || in_array($ending, $endings, true)) {
            return $name;
        }
        $base = pathinfo($name, PATHINFO_FILENAME);
        return ($base === '' ? 'file' : $base) . '.' . $endings[0];
    }

    public static function type_of_name(string $name): string
    {
        $found = wp_check_filetype($name, wp_get_mime_types() + [
            'avif' => 'image/avif', 'svg|svgz' => 'image/svg+xml', 'jfif' => 'image/jpeg', 'jxl' => 'image/jxl',
            'jp2|j2k' => 'image/jp2', 'psd' => 'image/vnd.adobe.photoshop', 'ts|mts|m2ts' => 'video/mp2t',
        ]);
        return is_string($found['type']) ? $found['type'] : '';
    }

    private static function of_boxes(string $head): string
    {
        if (substr($head, 4, 4) !== 'ftyp') {
            return 'video/quicktime';
        }
        $length = unpack('N', substr($head, 0, 4))[1];
        $brands = [substr($head, 8, 4)];
        for ($at = 16; $at + 4 <= min($length, strlen($head)); $at += 4) {
            $brands[] = substr($head, $at, 4);
        }
        if (array_intersect($brands, ['avif', 'avis']) !== []) {
            return 'image/avif';
        }
        if (array_intersect($brands, self::HEIC_BRANDS) !== []) {
            return 'image/heic';
        }
        return $brands[0] === 'qt  ' ? 'video/quicktime' : 'video/mp4';
    }

    /**
     * Whether a file with the name of a sound holds pictures too. In doubt it does.
     */
    private static function shows_pictures(string $path, string $content): bool
    {
        $head = (string) @file_get_contents($path, false, null, 0, self::FAR);
        $is_mp4 = $content === 'video/mp4' || $content === 'video/quicktime';
        if (!isset(self::PICTURES[$content]) || $is_mp4 && !in_array(substr($head, 8, 4), self::AUDIO_BRANDS, true)) {
            return true;
        }
        // MP4 may tell at its end what is in it
        $rest = max(self::FAR, (int) @filesize($path) - self::FAR);
        $tail = $is_mp4 ? (string) @file_get_contents($path, false, null, $rest) : '';
        return Pattern::has(self::PICTURES[$content], $head) || Pattern::has(self::PICTURES[$content], $tail);
    }

    private static function by_fileinfo(string $path): string
    {
        if (!function_exists('finfo_open')) {
            return '';
        }
        $info = finfo_open(FILEINFO_MIME_TYPE);
        return $info === false ? '' : (string) @finfo_file($info, $path);
    }
}
