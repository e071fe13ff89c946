<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Looks after facecloak from the command line.
 */
final class Cli
{
    private const STEP_S = 30.0;

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        if (defined('WP_CLI') && constant('WP_CLI')) {
            \WP_CLI::add_command('facecloak', $this);
        }
    }

    /**
     * Says what is set, whether the service answers, and how many files are in which state.
     *
     * Ends with an error where uploads could not be kept safe now.
     *
     * @param string[] $words
     * @param array<string, string> $options
     */
    public function status(array $words = [], array $options = []): void
    {
        $settings = $this->plugin->settings;
        \WP_CLI::line('policy: ' . $settings->policy());
        \WP_CLI::line('service: ' . ($settings->address() === '' ? '(not set)' : $settings->address()));
        \WP_CLI::line('token: ' . ($settings->token() === '' ? '(not set)' : '(set)'));
        foreach ($this->plugin->records->count_by_state() as $state => $count) {
            \WP_CLI::line($state . ': ' . $count);
        }
        $problems = array_filter([(string) $this->plugin->quarantine->problem(), $this->service_problem()]);
        foreach ($problems as $problem) {
            \WP_CLI::warning($problem);
        }
        if ($problems !== [] && $settings->policy() !== 'off') {
            \WP_CLI::error(__('Uploads cannot be looked at now.', 'facecloak'));
        }
        \WP_CLI::success(__('Ready.', 'facecloak'));
    }

    /**
     * Looks through the whole library for positions, thumbnails, serial numbers and clear faces. No file is changed.
     *
     * @param string[] $words
     * @param array<string, string> $options
     */
    public function scan(array $words = [], array $options = []): void
    {
        $scan = $this->plugin->scan;
        $scan->start();
        do {
            $before = $scan->state()['done'];
            $state = $scan->step(self::STEP_S);
            \WP_CLI::line(sprintf('%d of %d', $state['done'], $state['total']));
            if ($state['problem'] !== '' || ($state['state'] === Scan::RUNNING && $state['done'] === $before)) {
                $why = $state['problem'] === '' ? __('Another scan is at work.', 'facecloak') : $state['problem'];
                \WP_CLI::error($why . ' ' . __('The rest was not looked at.', 'facecloak'));
            }
        } while ($state['state'] === Scan::RUNNING);
        for ($before = PHP_INT_MAX; $rows = $scan->findings($before, 100); $before = end($rows)['id']) {
            foreach ($rows as $row) {
                \WP_CLI::line(sprintf(
                    '%d  %s  faces: %s  %s%s',
                    $row['id'],
                    (string) wp_get_attachment_url($row['id']),
                    $row['faces'] === null ? '-' : (string) $row['faces'],
                    implode(', ', array_keys($row['tells'])),
                    $row['error'] === '' ? '' : '  ' . $row['error']
                ));
            }
        }
        \WP_CLI::success(sprintf(
            /* translators: 1: number of files, 2: number of files with something found */
            __('%1$d looked at, %2$d listed. Detection misses faces.', 'facecloak'),
            $state['done'],
            $state['found']
        ));
    }

    /**
     * Has files treated again that wait for the service, or that it refused.
     *
     * ## OPTIONS
     *
     * [<id>...]
     * : Attachments; all that wait, where none is named.
     *
     * @param string[] $words
     * @param array<string, string> $options
     */
    public function retry(array $words = [], array $options = []): void
    {
        global $wpdb;
        $table = $this->plugin->records->table();
        $ids = $words !== [] ? array_map('intval', $words) : array_map('intval', (array) $wpdb->get_col(
            $wpdb->prepare("SELECT attachment_id FROM $table WHERE state = %s", Record::WAITING) // phpcs:ignore
        ));
        $refused = 0;
        foreach ($ids as $id) {
            try {
                $record = $this->plugin->records->by_attachment($id);
                if ($record === null) {
                    throw new Refused(__('facecloak has not looked at it.', 'facecloak'));
                }
                $this->plugin->queue->retry($record);
            } catch (Refused $error) {
                $refused++;
                \WP_CLI::warning($id . ': ' . $error->getMessage());
            }
        }
        $this->plugin->queue->work();
        foreach ($ids as $id) {
            $record = $this->plugin->records->by_attachment($id);
            $state = $record === null ? '-' : trim($record->state . '  ' . $record->error);
            \WP_CLI::line($id . '  ' . $state);
        }
        if ($refused > 0) {
            \WP_CLI::error(sprintf(
                /* translators: %d: number of files */
                _n('%d file was not treated.', '%d files were not treated.', $refused, 'facecloak'),
                $refused
            ));
        }
        \WP_CLI::success(__('Done.', 'facecloak'));
    }

    /**
     * Deletes the originals whose time is over, as the daily job does.
     *
     * @param string[] $words
     * @param array<string, string> $options
     */
    public function retention(array $words = [], array $options = []): void
    {
        $this->plugin->queue->retain();
        \WP_CLI::success(__('Originals past their time are deleted.', 'facecloak'));
    }

    /**
     * Lists who did what, newest first, as JSON lines.
     *
     * ## OPTIONS
     *
     * [--action=<action>]
     * : Only this kind of event.
     *
     * [--id=<id>]
     * : Only about this attachment.
     *
     * [--page=<page>]
     * : From 1.
     *
     * @param string[] $words
     * @param array<string, string> $options
     */
    public function log(array $words = [], array $options = []): void
    {
        $filter = array_filter(
            ['action' => $options['action'] ?? '', 'attachment_id' => (int) ($options['id'] ?? 0)]
        );
        foreach ($this->plugin->log->rows($filter, max(1, (int) ($options['page'] ?? 1))) as $row) {
            \WP_CLI::line((string) wp_json_encode($row, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
        }
    }

    private function service_problem(): string
    {
        try {
            $this->plugin->client->limits();
            return '';
        } catch (Unreachable | Rejected $error) {
            return $error->getMessage();
        }
    }
}
