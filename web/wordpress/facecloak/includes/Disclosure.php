<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Tells readers that a picture was altered: one line in its caption, added when somebody approves it.
 *
 * A caption of the media library goes into a post only when the picture is put there, which is before it is approved.
 * So the line is also shown under the picture wherever a post shows it, without changing the post.
 */
final class Disclosure
{
    private Plugin $plugin;

    /** @var array<int, string> lines looked up during this request */
    private array $known = [];

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('render_block_core/image', [$this, 'under_block'], 10, 2);
        add_filter('render_block_core/video', [$this, 'under_block'], 10, 2);
    }

    /**
     * The line that an approval of these changes would add; '' where there is nothing to tell or the site has no line.
     *
     * @param array<string, mixed>|null $report
     */
    public function line(?array $report): string
    {
        return Verdict::is_altered($report) ? trim($this->plugin->settings->disclosure()) : '';
    }

    /**
     * Brings the caption in line with what was approved and remembers it in the record, which the caller saves.
     *
     * @return string the line that stands there now
     */
    public function settle(Record $record): string
    {
        $line = $this->line($record->verdict);
        $before = (string) ($record->choices['disclosure'] ?? '');
        $post = get_post($record->attachment_id);
        if ($post !== null) {
            $caption = self::with_line(self::without_line($post->post_excerpt, $before), $line);
            if ($caption !== $post->post_excerpt) {
                wp_update_post(wp_slash(['ID' => $post->ID, 'post_excerpt' => $caption]));
            }
        }
        $record->choices = array_merge($record->choices ?? [], ['disclosure' => $line]);
        unset($this->known[$record->attachment_id]);
        return $line;
    }

    /** @param array<string, mixed> $block */
    public function under_block(string $html, array $block): string
    {
        $id = (int) ($block['attrs']['id'] ?? 0);
        if ($id === 0 && preg_match('/\bwp-image-(\d+)\b/', $html, $found) === 1) {
            $id = (int) $found[1];
        }
        $line = $id > 0 ? esc_html($this->approved_line($id)) : '';
        if ($line === '' || strpos($html, $line) !== false) {
            return $html;
        }
        $places = [
            '</figcaption>' => ' %s</figcaption>',
            '</figure>' => '<figcaption class="wp-element-caption">%s</figcaption></figure>',
        ];
        foreach ($places as $end => $with) {
            $at = strrpos($html, $end);
            if ($at !== false) {
                return substr($html, 0, $at) . sprintf($with, $line) . substr($html, $at + strlen($end));
            }
        }
        return $html;
    }

    public static function with_line(string $caption, string $line): string
    {
        if ($line === '' || strpos($caption, $line) !== false) {
            return $caption;
        }
        return trim(trim($caption) . ' ' . $line);
    }

    public static function without_line(string $caption, string $line): string
    {
        return $line === '' ? $caption : trim(str_replace($line, '', $caption));
    }

    private function approved_line(int $id): string
    {
        if (!isset($this->known[$id])) {
            $record = $this->plugin->records->by_attachment($id);
            $is_approved = $record !== null && $record->state === Record::REVIEWED;
            $this->known[$id] = $is_approved ? (string) ($record->choices['disclosure'] ?? '') : '';
        }
        return $this->known[$id];
    }
}
