<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Client;
use Facecloak\Rejected;
use Facecloak\Settings;
use Facecloak\Unreachable;
use PHPUnit\Framework\TestCase;
use ReflectionFunction;
use Stage;
use Throwable;
use WP_Error;

final class ClientTest extends TestCase
{
    private const ID = '5f0c1c5e7b7d4a52a1c2d3e4f5061728';

    private string $photo;
    private string $made;

    protected function setUp(): void
    {
        Stage::clear();
        Stage::$options = [
            Settings::OPTION => ['address' => 'http://127.0.0.1:8765', 'timeout_s' => 3],
            Settings::TOKEN => 'fcl_secret',
        ];
        $this->photo = (string) tempnam(sys_get_temp_dir(), 'fc');
        $this->made = (string) tempnam(sys_get_temp_dir(), 'fc');
        imagejpeg(imagecreatetruecolor(60, 40), $this->photo);
    }

    protected function tearDown(): void
    {
        array_map('unlink', [$this->photo, $this->made]);
    }

    public function test_a_photo_is_handed_in_fetched_and_forgotten(): void
    {
        $this->service();
        $job = $this->protect();
        $this->assertSame([60, 40], $job['size']);
        $this->assertSame([['number' => 1, 'box' => [1.0, 2.0, 10.0, 20.0], 'score' => 0.9]], $job['faces']);
        $this->assertSame($this->covered(), file_get_contents($this->made));
        $asked = array_map(static function (array $request): string {
            return $request[1]['method'] . ' ' . strtok($request[0], '?');
        }, Stage::$requests);
        $job = 'http://127.0.0.1:8765/v1/jobs/' . self::ID;
        $this->assertSame(
            ['POST http://127.0.0.1:8765/v1/jobs', "GET $job", "GET $job/result", "DELETE $job"],
            $asked
        );
        foreach (Stage::$requests as [, $arguments]) {
            $this->assertSame(0, $arguments['redirection']);
            $this->assertSame('Bearer fcl_secret', $arguments['headers']['Authorization']);
            $this->assertLessThanOrEqual(10.0, $arguments['timeout']);
        }
        $this->assertSame([], array_filter(Stage::$hooks), 'no hook is left behind');
    }

    /** @return array<string, array{callable(array<string, mixed>): array<string, mixed>}> */
    public function wrong_jobs(): array
    {
        $change = static function (string ...$path): callable {
            return static function ($value) use ($path): callable {
                return static function (array $job) use ($path, $value): array {
                    $at = &$job;
                    foreach ($path as $name) {
                        $at = &$at[$name];
                    }
                    $at = $value;
                    return $job;
                };
            };
        };
        return [
            'another photo' => [$change('sha256')(str_repeat('0', 64))],
            'another input' => [$change('report', 'input_sha256')(str_repeat('0', 64))],
            'another output' => [$change('report', 'output_sha256')(str_repeat('0', 64))],
            'no report' => [$change('report')(null)],
            'no verdict' => [$change('is_protected')(null)],
            'another kind' => [$change('kind')('detect')],
            'another id' => [$change('id')(str_repeat('0', 32))],
            'an id that is a path' => [$change('id')('../../v1/limits')],
            'no state that is known' => [$change('state')('splendid')],
            'deleted' => [$change('state')('expired')],
            'faces of words' => [$change('report', 'faces')('two')],
            'a face that is none' => [$change('report', 'faces')([1])],
            'a status nobody knows' => [$change('report', 'faces', '0', 'status')('fine')],
            'a box of words' => [$change('report', 'faces', '0', 'box')(['a', 'b', 'c', 'd'])],
            'half a box' => [$change('report', 'faces', '0', 'box')([1, 2])],
            'another size' => [$change('size')([61, 40])],
            'no size' => [$change('size')(null)],
            'too sure' => [$change('report', 'faces', '0', 'detector_score')(7)],
        ];
    }

    /** @dataProvider wrong_jobs */
    public function test_an_answer_that_makes_no_sense_is_none(callable $change): void
    {
        $this->service($change);
        $this->expectException(Unreachable::class);
        $this->protect();
    }

    public function test_the_photo_itself_is_no_result(): void
    {
        $same = (string) file_get_contents($this->photo);
        $this->service(static function (array $job) use ($same): array {
            $job['report']['output_sha256'] = hash('sha256', $same);
            return $job;
        }, $same);
        $this->expectException(Unreachable::class);
        $this->protect();
    }

    public function test_a_result_that_broke_off_is_none(): void
    {
        $this->service(null, null, static function (array $answer): array {
            $answer['headers']['content-length'] = (string) (strlen($answer['body']) + 1);
            return $answer;
        });
        $this->expectException(Unreachable::class);
        $this->protect();
    }

    public function test_a_page_is_no_picture(): void
    {
        $this->service(null, '<!doctype html>');
        $this->expectException(Unreachable::class);
        $this->protect();
    }

