<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Which attachments a post shows: blocks, classes, shortcodes and addresses, through reusable blocks.
 */
final class MediaInContent
{
    /** Blocks whose ids are of posts, terms or users: an attachment may have the same number. */
    private const OTHER_IDS = '#^core/(?:navigation|page-list|home-link|query|latest-|categories|tag-cloud|archives|'
        . 'comment|avatar|template-part|post-(?:author|comment|terms|navigation))#';
    private const OTHER_KEYS = ['categories', 'tags', 'taxQuery', 'query', 'terms'];
    private const ID_KEYS = '/^(?:ids?|(?:media|image|img|photo|picture|video|poster|background|attachment|thumbnail|'
        . 'gallery|logo)[A-Za-z_]*ids?)$/i';
    /** Of options: single numbers that are attachments. */
    private const OPTION_KEYS = ['custom_logo', 'site_icon', 'site_logo'];
    private const SHORTCODE_KEYS = ['ids', 'include', 'image', 'images', 'image_id', 'media_id', 'attachment_id'];

    private UploadsAddress $addresses;

    /** @var array<int, true> */
    private array $ids = [];
    /** @var array<string, true> */
    private array $strays = [];
    /** @var array<int, true> reusable blocks that were looked into */
    private array $seen = [];
    private bool $has_inline = false;

    /**
     * @param int $post whose children a gallery without ids shows; 0 where it is not saved yet
     */
    public function __construct(string $content, int $post = 0)
    {
        $this->addresses = new UploadsAddress();
        $this->look($content, $post);
    }

    /**
     * Of what an option holds: texts, numbers of attachments, and both in arrays.
     *
     * @param mixed $value
     */
    public static function of_option(string $name, $value): self
    {
        $media = new self('');
        $media->look_at_value($name, $value);
        return $media;
    }

    /**
     * @return int[] attachments that are images or videos
     */
    public function attachments(): array
    {
        return array_keys($this->ids);
    }

    /**
     * @return string[] files under uploads that belong to no attachment
     */
    public function strays(): array
    {
        return array_map('strval', array_keys($this->strays));
    }

    /** Whether a picture is written out in the text itself, where no one can review it. */
    public function has_inline(): bool
    {
        return $this->has_inline;
    }

    public static function is_media(int $attachment): bool
    {
        if ($attachment <= 0 || get_post_type($attachment) !== 'attachment') {
            return false;
        }
        $is_by_type = preg_match('#^(?:image|video)/#', (string) get_post_mime_type($attachment)) === 1;
        return $is_by_type || wp_attachment_is('image', $attachment) || wp_attachment_is('video', $attachment);
    }

    private function look(string $content, int $post): void
    {
        if (trim($content) === '') {
            return;
        }
        if (has_blocks($content)) {
            $this->look_at_blocks(parse_blocks($content), $post);
        }
        foreach (['/\bwp-image-(\d+)\b/', '/<img[^>]+\bdata-(?:attachment-)?id=["\']?(\d+)/i'] as $pattern) {
            array_map([$this, 'add'], array_map('intval', array_column(Pattern::all($pattern, $content), 1)));
        }
        $this->look_at_shortcodes($content, $post);
        foreach ($this->addresses->paths($content) as $path) {
            $owners = $this->addresses->attachments($path, $this->attachments());
            array_map([$this, 'add'], $owners);
            if ($owners === []) {
                $this->strays[$path] = true;
            }
        }
        $this->has_inline = $this->has_inline
            || Pattern::has('#data:\s*(?:image|video)/#i', html_entity_decode(rawurldecode($content)));
    }

    /**
     * @param array<int, array<string, mixed>> $blocks
     */
    private function look_at_blocks(array $blocks, int $post): void
    {
        foreach ($blocks as $block) {
            $name = (string) ($block['blockName'] ?? '');
            $attributes = (array) ($block['attrs'] ?? []);
            if ($name === 'core/block') {
                $this->look_at_reusable((int) ($attributes['ref'] ?? 0), $post);
            }
            if (!Pattern::has(self::OTHER_IDS, $name)) {
                $this->look_at_attributes($attributes);
            }
            $this->look_at_blocks((array) ($block['innerBlocks'] ?? []), $post);
        }
    }

    private function look_at_reusable(int $id, int $post): void
    {
        if ($id <= 0 || isset($this->seen[$id])) {
            return;
        }
        $this->seen[$id] = true;
        $block = get_post($id);
        if ($block !== null) {
            $this->look($block->post_content, $post);
        }
    }

    /**
     * @param array<int|string, mixed> $attributes
     */
    private function look_at_attributes(array $attributes): void
    {
        foreach ($attributes as $key => $value) {
            if (in_array($key, self::OTHER_KEYS, true)) {
                continue;
            }
            if (is_string($key) && Pattern::has(self::ID_KEYS, $key)) {
                foreach ((array) $value as $id) {
                    if (is_numeric($id)) {
                        $this->add((int) $id);
                    }
                }
            }
            if (is_array($value)) {
                $this->look_at_attributes($value);
            }
        }
    }

    /**
     * @param mixed $value
     */
    private function look_at_value(string $key, $value): void
    {
        if (is_array($value) || is_object($value)) {
            $value = (array) $value;
            $this->look_at_attributes($value);
            foreach ($value as $inner => $one) {
                $this->look_at_value((string) $inner, $one);
            }
        } elseif (in_array($key, self::OPTION_KEYS, true)) {
            $this->add((int) $value);
        } elseif (is_string($value)) {
            $this->look($value, 0);
        }
    }

    private function look_at_shortcodes(string $content, int $post): void
    {
        // Not by the names of registered shortcodes: a plugin that comes back tomorrow brings its own back. After the
        // name, WordPress takes anything for a space.
        foreach (Pattern::all('/\[([\w-]+)((?:[^\w\]-][^\]]*)?)\]/', $content) as $match) {
            $attributes = shortcode_parse_atts(rtrim($match[2], ' /'));
            $attributes = is_array($attributes) ? $attributes : [];
            foreach (self::SHORTCODE_KEYS as $key) {
                array_map([$this, 'add'], wp_parse_id_list((string) ($attributes[$key] ?? '')));
            }
            if (preg_match('/^attachment_(\d+)$/', (string) ($attributes['id'] ?? ''), $id) === 1) {
                $this->add((int) $id[1]);
            }
            $this->look_at_children(strtolower($match[1]), $attributes, $post);
        }
    }

    /**
     * [gallery] without ids shows what was uploaded to the post, and so do [playlist] and [video].
     *
     * @param array<int|string, string> $attributes
     */
    private function look_at_children(string $shortcode, array $attributes, int $post): void
    {
        if (!in_array($shortcode, ['gallery', 'playlist', 'video'], true)) {
            return;
        }
        if (($attributes['ids'] ?? '') !== '' || ($attributes['include'] ?? '') !== '') {
            return;
        }
        $parent = isset($attributes['id']) ? (int) $attributes['id'] : $post;
        if ($parent <= 0) {
            return;
        }
        $children = get_posts([
            'post_parent' => $parent,
            'post_type' => 'attachment',
            'post_status' => 'any',
            'numberposts' => -1,
            'fields' => 'ids',
            'suppress_filters' => true,
        ]);
        array_map([$this, 'add'], array_map('intval', $children));
    }

    private function add(int $attachment): void
    {
        if (!isset($this->ids[$attachment]) && self::is_media($attachment)) {
            $this->ids[$attachment] = true;
        }
    }
}
