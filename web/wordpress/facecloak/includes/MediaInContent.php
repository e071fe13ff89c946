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
    /** Of custom fields: numbers under such a name are attachments; under any other they count something. */
    private const FIELD_KEYS = '/(?:media|image|img|photo|picture|video|poster|background|attachment|thumbnail|gallery|'
        . 'logo)s?(?:[_-]?ids?|[_-]?gallery)?$/i';
    /** Fields of WordPress's own that nothing is shown of, and the featured image, which is looked at by itself. */
    private const OWN_FIELDS = '/^(?:_thumbnail_id$|_edit_|_wp_|_oembed_|_pingme$|_encloseme$|_facecloak)/';
    private const MEDIA_ENDINGS = '/\.(?:jpe?g|png|webp|gif|avif|hei[cf]|tiff?|bmp|mp4|m4v|mov|webm|mkv|avi|ogv)$/i';
    /** Things to look up; whoever names more wants to keep the database busy. */
    private const MOST = 3000;

    private UploadsAddress $addresses;

    /** @var array<int, bool> whether it is a picture or a clip, by attachment */
    private array $ids = [];
    private int $number = 0;
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
     * What a custom field holds: addresses, and numbers where its name says that they are attachments.
     *
     * @param mixed $value as it is stored, or as it is to be
     */
    public static function of_field(string $name, $value): self
    {
        $media = new self('');
        $media->look_at_field($name, $value);
        return $media;
    }

    /**
     * All custom fields of a post. What themes show of them nobody can know, so each counts.
     */
    public function look_at_fields(int $post): void
    {
        foreach ((array) get_post_meta($post) as $name => $values) {
            foreach ((array) $values as $value) {
                $this->look_at_field((string) $name, maybe_unserialize($value));
            }
        }
    }

    /**
     * @return int[] attachments that are images or videos
     */
    public function attachments(): array
    {
        return array_keys(array_filter($this->ids));
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
            $this->add_all(array_column(Pattern::all($pattern, $content), 1));
        }
        $this->look_at_shortcodes($content, $post);
        foreach ($this->addresses->paths($content) as $path) {
            $this->count(1);
            $owners = $this->addresses->attachments($path, $this->attachments());
            $this->add_all($owners);
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
                $this->add_all(array_filter((array) $value, 'is_numeric'));
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
            $this->add_all([$value]);
        } elseif (is_string($value)) {
            $this->look($value, 0);
        }
    }

    /**
     * @param mixed $value
     */
    public function look_at_field(string $name, $value): void
    {
        if (preg_match(self::OWN_FIELDS, $name) === 1) {
            return;
        }
        if (is_array($value) || is_object($value)) {
            foreach ((array) $value as $inner => $one) {
                $this->look_at_field(is_int($inner) ? $name : (string) $inner, $one);
            }
        } elseif (is_scalar($value) && preg_match('/^\d+(?:\s*,\s*\d+)*$/D', (string) $value) === 1) {
            if (preg_match(self::FIELD_KEYS, $name) === 1) {
                $this->add_all(wp_parse_id_list((string) $value));
            }
        } elseif (is_string($value)) {
            [$strays, $has_inline] = [$this->strays, $this->has_inline];
            $this->look($value, 0);
            // Plugins keep addresses of their style sheets there, and small pictures to show while others load
            $this->has_inline = $has_inline;
            $this->strays = $strays + array_filter($this->strays, static function ($path): bool {
                return preg_match(self::MEDIA_ENDINGS, (string) $path) === 1;
            }, ARRAY_FILTER_USE_KEY);
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
                $this->add_all(wp_parse_id_list((string) ($attributes[$key] ?? '')));
            }
            if (preg_match('/^attachment_(\d+)$/', (string) ($attributes['id'] ?? ''), $id) === 1) {
                $this->add_all([$id[1]]);
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
        $this->add_all($children);
    }

    /**
     * @param array<int|float|string> $attachments what may be numbers of such
     */
    private function add_all(array $attachments): void
    {
        $new = array_diff(array_unique(array_map('intval', $attachments)), array_keys($this->ids), [0]);
        $this->count(count($new));
        if (count($new) > 1) {
            _prime_post_caches($new, false, true);
        }
        foreach ($new as $id) {
            $this->ids[$id] = self::is_media($id);
        }
    }

    private function count(int $more): void
    {
        $this->number += $more;
        if ($this->number > self::MOST) {
            throw new \RuntimeException(__('It names more pictures and clips than can be looked up.', 'facecloak'));
        }
    }
}
