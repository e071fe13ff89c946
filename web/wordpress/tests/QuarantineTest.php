<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Quarantine;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use RuntimeException;
use Stage;

final class QuarantineTest extends TestCase
{
    private string $folder;

    protected function setUp(): void
    {
        Stage::clear();
        @mkdir(ABSPATH . 'wp-content/uploads', 0755, true);
        $this->folder = dirname(ABSPATH);
        (new Quarantine())->destroy();
        $_SERVER['DOCUMENT_ROOT'] = '';
    }

    public static function tearDownAfterClass(): void
    {
        (new Quarantine())->destroy();
        $root = rtrim(ABSPATH, '/');
        array_map('rmdir', ["$root/wp-content/uploads", "$root/wp-content", $root, dirname($root)]);
    }

    public function test_it_is_private_and_beside_the_site(): void
    {
        $quarantine = new Quarantine();
        $this->assertSame($this->folder . '/facecloak-quarantine', $quarantine->folder());
        $this->assertNull($quarantine->problem());
        $this->assertSame(0700, fileperms($quarantine->folder()) & 0777);
        // Where another site of the machine serves it
        $this->assertSame("Require all denied\n", file_get_contents($quarantine->folder() . '/.htaccess'));
        $this->assertFileExists($quarantine->folder() . '/index.html');
    }

    public function test_what_a_link_leads_to_is_kept_and_not_the_link(): void
    {
        $path = $this->folder . '/photo.jpg';
        file_put_contents($this->folder . '/elsewhere', 'an original');
        symlink($this->folder . '/elsewhere', $path);
        $quarantine = new Quarantine();
        $name = $quarantine->keep($path);
        $this->assertFalse(is_link($path) || is_link($quarantine->path($name)));
        $this->assertSame('an original', file_get_contents($quarantine->path($name)));
        unlink($this->folder . '/elsewhere');
    }

    public function test_a_folder_that_is_served_is_refused(): void
    {
        $_SERVER['DOCUMENT_ROOT'] = $this->folder;  // WordPress in a sub-folder of the site
        $quarantine = new Quarantine();
        $this->assertStringContainsString('could be fetched', (string) $quarantine->problem());
        $this->expectException(RuntimeException::class);
        $quarantine->temporary();
    }

    public function test_a_site_in_a_sub_folder_is_known_without_a_web_server(): void
    {
        Stage::$options['siteurl'] = 'https://example.org/htdocs';
        $this->assertStringContainsString('could be fetched', (string) (new Quarantine())->problem());
    }

    public function test_an_original_is_moved_in_and_only_its_owner_reads_it(): void
    {
        $path = $this->folder . '/photo.jpg';
        file_put_contents($path, 'an original');
        chmod($path, 0644);
        $quarantine = new Quarantine();
        $name = $quarantine->keep($path);
        $this->assertFileDoesNotExist($path);
        $this->assertMatchesRegularExpression('/^original-[0-9a-f]{12}-[0-9a-f]{32}$/', $name);
        $this->assertSame('an original', file_get_contents($quarantine->path($name)));
        $this->assertSame(0600, fileperms($quarantine->path($name)) & 0777);
        $quarantine->delete($name);
        $this->assertFalse($quarantine->has($name));
    }

    public function test_what_cannot_be_kept_stays_where_it_is_and_leaves_nothing(): void
    {
        $quarantine = new Quarantine();
        try {
            $quarantine->keep($this->folder . '/no-such-file');
            $this->fail('it was kept');
        } catch (RuntimeException $thrown) {
            $this->assertSame([], glob($quarantine->folder() . '/*-*'));
        }
    }

    /** @return array<int, array{string}> */
    public function wrong_names(): array
    {
        return [['../wp-config.php'], ['original-../x'], [''], ['original-' . str_repeat('a', 32)], ['/etc/passwd'],
            ['original-aaaaaaaaaaaa-' . str_repeat('g', 32)], ['original-aaaaaaaaaaaa-' . str_repeat('a', 32) . "\n"],
            ['original-aaaaaaaaaaaa-' . str_repeat('a', 32) . '/..']];
    }

    /** @dataProvider wrong_names */
    public function test_only_our_own_names_have_a_path(string $name): void
    {
        $this->assertFalse((new Quarantine())->has($name));
        $this->expectException(InvalidArgumentException::class);
        (new Quarantine())->path($name);
    }

    public function test_what_was_left_over_is_swept_and_what_is_known_stays(): void
    {
        $quarantine = new Quarantine();
        $new = $quarantine->temporary();
        file_put_contents($this->folder . '/a', 'a');
        $known = $quarantine->keep($this->folder . '/a');
        // The time of a change cannot be set back, so the sweep runs a day later
        $quarantine->sweep([$known]);
        $this->assertFileExists($new);
        $quarantine->destroy();
        $this->assertDirectoryDoesNotExist($quarantine->folder());
    }

    public function test_strangers_in_the_folder_are_left_alone(): void
    {
        $quarantine = new Quarantine();
        $quarantine->temporary();
        $other = $quarantine->folder() . '/original-aaaaaaaaaaaa-' . str_repeat('a', 32);  // of another site
        file_put_contents($other, 'x');
        $quarantine->sweep([]);
        $quarantine->destroy();
        $this->assertSame([$other], glob($quarantine->folder() . '/*-*'));
        $this->assertFileExists($quarantine->folder() . '/.htaccess');
        unlink($other);
    }
}
