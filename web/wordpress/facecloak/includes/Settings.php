<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What the administrator has set. Constants of wp-config.php win over what is in the database.
 */
final class Settings
{
    public const OPTION = 'facecloak_settings';
    public const TOKEN = 'facecloak_token';
    public const VERSION = 'facecloak_version';

    public const POLICIES = ['off', 'suggest', 'require', 'enforce'];
    public const COVERS = ['redact solid', 'redact mosaic', 'redact blur', 'redact ring'];
    public const CLOAK = 'cloak balanced';

    private const LONGEST_TIMEOUT_S = 600;
    private const LONGEST_RETENTION_DAYS = 3650;

    /**
     * Scheme, host and port of the service, without a slash at the end; '' where none is set or it is not allowed.
     */
    public function address(): string
    {
        if (defined('FACECLOAK_SERVICE')) {
            return self::address_or_nothing((string) constant('FACECLOAK_SERVICE'));
        }
        return self::address_or_nothing((string) $this->all()['address']);
    }

    public function token(): string
    {
        if (defined('FACECLOAK_TOKEN')) {
            return self::token_or_nothing((string) constant('FACECLOAK_TOKEN'));
        }
        // In an array, because WordPress shows options that are texts on a page of its own (options.php)
        $stored = get_option(self::TOKEN, '');
        return self::token_or_nothing((string) (is_array($stored) ? ($stored['token'] ?? '') : $stored));
    }

    public function policy(): string
    {
        $policy = $this->all()['policy'];
        // A policy nobody knows was not chosen by anybody; the strictest does no harm to the people in the pictures.
        return in_array($policy, self::POLICIES, true) ? $policy : 'enforce';
    }

    public function is_active(): bool
    {
        return in_array($this->policy(), ['require', 'enforce'], true);
    }

    public function default_treatment(): string
    {
        $treatment = $this->all()['default_treatment'];
        if ($treatment === self::CLOAK && $this->allows_cloaking()) {
            return self::CLOAK;
        }
        return in_array($treatment, self::COVERS, true) ? $treatment : self::COVERS[0];
    }

    public function allows_cloaking(): bool
    {
        return $this->all()['allow_cloaking'] === true;
    }

    /** @return string 'strip' or 'credit' */
    public function metadata(): string
    {
        return $this->all()['metadata'] === 'credit' ? 'credit' : 'strip';
    }

    /** @return string 'refuse' or 'allow' */
    public function documents(): string
    {
        return $this->all()['documents'] === 'allow' ? 'allow' : 'refuse';
    }

    public function retention_days(): int
    {
        return (int) $this->all()['retention_days'];
    }

    public function disclosure(): string
    {
        return (string) $this->all()['disclosure'];
    }

    public function no_face_needs_review(): bool
    {
        return $this->all()['no_face_needs_review'] !== false;
    }

    /** How long a request of a person waits for the service. */
    public function timeout_s(): int
    {
        return (int) $this->all()['timeout_s'];
    }

    /**
     * @return array<string, mixed>
     */
    public static function defaults(): array
    {
        return [
            'address' => '',
            'policy' => 'off',
            'default_treatment' => self::COVERS[0],
            'allow_cloaking' => false,
            'metadata' => 'strip',
            'documents' => 'refuse',
            'retention_days' => 7,
            'disclosure' => __('Faces in this picture were altered to protect people.', 'facecloak'),
            'no_face_needs_review' => true,
            'timeout_s' => 45,
        ];
    }

