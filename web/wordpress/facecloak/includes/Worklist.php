<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What waits for the desk, the longest waiting first.
 */
final class Worklist
{
    public const PER_PAGE = 20;
    /** Where somebody has to decide, then where something has to happen first. */
    private const OPEN = [Record::UNREVIEWED, Record::SUGGESTED, Record::UNCHECKED, Record::WAITING, Record::FAILED];

    private Records $records;

    public function __construct(Records $records)
    {
        $this->records = $records;
    }

    /** How many files somebody can decide about now. */
    public function count(): int
    {
        return $this->number($this->where([Record::UNREVIEWED]));
    }

    /** How many files are in the list. */
    public function count_all(): int
    {
        return $this->number($this->where(self::OPEN));
    }

    /**
     * @param int $page from 1.
     * @return Record[]
     */
    public function page(int $page): array
    {
        global $wpdb;
        return $this->records($wpdb->prepare(
            $this->where(self::OPEN) . ' ORDER BY FIELD(m.state, %s) DESC, m.id LIMIT %d OFFSET %d',
            Record::UNREVIEWED,
            self::PER_PAGE,
            self::PER_PAGE * (max(1, $page) - 1)
        ));
    }

    /** The file to decide about after this one; null where there is none. */
    public function after(Record $record): ?Record
    {
        global $wpdb;
        $rows = $this->records($wpdb->prepare(
            $this->where([Record::UNREVIEWED]) . ' AND m.id <> %d ORDER BY m.id > %d DESC, m.id LIMIT 1',
            $record->id,
            $record->id
        ));
        return $rows[0] ?? null;
    }

    private function number(string $where): int
    {
        global $wpdb;
        return (int) $wpdb->get_var('SELECT COUNT(*)' . $where);
    }

    /**
     * Of every attachment the newest record only, and none whose attachment is gone.
     *
     * @param string[] $states
     */
    private function where(array $states): string
    {
        global $wpdb;
        $table = $this->records->table();
        $places = implode(', ', array_fill(0, count($states), '%s'));
        return $wpdb->prepare(
            " FROM {$table} m JOIN {$wpdb->posts} p ON p.ID = m.attachment_id AND p.post_type = 'attachment'"
            . " AND p.post_status <> 'trash'"
            . " WHERE m.id = (SELECT MAX(n.id) FROM {$table} n WHERE n.attachment_id = m.attachment_id)"
            . " AND m.state IN ($places)",
            $states
        );
    }

    /** @return Record[] */
    private function records(string $rest): array
    {
        global $wpdb;
        return array_map([Record::class, 'of_row'], (array) $wpdb->get_results('SELECT m.*' . $rest, ARRAY_A));
    }
}
