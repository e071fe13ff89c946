<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Choices;
use Facecloak\Disclosure;
use Facecloak\FileAnswer;
use Facecloak\Record;
use Facecloak\Refused;
use Facecloak\Settings;
use Facecloak\Verdict;
use PHPUnit\Framework\TestCase;

final class DeskTest extends TestCase
{
    protected function setUp(): void
    {
        \Stage::clear();
        \Stage::$options[Settings::OPTION] = ['policy' => 'require'];
    }

    public function test_faces_that_nobody_names_are_hidden(): void
    {
        $this->assertSame(
            ['default' => 'redact solid', 'faces' => [], 'regions' => []],
            Choices::checked([], $this->record(), new Settings(), false)
        );
        \Stage::$options[Settings::OPTION] = ['policy' => 'require', 'default_treatment' => 'redact mosaic'];
        $this->assertSame('redact mosaic', Choices::checked([], $this->record(), new Settings(), false)['default']);
        \Stage::$options[Settings::OPTION] = ['default_treatment' => 'cloak balanced', 'allow_cloaking' => true];
        $this->assertSame('redact solid', Choices::hide(new Settings()));
    }

    public function test_a_face_stays_clear_only_where_site_and_person_may(): void
    {
        $keep = ['faces' => ['2' => 'keep']];
        $checked = Choices::checked($keep, $this->record(), new Settings(), true);
        $this->assertSame(['2' => 'keep'], array_combine(['2'], $checked['faces']));
        $this->assertSame(403, $this->refusal($keep, false));
        \Stage::$options[Settings::OPTION] = ['policy' => 'enforce'];
        $this->assertSame(403, $this->refusal($keep, true));
        $this->assertSame(403, $this->refusal(['faces' => ['2' => 'cloak light']], true));
        \Stage::$options[Settings::OPTION] = ['policy' => 'enforce', 'allow_cloaking' => true];
        $this->assertNull($this->refusal(['faces' => ['2' => 'cloak light']], true));
    }

    public function test_areas_end_where_the_picture_does(): void
    {
        $area = Choices::area(['x' => -5, 'y' => 3.4, 'width' => 20, 'height' => 1000], 100, 50);
        $this->assertSame(['x' => 0, 'y' => 3, 'width' => 15, 'height' => 47], $area);
        foreach (
            [
                ['x' => 100, 'y' => 0, 'width' => 5, 'height' => 5],
                ['x' => 0, 'y' => -5, 'width' => 5, 'height' => 5],
                ['x' => 0, 'y' => 0, 'width' => 0, 'height' => 5],
                ['x' => 0, 'y' => 0, 'width' => -5, 'height' => 5],
                ['x' => 0, 'y' => 0, 'width' => INF, 'height' => 5],
                ['x' => '0', 'y' => 0, 'width' => 5, 'height' => 5],
                ['x' => 0, 'y' => 0, 'width' => 5],
                'everywhere',
            ] as $odd
        ) {
            try {
                Choices::area($odd, 100, 50);
                $this->fail('Taken: ' . json_encode($odd));
            } catch (Refused $refused) {
                $this->assertSame(400, $refused->getCode());
            }
        }
    }

    /**
     * @dataProvider reports
     * @param string[] $statuses
     * @param int[] $unsettled
     * @param int[] $kept
     */
    public function test_a_verdict_says_no_more_than_the_report(
        array $statuses,
        string $kind,
        string $words,
        array $unsettled,
        array $kept,
        bool $is_altered
    ): void {
        $report = $this->report($statuses);
        $said = Verdict::in_words($report);
        $this->assertSame($kind, $said['kind']);
        $this->assertStringContainsString($words, $said['headline']);
        $this->assertStringContainsString('Detection misses faces', $said['caution']);
        $this->assertSame($unsettled, Verdict::unsettled($report));
        $this->assertSame($kept, Verdict::kept($report));
        $this->assertSame($is_altered, Verdict::is_altered($report));
        $this->assertStringNotContainsString('safe', $said['headline']);
    }