    /**
     * Keeps what is allowed; anything else falls back to what is in the database, or to the default.
     *
     * @param array<string, mixed> $input as a form sends it
     * @return array<string, mixed>
     */
    public static function sanitise(array $input): array
    {
        $old = (new self())->all();
        $texts = [];
        foreach ($input as $name => $value) {
            $texts[$name] = is_scalar($value) ? trim((string) $value) : '';
        }
        $clean = $old;
        $address = $texts['address'] ?? null;
        if ($address !== null && ($address === '' || self::address_problem($address) === null)) {
            $clean['address'] = rtrim($address, '/');
        }
        $allowed = [
            'policy' => self::POLICIES,
            'default_treatment' => array_merge(self::COVERS, [self::CLOAK]),
            'metadata' => ['strip', 'credit'],
            'documents' => ['refuse', 'allow'],
        ];
        foreach ($allowed as $name => $values) {
            if (in_array($texts[$name] ?? null, $values, true)) {
                $clean[$name] = $texts[$name];
            }
        }
        foreach (['allow_cloaking', 'no_face_needs_review'] as $name) {
            if (array_key_exists($name, $texts)) {
                $clean[$name] = in_array($texts[$name], ['1', 'true', 'on', 'yes'], true);
            }
        }
        if (preg_match('/^\d{1,5}$/', $texts['retention_days'] ?? '') === 1) {
            $clean['retention_days'] = min((int) $texts['retention_days'], self::LONGEST_RETENTION_DAYS);
        }
        if (preg_match('/^\d{1,4}$/', $texts['timeout_s'] ?? '') === 1) {
            $clean['timeout_s'] = max(5, min((int) $texts['timeout_s'], self::LONGEST_TIMEOUT_S));
        }
        if (isset($texts['disclosure'])) {
            $clean['disclosure'] = sanitize_text_field($texts['disclosure']);
        }
        if (!$clean['allow_cloaking'] && $clean['default_treatment'] === self::CLOAK) {
            $clean['default_treatment'] = self::COVERS[0];
        }
        return $clean;
    }

    /**
     * Why the service cannot be at this address, in words for the administrator; null where it can.
     */
    public static function address_problem(string $address): ?string
    {
        if (preg_match('/[\x00-\x20\x7f-\xff\\\\]/', $address) === 1) {
            return __('The address contains characters that addresses do not have.', 'facecloak');
        }
        $parts = parse_url($address);
        $host = is_array($parts) ? strtolower($parts['host'] ?? '') : '';
        $scheme = is_array($parts) ? strtolower($parts['scheme'] ?? '') : '';
        if ($host === '' || !in_array($scheme, ['http', 'https'], true)) {
            return __(
                'The address must begin with https:// (or http:// on this very machine) and name a host.',
                'facecloak'
            );
        }
        if (preg_match('/^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])$/', $host) !== 1) {
            return __('The address does not name a host.', 'facecloak');
        }
        if (isset($parts['user']) || isset($parts['pass']) || isset($parts['query']) || isset($parts['fragment'])) {
            return __('The address must hold neither a user, nor a query, nor a fragment.', 'facecloak');
        }
        if (preg_match('#^(?:/[A-Za-z0-9._~-]+)*/?$#', $parts['path'] ?? '') !== 1) {
            return __('The path of the address is not understood.', 'facecloak');
        }
        if ($scheme === 'http' && !self::is_loopback($host)) {
            return __('Without https, photos and the token would cross the network readable by anybody.', 'facecloak');
        }
        return null;
    }

    public static function is_loopback(string $host): bool
    {
        $host = strtolower($host);
        if ($host === 'localhost' || $host === '[::1]') {
            return true;
        }
        return filter_var($host, FILTER_VALIDATE_IP, FILTER_FLAG_IPV4) !== false && strpos($host, '127.') === 0;
    }

    private static function address_or_nothing(string $address): string
    {
        return self::address_problem($address) === null ? rtrim($address, '/') : '';
    }

    /** A token with a line break in it could add headers of its own to a request. */
    private static function token_or_nothing(string $token): string
    {
        return preg_match('/^[\x21-\x7e]{1,500}$/', $token) === 1 ? $token : '';
    }

    /**
     * @return array<string, mixed>
     */
    private function all(): array
    {
        $stored = get_option(self::OPTION, []);
        // Damaged: nobody knows what was chosen, see policy()
        return array_merge(self::defaults(), is_array($stored) ? $stored : ['policy' => '']);
    }
}
