<?php

/** Pretty links with PHP's own server: files as they are, everything else is WordPress's. */

$facecloak_root = $_SERVER['DOCUMENT_ROOT'];
$facecloak_path = rawurldecode((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
$facecloak_file = $facecloak_root . $facecloak_path;
if (is_dir($facecloak_file)) {
    $facecloak_file = rtrim($facecloak_file, '/') . '/index.php';
    if (is_file($facecloak_file) && '/' !== substr($facecloak_path, -1)) {
        header('Location: ' . $facecloak_path . '/', true, 301);
        return true;
    }
}
if (is_file($facecloak_file)) {
    return false;
}
if (preg_match('#^/wp-content/#', $facecloak_path)) {
    http_response_code(404); // no need to ask WordPress
    return true;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = $facecloak_root . '/index.php';
chdir($facecloak_root);
require $facecloak_root . '/index.php';
