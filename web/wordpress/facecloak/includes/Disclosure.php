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

    /** @var array<int, string> lines looked up during this request, by attachment */
    private array $known = [];

    public function __construct(Plugin $plugin)
    {
        $this->plugin = $plugin;
    }

    public function register(): void
    {
        add_filter('render_block_core/image', [$this, 'under_block'], 10, 2);
        add_filter('render_block_core/video', [$this, 'under_block'], 10, 2);
        add_filter('shortcode_atts_caption', [$this, 'in_caption']);
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
        $line = $id > 0 ? $this->approved_line($id) : '';
        if ($line === '' || self::says($html, $line)) {
            return $html;
        }
        $line = esc_html($line);
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

    /**
     * The classic editor's caption.
     *
     * @param array<string, mixed> $attributes
     * @return array<string, mixed>
     */
    public function in_caption($attributes)
    {
        $caption = (string) ($attributes['caption'] ?? '');
        if (preg_match('/^attachment_(\d+)$/D', (string) ($attributes['id'] ?? ''), $found) === 1) {
            $line = $this->approved_line((int) $found[1]);
            if ($line !== '' && !self::says($caption, $line)) {
                $attributes['caption'] = trim($caption . ' ' . esc_html($line));
            }
        }
        return $attributes;
    }

    /** Whether it stands there already, whatever the quotes are written as. */
    private static function says(string $html, string $line): bool
    {
        $plain = static function (string $text): string {
            $text = wptexturize(html_entity_decode(wp_strip_all_tags($text), ENT_QUOTES, 'UTF-8'));
            return html_entity_decode($text, ENT_QUOTES, 'UTF-8');
        };
        return strpos($plain($html), $plain($line)) !== false;
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
            $ids = array_diff(array_merge([$id], $this->beside()), array_keys($this->known));
            $records = $this->plugin->records->by_attachments($ids);
            foreach ($ids as $one) {
                $is_approved = isset($records[$one]) && $records[$one]->state === Record::REVIEWED;
                $this->known[$one] = $is_approved ? (string) ($records[$one]->choices['disclosure'] ?? '') : '';
            }
        }
        return $this->known[$id];
    }

    /**
     * Other pictures of the post that is shown: one query for all of them.
     *
     * @return int[]
     */
    private function beside(): array
    {
        $content = (string) get_post_field('post_content', get_post());
        return preg_match_all('/\b(?:wp-image-|attachment_)(\d+)\b/', $content, $found) > 0
            ? array_unique(array_map('intval', $found[1]))
            : [];
    }
}
