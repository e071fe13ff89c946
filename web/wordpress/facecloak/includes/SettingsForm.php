<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The form of the settings page. The token goes in and never comes out.
 */
final class SettingsForm
{
    private Settings $settings;
    private Connection $connection;
    private Quarantine $quarantine;

    public function __construct(Plugin $plugin, Connection $connection)
    {
        $this->settings = $plugin->settings;
        $this->connection = $connection;
        $this->quarantine = $plugin->quarantine;
    }

    public function show(string $group): void
    {
        echo '<div class="wrap facecloak-settings"><h1>' . esc_html__('facecloak', 'facecloak') . '</h1>';
        echo '<p>' . esc_html__(
            'With “Require review” and “Enforce”, the faces that are found in pictures and clips are covered before'
            . ' anybody can fetch the files, and the desk decides about them before they are published. Detection'
            . ' misses faces, and a verdict speaks only of the recognisers it names: somebody has to look.',
            'facecloak'
        ) . '</p>';
        echo '<form action="' . esc_url(admin_url('options.php')) . '" method="post" autocomplete="off">';
        settings_fields($group);
        $this->section(__('Service', 'facecloak'), [
            [__('Address', 'facecloak'), 'facecloak-address', [$this, 'address']],
            [__('Token', 'facecloak'), 'facecloak-token', [$this, 'token']],
            [__('Connection', 'facecloak'), '', [$this, 'test']],
            [__('Wait for the service', 'facecloak'), 'facecloak-timeout_s', [$this, 'timeout']],
        ]);
        $this->section(__('Policy', 'facecloak'), [
            [__('What happens to uploads', 'facecloak'), '', [$this, 'policy']],
        ]);
        $this->section(__('Treatment', 'facecloak'), [
            [__('Faces at first', 'facecloak'), 'facecloak-default_treatment', [$this, 'treatment']],
            [__('Cloaking', 'facecloak'), '', [$this, 'cloaking']],
            [__('Metadata', 'facecloak'), '', [$this, 'metadata']],
            [__('Documents', 'facecloak'), '', [$this, 'documents']],
        ]);
        $this->section(__('Review', 'facecloak'), [
            [__('No face found', 'facecloak'), '', [$this, 'no_face']],
            [__('Disclosure', 'facecloak'), 'facecloak-disclosure', [$this, 'disclosure']],
            [__('Originals', 'facecloak'), 'facecloak-retention_days', [$this, 'retention']],
        ]);
        submit_button();
        echo '</form></div>';
    }

    public function address(): void
    {
        if (defined('FACECLOAK_SERVICE')) {
            echo '<code>' . esc_html($this->settings->address()) . '</code>';
            $this->hint(__('Set by FACECLOAK_SERVICE in wp-config.php.', 'facecloak'));
            return;
        }
        printf(
            '<input type="url" class="regular-text code" id="facecloak-address" name="%s" value="%s" placeholder="%s">',
            esc_attr($this->name('address')),
            esc_attr($this->settings->address()),
            'http://127.0.0.1:8000'
        );
        $this->hint(__('https://, or http:// where the service runs on this very machine.', 'facecloak'));
    }

    public function token(): void
    {
        if (defined('FACECLOAK_TOKEN')) {
            echo esc_html__('Set by FACECLOAK_TOKEN in wp-config.php.', 'facecloak');
            return;
        }
        $is_set = $this->settings->token() !== '';
        printf(
            '<input type="password" class="regular-text code" id="facecloak-token" name="%s[new]" value=""'
            . ' autocomplete="new-password" placeholder="%s">',
            esc_attr(Settings::TOKEN),
            $is_set ? esc_attr__('Saved. Empty: keep it', 'facecloak') : ''
        );
        $this->hint(__('Made with “cloak token create” where the service runs. It is never shown again.', 'facecloak'));
        if ($is_set) {
            printf(
                '<label><input type="checkbox" name="%s[forget]" value="1"> %s</label>',
                esc_attr(Settings::TOKEN),
                esc_html__('Forget the token', 'facecloak')
            );
        }
    }

