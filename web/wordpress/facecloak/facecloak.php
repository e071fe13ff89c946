<?php

/**
 * Plugin Name:       facecloak
 * Description:       Covers or cloaks the faces it finds in photos and clips before they can be fetched, lets the desk review them, and keeps posts with unreviewed media from being published.
 * Version:           0.1.0
 * Requires at least: 6.1
 * Requires PHP:      7.4
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       facecloak
 * Domain Path:       /languages
 */

declare(strict_types=1);

defined('ABSPATH') || exit;

define('FACECLOAK_VERSION', '0.1.0');
define('FACECLOAK_FILE', __FILE__);

spl_autoload_register(
    static function (string $class): void {
        if (strpos($class, 'Facecloak\\') !== 0) {
            return;
        }
        $name = substr($class, strlen('Facecloak\\'));
        $file = __DIR__ . '/includes/' . $name . '.php';
        if (preg_match('/^[A-Za-z]+$/', $name) === 1 && is_file($file)) {
            require_once $file;
        }
    }
);

register_activation_hook(__FILE__, [Facecloak\Plugin::class, 'activate']);
register_deactivation_hook(__FILE__, [Facecloak\Plugin::class, 'deactivate']);

// Not on plugins_loaded: a plugin that uploads while plugins are loaded would find the doors open.
Facecloak\Plugin::instance()->boot();
