<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Media;
use PHPUnit\Framework\TestCase;

final class MediaTest extends TestCase
{
    /** @return array<string, array{string, string, string, string}> name, bytes, kind, declared type */
    public function files(): array
    {
        $jpeg = "\xff\xd8\xff\xe0" . str_repeat('x', 100);
        $png = "\x89PNG\r\n\x1a\n" . str_repeat('x', 100);
        $webp = "RIFF\x24\0\0\0WEBPVP8 " . str_repeat('x', 40);
        $mp4 = "\0\0\0\x18ftypisom\0\0\2\0isommp41" . str_repeat('x', 100);
        $sound = "\0\0\0\x18ftypM4A \0\0\2\0isomM4A " . str_repeat('x', 100);
        $heic = "\0\0\0\x18ftypheic\0\0\0\0mif1heic" . str_repeat('x', 100);
        $webm = "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm" . str_repeat('x', 100);
        $ogg = "OggS\0\2" . str_repeat("\0", 22) . "\1\x1e\1vorbis" . str_repeat('x', 100);
        $noise = implode('', array_map('chr', range(0, 255))) . str_repeat('xV_AV_x', 9000);
        return [
            'a photo' => ['a.jpg', $jpeg, Media::PHOTO, 'image/jpeg'],
            'a photo, whatever the browser says' => ['a.jpg', $jpeg, Media::PHOTO, 'text/plain'],
            'a photo with the ending of another' => ['a.jpg', $png, Media::PHOTO, ''],
            'a photo without an ending' => ['a', $webp, Media::PHOTO, ''],
            'a photo called a text' => ['a.txt', $jpeg, Media::ODD, 'text/plain'],
            'a photo called a PDF' => ['a.pdf', $jpeg, Media::ODD, ''],
            'a photo called a clip' => ['a.mp4', $jpeg, Media::ODD, ''],
            'a photo of a telephone' => ['a.heic', $heic, Media::PHOTO, ''],
            'a drawing' => ['a.svg', '<?xml version="1.0"?><svg xmlns="x"/>', Media::PHOTO, ''],
            'an icon' => ['a.ico', "\0\0\1\0\1\0" . str_repeat('x', 20), Media::PHOTO, ''],
            'a text called a photo' => ['a.jpg', 'hello there, this is text', Media::ODD, ''],
            'a text told to be a photo' => ['a.bin', 'hello there', Media::ODD, 'image/x-new'],
            'a clip' => ['a.mp4', $mp4, Media::CLIP, ''],
            'a clip called a photo' => ['a.jpg', $mp4, Media::ODD, 'image/jpeg'],
            'a clip called a sound' => ['a.m4a', $mp4, Media::ODD, 'audio/mpeg'],
            'a sound' => ['a.m4a', $sound, Media::PLAIN, 'audio/mpeg'],
            'a sound in Ogg' => ['a.ogg', $ogg, Media::PLAIN, ''],
            'pictures in Ogg called a sound' => ['a.ogg', $ogg . "\x80theora", Media::ODD, ''],
            'a clip for the web' => ['a.webm', $webm, Media::CLIP, ''],
            'a long sound in Ogg, with all letters in it' => ['a.ogg', $ogg . $noise, Media::PLAIN, ''],
            'a newer codec in Ogg called a sound' => ['a.ogg', $ogg . $noise . 'OVP80', Media::ODD, ''],
            'a sound in Matroska' => ['a.mka', $webm . "\x86\x86A_OPUS" . $noise, Media::PLAIN, ''],
            'pictures in Matroska called a sound' => ['a.mka', $webm . "\x86\x85V_VP9", Media::ODD, ''],
            'a clip with the brand of a sound' => [
                'a.m4a', $sound . str_repeat($noise, 60) . "hdlr\0\0\0\0\0\0\0\0vide" . $noise, Media::ODD, '',
            ],
            'plain text' => ['a.txt', 'Notes of a march', Media::PLAIN, ''],
            'text that begins like a box' => ['a.txt', 'The free world and more', Media::PLAIN, ''],
            'a PDF' => ['a.pdf', "%PDF-1.7\n", Media::DOCUMENT, ''],
            'an archive' => ['a.zip', "PK\3\4", Media::DOCUMENT, ''],
            'anything' => ['a.xyz', 'abc', Media::DOCUMENT, ''],
            'nothing' => ['a.jpg', '', Media::ODD, ''],
        ];
    }

    /** @dataProvider files */
    public function test_files_are_told_by_bytes_and_name(string $name, string $bytes, string $kind, string $type): void
    {
        $path = (string) tempnam(sys_get_temp_dir(), 'fc');
        file_put_contents($path, $bytes);
        try {
            $this->assertSame($kind, Media::kind($path, $name, $type));
        } finally {
            unlink($path);
        }
    }

    public function test_names_get_the_ending_that_fits(): void
    {
        $this->assertSame('march.jpg', Media::name_for('march.heic', 'image/jpeg'));
        $this->assertSame('march.JPEG', Media::name_for('march.JPEG', 'image/jpeg'));
        $this->assertSame('march.mp4', Media::name_for('march.mov', 'video/mp4'));
        $this->assertSame('a.b.png', Media::name_for('a.b.jpg', 'image/png'));
        $this->assertSame('march.xyz', Media::name_for('march.xyz', 'application/x-other'));
    }
}
