<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Who did what to which file, and when. Never pictures, never tokens. Rows are only ever added.
 */
final class Log
{
    public const PER_PAGE = 50;
    private const BATCH = 500;

    public function table(): string
    {
        global $wpdb;
        return $wpdb->prefix . 'facecloak_log';
    }

    public function install(): void
    {
        global $wpdb;
        require_once ABSPATH . 'wp-admin/includes/upgrade.php';
        $collate = $wpdb->get_charset_collate();
        dbDelta("CREATE TABLE {$this->table()} (
            id bigint(20) unsigned NOT NULL AUTO_INCREMENT,
            time datetime NOT NULL,
            user_id bigint(20) unsigned NOT NULL DEFAULT 0,
            action varchar(40) NOT NULL DEFAULT '',
            attachment_id bigint(20) unsigned NOT NULL DEFAULT 0,
            detail longtext NOT NULL,
            PRIMARY KEY  (id),
            KEY attachment_id (attachment_id),
            KEY action (action),
            KEY time (time)
        ) $collate;");
    }

    public function drop(): void
    {
        global $wpdb;
        $wpdb->query("DROP TABLE IF EXISTS {$this->table()}"); // phpcs:ignore
    }

    /**
     * @param array<string, mixed> $detail what JSON can hold
     */
    public function add(string $action, int $attachment_id, array $detail = []): void
    {
        global $wpdb;
        $wpdb->insert($this->table(), [
            'time' => gmdate('Y-m-d H:i:s'),
            'user_id' => get_current_user_id(),
            'action' => substr($action, 0, 40),
            'attachment_id' => $attachment_id,
            'detail' => (string) wp_json_encode($detail),
        ]);
    }

    /**
     * Newest first, PER_PAGE to a page.
     *
     * @param array{action?: string, attachment_id?: int, user_id?: int} $filter
     * @param int $page from 1
     * @return array<int, array{id: int, time: string, user_id: int, action: string, attachment_id: int, detail: array}>
     */
    public function rows(array $filter = [], int $page = 1): array
    {
        global $wpdb;
        $part = $wpdb->prepare(' LIMIT %d OFFSET %d', self::PER_PAGE, (max(1, $page) - 1) * self::PER_PAGE);
        return $this->found($this->where($filter), $part);
    }

    /**
     * Newest first, all of them, of which no more than some are in memory.
     *
     * @param array{action?: string, attachment_id?: int, user_id?: int} $filter
     * @return iterable<array{id: int, time: string, user_id: int, action: string, attachment_id: int, detail: array}>
     */
    public function all(array $filter = []): iterable
    {
        global $wpdb;
        for ($before = PHP_INT_MAX; $before > 0; $before = count($rows) < self::BATCH ? 0 : end($rows)['id']) {
            $where = $this->where($filter);
            $where .= $wpdb->prepare(($where === '' ? ' WHERE' : ' AND') . ' id < %d', $before);
            $rows = $this->found($where, $wpdb->prepare(' LIMIT %d', self::BATCH));
            yield from array_values($rows);
        }
    }

    /**
     * @return array<int, array{id: int, time: string, user_id: int, action: string, attachment_id: int, detail: array}>
     */
    private function found(string $where, string $part): array
    {
        global $wpdb;
        $sql = "SELECT * FROM {$this->table()}{$where} ORDER BY id DESC{$part}";
        return array_map(
            static function (array $row): array {
                $detail = json_decode($row['detail'], true);
                return [
                    'id' => (int) $row['id'],
                    'time' => $row['time'],
                    'user_id' => (int) $row['user_id'],
                    'action' => $row['action'],
                    'attachment_id' => (int) $row['attachment_id'],
                    'detail' => is_array($detail) ? $detail : [],
                ];
            },
            (array) $wpdb->get_results($sql, ARRAY_A)
        );
    }

    /**
     * @param array{action?: string, attachment_id?: int, user_id?: int} $filter
     */
    public function count(array $filter = []): int
    {
        global $wpdb;
        return (int) $wpdb->get_var("SELECT COUNT(*) FROM {$this->table()}" . $this->where($filter));
    }

    /**
     * @param array{action?: string, attachment_id?: int, user_id?: int} $filter
     */
    private function where(array $filter): string
    {
        global $wpdb;
        $parts = [];
        if (($filter['action'] ?? '') !== '') {
            $parts[] = $wpdb->prepare('action = %s', (string) $filter['action']);
        }
        if (($filter['attachment_id'] ?? 0) > 0) {
            $parts[] = $wpdb->prepare('attachment_id = %d', (int) $filter['attachment_id']);
        }
        if (isset($filter['user_id'])) {
            $parts[] = $wpdb->prepare('user_id = %d', (int) $filter['user_id']);
        }
        return $parts === [] ? '' : ' WHERE ' . implode(' AND ', $parts);
    }
}
