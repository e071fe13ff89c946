/**
 * The button that tests the connection: it tries what is saved, so it waits until everything is.
 */
(function (wp) {
    'use strict';

    const { __ } = wp.i18n;
    const button = document.getElementById('facecloak-test');
    const result = document.getElementById('facecloak-test-result');
    if (!button || !result) {
        return;
    }

    function say(words, kind) {
        result.textContent = words;
        result.className = kind ? 'facecloak-' + kind : '';
        wp.a11y.speak(words);
    }

    button.form.addEventListener('input', function (event) {
        if (event.target.id === 'facecloak-address' || event.target.id === 'facecloak-token') {
            button.disabled = true;
            say(__('Save the changes first; then test.', 'facecloak'), '');
        }
    });

    button.addEventListener('click', function () {
        button.disabled = true;
        say(__('Asking the service …', 'facecloak'), '');
        wp.apiFetch({ path: '/facecloak/v1/connection', method: 'POST' }).then(function (answer) {
            say(answer.words, answer.ok ? 'good' : 'bad');
            if (answer.ok) {
                // What could not be chosen before can be chosen now, unless something else stands in the way
                document.querySelectorAll('.facecloak-settings input[type=radio][data-waits=test]').forEach(function (one) {
                    one.disabled = false;
                });
                const why = document.getElementById('facecloak-why-not');
                if (why && why.dataset.waits === 'test') {
                    why.remove();
                }
            }
        }).catch(function (error) {
            say((error && error.message) || __('The site itself did not answer.', 'facecloak'), 'bad');
        }).then(function () {
            button.disabled = false;
        });
    });
})(window.wp);