    /** @return array<string, array{array<string, mixed>|WP_Error, class-string}> */
    public function failures(): array
    {
        $problem = static function (int $status, string $code): array {
            return self::answer(['code' => $code, 'detail' => 'Words.'], $status, 'application/problem+json');
        };
        return [
            'down' => [new WP_Error('http_request_failed', 'cURL error 7'), Unreachable::class],
            '500' => [self::answer('oops', 500, 'text/plain'), Unreachable::class],
            '507' => [$problem(507, 'disk-full'), Unreachable::class],
            'a redirect' => [self::answer('', 302, 'text/html'), Unreachable::class],
            'a page' => [self::answer('<html>', 200, 'text/html'), Unreachable::class],
            'JSON called a page' => [self::answer('{}', 200, 'text/html'), Unreachable::class],
            'half of JSON' => [self::answer('{"id": "5f', 200, 'application/json'), Unreachable::class],
            'JSON too deep' => [self::answer(str_repeat('[', 999), 200, 'application/json'), Unreachable::class],
            'the wrong token' => [$problem(401, 'unauthorised'), Unreachable::class],
            'too many' => [$problem(429, 'too-many-jobs'), Unreachable::class],
            'an option it does not know' => [$problem(422, 'invalid'), Unreachable::class],
            'a 404 of somebody else' => [self::answer('Not found', 404, 'text/html'), Unreachable::class],
            'a photo it cannot read' => [$problem(422, 'photo-unreadable'), Rejected::class],
            'a photo it does not know' => [$problem(415, 'photo-unsupported'), Rejected::class],
            'a photo too large' => [$problem(413, 'photo-too-large'), Rejected::class],
        ];
    }

    /**
     * @dataProvider failures
     * @param array<string, mixed>|WP_Error $answer
     * @param class-string<Throwable> $expected
     */
    public function test_what_may_pass_is_told_from_what_does_not($answer, string $expected): void
    {
        Stage::$answers = [static function () use ($answer) {
            return $answer;
        }];
        $this->expectException($expected);
        $this->protect();
    }

    public function test_a_job_that_failed_is_what_its_problem_says(): void
    {
        foreach (['photo-unreadable' => Rejected::class, 'worker-killed' => Unreachable::class] as $code => $expected) {
            $this->service(static function (array $job) use ($code): array {
                return ['state' => 'failed', 'problem' => ['code' => $code, 'detail' => "Bad\nwords"]] + $job;
            });
            try {
                $this->protect();
                $this->fail('it was taken');
            } catch (Rejected | Unreachable $thrown) {
                $this->assertInstanceOf($expected, $thrown);
                $this->assertStringContainsString('Bad words', $thrown->getMessage());
            }
            $this->assertSame('DELETE', end(Stage::$requests)[1]['method']);
        }
    }

    public function test_a_slow_job_is_given_up_and_deleted(): void
    {
        $this->service(static function (array $job): array {
            usleep(400000);
            return ['state' => 'running'] + $job;
        });
        try {
            $this->protect(1);
            $this->fail('it was waited for');
        } catch (Unreachable $thrown) {
            $this->assertSame('DELETE', end(Stage::$requests)[1]['method']);
        }
    }

    public function test_without_address_or_token_nothing_is_sent(): void
    {
        foreach ([[Settings::TOKEN, ''], [Settings::OPTION, ['address' => 'http://evil.example']]] as [$name, $value]) {
            $this->setUp();
            Stage::$options[$name] = $value;
            try {
                $this->protect();
                $this->fail('it was sent');
            } catch (Unreachable $thrown) {
                $this->assertSame([], Stage::$requests);
            }
        }
    }

    public function test_only_ids_and_pictures_of_jobs_get_into_an_address(): void
    {
        $client = new Client(new Settings());
        $wrong = ['', '..', self::ID . '/../x', strtoupper(self::ID), self::ID . "\n", self::ID . '?x', 'http://evil'];
        foreach ($wrong as $id) {
            foreach ([[$client, 'job'], [$client, 'plan'], [$client, 'delete']] as $ask) {
                try {
                    $ask($id);
                    $this->fail('it was asked');
                } catch (Rejected $expected) {
                    $this->assertSame('not-found', $expected->problem_code);
                }
            }
        }
        $good = '/v1/jobs/' . self::ID . '/files/';
        $wrong = ['http://evil/x.jpg', '../plan', 'a.jpg?x', '..', "a.jpg\n", 'a/b.jpg', ''];
        foreach ($wrong as $name) {
            try {
                $client->picture($good . $name, $this->made);
                $this->fail('it was asked');
            } catch (Rejected $expected) {
                $this->assertSame('not-found', $expected->problem_code);
            }
        }
        $this->assertSame([], Stage::$requests);
    }

