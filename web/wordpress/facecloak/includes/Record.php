<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What is known of one photo or clip that came through the plugin: one row of the table of media.
 */
final class Record
{
    public const WAITING = 'waiting';        // a placeholder is in uploads, the original in the quarantine
    public const UNREVIEWED = 'unreviewed';  // covered or cleaned bytes are in uploads; nobody has looked
    public const REVIEWED = 'reviewed';
    public const SUGGESTED = 'suggested';    // untouched, the service has listed the faces
    public const UNCHECKED = 'unchecked';    // untouched, the service did not answer
    public const FAILED = 'failed';          // the service said never; the placeholder stays
    public const STATES = [
        self::WAITING, self::UNREVIEWED, self::REVIEWED, self::SUGGESTED, self::UNCHECKED, self::FAILED,
    ];

    public int $id = 0;
    public int $attachment_id = 0;
    /** 'photo' or 'clip' */
    public string $kind = 'photo';
    public string $state = self::UNREVIEWED;
    /** Of the bytes that were handed in. */
    public string $in_sha256 = '';
    /** Of the bytes that are in uploads. */
    public string $out_sha256 = '';
    /** Name of the original in the quarantine; '' where there is none (any more). */
    public string $original = '';
    /** File name under which the bytes in uploads belong: that of the upload, or with another ending. */
    public string $name = '';
    /** Of the bytes in uploads. */
    public string $mime = '';
    /** @var array<int, array{number: int, box: float[], score: float}>|null pixels of the upright original */
    public ?array $faces = null;
    public int $width = 0;
    public int $height = 0;
    /** @var array<string, mixed>|null what was chosen at the last treatment */
    public ?array $choices = null;
    /** @var array<string, mixed>|null the report of the service on the bytes in uploads */
    public ?array $verdict = null;
    /** Id of the `video` job of a clip. */
    public string $job = '';
    /** Id of the `video-plan` job of a clip. */
    public string $plan_job = '';
    public int $attempts = 0;
    /** UTC, `Y-m-d H:i:s`; null: no background work is due. */
    public ?string $next_try = null;
    public string $error = '';
    public int $reviewed_by = 0;
    /** UTC */
    public ?string $reviewed_at = null;
    public string $reason = '';
    /** UTC */
    public string $created = '';

    /**
     * Whether the bytes in uploads were made by the service or stand in for it, so that they may be there.
     */
    public function is_made(): bool
    {
        return $this->out_sha256 !== '' && $this->out_sha256 !== $this->in_sha256
            && !in_array($this->state, [self::SUGGESTED, self::UNCHECKED], true);
    }

    /** Whether somebody chose to leave a face uncovered. */
    public function keeps_a_face(): bool
    {
        $choices = [$this->choices['default'] ?? ''];
        foreach (['faces', 'tracks'] as $name) {
            $choices = array_merge($choices, array_values((array) ($this->choices[$name] ?? [])));
        }
        return in_array('keep', $choices, true);
    }

    /**
     * @param array<string, string|null> $row as the database gives it
     */
    public static function of_row(array $row): self
    {
        $record = new self();
        foreach (['id', 'attachment_id', 'width', 'height', 'attempts', 'reviewed_by'] as $name) {
            $record->$name = (int) $row[$name];
        }
        $texts = ['kind', 'state', 'in_sha256', 'out_sha256', 'original', 'name', 'mime', 'job', 'plan_job', 'error',
            'reason', 'created'];
        foreach ($texts as $name) {
            $record->$name = (string) $row[$name];
        }
        foreach (['faces', 'choices', 'verdict'] as $name) {
            $value = $row[$name] === null ? null : json_decode($row[$name], true);
            $record->$name = is_array($value) ? $value : null;
        }
        $record->next_try = $row['next_try'];
        $record->reviewed_at = $row['reviewed_at'];
        return $record;
    }

    /**
     * @return array<string, string|int|null> without the id
     */
    public function row(): array
    {
        $row = get_object_vars($this);
        unset($row['id']);
        foreach (['faces', 'choices', 'verdict'] as $name) {
            $row[$name] = $row[$name] === null ? null : wp_json_encode($row[$name]);
        }
        return $row;
    }
}
