<?php

/** Runs what a test asks for inside WordPress: {code, user, admin, constants, variables} on stdin, JSON at the end. */

$facecloak_asked = json_decode((string) stream_get_contents(STDIN), true);
foreach ($facecloak_asked['constants'] as $facecloak_name => $facecloak_value) {
    define($facecloak_name, $facecloak_value);
}
if ($facecloak_asked['admin']) {
    define('WP_ADMIN', true);
}
$_SERVER += ['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1',
    'REMOTE_ADDR' => '127.0.0.1', 'SCRIPT_NAME' => '/index.php'];
require __DIR__ . '/htdocs/wp-load.php';
if ($facecloak_asked['admin']) {
    require_once ABSPATH . 'wp-admin/includes/admin.php';
}
$_SERVER['HTTP_HOST'] = preg_replace('#^https?://#', '', home_url());
if (null !== $facecloak_asked['user']) {
    wp_set_current_user(get_user_by('login', $facecloak_asked['user'])->ID);
}
try {
    $facecloak_answer = ['value' => (static function (string $facecloak_code, array $facecloak_variables) {
        extract($facecloak_variables);
        return eval($facecloak_code);
    })($facecloak_asked['code'], $facecloak_asked['variables'])];
} catch (Throwable $facecloak_thrown) {
    $facecloak_answer = ['thrown' => (string) $facecloak_thrown];
}
echo "\x00facecloak-value:", wp_json_encode($facecloak_answer);
