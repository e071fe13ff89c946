<?php

/** Small stand-ins for the functions of WordPress that the units under test call; what they say can be set. */

declare(strict_types=1);

// Names are those of WordPress
// phpcs:disable PSR1.Classes.ClassDeclaration, Squiz.Classes.ValidClassName

define('ABSPATH', sys_get_temp_dir() . '/facecloak-units-' . getmypid() . '/htdocs/');
define('WP_CONTENT_DIR', ABSPATH . 'wp-content');
define('FACECLOAK_VERSION', 'test');
define('FACECLOAK_FILE', dirname(__DIR__) . '/facecloak/facecloak.php');
define('DAY_IN_SECONDS', 86400);
define('HOUR_IN_SECONDS', 3600);
define('ARRAY_A', 'ARRAY_A');

spl_autoload_register(static function (string $class): void {
    $file = dirname(__DIR__) . '/facecloak/includes/' . str_replace('Facecloak\\', '', $class) . '.php';
    if (strpos($class, 'Facecloak\\') === 0 && is_file($file)) {
        require_once $file;
    }
});

/** What a test has set, and what was done. */
final class Stage
{
    /** @var array<string, mixed> */
    public static array $options = [];
    /** @var array<int, callable> what answers requests: the first until one is left */
    public static array $answers = [];
    /** @var array<int, array{string, array<string, mixed>}> */
    public static array $requests = [];
    /** @var array<string, array<int, callable>> */
    public static array $hooks = [];

    public static function clear(): void
    {
        self::$options = self::$answers = self::$requests = self::$hooks = [];
    }
}

final class WP_Error
{
    private string $words;

    public function __construct(string $code, string $words)
    {
        $this->words = $words;
    }

    public function get_error_message(): string
    {
        return $this->words;
    }
}

function __(string $text, string $domain = ''): string
{
    return $text;
}

function _n(string $one, string $many, int $count, string $domain = ''): string
{
    return $count === 1 ? $one : $many;
}

/**
 * @param mixed $default
 * @return mixed
 */
function get_option(string $name, $default = false)
{
    return Stage::$options[$name] ?? $default;
}

function sanitize_text_field(string $text): string
{
    return trim(strip_tags($text));
}

/**
 * @param mixed $value
 * @return string|false
 */
function wp_json_encode($value)
{
    return json_encode($value);
}

function wp_check_invalid_utf8(string $text): string
{
    return preg_match('//u', $text) === 1 ? $text : '';
}

/** @return array<string, string> */
function wp_get_mime_types(): array
{
    return [
        'jpg|jpeg|jpe' => 'image/jpeg', 'gif' => 'image/gif', 'png' => 'image/png', 'bmp' => 'image/bmp',
        'tiff|tif' => 'image/tiff', 'webp' => 'image/webp', 'heic' => 'image/heic', 'mp4|m4v' => 'video/mp4',
        'mov|qt' => 'video/quicktime', 'webm' => 'video/webm', 'txt|asc' => 'text/plain', 'pdf' => 'application/pdf',
        'm4a|m4b' => 'audio/mpeg', 'ogg|oga' => 'audio/ogg', 'zip' => 'application/zip', 'mka' => 'audio/x-matroska',
    ];
}

/**
 * @param array<string, string> $mimes
 * @return array{ext: string|false, type: string|false}
 */
function wp_check_filetype(string $name, array $mimes): array
{
    foreach ($mimes as $endings => $type) {
        if (preg_match('/\.(' . $endings . ')$/i', $name, $found) === 1) {
            return ['ext' => $found[1], 'type' => $type];
        }
    }
    return ['ext' => false, 'type' => false];
}

/** @return array<string, string> */
function wp_upload_dir(?string $time = null, bool $create = true): array
{
    return ['basedir' => ABSPATH . 'wp-content/uploads'];
}

function remove_accents(string $text): string
{
    return $text;
}

function wp_raise_memory_limit(string $context): void
{
}

function wp_convert_hr_to_bytes(string $value): int
{
    return (int) $value * (stripos($value, 'm') !== false ? 1048576 : 1);
}

function add_filter(string $hook, callable $function, int $priority = 10, int $arguments = 1): bool
{
    Stage::$hooks[$hook][] = $function;
    return true;
}

function add_action(string $hook, callable $function, int $priority = 10, int $arguments = 1): bool
{
    return add_filter($hook, $function);
}

function remove_filter(string $hook, callable $function, int $priority = 10): bool
{
    Stage::$hooks[$hook] = array_values(array_filter(
        Stage::$hooks[$hook] ?? [],
        static function ($one) use ($function): bool {
            return $one !== $function;
        }
    ));
    return true;
}

function remove_action(string $hook, callable $function, int $priority = 10): bool
{
    return remove_filter($hook, $function);
}

/**
 * @param array<string, mixed> $arguments
 * @return array<string, mixed>|WP_Error
 */
function wp_remote_request(string $url, array $arguments)
{
    Stage::$requests[] = [$url, $arguments];
    $answer = count(Stage::$answers) > 1 ? array_shift(Stage::$answers) : Stage::$answers[0];
    return $answer($url, $arguments);
}

/** @param mixed $value */
function is_wp_error($value): bool
{
    return $value instanceof WP_Error;
}

/** @param array<string, mixed> $answer */
function wp_remote_retrieve_header(array $answer, string $name): string
{
    return (string) ($answer['headers'][$name] ?? '');
}

/** @param array<string, mixed> $answer */
function wp_remote_retrieve_body(array $answer): string
{
    return $answer['body'];
}

/** @param array<string, mixed> $answer */
function wp_remote_retrieve_response_code(array $answer): int
{
    return $answer['status'];
}
