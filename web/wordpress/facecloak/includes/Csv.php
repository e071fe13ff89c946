<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Tables that people take along, as a file for their spreadsheet. What others wrote is in them: titles, names, reasons.
 */
final class Csv
{
    /**
     * What a spreadsheet takes for a formula, where a cell begins: also after what parts cells where commas are decimal.
     */
    private const FORMULA = '/(^|[;\t\r\n])(?=\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])/u';

    /**
     * Sends it and ends the request.
     *
     * @param string $name of the file, without the date and the ending
     * @param string[] $heads
     * @param iterable<array<int, string|int>> $rows
     */
    public static function send(string $name, array $heads, iterable $rows): void
    {
        if (function_exists('set_time_limit')) {
            @set_time_limit(0);
        }
        nocache_headers();
        header('Content-Type: text/csv; charset=utf-8');
        header('Content-Disposition: attachment; filename="' . $name . '-' . gmdate('Y-m-d') . '.csv"');
        header('X-Content-Type-Options: nosniff');
        $to = fopen('php://output', 'w');
        fputcsv($to, $heads, ',', '"', '');
        foreach ($rows as $row) {
            fputcsv($to, array_map([self::class, 'cell'], $row), ',', '"', '');
        }
        fclose($to);
        exit;
    }

    /**
     * @param string|int $value
     */
    public static function cell($value): string
    {
        if (is_int($value)) {
            return (string) $value;
        }
        $value = wp_check_invalid_utf8($value, true);
        return Pattern::replace(self::FORMULA, static function (array $match): string {
            return $match[1] . "'";
        }, $value);
    }

    /** Titles come with entities, for pages. */
    public static function title(int $post): string
    {
        return html_entity_decode(get_the_title($post), ENT_QUOTES, 'UTF-8');
    }
}
