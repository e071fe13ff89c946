<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The table of media.
 */
final class Records
{
    public function table(): string
    {
        global $wpdb;
        return $wpdb->prefix . 'facecloak_media';
    }

    public function install(): void
    {
        global $wpdb;
        require_once ABSPATH . 'wp-admin/includes/upgrade.php';
        $collate = $wpdb->get_charset_collate();
        // dbDelta reads this as text: two spaces after PRIMARY KEY, one column a line
        dbDelta("CREATE TABLE {$this->table()} (
            id bigint(20) unsigned NOT NULL AUTO_INCREMENT,
            attachment_id bigint(20) unsigned NOT NULL DEFAULT 0,
            kind varchar(10) NOT NULL DEFAULT 'photo',
            state varchar(12) NOT NULL DEFAULT 'unreviewed',
            in_sha256 char(64) NOT NULL DEFAULT '',
            out_sha256 char(64) NOT NULL DEFAULT '',
            original varchar(80) NOT NULL DEFAULT '',
            name varchar(255) NOT NULL DEFAULT '',
            mime varchar(100) NOT NULL DEFAULT '',
            faces longtext NULL,
            width int(10) unsigned NOT NULL DEFAULT 0,
            height int(10) unsigned NOT NULL DEFAULT 0,
            choices longtext NULL,
            verdict longtext NULL,
            job varchar(32) NOT NULL DEFAULT '',
            plan_job varchar(32) NOT NULL DEFAULT '',
            attempts int(10) unsigned NOT NULL DEFAULT 0,
            next_try datetime NULL,
            error text NOT NULL,
            reviewed_by bigint(20) unsigned NOT NULL DEFAULT 0,
            reviewed_at datetime NULL,
            reason text NOT NULL,
            created datetime NOT NULL,
            claim varchar(32) NOT NULL DEFAULT '',
            claimed_until datetime NULL,
            PRIMARY KEY  (id),
            KEY attachment_id (attachment_id),
            KEY out_sha256 (out_sha256),
            KEY state (state),
            KEY next_try (next_try)
        ) $collate;");
    }

    public function drop(): void
    {
        global $wpdb;
        $wpdb->query("DROP TABLE IF EXISTS {$this->table()}"); // phpcs:ignore
    }

    public function find(int $id): ?Record
    {
        return $this->one('id = %d', $id);
    }

    public function by_attachment(int $attachment_id): ?Record
    {
        return $attachment_id > 0 ? $this->one('attachment_id = %d', $attachment_id) : null;
    }

    /**
     * Of many attachments at once, the newest record of each.
     *
     * @param int[] $attachments
     * @return array<int, Record> by attachment
     */
    public function by_attachments(array $attachments): array
    {
        global $wpdb;
        $ids = array_filter(array_unique(array_map('intval', $attachments)));
        if ($ids === []) {
            return [];
        }
        $found = [];
        $marks = implode(', ', array_fill(0, count($ids), '%d'));
        $sql = "SELECT * FROM {$this->table()} WHERE attachment_id IN ($marks) ORDER BY id";
        foreach ($this->many($wpdb->prepare($sql, $ids)) as $record) { // phpcs:ignore -- $marks are placeholders
            $found[$record->attachment_id] = $record;
        }
        return $found;
    }

    /**
     * The newest record whose bytes in uploads have this hash: every copy of the same photo has a record of its own.
     */
    public function by_out_sha256(string $sha256): ?Record
    {
        return $sha256 !== '' ? $this->one('out_sha256 = %s', $sha256) : null;
    }

    /**
     * Records whose bytes in uploads have this hash: first those that no attachment has taken yet, newest first.
     *
     * @return Record[]
     */
    public function all_by_out_sha256(string $sha256): array
    {
        global $wpdb;
        return $this->many($wpdb->prepare(
            "SELECT * FROM {$this->table()} WHERE out_sha256 = %s AND out_sha256 <> ''"
            . ' ORDER BY attachment_id > 0, id DESC LIMIT 50',
            $sha256
        ));
    }

    /**
     * Writes the record and gives it its id.
     *
     * @throws \RuntimeException where the database takes it not: then nothing may go on as if it had.
     */
    public function save(Record $record): Record
    {
        global $wpdb;
        if ($record->created === '') {
            $record->created = gmdate('Y-m-d H:i:s');
        }
        $row = $record->row();
        if ($record->id === 0) {
            $is_written = $wpdb->insert($this->table(), $row) === 1;
            $record->id = (int) $wpdb->insert_id;
        } else {
            $is_written = $wpdb->update($this->table(), $row, ['id' => $record->id]) !== false;
        }
        if (!$is_written || $record->id === 0) {
            throw new \RuntimeException('The record of the file could not be written to the database.');
        }
        return $record;
    }

