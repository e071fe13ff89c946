<?php

/**
 * Removes everything: tables, settings, capabilities, background work, and the quarantine with the originals in it.
 */

declare(strict_types=1);

defined('WP_UNINSTALL_PLUGIN') || exit;

require_once __DIR__ . '/includes/Removal.php';
foreach (['Settings', 'Record', 'Records', 'Log', 'Quarantine', 'Capabilities'] as $facecloak_name) {
    require_once __DIR__ . '/includes/' . $facecloak_name . '.php';
}

Facecloak\Removal::everywhere();
