<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Gate;
use Facecloak\Record;
use Facecloak\States;
use Facecloak\Words;
use PHPUnit\Framework\TestCase;

final class WordsTest extends TestCase
{
    public function testEveryStateHasALabelAndAReason(): void
    {
        $seen = [];
        foreach (array_merge([Words::UNKNOWN], Record::STATES) as $state) {
            self::assertNotSame($state, Words::state($state));
            $record = new Record();
            $record->state = $state;
            $seen[] = $state === Words::UNKNOWN ? Words::reason(null) : Words::reason($record);
        }
        self::assertSame($seen, array_unique($seen));
        self::assertSame('another', Words::state('another'));
    }

    public function testWhatWasFoundIsCountedAndNeverAllThereIs(): void
    {
        $record = new Record();
        foreach ([[1, '1 face was'], [2, '2 faces were'], [0, 'No face was found']] as [$count, $words]) {
            $record->faces = array_fill(0, $count, ['number' => 1]);
            self::assertStringContainsString($words, Words::reason($record));
            self::assertStringContainsString('Detection misses faces.', Words::reason($record));
        }
        $record->kind = 'clip';
        self::assertStringContainsString('Detection misses faces.', Words::reason($record));
    }

    public function testWhatIsNotCoveredIsSaidLoudly(): void
    {
        $record = new Record();
        $record->faces = [['number' => 1]];
        foreach ([Record::SUGGESTED, Record::UNCHECKED] as $state) {
            $record->state = $state;
            self::assertStringContainsString('NOT covered', Words::reason($record));
        }
        // Of a clip the service was never asked
        $record->kind = 'clip';
        self::assertStringContainsString('Clips are not looked into', Words::reason($record));
        self::assertStringContainsString('NOT covered', Words::reason($record));
        self::assertStringNotContainsString('did not answer', Words::reason($record) . States::words($record));
    }

    public function testAFaceThatWasKeptIsNotCalledTreated(): void
    {
        $record = new Record();
        $record->faces = [['number' => 1], ['number' => 2]];
        $photo = ['faces' => [['number' => 1, 'status' => 'kept']]];
        $clip = ['tracks' => [['number' => 1, 'decision' => 'keep']]];
        foreach ([$photo, $clip] as $verdict) {
            $record->verdict = $verdict;
            self::assertStringContainsString('left as it was', Words::reason($record));
            $record->kind = 'clip';
        }
        $record->verdict = null;
        $record->state = Record::UNCHECKED;
        self::assertStringNotContainsString('did not answer', Words::reason($record));
        self::assertStringNotContainsString('did not answer', States::words($record));
        $record->state = Record::REVIEWED;
        self::assertStringNotContainsString('Somebody', States::words($record));
    }

    public function testWhatWasCutOutOfAnotherIsNotSaidToShowNobody(): void
    {
        self::assertStringContainsString('made from another picture', Words::reason(new Record()));
    }

    public function testWhoConfirmedIsNotMadeUp(): void
    {
        $record = new Record();
        $record->state = Record::REVIEWED;
        self::assertStringContainsString('nobody had to look', Words::reason($record));
        $record->reviewed_by = 7;
        self::assertSame('It was reviewed.', Words::reason($record));
    }

    public function testASentenceNamesTheFirstFiveAndCountsTheRest(): void
    {
        $problems = array_map(static function (int $number): array {
            return ['title' => "Picture $number", 'words' => 'Nobody has looked.'];
        }, range(1, 7));
        $sentence = Gate::sentence($problems);
        self::assertStringContainsString('“Picture 5”: Nobody has looked.', $sentence);
        self::assertStringNotContainsString('Picture 6', $sentence);
        self::assertStringEndsWith('And 2 more.', $sentence);
    }
}
