<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Requests to the service by WordPress's own HTTP functions. The address is what the administrator has set.
 *
 * Files stream from the disk where PHP has cURL, and answers to the disk where a file is wanted.
 */
final class Transport
{
    /** Larger files are not read into memory where PHP has no cURL. */
    private const LARGEST_IN_MEMORY = 64 * 1024 * 1024;

    private Settings $settings;

    public function __construct(Settings $settings)
    {
        $this->settings = $settings;
    }

    /**
     * @param string $path constants of Client and ids of jobs, nothing a user has sent
     * @param array{
     *     seconds: float, limit: int, query?: array<string, string>, fields?: array<string, string>,
     *     file?: array{string, string, string}, json?: string, to?: string, is_open?: bool
     * } $request `file` is [part, path, name]; `to` is where the body is written; `limit` bytes it may have;
     *     `is_open`: no token is sent
     * @return array{status: int, type: string, length: ?int, body: string} the body is '' where it was written to `to`
     * @throws Unreachable
     */
    public function send(string $method, string $path, array $request): array
    {
        $address = $this->settings->address();
        $token = $this->settings->token();
        if ($address === '') {
            throw new Unreachable(__('No address of the facecloak service is set.', 'facecloak'));
        }
        if ($token === '' && empty($request['is_open'])) {
            throw new Unreachable(__('No token for the facecloak service is set.', 'facecloak'));
        }
        if ($request['seconds'] <= 0) {
            throw new Unreachable(__('The facecloak service took too long.', 'facecloak'));
        }
        $url = $address . $path;
        if (!empty($request['query'])) {
            $url .= '?' . http_build_query($request['query'], '', '&');
        }
        $headers = ['Accept' => isset($request['to']) ? '*/*' : 'application/json'];
        if (empty($request['is_open'])) {
            $headers['Authorization'] = 'Bearer ' . $token;
        }
        $arguments = [
            'method' => $method,
            'timeout' => max(1.0, $request['seconds']),
            'redirection' => 0,
            'reject_unsafe_urls' => false,  // the service is on loopback, as a rule
            'user-agent' => 'facecloak-wordpress/' . FACECLOAK_VERSION,
            'headers' => $headers,
            'limit_response_size' => $request['limit'] + 1,
        ];
        if (isset($request['to'])) {
            $arguments += ['stream' => true, 'filename' => $request['to']];
        }
        if (isset($request['json'])) {
            $arguments['headers']['Content-Type'] = 'application/json';
            $arguments['body'] = $request['json'];
        }
        $parts = null;
        if (isset($request['file']) || isset($request['fields'])) {
            $parts = $this->parts($request, $arguments);
        }
        $answer = $this->asked($url, $arguments, $parts);
        return $this->told($answer, $request);
    }

    /**
     * @param array<string, mixed> $request
     * @param array<string, mixed> $arguments gets a body where there is no cURL
     * @return array<string, string|\CURLFile>|null what cURL is to send
     */
    private function parts(array $request, array &$arguments): ?array
    {
        $fields = $request['fields'] ?? [];
        if (function_exists('curl_init') && function_exists('curl_exec') && class_exists('CURLFile')) {
            if (isset($request['file'])) {
                [$part, $path, $name] = $request['file'];
                $fields[$part] = new \CURLFile($path, 'application/octet-stream', $name);
            }
            return $fields;
        }
        $boundary = bin2hex(random_bytes(16));
        $body = '';
        foreach ($fields as $name => $value) {
            $body .= "--$boundary\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$value\r\n";
        }
        if (isset($request['file'])) {
            [$part, $path, $name] = $request['file'];
            if (filesize($path) > self::LARGEST_IN_MEMORY) {
                throw new Unreachable(__('Files as large as this can only be sent where PHP has cURL.', 'facecloak'));
            }
            $body .= "--$boundary\r\nContent-Disposition: form-data; name=\"$part\"; filename=\"$name\"\r\n"
                . "Content-Type: application/octet-stream\r\n\r\n" . file_get_contents($path) . "\r\n";
        }
        $arguments['body'] = $body . "--$boundary--\r\n";
        $arguments['headers']['Content-Type'] = 'multipart/form-data; boundary=' . $boundary;
        return null;
    }

    /**
     * @param array<string, mixed> $arguments
     * @param array<string, string|\CURLFile>|null $parts
     * @return array<string, mixed>
     */
    private function asked(string $url, array $arguments, ?array $parts): array
    {
        $is_here = Settings::is_loopback((string) parse_url($url, PHP_URL_HOST));
        $to_curl = static function ($handle, array $of_request, string $asked) use ($url, $parts, $is_here): void {
            if ($asked !== $url) {
                return;
            }
            if ($parts !== null) {
                curl_setopt($handle, CURLOPT_POSTFIELDS, $parts);
            }
            if ($is_here) {
                curl_setopt($handle, CURLOPT_NOPROXY, '*');  // cURL heeds http_proxy of the environment
            }
        };
        // What goes to this machine must not go by way of another, which could read it
        $to_proxy = static function ($is_by_proxy, string $asked) use ($url, $is_here) {
            return $asked === $url && $is_here ? false : $is_by_proxy;
        };
        add_action('http_api_curl', $to_curl, PHP_INT_MAX, 3);
        add_filter('pre_http_send_through_proxy', $to_proxy, PHP_INT_MAX, 2);
        try {
            $answer = wp_remote_request($url, $arguments);
        } catch (\Throwable $thrown) {
            throw new Unreachable(__('The facecloak service could not be asked.', 'facecloak'), 0, $thrown);
        } finally {
            remove_action('http_api_curl', $to_curl, PHP_INT_MAX);
            remove_filter('pre_http_send_through_proxy', $to_proxy, PHP_INT_MAX);
        }
        if (is_wp_error($answer)) {
            throw new Unreachable(
                /* translators: %s: technical message */
                sprintf(__('The facecloak service did not answer (%s).', 'facecloak'), $answer->get_error_message())
            );
        }
        return $answer;
    }

    /**
     * @param array<string, mixed> $answer
     * @param array<string, mixed> $request
     * @return array{status: int, type: string, length: ?int, body: string}
     */
    private function told(array $answer, array $request): array
    {
        $type = wp_remote_retrieve_header($answer, 'content-type');
        $length = wp_remote_retrieve_header($answer, 'content-length');
        $body = isset($request['to']) ? '' : (string) wp_remote_retrieve_body($answer);
        if (isset($request['to'])) {
            clearstatcache(true, $request['to']);
        }
        $size = isset($request['to']) ? (int) @filesize($request['to']) : strlen($body);
        if ($size > $request['limit']) {
            throw new Unreachable(__('The facecloak service sent more than it should.', 'facecloak'));
        }
        $is_number = is_string($length) && preg_match('/^\d{1,15}$/', $length) === 1;
        if ($is_number && (int) $length !== $size && wp_remote_retrieve_header($answer, 'content-encoding') === '') {
            // A connection that broke, or a disk that is full
            throw new Unreachable(__('The answer of the facecloak service did not arrive whole.', 'facecloak'));
        }
        return [
            'status' => (int) wp_remote_retrieve_response_code($answer),
            'type' => is_string($type) ? strtolower(trim(explode(';', $type)[0])) : '',
            'length' => $is_number ? (int) $length : null,
            'body' => $body,
        ];
    }
}
