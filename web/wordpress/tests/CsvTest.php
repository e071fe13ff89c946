<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Csv;
use PHPUnit\Framework\TestCase;

final class CsvTest extends TestCase
{
    /**
     * @dataProvider formulas
     */
    public function testNoCellIsAFormula(string $given, string $expected): void
    {
        self::assertSame($expected, Csv::cell($given));
    }

    /**
     * @return array<int, array{0: string, 1: string}>
     */
    public function formulas(): array
    {
        return [
            ['=cmd()', "'=cmd()"], ['+1', "'+1"], ['-1', "'-1"], ['@sum', "'@sum"], ["\t=cmd()", "'\t'=cmd()"],
            [' =cmd()', "' =cmd()"], ["\n=cmd()", "'\n'=cmd()"], ['＝cmd()', "'＝cmd()"],
            // Where commas are decimal, semicolons part cells
            ['march;=cmd()', "march;'=cmd()"], ["march\r\n=cmd()", "march\r'\n'=cmd()"],
        ];
    }

    public function testWhatIsNoFormulaStaysAsItIs(): void
    {
        foreach (['march', 'a = b', '2026-01-01 00:00:00', '{"reason":"1-2"}', '', 'a, -1'] as $value) {
            self::assertSame($value, Csv::cell($value));
        }
        self::assertSame('-5', Csv::cell(-5));
    }
}