    /** @return array<string, array<int, mixed>> */
    public function reports(): array
    {
        return [
            'none' => [[], 'look', 'That does not prove that there is none', [], [], false],
            'covered' => [['redacted', 'redacted'], 'good', 'is covered', [], [], true],
            'one kept' => [['redacted', 'kept'], 'look', '1 face is left as it was', [], [2], true],
            'all kept' => [['kept', 'kept'], 'look', 'No face is covered', [], [1, 2], false],
            'cloaked' => [['protected'], 'look', 'None of those is independent', [], [], true],
            'matched' => [['redacted', 'matched'], 'wrong', 'Do not publish', [2], [], true],
            'lost' => [['lost', 'kept'], 'wrong', 'nothing can be promised', [1], [2], true],
            'too small' => [['too_small'], 'wrong', 'nothing can be promised', [1], [], true],
            'of tomorrow' => [['blessed'], 'wrong', 'nothing can be promised', [1], [], true],
        ];
    }

    public function test_a_clip_needs_a_look_where_anything_was_found_in_it(): void
    {
        $report = ['tracks' => [['number' => 4, 'decision' => 'hide'], ['number' => 7, 'decision' => 'keep']],
            'leaks' => [], 'troubles' => [], 'uncovered_s' => [], 'regions' => 0, 'notes' => [], 'left_out' => []];
        $this->assertFalse(Verdict::needs_a_look($report));
        $this->assertSame([7], Verdict::kept($report));
        $this->assertSame('look', Verdict::in_words($report)['kind']);
        $this->assertStringContainsString('1 track is left', Verdict::in_words($report)['headline']);
        $leak = ['first_s' => 75.25, 'last_s' => 76.0];
        foreach ([['leaks', [$leak]], ['troubles', ['cut short']], ['uncovered_s', [[0.0, 1.0]]]] as [$what, $found]) {
            $this->assertTrue(Verdict::needs_a_look([$what => $found] + $report));
            $this->assertSame('wrong', Verdict::in_words([$what => $found] + $report)['kind']);
        }
        $this->assertSame('1:15.3', Verdict::found_again(['leaks' => [$leak]] + $report)[0]['from']);
    }

    public function test_the_line_stands_once_in_a_caption(): void
    {
        $line = 'Altered.';
        $this->assertSame('Altered.', Disclosure::with_line('', $line));
        $this->assertSame('In town. Altered.', Disclosure::with_line('In town. ', $line));
        $this->assertSame('In town. Altered.', Disclosure::with_line('In town. Altered.', $line));
        $this->assertSame('In town.', Disclosure::without_line('In town. Altered.', $line));
        $this->assertSame('In town.', Disclosure::with_line('In town.', ''));
        $this->assertSame('In town.', Disclosure::without_line('In town.', ''));
    }

    public function test_a_range_lies_in_the_file(): void
    {
        $this->assertSame([0, 99], FileAnswer::range('bytes=0-', 100));
        $this->assertSame([10, 19], FileAnswer::range('bytes=10-19', 100));
        $this->assertSame([10, 99], FileAnswer::range('bytes=10-500', 100));
        foreach (['', 'bytes=100-', 'bytes=20-10', 'bytes=-5', 'bytes=0-1,3-4', 'lines=0-1'] as $header) {
            $this->assertNull(FileAnswer::range($header, 100), $header);
        }
    }

    /**
     * @param array<mixed> $choices
     * @return int|null the code
     */
    private function refusal(array $choices, bool $may_keep): ?int
    {
        try {
            Choices::checked($choices, $this->record(), new Settings(), $may_keep);
            return null;
        } catch (Refused $refused) {
            return $refused->getCode();
        }
    }

    private function record(): Record
    {
        $record = new Record();
        [$record->width, $record->height] = [100, 50];
        foreach ([1, 2] as $number) {
            $record->faces[] = ['number' => $number, 'box' => [1.0, 2.0, 3.0, 4.0], 'score' => 0.9];
        }
        return $record;
    }

    /**
     * @param string[] $statuses
     * @return array<string, mixed>
     */
    private function report(array $statuses): array
    {
        $faces = [];
        foreach ($statuses as $at => $status) {
            $faces[] = ['number' => $at + 1, 'status' => $status, 'detector_score' => 0.9, 'words' => '',
                'verdicts' => $status === 'protected' ? [['is_surrogate' => true, 'is_matched' => false]] : []];
        }
        return ['faces' => $faces, 'words' => '', 'notes' => []];
    }
}