    public function test_what_goes_to_this_machine_goes_by_no_proxy(): void
    {
        $by_proxy = null;
        Stage::$answers = [static function (string $url) use (&$by_proxy): array {
            $by_proxy = (Stage::$hooks['pre_http_send_through_proxy'][0])(true, $url);
            return self::answer(['status' => 'ok', 'version' => '1', 'queued' => 0, 'running' => 0]);
        }];
        (new Client(new Settings()))->health();
        $this->assertFalse($by_proxy);
        $this->assertArrayNotHasKey('Authorization', Stage::$requests[0][1]['headers']);
    }

    public function test_names_of_photos_are_not_sent(): void
    {
        $this->service();
        $parts = null;
        $first = Stage::$answers[0];
        Stage::$answers = [static function (string $url, array $arguments) use ($first, &$parts) {
            $to_curl = new ReflectionFunction(Stage::$hooks['http_api_curl'][0]);
            $parts = $parts ?? $to_curl->getStaticVariables()['parts'];
            return $first($url, $arguments);
        }];
        $this->protect();
        $this->assertSame('photo', $parts['file']->getPostFilename());
        $this->assertSame($this->photo, $parts['file']->getFilename());
        $this->assertSame('63', $parts['keep_s'], 'seconds of patience, and a minute');
        $this->assertSame(
            ['default' => 'redact solid', 'no_face' => 'clean', 'metadata' => 'strip'],
            json_decode($parts['options'], true)
        );
    }

    public function test_a_service_that_keeps_nothing_that_long_is_asked_again(): void
    {
        $this->service();
        $good = Stage::$answers[0];
        $refused = static function (): array {
            $problem = ['code' => 'invalid', 'detail' => 'keep_s is 63'];
            return self::answer($problem, 422, 'application/problem+json');
        };
        $limits = static function (int $keep_s): callable {
            return static function () use ($keep_s): array {
                return self::answer(
                    ['max_upload_bytes' => 1, 'max_pixels' => 1, 'max_clip_bytes' => 1, 'keep_s' => $keep_s]
                );
            };
        };
        Stage::$answers = [$refused, $limits(20), $good];
        $this->assertSame([60, 40], $this->protect()['size']);
        // Where that was not the reason, it is not sent twice
        Stage::$answers = [$refused, $limits(3600), $good];
        $this->expectException(Unreachable::class);
        $this->protect();
    }

    /** @return array<string, mixed> */
    private function protect(?int $seconds = null): array
    {
        $options = ['default' => 'redact solid'];
        return (new Client(new Settings()))->protect($this->photo, 'Anna.jpg', $options, $this->made, $seconds);
    }

    private function covered(): string
    {
        $image = imagecreatetruecolor(60, 40);
        imagefill($image, 0, 0, (int) imagecolorallocate($image, 1, 2, 3));
        ob_start();
        imagejpeg($image);
        return (string) ob_get_clean();
    }

    /**
     * A service that covers every photo in the same way.
     *
     * @param callable(array<string, mixed>): array<string, mixed> $change of the job that has ended
     * @param callable(array<string, mixed>): array<string, mixed> $spoil of the answer with the result
     */
    private function service(?callable $change = null, ?string $result = null, ?callable $spoil = null): void
    {
        $sha256 = hash_file('sha256', $this->photo);
        $result = $result ?? $this->covered();
        $face = ['number' => 1, 'box' => [1, 2, 10, 20], 'detector_score' => 0.9, 'status' => 'redacted'];
        $job = [
            'id' => self::ID, 'kind' => 'protect', 'state' => 'done', 'sha256' => $sha256, 'size' => [60, 40],
            'is_protected' => true, 'report' => [
                'input_sha256' => $sha256, 'output_sha256' => hash('sha256', $result), 'faces' => [$face],
            ],
        ];
        $done = $change === null ? $job : null;
        Stage::$requests = [];
        Stage::$answers = [static function (string $url, array $arguments) use ($job, $done, $change, $result, $spoil) {
            if ($arguments['method'] === 'POST') {
                return self::answer(['state' => 'queued'] + $job, 202);
            }
            if ($arguments['method'] === 'DELETE') {
                return self::answer('', 204, '');
            }
            if (substr($url, -7) !== '/result') {
                return self::answer($done ?? $change($job));
            }
            $answer = self::answer($result, 200, 'image/jpeg');
            file_put_contents($arguments['filename'], $result);
            return $spoil === null ? $answer : $spoil($answer);
        }];
    }

    /**
     * @param array<string, mixed>|string $body
     * @return array<string, mixed>
     */
    private static function answer($body, int $status = 200, string $type = 'application/json'): array
    {
        $body = is_string($body) ? $body : (string) json_encode($body);
        return [
            'status' => $status, 'body' => $body,
            'headers' => ['content-type' => $type, 'content-length' => (string) strlen($body)],
        ];
    }
}
