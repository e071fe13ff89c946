<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Media;
use Facecloak\Placeholder;
use Facecloak\Unreachable;
use PHPUnit\Framework\TestCase;

final class PlaceholderTest extends TestCase
{
    /** @var string[] */
    private array $paths = [];

    protected function tearDown(): void
    {
        array_map('unlink', array_filter($this->paths, 'is_file'));
    }

    /** @return array<string, array{string, string, int, int}> */
    public function pictures(): array
    {
        return [
            'JPEG' => ['image/jpeg', 'imagejpeg', 640, 480], 'PNG' => ['image/png', 'imagepng', 300, 900],
            'WebP' => ['image/webp', 'imagewebp', 640, 480], 'tiny JPEG' => ['image/jpeg', 'imagejpeg', 1, 1],
            'tiny PNG' => ['image/png', 'imagepng', 3, 200], 'tiny WebP' => ['image/webp', 'imagewebp', 2, 2],
            '20 megapixels' => ['image/jpeg', 'imagejpeg', 5000, 4000],
        ];
    }

    /** @dataProvider pictures */
    public function test_it_has_the_format_and_the_size_and_nothing_of_the_picture(
        string $type,
        string $write,
        int $width,
        int $height
    ): void {
        $picture = imagecreatetruecolor($width, $height);
        imagefill($picture, 0, 0, (int) imagecolorallocate($picture, 250, 10, 10));
        $write($picture, $original = $this->path());
        $size = Placeholder::photo($original, $type, $made = $this->path());
        $again = $this->path();
        Placeholder::photo($original, $type, $again);
        $this->assertSame([$width, $height], $size);
        $found = (array) getimagesize($made);
        $this->assertSame([$width, $height, $type], [$found[0], $found[1], $found['mime']]);
        $this->assertNotSame(file_get_contents($made), file_get_contents($again), 'no two are the same');
        $seen = imagecreatefromstring((string) file_get_contents($made));
        $colour = imagecolorsforindex($seen, (int) imagecolorat($seen, 0, 0));
        $this->assertLessThan(8, abs($colour['red'] - $colour['green']));
    }

    public function test_it_stands_upright(): void
    {
        $picture = imagecreatetruecolor(60, 40);
        imagejpeg($picture, $original = $this->path());
        $exif = "Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0";
        $bytes = (string) file_get_contents($original);
        $bytes = substr($bytes, 0, 2) . "\xff\xe1" . pack('n', 2 + strlen($exif)) . $exif . substr($bytes, 2);
        file_put_contents($original, $bytes);
        $this->assertSame([40, 60], Placeholder::photo($original, 'image/jpeg', $this->path()));
    }

    public function test_formats_that_gd_does_not_write_are_told_about(): void
    {
        foreach (['image/heic', 'image/tiff', 'image/gif', 'image/bmp', 'text/plain', ''] as $type) {
            try {
                Placeholder::photo(__FILE__, $type, $this->path());
                $this->fail("$type was written");
            } catch (Unreachable $expected) {
                $this->assertStringContainsString('stand in', $expected->getMessage());
            }
        }
    }

    public function test_what_does_not_fit_into_memory_is_told_about(): void
    {
        // A header that promises 60,000 x 60,000 pixels
        $header = "\x89PNG\r\n\x1a\n" . pack('N', 13) . 'IHDR' . pack('NN', 60000, 60000) . "\x08\x02\0\0\0";
        file_put_contents($original = $this->path(), $header . pack('N', crc32(substr($header, 12))));
        $before = (string) ini_get('memory_limit');
        ini_set('memory_limit', '256M');
        try {
            $this->expectException(Unreachable::class);
            Placeholder::photo($original, 'image/png', $this->path());
        } finally {
            ini_set('memory_limit', $before);
        }
    }

    public function test_clips_are_bundled_and_no_two_are_the_same(): void
    {
        foreach (['video/mp4', 'video/webm'] as $type) {
            Placeholder::clip($type, $one = $this->path());
            Placeholder::clip($type, $other = $this->path());
            $this->assertSame($type, Media::content($one));
            $this->assertNotSame(file_get_contents($one), file_get_contents($other));
        }
    }

    private function path(): string
    {
        return $this->paths[] = (string) tempnam(sys_get_temp_dir(), 'fc');
    }
}
