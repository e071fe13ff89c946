<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Everything there is, made once and joined to WordPress.
 */
final class Plugin
{
    /** Feature classes, by the property they are found under. Each takes the plugin and has `register(): void`. */
    private const FEATURES = [
        'capabilities' => 'Capabilities',
        'intake' => 'Intake',
        'attachments' => 'Attachments',
        'uploads' => 'Uploads',
        'attached' => 'Attached',
        'queue' => 'Queue',
        'review' => 'Review',
        'gate' => 'Gate',
        'status_gate' => 'StatusGate',
        'field_gate' => 'FieldGate',
        'around_posts' => 'AroundPosts',
        'notices' => 'Notices',
        'editor_panel' => 'EditorPanel',
        'rest_gate' => 'RestGate',
        'rest' => 'Rest',
        'library' => 'Library',
        'review_page' => 'ReviewPage',
        'settings_page' => 'SettingsPage',
        'log_page' => 'LogPage',
        'health' => 'Health',
        'disclosure' => 'Disclosure',
        'scan' => 'Scan',
        'cli' => 'Cli',
    ];

    private static ?self $instance = null;

    public Settings $settings;
    public Client $client;
    public Records $records;
    public Quarantine $quarantine;
    public Log $log;
    public Intake $intake;
    public Attachments $attachments;
    public Uploads $uploads;
    public Attached $attached;
    public Queue $queue;
    public Review $review;
    public Gate $gate;
    public StatusGate $status_gate;
    public FieldGate $field_gate;
    public AroundPosts $around_posts;
    public Notices $notices;
    public EditorPanel $editor_panel;
    public RestGate $rest_gate;
    public Capabilities $capabilities;
    public Rest $rest;
    public Library $library;
    public ReviewPage $review_page;
    public SettingsPage $settings_page;
    public LogPage $log_page;
    public Health $health;
    public Disclosure $disclosure;
    public Scan $scan;
    public Cli $cli;

    private bool $is_booted = false;

    private function __construct()
    {
        $this->settings = new Settings();
        $this->records = new Records();
        $this->log = new Log();
        $this->quarantine = new Quarantine();
        if (class_exists(Client::class)) {
            $this->client = new Client($this->settings);
        }
    }

    public static function instance(): self
    {
        if (self::$instance === null) {
            self::$instance = new self();
        }
        return self::$instance;
    }

    /**
     * Makes every feature, then lets each add its hooks: one may look for another while it does so.
     */
    public function boot(): void
    {
        if ($this->is_booted) {
            return;
        }
        $this->is_booted = true;
        foreach (self::FEATURES as $property => $name) {
            $class = __NAMESPACE__ . '\\' . $name;
            if (class_exists($class)) {
                $this->$property = new $class($this);
            }
        }
        foreach (array_keys(self::FEATURES) as $property) {
            if (isset($this->$property) && method_exists($this->$property, 'register')) {
                $this->$property->register();
            }
        }
        add_action('init', [$this, 'translations']);
        add_action('admin_init', [$this, 'upgrade']);
    }

    public function translations(): void
    {
        load_plugin_textdomain('facecloak', false, dirname(plugin_basename(FACECLOAK_FILE)) . '/languages');
    }

    /**
     * An update of the files runs no activation hook, so the tables are looked after here.
     */
    public function upgrade(): void
    {
        if (get_option(Settings::VERSION) !== FACECLOAK_VERSION) {
            self::activate();
        }
    }

    public static function activate(): void
    {
        $plugin = self::instance();
        $plugin->boot();
        $plugin->records->install();
        $plugin->log->install();
        add_option(Settings::OPTION, Settings::defaults());
        add_option(Settings::TOKEN, '', '', 'no');
        if (class_exists(Capabilities::class)) {
            Capabilities::grant();
        }
        if (isset($plugin->queue)) {
            $plugin->queue->schedule();
        }
        update_option(Settings::VERSION, FACECLOAK_VERSION);
    }

    /**
     * Stops the background work. Settings, records and quarantined originals stay: uninstalling removes them.
     */
    public static function deactivate(): void
    {
        $plugin = self::instance();
        if (isset($plugin->queue)) {
            $plugin->queue->unschedule();
        }
    }
}
