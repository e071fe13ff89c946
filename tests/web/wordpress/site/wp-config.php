<?php

/** Of a site for tests. URL is replaced; the database is a socket beside the docroot. */

define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:' . dirname(__DIR__) . '/db/s');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $facecloak_name) {
    define($facecloak_name . '_KEY', 'key of a test: ' . $facecloak_name);
    define($facecloak_name . '_SALT', 'salt of a test: ' . $facecloak_name);
}
define('WP_HOME', 'URL');
define('WP_SITEURL', 'URL');
define('WP_ENVIRONMENT_TYPE', 'local'); // application passwords without TLS
define('WP_DEBUG', true);
define('WP_DEBUG_DISPLAY', false);
define('WP_DEBUG_LOG', dirname(__DIR__) . '/php-errors.log');
define('WP_HTTP_BLOCK_EXTERNAL', true); // loopback goes through: it is where the site is
define('WP_ACCESSIBLE_HOSTS', '127.0.0.1');
define('DISABLE_WP_CRON', true); // tests call it
define('AUTOMATIC_UPDATER_DISABLED', true);
define('CONCATENATE_SCRIPTS', false);
defined('FACECLOAK_QUARANTINE') || define('FACECLOAK_QUARANTINE', dirname(__DIR__) . '/quarantine');

$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
