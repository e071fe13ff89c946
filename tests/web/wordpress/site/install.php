<?php

/** Installs WordPress without a browser: DOCROOT as argument, {password, roles} on stdin, JSON at the end. */

$facecloak_asked = json_decode((string) stream_get_contents(STDIN), true);
define('WP_INSTALLING', true);
$_SERVER += ['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1',
    'REMOTE_ADDR' => '127.0.0.1', 'SCRIPT_NAME' => '/index.php', 'HTTP_HOST' => '127.0.0.1'];
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_wp_mail', '__return_true');
define('WP_DEFAULT_THEME', 'rig');
wp_install('Newsroom', 'administrator', 'administrator@example.org', true, '', $facecloak_asked['password']);
switch_theme('rig');
update_option('permalink_structure', '/%postname%/');
update_option('timezone_string', 'UTC');
update_option('comment_moderation', '1');
update_option('show_avatars', ''); // they come from elsewhere
foreach (get_posts(['post_type' => 'any', 'post_status' => 'any', 'numberposts' => -1]) as $facecloak_post) {
    wp_delete_post($facecloak_post->ID, true);
}
$facecloak_made = ['passwords' => [], 'ids' => []];
foreach ($facecloak_asked['roles'] as $facecloak_role) {
    $facecloak_user = get_user_by('login', $facecloak_role);
    $facecloak_id = $facecloak_user ? $facecloak_user->ID : wp_insert_user([
        'user_login' => $facecloak_role, 'user_pass' => $facecloak_asked['password'], 'role' => $facecloak_role,
        'user_email' => $facecloak_role . '@example.org', 'display_name' => ucfirst($facecloak_role)]);
    [$facecloak_word] = WP_Application_Passwords::create_new_application_password($facecloak_id, ['name' => 'test']);
    // The editor greets whoever is new with a guide that lies over everything
    update_user_meta($facecloak_id, 'wp_persisted_preferences', ['core/edit-post' => ['welcomeGuide' => false],
        '_modified' => '2030-01-01T00:00:00.000Z']);
    $facecloak_made['ids'][$facecloak_role] = $facecloak_id;
    $facecloak_made['passwords'][$facecloak_role] = $facecloak_word;
}
flush_rewrite_rules(false);
echo "\x00facecloak-value:", wp_json_encode($facecloak_made);