    public function test(): void
    {
        $is_tested = $this->connection->is_tested();
        printf(
            '<button type="button" class="button" id="facecloak-test">%s</button>'
            . ' <span id="facecloak-test-result" class="%s" role="status">%s</span>',
            esc_html__('Test the connection', 'facecloak'),
            $is_tested ? 'facecloak-good' : '',
            esc_html($is_tested ? __('The last test went well.', 'facecloak') : __('Not tested yet.', 'facecloak'))
        );
        $this->hint(__('Tries what is saved: the address, the token and a grey picture.', 'facecloak'));
    }

    public function timeout(): void
    {
        $this->number('timeout_s', $this->settings->timeout_s(), 5, 600, __('seconds', 'facecloak'));
        $this->hint(__('So long somebody who uploads a picture waits at most.', 'facecloak'));
    }

    public function policy(): void
    {
        $why_not = $this->connection->why_not_active();
        // Where only the test is missing, the page can open these as soon as it went well
        $waits = $this->quarantine->problem() === null ? 'test' : 'quarantine';
        $choices = [
            'off' => [__('Off', 'facecloak'), __('Nothing is touched or looked at.', 'facecloak')],
            'suggest' => [__('Suggest', 'facecloak'), __(
                'Faces in pictures are listed and shown to the desk. They are NOT covered, clips are not looked into at'
                . ' all, and anything can be published.',
                'facecloak'
            )],
            'require' => [__('Require review', 'facecloak'), __(
                'Faces that are found are covered at once. Posts are not published until somebody has reviewed their'
                . ' media. Where the service does not answer, a placeholder takes the place of the picture.',
                'facecloak'
            )],
            'enforce' => [__('Enforce', 'facecloak'), __(
                'As above, but no face can be left clear, and uploads are refused where the service does not answer.',
                'facecloak'
            )],
        ];
        echo '<fieldset><legend class="screen-reader-text">' . esc_html__('Policy', 'facecloak') . '</legend>';
        foreach ($choices as $value => [$label, $words]) {
            $is_chosen = $this->settings->policy() === $value;
            $is_open = $is_chosen || $why_not === null || !in_array($value, ['require', 'enforce'], true);
            printf(
                '<p><label><input type="radio" name="%s" value="%s"%s%s%s> <strong>%s</strong></label>'
                . '<span class="description">%s</span></p>',
                esc_attr($this->name('policy')),
                esc_attr($value),
                checked($is_chosen, true, false),
                disabled($is_open, false, false),
                !$is_open && $waits === 'test' ? ' data-waits="test"' : '',
                esc_html($label),
                esc_html($words)
            );
        }
        echo '</fieldset>';
        if ($why_not !== null) {
            /* translators: %s: what is missing */
            $words = __('“Require review” and “Enforce” can be chosen once this is mended: %s', 'facecloak');
            printf(
                '<p class="description" id="facecloak-why-not" data-waits="%s">%s</p>',
                esc_attr($waits),
                esc_html(sprintf($words, $why_not))
            );
        }
    }

    public function treatment(): void
    {
        $labels = [
            'redact solid' => __('Cover with one colour', 'facecloak'),
            'redact mosaic' => __('Mosaic', 'facecloak'),
            'redact blur' => __('Blur', 'facecloak'),
            'redact ring' => __('Cover all but a ring', 'facecloak'),
        ];
        if ($this->settings->allows_cloaking()) {
            $labels[Settings::CLOAK] = __('Cloak (faces stay visible)', 'facecloak');
        }
        printf('<select id="facecloak-default_treatment" name="%s">', esc_attr($this->name('default_treatment')));
        foreach ($labels as $value => $label) {
            printf(
                '<option value="%s"%s>%s</option>',
                esc_attr($value),
                selected($this->settings->default_treatment(), $value, false),
                esc_html($label)
            );
        }
        echo '</select>';
        $this->hint(__('What is done to every face until the desk decides.', 'facecloak'));
    }