    public function delete(Record $record): void
    {
        global $wpdb;
        $wpdb->delete($this->table(), ['id' => $record->id]);
    }

    /**
     * Records whose background work is due, the longest waiting first.
     *
     * @return Record[]
     */
    public function due(int $limit): array
    {
        global $wpdb;
        return $this->many($wpdb->prepare(
            "SELECT * FROM {$this->table()} WHERE attachment_id > 0 AND next_try IS NOT NULL"
            . ' AND next_try <= %s ORDER BY next_try, id LIMIT %d',
            gmdate('Y-m-d H:i:s'),
            $limit
        ));
    }

    /**
     * Takes one due record for a worker, for so many seconds: two workers never get the same one.
     */
    public function claim(int $seconds): ?Record
    {
        global $wpdb;
        $claim = bin2hex(random_bytes(16));
        $now = gmdate('Y-m-d H:i:s');
        $wpdb->query($wpdb->prepare(
            "UPDATE {$this->table()} SET claim = %s, claimed_until = %s WHERE attachment_id > 0 AND next_try <= %s"
            . " AND (claimed_until IS NULL OR claimed_until < %s) ORDER BY kind = 'clip', next_try, id LIMIT 1",
            $claim,
            gmdate('Y-m-d H:i:s', time() + $seconds),
            $now,
            $now
        ));
        return $this->one('claim = %s', $claim);
    }

    public function release(Record $record): void
    {
        global $wpdb;
        $wpdb->update($this->table(), ['claim' => '', 'claimed_until' => null], ['id' => $record->id]);
    }

    /**
     * Records with an original in the quarantine that were reviewed before this moment (UTC).
     *
     * @return Record[]
     */
    public function reviewed_before(string $moment, int $limit): array
    {
        global $wpdb;
        return $this->many($wpdb->prepare(
            "SELECT * FROM {$this->table()} WHERE state = 'reviewed' AND original <> '' AND reviewed_at <= %s"
            . ' ORDER BY reviewed_at LIMIT %d',
            $moment,
            $limit
        ));
    }

    /**
     * Names of all originals in the quarantine that a record knows; null where the database does not say.
     *
     * @return string[]|null
     */
    public function originals(): ?array
    {
        global $wpdb;
        $names = $wpdb->get_col("SELECT original FROM {$this->table()} WHERE original <> ''");
        return $wpdb->last_error === '' && is_array($names) ? array_map('strval', $names) : null;
    }

    /**
     * Records that no attachment has taken since this moment (UTC): WordPress refused the upload after us.
     *
     * @return Record[]
     */
    public function unjoined_before(string $moment, int $limit): array
    {
        global $wpdb;
        return $this->many($wpdb->prepare(
            "SELECT * FROM {$this->table()} WHERE attachment_id = 0 AND created <= %s ORDER BY id LIMIT %d",
            $moment,
            $limit
        ));
    }

    /**
     * @return array<string, int> every state, 0 included
     */
    public function count_by_state(): array
    {
        global $wpdb;
        $counts = array_fill_keys(Record::STATES, 0);
        $rows = $wpdb->get_results(
            "SELECT state, COUNT(*) AS number FROM {$this->table()} WHERE attachment_id > 0 GROUP BY state",
            ARRAY_A
        );
        foreach ((array) $rows as $row) {
            $counts[$row['state']] = (int) $row['number'];
        }
        return $counts;
    }

    /**
     * @param int|string $value
     */
    private function one(string $where, $value): ?Record
    {
        global $wpdb;
        // $where is one of the constants above, with its placeholder
        $sql = $wpdb->prepare("SELECT * FROM {$this->table()} WHERE $where ORDER BY id DESC LIMIT 1", $value);
        $row = $wpdb->get_row($sql, ARRAY_A);
        return is_array($row) ? Record::of_row($row) : null;
    }

    /**
     * @return Record[]
     */
    private function many(string $sql): array
    {
        global $wpdb;
        return array_map([Record::class, 'of_row'], (array) $wpdb->get_results($sql, ARRAY_A));
    }
}
