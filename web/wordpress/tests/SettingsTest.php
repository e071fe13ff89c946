<?php

declare(strict_types=1);

namespace Facecloak\Tests;

use Facecloak\Settings;
use PHPUnit\Framework\TestCase;
use Stage;

final class SettingsTest extends TestCase
{
    protected function setUp(): void
    {
        Stage::clear();
    }

    /** @return array<string, array{string, bool}> */
    public function addresses(): array
    {
        $good = [
            'https://service.example', 'https://service.example:8443/faces', 'http://127.0.0.1:8765',
            'http://localhost:8765/', 'http://[::1]:8765', 'HTTPS://Service.Example', 'http://127.8.9.1',
        ];
        $bad = [
            '', 'service.example', 'ftp://127.0.0.1', 'http://service.example', 'http://10.0.0.1', '//127.0.0.1',
            'http://127.0.0.1.evil.example', 'http://localhost.evil.example', 'https://user:word@service.example',
            'https://service.example?x=1', 'https://service.example#x', "https://service.example/\r\nX: y",
            'https://service.example/../x?', 'https://', 'http:///etc/passwd', 'file:///etc/passwd',
            'http://127.0.0.1@evil.example', 'https://service.example\\@127.0.0.1', 'http://0x7f.1', 'http://127.1',
            'https://ex ample', 'gopher://127.0.0.1:25/', 'https://service.example/%0d%0a',
        ];
        $cases = [];
        foreach (array_merge(array_fill_keys($good, true), array_fill_keys($bad, false)) as $address => $is_good) {
            $cases[json_encode($address)] = [(string) $address, $is_good];
        }
        return $cases;
    }

    /** @dataProvider addresses */
    public function test_only_safe_addresses_are_taken(string $address, bool $is_good): void
    {
        $this->assertSame($is_good, Settings::address_problem($address) === null);
        Stage::$options[Settings::OPTION] = ['address' => $address];
        $this->assertSame($is_good, (new Settings())->address() !== '', 'what is in the database is checked too');
    }

    public function test_nothing_is_done_before_an_administrator_chose(): void
    {
        $settings = new Settings();
        $this->assertSame('off', $settings->policy());
        $this->assertFalse($settings->is_active());
        $this->assertFalse($settings->allows_cloaking());
        $this->assertSame(7, $settings->retention_days());
    }

    public function test_a_policy_nobody_knows_is_the_strictest(): void
    {
        Stage::$options[Settings::OPTION] = ['policy' => 'later'];
        $this->assertSame('enforce', (new Settings())->policy());
        Stage::$options[Settings::OPTION] = false;  // what cannot be read any more
        $this->assertSame('enforce', (new Settings())->policy());
    }

    public function test_cloaking_is_the_default_only_where_it_is_allowed(): void
    {
        Stage::$options[Settings::OPTION] = ['default_treatment' => Settings::CLOAK];
        $this->assertSame('redact solid', (new Settings())->default_treatment());
        Stage::$options[Settings::OPTION]['allow_cloaking'] = true;
        $this->assertSame(Settings::CLOAK, (new Settings())->default_treatment());
    }

    public function test_what_a_form_sends_is_sanitised(): void
    {
        $clean = Settings::sanitise([
            'address' => ' https://service.example/ ', 'policy' => 'enforce', 'default_treatment' => 'keep',
            'metadata' => ['credit'], 'documents' => 'allow', 'retention_days' => '-3', 'timeout_s' => '99999',
            'disclosure' => '<b>Faces</b> altered', 'allow_cloaking' => '1', 'no_face_needs_review' => '0',
            'unknown' => 'x',
        ]);
        $this->assertSame('https://service.example', $clean['address']);
        $this->assertSame('enforce', $clean['policy']);
        $this->assertSame('redact solid', $clean['default_treatment']);
        $this->assertSame('strip', $clean['metadata']);
        $this->assertSame('allow', $clean['documents']);
        $this->assertSame(7, $clean['retention_days']);
        $this->assertSame(45, $clean['timeout_s']);
        $this->assertSame('Faces altered', $clean['disclosure']);
        $this->assertTrue($clean['allow_cloaking']);
        $this->assertFalse($clean['no_face_needs_review']);
        $this->assertArrayNotHasKey('unknown', $clean);
    }

    public function test_a_wrong_address_leaves_the_old_one(): void
    {
        Stage::$options[Settings::OPTION] = ['address' => 'https://service.example'];
        $this->assertSame('https://service.example', Settings::sanitise(['address' => 'http://evil'])['address']);
        $this->assertSame('', Settings::sanitise(['address' => ''])['address']);
    }

    public function test_a_token_that_would_add_headers_is_none(): void
    {
        Stage::$options[Settings::TOKEN] = "fcl_abc\r\nX-Evil: 1";
        $this->assertSame('', (new Settings())->token());
        Stage::$options[Settings::TOKEN] = 'fcl_abc';
        $this->assertSame('fcl_abc', (new Settings())->token());
    }
}
