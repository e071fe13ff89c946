<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Pattern;
use PHPUnit\Framework\TestCase;

final class PatternTest extends TestCase
{
    public function testFindsWhatIsThere(): void
    {
        self::assertTrue(Pattern::has('/a/', 'bab'));
        self::assertFalse(Pattern::has('/c/', 'bab'));
        self::assertSame([['1'], ['22']], Pattern::all('/\d+/', 'a1b22'));
        self::assertSame(['a', 'b'], Pattern::split('/,+/', ',a,,b,'));
        $doubled = Pattern::replace('/\d/', static function (array $match): string {
            return $match[0] . $match[0];
        }, 'a1');
        self::assertSame('a11', $doubled);
    }

    /**
     * PHP answers false or null, which would read like "nothing found".
     *
     * @dataProvider uses
     */
    public function testWhatCannotBeSearchedIsAnError(callable $use): void
    {
        $limit = ini_set('pcre.backtrack_limit', '10');
        $jit = ini_set('pcre.jit', '0');
        try {
            $this->expectException(\RuntimeException::class);
            $use('/^(?:a+)+$/', str_repeat('a', 500) . 'b');
        } finally {
            ini_set('pcre.backtrack_limit', (string) $limit);
            ini_set('pcre.jit', (string) $jit);
        }
    }

    /** @return array<string, array<int, callable>> */
    public function uses(): array
    {
        return [
            'has' => [[Pattern::class, 'has']],
            'all' => [[Pattern::class, 'all']],
            'split' => [[Pattern::class, 'split']],
            'replace' => [static function (string $pattern, string $text): void {
                Pattern::replace($pattern, 'strval', $text);
            }],
        ];
    }
}