    public function cloaking(): void
    {
        $this->box('allow_cloaking', $this->settings->allows_cloaking(), __('The desk may cloak faces', 'facecloak'));
        $this->hint(__(
            'A cloak leaves the face visible to people and is meant to mislead some recognisers. It has been measured'
            . ' against those that its verdict names, and against no others. Cover whoever could be harmed.',
            'facecloak'
        ));
    }

    public function metadata(): void
    {
        $this->radios('metadata', $this->settings->metadata(), [
            'strip' => __('Remove everything', 'facecloak'),
            'credit' => __('Keep creator, credit, copyright, caption and source', 'facecloak'),
        ]);
        $this->hint(__('Places, serial numbers, thumbnails and history are removed either way.', 'facecloak'));
    }

    public function documents(): void
    {
        $this->radios('documents', $this->settings->documents(), [
            'refuse' => __('Refuse', 'facecloak'),
            'allow' => __('Allow', 'facecloak'),
        ]);
        $this->hint(__(
            'PDF, office files and archives, with the policy “Enforce”: nobody looks at the pictures in them.',
            'facecloak'
        ));
    }

    public function no_face(): void
    {
        $this->box('no_face_needs_review', $this->settings->no_face_needs_review(), __(
            'Pictures without a face that was found need a review as well',
            'facecloak'
        ));
        $this->hint(__('Detection misses faces: turned away, small, dark, masked.', 'facecloak'));
    }

    public function disclosure(): void
    {
        printf(
            '<input type="text" class="large-text" id="facecloak-disclosure" name="%s" value="%s">',
            esc_attr($this->name('disclosure')),
            esc_attr($this->settings->disclosure())
        );
        $this->hint(__(
            'Added once to the caption of a picture whose faces were changed. Empty: nothing.',
            'facecloak'
        ));
    }

    public function retention(): void
    {
        $words = __('days after the review, then deleted', 'facecloak');
        $this->number('retention_days', $this->settings->retention_days(), 0, 3650, $words);
        $this->hint(__('0: at once. Without the original, a decision cannot be changed.', 'facecloak'));
    }

    // --- parts --------------------------------------------------------------------------------------------------

    /**
     * @param array<int, array{0: string, 1: string, 2: callable}> $rows label, id of its field, what shows it
     */
    private function section(string $title, array $rows): void
    {
        echo '<h2>' . esc_html($title) . '</h2><table class="form-table" role="presentation">';
        foreach ($rows as [$label, $for, $show]) {
            echo '<tr><th scope="row">';
            echo $for === ''
                ? esc_html($label)
                : '<label for="' . esc_attr($for) . '">' . esc_html($label) . '</label>';
            echo '</th><td>';
            $show();
            echo '</td></tr>';
        }
        echo '</table>';
    }

    private function name(string $setting): string
    {
        return Settings::OPTION . '[' . $setting . ']';
    }

    private function hint(string $words): void
    {
        echo '<p class="description">' . esc_html($words) . '</p>';
    }

    private function number(string $setting, int $value, int $least, int $most, string $unit): void
    {
        printf(
            '<input type="number" class="small-text" id="%s" name="%s" value="%d" min="%d" max="%d"> %s',
            esc_attr('facecloak-' . $setting),
            esc_attr($this->name($setting)),
            (int) $value,
            (int) $least,
            (int) $most,
            esc_html($unit)
        );
    }

    /** With a hidden field before it: a box that is not ticked sends nothing. */
    private function box(string $setting, bool $is_on, string $label): void
    {
        printf(
            '<input type="hidden" name="%1$s" value="0"><label><input type="checkbox" name="%1$s" value="1"%2$s> %3$s'
            . '</label>',
            esc_attr($this->name($setting)),
            checked($is_on, true, false),
            esc_html($label)
        );
    }

    /**
     * @param array<string, string> $choices
     */
    private function radios(string $setting, string $chosen, array $choices): void
    {
        foreach ($choices as $value => $label) {
            printf(
                '<p><label><input type="radio" name="%s" value="%s"%s> %s</label></p>',
                esc_attr($this->name($setting)),
                esc_attr($value),
                checked($chosen, $value, false),
                esc_html($label)
            );
        }
    }
}
