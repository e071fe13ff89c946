<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Whether the service that is set answers, knows the token, and does the work; and whether that was tried.
 */
final class Connection
{
    /** What the last successful test was of. No address and no token can be read from it. */
    public const OPTION = 'facecloak_connection';
    private const NEEDED = ['detect', 'protect', 'video-plan', 'video'];
    /** A grey JPEG of 64 x 64 pixels: what the service must be able to look at. */
    private const GREY = '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQ'
        . 'WnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/wAALCABAAEABAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAA'
        . 'AAAAAAAAAAAAAAD/2gAIAQEAAD8AAAAAAAAAAAAAAAAAAAAAAP/Z';

    private Plugin $plugin;

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    /**
     * Asks the service as it is set now.
     *
     * @return array{ok: bool, words: string}
     */
    public function test(): array
    {
        $settings = $this->plugin->settings;
        if ($settings->address() === '' || $settings->token() === '') {
            return $this->failed(__('Address and token must be saved first. Nothing was sent.', 'facecloak'));
        }
        try {
            $health = $this->plugin->client->health();
            $kinds = (array) ($this->plugin->client->limits()['kinds'] ?? []);
            $missing = array_diff(self::NEEDED, array_keys($kinds));
            if ($missing !== []) {
                /* translators: %s: names of kinds of jobs */
                $words = __('The service answers, but does not know these jobs: %s. It may be too old.', 'facecloak');
                return $this->failed(sprintf($words, implode(', ', $missing)));
            }
            $this->look_at_a_picture();
        } catch (Rejected $error) {
            /* translators: %s: what the service said */
            $words = __('The service answers, but would not look at a picture: %s', 'facecloak');
            return $this->failed(sprintf($words, $error->getMessage()));
        } catch (\Throwable $error) {
            /* translators: %s: error message */
            return $this->failed(sprintf(__('The connection does not work: %s', 'facecloak'), $error->getMessage()));
        }
        update_option(self::OPTION, ['of' => $this->fingerprint(), 'time' => time()], false);
        $this->plugin->log->add('connection tested', 0, ['ok' => true]);
        return ['ok' => true, 'words' => sprintf(
            /* translators: %s: version of the service */
            __('The service (facecloak %s) answers, knows the token and looked at a picture.', 'facecloak'),
            sanitize_text_field((string) ($health['version'] ?? '?'))
        )];
    }

    /** Whether the last test was of what is set now, and went well. */
    public function is_tested(): bool
    {
        $known = get_option(self::OPTION);
        $settings = $this->plugin->settings;
        return is_array($known) && $settings->address() !== '' && $settings->token() !== ''
            && hash_equals((string) ($known['of'] ?? ''), $this->fingerprint());
    }

    /**
     * Why the policies that cover faces cannot be chosen; null where they can.
     */
    public function why_not_active(): ?string
    {
        $problem = $this->plugin->quarantine->problem();
        if ($problem !== null) {
            return $problem;
        }
        return $this->is_tested() ? null : __(
            'The connection to the service, as it is set now, has not been tested yet.',
            'facecloak'
        );
    }

    private function look_at_a_picture(): void
    {
        $file = $this->plugin->quarantine->temporary();
        $made = $this->plugin->quarantine->temporary();
        try {
            file_put_contents($file, base64_decode(self::GREY));
            $this->plugin->client->protect($file, 'test.jpg', ['default' => Settings::COVERS[0]], $made);
        } finally {
            array_map('unlink', array_filter([$file, $made], 'is_file'));
        }
    }

    /**
     * @return array{ok: bool, words: string}
     */
    private function failed(string $words): array
    {
        delete_option(self::OPTION);
        $this->plugin->log->add('connection tested', 0, ['ok' => false]);
        return ['ok' => false, 'words' => $words];
    }

    private function fingerprint(): string
    {
        $settings = $this->plugin->settings;
        return hash_hmac('sha256', $settings->address() . "\n" . $settings->token(), wp_salt('auth'));
    }
}
