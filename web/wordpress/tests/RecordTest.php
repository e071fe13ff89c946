<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Answers;
use Facecloak\Intake;
use Facecloak\Record;
use PHPUnit\Framework\TestCase;

final class RecordTest extends TestCase
{
    public function test_a_row_comes_back_as_it_went(): void
    {
        $record = $this->made();
        $record->faces = [['number' => 1, 'box' => [1.5, 2.0, 3.0, 4.0], 'score' => 0.9]];
        $record->choices = ['default' => 'redact solid', 'faces' => ['1' => 'keep'], 'regions' => []];
        $row = array_map(static function ($value): ?string {
            return $value === null ? null : (string) $value;
        }, $record->row()) + ['id' => '7'];
        $again = Record::of_row($row);
        $this->assertSame(7, $again->id);
        $again->id = 0;
        $this->assertEquals($record, $again);
    }

    public function test_untouched_bytes_are_never_taken_for_ours(): void
    {
        $record = $this->made();
        $this->assertTrue($record->is_made());
        foreach ([Record::SUGGESTED, Record::UNCHECKED] as $state) {
            $record->state = $state;
            $this->assertFalse($record->is_made());
        }
        $record->state = Record::REVIEWED;  // under `suggest`, as it was uploaded
        $record->out_sha256 = $record->in_sha256;
        $this->assertFalse($record->is_made());
        $this->assertFalse((new Record())->is_made());
    }

    public function test_a_kept_face_is_seen_however_it_was_chosen(): void
    {
        $record = $this->made();
        $this->assertFalse($record->keeps_a_face());
        $kept = [['default' => 'keep'], ['faces' => ['2' => 'keep']], ['tracks' => ['1' => 'hide', '2' => 'keep']]];
        foreach ($kept as $choices) {
            $record->choices = $choices;
            $this->assertTrue($record->keeps_a_face());
        }
        $record->choices = ['default' => 'redact solid', 'faces' => ['1' => 'cloak balanced'], 'tracks' => []];
        $this->assertFalse($record->keeps_a_face());
    }

    public function test_a_copy_is_nobodys_and_nobody_has_reviewed_it(): void
    {
        $record = $this->made();
        $record->id = 3;
        $record->attachment_id = 9;
        $record->state = Record::REVIEWED;
        $record->original = 'original-x';
        $record->reviewed_by = 1;
        $copy = Intake::copy_of($record);
        $this->assertSame([0, 0, '', 0, Record::UNREVIEWED], [
            $copy->id, $copy->attachment_id, $copy->original, $copy->reviewed_by, $copy->state,
        ]);
        $record->state = Record::WAITING;
        $this->assertSame(Record::FAILED, Intake::copy_of($record)->state, 'what stands in is no picture');
    }

    public function test_a_photo_is_settled_only_where_every_face_is(): void
    {
        $job = static function (bool $is_protected, string ...$statuses): array {
            $faces = array_map(static function (string $one): array {
                return ['status' => $one];
            }, $statuses);
            return ['is_protected' => $is_protected, 'report' => ['faces' => $faces]];
        };
        $this->assertTrue(Answers::is_settled($job(true, 'redacted', 'protected', 'kept')));
        $this->assertTrue(Answers::is_settled($job(false)), 'cleaned: nobody is in it');
        foreach (['matched', 'lost', 'too_small', 'unjudged'] as $status) {
            $this->assertFalse(Answers::is_settled($job(true, 'redacted', $status)), 'whatever is_protected says');
        }
        $this->assertFalse(Answers::is_settled($job(false, 'redacted')));
    }

    private function made(): Record
    {
        $record = new Record();
        $record->in_sha256 = str_repeat('a', 64);
        $record->out_sha256 = str_repeat('b', 64);
        return $record;
    }
}
